//! The redaction core alone: bytes in, bytes out, one thread. `cargo bench --bench redact`.
//!
//! The input is a Bundle of the synthetic practice; `FIELDGATE_BENCH_FILE` names another. Each role of the example
//! policy is timed, and beside it the lexer alone (`keep all`), which is the most that a strict walk could reach.
#![allow(missing_docs, clippy::expect_used, reason = "a bench has no callers and may stop where it cannot go on")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fieldgate::demo::people::{DEMO_PATIENTS, DEMO_SEED, Population};
use fieldgate::fhir::Definitions;
use fieldgate::policy::Policy;
use fieldgate::redact::transform::{Given, Secret};
use fieldgate::redact::{Copied, Limits, Plan, Redactor};

fn redact(plan: &Arc<Plan>, given: &Given, text: &[u8], piece: usize, out: &mut Vec<u8>) {
    out.clear();
    let mut redactor = Redactor::new(Arc::clone(plan), given.clone(), Limits::default());
    for piece in text.chunks(piece) {
        redactor.write(piece, &mut Copied { piece, out }).expect("the input is JSON");
    }
    redactor.finish(&mut Copied { piece: &[], out }).expect("the input is whole");
}

fn roles(criterion: &mut Criterion) {
    let today = jiff::civil::date(2026, 11, 22);
    let text = match std::env::var_os("FIELDGATE_BENCH_FILE") {
        Some(file) => std::fs::read(file).expect("FIELDGATE_BENCH_FILE can be read"),
        None => Population::generate(DEMO_SEED, DEMO_PATIENTS, today).bundle(),
    };
    let definitions = Definitions::r4();
    let (policy, _) = Policy::parse("config/policy.yaml", include_str!("../config/policy.yaml"), &definitions)
        .expect("the example policy has no mistakes");
    let secret = Secret::new(*b"a secret of the benches, of 32 bytes").expect("it is long enough");
    let given = Given { today: Some(today), secret: Some(Arc::new(secret)), addresses: None, bounds: None };
    let keep_all = Arc::new(Plan::keep_all());
    let plans =
        std::iter::once(("keep all", &keep_all)).chain(policy.roles().map(|(role, view)| (role.as_str(), view.plan())));

    let mut group = criterion.benchmark_group("redact");
    group.throughput(Throughput::Bytes(text.len() as u64));
    let mut out = Vec::with_capacity(text.len() * 2);
    for (name, plan) in plans {
        group.bench_function(format!("{name}, whole"), |bencher| {
            bencher.iter(|| redact(black_box(plan), &given, black_box(&text), text.len(), &mut out));
        });
        group.bench_function(format!("{name}, pieces of 16 KiB"), |bencher| {
            bencher.iter(|| redact(black_box(plan), &given, black_box(&text), 16 << 10, &mut out));
        });
    }
    group.finish();
}

criterion_group!(benches, roles);
criterion_main!(benches);
