//! The state of the topics `progress` and `dead`: the position of each consumer, and the jobs that failed for good. Each
//! process that runs consumers or lists dead letters reads both topics from their beginning. They are compacted, so that
//! is little.
//!
//! Last one wins, by log order. What a record says stays true (see [`crate::watermark`]), so it does no harm if a process that
//! was replaced writes one more: work is repeated, none is left out. The one exception is the first record of a consumer in a
//! partition, for where it begins is a choice: of two of those the first one counts, and it counts only where nothing was
//! written before it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use teamlog_log::{
    Appended, Log, LogError, NewRecord, Offset, Partition, Position, Record, Stamp, Topic, TopicPartition,
};
use teamlog_schemas::{ConsumerProgress, Event, Ts};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{JobId, Letter};

/// Before the topics are read again after a failure.
const READ_AGAIN: Duration = Duration::from_millis(200);

/// How far a consumer has come in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Every event before it is settled.
    pub(crate) mark: Position,
    /// The offsets of settled events after `mark`.
    pub(crate) ahead: Vec<Offset>,
}

/// Why a consumer does not know how far it has come.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum LedgerError {
    /// The log's own.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Another version of the program wrote it.
    #[error("a position of {consumer} in partition {partition} was written by another version of the program: {why}")]
    Unreadable { consumer: String, partition: u32, why: String },
    /// A record that is larger than an event may be.
    #[error("it cannot be written: {0}")]
    Unwritable(String),
}

/// The two topics as read so far. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    log: Arc<dyn Log>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// By consumer and partition.
    progress: HashMap<(String, u32), Result<Progress, String>>,
    /// By consumer and partition.
    letters: HashMap<(String, u32), BTreeMap<JobId, Letter>>,
    /// The dead letters that are to be retried, with their partition.
    retried: BTreeSet<(u32, JobId)>,
    /// Where each of the topics' partitions was read to.
    read: HashMap<TopicPartition, Offset>,
    /// Why they are not read on.
    stopped: Option<LogError>,
}

/// The place of a partition's progress.
fn progress_of(partition: Partition) -> TopicPartition {
    TopicPartition { topic: Topic::Progress, partition }
}

/// The place of a partition's dead letters.
fn dead_of(partition: Partition) -> TopicPartition {
    TopicPartition { topic: Topic::Dead, partition }
}

impl Ledger {
    /// Begins to read both topics of a log with so many partitions; ends with `stop`. With the log away it keeps trying.
    pub fn start(log: Arc<dyn Log>, partitions: u32, stop: CancellationToken) -> Ledger {
        let state = Mutex::new(State::default());
        let ledger = Ledger { inner: Arc::new(Inner { log, state, changed: watch::Sender::new(0) }) };
        let all = (0..partitions).map(Partition);
        let from = all.flat_map(|partition| [progress_of(partition), dead_of(partition)]);
        let from: Vec<_> = from.map(|source| (source, Offset::ZERO)).collect();
        tokio::spawn(stop.run_until_cancelled_owned(ledger.clone().follow(from)));
        ledger
    }

    async fn follow(self, mut from: Vec<(TopicPartition, Offset)>) {
        loop {
            let why = match self.inner.log.reader(from.clone()).await {
                Ok(mut reader) => loop {
                    match reader.next().await {
                        Ok(batch) => {
                            self.take(batch.source, &batch.records);
                            let read = self.inner.state.lock().read.get(&batch.source).copied();
                            for (_, offset) in from.iter_mut().filter(|(source, _)| *source == batch.source) {
                                *offset = read.unwrap_or(*offset);
                            }
                        }
                        Err(why) => break why,
                    }
                },
                Err(why) => why,
            };
            match why {
                LogError::Unavailable(_) | LogError::NoTopic(_) | LogError::QueueFull => {
                    tokio::time::sleep(READ_AGAIN).await;
                }
                why @ (LogError::BeyondEnd { .. }
                | LogError::BeforeStart { .. }
                | LogError::TooLarge { .. }
                | LogError::Topics(_)
                | LogError::Fatal(_)) => {
                    error!(%why, "progress and dead letters are not read on: no consumer begins, and none is listed anew");
                    self.inner.state.lock().stopped = Some(why);
                    self.inner.changed.send_modify(|count| *count += 1);
                    return;
                }
            }
        }
    }

    fn take(&self, source: TopicPartition, records: &[Record]) {
        {
            let mut state = self.inner.state.lock();
            for record in records {
                state.take(source, record);
            }
        }
        self.inner.changed.send_modify(|count| *count += 1);
    }

    /// Changes with all that is read.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Ends once all that the log had of a partition's progress when it was asked has been read.
    pub(crate) async fn caught_up(&self, partition: Partition) -> Result<(), LogError> {
        let end = self.inner.log.end(progress_of(partition)).await?;
        self.read_to(progress_of(partition), end).await
    }

    async fn read_to(&self, source: TopicPartition, end: Offset) -> Result<(), LogError> {
        let mut changed = self.changed();
        loop {
            changed.borrow_and_update();
            {
                let state = self.inner.state.lock();
                if state.read.get(&source).copied().unwrap_or(Offset::ZERO) >= end {
                    return Ok(());
                }
                if let Some(why) = &state.stopped {
                    return Err(why.clone());
                }
            }
            // The sender lives as long as `self`.
            let _ = changed.changed().await;
        }
    }

    /// How far a consumer has come in a partition, by what was read; none if it has not begun.
    pub(crate) fn progress(&self, consumer: &str, partition: Partition) -> Result<Option<Progress>, LedgerError> {
        let state = self.inner.state.lock();
        match state.progress.get(&(consumer.to_owned(), partition.0)) {
            None => Ok(None),
            Some(Ok(progress)) => Ok(Some(progress.clone())),
            Some(Err(why)) => {
                Err(LedgerError::Unreadable { consumer: consumer.to_owned(), partition: partition.0, why: why.clone() })
            }
        }
    }

    /// Writes where a consumer begins in a partition, and reads it back. Returns what counts: if another process began it
    /// before, that.
    pub(crate) async fn begin(
        &self,
        consumer: &str,
        partition: Partition,
        at: Position,
        now: Ts,
    ) -> Result<Progress, LedgerError> {
        let begun = Progress { mark: at, ahead: Vec::new() };
        let offset = self.append_progress(consumer, partition, &begun, true, now).await?;
        self.read_to(progress_of(partition), offset.next()).await?;
        Ok(self.progress(consumer, partition)?.unwrap_or(begun))
    }

    /// Writes how far a consumer has come. Ends once that is in the log.
    pub(crate) async fn advance(
        &self,
        consumer: &str,
        partition: Partition,
        progress: &Progress,
        now: Ts,
    ) -> Result<(), LedgerError> {
        self.append_progress(consumer, partition, progress, false, now).await.map(drop)
    }

    async fn append_progress(
        &self,
        consumer: &str,
        partition: Partition,
        progress: &Progress,
        begins: bool,
        at: Ts,
    ) -> Result<Offset, LedgerError> {
        let number = |offset: Offset| i64::try_from(offset.0).unwrap_or(i64::MAX);
        let record = ConsumerProgress {
            consumer: consumer.to_owned(),
            partition: i32::try_from(partition.0).unwrap_or(i32::MAX),
            offset: number(progress.mark.offset),
            position: position_text(&progress.mark),
            ahead: progress.ahead.iter().copied().map(number).collect(),
            begins,
            at,
        };
        let event = Event::from(record);
        let value = event.encode().map_err(|why| LedgerError::Unwritable(why.to_string()))?;
        Ok(self.append(progress_of(partition), event.record_key(), Some(value)).await?)
    }

    /// The letters, those that failed first coming first.
    pub fn letters(&self, mut wanted: impl FnMut(&Letter) -> bool) -> Vec<Letter> {
        let state = self.inner.state.lock();
        let letters = state.letters.values().flat_map(BTreeMap::values);
        let mut letters: Vec<_> = letters.filter(|letter| wanted(letter)).cloned().collect();
        drop(state);
        letters.sort_by(Letter::by_age);
        letters
    }

    /// A letter by its name.
    pub fn letter(&self, id: &JobId) -> Option<Letter> {
        let state = self.inner.state.lock();
        let of_kind = state.letters.iter().filter(|((consumer, _), _)| *consumer == id.consumer);
        of_kind.filter_map(|(_, letters)| letters.get(id)).next().cloned()
    }

    /// Has a letter's work tried again, by whoever follows its partition for its consumer. False if there is none.
    ///
    /// # Errors
    /// The log's own; [`LogError::Unavailable`] if it may have been written all the same.
    pub async fn retry(&self, id: &JobId) -> Result<bool, LogError> {
        let Some(letter) = self.letter(id) else { return Ok(false) };
        self.put(&Letter { is_retried: true, ..letter }).await.map(|_| true)
    }

    /// Drops a letter for good. False if there is none.
    ///
    /// # Errors
    /// As [`Ledger::retry`].
    pub async fn drop_letter(&self, id: &JobId) -> Result<bool, LogError> {
        let Some(letter) = self.letter(id) else { return Ok(false) };
        self.remove(&letter).await.map(|_| true)
    }

    /// Writes a letter and waits until it is read here.
    pub(crate) async fn put(&self, letter: &Letter) -> Result<(), LogError> {
        self.write_dead(letter, true).await
    }

    /// Takes a letter out and waits until that is read here.
    pub(crate) async fn remove(&self, letter: &Letter) -> Result<(), LogError> {
        self.write_dead(letter, false).await
    }

    async fn write_dead(&self, letter: &Letter, is_there: bool) -> Result<(), LogError> {
        let (to, event) = (dead_of(letter.partition), letter.record());
        let value = if is_there { Some(event.encode().map_err(|why| LogError::Fatal(why.to_string()))?) } else { None };
        let offset = self.append(to, event.record_key(), value).await?;
        self.read_to(to, offset.next()).await
    }

    async fn append(&self, to: TopicPartition, key: Option<String>, value: Option<Bytes>) -> Result<Offset, LogError> {
        let record =
            NewRecord { key: key.map(Bytes::from), value, stamp: Stamp::Absent, writer: None, traceparent: None };
        match self.inner.log.append(to, vec![record]).await.pop() {
            Some(Appended::At(offset)) => Ok(offset),
            Some(Appended::Failed(why) | Appended::Unknown(why)) => Err(why),
            None => Err(LogError::Unavailable("no answer".to_owned())),
        }
    }

    /// Reads one event whose offset is known to be that of an event which counts.
    pub(crate) async fn event_at(&self, partition: Partition, offset: Offset) -> Result<Option<Event>, LogError> {
        let source = TopicPartition::events(partition);
        if self.inner.log.end(source).await? <= offset {
            return Ok(None);
        }
        let mut reader = self.inner.log.reader(vec![(source, offset)]).await?;
        let batch = reader.next().await?;
        let record = batch.records.first().filter(|record| record.offset == offset);
        Ok(record.and_then(|record| Event::decode(record.value.as_deref()?).ok()))
    }

    /// The event of a letter, for people; none if the log has it no more.
    ///
    /// # Errors
    /// The log's own.
    pub async fn event_of(&self, letter: &Letter) -> Result<Option<Event>, LogError> {
        self.event_at(letter.partition, letter.offset).await
    }

    /// The letters of a consumer in a partition that are to be tried again.
    pub(crate) fn retried(&self, consumer: &str, partition: Partition) -> Vec<Letter> {
        let state = self.inner.state.lock();
        let Some(letters) = state.letters.get(&(consumer.to_owned(), partition.0)) else { return Vec::new() };
        let here = state.retried.iter().filter(|(number, id)| *number == partition.0 && id.consumer == consumer);
        here.filter_map(|(_, id)| letters.get(id).cloned()).collect()
    }

    /// The letter of a piece of work of a partition.
    pub(crate) fn letter_in(&self, partition: Partition, id: &JobId) -> Option<Letter> {
        let state = self.inner.state.lock();
        state.letters.get(&(id.consumer.clone(), partition.0))?.get(id).cloned()
    }

    /// How many letters a consumer has in a partition.
    pub(crate) fn count(&self, consumer: &str, partition: Partition) -> usize {
        self.inner.state.lock().letters.get(&(consumer.to_owned(), partition.0)).map_or(0, BTreeMap::len)
    }

    /// The letters of a consumer in a partition, those that failed first coming first.
    pub(crate) fn letters_in(&self, consumer: &str, partition: Partition) -> Vec<Letter> {
        self.letters(|letter| letter.id.consumer == consumer && letter.partition == partition)
    }
}

impl State {
    fn take(&mut self, source: TopicPartition, record: &Record) {
        let next = self.read.entry(source).or_insert(Offset::ZERO);
        // After a failure the reader may begin before what was read.
        if record.offset < *next {
            return;
        }
        *next = record.offset.next();
        let Some(value) = &record.value else {
            let id = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()?.parse::<JobId>().ok());
            if let Some(id) = id {
                self.remove(source.partition, &id);
            }
            return;
        };
        match Event::decode(value) {
            Ok(Event::ConsumerProgress(progress)) if source.topic == Topic::Progress => self.take_progress(progress),
            Ok(Event::WorkFailed(failed)) if source.topic == Topic::Dead => {
                match Letter::of(&failed).filter(|letter| letter.partition == source.partition) {
                    Some(letter) => self.put(letter),
                    None => warn!(%source, offset = %record.offset, "a dead letter that names no work is passed over"),
                }
            }
            Ok(other) => warn!(%source, offset = %record.offset, event = other.name(), "a stray record is passed over"),
            Err(why) => warn!(%source, offset = %record.offset, %why, "a record is passed over"),
        }
    }

    fn put(&mut self, letter: Letter) {
        let (partition, id) = (letter.partition.0, letter.id.clone());
        if letter.is_retried {
            self.retried.insert((partition, id.clone()));
        } else {
            self.retried.remove(&(partition, id.clone()));
        }
        self.letters.entry((id.consumer.clone(), partition)).or_default().insert(id, letter);
    }

    fn remove(&mut self, partition: Partition, id: &JobId) {
        self.retried.remove(&(partition.0, id.clone()));
        if let Some(letters) = self.letters.get_mut(&(id.consumer.clone(), partition.0)) {
            letters.remove(id);
        }
    }

    fn take_progress(&mut self, progress: ConsumerProgress) {
        let Ok(partition) = u32::try_from(progress.partition) else { return };
        let key = (progress.consumer, partition);
        if progress.begins && self.progress.contains_key(&key) {
            return;
        }
        let mark = position_of(&progress.position);
        let ahead = progress.ahead.into_iter().filter_map(|offset| u64::try_from(offset).ok()).map(Offset).collect();
        self.progress.insert(key, mark.map(|mark| Progress { mark, ahead }));
    }
}

/// A position as a record has it: its version and its fields, as JSON.
fn position_text(position: &Position) -> String {
    serde_json::to_string(&(Position::FORMAT, position)).unwrap_or_default()
}

fn position_of(text: &str) -> Result<Position, String> {
    let (format, position): (u32, serde_json::Value) = serde_json::from_str(text).map_err(|why| why.to_string())?;
    if format != Position::FORMAT {
        return Err(format!("it has format {format}, this program knows {}", Position::FORMAT));
    }
    serde_json::from_value(position).map_err(|why| why.to_string())
}
