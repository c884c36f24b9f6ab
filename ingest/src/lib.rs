//! The write path: commands, deciding, and the one fenced writer of each partition.
//!
//! Read in this order: [`Request`] and [`Answer`], `decide`, `writer` (how a decision becomes a fact), [`Ingest`] (the
//! facade), `http` (commands on their way between nodes).

mod answer;
mod command;
mod decide;
mod directory_fold;
mod doubts;
pub mod http;
mod limits;
mod links;
mod local_writers;
mod service;
mod team_fold;
mod writer;
mod writers;

pub use answer::{Acked, Answer, NotAccepted, Nothing, Refusal};
pub use command::{
    Command, Edit, ImportedConversation, ImportedMessage, NewConversation, NewPerson, NewTeam, Post, Request, Unfurl,
};
pub use decide::{Decision, Now, decide, decide_team, facts_wanted, team_begun};
pub use directory_fold::DirectoryRequest;
pub use links::{Link, links};
pub use service::{FoundingError, Ingest, IngestConfig, IngestParts, Writing};
pub use writer::{WriterConfig, WriterHandle};
pub use writers::Writers;
