//! `teamlog team`, `teamlog user`: through a running server.

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use super::Outcome;
use crate::{client::Client, output};

/// Teams.
#[derive(Debug, Subcommand)]
pub(crate) enum TeamCommand {
    /// Make a team. Example: teamlog team create acme --owner ada --email ada@acme.com
    Create {
        /// Lower case letters, digits and inner hyphens.
        domain: String,
        /// The name as people write it.
        #[arg(long)]
        name: Option<String>,
        /// The owner's handle.
        #[arg(long, default_value = "admin")]
        owner: String,
        /// The owner's address.
        #[arg(long)]
        email: Option<String>,
    },
    /// List the teams. Example: teamlog team list --json
    List,
    /// Show one team. Example: teamlog team show acme
    Show {
        /// Its domain.
        domain: String,
    },
}

/// People.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user. Example: teamlog user create --team acme bob
    Create {
        /// The team's domain.
        #[arg(long)]
        team: String,
        /// The handle.
        name: String,
        /// The address.
        #[arg(long)]
        email: Option<String>,
        /// May manage the team.
        #[arg(long)]
        admin: bool,
    },
    /// A new token for somebody. Example: teamlog user token --team acme bob
    Token {
        /// The team's domain.
        #[arg(long)]
        team: String,
        /// Handle or id.
        user: String,
    },
    /// List a team's people. Example: teamlog user list --team acme
    List {
        /// The team's domain.
        #[arg(long)]
        team: String,
    },
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

impl TeamCommand {
    pub(crate) async fn run(self, client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
        match self {
            TeamCommand::Create { domain, name, owner, email } => {
                let args = json!({
                    "domain": domain, "name": name.unwrap_or_else(|| domain.clone()), "owner_name": owner,
                    "owner_email": email,
                });
                let made = client.write("teamlog.teams.create", &args).await?;
                output::object(as_json, &made, || {
                    let (team, user, token) = (text(&made, "/team/id"), text(&made, "/user/id"), text(&made, "/token"));
                    format!("team {team}\nowner {user}\ntoken {token}")
                });
            }
            TeamCommand::List => {
                for team in teams(client).await? {
                    output::object(as_json, &team, || format!("{}  {}", text(&team, "/domain"), text(&team, "/id")));
                }
            }
            TeamCommand::Show { domain } => {
                let all = teams(client).await?;
                let team = all.into_iter().find(|team| text(team, "/domain") == domain);
                let team = team.with_context(|| format!("no team has the domain {domain}"))?;
                output::object(as_json, &team, || serde_json::to_string_pretty(&team).unwrap_or_default());
            }
        }
        Ok(Outcome::Done)
    }
}

async fn teams(client: &Client) -> anyhow::Result<Vec<Value>> {
    let listed = client.call("teamlog.teams.list", &json!({})).await?;
    Ok(listed["teams"].as_array().cloned().unwrap_or_default())
}

impl UserCommand {
    pub(crate) async fn run(self, client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
        match self {
            UserCommand::Create { team, name, email, admin } => {
                let args = json!({ "domain": team, "name": name, "email": email, "is_admin": admin });
                let made = client.write("teamlog.users.create", &args).await?;
                output::object(as_json, &made, || format!("{}  {}", text(&made, "/user/id"), text(&made, "/token")));
            }
            UserCommand::Token { team, user } => {
                let given = client.write("teamlog.users.token", &json!({ "domain": team, "user": user })).await?;
                output::object(as_json, &given, || text(&given, "/token").to_owned());
            }
            UserCommand::List { team } => {
                let listed = client.call("teamlog.users.list", &json!({ "domain": team })).await?;
                let people = listed["users"].as_array().or(listed["members"].as_array()).cloned().unwrap_or_default();
                for person in people {
                    output::object(as_json, &person, || {
                        format!("{}  {}", text(&person, "/id"), text(&person, "/name"))
                    });
                }
            }
        }
        Ok(Outcome::Done)
    }
}
