//! Builds plans: hands out ids, and checks in the end that each of them leads somewhere.

use super::{
    Choice, ChoiceId, Edge, ElementId, Names, OwnerId, Plan, PlanError, State, StateId, Table, TableId, Transform,
    TransformId,
};
use crate::redact::names::List;

/// How many states there is room for at first: what a view of many FHIR types needs. A list of states is dear to move.
const STATES: usize = 512;

/// Builds a [`Plan`].
#[derive(Debug, Default)]
pub struct PlanBuilder {
    states: Vec<Option<State>>,
    choices: Vec<Choice>,
    tables: Vec<Option<Table>>,
    transforms: Vec<Transform>,
    owners: Names<List>,
    overflow: Option<&'static str>,
}

impl PlanBuilder {
    /// A builder of an empty plan.
    pub fn new() -> Self {
        Self { states: Vec::with_capacity(STATES), ..Self::default() }
    }

    /// A state that is set later, so that states can lead to each other.
    pub fn reserve(&mut self) -> StateId {
        let id = StateId(next(self.states.len(), "states", &mut self.overflow));
        self.states.push(None);
        id
    }

    /// Sets a reserved state.
    pub fn set(&mut self, id: StateId, state: State) {
        if let Some(slot) = self.states.get_mut(id.0 as usize) {
            *slot = Some(state);
        }
    }

    /// A state.
    pub fn state(&mut self, state: State) -> StateId {
        let id = self.reserve();
        self.set(id, state);
        id
    }

    /// A choice.
    pub fn choice(&mut self, choice: Choice) -> ChoiceId {
        let id = ChoiceId(next(self.choices.len(), "choices", &mut self.overflow));
        self.choices.push(choice);
        id
    }

    /// A table that is set later, so that states can lead to it.
    pub fn reserve_table(&mut self) -> TableId {
        let id = TableId(next(self.tables.len(), "tables", &mut self.overflow));
        self.tables.push(None);
        id
    }

    /// Sets a reserved table.
    pub fn set_table(&mut self, id: TableId, table: Table) {
        if let Some(slot) = self.tables.get_mut(id.0 as usize) {
            *slot = Some(table);
        }
    }

    /// A transform; the same one has the same id.
    pub fn transform(&mut self, transform: Transform) -> TransformId {
        if let Some(known) = self.transforms.iter().position(|each| *each == transform) {
            return TransformId(next(known, "transforms", &mut self.overflow));
        }
        let id = TransformId(next(self.transforms.len(), "transforms", &mut self.overflow));
        self.transforms.push(transform);
        id
    }

    /// The owner of this name.
    pub fn owner(&mut self, name: &str) -> OwnerId {
        self.owner_of(name, 0)
    }

    /// The owner of this name; where it is new, it has room for as many elements.
    pub fn owner_of(&mut self, name: &str, elements: usize) -> OwnerId {
        let place = match self.owners.place(name.as_bytes()) {
            Some(known) => known,
            None => self.owners.insert(name, List::with_capacity(elements)),
        };
        OwnerId(next_short(place, "owners", &mut self.overflow))
    }

    /// The element of this name, `birthDate` or `contact.name`, of an owner.
    pub fn element(&mut self, owner: OwnerId, name: &str) -> ElementId {
        self.element_by(owner, |elements| elements.place(name).unwrap_or_else(|| elements.push(name)))
    }

    /// The same for a name that the owner does not have.
    pub fn new_element(&mut self, owner: OwnerId, name: &str) -> ElementId {
        self.element_by(owner, |elements| elements.push(name))
    }

    fn element_by(&mut self, owner: OwnerId, place: impl FnOnce(&mut List) -> usize) -> ElementId {
        let Some(elements) = self.owners.value_at_mut(owner.0.into()) else {
            self.overflow = Some("owners");
            return ElementId { owner: owner.0, index: 0 };
        };
        let index = next_short(place(elements), "elements", &mut self.overflow);
        ElementId { owner: owner.0, index }
    }

    /// The states so far, by the order in which they were reserved; none where one hasn't been set.
    pub(crate) fn states(&self) -> &[Option<State>] {
        &self.states
    }

    /// The state of an id, where it has been set.
    pub(crate) fn get(&self, id: StateId) -> Option<&State> {
        self.states.get(id.place())?.as_ref()
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, id: StateId) -> Option<&mut State> {
        self.states.get_mut(id.place())?.as_mut()
    }

    /// The transforms so far.
    pub(crate) fn transforms(&self) -> &[Transform] {
        &self.transforms
    }

    /// The choice of an id.
    pub(crate) fn get_choice(&self, id: ChoiceId) -> Option<&Choice> {
        self.choices.get(id.0 as usize)
    }

    /// The transform of an id.
    pub(crate) fn get_transform(&self, id: TransformId) -> Option<&Transform> {
        self.transforms.get(id.0 as usize)
    }

    /// The plan, whose documents start at `root`.
    ///
    /// # Errors
    /// Where an edge leads to nothing that this builder made, or a choice lacks an outcome.
    pub fn build(self, root: Edge) -> Result<Plan, PlanError> {
        if let Some(what) = self.overflow {
            return Err(PlanError::TooMany(what));
        }
        let states = self.states.into_iter().collect::<Option<Vec<_>>>().ok_or(PlanError::Dangling("state"))?;
        let tables = self.tables.into_iter().collect::<Option<Vec<_>>>().ok_or(PlanError::Dangling("table"))?;
        let plan =
            Plan { root, states, choices: self.choices, tables, transforms: self.transforms, owners: self.owners };
        plan.verify()?;
        Ok(plan)
    }
}

fn next(len: usize, what: &'static str, overflow: &mut Option<&'static str>) -> u32 {
    u32::try_from(len).unwrap_or_else(|_| {
        *overflow = Some(what);
        u32::MAX
    })
}

fn next_short(len: usize, what: &'static str, overflow: &mut Option<&'static str>) -> u16 {
    u16::try_from(len).unwrap_or_else(|_| {
        *overflow = Some(what);
        u16::MAX
    })
}
