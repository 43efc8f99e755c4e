//! fieldgate's core: the two tasks as plans made by hand, and two policies as a gateway would compile them.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use fieldgate::fhir::Definitions;
use fieldgate::policy::Policy;
use fieldgate::redact::plan::{Action, Case, Edge, PlanBuilder, State, StateId, Table};
use fieldgate::redact::transform::Given;
use fieldgate::redact::{Copied, Limits, Plan, Redactor};

use crate::Outcome;
use crate::clock;
use crate::contest::Contestant;
use crate::corpus::Corpus;
use crate::task::{HIDDEN, PICKED, SKELETON, Task};

/// fieldgate with a plan for each task.
pub struct Fieldgate {
    name: &'static str,
    plans: [Arc<Plan>; 2],
    given: Given,
    /// The length of the pieces in which a document comes.
    piece: usize,
    /// Whether a document is taken by the redactor of the one before, as `redact` does it for lines of JSON.
    again: bool,
    redactors: [Option<Redactor>; 2],
    out: Vec<u8>,
}

impl Fieldgate {
    /// The tasks, each document in one piece.
    pub fn whole(definitions: &Definitions) -> Outcome<Self> {
        Self::new("fieldgate", [hide(definitions)?, pick()?], usize::MAX)
    }

    /// The tasks, each document in pieces of 16 KiB.
    pub fn in_pieces(definitions: &Definitions) -> Outcome<Self> {
        Self::new("fieldgate, in pieces of 16 KiB", [hide(definitions)?, pick()?], 16 << 10)
    }

    /// The tasks, each document in one piece, and one redactor for all of a task's.
    pub fn again(definitions: &Definitions) -> Outcome<Self> {
        let plans = [hide(definitions)?, pick()?];
        Ok(Self { again: true, ..Self::new("fieldgate, a redactor used again", plans, usize::MAX)? })
    }

    /// The one role of a policy, whatever the task.
    pub fn of_policy(name: &'static str, file: &str, text: &str, definitions: &Definitions) -> Outcome<Self> {
        let (policy, _) = Policy::parse(file, text, definitions).map_err(|mistakes| format!("{file}: {mistakes}"))?;
        let (_, view) = policy.roles().next().ok_or("the policy has no role")?;
        Self::new(name, [Arc::clone(view.plan()), Arc::clone(view.plan())], usize::MAX)
    }

    fn new(name: &'static str, plans: [Arc<Plan>; 2], piece: usize) -> Outcome<Self> {
        let given = Given { today: Some(jiff::civil::date(2026, 11, 22)), ..Given::default() };
        Ok(Self { name, plans, given, piece, again: false, redactors: [None, None], out: Vec::new() })
    }

    /// The plan of a task.
    pub fn plan(&self, task: Task) -> &Arc<Plan> {
        let [hide, pick] = &self.plans;
        match task {
            Task::Hide => hide,
            Task::Pick => pick,
        }
    }

    /// What is given to the plan.
    pub fn given(&self) -> &Given {
        &self.given
    }

    fn redact(&mut self, task: Task, document: &[u8]) -> Outcome<()> {
        self.out.clear();
        let known = self.redactors.get_mut(task as usize).and_then(Option::take);
        let mut redactor =
            known.unwrap_or_else(|| Redactor::new(Arc::clone(self.plan(task)), self.given.clone(), Limits::default()));
        for piece in document.chunks(self.piece) {
            redactor.write(piece, &mut Copied { piece, out: &mut self.out })?;
        }
        redactor.finish(&mut Copied { piece: &[], out: &mut self.out })?;
        if let Some(slot) = self.redactors.get_mut(task as usize).filter(|_| self.again) {
            *slot = Some(redactor.again().1);
        }
        Ok(())
    }
}

impl Contestant for Fieldgate {
    fn name(&self) -> String {
        self.name.into()
    }

    fn keeps_numbers(&self) -> bool {
        true
    }

    fn answers(&mut self, task: Task, corpus: &Corpus) -> Outcome<Option<Vec<Vec<u8>>>> {
        let answer = |document: &Vec<u8>| {
            self.redact(task, document)?;
            Ok(self.out.clone())
        };
        corpus.documents.iter().map(answer).collect::<Outcome<_>>().map(Some)
    }

    fn takes(&mut self, task: Task, document: &[u8]) -> Option<bool> {
        Some(self.redact(task, document).is_ok())
    }

    fn time(&mut self, task: Task, corpus: &Corpus, times: u32) -> Outcome<Duration> {
        let start = clock::this_thread();
        for _ in 0..times {
            for document in &corpus.documents {
                self.redact(task, black_box(document))?;
                black_box(&self.out);
            }
        }
        Ok(clock::this_thread() - start)
    }
}

const MEMBER: &str = "resourceType";
const KEEP: Edge = Edge::new(Action::Keep);
const DROP: Edge = Edge::new(Action::Drop);

/// Nothing is counted, since no peer counts.
fn hide(definitions: &Definitions) -> Outcome<Arc<Plan>> {
    let mut builder = PlanBuilder::new();
    let resources = builder.reserve_table();
    let resource = Edge::new(Action::Discriminate(resources));
    let hiding = |hidden: &[&str]| {
        let mut state = State::otherwise(KEEP);
        state.members.insert("contained", resource);
        for name in hidden.iter().chain(&["text"]) {
            state.members.insert(name, DROP);
        }
        state
    };
    let other = builder.state(hiding(&[]));
    let patient = builder.state(hiding(&HIDDEN));
    let mut entry = State::otherwise(KEEP);
    entry.members.insert("resource", resource);
    let entry = builder.state(entry);
    let mut bundle = hiding(&[]);
    bundle.members.insert("entry", Edge::new(Action::Descend(entry)));
    let bundle = builder.state(bundle);
    // A plan withholds what says to be nothing that it knows, so it has to know every type.
    let cases = definitions.resource_types().map(|(_, known)| {
        let state = match known.name {
            "Patient" => patient,
            "Bundle" => bundle,
            _ => other,
        };
        (known.name, state)
    });
    let table = table(&mut builder, cases);
    builder.set_table(resources, table);
    Ok(Arc::new(builder.build(resource)?))
}

fn pick() -> Outcome<Arc<Plan>> {
    let mut builder = PlanBuilder::new();
    let resources = builder.reserve_table();
    let resource = Edge::new(Action::Discriminate(resources));
    let state = |names: &[&str], deeper: (&str, Edge)| {
        let mut state = State::new();
        for name in names {
            state.members.insert(name, KEEP);
        }
        state.members.insert(deeper.0, deeper.1);
        state
    };
    let subject = builder.state(state(&[], ("reference", KEEP)));
    let observation = builder.state(state(&PICKED, ("subject", Edge::new(Action::Descend(subject)))));
    let entry = builder.state(state(&[], ("resource", resource)));
    let bundle = builder.state(state(&SKELETON, ("entry", Edge::new(Action::Descend(entry)))));
    let table = table(&mut builder, [("Bundle", bundle), ("Observation", observation)].into_iter());
    builder.set_table(resources, table);
    Ok(Arc::new(builder.build(resource)?))
}

fn table<'a>(builder: &mut PlanBuilder, cases: impl Iterator<Item = (&'a str, StateId)>) -> Table {
    let case = |(name, state): (&'a str, StateId)| {
        (name, Case { state, owner: builder.owner(name), rows: None, subject: None })
    };
    Table { member: MEMBER.into(), cases: cases.map(case).collect(), fragments: false }
}
