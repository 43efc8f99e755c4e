//! Security labels (FHIR R4, security-labels.html): those that a clearance is checked against, and those that a filtered
//! resource is given.

use crate::redact::condition::{Query, Segment, Selector, Test};

use super::condition::{equals, name};
use super::effects::Effects;

const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// The codes that a clearance may hold: HL7 v3-Confidentiality, then the information sensitivity policies of v3-ActCode.
pub(super) const CLEARANCES: &[&str] = &[
    "U", "L", "M", "N", "R", "V", //
    "ETH", "GDIS", "HIV", "MST", "PREGNANT", "SCA", "SDV", "SEX", "SICKLE", "SPI", "STD", "TBOO", "VIO", //
    "BH", "COGN", "DVD", "EMOTDIS", "MH", "PSY", "PSYTHPN", "SUD", "ETHUD", "OPIOIDUD", //
    "DEMO", "DOB", "GENDER", "LIVARG", "MARST", "RACE", "REL", "B", "EMPL", "LOCIS", "SSP", //
    "ADOL", "CEL", "DIA", "DRGIS", "EMP", "PDS", "PHY", "PRS", "VIP",
];

/// The test that a resource passes whose every label is cleared.
///
/// A label is a coding of `meta.security`, except one that says how the data was changed or judged (v3-ObservationValue)
/// or what it may be used for (v3-ActReason): those grade no secrecy. Any other must have a code that is cleared, whatever
/// its system, so that a label that nobody foresaw withholds. What stands where labels belong in any other shape (an object
/// for a list, a text for a coding, a list or a text for `meta`) withholds as well; without labels a resource passes.
pub(super) fn cleared(codes: &[Box<str>]) -> Test {
    let is = |member: &str, text: &str| equals(vec![name(member)], text);
    let mut harmless = vec![is("system", OBSERVATION_VALUE), is("system", ACT_REASON)];
    harmless.extend(codes.iter().map(|code| is("code", code)));
    // `@.meta..security`: a list in place of the object `meta` hides no label.
    let meta = name("meta");
    let labels = vec![meta.clone(), Segment::Descendant(vec![Selector::Name("security".into())])];
    // A `meta` that is a scalar, or empty, is none that the standard knows.
    let exists = |segments| Test::Exists(Query { segments });
    let within = vec![meta.clone(), Segment::Child(vec![Selector::Wildcard])];
    let well_formed = Test::Any(vec![Test::Not(Box::new(exists(vec![meta]))), exists(within)]);
    let mut uncleared = labels.clone();
    uncleared.push(Segment::Child(vec![Selector::Filter(Box::new(Test::Not(Box::new(Test::Any(harmless)))))]));
    Test::All(vec![well_formed, Test::AllArrays(Query { segments: labels }), Test::Not(Box::new(exists(uncleared)))])
}

/// The codes of the labels that a filtered resource is given.
const GIVEN: [&str; 4] = ["REDACTED", "MASKED", "PSEUDED", "ABSTRED"];

/// Whether a coding is a label that says what a view did to a resource.
pub fn is_label(system: &str, code: &str) -> bool {
    system == OBSERVATION_VALUE && GIVEN.contains(&code)
}

/// The labels of a filtered resource, as codings joined by commas.
///
/// `REDACTED` stands for what is withheld, `MASKED` for values made unreadable (mask, truncate, replace, absent, shift_days),
/// `PSEUDED` for pseudonyms, `ABSTRED` for values made more general (year, month, birth_year, zip3, round).
pub(super) fn written(effects: Effects) -> Box<str> {
    let used = [true, effects.masked, effects.pseudonymised, effects.generalised];
    let codings = GIVEN.iter().zip(used).filter(|(_, used)| *used);
    let codings = codings.map(|(code, _)| format!(r#"{{"system":"{OBSERVATION_VALUE}","code":"{code}"}}"#));
    codings.collect::<Vec<_>>().join(",").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_the_gateway_is_known_by_its_system_and_its_code() {
        for code in GIVEN {
            assert!(is_label(OBSERVATION_VALUE, code), "{code}");
            assert!(!is_label(ACT_REASON, code), "{code}");
        }
        for code in ["R", "TREAT", "", "redacted"] {
            assert!(!is_label(OBSERVATION_VALUE, code) && !is_label(ACT_REASON, code), "{code}");
        }
    }
}
