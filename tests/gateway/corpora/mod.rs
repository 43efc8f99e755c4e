//! Real and realistic data through the running gateway, for every role of the example policy: what a caller gets is,
//! element for element, what the oracle makes of the tree that the upstream sent.
//!
//! Each role has an endpoint of its own and a caller that speaks HTTP/1.1 and HTTP/2 in turn; the upstream answers in every
//! coding and in pieces of every size. The oracle's addresses are told anew here, by what the documentation says.

mod caller;
mod upstream;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use fieldgate::demo::people::{DEMO_PATIENTS, DEMO_SEED, Population};
use fieldgate::fhir::Definitions;
use fieldgate::policy::Policy;
use fieldgate::redact::oracle;
use fieldgate::redact::plan::Plan;
use fieldgate::redact::transform::{Addresses, Given, Secret};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use self::caller::{Caller, Led, Reply, TAG};
use self::upstream::{CANARY, CODINGS, Upstream};
use crate::folder::{Folder, Gateway, POLICY, SECRET, serve};
use crate::process;
use crate::support::{self, difference};

/// Of a document up to this length each resource is read by its id as well.
const SMALL: usize = 1 << 20;
/// How many read at once.
const READERS: usize = 16;
/// What carries other resources, or says how a request went.
const ENVELOPES: [&str; 4] = ["Bundle", "Parameters", "OperationOutcome", "CapabilityStatement"];

/// What the upstream holds.
#[derive(Clone, Copy)]
struct Held<'a> {
    name: &'a str,
    document: &'a Value,
    /// Whether it was written as `serde_json` does, so that the answer is the oracle's to the byte.
    compact: bool,
}

struct Stage {
    upstream: Upstream,
    folder: Folder,
    address: SocketAddr,
    /// Nobody but the test's end has to do with the process.
    gateway: Mutex<Gateway>,
    policy: Arc<Policy>,
    definitions: Definitions,
    callers: Vec<Caller>,
    /// How often each role got each status.
    statuses: Mutex<BTreeMap<(String, u16), usize>>,
}

impl Stage {
    async fn set() -> Arc<Self> {
        let upstream = Upstream::start().await;
        let folder = Folder::new(upstream.address);
        let definitions = Definitions::r4();
        let policy = Arc::new(Policy::parse("policy.yaml", POLICY, &definitions).unwrap().0);
        let file = std::fs::read_to_string(folder.path("gateway.yaml")).unwrap();
        let (before, rest) = file.split_once("\nendpoints:\n").unwrap();
        let (_, after) = rest.split_once("\naudit:").unwrap();
        folder.write(
            "gateway.yaml",
            &format!("{before}\nendpoints:\n{}audit:{after}", endpoints(&policy, upstream.address)),
        );
        let gateway = serve(&folder);
        let address = gateway.address;
        let public = |role: &str| format!("https://{address}/as/{role}");
        let callers = policy.roles().map(|(role, _)| Caller::new(&folder, role, public(role.as_str()))).collect();
        let (gateway, statuses) = (Mutex::new(gateway), Mutex::default());
        Arc::new(Self { upstream, folder, address, gateway, policy, definitions, callers, statuses })
    }

    /// A document in each of its forms, as each role.
    async fn show(self: &Arc<Self>, name: &str, text: Vec<u8>) {
        let document: Value = serde_json::from_slice(&text).unwrap();
        let resources = if document["resourceType"] == "Bundle" {
            let small = text.len() <= SMALL;
            self.upstream.holds("/Patient", text, None);
            let held = Held { name, document: &document, compact: false };
            for (turn, caller) in self.callers.iter().enumerate() {
                let got = self.compare(held, caller, "/Patient", turn).await;
                assert_eq!(got.unwrap()["resourceType"], "Bundle", "{name}");
            }
            self.search(name, &document).await;
            let entries = document["entry"].as_array().into_iter().flatten();
            if small { entries.map(|entry| entry["resource"].clone()).collect() } else { Vec::new() }
        } else {
            vec![document]
        };
        self.read(name, resources).await;
    }

    /// The resources of a Bundle as a search finds them, in two pages of which the second is reached by the first's link.
    async fn search(&self, name: &str, bundle: &Value) {
        let base = self.upstream.base();
        let [mut first, last] = search_set(bundle, &base);
        for (turn, caller) in self.callers.iter().enumerate() {
            // Servers name their pages in ways of their own.
            let next = ["/Patient?_count=1000&_page=2", "?_getpages=7&_getpagesoffset=1000"][turn % 2];
            first["link"][1]["url"] = format!("{base}{next}").into();
            self.upstream.holds("/Patient?_count=1000", first.to_string().into_bytes(), None);
            self.upstream.holds(next, last.to_string().into_bytes(), None);
            let held = Held { name, document: &first, compact: true };
            let got = self.compare(held, caller, "/Patient?_count=1000", turn + 1).await.unwrap();
            let link = got["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
            let link = link.unwrap()["url"].as_str().unwrap().strip_prefix(&caller.public).unwrap();
            self.compare(Held { document: &last, ..held }, caller, link, turn).await.unwrap();
        }
    }

    /// Each resource by its id.
    async fn read(self: &Arc<Self>, name: &str, resources: Vec<Value>) {
        let mut by_path = BTreeMap::new();
        for resource in resources {
            if let (Some(of), Some(id)) = (resource["resourceType"].as_str(), resource["id"].as_str()) {
                by_path.insert(format!("/{of}/{id}"), resource);
            }
        }
        for (path, resource) in &by_path {
            let location = format!("{}{path}/_history/3", self.upstream.base());
            self.upstream.holds(path, resource.to_string().into_bytes(), Some(location));
        }
        let by_path: Arc<Vec<(String, Value)>> = Arc::new(by_path.into_iter().collect());
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (stage, by_path, name) = (Arc::clone(self), Arc::clone(&by_path), name.to_owned());
                tokio::spawn(async move {
                    for (at, (path, resource)) in by_path.iter().enumerate().skip(reader).step_by(READERS) {
                        for (turn, caller) in stage.callers.iter().enumerate() {
                            let held = Held { name: &name, document: resource, compact: true };
                            stage.read_one(held, caller, path, at + turn).await;
                        }
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.await.unwrap();
        }
    }

    async fn read_one(&self, held: Held<'_>, caller: &Caller, path: &str, turn: usize) {
        let resource = held.document;
        let view = self.policy.role(&caller.role).unwrap();
        let resource_type = self.definitions.resource(resource["resourceType"].as_str().unwrap()).unwrap();
        let sees = view.sees(resource_type);
        let knows = view.shows_all(&self.definitions, resource_type, "id");
        if sees && (knows || !view.restricted()) {
            self.compare(held, caller, path, turn).await;
            return;
        }
        let asked = self.upstream.asked(path);
        let reply = self.ask(caller, &format!("{}{path}", caller.public), turn).await;
        is_outcome(&reply, 403, "forbidden");
        assert_eq!(self.upstream.asked(path), asked, "{path}: nobody was asked for what the role does not see");
        // Of what a role knows by a pseudonym alone it sees something, and finds it by searching.
        let left = oracle::redact(view.plan(), &self.given(caller, today()), resource).filter(|_| !sees);
        assert_eq!(left, None, "{path} as {}", caller.role);
    }

    /// A document, as each role that sees anything of it.
    async fn show_member(&self, id: &str, member: &Value) {
        self.upstream.holds(&format!("/v1/members/{id}"), member.to_string().into_bytes(), None);
        for (turn, caller) in self.callers.iter().enumerate() {
            if let Some(plan) = self.policy.role(&caller.role).unwrap().document("member-record") {
                let url = format!("https://{}/plan/{}/v1/members/{id}", self.address, caller.role);
                let held = Held { name: "a member", document: member, compact: true };
                self.compare_by(plan, held, caller, &url, turn).await.unwrap();
            }
        }
    }

    /// Asks for a path as a role, and holds the answer against the oracle. Answers what came, where anything did.
    async fn compare(&self, held: Held<'_>, caller: &Caller, path: &str, turn: usize) -> Option<Value> {
        let view = self.policy.role(&caller.role).unwrap();
        let url = format!("{}{path}", caller.public);
        let got = self.compare_by(view.plan(), held, caller, &url, turn).await;
        if let Some(got) = &got {
            says_what_was_done(got, view.restricted());
        }
        got
    }

    /// The same of any address of the gateway, by a plan.
    async fn compare_by(&self, plan: &Plan, held: Held<'_>, caller: &Caller, url: &str, turn: usize) -> Option<Value> {
        let began = today();
        let reply = self.ask(caller, url, turn).await;
        let text = untagged(std::str::from_utf8(&reply.body).unwrap());
        let got = (reply.status == 200).then(|| serde_json::from_str::<Value>(&text).unwrap());
        let mut expected = oracle::redact(plan, &self.given(caller, began), held.document);
        if got != expected && today() != began {
            // Ages are counted on the day of the request, and it has just changed.
            expected = oracle::redact(plan, &self.given(caller, today()), held.document);
        }
        let at = format!("{} at {url} as {} ({})", held.name, caller.role, reply.status);
        assert!(got == expected, "{at}: {}", difference("", got.as_ref(), expected.as_ref()));
        match expected {
            // A member that stands twice, or one out of order, is the same tree and another text.
            Some(expected) if held.compact => assert_eq!(text, expected.to_string(), "{at}"),
            Some(_) => {}
            None => is_outcome(&reply, 404, "not-found"),
        }
        (reply.status == 200).then(|| serde_json::from_slice(&reply.body).unwrap())
    }

    /// Asks for an address as a role, and looks at the head of the answer.
    async fn ask(&self, caller: &Caller, url: &str, turn: usize) -> Reply {
        let reply = caller.get(url, turn).await;
        *self.statuses.lock().unwrap().entry((caller.role.to_string(), reply.status)).or_default() += 1;
        let field = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap());
        let known = ["content-type", "cache-control", "vary", "fieldgate-policy", "x-request-id", "date"];
        for (name, value) in &reply.headers {
            let of_the_body = match name.as_str() {
                "transfer-encoding" | "content-location" | "etag" => reply.status == 200,
                "content-length" => reply.status != 200,
                name => known.contains(&name),
            };
            assert!(of_the_body, "{url}: {name} in an answer with {}", reply.status);
            assert!(!value.to_str().unwrap().contains(CANARY), "{url}: {name}");
        }
        let path = url.strip_prefix(&caller.public);
        let media_type = if path.is_some() { "application/fhir+json" } else { "application/json" };
        assert_eq!(field("content-type"), Some(media_type), "{url}");
        assert_eq!(field("cache-control"), Some("private, no-store"));
        assert_eq!(field("fieldgate-policy"), Some(self.policy.generation()), "the policy that the oracle goes by");
        let location = path.filter(|_| reply.status == 200).and_then(|path| self.upstream.location(path));
        let location = location.and_then(|location| self.addresses(caller).rewrite(&location).map(Cow::into_owned));
        assert_eq!(field("content-location"), location.as_deref(), "{url}");
        let text = std::str::from_utf8(&reply.body).unwrap();
        assert!(!text.contains(CANARY) && !text.contains(&self.upstream.base()), "{url} as {}", caller.role);
        reply
    }

    /// What the gateway gives to the transforms of an answer.
    fn given(&self, caller: &Caller, today: Date) -> Given {
        let secret = Some(Arc::new(Secret::new(SECRET).unwrap()));
        Given { today: Some(today), secret, addresses: Some(Arc::new(self.addresses(caller))), bounds: None }
    }

    fn addresses(&self, caller: &Caller) -> Led {
        Led {
            policy: Arc::clone(&self.policy),
            definitions: self.definitions,
            role: caller.role.clone(),
            base: self.upstream.base(),
            public: caller.public.clone(),
        }
    }

    /// Stops the gateway. Its audit trail is whole, and every role has got something.
    async fn end(self: Arc<Self>, least_forms: usize) {
        let stage = Arc::into_inner(self).unwrap();
        let statuses = stage.statuses.into_inner().unwrap();
        println!("answers by role and status: {statuses:?}");
        for caller in &stage.callers {
            assert!(statuses.contains_key(&(caller.role.to_string(), 200)), "{} has seen nothing", caller.role);
        }
        let forms = stage.upstream.forms();
        println!("codings, and the most bytes of a piece: {forms:?}");
        assert!(forms.len() >= least_forms);
        let process = stage.gateway.into_inner().unwrap().process;
        process.signal("TERM");
        let (status, said) = process.ended();
        assert!(status.success(), "{said}");
        let verified = process::run(&["audit", "verify", stage.folder.path("audit").to_str().unwrap()]);
        let told = String::from_utf8(verified.stdout).unwrap();
        assert!(verified.status.success() && told.contains("0 requests began and have no end"), "{told}");
    }
}

/// An endpoint of each role, half of them before an upstream that speaks HTTP/2, and one for the documents that it sees.
fn endpoints(policy: &Policy, upstream: SocketAddr) -> String {
    let mut endpoints = String::new();
    for (at, (role, view)) in policy.roles().enumerate() {
        let http2 = ["never", "prior-knowledge"][at % 2];
        let mut endpoint = |name: &str, below: &str, serves: &str| {
            endpoints += &format!(
                "  - {{ name: {name}-{role}, path: /{name}/{role}, upstream: {{ url: \"http://{upstream}/{below}\", http2: \
                 {http2} }}, serves: {serves}, roles: [{role}] }}\n"
            );
        };
        endpoint("as", "fhir", "fhir");
        if view.document("member-record").is_some() {
            endpoint("plan", "api", "{ \"/v1/members/{id}\": member-record }");
        }
    }
    endpoints
}

/// The resources of a Bundle as a server that has stored them answers a search, in two pages: addresses of the server in
/// place of the Bundle's own, and an outcome among the entries.
fn search_set(bundle: &Value, base: &str) -> [Value; 2] {
    let entries = bundle["entry"].as_array().unwrap();
    let addressed = entries.iter().filter_map(|entry| {
        let resource = &entry["resource"];
        let address = format!("{}/{}", resource["resourceType"].as_str()?, resource["id"].as_str()?);
        Some((entry["fullUrl"].as_str()?, address))
    });
    let addresses: BTreeMap<&str, String> = addressed.collect();
    let mut stored: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let mut resource = entry["resource"].clone();
            refer(&mut resource, &addresses);
            let mode = if resource["resourceType"] == "Patient" { "match" } else { "include" };
            let own = entry["fullUrl"].as_str().unwrap_or_default();
            let full_url = addresses.get(own).map_or_else(|| own.to_owned(), |address| format!("{base}/{address}"));
            json!({ "fullUrl": full_url, "resource": resource, "search": { "mode": mode, "score": 1.5 } })
        })
        .collect();
    stored.push(json!({
        "resource": {
            "resourceType": "OperationOutcome",
            "issue": [{ "severity": "warning", "code": "incomplete", "diagnostics": "the upstream's own words" }],
        },
        "search": { "mode": "outcome" },
    }));
    let links = json!([
        { "relation": "self", "url": format!("{base}/Patient?_count=1000") },
        { "relation": "next", "url": base },
        { "relation": "alternate", "url": "https://elsewhere.example/Patient" },
    ]);
    let others = stored.split_off(stored.len() * 2 / 3);
    [(links.as_array().unwrap().clone(), stored), (vec![links[0].clone()], others)].map(|(link, entry)| {
        json!({
            "resourceType": "Bundle", "id": "7", "meta": { "lastUpdated": "2026-11-22T08:00:00Z" }, "type": "searchset",
            "timestamp": "2026-11-22T08:00:00Z", "total": entries.len(), "link": link, "entry": entry,
        })
    })
}

/// Lets references lead to where the resources are stored.
fn refer(value: &mut Value, addresses: &BTreeMap<&str, String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(reference) if name == "reference" => {
                        if let Some(address) = addresses.get(reference.as_str()) {
                            reference.clone_from(address);
                        }
                    }
                    other => refer(other, addresses),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, addresses)),
        _ => {}
    }
}

/// An answer with [`TAG`] in the place of the tag of each page link, which is the gateway's secret.
fn untagged(answer: &str) -> String {
    let mut parts = answer.split("_fieldgate=");
    let mut untagged = parts.next().unwrap().to_owned();
    for part in parts {
        let (tag, rest) = part.split_once('"').unwrap();
        let (until, code) = tag.strip_prefix("Patient.").unwrap().split_once('.').unwrap();
        assert!(until.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(code.len() == 43 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        untagged += &format!("_fieldgate={TAG}\"{rest}");
    }
    untagged
}

/// That each resource says that it was filtered where anything is withheld from the role, and that none does elsewhere.
fn says_what_was_done(answer: &Value, restricted: bool) {
    let entries = answer["entry"].as_array().into_iter().flatten().filter_map(|entry| entry.get("resource"));
    for resource in entries.chain([answer]) {
        if ENVELOPES.iter().any(|envelope| resource["resourceType"] == *envelope) {
            continue;
        }
        let labels = resource["meta"]["security"].as_array().into_iter().flatten();
        let redacted = labels.filter(|label| {
            label["code"] == "REDACTED"
                && label["system"] == "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
        });
        assert_eq!(redacted.count(), usize::from(restricted), "{}", resource["meta"]);
    }
}

fn is_outcome(reply: &Reply, status: u16, code: &str) {
    let outcome: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, &outcome["issue"][0]["code"]), (status, &json!(code)), "{outcome}");
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

async fn show(stage: &Arc<Stage>, files: Vec<PathBuf>) {
    for path in files {
        stage.show(&path.display().to_string(), std::fs::read(&path).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundles_of_synthea_reach_each_role_as_the_oracle_says() {
    let Some(folder) = support::corpus("synthea-r4") else { return };
    let files = support::documents(&folder);
    assert_eq!(files.len(), 5);
    let stage = Stage::set().await;
    show(&stage, files).await;
    stage.end(3 * CODINGS.len()).await;
}

/// Set `FIELDGATE_BUNDLES` to a folder of FHIR documents to send them through as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_bundles_reaches_each_role_as_the_oracle_says() {
    let Some(folder) = support::bundles() else { return };
    let stage = Stage::set().await;
    show(&stage, support::documents(&folder)).await;
    stage.end(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_synthetic_practice_reaches_each_role_as_the_oracle_says() {
    let population = Population::generate(DEMO_SEED, DEMO_PATIENTS, "2026-11-22".parse().unwrap());
    let stage = Stage::set().await;
    stage.show("the demo's bundle", population.bundle()).await;
    stage.read("a resource of the demo", population.resources().cloned().collect()).await;
    for (id, member) in population.members() {
        stage.show_member(id, member).await;
    }
    stage.end(3 * CODINGS.len()).await;
}
