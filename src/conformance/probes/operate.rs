//! L16, L17, L22, L27, L28: operations, exports, and writes, which are sent only where the spec allows them.
//!
//! INVARIANT: without `allow: [writes]` no request here can change data. With it, what is sent is made so that a server
//! which understands it changes nothing of a resource; what is made by chance is deleted again.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::super::request::{Filling, From, Request, encoded, search_text};
use super::super::spec::{Allowed, Resource, Withheld};
use super::super::suite::Suite;
use super::{guesses, seen, top};
use crate::fhir::Definitions;
use crate::fhir::definitions::Mapping;

const FHIR: &str = "application/fhir+json";
const PATCH: &str = "application/json-patch+json";
const ON_REQUEST: &str = "it could change data: allow: [writes] tries it, on a server for tests";

/// How often an export is asked whether it is done, and how many of its files are looked at.
const ASKED: usize = 10;
const FILES: usize = 5;

/// Conditional writes: whether they find their resource tells of what they test.
pub(super) async fn l16(suite: &mut Suite<'_>) {
    if !suite.spec.allows(Allowed::Writes) {
        return suite.skip(16, ON_REQUEST);
    }
    suite.skip(16, "conditional updates and deletes: a server that takes them would overwrite the test patient");
    // It holds for no resource, so that a patch which finds its resource is refused.
    let never = json!([{ "op": "test", "path": "/resourceType", "value": "Nothing" }]);
    for guess in guesses(suite, 16).into_iter().filter(|guess| guess.by.mapping != Mapping::Composite) {
        let (of, code) = (guess.resource.name, guess.by.code.as_str());
        let target = format!("/{of}?_id={{id}}&{code}={{value}}");
        let patches = guess.fillings.map(|with| {
            let patch = Request::new(Method::PATCH, &target, &with);
            patch.json(&never, PATCH, "a patch that never holds", &with)
        });
        suite.oracle(16, patches).await;
        let creates = [&*guess.withheld.value].into_iter().chain(guess.withheld.wrong.as_deref()).zip(guess.fillings);
        let creates: Vec<Request> = creates
            .map(|(value, with)| {
                let criteria = format!("_id={}&{code}={}", guess.resource.id, encoded(&search_text(value)));
                let told = format!("_id={{id}}&{code}={{{}}}", guess.withheld.element);
                let create = Request::new(Method::POST, &format!("/{of}"), &with).secret_header(
                    "if-none-exist",
                    &criteria,
                    &told,
                );
                create.json(&json!({ "resourceType": of }), FHIR, "an empty resource", &with)
            })
            .collect();
        if let Ok(creates) = <[Request; 2]>::try_from(creates) {
            suite.oracle(16, creates).await;
        }
        suite.clean().await;
    }
}

/// Operations, by GET and by POST, of which none changes anything.
pub(super) async fn l17(suite: &mut Suite<'_>) {
    for resource in seen(suite).collect::<Vec<_>>() {
        let (of, with) = (resource.name, Filling::id(resource));
        for template in [
            "/{of}/{id}/$everything",
            "/{of}/{id}/$everything?_type={of}",
            "/{of}/$everything",
            "/{of}/{id}/$meta",
            "/{of}/$meta",
            "/$meta",
            "/{of}/{id}/$summary",
            "/{of}/{id}/$document",
            "/{of}/{id}/$validate",
            "/{of}/{id}/$diff",
            "/{of}/{id}/$lastn",
            "/{of}/$lastn?patient={id}",
            "/{of}/{id}/$ips",
            "/{of}/{id}/%24everything",
        ] {
            suite.canary(17, &Request::get(&template.replace("{of}", of), &with)).await;
        }
        let nothing = json!({ "resourceType": "Parameters" });
        for operation in ["$everything", "$meta", "$summary", "$lastn", "$docref"] {
            let posted = Request::new(Method::POST, &format!("/{of}/{{id}}/{operation}"), &with);
            suite.canary(17, &posted.json(&nothing, FHIR, "Parameters", &with)).await;
        }
        let paths: Vec<String> = resource.withheld.iter().filter_map(|withheld| selection(&withheld.path)).collect();
        for path in &paths {
            graphql(suite, resource, path).await;
        }
    }
    for guess in guesses(suite, 17).into_iter().filter(|guess| guess.by.mapping != Mapping::Composite) {
        let (of, code) = (guess.resource.name, guess.by.code.as_str());
        let argument = code.replace('-', "_");
        let listed = encoded(&format!("{{ {of}List({argument}: \"")) + "{value}" + &encoded("\") { id } }");
        let told = format!("GET /$graphql?query={{ {of}List({argument}: {{{}}}) }}", guess.withheld.element);
        suite
            .oracle(17, guess.requests(&format!("/$graphql?query={listed}")).map(|request| request.told(told.clone())))
            .await;
        let Some(document) = example(&suite.definitions, guess.resource, guess.withheld) else { continue };
        let parameter = json!([{ "name": "resource", "resource": document }]);
        let parameters = json!({ "resourceType": "Parameters", "parameter": parameter });
        let matches = guess.fillings.map(|with| {
            let what = format!("a {of} with {{value}}");
            Request::new(Method::POST, &format!("/{of}/$match"), &with).json(&parameters, FHIR, &what, &with)
        });
        suite.oracle(17, matches).await;
    }
}

/// The same element under another name.
async fn graphql(suite: &mut Suite<'_>, resource: &Resource, selection: &str) {
    let (of, with) = (resource.name, Filling::id(resource));
    let one = format!("{{ {selection} }}");
    let all = format!("{{ x: {of}(id: \"{}\") {{ {selection} }} }}", resource.id);
    let listed = format!("{{ x: {of}List(_id: \"{}\") {{ {selection} }} }}", resource.id);
    for (place, query) in [(format!("/{of}/{{id}}"), one), (String::new(), all), (String::new(), listed)] {
        let told = format!("/$graphql, of {of}/{{id}} {{ {selection} }}");
        let asked = Request::get(&format!("{place}/$graphql?query={}", encoded(&query)), &with);
        suite.canary(17, &asked.told(format!("GET {place}{told}"))).await;
        let posted = Request::new(Method::POST, &format!("{place}/$graphql"), &with);
        let posted = posted.json(&json!({ "query": query }), "application/json", "", &with);
        suite.canary(17, &posted.told(format!("POST {place}{told}"))).await;
    }
}

/// A path as a selection of GraphQL with an alias at its end; `None` where it goes through an extension.
fn selection(path: &str) -> Option<String> {
    let mut steps: Vec<&str> = path.split('.').collect();
    if steps.contains(&"extension") {
        return None;
    }
    let last = steps.pop()?;
    let (open, close) = (steps.iter().map(|step| format!("{step} {{ ")).collect::<String>(), " }".repeat(steps.len()));
    Some(format!("{open}alias: {last}{close}"))
}

/// A document of a type in which the value stands in the element.
fn example(definitions: &Definitions, resource: &Resource, withheld: &Withheld) -> Option<Value> {
    let mut value = json!("{value}");
    let ends: Vec<usize> = withheld.path.match_indices('.').map(|(at, _)| at).chain([withheld.path.len()]).collect();
    for end in ends.into_iter().rev() {
        let path = withheld.path.get(..end)?;
        let name = path.rsplit('.').next()?;
        let element = definitions.element_at(resource.of, path)?.element;
        let item = if element.many { json!([value]) } else { value };
        value = Value::Object([(name.to_owned(), item)].into_iter().collect());
    }
    value.as_object_mut()?.insert("resourceType".to_owned(), json!(resource.name));
    Some(value)
}

/// A bulk export, from its start to its files.
pub(super) async fn l22(suite: &mut Suite<'_>) {
    if !suite.spec.allows(Allowed::Exports) {
        return suite.skip(22, "the start of an export is work for the server: allow: [exports] tries it");
    }
    for resource in seen(suite).collect::<Vec<_>>() {
        let (of, with) = (resource.name, Filling::id(resource));
        for template in [format!("/$export?_type={of}"), format!("/{of}/$export"), format!("/{of}/{{id}}/$export")] {
            let start = Request::get(&template, &with).header("prefer", "respond-async", &with);
            let Some(started) = suite.canary(22, &start).await else { continue };
            let status = started.header("content-location").and_then(|address| suite.client.below(address));
            if let Some(status) = status.filter(|_| started.status == 202) {
                export(suite, &with, &status).await;
            }
        }
    }
}

async fn export(suite: &mut Suite<'_>, with: &Filling<'_>, status: &str) {
    let step = |method: Method, target: &str, told: &str| {
        let mut request = Request::new(method, "", with).told(told);
        request.target = target.to_owned();
        request
    };
    for _ in 0..ASKED {
        let Some(answer) = suite.canary(22, &step(Method::GET, status, "GET the status of an export")).await else {
            break;
        };
        if answer.status == 202 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        let manifest = answer.json().unwrap_or_default();
        let files = manifest.get("output").and_then(Value::as_array).into_iter().flatten();
        let files: Vec<String> =
            files.filter_map(|file| suite.client.below(file.get("url")?.as_str()?)).take(FILES).collect();
        for file in files {
            let read = step(Method::GET, &file, "GET a file of an export");
            suite.canary(22, &read).await;
            if suite.client.has_credentials() {
                suite.stranger(22, &read.from(From::Nobody, "without credentials")).await;
            }
        }
        break;
    }
    // The export is this run's own.
    let _ = suite.client.send(&step(Method::DELETE, status, "DELETE an export")).await;
}

/// A patch that only tests: what it says of a value tells of it.
pub(super) async fn l27(suite: &mut Suite<'_>) {
    if !suite.spec.allows(Allowed::Writes) {
        return suite.skip(27, ON_REQUEST);
    }
    suite.skip(27, "copy and move: a server that takes them would change the test patient");
    let mut tested = std::collections::BTreeSet::new();
    for guess in guesses(suite, 27).into_iter().filter(|guess| tested.insert(&*guess.withheld.element)) {
        for pointer in pointers(&suite.definitions, guess.resource, &guess.withheld.path) {
            // The second never holds, so that nothing is changed whatever the first says.
            for more in [vec![], vec![json!({ "op": "test", "path": "/resourceType", "value": "Nothing" })]] {
                let test = json!({ "op": "test", "path": pointer, "value": "{value}" });
                let patch = Value::Array([test].into_iter().chain(more).collect());
                let patches = guess.fillings.map(|with| {
                    let request = Request::new(Method::PATCH, &format!("/{}/{{id}}", guess.resource.name), &with);
                    request.json(&patch, PATCH, &format!("test of {pointer}"), &with)
                });
                suite.oracle(27, patches).await;
            }
        }
    }
}

/// JSON Pointers (RFC 6901) to where a path can lead; of the first list some places.
fn pointers(definitions: &Definitions, resource: &Resource, path: &str) -> Vec<String> {
    let mut pointers = vec![String::new()];
    let mut walked = String::new();
    for step in path.split('.') {
        walked = if walked.is_empty() { step.to_owned() } else { format!("{walked}.{step}") };
        let many = definitions.element_at(resource.of, &walked).is_some_and(|found| found.element.many);
        let places: &[&str] = match (many, pointers.len()) {
            (true, 1) => &["/0", "/1", "/2"],
            (true, _) => &["/0"],
            (false, _) => &[""],
        };
        pointers = pointers.iter().flat_map(|base| places.iter().map(move |at| format!("{base}/{step}{at}"))).collect();
    }
    pointers
}

/// A patch that changes nothing, whose answer shows the resource.
pub(super) async fn l28(suite: &mut Suite<'_>) {
    if !suite.spec.allows(Allowed::Writes) {
        return suite.skip(28, ON_REQUEST);
    }
    for resource in seen(suite).collect::<Vec<_>>() {
        let (of, with) = (resource.name, Filling::id(resource));
        let holds = json!([{ "op": "test", "path": "/resourceType", "value": of }]);
        for prefer in ["return=representation", "return=OperationOutcome", "return=minimal"] {
            for place in ["/{id}", "?_id={id}"] {
                let patch =
                    Request::new(Method::PATCH, &format!("/{of}{place}"), &with).header("prefer", prefer, &with);
                suite.canary(28, &patch.json(&holds, PATCH, "a patch that changes nothing", &with)).await;
            }
        }
        let first = resource.withheld.first().map_or("text", |withheld| top(&withheld.path));
        let wrong = json!([{ "op": "test", "path": format!("/{first}"), "value": { "x": "y" } }]);
        let patch = Request::new(Method::PATCH, &format!("/{of}/{{id}}"), &with);
        suite.canary(28, &patch.json(&wrong, PATCH, "a patch that never holds", &with)).await;
    }
}
