//! The plain nouns that the layers share: caller, role, purpose, connection.
//!
//! They hold what was proven and nothing that was merely said; they never decide.

mod scope;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

pub use self::scope::{Actions, Level, Scope, Scopes};

/// What the caller acts as in one request: the name of a role of the policy file.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role(Arc<str>);

impl Role {
    /// A role by its name as the policy file writes it.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as the policy file writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Role({})", self.0)
    }
}

/// Why data is asked for: a code of the HL7 v3 value set PurposeOfUse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Purpose(&'static str);

/// The codes of the HL7 v3 value set PurposeOfUse (system `v3-ActReason`).
const PURPOSES: &[&str] = &[
    "TREAT",
    "CLINTRCH",
    "DONAT",
    "ETREAT",
    "BTG",
    "ERTREAT",
    "POPHLTH",
    "CAREMGT",
    "COC",
    "HPAYMT",
    "CLMATTCH",
    "COVAUTH",
    "COVERAGE",
    "ELIGDTRM",
    "ELIGVER",
    "ENROLLM",
    "MILDCRG",
    "REMITADV",
    "PMTDS",
    "HOPERAT",
    "DONAT",
    "FRAUD",
    "GOV",
    "HACCRED",
    "HCOMPL",
    "HDECD",
    "HDIRECT",
    "HDM",
    "HLEGAL",
    "HOUTCOMS",
    "HPRGRP",
    "HQUALIMP",
    "HSYSADMIN",
    "LABELING",
    "METAMGT",
    "MEMADMIN",
    "MILCDM",
    "PATADMIN",
    "PATSFTY",
    "PERFMSR",
    "RECORDMGT",
    "SYSDEV",
    "HTEST",
    "TRAIN",
    "HMARKT",
    "HRESCH",
    "BIORCH",
    "CLINTRCHNPC",
    "CLINTRCHPC",
    "PRECLINTRCH",
    "DSRCH",
    "POARCH",
    "TRANSRCH",
    "PATRQT",
    "FAMRQT",
    "PWATRNY",
    "SUPNWK",
    "PUBHLTH",
    "DISASTER",
    "THREAT",
    "CAREMGMT",
];

impl Purpose {
    /// The purpose with this code, if PurposeOfUse has it.
    pub fn from_code(code: &str) -> Option<Self> {
        PURPOSES.iter().find(|known| **known == code).map(|known| Self(known))
    }

    /// The code, such as `TREAT`.
    pub fn code(self) -> &'static str {
        self.0
    }

    /// Every code that the gateway knows.
    pub fn codes() -> &'static [&'static str] {
        PURPOSES
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How a caller was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// A client certificate of the TLS connection.
    Certificate,
    /// A signed token.
    Token,
    /// A signed token bound to the client certificate of the connection (RFC 8705).
    BoundToken,
    /// An API key.
    ApiKey,
}

impl Proof {
    /// The name of the proof in audit records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Token => "token",
            Self::BoundToken => "bound-token",
            Self::ApiKey => "api-key",
        }
    }
}

/// The identities that a verified client certificate carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateIdentity {
    /// The subject's distinguished name, RFC 4514 form.
    pub subject: String,
    /// Subject alternative names of type URI.
    pub san_uri: Vec<String>,
    /// Subject alternative names of type DNS.
    pub san_dns: Vec<String>,
    /// SHA-256 of the DER form (RFC 8705 calls its base64url form `x5t#S256`).
    pub fingerprint: [u8; 32],
}

/// Who sent the request, proven by certificate, token or key.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The stable name that the audit trail knows the caller by.
    pub name: String,
    /// How the caller was proven.
    pub proof: Proof,
    /// The token's issuer.
    pub issuer: Option<String>,
    /// The token's claims; empty where no token was used.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// The client certificate, where the connection has a verified one.
    pub certificate: Option<Arc<CertificateIdentity>>,
    /// The name of the API key.
    pub api_key: Option<String>,
    /// The purposes that the token allows; `None` where it says nothing.
    pub purposes: Option<Vec<Purpose>>,
    /// The SMART scopes that the token carries, beyond which no role goes; `None` where it carries none.
    pub scopes: Option<Scopes>,
    /// The patient whom the token's claim `patient` names, as it stands there.
    pub patient: Option<Box<str>>,
}

/// What the gateway knows of the connection that a request came on.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The identities of the verified client certificate.
    pub certificate: Option<Arc<CertificateIdentity>>,
}
