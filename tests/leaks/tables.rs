//! L10 to L13 for all of FHIR R4: a loop over the tables, no list of what somebody thought of. Pure, without sockets.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use fieldgate::fhir::definitions::{Kind, Mapping, ParameterKind};
use fieldgate::fhir::{Definitions, Interaction, SearchParameter, TypeId};
use fieldgate::guard::paging::Bound;
use fieldgate::guard::{Asked, Declared, Guard, GuardError, PageKey};
use fieldgate::model::Role;
use fieldgate::net::address::CanonicalPath;
use fieldgate::policy::{Checked, CheckedRole};

/// What a restricted role sees of these is fixed, and never all.
const ENVELOPES: [&str; 3] = ["Bundle", "OperationOutcome", "Parameters"];

/// Parameters that are refused by name to each restricted role.
const BY_NAME: [&str; 3] = ["_content", "_query", "_text"];

/// Elements of each value that are no part of what it says.
pub(crate) const WITHIN: [&str; 3] = ["id", "extension", "modifierExtension"];

const D: Definitions = Definitions::r4();

/// What becomes of a GET.
pub(crate) fn asks(view: &CheckedRole, target: &str) -> Result<Option<String>, GuardError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let interaction = Interaction::parse(&D, &http::Method::GET, path, Some(query)).unwrap();
    let guard = Guard {
        view,
        definitions: &D,
        page_key: &PageKey::new([0; 32]),
        bound: Bound { endpoint: "ehr", caller: "ada", role: "role", within: "", generation: "1" },
        now: jiff::Timestamp::UNIX_EPOCH,
        link_lifetime: std::time::Duration::from_secs(60),
        page_parameters: &[],
        declared: &Declared::default(),
        takes_types: false,
        most_count: 1000,
    };
    let path = CanonicalPath::parse(path).unwrap();
    let asked =
        Asked { interaction: Some(&interaction), path: &path, query: Some(query), form: None, if_none_exist: None };
    guard.admit(asked).map(|admission| admission.query)
}

/// A policy of roles each of which sees everything but one element of a type.
fn policy(resource: &str, hidden: &BTreeSet<String>) -> Checked {
    let roles = hidden.iter().enumerate().map(|(index, path)| {
        format!(
            "  role-{index}: {{ about: x, owner: x@x, review_by: 2999-01-01, purposes: [TREAT], \
             sees: {{ \"*\": show, {resource}: {{ {path}: hide }} }} }}\n"
        )
    });
    let text = format!("version: 1\nfhir: R4\nroles:\n{}", roles.collect::<String>());
    Checked::parse("policy.yaml", &text, &D).unwrap_or_else(|found| panic!("{resource}: {found}")).0
}

/// The paths of a type's own elements, those of its backbones included.
fn own_paths(of: TypeId, prefix: &str, found: &mut BTreeSet<String>) {
    let name = D.get(of).name;
    'elements: for element in D.get(of).elements() {
        // Within a value no parameter tests them.
        if !prefix.is_empty() && WITHIN.contains(&element.name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{}", element.name);
        for form in element.types.iter().filter(|form| D.get(form.target).kind == Kind::Backbone) {
            // What is described elsewhere is hidden where it is described.
            if D.get(form.target).name != format!("{name}.{}", element.name) {
                continue 'elements;
            }
            own_paths(form.target, &format!("{path}."), found);
        }
        found.insert(path);
    }
}

/// The paths of a value that a parameter tests and of what is in it.
fn paths_around(of: TypeId, tested: &str, found: &mut BTreeSet<String>) {
    let is_described_here = |path: &str| {
        let mut forms = D.element_at(of, path).unwrap().types.iter().map(|form| D.get(form.target));
        forms.all(|known| known.kind != Kind::Backbone || known.name == format!("{}.{path}", D.get(of).name))
    };
    if !tested.match_indices('.').all(|(at, _)| is_described_here(&tested[..at])) {
        return;
    }
    found.insert(tested.to_owned());
    for form in D.element_at(of, tested).unwrap().types {
        let inner = D.get(form.target);
        if inner.kind == Kind::Complex {
            let within = inner.elements().iter().map(|element| element.name.as_str());
            let tests = |name: &&str| match inner.name {
                "Reference" => *name == "reference",
                _ => !WITHIN.contains(name),
            };
            found.extend(within.filter(tests).map(|name| format!("{tested}.{name}")));
        }
    }
}

/// The names of a path's elements, whatever forms of choices it names. What is described elsewhere stands there.
fn plain(of: TypeId, path: &str) -> Vec<String> {
    let mut names = Vec::new();
    for end in path.match_indices('.').map(|(at, _)| at).chain([path.len()]) {
        let found = D.element_at(of, &path[..end]).unwrap();
        names.push(found.element.name.to_string());
        let described =
            found.types.iter().find_map(|form| D.get(form.target).name.strip_prefix(D.get(of).name)?.strip_prefix('.'));
        if let Some(described) = described {
            names = described.split('.').map(str::to_owned).collect();
        }
    }
    names
}

/// Whether one path is the beginning of the other.
fn meets(of: TypeId, one: &str, other: &str) -> bool {
    let (one, other) = (plain(of, one), plain(of, other));
    one.starts_with(&other) || other.starts_with(&one)
}

/// The paths that a parameter tests. A server may find a composite by its parts.
fn tested(of: TypeId, parameter: &SearchParameter) -> impl Iterator<Item = &'static str> {
    let parts = parameter.components.iter().map(move |part| D.search_parameter(D.get(of).name, part).unwrap());
    parts.flat_map(|part| part.elements.iter()).chain(parameter.elements.iter())
}

/// Whether a parameter tests an element of a type, or a part of it.
pub(crate) fn is_tested(of: TypeId, parameter: &SearchParameter, path: &str) -> bool {
    tested(of, parameter).any(|tested| meets(of, tested, path))
}

/// For each resource type, the reference parameters that lead to it.
pub(crate) fn ways_to() -> BTreeMap<&'static str, Vec<(&'static str, &'static str)>> {
    let mut ways = BTreeMap::<_, Vec<_>>::new();
    for (_, source) in D.resource_types().filter(|(_, source)| !ENVELOPES.contains(&source.name)) {
        for parameter in D.search_parameters(source.name) {
            for target in parameter.targets.iter() {
                ways.entry(target).or_default().push((source.name, parameter.code.as_str()));
            }
        }
    }
    ways
}

/// The ways to ask by a parameter of a type: the requests, each of which tests what the parameter tests.
pub(crate) fn ways_to_ask(resource: &str, parameter: &SearchParameter, ways: &[(&str, &str)]) -> Vec<String> {
    let code = parameter.code.as_str();
    let mut targets = vec![
        format!("/{resource}?{code}=x"),
        format!("/{resource}?_sort={code}"),
        format!("/{resource}?_sort=_id,-{code}"),
        format!("/{resource}?_filter=_id+eq+1+or+not+({code}+eq+x)"),
        format!("/?_type={resource}&{code}=x"),
    ];
    let modifiers = ["missing", "exact", "contains", "not", "text", "above", "below", "in", "not-in", "of-type"];
    targets.extend(modifiers.iter().map(|modifier| format!("/{resource}?{code}:{modifier}=x")));
    for (source, by) in ways {
        targets.push(format!("/{source}?{by}:{resource}.{code}=x"));
        targets.push(format!("/{source}?{by}.{code}=x"));
        targets.push(format!("/{source}?_filter={by}:{resource}.{code}+eq+x"));
        targets.push(format!("/{source}?_filter={by}:{resource}[{code}+eq+x]._id+eq+1"));
    }
    // Back over a reference of the type itself.
    for back in D.search_parameters(resource).filter(|known| known.kind == ParameterKind::Reference).take(2) {
        let target = back.targets.iter().next().map(|target| if target == "Resource" { "Patient" } else { target });
        targets.extend(target.map(|target| format!("/{target}?_has:{resource}:{}:{code}=x", back.code)));
    }
    if parameter.kind == ParameterKind::Reference {
        targets.push(format!("/{resource}?{code}:identifier=x"));
        targets.push(format!("/{resource}?{code}:Patient=x"));
        for target in parameter.targets.iter().map(|target| if target == "Resource" { "Patient" } else { target }) {
            targets.push(format!("/{resource}?{code}:{target}._id=x"));
            targets.push(format!("/{resource}?_include={resource}:{code}"));
            targets.push(format!("/{resource}?_include:iterate={resource}:{code}:{target}"));
            targets.push(format!("/{target}?_revinclude={resource}:{code}"));
            targets.push(format!("/{target}?_has:{resource}:{code}:_id=x"));
        }
        if D.patient_parameters(resource).is_some_and(|codes| codes.iter().any(|known| known == code)) {
            targets.push(format!("/Patient/1/{resource}"));
        }
    }
    targets
}

#[test]
fn l10_whichever_element_is_hidden_no_search_tests_it() {
    let ways = ways_to();
    let anything = ways["Resource"].clone();
    let everything = policy("Patient", &["photo".to_owned()].into());
    let everything = everything.roles().next().unwrap().1;
    let (mut roles, mut refused, mut passed) = (0, 0, 0);
    for (of, resource) in D.resource_types() {
        let resource = resource.name;
        let mut own = BTreeSet::new();
        own_paths(of, "", &mut own);
        let mut hidden = own.clone();
        let parameters: Vec<_> = D.search_parameters(resource).filter(|known| !known.is_unmapped()).collect();
        parameters.iter().flat_map(|known| known.elements.iter()).for_each(|path| paths_around(of, path, &mut hidden));
        let mut ways: Vec<_> = ways.get(resource).into_iter().flatten().copied().take(2).collect();
        ways.extend(anything.iter().copied().take(1));
        let all = parameters.iter().flat_map(|known| ways_to_ask(resource, known, &ways));
        let allowed: HashSet<String> = all.filter(|target| asks(everything, target).is_ok()).collect();
        let checked = policy(resource, &hidden);
        for (index, path) in hidden.iter().enumerate() {
            let role = Role::new(&format!("role-{index}"));
            let view = checked.roles().find(|(name, _)| **name == role).unwrap().1;
            roles += 1;
            for parameter in &parameters {
                let code = parameter.code.as_str();
                // Within a form of a choice the same form alone is meant.
                let is_within = |tested: &str| {
                    tested == path || path.strip_prefix(tested).is_some_and(|rest| rest.starts_with('.'))
                };
                let tests = match own.contains(path) {
                    true => is_tested(of, parameter, path),
                    false => tested(of, parameter).any(is_within),
                };
                if tests {
                    for target in ways_to_ask(resource, parameter, &ways) {
                        let error = asks(view, &target).expect_err(&format!("{resource}.{path} hidden: {target}"));
                        // Only what is refused for this element's sake counts.
                        refused += usize::from(allowed.contains(&target));
                        // Refused for what it tests and not by chance.
                        if target == format!("/{resource}?{code}=x") && !ENVELOPES.contains(&resource) {
                            assert!(
                                matches!(&error, GuardError::Hidden { element, .. } if element.starts_with(resource)),
                                "{resource}.{path}: {target}: {error}"
                            );
                        }
                    }
                    let included = asks(view, &format!("/{resource}?_include={resource}:*")).ok().flatten();
                    let asked_for = included.unwrap_or_default().replace("%3A", ":");
                    let named = asked_for.split('&').any(|value| value == format!("_include={resource}:{code}"));
                    assert!(!named, "{resource}.{path} hidden: {asked_for}");
                } else if own.contains(path) && !ENVELOPES.contains(&resource) {
                    let target = format!("/{resource}?{code}=x");
                    if let Err(error) = asks(view, &target) {
                        panic!("{resource}.{path} hidden, and {target} refused: {error}");
                    }
                    passed += 1;
                }
            }
        }
    }
    println!("{roles} elements hidden, one at a time: {refused} requests refused for it, {passed} others passed");
    assert!(roles > 5000 && refused > 100_000 && passed > 10_000);
}

#[test]
fn l10_every_search_parameter_of_r4_is_of_a_known_class() {
    // Everything is seen but one element, which no parameter tests.
    let checked = policy("Patient", &["photo".to_owned()].into());
    let view = checked.roles().next().unwrap().1;
    let mut classes = BTreeMap::<&str, usize>::new();
    let abstract_types = ["Resource", "DomainResource"].map(|name| D.type_named(name).unwrap());
    for of in D.resource_types().map(|(of, _)| of).chain(abstract_types) {
        let resource = D.get(of);
        let inherited =
            |code: &str| resource.base.is_some_and(|base| D.search_parameter(D.get(base).name, code).is_some());
        // What all resources have is asked of one of them.
        let asked_of = if resource.is_abstract { "Patient" } else { resource.name };
        for parameter in D.search_parameters(resource.name).filter(|known| !inherited(&known.code)) {
            let code = parameter.code.as_str();
            let answer = asks(view, &format!("/{asked_of}?{code}=x"));
            let class = match (parameter.mapping, answer) {
                (Mapping::Plain, Ok(_)) => "plain: by its elements",
                (Mapping::Composite, Ok(_)) => "composite: by the elements of its parts",
                (Mapping::Special, Ok(_)) if code == "near" => "special: near, by the position that it measures from",
                (Mapping::Opaque, Err(GuardError::Unsupported { parameter, .. })) if BY_NAME.contains(&parameter) => {
                    "refused by name: nobody can say what it tests"
                }
                (_, Err(GuardError::Unseen { .. })) if ENVELOPES.contains(&asked_of) => {
                    "of Bundle, which a restricted role sees where its rules name it"
                }
                (_, answer) => panic!("{}.{code} is of no known class: {answer:?}", resource.name),
            };
            *classes.entry(class).or_default() += 1;
        }
    }
    println!("search parameters of R4, each once for every type that it is defined on:");
    for (class, count) in &classes {
        println!("{count:6} {class}");
    }
    // The 1,377 published parameters of 4.0.1, each as often as there are types that it is defined on.
    assert_eq!(classes.values().sum::<usize>(), 1708);
}
