//! Writing: commands, deciding, the one fenced writer of each partition, and the live teams that it decides against.
//!
//! Read in this order: [`Request`] and [`Answer`], `decide`, `writer` (how a decision becomes a fact), [`Teams`] (the
//! counted state), [`Ingest`] (the facade), [`Nodes`] (who else is there, and what time it is).

mod answer;
pub mod commands;
mod decide;
mod directory_fold;
mod doubts;
pub mod http;
mod limits;
mod local_writers;
mod marks;
mod nodes;
mod random;
mod request;
mod secrets;
mod service;
mod team_fold;
mod teams;
mod writer;
mod writers;

pub use answer::{Acked, Answer, Made, NotAccepted, Nothing, Refusal};
pub use commands::Command;
pub use decide::{Decision, Now, decide, decide_team, facts_wanted, team_begun};
pub use directory_fold::DirectoryRequest;
pub use marks::Marks;
pub use nodes::{CLOCK_BOUND, Clock, JoinError, Membership, NodeParts, Nodes, Peer, Role, SILENT_AFTER, until_gone};
pub use random::Random;
pub use request::{NewPerson, NewTeam, Request};
pub use secrets::{InvalidKeys, Secrets, hash as token_hash, team_named_by};
pub use service::{FoundingError, Ingest, IngestConfig, IngestParts, Writing};
pub use teams::{DirectoryHandle, LiveTeam, Observer, TeamGuard, Teams, TeamsConfig, TeamsError};
pub use writer::{WriterConfig, WriterHandle};
pub use writers::Writers;
