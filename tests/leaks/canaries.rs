//! Canaries, planted by the tables: one in every element of every resource type, and which element each stands in.
//!
//! `seen` is the redactor alone, for loops over everything; what a policy compiles to is what a gateway runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use fieldgate::fhir::definitions::{Element, Kind};
use fieldgate::fhir::{Definitions, TypeId};
use fieldgate::policy::Checked;
use fieldgate::redact::transform::Given;
use fieldgate::redact::{Copied, Limits, Plan, Redactor};
use serde_json::{Map, Value, json};

pub(crate) const D: Definitions = Definitions::r4();

/// They hold other resources or say what a server does, and are seen without a rule.
pub(crate) const ENVELOPES: [&str; 4] = ["Bundle", "CapabilityStatement", "OperationOutcome", "Parameters"];

/// How deep values of data types are planted in one another: `Identifier.assigner.display` has two levels below the type.
/// What a resource describes itself (`Patient.contact`) has no bound.
pub(crate) const DEPTH: usize = 2;

/// What a restricted role does not see unless it is named: what repeats, what holds anything, what is of another type.
pub(crate) const WITHHELD: [&str; 4] = ["display", "extension", "modifierExtension", "contained"];

/// Where the numbers that are canaries begin.
const NUMBERS: u64 = 7_000_000_000;

/// Marks the path of what is described elsewhere: `Questionnaire.item.item`.
pub(crate) const ELSEWHERE: &str = "~";
/// Marks the path of a narrative.
pub(crate) const NARRATIVE: &str = "!";

/// Plants canaries, and knows in which element each stands.
#[derive(Default)]
pub(crate) struct Plants {
    /// By the canary, the path of its element.
    pub(crate) elements: BTreeMap<String, String>,
    /// Values of data types and of their elements (`HumanName`, `Reference.display`), and the numbers of the canaries there.
    types: Vec<(String, Range<usize>)>,
}

impl Plants {
    fn canary(&mut self, path: &str) -> String {
        let canary = format!("canary{:06}", self.elements.len());
        self.elements.insert(canary.clone(), path.to_owned());
        canary
    }

    /// A value of a type with a canary in each of its elements.
    fn value(&mut self, of: TypeId, path: &str, depth: usize) -> Value {
        let known = D.get(of);
        match known.kind {
            Kind::Primitive => match known.name {
                "boolean" => json!(true),
                // A number has no text; one that stands nowhere else is a canary as well.
                "decimal" | "integer" | "positiveInt" | "unsignedInt" => {
                    let number = NUMBERS + self.elements.len() as u64;
                    self.elements.insert(number.to_string(), path.to_owned());
                    json!(number)
                }
                _ => json!(self.canary(path)),
            },
            Kind::Resource => {
                let held = D.resource("Basic").unwrap();
                json!({ "resourceType": "Basic", "id": self.canary(&format!("{path}.id")),
                        "author": { "reference": self.canary(&format!("{path}.{}", D.get(held).name)) } })
            }
            // Of an extension some forms of its value; it has as many as there are types.
            Kind::Complex if known.name == "Extension" => json!({
                "id": self.canary(&format!("{path}.id")), "url": self.canary(&format!("{path}.url")),
                "valueString": self.canary(&format!("{path}.value")), "valueCoding": { "code": self.canary(&format!("{path}.value")) },
                "extension": [{ "url": "x", "valueDecimal": self.canary(&format!("{path}.extension")) }],
            }),
            // What is described elsewhere may hold itself.
            Kind::Backbone if !path.contains(ELSEWHERE) => Value::Object(self.members(of, path, depth)),
            Kind::Complex | Kind::Backbone if depth == 0 => json!({ "id": self.canary(&format!("{path}.id")) }),
            Kind::Complex | Kind::Backbone => Value::Object(self.members(of, path, depth - 1)),
        }
    }

    fn members(&mut self, of: TypeId, path: &str, depth: usize) -> Map<String, Value> {
        let mut members = Map::new();
        for element in D.get(of).elements() {
            let below = format!("{path}.{}", element.name);
            let before = self.elements.len();
            // Of a choice all forms at once: a server may be wrong.
            for form in element.types.iter() {
                let listed = |value: Value| if element.many { json!([value]) } else { value };
                // What is described elsewhere goes by the rules for there.
                let elsewhere = D.get(form.target).kind == Kind::Backbone && !is_own(of, element, form.target);
                let narrative = D.get(form.target).name == "Narrative";
                let mark = match (elsewhere, narrative) {
                    (true, _) => ELSEWHERE,
                    (_, true) => NARRATIVE,
                    _ => "",
                };
                let below = format!("{below}{mark}");
                let first = self.elements.len();
                let value = self.value(form.target, &below, depth);
                self.types.push((D.get(form.target).name.to_owned(), first..self.elements.len()));
                members.insert(form.json_name.to_string(), listed(value));
                if D.get(form.target).kind == Kind::Primitive {
                    let sibling = json!({ "id": self.canary(&format!("{below}.id")), "extension": [{
                        "url": "http://example.org/x", "valueString": self.canary(&format!("{below}.extension")),
                    }] });
                    members.insert(format!("_{}", form.json_name), listed(sibling));
                }
            }
            self.types.push((format!("{}.{}", D.get(of).name, element.name), before..self.elements.len()));
        }
        members
    }

    /// The canaries in the values of a data type, or of an element of one.
    pub(crate) fn within(&self, of: &str) -> BTreeSet<&str> {
        let ranges = self.types.iter().filter(|(known, _)| known == of).map(|(_, numbers)| numbers.clone());
        let numbers: BTreeSet<usize> = ranges.flatten().collect();
        self.elements.keys().map(String::as_str).filter(|canary| numbers.contains(&number(canary))).collect()
    }

    /// The numbers of the canaries in an element. They follow one another.
    pub(crate) fn below(&self, path: &str) -> Range<usize> {
        let found = self.elements.iter().filter(|(_, place)| is_below(place, path));
        let mut numbers: Vec<usize> = found.map(|(canary, _)| number(canary)).collect();
        numbers.sort_unstable();
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return 0..0 };
        assert_eq!(last - first + 1, numbers.len(), "{path}");
        *first..last + 1
    }

    /// A resource with a canary in each of its elements, with values in values to this depth.
    pub(crate) fn resource(&mut self, of: TypeId, depth: usize) -> Value {
        let name = D.get(of).name;
        let mut members = self.members(of, name, depth);
        members.insert("resourceType".to_owned(), json!(name));
        Value::Object(members)
    }
}

fn number(canary: &str) -> usize {
    canary.trim_start_matches("canary").parse::<usize>().unwrap() % NUMBERS as usize
}

/// Whether a backbone is described where this element stands.
fn is_own(of: TypeId, element: &Element, target: TypeId) -> bool {
    D.get(target).name == format!("{}.{}", D.get(of).name, element.name)
}

/// The paths of a type's own elements, those of its backbones included.
pub(crate) fn paths(of: TypeId, prefix: &str, found: &mut Vec<String>) {
    for element in D.get(of).elements() {
        let path = format!("{prefix}{}", element.name);
        let mut backbones = element.types.iter().filter(|form| D.get(form.target).kind == Kind::Backbone).peekable();
        // What is described elsewhere is hidden where it is described.
        if backbones.peek().is_some_and(|form| !is_own(of, element, form.target)) {
            continue;
        }
        for form in backbones {
            paths(form.target, &format!("{path}."), found);
        }
        found.push(path);
    }
}

pub(crate) fn plan(sees: &str) -> Arc<Plan> {
    plan_of(&format!("sees: {sees}"))
}

/// The plan of a role of which this is said.
pub(crate) fn plan_of(role: &str) -> Arc<Plan> {
    let text = format!(
        "version: 1\nfhir: R4\nroles:\n  r: {{ about: x, owner: x@x, review_by: 2999-01-01, purposes: [TREAT], {role} }}\n"
    );
    let (checked, _) = Checked::parse("policy.yaml", &text, &D).unwrap_or_else(|found| panic!("{role}: {found}"));
    let (_, role) = checked.roles().next().unwrap();
    Arc::new(checked.compile(role, &D).unwrap())
}

pub(crate) fn seen(plan: &Arc<Plan>, document: &str) -> String {
    let mut redactor = Redactor::new(Arc::clone(plan), Given::default(), Limits::default());
    let mut out = Vec::new();
    redactor.write(document.as_bytes(), &mut Copied { piece: document.as_bytes(), out: &mut out }).unwrap();
    redactor.finish(&mut Copied { piece: &[], out: &mut out }).unwrap();
    String::from_utf8(out).unwrap()
}

/// The resource types that a role may be shown.
pub(crate) fn resources() -> impl Iterator<Item = (TypeId, &'static str)> {
    D.resource_types().map(|(of, known)| (of, known.name)).filter(|(_, name)| !ENVELOPES.contains(name))
}

/// The canaries in a text.
pub(crate) fn canaries<'p>(plants: &'p Plants, text: &str) -> BTreeSet<&'p str> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("canary").chain(text.match_indices(":70")).chain(text.match_indices("[70")) {
        let at = if text[at..].starts_with('c') { at } else { at + 1 };
        let end = text[at..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(text.len(), |length| at + length);
        found.extend(plants.elements.get_key_value(&text[at..end]).map(|(canary, _)| canary.as_str()));
    }
    found
}

pub(crate) fn is_below(path: &str, element: &str) -> bool {
    path.strip_prefix(element).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '~', '!']))
}

/// The same resource wherever a resource can stand.
pub(crate) fn everywhere(resource: &Value) -> Value {
    let of = &resource["resourceType"];
    let inner = json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "resource": resource }] });
    let parameters = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "a", "resource": resource }, { "name": "b", "part": [{ "name": "c", "resource": resource }] },
    ] });
    let mut holder = json!({ "resourceType": of, "contained": [resource] });
    holder["id"] = json!("holder");
    json!({ "resourceType": "Bundle", "type": "searchset", "entry": [
        { "resource": resource }, { "resource": inner }, { "resource": parameters }, { "resource": holder },
    ] })
}
