//! The redactor: walks a plan over a document that comes in pieces, and lets through what the plan keeps.
//!
//! It stands, at any time, in one [`Mode`], within a stack of [`Frame`]s, one for each object or array that is decided
//! member by member; whole values that are kept, dropped or held are passed over by the lexer alone. Nothing is let
//! through before the plan has decided on it, and nothing that was held is let through without being walked: a held
//! value is read once to decide, and then again, from its first byte, as if it had just come in.
//!
//! Three things wait for a decision. The *lead* of a value is what stands between it and the value before it: white
//! space, a comma, its name. The *skeleton* is the leads and brackets of the frames that have let nothing through yet.
//! What is *held* is the input of a value that cannot be decided before its end.

mod frame;
mod hold;
mod lead;
mod pass;

use std::sync::Arc;

use self::frame::{Envelope, Frame, Opened, Resource};
use self::hold::{Held, Hold};
use self::lead::Lead;
use self::pass::{Pass, Passed};
use super::output::{Output, Sink, Skeleton};
use super::plan::{Action, Edge, Items, Kinds, OwnerId, Plan, StateId, TableId};
use super::tally::Tally;
use super::transform::{Given, Transform};
use crate::json::{Lexer, SyntaxError, SyntaxErrorKind, string};

/// What a redactor takes on at the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How deep arrays and objects may nest; 128, and at most [`crate::json::lexer::MOST_DEPTH`].
    pub depth: usize,
    /// How many bytes of a value are held for a decision; 8 MiB. A value that is longer is withheld.
    pub hold: usize,
    /// How many bytes a name and the white space around it may take; 64 KiB. More is refused.
    pub lead: usize,
    /// How many bytes of a string a transform takes; 1 MiB. A longer one is withheld.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 128, hold: 8 << 20, lead: 64 << 10, text: 1 << 20 }
    }
}

/// Why a document is refused. What was let through before is not a whole document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedactError {
    /// The input is not JSON.
    #[error("not JSON: {0}")]
    Syntax(SyntaxError),
    /// An object says twice what it is.
    #[error("an object says twice what it is, at byte {offset}")]
    Ambiguous {
        /// The place of the object that is held, or of the member that stands there again.
        offset: u64,
    },
    /// What stands beside a value that is not decided yet, in its envelope, is over the limit of what may be held.
    #[error("more than {limit} bytes beside an undecided object, before byte {offset}")]
    Envelope {
        /// The limit, in bytes.
        limit: usize,
        /// A place behind them.
        offset: u64,
    },
    /// A name and the white space around it are over the limit.
    #[error("more than {limit} bytes of names and white space at byte {offset}")]
    Lead {
        /// The limit, in bytes.
        limit: usize,
        /// The place where they begin.
        offset: u64,
    },
}

/// Redacts one document.
pub struct Redactor {
    plan: Arc<Plan>,
    given: Given,
    limits: Limits,
    lexer: Lexer,
    mode: Mode,
    frames: Vec<Frame>,
    resources: Vec<Resource>,
    envelopes: Vec<Envelope>,
    /// How many frames, from the outermost, are known to stay; within an envelope: to stay if it does.
    opened: usize,
    skeleton: Skeleton,
    lead: Lead,
    text: Vec<u8>,
    held: Vec<u8>,
    fragments: Vec<Box<str>>,
    /// The place of the input of now within the document.
    base: u64,
    let_through: bool,
    tally: Tally,
    failed: Option<RedactError>,
}

/// What comes next.
enum Mode {
    /// A member or an item of the innermost frame, or its end; or the document itself.
    Walk,
    /// The name of a member, which has begun at this place.
    Name { from: usize, offset: u64 },
    /// A value that this edge decides.
    Value(Edge),
    /// An object that has said what it is.
    Enter { edge: Edge, table: TableId, state: StateId, owner: OwnerId, subject: Option<Box<str>> },
    /// The rest of a value that is kept, dropped or transformed as a whole.
    Pass(Pass),
    /// The rest of a value that is held until it can be decided.
    Hold(Box<Hold>),
    /// White space behind the document.
    End,
}

type Result<T> = std::result::Result<T, RedactError>;

impl Redactor {
    /// A redactor of one document.
    pub fn new(plan: Arc<Plan>, given: Given, limits: Limits) -> Self {
        Self {
            lexer: Lexer::new(limits.depth),
            mode: Mode::Walk,
            frames: Vec::new(),
            resources: Vec::new(),
            envelopes: Vec::new(),
            opened: 0,
            skeleton: Skeleton::default(),
            lead: Lead::default(),
            text: Vec::new(),
            held: Vec::new(),
            fragments: Vec::new(),
            base: 0,
            let_through: false,
            tally: Tally::new(Arc::clone(&plan)),
            failed: None,
            plan,
            given,
            limits,
        }
    }

    /// Takes the next piece of the document, of any length, and hands out what is let through so far.
    ///
    /// # Errors
    /// Where the document is refused; every later call then answers the same.
    pub fn write<S: Sink + ?Sized>(&mut self, piece: &[u8], sink: &mut S) -> Result<()> {
        self.guarded(|redactor| {
            redactor.drive(&mut Output::new(piece, true, sink))?;
            redactor.base += piece.len() as u64;
            Ok(())
        })
    }

    /// Says that the document has ended. `false` where nothing of it was let through.
    ///
    /// # Errors
    /// Where the document breaks off or was refused before.
    pub fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<bool> {
        self.guarded(|redactor| {
            let number_ended = redactor.lexer.finish().map_err(|error| redactor.syntax(error))?;
            let mut out = Output::new(&[], true, sink);
            if let (true, Mode::Pass(pass)) = (number_ended, &redactor.mode) {
                redactor.passed(*pass, 0, &mut out)?;
            } else if let (true, Mode::Hold(_)) = (number_ended, &redactor.mode) {
                let Mode::Hold(hold) = std::mem::replace(&mut redactor.mode, Mode::End) else { return Ok(()) };
                redactor.decide(*hold, 0, &mut out)?;
                // The number is walked again, and ends again with the input.
                redactor.lexer.finish().map_err(|error| redactor.syntax(error))?;
                if let Mode::Pass(pass) = &redactor.mode {
                    redactor.passed(*pass, 0, &mut out)?;
                }
            }
            redactor.drive(&mut out)
        })?;
        Ok(self.let_through)
    }

    /// Whether anything has been let through.
    pub fn has_let_through(&self) -> bool {
        self.let_through
    }

    /// How many bytes are held at this moment.
    pub fn held(&self) -> usize {
        self.held.len() + self.skeleton.held() + self.lead.carried.len() + self.text.len()
    }

    /// What was released, withheld and transformed so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The tally, at the end.
    pub fn into_tally(self) -> Tally {
        self.tally
    }

    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        step(self).inspect_err(|error| self.failed = Some(*error))
    }

    /// Walks one input to its end.
    fn drive<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let mut at = 0;
        while self.step(&plan, out, &mut at)? {}
        self.settle(out)
    }

    /// One step; `false` where the input is used up.
    #[inline]
    fn step<S: Sink + ?Sized>(&mut self, plan: &Arc<Plan>, out: &mut Output<'_, S>, at: &mut usize) -> Result<bool> {
        match &mut self.mode {
            Mode::Walk => self.walk(plan, out, at),
            Mode::Name { from, offset } => {
                let (from, offset) = (*from, *offset);
                self.name(plan, from, offset, out, at)
            }
            Mode::Value(edge) => {
                let edge = *edge;
                self.value(plan, edge, out, at)
            }
            Mode::Enter { .. } => self.enter(plan, out.input, at),
            Mode::Pass(pass) => {
                let pass = *pass;
                self.pass_on(pass, out, at)
            }
            Mode::Hold(_) => self.hold(plan, out, at),
            Mode::End => {
                // Anything but white space is an error of the lexer.
                self.lexer.next(out.input, at).map_err(|error| self.syntax(error))?;
                Ok(false)
            }
        }
    }

    /// Before a member, an item or an end.
    fn walk<S: Sink + ?Sized>(&mut self, plan: &Plan, out: &mut Output<'_, S>, at: &mut usize) -> Result<bool> {
        let Some(frame) = self.frames.last_mut() else {
            self.mode = Mode::Value(plan.root);
            return Ok(true);
        };
        let Some(byte) = self.lexer.peek(out.input, at).map_err(|error| syntax(self.base, error))? else {
            return Ok(false);
        };
        match (&mut frame.kind, byte) {
            (Opened::Object { .. }, b'"') => {
                self.text.clear();
                let (from, offset) = (*at, self.base + *at as u64);
                self.mode = Mode::Name { from, offset };
                return self.name(plan, from, offset, out, at);
            }
            (Opened::Array { items, state, place, .. }, byte) if byte != b']' => {
                let edge = state.map_or(*items, |state| placed(plan, state, *place, *items));
                *place += 1;
                self.mode = Mode::Value(edge);
                return self.value(plan, edge, out, at);
            }
            _ => {
                // A bracket, or what the lexer refuses.
                let token = self.lexer.next(out.input, at).map_err(|error| self.syntax(error))?;
                if let Some(token) = token {
                    self.close(plan, token.end, out)?;
                }
            }
        }
        Ok(true)
    }

    /// Within the name of a member.
    fn name<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        from: usize,
        offset: u64,
        out: &mut Output<'_, S>,
        at: &mut usize,
    ) -> Result<bool> {
        let Some(token) = self.lexer.next(out.input, at).map_err(|error| self.syntax(error))? else {
            return Ok(false);
        };
        let edge = self.named(plan, out.input.get(from..token.end).unwrap_or_default(), offset)?;
        self.mode = Mode::Value(edge);
        self.value(plan, edge, out, at)
    }

    /// Where the member leads whose name, or the rest of it, is `here`.
    fn named(&mut self, plan: &Plan, here: &[u8], offset: u64) -> Result<Edge> {
        let whole = if self.text.is_empty() {
            here
        } else {
            self.text.extend_from_slice(here);
            &self.text
        };
        let quoted = whole.get(1..whole.len().saturating_sub(1)).unwrap_or_default();
        // Names are compared as they are after unescaping, so that no spelling of a name gets round its rule.
        let unescaped;
        let name = if quoted.contains(&b'\\') {
            unescaped = string::unescape(quoted);
            unescaped.as_deref().map_or(quoted, str::as_bytes)
        } else {
            quoted
        };
        let Some(Frame { kind: Opened::Object { state, discriminator }, .. }) = self.frames.last_mut() else {
            return Ok(Edge::new(Action::Drop));
        };
        if let Some(discriminator) = discriminator
            && plan.table(discriminator.table).is_none_or(|table| table.member.as_bytes() == name)
            && std::mem::replace(&mut discriminator.seen, true)
        {
            return Err(RedactError::Ambiguous { offset });
        }
        Ok(plan.member(*state, name))
    }

    /// Before a value.
    fn value<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        edge: Edge,
        out: &mut Output<'_, S>,
        at: &mut usize,
    ) -> Result<bool> {
        let Some(byte) = self.lexer.peek(out.input, at).map_err(|error| self.syntax(error))? else {
            return Ok(false);
        };
        self.check_lead(*at)?;
        match (edge.action, byte) {
            (Action::Keep, _) => return self.pass(Passed::Keep, edge, at, out),
            (Action::Drop, _) => return self.pass(Passed::Drop, edge, at, out),
            (Action::Discriminate(_), b'[') if self.in_envelope() => return self.pass(Passed::Mistyped, edge, at, out),
            (Action::Choose(choice), b'[') if plan.choice(choice).is_some_and(|choice| !choice.per_item) => {
                self.start_hold(edge, Held::Choice(choice), *at);
            }
            (_, b'[') => self.open_array(plan, edge, out.input, at)?,
            (Action::Choose(choice), _) => self.start_hold(edge, Held::Choice(choice), *at),
            (Action::Descend(state), b'{') => self.open_object(plan, edge, state, None, out.input, at)?,
            (Action::Discriminate(table), b'{') => self.start_hold(edge, Held::Table(table), *at),
            (Action::Scalar(kinds), byte) => {
                let fate = match kind_of(byte) {
                    Some(kind) if kinds.has(kind) => Passed::Keep,
                    None if byte == b'n' && self.in_aligned() => Passed::Null,
                    None if byte == b'n' => Passed::Keep,
                    _ => Passed::Mistyped,
                };
                return self.pass(fate, edge, at, out);
            }
            (Action::Transform(transform), byte) => {
                let takes = plan.transform(transform).map(Transform::takes);
                let fits = kind_of(byte).is_some_and(|kind| takes.is_some_and(|kinds| kinds.has(kind)));
                return self.pass(if fits { Passed::Transform(transform) } else { Passed::Mistyped }, edge, at, out);
            }
            (Action::Descend(_) | Action::Discriminate(_), _) => return self.pass(Passed::Mistyped, edge, at, out),
        }
        Ok(true)
    }

    fn after_value(&mut self) {
        self.mode = if self.frames.is_empty() { Mode::End } else { Mode::Walk };
    }

    /// Makes its own what of the input is still needed, since the input goes.
    fn settle<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) -> Result<()> {
        let input = out.input;
        match &mut self.mode {
            Mode::Walk | Mode::Value(_) | Mode::Enter { .. } => self.lead.settle(input),
            Mode::Name { from, .. } => {
                self.text.extend_from_slice(input.get(*from..).unwrap_or_default());
                *from = 0;
                self.lead.settle(input);
            }
            Mode::Pass(pass) => {
                let mut pass = *pass;
                let rest = pass.from..input.len();
                if pass.collect && self.text.len() <= self.limits.text {
                    self.text.extend_from_slice(input.get(rest.clone()).unwrap_or_default());
                }
                match pass.fate {
                    Passed::Keep => self.content(rest, out),
                    Passed::Transform(_) => self.lead.settle(input),
                    Passed::Drop | Passed::Mistyped | Passed::Null => {}
                }
                pass.from = 0;
                self.mode = Mode::Pass(pass);
            }
            Mode::Hold(hold) => {
                let rest = input.get(hold.from..).unwrap_or_default();
                hold.from = 0;
                self.lead.settle(input);
                // Charged before it is taken.
                if self.held.len() + rest.len() > self.limits.hold {
                    let (edge, floor) = (hold.edge, hold.floor);
                    self.give_up(edge, floor);
                } else {
                    self.held.extend_from_slice(rest);
                }
            }
            Mode::End => {
                // White space behind a document that is seen stays with it.
                if self.let_through {
                    out.keep(self.lead.from..input.len());
                }
                self.lead.restart(0);
            }
        }
        self.skeleton.settle(input);
        out.flush();
        if self.skeleton.most() > self.limits.hold {
            return Err(RedactError::Envelope { limit: self.limits.hold, offset: self.base });
        }
        self.check_lead(0)
    }

    fn check_lead(&self, at: usize) -> Result<()> {
        let length = self.lead.carried.len() + at.saturating_sub(self.lead.from);
        if length <= self.limits.lead {
            return Ok(());
        }
        Err(RedactError::Lead { limit: self.limits.lead, offset: self.base + self.lead.from as u64 })
    }

    fn syntax(&self, error: SyntaxError) -> RedactError {
        syntax(self.base, error)
    }
}

fn syntax(base: u64, error: SyntaxError) -> RedactError {
    // The end of the input is where it breaks off.
    let offset = match error.kind {
        SyntaxErrorKind::Truncated => base,
        _ => base + error.offset,
    };
    RedactError::Syntax(SyntaxError { offset, ..error })
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

fn kind_of(byte: u8) -> Option<Kinds> {
    match byte {
        b'"' => Some(Kinds::STRING),
        b'-' | b'0'..=b'9' => Some(Kinds::NUMBER),
        b't' | b'f' => Some(Kinds::BOOLEAN),
        _ => None,
    }
}
