//! The forwarder of one source: reads its entries from the feed and sends them to the view's task.

use std::{sync::Arc, time::Duration};

use teamlog_log::{Body, Entry, Feed, FeedError, Position, TopicPartition};
use teamlog_schemas::Event;
use tokio::sync::mpsc;

/// The wait before the log is asked again.
const RETRY: Duration = Duration::from_millis(100);

/// A message from a forwarder to the view's task.
pub(super) enum Piece {
    /// Entries of a source, whose position before them is given.
    Entries(TopicPartition, Position, Vec<Arc<Entry<Event>>>),
    /// The source cannot be read further, and why. The forwarder has ended.
    Stopped(TopicPartition, String),
}

/// Sends a source's entries to the view's task, in log order. Ends before the first entry that this program cannot decode.
pub(super) async fn forward(feed: Feed<Event>, source: TopicPartition, from: Position, pieces: mpsc::Sender<Piece>) {
    let mut subscriber = feed.subscribe(source, from);
    // A view ahead of the feed waits for the feed. If the log never reached that offset, it would wait for ever.
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
