//! What is accepted is what serde_json accepts: JSON that something happened to, on each back end, whole and in pieces.
//!
//! `FIELDGATE_MUTANTS` says how many; a number makes the same mutants each time, and a failure tells which it was. Real
//! texts are changed by flips, inserts, deletions and splices, so that many of them are nearly JSON, and a part still is.
//! What leads further is sought by coverage in fuzz/fuzz_targets/lexer.rs.
#![cfg(feature = "demo")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests state behaviour and may panic"
)]

mod support;

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use fieldgate::demo::people::Population;
use fieldgate::json::{BackEnd, Lexer, SyntaxError, SyntaxErrorKind, Tape};
use fieldgate::redact::transform::Given;
use fieldgate::redact::{Copied, Limits, Plan, RedactError, Redactor};
use serde::de::IgnoredAny;
use serde_json::Value;
use support::Sizes;

/// How deep serde_json follows.
const DEPTH: usize = 127;

/// The longest text that is changed: longer ones are much of the same.
const LONGEST: usize = 4096;

/// Where parsers differ, and what fills a block of 64 bytes.
#[rustfmt::skip]
const HOSTILE: &[&str] = &[
    "{}", "[]", "[[]]", r#"{"":{}}"#, "[1,2]", "[1,]", "[,1]", r#"{"a":1,}"#, r#"{"a"}"#, r#"{"a":}"#, "{1:1}", "[1 2]",
    r#"["a""b"]"#, r#"{"a":1 "b":2}"#, r#"{"a":1,"a":2}"#, r#""""#, r#""\"""#, r#""\\""#, r#""\\\"""#, r#""\u0000""#,
    r#""\ud83d\ude00""#, r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\u12g4""#, r#""\x""#, r"\u", r"\ud83d",
    "\\", "\"", "\"\u{7f}\"", "\"é\"", "\"😀\"", "0", "-0", "-", "01", "1.", ".5", "1.0", "1e5", "1E+5", "1e-5", "1e",
    "1e400", "123456789012345678901234567890", "true", "false", "null", "tru", "truee", "nul", "True", "NaN", " ", "\t",
    "\r\n", "\u{c}", "\u{feff}", "\u{a0}", ",", ":", "]", "}", "[", "{", "/**/", "//", "'a'",
    r"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
];

/// Bytes that no text of characters has, or that begin one and do not end it.
const BYTES: &[u8] = &[0, 0x1f, 0x7f, 0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];

/// What may stand in a string as it is here.
const IN_STRINGS: &[&str] = &[
    "x",
    "0",
    " ",
    "",
    "é",
    "€",
    "😀",
    "\\n",
    "\\\"",
    "\\\\",
    "\\/",
    "\\u00e9",
    "\\uFFFF",
    "\\ud83d\\uDE00",
    "]",
    "{",
    ",",
    ":",
];

/// What may stand behind these bytes, where something else follows.
const IN_ARRAYS: &[&str] = &["null,", "[],", "{\"a\":[{}]},", "-1.5e+7 ,", "\"\\\\\","];
const IN_OBJECTS: &[&str] = &["\"\":0,", "\"\\\"\":[] , ", "\"a\":{\"a\":true},", "\"\\u0061\" : \"a\",\n"];

/// What is changed: JSONTestSuite where it is, FHIR resources, and the texts above.
fn texts() -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = HOSTILE.iter().map(|text| text.as_bytes().to_vec()).collect();
    if let Some(folder) = support::corpus("json-test-suite/test_parsing") {
        texts.extend(support::documents(&folder).iter().map(|path| std::fs::read(path).unwrap()));
    }
    let mut types = Vec::new();
    let population = Population::generate(1, 3, jiff::civil::date(2026, 11, 22));
    for resource in population.resources() {
        types.push(&resource["resourceType"]);
        if types.iter().filter(|of| **of == &resource["resourceType"]).count() <= 3 {
            texts.extend([serde_json::to_vec(resource).unwrap(), serde_json::to_vec_pretty(resource).unwrap()]);
        }
    }
    texts.retain(|text| text.len() <= LONGEST);
    texts
}

struct Mutator {
    /// What is JSON comes first.
    texts: Vec<Vec<u8>>,
    /// How many of them are.
    valid: usize,
    random: Sizes,
}

impl Mutator {
    fn new() -> Self {
        let (mut texts, others): (Vec<_>, Vec<_>) =
            texts().into_iter().partition(|text| serde_json::from_slice::<Value>(text).is_ok());
        let valid = texts.len();
        texts.extend(others);
        Self { texts, valid, random: Sizes(0) }
    }

    /// Below a bound.
    fn below(&mut self, bound: usize) -> usize {
        self.random.next(bound.max(1)) - 1
    }

    /// A place in a text, half of the time one where its structure is.
    fn place(&mut self, text: &[u8]) -> usize {
        let at = self.below(text.len() + 1);
        let found = match self.below(2) {
            0 => text[at..].iter().position(|byte| b"{}[]\":,\\".contains(byte)),
            _ => None,
        };
        at + found.unwrap_or(0)
    }

    /// A range of a text; short, most of the time.
    fn range(&mut self, text: &[u8]) -> std::ops::Range<usize> {
        let from = self.place(text);
        let most = if self.below(4) == 0 { LONGEST } else { 8 };
        from..text.len().min(from + self.random.next(most))
    }

    /// Most of the time one that is JSON before something happens to it.
    fn text(&mut self) -> Vec<u8> {
        let bound = if self.below(4) == 0 { self.texts.len() } else { self.valid };
        let at = self.below(bound);
        self.texts[at].clone()
    }

    /// Mostly leaves JSON behind, and not always.
    fn change_kindly(&mut self, text: &mut Vec<u8>) {
        let at = self.below(text.len() + 1);
        let Some(at) =
            text[at..].iter().position(|byte| b"[{".contains(byte) || byte.is_ascii_lowercase()).map(|by| at + by)
        else {
            return;
        };
        let (from, list) = match text[at] {
            b'[' => (at + 1, IN_ARRAYS),
            b'{' => (at + 1, IN_OBJECTS),
            _ => (at, IN_STRINGS),
        };
        let new = list[self.below(list.len())];
        text.splice(from..at + 1, new.bytes());
    }

    fn change(&mut self, text: &mut Vec<u8>) {
        let at = self.place(text);
        match self.below(8) {
            0 => {
                let bit = 1 << self.below(8);
                text.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
            }
            1 => {
                let byte = self.below(256) as u8;
                text.iter_mut().skip(at).take(1).for_each(|other| *other = byte);
            }
            2 => text.insert(at, BYTES[self.below(BYTES.len())]),
            3 => {
                let snippet = HOSTILE[self.below(HOSTILE.len())];
                text.splice(at..at, snippet.bytes());
            }
            4 => {
                let range = self.range(text);
                text.drain(range);
            }
            5 => {
                let copy = text[self.range(text)].to_vec();
                text.splice(at..at, copy);
            }
            6 => {
                let (other, range) = (self.text(), self.range(text));
                let from = self.range(&other);
                text.splice(range, other[from].iter().copied());
            }
            // Moves what follows to other places of its blocks, and is JSON still where it is between tokens.
            _ => {
                let spaces = self.random.next(70);
                text.splice(at..at, std::iter::repeat_n(b' ', spaces));
            }
        }
    }

    fn mutant(&mut self, number: usize) -> Vec<u8> {
        self.random = Sizes(number as u64);
        // The first numbers of a seed resemble each other.
        (0..4).for_each(|_| _ = self.random.next(2));
        let mut text = self.text();
        let (kindly, unkindly) = [(6, 0), (3, 1), (1, 1), (0, 3)][self.below(4)];
        (0..kindly).for_each(|_| self.change_kindly(&mut text));
        (0..unkindly).for_each(|_| self.change(&mut text));
        text
    }
}

type Read = Result<(), SyntaxError>;

fn whole_text_steps(text: &[u8]) -> Read {
    let (mut lexer, mut at) = (Lexer::new(DEPTH), 0);
    while lexer.next(text, &mut at)?.is_some() {}
    lexer.finish().map(|_| ())
}

/// Errors are at their place in the whole text, so that they can be compared.
fn read(pieces: &[&[u8]], back_end: BackEnd, tape: &mut Tape) -> Read {
    let (mut lexer, mut base) = (Lexer::new(DEPTH).on(back_end), 0);
    for piece in pieces {
        lexer.read(piece, tape).map_err(|error| SyntaxError { offset: error.offset + base, ..error })?;
        base += piece.len() as u64;
    }
    lexer.finish().map(|_| ())
}

fn redact(plan: &Arc<Plan>, pieces: &[&[u8]], back_end: BackEnd, out: &mut Vec<u8>) -> Result<bool, RedactError> {
    let limits = Limits { depth: DEPTH, ..Limits::default() };
    let mut redactor = Redactor::new(Arc::clone(plan), Given::default(), limits).on(back_end);
    out.clear();
    for piece in pieces {
        redactor.write(piece, &mut Copied { piece, out })?;
    }
    redactor.finish(&mut Copied { piece: &[], out })
}

/// What serde_json says of a text: accepted or not. Where it stops at a number beyond an `f64`, whose bytes the lexer
/// passes on, it is asked again without looking at numbers; it then looks at strings less closely, too.
fn accepts(text: &[u8], beyond: &mut usize) -> impl Fn(&Read) -> bool {
    let (strict, lax) = match serde_json::from_slice::<Value>(text) {
        Ok(_) => (true, true),
        Err(error) if error.to_string().starts_with("number out of range") => {
            *beyond += 1;
            let utf8 = std::str::from_utf8(text).is_ok();
            (false, utf8 && serde_json::from_slice::<IgnoredAny>(text).is_ok())
        }
        Err(_) => (false, false),
    };
    move |read| match read {
        Ok(()) => strict || lax,
        Err(error) => !strict && (!lax || error.kind == SyntaxErrorKind::Surrogate),
    }
}

#[test]
fn each_mutant_is_accepted_where_serde_json_accepts_it_on_each_back_end_whole_and_in_pieces() {
    let count = std::env::var("FIELDGATE_MUTANTS")
        .map_or(10_000, |count| count.parse().expect("FIELDGATE_MUTANTS is a number"));
    let start = std::time::Instant::now();
    let mut mutator = Mutator::new();
    let plan = Arc::new(Plan::keep_all());
    let (mut tape, mut out) = (Tape::new(), Vec::new());
    let (mut accepted, mut beyond, mut different) = (0, 0, HashSet::new());
    for number in 0..count {
        let text = mutator.mutant(number);
        // Short ones, or about as long as a block.
        let most = [1, 7, 64, 200][mutator.below(4)];
        let pieces = mutator.random.split(&text, most);
        let is_right = accepts(&text, &mut beyond);
        let expected = whole_text_steps(&text);
        let told = |what: &str, read: &Read| {
            let text = text.escape_ascii();
            panic!("mutant {number}, {what}: {read:?}, where steps say {expected:?}: {text}")
        };
        for back_end in BackEnd::all() {
            let name = back_end.name();
            for (way, pieces) in [("whole", [text.as_slice()].as_slice()), ("in pieces", &pieces)] {
                let read = read(pieces, back_end, &mut tape);
                if !is_right(&read) || read != expected {
                    told(&format!("{name}, {way}"), &read);
                }
            }
            // And the redactor lets it through as it is, or refuses it for the same reason.
            match redact(&plan, &pieces, back_end, &mut out) {
                Ok(_) if expected.is_ok() && out == text => {}
                Err(RedactError::Syntax(error)) if expected.is_err_and(|other| other.kind == error.kind) => {}
                other => told(&format!("{name}, redacted to {other:?}"), &expected),
            }
        }
        accepted += usize::from(expected.is_ok());
        different.insert(BuildHasherDefault::<DefaultHasher>::default().hash_one(&text));
    }
    let names: Vec<&str> = BackEnd::all().map(BackEnd::name).collect();
    println!(
        "{count} mutants of {} texts, {} different, {accepted} accepted, {beyond} with a number beyond an f64; {}; {:.1} s",
        mutator.texts.len(),
        different.len(),
        names.join(", "),
        start.elapsed().as_secs_f64()
    );
    assert!(accepted * 10 > count && accepted * 10 < count * 9, "{accepted} of {count}: one side is hardly tested");
}
