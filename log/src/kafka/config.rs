//! Settings of the engine on Kafka.

use serde::{Deserialize, Serialize};

/// Settings of the engine on Kafka.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// `host:port`, several with commas between them.
    pub brokers: String,
    /// The prefix of every topic's name.
    pub prefix: String,
    /// Partitions of the partitioned topics; used only when the topics are created.
    pub partitions: u32,
    /// Replicas of each partition; used only when the topics are created.
    pub replication: u32,
    /// Producers. Each partition has exactly one; with several, a partition's failure affects fewer others.
    pub producers: usize,
    /// How batches are compressed.
    pub compression: Compression,
    /// How long a producer waits for more records for a batch, in milliseconds. 0 has the lowest latency, 2 the best
    /// rate under load.
    pub linger_ms: u32,
    /// Records whose outcome may be open; past that an append fails with `QueueFull`.
    pub queue_records_max: usize,
    /// Bytes of records whose outcome may be open; past that an append fails with `QueueFull`.
    pub queue_bytes_max: usize,
    /// The time without an acknowledgement, retries included, after which a record's outcome is unknown, in milliseconds.
    /// Longer than the election of a partition's leader.
    pub delivery_timeout_ms: u64,
    /// The time without an answer after which a request to the brokers fails with `Unavailable`, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long a broker may hold a fetch that finds nothing, in milliseconds. A record that arrives ends the wait.
    pub fetch_wait_ms: u32,
    /// The name of this process in the brokers' logs and metrics.
    pub client_id: String,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Cheap for both sides.
    #[default]
    Lz4,
    /// Smaller, for more CPU.
    Zstd,
}

impl Compression {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        KafkaConfig {
            brokers: "127.0.0.1:9092".into(),
            prefix: "teamlog.".into(),
            partitions: 64,
            replication: 1,
            producers: 4,
            compression: Compression::Lz4,
            linger_ms: 0,
            queue_records_max: 32_768,
            queue_bytes_max: 64 << 20,
            delivery_timeout_ms: 15_000,
            request_timeout_ms: 5_000,
            fetch_wait_ms: 100,
            client_id: "teamlog".into(),
        }
    }
}
