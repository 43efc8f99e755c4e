//! Listeners: TLS or plain, HTTP/1.1 or HTTP/2, each connection within limits from its first byte.
//!
//! Over TLS the version of HTTP is what ALPN agreed on; over plain text it is HTTP/1.1. A connection whose client
//! certificate cannot be read without doubt ends. No protocol is guessed and none is switched to.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::{Arrival, Gateway, Limits, exchange};
use crate::identity::identity_of;
use crate::model::Connection;

/// What one HTTP/1.1 connection buffers on each way, and one HTTP/2 stream on the way out.
const BUFFER: usize = 64 * 1024;
/// How often a silent HTTP/2 connection is asked whether it is still there, and how long it has to answer.
const PING: Duration = Duration::from_secs(20);
/// How long to wait where the system has no more of what a connection needs, such as file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What listeners share.
pub struct Server {
    /// The generation of configuration that new requests begin with.
    pub gateway: Arc<ArcSwap<Gateway>>,
    connections: Arc<Semaphore>,
    limits: Limits,
}

impl Server {
    /// A server of what `gateway` holds at each request. The limits of connections are those of its first generation.
    pub fn new(gateway: Arc<ArcSwap<Gateway>>) -> Arc<Self> {
        let limits = gateway.load().limits.clone();
        let connections = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { gateway, connections, limits })
    }

    /// Serves `listener` until `stop` is done, then takes no more requests and lets those under way end, for as long as
    /// the limit says. Answers under way after that are cut off, which their callers can tell.
    ///
    /// With `tls`, each connection is encrypted with the configuration that stands there when it comes.
    ///
    /// # Errors
    /// Where the listener itself fails.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<Arc<ArcSwap<ServerConfig>>>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let graceful = GracefulShutdown::new();
        let mut open = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        let failed = loop {
            let accepted = tokio::select! {
                () = &mut stop => break None,
                Some(_) = open.join_next(), if !open.is_empty() => continue,
                accepted = self.accept(&listener) => accepted,
            };
            let (stream, peer, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_passing(&error) => continue,
                Err(error) if is_exhausted(&error) => {
                    warn!("no connection can be taken now: the system has no more descriptors or memory");
                    tokio::time::sleep(EXHAUSTED).await;
                    continue;
                }
                Err(error) => break Some(error),
            };
            let (server, tls, watcher) = (Arc::clone(&self), tls.clone(), graceful.watcher());
            open.spawn(async move {
                server.connection(stream, peer, tls, watcher).await;
                drop(permit);
            });
        };
        drop(listener);
        let ended = async {
            graceful.shutdown().await;
            while open.join_next().await.is_some() {}
        };
        if tokio::time::timeout(self.limits.drain_timeout, ended).await.is_err() {
            warn!("answers under way were cut off: they did not end in time");
        }
        open.shutdown().await;
        failed.map_or(Ok(()), Err)
    }

    /// A connection, once there is room for one.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.connections).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, peer, permit))
    }

    async fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        tls: Option<Arc<ArcSwap<ServerConfig>>>,
        watcher: Watcher,
    ) {
        let Some(tls) = tls else {
            let arrival = Arrival { connection: Connection { peer, certificate: None }, secure: false };
            return self.http1(stream, arrival, watcher).await;
        };
        let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
        let Ok(Ok(stream)) = tokio::time::timeout(self.limits.handshake_timeout, handshake).await else {
            return debug!("a TLS handshake failed or took too long");
        };
        let (_, session) = stream.get_ref();
        let certificate = match session.peer_certificates().and_then(<[_]>::first).map(|der| identity_of(der)) {
            None => None,
            Some(Ok(identity)) => Some(Arc::new(identity)),
            Some(Err(error)) => return debug!(%error, "a client certificate can't be read"),
        };
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let arrival = Arrival { connection: Connection { peer, certificate }, secure: true };
        if is_http2 {
            self.http2(stream, arrival, watcher).await;
        } else {
            self.http1(stream, arrival, watcher).await;
        }
    }

    async fn http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        arrival: Arrival,
        watcher: Watcher,
    ) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_headers(self.limits.headers)
            .max_header_size(self.limits.header_bytes as usize)
            .max_buf_size(BUFFER.max(self.limits.header_bytes as usize))
            .serve_connection(TokioIo::new(stream), self.service(arrival));
        // A caller who breaks off is its own affair; its answer's record says so.
        let _ = watcher.watch(connection).await;
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        arrival: Arrival,
        watcher: Watcher,
    ) {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(self.limits.header_bytes)
            .max_send_buf_size(BUFFER)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .serve_connection(TokioIo::new(stream), self.service(arrival));
        let _ = watcher.watch(connection).await;
    }

    fn service(
        &self,
        arrival: Arrival,
    ) -> impl hyper::service::Service<
        http::Request<Incoming>,
        Response = http::Response<super::Answer>,
        Error = Infallible,
        Future = impl Future<Output = Result<http::Response<super::Answer>, Infallible>> + Send + use<>,
    > + use<> {
        let (gateways, arrival) = (Arc::clone(&self.gateway), Arc::new(arrival));
        service_fn(move |request| {
            let (gateway, arrival) = (gateways.load_full(), Arc::clone(&arrival));
            async move {
                let now = (gateway.clock)();
                Ok(exchange(&gateway, &arrival, request, now).await)
            }
        })
    }
}

/// The connection was gone before it was taken.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, InvalidInput, NotConnected,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | InvalidInput | NotConnected
    )
}

/// The system has no more of something, for now: `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`.
fn is_exhausted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory || matches!(error.raw_os_error(), Some(23 | 24 | 105 | 12))
}
