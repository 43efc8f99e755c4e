//! TLS configurations from files: what listeners show and ask for, what the upstream's client shows and trusts.
//!
//! Only aws-lc-rs is used, named at each configuration and never as the process's default. A file that cannot be used is
//! an error that names it; nothing falls back to less than was configured.

mod pem;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerConfig, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, SupportedProtocolVersion};
use serde::Deserialize;

pub use pem::{certificate_expiry, crl_expiry};

/// `listen[].tls`: what a listener shows to its clients and asks of them. Paths are relative to the gateway file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// PEM: the certificate, then its intermediates.
    pub certificate: PathBuf,
    /// PEM: the certificate's private key, not encrypted.
    pub key: PathBuf,
    /// PEM: the authorities that client certificates must come from.
    pub client_ca: Option<PathBuf>,
    /// Whether clients need a certificate; optional where `client_ca` is set, none where it is not.
    pub client_certificates: Option<ClientCertificates>,
    /// Revocation lists of the client authorities: one or more in PEM, or one in DER. Once set, each certificate of a
    /// client's chain must be covered by a list that has not expired.
    pub crl: Option<PathBuf>,
    /// The lowest protocol version.
    #[serde(default)]
    pub minimum: MinimumVersion,
}

/// Whether a listener asks its clients for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// No handshake without one.
    Required,
    /// One is asked for; whoever shows one must show a valid one.
    Optional,
    /// None is asked for.
    None,
}

/// The lowest protocol version that a listener accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum MinimumVersion {
    /// TLS 1.2, RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3, RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// The configuration of a listener, which offers HTTP/2 and HTTP/1.1.
pub fn server_config(config: &ServerTls, base: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let (certificate, key) = (base.join(&config.certificate), base.join(&config.key));
    let verifier = client_verifier(config, base)?;
    let asks = verifier.is_some();
    let versions: &[&SupportedProtocolVersion] = match config.minimum {
        MinimumVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        MinimumVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).map_err(TlsError::Provider)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let (chain, secret) = (pem::certificates(&certificate)?, pem::private_key(&key)?);
    let mut server =
        builder.with_single_cert(chain, secret).map_err(|source| TlsError::Identity { certificate, key, source })?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if asks {
        // A resumed session is not verified again: it would keep a certificate alive that was revoked meanwhile.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    Ok(Arc::new(server))
}

/// The configuration of a client that trusts the authorities in `ca` and no other, or the system's where there is none,
/// and shows the `identity` of a certificate file and a key file where there is one. ALPN is left to the caller.
pub fn client_config(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
    base: &Path,
) -> Result<ClientConfig, TlsError> {
    let trusted = match ca {
        Some(ca) => roots(&base.join(ca))?,
        None => system_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?
        .with_root_certificates(trusted);
    let Some((certificate, key)) = identity else { return Ok(builder.with_no_client_auth()) };
    let (certificate, key) = (base.join(certificate), base.join(key));
    let (chain, secret) = (pem::certificates(&certificate)?, pem::private_key(&key)?);
    with_identity(chain, secret, |chain, secret| builder.with_client_auth_cert(chain, secret))
        .map_err(|source| TlsError::Identity { certificate, key, source })
}

/// The configuration of a client that trusts no authority, for one that only ever speaks plain text: should it meet TLS
/// after all, the handshake fails. Made without a file.
pub(crate) fn trusting_nobody() -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    Ok(builder.map_err(TlsError::Provider)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Says that a private key can be read by others than its owner, so that an operator may be warned.
///
/// It is no error: where secrets are mounted into a container, their modes are often not the operator's to choose.
#[cfg(unix)]
pub fn is_readable_by_others(key: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(key)?.permissions().mode() & 0o077 != 0)
}

/// Why a TLS configuration cannot be made. Each message names the file and says what to change.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds nothing of what was asked for.
    #[error("{}: holds no {what}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The file holds something that is not what it says.
    #[error("{}: holds a damaged {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is damaged.
        what: &'static str,
    },
    /// The certificate and the key cannot be used together, or the key not at all.
    #[error("{}: cannot be used with the key in {}; give the key that the certificate was made for", certificate.display(), key.display())]
    Identity {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Client certificates or a CRL are configured, but no authority to check them with.
    #[error("{setting} needs client_ca: name the authorities that client certificates come from")]
    NoClientCa {
        /// The setting that needs it.
        setting: &'static str,
    },
    /// The revocation lists or the authorities cannot be used.
    #[error("the client authorities and revocation lists cannot be used")]
    Verifier(#[source] VerifierBuilderError),
    /// The system has no trusted authorities.
    #[error("the system has no trusted authorities: name the upstream's with ca")]
    NoSystemRoots,
    /// The cryptography does not offer what is needed.
    #[error("the protocol versions cannot be offered")]
    Provider(#[source] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn client_verifier(config: &ServerTls, base: &Path) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let asked = config.client_certificates.unwrap_or(match config.client_ca {
        Some(_) => ClientCertificates::Optional,
        None => ClientCertificates::None,
    });
    let Some(ca) = &config.client_ca else {
        return match (&config.crl, asked) {
            (Some(_), _) => Err(TlsError::NoClientCa { setting: "crl" }),
            (None, ClientCertificates::None) => Ok(None),
            (None, _) => Err(TlsError::NoClientCa { setting: "client_certificates" }),
        };
    };
    let trusted = roots(&base.join(ca))?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider());
    if let Some(crl) = &config.crl {
        // The builder's own defaults check the whole chain and refuse a certificate that no list covers.
        builder = builder.with_crls(pem::revocation_lists(&base.join(crl))?).enforce_revocation_expiration();
    }
    let builder = match asked {
        ClientCertificates::Required => builder,
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::None => return Ok(None),
    };
    builder.build().map(Some).map_err(TlsError::Verifier)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in pem::certificates(path)? {
        store.add(certificate).map_err(|_| TlsError::Damaged { path: path.into(), what: "certificate" })?;
    }
    Ok(store)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    // A system's store may hold certificates that webpki cannot read; those are not trusted.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() { Err(TlsError::NoSystemRoots) } else { Ok(store) }
}

/// A client's configuration takes a key that does not fit its certificate; this refuses it.
fn with_identity(
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
    build: impl FnOnce(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) -> Result<ClientConfig, rustls::Error>,
) -> Result<ClientConfig, rustls::Error> {
    rustls::sign::CertifiedKey::from_der(chain.clone(), secret.clone_key(), &aws_lc_rs::default_provider())?;
    build(chain, secret)
}
