//! The lexer and serde_json accept the same texts, whole and in pieces.
//!
//! The first byte is the length of the pieces. Where they may differ: serde_json stops at a depth of 128 and refuses
//! numbers beyond an `f64`, whose bytes the lexer passes on.
#![no_main]

use fieldgate::json::{Lexer, SyntaxError};
use libfuzzer_sys::fuzz_target;

fn accepts<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), SyntaxError> {
    let mut lexer = Lexer::new(127);
    for piece in pieces {
        let mut at = 0;
        while lexer.next(piece, &mut at)?.is_some() {}
    }
    lexer.finish().map(|_| ())
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
