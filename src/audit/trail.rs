//! The files of a trail, read in order and in bounded memory.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::{Path, PathBuf};

/// No record is as long as this; a line that is, is none.
const LINE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a trail cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The directory or one of its files cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The directory holds no trail.
    #[error("{} holds no audit files (audit-….jsonl)", .path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// What was found could not be handed on.
    #[error("cannot write the report")]
    Write {
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// One file of a trail, named for the sequence number of its first record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn new(directory: &Path, first: u64) -> Self {
        Self { first, path: directory.join(format!("audit-{first:020}.jsonl")) }
    }

    /// The segments of a directory, in the order of their records. Other files are none of the trail's.
    pub(super) fn list(directory: &Path) -> Result<Vec<Self>, TrailError> {
        let read = |source| TrailError::Read { path: directory.to_owned(), source };
        let mut segments = Vec::new();
        for entry in fs::read_dir(directory).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            let first = name
                .to_str()
                .and_then(|name| name.strip_prefix("audit-")?.strip_suffix(".jsonl"))
                .filter(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok());
            segments.extend(first.map(|first| Self::new(directory, first)));
        }
        segments.sort();
        Ok(segments)
    }

    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn lines(&self) -> Result<Lines, TrailError> {
        let file = File::open(&self.path).map_err(|source| self.unread(source))?;
        Ok(Lines { file: BufReader::new(file).take(LINE_BYTES), number: 0, offset: 0 })
    }

    pub(super) fn unread(&self, source: io::Error) -> TrailError {
        TrailError::Read { path: self.path.clone(), source }
    }
}

/// The lines of one file.
#[derive(Debug)]
pub(super) struct Lines {
    file: Take<BufReader<File>>,
    number: u64,
    offset: u64,
}

/// One line, without its line feed.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    /// From 1 on.
    pub(super) number: u64,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// Whether a line feed ends it.
    pub(super) ended: bool,
}

impl Lines {
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        self.file.set_limit(LINE_BYTES);
        let length = self.file.read_until(b'\n', &mut bytes)?;
        if length == 0 {
            return Ok(None);
        }
        let ended = bytes.pop_if(|byte| *byte == b'\n').is_some();
        let offset = self.offset;
        self.number = self.number.saturating_add(1);
        self.offset = self.offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        Ok(Some(Line { bytes, number: self.number, offset, ended }))
    }

    /// Reads on after a line that has not ended: its writer may have been in the middle of it.
    pub(super) fn finish(&mut self, line: &mut Line) -> io::Result<()> {
        let room = LINE_BYTES.saturating_sub(u64::try_from(line.bytes.len()).unwrap_or(u64::MAX));
        self.file.set_limit(room);
        let length = self.file.read_until(b'\n', &mut line.bytes)?;
        line.ended = line.bytes.pop_if(|byte| *byte == b'\n').is_some();
        self.offset = self.offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        Ok(())
    }
}
