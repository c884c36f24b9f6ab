//! The server, and the responder that answers before it is ready.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    http::{StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
    serve::{Listener, ListenerExt},
};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{ops, router};
use crate::Gateway;

/// The time for requests on connections that were accepted before the gateway was ready, once that responder stops.
const LAST_CALLS: Duration = Duration::from_millis(250);

/// Serves a gateway on a listener until `stop`, then lets the calls under way end.
///
/// # Errors
/// The listener's own.
pub async fn serve(listener: TcpListener, gateway: Gateway, stop: CancellationToken) -> io::Result<()> {
    let service = router(gateway).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener.tap_io(send_at_once), service).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Answers before there is a gateway, because the log may be unavailable for long when a process starts. The process is
/// alive and not ready, and every other call is told to retry. After `stop` no connection is accepted, but accepted ones
/// are still answered: a client learns more from that answer than from a closed connection.
///
/// # Errors
/// The listener's own.
pub async fn serve_waiting(listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    serve_waiting_for(LAST_CALLS, listener, stop).await
}

async fn serve_waiting_for(last_calls: Duration, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let app = Router::new()
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(not_ready))
        .fallback(not_yet)
        .layer(map_response(no_more_here));
    let over = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tokio::time::sleep(last_calls).await;
        }
    };
    axum::serve(Until { listener, stop }.tap_io(send_at_once), app).with_graceful_shutdown(over).await
}

/// Turns Nagle's algorithm off for a connection: with it a small frame waits for the acknowledgement of the one before, which
/// a client may delay by 40 ms (RFC 9293, 3.8.6.3).
fn send_at_once(stream: &mut TcpStream) {
    if let Err(why) = stream.set_nodelay(true) {
        debug!(%why, "a connection sends small frames late");
    }
}

/// Accepts until it is to stop.
struct Until {
    listener: TcpListener,
    stop: CancellationToken,
}

impl Listener for Until {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match self.stop.run_until_cancelled(Listener::accept(&mut self.listener)).await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Closes the connection after the answer, so that the next call opens a new one to the current server.
async fn no_more_here(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    answer
}

async fn not_ready() -> impl IntoResponse {
    let parts = json!({ "log": { "answers": false } });
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ok": false, "parts": parts })))
}

async fn not_yet() -> impl IntoResponse {
    let body = Json(json!({ "ok": false, "error": "service_unavailable" }));
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], body)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Everything that is answered until the other end closes the connection.
    async fn asked(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET /api/api.test HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn small_frames_are_sent_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let mut listener = Until { listener, stop }.tap_io(send_at_once);
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
        assert!(accepted.0.nodelay().unwrap() && !connected.unwrap().nodelay().unwrap());
    }

    #[tokio::test]
    async fn who_was_accepted_is_answered_and_whoever_comes_later_waits_for_who_serves() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let own = TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
        let waiting = tokio::spawn(serve_waiting_for(Duration::from_secs(5), own, stop.clone()));
        let mut first = TcpStream::connect(address).await.unwrap();
        // Connections are accepted in order, so the first one is accepted by now.
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(asked(&mut second).await.contains("retry-after: 1"));
        stop.cancel();
        tokio::task::yield_now().await;
        assert!(asked(&mut first).await.starts_with("HTTP/1.1 503"));
        let _third = TcpStream::connect(address).await.unwrap();
        waiting.await.unwrap().unwrap();
        // It was not accepted: it waits for the next owner of the port.
        let later = TcpListener::from_std(listener).unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(30), later.accept()).await.is_ok());
    }
}
