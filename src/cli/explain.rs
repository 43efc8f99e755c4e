//! `fieldgate explain`: what a role sees of elements, and the rule that decides it.
//!
//! It answers by the same walk that plans are compiled by, and so never says what the gateway doesn't do.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::fhir::Definitions;
use crate::model::{Purpose, Role};
use crate::policy::explain::{Case, Explanation};
use crate::policy::{Policy, RoleView};

/// Tell what a role sees of elements, and which rule decides it.
#[derive(Debug, Args)]
#[command(
    long_about = "Tell what a role sees of elements, and which rule decides it, with file and line.\n\n\
                  Without an element: everything that the role sees, type by type.",
    after_help = "Examples:\n  fieldgate explain --policy config/policy.yaml --role front-desk Patient.birthDate\n  \
                  fieldgate explain --policy config/policy.yaml --role researcher"
)]
pub struct Explain {
    /// The policy file.
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// The role.
    #[arg(long, value_name = "ROLE")]
    pub role: String,
    /// A purpose of the role; the view is the same for each.
    #[arg(long, value_name = "CODE")]
    pub purpose: Option<String>,
    /// Write JSON, for programs.
    #[arg(long)]
    pub json: bool,
    /// Elements with their resource type, such as Patient.birthDate; or resource types, or documents.
    #[arg(value_name = "ELEMENT")]
    pub elements: Vec<String>,
}

impl Explain {
    /// Explains to `out`; tells whether everything that was asked for exists. What doesn't is told to `err`.
    ///
    /// # Errors
    /// Where `out` or `err` can't be written.
    pub fn run(&self, definitions: &Definitions, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
        let file = self.policy.display().to_string();
        let policy = match std::fs::read_to_string(&self.policy) {
            Ok(text) => Policy::parse(&file, &text, definitions),
            Err(error) => {
                writeln!(err, "{file} can't be read: {error}")?;
                return Ok(false);
            }
        };
        let policy = match policy {
            Ok((policy, _)) => policy,
            Err(mistakes) => {
                writeln!(err, "{mistakes}")?;
                return Ok(false);
            }
        };
        let Some(role) = policy.role(&Role::new(&self.role)) else {
            let names = policy.roles().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            writeln!(err, "{file} has no role {}; it has {names}", self.role)?;
            return Ok(false);
        };
        if let Some(code) = &self.purpose
            && !Purpose::from_code(code).is_some_and(|purpose| role.purposes().contains(&purpose))
        {
            let codes = role.purposes().iter().map(|purpose| purpose.code()).collect::<Vec<_>>().join(", ");
            writeln!(err, "the role {} has no purpose {code}; it has {codes}", self.role)?;
            return Ok(false);
        }
        let mut complete = true;
        let mut found = Vec::new();
        if self.elements.is_empty() {
            found = policy.explain_all(definitions, role);
        }
        for element in &self.elements {
            match policy.explain(definitions, role, element) {
                Ok(explained) => found.extend(explained),
                Err(error) => {
                    complete = false;
                    writeln!(err, "{error}")?;
                }
            }
        }
        if self.json {
            let elements: Vec<_> = found.iter().map(as_json).collect();
            let report = json!({ "role": self.role, "generation": policy.generation(), "elements": elements });
            writeln!(out, "{report:#}")?;
        } else {
            if self.elements.is_empty() {
                write_role(&self.role, role, out)?;
            }
            found.iter().try_for_each(|explanation| write_text(explanation, out))?;
        }
        Ok(complete)
    }
}

fn as_json(explanation: &Explanation) -> Value {
    let cases = explanation.cases.iter().map(|case| {
        let when: Vec<_> =
            case.when.iter().map(|(condition, holds)| json!({ "condition": condition, "holds": holds })).collect();
        let at = case.at.as_ref().map(|(file, line, column)| json!({ "file": file, "line": line, "column": column }));
        json!({ "when": when, "treatment": case.treatment, "rule": case.because, "at": at })
    });
    json!({ "element": explanation.element, "cases": cases.collect::<Vec<_>>() })
}

fn write_role(name: &str, role: &RoleView, out: &mut impl Write) -> io::Result<()> {
    let purposes = role.purposes().iter().map(|purpose| purpose.code()).collect::<Vec<_>>().join(", ");
    writeln!(out, "{name}: {}", role.about())?;
    if role.own_compartment() {
        writeln!(out, "only the compartment of the patient whom the caller's token names")?;
    }
    writeln!(out, "purposes {purposes}; what isn't listed here is withheld\n")
}

fn write_text(explanation: &Explanation, out: &mut impl Write) -> io::Result<()> {
    const BOLD: anstyle::Style = anstyle::Style::new().bold();
    let Explanation { element, cases } = explanation;
    for Case { when, treatment, because, at } in cases {
        write!(out, "{element}  {BOLD}{treatment}{BOLD:#}")?;
        for (place, (condition, holds)) in when.iter().enumerate() {
            let joint = if place == 0 { "where" } else { "and" };
            let not = if *holds { "" } else { "not " };
            write!(out, "  {joint} {not}({condition})")?;
        }
        write!(out, "  by {because}")?;
        match at {
            Some((file, line, column)) => writeln!(out, "  {file}:{line}:{column}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}
