//! NDJSON: each line a document of its own, redacted as it comes.
//!
//! Memory is bounded by what one document may hold. A line that can't be read ends the whole: what may follow it is not
//! looked at.

use std::ops::Range;

use super::{RedactError, Redactor, Sink, Tally};

/// Redacts the documents of an NDJSON text, whose pieces may end anywhere. Blank lines and documents of which nothing is
/// let through are left out.
pub struct Lines {
    redactor: Redactor,
    /// Whether the line that is being read has been blank so far.
    blank: bool,
}

impl Lines {
    /// Each line goes through such a redactor.
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, blank: true }
    }

    /// Takes a piece of the text. What is let through of it is told by its place in the piece.
    ///
    /// # Errors
    /// Where a line can't be read or decided. The offset is counted from the line's begin.
    pub fn write<S: Sink + ?Sized>(&mut self, piece: &[u8], sink: &mut S) -> Result<(), RedactError> {
        let mut start = 0;
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let line = part.strip_suffix(b"\n").unwrap_or(part);
            // What stands before a document goes wherever pieces end, so that they never change what comes out.
            let text = if self.blank { line.trim_ascii_start() } else { line };
            if !text.is_empty() {
                self.blank = false;
                let start = start + line.len() - text.len();
                self.redactor.write(text, &mut Within { start, sink: &mut *sink })?;
            }
            if line.len() < part.len() {
                self.end_line(sink)?;
            }
            start += part.len();
        }
        Ok(())
    }

    /// Ends the text, whose last line need not have an end of its own.
    ///
    /// # Errors
    /// Where the last line is not whole.
    pub fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<(), RedactError> {
        self.end_line(sink)
    }

    fn end_line<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<(), RedactError> {
        if self.blank {
            return Ok(());
        }
        self.blank = true;
        if self.redactor.finish(sink)? {
            sink.put(b"\n");
        }
        self.redactor.renew();
        Ok(())
    }

    /// How many bytes are held at this moment.
    pub fn held(&self) -> usize {
        self.redactor.held()
    }

    /// What was released, withheld and transformed so far, of all lines.
    pub fn tally(&self) -> &Tally {
        self.redactor.tally()
    }
}

/// A sink for a part of a piece.
struct Within<'s, S: Sink + ?Sized> {
    /// Where the part starts.
    start: usize,
    sink: &'s mut S,
}

impl<S: Sink + ?Sized> Sink for Within<'_, S> {
    fn keep(&mut self, range: Range<usize>) {
        self.sink.keep(self.start + range.start..self.start + range.end);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.sink.put(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::redact::transform::Given;
    use crate::redact::{Copied, Limits, plan};

    /// A text through a plan that shows `a` of each object and nothing else, in pieces of this size.
    fn lines(text: &str, size: usize) -> (Result<usize, RedactError>, String) {
        let mut builder = plan::PlanBuilder::new();
        let mut state = plan::State::new();
        state.members.insert("a", plan::Edge::new(plan::Action::Keep));
        let state = builder.state(state);
        let plan = Arc::new(builder.build(plan::Edge::new(plan::Action::Descend(state))).unwrap());
        let mut lines = Lines::new(Redactor::new(plan, Given::default(), Limits::default()));
        let mut out = Vec::new();
        let mut result = Ok(());
        for piece in text.as_bytes().chunks(size) {
            result = result.and_then(|()| lines.write(piece, &mut Copied { piece, out: &mut out }));
        }
        let result = result.and_then(|()| lines.finish(&mut Copied { piece: &[], out: &mut out }));
        (result.map(|()| lines.held()), String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_line_is_a_document_of_its_own_however_it_is_split() {
        let text = "{\"a\":1,\"b\":2}\r\n\n  \t\n{\"b\":2}\n {\"b\":0,\"a\":[1, 2]}\n{\"a\":3}";
        for size in 1..text.len() {
            let (result, out) = lines(text, size);
            assert_eq!(result, Ok(0), "pieces of {size}");
            assert_eq!(out, "{\"a\":1}\r\n{\"a\":[1, 2]}\n{\"a\":3}\n", "pieces of {size}");
        }
        for empty in ["", "\n", " \r\n\n"] {
            assert_eq!(lines(empty, 1), (Ok(0), String::new()));
        }
    }

    #[test]
    fn what_is_held_of_a_line_is_told() {
        let mut builder = plan::PlanBuilder::new();
        let cut = builder.transform(crate::redact::transform::Transform::Truncate(1));
        let plan = Arc::new(builder.build(plan::Edge::new(plan::Action::Transform(cut))).unwrap());
        let mut lines = Lines::new(Redactor::new(plan, Given::default(), Limits::default()));
        let mut out = Vec::new();
        for (piece, held) in [(&b"\"abc"[..], 4), (b"def", 7), (b"\"\n", 0), (b"\"g", 2)] {
            lines.write(piece, &mut Copied { piece, out: &mut out }).unwrap();
            assert_eq!(lines.held(), held, "{}", String::from_utf8_lossy(piece));
        }
    }

    #[test]
    fn l30_nothing_behind_a_line_that_fails_or_breaks_off_is_let_through() {
        for text in [
            "{\"a\":1}\n{\"b\":\"canary\",}\n{\"a\":2}\n",
            "{\"a\":1}\n{\"b\":\"canary",
            "{\"a\":1}\n{\"b\":2} {\"a\":2}\n",
        ] {
            for size in 1..text.len() {
                let (result, out) = lines(text, size);
                assert!(result.is_err() && out == "{\"a\":1}\n", "pieces of {size}: {out}");
            }
        }
    }
}
