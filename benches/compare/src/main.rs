//! fieldgate's redaction core beside its peers: the same task, the same bytes, one process, one thread, in turn.
//!
//! ```text
//! RUSTFLAGS="-C target-cpu=native" cargo run --release -- [--check] [--rounds N] [--record] [--label TEXT]
//!     [--hl7 FOLDER] [FILE...]
//! ```
//!
//! Each FILE is a FHIR resource; without one, Synthea's Bundles are taken from `FIELDGATE_CORPORA`. Before anything is
//! timed, every answer is compared with ours as JSON: a peer that does another task is no peer. `--check` ends there.
//! docs/benchmarks.md tells what is compared, and what is not.

mod clock;
mod contest;
mod corpus;
mod layout;
mod ours;
mod peers;
mod report;
mod same;
mod strict;
mod task;

use std::error::Error;
use std::path::PathBuf;

use fieldgate::fhir::Definitions;

use crate::contest::{Contestant, rounds};
use crate::corpus::Corpus;
use crate::ours::Fieldgate;
use crate::peers::orjson::Orjson;
use crate::peers::programs::Program;
use crate::report::Measured;
use crate::task::Task;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Arguments {
    check: bool,
    record: bool,
    label: Option<String>,
    rounds: usize,
    examples: Option<PathBuf>,
    files: Vec<PathBuf>,
}

fn arguments() -> Outcome<Arguments> {
    let mut said =
        Arguments { check: false, record: false, label: None, rounds: 31, examples: None, files: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--check" => said.check = true,
            "--record" => said.record = true,
            "--label" => said.label = Some(value()?),
            "--rounds" => said.rounds = value()?.parse()?,
            "--hl7" => said.examples = Some(value()?.into()),
            unknown if unknown.starts_with('-') => return Err(format!("unknown argument {unknown}").into()),
            file => said.files.push(file.into()),
        }
    }
    Ok(said)
}

fn main() -> Outcome<()> {
    let arguments = arguments()?;
    // What peers free stays with the process, as allocators for servers have it: otherwise glibc gives it back after each
    // large tree, and most of the next tree's time goes into getting it again.
    #[cfg(target_env = "gnu")]
    for (threshold, bytes) in [(libc::M_TRIM_THRESHOLD, 1 << 30), (libc::M_MMAP_THRESHOLD, 32 << 20)] {
        // SAFETY: it takes two numbers, and nothing else runs yet.
        if unsafe { libc::mallopt(threshold, bytes) } == 0 {
            return Err("glibc refuses a threshold of its allocator".into());
        }
    }
    let corpora = corpus::corpora(&arguments.files, arguments.examples.as_deref())?;
    let definitions = Definitions::r4();
    let folder = std::env::temp_dir().join(format!("fieldgate-compare-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = compete(&arguments, &corpora, &definitions, &folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn compete(
    arguments: &Arguments,
    corpora: &[Corpus],
    definitions: &Definitions,
    folder: &std::path::Path,
) -> Outcome<()> {
    let mut everyone: Vec<Box<dyn Contestant>> = vec![
        Box::new(Fieldgate::whole(definitions)?),
        Box::new(Fieldgate::in_pieces(definitions)?),
        Box::new(Fieldgate::again(definitions)?),
    ];
    everyone.extend(peers::in_process());
    let mut policies = [
        Fieldgate::of_policy("hide-only", "hide.yaml", include_str!("../hide.yaml"), definitions)?,
        Fieldgate::of_policy("everyday", "everyday.yaml", include_str!("../everyday.yaml"), definitions)?,
    ];
    let (mut versions, mut left_out) = (report::crates(), Vec::new());
    #[cfg(feature = "simdjson")]
    versions.push(format!("simdjson {}", peers::simdjson::version()));
    #[cfg(not(feature = "simdjson"))]
    left_out.push("simdjson (the feature is off)".to_owned());
    let orjson = Orjson::find(folder)?.map(|peer| Box::new(peer) as Box<dyn Contestant>);
    let jq = Program::find("jq", "COMPARE_JQ", false, folder)?.map(|peer| Box::new(peer) as Box<dyn Contestant>);
    let jaq = Program::find("jaq", "COMPARE_JAQ", true, folder)?.map(|peer| Box::new(peer) as Box<dyn Contestant>);
    for (name, peer) in [("orjson", orjson), ("jq", jq), ("jaq", jaq)] {
        match peer {
            Some(peer) => {
                versions.push(peer.name());
                everyone.push(peer);
            }
            None => left_out.push(name.to_owned()),
        }
    }
    let mut everyone: Vec<&mut dyn Contestant> =
        everyone.iter_mut().map(|each| &mut **each as &mut dyn Contestant).collect();
    let lenient = strict::lenient(&mut everyone)?;
    let circumstances = report::circumstances(&versions, &left_out, &lenient, arguments.rounds);
    println!("{circumstances}");

    for corpus in corpora {
        for task in Task::ALL {
            same::check(&mut everyone, task, corpus)?;
        }
        for policy in &mut policies {
            same::check_policy(policy, corpus)?;
        }
        println!("checked: {}, {} bytes", corpus.name, corpus.len());
    }
    if arguments.check {
        return Ok(());
    }

    let mut all = Vec::new();
    for corpus in corpora {
        let mut measured = Measured::new(corpus);
        for (task, timed) in Task::ALL.into_iter().zip(&mut measured.tasks) {
            *timed = rounds(&mut everyone, task, corpus, arguments.rounds)?;
        }
        let [hide, everyday] = &mut policies;
        measured.policies = rounds(&mut [hide, everyday], Task::Hide, corpus, arguments.rounds)?;
        println!("\n{}", measured.table());
        all.push(measured);
    }
    let targets = report::targets(&all);
    println!("\n{targets}");
    if arguments.record {
        let tables: Vec<String> = all.iter().map(Measured::table).collect();
        let text = format!("{circumstances}\n## Targets\n\n{targets}\n## Tables\n\n{}", tables.join("\n"));
        println!("recorded in {}", report::record(arguments.label.as_deref(), &text)?.display());
    }
    Ok(())
}
