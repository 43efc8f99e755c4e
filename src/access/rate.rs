//! How many requests a caller may make at an endpoint: the generic cell rate algorithm (ITU-T I.371, annex A).
//!
//! One moment per caller says it all: the theoretical arrival time, when the caller's bucket is full again. It must
//! never count a caller's requests to another's bucket, and never grow beyond [`CALLERS`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// The most callers that one endpoint keeps buckets of. Full buckets are forgotten, which changes nothing; were all of
/// them in use, a further caller is refused until one is full.
const CALLERS: usize = 10_000;
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
const MOST: u32 = 1_000_000;

/// So many requests per so long, and how many of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Rate {
    requests: u32,
    per: SignedDuration,
    burst: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    requests: u32,
    per: String,
    burst: Option<u32>,
}

impl Rate {
    /// `requests` per `per`, at most `burst` of them at once.
    ///
    /// # Errors
    /// A number that is zero or over a million; a time that is not above zero or over a day.
    pub fn new(requests: u32, per: SignedDuration, burst: u32) -> Result<Self, String> {
        for (name, number) in [("requests", requests), ("burst", burst)] {
            if !(1..=MOST).contains(&number) {
                return Err(format!("rate.{name}: {number} is out of range: write a number from 1 to {MOST}"));
            }
        }
        if per <= SignedDuration::ZERO || per > LONGEST {
            return Err(format!("rate.per: {per:#} is out of range: write a time above zero, a day at most"));
        }
        Ok(Self { requests, per, burst })
    }
}

impl TryFrom<Raw> for Rate {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let per = raw
            .per
            .parse()
            .map_err(|_| format!("rate.per: {:?} is not a time: write such as 1s, 1m or 1h", raw.per))?;
        Self::new(raw.requests, per, raw.burst.unwrap_or(raw.requests))
    }
}

/// The buckets of an endpoint's callers.
///
/// Times are counted in units of `1 / requests` nanoseconds since the epoch: in them one request weighs `per`, a whole
/// number, so that nothing is rounded however long the gateway runs.
#[derive(Debug)]
pub(super) struct Buckets {
    units: i128,
    weight: i128,
    depth: i128,
    full_again: Mutex<HashMap<Box<str>, i128>>,
}

impl Buckets {
    pub(super) fn new(rate: Rate) -> Self {
        let weight = rate.per.as_nanos();
        Self {
            units: i128::from(rate.requests),
            weight,
            depth: weight * i128::from(rate.burst),
            full_again: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one request from the caller's bucket, or says how long until there is one.
    pub(super) fn take(&self, caller: &str, now: Timestamp) -> Result<(), Duration> {
        let now = now.as_nanosecond() * self.units;
        // A panic while it was held cannot have left half a change: each is one insertion.
        let mut full_again = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = full_again.get_mut(caller) {
            // A bucket is never emptier than empty: a clock that was set back costs a caller a burst, not the whole step.
            *at = (*at).min(now + self.depth);
            *at = self.after_one(*at, now)?;
            return Ok(());
        }
        if full_again.len() >= CALLERS {
            full_again.retain(|_, at| *at > now);
            if full_again.len() >= CALLERS {
                let soonest = full_again.values().copied().min().unwrap_or(now);
                return Err(self.wait(soonest.min(now + self.depth) - now));
            }
        }
        full_again.insert(caller.into(), self.after_one(now, now)?);
        Ok(())
    }

    /// When the bucket is full again if one more request is taken at `now`.
    fn after_one(&self, full_again: i128, now: i128) -> Result<i128, Duration> {
        let taken = full_again.max(now) + self.weight;
        match taken - (now + self.depth) {
            short if short > 0 => Err(self.wait(short)),
            _ => Ok(taken),
        }
    }

    fn wait(&self, units: i128) -> Duration {
        let nanoseconds = units.div_euclid(self.units) + i128::from(units.rem_euclid(self.units) != 0);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_900_000_000_000 + milliseconds).unwrap()
    }

    fn buckets(requests: u32, per_ms: i64, burst: u32) -> Buckets {
        Buckets::new(Rate::new(requests, SignedDuration::from_millis(per_ms), burst).unwrap())
    }

    #[test]
    fn a_burst_passes_and_the_next_request_is_told_when() {
        let buckets = buckets(50, 1000, 100);
        for _ in 0..100 {
            buckets.take("a", at(0)).unwrap();
        }
        assert_eq!(buckets.take("a", at(0)), Err(Duration::from_millis(20)));
        assert_eq!(buckets.take("a", at(19)), Err(Duration::from_millis(1)));
        buckets.take("a", at(20)).unwrap();
        assert!(buckets.take("a", at(20)).is_err());
    }

    #[test]
    fn a_bucket_refills_to_its_burst_and_no_further() {
        let buckets = buckets(2, 1000, 3);
        for round in 0..3 {
            let now = at(round * 3_600_000);
            assert_eq!((0..10).filter(|_| buckets.take("a", now).is_ok()).count(), 3);
        }
    }

    #[test]
    fn a_caller_does_not_pay_for_another() {
        let buckets = buckets(1, 1000, 1);
        buckets.take("a", at(0)).unwrap();
        buckets.take("b", at(0)).unwrap();
        assert!(buckets.take("a", at(1)).is_err());
    }

    #[test]
    fn a_rate_that_no_nanosecond_divides_is_kept_exactly() {
        let buckets = buckets(3, 1000, 3);
        for second in 0..100 {
            assert_eq!((0..10).filter(|_| buckets.take("a", at(second * 1000)).is_ok()).count(), 3);
            assert_eq!(buckets.take("a", at(second * 1000)), Err(Duration::from_nanos(333_333_334)));
        }
    }

    #[test]
    fn a_clock_set_back_costs_one_burst() {
        let buckets = buckets(1, 1000, 2);
        buckets.take("a", at(3_600_000)).unwrap();
        assert_eq!(buckets.take("a", at(0)), Err(Duration::from_secs(1)));
        buckets.take("a", at(1000)).unwrap();
        assert!(buckets.take("a", at(1001)).is_err());
    }

    #[test]
    fn a_full_table_forgets_full_buckets_and_refuses_newcomers_else() {
        let buckets = buckets(1, 1000, 1);
        for caller in 0..CALLERS {
            buckets.take(&caller.to_string(), at(0)).unwrap();
        }
        assert_eq!(buckets.take("newcomer", at(400)), Err(Duration::from_millis(600)));
        buckets.take("newcomer", at(1000)).unwrap();
        assert_eq!(buckets.full_again.lock().unwrap().len(), 1);
    }

    #[test]
    fn mistakes_are_named() {
        let rate = |text: &str| serde_saphyr::from_str::<Rate>(text);
        let read = rate("{ requests: 50, per: 1s, burst: 100 }").unwrap();
        assert_eq!(read, Rate::new(50, SignedDuration::from_secs(1), 100).unwrap());
        assert_eq!(rate("{ requests: 50, per: 1m }").unwrap().burst, 50);
        for (text, says) in [
            ("{ requests: 0, per: 1s }", "rate.requests: 0 is out of range"),
            ("{ requests: 1, per: 1s, burst: 0 }", "rate.burst: 0 is out of range"),
            ("{ requests: 1, per: 0s }", "rate.per"),
            ("{ requests: 1, per: soon }", "is not a time"),
            ("{ requests: 1, per: 1s, brust: 3 }", "brust"),
        ] {
            let said = rate(text).unwrap_err().to_string();
            assert!(said.contains(says), "{text}: {said}");
        }
    }

    proptest! {
        /// The model fills a bucket drop by drop: level in units of 1/requests of a request.
        #[test]
        fn it_decides_as_a_leaky_bucket_does(
            requests in 1_u32..20,
            per in 1_i64..5000,
            burst in 1_u32..20,
            gaps in proptest::collection::vec(0_i64..2000, 1..200),
        ) {
            let buckets = buckets(requests, per, burst);
            let (mut now, mut level) = (0_i64, 0_i64);
            for gap in gaps {
                now += gap;
                // The bucket leaks `requests` per `per`: in units of 1/per of a request, `requests` a millisecond.
                level = (level - gap * i64::from(requests)).max(0);
                let fits = level + per <= per * i64::from(burst);
                level += if fits { per } else { 0 };
                prop_assert_eq!(buckets.take("a", at(now)).is_ok(), fits);
            }
        }

        /// No window of time holds more than the burst and what the rate adds in it.
        #[test]
        fn no_window_holds_more_than_burst_and_refill(
            requests in 1_u32..20,
            per in 1_i64..5000,
            burst in 1_u32..20,
            gaps in proptest::collection::vec(0_i64..500, 1..100),
        ) {
            let buckets = buckets(requests, per, burst);
            let mut now = 0_i64;
            let mut passed = Vec::new();
            for gap in gaps {
                now += gap;
                if buckets.take("a", at(now)).is_ok() {
                    passed.push(now);
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let count = i64::try_from(last - first + 1).unwrap();
                    prop_assert!((count - i64::from(burst)) * per <= (to - from) * i64::from(requests));
                }
            }
        }

        /// What a refusal says is true: a moment before it is still refused, at it the request passes.
        #[test]
        fn a_request_passes_after_the_wait_that_it_was_told(
            requests in 1_u32..20,
            per in 1_i64..5000,
            burst in 1_u32..20,
        ) {
            let buckets = buckets(requests, per, burst);
            let wait = loop {
                if let Err(wait) = buckets.take("a", at(0)) { break wait; }
            };
            prop_assert!(buckets.take("a", at(0) + wait - Duration::from_nanos(1)).is_err());
            prop_assert!(buckets.take("a", at(0) + wait).is_ok());
        }
    }
}
