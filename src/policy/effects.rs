//! What a plan does to values in the reach of each of its states, for the labels of what was filtered.

use std::ops::BitOr;

use crate::redact::plan::{Action, Edge, Items, PlanBuilder, State};
use crate::redact::transform::Transform;

/// What can happen to values in the reach of a state, what tables decide aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Effects {
    /// Values are made unreadable: masked, cut, replaced, moved, or said to be withheld.
    pub(super) masked: bool,
    /// Values are replaced by pseudonyms.
    pub(super) pseudonymised: bool,
    /// Values are generalised.
    pub(super) generalised: bool,
    /// Dates are moved, by days that depend on the patient.
    pub(super) shifted: bool,
}

/// The effects in the reach of each state that has been set, by the places of the states.
pub(super) fn effects(plan: &PlanBuilder) -> Vec<Effects> {
    let mut found = vec![Effects::default(); plan.states().len()];
    let transforms = plan.transforms().iter().any(|transform| Effects::from(transform) != Effects::default());
    if !transforms && !plan.states().iter().flatten().any(|state| !state.append.is_empty()) {
        return found;
    }
    // A state has the effects of those that it leads to; states may lead back to themselves, so until nothing is new.
    loop {
        let mut new = false;
        for (place, state) in plan.states().iter().enumerate().rev() {
            let Some(state) = state else { continue };
            let all = edges(state).map(|edge| of(edge, plan, &found));
            let reached = all.fold(Effects { masked: !state.append.is_empty(), ..Effects::default() }, Effects::bitor);
            if let Some(known) = found.get_mut(place).filter(|known| **known != reached) {
                *known = reached;
                new = true;
            }
        }
        if !new {
            return found;
        }
    }
}

fn edges(state: &State) -> impl Iterator<Item = &Edge> {
    let placed = match &state.items {
        Items::Placed { head, cycle } => [&**head, &**cycle],
        Items::Same => [&[] as &[Edge], &[]],
    };
    state.members.values().chain([&state.other]).chain(placed.into_iter().flatten())
}

fn of(edge: &Edge, plan: &PlanBuilder, found: &[Effects]) -> Effects {
    match edge.action {
        Action::Keep | Action::Drop | Action::Scalar(_) | Action::Discriminate(_) => Effects::default(),
        Action::Descend(id) => found.get(id.place()).copied().unwrap_or_default(),
        Action::Transform(id) => plan.get_transform(id).map(Effects::from).unwrap_or_default(),
        Action::Choose(id) => {
            let outcomes = plan.get_choice(id).into_iter().flat_map(|choice| &choice.outcomes);
            outcomes.map(|edge| of(edge, plan, found)).fold(Effects::default(), Effects::bitor)
        }
    }
}

impl BitOr for Effects {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            masked: self.masked | other.masked,
            pseudonymised: self.pseudonymised | other.pseudonymised,
            generalised: self.generalised | other.generalised,
            shifted: self.shifted | other.shifted,
        }
    }
}

impl From<&Transform> for Effects {
    fn from(transform: &Transform) -> Self {
        let none = Self::default();
        match transform {
            Transform::Mask { .. } | Transform::Truncate(_) | Transform::Replace(_) => Self { masked: true, ..none },
            Transform::ShiftDays(_) => Self { masked: true, shifted: true, ..none },
            Transform::Year(_) | Transform::Month(_) | Transform::BirthYear | Transform::Zip3 | Transform::Round(_) => {
                Self { generalised: true, ..none }
            }
            Transform::Pseudonym { .. } | Transform::PseudonymReference { .. } => Self { pseudonymised: true, ..none },
            Transform::Address | Transform::Page | Transform::Path | Transform::Reference => none,
        }
    }
}
