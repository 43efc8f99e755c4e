//! Messages that servers read differently (L32), and connections that are held open.

use std::time::Duration;

use fieldgate::proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Reply, Running, Setup, key};
use crate::upstream::{Then, Upstream, fhir, patient};

/// All that comes back for a message until the gateway closes the connection.
async fn all(gateway: &Running, message: &str) -> String {
    let mut stream = TcpStream::connect(gateway.plain).await.unwrap();
    stream.write_all(message.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn l32_a_message_with_two_readings_is_refused_and_never_reaches_the_upstream() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    let key = key("desk");
    let smuggled = format!("GET /fhir/Patient/2 HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n\r\n");
    let start = format!("/fhir/Patient/1 HTTP/1.1\r\nx-api-key: {key}\r\n");
    let search = format!(
        "POST /fhir/Patient/_search HTTP/1.1\r\nx-api-key: {key}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    );
    let length = smuggled.len();
    for (what, message) in [
        ("two lengths", format!("{search}host: a\r\ncontent-length: 0\r\ncontent-length: {length}\r\n\r\n{smuggled}")),
        ("the length twice", format!("{search}host: a\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n")),
        (
            "a length and a coding",
            format!("{search}host: a\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("a false coding", format!("{search}host: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("a coding twice", format!("{search}host: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n")),
        ("a space before the colon", format!("GET {start}host : a\r\n\r\n")),
        ("a folded field", format!("GET {start}host: a\r\nx-a: 1\r\n folded\r\n\r\n")),
        ("a bare carriage return", format!("GET {start}host: a\rx-a: 1\r\n\r\n")),
        ("a nul", format!("GET {start}host: a\0b\r\n\r\n")),
        ("no host", format!("GET {start}\r\n")),
        ("two hosts", format!("GET {start}host: a\r\nhost: b\r\n\r\n")),
        ("a host that is none", format!("GET {start}host: a b\r\n\r\n")),
        ("somebody at a host", format!("GET {start}host: a@b\r\n\r\n")),
        ("a target of another host", format!("GET http://other.example{start}host: a\r\n\r\n")),
        ("a body that nobody needs", format!("GET {start}host: a\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("HTTP/1.0", format!("GET {}host: a\r\n\r\n", start.replace("HTTP/1.1", "HTTP/1.0"))),
        ("HTTP/2 in plain text", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        (
            "a tunnel",
            format!("CONNECT other.example:443 HTTP/1.1\r\nhost: other.example:443\r\nx-api-key: {key}\r\n\r\n"),
        ),
        ("a dot segment", format!("GET /fhir/..{start}host: a\r\n\r\n")),
        ("an encoded slash", format!("GET /fhir%2fPatient/1 HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n")),
        ("a matrix parameter", format!("GET /fhir/Patient;x=1/1 HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n")),
        ("two slashes", format!("GET /fhir//Patient/1 HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n")),
    ] {
        let answer = all(&gateway, &message).await;
        assert!(!answer.contains("HTTP/1.1 200"), "{what}: {answer}");
        assert!(upstream.requests().is_empty(), "{what}: {:?}", upstream.requests());
    }
}

#[tokio::test]
async fn a_head_over_the_limits_is_refused() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    let long = gateway.get_with("desk", "/fhir/Patient/1", &format!("x-long: {}\r\n", "x".repeat(40_000))).await;
    assert!(matches!(long.status, 431 | 0), "{}", long.status);
    let many = gateway.get_with("desk", "/fhir/Patient/1", &"x-a: 1\r\n".repeat(200)).await;
    assert!(matches!(many.status, 431 | 0), "{}", many.status);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_head_that_does_not_end_in_time_ends_the_connection() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let limits = Limits { header_timeout: Duration::from_millis(50), ..Limits::default() };
    let gateway = Running::start(upstream.address, Setup { limits, ..Setup::default() }).await;
    let mut stream = TcpStream::connect(gateway.plain).await.unwrap();
    stream.write_all(b"GET /fhir/Patient/1 HTTP/1.1\r\nhost: gw").await.unwrap();
    // It ends: otherwise this would wait forever.
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_does_not_end_in_time_ends_the_connection() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let gateway = Running::start(upstream.address, Setup { limits, ..Setup::default() }).await;
    let mut stream = TcpStream::connect(gateway.tls).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let gateway = Running::before(upstream.address).await;
    let mut stream = TcpStream::connect(gateway.plain).await.unwrap();
    for status in [200, 403, 200] {
        let target = if status == 200 { "/fhir/Patient/1" } else { "/fhir/Condition/1" };
        let message = format!("GET {target} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n\r\n", key("desk"));
        stream.write_all(message.as_bytes()).await.unwrap();
        assert_eq!(Reply::read(&mut stream, false).await.status, status);
    }
}

#[tokio::test]
async fn l36_a_stop_lets_answers_end_until_its_limit_and_then_cuts_them_off() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: 99999\r\n\r\n";
    let body = format!(r#"{{"resourceType":"Patient","id":"1","name":[{{"family":"{}"}}"#, "x".repeat(4000));
    let upstream = Upstream::answering(format!("{head}{body}"), Then::Hold).await;
    let limits = Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() };
    let mut gateway = Running::start(upstream.address, Setup { limits, ..Setup::default() }).await;
    let mut stream = TcpStream::connect(gateway.plain).await.unwrap();
    let message = format!("GET /fhir/Patient/1 HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n\r\n", key("desk"));
    stream.write_all(message.as_bytes()).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H', "the answer is under way");
    gateway.stop().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it was cut off, not ended");
    assert!(TcpStream::connect(gateway.plain).await.is_err(), "nobody listens any more");
    let trail = gateway.trail().await;
    assert!(trail.contains(r#""outcome":"aborted""#), "{trail}");
}
