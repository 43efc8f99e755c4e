//! JSON strings: from the bytes between the quotes to text, and back (RFC 8259, section 7).
//!
//! What is not a JSON string of Unicode scalar values has no text here: a lone surrogate is never replaced by something
//! that another reader would take for something else.

use std::borrow::Cow;

/// The text of a string, given the bytes between its quotes.
///
/// `None` where they are not UTF-8, hold a bare quote or control character, or hold an escape that names no Unicode
/// scalar value, such as half of a surrogate pair.
pub fn unescape(text: &[u8]) -> Option<Cow<'_, str>> {
    let (mut plain, mut control) = (true, false);
    // Nearly all of them are plain to their end, so it pays to look at each byte and not to stop.
    for byte in text {
        plain &= is_plain(*byte);
        control |= *byte < 0x20;
    }
    let text = str::from_utf8(text).ok()?;
    if plain || control {
        return plain.then_some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => return None,
            '\\' => out.push(escaped(&mut chars)?),
            _ => out.push(char),
        }
    }
    Some(Cow::Owned(out))
}

/// Writes `text` as a JSON string, its quotes included. Only what must be escaped is.
pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    for run in text.as_bytes().chunk_by(|one, next| is_plain(*one) && is_plain(*next)) {
        match run {
            [byte @ (b'"' | b'\\')] => out.extend([b'\\', *byte]),
            [0x08] => out.extend(b"\\b"),
            [0x0c] => out.extend(b"\\f"),
            b"\n" => out.extend(b"\\n"),
            b"\r" => out.extend(b"\\r"),
            b"\t" => out.extend(b"\\t"),
            [byte @ 0x00..0x20] => out.extend(format!("\\u{byte:04x}").into_bytes()),
            plain => out.extend_from_slice(plain),
        }
    }
    out.push(b'"');
}

/// Whether a byte stands in a string as it is.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    match chars.next()? {
        plain @ ('"' | '\\' | '/') => Some(plain),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'u' => scalar(chars),
        _ => None,
    }
}

fn scalar(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let first = code_unit(chars)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    if chars.next()? != '\\' || chars.next()? != 'u' {
        return None;
    }
    let second = code_unit(chars)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
}

fn code_unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |code, _| Some(code << 4 | chars.next()?.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(raw: &str) -> Option<String> {
        unescape(raw.as_bytes()).map(Cow::into_owned)
    }

    #[test]
    fn each_escape_has_its_character() {
        assert_eq!(text(r#"\"\\\/\b\f\n\r\t\u00e9\u20AC\ud834\udd1e"#).unwrap(), "\"\\/\u{8}\u{c}\n\r\té€𝄞");
        assert_eq!(text("plain é").unwrap(), "plain é");
        assert!(matches!(unescape(b"plain"), Some(Cow::Borrowed("plain"))));
        assert_eq!(text("").unwrap(), "");
    }

    #[test]
    fn what_has_no_text_is_refused() {
        for raw in [
            r"\ud834",
            r"\udd1e",
            r"\ud834x",
            r"\ud834\n",
            r"\ud834\u0041",
            r"\ud834\ud834",
            r"\u12",
            r"\u+123",
            r"\u 123",
            r"\x41",
            "\\",
            r"\u",
            "a\"b",
            "a\\nb\"",
            "a\nb",
            "a\\n\u{1f}",
        ] {
            assert_eq!(text(raw), None, "{raw}");
        }
        assert_eq!(unescape(b"\xff"), None);
        assert_eq!(unescape(b"\xed\xa0\xb4"), None, "a surrogate written as UTF-8");
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        let mut out = Vec::new();
        escape_into(&mut out, "a\"\\/\u{8}\u{c}\n\r\t\u{1}\u{7f}é");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\u{7f}é\"");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(wanted in any::<String>()) {
            let mut out = Vec::new();
            escape_into(&mut out, &wanted);
            prop_assert_eq!(&serde_json::from_slice::<String>(&out).unwrap(), &wanted);
            let text = unescape(&out[1..out.len() - 1]).unwrap();
            prop_assert_eq!(text.as_ref(), wanted.as_str());
        }

        #[test]
        fn bytes_have_a_text_just_where_another_parser_finds_one(raw in r#"([ -~é\n]|\\["\\/bfnrtu]|\\u[dD][89a-fA-F][0-9a-f]{2}|\\u[0-9a-f]{4}){0,8}"#) {
            let other = serde_json::from_str::<String>(&format!("\"{raw}\"")).ok();
            prop_assert_eq!(text(&raw), other);
        }
    }
}
