//! An item of a cache: a value, the position that it reflects, and how both are encoded.

use async_trait::async_trait;
use bytes::Bytes;
use teamlog_log::{Offset, Position};
use uuid::Uuid;

/// An item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Every event of the item's partition below it is reflected.
    pub position: Position,
    /// The item, encoded.
    pub value: Bytes,
}

/// A cache of items. Every failure is a miss.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// Returns the item, if the cache has it.
    async fn get(&self, key: &str) -> Option<Cached>;

    /// Stores an item, unless the cache has a newer one of the same log.
    async fn set_if_newer(&self, key: &str, item: Cached);

    /// Removes an item.
    async fn delete(&self, key: &str);
}

/// The first byte of an encoded item: its layout.
const LAYOUT: u8 = 2;
/// Layout, checksum, log id, offset, epoch, claim id, claim's offset, next seq with a byte that says whether there is one.
const HEAD_BYTES: usize = 1 + 4 + 16 + 8 + 8 + 16 + 8 + 9;
const _: () = assert!(Position::FORMAT == 2, "the layout holds a position");

impl Cached {
    /// True if this item replaces `other`: it is of another log or history, or not older. Two positions of one epoch have
    /// one claim, unless the log was truncated and then continued. In that case the cache holds an item of the lost end.
    pub(super) fn replaces(&self, other: &Cached) -> bool {
        let (new, old) = (self.position, other.position);
        let is_other_history = new.epoch == old.epoch && new.claim_id != old.claim_id;
        new.log_id != old.log_id || is_other_history || new.offset >= old.offset
    }

    /// Encodes the item. The checksum covers the key too, so an item stored under a wrong key is rejected.
    pub(super) fn encode(&self, key: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.value.len());
        bytes.extend([LAYOUT, 0, 0, 0, 0]);
        bytes.extend(self.position.log_id.as_bytes());
        bytes.extend(self.position.offset.0.to_be_bytes());
        bytes.extend(self.position.epoch.to_be_bytes());
        bytes.extend(self.position.claim_id.as_bytes());
        bytes.extend(self.position.claim_offset.0.to_be_bytes());
        bytes.push(self.position.next_seq.is_some().into());
        bytes.extend(self.position.next_seq.unwrap_or(0).to_be_bytes());
        bytes.extend(&self.value);
        let checksum = checksum(key, &bytes[5..]);
        bytes[1..5].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// None for what was not written by [`Cached::encode`], or came back changed.
    pub(super) fn decode(key: &str, bytes: Vec<u8>) -> Option<Cached> {
        if bytes.len() < HEAD_BYTES || bytes[0] != LAYOUT {
            return None;
        }
        let number = |at: usize| Some(u64::from_be_bytes(bytes[at..at + 8].try_into().ok()?));
        if u32::from_be_bytes(bytes[1..5].try_into().ok()?) != checksum(key, &bytes[5..]) {
            return None;
        }
        let position = Position {
            log_id: Uuid::from_slice(&bytes[5..21]).ok()?,
            offset: Offset(number(21)?),
            epoch: number(29)?,
            claim_id: Uuid::from_slice(&bytes[37..53]).ok()?,
            claim_offset: Offset(number(53)?),
            next_seq: if bytes[61] == 1 { Some(number(62)?) } else { None },
        };
        Some(Cached { position, value: Bytes::from(bytes).slice(HEAD_BYTES..) })
    }
}

fn checksum(key: &str, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(offset: u64) -> Cached {
        let position = Position {
            log_id: Uuid::from_u128(3),
            offset: Offset(offset),
            epoch: 4,
            claim_id: Uuid::from_u128(5),
            claim_offset: Offset(u64::MAX - 6),
            next_seq: offset.checked_sub(1),
        };
        Cached { position, value: Bytes::from_static(b"page") }
    }

    #[test]
    fn an_item_survives_encoding_and_a_changed_one_does_not() {
        for offset in [0, 1, u64::MAX] {
            assert_eq!(Cached::decode("key", item(offset).encode("key")), Some(item(offset)));
        }
        for at in 0..item(1).encode("key").len() {
            let mut bytes = item(1).encode("key");
            bytes[at] ^= 0x10;
            assert_eq!(Cached::decode("key", bytes), None, "byte {at}");
        }
        assert_eq!(Cached::decode("key", Vec::new()), None);
        assert_eq!(Cached::decode("another", item(1).encode("key")), None);
    }

    #[test]
    fn an_older_item_replaces_none_but_another_logs() {
        assert!(item(5).replaces(&item(4)) && item(5).replaces(&item(5)) && !item(4).replaces(&item(5)));
        let mut other = item(1);
        other.position.log_id = Uuid::from_u128(8);
        assert!(other.replaces(&item(5)));
        // The log was truncated before offset 5 and claimed again.
        let mut rewritten = item(4);
        rewritten.position.claim_id = Uuid::from_u128(9);
        assert!(rewritten.replaces(&item(5)));
    }
}
