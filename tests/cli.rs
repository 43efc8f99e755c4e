//! The command line as people use it: what is written where, and with which exit code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::{Value, json};

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/policy.yaml");
const SECRETS: &str = "key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

fn fieldgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn redact(role: &str, more: &[&str]) -> Command {
    let mut command = fieldgate(&["redact", "--policy", POLICY, "--role", role]);
    command.args(more);
    command
}

/// Runs a command with this on stdin.
fn with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A command that fails early does not read to the end.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn patient() -> Value {
    json!({
        "resourceType": "Patient", "id": "p1",
        "name": [{ "family": "Canary" }], "birthDate": "1980-03-04", "gender": "female",
        "address": [{ "line": ["1 Main Street"], "state": "MA", "postalCode": "02139" }],
    })
}

fn secrets(folder: &Path) -> String {
    let path = folder.join("secrets.yaml");
    std::fs::write(&path, SECRETS).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_document_from_stdin_or_a_file_is_shown_as_the_role_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("patient.json");
    std::fs::write(&file, patient().to_string()).unwrap();
    let piped = with_input(&mut redact("front-desk", &[]), patient().to_string().as_bytes());
    let read = with_input(&mut redact("front-desk", &["--purpose", "TREAT", file.to_str().unwrap()]), b"");
    assert!(piped.status.success() && read.status.success(), "{}", text(&read.stderr));
    assert_eq!(piped.stdout, read.stdout);
    let shown: Value = serde_json::from_slice(&piped.stdout).unwrap();
    assert_eq!((&shown["birthDate"], shown.get("address")), (&json!("1980"), None));
    assert!(piped.stderr.is_empty());

    let whole = with_input(&mut redact("clinician", &[]), patient().to_string().as_bytes());
    assert_eq!(serde_json::from_slice::<Value>(&whole.stdout).unwrap()["address"], patient()["address"]);
}

#[test]
fn a_document_that_is_not_fhir_is_taken_by_its_name() {
    let member = br#"{"id":"M1","ssn":"940-11-2222","claims":[{"status":"paid","diagnoses":["F32.1"]}]}"#;
    let shown = with_input(&mut redact("billing-vendor", &["--document", "member-record"]), member);
    assert_eq!(text(&shown.stdout), r#"{"id":"M1","ssn":"*******2222","claims":[{"status":"paid"}]}"#);
    for (role, document, told) in [
        ("billing-vendor", "member-recrod", "did you mean member-record?"),
        ("front-desk", "member-record", "the role front-desk sees nothing of member-record"),
    ] {
        let refused = with_input(&mut redact(role, &["--document", document]), member);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
        assert!(text(&refused.stderr).contains(told), "{}", text(&refused.stderr));
    }
}

#[test]
fn a_pseudonym_needs_a_key_that_only_its_owner_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let refused = with_input(&mut redact("researcher", &[]), patient().to_string().as_bytes());
    assert!(!refused.status.success() && text(&refused.stderr).contains("--secrets FILE"));
    let file = secrets(folder.path());
    let shown = with_input(&mut redact("researcher", &["--secrets", &file]), patient().to_string().as_bytes());
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert!(shown["id"].is_string() && shown["id"] != "p1");
    assert_eq!(shown["address"], json!([{ "state": "MA", "postalCode": "021" }]));
    #[cfg(unix)]
    {
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let refused = with_input(&mut redact("researcher", &["--secrets", &file]), b"{}");
        assert!(!refused.status.success() && text(&refused.stderr).contains("chmod 600"));
    }
}

#[test]
fn what_is_asked_for_and_not_there_is_said_with_what_is() {
    for (arguments, told) in [
        (&["--role", "font-desk"][..], "the policy has no role font-desk: did you mean front-desk?"),
        (&["--role", "nobody"], "it has billing-vendor, clinician, coder, front-desk, researcher"),
        (&["--role", "front-desk", "--purpose", "HRESCH"], "use one of HOPERAT, TREAT"),
        (&["--role", "front-desk", "nowhere.json"], "nowhere.json: cannot be opened: No such file"),
    ] {
        let mut all = vec!["redact", "--policy", POLICY];
        all.extend(arguments);
        let refused = with_input(&mut fieldgate(&all), b"{}");
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(told), "{}", text(&refused.stderr));
    }
    let refused = with_input(&mut fieldgate(&["redact", "--policy", "nowhere.yaml", "--role", "x"]), b"{}");
    assert!(text(&refused.stderr).contains("nowhere.yaml: cannot be read"));
}

#[test]
fn input_that_is_not_json_ends_with_the_byte_and_without_a_value() {
    let broken = r#"{"resourceType":"Patient","gender":"female","name":[{"family":"Canary}]}"#;
    let failed = with_input(&mut redact("front-desk", &[]), broken.as_bytes());
    assert_eq!(failed.status.code(), Some(1));
    let told = text(&failed.stderr);
    assert!(
        told.contains("not JSON") && told.contains(&broken.len().to_string()) && !told.contains("Canary"),
        "{told}"
    );
    assert!(serde_json::from_slice::<Value>(&failed.stdout).is_err(), "what was written is no whole document");
}

#[test]
fn a_document_that_the_role_sees_nothing_of_is_withheld_with_a_warning() {
    let record = br#"{"resourceType":"DocumentReference","id":"d1","description":"Canary"}"#;
    let withheld = with_input(&mut redact("front-desk", &[]), record);
    assert!(withheld.status.success() && withheld.stdout.is_empty());
    assert!(text(&withheld.stderr).contains("withheld as a whole"));
}

#[test]
fn lines_are_documents_and_one_that_fails_ends_the_work_unwritten() {
    let good = patient().to_string();
    let lines = format!("{good}\n\n{good}\r\n{{\"resourceType\":\"DocumentReference\",\"id\":\"d\"}}\n{good}\n");
    let shown = with_input(&mut redact("coder", &["--ndjson"]), lines.as_bytes());
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown_lines: Vec<Value> = text(&shown.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown_lines.len(), 3);
    assert!(shown_lines.iter().all(|line| line.get("name").is_none() && line["birthDate"] == "1980-03"));
    assert!(text(&shown.stderr).contains("1 of 4 lines"));

    let broken = format!("{good}\n{{\"resourceType\":\"Patient\",\"gender\":\"Canary\",}}\n{good}\n");
    let failed = with_input(&mut redact("coder", &["--ndjson"]), broken.as_bytes());
    assert_eq!((failed.status.code(), text(&failed.stdout).lines().count()), (Some(1), 1));
    let told = text(&failed.stderr);
    assert!(told.contains(&format!("line 2, which begins at byte {}", good.len() + 1)), "{told}");
    assert!(!told.contains("Canary"));
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_work_quietly() {
    let line = format!("{}\n", patient());
    let mut child = redact("clinician", &["--ndjson"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || while stdin.write_all(line.as_bytes()).is_ok() {});
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

/// The most memory that a process has had, in KiB.
#[cfg(target_os = "linux")]
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_input() {
    for more in [&[][..], &["--ndjson"]] {
        let mut child = redact("front-desk", more).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let reader = thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()).unwrap());
        let entry = patient().to_string();
        if more.is_empty() {
            stdin.write_all(br#"{"resourceType":"Bundle","type":"collection","entry":["#).unwrap();
        }
        for written in 0..64 * 1024 * 1024 / entry.len() {
            let text = match (more.is_empty(), written) {
                (true, 0) => format!("{{\"resource\":{entry}}}"),
                (true, _) => format!(",{{\"resource\":{entry}}}"),
                (false, _) => format!("{entry}\n"),
            };
            stdin.write_all(text.as_bytes()).unwrap();
        }
        let most = peak(&child);
        if more.is_empty() {
            stdin.write_all(b"]}").unwrap();
        }
        drop(stdin);
        assert!(child.wait().unwrap().success());
        assert!(reader.join().unwrap() > 1024 * 1024);
        assert!(most < 32 * 1024, "{most} KiB were taken, {more:?}");
    }
}

#[test]
fn the_version_and_help_are_told() {
    let version = with_input(&mut fieldgate(&["--version"]), b"");
    assert_eq!(text(&version.stdout).trim(), concat!("fieldgate ", env!("CARGO_PKG_VERSION")));
    let help = with_input(&mut fieldgate(&["--help"]), b"");
    for command in ["serve", "check", "redact", "explain", "conformance", "audit"] {
        assert!(text(&help.stdout).contains(&format!("  {command} ")), "{command}");
        let help = with_input(&mut fieldgate(&[command, "--help"]), b"");
        assert!(help.status.success());
    }
    assert_eq!(with_input(&mut fieldgate(&["serv"]), b"").status.code(), Some(2));
    assert_eq!(with_input(&mut fieldgate(&[]), b"").status.code(), Some(2));
}
