//! The settings of librdkafka's clients, and the meaning of their errors.

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::config::KafkaConfig;
use crate::LogError;
use crate::limits::{BATCH_BYTES_MAX, KAFKA_MESSAGE_BYTES_MAX};

/// A client context that logs librdkafka's own messages at debug level. That the brokers are unavailable is reported by the
/// operation that fails, once, and not by each of a dozen clients at every attempt to connect.
#[derive(Clone)]
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// The settings of all clients. Connections are made again within a second of their broker's return.
pub(super) fn common(config: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", &config.client_id)
        .set("socket.timeout.ms", config.request_timeout_ms.max(1_000).to_string())
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "30000")
        // How long a topic may be unknown before it is an error: long enough for a creation to reach every broker.
        .set("topic.metadata.propagation.max.ms", "5000")
        .set_log_level(RDKafkaLogLevel::Warning);
    client
}

pub(super) fn producing(config: &KafkaConfig) -> ClientConfig {
    let mut client = common(config);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", config.compression.name())
        .set("linger.ms", config.linger_ms.to_string())
        .set("message.timeout.ms", config.delivery_timeout_ms.to_string())
        .set("request.timeout.ms", config.request_timeout_ms.max(1_000).to_string())
        .set("retry.backoff.ms", "50")
        .set("message.max.bytes", KAFKA_MESSAGE_BYTES_MAX.to_string())
        // The bound of `Room` is to be reached first. librdkafka's counts headers and overhead too, each producer may get
        // all the load, and a batch still counts there while its reports are delivered and its room is taken again.
        .set("queue.buffering.max.messages", (2 * config.queue_records_max + 1).to_string())
        .set("queue.buffering.max.kbytes", (config.queue_bytes_max / 256 + 65_536).min(2_147_483_647).to_string());
    client
}

pub(super) fn consuming(config: &KafkaConfig) -> ClientConfig {
    let mut client = common(config);
    client
        // librdkafka assigns partitions only to clients with a group; this group is never joined and commits nothing.
        .set("group.id", format!("{}reader", config.prefix))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("max.poll.interval.ms", "86400000")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", config.fetch_wait_ms.to_string())
        .set("fetch.error.backoff.ms", "100")
        // By default a consumer with a full queue sleeps for a second before it fetches again.
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.message.max.bytes", BATCH_BYTES_MAX.to_string());
    client
}

/// Maps the error of a request. Most say that the brokers do not answer, which may pass.
pub(super) fn failed(error: &KafkaError) -> LogError {
    let text = error.to_string();
    let code = match error {
        // The accessor leaves these out.
        KafkaError::AdminOp(code) => Some(*code),
        _ => error.rdkafka_error_code(),
    };
    match code {
        Some(code) if is_fatal(code) => LogError::Fatal(text),
        Some(RDKafkaErrorCode::PolicyViolation | RDKafkaErrorCode::InvalidTopic) => LogError::Topics(text),
        Some(_) => LogError::Unavailable(text),
        None => LogError::Fatal(text),
    }
}

/// Whether an error does not pass by itself.
fn is_fatal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fatal
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::UnsupportedFeature
            | RDKafkaErrorCode::UnsupportedVersion
            | RDKafkaErrorCode::InvalidArgument
            | RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::InvalidMessage
    )
}
