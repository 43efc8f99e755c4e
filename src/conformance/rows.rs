//! The rows: the ways around a field filter, numbered as in docs/threat-model.md, and what the suite can say of each.
//!
//! A way that can't be tried from outside says so; it is never counted as held.

use std::fmt;
use std::str::FromStr;

/// A way around a field filter, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub(super) u8);

/// Which control has to hold before anything can be said of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// A read shows what must be seen.
    Read,
    /// A search by `_id` does as well.
    Search,
}

/// What is known of a row before anything is sent.
pub(super) struct Way {
    pub(super) row: Row,
    pub(super) way: &'static str,
    pub(super) control: Control,
    /// Why it can't be tried from outside at all.
    pub(super) inside: Option<&'static str>,
}

const fn way(row: u8, control: Control, way: &'static str) -> Way {
    Way { row: Row(row), way, control, inside: None }
}

const fn inside(row: u8, way: &'static str, why: &'static str) -> Way {
    Way { row: Row(row), way, control: Control::Read, inside: Some(why) }
}

/// Every row.
pub(super) const WAYS: [Way; 37] = [
    way(0, Control::Read, "the element itself"),
    way(1, Control::Read, "the narrative repeats the fields"),
    way(2, Control::Read, "_birthDate and its like"),
    way(3, Control::Read, "choice types"),
    way(4, Control::Read, "contained resources"),
    way(5, Control::Read, "extensions"),
    way(6, Control::Read, "displays and texts copy values"),
    way(7, Control::Read, "Bundles, history, batch, Parameters"),
    way(8, Control::Read, "links and full URLs"),
    way(9, Control::Read, "totals, absent against withheld"),
    way(10, Control::Search, "a search by a withheld element"),
    way(11, Control::Search, "chains, _has, _filter, _text, _content"),
    way(12, Control::Search, "_sort"),
    way(13, Control::Search, "inclusions"),
    way(14, Control::Search, "POST _search"),
    way(15, Control::Search, "_elements, _summary, counts"),
    way(16, Control::Read, "conditional writes"),
    way(17, Control::Read, "operations"),
    way(18, Control::Search, "page links"),
    way(19, Control::Read, "error bodies"),
    way(20, Control::Read, "other formats and charsets"),
    way(21, Control::Read, "Binary, attachments, encoded values"),
    way(22, Control::Read, "bulk export"),
    way(23, Control::Read, "validators and other header fields"),
    way(24, Control::Read, "HEAD, Range, trailers, digests"),
    way(25, Control::Read, "content codings"),
    inside(26, "a write of a filtered copy erases", "only a caller who sees everything could tell what was lost"),
    way(27, Control::Read, "JSON Patch test"),
    way(28, Control::Read, "answers to writes"),
    way(29, Control::Search, "names that stand twice, escapes"),
    inside(30, "borders of pieces, truncation", "needs a hand on the server behind"),
    inside(31, "logs, metrics, traces", "they are not seen from outside"),
    way(32, Control::Read, "smuggling, path tricks, hop-by-hop"),
    way(33, Control::Read, "identity headers, weak tokens"),
    inside(34, "timing", "differences of time are not measured; lengths are, by L24"),
    inside(35, "a typo in the policy", "it is the gateway's own start that must refuse it"),
    inside(36, "reload, drain, overload, a full disk", "needs a hand on the gateway"),
];

impl Row {
    pub(super) fn way(self) -> Option<&'static Way> {
        WAYS.iter().find(|way| way.row == self)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{:02}", self.0)
    }
}

impl FromStr for Row {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix(['L', 'l']).and_then(|number| number.parse().ok()).map(Self);
        number.filter(|row| row.way().is_some()).ok_or("write a row from L00 to L36: L10")
    }
}
