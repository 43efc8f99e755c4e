//! Reads the policy file: its roles, the views that they include, and the documents.
//!
//! Every mistake is told, not the first alone: what can't be read is left out and the reading goes on.

use core::time::Duration;
use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::fhir::interaction::Kind as Interaction;
use crate::fhir::{Definitions, Operation};
use crate::model::{Purpose, Role};

use super::labels;
use super::sees::{Reader, Sees, same_element};
use super::syntax::{Findings, Key, Node, Position, did_you_mean};
use super::view::TypeRule;

/// A role as the file describes it.
#[derive(Debug)]
pub(super) struct RoleText {
    pub(super) name: Role,
    pub(super) at: Position,
    pub(super) about: Option<Box<str>>,
    pub(super) review_by: Option<(Date, Position)>,
    pub(super) purposes: Vec<Purpose>,
    pub(super) may: Vec<May>,
    pub(super) cleared: Option<Vec<Box<str>>>,
    /// Where it says that its callers see their own compartment alone.
    pub(super) own_compartment: Option<Position>,
    pub(super) break_glass: Option<BreakGlass>,
    pub(super) sees: Sees,
    pub(super) types: Vec<TypeRule>,
}

/// An interaction that a role may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum May {
    /// A FHIR interaction.
    Interaction(Interaction),
    /// The operation of this name, without its `$`.
    Operation(Box<str>),
}

/// How a role may break the glass: read, and not acted on yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlass {
    /// The role whose view is lent.
    pub view_of: Role,
    /// For how long.
    pub lasts: Duration,
    /// Who is told.
    pub notify: Box<str>,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct PolicyText {
    pub(super) roles: Vec<RoleText>,
    pub(super) documents: BTreeMap<Box<str>, Box<str>>,
}

/// Reads a file's tree.
pub(super) fn read(node: &Node, definitions: &Definitions, findings: &mut Findings) -> PolicyText {
    const KEYS: [&str; 5] = ["version", "fhir", "views", "documents", "roles"];
    let entries = node.expect_map("a policy file", findings);
    unknown_keys(entries, &KEYS, "of a policy file", findings);
    constant(entries, "version", "1", node.at, findings);
    constant(entries, "fhir", "R4", node.at, findings);
    let documents = documents(entries, findings);
    let reader = Reader { definitions, documents: &documents };

    let mut views = BTreeMap::new();
    for (key, value) in map_of(entries, "views", findings) {
        check_name("view", key, findings);
        let sees = reader.sees(value, findings);
        if let Some((_, at)) = sees.everything {
            findings.mistake(at, "a view names the types that it shows; \"*\" is for roles");
        }
        views.insert(key.name.clone(), ViewText { at: key.at, sees, included: false });
    }

    let written = map_of(entries, "roles", findings);
    if written.is_empty() {
        findings.mistake_with(node.at, "the policy has no role", "write roles: and at least one role under it");
    }
    let names: Vec<_> = written.iter().map(|(key, _)| &*key.name).collect();
    let roles = written.iter().map(|(key, value)| role(key, value, &names, &reader, &mut views, findings));
    let roles = roles.collect();
    for (name, view) in views.iter().filter(|(_, view)| !view.included) {
        findings.warning(view.at, format!("no role includes the view {name}"), None);
    }
    PolicyText { roles, documents }
}

struct ViewText {
    at: Position,
    sees: Sees,
    included: bool,
}

fn documents(entries: &[(Key, Node)], findings: &mut Findings) -> BTreeMap<Box<str>, Box<str>> {
    let mut documents = BTreeMap::new();
    for (key, value) in map_of(entries, "documents", findings) {
        check_name("document", key, findings);
        // A resource type starts with a capital.
        if !key.name.starts_with(|first: char| first.is_ascii_lowercase()) {
            findings.mistake(key.at, format!("the document {} starts with no lower-case letter", key.name));
        }
        let entries = value.expect_map("a document", findings);
        unknown_keys(entries, &["about"], "of a document", findings);
        let about = find(entries, "about").and_then(|(_, node)| node.expect_text("about", findings));
        documents.insert(key.name.clone(), about.unwrap_or_default().into());
    }
    documents
}

fn role(
    key: &Key,
    node: &Node,
    roles: &[&str],
    reader: &Reader<'_>,
    views: &mut BTreeMap<Box<str>, ViewText>,
    findings: &mut Findings,
) -> RoleText {
    const KEYS: [&str; 11] = [
        "about",
        "owner",
        "review_by",
        "purposes",
        "include",
        "sees",
        "types",
        "may",
        "only",
        "cleared",
        "break_glass",
    ];
    check_name("role", key, findings);
    let entries = node.expect_map("a role", findings);
    unknown_keys(entries, &KEYS, "of a role", findings);
    let mut text = |name: &str| {
        let (_, node) = find(entries, name)?;
        node.expect_text(name, findings).map(Box::from)
    };
    let (about, owner) = (text("about"), text("owner"));
    let review_by = find(entries, "review_by").and_then(|(_, node)| date(node, findings));
    let purposes = match find(entries, "purposes") {
        Some((_, node)) => purposes(node, findings),
        None => {
            let suggestion = "write purposes: [TREAT], or whichever apply; the first is the default";
            findings.mistake_with(key.at, format!("the role {} has no purposes", key.name), suggestion);
            Vec::new()
        }
    };
    let may = find(entries, "may").map_or_else(default_may, |(_, node)| may(node, findings));
    let cleared = find(entries, "cleared").map(|(_, node)| cleared(node, findings));
    let own_compartment = find(entries, "only").and_then(|(_, node)| own_compartment(node, findings));
    let break_glass = find(entries, "break_glass").and_then(|(_, node)| break_glass(node, &key.name, roles, findings));
    let own = find(entries, "sees").map(|(_, node)| reader.sees(node, findings)).unwrap_or_default();
    let included = match find(entries, "include") {
        Some((_, node)) => include(node, views, findings),
        None => Sees::default(),
    };
    let types = find(entries, "types").map(|(_, node)| reader.types(node, findings)).unwrap_or_default();
    let sees = override_by(included, own);
    if sees.everything.is_none() && sees.resources.is_empty() && sees.documents.is_empty() {
        findings.mistake_with(key.at, format!("the role {} sees nothing", key.name), "write sees: or include: in it");
    }
    if let (Some(at), false) = (own_compartment, sees.documents.is_empty()) {
        findings.mistake_with(
            at,
            format!("the role {} sees documents, in which nothing says whose they are", key.name),
            "write them in a role without only",
        );
    }
    if about.is_none() {
        findings.warning(key.at, format!("the role {} doesn't say what it is about", key.name), Some("write about: …"));
    }
    if owner.is_none() {
        findings.warning(key.at, format!("the role {} has no owner", key.name), Some("write owner: …"));
    }
    RoleText {
        name: Role::new(&key.name),
        at: key.at,
        about,
        review_by,
        purposes,
        may,
        cleared,
        own_compartment,
        break_glass,
        sees,
        types,
    }
}

/// The included views in one. Where two of them disagree neither is right.
fn include(node: &Node, views: &mut BTreeMap<Box<str>, ViewText>, findings: &mut Findings) -> Sees {
    let mut all = Sees::default();
    for node in node.expect_list("include", findings) {
        let Some(name) = node.expect_text("a view's name", findings) else { continue };
        let Some(view) = views.get_mut(name) else {
            let suggestion = did_you_mean(name, views.keys().map(|name| &**name));
            match suggestion {
                Some(suggestion) => findings.mistake_with(node.at, format!("unknown view {name}"), suggestion),
                None => findings.mistake(node.at, format!("unknown view {name}")),
            }
            continue;
        };
        view.included = true;
        let mut disagree = |what: &str| {
            findings.mistake_with(
                node.at,
                format!("the view {name} disagrees with another that is included on {what}"),
                "include one of them, or take the rule out of one",
            );
        };
        for (resource, told) in &view.sees.resources {
            let Some(known) = all.resources.get_mut(resource) else {
                all.resources.insert(*resource, told.clone());
                continue;
            };
            for rule in &told.rules {
                match known.rules.iter().find(|known| same_element(known, rule)) {
                    Some(other) if other.verdict != rule.verdict => disagree(&rule.text),
                    Some(_) => {}
                    None => known.rules.push(rule.clone()),
                }
            }
            match (&known.own, &told.own) {
                (Some((one, _)), Some((other, _))) if one != other => disagree("\"*\""),
                (None, own) => known.own = *own,
                _ => {}
            }
            match (&known.rows, &told.rows) {
                (Some((one, _)), Some((other, _))) if one != other => disagree("where"),
                (None, rows) => known.rows.clone_from(rows),
                _ => {}
            }
        }
        for (document, rules) in &view.sees.documents {
            let known = all.documents.entry(document.clone()).or_default();
            for rule in rules {
                match known.iter().find(|known| known.query == rule.query) {
                    Some(other) if other.treatment != rule.treatment => disagree(&rule.text),
                    Some(_) => {}
                    None => known.push(rule.clone()),
                }
            }
        }
    }
    all
}

/// What is included, with the role's own rules in place of those for the same elements.
fn override_by(mut included: Sees, own: Sees) -> Sees {
    included.everything = own.everything;
    for (resource, told) in own.resources {
        let Some(known) = included.resources.get_mut(&resource) else {
            included.resources.insert(resource, told);
            continue;
        };
        known.at = told.at;
        known.rules.retain(|known| !told.rules.iter().any(|rule| same_element(known, rule)));
        known.rules.extend(told.rules);
        known.own = told.own.or(known.own);
        known.rows = told.rows.or(known.rows.take());
    }
    for (document, rules) in own.documents {
        let known = included.documents.entry(document).or_default();
        known.retain(|known| !rules.iter().any(|rule| rule.query == known.query));
        known.extend(rules);
    }
    included
}

fn purposes(node: &Node, findings: &mut Findings) -> Vec<Purpose> {
    let mut purposes = Vec::new();
    let items = node.expect_list("purposes", findings);
    for item in items {
        let Some(code) = item.expect_text("a purpose", findings) else { continue };
        match Purpose::from_code(code) {
            Some(purpose) if purposes.contains(&purpose) => {
                findings.mistake(item.at, format!("the purpose {code} stands here a second time"));
            }
            Some(purpose) => purposes.push(purpose),
            None => findings.unknown(item.at, &format!("purpose {code}"), code, Purpose::codes().iter().copied()),
        }
    }
    if items.is_empty() {
        findings.mistake(node.at, "a role has at least one purpose");
    }
    purposes
}

/// What a role may that may search: a search of the system is one of each type that it names.
const SEARCHES: [Interaction; 2] = [Interaction::SearchType, Interaction::SearchSystem];

fn default_may() -> Vec<May> {
    [Interaction::Read].into_iter().chain(SEARCHES).map(May::Interaction).collect()
}

fn may(node: &Node, findings: &mut Findings) -> Vec<May> {
    let mut may = Vec::new();
    for item in node.expect_list("may", findings) {
        let Some(code) = item.expect_text("an interaction", findings) else { continue };
        match code {
            "search" => may.extend(SEARCHES.map(May::Interaction)),
            "history" => may.extend(
                [Interaction::HistoryInstance, Interaction::HistoryType, Interaction::HistorySystem]
                    .map(May::Interaction),
            ),
            "$graphql" => {
                findings.mistake(item.at, "$graphql can't be filtered, since its answers rename what they hold");
            }
            "operation" => findings.mistake_with(
                item.at,
                "an operation is allowed by its name",
                "write it with its $, such as $everything",
            ),
            operation if operation.starts_with('$') && operation.len() > 1 => {
                let name = operation.trim_start_matches('$');
                if Operation::named(name).is_none() {
                    let known = Operation::ALL.map(|known| format!("${}", known.as_str())).join(", ");
                    let message = format!("{operation} is refused whoever calls it: its answers can't be filtered");
                    findings.warning(item.at, message, Some(&format!("leave it out; let through are {known}")));
                }
                may.push(May::Operation(name.into()));
            }
            code => match Interaction::from_code(code) {
                Some(kind) => may.push(May::Interaction(kind)),
                None => {
                    let known = Interaction::ALL.iter().map(|kind| kind.as_str()).chain(["search", "history"]);
                    findings.unknown(item.at, &format!("interaction {code}"), code, known);
                }
            },
        }
    }
    may
}

fn own_compartment(node: &Node, findings: &mut Findings) -> Option<Position> {
    const KNOWN: &str = "own-compartment";
    let text = node.expect_text("only", findings)?;
    if text != KNOWN {
        findings.unknown(node.at, &format!("bound {text} of a role"), text, [KNOWN].into_iter());
        return None;
    }
    Some(node.at)
}

fn cleared(node: &Node, findings: &mut Findings) -> Vec<Box<str>> {
    let mut codes = Vec::new();
    for item in node.expect_list("cleared", findings) {
        let Some(code) = item.expect_text("a code", findings) else { continue };
        if labels::CLEARANCES.contains(&code) {
            codes.push(code.into());
        } else {
            let known = labels::CLEARANCES.iter().copied();
            findings.unknown(item.at, &format!("confidentiality or sensitivity code {code}"), code, known);
        }
    }
    codes
}

fn break_glass(node: &Node, role: &str, roles: &[&str], findings: &mut Findings) -> Option<BreakGlass> {
    const KEYS: [&str; 3] = ["view_of", "for", "notify"];
    let entries = node.expect_map("break_glass", findings);
    unknown_keys(entries, &KEYS, "of break_glass", findings);
    if let Some(missing) = KEYS.iter().find(|name| find(entries, name).is_none()) {
        findings.mistake(node.at, format!("break_glass has no {missing}"));
        return None;
    }
    let mut text = |name: &str| {
        let (_, node) = find(entries, name)?;
        node.expect_text(name, findings).map(|text| (text, node.at))
    };
    let (view_of, lasts, notify) = (text("view_of")?, text("for")?, text("notify")?);
    if !roles.contains(&view_of.0) {
        findings.unknown(view_of.1, &format!("role {}", view_of.0), view_of.0, roles.iter().copied());
        return None;
    }
    if view_of.0 == role {
        findings.mistake(view_of.1, "break_glass lends the view of another role");
    }
    let Some(duration) = duration(lasts.0) else {
        findings.mistake(lasts.1, "for takes a time from 1m to 24h, such as 30m");
        return None;
    };
    Some(BreakGlass { view_of: Role::new(view_of.0), lasts: duration, notify: notify.0.into() })
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let duration = Duration::from_secs(number.checked_mul(seconds)?);
    (Duration::from_secs(60)..=Duration::from_secs(24 * 3600)).contains(&duration).then_some(duration)
}

fn date(node: &Node, findings: &mut Findings) -> Option<(Date, Position)> {
    let date = node.text().and_then(|text| text.parse::<Date>().ok());
    if date.is_none() {
        findings.mistake(node.at, "a day is written 2027-03-31");
    }
    date.map(|date| (date, node.at))
}

fn constant(entries: &[(Key, Node)], name: &str, wanted: &str, at: Position, findings: &mut Findings) {
    match find(entries, name) {
        Some((_, node)) if node.text() == Some(wanted) => {}
        Some((_, node)) => findings.mistake(node.at, format!("{name} is {wanted}; no other is known")),
        None => findings.mistake_with(at, format!("the policy has no {name}"), format!("write {name}: {wanted}")),
    }
}

fn check_name(what: &str, key: &Key, findings: &mut Findings) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.name.is_empty() || key.name.len() > 64 || !key.name.chars().all(plain) {
        let message = format!("the name of a {what} is of letters, digits, -, _ and ., and at most 64 of them");
        findings.mistake(key.at, message);
    }
}

fn map_of<'a>(entries: &'a [(Key, Node)], name: &str, findings: &mut Findings) -> &'a [(Key, Node)] {
    find(entries, name).map_or(&[], |(_, node)| node.expect_map(name, findings))
}

fn find<'a>(entries: &'a [(Key, Node)], name: &str) -> Option<&'a (Key, Node)> {
    entries.iter().find(|(key, _)| &*key.name == name)
}

fn unknown_keys(entries: &[(Key, Node)], known: &[&str], of: &str, findings: &mut Findings) {
    for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&&*key.name)) {
        findings.unknown(key.at, &format!("key {} {of}", key.name), &key.name, known.iter().copied());
    }
}

#[cfg(test)]
mod tests;
