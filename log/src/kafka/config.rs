//! Settings of the engine on Kafka.

use serde::{Deserialize, Serialize};

/// Settings of the engine on Kafka.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// `host:port`, several with commas between them.
    pub brokers: String,
    /// What every topic's name begins with.
    pub prefix: String,
    /// Partitions of `events`, `marks` and `credentials`; used only when the topics are made.
    pub partitions: u32,
    /// Copies of each partition; used only when the topics are made.
    pub replication: u32,
    /// Producers. Exactly one serves a given partition; more of them keep one partition's trouble from the others.
    pub producers: usize,
    /// How batches are compressed.
    pub compression: Compression,
    /// How long a producer waits for more records for a batch, in milliseconds. 0 has the lowest latency, 2 the best
    /// rate under load.
    pub linger_ms: u32,
    /// Records whose outcome may be open; past it `QueueFull`.
    pub queue_records_max: usize,
    /// Bytes of records whose outcome may be open; past it `QueueFull`.
    pub queue_bytes_max: usize,
    /// After this time without an acknowledgement, retries included, a record's outcome is unknown, in milliseconds.
    /// Longer than the election of a partition's leader.
    pub delivery_timeout_ms: u64,
    /// After this time without an answer a question to the brokers ends with `Away`, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long a broker may hold a fetch that finds nothing, in milliseconds. A record that arrives ends the wait.
    pub fetch_wait_ms: u32,
    /// What the brokers' logs and metrics call this process.
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
