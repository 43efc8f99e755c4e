//! sonic-rs: its tree. Its lazy values are in `raw.rs`.

use sonic_rs::{JsonValueMutTrait, JsonValueTrait, Object, Value};

use crate::Outcome;
use crate::task::{HIDDEN, Kind, PICKED, SKELETON, Task};

/// The tasks.
pub fn dom(task: Task, document: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
    let mut tree: Value = sonic_rs::from_slice(document)?;
    let left = match task {
        Task::Hide => {
            hide(&mut tree);
            true
        }
        Task::Pick => pick(&mut tree),
    };
    if left {
        sonic_rs::to_writer(out, &tree)?;
    }
    Ok(())
}

fn kind(members: &Object) -> Kind {
    Kind::of(members.get(&"resourceType").and_then(|said| said.as_str()))
}

fn hide(resource: &mut Value) {
    let Some(members) = resource.as_object_mut() else { return };
    let kind = kind(members);
    members.remove(&"text");
    if kind == Kind::Patient {
        for name in HIDDEN {
            members.remove(&name);
        }
    }
    if let Some(contained) = members.get_mut(&"contained").and_then(|value| value.as_array_mut()) {
        contained.iter_mut().for_each(hide);
    }
    if kind == Kind::Bundle
        && let Some(entries) = members.get_mut(&"entry").and_then(|value| value.as_array_mut())
    {
        entries.iter_mut().filter_map(|entry| entry.get_mut("resource")).for_each(hide);
    }
}

/// Whether anything is left.
fn pick(resource: &mut Value) -> bool {
    let Some(members) = resource.as_object_mut() else { return false };
    match kind(members) {
        Kind::Bundle => members.retain(|name, value| {
            if name != "entry" {
                return SKELETON.contains(&name);
            }
            let Some(entries) = value.as_array_mut() else { return false };
            entries.retain_mut(|entry| {
                let Some(entry) = entry.as_object_mut() else { return false };
                entry.retain(|name, value| name == "resource" && pick(value));
                !entry.is_empty()
            });
            !entries.is_empty()
        }),
        Kind::Observation => members.retain(|name, value| {
            if name != "subject" {
                return PICKED.contains(&name);
            }
            let Some(subject) = value.as_object_mut() else { return false };
            subject.retain(|name, _| name == "reference");
            !subject.is_empty()
        }),
        Kind::Patient | Kind::Other => return false,
    }
    !members.is_empty()
}
