//! A gateway before an upstream that answers everybody with everything, and what may be seen of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use fieldgate::fhir::Definitions;
use fieldgate::guard::Declared;
use percent_encoding::percent_decode_str;

use crate::caller::{Answered, Caller, message};
use crate::gateway::{Running, Setup, gateway};
use crate::judge;
use crate::upstream::{CANARY, Then, Upstream, fhir};

pub(crate) const POLICY: &str = r#"
version: 1
fhir: R4
documents:
  member-record: { about: "GET /v1/members/{id}" }
roles:
  desk:
    about: Books visits. Needs who, when and where; never why.
    owner: desk@hospital.example
    review_by: 2999-01-01
    purposes: [HOPERAT]
    may: [read, vread, search, create, update, patch, delete, batch]
    sees:
      Patient: { name: show, gender: show, birthDate: year, managingOrganization: show }
      Observation: { code: show, status: show, subject: show, encounter: show, value: show, component.code: show }
      Organization: { name: show, alias: show }
      Encounter: { where: "@.status == 'finished'", subject: show, status: show }
      member-record: { "$.id": show }
  billing:
    about: Sees all there is to see of some types, and so withholds from nobody but by what holds for each such role.
    owner: billing@hospital.example
    review_by: 2999-01-01
    purposes: [HPAYMT]
    sees: { Patient: show, Observation: show }
  clinician:
    about: Treats patients.
    owner: care@hospital.example
    review_by: 2999-01-01
    purposes: [TREAT]
    may: [read, vread, search, create, update, patch, delete, transaction]
    sees: { "*": show }
"#;

/// What the upstream answers to anything: more than was asked for, with the canary in all that the desk does not see.
pub(crate) fn everything() -> String {
    let entries = [
        format!(
            r#"{{"resourceType":"Patient","id":"1","name":[{{"family":"Lovelace"}}],"birthDate":"1980-12-10","identifier":[{{"value":"{CANARY}"}}],"telecom":[{{"value":"{CANARY}"}}]}}"#
        ),
        format!(
            r#"{{"resourceType":"Observation","id":"2","status":"final","note":[{{"text":"{CANARY}"}}],"subject":{{"reference":"Patient/1","display":"{CANARY}"}},"component":[{{"valueString":"{CANARY}"}}]}}"#
        ),
        format!(r#"{{"resourceType":"Encounter","id":"3","status":"planned","identifier":[{{"value":"{CANARY}"}}]}}"#),
        format!(r#"{{"resourceType":"Practitioner","id":"4","name":[{{"family":"{CANARY}"}}]}}"#),
        format!(
            r#"{{"resourceType":"Condition","id":"5","code":{{"text":"{CANARY}"}},"subject":{{"reference":"Patient/1"}}}}"#
        ),
    ];
    let entries = entries.map(|resource| format!(r#"{{"resource":{resource}}}"#)).join(",");
    format!(r#"{{"resourceType":"Bundle","type":"searchset","total":5,"entry":[{entries}]}}"#)
}

/// A gateway and the upstream behind it.
pub(crate) struct Stage {
    pub(crate) gateway: Running,
    pub(crate) upstream: Upstream,
    /// What the upstream answers to anything, byte for byte.
    says: Arc<Mutex<Vec<u8>>>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let (definitions, mut declared) = (Definitions::r4(), Declared::default());
        let patient = definitions.resource("Patient").unwrap();
        declared.insert(patient, "called", ["name".into()]);
        declared.insert(patient, "nhs-number", ["identifier".into()]);
        Self::with(Setup { policy: POLICY.to_owned(), declared, ..Setup::default() }).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        judge::watch();
        let says = Arc::new(Mutex::new(fhir(everything())));
        let told = Arc::clone(&says);
        let upstream = Upstream::choosing(move |_| (told.lock().unwrap().clone(), Then::Close)).await;
        Self { gateway: Running::start(upstream.address, setup).await, upstream, says }
    }

    /// The upstream answers like this from now on.
    pub(crate) fn answers(&self, raw: impl Into<Vec<u8>>) {
        *self.says.lock().unwrap() = raw.into();
    }

    /// The canary as a value that is asked for, so that no refusal repeats it.
    fn filled(text: &str) -> String {
        text.replace("{}", CANARY)
    }

    /// Sends a request. What anybody but a clinician gets is judged.
    pub(crate) async fn ask(&self, caller: &str, line: &str, fields: &str, body: &str) -> Answered {
        let message = message(caller, line, &format!("connection: close\r\n{fields}"), body);
        let answered = Caller::to(self.gateway.plain).await.ask_last(message).await;
        if caller != "clinician" {
            judge::learns_nothing(&format!("{line} {fields}"), &answered);
        }
        answered
    }

    pub(crate) async fn get(&self, caller: &str, target: &str) -> Answered {
        self.ask(caller, &format!("GET /fhir{}", Self::filled(target)), "", "").await
    }

    pub(crate) async fn post(&self, caller: &str, target: &str, form: &str) -> Answered {
        let line = format!("POST /fhir{}", Self::filled(target));
        self.ask(caller, &line, "content-type: application/x-www-form-urlencoded\r\n", &Self::filled(form)).await
    }

    /// Sends a resource, or nothing.
    pub(crate) async fn send(&self, caller: &str, line: &str, fields: &str, body: &str) -> Answered {
        let media_type = match (body, line.starts_with("PATCH")) {
            ("", _) => "",
            (_, true) => "content-type: application/json-patch+json\r\n",
            (_, false) => "content-type: application/fhir+json\r\n",
        };
        self.ask(caller, line, &format!("{media_type}{fields}"), body).await
    }

    /// Before an upstream that chooses what it answers.
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        let setup = Setup { policy: POLICY.to_owned(), ..Setup::default() };
        let gateway = Running::start(upstream, setup).await;
        Self { gateway, upstream: Upstream::answering("", Then::Close).await, says: Arc::default() }
    }

    /// Another policy from now on, as after a reload.
    pub(crate) fn reload(&self, policy: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup { policy: policy.to_owned(), ..Setup::default() };
        let next = gateway(self.upstream.address, setup, folder.path());
        self.gateway.generation.store(Arc::new(next));
        folder
    }

    /// The desk's and the biller's answers to a read of a patient whom the upstream tells of like this.
    pub(crate) async fn patient(&self, resource: &serde_json::Value) -> [Answered; 2] {
        self.answers(fhir(resource.to_string()));
        let answers = [self.get("desk", "/Patient/1").await, self.get("billing", "/Patient/1").await];
        for answered in &answers {
            assert_eq!(answered.status, 200, "{resource}: {}", answered.text());
        }
        answers
    }

    /// That the desk is refused by these words, and the upstream is not even asked.
    pub(crate) async fn refuses(&self, target: &str, words: &[&str]) {
        let reply = self.get("desk", target).await;
        self.is_refused(&reply, target, words);
    }

    pub(crate) fn is_refused(&self, reply: &Answered, target: &str, words: &[&str]) {
        assert!(matches!(reply.status, 400 | 403), "{target}: {} {}", reply.status, reply.text());
        let told = reply.diagnostics();
        for word in words {
            assert!(told.contains(word), "{target}: {word} is not in {told}");
        }
        assert!(self.upstream.requests().is_empty(), "{target}: {:?}", self.upstream.requests());
    }

    /// What the upstream is asked on behalf of the desk, decoded.
    pub(crate) async fn sends(&self, target: &str) -> String {
        let reply = self.get("desk", target).await;
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        self.heard()
    }

    /// What the upstream was asked last: the target and the form.
    pub(crate) fn heard(&self) -> String {
        let requests = self.all_heard();
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        let (head, form) = request.split_once("\r\n\r\n").unwrap();
        let target = head.split(' ').nth(1).unwrap().strip_prefix("/fhir").unwrap();
        let slash = if target.starts_with('?') { "/" } else { "" };
        let asked = format!("{slash}{target} {form}");
        percent_decode_str(&asked.replace('+', " ")).decode_utf8().unwrap().trim_end().to_owned()
    }

    /// The requests that the upstream has got since it was last looked at.
    pub(crate) fn all_heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.upstream.heard.lock().unwrap())
    }

    /// That the canary stands in no figure, no record and no line of the log either.
    pub(crate) async fn end(self) {
        judge::left_no_trace(self.gateway).await;
    }
}
