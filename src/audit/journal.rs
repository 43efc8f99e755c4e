//! The journal: many requests, one chain, and no answer before its record is on the disk.
//!
//! A thread of its own takes all the records that wait, writes them at once and makes them durable at once, then answers
//! every one. When that fails every `begin` of the group fails and the chain stands where it stood; the next group tries
//! again. It must never answer a `begin` that is not durable, and never skip a record that it has accepted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;
use std::{fmt, io};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Config;
use super::entry::{Answered, Asked, Body};
use super::log::{Log, LogError};
use super::record::{Begin, Refusal, Summary};

/// The most requests that wait to be recorded; further ones wait for room.
const WAITING: usize = 4096;
/// The most records of one write.
const GROUP: usize = 1024;
/// How often the ends of answers that a failing disk did not take are tried again while no request comes.
const RETRY: Duration = Duration::from_secs(1);
/// What `oldest` holds while no record waits.
const NONE: i64 = i64::MAX;

/// Why a request could not be recorded, or the journal not be opened. No body may leave then.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The trail of the directory cannot be gone on with.
    #[error("cannot open the audit journal")]
    Open(#[from] LogError),
    /// The journal's thread cannot be started.
    #[error("cannot start the audit journal")]
    Start(#[source] io::Error),
    /// The disk did not take the record.
    #[error("cannot write to the audit journal: see to the disk that holds its directory")]
    Write(#[source] Arc<io::Error>),
    /// The record has no JSON form.
    #[error("cannot write an audit record as JSON")]
    Json(#[source] serde_json::Error),
    /// The journal was closed.
    #[error("the audit journal is closed")]
    Closed,
}

/// The open journal. A clone is another handle on the same.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: Sender<Message>,
    room: Arc<Semaphore>,
    figures: Arc<Figures>,
    context: Context,
}

/// What every record of this journal shares.
#[derive(Debug, Clone)]
struct Context {
    node: Option<Arc<str>>,
    clock: fn() -> Timestamp,
}

#[derive(Debug)]
struct Figures {
    records: AtomicU64,
    failures: AtomicU64,
    /// The time of the oldest record that the writer holds, in milliseconds since the epoch, or `NONE`.
    oldest: AtomicI64,
}

impl Journal {
    /// Opens the trail in `config.directory`, taken from `base` on, where the last process left off, or begins one.
    ///
    /// `clock` tells the time of the records that no request brings: of a torn end that was set aside, and of the end of a
    /// request whose ticket was dropped.
    ///
    /// # Errors
    /// The directory cannot be written, can be written by others, is in use, or holds a broken chain.
    pub fn open(config: &Config, base: &Path, clock: fn() -> Timestamp) -> Result<Self, JournalError> {
        let directory = base.join(&config.directory);
        let log = Log::open(&directory, config.rotate_bytes, config.node.as_deref(), clock())?;
        let figures =
            Arc::new(Figures { records: AtomicU64::new(0), failures: AtomicU64::new(0), oldest: AtomicI64::new(NONE) });
        let (queue, requests) = mpsc::channel();
        let writer = Writer { log, requests, figures: Arc::clone(&figures), late: Vec::new() };
        thread::Builder::new()
            .name("audit-journal".to_owned())
            .spawn(move || writer.run())
            .map_err(JournalError::Start)?;
        let context = Context { node: config.node.as_deref().map(Into::into), clock };
        Ok(Self { queue, room: Arc::new(Semaphore::new(WAITING)), figures, context })
    }

    /// Records that a permitted request begins, and waits until the record is durable.
    ///
    /// Waits for room while over four thousand requests wait, and as long as the disk takes: give it a time limit. Where
    /// the caller of this stops waiting, a record that is written all the same ends as aborted.
    ///
    /// # Errors
    /// The record is not durable: the request must not be answered.
    pub async fn begin(&self, begin: Begin) -> Result<Ticket, JournalError> {
        let fields = Body::Begin(Asked::permitted(&begin, self.context.node.as_deref())).to_json();
        let ticket =
            Ticket { begin: None, request: begin.request_id, queue: self.queue.clone(), context: self.context.clone() };
        let (answer, answered) = oneshot::channel();
        let room = self.room().await?;
        self.send(fields, begin.time, Answer::Begin { ticket, answer, _room: room })?;
        answered.await.map_err(|_| JournalError::Closed)?
    }

    /// Records a refused request, and waits until the record is durable.
    ///
    /// # Errors
    /// The record is not durable. The request stays refused.
    pub async fn refuse(&self, refusal: Refusal) -> Result<(), JournalError> {
        let fields = Body::Refusal(Asked::refused(&refusal, self.context.node.as_deref())).to_json();
        let (answer, answered) = oneshot::channel();
        let room = self.room().await?;
        self.send(fields, refusal.time, Answer::Refusal { answer, _room: room })?;
        answered.await.map_err(|_| JournalError::Closed)?
    }

    /// How many records this process has written durably.
    pub fn records_written(&self) -> u64 {
        self.figures.records.load(Ordering::Relaxed)
    }

    /// How many writes have failed.
    pub fn write_failures(&self) -> u64 {
        self.figures.failures.load(Ordering::Relaxed)
    }

    /// The age of the oldest record that is not durable yet; zero where none waits.
    pub fn lag(&self, now: Timestamp) -> Duration {
        let oldest = self.figures.oldest.load(Ordering::Relaxed);
        let age = if oldest == NONE { 0 } else { now.as_millisecond().saturating_sub(oldest) };
        Duration::from_millis(u64::try_from(age).unwrap_or(0))
    }

    /// Writes what waits, closes the files and lets the directory go. Call it when the last answer has ended: a request
    /// that is under way keeps a `begin` without an `end`.
    ///
    /// # Errors
    /// The ends of some answers could not be written.
    pub async fn close(self) -> Result<(), JournalError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Message::Close(answer)).map_err(|_| JournalError::Closed)?;
        answered.await.map_err(|_| JournalError::Closed)?
    }

    async fn room(&self) -> Result<OwnedSemaphorePermit, JournalError> {
        Arc::clone(&self.room).acquire_owned().await.map_err(|_| JournalError::Closed)
    }

    fn send(
        &self,
        fields: Result<Vec<u8>, serde_json::Error>,
        since: Timestamp,
        answer: Answer,
    ) -> Result<(), JournalError> {
        let fields = fields.map_err(JournalError::Json)?;
        self.queue.send(Message::Write(Record { fields, since, answer })).map_err(|_| JournalError::Closed)
    }
}

/// A request whose `begin` is durable. Dropped without a summary, it ends as aborted.
#[must_use = "without a ticket nothing tells how the request ended"]
pub struct Ticket {
    /// The sequence number of the `begin`; `None` before it is written, and after the end.
    begin: Option<u64>,
    request: String,
    queue: Sender<Message>,
    context: Context,
}

impl Ticket {
    /// Records how the answer ended. The record is written with the next ones; it is lost only if the process dies first.
    pub fn complete(mut self, summary: Summary) {
        if let Some(begin) = self.begin.take() {
            let node = self.context.node.as_deref();
            let end = Answered::summed_up(begin, &self.request, node, &summary);
            self.end(end.time, &Body::End(end));
        }
    }

    fn end(&self, time: Timestamp, body: &Body<'_>) {
        if let Ok(fields) = body.to_json() {
            // Without its writer the trail keeps the begin, and `verify` counts it as incomplete.
            let _ = self.queue.send(Message::Write(Record { fields, since: time, answer: Answer::Nobody }));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(begin) = self.begin.take() {
            let time = (self.context.clock)();
            let end = Answered::aborted(begin, &self.request, self.context.node.as_deref(), time);
            self.end(time, &Body::End(end));
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("begin", &self.begin).finish_non_exhaustive()
    }
}

enum Message {
    Write(Record),
    Close(oneshot::Sender<Result<(), JournalError>>),
}

struct Record {
    fields: Vec<u8>,
    since: Timestamp,
    answer: Answer,
}

/// Who waits for a record.
enum Answer {
    Begin { ticket: Ticket, answer: oneshot::Sender<Result<Ticket, JournalError>>, _room: OwnedSemaphorePermit },
    Refusal { answer: oneshot::Sender<Result<(), JournalError>>, _room: OwnedSemaphorePermit },
    // INVARIANT: these take no room, yet never outnumber the tickets that were given out.
    Nobody,
}

struct Writer {
    log: Log,
    requests: Receiver<Message>,
    figures: Arc<Figures>,
    /// Ends that the disk has not taken yet, in order.
    late: Vec<Record>,
}

impl Writer {
    fn run(mut self) {
        loop {
            let first = if self.late.is_empty() {
                self.requests.recv().map_err(RecvTimeoutError::from)
            } else {
                self.requests.recv_timeout(RETRY)
            };
            let mut closing = None;
            let mut group = std::mem::take(&mut self.late);
            let gone = matches!(first, Err(RecvTimeoutError::Disconnected));
            for message in first.into_iter().chain(self.requests.try_iter()) {
                match message {
                    Message::Write(record) => group.push(record),
                    Message::Close(answer) => closing = Some(answer),
                }
                if group.len() >= GROUP && closing.is_none() {
                    break;
                }
            }
            let written = self.write(group);
            if let Some(answer) = closing {
                // The directory is free before anyone hears that the journal is closed.
                drop(self);
                let _ = answer.send(written);
                return;
            }
            if gone {
                return;
            }
        }
    }

    /// Writes a group and answers all who wait for it.
    fn write(&mut self, group: Vec<Record>) -> Result<(), JournalError> {
        let Some(oldest) = group.iter().map(|record| record.since.as_millisecond()).min() else { return Ok(()) };
        self.figures.oldest.store(oldest, Ordering::Relaxed);
        let written = self.log.append(group.iter().map(|record| record.fields.as_slice())).map_err(Arc::new);
        let result = match written {
            Ok(first) => {
                self.figures.records.fetch_add(group.len() as u64, Ordering::Relaxed);
                for (sequence, record) in (first..).zip(group) {
                    record.answer.written(sequence);
                }
                Ok(())
            }
            Err(error) => {
                self.figures.failures.fetch_add(1, Ordering::Relaxed);
                for record in group {
                    match record.answer {
                        Answer::Begin { answer, .. } => drop(answer.send(Err(JournalError::Write(Arc::clone(&error))))),
                        Answer::Refusal { answer, .. } => {
                            drop(answer.send(Err(JournalError::Write(Arc::clone(&error)))))
                        }
                        Answer::Nobody => self.late.push(record),
                    }
                }
                Err(JournalError::Write(error))
            }
        };
        let oldest = self.late.iter().map(|record| record.since.as_millisecond()).min();
        self.figures.oldest.store(oldest.unwrap_or(NONE), Ordering::Relaxed);
        result
    }
}

impl Answer {
    fn written(self, sequence: u64) {
        match self {
            Self::Begin { mut ticket, answer, .. } => {
                ticket.begin = Some(sequence);
                // Where nobody waits any more, the ticket comes back, is dropped, and so ends the request as aborted.
                drop(answer.send(Ok(ticket)));
            }
            Self::Refusal { answer, .. } => drop(answer.send(Ok(()))),
            Self::Nobody => {}
        }
    }
}
