//! Leads the upstream's addresses back through the gateway (L08).
//!
//! An address that is not the upstream's own, or leads to what the role does not see, is withheld.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::endpoint::Endpoint;
use super::onward::Step;
use super::{Decided, Gateway};
use crate::fhir::Interaction;
use crate::guard::Guard;
use crate::guard::onward::From;
use crate::guard::sealed::Place;
use crate::model::Role;
use crate::net::address::CanonicalPath;
use crate::policy::Reach;
use crate::redact::transform::Addresses;

/// The addresses in one answer.
pub(super) struct Links {
    gateway: Arc<Gateway>,
    endpoint: Arc<Endpoint>,
    caller: String,
    role: Role,
    /// Where the caller reaches the endpoint, without a slash at the end.
    public: String,
    /// What the request has asked.
    interaction: Option<Interaction>,
    /// What it has searched.
    searched: Option<String>,
    /// What the answer may hold.
    holds: Option<Vec<Box<str>>>,
    reach: Option<Arc<Reach>>,
    /// What was put into the request.
    narrowing: Vec<(Box<str>, Box<str>)>,
    now: Timestamp,
}

impl Links {
    pub(super) fn new(gateway: &Arc<Gateway>, decided: &Decided) -> Self {
        let Decided { endpoint, caller, permit, public, admission, interaction, narrowing, step, now, .. } = decided;
        Self {
            gateway: Arc::clone(gateway),
            endpoint: Arc::clone(endpoint),
            caller: caller.clone(),
            role: permit.role().clone(),
            public: public.clone(),
            interaction: interaction.clone(),
            // An export's manifest says what was asked.
            searched: if *step == Step::Begin { admission.query.clone() } else { admission.searched.clone() },
            holds: admission.holds.clone(),
            reach: permit.reach().cloned(),
            narrowing: narrowing.clone(),
            now: *now,
        }
    }

    fn guard(&self) -> Option<Guard<'_>> {
        self.gateway.guard(&self.endpoint, &self.caller, &self.role, self.reach.as_deref(), self.now)
    }

    fn link(&self, path: &CanonicalPath, query: Option<&str>) -> Option<String> {
        self.guard()?.link_within(&self.narrowing, path, query, self.searched.as_deref())
    }

    fn from(&self) -> Option<From<'_>> {
        let (searched, holds) = (self.searched.as_deref(), self.holds.as_deref());
        Some(From { interaction: self.interaction.as_ref()?, searched, holds })
    }

    /// The path and query of an address below the upstream's URL.
    fn below(&self, address: &str) -> Option<(CanonicalPath, Option<String>)> {
        let url = Url::parse(address).ok()?;
        Some((below(self.endpoint.upstream.base(), &url)?, url.query().map(str::to_owned)))
    }

    /// The address of a link to a place of an export, which holds these resources; `None` where it is not below the
    /// upstream's URL.
    pub(super) fn lead(&self, place: Place, holds: Option<&[Box<str>]>, address: &str) -> Option<String> {
        let (path, query) = self.below(address)?;
        let from = From { holds, ..self.from()? };
        let link = self.guard()?.lead(place, from, &path, query.as_deref())?;
        Some(format!("{}{link}", self.public))
    }
}

impl Addresses for Links {
    fn rewrite<'t>(&self, address: &'t str) -> Option<Cow<'t, str>> {
        if is_urn(address) {
            return Some(Cow::Borrowed(address));
        }
        if !self.endpoint.serves.is_fhir() {
            return None;
        }
        if let Ok(url) = Url::parse(address) {
            let path = below(self.endpoint.upstream.base(), &url)?;
            return Some(format!("{}{}", self.public, self.link(&path, url.query())?).into());
        }
        // A relative one starts with a resource type and stays as short as it is.
        if !address.starts_with(|first: char| first.is_ascii_uppercase()) || address.contains('#') {
            return None;
        }
        let (path, query) = address.split_once('?').map_or((address, None), |(path, query)| (path, Some(query)));
        let link = self.link(&CanonicalPath::parse(&format!("/{path}")).ok()?, query)?;
        link.strip_prefix('/').map(|link| link.to_owned().into())
    }

    fn page<'t>(&self, address: &'t str) -> Option<Cow<'t, str>> {
        if let Some(rewritten) = self.rewrite(address) {
            return Some(rewritten);
        }
        let (path, query) = self.below(address)?;
        let page = self.guard()?.page(self.from()?, &path, query.as_deref())?;
        Some(format!("{}{page}", self.public).into())
    }
}

/// The path of an address below an upstream's URL.
fn below(base: &Url, url: &Url) -> Option<CanonicalPath> {
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if !plain || url.origin() != base.origin() {
        return None;
    }
    CanonicalPath::parse(url.path()).ok()?.strip_prefix(&CanonicalPath::parse(base.path()).ok()?)
}

/// Names that lead nowhere: `urn:uuid:` with a UUID, `urn:oid:` with an OID.
fn is_urn(address: &str) -> bool {
    if let Some(uuid) = address.strip_prefix("urn:uuid:") {
        return uuid.len() == 36 && uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    }
    let oid = address.strip_prefix("urn:oid:");
    oid.is_some_and(|oid| !oid.is_empty() && oid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l08_only_addresses_below_the_upstreams_url_have_a_path() {
        let base = Url::parse("https://ehr.internal/fhir").unwrap();
        let path = |address: &str| below(&base, &Url::parse(address).unwrap()).map(|path| path.as_str().to_owned());
        assert_eq!(path("https://ehr.internal/fhir/Patient/1").as_deref(), Some("/Patient/1"));
        assert_eq!(path("https://ehr.internal:443/fhir").as_deref(), Some("/"));
        for foreign in [
            "http://ehr.internal/fhir/Patient/1",
            "https://ehr.internal.evil.example/fhir/Patient/1",
            "https://user@ehr.internal/fhir/Patient/1",
            "https://ehr.internal/fhir/../admin",
            "https://ehr.internal/fhirs/Patient/1",
            "https://ehr.internal/fhir/Patient/1#part",
            "mailto:ada@ehr.internal",
        ] {
            assert_eq!(path(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn names_that_lead_nowhere_are_told_by_their_form() {
        assert!(is_urn("urn:uuid:c757873d-ec9a-4326-a141-556f43239520"));
        assert!(is_urn("urn:oid:1.2.3"));
        for other in ["urn:uuid:ada@example.org", "urn:oid:", "urn:isbn:1", "uuid"] {
            assert!(!is_urn(other), "{other}");
        }
    }
}
