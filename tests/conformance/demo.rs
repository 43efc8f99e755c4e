//! Against `fieldgate demo`, as its people run it: the gateway holds, the server behind it does not.

use std::path::PathBuf;

use serde_json::Value;

use crate::process::{self, Process};

/// A demo with a folder that it leaves.
pub struct Demo {
    _process: Process,
    _place: tempfile::TempDir,
    folder: PathBuf,
    pub gateway: String,
    pub upstream: String,
}

impl Demo {
    pub fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("demo");
        let keep = folder.to_str().unwrap();
        let process = Process::start(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--keep", keep]);
        let line = process.line_with("conformance --rate");
        process.line_with("check --config");
        let gateway = line.split(' ').find(|word| word.starts_with("https://")).unwrap().to_owned();
        let config = std::fs::read_to_string(folder.join("gateway.yaml")).unwrap();
        let upstream = config.split('"').find(|text| text.starts_with("http://") && text.ends_with("/fhir")).unwrap();
        Self { _process: process, upstream: upstream.to_owned(), _place: place, folder, gateway }
    }

    pub fn spec(&self) -> String {
        self.folder.join("conformance.yaml").to_str().unwrap().to_owned()
    }

    /// What must not be in any output: what is withheld, ids, and the token.
    fn secrets(&self) -> Vec<String> {
        let spec = std::fs::read_to_string(self.spec()).unwrap();
        let mut secrets: Vec<String> =
            spec.split("value: \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        let ids = spec.lines().filter_map(|line| line.trim().trim_end_matches(':').split_once('/'));
        secrets.extend(ids.filter(|(of, _)| of.chars().all(char::is_alphabetic)).map(|(_, id)| id.to_owned()));
        let header = std::fs::read_to_string(self.folder.join("front-desk.header")).unwrap();
        secrets.push(header.trim().rsplit(' ').next().unwrap().to_owned());
        assert!(secrets.len() > 8, "{secrets:?}");
        secrets
    }

    fn hold(&self, target: &str) -> (Option<i32>, Value) {
        let arguments =
            ["conformance", "--rate", "100000", "--timeout", "2", "--json", "--target", target, "--spec", &self.spec()];
        let output = process::run(&arguments);
        let told = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        for secret in self.secrets() {
            assert!(!told.contains(&secret) && !said.contains(&secret), "a secret is in the output");
        }
        assert!(said.is_empty(), "{said}");
        (output.status.code(), serde_json::from_str(&told).unwrap())
    }
}

fn rows<'a>(report: &'a Value, verdict: &str) -> Vec<&'a str> {
    let rows = report["rows"].as_array().unwrap().iter().filter(|row| row["verdict"] == verdict);
    rows.map(|row| row["row"].as_str().unwrap()).collect()
}

#[test]
fn the_gateway_holds_and_what_is_behind_it_does_not() {
    let demo = Demo::start();
    let (code, report) = demo.hold(&demo.gateway);
    assert_eq!(code, Some(0), "{report:#}");
    assert!(rows(&report, "leak").is_empty() && rows(&report, "inconclusive").is_empty());
    assert_eq!(rows(&report, "not-tried"), ["L16", "L22", "L26", "L27", "L28", "L30", "L31", "L34", "L35", "L36"]);
    assert!(report["requests"].as_u64().unwrap() > 1500);

    let (code, report) = demo.hold(&demo.upstream);
    assert_eq!(code, Some(1));
    let leaks = rows(&report, "leak");
    for row in ["L00", "L01", "L06", "L07", "L09", "L10", "L12", "L14", "L15", "L18", "L21", "L29", "L33"] {
        assert!(leaks.contains(&row), "{row} is not in {leaks:?}");
    }
    assert_eq!(report["held"], false);
}

#[test]
fn a_table_is_for_people_and_rows_can_be_picked() {
    let demo = Demo::start();
    let output = process::run(&[
        "conformance",
        "--rate",
        "100000",
        "--target",
        &demo.upstream,
        "--spec",
        &demo.spec(),
        "--row",
        "L10",
        "--row",
        "l12",
    ]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let rows: Vec<&str> = told.lines().filter(|line| line.starts_with('L')).map(|line| &line[..3]).collect();
    assert_eq!(rows, ["L10", "L12"], "{told}");
    assert!(told.contains("{Patient.") && told.contains("LEAK") && told.contains("more, with --json"), "{told}");
    assert!(!told.contains('\u{1b}'), "colours are for terminals");
}
