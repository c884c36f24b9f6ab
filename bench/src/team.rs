//! The team that a bench uses: an existing one, or one that the bench makes.

use std::path::Path;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{BenchError, Common, caller::Caller};

/// A team, some of its people, and a channel of which all of them are members.
#[derive(Clone, Debug)]
pub(crate) struct Team {
    /// Of its people, at least one.
    pub(crate) tokens: Vec<String>,
    /// Its general channel.
    pub(crate) channel: String,
}

impl Team {
    /// Returns the teams of a bench: one for each file of tokens, or new ones if there is no file.
    pub(crate) async fn all(url: &str, common: &Common) -> Result<Vec<Team>, BenchError> {
        let mut caller = Caller::open(url).await?;
        let mut teams = Vec::new();
        for file in &common.tokens {
            teams.push(Team::of(&mut caller, read(file)?).await?);
        }
        if teams.is_empty() {
            for _ in 0..common.teams {
                teams.push(Team::make(url, common.users).await?);
            }
        }
        Ok(teams)
    }

    /// Makes a new team with `users` people.
    pub(crate) async fn make(url: &str, users: u32) -> Result<Team, BenchError> {
        let mut caller = Caller::open(url).await?;
        let tokens = make(&mut caller, users).await?;
        Team::of(&mut caller, tokens).await
    }

    async fn of(caller: &mut Caller, tokens: Vec<String>) -> Result<Team, BenchError> {
        let wrong =
            |error: &str| BenchError::Refused { method: "conversations.list".to_owned(), error: error.to_owned() };
        let first = tokens.first().ok_or_else(|| BenchError::Usage("a file of tokens without a token".to_owned()))?;
        let mut cursor = String::new();
        loop {
            let args = json!({ "limit": 200, "types": "public_channel", "cursor": cursor });
            let page = caller.ask("conversations.list", first, &args).await?;
            let found = page["channels"].as_array().into_iter().flatten().find(|channel| channel["is_general"] == true);
            if let Some(channel) = found.and_then(|channel| channel["id"].as_str()) {
                return Ok(Team { channel: channel.to_owned(), tokens });
            }
            cursor = page["response_metadata"]["next_cursor"].as_str().unwrap_or_default().to_owned();
            if cursor.is_empty() {
                return Err(wrong("no general channel"));
            }
        }
    }
}

/// Reads the tokens of a file with lines `user_id token`, as `teamlog seed --tokens-out` writes it.
fn read(file: &Path) -> Result<Vec<String>, BenchError> {
    let text = std::fs::read_to_string(file).map_err(|why| BenchError::File { path: file.to_owned(), why })?;
    tokens(&text).map_err(|line| {
        BenchError::Usage(format!(
            "{}:{line}: not `user_id token`, as `teamlog seed --tokens-out` writes",
            file.display()
        ))
    })
}

/// Parses the tokens. The error is the number of the first line that does not parse.
fn tokens(text: &str) -> Result<Vec<String>, usize> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, token] => Ok(token.to_owned()),
            _ => Err(number),
        })
        .collect()
}

/// Makes a new team with `users` people and returns their tokens.
async fn make(caller: &mut Caller, users: u32) -> Result<Vec<String>, BenchError> {
    let domain = format!("bench-{}", &Uuid::new_v4().simple().to_string()[..12]);
    let args = json!({ "domain": domain, "name": domain, "owner_name": "owner", "owner_email": "owner@example.com" });
    let owner = token(&caller.ask("teamlog.teams.create", "", &args).await?)?;
    let mut tokens = vec![owner.clone()];
    for number in 1..users {
        let args = json!({ "name": format!("user{number}"), "email": format!("user{number}@example.com") });
        tokens.push(token(&caller.ask("teamlog.users.create", &owner, &args).await?)?);
    }
    Ok(tokens)
}

fn token(made: &Value) -> Result<String, BenchError> {
    let missing = || BenchError::Refused { method: "making a team".to_owned(), error: "no token".to_owned() };
    Ok(made["token"].as_str().ok_or_else(missing)?.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_of_tokens_is_read_or_its_line_named() {
        let good = super::tokens("U1 xoxp-1\n\nU2  xoxp-2\n").unwrap();
        assert_eq!(good, ["xoxp-1", "xoxp-2"]);
        assert_eq!(super::tokens("U1 xoxp-1\nxoxp-2\n"), Err(2));
    }
}
