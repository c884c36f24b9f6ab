//! One run: a faulty log, nodes that come and go over it, people who use them, and the shadow model that watches.

use std::{
    fmt::Arguments,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng, rngs::StdRng};
use teamlog_log::{Partition, testing::FaultyLog};
use teamlog_schemas::{ConversationId, TeamId, UserId};
use tokio::time::Instant;

use crate::{
    node::{Birth, Life},
    plan::{Plan, pick, stream},
    shadow::Shadow,
    store::Store,
    trace::Trace,
    wire::{Link, Wire},
};

/// Everything comes to rest within so long of virtual time once nothing goes wrong any more.
pub(crate) const REST: Duration = Duration::from_secs(120);

/// What all parts of a run share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Inner>,
}

struct Inner {
    plan: Plan,
    trace: Trace,
    log: Arc<FaultyLog>,
    began: Instant,
    nodes: Vec<Mutex<Node>>,
    stores: Vec<Store>,
    shadow: Mutex<Shadow>,
    /// Nobody begins anything new any more.
    ending: AtomicBool,
    /// Nothing is under way any more.
    at_rest: AtomicBool,
    /// Texts that were surely not posted.
    never: Mutex<Vec<String>>,
}

struct Node {
    life: Option<Arc<Life>>,
    lives: u32,
}

/// A team as its clients know it.
pub(crate) struct Crew {
    pub(crate) team: TeamId,
    pub(crate) partition: Partition,
    pub(crate) people: Vec<Person>,
    pub(crate) channels: Vec<ConversationId>,
}

/// Somebody with a token.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) token: String,
}

impl World {
    pub(crate) fn new(plan: Plan, trace: Trace) -> World {
        let log = FaultyLog::new(plan.partitions, plan.faults.clone());
        let shadow = Mutex::new(Shadow::new(log.clone(), plan.partitions));
        let node = |_| Mutex::new(Node { life: None, lives: 0 });
        let inner = Inner {
            nodes: (0..plan.nodes).map(node).collect(),
            stores: (0..plan.nodes).map(|_| Store::new(plan.partitions, plan.lag)).collect(),
            began: Instant::now(),
            ending: AtomicBool::new(false),
            at_rest: AtomicBool::new(false),
            never: Mutex::default(),
            plan,
            trace,
            log,
            shadow,
        };
        World { inner: Arc::new(inner) }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.inner.plan
    }

    pub(crate) fn say(&self, who: &str, what: Arguments<'_>) {
        self.inner.trace.say(who, what);
    }

    pub(crate) fn fail(&self, what: &str) -> ! {
        self.inner.trace.fail(what)
    }

    /// The shadow model, which has seen all that lies in the log.
    pub(crate) fn shadow(&self) -> MutexGuard<'_, Shadow> {
        let mut shadow = self.inner.shadow.lock().unwrap();
        if let Err(why) = shadow.advance() {
            self.fail(&why);
        }
        shadow
    }

    pub(crate) fn rng(&self, purpose: &str) -> StdRng {
        stream(self.inner.plan.seed, purpose)
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.inner.at_rest.load(Ordering::Relaxed)
    }

    /// What was said to happen later in the log has happened, and nobody does anything any more.
    pub(crate) fn rest(&self) {
        self.say("world", format_args!("rests"));
        self.inner.at_rest.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.inner.ending.load(Ordering::Relaxed)
    }

    /// A text was surely not posted, and never will be.
    pub(crate) fn never(&self, text: String) {
        self.inner.never.lock().unwrap().push(text);
    }

    /// The texts that were surely not posted and count all the same.
    pub(crate) fn wrongly_denied(&self) -> Vec<String> {
        let shadow = self.shadow();
        let never = self.inner.never.lock().unwrap();
        never.iter().filter(|text| shadow.counts(text)).cloned().collect()
    }

    pub(crate) fn stores(&self) -> &[Store] {
        &self.inner.stores
    }

    // --- nodes ------------------------------------------------------------------------------------------------

    pub(crate) fn start(&self, number: usize) {
        self.is_true(&self.inner.stores[number]);
        let mut node = self.inner.nodes[number].lock().unwrap();
        node.lives += 1;
        let plan = &self.inner.plan;
        let seed = plan.seed ^ ((number as u64) << 32) ^ (u64::from(node.lives) << 40);
        let wire = Wire::new(self.inner.log.clone(), seed);
        let (store, began) = (&self.inner.stores[number], self.inner.began);
        let life = Life::begin(Birth { plan, number, life: node.lives, wire, store, began });
        self.say(&life.name, format_args!("begins at {:?}", offsets(&self.inner.stores[number])));
        node.life = Some(Arc::new(life));
    }

    /// What a store has committed says how the fence stood there, the closed flag included.
    fn is_true(&self, store: &Store) {
        for (partition, position) in (0..).map(Partition).zip(store.positions()) {
            let there = self.shadow().position(partition, position.offset);
            if there != Some(position) {
                self.fail(&format!("a store stands at {position:?}, where the log is at {there:?}"));
            }
        }
    }

    /// The nodes that are up.
    pub(crate) fn lives(&self) -> Vec<Arc<Life>> {
        self.inner.nodes.iter().filter_map(|node| node.lock().unwrap().life.clone()).collect()
    }

    /// Some node that is up; waits for one.
    pub(crate) async fn any(&self, rng: &mut StdRng) -> Arc<Life> {
        loop {
            let lives = self.lives();
            if !lives.is_empty() {
                return pick(rng, &lives).clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn take(&self, number: usize) -> Option<Arc<Life>> {
        self.inner.nodes[number].lock().unwrap().life.take()
    }

    /// Things go wrong, one after the other, for as long as planned.
    pub(crate) async fn trouble(&self) {
        let plan = &self.inner.plan;
        let mut rng = self.rng("trouble");
        let until = Instant::now() + plan.chaos;
        while Instant::now() < until {
            tokio::time::sleep(rng.random_range(plan.calm.clone())).await;
            let number = rng.random_range(0..plan.nodes);
            let lasts = Duration::from_millis(*pick(&mut rng, &[100, 500, 2_000, 6_000])).mul_f64(rng.random());
            drop(self.shadow());
            self.one_trouble(number, rng.random_range(0..10), lasts);
        }
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
                let dark: Vec<_> = (0..self.inner.plan.nodes).filter(|number| self.crash(*number)).collect();
                tokio::time::sleep(lasts).await;
                dark.into_iter().for_each(|number| self.start(number));
            }
            was_closed = is_closed;
        }
    }

    /// Whether it was up.
    fn crash(&self, number: usize) -> bool {
        let life = self.take(number);
        life.inspect(|life| life.crash()).is_some()
    }

    fn one_trouble(&self, number: usize, which: u32, lasts: Duration) {
        let life = self.inner.nodes[number].lock().unwrap().life.clone();
        let (world, Some(life)) = (self.clone(), life) else { return };
        match which {
            0..4 => {
                self.say(&life.name, format_args!("crashes for {lasts:?}"));
                self.crash(number);
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    world.start(number);
                });
            }
            4..8 => {
                let link = if which < 6 { Link::Stopped } else { Link::CutOff };
                self.say(&life.name, format_args!("{link:?} for {lasts:?}"));
                life.wire.set(link);
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    world.say(&life.name, format_args!("is back"));
                    life.wire.set(Link::Open);
                });
            }
            8 => {
                self.say(&life.name, format_args!("drains"));
                self.take(number);
                tokio::spawn(async move {
                    life.wire.set(Link::Open);
                    life.drain().await;
                    world.say(&life.name, format_args!("is drained"));
                    world.start(number);
                });
            }
            _ => {
                let lasts = lasts / 3;
                self.say("log", format_args!("is away for {lasts:?}"));
                self.inner.log.set_away(true);
                let log = self.inner.log.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    log.set_away(false);
                });
            }
        }
    }

    /// Nothing goes wrong from here on, and nobody begins anything new; ends once every node is up again.
    pub(crate) async fn heal(&self) {
        self.say("world", format_args!("heals"));
        self.inner.ending.store(true, Ordering::Relaxed);
        self.inner.log.calm();
        let deadline = Instant::now() + REST;
        while self.lives().iter().filter(|life| life.wire.link() == Link::Open).count() < self.inner.nodes.len() {
            if Instant::now() > deadline {
                self.fail("not every node is up");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.inner.log.set_away(false);
    }
}

fn offsets(store: &Store) -> Vec<u64> {
    store.positions().iter().map(|position| position.offset.0).collect()
}
