//! A little server that filters as it should, but for one way.

use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const BORN: &str = "1970-01-09";
pub const DIED: &str = "2021-11-13T04:05:06Z";
pub const TOKEN: &str = "a-token-that-is-nobodys-business";

/// The spec of what it serves.
pub fn spec(more: &str) -> String {
    format!(
        r#"
version: 1
headers: {{ Authorization: "Bearer ${{TOKEN}}" }}
{more}
resources:
  Patient/p1:
    shown: {{ name.family: Lovelace }}
    withheld:
      birthDate: {{ value: {BORN}, wrong: 1962-05-17 }}
      deceased: {{ value: "{DIED}", wrong: "2020-10-12T03:04:05Z" }}
  Condition/c1:
    existence: withheld
"#
    )
}

/// Where a server listens, and the requests that it was sent.
pub struct Server {
    pub url: url::Url,
    pub heard: Arc<Mutex<Vec<String>>>,
}

pub async fn start(way: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/fhir", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let server = Server { url: base.parse().unwrap(), heard: Arc::clone(&heard) };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (base, heard) = (base.clone(), Arc::clone(&heard));
            let service = service_fn(move |request: Request<Incoming>| {
                let (base, heard) = (base.clone(), Arc::clone(&heard));
                async move {
                    let (head, body) = request.into_parts();
                    let form = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    let asked = Asked {
                        way,
                        base,
                        target: head
                            .uri
                            .path_and_query()
                            .unwrap()
                            .as_str()
                            .strip_prefix("/fhir")
                            .unwrap_or("-")
                            .to_owned(),
                        method: head.method,
                        headers: head.headers,
                        form: String::from_utf8_lossy(&form).into_owned(),
                    };
                    heard.lock().unwrap().push(format!("{} {} {}", asked.method, asked.target, asked.form));
                    Ok::<_, Infallible>(asked.answer())
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    server
}

struct Asked {
    way: &'static str,
    base: String,
    method: Method,
    target: String,
    headers: HeaderMap,
    form: String,
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

fn bundle(entries: &[Value]) -> Value {
    let entries: Vec<Value> = entries.iter().map(|resource| json!({ "resource": resource })).collect();
    json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries })
}

fn encoded(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

impl Asked {
    fn is(&self, way: &str) -> bool {
        self.way == way
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.headers.get(name).is_some_and(|found| found.to_str().unwrap_or_default().contains(value))
    }

    /// Whether the query or the form is this, of the right date or of any.
    fn asks(&self, text: &str) -> bool {
        self.target == text.replace("{}", BORN)
    }

    fn patient(&self) -> Value {
        let mut patient = json!({ "resourceType": "Patient", "id": "p1", "name": [{ "family": "Lovelace" }] });
        let members = patient.as_object_mut().unwrap();
        let mut add = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        match self.way {
            "L00" if self.target == "/Patient/p1" => add("birthDate", json!(BORN)),
            "L01" => add("text", json!({ "status": "generated", "div": "<div>born January 9, 1970</div>" })),
            "L02" => add("_birthDate", json!({ "extension": [{ "url": "x", "valueString": "y" }] })),
            "L03" => add("deceasedDateTime", json!(DIED)),
            "L04" => add("contained", json!([{ "resourceType": "Patient", "id": "a", "birthDate": BORN }])),
            "L05" => add("extension", json!([{ "url": "x", "valueDate": BORN }])),
            "L06" => add("managingOrganization", json!({ "display": format!("Seen since {BORN}") })),
            "L21" => add("photo", json!([{ "data": encoded(&format!("...{BORN}...")) }])),
            _ => {}
        }
        patient
    }

    fn answer(&self) -> Response<Body> {
        if !self.has("authorization", TOKEN) {
            let page = self.is("L18") && self.target == "/page2";
            let believed = self.is("L33") && self.has("x-remote-user", "admin");
            if !page && !believed {
                return self.refusal(StatusCode::UNAUTHORIZED, "who are you");
            }
        }
        if self.is("refuses") {
            return self.refusal(StatusCode::FORBIDDEN, "no");
        }
        if let Some(answer) = self.leak() {
            return answer;
        }
        match (self.method.as_str(), self.target.as_str()) {
            ("GET" | "HEAD", "/Patient/p1") => self.json(&self.patient()),
            ("GET", "/Patient?_id=p1") => {
                let mut found = bundle(&[self.patient()]);
                if self.is("L08") {
                    found["link"] =
                        json!([{ "relation": "self", "url": format!("{}/Patient?birthdate={BORN}", self.base) }]);
                }
                self.json(&found)
            }
            ("GET", "/Patient?_count=1") if self.is("L18") => {
                let mut found = bundle(&[self.patient()]);
                found["link"] = json!([{ "relation": "next", "url": format!("{}/page2", self.base) }]);
                self.json(&found)
            }
            ("GET", "/page2") if self.is("L18") => self.json(&bundle(&[self.patient()])),
            _ => self.refusal(StatusCode::FORBIDDEN, "not for you"),
        }
    }

    /// What it answers where it should not.
    fn leak(&self) -> Option<Response<Body>> {
        let mut told = self.patient();
        told["birthDate"] = json!(BORN);
        let found = || self.json(&bundle(&[self.patient()]));
        let target = self.target.as_str();
        let is_right = |query: &str| self.asks(query).then(found);
        match self.way {
            "L07" if target.contains("/_history?") => Some(self.json(&bundle(&[told]))),
            "L09" if target == "/Condition/c1" => Some(self.refusal(StatusCode::NOT_FOUND, "not for you")),
            "L10" => is_right("/Patient?_id=p1&birthdate={}"),
            "L10 prefix" => is_right("/Patient?_id=p1&birthdate=ge{}"),
            "L10 missing" if target == "/Patient?_id=p1&birthdate:missing=true" => Some(self.json(&bundle(&[]))),
            "L10 status" if self.asks("/Patient?birthdate={}") => {
                Some(self.refusal(StatusCode::BAD_REQUEST, "not for you"))
            }
            "L11" => is_right("/Condition?patient:Patient.birthdate={}"),
            "L11 has" => is_right("/Organization?_has:Patient:organization:birthdate={}"),
            "L11 filter" => is_right("/Patient?_filter=birthdate%20eq%20%22{}%22"),
            "L12" if target.starts_with("/Patient?_sort=") => {
                let mut both = [self.patient(), self.patient()];
                let last = usize::from(target.contains("birthdate") && !target.contains('-'));
                both[last]["id"] = json!("p2");
                Some(self.json(&bundle(&both)))
            }
            "L13" if target.contains("_revinclude=*") => Some(self.json(&bundle(&[told]))),
            "L14" if self.form == format!("birthdate={BORN}") && target == "/Patient/_search" => Some(found()),
            "L15" if target.contains("birthdate") && target.ends_with("&_summary=count") => {
                let total = u8::from(target.contains(BORN));
                Some(self.json(&json!({ "resourceType": "Bundle", "type": "searchset", "total": total })))
            }
            "L16" if self.method == Method::PATCH && target.contains(&format!("birthdate={BORN}")) => {
                Some(self.refusal(StatusCode::UNPROCESSABLE_ENTITY, "not for you"))
            }
            "L17" if target == "/Patient/p1/$everything" => Some(self.json(&bundle(&[told]))),
            "L19" if target.contains("zzz=1") => {
                let outcome = json!({ "severity": "error", "diagnostics": format!("not of who was born {BORN}") });
                Some(self.json(&json!({ "resourceType": "OperationOutcome", "issue": [outcome] })))
            }
            "L20" if target == "/Patient/p1?_format=xml&_pretty=true" => {
                Some(Response::new(whole(format!("<Patient><birthDate value=\"{BORN}\"/></Patient>"))))
            }
            "L22" if target == "/Patient/$export" => {
                let mut started = Response::new(whole(""));
                *started.status_mut() = StatusCode::ACCEPTED;
                let place = HeaderValue::try_from(format!("{}/export/1", self.base)).unwrap();
                started.headers_mut().insert("content-location", place);
                Some(started)
            }
            "L22" if target == "/export/1" && self.method == Method::GET => {
                Some(self.json(&json!({ "output": [{ "type": "Patient", "url": format!("{}/file", self.base) }] })))
            }
            "L22" if target == "/file" => Some(Response::new(whole(format!("{}\n{told}\n", self.patient())))),
            "L24" if self.method == Method::HEAD && target == "/Patient/p1" => {
                let mut head = self.json(&self.patient());
                head.headers_mut().insert("content-length", HeaderValue::from_static("4711"));
                *head.body_mut() = whole("");
                Some(head)
            }
            "L24 trailer" if self.has("te", "trailers") && target == "/Patient/p1" => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-born", HeaderValue::from_static(BORN));
                let text = Bytes::from(self.patient().to_string());
                let frames = [Frame::data(text), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
                let mut answer = Response::new(Frames(frames.into_iter().collect()).boxed());
                answer.headers_mut().insert("trailer", HeaderValue::from_static("x-born"));
                Some(answer)
            }
            "L25" if self.has("accept-encoding", "gzip") && target == "/Patient/p1" => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(told.to_string().as_bytes()).unwrap();
                let mut answer = Response::new(whole(gzip.finish().unwrap()));
                answer.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
                Some(answer)
            }
            "L27" if self.method == Method::PATCH && self.form.contains(BORN) => {
                Some(self.refusal(StatusCode::CONFLICT, "not for you"))
            }
            "L28" if self.method == Method::PATCH && self.has("prefer", "representation") => Some(self.json(&told)),
            "L29" => is_right("/Patient?_id=p1&Birthdate={}"),
            "L32" if target == "/metadata/..;/Patient/p1" => Some(self.json(&told)),
            "L32 raw" if self.has("connection", "Authorization") => Some(self.json(&told)),
            _ => None,
        }
    }

    fn json(&self, document: &Value) -> Response<Body> {
        let mut text = document.to_string();
        if self.is("L29 twice") && self.target == "/Patient/p1" && self.has("authorization", TOKEN) {
            text = text.replacen('{', &format!("{{\"birthDate\":\"{BORN}\","), 1).replacen(
                "\"id\"",
                "\"birthDate\":\"\",\"id\"",
                1,
            );
        }
        let mut answer = Response::new(whole(text));
        answer.headers_mut().insert("content-type", HeaderValue::from_static("application/fhir+json"));
        if self.is("L23") && self.has("authorization", TOKEN) {
            answer.headers_mut().insert("x-version", HeaderValue::try_from(encoded(&format!("p1 {BORN}"))).unwrap());
        }
        answer
    }

    fn refusal(&self, status: StatusCode, why: &str) -> Response<Body> {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // As many servers do, it repeats what was asked and says which request it was.
        let mut diagnostics = format!("{why}: {} {}", self.target, self.form);
        if self.is("varies") {
            diagnostics = format!("{why}, {count}");
        }
        let issue = json!([{ "severity": "error", "code": "forbidden", "diagnostics": diagnostics }]);
        let mut answer = self.json(&json!({ "resourceType": "OperationOutcome", "issue": issue }));
        answer.headers_mut().insert("x-request-id", HeaderValue::from(count));
        *answer.status_mut() = status;
        answer
    }
}

/// Frames that are there from the start.
struct Frames(std::collections::VecDeque<Result<Frame<Bytes>, Infallible>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.pop_front())
    }
}
