//! What is refused, with which status, in whose words.

use fieldgate::proxy::{Limits, Unseen};

use crate::gateway::{Running, Setup, key};
use crate::http2::connect;
use crate::upstream::{Then, Upstream, answer, fhir, patient};

async fn gateway() -> (Running, Upstream) {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    (Running::before(upstream.address).await, upstream)
}

#[tokio::test]
async fn a_stranger_is_told_how_to_prove_itself_and_nothing_else() {
    let (gateway, upstream) = gateway().await;
    let reply = gateway.ask("GET /fhir/Patient/1 HTTP/1.1\r\nhost: gw.example\r\n\r\n").await;
    reply.is_outcome(401, "login");
    assert!(reply.field("www-authenticate").unwrap().starts_with("apikey"), "{}", reply.head);
    let reply = gateway.get("stranger", "/fhir/Patient/1").await;
    reply.is_outcome(401, "unknown");
    let elsewhere = gateway.ask("GET /nowhere HTTP/1.1\r\nhost: gw.example\r\n\r\n").await;
    assert_eq!((elsewhere.status, elsewhere.field("content-type")), (401, Some("application/problem+json")));
    // L33: what merely says who somebody is counts for nothing.
    let claims = "GET /fhir/Patient/1?access_token=x HTTP/1.1\r\nhost: gw.example\r\nx-role: clinician\r\n\
                  x-forwarded-user: ada\r\nx-forwarded-client-cert: By=x\r\nfieldgate-role: clinician\r\n\r\n";
    gateway.ask(claims).await.is_outcome(401, "login");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn each_refusal_has_its_status() {
    let (gateway, upstream) = gateway().await;
    for (caller, target, fields, status, code) in [
        ("nobody", "/fhir/Patient/1", "", 403, "forbidden"),
        ("desk", "/fhir/Patient/1", "fieldgate-role: clinician\r\n", 403, "forbidden"),
        ("desk", "/fhir/Patient/1", "fieldgate-role: nonsense\r\n", 403, "forbidden"),
        ("desk", "/fhir/Patient/1", "fieldgate-role: desk\r\nfieldgate-role: desk\r\n", 400, "value"),
        ("desk", "/fhir/Patient/1", "purpose-of-use: HMARKT\r\n", 403, "forbidden"),
        ("desk", "/fhir/Patient/1", "purpose-of-use: because\r\n", 400, "value"),
        ("desk", "/fhir/Patient/1", "purpose-of-use: TREAT\r\npurpose-of-use: HPAYMT\r\n", 400, "value"),
        ("desk", "/fhir/Patient/1", "purpose-of-use: BTG\r\n", 403, "forbidden"),
        ("desk", "/fhir/Condition/1", "", 403, "forbidden"),
        ("desk", "/fhir/Patient/1/_history/1", "", 403, "forbidden"),
        ("clinician", "/fhir/Patient/1/_history", "", 403, "forbidden"),
        ("clinician", "/fhir/Patient/1/$everything", "", 403, "forbidden"),
        ("clinician", "/fhir/Patient/1/$meta", "", 403, "not-supported"),
        ("desk", "/fhir/Patient/1/Observation", "", 403, "forbidden"),
        ("desk", "/fhir/Patient/1/*", "", 403, "not-supported"),
        ("desk", "/fhir?_id=1", "", 403, "not-supported"),
        ("desk", "/fhir?_type=Condition", "", 403, "forbidden"),
        ("desk", "/fhir/Patient?_filter=name", "", 400, "structure"),
        ("desk", "/fhir/Patient/a%20b", "", 400, "value"),
        ("desk", "/fhir/patient/1", "", 404, "not-supported"),
        ("desk", "/fhir/Patient/1/x", "", 404, "not-supported"),
        ("desk", "/fhir/Patient/1", "accept: application/fhir+xml\r\n", 406, "not-supported"),
        ("desk", "/fhir/Patient/1?_format=xml", "", 406, "not-supported"),
        ("desk", "/fhir/Patient/1?name=x", "", 403, "not-supported"),
        ("desk", "/fhir/Patient?_count=many", "", 400, "value"),
        ("desk", "/fhir/Patient?name=%ff", "", 400, "structure"),
        ("desk", "/fhir/Patient?_sort=birthdate", "", 403, "forbidden"),
        ("desk", "/fhir/Patient?_getpages=1", "", 403, "forbidden"),
        ("desk", "/fhir/Patient?_offset=1", "", 403, "forbidden"),
        ("desk", "/fhir?_fieldgate=Patient.AAAA", "", 403, "forbidden"),
        ("desk", "/fhir?_fieldgate=Patient/1.AAAA", "", 403, "not-supported"),
    ] {
        let reply = gateway.get_with(caller, target, fields).await;
        assert_eq!(reply.status, status, "{caller} {target} {fields}: {}", reply.text());
        reply.is_outcome(status, code);
    }
    let many = "a=1&".repeat(200);
    gateway.get("desk", &format!("/fhir/Patient?{many}")).await.is_outcome(422, "too-costly");
    gateway.get("desk", &format!("/fhir/Patient?name={}", "x".repeat(9000))).await.is_outcome(414, "too-long");
    let nowhere = gateway.get("desk", "/fhirs/Patient/1").await;
    assert_eq!((nowhere.status, nowhere.field("content-type")), (404, Some("application/problem+json")));
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
}

#[tokio::test]
async fn a_method_that_is_not_let_through_is_told_which_are() {
    let (gateway, upstream) = gateway().await;
    for (method, target) in [
        ("PUT", "/fhir/metadata"),
        ("POST", "/fhir/Patient/1"),
        ("DELETE", "/fhir"),
        ("OPTIONS", "/fhir/Patient/1"),
        ("TRACE", "/fhir/Patient/1"),
        ("get", "/fhir/Patient/1"),
        ("POST", "/plan/v1/members/1"),
    ] {
        let key = key("clinician");
        let reply = gateway
            .ask(&format!(
                "{method} {target} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\ncontent-length: 0\r\n\r\n"
            ))
            .await;
        assert_eq!(reply.status, 405, "{method} {target}: {}", reply.text());
        assert!(reply.field("allow").unwrap().contains("get"), "{}", reply.head);
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn l09_where_an_endpoint_says_so_what_a_role_does_not_see_is_like_what_is_not_there() {
    let upstream = Upstream::answering(answer("404 Not Found", "", ""), Then::Close).await;
    let gateway = Running::start(upstream.address, Setup { unseen: Unseen::NotFound, ..Setup::default() }).await;
    let absent = gateway.get("desk", "/fhir/Patient/none").await;
    absent.is_outcome(404, "not-found");
    for unseen in ["/fhir/Condition/1", "/fhir/Condition", "/fhir/Condition?code=x"] {
        let reply = gateway.get("desk", unseen).await;
        assert_eq!((reply.status, reply.text()), (absent.status, absent.text()), "{unseen}");
        let names = |head: &str| {
            head.lines().skip(1).map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&reply.head), names(&absent.head), "{unseen}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_form_is_bounded_and_is_a_form() {
    let (gateway, upstream) = gateway().await;
    let post = |fields: &str, form: &str| {
        let key = key("desk");
        format!("POST /fhir/Patient/_search HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n{fields}\r\n{form}")
    };
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    gateway
        .ask(&post(&format!("{form}content-length: 70000\r\n"), &"x".repeat(70_000)))
        .await
        .is_outcome(413, "too-long");
    gateway
        .ask(&post("content-type: application/json\r\ncontent-length: 2\r\n", "{}"))
        .await
        .is_outcome(415, "structure");
    gateway.ask(&post("content-length: 6\r\n", "name=x")).await.is_outcome(415, "structure");
    gateway
        .ask(&post(&format!("{form}transfer-encoding: chunked\r\n"), "0\r\n\r\n"))
        .await
        .is_outcome(411, "structure");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let upstream = Upstream::answering(fhir(patient()), Then::Close).await;
    let setup = Setup { rate: Some("{ requests: 1, per: 1h, burst: 1 }"), ..Setup::default() };
    let gateway = Running::start(upstream.address, setup).await;
    assert_eq!(gateway.get("desk", "/fhir/Patient/1").await.status, 200);
    let reply = gateway.get("desk", "/fhir/Patient/1").await;
    reply.is_outcome(429, "throttled");
    assert!(reply.field("retry-after").unwrap().parse::<u32>().unwrap() > 3000, "{}", reply.head);
    assert_eq!(gateway.get("billing", "/fhir/Patient/1").await.status, 200, "another caller has its own rate");
}

#[tokio::test]
async fn a_gateway_that_is_full_says_so() {
    let upstream = Upstream::choosing(|_| (Vec::new(), Then::Hold)).await;
    let limits = Limits { requests: 1, drain_timeout: std::time::Duration::from_millis(50), ..Limits::default() };
    let gateway = std::sync::Arc::new(Running::start(upstream.address, Setup { limits, ..Setup::default() }).await);
    let first = tokio::spawn({
        let gateway = std::sync::Arc::clone(&gateway);
        async move { gateway.get("desk", "/fhir/Patient/1").await.status }
    });
    while upstream.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let reply = gateway.get("desk", "/fhir/Patient/1").await;
    reply.is_outcome(503, "throttled");
    assert_eq!(reply.field("retry-after"), Some("1"));
    first.abort();
}

#[tokio::test]
async fn a_client_certificate_proves_its_caller_and_gives_its_role_alone() {
    let (gateway, _upstream) = gateway().await;
    let ask = |path: &str| {
        let request = hyper::Request::get(format!("https://gw.example{path}"));
        request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap()
    };
    let mut known = connect(&gateway, true).await;
    let answer = known.send_request(ask("/fhir/Patient/1")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(known.send_request(ask("/fhir/Observation/1")).await.unwrap().status(), 403);
    let mut stranger = connect(&gateway, false).await;
    assert_eq!(stranger.send_request(ask("/fhir/Patient/1")).await.unwrap().status(), 401);
    drop((known, stranger, answer));
    let trail = gateway.trail().await;
    assert!(
        trail.contains(r#""caller":"spiffe://acme.example/billing","proof":"certificate","role":"billing""#),
        "{trail}"
    );
}

#[tokio::test]
async fn a_caller_who_goes_away_before_there_is_an_answer_is_in_the_trail_all_the_same() {
    let upstream = Upstream::choosing(|_| (Vec::new(), Then::Hold)).await;
    let gateway = Running::before(upstream.address).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.plain).await.unwrap();
    let message = format!("GET /fhir/Patient/1 HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n\r\n", key("desk"));
    tokio::io::AsyncWriteExt::write_all(&mut stream, message.as_bytes()).await.unwrap();
    while upstream.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(stream);
    let generation = gateway.generation.load_full();
    let trail = gateway.trail().await;
    assert!(trail.contains(r#""kind":"begin""#) && trail.contains(r#""outcome":"aborted""#), "{trail}");
    let counted =
        r#"fieldgate_http_request_duration_seconds_count{endpoint="ehr",interaction="read",role="desk",status="0"} 1"#;
    let metrics = generation.metrics.render().unwrap();
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
}
