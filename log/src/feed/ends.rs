//! One question for a partition's end shared by all who ask at the same time.

use parking_lot::Mutex;

use crate::{LogError, Offset};

/// The questions of one partition: one at a time.
#[derive(Default)]
pub(super) struct Ends {
    /// Held by whoever asks the log.
    turn: tokio::sync::Mutex<()>,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    /// Questions that were begun.
    begun: u64,
    /// The newest one that was answered, by its number.
    answered: Option<(u64, Result<Offset, LogError>)>,
}

impl Ends {
    /// The end at some moment of this call. A question that was under way before may have been answered by what was true
    /// before: so those who come meanwhile wait for the next one, which one of them asks for all.
    pub(super) async fn end(
        &self,
        question: impl Future<Output = Result<Offset, LogError>>,
    ) -> Result<Offset, LogError> {
        let before = self.asked.lock().begun;
        let _turn = self.turn.lock().await;
        let number = {
            let mut asked = self.asked.lock();
            if let Some((number, answer)) = &asked.answered
                && *number > before
            {
                return answer.clone();
            }
            asked.begun += 1;
            asked.begun
        };
        let answer = question.await;
        self.asked.lock().answered = Some((number, answer.clone()));
        answer
    }
}
