//! The files of a trail, read in order and in bounded memory. It must never read a line that is still being written as if
//! it were whole.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _, Take};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// No record is as long as this; a line that is, is none.
const LINE_BYTES: u64 = 64 * 1024 * 1024;

/// How long the writer of a line is given to end it, and how often it is looked at meanwhile.
const LINE_END: (Duration, u32) = (Duration::from_millis(20), 25);

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

/// A line, and the file that it stands in.
pub(super) struct Read {
    pub(super) segment: Segment,
    pub(super) line: Line,
}

/// All lines of a trail, in order, with a look ahead.
pub(super) struct Reader<'a> {
    segments: VecDeque<Segment>,
    open: Option<(Segment, Lines)>,
    ahead: Option<Read>,
    files: usize,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Reader<'a> {
    pub(super) fn open(directory: &Path, progress: &'a mut dyn FnMut(u64, u64)) -> Result<Self, TrailError> {
        let segments = VecDeque::from(Segment::list(directory)?);
        if segments.is_empty() {
            return Err(TrailError::Empty { path: directory.to_owned() });
        }
        let mut total = 0;
        for segment in &segments {
            total += segment.path.metadata().map_err(|source| segment.unread(source))?.len();
        }
        Ok(Self { files: segments.len(), segments, open: None, ahead: None, done: 0, total, progress })
    }

    pub(super) fn files(&self) -> usize {
        self.files
    }

    pub(super) fn next(&mut self) -> Result<Option<Read>, TrailError> {
        match self.ahead.take() {
            Some(read) => Ok(Some(read)),
            None => self.read(),
        }
    }

    pub(super) fn peek(&mut self) -> Result<Option<&Read>, TrailError> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref())
    }

    fn read(&mut self) -> Result<Option<Read>, TrailError> {
        loop {
            let (segment, lines) = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some(segment) = self.segments.pop_front() else { return Ok(None) };
                    let lines = segment.lines()?;
                    self.open.insert((segment, lines))
                }
            };
            let last_file = self.segments.is_empty();
            let Some(mut line) = lines.next().map_err(|source| segment.unread(source))? else {
                self.open = None;
                continue;
            };
            let (pause, times) = LINE_END;
            for _ in 0..times {
                if line.ended || !last_file {
                    break;
                }
                thread::sleep(pause);
                lines.finish(&mut line).map_err(|source| segment.unread(source))?;
            }
            self.done = self.done.saturating_add(line.bytes.len() as u64 + 1);
            (self.progress)(self.done, self.total.max(self.done));
            return Ok(Some(Read { segment: segment.clone(), line }));
        }
    }
}
