//! Bodies: the gateway's own, and [`RedactedBody`], the only way by which a byte of an upstream's leaves.
//!
//! A redacted body is pulled: it reads from the upstream when the caller's connection asks for more, so that a slow
//! caller makes the gateway hold little. It ends well only where the upstream's body was whole, decoded, valid and
//! decided to the last byte. On any failure it errors, which HTTP/2 shows as a reset and HTTP/1.1 as a missing last
//! chunk; what was held is never flushed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::account::{Opened, Released};
use super::capacity::Held;
use super::refusal::Failure;
use crate::audit::Outcome;
use crate::net::coding::Decoder;
use crate::net::upstream::UpstreamBody;
use crate::policy::Permit;
use crate::redact::transform::Given;
use crate::redact::{Redactor, Sink};

/// A run of kept bytes of at least this length leaves as a slice; copying a shorter one is cheaper.
const SLICE: usize = 2 * 1024;
/// So many pieces in a row of which nothing is let through make way for other tasks.
const PIECES: usize = 32;

/// The body of an answer.
pub struct Answer(Kind);

enum Kind {
    Nothing,
    Own(Full<Bytes>),
    Upstream(Box<RedactedBody>),
}

/// The answer was ended before its end. What it was ended for is in the log and in the audit trail.
#[derive(Debug, thiserror::Error)]
#[error("the answer was ended before its end")]
pub struct Ended(());

impl Answer {
    /// No body, and no word of its length.
    pub(super) fn nothing() -> Self {
        Self(Kind::Nothing)
    }

    /// A body of the gateway's own words.
    pub(super) fn own(body: Bytes) -> Self {
        Self(Kind::Own(Full::new(body)))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        match &mut self.0 {
            Kind::Nothing => Poll::Ready(None),
            Kind::Own(full) => Pin::new(full).poll_frame(cx).map_err(|never: Infallible| match never {}),
            Kind::Upstream(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Nothing => true,
            Kind::Own(full) => full.is_end_stream(),
            Kind::Upstream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Nothing | Kind::Upstream(_) => SizeHint::default(),
            Kind::Own(full) => full.size_hint(),
        }
    }
}

/// The body of an upstream's response, decoded and redacted as the caller reads.
pub(super) struct RedactedBody {
    /// The proof that this body may be seen, as its plan says.
    _permit: Permit,
    source: UpstreamBody,
    decoder: Option<Decoder>,
    encoded: Bytes,
    redactor: Redactor,
    output: Output,
    held: Held,
    stage: Stage,
    status: StatusCode,
    sent: u64,
    received: u64,
    spent: Duration,
    /// Taken when the answer has ended.
    opened: Option<Opened>,
}

#[derive(PartialEq, Eq)]
enum Stage {
    /// There may be more.
    Open,
    /// All of it was read and decided.
    Whole,
    /// It failed; it never looks ended again.
    Failed,
}

/// How a body begins.
pub(super) enum Beginning {
    /// Something of it was let through.
    Body(Box<RedactedBody>),
    /// It ended, and nothing of it was let through.
    Nothing(Opened),
    /// It failed before anything of it was let through.
    Failed(Failure, Opened),
}

impl RedactedBody {
    /// Reads the body up to the first byte that is let through, so that the head of the answer can still be decided.
    pub(super) async fn begin(
        permit: Permit,
        opened: Opened,
        response: Response<UpstreamBody>,
        status: StatusCode,
        given: Given,
    ) -> Beginning {
        let (head, source) = response.into_parts();
        let limits = &opened.account.gateway.limits;
        let decoder = match decoder(&head.headers, limits.caps()) {
            Ok(decoder) => decoder,
            Err(failure) => return Beginning::Failed(failure, opened),
        };
        let mut body = Box::new(Self {
            redactor: Redactor::new(permit.plan().clone(), given, limits.redaction()),
            held: opened.account.gateway.capacity.hold(),
            _permit: permit,
            source,
            decoder: Some(decoder),
            encoded: Bytes::new(),
            output: Output::default(),
            stage: Stage::Open,
            status,
            sent: 0,
            received: 0,
            spent: Duration::ZERO,
            opened: Some(opened),
        });
        let result = poll_fn(|cx| body.fill(cx)).await;
        match (result, body.output.is_empty()) {
            (Ok(()), false) => Beginning::Body(body),
            (Ok(()), true) => body.leave(Beginning::Nothing),
            (Err(failure), _) => body.leave(|opened| Beginning::Failed(failure, opened)),
        }
    }

    /// Ends an answer that has a head alone.
    pub(super) fn end_with_head(mut self: Box<Self>) {
        if let Some(opened) = self.opened.take() {
            opened.head(self.status);
        }
    }

    /// The head of an answer that has a head alone.
    pub(super) fn head(&self, headers: HeaderMap) -> Response<Answer> {
        match &self.opened {
            Some(opened) => opened.account.response(self.status, headers, Answer::nothing()),
            // INVARIANT: taken when the answer has ended, and none has before its head was made.
            None => Response::new(Answer::nothing()),
        }
    }

    /// The answer, with this as its body.
    pub(super) fn respond(self: Box<Self>, headers: HeaderMap) -> Response<Answer> {
        let head = self.head(headers);
        head.map(|_| Answer(Kind::Upstream(self)))
    }

    fn leave(mut self: Box<Self>, into: impl FnOnce(Opened) -> Beginning) -> Beginning {
        match self.opened.take() {
            Some(opened) => into(opened),
            None => Beginning::Body(self),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        if self.stage == Stage::Failed {
            return Poll::Ready(Some(Err(Ended(()))));
        }
        match ready!(self.fill(cx)) {
            Ok(()) => match self.output.next() {
                Some(bytes) => {
                    self.sent += bytes.len() as u64;
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                None => {
                    self.close(Outcome::Complete);
                    Poll::Ready(None)
                }
            },
            Err(failure) => {
                self.stage = Stage::Failed;
                self.output = Output::default();
                self.close(Outcome::FailedClosed { reason: failure.reason() });
                Poll::Ready(Some(Err(Ended(()))))
            }
        }
    }

    /// Ready when there is something to send, or the body has ended.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut pieces = 0;
        while self.output.is_empty() && self.stage == Stage::Open {
            if pieces == PIECES {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            pieces += 1;
            if self.redact()? {
                continue;
            }
            match ready!(Pin::new(&mut self.source).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    self.encoded = frame.into_data().unwrap_or_default();
                    self.received += self.encoded.len() as u64;
                }
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                None => self.finish()?,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Decodes and redacts one piece of what has come; `false` where all of it is.
    fn redact(&mut self) -> Result<bool, Failure> {
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        let started = Instant::now();
        let piece = decoder.decode(&mut self.encoded)?;
        if let Some(piece) = &piece {
            // INVARIANT: what the redactor may hold of a piece is counted before it gets it.
            if !self.held.reserve(piece.len()) {
                return Err(Failure::Capacity);
            }
            self.redactor.write(piece, &mut self.output.of(piece))?;
            self.output.flush();
            self.held.settle(self.redactor.held());
        }
        self.spent += started.elapsed();
        Ok(piece.is_some())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if let Some(decoder) = self.decoder.take() {
            decoder.finish()?;
        }
        self.redactor.finish(&mut self.output.of(&Bytes::new()))?;
        self.output.flush();
        self.held.settle(0);
        self.stage = Stage::Whole;
        Ok(())
    }

    fn close(&mut self, outcome: Outcome) {
        if let Some(opened) = self.opened.take() {
            if let Some(endpoint) = &opened.account.endpoint {
                opened.account.gateway.metrics.redaction(&endpoint.name, self.spent);
            }
            let (status, sent, received) = (self.status, self.sent, self.received);
            opened.end(outcome, &Released { status, sent, received, tally: self.redactor.tally() });
        }
    }
}

impl Drop for RedactedBody {
    fn drop(&mut self) {
        self.close(Outcome::Aborted);
    }
}

pub(super) fn decoder(headers: &HeaderMap, caps: crate::net::coding::Caps) -> Result<Decoder, Failure> {
    if super::headers::says_json(headers) { Ok(Decoder::new(headers, caps)?) } else { Err(Failure::MediaType) }
}

/// What was let through and waits to be sent.
#[derive(Default)]
struct Output {
    run: BytesMut,
    ready: VecDeque<Bytes>,
}

impl Output {
    fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    fn next(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    fn of<'a>(&'a mut self, piece: &'a Bytes) -> Pieced<'a> {
        Pieced { piece, output: self }
    }

    fn flush(&mut self) {
        if !self.run.is_empty() {
            self.ready.push_back(self.run.split().freeze());
        }
    }
}

/// Takes what the redactor lets through of one piece.
struct Pieced<'a> {
    piece: &'a Bytes,
    output: &'a mut Output,
}

impl Sink for Pieced<'_> {
    fn keep(&mut self, range: Range<usize>) {
        if range.len() >= SLICE && range.end <= self.piece.len() {
            self.output.flush();
            self.output.ready.push_back(self.piece.slice(range));
        } else {
            self.output.run.extend_from_slice(self.piece.get(range).unwrap_or_default());
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.output.run.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_leave_as_slices_and_short_ones_together() {
        let piece = Bytes::from(vec![b'x'; 3 * SLICE]);
        let mut output = Output::default();
        let mut sink = output.of(&piece);
        sink.put(b"{");
        sink.keep(1..3);
        sink.keep(3..3 + SLICE);
        sink.put(b"}");
        output.flush();
        let sent: Vec<Bytes> = std::iter::from_fn(|| output.next()).collect();
        assert_eq!(sent.iter().map(Bytes::len).collect::<Vec<_>>(), [3, SLICE, 1]);
        assert_eq!(sent[1].as_ptr(), piece[3..].as_ptr(), "it was not copied");
    }
}
