//! The files that the journal writes: opening them where the last process left off, appending, rotating.
//!
//! One process owns a directory at a time. What is answered as written is on the disk; what is not was cut off again, so
//! that the chain has neither gap nor fork. A torn end is set aside, never dropped.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::chain::{Chain, Hash, Link};
use super::entry::{Body, Recovered};
use super::trail::{Segment, TrailError};

/// Why a trail cannot be opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory cannot be made, locked or looked at.
    #[error("cannot use {} as the audit directory", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Others could remove records.
    #[error("{} can be written by others: take that right away (chmod go-w)", .path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
    },
    /// Another journal writes here.
    #[error("{} is in use by another gateway: give each its own audit directory", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The records that are there cannot be read.
    #[error("cannot go on with the audit trail that is there")]
    Trail(#[from] TrailError),
    /// The records that are there are no unbroken chain.
    #[error(
        "the chain is broken at {file} line {line}: run `fieldgate audit verify`, keep that directory, and start a new one"
    )]
    Broken {
        /// The file's name.
        file: String,
        /// The line, from 1 on.
        line: u64,
    },
    /// A first record, or the note of a torn end, cannot be written.
    #[error("cannot write to the audit trail in {}", .path.display())]
    Write {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// The open end of a trail.
#[derive(Debug)]
pub(super) struct Log {
    directory: PathBuf,
    rotate_bytes: NonZeroU64,
    chain: Chain,
    file: File,
    /// The length of the file up to the last record that counts.
    length: u64,
    /// Something beyond `length` may have been written, which must go first.
    unsettled: bool,
    /// Held as long as the log is.
    _lock: File,
}

impl Log {
    /// Opens the trail of a directory, or begins one.
    pub(super) fn open(
        directory: &Path,
        rotate_bytes: NonZeroU64,
        node: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, LogError> {
        let lock = claim(directory)?;
        let end = End::of(directory)?;
        let write = |source| LogError::Write { path: directory.to_owned(), source };
        let recovered = match &end.torn {
            true => Some(set_aside(&end.segment, end.length, node, now).map_err(write)?),
            false => None,
        };
        let file = append_to(&end.segment.path).map_err(write)?;
        let mut log = Self {
            directory: directory.to_owned(),
            rotate_bytes,
            chain: end.chain,
            file,
            length: end.length,
            unsettled: end.torn,
            _lock: lock,
        };
        synchronise(directory).map_err(write)?;
        if let Some(fields) = recovered {
            log.append([fields.as_slice()]).map_err(write)?;
        }
        Ok(log)
    }

    /// Writes the records durably, all or none, and gives the sequence number of the first.
    pub(super) fn append<'a>(&mut self, records: impl IntoIterator<Item = &'a [u8]>) -> io::Result<u64> {
        self.settle()?;
        if self.length >= self.rotate_bytes.get() {
            self.rotate()?;
        }
        let mut chain = self.chain;
        let mut lines = Vec::new();
        for fields in records {
            chain.write(fields, &mut lines);
        }
        self.unsettled = true;
        if let Err(error) = self.file.write_all(&lines).and_then(|()| self.file.sync_data()) {
            // Should this fail too, the next append tries again before it writes.
            let _ = self.settle();
            return Err(error);
        }
        self.unsettled = false;
        self.length += lines.len() as u64;
        let first = std::mem::replace(&mut self.chain, chain).next;
        Ok(first)
    }

    /// Cuts off what was not written whole.
    fn settle(&mut self) -> io::Result<()> {
        if self.unsettled {
            self.file.set_len(self.length)?;
            self.file.sync_data()?;
            self.unsettled = false;
        }
        Ok(())
    }

    /// Goes on in a new file.
    fn rotate(&mut self) -> io::Result<()> {
        let file = append_to(&Segment::new(&self.directory, self.chain.next).path)?;
        // Empty it is when an earlier attempt made it and could not go on.
        if file.metadata()?.len() != 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the next audit file is there and not empty"));
        }
        synchronise(&self.directory)?;
        self.file = file;
        self.length = 0;
        Ok(())
    }
}

/// Makes the directory if need be, and takes it for this process.
fn claim(directory: &Path) -> Result<File, LogError> {
    let failed = |source| LogError::Directory { path: directory.to_owned(), source };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if fs::metadata(directory).map_err(failed)?.permissions().mode() & 0o022 != 0 {
            return Err(LogError::Exposed { path: directory.to_owned() });
        }
    }
    let lock = append_to(&directory.join(".lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(LogError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Where the last process left off.
struct End {
    segment: Segment,
    chain: Chain,
    length: u64,
    torn: bool,
}

impl End {
    fn of(directory: &Path) -> Result<Self, LogError> {
        let segments = Segment::list(directory)?;
        let Some((last, before)) = segments.split_last() else {
            return Ok(Self { segment: Segment::new(directory, 1), chain: Chain::START, length: 0, torn: false });
        };
        let start = match before.last() {
            Some(segment) => {
                let end = Self::scan(segment, Chain { next: segment.first, head: None })?;
                if end.torn || end.chain.next != last.first {
                    return Err(LogError::Broken { file: last.name(), line: 1 });
                }
                end.chain
            }
            None if last.first == 1 => Chain::START,
            // Older files have been moved away: what the first record says of them is taken as it is.
            None => Chain { next: last.first, head: None },
        };
        let end = Self::scan(last, start)?;
        if end.chain.head.is_none() {
            return Err(LogError::Broken { file: last.name(), line: 1 });
        }
        Ok(end)
    }

    /// Follows the chain through a file to its end, or to where a last write was torn.
    fn scan(segment: &Segment, mut chain: Chain) -> Result<Self, LogError> {
        let mut lines = segment.lines()?;
        let mut length = 0;
        let mut torn = false;
        while let Some(line) = lines.next().map_err(|source| segment.unread(source))? {
            let link = if line.ended { Link::of(&line.bytes) } else { None };
            match link {
                Some(link) if !torn && chain.continues_with(&link) => {
                    chain.pass(&line.bytes);
                    length = line.offset + line.bytes.len() as u64 + 1;
                }
                // A whole record out of place, or one after a torn one, is no torn write. Cutting here would hide it.
                Some(_) => return Err(LogError::Broken { file: segment.name(), line: line.number }),
                None => torn = true,
            }
        }
        Ok(Self { segment: segment.clone(), chain, length, torn })
    }
}

/// Copies what follows `length` to a file of its own, and gives the fields of the record that says so.
fn set_aside(segment: &Segment, length: u64, node: Option<&str>, now: Timestamp) -> io::Result<Vec<u8>> {
    let mut torn = Vec::new();
    let mut file = File::open(&segment.path)?;
    file.seek(SeekFrom::Start(length))?;
    file.read_to_end(&mut torn)?;
    let (name, mut copy) = new_torn_file(segment, length)?;
    copy.write_all(&torn)?;
    copy.sync_all()?;
    Body::Recovered(Recovered {
        time: now,
        node: node.map(Into::into),
        file: segment.name().into(),
        torn: name.into(),
        bytes: torn.len() as u64,
        sha256: Hash::finish(Sha256::new_with_prefix(&torn)).to_string().into(),
    })
    .to_json()
    .map_err(io::Error::from)
}

/// A file that was not there, since a torn end may be found in the same place again before its record is written.
fn new_torn_file(segment: &Segment, length: u64) -> io::Result<(String, File)> {
    for attempt in 1..=1000 {
        let name = format!("{}.{length}.{attempt}.torn", segment.name());
        match options().create_new(true).write(true).open(segment.path.with_file_name(&name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (name, file)),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "a thousand .torn files of the same place: move them away"))
}

fn append_to(path: &Path) -> io::Result<File> {
    options().create(true).append(true).open(path)
}

/// Files that their owner alone can read.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the names of new files durable. Windows has no way and no need to.
fn synchronise(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}
