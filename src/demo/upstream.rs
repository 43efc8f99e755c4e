//! A sample FHIR R4 server over a [`Population`], with a plain JSON API beside: what the demo's gateway protects.
//!
//! It behaves as common servers do, faults included: it shows everything to anybody, and its errors repeat what was
//! asked. That is why it listens on loopback alone and must never hold a real person's data.

mod answer;
mod capabilities;
mod search;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, IF_NONE_MATCH};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::form_urlencoded;

use self::answer::Answer;
use super::people::Population;

/// The path that the FHIR API is served under.
pub const FHIR_PATH: &str = "/fhir";
/// The path that the health plan's plain JSON API is served under: `GET {API_PATH}/v1/members/{id}`.
pub const API_PATH: &str = "/api";

/// The longest body of a POST `_search`, in bytes.
const MAX_FORM: usize = 64 * 1024;

/// Serves `population` on `listener` until `stop` is done, then lets open requests end.
///
/// FHIR stands under [`FHIR_PATH`], the plan's API under [`API_PATH`]. Links and fullUrls name the listener's own address.
pub async fn serve(
    listener: TcpListener,
    population: Arc<Population>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let server = Arc::new(Server { base: format!("http://{}{FHIR_PATH}", listener.local_addr()?), population });
    let open = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // A connection that ended before it was taken says nothing of the listener.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            },
        };
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.respond(request).await) }
        });
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        // A client that breaks off is its own affair.
        tokio::spawn(async move { drop(connection.await) });
    }
    open.shutdown().await;
    Ok(())
}

/// A server on a free port of 127.0.0.1 that ends when this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Starts serving `population` in a task of the current runtime.
    pub async fn start(population: Arc<Population>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, population, async move { drop(stopped.await) }));
        Ok(Self { addr, stop, task })
    }

    /// The address of the FHIR API.
    pub fn fhir_url(&self) -> String {
        format!("http://{}{FHIR_PATH}", self.addr)
    }

    /// The address of the health plan's API.
    pub fn api_url(&self) -> String {
        format!("http://{}{API_PATH}", self.addr)
    }

    /// Stops accepting, waits for open requests, and tells how serving ended.
    pub async fn stop(self) -> io::Result<()> {
        drop(self.stop);
        self.task.await.map_err(io::Error::other)?
    }
}

struct Server {
    base: String,
    population: Arc<Population>,
}

impl Server {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let gzip = accepts(&head.headers, ACCEPT_ENCODING, &["gzip"]);
        let query = head.uri.query().unwrap_or_default().to_owned();
        let answer = match head.uri.path() {
            path if path.starts_with("/api/") => self.api(&head.method, path),
            path => match path.strip_prefix(FHIR_PATH) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    self.fhir(&head.method, rest, query, &head.headers, body).await
                }
                _ => Answer::outcome(StatusCode::NOT_FOUND, "not-found", format!("Unknown path: {path}")),
            },
        };
        answer.into_response(gzip)
    }

    async fn fhir(
        &self,
        method: &Method,
        path: &str,
        mut query: String,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Answer {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let is_search_form = method == Method::POST && segments.len() == 2 && segments.last() == Some(&"_search");
        if is_search_form {
            match Limited::new(body, MAX_FORM).collect().await {
                Ok(form) => {
                    query.push('&');
                    query.push_str(&String::from_utf8_lossy(&form.to_bytes()));
                }
                Err(_) => return Answer::outcome(StatusCode::PAYLOAD_TOO_LARGE, "too-long", "Form too long".into()),
            }
        } else if method != Method::GET && method != Method::HEAD {
            let message = format!("This server reads only: {method} /{}", segments.join("/"));
            return Answer::outcome(StatusCode::METHOD_NOT_ALLOWED, "not-supported", message);
        }
        let parameters: Vec<(String, String)> =
            form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into(), value.into())).collect();
        if let Some(refused) = unacceptable(headers, &parameters) {
            return refused;
        }
        match segments.as_slice() {
            [] => search::page(&self.population, &self.base, &parameters),
            ["metadata"] => Answer::json(&capabilities::statement(&self.base)),
            [resource_type] if search::knows(resource_type) => {
                search::search(&self.population, &self.base, resource_type, &parameters)
            }
            [resource_type, "_search"] if is_search_form && search::knows(resource_type) => {
                search::search(&self.population, &self.base, resource_type, &parameters)
            }
            [resource_type, id] | [resource_type, id, "_history", "1"] if search::knows(resource_type) => {
                self.read(resource_type, id, headers)
            }
            [resource_type, ..] => {
                let message = format!("Unknown resource type or operation: {resource_type}{path}");
                Answer::outcome(StatusCode::NOT_FOUND, "not-supported", message)
            }
        }
    }

    fn read(&self, resource_type: &str, id: &str, headers: &HeaderMap) -> Answer {
        match self.population.get(resource_type, id) {
            Some(_) if headers.get(IF_NONE_MATCH).is_some_and(|tag| tag == answer::ETAG) => Answer::not_modified(),
            Some(resource) => Answer::resource(resource),
            None => Answer::outcome(
                StatusCode::NOT_FOUND,
                "not-found",
                format!("HTTP 404: Resource {resource_type}/{id} is not known"),
            ),
        }
    }

    fn api(&self, method: &Method, path: &str) -> Answer {
        if method != Method::GET && method != Method::HEAD {
            return Answer::problem(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not supported"));
        }
        let id = path.strip_prefix("/api/v1/members/").filter(|id| !id.is_empty() && !id.contains('/'));
        match id.map(|id| (id, self.population.member(id))) {
            Some((_, Some(member))) => Answer::plain(member),
            Some((id, None)) => Answer::problem(StatusCode::NOT_FOUND, format!("no member {id}")),
            None => Answer::problem(StatusCode::NOT_FOUND, format!("no such path: {path}")),
        }
    }
}

/// The answer to somebody who wants XML, Turtle or HTML.
fn unacceptable(headers: &HeaderMap, parameters: &[(String, String)]) -> Option<Answer> {
    let json = ["json", "application/json", "application/fhir+json", "application/fhir json"];
    let wanted = parameters.iter().find(|(name, value)| name == "_format" && !json.contains(&value.as_str()));
    if let Some((_, format)) = wanted {
        let message = format!("Unsupported format: {format}");
        return Some(Answer::outcome(StatusCode::NOT_ACCEPTABLE, "not-supported", message));
    }
    let known = ["application/json", "application/fhir+json", "application/*", "*/*"];
    if headers.contains_key(ACCEPT) && !accepts(headers, ACCEPT, &known) {
        return Some(Answer::outcome(StatusCode::NOT_ACCEPTABLE, "not-supported", "Only JSON is served".into()));
    }
    None
}

/// Whether a header that lists what the client takes (RFC 9110, section 12.4.2) names one of `known` with a weight over nought.
fn accepts(headers: &HeaderMap, name: http::HeaderName, known: &[&str]) -> bool {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(
        |item| {
            let mut parts = item.split(';').map(str::trim);
            let named = parts.next().is_some_and(|coding| known.iter().any(|known| coding.eq_ignore_ascii_case(known)));
            named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        },
    )
}

/// The address of a resource.
fn full_url(base: &str, resource: &Value) -> String {
    let part = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{base}/{}/{}", part("resourceType"), part("id"))
}
