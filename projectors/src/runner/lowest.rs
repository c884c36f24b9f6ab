//! Where a feed has to begin for the views.

use std::{collections::HashMap, sync::Arc, time::Duration};

use teamlog_log::{Position, TopicPartition};
use tracing::warn;

use crate::{fingerprint::OtherSchema, projector::Projector};

/// Returns the positions at which to start a feed that serves readers of all these views: in each source, the lowest
/// position of any view. Of a view's replicas the most recent one counts, as that is the one that is read. A replica that
/// lags more, or does not answer within `wait`, reads the log by itself.
pub async fn lowest_positions(projectors: &[Arc<dyn Projector>], wait: Duration) -> HashMap<TopicPartition, Position> {
    let asked = projectors.iter().map(|projector| async move {
        let positions = match tokio::time::timeout(wait, projector.positions()).await {
            Ok(Ok(positions)) => positions,
            Ok(Err(error)) if error.other_schema().is_some() => {
                error.other_schema().into_iter().for_each(OtherSchema::report);
                return Vec::new();
            }
            Ok(Err(error)) => {
                warn!(view = projector.name(), %error, "a view does not say how far it has come");
                return Vec::new();
            }
            Err(_) => {
                let waited_ms = wait.as_millis() as u64;
                warn!(view = projector.name(), waited_ms, "a view does not say how far it has come");
                return Vec::new();
            }
        };
        let start = |source: &TopicPartition| positions.get(source).copied().unwrap_or(Position::START);
        let sources = projector.sources().into_iter();
        sources.map(|source| ((projector.name(), source), start(&source))).collect()
    });
    let mut furthest: HashMap<(&str, TopicPartition), Position> = HashMap::new();
    for (of, position) in futures::future::join_all(asked).await.into_iter().flatten() {
        let best = furthest.entry(of).or_insert(position);
        if position.offset > best.offset {
            *best = position;
        }
    }
    let mut lowest: HashMap<TopicPartition, Position> = HashMap::new();
    for ((_, source), position) in furthest {
        let least = lowest.entry(source).or_insert(position);
        if position.offset < least.offset {
            *least = position;
        }
    }
    lowest
}
