//! Checks a trail from its first line to its last, and names the first record that is wrong.
//!
//! The chain proves that between the first record and the last nothing was changed, removed, inserted or moved. It cannot
//! prove where it ends: whoever cuts off the end, or rewrites the last record, leaves a chain that is whole. Only a record
//! that was noted elsewhere ([`Noted`]) shows that.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

use super::chain::{Chain, Hash, Kind, Link, NotAHash};
use super::trail::{Read, Reader, Segment, TrailError};

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The files read.
    pub files: usize,
    /// The records that are good, up to the first that is not.
    pub records: u64,
    /// The sequence number of the first record; above 1 where older files have been moved away.
    pub first: Option<u64>,
    /// The sequence number of the last good record.
    pub last: Option<u64>,
    /// The hash of the last good record. Note it elsewhere together with `last`.
    pub head: Option<Hash>,
    /// The requests that began and have no end: under way, or lost with their process.
    pub incomplete: usize,
    /// How often each kind of record was found.
    pub kinds: BTreeMap<&'static str, u64>,
    /// The first record that is wrong.
    pub bad: Option<Bad>,
}

/// A record that is wrong, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// The file's name.
    pub file: String,
    /// The line, from 1 on.
    pub line: u64,
    /// The sequence number that this record has, or should have.
    pub sequence: u64,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Wrong {
    /// It is not what was written.
    Changed,
    /// The records from `from` to `to` are missing before it.
    Removed {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// It does not belong here: a copy, or another record with a number that is taken.
    Inserted,
    /// It stands before a record that came earlier.
    Reordered,
    /// Its line has no end.
    Truncated,
    /// The chain ends here, before the record that was noted.
    CutOff {
        /// The sequence number of the noted record.
        noted: u64,
    },
    /// It is not the record that was noted: the chain was written anew.
    NotAsNoted,
    /// The noted record was before the first that is here, so that nothing can be said.
    NotHere {
        /// The sequence number of the noted record.
        noted: u64,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => write!(f, "changed: it is not what was written"),
            Self::Removed { from, to } if from == to => write!(f, "removed: record {from} is missing before it"),
            Self::Removed { from, to } => write!(f, "removed: records {from} to {to} are missing before it"),
            Self::Inserted => write!(f, "inserted: its number is taken by a record before it"),
            Self::Reordered => write!(f, "reordered: an earlier record comes after it"),
            Self::Truncated => write!(
                f,
                "truncated: the line has no end (after a crash, start the gateway: it sets such a line aside and says so)"
            ),
            Self::CutOff { noted } => write!(f, "truncated: the chain ends here, and record {noted} was noted"),
            Self::NotAsNoted => write!(f, "changed: it does not have the hash that was noted"),
            Self::NotHere { noted } => {
                write!(f, "not comparable: record {noted} was noted, and the files that are here begin after it")
            }
        }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}, record {}: {}", self.file, self.line, self.sequence, self.wrong)
    }
}

/// A record whose hash was noted elsewhere at an earlier check: `SEQUENCE:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    sequence: u64,
    hash: Hash,
}

impl FromStr for Noted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sequence, hash) = text.split_once(':').ok_or("write SEQUENCE:HASH, as `audit verify` prints it")?;
        let sequence = sequence.parse().map_err(|_| "the sequence number is not a number".to_owned())?;
        let hash = hash.parse().map_err(|error: NotAHash| error.to_string())?;
        Ok(Self { sequence, hash })
    }
}

/// Checks the trail in a directory. A gateway may be writing to it meanwhile.
///
/// Memory grows with the requests that have no end alone. `progress` is told the bytes read and the bytes there are.
///
/// # Errors
/// The trail cannot be read. A trail that is wrong is no error: it is in the report.
pub fn verify(
    directory: &Path,
    noted: Option<Noted>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, TrailError> {
    let mut checker = Checker::new(noted);
    let mut reader = Reader::open(directory, progress)?;
    while checker.is_whole() {
        let Some(read) = reader.next()? else { break };
        checker.check(&read, &mut reader)?;
    }
    Ok(checker.finish(reader.files()))
}

/// Follows the chain over the lines that it is given, until the first that is wrong.
pub(super) struct Checker {
    noted: Option<Noted>,
    chain: Option<Chain>,
    previous: Option<(Segment, u64)>,
    first: Option<u64>,
    records: u64,
    open: HashSet<u64>,
    kinds: BTreeMap<&'static str, u64>,
    bad: Option<Bad>,
}

impl Checker {
    pub(super) fn new(noted: Option<Noted>) -> Self {
        Self {
            noted,
            chain: None,
            previous: None,
            first: None,
            records: 0,
            open: HashSet::new(),
            kinds: BTreeMap::new(),
            bad: None,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.bad.is_none()
    }

    /// Checks the next line; `reader` stands behind it.
    pub(super) fn check(&mut self, read: &Read, reader: &mut Reader<'_>) -> Result<(), TrailError> {
        let Read { segment, line } = read;
        // Where the oldest files have been moved away, the chain begins with the first that is here.
        let mut chain = *self.chain.get_or_insert(match segment.first {
            1 => Chain::START,
            first => Chain { next: first, head: None },
        });
        let expected = chain.next;
        let bad = |wrong| Some(Bad { file: segment.name(), line: line.number, sequence: expected, wrong });
        if !line.ended {
            self.bad = bad(Wrong::Truncated);
            return Ok(());
        }
        let Some(link) = Link::of(&line.bytes) else {
            self.bad = bad(Wrong::Changed);
            return Ok(());
        };
        if !chain.continues_with(&link) {
            let after = match reader.peek()? {
                Some(next) => Link::of(&next.line.bytes),
                None => None,
            };
            self.bad = Some(self.name(read, &chain, &link, after.as_ref()));
            return Ok(());
        }
        if line.number == 1 && segment.first != link.seq {
            self.bad = bad(Wrong::Inserted);
            return Ok(());
        }
        chain.pass(&line.bytes);
        if let Some(noted) = self.noted
            && noted.sequence == link.seq
            && Some(noted.hash) != chain.head
        {
            self.bad = bad(Wrong::NotAsNoted);
            return Ok(());
        }
        self.chain = Some(chain);
        self.first.get_or_insert(link.seq);
        self.records += 1;
        match link.begin {
            Some(begin) => self.open.remove(&begin),
            None => link.kind == Kind::Begin && self.open.insert(link.seq),
        };
        *self.kinds.entry(link.kind.name()).or_default() += 1;
        self.previous = Some((segment.clone(), line.number));
        Ok(())
    }

    /// Tells what happened from what stands where the next record should, and from what comes after it.
    fn name(&self, read: &Read, chain: &Chain, link: &Link, after: Option<&Link>) -> Bad {
        let here = |sequence, wrong| Bad { file: read.segment.name(), line: read.line.number, sequence, wrong };
        if chain.linked_by(link) {
            // It holds the right hash, so it is the record that comes next: its number was changed.
            return here(chain.next, Wrong::Changed);
        }
        if link.seq < chain.next {
            return here(link.seq, Wrong::Inserted);
        }
        if link.seq > chain.next {
            let moved = after.is_some_and(|after| after.seq < link.seq);
            let removed = Wrong::Removed { from: chain.next, to: link.seq - 1 };
            return here(link.seq, if moved { Wrong::Reordered } else { removed });
        }
        // The number is right and the hash is not: either the record before was changed, or the hash in this one. The
        // record after this one knows whether this one is as it was written.
        let untouched = after.is_none_or(|after| after.prev == Hash::of(&read.line.bytes));
        match &self.previous {
            Some((segment, line)) if untouched => {
                Bad { file: segment.name(), line: *line, sequence: link.seq - 1, wrong: Wrong::Changed }
            }
            _ => here(link.seq, Wrong::Changed),
        }
    }

    pub(super) fn finish(mut self, files: usize) -> Report {
        let last = self.chain.filter(|_| self.records > 0).map(|chain| chain.next - 1);
        let head = self.chain.filter(|_| self.records > 0).and_then(|chain| chain.head);
        if let (None, Some(noted), Some((segment, line))) = (&self.bad, self.noted, &self.previous) {
            let sequence = last.unwrap_or_default();
            let here = |wrong| Some(Bad { file: segment.name(), line: *line, sequence, wrong });
            if noted.sequence > sequence {
                self.bad = here(Wrong::CutOff { noted: noted.sequence });
            } else if self.first.is_some_and(|first| noted.sequence < first) {
                self.bad = here(Wrong::NotHere { noted: noted.sequence });
            }
        }
        Report {
            files,
            records: self.records,
            first: self.first,
            last,
            head,
            incomplete: self.open.len(),
            kinds: self.kinds,
            bad: self.bad,
        }
    }
}
