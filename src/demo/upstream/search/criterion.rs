//! One condition of a search: a parameter, its modifier, and the values of which one must match.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::Value;

use super::Refused;
use super::parameters::{Kind, Parameter, parameter};

/// A parameter with what it asks for.
pub(super) struct Criterion {
    parameter: &'static Parameter,
    test: Test,
}

enum Test {
    /// `:missing=true` or `false`.
    Missing(bool),
    /// One of these, in the manner of the parameter's kind.
    OneOf(Vec<Wanted>),
}

enum Wanted {
    Token { system: Option<String>, code: String },
    Text { text: String, how: How },
    Date { prefix: Prefix, range: Range },
    Reference { resource_type: Option<String>, id: String },
}

#[derive(Clone, Copy)]
enum How {
    Starts,
    Contains,
    Exact,
}

/// The comparison of a date (FHIR R4, 3.1.1.4.4); `ap` is not understood.
#[derive(Clone, Copy)]
enum Prefix {
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
    Sa,
    Eb,
}

/// The span that a date of some precision covers; its end is not in it.
#[derive(Clone, Copy)]
struct Range {
    start: Timestamp,
    end: Timestamp,
}

impl Criterion {
    /// Parses `name=value` for the type, modifiers and prefixes with it.
    pub(super) fn parse(of: &str, name: &str, value: &str) -> Result<Self, Refused> {
        let (base, modifier) = name.split_once(':').map_or((name, ""), |(base, modifier)| (base, modifier));
        let Some(parameter) = parameter(of, base) else {
            return Err(Refused(format!(
                "Unknown search parameter \"{name}\" for resource type \"{of}\", value \"{value}\""
            )));
        };
        let refused = |why: &str| Refused(format!("Invalid value for parameter \"{name}\": \"{value}\": {why}"));
        if modifier == "missing" {
            let missing = value.parse().map_err(|_| refused("say true or false"))?;
            return Ok(Self { parameter, test: Test::Missing(missing) });
        }
        let how = match (modifier, parameter.kind) {
            ("", _) => How::Starts,
            ("exact", Kind::Text) => How::Exact,
            ("contains", Kind::Text) => How::Contains,
            ("Patient", Kind::Reference) => How::Starts,
            _ => return Err(refused(&format!("the modifier \"{modifier}\" is not supported"))),
        };
        let one = |item: &str| match parameter.kind {
            Kind::Token | Kind::Telecom(_) => Some(match item.split_once('|') {
                Some((system, code)) => Wanted::Token { system: Some(system.into()), code: code.into() },
                None => Wanted::Token { system: None, code: item.into() },
            }),
            Kind::Text => Some(Wanted::Text { text: plain(item, how), how }),
            Kind::Date => {
                let (prefix, date) = Prefix::split(item);
                Some(Wanted::Date { prefix, range: Range::parse(date)? })
            }
            Kind::Reference => {
                let mut parts = item.rsplit('/');
                let id = parts.next()?.to_owned();
                Some(Wanted::Reference { resource_type: parts.next().map(str::to_owned), id })
            }
        };
        let wanted = value.split(',').map(one).collect::<Option<Vec<_>>>();
        let wanted = wanted.filter(|_| !value.is_empty()).ok_or_else(|| refused("it cannot be read"))?;
        Ok(Self { parameter, test: Test::OneOf(wanted) })
    }

    /// Whether the resource meets it.
    pub(super) fn matches(&self, resource: &Value) -> bool {
        let found = values(resource, self.parameter.paths);
        match &self.test {
            Test::Missing(missing) => found.is_empty() == *missing,
            Test::OneOf(wanted) => found.iter().any(|value| wanted.iter().any(|want| self.is(want, value))),
        }
    }

    fn is(&self, wanted: &Wanted, value: &Value) -> bool {
        match (wanted, self.parameter.kind) {
            (Wanted::Token { code, .. }, Kind::Telecom(system)) => {
                let of_system = system.is_empty() || text(value, "system") == Some(system);
                of_system && text(value, "value").is_some_and(|value| digits(value) == digits(code))
            }
            (Wanted::Token { system, code }, _) => tokens(value).iter().any(|(of, token)| {
                let same_system = system.as_deref().is_none_or(|system| system == *of);
                same_system && (token.eq_ignore_ascii_case(code) || code.is_empty() && system.is_some())
            }),
            (Wanted::Text { text, how }, _) => value.as_str().is_some_and(|value| {
                let value = plain(value, *how);
                match how {
                    How::Starts => value.starts_with(text),
                    How::Contains => value.contains(text),
                    How::Exact => value == *text,
                }
            }),
            (Wanted::Date { prefix, range }, _) => Range::of(value).is_some_and(|value| prefix.holds(value, *range)),
            (Wanted::Reference { resource_type, id }, _) => {
                let target = text(value, "reference").and_then(|reference| reference.split_once('/'));
                target.is_some_and(|(of, target)| {
                    target == id && resource_type.as_deref().is_none_or(|wanted| wanted == of) && self.targets(of)
                })
            }
        }
    }

    /// Whether a parameter named after a type refers to that type: Appointment's `patient` is one of its actors.
    fn targets(&self, of: &str) -> bool {
        match self.parameter.name {
            "patient" | "beneficiary" => of == "Patient",
            "practitioner" => of == "Practitioner",
            _ => true,
        }
    }
}

impl Prefix {
    fn split(item: &str) -> (Self, &str) {
        let known = [
            ("eq", Self::Eq),
            ("ne", Self::Ne),
            ("lt", Self::Lt),
            ("gt", Self::Gt),
            ("le", Self::Le),
            ("ge", Self::Ge),
            ("sa", Self::Sa),
            ("eb", Self::Eb),
        ];
        known.iter().find_map(|(text, prefix)| Some((*prefix, item.strip_prefix(text)?))).unwrap_or((Self::Eq, item))
    }

    fn holds(self, value: Range, asked: Range) -> bool {
        let inside = asked.start <= value.start && value.end <= asked.end;
        match self {
            Self::Eq => inside,
            Self::Ne => !inside,
            Self::Lt => value.start < asked.start,
            Self::Gt => value.end > asked.end,
            Self::Le => value.start < asked.end,
            Self::Ge => value.end > asked.start,
            Self::Sa => value.start >= asked.end,
            Self::Eb => value.end <= asked.start,
        }
    }
}

impl Range {
    /// A FHIR date, dateTime or instant; without a zone it is taken as UTC.
    fn parse(text: &str) -> Option<Self> {
        let day = |date: Date| date.at(0, 0, 0, 0);
        let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        let civil =
            |start: DateTime, span: Span| Some(Self { start: utc(start)?, end: utc(start.checked_add(span).ok()?)? });
        match (text.len(), text.contains('T')) {
            (4, _) => civil(day(Date::new(text.parse().ok()?, 1, 1).ok()?), Span::new().years(1)),
            (7, _) => civil(day(format!("{text}-01").parse().ok()?), Span::new().months(1)),
            (10, _) => civil(day(text.parse().ok()?), Span::new().days(1)),
            (_, true) => {
                // A plus that was not escaped in a query has become a space.
                let start = text.replace(' ', "+");
                let start = start.parse::<Timestamp>().ok().or_else(|| utc(start.parse().ok()?))?;
                let span = if text.contains('.') { Span::new().milliseconds(1) } else { Span::new().seconds(1) };
                Some(Self { start, end: start.checked_add(span).ok()? })
            }
            _ => None,
        }
    }

    /// What an element covers: a date or a Period, whose open end has no end.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Object(_) => {
                let start = text(value, "start").and_then(Self::parse).map_or(Timestamp::MIN, |range| range.start);
                let end = text(value, "end").and_then(Self::parse).map_or(Timestamp::MAX, |range| range.end);
                Some(Self { start, end })
            }
            _ => None,
        }
    }
}

/// The values at the paths, through arrays.
pub(super) fn values<'a>(resource: &'a Value, paths: &[&str]) -> Vec<&'a Value> {
    let spread = |value: &'a Value| match value {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    };
    paths
        .iter()
        .flat_map(|path| {
            path.split('.').fold(vec![resource], |values, name| {
                values.into_iter().filter_map(|value| value.get(name)).flat_map(spread).collect()
            })
        })
        .collect()
}

/// The system and code of what a token looks at: a code, Coding, CodeableConcept, Identifier, or boolean.
fn tokens(value: &Value) -> Vec<(&str, &str)> {
    let pair = |value| {
        Some((text(value, "system").unwrap_or_default(), text(value, "code").or_else(|| text(value, "value"))?))
    };
    match value {
        Value::String(code) => vec![("", code)],
        Value::Bool(yes) => vec![("", if *yes { "true" } else { "false" })],
        Value::Object(_) => match value.get("coding").and_then(Value::as_array) {
            Some(codings) => codings.iter().filter_map(pair).collect(),
            None => pair(value).into_iter().collect(),
        },
        _ => Vec::new(),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

/// Text for comparison: without regard to case unless exact.
fn plain(text: &str, how: How) -> String {
    if matches!(how, How::Exact) { text.to_owned() } else { text.to_lowercase() }
}

/// A telephone number without its punctuation; another ContactPoint as it is.
fn digits(text: &str) -> String {
    if text.contains('@') {
        return text.to_lowercase();
    }
    text.chars().filter(char::is_ascii_digit).collect()
}
