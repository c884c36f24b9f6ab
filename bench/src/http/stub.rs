//! A server on a runtime of its own, as many threads as the real one has: every call gets the same bytes, every socket
//! gets `hello` and then what is published.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{
        DefaultBodyLimit, State, WebSocketUpgrade,
        ws::{Message, Utf8Bytes, WebSocket},
    },
    http::{HeaderValue, Response, header},
    response::Response as Upgraded,
    routing::{get, post},
    serve::ListenerExt,
};
use futures::SinkExt;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
    sync::mpsc,
};

use super::send_at_once;
use crate::{BenchError, options::Cpus};

/// Frames that may wait for one socket: as many as in the real server.
const QUEUE_MAX: usize = 256;
/// Connections that may wait to be accepted: as many as in the real server.
const BACKLOG: u32 = 4096;
/// Bytes of a socket's buffers: as many as in the real server.
const BUFFER_BYTES: usize = 4096;

/// The way a socket sends the frames that wait for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flush {
    /// Each frame in a write of its own.
    EveryFrame,
    /// All waiting frames in a single write.
    Once,
}

/// A running stub. Dropping it shuts it down.
pub(crate) struct Stub {
    _threads: Threads,
    address: String,
    published: mpsc::Sender<Utf8Bytes>,
}

/// A frame that can be sent to all sockets of a stub, encoded once.
pub(crate) struct Publication {
    published: mpsc::Sender<Utf8Bytes>,
    frame: Utf8Bytes,
}

/// A runtime that may be dropped inside another one, where blocking until it has shut down is not allowed.
struct Threads(Option<Runtime>);

#[derive(Clone)]
struct Shared {
    body: Bytes,
    flush: Flush,
    arrivals: mpsc::Sender<mpsc::Sender<Utf8Bytes>>,
}

impl Stub {
    /// Starts a stub. `body` gets the stub's `host:port` and returns the body that answers every call.
    ///
    /// # Errors
    /// [`BenchError::Away`] if no port is free; [`BenchError::Usage`] if the stub cannot run on these cores.
    pub(crate) async fn start(cpus: &Cpus, flush: Flush, body: impl FnOnce(&str) -> Bytes) -> Result<Stub, BenchError> {
        let failed = |why: &dyn std::error::Error| BenchError::Away { at: "a stub".to_owned(), why: why.to_string() };
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(cpus.count()).thread_name("stub").enable_all();
        let is_elsewhere = Arc::new(AtomicBool::new(false));
        let (own, elsewhere) = (cpus.clone(), is_elsewhere.clone());
        builder.on_thread_start(move || {
            elsewhere.fetch_or(!own.hold_this_thread(), Ordering::Relaxed);
        });
        let threads = Threads(Some(builder.build().map_err(|why| failed(&why))?));
        let bound = threads.runtime().spawn(async { listen() }).await.map_err(|why| failed(&why))?;
        if is_elsewhere.load(Ordering::Relaxed) {
            return Err(BenchError::Usage(format!("`taskset` cannot hold a stub to the cores {cpus}")));
        }
        let listener = bound.map_err(|why| failed(&why))?;
        let address = listener.local_addr().map_err(|why| failed(&why))?.to_string();
        let (published, frames) = mpsc::channel(QUEUE_MAX);
        let (arrivals, arrived) = mpsc::channel(QUEUE_MAX);
        let app = Router::new()
            .route("/api/{method}", post(answer))
            .route("/ws/{ticket}", get(upgrade))
            .layer(DefaultBodyLimit::max(1 << 20))
            .with_state(Shared { body: body(&address), flush, arrivals });
        threads.runtime().spawn(async move { axum::serve(listener.tap_io(send_at_once), app).await });
        threads.runtime().spawn(broadcast(frames, arrived));
        Ok(Stub { _threads: threads, address, published })
    }

    /// Returns the stub's `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the base URL of the stub's Web API.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the URL of the stub's websockets.
    pub(crate) fn socket_url(&self) -> String {
        format!("ws://{}/ws/x", self.address)
    }

    /// Encodes a frame that can be sent to all sockets, any number of times.
    pub(crate) fn publication(&self, frame: String) -> Publication {
        Publication { published: self.published.clone(), frame: frame.into() }
    }
}

impl Publication {
    /// Sends the frame to all sockets.
    pub(crate) async fn publish(&self) -> Result<(), BenchError> {
        self.published.send(self.frame.clone()).await.map_err(|_| BenchError::Lost("a stub"))
    }
}

impl Threads {
    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("taken only by drop")
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(BACKLOG)
}

/// Puts each frame into every socket's queue. A socket whose queue is full is closed, and its client fails.
/// Queues of closed sockets are removed when a frame is sent or the list would grow.
async fn broadcast(mut frames: mpsc::Receiver<Utf8Bytes>, mut arrived: mpsc::Receiver<mpsc::Sender<Utf8Bytes>>) {
    let mut queues: Vec<mpsc::Sender<Utf8Bytes>> = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(queue) = arrived.recv() => {
                // Closed queues are removed before the list grows, so it holds at most twice the most sockets ever open
                // at once.
                if queues.len() == queues.capacity() {
                    queues.retain(|queue| !queue.is_closed());
                }
                queues.push(queue);
            }
            frame = frames.recv() => match frame {
                Some(frame) => queues.retain(|queue| queue.try_send(frame.clone()).is_ok()),
                None => return,
            },
        }
    }
}

/// Answers a call. The body is read, as in the real server.
async fn answer(State(shared): State<Shared>, _body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(shared.body));
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn upgrade(State(shared): State<Shared>, upgrade: WebSocketUpgrade) -> Upgraded {
    upgrade.read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES).on_upgrade(move |socket| async move {
        // The client has gone: the error has no receiver.
        let _ = serve(socket, shared).await;
    })
}

/// Serves a socket until its client has gone. It reads all the time, as the real server does, so that the sockets of an
/// earlier round are closed.
async fn serve(mut socket: WebSocket, shared: Shared) -> Result<(), axum::Error> {
    let (queue, mut frames) = mpsc::channel(QUEUE_MAX);
    if shared.arrivals.send(queue).await.is_err() {
        return Ok(());
    }
    socket.send(Message::Text(Utf8Bytes::from_static(r#"{"type":"hello","fast_reconnect":false}"#))).await?;
    loop {
        tokio::select! {
            frame = frames.recv() => {
                let Some(frame) = frame else { return Ok(()) };
                socket.feed(Message::Text(frame)).await?;
                if matches!(shared.flush, Flush::Once) {
                    while let Ok(frame) = frames.try_recv() {
                        socket.feed(Message::Text(frame)).await?;
                    }
                }
                socket.flush().await?;
            }
            heard = socket.recv() => match heard {
                Some(heard) => drop(heard?),
                None => return Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;
    use tokio::io::AsyncWriteExt;
    use tokio_tungstenite::client_async;

    use super::*;
    use crate::caller::connect;

    #[tokio::test]
    async fn a_stub_lets_go_of_a_socket_whose_client_has_gone() {
        let stub = Stub::start(&Cpus::all(), Flush::Once, |_| Bytes::from_static(b"{}")).await.unwrap();
        let url = stub.socket_url();
        let (mut socket, _) = client_async(&url, connect(&url).await.unwrap()).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap().is_text());
        // The client closes its half of the connection, so that the end of the server's half can be observed.
        socket.get_mut().shutdown().await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(60), socket.next()).await.expect("in a minute");
        assert!(matches!(end, None | Some(Err(_))), "{end:?}");
    }
}
