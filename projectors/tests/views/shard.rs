//! A shard's rows against the folds of `state`, whatever the batches.

use std::{collections::BTreeSet, sync::Arc};

use teamlog_log::{Entry, Offset, Position, Topic};
use teamlog_projectors::{Batch, DbError, HistoryPage, ProjectError, Projector, Shards, Unread};
use teamlog_schemas::*;
use teamlog_state::*;

use crate::{
    events::*,
    house::{House, on_each, shard, source},
};

/// Applies entries of `events` in batches of `size` from where the view stands.
async fn project(projector: &Arc<dyn Projector>, entries: &[Arc<Entry<Event>>], size: usize) {
    for piece in entries.chunks(size) {
        let from = projector.positions().await.unwrap().get(&piece[0].source).copied().unwrap_or(Position::START);
        let mut batch = Batch::default();
        batch.extend(piece[0].source, from, piece.to_vec());
        projector.apply(&batch).await.unwrap();
    }
}

/// The life, projected in batches of `size`.
async fn lived(house: &House, url: &str, size: usize) -> Shards {
    let shards = shard(vec![url.to_owned()]);
    let life = life("s1");
    house.append(source(Topic::Events), life.iter().map(|event| &**event)).await;
    let entries = house.entries(source(Topic::Events)).await;
    project(&shards.projectors()[0], &entries, size).await;
    shards
}

fn folded(events: &[Arc<Event>]) -> Team {
    let mut team = Team::begin(&events[0]).unwrap();
    events[1..].iter().for_each(|event| team.apply(event));
    team
}

fn shown(rows: &TeamRows) -> String {
    format!("{rows:#?}")
}

/// An event that is left out of the life is compared with no fold of `state` by the tests below.
#[test]
fn the_life_has_every_event_that_a_shard_is_made_of() {
    let mut missing: BTreeSet<&str> = schemas()
        .filter(|schema| ["events", "marks", "credentials"].contains(&schema.topic))
        .filter(|schema| !["Claim", "Barrier"].contains(&schema.name))
        .map(|schema| schema.name)
        .collect();
    for event in life("s1").iter().map(|event| &**event).chain([&marks(bob(), general(), 1), &stored(1, "aa")]) {
        missing.remove(event.name());
    }
    assert!(missing.is_empty(), "not in the life: {missing:?}");
}

#[tokio::test]
async fn the_rows_are_the_fold_whatever_the_batches() {
    on_each(|house, url| async move {
        let whole = folded(&life("s1"));
        let shards = lived(&house, &url, 1).await;
        let at = shards.team("s1", team()).await.unwrap();
        let rows = at.rows.unwrap();
        assert_eq!(shown(&rows), shown(&whole.to_rows()));
        assert_eq!(shown(&Team::from_rows(rows).to_rows()), shown(&whole.to_rows()));
        let entries = house.entries(source(Topic::Events)).await;
        assert_eq!(at.position, entries.last().unwrap().after);
    })
    .await;
    for size in [3, 7, 1000] {
        let house = House::new().await;
        let url = format!("sqlite://{}", house.dir.path().join("s1.db").display());
        let shards = lived(&house, &url, size).await;
        let rows = shards.team("s1", team()).await.unwrap().rows.unwrap();
        assert_eq!(shown(&rows), shown(&folded(&life("s1")).to_rows()), "in batches of {size}");
    }
}

#[tokio::test]
async fn facts_read_are_facts_folded() {
    on_each(|house, url| async move {
        let shards = lived(&house, &url, 5).await;
        let names: Vec<_> = [10, 11, 12, 13, 31, 41, 42, 45, 80].map(|at| (general(), ts(at))).into();
        let replies = vec![(general(), ts(10)), (general(), ts(41))];
        let key = WriteKey { actor: Some(ada()), method: "chat.postMessage".into(), key: "k1".into() };
        let other = WriteKey { key: "k2".into(), ..key.clone() };
        let wanted = [
            FactsWanted {
                messages: names.clone(),
                replies: replies.clone(),
                scheduled: [1, 2, 3].map(schedule).to_vec(),
                windows: vec![(general(), schedule_window(ts(500)))],
                key: Some(key.clone()),
            },
            FactsWanted { key: Some(other.clone()), ..FactsWanted::default() },
        ];
        let read = shards.facts("s1", team(), &wanted).await.unwrap().rows;
        let mut folded = Facts::of_no_rows(&wanted[0]);
        life("s1").iter().for_each(|event| folded.apply(event));
        for name in names {
            assert_eq!(read[0].messages[&name], folded.messages[&name], "{name:?}");
        }
        assert_eq!(read[0].replies, folded.replies);
        assert_eq!(read[0].write, folded.write);
        assert_eq!((&read[0].scheduled, &read[0].windows), (&folded.scheduled, &folded.windows));
        let window = &read[0].windows[&(general(), schedule_window(ts(500)))];
        assert!(window.contains(&schedule(2)) && window.len() == 1 && read[0].scheduled[&schedule(2)].is_some());
        assert!(read[0].write.is_some() && read[1].write.is_none() && read[1].key == Some(other));
        let reactions = &read[0].message(general(), ts(10)).unwrap().reactions;
        assert_eq!(reactions.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["tada", "wave"]);
    })
    .await;
}

fn named(facts: &[MessageFact]) -> Vec<i64> {
    facts.iter().map(|fact| fact.message.ts.micros() - ts(0).micros()).collect()
}

#[tokio::test]
async fn history_comes_in_pages() {
    on_each(|house, url| async move {
        let shards = lived(&house, &url, 1000).await;
        let read = async |conversation, page: HistoryPage| {
            shards.history("s1", team(), conversation, &page).await.unwrap().rows
        };
        let all = read(general(), HistoryPage::default()).await;
        // 4 and 5 are joins, 12 and 42 stay in their threads (12 is gone too), 45 is gone, 41 is a tombstone.
        assert_eq!(named(&all), [81, 80, 41, 39, 36, 35, 13, 11, 10, 5, 4]);
        let root = all.iter().find(|fact| fact.message.ts == ts(10)).unwrap();
        assert_eq!(root.thread, Some(thread(10, &[(13, cy())])));
        assert_eq!(all[2].thread, Some(thread(41, &[(42, bob())])));
        assert!(all[2].tombstone && !all[1].tombstone);
        assert_eq!(all[7].message.text.as_str(), "edited 'é'");
        let page = HistoryPage { oldest: ts(10), latest: ts(41), limit: 3, ..HistoryPage::default() };
        assert_eq!(named(&read(general(), page.clone()).await), [39, 36, 35]);
        assert_eq!(named(&read(general(), HistoryPage { newest_first: false, ..page.clone() }).await), [11, 13, 35]);
        assert_eq!(named(&read(general(), HistoryPage { inclusive: true, ..page }).await), [41, 39, 36]);
        let replies = |root| HistoryPage { replies_of: Some(ts(root)), ..HistoryPage::default() };
        assert_eq!(named(&read(general(), replies(10)).await), [10, 13]);
        assert_eq!(named(&read(general(), replies(41)).await), [41, 42]);
        assert_eq!(named(&read(general(), HistoryPage { limit: 1, ..replies(41) }).await), [41]);
        // An import's thread is counted here.
        let old = read(old(), HistoryPage::default()).await;
        assert_eq!(named(&old), [-800]);
        let counted = Thread { root_author: Some(bob()), ..thread(-800, &[(-700, bob()), (-600, bob())]) };
        assert_eq!(old[0].thread, Some(counted));
        assert_eq!(old[0].reactions, [Reaction { name: "+1".into(), users: vec![bob(), ada()] }]);
        assert_eq!(old[0].message.extra, Some("{\"x\":1}".into()));
    })
    .await;
}

#[tokio::test]
async fn unread_counts_ordinals_less_deletions() {
    on_each(|house, url| async move {
        let shards = lived(&house, &url, 4).await;
        let marks = [Ts::ZERO, ts(10), ts(13), ts(41), ts(80), ts(81)].map(|mark| (general(), mark));
        let unread = async |user| shards.unread("s1", team(), user, &marks).await.unwrap().rows;
        // Countable and there: 10, 11, 13, 80, 81. Named at 10; everybody is called at 13.
        let counts = |mentions: [u64; 6]| -> Vec<Unread> {
            let both = [5, 4, 2, 2, 1, 0].into_iter().zip(mentions);
            both.map(|(count, mentions)| Unread { count, mentions }).collect()
        };
        assert_eq!(unread(bob()).await, counts([2, 1, 0, 0, 0, 0]));
        assert_eq!(unread(ada()).await, counts([1, 1, 0, 0, 0, 0]));
        // What each of them counts for: 45 did before it was deleted; 42 stays in its thread, -800 was imported.
        let messages = [10, 13, 45, 11, 42].map(|number| (general(), ts(number)));
        let messages: Vec<_> = messages.into_iter().chain([(old(), ts(-800))]).collect();
        let counted = shards.counted("s1", team(), bob(), &messages).await.unwrap().rows;
        let found: Vec<_> = counted.iter().map(|one| (one.count, one.mentions)).collect();
        assert_eq!(found, [(1, 1), (1, 1), (1, 0), (1, 0), (0, 0), (0, 0)]);
        let many: Vec<_> = (0..120).map(|_| (general(), ts(11))).chain([(old(), Ts::ZERO)]).collect();
        let many = shards.unread("s1", team(), ada(), &many).await.unwrap().rows;
        assert_eq!((many.len(), many[119]), (121, Unread { count: 3, mentions: 1 }));
        assert_eq!(many[120], Unread::default(), "what was imported is not unread");
    })
    .await;
}

#[tokio::test]
async fn marks_and_credentials_last_one_wins() {
    on_each(|house, url| async move {
        let shards = lived(&house, &url, 1000).await;
        let marks_at = source(Topic::Marks);
        house
            .append(marks_at, [&marks(bob(), general(), 11), &marks(bob(), random(), 3), &marks(ada(), general(), 9)])
            .await;
        house.append(marks_at, [&marks(bob(), general(), 80), &marks(bob(), direct(), 33)]).await;
        let gone = format!("{}/{}/{}", team(), bob(), direct());
        house.append_raw(marks_at, vec![(None, Some(gone.into()))]).await;
        let sealed_at = source(Topic::Credentials);
        house.append(sealed_at, [&stored(1, "aa"), &stored(2, "bb")]).await;
        let projector = &shards.projectors()[0];
        project(projector, &house.entries(marks_at).await, 2).await;
        assert_eq!(shards.password("s1", team(), ada()).await.unwrap().rows, Some(credential(2)));
        assert_eq!(shards.password("s1", team(), bob()).await.unwrap().rows, None);
        let before = shards.sealed("s1", team(), credential(2)).await.unwrap();
        assert_eq!((before.rows, before.position.offset), (None, Offset::ZERO), "named and not yet here");
        project(projector, &house.entries(sealed_at).await, 2).await;
        let at = shards.user("s1", team(), bob()).await.unwrap();
        assert_eq!(
            (at.rows.mark(general()), at.rows.mark(random()), at.rows.mark(direct())),
            (ts(80), ts(3), Ts::ZERO)
        );
        assert_eq!(at.position.offset, house.entries(marks_at).await.last().unwrap().after.offset);
        let after = shards.sealed("s1", team(), credential(2)).await.unwrap();
        assert_eq!(after.rows, Some("bb".to_owned()));
        assert_eq!(after.position.offset, house.entries(sealed_at).await.last().unwrap().after.offset);
    })
    .await;
}

#[tokio::test]
async fn a_batch_counts_once() {
    on_each(|house, url| async move {
        let shards = lived(&house, &url, 1000).await;
        let before = shown(&shards.team("s1", team()).await.unwrap().rows.unwrap());
        let entries = house.entries(source(Topic::Events)).await;
        let projector = &shards.projectors()[0];
        // As a second projector would, or one that did not see its commit succeed.
        for from in [Position::START, entries[20].after] {
            let mut batch = Batch::default();
            batch.extend(source(Topic::Events), from, entries.clone());
            let refused = projector.apply(&batch).await;
            assert!(matches!(refused, Err(ProjectError::Db(DbError::Overtaken(_)))), "{refused:?}");
        }
        assert_eq!(shown(&shards.team("s1", team()).await.unwrap().rows.unwrap()), before);
    })
    .await;
}

#[tokio::test]
async fn another_shards_team_is_not_here() {
    on_each(|house, url| async move {
        let shards = shard(vec![url]);
        let life = life("s2");
        house.append(source(Topic::Events), life.iter().map(|event| &**event)).await;
        let entries = house.entries(source(Topic::Events)).await;
        project(&shards.projectors()[0], &entries, 9).await;
        let at = shards.team("s1", team()).await.unwrap();
        assert!(at.rows.is_none());
        assert_eq!(at.position, entries.last().unwrap().after);
        assert!(shards.teams("s1", source(Topic::Events).partition).await.unwrap().rows.is_empty());
        let wanted = FactsWanted { messages: vec![(general(), ts(10))], ..FactsWanted::default() };
        let facts = shards.facts("s1", team(), &[wanted]).await.unwrap().rows;
        assert!(facts[0].message(general(), ts(10)).is_none());
    })
    .await;
}
