//! What `metadata` tells a role: of what the upstream can do, that which this role may do through the gateway.
//!
//! A view of its own, so that a CapabilityStatement that is read like any other resource stays as it is. It holds nothing
//! but the statement and, where there is none, the outcome. Of each resource type it tells what may be searched, which the
//! guard knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fhir::interaction::Kind;
use crate::fhir::{Definitions, Operation, TypeId};
use crate::redact::condition::Test;

use super::belonging::{Belonging, Patient, belonging};
use super::condition::{Condition, equals, name};
use super::file::May;
use super::treatment::Treatment;
use super::view::{Origin, Rule, Verdict, View};
use super::{CheckedRole, RoleView, compile, path, reach};
use crate::model::{Actions, Level};
use crate::redact::plan::Plan;

/// The interactions that the gateway lets through at all, whatever a role may.
pub const LET_THROUGH: [Kind; 9] = [
    Kind::Read,
    Kind::Vread,
    Kind::HistoryInstance,
    Kind::HistoryType,
    Kind::SearchType,
    Kind::Create,
    Kind::Update,
    Kind::Patch,
    Kind::Delete,
];

/// What the upstream can do and nobody through the gateway, or does in another way here.
const NEVER: [&str; 9] = [
    "document",
    "messaging",
    "rest.compartment",
    "rest.interaction",
    "rest.security",
    "rest.resource.conditionalCreate",
    "rest.resource.conditionalDelete",
    "rest.resource.conditionalRead",
    "rest.resource.conditionalUpdate",
];

/// The interactions that a role may use and that are let through.
pub(super) fn interactions(role: &CheckedRole) -> impl Iterator<Item = Kind> {
    LET_THROUGH.into_iter().filter(|kind| role.may.contains(&May::Interaction(*kind)))
}

/// The operations that a role may call and that are let through.
fn operations(role: &CheckedRole) -> impl Iterator<Item = Operation> {
    Operation::ALL.into_iter().filter(|known| role.may.contains(&May::Operation(known.as_str().into())))
}

/// What may be asked about a resource type.
#[derive(Debug, Clone, Default)]
pub struct Searchable {
    /// Names of search parameters.
    pub parameters: Vec<Box<str>>,
    /// Values of `_include`.
    pub includes: Vec<Box<str>>,
    /// Values of `_revinclude`.
    pub reverse_includes: Vec<Box<str>>,
}

/// What may be asked about each resource type of which something is told; `None` where it is whatever the upstream takes.
pub(super) type Told = BTreeMap<TypeId, Option<Searchable>>;

impl CheckedRole {
    /// The plan for what `metadata` answers the role; `None` where it can't be compiled. `searchable`: what it may ask about
    /// a type that it sees, if that is less than everything.
    pub fn capabilities(
        &self,
        definitions: &Definitions,
        searchable: impl Fn(TypeId) -> Option<Searchable>,
    ) -> Option<Plan> {
        let seen = definitions.resource_types().map(|(of, _)| of).filter(|of| self.sees(*of));
        let told: Told = seen.map(|of| (of, searchable(of))).collect();
        compile::compile_telling(definitions, &view(definitions, self), Some(&told)).ok()
    }
}

/// The view of what `metadata` answers a role, but for what differs from type to type.
fn view(definitions: &Definitions, role: &CheckedRole) -> View {
    let mut view = role.view.clone();
    let statement = definitions.resource("CapabilityStatement");
    let outcome = definitions.resource("OperationOutcome");
    view.resources.retain(|id, _| [statement, outcome].contains(&Some(*id)));
    // Something is withheld of a statement from everyone; it says so by what it lacks, and bears no label.
    view.restricted = true;
    view.resources.values_mut().for_each(|seen| seen.envelope = true);
    let Some(statement) = statement else { return view };
    let codes: Vec<&str> = interactions(role).map(Kind::as_str).collect();
    let operations: Vec<&str> = operations(role).map(Operation::as_str).collect();
    let mut rules: Vec<Rule> = NEVER.iter().filter_map(|text| hide(definitions, statement, text, None)).collect();
    rules.extend(hide(definitions, statement, "rest.resource.interaction", Some(("code", &codes))));
    for text in ["rest.operation", "rest.resource.operation"] {
        rules.extend(hide(definitions, statement, text, Some(("name", &operations))));
    }
    for rule in rules {
        let index = u32::try_from(view.rules.len()).unwrap_or(u32::MAX);
        view.rules.push(rule);
        if let Some(seen) = view.resources.get_mut(&statement) {
            seen.rules.push(index);
        }
    }
    view
}

/// The SMART scopes that change what their bearers may do in one of these roles: of each type the actions that some role
/// may use, for each level that there may be of it.
pub fn supported_scopes<'a>(definitions: &Definitions, roles: impl Iterator<Item = &'a RoleView>) -> Vec<String> {
    let roles: Vec<(&RoleView, Actions)> = roles
        .map(|role| {
            let actions = interactions(role).filter_map(reach::action);
            (role, actions.fold(Actions::NONE, Actions::or))
        })
        .collect();
    let allowed = |type_id: TypeId| {
        let seen = roles.iter().filter(|(role, _)| role.sees(type_id));
        seen.fold(Actions::NONE, |all, (_, actions)| all.or(*actions))
    };
    let types: Vec<(TypeId, &str, Actions)> =
        definitions.resource_types().map(|(id, known)| (id, known.name, allowed(id))).collect();
    if let Some((_, _, first)) = types.first().filter(|(_, _, first)| *first != Actions::NONE)
        && types.iter().all(|(_, _, actions)| actions == first)
    {
        return Level::ALL.iter().map(|level| format!("{}/*.{first}", level.as_str())).collect();
    }
    let anybody = Patient { id: "x", base: None };
    let mut scopes = Vec::new();
    for (type_id, name, actions) in types.into_iter().filter(|(_, _, actions)| *actions != Actions::NONE) {
        let told = belonging(definitions, type_id, anybody) != Belonging::Untold;
        let levels = Level::ALL.iter().filter(|level| **level != Level::Patient || told);
        scopes.extend(levels.map(|level| format!("{}/{name}.{actions}", level.as_str())));
    }
    scopes
}

/// A rule that hides an element; of its items, where some are told, those whose member is none of these.
fn hide(definitions: &Definitions, base: TypeId, text: &str, but: Option<(&str, &[&str])>) -> Option<Rule> {
    let mut steps = path::element_path(definitions, base, text).ok()?.steps;
    if let (Some(step), Some((member, values))) = (steps.last_mut(), but) {
        let is = |value: &&str| equals(vec![name(member)], value);
        let test = Test::Not(Box::new(Test::Any(values.iter().map(is).collect())));
        step.condition = Some(Arc::new(Condition { text: format!("@.{member} is none of the role's").into(), test }));
    }
    Some(Rule { text: text.into(), steps, verdict: Verdict::Treat(Treatment::Hide), origin: Origin::BuiltIn })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn what_is_never_told_is_known_to_the_tables() {
        let definitions = Definitions::r4();
        let statement = definitions.resource("CapabilityStatement").unwrap();
        for text in NEVER {
            assert!(hide(&definitions, statement, text, None).is_some(), "{text}");
        }
    }

    #[test]
    fn scopes_are_of_each_type_that_is_seen_and_of_all_where_all_are_seen_alike() {
        let definitions = Definitions::r4();
        let supported = |sees: &str| {
            let text = format!(
                "{{ version: 1, fhir: R4, documents: {{ d: {{}} }}, roles: {{ r: {{ purposes: [TREAT], sees: {{ {sees} }} }} }} }}"
            );
            let (policy, _) = Policy::parse("p", &text, &definitions).unwrap();
            supported_scopes(&definitions, policy.roles().map(|(_, role)| role))
        };
        assert_eq!(supported("'*': show"), ["patient/*.rs", "user/*.rs", "system/*.rs"]);
        // Of a Binary nothing tells whose it is; what a server can do is told to everyone.
        let some = supported("Patient: show, Binary: show");
        let of = |name: &str| some.iter().filter(|scope| scope.contains(name)).map(String::as_str).collect::<Vec<_>>();
        assert_eq!(of("/Patient."), ["patient/Patient.rs", "user/Patient.rs", "system/Patient.rs"]);
        assert_eq!(of("/Binary."), ["user/Binary.rs", "system/Binary.rs"]);
        assert_eq!(of("*"), Vec::<&str>::new());
        assert_eq!(of("/Observation."), Vec::<&str>::new());
        let hidden = supported("'*': show, Patient: hide");
        assert!(hidden.iter().all(|scope| !scope.contains('*') && !scope.contains("/Patient.")), "{hidden:?}");
    }
}
