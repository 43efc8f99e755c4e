//! How far one request reaches below its role: as far as the scopes of its token, and to the caller's own patient.
//!
//! A role says what its callers see; scopes and compartments bound that from above, and never add to it. Both are told as
//! bounds on the resources that an answer may hold ([`Bounds`]), and as parameters that narrow a search on its way.

use std::sync::Arc;

use crate::fhir::definitions::Definitions;
use crate::fhir::interaction::{Interaction, Kind, is_id};
use crate::fhir::{Operation, TypeId};
use crate::model::{Actions, Level, Scope, Scopes};
use crate::redact::Bounds;
use crate::redact::condition::Test;

use super::belonging::{Belonging, Patient, belonging, equals_id, narrowing, token};
use super::{CheckedRole, Denied};

/// What of a caller bounds what its role may do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bearer<'a> {
    /// The scopes that its token carries; `None` where it carries none.
    pub scopes: Option<&'a Scopes>,
    /// The patient whom its token names.
    pub patient: Option<&'a str>,
    /// The URL of the upstream, as references in full begin with it.
    pub base: Option<&'a str>,
}

/// Search parameters and their values, decoded.
type Parameters = Vec<(Box<str>, Box<str>)>;

/// How far a request reaches, where it reaches less far than its role.
#[derive(Debug)]
pub struct Reach {
    bounds: Arc<Bounds>,
    narrowing: Parameters,
    name: Box<str>,
}

impl Reach {
    /// The parameters that a search gets on its way, so that the upstream finds no more than it may.
    pub fn narrowing(&self) -> &[(Box<str>, Box<str>)] {
        &self.narrowing
    }

    /// What tells this reach from another: two that are named alike reach equally far.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The resources that an answer may hold: those within reach, and of them those that are named where some are, a type
/// or a type and one id.
pub fn bounds(reach: Option<&Reach>, holds: Option<&[Box<str>]>) -> Option<Arc<Bounds>> {
    let Some(holds) = holds else { return reach.map(|reach| Arc::clone(&reach.bounds)) };
    let mut bounds = Bounds::new();
    for held in holds {
        let (of, id) = held.split_once('/').map_or((&**held, None), |(of, id)| (of, Some(id)));
        let Some(rows) = reach.map_or(Some(None), |reach| reach.bounds.rows(of)) else { continue };
        let tests: Vec<Test> = rows.cloned().into_iter().chain(id.map(equals_id)).collect();
        bounds.allow(of, (!tests.is_empty()).then_some(Test::All(tests)));
    }
    Some(Arc::new(bounds))
}

/// Envelopes hold the resources that are decided one by one, or say how a request went: any answer may hold them.
pub const ENVELOPES: [&str; 3] = ["Bundle", "OperationOutcome", "Parameters"];

/// What of an answer is seen: what was read or found.
const SEES: Actions = Actions::READ.or(Actions::SEARCH);

/// How far a permitted interaction reaches; `None` where nothing bounds its role.
pub(super) fn reach(
    role: &CheckedRole,
    definitions: &Definitions,
    bearer: Bearer<'_>,
    asked: &Interaction,
) -> Result<Option<Reach>, Denied> {
    // Each request of a batch is decided by itself.
    if (bearer.scopes.is_none() && !role.own_compartment) || asked.kind == Kind::Batch {
        return Ok(None);
    }
    let id = bearer.patient.filter(|id| is_id(id));
    let patient = id.map(|id| Patient { id, base: bearer.base });
    if role.own_compartment && patient.is_none() {
        return Err(Denied::NoPatient);
    }
    let reacher = Reacher { definitions, scopes: bearer.scopes, patient, own: role.own_compartment };
    let operation = asked.operation.as_deref().and_then(Operation::named);
    let Some(wanted) = operation.map(called).or_else(|| action(asked.kind)) else { return Err(Denied::Scope) };
    if reacher.is_unbounded(wanted) {
        return Ok(None);
    }
    let of = asked.resource_type.as_deref().and_then(|of| definitions.resource(of));
    let (grants, denied) = match of {
        Some(of) => reacher.grants(of, wanted),
        // What names no type speaks of them all, and is bounded by none; an export holds of each type what may be seen.
        None => (Vec::new(), Denied::Scope),
    };
    if grants.is_empty() && !(of.is_none() && operation == Some(Operation::Export)) {
        return Err(denied);
    }
    let held = reacher.own || !grants.is_empty() && grants.iter().all(|grant| grant.held);
    if held {
        reacher.check_own(asked)?;
    }
    let mut bounds = Bounds::new();
    ENVELOPES.iter().for_each(|of| bounds.allow(of, None));
    let mut any = false;
    for (type_id, known) in
        definitions.resource_types().filter(|(id, of)| role.sees(*id) && !ENVELOPES.contains(&of.name))
    {
        let (others, _) = reacher.grants(type_id, SEES);
        let grants = if of == Some(type_id) { &grants } else { &others };
        if let Some(rows) = reacher.rows(type_id, grants) {
            bounds.allow(known.name, rows);
            any = true;
        }
    }
    if of.is_none() && !any {
        return Err(Denied::Scope);
    }
    let narrowing = match of.filter(|_| asked.kind == Kind::SearchType) {
        Some(of) => reacher.narrowing(of, &grants, held)?,
        None => Vec::new(),
    };
    let name = format!("{:?} {:?} {}", id, bearer.scopes, role.own_compartment).into();
    Ok(Some(Reach { bounds: Arc::new(bounds), narrowing, name }))
}

/// The action that an operation is, of the type that it is called on.
fn called(operation: Operation) -> Actions {
    match operation {
        Operation::Everything => Actions::READ,
        Operation::Export | Operation::Lastn => Actions::SEARCH,
        // What is sent may be what is to be written.
        Operation::Validate => Actions::CREATE,
    }
}

/// The action that an interaction is (SMART App Launch 2.2, scopes for requesting FHIR resources). None is what holds
/// several interactions: each of those is asked for by itself.
pub(super) fn action(kind: Kind) -> Option<Actions> {
    match kind {
        Kind::Read | Kind::Vread | Kind::HistoryInstance => Some(Actions::READ),
        Kind::SearchType | Kind::SearchSystem | Kind::HistoryType | Kind::HistorySystem => Some(Actions::SEARCH),
        Kind::Create => Some(Actions::CREATE),
        Kind::Update | Kind::Patch => Some(Actions::UPDATE),
        Kind::Delete => Some(Actions::DELETE),
        Kind::Batch | Kind::Transaction | Kind::Operation | Kind::Capabilities => None,
    }
}

struct Reacher<'a> {
    definitions: &'a Definitions,
    scopes: Option<&'a Scopes>,
    patient: Option<Patient<'a>>,
    /// The role is for the caller's own compartment alone.
    own: bool,
}

/// What one scope grants of a type, or what a role grants where there are no scopes.
struct Grant<'a> {
    /// Only what belongs to the patient.
    held: bool,
    /// Only what each of these tests holds for.
    tests: Vec<Test>,
    /// The parameters that say the same.
    parameters: &'a [(Box<str>, Box<str>)],
}

impl<'a> Reacher<'a> {
    /// Whether some scope allows an action on all resources of all types, and so bounds nothing.
    fn is_unbounded(&self, wanted: Actions) -> bool {
        let whole = |scope: &Scope| {
            let plain = scope.of.is_none() && scope.parameters.is_empty() && scope.level != Level::Patient;
            plain && scope.actions.has_one(wanted) && scope.actions.has_one(SEES)
        };
        !self.own && self.scopes.is_some_and(|scopes| scopes.granted.iter().any(whole))
    }

    /// What the scopes grant of a type, and why they do not where they grant nothing.
    fn grants(&self, of: TypeId, wanted: Actions) -> (Vec<Grant<'a>>, Denied) {
        let Some(scopes) = self.scopes else {
            return (vec![Grant { held: true, tests: Vec::new(), parameters: &[] }], Denied::Scope);
        };
        let (mut grants, mut denied) = (Vec::new(), Denied::Scope);
        let name = self.definitions.get(of).name;
        let speaks = |scope: &&Scope| scope.of.as_deref().is_none_or(|of| of == name) && scope.actions.has_one(wanted);
        for scope in scopes.granted.iter().filter(speaks) {
            let held = scope.level == Level::Patient;
            let tests = scope.parameters.iter().map(|(code, value)| token(self.definitions, of, code, value));
            match tests.collect::<Option<Vec<_>>>() {
                _ if held && self.patient.is_none() => denied = Denied::NoPatient,
                Some(tests) => grants.push(Grant { held, tests, parameters: &scope.parameters }),
                // INVARIANT: a condition that can't be checked is never left out; the scope grants nothing.
                None => denied = Denied::Granular,
            }
        }
        (grants, denied)
    }

    /// The test that the resources of a type must pass, if any; `None` where none of them is seen.
    fn rows(&self, of: TypeId, grants: &[Grant<'_>]) -> Option<Option<Test>> {
        let belonging = self.patient.map(|patient| belonging(self.definitions, of, patient));
        let mut any = Vec::new();
        for Grant { held, tests, .. } in grants {
            let mut tests = tests.clone();
            if *held || self.own {
                match belonging.as_ref()? {
                    Belonging::To(test) => tests.push(test.clone()),
                    Belonging::ToNobody => {}
                    Belonging::Untold => continue,
                }
            }
            if tests.is_empty() {
                return Some(None);
            }
            any.push(Test::All(tests));
        }
        (!any.is_empty()).then_some(Some(Test::Any(any)))
    }

    /// Whether the address of a caller who is held to a patient stays with it.
    fn check_own(&self, asked: &Interaction) -> Result<(), Denied> {
        let own = |id: &str| self.patient.is_some_and(|patient| patient.id == id);
        let named = asked.id.as_deref().filter(|_| asked.resource_type.as_deref() == Some("Patient"));
        let compartment = asked.compartment.as_ref().filter(|compartment| &*compartment.resource_type == "Patient");
        if named.is_some_and(|id| !own(id)) || compartment.is_some_and(|compartment| !own(&compartment.id)) {
            return Err(Denied::OtherPatient);
        }
        // What is written is held against the bounds of its answer before it leaves.
        Ok(())
    }

    /// The parameters that narrow a search to what its grants allow.
    fn narrowing(&self, of: TypeId, grants: &[Grant<'_>], held: bool) -> Result<Parameters, Denied> {
        let mut parameters = Vec::new();
        if let (true, Some(patient)) = (held, self.patient) {
            match belonging(self.definitions, of, patient) {
                Belonging::ToNobody => {}
                Belonging::Untold => return Err(Denied::Unsearched),
                Belonging::To(_) => {
                    let (code, value) = narrowing(self.definitions, of, patient).ok_or(Denied::Unsearched)?;
                    parameters.push((code.into(), value));
                }
            }
        }
        match grants {
            [grant] => parameters.extend(grant.parameters.iter().cloned()),
            // Several values of one parameter are joined by a comma; of several parameters only answers tell.
            [first, rest @ ..] => {
                let [(code, _)] = first.parameters else { return Ok(parameters) };
                let value = |grant: &Grant<'_>| match grant.parameters {
                    [(its, value)] if its == code => Some(value.clone()),
                    _ => None,
                };
                let values = std::iter::once(first).chain(rest).map(value).collect::<Option<Vec<_>>>();
                parameters.extend(values.map(|values| (code.clone(), values.join(",").into())));
            }
            [] => {}
        }
        Ok(parameters)
    }
}
