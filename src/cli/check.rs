//! `fieldgate check`: every mistake of a gateway file and a policy, with file, line, column and a suggestion.
//!
//! It reads files and writes what it finds; it changes nothing, connects to nothing, and shows no value of a secret.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::fhir::Definitions;
use crate::policy::{Finding, Policy, Position};

/// Find every mistake in a gateway file and its policy.
#[derive(Debug, Args)]
#[command(
    long_about = "Find every mistake in a gateway file and its policy, with file, line, column and a suggestion.\n\n\
                  Exits 0 where there is none, warnings or not, and 1 otherwise.",
    after_help = "Examples:\n  fieldgate check --policy config/policy.yaml\n  \
                  fieldgate check --config config/gateway.yaml --json"
)]
pub struct Check {
    /// The gateway file; its policy is checked with it.
    #[arg(long, value_name = "FILE", required_unless_present = "policy")]
    pub config: Option<PathBuf>,
    /// A policy file, in place of the one that the gateway file names.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Write JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// What a gateway file was found to be.
#[derive(Debug, Default)]
pub struct CheckedConfig {
    /// Its mistakes.
    pub mistakes: Vec<Finding>,
    /// Its warnings.
    pub warnings: Vec<Finding>,
    /// The policy file that it names.
    pub policy: Option<PathBuf>,
}

impl Check {
    /// Checks, writes what was found to `out`, and tells whether there was no mistake. `check_config` reads the gateway
    /// file, `today` is the day on which reviews are due.
    ///
    /// # Errors
    /// Where `out` can't be written.
    pub fn run(
        &self,
        definitions: &Definitions,
        today: Date,
        check_config: impl FnOnce(&Path) -> CheckedConfig,
        out: &mut impl Write,
    ) -> io::Result<bool> {
        let CheckedConfig { mut mistakes, mut warnings, policy } =
            self.config.as_deref().map(check_config).unwrap_or_default();
        if let Some(path) = self.policy.as_ref().or(policy.as_ref()) {
            check_policy(path, definitions, today, &mut mistakes, &mut warnings);
        }
        if self.json {
            let list = |found: &[Finding]| found.iter().map(as_json).collect::<Vec<_>>();
            let report =
                json!({ "clean": mistakes.is_empty(), "mistakes": list(&mistakes), "warnings": list(&warnings) });
            writeln!(out, "{report:#}")?;
        } else {
            write_text(&mistakes, &warnings, out)?;
        }
        Ok(mistakes.is_empty())
    }
}

fn check_policy(
    path: &Path,
    definitions: &Definitions,
    today: Date,
    mistakes: &mut Vec<Finding>,
    warnings: &mut Vec<Finding>,
) {
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let at = Position { line: 1, column: 1 };
            let message = format!("can't be read: {error}").into();
            mistakes.push(Finding { file: file.into(), at, message, suggestion: None });
            return;
        }
    };
    match Policy::parse(&file, &text, definitions) {
        Ok((policy, found)) => {
            warnings.extend(found);
            warnings.extend(policy.overdue(today));
            warnings.sort_by_key(|warning| (warning.file.clone(), warning.at));
        }
        Err(found) => mistakes.extend(found.iter().cloned()),
    }
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "file": finding.file,
        "line": finding.at.line,
        "column": finding.at.column,
        "message": finding.message,
        "suggestion": finding.suggestion,
    })
}

/// Colours are written always; where `out` is no terminal its stream takes them away.
fn write_text(mistakes: &[Finding], warnings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    const RED: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
    const YELLOW: anstyle::Style = anstyle::AnsiColor::Yellow.on_default().bold();
    for (kind, style, found) in [("error", RED, mistakes), ("warning", YELLOW, warnings)] {
        for finding in found {
            let Finding { file, at, message, suggestion } = finding;
            write!(out, "{file}:{}:{}: {style}{kind}{style:#}: {message}", at.line, at.column)?;
            match suggestion {
                Some(suggestion) => writeln!(out, ": {suggestion}")?,
                None => writeln!(out)?,
            }
        }
    }
    match (mistakes.len(), warnings.len()) {
        (0, 0) => writeln!(out, "no mistakes"),
        (0, 1) => writeln!(out, "no mistakes, 1 warning"),
        (0, warnings) => writeln!(out, "no mistakes, {warnings} warnings"),
        (1, _) => writeln!(out, "1 mistake"),
        (mistakes, _) => writeln!(out, "{mistakes} mistakes"),
    }
}
