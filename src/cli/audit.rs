//! `fieldgate audit`: checks the audit trail, and reads it for one patient.
//!
//! It must never write to the trail, nor call a trail whole that it has not read to its end.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::terminal::{self, Progress};
use crate::audit::{self, Event, Noted, PatientReport, Report, TrailError};

/// Check the audit trail, or read it for one patient
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
    Patient(Patient),
}

/// Check that no record was changed, removed, inserted or moved
///
/// Exit code 0 if the chain is whole, 1 if it is not or cannot be read; the first bad record is named. A gateway may be
/// writing to the directory meanwhile. The chain cannot show by itself that its end was cut off: keep the line that this
/// command prints elsewhere, and pass it to the next check with --noted.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  fieldgate audit verify /var/lib/fieldgate/audit
  fieldgate audit verify /var/lib/fieldgate/audit --noted 41873:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  fieldgate audit verify audit --json | jq .bad")]
struct Verify {
    /// The audit directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// A record that an earlier check printed; the trail must still hold it
    #[arg(long, value_name = "SEQUENCE:HASH")]
    noted: Option<Noted>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// List who saw what of a patient, when, why and by which way
///
/// One row for each request that showed something of the patient or named the patient, refused ones too. What an answer
/// showed is told for the whole answer, which may hold other patients as well. The chain is checked on the way: exit code
/// 1 if it is not whole. The list is itself health information: handle it so.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  fieldgate audit patient /var/lib/fieldgate/audit 123
  fieldgate audit patient /var/lib/fieldgate/audit Patient/123 --json > patient-123.ndjson")]
struct Patient {
    /// The audit directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The patient's id: 123 or Patient/123
    #[arg(value_name = "ID")]
    id: String,
    /// Print JSON lines: one for each request, then one with {"report": …}
    #[arg(long)]
    json: bool,
}

impl Audit {
    /// Runs the command and prints what it finds.
    pub fn run(self) -> ExitCode {
        let mut out = io::stdout().lock();
        let whole = match self.command {
            Command::Verify(verify) => verify.run(&mut out),
            Command::Patient(patient) => patient.run(&mut out),
        };
        let whole = whole.and_then(|whole| out.flush().map(|()| whole).map_err(|source| TrailError::Write { source }));
        match whole {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                // A reader that has seen enough, such as `head`, is told nothing.
                if !matches!(&error, TrailError::Write { source } if source.kind() == io::ErrorKind::BrokenPipe) {
                    terminal::complain(&error);
                }
                ExitCode::FAILURE
            }
        }
    }
}

impl Verify {
    fn run(&self, out: &mut dyn Write) -> Result<bool, TrailError> {
        let mut progress = Progress::new();
        let report =
            audit::verify(&self.directory, self.noted, &mut |done, total| progress.show(|_| read(done, total)))?;
        progress.clear();
        let printed = if self.json { print_json(out, &json!(report)) } else { self.print(out, &report) };
        printed.map_err(|source| TrailError::Write { source })?;
        Ok(report.bad.is_none())
    }

    fn print(&self, out: &mut dyn Write, report: &Report) -> io::Result<()> {
        print_chain(out, &self.directory, report)?;
        writeln!(out, "{} requests began and have no end: under way, or lost with their process", report.incomplete)?;
        let torn = report.kinds.get("recovered").copied().unwrap_or_default();
        if torn > 0 {
            writeln!(out, "{torn} torn writes were set aside (see the .torn files)")?;
        }
        if let (None, Some(last), Some(head)) = (&report.bad, report.last, &report.head) {
            writeln!(out, "Note elsewhere, for the next check: --noted {last}:{head}")?;
        }
        Ok(())
    }
}

impl Patient {
    fn run(&self, out: &mut dyn Write) -> Result<bool, TrailError> {
        let mut progress = Progress::new();
        let mut rows = 0_u64;
        let mut row = |event: &Event| {
            if self.json {
                return print_json(out, &json!(event));
            }
            if rows == 0 {
                writeln!(out, "{}", Event::HEADING)?;
            }
            rows += 1;
            writeln!(out, "{event}")
        };
        let report = audit::patient(&self.directory, &self.id, &mut row, &mut |done, total| {
            progress.show(|_| read(done, total))
        })?;
        progress.clear();
        let printed = if self.json { print_json(out, &json!({ "report": report })) } else { self.print(out, &report) };
        printed.map_err(|source| TrailError::Write { source })?;
        Ok(report.chain.bad.is_none())
    }

    fn print(&self, out: &mut dyn Write, report: &PatientReport) -> io::Result<()> {
        writeln!(out, "{} requests", report.events)?;
        if report.cut > 0 {
            writeln!(out, "{} other answers held more patients than their records name, perhaps this one", report.cut)?;
        }
        if report.unknown > 0 {
            writeln!(out, "{} other requests have no end record: what they showed is not known", report.unknown)?;
        }
        print_chain(out, &self.directory, &report.chain)
    }
}

fn print_chain(out: &mut dyn Write, directory: &Path, report: &Report) -> io::Result<()> {
    let Report { files, records, .. } = report;
    match &report.bad {
        Some(bad) => writeln!(out, "BROKEN  {}: {bad}\n{records} records before it are good", directory.display())?,
        None => writeln!(out, "whole  {}: {records} records in {files} files", directory.display())?,
    }
    if let Some(first) = report.first.filter(|first| *first > 1) {
        writeln!(out, "It begins at record {first}: the files before it are not here")?;
    }
    Ok(())
}

fn print_json(out: &mut dyn Write, value: &serde_json::Value) -> io::Result<()> {
    writeln!(out, "{value}")
}

/// How much of the trail was read.
fn read(done: u64, total: u64) -> String {
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
    format!("reading: {percent} % of {} MiB", total / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Begin, Config, Journal, Outcome, Summary};
    use crate::model::{Proof, Purpose, Role};
    use clap::Parser;
    use jiff::Timestamp;
    use tempfile::TempDir;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        audit: Audit,
    }

    fn noon() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    async fn trail() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        let config: Config = serde_saphyr::from_str("directory: .").unwrap();
        let journal = Journal::open(&config, directory.path(), noon).unwrap();
        let begin = Begin {
            time: noon(),
            request_id: "request-1".to_owned(),
            trace_id: None,
            caller: "desk-7".to_owned(),
            proof: Proof::Certificate,
            role: Role::new("front-desk"),
            purpose: Purpose::from_code("TREAT").unwrap(),
            reason: None,
            grant: None,
            endpoint: "ehr".to_owned(),
            source: "203.0.113.9".parse().unwrap(),
            method: "GET".to_owned(),
            interaction: "read".to_owned(),
            resource_type: Some("Patient".to_owned()),
            resource_id: Some("123".to_owned()),
            policy: "g1".to_owned(),
        };
        journal.begin(begin).await.unwrap().complete(Summary::nothing(noon(), 200, Outcome::Complete));
        journal.close().await.unwrap();
        directory
    }

    /// Whether the trail is whole, and what is printed.
    fn run(arguments: &[&str], directory: &TempDir) -> (bool, String) {
        let mut line = vec!["audit"];
        line.extend(arguments);
        let directory = directory.path().to_str().unwrap();
        line.insert(2, directory);
        let mut out = Vec::new();
        let whole = match Line::try_parse_from(line).unwrap().audit.command {
            Command::Verify(verify) => verify.run(&mut out),
            Command::Patient(patient) => patient.run(&mut out),
        };
        (whole.unwrap(), String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn what_verify_prints_to_be_noted_can_be_given_to_the_next_verify() {
        let directory = trail().await;
        let (whole, said) = run(&["verify"], &directory);
        assert!(whole && said.contains(": 2 records in 1 files"), "{said}");
        let noted = said.trim_end().rsplit(' ').next().unwrap();
        assert!(run(&["verify", "--noted", noted], &directory).0);
        let later = noted.replacen("2:", "9:", 1);
        let (whole, said) = run(&["verify", "--noted", &later], &directory);
        assert!(!whole && said.contains("record 9 was noted"), "{said}");
    }

    #[tokio::test]
    async fn a_changed_record_is_named_for_people_and_programs() {
        let directory = trail().await;
        let file = directory.path().join("audit-00000000000000000001.jsonl");
        let changed = std::fs::read_to_string(&file).unwrap().replacen("desk-7", "desk-8", 1);
        std::fs::write(&file, changed).unwrap();
        let (whole, said) = run(&["verify"], &directory);
        assert!(!whole && said.contains("audit-00000000000000000001.jsonl line 1, record 1: changed"), "{said}");
        let (whole, said) = run(&["verify", "--json"], &directory);
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(!whole && report["bad"]["wrong"]["what"] == "changed" && report["bad"]["line"] == 1, "{said}");
        let (whole, said) = run(&["patient", "123"], &directory);
        assert!(!whole && said.contains("BROKEN") && said.contains("desk-8"), "{said}");
    }

    #[tokio::test]
    async fn a_patient_is_listed_as_a_table_and_as_json_lines() {
        let directory = trail().await;
        let (whole, said) = run(&["patient", "Patient/123"], &directory);
        assert!(whole && said.starts_with("WHEN") && said.contains("desk-7 (certificate)"), "{said}");
        let (_, said) = run(&["patient", "123", "--json"], &directory);
        let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["asked"]["caller"], "desk-7");
        assert_eq!(lines[1]["report"]["events"], 1);
        assert!(run(&["patient", "124"], &directory).1.contains("0 requests"));
    }

    #[test]
    fn the_arguments_hold_together() {
        use clap::CommandFactory;
        Line::command().debug_assert();
        assert!(Line::try_parse_from(["audit", "verify", "audit", "--noted", "7"]).is_err());
    }
}
