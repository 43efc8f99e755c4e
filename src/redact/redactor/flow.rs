//! The flow: while all that comes stays, the output is the input, and all there is to know is how far it goes.
//!
//! Most values of most responses stay where they are. For them nothing is written, no lead is kept apart and no comma is
//! looked at: the flow goes from member to member, looks up each name and counts it, and goes into objects and arrays and
//! out again without opening a frame. Where something is more than passed by (it is made anew, waits for a decision,
//! goes beyond the window) the flow stops right before it and leaves all as the walk would have: what was let
//! through, and the frames that it stands in.
//!
//! A member that goes is left out: the output ends before its lead, and goes on behind it. Where nothing of its object has
//! stayed yet, all that has been opened and is still empty is put onto the skeleton, a part for each, and waits there as
//! in the walk: for the first value that stays, or for its own bracket, with which it goes.

use super::super::names::is_escaped;
use super::super::output::{Output, Sink};
use super::super::plan::{Action, Edge, Items, Plan, State, StateId, TableId};
use super::super::tally::Fate;
use super::super::transform::Transform;
use super::Redactor;
use super::frame::{Discriminator, Frame, Opened};
use super::hold::{First, first};
use super::lead::behind_comma;
use super::walk::kind_of;
use crate::json::Window;

/// A flow through one window.
struct Flow<'r, 'o, 'a, S: ?Sized> {
    redactor: &'r mut Redactor,
    plan: &'r Plan,
    out: &'o mut Output<'a, S>,
    /// The next mark.
    at: usize,
    /// Where that begins which stays and has not been let through.
    begin: usize,
    /// Where the last value of it ends; of a number or a literal, a place within it.
    upto: usize,
    /// Within how many objects and arrays it goes.
    depth: usize,
    /// Whether anything of the innermost of them has stayed.
    emitted: bool,
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
        let from = self.lead.from;
        let (depth, emitted) = (self.frames.len(), self.unstaged == 0);
        let mut flow = Flow { redactor: self, plan, out, at, begin: from, upto: from, depth, emitted };
        while flow.innermost() == End::Bracket && flow.closes() {}
        let Flow { at, begin, upto, depth, emitted, .. } = flow;
        // The frames in which it stopped opened on the way out of them.
        if let Some(inner) = self.frames.get_mut(depth..) {
            inner.reverse();
        }
        if upto > from {
            let upto = out.window.end_of_scalar(upto).unwrap_or(upto);
            out.keep(begin..upto);
            self.lead.restart(upto);
        }
        if emitted {
            self.let_through = true;
            self.all_emitted(depth);
        }
        // What is still empty lies within all that is not: the outer ones on the skeleton, the inner ones in the lead.
        self.opened = self.frames.iter().rposition(|frame| frame.emitted).map_or(0, |last| last + 1);
        let empty = self.frames.iter_mut().skip(self.opened);
        let staged = empty.zip(self.skeleton.marks()).map(|(frame, mark)| frame.mark = mark).count();
        self.unstaged = self.frames.len() - self.opened - staged;
        at
    }

    /// Something of each of so many frames, the outermost, has been let through.
    fn all_emitted(&mut self, depth: usize) {
        let staged = depth - self.unstaged;
        self.frames.iter_mut().take(depth).skip(staged).for_each(|frame| frame.emitted = true);
        self.unstaged = 0;
    }
}

impl<S: Sink + ?Sized> Flow<'_, '_, '_, S> {
    /// What of the innermost frame is left.
    fn innermost(&mut self) -> End {
        let plan = self.plan;
        match self.redactor.frames.last().map(|frame| frame.kind) {
            Some(Opened::Object { state, discriminator }) => {
                let mut discriminator = discriminator;
                let end = plan.state(state).map_or(End::Within, |state| self.members(state, discriminator.as_mut()));
                if let Some(Frame { kind: Opened::Object { discriminator: known, .. }, .. }) =
                    self.redactor.frames.get_mut(self.depth - 1)
                {
                    *known = discriminator;
                }
                end
            }
            Some(Opened::Array { items, state, .. }) => {
                let state = state.and_then(|state| plan.state(state));
                if state.is_none_or(|state| state.items == Items::Same) { self.items(items) } else { End::Within }
            }
            None => End::Within,
        }
    }

    /// Closes the innermost frame at its bracket; `false` where its end may be more than that.
    fn closes(&mut self) -> bool {
        let Some(bracket) = self.out.window.place(self.at).filter(|bracket| self.is_near(*bracket)) else {
            return false;
        };
        if !self.emitted || self.depth < 2 {
            return false;
        }
        self.redactor.all_emitted(self.depth);
        let Some(frame) = self.redactor.frames.pop_if(|frame| frame.is_quiet(self.plan)) else { return false };
        self.redactor.tally.count(frame.edge.element, Fate::Released);
        (self.upto, self.at, self.depth) = (bracket + 1, self.at + 1, self.depth - 1);
        true
    }

    /// Whether what comes next is not further away than a lead may be long.
    #[inline(always)]
    fn is_near(&self, place: usize) -> bool {
        place - self.upto < self.redactor.limits.lead
    }

    /// The members of an object, to its bracket or to what is not for the flow; it may say by one of them what it is.
    #[inline(never)]
    fn members(&mut self, state: &State, mut discriminator: Option<&mut Discriminator>) -> End {
        let window = self.out.window;
        let table = discriminator.as_ref().and_then(|discriminator| self.plan.table(discriminator.table));
        let said = table.map(|table| &*table.member);
        loop {
            let Some([name, end, place]) = window.places(self.at) else {
                let bracket = window.peek(self.at).is_some_and(|(_, byte)| byte == b'}');
                return if bracket { End::Bracket } else { End::Within };
            };
            if window.text.get(name) == Some(&b'}') {
                return End::Bracket;
            }
            let edge = match state.members.get_within(window.text, name + 1, end) {
                Some(edge) => edge,
                // Escaped, it may be one of them.
                None if window.has_escapes() && is_escaped(window.text, name + 1, end) => return End::Within,
                None => &state.other,
            };
            let says = said.is_some_and(|said| window.text.get(name + 1..end) == Some(said.as_bytes()));
            // Said twice, it is refused elsewhere.
            if says && discriminator.as_ref().is_none_or(|discriminator| discriminator.seen) {
                return End::Within;
            }
            let goes_on = match edge.action {
                Action::Drop => self.goes(edge, window, self.at + 2, place),
                _ => self.value(edge, window, self.at + 2, place),
            };
            if !goes_on {
                return End::Within;
            }
            if says && let Some(discriminator) = &mut discriminator {
                discriminator.seen = true;
            }
        }
    }

    /// The items of an array, to its bracket or to what is not for the flow.
    fn items(&mut self, items: Edge) -> End {
        let window = self.out.window;
        loop {
            let Some((place, byte)) = window.peek(self.at) else { return End::Within };
            if byte == b']' {
                return End::Bracket;
            }
            if !self.value(&items, window, self.at, place) {
                return End::Within;
            }
        }
    }

    /// A value, at this mark and place; `false` where it, or something in it, is not for the flow.
    #[inline(always)]
    fn value(&mut self, edge: &Edge, window: Window<'_>, mark: usize, place: usize) -> bool {
        let Some(&byte) = window.text.get(place) else { return false };
        if !self.is_near(place) {
            return false;
        }
        match edge.action {
            Action::Keep if edge.capture.is_none() => self.stays(edge, window, mark, place, byte),
            Action::Scalar(kinds) if edge.capture.is_none() && kinds.has_one(kind_of(byte)) => {
                self.stays(edge, window, mark, place, byte)
            }
            Action::Descend(state) => self.opens(edge, state, mark, place, byte),
            _ => self.looked_into(edge, mark, place, byte),
        }
    }

    /// A value that stays; `false` where it may go on beyond the window.
    #[inline(always)]
    fn stays(&mut self, edge: &Edge, window: Window<'_>, mark: usize, place: usize, byte: u8) -> bool {
        let behind = match byte {
            b'{' | b'[' => window.end_of_value(mark),
            b'"' => window.place(mark + 1).map(|quote| (quote + 1, mark + 2)),
            // What comes behind a number or a literal tells where it ends.
            _ => window.place(mark + 1).map(|_| (place + 1, mark + 1)),
        };
        let Some((end, after)) = behind else { return false };
        if !self.redactor.skeleton.is_empty() {
            self.unstage(place);
        }
        self.redactor.tally.count(edge.element, Fate::Released);
        (self.upto, self.at, self.emitted) = (end, after, true);
        true
    }

    /// A value that goes; `false` where it may go on beyond the window.
    fn goes(&mut self, edge: &Edge, window: Window<'_>, mark: usize, place: usize) -> bool {
        let Some((end, after)) = window.end_of_value(mark).filter(|_| self.is_near(place)) else { return false };
        self.redactor.tally.count(edge.element, Fate::Withheld);
        if let Some(capture) = edge.capture {
            self.redactor.note(capture, window.text.get(place..end).unwrap_or_default(), self.depth);
        }
        self.leaves_out(mark, end, after);
        true
    }

    /// Goes on behind a value, whose first mark this is, without it and its lead.
    fn leaves_out(&mut self, mark: usize, end: usize, after: usize) {
        let stayed = self.out.window.end_of_scalar(self.upto).unwrap_or(self.upto);
        self.out.keep(self.begin..stayed);
        if !self.emitted {
            self.stage(stayed, mark);
        }
        // Where something stands before it, the comma before what comes next is due, and so stays with that.
        (self.begin, self.upto, self.at) = (end, end, after);
    }

    /// Puts the objects and arrays that opened behind this place, and before this mark, onto the skeleton.
    fn stage(&mut self, mut from: usize, mark: usize) {
        let (window, skeleton) = (self.out.window, &mut self.redactor.skeleton);
        // Between them stand nothing but names, since what goes has been left out before.
        let is_behind = |mark: &usize| window.place(*mark).is_some_and(|place| place >= from);
        let opened = (0..mark).rev().take_while(is_behind).count();
        if !skeleton.is_empty() {
            from += behind_comma(&[], window.text.get(from..).unwrap_or_default());
        }
        for (place, _) in (mark - opened..mark).filter_map(|mark| window.peek(mark)).filter(|(_, byte)| *byte != b'"') {
            skeleton.keep(from..place + 1);
            from = place + 1;
        }
    }

    /// Goes on behind an object or array, whose opening bracket this mark and place are of, since nothing of it has stayed.
    fn leaves_empty(&mut self, mark: usize, place: usize, end: usize) {
        let after = self.at + 1;
        if place < self.upto {
            // Something of it has gone, for which it was put onto the skeleton, as the last.
            self.redactor.skeleton.pop();
            (self.begin, self.upto, self.at) = (end, end, after);
        } else {
            self.leaves_out(mark, end, after);
        }
    }

    /// Lets the skeleton go before the value at this place, which is the first to stay.
    #[inline(never)]
    fn unstage(&mut self, place: usize) {
        self.redactor.skeleton.flush(self.out);
        let lead = self.out.window.text.get(self.upto..place).unwrap_or_default();
        self.begin = self.upto + behind_comma(&[], lead);
    }

    /// A value that does not stay at first sight.
    #[inline(never)]
    fn looked_into(&mut self, edge: &Edge, mark: usize, place: usize, byte: u8) -> bool {
        let window = self.out.window;
        let stays = match (edge.action, byte) {
            (Action::Scalar(_), b'[') => {
                let kind = Opened::array(self.plan, *edge, None);
                return self.within(edge, kind, None, mark, place);
            }
            (Action::Discriminate(table), b'{') => return self.enters(edge, table, mark, place),
            (Action::Scalar(kinds), _) => kinds.has_one(kind_of(byte)),
            (Action::Transform(id), b'"') => match self.plan.transform(id) {
                Some(Transform::Reference) => {
                    let fits = window.place(mark + 1).is_some_and(|quote| quote - place < self.redactor.limits.text);
                    fits && leads_out(window.text, place)
                }
                _ => false,
            },
            (Action::Keep, _) => true,
            _ => false,
        };
        if !stays || !self.stays(edge, window, mark, place, byte) {
            return false;
        }
        if let Some(capture) = edge.capture {
            self.redactor.note(capture, window.text.get(place..self.upto).unwrap_or_default(), self.depth);
        }
        true
    }

    /// An object or array that is decided by a state.
    #[inline(never)]
    fn opens(&mut self, edge: &Edge, id: StateId, mark: usize, place: usize, byte: u8) -> bool {
        match (byte, self.plan.state(id)) {
            (b'{', Some(state)) if !state.envelope => {
                self.within(edge, Opened::Object { state: id, discriminator: None }, Some(state), mark, place)
            }
            (b'[', Some(state)) if state.items == Items::Same => {
                self.within(edge, Opened::array(self.plan, *edge, Some(id)), Some(state), mark, place)
            }
            _ => false,
        }
    }

    /// An object whose first member says what it is.
    #[inline(never)]
    fn enters(&mut self, edge: &Edge, table: TableId, mark: usize, place: usize) -> bool {
        let (plan, window, limit) = (self.plan, self.out.window, self.redactor.limits.hold);
        let case = match first(plan, self.redactor.given.bounds.as_deref(), table, window, mark, limit) {
            First::Case(case) => case,
            First::Unseen => {
                let goes = self.goes(&Edge { capture: None, ..*edge }, window, mark, place);
                self.redactor.tally.withheld_objects += u64::from(goes);
                return goes;
            }
            First::Other | First::Beyond => return false,
        };
        let Some(state) = plan.state(case.state).filter(|state| !state.envelope) else { return false };
        self.redactor.enter_resource(plan, table, case.owner, None, self.depth);
        let discriminator = Some(Discriminator { table, seen: false });
        let closed = self.within(edge, Opened::Object { state: case.state, discriminator }, Some(state), mark, place);
        if closed {
            self.redactor.leave_resource();
        }
        closed
    }

    /// Through an object or an array to its end, or to what is not for the flow.
    #[inline(always)]
    fn within(&mut self, edge: &Edge, mut kind: Opened, state: Option<&State>, mark: usize, place: usize) -> bool {
        let around = std::mem::replace(&mut self.emitted, false);
        self.at = mark + 1;
        self.depth += 1;
        let end = match (&mut kind, state) {
            (Opened::Object { discriminator, .. }, Some(state)) => self.members(state, discriminator.as_mut()),
            (Opened::Array { items, .. }, _) => self.items(*items),
            (Opened::Object { .. }, None) => End::Within,
        };
        let emitted = self.emitted;
        self.emitted |= around;
        self.depth -= 1;
        // Where an item of an aligned array goes, something stands in its place.
        let quiet = match state {
            Some(state) => !state.ends_with_more() && (emitted || !state.aligned),
            None => emitted,
        };
        if end == End::Bracket
            && quiet
            && let Some(bracket) = self.out.window.place(self.at).filter(|bracket| self.is_near(*bracket))
        {
            if emitted {
                self.redactor.tally.count(edge.element, Fate::Released);
                (self.upto, self.at) = (bracket + 1, self.at + 1);
            } else {
                self.redactor.tally.count(edge.element, Fate::Withheld);
                self.leaves_empty(mark, place, bracket + 1);
            }
            return true;
        }
        let begin = self.redactor.base + place as u64 + 1;
        self.redactor.frames.push(Frame { emitted, ..Frame::new(kind, *edge, begin) });
        false
    }
}

/// Whether a reference leads out of its resource: `#` can be spelled in no other way than as itself or by an escape.
fn leads_out(text: &[u8], place: usize) -> bool {
    matches!(text.get(place..place + 2), Some([b'"', first]) if !matches!(first, b'"' | b'#' | b'\\'))
}
