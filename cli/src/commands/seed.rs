//! `teamlog seed`: a large team that looks like one, through the ordinary write path of a running server.
//!
//! What is said and by whom follows from the domain and the numbers alone. Every call has a key, so one that was
//! repeated counts once.

use std::{fs::File, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::Args;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Outcome;
use crate::{client::Client, output};

/// Calls under way at once; the writer of one team takes some hundreds.
const AT_ONCE: usize = 48;
/// Of so many messages, one is a reply, and one gets a reaction.
const REPLY_IN: u32 = 6;
const REACTION_IN: u32 = 12;
/// How many channels one person is in, at most, beside the general one.
const CHANNELS_A_PERSON: usize = 12;

const FIRST: [&str; 16] = [
    "ada", "bela", "cyd", "dora", "emil", "fay", "gus", "hana", "ivo", "jun", "kai", "lea", "mio", "nora", "otto",
    "pia",
];
const LAST: [&str; 12] =
    ["stone", "rivers", "lindt", "okoro", "sato", "weber", "novak", "silva", "haas", "moreau", "khan", "berg"];
const TOPICS: [&str; 14] = [
    "design",
    "release",
    "support",
    "hiring",
    "lunch",
    "incidents",
    "data",
    "mobile",
    "search",
    "billing",
    "docs",
    "random",
    "security",
    "research",
];
const WORDS: [&str; 32] = [
    "the", "build", "is", "green", "again", "who", "can", "look", "at", "this", "deploy", "before", "noon", "please",
    "thanks", "that", "worked", "for", "me", "let", "us", "move", "it", "to", "next", "week", "customer", "asked",
    "about", "numbers", "meeting", "notes",
];
const REACTIONS: [&str; 5] = ["thumbsup", "tada", "eyes", "heart", "joy"];

/// Make a large, believable team. Example: teamlog seed --domain big --users 1000 --channels 50 --messages 20000
#[derive(Debug, Args)]
pub(crate) struct Seed {
    /// The new team's domain.
    #[arg(long)]
    domain: String,
    /// People, the owner included.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// Channels beside those that every team has.
    #[arg(long, default_value_t = 10)]
    channels: u32,
    /// Messages, replies included.
    #[arg(long, default_value_t = 1000)]
    messages: u32,
    /// Gets a line `user_id token` for everybody; only its owner may read it.
    #[arg(long)]
    tokens_out: Option<PathBuf>,
}

struct Person {
    user: String,
    token: String,
}

struct Channel {
    conversation: String,
    /// Indexes of the people in it; the first one made it.
    members: Vec<usize>,
}

impl Seed {
    pub(crate) async fn run(self, client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
        let begun = std::time::Instant::now();
        let mut tokens_out = self.tokens_out.as_ref().map(private).transpose()?;
        let people = Arc::new(self.people(client).await?);
        if let Some(out) = &mut tokens_out {
            for person in &*people {
                writeln!(out, "{} {}", person.user, person.token)?;
            }
            out.sync_all()?;
        }
        let channels = Arc::new(self.channels(client, &people).await?);
        let (messages, reactions) = self.messages(client, &people, &channels).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let done = json!({
            "domain": self.domain, "users": people.len(), "channels": channels.len(), "messages": messages,
            "reactions": reactions, "seconds": seconds,
        });
        output::object(as_json, &done, || {
            let (people, channels) = (people.len(), channels.len());
            format!("{}: {people} people, {channels} channels, {messages} messages in {seconds:.1} s", self.domain)
        });
        Ok(Outcome::Done)
    }

    async fn people(&self, client: &Client) -> anyhow::Result<Vec<Person>> {
        let domain = &self.domain;
        let email = |name: &str| format!("{name}@{domain}.example.com");
        let owner = name(0);
        let args = json!({ "domain": domain, "name": domain, "owner_name": owner, "owner_email": email(&owner) });
        let key = format!("seed/{domain}/team");
        let made = client.call_once(client.admin_key(), "teamlog.teams.create", &args, &key).await?;
        let mut people = vec![person(&made)?];
        let calls = (1..self.users).map(|number| {
            let (client, name) = (client.clone(), name(number));
            let args = json!({ "domain": domain, "name": name, "email": email(&name) });
            let key = format!("seed/{domain}/user/{number}");
            async move {
                let key_of_operators = client.admin_key().to_owned();
                person(&client.call_once(&key_of_operators, "teamlog.users.create", &args, &key).await?)
            }
        });
        people.extend(all("people", calls).await?);
        Ok(people)
    }

    async fn channels(&self, client: &Client, people: &Arc<Vec<Person>>) -> anyhow::Result<Vec<Channel>> {
        let mut random = self.random(1);
        let mut members = vec![Vec::new(); self.channels as usize];
        for person in 0..people.len() {
            let wanted = CHANNELS_A_PERSON.min(members.len());
            for channel in rand::seq::index::sample(&mut random, members.len(), wanted) {
                members[channel].push(person);
            }
        }
        let calls = members.into_iter().enumerate().map(|(number, mut members)| {
            if members.is_empty() {
                members.push(0);
            }
            let (client, people, key) =
                (client.clone(), people.clone(), format!("seed/{}/channel/{number}", self.domain));
            let topic = TOPICS[number % TOPICS.len()];
            let name = if number < TOPICS.len() { format!("team-{topic}") } else { format!("team-{topic}-{number}") };
            async move {
                let maker = &people[members[0]].token;
                let made = client.call_once(maker, "conversations.create", &json!({ "name": name }), &key).await?;
                let conversation = text(&made, "/channel/id")?;
                for member in members.iter().skip(1) {
                    let (args, key) = (json!({ "channel": conversation }), format!("{key}/{member}"));
                    client.call_once(&people[*member].token, "conversations.join", &args, &key).await?;
                }
                Ok(Channel { conversation, members })
            }
        });
        let mut channels = all("channels", calls).await?;
        if channels.is_empty() {
            let listed = client.call_as(&people[0].token, "conversations.list", &json!({})).await?;
            let listed = listed["channels"].as_array().cloned().unwrap_or_default();
            let general = listed.iter().find(|channel| channel["is_general"] == true).context("no general channel")?;
            channels.push(Channel { conversation: text(general, "/id")?, members: (0..people.len()).collect() });
        }
        Ok(channels)
    }

    /// Each channel's messages one after the other, several channels at once.
    async fn messages(
        &self,
        client: &Client,
        people: &Arc<Vec<Person>>,
        channels: &Arc<Vec<Channel>>,
    ) -> anyhow::Result<(u64, u64)> {
        let mut random = self.random(2);
        // Some channels say most: the square of an even choice leans to the first ones.
        let mut shares = vec![0u32; channels.len()];
        for _ in 0..self.messages {
            let lean: f64 = random.random::<f64>().powi(2);
            shares[((lean * channels.len() as f64) as usize).min(channels.len() - 1)] += 1;
        }
        // Several talks a channel, or a team of few channels would be slow to fill.
        let talks = (AT_ONCE / channels.len()).max(1) as u32;
        let calls = shares.into_iter().enumerate().flat_map(|(number, share)| {
            (0..talks).map(move |talk| (number, talk, share / talks + u32::from(talk < share % talks)))
        });
        let calls = calls.filter(|(_, _, share)| *share > 0).map(|(number, talk, share)| {
            let (client, people, channels) = (client.clone(), people.clone(), channels.clone());
            let random = self.random(1000 + number as u64 * AT_ONCE as u64 + u64::from(talk));
            let key = format!("seed/{}/talk/{number}/{talk}", self.domain);
            async move { talk_in(&client, &people, &channels[number], share, random, &key).await }
        });
        let done = all("talks", calls).await?;
        Ok(done.into_iter().fold((0, 0), |(m, r), (messages, reactions)| (m + messages, r + reactions)))
    }

    /// Returns a random generator that is seeded by the domain and the part, so that a repeated run makes equal data.
    fn random(&self, part: u64) -> StdRng {
        let domain = self.domain.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
        StdRng::seed_from_u64(domain.wrapping_add(part.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }
}

/// Posts one talk: messages, replies to the newest root, reactions.
async fn talk_in(
    client: &Client,
    people: &[Person],
    channel: &Channel,
    share: u32,
    mut random: StdRng,
    key: &str,
) -> anyhow::Result<(u64, u64)> {
    let (mut root, mut reactions) = (None::<String>, 0);
    let of = |random: &mut StdRng| &people[channel.members[random.random_range(0..channel.members.len())]];
    for number in 0..share {
        let mut said = sentence(&mut random);
        if random.random_ratio(1, 10) {
            said = format!("<@{}> {said}", of(&mut random).user);
        }
        let mut args = json!({ "channel": channel.conversation, "text": said });
        if let Some(root) = root.as_ref().filter(|_| random.random_ratio(1, REPLY_IN)) {
            args["thread_ts"] = json!(root);
        }
        let is_reply = args.get("thread_ts").is_some();
        let author = of(&mut random);
        let posted = client.call_once(&author.token, "chat.postMessage", &args, &format!("{key}/{number}")).await?;
        let ts = text(&posted, "/ts")?;
        if random.random_ratio(1, REACTION_IN) {
            let name = REACTIONS[random.random_range(0..REACTIONS.len())];
            let args = json!({ "channel": channel.conversation, "timestamp": ts, "name": name });
            let key = format!("{key}/{number}/reaction");
            client.call_once(&of(&mut random).token, "reactions.add", &args, &key).await?;
            reactions += 1;
        }
        if !is_reply {
            root = Some(ts);
        }
    }
    Ok((u64::from(share), reactions))
}

/// Runs calls, some at once, and says now and then how far it is. In their order.
async fn all<T: Send + 'static, F>(what: &str, calls: impl Iterator<Item = F>) -> anyhow::Result<Vec<T>>
where
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let (mut running, mut done) = (JoinSet::new(), Vec::new());
    let mut said = std::time::Instant::now();
    for (number, call) in calls.enumerate() {
        if running.len() >= AT_ONCE
            && let Some(ended) = running.join_next().await
        {
            done.push(ended.context("a call's task")?);
        }
        running.spawn(async move { (number, call.await) });
        if said.elapsed().as_secs() >= 2 {
            tracing::info!(what, done = done.len(), "seeding");
            said = std::time::Instant::now();
        }
    }
    while let Some(ended) = running.join_next().await {
        done.push(ended.context("a call's task")?);
    }
    tracing::info!(what, done = done.len(), "seeded");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn private(path: &PathBuf) -> anyhow::Result<File> {
    let file = File::options().create(true).write(true).truncate(true).mode(0o600).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

/// A handle that no two numbers share.
fn name(number: u32) -> String {
    let (first, last) = (number as usize % FIRST.len(), number as usize / FIRST.len());
    let round = last / LAST.len();
    let name = format!("{}.{}", FIRST[first], LAST[last % LAST.len()]);
    if round == 0 { name } else { format!("{name}{round}") }
}

fn sentence(random: &mut StdRng) -> String {
    let length = random.random_range(3..16);
    (0..length).map(|_| WORDS[random.random_range(0..WORDS.len())]).collect::<Vec<_>>().join(" ")
}

fn text(value: &Value, path: &str) -> anyhow::Result<String> {
    let found = value.pointer(path).and_then(Value::as_str);
    Ok(found.with_context(|| format!("an answer without {path}"))?.to_owned())
}

fn person(made: &Value) -> anyhow::Result<Person> {
    Ok(Person { user: text(made, "/user/id")?, token: text(made, "/token")? })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_two_people_share_a_handle() {
        assert_eq!((0..5000).map(super::name).collect::<HashSet<_>>().len(), 5000);
    }
}
