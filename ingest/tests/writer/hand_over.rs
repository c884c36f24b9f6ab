//! Partitions that go from one node to another, as the table of nodes says.

use std::collections::BTreeSet;

use teamlog_cluster::{Peer, Role};
use teamlog_log::LogError;

use super::{
    odd_log::{Ask, KEPT_BACK},
    *,
};

const SECOND: Duration = Duration::from_secs(1);

/// Two nodes and the table of each.
struct Two {
    log: Arc<FaultyLog>,
    ids: [Uuid; 2],
    tables: [watch::Sender<Arc<Membership>>; 2],
    nodes: [Option<Node>; 2],
}

/// The table as `me` sees it, in which only these serve.
fn table(ids: [Uuid; 2], me: usize, serving: [bool; 2]) -> Arc<Membership> {
    let peer = |at: usize| Peer { serving: serving[at], ..Peer::new(ids[at], Role::Ingest) };
    Arc::new(Membership::of(ids[me], vec![peer(0), peer(1)]))
}

impl Two {
    fn start(log: Arc<FaultyLog>) -> Two {
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let tables = [0, 1].map(|me| watch::Sender::new(table(ids, me, [true, false])));
        let nodes = [0, 1].map(|at| Some(Node::placed(&log, &tables[at])));
        Two { log, ids, tables, nodes }
    }

    fn node(&self, at: usize) -> &Node {
        self.nodes[at].as_ref().unwrap()
    }

    /// Sets the membership table of a node.
    fn tell(&self, node: usize, serving: [bool; 2]) {
        self.tables[node].send_replace(table(self.ids, node, serving));
    }

    /// Posts as a gateway does that asks the other one when it is told that this one does not write. Answers its `ts`.
    async fn post(ingests: [Ingest; 2], first: usize, (team, ada, general): Team, text: String) -> Ts {
        let mut at = first;
        loop {
            let ask = request(team, Some(ada), Some(text.clone()), post(general, &text));
            match ingests[at].submit_by_team(ask).await {
                Answer::Acked(acked) => return acked.event.given_ts(),
                Answer::NotAccepted { why: NotAccepted::NotOwner, .. } => {
                    at = 1 - at;
                    tokio::task::yield_now().await;
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}

type Team = (TeamId, UserId, ConversationId);

/// Every post is acknowledged once, and every acknowledged one counts, in the order of its `ts`.
async fn all_count(two: &mut Two, team: TeamId, acknowledged: HashMap<String, Ts>) {
    let partition = two.node(1).ingest.directory().by_team(team).unwrap().partition;
    for node in &mut two.nodes {
        node.take().unwrap().end().await;
    }
    let counted = counted_posts(&two.log, TopicPartition::events(Partition(partition))).await;
    assert!(counted.is_sorted_by(|one, next| one.1 < next.1));
    let texts: HashMap<_, _> = counted.iter().cloned().collect();
    assert_eq!(texts.len(), counted.len(), "a post counts twice");
    assert_eq!(texts, acknowledged);
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_handed_over_in_the_midst_of_posts() {
    let mut two = Two::start(FaultyLog::plain(PARTITIONS));
    let team = make_team(two.node(0), "acme").await;
    two.node(1).ingest.directory().wait_for(Offset(1)).await.unwrap();
    let mut acknowledged = HashMap::new();
    for (round, serving) in [[false, true], [true, false], [false, true]].into_iter().enumerate() {
        let ingests = [0, 1].map(|at| two.node(at).ingest.clone());
        let posts = (0..50).map(|number| {
            let text = format!("{round}/{number}");
            let posting = Two::post(ingests.clone(), number % 2, team, text.clone());
            tokio::spawn(async move { (text, posting.await) })
        });
        let posts: Vec<_> = posts.collect();
        tokio::task::yield_now().await;
        // They do not learn of it at the same time.
        two.tell(round % 2, serving);
        tokio::task::yield_now().await;
        two.tell(1 - round % 2, serving);
        for posted in posts {
            let (text, ts) = posted.await.unwrap();
            acknowledged.insert(text, ts);
        }
    }
    let (one, other) = (&two.node(0).ingest, &two.node(1).ingest);
    assert_eq!((one.writes().len(), one.writes_directory()), (0, false));
    assert_eq!((other.writes().len(), other.writes_directory()), (PARTITIONS as usize, true));
    all_count(&mut two, team.0, acknowledged).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_chosen_no_longer_writes_on_until_the_other_one_can() {
    let two = Two::start(FaultyLog::plain(PARTITIONS));
    let team = make_team(two.node(0), "acme").await;
    two.tell(0, [false, true]);
    // The other one has not heard of it: nobody else writes, and nobody waits.
    let answer =
        two.node(0).ingest.submit_by_team(request(team.0, Some(team.1), None, post(team.2, "still here"))).await;
    assert!(matches!(answer, Answer::Acked(_)), "{answer:?}");
    two.node(1).ingest.directory().wait_for(Offset(1)).await.unwrap();
    let answer =
        two.node(1).ingest.submit_by_team(request(team.0, Some(team.1), None, post(team.2, "too early"))).await;
    assert!(matches!(answer, Answer::NotAccepted { why: NotAccepted::NotOwner, .. }), "{answer:?}");
    two.tell(1, [false, true]);
    let ingests = [0, 1].map(|at| two.node(at).ingest.clone());
    Two::post(ingests, 0, team, "over there".to_owned()).await;
    let answer = two.node(0).ingest.submit_by_team(request(team.0, Some(team.1), None, post(team.2, "too late"))).await;
    assert!(matches!(answer, Answer::NotAccepted { why: NotAccepted::NotOwner, .. }), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn two_tables_that_differ_for_a_minute_do_no_harm() {
    let mut two = Two::start(FaultyLog::plain(PARTITIONS));
    let team = make_team(two.node(0), "acme").await;
    two.node(1).ingest.directory().wait_for(Offset(1)).await.unwrap();
    // Each believes that it is the one.
    two.tell(0, [true, false]);
    two.tell(1, [false, true]);
    let since = Instant::now();
    let mut acknowledged = HashMap::new();
    while since.elapsed() < Duration::from_secs(60) {
        for at in [0, 1] {
            let text = format!("{}/{at}", acknowledged.len());
            let ask = request(team.0, Some(team.1), Some(text.clone()), post(team.2, &text));
            match two.node(at).ingest.submit_by_team(ask).await {
                Answer::Acked(acked) => acknowledged.insert(text, acked.event.given_ts()),
                Answer::NotAccepted { .. } => None,
                other => panic!("{other:?}"),
            };
        }
    }
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    all_count(&mut two, team.0, acknowledged).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_live_node_cannot_read_is_not_written_until_it_can() {
    let two = Two::start(FaultyLog::plain(PARTITIONS));
    let team = make_team(two.node(0), "acme").await;
    let post = || request(team.0, Some(team.1), None, post(team.2, "news"));
    let posted = Event::decode(&{
        let Answer::Acked(acked) = two.node(0).ingest.submit_by_team(post()).await else { panic!("all know it") };
        acked.event.encode().unwrap()
    });
    let versions = posted.unwrap().schema_ids();
    let knows = |ids: BTreeSet<u32>| {
        let table = table(two.ids, 0, [true, false]);
        let mut peers: Vec<Peer> = table.peers().iter().map(|peer| (**peer).clone()).collect();
        peers[0].schemas = versions.iter().copied().collect();
        peers[1].schemas = ids;
        two.tables[0].send_replace(Arc::new(Membership::of(two.ids[0], peers)));
    };
    knows(BTreeSet::new());
    let answer = two.node(0).ingest.submit_by_team(post()).await;
    assert!(matches!(answer, Answer::NotAccepted { why: NotAccepted::OtherVersion, .. }), "{answer:?}");
    // It was upgraded to a program that knows the first version, which says all of this post.
    knows(BTreeSet::from([versions[0]]));
    let answer = two.node(0).ingest.submit_by_team(post()).await;
    assert!(matches!(answer, Answer::Acked(_)), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn no_team_is_written_into_a_partition_that_is_not_its_own() {
    let node = Node::start(&FaultyLog::plain(PARTITIONS));
    let (team, ada, general) = make_team(&node, "acme").await;
    let other = 1 - node.ingest.directory().by_team(team).unwrap().partition;
    let answer =
        node.ingest.writers().submit(Partition(other), request(team, Some(ada), None, post(general, "lost"))).await;
    assert!(matches!(answer, Answer::Refused(Refusal::TeamNotFound)), "{answer:?}");
}

/// A node whose partition is given to it, taken from it and, if it `comes_back`, given to it again, before it has heard
/// the end that it asked for at first. Its log keeps back that answer.
async fn asked_and_called_off(log: &Arc<FaultyLog>, comes_back: bool) -> (Node, Arc<OddLog>, Ask) {
    let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let members = watch::Sender::new(table(ids, 0, [false, true]));
    let odd = OddLog::over(log);
    let node = Node::writing(odd.clone(), Clock::system(), Random::system(), Writing::Here(members.subscribe()));
    // Its live teams have asked for the ends too, by then.
    until(async || node.ingest.teams().are_current()).await;
    odd.keeps_ends.store(true, Ordering::Relaxed);
    members.send_replace(table(ids, 0, [true, false]));
    let first = odd.next_ask().await;
    members.send_replace(table(ids, 0, [false, true]));
    time_passes(SECOND).await;
    if comes_back {
        members.send_replace(table(ids, 0, [true, false]));
    }
    (node, odd, first)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_at_an_end_that_was_asked_for_when_it_was_chosen_before() {
    let log = FaultyLog::plain(PARTITIONS);
    let (node, odd, first) = asked_and_called_off(&log, true).await;
    let second = odd.next_ask().await;
    first.send(Ok(())).unwrap();
    time_passes(SECOND).await;
    assert_eq!(log.records(KEPT_BACK).len(), 0, "others may have written behind that end");
    second.send(Ok(())).unwrap();
    until(async || node.ingest.writes().contains(&KEPT_BACK.partition.0)).await;
}

#[tokio::test(start_paused = true)]
async fn who_stands_by_is_not_moved_by_an_end_that_could_not_be_had() {
    let log = FaultyLog::plain(PARTITIONS);
    let (_node, odd, first) = asked_and_called_off(&log, false).await;
    first.send(Err(LogError::Unavailable("no end".to_owned()))).unwrap();
    let asked_again = tokio::time::timeout(10 * SECOND, odd.next_ask()).await;
    assert!(asked_again.is_err(), "it is on its way to a claim");
}

fn claims(log: &FaultyLog, of: TopicPartition) -> usize {
    log.records(of).iter().filter(|record| matches!(record.stamp, Stamp::Claim { .. })).count()
}

#[tokio::test(start_paused = true)]
async fn who_is_chosen_no_longer_claims_nothing_after_an_append_that_failed() {
    let mut two = Two::start(FaultyLog::plain(PARTITIONS));
    let team = make_team(two.node(0), "acme").await;
    two.node(1).ingest.directory().wait_for(Offset(1)).await.unwrap();
    let number = two.node(0).ingest.directory().by_team(team.0).unwrap().partition;
    let source = TopicPartition::events(Partition(number));
    until(async || two.node(0).ingest.writes().contains(&number)).await;
    two.tell(0, [false, true]);
    two.log.pause(source, true);
    let text = "held up";
    let ask = request(team.0, Some(team.1), Some(text.to_owned()), post(team.2, text));
    let ingest = two.node(0).ingest.clone();
    let held_up = tokio::spawn(async move { ingest.submit_by_team(ask).await });
    // The append has timed out.
    until(async || !two.node(0).ingest.writes().contains(&number)).await;
    two.log.pause(source, false);
    // Longer than any pause before a claim.
    time_passes(10 * SECOND).await;
    assert_eq!(claims(&two.log, source), 1, "the other one's to claim");
    let late = request(team.0, Some(team.1), None, post(team.2, "late"));
    let answer = two.node(0).ingest.submit_by_team(late).await;
    assert!(matches!(answer, Answer::NotAccepted { why: NotAccepted::NotOwner, .. }), "{answer:?}");
    let answer = held_up.await.unwrap();
    assert!(matches!(answer, Answer::Acked(_) | Answer::Unknown), "{answer:?}");
    // What was in flight is settled by the other one's claim, and its repeat finds it if it counts.
    two.tell(1, [false, true]);
    until(async || two.node(1).ingest.writes().contains(&number)).await;
    let ingests = [0, 1].map(|at| two.node(at).ingest.clone());
    let ts = Two::post(ingests, 1, team, text.to_owned()).await;
    all_count(&mut two, team.0, HashMap::from([(text.to_owned(), ts)])).await;
}
