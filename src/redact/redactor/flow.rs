//! The flow: while all that comes stays, the output is the input, and all there is to know is how far it goes.
//!
//! Most values of most responses stay where they are. For them nothing is written, no lead is kept apart and no comma is
//! looked at: the flow goes from member to member, looks up each name and counts it, and goes into objects and arrays and
//! out again without opening a frame. Where something is more than passed by (it is made anew, waits for a decision,
//! goes beyond the window) the flow stops right before it and leaves all as the walk would have: what was let
//! through, and the frames that it stands in.

use super::super::output::{Output, Sink};
use super::super::plan::{Action, Capture, Edge, Items, Plan, State, StateId, TransformId};
use super::super::tally::Fate;
use super::super::transform::Transform;
use super::Redactor;
use super::frame::{Frame, Opened};
use super::walk::kind_of;
use crate::json::Window;

/// How far the flow has come.
struct Course {
    /// The next mark.
    at: usize,
    /// Where that begins which stays and has not been let through.
    begin: usize,
    /// Where the last value of it ends; of a number or a literal, a place within it.
    upto: usize,
}

/// Where the flow through an object or an array ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Before its bracket.
    Bracket,
    /// Before something that is not for the flow.
    Within,
}

impl Redactor {
    /// Goes on from a mark, in the innermost frame, while all that comes stays. Answers the mark before what does not.
    ///
    /// Only where [`Redactor::flows`].
    pub(super) fn flow<S: Sink + ?Sized>(&mut self, plan: &Plan, at: usize, out: &mut Output<'_, S>) -> usize {
        let Some(frame) = self.frames.last() else { return at };
        let (from, opened) = (self.lead.from, self.frames.len());
        let mut course = Course { at, begin: from, upto: from };
        let mut emitted = self.unstaged == 0;
        match frame.kind {
            Opened::Object { state, discriminator } => {
                // What may be the discriminator is looked at elsewhere.
                let member = discriminator.and_then(|discriminator| plan.table(discriminator.table));
                let apart = member.map_or(usize::MAX, |table| table.member.len());
                if let Some(state) = plan.state(state) {
                    self.members(plan, state, apart, &mut emitted, &mut course, out);
                }
            }
            Opened::Array { items, state, .. } => {
                if state.is_none_or(|state| in_turn(plan, state)) {
                    self.items(plan, items, &mut emitted, &mut course, out);
                }
            }
        }
        // The frames in which it stopped opened on the way out of them.
        if let Some(inner) = self.frames.get_mut(opened..) {
            inner.reverse();
        }
        if course.upto > from {
            let upto = out.window.end_of_scalar(course.upto).unwrap_or(course.upto);
            out.keep(course.begin..upto);
            self.let_through = true;
            self.lead.restart(upto);
            self.frames.iter_mut().take(opened).skip(opened - self.unstaged).for_each(|frame| frame.emitted = true);
            self.unstaged = 0;
        }
        self.unstaged += self.frames.iter().skip(opened).filter(|frame| !frame.emitted).count();
        self.opened = self.frames.len() - self.unstaged;
        course.at
    }

    /// The members of an object, to its bracket or to what is not for the flow. A name as long as `apart` is not for it.
    #[inline(never)]
    fn members<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        state: &State,
        apart: usize,
        emitted: &mut bool,
        course: &mut Course,
        out: &mut Output<'_, S>,
    ) -> End {
        let window = out.window;
        loop {
            let Some((name, byte)) = window.peek(course.at) else { return End::Within };
            if byte == b'}' {
                return End::Bracket;
            }
            let Some([end, value]) = window.places(course.at + 1) else { return End::Within };
            let edge = match state.members.get_within(window.text, name + 1, end) {
                Some(edge) if end - name - 1 != apart => edge,
                _ => return End::Within,
            };
            let goes_on = match edge.action {
                Action::Drop if *emitted && edge.capture.is_none() => self.goes(edge, course, out),
                _ => self.value_in_flow(plan, edge, course.at + 2, value, emitted, course, out),
            };
            if !goes_on {
                return End::Within;
            }
        }
    }

    /// The items of an array, to its bracket or to what is not for the flow.
    fn items<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        items: Edge,
        emitted: &mut bool,
        course: &mut Course,
        out: &mut Output<'_, S>,
    ) -> End {
        loop {
            let Some((place, byte)) = out.window.peek(course.at) else { return End::Within };
            if byte == b']' {
                return End::Bracket;
            }
            if !self.value_in_flow(plan, &items, course.at, place, emitted, course, out) {
                return End::Within;
            }
        }
    }

    /// A value, at this mark and place; `false` where it, or something in it, is not for the flow.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "the place in the plan, the place in the window, and how far it has come")]
    fn value_in_flow<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        edge: &Edge,
        mark: usize,
        place: usize,
        emitted: &mut bool,
        course: &mut Course,
        out: &mut Output<'_, S>,
    ) -> bool {
        let window = out.window;
        let Some(&byte) = window.text.get(place) else { return false };
        if place - course.upto > self.limits.lead {
            return false;
        }
        let stays = match edge.action {
            Action::Keep => true,
            Action::Scalar(kinds) => kinds.has_one(kind_of(byte)),
            _ => false,
        };
        if !stays || edge.capture.is_some() {
            return self.looked_into(plan, edge, mark, place, emitted, course, out);
        }
        let Some((end, after)) = behind(window, mark, place, byte) else { return false };
        self.tally.count(edge.element, Fate::Released);
        (course.upto, course.at, *emitted) = (end, after, true);
        true
    }

    /// A value that does not stay at first sight.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "as above")]
    fn looked_into<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        edge: &Edge,
        mark: usize,
        place: usize,
        emitted: &mut bool,
        course: &mut Course,
        out: &mut Output<'_, S>,
    ) -> bool {
        let window = out.window;
        let Some(&byte) = window.text.get(place) else { return false };
        let begin = self.base + place as u64 + 1;
        let (kind, state) = match (edge.action, byte) {
            (Action::Descend(id), b'{') => match plan.state(id) {
                Some(state) if !state.envelope => (Opened::Object { state: id, discriminator: None }, Some(state)),
                _ => return false,
            },
            (Action::Descend(id), b'[') => match plan.state(id) {
                Some(state) if state.items == Items::Same => (Opened::array(plan, *edge, Some(id)), Some(state)),
                _ => return false,
            },
            (Action::Scalar(_), b'[') => (Opened::array(plan, *edge, None), None),
            (Action::Scalar(_) | Action::Keep | Action::Transform(_), _) => {
                let stays = match edge.action {
                    Action::Transform(id) => is_reference(plan, id) && leads_out(window.text, place),
                    Action::Scalar(kinds) => kinds.has_one(kind_of(byte)),
                    _ => true,
                };
                let Some((end, after)) = behind(window, mark, place, byte) else { return false };
                if !stays || edge.capture.is_some() && !self.is_noted(edge, window.text.get(place..end)) {
                    return false;
                }
                self.tally.count(edge.element, Fate::Released);
                (course.upto, course.at, *emitted) = (end, after, true);
                return true;
            }
            _ => return false,
        };
        course.at = mark + 1;
        let mut inner = false;
        let end = match (&kind, state) {
            (Opened::Object { .. }, Some(state)) => self.members(plan, state, usize::MAX, &mut inner, course, out),
            (Opened::Array { items, .. }, _) => self.items(plan, *items, &mut inner, course, out),
            _ => End::Within,
        };
        *emitted |= inner;
        let close = window.place(course.at).filter(|close| close - course.upto < self.limits.lead);
        match close {
            Some(close) if end == End::Bracket && inner && !state.is_some_and(State::ends_with_more) => {
                self.tally.count(edge.element, Fate::Released);
                (course.upto, course.at) = (close + 1, course.at + 1);
                true
            }
            _ => {
                self.frames.push(Frame { emitted: inner, ..Frame::new(kind, *edge, begin) });
                false
            }
        }
    }

    /// A member that goes, where something stands before it; `false` where it goes on beyond the window.
    fn goes<S: Sink + ?Sized>(&mut self, edge: &Edge, course: &mut Course, out: &mut Output<'_, S>) -> bool {
        let Some((end, after)) = out.window.end_of_value(course.at + 2) else { return false };
        self.tally.count(edge.element, Fate::Withheld);
        // The comma before what comes next is due, and so stays with that.
        out.keep(course.begin..out.window.end_of_scalar(course.upto).unwrap_or(course.upto));
        *course = Course { at: after, begin: end, upto: end };
        true
    }

    /// Whether what an edge notes of a value has been noted before.
    fn is_noted(&self, edge: &Edge, value: Option<&[u8]>) -> bool {
        edge.capture == Some(Capture::Patient) && value == Some(&*self.last_patient)
    }
}

/// Behind the value at this mark and place: of a number or a literal a place within it, since what comes behind it tells
/// where it ends; and the mark. `None` where it may go on beyond the window.
#[inline(always)]
fn behind(window: Window<'_>, mark: usize, place: usize, byte: u8) -> Option<(usize, usize)> {
    match byte {
        b'{' | b'[' => window.end_of_value(mark),
        _ => {
            let next = window.place(mark + 1)?;
            Some(if byte == b'"' { (next + 1, mark + 2) } else { (place + 1, mark + 1) })
        }
    }
}

/// Whether a reference leads out of its resource: `#` can be spelled in no other way than as itself or by an escape.
fn leads_out(text: &[u8], place: usize) -> bool {
    matches!(text.get(place..place + 2), Some([b'"', first]) if !matches!(first, b'"' | b'#' | b'\\'))
}

fn is_reference(plan: &Plan, transform: TransformId) -> bool {
    matches!(plan.transform(transform), Some(Transform::Reference))
}

/// Whether the items of an array are all decided alike.
fn in_turn(plan: &Plan, state: StateId) -> bool {
    plan.state(state).is_some_and(|state| state.items == Items::Same)
}
