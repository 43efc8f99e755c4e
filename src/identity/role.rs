//! Who may act as what: the gateway file's `roles:`.
//!
//! A rule speaks of a caller only if it names what proved it: `issuer` for tokens, `api_key` for keys, `certificate` for
//! certificates. So a token that comes over a vendor's connection never gets the rights of that vendor's certificate.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{Identity, sha256_of_hex};
use crate::model::{Caller, CertificateIdentity, Proof, Role};

/// One entry of `roles:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    /// A role of the policy file.
    pub role: String,
    /// Who may act in it.
    pub when: Condition,
}

/// What must hold of a caller; all that is stated must.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// The caller is proven by a token of this issuer.
    pub issuer: Option<String>,
    /// The token's claims, by name.
    pub claims: BTreeMap<String, ClaimCondition>,
    /// The connection's client certificate.
    pub certificate: Option<CertificateCondition>,
    /// The caller is proven by the API key with this name.
    pub api_key: Option<String>,
}

/// What a claim must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimCondition {
    /// One of these values: the claim is one of them, or an array with one of them in it.
    AnyOf(Vec<Value>),
    /// An object in which these claims hold.
    Inside(BTreeMap<String, ClaimCondition>),
}

/// What the client certificate must have; all that is stated must.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateCondition {
    /// A subject alternative name of type URI, exactly.
    pub san_uri: Option<String>,
    /// A subject alternative name of type DNS, in any case.
    pub san_dns: Option<String>,
    /// The subject in the form of RFC 4514, exactly.
    pub subject: Option<String>,
    /// SHA-256 of the certificate in hex; colons between bytes are fine.
    pub fingerprint: Option<String>,
}

/// A rule that can't mean what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("roles[{index}] (role `{role}`): {problem}")]
pub struct RoleMapError {
    /// The position of the rule in the list, from 0.
    pub index: usize,
    /// Its role.
    pub role: String,
    /// The mistake and what to do.
    pub problem: &'static str,
}

/// The roles that callers may act in.
#[derive(Debug)]
pub struct RoleMap {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    role: Role,
    when: Condition,
    fingerprint: Option<[u8; 32]>,
}

impl RoleMap {
    /// Checks the rules: that each can match, and that what it names exists in `identity`.
    ///
    /// # Errors
    /// The first rule with a mistake.
    pub fn new(rules: &[RoleRule], identity: &Identity) -> Result<Self, RoleMapError> {
        let checked = rules.iter().enumerate().map(|(index, rule)| {
            Rule::new(rule, identity).map_err(|problem| RoleMapError { index, role: rule.role.clone(), problem })
        });
        Ok(Self { rules: checked.collect::<Result<_, _>>()? })
    }

    /// Every role that a rule gives, in the order of the rules; the policy must have them all.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.rules.iter().map(|rule| &rule.role)
    }

    /// The roles that the caller may act in, each once, in the order of the rules; none where no rule speaks of it.
    pub fn roles_of(&self, caller: &Caller) -> Vec<Role> {
        let mut roles = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.holds(caller)) {
            if !roles.contains(&rule.role) {
                roles.push(rule.role.clone());
            }
        }
        roles
    }
}

impl Rule {
    fn new(rule: &RoleRule, identity: &Identity) -> Result<Self, &'static str> {
        let Condition { issuer, claims, certificate, api_key } = &rule.when;
        if rule.role.is_empty() {
            return Err("`role` is the name of a role of the policy file");
        }
        if issuer.is_none() && !claims.is_empty() {
            return Err("`claims` needs `issuer` beside it: claims count only for the issuer that makes them");
        }
        if issuer.is_none() && certificate.is_none() && api_key.is_none() {
            return Err("`when` must name what proves the caller: issuer, certificate or api_key");
        }
        if issuer.is_some() && api_key.is_some() {
            return Err("it never matches: a caller has either a token or an API key");
        }
        if issuer.as_ref().is_some_and(|issuer| !identity.knows_issuer(issuer)) {
            return Err("`issuer` isn't one of identity: tokens:");
        }
        if api_key.as_ref().is_some_and(|name| !identity.knows_api_key(name)) {
            return Err("`api_key` isn't the name of a key in the file of identity: api_keys:");
        }
        if claims.values().any(ClaimCondition::is_empty) {
            return Err("a claim of `when` states no value");
        }
        let mut fingerprint = None;
        if let Some(CertificateCondition { san_uri, san_dns, subject, fingerprint: stated }) = certificate {
            if let Some(stated) = stated {
                let digest = sha256_of_hex(&stated.replace(':', ""));
                fingerprint = Some(digest.ok_or("`fingerprint` is the certificate's SHA-256 as 64 hex digits")?);
            }
            if [san_uri, san_dns, subject, stated].iter().all(|stated| stated.is_none()) {
                return Err("`certificate` must state san_uri, san_dns, subject or fingerprint");
            }
        }
        Ok(Self { role: Role::new(&rule.role), when: rule.when.clone(), fingerprint })
    }

    fn holds(&self, caller: &Caller) -> bool {
        let Condition { issuer, claims, certificate, api_key } = &self.when;
        let speaks_of_it = match caller.proof {
            Proof::Certificate => certificate.is_some(),
            Proof::Token | Proof::BoundToken => issuer.is_some(),
            Proof::ApiKey => api_key.is_some(),
        };
        speaks_of_it
            && (issuer.is_none() || *issuer == caller.issuer)
            && (api_key.is_none() || *api_key == caller.api_key)
            && all_hold(claims, &caller.claims, true)
            && match (certificate, &caller.certificate) {
                (None, _) => true,
                (Some(condition), Some(presented)) => self.certificate_holds(condition, presented),
                (Some(_), None) => false,
            }
    }

    fn certificate_holds(&self, condition: &CertificateCondition, presented: &CertificateIdentity) -> bool {
        let CertificateCondition { san_uri, san_dns, subject, fingerprint: _ } = condition;
        san_uri.as_ref().is_none_or(|uri| presented.san_uri.contains(uri))
            && san_dns.as_ref().is_none_or(|dns| presented.san_dns.iter().any(|own| own.eq_ignore_ascii_case(dns)))
            && subject.as_ref().is_none_or(|subject| presented.subject == *subject)
            && self.fingerprint.is_none_or(|fingerprint| presented.fingerprint == fingerprint)
    }
}

fn all_hold(conditions: &BTreeMap<String, ClaimCondition>, claims: &Map<String, Value>, outermost: bool) -> bool {
    conditions.iter().all(|(name, condition)| match (condition, claims.get(name)) {
        (ClaimCondition::Inside(inner), Some(Value::Object(object))) => all_hold(inner, object, false),
        (ClaimCondition::AnyOf(wanted), Some(Value::Array(items))) => items.iter().any(|item| wanted.contains(item)),
        // The claim `scope` is a list with spaces between (RFC 8693 section 4.2).
        (ClaimCondition::AnyOf(wanted), Some(Value::String(list))) if outermost && name == "scope" => {
            list.split(' ').any(|scope| wanted.iter().any(|wanted| wanted == scope))
        }
        (ClaimCondition::AnyOf(wanted), Some(value)) => wanted.contains(value),
        (ClaimCondition::Inside(_), Some(_)) | (_, None) => false,
    })
}

impl ClaimCondition {
    fn is_empty(&self) -> bool {
        match self {
            Self::AnyOf(values) => values.is_empty(),
            Self::Inside(inner) => inner.is_empty() || inner.values().any(Self::is_empty),
        }
    }
}

impl<'de> Deserialize<'de> for ClaimCondition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConditionVisitor;

        impl<'de> Visitor<'de> for ConditionVisitor {
            type Value = ClaimCondition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, true or false, a list of them, or nested claims")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<ClaimCondition, E> {
                Ok(ClaimCondition::AnyOf(vec![value.into()]))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<ClaimCondition, E> {
                Ok(ClaimCondition::AnyOf(vec![value.into()]))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<ClaimCondition, E> {
                Ok(ClaimCondition::AnyOf(vec![value.into()]))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<ClaimCondition, E> {
                Ok(ClaimCondition::AnyOf(vec![value.into()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ClaimCondition, A::Error> {
                let mut values = Vec::new();
                while let Some(item) = items.next_element()? {
                    match item {
                        ClaimCondition::AnyOf(value) => values.extend(value),
                        ClaimCondition::Inside(_) => return Err(de::Error::custom("a list holds values only")),
                    }
                }
                Ok(ClaimCondition::AnyOf(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ClaimCondition, A::Error> {
                let mut inner = BTreeMap::new();
                while let Some((name, condition)) = members.next_entry::<String, ClaimCondition>()? {
                    inner.insert(name, condition);
                }
                Ok(ClaimCondition::Inside(inner))
            }
        }

        deserializer.deserialize_any(ConditionVisitor)
    }
}
