//! The data types of FHIR R4 that the records are made of: codings, references, narratives, moments.

use jiff::Span;
use jiff::civil::{Date, Weekday};
use jiff::tz::Offset;
use serde_json::{Value, json};

pub(super) const SNOMED: &str = "http://snomed.info/sct";
pub(super) const LOINC: &str = "http://loinc.org";
pub(super) const UCUM: &str = "http://unitsofmeasure.org";
pub(super) const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
pub(super) const ICD10: &str = "http://hl7.org/fhir/sid/icd-10-cm";
pub(super) const CVX: &str = "http://hl7.org/fhir/sid/cvx";

/// A day and a minute of it, in the practice's zone (US Eastern).
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) date: Date,
    pub(super) minute: i64,
}

impl Moment {
    pub(super) fn new(date: Date, minute: i64) -> Self {
        Self { date, minute: minute.clamp(0, 1439) }
    }

    /// The moment `minutes` later, of the same day.
    pub(super) fn later(self, minutes: i64) -> Self {
        Self::new(self.date, self.minute + minutes)
    }

    /// As a FHIR dateTime with the zone's offset.
    pub(super) fn local(self) -> String {
        let offset = -eastern(self.date);
        format!("{}T{:02}:{:02}:00-{offset:02}:00", self.date, self.minute / 60, self.minute % 60)
    }

    /// As a FHIR instant in UTC.
    pub(super) fn instant(self) -> String {
        let offset = Offset::from_hours(eastern(self.date)).unwrap_or(Offset::UTC);
        let since_midnight = Span::new().minutes(self.minute);
        let local = self.date.at(0, 0, 0, 0).saturating_add(since_midnight);
        let utc = offset.to_timestamp(local).unwrap_or_default();
        format!("{utc:.3}")
    }
}

/// The hours from UTC in the US Eastern zone: daylight saving from March's second Sunday to November's first (15 U.S.C. 260a).
fn eastern(date: Date) -> i8 {
    let sunday = |month: i8, nth: i8| {
        Date::new(date.year(), month, 1).and_then(|first| first.nth_weekday_of_month(nth, Weekday::Sunday)).ok()
    };
    let saving = sunday(3, 2).is_some_and(|start| date >= start) && sunday(11, 1).is_some_and(|end| date < end);
    if saving { -4 } else { -5 }
}

/// The day `days` after `date`, before it where negative.
pub(super) fn days_after(date: Date, days: i64) -> Date {
    date.saturating_add(Span::new().days(days))
}

/// Full years from `birth` to `on`.
pub(super) fn age(birth: Date, on: Date) -> i64 {
    let years = i64::from(on.year()) - i64::from(birth.year());
    if (on.month(), on.day()) < (birth.month(), birth.day()) { years - 1 } else { years }
}

pub(super) fn coding(system: &str, code: &str, display: &str) -> Value {
    json!({ "system": system, "code": code, "display": display })
}

/// A CodeableConcept with one coding; with its text alone where no code is known.
pub(super) fn concept(system: &str, code: &str, display: &str) -> Value {
    if code.is_empty() {
        return json!({ "text": display });
    }
    json!({ "coding": [coding(system, code, display)], "text": display })
}

/// A CodeableConcept of a terminology.hl7.org code system, without text.
pub(super) fn term(system: &str, code: &str, display: &str) -> Value {
    json!({ "coding": [coding(&terminology(system), code, display)] })
}

/// The address of a code system of terminology.hl7.org.
pub(super) fn terminology(system: &str) -> String {
    format!("http://terminology.hl7.org/CodeSystem/{system}")
}

pub(super) fn reference(resource_type: &str, id: &str, display: &str) -> Value {
    json!({ "reference": format!("{resource_type}/{id}"), "display": display })
}

/// A quantity in UCUM units, rounded to `decimals`.
pub(super) fn quantity(value: f64, decimals: i64, unit: &str, ucum: &str) -> Value {
    json!({ "value": number(value, decimals), "unit": unit, "system": UCUM, "code": ucum })
}

/// A JSON number with at most `decimals` places, an integer where there are none.
pub(super) fn number(value: f64, decimals: i64) -> Value {
    let places = usize::try_from(decimals).unwrap_or(0);
    serde_json::from_str(&format!("{value:.places$}")).unwrap_or(Value::Null)
}

/// Dollars and cents.
pub(super) fn money(cents: i64) -> Value {
    json!({ "value": number(dollars(cents), 2), "currency": "USD" })
}

/// Cents as dollars; the amounts here are far below what f64 holds exactly.
pub(super) fn dollars(cents: i64) -> f64 {
    cents as f64 / 100.0
}

/// A generated narrative whose paragraphs are `lines`.
pub(super) fn narrative(lines: &[&str]) -> Value {
    let body: String = lines.iter().map(|line| format!("<p>{}</p>", escape(line))).collect();
    json!({ "status": "generated", "div": format!(r#"<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>"#) })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The meta of a resource last changed at `updated`; with sensitivity codes it is labelled restricted.
pub(super) fn meta(updated: Moment, sensitivity: &[&str]) -> Value {
    labelled_meta(updated, if sensitivity.is_empty() { "" } else { "R" }, sensitivity)
}

/// The meta with a label of v3-Confidentiality (none where empty) and sensitivity codes of v3-ActCode.
pub(super) fn labelled_meta(updated: Moment, confidentiality: &str, sensitivity: &[&str]) -> Value {
    let display = match confidentiality {
        "N" => "normal",
        "R" => "restricted",
        "V" => "very restricted",
        _ => "",
    };
    let label =
        (!confidentiality.is_empty()).then(|| coding(&terminology("v3-Confidentiality"), confidentiality, display));
    let codes = sensitivity.iter().map(|code| json!({ "system": terminology("v3-ActCode"), "code": code }));
    let security: Vec<Value> = label.into_iter().chain(codes).collect();
    json!({ "versionId": "1", "lastUpdated": updated.instant(), "security": security })
}

/// Takes away what is null, empty text, or an empty array or object: FHIR knows none of them.
///
/// Null stays as an item of an array, where it keeps `_given` aligned with `given`.
pub(super) fn tidy(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| (name, tidy(value)))
                .filter(|(_, value)| !is_empty(value))
                .collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(tidy).filter(|item| item.is_null() || !is_empty(item)).collect())
        }
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(Value::is_null),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn moments_follow_daylight_saving_time() {
        assert_eq!(Moment::new(date(2026, 7, 1), 600).local(), "2026-07-01T10:00:00-04:00");
        assert_eq!(Moment::new(date(2026, 1, 7), 600).instant(), "2026-01-07T15:00:00.000Z");
    }

    #[test]
    fn a_birthday_counts_from_the_day_itself() {
        assert_eq!(age(date(2000, 5, 5), date(2026, 5, 4)), 25);
        assert_eq!(age(date(2000, 5, 5), date(2026, 5, 5)), 26);
    }
}
