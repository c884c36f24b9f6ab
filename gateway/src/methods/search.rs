//! `search.*`

use serde_json::{Map, Value, json};
use teamlog_projectors::{MatchOrder, MessageQuery, highlight};
use teamlog_schemas::{ConversationId, Ts, UserId};
use teamlog_state::Team;

use super::{Access, Call, Key, Method, Reply, Retry, Shape, Tier, chat::link_to, takes};
use crate::{
    ApiError,
    args::args,
    limits,
    read::{self, SearchFound},
    render,
};

pub(super) const METHODS: &[Method] = &[ALL, MESSAGES];

/// Hits of a page that names no count, as Slack has it.
const COUNT_DEFAULT: u64 = 20;
/// The last page, as Slack has it.
const PAGES_MAX: u64 = 100;

const QUERY: Key = Key::always("query", Shape::Text, "The query.");
const FOUND: Key = Key::always("messages", Shape::Object, "The hits: `total`, `matches`, `paging`, `pagination`.");

args! {
    struct Query {
        /// Words, phrases in double quotes, and `in:`, `from:`, `has:`, `is:thread`, `before:`, `after:`, `on:`.
        query: String [missing "No query passed"],
        /// `score` or `timestamp`.
        sort: Option<String>,
        /// `desc` or `asc`, for `timestamp`.
        sort_dir: Option<String>,
        /// Hits of a page: 20 if it is left out, at most 100.
        count: Option<u64>,
        /// The page, from 1 to 100.
        page: Option<u64>,
        /// True to mark in the texts what the words found.
        highlight: bool,
    }
}

const MESSAGES: Method = Method {
    name: "search.messages",
    alias_of: None,
    about: "Searches the messages that the caller may read.",
    scope: "search:read",
    access: Access::User,
    retry: Retry::Repeatable,
    tier: Tier::Two,
    takes: takes!(Query => messages),
    answers: &[QUERY, FOUND],
    errors: SEARCH_ERRORS,
    examples: &[|| json!({ "query": "hello in:engines from:ada", "sort": "timestamp", "highlight": true })],
};

/// The errors of a search: this node has none.
const SEARCH_ERRORS: &[&str] = &["not_accepted"];

async fn messages(call: &Call<'_>, args: Query) -> Result<Reply, ApiError> {
    let (query, found) = found(call, args).await?;
    Ok(Reply::from(json!({ "query": query, "messages": found })))
}

const ALL: Method = Method {
    name: "search.all",
    about: "Searches the messages that the caller may read. Files are not searched, so it finds none.",
    takes: takes!(Query => all),
    answers: &[
        QUERY,
        FOUND,
        Key::always("files", Shape::Object, "No hits."),
        Key::always("posts", Shape::Object, "No hits."),
    ],
    ..MESSAGES
};

async fn all(call: &Call<'_>, args: Query) -> Result<Reply, ApiError> {
    let (query, found) = found(call, args).await?;
    let none = json!({ "total": 0, "matches": [], "paging": { "count": 0, "total": 0, "page": 1, "pages": 0 } });
    Ok(Reply::from(json!({ "query": query, "messages": found, "files": none, "posts": none })))
}

async fn found(call: &Call<'_>, args: Query) -> Result<(String, Value), ApiError> {
    let search = call.gateway.search().ok_or(ApiError::refused("not_accepted").saying("search is off here"))?;
    if args.query.len() > limits::SEARCH_BYTES_MAX {
        return Err(ApiError::too_large());
    }
    let count = args.count.unwrap_or(COUNT_DEFAULT).clamp(1, 100);
    let page = args.page.unwrap_or(1).clamp(1, PAGES_MAX);
    let order = order(args.sort.as_deref(), args.sort_dir.as_deref());
    let (text, highlight) = (args.query, args.highlight);
    let caller = call.caller()?;
    let (query, marked) = {
        let team = caller.team.read();
        let Some(parsed) = parse(&team, caller.user, &text) else {
            // A name that nobody has finds nothing.
            return Ok((text, matches(call, &team, SearchFound::default(), None, count, page)));
        };
        let marked = highlight.then(|| parsed.words.clone());
        let query = MessageQuery {
            order,
            skip: usize::try_from((page - 1) * count).unwrap_or(usize::MAX),
            count: usize::try_from(count).unwrap_or(usize::MAX),
            ..parsed
        };
        (query, marked)
    };
    let found = read::search(call.gateway, &**search, caller, query).await?;
    let rendered = matches(call, &caller.team.read(), found, marked.as_deref(), count, page);
    Ok((text, rendered))
}

fn order(sort: Option<&str>, sort_dir: Option<&str>) -> MatchOrder {
    match (sort, sort_dir) {
        (Some("timestamp"), Some("asc")) => MatchOrder::Oldest,
        (Some("timestamp"), _) => MatchOrder::Newest,
        _ => MatchOrder::Score,
    }
}

/// Takes the modifiers out of a query: `in:`, `from:`, `has:`, `is:thread`, `before:`, `after:`, `on:`. None if one
/// names nobody or nothing that the reader may know of. What stands in double quotes is no modifier.
fn parse(team: &Team, reader: UserId, text: &str) -> Option<MessageQuery> {
    let mut query = MessageQuery {
        team: team.id(),
        words: String::new(),
        conversations: Vec::new(),
        from: None,
        has: Vec::new(),
        after: Ts::ZERO,
        before: Ts::MAX,
        order: MatchOrder::Score,
        skip: 0,
        count: 0,
    };
    let mut places: Vec<ConversationId> = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    for word in parts(text) {
        match word.split_once(':').filter(|_| !word.contains('"')) {
            Some(("in", name)) if !name.is_empty() => places.push(place(team, reader, name)?),
            Some(("from", name)) if !name.is_empty() => query.from = Some(person(team, reader, name)?),
            Some(("has", what)) if !what.is_empty() => query.has.push(what.to_lowercase()),
            Some(("is", "thread")) => query.has.push("thread".to_owned()),
            Some(("before", day)) if !day.is_empty() => query.before = query.before.min(day_of(day)?.0),
            Some(("after", day)) if !day.is_empty() => query.after = query.after.max(day_of(day)?.1),
            Some(("on" | "during", day)) if !day.is_empty() => {
                let (begins, ends) = day_of(day)?;
                (query.after, query.before) = (query.after.max(begins), query.before.min(ends));
            }
            _ => words.push(word),
        }
    }
    query.words = words.join(" ");
    query.conversations = if places.is_empty() { readable(team, reader) } else { places };
    query.conversations.sort_unstable();
    query.conversations.dedup();
    Some(query)
}

/// Words, and phrases with their quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut begins, mut quoted) = (Vec::new(), 0, false);
    for (at, sign) in text.char_indices() {
        match sign {
            '"' | '“' | '”' | '„' => quoted = !quoted,
            sign if sign.is_whitespace() && !quoted => {
                parts.push(&text[begins..at]);
                begins = at + sign.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[begins..]);
    parts.retain(|part| !part.is_empty());
    parts
}

fn readable(team: &Team, reader: UserId) -> Vec<ConversationId> {
    team.conversations().map(|c| c.conversation).filter(|c| team.may_read(reader, *c)).collect()
}

/// `in:general`, `in:#general`, `in:C123`, `in:<#C123>`, `in:@ada`.
fn place(team: &Team, reader: UserId, name: &str) -> Option<ConversationId> {
    let bare = name.trim_start_matches("<#").trim_end_matches('>').trim_start_matches('#');
    let bare = bare.split('|').next().unwrap_or(bare);
    let by_id = bare.parse().ok().filter(|id| team.conversation(*id).is_some());
    let named = || team.channel_named(bare).map(|c| c.conversation);
    let direct = || {
        let member = team.person_named(name.strip_prefix('@')?)?;
        team.direct(&[reader, member.person.user]).map(|c| c.conversation)
    };
    by_id.or_else(named).or_else(direct).filter(|conversation| team.may_read(reader, *conversation))
}

/// `from:ada`, `from:@ada`, `from:me`, `from:U123`, `from:<@U123>`.
fn person(team: &Team, reader: UserId, name: &str) -> Option<UserId> {
    let bare = name.trim_start_matches("<@").trim_end_matches('>').trim_start_matches('@');
    if bare == "me" {
        return Some(reader);
    }
    let by_id = bare.parse().ok().filter(|id| team.person(*id).is_some());
    by_id.or_else(|| team.person_named(bare).map(|member| member.person.user))
}

/// Returns the first moment of a day (`2026-11-25`, UTC), and the first one after it.
fn day_of(day: &str) -> Option<(Ts, Ts)> {
    let date: jiff::civil::Date = day.parse().ok()?;
    let ts = |date: jiff::civil::Date| {
        let moment = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(Ts::from_micros(moment.as_microsecond()))
    };
    Some((ts(date)?, ts(date.tomorrow().ok()?)?))
}

/// A page as clients know it; with `marked`, what those words found is marked in the texts.
fn matches(call: &Call<'_>, team: &Team, found: SearchFound, marked: Option<&str>, count: u64, page: u64) -> Value {
    let public_url = &call.gateway.config().public_url;
    let one = |hit: &read::SearchHit| {
        let mut object = match render::message_fact(team, hit.conversation, &hit.fact) {
            Value::Object(object) => object,
            _ => Map::new(),
        };
        let message = &hit.fact.message;
        object.insert("type".to_owned(), json!("message"));
        object.insert("iid".to_owned(), json!(format!("{}-{}", hit.conversation, message.ts)));
        object.insert("score".to_owned(), json!(hit.score));
        object.insert("channel".to_owned(), channel(team, hit.conversation));
        if let Some(words) = marked
            && let Some(Value::String(text)) = object.get_mut("text")
        {
            *text = highlight(words, text);
        }
        let author = message.user.and_then(|user| team.person(user));
        object.entry("username").or_insert_with(|| json!(author.map_or("", |member| member.person.name.as_str())));
        let link = link_to(public_url, hit.conversation, message.ts, message.thread_ts);
        object.insert("permalink".to_owned(), json!(link));
        Value::Object(object)
    };
    let total = found.total as u64;
    let pages = total.div_ceil(count);
    let first = if total == 0 { 0 } else { (page - 1) * count + 1 };
    json!({
        "total": total,
        "matches": found.hits.iter().map(one).collect::<Vec<_>>(),
        "paging": { "count": count, "total": total, "page": page, "pages": pages },
        "pagination": {
            "total_count": total, "page": page, "per_page": count, "page_count": pages,
            "first": first, "last": ((page - 1) * count).saturating_add(found.hits.len() as u64),
        },
    })
}

fn channel(team: &Team, conversation: ConversationId) -> Value {
    use teamlog_schemas::ConversationKind as Kind;
    let found = team.conversation(conversation);
    let kind = found.map_or(Kind::PublicChannel, |c| c.kind);
    json!({
        "id": conversation,
        "name": found.map(|c| render::name_of(team, c)).unwrap_or_default(),
        "is_channel": kind.is_channel(),
        "is_group": kind == Kind::Mpim,
        "is_im": kind == Kind::Im,
        "is_mpim": kind == Kind::Mpim,
        "is_private": kind != Kind::PublicChannel,
        "is_shared": false,
        "is_org_shared": false,
        "is_ext_shared": false,
        "is_pending_ext_shared": false,
        "pending_shared": [],
    })
}
