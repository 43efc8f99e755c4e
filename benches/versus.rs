//! `fieldgate redact` beside jq and a program that parses, deletes and writes with serde_json: the same task, the same
//! file, whole processes, in turn.
//!
//! ```text
//! cargo bench --bench versus -- FILE [RUNS]
//! ```
//!
//! FILE is a FHIR Bundle; without one, a Bundle of the synthetic practice is made. Before anything is timed, the three
//! answers are compared as JSON: a peer that does another task is no peer. jq is left out where it is not installed.
#![allow(missing_docs, reason = "a bench has no callers")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The argument by which this program is its own serde_json peer.
const PEER: &str = "--parse-delete-write";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [peer, file] if peer == PEER => parse_delete_write(Path::new(file)),
        [flag, ..] if flag.starts_with("--") => Ok(()),
        [file, runs] => compare(Path::new(file), runs.parse()?),
        [file] => compare(Path::new(file), 15),
        _ => compare(&synthetic()?, 15),
    }
}

/// The peer: everything at once in memory, as most filters do it.
fn parse_delete_write(file: &Path) -> Outcome<()> {
    let mut bundle: Value = serde_json::from_slice(&fs::read(file)?)?;
    for entry in bundle.get_mut("entry").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(resource) = entry.get_mut("resource") {
            delete(resource);
            label(resource);
        }
    }
    serde_json::to_writer(std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock()), &bundle)?;
    Ok(())
}

fn delete(resource: &mut Value) {
    let Some(members) = resource.as_object_mut() else { return };
    members.remove("text");
    if members.get("resourceType").and_then(Value::as_str) == Some("Patient") {
        for name in ["name", "telecom", "address", "birthDate", "identifier"] {
            members.remove(name);
        }
    }
    members.get_mut("contained").and_then(Value::as_array_mut).into_iter().flatten().for_each(delete);
}

fn label(resource: &mut Value) {
    let code = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "REDACTED"});
    let Some(members) = resource.as_object_mut() else { return };
    let meta = members.entry("meta").or_insert_with(|| json!({}));
    if let Some(meta) = meta.as_object_mut()
        && let Some(labels) = meta.entry("security").or_insert_with(|| json!([])).as_array_mut()
    {
        labels.push(code);
    }
}

fn compare(file: &Path, runs: usize) -> Outcome<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/versus");
    let command = |program: &Path, arguments: &[&Path]| {
        let mut command = Command::new(program);
        command.args(arguments).stderr(Stdio::inherit());
        command
    };
    let redact = ["redact", "--policy"].map(Path::new);
    let (policy, query) = (here.join("policy.yaml"), here.join("reader.jq"));
    let role = ["--role", "reader"].map(Path::new);
    let fieldgate: Vec<&Path> = redact.into_iter().chain([policy.as_path()]).chain(role).chain([file]).collect();
    let mut contestants = vec![
        ("fieldgate redact", command(Path::new(env!("CARGO_BIN_EXE_fieldgate")), &fieldgate)),
        ("serde_json", command(&std::env::current_exe()?, &[Path::new(PEER), file])),
    ];
    match Command::new("jq").arg("--version").output() {
        Ok(_) => contestants.push((
            "jq",
            command(
                Path::new("jq"),
                &["-c", "-f"].map(Path::new).into_iter().chain([query.as_path(), file]).collect::<Vec<_>>(),
            ),
        )),
        Err(_) => println!("jq is not installed and left out"),
    }

    let mut answers = Vec::new();
    for (name, command) in &mut contestants {
        let output = command.stdout(Stdio::piped()).output()?;
        if !output.status.success() {
            return Err(format!("{name} failed").into());
        }
        answers.push(serde_json::from_slice::<Value>(&output.stdout)?);
    }
    if let Some(place) = answers.iter().position(|answer| Some(answer) != answers.first()) {
        let name = contestants.get(place).map_or("a peer", |(name, _)| name);
        return Err(format!("{name} does another task: its answer differs as JSON").into());
    }

    let mut times = vec![Vec::new(); contestants.len()];
    for _ in 0..runs {
        for ((_, command), times) in contestants.iter_mut().zip(&mut times) {
            let start = Instant::now();
            command.stdout(Stdio::null()).status()?;
            times.push(start.elapsed());
        }
    }
    let size = fs::metadata(file)?.len();
    println!("{} bytes, {runs} runs of each in turn, whole processes; medians", size);
    let ours = median(times.first_mut().ok_or("no runs")?);
    for ((name, _), times) in contestants.iter().zip(&mut times) {
        let time = median(times);
        let ratio = time.as_secs_f64() / ours.as_secs_f64();
        println!("{name:18} {:9.2} ms  {ratio:7.1} x", time.as_secs_f64() * 1e3);
    }
    Ok(())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// A Bundle of the synthetic practice of some 4 MB.
#[cfg(feature = "demo")]
fn synthetic() -> Outcome<PathBuf> {
    use fieldgate::demo::people::{DEMO_PATIENTS, DEMO_SEED, Population};
    let path = std::env::temp_dir().join("fieldgate-versus.json");
    let population = Population::generate(DEMO_SEED, DEMO_PATIENTS, jiff::civil::date(2026, 11, 22));
    population.write_bundle(std::io::BufWriter::new(fs::File::create(&path)?), 4 << 20)?;
    Ok(path)
}

#[cfg(not(feature = "demo"))]
fn synthetic() -> Outcome<PathBuf> {
    Err("say which FILE: cargo bench --bench versus -- FILE".into())
}
