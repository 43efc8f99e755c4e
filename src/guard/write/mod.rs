//! Writes: what a role does not see can neither be set nor lost (L16, L26 to L28).
//!
//! A caller changes the copy that it has been shown, and not the resource. So the gateway reads what is stored, puts what
//! was withheld back into what the caller sent, and sends that (`merge.rs`). A patch is a change of the same copy
//! (`patch.rs`), so that it reaches nothing that the copy does not hold.
//!
//! However the two were put together, two things are then held against the view itself, and no write leaves without
//! them: the view of what would be stored is what the caller sent, so that it sets nothing that it does not see; and what
//! the view withholds of it is what it withholds of what is stored, so that nothing is lost. Pure: no I/O, no clock.

mod merge;
mod patch;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::merge::Place;
pub use self::patch::PatchError;
use crate::json::SyntaxError;
use crate::json::node::{Ambiguous, Document};
use crate::json::string::escape_into;
use crate::json::tree::{Member, Tree};
use crate::policy;
use crate::redact::RedactError;

/// Shows a whole resource as the role sees it; `None` where nothing of it is seen.
pub type View<'v> = &'v dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, RedactError>;

/// Why a write is refused. Names an element, and never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    Syntax(SyntaxError),
    /// The body can't be shown, such as one that nests too deep.
    #[error("the body can't be taken: {0}")]
    Sent(RedactError),
    /// The body has no one reading.
    #[error("the body: {0}")]
    Ambiguous(Ambiguous),
    /// The body is no resource of the type that the address names.
    #[error("the body is no {expected}: its resourceType must be what the address says")]
    Type {
        /// The type in the address.
        expected: Box<str>,
    },
    /// The body holds an element that the role does not see as it is.
    #[error("{element} can't be written: this role does not see it as it is; leave it out, or as it was read")]
    Hidden {
        /// The element.
        element: Box<str>,
    },
    /// The body lacks an element of which the role sees a part, or a likeness.
    #[error("{element} can't be taken away: this role does not see all of it")]
    Lost {
        /// The element.
        element: Box<str>,
    },
    /// Which item is which can't be told.
    #[error(
        "the items of {element} can't be matched with those that are stored, and this role does not see all of them: \
         leave them in their order and number, give each an id, or add new ones at the end"
    )]
    Items {
        /// The element.
        element: Box<str>,
    },
    /// The body is a filtered copy of another resource.
    #[error("the body is marked as filtered (meta.security): a filtered copy can't be stored as a resource")]
    Marked,
    /// The role would not see what it writes.
    #[error("this role would not see the resource as it would be stored")]
    Unseen,
    /// What is stored is not JSON.
    #[error("what is stored is not JSON")]
    Stored(#[source] SyntaxError),
    /// What is stored, or what is sent, can't be shown.
    #[error("what is stored can't be told apart from what is sent")]
    View(#[source] RedactError),
    /// The patch.
    #[error("the patch: {0}")]
    Patch(#[from] PatchError),
}

/// Checks a resource of a caller who sees everything: it has one reading, and is of the type that the address says.
///
/// # Errors
/// Where it is none.
pub fn check(of: &str, sent: &[u8]) -> Result<(), WriteError> {
    let sent = Document::read(sent).map_err(WriteError::Syntax)?;
    check_type(&Tree::of(&sent).map_err(WriteError::Ambiguous)?, of)
}

/// Checks a resource that is to be created: the role must see all of it, as it is.
///
/// # Errors
/// Where it is no resource of this type, or holds what the role does not see.
pub fn created(view: View<'_>, of: &str, sent: &[u8]) -> Result<Vec<u8>, WriteError> {
    let sent = Document::read(sent).map_err(WriteError::Syntax)?;
    let mut sent = Tree::of(&sent).map_err(WriteError::Ambiguous)?;
    prune(&mut sent);
    check_type(&sent, of)?;
    if marks(&sent) > 0 {
        return Err(WriteError::Marked);
    }
    let written = sent.to_bytes();
    let seen = view(&written).map_err(WriteError::Sent)?.ok_or(WriteError::Unseen)?;
    let seen = read(&seen)?;
    check_same(of, 0, sent, tree(&seen)?)?;
    Ok(written)
}

/// A resource that is sent without an id, with the id of what it is to replace.
///
/// # Errors
/// Where it is not JSON, or has no one reading.
pub fn named(sent: &[u8], id: &str) -> Result<Vec<u8>, WriteError> {
    let sent = Document::read(sent).map_err(WriteError::Syntax)?;
    let mut sent = Tree::of(&sent).map_err(WriteError::Ambiguous)?;
    let mut text = Vec::new();
    escape_into(&mut text, id);
    if let Tree::Object(members) = &mut sent
        && !members.iter().any(|member| member.name == "id")
    {
        members.push(Member { name: "id".into(), value: Tree::Scalar(&text) });
    }
    Ok(sent.to_bytes())
}

/// What a caller sends of a resource that is stored.
#[derive(Clone, Copy)]
pub enum Sent<'b> {
    /// Its copy, changed.
    Resource(&'b [u8]),
    /// A JSON Patch (RFC 6902) of its copy.
    Patch(&'b [u8]),
}

/// What is to be stored in place of what is.
///
/// # Errors
/// Where the caller would set what it does not see, or lose it; and where a patch can't be applied to its copy.
pub fn updated(view: View<'_>, of: &str, stored: &[u8], sent: Sent<'_>) -> Result<Vec<u8>, WriteError> {
    let (Sent::Resource(body) | Sent::Patch(body)) = sent;
    let body = Document::read(body).map_err(WriteError::Syntax)?;
    let body = Tree::of(&body).map_err(WriteError::Ambiguous)?;
    let shown = seen(view, stored)?;
    let (stored, shown) = (read(stored)?, read(&shown)?);
    let (stored, shown) = (tree(&stored)?, tree(&shown)?);

    let labels = labels(&stored);
    let mut copy = shown.clone();
    unlabel(&mut copy, labels);
    let mut sent = match sent {
        Sent::Resource(_) => body,
        Sent::Patch(_) => patch::apply(shown.clone(), &body)?,
    };
    prune(&mut sent);
    check_type(&sent, of)?;
    unlabel(&mut sent, labels);

    let new = merge::merge(Place::root(of), &stored, &copy, sent.clone())?;
    if marks(&new) > marks(&stored) {
        return Err(WriteError::Marked);
    }
    let written = new.to_bytes();
    let seen = seen(view, &written)?;
    let seen = read(&seen)?;
    let seen = tree(&seen)?;
    // INVARIANT: the caller sets nothing that it does not see, and loses nothing of it.
    check_same(of, labels, sent, seen.clone())?;
    if withheld(&stored, &shown) != withheld(&new, &seen) {
        return Err(WriteError::Lost { element: of.into() });
    }
    Ok(written)
}

/// The role's view of a resource.
fn seen(view: View<'_>, resource: &[u8]) -> Result<Vec<u8>, WriteError> {
    view(resource).map_err(WriteError::View)?.ok_or(WriteError::Unseen)
}

/// Reads what has been read before: by the view, or by the gateway when it was written.
fn read(text: &[u8]) -> Result<Document<'_>, WriteError> {
    Document::read(text).map_err(WriteError::Stored)
}

fn tree<'d>(document: &'d Document<'_>) -> Result<Tree<'d>, WriteError> {
    Tree::of(document).map_err(|_| WriteError::Unseen)
}

fn check_type(sent: &Tree<'_>, of: &str) -> Result<(), WriteError> {
    match sent.member("resourceType").and_then(Tree::as_str) {
        Some(said) if said == of => Ok(()),
        _ => Err(WriteError::Type { expected: of.into() }),
    }
}

/// Takes away members that are empty, which no view shows: to be empty is to be absent (R4 json.html#2.6.2).
fn prune(tree: &mut Tree<'_>) {
    match tree {
        Tree::Scalar(_) => {}
        Tree::Array(items) => items.iter_mut().for_each(prune),
        Tree::Object(members) => {
            members.iter_mut().for_each(|member| prune(&mut member.value));
            members.retain(|member| !member.value.is_empty());
        }
    }
}

/// Whether the view of what would be stored is what the caller sent, but for what the gateway writes into each view.
fn check_same(of: &str, labels: usize, mut sent: Tree<'_>, mut seen: Tree<'_>) -> Result<(), WriteError> {
    unlabel(&mut seen, labels);
    unmark(&mut seen);
    unmark(&mut sent);
    match differs(Place::root(of), &sent, &seen) {
        Some(element) => Err(WriteError::Hidden { element }),
        None => Ok(()),
    }
}

/// The first element in which what was sent is not what is seen.
fn differs(place: Place<'_>, sent: &Tree<'_>, seen: &Tree<'_>) -> Option<Box<str>> {
    if sent.same(seen) {
        return None;
    }
    let (Tree::Object(members), Tree::Object(others)) = (sent, seen) else { return Some(place.element()) };
    let of_sent = members.iter().find_map(|member| match seen.member(&member.name) {
        Some(other) => differs(place.of(&member.name), &member.value, other),
        None => Some(place.of(&member.name).element()),
    });
    let added = || others.iter().find(|member| sent.member(&member.name).is_none());
    of_sent.or_else(|| added().map(|member| place.of(&member.name).element()))
}

/// Each scalar that is stored and not shown as it is, by where it stands, and how often.
fn withheld<'t>(stored: &Tree<'t>, shown: &Tree<'t>) -> BTreeMap<(String, &'t [u8]), usize> {
    let mut left = BTreeMap::new();
    leaves(&mut String::new(), stored, &mut |place, text| {
        *left.entry((place.to_owned(), text)).or_default() += 1;
    });
    leaves(&mut String::new(), shown, &mut |place, text| {
        let key = (place.to_owned(), text);
        if let Some(count) = left.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                left.remove(&key);
            }
        }
    });
    left
}

fn leaves<'t>(place: &mut String, tree: &Tree<'t>, visit: &mut dyn FnMut(&str, &'t [u8])) {
    match tree {
        Tree::Scalar(text) => visit(place, text),
        Tree::Array(items) => items.iter().for_each(|item| leaves(place, item, visit)),
        Tree::Object(members) => {
            for Member { name, value } in members {
                let above = place.len();
                place.push('.');
                place.push_str(name);
                leaves(place, value, visit);
                place.truncate(above);
            }
        }
    }
}

/// The labels in a resource's `meta.security` that say what a view did to it.
fn labels(resource: &Tree<'_>) -> usize {
    let codings = resource.member("meta").and_then(|meta| meta.member("security")).map_or(&[][..], Tree::items);
    codings.iter().filter(|coding| is_label(coding)).count()
}

fn is_label(coding: &Tree<'_>) -> bool {
    let text = |name| coding.member(name).and_then(Tree::as_str);
    text("system").zip(text("code")).is_some_and(|(system, code)| policy::is_label(&system, &code))
}

/// Takes the labels but the first few away, and what is empty without them. Answers whether there were any.
fn unlabel(resource: &mut Tree<'_>, stored: usize) -> bool {
    let Tree::Object(members) = resource else { return false };
    let Some(at) = members.iter().position(|member| member.name == "meta") else { return false };
    let Some(Member { value: Tree::Object(meta), .. }) = members.get_mut(at) else { return false };
    let Some(security) = meta.iter().position(|member| member.name == "security") else { return false };
    let Some(Member { value: Tree::Array(codings), .. }) = meta.get_mut(security) else { return false };
    let (before, mut known) = (codings.len(), 0);
    codings.retain(|coding| {
        known += usize::from(is_label(coding));
        !is_label(coding) || known <= stored
    });
    let removed = codings.len() < before;
    if removed && codings.is_empty() {
        meta.remove(security);
        if meta.is_empty() {
            members.remove(at);
        }
    }
    removed
}

/// Whether this is what is written in place of an element that is `absent`.
fn is_mark(value: &Tree<'_>) -> bool {
    let only = |items: &[Tree<'_>]| matches!(items, [one] if is_mark(one));
    match value {
        Tree::Array(items) => only(items),
        Tree::Object(members) => match members.as_slice() {
            [Member { name, value: Tree::Array(extensions) }] if name == "extension" => match extensions.as_slice() {
                [extension] => {
                    let text = |name| extension.member(name).and_then(Tree::as_str);
                    text("url").zip(text("valueCode")).is_some_and(|(url, code)| policy::is_mark(&url, &code))
                }
                _ => false,
            },
            _ => false,
        },
        Tree::Scalar(_) => false,
    }
}

/// How often a resource says that something of it is withheld.
fn marks(tree: &Tree<'_>) -> usize {
    match tree {
        Tree::Scalar(_) => 0,
        Tree::Array(items) => items.iter().map(marks).sum(),
        Tree::Object(members) => {
            let own = usize::from(is_label(tree));
            let of = |member: &Member<'_>| {
                if member.name.starts_with('_') && is_mark(&member.value) { 1 } else { marks(&member.value) }
            };
            own + members.iter().map(of).sum::<usize>()
        }
    }
}

/// Takes away what stands in place of elements that are `absent`.
fn unmark(tree: &mut Tree<'_>) {
    match tree {
        Tree::Scalar(_) => {}
        Tree::Array(items) => items.iter_mut().for_each(unmark),
        Tree::Object(members) => {
            members.retain(|member| !(member.name.starts_with('_') && is_mark(&member.value)));
            members.iter_mut().for_each(|member| unmark(&mut member.value));
        }
    }
}
