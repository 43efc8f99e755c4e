//! The standing of a caller at an endpoint, now: is the way in still open, from here, at this hour, at this rate?
//!
//! Every endpoint has one [`Scope`], made once of what the gateway file says. It must never read the clock: the moment is
//! an argument. It must never let a request pass because it could not decide: a full table or a date out of range closes.

mod hours;
mod network;
mod rate;

pub use hours::Hours;
pub use network::Networks;
pub use rate::Rate;

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use rate::Buckets;

/// The limits of one endpoint: its end, its addresses, its hours and its rate. What is left out does not limit.
#[derive(Debug)]
pub struct Scope {
    end: Option<End>,
    from: Option<Networks>,
    hours: Option<Hours>,
    rate: Option<Buckets>,
}

/// The last day of an endpoint, and the first moment after it.
#[derive(Debug)]
struct End {
    last_day: Date,
    closed_from: Timestamp,
}

impl Scope {
    /// A scope of what the gateway file says under `until`, `from`, `hours` and `rate`.
    ///
    /// `until` is the last day that the endpoint is open, to its last second, in the zone of `hours`, or in UTC where
    /// there are no hours.
    ///
    /// # Errors
    /// `until` lies beyond what a calendar can count (the year 9999).
    pub fn new(
        until: Option<Date>,
        from: Option<Networks>,
        hours: Option<Hours>,
        rate: Option<Rate>,
    ) -> Result<Self, ScopeError> {
        let zone = hours.as_ref().map_or(TimeZone::UTC, |hours| hours.zone().clone());
        let end = until.map(|last_day| End::of(last_day, zone)).transpose()?;
        Ok(Self { end, from, hours, rate: rate.map(Buckets::new) })
    }

    /// Whether `caller`, whose connection comes from `source`, may use the endpoint at `now`.
    ///
    /// The rate is asked last, so that what is refused for another reason uses none of it.
    ///
    /// # Errors
    /// The first limit that is not kept.
    pub fn standing(&self, source: IpAddr, caller: &str, now: Timestamp) -> Result<Standing, Denied> {
        if let Some(end) = &self.end
            && now >= end.closed_from
        {
            return Err(Denied::Ended { until: end.last_day });
        }
        if let Some(from) = &self.from
            && !from.contains(source)
        {
            return Err(Denied::Address);
        }
        if let Some(hours) = &self.hours
            && !hours.open_at(now)
        {
            return Err(Denied::Hours { opens: hours.opens_after(now) });
        }
        if let Some(rate) = &self.rate {
            rate.take(caller, now).map_err(|retry_after| Denied::Rate { retry_after })?;
        }
        Ok(Standing(()))
    }
}

impl End {
    fn of(last_day: Date, zone: TimeZone) -> Result<Self, ScopeError> {
        let closed_from = last_day
            .tomorrow()
            .and_then(|day| day.to_zoned(zone))
            .map_err(|source| ScopeError::Until { until: last_day, source })?
            .timestamp();
        Ok(Self { last_day, closed_from })
    }
}

/// Proof that a caller was in good standing at an endpoint when it asked. Made only by [`Scope::standing`].
#[must_use = "a standing is asked for to decide a request"]
#[derive(Debug)]
pub struct Standing(());

/// Why a caller has no standing. It names the limit, never the address or the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The endpoint's last day is over.
    #[error("this endpoint was open until {until}: ask its owner for a new term")]
    Ended {
        /// The last day that it was open.
        until: Date,
    },
    /// The connection comes from an address that the endpoint does not serve.
    #[error("this endpoint is not open to the address that the request comes from")]
    Address,
    /// The endpoint is closed at this hour.
    #[error("this endpoint is closed at this hour{}", .opens.map(|at| format!(": it opens at {at}")).unwrap_or_default())]
    Hours {
        /// When it opens next, if a calendar can count that far.
        opens: Option<Timestamp>,
    },
    /// The caller has used up its rate.
    #[error("the rate of this endpoint is used up: try again in {} s", .retry_after.as_millis().div_ceil(1000))]
    Rate {
        /// How long until a request passes again.
        retry_after: Duration,
    },
}

/// Why the limits of an endpoint cannot be kept as written.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// The last day has no day after it.
    #[error("until: {until} is out of range: write a last day before the year 9999")]
    Until {
        /// The day as written.
        until: Date,
        /// What the calendar says.
        #[source]
        source: jiff::Error,
    },
}
