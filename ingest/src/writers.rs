//! Where commands go.

use async_trait::async_trait;
use teamlog_log::Partition;

use crate::{Answer, DirectoryRequest, Request};

/// Where commands go: to this process's writers, or to another node's.
#[async_trait]
pub trait Writers: Send + Sync + 'static {
    /// Hands a command to the writer of a partition of `events` and waits for what becomes of it, at most to its deadline.
    async fn submit(&self, partition: Partition, request: Request) -> Answer;

    /// The same for the writer of the directory.
    async fn register(&self, request: DirectoryRequest) -> Answer;

    /// Whether a partition's commands are decided in the order in which their calls were first polled. Where not, as on
    /// their way to another node, who cares for the order of two waits for the answer to the first.
    fn in_order(&self) -> bool {
        false
    }
}
