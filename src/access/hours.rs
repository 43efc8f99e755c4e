//! The hours that an endpoint is open: days of the week and a time of day, as a clock on the wall of its zone shows them.
//!
//! Each day's opening is one stretch between two moments. Where a change to or from summer time repeats the hour that it
//! opens or closes in, the first counts; where the change skips that hour, the moment of the change counts.

use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use serde::de::{self, SeqAccess, Visitor};

/// Days and times at which an endpoint is open, in a zone of the IANA time zone database.
///
/// Written as `{ days: Mon-Fri, between: "07:00-19:00", zone: America/New_York }`. Without `days`: every day; without
/// `between`: the whole day. Times are from the first minute on and up to the last, without it; a time that runs past
/// midnight (`"22:00-06:00"`) belongs to the day that it begins on.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Hours {
    days: Days,
    between: Between,
    zone: TimeZone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    days: Option<Days>,
    between: Option<String>,
    zone: String,
}

impl TryFrom<Raw> for Hours {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        if raw.days.is_none() && raw.between.is_none() {
            return Err("hours: says neither days nor between: write one, or leave `hours` out".to_owned());
        }
        let zone = TimeZone::get(&raw.zone).map_err(|_| {
            format!("hours.zone: {:?} is not a zone: write an IANA name, such as America/New_York or UTC", raw.zone)
        })?;
        let between = raw.between.as_deref().map_or(Ok(Between::WHOLE_DAY), Between::parse)?;
        Ok(Self { days: raw.days.unwrap_or(Days::ALL), between, zone })
    }
}

impl Hours {
    /// Whether the endpoint is open at this moment.
    pub fn open_at(&self, now: Timestamp) -> bool {
        let today = now.to_zoned(self.zone.clone()).date();
        // An opening that runs past midnight may have begun yesterday.
        [today.yesterday().ok(), Some(today)]
            .into_iter()
            .flatten()
            .filter_map(|day| self.opening(day))
            .any(|(opens, closes)| opens <= now && now < closes)
    }

    /// When it opens next after this moment; `None` at the end of the calendar alone.
    pub fn opens_after(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        // Eight days hold every weekday once more after today; two weeks, one that a change of the clock swallows.
        (0..=14)
            .filter_map(|ahead: i32| today.checked_add(ahead.days()).ok())
            .filter_map(|day| self.opening(day))
            .map(|(opens, _)| opens)
            .find(|opens| *opens > now)
    }

    /// The zone that days and times are meant in.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The stretch of time that begins on this day.
    fn opening(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.contains(day.weekday()) {
            return None;
        }
        let last_day = if self.between.past_midnight { day.tomorrow().ok()? } else { day };
        let opens = self.moment(day, self.between.opens)?;
        let closes = self.moment(last_day, self.between.closes)?;
        (opens < closes).then_some((opens, closes))
    }

    /// The moment that a clock on the wall first shows at least this time.
    fn moment(&self, day: Date, time: Time) -> Option<Timestamp> {
        let shown = day.to_datetime(time);
        match self.zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(shown).ok()
            }
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the offset after the change, the skipped time lies before the change.
                let before_change = after.to_timestamp(shown).ok()?;
                self.zone.following(before_change).next().map(|change| change.timestamp())
            }
        }
    }
}

/// A stretch of the day; `past_midnight` where it closes on the day after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Between {
    opens: Time,
    closes: Time,
    past_midnight: bool,
}

impl Between {
    const WHOLE_DAY: Self = Self { opens: Time::midnight(), closes: Time::midnight(), past_midnight: true };

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("hours.between: {text:?} is not a stretch of the day: write such as \"07:00-19:00\"");
        let (opens, closes) = text.split_once('-').ok_or_else(wrong)?;
        let opens = minute(opens.trim()).ok_or_else(wrong)?;
        if closes.trim() == "24:00" {
            return Ok(Self { opens, closes: Time::midnight(), past_midnight: true });
        }
        let closes = minute(closes.trim()).ok_or_else(wrong)?;
        if opens == closes {
            return Err(format!("hours.between: {text:?} is no time at all: write \"00:00-24:00\" for the whole day"));
        }
        Ok(Self { opens, closes, past_midnight: closes < opens })
    }
}

/// `HH:MM`, and nothing shorter or longer.
fn minute(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse::<i8>().ok())?
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

/// Days of the week, as bits from Monday on. At least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days(u8);

const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Days {
    const ALL: Self = Self(0b111_1111);

    fn contains(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }

    /// `Mon`, `Mon-Fri`, `Fri-Mon`, or several of them with commas between.
    fn parse(text: &str) -> Result<Self, String> {
        let mut days = 0;
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (mut day, last) = (Self::number(first.trim())?, Self::number(last.trim())?);
            days |= 1 << day;
            while day != last {
                day = (day + 1) % 7;
                days |= 1 << day;
            }
        }
        Ok(Self(days))
    }

    fn number(name: &str) -> Result<usize, String> {
        NAMES
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| format!("hours.days: {name:?} is not a day: write {}", NAMES.join(", ")))
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DaysVisitor;

        impl<'de> Visitor<'de> for DaysVisitor {
            type Value = Days;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("days, such as Mon-Fri or [Mon, Wed]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Days, E> {
                Days::parse(text).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Days, A::Error> {
                let mut days = 0;
                while let Some(text) = list.next_element::<String>()? {
                    days |= Days::parse(&text).map_err(de::Error::custom)?.0;
                }
                if days == 0 {
                    return Err(de::Error::custom("hours.days: names no day: name one, or leave `days` out"));
                }
                Ok(Days(days))
            }
        }

        deserializer.deserialize_any(DaysVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Hours {
        serde_saphyr::from_str(text).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_opens_on_its_first_minute_and_closes_on_its_last() {
        let office = hours("{ days: Mon-Fri, between: \"07:00-19:00\", zone: America/New_York }");
        // Monday 2026-11-23, UTC-5.
        assert!(!office.open_at(at("2026-11-23T11:59:59.999999999Z")));
        assert!(office.open_at(at("2026-11-23T12:00:00Z")));
        assert!(office.open_at(at("2026-11-23T23:59:59.999999999Z")));
        assert!(!office.open_at(at("2026-11-24T00:00:00Z")));
        // Saturday; it opens on Monday.
        let saturday = at("2026-11-21T15:00:00Z");
        assert!(!office.open_at(saturday));
        assert_eq!(office.opens_after(saturday), Some(at("2026-11-23T12:00:00Z")));
    }

    #[test]
    fn a_night_belongs_to_the_day_that_it_begins_on() {
        let night = hours("{ days: [Mon], between: \"22:00-06:00\", zone: UTC }");
        assert!(!night.open_at(at("2026-11-23T05:00:00Z")), "early on Monday is Sunday's night");
        assert!(night.open_at(at("2026-11-23T22:00:00Z")));
        assert!(night.open_at(at("2026-11-24T05:59:59Z")));
        assert!(!night.open_at(at("2026-11-24T06:00:00Z")));
        assert!(!night.open_at(at("2026-11-24T22:00:00Z")));
        assert_eq!(night.opens_after(at("2026-11-24T06:00:00Z")), Some(at("2026-11-30T22:00:00Z")));
    }

    #[test]
    fn the_clock_on_the_wall_counts_on_both_sides_of_summer_time() {
        let office = hours("{ between: \"07:00-19:00\", zone: America/New_York }");
        // Summer time began on 2026-03-08 at 07:00 UTC and ended on 2026-11-01 at 06:00 UTC.
        assert!(!office.open_at(at("2026-03-07T11:30:00Z")) && office.open_at(at("2026-03-07T12:00:00Z")));
        assert!(!office.open_at(at("2026-03-08T10:59:59Z")) && office.open_at(at("2026-03-08T11:00:00Z")));
        assert!(office.open_at(at("2026-10-31T11:00:00Z")) && !office.open_at(at("2026-11-01T11:00:00Z")));
        assert!(office.open_at(at("2026-11-01T12:00:00Z")));
    }

    #[test]
    fn a_skipped_hour_opens_and_closes_at_the_change() {
        let change = at("2026-03-08T07:00:00Z");
        let opens = hours("{ between: \"02:30-05:00\", zone: America/New_York }");
        assert!(!opens.open_at(change - 1.nanosecond()) && opens.open_at(change));
        let closes = hours("{ between: \"01:00-02:30\", zone: America/New_York }");
        assert!(closes.open_at(change - 1.nanosecond()) && !closes.open_at(change));
        let within = hours("{ between: \"02:10-02:50\", zone: America/New_York }");
        assert!(!within.open_at(change), "the clock never shows these minutes that day");
    }

    #[test]
    fn of_a_repeated_hour_the_first_counts() {
        // 01:30 is shown at 05:30 UTC and again at 06:30 UTC.
        let closes = hours("{ between: \"00:00-01:30\", zone: America/New_York }");
        assert!(closes.open_at(at("2026-11-01T05:29:59Z")));
        assert!(!closes.open_at(at("2026-11-01T05:30:00Z")) && !closes.open_at(at("2026-11-01T06:10:00Z")));
        let opens = hours("{ between: \"01:30-05:00\", zone: America/New_York }");
        assert!(opens.open_at(at("2026-11-01T05:30:00Z")) && opens.open_at(at("2026-11-01T06:10:00Z")));
    }

    #[test]
    fn a_whole_day_has_no_gap_at_midnight() {
        for text in ["{ days: Mon-Fri, zone: UTC }", "{ days: Mon-Fri, between: 00:00-24:00, zone: UTC }"] {
            let week = hours(text);
            assert!(week.open_at(at("2026-11-23T00:00:00Z")) && week.open_at(at("2026-11-23T23:59:59.9Z")));
            assert!(week.open_at(at("2026-11-24T00:00:00Z")) && !week.open_at(at("2026-11-28T00:00:00Z")));
        }
    }

    #[test]
    fn days_are_ranges_lists_and_both() {
        for (text, expected) in [
            ("Mon-Fri", 0b001_1111),
            ("[Mon, Wed]", 0b000_0101),
            ("Mon-Wed,Sun", 0b100_0111),
            ("Sat-Mon", 0b110_0001),
            ("[Mon-Tue, Sat]", 0b010_0011),
        ] {
            assert_eq!(serde_saphyr::from_str::<Days>(text).unwrap(), Days(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, says) in [
            ("{ days: Mo-Fri, zone: UTC }", "\"Mo\" is not a day"),
            ("{ days: [], zone: UTC }", "names no day"),
            ("{ days: Mon }", "zone"),
            ("{ zone: UTC }", "neither days nor between"),
            ("{ days: Mon, zone: America/NewYork }", "is not a zone"),
            ("{ between: \"7-19\", zone: UTC }", "is not a stretch"),
            ("{ between: \"07:00-25:00\", zone: UTC }", "is not a stretch"),
            ("{ between: \"07:00-07:00\", zone: UTC }", "no time at all"),
            ("{ between: \"07:00-19:00\", zone: UTC, day: Mon }", "day"),
        ] {
            let said = serde_saphyr::from_str::<Hours>(text).unwrap_err().to_string();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
