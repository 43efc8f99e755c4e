//! The walk: from mark to mark of a window, one decision for each member, item and end.

use super::super::output::{Output, Sink};
use super::super::plan::{Action, Edge, Items, Kinds, Plan, State, StateId};
use super::super::transform::Transform;
use super::frame::{Frame, Opened};
use super::hold::Held;
use super::pass::Passed;
use super::{Mode, RedactError, Redactor, Result};
use crate::json::string;

impl Redactor {
    /// Before a member, an item or an end.
    #[inline(always)]
    pub(super) fn walk<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        at: usize,
        out: &mut Output<'_, S>,
    ) -> Result<Option<usize>> {
        let at = if self.flows() { self.flow(plan, at, out) } else { at };
        match self.frames.last_mut().map(|frame| &mut frame.kind) {
            None => self.value(plan, plan.root, at, out),
            Some(Opened::Object { state, discriminator }) => {
                let (state, discriminated) = (*state, discriminator.is_some());
                self.member(plan, state, discriminated, at, out)
            }
            Some(Opened::Array { items, state, place, .. }) => {
                let Some((end, byte)) = out.window.peek(at) else { return Ok(None) };
                if byte == b']' {
                    self.close(plan, end + 1, out)?;
                    return Ok(Some(at + 1));
                }
                let edge = state.map_or(*items, |state| placed(plan, state, *place, *items));
                *place += 1;
                self.value(plan, edge, at, out)
            }
        }
    }

    /// A member of the innermost frame, or its end.
    #[inline(always)]
    fn member<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        state: StateId,
        discriminated: bool,
        at: usize,
        out: &mut Output<'_, S>,
    ) -> Result<Option<usize>> {
        let Some(state) = plan.state(state) else { return Ok(None) };
        let window = out.window;
        let Some((start, byte)) = window.peek(at) else { return Ok(None) };
        if byte == b'}' {
            self.close(plan, start + 1, out)?;
            return Ok(Some(at + 1));
        }
        let offset = self.base + start as u64;
        let Some(end) = window.place(at + 1) else {
            self.text.extend_from_slice(window.text.get(start + 1..).unwrap_or_default());
            self.mode = Mode::Name { offset };
            return Ok(None);
        };
        let edge = match state.members.get_within(window.text, start + 1, end) {
            Some(edge) if !discriminated => *edge,
            known => self.named(plan, state, known, window.text.get(start + 1..end).unwrap_or_default(), offset)?,
        };
        self.value(plan, edge, at + 2, out)
    }

    /// Where the member leads that has this name, as it stands in the input, and is known or not to its state.
    pub(super) fn named(
        &mut self,
        plan: &Plan,
        state: &State,
        known: Option<&Edge>,
        name: &[u8],
        offset: u64,
    ) -> Result<Edge> {
        // Names are compared as they are after unescaping, so that no spelling of a name gets round its rule.
        let unescaped = if known.is_none() && name.contains(&b'\\') { string::unescape(name) } else { None };
        let name = unescaped.as_deref().map_or(name, str::as_bytes);
        if let Some(Frame { kind: Opened::Object { discriminator: Some(discriminator), .. }, .. }) =
            self.frames.last_mut()
            && plan.table(discriminator.table).is_none_or(|table| table.member.as_bytes() == name)
            && std::mem::replace(&mut discriminator.seen, true)
        {
            return Err(RedactError::Ambiguous { offset });
        }
        Ok(*known.or_else(|| state.members.get(name)).unwrap_or(&state.other))
    }

    /// Before a value, whose first mark this is.
    #[inline(always)]
    pub(super) fn value<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        edge: Edge,
        at: usize,
        out: &mut Output<'_, S>,
    ) -> Result<Option<usize>> {
        let Some((place, byte)) = out.window.peek(at) else {
            self.mode = Mode::Value(edge);
            return Ok(None);
        };
        self.check_lead(place)?;
        let fate = match (edge.action, byte) {
            (Action::Keep, _) => Passed::Keep,
            (Action::Drop, _) => Passed::Drop,
            (Action::Discriminate(_), b'[') if self.in_envelope() => Passed::Mistyped,
            (Action::Choose(choice), b'[') if plan.choice(choice).is_some_and(|choice| !choice.per_item) => {
                return self.start_hold(plan, edge, Held::Choice(choice), at, place, out);
            }
            (_, b'[') => return Ok(Some(self.open_array(plan, edge, at, place))),
            (Action::Choose(choice), _) => {
                return self.start_hold(plan, edge, Held::Choice(choice), at, place, out);
            }
            (Action::Descend(state), b'{') => {
                return Ok(Some(self.open_object(plan, edge, state, None, at, place, out)));
            }
            (Action::Discriminate(table), b'{') => {
                return self.start_hold(plan, edge, Held::Table(table), at, place, out);
            }
            (Action::Scalar(kinds), byte) => self.scalar(kinds, byte),
            (Action::Descend(state), byte) => {
                self.scalar(plan.state(state).map_or(Kinds::NONE, |state| state.leaves), byte)
            }
            (Action::Transform(transform), byte) => {
                let takes = plan.transform(transform).map(Transform::takes);
                match takes.is_some_and(|kinds| kinds.has_one(kind_of(byte))) {
                    true => Passed::Transform(transform),
                    false => Passed::Mistyped,
                }
            }
            (Action::Discriminate(_), _) => Passed::Mistyped,
        };
        self.pass(plan, fate, edge, at, place, out)
    }

    /// What becomes of a value where scalars of these kinds stay.
    #[inline(always)]
    fn scalar(&self, kinds: Kinds, first: u8) -> Passed {
        match kinds.has_one(kind_of(first)) || first == b'n' && kinds != Kinds::NONE {
            true if first == b'n' && self.in_aligned() => Passed::Null,
            true => Passed::Keep,
            false => Passed::Mistyped,
        }
    }
}

fn placed(plan: &Plan, state: StateId, place: usize, same: Edge) -> Edge {
    match plan.state(state).map(|state| &state.items) {
        Some(Items::Same) | None => same,
        Some(Items::Placed { head, cycle }) => head
            .get(place)
            .or_else(|| cycle.get((place - head.len()).checked_rem(cycle.len())?))
            .copied()
            .unwrap_or(Edge::new(Action::Drop)),
    }
}

/// What kind of scalar a first byte begins; none of `null`, which is of each, and of what is no scalar.
#[inline(always)]
pub(super) fn kind_of(byte: u8) -> Kinds {
    // INVARIANT: there is an entry for each byte.
    KINDS.get(byte as usize).copied().unwrap_or(Kinds::NONE)
}

#[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
static KINDS: [Kinds; 256] = {
    let mut kinds = [Kinds::NONE; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'"' => Kinds::STRING,
            b'-' | b'0'..=b'9' => Kinds::NUMBER,
            b't' | b'f' => Kinds::BOOLEAN,
            _ => Kinds::NONE,
        };
        byte += 1;
    }
    kinds
};
