//! The claim `scope` of a token, read as SMART App Launch 2.2 writes it.
//!
//! What starts like a scope for resources and isn't one that is understood still bounds the token: it allows nothing. It
//! is never passed over, since a token without scopes may do all that its bearer's role may.

use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::model::{Actions, Level, Scope, Scopes};

/// The scopes for resources that the claims carry; `None` where they carry none. A claim of another form than a text or
/// a list of texts carries some that allow nothing.
pub(super) fn of(claims: &Map<String, Value>) -> Option<Scopes> {
    let texts = match claims.get("scope")? {
        Value::String(text) => vec![text.as_str()],
        Value::Array(items) => match items.iter().map(Value::as_str).collect::<Option<Vec<_>>>() {
            Some(texts) => texts,
            None => return Some(Scopes::default()),
        },
        _ => return Some(Scopes::default()),
    };
    let words = texts.into_iter().flat_map(str::split_whitespace);
    let mut scopes: Option<Scopes> = None;
    for (level, rest) in words.filter_map(resources) {
        let read = level.and_then(|level| scope(level, rest));
        scopes.get_or_insert_default().granted.extend(read);
    }
    scopes
}

/// The level of a scope for resources and what comes behind it. In other letters than the standard's it is such a scope
/// all the same, of no level.
fn resources(word: &str) -> Option<(Option<Level>, &str)> {
    let (level, rest) = word.split_once('/')?;
    if !Level::ALL.iter().any(|known| known.as_str().eq_ignore_ascii_case(level)) {
        return None;
    }
    Some((Level::ALL.into_iter().find(|known| known.as_str() == level), rest))
}

/// `Observation.rs?category=laboratory`, `*.read`; `None` where it can't be read.
fn scope(level: Level, text: &str) -> Option<Scope> {
    let (what, query) = text.split_once('?').map_or((text, None), |(what, query)| (what, Some(query)));
    let (of, letters) = what.split_once('.')?;
    let of = match of {
        "*" => None,
        name if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()) => Some(name.into()),
        _ => return None,
    };
    let parameters = match query {
        None => Vec::new(),
        // The `?` says that there is a condition: where it says none, nobody knows which.
        Some(query) => {
            let pairs: Vec<(Box<str>, Box<str>)> =
                form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into(), value.into())).collect();
            if pairs.is_empty() || pairs.iter().any(|(name, value)| name.is_empty() || value.is_empty()) {
                return None;
            }
            pairs
        }
    };
    Some(Scope { level, of, actions: actions(letters)?, parameters })
}

/// Some of `cruds` in this order, or what SMART App Launch 1 wrote for them.
fn actions(letters: &str) -> Option<Actions> {
    match letters {
        "read" => return Some(Actions::READ.or(Actions::SEARCH)),
        "write" => return Some(Actions::CREATE.or(Actions::UPDATE).or(Actions::DELETE)),
        "*" => return actions("cruds"),
        _ => {}
    }
    let mut known = Actions::LETTERS.iter();
    let actions = letters.chars().try_fold(Actions::NONE, |all, letter| {
        known.find(|(_, known)| *known == letter).map(|(action, _)| all.or(*action))
    });
    actions.filter(|actions| *actions != Actions::NONE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(claim: Value) -> Option<Vec<String>> {
        let claims = json!({ "scope": claim });
        let scopes = of(claims.as_object().unwrap())?;
        let tell = |scope: &Scope| {
            let parameters: String = scope.parameters.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{} {} {}{parameters}", scope.level.as_str(), scope.of.as_deref().unwrap_or("*"), scope.actions)
        };
        Some(scopes.granted.iter().map(tell).collect())
    }

    #[test]
    fn scopes_for_resources_are_read_from_a_text_and_from_a_list() {
        let expected = ["patient Observation rs", "user * cruds", "system Patient d"].map(str::to_owned).to_vec();
        let text = "openid patient/Observation.rs launch/patient user/*.cruds fhirUser system/Patient.d";
        assert_eq!(told(json!(text)), Some(expected.clone()));
        let list = ["openid", "patient/Observation.rs", "user/*.cruds system/Patient.d", "offline_access"];
        assert_eq!(told(json!(list)), Some(expected));
    }

    #[test]
    fn the_words_of_version_1_are_mapped() {
        let words = "patient/*.read user/Patient.write system/Patient.*";
        let expected = ["patient * rs", "user Patient cud", "system Patient cruds"].map(str::to_owned).to_vec();
        assert_eq!(told(json!(words)), Some(expected));
    }

    #[test]
    fn the_parameters_of_a_granular_scope_are_decoded() {
        let scope = "patient/Observation.rs?category=http%3A%2F%2Fx%7Claboratory&status=final";
        let expected = "patient Observation rs category=http://x|laboratory status=final".to_owned();
        assert_eq!(told(json!(scope)), Some(vec![expected]));
    }

    #[test]
    fn other_scopes_are_none_for_resources() {
        assert_eq!(told(json!("openid fhirUser launch launch/patient offline_access online_access profile")), None);
        assert_eq!(told(json!("")), None);
        assert_eq!(told(json!([])), None);
        assert_eq!(of(json!({}).as_object().unwrap()), None);
    }

    #[test]
    fn what_can_not_be_read_bounds_and_allows_nothing() {
        for malformed in [
            "patient/Observation",
            "patient/Observation.",
            "patient/.rs",
            "patient/Observation.sr",
            "patient/Observation.rr",
            "patient/Observation.x",
            "patient/Observation.Read",
            "patient/Obs*.rs",
            "patient/**.rs",
            "patient/Observation.rs?",
            "patient/Observation.rs?category",
            "patient/Observation.rs?category=",
            "patient/Observation.rs?=x",
            "Patient/Observation.rs",
            "USER/*.cruds",
            "patient/",
            "openid\tuser/Observation.x",
        ] {
            assert_eq!(told(json!(malformed)), Some(vec![]), "{malformed}");
        }
        for claim in [json!(7), json!(null), json!({ "a": "b" }), json!(["user/*.rs", 7])] {
            assert_eq!(told(claim), Some(vec![]));
        }
    }
}
