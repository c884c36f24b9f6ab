//! A message is deleted.

use serde::{Deserialize, Serialize};
use teamlog_schemas::{ConversationId, MessageDeleted, Thread, Ts};
use teamlog_state::{FactsWanted, Team, thread_of};

use super::Act;
use crate::{Refusal, decide::Context};

/// Deletes a message: the actor's own, or by an admin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delete {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message.
    pub ts: Ts,
}

impl Act for Delete {
    type Made = MessageDeleted;
    type Otherwise = Refusal;

    /// Asks for the message and for the replies of its thread, in case it is a root. If it is found to be a reply, the
    /// writer reads its root and the other replies too.
    fn wants(&self, _: &Team) -> FactsWanted {
        let name = (self.conversation, self.ts);
        FactsWanted { messages: vec![name], replies: vec![name], ..FactsWanted::default() }
    }

    fn decide(&self, it: &mut Context<'_, '_>) -> Result<MessageDeleted, Refusal> {
        let Delete { conversation, ts } = *self;
        let (_, fact) = it.message(conversation, ts)?;
        let before = fact.message.clone();
        if !it.is_admin() && before.user != it.origin.actor {
            return Err(Refusal::CantDeleteMessage);
        }
        let root = before.thread_ts.filter(|_| before.is_reply());
        let thread = root.and_then(|root| self.thread_without(it, root));
        let tombstone = fact.thread.as_ref().is_some_and(|thread| thread.reply_count > 0);
        Ok(MessageDeleted { meta: it.meta(), conversation, before, tombstone, thread })
    }

    #[cfg(any(test, feature = "testing"))]
    fn samples(scene: &super::Scene) -> Vec<Self> {
        vec![Delete { conversation: scene.conversation, ts: scene.message }]
    }
}

impl Delete {
    /// Returns the thread without the reply that is deleted.
    fn thread_without(&self, it: &Context<'_, '_>, root: Ts) -> Option<Thread> {
        let replies = it.facts.replies.get(&(self.conversation, root))?;
        let left: Vec<_> = replies.iter().filter(|(ts, _)| *ts != self.ts).copied().collect();
        let root_author = it.facts.message(self.conversation, root).and_then(|fact| fact.message.user);
        Some(thread_of(root, root_author, &left))
    }
}
