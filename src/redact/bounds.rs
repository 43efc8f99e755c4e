//! Bounds: which of the objects that a plan would show one response may hold.
//!
//! A plan is made once for all who share a view. What holds of one request alone, because of who sent it, is told here by
//! what an object says it is. Bounds only narrow: what the plan withholds stays withheld, whatever they say.

use super::condition::Test;
use super::plan::Names;
use crate::json::node::Node;

/// The objects that one response may hold. What is not named is withheld.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// By what they say they are; of some only those for which a test holds.
    objects: Names<Option<Test>>,
}

/// What bounds say of an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound<'b> {
    /// It is as the plan says.
    Free,
    /// It is withheld unless this holds.
    Rows(&'b Test),
    /// It is withheld.
    Withheld,
}

impl Bounds {
    /// Bounds within which nothing is seen.
    pub const fn new() -> Self {
        Self { objects: Names::new() }
    }

    /// Lets objects through that say they are this: those for which the test holds, or all where there is none.
    pub fn allow(&mut self, said: &str, rows: Option<Test>) {
        self.objects.insert(said, rows);
    }

    /// Whether an object that says it is this may be seen, given some test or other holds.
    pub fn allows(&self, said: &str) -> bool {
        self.objects.get(said.as_bytes()).is_some()
    }

    /// The test that an object must pass that says it is this, if any; `None` where none may be seen.
    pub fn rows(&self, said: &str) -> Option<Option<&Test>> {
        self.objects.get(said.as_bytes()).map(Option::as_ref)
    }

    fn told(found: Option<&Option<Test>>) -> Bound<'_> {
        match found {
            Some(None) => Bound::Free,
            Some(Some(rows)) => Bound::Rows(rows),
            None => Bound::Withheld,
        }
    }
}

impl<'b> Bound<'b> {
    /// What bounds, where there are any, say of an object that says it is this.
    pub(super) fn of(bounds: Option<&'b Bounds>, said: &str) -> Self {
        bounds.map_or(Self::Free, |bounds| Bounds::told(bounds.objects.get(said.as_bytes())))
    }

    /// The same, where it says so as it stands in a part of a text.
    #[inline(always)]
    pub(super) fn within(bounds: Option<&'b Bounds>, text: &[u8], start: usize, end: usize) -> Self {
        bounds.map_or(Self::Free, |bounds| Bounds::told(bounds.objects.get_within(text, start, end)))
    }

    /// Whether this object may be seen. One of which that can't be decided may not.
    pub(super) fn holds(self, object: Node<'_>) -> bool {
        match self {
            Self::Free => true,
            Self::Rows(rows) => rows.holds(object) == Ok(true),
            Self::Withheld => false,
        }
    }
}
