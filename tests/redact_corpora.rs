//! Real and realistic data through every role of the example policy: the redactor means what the oracle means.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests state behaviour and may panic"
)]

mod support;

use std::borrow::Cow;
use std::sync::Arc;

use fieldgate::fhir::Definitions;
use fieldgate::policy::Policy;
use fieldgate::redact::transform::{Addresses, Given, Secret};
use fieldgate::redact::{Copied, Limits, Plan, Redactor, oracle};
use serde_json::Value;

use support::{Sizes, difference, documents};

/// Leaves addresses as they are, so that what stands in their place is compared as well.
struct Unmoved;

impl Addresses for Unmoved {
    fn rewrite<'t>(&self, address: &'t str) -> Option<Cow<'t, str>> {
        Some(Cow::Borrowed(address))
    }
}

fn given() -> Given {
    Given {
        today: Some(jiff::civil::date(2026, 11, 22)),
        secret: Some(Arc::new(Secret::new(*b"a secret of the tests, 32 bytes long").unwrap())),
        addresses: Some(Arc::new(Unmoved)),
        bounds: None,
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

/// Holds a document against the oracle for each role, whole and in pieces of random sizes.
fn compare(name: &str, text: &[u8], policy: &Policy) {
    let document: Value = serde_json::from_slice(text).unwrap();
    let mut sizes = Sizes(text.len() as u64);
    for (role, view) in policy.roles() {
        let expected = oracle::redact(view.plan(), &given(), &document);
        let whole = redact(view.plan(), std::iter::once(text));
        let got = (!whole.is_empty()).then(|| serde_json::from_slice::<Value>(&whole).unwrap());
        assert!(got == expected, "{name} as {role}: {}", difference("", got.as_ref(), expected.as_ref()));
        for most in [9, 700, 70_000] {
            assert!(
                redact(view.plan(), sizes.split(text, most).iter()) == whole,
                "{name} as {role} in pieces of {most}"
            );
        }
    }
}

#[test]
fn the_bundles_of_synthea_are_redacted_as_the_oracle_says() {
    let Some(folder) = support::corpus("synthea-r4") else { return };
    let policy = policy();
    let files = documents(&folder);
    assert_eq!(files.len(), 5);
    for path in files {
        compare(&path.display().to_string(), &std::fs::read(&path).unwrap(), &policy);
    }
}

/// Set `FIELDGATE_BUNDLES` to a folder of FHIR documents to hold them against the oracle too.
#[test]
fn a_folder_of_bundles_is_redacted_as_the_oracle_says() {
    let Some(folder) = support::bundles() else { return };
    let policy = policy();
    for path in documents(&folder) {
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
