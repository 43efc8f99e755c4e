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
use super::headers::Form;
use super::refusal::Failure;
use crate::audit::Outcome;
use crate::net::coding::{Caps, Decoder};
use crate::net::upstream::UpstreamBody;
use crate::policy::Permit;
use crate::redact::transform::Given;
use crate::redact::{Lines, RedactError, Redactor, Sink, Tally};

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
    /// The proof that this body may be seen, as its plan says; taken when it was only measured.
    permit: Option<Permit>,
    source: UpstreamBody,
    decoder: Option<Decoder>,
    encoded: Bytes,
    reader: Reader,
    output: Output,
    /// The part of what is let through that is sent, where it is not all of it.
    part: Option<Part>,
    held: Held,
    stage: Stage,
    status: StatusCode,
    sent: u64,
    received: u64,
    spent: Duration,
    /// Taken when the answer has ended.
    opened: Option<Opened>,
}

/// A body that was read and not sent.
pub(super) struct Measured {
    pub(super) length: u64,
    pub(super) permit: Permit,
    pub(super) opened: Opened,
}

/// What an answer with a body says of it.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) form: Form,
}

/// Reads and redacts what was decoded.
enum Reader {
    Document(Redactor),
    Lines(Lines),
}

/// A part of what is let through, whose whole length is known from having read it before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// How much before it is still to be left out.
    pub(super) before: u64,
    /// How much of it is still to be sent.
    pub(super) left: u64,
    /// How much follows it.
    pub(super) after: u64,
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
        told: Told,
        given: Given,
    ) -> Beginning {
        let (head, source) = response.into_parts();
        let limits = &opened.account.gateway.limits;
        let decoder = match decoder(&head.headers, told.form, limits.caps()) {
            Ok(decoder) => decoder,
            Err(failure) => return Beginning::Failed(failure, opened),
        };
        let mut body = Box::new(Self {
            reader: Reader::new(told.form, Redactor::new(permit.plan().clone(), given, limits.redaction())),
            held: opened.account.gateway.capacity.hold(),
            permit: Some(permit),
            source,
            decoder: Some(decoder),
            encoded: Bytes::new(),
            output: Output::default(),
            part: None,
            stage: Stage::Open,
            status: told.status,
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

    /// Reads the body to its end and sends nothing of it: how long it is as it is let through, and what is needed to read
    /// it again.
    pub(super) async fn measure(mut self: Box<Self>) -> Result<Measured, Beginning> {
        let mut length = 0;
        loop {
            match poll_fn(|cx| self.fill(cx)).await {
                Ok(()) => match self.output.next() {
                    Some(bytes) => length += bytes.len() as u64,
                    None => break,
                },
                Err(failure) => return Err(self.leave(|opened| Beginning::Failed(failure, opened))),
            }
        }
        match (self.permit.take(), self.opened.take()) {
            (Some(permit), Some(opened)) => Ok(Measured { length, permit, opened }),
            // INVARIANT: neither is taken before a body has ended.
            (_, opened) => {
                self.opened = opened;
                Err(self.leave(Beginning::Nothing))
            }
        }
    }

    /// Sends a part alone.
    pub(super) fn only(mut self: Box<Self>, part: Part) -> Box<Self> {
        self.part = Some(part);
        self
    }

    /// The answer, with this as its body, or the head of it alone.
    pub(super) fn answer(mut self: Box<Self>, head_alone: bool, headers: HeaderMap) -> Response<Answer> {
        let response = match &self.opened {
            Some(opened) => opened.account.response(self.status, headers, Answer::nothing()),
            // INVARIANT: taken when the answer has ended, and none has before its head was made.
            None => Response::new(Answer::nothing()),
        };
        match (head_alone, self.opened.take()) {
            (true, Some(opened)) => {
                opened.head(self.status);
                response
            }
            (_, opened) => {
                self.opened = opened;
                response.map(|_| Answer(Kind::Upstream(self)))
            }
        }
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
        match ready!(self.next(cx)) {
            Ok(Some(bytes)) => {
                self.sent += bytes.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Ok(None) => {
                self.close(Outcome::Complete);
                Poll::Ready(None)
            }
            Err(failure) => {
                self.stage = Stage::Failed;
                self.output = Output::default();
                self.close(Outcome::FailedClosed { reason: failure.reason() });
                Poll::Ready(Some(Err(Ended(()))))
            }
        }
    }

    /// The next bytes to send; `None` at the end.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        loop {
            ready!(self.fill(cx))?;
            let bytes = self.output.next();
            match (&mut self.part, bytes) {
                (None, bytes) => return Poll::Ready(Ok(bytes)),
                (Some(part), Some(bytes)) => {
                    let bytes = part.cut(bytes)?;
                    if !bytes.is_empty() {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
                (Some(part), None) if part.is_sent() => return Poll::Ready(Ok(None)),
                (Some(_), None) => return Poll::Ready(Err(Failure::Changed)),
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
            self.reader.write(piece, &mut self.output.of(piece))?;
            self.output.flush();
            self.held.settle(self.reader.held());
        }
        self.spent += started.elapsed();
        Ok(piece.is_some())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if let Some(decoder) = self.decoder.take() {
            decoder.finish()?;
        }
        self.reader.finish(&mut self.output.of(&Bytes::new()))?;
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
            opened.end(outcome, &Released { status, sent, received, tally: self.reader.tally() });
        }
    }
}

impl Drop for RedactedBody {
    fn drop(&mut self) {
        self.close(Outcome::Aborted);
    }
}

impl Reader {
    fn new(form: Form, redactor: Redactor) -> Self {
        match form {
            Form::Fhir | Form::Document => Self::Document(redactor),
            Form::Lines => Self::Lines(Lines::new(redactor)),
        }
    }

    fn write(&mut self, piece: &[u8], sink: &mut impl Sink) -> Result<(), RedactError> {
        match self {
            Self::Document(redactor) => redactor.write(piece, sink),
            Self::Lines(lines) => lines.write(piece, sink),
        }
    }

    fn finish(&mut self, sink: &mut impl Sink) -> Result<(), RedactError> {
        match self {
            Self::Document(redactor) => redactor.finish(sink).map(drop),
            Self::Lines(lines) => lines.finish(sink),
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Document(redactor) => redactor.held(),
            Self::Lines(lines) => lines.held(),
        }
    }

    fn tally(&self) -> &Tally {
        match self {
            Self::Document(redactor) => redactor.tally(),
            Self::Lines(lines) => lines.tally(),
        }
    }
}

impl Part {
    /// What of these bytes is in the part.
    ///
    /// # Errors
    /// Where there is more than there was when the whole was measured.
    fn cut(&mut self, mut bytes: Bytes) -> Result<Bytes, Failure> {
        take(&mut bytes, &mut self.before);
        let part = take(&mut bytes, &mut self.left);
        take(&mut bytes, &mut self.after);
        if bytes.is_empty() { Ok(part) } else { Err(Failure::Changed) }
    }

    fn is_sent(self) -> bool {
        (self.before, self.left, self.after) == (0, 0, 0)
    }
}

/// Takes as many bytes from the front as there are left to be taken.
fn take(bytes: &mut Bytes, left: &mut u64) -> Bytes {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left -= length as u64;
    bytes.split_to(length)
}

pub(super) fn decoder(headers: &HeaderMap, form: Form, caps: Caps) -> Result<Decoder, Failure> {
    if super::headers::says(headers, form) { Ok(Decoder::new(headers, caps)?) } else { Err(Failure::MediaType) }
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
