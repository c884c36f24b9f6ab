//! The end of a partition, from one request to the log that all concurrent callers share.

use parking_lot::Mutex;

use crate::{LogError, Offset};

/// The requests for the end of one partition, one at a time.
#[derive(Default)]
pub(super) struct Ends {
    /// Held during a request to the log.
    turn: tokio::sync::Mutex<()>,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    /// The number of requests that were begun.
    begun: u64,
    /// The newest request that was answered: its number and the answer.
    answered: Option<(u64, Result<Offset, LogError>)>,
}

impl Ends {
    /// Returns the end at some moment during this call. A request that was in flight before the call may return an older end, so
    /// callers that arrive meanwhile wait for the next request, which one of them makes for all.
    pub(super) async fn end(
        &self,
        request: impl Future<Output = Result<Offset, LogError>>,
    ) -> Result<Offset, LogError> {
        let before = self.requests.lock().begun;
        let _turn = self.turn.lock().await;
        let number = {
            let mut requests = self.requests.lock();
            if let Some((number, answer)) = &requests.answered
                && *number > before
            {
                return answer.clone();
            }
            requests.begun += 1;
            requests.begun
        };
        let answer = request.await;
        self.requests.lock().answered = Some((number, answer.clone()));
        answer
    }
}
