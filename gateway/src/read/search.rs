//! What the gateway asks of the search index.

use async_trait::async_trait;
use teamlog_schemas::{ConversationId, TeamId, Ts, UserId};
use teamlog_state::{MessageFact, SourceError};

/// How what was found is put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchOrder {
    /// The best first.
    Score,
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchQuery {
    /// Words that must all be there; a phrase stands in double quotes, `-word` must not be there. May be empty: then
    /// the filters alone decide.
    pub words: String,
    /// Only in these: all that the reader may read, narrowed by `in:`. Ascending.
    pub conversations: Vec<ConversationId>,
    /// Only by this person.
    pub from: Option<UserId>,
    /// Only those that have all of these: `link`, `reaction`, `:emoji:`, `thread` (a reply).
    pub has: Vec<String>,
    /// Only from this on.
    pub after: Ts,
    /// Only before this.
    pub before: Ts,
    /// The order.
    pub order: SearchOrder,
    /// Hits to pass over.
    pub skip: usize,
    /// Hits to give at most.
    pub count: usize,
}

/// One message that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchHit {
    /// Where.
    pub conversation: ConversationId,
    /// The message as it is now.
    pub fact: MessageFact,
    /// How well it fits.
    pub score: f32,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchFound {
    /// How much in all.
    pub total: usize,
    /// The wanted page of it.
    pub hits: Vec<SearchHit>,
}

/// The search index and the tail behind it.
#[async_trait]
pub trait SearchReader: Send + Sync + 'static {
    /// Looks for messages. What `reader` wrote and was acknowledged before the call is found, and what was edited or
    /// deleted before it is as it is now.
    ///
    /// # Errors
    /// If no search node answers in time.
    async fn search(&self, team: TeamId, reader: UserId, query: SearchQuery) -> Result<SearchFound, SourceError>;
}
