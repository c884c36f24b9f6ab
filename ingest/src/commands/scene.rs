//! The scene that samples of commands are made for.

use teamlog_schemas::{
    ConversationId, Edited, Message, Meta, Person, ScheduleId, TeamId, TeamRegistered, Token, TokenKind, Ts, UserId,
};
use uuid::Uuid;

/// People, a conversation and a message that samples of commands name. [`Scene::default`] is the one whose samples are held
/// against golden files.
#[derive(Clone, Debug)]
pub struct Scene {
    /// A team.
    pub team: TeamId,
    /// A conversation of it.
    pub conversation: ConversationId,
    /// A message there.
    pub message: Ts,
    /// A person of the team.
    pub user: UserId,
    /// Some people of the team, in the default scene at least one.
    pub users: Vec<UserId>,
    /// The hash of somebody's token, in hex.
    pub token_hash: String,
    /// A scheduled message of the team's.
    pub schedule: ScheduleId,
    /// A time in the future.
    pub later: Ts,
    /// A time before everything that was posted.
    pub long_ago: Ts,
    /// A number that new names and ids are made of.
    pub number: usize,
}

impl Default for Scene {
    fn default() -> Scene {
        let id = |id: &str| id.parse().expect("an id");
        Scene {
            team: "T1".parse().expect("an id"),
            conversation: "C1".parse().expect("an id"),
            message: Ts::from_micros(1_700_000_000_123_456),
            user: id("U1"),
            users: vec![id("U1"), id("U2")],
            token_hash: "ab".repeat(32),
            schedule: "Q1".parse().expect("an id"),
            later: Ts::from_micros(1_700_000_900_000_000),
            long_ago: Ts::from_micros(1_400_000_000_000_001),
            number: 3,
        }
    }
}

impl Scene {
    /// Returns one of a few names that begin so, so that names are at times taken.
    pub(super) fn name(&self, first: &str) -> String {
        format!("{first}{}", self.number % 9)
    }

    /// Returns one of a few emoji.
    pub(super) fn emoji(&self) -> String {
        ["tada", "wave::skin-tone-3", "+1"][self.number % 3].to_owned()
    }

    /// Returns a text with a mention, and characters that JSON writes in its own way.
    pub(super) fn text(&self) -> String {
        format!("<@{}> said \"{}\"\nand \u{0} \u{1f600}", self.user, self.number)
    }

    /// Returns a registration of the team.
    pub(super) fn registered(&self) -> TeamRegistered {
        let key = Some("key \"with quotes\"".to_owned());
        let meta = Meta {
            event_id: Uuid::from_u128(3),
            team: self.team,
            actor: Some(self.user),
            at: self.message,
            key,
            method: Some("method".to_owned()),
        };
        let owner = Person {
            user: self.user,
            name: "ada".into(),
            real_name: "Ada \u{1f600}".into(),
            email: Some("ada@example.com".into()),
            is_admin: true,
            is_owner: true,
            bot: Some("B1".parse().expect("an id")),
            deleted: true,
            tz: Some("Europe/London".to_owned()),
            extra: Some("{}".into()),
        };
        let general = teamlog_schemas::FirstChannel {
            conversation: self.conversation,
            name: "general".to_owned(),
            is_general: true,
            purpose: "all".into(),
        };
        TeamRegistered {
            meta,
            domain: "acme".to_owned(),
            name: "Acme".to_owned(),
            partition: 3,
            shard: "s1".to_owned(),
            owner,
            channels: vec![general],
            token: Some(Token { user: self.user, kind: TokenKind::Bot, hash: self.token_hash.clone() }),
            credential_id: Some(Uuid::from_u128(4)),
        }
    }

    /// Returns a message of long ago in which nothing is left out.
    pub(super) fn full_message(&self) -> Message {
        Message {
            ts: self.long_ago,
            user: Some(self.user),
            bot: Some("B1".parse().expect("an id")),
            subtype: Some("bot_message".to_owned()),
            text: self.text().into(),
            blocks: Some("[]".into()),
            attachments: Some("[]".into()),
            thread_ts: Some(self.long_ago),
            reply_broadcast: true,
            edited: Some(Edited { user: self.user, ts: self.message }),
            username: Some("robot".into()),
            icons: Some("{}".into()),
            client_msg_id: Some("c1".to_owned()),
            extra: Some("{}".into()),
        }
    }
}
