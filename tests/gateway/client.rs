//! A client of the gateway that asks what a `curl` line asks.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fieldgate::net::tls;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// What a `curl` line says.
#[derive(Debug, Default)]
pub struct Curl {
    pub url: String,
    pub authority: Option<PathBuf>,
    pub header: Option<PathBuf>,
    pub identity: Option<(PathBuf, PathBuf)>,
}

pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Curl {
    /// Reads the part of `curl`'s arguments that the demo uses, and refuses any other.
    pub fn parse(line: &str) -> Self {
        let command = line.split([';', '|']).next().unwrap();
        let mut words = command.split_whitespace().map(|word| word.trim_matches('\''));
        assert_eq!(words.next(), Some("curl"));
        let mut curl = Self::default();
        let (mut certificate, mut key) = (None, None);
        while let Some(word) = words.next() {
            let mut file = || PathBuf::from(words.next().unwrap().trim_start_matches('@'));
            match word {
                "-s" => {}
                "--cacert" => curl.authority = Some(file()),
                "-H" => curl.header = Some(file()),
                "--cert" => certificate = Some(file()),
                "--key" => key = Some(file()),
                url => {
                    assert!(curl.url.is_empty() && url.starts_with("http"), "{line}");
                    curl.url = url.to_owned();
                }
            }
        }
        curl.identity = certificate.zip(key);
        curl
    }

    pub async fn send(&self) -> Response<Incoming> {
        let identity = self.identity.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let tls = tls::client_config(self.authority.as_deref(), identity, Path::new("/")).unwrap();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().build();
        let mut request = Request::get(&self.url);
        if let Some(file) = &self.header {
            let text = std::fs::read_to_string(file).unwrap();
            let (name, value) = text.trim_end().split_once(": ").unwrap();
            let name: HeaderName = name.parse().unwrap();
            request = request.header(name, HeaderValue::from_str(value).unwrap());
        }
        let client = Client::builder(TokioExecutor::new()).build(connector);
        client.request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
    }

    pub async fn ask(&self) -> Answer {
        let (head, body) = self.send().await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}

/// Asks for a page of the admin listener.
pub async fn page(url: &str) -> Answer {
    Curl { url: url.to_owned(), authority: Some(anyone()), ..Curl::default() }.ask().await
}

/// An authority for a client that speaks plain HTTP and needs none.
fn anyone() -> PathBuf {
    static FOLDER: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let keys = fieldgate::demo::keys::Keys::generate(jiff::Zoned::now().date()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), keys.authority_pem()).unwrap();
        folder
    });
    folder.path().join("ca.pem")
}
