//! The redactor means what the oracle means, for a plan and a document at random, whole and in pieces.
//!
//! The input is a length, that many bytes from which a plan is laid out, the length of the pieces, and the document.
#![no_main]

use std::sync::Arc;

use fieldgate::redact::transform::Given;
use fieldgate::redact::{Copied, Limits, Plan, RedactError, Redactor, oracle};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[path = "../../tests/support/plans.rs"]
mod plans;

fn redact<'a>(
    plan: &Arc<Plan>,
    given: &Given,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<u8>, Result<bool, RedactError>) {
    let mut redactor = Redactor::new(Arc::clone(plan), given.clone(), Limits::default());
    let mut out = Vec::new();
    for piece in pieces {
        if let Err(error) = redactor.write(piece, &mut Copied { piece, out: &mut out }) {
            return (out, Err(error));
        }
    }
    let end = redactor.finish(&mut Copied { piece: &[], out: &mut out });
    (out, end)
}

fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first() else { return };
    let (draws, rest) = rest.split_at(rest.len().min(usize::from(*length)));
    let Some((size, text)) = rest.split_first() else { return };
    let (plan, given) = (plans::laid_out(draws), Given { bounds: plans::bounds(draws), ..Given::default() });
    let whole = redact(&plan, &given, std::iter::once(text));
    let split = redact(&plan, &given, text.chunks(usize::from(*size).max(1)));
    assert_eq!(whole.1, split.1);
    let (Ok(seen), Ok(document)) = (whole.1, serde_json::from_slice::<Value>(text)) else { return };
    assert_eq!(whole.0, split.0);
    let expected = oracle::redact(&plan, &given, &document);
    // serde_json takes the last of members that stand twice; the redactor keeps each as its rule says.
    if serde_json::to_vec(&document).is_ok_and(|again| members(&again) == members(text)) {
        assert_eq!(seen, expected.is_some());
        if seen {
            assert_eq!(serde_json::from_slice::<Value>(&whole.0).ok(), expected);
        }
    }
});

/// How many colons stand outside of strings.
fn members(text: &[u8]) -> usize {
    let (mut count, mut quoted, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b':' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}
