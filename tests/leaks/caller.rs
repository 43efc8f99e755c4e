//! A caller who keeps all that it gets: the head as it came, the body without its framing, and what comes behind it.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::gateway::key;

/// A request as a caller sends it. `line` is the method and the target.
pub(crate) fn message(caller: &str, line: &str, fields: &str, body: &str) -> String {
    let (key, length) = (key(caller), body.len());
    let length = match line.split(' ').next() {
        Some("GET" | "HEAD") if body.is_empty() => String::new(),
        _ => format!("content-length: {length}\r\n"),
    };
    format!("{line} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n{length}{fields}\r\n{body}")
}

/// A connection to a gateway.
pub(crate) struct Caller(BufReader<TcpStream>);

/// An answer over HTTP/1.1, to its last byte.
#[derive(Default)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// The status line and the header fields, as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Trailers, and whatever else comes behind the body.
    pub(crate) after: Vec<u8>,
    /// Whether it ended as its framing says.
    pub(crate) whole: bool,
}

impl Caller {
    pub(crate) async fn to(gateway: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(gateway).await.unwrap()))
    }

    /// Sends a message and reads its answer; the connection stays open.
    pub(crate) async fn ask(&mut self, message: impl AsRef<[u8]>) -> Answered {
        let message = message.as_ref();
        self.0.write_all(message).await.unwrap();
        self.answer(message.starts_with(b"HEAD ")).await
    }

    /// Sends a message and reads all that comes until the gateway closes the connection.
    pub(crate) async fn ask_last(mut self, message: impl AsRef<[u8]>) -> Answered {
        let mut answered = self.ask(message).await;
        self.0.get_mut().shutdown().await.unwrap();
        let _ = self.0.read_to_end(&mut answered.after).await;
        answered
    }

    pub(crate) async fn answer(&mut self, is_head: bool) -> Answered {
        let mut answered = Answered::default();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(self.0.read_until(b'\n', &mut head).await, Ok(1..)) {
                answered.head = String::from_utf8_lossy(&head).into_owned();
                return answered;
            }
        }
        answered.head = String::from_utf8(head).unwrap();
        answered.status = answered.head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        answered.whole = if is_head || matches!(answered.status, 204 | 304) {
            true
        } else if let Some(length) = answered.field("content-length").map(|length| length.parse().unwrap()) {
            answered.body.resize(length, 0);
            self.0.read_exact(&mut answered.body).await.is_ok()
        } else {
            assert_eq!(answered.field("transfer-encoding").as_deref(), Some("chunked"), "{}", answered.head);
            self.chunks(&mut answered).await.is_some()
        };
        answered
    }

    async fn chunks(&mut self, answered: &mut Answered) -> Option<()> {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.ok()?;
            let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
            let mut chunk = vec![0; size];
            let mut read = 0;
            // What came of a chunk that was cut off counts too.
            while read < size {
                let count = self.0.read(&mut chunk[read..]).await.ok().filter(|count| *count > 0);
                answered.body.extend_from_slice(&chunk[read..read + count.unwrap_or(0)]);
                read += count?;
            }
            if size == 0 {
                // Trailers, to the empty line.
                while !matches!(line.as_str(), "\r\n" | "") {
                    line.clear();
                    self.0.read_line(&mut line).await.ok()?;
                    answered.after.extend_from_slice(line.trim_end().as_bytes());
                }
                return Some(());
            }
            line.clear();
            self.0.read_line(&mut line).await.ok().filter(|_| line == "\r\n")?;
        }
    }
}

impl Answered {
    /// The value of a header field.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(self.whole, "the answer was cut off: {}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// What an OperationOutcome says.
    #[track_caller]
    pub(crate) fn diagnostics(&self) -> String {
        self.json()["issue"][0]["diagnostics"].as_str().unwrap_or_default().to_owned()
    }

    /// All that differs between two answers to one request by design left out.
    pub(crate) fn told(&self) -> String {
        let own = ["x-request-id", "date"];
        let lines =
            self.head.lines().filter(|line| !own.iter().any(|name| line.to_ascii_lowercase().starts_with(name)));
        format!("{}\n{}", lines.collect::<Vec<_>>().join("\n"), self.text())
    }
}
