//! Values that are held until they can be decided, and then walked again from their first byte.
//!
//! An object that says by its first member what it is, as nearly all do, is held that far only. Nothing that was held is
//! let through without being walked, and a value longer than may be held is withheld.

use std::ops::Range;
use std::sync::Arc;

use super::super::output::{Output, Sink};
use super::super::plan::{Action, Case, ChoiceId, Edge, Plan, Table, TableId};
use super::super::tally::{self, Fate};
use super::pass::{Pass, Passed};
use super::{Mode, RedactError, Redactor, Result};
use crate::json::node::{Ambiguous, Node};
use crate::json::{Lexer, TokenKind};

pub(super) struct Hold {
    pub(super) edge: Edge,
    pub(super) what: Held,
    pub(super) stage: Stage,
    /// The lexer as it was before the first byte of the value.
    pub(super) before: Lexer,
    pub(super) floor: usize,
    /// Where, in the input of now, begins what is not in `held`.
    pub(super) from: usize,
    /// The place of the value in the document.
    pub(super) offset: u64,
}

#[derive(Clone, Copy)]
pub(super) enum Held {
    Choice(ChoiceId),
    Table(TableId),
}

/// How far an object has been read that says by its first member, usually, what it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Start,
    FirstName,
    FirstValue,
    Rest,
}

impl Redactor {
    pub(super) fn start_hold(&mut self, edge: Edge, what: Held, at: usize) {
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
    pub(super) fn hold<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        out: &mut Output<'_, S>,
        at: &mut usize,
    ) -> Result<bool> {
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
                        self.drop_rest(hold.edge, hold.floor, *at);
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
    pub(super) fn said_first<'p>(
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
    pub(super) fn decide<S: Sink + ?Sized>(
        &mut self,
        hold: Hold,
        end: usize,
        out: &mut Output<'_, S>,
    ) -> Result<usize> {
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
                Mode::Value(edge.unwrap_or(Edge { action: Action::Drop, capture: None, ..hold.edge }))
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
    pub(super) fn rewind<S: Sink + ?Sized>(
        &mut self,
        hold: Hold,
        out: &mut Output<'_, S>,
        at: &mut usize,
    ) -> Result<()> {
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
    pub(super) fn resume_at(&mut self, at: usize) {
        self.lead.from = at;
        if self.lead.upto.is_some() {
            self.lead.upto = Some(at);
        }
        match &mut self.mode {
            Mode::Name { from, .. } => *from = at,
            Mode::Pass(pass) => pass.from = at,
            Mode::Hold(hold) => hold.from = at,
            Mode::Walk | Mode::Value(_) | Mode::Enter { .. } | Mode::End => {}
        }
    }

    /// Behind an object, or another held value, that is withheld as a whole.
    pub(super) fn withheld_object(&mut self, edge: Edge, end: usize) {
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

    /// Withholds a value that is longer than may be held; the rest of it is passed over.
    pub(super) fn give_up(&mut self, edge: Edge, floor: usize) {
        self.held = Vec::new();
        self.tally.over_limit += 1;
        self.drop_rest(edge, floor, 0);
    }

    /// Withholds a value that has begun: the rest of it, from this place on, is passed over.
    fn drop_rest(&mut self, edge: Edge, floor: usize, from: usize) {
        if matches!(edge.action, Action::Discriminate(_)) {
            self.tally.withheld_objects += 1;
            self.withhold_envelope();
        }
        self.lead.restart(from);
        let edge = Edge { capture: None, ..edge };
        self.mode = Mode::Pass(Pass { fate: Passed::Drop, edge, floor, from, collect: false });
    }
}

fn entered(edge: Edge, table: TableId, case: &Case, subject: Option<Box<str>>) -> Mode {
    Mode::Enter { edge, table, state: case.state, owner: case.owner, subject }
}

/// What an object says that it is; `Err` where it says so twice.
fn said<'t>(table: &'t Table, value: Node<'_>) -> std::result::Result<Option<&'t Case>, Ambiguous> {
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
