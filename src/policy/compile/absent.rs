//! What stands in place of an element that is `absent`.

use crate::fhir::{Element, TypeRef};
use crate::policy::resolve::Because;
use crate::policy::treatment::Treatment;
use crate::policy::view::Fork;

const ABSENT_REASON: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
const MASKED: &str = "masked";

/// Whether an extension is the one that stands in place of an element that is `absent`.
pub fn is_mark(url: &str, code: &str) -> bool {
    url == ABSENT_REASON && code == MASKED
}

/// What is written in place of an element that is `absent`: always the same, whether the element was there or not. Of a
/// choice the first form stands for all; a rule for its type alone can't tell which form that is, and only hides.
pub(super) fn absent(fork: &Fork, element: &Element, form: &TypeRef, first: bool) -> Option<String> {
    let [outcome] = fork.outcomes() else { return None };
    let by_rule = matches!(outcome.ruling.because, Because::Rule(_));
    if outcome.ruling.treatment != Treatment::Absent || !first || (element.choice && !by_rule) {
        return None;
    }
    let (open, close) = if element.many { ("[", "]") } else { ("", "") };
    Some(format!(
        r#""_{}":{open}{{"extension":[{{"url":"{ABSENT_REASON}","valueCode":"{MASKED}"}}]}}{close}"#,
        form.json_name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_known_by_its_url_and_its_code() {
        assert!(is_mark(ABSENT_REASON, MASKED));
        // The upstream may say by the same extension that something isn't known, and by others that something is masked.
        assert!(!is_mark(ABSENT_REASON, "unknown") && !is_mark("http://example.org/reason", MASKED));
    }
}
