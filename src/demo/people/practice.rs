//! What patients share: the practice, its sites, its staff, and the health plans.

use jiff::civil::Date;
use serde_json::{Value, json};

use super::elements::{
    Moment, SNOMED, coding, concept, days_after, labelled_meta, narrative, reference, terminology, tidy,
};
use crate::demo::random::Random;
use crate::demo::tables::TABLES;

/// The name of the practice.
pub(super) const NAME: &str = "Harrow Valley Health";

/// Somebody or something with an id and a name.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) name: String,
}

/// The practice and whom it works with.
pub(super) struct Practice {
    pub(super) organization: String,
    pub(super) doctors: Vec<Named>,
    pub(super) sites: Vec<Named>,
    pub(super) payers: Vec<Named>,
    resources: Vec<Value>,
}

impl Practice {
    pub(super) fn new(seed: u64, today: Date) -> Self {
        let mut random = Random::new(seed, 0);
        let updated = Moment::new(days_after(today, -400), 540);
        let meta = labelled_meta(updated, "", &[]);
        let organization = random.uuid();
        let mut practice = Self {
            organization: organization.clone(),
            doctors: Vec::new(),
            sites: Vec::new(),
            payers: Vec::new(),
            resources: vec![json!({
                "resourceType": "Organization", "id": organization, "meta": meta,
                "text": narrative(&[NAME, "590 Court Street, Keene NH 03431"]),
                "active": true,
                "type": [concept(&terminology("organization-type"), "prov", "Healthcare Provider")],
                "name": NAME,
                "telecom": [{ "system": "phone", "value": "603-555-0100", "use": "work" }],
                "address": [address("590 Court Street", "Keene", "NH", "03431")],
            })],
        };
        for payer in &TABLES.payers {
            let id = random.uuid();
            practice.resources.push(json!({
                "resourceType": "Organization", "id": id, "meta": meta, "active": true,
                "type": [concept(&terminology("organization-type"), "ins", "Insurance Company")],
                "name": payer.name,
                "address": [address("", payer.city, payer.state, payer.zip)],
            }));
            practice.payers.push(Named { id, name: payer.name.into() });
        }
        for site in &TABLES.locations {
            let id = random.uuid();
            practice.resources.push(json!({
                "resourceType": "Location", "id": id, "meta": meta, "status": "active", "name": site.name,
                "mode": "instance",
                "telecom": [{ "system": "phone", "value": site.telephone, "use": "work" }],
                "address": address(site.line, site.city, site.state, site.zip),
                "managingOrganization": reference("Organization", &organization, NAME),
            }));
            practice.sites.push(Named { id, name: site.name.into() });
        }
        for staff in &TABLES.practitioners {
            let id = random.uuid();
            let name = match staff.prefix {
                "" => format!("{} {}, {}", staff.given, staff.family, staff.suffix),
                prefix => format!("{prefix} {} {}", staff.given, staff.family),
            };
            let mail = format!("{}.{}@harrowvalley.example", staff.given, staff.family).to_lowercase();
            practice.resources.push(json!({
                "resourceType": "Practitioner", "id": id, "meta": meta,
                // A number that begins with 9 is never issued as a National Provider Identifier.
                "identifier": [{
                    "system": "http://hl7.org/fhir/sid/us-npi", "value": format!("9{:09}", random.between(0, 999_999_999)),
                }],
                "active": true,
                "name": [{
                    "use": "official", "text": name, "family": staff.family, "given": [staff.given],
                    "prefix": [staff.prefix], "suffix": [staff.suffix],
                }],
                "telecom": [{ "system": "email", "value": mail, "use": "work" }],
                "gender": staff.gender,
                "qualification": [{
                    "code": { "coding": [coding(SNOMED, staff.specialty, staff.specialty_display)],
                        "text": staff.specialty_display },
                }],
            }));
            practice.doctors.push(Named { id, name });
        }
        practice.resources = practice.resources.into_iter().map(tidy).collect();
        practice
    }

    /// The shared resources.
    pub(super) fn resources(&self) -> &[Value] {
        &self.resources
    }

    /// The doctor for somebody of this age with these conditions: by the order of the staff table.
    pub(super) fn doctor_for(&self, age: i64, conditions: &[&str]) -> Option<&Named> {
        let has = |keys: &[&str]| conditions.iter().any(|condition| keys.contains(condition));
        let seat = match age {
            0..18 => 2,
            _ if has(&["pregnancy"]) => 4,
            _ if has(&["heart-failure", "coronary-disease", "atrial-fibrillation"]) => 5,
            _ if has(&["major-depression", "alcohol-dependence", "opioid-dependence"]) => 3,
            18..50 => 0,
            _ => 1,
        };
        self.doctors.get(seat)
    }
}

pub(super) fn address(line: &str, city: &str, state: &str, zip: &str) -> Value {
    tidy(json!({ "line": [line], "city": city, "state": state, "postalCode": zip, "country": "US" }))
}
