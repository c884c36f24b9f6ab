//! The team and its reader's own self.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use teamlog_state::{Member, Team};

use super::timezone;

/// Preferences that nobody can set here yet, as clients expect to find them.
static SELF_PREFS: LazyLock<Map<String, Value>> = LazyLock::new(|| parsed(include_str!("prefs.json")));
static TEAM_PREFS: LazyLock<Map<String, Value>> = LazyLock::new(|| parsed(include_str!("team_prefs.json")));

fn parsed(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).expect("a file of this crate is a JSON object")
}

/// The team as `team.info` has it. `rtm.start` adds [`team_prefs`] under `prefs`.
pub fn team(team: &Team) -> Value {
    let icon: Map<String, Value> = [34, 44, 68, 88, 102, 132, 230]
        .into_iter()
        .map(|size| {
            let url = format!("https://secure.gravatar.com/avatar/00000000000000000000000000000000.jpg?s={size}&d=mp");
            (format!("image_{size}"), json!(url))
        })
        .chain([("image_default".to_owned(), json!(true))])
        .collect();
    json!({
        "id": team.id(),
        "name": team.name(),
        "domain": team.domain(),
        "email_domain": "",
        "icon": icon,
        "created": team.created().seconds(),
        "msg_edit_window_mins": -1,
        "over_storage_limit": false,
        "over_integrations_limit": false,
        "plan": "",
        "avatar_base_url": "https://secure.gravatar.com/avatar/",
        "is_verified": false,
    })
}

/// Renders the preferences that hold for everybody in the team.
pub fn team_prefs(team: &Team) -> Value {
    let mut prefs = TEAM_PREFS.clone();
    let default: Vec<_> = team.general().map(|general| general.conversation).into_iter().collect();
    prefs.insert("default_channels".to_owned(), json!(default));
    Value::Object(prefs)
}

/// Renders the caller's `self` object of `rtm.start`.
pub fn own_self(member: &Member) -> Value {
    json!({
        "id": member.person.user,
        "name": member.person.name.as_str(),
        "prefs": self_prefs(member),
        "created": member.since.seconds(),
        "manual_presence": "active",
    })
}

/// Renders a member's own preferences.
pub fn self_prefs(member: &Member) -> Value {
    let mut prefs = SELF_PREFS.clone();
    prefs.insert("tz".to_owned(), json!(timezone::now(member.person.tz.as_deref()).name));
    Value::Object(prefs)
}
