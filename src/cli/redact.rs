//! `fieldgate redact`: filters JSON or NDJSON from a file or stdin to stdout.
//!
//! It does for a file what the gateway does for an answer, with the same policy and the same core. It must never print
//! anything of the input but what the role sees.

mod stream;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::stream::{Outcome, StreamError};
use super::policy_file::{self, PolicyFileError};
use super::terminal::{self, Level, Progress};
use crate::config::secrets::{self, SecretsError};
use crate::fhir::{Definitions, suggest};
use crate::model::{Purpose, Role};
use crate::policy::{Checked, CheckedRole};
use crate::redact::transform::{Addresses, Given};
use crate::redact::{Limits, Plan, Redactor};

/// How much of lines is gathered before it is written.
const GATHERED: usize = 64 * 1024;

/// Filter one JSON document, or NDJSON, as a role sees it
///
/// Reads FILE or stdin, writes stdout, and takes no more memory for a larger input. The input is one FHIR resource, or
/// with --document a document of the policy, or with --ndjson one of them a line. Where it is not JSON, the exit code is 1
/// and stderr says at which byte; what was written until then is cut off and not valid JSON. With --ndjson whole lines are
/// written, and nothing of a line that fails.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  fieldgate redact --policy config/policy.yaml --role front-desk patient.json
  curl -s https://ehr.example/fhir/Patient/1 | fieldgate redact --policy config/policy.yaml --role coder --purpose HPAYMT
  fieldgate redact --policy config/policy.yaml --role researcher --secrets secrets.yaml --ndjson export.ndjson > study.ndjson
  fieldgate redact --policy config/policy.yaml --role billing-vendor --document member-record member.json")]
pub(super) struct Redact {
    /// The policy file
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The role whose view is applied
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// Why the data is needed, such as TREAT; one of the role's purposes [default: the role's first]
    #[arg(long, value_name = "CODE")]
    purpose: Option<String>,
    /// The document of the policy that the input is; without it the input is FHIR
    #[arg(long, value_name = "NAME")]
    document: Option<String>,
    /// Take each line as a document of its own
    #[arg(long)]
    ndjson: bool,
    /// The file with the key of pseudonyms and date shifts
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// The input [default: stdin]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Why the command ends without its work done.
#[derive(Debug, thiserror::Error)]
enum RedactFailed {
    #[error("the policy cannot be used")]
    Policy(#[from] PolicyFileError),
    #[error("the policy has no role {name}{suggestion}")]
    Role { name: String, suggestion: String },
    #[error("the role {role} may not act for {purpose}: use one of {known}")]
    Purpose { role: String, purpose: String, known: String },
    #[error("the policy has no document {name}{suggestion}")]
    Document { name: String, suggestion: String },
    #[error("the role {role} sees nothing of {document}")]
    NotSeen { role: String, document: String },
    #[error("the role {0} sees pseudonyms or moved dates: give their key with --secrets FILE")]
    NoSecret(String),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("{}: cannot be opened", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl Redact {
    pub(super) fn run(self) -> ExitCode {
        match self.redact() {
            Ok(outcome) => {
                self.tell(&outcome);
                ExitCode::SUCCESS
            }
            // A reader that has seen enough, such as `head`, is told nothing.
            Err(RedactFailed::Stream(StreamError::Write(error))) if error.kind() == io::ErrorKind::BrokenPipe => {
                ExitCode::FAILURE
            }
            Err(RedactFailed::Policy(PolicyFileError::Mistakes(mistakes))) => {
                terminal::findings(Level::Error, mistakes.iter());
                ExitCode::FAILURE
            }
            Err(error) => {
                terminal::complain(&error);
                ExitCode::FAILURE
            }
        }
    }

    fn redact(&self) -> Result<Outcome, RedactFailed> {
        // These two are many small pieces, and the process ends with this command: they are left to the system.
        let policy = ManuallyDrop::new(policy_file::read(&self.policy, &Definitions::r4())?);
        let plan = ManuallyDrop::new(self.plan(&policy)?);
        let given = self.given(&plan)?;
        let input: Box<dyn Read> = match &self.file {
            Some(path) => {
                Box::new(File::open(path).map_err(|source| RedactFailed::Open { path: path.clone(), source })?)
            }
            None => Box::new(io::stdin().lock()),
        };
        let redactor = Redactor::new(Arc::clone(&plan), given, Limits::default());
        // The standard output as such looks for the ends of lines.
        let out = io::stdout().as_fd().try_clone_to_owned().map_err(StreamError::Write)?;
        let mut out = BufWriter::with_capacity(GATHERED, File::from(out));
        let (mut progress, mut taken) = (Progress::new(), 0);
        let mut read = |bytes| {
            taken += bytes as u64;
            progress.show(|time| rate(taken, time));
        };
        let result = if self.ndjson {
            stream::lines(input, &mut out, redactor, &mut read)
        } else {
            stream::document(input, out.get_mut(), redactor, &mut read)
        };
        progress.clear();
        // What was let through before a failure is written as well, so that how far it went doesn't depend on a buffer.
        let flushed = out.flush().map_err(StreamError::Write);
        let outcome = result?;
        flushed?;
        if !self.ndjson && outcome.shown > 0 && io::stdout().is_terminal() {
            let _ = writeln!(io::stdout());
        }
        Ok(outcome)
    }

    /// What the role sees for the purpose.
    fn plan(&self, policy: &Checked) -> Result<Arc<Plan>, RedactFailed> {
        let wanted = Role::new(&self.role);
        let (_, role) = policy.roles().find(|(known, _)| **known == wanted).ok_or_else(|| RedactFailed::Role {
            name: self.role.clone(),
            suggestion: did_you_mean(&self.role, policy.roles().map(|(role, _)| role.as_str())),
        })?;
        self.check_purpose(role)?;
        let Some(name) = &self.document else {
            let plan = policy.compile(role, &Definitions::r4()).map_err(PolicyFileError::Mistakes)?;
            return Ok(Arc::new(plan));
        };
        if !policy.documents().any(|(known, _)| known == name) {
            let suggestion = did_you_mean(name, policy.documents().map(|(known, _)| known));
            return Err(RedactFailed::Document { name: name.clone(), suggestion });
        }
        let plan = role.document(name).map(Arc::clone);
        plan.ok_or_else(|| RedactFailed::NotSeen { role: self.role.clone(), document: name.clone() })
    }

    fn check_purpose(&self, role: &CheckedRole) -> Result<(), RedactFailed> {
        let Some(code) = &self.purpose else { return Ok(()) };
        if Purpose::from_code(code).is_some_and(|purpose| role.purposes().contains(&purpose)) {
            return Ok(());
        }
        let known: Vec<&str> = role.purposes().iter().map(|purpose| purpose.code()).collect();
        Err(RedactFailed::Purpose { role: self.role.clone(), purpose: code.clone(), known: known.join(", ") })
    }

    fn given(&self, plan: &Plan) -> Result<Given, RedactFailed> {
        let secret = self.secrets.as_deref().map(secrets::read).transpose()?.map(Arc::new);
        if secret.is_none() && plan.needs_secret() {
            return Err(RedactFailed::NoSecret(self.role.clone()));
        }
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        Ok(Given { today: Some(today), secret, addresses: Some(Arc::new(Unqueried)), bounds: None })
    }

    fn tell(&self, outcome: &Outcome) {
        let role = &self.role;
        match (outcome.shown, outcome.withheld) {
            (_, 0) => {}
            (_, _) if !self.ndjson => {
                terminal::warn(&format!("the role {role} sees nothing of this document: it was withheld as a whole"));
            }
            (shown, withheld) => {
                let all = shown + withheld;
                terminal::warn(&format!(
                    "the role {role} sees nothing of {withheld} of {all} lines: they were withheld"
                ));
            }
        }
    }
}

/// How many bytes were taken, and how many in a second.
#[expect(clippy::cast_precision_loss, reason = "a rounded number is shown")]
fn rate(bytes: u64, time: Duration) -> String {
    let mebibytes = bytes as f64 / (1024.0 * 1024.0);
    format!("redacting: {mebibytes:.0} MiB, {:.0} MiB/s", mebibytes / time.as_secs_f64())
}

/// Addresses of a file stay as they are, since no gateway stands before them; one with a query is withheld, because its
/// parameters may repeat what is hidden.
struct Unqueried;

impl Addresses for Unqueried {
    fn rewrite<'t>(&self, address: &'t str) -> Option<Cow<'t, str>> {
        (!address.contains(['?', '#'])).then_some(Cow::Borrowed(address))
    }
}

fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    match suggest(name, known.iter().copied()) {
        Some(near) => format!(": did you mean {near}?"),
        None => format!(": it has {}", known.join(", ")),
    }
}
