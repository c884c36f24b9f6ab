//! Runs a seed from beginning to end, in one thread and under paused time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use teamlog_log::TopicPartition;
use teamlog_schemas::Ts;
use tokio::time::Instant;

use crate::{
    jobs::work_is_done,
    node::Life,
    people,
    plan::{Plan, SKEW_MAX},
    sessions,
    trace::Trace,
    world::{Crew, REST, World},
};

/// The summary of a run that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Lines of the trace, and their hash.
    pub(crate) trace: (u64, u64),
    /// Events that count.
    pub(crate) events: usize,
    /// Claims that count.
    pub(crate) claims: u64,
    /// Frames that sessions heard.
    pub(crate) frames: u64,
}

/// Ends the process if a check fails.
pub(crate) fn run(seed: u64, printed: bool) -> Outcome {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let trace = Trace::new(seed, printed);
        let failing = trace.clone();
        std::panic::set_hook(Box::new(move |panic| failing.fail(&panic.to_string())));
        play(World::new(Plan::of(seed), trace.clone()), &trace).await
    })
}

async fn play(world: World, trace: &Trace) -> Outcome {
    if world.plan().nodes > 0 {
        world.say("world", format_args!("{:?}", world.plan()));
    }
    (0..world.plan().nodes).for_each(|number| world.start(number));
    let mut crews = Vec::new();
    for number in 0..world.plan().teams {
        crews.push(Arc::new(people::settle_in(&world, number).await));
    }
    let mut doers = Vec::new();
    let mut listeners = Vec::new();
    for crew in &crews {
        for number in 0..crew.people.len() {
            doers.push(tokio::spawn(people::busy(world.clone(), crew.clone(), number)));
        }
        for number in 0..world.plan().sessions {
            listeners.push(tokio::spawn(sessions::listen(world.clone(), crew.clone(), number)));
        }
    }
    let blackouts = tokio::spawn(world.clone().blackouts());
    world.trouble().await;
    world.heal().await;
    blackouts.await.unwrap();
    for doer in doers {
        doer.await.unwrap();
    }
    // The longest that a record may be late by is two seconds, that of a writer's claim five.
    tokio::time::sleep(Duration::from_secs(8)).await;
    placement_is_settled(&world).await;
    what_is_due_is_posted(&world).await;
    work_is_done(&world).await;
    world.rest();
    let mut frames = 0;
    for listener in listeners {
        frames += listener.await.unwrap();
    }
    for crew in &crews {
        views_are_equal(&world, crew).await;
    }
    if let Some(text) = world.wrongly_denied().first() {
        world.fail(&format!("invariant 1: {text:?} was said not to be done, and counts"));
    }
    let shadow = world.shadow();
    let (events, claims) = (shadow.counted_len(), shadow.claims());
    Outcome { trace: trace.sum(), events, claims, frames }
}

/// Scheduled messages that were due are posted, or ended because they could not be.
async fn what_is_due_is_posted(world: &World) {
    let deadline = Instant::now() + REST;
    // Some seconds ago, by every clock that may write.
    let before = Ts::from_micros((world.log().clock_ms() - 5_000) * 1_000);
    loop {
        let overdue = world.shadow().overdue(before);
        if overdue.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            world.fail(&format!("scheduled messages are not posted: {overdue:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every node takes the same ones for the owners, none of which has a wrong clock, and these alone write.
async fn placement_is_settled(world: &World) {
    let deadline = Instant::now() + REST;
    loop {
        let lives = world.lives();
        let is_settled = |source: TopicPartition| {
            let tables = lives.iter().map(|life| life.members().borrow().clone());
            let owners: BTreeSet<_> = tables.map(|table| table.owner(source).map(|peer| peer.node)).collect();
            let writes = |life: &&Arc<Life>| life.writes().contains(&source);
            let writers: BTreeSet<_> =
                lives.iter().filter(writes).map(|life| Some(life.members().borrow().me())).collect();
            let is_right = |life: &Arc<Life>| world.plan().skews[life.number].abs() <= SKEW_MAX;
            owners.len() == 1 && owners == writers && lives.iter().filter(writes).all(is_right)
        };
        let open: Vec<_> = world.sources().into_iter().filter(|source| !is_settled(*source)).collect();
        if open.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            world.fail(&format!("who writes {open:?} is not who should"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Invariant 5: what every node has in memory, and what every store has committed, is what a fold from the beginning gives.
async fn views_are_equal(world: &World, crew: &Crew) {
    let target = world.shadow().end(crew.partition);
    let partition = crew.partition;
    let lives = world.lives();
    let parts = lives.iter().flat_map(|life| [(life, "gateway", &life.ingest), (life, "writers", &life.writing)]);
    for (life, part, ingest) in parts {
        let deadline = Instant::now() + REST;
        let live = loop {
            if let Ok(live) = ingest.team(crew.team).await
                && live.read().position().offset >= target
            {
                break live;
            }
            if Instant::now() > deadline {
                let at = ingest.teams().position(partition).offset;
                world.fail(&format!(
                    "{} ({part}) stands at {at} of {}, which ends at {target}",
                    life.name,
                    TopicPartition::events(partition)
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let (rows, position) = {
            let team = live.read();
            (format!("{:?}", team.to_rows()), team.position())
        };
        is_equal(world, crew, &format!("the team in memory of {} ({part})", life.name), position, &rows);
    }
    for (number, store) in world.stores().iter().enumerate() {
        let deadline = Instant::now() + REST;
        while store.positions()[partition.0 as usize].offset < target {
            if Instant::now() > deadline {
                world.fail(&format!("store {number} has not caught up"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (position, rows) = store.committed(partition, crew.team);
        let rows = rows.map(|rows| format!("{rows:?}")).unwrap_or_default();
        is_equal(world, crew, &format!("store {number}"), position, &rows);
    }
    let pairs = world.shadow().memberships(partition, crew.team).pairs();
    let folded = world.shadow().team_at(partition, crew.team, target).map(|team| team.to_rows().members);
    if folded.as_ref() != Some(&pairs) {
        world.fail(&format!("invariant 4: who is in what: {folded:?}, not {pairs:?}"));
    }
}

fn is_equal(world: &World, crew: &Crew, view: &str, position: teamlog_log::Position, rows: &str) {
    let shadow = world.shadow();
    let there = shadow.position(crew.partition, position.offset);
    let folded = shadow.team_at(crew.partition, crew.team, position.offset);
    drop(shadow);
    if there != Some(position) {
        world.fail(&format!("invariant 5: {view} stands at {position:?}, where the log is at {there:?}"));
    }
    let folded = folded.map(|team| format!("{:?}", team.to_rows())).unwrap_or_default();
    if rows != folded {
        world.fail(&format!("invariant 5: {view} is {rows}, not {folded}"));
    }
}
