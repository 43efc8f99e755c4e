//! What a CapabilityStatement tells of resource types: it differs from type to type, and its items say which they are of.

use super::{CompileError, Compiler};
use crate::policy::capabilities::{Searchable, Told};
use crate::policy::condition::{equals, name};
use crate::policy::view::Place;
use crate::redact::condition::Test;
use crate::redact::plan::{Action, Case, Choice, Edge, Names, State, Table};

/// The objects that tell each of one resource type.
pub(super) const OF_TYPES: &str = "CapabilityStatement.rest.resource";

impl Compiler<'_> {
    /// The objects that tell of resource types at a place; one of a type of which nothing is told goes.
    pub(super) fn told(&mut self, told: &Told, place: &Place) -> Result<Action, CompileError> {
        let state = self.object(place)?;
        let owner = self.plan.owner(OF_TYPES);
        let mut cases = Names::new();
        for (of, searchable) in told {
            let mut state = state.clone();
            if let Some(searchable) = searchable {
                self.narrow(&mut state, searchable);
            }
            let state = self.plan.state(state);
            cases.insert(self.definitions.get(*of).name, Case { state, owner, rows: None, subject: None });
        }
        let table = self.plan.reserve_table();
        self.plan.set_table(table, Table { member: "type".into(), cases, fragments: false });
        Ok(Action::Discriminate(table))
    }

    /// Of what a state shows of searches, leaves what may be asked.
    fn narrow(&mut self, state: &mut State, searchable: &Searchable) {
        let itself = Vec::new;
        for (member, says, values) in [
            ("searchParam", vec![name("name")], &searchable.parameters),
            ("searchInclude", itself(), &searchable.includes),
            ("searchRevInclude", itself(), &searchable.reverse_includes),
        ] {
            let Some(shown) = state.members.get(member.as_bytes()).copied() else { continue };
            let gone = Edge { action: Action::Drop, ..shown };
            let edge = match shown.action {
                // No two decisions on one value: it goes.
                Action::Choose(_) => gone,
                _ => {
                    let tests = [Test::Any(values.iter().map(|value| equals(says.clone(), value)).collect())].into();
                    let choice = Choice { tests, outcomes: [gone, shown].into(), per_item: true };
                    Edge::new(Action::Choose(self.plan.choice(choice)))
                }
            };
            state.members.insert(member, edge);
        }
    }
}
