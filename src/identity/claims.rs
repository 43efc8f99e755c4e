//! JSON of tokens and key sets, read strictly, and the purposes that claims state.
//!
//! A member name that stands twice is refused at every depth: two readers that pick different ones would see two
//! different tokens (RFC 7515 section 4, RFC 7519 section 4).

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::model::Purpose;

/// The object that these bytes are; `None` where they are anything else, or hold a member name twice.
pub(super) fn parse_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(object))) => Some(object),
        _ => None,
    }
}

/// The purposes that the claim at `path` allows: `None` where the token says nothing, and no purpose at all where it
/// says something that isn't understood.
///
/// Read are a string of codes with spaces between, an array of codes, and IHE IUA's array of `{ system, code }`.
pub(super) fn purposes(claims: &Map<String, Value>, path: &[String]) -> Option<Vec<Purpose>> {
    let (first, rest) = path.split_first()?;
    let mut value = claims.get(first)?;
    for name in rest {
        match value {
            Value::Object(object) => value = object.get(name)?,
            _ => return Some(Vec::new()),
        }
    }
    let mut purposes = Vec::new();
    let stated = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    for code in stated.iter().filter_map(code_text).flat_map(|text| text.split(' ')) {
        if let Some(purpose) = Purpose::from_code(code)
            && !purposes.contains(&purpose)
        {
            purposes.push(purpose);
        }
    }
    Some(purposes)
}

/// The text with codes that one item states. A coding of another system isn't a purpose, whatever its code spells.
fn code_text(item: &Value) -> Option<&str> {
    const SYSTEMS: [&str; 5] = [
        "http://terminology.hl7.org/CodeSystem/v3-ActReason",
        "urn:oid:2.16.840.1.113883.5.8",
        "2.16.840.1.113883.5.8",
        "urn:oid:2.16.840.1.113883.1.11.20448",
        "2.16.840.1.113883.1.11.20448",
    ];
    match item {
        Value::String(code) => Some(code),
        Value::Object(coding) => match coding.get("system") {
            None => coding.get("code")?.as_str(),
            Some(Value::String(system)) if SYSTEMS.contains(&system.as_str()) => coding.get("code")?.as_str(),
            Some(_) => None,
        },
        _ => None,
    }
}

/// A JSON value in which no object holds a name twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrictVisitor;

        impl<'de> Visitor<'de> for StrictVisitor {
            type Value = Strict;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON without duplicate names")
            }

            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(Value::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(Value::Number(value.into())))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(Value::Number(value.into())))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Strict, E> {
                Number::from_f64(value).map(|n| Strict(Value::Number(n))).ok_or_else(|| E::custom("not finite"))
            }

            fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
                Ok(Strict(Value::String(value.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
                let mut array = Vec::new();
                while let Some(Strict(item)) = items.next_element()? {
                    array.push(item);
                }
                Ok(Strict(Value::Array(array)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
                let mut object = Map::new();
                while let Some((name, Strict(value))) = members.next_entry::<String, _>()? {
                    if object.insert(name, value).is_some() {
                        return Err(de::Error::custom("a name stands twice"));
                    }
                }
                Ok(Strict(Value::Object(object)))
            }
        }

        deserializer.deserialize_any(StrictVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stated(claims: Value) -> Option<Vec<&'static str>> {
        let path = ["purpose_of_use".to_owned()];
        let purposes = purposes(claims.as_object().unwrap(), &path)?;
        Some(purposes.into_iter().map(Purpose::code).collect())
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_every_depth() {
        assert!(parse_object(br#"{"a":1,"b":{"a":2}}"#).is_some());
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":1}"#, r#"{"x":{"a":1,"a":1}}"#, r#"{"x":[{"a":1,"a":1}]}"#]
        {
            assert!(parse_object(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in ["", "[]", "1", "{}{}", "{} x", "{\"a\":1e999}", "{\"a\":\"\u{0}\"}"] {
            assert!(parse_object(text.as_bytes()).is_none(), "{text}");
        }
        assert!(parse_object(b"{\"a\":\"\xff\"}").is_none());
        assert!(parse_object("[".repeat(100_000).as_bytes()).is_none());
    }

    #[test]
    fn purposes_are_read_from_every_form_that_issuers_use() {
        assert_eq!(stated(json!({ "purpose_of_use": "TREAT" })), Some(vec!["TREAT"]));
        assert_eq!(stated(json!({ "purpose_of_use": "TREAT HPAYMT TREAT" })), Some(vec!["TREAT", "HPAYMT"]));
        assert_eq!(stated(json!({ "purpose_of_use": ["TREAT", "nonsense"] })), Some(vec!["TREAT"]));
        let coded =
            json!([{ "system": "urn:oid:2.16.840.1.113883.1.11.20448", "code": "TREAT" }, { "code": "HPAYMT" }]);
        assert_eq!(stated(json!({ "purpose_of_use": coded })), Some(vec!["TREAT", "HPAYMT"]));
    }

    #[test]
    fn a_purpose_claim_that_is_not_understood_allows_no_purpose() {
        for value in [json!(null), json!(7), json!([]), json!("treat"), json!({ "system": "urn:x", "code": "TREAT" })] {
            assert_eq!(stated(json!({ "purpose_of_use": value })), Some(vec![]));
        }
        assert_eq!(stated(json!({})), None);
    }

    #[test]
    fn a_purpose_claim_may_stand_inside_other_claims() {
        let path = ["extensions", "ihe_iua", "purpose_of_use"].map(str::to_owned);
        let read = |claims: Value| purposes(claims.as_object().unwrap(), &path);
        assert_eq!(read(json!({ "extensions": { "ihe_iua": { "purpose_of_use": "TREAT" } } })).unwrap().len(), 1);
        assert_eq!(read(json!({ "extensions": {} })), None);
        assert_eq!(read(json!({ "extensions": "TREAT" })), Some(vec![]));
    }
}
