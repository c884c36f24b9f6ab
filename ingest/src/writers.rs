//! The trait of the writers that commands go to.

use async_trait::async_trait;
use teamlog_log::Partition;

use crate::{Answer, DirectoryRequest, Request};

/// The receivers of commands: this process's writers, or those of other nodes.
#[async_trait]
pub trait Writers: Send + Sync + 'static {
    /// Submits a command to the writer of a partition of `events` and waits for its answer, at most until its deadline.
    async fn submit(&self, partition: Partition, request: Request) -> Answer;

    /// Submits a request to the writer of the directory and waits for its answer, at most until its deadline.
    async fn register(&self, request: DirectoryRequest) -> Answer;

    /// Whether a partition's commands are decided in the order in which their calls were first polled. If not (when they are
    /// forwarded to another node), a caller that needs an order waits for the first answer before the second call.
    fn in_order(&self) -> bool {
        false
    }
}
