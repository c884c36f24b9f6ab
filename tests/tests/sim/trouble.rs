//! The faults of a run: nodes crash, stop, lose the network, clocks skew, the log is unavailable. At the end all is mended.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use teamlog_log::TopicPartition;
use tokio::time::Instant;

use crate::{
    node::Life,
    plan::pick,
    wire::Link,
    world::{REST, World},
};

/// A fault of one node, or of the log.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// The node is killed and starts again.
    Crash,
    /// The node is paused and continues. Other nodes take over meanwhile, and it must find that out.
    Stop,
    /// The node does not reach the log.
    CutOff,
    /// The node shuts down cleanly and starts again.
    Drain,
    /// No heartbeats pass between the node and the others. They take over the partitions that it continues to write.
    Apart,
    /// The node's clock is minutes off: it claims nothing meanwhile.
    Clock,
    /// The log is unavailable.
    LogAway,
    /// No heartbeat is appended to the log: all tables stay as they are.
    NodesAway,
}

/// As often as they are here.
const TROUBLES: [Trouble; 14] = [
    Trouble::Crash,
    Trouble::Crash,
    Trouble::Crash,
    Trouble::Crash,
    Trouble::Stop,
    Trouble::Stop,
    Trouble::CutOff,
    Trouble::CutOff,
    Trouble::Drain,
    Trouble::Apart,
    Trouble::Apart,
    Trouble::Clock,
    Trouble::LogAway,
    Trouble::NodesAway,
];

impl World {
    /// Causes one fault after the other, for as long as planned.
    pub(crate) async fn trouble(&self) {
        let plan = self.plan();
        let mut rng = self.rng("trouble");
        let until = Instant::now() + plan.chaos;
        while Instant::now() < until {
            tokio::time::sleep(rng.random_range(plan.calm.clone())).await;
            let number = rng.random_range(0..plan.nodes);
            // Often longer than the silence after which others take over.
            let lasts = Duration::from_millis(*pick(&mut rng, &[100, 500, 3_000, 8_000])).mul_f64(rng.random());
            let trouble = *pick(&mut rng, &TROUBLES);
            let off = rng.random_range(-600..600) * 1_000_000;
            drop(self.shadow());
            if let Some(life) = self.life(number) {
                tokio::spawn(self.clone().one_trouble(trouble, number, life, lasts, off));
            }
        }
    }

    async fn one_trouble(self, trouble: Trouble, number: usize, life: Arc<Life>, lasts: Duration, off: i64) {
        self.say(&life.name, format_args!("{trouble:?} for {lasts:?}"));
        let over = tokio::time::sleep(lasts);
        match trouble {
            Trouble::Crash => {
                self.crash(number);
                over.await;
                self.start(number);
            }
            Trouble::Stop | Trouble::CutOff => {
                life.wire.set(if matches!(trouble, Trouble::Stop) { Link::Stopped } else { Link::CutOff });
                over.await;
                life.wire.set(Link::Open);
            }
            Trouble::Drain => {
                self.take(number);
                life.wire.set(Link::Open);
                life.drain().await;
                self.start(number);
            }
            Trouble::Apart => {
                life.wire.set_apart(true);
                over.await;
                life.wire.set_apart(false);
            }
            Trouble::Clock => {
                self.clock(number).set(off);
                over.await;
                self.clock(number).set(self.plan().skews[number]);
            }
            Trouble::LogAway => {
                self.log().set_unavailable(true);
                tokio::time::sleep(lasts / 3).await;
                self.log().set_unavailable(false);
            }
            Trouble::NodesAway => {
                self.log().pause(TopicPartition::NODES, true);
                over.await;
                self.log().pause(TopicPartition::NODES, false);
            }
        }
        self.say(&life.name, format_args!("{trouble:?} is over"));
    }

    /// Now and then, while an epoch is closed by a gap, the power fails everywhere: the record that was left out may yet come,
    /// and only positions say that it must not count.
    pub(crate) async fn blackouts(self) {
        let mut rng = self.rng("blackouts");
        let mut was_closed = false;
        while !self.is_ending() {
            tokio::time::sleep(Duration::from_millis(25)).await;
            let is_closed = self.shadow().is_closed();
            if is_closed && !std::mem::replace(&mut was_closed, is_closed) && rng.random_bool(0.5) {
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..100))).await;
                let lasts = Duration::from_millis(rng.random_range(20..1_500));
                self.say("world", format_args!("is dark for {lasts:?}"));
                let dark: Vec<_> = (0..self.plan().nodes).filter(|number| self.crash(*number)).collect();
                tokio::time::sleep(lasts).await;
                dark.into_iter().for_each(|number| self.start(number));
            }
            was_closed = is_closed;
        }
    }

    /// Nothing goes wrong from here on, and nobody begins anything new; ends once every node is up again.
    pub(crate) async fn heal(&self) {
        self.say("world", format_args!("heals"));
        self.end();
        self.log().calm();
        let deadline = Instant::now() + REST;
        while self.lives().iter().filter(|life| life.wire.link() == Link::Open).count() < self.plan().nodes {
            if Instant::now() > deadline {
                self.fail("not every node is up");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.log().set_unavailable(false);
    }
}
