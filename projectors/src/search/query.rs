//! Finding: what was committed, less what changed since, and what is newer.

use std::{cmp::Ordering, collections::HashSet, ops::Bound, sync::Arc};

use serde::{Deserialize, Serialize};
use tantivy::{
    Order, TantivyError, Term,
    collector::{
        Collector, Count, FilterCollector, TopDocs,
        sort_key::{SortBySimilarityScore, SortByStaticFastValue},
    },
    query::{
        Bm25StatisticsProvider, BooleanQuery, ConstScoreQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery,
        TermSetQuery,
    },
    schema::IndexRecordOption,
};
use teamlog_log::Offset;
use teamlog_schemas::{ConversationId, TeamId, Ts, UserId};

use super::{
    document::{Change, Changes, Document, Name},
    index::{Committed, Fields},
    words::{self, Clause, Words},
};

/// BM25's constants, as tantivy has them.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// The maximum number of conversations that are looked up in the index; they may be a query's only condition. For more of
/// them, their documents would outnumber those with the words, so each document with the words is checked instead.
const LOOKED_UP_MAX: usize = 4;

/// The order of matches. Equal ones are ordered newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchOrder {
    /// The best first; without words the newest.
    Score,
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
}

/// A search for messages of one team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageQuery {
    /// The team whose messages are searched.
    pub team: TeamId,
    /// Words that a message must all contain. A phrase is in double quotes; `-word` must not occur. If empty, only the
    /// filters select messages.
    pub words: String,
    /// Only messages in these conversations. The caller must include only those that the reader may read: permissions are
    /// not checked here.
    pub conversations: Vec<ConversationId>,
    /// Only messages of this author.
    pub from: Option<UserId>,
    /// Only messages that have all of these: `link`, `reaction`, `:emoji:`, `thread` (a reply).
    pub has: Vec<String>,
    /// Only messages from this time on (inclusive).
    pub after: Ts,
    /// Only messages before this time (exclusive).
    pub before: Ts,
    /// The order.
    pub order: MatchOrder,
    /// The number of matches to skip.
    pub skip: usize,
    /// The maximum number of matches to return.
    pub count: usize,
}

/// A message that was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// The message's conversation.
    pub conversation: ConversationId,
    /// The message's `ts`, its id in that conversation.
    pub ts: Ts,
    /// The relevance; higher is better.
    pub score: f32,
}

/// A page of matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Matches {
    /// The number of all matches.
    pub total: usize,
    /// The requested page.
    pub hits: Vec<Match>,
    /// The offset up to which (exclusive) the partition was searched.
    pub end: Offset,
}

/// Searches the committed documents, with the changes since then from `tail`.
pub(super) fn find(
    committed: &Committed,
    fields: &Fields,
    tail: &Changes,
    query: &MessageQuery,
) -> Result<Matches, TantivyError> {
    let Some(clauses) = words::clauses(&query.words) else { return Ok(Matches::default()) };
    if query.conversations.is_empty() || query.after >= query.before {
        return Ok(Matches::default());
    }
    let by_score = query.order == MatchOrder::Score && clauses.iter().any(|clause| !clause.negated);
    let places: HashSet<u64> = query.conversations.iter().map(|one| one.packed()).collect();
    let looked_for = Sought { committed, fields, query, clauses: &clauses, places: Arc::new(places) };
    let wanted = query.skip.saturating_add(query.count).max(1);
    let (older, mut hits) = looked_for.in_index(tail, wanted, by_score)?;
    let newer = looked_for.in_tail(tail)?;
    let total = older + newer.len();
    hits.extend(newer);
    hits.sort_by(|a, b| {
        let newest = || (b.ts, b.conversation).cmp(&(a.ts, a.conversation));
        match query.order {
            MatchOrder::Score if by_score => b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal).then_with(newest),
            MatchOrder::Score | MatchOrder::Newest => newest(),
            MatchOrder::Oldest => newest().reverse(),
        }
    });
    let hits = hits.into_iter().skip(query.skip).take(query.count).collect();
    Ok(Matches { total, hits, end: Offset::ZERO })
}

struct Sought<'a> {
    committed: &'a Committed,
    fields: &'a Fields,
    query: &'a MessageQuery,
    clauses: &'a [Clause],
    /// The query's conversations.
    places: Arc<HashSet<u64>>,
}

impl Sought<'_> {
    /// How many there are in the index, and the first `wanted`.
    fn in_index(&self, tail: &Changes, wanted: usize, by_score: bool) -> Result<(usize, Vec<Match>), TantivyError> {
        let searcher = &self.committed.searcher;
        if searcher.num_docs() == 0 {
            return Ok((0, Vec::new()));
        }
        let query = self.index_query(tail);
        let top = TopDocs::with_limit(wanted);
        let ts = || SortByStaticFastValue::<u64>::for_field("ts");
        let (total, found) = if by_score {
            let order = (SortBySimilarityScore, (ts(), Order::Desc));
            searcher.search(&query, &self.in_places((Count, top.order_by(order))))?
        } else {
            let order = if self.query.order == MatchOrder::Oldest { Order::Asc } else { Order::Desc };
            let (total, found) = searcher.search(&query, &self.in_places((Count, top.order_by((ts(), order)))))?;
            (total, found.into_iter().map(|(ts, at)| ((0.0, ts), at)).collect())
        };
        let mut matches = Vec::with_capacity(found.len());
        for ((score, ts), at) in found {
            let conversations = searcher.segment_reader(at.segment_ord).fast_fields().u64("conversation")?;
            let missing = || TantivyError::InternalError("a document without a name".to_owned());
            let conversation = conversations.first(at.doc_id).ok_or_else(missing)?;
            let conversation = ConversationId::from_packed(conversation);
            let conversation = conversation.map_err(|why| TantivyError::InternalError(why.to_string()))?;
            let ts = Ts::from_micros(i64::try_from(ts.ok_or_else(missing)?).unwrap_or(i64::MAX));
            matches.push(Match { conversation, ts, score });
        }
        Ok((total, matches))
    }

    /// Collects only messages in the query's conversations.
    fn in_places<C: Collector + Send + Sync>(
        &self,
        collector: C,
    ) -> FilterCollector<C, impl Fn(u64) -> bool + Clone + Send + Sync + 'static, u64> {
        let places = self.places.clone();
        FilterCollector::new("conversation".to_owned(), move |place| places.contains(&place), collector)
    }

    /// All but where it lies, unless that is in few conversations. The words decide the score; all the rest only whether.
    fn index_query(&self, tail: &Changes) -> BooleanQuery {
        let (query, fields) = (self.query, self.fields);
        let mut parts: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for clause in self.clauses {
            let one = self.clause_query(clause);
            parts.push(match clause.negated {
                false => (Occur::Must, one),
                true if clause.terms.len() == 1 => (Occur::MustNot, one),
                // tantivy 0.27 asks what it excludes about documents that are behind already; a phrase answers wrongly
                // then (or panics, in debug builds), a union of two does not.
                true => (Occur::MustNot, Box::new(BooleanQuery::union(vec![one.box_clone(), one]))),
            });
        }
        let exact = |term: Term| -> Box<dyn Query> { Box::new(TermQuery::new(term, IndexRecordOption::Basic)) };
        let ts = |ts: Ts| Term::from_field_u64(fields.ts, ts.micros().unsigned_abs());
        let mut filters = vec![
            exact(Term::from_field_u64(fields.team, query.team.packed())),
            Box::new(RangeQuery::new(Bound::Included(ts(query.after)), Bound::Excluded(ts(query.before)))),
        ];
        if self.places.len() <= LOOKED_UP_MAX {
            let terms = self.places.iter().map(|place| Term::from_field_u64(fields.conversation, *place));
            filters.push(Box::new(TermSetQuery::new(terms)));
        }
        filters.extend(query.from.map(|user| exact(Term::from_field_u64(fields.user, user.packed()))));
        filters.extend(query.has.iter().map(|flag| exact(Term::from_field_text(fields.flags, flag))));
        for filter in filters {
            parts.push((Occur::Must, Box::new(ConstScoreQuery::new(filter, 0.0))));
        }
        let changed = tail.messages.iter().filter(|(_, change)| !change.is_new);
        let changed: Vec<Term> = changed.map(|(name, _)| fields.name_term(name)).collect();
        if !changed.is_empty() {
            parts.push((Occur::MustNot, Box::new(TermSetQuery::new(changed))));
        }
        BooleanQuery::new(parts)
    }

    fn clause_query(&self, clause: &Clause) -> Box<dyn Query> {
        let term = |text: &str| Term::from_field_text(self.fields.body, text);
        match clause.terms.as_slice() {
            [(_, one)] => Box::new(TermQuery::new(term(one), IndexRecordOption::WithFreqs)),
            many => Box::new(PhraseQuery::new_with_offset(many.iter().map(|(at, text)| (*at, term(text))).collect())),
        }
    }

    /// Returns the matches among messages that the tail posted or changed, scored by the index's statistics.
    fn in_tail(&self, tail: &Changes) -> Result<Vec<Match>, TantivyError> {
        let mut analyzer = words::analyzer();
        let mut fitting: Vec<(Name, Words)> = Vec::new();
        let mut seen = 0;
        let mut words_seen = 0;
        for (name, Change { document, .. }) in &tail.messages {
            let Some(document) = document else { continue };
            if name.team != self.query.team
                || !self.places.contains(&name.conversation.packed())
                || !self.passes(name, document)
            {
                continue;
            }
            let words = Words::of(&document.pieces, &mut analyzer);
            (seen, words_seen) = (seen + 1, words_seen + words.len as u64);
            if self.clauses.iter().all(|clause| (words.count(clause) > 0) != clause.negated) {
                fitting.push((*name, words));
            }
        }
        if fitting.is_empty() {
            return Ok(Vec::new());
        }
        let searcher = &self.committed.searcher;
        let documents = searcher.total_num_docs()? + seen;
        let average = (searcher.total_num_tokens(self.fields.body)? + words_seen) as f32 / documents as f32;
        let mut weights = Vec::new();
        for clause in self.clauses.iter().filter(|clause| !clause.negated) {
            let mut weight = 0.0;
            for (_, text) in &clause.terms {
                let with = searcher.doc_freq(&Term::from_field_text(self.fields.body, text))? + fitting.len() as u64;
                let with = with.min(documents) as f32;
                weight += (1.0 + (documents as f32 - with + 0.5) / (with + 0.5)).ln();
            }
            weights.push((clause, weight));
        }
        let scored = fitting.into_iter().map(|(name, words)| {
            let norm = K1 * (1.0 - B + B * words.len as f32 / average.max(1.0));
            let score = weights.iter().map(|(clause, weight)| {
                let often = words.count(clause) as f32;
                weight * (1.0 + K1) * often / (often + norm)
            });
            Match { conversation: name.conversation, ts: name.ts, score: score.sum() }
        });
        Ok(scored.collect())
    }

    fn passes(&self, name: &Name, document: &Document) -> bool {
        let query = self.query;
        let flags = document.flags();
        (query.after..query.before).contains(&name.ts)
            && query.from.is_none_or(|user| document.user == Some(user))
            && query.has.iter().all(|flag| flags.contains(flag))
    }
}
