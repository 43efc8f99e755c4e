//! Fetching a key set.

use std::path::Path;
use std::time::Duration;

use fieldgate::net::fetch::{FetchError, fetch};
use fieldgate::net::tls::client_config;
use rustls::ClientConfig;
use url::Url;

use crate::authority::{Authority, Folder};
use crate::peer::{Then, scripted};

const LONG: Duration = Duration::from_secs(20);

fn trust() -> ClientConfig {
    let folder = Folder::new();
    folder.write("ca.pem", Authority::new("any").pem());
    client_config(Some(Path::new("ca.pem")), None, folder.path()).unwrap()
}

async fn fetched(script: &str, then: Then, limit: usize, timeout: Duration) -> Result<Vec<u8>, FetchError> {
    let (address, _task) = scripted(script, then).await;
    let url = Url::parse(&format!("http://{address}/jwks.json")).unwrap();
    fetch(&trust(), &url, limit, timeout).await.map(|document| document.to_vec())
}

#[tokio::test]
async fn a_document_comes_whole_or_not_at_all() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"keys\":[]}";
    assert_eq!(fetched(ok, Then::Close, 11, LONG).await.unwrap(), b"{\"keys\":[]}");
    let large = fetched(ok, Then::Close, 10, LONG).await;
    assert!(matches!(large, Err(FetchError::TooLarge(10))), "{large:?}");
    let cut = fetched("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"keys\":[]}", Then::Close, 99, LONG).await;
    assert!(matches!(cut, Err(FetchError::Failed(_))), "{cut:?}");
    let slow = fetched("", Then::Hold, 99, Duration::from_millis(50)).await;
    assert!(matches!(slow, Err(FetchError::TimedOut(_))), "{slow:?}");
}

#[tokio::test]
async fn redirects_and_codings_are_refused() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n";
    let moved = fetched(moved, Then::Close, 99, LONG).await;
    assert!(matches!(moved, Err(FetchError::Status(status)) if status == 302), "{moved:?}");
    let coded = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}";
    let coded = fetched(coded, Then::Close, 99, LONG).await;
    assert!(matches!(coded, Err(FetchError::Encoded)), "{coded:?}");
}

#[tokio::test]
async fn plain_text_from_another_machine_is_refused() {
    for url in ["http://192.0.2.1/jwks", "http://localhost.example/jwks", "ftp://localhost/", "https://a@localhost/"] {
        let refused = fetch(&trust(), &Url::parse(url).unwrap(), 99, LONG).await;
        assert!(matches!(refused, Err(FetchError::Url)), "{url}: {refused:?}");
    }
}
