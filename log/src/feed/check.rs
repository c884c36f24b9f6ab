//! Whether a position is of the log as it is now.
//!
//! A position names the newest claim that counted below it, by id and offset. A log that was made anew, or cut short
//! and written on, does not have that claim there; one that was cut between the claim and the position has another
//! record before the position than the one that the position follows from. So two single records tell, however long the
//! log is:
//!
//! ```text
//!             claim_offset                        offset
//!   +----+----+----+----+----+----+----+----+----+
//!   | .. | .. | C7 | e0 | e1 | .. | .. | .. | e6 |         position: claim C7, next_seq 7
//!   +----+----+----+----+----+----+----+----+----+
//!             must be C7                      must be seq 6 of C7's epoch
//! ```
//!
//! Where the record before the position is void, it cannot tell; then the records from the claim on are judged.

use std::collections::HashMap;

use super::FeedError;
use crate::{Fence, Log, LogError, Offset, Position, Stamp, TopicPartition};

/// Checks that a position is of this log: not beyond its end, and after the claim and the record that it names.
///
/// # Errors
/// What is wrong with it; [`FeedError::may_pass`] if the log is unavailable.
pub(super) async fn check_position(log: &dyn Log, source: TopicPartition, position: Position) -> Result<(), FeedError> {
    match check_positions(log, &[(source, position)]).await.pop() {
        Some((_, checked)) => checked,
        None => Ok(()),
    }
}

/// A partition and what the check of its position found.
pub(super) type Checked = (TopicPartition, Result<(), FeedError>);

/// Checks positions of several partitions, by two readers in all. The results are in the order of the positions.
pub(super) async fn check_positions(log: &dyn Log, positions: &[(TopicPartition, Position)]) -> Vec<Checked> {
    let mut checks = Vec::with_capacity(positions.len());
    for (source, position) in positions {
        let end = log.end(*source).await;
        checks.push(Check { source: *source, position: *position, end });
    }
    let claims = stamps(log, checks.iter().filter_map(Check::claim)).await;
    let lasts = stamps(log, checks.iter().filter_map(Check::last)).await;
    let mut checked = Vec::with_capacity(checks.len());
    if checks.len() > 1 && (is_final(&claims) || is_final(&lasts)) {
        // One partition's error ended a reader of all: alone, each gets its own result.
        for alone in positions {
            checked.extend(Box::pin(check_positions(log, std::slice::from_ref(alone))).await);
        }
        return checked;
    }
    for check in checks {
        checked.push((check.source, check.result(log, &claims, &lasts).await));
    }
    checked
}

/// The stamps of single records, or why they could not be read.
type Stamps = Result<HashMap<TopicPartition, Stamp>, LogError>;

fn is_final(stamps: &Stamps) -> bool {
    matches!(stamps, Err(why) if !matches!(why, LogError::Unavailable(_)))
}

/// A position under check, with what has been learnt of its partition.
struct Check {
    source: TopicPartition,
    position: Position,
    end: Result<Offset, LogError>,
}

impl Check {
    /// Where its claim lies, if the log has a record there.
    fn claim(&self) -> Option<(TopicPartition, Offset)> {
        (self.position.epoch > 0).then_some(())?;
        self.within(self.position.claim_offset)
    }

    /// Where the record before it lies, if the log has one there that must be an event or a barrier which counts.
    fn last(&self) -> Option<(TopicPartition, Offset)> {
        self.last_stamp()?;
        self.within(Offset(self.position.offset.0.checked_sub(1)?))
    }

    fn within(&self, offset: Offset) -> Option<(TopicPartition, Offset)> {
        let is_there = self.source.topic.fenced() && self.end.as_ref().is_ok_and(|end| offset < *end);
        is_there.then_some((self.source, offset))
    }

    fn claim_stamp(&self) -> Stamp {
        let Position { log_id, epoch, claim_id: claim, .. } = self.position;
        Stamp::Claim { epoch, claim, log_id }
    }

    /// The stamp of the newest record that counts below the position, if that is not the claim.
    fn last_stamp(&self) -> Option<Stamp> {
        let seq = self.position.next_seq?.checked_sub(1)?;
        Some(Stamp::Seq { epoch: self.position.epoch, seq })
    }

    async fn result(self, log: &dyn Log, claims: &Stamps, lasts: &Stamps) -> Result<(), FeedError> {
        let Check { source, position, .. } = self;
        let end = self.end.clone()?;
        if source.topic.fenced() {
            let has_claim = match self.claim() {
                None => position.epoch == 0,
                Some(_) => claims.as_ref().map_err(Clone::clone)?.get(&source) == Some(&self.claim_stamp()),
            };
            // First whether it is this log at all: one that was made anew is mostly shorter, too.
            if !has_claim {
                let here = log_id(log, source, position.offset.min(end)).await?;
                if here != position.log_id {
                    return Err(FeedError::OtherLog { source_partition: source, here, wanted: position.log_id });
                }
            }
            if position.offset <= end && !(has_claim && self.follows(log, lasts).await?) {
                return Err(FeedError::Rewritten { source_partition: source, offset: position.offset });
            }
        }
        if position.offset > end {
            return Err(LogError::BeyondEnd { source_partition: source, wanted: position.offset, end }.into());
        }
        Ok(())
    }

    /// Whether the records from the claim on lead to the position.
    async fn follows(&self, log: &dyn Log, lasts: &Stamps) -> Result<bool, FeedError> {
        let position = self.position;
        let fence = if position.epoch == 0 {
            Fence::at(&Position::START)
        } else {
            if position.claim_offset >= position.offset {
                return Ok(false);
            }
            if position == (Position { offset: position.claim_offset.next(), next_seq: Some(0), ..position }) {
                return Ok(true);
            }
            if let Some(last) = self.last_stamp()
                && lasts.as_ref().map_err(Clone::clone)?.get(&self.source) == Some(&last)
            {
                return Ok(true);
            }
            Fence::at(&Position { next_seq: Some(0), ..position })
        };
        let from = if position.epoch == 0 { Offset::ZERO } else { position.claim_offset.next() };
        let fence = fold(log, self.source, from, position.offset, fence, |_| false).await?;
        Ok(fence.position(position.offset) == position)
    }
}

/// The stamp of the record at each offset; of a partition that has none exactly there, nothing.
async fn stamps(log: &dyn Log, at: impl Iterator<Item = (TopicPartition, Offset)>) -> Stamps {
    let at: Vec<_> = at.collect();
    let mut stamps = HashMap::new();
    if at.is_empty() {
        return Ok(stamps);
    }
    let mut wanted: HashMap<_, _> = at.iter().copied().collect();
    let mut reader = log.reader(at).await?;
    while !wanted.is_empty() {
        let batch = reader.next().await?;
        let Some(offset) = wanted.remove(&batch.source) else { continue };
        let first = batch.records.first().filter(|record| record.offset == offset);
        stamps.extend(first.map(|record| (batch.source, record.stamp)));
    }
    Ok(stamps)
}

/// The identity that the first claim below `to` gave to a partition; nil if there is none.
async fn log_id(log: &dyn Log, source: TopicPartition, to: Offset) -> Result<uuid::Uuid, LogError> {
    let is_claimed = |fence: &Fence| fence.epoch() > 0;
    let fence = fold(log, source, Offset::ZERO, to, Fence::at(&Position::START), is_claimed).await?;
    Ok(fence.log_id())
}

/// Judges the records of `[from, to)`, or those up to where the fence is `enough`, and gives the fence after the last.
async fn fold(
    log: &dyn Log,
    source: TopicPartition,
    from: Offset,
    to: Offset,
    mut fence: Fence,
    enough: impl Fn(&Fence) -> bool,
) -> Result<Fence, LogError> {
    if from >= to {
        return Ok(fence);
    }
    let mut reader = log.reader(vec![(source, from)]).await?;
    loop {
        for record in reader.next().await?.records {
            if record.offset >= to {
                return Ok(fence);
            }
            fence.judge(record.offset, record.stamp);
            if enough(&fence) || record.offset.next() == to {
                return Ok(fence);
            }
        }
    }
}
