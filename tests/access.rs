//! The standing of a caller at an endpoint, from the gateway file's words to the decision.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

use std::net::IpAddr;
use std::time::Duration;

use fieldgate::access::{Denied, Hours, Networks, Rate, Scope};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    until: Option<Date>,
    from: Option<Networks>,
    hours: Option<Hours>,
    rate: Option<Rate>,
}

const VENDOR: &str = r#"
until: 2027-06-30
from: ["203.0.113.0/24"]
hours: { days: Mon-Fri, between: "07:00-19:00", zone: America/New_York }
rate: { requests: 50, per: 1s, burst: 2 }
"#;

fn scope(text: &str) -> Scope {
    let Written { until, from, hours, rate } = serde_saphyr::from_str(text).unwrap();
    Scope::new(until, from, hours, rate).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_caller_within_every_limit_has_standing() {
    assert!(scope(VENDOR).standing(address("203.0.113.9"), "acme", at("2027-06-30T15:00:00Z")).is_ok());
}

#[test]
fn an_endpoint_without_limits_is_open() {
    assert!(scope("{}").standing(address("2001:db8::1"), "anyone", at("2027-06-30T15:00:00Z")).is_ok());
}

#[test]
fn the_last_day_lasts_to_its_last_second_in_the_zone_of_the_hours() {
    let until = "2027-06-30".parse().unwrap();
    let whole_days = "until: 2027-06-30\nhours: { days: Mon-Sun, zone: America/New_York }";
    for (text, last) in
        [(whole_days, "2027-07-01T03:59:59.999999999Z"), ("until: 2027-06-30", "2027-06-30T23:59:59.999999999Z")]
    {
        let scope = scope(text);
        assert!(scope.standing(address("203.0.113.9"), "acme", at(last)).is_ok());
        let denied = scope.standing(address("203.0.113.9"), "acme", at(last) + Duration::from_nanos(1)).unwrap_err();
        assert_eq!(denied, Denied::Ended { until });
    }
}

#[test]
fn a_last_day_beyond_the_calendar_is_refused_at_load() {
    let Written { until, .. } = serde_saphyr::from_str("until: 9999-12-31").unwrap();
    assert!(Scope::new(until, None, None, None).unwrap_err().to_string().contains("out of range"));
}

#[test]
fn a_foreign_address_is_denied_and_a_mapped_one_is_not() {
    let now = at("2026-11-23T15:00:00Z");
    assert_eq!(scope(VENDOR).standing(address("203.0.114.9"), "acme", now).unwrap_err(), Denied::Address);
    assert_eq!(scope(VENDOR).standing(address("2001:db8::1"), "acme", now).unwrap_err(), Denied::Address);
    assert!(scope(VENDOR).standing(address("::ffff:203.0.113.9"), "acme", now).is_ok());
}

#[test]
fn a_closed_hour_tells_when_it_opens() {
    let denied = scope(VENDOR).standing(address("203.0.113.9"), "acme", at("2026-11-22T15:00:00Z")).unwrap_err();
    assert_eq!(denied, Denied::Hours { opens: Some(at("2026-11-23T12:00:00Z")) });
}

#[test]
fn what_is_refused_for_another_reason_uses_none_of_the_rate() {
    let scope = scope(VENDOR);
    let now = at("2026-11-23T15:00:00Z");
    for _ in 0..10 {
        scope.standing(address("198.51.100.1"), "acme", now).unwrap_err();
    }
    for _ in 0..2 {
        assert!(scope.standing(address("203.0.113.9"), "acme", now).is_ok());
    }
    let denied = scope.standing(address("203.0.113.9"), "acme", now).unwrap_err();
    assert_eq!(denied, Denied::Rate { retry_after: Duration::from_millis(20) });
    assert!(scope.standing(address("203.0.113.9"), "another", now).is_ok());
}

#[test]
fn a_denial_names_the_limit_and_neither_address_nor_caller() {
    let denied = scope(VENDOR).standing(address("198.51.100.1"), "acme", at("2026-11-23T15:00:00Z")).unwrap_err();
    let said = format!("{denied} {denied:?}");
    assert!(!said.contains("198.51") && !said.contains("acme"));
}
