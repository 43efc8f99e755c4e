//! Whether the gateway should get new requests, and if not, why.
//!
//! Upstreams have no part in it: a gateway that called itself unready whenever one of them fails would be taken out of
//! service for the others too.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How long an audit record may wait for the disk before the gateway says that it isn't ready.
const LAG: Duration = Duration::from_secs(5);

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

/// A reason not to send requests to this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unready {
    /// It has not begun to accept.
    Starting,
    /// It is about to stop.
    Draining,
    /// The audit journal cannot keep up or cannot write, so that requests are refused.
    Audit,
}

impl Unready {
    /// The word for it in `/readyz`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::Audit => "audit",
        }
    }
}

/// Where a gateway is in its life: starting, serving, draining, and never back.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// The listeners accept.
    pub fn serve(&self) {
        self.0.fetch_max(SERVING, Ordering::SeqCst);
    }

    /// The gateway stops.
    pub fn drain(&self) {
        self.0.fetch_max(DRAINING, Ordering::SeqCst);
    }

    /// Every reason against readiness, where the oldest audit record that is not durable has waited for `lag`.
    pub fn unready(&self, lag: Duration) -> Vec<Unready> {
        let stage = match self.0.load(Ordering::SeqCst) {
            STARTING => Some(Unready::Starting),
            SERVING => None,
            _ => Some(Unready::Draining),
        };
        stage.into_iter().chain((lag > LAG).then_some(Unready::Audit)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_ready_between_its_start_and_its_drain() {
        let readiness = Readiness::default();
        assert_eq!(readiness.unready(Duration::ZERO), [Unready::Starting]);
        readiness.serve();
        assert_eq!(readiness.unready(Duration::ZERO), []);
        readiness.drain();
        readiness.serve();
        assert_eq!(readiness.unready(Duration::ZERO), [Unready::Draining]);
    }

    #[test]
    fn a_journal_that_does_not_write_makes_it_unready() {
        let readiness = Readiness::default();
        readiness.serve();
        assert_eq!(readiness.unready(LAG), []);
        assert_eq!(readiness.unready(LAG + Duration::from_millis(1)), [Unready::Audit]);
    }
}
