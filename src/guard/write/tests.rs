use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::fhir::Definitions;
use crate::model::Role;
use crate::policy::Policy;
use crate::redact::transform::Given;
use crate::redact::{Copied, Limits, Redactor};

const POLICY: &str = r#"
version: 1
fhir: R4
roles:
  desk:
    about: Books visits.
    owner: desk@hospital.example
    review_by: 2999-01-01
    purposes: [HOPERAT]
    may: [read, update]
    sees:
      Patient:
        active: show
        name: show
        gender: show
        language: absent
        birthDate: year
        "telecom[?@.system == 'phone']": show
        contact: show
        contact.telecom: hide
        contact.address: hide
      Observation:
        where: "@.status == 'final'"
        status: show
        code: show
        valueQuantity: show
        component.code: show
      Encounter: { "*": show, reasonCode: hide, language: absent }
"#;

/// The view of a role of the policy.
fn seen_by_desk(resource: &[u8]) -> Result<Option<Vec<u8>>, RedactError> {
    let definitions = Definitions::r4();
    let (policy, _) = Policy::parse("policy.yaml", POLICY, &definitions).unwrap();
    let plan = Arc::clone(policy.role(&Role::new("desk")).unwrap().plan());
    let mut redactor = Redactor::new(plan, Given::default(), Limits::default());
    let mut out = Vec::new();
    redactor.write(resource, &mut Copied { piece: resource, out: &mut out })?;
    let shown = redactor.finish(&mut Copied { piece: &[], out: &mut out })?;
    Ok(shown.then_some(out))
}

fn copy_of(stored: &str) -> Value {
    serde_json::from_slice(&seen_by_desk(stored.as_bytes()).unwrap().unwrap()).unwrap()
}

fn put(stored: &str, sent: &Value) -> Result<Value, WriteError> {
    let of = sent["resourceType"].as_str().unwrap();
    let sent = sent.to_string();
    let written = updated(&seen_by_desk, of, stored.as_bytes(), Sent::Resource(sent.as_bytes()))?;
    Ok(serde_json::from_slice(&written).unwrap())
}

fn patch(stored: &str, operations: &Value) -> Result<Value, WriteError> {
    let operations = operations.to_string();
    let written = updated(&seen_by_desk, "Patient", stored.as_bytes(), Sent::Patch(operations.as_bytes()))?;
    Ok(serde_json::from_slice(&written).unwrap())
}

fn element(error: Result<Value, WriteError>) -> String {
    match error.unwrap_err() {
        WriteError::Hidden { element } | WriteError::Lost { element } | WriteError::Items { element } => element.into(),
        other => panic!("{other}"),
    }
}

const PATIENT: &str = r#"{
  "resourceType": "Patient", "id": "p1", "meta": {"versionId": "3"},
  "text": {"status": "generated", "div": "<div>Ada canary</div>"},
  "extension": [{"url": "http://example.org/canary", "valueDecimal": 1.50}],
  "identifier": [{"system": "urn:mrn", "value": "canary-1"}],
  "active": true,
  "name": [{"family": "Lovelace", "given": ["Ada", "King"], "_given": [null, {"extension": [{"url": "urn:canary", "valueCode": "c"}]}]}],
  "telecom": [
    {"system": "email", "value": "canary@example.org"},
    {"system": "phone", "value": "555-1"},
    {"system": "email", "value": "canary2@example.org"},
    {"system": "phone", "value": "555-2"}
  ],
  "birthDate": "1815-12-10", "_birthDate": {"extension": [{"url": "urn:birthTime", "valueDateTime": "1815-12-10T09:00:00Z"}]},
  "language": "xx-canary",
  "contact": [
    {"name": {"family": "Byron"}, "telecom": [{"value": "canary-3"}], "gender": "male"},
    {"id": "c2", "name": {"family": "Milbanke"}, "address": {"city": "canary-4"}, "gender": "female"}
  ]
}"#;

fn stored() -> Value {
    serde_json::from_str(PATIENT).unwrap()
}

#[test]
fn l26_a_copy_that_is_sent_back_as_it_was_read_changes_nothing() {
    assert_eq!(put(PATIENT, &copy_of(PATIENT)).unwrap(), stored());
    let written = updated(
        &seen_by_desk,
        "Patient",
        PATIENT.as_bytes(),
        Sent::Resource(&seen_by_desk(PATIENT.as_bytes()).unwrap().unwrap()),
    );
    let written = String::from_utf8(written.unwrap()).unwrap();
    assert!(written.contains(r#""valueDecimal":1.50"#) && !written.contains("REDACTED"), "{written}");
}

#[test]
fn l26_what_is_seen_can_be_changed_and_what_is_not_stays() {
    let mut sent = copy_of(PATIENT);
    sent["active"] = json!(false);
    sent["name"][0]["family"] = json!("King");
    sent["telecom"][1]["value"] = json!("555-3");
    sent["contact"][0]["gender"] = json!("other");
    sent["contact"][1]["name"]["family"] = json!("Noel");
    sent["gender"] = json!("female");
    let mut expected = stored();
    expected["active"] = json!(false);
    expected["name"][0]["family"] = json!("King");
    expected["telecom"][3]["value"] = json!("555-3");
    expected["contact"][0]["gender"] = json!("other");
    expected["contact"][1]["name"]["family"] = json!("Noel");
    expected["gender"] = json!("female");
    assert_eq!(put(PATIENT, &sent).unwrap(), expected);
}

#[test]
fn l26_what_is_taken_away_takes_nothing_with_it_that_is_not_seen() {
    let mut sent = copy_of(PATIENT);
    sent.as_object_mut().unwrap().remove("active");
    // Without the labels and the mark of what is absent, which are the gateway's.
    sent["meta"].as_object_mut().unwrap().remove("security");
    sent.as_object_mut().unwrap().remove("_language");
    sent["telecom"].as_array_mut().unwrap().remove(0);
    let mut expected = stored();
    expected.as_object_mut().unwrap().remove("active");
    expected["telecom"].as_array_mut().unwrap().remove(1);
    assert_eq!(put(PATIENT, &sent).unwrap(), expected);

    let mut sent = copy_of(PATIENT);
    sent["contact"].as_array_mut().unwrap().remove(0);
    assert_eq!(element(put(PATIENT, &sent)), "Patient.contact");
    let mut sent = copy_of(PATIENT);
    sent.as_object_mut().unwrap().remove("birthDate");
    assert_eq!(element(put(PATIENT, &sent)), "Patient.birthDate");
    let mut sent = copy_of(PATIENT);
    sent["name"][0]["given"] = json!(["Ada"]);
    assert_eq!(element(put(PATIENT, &sent)), "Patient.name.given");
}

#[test]
fn l26_items_are_matched_by_id_and_by_place_and_new_ones_are_added() {
    let mut sent = copy_of(PATIENT);
    let contacts = sent["contact"].as_array_mut().unwrap();
    contacts.push(json!({"name": {"family": "Somerville"}}));
    contacts[1]["name"] = json!({"text": "by its id, whatever its shape"});
    let mut expected = stored();
    expected["contact"][1]["name"] = json!({"text": "by its id, whatever its shape"});
    expected["contact"].as_array_mut().unwrap().push(json!({"name": {"family": "Somerville"}}));
    assert_eq!(put(PATIENT, &sent).unwrap(), expected);

    // Another one in its place, of another shape: it could be anybody.
    let mut sent = copy_of(PATIENT);
    sent["contact"][0] = json!({"name": {"family": "Somerville", "given": ["Mary"]}});
    assert_eq!(element(put(PATIENT, &sent)), "Patient.contact");
    // In another order.
    let mut sent = copy_of(PATIENT);
    sent["contact"].as_array_mut().unwrap().swap(0, 1);
    assert_eq!(element(put(PATIENT, &sent)), "Patient.contact");
}

#[test]
fn l26_what_is_not_seen_as_it_is_can_not_be_set() {
    for (name, value) in [
        ("identifier", json!([{"value": "mine"}])),
        ("language", json!("en")),
        ("maritalStatus", json!({"text": "married"})),
        ("birthDate", json!("1999")),
        ("birthDate", json!("1815-12-11")),
        ("_birthDate", json!({"id": "x"})),
        ("extension", json!([{"url": "urn:x", "valueCode": "y"}])),
        ("text", json!({"status": "empty", "div": "<div/>"})),
        ("photo", json!([{"url": "http://example.org"}])),
    ] {
        let mut sent = copy_of(PATIENT);
        sent[name] = value;
        let of = name.trim_start_matches('_');
        assert_eq!(element(put(PATIENT, &sent)), format!("Patient.{of}"));
    }
    let mut sent = copy_of(PATIENT);
    sent["telecom"].as_array_mut().unwrap().push(json!({"system": "email", "value": "new@example.org"}));
    assert_eq!(element(put(PATIENT, &sent)), "Patient.telecom");
    let mut sent = copy_of(PATIENT);
    sent["contact"][0]["address"] = json!({"city": "Here"});
    assert_eq!(element(put(PATIENT, &sent)), "Patient.contact");
    let mut sent = copy_of(PATIENT);
    sent["no element of <FHIR>"] = json!("value");
    assert_eq!(element(put(PATIENT, &sent)), "Patient.(no element)");
}

#[test]
fn l26_a_row_can_not_be_written_out_of_sight() {
    let observation = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50}}"#;
    let mut sent = copy_of(observation);
    sent["status"] = json!("entered-in-error");
    assert_eq!(put(observation, &sent), Err(WriteError::Unseen));
    let other = observation.replace("final", "preliminary");
    assert_eq!(put(&other, &serde_json::from_str(&other).unwrap()), Err(WriteError::Unseen));
}

#[test]
fn l26_marks_of_what_is_withheld_are_never_stored() {
    let mut sent = copy_of(PATIENT);
    sent["_gender"] = sent["_language"].clone();
    assert!(sent["_gender"].is_object());
    assert_eq!(put(PATIENT, &sent), Err(WriteError::Marked));
    let create = |body: &Value| created(&seen_by_desk, "Patient", body.to_string().as_bytes());
    assert_eq!(create(&copy_of(PATIENT)), Err(WriteError::Marked));
    let new = json!({"resourceType": "Patient", "active": true, "name": [{"family": "New"}]});
    assert_eq!(create(&new).unwrap(), new.to_string().into_bytes());
    let more = json!({"resourceType": "Patient", "name": [{"family": "New"}], "address": [{"city": "Here"}]});
    assert_eq!(create(&more), Err(WriteError::Hidden { element: "Patient.address".into() }));
    let coarse = json!({"resourceType": "Patient", "name": [{"family": "New"}], "birthDate": "1999-01-02"});
    assert_eq!(create(&coarse), Err(WriteError::Hidden { element: "Patient.birthDate".into() }));
    let other = json!({"resourceType": "Observation", "status": "final"});
    assert_eq!(create(&other), Err(WriteError::Type { expected: "Patient".into() }));
}

#[test]
fn a_label_that_is_stored_stays_one() {
    let labelled = PATIENT.replace(
        r#""versionId": "3""#,
        r#""versionId": "3", "security": [{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED"}]"#,
    );
    let mut sent = copy_of(&labelled);
    sent["active"] = json!(false);
    let written = put(&labelled, &sent).unwrap();
    assert_eq!(written["meta"]["security"].as_array().unwrap().len(), 1);
    assert_eq!(written["active"], json!(false));
}

const LABEL: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED"}"#;

#[test]
fn labels_of_a_view_that_shows_them_are_never_stored_and_stored_ones_stay() {
    let encounter = |security: &str| {
        let security = if security.is_empty() { String::new() } else { format!(r#","security":[{security}]"#) };
        let meta = format!(r#""meta":{{"versionId":"1"{security}}}"#);
        format!(r#"{{"resourceType":"Encounter","id":"e",{meta},"status":"planned","reasonCode":[{{"text":"why"}}]}}"#)
    };
    let other = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}"#;
    let (both, twice) = (format!("{other},{LABEL}"), format!("{LABEL},{LABEL}"));
    for security in ["", other, LABEL, &both, &twice] {
        let stored = encounter(security);
        let read = copy_of(&stored);
        assert!(read["meta"]["security"].as_array().unwrap().len() > usize::from(!security.is_empty()), "{read}");
        let mut sent = read.clone();
        sent["status"] = json!("finished");
        let mut expected: Value = serde_json::from_str(&stored).unwrap();
        expected["status"] = json!("finished");
        assert_eq!(put(&stored, &sent).unwrap(), expected, "{security}");
        // What is no label is the caller's to change; a label that is stored stays.
        let normal = json!({ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N" });
        let mut tagged = read.clone();
        tagged["meta"]["security"].as_array_mut().unwrap().insert(0, normal.clone());
        let written = put(&stored, &tagged).unwrap();
        assert_eq!(written["meta"]["security"][0], normal, "{security}");
        let mut bare = read.clone();
        bare["meta"].as_object_mut().unwrap().remove("security");
        match security.contains("REDACTED") {
            true => assert_eq!(element(put(&stored, &bare)), "Encounter.meta.security"),
            false => assert_eq!(put(&stored, &bare).unwrap()["meta"]["security"].as_array(), None, "{security}"),
        }
        // One more than there are is a copy's.
        let mut more = read;
        let label: Value = serde_json::from_str(LABEL).unwrap();
        more["extension"] = json!([{ "url": "urn:x", "valueCoding": label }]);
        assert_eq!(put(&stored, &more), Err(WriteError::Marked), "{security}");
    }
}

#[test]
fn a_label_or_mark_is_told_from_what_only_looks_like_one() {
    let tell = |text: &str, tell: &dyn Fn(&Tree<'_>) -> bool| {
        let document = Document::read(text.as_bytes()).unwrap();
        tell(&Tree::of(&document).unwrap())
    };
    let mark =
        r#"{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"masked"}]}"#;
    assert!(tell(mark, &is_mark) && tell(&format!("[{mark}]"), &is_mark));
    for other in [
        mark.replace("masked", "unknown"),
        mark.replace("data-absent-reason", "other"),
        mark.replace("\"extension", "\"modifierExtension"),
        mark.replace("[{", "[{},{"),
        mark.replace("{\"ext", "{\"id\":\"1\",\"ext"),
        format!("[{mark},{mark}]"),
        "[]".to_owned(),
        "\"masked\"".to_owned(),
    ] {
        assert!(!tell(&other, &is_mark), "{other}");
    }
    for (marked, of) in [
        (format!(r#"{{"_gender":{mark}}}"#), 1),
        (format!(r#"{{"gender":{mark}}}"#), 0),
        (format!(r#"{{"_gender":{{"id":"1"}},"contact":[{{"_gender":{mark}}},{{"name":{{"_text":{mark}}}}}]}}"#), 2),
        (format!(r#"{{"meta":{{"security":[{LABEL}]}}}}"#), 1),
        (LABEL.replace("REDACTED", "OTHER"), 0),
    ] {
        assert!(tell(&marked, &|tree| marks(tree) == of), "{marked}");
        assert!(tell(&marked, &|tree| {
            let mut tree = tree.clone();
            unmark(&mut tree);
            marks(&tree) == labels(&tree) && (of > 0 || tree.same(&tree.clone()))
        }));
    }
    let kept = format!(r#"{{"_gender":{{"id":"1"}},"gender":{mark}}}"#);
    assert!(tell(&kept, &|tree| {
        let mut bare = tree.clone();
        unmark(&mut bare);
        bare.same(tree)
    }));
}

#[test]
fn what_is_withheld_is_each_scalar_that_is_stored_and_not_shown_as_often() {
    let stored = r#"{"a":1,"b":[{"c":"x"},{"c":"x"},{"c":"y"}],"d":{"e":true}}"#;
    let shown = r#"{"a":2,"b":[{"c":"x"}],"d":{"e":true},"f":1}"#;
    let (stored, shown) = (Document::read(stored.as_bytes()).unwrap(), Document::read(shown.as_bytes()).unwrap());
    let withheld = withheld(&Tree::of(&stored).unwrap(), &Tree::of(&shown).unwrap());
    let expected = [(".a", "1", 1), (".b.c", "\"x\"", 1), (".b.c", "\"y\"", 1)];
    let expected = expected.map(|(place, text, count)| ((place.to_owned(), text.as_bytes()), count));
    assert_eq!(withheld, BTreeMap::from(expected));
}

#[test]
fn what_is_empty_is_nothing_that_is_set() {
    let mut sent = copy_of(PATIENT);
    sent["photo"] = json!([]);
    sent["maritalStatus"] = json!({});
    assert_eq!(put(PATIENT, &sent).unwrap(), stored());
}

#[test]
fn l27_a_patch_reaches_what_is_seen_and_nothing_else() {
    let done = patch(
        PATIENT,
        &json!([
            {"op": "test", "path": "/active", "value": true},
            {"op": "replace", "path": "/active", "value": false},
            {"op": "move", "from": "/active", "path": "/active"},
            {"op": "add", "path": "/telecom/-", "value": {"system": "phone", "value": "555-4"}},
            {"op": "copy", "from": "/name/0/family", "path": "/name/0/text"},
            {"op": "move", "from": "/telecom/0/value", "path": "/telecom/1/value"},
            {"op": "remove", "path": "/telecom/0"}
        ]),
    );
    let mut expected = stored();
    expected["active"] = json!(false);
    expected["name"][0]["text"] = json!("Lovelace");
    expected["telecom"] = json!([
        {"system": "email", "value": "canary@example.org"},
        {"system": "phone", "value": "555-1"},
        {"system": "email", "value": "canary2@example.org"},
        {"system": "phone", "value": "555-4"}
    ]);
    assert_eq!(done.unwrap(), expected);

    for (operation, expected) in [
        (json!({"op": "test", "path": "/identifier/0/value", "value": "canary-1"}), PatchError::Test(1)),
        (json!({"op": "copy", "from": "/identifier/0/value", "path": "/name/0/text"}), PatchError::Path(1)),
        (json!({"op": "move", "from": "/identifier", "path": "/contact/0/name"}), PatchError::Path(1)),
        (json!({"op": "remove", "path": "/identifier"}), PatchError::Path(1)),
        (json!({"op": "replace", "path": "/identifier/0/value", "value": "x"}), PatchError::Path(1)),
        (json!({"op": "test", "path": "/telecom/2", "value": {}}), PatchError::Test(1)),
        (json!({"op": "remove", "path": "/telecom/2"}), PatchError::Path(1)),
        (json!({"op": "move", "from": "/name", "path": "/name/0/period"}), PatchError::Operation(1)),
        (json!({"op": "add", "path": "/name/01", "value": {}}), PatchError::Path(1)),
        (json!({"op": "add", "path": "name", "value": {}}), PatchError::Operation(1)),
        (json!({"op": "add", "path": "/name"}), PatchError::Operation(1)),
        (json!({"op": "erase", "path": "/name"}), PatchError::Operation(1)),
    ] {
        assert_eq!(patch(PATIENT, &json!([operation])), Err(WriteError::Patch(expected)), "{operation}");
    }
    assert_eq!(patch(PATIENT, &json!({})), Err(WriteError::Patch(PatchError::Shape)));
    let set = patch(
        PATIENT,
        &json!([{"op": "add", "path": "/identifier", "value": []}, {"op": "add", "path": "/identifier/0", "value": {"value": "x"}}]),
    );
    assert_eq!(element(set), "Patient.identifier");
    let all = patch(PATIENT, &json!([{"op": "replace", "path": "", "value": {"resourceType": "Patient"}}]));
    assert_eq!(element(all), "Patient.name");
}

#[test]
fn a_body_that_has_no_one_reading_is_refused() {
    let put = |body: &str| updated(&seen_by_desk, "Patient", PATIENT.as_bytes(), Sent::Resource(body.as_bytes()));
    assert!(matches!(put(r#"{"resourceType":"Patient","active":true,"active":false}"#), Err(WriteError::Ambiguous(_))));
    assert!(matches!(put(r#"{"resourceType":"Patient""#), Err(WriteError::Syntax(_))));
    assert!(matches!(put(r#"[]"#), Err(WriteError::Type { .. })));
}
