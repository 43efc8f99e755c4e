//! What a run has found, row by row: as a table for people and as JSON for programs.
//!
//! It holds templates of requests, names of elements and places. No value, id or credential is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::rows::{Control, Row, WAYS};

/// How many findings of a row are told to people; programs get all.
const TOLD: usize = 3;
/// How wide the name of a way is written.
const WIDE: usize = 40;

/// What a run has found.
#[derive(Debug)]
pub struct Report {
    rows: Vec<RowReport>,
    requests: usize,
}

/// What was found of one row.
#[derive(Debug)]
pub struct RowReport {
    /// The row.
    pub row: Row,
    /// The way around the filter.
    pub way: &'static str,
    /// What can be said of it.
    pub verdict: Verdict,
    /// How many probes were sent.
    pub probes: usize,
    /// How many of them told nothing.
    pub held: usize,
    /// How many of them told something that is withheld.
    pub leaks: usize,
    /// What they told, each once: the request with names in place of values, and what was found.
    pub findings: Vec<(String, String)>,
    /// What could not be judged, or was not tried, and why.
    pub notes: Vec<String>,
}

/// What can be said of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Something withheld can be learnt this way.
    Leak,
    /// It was tried, and nothing can be said.
    Inconclusive,
    /// Nothing was learnt by any probe.
    Held,
    /// It was not tried.
    NotTried,
}

/// One leak.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    pub(super) request: String,
    pub(super) what: String,
}

/// What is counted of a row.
#[derive(Debug, Default)]
pub(super) struct Tally {
    held: usize,
    leaks: usize,
    findings: BTreeSet<Finding>,
    unjudged: Vec<String>,
    /// How many probes showed an element that a plain reading shows as well.
    shown_anyway: BTreeMap<String, usize>,
    pub(super) not_tried: BTreeSet<String>,
}

impl Tally {
    /// Counts a probe by what it has told.
    pub(super) fn judged(&mut self, findings: Vec<Finding>) {
        if findings.is_empty() {
            self.held += 1;
        } else {
            self.leaks += 1;
            self.findings.extend(findings);
        }
    }

    /// Counts a probe that shows what a plain reading shows.
    pub(super) fn shown_anyway(&mut self, element: &str) {
        *self.shown_anyway.entry(element.to_owned()).or_default() += 1;
    }

    /// Counts a probe of which nothing can be said.
    pub(super) fn unjudged(&mut self, why: String) {
        self.unjudged.push(why);
    }
}

impl Report {
    pub(super) fn new(
        mut tallies: BTreeMap<Row, Tally>,
        picked: &[Row],
        requests: usize,
        failed: impl Fn(Control) -> Option<&'static str>,
    ) -> Self {
        let ways = WAYS.iter().filter(|way| picked.is_empty() || picked.contains(&way.row));
        let rows = ways.map(|way| {
            let tally = tallies.remove(&way.row).unwrap_or_default();
            let unjudged = tally.unjudged.len() + tally.shown_anyway.values().sum::<usize>();
            let probes = tally.held + tally.leaks + unjudged;
            let anyway = tally.shown_anyway.iter().map(|(element, probes)| {
                format!("{element} is shown by {probes} of them, as by a plain reading: see L00 and L07")
            });
            let anyway: Vec<String> = anyway.collect();
            let failed = failed(way.control).filter(|_| way.inside.is_none());
            let verdict = match (tally.leaks, probes) {
                (1.., _) => Verdict::Leak,
                _ if failed.is_some() => Verdict::Inconclusive,
                (_, 0) => Verdict::NotTried,
                _ if unjudged > 0 => Verdict::Inconclusive,
                _ => Verdict::Held,
            };
            let notes = way.inside.or(failed).map(str::to_owned).into_iter();
            RowReport {
                row: way.row,
                way: way.way,
                verdict,
                probes,
                held: tally.held,
                leaks: tally.leaks,
                findings: tally.findings.into_iter().map(|finding| (finding.request, finding.what)).collect(),
                notes: notes.chain(anyway).chain(tally.unjudged).chain(tally.not_tried).collect(),
            }
        });
        Self { rows: rows.collect(), requests }
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[RowReport] {
        &self.rows
    }

    /// How many requests were sent.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Whether each row held or could not be tried.
    pub fn is_held(&self) -> bool {
        self.rows.iter().all(|row| matches!(row.verdict, Verdict::Held | Verdict::NotTried))
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }

    /// The report for programs.
    pub fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "row": row.row.to_string(), "way": row.way, "verdict": row.verdict.as_str(),
                "probes": row.probes, "held": row.held, "leaks": row.leaks,
                "findings": row.findings.iter().map(|(request, what)| json!({ "request": request, "found": what })).collect::<Vec<_>>(),
                "notes": row.notes,
            })
        });
        json!({ "held": self.is_held(), "requests": self.requests, "rows": rows.collect::<Vec<_>>() })
    }

    /// Writes the report for people. Colours are written always; where `out` is no terminal its stream takes them away.
    ///
    /// # Errors
    /// Where `out` can't be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        const BOLD: Style = Style::new().bold();
        writeln!(out, "{BOLD}row  {:WIDE$}  probes    held   leaks  {BOLD:#}", "way")?;
        for row in &self.rows {
            let style = row.verdict.style();
            writeln!(
                out,
                "{}  {:WIDE$}  {:>6}  {:>6}  {:>6}  {style}{}{style:#}",
                row.row, row.way, row.probes, row.held, row.leaks, row.verdict
            )?;
            let findings = row.findings.iter().map(|(request, what)| format!("{request}: {what}"));
            let quiet = row.verdict == Verdict::Held;
            let notes = row.notes.iter().filter(|_| !quiet).cloned();
            for list in [findings.collect::<Vec<_>>(), notes.collect()] {
                for line in list.iter().take(TOLD) {
                    writeln!(out, "     {line}")?;
                }
                if list.len() > TOLD {
                    writeln!(out, "     and {} more, with --json", list.len() - TOLD)?;
                }
            }
        }
        writeln!(
            out,
            "\n{} held, {} leak, {} inconclusive, {} not tried; {} requests",
            self.count(Verdict::Held),
            self.count(Verdict::Leak),
            self.count(Verdict::Inconclusive),
            self.count(Verdict::NotTried),
            self.requests
        )
    }
}

impl Verdict {
    /// The verdict as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leak => "leak",
            Self::Inconclusive => "inconclusive",
            Self::Held => "held",
            Self::NotTried => "not-tried",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Leak => AnsiColor::Red.on_default().bold(),
            Self::Inconclusive => AnsiColor::Yellow.on_default().bold(),
            Self::Held => AnsiColor::Green.on_default(),
            Self::NotTried => Style::new().dimmed(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leak => "LEAK",
            Self::NotTried => "not tried",
            other => other.as_str(),
        })
    }
}
