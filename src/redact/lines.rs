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
            if !self.blank || !line.trim_ascii().is_empty() {
                self.blank = false;
                self.redactor.write(line, &mut Within { start, sink: &mut *sink })?;
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
