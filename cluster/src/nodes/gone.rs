//! The end of another process, so that a call to it does not wait longer than it lives.

use std::sync::Arc;

use tokio::sync::watch;
use uuid::Uuid;

use super::Membership;

/// Returns once a process is no longer among the live nodes. Never returns if the table has ended, as it does with this
/// process's own heartbeats.
pub async fn until_gone(mut members: watch::Receiver<Arc<Membership>>, life: Uuid) {
    let is_gone = |members: &Arc<Membership>| members.peers().iter().all(|peer| peer.life != life);
    if members.wait_for(is_gone).await.is_err() {
        std::future::pending::<()>().await;
    }
}
