//! The oracle: what a plan means, in the plainest form, on a `serde_json` tree.
//!
//! It is written for reading, shares no walking code with the redactor, and is what every result of the redactor is
//! held against. It takes what `serde_json` makes of a document: of a member that stands twice, the last.

use serde_json::{Map, Value};

use super::bounds::Bound;
use super::plan::{Action, Capture, Case, Edge, Items, Kinds, Plan, StateId, TableId};
use super::tally::bare_id;
use super::transform::{Given, Transform};
use crate::json::node::{Document, Node};

/// What is left of a document, or `None` where nothing is.
pub fn redact(plan: &Plan, given: &Given, document: &Value) -> Option<Value> {
    Oracle { plan, given, fragments: Vec::new(), resources: Vec::new() }.value(plan.root, document, At::Elsewhere).shown
}

struct Oracle<'a> {
    plan: &'a Plan,
    given: &'a Given,
    fragments: Vec<String>,
    resources: Vec<Resource>,
}

struct Resource {
    fragment: bool,
    first_fragment: usize,
    subject: Option<String>,
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Envelope,
    Aligned,
    Elsewhere,
}

/// What became of a value.
#[derive(Default)]
struct Became {
    shown: Option<Value>,
    /// A discriminated object in an envelope was seen.
    seen: bool,
    /// A discriminated object right here was withheld.
    withheld: bool,
    /// A stamp or an ensured member was written last.
    ensured: bool,
}

impl Became {
    fn shown(value: Value) -> Self {
        Self { shown: Some(value), ..Self::default() }
    }

    fn gone() -> Self {
        Self::default()
    }
}

impl Oracle<'_> {
    fn value(&mut self, edge: Edge, value: &Value, at: At) -> Became {
        let became = match (edge.action, value) {
            (Action::Keep, _) => Became::shown(value.clone()),
            (Action::Drop, _) => Became::gone(),
            (Action::Discriminate(_), Value::Array(_)) if at == At::Envelope => {
                Became { withheld: true, ..Became::gone() }
            }
            (Action::Choose(id), _) => match self.plan.choice(id) {
                Some(choice) if choice.per_item && value.is_array() => self.items(edge, None, value),
                Some(choice) => {
                    let text = value.to_string();
                    let Ok(document) = Document::read(text.as_bytes()) else { return Became::gone() };
                    let holds = choice.tests.iter().enumerate().try_fold(0, |outcome, (bit, test)| {
                        test.holds(document.root()).map(|holds| outcome | usize::from(holds) << bit)
                    });
                    match holds.ok().and_then(|outcome| choice.outcomes.get(outcome)) {
                        Some(outcome) => self.value(*outcome, value, at),
                        None => Became::gone(),
                    }
                }
                None => Became::gone(),
            },
            (Action::Descend(state), Value::Array(_)) => self.items(edge, Some(state), value),
            (_, Value::Array(_)) => self.items(edge, None, value),
            (Action::Scalar(kinds), _) => scalar(kinds, value, at),
            (Action::Transform(id), _) => match self.plan.transform(id) {
                Some(transform) if kind(value).is_some_and(|kind| transform.takes().has(kind)) => {
                    self.transformed(transform, value)
                }
                _ => Became::gone(),
            },
            (Action::Descend(state), Value::Object(members)) => self.object(state, members),
            (Action::Descend(state), _) => scalar(self.leaves(state), value, at),
            (Action::Discriminate(table), Value::Object(members)) => self.discriminated(table, members, value, at),
            (Action::Discriminate(_), _) => Became { withheld: at == At::Envelope, ..Became::gone() },
        };
        // Of a choice, the edge that was chosen is noted.
        let chosen = matches!(edge.action, Action::Choose(_));
        if let (Some(Capture::FragmentId), Value::String(id), false) = (edge.capture, value, chosen) {
            self.fragments.push(id.clone());
        }
        became
    }

    fn leaves(&self, state: StateId) -> Kinds {
        self.plan.state(state).map_or(Kinds::NONE, |state| state.leaves)
    }

    fn items(&mut self, edge: Edge, state: Option<StateId>, array: &Value) -> Became {
        let state = state.and_then(|id| self.plan.state(id));
        let aligned = state.map_or(matches!(edge.action, Action::Scalar(_)), |state| state.aligned);
        let mut shown = Vec::new();
        let (mut any, mut seen, mut ensured) = (false, false, false);
        for (place, item) in array.as_array().into_iter().flatten().enumerate() {
            let edge = match state.map(|state| &state.items) {
                Some(Items::Placed { head, cycle }) => match head.get(place) {
                    Some(edge) => *edge,
                    None => cycle
                        .iter()
                        .cycle()
                        .nth((place - head.len()) % cycle.len().max(1))
                        .copied()
                        .unwrap_or(Edge::new(Action::Drop)),
                },
                Some(Items::Same) | None => edge,
            };
            let became = self.value(edge, item, if aligned { At::Aligned } else { At::Elsewhere });
            seen |= became.seen;
            ensured |= became.ensured;
            any |= became.shown.is_some();
            match became.shown {
                Some(item) => shown.push(item),
                None if aligned => shown.push(Value::Null),
                None => {}
            }
        }
        if let Some(stamp) = state.and_then(|state| state.stamp.as_deref()) {
            shown.extend(parse::<Vec<Value>>(&format!("[{stamp}]")));
            (any, ensured) = (true, true);
        }
        any |= shown.is_empty()
            && array == &Value::Array(Vec::new())
            && state.is_some_and(|state| state.leaves != Kinds::NONE);
        Became { shown: any.then_some(Value::Array(shown)), seen, ensured, withheld: false }
    }

    fn object(&mut self, id: StateId, members: &Map<String, Value>) -> Became {
        let Some(state) = self.plan.state(id) else { return Became::gone() };
        let envelope = state.envelope;
        let mut shown = Map::new();
        let (mut seen, mut withheld, mut ensured) = (false, false, false);
        for (name, member) in members {
            let edge = self.plan.member(id, name.as_bytes());
            let became = self.value(edge, member, if envelope { At::Envelope } else { At::Elsewhere });
            seen |= became.seen;
            withheld |= became.withheld;
            ensured |= became.ensured;
            if let Some(value) = became.shown {
                shown.insert(name.clone(), value);
            }
        }
        if envelope && !seen && (withheld || shown.is_empty()) {
            return Became::gone();
        }
        shown.extend(parse::<Map<String, Value>>(&format!("{{{}}}", state.append)));
        if let (Some(ensure), false) = (&state.ensure, ensured) {
            shown.extend(parse::<Map<String, Value>>(&format!("{{{ensure}}}")));
        }
        let empty_leaf = members.is_empty() && state.leaves != Kinds::NONE;
        let shown = (empty_leaf || !shown.is_empty()).then_some(Value::Object(shown));
        Became { shown, seen, ensured: state.ensure.is_some(), withheld: false }
    }

    fn discriminated(&mut self, id: TableId, members: &Map<String, Value>, value: &Value, at: At) -> Became {
        let withheld = Became { withheld: at == At::Envelope, ..Became::gone() };
        let Some(table) = self.plan.table(id) else { return withheld };
        let said = members.get(&*table.member).and_then(Value::as_str);
        let Some(case) = said.and_then(|said| table.cases.get(said.as_bytes())) else { return withheld };
        let text = value.to_string();
        let Ok(document) = Document::read(text.as_bytes()) else { return withheld };
        let node = document.root();
        if case.rows.as_ref().is_some_and(|rows| rows.holds(node) != Ok(true)) {
            return withheld;
        }
        if !Bound::of(self.given.bounds.as_deref(), said.unwrap_or_default()).holds(node) {
            return withheld;
        }
        let resource =
            Resource { fragment: table.fragments, first_fragment: self.fragments.len(), subject: subject(case, node) };
        self.resources.push(resource);
        let became = self.object(case.state, members);
        if let Some(resource) = self.resources.pop()
            && !resource.fragment
        {
            self.fragments.truncate(resource.first_fragment);
        }
        let shows = became.shown.is_some();
        Became { seen: became.seen || (at == At::Envelope && shows), withheld: at == At::Envelope && !shows, ..became }
    }

    fn transformed(&self, transform: &Transform, value: &Value) -> Became {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if *transform == Transform::Reference {
            let first = self.resources.iter().rev().find(|resource| !resource.fragment);
            let first = first.map_or(0, |resource| resource.first_fragment);
            return match text.strip_prefix('#') {
                Some(id) if !id.is_empty() && !self.fragments.iter().skip(first).any(|known| known == id) => {
                    Became::gone()
                }
                _ => Became::shown(value.clone()),
            };
        }
        let subject = self.resources.iter().rev().find_map(|resource| resource.subject.as_deref());
        match transform.apply(&text, self.given, subject) {
            Some(new) if value.is_string() => Became::shown(Value::String(new.into_owned())),
            Some(new) => Became { shown: serde_json::from_str(&new).ok(), ..Became::gone() },
            None => Became::gone(),
        }
    }
}

fn scalar(kinds: Kinds, value: &Value, at: At) -> Became {
    match value {
        Value::Null if kinds != Kinds::NONE && at != At::Aligned => Became::shown(Value::Null),
        _ if kind(value).is_some_and(|kind| kinds.has(kind)) => Became::shown(value.clone()),
        _ => Became::gone(),
    }
}

fn kind(value: &Value) -> Option<Kinds> {
    match value {
        Value::String(_) => Some(Kinds::STRING),
        Value::Number(_) => Some(Kinds::NUMBER),
        Value::Bool(_) => Some(Kinds::BOOLEAN),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn subject(case: &Case, node: Node<'_>) -> Option<String> {
    let mut ids = Vec::new();
    for query in case.subject.iter().flatten() {
        for found in query.select(node).ok()? {
            ids.push(bare_id(&found.as_str()?).to_owned());
        }
    }
    ids.dedup();
    match ids.as_slice() {
        [id] if !id.is_empty() => Some(id.clone()),
        _ => None,
    }
}

fn parse<T: Default + serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_default()
}
