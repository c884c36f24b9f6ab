//! `users.*`

use serde_json::{Map, Value, json};
use teamlog_schemas::UserId;
use teamlog_state::{Member, Team};

use super::{
    Access, Call, Key, Method, Reply, Retry, Shape, Tier, conversations,
    paging::{Cursor, PAGE, People},
    takes,
};
use crate::{
    ApiError,
    args::{Limit, NoArgs, args, one_of},
    limits, render,
};

pub(super) const METHODS: &[Method] = &[
    conversations::read::OF_USER,
    GET_PRESENCE,
    INFO,
    LIST,
    LOOKUP_BY_EMAIL,
    PREFS_GET,
    PROFILE_GET,
    SET_ACTIVE,
    SET_PRESENCE,
];

const LIST: Method = Method {
    name: "users.list",
    alias_of: None,
    about: "Lists the people of the team.",
    scope: "users:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Two,
    takes: takes!(List => list),
    answers: &[
        Key::always("members", Shape::List, "The people."),
        Key::always("cache_ts", Shape::Integer, "The time of the newest event of the team."),
        PAGE,
    ],
    errors: &["limit_required"],
    examples: &[|| json!({ "limit": 2 })],
};

args! {
    struct List {
        /// The size of a page. A team of more than 5,000 is not listed without it.
        limit: Option<Limit>,
        /// The page's place.
        cursor: Option<Cursor<People>>,
        /// True to get each person's locale too.
        include_locale: bool,
    }
}

async fn list(call: &Call<'_>, args: List) -> Result<Reply, ApiError> {
    let team = call.caller()?.team.read();
    let limit = match args.limit {
        Some(Limit(limit)) => limit,
        None if team.people_len() > limits::WHOLE_LIST_MAX => return Err(ApiError::refused("limit_required")),
        None => limits::WHOLE_LIST_MAX,
    };
    let from = args.cursor.map_or(0, Cursor::place);
    let end = team.people_len() as u64;
    let next = from.saturating_add(limit as u64).min(end);
    let members: Vec<Value> = (from..next)
        .filter_map(|index| team.person_at(u32::try_from(index).ok()?))
        .map(|member| one(&team, member, args.include_locale))
        .collect();
    Ok(Reply::from(json!({
        "members": members,
        "cache_ts": team.last_ts().max(team.created()).seconds(),
        "response_metadata": Cursor::<People>::metadata((next < end).then_some(next)),
    })))
}

const INFO: Method = Method {
    name: "users.info",
    alias_of: None,
    about: "Describes a person.",
    scope: "users:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Four,
    takes: takes!(Info => info),
    answers: &[Key::always("user", Shape::Object, "The person.")],
    errors: &[],
    examples: &[|| json!({ "user": "U0BOB" })],
};

args! {
    struct Info {
        /// The person.
        user: UserId,
        /// True to get their locale too.
        include_locale: bool,
    }
}

async fn info(call: &Call<'_>, args: Info) -> Result<Reply, ApiError> {
    let team = call.caller()?.team.read();
    let member = team.person(args.user).ok_or(ApiError::refused("user_not_found"))?;
    Ok(Reply::from(json!({ "user": one(&team, member, args.include_locale) })))
}

const LOOKUP_BY_EMAIL: Method = Method {
    name: "users.lookupByEmail",
    alias_of: None,
    about: "Finds a person who is not deactivated by their address.",
    scope: "users:read.email",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(LookupByEmail => lookup_by_email),
    answers: &[Key::always("user", Shape::Object, "The person.")],
    errors: &["users_not_found"],
    examples: &[|| json!({ "email": "bob@example.com" })],
};

args! {
    struct LookupByEmail {
        /// The address.
        email: String [missing "users_not_found"],
    }
}

async fn lookup_by_email(call: &Call<'_>, args: LookupByEmail) -> Result<Reply, ApiError> {
    let team = call.caller()?.team.read();
    let member = team.person_by_email(args.email.trim()).filter(|member| !member.person.deleted);
    let member = member.ok_or(ApiError::refused("users_not_found"))?;
    Ok(Reply::from(json!({ "user": one(&team, member, false) })))
}

fn one(team: &Team, member: &Member, locale: bool) -> Value {
    let mut user = render::user(team, member);
    if locale {
        user["locale"] = json!("en-US");
    }
    user
}

args! {
    /// A person, or else the caller.
    struct Whom {
        /// The person; the caller if it is left out.
        user: Option<UserId>,
    }
}

impl Whom {
    fn of(&self, call: &Call<'_>) -> Result<UserId, ApiError> {
        let caller = call.caller()?;
        let user = self.user.unwrap_or(caller.user);
        match caller.team.read().person(user) {
            Some(_) => Ok(user),
            None => Err(ApiError::refused("user_not_found")),
        }
    }
}

const GET_PRESENCE: Method = Method {
    name: "users.getPresence",
    alias_of: None,
    about: "Tells whether a person is active.",
    scope: "users:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(Whom => get_presence),
    answers: &[
        Key::always("presence", Shape::Text, "`active` or `away`."),
        Key::sometimes("online", Shape::Flag, "Of the caller alone: true if they have a socket open."),
        Key::sometimes("auto_away", Shape::Flag, "Of the caller alone: true if they are away without having said so."),
        Key::sometimes("manual_away", Shape::Flag, "Of the caller alone: true if they said that they are away."),
        Key::sometimes("connection_count", Shape::Integer, "Of the caller alone: their open sockets."),
    ],
    errors: &[],
    examples: &[|| json!({ "user": "U0BOB" }), || json!({})],
};

async fn get_presence(call: &Call<'_>, args: Whom) -> Result<Reply, ApiError> {
    let user = args.of(call)?;
    let caller = call.caller()?;
    let found = call.gateway.rtm().presence(caller.team.id(), user);
    let mut reply = Map::new();
    reply.insert("presence".to_owned(), json!(if found.active { "active" } else { "away" }));
    if user == caller.user {
        reply.insert("online".to_owned(), json!(found.connections > 0));
        reply.insert("auto_away".to_owned(), json!(!found.active && !found.manual_away));
        reply.insert("manual_away".to_owned(), json!(found.manual_away));
        reply.insert("connection_count".to_owned(), json!(found.connections));
    }
    Ok(reply.into())
}

const SET_PRESENCE: Method = Method {
    name: "users.setPresence",
    alias_of: None,
    about: "Says that the caller is away, or leaves it to their sockets again.",
    scope: "users:write",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Two,
    takes: takes!(SetPresence => set_presence),
    answers: &[],
    errors: &[],
    examples: &[|| json!({ "presence": "away" }), || json!({ "presence": "auto" })],
};

one_of! {
    enum Wanted else "invalid_presence" {
        Away = "away",
        Auto = "auto",
        /// As `auto`, for old clients.
        Active = "active",
    }
}

args! {
    struct SetPresence {
        /// The presence to set.
        presence: Wanted,
    }
}

async fn set_presence(call: &Call<'_>, args: SetPresence) -> Result<Reply, ApiError> {
    let away = match args.presence {
        Wanted::Away => true,
        Wanted::Auto | Wanted::Active => false,
    };
    let caller = call.caller()?;
    call.gateway.rtm().set_presence(caller.team.id(), caller.user, away);
    Ok(Reply::empty())
}

const SET_ACTIVE: Method = Method {
    name: "users.setActive",
    alias_of: None,
    about: "Does nothing: sockets say by themselves that their user is active.",
    scope: "users:write",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Two,
    takes: takes!(NoArgs => set_active),
    answers: &[],
    errors: &[],
    examples: &[|| json!({})],
};

async fn set_active(_: &Call<'_>, _: NoArgs) -> Result<Reply, ApiError> {
    Ok(Reply::empty())
}

const PROFILE_GET: Method = Method {
    name: "users.profile.get",
    alias_of: None,
    about: "Gives a person's profile.",
    scope: "users.profile:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Four,
    takes: takes!(Whom => profile_get),
    answers: &[Key::always("profile", Shape::Object, "The profile.")],
    errors: &[],
    examples: &[|| json!({ "user": "U0BOB" }), || json!({})],
};

async fn profile_get(call: &Call<'_>, args: Whom) -> Result<Reply, ApiError> {
    let user = args.of(call)?;
    let team = call.caller()?.team.read();
    let member = team.person(user).ok_or(ApiError::refused("user_not_found"))?;
    Ok(Reply::from(json!({ "profile": render::user(&team, member)["profile"].take() })))
}

const PREFS_GET: Method = Method {
    name: "users.prefs.get",
    alias_of: None,
    about: "Gives the caller's preferences.",
    scope: "",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Three,
    takes: takes!(NoArgs => prefs_get),
    answers: &[Key::always("prefs", Shape::Object, "The preferences.")],
    errors: &[],
    examples: &[|| json!({})],
};

async fn prefs_get(call: &Call<'_>, _: NoArgs) -> Result<Reply, ApiError> {
    let caller = call.caller()?;
    let team = caller.team.read();
    let member = team.person(caller.user).ok_or(ApiError::refused("account_inactive"))?;
    Ok(Reply::from(json!({ "prefs": render::self_prefs(member) })))
}
