//! The gateway file: which listeners, whose callers, which endpoints, under which limits.
//!
//! It is read whole or not at all: an unknown key is a mistake, and so is everything that would leave an endpoint wider
//! open than its file says. Every path is relative to the gateway file. It must never start anything.

mod check;
mod file;
pub mod limits;
pub mod secrets;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use self::check::Findings;
pub use self::file::{Admin, Endpoint, Entries, Listen, SecretsFile, Serves};
pub use self::limits::Limits;

use self::file::File;
use crate::fhir::suggest;
use crate::policy::{Finding, Position};
use serde_saphyr::{Location, Spanned};

#[cfg(test)]
mod tests;

/// A gateway file, read. What it says has a meaning each by itself; [`Config::check`] tells whether it fits together.
#[derive(Debug)]
pub struct Config {
    path: PathBuf,
    base: PathBuf,
    file: File,
}

impl Config {
    /// Reads a gateway file.
    ///
    /// # Errors
    /// It cannot be read, or is not a gateway file; the first such mistake, with its line and column.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a gateway file that stands, or would stand, at `path`.
    ///
    /// # Errors
    /// It is not a gateway file; the first such mistake, with its line and column.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file = serde_saphyr::from_str(text)
            .map_err(|error| ConfigError::Syntax(mistake(&path.display().to_string(), &error)))?;
        let base = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Ok(Self { path: path.into(), base, file })
    }

    /// The gateway file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that paths of the file start from.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The policy file.
    pub fn policy(&self) -> PathBuf {
        self.base.join(&self.file.policy)
    }

    /// The data listeners; [`Config::check`] holds that there is one.
    pub fn listeners(&self) -> impl Iterator<Item = &Listen> {
        self.file.listen.iter().map(|listen| &listen.value)
    }

    /// The admin listener.
    pub fn admin(&self) -> Option<&Admin> {
        self.file.admin.as_ref()
    }

    /// Who counts as proven.
    pub fn identity(&self) -> &crate::identity::Config {
        &self.file.identity
    }

    /// Who may act as what.
    pub fn roles(&self) -> Vec<crate::identity::RoleRule> {
        self.file.roles.iter().map(|rule| rule.value.clone()).collect()
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.file.endpoints
    }

    /// Where the audit trail is kept.
    pub fn audit(&self) -> &crate::audit::Config {
        &self.file.audit
    }

    /// The file with the key of pseudonyms and date shifts.
    pub fn secrets(&self) -> Option<PathBuf> {
        self.file.secrets.as_ref().map(|secrets| self.base.join(&secrets.file))
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.file.limits
    }

    /// Something at a place of this file.
    fn finding(&self, at: Location, message: impl Into<Box<str>>, suggestion: Option<&str>) -> Finding {
        Finding {
            file: self.path.display().to_string().into(),
            at: position(at),
            message: message.into(),
            suggestion: suggestion.map(Into::into),
        }
    }

    /// The place of a mistake that another layer has found in `roles[index]`.
    pub fn at_role_rule(&self, index: usize, message: impl Into<Box<str>>) -> Finding {
        self.finding(self.file.roles.get(index).map_or(Location::UNKNOWN, at), message, None)
    }

    /// The place of a mistake that another layer has found in an endpoint.
    pub fn at_endpoint(&self, endpoint: &Endpoint, message: impl Into<Box<str>>) -> Finding {
        self.finding(at(&endpoint.name), message, None)
    }

    /// The place of a mistake that another layer has found in a listener.
    pub fn at_listener(&self, listen: &Listen, message: impl Into<Box<str>>) -> Finding {
        self.finding(at(&listen.address), message, None)
    }

    /// A mistake of the file that has no better place than its first line.
    pub fn anywhere(&self, message: impl Into<Box<str>>) -> Finding {
        self.finding(Location::UNKNOWN, message, None)
    }
}

/// Why a gateway file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: check that it exists and that this user may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file is not a gateway file.
    #[error("{0}")]
    Syntax(Finding),
}

fn at<T>(spanned: &Spanned<T>) -> Location {
    spanned.referenced
}

/// What keeps a YAML file from being read, with its place and what was probably meant.
pub fn mistake(file: &str, error: &serde_saphyr::Error) -> Finding {
    let at = error.location().map_or(Position { line: 1, column: 1 }, position);
    let message = without_place(&error.without_snippet().to_string());
    Finding { file: file.into(), at, suggestion: meant(&message).map(Into::into), message: message.into() }
}

/// A place in a YAML file.
pub fn position(at: Location) -> Position {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Position { line: number(at.line()), column: number(at.column()) }
}

/// The message alone, where the parser has put the place in front or behind as well.
fn without_place(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
    match line.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest.to_owned(),
        _ => line.split(" at line ").next().unwrap_or(line).to_owned(),
    }
}

/// The key that was probably meant, where the message is of an unknown one: ``unknown field `x`, expected one of a, b``.
fn meant(message: &str) -> Option<String> {
    let (unknown, known) = message.split_once(", expected one of ")?;
    let unknown = unknown.split('`').nth(1)?;
    let near = suggest(unknown, known.split(", ").map(|name| name.trim_matches('`')))?;
    Some(format!("did you mean {near}?"))
}
