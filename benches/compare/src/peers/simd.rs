//! simd-json: a tree that borrows from a copy of the text, since it unescapes in place.

use simd_json::borrowed::{Object, Value};
use simd_json::prelude::*;
use simd_json::{Buffers, to_borrowed_value_with_buffers};

use crate::Outcome;
use crate::task::{Kind, PICKED, SKELETON, Task, hides};

/// Its buffers, which are used again.
#[derive(Default)]
pub struct Borrowed {
    text: Vec<u8>,
    buffers: Buffers,
}

impl Borrowed {
    /// The tasks.
    pub fn dom(&mut self, task: Task, document: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
        self.text.clear();
        self.text.extend_from_slice(document);
        let mut tree = to_borrowed_value_with_buffers(&mut self.text, &mut self.buffers)?;
        if task.leaves(&mut tree, hide, pick) {
            tree.write(out)?;
        }
        Ok(())
    }
}

fn kind(members: &Object<'_>) -> Kind {
    Kind::of(members.get("resourceType").and_then(|said| said.as_str()))
}

fn hide(resource: &mut Value<'_>) {
    let Some(members) = resource.as_object_mut() else { return };
    let kind = kind(members);
    members.retain(|name, _| !hides(kind, name));
    if let Some(contained) = members.get_mut("contained").and_then(|value| value.as_array_mut()) {
        contained.iter_mut().for_each(hide);
    }
    if kind == Kind::Bundle
        && let Some(entries) = members.get_mut("entry").and_then(|value| value.as_array_mut())
    {
        entries.iter_mut().filter_map(|entry| entry.get_mut("resource")).for_each(hide);
    }
}

/// Whether anything is left.
fn pick(resource: &mut Value<'_>) -> bool {
    let Some(members) = resource.as_object_mut() else { return false };
    match kind(members) {
        Kind::Bundle => members.retain(|name, value| match value {
            Value::Array(entries) if name == "entry" => {
                entries.retain_mut(|entry| {
                    let Some(entry) = entry.as_object_mut() else { return false };
                    entry.retain(|name, value| name == "resource" && pick(value));
                    !entry.is_empty()
                });
                !entries.is_empty()
            }
            _ => SKELETON.contains(&&**name),
        }),
        Kind::Observation => members.retain(|name, value| match value {
            Value::Object(subject) if name == "subject" => {
                subject.retain(|name, _| name == "reference");
                !subject.is_empty()
            }
            _ => PICKED.contains(&&**name),
        }),
        Kind::Patient | Kind::Other => return false,
    }
    !members.is_empty()
}
