//! `fieldgate demo` does what it prints.

use std::path::PathBuf;

use serde_json::Value;

use crate::client::{Curl, page};
use crate::process::{self, Process};

/// A running demo, and the lines that it prints to be pasted.
struct Demo {
    process: Process,
    asks: Vec<Curl>,
    audit: Vec<String>,
    check: Vec<String>,
    folder: PathBuf,
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

fn start(more: &[&str]) -> Demo {
    let mut arguments = vec!["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    arguments.extend(more);
    let process = Process::start(&arguments);
    let check = process.line_with("check --config");
    let said = process.said();
    let asks = said.lines().filter(|line| line.starts_with("curl ")).map(Curl::parse).collect();
    let audit = words(said.lines().find(|line| line.contains("audit patient")).unwrap());
    let folder = said.lines().find_map(|line| line.trim().strip_prefix("files")).unwrap();
    let folder = folder.trim().split(" (").next().unwrap().into();
    let (check, kill) = check.split_once(" && ").unwrap();
    assert_eq!(kill, format!("kill -HUP {}", process.id()));
    Demo { process, asks, audit, check: words(check), folder }
}

fn run(arguments: &[String]) -> (bool, String) {
    let output = process::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn each_role_gets_its_own_answer_and_all_is_counted_and_recorded() {
    let demo = start(&[]);
    let [front_desk, clinician, coder, researcher, vendor, refused, metrics] = demo.asks.as_slice() else {
        panic!("the demo prints seven requests");
    };
    let mut bodies = Vec::new();
    for ask in [front_desk, clinician, coder, researcher, vendor] {
        let answer = ask.ask().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.headers["cache-control"], "private, no-store");
        bodies.push(serde_json::from_str::<Value>(&answer.body).unwrap());
    }
    let [desk, all, coded, found, member] = bodies.as_slice() else { panic!() };
    let study = &found["entry"][0]["resource"];
    let family = all["name"][0]["family"].as_str().unwrap();
    let birth = all["birthDate"].as_str().unwrap();
    assert_eq!(desk["name"][0]["family"], family);
    assert_eq!(desk["birthDate"], birth.split('-').next().unwrap());
    assert!(desk.get("address").is_none() && all.get("address").is_some());
    assert_eq!(coded["birthDate"], birth.rsplit_once('-').unwrap().0);
    assert!(coded.get("name").is_none() && study.get("name").is_none());
    assert!(study["id"] != all["id"] && study["id"].is_string());
    assert!(member.get("plan").is_some() && member["ssn"].as_str().unwrap().starts_with("***"));

    let answer = refused.ask().await;
    assert_eq!(answer.status, 403);
    let outcome: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(outcome["resourceType"], "OperationOutcome");

    let counted = page(&metrics.url).await.body;
    for role in ["front-desk", "clinician", "coder", "researcher", "billing-vendor"] {
        assert!(counted.contains(&format!("role=\"{role}\"")), "{role}");
    }
    assert!(counted.contains("fieldgate_certificate_expiry_timestamp_seconds"));
    assert!(counted.contains("fieldgate_audit_records_total"));

    let (whole, recorded) = run(&demo.audit);
    assert!(whole && recorded.contains(" requests"), "{recorded}");
    for role in ["front-desk", "clinician", "coder"] {
        assert!(recorded.contains(role), "{role} is not in\n{recorded}");
    }
    let (clean, checked) = run(&demo.check);
    assert!(clean, "{checked}");

    // Nothing of a patient is where it does not belong; ids are in the audit trail alone.
    let id = all["id"].as_str().unwrap();
    let member_id = member["id"].as_str().unwrap();
    let ssn = all["identifier"].as_array().unwrap().iter().find(|id| id["type"]["coding"][0]["code"] == "SS");
    let ssn = ssn.map_or("940-", |ssn| ssn["value"].as_str().unwrap());
    let trail = process::all_files(&demo.folder.join("audit"));
    for value in [family, birth, ssn, all["telecom"][0]["value"].as_str().unwrap()] {
        assert!(!trail.contains(value), "the trail holds a value");
        assert!(!counted.contains(value), "the metrics hold a value");
    }
    assert!(trail.contains(id) && !counted.contains(id) && !counted.contains(member_id));
    demo.process.signal("INT");
    let folder = demo.folder;
    let (status, said) = demo.process.ended();
    assert!(status.success(), "{said}");
    let log: String = said.lines().filter(|line| line.contains(" INFO ") || line.contains(" WARN ")).collect();
    assert!(log.contains("front-desk"));
    for value in [family, birth, ssn, id, member_id, "/fhir/Patient", "/v1/members", "patient="] {
        assert!(!log.contains(value), "{value} is in the log");
    }
    assert!(!folder.exists(), "the folder of the demo is removed");
}

#[tokio::test]
async fn a_folder_that_is_kept_can_be_served_and_is_never_written_over() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("demo");
    let demo = start(&["--keep", folder.to_str().unwrap()]);
    demo.process.signal("TERM");
    assert!(demo.process.ended().0.success());
    assert!(folder.join("gateway.yaml").exists());

    let again = process::run(&["demo", "--keep", folder.to_str().unwrap()]);
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && told.contains("name a folder that does not exist"), "{told}");

    let served = Process::start(&["serve", "--config", folder.join("gateway.yaml").to_str().unwrap()]);
    served.line_with("\"ready\"");
    served.signal("TERM");
    assert!(served.ended().0.success());
}

#[test]
fn the_demo_is_for_this_machine_alone() {
    let refused = process::run(&["demo", "--listen", "0.0.0.0:8443"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("use a loopback address"));
}
