//! Throw-away keys: a certificate authority, the gateway's and a client's certificate, and an issuer of tokens.
//!
//! Made from the system's randomness at each start, good for a week, trusted by nobody else. They are never embedded in
//! the program, never logged, and written only into a new file that its owner alone can read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The issuer of the demo's tokens (`iss`).
pub const ISSUER: &str = "https://idp.harrowvalley.example";
/// The audience of the demo's tokens (`aud`).
pub const AUDIENCE: &str = "fieldgate";
/// The name of the client certificate, a subject alternative name of type URI.
pub const CLIENT_URI: &str = "spiffe://acme.example/billing";

/// The keys and certificates of one run.
pub struct Keys {
    authority: String,
    gateway: Pair,
    client: Pair,
    token_key: EncodingKey,
    key_id: String,
    jwks: Value,
}

/// A certificate and its private key, both PEM.
struct Pair {
    certificate: String,
    key: String,
}

/// Where [`Keys::write`] has put them.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    /// The certificate authority (`ca.pem`), for `curl --cacert` and the gateway's `client_ca`.
    pub authority: PathBuf,
    /// The gateway's certificate (`gateway.pem`).
    pub gateway_certificate: PathBuf,
    /// The gateway's private key (`gateway.key`), mode 0600.
    pub gateway_key: PathBuf,
    /// The client's certificate (`client.pem`), for `curl --cert`.
    pub client_certificate: PathBuf,
    /// The client's private key (`client.key`), mode 0600.
    pub client_key: PathBuf,
    /// The public token keys (`jwks.json`), RFC 7517.
    pub jwks: PathBuf,
}

/// Why keys could not be made, written or used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A key or certificate could not be made.
    #[error("cannot make a {what}")]
    Make {
        /// What was being made.
        what: &'static str,
        /// The cause.
        #[source]
        source: rcgen::Error,
    },
    /// The public key is not an uncompressed point of P-256 (SEC 1, section 2.3.3).
    #[error("the token key is not a P-256 key")]
    Curve,
    /// A token could not be signed.
    #[error("cannot sign a token")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// A time is out of the range that certificates and tokens can say.
    #[error("a time of validity is out of range")]
    Time,
    /// A file could not be written.
    #[error("cannot write {}: give an empty folder that you own", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Keys {
    /// New keys whose certificates hold from the day before `today` for eight days.
    pub fn generate(today: Date) -> Result<Self, KeysError> {
        let authority_key = new_key("key of the certificate authority")?;
        let mut params = params("fieldgate demo authority", today)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, authority_key).map_err(making("certificate authority"))?;

        let gateway = issue(&authority, "localhost", today, ExtendedKeyUsagePurpose::ServerAuth, gateway_names()?)?;
        let uri = CLIENT_URI.try_into().map_err(making("client certificate"))?;
        let names = vec![SanType::URI(uri)];
        let client = issue(&authority, "acme billing", today, ExtendedKeyUsagePurpose::ClientAuth, names)?;

        let token_key = new_key("token key")?;
        let (key_id, jwks) = public_keys(token_key.public_key_raw())?;
        let token_key = EncodingKey::from_ec_der(token_key.serialized_der());
        Ok(Self { authority: authority.pem(), gateway, client, token_key, key_id, jwks })
    }

    /// The certificate authority, PEM.
    pub fn authority_pem(&self) -> &str {
        &self.authority
    }

    /// The gateway's certificate for localhost, 127.0.0.1 and ::1, PEM.
    pub fn gateway_certificate_pem(&self) -> &str {
        &self.gateway.certificate
    }

    /// The gateway's private key, PKCS #8 PEM.
    pub fn gateway_key_pem(&self) -> &str {
        &self.gateway.key
    }

    /// The client's certificate with the name [`CLIENT_URI`], PEM.
    pub fn client_certificate_pem(&self) -> &str {
        &self.client.certificate
    }

    /// The client's private key, PKCS #8 PEM.
    pub fn client_key_pem(&self) -> &str {
        &self.client.key
    }

    /// The public token key as a JWK Set (RFC 7517).
    pub fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// A token signed with ES256 (RFC 7519) from [`ISSUER`] for [`AUDIENCE`], good from `now` for `lifetime`.
    ///
    /// `claims` come on top and win over the claims that are set here, so that a test can ask for a wrong audience.
    pub fn token(
        &self,
        subject: &str,
        claims: &Map<String, Value>,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<String, KeysError> {
        let issued = now.as_second();
        let seconds = i64::try_from(lifetime.as_secs()).map_err(|_| KeysError::Time)?;
        let expires = issued.checked_add(seconds).ok_or(KeysError::Time)?;
        let mut all = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": issued, "nbf": issued, "exp": expires,
        });
        if let Some(all) = all.as_object_mut() {
            all.extend(claims.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &all, &self.token_key).map_err(KeysError::Sign)
    }

    /// Writes certificates, private keys (mode 0600) and the JWK Set into `folder`, which is made (mode 0700) where missing.
    ///
    /// A file that is there already is an error: an old file keeps its old owner and mode, which may be anybody's.
    pub fn write(&self, folder: &Path) -> Result<KeyFiles, KeysError> {
        make_folder(folder).map_err(|source| KeysError::Write { path: folder.into(), source })?;
        let file = |name: &str, mode: u32, text: &str| {
            let path = folder.join(name);
            match write_new(&path, mode, text) {
                Ok(()) => Ok(path),
                Err(source) => Err(KeysError::Write { path, source }),
            }
        };
        Ok(KeyFiles {
            authority: file("ca.pem", 0o644, &self.authority)?,
            gateway_certificate: file("gateway.pem", 0o644, &self.gateway.certificate)?,
            gateway_key: file("gateway.key", 0o600, &self.gateway.key)?,
            client_certificate: file("client.pem", 0o644, &self.client.certificate)?,
            client_key: file("client.key", 0o600, &self.client.key)?,
            jwks: file("jwks.json", 0o644, &self.jwks.to_string())?,
        })
    }
}

fn making(what: &'static str) -> impl Fn(rcgen::Error) -> KeysError {
    move |source| KeysError::Make { what, source }
}

/// A new P-256 key.
fn new_key(what: &'static str) -> Result<KeyPair, KeysError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(making(what))
}

fn params(common_name: &str, today: Date) -> Result<CertificateParams, KeysError> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "fieldgate demo, throw-away");
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    let day = |days: i64| {
        let date = today.checked_add(Span::new().days(days)).map_err(|_| KeysError::Time)?;
        let (month, day) = (u8::try_from(date.month()), u8::try_from(date.day()));
        match (month, day) {
            (Ok(month), Ok(day)) => Ok(date_time_ymd(i32::from(date.year()), month, day)),
            _ => Err(KeysError::Time),
        }
    };
    params.not_before = day(-1)?;
    params.not_after = day(7)?;
    Ok(params)
}

fn gateway_names() -> Result<Vec<SanType>, KeysError> {
    let localhost = "localhost".try_into().map_err(making("gateway certificate"))?;
    Ok(vec![
        SanType::DnsName(localhost),
        SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
    ])
}

fn issue(
    authority: &CertifiedIssuer<'_, KeyPair>,
    common_name: &str,
    today: Date,
    usage: ExtendedKeyUsagePurpose,
    names: Vec<SanType>,
) -> Result<Pair, KeysError> {
    let key = new_key("private key")?;
    let mut params = params(common_name, today)?;
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, authority).map_err(making("certificate"))?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// The key's thumbprint (RFC 7638) as its id, and the JWK Set that holds it.
fn public_keys(point: &[u8]) -> Result<(String, Value), KeysError> {
    let (x, y) = match point.split_first() {
        Some((4, rest)) if rest.len() == 64 => rest.split_at_checked(32).ok_or(KeysError::Curve)?,
        _ => return Err(KeysError::Curve),
    };
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let id = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
    let jwks = json!({
        "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y }],
    });
    Ok((id, jwks))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn write_new(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};

    fn keys() -> Keys {
        Keys::generate(date(2026, 11, 22)).unwrap()
    }

    fn verify(keys: &Keys, token: &str) -> jsonwebtoken::errors::Result<Value> {
        let set: JwkSet = serde_json::from_value(keys.jwks().clone()).unwrap();
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        Ok(jsonwebtoken::decode::<Value>(token, &key, &validation)?.claims)
    }

    #[test]
    fn a_token_verifies_with_the_published_key_and_holds_its_claims() {
        let keys = keys();
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let claims = json!({ "groups": ["front-desk"] });
        let token = keys.token("mia", claims.as_object().unwrap(), now, Duration::from_secs(600)).unwrap();
        let claims = verify(&keys, &token).unwrap();
        assert_eq!(claims["sub"], "mia");
        assert_eq!(claims["groups"][0], "front-desk");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    }

    #[test]
    fn claims_of_the_caller_win_so_that_a_wrong_audience_can_be_asked_for() {
        let keys = keys();
        let claims = json!({ "aud": "elsewhere" });
        let token =
            keys.token("mia", claims.as_object().unwrap(), Timestamp::UNIX_EPOCH, Duration::from_secs(600)).unwrap();
        assert!(verify(&keys, &token).is_err());
    }

    #[test]
    fn every_run_has_other_keys() {
        assert_ne!(keys().gateway_key_pem(), keys().gateway_key_pem());
        assert_ne!(keys().jwks(), keys().jwks());
    }

    #[test]
    fn private_keys_are_written_for_their_owner_alone_and_never_over_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let files = keys().write(folder.path()).unwrap();
        #[cfg(unix)]
        for key in [&files.gateway_key, &files.client_key] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let before = std::fs::read(&files.gateway_key).unwrap();
        assert!(matches!(keys().write(folder.path()), Err(KeysError::Write { .. })));
        assert_eq!(std::fs::read(&files.gateway_key).unwrap(), before);
    }
}
