//! Objects and arrays that are decided member by member.

use super::super::output::{Mark, Output, Sink};
use super::super::plan::{Action, Edge, Kinds, OwnerId, Plan, State, StateId, TableId};
use super::super::tally::Fate;
use super::{Mode, Redactor, Result};

/// An object or an array that is decided member by member.
pub(super) struct Frame {
    pub(super) kind: Opened,
    pub(super) mark: Mark,
    pub(super) edge: Edge,
    /// The place in the document behind its opening bracket.
    pub(super) begin: u64,
    /// Whether anything of it has been let through, so that a comma is due.
    pub(super) emitted: bool,
    /// How many items, of an aligned array, wait as `null`.
    pub(super) nulls: usize,
    /// Whether a value in it closed with a stamp or an ensured member.
    pub(super) ensured: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Opened {
    Object { state: StateId, discriminator: Option<Discriminator> },
    Array { items: Edge, state: Option<StateId>, place: usize, aligned: bool },
}

#[derive(Clone, Copy)]
pub(super) struct Discriminator {
    pub(super) table: TableId,
    pub(super) seen: bool,
}

/// A discriminated object on the way in.
pub(super) struct Resource {
    pub(super) owner: OwnerId,
    pub(super) frame: usize,
    pub(super) fragment: bool,
    pub(super) fragments: usize,
    pub(super) subject: Option<Box<str>>,
}

/// An envelope whose object has not been seen yet.
pub(super) struct Envelope {
    pub(super) frame: usize,
    pub(super) outer_opened: usize,
    pub(super) withheld: bool,
}

impl Opened {
    /// An array that this edge decides, by a state or not.
    #[inline(always)]
    pub(super) fn array(plan: &Plan, edge: Edge, state: Option<StateId>) -> Self {
        let aligned = match state {
            Some(state) => plan.state(state).is_some_and(|state| state.aligned),
            None => matches!(edge.action, Action::Scalar(_)),
        };
        Self::Array { items: Edge { element: None, ..edge }, state, place: 0, aligned }
    }
}

impl Frame {
    #[inline(always)]
    pub(super) fn new(kind: Opened, edge: Edge, begin: u64) -> Self {
        Self { kind, mark: Mark::default(), edge, begin, emitted: false, nulls: 0, ensured: false }
    }

    /// Whether it closes with its bracket and nothing more, where something of it has been let through.
    pub(super) fn is_quiet(&self, plan: &Plan) -> bool {
        let is_resource = matches!(self.kind, Opened::Object { discriminator: Some(_), .. });
        let ends_with_more = self.state(plan).is_some_and(State::ends_with_more);
        !is_resource && !ends_with_more && !self.ensured && self.nulls == 0
    }

    /// The state that decides its members or items, where it is not each by itself.
    #[inline(always)]
    fn state<'p>(&self, plan: &'p Plan) -> Option<&'p State> {
        match self.kind {
            Opened::Object { state, .. } => plan.state(state),
            Opened::Array { state, .. } => plan.state(state?),
        }
    }

    fn is_array(&self) -> bool {
        matches!(self.kind, Opened::Array { .. })
    }
}

impl Redactor {
    /// Into an object that has said what it is and is seen.
    pub(super) fn enter<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        at: usize,
        out: &mut Output<'_, S>,
    ) -> Result<Option<usize>> {
        let Some(place) = out.window.place(at) else { return Ok(None) };
        let Mode::Enter { edge, table, state, owner, subject } = std::mem::replace(&mut self.mode, Mode::Walk) else {
            return Ok(Some(at));
        };
        self.enter_resource(plan, table, owner, subject, self.frames.len());
        let discriminator = Discriminator { table, seen: false };
        Ok(Some(self.open_object(plan, edge, state, Some(discriminator), at, place, out)))
    }

    /// Notes an object that has said what it is, and lies within as many frames.
    pub(super) fn enter_resource(
        &mut self,
        plan: &Plan,
        table: TableId,
        owner: OwnerId,
        subject: Option<Box<str>>,
        frame: usize,
    ) {
        let fragment = plan.table(table).is_some_and(|table| table.fragments);
        let fragments = self.fragments.len();
        self.resources.push(Resource { owner, frame, fragment, fragments, subject });
    }

    /// Behind the innermost of such objects: what it holds is no longer referred to.
    pub(super) fn leave_resource(&mut self) {
        if let Some(resource) = self.resources.pop()
            && !resource.fragment
        {
            self.fragments.truncate(resource.fragments);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the place in the plan, and the place in the window")]
    pub(super) fn open_object<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        edge: Edge,
        state: StateId,
        discriminator: Option<Discriminator>,
        at: usize,
        place: usize,
        out: &mut Output<'_, S>,
    ) -> usize {
        let mark = self.open(edge, Opened::Object { state, discriminator }, at, place);
        if plan.state(state).is_some_and(|state| state.envelope) {
            self.stage_frames(out.window.text);
            let frame = self.frames.len() - 1;
            self.envelopes.push(Envelope { frame, outer_opened: self.opened, withheld: false });
            self.opened = self.frames.len();
        }
        mark
    }

    pub(super) fn open_array(&mut self, plan: &Plan, edge: Edge, at: usize, place: usize) -> usize {
        let state = match edge.action {
            Action::Descend(state) => Some(state),
            _ => None,
        };
        self.open(edge, Opened::array(plan, edge, state), at, place)
    }

    /// Opens a frame. Answers the mark behind its bracket.
    #[inline(always)]
    fn open(&mut self, edge: Edge, kind: Opened, at: usize, place: usize) -> usize {
        let begin = self.base + place as u64 + 1;
        self.frames.push(Frame::new(kind, edge, begin));
        self.unstaged += 1;
        at + 1
    }

    /// Behind the closing bracket of the innermost frame.
    pub(super) fn close<S: Sink + ?Sized>(&mut self, plan: &Plan, end: usize, out: &mut Output<'_, S>) -> Result<()> {
        self.check_lead(end)?;
        let depth = self.frames.len() - 1;
        let mut stays = true;
        if self.envelopes.last().is_some_and(|envelope| envelope.frame == depth)
            && let Some(envelope) = self.envelopes.pop()
        {
            self.opened = envelope.outer_opened;
            stays = !envelope.withheld && self.frames.last().is_some_and(|frame| frame.emitted);
            if stays {
                self.open_frames(out);
            }
        }
        if stays {
            self.end_with_more(plan, out);
        }
        let stays = stays && self.opened > depth;
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        if stays {
            (0..frame.nulls).for_each(|_| self.made(b",null", out));
            if !self.lead.carried.is_empty() {
                let carried = std::mem::take(&mut self.lead.carried);
                self.made(&carried, out);
            }
            self.content(self.lead.from..end, out);
        } else if self.unstaged > 0 {
            self.unstaged -= 1;
        } else {
            self.skeleton.truncate(frame.mark);
        }
        self.opened = self.opened.min(depth);
        if self.resources.last().is_some_and(|resource| resource.frame == depth) {
            self.leave_resource();
            if !stays {
                self.withhold_envelope();
            }
        }
        self.tally.count(frame.edge.element, if stays { Fate::Released } else { Fate::Withheld });
        if let Some(parent) = self.frames.last_mut() {
            parent.ensured |= frame.ensured;
        }
        if !stays {
            self.one_null_more(Fate::Withheld);
        }
        self.withhold_lead(end, out.window.text);
        self.after_value();
        Ok(())
    }

    /// Writes what the state of the innermost frame adds to its end, and keeps it where it is an empty leaf.
    #[inline(always)]
    fn end_with_more<S: Sink + ?Sized>(&mut self, plan: &Plan, out: &mut Output<'_, S>) {
        let Some(frame) = self.frames.last_mut() else { return };
        match frame.state(plan).filter(|state| state.ends_with_more()) {
            Some(state) => {
                self.append(state, out);
                if state.leaves != Kinds::NONE && self.is_untouched() {
                    self.open_frames(out);
                }
            }
            None => frame.ensured &= frame.is_array(),
        }
    }

    /// Writes what a state adds at the end of its objects and arrays.
    fn append<S: Sink + ?Sized>(&mut self, state: &State, out: &mut Output<'_, S>) {
        let Some(frame) = self.frames.last() else { return };
        let (append, ensure, ensures) = match frame.is_array() {
            true => (None, state.stamp.as_deref(), state.stamp.is_some()),
            false => (Some(&*state.append), state.ensure.as_deref().filter(|_| !frame.ensured), state.ensure.is_some()),
        };
        for made in [append, ensure].into_iter().flatten().filter(|made| !made.is_empty()) {
            self.open_frames(out);
            if self.last_emitted() {
                self.made(b",", out);
            }
            if let Some(frame) = self.frames.last_mut() {
                frame.emitted = true;
            }
            self.made(made.as_bytes(), out);
        }
        if let Some(frame) = self.frames.last_mut() {
            // The parent of this frame has its stamp; what is ensured within this frame alone ends here.
            frame.ensured = ensures || (frame.ensured && frame.is_array());
        }
    }

    /// Whether the innermost frame has held nothing, not even what was withheld.
    fn is_untouched(&self) -> bool {
        self.unstaged > 0 || self.frames.last().is_some_and(|frame| self.lead_begins(frame))
    }

    pub(super) fn last_emitted(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.emitted)
    }

    /// Whether the innermost frame is an undecided envelope.
    pub(super) fn in_envelope(&self) -> bool {
        self.envelopes.last().is_some_and(|envelope| envelope.frame + 1 == self.frames.len())
    }

    pub(super) fn withhold_envelope(&mut self) {
        if self.in_envelope()
            && let Some(envelope) = self.envelopes.last_mut()
        {
            envelope.withheld = true;
        }
    }

    pub(super) fn in_aligned(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { kind: Opened::Array { aligned: true, .. }, .. }))
    }
}
