//! Real and realistic data through every role of the example policy: the redactor means what the oracle means.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests state behaviour and may panic"
)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use fieldgate::fhir::Definitions;
use fieldgate::policy::Policy;
use fieldgate::redact::transform::{Addresses, Given, Secret};
use fieldgate::redact::{Copied, Limits, Plan, Redactor, oracle};
use serde_json::Value;

/// Leaves addresses as they are, so that what stands in their place is compared as well.
struct Unmoved;

impl Addresses for Unmoved {
    fn rewrite(&self, address: &str) -> Option<String> {
        Some(address.to_owned())
    }
}

fn given() -> Given {
    Given {
        today: Some(jiff::civil::date(2026, 11, 22)),
        secret: Some(Arc::new(Secret::new(*b"a secret of the tests, 32 bytes long").unwrap())),
        addresses: Some(Arc::new(Unmoved)),
    }
}

fn policy() -> Policy {
    let text = include_str!("../config/policy.yaml");
    Policy::parse("config/policy.yaml", text, &Definitions::r4()).unwrap().0
}

fn redact(plan: &Arc<Plan>, pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut redactor = Redactor::new(Arc::clone(plan), given(), Limits::default());
    let mut out = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        redactor.write(piece, &mut Copied { piece, out: &mut out }).unwrap();
    }
    redactor.finish(&mut Copied { piece: &[], out: &mut out }).unwrap();
    out
}

/// Sizes that follow from a seed, so that a failure comes again.
struct Sizes(u64);

impl Sizes {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (self.0 >> 33) as usize % below
    }
}

fn split<'a>(text: &'a [u8], sizes: &mut Sizes, most: usize) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(rest.len().min(sizes.next(most)));
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// Holds a document against the oracle for each role, whole and in pieces of random sizes.
fn compare(name: &str, text: &[u8], policy: &Policy) {
    let document: Value = serde_json::from_slice(text).unwrap();
    let mut sizes = Sizes(text.len() as u64);
    for (role, view) in policy.roles() {
        let expected = oracle::redact(view.plan(), &given(), &document);
        let whole = redact(view.plan(), std::iter::once(text));
        let got = (!whole.is_empty()).then(|| serde_json::from_slice::<Value>(&whole).unwrap());
        assert!(got == expected, "{name} as {role}: {}", difference("", &got, &expected));
        for most in [9, 700, 70_000] {
            assert!(
                redact(view.plan(), split(text, &mut sizes, most).iter()) == whole,
                "{name} as {role} in pieces of {most}"
            );
        }
    }
}

/// The first place where two values differ.
fn difference(at: &str, left: &Option<Value>, right: &Option<Value>) -> String {
    match (left, right) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
            names.dedup();
            let differs = names.into_iter().find(|name| left.get(*name) != right.get(*name));
            differs.map_or_else(String::new, |name| {
                difference(&format!("{at}.{name}"), &left.get(name).cloned(), &right.get(name).cloned())
            })
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            let place = (0..left.len().max(right.len())).find(|place| left.get(*place) != right.get(*place));
            place.map_or_else(String::new, |place| {
                difference(&format!("{at}[{place}]"), &left.get(place).cloned(), &right.get(place).cloned())
            })
        }
        _ => format!("at {at}: {left:?} and not {right:?}"),
    }
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

#[test]
fn the_bundles_of_synthea_are_redacted_as_the_oracle_says() {
    let Some(folder) = support::corpus("synthea-r4") else { return };
    let policy = policy();
    let files = files(folder);
    assert_eq!(files.len(), 5);
    for path in files {
        compare(&path.display().to_string(), &std::fs::read(&path).unwrap(), &policy);
    }
}

/// Set `FIELDGATE_BUNDLES` to a folder of FHIR documents to hold them against the oracle too.
#[test]
fn a_folder_of_bundles_is_redacted_as_the_oracle_says() {
    let Some(folder) = std::env::var_os("FIELDGATE_BUNDLES") else {
        println!("skipped: FIELDGATE_BUNDLES names no folder");
        return;
    };
    let policy = policy();
    for path in files(folder.into()) {
        compare(&path.display().to_string(), &std::fs::read(&path).unwrap(), &policy);
    }
}

#[cfg(feature = "demo")]
#[test]
fn the_synthetic_practice_is_redacted_as_the_oracle_says() {
    use fieldgate::demo::people::{DEMO_PATIENTS, DEMO_SEED, Population};
    let population = Population::generate(DEMO_SEED, DEMO_PATIENTS, jiff::civil::date(2026, 11, 22));
    let policy = policy();
    compare("the demo's bundle", &population.bundle(), &policy);
    for resource in population.resources() {
        compare("a resource of the demo", resource.to_string().as_bytes(), &policy);
    }
}

#[test]
fn numbers_keep_every_digit() {
    let plan = Arc::clone(policy().role(&fieldgate::model::Role::new("clinician")).unwrap().plan());
    let text = br#"{"resourceType":"Observation","valueQuantity":{"value":1.50}}"#;
    assert_eq!(redact(&plan, std::iter::once(text)), text);
}
