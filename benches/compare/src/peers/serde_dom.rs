//! serde_json: parse to a tree, delete, write.
//!
//! Its maps keep the order of members, since the product has turned that on and a feature is on for all of a build; a map
//! in the order of names is no faster here (docs/benchmarks.md).

use serde_json::{Map, Value};

use crate::Outcome;
use crate::task::{Kind, PICKED, SKELETON, Task, hides};

/// The tasks.
pub fn dom(task: Task, document: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
    let mut tree: Value = serde_json::from_slice(document)?;
    let left = match task {
        Task::Hide => {
            hide(&mut tree);
            true
        }
        Task::Pick => pick(&mut tree),
    };
    if left {
        serde_json::to_writer(out, &tree)?;
    }
    Ok(())
}

fn kind(members: &Map<String, Value>) -> Kind {
    Kind::of(members.get("resourceType").and_then(Value::as_str))
}

fn hide(resource: &mut Value) {
    let Some(members) = resource.as_object_mut() else { return };
    let kind = kind(members);
    members.retain(|name, _| !hides(kind, name));
    if let Some(Value::Array(contained)) = members.get_mut("contained") {
        contained.iter_mut().for_each(hide);
    }
    if kind == Kind::Bundle
        && let Some(Value::Array(entries)) = members.get_mut("entry")
    {
        entries.iter_mut().filter_map(|entry| entry.get_mut("resource")).for_each(hide);
    }
}

/// Whether anything is left.
fn pick(resource: &mut Value) -> bool {
    let Some(members) = resource.as_object_mut() else { return false };
    match kind(members) {
        Kind::Bundle => {
            members.retain(|name, value| match value {
                Value::Array(entries) if name == "entry" => {
                    entries.retain_mut(|entry| {
                        let Some(entry) = entry.as_object_mut() else { return false };
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
