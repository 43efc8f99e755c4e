//! sonic-rs: its tree, and its iterators over lazy values. `raw.rs` has another way to use the latter.

use sonic_rs::{JsonValueMutTrait, JsonValueTrait, Object, Value, to_array_iter, to_object_iter};

use crate::Outcome;
use crate::task::{HIDDEN, Kind, PICKED, SKELETON, Task, hides};

/// The tasks.
pub fn dom(task: Task, document: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
    let mut tree: Value = sonic_rs::from_slice(document)?;
    if task.leaves(&mut tree, hide, pick) {
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

/// The tasks with iterators over lazy values, as its documentation shows them: each level is passed over by the one above
/// it, and again when it is looked into.
pub fn lazy(task: Task, document: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
    resource(task, std::str::from_utf8(document)?, out)
}

fn resource(task: Task, text: &str, out: &mut Vec<u8>) -> Outcome<()> {
    let mut said = None;
    for member in to_object_iter(text) {
        let (name, value) = member?;
        if name == "resourceType" {
            said = Some(value);
            break;
        }
    }
    let kind = Kind::of(said.as_ref().and_then(|said| said.as_str()));
    object(text, out, |name, value, out| match (task, kind, name) {
        (Task::Hide, _, "contained") => array(value, out, |item, out| resource(task, item, out)),
        (_, Kind::Bundle, "entry") => array(value, out, |item, out| {
            object(item, out, |name, value, out| match (task, name) {
                (_, "resource") => resource(task, value, out),
                (Task::Hide, _) => keep(value, out),
                (Task::Pick, _) => Ok(()),
            })
        }),
        (Task::Hide, ..) if hides(kind, name) => Ok(()),
        (Task::Pick, Kind::Observation, "subject") => object(value, out, |name, value, out| match name {
            "reference" => keep(value, out),
            _ => Ok(()),
        }),
        (Task::Pick, Kind::Bundle, _) if !SKELETON.contains(&name) => Ok(()),
        (Task::Pick, Kind::Observation, _) if !PICKED.contains(&name) => Ok(()),
        (Task::Pick, Kind::Patient | Kind::Other, _) => Ok(()),
        _ => keep(value, out),
    })
}

fn keep(value: &str, out: &mut Vec<u8>) -> Outcome<()> {
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

fn object(
    text: &str,
    out: &mut Vec<u8>,
    mut member: impl FnMut(&str, &str, &mut Vec<u8>) -> Outcome<()>,
) -> Outcome<()> {
    let start = out.len();
    out.push(b'{');
    for pair in to_object_iter(text) {
        let (name, value) = pair?;
        let before = out.len();
        out.extend_from_slice(if before == start + 1 { b"\"" } else { b",\"" });
        if name.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            let escaped = sonic_rs::to_string(&*name)?;
            out.extend_from_slice(escaped.trim_matches('"').as_bytes());
        } else {
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(b"\":");
        let named = out.len();
        member(&name, value.as_raw_str(), out)?;
        if out.len() == named {
            out.truncate(before);
        }
    }
    if out.len() == start + 1 {
        out.truncate(start)
    } else {
        out.push(b'}')
    }
    Ok(())
}

fn array(text: &str, out: &mut Vec<u8>, mut item: impl FnMut(&str, &mut Vec<u8>) -> Outcome<()>) -> Outcome<()> {
    let start = out.len();
    out.push(b'[');
    for value in to_array_iter(text) {
        let value = value?;
        let before = out.len();
        if before > start + 1 {
            out.push(b',');
        }
        let comma = out.len();
        item(value.as_raw_str(), out)?;
        if out.len() == comma {
            out.truncate(before);
        }
    }
    if out.len() == start + 1 {
        out.truncate(start)
    } else {
        out.push(b']')
    }
    Ok(())
}
