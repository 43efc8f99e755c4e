//! The judge: whether a secret stands in what somebody gets, in plain or in any of the forms that hide it from a search.
//!
//! A caller gets the status line, header fields, the body and what comes behind it. Whoever runs the gateway gets the
//! log, the figures and the audit trail; the log of all tests is watched from the first gateway on.

use std::io::Write;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use percent_encoding::percent_decode;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::caller::{Answered, Caller};
use crate::gateway::Running;
use crate::upstream::CANARY;

/// That a caller learns nothing of the canary.
#[track_caller]
pub(crate) fn learns_nothing(what: &str, answered: &Answered) {
    learns_nothing_of(CANARY, what, answered);
}

/// That a caller learns nothing of a secret.
#[track_caller]
pub(crate) fn learns_nothing_of(secret: &str, what: &str, answered: &Answered) {
    let Answered { head, body, after, .. } = answered;
    for (place, bytes) in [("head", head.as_bytes()), ("body", body), ("end", after)] {
        assert!(!tells(secret, bytes), "{what}: the {place} tells: {}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(answered.field("content-encoding"), None, "{what}: a body that the judge can't read");
}

/// That neither the figures nor the audit trail nor the log tells of the canary. Ends the gateway.
pub(crate) async fn left_no_trace(gateway: Running) {
    let metrics = gateway.metrics();
    assert!(!tells(CANARY, metrics.as_bytes()), "the figures tell: {metrics}");
    let trail = gateway.trail().await;
    assert!(!tells(CANARY, trail.as_bytes()), "the audit trail tells: {trail}");
    log_is_silent();
}

/// That no line of the log tells of a canary.
pub(crate) fn log_is_silent() {
    let told = std::mem::take(&mut LOG.lock().unwrap().told);
    assert!(told.is_empty(), "the log tells: {told:?}");
}

/// Whether bytes hold a secret, in any case: as they are, percent-encoded, escaped as in JSON, in UTF-16 or in base64.
pub(crate) fn tells(secret: &str, bytes: &[u8]) -> bool {
    let secret_bytes = secret.to_ascii_lowercase().into_bytes();
    let lower = bytes.to_ascii_lowercase();
    let holds = |text: &[u8]| memmem::find(text, &secret_bytes).is_some();
    let decoded = || percent_decode(&lower).collect::<Vec<u8>>().to_ascii_lowercase();
    let narrow = || lower.iter().copied().filter(|byte| *byte != 0).collect::<Vec<u8>>();
    holds(&lower)
        || lower.contains(&b'%') && holds(&decoded())
        || lower.contains(&b'\\') && holds(&unescaped(&lower))
        || lower.contains(&0) && holds(&narrow())
        || in_base64(secret).iter().any(|text| memmem::find(bytes, text.as_bytes()).is_some())
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        let code = rest.strip_prefix(b"\\u00").and_then(|rest| std::str::from_utf8(rest.get(..2)?).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                plain.push(byte.to_ascii_lowercase());
                rest = &rest[6..];
            }
            None => {
                plain.push(*first);
                rest = others;
            }
        }
    }
    plain
}

/// What stands in base64 wherever the secret stands in what is encoded: one text for each of the three places.
fn in_base64(secret: &str) -> [String; 3] {
    [0, 1, 2].map(|place| {
        let encoded = STANDARD.encode(format!("{}{secret}", "x".repeat(place)));
        let whole = encoded.len() - 4;
        let begin = if place == 0 { 0 } else { 4 };
        encoded[begin..whole].to_owned()
    })
}

/// All that the log said, of all tests.
#[derive(Default)]
struct Log {
    lines: usize,
    /// The lines that tell of a canary.
    told: Vec<String>,
}

static LOG: Mutex<Log> = Mutex::new(Log { lines: 0, told: Vec::new() });

struct Watch;

impl Write for Watch {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let mut log = LOG.lock().unwrap();
        log.lines += 1;
        // What the tables plant begins so as well.
        if tells("canary", line) {
            log.told.push(String::from_utf8_lossy(line).into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Watches from now on all that fieldgate logs, to the last level. What the libraries below it would log no log takes.
pub(crate) fn watch() {
    let own = filter_fn(|about| about.target().starts_with("fieldgate"));
    let layer = tracing_subscriber::fmt::layer().json().with_writer(|| Watch).with_filter(own);
    // Another test may have begun.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// How much the log has said.
pub(crate) fn log_lines() -> usize {
    LOG.lock().unwrap().lines
}

#[test]
fn the_judge_sees_through_what_hides_a_secret() {
    let utf_16: Vec<u8> = CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let encoded = |before: &str| STANDARD.encode(format!("{before}{CANARY} and more"));
    for told in [
        CANARY.to_owned(),
        CANARY.to_ascii_lowercase(),
        format!("a {CANARY} b"),
        "%43ANARY-7f3a".to_owned(),
        "CANARY%2D7f3a".to_owned(),
        "\"C\\u0041NARY-7f3\\u0061\"".to_owned(),
        encoded(""),
        encoded("1"),
        encoded("12"),
        encoded("123"),
    ] {
        assert!(tells(CANARY, told.as_bytes()), "{told}");
    }
    assert!(tells(CANARY, &utf_16));
    for other in ["", "CANARY", "7f3a", "canary-7f3b", "a%", "a%4", "\\u00", "\\"] {
        assert!(!tells(CANARY, other.as_bytes()), "{other}");
    }
}

#[tokio::test]
async fn a_caller_gets_all_that_an_answer_holds() {
    use crate::upstream::{Then, Upstream};
    let head = "HTTP/1.1 200 OK\r\nX-A: b\r\n";
    for (raw, whole) in [
        (format!("{head}transfer-encoding: chunked\r\n\r\n3\r\n{{}} \r\n0\r\nx-trailer: {CANARY}\r\n\r\n"), true),
        (format!("{head}content-length: 3\r\n\r\n{{}} {CANARY}"), true),
        (format!("{head}transfer-encoding: chunked\r\n\r\n40\r\n{{}} {CANARY}"), false),
        (format!("{head}x-b: {CANARY}\r\ncontent-length: 0\r\n\r\n"), true),
    ] {
        let upstream = Upstream::answering(raw.clone(), Then::Close).await;
        let answered = Caller::to(upstream.address).await.ask_last("GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!((answered.status, answered.whole, answered.field("x-a").as_deref()), (200, whole, Some("b")));
        let all = [answered.head.as_bytes(), &answered.body, &answered.after].concat();
        assert!(tells(CANARY, &all), "{raw}");
    }
}
