//! Strings with characters taken away: masked or cut.
//!
//! A character is a Unicode scalar value. A letter and its combining mark count as two, so that what is kept can start
//! with a bare mark; no more is ever shown than was asked for.

/// The longest mask. A longer string has it too, so that the length of a long value is not told.
const MOST: usize = 12;

/// The kept characters at each end and the mask between them. `None` for an empty string.
pub(super) fn mask(text: &str, keep_first: usize, keep_last: usize, with: char) -> Option<String> {
    let length = text.chars().count();
    if length == 0 {
        return None;
    }
    let shown = length.min(MOST);
    let kept = keep_first.saturating_add(keep_last);
    if kept >= shown {
        return Some(std::iter::repeat_n(with, shown).collect());
    }
    let first = text.chars().take(keep_first);
    let masked = std::iter::repeat_n(with, shown - kept);
    let last = text.chars().skip(length - keep_last);
    Some(first.chain(masked).chain(last).collect())
}

/// The first characters; a shorter string stays. `None` where nothing is left.
pub(super) fn truncate(text: &str, most: usize) -> Option<String> {
    let cut: String = text.chars().take(most).collect();
    (!cut.is_empty()).then_some(cut)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_are_replaced_and_the_ends_kept() {
        assert_eq!(mask("555-0199", 0, 4, '*').unwrap(), "****0199");
        assert_eq!(mask("Ørsted", 1, 1, '•').unwrap(), "Ø••••d");
        assert_eq!(mask("a", 0, 0, '*').unwrap(), "*");
    }

    #[test]
    fn a_long_string_has_a_mask_of_fixed_length() {
        assert_eq!(mask("123456789012", 0, 4, '*').unwrap(), "********9012");
        assert_eq!(mask("1234567890123", 0, 4, '*').unwrap(), "********0123");
        assert_eq!(mask(&"x".repeat(500), 2, 2, '*').unwrap(), "xx********xx");
    }

    #[test]
    fn a_string_that_would_be_kept_whole_is_masked_whole() {
        assert_eq!(mask("0199", 0, 4, '*').unwrap(), "****");
        assert_eq!(mask("0199", 3, 3, '*').unwrap(), "****");
        assert_eq!(mask("0199", usize::MAX, 1, '*').unwrap(), "****");
        assert_eq!(mask("1234567890123456", 6, 6, '*').unwrap(), "************");
    }

    #[test]
    fn a_cut_string_has_its_first_characters() {
        assert_eq!(truncate("Åse Berg", 3).unwrap(), "Åse");
        assert_eq!(truncate("Åse", 5).unwrap(), "Åse");
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert_eq!(mask("", 0, 0, '*'), None);
        assert_eq!(truncate("", 3), None);
        assert_eq!(truncate("abc", 0), None);
    }

    proptest! {
        #[test]
        fn no_more_is_shown_than_was_asked_for(text in "\\PC{1,40}", first in 0_usize..15, last in 0_usize..15) {
            // The mask is a character that the text does not hold, so that whatever else is there is the text's.
            let masked = mask(&text, first, last, '\u{0}').unwrap();
            let shown: Vec<char> = masked.chars().collect();
            let length = text.chars().count();
            prop_assert_eq!(shown.len(), length.min(12));
            let kept = shown.iter().filter(|char| **char != '\u{0}').count();
            prop_assert!(kept <= first + last);
            prop_assert!(kept < length);
            prop_assert!(kept == 0 || kept == first + last);
        }
    }
}
