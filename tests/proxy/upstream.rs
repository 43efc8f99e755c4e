//! An upstream on loopback that says byte for byte what a test tells it to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What an upstream does after its answer.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    Close,
    /// Keeps the connection open, and says nothing, until the gateway closes it.
    Hold,
}

/// An upstream that gives the same answer to each request, on a connection for each.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// The heads and bodies of the requests, as they came.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
    /// The bytes of the answer that the connection has taken so far.
    pub(crate) written: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let answer = Arc::new(answer.into());
        Self::choosing(move |_| (answer.as_ref().clone(), then)).await
    }

    /// One that answers each request by its head.
    pub(crate) async fn choosing(choose: impl Fn(&str) -> (Vec<u8>, Then) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, written) = (Arc::default(), Arc::default());
        let upstream = Self { address, heard: Arc::clone(&heard), written: Arc::clone(&written) };
        let choose = Arc::new(choose);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(converse(stream, Arc::clone(&choose), Arc::clone(&heard), Arc::clone(&written)));
            }
        });
        upstream
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn converse(
    mut stream: TcpStream,
    choose: Arc<impl Fn(&str) -> (Vec<u8>, Then)>,
    heard: Arc<Mutex<Vec<String>>>,
    written: Arc<AtomicUsize>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let mut head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    head.push_str(std::str::from_utf8(&body).unwrap());
    let (answer, then) = choose(&head);
    heard.lock().unwrap().push(head);
    for part in answer.chunks(64 * 1024) {
        // The gateway may have heard enough already.
        if stream.write_all(part).await.is_err() {
            return;
        }
        written.fetch_add(part.len(), Ordering::SeqCst);
    }
    if then == Then::Hold {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

/// A whole answer with a body.
pub(crate) fn answer(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{fields}connection: close\r\ncontent-length: {}\r\n\r\n", body.len())
            .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// A whole answer of FHIR.
pub(crate) fn fhir(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", "content-type: application/fhir+json\r\n", body)
}

/// A value that must not reach anyone but a clinician.
pub(crate) const CANARY: &str = "CANARY-7f3a";

/// A patient with the canary in what neither desk nor billing sees.
pub(crate) fn patient() -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"1","text":{{"status":"generated","div":"<div>{CANARY}</div>"}},"extension":[{{"url":"x","valueString":"{CANARY}"}}],"name":[{{"family":"Lovelace","_family":{{"extension":[{{"url":"x","valueString":"{CANARY}"}}]}}}}],"gender":"female","birthDate":"1980-12-10","address":[{{"line":["{CANARY}"],"city":"{CANARY}"}}],"unknown":"{CANARY}","identifier":[{{"value":"id-1"}}]}}"#
    )
}
