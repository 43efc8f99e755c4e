//! What the trail knows of one patient: who asked, when, why, by which way, and what they saw.
//!
//! It reads the begin and the end of each request as one event, in bounded memory. It must never leave an event out because
//! its end is missing or its list of patients was cut: it says so instead.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::entry::{Answered, Asked, Body};
use super::trail::{Reader, TrailError};
use super::verify::{Checker, Report};

/// One request that showed, or was to show, something of the patient.
#[derive(Serialize)]
pub struct Event {
    /// The sequence number of the request's first record.
    sequence: u64,
    refused: bool,
    asked: Asked<'static>,
    /// `None` for a refusal, and where the request has no end record.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<Answered<'static>>,
}

/// What goes with the events: whether they are all, and whether the trail is whole.
#[derive(Debug, Serialize)]
pub struct PatientReport {
    /// How many events were found.
    pub events: u64,
    /// Requests without an end that do not name the patient: what they showed is not known.
    pub unknown: u64,
    /// Answers that concern more patients than their record keeps, this one perhaps among them.
    pub cut: u64,
    /// What a check of the chain found on the way.
    pub chain: Report,
}

/// Finds the events of a patient, `123` or `Patient/123`, and hands each on, in the order that they ended.
///
/// `progress` is told the bytes read and the bytes there are.
///
/// # Errors
/// The trail cannot be read, or `event` fails.
pub fn patient(
    directory: &Path,
    id: &str,
    event: &mut dyn FnMut(&Event) -> std::io::Result<()>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PatientReport, TrailError> {
    let patient = bare(id);
    let mut reader = Reader::open(directory, progress)?;
    let mut checker = Checker::new(None);
    let mut under_way = BTreeMap::new();
    let (mut events, mut cut) = (0, 0);
    let mut hand_on = |found: &Event| event(found).map_err(|source| TrailError::Write { source });
    while let Some(read) = reader.next()? {
        if checker.is_whole() {
            checker.check(&read, &mut reader)?;
        }
        let Ok(Numbered { seq: sequence }) = serde_json::from_slice(&read.line.bytes) else { continue };
        match serde_json::from_slice(&read.line.bytes) {
            Ok(Body::Begin(asked)) => drop(under_way.insert(sequence, asked)),
            Ok(Body::End(answered)) => {
                let Some(asked) = under_way.remove(&answered.begin) else { continue };
                let of_patient = names(&asked, patient) || shows(&answered, patient);
                cut += u64::from(!of_patient && answered.patients.beyond() > 0);
                if of_patient {
                    events += 1;
                    let sequence = answered.begin;
                    hand_on(&Event { sequence, refused: false, asked, answered: Some(answered) })?;
                }
            }
            Ok(Body::Refusal(asked)) if names(&asked, patient) => {
                events += 1;
                hand_on(&Event { sequence, refused: true, asked, answered: None })?;
            }
            Ok(Body::Refusal(_) | Body::Recovered(_)) | Err(_) => {}
        }
    }
    let mut unknown = 0;
    for (sequence, asked) in under_way {
        if names(&asked, patient) {
            events += 1;
            hand_on(&Event { sequence, refused: false, asked, answered: None })?;
        } else {
            unknown += 1;
        }
    }
    Ok(PatientReport { events, unknown, cut, chain: checker.finish(reader.files()) })
}

#[derive(serde::Deserialize)]
struct Numbered {
    seq: u64,
}

/// The id of `Patient/123`, of `https://…/Patient/123`, or of `123`.
fn bare(id: &str) -> &str {
    id.rsplit_once("Patient/").map_or(id, |(_, id)| id)
}

fn names(asked: &Asked<'_>, patient: &str) -> bool {
    asked.resource_type.as_deref() == Some("Patient") && asked.resource_id.as_deref() == Some(patient)
}

fn shows(answered: &Answered<'_>, patient: &str) -> bool {
    answered.patients.iter().any(|id| bare(id) == patient)
        || answered.resources.get("Patient").is_some_and(|ids| ids.contains(patient))
}

impl Event {
    /// The heading of the table that events are rows of.
    pub const HEADING: &str = "WHEN                  WHO                       AS                WHY       \
                               BY WHICH WAY                              ANSWER           SAW";
}

/// A row of the table, its texts made fit for a terminal.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, answered, .. } = self;
        let or_dash = |text: &Option<std::borrow::Cow<'_, str>>| printable(text.as_deref().unwrap_or("-"));
        let who = match &asked.proof {
            Some(proof) => format!("{} ({})", or_dash(&asked.caller), printable(proof)),
            None => or_dash(&asked.caller),
        };
        let what = match (&asked.interaction, &asked.resource_type) {
            (Some(interaction), Some(of)) => format!("{} {}", printable(interaction), printable(of)),
            (Some(interaction), None) => printable(interaction),
            (None, _) => printable(&asked.method),
        };
        let way = format!("{}: {what} from {}", or_dash(&asked.endpoint), asked.source);
        let answer = match answered {
            _ if self.refused => format!("{} refused", asked.status.unwrap_or_default()),
            Some(answered) => match answered.status {
                Some(status) => format!("{status} {}", printable(&answered.outcome)),
                None => printable(&answered.outcome),
            },
            None => "no end".to_owned(),
        };
        write!(
            f,
            "{:<20}  {who:<24}  {:<16}  {:<8}  {way:<40}  {answer:<15}  ",
            format!("{:.0}", asked.time),
            or_dash(&asked.role),
            or_dash(&asked.purpose),
        )?;
        match answered {
            Some(answered) => {
                let mut separator = "";
                for (label, elements) in [
                    ("", &answered.released),
                    ("in another form: ", &answered.transformed),
                    ("not: ", &answered.withheld),
                ] {
                    for (of, elements) in elements.iter() {
                        write!(f, "{separator}{label}{}", printable(of))?;
                        write!(f, " ({})", list(elements))?;
                        separator = "; ";
                    }
                }
                if separator.is_empty() {
                    write!(f, "{}", if answered.status.is_some() { "nothing" } else { "not known" })?;
                }
            }
            None if self.refused => write!(f, "nothing: {}", or_dash(&asked.why))?,
            None => write!(f, "not known: the request has no end record")?,
        }
        if let Some(reason) = &asked.reason {
            write!(f, "; reason given: {}", printable(reason))?;
        }
        if let Some(grant) = &asked.grant {
            write!(f, "; grant {}", printable(grant))?;
        }
        Ok(())
    }
}

fn list(elements: &BTreeMap<String, u64>) -> String {
    elements.keys().map(|element| printable(element)).collect::<Vec<_>>().join(", ")
}

/// A text without characters that would steer a terminal or turn its direction around.
fn printable(text: &str) -> String {
    let steers = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if steers(character) { '\u{fffd}' } else { character }).collect()
}
