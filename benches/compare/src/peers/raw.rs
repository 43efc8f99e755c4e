//! serde_json's `RawValue` and sonic-rs's `LazyValue`: what is kept is passed over and copied as it is written, in one
//! walk, without a tree. sonic-rs passes over an object or list by counting its brackets, and does not check what is in it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sonic_rs::LazyValue;

use crate::Outcome;
use crate::task::{Kind, PICKED, SKELETON, Task, hides};

/// The tasks with serde_json's raw values.
pub fn serde_json(task: Task, document: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
    // UTF-8 is checked at once, which is faster than string by string.
    SerdeJson::walk(std::str::from_utf8(document)?, Walk::new(task, Within::Resource, out))?;
    Ok(())
}

/// The tasks with sonic-rs's lazy values.
pub fn sonic_rs(task: Task, document: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
    SonicRs::walk(std::str::from_utf8(document)?, Walk::new(task, Within::Resource, out))?;
    Ok(())
}

/// A library with values that are not parsed.
trait Library: Sized {
    type Raw<'de>: Deserialize<'de>;
    type Error: std::error::Error + 'static;

    fn text<'a>(raw: &'a Self::Raw<'_>) -> &'a str;

    fn walk(text: &str, walk: Walk<'_, Self>) -> Result<(), Self::Error>;
}

struct SerdeJson;

impl Library for SerdeJson {
    type Raw<'de> = &'de RawValue;
    type Error = serde_json::Error;

    fn text<'a>(raw: &'a Self::Raw<'_>) -> &'a str {
        raw.get()
    }

    fn walk(text: &str, walk: Walk<'_, Self>) -> Result<(), Self::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        walk.deserialize(&mut deserializer)?;
        deserializer.end()
    }
}

struct SonicRs;

impl Library for SonicRs {
    type Raw<'de> = LazyValue<'de>;
    type Error = sonic_rs::Error;

    fn text<'a>(raw: &'a Self::Raw<'_>) -> &'a str {
        raw.as_raw_str()
    }

    fn walk(text: &str, walk: Walk<'_, Self>) -> Result<(), Self::Error> {
        let mut deserializer = sonic_rs::Deserializer::from_str(text);
        walk.deserialize(&mut deserializer)?;
        deserializer.end()
    }
}

/// A name after unescaping.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What is walked.
#[derive(Clone, Copy)]
enum Within {
    Resource,
    Resources,
    Entries,
    Entry,
    Subject,
}

/// Walks a value and appends what is left of it.
struct Walk<'o, L> {
    task: Task,
    within: Within,
    out: &'o mut Vec<u8>,
    library: PhantomData<L>,
}

impl<'o, L> Walk<'o, L> {
    fn new(task: Task, within: Within, out: &'o mut Vec<u8>) -> Self {
        Self { task, within, out, library: PhantomData }
    }
}

impl<'de, L: Library> DeserializeSeed<'de> for Walk<'_, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.within {
            Within::Resources | Within::Entries => deserializer.deserialize_seq(self),
            Within::Resource | Within::Entry | Within::Subject => deserializer.deserialize_map(self),
        }
    }
}

/// What becomes of a member.
enum Fate {
    Keep,
    Drop,
    Walk(Within),
}

fn fate(task: Task, kind: Kind, name: &str) -> Fate {
    match (task, kind, name) {
        (Task::Hide, _, "contained") => Fate::Walk(Within::Resources),
        (_, Kind::Bundle, "entry") => Fate::Walk(Within::Entries),
        (Task::Hide, ..) if hides(kind, name) => Fate::Drop,
        (Task::Hide, ..) => Fate::Keep,
        (Task::Pick, Kind::Bundle, _) if SKELETON.contains(&name) => Fate::Keep,
        (Task::Pick, Kind::Observation, "subject") => Fate::Walk(Within::Subject),
        (Task::Pick, Kind::Observation, _) if PICKED.contains(&name) => Fate::Keep,
        (Task::Pick, ..) => Fate::Drop,
    }
}

impl<'de, L: Library> Visitor<'de> for Walk<'_, L> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("what FHIR has here")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let within = if matches!(self.within, Within::Resources) { Within::Resource } else { Within::Entry };
        let start = self.out.len();
        self.out.push(b'[');
        loop {
            let before = self.out.len();
            if before > start + 1 {
                self.out.push(b',');
            }
            let item = self.out.len();
            let there = items.next_element_seed(Walk::<L>::new(self.task, within, self.out))?.is_some();
            if self.out.len() == item {
                self.out.truncate(before);
            }
            if !there {
                break;
            }
        }
        close(self.out, start, b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let start = self.out.len();
        self.out.push(b'{');
        match self.within {
            Within::Resource => self.resource(start, &mut members)?,
            within => {
                while let Some(Name(name)) = members.next_key()? {
                    let fate = match (self.task, within, &*name) {
                        (_, Within::Entry, "resource") => Fate::Walk(Within::Resource),
                        (_, Within::Subject, "reference") | (Task::Hide, ..) => Fate::Keep,
                        (Task::Pick, ..) => Fate::Drop,
                    };
                    self.member(start, &name, fate, &mut members)?;
                }
            }
        }
        close(self.out, start, b'}');
        Ok(())
    }
}

impl<L: Library> Walk<'_, L> {
    fn resource<'de, A: MapAccess<'de>>(&mut self, start: usize, members: &mut A) -> Result<(), A::Error> {
        // What stands before the resource has said what it is. FHIR's own writers say it first.
        let mut before: Vec<(Name<'de>, L::Raw<'de>)> = Vec::new();
        let mut known = None;
        while let Some(name) = members.next_key::<Name<'de>>()? {
            match known {
                Some(kind) => self.member(start, &name.0, fate(self.task, kind, &name.0), members)?,
                None if name.0 == "resourceType" => {
                    let said: L::Raw<'de> = members.next_value()?;
                    let kind = Kind::of(L::text(&said).strip_prefix('"').and_then(|said| said.strip_suffix('"')));
                    known = Some(kind);
                    self.written(start, &name.0, fate(self.task, kind, &name.0), &said).map_err(A::Error::custom)?;
                    for (name, value) in before.drain(..) {
                        self.written(start, &name.0, fate(self.task, kind, &name.0), &value)
                            .map_err(A::Error::custom)?;
                    }
                }
                None => before.push((name, members.next_value()?)),
            }
        }
        for (name, value) in before {
            self.written(start, &name.0, fate(self.task, Kind::Other, &name.0), &value).map_err(A::Error::custom)?;
        }
        Ok(())
    }

    /// A member whose value comes next.
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        start: usize,
        name: &str,
        fate: Fate,
        members: &mut A,
    ) -> Result<(), A::Error> {
        match fate {
            Fate::Drop => members.next_value::<IgnoredAny>().map(|_| ()),
            Fate::Keep => {
                let value: L::Raw<'de> = members.next_value()?;
                self.name(start, name);
                self.out.extend_from_slice(L::text(&value).as_bytes());
                Ok(())
            }
            Fate::Walk(within) => {
                let before = self.out.len();
                self.name(start, name);
                let named = self.out.len();
                members.next_value_seed(Walk::<L>::new(self.task, within, self.out))?;
                if self.out.len() == named {
                    self.out.truncate(before);
                }
                Ok(())
            }
        }
    }

    /// A member whose value has been passed over.
    fn written(&mut self, start: usize, name: &str, fate: Fate, value: &L::Raw<'_>) -> Result<(), L::Error> {
        let before = self.out.len();
        match fate {
            Fate::Drop => {}
            Fate::Keep => {
                self.name(start, name);
                self.out.extend_from_slice(L::text(value).as_bytes());
            }
            Fate::Walk(within) => {
                self.name(start, name);
                let named = self.out.len();
                L::walk(L::text(value), Walk::new(self.task, within, self.out))?;
                if self.out.len() == named {
                    self.out.truncate(before);
                }
            }
        }
        Ok(())
    }

    fn name(&mut self, start: usize, name: &str) {
        if self.out.len() > start + 1 {
            self.out.push(b',');
        }
        self.out.push(b'"');
        if name.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            let escaped = serde_json::to_string(name).unwrap_or_default();
            self.out.extend_from_slice(escaped.trim_matches('"').as_bytes());
        } else {
            self.out.extend_from_slice(name.as_bytes());
        }
        self.out.extend_from_slice(b"\":");
    }
}

fn close(out: &mut Vec<u8>, start: usize, bracket: u8) {
    if out.len() == start + 1 { out.truncate(start) } else { out.push(bracket) }
}
