use super::*;

/// An edge of each action that leads somewhere, by ids of a builder that made two of each thing.
fn elsewhere() -> [(Action, &'static str); 4] {
    let mut other = PlanBuilder::new();
    let two = |of: fn(&mut PlanBuilder) -> Action, builder: &mut PlanBuilder| {
        of(builder);
        of(builder)
    };
    [
        (two(|plan| Action::Descend(plan.state(State::new())), &mut other), "state"),
        (two(|plan| Action::Choose(plan.choice(choice(0, 1))), &mut other), "choice"),
        (two(|plan| Action::Discriminate(plan.reserve_table()), &mut other), "table"),
        (
            two(
                |plan| {
                    plan.transform(Transform::Address);
                    Action::Transform(plan.transform(Transform::Page))
                },
                &mut other,
            ),
            "transform",
        ),
    ]
}

fn choice(tests: usize, outcomes: usize) -> Choice {
    let outcomes = vec![Edge::new(Action::Keep); outcomes].into();
    Choice { tests: vec![Test::All(Vec::new()); tests].into(), outcomes, per_item: false }
}

/// A builder that has one of each thing.
fn one_of_each() -> PlanBuilder {
    let mut builder = PlanBuilder::new();
    builder.state(State::new());
    builder.choice(choice(0, 1));
    let table = builder.reserve_table();
    builder.set_table(table, Table { member: "type".into(), cases: Names::new(), fragments: false });
    builder.transform(Transform::Address);
    let owner = builder.owner("Patient");
    builder.element(owner, "name");
    builder
}

#[test]
fn a_plan_has_all_that_its_edges_lead_to_wherever_they_stand() {
    for (action, what) in elsewhere() {
        let (edge, gone) = (Edge::new(action), PlanError::Dangling(what));
        assert_eq!(PlanBuilder::new().build(edge).unwrap_err(), gone);
        assert_eq!(one_of_each().build(edge).unwrap_err(), gone, "the first of its kind is not the second");

        let places: [fn(&mut PlanBuilder, Edge); 5] = [
            |builder, edge| {
                let mut state = State::new();
                state.members.insert("a", edge);
                builder.state(state);
            },
            |builder, edge| {
                builder.state(State::otherwise(edge));
            },
            |builder, edge| {
                builder.state(State { items: Items::Placed { head: [edge].into(), cycle: [].into() }, ..State::new() });
            },
            |builder, edge| {
                builder.state(State { items: Items::Placed { head: [].into(), cycle: [edge].into() }, ..State::new() });
            },
            |builder, edge| {
                builder.choice(Choice { outcomes: [edge].into(), ..choice(0, 1) });
            },
        ];
        for (place, put) in places.into_iter().enumerate() {
            let mut builder = PlanBuilder::new();
            put(&mut builder, edge);
            assert_eq!(builder.build(Edge::new(Action::Keep)).err(), Some(gone), "{what} {place}");
        }
    }
}

#[test]
fn a_table_leads_to_states_and_owners_of_its_plan() {
    let mut other = PlanBuilder::new();
    let (_, state) = (other.state(State::new()), other.state(State::new()));
    let (_, owner) = (other.owner("A"), other.owner("B"));
    for foreign in ["state", "owner"] {
        let mut builder = one_of_each();
        let (mut own, mut its) = (builder.state(State::new()), builder.owner("Patient"));
        match foreign {
            "state" => own = StateId(state.0 + 1),
            _ => its = owner,
        }
        let mut cases = Names::new();
        cases.insert("Patient", Case { state: own, owner: its, rows: None, subject: None });
        let table = builder.reserve_table();
        builder.set_table(table, Table { member: "resourceType".into(), cases, fragments: false });
        let built = builder.build(Edge::new(Action::Discriminate(table)));
        assert_eq!(built.unwrap_err(), PlanError::Dangling(foreign));
    }
    let mut builder = one_of_each();
    let table = builder.reserve_table();
    assert_eq!(builder.build(Edge::new(Action::Discriminate(table))).unwrap_err(), PlanError::Dangling("table"));
}

#[test]
fn an_edge_is_counted_as_an_element_that_its_owner_has() {
    let edge = |owner, index| Edge::new(Action::Keep).counted(ElementId { owner, index });
    assert!(one_of_each().build(edge(0, 0)).is_ok());
    for (owner, index) in [(0, 1), (1, 0)] {
        assert_eq!(one_of_each().build(edge(owner, index)).unwrap_err(), PlanError::Dangling("element"));
    }
}

#[test]
fn a_choice_has_an_outcome_for_each_answer_of_its_tests() {
    for (tests, outcomes, holds) in
        [(0, 1, true), (1, 2, true), (8, 256, true), (1, 1, false), (2, 3, false), (9, 512, false)]
    {
        let mut builder = PlanBuilder::new();
        let id = builder.choice(choice(tests, outcomes));
        let built = builder.build(Edge::new(Action::Choose(id)));
        assert_eq!(built.is_ok(), holds, "{tests} {outcomes}");
        assert!(holds || built.unwrap_err() == PlanError::Outcomes { tests, outcomes });
    }
    let mut builder = PlanBuilder::new();
    let first = builder.choice(choice(0, 1));
    let second = builder.choice(Choice { outcomes: [Edge::new(Action::Choose(first))].into(), ..choice(0, 1) });
    assert_eq!(builder.build(Edge::new(Action::Choose(second))).unwrap_err(), PlanError::ChoiceOfChoice);
}

#[test]
fn a_secret_is_needed_for_what_is_derived_from_one_and_for_nothing_else() {
    let needs = |transform: Transform| {
        let mut builder = PlanBuilder::new();
        let id = builder.transform(transform);
        builder.build(Edge::new(Action::Transform(id))).unwrap().needs_secret()
    };
    assert!(needs(Transform::ShiftDays(30)));
    assert!(needs(Transform::Pseudonym { domain: "a".into() }));
    assert!(needs(Transform::PseudonymReference { domain: "a".into() }));
    assert!(!needs(Transform::Address) && !needs(Transform::Zip3) && !Plan::keep_all().needs_secret());
}
