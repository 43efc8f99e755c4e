//! The lexer, step by step and a window at a time on each set of instructions, and serde_json accept the same texts, whole
//! and in pieces.
//!
//! The first byte is the length of the pieces. Where they may differ: serde_json stops at a depth of 128 and refuses
//! numbers beyond an `f64`, whose bytes the lexer passes on.
#![no_main]

use fieldgate::json::{BackEnd, Lexer, SyntaxError, Tape};
use libfuzzer_sys::fuzz_target;

fn steps<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), SyntaxError> {
    let mut lexer = Lexer::new(127);
    for piece in pieces {
        let mut at = 0;
        while lexer.next(piece, &mut at)?.is_some() {}
    }
    lexer.finish().map(|_| ())
}

fn windows<'a>(mut pieces: impl Iterator<Item = &'a [u8]>, back_end: BackEnd) -> Result<(), SyntaxError> {
    let (mut lexer, mut tape) = (Lexer::new(127).on(back_end), Tape::new());
    pieces.try_for_each(|piece| lexer.read(piece, &mut tape))?;
    lexer.finish().map(|_| ())
}

/// All ways to read say the same, the place of an error included.
fn accepts<'a>(pieces: impl Iterator<Item = &'a [u8]> + Clone) -> Result<(), SyntaxError> {
    let steps = steps(pieces.clone());
    for back_end in BackEnd::all() {
        assert_eq!(windows(pieces.clone(), back_end), steps, "{}", back_end.name());
    }
    steps
}

fuzz_target!(|input: &[u8]| {
    let Some((size, text)) = input.split_first() else { return };
    let whole = accepts(std::iter::once(text)).map_err(|error| error.kind);
    let split = accepts(text.chunks(usize::from(*size).max(1))).map_err(|error| error.kind);
    assert_eq!(whole, split);
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(_) => assert_eq!(whole, Ok(()), "refused what serde_json accepts"),
        Err(error) => {
            let told = error.to_string();
            let beyond = told.starts_with("number out of range") || told.starts_with("recursion limit");
            assert!(whole.is_err() || beyond, "accepted what serde_json refuses: {told}");
        }
    }
});
