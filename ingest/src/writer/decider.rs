//! The trait that a writer is generic over.

use std::{fmt::Debug, hash::Hash, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;
use teamlog_log::{Offset, Position};
use teamlog_schemas::{Event, UserId};
use tokio::time::Instant;

use crate::{Decision, NotAccepted, Now, Refusal};

/// Something with the position that it reflects.
pub(crate) type Loaded<T> = (T, Position);
/// A look-up that leaves the writer's task: retryable, or final for the commands that wait for it.
pub(crate) type Lookup<T> = BoxFuture<'static, Result<T, NotAccepted>>;

/// The decisions of a writer, and the state that they are made on, by lane.
pub(crate) trait Decider: Send + Sync + 'static {
    /// A command with all that its decision depends on.
    type Request: Send + Sync + 'static;
    /// The unit that takes turns: a team. The directory has one lane.
    type Lane: Copy + Eq + Hash + Send + Debug + 'static;
    /// The state of a lane.
    type State: Send + 'static;
    /// The facts that a command's decision needs beside the state.
    type Wanted: Send + 'static;
    /// The facts that were read.
    type Facts: Default + Send + 'static;

    fn lane(&self, request: &Self::Request) -> Self::Lane;
    /// Returns the actor whose later commands wait while this one waits for facts.
    fn actor(&self, request: &Self::Request) -> Option<UserId>;
    fn deadline(&self, request: &Self::Request) -> Instant;
    fn traceparent(&self, request: &Self::Request) -> Option<Bytes>;

    /// Loads the counted state of a lane, as of a position that reflects everything below `reflect`.
    fn load(&self, lane: Self::Lane, reflect: Offset) -> Lookup<Loaded<Self::State>>;
    /// Returns the facts that a command needs; `None` if the state is enough.
    fn wanted(&self, state: &Self::State, request: &Self::Request) -> Option<Self::Wanted>;
    /// Reads the facts for several commands of a lane, one each, in order, as of one position.
    fn facts(&self, lane: Self::Lane, wanted: Vec<Self::Wanted>) -> Lookup<Loaded<Vec<Self::Facts>>>;

    fn apply(&self, state: &mut Self::State, event: &Arc<Event>);
    fn apply_facts(&self, facts: &mut Self::Facts, event: &Arc<Event>);
    /// Returns true if an event belongs to a lane.
    fn belongs(&self, lane: Self::Lane, event: &Event) -> bool;

    /// Returns the event of an earlier try of the same idempotency key.
    fn written(&self, state: &Self::State, facts: &Self::Facts, request: &Self::Request) -> Option<Arc<Event>>;
    fn decide(
        &self,
        state: &Self::State,
        facts: &Self::Facts,
        request: &Self::Request,
        now: Now<'_>,
    ) -> Result<Decision, Refusal>;
}
