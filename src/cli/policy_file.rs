//! A policy file named on the command line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::fhir::Definitions;
use crate::policy::{Checked, Mistakes};

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PolicyFileError {
    #[error("{}: cannot be read: check that it exists and that you may read it", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the policy has mistakes")]
    Mistakes(#[from] Mistakes),
}

/// Reads a policy file.
pub(super) fn read(path: &Path, definitions: &Definitions) -> Result<Checked, PolicyFileError> {
    let text = fs::read_to_string(path).map_err(|source| PolicyFileError::Read { path: path.into(), source })?;
    let (policy, _) = Checked::parse(&path.display().to_string(), &text, definitions)?;
    Ok(policy)
}
