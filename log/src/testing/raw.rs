//! Records that no writer of this project sends, for tests of the fence and of its readers.

use async_trait::async_trait;
use bytes::Bytes;

use super::FaultyLog;
use crate::{Appended, EmbeddedLog, KafkaLog, Log, NewRecord, Offset, Stamp, TopicPartition};

/// Appends of records with any headers, past every writer.
#[async_trait]
pub trait RawAppend {
    /// Appends a record and returns its offset.
    ///
    /// # Panics
    /// If it was not written: a test that needs a stray record cannot go on without it.
    async fn append_raw(&self, to: TopicPartition, record: NewRecord) -> Offset;
}

/// Appends without a fault, whatever the seed.
#[async_trait]
impl RawAppend for FaultyLog {
    async fn append_raw(&self, to: TopicPartition, record: NewRecord) -> Offset {
        self.land(to, record)
    }
}

#[async_trait]
impl RawAppend for EmbeddedLog {
    async fn append_raw(&self, to: TopicPartition, record: NewRecord) -> Offset {
        landed(self.append(to, vec![record]).await)
    }
}

#[async_trait]
impl RawAppend for KafkaLog {
    async fn append_raw(&self, to: TopicPartition, record: NewRecord) -> Offset {
        landed(self.append(to, vec![record]).await)
    }
}

fn landed(appended: Vec<Appended>) -> Offset {
    match appended[..] {
        [Appended::At(offset)] => offset,
        _ => panic!("a raw append did not land: {appended:?}"),
    }
}

/// A record with nothing but a stamp and a value.
pub fn stray(stamp: Stamp, value: &'static [u8]) -> NewRecord {
    NewRecord { key: None, value: Some(Bytes::from_static(value)), stamp, writer: None, traceparent: None }
}
