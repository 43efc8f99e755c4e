//! serde_json: parse to a tree, delete, write.
//!
//! The tree is `serde_json::Value` as it is by default. The product has turned on a feature that keeps the order of
//! members, which is then on for all of a build and makes a `Value` slower by a tenth; so the tree is written out here.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Number;

use crate::Outcome;
use crate::task::{HIDDEN, Kind, PICKED, SKELETON, Task};

enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Value>),
    Object(Map),
}

type Map = BTreeMap<String, Value>;

struct ValueVisitor;

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, value)) = members.next_entry()? {
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(members) => serializer.collect_map(members),
        }
    }
}

/// The tasks.
pub fn dom(task: Task, document: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
    let mut tree: Value = serde_json::from_slice(document)?;
    if task.leaves(&mut tree, hide, pick) {
        serde_json::to_writer(out, &tree)?;
    }
    Ok(())
}

fn kind(members: &Map) -> Kind {
    match members.get("resourceType") {
        Some(Value::String(said)) => Kind::of(Some(said)),
        _ => Kind::Other,
    }
}

fn hide(resource: &mut Value) {
    let Value::Object(members) = resource else { return };
    let kind = kind(members);
    members.remove("text");
    if kind == Kind::Patient {
        for name in HIDDEN {
            members.remove(name);
        }
    }
    if let Some(Value::Array(contained)) = members.get_mut("contained") {
        contained.iter_mut().for_each(hide);
    }
    if kind == Kind::Bundle
        && let Some(Value::Array(entries)) = members.get_mut("entry")
    {
        for entry in entries {
            if let Value::Object(entry) = entry
                && let Some(resource) = entry.get_mut("resource")
            {
                hide(resource);
            }
        }
    }
}

/// Whether anything is left.
fn pick(resource: &mut Value) -> bool {
    let Value::Object(members) = resource else { return false };
    match kind(members) {
        Kind::Bundle => {
            members.retain(|name, value| match value {
                Value::Array(entries) if name == "entry" => {
                    entries.retain_mut(|entry| {
                        let Value::Object(entry) = entry else { return false };
                        entry.retain(|name, value| name == "resource" && pick(value));
                        !entry.is_empty()
                    });
                    !entries.is_empty()
                }
                _ => SKELETON.contains(&name.as_str()),
            });
        }
        Kind::Observation => {
            members.retain(|name, value| match value {
                Value::Object(subject) if name == "subject" => {
                    subject.retain(|name, _| name == "reference");
                    !subject.is_empty()
                }
                _ => PICKED.contains(&name.as_str()),
            });
        }
        Kind::Patient | Kind::Other => return false,
    }
    !members.is_empty()
}
