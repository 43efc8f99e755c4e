//! The tally: what a response released, withheld and transformed, and whose data it was. Always on.
//!
//! It holds the ids of resources and patients, which the audit trail needs, and never another value.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{ElementId, OwnerId, Plan};

/// The most ids that a tally notes of one kind; those beyond it are only counted.
pub(super) const MOST_IDS: usize = 10_000;

/// The longest id that a tally notes, in bytes; a longer one is only counted. FHIR allows 64.
pub(super) const LONGEST_ID: usize = 256;

/// What stands for the place of an owner's counts before it is met: beyond all places, also with an element's added.
const NOT_MET: u32 = u32::MAX / 2;

/// What happened to an element, how many times. An array counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Shown as it was, or in part.
    pub released: u64,
    /// Withheld as a whole.
    pub withheld: u64,
    /// Shown as a transform made it.
    pub transformed: u64,
}

/// Ids that were noted, and how many more there were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// The ids, each once.
    pub known: BTreeSet<Box<str>>,
    /// How many were not noted since there were too many, or since they were too long.
    pub beyond: u64,
}

/// The tally of one response.
#[derive(Debug)]
pub struct Tally {
    plan: Arc<Plan>,
    /// For each owner the place of the count of its first element, or [`NOT_MET`]; empty before anything is counted.
    firsts: Vec<u32>,
    /// The counts of the owners that were met.
    counts: Vec<Count>,
    resources: Vec<(OwnerId, Ids)>,
    /// The patients seen, by id alone.
    pub patients: Ids,
    /// Objects that said what they are and were withheld as a whole: rows, labels, types not seen.
    pub withheld_objects: u64,
    /// Values withheld since they were of another JSON type than their element.
    pub mistyped: u64,
    /// Values withheld since they were larger than a limit of what may be held.
    pub over_limit: u64,
}

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    Released,
    Withheld,
    Transformed,
}

impl Count {
    #[inline(always)]
    fn one_more(&mut self, fate: Fate) {
        match fate {
            Fate::Released => self.released += 1,
            Fate::Withheld => self.withheld += 1,
            Fate::Transformed => self.transformed += 1,
        }
    }
}

impl Tally {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        Self {
            firsts: Vec::new(),
            plan,
            counts: Vec::new(),
            resources: Vec::new(),
            patients: Ids::default(),
            withheld_objects: 0,
            mistyped: 0,
            over_limit: 0,
        }
    }

    /// The elements that were met: the owner, the element and its counts.
    pub fn elements(&self) -> impl Iterator<Item = (&str, &str, Count)> {
        self.plan.owners.iter().zip(&self.firsts).flat_map(|((owner, elements), first)| {
            let counts = self.counts.get(*first as usize..).unwrap_or_default();
            let counted = elements.iter().zip(counts).filter(|(_, count)| **count != Count::default());
            counted.map(move |(element, count)| (owner, element, *count))
        })
    }

    /// The resources that were met and their ids, by type.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &Ids)> {
        self.resources.iter().map(|(owner, ids)| {
            let name = self.plan.owners.at(owner.0.into()).map_or("", |(name, _)| name);
            (name, ids)
        })
    }

    #[inline(always)]
    pub(super) fn count(&mut self, element: Option<ElementId>, fate: Fate) {
        let Some(ElementId { owner, index }) = element else { return };
        let first = self.firsts.get(owner as usize).copied().unwrap_or(NOT_MET);
        // INVARIANT: an element is one of its owner's, since a plan has been verified; so a place is of no other owner.
        match self.counts.get_mut(first as usize + index as usize) {
            Some(count) => count.one_more(fate),
            None => self.count_first(owner, index, fate),
        }
    }

    /// Counts the first element of an owner: most responses meet few owners, so the others cost nothing.
    #[cold]
    fn count_first(&mut self, owner: u16, index: u16, fate: Fate) {
        self.firsts.resize(self.plan.owners.len(), NOT_MET);
        let Some(first) = self.firsts.get_mut(owner as usize).filter(|first| **first == NOT_MET) else { return };
        *first = self.counts.len() as u32;
        let place = *first as usize + index as usize;
        let elements = self.plan.owners.at(owner.into()).map_or(0, |(_, elements)| elements.len());
        self.counts.resize(self.counts.len() + elements, Count::default());
        if let Some(count) = self.counts.get_mut(place) {
            count.one_more(fate);
        }
    }

    pub(super) fn resource(&mut self, owner: OwnerId, id: &str) {
        match self.resources.iter_mut().find(|(known, _)| *known == owner) {
            Some((_, ids)) => ids.note(id),
            None => {
                let mut ids = Ids::default();
                ids.note(id);
                self.resources.push((owner, ids));
            }
        }
    }

    pub(super) fn patient(&mut self, reference: &str) {
        if let Some(id) = patient_id(reference) {
            self.patients.note(id);
        }
    }
}

impl Ids {
    fn note(&mut self, id: &str) {
        if self.known.contains(id) {
            return;
        }
        if id.is_empty() || id.len() > LONGEST_ID || self.known.len() >= MOST_IDS {
            self.beyond += 1;
        } else {
            self.known.insert(id.into());
        }
    }
}

/// The id alone of a reference: the last part of `Patient/1`, `https://…/Patient/1/_history/2` and `urn:uuid:1`.
pub(super) fn bare_id(reference: &str) -> &str {
    let resource = without_version(reference);
    resource.rsplit(['/', ':']).next().unwrap_or(resource)
}

/// The id of a patient: of an id alone, or of a reference that doesn't lead to something else, as `Group/1` does.
fn patient_id(reference: &str) -> Option<&str> {
    match without_version(reference).rsplit_once('/') {
        Some((of, id)) => (of.rsplit('/').next() == Some("Patient")).then_some(id),
        None => Some(bare_id(reference)),
    }
}

fn without_version(reference: &str) -> &str {
    reference.split_once("/_history/").map_or(reference, |(resource, _)| resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::plan::{Action, Edge, PlanBuilder};

    #[test]
    fn the_id_of_a_reference_is_its_last_part_without_the_version() {
        for reference in ["1", "Patient/1", "https://ehr.example/fhir/Patient/1/_history/2", "urn:uuid:1"] {
            assert_eq!(bare_id(reference), "1", "{reference}");
            assert_eq!(patient_id(reference), Some("1"), "{reference}");
        }
    }

    #[test]
    fn each_element_is_counted_in_its_own_place() {
        let mut builder = PlanBuilder::new();
        let (patient, other) = (builder.owner("Patient"), builder.owner("Other"));
        let mut of_patient = ["a", "b", "c"].map(|name| builder.element(patient, name));
        let of_other = ["x", "y"].map(|name| builder.element(other, name));
        of_patient.reverse();
        let plan = Arc::new(builder.build(Edge::new(Action::Keep)).unwrap());
        let mut tally = Tally::new(plan);
        for (times, element) in of_patient.into_iter().chain(of_other).enumerate() {
            for _ in 0..=times {
                tally.count(Some(element), Fate::Released);
            }
            tally.count(Some(element), Fate::Withheld);
        }
        tally.count(None, Fate::Transformed);
        let counted: Vec<_> = tally.elements().collect();
        let count = |released| Count { released, withheld: 1, transformed: 0 };
        let expected =
            [("Patient", "a", 3), ("Patient", "b", 2), ("Patient", "c", 1), ("Other", "x", 4), ("Other", "y", 5)];
        assert_eq!(counted, expected.map(|(owner, name, released)| (owner, name, count(released))));
    }

    #[test]
    fn ids_are_noted_once_and_those_beyond_are_counted() {
        let mut ids = Ids::default();
        let longest = "x".repeat(LONGEST_ID);
        for id in ["1", "1", &longest] {
            ids.note(id);
        }
        assert_eq!((ids.known.len(), ids.beyond), (2, 0));
        ids.note("");
        ids.note(&format!("{longest}x"));
        assert_eq!((ids.known.len(), ids.beyond), (2, 2));
        for n in 2..MOST_IDS {
            ids.note(&format!("n{n}"));
        }
        assert_eq!((ids.known.len(), ids.beyond), (MOST_IDS, 2));
        ids.note("one more");
        ids.note("1");
        assert_eq!((ids.known.len(), ids.beyond), (MOST_IDS, 3));
    }

    #[test]
    fn what_is_referred_to_where_a_patient_may_be_is_not_always_one() {
        assert_eq!(patient_id("Group/1"), None);
        assert_eq!(patient_id("https://ehr.example/Patient/Device/1"), None);
    }
}
