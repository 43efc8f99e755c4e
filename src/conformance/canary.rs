//! Looks for withheld values in an answer: in its status line, header fields, trailers and body, however they are written.
//!
//! It tells where a value stands and never which it is. A value that the request itself holds isn't looked for in the
//! answer: who is told what they said learns nothing.

mod place;
mod written;

use std::collections::BTreeSet;

pub(super) use self::place::Place;
use self::place::Walk;
use self::written::{Needles, decoded_runs, forms, wide};
use super::client::Answer;
use super::spec::{Resource, Spec};
use crate::fhir::Definitions;

/// Every withheld value of a spec.
pub(super) struct Canaries<'a> {
    definitions: Definitions,
    list: Vec<Canary<'a>>,
}

/// A withheld value.
pub(super) struct Canary<'a> {
    /// `Patient.birthDate`
    pub(super) element: &'a str,
    path: &'a str,
    resource: &'a Resource,
    needles: Needles,
}

/// A withheld value, by its number, and where it was found.
pub(super) type Hit = (usize, Place);

impl<'a> Canaries<'a> {
    pub(super) fn new(spec: &'a Spec, definitions: Definitions) -> Self {
        let all = spec.resources.iter().flat_map(|resource| resource.withheld.iter().map(move |of| (resource, of)));
        let list = all.map(|(resource, withheld)| Canary {
            element: &withheld.element,
            path: &withheld.path,
            resource,
            needles: Needles::of(&withheld.value),
        });
        Self { definitions, list: list.collect() }
    }

    pub(super) fn element(&self, number: usize) -> &'a str {
        self.list.get(number).map_or("", |canary| canary.element)
    }

    /// What is found in the answer to a request that held these texts.
    pub(super) fn look(&self, answer: &Answer, said: &[String]) -> BTreeSet<Hit> {
        let mut found = BTreeSet::new();
        for (name, value) in &answer.headers {
            self.text(&String::from_utf8_lossy(value), Place::of_header(name), &mut found);
        }
        self.text(&answer.reason, Place::StatusLine, &mut found);
        for (_, value) in &answer.trailers {
            self.text(&String::from_utf8_lossy(value), Place::Trailer, &mut found);
        }
        self.body(&answer.body, &mut found);
        found.retain(|(number, _)| {
            let said_so = |canary: &Canary<'_>| said.iter().any(|text| canary.needles.stand_in(text));
            !self.list.get(*number).is_some_and(said_so)
        });
        found
    }

    fn body(&self, body: &[u8], found: &mut BTreeSet<Hit>) {
        let text = String::from_utf8_lossy(body);
        let walked = serde_json::from_slice(text.trim_start_matches('\u{feff}').as_bytes()).ok();
        let Some(document) = walked else {
            self.text(&text, Place::Text, found);
            for wide in wide(body) {
                self.text(&wide, Place::Text, found);
            }
            return;
        };
        let mut within = BTreeSet::new();
        Walk { canaries: self, found: &mut within }.document(&document);
        // A member that stands twice is lost by the parser; somebody else's keeps the other one.
        let mut raw = BTreeSet::new();
        for form in forms(&text) {
            self.matches(&form, Place::Twice, &mut raw);
        }
        raw.retain(|(number, _)| !within.iter().any(|(known, _)| known == number));
        found.extend(within);
        found.extend(raw);
    }

    /// Looks through a text, what is encoded in it too.
    fn text(&self, text: &str, place: Place, found: &mut BTreeSet<Hit>) {
        for form in forms(text) {
            self.matches(&form, place, found);
            for inner in decoded_runs(&form) {
                self.matches(&inner, place, found);
            }
        }
    }

    fn matches(&self, text: &str, place: Place, found: &mut BTreeSet<Hit>) {
        let standing = self.list.iter().enumerate().filter(|(_, canary)| canary.needles.stand_in(text));
        found.extend(standing.map(|(number, _)| (number, place)));
    }
}

/// Whether a text stands in an answer's body, however it is written there.
pub(super) fn stands_in(answer: &Answer, value: &str) -> bool {
    let (needles, text) = (Needles::of(value), String::from_utf8_lossy(&answer.body));
    forms(&text).iter().any(|form| needles.stand_in(form))
        || wide(&answer.body).iter().any(|text| needles.stand_in(text))
}
