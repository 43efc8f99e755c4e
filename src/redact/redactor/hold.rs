//! Values that are held until they can be decided, and then walked again from their first byte.
//!
//! An object that says by its first member what it is, as nearly all do, is held that far only. Nothing that was held is
//! let through without being walked, and a value longer than may be held is withheld.

use super::super::bounds::{Bound, Bounds};
use super::super::output::{Output, Sink};
use super::super::plan::{Action, Case, ChoiceId, Edge, Plan, Table, TableId};
use super::super::tally::{self, Fate};
use super::frame::Opened;
use super::pass::{Pass, Passed, Rest};
use super::{Mode, RedactError, Redactor, Result, WINDOW};
use crate::json::node::{Ambiguous, Node};
use crate::json::{Lexer, Window};

#[derive(Clone, Copy)]
pub(super) struct Hold {
    pub(super) edge: Edge,
    pub(super) what: Held,
    pub(super) rest: Rest,
    /// Whether the first member of the object, which usually says what it is, has not been read to its end.
    pub(super) first: bool,
    /// Where, in the window, begins what is not in `held`.
    pub(super) from: usize,
    /// The place of the value in the document.
    pub(super) offset: u64,
}

#[derive(Clone, Copy)]
pub(super) enum Held {
    Choice(ChoiceId),
    Table(TableId),
}

/// What the first member of an object says.
pub(super) enum First<'p> {
    /// What the object is.
    Case(&'p Case),
    /// That the object is nothing that is seen, or that it is empty.
    Unseen,
    /// Another thing; what the object is may come later, or be needed whole.
    Other,
    /// The window ends before it does.
    Beyond,
}

impl Redactor {
    /// Decides a value, whose first mark this is, by more than its first byte.
    pub(super) fn start_hold<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        edge: Edge,
        what: Held,
        at: usize,
        place: usize,
        out: &mut Output<'_, S>,
    ) -> Result<Option<usize>> {
        let first = match what {
            Held::Table(table) => first(plan, self.given.bounds.as_deref(), table, out.window, at, self.limits.hold),
            Held::Choice(_) => First::Other,
        };
        let offset = self.base + place as u64;
        match (&first, what) {
            (First::Case(case), Held::Table(table)) => {
                self.mode = entered(edge, table, case, None);
                return Ok(Some(at));
            }
            (First::Unseen, _) => {
                self.withheld(edge);
                let edge = Edge { capture: None, ..edge };
                return self.pass(plan, Passed::Drop, edge, at, place, out);
            }
            _ => {}
        }
        self.lead.upto = Some(place);
        if let Some((end, mark)) = out.window.end_of_value(at) {
            if end - place > self.limits.hold {
                self.over_limit(edge, end, out.window);
                return Ok(Some(mark));
            }
            let bounds = self.given.bounds.as_deref();
            return match decided(plan, bounds, edge, what, Node::new(out.window, at), offset)? {
                Some(mode) => {
                    self.mode = mode;
                    self.lead.upto = None;
                    Ok(Some(at))
                }
                None => {
                    self.withheld_whole(edge, end, out.window);
                    Ok(Some(mark))
                }
            };
        }
        let rest = self.rest(out.window, at);
        let first = matches!(first, First::Beyond);
        self.mode = Mode::Hold(Hold { edge, what, rest, first, from: place, offset });
        Ok(None)
    }

    /// Goes on with a value that began before this window.
    pub(super) fn hold_on<S: Sink + ?Sized>(&mut self, plan: &Plan, out: &mut Output<'_, S>) -> Result<Option<usize>> {
        let Mode::Hold(hold) = self.mode else { return Ok(None) };
        if hold.first && out.window.place(0).is_some() {
            // Its first member may be whole now: what was held and the window are walked as one.
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(out.window.text);
            self.mode = Mode::Value(hold.edge);
            let mut lexer = self.lexer_of_held();
            self.replay(hold.offset, out, |redactor, out| {
                joined.chunks(WINDOW).try_for_each(|text| {
                    let mut tape = redactor.tapes.pop().unwrap_or_default();
                    let read = lexer.read(text, &mut tape);
                    redactor.take(text, tape, read, None, out.sink())
                })
            })?;
            self.keep_buffer(joined);
            self.resume_at(out.window.text.len());
            return Ok(None);
        }
        let Some((end, mark)) = hold.rest.end(out.window) else { return Ok(None) };
        self.held_to_end(plan, hold, end, out)?;
        Ok(Some(mark))
    }

    /// Decides a value that began before this window and ends in it.
    pub(super) fn held_to_end<S: Sink + ?Sized>(
        &mut self,
        plan: &Plan,
        hold: Hold,
        end: usize,
        out: &mut Output<'_, S>,
    ) -> Result<()> {
        self.mode = Mode::Walk;
        let here = out.window.text.get(hold.from..end).unwrap_or_default();
        let mut held = std::mem::take(&mut self.held);
        if held.len() + here.len() > self.limits.hold {
            self.over_limit(hold.edge, end, out.window);
            return Ok(());
        }
        held.extend_from_slice(here);
        // It was checked as it came, and is read again to be looked at as one.
        let mut tape = self.tapes.pop().unwrap_or_default();
        let read = self.lexer_of_held().read(&held, &mut tape);
        let bounds = self.given.bounds.as_deref();
        let mode = match read {
            Ok(()) => decided(plan, bounds, hold.edge, hold.what, Node::new(tape.window(&held), 0), hold.offset)?,
            Err(_) => None,
        };
        match mode {
            Some(mode) => {
                self.mode = mode;
                self.replay(hold.offset, out, |redactor, out| redactor.take(&held, tape, Ok(()), None, out.sink()))?;
                self.keep_buffer(held);
                self.resume_at(end);
                // A number or a literal might go on, for all that was replayed tells.
                if let Mode::Pass(pass) = self.mode {
                    self.pass_ended(plan, pass, end, out);
                }
            }
            None => self.withheld_whole(hold.edge, end, out.window),
        }
        Ok(())
    }

    /// Walks what was held, which began at this place of the document, as if it had just come in.
    fn replay<S: Sink + ?Sized>(
        &mut self,
        offset: u64,
        out: &mut Output<'_, S>,
        walk: impl FnOnce(&mut Self, &mut Output<'_, S>) -> Result<()>,
    ) -> Result<()> {
        let base = std::mem::replace(&mut self.base, offset);
        self.lead.upto = None;
        self.lead.from = 0;
        walk(self, out)?;
        self.base = base;
        Ok(())
    }

    /// The buffer is used again, so that a stream of held values allocates once.
    fn keep_buffer(&mut self, held: Vec<u8>) {
        if self.held.capacity() == 0 {
            self.held = held;
            self.held.clear();
        }
    }

    /// The lexer as it was before the first byte of what is held.
    fn lexer_of_held(&self) -> Lexer {
        self.lexer.within(self.frames.iter().map(|frame| matches!(frame.kind, Opened::Object { .. })))
    }

    /// After a replay: what goes on in the window goes on at this place.
    fn resume_at(&mut self, place: usize) {
        self.lead.from = place;
        if self.lead.upto.is_some() {
            self.lead.upto = Some(place);
        }
        match &mut self.mode {
            Mode::Pass(pass) => pass.from = place,
            Mode::Hold(hold) => hold.from = place,
            Mode::Name { .. } | Mode::Walk | Mode::Value(_) | Mode::Enter { .. } | Mode::End => {}
        }
    }

    /// Behind a value that was held and is withheld as a whole.
    fn withheld_whole(&mut self, edge: Edge, end: usize, window: Window<'_>) {
        self.withheld(edge);
        self.tally.count(edge.element, Fate::Withheld);
        self.one_null_more(Fate::Withheld);
        self.withhold_lead(end, window.text);
        self.after_value();
    }

    /// Behind a value that is longer than may be held.
    fn over_limit(&mut self, edge: Edge, end: usize, window: Window<'_>) {
        self.tally.over_limit += 1;
        self.withheld_whole(edge, end, window);
    }

    /// Withholds a value that is longer than may be held; the rest of it is passed over.
    pub(super) fn give_up(&mut self, edge: Edge, rest: Rest) {
        self.held = Vec::new();
        self.tally.over_limit += 1;
        self.withheld(edge);
        self.lead.restart(0);
        let edge = Edge { capture: None, ..edge };
        self.mode = Mode::Pass(Pass { fate: Passed::Drop, edge, rest, from: 0 });
    }

    fn withheld(&mut self, edge: Edge) {
        if matches!(edge.action, Action::Discriminate(_)) {
            self.tally.withheld_objects += 1;
            self.withhold_envelope();
        }
    }
}

/// What a value that is known whole is decided to be; `None` where it is withheld.
fn decided(
    plan: &Plan,
    bounds: Option<&Bounds>,
    edge: Edge,
    what: Held,
    value: Node<'_>,
    offset: u64,
) -> Result<Option<Mode>> {
    match what {
        Held::Choice(choice) => Ok(plan.choice(choice).map(|choice| {
            let outcome =
                choice.tests.iter().enumerate().try_fold(0, |outcome, (bit, test)| {
                    test.holds(value).map(|holds| outcome | usize::from(holds) << bit)
                });
            let edge_of = outcome.ok().and_then(|outcome| choice.outcomes.get(outcome).copied());
            Mode::Value(edge_of.unwrap_or(Edge { action: Action::Drop, capture: None, ..edge }))
        })),
        Held::Table(id) => {
            let Some(table) = plan.table(id) else { return Ok(None) };
            Ok(said(table, bounds, value)
                .map_err(|_| RedactError::Ambiguous { offset })?
                .filter(|(_, bound)| bound.holds(value))
                .map(|(case, _)| case)
                .filter(|case| case.rows.as_ref().is_none_or(|rows| rows.holds(value) == Ok(true)))
                .map(|case| entered(edge, id, case, subject_of(case, value))))
        }
    }
}

/// What the first member of an object says, which nearly always is what it is.
pub(super) fn first<'p>(
    plan: &'p Plan,
    bounds: Option<&Bounds>,
    table: TableId,
    window: Window<'_>,
    at: usize,
    limit: usize,
) -> First<'p> {
    let Some(table) = plan.table(table) else { return First::Unseen };
    match (window.peek(at + 1), window.peek(at + 3)) {
        (Some((_, b'}')), _) => return First::Unseen,
        (Some(_), Some((_, b'"'))) => {}
        (Some(_), Some(_)) => return First::Other,
        _ => return First::Beyond,
    }
    let Some([begin, name, name_end, value, end]) = window.places(at) else { return First::Beyond };
    if end - begin >= limit || window.text.get(name + 1..name_end) != Some(table.member.as_bytes()) {
        return First::Other;
    }
    match table.cases.get_within(window.text, value + 1, end) {
        Some(case) if case.rows.is_some() || case.subject.is_some() => First::Other,
        Some(case) => match Bound::within(bounds, window.text, value + 1, end) {
            Bound::Free => First::Case(case),
            Bound::Rows(_) => First::Other,
            Bound::Withheld => First::Unseen,
        },
        // Escaped, it may be one of them.
        None if window.text.get(value..end).is_none_or(|said| said.contains(&b'\\')) => First::Other,
        None => First::Unseen,
    }
}

fn entered(edge: Edge, table: TableId, case: &Case, subject: Option<Box<str>>) -> Mode {
    Mode::Enter { edge, table, state: case.state, owner: case.owner, subject }
}

/// What an object says that it is, and what the bounds say of that; `Err` where it says so twice.
fn said<'t>(
    table: &'t Table,
    bounds: Option<&'t Bounds>,
    value: Node<'_>,
) -> std::result::Result<Option<(&'t Case, Bound<'t>)>, Ambiguous> {
    let said = value.member(&table.member)?.and_then(Node::as_str);
    Ok(said.and_then(|said| Some((table.cases.get(said.as_bytes())?, Bound::of(bounds, &said)))))
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
