//! What leaves the redactor: ranges of the input, the few bytes that transforms make, and the skeleton between them.
//!
//! The skeleton is what has been read and would have to be written if anything inside of it is kept: `"address":[{`. It
//! waits until then, so that nothing empty stays and nothing undecided leaves.

use std::ops::Range;

use crate::json::Window;

/// Takes what a redactor lets through, in order.
pub trait Sink {
    /// Bytes of the piece that was handed to the redactor, which stay as they are.
    fn keep(&mut self, range: Range<usize>);
    /// Bytes that are no longer, or never were, in the piece.
    fn put(&mut self, bytes: &[u8]);
}

/// A sink that copies: the piece and where its kept bytes go.
#[derive(Debug)]
pub struct Copied<'a> {
    /// The piece that is handed to the redactor.
    pub piece: &'a [u8],
    /// What is let through.
    pub out: &'a mut Vec<u8>,
}

impl Sink for Copied<'_> {
    #[inline]
    fn keep(&mut self, range: Range<usize>) {
        self.out.extend_from_slice(self.piece.get(range).unwrap_or_default());
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

/// One window of input on its way, and the sink of what is let through.
pub(super) struct Output<'a, S: ?Sized> {
    pub(super) window: Window<'a>,
    /// Where the window begins in the piece that was handed in; `None` for bytes that were held.
    within: Option<usize>,
    sink: &'a mut S,
    run: Range<usize>,
}

impl<'a, S: Sink + ?Sized> Output<'a, S> {
    pub(super) fn new(window: Window<'a>, within: Option<usize>, sink: &'a mut S) -> Self {
        Self { window, within, sink, run: 0..0 }
    }

    /// Lets a range of the input through. Ranges that touch leave as one.
    #[inline]
    pub(super) fn keep(&mut self, range: Range<usize>) {
        if self.run.end == range.start {
            self.run.end = range.end;
        } else {
            self.flush();
            self.run = range;
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.flush();
        self.sink.put(bytes);
    }

    pub(super) fn flush(&mut self) {
        if !self.run.is_empty() {
            match self.within {
                Some(begin) => self.sink.keep(begin + self.run.start..begin + self.run.end),
                None => self.sink.put(self.window.text.get(self.run.clone()).unwrap_or_default()),
            }
        }
        self.run = self.run.end..self.run.end;
    }

    /// The sink, for bytes that go first.
    pub(super) fn sink(&mut self) -> &mut S {
        self.flush();
        self.sink
    }
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Skeleton {
    parts: Vec<Part>,
    made: Vec<u8>,
    /// What `made` is laid anew in; empty between.
    anew: Vec<u8>,
    size: usize,
    most: usize,
}

#[derive(Debug, Clone)]
enum Part {
    /// A range of the input of now.
    Input(Range<usize>),
    /// A range of `made`.
    Made(Range<usize>),
}

/// How much of a skeleton there was.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    parts: usize,
    size: usize,
}

impl Skeleton {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The most bytes that have waited at once, in the input or not.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    fn grow(&mut self, by: usize) {
        self.size += by;
        self.most = self.most.max(self.size);
    }

    /// How many bytes it holds of its own.
    pub(super) fn held(&self) -> usize {
        self.made.len()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { parts: self.parts.len(), size: self.size }
    }

    /// The mark before each part.
    pub(super) fn marks(&self) -> impl Iterator<Item = Mark> {
        let mut size = 0;
        self.parts.iter().enumerate().map(move |(parts, part)| {
            let (Part::Input(range) | Part::Made(range)) = part;
            size += range.len();
            Mark { parts, size: size - range.len() }
        })
    }

    /// Takes the last part off again, which is a range of the input of now.
    pub(super) fn pop(&mut self) {
        if let Some(Part::Input(range)) = self.parts.pop() {
            self.size -= range.len();
        }
    }

    pub(super) fn truncate(&mut self, mark: Mark) {
        self.parts.truncate(mark.parts);
        self.size = mark.size;
        // INVARIANT: `made` lies in the order of the parts, so it ends where the last made part does.
        let made = self.parts.iter().rev().find_map(|part| match part {
            Part::Made(range) => Some(range.end),
            Part::Input(_) => None,
        });
        self.made.truncate(made.unwrap_or(0));
    }

    #[inline]
    pub(super) fn keep(&mut self, range: Range<usize>) {
        // Touching ranges stay apart here, since a mark may stand between them; the output joins them.
        self.grow(range.len());
        self.parts.push(Part::Input(range));
    }

    /// What came in earlier windows, if anything did.
    #[inline]
    pub(super) fn put_carried(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.put(bytes);
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.grow(bytes.len());
        let start = self.made.len();
        self.made.extend_from_slice(bytes);
        self.parts.push(Part::Made(start..self.made.len()));
    }

    pub(super) fn flush<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) {
        for part in &self.parts {
            match part {
                Part::Input(range) => out.keep(range.clone()),
                Part::Made(range) => out.put(self.made.get(range.clone()).unwrap_or_default()),
            }
        }
        self.parts.clear();
        self.made.clear();
        self.size = 0;
    }

    /// Makes its own what is in an input that goes.
    pub(super) fn settle(&mut self, input: &[u8]) {
        if self.parts.iter().all(|part| matches!(part, Part::Made(_))) {
            return;
        }
        // Frames remember places in `parts`, so each part stays one; only `made` is laid anew.
        for part in &mut self.parts {
            let start = self.anew.len();
            self.anew.extend_from_slice(match part {
                Part::Input(range) => input.get(range.clone()).unwrap_or_default(),
                Part::Made(range) => self.made.get(range.clone()).unwrap_or_default(),
            });
            *part = Part::Made(start..self.anew.len());
        }
        std::mem::swap(&mut self.made, &mut self.anew);
        self.anew.clear();
    }
}
