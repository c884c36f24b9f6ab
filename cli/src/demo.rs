//! `serve --demo`: a team to talk to.

use anyhow::Context;
use serde_json::{Value, json};

use crate::{client::Client, output};

const DOMAIN: &str = "demo";

/// Makes the team `demo`, or finds it, and prints what a newcomer needs.
pub(crate) async fn run(url: &str, admin_key: &str) -> anyhow::Result<()> {
    let client = Client::new(url, admin_key);
    let ada = json!({ "domain": DOMAIN, "name": "Demo", "owner_name": "ada", "owner_email": "ada@example.com" });
    let made = client.write("teamlog.teams.create", &ada).await;
    let token = match made {
        Ok(made) => {
            let token = made["token"].as_str().context("a team without a token")?.to_owned();
            furnish(&client, &token).await?;
            token
        }
        Err(why) if why.to_string().contains("domain_taken") => {
            let asked = json!({ "domain": DOMAIN, "team": DOMAIN, "user": "ada", "name": "ada" });
            let given = client.write("teamlog.users.token", &asked).await?;
            given["token"].as_str().context("no token")?.to_owned()
        }
        Err(why) => return Err(why),
    };
    let text = format!(
        "\nteamlog serves at {url}\nthe token of ada, who owns the team {DOMAIN}: {token}\n\ntry:\n  curl -s {url}/api/chat.postMessage -H 'Authorization: Bearer {token}' -d channel=#general -d text=hello"
    );
    output::line(&text);
    Ok(())
}

async fn furnish(client: &Client, token: &str) -> anyhow::Result<()> {
    for name in ["bob", "cyd"] {
        let person = json!({ "name": name, "email": format!("{name}@example.com") });
        client.call_as(token, "teamlog.users.create", &person).await?;
    }
    let channels = client.call_as(token, "conversations.list", &json!({})).await?;
    let channels = channels["channels"].as_array().cloned().unwrap_or_default();
    let general = channels.iter().find(|channel| channel["is_general"] == Value::Bool(true));
    let general = general.and_then(|channel| channel["id"].as_str()).context("a team without a general channel")?;
    for text in ["Welcome to teamlog.", "Every message here is an event in a log; all that you read is a view of it."] {
        client.call_as(token, "chat.postMessage", &json!({ "channel": general, "text": text })).await?;
    }
    Ok(())
}
