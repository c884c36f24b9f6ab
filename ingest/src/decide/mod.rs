//! Deciding: pure functions of a team, facts, a command, and what the writer's clock and dice say.

mod attachments;
mod calls;
mod channels;
mod context;
mod directs;
mod messages;
mod names;
mod parts;
mod people;
mod team;

use teamlog_cluster::Secrets;
use teamlog_schemas::{Event, Ts};
use teamlog_state::{Facts, FactsWanted, Team, WriteKey};
use uuid::Uuid;

use crate::{Command, Nothing, Refusal, Request};
use context::Context;
pub use team::{decide_team, team_begun};

/// Time and randomness, given by the writer.
pub struct Now<'a> {
    /// The clock, already within its bound.
    pub at: Ts,
    /// The id of the event to be, a UUID of version 7.
    pub event_id: Uuid,
    /// Dice: 64 random bits a throw.
    pub random: &'a mut dyn FnMut() -> u64,
    /// What tokens are derived from.
    pub secrets: &'a Secrets,
}

/// What a command comes to.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once; nearly all are events")]
pub enum Decision {
    /// One event, whole.
    Event(Event),
    /// It is so already.
    Nothing(Nothing),
}

/// What a command wants to know beside the team.
pub fn facts_wanted(team: &Team, request: &Request) -> FactsWanted {
    let mut wanted = FactsWanted::default();
    match &request.command {
        Command::Post(post) => {
            if let (Some(conversation), Some(root)) = (post.conversation, post.thread_ts) {
                wanted.messages.push((conversation, root));
            }
        }
        Command::Edit(edit) => wanted.messages.push((edit.conversation, edit.ts)),
        Command::Delete { conversation, ts } => {
            wanted.messages.push((*conversation, *ts));
            wanted.replies.push((*conversation, *ts));
        }
        Command::Unfurl(unfurl) => wanted.messages.push((unfurl.conversation, unfurl.ts)),
        Command::RemoveAttachment { conversation, ts, .. } => wanted.messages.push((*conversation, *ts)),
        Command::React { conversation, ts, .. } | Command::Unreact { conversation, ts, .. } => {
            wanted.messages.push((*conversation, *ts));
        }
        Command::ImportMessage(import) => {
            let (conversation, ts) = (import.conversation, import.message.ts);
            // Newer than all that is there, as an archive's messages are that come in order: surely not there yet.
            if team.conversation(conversation).is_some_and(|there| ts <= there.latest) {
                wanted.messages.push((conversation, ts));
            }
        }
        _ => {}
    }
    if let Some(key) = &request.key {
        let key = WriteKey { actor: request.actor, method: request.method.clone().into_owned(), key: key.clone() };
        if team.recent_write(&key).is_none() {
            wanted.key = Some(key);
        }
    }
    wanted
}

/// Decides one command against a team. Whether its idempotency key was used already is asked before this.
///
/// # Errors
/// Why it may not or cannot be carried out.
pub fn decide(team: &Team, facts: &Facts, request: &Request, now: Now<'_>) -> Result<Decision, Refusal> {
    let mut it = Context::new(team, facts, request, now)?;
    match &request.command {
        Command::BeginTeam(_) => Ok(Decision::Nothing(Nothing::AlreadyBegun)),
        Command::CreateUser(new) => people::create_user(&mut it, new),
        Command::AddBot { bot, name, extra } => people::add_bot(&it, *bot, name, extra.as_deref()),
        Command::IssueToken { user } => people::issue_token(&it, *user),
        Command::RevokeToken { hash } => people::revoke_token(&it, hash),
        Command::SetPassword { user, credential_id } => people::set_password(&it, *user, *credential_id),
        Command::CreateConversation(new) => channels::create(&mut it, new),
        Command::Join { conversation } => channels::join(&it, *conversation),
        Command::Invite { conversation, users } => channels::invite(&it, *conversation, users),
        Command::Leave { conversation } => channels::leave(&it, *conversation),
        Command::Kick { conversation, user } => channels::kick(&it, *conversation, *user),
        Command::Rename { conversation, name } => channels::rename(&it, *conversation, name),
        Command::SetTopic { conversation, topic } => channels::set_topic(&it, *conversation, topic),
        Command::SetPurpose { conversation, purpose } => channels::set_purpose(&it, *conversation, purpose),
        Command::Archive { conversation } => channels::archive(&it, *conversation),
        Command::Unarchive { conversation } => channels::unarchive(&it, *conversation),
        Command::OpenDirect { users } => directs::open(&mut it, users),
        Command::OpenConversation { conversation } => directs::reopen(&it, *conversation),
        Command::CloseDirect { conversation } => directs::close(&it, *conversation),
        Command::Post(post) => messages::post(&it, post),
        Command::ImportMessage(import) => messages::import(&it, import),
        Command::Edit(edit) => messages::edit(&it, edit),
        Command::Unfurl(unfurl) => messages::unfurl(&it, unfurl),
        Command::RemoveAttachment { conversation, ts, number } => {
            messages::remove_attachment(&it, *conversation, *ts, *number)
        }
        Command::Delete { conversation, ts } => messages::delete(&it, *conversation, *ts),
        Command::React { conversation, ts, name } => messages::react(&it, *conversation, *ts, name),
        Command::Unreact { conversation, ts, name } => messages::unreact(&it, *conversation, *ts, name),
    }
}
