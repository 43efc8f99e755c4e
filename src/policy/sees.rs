//! Reads what a role or a view `sees`: rules by resource type, and queries by document.
//!
//! Each rule is checked as far as it can be for itself: that its path leads somewhere, and that its treatment is for what
//! stands there.

use std::collections::BTreeMap;

use crate::fhir::definitions::Kind;
use crate::fhir::{Definitions, TypeId};
use crate::redact::condition::Test;

use super::condition;
use super::document::{self, DocumentRule};
use super::envelope;
use super::path::{self, ElementPath, Problem};
use super::syntax::{Findings, Key, Node, Position, did_you_mean};
use super::treatment::{self, Treatment, Written};
use super::view::{Origin, Rule, TypeRule, Verdict};

/// What one map says is seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Sees {
    /// What `"*"` says of every resource type.
    pub(super) everything: Option<(bool, Position)>,
    pub(super) resources: BTreeMap<TypeId, Told>,
    pub(super) documents: BTreeMap<Box<str>, Vec<DocumentRule>>,
}

/// What is said of one resource type.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) at: Position,
    /// What `"*"` says of it.
    pub(super) own: Option<(bool, Position)>,
    pub(super) rules: Vec<Rule>,
    pub(super) rows: Option<(Test, Position)>,
}

/// Reads maps of what is seen.
pub(super) struct Reader<'a> {
    pub(super) definitions: &'a Definitions,
    /// The documents that the policy has.
    pub(super) documents: &'a BTreeMap<Box<str>, Box<str>>,
}

impl Reader<'_> {
    /// Reads the map under `sees`, or a view.
    pub(super) fn sees(&self, node: &Node, findings: &mut Findings) -> Sees {
        let mut sees = Sees::default();
        for (key, value) in node.expect_map("what is seen", findings) {
            if &*key.name == "*" {
                sees.everything = whole(value, findings).map(|shown| (shown, key.at));
            } else if let Some(resource) = self.definitions.resource(&key.name) {
                let told = self.resource(resource, key, value, findings);
                sees.resources.insert(resource, told);
            } else if self.documents.contains_key(&key.name) {
                sees.documents.insert(key.name.clone(), self.document(value, findings));
            } else {
                self.unknown(key, findings);
            }
        }
        sees
    }

    fn unknown(&self, key: &Key, findings: &mut Findings) {
        let name = &key.name;
        let lower = name.chars().next().is_some_and(|first| first.is_ascii_lowercase());
        let types = self.definitions.resource_types().map(|(_, of)| of.name);
        let known: Vec<_> = types.chain(self.documents.keys().map(|name| &**name)).collect();
        let near = crate::fhir::suggest(name, known.iter().copied());
        match near {
            Some(near) => {
                let what = if lower { "document" } else { "resource type" };
                findings.mistake_with(key.at, format!("unknown {what} {name}"), format!("did you mean {near}?"));
            }
            None if lower => findings.mistake_with(
                key.at,
                format!("unknown document {name}"),
                "a document is declared under documents; a resource type starts with a capital",
            ),
            None => findings.mistake(key.at, format!("unknown resource type {name}")),
        }
    }

    fn resource(&self, resource: TypeId, key: &Key, node: &Node, findings: &mut Findings) -> Told {
        let mut told = Told { at: key.at, own: None, rules: Vec::new(), rows: None };
        if node.text().is_some() {
            told.own = whole(node, findings).map(|shown| (shown, node.at));
        } else {
            for (key, value) in node.expect_map(&format!("what is seen of {}", key.name), findings) {
                match &*key.name {
                    "*" => told.own = whole(value, findings).map(|shown| (shown, key.at)),
                    "where" => told.rows = self.rows(resource, value, findings),
                    _ => self.rule(resource, key, value, &mut told.rules, findings),
                }
            }
        }
        self.check_envelope(resource, &told, findings);
        check_below_transforms(&told.rules, findings);
        told
    }

    fn rows(&self, resource: TypeId, node: &Node, findings: &mut Findings) -> Option<(Test, Position)> {
        let text = node.expect_text("where", findings)?;
        match condition::rows(self.definitions, resource, text) {
            Ok(test) => Some((test, node.at)),
            Err(problems) => {
                tell(problems, node.at, findings);
                None
            }
        }
    }

    fn rule(&self, resource: TypeId, key: &Key, value: &Node, rules: &mut Vec<Rule>, findings: &mut Findings) {
        let written = treatment::read(value, findings);
        let path = match path::element_path(self.definitions, resource, &key.name) {
            Ok(path) => path,
            Err(problems) => return tell(problems, key.at, findings),
        };
        let Some(written) = written else { return };
        if !self.check(&path, &written, &key.name, value.at, findings) || !check_labels(&path, key.at, findings) {
            return;
        }
        let rule = Rule {
            text: key.name.clone(),
            steps: path.steps,
            verdict: Verdict::Treat(written.treatment),
            origin: Origin::Written(key.at),
        };
        if rules.iter().any(|known| same_element(known, &rule)) {
            findings.mistake(key.at, format!("a second rule for {}", rule.text));
        } else {
            rules.push(rule);
        }
    }

    /// Holds a treatment to the element that it is said of.
    fn check(&self, path: &ElementPath, written: &Written, name: &str, at: Position, findings: &mut Findings) -> bool {
        let treatment = &written.treatment;
        let types = || path.types.iter().map(|id| self.definitions.get(*id));
        let repeats = (path.last.0, path.last.1) == ("Reference", "display")
            || path.last.0 == "Narrative"
            || types().any(|of| of.name == "Narrative");
        if repeats && *treatment == Treatment::Show {
            return check_insisted(written.insisted, name, at, findings);
        }
        if written.insisted {
            findings.mistake_with(
                at,
                format!("show! is for a Narrative and for Reference.display, and {name} is neither"),
                "write show",
            );
            return false;
        }
        if let Some(unsuited) = path.types.iter().find(|id| !treatment.suits(self.definitions, **id)) {
            let unsuited = &self.definitions.get(*unsuited).name;
            let message = format!("{} is for {}, and {name} is a {unsuited}", treatment.keyword(), treatment.is_for());
            match path.types.len() {
                1 => findings.mistake(at, message),
                _ => findings.mistake_with(at, message, "write a rule for the one form that is meant"),
            }
            return false;
        }
        let form = path.steps.last().is_some_and(|step| step.form.is_some());
        if *treatment == Treatment::Absent && form {
            findings.mistake_with(
                at,
                format!("absent stands in place of a whole choice, and {name} is one form of it"),
                format!("write a rule for {}", path.last.1),
            );
            return false;
        }
        true
    }

    /// An envelope is seen as the gateway says, and a role may only narrow it.
    fn check_envelope(&self, resource: TypeId, told: &Told, findings: &mut Findings) {
        let name = &self.definitions.get(resource).name;
        if !envelope::is_envelope(name) {
            return;
        }
        let refused = format!("{name} is an envelope, of which each role sees the same; a role may only narrow it");
        if let Some((true, at)) = told.own {
            findings.mistake(at, &*refused);
        }
        if let Some((_, at)) = told.rows {
            findings.mistake(at, format!("{name} is an envelope, whose rows aren't filtered"));
        }
        for rule in &told.rules {
            if let (Verdict::Treat(Treatment::Show), Origin::Written(at)) = (&rule.verdict, rule.origin) {
                findings.mistake(at, &*refused);
            }
        }
    }

    /// Reads the map under `types`.
    pub(super) fn types(&self, node: &Node, findings: &mut Findings) -> Vec<TypeRule> {
        let mut rules: Vec<TypeRule> = Vec::new();
        for (key, value) in node.expect_map("types", findings) {
            let written = treatment::read(value, findings);
            let (name, below) = key.name.split_once('.').map_or((&*key.name, None), |(name, path)| (name, Some(path)));
            let Some(anchor) = self.data_type(name) else {
                let known =
                    ["Narrative", "Reference", "Extension", "Identifier", "HumanName", "Attachment", "Annotation"];
                let suggestion = did_you_mean(name, known.into_iter()).unwrap_or_default();
                findings.mistake_with(key.at, format!("unknown data type {name}"), suggestion);
                continue;
            };
            let path = match below {
                Some(below) => match path::element_path(self.definitions, anchor, below) {
                    Ok(path) => path,
                    Err(problems) => {
                        tell(problems, key.at, findings);
                        continue;
                    }
                },
                None => ElementPath { steps: Vec::new(), types: vec![anchor], last: Default::default() },
            };
            if path.steps.iter().any(|step| step.condition.is_some()) {
                findings.mistake_with(
                    key.at,
                    format!("the type rule {} has a condition, which type rules don't take", key.name),
                    "write the condition in a rule for an element",
                );
                continue;
            }
            let Some(written) = written else { continue };
            if !self.check(&path, &written, &key.name, value.at, findings) {
                continue;
            }
            if written.insisted {
                findings.warning(value.at, format!("{} repeats what other rules may withhold", key.name), None);
            }
            let rule = Rule {
                text: key.name.clone(),
                steps: path.steps,
                verdict: Verdict::Treat(written.treatment),
                origin: Origin::Written(key.at),
            };
            if rules.iter().any(|known| known.anchor == anchor && same_element(&known.rule, &rule)) {
                findings.mistake(key.at, format!("a second rule for {}", rule.text));
            } else {
                rules.push(TypeRule { anchor, rule });
            }
        }
        rules
    }

    fn data_type(&self, name: &str) -> Option<TypeId> {
        self.definitions.type_named(name).filter(|id| {
            let of = self.definitions.get(*id);
            matches!(of.kind, Kind::Complex | Kind::Primitive) && !of.is_abstract
        })
    }

    fn document(&self, node: &Node, findings: &mut Findings) -> Vec<DocumentRule> {
        let mut rules: Vec<DocumentRule> = Vec::new();
        for (key, value) in node.expect_map("what is seen of a document", findings) {
            let written = treatment::read(value, findings);
            let query = match document::query(&key.name) {
                Ok(query) => query,
                Err(problem) => {
                    tell(vec![problem], key.at, findings);
                    continue;
                }
            };
            let Some(Written { treatment, insisted }) = written else { continue };
            if insisted || treatment == Treatment::Absent {
                let word = if insisted { "show!" } else { "absent" };
                findings.mistake(value.at, format!("{word} is for FHIR resources, and this is a document"));
                continue;
            }
            if let Some(known) = rules.iter().find(|known| known.query == query) {
                findings.mistake(key.at, format!("a second rule for {}", known.text));
                continue;
            }
            rules.push(DocumentRule { text: key.name.clone(), query, treatment, at: key.at });
        }
        rules
    }
}

/// Whether two rules are for the same element under the same condition.
pub(super) fn same_element(one: &Rule, other: &Rule) -> bool {
    one.steps.len() == other.steps.len()
        && one.steps.iter().zip(&other.steps).all(|(one, other)| {
            let test =
                |condition: &Option<std::sync::Arc<condition::Condition>>| condition.as_ref().map(|it| it.test.clone());
            one.name == other.name && one.form == other.form && test(&one.condition) == test(&other.condition)
        })
}

/// `show` or `hide` of something whole.
fn whole(node: &Node, findings: &mut Findings) -> Option<bool> {
    match node.text() {
        Some("show") => Some(true),
        Some("hide") => Some(false),
        _ => {
            findings.mistake(node.at, "show or hide belongs here");
            None
        }
    }
}

fn tell(problems: Vec<Problem>, at: Position, findings: &mut Findings) {
    for Problem { message, suggestion } in problems {
        match suggestion {
            Some(suggestion) => findings.mistake_with(at, message, suggestion),
            None => findings.mistake(at, message),
        }
    }
}

/// What repeats other elements is shown by `show!` alone, and with a warning.
fn check_insisted(insisted: bool, name: &str, at: Position, findings: &mut Findings) -> bool {
    if insisted {
        findings.warning(at, format!("{name} repeats what other rules may withhold, and is shown"), None);
        return true;
    }
    findings.mistake_with(
        at,
        format!("{name} repeats what stands elsewhere, and is not shown by show"),
        "write show! if it must be seen",
    );
    false
}

/// The gateway writes labels of its own into `meta.security`, and so has to know what becomes of that list.
fn check_labels(path: &ElementPath, at: Position, findings: &mut Findings) -> bool {
    let mut steps = path.steps.iter();
    let on_meta = steps.next().filter(|step| step.name == "meta");
    let on_security = on_meta.and_then(|_| steps.next()).filter(|step| step.name == "security");
    let conditional = [on_meta, on_security].into_iter().flatten().any(|step| step.condition.is_some());
    if conditional {
        findings.mistake(at, "a condition on meta or on meta.security is not supported");
    }
    !conditional
}

/// What is transformed is one value: a rule for something in it would never be asked.
fn check_below_transforms(rules: &[Rule], findings: &mut Findings) {
    for above in rules {
        if !matches!(&above.verdict, Verdict::Treat(treatment) if treatment.is_transform() || *treatment == Treatment::Absent)
        {
            continue;
        }
        for below in rules.iter().filter(|below| below.steps.len() > above.steps.len()) {
            let within = above.steps.iter().zip(&below.steps).all(|(one, other)| {
                one.name == other.name && (one.form.is_none() || one.form == other.form) && one.condition.is_none()
            });
            if let (true, Origin::Written(at)) = (within, below.origin) {
                let message = format!("the rule for {} takes away what {} is a rule for", above.text, below.text);
                findings.mistake(at, message);
            }
        }
    }
}
