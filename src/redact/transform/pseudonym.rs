//! Pseudonyms: keyed, the same within a domain, unlinkable across domains (HMAC-SHA256 cut to 128 bits).
//!
//! A pseudonym is 32 lower-case hexadecimal digits, which is a FHIR id. A resource's id and a reference to it agree: the
//! pseudonym of a reference is that of the bare id. What stands beside the id in a reference stays only where it is the
//! name of a type; the address of the upstream and the version do not.

use super::Secret;

/// The pseudonym of the whole text. `None` for an empty one.
pub(super) fn of_value(text: &str, domain: &str, secret: &Secret) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let digest = secret.digest("pseudonym", domain, text)?;
    Some(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// The reference with a pseudonym in place of its id:
///
/// | reference | result, where p is the pseudonym of the id |
/// | --- | --- |
/// | `Patient/1`, `https://…/Patient/1`, `Patient/1/_history/2` | `Patient/p` |
/// | `urn:uuid:1`, `urn:oid:1` | `urn:uuid:p`, with the hyphens of a UUID |
/// | `#1` | `#p`; `#` alone, the container, stays |
/// | `1` | `p` |
///
/// `None` for anything else, such as a search (`Patient?identifier=1`).
pub(super) fn of_reference(text: &str, domain: &str, secret: &Secret) -> Option<String> {
    let pseudonym = |id: &str| of_value(id, domain, secret);
    match Reference::parse(text)? {
        Reference::Container => Some("#".to_owned()),
        Reference::Fragment(id) => Some(format!("#{}", pseudonym(id)?)),
        Reference::Bare(id) => pseudonym(id),
        Reference::Typed { type_name, id } => Some(format!("{type_name}/{}", pseudonym(id)?)),
        Reference::Urn(id) => {
            let p = pseudonym(id)?;
            let group = |range| p.get(range);
            Some(format!(
                "urn:uuid:{}-{}-{}-{}-{}",
                group(0..8)?,
                group(8..12)?,
                group(12..16)?,
                group(16..20)?,
                group(20..32)?
            ))
        }
    }
}

/// The id of an id or reference. `None` where it names nothing outside the resource that it stands in.
pub(super) fn bare_id(text: &str) -> Option<&str> {
    match Reference::parse(text)? {
        Reference::Container | Reference::Fragment(_) => None,
        Reference::Bare(id) | Reference::Urn(id) | Reference::Typed { id, .. } => Some(id),
    }
}

enum Reference<'a> {
    Container,
    Fragment(&'a str),
    Bare(&'a str),
    Typed { type_name: &'a str, id: &'a str },
    Urn(&'a str),
}

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(fragment) = text.strip_prefix('#') {
            return Some(if fragment.is_empty() { Self::Container } else { Self::Fragment(fragment) });
        }
        if text.contains(['?', '#', '|']) {
            return None;
        }
        if let Some(id) = text.strip_prefix("urn:uuid:").or_else(|| text.strip_prefix("urn:oid:")) {
            return (!id.is_empty()).then_some(Self::Urn(id));
        }
        let current = match text.split_once("/_history/") {
            Some((current, version)) => (!version.is_empty() && !version.contains('/')).then_some(current)?,
            None => text,
        };
        let Some((before, id)) = current.rsplit_once('/') else {
            return (!current.is_empty()).then_some(Self::Bare(current));
        };
        let type_name = before.rsplit_once('/').map_or(before, |(_, type_name)| type_name);
        (is_type_name(type_name) && !id.is_empty()).then_some(Self::Typed { type_name, id })
    }
}

/// Letters that start with a capital one, as each FHIR resource type is named.
fn is_type_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret() -> Secret {
        Secret::new(*b"0123456789abcdef0123456789abcdef").unwrap()
    }

    fn value(text: &str) -> String {
        of_value(text, "research", &secret()).unwrap()
    }

    fn reference(text: &str) -> Option<String> {
        of_reference(text, "research", &secret())
    }

    #[test]
    fn a_pseudonym_is_what_another_hmac_makes_it() {
        assert_eq!(value("123"), "3d6927cc8ffce6dda7bf58a23b137d04");
    }

    #[test]
    fn an_id_and_a_reference_to_it_agree() {
        let p = value("123");
        for text in [
            "Patient/123",
            "https://ehr.example/fhir/Patient/123",
            "Patient/123/_history/2",
            "http://a/Patient/123/_history/2",
        ] {
            assert_eq!(reference(text).unwrap(), format!("Patient/{p}"), "{text}");
        }
        assert_eq!(reference("123").unwrap(), p);
        assert_eq!(reference("#123").unwrap(), format!("#{p}"));
        assert_eq!(reference("#").unwrap(), "#");
        for text in ["urn:uuid:123", "urn:oid:123"] {
            let urn = reference(text).unwrap();
            assert_eq!(urn.replace('-', ""), format!("urn:uuid:{p}"));
            assert_eq!(urn.len(), "urn:uuid:c757873d-ec9a-4665-aa26-8a57d1d9e3a1".len());
        }
    }

    #[test]
    fn the_pseudonym_of_a_value_shows_nothing_of_its_shape() {
        for text in ["Anna/Smith", "#12345", "urn:uuid:123", "MRN/123"] {
            let p = value(text);
            assert!(
                p.len() == 32 && p.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)),
                "{p}"
            );
        }
    }

    #[test]
    fn a_reference_of_no_known_shape_is_withheld() {
        for text in [
            "",
            "/",
            "Patient/",
            "/123",
            "Patient//",
            "patient/123",
            "Pat1ent/123",
            "Patient?identifier=a|123",
            "Patient/123?x=y",
            "Patient/123#part",
            "http://host",
            "http://host/",
            "Patient/123/",
            "Patient/123/_history/",
            "Patient/123/_history/1/2",
            "urn:uuid:",
            "Questionnaire/1|2",
            "/_history/1",
        ] {
            assert_eq!(reference(text), None, "{text}");
        }
        assert_eq!(of_value("", "research", &secret()), None);
    }

    proptest! {
        #[test]
        fn pseudonyms_of_other_domains_secrets_and_values_differ(text in ".{1,20}", other in ".{1,20}", domain in "[a-z:]{0,8}") {
            let one = of_value(&text, &domain, &secret());
            prop_assert_eq!(&of_value(&text, &domain, &secret()), &one);
            prop_assert_ne!(&of_value(&text, &format!("{domain}x"), &secret()), &one);
            prop_assert_ne!(&of_value(&text, &domain, &Secret::new([1; 32]).unwrap()), &one);
            prop_assert!(other == text || of_value(&other, &domain, &secret()) != one);
        }

        #[test]
        fn no_reference_shows_its_id(id in "[a-z0-9-]{9,36}", base in "(|https://ehr\\.internal/fhir/)", version in "(|/_history/77)") {
            let shown = reference(&format!("{base}Patient/{id}{version}")).unwrap();
            prop_assert_eq!(shown, format!("Patient/{}", value(&id)));
        }
    }
}
