//! Upstreams on loopback that say exactly what a test tells them to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What a scripted upstream does after its script.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    Close,
    /// Keeps the connection open until the client closes it.
    Hold,
}

/// Takes one connection, reads the head of one request, writes `script`. Gives the head back in the end.
pub(crate) async fn scripted(script: impl Into<Vec<u8>>, then: Then) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = script.into();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        converse(stream, &script, then).await
    });
    (address, task)
}

/// The same over TLS, closing without the alert that says so.
pub(crate) async fn scripted_tls(script: &'static [u8], config: Arc<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = TlsAcceptor::from(config).accept(stream).await.unwrap();
        converse(stream, script, Then::Close).await
    });
    address
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: &[u8], then: Then) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    // The client may have heard enough already.
    let _ = stream.write_all(script).await;
    let _ = stream.flush().await;
    if then == Then::Hold {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    String::from_utf8(head).unwrap()
}

/// How a [`Served`] upstream is reached.
pub(crate) enum Wire {
    Http1,
    Http2,
    Tls(Arc<rustls::ServerConfig>),
}

/// An HTTP server that answers each request with the version of HTTP it came in.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

pub(crate) async fn served(wire: Wire) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            match &wire {
                Wire::Http1 => drop(tokio::spawn(serve(TokioIo::new(stream), false))),
                Wire::Http2 => drop(tokio::spawn(serve(TokioIo::new(stream), true))),
                Wire::Tls(config) => {
                    let acceptor = TlsAcceptor::from(config.clone());
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        serve(TokioIo::new(stream), http2).await;
                    });
                }
            }
        }
    });
    Served { address, connections }
}

async fn serve(io: impl hyper::rt::Read + hyper::rt::Write + Unpin, http2: bool) {
    let answer = service_fn(|request: Request<Incoming>| async move {
        let version = format!("{:?}", request.version());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(version))))
    });
    // A client that goes away is no failure of the server.
    let _ = if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, answer).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await
    };
}
