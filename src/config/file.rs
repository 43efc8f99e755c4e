//! The gateway file as it is written, made of each layer's own part.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::civil::Date;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;
use url::Url;

use super::limits::Limits;
use crate::access::{Hours, Networks, Rate};
use crate::identity::RoleRule;
use crate::net::tls::ServerTls;
use crate::net::upstream::UpstreamConfig;
use crate::proxy::{Narrows, Unseen};
use crate::{audit, identity};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) policy: PathBuf,
    pub(super) listen: Vec<Spanned<Listen>>,
    #[serde(default)]
    pub(super) admin: Option<Admin>,
    #[serde(default)]
    pub(super) identity: identity::Config,
    pub(super) roles: Vec<Spanned<RoleRule>>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) audit: audit::Config,
    #[serde(default)]
    pub(super) store: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) secrets: Option<SecretsFile>,
    #[serde(default)]
    pub(super) limits: Limits,
}

/// One entry of `listen:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port.
    pub address: Spanned<SocketAddr>,
    /// TLS; without it the listener speaks plain HTTP, which is for loopback addresses alone.
    pub tls: Option<ServerTls>,
}

/// `admin:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address and port.
    pub address: Spanned<SocketAddr>,
}

/// `secrets:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsFile {
    /// The file, beside the gateway file unless absolute.
    pub file: PathBuf,
}

/// One entry of `endpoints:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The name in metrics, logs and audit records.
    pub name: Spanned<String>,
    /// The path of the gateway that it stands under.
    pub path: Spanned<String>,
    /// The API behind it.
    pub upstream: UpstreamConfig,
    /// What the API speaks.
    pub serves: Serves,
    /// The roles that callers may act in; the first that a caller may take is the default.
    pub roles: Vec<Spanned<String>>,
    /// The last day that it is open.
    #[serde(default)]
    pub until: Option<Spanned<Date>>,
    /// The networks that it is open to.
    #[serde(default)]
    pub from: Option<Networks>,
    /// The hours that it is open at.
    #[serde(default)]
    pub hours: Option<Hours>,
    /// How often a caller may ask.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// The address that callers know the endpoint by, where another proxy stands before the gateway.
    #[serde(default)]
    pub public_url: Option<Spanned<Url>>,
    /// Names of parameters in which the upstream keeps the state of a search between its pages, besides those of common
    /// servers.
    #[serde(default)]
    pub page_parameters: Vec<String>,
    /// How it answers who asks for what its role sees nothing of.
    #[serde(default)]
    pub unseen: Unseen,
    /// What the upstream can leave out by itself.
    #[serde(default)]
    pub narrows: Vec<Narrows>,
    /// The search parameters of the upstream's own, by resource type, with the elements that each tests.
    #[serde(default)]
    pub search_parameters: Entries<Entries<Vec<Spanned<String>>>>,
}

/// The entries of a map in the order of the file, with the place of each key.
#[derive(Debug, Clone)]
pub struct Entries<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names with what belongs to each, such as { Patient: { nhs-number: [identifier] } }")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entries<T>, A::Error> {
                entries(map).map(Entries)
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

fn entries<'de, A: MapAccess<'de>, K: Deserialize<'de>, T: Deserialize<'de>>(
    mut map: A,
) -> Result<Vec<(K, T)>, A::Error> {
    let mut entries = Vec::new();
    while let Some(entry) = map.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

/// What an endpoint's upstream speaks.
#[derive(Debug, Clone)]
pub enum Serves {
    /// FHIR.
    Fhir,
    /// JSON documents of the policy, by patterns of their paths such as `/v1/members/{id}`; the first that matches counts.
    Documents(Vec<(String, Spanned<String>)>),
}

impl<'de> Deserialize<'de> for Serves {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ServesVisitor;

        impl<'de> Visitor<'de> for ServesVisitor {
            type Value = Serves;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`fhir`, or documents by path, such as { \"/v1/members/{id}\": member-record }")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Serves, E> {
                match value {
                    "fhir" => Ok(Serves::Fhir),
                    _ => Err(E::invalid_value(de::Unexpected::Other("another word"), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Serves, A::Error> {
                entries(map).map(Serves::Documents)
            }
        }

        deserializer.deserialize_any(ServesVisitor)
    }
}
