//! The secrets file: the key from which pseudonyms and date shifts are derived.
//!
//! Whoever has the key can link pseudonyms to patients and undo date shifts, so that a file which others can read is
//! refused. Nothing of its content ever reaches an error or a log.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::redact::transform::{Secret, SecretTooShort};

/// The largest file that is read, in bytes.
const MOST_BYTES: u64 = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    key: String,
}

/// Reads a secrets file: YAML of one entry, `key`, the base64 form (RFC 4648 section 4) of at least 32 random bytes.
///
/// # Errors
/// The file cannot be read, can be read by others than its owner, or holds something else.
pub fn read(path: &Path) -> Result<Secret, SecretsError> {
    let failed = |source| SecretsError::Read { path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    // The open file is asked, and not its name, which may lead elsewhere a moment later.
    let metadata = file.metadata().map_err(failed)?;
    if is_exposed(&metadata) {
        return Err(SecretsError::Exposed { path: path.into() });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
    let secrets: Secrets = serde_saphyr::from_str(&text).map_err(|_| SecretsError::Form { path: path.into() })?;
    let written = Zeroizing::new(secrets.key);
    let key = STANDARD.decode(written.as_bytes()).map_err(|_| SecretsError::Form { path: path.into() })?;
    Secret::new(key).map_err(|source| SecretsError::Short { path: path.into(), source })
}

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

/// Why a secrets file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Others could read the key.
    #[error("{path}: others than its owner can read it: chmod 600 {path}", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a secrets file.
    #[error(
        "{}: a secrets file is one line, `key: ` and at least 32 random bytes in base64: \
         (umask 077; echo \"key: $(openssl rand -base64 32)\" > secrets.yaml)",
        path.display()
    )]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The key is too short to be one.
    #[error("{}: the key is too short", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// How short.
        #[source]
        source: SecretTooShort,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        file
    }

    fn refusal(text: &str, mode: u32) -> SecretsError {
        read(file(text, mode).path()).unwrap_err()
    }

    const GOOD: &str = "key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

    #[test]
    fn a_key_of_32_bytes_that_its_owner_alone_can_read_is_taken() {
        assert!(read(file(GOOD, 0o600).path()).is_ok());
        assert!(read(file(GOOD, 0o400).path()).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_helps() {
        for mode in [0o640, 0o604, 0o644, 0o620] {
            let refused = refusal(GOOD, mode);
            assert!(matches!(refused, SecretsError::Exposed { .. }) && refused.to_string().contains("chmod 600"));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let short = refusal("key: AAECAwQFBgcICQoLDA0ODw==\n", 0o600);
        assert!(matches!(short, SecretsError::Short { .. }));
        for text in ["", "key:", "key: not/base64!canary", "canary", "key: AAAA\nother: canary", "- canary"] {
            let refused = refusal(text, 0o600);
            assert!(matches!(refused, SecretsError::Form { .. } | SecretsError::Short { .. }), "{text}");
            assert!(!format!("{refused} {refused:?}").contains("canary"));
        }
    }
}
