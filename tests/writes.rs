//! Real resources, every role of the policy that is shipped: a copy that is sent back changes nothing, and one that was
//! changed loses nothing.
#![cfg(feature = "demo")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests state behaviour and may panic"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use fieldgate::demo::people::Population;
use fieldgate::fhir::Definitions;
use fieldgate::guard::write::{Sent, WriteError, updated};
use fieldgate::policy::Policy;
use fieldgate::redact::transform::{Given, Secret};
use fieldgate::redact::{Copied, Limits, Plan, RedactError, Redactor};
use serde_json::Value;

fn view(plan: &Arc<Plan>, resource: &[u8]) -> Result<Option<Vec<u8>>, RedactError> {
    let given = Given {
        today: Some("2026-11-22".parse().unwrap()),
        secret: Some(Arc::new(Secret::new([7; 32]).unwrap())),
        addresses: None,
        bounds: None,
    };
    let mut redactor = Redactor::new(Arc::clone(plan), given, Limits::default());
    let mut out = Vec::new();
    redactor.write(resource, &mut Copied { piece: resource, out: &mut out })?;
    let shown = redactor.finish(&mut Copied { piece: &[], out: &mut out })?;
    Ok(shown.then_some(out))
}

/// Each resource of a practice, and each role of the policy.
fn each(mut check: impl FnMut(&str, &dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, RedactError>, &Value)) {
    let text = std::fs::read_to_string("config/policy.yaml").unwrap();
    let (policy, _) = Policy::parse("policy.yaml", &text, &Definitions::r4()).unwrap();
    let population = Population::generate(11, 12, "2026-11-22".parse().unwrap());
    for (role, seen) in policy.roles() {
        let plan = seen.plan();
        for resource in population.resources() {
            check(role.as_str(), &|bytes| view(plan, bytes), resource);
        }
    }
}

#[test]
fn l26_every_copy_that_is_sent_back_as_it_was_read_changes_nothing() {
    let (mut filtered, mut whole) = (0, 0);
    each(|role, view, stored| {
        let text = stored.to_string();
        let Some(copy) = view(text.as_bytes()).unwrap() else { return };
        let of = stored["resourceType"].as_str().unwrap();
        let written = updated(view, of, text.as_bytes(), Sent::Resource(&copy));
        let written = written.unwrap_or_else(|error| panic!("{role}: {of}/{}: {error}", stored["id"]));
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), *stored, "{role}");
        *if copy == text.as_bytes() { &mut whole } else { &mut filtered } += 1;
    });
    assert!(filtered > 500 && whole > 500, "{filtered} copies were filtered, {whole} whole");
}

/// Every scalar of a resource, by its path without places, and how often it stands there.
fn leaves(value: &Value, path: &str, found: &mut BTreeMap<(String, String), isize>, by: isize) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, it)| leaves(it, &format!("{path}.{name}"), found, by))
        }
        Value::Array(items) => items.iter().for_each(|it| leaves(it, path, found, by)),
        scalar => *found.entry((path.to_owned(), scalar.to_string())).or_default() += by,
    }
}

/// Changes, takes away or doubles what stands at some place of a copy.
fn edit(value: &mut Value, numbers: &mut impl FnMut(usize) -> usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let name = members.keys().nth(numbers(members.len())).unwrap().clone();
            if numbers(8) == 0 {
                members.remove(&name);
            } else {
                edit(&mut members[&name], numbers);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let place = numbers(items.len());
            match numbers(8) {
                0 => drop(items.remove(place)),
                1 => items.push(items[place].clone()),
                2 => items.swap(0, place),
                _ => edit(&mut items[place], numbers),
            }
        }
        Value::String(text) => text.push('x'),
        Value::Bool(it) => *it = !*it,
        other => *other = Value::from(7),
    }
}

#[test]
fn l26_a_changed_copy_is_written_with_all_that_it_did_not_hold_or_not_at_all() {
    let (mut state, mut written_ones, mut refused) = (1_u64, 0, BTreeMap::<&str, usize>::new());
    let mut numbers = move |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    };
    each(|role, view, stored| {
        let text = stored.to_string();
        let Some(copy) = view(text.as_bytes()).unwrap() else { return };
        let copy: Value = serde_json::from_slice(&copy).unwrap();
        let mut sent = copy.clone();
        (0..=numbers(3)).for_each(|_| edit(&mut sent, &mut numbers));
        let of = stored["resourceType"].as_str().unwrap();
        match updated(view, of, text.as_bytes(), Sent::Resource(sent.to_string().as_bytes())) {
            Ok(written) => {
                written_ones += 1;
                let shown: Value = serde_json::from_slice(&view(&written).unwrap().unwrap()).unwrap();
                let written: Value = serde_json::from_slice(&written).unwrap();
                let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
                leaves(stored, of, &mut before, 1);
                leaves(&copy, of, &mut before, -1);
                leaves(&written, of, &mut after, 1);
                leaves(&shown, of, &mut after, -1);
                let hidden = |found: BTreeMap<_, isize>| -> BTreeMap<_, _> {
                    found.into_iter().filter(|(_, count)| *count > 0).collect()
                };
                assert_eq!(hidden(before), hidden(after), "{role}: what was not seen stays: {copy} became {sent}");
            }
            Err(error) => {
                *refused
                    .entry(match error {
                        WriteError::Hidden { .. } => "hidden",
                        WriteError::Lost { .. } => "lost",
                        WriteError::Items { .. } => "items",
                        WriteError::Unseen => "unseen",
                        WriteError::Type { .. } => "type",
                        WriteError::Marked => "marked",
                        other => panic!("{role}: {other}: {copy} became {sent}"),
                    })
                    .or_default() += 1;
            }
        }
    });
    println!("{written_ones} written, refused: {refused:?}");
    assert!(written_ones > 500 && refused.len() > 3, "{written_ones}, {refused:?}");
}
