//! Records that no writer of ours sends, for tests of the fence and of what reads behind it.

use async_trait::async_trait;
use bytes::Bytes;

use super::FaultyLog;
use crate::{Appended, EmbeddedLog, KafkaLog, Log, NewRecord, Offset, Stamp, TopicPartition};

/// Lays a record into a log past every writer, whatever its headers say.
#[async_trait]
pub trait RawAppend {
    /// Returns where it lies.
    ///
    /// # Panics
    /// If it could not be written: a test that places a stray record has no use for less.
    async fn append_raw(&self, to: TopicPartition, record: NewRecord) -> Offset;
}

/// With no fault, whatever the seed.
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
