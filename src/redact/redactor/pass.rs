//! Values that are decided as a whole: kept, dropped or transformed, and passed over in one step.

use std::ops::Range;
use std::sync::Arc;

use super::super::output::{Output, Sink};
use super::super::plan::{Action, Capture, Edge, TransformId};
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
    pub(super) collect: bool,
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
    #[inline]
    pub(super) fn pass<S: Sink + ?Sized>(
        &mut self,
        fate: Passed,
        edge: Edge,
        at: usize,
        place: usize,
        out: &mut Output<'_, S>,
    ) -> Result<Option<usize>> {
        match fate {
            Passed::Keep => self.begin(place, out),
            Passed::Transform(_) => self.lead.upto = Some(place),
            Passed::Drop | Passed::Mistyped | Passed::Null => self.lead.restart(place),
        }
        if fate == Passed::Mistyped && matches!(edge.action, Action::Discriminate(_)) {
            self.withhold_envelope();
        }
        self.text.clear();
        let collect = edge.capture.is_some() || matches!(fate, Passed::Transform(_));
        let pass = Pass { fate, edge, rest: self.rest(out.window, at), from: place, collect };
        let Some((end, mark)) = out.window.end_of_value(at) else {
            self.mode = Mode::Pass(pass);
            return Ok(None);
        };
        self.passed(pass, end, out)?;
        Ok(Some(mark))
    }

    /// What will end the value whose first mark this is.
    #[inline]
    pub(super) fn rest(&self, window: Window<'_>, at: usize) -> Rest {
        match window.peek(at) {
            Some((_, b'"')) => Rest::String,
            Some((_, b'{' | b'[')) => Rest::Nested(self.frames.len()),
            _ => Rest::Scalar,
        }
    }

    /// Behind a value that was decided as a whole.
    #[inline]
    pub(super) fn passed<S: Sink + ?Sized>(&mut self, pass: Pass, end: usize, out: &mut Output<'_, S>) -> Result<()> {
        let here = out.window.text.get(pass.from..end).unwrap_or_default();
        if let (true, false) = (pass.collect, self.text.is_empty()) {
            self.text.extend_from_slice(here);
        }
        let fate = match pass.fate {
            Passed::Keep => {
                self.content(pass.from..end, out);
                Some(Fate::Released)
            }
            Passed::Transform(transform) => Some(self.transformed(transform, pass.from..end, out)?),
            Passed::Drop | Passed::Mistyped => Some(Fate::Withheld),
            Passed::Null => None,
        };
        if let (Some(Fate::Withheld) | None, Some(nulls)) = (fate, self.nulls()) {
            *nulls += 1;
        }
        if let Some(fate) = fate {
            self.tally.count(pass.edge.element, fate);
        }
        self.tally.mistyped += u64::from(pass.fate == Passed::Mistyped);
        if let Some(capture) = pass.edge.capture {
            let here = out.window.text.get(pass.from..end).unwrap_or_default();
            self.note(capture, here);
        }
        self.lead.restart(end);
        self.after_value();
        Ok(())
    }

    /// Replaces a scalar, or withholds it where it cannot be replaced.
    pub(super) fn transformed<S: Sink + ?Sized>(
        &mut self,
        id: TransformId,
        range: Range<usize>,
        out: &mut Output<'_, S>,
    ) -> Result<Fate> {
        let plan = Arc::clone(&self.plan);
        let text = std::mem::take(&mut self.text);
        let whole = if text.is_empty() { out.window.text.get(range.clone()).unwrap_or_default() } else { &text };
        let string = whole.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let value = match string {
            _ if whole.len() > self.limits.text => None,
            Some(string) => string::unescape(string),
            None => std::str::from_utf8(whole).ok().map(Into::into),
        };
        let new = match (plan.transform(id), &value) {
            (Some(Transform::Reference), Some(value)) => self.leads_to_seen(value).then_some(New::AsItWas),
            (Some(transform), Some(value)) => {
                let subject = self.resources.iter().rev().find_map(|resource| resource.subject.as_deref());
                transform.apply(value, &self.given, subject).map(New::Text)
            }
            _ => {
                self.tally.over_limit += 1;
                None
            }
        };
        let fate = match new {
            None => Fate::Withheld,
            Some(New::AsItWas) => {
                self.begin_at_lead(out);
                if text.is_empty() {
                    self.content(range, out);
                } else {
                    self.made(&text, out);
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
        };
        self.text = text;
        Ok(fate)
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

    /// Notes an id or a patient, shown or not.
    pub(super) fn note(&mut self, capture: Capture, here: &[u8]) {
        let whole = if self.text.is_empty() { here } else { &self.text };
        let quoted = whole.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let Some(value) = quoted.and_then(string::unescape) else { return };
        let direct = self.resources.last().filter(|resource| resource.frame + 1 == self.frames.len());
        match (capture, direct) {
            (Capture::ResourceId, Some(resource)) => self.tally.resource(resource.owner, &value),
            (Capture::Patient, direct) => {
                if let Some(resource) = direct {
                    self.tally.resource(resource.owner, &value);
                }
                self.tally.patient(&value);
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
