//! Certificates, keys and revocation lists read from files. No error repeats what a file holds.

use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::TlsError;

const CERTIFICATE: &str = "certificate in PEM";
const KEY: &str = "private key in PEM that is not encrypted (PKCS #8, SEC 1 or PKCS #1)";
const LIST: &str = "certificate revocation list";

/// When the first of the file's certificates expires, in seconds since 1970-01-01T00:00:00Z.
pub fn certificate_expiry(path: &Path) -> Result<i64, TlsError> {
    let expiries = certificates(path)?.into_iter().map(|der| {
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    earliest(path, "certificate", expiries)
}

/// When the first of the file's revocation lists must have been replaced, in seconds since 1970-01-01T00:00:00Z.
/// From then on every client certificate that the list covers is refused.
pub fn crl_expiry(path: &Path) -> Result<i64, TlsError> {
    let expiries = revocation_lists(path)?.into_iter().map(|der| {
        let (_, list) = CertificateRevocationList::from_der(&der).ok()?;
        Some(list.next_update()?.timestamp())
    });
    earliest(path, LIST, expiries)
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let all = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|_| TlsError::Damaged { path: path.into(), what: "certificate" })?;
    if all.is_empty() { Err(TlsError::Empty { path: path.into(), what: CERTIFICATE }) } else { Ok(all) }
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        Error::NoItemsFound => TlsError::Empty { path: path.into(), what: KEY },
        // The source is left out: it may quote the line that it stopped at.
        _ => TlsError::Damaged { path: path.into(), what: "private key" },
    })
}

pub(super) fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = read(path)?;
    // Authorities publish lists as DER, which starts with the tag of a sequence (RFC 5280, section 4.2.1.13).
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes.into()]);
    }
    let all = CertificateRevocationListDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|_| TlsError::Damaged { path: path.into(), what: LIST })?;
    if all.is_empty() { Err(TlsError::Empty { path: path.into(), what: LIST }) } else { Ok(all) }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.into(), source })
}

fn earliest(path: &Path, what: &'static str, expiries: impl Iterator<Item = Option<i64>>) -> Result<i64, TlsError> {
    let expiries = expiries.collect::<Option<Vec<_>>>();
    let earliest = expiries.and_then(|all| all.into_iter().min());
    earliest.ok_or_else(|| TlsError::Damaged { path: path.into(), what })
}
