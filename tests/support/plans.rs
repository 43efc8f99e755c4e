//! Plans laid out from bytes, over few names, so that they meet: for properties and for the fuzzer.

use std::sync::Arc;

use fieldgate::redact::Bounds;
use fieldgate::redact::condition::{Comparison, Literal, Operand, Query, Segment, Selector, Test};
use fieldgate::redact::plan::{
    Action, Capture, Case, Choice, Edge, Items, Kinds, Names, Plan, PlanBuilder, State, Table,
};
use fieldgate::redact::transform::Transform;

/// The names that plans tell apart.
pub(crate) const NAMES: [&str; 6] = ["a", "b", "type", "id", "ref", "é"];

/// Bytes that answer every question, over and over.
struct Draws<'a>(&'a [u8], usize);

impl Draws<'_> {
    fn next(&mut self, below: usize) -> usize {
        self.1 += 1;
        self.0.get(self.1 % self.0.len().max(1)).map_or(0, |byte| usize::from(*byte)) % below
    }
}

/// `@.name == 'value'`
pub(crate) fn is(name: &str, value: &str) -> Test {
    let query = Query { segments: vec![Segment::Child(vec![Selector::Name(name.into())])] };
    Test::Compare(Operand::Query(query), Comparison::Equal, Operand::Literal(Literal::String(value.into())))
}

/// A plan of five states, two tables, two choices and three transforms that lead to each other as the bytes say.
pub(crate) fn laid_out(draws: &[u8]) -> Arc<Plan> {
    let mut draws = Draws(draws, 0);
    let mut builder = PlanBuilder::new();
    let owner = builder.owner("O");
    let states: Vec<_> = (0..5).map(|_| builder.reserve()).collect();
    let tables: Vec<_> = (0..2).map(|_| builder.reserve_table()).collect();
    let transforms: Vec<_> = [Transform::Replace("r".into()), Transform::Truncate(1), Transform::Reference]
        .into_iter()
        .map(|t| builder.transform(t))
        .collect();
    let mut choices = Vec::new();
    let edge = |builder: &mut PlanBuilder, draws: &mut Draws, choices: &[_]| {
        let element = builder.element(owner, NAMES[draws.next(6)]);
        let action = match draws.next(9) {
            0 | 1 => Action::Keep,
            2 => Action::Drop,
            3 => Action::Scalar([Kinds::STRING, Kinds::NUMBER, Kinds::BOOLEAN, Kinds::ANY][draws.next(4)]),
            4 | 5 => Action::Descend(states[draws.next(5)]),
            6 => Action::Transform(transforms[draws.next(3)]),
            7 if !choices.is_empty() => Action::Choose(choices[draws.next(choices.len())]),
            _ => Action::Discriminate(tables[draws.next(2)]),
        };
        let capture =
            [None, Some(Capture::FragmentId), Some(Capture::Patient), Some(Capture::ResourceId)][draws.next(4)];
        Edge { action, element: Some(element), capture }
    };
    for _ in 0..2 {
        let tests: Box<[Test]> = [is("a", "x"), is("type", "P")].into_iter().take(1 + draws.next(2)).collect();
        let outcomes = (0..1 << tests.len()).map(|_| edge(&mut builder, &mut draws, &[])).collect();
        let per_item = draws.next(2) == 0;
        choices.push(builder.choice(Choice { tests, outcomes, per_item }));
    }
    for id in &states {
        let mut members = Names::default();
        for name in NAMES {
            if draws.next(3) > 0 {
                members.insert(name, edge(&mut builder, &mut draws, &choices));
            }
        }
        let mut state = State { members, ..State::otherwise(edge(&mut builder, &mut draws, &choices)) };
        if draws.next(4) == 0 {
            let head = (0..draws.next(3)).map(|_| edge(&mut builder, &mut draws, &choices)).collect();
            let cycle = (0..draws.next(3)).map(|_| edge(&mut builder, &mut draws, &choices)).collect();
            state.items = Items::Placed { head, cycle };
        }
        state.leaves = [Kinds::NONE, Kinds::NONE, Kinds::STRING, Kinds::ANY][draws.next(4)];
        state.aligned = draws.next(4) == 0;
        state.envelope = draws.next(4) == 0;
        if draws.next(4) == 0 {
            state.append = r#""+":1"#.into();
        }
        if draws.next(4) == 0 {
            state.ensure = Some(r#""++":[2]"#.into());
        }
        if draws.next(4) == 0 && !state.aligned {
            state.stamp = Some("3,4".into());
        }
        builder.set(*id, state);
    }
    for (id, fragments) in tables.iter().zip([false, true]) {
        let cases = ["P", "S", "x"].into_iter().map(|said| {
            let rows = (draws.next(3) == 0).then(|| is("a", "x"));
            (said, Case { state: states[draws.next(5)], owner, rows, subject: None })
        });
        builder.set_table(*id, Table { member: "type".into(), cases: cases.collect(), fragments });
    }
    let root = edge(&mut builder, &mut draws, &choices);
    Arc::new(builder.build(root).expect("every edge leads to what was made above"))
}

/// What bounds a response beside such a plan, at half of all times: of its objects each is seen, or some, or none.
pub(crate) fn bounds(draws: &[u8]) -> Option<Arc<Bounds>> {
    let mut draws = Draws(draws, 7);
    if draws.next(2) == 0 {
        return None;
    }
    let mut bounds = Bounds::new();
    for said in ["P", "S", "x"] {
        match draws.next(3) {
            0 => bounds.allow(said, None),
            1 => bounds.allow(said, Some(is("a", "x"))),
            _ => {}
        }
    }
    Some(Arc::new(bounds))
}
