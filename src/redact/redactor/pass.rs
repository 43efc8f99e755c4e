//! Values that are decided as a whole: kept, dropped or transformed, and passed over in one step.

use std::borrow::Cow;
use std::ops::Range;

use super::super::output::{Output, Sink};
use super::super::plan::{Action, Capture, Edge, Plan, TransformId};
use super::super::tally::{self, Fate};
use super::super::transform::Transform;
use super::{Mode, Redactor, Result};
use crate::json::{Window, string};

#[derive(Clone, Copy)]
pub(super) struct Pass {
    pub(super) fate: Passed,
    pub(super) edge: Edge,
    pub(super) rest: Rest,
    /// Where, in the window, begins what has not been let through or collected.
    pub(super) from: usize,
}

impl Pass {
    /// Whether the text of the value is looked at, and so collected where it goes on beyond a window.
    pub(super) fn collects(&self) -> bool {
        self.edge.capture.is_some() || matches!(self.fate, Passed::Transform(_))
    }
}

/// What ends a value that goes on beyond its window.
#[derive(Clone, Copy)]
pub(super) enum Rest {
    /// A quote.
    String,
    /// What is no part of a number or a literal.
    Scalar,
    /// The bracket after which as many are open as were before the value.
    Nested(usize),
}

impl Rest {
    /// Behind the end of the value, where this window holds it: the place and the mark.
    pub(super) fn end(self, window: Window<'_>) -> Option<(usize, usize)> {
        match self {
            Self::String => window.end_of_string(),
            Self::Scalar => window.end_of_scalar(0).map(|end| (end, 0)),
            Self::Nested(depth) => window.end_of_nested(depth),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    Keep,
    Drop,
    /// Dropped since its JSON type is not that of its element.
    Mistyped,
    /// A `null` in an aligned array: nothing to count.
    Null,
    Transform(TransformId),
}

/// What a transform makes of a value.
pub(super) enum New {
    AsItWas,
    Text(String),
}

impl Redactor {
    /// Passes over a value that is decided as a whole, or over what of it this window holds.
    #[inline(always)]
    pub(super) fn pass<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        fate: Passed,
        edge: Edge,
        at: usize,
        place: usize,
        out: &mut Output<'_, S>,
    ) -> Result<Option<usize>> {
        match fate {
            Passed::Keep => self.begin(place, out),
            Passed::Transform(_) => self.lead.upto = Some(place),
            Passed::Drop | Passed::Mistyped | Passed::Null => self.withhold_lead(place, out.window.text),
        }
        match out.window.end_of_value(at) {
            Some((end, mark)) => {
                self.passed(plan, fate, edge, place..end, out);
                Ok(Some(mark))
            }
            None => {
                self.mode = Mode::Pass(Pass { fate, edge, rest: self.rest(out.window, at), from: place });
                Ok(None)
            }
        }
    }

    /// What will end the value whose first mark this is.
    pub(super) fn rest(&self, window: Window<'_>, at: usize) -> Rest {
        match window.peek(at) {
            Some((_, b'"')) => Rest::String,
            Some((_, b'{' | b'[')) => Rest::Nested(self.frames.len()),
            _ => Rest::Scalar,
        }
    }

    /// Behind a value that began before this window.
    pub(super) fn pass_ended<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        pass: Pass,
        end: usize,
        out: &mut Output<'_, S>,
    ) {
        self.mode = Mode::Walk;
        self.passed(plan, pass.fate, pass.edge, pass.from..end, out);
    }

    /// Behind a value that was decided as a whole, of which this range is what the window holds.
    #[inline(always)]
    pub(super) fn passed<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        fate: Passed,
        edge: Edge,
        range: Range<usize>,
        out: &mut Output<'_, S>,
    ) {
        let end = range.end;
        if let (Passed::Keep, None) = (fate, edge.capture) {
            self.content(range, out);
            self.tally.count(edge.element, Fate::Released);
        } else {
            self.decided_whole(plan, fate, edge, range, out);
        }
        self.withhold_lead(end, out.window.text);
        self.after_value();
    }

    /// The same, where more is to be done than to let it through.
    fn decided_whole<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        fate: Passed,
        edge: Edge,
        range: Range<usize>,
        out: &mut Output<'_, S>,
    ) {
        // What came of it in earlier windows and what is here are one.
        let mut text = std::mem::take(&mut self.text);
        let here = out.window.text.get(range.clone()).unwrap_or_default();
        if !text.is_empty() {
            text.extend_from_slice(here);
        }
        let whole = if text.is_empty() { here } else { &text };
        match fate {
            Passed::Keep => {
                self.content(range, out);
                self.tally.count(edge.element, Fate::Released);
            }
            Passed::Transform(transform) => {
                let fate = self.transformed(plan, transform, whole, range, out);
                self.tally.count(edge.element, fate);
                self.one_null_more(fate);
            }
            Passed::Drop | Passed::Mistyped => {
                self.tally.count(edge.element, Fate::Withheld);
                self.one_null_more(Fate::Withheld);
            }
            Passed::Null => self.one_null_more(Fate::Withheld),
        }
        if fate == Passed::Mistyped {
            self.tally.mistyped += 1;
            if let Action::Discriminate(_) = edge.action {
                self.withhold_envelope();
            }
        }
        if let Some(capture) = edge.capture {
            self.note(capture, whole, self.frames.len());
        }
        text.clear();
        self.text = text;
    }

    /// Replaces a scalar, which is `whole` and of which the window holds this range, or withholds it where it cannot be
    /// replaced.
    fn transformed<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        id: TransformId,
        whole: &[u8],
        range: Range<usize>,
        out: &mut Output<'_, S>,
    ) -> Fate {
        if whole.len() > self.limits.text {
            self.tally.over_limit += 1;
            return Fate::Withheld;
        }
        let string = whole.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let new = match (plan.transform(id), string) {
            // Nearly all lead elsewhere: `#` can be spelled in no other way than as itself or by an escape.
            (Some(Transform::Reference), Some([first, ..])) if !matches!(first, b'#' | b'\\') => Some(New::AsItWas),
            (Some(Transform::Reference), Some(string)) => {
                string::unescape(string).filter(|value| self.leads_to_seen(value)).map(|_| New::AsItWas)
            }
            (Some(transform), string) => {
                let value = match string {
                    Some(string) => string::unescape(string),
                    None => str::from_utf8(whole).ok().map(Cow::Borrowed),
                };
                let subject = self.resources.iter().rev().find_map(|resource| resource.subject.as_deref());
                value.and_then(|value| {
                    let new = transform.apply(&value, &self.given, subject)?;
                    let untouched = matches!((&value, &new), (Cow::Borrowed(_), Cow::Borrowed(_)));
                    Some(if untouched { New::AsItWas } else { New::Text(new.into_owned()) })
                })
            }
            (None, _) => None,
        };
        match new {
            None => Fate::Withheld,
            Some(New::AsItWas) => {
                self.begin_at_lead(out);
                if range.len() == whole.len() {
                    self.content(range, out);
                } else {
                    self.made(whole, out);
                }
                Fate::Released
            }
            Some(New::Text(new)) => {
                let mut json = Vec::with_capacity(new.len() + 2);
                if string.is_some() {
                    string::escape_into(&mut json, &new);
                } else {
                    json.extend_from_slice(new.as_bytes());
                }
                self.begin_at_lead(out);
                self.made(&json, out);
                Fate::Transformed
            }
        }
    }

    /// Where an item of an aligned array is withheld, `null` stands in its place if something follows.
    pub(super) fn one_null_more(&mut self, fate: Fate) {
        if let (Fate::Withheld, true, Some(frame)) = (fate, self.in_aligned(), self.frames.last_mut()) {
            frame.nulls += 1;
        }
    }

    /// Whether a reference leads outside of the resource, or to a part of it that is seen.
    pub(super) fn leads_to_seen(&self, reference: &str) -> bool {
        match reference.strip_prefix('#') {
            None | Some("") => true,
            Some(id) => {
                let container = self.resources.iter().rev().find(|resource| !resource.fragment);
                let first = container.map_or(0, |resource| resource.fragments);
                self.fragments.iter().skip(first).any(|known| **known == *id)
            }
        }
    }

    /// Notes an id or a patient, shown or not, which stands within as many frames.
    pub(super) fn note(&mut self, capture: Capture, whole: &[u8], depth: usize) {
        let direct = self.resources.last().filter(|resource| resource.frame + 1 == depth);
        // Resource after resource is of the same patient, whose id would be read each time to be known already.
        if let (Capture::Patient, None) = (capture, direct)
            && whole == self.last_patient
        {
            return;
        }
        let quoted = whole.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let Some(value) = quoted.and_then(string::unescape) else { return };
        match (capture, direct) {
            (Capture::ResourceId, Some(resource)) => self.tally.resource(resource.owner, &value),
            (Capture::Patient, direct) => {
                if let Some(resource) = direct {
                    self.tally.resource(resource.owner, &value);
                }
                self.tally.patient(&value);
                self.last_patient.clear();
                self.last_patient.extend_from_slice(whole);
            }
            (Capture::FragmentId, _) => {
                if self.fragments.len() < tally::MOST_IDS && value.len() <= tally::LONGEST_ID {
                    self.fragments.push(value.into());
                }
            }
            (Capture::ResourceId, None) => {}
        }
    }
}
