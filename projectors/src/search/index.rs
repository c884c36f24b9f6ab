//! The index on disk: its fields, its commits, and what was committed last.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};
use tantivy::{
    DocId, DocSet, Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, SegmentReader, TERMINATED, TantivyDocument,
    TantivyError, Term,
    directory::MmapDirectory,
    postings::SegmentPostings,
    schema::{
        BytesOptions, FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
        Value,
    },
    store::StoreReader,
};
use teamlog_log::{Entry, Position, TopicPartition};
use teamlog_schemas::Event;

use super::{
    SearchError,
    document::{Changes, Document, Name, ROWS_VERSION},
    words,
};
use crate::{
    fingerprint::{OtherSchema, Reported, fingerprint},
    names,
};

/// The memory of the writer's single thread, in bytes. tantivy requires at least 15 MB.
const WRITER_BYTES: usize = 48 << 20;
/// The number of decompressed blocks of stored documents that are cached while all documents are read.
const STORE_BLOCKS: usize = 64;
/// The file, beside tantivy's, with the fingerprint of the index's schema.
const SCHEMA_FILE: &str = "teamlog.schema";
/// The name of this program's tokenizer in the index.
const ANALYZER: &str = "words";

/// The index's fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    /// The message's name; one document has it.
    pub(super) name: Field,
    pub(super) team: Field,
    pub(super) conversation: Field,
    pub(super) ts: Field,
    pub(super) user: Field,
    pub(super) body: Field,
    pub(super) flags: Field,
    /// The whole document, for an event that changes a part of it.
    stored: Field,
}

impl Fields {
    fn schema() -> (Fields, Schema) {
        let mut builder = Schema::builder();
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(ANALYZER)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let fields = Fields {
            name: builder.add_bytes_field("name", BytesOptions::default().set_indexed()),
            team: builder.add_u64_field("team", INDEXED),
            conversation: builder.add_u64_field("conversation", INDEXED | FAST),
            ts: builder.add_u64_field("ts", FAST),
            user: builder.add_u64_field("user", INDEXED),
            body: builder.add_text_field("body", TextOptions::default().set_indexing_options(indexing)),
            flags: builder.add_text_field("flags", STRING),
            stored: builder.add_bytes_field("stored", STORED),
        };
        (fields, builder.build())
    }

    pub(super) fn name_term(&self, name: &Name) -> Term {
        Term::from_field_bytes(self.name, &name.bytes())
    }

    fn document(&self, name: &Name, document: &Document) -> Result<TantivyDocument, postcard::Error> {
        let mut fields = TantivyDocument::default();
        fields.add_bytes(self.name, &name.bytes());
        fields.add_u64(self.team, name.team.packed());
        fields.add_u64(self.conversation, name.conversation.packed());
        fields.add_u64(self.ts, name.ts.micros().unsigned_abs());
        if let Some(user) = document.user {
            fields.add_u64(self.user, user.packed());
        }
        for piece in &document.pieces {
            fields.add_text(self.body, piece);
        }
        for flag in document.flags() {
            fields.add_text(self.flags, flag);
        }
        fields.add_bytes(self.stored, &postcard::to_allocvec(document)?);
        Ok(fields)
    }

    fn stored_document(&self, store: &StoreReader, doc: DocId) -> Result<Document, TantivyError> {
        let stored: TantivyDocument = store.get(doc)?;
        let bytes = stored.get_first(self.stored).and_then(|value| value.as_bytes()).unwrap_or_default();
        postcard::from_bytes(bytes).map_err(|why| TantivyError::InternalError(format!("a stored document: {why}")))
    }
}

/// Compares the fingerprint of the index in a directory with that of this program; one that is yet to be made gets it first.
fn check_schema(dir: &Path, schema: &Schema) -> std::io::Result<Option<OtherSchema>> {
    let file = dir.join(SCHEMA_FILE);
    let payload = serde_json::to_string(&[(TopicPartition::DIRECTORY, Position::START)])?;
    let wanted = fingerprint([serde_json::to_string(schema)?, format!("rows version {ROWS_VERSION}"), payload]);
    if !SearchIndex::is_there(dir) {
        let new = dir.join(format!("{SCHEMA_FILE}.new"));
        std::fs::write(&new, &wanted)?;
        std::fs::File::open(&new)?.sync_all()?;
        std::fs::rename(new, file)?;
        return Ok(None);
    }
    let found = match std::fs::read_to_string(file) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => None,
        found => Some(found?),
    };
    // The replica's name is the directory that holds all generations.
    let replica = dir.parent().unwrap_or(dir).display().to_string();
    let (view, reported) = (names::SEARCH.to_owned(), Reported::default());
    Ok((found.as_ref() != Some(&wanted)).then_some(OtherSchema { view, replica, found, wanted, reported }))
}

/// A snapshot of the last commit that readers see: its documents and its positions, which always belong together.
pub(super) struct Committed {
    pub(super) searcher: Searcher,
    pub(super) positions: HashMap<TopicPartition, Position>,
}

impl Committed {
    /// The position that the documents reflect in a source.
    pub(super) fn position(&self, source: TopicPartition) -> Position {
        self.positions.get(&source).copied().unwrap_or(Position::START)
    }

    /// A message as it was committed.
    pub(super) fn document(&self, fields: &Fields, name: &Name) -> Result<Option<Document>, TantivyError> {
        let mut found = None;
        for segment in self.searcher.segment_readers() {
            let inverted = segment.inverted_index(fields.name)?;
            let Some(postings) = inverted.read_postings(&fields.name_term(name), IndexRecordOption::Basic)? else {
                continue;
            };
            let store = segment.get_store_reader(1)?;
            each_living(segment, postings, |doc| {
                if found.is_none() {
                    found = Some(fields.stored_document(&store, doc)?);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// How many documents have a message's name.
    pub(super) fn count(&self, fields: &Fields, name: &Name) -> Result<u32, TantivyError> {
        let mut count = 0;
        for segment in self.searcher.segment_readers() {
            let inverted = segment.inverted_index(fields.name)?;
            if let Some(postings) = inverted.read_postings(&fields.name_term(name), IndexRecordOption::Basic)? {
                each_living(segment, postings, |_| {
                    count += 1;
                    Ok(())
                })?;
            }
        }
        Ok(count)
    }

    /// Every document, and the name that it is found by, which is none if it is broken.
    pub(super) fn each(
        &self,
        fields: &Fields,
        mut take: impl FnMut(Option<Name>, Document, (u64, u64)) -> Result<(), TantivyError>,
    ) -> Result<(), TantivyError> {
        for segment in self.searcher.segment_readers() {
            let inverted = segment.inverted_index(fields.name)?;
            let store = segment.get_store_reader(STORE_BLOCKS)?;
            let (conversations, times) = (segment.fast_fields().u64("conversation")?, segment.fast_fields().u64("ts")?);
            let mut names = inverted.terms().stream()?;
            while names.advance() {
                let name = Name::of_bytes(names.key());
                let postings = inverted.read_postings_from_terminfo(names.value(), IndexRecordOption::Basic)?;
                each_living(segment, postings, |doc| {
                    let place = (conversations.first(doc).unwrap_or(0), times.first(doc).unwrap_or(0));
                    take(name, fields.stored_document(&store, doc)?, place)
                })?;
            }
        }
        Ok(())
    }
}

fn each_living(
    segment: &SegmentReader,
    mut postings: SegmentPostings,
    mut take: impl FnMut(DocId) -> Result<(), TantivyError>,
) -> Result<(), TantivyError> {
    while postings.doc() != TERMINATED {
        if !segment.is_deleted(postings.doc()) {
            take(postings.doc())?;
        }
        postings.advance();
    }
    Ok(())
}

/// The changes of one source that were applied and not committed yet.
struct Waiting {
    changes: Changes,
    position: Position,
}

#[derive(Default)]
struct Writing {
    /// Made at the first commit, so that a process that only reads does not lock the directory.
    writer: Option<IndexWriter>,
    waiting: HashMap<TopicPartition, Waiting>,
    /// The positions of the last commit, while readers do not see it yet. It is durable and must not be written again.
    unseen: Option<HashMap<TopicPartition, Position>>,
}

/// The index. All of its methods block.
pub(super) struct SearchIndex {
    dir: PathBuf,
    index: Index,
    reader: IndexReader,
    pub(super) fields: Fields,
    committed: RwLock<Arc<Committed>>,
    writing: Mutex<Writing>,
}

impl SearchIndex {
    /// Whether there is an index in a directory.
    pub(super) fn is_there(dir: &Path) -> bool {
        dir.join("meta.json").exists()
    }

    /// Opens the index in a directory, or makes it.
    pub(super) fn open(dir: &Path) -> Result<SearchIndex, SearchError> {
        let wrong = |why: String| SearchError::Index { dir: dir.display().to_string(), why };
        std::fs::create_dir_all(dir).map_err(|why| wrong(why.to_string()))?;
        let (fields, schema) = Fields::schema();
        let other = check_schema(dir, &schema).map_err(|why| wrong(why.to_string()))?;
        other.map_or(Ok(()), |other| Err(SearchError::OtherSchema(other)))?;
        let open = || -> Result<_, TantivyError> {
            let index = Index::open_or_create(MmapDirectory::open(dir).map_err(TantivyError::from)?, schema)?;
            index.tokenizers().register(ANALYZER, words::analyzer());
            loop {
                let before = index.load_metas()?.payload;
                let reader: IndexReader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
                // Another process may commit in the meantime: documents and positions must be of one commit.
                if index.load_metas()?.payload == before {
                    return Ok((index, reader, before));
                }
            }
        };
        let (index, reader, payload) = open().map_err(|why| wrong(why.to_string()))?;
        let positions: Vec<(TopicPartition, Position)> = match payload {
            Some(payload) => serde_json::from_str(&payload).map_err(|why| wrong(why.to_string()))?,
            None => Vec::new(),
        };
        let committed = Committed { searcher: reader.searcher(), positions: positions.into_iter().collect() };
        let committed = RwLock::new(Arc::new(committed));
        Ok(SearchIndex { dir: dir.to_owned(), index, reader, fields, committed, writing: Mutex::default() })
    }

    pub(super) fn wrong(&self, why: &impl ToString) -> SearchError {
        SearchError::Index { dir: self.dir.display().to_string(), why: why.to_string() }
    }

    /// Returns the files whose checksum does not match.
    pub(super) fn damaged(&self) -> Result<Vec<String>, TantivyError> {
        let mut damaged: Vec<String> =
            self.index.validate_checksum()?.iter().map(|file| file.display().to_string()).collect();
        damaged.sort_unstable();
        Ok(damaged)
    }

    /// Returns the last commit that readers see.
    pub(super) fn committed(&self) -> Arc<Committed> {
        self.committed.read().clone()
    }

    /// Returns the last commit, after waiting for a running `apply` or `commit` and making it visible to readers.
    pub(super) fn settled(&self) -> Result<Arc<Committed>, SearchError> {
        self.show(&mut self.writing.lock())?;
        Ok(self.committed())
    }

    /// Makes the last commit visible to readers, if it is not yet.
    fn show(&self, writing: &mut Writing) -> Result<(), SearchError> {
        let Some(positions) = &writing.unseen else { return Ok(()) };
        self.reader.reload().map_err(|why| self.wrong(&why))?;
        let committed = Committed { searcher: self.reader.searcher(), positions: positions.clone() };
        *self.committed.write() = Arc::new(committed);
        writing.unseen = None;
        Ok(())
    }

    /// Applies entries of several sources, without committing them. Returns how many messages and bytes are not committed.
    pub(super) fn apply(&self, batch: &crate::Batch) -> Result<(usize, usize), SearchError> {
        let mut writing = self.writing.lock();
        self.show(&mut writing)?;
        let committed = self.committed();
        for (source, (from, _)) in &batch.moved {
            let stands = writing.waiting.get(source).map(|waiting| waiting.position);
            if stands != Some(*from) {
                if committed.position(*source) != *from {
                    return Err(SearchError::Overtaken(*source));
                }
                // The projector starts again at the last commit's position.
                writing.waiting.insert(*source, Waiting { changes: Changes::default(), position: *from });
            }
        }
        let fold = |entry: &Entry<Event>, waiting: &mut Waiting| -> Result<(), TantivyError> {
            if let Some(event) = entry.event() {
                waiting.changes.apply(event, |name| committed.document(&self.fields, name))?;
            }
            waiting.position = entry.after;
            Ok(())
        };
        for entry in &batch.entries {
            let Some(waiting) = writing.waiting.get_mut(&entry.source) else { continue };
            if let Err(why) = fold(entry, waiting) {
                writing.waiting.remove(&entry.source);
                return Err(self.wrong(&why));
            }
        }
        let sizes = writing.waiting.values().map(|waiting| (waiting.changes.messages.len(), waiting.changes.bytes));
        Ok(sizes.fold((0, 0), |(messages, bytes), (more, larger)| (messages + more, bytes + larger)))
    }

    /// Commits the applied changes with their positions, and makes them visible to readers. After an error they are still
    /// waiting, to be committed or to be made visible by the next call.
    pub(super) fn commit(&self) -> Result<(), SearchError> {
        let mut writing = self.writing.lock();
        self.show(&mut writing)?;
        let committed = self.committed();
        let moved = |(source, waiting): (&TopicPartition, &Waiting)| committed.position(*source) != waiting.position;
        if !writing.waiting.iter().any(moved) {
            return Ok(());
        }
        let mut positions = committed.positions.clone();
        positions.extend(writing.waiting.iter().map(|(source, waiting)| (*source, waiting.position)));
        // A writer that failed is dropped, together with its uncommitted documents.
        let writer = writing.writer.take();
        let writer = self.write(writer, &writing.waiting, &positions).map_err(|why| self.wrong(&why))?;
        writing.writer = Some(writer);
        writing.waiting.clear();
        writing.unseen = Some(positions);
        self.show(&mut writing)
    }

    fn write(
        &self,
        writer: Option<IndexWriter>,
        waiting: &HashMap<TopicPartition, Waiting>,
        positions: &HashMap<TopicPartition, Position>,
    ) -> Result<IndexWriter, TantivyError> {
        let broken = |why: String| TantivyError::InternalError(why);
        let mut writer = match writer {
            Some(writer) => writer,
            None => self.index.writer_with_num_threads(1, WRITER_BYTES)?,
        };
        for (name, change) in waiting.values().flat_map(|waiting| &waiting.changes.messages) {
            if !change.is_new {
                writer.delete_term(self.fields.name_term(name));
            }
            if let Some(document) = &change.document {
                let document = self.fields.document(name, document).map_err(|why| broken(why.to_string()))?;
                writer.add_document(document)?;
            }
        }
        let mut listed: Vec<_> = positions.iter().collect();
        listed.sort_by_key(|(source, _)| **source);
        let payload = serde_json::to_string(&listed).map_err(|why| broken(why.to_string()))?;
        let mut prepared = writer.prepare_commit()?;
        prepared.set_payload(&payload);
        prepared.commit()?;
        Ok(writer)
    }
}

#[cfg(test)]
mod tests {
    use teamlog_log::{Body, Offset, Partition};
    use teamlog_schemas::{Message, MessagePosted, Meta, Ts};
    use uuid::Uuid;

    use super::*;

    /// The state after a commit whose `reload` failed: durable, but not visible to readers.
    #[test]
    fn what_was_committed_and_not_seen_is_shown_and_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let index = SearchIndex::open(dir.path()).unwrap();
        let source = TopicPartition::events(Partition(0));
        let (team, ts) = ("T1".parse().unwrap(), Ts::from_micros(7));
        let meta = Meta { event_id: Uuid::nil(), team, actor: None, at: ts, key: None, method: None };
        let message = Message { ts, text: "once".into(), ..Message::default() };
        let (mentions, opens_for, conversation) = (Vec::new(), Vec::new(), "C1".parse().unwrap());
        let event = MessagePosted {
            meta,
            conversation,
            message,
            thread: None,
            mentions,
            broadcast: None,
            opens_for,
            unfurl: None,
            schedule: None,
        };
        let after = Position { offset: Offset(1), ..Position::START };
        let body = Body::Event(Arc::new(event.into()));
        let entry = Arc::new(Entry { source, offset: Offset(0), after, body, timestamp_ms: 0, bytes: 9 });
        let mut batch = crate::Batch::default();
        batch.extend(source, Position::START, vec![entry]);
        index.apply(&batch).unwrap();
        {
            let mut writing = index.writing.lock();
            let positions = HashMap::from([(source, after)]);
            writing.writer = Some(index.write(None, &writing.waiting, &positions).unwrap());
            writing.waiting.clear();
            writing.unseen = Some(positions);
        }
        assert_eq!((index.committed().position(source).offset, index.committed().searcher.num_docs()), (Offset(0), 0));
        assert!(matches!(index.apply(&batch), Err(SearchError::Overtaken(_))), "the projector asks where it stands");
        let settled = index.settled().unwrap();
        assert_eq!((settled.position(source), settled.searcher.num_docs()), (after, 1));
    }
}
