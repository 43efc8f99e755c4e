//! What happened to a patient over the years: visits, conditions, medicines, and what follows from them.
//!
//! Conditions fit age and sex, medicines fit conditions, and whatever belongs to a sensitive condition carries its label.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::billing;
use super::booking;
use super::elements::{
    CVX, ICD10, LOINC, Moment, RXNORM, SNOMED, coding, concept, days_after, labelled_meta, meta, narrative, quantity,
    reference, term, terminology, tidy,
};
use super::findings;
use super::person::Person;
use super::practice::{NAME, Practice};
use crate::demo::random::Random;
use crate::demo::tables::{Illness, Medicine, TABLES};

/// One patient's resources, the Patient first, and the health plan's record of the same person.
pub(super) struct Chart {
    pub(super) resources: Vec<Value>,
    pub(super) member_id: String,
    pub(super) member: Value,
}

/// A condition in the life of this patient.
pub(super) struct Course {
    pub(super) illness: &'static Illness,
    pub(super) id: String,
    pub(super) onset: Date,
    pub(super) ended: Option<Date>,
}

/// A visit to the practice.
pub(super) struct Visit<'a> {
    pub(super) id: String,
    pub(super) start: Moment,
    pub(super) minutes: i64,
    /// What it was about; a check-up where nothing.
    pub(super) about: Option<&'a Course>,
    /// How many visits came before.
    pub(super) number: usize,
    pub(super) last: bool,
}

impl Visit<'_> {
    /// The moment at which its records were last changed.
    pub(super) fn recorded(&self) -> Moment {
        self.start.later(self.minutes + 7)
    }

    /// The sensitivity codes of what it was about.
    pub(super) fn sensitivity(&self) -> &'static [&'static str] {
        self.about.map_or(&[], |course| &course.illness.sensitivity)
    }

    pub(super) fn reference(&self) -> Value {
        json!({ "reference": format!("Encounter/{}", self.id) })
    }
}

impl Course {
    pub(super) fn reference(&self) -> Value {
        reference("Condition", &self.id, self.illness.display)
    }

    fn active(&self, on: Date) -> bool {
        self.onset <= on && self.ended.is_none_or(|ended| ended > on)
    }
}

impl Chart {
    /// The history of `person` as it stands on `today`.
    pub(super) fn write(person: &Person, practice: &Practice, today: Date, random: &mut Random) -> Self {
        let days = visit_days(person, today, random);
        let courses = courses(person, &days, random);
        let visits = visits(&days, &courses, random);
        let updated = visits.last().map_or(Moment::new(days_after(today, -30), 600), Visit::recorded);

        let mut out = vec![person.resource(updated, random)];
        out.extend(courses.iter().map(|course| condition(person, course, &visits, random)));
        for visit in &visits {
            out.push(encounter(person, visit, practice));
            findings::write(person, visit, &courses, &mut out, random);
            if visit.last {
                out.push(note(person, visit, &courses, random));
            }
        }
        for course in &courses {
            prescriptions(person, course, &visits, &mut out, random);
        }
        allergies(person, &visits, &mut out, random);
        immunizations(person, &visits, practice, &mut out, random);
        procedures(person, &courses, &visits, &mut out, random);
        booking::write(person, &courses, &visits, today, &mut out, random);
        let (member_id, member) = billing::write(person, &visits, practice, &mut out, random);
        Self { resources: out.into_iter().map(tidy).collect(), member_id, member }
    }
}

/// The days of the visits, oldest first: chronic conditions bring people in twice a year, others come yearly.
fn visit_days(person: &Person, today: Date, random: &mut Random) -> Vec<Date> {
    let chronic = person.illnesses.iter().any(|illness| illness.course == "chronic");
    let (count, apart) = if chronic { (random.between(4, 5), 170) } else { (random.between(2, 3), 330) };
    let mut day = days_after(person.died.unwrap_or(today), -random.between(6, 60));
    let mut days = Vec::new();
    for _ in 0..count {
        // Nobody is seen on a Saturday or a Sunday.
        while day.weekday().to_monday_zero_offset() > 4 {
            day = days_after(day, -1);
        }
        if day > days_after(person.birth, 3) {
            days.push(day);
        }
        day = days_after(day, -random.between(apart - 40, apart + 40));
    }
    days.reverse();
    days
}

/// When each condition began and ended: chronic ones before the first visit where age allows, acute ones days before a visit.
fn courses(person: &Person, days: &[Date], random: &mut Random) -> Vec<Course> {
    let last = days.last().copied().unwrap_or(person.birth);
    let first = days.first().copied().unwrap_or(last);
    let course = |illness: &&'static Illness| {
        let earliest = days_after(person.birth, illness.youngest * 1461 / 4).max(days_after(person.birth, 1));
        let (onset, ended) = match (illness.key, illness.course) {
            ("pregnancy", _) => (days_after(last, -random.between(70, 200)), None),
            (_, "acute") => {
                let visit = random.pick(days).copied().unwrap_or(last);
                let onset = days_after(visit, -random.between(2, 6)).max(days_after(person.birth, 1));
                (onset, Some(days_after(visit, random.between(8, 20))).filter(|ended| *ended < last))
            }
            _ => (days_after(first, -random.between(30, 2200)).max(earliest).min(last), None),
        };
        Course { illness, id: random.uuid(), onset, ended }
    };
    person.illnesses.iter().map(course).collect()
}

fn visits<'a>(days: &[Date], courses: &'a [Course], random: &mut Random) -> Vec<Visit<'a>> {
    let visit = |(number, day): (usize, &Date)| {
        let acute = courses.iter().find(|course| {
            course.illness.course == "acute" && (days_after(course.onset, 7) >= *day) && course.onset <= *day
        });
        let open: Vec<&Course> = courses.iter().filter(|course| course.active(*day)).collect();
        let about = acute.or_else(|| open.get(number % open.len().max(1)).copied());
        Visit {
            id: random.uuid(),
            start: Moment::new(*day, random.between(33, 64) * 15),
            minutes: random.between(2, 5) * 10,
            about,
            number,
            last: number + 1 == days.len(),
        }
    };
    days.iter().enumerate().map(visit).collect()
}

fn condition(person: &Person, course: &Course, visits: &[Visit<'_>], random: &mut Random) -> Value {
    let illness = course.illness;
    let seen = visits.iter().find(|visit| visit.start.date >= course.onset);
    let recorded = seen.map_or(Moment::new(course.onset, 660), Visit::recorded);
    let status = if course.ended.is_some() { ("resolved", "Resolved") } else { ("active", "Active") };
    let story =
        format!("{}: {}, since {}. {}", person.name(), illness.display, course.onset, person.fill(illness.note));
    let labelled = if illness.sensitivity.is_empty() && random.chance(40) {
        labelled_meta(recorded, "N", &[])
    } else {
        meta(recorded, &illness.sensitivity)
    };
    let age = person.age(course.onset);
    let mut resource = json!({
        "resourceType": "Condition",
        "id": course.id,
        "meta": labelled,
        "text": narrative(&[&story]),
        "clinicalStatus": term("condition-clinical", status.0, status.1),
        "verificationStatus": term("condition-ver-status", "confirmed", "Confirmed"),
        "category": [term("condition-category", "problem-list-item", "Problem List Item")],
        "code": {
            "coding": [
                coding(SNOMED, illness.snomed, illness.display), coding(ICD10, illness.icd, illness.icd_display),
            ],
            "text": illness.display,
        },
        "subject": person.reference(),
        "encounter": seen.map(Visit::reference),
        "abatementDateTime": course.ended.map(|day| day.to_string()),
        "recordedDate": recorded.local(),
        "recorder": person.doctor(),
        "note": [{ "authorReference": person.doctor(), "time": recorded.local(), "text": person.fill(illness.note) }],
    });
    let form = random.between(0, 9);
    let onset = match form {
        6 if age > 2 => ("onsetAge", quantity_of_age(age)),
        7 if age > 2 => ("onsetString", format!("around age {age}").into()),
        8 => ("onsetPeriod", json!({ "start": course.onset.to_string() })),
        _ => ("onsetDateTime", course.onset.to_string().into()),
    };
    if let Some(members) = resource.as_object_mut() {
        members.insert(onset.0.into(), onset.1);
    }
    resource
}

fn quantity_of_age(years: i64) -> Value {
    json!({ "value": years, "unit": "years", "system": super::elements::UCUM, "code": "a" })
}

fn encounter(person: &Person, visit: &Visit<'_>, practice: &Practice) -> Value {
    let site = practice.sites.get(visit.number % practice.sites.len().max(1));
    let (code, display) = match (visit.about, person.age(visit.start.date)) {
        (Some(course), _) if course.illness.course == "acute" => ("185345009", "Encounter for symptom"),
        (Some(_), _) => ("390906007", "Follow-up encounter"),
        (None, 0..18) => ("410620009", "Well child visit"),
        (None, _) => ("185349003", "Encounter for check up"),
    };
    let reason = visit.about.map(|course| {
        json!([{
            "coding": [coding(SNOMED, course.illness.snomed, course.illness.display)],
            "text": course.illness.display,
        }])
    });
    json!({
        "resourceType": "Encounter",
        "id": visit.id,
        "meta": meta(visit.recorded(), visit.sensitivity()),
        "status": "finished",
        "class": coding(&terminology("v3-ActCode"), "AMB", "ambulatory"),
        "type": [concept(SNOMED, code, display)],
        "subject": person.reference(),
        "participant": [{
            "type": [term("v3-ParticipationType", "PPRF", "primary performer")],
            "individual": person.doctor(),
        }],
        "period": { "start": visit.start.local(), "end": visit.start.later(visit.minutes).local() },
        "reasonCode": reason,
        "diagnosis": visit.about.map(|course| json!([{ "condition": course.reference() }])),
        "location": site.map(|site| json!([{ "location": reference("Location", &site.id, &site.name) }])),
        "serviceProvider": reference("Organization", &practice.organization, NAME),
    })
}

/// The note of a visit as a document: the attachment says again what the fields say, by name.
fn note(person: &Person, visit: &Visit<'_>, courses: &[Course], random: &mut Random) -> Value {
    let day = visit.start.date;
    let mut text = format!(
        "Progress note\nPatient: {}\nDate of birth: {}   MRN: {}\nDate of visit: {day}\nSeen by: {}\n\n",
        person.name(),
        person.birth,
        person.mrn,
        person.doctor_name()
    );
    let open: Vec<&Course> = courses.iter().filter(|course| course.active(day)).collect();
    if open.is_empty() {
        text.push_str("Well today, no complaints. Growth and development reviewed.\n");
    }
    for course in &open {
        text.push_str(&format!("{}: {}\n", course.illness.display, person.fill(course.illness.note)));
    }
    text.push_str(&format!("\nPlan: return in six months. {} to call {} with results.\n", NAME, person.phone));
    // The note tells of every open condition, so it carries all their labels.
    let mut sensitivity: Vec<&str> =
        open.iter().flat_map(|course| course.illness.sensitivity.iter().copied()).collect();
    sensitivity.dedup();
    let meta = if sensitivity.is_empty() {
        labelled_meta(visit.recorded(), "N", &[])
    } else {
        meta(visit.recorded(), &sensitivity)
    };
    let title = format!("Progress note, {}, {day}", person.name());
    json!({
        "resourceType": "DocumentReference",
        "id": random.uuid(),
        "meta": meta,
        "text": narrative(&[&title, &text]),
        "status": "current",
        "docStatus": "final",
        "type": concept(LOINC, "11506-3", "Progress note"),
        "category": [concept("http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note", "Clinical Note")],
        "subject": person.reference(),
        "date": visit.recorded().instant(),
        "author": [person.doctor()],
        "description": title,
        "content": [{ "attachment": {
            "contentType": "text/plain; charset=utf-8", "language": "en", "data": STANDARD.encode(&text), "size": text.len(),
            "title": title, "creation": visit.recorded().local(),
        } }],
        "context": { "encounter": [visit.reference()], "period": { "start": visit.start.local() } },
    })
}

fn prescriptions(person: &Person, course: &Course, visits: &[Visit<'_>], out: &mut Vec<Value>, random: &mut Random) {
    let Some(visit) = visits.iter().rfind(|visit| course.active(visit.start.date)) else { return };
    let years = person.age(visit.start.date);
    let fitting: Vec<&Medicine> = TABLES
        .medicines
        .iter()
        .filter(|medicine| {
            medicine.condition == course.illness.key && (medicine.youngest..=medicine.oldest).contains(&years)
        })
        .collect();
    let Some(medicine) = random.pick(&fitting) else { return };
    let chronic = course.illness.course == "chronic";
    let code = concept(RXNORM, medicine.rxnorm, medicine.display);
    let contained = random.chance(30);
    let dispensed = json!({ "value": medicine.dispensed, "unit": medicine.unit });
    let medication = json!([{ "resourceType": "Medication", "id": "medication", "code": code, "status": "active" }]);
    out.push(json!({
        "resourceType": "MedicationRequest",
        "id": random.uuid(),
        "meta": meta(visit.recorded(), &course.illness.sensitivity),
        "contained": contained.then_some(medication),
        "status": if chronic && person.died.is_none() { "active" } else { "completed" },
        "intent": "order",
        "category": [term("medicationrequest-category", "community", "Community")],
        "reportedBoolean": random.chance(20).then_some(false),
        "medicationCodeableConcept": (!contained).then_some(code),
        "medicationReference": contained.then(|| json!({ "reference": "#medication", "display": medicine.display })),
        "subject": person.reference(),
        "encounter": visit.reference(),
        "authoredOn": visit.recorded().local(),
        "requester": person.doctor(),
        "reasonReference": [course.reference()],
        "note": [{ "text": format!("{}: {}", person.name(), medicine.sig) }],
        "dosageInstruction": [{
            "sequence": 1, "text": medicine.sig,
            "timing": { "repeat": { "frequency": medicine.a_day, "period": 1, "periodUnit": "d" } },
            "asNeededBoolean": medicine.sig.contains("as needed"),
        }],
        "dispenseRequest": {
            "numberOfRepeatsAllowed": if chronic { 3 } else { 0 },
            "quantity": dispensed,
        },
    }));
}

fn allergies(person: &Person, visits: &[Visit<'_>], out: &mut Vec<Value>, random: &mut Random) {
    let Some(visit) = visits.first() else { return };
    let years = person.age(visit.start.date);
    let fitting: Vec<_> = TABLES.allergies.iter().filter(|allergy| allergy.youngest <= years).collect();
    let Some(allergy) = random.pick(&fitting).filter(|_| random.chance(45)) else { return };
    let system = if allergy.system == "rxnorm" { RXNORM } else { SNOMED };
    let story = format!("{} is allergic to {}: {}", person.name(), allergy.display, allergy.reaction_display);
    out.push(json!({
        "resourceType": "AllergyIntolerance",
        "id": random.uuid(),
        "meta": meta(visit.recorded(), &[]),
        "text": narrative(&[&story]),
        "clinicalStatus": term("allergyintolerance-clinical", "active", "Active"),
        "verificationStatus": term("allergyintolerance-verification", "confirmed", "Confirmed"),
        "type": "allergy",
        "category": [allergy.category],
        "criticality": allergy.criticality,
        "code": concept(system, allergy.code, allergy.display),
        "patient": person.reference(),
        "onsetAge": (years > 4).then(|| quantity_of_age(random.between(allergy.youngest, years))),
        "recordedDate": visit.recorded().local(),
        "recorder": person.doctor(),
        "reaction": [{
            "manifestation": [concept(SNOMED, allergy.reaction, allergy.reaction_display)],
            "severity": allergy.severity,
        }],
    }));
}

fn immunizations(
    person: &Person,
    visits: &[Visit<'_>],
    practice: &Practice,
    out: &mut Vec<Value>,
    random: &mut Random,
) {
    for vaccine in &TABLES.vaccines {
        let fits = |visit: &&Visit<'_>| (vaccine.youngest..=vaccine.oldest).contains(&person.age(visit.start.date));
        let Some(visit) = visits.iter().rfind(fits).filter(|_| random.chance(vaccine.percent)) else { continue };
        out.push(json!({
            "resourceType": "Immunization",
            "id": random.uuid(),
            "meta": meta(visit.recorded(), &[]),
            "status": "completed",
            "vaccineCode": concept(CVX, vaccine.cvx, vaccine.display),
            "patient": person.reference(),
            "encounter": visit.reference(),
            "occurrenceDateTime": visit.start.later(12).local(),
            "primarySource": true,
            "lotNumber": format!("HV{:05}", random.between(0, 99_999)),
            "site": concept(&terminology("v3-ActSite"), "LA", "left arm"),
            "doseQuantity": quantity(0.5, 1, "mL", "mL"),
            "performer": [{ "actor": reference("Organization", &practice.organization, NAME) }],
        }));
    }
}

fn procedures(person: &Person, courses: &[Course], visits: &[Visit<'_>], out: &mut Vec<Value>, random: &mut Random) {
    for procedure in &TABLES.procedures {
        let sex = if person.female { "f" } else { "m" };
        let reason = courses.iter().find(|course| course.illness.key == procedure.condition);
        let fits = |visit: &&Visit<'_>| {
            let years = person.age(visit.start.date);
            (procedure.youngest..=procedure.oldest).contains(&years)
                && (procedure.sex == "*" || procedure.sex == sex)
                && (procedure.condition == "*" || reason.is_some_and(|course| course.active(visit.start.date)))
        };
        let Some(visit) = visits.iter().find(fits).filter(|_| random.chance(procedure.percent)) else { continue };
        let (start, end) = (visit.start.later(60), visit.start.later(90));
        let period = random.chance(50);
        out.push(json!({
            "resourceType": "Procedure",
            "id": random.uuid(),
            "meta": meta(visit.recorded(), &[]),
            "status": "completed",
            "code": concept(SNOMED, procedure.snomed, procedure.display),
            "subject": person.reference(),
            "encounter": visit.reference(),
            "performedDateTime": (!period).then(|| start.local()),
            "performedPeriod": period.then(|| json!({ "start": start.local(), "end": end.local() })),
            "performer": [{ "actor": person.doctor() }],
            "reasonReference": reason.map(|course| json!([course.reference()])),
            "note": [{ "time": end.local(), "text": format!("{} ({}): {}", person.name(), person.mrn, procedure.note) }],
        }));
    }
}
