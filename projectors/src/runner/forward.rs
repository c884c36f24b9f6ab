//! A forwarder: what comes in one source, on to the view's task.

use std::{sync::Arc, time::Duration};

use teamlog_log::{Body, Entry, Feed, FeedError, Position, TopicPartition};
use teamlog_schemas::Event;
use tokio::sync::mpsc;

/// The wait before the log is asked again.
const RETRY: Duration = Duration::from_millis(100);

/// What a forwarder sends.
pub(super) enum Piece {
    /// Entries of a source that stood there.
    Entries(TopicPartition, Position, Vec<Arc<Entry<Event>>>),
    /// The source cannot be read on.
    Stopped(TopicPartition, String),
}

/// Sends a source's entries on, up to the first one that this program cannot read.
pub(super) async fn forward(feed: Feed<Event>, source: TopicPartition, from: Position, pieces: mpsc::Sender<Piece>) {
    let mut subscriber = feed.subscribe(source, from);
    // Who is ahead waits for the feed, and would wait for ever where the log never was as long.
    while from.offset > feed.position(source).offset {
        match feed.check(source, &from).await {
            Ok(()) => break,
            Err(why) if why.may_pass() => tokio::time::sleep(RETRY).await,
            Err(why) => {
                let _ = pieces.send(Piece::Stopped(source, why.to_string())).await;
                return;
            }
        }
    }
    loop {
        let before = subscriber.position();
        match subscriber.next().await {
            Ok(mut entries) => {
                let unreadable = entries.iter().position(|entry| matches!(entry.body, Body::Undecodable(_)));
                let why = unreadable.and_then(|at| match &entries[at].body {
                    Body::Undecodable(why) => Some(format!("offset {}: {why}", entries[at].offset)),
                    _ => None,
                });
                entries.truncate(unreadable.unwrap_or(entries.len()));
                if !entries.is_empty() && pieces.send(Piece::Entries(source, before, entries)).await.is_err() {
                    return;
                }
                if let Some(why) = why {
                    let _ = pieces.send(Piece::Stopped(source, why)).await;
                    return;
                }
            }
            Err(why) if why.may_pass() => tokio::time::sleep(RETRY).await,
            Err(FeedError::Stopping) => return,
            Err(why) => {
                let _ = pieces.send(Piece::Stopped(source, why.to_string())).await;
                return;
            }
        }
    }
}
