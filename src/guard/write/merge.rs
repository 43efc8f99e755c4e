//! Puts what a view withholds of a stored value back into what a caller made of its copy.
//!
//! Three values go side by side: what is stored, the copy that the caller was shown of it, and what it sent. Where copy and
//! sent say the same, what is stored stays; where stored and copy do, nothing is withheld and the caller's word holds.
//! Between the two, objects go member by member and arrays item by item. What this makes is a proposal, which the caller
//! of this module holds against the view.

use crate::json::tree::{Member, Tree};

use super::WriteError;

/// Where a value stands, for the name of its element.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    above: Option<&'p Place<'p>>,
    name: &'p str,
}

impl<'p> Place<'p> {
    /// That of a resource of this type.
    pub(super) fn root(of: &'p str) -> Self {
        Self { above: None, name: of }
    }

    /// That of a member's element: of `_birthDate` it is `birthDate`.
    pub(super) fn of(&'p self, name: &'p str) -> Self {
        Self { above: Some(self), name: name.strip_prefix('_').unwrap_or(name) }
    }

    /// `Patient.contact.name`. A name that can be none of an element's is not repeated.
    pub(super) fn element(&self) -> Box<str> {
        let is_name = self.name.len() <= 64 && self.name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let name = if is_name { self.name } else { "(no element)" };
        match self.above {
            Some(above) => format!("{}.{name}", above.element()).into(),
            None => name.into(),
        }
    }
}

/// What is to be stored.
pub(super) fn merge<'t>(
    place: Place<'_>,
    stored: &Tree<'t>,
    copy: &Tree<'t>,
    sent: Tree<'t>,
) -> Result<Tree<'t>, WriteError> {
    if copy.same(&sent) {
        return Ok(stored.clone());
    }
    if stored.same(copy) {
        return Ok(sent);
    }
    match (stored, copy, sent) {
        (Tree::Object(stored), Tree::Object(_), Tree::Object(sent)) => object(place, stored, copy, sent),
        (Tree::Array(stored), Tree::Array(copy), Tree::Array(sent)) => array(place, stored, copy, sent),
        // What the caller sees is a likeness, and of that no new value can be made.
        _ => Err(WriteError::Hidden { element: place.element() }),
    }
}

fn object<'t>(
    place: Place<'_>,
    stored: &[Member<'t>],
    copy: &Tree<'t>,
    sent: Vec<Member<'t>>,
) -> Result<Tree<'t>, WriteError> {
    check_alignment(place, stored, copy, &sent)?;
    let mut sent: Vec<Option<Member<'t>>> = sent.into_iter().map(Some).collect();
    let mut merged = Vec::new();
    for Member { name, value } in stored {
        let of = place.of(name);
        let slot = sent.iter_mut().find(|slot| slot.as_ref().is_some_and(|member| member.name == *name));
        let value = match (copy.member(name), slot.and_then(Option::take)) {
            (None, None) => Some(value.clone()),
            (None, Some(_)) => return Err(WriteError::Hidden { element: of.element() }),
            (Some(copy), Some(sent)) => Some(merge(of, value, copy, sent.value)?),
            (Some(copy), None) => without(of, value, copy)?,
        };
        merged.extend(value.map(|value| Member { name: name.clone(), value }));
    }
    for member in sent.into_iter().flatten() {
        match copy.member(&member.name) {
            // The gateway's own, which says that something is withheld.
            Some(copy) if copy.same(&member.value) => {}
            Some(_) => return Err(WriteError::Hidden { element: place.of(&member.name).element() }),
            None => merged.push(member),
        }
    }
    Ok(Tree::Object(merged))
}

/// What is left of a stored value when all is taken away that the caller sees of it.
fn without<'t>(place: Place<'_>, stored: &Tree<'t>, copy: &Tree<'t>) -> Result<Option<Tree<'t>>, WriteError> {
    if stored.same(copy) {
        return Ok(None);
    }
    let (Tree::Object(members), Tree::Object(_)) = (stored, copy) else {
        return Err(WriteError::Lost { element: place.element() });
    };
    let mut left = Vec::new();
    for Member { name, value } in members {
        let rest = match copy.member(name) {
            Some(copy) => without(place.of(name), value, copy)?,
            None => Some(value.clone()),
        };
        left.extend(rest.map(|value| Member { name: name.clone(), value }));
    }
    Ok(Some(Tree::Object(left)).filter(|left| !left.is_empty()))
}

/// A list of primitives and the list of what they carry are one list in two: where a part of either is withheld, neither
/// may change its length.
fn check_alignment(
    place: Place<'_>,
    stored: &[Member<'_>],
    copy: &Tree<'_>,
    sent: &[Member<'_>],
) -> Result<(), WriteError> {
    for member in stored {
        let whole = copy.member(&member.name).is_some_and(|copy| copy.same(&member.value));
        let other = match member.name.strip_prefix('_') {
            Some(name) => name.to_owned(),
            None => format!("_{}", member.name),
        };
        let length = |tree: &Tree<'_>| matches!(tree, Tree::Array(_)).then(|| tree.items().len());
        let read = copy.member(&other).map(length);
        let now = sent.iter().find(|member| member.name == other).map(|member| length(&member.value));
        if !whole && read.flatten().is_some() && read != now {
            return Err(WriteError::Items { element: place.of(&other).element() });
        }
    }
    Ok(())
}

fn array<'t>(
    place: Place<'_>,
    stored: &[Tree<'t>],
    copy: &[Tree<'t>],
    sent: Vec<Tree<'t>>,
) -> Result<Tree<'t>, WriteError> {
    let unknown = || WriteError::Items { element: place.element() };
    // Which stored item each of the copy's is, and which of the copy's each that was sent is.
    let shown = shown(stored, copy).ok_or_else(unknown)?;
    let known = known(copy, &sent);
    let partly = |item: usize| match (shown.get(item).and_then(|at| stored.get(*at)), copy.get(item)) {
        (Some(stored), Some(copy)) => !stored.same(copy),
        _ => true,
    };
    if (0..copy.len()).any(|item| partly(item) && !known.contains(&Some(item))) {
        return Err(unknown());
    }
    // What is withheld whole follows the item that it follows, or comes first.
    let mut hidden = (0..stored.len()).filter(|at| !shown.contains(at)).peekable();
    let mut merged = Vec::new();
    let mut take_hidden = |merged: &mut Vec<Tree<'t>>, before: usize| {
        while let Some(at) = hidden.next_if(|at| *at < before) {
            merged.extend(stored.get(at).cloned());
        }
    };
    for (sent, known) in sent.into_iter().zip(known) {
        let at = known.and_then(|item| Some((*shown.get(item)?, copy.get(item)?)));
        match at.and_then(|(at, copy)| Some((at, stored.get(at)?, copy))) {
            Some((at, stored, copy)) => {
                take_hidden(&mut merged, at);
                merged.push(merge(place, stored, copy, sent)?);
            }
            None => merged.push(sent),
        }
    }
    take_hidden(&mut merged, stored.len());
    Ok(Tree::Array(merged))
}

/// The place in what is stored of each item of the copy; `None` where there are several ways to match them.
fn shown(stored: &[Tree<'_>], copy: &[Tree<'_>]) -> Option<Vec<usize>> {
    if stored.len() == copy.len() {
        return Some((0..stored.len()).collect());
    }
    // A copy holds the items in their order. Matched as early and as late as they can be, they are the same where there is
    // one way alone. Values that were made unreadable are looked at last: they could be of any item.
    [true, false].into_iter().find_map(|exact| {
        let early = in_order(stored.iter().enumerate(), copy.iter(), exact)?;
        let mut late = in_order(stored.iter().enumerate().rev(), copy.iter().rev(), exact)?;
        late.reverse();
        (early == late).then_some(early)
    })
}

fn in_order<'s, 't: 's>(
    mut stored: impl Iterator<Item = (usize, &'s Tree<'t>)>,
    copy: impl Iterator<Item = &'s Tree<'t>>,
    exact: bool,
) -> Option<Vec<usize>> {
    copy.map(|copy| stored.find(|(_, stored)| may_show(stored, copy, exact)).map(|(at, _)| at)).collect()
}

/// Whether the copy may be what is shown of a stored value.
fn may_show(stored: &Tree<'_>, copy: &Tree<'_>, exact: bool) -> bool {
    match (stored, copy) {
        (Tree::Object(_), Tree::Object(members)) => members.iter().all(|member| {
            // What is not stored was put there by the gateway.
            stored.member(&member.name).map_or(!exact, |stored| may_show(stored, &member.value, exact))
        }),
        (Tree::Array(stored), Tree::Array(copy)) => in_order(stored.iter().enumerate(), copy.iter(), exact).is_some(),
        (_, copy) if copy.is_null() => true,
        (Tree::Scalar(_), Tree::Scalar(_)) => !exact || stored.same(copy),
        _ => false,
    }
}

/// Which item of the copy each that was sent is: by its id, as it stands, or at its place where the array has kept its
/// length and the item its shape or one of its members. In the order of the copy, each at most once.
fn known(copy: &[Tree<'_>], sent: &[Tree<'_>]) -> Vec<Option<usize>> {
    let id = |tree: &Tree<'_>| tree.member("id").and_then(Tree::as_str).map(std::borrow::Cow::into_owned);
    let mut free = 0;
    let same_length = copy.len() == sent.len();
    let matched = sent.iter().enumerate().map(|(place, sent)| {
        let rest = || copy.iter().enumerate().skip(free);
        let by_id = id(sent).and_then(|wanted| rest().find(|(_, copy)| id(copy).as_ref() == Some(&wanted)));
        let as_it_stands = || rest().find(|(_, copy)| copy.same(sent));
        let stays = |copy: &&Tree<'_>| same_length && place >= free && (alike(copy, sent) || akin(copy, sent));
        let by_place = || copy.get(place).filter(stays);
        let found = by_id.or_else(as_it_stands).map(|(item, _)| item).or_else(|| by_place().map(|_| place));
        free = found.map_or(free, |item| item + 1);
        found
    });
    matched.collect()
}

/// Whether two values have the same shape: the same names, the same lengths.
fn alike(one: &Tree<'_>, two: &Tree<'_>) -> bool {
    match (one, two) {
        (Tree::Scalar(_), Tree::Scalar(_)) => true,
        (Tree::Array(one), Tree::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| alike(one, two))
        }
        (Tree::Object(members), Tree::Object(others)) => {
            let has = |member: &Member<'_>| two.member(&member.name).is_some_and(|other| alike(&member.value, other));
            members.len() == others.len() && members.iter().all(has)
        }
        _ => false,
    }
}

/// Whether two objects have a member in common.
fn akin(one: &Tree<'_>, two: &Tree<'_>) -> bool {
    one.members().iter().any(|member| two.member(&member.name).is_some_and(|other| other.same(&member.value)))
}

#[cfg(test)]
mod tests;
