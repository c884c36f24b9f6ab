//! Conversations as clients read them: every key of the published schema.

use serde_json::{Map, Value, json};
use teamlog_schemas::{ConversationKind, Ts, UserId};
use teamlog_state::{Conversation, Headline, Team};

use super::merge_extra;

/// The keys of a conversation that are for its reader alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reader {
    /// How far they have read; zero for never.
    pub last_read: Ts,
    /// Messages above that, if they were counted.
    pub unread: Option<u64>,
    /// The newest message, rendered, if it was looked up; `null` if there is none.
    pub latest: Option<Value>,
}

/// A conversation as `viewer` sees it. `reader` is theirs; without it nothing is said of what is read.
pub fn conversation(team: &Team, conversation: &Conversation, viewer: UserId, reader: Option<&Reader>) -> Value {
    let mut object = match conversation.kind {
        ConversationKind::Im => direct(team, conversation, viewer),
        _ => channel(team, conversation, viewer),
    };
    if let Some(reader) = reader {
        object.insert("last_read".to_owned(), json!(reader.last_read.to_string()));
        if let Some(unread) = reader.unread {
            object.insert("unread_count".to_owned(), json!(unread));
            object.insert("unread_count_display".to_owned(), json!(unread));
        }
        if let Some(latest) = &reader.latest {
            object.insert("latest".to_owned(), latest.clone());
        }
    }
    merge_extra(&mut object, conversation.extra.as_ref());
    Value::Object(object)
}

/// Renders a conversation with the list of its members (at most `members_max`), as `channels.*`, `groups.*`, `mpim.*` and
/// `rtm.start` give it.
pub fn legacy_conversation(
    team: &Team,
    of: &Conversation,
    viewer: UserId,
    reader: Option<&Reader>,
    members_max: usize,
) -> Value {
    let mut rendered = conversation(team, of, viewer, reader);
    if let Value::Object(object) = &mut rendered
        && of.kind != ConversationKind::Im
    {
        object.insert("members".to_owned(), members(team, of, members_max));
    }
    rendered
}

/// The ids of those who are in it, in the order in which they came to the team.
pub fn members(team: &Team, conversation: &Conversation, max: usize) -> Value {
    team.members_of(conversation).take(max).map(|member| json!(member.person.user)).collect()
}

/// Returns a conversation's name: a channel's own, or one made of the members' handles.
pub fn name_of(team: &Team, conversation: &Conversation) -> String {
    if let Some(name) = &conversation.name {
        return name.clone();
    }
    let handles: Vec<&str> = team.members_of(conversation).map(|member| member.person.name.as_str()).collect();
    match conversation.kind {
        ConversationKind::Mpim => format!("mpdm-{}-1", handles.join("--")),
        _ => handles.join(","),
    }
}

fn channel(team: &Team, conversation: &Conversation, viewer: UserId) -> Map<String, Value> {
    let name = name_of(team, conversation);
    let is_member = team.is_member(viewer, conversation.conversation);
    let (kind, id) = (conversation.kind, team.id());
    let is_mpim = kind == ConversationKind::Mpim;
    let purpose = if is_mpim && conversation.purpose.value.as_str().is_empty() {
        mpim_purpose(team, conversation)
    } else {
        headline(&conversation.purpose)
    };
    let mut object = object(json!({
        "id": conversation.conversation,
        "name": name,
        "name_normalized": name,
        "is_channel": kind.is_channel(),
        "is_group": is_mpim,
        "is_im": false,
        "is_mpim": is_mpim,
        "is_private": kind != ConversationKind::PublicChannel,
        "created": conversation.created.seconds(),
        "creator": creator(team, conversation),
        "is_archived": conversation.is_archived,
        "is_general": conversation.is_general,
        "unlinked": 0,
        "is_shared": false,
        "is_org_shared": false,
        "is_ext_shared": false,
        "is_pending_ext_shared": false,
        "is_global_shared": false,
        "is_frozen": false,
        "is_moved": 0,
        "is_read_only": false,
        "is_thread_only": false,
        "is_non_threadable": false,
        "is_member": is_member,
        "is_starred": false,
        "pending_shared": [],
        "pending_connected_team_ids": [],
        "shared_team_ids": [id],
        "internal_team_ids": [id],
        "connected_team_ids": [],
        "conversation_host_id": id,
        "context_team_id": id,
        "parent_conversation": null,
        "updated": updated(conversation).micros() / 1000,
        "topic": headline(&conversation.topic),
        "purpose": purpose,
        "previous_names": distinct(&conversation.previous_names),
        "priority": 0,
        "has_pins": !conversation.pins.is_empty(),
        "pin_count": conversation.pins.len(),
        "num_members": conversation.members.len(),
    }));
    if is_mpim {
        object.insert("is_open".to_owned(), json!(is_open(team, conversation, viewer)));
    }
    object
}

fn direct(team: &Team, conversation: &Conversation, viewer: UserId) -> Map<String, Value> {
    // With oneself, the other one is oneself.
    let other = team
        .members_of(conversation)
        .find(|member| member.person.user != viewer)
        .or_else(|| team.members_of(conversation).next());
    let id = team.id();
    object(json!({
        "id": conversation.conversation,
        "created": conversation.created.seconds(),
        "is_im": true,
        "is_channel": false,
        "is_group": false,
        "is_mpim": false,
        "is_private": true,
        "is_archived": conversation.is_archived,
        "is_org_shared": false,
        "is_shared": false,
        "is_ext_shared": false,
        "is_frozen": false,
        "is_starred": false,
        "user": other.map(|member| member.person.user),
        "is_user_deleted": other.is_some_and(|member| member.person.deleted),
        "is_open": is_open(team, conversation, viewer),
        "is_member": team.is_member(viewer, conversation.conversation),
        "context_team_id": id,
        "updated": updated(conversation).micros() / 1000,
        "priority": 0,
        "has_pins": !conversation.pins.is_empty(),
        "pin_count": conversation.pins.len(),
        "version": 1,
    }))
}

/// Returns true if a direct message is in a person's list.
fn is_open(team: &Team, conversation: &Conversation, viewer: UserId) -> bool {
    team.person_index(viewer)
        .is_some_and(|index| conversation.members.contains(index) && !conversation.closed_for.contains(index))
}

/// Clients demand a creator; of what nobody here made (an import's) the team's first person stands for them.
fn creator(team: &Team, conversation: &Conversation) -> Option<UserId> {
    conversation.creator.or_else(|| team.people().next().map(|member| member.person.user))
}

fn headline(headline: &Headline) -> Value {
    json!({
        "value": headline.value.as_str(),
        "creator": headline.creator.map_or_else(String::new, |user| user.to_string()),
        "last_set": headline.last_set.seconds(),
    })
}

fn mpim_purpose(team: &Team, conversation: &Conversation) -> Value {
    let handles: Vec<String> =
        team.members_of(conversation).map(|member| format!("@{}", member.person.name.as_str())).collect();
    json!({
        "value": format!("Group messaging with: {}", handles.join(" ")),
        "creator": conversation.creator.map_or_else(String::new, |user| user.to_string()),
        "last_set": conversation.created.seconds(),
    })
}

fn updated(conversation: &Conversation) -> Ts {
    conversation.created.max(conversation.topic.last_set).max(conversation.purpose.last_set)
}

/// The published schema wants each name once.
fn distinct(names: &[String]) -> Vec<&str> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !seen.contains(&name.as_str()) {
            seen.push(name);
        }
    }
    seen
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
