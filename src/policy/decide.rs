//! The decision: whether a role may do what is asked, for a purpose. The default is no.

use std::sync::Arc;

use crate::fhir::Definitions;
use crate::fhir::interaction::{Interaction, Kind};
use crate::model::{Purpose, Role};
use crate::redact::plan::Plan;

use super::reach::{self, Bearer, Reach};
use super::{May, Policy, RoleView};

/// What a caller asks for.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// A FHIR interaction.
    Fhir(&'a Interaction),
    /// A document, by its name in the policy.
    Document(&'a str),
}

/// The proof of a decision: a role may see what it asked for, for a purpose, as a plan says. It is made by
/// [`Policy::decide`] alone, and can't be copied.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    role: Role,
    purpose: Purpose,
    plan: Arc<Plan>,
    restricted: bool,
    reach: Option<Arc<Reach>>,
}

impl Permit {
    /// The role.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The purpose.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The plan that every body of the answer goes through.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The same permission where the answer goes through another plan: what the server can do is told by a plan of its own.
    pub fn through(self, plan: Plan) -> Self {
        Self { plan: Arc::new(plan), ..self }
    }

    /// Whether the plan withholds anything at all.
    pub fn restricted(&self) -> bool {
        self.restricted
    }

    /// How far the request reaches, where that is less far than the role.
    pub fn reach(&self) -> Option<&Arc<Reach>> {
        self.reach.as_ref()
    }
}

/// Why a role may not do what it asked. Holds nothing that the caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The policy has no such role.
    #[error("the policy has no such role")]
    UnknownRole,
    /// The role may not act for the purpose that was asked for.
    #[error("the role may not act for this purpose")]
    Purpose,
    /// None of the role's purposes is one that the token allows.
    #[error("the token allows none of the role's purposes")]
    TokenPurpose,
    /// The role may not use the interaction.
    #[error("the role may not use this interaction")]
    Interaction,
    /// The role sees nothing of the resource type or document.
    #[error("the role sees nothing of this")]
    NotSeen,
    /// No scope of the token allows it.
    #[error("no scope of the token allows this: ask its issuer for one such as user/Patient.rs")]
    Scope,
    /// The one scope that would allow it has a condition that can't be checked.
    #[error(
        "the token's granular scope for this can't be checked in what is answered: its parameters must each be a token \
         parameter on one coded element, without a modifier"
    )]
    Granular,
    /// The caller is held to a patient, and its token names none.
    #[error("the caller may see one patient alone, and its token names none in the claim patient")]
    NoPatient,
    /// The patient is another than the one whom the caller is held to. A caller is told that there is none (L09).
    #[error("there is no such resource, or this role does not see it")]
    OtherPatient,
    /// A search that can't be narrowed to the patient whom the caller is held to.
    #[error("the caller may see one patient alone, and no parameter narrows a search of this type to it")]
    Unsearched,
}

impl Policy {
    /// Decides whether a role may do what is asked.
    ///
    /// `requested` is the purpose that the caller named, `allowed` those that its token allows where it says so. Without
    /// a requested purpose the first of the role's that the token allows holds. `bearer` is what bounds the role from above.
    ///
    /// # Errors
    /// Where anything is not allowed by name.
    pub fn decide(
        &self,
        definitions: &Definitions,
        role: &Role,
        requested: Option<Purpose>,
        allowed: Option<&[Purpose]>,
        bearer: Bearer<'_>,
        asked: Asked<'_>,
    ) -> Result<Permit, Denied> {
        let view = self.role(role).ok_or(Denied::UnknownRole)?;
        let purpose = view.purpose(requested, allowed)?;
        let (plan, restricted, reach) = match asked {
            // Scopes are for resources, and no document is one: where there are some, none allows it.
            Asked::Document(_) if bearer.scopes.is_some() || view.own_compartment() => return Err(Denied::Scope),
            Asked::Document(name) => (view.document(name).ok_or(Denied::NotSeen)?, true, None),
            // What the server can do is told to each role, and of nobody.
            Asked::Fhir(interaction) if interaction.kind == Kind::Capabilities => {
                (view.plan(), view.restricted(), None)
            }
            Asked::Fhir(interaction) => {
                view.allow(definitions, interaction)?;
                let reach = reach::reach(view.bounded(), definitions, bearer, interaction)?.map(Arc::new);
                // What an operation answers holds less than the view shows, so nothing in it is counted (L09).
                let bounded = reach.is_some() || interaction.kind == Kind::Operation && view.restricted();
                let view = if bounded { view.bounded() } else { view };
                (view.plan(), view.restricted(), reach)
            }
        };
        Ok(Permit { role: role.clone(), purpose, plan: plan.clone(), restricted, reach })
    }
}

impl RoleView {
    fn purpose(&self, requested: Option<Purpose>, allowed: Option<&[Purpose]>) -> Result<Purpose, Denied> {
        let by_token = |purpose: &Purpose| allowed.is_none_or(|allowed| allowed.contains(purpose));
        match requested {
            Some(purpose) if !self.purposes.contains(&purpose) => Err(Denied::Purpose),
            Some(purpose) if !by_token(&purpose) => Err(Denied::TokenPurpose),
            Some(purpose) => Ok(purpose),
            None => self.purposes.iter().copied().find(by_token).ok_or(Denied::TokenPurpose),
        }
    }

    fn allow(&self, definitions: &Definitions, interaction: &Interaction) -> Result<(), Denied> {
        let may = match (interaction.kind, &interaction.operation) {
            (Kind::Operation, Some(operation)) => self.may.contains(&May::Operation(operation.clone())),
            (Kind::Operation, None) => false,
            (kind, _) => self.may.contains(&May::Interaction(kind)),
        };
        if !may {
            return Err(Denied::Interaction);
        }
        let compartment = interaction.compartment.as_ref().map(|compartment| &compartment.resource_type);
        let types = interaction.resource_type.iter().chain(compartment);
        let mut seen = types.map(|name| definitions.resource(name).is_some_and(|id| self.sees(id)));
        if seen.all(|seen| seen) { Ok(()) } else { Err(Denied::NotSeen) }
    }
}

#[cfg(test)]
mod tests;
