//! `conversations.*`: those that read, and the read mark.

use serde_json::{Map, Value, json};
use teamlog_schemas::{ConversationId, ConversationKind, UserId};
use teamlog_state::{Conversation, Team};

use super::{
    Access, CHANNEL, Call, Key, Method, Reply, Retry, Shape, Tier,
    paging::{Conversations, Cursor, PAGE, People},
    takes,
};
use crate::{
    ApiError,
    args::{Limit, Moment, args, one_of},
    limits, read, render,
    rtm::{self, Mark},
};

const CHANNELS: Key = Key::always("channels", Shape::List, "The conversations.");

one_of! {
    enum Type else "invalid_types" {
        PublicChannel = "public_channel",
        PrivateChannel = "private_channel",
        Mpim = "mpim",
        Im = "im",
    }
}

impl Type {
    fn kind(self) -> ConversationKind {
        match self {
            Type::PublicChannel => ConversationKind::PublicChannel,
            Type::PrivateChannel => ConversationKind::PrivateChannel,
            Type::Mpim => ConversationKind::Mpim,
            Type::Im => ConversationKind::Im,
        }
    }
}

/// The kinds that a list is of: public channels if it names none.
fn kinds(types: &[Type]) -> Vec<ConversationKind> {
    if types.is_empty() {
        return vec![ConversationKind::PublicChannel];
    }
    types.iter().map(|one| one.kind()).collect()
}

pub(crate) const LIST: Method = Method {
    name: "conversations.list",
    alias_of: None,
    about: "Lists public channels, and the other conversations that the caller is in.",
    scope: "channels:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Two,
    takes: takes!(List => list),
    answers: &[CHANNELS, PAGE],
    errors: &[],
    examples: &[|| json!({ "types": "public_channel,private_channel", "limit": 2 })],
};

args! {
    struct List {
        /// The kinds of conversations; public channels if it is left out.
        types: Vec<Type>,
        /// The size of a page: 100 if it is left out, at most 1,000.
        limit: Option<Limit>,
        /// True to leave out what is in the archive.
        exclude_archived: bool,
        /// The page's place.
        cursor: Option<Cursor<Conversations>>,
    }
}

async fn list(call: &Call<'_>, args: List) -> Result<Reply, ApiError> {
    let kinds = kinds(&args.types);
    let user = call.caller()?.user;
    let visible = |team: &Team, c: &Conversation| {
        c.kind == ConversationKind::PublicChannel || team.is_member(user, c.conversation)
    };
    let page = Paged { limit: page_size(args.limit), exclude_archived: args.exclude_archived, cursor: args.cursor };
    page.reply(
        call,
        "channels",
        |team, c| kinds.contains(&c.kind) && visible(team, c),
        |team, c| render::conversation(team, c, user, None),
    )
}

pub(crate) const OF_USER: Method = Method {
    name: "users.conversations",
    alias_of: None,
    about: "Lists the conversations that a person is in, of those that the caller may read.",
    scope: "channels:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(OfUser => of_user),
    answers: &[CHANNELS, PAGE],
    errors: &[],
    examples: &[|| json!({ "types": "public_channel,im" }), || json!({ "user": "U0BOB" })],
};

args! {
    struct OfUser {
        /// The person; the caller if it is left out.
        user: Option<UserId>,
        /// The kinds of conversations; public channels if it is left out.
        types: Vec<Type>,
        /// The size of a page: 100 if it is left out, at most 1,000.
        limit: Option<Limit>,
        /// True to leave out what is in the archive.
        exclude_archived: bool,
        /// The page's place.
        cursor: Option<Cursor<Conversations>>,
    }
}

async fn of_user(call: &Call<'_>, args: OfUser) -> Result<Reply, ApiError> {
    let kinds = kinds(&args.types);
    let caller = call.caller()?;
    let viewer = caller.user;
    let user = args.user.unwrap_or(viewer);
    if caller.team.read().person(user).is_none() {
        return Err(ApiError::refused("user_not_found"));
    }
    let wanted = |team: &Team, c: &Conversation| {
        kinds.contains(&c.kind) && team.is_member(user, c.conversation) && team.may_read(viewer, c.conversation)
    };
    let page = Paged { limit: page_size(args.limit), exclude_archived: args.exclude_archived, cursor: args.cursor };
    page.reply(call, "channels", wanted, |team, c| render::conversation(team, c, viewer, None))
}

/// A page of a list of conversations.
pub(crate) struct Paged {
    pub(crate) limit: usize,
    pub(crate) exclude_archived: bool,
    pub(crate) cursor: Option<Cursor<Conversations>>,
}

impl Paged {
    /// Answers with the page of the conversations that are `wanted`.
    pub(crate) fn reply(
        self,
        call: &Call<'_>,
        key: &str,
        wanted: impl Fn(&Team, &Conversation) -> bool,
        rendered: impl Fn(&Team, &Conversation) -> Value,
    ) -> Result<Reply, ApiError> {
        let from = self.cursor.map_or(0, Cursor::place);
        let team = call.caller()?.team.read();
        let mut found = (from..team.conversations_len() as u64)
            .filter_map(|index| Some((index, team.conversation_at(u32::try_from(index).ok()?)?)))
            .filter(|(_, c)| !(self.exclude_archived && c.is_archived) && wanted(&team, c));
        let items: Vec<Value> = found.by_ref().take(self.limit).map(|(_, c)| rendered(&team, c)).collect();
        let next = found.next().map(|(index, _)| index);
        let mut reply = Map::new();
        reply.insert(key.to_owned(), Value::Array(items));
        reply.insert("response_metadata".to_owned(), Cursor::<Conversations>::metadata(next));
        Ok(reply.into())
    }
}

/// Returns the size of a page, by default 100.
pub(in crate::methods) fn page_size(limit: Option<Limit>) -> usize {
    limit.map_or(limits::PAGE_DEFAULT, |Limit(limit)| limit)
}

pub(crate) const INFO: Method = Method {
    name: "conversations.info",
    alias_of: None,
    about: "Describes a conversation.",
    scope: "channels:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(Info => info),
    answers: &[CHANNEL],
    errors: &[],
    examples: &[|| json!({ "channel": "C0ENGINES" })],
};

args! {
    struct Info {
        /// The conversation.
        channel: ConversationId,
        /// True to get its locale too.
        include_locale: bool,
    }
}

async fn info(call: &Call<'_>, args: Info) -> Result<Reply, ApiError> {
    let reader = reader(call, args.channel).await?;
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = visible(&team, caller.user, args.channel)?;
    let mut channel = render::conversation(&team, found, caller.user, reader.as_ref());
    if args.include_locale {
        channel["locale"] = json!("en-US");
    }
    Ok(Reply::from(json!({ "channel": channel })))
}

/// Returns what a conversation says to the caller alone; none to a caller who is not in it.
pub(crate) async fn reader(call: &Call<'_>, conversation: ConversationId) -> Result<Option<render::Reader>, ApiError> {
    let caller = call.caller()?;
    {
        let team = caller.team.read();
        visible(&team, caller.user, conversation)?;
        if !team.is_member(caller.user, conversation) {
            return Ok(None);
        }
    }
    let state = call.gateway.ingest().marks().user(caller.team.id(), caller.user).await?;
    let last_read = state.mark(conversation);
    let unread = read::unread(call.gateway, caller, &[(conversation, last_read)]).await?;
    Ok(Some(render::Reader { last_read, unread: unread.first().map(|counts| counts.count), latest: None }))
}

/// Returns a conversation that the user may know of.
pub(crate) fn visible(team: &Team, user: UserId, conversation: ConversationId) -> Result<&Conversation, ApiError> {
    team.conversation(conversation)
        .filter(|_| team.may_read(user, conversation))
        .ok_or(ApiError::refused("channel_not_found"))
}

pub(crate) const MEMBERS: Method = Method {
    name: "conversations.members",
    alias_of: None,
    about: "Lists the members of a conversation.",
    scope: "channels:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Four,
    takes: takes!(Members => members),
    answers: &[Key::always("members", Shape::List, "The members' ids."), PAGE],
    errors: &[],
    examples: &[|| json!({ "channel": "C0ENGINES" })],
};

args! {
    struct Members {
        /// The conversation.
        channel: ConversationId,
        /// The size of a page: 100 if it is left out, at most 1,000.
        limit: Option<Limit>,
        /// The page's place.
        cursor: Option<Cursor<People>>,
    }
}

async fn members(call: &Call<'_>, args: Members) -> Result<Reply, ApiError> {
    let from = args.cursor.map_or(0, Cursor::place);
    let from = u32::try_from(from).map_err(|_| ApiError::refused("invalid_cursor"))?;
    let caller = call.caller()?;
    let team = caller.team.read();
    let found = visible(&team, caller.user, args.channel)?;
    let mut indexes = found.members.range(from..);
    let page: Vec<UserId> = indexes
        .by_ref()
        .take(page_size(args.limit))
        .filter_map(|index| team.person_at(index))
        .map(|member| member.person.user)
        .collect();
    let metadata = Cursor::<People>::metadata(indexes.next().map(u64::from));
    Ok(Reply::from(json!({ "members": page, "response_metadata": metadata })))
}

pub(crate) const MARK: Method = Method {
    name: "conversations.mark",
    alias_of: None,
    about: "Moves the caller's read mark.",
    scope: "channels:write",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(MarkAt => mark),
    answers: &[],
    errors: &["not_in_channel"],
    examples: &[|| json!({ "channel": "C0ENGINES", "ts": "1700000000.000100" })],
};

args! {
    struct MarkAt {
        /// The conversation.
        channel: ConversationId,
        /// The newest message that has been read.
        ts: Moment [missing "invalid_timestamp", malformed "invalid_timestamp"],
    }
}

async fn mark(call: &Call<'_>, args: MarkAt) -> Result<Reply, ApiError> {
    let (conversation, Moment(ts)) = (args.channel, args.ts);
    let caller = call.caller()?;
    {
        let team = caller.team.read();
        if !team.may_read(caller.user, conversation) {
            return Err(ApiError::refused("channel_not_found"));
        }
        if !team.is_member(caller.user, conversation) {
            return Err(ApiError::refused("not_in_channel"));
        }
    }
    call.gateway.ingest().marks().mark(caller.team.id(), caller.user, conversation, ts).await?;
    // The mark is taken. The sessions get the counts too, unless the shard is unavailable.
    let counts = read::unread(call.gateway, caller, &[(conversation, ts)])
        .await
        .ok()
        .and_then(|counts| counts.into_iter().next());
    let (unread, mentions) = counts.map_or((0, 0), |counts| (counts.count, counts.mentions));
    let mark = Mark { conversation, ts, unread, mentions };
    rtm::marked(call.gateway, caller.team.id(), caller.user, mark);
    Ok(Reply::empty())
}
