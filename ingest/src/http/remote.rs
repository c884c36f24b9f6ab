//! Writers on other nodes: commands go to the partition's owner by the current membership table.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Serialize;
use teamlog_cluster::{Carrier, LinkError, Membership, until_gone};
use teamlog_log::{Partition, TopicPartition};
use tokio::{sync::watch, time::Instant};
use tracing::debug;

use super::{
    COMMANDS, DIRECTORY,
    wire::{Asked, Said},
};
use crate::{Answer, DirectoryRequest, NotAccepted, Request, Writers};

/// Between two tries where the table does not change meanwhile; it doubles.
const AGAIN: Duration = Duration::from_millis(25);
const AGAIN_MAX: Duration = Duration::from_millis(200);
/// How long after a command's deadline its answer may still come: the writer answers at the deadline by itself.
const GRACE: Duration = Duration::from_millis(500);

/// Forwards commands to the owners of their partitions, and retries when an owner is unavailable.
pub struct RemoteWriters {
    members: watch::Receiver<Arc<Membership>>,
    link: Box<dyn Carrier>,
}

/// The outcome of one try.
enum Tried {
    Answered(Answer),
    /// The command surely did not execute.
    NotThere(NotAccepted),
    /// The outcome is unknown: the reply was lost.
    Lost,
}

impl RemoteWriters {
    /// By this table, over this link.
    pub fn new(members: watch::Receiver<Arc<Membership>>, link: impl Carrier) -> RemoteWriters {
        RemoteWriters { members, link: Box::new(link) }
    }

    /// Asks the owner of the moment until there is an answer. Where one try may have been carried out, another one is sound
    /// only if it `may_repeat`: then both are carried out at most once, and what is acknowledged is true of both.
    async fn ask<T: Serialize>(
        &self,
        path: &str,
        of: TopicPartition,
        partition: Option<Partition>,
        request: T,
        deadline: Instant,
        may_repeat: bool,
    ) -> Answer {
        let mut members = self.members.clone();
        let (mut request, mut pause, mut is_lost) = (request, AGAIN, false);
        loop {
            let owner = members.borrow_and_update().owner(of).cloned();
            let asked = Asked::new(partition, request, deadline);
            let tried = match (owner, serde_json::to_vec(&asked)) {
                (_, Err(why)) => {
                    debug!(%why, "a command cannot be written down");
                    return Answer::not_accepted(NotAccepted::OtherVersion);
                }
                (None, _) => Tried::NotThere(NotAccepted::NotOwner),
                (Some(owner), Ok(body)) => {
                    let tried = self.try_once(&owner.address, path, body.into(), deadline);
                    tokio::select! {
                        tried = tried => tried,
                        // What may be asked again need not wait until a connection to a dead node is found to be dead.
                        () = until_gone(members.clone(), owner.life), if may_repeat => Tried::Lost,
                    }
                }
            };
            request = asked.request;
            let why = match tried {
                Tried::Answered(answer) => return if is_lost { after_a_loss(answer) } else { answer },
                Tried::NotThere(why) => why,
                Tried::Lost if !may_repeat => return Answer::Unknown,
                Tried::Lost => {
                    is_lost = true;
                    NotAccepted::NotOwner
                }
            };
            metrics::counter!("teamlog_commands_tried_again_total").increment(1);
            let again = Instant::now() + pause;
            if again >= deadline {
                return if is_lost { Answer::Unknown } else { Answer::not_accepted(why) };
            }
            if let Ok(Err(_)) = tokio::time::timeout_at(again, members.changed()).await {
                // The table has ended with this process's heartbeats.
                tokio::time::sleep_until(again).await;
            }
            pause = (pause * 2).min(AGAIN_MAX);
        }
    }

    async fn try_once(&self, address: &str, path: &str, body: Bytes, deadline: Instant) -> Tried {
        match self.link.ask(address, path, body, deadline + GRACE).await {
            Ok((StatusCode::OK, body)) => match serde_json::from_slice::<Said>(&body) {
                Ok(said) => match said.answer() {
                    Answer::NotAccepted { why: why @ (NotAccepted::NotOwner | NotAccepted::Stopping), .. } => {
                        Tried::NotThere(why)
                    }
                    answer => Tried::Answered(answer),
                },
                // A newer node's answer that this version cannot decode: the outcome is unknown.
                Err(_) => Tried::Answered(Answer::Unknown),
            },
            // Starting, or stopping.
            Ok((StatusCode::SERVICE_UNAVAILABLE, _)) => Tried::NotThere(NotAccepted::NotOwner),
            Ok((status, _)) if status.is_server_error() => Tried::Lost,
            // Refused as such: a wrong key, or another version.
            Ok((status, _)) => {
                debug!(address, %status, "another node refuses a command");
                Tried::Answered(Answer::not_accepted(NotAccepted::OtherVersion))
            }
            Err(LinkError::NotSent(why)) => {
                debug!(address, why, "an owner cannot be reached");
                Tried::NotThere(NotAccepted::NotOwner)
            }
            Err(LinkError::Broken(why)) => {
                debug!(address, why, "an owner gave no answer");
                metrics::counter!("teamlog_commands_lost_total").increment(1);
                Tried::Lost
            }
        }
    }
}

/// Returns the answer to a retry whose first try may still execute: only what is true of both tries is passed on. A
/// refusal is not: the node with the first try, if it was paused, may become the owner again and execute it later.
fn after_a_loss(answer: Answer) -> Answer {
    match answer {
        Answer::Acked(acked) => Answer::Acked(acked),
        Answer::Nothing { .. } | Answer::Refused(_) | Answer::NotAccepted { .. } | Answer::Unknown => Answer::Unknown,
    }
}

#[async_trait]
impl Writers for RemoteWriters {
    async fn submit(&self, partition: Partition, request: Request) -> Answer {
        let (deadline, is_keyed) = (request.deadline, request.key.is_some());
        let of = TopicPartition::events(partition);
        self.ask(COMMANDS, of, Some(partition), request, deadline, is_keyed).await
    }

    async fn register(&self, request: DirectoryRequest) -> Answer {
        let may_repeat = match &request {
            DirectoryRequest::Found { .. } => true,
            DirectoryRequest::Register(new) => new.key.is_some(),
        };
        let deadline = request.deadline();
        self.ask(DIRECTORY, TopicPartition::DIRECTORY, None, request, deadline, may_repeat).await
    }
}
