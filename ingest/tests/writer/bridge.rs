//! Reading rows as of a position while the team moves on.

use teamlog_live::bridge;
use teamlog_state::At;
use tokio::runtime::Handle;

use super::*;

/// The texts of a partition's posts as rows at its very beginning, brought up to the team. `meanwhile` happens as the first
/// event of the tail is laid over them.
async fn texts(node: &Node, team: TeamId, mut meanwhile: impl FnMut()) -> (Vec<String>, Position) {
    let live = node.ingest.teams().get(team).await.unwrap();
    let at = At { position: Position::START, rows: Vec::new() };
    let lay = |texts: &mut Vec<String>, event: &Arc<Event>| {
        meanwhile();
        if let Event::MessagePosted(posted) = &**event {
            texts.push(posted.message.text.plain.clone());
        }
    };
    let (texts, now) = bridge::to_team(node.ingest.teams(), &live, at, lay).await.unwrap();
    (texts, now.position())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_reflect_all_that_the_team_beside_them_does() {
    let node = Node::start(&FaultyLog::plain(PARTITIONS));
    let (team, ada, general) = make_team(&node, "acme").await;
    let say = async |text: &str| {
        let said = node.ingest.submit_by_team(request(team, Some(ada), None, post(general, text))).await;
        let (partition, seen_at) = said.seen_at().unwrap();
        node.ingest.teams().wait_for(partition, seen_at.offset).await.unwrap();
        seen_at
    };
    say("before").await;
    let mut once = true;
    let (handle, mut last) = (Handle::current(), Position::START);
    let (found, at) = texts(&node, team, || {
        if std::mem::take(&mut once) {
            // Posted and counted after the tail was read, and before the team is looked at.
            last = tokio::task::block_in_place(|| handle.block_on(say("meanwhile")));
        }
    })
    .await;
    assert!(at.offset >= last.offset, "the team has seen it");
    assert_eq!(found, ["before", "meanwhile"]);
    node.end().await;
}
