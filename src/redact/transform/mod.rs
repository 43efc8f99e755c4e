//! Transforms: what a value becomes that is neither shown nor hidden.
//!
//! Each is a pure function of the text, the transform and what the response gives ([`Given`]). `None` means that the
//! value is not of a form that the transform can take; the caller withholds it.

use std::sync::Arc;

use jiff::civil::Date;

/// What happens to a scalar that is neither shown as it is nor hidden.
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// Characters of a string replaced; the length kept up to 12 characters, then fixed at 12.
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
    /// A date moved by a keyed number of days in ±n, the same for every date of one patient.
    ShiftDays(u16),
    /// A number rounded to a multiple of this decimal.
    Round(Box<str>),
    /// A keyed pseudonym, stable within the domain and unlinkable across domains.
    Pseudonym {
        /// The domain.
        domain: Box<str>,
    },
    /// A constant in place of any string.
    Replace(Box<str>),
    /// An address led back through the gateway ([`Addresses`]).
    Address,
    /// A reference, kept as it is unless it leads to a part (`#id`) that was withheld.
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
    /// The address as the caller may see it; `None` where it may not be seen at all.
    fn rewrite(&self, address: &str) -> Option<String>;
}

/// What a response gives to its transforms.
#[derive(Clone, Default)]
pub struct Given {
    /// The day on which ages are counted; without one nothing that counts them is shown.
    pub today: Option<Date>,
    /// The secret from which pseudonyms and date shifts are derived; without one they withhold.
    pub secret: Option<Arc<Secret>>,
    /// Where addresses lead; without it they are withheld.
    pub addresses: Option<Arc<dyn Addresses>>,
}

/// A secret key of at least 32 bytes. It is never printed.
pub struct Secret(Box<[u8]>);

// TEMP
impl Transform {
    /// t
    pub fn takes(&self) -> super::plan::Kinds {
        if matches!(self, Self::Round(_)) { super::plan::Kinds::NUMBER } else { super::plan::Kinds::STRING }
    }
    /// t
    pub fn apply(&self, text: &str, _given: &Given, _subject: Option<&str>) -> Option<String> {
        match self {
            Self::Replace(s) => Some(s.to_string()),
            Self::Truncate(n) => Some(text.chars().take(*n).collect()),
            _ => None,
        }
    }
}
