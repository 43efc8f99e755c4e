//! The audit trail against real directories: what is answered as written is there, and what is tampered with is found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fieldgate::audit::{
    Bad, Begin, Config, Journal, JournalError, Noted, Outcome, PatientReport, Refusal, Report, Summary, Wrong, patient,
    verify,
};
use fieldgate::model::{Proof, Purpose, Role};
use jiff::{Timestamp, ToSpan};
use serde_json::Value;
use tempfile::TempDir;

fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn config(rotate_bytes: u64) -> Config {
    Config { directory: "audit".into(), rotate_bytes: NonZeroU64::new(rotate_bytes).unwrap(), node: Some("gw1".into()) }
}

fn open(base: &TempDir, rotate_bytes: u64) -> Journal {
    Journal::open(&config(rotate_bytes), base.path(), noon).unwrap()
}

fn begin(request: usize) -> Begin {
    Begin {
        time: noon() + i64::try_from(request).unwrap().seconds(),
        request_id: format!("request-{request}"),
        trace_id: None,
        caller: "desk-7".to_owned(),
        proof: Proof::Token,
        role: Role::new("front-desk"),
        purpose: Purpose::from_code("TREAT").unwrap(),
        reason: None,
        grant: None,
        endpoint: "ehr".to_owned(),
        source: "203.0.113.9".parse().unwrap(),
        method: "GET".to_owned(),
        interaction: "read".to_owned(),
        resource_type: Some("Patient".to_owned()),
        resource_id: Some(request.to_string()),
        policy: "g1".to_owned(),
    }
}

fn refusal(request: usize) -> Refusal {
    Refusal {
        time: noon(),
        request_id: format!("request-{request}"),
        trace_id: None,
        caller: None,
        proof: None,
        role: None,
        purpose: None,
        reason: None,
        endpoint: Some("ehr".to_owned()),
        source: "203.0.113.9".parse().unwrap(),
        method: "GET".to_owned(),
        interaction: Some("read".to_owned()),
        resource_type: Some("Patient".to_owned()),
        resource_id: Some(request.to_string()),
        policy: None,
        status: 401,
        why: "no-credentials",
    }
}

fn summary(patients: &[&str]) -> Summary {
    let mut summary = Summary::nothing(noon(), 200, Outcome::Complete);
    for id in patients {
        summary.patients.insert(id);
        summary.resources.entry("Patient".to_owned()).or_default().insert(id);
    }
    summary.released.entry("Patient".to_owned()).or_default().insert("birthDate".to_owned(), 1);
    summary.withheld.entry("Patient".to_owned()).or_default().insert("address".to_owned(), 2);
    summary
}

fn directory(base: &TempDir) -> PathBuf {
    base.path().join("audit")
}

/// The files of the trail, in order.
fn files(base: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory(base))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    files
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn put(file: &Path, lines: &[String]) {
    fs::write(file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

fn check(base: &TempDir) -> Report {
    verify(&directory(base), None, &mut |_, _| {}).unwrap()
}

fn bad(base: &TempDir) -> Bad {
    check(base).bad.expect("the tampering is found")
}

/// The rows of a patient, as table rows and as JSON.
fn rows(base: &TempDir, id: &str) -> (Vec<String>, Vec<Value>, PatientReport) {
    let (mut table, mut json) = (Vec::new(), Vec::new());
    let mut row = |event: &fieldgate::audit::Event| {
        table.push(event.to_string());
        json.push(serde_json::to_value(event).unwrap());
        Ok(())
    };
    let report = patient(&directory(base), id, &mut row, &mut |_, _| {}).unwrap();
    (table, json, report)
}

/// A closed trail of `requests` requests, two records each, in one file.
async fn trail(requests: usize) -> TempDir {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1 << 20);
    for request in 0..requests {
        journal.begin(begin(request)).await.unwrap().complete(summary(&["7"]));
    }
    journal.close().await.unwrap();
    base
}

#[tokio::test]
async fn a_begin_is_in_the_file_before_it_is_answered() {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1 << 20);
    let ticket = journal.begin(begin(1)).await.unwrap();
    let written = lines(&files(&base)[0]);
    assert_eq!(written.len(), 1);
    let record: Value = serde_json::from_str(&written[0]).unwrap();
    for (field, value) in [
        ("seq", "1"),
        ("prev", &format!("\"{}\"", "0".repeat(64))),
        ("kind", "\"begin\""),
        ("time", "\"2026-11-23T12:00:01Z\""),
        ("node", "\"gw1\""),
        ("request", "\"request-1\""),
        ("caller", "\"desk-7\""),
        ("proof", "\"token\""),
        ("role", "\"front-desk\""),
        ("purpose", "\"TREAT\""),
        ("endpoint", "\"ehr\""),
        ("source", "\"203.0.113.9\""),
        ("interaction", "\"read\""),
        ("resource_id", "\"1\""),
        ("policy", "\"g1\""),
    ] {
        assert_eq!(record[field].to_string(), value, "{field}");
    }
    assert_eq!(check(&base).incomplete, 1);
    ticket.complete(summary(&["1"]));
    journal.close().await.unwrap();
    let report = check(&base);
    assert_eq!((report.records, report.incomplete, report.bad), (2, 0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_make_one_chain_over_many_files() {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 20_000);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..50 {
        let journal = journal.clone();
        tasks.spawn(async move {
            for request in 0..20 {
                let ticket = journal.begin(begin(task * 20 + request)).await.unwrap();
                ticket.complete(summary(&["7"]));
                journal.refuse(refusal(request)).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let handle = journal.clone();
    journal.close().await.unwrap();
    assert_eq!(handle.records_written(), 3000);
    assert_eq!(handle.lag(noon() + 1.hour()), Duration::ZERO);
    assert!(matches!(handle.begin(begin(1)).await, Err(JournalError::Closed)));
    let report = check(&base);
    assert_eq!((report.records, report.last, report.incomplete, report.bad), (3000, Some(3000), 0, None));
    assert!(report.files > 3, "{} files", report.files);
    for kind in ["begin", "end", "refusal"] {
        assert_eq!(report.kinds[kind], 1000);
    }
}

#[tokio::test]
async fn the_chain_goes_on_after_a_restart() {
    let base = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let journal = open(&base, 3000);
        for request in 0..10 {
            journal.begin(begin(run * 10 + request)).await.unwrap().complete(summary(&["7"]));
        }
        journal.close().await.unwrap();
    }
    let report = check(&base);
    assert_eq!((report.records, report.bad), (60, None));
    assert!(report.files > 3);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_chain_is_what_the_documentation_says_it_is() {
    let base = trail(2).await;
    let file = files(&base).remove(0);
    assert_eq!(file.file_name().unwrap(), "audit-00000000000000000001.jsonl");
    let mut head = "0".repeat(64);
    for (number, line) in lines(&file).iter().enumerate() {
        assert!(line.starts_with(&format!("{{\"seq\":{},\"prev\":\"{head}\",", number + 1)));
        let sum = Command::new("sh").args(["-c", "printf %s \"$1\" | sha256sum", "sh", line]).output().unwrap();
        head = String::from_utf8(sum.stdout).unwrap().split(' ').next().unwrap().to_owned();
    }
    assert_eq!(check(&base).head.unwrap().to_string(), head);
}

#[tokio::test]
async fn a_dropped_ticket_ends_as_aborted() {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1 << 20);
    drop(journal.begin(begin(1)).await.unwrap());
    journal.close().await.unwrap();
    let end: Value = serde_json::from_str(&lines(&files(&base)[0])[1]).unwrap();
    assert_eq!((end["kind"].as_str(), end["outcome"].as_str()), (Some("end"), Some("aborted")));
    assert_eq!((end["begin"].as_u64(), end["status"].as_u64()), (Some(1), None));
}

#[tokio::test]
async fn a_begin_that_nobody_waits_for_any_more_ends_as_aborted_too() {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1 << 20);
    for request in 0..50 {
        let mut waiting = Box::pin(journal.begin(begin(request)));
        // Polled once it is queued; then its caller goes away.
        tokio::select! { biased; _ = &mut waiting => {}, () = std::future::ready(()) => {} }
        drop(waiting);
    }
    // The ends of the last group are queued by the writer itself, before it takes this one.
    journal.begin(begin(99)).await.unwrap().complete(summary(&[]));
    journal.close().await.unwrap();
    let report = check(&base);
    assert_eq!((report.kinds["begin"], report.incomplete, report.bad), (51, 0, None));
}

#[tokio::test]
async fn l31_handles_and_errors_hold_no_id() {
    const CANARY: &str = "canary-4711";
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1 << 20);
    let asked =
        Begin { request_id: CANARY.into(), caller: CANARY.into(), resource_id: Some(CANARY.into()), ..begin(1) };
    let ticket = journal.begin(asked.clone()).await.unwrap();
    assert!(!format!("{ticket:?} {journal:?}").contains(CANARY));
    ticket.complete(summary(&[CANARY]));
    journal.clone().close().await.unwrap();
    let error = journal.begin(asked).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains(CANARY));
    let file = files(&base).remove(0);
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains(CANARY), "the trail itself has it");
    fs::write(&file, written.replacen("desk", "disk", 1).replacen("GET", "PUT", 1)).unwrap();
    let report = check(&base);
    assert!(report.bad.is_some() && !format!("{report:?} {}", report.bad.as_ref().unwrap()).contains(CANARY));
    let error = Journal::open(&config(1 << 20), base.path(), noon).unwrap_err();
    assert!(!format!("{error:?} {error}").contains(CANARY));
}

#[tokio::test]
async fn a_second_journal_on_the_same_directory_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1 << 20);
    let error = Journal::open(&config(1 << 20), base.path(), noon).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("in use by another gateway"));
    journal.close().await.unwrap();
    open(&base, 1 << 20).close().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn the_trail_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let base = trail(1).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory(&base)), 0o700);
    for entry in fs::read_dir(directory(&base)).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    fs::set_permissions(directory(&base), fs::Permissions::from_mode(0o770)).unwrap();
    let error = Journal::open(&config(1 << 20), base.path(), noon).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("can be written by others"));
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    fs::write(directory(&base), "a file").unwrap();
    assert!(matches!(Journal::open(&config(1 << 20), base.path(), noon), Err(JournalError::Open(_))));
}

#[tokio::test]
async fn a_torn_end_is_set_aside_and_noted() {
    for torn in ["{\"seq\":5,\"prev\":\"4", "{", "{\"seq\":5}", "\0\0\0\0\n\0\0", "not json\n"] {
        let base = trail(2).await;
        let file = files(&base).remove(0);
        let whole = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{whole}{torn}")).unwrap();
        assert!(check(&base).bad.is_some(), "before the restart it shows");

        let journal = open(&base, 1 << 20);
        journal.begin(begin(9)).await.unwrap().complete(summary(&["9"]));
        journal.close().await.unwrap();

        let report = check(&base);
        assert_eq!((report.records, report.incomplete, report.bad), (7, 0, None));
        let note: Value = serde_json::from_str(&lines(&file)[4]).unwrap();
        assert_eq!(note["kind"], "recovered");
        assert_eq!(note["bytes"], torn.len());
        assert_eq!(fs::read_to_string(directory(&base).join(note["torn"].as_str().unwrap())).unwrap(), torn);
        assert!(fs::read_to_string(&file).unwrap().starts_with(&whole));
    }
}

#[tokio::test]
async fn a_torn_first_record_of_a_new_file_goes_on_from_the_file_before() {
    let base = trail(2).await;
    fs::write(directory(&base).join("audit-00000000000000000005.jsonl"), "{\"seq\":5,").unwrap();
    let journal = open(&base, 1 << 20);
    journal.begin(begin(9)).await.unwrap().complete(summary(&["9"]));
    journal.close().await.unwrap();
    let report = check(&base);
    assert_eq!((report.records, report.files, report.bad), (7, 2, None));
}

#[tokio::test]
async fn a_broken_chain_is_not_gone_on_with() {
    // Cutting off from a bad record on would launder it: whole records after it make the start fail.
    for line in [0, 1, 4] {
        let base = trail(3).await;
        let file = files(&base).remove(0);
        let mut written = lines(&file);
        written[line].truncate(40);
        put(&file, &written);
        let error = Journal::open(&config(1 << 20), base.path(), noon).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("audit verify"));
        assert_eq!(lines(&file), written, "the evidence stays as it is");
    }
}

#[tokio::test]
async fn a_changed_byte_is_found_wherever_it_is() {
    let base = trail(3).await;
    let file = files(&base).remove(0);
    let whole = fs::read(&file).unwrap();
    // The last record is the one that no later one vouches for.
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for position in 0..last {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let line = whole[..position].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        let bad = bad(&base);
        assert_eq!((bad.line, bad.sequence), (line, line), "byte {position}: {bad}");
        assert_eq!(bad.wrong, Wrong::Changed, "byte {position}");
    }
}

#[tokio::test]
async fn a_value_edited_with_care_is_found_in_the_first_record_and_in_any_other() {
    for line in [0, 2, 4] {
        let base = trail(3).await;
        let file = files(&base).remove(0);
        let mut written = lines(&file);
        written[line] = written[line].replace("desk-7", "desk-8");
        put(&file, &written);
        let number = line as u64 + 1;
        let expected = Bad {
            file: "audit-00000000000000000001.jsonl".into(),
            line: number,
            sequence: number,
            wrong: Wrong::Changed,
        };
        assert_eq!(bad(&base), expected);
    }
}

#[tokio::test]
async fn a_removed_line_is_found() {
    for line in 0..5 {
        let base = trail(3).await;
        let file = files(&base).remove(0);
        let mut written = lines(&file);
        written.remove(line);
        put(&file, &written);
        let missing = line as u64 + 1;
        let bad = bad(&base);
        assert_eq!((bad.line, bad.wrong), (missing, Wrong::Removed { from: missing, to: missing }));
    }
}

#[tokio::test]
async fn two_swapped_lines_are_found() {
    for (one, other) in [(0, 1), (1, 2), (1, 4), (4, 5)] {
        let base = trail(3).await;
        let file = files(&base).remove(0);
        let mut written = lines(&file);
        written.swap(one, other);
        put(&file, &written);
        let bad = bad(&base);
        assert_eq!((bad.line, bad.sequence, bad.wrong), (one as u64 + 1, other as u64 + 1, Wrong::Reordered));
    }
}

#[tokio::test]
async fn a_copied_line_is_found() {
    for at in 1..=6 {
        let base = trail(3).await;
        let file = files(&base).remove(0);
        let mut written = lines(&file);
        written.insert(at, written[0].clone());
        put(&file, &written);
        let bad = bad(&base);
        assert_eq!((bad.line, bad.sequence, bad.wrong), (at as u64 + 1, 1, Wrong::Inserted));
    }
}

#[tokio::test]
async fn a_removed_file_in_the_middle_is_found_and_the_oldest_may_go() {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1);
    for request in 0..5 {
        journal.refuse(refusal(request)).await.unwrap();
    }
    journal.close().await.unwrap();
    let all = files(&base);
    assert_eq!(all.len(), 5);

    fs::remove_file(&all[0]).unwrap();
    let report = check(&base);
    assert_eq!((report.bad, report.first, report.last), (None, Some(2), Some(5)));

    fs::remove_file(&all[2]).unwrap();
    let bad = bad(&base);
    assert_eq!(bad.file, "audit-00000000000000000004.jsonl");
    assert_eq!((bad.line, bad.wrong), (1, Wrong::Removed { from: 3, to: 3 }));
}

#[tokio::test]
async fn a_file_cut_in_the_middle_of_a_line_is_found() {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1);
    for request in 0..3 {
        journal.refuse(refusal(request)).await.unwrap();
    }
    journal.close().await.unwrap();
    for file in files(&base) {
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 10]).unwrap();
        let bad = bad(&base);
        assert_eq!(bad.wrong, Wrong::Truncated);
        assert!(file.ends_with(&bad.file));
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(check(&base).bad, None);
}

#[tokio::test]
async fn a_cut_off_end_shows_against_a_noted_record_alone() {
    let base = trail(3).await;
    let report = check(&base);
    let noted: Noted = format!("{}:{}", report.last.unwrap(), report.head.unwrap()).parse().unwrap();
    let file = files(&base).remove(0);
    let whole = lines(&file);

    put(&file, &whole[..4]);
    assert_eq!(check(&base).bad, None, "the chain alone cannot show it");
    let against = |noted| verify(&directory(&base), Some(noted), &mut |_, _| {}).unwrap().bad;
    assert_eq!(against(noted).unwrap().wrong, Wrong::CutOff { noted: 6 });

    let mut forged = whole.clone();
    forged[5] = forged[5].replace("complete", "aborted");
    put(&file, &forged);
    assert_eq!(check(&base).bad, None, "nor that its last record was rewritten");
    let found = against(noted).unwrap();
    assert_eq!((found.line, found.wrong), (6, Wrong::NotAsNoted));

    put(&file, &whole);
    assert_eq!(against(noted), None);
}

#[tokio::test]
async fn a_patient_is_found_by_what_was_shown_what_was_asked_and_what_was_refused() {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 500);
    let search = |request, patients: &[&str]| {
        let asked = Begin {
            interaction: "search-type".to_owned(),
            resource_type: Some("Observation".to_owned()),
            resource_id: None,
            reason: Some("line\nbreak \u{1b}[31m".to_owned()),
            ..begin(request)
        };
        let mut shown = summary(&[]);
        patients.iter().for_each(|id| shown.patients.insert(id));
        (asked, shown)
    };
    let (asked, shown) = search(1, &["Patient/123", "Patient/7"]);
    journal.begin(asked).await.unwrap().complete(shown);
    let (asked, shown) = search(2, &["Patient/7", "Patient/1234"]);
    journal.begin(asked).await.unwrap().complete(shown);
    journal.begin(begin(123)).await.unwrap().complete(summary(&["123"]));
    journal.refuse(refusal(123)).await.unwrap();
    journal.refuse(refusal(124)).await.unwrap();
    let under_way = [journal.begin(begin(123)).await.unwrap(), journal.begin(begin(5)).await.unwrap()];

    for id in ["123", "Patient/123"] {
        let (table, json, report) = rows(&base, id);
        let requests: Vec<_> = json.iter().map(|row| row["asked"]["request"].as_str().unwrap()).collect();
        assert_eq!(requests, ["request-1", "request-123", "request-123", "request-123"]);
        assert_eq!((report.events, report.unknown, report.cut, report.chain.bad), (4, 1, 0, None));
        assert!(table[0].contains("desk-7 (token)") && table[0].contains("TREAT"));
        assert!(table[0].contains("ehr: search-type Observation from 203.0.113.9"));
        assert!(table[0].contains("Patient (birthDate); not: Patient (address)"));
        assert!(table[0].chars().all(|character| !character.is_control()), "a reason cannot steer the terminal");
        assert!(table[2].contains("401 refused") && table[2].contains("nothing: no-credentials"));
        assert!(table[3].contains("the request has no end record"));
    }
    drop(under_way);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn an_answer_about_more_patients_than_a_record_keeps_is_counted() {
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1 << 20);
    let mut shown = summary(&[]);
    (0..1500).for_each(|id| shown.patients.insert(&format!("p{id}")));
    journal.begin(begin(1)).await.unwrap().complete(shown);
    journal.close().await.unwrap();
    let (_, json, report) = rows(&base, "p1400");
    assert_eq!((json.len(), report.cut), (0, 1));
}

#[test]
fn the_configuration_has_defaults_and_names_mistakes() {
    let config: Config = serde_saphyr::from_str("directory: audit").unwrap();
    assert_eq!((config.rotate_bytes.get(), config.node), (64 * 1024 * 1024, None));
    for (text, says) in [
        ("node: a", "directory"),
        ("{ directory: audit, rotate_bytes: 0 }", "nonzero"),
        ("{ directory: audit, rotat_bytes: 1 }", "rotat_bytes"),
    ] {
        let said = serde_saphyr::from_str::<Config>(text).unwrap_err().to_string();
        assert!(said.contains(says), "{text}: {said}");
    }
}

const CRASH_BASE: &str = "FIELDGATE_TEST_CRASH_BASE";

/// Runs in a process of its own, until it is killed: see the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by a_killed_process_leaves_a_chain_that_is_whole"]
async fn inner_crash() {
    let Some(base) = std::env::var_os(CRASH_BASE) else { return };
    let journal = Journal::open(&config(50_000), Path::new(&base), noon).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let journal = journal.clone();
        tasks.spawn(async move {
            for request in 0..100_000 {
                journal.begin(begin(request)).await.unwrap().complete(summary(&["7"]));
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn a_killed_process_leaves_a_chain_that_is_whole() {
    let base = tempfile::tempdir().unwrap();
    for run in 1..=3 {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "inner_crash", "--ignored"])
            .env(CRASH_BASE, base.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let written = || if directory(&base).is_dir() { files(&base).len() } else { 0 };
        while written() < run * 2 {
            assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        process.kill().unwrap();
        process.wait().unwrap();
        open(&base, 50_000).close().await.unwrap();
        let report = check(&base);
        assert_eq!(report.bad, None);
        // No more are open than there were tasks, and the ends that they had queued.
        assert!(report.incomplete <= run * 16, "{} of {}", report.incomplete, report.records);
    }
}

const FULL_DISK: &str = "FIELDGATE_TEST_FULL_DISK";

/// Runs in a process of its own, in which no file may grow over 8 KiB: see the test below.
#[tokio::test]
#[ignore = "started by l36_a_full_disk_fails_begins_until_a_write_works_again"]
async fn inner_full_disk() {
    if std::env::var_os(FULL_DISK).is_none() {
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let journal = open(&base, 1 << 20);
    let mut open_tickets = Vec::new();
    let failed = loop {
        match journal.begin(begin(open_tickets.len())).await {
            Ok(ticket) => open_tickets.push(ticket),
            Err(error) => break error,
        }
        assert!(open_tickets.len() < 1000, "the limit was never met");
    };
    assert!(matches!(failed, JournalError::Write(_)), "{failed:?}");
    let taken = open_tickets.len();
    assert!(journal.begin(begin(taken)).await.is_err() && journal.refuse(refusal(1)).await.is_err());
    open_tickets.drain(..).for_each(|ticket| ticket.complete(summary(&["7"])));
    assert!(journal.begin(begin(taken)).await.is_err());
    assert_eq!(journal.lag(noon() + 1.hour()), Duration::from_secs(3600), "the ends wait");
    assert!(journal.write_failures() >= 4);
    let report = check(&base);
    assert_eq!((report.records, report.incomplete, report.bad), (taken as u64, taken, None), "nothing half-written");

    let process = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &process, "--fsize=unlimited:unlimited"]).status().unwrap();
    assert!(raised.success());
    journal.begin(begin(taken)).await.unwrap().complete(summary(&["7"]));
    journal.close().await.unwrap();
    let report = check(&base);
    assert_eq!((report.records, report.incomplete, report.bad), (taken as u64 * 2 + 2, 0, None));
}

#[cfg(target_os = "linux")]
#[test]
fn l36_a_full_disk_fails_begins_until_a_write_works_again() {
    let limited = "trap '' XFSZ; ulimit -S -f 16; exec \"$0\" --exact inner_full_disk --ignored --nocapture";
    let run = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .env(FULL_DISK, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}
