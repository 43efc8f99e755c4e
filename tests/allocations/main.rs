//! What a stream takes of memory: how often the redactor allocates once it is under way, and the most it ever has.
//!
//! The plan, the input and what is let through belong to the caller, and are not counted. The bounds are what was
//! measured: where the core comes to need less, they go down with it.
#![cfg(feature = "demo")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests state behaviour and may panic"
)]

mod counting;

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use counting::{Counting, Counts};
use fieldgate::demo::people::{DEMO_PATIENTS, DEMO_SEED, Population};
use fieldgate::fhir::Definitions;
use fieldgate::policy::Policy;
use fieldgate::redact::transform::Given;
use fieldgate::redact::{Limits, Plan, Redactor, Sink};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Elements hidden, and nothing else.
const HIDE: &str = include_str!("../../benches/compare/hide.yaml");

/// Rows, labels, a date made coarser, a number masked.
const EVERYDAY: &str = include_str!("../../benches/compare/everyday.yaml");

/// Two transforms, and no condition.
const TRANSFORM: &str = "
version: 1
fhir: R4
roles:
  desk:
    about: Tells patients apart by year of birth and the end of a number.
    owner: tests
    purposes: [TREAT]
    sees:
      Patient: { '*': show, birthDate: year, identifier.value: { mask: { keep_last: 4 } } }
";

const HEAD: &[u8] = br#"{"resourceType":"Bundle","type":"collection","entry":["#;

const WINDOW: usize = 16 << 10;

fn plan(policy: &str) -> Arc<Plan> {
    let (policy, _) = Policy::parse("policy.yaml", policy, &Definitions::r4()).unwrap();
    let (_, view) = policy.roles().next().unwrap();
    Arc::clone(view.plan())
}

fn population() -> Population {
    Population::generate(DEMO_SEED, DEMO_PATIENTS, jiff::civil::date(2026, 11, 22))
}

/// Each resource as an entry of a Bundle, with the comma behind it.
fn entries(population: &Population) -> Vec<Vec<u8>> {
    let entry = |resource| format!(r#"{{"fullUrl":"urn:uuid:1","resource":{resource}}},"#).into_bytes();
    population.resources().map(entry).collect()
}

/// A redactor, and what it has taken since there is one.
struct Stream {
    redactor: Redactor,
    start: Counts,
}

/// A sink that needs no memory.
struct Nowhere;

impl Sink for Nowhere {
    fn keep(&mut self, _: Range<usize>) {}
    fn put(&mut self, _: &[u8]) {}
}

impl Stream {
    fn new(plan: Arc<Plan>) -> Self {
        let start = counting::so_far();
        let given = Given { today: Some(jiff::civil::date(2026, 11, 22)), ..Given::default() };
        Self { redactor: counting::during(|| Redactor::new(plan, given, Limits::default())), start }
    }

    /// Answers how many allocations a piece took, and how many bytes they asked for.
    fn feed(&mut self, piece: &[u8]) -> (u64, u64) {
        let before = counting::so_far();
        counting::during(|| self.redactor.write(piece, &mut Nowhere)).unwrap();
        let after = counting::so_far();
        (after.allocations - before.allocations, after.bytes - before.bytes)
    }

    fn live(&self) -> i64 {
        counting::so_far().live - self.start.live
    }

    /// The most it had at once. A test has one stream, since a thread has one peak.
    fn peak(&self) -> i64 {
        counting::so_far().peak - self.start.live
    }

    fn transformed(&self) -> u64 {
        self.redactor.tally().elements().map(|(_, _, count)| count.transformed).sum()
    }

    fn ids(&self) -> usize {
        let tally = self.redactor.tally();
        tally.resources().map(|(_, ids)| ids.known.len()).sum::<usize>() + tally.patients.known.len()
    }
}

impl Write for Stream {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.feed(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A stream that has seen all entries, entry by entry, more than once: its buffers are as large as they get.
fn warm(plan: Arc<Plan>, entries: &[Vec<u8>]) -> Stream {
    let mut stream = Stream::new(plan);
    stream.feed(HEAD);
    for _ in 0..3 {
        entries.iter().for_each(|entry| _ = stream.feed(entry));
    }
    stream
}

#[test]
fn a_view_that_only_hides_allocates_nothing_for_a_further_resource() {
    let entries = entries(&population());
    for plan in [plan(HIDE), Arc::new(Plan::keep_all())] {
        let mut stream = warm(plan, &entries);
        let taken: u64 = entries.iter().cycle().take(10 * entries.len()).map(|entry| stream.feed(entry).0).sum();
        assert_eq!(taken, 0, "for {} resources", 10 * entries.len());
    }
}

/// A redactor is made for each, so that what it begins with is paid each time.
#[test]
fn a_short_document_costs_21_allocations_at_the_most_and_15_kib() {
    let population = population();
    let patient = population.resources().find(|resource| resource["resourceType"] == "Patient").unwrap().to_string();
    let mut stream = Stream::new(plan(HIDE));
    stream.feed(patient.as_bytes());
    let taken = counting::so_far().allocations - stream.start.allocations;
    let bytes = counting::so_far().bytes - stream.start.bytes;
    println!("{taken} allocations of {bytes} bytes for a Patient of {} bytes", patient.len());
    assert!(taken <= 21 && bytes <= 15 << 10, "{taken} allocations of {bytes} bytes");
}

/// What waits in the input is made the redactor's own, in buffers that it has.
#[test]
fn a_border_of_windows_within_a_resource_costs_a_view_that_only_hides_no_allocation() {
    let text = entries(&population()).concat();
    let mut stream = Stream::new(plan(HIDE));
    stream.feed(HEAD);
    for _ in 0..3 {
        text.chunks(WINDOW).for_each(|piece| _ = stream.feed(piece));
    }
    let taken: u64 = text.chunks(WINDOW).map(|piece| stream.feed(piece).0).sum();
    assert_eq!(taken, 0, "for {} windows", text.len().div_ceil(WINDOW));
}

/// What the value becomes, which may grow once, and that as JSON.
#[test]
fn a_transformed_value_costs_three_small_allocations_at_the_most_and_what_stands_around_it_none() {
    let entries = entries(&population());
    let mut stream = warm(plan(TRANSFORM), &entries);
    let (mut all, mut values) = (0, 0);
    for entry in &entries {
        let transformed = stream.transformed();
        let (taken, bytes) = stream.feed(entry);
        let transformed = stream.transformed() - transformed;
        assert!(taken <= 3 * transformed && bytes <= 128 * transformed, "{taken} allocations for {transformed} values");
        (all, values) = (all + taken, values + transformed);
    }
    println!("{all} allocations for {values} values");
    assert!(values > 20, "{values} values");
}

/// A condition with `..` keeps a list of where it has still to look.
#[test]
fn a_resource_under_the_everyday_policy_costs_what_its_conditions_do_and_leaves_nothing_behind() {
    let entries = entries(&population());
    let mut stream = warm(plan(EVERYDAY), &entries);
    let (live, mut all, mut most) = (stream.live(), 0, (0, 0));
    for entry in &entries {
        let (taken, bytes) = stream.feed(entry);
        assert!(taken <= 12 && bytes <= 512, "{taken} allocations of {bytes} bytes");
        all += taken;
        most = most.max((taken, bytes));
    }
    println!("{all} allocations for {} resources, at the most {most:?}", entries.len());
    assert_eq!(stream.live(), live, "nothing of it stays");
}

const STREAM: usize = 64 << 20;
const MOST: i64 = 256 << 10;

#[test]
fn a_stream_of_64_mib_never_has_more_than_256_kib() {
    let text = entries(&population()).concat();
    for (name, plan) in [("hide", plan(HIDE)), ("everyday", plan(EVERYDAY)), ("keep all", Arc::new(Plan::keep_all()))] {
        let peak = alone(|| {
            let mut stream = Stream::new(plan);
            stream.feed(HEAD);
            // Of a length that shares nothing with a window's, so that borders fall everywhere.
            for _ in 0..STREAM.div_ceil(text.len()) {
                text.chunks(70_001).for_each(|piece| _ = stream.feed(piece));
            }
            stream.peak()
        });
        println!("{name}: {peak} bytes at the most");
        assert!(peak <= MOST, "{name}: {peak} bytes");
    }
}

/// The tally notes each id, up to 10000 of a type, as the audit trail needs them; a node of its tree and a box is each.
#[test]
fn a_stream_of_64_mib_of_ever_new_ids_has_those_beside_and_nothing_else_that_grows() {
    let population = population();
    for (name, plan) in [("hide", plan(HIDE)), ("everyday", plan(EVERYDAY))] {
        let (peak, ids) = alone(|| {
            let mut stream = Stream::new(plan);
            population.write_bundle(&mut stream, STREAM as u64).unwrap();
            (stream.peak(), stream.ids())
        });
        println!("{name}: {peak} bytes at the most, with {ids} ids");
        assert!(ids > 20_000, "{ids} ids");
        assert!(peak <= MOST + 72 * ids as i64, "{name}: {peak} bytes for {ids} ids");
    }
}

/// An Observation that goes on for about as many bytes, made of this.
fn long(item: &str, bytes: usize) -> Vec<u8> {
    let items = vec![item; bytes / (item.len() + 1)].join(",");
    format!(r#"{{"resource":{{"resourceType":"Observation","id":"1","component":[{items}]}}}},"#).into_bytes()
}

/// Its bytes, in a buffer that doubles, and while it is decided its marks, which are the more the shorter its tokens are.
#[test]
fn a_value_that_is_held_needs_eleven_times_its_length_at_the_most_and_one_over_the_limit_twice_the_limit() {
    const COMPONENT: &str = r#"{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]}}"#;
    let limit = Limits::default().hold;
    for (item, bytes) in
        [(COMPONENT, 4 << 20), ("1", 4 << 20), (r#""""#, limit - 1000), (COMPONENT, STREAM), ("1", STREAM)]
    {
        let text = long(item, bytes);
        let (peak, over) = alone(|| {
            let mut stream = Stream::new(plan(EVERYDAY));
            stream.feed(HEAD);
            text.chunks(WINDOW).for_each(|piece| _ = stream.feed(piece));
            (stream.peak(), stream.redactor.tally().over_limit)
        });
        println!("{bytes} bytes of {item}: {peak} bytes at the most");
        assert_eq!(over > 0, bytes > limit);
        let most = if bytes > limit { 2 * limit } else { 11 * text.len() };
        assert!(peak <= MOST + most as i64, "{peak} bytes for {} of {item}", text.len());
    }
}

/// On a thread of its own, whose counts begin at nothing.
fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}
