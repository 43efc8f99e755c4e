//! The tables, and the record of a run.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::contest::Timed;
use crate::corpus::{Corpus, Target};
use crate::task::Task;

/// What was measured on one corpus.
pub struct Measured {
    /// The corpus by its name.
    pub corpus: String,
    /// The bytes of one time through it.
    pub bytes: usize,
    /// What the targets call it.
    pub target: Option<Target>,
    /// Tasks A and B.
    pub tasks: [Vec<Timed>; 2],
    /// The policies: hide-only, and the everyday one.
    pub policies: Vec<Timed>,
}

impl Measured {
    /// Nothing yet.
    pub fn new(corpus: &Corpus) -> Self {
        let (bytes, target) = (corpus.len(), corpus.target);
        Self { corpus: corpus.name.clone(), bytes, target, tasks: [Vec::new(), Vec::new()], policies: Vec::new() }
    }

    fn speed(&self, timed: &Timed) -> f64 {
        self.bytes as f64 / timed.median / 1e9
    }

    /// A table: a row for each contestant, the first of which is fieldgate.
    pub fn table(&self) -> String {
        let mut table = format!("### {} ({} bytes)\n\n", self.corpus, self.bytes);
        table += "| | A, GB/s | fieldgate is × | B, GB/s | fieldgate is × |\n| --- | --- | --- | --- | --- |\n";
        let [hide, pick] = &self.tasks;
        for (hide, pick) in hide.iter().zip(pick) {
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} | {} |",
                hide.name,
                figure(self.speed(hide)),
                figure(hide.ratio),
                figure(self.speed(pick)),
                figure(pick.ratio)
            );
        }
        if !self.policies.is_empty() {
            table += "\n| a policy | GB/s | hide-only is × |\n| --- | --- | --- |\n";
        }
        for timed in &self.policies {
            let _ = writeln!(table, "| {} | {} | {} |", timed.name, figure(self.speed(timed)), figure(timed.ratio));
        }
        table
    }

    /// How many times as fast as the best of these fieldgate was; of a contestant the beginning of its name is said.
    fn against(&self, task: Task, names: &[&str]) -> Option<f64> {
        let [hide, pick] = &self.tasks;
        let timed = if task == Task::Hide { hide } else { pick };
        let named = |timed: &&Timed| names.iter().any(|name| timed.name.starts_with(name));
        timed.iter().filter(named).map(|timed| timed.ratio).min_by(f64::total_cmp)
    }
}

/// Three figures that count.
fn figure(value: f64) -> String {
    match value.abs() {
        0.0..0.1 => format!("{value:.4}"),
        0.1..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// What each target speaks of: the peers, of which the best counts, how fast fieldgate is to be beside it, and on what.
const TARGETS: [(&str, &[&str], f64, &[Target]); 8] = [
    ("simdjson's stage 1", &["simdjson stage 1"], 0.40, MEDIUM),
    ("serde_json, DOM", &["serde_json, DOM"], 25.0, MEDIUM),
    ("sonic-rs, the better of DOM and lazy iterators", &["sonic-rs, DOM", "sonic-rs, lazy iterators"], 8.0, MEDIUM),
    ("sonic-rs, lazy values in one walk", &["sonic-rs, lazy values"], 8.0, MEDIUM),
    ("simd-json, borrowed", &["simd-json"], 12.0, MEDIUM),
    ("jq", &["jq"], 250.0, MEDIUM),
    ("serde_json, DOM, on one Patient", &["serde_json, DOM"], 18.0, &[Target::Patient]),
    // Beside itself it is the other way round: how fast the pieces are.
    ("itself: in pieces of 16 KiB, beside whole", &["fieldgate, in pieces"], 0.90, MEDIUM),
];
const MEDIUM: &[Target] = &[Target::Minified, Target::Pretty];
const EVERYDAY: f64 = 0.70;

/// The targets beside what was measured: task A and B, minified and pretty.
pub fn targets(measured: &[Measured]) -> String {
    let mut table = String::from(
        "| fieldgate's speed beside | at least | A | B | A, pretty | B, pretty |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let of = |target| measured.iter().find(|measured| measured.target == Some(target));
    let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), figure);
    for (name, peers, least, on) in TARGETS {
        let mut cells = Vec::new();
        for target in [on.first(), on.get(1)] {
            let measured = target.and_then(|target| of(*target));
            for task in Task::ALL {
                let ratio = measured.and_then(|measured| measured.against(task, peers));
                cells.push(cell(if name.starts_with("itself") { ratio.map(f64::recip) } else { ratio }));
            }
        }
        let _ = writeln!(table, "| {name} | {least} | {} |", cells.join(" | "));
    }
    let everyday = |target| of(target).and_then(|measured| measured.policies.last()).map(|timed| timed.ratio.recip());
    let (minified, pretty) = (cell(everyday(Target::Minified)), cell(everyday(Target::Pretty)));
    let _ =
        writeln!(table, "| itself: everyday policy, beside hide-only | {EVERYDAY} | {minified} | – | {pretty} | – |");
    table
}

/// What a reader has to know to judge the tables.
pub fn circumstances(peers: &[String], left_out: &[String], lenient: &[String], rounds: usize) -> String {
    let machine = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = machine
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let flag = |flag: &&&str| machine.split_ascii_whitespace().any(|word| word == **flag);
    let flags: Vec<&str> = ["avx2", "avx512bw", "avx512_vbmi2"].iter().filter(flag).copied().collect();
    let quoted = |argument: String| if argument.contains(' ') { format!("{argument:?}") } else { argument };
    let arguments: Vec<String> = std::env::args().skip(1).map(quoted).collect();
    let rustflags = match env!("COMPARE_RUSTFLAGS") {
        "" => String::new(),
        flags => format!("RUSTFLAGS=\"{flags}\" "),
    };
    let mut text = String::new();
    let _ = writeln!(text, "- machine: {model}, {cores} cores, {}", flags.join(" "));
    let _ = writeln!(text, "- compiler: {}", env!("COMPARE_RUSTC"));
    let _ =
        writeln!(text, "- command, in benches/compare: `{rustflags}cargo run --release -- {}`", arguments.join(" "));
    let _ = writeln!(text, "- fieldgate: {}", commit());
    let _ = writeln!(text, "- peers: {}", peers.join("; "));
    if !left_out.is_empty() {
        let _ = writeln!(text, "- left out, since not installed: {}", left_out.join("; "));
    }
    let strict = match lenient {
        [] => "each of them in this process refuses what is not JSON".to_owned(),
        _ => format!("each of them in this process refuses what is not JSON, but {}", lenient.join("; ")),
    };
    let _ = writeln!(text, "- {strict}");
    let _ = writeln!(
        text,
        "- {rounds} rounds in turn; medians; input bytes by processor time, one thread, in cache; a ratio is the median of the rounds' ratios"
    );
    text
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let said = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".into());
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}, with changes that are not committed"),
    }
}

/// The versions of the crates that take part, as they are locked.
pub fn crates() -> Vec<String> {
    let lock = include_str!("../Cargo.lock");
    let version = |name: &&str| {
        let rest = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
        Some(format!("{name} {}", rest.split_once('"')?.0))
    };
    ["serde_json", "simd-json", "sonic-rs"].iter().filter_map(version).collect()
}

/// Writes the record of today, beside those of other days; one of the same day is never written over.
pub fn record(label: Option<&str>, text: &str) -> Outcome<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../record");
    fs::create_dir_all(&folder)?;
    let day = jiff::Zoned::now().date();
    let name = |number: usize| if number == 1 { format!("{day}.md") } else { format!("{day}-{number}.md") };
    let path = (1..).map(|number| folder.join(name(number))).find(|path| !path.exists()).ok_or("no name is left")?;
    let title = label.map_or_else(String::new, |label| format!(": {label}"));
    fs::write(&path, format!("# The core beside its peers, {day}{title}\n\n{text}"))?;
    Ok(path)
}
