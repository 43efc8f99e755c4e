//! The gateway file's `limits:`: one table of names, defaults and meanings.
//!
//! A limit bounds what a caller or an upstream can make the gateway take on. None can be switched off.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// A number of bytes, written as `8MiB`, `64KiB`, `1GiB` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(u64);

/// A length of time above zero, written as `30s`, `5m` or `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(Duration);

/// A number above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(u64);

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ident = $default:literal,)+) => {
        /// The limits, each with a default.
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Limits {
            /// Every limit with its default as a gateway file would write it.
            pub const TABLE: &[(&str, &str)] = &[$((stringify!($name), $default),)+];
        }

        impl Default for Limits {
            fn default() -> Self {
                // INVARIANT: a test reads every default of the table, so that none is ever replaced by the least value.
                Self { $($name: $type::read($default).unwrap_or($type::LEAST),)+ }
            }
        }
    };
}

limits! {
    /// Open connections of all listeners. Further ones wait to be accepted.
    connections: Number = "4096",
    /// From a connection to the end of its TLS handshake.
    handshake_timeout: Time = "10s",
    /// From a connection, or the end of the answer before, to the end of a request's head.
    header_timeout: Time = "30s",
    /// The head of a request.
    header_bytes: Size = "32KiB",
    /// Header fields of a request over HTTP/1.1.
    headers: Number = "100",
    /// The path and query of a request.
    target_bytes: Size = "8KiB",
    /// Requests at once on one HTTP/2 connection.
    streams: Number = "100",
    /// Requests at once. Further ones are answered with 503.
    requests: Number = "1024",
    /// The body of a POST `_search`.
    form_bytes: Size = "64KiB",
    /// From the head of a request to the end of its body.
    form_timeout: Time = "10s",
    /// The requests of a batch.
    batch_entries: Number = "100",
    /// What `_count` may ask for. More is lowered to it.
    count: Number = "1000",
    /// How long a page link holds, or a link to the state or a file of an export.
    link_lifetime: Time = "24h",
    /// The body of an upstream's response, decoded.
    body_bytes: Size = "4GiB",
    /// How many bytes one encoded byte of a body may become.
    expansion: Number = "200",
    /// How deep arrays and objects may nest; at most 512.
    depth: Number = "128",
    /// What may be held of one value until it is decided. A larger value is withheld.
    value_bytes: Size = "8MiB",
    /// What may be held in all responses together. A response that needs more is ended.
    held_bytes: Size = "256MiB",
    /// How long an answer waits for its audit record.
    audit_timeout: Time = "5s",
    /// How long answers under way may take to end when the gateway stops.
    drain_timeout: Time = "30s",
}

impl Size {
    const LEAST: Self = Self(1);
    /// More than any limit needs, so that sums of limits never overflow.
    const MOST: u64 = 1 << 50;

    /// The bytes.
    pub fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    fn read(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
        let factor: u64 = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err("a size is a number and B, KiB, MiB or GiB, such as 8MiB".to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| "a size is a number and a unit, such as 8MiB".to_owned())?;
        match number.checked_mul(factor) {
            Some(bytes @ 1..=Self::MOST) => Ok(Self(bytes)),
            _ => Err("a size is above 0 and at most 1048576GiB".to_owned()),
        }
    }
}

impl Time {
    const LEAST: Self = Self(Duration::from_secs(1));
    const MOST: SignedDuration = SignedDuration::from_hours(24);

    /// The time.
    pub fn get(self) -> Duration {
        self.0
    }

    fn read(text: &str) -> Result<Self, String> {
        let time: SignedDuration = text.parse().map_err(|_| "a time is a number and a unit, such as 30s".to_owned())?;
        if time <= SignedDuration::ZERO || time > Self::MOST {
            return Err("a time is above 0s and at most 24h".to_owned());
        }
        Duration::try_from(time).map(Self).map_err(|_| "a time is above 0s and at most 24h".to_owned())
    }
}

impl Number {
    const LEAST: Self = Self(1);
    const MOST: u64 = u32::MAX as u64;

    /// The number.
    pub fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn read(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number @ 1..=Self::MOST) => Ok(Self(number)),
            _ => Err("a number above 0 is wanted".to_owned()),
        }
    }
}

macro_rules! read_from_text {
    ($($type:ident: $expecting:literal,)+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $type::read(text).map_err(E::custom)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        self.visit_str(&number.to_string())
                    }
                }

                deserializer.deserialize_any(Text)
            }
        }
    )+};
}

read_from_text! {
    Size: "a size such as 8MiB",
    Time: "a time such as 30s",
    Number: "a number above 0",
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<Limits, serde_saphyr::Error> {
        serde_saphyr::from_str(text)
    }

    #[test]
    fn every_default_can_be_written_as_the_table_says_it() {
        let all: String = Limits::TABLE.iter().map(|(name, default)| format!("{name}: {default}\n")).collect();
        assert_eq!(limits(&all).unwrap(), Limits::default());
        assert_eq!(limits("{}").unwrap(), Limits::default());
        assert_eq!(Limits::default().value_bytes.get(), 8 * 1024 * 1024);
    }

    #[test]
    fn the_documentation_tells_every_limit_with_its_default() {
        let docs = include_str!("../../docs/configuration.md");
        for (name, default) in Limits::TABLE {
            let row = format!("| `{name}` | `{default}` |");
            assert!(docs.contains(&row), "docs/configuration.md lacks {row}");
        }
    }

    #[test]
    fn sizes_and_times_need_their_units_and_are_above_nothing() {
        assert_eq!(limits("value_bytes: 1024").unwrap().value_bytes.get(), 1024);
        assert_eq!(limits("drain_timeout: 1m 30s").unwrap().drain_timeout.get(), Duration::from_secs(90));
        for wrong in [
            "value_bytes: 0",
            "value_bytes: 8MB",
            "value_bytes: -1",
            "value_bytes: 1.5MiB",
            "value_bytes: 99999999GiB",
            "value_bytes: []",
        ] {
            assert!(limits(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "drain_timeout: 30",
            "drain_timeout: 0s",
            "drain_timeout: -5s",
            "drain_timeout: 25h",
            "drain_timeout: soon",
            "depth: 0",
            "depth: 9999999999",
        ] {
            assert!(limits(wrong).is_err(), "{wrong}");
        }
        assert!(limits("patience: 5s").is_err());
    }
}
