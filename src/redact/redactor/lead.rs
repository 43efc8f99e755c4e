//! The way of content to the output: frames that open, leads, commas.

use std::ops::Range;

use super::super::output::{Output, Sink};
use super::Redactor;
use super::frame::Opened;

/// What stands between a value and the one before it.
#[derive(Default)]
pub(super) struct Lead {
    /// What of it came in earlier windows.
    pub(super) carried: Vec<u8>,
    /// Where it begins in the window.
    pub(super) from: usize,
    /// Where the value begins in the window, once it has.
    pub(super) upto: Option<usize>,
}

impl Redactor {
    /// Makes way for a value that is kept and begins at this place: frames, lead, comma.
    #[inline]
    pub(super) fn begin<S: Sink + ?Sized>(&mut self, at: usize, out: &mut Output<'_, S>) {
        self.open_frames(out);
        let plain = self.lead.carried.is_empty() && self.skeleton.is_empty() && self.envelopes.is_empty();
        if plain && self.last_emitted() && self.nulls().is_none_or(|nulls| *nulls == 0) {
            out.keep(self.lead.from..at);
        } else {
            self.stage_lead(at, out.window.text);
            if self.envelopes.is_empty() {
                self.skeleton.flush(out);
            }
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.emitted = true;
            if let Opened::Array { nulls, .. } = &mut frame.kind {
                *nulls = 0;
            }
        }
        self.lead.restart(at);
    }

    /// The same for a value that began where the lead ends.
    pub(super) fn begin_at_lead<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) {
        let at = self.lead.upto.unwrap_or(self.lead.from);
        self.begin(at, out);
    }

    /// Puts the lead of a value that begins at this place on the skeleton, with its comma if one is due.
    pub(super) fn stage_lead(&mut self, at: usize, input: &[u8]) {
        let emitted = self.last_emitted();
        if let Some(nulls) = self.nulls().map(|nulls| *nulls).filter(|nulls| *nulls > 0) {
            if emitted {
                self.skeleton.put(b",");
            }
            self.skeleton.put(&b"null,".repeat(nulls));
            return;
        }
        let carried = std::mem::take(&mut self.lead.carried);
        let range = self.lead.from..at;
        let here = input.get(range.clone()).unwrap_or_default();
        // A comma stands before each member but the first; where nothing was let through before it, it goes.
        let skip = if emitted { 0 } else { comma_end(&carried, here) };
        if let Some(rest @ [_, ..]) = carried.get(skip..) {
            self.skeleton.put(rest);
        }
        self.skeleton.keep(range.start + skip.saturating_sub(carried.len())..range.end);
        self.lead.carried = carried;
        self.lead.carried.clear();
    }

    /// Marks each frame as one that stays, since something in it does, and lets the skeleton go.
    #[inline]
    pub(super) fn open_frames<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) {
        if self.opened < self.frames.len() {
            self.decide_envelopes();
            // Each of them is content of the frame around it.
            let first = self.opened.saturating_sub(1);
            let last = self.frames.len() - 1;
            for frame in self.frames.iter_mut().take(last).skip(first) {
                frame.emitted = true;
                if let Opened::Array { nulls, .. } = &mut frame.kind {
                    *nulls = 0;
                }
            }
            self.opened = self.frames.len();
        }
        if self.envelopes.is_empty() && !self.skeleton.is_empty() {
            self.skeleton.flush(out);
            self.let_through = true;
        }
    }

    /// An envelope is decided once something of the object in it is let through, and each envelope around it as well.
    fn decide_envelopes(&mut self) {
        if let (Some(innermost), Some(outermost)) = (self.envelopes.last(), self.envelopes.first())
            && self.resources.iter().rev().any(|resource| resource.frame == innermost.frame + 1)
        {
            self.opened = outermost.outer_opened;
            self.envelopes.clear();
        }
    }

    #[inline]
    pub(super) fn content<S: Sink + ?Sized>(&mut self, range: Range<usize>, out: &mut Output<'_, S>) {
        if self.envelopes.is_empty() {
            self.let_through = true;
            out.keep(range);
        } else {
            self.skeleton.keep(range);
        }
    }

    pub(super) fn made<S: Sink + ?Sized>(&mut self, bytes: &[u8], out: &mut Output<'_, S>) {
        if bytes.is_empty() {
        } else if self.envelopes.is_empty() {
            self.let_through = true;
            out.put(bytes);
        } else {
            self.skeleton.put(bytes);
        }
    }
}

impl Lead {
    /// The lead of the next value begins here.
    #[inline]
    pub(super) fn restart(&mut self, at: usize) {
        self.carried.clear();
        self.from = at;
        self.upto = None;
    }

    pub(super) fn settle(&mut self, input: &[u8]) {
        self.carried.extend_from_slice(input.get(self.from..self.upto.unwrap_or(input.len())).unwrap_or_default());
        self.from = 0;
        self.upto = self.upto.map(|_| 0);
    }
}

/// Behind the comma that a lead begins with, or 0 where it begins with none.
fn comma_end(carried: &[u8], here: &[u8]) -> usize {
    carried
        .iter()
        .chain(here)
        .position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
        .filter(|at| carried.get(*at).or_else(|| here.get(at - carried.len())) == Some(&b','))
        .map_or(0, |at| at + 1)
}
