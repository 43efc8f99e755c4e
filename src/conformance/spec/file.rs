//! The spec as it is written.
//!
//! It holds what is secret, so that no message of the reader's repeats a value.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::Spanned;

use super::Allowed;
use crate::config::Entries;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) version: Spanned<u32>,
    #[serde(default)]
    pub(super) headers: Entries<HeaderSource>,
    #[serde(default)]
    pub(super) ca: Option<PathBuf>,
    #[serde(default)]
    pub(super) certificate: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) key: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) allow: Vec<Allowed>,
    pub(super) resources: Entries<ResourceText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceText {
    #[serde(default)]
    pub(super) existence: Existence,
    #[serde(default)]
    pub(super) shown: Entries<String>,
    #[serde(default)]
    pub(super) withheld: Entries<WithheldText>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Existence {
    #[default]
    Shown,
    Withheld,
}

pub(super) struct WithheldText {
    pub(super) value: String,
    pub(super) wrong: Option<String>,
}

#[derive(Debug)]
pub(super) enum HeaderSource {
    /// Text in which `${NAME}` stands for the environment's.
    Text(String),
    File(PathBuf),
}

/// A message of the YAML reader's without the value that it is about.
pub(super) fn without_values(message: &str) -> String {
    let parts: Vec<&str> = message.split('"').collect();
    match (parts.first(), parts.last()) {
        (Some(first), Some(last)) if parts.len() > 2 => format!("{first}…{last}"),
        _ => message.to_owned(),
    }
}

impl<'de> Deserialize<'de> for HeaderSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct InFile {
            file: PathBuf,
        }
        one_of(deserializer, "text such as \"Bearer ${NAME}\", or { file: FILE }", Self::Text, |at: InFile| {
            Self::File(at.file)
        })
    }
}

impl<'de> Deserialize<'de> for WithheldText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole {
            value: String,
            #[serde(default)]
            wrong: Option<String>,
        }
        let alone = |value| Self { value, wrong: None };
        one_of(
            deserializer,
            "a value, in quotes if it is a number, or { value: …, wrong: … }",
            alone,
            |whole: Whole| Self { value: whole.value, wrong: whole.wrong },
        )
    }
}

/// Reads what is written as text alone or as a map.
fn one_of<'de, D: Deserializer<'de>, M: Deserialize<'de>, T>(
    deserializer: D,
    expected: &'static str,
    text: impl FnOnce(String) -> T,
    map: impl FnOnce(M) -> T,
) -> Result<T, D::Error> {
    struct Either<M, A, B>(&'static str, A, B, std::marker::PhantomData<M>);

    impl<'de, M: Deserialize<'de>, T, A: FnOnce(String) -> T, B: FnOnce(M) -> T> Visitor<'de> for Either<M, A, B> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
            Ok((self.1)(value.to_owned()))
        }

        fn visit_map<V: MapAccess<'de>>(self, map: V) -> Result<T, V::Error> {
            Ok((self.2)(M::deserialize(de::value::MapAccessDeserializer::new(map))?))
        }

        // Neither the number nor what it was meant to be is repeated.
        fn visit_seq<V: de::SeqAccess<'de>>(self, mut list: V) -> Result<T, V::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Err(de::Error::invalid_type(de::Unexpected::Seq, &self))
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<T, E> {
            Err(E::invalid_type(de::Unexpected::Other("a boolean"), &self))
        }

        fn visit_i64<E: de::Error>(self, _: i64) -> Result<T, E> {
            Err(E::invalid_type(de::Unexpected::Other("a number"), &self))
        }

        fn visit_u64<E: de::Error>(self, _: u64) -> Result<T, E> {
            Err(E::invalid_type(de::Unexpected::Other("a number"), &self))
        }

        fn visit_f64<E: de::Error>(self, _: f64) -> Result<T, E> {
            Err(E::invalid_type(de::Unexpected::Other("a number"), &self))
        }
    }

    deserializer.deserialize_any(Either(expected, text, map, std::marker::PhantomData))
}
