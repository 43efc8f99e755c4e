//! Who pays: Coverage, Claim, ExplanationOfBenefit, and the health plan's own record of the member.

use serde_json::{Value, json};

use super::chart::Visit;
use super::elements::{ICD10, SNOMED, coding, concept, dollars, meta, money, narrative, number, reference, term};
use super::person::Person;
use super::practice::{NAME, Practice};
use crate::demo::random::Random;

/// Adds what was billed for `person` and returns the member's id with the plan's record: plain JSON, not FHIR.
pub(super) fn write(
    person: &Person,
    visits: &[Visit<'_>],
    practice: &Practice,
    out: &mut Vec<Value>,
    random: &mut Random,
) -> (String, Value) {
    let member_id = format!("M{}{}", person.mrn, random.between(10, 99));
    let years = visits.last().map_or(40, |visit| person.age(visit.start.date));
    let choice = if years >= 65 { 2 } else { usize::try_from(random.between(0, 1)).unwrap_or(0) };
    let (payer_id, payer) =
        practice.payers.get(choice).map_or(("", ""), |payer| (payer.id.as_str(), payer.name.as_str()));
    let insurer = reference("Organization", payer_id, payer);
    let coverage_id = random.uuid();
    let mut claims = Vec::new();
    if let Some(visit) = visits.first() {
        out.push(coverage(person, visit, (&coverage_id, &member_id), &insurer, years));
    }
    for visit in visits.iter().rev().take(2) {
        let charged = random.between(90, 320) * 100 + random.between(0, 3) * 25;
        let paid = charged * random.between(55, 90) / 100;
        let ids = (random.uuid(), random.uuid());
        out.push(claim(person, visit, (&ids.0, &coverage_id), &insurer, practice, charged));
        if visit.last {
            out.push(benefit(person, visit, (&ids, &coverage_id), &insurer, practice, (charged, paid)));
        }
        claims.push(json!({
            "claim": format!("C{}", ids.0.split('-').next().unwrap_or_default()),
            "status": if visit.last { "paid" } else { "closed" },
            "service_date": visit.start.date.to_string(),
            "provider": person.doctor_name(),
            "diagnoses": diagnosis(visit).map(|(code, display)| json!([{ "icd10": code, "description": display }])).unwrap_or(json!([])),
            "billed": number(dollars(charged), 2),
            "paid": number(dollars(paid), 2),
            "member_owes": number(dollars(charged - paid), 2),
            "notes": visit.about.map_or("Preventive visit, no cost share.".to_owned(), |course| person.fill(course.illness.note)),
        }));
    }
    (member_id.clone(), member(person, &member_id, payer, years, claims))
}

fn member(person: &Person, id: &str, payer: &str, years: i64, claims: Vec<Value>) -> Value {
    let contact = &person.contact;
    let with_dependents = years >= 18 && contact.family == person.family && years < 65;
    let dependents = json!([{ "name": person.contact_name(), "relationship": "spouse", "phone": contact.phone }]);
    json!({
        "id": id,
        "name": { "first": person.given, "last": person.family },
        "date_of_birth": person.birth.to_string(),
        "ssn": person.ssn,
        "email": null,
        "phone": person.phone,
        "address": {
            "street": person.line, "city": person.place.city, "state": person.place.state, "zip": person.zip,
        },
        "plan": { "name": payer, "group": "HV-2041", "tier": if years >= 65 { "B" } else { "PPO" }, "copay": 25 },
        "dependents": if with_dependents { dependents } else { json!([]) },
        "claims": claims,
        "notes": person.fill("Spoke with {contact} about {given}'s last bill; prefers calls to {phone}."),
    })
}

fn coverage(person: &Person, visit: &Visit<'_>, (id, member_id): (&str, &str), insurer: &Value, years: i64) -> Value {
    // A child is covered through a parent, who is on file with the coverage alone.
    let parent = json!([{
        "resourceType": "RelatedPerson", "id": "parent", "patient": { "reference": format!("Patient/{}", person.id) },
        "relationship": [term("v3-RoleCode", "PRN", "parent")],
        "name": [{ "family": person.contact.family, "given": [person.contact.given] }],
        "telecom": [{ "system": "phone", "value": person.contact.phone }],
    }]);
    let child = years < 18;
    let relation = if child { ("child", "Child") } else { ("self", "Self") };
    let policy_holder = if child { json!({ "reference": "#parent" }) } else { person.reference() };
    json!({
        "resourceType": "Coverage",
        "id": id,
        "meta": meta(visit.recorded(), &[]),
        "contained": child.then_some(parent),
        "status": "active",
        "type": term("v3-ActCode", if years >= 65 { "PUBLICPOL" } else { "EHCPOL" }, "health policy"),
        "subscriber": policy_holder,
        "subscriberId": member_id,
        "beneficiary": person.reference(),
        "relationship": term("subscriber-relationship", relation.0, relation.1),
        "period": { "start": format!("{}-01-01", visit.start.date.year()) },
        "payor": [insurer],
    })
}

fn diagnosis(visit: &Visit<'_>) -> Option<(&'static str, &'static str)> {
    visit.about.map(|course| (course.illness.icd, course.illness.icd_display))
}

fn diagnoses(visit: &Visit<'_>) -> Option<Value> {
    diagnosis(visit).map(|(code, display)| {
        json!([{ "sequence": 1, "diagnosisCodeableConcept": { "coding": [coding(ICD10, code, display)] } }])
    })
}

fn claim(
    person: &Person,
    visit: &Visit<'_>,
    (id, coverage): (&str, &str),
    insurer: &Value,
    practice: &Practice,
    charged: i64,
) -> Value {
    json!({
        "resourceType": "Claim",
        "id": id,
        "meta": meta(visit.recorded(), visit.sensitivity()),
        "status": "active",
        "type": term("claim-type", "professional", "Professional"),
        "use": "claim",
        "patient": person.reference(),
        "billablePeriod": { "start": visit.start.local(), "end": visit.start.later(visit.minutes).local() },
        "created": visit.recorded().local(),
        "insurer": insurer,
        "provider": reference("Organization", &practice.organization, NAME),
        "priority": term("processpriority", "normal", "Normal"),
        "diagnosis": diagnoses(visit),
        "insurance": [{
            "sequence": 1, "focal": true, "coverage": { "reference": format!("Coverage/{coverage}") },
        }],
        "item": [{
            "sequence": 1,
            "diagnosisSequence": visit.about.map(|_| json!([1])),
            "productOrService": concept(SNOMED, "308335008", "Patient encounter procedure"),
            "servicedDate": visit.start.date.to_string(),
            "net": money(charged),
            "encounter": [visit.reference()],
        }],
        "total": money(charged),
    })
}

fn benefit(
    person: &Person,
    visit: &Visit<'_>,
    ((claim, id), coverage): (&(String, String), &str),
    insurer: &Value,
    practice: &Practice,
    (charged, paid): (i64, i64),
) -> Value {
    let part = |code: &str, display: &str, cents: i64| json!({ "category": term("adjudication", code, display), "amount": money(cents) });
    let story =
        format!("Explanation of benefits for {}, born {}, visit of {}", person.name(), person.birth, visit.start.date);
    json!({
        "resourceType": "ExplanationOfBenefit",
        "id": id,
        "meta": meta(visit.recorded(), visit.sensitivity()),
        "text": narrative(&[&story]),
        "status": "active",
        "type": term("claim-type", "professional", "Professional"),
        "use": "claim",
        "patient": person.reference(),
        "created": visit.recorded().local(),
        "insurer": insurer,
        "provider": reference("Organization", &practice.organization, NAME),
        "claim": { "reference": format!("Claim/{claim}") },
        "outcome": "complete",
        "disposition": "Paid in part",
        "diagnosis": diagnoses(visit),
        "insurance": [{ "focal": true, "coverage": { "reference": format!("Coverage/{coverage}") } }],
        "item": [{
            "sequence": 1,
            "productOrService": concept(SNOMED, "308335008", "Patient encounter procedure"),
            "servicedDate": visit.start.date.to_string(),
            "adjudication": [
                part("submitted", "Submitted Amount", charged),
                part("benefit", "Benefit Amount", paid),
                part("copay", "CoPay", charged - paid),
            ],
        }],
        "total": [part("submitted", "Submitted Amount", charged), part("benefit", "Benefit Amount", paid)],
        "payment": { "amount": money(paid), "date": super::elements::days_after(visit.start.date, 19).to_string() },
    })
}
