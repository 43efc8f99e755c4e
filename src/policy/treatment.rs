//! Treatments: what a rule says of an element, which of two is the stricter, and what each may be said of.

use std::fmt;

use crate::fhir::{Definitions, TypeId, definitions::Kind};
use crate::redact::transform::{DateForm, Transform};

use super::syntax::{Findings, Node, Position, Value};

/// What happens to an element.
#[derive(Debug, Clone, PartialEq)]
pub enum Treatment {
    /// As it is.
    Show,
    /// Gone, with its sibling.
    Hide,
    /// A `data-absent-reason` extension in its place, whether it was there or not.
    Absent,
    /// Characters of a string replaced.
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
    /// The year of a date.
    Year,
    /// The year and month of a date.
    Month,
    /// The year of a birth date, none where the age is over 89 (45 CFR 164.514(b)(2)(i)(C)).
    BirthYear,
    /// Three digits of a ZIP code (45 CFR 164.514(b)(2)(i)(B)).
    Zip3,
    /// Dates of one patient moved by the same number of days within ± this.
    ShiftDays(u16),
    /// A number rounded to a multiple of this decimal.
    Round(Box<str>),
    /// A keyed pseudonym of this domain.
    Pseudonym(Box<str>),
    /// A constant.
    Replace(Box<str>),
}

/// How strict a treatment is; the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strictness {
    Show,
    Transform,
    Absent,
    Hide,
}

impl Treatment {
    pub(super) fn strictness(&self) -> Strictness {
        match self {
            Self::Show => Strictness::Show,
            Self::Hide => Strictness::Hide,
            Self::Absent => Strictness::Absent,
            _ => Strictness::Transform,
        }
    }

    /// Whether the treatment is neither show, hide nor absent.
    pub(super) fn is_transform(&self) -> bool {
        self.strictness() == Strictness::Transform
    }

    /// Whether the treatment may be said of an element of a type.
    pub(super) fn suits(&self, definitions: &Definitions, type_id: TypeId) -> bool {
        let of = definitions.get(type_id);
        let is = |ancestor: &str| definitions.type_named(ancestor).is_some_and(|id| definitions.is_a(type_id, id));
        let text = is("string") || is("uri");
        match self {
            Self::Show | Self::Hide => true,
            Self::Absent => of.kind == Kind::Primitive && of.name != "xhtml",
            Self::Mask { .. } | Self::Truncate(_) | Self::Replace(_) => text,
            Self::Zip3 => of.name == "string",
            Self::Year | Self::Month | Self::ShiftDays(_) => matches!(of.name, "date" | "dateTime" | "instant"),
            Self::BirthYear => of.name == "date",
            Self::Round(_) => is("decimal") || is("integer"),
            Self::Pseudonym(_) => text || of.name == "Reference",
        }
    }

    /// What the treatment is for, in words.
    pub(super) fn is_for(&self) -> &'static str {
        match self {
            Self::Show | Self::Hide => "anything",
            Self::Absent => "primitives",
            Self::Mask { .. } | Self::Truncate(_) | Self::Replace(_) | Self::Zip3 => "strings",
            Self::Year | Self::Month => "date, dateTime and instant",
            Self::ShiftDays(_) => "dates: date, dateTime and instant",
            Self::BirthYear => "date",
            Self::Round(_) => "numbers: decimal and integer",
            Self::Pseudonym(_) => "strings, ids and references",
        }
    }

    /// The transform of the redaction core; `instant`: whether the value must stay a whole instant. None for show,
    /// hide and absent, which need none.
    pub(super) fn transform(&self, instant: bool) -> Option<Transform> {
        let form = if instant { DateForm::Instant } else { DateForm::Partial };
        Some(match self {
            Self::Show | Self::Hide | Self::Absent => return None,
            Self::Mask { keep_first, keep_last, with } => {
                Transform::Mask { keep_first: *keep_first, keep_last: *keep_last, with: *with }
            }
            Self::Truncate(most) => Transform::Truncate(*most),
            Self::Year => Transform::Year(form),
            Self::Month => Transform::Month(form),
            Self::BirthYear => Transform::BirthYear,
            Self::Zip3 => Transform::Zip3,
            Self::ShiftDays(most) => Transform::ShiftDays(*most),
            Self::Round(multiple) => Transform::Round(multiple.clone()),
            Self::Pseudonym(domain) => Transform::Pseudonym { domain: domain.clone() },
            Self::Replace(text) => Transform::Replace(text.clone()),
        })
    }

    /// The keyword of the treatment.
    pub(super) fn keyword(&self) -> &'static str {
        match self {
            Self::Show => "show",
            Self::Hide => "hide",
            Self::Absent => "absent",
            Self::Mask { .. } => "mask",
            Self::Truncate(_) => "truncate",
            Self::Year => "year",
            Self::Month => "month",
            Self::BirthYear => "birth_year",
            Self::Zip3 => "zip3",
            Self::ShiftDays(_) => "shift_days",
            Self::Round(_) => "round",
            Self::Pseudonym(_) => "pseudonym",
            Self::Replace(_) => "replace",
        }
    }
}

/// As a policy file writes it.
impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mask { keep_first, keep_last, with } => {
                write!(f, "{{ mask: {{ keep_first: {keep_first}, keep_last: {keep_last}, with: {with:?} }} }}")
            }
            Self::Truncate(most) => write!(f, "{{ truncate: {most} }}"),
            Self::ShiftDays(most) => write!(f, "{{ shift_days: {most} }}"),
            Self::Round(multiple) => write!(f, "{{ round: {multiple} }}"),
            Self::Pseudonym(domain) => write!(f, "{{ pseudonym: {{ domain: {domain} }} }}"),
            Self::Replace(text) => write!(f, "{{ replace: {text:?} }}"),
            plain => f.write_str(plain.keyword()),
        }
    }
}

/// A treatment as it was written; `insisted` where it was `show!`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) treatment: Treatment,
    pub(super) insisted: bool,
}

const PLAIN: [&str; 7] = ["show", "hide", "absent", "year", "month", "birth_year", "zip3"];
const WITH_ARGUMENT: [&str; 6] = ["mask", "truncate", "shift_days", "round", "pseudonym", "replace"];
/// Ten years either way: more would no longer be a shift but another life.
const MOST_SHIFT: u16 = 3650;
const MOST_CHARACTERS: usize = 10_000;

/// Reads a treatment; what is wrong goes to `findings`.
pub(super) fn read(node: &Node, findings: &mut Findings) -> Option<Written> {
    let treatment = match &node.value {
        Value::Scalar { text, .. } if !node.is_nothing() => {
            if &**text == "show!" {
                return Some(Written { treatment: Treatment::Show, insisted: true });
            }
            plain(text, node.at, findings)?
        }
        Value::Map(entries) => match entries.as_slice() {
            [(key, argument)] if WITH_ARGUMENT.contains(&&*key.name) => with_argument(&key.name, argument, findings)?,
            [(key, _)] if PLAIN.contains(&&*key.name) => {
                findings.mistake_with(
                    key.at,
                    format!("{} takes nothing", key.name),
                    format!("write {} alone", key.name),
                );
                return None;
            }
            [(key, _)] => {
                findings.unknown(key.at, &format!("treatment {}", key.name), &key.name, known());
                return None;
            }
            _ => {
                findings.mistake(node.at, "a treatment is one word, or a map with one key such as { truncate: 3 }");
                return None;
            }
        },
        _ => {
            findings.mistake(node.at, format!("a treatment belongs here, and here stands {}", node.kind()));
            return None;
        }
    };
    Some(Written { treatment, insisted: false })
}

fn known() -> impl Iterator<Item = &'static str> + Clone {
    PLAIN.into_iter().chain(WITH_ARGUMENT)
}

fn plain(word: &str, at: Position, findings: &mut Findings) -> Option<Treatment> {
    Some(match word {
        "show" => Treatment::Show,
        "hide" => Treatment::Hide,
        "absent" => Treatment::Absent,
        "year" => Treatment::Year,
        "month" => Treatment::Month,
        "birth_year" => Treatment::BirthYear,
        "zip3" => Treatment::Zip3,
        "mask" => Treatment::Mask { keep_first: 0, keep_last: 0, with: '*' },
        needs if WITH_ARGUMENT.contains(&needs) => {
            findings.mistake_with(at, format!("{needs} says too little"), format!("write {}", example(needs)));
            return None;
        }
        other => {
            findings.unknown(at, &format!("treatment {other}"), other, known());
            return None;
        }
    })
}

fn example(word: &str) -> &'static str {
    match word {
        "truncate" => "{ truncate: 3 }",
        "shift_days" => "{ shift_days: 30 }",
        "round" => "{ round: 10 }",
        "pseudonym" => "{ pseudonym: { domain: NAME } }",
        "replace" => "{ replace: \"…\" }",
        _ => "{ mask: { keep_last: 4 } }",
    }
}

fn with_argument(word: &str, argument: &Node, findings: &mut Findings) -> Option<Treatment> {
    match word {
        "mask" => mask(argument, findings),
        "truncate" => number(argument, 1, MOST_CHARACTERS, word, findings).map(Treatment::Truncate),
        "shift_days" => {
            let days = number(argument, 1, MOST_SHIFT.into(), word, findings)?;
            u16::try_from(days).ok().map(Treatment::ShiftDays)
        }
        "round" => {
            let text = argument.text().filter(|text| is_positive_decimal(text));
            if text.is_none() {
                findings.mistake(argument.at, "round takes a decimal above 0, such as 10 or 0.5");
            }
            text.map(|text| Treatment::Round(text.into()))
        }
        "pseudonym" => pseudonym(argument, findings),
        _ => argument.expect_text("what replaces the value", findings).map(|text| Treatment::Replace(text.into())),
    }
}

fn mask(argument: &Node, findings: &mut Findings) -> Option<Treatment> {
    let (mut keep_first, mut keep_last, mut with) = (0, 0, '*');
    for (key, value) in argument.expect_map("mask", findings) {
        match &*key.name {
            "keep_first" => keep_first = number(value, 0, MOST_CHARACTERS, "keep_first", findings)?,
            "keep_last" => keep_last = number(value, 0, MOST_CHARACTERS, "keep_last", findings)?,
            "with" => {
                let mut characters = value.text().unwrap_or_default().chars();
                match (characters.next(), characters.next()) {
                    (Some(one), None) if !one.is_control() => with = one,
                    _ => {
                        findings.mistake(value.at, "with takes one character, such as \"*\"");
                        return None;
                    }
                }
            }
            other => {
                let known = ["keep_first", "keep_last", "with"].into_iter();
                findings.unknown(key.at, &format!("key {other} of mask"), other, known);
                return None;
            }
        }
    }
    Some(Treatment::Mask { keep_first, keep_last, with })
}

fn pseudonym(argument: &Node, findings: &mut Findings) -> Option<Treatment> {
    let mut domain = None;
    for (key, value) in argument.expect_map("pseudonym", findings) {
        if &*key.name == "domain" {
            domain = value.expect_text("a domain", findings);
        } else {
            findings.unknown(key.at, &format!("key {} of pseudonym", key.name), &key.name, ["domain"].into_iter());
            return None;
        }
    }
    match domain.filter(|domain| !domain.is_empty()) {
        Some(domain) => Some(Treatment::Pseudonym(domain.into())),
        None => {
            findings.mistake(argument.at, "pseudonym needs a domain: { pseudonym: { domain: NAME } }");
            None
        }
    }
}

fn number(node: &Node, least: usize, most: usize, what: &str, findings: &mut Findings) -> Option<usize> {
    let number = node.text().and_then(|text| text.parse().ok()).filter(|number| (least..=most).contains(number));
    if number.is_none() {
        findings.mistake(node.at, format!("{what} takes a whole number from {least} to {most}"));
    }
    number
}

fn is_positive_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.len() <= 18 && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    digits(whole) && fraction.is_none_or(digits) && text.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::syntax;

    fn read_text(text: &str) -> Result<Written, String> {
        let mut findings = Findings::new("f");
        let node = syntax::parse(text, &mut findings).unwrap();
        let written = read(&node, &mut findings);
        findings.finish().map(|_| written.unwrap()).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn every_treatment_is_read_and_written_back_the_same() {
        for text in [
            "show",
            "hide",
            "absent",
            "year",
            "month",
            "birth_year",
            "zip3",
            "{ mask: { keep_first: 1, keep_last: 4, with: '#' } }",
            "{ truncate: 3 }",
            "{ shift_days: 30 }",
            "{ round: 0.5 }",
            "{ pseudonym: { domain: study-7 } }",
            "{ replace: \"withheld\" }",
        ] {
            let written = read_text(text).unwrap();
            let again = read_text(&written.treatment.to_string()).unwrap();
            assert_eq!(written, again, "{text}");
        }
    }

    #[test]
    fn arguments_out_of_bounds_are_mistakes_that_say_the_bounds() {
        for (text, says) in [
            ("{ truncate: 0 }", "from 1 to"),
            ("{ shift_days: 3651 }", "from 1 to 3650"),
            ("{ shift_days: -3 }", "from 1 to 3650"),
            ("{ round: 0 }", "above 0"),
            ("{ round: 1e3 }", "above 0"),
            ("{ mask: { with: \"ab\" } }", "one character"),
            ("{ mask: { keep: 3 } }", "unknown key keep of mask"),
            ("{ pseudonym: { } }", "needs a domain"),
            ("truncate", "write { truncate: 3 }"),
            ("{ year: 3 }", "write year alone"),
            ("shwo", "did you mean show?"),
            ("{ maks: 3 }", "unknown treatment maks: did you mean mask?"),
            ("{ mask: { with: \"\" } }", "one character"),
            ("{ mask: { with: \"\\t\" } }", "one character"),
            ("{ round: .5 }", "above 0"),
            ("{ round: 1. }", "above 0"),
            ("{ round: 1234567890123456789 }", "above 0"),
            ("{ round: 0.1234567890123456789 }", "above 0"),
            ("shift_days", "write { shift_days: 30 }"),
            ("round", "write { round: 10 }"),
            ("pseudonym", "write { pseudonym: { domain: NAME } }"),
            ("replace", "write { replace: \"…\" }"),
            ("[show]", "a list"),
        ] {
            let refused = read_text(text).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    #[test]
    fn hide_is_stricter_than_absent_than_a_transform_than_show() {
        let mut sorted = [Treatment::Absent, Treatment::Show, Treatment::Hide, Treatment::Year];
        sorted.sort_by_key(Treatment::strictness);
        assert_eq!(sorted, [Treatment::Show, Treatment::Year, Treatment::Absent, Treatment::Hide]);
    }
}
