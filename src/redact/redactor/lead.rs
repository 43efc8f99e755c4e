//! The way of content to the output: frames that open, leads, commas.
//!
//! A frame that has just been opened is a part of the lead of its first value: `,"code":{"coding":[{"system":` lies in
//! one piece and, nearly always, leaves in one. Only where that value is withheld, or the window ends, are the frames
//! staged: each puts its part on the skeleton, so that each can be taken off again.

use std::ops::Range;

use super::super::output::{Output, Sink};
use super::frame::Frame;
use super::{RedactError, Redactor, Result};

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
    #[inline(always)]
    pub(super) fn begin<S: Sink + ?Sized>(&mut self, at: usize, out: &mut Output<'_, S>) {
        if self.flows() {
            out.keep(self.lead.from..at);
            self.lead.restart(at);
            if self.unstaged > 0 {
                let staged = self.frames.len() - self.unstaged;
                self.frames.iter_mut().skip(staged).for_each(|frame| frame.emitted = true);
                self.opened = self.frames.len();
                self.unstaged = 0;
            }
        } else {
            self.begin_anew(at, out);
        }
    }

    /// The same for a value that began where the lead ends.
    pub(super) fn begin_at_lead<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) {
        let at = self.lead.upto.unwrap_or(self.lead.from);
        self.begin(at, out);
    }

    /// The same where something does not just go on.
    fn begin_anew<S: Sink + ?Sized>(&mut self, at: usize, out: &mut Output<'_, S>) {
        self.open_frames(out);
        self.stage_lead(self.frames.len(), at, at, out.window.text);
        if self.envelopes.is_empty() {
            self.skeleton.flush(out);
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.emitted = true;
            frame.nulls = 0;
        }
        self.lead.restart(at);
    }

    /// Whether what comes next just goes on from what was let through last: nothing waits, and a comma is due.
    #[inline(always)]
    pub(super) fn flows(&self) -> bool {
        let staged = self.frames.len() - self.unstaged;
        self.opened == staged
            && self.skeleton.is_empty()
            && self.envelopes.is_empty()
            && self.lead.carried.is_empty()
            && staged
                .checked_sub(1)
                .and_then(|around| self.frames.get(around))
                .is_some_and(|frame| frame.emitted && frame.nulls == 0)
    }

    /// The next lead begins here, since the value before it, and the lead of that, are withheld.
    #[inline(always)]
    pub(super) fn withhold_lead(&mut self, at: usize, input: &[u8]) {
        if self.unstaged > 0 {
            self.stage_frames(input);
        }
        self.lead.restart(at);
    }

    /// Puts the frames that are a part of the lead on the skeleton.
    pub(super) fn stage_frames(&mut self, input: &[u8]) {
        for depth in self.frames.len() - std::mem::take(&mut self.unstaged)..self.frames.len() {
            let mark = self.skeleton.mark();
            let Some(begin) = self.frames.get(depth).map(|frame| (frame.begin - self.base) as usize) else { return };
            self.stage_lead(depth, begin - 1, begin, input);
            self.lead.carried.clear();
            self.lead.from = begin;
            if let Some(frame) = self.frames.get_mut(depth) {
                frame.mark = mark;
            }
        }
    }

    /// Puts the lead of a value, which lies within as many frames and begins at this place, on the skeleton, with its
    /// comma if one is due, and with what of the value goes with it.
    fn stage_lead(&mut self, depth: usize, at: usize, upto: usize, input: &[u8]) {
        let from = self.lead.from;
        let carried = &self.lead.carried;
        let Some(frame) = depth.checked_sub(1).and_then(|around| self.frames.get(around)) else {
            self.skeleton.put_carried(carried);
            self.skeleton.keep(from..upto);
            return;
        };
        if frame.nulls > 0 {
            if frame.emitted {
                self.skeleton.put(b",");
            }
            self.skeleton.put(&b"null,".repeat(frame.nulls));
            self.skeleton.keep(at..upto);
            return;
        }
        // A comma stands before each member and item but the first; where nothing was let through before it, it goes.
        let skip = if frame.emitted { 0 } else { behind_comma(carried, input.get(from..at).unwrap_or_default()) };
        self.skeleton.put_carried(carried.get(skip..).unwrap_or_default());
        self.skeleton.keep(from + skip.saturating_sub(carried.len())..upto);
    }

    /// Whether the lead begins where the content of a frame does: nothing has come in it before.
    pub(super) fn lead_begins(&self, frame: &Frame) -> bool {
        frame.begin + self.lead.carried.len() as u64 == self.base + self.lead.from as u64
    }

    /// Marks each frame as one that stays, since something in it does, and lets the skeleton go.
    #[inline]
    pub(super) fn open_frames<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) {
        if self.unstaged > 0 {
            self.stage_frames(out.window.text);
        }
        if self.opened < self.frames.len() {
            self.decide_envelopes();
            // Each of them is content of the frame around it.
            let first = self.opened.saturating_sub(1);
            let last = self.frames.len() - 1;
            for frame in self.frames.iter_mut().take(last).skip(first) {
                frame.emitted = true;
                frame.nulls = 0;
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

    /// Refuses a lead, up to this place, that is over the limit.
    #[inline(always)]
    pub(super) fn check_lead(&self, at: usize) -> Result<()> {
        let length = self.lead.carried.len() + at.saturating_sub(self.lead.from);
        if length <= self.limits.lead { Ok(()) } else { self.check_lead_of_frames(at) }
    }

    /// The same where the lead holds frames that have just been opened, each of which has a lead of its own.
    #[cold]
    fn check_lead_of_frames(&self, at: usize) -> Result<()> {
        let (mut carried, mut from) = (self.lead.carried.len(), self.lead.from);
        let staged = self.frames.len() - self.unstaged;
        let begins = self.frames.iter().skip(staged).map(|frame| (frame.begin - self.base) as usize);
        for end in begins.chain([at]) {
            if carried + end.saturating_sub(from) > self.limits.lead {
                return Err(RedactError::Lead { limit: self.limits.lead, offset: self.base + from as u64 });
            }
            (carried, from) = (0, end);
        }
        Ok(())
    }

    #[inline(always)]
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
    #[inline(always)]
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

/// Behind the comma that a lead begins with, after white space; 0 where it begins with a name, which may hold one, or a value.
pub(super) fn behind_comma(carried: &[u8], here: &[u8]) -> usize {
    if let (true, Some(b',')) = (carried.is_empty(), here.first()) {
        return 1;
    }
    let mut bytes = carried.iter().chain(here).enumerate();
    match bytes.find(|(_, byte)| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        Some((at, b',')) => at + 1,
        _ => 0,
    }
}
