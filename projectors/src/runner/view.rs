//! A view on one replica, and which of its sources this process follows.

use std::{collections::BTreeSet, sync::Arc};

use teamlog_log::TopicPartition;
use tokio::sync::watch;

use super::Progress;
use crate::projector::Projector;

/// A view on a replica, and the part of it that runs in this process.
pub(super) struct View {
    pub(super) projector: Arc<dyn Projector>,
    /// The sources assigned to this process; none if it follows all.
    pub(super) mine: Option<watch::Receiver<BTreeSet<TopicPartition>>>,
    pub(super) progress: watch::Sender<Progress>,
}

impl View {
    /// Returns the sources that this process must follow now.
    pub(super) fn sources(&self) -> BTreeSet<TopicPartition> {
        let mine = self.mine.as_ref().map(watch::Receiver::borrow);
        let all = self.projector.sources().into_iter();
        all.filter(|source| mine.as_ref().is_none_or(|mine| mine.contains(source))).collect()
    }

    /// Completes when this process must follow other sources than `these`.
    pub(super) async fn shared_otherwise(&self, these: &BTreeSet<TopicPartition>) {
        if let Some(mine) = &self.mine {
            let mut mine = mine.clone();
            let all: BTreeSet<_> = self.projector.sources().into_iter().collect();
            let is_other = |mine: &BTreeSet<_>| !all.intersection(mine).eq(these);
            if mine.wait_for(is_other).await.is_ok() {
                return;
            }
        }
        // The assignment is fixed, or its sender is gone: it cannot change any more.
        std::future::pending().await
    }
}
