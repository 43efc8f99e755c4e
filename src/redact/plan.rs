//! The plan: what a view has been compiled to, an immutable automaton over JSON.
//!
//! A plan knows names, values and actions; it knows neither FHIR nor roles, and holds no secret. States are labelled by
//! member name with a fallback, and may lead back to earlier ones, so that depth is a limit and not a table. Whatever a
//! plan does not name is decided by a fallback that somebody wrote down: there is no implicit "show".
//!
//! How an edge treats an array: an action is meant for each item, so that `name` covers one name and a list of names.
//! Only a state may tell items apart ([`State::items`]), and a choice may take the array as the value it decides on
//! ([`Choice::per_item`]).

mod builder;

use super::condition::{Query, Test};
use super::names::List;
use super::transform::Transform;

pub use self::builder::PlanBuilder;
pub use super::names::Names;

/// A state of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateId(u32);

impl StateId {
    /// Its place in the order in which states were reserved.
    pub(crate) const fn place(self) -> usize {
        self.0 as usize
    }
}

/// A choice of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChoiceId(u32);

/// A discriminator table of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableId(u32);

/// A transform of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransformId(u32);

/// An owner of elements in the tally: a resource type, a data type, a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerId(pub(super) u16);

/// An element in the tally: `birthDate` of the owner `Patient`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ElementId {
    pub(super) owner: u16,
    pub(super) index: u16,
}

/// What happens to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The whole value stays, byte for byte.
    Keep,
    /// The whole value goes.
    Drop,
    /// A scalar of one of these kinds stays, byte for byte; in an array of them one of another kind becomes `null`, so
    /// that what is aligned with it stays so. Anything else goes and is counted as mistyped.
    Scalar(Kinds),
    /// The members of an object are decided by a state; a scalar goes and is counted as mistyped, where it is not one of
    /// [`State::leaves`].
    Descend(StateId),
    /// A scalar is replaced; one that the transform cannot take goes and is counted as mistyped.
    Transform(TransformId),
    /// What happens is decided by tests on the value; what is counted and noted of it, by the edge that they choose.
    Choose(ChoiceId),
    /// The object says what it is by a member of its own, and is decided by what it says.
    Discriminate(TableId),
}

/// A set of kinds of scalar. `null` is in each set but the empty one: it tells nothing but that something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Kinds {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Strings.
    pub const STRING: Self = Self(1);
    /// Numbers.
    pub const NUMBER: Self = Self(2);
    /// `true` and `false`.
    pub const BOOLEAN: Self = Self(4);
    /// Each scalar.
    pub const ANY: Self = Self(7);

    /// The kinds of both.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether each kind of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a kind of `other` is in this set.
    pub(super) const fn has_one(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What the tally notes of a string that passes an edge, whether it is shown or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capture {
    /// The id of the resource whose member this is.
    ResourceId,
    /// The id of a resource inside another: `#id` is a reference to it.
    FragmentId,
    /// A patient: an id, or a reference whose last part is one.
    Patient,
}

/// Where a member or an item leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// What happens to the value.
    pub action: Action,
    /// As what the tally counts it; `None`: not at all.
    pub element: Option<ElementId>,
    /// What the tally notes of it.
    pub capture: Option<Capture>,
}

impl Edge {
    /// An edge that is neither counted nor noted.
    pub const fn new(action: Action) -> Self {
        Self { action, element: None, capture: None }
    }

    /// Counted as this element.
    pub const fn counted(self, element: ElementId) -> Self {
        Self { element: Some(element), ..self }
    }

    /// Noted as this.
    pub const fn noted(self, capture: Capture) -> Self {
        Self { capture: Some(capture), ..self }
    }
}

/// How the members of an object, and the items of an array, are decided.
#[derive(Debug, Clone)]
pub struct State {
    /// The members that are told apart, by their names after unescaping.
    pub members: Names<Edge>,
    /// Every other member.
    pub other: Edge,
    /// The scalars that stay, byte for byte, where there is no object; an object or array that is empty stays with them.
    pub leaves: Kinds,
    /// The items, where the value is an array.
    pub items: Items,
    /// Whether an item that is left empty becomes `null` and does not go, so that the array stays aligned with another.
    pub aligned: bool,
    /// Members written at the end of each such object, whatever it holds: `"name":value` joined by commas. Empty: none.
    pub append: Box<str>,
    /// A member written at the end of an object in which no value closed with a [`State::stamp`] or `ensure` of its own.
    pub ensure: Option<Box<str>>,
    /// An item written at the end of each array that this state decides.
    pub stamp: Option<Box<str>>,
    /// The object is an envelope of one discriminated value: what else it shows is held until that value is seen, and
    /// goes with it. Without such a value it stays for itself.
    pub envelope: bool,
}

impl State {
    /// A state that drops all that is not named.
    pub fn new() -> Self {
        Self::otherwise(Edge::new(Action::Drop))
    }

    /// A state with a fallback for each member that is not named.
    pub fn otherwise(other: Edge) -> Self {
        Self {
            members: Names::new(),
            other,
            leaves: Kinds::NONE,
            items: Items::Same,
            aligned: false,
            append: Box::default(),
            ensure: None,
            stamp: None,
            envelope: false,
        }
    }
}

impl State {
    /// Whether the end of an object or array is more than its bracket.
    pub(super) fn ends_with_more(&self) -> bool {
        !self.append.is_empty() || self.ensure.is_some() || self.stamp.is_some() || self.leaves != Kinds::NONE
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// How the items of an array are decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// Each as the array itself would be: an element that repeats.
    Same,
    /// By place: first the head, one edge a place, then the cycle over and over. An empty cycle drops the rest.
    Placed {
        /// The edges of the first places.
        head: Box<[Edge]>,
        /// The edges of the places after them, repeated.
        cycle: Box<[Edge]>,
    },
}

/// A decision by tests on a value, which is held until they are decided.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The tests; at most [`Choice::MOST_TESTS`].
    pub tests: Box<[Test]>,
    /// An edge for each outcome: bit `i` of the place is set where test `i` holds. What is undecided is dropped.
    pub outcomes: Box<[Edge]>,
    /// Whether an array is decided item by item, and not as a whole.
    pub per_item: bool,
}

impl Choice {
    /// The most tests of one choice.
    pub const MOST_TESTS: usize = 8;
}

/// The cases of an object that says by a member of its own what it is.
#[derive(Debug, Clone)]
pub struct Table {
    /// The discriminator: the name of the member, whose value is a string.
    pub member: Box<str>,
    /// What each value means. A value that is not here, or no such member, is withheld.
    pub cases: Names<Case>,
    /// Whether the objects are parts of another, known by `#id` within it ([`Capture::FragmentId`]).
    pub fragments: bool,
}

/// One case of a [`Table`].
#[derive(Debug, Clone)]
pub struct Case {
    /// How its members are decided.
    pub state: StateId,
    /// As what the tally counts the object.
    pub owner: OwnerId,
    /// The object is seen only where this holds. It is held whole until that is known.
    pub rows: Option<Test>,
    /// The queries for the patient of the object, a reference or an id, where a transform below asks for it. The object
    /// is held whole until that is known.
    pub subject: Option<Box<[Query]>>,
}

/// What a view has been compiled to. Made by a [`PlanBuilder`], which has checked that each edge leads somewhere.
#[derive(Debug)]
pub struct Plan {
    pub(crate) root: Edge,
    states: Vec<State>,
    choices: Vec<Choice>,
    tables: Vec<Table>,
    transforms: Vec<Transform>,
    /// The owners, each with the names of its elements.
    pub(super) owners: Names<List>,
}

/// Why a plan cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// An id of another plan, or a state that was reserved and never set.
    #[error("an edge leads to a {0} that the plan does not have")]
    Dangling(&'static str),
    /// The outcomes of a choice are not two to the power of its tests, or there are too many tests.
    #[error("a choice has {tests} tests and {outcomes} outcomes")]
    Outcomes {
        /// The number of tests.
        tests: usize,
        /// The number of outcomes.
        outcomes: usize,
    },
    /// The outcome of a choice is another choice on the same value.
    #[error("the outcome of a choice is a choice again")]
    ChoiceOfChoice,
    /// More states, owners or elements than an id can hold.
    #[error("the plan has too many {0}")]
    TooMany(&'static str),
}

impl Plan {
    /// A plan that keeps everything, and checks only that the input is JSON.
    pub fn keep_all() -> Self {
        Self {
            root: Edge::new(Action::Keep),
            states: Vec::new(),
            choices: Vec::new(),
            tables: Vec::new(),
            transforms: Vec::new(),
            owners: Names::new(),
        }
    }

    /// How many states the plan has.
    pub fn size(&self) -> usize {
        self.states.len()
    }

    /// Whether some values are pseudonyms or moved dates, which are withheld where no secret is given.
    pub fn needs_secret(&self) -> bool {
        self.transforms.iter().any(|transform| {
            matches!(
                transform,
                Transform::ShiftDays(_) | Transform::Pseudonym { .. } | Transform::PseudonymReference { .. }
            )
        })
    }

    // The look-ups below answer `None` for an id of another plan alone, which `verify` has ruled out: a caller withholds.

    pub(crate) fn state(&self, id: StateId) -> Option<&State> {
        self.states.get(id.0 as usize)
    }

    pub(crate) fn choice(&self, id: ChoiceId) -> Option<&Choice> {
        self.choices.get(id.0 as usize)
    }

    pub(crate) fn table(&self, id: TableId) -> Option<&Table> {
        self.tables.get(id.0 as usize)
    }

    /// The tables, in the order in which they were reserved.
    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    pub(crate) fn transform(&self, id: TransformId) -> Option<&Transform> {
        self.transforms.get(id.0 as usize)
    }

    /// Where a member of an object leads that a state decides.
    pub(super) fn member(&self, state: StateId, name: &[u8]) -> Edge {
        self.state(state).map_or(Edge::new(Action::Drop), |state| *state.members.get(name).unwrap_or(&state.other))
    }

    fn verify(&self) -> Result<(), PlanError> {
        self.verify_edge(&self.root)?;
        for state in &self.states {
            state.members.values().try_for_each(|edge| self.verify_edge(edge))?;
            self.verify_edge(&state.other)?;
            if let Items::Placed { head, cycle } = &state.items {
                head.iter().chain(cycle).try_for_each(|edge| self.verify_edge(edge))?;
            }
        }
        for choice in &self.choices {
            let (tests, outcomes) = (choice.tests.len(), choice.outcomes.len());
            if tests > Choice::MOST_TESTS || outcomes != 1 << tests {
                return Err(PlanError::Outcomes { tests, outcomes });
            }
            for edge in &choice.outcomes {
                self.verify_edge(edge)?;
                if matches!(edge.action, Action::Choose(_)) {
                    return Err(PlanError::ChoiceOfChoice);
                }
            }
        }
        for case in self.tables.iter().flat_map(|table| table.cases.values()) {
            self.states.get(case.state.0 as usize).ok_or(PlanError::Dangling("state"))?;
            self.owners.at(case.owner.0.into()).ok_or(PlanError::Dangling("owner"))?;
        }
        Ok(())
    }

    fn verify_edge(&self, edge: &Edge) -> Result<(), PlanError> {
        let (found, what) = match edge.action {
            Action::Keep | Action::Drop | Action::Scalar(_) => (true, ""),
            Action::Descend(id) => (self.states.get(id.0 as usize).is_some(), "state"),
            Action::Transform(id) => (self.transforms.get(id.0 as usize).is_some(), "transform"),
            Action::Choose(id) => (self.choices.get(id.0 as usize).is_some(), "choice"),
            Action::Discriminate(id) => (self.tables.get(id.0 as usize).is_some(), "table"),
        };
        if !found {
            return Err(PlanError::Dangling(what));
        }
        match edge.element {
            Some(ElementId { owner, index }) => self
                .owners
                .at(owner.into())
                .filter(|(_, elements)| usize::from(index) < elements.len())
                .map(|_| ())
                .ok_or(PlanError::Dangling("element")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
