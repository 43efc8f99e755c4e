//! Validators: the version of a resource, bound to the view in which it was shown (L23).
//!
//! What a caller has is a view of a version, so its tag stands for both: under another policy, in another role or for
//! another caller the same version is another one. The upstream's own tag is not in it: it may be made of what is
//! withheld.

use super::paging::{self, Bound, PageKey};
use super::query::Parameter;

/// What stands in place of a resource type where a code is of a version.
const VERSION: &str = "version";

/// The tag of a version of a resource, which has this type and id, given the upstream's (RFC 9110, section 8.8.3). It is
/// weak: the view of a resource is written in more than one way.
pub(super) fn tag(key: &PageKey, bound: Bound<'_>, place: [&str; 2], upstream: &str) -> Option<String> {
    let code = paging::code(key, bound, VERSION, &place.join("/"), &version(upstream))?;
    Some(format!("W/\"{code}\""))
}

/// Whether this is the tag of the version, as `If-Match` and `If-None-Match` name it.
pub(super) fn bears(key: &PageKey, bound: Bound<'_>, place: [&str; 2], upstream: &str, tag: &str) -> bool {
    let text = tag.strip_prefix("W/").unwrap_or(tag);
    let code = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    code.is_some_and(|code| paging::is_code(key, bound, VERSION, &place.join("/"), &version(upstream), code))
}

fn version(upstream: &str) -> [Parameter; 1] {
    [(String::new(), upstream.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound<'_> =
        Bound { endpoint: "ehr", caller: "idp|ada", role: "front-desk", within: "", generation: "g1" };

    #[test]
    fn l23_a_validator_is_of_its_resource_its_caller_its_role_and_its_policy_alone() {
        let (key, place) = (PageKey::new([7; 32]), ["Patient", "1"]);
        let version = "W/\"canary\"";
        let given = tag(&key, BOUND, place, version).unwrap();
        assert!(given.starts_with("W/\"") && !given.contains("canary"), "{given}");
        assert!(bears(&key, BOUND, place, version, &given));
        assert!(bears(&key, BOUND, place, version, given.trim_start_matches("W/")), "weak or not, it is this one");
        for other in [
            Bound { endpoint: "other", ..BOUND },
            Bound { caller: "idp|eve", ..BOUND },
            Bound { role: "clinician", ..BOUND },
            Bound { within: "patient/Patient.rs", ..BOUND },
            Bound { generation: "g2", ..BOUND },
        ] {
            assert!(!bears(&key, other, place, version, &given), "{other:?}");
        }
        assert!(!bears(&key, BOUND, ["Patient", "2"], version, &given));
        assert!(!bears(&key, BOUND, place, "W/\"other\"", &given));
        assert!(!bears(&PageKey::new([8; 32]), BOUND, place, version, &given));
        for forged in [version, "", "*", "W/\"\"", "W/\"AAAA\"", "\"", given.trim_matches(['W', '/', '"'])] {
            assert!(!bears(&key, BOUND, place, version, forged), "{forged}");
        }
    }
}
