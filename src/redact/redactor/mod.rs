//! The redactor: walks a plan over a document that comes in pieces, and lets through what the plan keeps.
//!
//! The lexer reads a window of the input at a time and lays out its brackets, quotes and scalars on a tape; the redactor
//! goes from mark to mark of it and never looks at a byte between them that no rule asks for.
//!
//! It stands, at any time, in one [`Mode`], within a stack of [`Frame`]s, one for each object or array that is decided
//! member by member; whole values that are kept, dropped or held are passed over in one step. Nothing is let
//! through before the plan has decided on it, and nothing that was held is let through without being walked: a held
//! value is decided, and then walked from its first byte as if it had just come in.
//!
//! Most of what comes just stays. For that the walk hands over to the flow (`flow.rs`), which needs none of this.
//!
//! Three things wait for a decision. The *lead* of a value is what stands between it and the value before it: white
//! space, a comma, its name, and the frames that have been opened right before it. The *skeleton* is the leads and
//! brackets of other frames that have let nothing through yet. What is *held* is the input of a value that cannot be
//! decided before its end.

mod flow;
mod frame;
mod hold;
mod lead;
mod pass;
mod walk;

use std::sync::Arc;

use self::frame::{Envelope, Frame, Opened, Resource};
use self::hold::Hold;
use self::lead::Lead;
use self::pass::{Pass, Passed};
use super::output::{Output, Sink, Skeleton};
use super::plan::{Action, Edge, OwnerId, Plan, StateId, TableId};
use super::tally::Tally;
use super::transform::Given;
use crate::json::{BackEnd, Lexer, SyntaxError, Tape};

/// How much is read at once: enough that what a window costs in itself is not felt, and little enough that its tape
/// stays in the fastest memory.
const WINDOW: usize = 16 << 10;

/// What a redactor takes on at the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How deep arrays and objects may nest; 128, and at most [`crate::json::lexer::MOST_DEPTH`].
    pub depth: usize,
    /// How many bytes of a value are held for a decision; 8 MiB. A value that is longer is withheld. While it is decided,
    /// what is noted of its tokens takes some six times as much again, and at the most ten times as much.
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
    /// Tapes that are not in use: one, and another for each depth of replay there was.
    tapes: Vec<Tape>,
    mode: Mode,
    frames: Vec<Frame>,
    resources: Vec<Resource>,
    envelopes: Vec<Envelope>,
    /// How many frames, from the outermost, are known to stay; within an envelope: to stay if it does.
    opened: usize,
    skeleton: Skeleton,
    /// How many frames, the innermost, are a part of the lead.
    unstaged: usize,
    lead: Lead,
    /// What came in earlier windows of a name, or of a value whose text is looked at; empty between them.
    text: Vec<u8>,
    /// What came in earlier windows of a value that is held.
    held: Vec<u8>,
    fragments: Vec<Box<str>>,
    /// The text of the patient that was noted last.
    last_patient: Vec<u8>,
    /// The place of the input of now within the document.
    base: u64,
    let_through: bool,
    tally: Tally,
    failed: Option<RedactError>,
}

/// What comes next.
enum Mode {
    /// The document itself, or a member or an item of the innermost frame, or its end.
    Walk,
    /// The rest of the name of a member, which began at this place of the document.
    Name { offset: u64 },
    /// A value that this edge decides.
    Value(Edge),
    /// An object that has said what it is.
    Enter { edge: Edge, table: TableId, state: StateId, owner: OwnerId, subject: Option<Box<str>> },
    /// The rest of a value that is kept, dropped or transformed as a whole.
    Pass(Pass),
    /// The rest of a value that is held until it can be decided.
    Hold(Hold),
    /// White space behind the document.
    End,
}

type Result<T> = std::result::Result<T, RedactError>;

impl Redactor {
    /// A redactor of one document.
    pub fn new(plan: Arc<Plan>, given: Given, limits: Limits) -> Self {
        Self {
            lexer: Lexer::new(limits.depth),
            tapes: Vec::new(),
            mode: Mode::Walk,
            frames: Vec::new(),
            resources: Vec::new(),
            envelopes: Vec::new(),
            opened: 0,
            skeleton: Skeleton::default(),
            unstaged: 0,
            lead: Lead::default(),
            text: Vec::new(),
            held: Vec::new(),
            fragments: Vec::new(),
            last_patient: Vec::new(),
            base: 0,
            let_through: false,
            tally: Tally::new(Arc::clone(&plan)),
            failed: None,
            plan,
            given,
            limits,
        }
    }

    /// The same redactor, reading by these instructions and not by the fastest. Only asked before the first piece.
    pub fn on(self, back_end: BackEnd) -> Self {
        Self { lexer: self.lexer.on(back_end), ..self }
    }

    /// Takes the next piece of the document, of any length, and hands out what is let through so far.
    ///
    /// # Errors
    /// Where the document is refused; every later call then answers the same.
    pub fn write<S: Sink + ?Sized>(&mut self, piece: &[u8], sink: &mut S) -> Result<()> {
        self.guarded(|redactor| {
            piece.chunks(WINDOW).enumerate().try_for_each(|(place, text)| {
                let mut tape = redactor.tapes.pop().unwrap_or_default();
                let read = redactor.lexer.read(text, &mut tape);
                redactor.take(text, tape, read, Some(place * WINDOW), sink)
            })
        })
    }

    /// Says that the document has ended. `false` where nothing of it was let through.
    ///
    /// # Errors
    /// Where the document breaks off or was refused before.
    pub fn finish<S: Sink + ?Sized>(&mut self, sink: &mut S) -> Result<bool> {
        self.guarded(|redactor| {
            let scalar_ended = redactor.lexer.finish().map_err(|error| redactor.syntax(error))?;
            let nothing = Tape::new();
            let mut out = Output::new(nothing.window(&[]), None, sink);
            if scalar_ended {
                let plan = Arc::clone(&redactor.plan);
                if let Mode::Hold(hold) = redactor.mode {
                    redactor.held_to_end(&plan, hold, 0, &mut out)?;
                }
                if let Mode::Pass(pass) = redactor.mode {
                    redactor.pass_ended(&plan, pass, 0, &mut out);
                }
            }
            redactor.drive(&mut out)
        })?;
        Ok(self.let_through)
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

    /// The tally, and a redactor of another document by the same plan. It is as a new one is, but has room for its marks
    /// and for what lies around them.
    pub fn again(self) -> (Tally, Self) {
        let Self { plan, given, limits, lexer, tapes, tally, mut frames, mut resources, .. } = self;
        // Of the document before it has nothing: a tape begins anew with each window.
        frames.clear();
        resources.clear();
        (tally, Self { tapes, frames, resources, ..Self::new(plan, given, limits).on(lexer.back_end()) })
    }

    /// Begins another document by the same plan, and goes on counting.
    pub fn renew(&mut self) {
        let fresh = Self::new(Arc::clone(&self.plan), self.given.clone(), self.limits.clone());
        let (tally, again) = std::mem::replace(self, fresh).again();
        *self = Self { tally, ..again };
    }

    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        step(self).inspect_err(|error| self.failed = Some(*error))
    }

    /// Takes a window that has been read, and walks it to its end, or to where it is no longer JSON.
    fn take<S: Sink + ?Sized>(
        &mut self,
        text: &[u8],
        tape: Tape,
        read: std::result::Result<(), SyntaxError>,
        within: Option<usize>,
        sink: &mut S,
    ) -> Result<()> {
        let read = read.map_err(|error| (error, self.syntax(error)));
        // What stands before an error may be refused for another reason, which then is the first.
        let valid = match read {
            Ok(()) => text,
            Err((error, _)) => text.get(..error.offset as usize).unwrap_or_default(),
        };
        self.drive(&mut Output::new(tape.window(valid), within, sink))?;
        // One that has grown with a long value that was held is not kept.
        if text.len() <= WINDOW {
            self.tapes.reserve_exact(1);
            self.tapes.push(tape);
        }
        self.base += text.len() as u64;
        read.map_err(|(_, error)| error)
    }

    /// Walks one window to its end.
    fn drive<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let mut mark = self.resume(&plan, out)?;
        while let Some(at) = mark {
            mark = match &self.mode {
                Mode::Walk => self.walk(&plan, at, out)?,
                Mode::Value(edge) => {
                    let edge = *edge;
                    self.mode = Mode::Walk;
                    self.value(&plan, edge, at, out)?
                }
                Mode::Enter { .. } => self.enter(&plan, at, out)?,
                Mode::Name { .. } | Mode::Pass(_) | Mode::Hold(_) | Mode::End => None,
            };
        }
        self.settle(out)
    }

    /// Goes on with what the window before ended in. Answers at which mark, or `None` where the window ends in it too.
    fn resume<S: Sink + ?Sized>(&mut self, plan: &Plan, out: &mut Output<'_, S>) -> Result<Option<usize>> {
        match &mut self.mode {
            Mode::Name { offset } => {
                let offset = *offset;
                let Some((end, mark)) = out.window.end_of_string() else { return Ok(None) };
                let mut name = std::mem::take(&mut self.text);
                name.extend_from_slice(out.window.text.get(..end - 1).unwrap_or_default());
                let edge = match self.frames.last().map(|frame| &frame.kind) {
                    Some(Opened::Object { state, .. }) => plan.state(*state).map(|state| {
                        self.named(plan, state, state.members.get_within(&name, 0, name.len()), &name, offset)
                    }),
                    _ => None,
                };
                self.mode = Mode::Value(edge.unwrap_or(Ok(Edge::new(Action::Drop)))?);
                name.clear();
                self.text = name;
                Ok(Some(mark))
            }
            Mode::Pass(pass) => {
                let pass = *pass;
                let Some((end, mark)) = pass.rest.end(out.window) else { return Ok(None) };
                self.pass_ended(plan, pass, end, out);
                Ok(Some(mark))
            }
            Mode::Hold(_) => self.hold_on(plan, out),
            Mode::Walk | Mode::Value(_) | Mode::Enter { .. } | Mode::End => Ok(Some(0)),
        }
    }

    /// Behind a value: where it was the document itself, nothing but white space follows.
    #[inline(always)]
    fn after_value(&mut self) {
        if self.frames.is_empty() {
            self.mode = Mode::End;
        }
    }

    /// Makes its own what of the window is still needed, since the window goes.
    fn settle<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) -> Result<()> {
        let text = out.window.text;
        if self.unstaged > 0 {
            self.stage_frames(text);
        }
        match &mut self.mode {
            Mode::Walk | Mode::Value(_) | Mode::Enter { .. } => self.lead.settle(text),
            // Its text is kept as a part of the lead, and once more to be looked up.
            Mode::Name { offset } => {
                if *offset < self.base {
                    self.text.extend_from_slice(text);
                }
                self.lead.settle(text);
            }
            Mode::Pass(pass) => {
                let mut pass = *pass;
                let rest = pass.from..text.len();
                if pass.collects() && self.text.len() <= self.limits.text {
                    self.text.extend_from_slice(text.get(rest.clone()).unwrap_or_default());
                }
                match pass.fate {
                    Passed::Keep => self.content(rest, out),
                    Passed::Transform(_) => self.lead.settle(text),
                    Passed::Drop | Passed::Mistyped | Passed::Null => {}
                }
                pass.from = 0;
                self.mode = Mode::Pass(pass);
            }
            Mode::Hold(hold) => {
                let rest = text.get(hold.from..).unwrap_or_default();
                hold.from = 0;
                self.lead.settle(text);
                // Charged before it is taken.
                if self.held.len() + rest.len() > self.limits.hold {
                    let (edge, rest) = (hold.edge, hold.rest);
                    self.give_up(edge, rest);
                } else {
                    self.held.extend_from_slice(rest);
                }
            }
            Mode::End => {
                // White space behind a document that is seen stays with it.
                if self.let_through {
                    out.keep(self.lead.from..text.len());
                }
                self.lead.restart(0);
            }
        }
        self.skeleton.settle(text);
        out.flush();
        if self.skeleton.most() > self.limits.hold {
            return Err(RedactError::Envelope { limit: self.limits.hold, offset: self.base });
        }
        self.check_lead(0)
    }

    fn syntax(&self, error: SyntaxError) -> RedactError {
        RedactError::Syntax(SyntaxError { offset: self.base + error.offset, ..error })
    }
}

#[cfg(test)]
mod tests;
