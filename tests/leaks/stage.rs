//! A gateway before an upstream that answers everybody with everything, and what may be seen of it.

use fieldgate::fhir::Definitions;
use fieldgate::guard::Declared;
use percent_encoding::percent_decode_str;

use crate::gateway::{Reply, Running, Setup, key};
use crate::upstream::{CANARY, Then, Upstream, fhir};

const POLICY: &str = r#"
version: 1
fhir: R4
roles:
  desk:
    about: Books visits. Needs who, when and where; never why.
    owner: desk@hospital.example
    review_by: 2999-01-01
    purposes: [HOPERAT]
    sees:
      Patient: { name: show, gender: show, birthDate: year, managingOrganization: show }
      Observation: { code: show, status: show, subject: show, encounter: show, value: show, component.code: show }
      Organization: { name: show, alias: show }
      Encounter: { where: "@.status == 'finished'", subject: show, status: show }
  clinician:
    about: Treats patients.
    owner: care@hospital.example
    review_by: 2999-01-01
    purposes: [TREAT]
    sees: { "*": show }
"#;

/// What the upstream answers to anything: more than was asked for, with the canary in all that the desk does not see.
fn everything() -> String {
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
    gateway: Running,
    upstream: Upstream,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let upstream = Upstream::answering(fhir(everything()), Then::Close).await;
        let (definitions, mut declared) = (Definitions::r4(), Declared::default());
        let patient = definitions.resource("Patient").unwrap();
        declared.insert(patient, "called", ["name".into()]);
        declared.insert(patient, "nhs-number", ["identifier".into()]);
        let setup = Setup { policy: POLICY.to_owned(), declared, ..Setup::default() };
        Self { gateway: Running::start(upstream.address, setup).await, upstream }
    }

    /// The canary as a value that is asked for, so that no refusal repeats it.
    fn filled(text: &str) -> String {
        text.replace("{}", CANARY)
    }

    pub(crate) async fn get(&self, caller: &str, target: &str) -> Reply {
        let reply = self.gateway.get(caller, &format!("/fhir{}", Self::filled(target))).await;
        Self::keeps(&reply, caller, target);
        reply
    }

    pub(crate) async fn post(&self, caller: &str, target: &str, form: &str) -> Reply {
        let (target, form, key) = (Self::filled(target), Self::filled(form), key(caller));
        let reply = self
            .gateway
            .ask(&format!(
                "POST /fhir{target} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n\
                 content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
                form.len()
            ))
            .await;
        Self::keeps(&reply, caller, &target);
        reply
    }

    fn keeps(reply: &Reply, caller: &str, target: &str) {
        if caller != "clinician" {
            let canary = CANARY.to_ascii_lowercase();
            assert!(!reply.text().to_ascii_lowercase().contains(&canary), "{target}: {}", reply.text());
            assert!(!reply.head.contains(&canary), "{target}: {}", reply.head);
        }
    }

    /// That the desk is refused by these words, and the upstream is not even asked.
    pub(crate) async fn refuses(&self, target: &str, words: &[&str]) {
        let reply = self.get("desk", target).await;
        self.is_refused(&reply, target, words);
    }

    pub(crate) fn is_refused(&self, reply: &Reply, target: &str, words: &[&str]) {
        assert!(matches!(reply.status, 400 | 403), "{target}: {} {}", reply.status, reply.text());
        let told = reply.json()["issue"][0]["diagnostics"].as_str().unwrap().to_owned();
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
        let requests = std::mem::take(&mut *self.upstream.heard.lock().unwrap());
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        let (head, form) = request.split_once("\r\n\r\n").unwrap();
        let target = head.split(' ').nth(1).unwrap().strip_prefix("/fhir").unwrap();
        let slash = if target.starts_with('?') { "/" } else { "" };
        let asked = format!("{slash}{target} {form}");
        percent_decode_str(&asked.replace('+', " ")).decode_utf8().unwrap().trim_end().to_owned()
    }

    /// That the canary stands in no figure and no record either.
    pub(crate) async fn end(self) {
        assert!(!self.gateway.metrics().contains(CANARY));
        assert!(!self.gateway.trail().await.contains(CANARY));
    }
}
