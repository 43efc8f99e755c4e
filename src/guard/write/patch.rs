//! JSON Patch (RFC 6902) of a caller's copy.
//!
//! A patch reaches the copy alone, so that a `test`, a `copy` or a `move` of what is withheld fails as one of what is not
//! there does (L27).

use crate::json::tree::{Member, Tree};

/// Why a patch can't be applied. Names the operation, and nothing of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// Not an array of operations.
    #[error("a JSON Patch is an array of operations (RFC 6902)")]
    Shape,
    /// An operation that the standard doesn't have, or without what it needs.
    #[error("operation {0} is none of RFC 6902, or lacks its path, from or value")]
    Operation(usize),
    /// A path that leads to nothing in what the role sees.
    #[error("operation {0} leads to nothing that this role sees")]
    Path(usize),
    /// A test that failed.
    #[error("the test of operation {0} failed")]
    Test(usize),
}

/// Applies a patch.
pub(super) fn apply<'t>(mut copy: Tree<'t>, patch: &Tree<'t>) -> Result<Tree<'t>, PatchError> {
    let Tree::Array(operations) = patch else { return Err(PatchError::Shape) };
    for (number, operation) in operations.iter().enumerate() {
        let number = number + 1;
        let wrong = PatchError::Operation(number);
        let gone = PatchError::Path(number);
        let text = |name| operation.member(name).and_then(Tree::as_str).ok_or(wrong);
        let pointer = |name| text(name).and_then(|text| steps(&text).ok_or(wrong));
        let value = || operation.member("value").cloned().ok_or(wrong);
        let path = pointer("path")?;
        let changed = match &*text("op")? {
            "add" => add(&mut copy, &path, value()?),
            "remove" => take(&mut copy, &path).map(|_| ()),
            "replace" => {
                let value = value()?;
                at(&mut copy, &path).map(|place| *place = value)
            }
            "test" => match at(&mut copy, &path) {
                Some(found) if found.same(&value()?) => Some(()),
                _ => return Err(PatchError::Test(number)),
            },
            "copy" => {
                let from = at(&mut copy, &pointer("from")?).cloned();
                from.and_then(|value| add(&mut copy, &path, value))
            }
            "move" => {
                let from = pointer("from")?;
                // Nothing can be moved into itself.
                if path.len() > from.len() && path.starts_with(&from) {
                    return Err(wrong);
                }
                take(&mut copy, &from).and_then(|value| add(&mut copy, &path, value))
            }
            _ => return Err(wrong),
        };
        changed.ok_or(gone)?;
    }
    Ok(copy)
}

/// The steps of a JSON Pointer (RFC 6901); `None` where it is none.
fn steps(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let steps = pointer.strip_prefix('/')?.split('/');
    let valid = |step: &str| step.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    steps.map(|step| valid(step).then(|| step.replace("~1", "/").replace("~0", "~"))).collect()
}

/// The value at a path.
fn at<'c, 't>(tree: &'c mut Tree<'t>, path: &[String]) -> Option<&'c mut Tree<'t>> {
    path.iter().try_fold(tree, |tree, step| match tree {
        Tree::Object(members) => members.iter_mut().find(|member| member.name == *step).map(|member| &mut member.value),
        Tree::Array(items) => items.get_mut(index(step)?),
        Tree::Scalar(_) => None,
    })
}

fn add<'t>(tree: &mut Tree<'t>, path: &[String], value: Tree<'t>) -> Option<()> {
    let Some((last, above)) = path.split_last() else {
        *tree = value;
        return Some(());
    };
    match at(tree, above)? {
        Tree::Object(members) => match members.iter_mut().find(|member| member.name == *last) {
            Some(member) => member.value = value,
            None => members.push(Member { name: last.clone().into(), value }),
        },
        Tree::Array(items) if last == "-" => items.push(value),
        Tree::Array(items) => {
            let place = index(last).filter(|place| *place <= items.len())?;
            items.insert(place, value);
        }
        Tree::Scalar(_) => return None,
    }
    Some(())
}

fn take<'t>(tree: &mut Tree<'t>, path: &[String]) -> Option<Tree<'t>> {
    let (last, above) = path.split_last()?;
    match at(tree, above)? {
        Tree::Object(members) => {
            let place = members.iter().position(|member| member.name == *last)?;
            Some(members.remove(place).value)
        }
        Tree::Array(items) => {
            let place = index(last).filter(|place| *place < items.len())?;
            Some(items.remove(place))
        }
        Tree::Scalar(_) => None,
    }
}

/// The place that a step names in an array: without leading zeros.
fn index(step: &str) -> Option<usize> {
    let canonical = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    canonical.then(|| step.parse().ok()).flatten()
}
