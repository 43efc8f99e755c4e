//! `fieldgate conformance`: holds a FHIR server or gateway, ours or another's, to the ways around a field filter.
//!
//! It sends what any caller could send, and nothing that can change data unless the spec allows it. What it prints holds
//! no withheld value, no id and no credential.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::serve::{self, ServeError};
use super::terminal::{self, Level, Progress};
use crate::conformance::{self, Report, Row, RunError, Settings, Spec};
use crate::fhir::Definitions;
use crate::policy::Finding;

/// The exit code where the spec can't be used: nothing was sent.
const NOT_UNDERSTOOD: u8 = 2;
/// Hold a FHIR server or gateway to the ways around a field filter, from outside
///
/// The spec says how to call it, what a caller must see of some test patients and what not. For each way (L00 to L36, see
/// docs/conformance.md) requests are derived from FHIR's definitions, and it is judged whether an answer holds a withheld
/// value or tells a right guess from a wrong one. Unless the spec allows writes, nothing is sent that can change data.
///
/// Exit code 0: every row held or could not be tried. 1: something leaks, or nothing can be said of a row. 2: the command
/// line or the spec has a mistake.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  fieldgate conformance --target https://gateway.example/fhir --spec config/conformance.yaml
  fieldgate conformance --target https://127.0.0.1:8443/fhir --spec demo/conformance.yaml --row L10 --row L12
  fieldgate conformance --target http://127.0.0.1:8080/fhir --spec spec.yaml --rate 50 --json > report.json")]
pub(super) struct Conformance {
    /// The address of the FHIR API, without a query
    #[arg(long, value_name = "URL")]
    target: Url,
    /// The spec
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
    /// Try this row alone; may stand several times
    #[arg(long, value_name = "ROW")]
    row: Vec<Row>,
    /// The most requests in a second; they are sent one after another
    #[arg(long, value_name = "NUMBER", default_value_t = 10.0, value_parser = rate)]
    rate: f64,
    /// The seconds after which a request counts as unanswered
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Ask every type that refers to a type of the spec, and not four alone
    #[arg(long)]
    thorough: bool,
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum ConformanceError {
    #[error("{}: cannot be read: check that it exists and that you may read it", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the spec has mistakes, so nothing was sent")]
    Spec(Vec<Finding>),
    #[error(transparent)]
    System(#[from] ServeError),
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Conformance {
    pub(super) fn run(self) -> ExitCode {
        match self.try_all() {
            Ok(report) => super::finish(self.print(&report, &mut anstream::stdout().lock()).map(|()| report.is_held())),
            Err(error) => {
                if let ConformanceError::Spec(mistakes) = &error {
                    terminal::findings(Level::Error, mistakes);
                }
                terminal::complain(&error);
                match error {
                    ConformanceError::Read { .. } | ConformanceError::Spec(_) => ExitCode::from(NOT_UNDERSTOOD),
                    // What the command line and the spec name can't be used.
                    ConformanceError::Run(RunError::Target(_)) => ExitCode::from(NOT_UNDERSTOOD),
                    ConformanceError::System(_) | ConformanceError::Run(RunError::Silent) => ExitCode::FAILURE,
                }
            }
        }
    }

    fn try_all(&self) -> Result<Report, ConformanceError> {
        let text = fs::read_to_string(&self.spec)
            .map_err(|source| ConformanceError::Read { path: self.spec.clone(), source })?;
        let spec = Spec::parse(&self.spec, &text, &Definitions::r4()).map_err(ConformanceError::Spec)?;
        let credentials = spec.credentials(|name| std::env::var(name).ok()).map_err(ConformanceError::Spec)?;
        let settings = Settings {
            rate: self.rate,
            timeout: Duration::from_secs(self.timeout),
            rows: self.row.clone(),
            thorough: self.thorough,
        };
        let mut progress = Progress::new();
        let mut show = |row: &str, requests: usize| progress.show(|_| format!("trying {row}: {requests} requests"));
        let done = serve::runtime()?.block_on(conformance::run(&self.target, &spec, credentials, &settings, &mut show));
        progress.clear();
        Ok(done?)
    }

    fn print(&self, report: &Report, out: &mut impl Write) -> io::Result<()> {
        if self.json { writeln!(out, "{:#}", report.to_json()) } else { report.write(out) }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.1);
    rate.ok_or_else(|| "write a number of requests in a second, 0.1 or more".to_owned())
}
