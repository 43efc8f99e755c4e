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

use std::ops::Range;
use std::sync::Arc;

use super::output::{Mark, Output, Sink, Skeleton};
use super::plan::{
    Action, Capture, Case, ChoiceId, Edge, Items, Kinds, OwnerId, Plan, StateId, Table, TableId, TransformId,
};
use super::tally::{self, Fate, Tally};
use super::transform::{Given, Transform};
use crate::json::node::Node;
use crate::json::{Lexer, SyntaxError, SyntaxErrorKind, TokenKind, string};

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
    /// An object says twice what it is, or an envelope holds two objects where one belongs.
    #[error("an object that says more than once what it is, in the object at byte {offset}")]
    Ambiguous {
        /// The place of the object, or of what stands there again.
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
    Name { from: usize },
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

#[derive(Clone, Copy)]
struct Pass {
    fate: Passed,
    edge: Edge,
    floor: usize,
    /// Where, in the input of now, begins what has not been let through or collected.
    from: usize,
    collect: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    Keep,
    Drop,
    /// Dropped since its JSON type is not that of its element.
    Mistyped,
    /// A `null` in an aligned array: nothing to count.
    Null,
    Transform(TransformId),
}

/// What a transform makes of a value.
enum New {
    AsItWas,
    Text(String),
}

struct Hold {
    edge: Edge,
    what: Held,
    stage: Stage,
    /// The lexer as it was before the first byte of the value.
    before: Lexer,
    floor: usize,
    /// Where, in the input of now, begins what is not in `held`.
    from: usize,
    /// The place of the value in the document.
    offset: u64,
}

#[derive(Clone, Copy)]
enum Held {
    Choice(ChoiceId),
    Table(TableId),
}

/// How far an object has been read that says by its first member, usually, what it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    FirstName,
    FirstValue,
    Rest,
}

/// An object or an array that is decided member by member.
struct Frame {
    kind: Opened,
    mark: Mark,
    edge: Edge,
    /// Whether anything of it has been let through, so that a comma is due.
    emitted: bool,
    /// Whether a value in it closed with a stamp or an ensured member.
    ensured: bool,
}

enum Opened {
    Object { state: StateId, discriminator: Option<Discriminator> },
    Array { items: Edge, state: Option<StateId>, place: usize, aligned: bool, nulls: usize },
}

#[derive(Clone, Copy)]
struct Discriminator {
    table: TableId,
    seen: bool,
}

/// A discriminated object on the way in.
struct Resource {
    owner: OwnerId,
    frame: usize,
    fragment: bool,
    fragments: usize,
    subject: Option<Box<str>>,
}

/// An envelope whose object has not been seen yet.
struct Envelope {
    frame: usize,
    outer_opened: usize,
    withheld: bool,
}

/// What stands between a value and the one before it.
#[derive(Default)]
struct Lead {
    /// What of it came in earlier input.
    carried: Vec<u8>,
    /// Where it begins in the input of now.
    from: usize,
    /// Where the value begins in the input of now, once it has.
    upto: Option<usize>,
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
            Mode::Name { from } => {
                let from = *from;
                let Some(token) = self.lexer.next(out.input, at).map_err(|error| self.syntax(error))? else {
                    return Ok(false);
                };
                self.named(plan, out.input, from..token.end)?;
                Ok(true)
            }
            Mode::Value(edge) => {
                let edge = *edge;
                self.value(plan, edge, out, at)
            }
            Mode::Enter { .. } => self.enter(plan, out, at),
            Mode::Pass(pass) => {
                let pass = *pass;
                if !self.lexer.pass(pass.floor, out.input, at).map_err(|error| self.syntax(error))? {
                    return Ok(false);
                }
                self.passed(pass, *at, out)?;
                Ok(true)
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
                self.mode = Mode::Name { from: *at };
            }
            (Opened::Array { items, state, place, .. }, byte) if byte != b']' => {
                let edge = state.map_or(*items, |state| placed(plan, state, *place, *items));
                *place += 1;
                self.mode = Mode::Value(edge);
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

    /// Behind the name of a member.
    fn named(&mut self, plan: &Plan, input: &[u8], range: Range<usize>) -> Result<()> {
        let here = input.get(range).unwrap_or_default();
        let whole = if self.text.is_empty() {
            here
        } else {
            self.text.extend_from_slice(here);
            &self.text
        };
        let quoted = whole.get(1..whole.len().saturating_sub(1)).unwrap_or_default();
        // Names are compared as they are after unescaping, so that no spelling of a name gets round its rule.
        let unescaped;
        let name = if memchr::memchr(b'\\', quoted).is_some() {
            unescaped = string::unescape(quoted);
            unescaped.as_deref().map_or(quoted, str::as_bytes)
        } else {
            quoted
        };
        let offset = self.base;
        let Some(Frame { kind: Opened::Object { state, discriminator }, .. }) = self.frames.last_mut() else {
            return Ok(());
        };
        if let Some(discriminator) = discriminator
            && plan.table(discriminator.table).is_none_or(|table| table.member.as_bytes() == name)
            && std::mem::replace(&mut discriminator.seen, true)
        {
            return Err(RedactError::Ambiguous { offset });
        }
        self.mode = Mode::Value(plan.member(*state, name));
        Ok(())
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
            (Action::Keep, _) => self.pass(Passed::Keep, edge, *at, out),
            (Action::Drop, _) => self.pass(Passed::Drop, edge, *at, out),
            (Action::Discriminate(_), b'[') if self.in_envelope() => self.pass(Passed::Mistyped, edge, *at, out),
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
                self.pass(fate, edge, *at, out);
            }
            (Action::Transform(transform), byte) => {
                let takes = plan.transform(transform).map(Transform::takes);
                let fits = kind_of(byte).is_some_and(|kind| takes.is_some_and(|kinds| kinds.has(kind)));
                self.pass(if fits { Passed::Transform(transform) } else { Passed::Mistyped }, edge, *at, out);
            }
            (Action::Descend(_) | Action::Discriminate(_), _) => self.pass(Passed::Mistyped, edge, *at, out),
        }
        Ok(true)
    }

    /// Starts to pass over a value that is decided as a whole.
    fn pass<S: Sink + ?Sized>(&mut self, fate: Passed, edge: Edge, at: usize, out: &mut Output<'_, S>) {
        match fate {
            Passed::Keep => self.begin(at, out),
            Passed::Transform(_) => self.lead.upto = Some(at),
            Passed::Drop | Passed::Mistyped | Passed::Null => self.lead.restart(at),
        }
        if fate == Passed::Mistyped && matches!(edge.action, Action::Discriminate(_)) {
            self.withhold_envelope();
        }
        self.text.clear();
        let collect = edge.capture.is_some() || matches!(fate, Passed::Transform(_));
        self.mode = Mode::Pass(Pass { fate, edge, floor: self.lexer.depth(), from: at, collect });
    }

    /// Behind a value that was decided as a whole.
    fn passed<S: Sink + ?Sized>(&mut self, pass: Pass, end: usize, out: &mut Output<'_, S>) -> Result<()> {
        let here = out.input.get(pass.from..end).unwrap_or_default();
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
            let here = out.input.get(pass.from..end).unwrap_or_default();
            self.note(capture, here);
        }
        self.lead.restart(end);
        self.after_value();
        Ok(())
    }

    /// Replaces a scalar, or withholds it where it cannot be replaced.
    fn transformed<S: Sink + ?Sized>(
        &mut self,
        id: TransformId,
        range: Range<usize>,
        out: &mut Output<'_, S>,
    ) -> Result<Fate> {
        let plan = Arc::clone(&self.plan);
        let text = std::mem::take(&mut self.text);
        let whole = if text.is_empty() { out.input.get(range.clone()).unwrap_or_default() } else { &text };
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
    fn leads_to_seen(&self, reference: &str) -> bool {
        match reference.strip_prefix('#') {
            None | Some("") => true,
            Some(id) => {
                let container = self.resources.iter().rev().find(|resource| !resource.fragment);
                let first = container.map_or(0, |resource| resource.fragments);
                self.fragments.iter().skip(first).any(|known| **known == *id)
            }
        }
    }

    fn start_hold(&mut self, edge: Edge, what: Held, at: usize) {
        self.lead.upto = Some(at);
        self.mode = Mode::Hold(Box::new(Hold {
            edge,
            what,
            stage: if matches!(what, Held::Table(_)) { Stage::Start } else { Stage::Rest },
            before: self.lexer.clone(),
            floor: self.lexer.depth(),
            from: at,
            offset: self.base + at as u64,
        }));
    }

    /// Within a value that is held.
    fn hold<S: Sink + ?Sized>(&mut self, plan: &Plan, out: &mut Output<'_, S>, at: &mut usize) -> Result<bool> {
        let Mode::Hold(mut hold) = std::mem::replace(&mut self.mode, Mode::End) else { return Ok(true) };
        while hold.stage != Stage::Rest {
            let Some(token) = self.lexer.next(out.input, at).map_err(|error| self.syntax(error))? else {
                self.mode = Mode::Hold(hold);
                return Ok(false);
            };
            hold.stage = match (hold.stage, token.kind) {
                (Stage::Start, _) => Stage::FirstName,
                (Stage::FirstName, TokenKind::Name) => Stage::FirstValue,
                // An empty object: it does not say what it is.
                (Stage::FirstName, _) => {
                    self.held.clear();
                    self.withheld_object(hold.edge, *at);
                    return Ok(true);
                }
                _ => Stage::Rest,
            };
            if let (Stage::Rest, TokenKind::String, Held::Table(table)) = (hold.stage, token.kind, hold.what)
                && let Some(case) = self.said_first(plan, table, hold.from..*at, out.input)
            {
                match case {
                    Some(case) if case.rows.is_some() || case.subject.is_some() => {}
                    _ if self.held.len() + (*at - hold.from) > self.limits.hold => {}
                    Some(case) => {
                        self.mode = entered(hold.edge, table, case, None);
                        self.rewind(*hold, out, at)?;
                        return Ok(true);
                    }
                    None => {
                        self.held.clear();
                        self.tally.withheld_objects += 1;
                        self.withhold_envelope();
                        self.lead.restart(*at);
                        self.text.clear();
                        let edge = Edge { capture: None, ..hold.edge };
                        let (fate, floor) = (Passed::Drop, hold.floor);
                        self.mode = Mode::Pass(Pass { fate, edge, floor, from: *at, collect: false });
                        return Ok(true);
                    }
                }
            }
        }
        if !self.lexer.pass(hold.floor, out.input, at).map_err(|error| self.syntax(error))? {
            self.mode = Mode::Hold(hold);
            return Ok(false);
        }
        *at = self.decide(*hold, *at, out)?;
        Ok(true)
    }

    /// The case that the first member of a held object names, if that is the discriminator.
    fn said_first<'p>(
        &mut self,
        plan: &'p Plan,
        table: TableId,
        range: Range<usize>,
        input: &[u8],
    ) -> Option<Option<&'p Case>> {
        let here = input.get(range).unwrap_or_default();
        let joined;
        let text = if self.held.is_empty() {
            here
        } else {
            joined = [&self.held, here].concat();
            &joined
        };
        let (name, value) = Node::new(text).members().next()?;
        let table = plan.table(table)?;
        if *name != *table.member {
            return None;
        }
        Some(value.as_str().and_then(|value| table.cases.get(&*value)))
    }

    /// Decides a value that has been held to its end. Answers where the input goes on.
    fn decide<S: Sink + ?Sized>(&mut self, hold: Hold, end: usize, out: &mut Output<'_, S>) -> Result<usize> {
        let plan = Arc::clone(&self.plan);
        let here = out.input.get(hold.from..end).unwrap_or_default();
        if self.held.len() + here.len() > self.limits.hold {
            self.held.clear();
            self.tally.over_limit += 1;
            self.withheld_object(hold.edge, end);
            return Ok(end);
        }
        let text = if self.held.is_empty() {
            here
        } else {
            self.held.extend_from_slice(here);
            &self.held
        };
        let value = Node::new(text);
        let next = match hold.what {
            Held::Choice(choice) => plan.choice(choice).map(|choice| {
                let outcome = choice.tests.iter().enumerate().try_fold(0, |outcome, (bit, test)| {
                    test.holds(value).map(|holds| outcome | usize::from(holds) << bit)
                });
                let edge = outcome.ok().and_then(|outcome| choice.outcomes.get(outcome).copied());
                Mode::Value(edge.unwrap_or(Edge { action: Action::Drop, ..hold.edge }))
            }),
            Held::Table(id) => match plan.table(id) {
                Some(table) => said(table, value)
                    .map_err(|_| RedactError::Ambiguous { offset: hold.offset })?
                    .filter(|case| case.rows.as_ref().is_none_or(|rows| rows.holds(value) == Ok(true)))
                    .map(|case| entered(hold.edge, id, case, subject_of(case, value))),
                None => None,
            },
        };
        match next {
            Some(next) => {
                // What is in `held` is joined already: nothing of the input of now is to be added to it.
                let hold = if self.held.is_empty() { hold } else { Hold { from: end, ..hold } };
                let mut at = end;
                self.mode = next;
                self.rewind(hold, out, &mut at)?;
                Ok(at)
            }
            None => {
                self.held.clear();
                self.withheld_object(hold.edge, end);
                Ok(end)
            }
        }
    }

    /// Goes back to the first byte of a value that was held, whose mode is decided.
    fn rewind<S: Sink + ?Sized>(&mut self, hold: Hold, out: &mut Output<'_, S>, at: &mut usize) -> Result<()> {
        self.lexer = hold.before;
        if self.held.is_empty() {
            *at = hold.from;
            self.lead.upto = None;
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(out.input.get(hold.from..*at).unwrap_or_default());
        let base = std::mem::replace(&mut self.base, hold.offset);
        self.lead.upto = None;
        self.lead.from = 0;
        self.drive(&mut Output::new(&held, false, out.sink()))?;
        self.base = base;
        self.resume_at(*at);
        // The buffer is used again, so that a stream of held values allocates once.
        if self.held.is_empty() {
            held.clear();
            self.held = held;
        }
        Ok(())
    }

    /// After a replay: what goes on in the input of now goes on at this place.
    fn resume_at(&mut self, at: usize) {
        self.lead.from = at;
        if self.lead.upto.is_some() {
            self.lead.upto = Some(at);
        }
        match &mut self.mode {
            Mode::Name { from } => *from = at,
            Mode::Pass(pass) => pass.from = at,
            Mode::Hold(hold) => hold.from = at,
            Mode::Walk | Mode::Value(_) | Mode::Enter { .. } | Mode::End => {}
        }
    }

    /// Behind an object, or another held value, that is withheld as a whole.
    fn withheld_object(&mut self, edge: Edge, end: usize) {
        if matches!(edge.action, Action::Discriminate(_)) {
            self.tally.withheld_objects += 1;
            self.withhold_envelope();
        }
        self.tally.count(edge.element, Fate::Withheld);
        if let Some(nulls) = self.nulls() {
            *nulls += 1;
        }
        self.lead.restart(end);
        self.after_value();
    }

    /// Into an object that has said what it is and is seen.
    fn enter<S: Sink + ?Sized>(&mut self, plan: &Plan, out: &mut Output<'_, S>, at: &mut usize) -> Result<bool> {
        let Mode::Enter { edge, table, state, owner, subject } = std::mem::replace(&mut self.mode, Mode::Walk) else {
            return Ok(true);
        };
        if self.in_envelope() {
            // The envelope is decided, and each one around it: all of their frames stay.
            if let Some(outermost) = self.envelopes.first() {
                self.opened = outermost.outer_opened;
            }
            self.envelopes.clear();
        }
        let fragment = plan.table(table).is_some_and(|table| table.fragments);
        let frame = self.frames.len();
        self.open_object(plan, edge, state, Some(Discriminator { table, seen: false }), out.input, at)?;
        let fragments = self.fragments.len();
        self.resources.push(Resource { owner, frame, fragment, fragments, subject });
        Ok(true)
    }

    fn open_object(
        &mut self,
        plan: &Plan,
        edge: Edge,
        state: StateId,
        discriminator: Option<Discriminator>,
        input: &[u8],
        at: &mut usize,
    ) -> Result<()> {
        self.open(edge, Opened::Object { state, discriminator }, input, at)?;
        if plan.state(state).is_some_and(|state| state.envelope) {
            let frame = self.frames.len() - 1;
            self.envelopes.push(Envelope { frame, outer_opened: self.opened, withheld: false });
            self.opened = self.frames.len();
        }
        Ok(())
    }

    fn open_array(&mut self, plan: &Plan, edge: Edge, input: &[u8], at: &mut usize) -> Result<()> {
        let state = match edge.action {
            Action::Descend(state) => Some(state),
            _ => None,
        };
        let aligned = match state {
            Some(state) => plan.state(state).is_some_and(|state| state.aligned),
            None => matches!(edge.action, Action::Scalar(_)),
        };
        let items = Edge { element: None, ..edge };
        self.open(edge, Opened::Array { items, state, place: 0, aligned, nulls: 0 }, input, at)
    }

    /// Opens a frame, whose lead and bracket go to the skeleton.
    fn open(&mut self, edge: Edge, kind: Opened, input: &[u8], at: &mut usize) -> Result<()> {
        let start = *at;
        self.lexer.next(input, at).map_err(|error| self.syntax(error))?;
        let mark = self.skeleton.mark();
        self.stage_lead(start, input);
        self.skeleton.keep(start..*at);
        self.frames.push(Frame { kind, mark, edge, emitted: false, ensured: false });
        self.lead.restart(*at);
        self.mode = Mode::Walk;
        Ok(())
    }

    /// Behind the closing bracket of the innermost frame.
    fn close<S: Sink + ?Sized>(&mut self, plan: &Plan, end: usize, out: &mut Output<'_, S>) -> Result<()> {
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
            self.append(plan, out);
        }
        let stays = stays && self.opened > depth;
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        if stays {
            if let Opened::Array { aligned: true, nulls, .. } = frame.kind {
                (0..nulls).for_each(|_| self.made(b",null", out));
            }
            let carried = std::mem::take(&mut self.lead.carried);
            self.made(&carried, out);
            self.content(self.lead.from..end, out);
        } else {
            self.skeleton.truncate(frame.mark);
        }
        self.opened = self.opened.min(depth);
        if self.resources.last().is_some_and(|resource| resource.frame == depth)
            && let Some(resource) = self.resources.pop()
            && !resource.fragment
        {
            self.fragments.truncate(resource.fragments);
        }
        self.tally.count(frame.edge.element, if stays { Fate::Released } else { Fate::Withheld });
        if let Some(parent) = self.frames.last_mut() {
            parent.ensured |= stays && frame.ensured;
        }
        if let (false, Some(nulls)) = (stays, self.nulls()) {
            *nulls += 1;
        }
        self.lead.restart(end);
        self.after_value();
        Ok(())
    }

    /// Writes what a state adds at the end of its objects and arrays.
    fn append<S: Sink + ?Sized>(&mut self, plan: &Plan, out: &mut Output<'_, S>) {
        let Some(frame) = self.frames.last() else { return };
        let (append, ensure) = match frame.kind {
            Opened::Object { state, .. } => {
                let Some(state) = plan.state(state) else { return };
                (Some(&*state.append), state.ensure.as_deref().filter(|_| !frame.ensured))
            }
            Opened::Array { state, .. } => (None, state.and_then(|id| plan.state(id)?.stamp.as_deref())),
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
        let ensures = match self.frames.last().map(|frame| &frame.kind) {
            Some(Opened::Object { state, .. }) => plan.state(*state).is_some_and(|state| state.ensure.is_some()),
            Some(Opened::Array { state: Some(state), .. }) => {
                plan.state(*state).is_some_and(|state| state.stamp.is_some())
            }
            _ => false,
        };
        if let Some(frame) = self.frames.last_mut() {
            // The parent of this frame has its stamp; what is ensured within this frame alone ends here.
            frame.ensured = ensures || (frame.ensured && matches!(frame.kind, Opened::Array { .. }));
        }
    }

    fn last_emitted(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.emitted)
    }

    fn after_value(&mut self) {
        self.mode = if self.frames.is_empty() { Mode::End } else { Mode::Walk };
    }

    /// Makes way for a value that is kept and begins at this place: frames, lead, comma.
    #[inline]
    fn begin<S: Sink + ?Sized>(&mut self, at: usize, out: &mut Output<'_, S>) {
        self.open_frames(out);
        let plain = self.lead.carried.is_empty() && self.skeleton.is_empty() && self.envelopes.is_empty();
        if plain && self.last_emitted() && self.nulls().is_none() {
            out.keep(self.lead.from..at);
        } else {
            self.stage_lead(at, out.input);
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
    fn begin_at_lead<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) {
        let at = self.lead.upto.unwrap_or(self.lead.from);
        self.begin(at, out);
    }

    /// Puts the lead of a value that begins at this place on the skeleton, with its comma if one is due.
    fn stage_lead(&mut self, at: usize, input: &[u8]) {
        let emitted = self.last_emitted();
        if let Some(nulls) = self.nulls() {
            let nulls = *nulls;
            if emitted {
                self.skeleton.put(b",");
            }
            if nulls > 0 {
                self.skeleton.put(&b"null,".repeat(nulls));
            }
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
    fn open_frames<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) {
        if self.opened < self.frames.len() {
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

    #[inline]
    fn content<S: Sink + ?Sized>(&mut self, range: Range<usize>, out: &mut Output<'_, S>) {
        if self.envelopes.is_empty() {
            self.let_through = true;
            out.keep(range);
        } else {
            self.skeleton.keep(range);
        }
    }

    fn made<S: Sink + ?Sized>(&mut self, bytes: &[u8], out: &mut Output<'_, S>) {
        if bytes.is_empty() {
        } else if self.envelopes.is_empty() {
            self.let_through = true;
            out.put(bytes);
        } else {
            self.skeleton.put(bytes);
        }
    }

    /// Whether the innermost frame is an undecided envelope.
    fn in_envelope(&self) -> bool {
        self.envelopes.last().is_some_and(|envelope| envelope.frame + 1 == self.frames.len())
    }

    fn withhold_envelope(&mut self) {
        if self.in_envelope()
            && let Some(envelope) = self.envelopes.last_mut()
        {
            envelope.withheld = true;
        }
    }

    fn in_aligned(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { kind: Opened::Array { aligned: true, .. }, .. }))
    }

    /// How many items of the innermost frame, an aligned array, wait as `null`.
    #[inline]
    fn nulls(&mut self) -> Option<&mut usize> {
        match self.frames.last_mut() {
            Some(Frame { kind: Opened::Array { aligned: true, nulls, .. }, .. }) => Some(nulls),
            _ => None,
        }
    }

    /// Notes an id or a patient, shown or not.
    fn note(&mut self, capture: Capture, here: &[u8]) {
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

    /// Makes its own what of the input is still needed, since the input goes.
    fn settle<S: Sink + ?Sized>(&mut self, out: &mut Output<'_, S>) -> Result<()> {
        let input = out.input;
        match &mut self.mode {
            Mode::Walk | Mode::Value(_) | Mode::Enter { .. } => self.lead.settle(input),
            Mode::Name { from } => {
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

    /// Withholds a value that is longer than may be held; the rest of it is passed over.
    fn give_up(&mut self, edge: Edge, floor: usize) {
        self.held = Vec::new();
        self.text.clear();
        self.tally.over_limit += 1;
        if matches!(edge.action, Action::Discriminate(_)) {
            self.tally.withheld_objects += 1;
            self.withhold_envelope();
        }
        self.lead.restart(0);
        let edge = Edge { capture: None, ..edge };
        self.mode = Mode::Pass(Pass { fate: Passed::Drop, edge, floor, from: 0, collect: false });
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

impl Lead {
    /// The lead of the next value begins here.
    #[inline]
    fn restart(&mut self, at: usize) {
        self.carried.clear();
        self.from = at;
        self.upto = None;
    }

    fn settle(&mut self, input: &[u8]) {
        self.carried.extend_from_slice(input.get(self.from..self.upto.unwrap_or(input.len())).unwrap_or_default());
        self.from = 0;
        self.upto = self.upto.map(|_| 0);
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

fn entered(edge: Edge, table: TableId, case: &Case, subject: Option<Box<str>>) -> Mode {
    Mode::Enter { edge, table, state: case.state, owner: case.owner, subject }
}

/// What an object says that it is; `Err` where it says so twice.
fn said<'t>(table: &'t Table, value: Node<'_>) -> std::result::Result<Option<&'t Case>, crate::json::node::Ambiguous> {
    let said = value.member(&table.member)?;
    Ok(said.and_then(Node::as_str).and_then(|said| table.cases.get(&*said)))
}

/// The one patient that an object names; none where it names none, or several.
fn subject_of(case: &Case, value: Node<'_>) -> Option<Box<str>> {
    let mut named = None;
    for query in case.subject.iter().flatten() {
        for node in query.select(value).ok()? {
            let reference = node.as_str()?;
            let id = tally::bare_id(&reference);
            match &named {
                None => named = Some(Box::<str>::from(id)),
                Some(known) if **known == *id => {}
                Some(_) => return None,
            }
        }
    }
    named.filter(|id| !id.is_empty())
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

/// Behind the comma that a lead begins with, or 0 where it begins with none.
fn comma_end(carried: &[u8], here: &[u8]) -> usize {
    carried
        .iter()
        .chain(here)
        .position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
        .filter(|at| carried.get(*at).or_else(|| here.get(at - carried.len())) == Some(&b','))
        .map_or(0, |at| at + 1)
}
