//! `teamlog import slack`: an export archive, through a running server. Run twice, nothing is doubled.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Map, Value, json};
use zip::ZipArchive;

use super::Outcome;
use crate::{client::Client, output};

/// Import data from other systems.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// A Slack export archive. Example: teamlog import slack export.zip --domain acme
    Slack {
        /// The archive.
        archive: PathBuf,
        /// The team's domain; the team is made if it is not there.
        #[arg(long)]
        domain: String,
    },
}

/// Items and bytes of one call.
const BATCH_ITEMS: usize = 100;
const BATCH_BYTES: usize = 512 * 1024;
/// The most that one file of an archive may unpack to.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The lists of conversations and what their conversations are.
const LISTS: [(&str, &str); 4] =
    [("channels.json", "channel"), ("groups.json", "group"), ("mpims.json", "mpim"), ("dms.json", "im")];

impl ImportCommand {
    pub(crate) async fn run(self, client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
        let ImportCommand::Slack { archive, domain } = self;
        let mut archive = Archive::open(&archive)?;
        let mut import = Import { client, domain, done: BTreeMap::new() };
        let users = archive.list("users.json")?.context("the archive has no users.json")?;
        let is = |user: &Value, key: &str| user[key].as_bool().unwrap_or(false);
        let owner = users
            .iter()
            .find(|user| is(user, "is_primary_owner"))
            .or_else(|| users.iter().find(|user| is(user, "is_owner")));
        let owner =
            owner.or_else(|| users.iter().find(|user| !is(user, "is_bot") && !is(user, "deleted"))).or(users.first());
        let owner = owner.context("the archive names nobody")?;
        let begin = json!({ "domain": import.domain, "owner": owner });
        client.call("teamlog.import.begin", &begin).await?;
        import.send("user", users.clone()).await?;
        let folders = import.conversations(&mut archive).await?;
        import.messages(&mut archive, &folders).await?;
        let summary = Value::Object(import.done.iter().map(|(what, count)| (what.clone(), json!(count))).collect());
        output::object(as_json, &summary, || {
            import.done.iter().map(|(what, count)| format!("{what}: {count}")).collect::<Vec<_>>().join("\n")
        });
        Ok(Outcome::Done)
    }
}

struct Import<'a> {
    client: &'a Client,
    domain: String,
    /// How often each result came, by kind.
    done: BTreeMap<String, u64>,
}

impl Import<'_> {
    /// The archive's conversations; answers which folder holds the messages of which.
    async fn conversations(&mut self, archive: &mut Archive) -> anyhow::Result<BTreeMap<String, String>> {
        let mut folders = BTreeMap::new();
        for (file, kind) in LISTS {
            let mut all = Vec::new();
            for mut conversation in archive.list(file)?.unwrap_or_default() {
                let id =
                    conversation["id"].as_str().with_context(|| format!("{file}: a conversation without an id"))?;
                let folder = conversation["name"].as_str().filter(|_| kind != "im").unwrap_or(id).to_owned();
                folders.insert(folder, id.to_owned());
                conversation["kind"] = json!(kind);
                all.push(conversation);
            }
            let there = self.send("conversation", all).await?;
            for id in folders.values_mut() {
                if let Some(other) = there.get(id) {
                    other.clone_into(id);
                }
            }
        }
        Ok(folders)
    }

    async fn messages(&mut self, archive: &mut Archive, folders: &BTreeMap<String, String>) -> anyhow::Result<()> {
        for (folder, conversation) in folders {
            let mut all = Vec::new();
            for file in archive.days(folder) {
                all.extend(archive.list(&file)?.unwrap_or_default());
            }
            self.bots(&all).await?;
            // Oldest first, roots before their replies.
            all.sort_by(|one, other| one["ts"].as_str().cmp(&other["ts"].as_str()));
            for message in &mut all {
                message["channel_id"] = json!(conversation);
            }
            tracing::info!(folder, messages = all.len(), "importing");
            self.send("message", all).await?;
        }
        Ok(())
    }

    /// The bots that sent messages and are no users.
    async fn bots(&mut self, messages: &[Value]) -> anyhow::Result<()> {
        let mut bots = BTreeMap::new();
        for message in messages {
            if let Some(id) = message["bot_id"].as_str() {
                let name = message["username"].as_str().unwrap_or_default();
                bots.entry(id.to_owned()).or_insert_with(|| json!({ "id": id, "name": name }));
            }
        }
        self.send("bot", bots.into_values().collect()).await.map(drop)
    }

    /// Sends items, a batch at a time; answers those that are there already under another id, with that.
    async fn send(&mut self, kind: &str, items: Vec<Value>) -> anyhow::Result<BTreeMap<String, String>> {
        let mut there = BTreeMap::new();
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(item) = items.next_if(|_| batch.len() < BATCH_ITEMS && bytes < BATCH_BYTES) {
                bytes += item.to_string().len();
                batch.push(item);
            }
            self.send_batch(kind, &batch, &mut there).await?;
        }
        Ok(there)
    }

    /// Sends a batch until each item has a result that will not change.
    async fn send_batch(
        &mut self,
        kind: &str,
        batch: &[Value],
        there: &mut BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let mut left = batch.to_vec();
        for _ in 0..20 {
            let args = json!({ "domain": self.domain, "kind": kind, "items": left });
            let answer = self.client.call("teamlog.import.items", &args).await?;
            let results = answer["results"].as_array().cloned().unwrap_or_default();
            let mut again = Vec::new();
            for (item, result) in left.into_iter().zip(results) {
                if let (Some(id), Some(other)) = (item["id"].as_str(), result["id"].as_str()) {
                    there.insert(id.to_owned(), other.to_owned());
                }
                match result["result"].as_str().unwrap_or_default() {
                    "not_accepted" | "outcome_unknown" => again.push(item),
                    result => {
                        if !matches!(result, "imported" | "there") {
                            let name = item["id"].as_str().or(item["ts"].as_str()).unwrap_or("?").to_owned();
                            tracing::warn!(kind, item = name, result, "not imported");
                        }
                        *self.done.entry(format!("{kind} {result}")).or_default() += 1;
                    }
                }
            }
            if again.is_empty() {
                return Ok(());
            }
            left = again;
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        bail!("the server did not take {} items of kind {kind}; run the import again", left.len())
    }
}

/// An export archive.
struct Archive {
    zip: ZipArchive<File>,
}

impl Archive {
    fn open(path: &Path) -> anyhow::Result<Archive> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let zip = ZipArchive::new(file).with_context(|| format!("{} is no zip archive", path.display()))?;
        Ok(Archive { zip })
    }

    /// The objects of a file; none if it is not there.
    fn list(&mut self, name: &str) -> anyhow::Result<Option<Vec<Value>>> {
        let file = match self.zip.by_name(name) {
            Ok(file) => file,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(why) => return Err(why).with_context(|| format!("{name} cannot be unpacked")),
        };
        let mut text = String::new();
        let mut bounded = file.take(FILE_BYTES_MAX + 1);
        bounded.read_to_string(&mut text).with_context(|| format!("{name} cannot be unpacked"))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            bail!("{name} is larger than {FILE_BYTES_MAX} bytes");
        }
        let list: Vec<Map<String, Value>> =
            serde_json::from_str(&text).with_context(|| format!("{name} is no list of objects"))?;
        Ok(Some(list.into_iter().map(Value::Object).collect()))
    }

    /// The files of a folder, by day.
    fn days(&self, folder: &str) -> Vec<String> {
        let inside = |name: &&str| {
            name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/') && rest.ends_with(".json"))
        };
        let mut days: Vec<String> = self.zip.file_names().filter(inside).map(str::to_owned).collect();
        days.sort();
        days
    }
}
