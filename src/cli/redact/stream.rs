//! Redacts what one reader gives and writes what is let through, in memory that does not grow with the input.
//!
//! It must never write any part of an NDJSON line that it has not read to its end, and never go on behind one that it
//! could not read.

use std::io::{self, IoSlice, Read, Write};
use std::ops::Range;

use crate::redact::{RedactError, Redactor, Sink};

/// How much is read at once: enough for few calls, and little enough to be in the processor's cache when it is redacted.
const PIECE: usize = 64 * 1024;
/// From how many bytes on a range is written from where it was read; a shorter one is cheaper copied than told of.
const LONG: usize = 1024;
/// The most that may come out of one line of NDJSON, which is held until the line has ended.
pub(super) const LINE: usize = 16 * 1024 * 1024;

/// Why there is no whole output. No message holds anything of the input.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("the input cannot be read")]
    Read(#[source] io::Error),
    #[error("the output cannot be written")]
    Write(#[source] io::Error),
    #[error("{0}")]
    Document(RedactError),
    #[error("line {line}, which begins at byte {start}: {error}, counted from the line's begin")]
    Line { line: u64, start: u64, error: RedactError },
    #[error("line {line}, which begins at byte {start}: more than {} MiB come out of it", LINE >> 20)]
    LongLine { line: u64, start: u64 },
}

/// What became of the input.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Documents of which something was let through.
    pub(super) shown: u64,
    /// Documents that were withheld whole.
    pub(super) withheld: u64,
}

/// Redacts the whole input as one document.
pub(super) fn document(
    mut input: impl Read,
    out: &mut impl Write,
    mut redactor: Redactor,
    read: &mut dyn FnMut(usize),
) -> Result<Outcome, StreamError> {
    let mut buffer = vec![0; PIECE];
    let mut gathered = Gathered::default();
    loop {
        let piece = next_piece(&mut input, &mut buffer)?;
        if piece.is_empty() {
            break;
        }
        let result = redactor.write(piece, &mut gathered.of(piece));
        // What was let through before a failure is written as well.
        gathered.write(piece, out).map_err(StreamError::Write)?;
        result.map_err(StreamError::Document)?;
        read(piece.len());
    }
    let result = redactor.finish(&mut gathered.of(&[]));
    gathered.write(&[], out).map_err(StreamError::Write)?;
    let shown = result.map_err(StreamError::Document)?;
    Ok(Outcome { shown: shown.into(), withheld: (!shown).into() })
}

/// Redacts each line of the input as a document of its own. Blank lines are skipped.
pub(super) fn lines(
    mut input: impl Read,
    out: &mut impl Write,
    redactor: Redactor,
    read: &mut dyn FnMut(usize),
) -> Result<Outcome, StreamError> {
    let mut buffer = vec![0; PIECE];
    let mut outcome = Outcome::default();
    let mut line = Line { number: 1, start: 0, length: 0, blank: true, redactor, shown: Vec::new() };
    loop {
        let piece = next_piece(&mut input, &mut buffer)?;
        if piece.is_empty() {
            break;
        }
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.take(part)?;
            if part.ends_with(b"\n") {
                line.end(out, &mut outcome)?;
                let (number, start) = (line.number + 1, line.start + line.length);
                let (mut shown, (_, redactor)) = (line.shown, line.redactor.again());
                shown.clear();
                line = Line { number, start, length: 0, blank: true, redactor, shown };
            }
        }
        read(piece.len());
    }
    line.end(out, &mut outcome)?;
    Ok(outcome)
}

/// A line of NDJSON that is being read.
struct Line {
    number: u64,
    start: u64,
    length: u64,
    blank: bool,
    redactor: Redactor,
    /// What is let through of it, until it has ended.
    shown: Vec<u8>,
}

impl Line {
    fn take(&mut self, part: &[u8]) -> Result<(), StreamError> {
        self.length += part.len() as u64;
        self.blank &= part.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        let mut sink = Held { piece: part, shown: &mut self.shown, full: false };
        let result = self.redactor.write(part, &mut sink);
        let full = sink.full;
        self.checked(result, full)
    }

    fn end(&mut self, out: &mut impl Write, outcome: &mut Outcome) -> Result<(), StreamError> {
        if self.blank {
            return Ok(());
        }
        let mut sink = Held { piece: &[], shown: &mut self.shown, full: false };
        let result = self.redactor.finish(&mut sink);
        let full = sink.full;
        let is_shown = *result.as_ref().unwrap_or(&false);
        self.checked(result.map(drop), full)?;
        if !is_shown {
            outcome.withheld += 1;
            return Ok(());
        }
        outcome.shown += 1;
        // White space around a document stays as it is, the line's own end too.
        let text = self.shown.trim_ascii();
        out.write_all(text).and_then(|()| out.write_all(b"\n")).map_err(StreamError::Write)
    }

    fn checked(&self, result: Result<(), RedactError>, full: bool) -> Result<(), StreamError> {
        let (line, start) = (self.number, self.start);
        result.map_err(|error| StreamError::Line { line, start, error })?;
        if full { Err(StreamError::LongLine { line, start }) } else { Ok(()) }
    }
}

/// The next bytes of the input; none at its end.
fn next_piece<'a>(input: &mut impl Read, buffer: &'a mut [u8]) -> Result<&'a [u8], StreamError> {
    loop {
        match input.read(buffer) {
            Ok(read) => return Ok(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StreamError::Read(error)),
        }
    }
}

/// What a piece lets through, until it is written in one go.
#[derive(Default)]
struct Gathered {
    parts: Vec<Part>,
    /// What is not written from where it was read.
    copied: Vec<u8>,
}

enum Part {
    /// A range of the piece.
    Read(Range<usize>),
    /// A range of what was copied.
    Copied(Range<usize>),
}

impl Gathered {
    fn of<'a>(&'a mut self, piece: &'a [u8]) -> Gathering<'a> {
        Gathering { piece, gathered: self }
    }

    fn write(&mut self, piece: &[u8], out: &mut impl Write) -> io::Result<()> {
        let slices = self.parts.iter().map(|part| match part {
            Part::Read(range) => IoSlice::new(piece.get(range.clone()).unwrap_or_default()),
            Part::Copied(range) => IoSlice::new(self.copied.get(range.clone()).unwrap_or_default()),
        });
        let mut slices: Vec<IoSlice<'_>> = slices.collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match out.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.parts.clear();
        self.copied.clear();
        Ok(())
    }
}

/// Gathers what one piece lets through.
struct Gathering<'a> {
    piece: &'a [u8],
    gathered: &'a mut Gathered,
}

impl Sink for Gathering<'_> {
    fn keep(&mut self, range: Range<usize>) {
        if range.len() < LONG {
            self.put(self.piece.get(range).unwrap_or_default());
        } else {
            self.gathered.parts.push(Part::Read(range));
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let Gathered { parts, copied } = &mut *self.gathered;
        let start = copied.len();
        copied.extend_from_slice(bytes);
        match parts.last_mut() {
            Some(Part::Copied(last)) => last.end = copied.len(),
            _ if bytes.is_empty() => {}
            _ => parts.push(Part::Copied(start..copied.len())),
        }
    }
}

/// Holds what a line lets through, up to [`LINE`].
struct Held<'a> {
    piece: &'a [u8],
    shown: &'a mut Vec<u8>,
    full: bool,
}

impl Sink for Held<'_> {
    fn keep(&mut self, range: Range<usize>) {
        self.put(self.piece.get(range).unwrap_or_default());
    }

    fn put(&mut self, bytes: &[u8]) {
        if bytes.len() > LINE.saturating_sub(self.shown.len()) {
            self.full = true;
        } else if !self.full {
            self.shown.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::transform::Given;
    use crate::redact::{Limits, Plan, plan};
    use std::sync::Arc;

    /// A plan that shows `a` of each object and nothing else.
    fn shows_a() -> Arc<Plan> {
        let mut builder = plan::PlanBuilder::new();
        let mut state = plan::State::new();
        state.members.insert("a", plan::Edge::new(plan::Action::Keep));
        let state = builder.state(state);
        Arc::new(builder.build(plan::Edge::new(plan::Action::Descend(state))).unwrap())
    }

    fn redactor() -> Redactor {
        Redactor::new(shows_a(), Given::default(), Limits::default())
    }

    /// Gives its bytes in pieces of this size.
    struct Split<'a>(&'a [u8], usize);

    impl Read for Split<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (now, later) = self.0.split_at(self.1.min(self.0.len()).min(buffer.len()));
            buffer[..now.len()].copy_from_slice(now);
            self.0 = later;
            Ok(now.len())
        }
    }

    fn ndjson(text: &str, size: usize) -> (Result<Outcome, String>, String) {
        let mut out = Vec::new();
        let result = lines(Split(text.as_bytes(), size), &mut out, redactor(), &mut |_| ());
        (result.map_err(|error| error.to_string()), String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_line_is_a_document_of_its_own_however_it_is_split() {
        let text = "{\"a\":1,\"b\":2}\r\n\n  \t\n{\"b\":2}\n {\"b\":0,\"a\":[1, 2]} \n{\"a\":3}";
        for size in 1..text.len() {
            let (outcome, out) = ndjson(text, size);
            assert_eq!(out, "{\"a\":1}\n{\"a\":[1, 2]}\n{\"a\":3}\n");
            assert_eq!(outcome, Ok(Outcome { shown: 3, withheld: 1 }));
        }
    }

    #[test]
    fn nothing_of_a_line_that_fails_is_written_and_nothing_after_it() {
        let text = "{\"a\":1}\n{\"a\":\"canary\",}\n{\"a\":2}\n";
        for size in 1..text.len() {
            let (outcome, out) = ndjson(text, size);
            let told = outcome.unwrap_err();
            assert_eq!(out, "{\"a\":1}\n");
            assert!(told.starts_with("line 2, which begins at byte 8: not JSON: ") && told.contains("14"), "{told}");
            assert!(!told.contains("canary"));
        }
    }

    #[test]
    fn a_line_that_breaks_off_at_the_end_is_not_written() {
        let (outcome, out) = ndjson("{\"a\":1}\n{\"a\":2", 5);
        assert!(outcome.unwrap_err().starts_with("line 2,"));
        assert_eq!(out, "{\"a\":1}\n");
    }

    #[test]
    fn a_line_of_which_too_much_comes_out_is_refused() {
        let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(LINE));
        let (outcome, out) = ndjson(&long, PIECE);
        assert!(outcome.unwrap_err().contains("more than 16 MiB"));
        assert!(out.is_empty());
    }

    #[test]
    fn a_document_flows_through_and_a_withheld_one_is_told() {
        let text = "{\"b\":[1,2,{\"a\":0}],\"a\":{\"b\":1}}";
        for size in 1..text.len() {
            let mut out = Vec::new();
            let outcome = document(Split(text.as_bytes(), size), &mut out, redactor(), &mut |_| ()).unwrap();
            assert_eq!((out.as_slice(), outcome.shown), (&b"{\"a\":{\"b\":1}}"[..], 1));
        }
        let mut out = Vec::new();
        let outcome = document(&b"{\"b\":1}"[..], &mut out, redactor(), &mut |_| ()).unwrap();
        assert_eq!((out.len(), outcome.withheld), (0, 1));
    }

    #[test]
    fn a_writer_that_fails_ends_the_work() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let failed = document(&b"{\"a\":1}"[..], &mut Full, redactor(), &mut |_| ()).unwrap_err();
        assert!(matches!(failed, StreamError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe));
    }
}
