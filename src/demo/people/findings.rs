//! What was measured at a visit: vital signs, laboratory panels, and the answers that are not numbers.
//!
//! Values are plausible for age and condition and drift toward the usual as treatment goes on.

use serde_json::{Value, json};

use super::chart::{Course, Visit};
use super::elements::{LOINC, SNOMED, coding, concept, meta, narrative, number, quantity, reference, term};
use super::person::Person;
use crate::demo::random::Random;
use crate::demo::tables::{Illness, LabPanel, LabTest, TABLES};

/// Adds the Observations and DiagnosticReports of one visit.
pub(super) fn write(person: &Person, visit: &Visit<'_>, courses: &[Course], out: &mut Vec<Value>, random: &mut Random) {
    vital_signs(person, visit, courses, out, random);
    for panel in &TABLES.lab_panels {
        let order = TABLES.lab_orders.iter().find(|order| {
            let ordered = order.condition == "*" || has(courses, visit, order.condition);
            order.panel == panel.key && ordered && person.age(visit.start.date) >= order.youngest
        });
        if let Some(order) = order.filter(|order| visit.number.is_multiple_of(2) || order.condition != "*") {
            let illness = courses.iter().map(|course| course.illness).find(|illness| illness.key == order.condition);
            laboratory(person, visit, courses, (panel, illness), out, random);
        }
    }
    answers(person, visit, courses, out, random);
}

/// Whether the condition had begun at the visit.
fn has(courses: &[Course], visit: &Visit<'_>, key: &str) -> bool {
    courses.iter().any(|course| course.illness.key == key && course.onset <= visit.start.date)
}

/// An Observation without a value.
fn observation(
    person: &Person,
    visit: &Visit<'_>,
    (category, display): (&str, &str),
    code: Value,
    sensitivity: &[&str],
    random: &mut Random,
) -> Value {
    json!({
        "resourceType": "Observation",
        "id": random.uuid(),
        "meta": meta(visit.recorded(), sensitivity),
        "status": "final",
        "category": [term("observation-category", category, display)],
        "code": code,
        "subject": person.reference(),
        "encounter": visit.reference(),
        "effectiveDateTime": visit.start.later(6).local(),
        "issued": visit.recorded().instant(),
        "performer": [person.doctor()],
    })
}

fn with(mut resource: Value, members: &[(&str, Value)]) -> Value {
    if let Some(object) = resource.as_object_mut() {
        object.extend(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    resource
}

const VITAL_SIGNS: (&str, &str) = ("vital-signs", "Vital Signs");

fn vital_signs(person: &Person, visit: &Visit<'_>, courses: &[Course], out: &mut Vec<Value>, random: &mut Random) {
    let years = person.age(visit.start.date);
    let mut vital = |code: &str, display: &str, members: &[(&str, Value)], random: &mut Random| {
        let blank = observation(person, visit, VITAL_SIGNS, concept(LOINC, code, display), &[], random);
        out.push(with(blank, members));
    };
    let mut build = Build::new(person);
    let height = build.height(years);
    let weight = build.weight(years, height, has(courses, visit, "obesity")) + random.wobble() * 0.9;
    vital("29463-7", "Body weight", &[("valueQuantity", quantity(weight, 1, "kg", "kg"))], random);
    if years < 18 || visit.number == 0 {
        vital("8302-2", "Body height", &[("valueQuantity", quantity(height, 0, "cm", "cm"))], random);
    }
    if years >= 18 && visit.last {
        let index = weight / (height / 100.0).powi(2);
        vital(
            "39156-5",
            "Body mass index (BMI) [Ratio]",
            &[("valueQuantity", quantity(index, 1, "kg/m2", "kg/m2"))],
            random,
        );
    }
    if years >= 3 {
        let start = if has(courses, visit, "hypertension") { 152.0 } else { usual_pressure(years) };
        let systolic = settling(start, usual_pressure(years) + 6.0, visit.number) + random.wobble() * 8.0;
        let diastolic = systolic * 0.45 + 22.0 + random.wobble() * 5.0;
        let part = |code: &str, display: &str, value: f64| json!({ "code": concept(LOINC, code, display), "valueQuantity": quantity(value, 0, "mmHg", "mm[Hg]") });
        let components = json!([
            part("8480-6", "Systolic blood pressure", systolic),
            part("8462-4", "Diastolic blood pressure", diastolic),
        ]);
        let mut members = vec![("component", components)];
        if systolic > 138.0 {
            let text = format!("Repeated with {} seated for five minutes, right arm.", person.name());
            members.push(("note", json!([{ "authorReference": person.doctor(), "text": text }])));
        }
        vital("85354-9", "Blood pressure panel with all children optional", &members, random);
    }
    let resting = if years < 3 {
        120.0
    } else if years < 12 {
        92.0
    } else {
        72.0
    };
    let rate = resting + random.wobble() * 12.0;
    vital("8867-4", "Heart rate", &[("valueQuantity", quantity(rate, 0, "beats/min", "/min"))], random);
    if visit.about.is_some_and(|course| course.illness.course == "acute" && course.illness.key != "pregnancy") {
        let warm = 37.3 + random.wobble() * 1.1;
        vital("8310-5", "Body temperature", &[("valueQuantity", quantity(warm, 1, "degrees C", "Cel"))], random);
    }
}

/// A person's frame: the same at every visit.
struct Build {
    female: bool,
    random: Random,
}

impl Build {
    fn new(person: &Person) -> Self {
        let seed = person.id.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        Self { female: person.female, random: Random::new(seed, 1) }
    }

    /// In cm: about the 50th percentile of the CDC growth charts in childhood, give or take the frame.
    fn height(&mut self, years: i64) -> f64 {
        let grown = if self.female { 162.0 } else { 176.0 };
        let share = match years {
            ..1 => 0.38,
            1..3 => 0.50,
            3..6 => 0.62,
            6..9 => 0.73,
            9..12 => 0.83,
            12..15 => 0.92,
            15..18 => 0.98,
            18..70 => 1.0,
            _ => 0.98,
        };
        grown * share * (1.0 + self.random.wobble() * 0.06)
    }

    /// In kg, for that height.
    fn weight(&mut self, years: i64, height: f64, obese: bool) -> f64 {
        let index = match years {
            ..2 => 16.8,
            2..9 => 16.0,
            9..15 => 18.6,
            15..18 => 21.5,
            _ if obese => 35.0,
            18..80 => 26.5,
            _ => 24.0,
        };
        index * (height / 100.0).powi(2) * (1.0 + self.random.wobble() * 0.1)
    }
}

/// A usual systolic pressure in mmHg.
fn usual_pressure(years: i64) -> f64 {
    match years {
        ..6 => 94.0,
        6..13 => 102.0,
        13..40 => 116.0,
        40..65 => 122.0,
        _ => 128.0,
    }
}

/// The value at visit `number` of one that starts at `start` and goes to `goal`, three tenths of the way each time.
fn settling(start: f64, goal: f64, number: usize) -> f64 {
    goal + (start - goal) * 0.7_f64.powi(i32::try_from(number).unwrap_or(0))
}

fn laboratory(
    person: &Person,
    visit: &Visit<'_>,
    courses: &[Course],
    (panel, illness): (&LabPanel, Option<&'static Illness>),
    out: &mut Vec<Value>,
    random: &mut Random,
) {
    let sensitivity: &[&str] = illness.map_or(&[], |illness| &illness.sensitivity);
    let mut results = Vec::new();
    let mut lines = vec![format!("{} for {}, {}", panel.display, person.name(), visit.start.date)];
    for test in TABLES.lab_tests.iter().filter(|test| test.panel == panel.key) {
        let value = measured(test, visit, courses, random);
        let flag = if value > test.high {
            ("H", "High")
        } else if value < test.low {
            ("L", "Low")
        } else {
            ("N", "Normal")
        };
        let blank = observation(
            person,
            visit,
            ("laboratory", "Laboratory"),
            concept(LOINC, test.loinc, test.display),
            sensitivity,
            random,
        );
        let id = blank.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        lines.push(format!("{}: {} {} ({})", test.display, number(value, test.decimals), test.unit, flag.1));
        results.push(reference("Observation", &id, test.display));
        out.push(with(
            blank,
            &[
                ("valueQuantity", quantity(value, test.decimals, test.unit, test.ucum)),
                ("interpretation", json!([term("v3-ObservationInterpretation", flag.0, flag.1)])),
                (
                    "referenceRange",
                    json!([{
                        "low": quantity(test.low, test.decimals, test.unit, test.ucum),
                        "high": quantity(test.high, test.decimals, test.unit, test.ucum),
                    }]),
                ),
            ],
        ));
    }
    let text: Vec<&str> = lines.iter().map(String::as_str).collect();
    out.push(json!({
        "resourceType": "DiagnosticReport",
        "id": random.uuid(),
        "meta": meta(visit.recorded(), sensitivity),
        "text": narrative(&text),
        "contained": [{
            "resourceType": "Specimen", "id": "specimen",
            "type": concept(SNOMED, "119297000", "Blood specimen"),
            "subject": person.reference(),
            "collection": { "collectedDateTime": visit.start.later(6).local() },
        }],
        "status": "final",
        "category": [term("v2-0074", "LAB", "Laboratory")],
        "code": concept(LOINC, panel.loinc, panel.display),
        "subject": person.reference(),
        "encounter": visit.reference(),
        "effectiveDateTime": visit.start.later(6).local(),
        "issued": visit.recorded().instant(),
        "performer": [person.doctor()],
        "specimen": [{ "reference": "#specimen" }],
        "result": results,
        "conclusion": format!("Reviewed with {} by {}.", person.name(), person.doctor_name()),
    }));
}

fn measured(test: &LabTest, visit: &Visit<'_>, courses: &[Course], random: &mut Random) -> f64 {
    let shift =
        TABLES.lab_shifts.iter().find(|shift| shift.loinc == test.loinc && has(courses, visit, shift.condition));
    let start = shift.map_or(test.usual, |shift| shift.start);
    settling(start, test.usual, visit.number) + random.wobble() * test.spread
}

/// What is not a quantity: the forms of value[x] besides.
fn answers(person: &Person, visit: &Visit<'_>, courses: &[Course], out: &mut Vec<Value>, random: &mut Random) {
    let years = person.age(visit.start.date);
    let mut answer = |category, code, sensitivity: &[&str], value: (&str, Value), random: &mut Random| {
        let blank = observation(person, visit, category, code, sensitivity, random);
        out.push(with(blank, &[value]));
    };
    let survey = ("survey", "Survey");
    let social = ("social-history", "Social History");
    if visit.last && years >= 16 {
        let smoked = has(courses, visit, "copd") || random.chance(25);
        let (code, display) = if smoked { ("8517006", "Former smoker") } else { ("266919005", "Never smoked tobacco") };
        let value = ("valueCodeableConcept", concept(SNOMED, code, display));
        answer(social, concept(LOINC, "72166-2", "Tobacco smoking status"), &[], value, random);
    }
    if has(courses, visit, "major-depression") {
        let score = settling(17.0, 5.0, visit.number) + random.wobble() * 2.0;
        let code = concept(LOINC, "44261-6", "Patient Health Questionnaire 9 item (PHQ-9) total score [Reported]");
        answer(survey, code, &["PSY"], ("valueInteger", number(score.max(0.0), 0)), random);
    }
    if has(courses, visit, "opioid-dependence") {
        let code = concept(LOINC, "3879-4", "Opiates [Presence] in Urine");
        let value = ("valueCodeableConcept", concept(SNOMED, "260385009", "Negative"));
        answer(("laboratory", "Laboratory"), code, &["ETH", "SUD"], value, random);
    }
    if let Some(course) = courses.iter().find(|course| course.illness.key == "pregnancy" && visit.last) {
        let due = super::elements::days_after(course.onset, 280).to_string();
        let code = concept(LOINC, "11778-8", "Delivery date Estimated");
        answer(("exam", "Exam"), code, &[], ("valueDateTime", due.into()), random);
    }
    if let Some(course) = visit.about.filter(|_| visit.last) {
        let words = format!("{} here today. {}", person.given, person.fill(course.illness.note));
        let code = json!({ "coding": [coding(LOINC, "10164-2", "History of Present illness Narrative")] });
        answer(("exam", "Exam"), code, &course.illness.sensitivity, ("valueString", words.into()), random);
    }
}
