//! Against a server that leaks in one way at a time: that way is reported, and no other.

use std::path::Path;
use std::time::{Duration, Instant};

use fieldgate::conformance::{self, Report, Row, Settings, Spec, Verdict};
use fieldgate::fhir::Definitions;

use crate::server::{self, BORN, DIED, TOKEN};

pub fn settings(rows: &[&str]) -> Settings {
    Settings {
        rate: 1e6,
        timeout: Duration::from_millis(2000),
        rows: rows.iter().map(|row| row.parse().unwrap()).collect(),
        thorough: false,
    }
}

async fn hold(server: &server::Server, more: &str, settings: &Settings) -> Report {
    let text = server::spec(more);
    let spec = Spec::parse(Path::new("spec.yaml"), &text, &Definitions::r4()).unwrap();
    let credentials = spec.credentials(|name| (name == "TOKEN").then(|| TOKEN.to_owned())).unwrap();
    assert!(!format!("{credentials:?}").contains(TOKEN));
    let report = conformance::run(&server.url, &spec, credentials, settings, &mut |_, _| {}).await.unwrap();
    // Whatever is found, nothing that is withheld is said, nor who asked.
    let mut told = Vec::new();
    report.write(&mut told).unwrap();
    let told = String::from_utf8(told).unwrap() + &report.to_json().to_string() + &format!("{report:?} {spec:?}");
    for secret in [BORN, DIED, TOKEN, "p1", "c1", "January", "1970"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    report
}

fn leaking(report: &Report) -> Vec<String> {
    let leaks = report.rows().iter().filter(|row| row.verdict == Verdict::Leak);
    leaks.map(|row| row.row.to_string()).collect()
}

/// All rows but that of messages by hand, which waits.
fn quick() -> Vec<String> {
    (0..37).filter(|row| *row != 32).map(|row| format!("L{row:02}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_is_found_and_no_other_is_called_a_leak() {
    let ways = [
        "L00",
        "L01",
        "L02",
        "L03",
        "L04",
        "L05",
        "L06",
        "L07",
        "L08",
        "L09",
        "L10",
        "L10 prefix",
        "L10 missing",
        "L10 status",
        "L11",
        "L11 has",
        "L11 filter",
        "L12",
        "L13",
        "L14",
        "L15",
        "L17",
        "L18",
        "L19",
        "L20",
        "L21",
        "L23",
        "L24",
        "L24 trailer",
        "L25",
        "L29",
        "L29 twice",
        "L33",
    ];
    let quick = quick();
    for way in ways {
        let server = server::start(way).await;
        let rows: Vec<&str> = quick.iter().map(String::as_str).collect();
        let report = hold(&server, "", &settings(&rows)).await;
        assert_eq!(leaking(&report), [&way[..3]], "{way}: {:#}", report.to_json());
        assert!(!report.is_held());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_leads_elsewhere_and_a_message_by_hand_are_found() {
    for way in ["L32", "L32 raw"] {
        let server = server::start(way).await;
        let report = hold(&server, "", &settings(&["L00", "L32"])).await;
        assert_eq!(leaking(&report), ["L32"], "{way}: {:#}", report.to_json());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_spec_must_allow_is_found_where_it_does() {
    for (way, allow) in [("L16", "writes"), ("L22", "exports"), ("L27", "writes"), ("L28", "writes")] {
        let server = server::start(way).await;
        let rows = ["L00", "L16", "L22", "L27", "L28"];
        let report = hold(&server, &format!("allow: [{allow}]"), &settings(&rows)).await;
        assert_eq!(leaking(&report), [way], "{way}: {:#}", report.to_json());
        let report = hold(&server, "", &settings(&rows)).await;
        assert_eq!(leaking(&report), [""; 0], "{way} is not tried unless it is allowed");
        let row = report.rows().iter().find(|row| row.row.to_string() == way).unwrap();
        assert!(
            row.verdict == Verdict::NotTried && row.notes.iter().any(|note| note.contains(allow)),
            "{:?}",
            row.notes
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_filters_is_held_and_nothing_that_could_change_it_is_sent() {
    let server = server::start("none").await;
    let report = hold(&server, "", &settings(&[])).await;
    assert!(report.is_held(), "{:#}", report.to_json());
    let held = report.rows().iter().filter(|row| row.verdict == Verdict::Held).count();
    assert!(held >= 25 && report.requests() > 300, "{held} rows, {} requests", report.requests());
    for request in server.heard.lock().unwrap().iter() {
        let (method, target) = request.split_once(' ').unwrap();
        let path = target.split(['?', ' ']).next().unwrap();
        let reads = match method {
            "GET" | "HEAD" | "get" => true,
            "POST" => {
                path.ends_with("/_search") || path.contains("/$") || (path.is_empty() && !target.contains("\"PUT\""))
            }
            _ => false,
        };
        assert!(reads, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_everything_is_not_called_held() {
    let server = server::start("refuses").await;
    let rows = quick();
    let report = hold(&server, "", &settings(&rows.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert!(!report.is_held() && leaking(&report).is_empty());
    for row in report.rows().iter().filter(|row| row.probes > 0) {
        assert_eq!(row.verdict, Verdict::Inconclusive, "{:?}", row);
        assert!(row.notes[0].contains("what must be seen"), "{:?}", row.notes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_vary_by_themselves_are_no_leak_and_not_held() {
    let server = server::start("varies").await;
    let report = hold(&server, "", &settings(&["L10"])).await;
    assert_eq!(report.rows()[0].verdict, Verdict::Inconclusive, "{:#}", report.to_json());
    assert!(report.rows()[0].notes.iter().any(|note| note.contains("vary by themselves")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_sent_than_the_rate_allows() {
    let server = server::start("none").await;
    let started = Instant::now();
    let report = hold(&server, "", &Settings { rate: 100.0, ..settings(&["L21"]) }).await;
    let least = Duration::from_millis(10) * (u32::try_from(report.requests()).unwrap() - 1);
    assert!(report.requests() > 20 && started.elapsed() >= least, "{} in {:?}", report.requests(), started.elapsed());
}

#[tokio::test]
async fn nobody_at_the_target_is_an_error_and_no_verdict() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/fhir", listener.local_addr().unwrap());
    drop(listener);
    let text = server::spec("");
    let spec = Spec::parse(Path::new("spec.yaml"), &text, &Definitions::r4()).unwrap();
    let credentials = spec.credentials(|_| Some(TOKEN.to_owned())).unwrap();
    let failed = conformance::run(&url.parse().unwrap(), &spec, credentials, &settings(&[]), &mut |_, _| {}).await;
    assert!(failed.unwrap_err().to_string().contains("does not answer"));
}

#[test]
fn a_row_is_read_as_it_is_written() {
    assert_eq!("l07".parse::<Row>().unwrap().to_string(), "L07");
    for wrong in ["L37", "10", "Lx", ""] {
        assert!(wrong.parse::<Row>().is_err(), "{wrong}");
    }
}
