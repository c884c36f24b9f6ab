//! The indexes of search nodes, asked over the internal listener.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use teamlog_cluster::{Carrier, StatusCode};
use teamlog_log::{Offset, Partition};
use teamlog_projectors::{Matches, MessageQuery};
use teamlog_state::SourceError;
use tokio::time::Instant;

use super::{MessageIndex, index::away};

/// Where a search node answers.
pub const SEARCH_PATH: &str = "/internal/search";
/// The version of requests and answers. A node rejects another version, and the next node is asked.
pub(crate) const SEARCH_VERSION: u32 = 1;
/// How long one node may take before the next one is asked.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a node that failed is asked last. So a dead node costs one timeout a second and not one a query.
const SHUNNED: Duration = Duration::from_secs(1);
/// Nodes that are remembered as failing, at most; the oldest ones are forgotten with the next failure.
const SHUNNED_MAX: usize = 64;

/// A request to a search node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchRequest {
    pub(crate) v: u32,
    pub(crate) partition: Partition,
    /// Everything below must have been searched.
    pub(crate) at_least: Offset,
    pub(crate) query: MessageQuery,
}

/// The answer of a search node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchAnswer {
    pub(crate) v: u32,
    pub(crate) matches: Matches,
}

/// Says which nodes search a partition, by their internal addresses, the best first.
pub type Searchers = Arc<dyn Fn(Partition) -> Vec<String> + Send + Sync>;

/// Asks one search node after the other.
pub struct RemoteIndex {
    link: Arc<dyn Carrier>,
    searchers: Searchers,
    failed: Mutex<HashMap<String, Instant>>,
}

impl RemoteIndex {
    /// The indexes of those that `searchers` names.
    pub fn new(link: Arc<dyn Carrier>, searchers: Searchers) -> RemoteIndex {
        RemoteIndex { link, searchers, failed: Mutex::default() }
    }

    async fn ask(&self, address: &str, at_least: Offset, body: Bytes) -> Result<Matches, String> {
        let until = Instant::now() + ASK_TIMEOUT;
        let asked = tokio::time::timeout_at(until, self.link.ask(address, SEARCH_PATH, body, until)).await;
        let (status, bytes) = asked
            .map_err(|_| format!("{address} did not answer in 1 s"))?
            .map_err(|why| format!("{address} does not answer: {why}"))?;
        if status != StatusCode::OK {
            return Err(format!("{address} answers {status}"));
        }
        let answer: SearchAnswer =
            serde_json::from_slice(&bytes).map_err(|why| format!("{address} answered what cannot be read: {why}"))?;
        if answer.v != SEARCH_VERSION {
            return Err(format!("{address} answered in version {}", answer.v));
        }
        if answer.matches.end < at_least {
            return Err(format!("{address} has read up to {} only", answer.matches.end));
        }
        Ok(answer.matches)
    }

    fn is_shunned(&self, address: &str) -> bool {
        self.failed.lock().get(address).is_some_and(|since| since.elapsed() < SHUNNED)
    }

    fn shun(&self, address: &str, why: &str) {
        let mut failed = self.failed.lock();
        if failed.len() >= SHUNNED_MAX {
            failed.retain(|_, since| since.elapsed() < SHUNNED);
        }
        if failed.insert(address.to_owned(), Instant::now()).is_none() {
            tracing::warn!(address, why, "a search node gives no answer");
        }
    }

    fn answered(&self, address: &str) {
        if self.failed.lock().remove(address).is_some() {
            tracing::info!(address, "a search node answers again");
        }
    }
}

#[async_trait]
impl MessageIndex for RemoteIndex {
    async fn find(&self, partition: Partition, at_least: Offset, query: MessageQuery) -> Result<Matches, SourceError> {
        let request = SearchRequest { v: SEARCH_VERSION, partition, at_least, query };
        let body = Bytes::from(serde_json::to_vec(&request).map_err(|why| away(&why))?);
        let mut searchers = (self.searchers)(partition);
        searchers.sort_by_cached_key(|address| self.is_shunned(address));
        let mut last = "no search node is there".to_owned();
        for address in searchers {
            match self.ask(&address, at_least, body.clone()).await {
                Ok(matches) => {
                    self.answered(&address);
                    return Ok(matches);
                }
                Err(why) => {
                    self.shun(&address, &why);
                    last = why;
                }
            }
        }
        Err(away(&last))
    }
}

#[cfg(test)]
mod tests {
    use teamlog_cluster::LinkError;
    use teamlog_projectors::MatchOrder;
    use teamlog_schemas::Ts;

    use super::*;

    /// The behaviour of a node in a test.
    #[derive(Clone, Copy)]
    enum Does {
        Answers(u64),
        Refuses,
        Hangs,
    }

    struct Script {
        nodes: Mutex<HashMap<String, Does>>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Carrier for Script {
        async fn ask(
            &self,
            address: &str,
            path: &str,
            body: Bytes,
            _: Instant,
        ) -> Result<(StatusCode, Bytes), LinkError> {
            self.asked.lock().push(address.to_owned());
            let request: SearchRequest = serde_json::from_slice(&body).unwrap();
            assert_eq!((path, request.v), (SEARCH_PATH, SEARCH_VERSION));
            let does = self.nodes.lock()[address];
            match does {
                Does::Answers(end) => {
                    let matches = Matches { total: 7, hits: Vec::new(), end: Offset(end) };
                    Ok((
                        StatusCode::OK,
                        serde_json::to_vec(&SearchAnswer { v: SEARCH_VERSION, matches }).unwrap().into(),
                    ))
                }
                Does::Refuses => Ok((StatusCode::SERVICE_UNAVAILABLE, Bytes::new())),
                Does::Hangs => std::future::pending().await,
            }
        }
    }

    fn query() -> MessageQuery {
        MessageQuery {
            team: "T1".parse().unwrap(),
            words: "\"so be it\" -never".to_owned(),
            conversations: vec!["C1".parse().unwrap()],
            from: Some("U1".parse().unwrap()),
            has: vec!["link".to_owned()],
            after: Ts::ZERO,
            before: Ts::MAX,
            order: MatchOrder::Newest,
            skip: 20,
            count: 10,
        }
    }

    async fn check(index: &RemoteIndex, script: &Script, finds: bool, asked: &[&str]) {
        let found = index.find(Partition(3), Offset(5), query()).await;
        assert_eq!(found.is_ok(), finds, "{found:?}");
        assert!(found.is_ok() || matches!(found, Err(SourceError::Away { .. })));
        assert_eq!(std::mem::take(&mut *script.asked.lock()), asked);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_one_is_asked_and_who_failed_is_asked_last_for_a_second() {
        let nodes = [("a", Does::Hangs), ("b", Does::Refuses), ("c", Does::Answers(4)), ("d", Does::Answers(5))];
        let nodes = nodes.map(|(name, does)| (name.to_owned(), does)).into();
        let script = Arc::new(Script { nodes: Mutex::new(nodes), asked: Mutex::default() });
        let named = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let index = RemoteIndex::new(script.clone(), Arc::new(move |_| named.clone()));
        let began = Instant::now();
        check(&index, &script, true, &["a", "b", "c", "d"]).await;
        assert_eq!(began.elapsed(), ASK_TIMEOUT);
        check(&index, &script, true, &["d"]).await;
        tokio::time::advance(SHUNNED).await;
        script.nodes.lock().insert("a".to_owned(), Does::Answers(9));
        check(&index, &script, true, &["a"]).await;
        for name in ["a", "d"] {
            script.nodes.lock().insert(name.to_owned(), Does::Refuses);
        }
        check(&index, &script, false, &["a", "b", "c", "d"]).await;
        // If all nodes failed, they are still asked.
        script.nodes.lock().insert("c".to_owned(), Does::Answers(5));
        check(&index, &script, true, &["a", "b", "c"]).await;
        check(&index, &script, true, &["c"]).await;
    }

    #[tokio::test]
    async fn without_a_search_node_search_is_away() {
        let script = Arc::new(Script { nodes: Mutex::default(), asked: Mutex::default() });
        let index = RemoteIndex::new(script.clone(), Arc::new(|_| Vec::new()));
        check(&index, &script, false, &[]).await;
    }

    #[test]
    fn what_goes_over_the_wire_comes_back() {
        let request = SearchRequest { v: 1, partition: Partition(3), at_least: Offset(5), query: query() };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<SearchRequest>(&text).unwrap(), request);
        assert!(text.starts_with(r#"{"v":1,"partition":3,"at_least":5,"query":{"team":"T1","#), "{text}");
    }
}
