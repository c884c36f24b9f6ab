//! The parts that every command is built from: the data directory, the log, the views' databases.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use fs4::fs_std::FileExt;
use teamlog_cluster::Secrets;
use teamlog_log::{
    EmbeddedConfig, EmbeddedLog, Feed, FeedConfig, KafkaConfig, KafkaLog, Log, Partition, Position, Topic,
    TopicPartition, decoder,
};
use teamlog_projectors::{Mains, Search, ShardConfig, Shards};
use teamlog_schemas::Event;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::{Config, Engine};

/// A data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(pub(crate) PathBuf);

impl DataDir {
    /// Takes it for this process alone. The lock ends with the file.
    pub(crate) fn lock(&self) -> anyhow::Result<fs::File> {
        let taken = self.try_lock("lock")?;
        taken.with_context(|| format!("the data directory {} is in use by another process", self.0.display()))
    }

    /// Lets one rebuild or switch at a time run on it, beside a server or without one: two would remove each other's new
    /// generations. Where no server runs, the directory itself is taken as well.
    pub(crate) fn lock_rebuild(&self) -> anyhow::Result<(fs::File, Option<fs::File>)> {
        let only_one = self.try_lock("rebuild.lock")?;
        let only_one =
            only_one.with_context(|| format!("another rebuild or switch is running on {}", self.0.display()))?;
        Ok((only_one, self.try_lock("lock")?))
    }

    /// A locked file; none if another process holds it.
    fn try_lock(&self, name: &str) -> anyhow::Result<Option<fs::File>> {
        fs::create_dir_all(&self.0).with_context(|| format!("cannot make {}", self.0.display()))?;
        let path = self.0.join(name);
        let file = fs::File::options().create(true).write(true).truncate(false).open(&path)?;
        let taken = file.try_lock_exclusive().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(taken.then_some(file))
    }

    /// A small file of secrets, made of `fresh` if it is not there.
    fn kept(&self, name: &str, fresh: impl FnOnce() -> String) -> anyhow::Result<String> {
        let path = self.0.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                let text = fresh();
                write_private(&path, &text)?;
                Ok(text)
            }
            Err(why) => Err(why).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// This node's id; lasts as long as the directory.
    pub(crate) fn node(&self) -> anyhow::Result<Uuid> {
        Ok(self.kept("node-id", || Uuid::new_v4().to_string())?.parse()?)
    }

    /// The cluster's keys: the configured ones, else one of this directory's own.
    pub(crate) fn secrets(&self, config: &Config) -> anyhow::Result<Secrets> {
        if config.cluster.keys.is_empty() {
            let fresh = || random_hex(32);
            return Ok(Secrets::new([self.kept("cluster.key", fresh)?])?);
        }
        Ok(Secrets::new(&config.cluster.keys)?)
    }

    /// Where a running server says how it is reached.
    pub(crate) fn server_file(&self) -> PathBuf {
        self.0.join("run").join("server.json")
    }
}

/// Random bytes as hex.
pub(crate) fn random_hex(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    let mut file = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
}

/// An open log of one of the two engines.
pub(crate) enum OpenLog {
    Embedded(Arc<EmbeddedLog>),
    Kafka(Arc<KafkaLog>),
}

impl OpenLog {
    /// Opens the log for writing. Opening succeeds when Kafka is unavailable; the operations then return that error.
    pub(crate) async fn open(config: &Config, data: &DataDir) -> anyhow::Result<OpenLog> {
        Ok(match config.log.engine {
            Engine::Embedded => {
                let sizes = EmbeddedConfig { partitions: config.log.partitions, ..EmbeddedConfig::default() };
                OpenLog::Embedded(EmbeddedLog::open(&embedded_file(data), sizes).await?)
            }
            Engine::Kafka => OpenLog::Kafka(kafka(config)?),
        })
    }

    /// Opens the log to read, beside a running server.
    pub(crate) async fn open_read_only(config: &Config, data: &DataDir) -> anyhow::Result<OpenLog> {
        Ok(match config.log.engine {
            Engine::Embedded => OpenLog::Embedded(EmbeddedLog::open_read_only(&embedded_file(data)).await?),
            Engine::Kafka => OpenLog::Kafka(kafka(config)?),
        })
    }

    pub(crate) fn shared(&self) -> Arc<dyn Log> {
        match self {
            OpenLog::Embedded(log) => log.clone(),
            OpenLog::Kafka(log) => log.clone(),
        }
    }

    pub(crate) async fn create_topics(&self) -> Result<(), teamlog_log::LogError> {
        match self {
            OpenLog::Embedded(_) => Ok(()),
            OpenLog::Kafka(log) => log.create_topics().await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            OpenLog::Embedded(log) => log.close().await,
            OpenLog::Kafka(log) => log.close().await,
        }
    }
}

fn embedded_file(data: &DataDir) -> PathBuf {
    data.0.join("log.sqlite")
}

fn kafka(config: &Config) -> anyhow::Result<Arc<KafkaLog>> {
    Ok(KafkaLog::connect(KafkaConfig {
        brokers: config.log.brokers.join(","),
        prefix: config.log.prefix.clone(),
        partitions: config.log.partitions,
        replication: config.log.replication,
        ..KafkaConfig::default()
    })?)
}

/// The one shard where none is configured.
pub(crate) const DEFAULT_SHARD: &str = "s1";

/// The views' databases: those of the configuration, else files in the data directory.
pub(crate) fn views(config: &Config, data: &DataDir, partitions: u32) -> anyhow::Result<(Shards, Mains)> {
    let file = |name: &str| format!("sqlite://{}", data.0.join(name).display());
    let shards = if config.shards.is_empty() {
        vec![ShardConfig { name: DEFAULT_SHARD.to_owned(), replicas: vec![file("shard-s1.sqlite")] }]
    } else {
        let shard =
            |shard: &crate::config::Shard| ShardConfig { name: shard.name.clone(), replicas: shard.replicas.clone() };
        config.shards.iter().map(shard).collect()
    };
    let mains =
        if config.mains.replicas.is_empty() { vec![file("mains.sqlite")] } else { config.mains.replicas.clone() };
    Ok((Shards::new(partitions, &shards)?, Mains::new(&mains)?))
}

/// Where the search index lies: in the configured directory, else in the data directory.
pub(crate) fn search_dir(config: &Config, data: &DataDir) -> PathBuf {
    config.search.dir.clone().unwrap_or_else(|| data.0.join("search"))
}

/// The search index.
pub(crate) fn search(config: &Config, data: &DataDir) -> anyhow::Result<Search> {
    let dir = search_dir(config, data);
    Search::open(&dir).with_context(|| format!("cannot open the search index in {}", dir.display()))
}

/// Everything that a node reads, from the lowest position that a view of it needs.
pub(crate) fn sources(partitions: u32, lowest: &HashMap<TopicPartition, Position>) -> Vec<(TopicPartition, Position)> {
    let from = |source: TopicPartition| {
        let start = if source.topic.fenced() { Position::START } else { Position::bare(teamlog_log::Offset::ZERO) };
        (source, lowest.get(&source).copied().unwrap_or(start))
    };
    let mut all = vec![from(TopicPartition::DIRECTORY)];
    for topic in [Topic::Events, Topic::Marks, Topic::Credentials] {
        all.extend((0..partitions).map(|number| from(TopicPartition { topic, partition: Partition(number) })));
    }
    all
}

/// A feed of the log's events.
pub(crate) fn feed(
    log: Arc<dyn Log>,
    sizes: FeedConfig,
    from: Vec<(TopicPartition, Position)>,
    stop: CancellationToken,
) -> Feed<Event> {
    Feed::start(log, decoder(Event::decode), sizes, from, stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_keeps_others_out_and_goes_beside_a_server() {
        let data = DataDir(std::env::temp_dir().join(format!("teamlog-locks-{}", Uuid::new_v4())));
        let alone = data.lock_rebuild().unwrap();
        assert!(alone.1.is_some() && data.lock().is_err(), "no server starts in the middle");
        assert!(data.lock_rebuild().is_err(), "nor another rebuild");
        drop(alone);
        let server = data.lock().unwrap();
        let beside = data.lock_rebuild().unwrap();
        assert!(beside.1.is_none() && data.lock_rebuild().is_err());
        drop((server, beside));
        fs::remove_dir_all(&data.0).unwrap();
    }
}
