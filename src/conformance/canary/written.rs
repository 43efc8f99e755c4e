//! The ways in which one value is written: letter case, escapes, codings, dates and numbers in other forms.
//!
//! Pure. It may find too much rather than too little, but no value by mere chance: a short one must stand by itself.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

/// A value shorter than this must stand by itself, between characters that are no letters or digits.
const SURE: usize = 6;
/// So many digits are one number, whatever stands between them.
const NUMBER: usize = 7;
/// The shortest text that is taken for an encoded one.
const ENCODED: usize = 8;
/// What a text within a text may unfold to.
const UNFOLDED: u64 = 1 << 20;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The forms of one value, in lower case.
pub(super) struct Needles {
    texts: Vec<String>,
    /// Its digits, where it is hardly anything else.
    digits: Option<String>,
}

impl Needles {
    pub(super) fn of(value: &str) -> Self {
        let value = value.trim().to_lowercase();
        let digits: String = value.chars().filter(char::is_ascii_digit).collect();
        let is_number = digits.len() >= NUMBER && !value.chars().any(char::is_alphabetic);
        let mut texts = dates(&value);
        texts.push(value);
        Self { texts, digits: is_number.then_some(digits) }
    }

    pub(super) fn stand_in(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        self.texts.iter().any(|needle| stands(needle, &lower))
            || self.digits.as_ref().is_some_and(|digits| close_up(&lower).contains(digits.as_str()))
    }
}

fn stands(needle: &str, text: &str) -> bool {
    if needle.chars().count() >= SURE {
        return text.contains(needle);
    }
    text.match_indices(needle).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + needle.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// The text without what people put between the digits of one number.
fn close_up(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '/' | '+' | '\u{a0}')).collect()
}

/// Other ways to write a date.
fn dates(value: &str) -> Vec<String> {
    let mut parts = value.splitn(3, '-').map(|part| part.parse::<usize>().ok().map(|number| (part, number)));
    let (Some(Some((year, _))), Some(Some((month, number))), Some(Some((day, plain)))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return Vec::new();
    }
    let mut forms = vec![
        format!("{month}/{day}/{year}"),
        format!("{day}/{month}/{year}"),
        format!("{number}/{plain}/{year}"),
        format!("{day}.{month}.{year}"),
        format!("{plain}.{number}.{year}"),
    ];
    if let Some(name) = MONTHS.get(number.wrapping_sub(1)) {
        let short = name.get(..3).unwrap_or(name);
        for name in [name, short] {
            forms.extend([
                format!("{name} {plain}, {year}"),
                format!("{day} {name} {year}"),
                format!("{plain} {name} {year}"),
            ]);
        }
    }
    forms
}

/// A text as it is, and with each kind of escape undone.
pub(super) fn forms(text: &str) -> Vec<Cow<'_, str>> {
    let mut forms = vec![Cow::Borrowed(text)];
    if text.contains('%') {
        forms.push(Cow::Owned(percent_decode_str(text).decode_utf8_lossy().into_owned()));
    }
    if text.contains('&') {
        forms.push(Cow::Owned(unescaped(text, "&#", ';')));
    }
    if text.contains("\\u") {
        forms.push(Cow::Owned(unescaped(text, "\\u", '\0')));
    }
    forms
}

/// Undoes the escapes of characters by their number: `&#49;`, `&#x31;`, and `\u0031`.
fn unescaped(text: &str, start: &str, end: char) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once(start) {
        out.push_str(before);
        let (code, length) = if end == '\0' {
            (after.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok()), 4)
        } else {
            let number = after.split(end).next().unwrap_or_default();
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => number.parse().ok(),
            };
            (code, number.len() + 1)
        };
        match (code.and_then(char::from_u32), after.get(length..)) {
            (Some(character), Some(left)) => {
                out.push(character);
                rest = left;
            }
            _ => {
                out.push_str(start);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    for (entity, character) in
        [("&amp;", "&"), ("&quot;", "\""), ("&apos;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " ")]
    {
        if out.contains(entity) {
            out = out.replace(entity, character);
        }
    }
    out
}

/// The texts that are encoded in a text, as base64 of either alphabet, compressed or not.
pub(super) fn decoded_runs(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    text.split(|c: char| !is_part(c)).filter(|run| run.len() >= ENCODED).filter_map(decoded).collect()
}

fn decoded(run: &str) -> Option<String> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if run.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let bytes = GeneralPurpose::new(alphabet, lenient).decode(run.trim_end_matches('=')).ok()?;
    let mut unfolded = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        // What was unfolded before an error is looked at as well.
        let _ = flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(UNFOLDED).read_to_end(&mut unfolded);
    }
    let bytes = if unfolded.is_empty() { bytes } else { unfolded };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a body says in UTF-16, where it may be that.
pub(super) fn wide(body: &[u8]) -> Vec<String> {
    if !body.iter().take(64).any(|byte| *byte == 0) {
        return Vec::new();
    }
    let decode = |unit: fn([u8; 2]) -> u16| {
        let units = body.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
        char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    vec![decode(u16::from_le_bytes), decode(u16::from_be_bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(value: &str, text: &str) -> bool {
        let needles = Needles::of(value);
        let forms = forms(text);
        let inner = forms.iter().flat_map(|form| decoded_runs(form)).collect::<Vec<_>>();
        forms.iter().any(|form| needles.stand_in(form)) || inner.iter().any(|text| needles.stand_in(text))
    }

    #[test]
    fn a_value_is_found_however_it_is_written() {
        for (value, text) in [
            ("1970-01-09", "born 1970-01-09T00:00:00Z"),
            ("1970-01-09", "x=1970%2D01%2D09"),
            ("1970-01-09", "\\u0031970-01-09"),
            ("1970-01-09", "&#49;970-01-0&#x39;"),
            ("1970-01-09", "MTk3MC0wMS0wOQ"),
            ("1970-01-09", "a:MTk3MC0wMS0wOQ==,"),
            ("1970-01-09", "Born January 9, 1970 in"),
            ("1970-01-09", "on 9 Jan 1970"),
            ("1970-01-09", "01/09/1970"),
            ("1970-01-09", "19700109"),
            ("(413) 555-0101", "tel:+1-413-555-0101"),
            ("Lovelace", "LOVELACE"),
            ("Eve", "for Eve, and"),
        ] {
            assert!(finds(value, text), "{text}");
        }
    }

    #[test]
    fn what_is_another_value_is_not_found() {
        for (value, text) in [
            ("1970-01-09", "1970"),
            ("1970-01-09", "1970-01-08"),
            ("Eve", "for Evelyn, and every evening"),
            ("(413) 555-0101", "**********0101"),
            ("F32.1", "F32.10"),
        ] {
            assert!(!finds(value, text), "{text}");
        }
    }

    #[test]
    fn a_body_in_utf_16_is_read_in_both_orders() {
        let text: Vec<u8> = "1970-01-09".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(wide(&text).iter().any(|text| Needles::of("1970-01-09").stand_in(text)));
        assert!(wide(b"{}").is_empty());
    }
}
