//! Compiles a view to a plan: each place of the walk a state, each element an edge.
//!
//! INVARIANT: in a restricted view a state drops what it doesn't name, and names only what the walk shows.

mod absent;
mod told;

pub use self::absent::is_mark;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fhir::definitions::Kind;
use crate::fhir::{Definitions, Element, Type, TypeId, TypeRef};
use crate::redact::condition::{Query, Segment, Selector};
use crate::redact::plan::{
    Action, Capture, Case, Choice, Edge, ElementId, Kinds, Names, Plan, PlanBuilder, PlanError, State, StateId, Table,
    TableId,
};
use crate::redact::transform::Transform;

use self::absent::absent;
use super::capabilities::Told;
use super::condition::name;
use super::effects::{self, Effects};
use super::labels;
use super::resolve::Because;
use super::treatment::Treatment;
use super::view::{Fork, Origin, Outcome, Place, ResourceView, TooManyConditions, View};

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
    PAGE,
    ("Bundle.entry", "fullUrl"),
    ("Bundle.entry.request", "url"),
    ("Bundle.entry.response", "location"),
    ("CapabilityStatement.implementation", "url"),
];

/// Where an outcome says which elements it is about; a FHIRPath may hold values (L19).
const EXPRESSION: (&str, &str) = ("OperationOutcome.issue", "expression");

/// The address of a page.
const PAGE: (&str, &str) = ("Bundle.link", "url");

/// The objects that are nothing without the resource in them.
const ENVELOPES: [&str; 2] = ["Bundle.entry", "Parameters.parameter"];

/// Compiles a view.
pub(super) fn compile(definitions: &Definitions, view: &View) -> Result<Plan, CompileError> {
    compile_telling(definitions, view, None)
}

/// The same of a view of a CapabilityStatement that tells this of resource types.
pub(super) fn compile_telling(
    definitions: &Definitions,
    view: &View,
    told: Option<&Told>,
) -> Result<Plan, CompileError> {
    let mut plan = PlanBuilder::new();
    let (whole, parts) = (plan.reserve_table(), plan.reserve_table());
    let integer = definitions.type_named("integer");
    let (states, counted) = (vec![Vec::new(); definitions.count()], vec![None; definitions.count()]);
    let mut compiler = Compiler { definitions, view, told, plan, whole, parts, integer, states, counted };
    let resources = compiler.resources()?;
    let effects = effects::effects(&compiler.plan);

    let [mut cases, mut fragments] = [Names::new(), Names::new()];
    let mut labels = Labels::default();
    for Resource { type_id, seen, place, whole, part } in resources {
        let effects = effects.get(whole.place()).copied().unwrap_or_default();
        if view.restricted && !seen.envelope {
            compiler.label(whole, &place, effects, &mut labels)?;
        }
        let name = definitions.get(type_id).name;
        let subject = effects.shifted.then(|| compiler.subject(type_id));
        let owner = compiler.plan.owner(name);
        for (cases, state) in [(&mut cases, whole), (&mut fragments, part)] {
            let rows = seen.rows.as_deref().cloned();
            cases.insert(name, Case { state, owner, rows, subject: subject.clone() });
        }
    }
    let mut plan = compiler.plan;
    plan.set_table(whole, Table { member: "resourceType".into(), cases, fragments: false });
    plan.set_table(parts, Table { member: "resourceType".into(), cases: fragments, fragments: true });
    plan.build(Edge::new(Action::Discriminate(whole))).map_err(CompileError::Plan)
}

struct Compiler<'a> {
    definitions: &'a Definitions,
    view: &'a View,
    told: Option<&'a Told>,
    plan: PlanBuilder,
    /// The table of resources that stand for themselves.
    whole: TableId,
    /// The table of resources contained in others.
    parts: TableId,
    integer: Option<TypeId>,
    /// By the place of their type the states of the places that are no resources, and whether their arrays stay aligned.
    states: Vec<Vec<(Place, bool, StateId)>>,
    /// By the place of a type as what its elements are counted.
    counted: Vec<Option<Arc<[ElementId]>>>,
}

/// The states of a resource type.
struct Resource<'a> {
    type_id: TypeId,
    seen: &'a ResourceView,
    place: Place,
    /// Where the resource stands for itself.
    whole: StateId,
    /// Where it is contained in another.
    part: StateId,
}

/// The states of each `meta` with labels, by its place, where anything of it is seen, and by what the labels say.
type Labels = BTreeMap<(Option<Place>, Effects), StateId>;

impl<'a> Compiler<'a> {
    fn resources(&mut self) -> Result<Vec<Resource<'a>>, CompileError> {
        let mut resources = Vec::new();
        let view: &'a View = self.view;
        for (type_id, seen) in &view.resources {
            let Some(place) = view.place(*type_id) else { continue };
            let (whole, part) = self.resource(&place)?;
            resources.push(Resource { type_id: *type_id, seen, place, whole, part });
        }
        Ok(resources)
    }

    /// The queries for the patient of a resource, for a transform that depends on it.
    fn subject(&self, type_id: TypeId) -> Box<[Query]> {
        if self.definitions.get(type_id).name == "Patient" {
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
            let (element, form) = self.definitions.get(at).member(step)?;
            segments.push(name(&form.json_name));
            if element.many {
                segments.push(Segment::Child(vec![Selector::Wildcard]));
            }
            at = form.target;
        }
        segments.push(name("reference"));
        Some(Query { segments })
    }

    /// A resource, where it stands for itself and where it is contained in another.
    fn resource(&mut self, place: &Place) -> Result<(StateId, StateId), CompileError> {
        let mut whole = self.object(place)?;
        whole.members.insert("resourceType", Edge::new(self.scalar(Kinds::STRING)));
        let mut part = whole.clone();
        let id = *whole.members.get(b"id").unwrap_or(&whole.other);
        let patient = self.definitions.get(place.type_id).name == "Patient";
        whole.members.insert("id", id.noted(if patient { Capture::Patient } else { Capture::ResourceId }));
        part.members.insert("id", id.noted(Capture::FragmentId));
        Ok((self.plan.state(whole), self.plan.state(part)))
    }

    /// Gives a resource labels that say what its view does to it.
    fn label(
        &mut self,
        whole: StateId,
        place: &Place,
        effects: Effects,
        known: &mut Labels,
    ) -> Result<(), CompileError> {
        let meta = self.labelled_meta(place, effects, known)?;
        if let Some(state) = self.plan.get_mut(whole) {
            state.members.insert("meta", meta);
            state.ensure = Some(format!(r#""meta":{{"security":[{}]}}"#, labels::written(effects)).into());
        }
        Ok(())
    }

    /// The edge of a resource's `meta`, whose `security` ends with the labels whatever the view says of both.
    fn labelled_meta(&mut self, place: &Place, effects: Effects, known: &mut Labels) -> Result<Edge, CompileError> {
        let of = self.definitions.get(place.type_id);
        let (mut element, mut inside) = (None, None);
        if let Some((meta, form)) = of.member("meta") {
            // A rule on meta or on meta.security has no condition (the reader sees to it), so there is one outcome.
            let fork = self.view.member(self.definitions, place, meta, form)?;
            if let [outcome] = fork.outcomes() {
                let counted = self.counted(place.type_id);
                let at = of.elements().iter().position(|element| std::ptr::eq(element, meta));
                let shown = outcome.ruling.treatment == Treatment::Show;
                element = at.and_then(|at| counted.get(at)).copied().filter(|_| shown);
                inside = Some(&outcome.inside).filter(|inside| self.view.may_matter(inside)).cloned();
            }
        }
        let key = (inside, effects);
        let state = match known.get(&key) {
            Some(known) => *known,
            None => {
                let state = self.meta(key.0.as_ref(), &labels::written(effects))?;
                known.insert(key, state);
                state
            }
        };
        Ok(Edge { element, ..Edge::new(Action::Descend(state)) })
    }

    fn meta(&mut self, place: Option<&Place>, labels: &str) -> Result<StateId, CompileError> {
        let mut state = place.map_or(Ok(State::new()), |place| self.object(place))?;
        let kept = state.members.get(b"security").copied();
        let mut security = match kept.map(|edge| edge.action) {
            Some(Action::Descend(id)) => self.plan.get(id).cloned().unwrap_or_default(),
            _ => State::new(),
        };
        security.stamp = Some(labels.into());
        let action = Action::Descend(self.plan.state(security));
        state.members.insert("security", Edge { action, ..kept.unwrap_or(Edge::new(action)) });
        state.ensure = Some(format!(r#""security":[{labels}]"#).into());
        Ok(self.plan.state(state))
    }

    /// The state of an object at a place; the same place has the same state.
    fn descend(&mut self, place: &Place, aligned: bool) -> Result<StateId, CompileError> {
        let mut known = self.states.get(place.type_id.place()).into_iter().flatten();
        if let Some((_, _, id)) = known.find(|(known, its, _)| *its == aligned && known == place) {
            return Ok(*id);
        }
        let id = self.plan.reserve();
        if let Some(known) = self.states.get_mut(place.type_id.place()) {
            known.push((place.clone(), aligned, id));
        }
        let mut state = self.object(place)?;
        state.aligned = aligned;
        self.plan.set(id, state);
        Ok(id)
    }

    fn object(&mut self, place: &Place) -> Result<State, CompileError> {
        let of: &'a Type = self.definitions.get(place.type_id);
        let mut state = if self.view.restricted { State::new() } else { State::otherwise(Edge::new(Action::Keep)) };
        state.envelope = ENVELOPES.contains(&of.name);
        state.members = self.room(of, place.shown);
        let mut append: Vec<String> = Vec::new();
        let mut sibling_name = String::with_capacity(64);
        let counted = self.counted(place.type_id);
        for (element, counted) in of.elements().iter().zip(&*counted) {
            for (place_of_form, form) in element.types.iter().enumerate() {
                let fork = self.view.member(self.definitions, place, element, form)?;
                if let Some(absent) = absent(&fork, element, form, place_of_form == 0) {
                    append.push(absent);
                }
                if let Some(edge) = self.sibling(element, form, &fork)? {
                    sibling_name.clear();
                    sibling_name.push('_');
                    sibling_name.push_str(&form.json_name);
                    state.members.insert(&sibling_name, edge);
                }
                let edge = self.fork(place, element, form, *counted, &fork)?;
                if edge != state.other {
                    state.members.insert(&form.json_name, edge);
                }
            }
        }
        state.append = append.join(",").into();
        Ok(state)
    }

    fn fork(
        &mut self,
        place: &Place,
        element: &Element,
        form: &TypeRef,
        counted: ElementId,
        fork: &Fork,
    ) -> Result<Edge, CompileError> {
        let (conditions, outcomes) = match fork {
            Fork::One(outcome) => return self.edge(place, element, form, counted, outcome),
            Fork::Each { conditions, outcomes } => (conditions, outcomes),
        };
        let edges = outcomes.iter().map(|outcome| self.edge(place, element, form, counted, outcome));
        let outcomes: Box<[Edge]> = edges.collect::<Result<_, _>>()?;
        match &*outcomes {
            [first, rest @ ..] if rest.iter().any(|edge| edge != first) => {
                let tests = conditions.iter().map(|condition| condition.test.clone()).collect();
                Ok(Edge::new(Action::Choose(self.plan.choice(Choice { tests, outcomes, per_item: true }))))
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
        counted: ElementId,
        outcome: &Outcome,
    ) -> Result<Edge, CompileError> {
        let target: &'a Type = self.definitions.get(form.target);
        let treatment = &outcome.ruling.treatment;
        let action = match target.kind {
            Kind::Resource => self.resource_within(element, outcome),
            Kind::Primitive => match treatment {
                Treatment::Show => self.shown(place, element, form),
                Treatment::Hide | Treatment::Absent => Action::Drop,
                Treatment::Pseudonym(domain) if self.is_reference(place, element) => {
                    self.transform(Transform::PseudonymReference { domain: domain.clone() })
                }
                transform => match transform.transform(target.name == "instant") {
                    Some(transform) => self.transform(transform),
                    None => Action::Drop,
                },
            },
            Kind::Complex | Kind::Backbone => match treatment {
                Treatment::Pseudonym(domain) => self.pseudonym(domain, outcome)?,
                _ if self.may_keep(outcome, target) => Action::Keep,
                Treatment::Show | Treatment::Hide if self.view.may_matter(&outcome.inside) => match self.told {
                    Some(told) if target.name == told::OF_TYPES => self.told(told, &outcome.inside)?,
                    _ => Action::Descend(self.descend(&outcome.inside, false)?),
                },
                _ => Action::Drop,
            },
        };
        // A skeleton is no element that is released or withheld: what is in it is counted for itself.
        let skeleton = matches!((action, treatment), (Action::Descend(_), Treatment::Hide));
        let edge = Edge::new(action);
        let edge = if skeleton { edge } else { edge.counted(counted) };
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
                ADDRESSES.contains(&(&*of.name, element.name.as_str()))
                    || element.types.iter().any(|form| {
                        let target = self.definitions.get(form.target);
                        target.kind == Kind::Resource || (target.name.len() > of.name.len() && self.needs_look(target))
                    })
            })
    }

    fn resource_within(&self, element: &Element, outcome: &Outcome) -> Action {
        let hidden_by_name = outcome.ruling.treatment == Treatment::Hide
            && matches!(outcome.ruling.because, Because::Rule(_) | Because::Conflict(_));
        match (element.name.as_str(), self.view.restricted) {
            _ if hidden_by_name => Action::Drop,
            ("contained", false) => Action::Keep,
            ("contained", true) => Action::Discriminate(self.parts),
            _ => Action::Discriminate(self.whole),
        }
    }

    /// A primitive that is shown.
    fn shown(&mut self, place: &Place, element: &Element, form: &TypeRef) -> Action {
        let owner = self.definitions.get(place.type_id).name;
        if ADDRESSES.contains(&(owner, element.name.as_str())) {
            let page = PAGE == (owner, element.name.as_str());
            return self.transform(if page { Transform::Page } else { Transform::Address });
        }
        if self.view.restricted && (owner, element.name.as_str()) == EXPRESSION {
            return self.transform(Transform::Path);
        }
        if self.view.restricted && (owner, element.name.as_str()) == ("Reference", "reference") {
            return self.transform(Transform::Reference);
        }
        self.scalar(match self.definitions.get(form.target).name {
            "boolean" => Kinds::BOOLEAN,
            "decimal" => Kinds::NUMBER,
            _ if self.integer.is_some_and(|integer| self.definitions.is_a(form.target, integer)) => Kinds::NUMBER,
            _ => Kinds::STRING,
        })
    }

    fn transform(&mut self, transform: Transform) -> Action {
        Action::Transform(self.plan.transform(transform))
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
        let [outcome] = fork.outcomes() else { return Ok(None) };
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
        let of = self.definitions.get(outcome.inside.type_id);
        let reference = of.elements().iter().position(|element| element.name == "reference");
        let counted = self.counted(outcome.inside.type_id);
        let element = reference.and_then(|place| counted.get(place)).copied();
        let transform = self.transform(Transform::PseudonymReference { domain: domain.into() });
        let edge = Edge { element, ..Edge::new(transform) };
        let noted = self.names_patient(&outcome.inside)?;
        state.members.insert("reference", if noted { edge.noted(Capture::Patient) } else { edge });
        state.members.insert("type", Edge::new(Action::Scalar(Kinds::STRING)));
        Ok(Action::Descend(self.plan.state(state)))
    }

    /// Whether this is the string of a reference, whose shape a pseudonym keeps.
    fn is_reference(&self, place: &Place, element: &Element) -> bool {
        element.name == "reference" && self.definitions.get(place.type_id).name == "Reference"
    }

    fn names_patient(&self, reference: &Place) -> Result<bool, CompileError> {
        let Some((element, form)) = self.definitions.get(reference.type_id).member("reference") else {
            return Ok(false);
        };
        let fork = self.view.member(self.definitions, reference, element, form)?;
        Ok(fork.outcomes().iter().any(|outcome| outcome.patient))
    }

    /// Room for the members of an object of a type, the siblings of primitives among them where it is shown.
    fn room(&self, of: &Type, shown: bool) -> Names<Edge> {
        if !self.view.restricted {
            return Names::new();
        }
        let forms = of.elements().iter().flat_map(|element| element.types.iter());
        let primitive = |form: &TypeRef| self.definitions.get(form.target).kind == Kind::Primitive;
        let members: usize = forms.map(|form| 1 + usize::from(shown && primitive(form))).sum();
        // A resource says what it is by a member that is no element.
        Names::with_capacity(members + usize::from(of.kind == Kind::Resource))
    }

    /// As what the tally counts the elements of a type: under its resource type, by the path below it, or under the data
    /// type itself.
    fn counted(&mut self, type_id: TypeId) -> Arc<[ElementId]> {
        if let Some(Some(known)) = self.counted.get(type_id.place()) {
            return known.clone();
        }
        let of = self.definitions.get(type_id);
        let (owner, mut path) = match of.name.split_once('.') {
            Some((owner, path)) => (self.plan.owner(owner), [path, "."].concat()),
            None => (self.plan.owner_of(of.name, of.elements().len()), String::new()),
        };
        let above = path.len();
        let elements = of.elements().iter().map(|element| {
            path.truncate(above);
            path.push_str(&element.name);
            // Each type is counted once, and no two of an owner's have an element in common.
            self.plan.new_element(owner, &path)
        });
        let counted: Arc<[ElementId]> = elements.collect();
        if let Some(known) = self.counted.get_mut(type_id.place()) {
            *known = Some(counted.clone());
        }
        counted
    }
}
