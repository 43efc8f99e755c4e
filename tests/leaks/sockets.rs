//! L07 to L17 for all of FHIR R4 over sockets: for every resource type and each of its elements a role that sees all but
//! that element asks a running gateway in every way, and finds no canary of it.
//!
//! A gateway for each type, a role for each element, picked by `Fieldgate-Role`. A role sees the type and the few others
//! that chains come from or lead to: a role that sees all of R4 takes twenty times as long to compile. The upstream
//! answers everything with everything: the resource with all its canaries, alone or wherever a resource can stand.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use fieldgate::fhir::{SearchParameter, TypeId};
use fieldgate::policy::Checked;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use memchr::memmem;
use serde_json::json;
use tokio::net::TcpListener;

use crate::caller::{Answered, Caller, message};
use crate::canaries::{D, ENVELOPES, Plants, everywhere, paths, resources};
use crate::gateway::{Running, Setup, gateway};
use crate::judge;
use crate::tables::{WITHIN, asks, is_tested, ways_to, ways_to_ask};

/// Connections at once; the roles of a type are shared out among them.
const AT_ONCE: usize = 16;
/// How deep values of data types are planted in one another.
const DEPTH: usize = 1;
/// What is asked for. Nothing is planted by this name.
const ASKED: &str = "canary999999";

/// What the upstream answers at the moment: to whom asks for one resource, and to anybody else.
#[derive(Default)]
struct Documents {
    alone: Bytes,
    everywhere: Bytes,
}

/// An upstream that keeps its connections and answers whatever it is asked.
async fn upstream(documents: Arc<ArcSwap<Documents>>, probed: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |request: Request<Incoming>| {
        let asked = request.uri().to_string();
        if asked.contains(ASKED) {
            probed.lock().unwrap().push(asked.clone());
        }
        let documents = documents.load();
        let body =
            if asked.contains('?') || asked.ends_with("_search") { &documents.everywhere } else { &documents.alone };
        let response = Response::builder().header("content-type", "application/fhir+json").header("etag", "W/\"1\"");
        let response = response.body(Full::new(body.clone())).unwrap();
        async { Ok::<_, Infallible>(response) }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(answer.clone())));
        }
    });
    address
}

/// A request line, header fields and a body.
type Test = (String, String, String);

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "content-type: application/fhir+json\r\n";

/// A resource type, and what its roles ask.
struct Case {
    name: &'static str,
    /// The elements; the role of each is `role-` and its place.
    elements: Vec<String>,
    /// Which canaries stand in each.
    hidden: Vec<Range<usize>>,
    /// The requests by parameters that test each.
    tests: Vec<Vec<Test>>,
    policy: String,
}

impl Case {
    fn new(of: TypeId, plants: &Plants) -> Self {
        let name = D.get(of).name;
        let mut elements = Vec::new();
        paths(of, "", &mut elements);
        let ways = ways_to();
        let mut ways_here: Vec<_> = ways.get(name).into_iter().flatten().copied().take(2).collect();
        ways_here.extend(ways["Resource"].iter().copied().take(1));
        // What a chain comes from, and what `_has` looks back from.
        let parameters: Vec<&SearchParameter> =
            D.search_parameters(name).filter(|known| !known.is_unmapped()).collect();
        let back =
            parameters.iter().flat_map(|parameter| parameter.targets.iter()).filter(|target| *target != "Resource");
        let mut others: BTreeSet<&str> = back.take(8).chain(ways_here.iter().map(|(source, _)| *source)).collect();
        others.insert("Patient");
        others.retain(|other| *other != name && !ENVELOPES.contains(other));
        let others: String = others.iter().map(|other| format!(", {other}: show")).collect();
        let role = |place: &str, sees: &str| {
            format!(
                "  {place}: {{ about: x, owner: x@x, review_by: 2999-01-01, purposes: [TREAT], \
                 may: [read, vread, search, create, update, patch, delete, batch], sees: {{ {name}: {sees}{others} }} }}\n"
            )
        };
        let head = "version: 1\nfhir: R4\nroles:\n";
        let everything = format!("{head}{}", role("all", "show"));
        let everything = Checked::parse("policy.yaml", &everything, &D).unwrap().0;
        let everything = everything.roles().next().unwrap().1;
        let asked: Vec<Vec<Test>> = parameters
            .iter()
            .map(|parameter| {
                // What is refused where nothing is hidden would prove nothing.
                let targets = ways_to_ask(name, parameter, &ways_here).into_iter();
                let targets = targets.filter(|target| asks(everything, target).is_ok());
                let gets = targets.map(|target| (format!("GET /fhir{target}"), String::new(), String::new()));
                let (test, resource) = (format!("{}=x", parameter.code), json!({ "resourceType": name }).to_string());
                let posted = (format!("POST /fhir/{name}/_search"), FORM.to_owned(), test.clone());
                let by = |method: &str| format!("{method} /fhir/{name}?{test}");
                let created =
                    (format!("POST /fhir/{name}"), format!("{JSON}if-none-exist: {test}\r\n"), resource.clone());
                let updated = (by("PUT"), JSON.to_owned(), resource);
                let deleted = (by("DELETE"), String::new(), String::new());
                gets.chain([posted, created, updated, deleted]).collect()
            })
            .collect();
        let tests = elements.iter().map(|element| {
            // No parameter tests what is within a value and no part of what it says.
            let says = element.rsplit_once('.').is_none_or(|(_, last)| !WITHIN.contains(&last));
            let by = parameters.iter().zip(&asked);
            let by = by.filter(|(parameter, _)| says && is_tested(of, parameter, element));
            by.flat_map(|(_, asked)| asked.iter().cloned()).collect()
        });
        let tests = tests.collect();
        let roles = elements
            .iter()
            .enumerate()
            .map(|(place, element)| role(&format!("role-{place}"), &format!("{{ \"*\": show, {element}: hide }}")));
        let policy = format!("{head}{}", roles.collect::<String>());
        let hidden = elements.iter().map(|element| plants.below(&format!("{name}.{element}"))).collect();
        Self { name, elements, hidden, tests, policy }
    }

    /// All that one role asks. Answers how many requests were refused, and how many canaries seen.
    async fn ask(&self, place: usize, caller: &mut Caller) -> (usize, usize) {
        let Self { name, .. } = self;
        let (path, hidden) = (format!("{name}.{}", self.elements[place]), &self.hidden[place]);
        let field = format!("fieldgate-role: role-{place}\r\n");
        let (mut refused, mut seen) = (0, 0);
        let first = self.elements[place].split('.').next().unwrap();
        let requests =
            ["1", "?_count=9", &format!("?_elements={first}"), "?_summary=true", "?_summary=text", "1/_history/1"];
        let slash = |of: &str| if of.starts_with('?') { "" } else { "/" };
        let entries = requests
            .iter()
            .map(|of| json!({ "request": { "method": "GET", "url": format!("{name}{}{of}", slash(of)) } }));
        let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries.collect::<Vec<_>>() });
        for (line, fields, body) in [
            (format!("GET /fhir/{name}/1"), "", String::new()),
            (format!("GET /fhir/{name}?_count=9"), "", String::new()),
            (format!("POST /fhir/{name}/_search"), FORM, "_count=9".to_owned()),
            ("POST /fhir".to_owned(), JSON, batch.to_string()),
        ] {
            let answered = caller.ask(message("both", &line, &format!("{field}{fields}"), &body)).await;
            // Who does not see an id asks for nothing by it.
            let expected = if first == "id" && line.ends_with("/1") { 403 } else { 200 };
            assert_eq!(answered.status, expected, "{path} hidden: {line}: {}", answered.text());
            seen += finds_none(&answered, hidden, &format!("{path} hidden: {line}"));
        }
        let resource = json!({ "resourceType": name }).to_string();
        for line in ["GET /fhir/{}/1/_history", "GET /fhir/{}/1/$everything", "POST /fhir/{}/$x"] {
            let line = line.replace("{}", name);
            let (fields, body) = if line.starts_with("GET") { ("", "") } else { (JSON, resource.as_str()) };
            let answered = caller.ask(message("both", &line, &format!("{field}{fields}"), body)).await;
            assert_eq!(answered.status, 403, "{path} hidden: {line}: {}", answered.text());
            finds_none(&answered, &(0..usize::MAX), &format!("{path} hidden: {line}"));
            refused += 1;
        }
        for (line, fields, body) in &self.tests[place] {
            let [line, fields, body] = [line, fields, body].map(|text| text.replace("=x", &format!("={ASKED}")));
            let answered = caller.ask(message("both", &line, &format!("{field}{fields}"), &body)).await;
            assert!(matches!(answered.status, 400 | 403), "{path} hidden: {line}: {}", answered.status);
            finds_none(&answered, &(0..usize::MAX), &format!("{path} hidden: {line}"));
            refused += 1;
        }
        (refused, seen)
    }
}

/// That an answer holds none of these canaries. Answers how many others it holds.
#[track_caller]
fn finds_none(answered: &Answered, hidden: &Range<usize>, what: &str) -> usize {
    assert!(
        answered.whole && answered.after.is_empty() && !answered.head.contains("canary"),
        "{what}: {}",
        answered.head
    );
    let body = &answered.body;
    let number = |at: Range<usize>| std::str::from_utf8(body.get(at)?).ok()?.parse::<usize>().ok();
    let texts = memmem::find_iter(body, "canary").map(|at| number(at + 6..at + 12).unwrap_or(usize::MAX - 1));
    // Numbers are planted from seven milliards on.
    let numbers = memmem::find_iter(body, "70000").filter_map(|at| number(at..at + 10)?.checked_sub(7_000_000_000));
    let mut others = 0;
    for canary in texts.chain(numbers) {
        assert!(!hidden.contains(&canary) && canary != 999_999, "{what}: canary {canary} comes out");
        others += 1;
    }
    others
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l07_to_l17_whichever_element_is_hidden_no_way_to_ask_a_gateway_tells_of_it() {
    let (documents, probed) = (Arc::new(ArcSwap::default()), Arc::default());
    let upstream = upstream(Arc::clone(&documents), Arc::clone(&probed)).await;
    judge::watch();
    let running = Running::before(upstream).await;
    let names: Vec<&'static str> = (0..400).map(|place| &*format!("role-{place}").leak()).collect();
    let (mut asked, mut refused, mut seen) = (0, 0, 0);
    for (of, _) in resources() {
        let mut plants = Plants::default();
        let resource = plants.resource(of, DEPTH);
        let case = Arc::new(Case::new(of, &plants));
        let everywhere = Bytes::from(everywhere(&resource).to_string());
        documents.store(Arc::new(Documents { alone: Bytes::from(resource.to_string()), everywhere }));
        let roles = names[..case.elements.len()].to_vec();
        let rules = roles.iter().map(|role| format!("- {{ role: {role}, when: {{ api_key: both }} }}\n")).collect();
        let setup = Setup { policy: case.policy.clone(), roles, rules, ..Setup::default() };
        let folder = tempfile::tempdir().unwrap();
        running.generation.store(Arc::new(gateway(upstream, setup, folder.path())));
        let address = running.plain;
        let tasks = (0..AT_ONCE).map(|first| {
            let case = Arc::clone(&case);
            tokio::spawn(async move {
                let mut caller = Caller::to(address).await;
                let (mut refused, mut seen) = (0, 0);
                for place in (first..case.elements.len()).step_by(AT_ONCE) {
                    let of_one = case.ask(place, &mut caller).await;
                    (refused, seen) = (refused + of_one.0, seen + of_one.1);
                }
                (refused, seen)
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            let of_some = task.await.unwrap();
            (refused, seen) = (refused + of_some.0, seen + of_some.1);
        }
        asked += case.elements.len();
        // Whoever runs the gateway finds none either.
        let generation = running.generation.load_full();
        generation.journal.clone().close().await.unwrap();
        for file in std::fs::read_dir(folder.path().join("audit")).unwrap() {
            let records = std::fs::read_to_string(file.unwrap().path()).unwrap();
            // It holds ids, and in their own places alone.
            let but_ids = |record: &str| match (record.find(",\"resources\":"), record.find(",\"released\":")) {
                (Some(ids), Some(figures)) => [&record[..ids], &record[figures..]].concat(),
                _ => record.to_owned(),
            };
            let told = records.lines().map(but_ids).find(|record| record.contains("canary"));
            assert_eq!(told, None, "{}: in the audit trail", case.name);
        }
        assert!(!generation.metrics.render().unwrap().contains("canary"), "{}: in the figures", case.name);
    }
    judge::log_is_silent();
    assert_eq!(*probed.lock().unwrap(), Vec::<String>::new(), "the upstream was asked by what is hidden");
    println!("{asked} elements hidden one by one: {refused} requests refused, {seen} canaries of other elements seen");
    assert!(asked > 6_000 && refused > 100_000 && seen > 30_000_000, "{asked}, {refused}, {seen}");
}
