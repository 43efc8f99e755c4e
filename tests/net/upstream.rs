//! The upstream's client: what it sends, what it takes, what it makes of an upstream that fails.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use fieldgate::net::address::CanonicalPath;
use fieldgate::net::tls::server_config;
use fieldgate::net::upstream::{
    Upstream, UpstreamBody, UpstreamBodyError, UpstreamConfig, UpstreamError, UpstreamOpenError,
};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::authority::{Authority, Folder};
use crate::peer::{Then, Wire, scripted, scripted_tls, served};

fn config(yaml: &str) -> UpstreamConfig {
    serde_saphyr::from_str(yaml).unwrap()
}

fn open(yaml: &str, folder: &Folder) -> Result<Upstream, UpstreamOpenError> {
    Upstream::open(&config(yaml), folder.path())
}

fn plain(address: SocketAddr) -> Upstream {
    open(&format!("url: http://{address}/fhir"), &Folder::new()).unwrap()
}

fn request(upstream: &Upstream, path: &str) -> Request<Empty<Bytes>> {
    let target = upstream.target(&CanonicalPath::parse(path).unwrap(), None).unwrap();
    Request::get(target).body(Empty::new()).unwrap()
}

async fn ask(upstream: &Upstream) -> Result<Response<UpstreamBody>, UpstreamError> {
    upstream.send(request(upstream, "/Patient/1")).await
}

async fn read(response: Response<UpstreamBody>) -> Result<Vec<u8>, UpstreamBodyError> {
    response.into_body().collect().await.map(|body| body.to_bytes().to_vec())
}

async fn answer(script: &str) -> Result<Response<UpstreamBody>, UpstreamError> {
    let (address, _task) = scripted(script, Then::Close).await;
    ask(&plain(address)).await
}

#[tokio::test]
async fn a_request_goes_below_the_url_with_the_upstreams_own_fields() {
    let (address, heard) = scripted("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Then::Close).await;
    let folder = Folder::new();
    folder.write("token", "Bearer of-the-gateway\n");
    let yaml = format!("{{ url: 'http://{address}/fhir/', headers: {{ authorization: {{ file: token }} }} }}");
    let upstream = open(&yaml, &folder).unwrap();
    let path = CanonicalPath::parse("/Patient/%24match").unwrap();
    let target = upstream.target(&path, Some("_count=1&name=a%20b")).unwrap();
    let request = Request::get(target).header("host", "canary").header("authorization", "canary");
    let response = upstream.send(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(read(response).await.unwrap(), b"{}");
    let heard = heard.await.unwrap();
    assert!(heard.starts_with("GET /fhir/Patient/$match?_count=1&name=a%20b HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains(&format!("\r\nhost: {address}\r\n")), "{heard}");
    assert!(heard.contains("\r\nauthorization: Bearer of-the-gateway\r\n"), "{heard}");
    assert!(!heard.contains("canary"), "{heard}");
}

#[tokio::test]
async fn l32_no_request_goes_elsewhere() {
    let upstream = open("url: http://127.0.0.1:9/fhir", &Folder::new()).unwrap();
    for target in [
        "http://127.0.0.1:10/fhir/Patient",
        "https://127.0.0.1:9/fhir/Patient",
        "http://localhost:9/fhir/Patient",
        "http://a@127.0.0.1:9/fhir/Patient",
        "http://127.0.0.1:9/admin",
        "http://127.0.0.1:9/fhirs",
        "http://127.0.0.1:9/fhir/../admin",
        "http://127.0.0.1:9/fhir/%2e%2e/admin",
        "http://127.0.0.1:9/fhir/%50atient",
        "/fhir/Patient",
    ] {
        let refused = upstream.send(Request::get(target).body(Empty::<Bytes>::new()).unwrap()).await;
        assert!(matches!(refused, Err(UpstreamError::Target)), "{target}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let (other, _task) = scripted("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Then::Close).await;
    let moved = format!("HTTP/1.1 302 Found\r\nlocation: http://{other}/\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(answer(&moved).await.unwrap().status(), 302);
}

#[tokio::test]
async fn l30_a_body_that_is_cut_off_ends_in_an_error() {
    for script in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,2",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n[1,2\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n[1,2\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n[1,2\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n[1,2",
    ] {
        let cut = read(answer(script).await.unwrap()).await;
        assert!(matches!(cut, Err(UpstreamBodyError::CutOff(_))), "{script}: {cut:?}");
    }
}

#[tokio::test]
async fn l30_a_stream_that_is_reset_ends_in_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, fail) = oneshot::channel();
    let body = Mutex::new(Some(Failing { begun: false, fail }));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = service_fn(move |_| {
            let response = Response::new(body.lock().unwrap().take().unwrap());
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), answer).await;
    });
    let upstream = open(&format!("{{ url: 'http://{address}', http2: prior-knowledge }}"), &Folder::new()).unwrap();
    let mut body = ask(&upstream).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{");
    heard.send(()).unwrap();
    let reset = body.collect().await.map(drop);
    assert!(matches!(reset, Err(UpstreamBodyError::CutOff(_))), "{reset:?}");
}

#[test]
fn an_upstream_and_its_bodies_go_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send + Unpin>() {}
    shared::<Upstream>();
    sent::<UpstreamBody>();
    sent::<fieldgate::net::coding::Decoder>();
}

#[tokio::test]
async fn l30_a_failed_body_stays_failed() {
    let mut body = answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await.unwrap().into_body();
    assert!(matches!(body.frame().await, Some(Err(UpstreamBodyError::CutOff(_)))));
    assert!(matches!(body.frame().await, Some(Err(UpstreamBodyError::Failed))));
}

#[tokio::test]
async fn l24_trailers_are_dropped() {
    let script = "HTTP/1.1 200 OK\r\ntrailer: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: canary\r\n\r\n";
    let body = answer(script).await.unwrap().into_body().collect().await.unwrap();
    assert!(body.trailers().is_none());
    assert_eq!(body.to_bytes(), "{}");
}

#[tokio::test]
async fn l32_a_response_with_two_readings_is_refused() {
    for fields in [
        "transfer-encoding: chunked\r\ncontent-length: 2",
        "content-length: 2\r\ntransfer-encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity",
        "transfer-encoding: xchunked",
    ] {
        let refused = answer(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n")).await.map(drop);
        assert!(matches!(refused, Err(UpstreamError::Framing)), "{fields}: {refused:?}");
    }
    for fields in [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: +2",
        "content-length: 2\r\n x",
        "content-length : 2",
        "a b: 2",
    ] {
        let refused = answer(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{{}}")).await.map(drop);
        assert!(matches!(refused, Err(UpstreamError::BadResponse(_))), "{fields}: {refused:?}");
    }
    let switched = answer("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n").await;
    assert!(matches!(switched, Err(UpstreamError::Framing | UpstreamError::BadResponse(_))), "{:?}", switched.err());
}

#[tokio::test]
async fn an_answer_that_is_no_http_or_has_no_end_of_its_head_is_refused() {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(400_000));
    for script in ["", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-le", &endless] {
        let refused = answer(script).await.map(drop);
        assert!(matches!(refused, Err(UpstreamError::BadResponse(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_given_up() {
    let (address, _task) = scripted("", Then::Hold).await;
    let upstream = open(&format!("{{ url: 'http://{address}/', response_timeout: 50ms }}"), &Folder::new()).unwrap();
    let late = ask(&upstream).await.map(drop);
    assert!(matches!(late, Err(UpstreamError::ResponseTimedOut(_))), "{late:?}");
}

#[tokio::test]
async fn l30_a_body_that_stalls_is_given_up() {
    let (address, _task) = scripted("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,2", Then::Hold).await;
    let upstream = open(&format!("{{ url: 'http://{address}/', idle_timeout: 50ms }}"), &Folder::new()).unwrap();
    let stalled = read(ask(&upstream).await.unwrap()).await;
    assert!(matches!(stalled, Err(UpstreamBodyError::TimedOut(_))), "{stalled:?}");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_unreachable() {
    let vacated = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = ask(&plain(vacated)).await.map(drop);
    assert!(matches!(refused, Err(UpstreamError::Unreachable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_given_up() {
    let (address, _task) = scripted("", Then::Hold).await;
    let secured = Secured::new();
    let late = ask(&secured.upstream(address, "connect_timeout: 50ms")).await.map(drop);
    assert!(matches!(late, Err(UpstreamError::ConnectTimedOut(_))), "{late:?}");
}

#[tokio::test]
async fn a_request_whose_body_fails_is_the_callers_fault() {
    let (address, _task) = scripted("", Then::Hold).await;
    let upstream = plain(address);
    let target = upstream.target(&CanonicalPath::parse("/Patient").unwrap(), None).unwrap();
    let (told, fail) = oneshot::channel();
    told.send(()).unwrap();
    let body = Failing { begun: false, fail };
    let failed = upstream.send(Request::post(target).body(body).unwrap()).await.map(drop);
    assert!(matches!(failed, Err(UpstreamError::RequestBody(_))), "{failed:?}");
}

/// A body that gives one piece, and fails when it is told to.
struct Failing {
    begun: bool,
    fail: oneshot::Receiver<()>,
}

impl Body for Failing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"{")))));
        }
        Pin::new(&mut self.fail).poll(context).map(|_| Some(Err(std::io::Error::other("gone"))))
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let upstream_served = served(Wire::Http1).await;
    let upstream = plain(upstream_served.address);
    for _ in 0..3 {
        assert_eq!(read(ask(&upstream).await.unwrap()).await.unwrap(), b"HTTP/1.1");
    }
    assert_eq!(upstream_served.connections.load(Ordering::SeqCst), 1);
}

/// An upstream over TLS: `ca.pem` is its authority, `server` its identity, `client` the gateway's.
struct Secured {
    folder: Folder,
}

impl Secured {
    fn new() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new("internal"));
        folder.write("ca.pem", authority.pem());
        folder.write("other.pem", Authority::new("other").pem());
        authority.issue(1, 4000).write(&folder, "server");
        authority.issue(2, 4000).write(&folder, "client");
        Self { folder }
    }

    fn listener(&self, settings: &str) -> std::sync::Arc<rustls::ServerConfig> {
        let yaml = format!("{{ certificate: server.pem, key: server.key, {settings} }}");
        server_config(&serde_saphyr::from_str(&yaml).unwrap(), self.folder.path()).unwrap()
    }

    fn upstream(&self, address: SocketAddr, settings: &str) -> Upstream {
        let ca = if settings.contains("ca:") { "" } else { "ca: ca.pem, " };
        open(&format!("{{ url: 'https://{address}/fhir', {ca}{settings} }}"), &self.folder).unwrap()
    }
}

#[tokio::test]
async fn the_version_of_http_is_agreed_on_or_as_configured() {
    let secured = Secured::new();
    let over_tls = served(Wire::Tls(secured.listener(""))).await;
    for (settings, version) in [
        ("", "HTTP/2.0"),
        ("http2: auto", "HTTP/2.0"),
        ("http2: prior-knowledge", "HTTP/2.0"),
        ("http2: never", "HTTP/1.1"),
    ] {
        let upstream = secured.upstream(over_tls.address, settings);
        assert_eq!(read(ask(&upstream).await.unwrap()).await.unwrap(), version.as_bytes(), "{settings}");
    }
    let in_the_clear = served(Wire::Http2).await;
    let yaml = format!("{{ url: 'http://{}', http2: prior-knowledge }}", in_the_clear.address);
    let upstream = open(&yaml, &Folder::new()).unwrap();
    assert_eq!(read(ask(&upstream).await.unwrap()).await.unwrap(), b"HTTP/2.0");
}

#[tokio::test]
async fn requests_share_one_http_2_connection() {
    let secured = Secured::new();
    let over_tls = served(Wire::Tls(secured.listener(""))).await;
    let upstream = secured.upstream(over_tls.address, "");
    read(ask(&upstream).await.unwrap()).await.unwrap();
    let (first, second) = tokio::join!(ask(&upstream), ask(&upstream));
    assert_eq!(read(first.unwrap()).await.unwrap(), read(second.unwrap()).await.unwrap());
    assert_eq!(over_tls.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_upstream_of_another_authority_is_refused() {
    let secured = Secured::new();
    let over_tls = served(Wire::Tls(secured.listener(""))).await;
    let refused = ask(&secured.upstream(over_tls.address, "ca: other.pem")).await.map(drop);
    assert!(matches!(refused, Err(UpstreamError::Tls(_))), "{refused:?}");
}

#[tokio::test]
async fn an_upstream_under_another_name_is_refused() {
    let secured = Secured::new();
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(secured.listener(""));
    let accepted = tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.map(drop) });
    let refused = ask(&secured.upstream(address, "")).await.map(drop);
    assert!(matches!(refused, Err(UpstreamError::Tls(_))), "{refused:?}");
    assert!(accepted.await.unwrap().is_err());
}

#[tokio::test]
async fn the_gateway_shows_its_certificate_to_the_upstream() {
    let secured = Secured::new();
    let over_tls = served(Wire::Tls(secured.listener("client_ca: ca.pem, client_certificates: required"))).await;
    let known = secured.upstream(over_tls.address, "certificate: client.pem, key: client.key");
    assert_eq!(read(ask(&known).await.unwrap()).await.unwrap(), b"HTTP/2.0");
    assert!(ask(&secured.upstream(over_tls.address, "")).await.is_err());
}

#[tokio::test]
async fn l30_a_body_without_a_length_is_cut_off_where_tls_was_not_closed() {
    let secured = Secured::new();
    let address = scripted_tls(b"HTTP/1.1 200 OK\r\n\r\n[1,2", secured.listener("")).await;
    let cut = read(ask(&secured.upstream(address, "http2: never")).await.unwrap()).await;
    assert!(matches!(cut, Err(UpstreamBodyError::CutOff(_))), "{cut:?}");
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused() {
    let folder = Folder::new();
    folder.write("empty", "");
    folder.write("lines", "a\r\nb");
    folder.write("token", "a");
    let refused = |yaml: &str| open(yaml, &folder).map(drop).unwrap_err();
    for url in ["ftp://a/", "http://a/?q", "http://a/#f", "http://u@a/", "http://u:p@a/", "mailto:a"] {
        assert!(matches!(refused(&format!("url: '{url}'")), UpstreamOpenError::Url), "{url}");
    }
    for url in ["http://a/x;y", "http://a//b", "http://a/%2f"] {
        assert!(matches!(refused(&format!("url: '{url}'")), UpstreamOpenError::Path(_)), "{url}");
    }
    assert!(matches!(refused("{ url: 'http://a', certificate: c.pem }"), UpstreamOpenError::HalfIdentity));
    assert!(matches!(refused("{ url: 'http://a', ca: absent.pem }"), UpstreamOpenError::Tls(_)));
    assert!(matches!(refused("{ url: 'http://a', idle_timeout: 0s }"), UpstreamOpenError::ZeroTimeout { .. }));
    for name in ["Host", "content-length", "Transfer-Encoding", "connection", "a b"] {
        let yaml = format!("{{ url: 'http://a', headers: {{ '{name}': {{ file: token }} }} }}");
        assert!(matches!(refused(&yaml), UpstreamOpenError::HeaderName { .. }), "{name}");
    }
    for file in ["empty", "lines"] {
        let yaml = format!("{{ url: 'http://a', headers: {{ authorization: {{ file: {file} }} }} }}");
        assert!(matches!(refused(&yaml), UpstreamOpenError::HeaderValue { .. }), "{file}");
    }
    assert!(serde_saphyr::from_str::<UpstreamConfig>("{ url: 'http://a', timeout: 5s }").is_err());
    assert!(serde_saphyr::from_str::<UpstreamConfig>("{ url: 'http://a', idle_timeout: -5s }").is_err());
}

#[test]
fn durations_are_written_with_their_units() {
    let read = config("{ url: 'http://a', connect_timeout: 1500ms, response_timeout: 1m 30s }");
    assert_eq!(read.connect_timeout.as_millis(), 1500);
    assert_eq!(read.response_timeout.as_secs(), 90);
    assert_eq!(read.idle_timeout.as_secs(), 30);
    assert!(serde_saphyr::from_str::<UpstreamConfig>("{ url: 'http://a', idle_timeout: 5 }").is_err());
}
