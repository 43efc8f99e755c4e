//! The folder of one demo: gateway file, policy, keys, tokens, secrets, spec and audit trail, for its owner alone.
//!
//! It is made new, never found, and is removed at the end unless it is to be kept.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::demo::keys::{Keys, KeysError};

/// The example files of the repository, which the demo runs as they are but for the addresses.
const GATEWAY: &str = include_str!("../../../config/gateway.yaml");
const POLICY: &str = include_str!("../../../config/policy.yaml");
/// The addresses in the example, each of which the demo replaces.
pub(super) const EXAMPLE_LISTEN: &str = "address: 127.0.0.1:8443";
pub(super) const EXAMPLE_ADMIN: &str = "address: 127.0.0.1:9090";
pub(super) const EXAMPLE_UPSTREAM: &str = "http://127.0.0.1:8080/";

/// A folder, with its files in it.
pub(super) struct Folder {
    path: PathBuf,
    kept: bool,
}

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("{}: cannot be made: name a folder that does not exist, in one that you may write to", path.display())]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: cannot be written", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("the system gives no random bytes")]
    Randomness,
}

impl Folder {
    /// Makes the folder and writes all files that do not name a role.
    pub(super) fn make(
        keep: Option<&Path>,
        keys: &Keys,
        listen: SocketAddr,
        admin: SocketAddr,
        upstream: SocketAddr,
    ) -> Result<Self, FolderError> {
        let path = match keep {
            Some(path) => {
                std::path::absolute(path).map_err(|source| FolderError::Make { path: path.into(), source })?
            }
            None => std::env::temp_dir().join(format!("fieldgate-demo-{}", URL_SAFE_NO_PAD.encode(*random::<6>()?))),
        };
        make_private(&path).map_err(|source| FolderError::Make { path: path.clone(), source })?;
        let folder = Self { path, kept: keep.is_some() };
        keys.write(&folder.path.join("keys"))?;
        folder.write("policy.yaml", POLICY)?;
        folder.write("gateway.yaml", &gateway_file(listen, admin, upstream))?;
        let key = Zeroizing::new(STANDARD.encode(*random::<32>()?));
        folder.write("secrets.yaml", &Zeroizing::new(format!("key: {}\n", *key)))?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    pub(super) fn gateway_file(&self) -> PathBuf {
        self.path.join("gateway.yaml")
    }

    /// Writes a token as the header that curl sends it in (`-H @FILE`), so that it stands in no list of processes.
    pub(super) fn write_token(&self, role: &str, token: &str) -> Result<(), FolderError> {
        self.write(&format!("{role}.header"), &format!("Authorization: Bearer {token}\n"))
    }

    /// Writes the spec for `fieldgate conformance`.
    pub(super) fn write_spec(&self, spec: &str) -> Result<(), FolderError> {
        self.write("conformance.yaml", spec)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        write_private(&path, text).map_err(|source| FolderError::Write { path, source })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed at the end is in the system's folder for temporary files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The example gateway file with the demo's addresses.
fn gateway_file(listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> String {
    GATEWAY
        .replace(EXAMPLE_LISTEN, &format!("address: \"{listen}\""))
        .replace(EXAMPLE_ADMIN, &format!("address: \"{admin}\""))
        .replace(EXAMPLE_UPSTREAM, &format!("http://{upstream}/"))
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, FolderError> {
    let mut bytes = Zeroizing::new([0; N]);
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(bytes.as_mut_slice()).map_err(|_| FolderError::Randomness)?;
    Ok(bytes)
}

/// Makes a folder that was not there, for its owner alone.
fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_address_of_the_example_is_replaced() {
        for (example, times) in [(EXAMPLE_LISTEN, 1), (EXAMPLE_ADMIN, 1), (EXAMPLE_UPSTREAM, 2)] {
            assert_eq!(GATEWAY.matches(example).count(), times, "{example}");
        }
        let [listen, admin, upstream] = ["[::1]:1", "127.0.0.1:2", "127.0.0.1:3"].map(|text| text.parse().unwrap());
        let text = gateway_file(listen, admin, upstream);
        let config = Config::parse(&text, Path::new("gateway.yaml")).unwrap();
        assert_eq!(config.listeners().next().unwrap().address.value, listen);
        assert_eq!(config.admin().unwrap().address.value, admin);
        assert!(config.endpoints().iter().all(|endpoint| endpoint.upstream.url.as_str().contains("127.0.0.1:3/")));
    }

    #[test]
    fn the_folder_is_its_owners_alone_and_goes_with_the_demo() {
        let keys = Keys::generate("2026-11-22".parse().unwrap()).unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let folder = Folder::make(None, &keys, address, address, address).unwrap();
        folder.write_token("front-desk", "token").unwrap();
        let path = folder.path().to_owned();
        #[cfg(unix)]
        for (name, mode) in [("", 0o700), ("secrets.yaml", 0o600), ("front-desk.header", 0o600), ("policy.yaml", 0o600)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
        assert!(crate::config::secrets::read(&path.join("secrets.yaml")).is_ok());
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_is_there_is_left_alone() {
        let keys = Keys::generate("2026-11-22".parse().unwrap()).unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let there = tempfile::tempdir().unwrap();
        let refused = Folder::make(Some(there.path()), &keys, address, address, address);
        assert!(matches!(refused, Err(FolderError::Make { .. })));
        assert!(there.path().exists());
    }
}
