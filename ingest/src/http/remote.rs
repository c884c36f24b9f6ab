//! Writers on other nodes: whoever owns a partition by the table of the moment.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use serde::Serialize;
use teamlog_log::{Partition, TopicPartition};
use tokio::{sync::watch, time::Instant};
use tracing::debug;
use uuid::Uuid;

use super::{
    link::{Link, LinkError},
    wire::{Asked, Said},
};
use crate::{Answer, DirectoryRequest, Membership, NotAccepted, Request, Writers};

/// Between two tries where the table does not change meanwhile; it doubles.
const AGAIN: Duration = Duration::from_millis(25);
const AGAIN_MAX: Duration = Duration::from_millis(200);
/// How long behind a command's deadline its answer may still come: the writer answers at the deadline by itself.
const GRACE: Duration = Duration::from_millis(500);

/// Hands commands to their owners, and asks again where an owner has gone.
pub struct RemoteWriters {
    members: watch::Receiver<Arc<Membership>>,
    link: Link,
}

/// What became of one try.
enum Tried {
    Answered(Answer),
    /// Surely nothing.
    NotThere(NotAccepted),
    /// Nobody knows.
    Lost,
}

impl RemoteWriters {
    /// By this table, over this link.
    pub fn new(members: watch::Receiver<Arc<Membership>>, link: Link) -> RemoteWriters {
        RemoteWriters { members, link }
    }

    /// Asks the owner of the moment until there is an answer. Where one try may have been carried out, another one is sound
    /// only if it `may_repeat`: whoever owns the partition then has read what became of the first, for its claim ended the
    /// epoch of whoever had it before.
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
                        () = gone(members.clone(), owner.life), if may_repeat => Tried::Lost,
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
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        match self.link.call(address, Method::POST, path, headers, body, deadline + GRACE).await {
            Ok(answer) if answer.status() == StatusCode::OK => match serde_json::from_slice::<Said>(answer.body()) {
                Ok(said) => match said.answer() {
                    Answer::NotAccepted { why: why @ (NotAccepted::NotOwner | NotAccepted::Stopping), .. } => {
                        Tried::NotThere(why)
                    }
                    answer => Tried::Answered(answer),
                },
                // It was understood and answered, as a newer node answers: what it said nobody here can tell.
                Err(_) => Tried::Answered(Answer::Unknown),
            },
            // Starting, or stopping.
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => Tried::NotThere(NotAccepted::NotOwner),
            Ok(answer) if answer.status().is_server_error() => Tried::Lost,
            // Refused as such: a wrong key, or another version.
            Ok(answer) => {
                debug!(address, status = %answer.status(), "another node refuses a command");
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

/// Ends once a process is not among the nodes any more.
async fn gone(mut members: watch::Receiver<Arc<Membership>>, life: Uuid) {
    let is_gone = |members: &Arc<Membership>| members.peers().iter().all(|peer| peer.life != life);
    if members.wait_for(is_gone).await.is_err() {
        // The table has ended with this process's heartbeats: it tells nothing any more.
        std::future::pending::<()>().await;
    }
}

/// An answer to a repeat whose first try may yet have been carried out: only what is true of both is passed on.
fn after_a_loss(answer: Answer) -> Answer {
    match answer {
        Answer::NotAccepted { .. } => Answer::Unknown,
        other => other,
    }
}

#[async_trait]
impl Writers for RemoteWriters {
    async fn submit(&self, partition: Partition, request: Request) -> Answer {
        let (deadline, is_keyed) = (request.deadline, request.key.is_some());
        let of = TopicPartition::events(partition);
        self.ask("/internal/commands", of, Some(partition), request, deadline, is_keyed).await
    }

    async fn register(&self, request: DirectoryRequest) -> Answer {
        let may_repeat = match &request {
            DirectoryRequest::Found { .. } => true,
            DirectoryRequest::Register(new) => new.key.is_some(),
        };
        let deadline = request.deadline();
        self.ask("/internal/directory", TopicPartition::DIRECTORY, None, request, deadline, may_repeat).await
    }
}
