//! An upstream that answers with what it was given, in every form that an answer can have: four content codings, pieces of
//! odd sizes, chunks of HTTP/1.1 or frames of HTTP/2. Each time that a path is asked for its answer has the next form.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Sizes;

/// What an answer's header fields hold that must not reach a caller.
pub const CANARY: &str = "canary-of-the-upstream";
/// The content codings.
pub const CODINGS: [&str; 4] = ["identity", "gzip", "br", "zstd"];
/// The most bytes that a piece of a body has. A long body never comes in the smallest.
const MOST: [usize; 3] = [13, 4_099, 70_001];
const LONG: usize = 64 * 1024;
/// Where FHIR is.
const FHIR: &str = "/fhir";

pub struct Upstream {
    pub address: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    answers: HashMap<String, Kept>,
    /// How often each form was given.
    given: HashMap<(&'static str, usize), usize>,
}

struct Kept {
    text: Bytes,
    location: Option<String>,
    asked: usize,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let kept = Arc::clone(&shelf);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&kept)));
            }
        });
        Self { address, shelf }
    }

    /// The base of its addresses.
    pub fn base(&self) -> String {
        format!("http://{}{FHIR}", self.address)
    }

    /// Answers a path below an API's with this from now on.
    pub fn holds(&self, path: &str, text: Vec<u8>, location: Option<String>) {
        let mut shelf = self.shelf.lock().unwrap();
        let asked = shelf.answers.get(path).map_or(0, |kept| kept.asked);
        shelf.answers.insert(path.to_owned(), Kept { text: text.into(), location, asked });
    }

    /// How often a path was asked for since it was first held.
    pub fn asked(&self, path: &str) -> usize {
        self.shelf.lock().unwrap().answers[path].asked
    }

    /// What its answers to a path say that they are the content of.
    pub fn location(&self, path: &str) -> Option<String> {
        self.shelf.lock().unwrap().answers.get(path)?.location.clone()
    }

    /// The codings in which answers were given, and the sizes of pieces.
    pub fn forms(&self) -> Vec<(&'static str, usize)> {
        let mut forms: Vec<_> = self.shelf.lock().unwrap().given.keys().copied().collect();
        forms.sort_unstable();
        forms
    }
}

async fn converse(stream: TcpStream, shelf: Arc<Mutex<Shelf>>) {
    // What a connection speaks is told by its first bytes: HTTP/2 with prior knowledge begins with `PRI`.
    let mut first = [0];
    if stream.peek(&mut first).await.unwrap_or(0) == 0 {
        return;
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let shelf = Arc::clone(&shelf);
        async move { Ok::<_, Infallible>(answer(&shelf, &request)) }
    });
    let stream = TokioIo::new(stream);
    // A gateway that breaks off is found out by the caller's test.
    if &first == b"P" {
        let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(stream, service).await;
    }
}

fn answer(shelf: &Mutex<Shelf>, request: &Request<Incoming>) -> Response<Pieces> {
    let target = request.uri().path_and_query().unwrap().as_str();
    let path = target.strip_prefix(FHIR).or_else(|| target.strip_prefix("/api")).unwrap_or(target);
    let (text, location, form) = {
        let mut shelf = shelf.lock().unwrap();
        let Some(kept) = shelf.answers.get_mut(path) else {
            // Any status by which a test fails.
            return Response::builder().status(418).body(Pieces::of(Vec::new(), 0, 1)).unwrap();
        };
        let form = kept.asked + path.len();
        kept.asked += 1;
        (kept.text.clone(), kept.location.clone(), form)
    };
    let coding = CODINGS[form % CODINGS.len()];
    let sizes = if text.len() > LONG { &MOST[1..] } else { &MOST };
    let most = sizes[form / CODINGS.len() % sizes.len()];
    *shelf.lock().unwrap().given.entry((coding, most)).or_default() += 1;
    let media_type = ["application/fhir+json", "application/fhir+json; charset=UTF-8", "application/json"][form % 3];
    let mut response = Response::builder()
        .header("content-type", media_type)
        .header("etag", format!("W/\"{CANARY}\""))
        .header("last-modified", "Sun, 22 Nov 2026 08:00:00 GMT")
        .header("cache-control", format!("public, max-age=60, x=\"{CANARY}\""))
        .header("digest", format!("sha-256={CANARY}"))
        .header("content-md5", CANARY)
        .header("accept-ranges", "bytes")
        .header("age", "7")
        .header("set-cookie", format!("s={CANARY}"))
        .header("server", CANARY)
        .header("link", format!("<{CANARY}>; rel=next"))
        .header("x-request-id", CANARY);
    if let Some(location) = location {
        response = response.header("content-location", location);
    }
    if coding != "identity" {
        response = response.header("content-encoding", coding);
    }
    response.body(Pieces::of(coded(coding, &text), form as u64, most)).unwrap()
}

fn coded(coding: &str, text: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(text).unwrap();
            gzip.finish().unwrap()
        }
        "br" => {
            let mut coded = Vec::new();
            brotli::CompressorWriter::new(&mut coded, 64 * 1024, 1, 20).write_all(text).unwrap();
            coded
        }
        "zstd" => zstd::encode_all(text, 1).unwrap(),
        _ => text.to_owned(),
    }
}

/// A body of no announced length that comes in pieces of random sizes.
struct Pieces {
    rest: Bytes,
    sizes: Sizes,
    most: usize,
}

impl Pieces {
    fn of(body: Vec<u8>, seed: u64, most: usize) -> Self {
        Self { rest: body.into(), sizes: Sizes(seed), most }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let most = self.most;
        let size = self.sizes.next(most).min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))))
    }
}
