//! A batch of events folded into rows: which rows it needs, what becomes of them, what is written. No I/O.
//!
//! The rules are those of [`teamlog_state::Team::apply`] and [`teamlog_state::Facts::apply`], row by row.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use teamlog_log::Topic;
use teamlog_schemas::{
    ConversationCreated, ConversationId, Event, Message, MessageDeleted, Person, TeamCreated, TeamId, Text, Thread,
    Token, Ts, UserId, parse_credential_key, parse_mark_key,
};
use teamlog_state::{ConversationRow, Headline, Reactions, TokenState, WriteKey, is_countable};
use uuid::Uuid;

use super::rows::{Conversation, MessageRow, PersonRow, Row, State, TeamRow, digest, token_hash};
use crate::db::{Cell, Cells};

/// Those who replied first that a thread names.
const REPLY_USERS_MAX: usize = 5;

/// Rows of one table: those that were read, and of these the ones to be written.
pub(super) struct Rows<R: Row> {
    pub(super) wanted: BTreeSet<R::Key>,
    pub(super) found: HashMap<R::Key, R>,
    pub(super) dirty: BTreeSet<R::Key>,
    pub(super) gone: BTreeSet<R::Key>,
}

impl<R: Row> Default for Rows<R> {
    fn default() -> Self {
        Rows { wanted: BTreeSet::new(), found: HashMap::new(), dirty: BTreeSet::new(), gone: BTreeSet::new() }
    }
}

impl<R: Row> Rows<R> {
    fn want(&mut self, key: R::Key) {
        self.wanted.insert(key);
    }

    fn put(&mut self, key: R::Key, row: R) {
        self.found.insert(key, row);
        self.gone.remove(&key);
        self.dirty.insert(key);
    }

    fn remove(&mut self, key: R::Key) {
        self.found.remove(&key);
        self.dirty.remove(&key);
        self.gone.insert(key);
    }

    fn change(&mut self, key: R::Key, change: impl FnOnce(&mut R)) {
        if let Some(row) = self.found.get_mut(&key) {
            change(row);
            self.dirty.insert(key);
        }
    }

    /// The rows to be written, in the order of their keys: two writers of one table would not lock each other out.
    pub(super) fn written(self) -> impl Iterator<Item = Cells> + Send {
        self.dirty.into_iter().filter_map(move |key| Some(self.found.get(&key)?.cells(key)))
    }
}

/// A row that is there or not.
type Present = BTreeMap<(TeamId, ConversationId, UserId), bool>;

/// One batch's rows.
pub(super) struct Fold {
    shard: String,
    pub(super) teams: Rows<TeamRow>,
    pub(super) people: Rows<PersonRow>,
    pub(super) conversations: Rows<Conversation>,
    pub(super) messages: Rows<MessageRow>,
    pub(super) threads: Rows<Thread>,
    pub(super) tokens: Rows<TokenState>,
    pub(super) members: Present,
    pub(super) closed: Present,
    pub(super) bots: BTreeMap<(TeamId, u64), Cells>,
    pub(super) deletions: Vec<Cells>,
    pub(super) mentions: Vec<Cells>,
    pub(super) passwords: BTreeMap<(TeamId, UserId), Uuid>,
    pub(super) write_keys: Vec<Cells>,
    pub(super) marks: BTreeMap<(TeamId, UserId, ConversationId), Option<Ts>>,
    pub(super) credentials: BTreeMap<(TeamId, Uuid), Option<(UserId, String)>>,
    /// The newest event's time.
    pub(super) newest: Ts,
}

impl Fold {
    /// An empty one, for the shard of this name.
    pub(super) fn new(shard: &str) -> Fold {
        Fold {
            shard: shard.to_owned(),
            teams: Rows::default(),
            people: Rows::default(),
            conversations: Rows::default(),
            messages: Rows::default(),
            threads: Rows::default(),
            tokens: Rows::default(),
            members: Present::new(),
            closed: Present::new(),
            bots: BTreeMap::new(),
            deletions: Vec::new(),
            mentions: Vec::new(),
            passwords: BTreeMap::new(),
            write_keys: Vec::new(),
            marks: BTreeMap::new(),
            credentials: BTreeMap::new(),
            newest: Ts::ZERO,
        }
    }

    /// Notes which rows an event needs to have been read.
    pub(super) fn want(&mut self, event: &Event) {
        let Some(team) = event.team() else { return };
        if event.topic() != Topic::Events.name() {
            return;
        }
        self.teams.want(team);
        if let Some(conversation) = event.conversation() {
            self.conversations.want((team, conversation));
        }
        if let Event::TeamCreated(e) = event {
            self.people.want((team, e.owner.user));
        } else if let Event::UserCreated(e) = event {
            self.people.want((team, e.person.user));
        } else if let Event::MessageImported(e) = event {
            self.messages.want((team, e.conversation, e.message.ts));
            if let Some(root) = e.message.thread_ts {
                self.threads.want((team, e.conversation, root));
                self.messages.want((team, e.conversation, root));
            }
            self.threads.want((team, e.conversation, e.message.ts));
        }
        if let Some(change) = event.change() {
            self.messages.want((team, change.conversation, change.ts));
        }
        let revoked = if let Event::TokenRevoked(e) = event { Some(&e.hash) } else { None };
        if let Some(hash) = event.token().map(|token| &token.hash).or(revoked).and_then(|hash| token_hash(hash)) {
            self.tokens.want((team, hash));
        }
    }

    /// Folds one event in. A team that did not begin on this shard is another shard's.
    pub(super) fn apply(&mut self, event: &Arc<Event>) {
        let Some(meta) = event.meta() else { return };
        let team = meta.team;
        if let Event::ReadMarked(e) = &**event {
            if let Some(user) = e.meta.actor {
                self.marks.insert((team, user, e.conversation), Some(e.ts));
            }
            return;
        }
        if let Event::CredentialStored(e) = &**event {
            self.credentials.insert((team, e.credential_id), Some((e.user, e.sealed.clone())));
            return;
        }
        if let Event::TeamCreated(e) = &**event
            && e.shard == self.shard
            && !self.teams.found.contains_key(&team)
        {
            self.teams.put(team, begun(e));
        }
        if !self.teams.found.contains_key(&team) {
            return;
        }
        self.newest = self.newest.max(meta.at);
        self.change(team, event);
        self.add_messages(team, event);
        let given = event.given_ts();
        if given > Ts::ZERO {
            self.teams.change(team, |row| row.last_ts = row.last_ts.max(given));
        }
        if let Some(key) = WriteKey::of(event)
            && let Ok(bytes) = event.encode()
        {
            let digest = digest(&key);
            let row = vec![team.into(), digest.as_slice().into(), meta.at.into(), Cell::Bytes(bytes.to_vec())];
            self.write_keys.push(row);
        }
    }

    /// A tombstone of `marks` or `credentials`; other keys are nobody's.
    pub(super) fn tombstone(&mut self, is_mark: bool, key: &[u8]) {
        if is_mark {
            if let Some((team, user, conversation)) = parse_mark_key(key) {
                self.marks.insert((team, user, conversation), None);
            }
        } else if let Some((team, _, credential)) = parse_credential_key(key) {
            self.credentials.insert((team, credential), None);
        }
    }

    fn change(&mut self, team: TeamId, event: &Event) {
        match event {
            Event::TeamCreated(e) => self.on_team_created(e),
            Event::UserCreated(e) => {
                self.add_person(team, &e.person, e.meta.at, e.token.as_ref());
                self.set_password(team, e.person.user, e.credential_id);
            }
            Event::BotAdded(e) => {
                let extra = e.extra.as_ref().map(Text::as_str).into();
                let cells = vec![team.into(), e.bot.into(), e.name.as_str().into(), extra];
                self.bots.insert((team, e.bot.packed()), cells);
            }
            Event::PasswordSet(e) => self.set_password(team, e.user, Some(e.credential_id)),
            Event::TokenIssued(e) => self.add_token(team, &e.token),
            Event::TokenRevoked(e) => {
                if let Some(hash) = token_hash(&e.hash) {
                    self.tokens.change((team, hash), |token| token.revoked = true);
                }
            }
            Event::ConversationCreated(e) => self.on_conversation_created(team, e),
            Event::ConversationOpened(e) => self.set_closed(team, e.conversation, e.meta.actor, false),
            Event::ConversationClosed(e) => self.set_closed(team, e.conversation, e.meta.actor, true),
            Event::MembersJoined(_) | Event::MemberLeft(_) => {
                for change in event.memberships() {
                    self.members.insert((team, change.conversation, change.user), change.joined);
                }
            }
            Event::ConversationRenamed(e) => self.with(team, e.conversation, |row| {
                row.previous_names.push(e.old_name.clone());
                row.name = Some(e.name.clone());
            }),
            Event::TopicSet(e) => {
                let topic = Headline::set(&e.topic, e.meta.actor, e.ts);
                self.with(team, e.conversation, |row| row.topic = topic);
            }
            Event::PurposeSet(e) => {
                let purpose = Headline::set(&e.purpose, e.meta.actor, e.ts);
                self.with(team, e.conversation, |row| row.purpose = purpose);
            }
            Event::ConversationArchived(e) => self.with(team, e.conversation, |row| row.is_archived = true),
            Event::ConversationUnarchived(e) => self.with(team, e.conversation, |row| row.is_archived = false),
            Event::MessagePosted(e) => {
                for user in &e.opens_for {
                    self.set_closed(team, e.conversation, Some(*user), false);
                }
                let named = e.mentions.iter().map(|user| Cell::from(*user));
                for person in named.chain(e.broadcast.map(|_| Cell::Int(0))) {
                    self.mentions.push(vec![team.into(), person, e.conversation.into(), e.message.ts.into()]);
                }
            }
            Event::MessageEdited(e) => {
                self.messages.change((team, e.conversation, e.after.ts), |row| {
                    if row.state != State::Deleted {
                        row.message = e.after.clone();
                    }
                });
            }
            Event::MessageDeleted(e) => self.on_deleted(team, e),
            Event::ReactionAdded(e) => {
                if let Some(user) = e.meta.actor {
                    self.with_reactions(team, e.conversation, e.ts, |all| all.add_reaction(&e.name, user));
                }
            }
            Event::ReactionRemoved(e) => {
                if let Some(user) = e.meta.actor {
                    self.with_reactions(team, e.conversation, e.ts, |all| all.remove_reaction(&e.name, user));
                }
            }
            // Their messages are all there is to them.
            Event::MessageImported(_) => {}
            // Of other topics.
            Event::ClusterFounded(_)
            | Event::TeamRegistered(_)
            | Event::NodeBeat(_)
            | Event::ReadMarked(_)
            | Event::CredentialStored(_) => {}
        }
    }

    /// The messages that an event adds, posted, imported or implied, and what they do to their conversation.
    fn add_messages(&mut self, team: TeamId, event: &Event) {
        for (conversation, message) in event.messages() {
            let (ts, imported) = (message.ts, matches!(event, Event::MessageImported(_)));
            let counted = matches!(event, Event::MessagePosted(_)) && is_countable(&message);
            let mut ordinal = 0;
            self.with(team, conversation, |row| {
                row.latest = row.latest.max(ts);
                if !imported {
                    row.first_posted = row.first_posted.min(ts);
                    row.ordinal += u64::from(counted);
                    ordinal = row.ordinal;
                }
            });
            let reactions = if let Event::MessageImported(e) = event { e.reactions.clone() } else { Vec::new() };
            if let Event::MessagePosted(e) = event
                && let Some(thread) = &e.thread
            {
                self.threads.put((team, conversation, thread.root), thread.clone());
            }
            if imported {
                self.thread_of_import(team, conversation, &message);
            }
            let row = MessageRow { ordinal, counted, state: State::There, message, reactions };
            self.messages.put((team, conversation, ts), row);
        }
    }

    /// An imported reply brings no thread with it, so it is counted here.
    fn thread_of_import(&mut self, team: TeamId, conversation: ConversationId, message: &Message) {
        self.threads.change((team, conversation, message.ts), |thread| thread.root_author = message.user);
        let Some(root) = message.thread_ts.filter(|_| message.is_reply()) else { return };
        let key = (team, conversation, root);
        let is_new = self.messages.found.get(&(team, conversation, message.ts)).is_none_or(|m| m.state != State::There);
        if !is_new {
            return;
        }
        let root_author = self.messages.found.get(&key).and_then(|root| root.message.user);
        let mut thread = self.threads.found.get(&key).cloned().unwrap_or_else(|| Thread {
            root,
            root_author,
            reply_count: 0,
            latest_reply: None,
            reply_users: Vec::new(),
        });
        thread.reply_count += 1;
        thread.latest_reply = thread.latest_reply.max(Some(message.ts));
        if let Some(user) = message.user
            && thread.reply_users.len() < REPLY_USERS_MAX
            && !thread.reply_users.contains(&user)
        {
            thread.reply_users.push(user);
        }
        self.threads.put(key, thread);
    }

    fn on_team_created(&mut self, event: &TeamCreated) {
        let (team, owner, at) = (event.meta.team, event.owner.user, event.meta.at);
        self.add_person(team, &event.owner, at, event.token.as_ref());
        self.set_password(team, owner, event.credential_id);
        for first in &event.channels {
            self.add_conversation(team, ConversationRow::first(first, owner, at));
            self.members.insert((team, first.conversation, owner), true);
        }
    }

    fn add_person(&mut self, team: TeamId, person: &Person, since: Ts, token: Option<&Token>) {
        let key = (team, person.user);
        if !self.people.found.contains_key(&key)
            && let Some(idx) = self.teams.found.get(&team).map(|row| row.people)
        {
            self.people.put(key, PersonRow { idx, since, person: person.clone() });
            self.teams.change(team, |row| row.people += 1);
        }
        if let Some(token) = token {
            self.add_token(team, token);
        }
    }

    fn add_token(&mut self, team: TeamId, token: &Token) {
        let Some(hash) = token_hash(&token.hash) else { return };
        if !self.tokens.found.contains_key(&(team, hash)) {
            self.tokens.put((team, hash), TokenState { user: token.user, kind: token.kind, revoked: false });
        }
    }

    fn set_password(&mut self, team: TeamId, user: UserId, credential: Option<Uuid>) {
        if let Some(credential) = credential {
            self.passwords.insert((team, user), credential);
        }
    }

    fn add_conversation(&mut self, team: TeamId, row: ConversationRow) {
        let key = (team, row.conversation);
        if !self.conversations.found.contains_key(&key)
            && let Some(idx) = self.teams.found.get(&team).map(|row| row.conversations)
        {
            self.conversations.put(key, Conversation { idx, row });
            self.teams.change(team, |row| row.conversations += 1);
        }
    }

    fn on_conversation_created(&mut self, team: TeamId, event: &ConversationCreated) {
        self.add_conversation(team, ConversationRow::created(event));
        for user in &event.members {
            self.members.insert((team, event.conversation, *user), true);
            if !event.kind.is_channel() && Some(*user) != event.meta.actor {
                self.set_closed(team, event.conversation, Some(*user), !event.imported);
            }
        }
    }

    fn on_deleted(&mut self, team: TeamId, event: &MessageDeleted) {
        let (conversation, ts) = (event.conversation, event.before.ts);
        let mut counted = false;
        self.messages.change((team, conversation, ts), |row| {
            counted = row.counted && row.state == State::There;
            if event.tombstone {
                row.state = State::Tombstone;
            } else {
                row.state = State::Deleted;
                let (thread_ts, reply_broadcast) = (row.message.thread_ts, row.message.reply_broadcast);
                row.message = Message { ts, user: row.message.user, thread_ts, reply_broadcast, ..Message::default() };
                row.reactions.clear();
            }
        });
        if counted {
            self.deletions.push(vec![team.into(), conversation.into(), ts.into()]);
        }
        if event.before.is_reply()
            && let Some(root) = event.before.thread_ts
        {
            match &event.thread {
                Some(thread) => self.threads.put((team, conversation, root), thread.clone()),
                None => self.threads.remove((team, conversation, root)),
            }
        }
    }

    fn with_reactions(
        &mut self,
        team: TeamId,
        conversation: ConversationId,
        ts: Ts,
        change: impl FnOnce(&mut Vec<teamlog_schemas::Reaction>) -> bool,
    ) {
        self.messages.change((team, conversation, ts), |row| {
            if row.state != State::Deleted {
                change(&mut row.reactions);
            }
        });
    }

    fn set_closed(&mut self, team: TeamId, conversation: ConversationId, user: Option<UserId>, closed: bool) {
        if let Some(user) = user {
            self.closed.insert((team, conversation, user), closed);
        }
    }

    fn with(&mut self, team: TeamId, conversation: ConversationId, change: impl FnOnce(&mut ConversationRow)) {
        self.conversations.change((team, conversation), |conversation| change(&mut conversation.row));
    }
}

fn begun(event: &TeamCreated) -> TeamRow {
    TeamRow {
        domain: event.domain.clone(),
        name: event.name.clone(),
        shard: event.shard.clone(),
        created: event.meta.at,
        last_ts: Ts::ZERO,
        people: 0,
        conversations: 0,
    }
}
