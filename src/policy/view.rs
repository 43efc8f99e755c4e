//! A view: what one role sees of FHIR resources, as rules, and the walk that finds what they say of an element.
//!
//! The walk is shared: the compiler makes states of its places, `explain` and the guard follow one path through it. So
//! there is one answer to what happens to an element. It knows nothing of files and nothing of plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fhir::definitions::Kind;
use crate::fhir::{Definitions, Element, TypeId, TypeRef};
use crate::redact::condition::Test;

use super::condition::Condition;
use super::path::{Described, Step, described};
use super::resolve::{Because, Ruling, resolve};
use super::syntax::Position;
use super::treatment::Treatment;

/// The most distinct conditions that may meet at one element.
pub(super) const MOST_CONDITIONS: usize = crate::redact::plan::Choice::MOST_TESTS;

/// Where a rule was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the policy file.
    Written(Position),
    /// In the gateway itself.
    BuiltIn,
}

/// A rule: a path, and what it says of what stands there.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// The path as it was written.
    pub(super) text: Box<str>,
    pub(super) steps: Vec<Step>,
    pub(super) verdict: Verdict,
    pub(super) origin: Origin,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// How the element is treated.
    Treat(Treatment),
    /// That the element names the patient of the resource; however it is treated, the audit trail is told.
    Patient,
}

/// A rule for a data type: the type, and a path below it that may be empty.
#[derive(Debug, Clone)]
pub(super) struct TypeRule {
    pub(super) anchor: TypeId,
    pub(super) rule: Rule,
}

/// A rule of a view, by where it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum RuleId {
    /// A rule of a resource type.
    Resource(u32),
    /// A rule of a data type.
    Type(u32),
}

/// What a role sees of the resources of one type.
#[derive(Debug, Clone)]
pub(super) struct ResourceView {
    /// What `"*"` says: whether what has no rule is shown.
    pub(super) shown: bool,
    /// Where that was said, if it was.
    pub(super) shown_by: Option<Origin>,
    /// Its rules, by their places in [`View::rules`].
    pub(super) rules: Vec<u32>,
    /// Which resources of the type are seen at all.
    pub(super) rows: Option<Arc<Test>>,
    /// Whether this is an envelope: no label is written on it.
    pub(super) envelope: bool,
}

/// What a role sees.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Whether anything at all is withheld.
    pub(super) restricted: bool,
    /// Whether a Bundle's total is shown, which counts what is withheld with what is seen.
    pub(super) counts: bool,
    pub(super) rules: Vec<Rule>,
    pub(super) types: Vec<TypeRule>,
    /// The types of which something is seen.
    pub(super) resources: BTreeMap<TypeId, ResourceView>,
}

/// Rules on their way: each with how many of its steps have been taken.
type Underway = Vec<(u32, u8)>;

/// An object in a resource, with all that decides what happens to its elements. Two objects of one place are treated
/// alike, which keeps a plan finite where FHIR's types contain themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// The type of the object.
    pub(super) type_id: TypeId,
    /// The resource type that the rules are of, where the object is a resource or one of its backbones.
    resource: TypeId,
    /// Whether the object itself is shown, so that what has no rule of its own is.
    pub(super) shown: bool,
    rules: Underway,
    types: Underway,
    /// For each element around this one that may contain itself, the rules that were about to be applied to it.
    arrivals: Vec<(TypeId, Underway)>,
}

/// What may happen to an element.
#[derive(Debug)]
pub(super) enum Fork {
    /// Its rules have no condition.
    One(Outcome),
    /// One outcome for each combination of the conditions that its rules have.
    Each {
        /// At least one.
        conditions: Vec<Arc<Condition>>,
        /// Bit `i` of the place is set where condition `i` holds.
        outcomes: Vec<Outcome>,
    },
}

impl Fork {
    pub(super) fn conditions(&self) -> &[Arc<Condition>] {
        match self {
            Self::One(_) => &[],
            Self::Each { conditions, .. } => conditions,
        }
    }

    pub(super) fn outcomes(&self) -> &[Outcome] {
        match self {
            Self::One(outcome) => std::slice::from_ref(outcome),
            Self::Each { outcomes, .. } => outcomes,
        }
    }
}

/// What happens to an element.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) ruling: Ruling<RuleId>,
    /// Where the elements of the element are.
    pub(super) inside: Place,
    /// Whether the element names the patient.
    pub(super) patient: bool,
}

/// More conditions meet at an element than can be told apart.
#[derive(Debug, Clone)]
pub(super) struct TooManyConditions {
    /// Where the last of them was written.
    pub(super) origin: Origin,
    pub(super) conditions: usize,
}

impl View {
    /// The place of a whole resource; none where nothing of its type is seen.
    pub(super) fn place(&self, resource: TypeId) -> Option<Place> {
        let seen = self.resources.get(&resource)?;
        Some(Place {
            resource,
            type_id: resource,
            shown: seen.shown,
            rules: seen.rules.iter().map(|rule| (*rule, 0)).collect(),
            types: Vec::new(),
            arrivals: Vec::new(),
        })
    }

    /// Whether the rules of some resource type have more conditions than may meet at one element.
    pub(super) fn may_have_too_many_conditions(&self) -> bool {
        self.resources.values().any(|seen| {
            let rules = seen.rules.iter().filter_map(|rule| self.rules.get(*rule as usize));
            rules.flat_map(|rule| &rule.steps).filter(|step| step.condition.is_some()).count() > MOST_CONDITIONS
        })
    }

    /// A rule by its id.
    pub(super) fn rule(&self, id: RuleId) -> Option<&Rule> {
        match id {
            RuleId::Resource(index) => self.rules.get(index as usize),
            RuleId::Type(index) => self.types.get(index as usize).map(|typed| &typed.rule),
        }
    }

    /// What happens to an element, in one of its forms, of an object at a place.
    pub(super) fn member(
        &self,
        definitions: &Definitions,
        place: &Place,
        element: &Element,
        form: &TypeRef,
    ) -> Result<Fork, TooManyConditions> {
        let (candidates, foreign) = self.candidates(definitions, place, element, form);
        let conditions = self.conditions(candidates.iter().chain(&foreign))?;
        let further = |(rule, taken): &(u32, u8)| (*rule, taken + 1);
        if conditions.is_empty() {
            let own = candidates.iter().map(further).collect();
            let foreign = foreign.iter().map(further).collect();
            return Ok(Fork::One(self.outcome(definitions, place, element, form, (&candidates, own, foreign))));
        }
        let outcomes = (0..1_usize << conditions.len()).map(|outcome| {
            let holds = |&&(rule, taken): &&(u32, u8)| {
                self.step(rule, taken).is_some_and(|step| match &step.condition {
                    None => true,
                    Some(condition) => {
                        let bit = conditions.iter().position(|known| known.test == condition.test);
                        bit.is_some_and(|bit| outcome >> bit & 1 == 1)
                    }
                })
            };
            let own = candidates.iter().filter(holds).map(further).collect();
            let foreign = foreign.iter().filter(holds).map(further).collect();
            self.outcome(definitions, place, element, form, (&candidates, own, foreign))
        });
        let outcomes = outcomes.collect();
        Ok(Fork::Each { conditions, outcomes })
    }

    /// The conditions that rules have at the step that they are at, each once.
    fn conditions<'r>(
        &self,
        rules: impl Iterator<Item = &'r (u32, u8)>,
    ) -> Result<Vec<Arc<Condition>>, TooManyConditions> {
        let mut conditions: Vec<Arc<Condition>> = Vec::new();
        for (rule, taken) in rules {
            if let Some(condition) = self.step(*rule, *taken).and_then(|step| step.condition.as_ref())
                && !conditions.iter().any(|known| known.test == condition.test)
            {
                conditions.push(condition.clone());
                if conditions.len() > MOST_CONDITIONS {
                    let origin = self.rules.get(*rule as usize).map_or(Origin::BuiltIn, |rule| rule.origin);
                    return Err(TooManyConditions { origin, conditions: conditions.len() });
                }
            }
        }
        Ok(conditions)
    }

    /// The rules that speak of an element or of what is in it: those on their way here, and those that are written for
    /// the element elsewhere by which this one is described.
    fn candidates(
        &self,
        definitions: &Definitions,
        place: &Place,
        element: &Element,
        form: &TypeRef,
    ) -> (Underway, Underway) {
        let here = |(rule, taken): &(u32, u8)| {
            self.step(*rule, *taken)
                .is_some_and(|step| step.name == element.name && step.form.is_none_or(|wanted| wanted == form.target))
        };
        let own =
            || if place.rules.is_empty() { Vec::new() } else { place.rules.iter().copied().filter(here).collect() };
        match described(definitions, place.type_id, element) {
            Described::Here => (own(), Vec::new()),
            Described::Around => {
                let arrived = place.arrivals.iter().find(|(around, _)| *around == form.target);
                (arrived.map(|(_, rules)| rules.clone()).unwrap_or_default(), Vec::new())
            }
            Described::Elsewhere => (own(), self.written_for(definitions, place.resource, form.target)),
        }
    }

    /// The rules of a resource type that are written for an element by its path. Where one has a condition on the way
    /// there, which is not the way here, it is taken to hold if the rule withholds and not to hold if it shows.
    fn written_for(&self, definitions: &Definitions, resource: TypeId, backbone: TypeId) -> Underway {
        let name = &definitions.get(backbone).name;
        let path: Vec<_> = name.split('.').skip(1).collect();
        let Some(seen) = self.resources.get(&resource) else { return Vec::new() };
        let written = seen.rules.iter().filter(|id| {
            self.rules.get(**id as usize).is_some_and(|rule| {
                let shows = rule.verdict == Verdict::Treat(Treatment::Show);
                let on_the_way = rule.steps.get(..path.len().saturating_sub(1)).unwrap_or_default();
                rule.steps.len() >= path.len()
                    && rule.steps.iter().zip(&path).all(|(step, name)| step.name == **name)
                    && !(shows && on_the_way.iter().any(|step| step.condition.is_some()))
            })
        });
        let taken = u8::try_from(path.len().saturating_sub(1)).unwrap_or(u8::MAX);
        written.map(|rule| (*rule, taken)).collect()
    }

    fn outcome(
        &self,
        definitions: &Definitions,
        place: &Place,
        element: &Element,
        form: &TypeRef,
        (candidates, mut own, foreign): (&Underway, Underway, Underway),
    ) -> Outcome {
        let (type_rule, types) = self.type_rules(definitions, place, element, form);
        let ruling = resolve(&self.exact(&own, &foreign), type_rule, place.shown);
        let shown = matches!(ruling.treatment, Treatment::Show);
        let mut patient = false;
        // Most elements have no rule of their own.
        if !(own.is_empty() && foreign.is_empty()) {
            patient = own.iter().any(|(rule, taken)| {
                let rule = self.rules.get(*rule as usize);
                rule.is_some_and(|rule| rule.verdict == Verdict::Patient && rule.steps.len() == usize::from(*taken))
            });
            if shown {
                own.extend(foreign);
            }
            own.retain(|(rule, taken)| self.step(*rule, *taken).is_some());
            own.sort_unstable();
            own.dedup();
        }
        let target = definitions.get(form.target);
        // What only a backbone asks for is left out of other places, so that resource types share the places of data types.
        let (mut arrivals, mut resource) = (Vec::new(), form.target);
        if target.kind == Kind::Backbone {
            resource = place.resource;
            arrivals.clone_from(&place.arrivals);
            if !arrivals.iter().any(|(around, _)| *around == form.target) {
                arrivals.push((form.target, candidates.clone()));
            }
        }
        let inside = Place { resource, type_id: form.target, shown, rules: own, types, arrivals };
        Outcome { ruling, inside, patient }
    }

    /// The rules for exactly an element, of those that have come as far.
    fn exact(&self, own: &Underway, foreign: &Underway) -> Vec<(RuleId, &Treatment)> {
        if own.is_empty() && foreign.is_empty() {
            return Vec::new();
        }
        let verdicts = || own.iter().filter_map(|taken| self.verdict(taken));
        let forms_alone = verdicts().any(|(_, form, _)| form);
        let own = verdicts().filter(|(_, form, _)| *form == forms_alone);
        // What is written for the element elsewhere withholds here too, but it takes a rule of its own, or a parent that
        // is shown, to show this one.
        let elsewhere = foreign.iter().filter_map(|taken| self.verdict(taken));
        let elsewhere = elsewhere.filter(|(_, _, of)| **of != Treatment::Show);
        own.chain(elsewhere).map(|(rule, _, treatment)| (rule, treatment)).collect()
    }

    /// The most specific type rule for an element, and the type rules on their way further in.
    fn type_rules(
        &self,
        definitions: &Definitions,
        place: &Place,
        element: &Element,
        form: &TypeRef,
    ) -> (Option<(RuleId, &Treatment)>, Underway) {
        let mut onward: Underway = Vec::new();
        let mut best: Option<(_, u32)> = None;
        let mut consider = |rank: (u8, bool, usize), rule: u32| {
            if best.is_none_or(|(known, _)| rank > known) {
                best = Some((rank, rule));
            }
        };
        for (index, taken) in &place.types {
            let Some(typed) = self.types.get(*index as usize) else { continue };
            let Some(step) = typed.rule.steps.get(usize::from(*taken)) else { continue };
            if step.name != element.name || step.form.is_some_and(|wanted| wanted != form.target) {
                continue;
            }
            if typed.rule.steps.len() == usize::from(*taken) + 1 {
                consider((taken + 1, step.form.is_some(), depth(definitions, typed.anchor)), *index);
            } else {
                onward.push((*index, taken + 1));
            }
        }
        // An extension that is shown is shown with the extensions nested in it.
        let nested =
            || element.name == "extension" && place.shown && definitions.get(place.type_id).name == "Extension";
        // A type rule is of a type that has instances (the reader sees to it).
        let concrete = |id: &TypeId| !definitions.get(*id).is_abstract;
        for ancestor in definitions.lineage(form.target).take_while(concrete) {
            for (index, typed) in (0..).zip(&self.types) {
                if typed.anchor != ancestor {
                    continue;
                }
                if !typed.rule.steps.is_empty() {
                    onward.push((index, 0));
                } else if !nested() {
                    consider((0, false, depth(definitions, ancestor)), index);
                }
            }
        }
        onward.sort_unstable();
        let best = best.and_then(|(_, index)| match &self.types.get(index as usize)?.rule.verdict {
            Verdict::Treat(treatment) => Some((RuleId::Type(index), treatment)),
            Verdict::Patient => None,
        });
        (best, onward)
    }

    /// The treatment of a rule all of whose steps were taken, and whether it is for one form of a choice.
    fn verdict(&self, (index, taken): &(u32, u8)) -> Option<(RuleId, bool, &Treatment)> {
        let rule = self.rules.get(*index as usize).filter(|rule| rule.steps.len() == usize::from(*taken))?;
        let form = rule.steps.last().is_some_and(|step| step.form.is_some());
        match &rule.verdict {
            Verdict::Treat(treatment) => Some((RuleId::Resource(*index), form, treatment)),
            Verdict::Patient => None,
        }
    }

    fn step(&self, rule: u32, taken: u8) -> Option<&Step> {
        self.rules.get(rule as usize)?.steps.get(usize::from(taken))
    }

    /// Whether something within a place may be shown, or must be noted, though the object itself isn't shown.
    pub(super) fn may_matter(&self, place: &Place) -> bool {
        place.shown
            || place.rules.iter().any(|(rule, _)| {
                let verdict = self.rules.get(*rule as usize).map(|rule| &rule.verdict);
                verdict.is_some_and(|verdict| *verdict != Verdict::Treat(Treatment::Hide))
            })
    }

    /// Whether a rule speaks of something within a place.
    pub(super) fn has_rules_within(place: &Place) -> bool {
        !place.rules.is_empty()
    }

    /// Whether a rule treats something within a place.
    pub(super) fn has_treatments_within(&self, place: &Place) -> bool {
        place.rules.iter().any(|(rule, _)| {
            self.rules.get(*rule as usize).is_some_and(|rule| matches!(rule.verdict, Verdict::Treat(_)))
        })
    }

    /// The origin of what decided, where it was written down.
    pub(super) fn origin(&self, because: Because<RuleId>) -> Option<Origin> {
        match because {
            Because::Rule(id) | Because::Conflict(id) | Because::TypeRule(id) => self.rule(id).map(|rule| rule.origin),
            Because::Parent => None,
        }
    }
}

/// How far a type is from the root of its lineage: the greater, the more specific.
fn depth(definitions: &Definitions, type_id: TypeId) -> usize {
    definitions.lineage(type_id).count()
}
