//! The listener of a role: calls of other nodes, which need the cluster's key, and operators' calls, which do not.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::KEY_HEADER;
use crate::Secrets;

/// The most calls in flight on one connection of another node. At the bound, the link of that node waits.
const STREAMS_MAX: u32 = 4_096;
/// The most bytes of a request's body. An event has at most 256 KB, a call of the Web API 2 MB.
const BODY_BYTES_MAX: usize = 4 << 20;
/// The most open connections: other nodes have one or a few each, operators' tools one. At the bound, a new connection is
/// closed as soon as it is accepted.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a connection may take to show whether it speaks HTTP/1 or HTTP/2, and over HTTP/1 to send the head of a
/// request. Other nodes connect only in order to call, so they send both at once.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The delay before the first bytes of a connection are peeked at again, if only a part of the preface has arrived.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The connection preface of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The interval of pings, as on the link's side: they detect a node that is paused or cut off.
const PING_EVERY: Duration = Duration::from_millis(500);
const PING_TIMEOUT: Duration = Duration::from_millis(1_000);
/// How long calls in flight may take at shutdown.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// The delay before the next accept after one failed, mostly for want of file handles.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// The server on a role's internal address.
pub struct Internal {
    router: Router,
    connections_max: usize,
    head_timeout: Duration,
}

impl Internal {
    /// Serves `calls` to nodes that carry one of the keys of `secrets`, and `open` to everybody.
    pub fn new(calls: Router, open: Router, secrets: Arc<Secrets>) -> Internal {
        let guarded = calls
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn_with_state(secrets, with_the_key));
        let router = guarded.merge(open);
        Internal { router, connections_max: CONNECTIONS_MAX, head_timeout: HEAD_TIMEOUT }
    }

    /// Serves until `stop` is cancelled, then waits some seconds for calls in flight.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.head_timeout);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT);
        let graceful = GracefulShutdown::new();
        let room = Arc::new(Semaphore::new(self.connections_max));
        loop {
            let stream = match stop.run_until_cancelled(listener.accept()).await {
                None => break,
                Some(Ok((stream, _))) => stream,
                Some(Err(why)) => {
                    warn!(%why, "a connection of another node cannot be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let Ok(held) = room.clone().try_acquire_owned() else {
                metrics::counter!("teamlog_internal_connections_refused_total").increment(1);
                continue;
            };
            let _ = stream.set_nodelay(true);
            let service = TowerToHyperService::new(self.router.clone());
            let (builder, watcher) = (builder.clone(), graceful.watcher());
            let (head_timeout, stop) = (self.head_timeout, stop.clone());
            tokio::spawn(async move {
                let _held = held;
                // None of hyper's own timeouts runs before the protocol is known.
                let begun = tokio::time::timeout(head_timeout, begins(&stream));
                if matches!(stop.run_until_cancelled(begun).await, Some(Ok(Ok(())))) {
                    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                    // An error here means that the other node died. Its missing heartbeats report that.
                    let _ = watcher.watch(connection).await;
                }
            });
        }
        drop(listener);
        let _ = tokio::time::timeout(STOP_WAIT, graceful.shutdown()).await;
    }
}

/// Returns once enough bytes have arrived to tell HTTP/2 from HTTP/1. Consumes none of them.
async fn begins(stream: &TcpStream) -> io::Result<()> {
    let mut head = [0; PREFACE.len()];
    loop {
        let came = stream.peek(&mut head).await?;
        // No bytes: the other end has closed the connection, and hyper will notice that.
        if came == 0 || came == head.len() || !PREFACE.starts_with(&head[..came]) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn with_the_key(State(secrets): State<Arc<Secrets>>, request: Request, next: Next) -> Response {
    let key = request.headers().get(KEY_HEADER).map(|key| key.as_bytes()).unwrap_or_default();
    if secrets.is_internal_key(key) {
        return next.run(request).await;
    }
    metrics::counter!("teamlog_internal_refused_total").increment(1);
    (StatusCode::UNAUTHORIZED, Json(json!({ "error": "wrong_cluster_key" }))).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::sync::DropGuard;

    use super::*;

    /// The longest wait for anything that a test expects, even on a slow machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    async fn listening(connections_max: usize, head_timeout: Duration) -> (SocketAddr, DropGuard) {
        let open = Router::new().route("/healthz", get(async || "well"));
        let secrets = Secrets::new([b"0123456789abcdef0123456789abcdef"]).unwrap();
        let internal =
            Internal { connections_max, head_timeout, ..Internal::new(Router::new(), open, Arc::new(secrets)) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        tokio::spawn(internal.serve(listener, stop.clone()));
        (address, stop.drop_guard())
    }

    /// Returns a connection that got a response and stays open. None if it was closed instead.
    async fn answered(address: SocketAddr) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = [0; 12];
        let asked = async {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await?;
            stream.read_exact(&mut answer).await
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap().ok()?;
        assert_eq!(&answer, b"HTTP/1.1 200");
        Some(stream)
    }

    #[tokio::test]
    async fn past_its_bound_a_connection_is_closed_and_one_that_ends_makes_room() {
        let (address, _stop) = listening(2, HEAD_TIMEOUT).await;
        let [one, other] = [answered(address).await, answered(address).await];
        assert!(one.is_some() && other.is_some());
        assert!(answered(address).await.is_none());
        drop(one);
        let again = async { while answered(address).await.is_none() {} };
        tokio::time::timeout(PATIENCE, again).await.unwrap();
    }

    #[tokio::test]
    async fn who_connects_and_does_not_call_is_sent_away() {
        let (address, _stop) = listening(CONNECTIONS_MAX, Duration::from_millis(100)).await;
        let beginnings: [&[u8]; 4] = [b"", &PREFACE[..9], PREFACE, b"GET /healthz HTTP/1.1\r\nhost:"];
        for beginning in beginnings {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(beginning).await.unwrap();
            let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
            assert!(closed.is_ok(), "{:?} stays open", String::from_utf8_lossy(beginning));
        }
        assert!(answered(address).await.is_some());
    }
}
