//! A plan while it is made: what a plan builder is told, kept so that the compiler can look at what it has made.

use std::collections::{HashMap, HashSet};

use crate::redact::plan::{
    Action, Choice, ChoiceId, Edge, ElementId, Items, OwnerId, Plan, PlanBuilder, PlanError, State, StateId, Table,
    TableId, TransformId,
};
use crate::redact::transform::Transform;

/// Wraps a [`PlanBuilder`].
#[derive(Debug, Default)]
pub(super) struct Draft {
    builder: PlanBuilder,
    pub(super) states: HashMap<StateId, State>,
    pub(super) choices: HashMap<ChoiceId, Choice>,
    pub(super) transforms: HashMap<TransformId, Transform>,
}

/// What can happen to values in the reach of a state, other tables aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

impl Draft {
    pub(super) fn reserve(&mut self) -> StateId {
        self.builder.reserve()
    }

    pub(super) fn set(&mut self, id: StateId, state: State) {
        self.builder.set(id, state.clone());
        self.states.insert(id, state);
    }

    pub(super) fn state(&mut self, state: State) -> StateId {
        let id = self.reserve();
        self.set(id, state);
        id
    }

    pub(super) fn choice(&mut self, choice: Choice) -> Action {
        let id = self.builder.choice(choice.clone());
        self.choices.insert(id, choice);
        Action::Choose(id)
    }

    pub(super) fn transform(&mut self, transform: Transform) -> Action {
        let id = self.builder.transform(transform.clone());
        self.transforms.insert(id, transform);
        Action::Transform(id)
    }

    pub(super) fn reserve_table(&mut self) -> TableId {
        self.builder.reserve_table()
    }

    pub(super) fn set_table(&mut self, id: TableId, table: Table) {
        self.builder.set_table(id, table);
    }

    pub(super) fn owner(&mut self, name: &str) -> OwnerId {
        self.builder.owner(name)
    }

    pub(super) fn element(&mut self, owner: &str, name: &str) -> ElementId {
        let owner = self.builder.owner(owner);
        self.builder.element(owner, name)
    }

    pub(super) fn build(self, root: Edge) -> Result<Plan, PlanError> {
        self.builder.build(root)
    }

    /// What can happen in the reach of a state, what a table decides aside. The states must have been set.
    pub(super) fn effects(&self, start: StateId) -> Effects {
        let mut effects = Effects::default();
        let mut seen = HashSet::from([start]);
        let mut open = vec![start];
        while let Some(state) = open.pop().and_then(|id| self.states.get(&id)) {
            effects.masked |= !state.append.is_empty();
            let mut edges: Vec<&Edge> = state.members.values().collect();
            edges.push(&state.other);
            if let Items::Placed { head, cycle } = &state.items {
                edges.extend(head.iter().chain(cycle));
            }
            while let Some(edge) = edges.pop() {
                match edge.action {
                    Action::Keep | Action::Drop | Action::Scalar(_) | Action::Discriminate(_) => {}
                    Action::Descend(id) => {
                        if seen.insert(id) {
                            open.push(id);
                        }
                    }
                    Action::Transform(id) => effects.note(self.transforms.get(&id)),
                    Action::Choose(id) => {
                        edges.extend(self.choices.get(&id).into_iter().flat_map(|choice| &choice.outcomes));
                    }
                }
            }
        }
        effects
    }
}

impl Effects {
    fn note(&mut self, transform: Option<&Transform>) {
        match transform {
            Some(Transform::Mask { .. } | Transform::Truncate(_) | Transform::Replace(_)) => self.masked = true,
            Some(Transform::ShiftDays(_)) => (self.masked, self.shifted) = (true, true),
            Some(Transform::Year(_) | Transform::Month(_) | Transform::BirthYear) => self.generalised = true,
            Some(Transform::Zip3 | Transform::Round(_)) => self.generalised = true,
            Some(Transform::Pseudonym { .. } | Transform::PseudonymReference { .. }) => self.pseudonymised = true,
            Some(Transform::Address | Transform::Reference) | None => {}
        }
    }
}
