//! `fieldgate check` and `fieldgate explain` as their users meet them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use std::path::{Path, PathBuf};

use clap::{Args, Command, FromArgMatches};
use fieldgate::cli::check::{Check, CheckedConfig};
use fieldgate::cli::explain::Explain;
use fieldgate::fhir::Definitions;
use jiff::civil::{Date, date};

const TODAY: Date = date(2026, 6, 1);

fn arguments<T: Args + FromArgMatches>(arguments: &[&str]) -> T {
    let command = T::augment_args(Command::new("fieldgate").no_binary_name(true));
    T::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
}

fn shipped() -> String {
    format!("{}/config/policy.yaml", env!("CARGO_MANIFEST_DIR"))
}

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn check(of: &[&str], today: Date) -> (bool, String) {
    let mut out = Vec::new();
    let none = |_: &Path| CheckedConfig::default();
    let clean = arguments::<Check>(of).run(&Definitions::r4(), today, none, &mut out).unwrap();
    (clean, String::from_utf8(out).unwrap())
}

fn explain(of: &[&str]) -> (bool, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let found = arguments::<Explain>(of).run(&Definitions::r4(), &mut out, &mut err).unwrap();
    (found, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn check_of_the_shipped_policy_tells_one_warning() {
    let (clean, out) = check(&["--policy", &shipped()], TODAY);
    assert!(clean);
    assert!(out.contains("the role clinician sees everything"), "{out}");
    assert!(out.ends_with("no mistakes, 1 warning\n"), "{out}");
}

#[test]
fn check_tells_reviews_that_were_due() {
    let (clean, out) = check(&["--policy", &shipped()], date(2027, 1, 15));
    assert!(clean);
    assert!(out.contains("the review of the role billing-vendor was due on 2026-12-31"), "{out}");
}

#[test]
fn check_tells_each_mistake_to_people_and_to_programs() {
    let text = "version: 1\nfhir: R4\nroles:\n  r: { purposes: [TREAT], sees: { Patient: { brithDate: show, nmae: show } } }\n";
    let (_folder, path) = written(text);
    let path = path.to_str().unwrap();
    let (clean, out) = check(&["--policy", path], TODAY);
    assert!(!clean);
    assert!(out.contains(&format!("{path}:4:46: ")) && out.contains("did you mean birthDate?"), "{out}");
    assert!(out.ends_with("2 mistakes\n"), "{out}");

    let (clean, out) = check(&["--policy", path, "--json"], TODAY);
    assert!(!clean);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["clean"], false);
    assert_eq!(report["mistakes"].as_array().unwrap().len(), 2);
    assert_eq!((&report["mistakes"][1]["line"], &report["mistakes"][1]["column"]), (&4.into(), &63.into()));
    assert_eq!(report["mistakes"][1]["suggestion"], "did you mean name?");
}

#[test]
fn check_of_a_file_that_cannot_be_read_is_a_mistake() {
    let (clean, out) = check(&["--policy", "/nonexistent/policy.yaml"], TODAY);
    assert!(!clean && out.contains("can't be read"), "{out}");
}

#[test]
fn check_of_a_gateway_file_checks_the_policy_that_it_names() {
    let arguments = arguments::<Check>(&["--config", "gateway.yaml"]);
    let mut out = Vec::new();
    let config = |path: &Path| {
        assert_eq!(path, Path::new("gateway.yaml"));
        CheckedConfig { policy: Some(shipped().into()), ..CheckedConfig::default() }
    };
    assert!(arguments.run(&Definitions::r4(), TODAY, config, &mut out).unwrap());
    assert!(String::from_utf8(out).unwrap().contains("clinician"));
}

#[test]
fn explain_tells_the_treatment_and_the_line_of_its_rule() {
    let policy = shipped();
    let (found, out, _) = explain(&["--policy", &policy, "--role", "researcher", "Patient.birthDate"]);
    assert!(found);
    assert!(out.starts_with("Patient.birthDate  ") && out.contains("birth_year"), "{out}");
    assert!(out.contains("config/policy.yaml:"), "{out}");

    let (_, out, _) = explain(&["--policy", &policy, "--role", "researcher", "--json", "Patient.birthDate"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["elements"][0]["cases"][0]["treatment"], "birth_year");
    let line = report["elements"][0]["cases"][0]["at"]["line"].as_u64().unwrap();
    let text = std::fs::read_to_string(&policy).unwrap();
    assert!(text.lines().nth(usize::try_from(line).unwrap() - 1).unwrap().contains("birthDate: birth_year"));
}

#[test]
fn explain_tells_the_conditions_of_each_case() {
    let (_, out, _) = explain(&["--policy", &shipped(), "--role", "front-desk", "Patient.telecom.value"]);
    assert!(out.contains("where not (@.system != 'email'") && out.contains("where (@.system != 'email'"), "{out}");
    assert!(out.contains("mask"), "{out}");
}

#[test]
fn explain_without_an_element_tells_the_whole_matrix() {
    let (found, out, _) = explain(&["--policy", &shipped(), "--role", "front-desk"]);
    assert!(found);
    assert!(
        out.starts_with("front-desk: Books visits and greets patients. Needs who, when and where; never why.\n"),
        "{out}"
    );
    for element in
        ["Patient.name", "Patient.photo", "Appointment.comment", "Slot.start", "Bundle.link", "Patient.contact.name"]
    {
        assert!(out.lines().any(|line| line.starts_with(&format!("{element}  "))), "{element}");
    }
}

#[test]
fn explain_of_what_does_not_exist_tells_so() {
    let policy = shipped();
    for (of, says) in [
        (vec!["--policy", &policy, "--role", "front-dsek", "Patient.name"], "has no role front-dsek; it has "),
        (vec!["--policy", &policy, "--role", "coder", "Patient.nmae"], "did you mean name?"),
        (vec!["--policy", &policy, "--role", "coder", "--purpose", "HRESCH"], "has no purpose HRESCH; it has HPAYMT"),
        (vec!["--policy", "/nonexistent.yaml", "--role", "coder"], "can't be read"),
    ] {
        let (found, _, err) = explain(&of);
        assert!(!found && err.contains(says), "{of:?}: {err}");
    }
}
