//! Who waits for another node's answer need not wait for longer than that node lives.

use std::sync::Arc;

use tokio::sync::watch;
use uuid::Uuid;

use super::Membership;

/// Ends once a process is not among the nodes any more. Where the table has ended, with this process's own heartbeats, it
/// never does.
pub async fn until_gone(mut members: watch::Receiver<Arc<Membership>>, life: Uuid) {
    let is_gone = |members: &Arc<Membership>| members.peers().iter().all(|peer| peer.life != life);
    if members.wait_for(is_gone).await.is_err() {
        std::future::pending::<()>().await;
    }
}
