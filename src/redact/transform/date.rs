//! FHIR dates: generalised to a year or month, cut for the old, or moved (FHIR R4, date, dateTime and instant).
//!
//! A date is taken as it is written, in its own zone. What is not exactly of a FHIR form, or no day of the calendar, has
//! no result.

use jiff::ToSpan;
use jiff::civil::Date;

use super::pseudonym::bare_id;
use super::{DateForm, Secret};

/// The oldest age of which a year may be shown (45 CFR 164.514(b)(2)(i)(C)).
const MOST_AGE: i16 = 89;

/// The year. An instant is that of the year's start, in UTC.
pub(super) fn year(text: &str, form: DateForm) -> Option<String> {
    let Written { date, time, .. } = Written::parse(text)?;
    match form {
        DateForm::Partial => Some(format!("{:04}", date.year())),
        DateForm::Instant => (!time.is_empty()).then(|| format!("{:04}-01-01T00:00:00Z", date.year())),
    }
}

/// The year and month, or the year where that is all there is. An instant is that of the month's start, in UTC.
pub(super) fn month(text: &str, form: DateForm) -> Option<String> {
    let Written { date, precision, time } = Written::parse(text)?;
    match form {
        DateForm::Partial if precision == Precision::Year => Some(format!("{:04}", date.year())),
        DateForm::Partial => Some(format!("{:04}-{:02}", date.year(), date.month())),
        DateForm::Instant => (!time.is_empty()).then(|| format!("{:04}-{:02}-01T00:00:00Z", date.year(), date.month())),
    }
}

/// The year of a birth date, unless the age could be over 89 on `today`, or the date is still to come. Of a year or a
/// month alone the earliest day counts.
pub(super) fn birth_year(text: &str, today: Date) -> Option<String> {
    let born = Written::parse(text)?.date;
    // Born on 29 February one is a year older on 28 February at the earliest, so that the older reading is taken.
    let birthday = if (born.month(), born.day()) == (2, 29) { (2, 28) } else { (born.month(), born.day()) };
    let reached = (today.month(), today.day()) >= birthday;
    let age = today.year() - born.year() - i16::from(!reached);
    (born <= today && age <= MOST_AGE).then(|| format!("{:04}", born.year()))
}

/// The date moved by the days of this patient, with its time and zone as they are written. A date without a day cannot
/// be moved, nor can one be moved out of the years 0001 to 9999.
pub(super) fn shift(text: &str, most: u16, secret: &Secret, subject: &str) -> Option<String> {
    let Written { date, precision, time } = Written::parse(text)?;
    if precision != Precision::Day {
        return None;
    }
    let moved = date.checked_add(days(most, secret, subject)?.days()).ok()?;
    let in_range = (1..=9999).contains(&moved.year());
    in_range.then(|| format!("{:04}-{:02}-{:02}{time}", moved.year(), moved.month(), moved.day()))
}

/// The days by which the dates of this patient move: one of −most to −1 and 1 to most. 0 is left out, so that no date of
/// anybody stays exact. The id counts and not how it is written, so that `1` and `Patient/1` move together.
fn days(most: u16, secret: &Secret, subject: &str) -> Option<i64> {
    let digest = secret.digest("shift", "", bare_id(subject)?)?;
    let number = u64::from_be_bytes(*digest.first_chunk()?);
    let most = i64::from(most);
    // The remainder of 64 bits by at most 2^17 favours no number by more than one part in 2^47.
    let place = number.checked_rem(2 * most.unsigned_abs())?;
    let from_least = i64::try_from(place).ok()? - most;
    Some(if from_least < 0 { from_least } else { from_least + 1 })
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Precision {
    Year,
    Month,
    Day,
}

/// A date as FHIR writes it.
struct Written<'a> {
    /// The day, or the first one that it can be.
    date: Date,
    precision: Precision,
    /// The time and zone, `T` included; empty for a date alone.
    time: &'a str,
}

impl<'a> Written<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (year, rest) = digits(text, 4)?;
        let (month, rest) = part(rest, "-")?;
        let (day, time) = if month.is_some() { part(rest, "-")? } else { (None, rest) };
        let precision = match (month, day) {
            (None, _) => Precision::Year,
            (Some(_), None) => Precision::Month,
            (Some(_), Some(_)) => Precision::Day,
        };
        if year == 0 || !(time.is_empty() || precision == Precision::Day && is_time(time)) {
            return None;
        }
        let date =
            Date::new(year, i8::try_from(month.unwrap_or(1)).ok()?, i8::try_from(day.unwrap_or(1)).ok()?).ok()?;
        Some(Self { date, precision, time })
    }
}

/// A number of so many digits, and what follows it.
fn digits(text: &str, count: usize) -> Option<(i16, &str)> {
    let (number, rest) = text.split_at_checked(count)?;
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
    Some((number, rest))
}

/// Two digits after a mark, where the mark is there.
fn part<'a>(text: &'a str, mark: &str) -> Option<(Option<i16>, &'a str)> {
    match text.strip_prefix(mark) {
        Some(rest) => digits(rest, 2).map(|(number, rest)| (Some(number), rest)),
        None => Some((None, text)),
    }
}

/// `Thh:mm:ss`, a fraction of any length, and a zone. 60 seconds are a leap second.
fn is_time(text: &str) -> bool {
    let time = || {
        let (hour, rest) = digits(text.strip_prefix('T')?, 2)?;
        let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
        let (second, rest) = digits(rest.strip_prefix(':')?, 2)?;
        let zone = match rest.strip_prefix('.') {
            Some(fraction) => {
                let zone = fraction.trim_start_matches(|char: char| char.is_ascii_digit());
                (zone.len() < fraction.len()).then_some(zone)?
            }
            None => rest,
        };
        Some(hour <= 23 && minute <= 59 && second <= 60 && is_zone(zone))
    };
    time().unwrap_or(false)
}

/// `Z`, or an offset up to 14:00.
fn is_zone(text: &str) -> bool {
    let offset = || {
        let (hour, rest) = digits(text.strip_prefix(['+', '-'])?, 2)?;
        let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
        Some(rest.is_empty() && (hour <= 13 && minute <= 59 || hour == 14 && minute == 0))
    };
    text == "Z" || offset().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::new([byte; 32]).unwrap()
    }

    #[test]
    fn a_date_is_generalised() {
        for text in ["2015-02-07", "2015-02-07T13:28:17-05:00", "2015-02-07T13:28:17.239Z", "2016-02-29T23:59:60+14:00"]
        {
            let wanted = text.get(..4).unwrap();
            assert_eq!(year(text, DateForm::Partial).unwrap(), wanted);
            assert_eq!(month(text, DateForm::Partial).unwrap(), format!("{wanted}-02"));
        }
        assert_eq!(year("2015", DateForm::Partial).unwrap(), "2015");
        assert_eq!(month("2015", DateForm::Partial).unwrap(), "2015");
        assert_eq!(month("2015-11", DateForm::Partial).unwrap(), "2015-11");
    }

    #[test]
    fn an_instant_stays_one() {
        let text = "2015-02-07T13:28:17.239+02:00";
        assert_eq!(year(text, DateForm::Instant).unwrap(), "2015-01-01T00:00:00Z");
        assert_eq!(month(text, DateForm::Instant).unwrap(), "2015-02-01T00:00:00Z");
        assert_eq!(year("2015-02-07", DateForm::Instant), None);
        assert_eq!(month("2015", DateForm::Instant), None);
    }

    #[test]
    fn what_is_no_fhir_date_is_withheld() {
        for text in [
            "",
            "15",
            "0000",
            "0000-01-01",
            "02015",
            "2015-",
            "2015-1",
            "2015-13",
            "2015-00",
            "2015-02-30",
            "2015-02-29",
            "2015-02-00",
            "2015-2-7",
            "20150207",
            "2015/02/07",
            "2015-02-07 ",
            " 2015",
            "-2015",
            "+2015",
            "2015-02T10:00:00Z",
            "2015-02-07T",
            "2015-02-07T10",
            "2015-02-07T10:00",
            "2015-02-07T10:00Z",
            "2015-02-07T10:00:00",
            "2015-02-07t10:00:00z",
            "2015-02-07T24:00:00Z",
            "2015-02-07T10:60:00Z",
            "2015-02-07T10:00:61Z",
            "2015-02-07T10:00:00.Z",
            "2015-02-07T10:00:00+1:00",
            "2015-02-07T10:00:00+14:01",
            "2015-02-07T10:00:00+15:00",
            "2015-02-07T10:00:00+01:60",
            "2015-02-07T10:00:00+0100",
            "2015-02-07T10:00:00ZZ",
            "2015-02-07 10:00:00Z",
            "２０１５",
            "201é",
            "2015-é1",
            "+015",
            "2015-+1",
        ] {
            assert_eq!(year(text, DateForm::Partial), None, "{text}");
            assert_eq!(month(text, DateForm::Partial), None, "{text}");
            assert_eq!(birth_year(text, date(2026, 11, 22)), None, "{text}");
            assert_eq!(shift(text, 30, &secret(1), "1"), None, "{text}");
        }
    }

    #[test]
    fn a_birth_year_is_shown_up_to_an_age_of_89() {
        let today = date(2026, 11, 22);
        assert_eq!(birth_year("1936-11-23", today).unwrap(), "1936", "89, and 90 tomorrow");
        assert_eq!(birth_year("1936-11-22", today), None, "90 today");
        assert_eq!(birth_year("1936-12", today).unwrap(), "1936");
        assert_eq!(birth_year("1936-11", today), None, "could be 90 since the first of the month");
        assert_eq!(birth_year("1936", today), None, "could be 90 since the first of January");
        assert_eq!(birth_year("1937", today).unwrap(), "1937");
        assert_eq!(birth_year("0001-01-01", today), None);
        assert_eq!(birth_year("1936-02-29", date(2026, 2, 28)), None);
        assert_eq!(birth_year("1936-02-29", date(2026, 2, 27)).unwrap(), "1936");
    }

    #[test]
    fn a_birth_date_still_to_come_is_withheld() {
        let today = date(2026, 11, 22);
        assert_eq!(birth_year("2026-11-22", today).unwrap(), "2026");
        assert_eq!(birth_year("2026", today).unwrap(), "2026");
        for text in ["2026-11-23", "2026-12", "2027", "9999"] {
            assert_eq!(birth_year(text, today), None, "{text}");
        }
    }

    #[test]
    fn a_moved_date_keeps_its_time_and_zone() {
        let secret = secret(1);
        let day = shift("2015-02-07", 30, &secret, "123").unwrap();
        let time = "T13:28:17.2390-05:00";
        assert_eq!(shift(&format!("2015-02-07{time}"), 30, &secret, "123").unwrap(), format!("{day}{time}"));
    }

    #[test]
    fn a_date_that_cannot_be_moved_is_withheld() {
        let secret = secret(1);
        assert_eq!(shift("2015", 30, &secret, "1"), None);
        assert_eq!(shift("2015-02", 30, &secret, "1"), None);
        assert_eq!(shift("2015-02-07", 0, &secret, "1"), None);
        for subject in ["", "#p1", "Patient?identifier=1", "Patient/"] {
            assert_eq!(shift("2015-02-07", 30, &secret, subject), None, "{subject}");
        }
        let edges = (0..64).filter(|subject| shift("9999-12-31", 30, &secret, &subject.to_string()).is_none()).count();
        assert!((10..54).contains(&edges), "about half move forward: {edges}");
        let edges = (0..64).filter(|subject| shift("0001-01-01", 30, &secret, &subject.to_string()).is_none()).count();
        assert!((10..54).contains(&edges), "about half move back: {edges}");
    }

    #[test]
    fn the_dates_of_one_patient_move_together_however_it_is_written() {
        let secret = secret(1);
        let wanted = days(365, &secret, "123").unwrap();
        for subject in ["Patient/123", "https://ehr.example/fhir/Patient/123", "Patient/123/_history/4", "urn:uuid:123"]
        {
            assert_eq!(days(365, &secret, subject), Some(wanted), "{subject}");
        }
        assert_ne!(days(30_000, &secret, "124"), days(30_000, &secret, "123"));
        assert_ne!(days(30_000, &self::secret(2), "123"), days(30_000, &secret, "123"));
    }

    #[test]
    fn each_number_of_days_but_none_is_drawn() {
        let secret = secret(3);
        let drawn: std::collections::BTreeSet<i64> =
            (0..400).map(|subject| days(3, &secret, &subject.to_string()).unwrap()).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [-3, -2, -1, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn the_days_between_two_dates_of_a_patient_stay(
            first in (1000_i16..3000, 1_i8..=12, 1_i8..=28),
            second in (1000_i16..3000, 1_i8..=12, 1_i8..=28),
            most in 1_u16..,
            subject in "[A-Za-z0-9.-]{1,20}",
        ) {
            let secret = secret(9);
            let first = date(first.0, first.1, first.2);
            let second = date(second.0, second.1, second.2);
            let move_one = |date: Date| shift(&date.to_string(), most, &secret, &subject).map(|text| text.parse::<Date>().unwrap());
            let (one, other) = (move_one(first).unwrap(), move_one(second).unwrap());
            prop_assert_eq!(one.until(other).unwrap().get_days(), first.until(second).unwrap().get_days());
            let moved = first.until(one).unwrap().get_days().unsigned_abs();
            prop_assert!(moved >= 1 && moved <= u32::from(most));
        }
    }
}
