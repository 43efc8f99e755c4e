//! The policy: which role sees what, for which purpose, by which interaction. What nothing allows is refused.
//!
//! A policy file is read by `file` and `sees` into rules with positions, assembled into a `View` a role, and
//! compiled into plans that the redaction core runs. `explain` follows the same walk as the compiler. This module never
//! reads a file or a clock, and never lets a file with a mistake through.

mod assemble;
mod belonging;
mod capabilities;
mod compile;
mod condition;
mod decide;
mod document;
mod effects;
mod envelope;
pub mod explain;
mod file;
mod jsonpath;
mod labels;
mod narrowing;
mod path;
mod reach;
mod resolve;
mod sees;
mod syntax;
mod treatment;
mod view;

#[cfg(test)]
mod agreement;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use crate::fhir::interaction::Kind;
use crate::fhir::{Definitions, TypeId};
use crate::model::{Purpose, Role};
use crate::redact::plan::Plan;

use compile::CompileError;
use document::DocumentRule;
use file::RoleText;
use syntax::Findings;
use view::{Origin, View};

pub use capabilities::{LET_THROUGH, Searchable, supported_scopes};
pub use compile::is_mark;
pub use decide::{Asked, Denied, Permit};
pub use file::{BreakGlass, May};
pub use labels::is_label;
pub use reach::{Bearer, ENVELOPES, Reach, bounds};
pub use syntax::{Finding, Mistake, Mistakes, Position, Warning};
pub use treatment::Treatment;

/// A policy without mistakes, of which no view is compiled: for whoever runs the plan of one role alone.
#[derive(Debug)]
pub struct Checked {
    file: Box<str>,
    roles: BTreeMap<Role, CheckedRole>,
    documents: BTreeMap<Box<str>, Box<str>>,
}

/// A policy without mistakes, compiled.
#[derive(Debug)]
pub struct Policy {
    file: Box<str>,
    generation: Box<str>,
    roles: BTreeMap<Role, RoleView>,
    documents: BTreeMap<Box<str>, Box<str>>,
}

/// A role with its view, compiled.
#[derive(Debug)]
pub struct RoleView {
    role: CheckedRole,
    plan: Arc<Plan>,
    /// The same role where a request reaches less far than it.
    bounded: Option<Box<RoleView>>,
}

/// A role with its view.
#[derive(Debug, Clone)]
pub struct CheckedRole {
    about: Box<str>,
    at: Position,
    review_by: Option<(Date, Position)>,
    purposes: Box<[Purpose]>,
    may: Box<[May]>,
    cleared: Option<Box<[Box<str>]>>,
    break_glass: Option<BreakGlass>,
    view: View,
    /// The view of answers that hold less than the view shows; `None` where it is the same.
    bounded_view: Option<Box<View>>,
    /// Whether this is the role as it is where a request reaches less far than it.
    bounded: bool,
    own_compartment: bool,
    named: Box<[TypeId]>,
    documents: BTreeMap<Box<str>, DocumentView>,
}

/// What a role sees of a document.
#[derive(Debug, Clone)]
struct DocumentView {
    rules: Vec<DocumentRule>,
    plan: Arc<Plan>,
}

impl Checked {
    /// Reads a policy. `file` is what findings call it.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    pub fn parse(file: &str, text: &str, definitions: &Definitions) -> Result<(Self, Vec<Warning>), Mistakes> {
        let mut findings = Findings::new(file);
        let node = syntax::parse(text, &mut findings);
        let policy = node.map(|node| file::read(&node, definitions, &mut findings));
        let mut roles = BTreeMap::new();
        let mut documents = BTreeMap::new();
        if let Some(read) = policy {
            roles = read.roles.into_iter().map(|role| check_role(role, definitions, &mut findings)).collect();
            documents = read.documents;
        }
        let warnings = findings.finish()?;
        Ok((Self { file: file.into(), roles, documents }, warnings))
    }

    /// The roles, by name.
    pub fn roles(&self) -> impl Iterator<Item = (&Role, &CheckedRole)> {
        self.roles.iter()
    }

    /// The documents, with what they are about.
    pub fn documents(&self) -> impl Iterator<Item = (&str, &str)> {
        self.documents.iter().map(|(name, about)| (&**name, &**about))
    }

    /// Compiles the plan of one of these roles for FHIR resources.
    ///
    /// # Errors
    /// Where its view is too large to compile.
    pub fn compile(&self, role: &CheckedRole, definitions: &Definitions) -> Result<Plan, Mistakes> {
        compile::compile(definitions, &role.view).map_err(|error| {
            let mut findings = Findings::new(&self.file);
            role.tell(&error, &mut findings);
            findings.into_mistakes()
        })
    }
}

impl Policy {
    /// Reads and compiles a policy. `file` is what findings call it.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    pub fn parse(file: &str, text: &str, definitions: &Definitions) -> Result<(Self, Vec<Warning>), Mistakes> {
        let (mut checked, warnings) = Checked::parse(file, text, definitions)?;
        let mut roles = BTreeMap::new();
        for (name, role) in std::mem::take(&mut checked.roles) {
            let plan = Arc::new(checked.compile(&role, definitions)?);
            let bounded = match &role.bounded_view {
                None => CheckedRole { bounded: true, ..role.clone() },
                Some(view) => CheckedRole { bounded: true, view: View::clone(view), ..role.clone() },
            };
            let bounded_plan = match &role.bounded_view {
                None => plan.clone(),
                Some(_) => Arc::new(checked.compile(&bounded, definitions)?),
            };
            let bounded = RoleView { role: bounded, plan: bounded_plan, bounded: None };
            roles.insert(name, RoleView { role, plan, bounded: Some(Box::new(bounded)) });
        }
        let Checked { file, documents, .. } = checked;
        Ok((Self { file, generation: generation(text), roles, documents }, warnings))
    }

    /// What names this very text: the first 16 hexadecimal digits of its SHA-256.
    pub fn generation(&self) -> &str {
        &self.generation
    }

    /// The roles, by name.
    pub fn roles(&self) -> impl Iterator<Item = (&Role, &RoleView)> {
        self.roles.iter()
    }

    /// The role of this name.
    pub fn role(&self, role: &Role) -> Option<&RoleView> {
        self.roles.get(role)
    }

    /// The documents, with what they are about.
    pub fn documents(&self) -> impl Iterator<Item = (&str, &str)> {
        self.documents.iter().map(|(name, about)| (&**name, &**about))
    }

    /// A warning for each role whose review was due before today.
    pub fn overdue(&self, today: Date) -> Vec<Warning> {
        let due = self.roles.iter().filter_map(|(name, role)| {
            let (date, at) = role.review_by.filter(|(date, _)| *date < today)?;
            Some(Warning {
                file: self.file.clone(),
                at,
                message: format!("the review of the role {name} was due on {date}").into(),
                suggestion: Some("review what it sees, and set the next day".into()),
            })
        });
        due.collect()
    }
}

impl RoleView {
    /// The plan for FHIR resources.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The role as it is for requests that reach less far than it ([`Reach`]): it is restricted, and counts nothing.
    pub fn bounded(&self) -> &Self {
        self.bounded.as_deref().unwrap_or(self)
    }
}

impl Deref for RoleView {
    type Target = CheckedRole;

    fn deref(&self) -> &CheckedRole {
        &self.role
    }
}

impl CheckedRole {
    /// What the role is about.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The purposes that the role may act for; the first is the default.
    pub fn purposes(&self) -> &[Purpose] {
        &self.purposes
    }

    /// The interactions that the role may use.
    pub fn may(&self) -> &[May] {
        &self.may
    }

    /// Whether the role may send a batch or a transaction.
    pub fn may_bundle(&self) -> bool {
        [Kind::Batch, Kind::Transaction].iter().any(|kind| self.may.contains(&May::Interaction(*kind)))
    }

    /// The confidentiality and sensitivity codes that the role is cleared for; `None` where labels aren't looked at.
    pub fn cleared(&self) -> Option<&[Box<str>]> {
        self.cleared.as_deref()
    }

    /// Whether its callers see their own compartment alone.
    pub fn own_compartment(&self) -> bool {
        self.own_compartment
    }

    /// How the role may break the glass.
    pub fn break_glass(&self) -> Option<&BreakGlass> {
        self.break_glass.as_ref()
    }

    /// Whether the role's view of FHIR withholds anything at all.
    pub fn restricted(&self) -> bool {
        self.view.restricted
    }

    /// The plan for a document; `None` where the role sees nothing of it.
    pub fn document(&self, name: &str) -> Option<&Arc<Plan>> {
        self.documents.get(name).map(|seen| &seen.plan)
    }

    /// Whether the role sees anything of the resources of a type. Of the envelopes (Bundle, Parameters,
    /// OperationOutcome) a restricted role sees those stored on their own that its rules name.
    pub fn sees(&self, resource: TypeId) -> bool {
        self.view.resources.get(&resource).is_some_and(|view| !view.envelope || self.named.contains(&resource))
    }

    /// Whether some resources of a type may be withheld as a whole though the type is seen.
    pub fn has_rows(&self, resource: TypeId) -> bool {
        self.bounded || self.view.resources.get(&resource).is_some_and(|view| view.rows.is_some())
    }

    /// The strictest treatment that an element of a resource type may have, whatever its conditions and forms.
    /// [`Treatment::Hide`] for what is unknown or not seen. A path names elements as a rule does, without conditions.
    pub fn treatment(&self, definitions: &Definitions, resource: TypeId, path: &str) -> Treatment {
        explain::strictest(&self.view, definitions, resource, path)
    }

    /// Whether an element is shown untransformed with all that is in it that a search could test: its elements at every
    /// depth, their ids and extensions aside, and of a reference where it leads.
    pub fn shows_all(&self, definitions: &Definitions, resource: TypeId, path: &str) -> bool {
        explain::shows_all(&self.view, definitions, resource, path)
    }

    /// Tells why the view can't be compiled.
    fn tell(&self, error: &CompileError, findings: &mut Findings) {
        let at = match error {
            CompileError::Conditions { origin: Origin::Written(at), .. } => *at,
            _ => self.at,
        };
        findings.mistake(at, error.to_string());
    }
}

fn generation(text: &str) -> Box<str> {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// Tells of types that a role for its callers' own compartment names, and nothing in which says whose they are.
fn tell_untold(role: &RoleText, definitions: &Definitions, findings: &mut Findings) {
    let anybody = belonging::Patient { id: "x", base: None };
    for (type_id, told) in &role.sees.resources {
        if belonging::belonging(definitions, *type_id, anybody) == belonging::Belonging::Untold {
            let message =
                format!("nothing of {} is seen: nothing in it says whose it is", definitions.get(*type_id).name);
            findings.warning(told.at, message, Some("leave it out"));
        }
    }
}

fn check_role(role: RoleText, definitions: &Definitions, findings: &mut Findings) -> (Role, CheckedRole) {
    let own_compartment = role.own_compartment.is_some();
    let view = assemble::assemble(&role, own_compartment, definitions, findings);
    // What is wrong with it has been told of the role's own view. A view that counts nothing is restricted, and bounded already.
    let bounded = || assemble::assemble(&role, true, definitions, &mut Findings::new(""));
    let bounded_view = view.counts.then(|| Box::new(bounded()));
    if own_compartment {
        tell_untold(&role, definitions, findings);
    }
    if !view.restricted {
        let message = format!("the role {} sees everything", role.name);
        findings.warning(role.sees.everything.map_or(role.at, |(_, at)| at), message, None);
    }
    let mut documents = BTreeMap::new();
    for (name, rules) in role.sees.documents {
        match document::compile(&name, &rules) {
            Ok(plan) => {
                documents.insert(name, DocumentView { rules, plan: Arc::new(plan) });
            }
            Err(error) => findings.mistake(rules.first().map_or(role.at, |rule| rule.at), error.0),
        }
    }
    let checked = CheckedRole {
        about: role.about.unwrap_or_default(),
        at: role.at,
        review_by: role.review_by,
        purposes: role.purposes.into(),
        may: role.may.into(),
        cleared: role.cleared.map(Into::into),
        break_glass: role.break_glass,
        named: role.sees.resources.keys().copied().chain(definitions.resource("CapabilityStatement")).collect(),
        view,
        bounded_view,
        bounded: own_compartment,
        own_compartment,
        documents,
    };
    // Only where many conditions may meet can the policy's author have written what can't be compiled.
    if checked.view.may_have_too_many_conditions()
        && let Err(error) = compile::compile(definitions, &checked.view)
    {
        checked.tell(&error, findings);
    }
    (role.name, checked)
}
