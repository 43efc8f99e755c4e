//! Where in an answer a value stands, which tells by which way it got out.
//!
//! A FHIR document is walked by its resources, whatever holds them. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::rows::Row;
use super::written::{decoded_runs, forms};
use super::{Canaries, Canary, Hit};
use crate::fhir::TypeId;

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::conformance) enum Place {
    /// In the element itself.
    Element,
    /// In the element itself, of a resource within another.
    Bundled,
    Narrative,
    Sibling,
    /// In a form of the element, which is a choice.
    Choice,
    Contained,
    Extension,
    /// In another element.
    Copy,
    Link,
    /// In an OperationOutcome.
    Outcome,
    /// Within a string, encoded.
    Encoded,
    /// In a member that stands twice.
    Twice,
    /// In what is no JSON.
    Text,
    StatusLine,
    Header,
    Location,
    Trailer,
}

impl Place {
    pub(super) fn of_header(name: &str) -> Self {
        if matches!(name, "location" | "content-location" | "link") { Self::Location } else { Self::Header }
    }

    /// The row that a plain reading belongs to which shows a value there.
    pub(in crate::conformance) fn row(self) -> Row {
        Row(match self {
            Self::Element => 0,
            Self::Narrative => 1,
            Self::Sibling => 2,
            Self::Choice => 3,
            Self::Contained => 4,
            Self::Extension => 5,
            Self::Copy => 6,
            Self::Bundled => 7,
            Self::Link => 8,
            Self::Outcome => 19,
            Self::Text => 20,
            Self::Encoded => 21,
            Self::StatusLine | Self::Header | Self::Location => 23,
            Self::Trailer => 24,
            Self::Twice => 29,
        })
    }

    pub(in crate::conformance) fn told(self) -> &'static str {
        match self {
            Self::Element => "in the element itself",
            Self::Bundled => "in the element itself, within a Bundle or Parameters",
            Self::Narrative => "in the narrative",
            Self::Sibling => "in the _sibling of an element",
            Self::Choice => "in a form of the choice",
            Self::Contained => "in a contained resource",
            Self::Extension => "in an extension",
            Self::Copy => "in another element",
            Self::Link => "in a link",
            Self::Outcome => "in an OperationOutcome",
            Self::Encoded => "encoded within a string",
            Self::Twice => "in a member that stands twice",
            Self::Text => "in a body that is no JSON",
            Self::StatusLine => "in the status line",
            Self::Header => "in a header field",
            Self::Location => "in an address in a header field",
            Self::Trailer => "in a trailer",
        }
    }
}

/// The deepest nesting that is followed.
const DEEPEST: usize = 200;

/// An extension that says why there is no value.
const ABSENT: &str = "data-absent-reason";

/// A walk through a document.
pub(super) struct Walk<'a, 'c, 'f> {
    pub(super) canaries: &'a Canaries<'c>,
    pub(super) found: &'f mut BTreeSet<Hit>,
}

/// Where the walk is.
#[derive(Clone, Default)]
struct At {
    /// The type of the resource that this is in.
    of: Option<TypeId>,
    name: String,
    id: String,
    /// The path below the resource, without places in lists.
    path: String,
    /// Whether the resource is within another.
    bundled: bool,
    /// What the walk went through on its way.
    through: Option<Place>,
    depth: usize,
}

impl Walk<'_, '_, '_> {
    pub(super) fn document(&mut self, document: &Value) {
        self.value(document, &At::default());
    }

    fn value(&mut self, value: &Value, at: &At) {
        if at.depth > DEEPEST {
            return;
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.leaf(&number.to_string(), at),
            Value::String(text) => self.leaf(text, at),
            Value::Array(items) => items.iter().for_each(|item| self.value(item, at)),
            Value::Object(members) => self.object(members, at),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, at: &At) {
        let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut here = at.clone();
        here.depth += 1;
        let name = text("resourceType");
        if !name.is_empty() {
            let of = self.canaries.definitions.resource(&name);
            let bundled = at.bundled || !at.name.is_empty();
            here =
                At { of, name, id: text("id"), path: String::new(), bundled, through: at.through, depth: here.depth };
        }
        for (name, value) in members {
            self.leaf(name, &here);
            let mut below = here.clone();
            let plain = name.strip_prefix('_').unwrap_or(name);
            below.path = if here.path.is_empty() { plain.to_owned() } else { format!("{}.{plain}", here.path) };
            if below.through.is_none() {
                below.through = self.through(name, &below);
            }
            if name.starts_with('_') && !members.contains_key(plain) {
                self.sibling(value, &below);
            }
            self.value(value, &below);
        }
    }

    /// What a member leads through.
    fn through(&self, name: &str, below: &At) -> Option<Place> {
        match (name, below.path.as_str(), below.name.as_str()) {
            ("contained", "contained", _) => Some(Place::Contained),
            ("extension" | "modifierExtension", ..) => Some(Place::Extension),
            (_, "text", known) if known != "Bundle" && below.of.is_some() => Some(Place::Narrative),
            (_, "link" | "entry.link" | "entry.fullUrl" | "entry.request" | "entry.response.location", "Bundle") => {
                Some(Place::Link)
            }
            (_, _, "OperationOutcome") => Some(Place::Outcome),
            _ if name.starts_with('_') => Some(Place::Sibling),
            _ => None,
        }
    }

    /// The sibling of a withheld element, without that element: it should have gone with it, whatever it holds.
    fn sibling(&mut self, value: &Value, at: &At) {
        if is_nothing(value) {
            return;
        }
        for (number, canary) in self.canaries.list.iter().enumerate() {
            let is_its = Some(canary.resource.of) == at.of && *canary.resource.id == *at.id;
            if is_its && canary.path == at.path {
                self.found.insert((number, Place::Sibling));
            }
        }
    }

    fn leaf(&mut self, text: &str, at: &At) {
        for form in forms(text) {
            for (number, canary) in self.canaries.list.iter().enumerate() {
                if canary.needles.stand_in(&form) {
                    self.found.insert((number, self.place(canary, at)));
                } else if decoded_runs(&form).iter().any(|inner| canary.needles.stand_in(inner)) {
                    self.found.insert((number, Place::Encoded));
                }
            }
        }
    }

    fn place(&self, canary: &Canary<'_>, at: &At) -> Place {
        if let Some(through) = at.through {
            return through;
        }
        if at.name == "Parameters" {
            return Place::Bundled;
        }
        let own = if at.bundled { Place::Bundled } else { Place::Element };
        match at.of {
            Some(of) if of == canary.resource.of && canary.path == at.path => own,
            Some(of) if of == canary.resource.of && self.plain(of, canary.path) == self.plain(of, &at.path) => {
                Place::Choice
            }
            _ => Place::Copy,
        }
    }

    /// The names of a path's elements, whatever forms of choices it names.
    fn plain(&self, of: TypeId, path: &str) -> Option<Vec<&'static str>> {
        super::super::tested::plain(&self.canaries.definitions, of, path)
    }
}

/// Whether there is nothing in a sibling but the reason why there is no value.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_nothing),
        Value::Object(members) => members.iter().all(|(name, value)| {
            let urls = value.as_array().into_iter().flatten().filter_map(|one| one.get("url")?.as_str());
            name == "extension" && urls.clone().count() > 0 && urls.into_iter().all(|url| url.ends_with(ABSENT))
        }),
        _ => true,
    }
}
