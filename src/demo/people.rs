//! A population of synthetic patients: deterministic FHIR R4 resources that read like a practice's own.
//!
//! The same seed, size and day give the same bytes; there is no clock and no other randomness. No record describes a real
//! person: names are combined from tables, telephone numbers are 555-01xx, mail goes to example.com and example.org, and
//! Social Security numbers come from a range that is never issued.

mod billing;
mod booking;
mod chart;
mod elements;
mod findings;
mod person;
mod practice;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};

use jiff::civil::Date;
use serde_json::Value;

use self::chart::Chart;
use self::person::Person;
use self::practice::Practice;
use super::random::Random;

/// The address that fullUrls in [`Population::bundle`] begin with.
pub const BASE: &str = "https://ehr.harrowvalley.example/fhir";

/// The seed of `fieldgate demo`: one that gives no name twice among its patients.
pub const DEMO_SEED: u64 = 2077;
/// The number of patients of `fieldgate demo`.
pub const DEMO_PATIENTS: usize = 20;

/// The resources of a practice: its staff and places, then each patient with all that belongs to the patient.
pub struct Population {
    resources: Vec<Value>,
    /// How many of the first resources are the practice's own: organizations, locations, practitioners.
    shared: usize,
    index: HashMap<(String, String), usize>,
    members: BTreeMap<String, Value>,
    today: Date,
}

impl Population {
    /// `patients` people as they stand on `today`, each with the history of the last years.
    ///
    /// Twenty in a row hold every kind of case that a field filter must handle (labels N, R and V with sensitivity codes,
    /// contained resources, extensions on primitives, an age over 89, a restricted ZIP area); more than twenty repeat the
    /// kinds with other people.
    pub fn generate(seed: u64, patients: usize, today: Date) -> Self {
        let practice = Practice::new(seed, today);
        let mut resources = practice.resources().to_vec();
        let shared = resources.len();
        let mut members = BTreeMap::new();
        for number in 0..patients {
            let mut random = Random::new(seed, u64::try_from(number).unwrap_or(u64::MAX).wrapping_add(1));
            let person = Person::new(number, &practice, today, &mut random);
            let chart = Chart::write(&person, &practice, today, &mut random);
            resources.extend(chart.resources);
            members.insert(chart.member_id, chart.member);
        }
        let index = resources.iter().enumerate().filter_map(|(at, resource)| Some((identity(resource)?, at))).collect();
        Self { resources, shared, index, members, today }
    }

    /// Every resource, the practice's own first.
    pub fn resources(&self) -> impl Iterator<Item = &Value> {
        self.resources.iter()
    }

    /// The resources of one type.
    pub fn of_type(&self, resource_type: &str) -> impl Iterator<Item = &Value> {
        self.resources().filter(move |resource| type_of(resource) == Some(resource_type))
    }

    /// One resource by type and id.
    pub fn get(&self, resource_type: &str, id: &str) -> Option<&Value> {
        self.resources.get(*self.index.get(&(resource_type.to_owned(), id.to_owned()))?)
    }

    /// The health plan's members by member id: plain JSON, not FHIR.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(id, member)| (id.as_str(), member))
    }

    /// One member by id.
    pub fn member(&self, id: &str) -> Option<&Value> {
        self.members.get(id)
    }

    /// Everything as one Bundle of type collection, compact JSON.
    pub fn bundle(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to a Vec does not fail.
        let _ = self.write_bundle(&mut bytes, 0);
        bytes
    }

    /// Writes a Bundle of type collection of `at_least_bytes`, at most one patient's records longer than that.
    ///
    /// Where all patients are written and it is still too short, they follow again with new ids, as often as needed;
    /// the memory used does not depend on the length. The number of bytes written is returned.
    pub fn write_bundle(&self, into: impl Write, at_least_bytes: u64) -> io::Result<u64> {
        let mut out = Counted { into, written: 0 };
        write!(
            out,
            r#"{{"resourceType":"Bundle","type":"collection","timestamp":"{}T00:00:00Z","entry":["#,
            self.today
        )?;
        let (shared, owned) = self.resources.split_at(self.shared);
        for (at, resource) in shared.iter().enumerate() {
            out.write_all(if at == 0 { b"" } else { b"," })?;
            out.write_all(entry(resource).as_bytes())?;
        }
        let ids: HashSet<&str> = owned.iter().filter_map(|resource| resource.get("id")?.as_str()).collect();
        let groups: Vec<Repeatable> = owned
            .chunk_by(|_, next| type_of(next) != Some("Patient"))
            .map(|group| Repeatable::new(&group.iter().map(entry).collect::<Vec<_>>().join(","), &ids))
            .collect();
        for copy in 0_u32.. {
            for group in &groups {
                if copy > 0 && out.written >= at_least_bytes {
                    break;
                }
                out.write_all(b",")?;
                group.write(&mut out, copy)?;
            }
            if groups.is_empty() || out.written >= at_least_bytes {
                break;
            }
        }
        out.write_all(b"]}")?;
        out.flush()?;
        Ok(out.written)
    }
}

/// A resource's type and id.
fn identity(resource: &Value) -> Option<(String, String)> {
    Some((type_of(resource)?.to_owned(), resource.get("id")?.as_str()?.to_owned()))
}

fn type_of(resource: &Value) -> Option<&str> {
    resource.get("resourceType")?.as_str()
}

fn entry(resource: &Value) -> String {
    let (resource_type, id) = identity(resource).unwrap_or_default();
    format!(r#"{{"fullUrl":"{BASE}/{resource_type}/{id}","resource":{resource}}}"#)
}

/// The text of a patient's entries, cut where an id's first eight digits stand: those are new in each copy.
struct Repeatable {
    pieces: Vec<(String, Option<u32>)>,
}

impl Repeatable {
    fn new(text: &str, ids: &HashSet<&str>) -> Self {
        let mut pieces = Vec::new();
        let (mut from, mut at) = (0, 0);
        while let Some(candidate) = text.as_bytes().get(at..at + 36) {
            let dashed = candidate.get(8) == Some(&b'-');
            let id = std::str::from_utf8(candidate).ok().filter(|id| dashed && ids.contains(id));
            let digits = id.and_then(|id| u32::from_str_radix(id.get(..8)?, 16).ok());
            match (digits, text.get(from..at)) {
                (Some(digits), Some(before)) => {
                    pieces.push((before.to_owned(), Some(digits)));
                    from = at + 8;
                    at += 36;
                }
                _ => at += 1,
            }
        }
        pieces.push((text.get(from..).unwrap_or_default().to_owned(), None));
        Self { pieces }
    }

    fn write(&self, out: &mut impl Write, copy: u32) -> io::Result<()> {
        // INVARIANT: multiplying by an odd number is one to one, so two copies never share an id.
        let change = copy.wrapping_mul(0x9e37_79b1);
        for (text, digits) in &self.pieces {
            out.write_all(text.as_bytes())?;
            if let Some(digits) = digits {
                write!(out, "{:08x}", digits ^ change)?;
            }
        }
        Ok(())
    }
}

struct Counted<W> {
    into: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.into.write(bytes)?;
        self.written = self.written.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}
