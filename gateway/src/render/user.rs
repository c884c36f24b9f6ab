//! People and bots as clients read them.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use teamlog_schemas::{BotId, Person, UserId};
use teamlog_state::{Bot, Member, Team};

use super::{merge_extra, timezone};

/// Colours that people are told apart by.
const COLORS: [&str; 16] = [
    "9f69e7", "4bbe2e", "e7392d", "3c989f", "674b1b", "e96699", "e0a729", "684b6c", "5b89d5", "2b6836", "99a949",
    "df3dc0", "4cc091", "9b3b45", "d58247", "bb86b7",
];

/// Sizes of avatars, in pixels.
const AVATAR_SIZES: [u32; 6] = [24, 32, 48, 72, 192, 512];

/// Renders a person with their profile. `tz_offset` is the current one.
pub fn user(team: &Team, member: &Member) -> Value {
    let person = &member.person;
    let zone = timezone::now(person.tz.as_deref());
    let real_name = real_name(person);
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("id", json!(person.user));
    put("team_id", json!(team.id()));
    put("name", json!(person.name.as_str()));
    put("deleted", json!(person.deleted));
    put("color", json!(color(person.user)));
    put("real_name", json!(real_name));
    put("tz", json!(zone.name));
    put("tz_label", json!(zone.label));
    put("tz_offset", json!(zone.offset_seconds));
    put("profile", profile(team, person));
    put("is_admin", json!(person.is_admin || person.is_owner));
    put("is_owner", json!(person.is_owner));
    put("is_primary_owner", json!(person.is_owner));
    put("is_restricted", json!(false));
    put("is_ultra_restricted", json!(false));
    put("is_bot", json!(person.bot.is_some()));
    put("is_app_user", json!(false));
    put("updated", json!(member.since.seconds()));
    put("is_email_confirmed", json!(person.email.is_some()));
    put("who_can_share_contact_card", json!("EVERYONE"));
    put("has_2fa", json!(false));
    merge_extra(&mut object, person.extra.as_ref());
    Value::Object(object)
}

/// The bot that a person sends as: a bot's user has one; that of anybody else sends nothing and differs from every
/// other, for clients compare it with those of messages.
pub fn bot_id_of(person: &Person) -> Option<BotId> {
    person.bot.or_else(|| person.user.to_string().get(1..).and_then(|rest| format!("B{rest}").parse().ok()))
}

/// A bot without a user.
pub fn bot(team: &Team, bot: &Bot) -> Value {
    let mut object = Map::new();
    fill_bot(&mut object, team, bot.bot, bot.name.as_str(), 0);
    merge_extra(&mut object, bot.extra.as_ref());
    Value::Object(object)
}

/// The bot of a bot's user; none of a person.
pub fn user_bot(team: &Team, member: &Member) -> Option<Value> {
    let id = member.person.bot?;
    let mut object = Map::new();
    fill_bot(&mut object, team, id, member.person.name.as_str(), member.since.seconds());
    object.insert("user_id".to_owned(), json!(member.person.user));
    object.insert("deleted".to_owned(), json!(member.person.deleted));
    Some(Value::Object(object))
}

/// Returns the colour of a person: six hex digits.
pub fn color(user: UserId) -> &'static str {
    let digest = Sha256::digest(user.to_string());
    COLORS[usize::from(digest[0]) % COLORS.len()]
}

fn fill_bot(object: &mut Map<String, Value>, team: &Team, id: BotId, name: &str, updated: i64) {
    let face = face(team, &id.to_string());
    object.insert("id".to_owned(), json!(id));
    object.insert("deleted".to_owned(), json!(false));
    object.insert("name".to_owned(), json!(name));
    object.insert("updated".to_owned(), json!(updated));
    object.insert("app_id".to_owned(), json!(id.to_string().replacen('B', "A", 1)));
    object.insert("team_id".to_owned(), json!(team.id()));
    let icons = [36, 48, 72].map(|size| (format!("image_{size}"), json!(avatar(&face, size))));
    object.insert("icons".to_owned(), Value::Object(icons.into_iter().collect()));
}

fn real_name(person: &Person) -> &str {
    if person.real_name.as_str().is_empty() { person.name.as_str() } else { person.real_name.as_str() }
}

fn profile(team: &Team, person: &Person) -> Value {
    let real_name = real_name(person);
    let (first, last) = real_name.split_once(' ').unwrap_or((real_name, ""));
    let face = face(team, &person.user.to_string());
    let mut object = Map::new();
    let mut put = |key: String, value: Value| {
        object.insert(key, value);
    };
    for (key, value) in [
        ("title", ""),
        ("phone", ""),
        ("skype", ""),
        ("real_name", real_name),
        ("real_name_normalized", real_name),
        ("display_name", person.name.as_str()),
        ("display_name_normalized", person.name.as_str()),
        ("status_text", ""),
        ("status_emoji", ""),
        ("avatar_hash", &face[..12]),
        ("first_name", first),
        ("last_name", last),
    ] {
        put(key.to_owned(), json!(value));
    }
    put("fields".to_owned(), json!({}));
    put("status_expiration".to_owned(), json!(0));
    put("team".to_owned(), json!(team.id()));
    if let Some(email) = &person.email {
        put("email".to_owned(), json!(email.as_str()));
    }
    for size in AVATAR_SIZES {
        put(format!("image_{size}"), json!(avatar(&face, size)));
    }
    if let Some(bot) = person.bot {
        put("bot_id".to_owned(), json!(bot));
        put("api_app_id".to_owned(), json!(""));
        put("always_active".to_owned(), json!(true));
    }
    Value::Object(object)
}

/// Returns the seed of a generated picture. It cannot be traced back to an email address.
fn face(team: &Team, id: &str) -> String {
    let digest = Sha256::digest(format!("{}/{id}", team.id()));
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn avatar(face: &str, size: u32) -> String {
    format!("https://secure.gravatar.com/avatar/{face}.jpg?s={size}&d=identicon")
}
