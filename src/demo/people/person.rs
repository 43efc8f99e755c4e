//! Who a patient is: name, family, address, language, identifiers, and the Patient resource that says so.

use jiff::civil::Date;
use serde_json::{Value, json};

use super::elements::{
    Moment, age, coding, concept, days_after, labelled_meta, narrative, number, reference, term, terminology, tidy,
};
use super::practice::{NAME, Named, Practice, address};
use crate::demo::random::Random;
use crate::demo::tables::{Culture, Illness, Place, Seat, TABLES};

const US_CORE: &str = "http://hl7.org/fhir/us/core/StructureDefinition";
const EXTENSION: &str = "http://hl7.org/fhir/StructureDefinition";

/// Somebody with a history.
pub(super) struct Person {
    pub(super) id: String,
    pub(super) mrn: String,
    pub(super) ssn: String,
    pub(super) female: bool,
    pub(super) given: &'static str,
    pub(super) middle: &'static str,
    pub(super) family: String,
    pub(super) birth: Date,
    pub(super) died: Option<Date>,
    pub(super) phone: String,
    pub(super) line: String,
    pub(super) zip: &'static str,
    pub(super) place: &'static Place,
    pub(super) contact: Contact,
    pub(super) illnesses: Vec<&'static Illness>,
    pub(super) vip: bool,
    twin: bool,
    culture: &'static Culture,
    maiden: &'static str,
    email: String,
    speaks: bool,
    doctor: Option<(String, String)>,
    general: Option<(String, String)>,
    organization: String,
}

/// Whom to call.
pub(super) struct Contact {
    pub(super) given: &'static str,
    pub(super) family: String,
    pub(super) phone: String,
    female: bool,
    relation: (&'static str, &'static str),
}

static EMPTY_PLACE: Place = Place { city: "", state: "", zips: Vec::new(), area: "", latitude: 0.0, longitude: 0.0 };
static EMPTY_CULTURE: Culture = Culture {
    key: "",
    weight: 0,
    race: "",
    race_display: "",
    ethnicity: "",
    ethnicity_display: "",
    language: "en",
    language_display: "English",
    speakers: 100,
};

impl Person {
    /// The person on seat `number` of the practice's panel.
    pub(super) fn new(number: usize, practice: &Practice, today: Date, random: &mut Random) -> Self {
        let seat = TABLES.panel.iter().cycle().nth(number % TABLES.panel.len().max(1));
        let has = |mark: &str| seat.is_some_and(|seat| seat.marks.contains(&mark));
        let female = seat.is_some_and(|seat| seat.sex == "f" || seat.sex == "*" && random.chance(50));
        let (youngest, oldest) = seat.map_or((30, 60), |seat| (seat.youngest, seat.oldest));
        let years = random.between(youngest, oldest);
        let birth = days_after(today, -(years * 1461 / 4) - random.between(20, 340));
        let culture = pick_culture(random);
        let given = given_name(culture, female, random);
        let maiden = family_name(culture, random);
        let family = family_name(culture, random);
        let middle = if random.chance(55) { given_name(culture, female, random) } else { "" };
        // Towns in turn, from a place that depends on the seat: all of them are lived in, ZIP 036 too.
        let place = TABLES.places.get((number * 4) % TABLES.places.len().max(1)).unwrap_or(&EMPTY_PLACE);
        let street = random.pick(&TABLES.streets).map_or("", |street| street.name);
        let phone = telephone(place, random);
        let host = if random.chance(70) { "example.com" } else { "example.org" };
        let email = format!("{}.{}{}@{host}", ascii(given), ascii(family), birth.year() % 100);
        let illnesses = illnesses(seat, years, female, random);
        let keys: Vec<&str> = illnesses.iter().map(|illness| illness.key).collect();
        let pair = |Named { id, name }: &Named| (id.clone(), name.clone());
        let doctor = practice.doctor_for(years, &keys).map(pair);
        // The family doctor goes by age alone: a specialist there would tell the condition.
        let general = practice.doctor_for(years, &[]).map(pair);
        Self {
            id: random.uuid(),
            mrn: format!("{:08}", 400_000 + random.between(0, 599_999)),
            ssn: format!("9{:02}-{}-{:04}", random.between(0, 99), random.between(10, 49), random.between(1, 9999)),
            female,
            middle: if middle == given { "" } else { middle },
            birth,
            died: has("deceased").then(|| days_after(today, -random.between(40, 250))),
            line: format!("{} {street}", random.between(3, 480)),
            zip: random.pick_text(&place.zips),
            contact: contact(culture, years, female, (given, family), place, random),
            vip: has("vip"),
            twin: has("newborn-twin"),
            speaks: culture.speakers > 50 || random.chance(culture.speakers),
            given,
            family: family.into(),
            phone,
            place,
            illnesses,
            culture,
            maiden,
            email: if years < 14 { String::new() } else { email },
            doctor,
            general,
            organization: practice.organization.clone(),
        }
    }

    /// The name as a reference shows it.
    pub(super) fn name(&self) -> String {
        let initial = self.middle.chars().next().map(|letter| format!(" {letter}.")).unwrap_or_default();
        format!("{}{initial} {}", self.given, self.family)
    }

    /// A reference to the Patient, with the name as an EHR puts it there.
    pub(super) fn reference(&self) -> Value {
        reference("Patient", &self.id, &self.name())
    }

    /// The contact's name.
    pub(super) fn contact_name(&self) -> String {
        format!("{} {}", self.contact.given, self.contact.family)
    }

    /// A text of the tables with the person's own names and number filled in.
    pub(super) fn fill(&self, text: &str) -> String {
        text.replace("{given}", self.given)
            .replace("{name}", &self.name())
            .replace("{phone}", &self.phone)
            .replace("{contact}", &self.contact_name())
    }

    pub(super) fn address(&self) -> Value {
        address(&self.line, self.place.city, self.place.state, self.zip)
    }

    /// Years of age on `on`.
    pub(super) fn age(&self, on: Date) -> i64 {
        age(self.birth, on)
    }

    /// The Patient resource as last changed at `updated`.
    pub(super) fn resource(&self, updated: Moment, random: &mut Random) -> Value {
        let name = self.name();
        let gender = if self.female { "female" } else { "male" };
        let place = format!("{}, {}, {} {}", self.line, self.place.city, self.place.state, self.zip);
        let years = self.age(updated.date);
        let identified = format!("{name}, {gender}, born {}, MRN {}", self.birth, self.mrn);
        let reached = format!("{place}. Telephone {}", self.phone);
        let (marital, marital_display) = self.marital(years, random);
        let label = if self.vip { "V" } else { "N" };
        tidy(json!({
            "resourceType": "Patient",
            "id": self.id,
            "meta": labelled_meta(updated, label, &[]),
            "text": narrative(&[&identified, &reached]),
            "extension": self.extensions(),
            "identifier": [
                {
                    "use": "usual", "type": term("v2-0203", "MR", "Medical record number"),
                    "system": "https://harrowvalley.example/mrn", "value": self.mrn, "assigner": { "display": NAME },
                },
                {
                    "use": "secondary", "type": term("v2-0203", "SS", "Social Security number"),
                    "system": "http://hl7.org/fhir/sid/us-ssn", "value": self.ssn,
                },
            ],
            "active": self.died.is_none(),
            "name": self.names(years),
            "telecom": [
                { "system": "phone", "value": self.phone, "use": if years < 14 { "home" } else { "mobile" }, "rank": 1 },
                if self.email.is_empty() { json!({}) } else { json!({ "system": "email", "value": self.email }) },
            ],
            "gender": gender,
            "birthDate": self.birth.to_string(),
            "_birthDate": self.birth_time(years, random),
            "deceasedBoolean": (self.died.is_none() && years > 60).then_some(false),
            "deceasedDateTime": self.died.map(|died| Moment::new(died, 250).local()),
            "address": [self.full_address(random)],
            "maritalStatus": (years >= 18).then(|| concept(&terminology("v3-MaritalStatus"), marital, marital_display)),
            "multipleBirthInteger": self.twin.then_some(2),
            "contact": [{
                "relationship": [term("v2-0131", self.contact.relation.0, self.contact.relation.1)],
                "name": { "family": self.contact.family, "given": [self.contact.given] },
                "telecom": [{ "system": "phone", "value": self.contact.phone, "use": "mobile" }],
                "gender": if self.contact.female { "female" } else { "male" },
            }],
            "communication": [{
                "language": concept("urn:ietf:bcp:47", self.language().0, self.language().1), "preferred": true,
            }],
            "generalPractitioner": [named(self.general.as_ref())],
            "managingOrganization": reference("Organization", &self.organization, NAME),
        }))
    }

    /// Whoever sees the person at visits.
    pub(super) fn doctor(&self) -> Value {
        named(self.doctor.as_ref())
    }

    /// The doctor's name.
    pub(super) fn doctor_name(&self) -> &str {
        self.doctor.as_ref().map_or(NAME, |(_, name)| name)
    }

    fn language(&self) -> (&'static str, &'static str) {
        if self.speaks { (self.culture.language, self.culture.language_display) } else { ("en", "English") }
    }

    fn names(&self, years: i64) -> Value {
        // An initial is marked as one beside the name it stands with: null keeps the two arrays aligned.
        let initial: String = self.middle.chars().take(1).collect();
        let mark = json!({
            "extension": [{ "url": format!("{EXTENSION}/iso21090-EN-qualifier"), "valueCode": "IN" }],
        });
        let latino = self.culture.key == "latino";
        let both = if latino { format!("{} {}", self.family, self.maiden) } else { self.family.clone() };
        let parts = json!({ "extension": [
            { "url": format!("{EXTENSION}/humanname-fathers-family"), "valueString": self.family },
            { "url": format!("{EXTENSION}/humanname-mothers-family"), "valueString": self.maiden },
        ] });
        let official = json!({
            "use": "official", "text": self.name(), "family": both, "_family": if latino { parts } else { Value::Null },
            "given": [self.given, initial],
            "_given": if self.middle.is_empty() { Value::Null } else { json!([null, mark]) },
        });
        let maiden = json!({ "use": "maiden", "family": self.maiden, "given": [self.given] });
        if self.female && years > 40 && !latino { json!([official, maiden]) } else { json!([official]) }
    }

    fn extensions(&self) -> Value {
        let omb = |code: &str, display: &str| json!({ "url": "ombCategory", "valueCoding": coding("urn:oid:2.16.840.1.113883.6.238", code, display) });
        let text = |text: &str| json!({ "url": "text", "valueString": text });
        let culture = self.culture;
        json!([
            { "url": format!("{US_CORE}/us-core-race"),
              "extension": [omb(culture.race, culture.race_display), text(culture.race_display)] },
            { "url": format!("{US_CORE}/us-core-ethnicity"),
              "extension": [omb(culture.ethnicity, culture.ethnicity_display), text(culture.ethnicity_display)] },
            { "url": format!("{US_CORE}/us-core-birthsex"), "valueCode": if self.female { "F" } else { "M" } },
            { "url": format!("{EXTENSION}/patient-mothersMaidenName"), "valueString": self.maiden },
        ])
    }

    /// Young people's hour of birth is on record, on the sibling of the date.
    fn birth_time(&self, years: i64, random: &mut Random) -> Option<Value> {
        let time = Moment::new(self.birth, random.between(0, 1439)).local();
        (years < 20).then(
            || json!({ "extension": [{ "url": format!("{EXTENSION}/patient-birthTime"), "valueDateTime": time }] }),
        )
    }

    fn full_address(&self, random: &mut Random) -> Value {
        let near = |degrees: f64, random: &mut Random| number(degrees + random.wobble() / 40.0, 4);
        let mut address = self.address();
        if let Some(members) = address.as_object_mut() {
            members.insert("use".into(), "home".into());
            members.insert(
                "extension".into(),
                json!([{ "url": format!("{EXTENSION}/geolocation"), "extension": [
                    { "url": "latitude", "valueDecimal": near(self.place.latitude, random) },
                    { "url": "longitude", "valueDecimal": near(self.place.longitude, random) },
                ] }]),
            );
        }
        address
    }

    fn marital(&self, years: i64, random: &mut Random) -> (&'static str, &'static str) {
        match (self.contact.relation.0, years) {
            ("C", 80..) => ("W", "Widowed"),
            ("N", 23..) if self.contact.female != self.female => ("M", "Married"),
            _ if years > 35 && random.chance(50) => ("D", "Divorced"),
            _ => ("S", "Never Married"),
        }
    }
}

fn named(practitioner: Option<&(String, String)>) -> Value {
    practitioner.map_or(Value::Null, |(id, name)| reference("Practitioner", id, name))
}

fn pick_culture(random: &mut Random) -> &'static Culture {
    let mut left = random.between(1, TABLES.cultures.iter().map(|culture| culture.weight).sum());
    let found = TABLES.cultures.iter().find(|culture| {
        left -= culture.weight;
        left <= 0
    });
    found.unwrap_or(&EMPTY_CULTURE)
}

fn given_name(culture: &Culture, female: bool, random: &mut Random) -> &'static str {
    name_of(culture, if female { "f" } else { "m" }, random)
}

fn family_name(culture: &Culture, random: &mut Random) -> &'static str {
    name_of(culture, "family", random)
}

fn name_of(culture: &Culture, kind: &str, random: &mut Random) -> &'static str {
    let row = TABLES.names.iter().find(|row| row.culture == culture.key && row.kind == kind);
    row.map_or("", |row| random.pick_text(&row.names))
}

/// A number of the range 555-0102 to 555-0199, kept for fiction; the practice has the first two.
fn telephone(place: &Place, random: &mut Random) -> String {
    format!("{}-555-01{:02}", place.area, random.between(2, 99))
}

/// Letters for a mail address: a name without its accents, lower case.
fn ascii(name: &str) -> String {
    let plain = |letter: char| match letter {
        'á' | 'â' | 'à' | 'ã' | 'ả' | 'ă' => 'a',
        'é' | 'è' | 'ê' | 'ë' | 'ế' => 'e',
        'í' | 'ì' => 'i',
        'ó' | 'ô' | 'õ' | 'ơ' => 'o',
        'ú' | 'ù' | 'ü' | 'ũ' | 'ư' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        'ś' => 's',
        'đ' => 'd',
        other => other,
    };
    name.to_lowercase().chars().map(plain).filter(char::is_ascii_alphanumeric).collect()
}

/// A parent for a child, a child for the old, a spouse or a sibling else.
fn contact(
    culture: &Culture,
    years: i64,
    female: bool,
    (of, family): (&str, &str),
    place: &Place,
    random: &mut Random,
) -> Contact {
    let (relation, contact_female, family) = match years {
        0..23 => (("N", "Next-of-Kin"), random.chance(75), family),
        75.. => (("C", "Emergency Contact"), random.chance(70), family),
        _ if random.chance(60) => (("N", "Next-of-Kin"), !female, family),
        _ => (("C", "Emergency Contact"), random.chance(50), family_name(culture, random)),
    };
    let mut given = given_name(culture, contact_female, random);
    for _ in 0..8 {
        // Namesakes in one house confuse whoever reads the demo.
        if given == of {
            given = given_name(culture, contact_female, random);
        }
    }
    Contact { given, family: family.into(), phone: telephone(place, random), female: contact_female, relation }
}

/// What the seat says, and what else people of this age and sex have.
fn illnesses(seat: Option<&Seat>, years: i64, female: bool, random: &mut Random) -> Vec<&'static Illness> {
    let named = |key: &str| seat.is_some_and(|seat| seat.conditions.contains(&key));
    let fits = |illness: &Illness| {
        let sex = if female { "f" } else { "m" };
        (illness.sex == "*" || illness.sex == sex) && (illness.youngest..=illness.oldest).contains(&years)
    };
    let (mut has, others): (Vec<_>, Vec<_>) = TABLES.conditions.iter().partition(|illness| named(illness.key));
    has.retain(|illness| fits(illness));
    let also = others.into_iter().filter(|illness| fits(illness) && random.chance(illness.percent));
    // Labelled conditions come from the seat alone, so that every patient beside is free of them.
    has.extend(also.filter(|illness| illness.sensitivity.is_empty()).take(3));
    has
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_addresses_are_ascii_without_losing_vowels() {
        assert_eq!(ascii("Núñez"), "nunez");
        assert_eq!(ascii("O'Rourke"), "orourke");
    }
}
