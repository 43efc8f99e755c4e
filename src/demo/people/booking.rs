//! Appointments: the one that is coming and the last one kept, with what the desk wrote beside them.

use jiff::civil::Date;
use serde_json::{Value, json};

use super::chart::{Course, Visit};
use super::elements::{Moment, SNOMED, coding, concept, days_after, labelled_meta, meta, narrative};
use super::person::Person;
use crate::demo::random::Random;
use crate::demo::tables::{Booking, TABLES};

/// Adds the Appointments of `person`.
pub(super) fn write(
    person: &Person,
    courses: &[Course],
    visits: &[Visit<'_>],
    today: Date,
    out: &mut Vec<Value>,
    random: &mut Random,
) {
    let years = person.age(today);
    let fits = |booking: &&Booking| {
        let reason = booking.condition == "*" || courses.iter().any(|course| course.illness.key == booking.condition);
        reason && (booking.youngest..=booking.oldest).contains(&years)
    };
    let fitting: Vec<&Booking> = TABLES.bookings.iter().filter(fits).collect();
    if let (Some(visit), Some(general)) = (visits.last(), fitting.first()) {
        let made = visit.start;
        out.push(appointment(person, courses, general, ("fulfilled", made, days_after(made.date, -21)), random));
    }
    if let Some(booking) = fitting.last().filter(|_| person.died.is_none()) {
        let mut day = days_after(today, random.between(4, 60));
        while day.weekday().to_monday_zero_offset() > 4 {
            day = days_after(day, 1);
        }
        let start = Moment::new(day, random.between(33, 64) * 15);
        out.push(appointment(person, courses, booking, ("booked", start, days_after(today, -3)), random));
    }
}

fn appointment(
    person: &Person,
    courses: &[Course],
    booking: &Booking,
    (status, start, created): (&str, Moment, Date),
    random: &mut Random,
) -> Value {
    let illness = courses.iter().map(|course| course.illness).find(|illness| illness.key == booking.condition);
    let created = Moment::new(created, 620);
    let sensitivity: &[&str] = illness.map_or(&[], |illness| &illness.sensitivity);
    let meta = if sensitivity.is_empty() { labelled_meta(created, "N", &[]) } else { meta(created, sensitivity) };
    let comment = person.fill(booking.comment);
    let heading = format!("{}, {}: {}", person.name(), start.local(), booking.description);
    json!({
        "resourceType": "Appointment",
        "id": random.uuid(),
        "meta": meta,
        "text": narrative(&[&heading, &comment]),
        "status": status,
        "serviceType": [{ "text": booking.description }],
        "appointmentType": { "coding": [coding(&super::elements::terminology("v2-0276"), "FOLLOWUP", "A follow up visit from a previous appointment")] },
        "reasonCode": illness.map(|illness| json!([concept(SNOMED, illness.snomed, illness.display)])),
        "description": booking.description,
        "start": start.instant(),
        "end": start.later(30).instant(),
        "minutesDuration": 30,
        "created": created.local(),
        "comment": comment,
        "patientInstruction": "Please bring your insurance card and all your medicines.",
        "participant": [
            { "actor": person.reference(), "required": "required", "status": "accepted" },
            { "actor": person.doctor(), "required": "required", "status": "accepted" },
        ],
    })
}
