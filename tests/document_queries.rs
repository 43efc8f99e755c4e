//! The JSONPath compliance suite as documents of a policy: each query shows what it selects, or is refused by name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests state behaviour and may panic"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use fieldgate::fhir::Definitions;
use fieldgate::model::Role;
use fieldgate::policy::Policy;
use fieldgate::redact::transform::Given;
use fieldgate::redact::{Copied, Limits, Plan, Redactor};
use serde_json::{Map, Value};

/// Why a query is outside of what a stream can answer.
const REASONS: [&str; 5] = [
    "a query from the root ($) inside a condition",
    "which is not supported in a condition",
    "counts from the end of an array",
    "a step below 1",
    "beyond 1024",
];

/// The plan of a document of which one query is shown, or what the policy has against the query.
fn plan(query: &str, definitions: &Definitions) -> Result<Arc<Plan>, String> {
    let policy = serde_json::json!({
        "version": 1, "fhir": "R4",
        "documents": { "d": { "about": "a document" } },
        "roles": { "r": { "about": "a role", "purposes": ["TREAT"], "sees": { "d": { query: "show" } } } },
    });
    // YAML takes no DEL, which JSON does.
    let text = policy.to_string().replace('\u{7f}', "\\u007f");
    match Policy::parse("p", &text, definitions) {
        Ok((policy, _)) => Ok(Arc::clone(policy.role(&Role::new("r")).unwrap().document("d").unwrap())),
        Err(mistakes) => Err(mistakes.to_string()),
    }
}

fn redact(plan: &Arc<Plan>, text: &str, size: usize) -> Option<Value> {
    let mut out = Vec::new();
    let mut redactor = Redactor::new(Arc::clone(plan), Given::default(), Limits::default());
    for piece in text.as_bytes().chunks(size) {
        redactor.write(piece, &mut Copied { piece, out: &mut out }).unwrap();
    }
    let seen = redactor.finish(&mut Copied { piece: &[], out: &mut out }).unwrap();
    seen.then(|| serde_json::from_slice(&out).unwrap())
}

/// The steps of a normalized path (RFC 9535, section 2.7): `$['a'][0]`.
fn steps(path: &str) -> Vec<String> {
    let (mut steps, mut rest) = (Vec::new(), &path[1..]);
    while !rest.is_empty() {
        let inner = &rest[1..];
        if let Some(quoted) = inner.strip_prefix('\'') {
            let mut name = String::new();
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next().unwrap() {
                    (at, '\'') => break at,
                    (_, '\\') => match characters.next().unwrap().1 {
                        'b' => name.push('\u{8}'),
                        'f' => name.push('\u{c}'),
                        'n' => name.push('\n'),
                        'r' => name.push('\r'),
                        't' => name.push('\t'),
                        'u' => {
                            let digits: String = characters.by_ref().take(4).map(|(_, digit)| digit).collect();
                            name.push(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap());
                        }
                        other => name.push(other),
                    },
                    (_, other) => name.push(other),
                }
            };
            steps.push(name);
            rest = &quoted[end + 2..];
        } else {
            let end = inner.find(']').unwrap();
            steps.push(inner[..end].to_owned());
            rest = &inner[end + 1..];
        }
    }
    steps
}

/// What is left of a document of which these paths are shown: the values there, and what leads to them.
fn shown(document: &Value, paths: &[Vec<String>]) -> Option<Value> {
    if paths.iter().any(Vec::is_empty) {
        return Some(document.clone());
    }
    let below = |step: &str| -> Vec<Vec<String>> {
        paths.iter().filter(|path| path[0] == step).map(|path| path[1..].to_vec()).collect()
    };
    match document {
        Value::Object(members) => {
            let left: Map<String, Value> =
                members.iter().filter_map(|(name, value)| Some((name.clone(), shown(value, &below(name))?))).collect();
            (!left.is_empty()).then_some(Value::Object(left))
        }
        Value::Array(items) => {
            let left: Vec<Value> =
                items.iter().enumerate().filter_map(|(place, item)| shown(item, &below(&place.to_string()))).collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        _ => None,
    }
}

fn paths(case: &Value) -> Vec<Vec<Vec<String>>> {
    let list = |paths: &Value| paths.as_array().unwrap().iter().map(|path| steps(path.as_str().unwrap())).collect();
    match (case.get("result_paths"), case.get("results_paths")) {
        (Some(paths), _) => vec![list(paths)],
        (None, Some(several)) => several.as_array().unwrap().iter().map(list).collect(),
        (None, None) => panic!("a case without paths"),
    }
}

#[test]
fn each_query_of_the_compliance_suite_shows_what_it_selects_or_is_refused_by_name() {
    let Some(file) = support::corpus("jsonpath-compliance/cts.json") else { return };
    let suite: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let definitions = Definitions::r4();
    let (mut held, mut invalid) = (0, 0);
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in suite["tests"].as_array().unwrap() {
        let (name, query) = (case["name"].as_str().unwrap(), case["selector"].as_str().unwrap());
        let plan = plan(query, &definitions);
        if case["invalid_selector"] == true {
            invalid += 1;
            if plan.is_ok() {
                wrong.push(format!("{name}: {query} is no query and was accepted"));
            }
            continue;
        }
        let plan = match plan {
            Ok(plan) => plan,
            Err(mistakes) => {
                match REASONS.into_iter().find(|reason| mistakes.contains(reason)) {
                    Some(reason) => *refused.entry(reason).or_default() += 1,
                    None => wrong.push(format!("{name}: refused without a known reason: {mistakes}")),
                }
                continue;
            }
        };
        let document = &case["document"];
        let text = document.to_string();
        let expected: Vec<Option<Value>> = paths(case).iter().map(|paths| shown(document, paths)).collect();
        for size in [1, 3, text.len()] {
            let got = redact(&plan, &text, size);
            if !expected.contains(&got) {
                wrong.push(format!("{name}: {query} of {text} left {got:?} and not {expected:?}"));
                break;
            }
        }
        held += 1;
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
    // Every query of the suite is accounted for: nothing is left out in silence.
    let refused: Vec<usize> = REASONS.map(|reason| refused.get(reason).copied().unwrap_or_default()).into();
    assert_eq!((held, invalid, refused), (363, 247, vec![9, 50, 12, 16, 6]));
}
