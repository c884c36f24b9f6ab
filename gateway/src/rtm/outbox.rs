//! The sending side of a socket: frames are fed, counted and flushed, and a client that takes nothing is given up.

use std::{pin::pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures::SinkExt;
use metrics::Counter;
use tokio::time::{Instant, Interval, interval_at};

use crate::{Outgoing, SocketError, SocketSink};

/// The time after which a client that reads nothing is disconnected. It loses nothing: it knows its place in the log.
pub(super) const WRITE_MAX: Duration = Duration::from_secs(30);

/// The error of a socket that broke, or whose client takes nothing.
#[derive(Debug)]
pub(super) struct Gone;

/// A socket, as its session sends to it.
pub(super) struct Outbox {
    sink: SocketSink,
    /// Frames sent by all sockets.
    count: Counter,
    /// Frames fed since the last flush.
    unflushed: u64,
    /// When the next url is due, if anything was sent since the last one.
    url_due: Interval,
    sent_since_url: bool,
}

impl Outbox {
    /// Takes a socket, whose first `reconnect_url` is due after `url_every`.
    pub(super) fn new(sink: SocketSink, url_every: Duration, count: Counter) -> Outbox {
        let url_due = interval_at(Instant::now() + url_every, url_every);
        Outbox { sink, count, unflushed: 0, url_due, sent_since_url: true }
    }

    /// Feeds a frame.
    pub(super) async fn feed(&mut self, frame: Bytes) -> Result<(), Gone> {
        self.sent_since_url = true;
        self.unflushed += 1;
        self.send(Outgoing::Text(frame)).await
    }

    /// Feeds a frame with a url from which the client resumes: the next one is due later.
    pub(super) async fn feed_url(&mut self, frame: Bytes) -> Result<(), Gone> {
        self.feed(frame).await?;
        self.url_due.reset();
        self.sent_since_url = false;
        Ok(())
    }

    /// Feeds a message that is no frame: a ping, a close.
    pub(super) async fn send(&mut self, message: Outgoing) -> Result<(), Gone> {
        in_time(self.sink.feed(message)).await
    }

    /// Sends what was fed.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        if self.unflushed > 0 {
            self.count.increment(std::mem::take(&mut self.unflushed));
        }
        in_time(self.sink.flush()).await
    }

    /// Waits until a new url is due; without end while nothing was sent since the last one. Cancel safe.
    pub(super) async fn url_is_due(&mut self) {
        if !self.sent_since_url {
            return std::future::pending().await;
        }
        self.url_due.tick().await;
    }
}

/// Waits until the client takes what is sent. What it takes at once, as it nearly always does, needs no timer.
async fn in_time(taken: impl Future<Output = Result<(), SocketError>>) -> Result<(), Gone> {
    let mut taken = pin!(taken);
    let ended = match futures::poll!(&mut taken) {
        Poll::Ready(ended) => ended,
        Poll::Pending => tokio::time::timeout(WRITE_MAX, taken).await.map_err(|_| Gone)?,
    };
    ended.map_err(|_| Gone)
}
