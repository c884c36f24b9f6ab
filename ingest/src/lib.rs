//! The write path: commands, deciding, and the one fenced writer of each partition.
//!
//! Read in this order: [`Request`] and [`Answer`], `decide`, `writer` (how a decision becomes a fact), [`Ingest`] (the
//! facade), `http` (commands on their way between nodes).

mod answer;
mod beginnings;
pub mod commands;
mod decide;
mod directory_decider;
pub mod http;
mod limits;
mod links;
mod local_writers;
mod request;
mod service;
mod team_decider;
mod timers;
mod unresolved;
mod writer;
mod writers;

pub use answer::{Acked, Answer, Made, NotAccepted, Nothing, Refusal};
pub use beginnings::{NewPerson, NewTeam};
pub use commands::Command;
pub use decide::{Decision, Now, decide, decide_team, facts_wanted, team_begun};
pub use directory_decider::DirectoryRequest;
pub use links::{Link, links};
pub use request::Request;
pub use service::{FoundingError, Ingest, IngestConfig, IngestParts, Writing};
pub use writer::{WriterConfig, WriterHandle};
pub use writers::Writers;
