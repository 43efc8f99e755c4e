//! Transforms: what a value becomes that is neither shown nor hidden.
//!
//! Each is a pure function of the text, the transform and what the response gives ([`Given`]). `None` means that the
//! value is not of a form that the transform can take; the caller withholds it. Nothing here shows what it was not sure
//! to understand.

mod date;
mod mask;
mod number;
mod pseudonym;
mod secret;
mod zip;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::civil::Date;

pub use self::secret::{Secret, SecretTooShort};
use super::bounds::Bounds;
use super::plan::Kinds;

/// What happens to a scalar that is neither shown as it is nor hidden.
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// Characters of a string replaced; the length kept up to 12 characters, then fixed at 12. A string that has no more
    /// than the characters to keep, or of which 12 and more would be kept, is replaced as a whole.
    Mask {
        /// How many characters at the start stay.
        keep_first: usize,
        /// How many characters at the end stay.
        keep_last: usize,
        /// What stands for each other character.
        with: char,
    },
    /// The first characters of a string.
    Truncate(usize),
    /// The year of a FHIR date, dateTime or instant.
    Year(DateForm),
    /// The year and month of a FHIR date, dateTime or instant.
    Month(DateForm),
    /// The year of a birth date, and nothing where the age is over 89 (45 CFR 164.514(b)(2)(i)(C)).
    BirthYear,
    /// The first three digits of a US ZIP code, 000 for sparsely peopled areas (45 CFR 164.514(b)(2)(i)(B)).
    Zip3,
    /// A date moved by a keyed number of days in ±n and never by 0, the same for every date of one patient.
    ShiftDays(u16),
    /// A number rounded to a multiple of this decimal.
    Round(Box<str>),
    /// A keyed pseudonym of the whole string, stable within the domain and unlinkable across domains.
    Pseudonym {
        /// The domain.
        domain: Box<str>,
    },
    /// A reference whose id becomes what [`Transform::Pseudonym`] makes of that id, and whose shape stays.
    PseudonymReference {
        /// The domain.
        domain: Box<str>,
    },
    /// A constant in place of any string.
    Replace(Box<str>),
    /// An address led back through the gateway ([`Addresses::rewrite`]).
    Address,
    /// An address of a page of what was asked for ([`Addresses::page`]).
    Page,
    /// The path of an element, of names, dots and places (`Patient.name[0].given`); what is more than that, such as a condition
    /// with a value in it, is withheld.
    Path,
    /// A reference, kept as it is unless it leads to a part (`#id`) that was withheld. That is for the caller to decide,
    /// who knows the parts: [`Transform::apply`] keeps each.
    Reference,
}

/// The form that a generalised date must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateForm {
    /// May be cut to a year or to a year and month (date, dateTime).
    Partial,
    /// Must stay a whole instant: `2015-01-01T00:00:00Z`.
    Instant,
}

/// Leads addresses of the upstream back through the gateway.
pub trait Addresses: Send + Sync {
    /// The address as the caller may see it, borrowed where it stays as it is; `None` where it may not be seen at all.
    fn rewrite<'t>(&self, address: &'t str) -> Option<Cow<'t, str>>;

    /// The same, where it is that of a page of what was asked for, which may be at a place of the upstream's own.
    fn page<'t>(&self, address: &'t str) -> Option<Cow<'t, str>> {
        self.rewrite(address)
    }
}

/// What a response gives to its plan.
#[derive(Clone, Default)]
pub struct Given {
    /// The day on which ages are counted; without one nothing that counts them is shown.
    pub today: Option<Date>,
    /// The secret from which pseudonyms and date shifts are derived; without one they withhold.
    pub secret: Option<Arc<Secret>>,
    /// Where addresses lead; without it they are withheld.
    pub addresses: Option<Arc<dyn Addresses>>,
    /// What of the plan's objects the response may hold; without them, each.
    pub bounds: Option<Arc<Bounds>>,
}

impl Transform {
    /// What stands in place of `text`: the unescaped string, or for [`Transform::Round`] the number as it is written.
    ///
    /// `subject` is the patient whose value it is, an id or a reference to one. `None` withholds the value: it is not of
    /// a form that the transform takes, or what the transform needs is not given. What stays as it is is borrowed.
    pub fn apply<'t>(&self, text: &'t str, given: &Given, subject: Option<&str>) -> Option<Cow<'t, str>> {
        let made = match self {
            Self::Mask { keep_first, keep_last, with } => mask::mask(text, *keep_first, *keep_last, *with),
            Self::Truncate(most) => mask::truncate(text, *most),
            Self::Year(form) => date::year(text, *form),
            Self::Month(form) => date::month(text, *form),
            Self::BirthYear => date::birth_year(text, given.today?),
            Self::Zip3 => zip::zip3(text),
            Self::ShiftDays(most) => date::shift(text, *most, given.secret.as_deref()?, subject?),
            Self::Round(step) => number::round(text, step),
            Self::Pseudonym { domain } => pseudonym::of_value(text, domain, given.secret.as_deref()?),
            Self::PseudonymReference { domain } => pseudonym::of_reference(text, domain, given.secret.as_deref()?),
            Self::Replace(constant) => Some(constant.as_ref().to_owned()),
            Self::Address => return given.addresses.as_ref()?.rewrite(text),
            Self::Page => return given.addresses.as_ref()?.page(text),
            Self::Path => return is_path(text).then_some(Cow::Borrowed(text)),
            Self::Reference => return Some(Cow::Borrowed(text)),
        };
        made.map(Cow::Owned)
    }

    /// The kind of scalar that the transform takes, and answers.
    pub fn takes(&self) -> Kinds {
        match self {
            Self::Round(_) => Kinds::NUMBER,
            Self::Mask { .. }
            | Self::Truncate(_)
            | Self::Year(_)
            | Self::Month(_)
            | Self::BirthYear
            | Self::Zip3
            | Self::ShiftDays(_)
            | Self::Pseudonym { .. }
            | Self::PseudonymReference { .. }
            | Self::Replace(_)
            | Self::Address
            | Self::Page
            | Self::Path
            | Self::Reference => Kinds::STRING,
        }
    }
}

fn is_path(text: &str) -> bool {
    text.split('.').all(|step| {
        let (name, place) = step.split_once('[').map_or((step, None), |(name, place)| (name, Some(place)));
        let placed = place.is_none_or(|place| {
            place
                .strip_suffix(']')
                .is_some_and(|place| place.len() <= 6 && place.bytes().all(|byte| byte.is_ascii_digit()))
        });
        placed && (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn each() -> Vec<Transform> {
        vec![
            Transform::Mask { keep_first: 1, keep_last: 2, with: '*' },
            Transform::Truncate(3),
            Transform::Year(DateForm::Partial),
            Transform::Year(DateForm::Instant),
            Transform::Month(DateForm::Partial),
            Transform::Month(DateForm::Instant),
            Transform::BirthYear,
            Transform::Zip3,
            Transform::ShiftDays(30),
            Transform::Round("0.5".into()),
            Transform::Pseudonym { domain: "a".into() },
            Transform::PseudonymReference { domain: "a".into() },
            Transform::Replace("x".into()),
            Transform::Address,
            Transform::Reference,
        ]
    }

    #[test]
    fn what_needs_something_that_is_not_given_withholds() {
        let given = Given::default();
        for transform in [
            Transform::BirthYear,
            Transform::ShiftDays(30),
            Transform::Pseudonym { domain: "a".into() },
            Transform::PseudonymReference { domain: "a".into() },
            Transform::Address,
        ] {
            assert_eq!(transform.apply("2015-02-07", &given, Some("123")), None, "{transform:?}");
        }
        let secret = Some(Arc::new(Secret::new([7; 32]).unwrap()));
        let given = Given { secret, ..Given::default() };
        assert_eq!(Transform::ShiftDays(30).apply("2015-02-07", &given, None), None);
    }

    #[test]
    fn an_address_is_what_the_rewriting_says() {
        struct Hides;
        impl Addresses for Hides {
            fn rewrite<'t>(&self, address: &'t str) -> Option<Cow<'t, str>> {
                address.strip_prefix("https://ehr.internal/").map(|rest| format!("https://gateway/{rest}").into())
            }
        }
        let given = Given { addresses: Some(Arc::new(Hides)), ..Given::default() };
        let rewritten = Transform::Address.apply("https://ehr.internal/Patient/1", &given, None);
        assert_eq!(rewritten.as_deref(), Some("https://gateway/Patient/1"));
        assert_eq!(Transform::Address.apply("https://elsewhere/", &given, None), None);
        assert_eq!(Transform::Page.apply("https://ehr.internal/x", &given, None).as_deref(), Some("https://gateway/x"));
        assert_eq!(Transform::Page.apply("https://elsewhere/", &given, None), None);
    }

    #[test]
    fn a_path_is_of_names_and_places_alone() {
        let longest = "x".repeat(64);
        for path in ["Patient", "Patient.name[0].given[123456]", &longest] {
            assert_eq!(Transform::Path.apply(path, &Given::default(), None).as_deref(), Some(path));
        }
        for other in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "[0]",
            "a[",
            "a]",
            "a[0",
            "a[0]b",
            "a[x]",
            "a[1234567]",
            "a[0][1]",
            "name1",
            "a b",
            "name.where(use='official')",
            "Patient.name='Ada'",
            "n\u{e4}me",
            &format!("{longest}x"),
        ] {
            assert_eq!(Transform::Path.apply(other, &Given::default(), None), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), subject in any::<String>()) {
            let given = Given {
                today: Some(Date::constant(2026, 11, 22)),
                secret: Some(Arc::new(Secret::new([7; 32]).unwrap())),
                addresses: None,
                bounds: None,
            };
            for transform in each() {
                let _ = transform.apply(&text, &given, Some(&subject));
            }
        }

        #[test]
        fn no_text_close_to_a_form_panics(text in r"[-+0-9.eETZ:/#_é]{0,28}|[A-Z][a-z]{0,5}/[a-z0-9é/]{0,9}|urn:[a-z:]{0,9}") {
            let given = Given {
                today: Some(Date::constant(2026, 11, 22)),
                secret: Some(Arc::new(Secret::new([7; 32]).unwrap())),
                addresses: None,
                bounds: None,
            };
            for transform in each() {
                let _ = transform.apply(&text, &given, Some(&text));
            }
        }
    }
}
