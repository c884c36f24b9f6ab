//! The configuration: a file, then the environment, then flags; later ones win.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Deserializer, Serialize};
use teamlog_consumers::{egress::EgressConfig, unfurl::UnfurlConfig};
use teamlog_gateway::Signup;
use teamlog_log::FeedConfig;

/// Everything that can be set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) cluster: Cluster,
    pub(crate) log: Log,
    pub(crate) mains: Mains,
    pub(crate) shards: Vec<Shard>,
    pub(crate) cache: Cache,
    pub(crate) search: Search,
    pub(crate) ingest: Ingest,
    pub(crate) gateway: Gateway,
    pub(crate) limits: Limits,
    pub(crate) apps: Apps,
    pub(crate) egress: EgressConfig,
    pub(crate) unfurl: UnfurlConfig,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    pub(crate) listen: String,
    /// Where clients reach it; made from the address taken if it is not set.
    pub(crate) public_url: Option<String>,
    pub(crate) signup: Signup,
    pub(crate) signup_key: Option<String>,
}

impl Default for Server {
    fn default() -> Self {
        let (signup, signup_key) = (Signup::Loopback, None);
        Server { listen: "127.0.0.1:8080".to_owned(), public_url: None, signup, signup_key }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cluster {
    /// Where a role listens to the other nodes; `serve` has none of them.
    pub(crate) listen: String,
    /// Where those reach it; made from the address taken if it is not set.
    pub(crate) advertise: Option<String>,
    /// The first one signs. Embedded: made in the data directory if there is none.
    #[serde(deserialize_with = "list")]
    pub(crate) keys: Vec<String>,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster { listen: "127.0.0.1:0".to_owned(), advertise: None, keys: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Engine {
    #[default]
    Embedded,
    Kafka,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) engine: Engine,
    #[serde(deserialize_with = "list")]
    pub(crate) brokers: Vec<String>,
    pub(crate) prefix: String,
    /// At creation only.
    pub(crate) partitions: u32,
    /// At creation only.
    pub(crate) replication: u32,
    /// Bytes of recent events kept in memory for each partition.
    pub(crate) ring_bytes_max: usize,
    /// Bytes of events that one read of what is no longer there may hold: how far a view may lag and still be read.
    pub(crate) scan_bytes_max: usize,
}

impl Default for Log {
    fn default() -> Self {
        let (engine, brokers, prefix) = (Engine::Embedded, Vec::new(), "teamlog.".to_owned());
        let FeedConfig { ring_bytes_max, scan_bytes_max } = FeedConfig::default();
        Log { engine, brokers, prefix, partitions: 16, replication: 1, ring_bytes_max, scan_bytes_max }
    }
}

impl Log {
    /// The sizes of a feed.
    pub(crate) fn feed(&self) -> FeedConfig {
        FeedConfig { ring_bytes_max: self.ring_bytes_max, scan_bytes_max: self.scan_bytes_max }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Mains {
    #[serde(deserialize_with = "list")]
    pub(crate) replicas: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shard {
    pub(crate) name: String,
    #[serde(deserialize_with = "list")]
    pub(crate) replicas: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cache {
    /// Of memcached, as `host:port`; in this process if there is none.
    #[serde(deserialize_with = "list")]
    pub(crate) servers: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Search {
    /// The index's directory; `search` in the data directory if it is not set.
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ingest {
    /// Commands that wait or are in flight for one team.
    pub(crate) team_max: usize,
    /// Commands that wait for one partition.
    pub(crate) partition_max: usize,
    /// Bytes of teams kept in memory.
    pub(crate) teams_bytes_max: usize,
}

impl Default for Ingest {
    fn default() -> Self {
        Ingest { team_max: 256, partition_max: 4096, teams_bytes_max: 512 << 20 }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Gateway {
    pub(crate) sessions_max: usize,
    /// Sessions of one team, and of all, between their `rtm.*` call and their going live.
    pub(crate) joining_team_max: usize,
    pub(crate) joining_max: usize,
    /// People in a team above which `rtm.start` is lazy.
    pub(crate) lazy_people: usize,
}

impl Default for Gateway {
    fn default() -> Self {
        Gateway { sessions_max: 50_000, joining_team_max: 4096, joining_max: 16_384, lazy_people: 2000 }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// False for benches.
    pub(crate) enabled: bool,
    pub(crate) calls_per_second: u32,
    pub(crate) calls_burst: u32,
    pub(crate) messages_per_second: u32,
    pub(crate) messages_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { enabled: true, calls_per_second: 100, calls_burst: 500, messages_per_second: 1, messages_burst: 20 }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Apps {
    /// Lets what users name lead to private addresses too: for closed networks and tests.
    pub(crate) allow_private_urls: bool,
}

impl Config {
    /// From the defaults, a file, and variables like `TEAMLOG_LOG__BROKERS=host1:9092,host2:9092`.
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        if let Some(file) = file {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            figment = figment.merge(Toml::string(&text));
        }
        // Variables without a section (TEAMLOG_DATA_DIR, those of tests) are not the file's.
        let env = Env::prefixed("TEAMLOG_").filter(|key| key.as_str().contains("__")).split("__");
        let config: Config = figment.merge(env).extract().map_err(|why| anyhow::anyhow!(explained(&why)))?;
        config.check()?;
        Ok(config)
    }

    /// Refuses what cannot work.
    fn check(&self) -> anyhow::Result<()> {
        if self.log.engine == Engine::Kafka {
            if self.log.brokers.is_empty() {
                bail!("[log] engine = \"kafka\" needs brokers");
            }
            if self.log.replication as usize > self.log.brokers.len() {
                let (wanted, brokers) = (self.log.replication, self.log.brokers.len());
                bail!("[log] replication = {wanted}, but only {brokers} brokers are listed");
            }
            if self.cluster.keys.is_empty() {
                bail!("[cluster] keys are needed with [log] engine = \"kafka\": every node must have the same");
            }
        }
        if self.log.partitions == 0 {
            bail!("[log] partitions must be at least 1");
        }
        let mut seen = std::collections::HashSet::new();
        let replicas = self.shards.iter().flat_map(|shard| &shard.replicas).chain(&self.mains.replicas);
        for replica in replicas {
            let place = place(replica);
            if !seen.insert(place.clone()) {
                bail!("the replica {place} is listed twice: two views cannot share a database");
            }
        }
        for server in &self.cache.servers {
            let port =
                server.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
            if port.is_none() {
                bail!("[cache] servers are HOST:PORT, and {server:?} is not");
            }
        }
        let mut names = std::collections::HashSet::new();
        for shard in &self.shards {
            if !names.insert(&shard.name) {
                bail!("two shards are called {:?}", shard.name);
            }
        }
        Ok(())
    }

    /// Refuses what a role that shares its log and its views with other nodes cannot work with.
    pub(crate) fn check_shared(&self, role: &str) -> anyhow::Result<()> {
        if self.log.engine != Engine::Kafka {
            bail!(
                "{role} shares its log with other nodes: it needs [log] engine = \"kafka\" (`serve` is for one process)"
            );
        }
        let is_shared =
            |replicas: &[String]| !replicas.is_empty() && replicas.iter().all(|url| url.starts_with("mysql://"));
        if self.shards.is_empty() || !self.shards.iter().all(|shard| is_shared(&shard.replicas)) {
            bail!("{role} shares its views with other nodes: every one of [[shards]] needs replicas on MySQL");
        }
        if !is_shared(&self.mains.replicas) {
            bail!("{role} shares its views with other nodes: [mains] needs replicas on MySQL");
        }
        Ok(())
    }

    /// Returns the configuration with its secrets masked.
    pub(crate) fn masked(&self) -> Config {
        let mut masked = self.clone();
        masked.cluster.keys.iter_mut().for_each(|key| "***".clone_into(key));
        if let Some(key) = &mut masked.server.signup_key {
            "***".clone_into(key);
        }
        for url in masked.shards.iter_mut().flat_map(|shard| &mut shard.replicas).chain(&mut masked.mains.replicas) {
            if let Some((start, rest)) = url.split_once("://")
                && let Some((user, host)) = rest.split_once('@')
                && let Some((name, _)) = user.split_once(':')
            {
                *url = format!("{start}://{name}:***@{host}");
            }
        }
        masked
    }
}

/// A list, or one text with commas between its parts, as variables have it.
fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of texts, or one text with commas between its parts")]
    enum Given {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Given::deserialize(from)? {
        Given::List(list) => list,
        Given::Text(text) => text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect(),
    })
}

/// Where a replica lies, however it is written: without who asks, and with the port that is meant if none is named.
fn place(replica: &str) -> String {
    let Some(rest) = replica.strip_prefix("mysql://") else { return replica.to_owned() };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let (host, database) = rest.split_once('/').unwrap_or((rest, ""));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:3306") };
    format!("{}/{}", host.to_lowercase(), database.split('?').next().unwrap_or_default())
}

/// The error, with the nearest known key where one is unknown.
fn explained(why: &figment::Error) -> String {
    let mut text = format!("configuration: {why}");
    if let figment::error::Kind::UnknownField(unknown, known) = &why.kind {
        let distance = |known: &&&str| strsim::damerau_levenshtein(unknown, known);
        if let Some(nearest) = known.iter().min_by_key(distance) {
            text.push_str(&format!("; did you mean `{nearest}`?"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let file = std::env::temp_dir().join(format!("teamlog-config-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&file, text).unwrap();
        let loaded = Config::load(Some(&file)).map_err(|why| why.to_string());
        std::fs::remove_file(&file).unwrap();
        loaded
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let why = load("[log]\nborkers = [\"a:1\"]").unwrap_err();
        assert!(why.contains("did you mean `brokers`?"), "{why}");
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        for (text, reason) in [
            ("[log]\nengine = \"kafka\"", "needs brokers"),
            (
                "[cluster]\nkeys = [\"k\"]\n[log]\nengine = \"kafka\"\nbrokers = [\"a:1\"]\nreplication = 3",
                "only 1 brokers",
            ),
            ("[log]\nengine = \"kafka\"\nbrokers = [\"a:1\"]", "[cluster] keys"),
            ("[mains]\nreplicas = [\"mysql://a/x\", \"mysql://a/x\"]", "listed twice"),
            ("[mains]\nreplicas = [\"mysql://me:pw@A/x\", \"mysql://a:3306/x\"]", "a:3306/x is listed twice"),
            ("[log]\npartitions = 0", "at least 1"),
            ("[cache]\nservers = [\"memcached\"]", "HOST:PORT"),
        ] {
            let why = load(text).unwrap_err();
            assert!(why.contains(reason), "{text}: {why}");
        }
    }

    #[test]
    fn a_role_needs_what_it_shares_with_other_nodes() {
        let kafka = "[cluster]\nkeys = [\"k\"]\n[log]\nengine = \"kafka\"\nbrokers = [\"a:1\"]\n";
        let mains = "[mains]\nreplicas = [\"mysql://a/m\"]\n";
        let shard = |replica: &str| format!("[[shards]]\nname = \"s1\"\nreplicas = [\"{replica}\"]\n");
        for (text, reason) in [
            (String::new(), "engine = \"kafka\""),
            (format!("{kafka}{mains}"), "[[shards]]"),
            (format!("{kafka}{mains}{}", shard("sqlite://here.sqlite")), "[[shards]]"),
            (format!("{kafka}{}", shard("mysql://a/s1")), "[mains]"),
        ] {
            let why = load(&text).unwrap().check_shared("gateway").unwrap_err().to_string();
            assert!(why.contains(reason) && why.contains("gateway"), "{text}: {why}");
        }
        load(&format!("{kafka}{mains}{}", shard("mysql://a/s1"))).unwrap().check_shared("gateway").unwrap();
    }

    #[test]
    fn a_list_may_be_one_text_with_commas() {
        let config = load("[cache]\nservers = \"a:1, b:2\"").unwrap();
        assert_eq!(config.cache.servers, ["a:1", "b:2"]);
        assert!(load("[cache]\nservers = 7").unwrap_err().contains("expected a list of texts"));
    }

    #[test]
    fn secrets_are_masked() {
        let text = "[cluster]\nkeys = [\"secret\"]\n[mains]\nreplicas = [\"mysql://root:secret@a/x\"]";
        let shown = toml::to_string(&load(text).unwrap().masked()).unwrap();
        assert!(!shown.contains("secret"), "{shown}");
    }
}
