//! Instructions, counted: what the core executes for a fixed input, held against what was recorded.
//!
//! ```text
//! cargo bench --bench counted                # counts, and fails where a workload needs more than was recorded
//! cargo bench --bench counted -- --record    # writes the record anew
//! ```
//!
//! Times depend on the machine and on who else is on it; a count does not, so a change of a few percent is seen at once.
//! Each workload is a process of its own under callgrind, which counts within [`counted`] alone: neither what is made
//! ready before it, nor what a sink would copy, is any of it. Callgrind knows no AVX-512, so the back ends are AVX2 and
//! plain, by name.
#![allow(missing_docs, reason = "a bench has no callers")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use fieldgate::demo::people::{DEMO_PATIENTS, DEMO_SEED, Population};
use fieldgate::fhir::Definitions;
use fieldgate::json::BackEnd;
use fieldgate::policy::Policy;
use fieldgate::redact::transform::Given;
use fieldgate::redact::{Limits, Plan, RedactError, Redactor, Sink};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The argument by which this program is the one that is counted.
const WORKLOAD: &str = "--workload";

/// How much more than recorded is a mistake, and how much less asks for a new record; in percent. Compilers and C
/// libraries differ by less, and two runs of one program by next to nothing.
const TOLERANCE: f64 = 3.0;

const BACK_ENDS: [&str; 2] = ["AVX2", "plain"];

/// A policy that only hides, the everyday one that the comparison has too, and all of the document let through.
const WORKLOADS: [(&str, Option<&str>); 3] = [
    ("hide", Some(include_str!("compare/hide.yaml"))),
    ("everyday", Some(include_str!("compare/everyday.yaml"))),
    ("keep all", None),
];

fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [WORKLOAD, workload, back_end] => run(workload, back_end).map(|()| ExitCode::SUCCESS),
        ["--record"] => record().map(|()| ExitCode::SUCCESS),
        [] => compare(),
        _ => Err("say --record, or nothing".into()),
    }
}

/// What is counted: one document through the redactor, from its first byte to its end. Callgrind finds it by its name.
#[inline(never)]
fn counted(redactor: &mut Redactor, text: &[u8], sink: &mut Length) -> Result<bool, RedactError> {
    redactor.write(text, sink)?;
    redactor.finish(sink)
}

/// A sink that copies nothing, since copying is the C library's work.
#[derive(Default)]
struct Length(usize);

impl Sink for Length {
    fn keep(&mut self, range: Range<usize>) {
        self.0 += range.len();
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

fn input() -> Vec<u8> {
    Population::generate(DEMO_SEED, DEMO_PATIENTS, jiff::civil::date(2026, 11, 22)).bundle()
}

fn run(workload: &str, back_end: &str) -> Outcome<()> {
    let (_, policy) = WORKLOADS.iter().find(|(name, _)| *name == workload).ok_or("there is no such workload")?;
    let back_end = BackEnd::all().find(|known| known.name() == back_end).ok_or("this machine lacks the back end")?;
    let given = Given { today: Some(jiff::civil::date(2026, 11, 22)), ..Given::default() };
    let (definitions, text) = (Definitions::r4(), input());
    let plan = match policy {
        None => Arc::new(Plan::keep_all()),
        Some(text) => {
            let (policy, _) = Policy::parse(workload, text, &definitions)?;
            let (_, view) = policy.roles().next().ok_or("the policy has no role")?;
            Arc::clone(view.plan())
        }
    };
    let mut length = Length::default();
    let mut redactor = Redactor::new(plan, given, Limits::default()).on(back_end);
    counted(&mut redactor, black_box(&text), &mut length)?;
    println!("{} {}", text.len(), length.0);
    Ok(())
}

/// A line of the record.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    workload: String,
    back_end: String,
    /// How many bytes go in, and how many come out: another input or another policy is another workload.
    bytes: [u64; 2],
    instructions: u64,
}

/// Runs a workload under callgrind.
fn count(workload: &str, back_end: &str) -> Outcome<Line> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=counted::counted*"])
        .arg(std::env::current_exe()?)
        .args([WORKLOAD, workload, back_end])
        .output()
        .map_err(|error| format!("valgrind is not here, or does not start: {error}"))?;
    let (told, collected) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("{workload}, {back_end}: {collected}").into());
    }
    let instructions = collected.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    let bytes = told.split_once(' ').and_then(|(read, shown)| Some([read.parse().ok()?, shown.trim().parse().ok()?]));
    let (Some(instructions @ 1..), Some(bytes)) = (instructions, bytes) else {
        return Err(format!("{workload}, {back_end}: nothing was counted: {collected}").into());
    };
    Ok(Line { workload: workload.into(), back_end: back_end.into(), bytes, instructions })
}

fn count_all() -> impl Iterator<Item = Outcome<Line>> {
    WORKLOADS.into_iter().flat_map(|(workload, _)| BACK_ENDS.map(|back_end| count(workload, back_end)))
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/record/instructions.txt")
}

fn record() -> Outcome<()> {
    let version = |program: &str| {
        let output = Command::new(program).arg("--version").output()?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut text = format!(
        "# What the core executes; `cargo bench --bench counted` holds it to this, and writes it anew with `-- --record`.\n\
         # {}; {}\n\
         # workload | back end | bytes in | bytes out | instructions | of them for each byte in\n",
        version("rustc")?,
        version("valgrind")?
    );
    for line in count_all() {
        let line = line?;
        writeln!(text, "{line}")?;
        println!("{line}");
    }
    fs::write(path(), text)?;
    Ok(())
}

fn compare() -> Outcome<ExitCode> {
    let text = fs::read_to_string(path())?;
    let recorded: Vec<Line> = text.lines().filter_map(Line::parse).collect();
    let mut worse = false;
    for line in count_all() {
        let line = line?;
        let known = recorded
            .iter()
            .find(|known| {
                (&known.workload, &known.back_end, known.bytes) == (&line.workload, &line.back_end, line.bytes)
            })
            .ok_or_else(|| format!("not recorded, with these bytes in and out: {line}; say -- --record"))?;
        let change = (line.instructions as f64 / known.instructions as f64 - 1.0) * 100.0;
        println!("{line} ({change:+.2} %)");
        if change > TOLERANCE {
            worse = true;
        } else if change < -TOLERANCE {
            println!("  that is better: record the new figure with `cargo bench --bench counted -- --record`");
        }
    }
    if worse {
        let told = text.lines().nth(1).unwrap_or_default();
        println!("more than {TOLERANCE} % above what was recorded by{}", told.trim_start_matches('#'));
        println!("where that is meant, or the toolchain's doing: `cargo bench --bench counted -- --record`");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

impl Line {
    /// `None` for a comment.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(" | ");
        let mut text = || fields.next().map(str::to_owned);
        let (workload, back_end) = (text()?, text()?);
        let mut number = || fields.next()?.parse().ok();
        Some(Self { workload, back_end, bytes: [number()?, number()?], instructions: number()? })
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { workload, back_end, bytes: [read, shown], instructions } = self;
        let each = *instructions as f64 / *read as f64;
        write!(f, "{workload} | {back_end} | {read} | {shown} | {instructions} | {each:.3}")
    }
}
