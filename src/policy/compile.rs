//! Compiles a view to a plan: each place of the walk a state, each element an edge.
//!
//! INVARIANT: in a restricted view a state drops what it doesn't name, and names only what the walk shows.

use std::collections::HashMap;

use crate::fhir::definitions::Kind;
use crate::fhir::{Definitions, Element, Type, TypeId, TypeRef};
use crate::redact::condition::{Query, Segment, Selector};
use crate::redact::plan::{
    Action, Capture, Case, Choice, Edge, Kinds, Plan, PlanError, State, StateId, Table, TableId,
};
use crate::redact::transform::Transform;

use super::draft::Draft;
use super::labels;
use super::resolve::Because;
use super::treatment::Treatment;
use super::view::{Fork, Origin, Outcome, Place, TooManyConditions, View};

/// Why a view has no plan.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CompileError {
    /// More conditions meet at one element than a plan can tell apart.
    #[error("{conditions} conditions meet at one element; at most {most} can", most = super::view::MOST_CONDITIONS)]
    Conditions {
        /// Where the last of them was written.
        origin: Origin,
        /// How many there are.
        conditions: usize,
    },
    /// The plan doesn't hold together.
    #[error("the view is too large to compile")]
    Plan(#[source] PlanError),
}

impl From<TooManyConditions> for CompileError {
    fn from(error: TooManyConditions) -> Self {
        Self::Conditions { origin: error.origin, conditions: error.conditions }
    }
}

/// The elements that hold addresses of the upstream (LEAKS of `Bundle.link`, `fullUrl` and their like).
const ADDRESSES: [(&str, &str); 5] = [
    ("Bundle.link", "url"),
    ("Bundle.entry", "fullUrl"),
    ("Bundle.entry.request", "url"),
    ("Bundle.entry.response", "location"),
    ("CapabilityStatement.implementation", "url"),
];

/// The objects that are nothing without the resource in them.
const ENVELOPES: [&str; 2] = ["Bundle.entry", "Parameters.parameter"];

/// A plan and, for those who check it against the walk, how it was made.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) plan: Plan,
    #[cfg(test)]
    pub(super) sketch: Sketch,
}

/// The states of a plan and where each resource type starts.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Sketch {
    pub(super) states: HashMap<StateId, State>,
    pub(super) choices: HashMap<crate::redact::plan::ChoiceId, Choice>,
    pub(super) transforms: HashMap<crate::redact::plan::TransformId, Transform>,
    pub(super) cases: HashMap<Box<str>, Case>,
    pub(super) fragments: HashMap<Box<str>, Case>,
}

/// Compiles a view.
pub(super) fn compile(definitions: &Definitions, view: &View) -> Result<Compiled, CompileError> {
    let mut draft = Draft::default();
    let (whole, parts) = (draft.reserve_table(), draft.reserve_table());
    let mut compiler = Compiler { definitions, view, draft, whole, parts, states: HashMap::new() };
    let cases = compiler.cases(false)?;
    let fragments = compiler.cases(true)?;
    let Compiler { mut draft, .. } = compiler;
    #[cfg(test)]
    let sketch = Sketch {
        states: draft.states.clone(),
        choices: draft.choices.clone(),
        transforms: draft.transforms.clone(),
        cases: cases.clone(),
        fragments: fragments.clone(),
    };
    draft.set_table(whole, Table { member: "resourceType".into(), cases, fragments: false });
    draft.set_table(parts, Table { member: "resourceType".into(), cases: fragments, fragments: true });
    let plan = draft.build(Edge::new(Action::Discriminate(whole))).map_err(CompileError::Plan)?;
    Ok(Compiled {
        plan,
        #[cfg(test)]
        sketch,
    })
}

struct Compiler<'a> {
    definitions: &'a Definitions,
    view: &'a View,
    draft: Draft,
    /// The table of resources that stand for themselves.
    whole: TableId,
    /// The table of resources contained in others.
    parts: TableId,
    states: HashMap<(Place, bool), StateId>,
}

impl<'a> Compiler<'a> {
    fn cases(&mut self, contained: bool) -> Result<HashMap<Box<str>, Case>, CompileError> {
        let mut cases = HashMap::new();
        for (type_id, seen) in &self.view.resources {
            let Some(place) = self.view.place(*type_id) else { continue };
            let name = &self.definitions.get(*type_id).name;
            let labelled = self.view.restricted && !contained && !seen.envelope;
            let state = self.resource(&place, contained, labelled)?;
            let subject = self.draft.effects(state).shifted.then(|| self.subject(*type_id));
            let owner = self.draft.owner(name);
            cases.insert(name.clone(), Case { state, owner, rows: seen.rows.clone(), subject });
        }
        Ok(cases)
    }

    /// The queries for the patient of a resource, for a transform that depends on it.
    fn subject(&self, type_id: TypeId) -> Box<[Query]> {
        let name = |name: &str| Segment::Child(vec![Selector::Name(name.into())]);
        if &*self.definitions.get(type_id).name == "Patient" {
            return [Query { segments: vec![name("id")] }].into();
        }
        let paths = self.definitions.patient_elements(type_id).iter();
        let queries = paths.filter_map(|path| self.reference_query(type_id, path));
        queries.collect()
    }

    /// `participant.actor` as a query for each reference there: `@.participant[*].actor.reference`.
    fn reference_query(&self, type_id: TypeId, path: &str) -> Option<Query> {
        let mut segments = Vec::new();
        let mut at = type_id;
        for step in path.split('.') {
            let of = self.definitions.get(at);
            let is_reference = |form: &&TypeRef| &*self.definitions.get(form.target).name == "Reference";
            let (element, form) = match of.element(step) {
                Some(element) => (element, element.types.iter().find(is_reference).or(element.types.first())?),
                None => of.member(step)?,
            };
            segments.push(Segment::Child(vec![Selector::Name(form.json_name.clone())]));
            if element.many {
                segments.push(Segment::Child(vec![Selector::Wildcard]));
            }
            at = form.target;
        }
        segments.push(Segment::Child(vec![Selector::Name("reference".into())]));
        Some(Query { segments })
    }

    /// A whole resource. Where it is labelled its `meta.security` gets what its view does to it.
    fn resource(&mut self, place: &Place, contained: bool, labelled: bool) -> Result<StateId, CompileError> {
        let mut state = self.object(place)?;
        state.members.insert("resourceType".into(), Edge::new(self.scalar(Kinds::STRING)));
        let patient = &*self.definitions.get(place.type_id).name == "Patient";
        let id = state.members.entry("id".into()).or_insert(state.other);
        *id = id.noted(match (contained, patient) {
            (true, _) => Capture::FragmentId,
            (false, true) => Capture::Patient,
            (false, false) => Capture::ResourceId,
        });
        let id = self.draft.state(state.clone());
        if labelled {
            let labels = labels::written(self.draft.effects(id));
            let meta = self.labelled_meta(place, &labels)?;
            state.members.insert("meta".into(), meta);
            state.ensure = Some(format!(r#""meta":{{"security":[{labels}]}}"#).into());
            self.draft.set(id, state);
        }
        Ok(id)
    }

    /// The edge of a resource's `meta`, whose `security` ends with the labels whatever the view says of both.
    fn labelled_meta(&mut self, place: &Place, labels: &str) -> Result<Edge, CompileError> {
        let definitions = self.definitions;
        let mut state = State::new();
        let mut element = None;
        if let Some((meta, form)) = definitions.get(place.type_id).member("meta") {
            // A rule on meta or on meta.security has no condition (the reader sees to it), so there is one outcome.
            let fork = self.view.member(definitions, place, meta, form)?;
            if let Some(outcome) = fork.outcomes.into_iter().next() {
                if self.view.may_matter(&outcome.inside) {
                    state = self.object(&outcome.inside)?;
                }
                element = (outcome.ruling.treatment == Treatment::Show).then(|| self.counted(place, meta));
            }
        }
        let kept = state.members.get("security").copied();
        let mut security = match kept.map(|edge| edge.action) {
            Some(Action::Descend(id)) => self.draft.states.get(&id).cloned().unwrap_or_default(),
            _ => State::new(),
        };
        security.stamp = Some(labels.into());
        let action = Action::Descend(self.draft.state(security));
        state.members.insert("security".into(), Edge { action, ..kept.unwrap_or(Edge::new(action)) });
        state.ensure = Some(format!(r#""security":[{labels}]"#).into());
        let edge = Edge::new(Action::Descend(self.draft.state(state)));
        Ok(Edge { element, ..edge })
    }

    /// The state of an object at a place; the same place has the same state.
    fn descend(&mut self, place: &Place, aligned: bool) -> Result<StateId, CompileError> {
        let key = (place.clone(), aligned);
        if let Some(known) = self.states.get(&key) {
            return Ok(*known);
        }
        let id = self.draft.reserve();
        self.states.insert(key, id);
        let mut state = self.object(place)?;
        state.aligned = aligned;
        self.draft.set(id, state);
        Ok(id)
    }

    fn object(&mut self, place: &Place) -> Result<State, CompileError> {
        let of: &'a Type = self.definitions.get(place.type_id);
        let mut state = if self.view.restricted { State::new() } else { State::otherwise(Edge::new(Action::Keep)) };
        state.envelope = ENVELOPES.contains(&&*of.name);
        let mut append: Vec<String> = Vec::new();
        for element in of.elements() {
            for (place_of_form, form) in element.types.iter().enumerate() {
                let fork = self.view.member(self.definitions, place, element, form)?;
                if let Some(absent) = absent(&fork, element, form, place_of_form == 0) {
                    append.push(absent);
                }
                let sibling = self.sibling(element, form, &fork)?;
                if let Some(edge) = sibling {
                    state.members.insert(format!("_{}", form.json_name).into(), edge);
                }
                let edge = self.fork(place, element, form, fork)?;
                if edge != state.other {
                    state.members.insert(form.json_name.clone(), edge);
                }
            }
        }
        state.append = append.join(",").into();
        Ok(state)
    }

    fn fork(&mut self, place: &Place, element: &Element, form: &TypeRef, fork: Fork) -> Result<Edge, CompileError> {
        let edges = fork.outcomes.iter().map(|outcome| self.edge(place, element, form, outcome));
        let outcomes: Box<[Edge]> = edges.collect::<Result<_, _>>()?;
        match &*outcomes {
            [first, rest @ ..] if rest.iter().any(|edge| edge != first) => {
                let tests = fork.conditions.iter().map(|condition| condition.test.clone()).collect();
                Ok(Edge::new(self.draft.choice(Choice { tests, outcomes, per_item: true })))
            }
            [first, ..] => Ok(*first),
            [] => Ok(Edge::new(Action::Drop)),
        }
    }

    fn edge(
        &mut self,
        place: &Place,
        element: &Element,
        form: &TypeRef,
        outcome: &Outcome,
    ) -> Result<Edge, CompileError> {
        let target: &'a Type = self.definitions.get(form.target);
        let treatment = &outcome.ruling.treatment;
        let action = match target.kind {
            Kind::Resource => self.resource_within(element, outcome),
            Kind::Primitive => match treatment {
                Treatment::Show => self.shown(place, element, target),
                Treatment::Hide | Treatment::Absent => Action::Drop,
                Treatment::Pseudonym(domain) if self.is_reference(place, element) => {
                    self.draft.transform(Transform::PseudonymReference { domain: domain.clone() })
                }
                transform => match transform.transform(&*target.name == "instant") {
                    Some(transform) => self.draft.transform(transform),
                    None => Action::Drop,
                },
            },
            Kind::Complex | Kind::Backbone => match treatment {
                Treatment::Pseudonym(domain) => self.pseudonym(domain, outcome)?,
                _ if self.may_keep(outcome, target) => Action::Keep,
                Treatment::Show | Treatment::Hide if self.view.may_matter(&outcome.inside) => {
                    Action::Descend(self.descend(&outcome.inside, false)?)
                }
                _ => Action::Drop,
            },
        };
        // A skeleton is no element that is released or withheld: what is in it is counted for itself.
        let skeleton = matches!(action, Action::Descend(_)) && *treatment == Treatment::Hide;
        let edge = Edge::new(action);
        let edge = if skeleton { edge } else { edge.counted(self.counted(place, element)) };
        Ok(if outcome.patient { edge.noted(Capture::Patient) } else { edge })
    }

    /// Whether an object may pass unread: nothing is withheld, and nothing in it need be noted or led back.
    fn may_keep(&self, outcome: &Outcome, target: &Type) -> bool {
        !self.view.restricted && !View::has_rules_within(&outcome.inside) && !self.needs_look(target)
    }

    /// Whether a type of object holds resources or addresses of the upstream.
    fn needs_look(&self, of: &Type) -> bool {
        // Only Bundle and Parameters do, besides `contained`, and what contains itself there holds a resource first.
        of.kind == Kind::Backbone
            && of.elements().iter().any(|element| {
                ADDRESSES.contains(&(&*of.name, &*element.name))
                    || element.types.iter().any(|form| {
                        let target = self.definitions.get(form.target);
                        target.kind == Kind::Resource || (target.name.len() > of.name.len() && self.needs_look(target))
                    })
            })
    }

    fn resource_within(&self, element: &Element, outcome: &Outcome) -> Action {
        let hidden_by_name = outcome.ruling.treatment == Treatment::Hide
            && matches!(outcome.ruling.because, Because::Rule(_) | Because::Conflict(_));
        match (&*element.name, self.view.restricted) {
            _ if hidden_by_name => Action::Drop,
            ("contained", false) => Action::Keep,
            ("contained", true) => Action::Discriminate(self.parts),
            _ => Action::Discriminate(self.whole),
        }
    }

    /// A primitive that is shown.
    fn shown(&mut self, place: &Place, element: &Element, target: &Type) -> Action {
        let owner = &self.definitions.get(place.type_id).name;
        if ADDRESSES.contains(&(&**owner, &*element.name)) {
            return self.draft.transform(Transform::Address);
        }
        if self.view.restricted && (&**owner, &*element.name) == ("Reference", "reference") {
            return self.draft.transform(Transform::Reference);
        }
        let is =
            |name: &str| self.definitions.type_named(name).is_some_and(|id| is_named(self.definitions, target, id));
        self.scalar(match () {
            () if &*target.name == "boolean" => Kinds::BOOLEAN,
            () if &*target.name == "decimal" || is("integer") => Kinds::NUMBER,
            () => Kinds::STRING,
        })
    }

    fn scalar(&self, kinds: Kinds) -> Action {
        if self.view.restricted { Action::Scalar(kinds) } else { Action::Keep }
    }

    /// The `_sibling` of a primitive: its id and extensions.
    fn sibling(&mut self, element: &Element, form: &TypeRef, fork: &Fork) -> Result<Option<Edge>, CompileError> {
        if self.definitions.get(form.target).kind != Kind::Primitive || !self.view.restricted {
            return Ok(None);
        }
        // A primitive has no conditions (the paths see to it), so there is one outcome.
        let [outcome] = fork.outcomes.as_slice() else { return Ok(None) };
        let follows = matches!(outcome.ruling.treatment, Treatment::Show | Treatment::Hide);
        if !follows || !self.view.may_matter(&outcome.inside) {
            return Ok(None);
        }
        let state = self.descend(&outcome.inside, element.many)?;
        Ok(Some(Edge::new(Action::Descend(state))))
    }

    /// A reference of which only the pseudonym of where it leads, and the type of that, is told.
    fn pseudonym(&mut self, domain: &str, outcome: &Outcome) -> Result<Action, CompileError> {
        let mut state = State::new();
        let element = self.draft.element("Reference", "reference");
        let transform = self.draft.transform(Transform::PseudonymReference { domain: domain.into() });
        let edge = Edge::new(transform).counted(element);
        let noted = self.names_patient(&outcome.inside)?;
        state.members.insert("reference".into(), if noted { edge.noted(Capture::Patient) } else { edge });
        state.members.insert("type".into(), Edge::new(Action::Scalar(Kinds::STRING)));
        Ok(Action::Descend(self.draft.state(state)))
    }

    /// Whether this is the string of a reference, whose shape a pseudonym keeps.
    fn is_reference(&self, place: &Place, element: &Element) -> bool {
        &*element.name == "reference" && &*self.definitions.get(place.type_id).name == "Reference"
    }

    fn names_patient(&self, reference: &Place) -> Result<bool, CompileError> {
        let Some((element, form)) = self.definitions.get(reference.type_id).member("reference") else {
            return Ok(false);
        };
        let fork = self.view.member(self.definitions, reference, element, form)?;
        Ok(fork.outcomes.iter().any(|outcome| outcome.patient))
    }

    /// As what the tally counts an element: under its resource type, or under its data type.
    fn counted(&mut self, place: &Place, element: &Element) -> crate::redact::plan::ElementId {
        let of = &self.definitions.get(place.type_id).name;
        match of.split_once('.') {
            Some((owner, path)) => self.draft.element(owner, &format!("{path}.{}", element.name)),
            None => self.draft.element(of, &element.name),
        }
    }
}

fn is_named(definitions: &Definitions, of: &Type, ancestor: TypeId) -> bool {
    definitions.type_named(&of.name).is_some_and(|id| definitions.is_a(id, ancestor))
}

/// What is written in place of an element that is `absent`: always the same, whether the element was there or not. Of a
/// choice the first form stands for all; a rule for its type alone can't tell which form that is, and only hides.
fn absent(fork: &Fork, element: &Element, form: &TypeRef, first: bool) -> Option<String> {
    const REASON: &str =
        r#"{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"masked"}]}"#;
    let [outcome] = fork.outcomes.as_slice() else { return None };
    let by_rule = matches!(outcome.ruling.because, Because::Rule(_));
    if outcome.ruling.treatment != Treatment::Absent || !first || (element.choice && !by_rule) {
        return None;
    }
    let (open, close) = if element.many { ("[", "]") } else { ("", "") };
    Some(format!(r#""_{}":{open}{REASON}{close}"#, form.json_name))
}
