//! One view on one replica, and which of its sources are followed here.

use std::{collections::BTreeSet, sync::Arc};

use teamlog_log::TopicPartition;
use tokio::sync::watch;

use super::Progress;
use crate::projector::Projector;

/// A view on a replica, as far as it runs here.
pub(super) struct View {
    pub(super) projector: Arc<dyn Projector>,
    /// Which sources are this process's; none if all are.
    pub(super) mine: Option<watch::Receiver<BTreeSet<TopicPartition>>>,
    pub(super) progress: watch::Sender<Progress>,
}

impl View {
    /// What is to be followed here, as of now.
    pub(super) fn sources(&self) -> BTreeSet<TopicPartition> {
        let mine = self.mine.as_ref().map(watch::Receiver::borrow);
        let all = self.projector.sources().into_iter();
        all.filter(|source| mine.as_ref().is_none_or(|mine| mine.contains(source))).collect()
    }

    /// Ends once other sources than `these` are to be followed here.
    pub(super) async fn shared_otherwise(&self, these: &BTreeSet<TopicPartition>) {
        if let Some(mine) = &self.mine {
            let mut mine = mine.clone();
            let all: BTreeSet<_> = self.projector.sources().into_iter().collect();
            let is_other = |mine: &BTreeSet<_>| !all.intersection(mine).eq(these);
            if mine.wait_for(is_other).await.is_ok() {
                return;
            }
        }
        // Nobody changes it any more.
        std::future::pending().await
    }
}
