//! Page links: the caller's own, bound to the endpoint, the caller, the role and the policy, and for a time (L18).
//!
//! An upstream names the next page in ways of its own, so its parameters cannot be checked like a search's. Instead the
//! gateway puts a tag on each link that it hands out, and takes back what bears one: what it has not handed out to this
//! caller in this role under this policy, or too long ago, is refused. The tag must never cover a parameter that the guard
//! would refuse.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::query::Parameter;

/// The parameter that holds a link's tag: the name of what is searched, until when the link holds (seconds since 1970), and
/// the authentication code, with dots between them.
pub const TAG: &str = "_fieldgate";

/// The parameters in which servers keep the state of a search between its pages. An endpoint may name more.
const STATE: &[&str] = &[
    "_bundletype",
    "_cursor",
    "_getpages",
    "_getpagesoffset",
    "_offset",
    "_page",
    "_page_token",
    "_pageId",
    "_skip",
    "__page-id",
    "__page-offset",
    "__t",
    "__token",
    "-pageContext",
    "-pageDirection",
    "ct",
    "cursor",
    "page",
    "pageToken",
    "page_token",
    "sessionID",
];

/// The key of page links' tags. It is never printed.
pub struct PageKey(pub(super) [u8; 32]);

impl PageKey {
    /// A key of these bytes, which must have come from a random generator or from a secret by a use of its own. Gateways
    /// that serve one another's page links share it.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for PageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageKey")
    }
}

/// What a page link is bound to, besides its path and its parameters.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// The endpoint's name.
    pub endpoint: &'a str,
    /// The caller's name.
    pub caller: &'a str,
    /// The role's name.
    pub role: &'a str,
    /// How far the caller's requests reach, where that is less far than the role; empty where it is as far.
    pub within: &'a str,
    /// The generation of the policy.
    pub generation: &'a str,
}

impl<'a> Bound<'a> {
    /// The parts that tell it from another.
    pub(super) fn parts(self) -> [&'a str; 5] {
        let Self { endpoint, caller, role, within, generation } = self;
        [endpoint, caller, role, within, generation]
    }
}

/// The resource type that a query's tag names, if it has one and that is what it names. Nothing is proven by it.
pub fn claimed_type(query: &str) -> Option<&str> {
    claimed(query.split('&').find_map(|part| part.strip_prefix(TAG)?.strip_prefix('='))?)
}

/// What a tag names. Nothing is proven by it.
pub(super) fn claimed(tag: &str) -> Option<&str> {
    tag.split_once('.').map(|(searched, _)| searched)
}

/// Whether a parameter holds the state of a search between its pages.
pub(super) fn is_state(name: &str, more: &[Box<str>]) -> bool {
    STATE.contains(&name) || more.iter().any(|known| **known == *name)
}

/// The tag of a link that holds until then.
pub(super) fn tag(
    key: &PageKey,
    bound: Bound<'_>,
    until: i64,
    searched: &str,
    path: &str,
    parameters: &[Parameter],
) -> Option<String> {
    let named = format!("{searched}.{until}");
    Some(format!("{named}.{}", code(key, bound, &named, path, parameters)?))
}

/// Whether this is the tag of the link, and holds now.
pub(super) fn bears(
    key: &PageKey,
    bound: Bound<'_>,
    now: i64,
    searched: &str,
    path: &str,
    parameters: &[Parameter],
    tag: &str,
) -> bool {
    let Some((named, code)) = tag.rsplit_once('.') else { return false };
    let until = named.split_once('.').filter(|(claimed, _)| *claimed == searched).map(|(_, until)| until);
    let holds = until.and_then(|until| until.parse().ok()).is_some_and(|until: i64| now <= until);
    holds && is_code(key, bound, named, path, parameters, code)
}

/// The authentication code of a link, as text.
pub(super) fn code(
    key: &PageKey,
    bound: Bound<'_>,
    searched: &str,
    path: &str,
    parameters: &[Parameter],
) -> Option<String> {
    let code = mac(key, bound, searched, path, parameters)?.finalize().into_bytes();
    Some(URL_SAFE_NO_PAD.encode(code))
}

/// Whether this is the authentication code of the link.
pub(super) fn is_code(
    key: &PageKey,
    bound: Bound<'_>,
    searched: &str,
    path: &str,
    parameters: &[Parameter],
    code: &str,
) -> bool {
    match (URL_SAFE_NO_PAD.decode(code), mac(key, bound, searched, path, parameters)) {
        (Ok(code), Some(mac)) => mac.verify_slice(&code).is_ok(),
        _ => false,
    }
}

/// `None` never happens: HMAC takes keys of any length. Nothing bears a tag where it did.
fn mac(key: &PageKey, bound: Bound<'_>, searched: &str, path: &str, parameters: &[Parameter]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).ok()?;
    mac.update(&joined(["fieldgate page link"].into_iter().chain(bound.parts()).chain([searched, path])));
    mac.update(&joined(parameters.iter().flat_map(|(name, value)| [&**name, &**value])));
    Some(mac)
}

/// Parts as one text.
pub(super) fn joined<'a>(parts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut text = Vec::new();
    for part in parts {
        // INVARIANT: each part is preceded by its length, so that no two lists of parts are one text.
        text.extend((part.len() as u64).to_be_bytes());
        text.extend(part.as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound<'_> =
        Bound { endpoint: "ehr", caller: "idp|ada", role: "front-desk", within: "", generation: "g1" };
    const NOW: i64 = 1_800_000_000;

    fn page() -> Vec<Parameter> {
        vec![("_getpages".into(), "1".into()), ("_getpagesoffset".into(), "20".into())]
    }

    #[test]
    fn l18_a_tag_holds_for_its_link_its_caller_its_role_and_its_policy_alone() {
        let key = PageKey::new([7; 32]);
        let given = tag(&key, BOUND, NOW + 60, "Patient", "/", &page()).unwrap();
        let bears = |key: &PageKey, bound, searched: &str, path: &str, page: &[Parameter], tag: &str| {
            bears(key, bound, NOW, searched, path, page, tag)
        };
        assert!(bears(&key, BOUND, "Patient", "/", &page(), &given));
        for other in [
            Bound { endpoint: "other", ..BOUND },
            Bound { caller: "idp|eve", ..BOUND },
            Bound { role: "clinician", ..BOUND },
            Bound { within: "patient/Patient.rs", ..BOUND },
            Bound { generation: "g2", ..BOUND },
        ] {
            assert!(!bears(&key, other, "Patient", "/", &page(), &given), "{other:?}");
        }
        assert!(!bears(&PageKey::new([8; 32]), BOUND, "Patient", "/", &page(), &given));
        assert!(!bears(&key, BOUND, "Observation", "/", &page(), &given));
        assert!(!bears(&key, BOUND, "Patient", "/Patient", &page(), &given));
        let mut changed = page();
        changed[1].1 = "40".into();
        assert!(!bears(&key, BOUND, "Patient", "/", &changed, &given));
        let mut shifted = page();
        shifted[0] = ("_getpages1".into(), String::new());
        assert!(!bears(&key, BOUND, "Patient", "/", &shifted, &given));
        for wrong in [
            "",
            "Patient",
            "Patient.",
            "Patient.AAAA",
            "Patient.1800000060.AAAA",
            &given.replace("Patient", "Observation"),
            &given.replace("1800000060", "1800000061"),
        ] {
            assert!(!bears(&key, BOUND, "Patient", "/", &page(), wrong), "{wrong}");
        }
    }

    #[test]
    fn l18_a_tag_holds_until_its_time_is_over() {
        let key = PageKey::new([7; 32]);
        let given = tag(&key, BOUND, NOW, "Patient", "/", &page()).unwrap();
        let holds_at = |now| bears(&key, BOUND, now, "Patient", "/", &page(), &given);
        assert!(holds_at(NOW - 60) && holds_at(NOW));
        assert!(!holds_at(NOW + 1));
    }

    #[test]
    fn the_claimed_type_is_read_from_the_tag() {
        assert_eq!(claimed_type("_getpages=1&_fieldgate=Patient.1800000000.abc"), Some("Patient"));
        assert_eq!(claimed_type("_getpages=1"), None);
        assert_eq!(claimed_type("_fieldgate=abc"), None);
    }
}
