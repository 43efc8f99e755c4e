//! JSONTestSuite: what the lexer accepts and refuses, step by step and a window at a time, whole and byte by byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::panic_in_result_fn,
    reason = "tests state behaviour and may panic"
)]

mod support;

use fieldgate::json::{Lexer, SyntaxError, SyntaxErrorKind, Tape};

/// Both ways to read say the same, the place of an error included.
fn accepts(pieces: &[&[u8]]) -> Result<(), SyntaxError> {
    let (steps, windows) = (steps(pieces), windows(pieces));
    assert_eq!(steps, windows);
    windows
}

fn windows(pieces: &[&[u8]]) -> Result<(), SyntaxError> {
    let (mut lexer, mut tape) = (Lexer::new(512), Tape::new());
    pieces.iter().try_for_each(|piece| lexer.read(piece, &mut tape))?;
    lexer.finish().map(|_| ())
}

fn steps(pieces: &[&[u8]]) -> Result<(), SyntaxError> {
    let mut lexer = Lexer::new(512);
    for piece in pieces {
        let mut at = 0;
        while lexer.next(piece, &mut at)?.is_some() {}
    }
    lexer.finish().map(|_| ())
}

/// What RFC 8259 leaves to the implementation, decided here: the case, and why it is refused; the others are accepted.
const REFUSED: &[(&str, SyntaxErrorKind)] = &[
    ("i_object_key_lone_2nd_surrogate.json", SyntaxErrorKind::Surrogate),
    ("i_string_1st_surrogate_but_2nd_missing.json", SyntaxErrorKind::Surrogate),
    ("i_string_1st_valid_surrogate_2nd_invalid.json", SyntaxErrorKind::Surrogate),
    ("i_string_UTF-16LE_with_BOM.json", SyntaxErrorKind::ExpectedValue),
    ("i_string_UTF-8_invalid_sequence.json", SyntaxErrorKind::Utf8),
    ("i_string_UTF8_surrogate_U+D800.json", SyntaxErrorKind::Utf8),
    ("i_string_incomplete_surrogate_and_escape_valid.json", SyntaxErrorKind::Surrogate),
    ("i_string_incomplete_surrogate_pair.json", SyntaxErrorKind::Surrogate),
    ("i_string_incomplete_surrogates_escape_valid.json", SyntaxErrorKind::Surrogate),
    ("i_string_invalid_lonely_surrogate.json", SyntaxErrorKind::Surrogate),
    ("i_string_invalid_surrogate.json", SyntaxErrorKind::Surrogate),
    ("i_string_invalid_utf-8.json", SyntaxErrorKind::Utf8),
    ("i_string_inverted_surrogates_U+1D11E.json", SyntaxErrorKind::Surrogate),
    ("i_string_iso_latin_1.json", SyntaxErrorKind::Utf8),
    ("i_string_lone_second_surrogate.json", SyntaxErrorKind::Surrogate),
    ("i_string_lone_utf8_continuation_byte.json", SyntaxErrorKind::Utf8),
    ("i_string_not_in_unicode_range.json", SyntaxErrorKind::Utf8),
    ("i_string_overlong_sequence_2_bytes.json", SyntaxErrorKind::Utf8),
    ("i_string_overlong_sequence_6_bytes.json", SyntaxErrorKind::Utf8),
    ("i_string_overlong_sequence_6_bytes_null.json", SyntaxErrorKind::Utf8),
    ("i_string_truncated-utf-8.json", SyntaxErrorKind::Utf8),
    ("i_string_utf16BE_no_BOM.json", SyntaxErrorKind::ExpectedValue),
    ("i_string_utf16LE_no_BOM.json", SyntaxErrorKind::ExpectedValue),
    ("i_structure_UTF-8_BOM_empty_object.json", SyntaxErrorKind::ExpectedValue),
];

#[test]
fn each_case_is_accepted_or_refused_alike_whole_and_byte_by_byte() {
    let Some(folder) = support::corpus("json-test-suite/test_parsing") else { return };
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read(&path).unwrap();
        let whole = accepts(&[&text]).map_err(|error| error.kind);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(accepts(&bytes).map_err(|error| error.kind), whole, "{name} byte by byte");
        let refused = REFUSED.iter().find(|(case, _)| *case == name);
        match (name.split_at(2).0, refused) {
            ("y_", _) => assert_eq!(whole, Ok(()), "{name}"),
            ("n_", _) => assert!(whole.is_err(), "{name}"),
            ("i_", Some((_, kind))) => assert_eq!(whole, Err(*kind), "{name}"),
            ("i_", None) => assert_eq!(whole, Ok(()), "{name}"),
            _ => panic!("a case of no class: {name}"),
        }
        cases += 1;
    }
    assert_eq!(cases, 318);
}

#[test]
fn nesting_is_followed_to_the_limit_and_not_beyond() {
    let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    assert_eq!(accepts(&[&nested(512)]), Ok(()));
    assert_eq!(accepts(&[&nested(513)]), Err(SyntaxError { kind: SyntaxErrorKind::Depth, offset: 512 }));
}
