//! What all requests together take: how many there are, and how many bytes they hold undecided.
//!
//! One for the process, shared by all generations of configuration, so that a reload does not double a limit. It must
//! never let a byte be taken before it is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;
use crate::metrics::{InFlight, Metrics};

/// What the process can take on.
pub struct Capacity {
    requests: Arc<Semaphore>,
    held: AtomicUsize,
    most_held: usize,
    metrics: Arc<Metrics>,
}

/// The place of one request among those under way. Given back when it is dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _in_flight: InFlight,
}

/// The bytes that one response holds. Given back when it is dropped.
pub(super) struct Held {
    capacity: Arc<Capacity>,
    bytes: usize,
}

impl Capacity {
    /// As much as the limits say.
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            requests: Arc::new(Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS))),
            held: AtomicUsize::new(0),
            most_held: limits.held_bytes,
            metrics,
        })
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// A place for a request; `None` where there are too many.
    pub(super) fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        Some(Place { _permit: permit, _in_flight: self.metrics.in_flight() })
    }

    /// An account of the bytes of one response, with none.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held { capacity: Arc::clone(self), bytes: 0 }
    }
}

impl Held {
    /// Counts `more` bytes that are about to be taken; `false` where they must not be.
    pub(super) fn reserve(&mut self, more: usize) -> bool {
        let (held, most) = (&self.capacity.held, self.capacity.most_held);
        let take = |now: usize| now.checked_add(more).filter(|then| *then <= most);
        let taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if taken {
            self.bytes += more;
        }
        taken
    }

    /// Says how many bytes are really held.
    pub(super) fn settle(&mut self, bytes: usize) {
        if bytes == self.bytes {
            return;
        }
        let held = &self.capacity.held;
        let before = if bytes > self.bytes {
            held.fetch_add(bytes - self.bytes, Ordering::Relaxed)
        } else {
            held.fetch_sub(self.bytes - bytes, Ordering::Relaxed)
        };
        self.capacity.metrics.held_bytes((before + bytes).saturating_sub(self.bytes));
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.settle(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(requests: usize, held_bytes: usize) -> Arc<Capacity> {
        let limits = Limits { requests, held_bytes, ..Limits::default() };
        Capacity::new(&limits, Arc::new(Metrics::new().unwrap()))
    }

    #[test]
    fn bytes_are_counted_before_they_are_taken_and_given_back() {
        let capacity = capacity(1, 100);
        let (mut one, mut other) = (capacity.hold(), capacity.hold());
        assert!(one.reserve(60));
        assert!(!other.reserve(60), "together they would hold too much");
        one.settle(10);
        assert!(other.reserve(60));
        assert_eq!(capacity.held(), 70);
        drop((one, other));
        assert_eq!(capacity.held(), 0);
    }

    #[test]
    fn there_are_no_more_requests_than_places() {
        let capacity = capacity(1, 0);
        let place = capacity.place().unwrap();
        assert!(capacity.place().is_none());
        drop(place);
        assert!(capacity.place().is_some());
    }
}
