//! Assembles a role's view of what its text says, of the gateway's own rules, and of what repeats other data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::fhir::{Definitions, TypeId};
use crate::redact::condition::Test;

use super::envelope::{ENVELOPES, REPEAT_THE_ID, REPEATS_THE_TIME, STATUS, TOTAL, is_envelope};
use super::file::RoleText;
use super::labels;
use super::path;
use super::sees::Told;
use super::syntax::Findings;
use super::treatment::Treatment;
use super::view::{Origin, ResourceView, Rule, TypeRule, Verdict, View};

/// Stay with every resource of which anything is seen, unless a rule says otherwise by name.
const ALWAYS: [&str; 6] = ["id", "meta.versionId", "meta.lastUpdated", "meta.profile", "meta.security", "meta.tag"];

/// Withheld by every role that withholds anything, unless a type rule says otherwise: they repeat other data, or can
/// hold any.
const REPEATING: [&str; 3] = ["Narrative", "Reference.display", "Extension"];

/// Makes a role's view, for answers that hold all that it shows or, where they are `bounded`, less. Rules that can't be
/// meant are told.
pub(super) fn assemble(role: &RoleText, bounded: bool, definitions: &Definitions, findings: &mut Findings) -> View {
    let everything = role.sees.everything.is_some_and(|(shown, _)| shown);
    let restricted = bounded || !(everything && role.cleared.is_none() && narrows_nothing(role));
    let mut assembler = Assembler { definitions, rules: Vec::new(), resources: BTreeMap::new() };
    let always = assembler.always();
    let cleared = role.cleared.as_ref().map(|codes| Arc::new(labels::cleared(codes)));

    for (type_id, of) in definitions.resource_types() {
        if restricted && is_envelope(of.name) {
            continue;
        }
        let told = role.sees.resources.get(&type_id);
        if let Some(told) = told {
            check_told(of.name, told, everything, findings);
        }
        let own = told.and_then(|told| told.own);
        let shown = own.map_or(everything, |(shown, _)| shown);
        if !shown && !told.is_some_and(shows_something) {
            if let Some(told) = told.filter(|_| own.is_none()) {
                let message = format!("nothing of {} is seen: none of its rules shows anything", of.name);
                findings.warning(told.at, message, Some("leave it out"));
            }
            continue;
        }
        let rows = both(cleared.as_ref(), told.and_then(|told| told.rows.as_ref()).map(|(test, _)| test));
        let shown_by = own.or(role.sees.everything).map(|(_, at)| Origin::Written(at));
        let written = told.map_or_else(Vec::new, |told| told.rules.clone());
        let view = ResourceView { shown, shown_by, rules: Vec::new(), rows, envelope: false };
        assembler.resource(type_id, view, &always, written, findings);
    }
    let counts = !restricted || (!bounded && assembler.counts(everything));
    if restricted {
        assembler.envelopes(role, counts, &always, findings);
    }
    let types = if restricted { with_repeating(definitions, &role.types) } else { role.types.clone() };
    View { restricted, counts, rules: assembler.rules, types, resources: assembler.resources }
}

fn narrows_nothing(role: &RoleText) -> bool {
    let shows = |rule: &Rule| rule.verdict == Verdict::Treat(Treatment::Show);
    role.types.iter().all(|typed| shows(&typed.rule))
        && role
            .sees
            .resources
            .values()
            .all(|told| told.rows.is_none() && told.own.is_none_or(|(shown, _)| shown) && told.rules.iter().all(shows))
}

fn shows_something(told: &Told) -> bool {
    told.rules.iter().any(|rule| rule.verdict != Verdict::Treat(Treatment::Hide))
}

/// Beside `"*": show` for every type, rules that only show can't be meant as they read.
fn check_told(name: &str, told: &Told, everything: bool, findings: &mut Findings) {
    if !everything || told.own.is_some() {
        return;
    }
    let lone = told.rules.iter().find(|rule| {
        rule.verdict == Verdict::Treat(Treatment::Show) && !told.rules.iter().any(|other| covers(other, rule))
    });
    if let Some(Origin::Written(at)) = lone.map(|rule| rule.origin) {
        findings.mistake_with(
            at,
            format!("everything of {name} is shown already, by \"*\" for every type"),
            format!("write \"*\": hide in {name} to show these alone, or leave the rule out"),
        );
    }
}

/// Whether a rule narrows something in which another rule shows something.
fn covers(narrow: &Rule, rule: &Rule) -> bool {
    narrow.verdict != Verdict::Treat(Treatment::Show)
        && narrow.steps.len() <= rule.steps.len()
        && narrow.steps.iter().zip(&rule.steps).all(|(one, other)| one.name == other.name)
}

fn both(cleared: Option<&Arc<Test>>, rows: Option<&Test>) -> Option<Arc<Test>> {
    match (cleared, rows) {
        (Some(cleared), Some(rows)) => Some(Arc::new(Test::All(vec![Test::clone(cleared), rows.clone()]))),
        (Some(cleared), None) => Some(cleared.clone()),
        (None, rows) => rows.cloned().map(Arc::new),
    }
}

/// The role's type rules, and the defaults that they leave in force.
fn with_repeating(definitions: &Definitions, written: &[TypeRule]) -> Vec<TypeRule> {
    let mut types = written.to_vec();
    for text in REPEATING {
        if written.iter().any(|typed| &*typed.rule.text == text) {
            continue;
        }
        let (name, below) = text.split_once('.').map_or((text, None), |(name, below)| (name, Some(below)));
        let Some(anchor) = definitions.type_named(name) else { continue };
        let steps = below.and_then(|below| path::element_path(definitions, anchor, below).ok());
        types.push(TypeRule {
            anchor,
            rule: Rule {
                text: text.into(),
                steps: steps.map(|path| path.steps).unwrap_or_default(),
                verdict: Verdict::Treat(Treatment::Hide),
                origin: Origin::BuiltIn,
            },
        });
    }
    types
}

struct Assembler<'a> {
    definitions: &'a Definitions,
    rules: Vec<Rule>,
    resources: BTreeMap<TypeId, ResourceView>,
}

impl Assembler<'_> {
    fn add(&mut self, rule: Rule) -> u32 {
        let index = u32::try_from(self.rules.len()).unwrap_or(u32::MAX);
        self.rules.push(rule);
        index
    }

    fn built_in(&self, base: TypeId, text: &str, treatment: Treatment) -> Option<Rule> {
        let steps = path::element_path(self.definitions, base, text).ok()?.steps;
        Some(Rule { text: text.into(), steps, verdict: Verdict::Treat(treatment), origin: Origin::BuiltIn })
    }

    fn always(&mut self) -> Vec<u32> {
        let base = self.definitions.resource("Basic");
        let rules: Vec<_> = ALWAYS.iter().filter_map(|text| self.built_in(base?, text, Treatment::Show)).collect();
        rules.into_iter().map(|rule| self.add(rule)).collect()
    }

    /// One resource type: the rules that always stand, those that were written, and where its patient is named.
    fn resource(
        &mut self,
        type_id: TypeId,
        mut view: ResourceView,
        always: &[u32],
        written: Vec<Rule>,
        findings: &mut Findings,
    ) {
        let by_name = |rule: &Rule, always: &Rule| {
            rule.steps.len() <= always.steps.len()
                && rule.steps.iter().zip(&always.steps).all(|(one, other)| one.name == other.name)
        };
        let kept = always.iter().copied().filter(|index| {
            let always = self.rules.get(*index as usize);
            !always.is_some_and(|always| written.iter().any(|rule| by_name(rule, always)))
        });
        view.rules = kept.collect();
        let patients = self.definitions.patient_elements(type_id);
        let name = &self.definitions.get(type_id).name;
        for rule in written {
            if let (Verdict::Treat(Treatment::ShiftDays(_)), Origin::Written(at)) = (&rule.verdict, rule.origin)
                && patients.is_empty()
                && &**name != "Patient"
            {
                findings.mistake(at, format!("shift_days moves the dates of a patient, and a {name} has none"));
            }
            let index = self.add(rule);
            view.rules.push(index);
        }
        for element in patients.iter() {
            let reference = format!("{element}.reference");
            let rule = self.built_in(type_id, &reference, Treatment::Show);
            view.rules.extend(rule.map(|rule| self.add(Rule { verdict: Verdict::Patient, ..rule })));
        }
        self.resources.insert(type_id, view);
    }

    /// The envelopes as everyone sees them, narrowed by what the role says.
    fn envelopes(&mut self, role: &RoleText, counts: bool, always: &[u32], findings: &mut Findings) {
        let hidden = self.depends_on_the_rest(counts);
        for envelope in &ENVELOPES {
            let Some(type_id) = self.definitions.resource(envelope.name) else { continue };
            let narrowed = role.sees.resources.get(&type_id);
            let nothing = matches!(narrowed.and_then(|narrowed| narrowed.own), Some((false, _)));
            let narrowing = || narrowed.into_iter().flat_map(|narrowed| &narrowed.rules);
            let mut rules = Vec::new();
            if !nothing {
                for text in envelope.show.iter().filter(|text| !hidden.contains(*text)) {
                    let treatment = if *text == STATUS.0 { STATUS.1.clone() } else { Treatment::Show };
                    let Some(seen) = self.built_in(type_id, text, treatment) else { continue };
                    // What a role hides of an envelope, or of some of its items, is hidden with all that is in it.
                    rules.extend(narrowing().filter_map(|rule| hidden_with(rule, &seen)));
                    rules.push(seen);
                }
                rules.extend(envelope.hide.iter().filter_map(|text| self.built_in(type_id, text, Treatment::Hide)));
            }
            rules.extend(narrowing().cloned());
            let shown = envelope.shown && !nothing;
            let shown_by = shown.then_some(Origin::BuiltIn);
            let view = ResourceView { shown, shown_by, rules: Vec::new(), rows: None, envelope: true };
            self.resource(type_id, view, always, rules, findings);
        }
    }

    /// Whether all resources of all types are seen, so that to count them tells of none that is withheld.
    fn counts(&self, everything: bool) -> bool {
        let rows = self.resources.values().any(|view| view.rows.is_some());
        let all = everything
            && self
                .definitions
                .resource_types()
                .all(|(id, of)| self.resources.contains_key(&id) || is_envelope(of.name));
        all && !rows
    }

    /// What of the envelopes would tell what the rest of the view withholds.
    fn depends_on_the_rest(&self, counts: bool) -> BTreeSet<&'static str> {
        let mut hidden = BTreeSet::new();
        if !counts {
            hidden.insert(TOTAL);
        }
        // A rule that is written for one of these paths, and does not show what is there.
        let narrows = |paths: &'static [&[&str]]| {
            let is_one = move |rule: &Rule| {
                let names: Vec<&str> = rule.steps.iter().map(|step| step.name.as_str()).collect();
                paths.contains(&names.as_slice())
                    && matches!(&rule.verdict, Verdict::Treat(treatment) if *treatment != Treatment::Show)
            };
            let mut rules = self.resources.values().flat_map(|view| &view.rules);
            rules.any(|index| self.rules.get(*index as usize).is_some_and(is_one))
        };
        if narrows(&[&["id"]]) {
            hidden.extend(REPEAT_THE_ID);
        }
        if narrows(&[&["meta"], &["meta", "lastUpdated"]]) {
            hidden.insert(REPEATS_THE_TIME);
        }
        hidden
    }
}

/// The rule by which an element is hidden with one that it stands in and that a rule hides.
fn hidden_with(rule: &Rule, element: &Rule) -> Option<Rule> {
    // A rule for the element itself stands beside the built-in one, and is the stricter.
    let below = element.steps.get(rule.steps.len()..).filter(|below| !below.is_empty())?;
    let above = rule.steps.iter().zip(&element.steps).all(|(one, other)| one.name == other.name);
    let hides = rule.verdict == Verdict::Treat(Treatment::Hide);
    (above && hides).then(|| Rule { steps: [rule.steps.as_slice(), below].concat(), ..rule.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Role;
    use crate::policy::Policy;
    use crate::redact::transform::Given;
    use crate::redact::{Copied, Limits, Redactor};

    #[test]
    fn the_rules_of_the_envelopes_are_known_to_the_tables() {
        let definitions = Definitions::r4();
        let assembler = Assembler { definitions: &definitions, rules: Vec::new(), resources: BTreeMap::new() };
        for envelope in &ENVELOPES {
            let type_id = definitions.resource(envelope.name).unwrap();
            for text in envelope.show.iter().chain(envelope.hide) {
                assert!(assembler.built_in(type_id, text, Treatment::Show).is_some(), "{}.{text}", envelope.name);
            }
        }
        let bundle = ENVELOPES.iter().find(|envelope| envelope.name == "Bundle").unwrap();
        for text in REPEAT_THE_ID.iter().chain([&TOTAL, &REPEATS_THE_TIME, &STATUS.0]) {
            assert!(bundle.show.contains(text), "{text}");
        }
    }

    #[test]
    fn what_a_role_hides_of_some_entries_goes_from_those_with_all_in_it() {
        let definitions = Definitions::r4();
        let sees = |bundle: &str, document: &Value| {
            let text = format!(
                "{{ version: 1, fhir: R4, roles: {{ r: {{ purposes: [TREAT], sees: {{ Patient: {{ gender: show }}, \
                 Bundle: {{ {bundle} }} }} }} }} }}"
            );
            let (policy, _) = Policy::parse("p", &text, &definitions).unwrap();
            let plan = Arc::clone(policy.role(&Role::new("r")).unwrap().plan());
            let (text, mut out) = (document.to_string(), Vec::new());
            let mut redactor = Redactor::new(plan, Given::default(), Limits::default());
            redactor.write(text.as_bytes(), &mut Copied { piece: text.as_bytes(), out: &mut out }).unwrap();
            redactor.finish(&mut Copied { piece: &[], out: &mut out }).unwrap();
            let bundle: Value = serde_json::from_slice(&out).unwrap();
            let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
            let of = |entry: &Value| {
                [&entry["resource"]["id"], &entry["search"]["mode"]].map(|told| told.as_str().map(str::to_owned))
            };
            entries.iter().map(of).collect::<Vec<_>>()
        };
        let entry = |id: &str, mode: &str| json!({ "resource": { "resourceType": "Patient", "id": id }, "search": { "mode": mode } });
        let document = json!({ "resourceType": "Bundle", "type": "searchset", "entry": [entry("a", "match"), entry("b", "include")] });
        let told = |id: Option<&str>, mode: Option<&str>| [id, mode].map(|told| told.map(str::to_owned));
        let (a, b) = (told(Some("a"), Some("match")), told(Some("b"), Some("include")));
        for (bundle, expected) in [
            ("link: hide", vec![a.clone(), b.clone()]),
            ("\"entry[?@.search.mode == 'include']\": hide", vec![a.clone()]),
            ("\"entry[?@.search.mode == 'include'].resource\": hide", vec![a.clone(), told(None, Some("include"))]),
            ("\"entry[?@.search.mode == 'outcome']\": hide", vec![a.clone(), b.clone()]),
            ("\"entry[?@.search.mode == 'match'].search\": hide", vec![told(Some("a"), None), b.clone()]),
            ("entry.search: hide", vec![told(Some("a"), None), told(Some("b"), None)]),
            ("entry: hide", vec![]),
        ] {
            assert_eq!(sees(bundle, &document), expected, "{bundle}");
        }
    }

    #[test]
    fn what_always_stays_and_what_repeats_is_known_to_the_tables() {
        let definitions = Definitions::r4();
        let mut assembler = Assembler { definitions: &definitions, rules: Vec::new(), resources: BTreeMap::new() };
        assert_eq!(assembler.always().len(), ALWAYS.len());
        assert_eq!(with_repeating(&definitions, &[]).len(), REPEATING.len());
    }
}
