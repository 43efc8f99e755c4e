//! The body of an upstream's response as it arrives.
//!
//! It ends without an error only where the framing says that the body is whole, and it holds data alone: trailers are
//! dropped, since nothing that follows a filtered body could still be filtered.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::connect::humanized;

/// The body of an upstream's response.
pub struct UpstreamBody {
    incoming: Incoming,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
    failed: bool,
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, idle: Duration) -> Self {
        Self { incoming, idle, timer: Box::pin(tokio::time::sleep(idle)), waiting: false, failed: false }
    }

    fn fail(&mut self, error: UpstreamBodyError) -> Poll<Option<Result<Frame<Bytes>, UpstreamBodyError>>> {
        self.failed = true;
        Poll::Ready(Some(Err(error)))
    }

    /// Ready once the upstream has let the reader wait too long. Time in which nobody asks for data does not count.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.idle);
        }
        self.timer.as_mut().poll(context)
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBodyError>>> {
        // INVARIANT: after an error a body never looks ended.
        if self.failed {
            return Poll::Ready(Some(Err(UpstreamBodyError::Failed)));
        }
        loop {
            match Pin::new(&mut self.incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting = false;
                    if frame.is_data() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Poll::Ready(Some(Err(source))) => return self.fail(UpstreamBodyError::CutOff(source)),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    ready!(self.poll_idle(context));
                    let idle = self.idle;
                    return self.fail(UpstreamBodyError::TimedOut(idle));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.failed && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Why a body did not come whole.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamBodyError {
    /// The connection, the stream or the framing broke before the body's end.
    #[error("the upstream's body was cut off")]
    CutOff(#[source] hyper::Error),
    /// Nothing came for the time allowed between two pieces.
    #[error("the upstream's body stalled for {}", humanized(*.0))]
    TimedOut(Duration),
    /// The body was read again after it had failed.
    #[error("the upstream's body has failed before")]
    Failed,
}
