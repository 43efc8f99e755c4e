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
    /// How long answers that are under way may take to end after SIGTERM.
    drain: Time = "30s",
    /// How deep arrays and objects of a body may nest; at most 1024.
    depth: Number = "128",
    /// How many bytes of one value are held until it is decided; a longer one is withheld.
    hold: Size = "8MiB",
    /// How many bytes a member's name and the white space around it may take.
    name: Size = "64KiB",
    /// How many bytes of a string a transform takes; a longer one is withheld.
    text: Size = "1MiB",
}

impl Limits {
    /// What a redactor takes on.
    pub fn redact(&self) -> crate::redact::Limits {
        crate::redact::Limits {
            depth: self.depth.get(),
            hold: self.hold.get(),
            lead: self.name.get(),
            text: self.text.get(),
        }
    }
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
        assert_eq!(Limits::default().hold.get(), 8 * 1024 * 1024);
        assert_eq!(Limits::default().redact(), crate::redact::Limits::default());
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
        assert_eq!(limits("hold: 1024").unwrap().hold.get(), 1024);
        assert_eq!(limits("drain: 1m 30s").unwrap().drain.get(), Duration::from_secs(90));
        for wrong in ["hold: 0", "hold: 8MB", "hold: -1", "hold: 1.5MiB", "hold: 99999999GiB", "hold: []"] {
            assert!(limits(wrong).is_err(), "{wrong}");
        }
        for wrong in
            ["drain: 30", "drain: 0s", "drain: -5s", "drain: 25h", "drain: soon", "depth: 0", "depth: 9999999999"]
        {
            assert!(limits(wrong).is_err(), "{wrong}");
        }
        assert!(limits("patience: 5s").is_err());
    }
}
