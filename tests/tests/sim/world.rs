//! A run: a faulty log, nodes that start and stop over it, people who use them, and the shadow model that watches.

use std::{
    fmt::Arguments,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng, rngs::StdRng};
use teamlog_log::{Partition, TopicPartition, testing::FaultyLog};
use teamlog_schemas::{ConversationId, TeamId, UserId};
use tokio::time::Instant;

use crate::{
    node::{Birth, Life, SkewedClock},
    owners::Addresses,
    plan::{Plan, pick, stream},
    shadow::Shadow,
    store::Store,
    trace::Trace,
    wire::{Link, Wire},
};

/// Everything comes to rest within so long of virtual time once nothing goes wrong any more.
pub(crate) const REST: Duration = Duration::from_secs(120);

/// The state that all parts of a run share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Inner>,
}

struct Inner {
    plan: Plan,
    trace: Trace,
    log: Arc<FaultyLog>,
    addresses: Addresses,
    clocks: Vec<SkewedClock>,
    nodes: Vec<Mutex<Node>>,
    stores: Vec<Store>,
    shadow: Mutex<Shadow>,
    /// True once no actor may begin anything new.
    ending: AtomicBool,
    /// True once nothing is in flight.
    at_rest: AtomicBool,
    /// Texts that were certainly not posted.
    never: Mutex<Vec<String>>,
}

struct Node {
    /// The wire of a life that has not joined the other nodes yet.
    joining: Option<Wire>,
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

/// A person with a token.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) token: String,
}

impl World {
    pub(crate) fn new(plan: Plan, trace: Trace) -> World {
        let log = FaultyLog::new(plan.partitions, plan.faults.clone());
        let shadow = Mutex::new(Shadow::new(log.clone(), plan.partitions));
        let node = |_| Mutex::new(Node { joining: None, life: None, lives: 0 });
        let inner = Inner {
            nodes: (0..plan.nodes).map(node).collect(),
            stores: (0..plan.nodes).map(|_| Store::new(plan.partitions, plan.lag)).collect(),
            addresses: Addresses::default(),
            clocks: plan.skews.iter().map(|skew| SkewedClock::new(Instant::now(), *skew)).collect(),
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

    /// Marks the run as at rest: everything announced for later in the log has happened, and all actors have stopped.
    pub(crate) fn rest(&self) {
        self.say("world", format_args!("rests"));
        self.inner.at_rest.store(true, Ordering::Relaxed);
    }

    /// Tells all actors to begin nothing new.
    pub(crate) fn end(&self) {
        self.inner.ending.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.inner.ending.load(Ordering::Relaxed)
    }

    /// Records a text that was certainly not posted and never will be.
    pub(crate) fn never(&self, text: String) {
        self.inner.never.lock().unwrap().push(text);
    }

    /// Returns the texts that were certainly not posted and count nevertheless.
    pub(crate) fn wrongly_denied(&self) -> Vec<String> {
        let shadow = self.shadow();
        let never = self.inner.never.lock().unwrap();
        never.iter().filter(|text| shadow.counts(text)).cloned().collect()
    }

    pub(crate) fn stores(&self) -> &[Store] {
        &self.inner.stores
    }

    // --- nodes ------------------------------------------------------------------------------------------------

    pub(crate) fn log(&self) -> &Arc<FaultyLog> {
        &self.inner.log
    }

    /// Returns the clock of a node's machine.
    pub(crate) fn clock(&self, number: usize) -> &SkewedClock {
        &self.inner.clocks[number]
    }

    /// Returns all partitions that a node may own.
    pub(crate) fn sources(&self) -> Vec<TopicPartition> {
        let events = (0..self.inner.plan.partitions).map(|number| TopicPartition::events(Partition(number)));
        [TopicPartition::DIRECTORY].into_iter().chain(events).collect()
    }

    /// Begins a node's next life, which is up once it has joined the others.
    pub(crate) fn start(&self, number: usize) {
        let store = &self.inner.stores[number];
        self.is_true(store);
        let (wire, life, plan) = {
            let mut node = self.inner.nodes[number].lock().unwrap();
            // It crashed in the moment in which all did, and was started by whoever came first.
            if node.life.is_some() || node.joining.is_some() {
                return;
            }
            node.lives += 1;
            let plan = self.inner.plan.clone();
            let seed = plan.seed ^ ((number as u64) << 32) ^ (u64::from(node.lives) << 40);
            let wire = Wire::new(self.inner.log.clone(), seed);
            node.joining = Some(wire.clone());
            (wire, node.lives, plan)
        };
        self.say(&format!("n{number}.{life}"), format_args!("begins at {:?}", offsets(store)));
        let (addresses, clock) = (self.inner.addresses.clone(), self.clock(number).clone());
        let birth = Birth { plan, number, life, wire: wire.clone(), store: store.clone(), addresses, clock };
        let world = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = wire.died() => {}
                life = Life::begin(birth) => world.is_up(number, Arc::new(life)).await,
            }
        });
    }

    /// Clients reach it; and it may be chosen, soon or at once: whether it has read to the end must not matter.
    async fn is_up(&self, number: usize, life: Arc<Life>) {
        {
            let mut node = self.inner.nodes[number].lock().unwrap();
            (node.life, node.joining) = (Some(life.clone()), None);
        }
        self.say(&life.name, format_args!("has joined"));
        tokio::spawn(self.clone().say_owners(life.clone()));
        let takes = Duration::from_millis(self.rng(&life.name).random_range(0..300));
        tokio::time::sleep(takes).await;
        if self.life(number).is_some_and(|here| Arc::ptr_eq(&here, &life)) {
            life.take_part(true);
        }
    }

    /// Logs the owners by a node's table, each time that they change.
    async fn say_owners(self, life: Arc<Life>) {
        let (mut members, mut said) = (life.members(), Vec::new());
        while members.changed().await.is_ok() {
            let table = members.borrow_and_update().clone();
            let owner = |source| table.owner(source).map(|peer| peer.address.clone());
            let owners: Vec<_> = self.sources().into_iter().map(owner).collect();
            if owners != said {
                self.say(&life.name, format_args!("takes for owners {owners:?}"));
                said = owners;
            }
        }
    }

    /// Checks that each position that a store has committed is the fence's position there, the closed flag included.
    fn is_true(&self, store: &Store) {
        for (partition, position) in (0..).map(Partition).zip(store.positions()) {
            let there = self.shadow().position(partition, position.offset);
            if there != Some(position) {
                self.fail(&format!("a store stands at {position:?}, where the log is at {there:?}"));
            }
        }
    }

    /// Returns the nodes that are up.
    pub(crate) fn lives(&self) -> Vec<Arc<Life>> {
        self.inner.nodes.iter().filter_map(|node| node.lock().unwrap().life.clone()).collect()
    }

    /// Returns a random node that is up. Waits until there is one.
    pub(crate) async fn any(&self, rng: &mut StdRng) -> Arc<Life> {
        loop {
            let lives = self.lives();
            if !lives.is_empty() {
                return pick(rng, &lives).clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns a node's life, if it is up.
    pub(crate) fn life(&self, number: usize) -> Option<Arc<Life>> {
        self.inner.nodes[number].lock().unwrap().life.clone()
    }

    /// Clients do not come to it any more; whether it was up.
    pub(crate) fn take(&self, number: usize) -> Option<Arc<Life>> {
        self.inner.nodes[number].lock().unwrap().life.take()
    }

    /// Whether it was up, or about to be.
    pub(crate) fn crash(&self, number: usize) -> bool {
        let joining = self.inner.nodes[number].lock().unwrap().joining.take();
        let life = self.take(number);
        joining.iter().for_each(|wire| wire.set(Link::Dead));
        life.iter().for_each(|life| life.crash());
        joining.is_some() || life.is_some()
    }
}

fn offsets(store: &Store) -> Vec<u64> {
    store.positions().iter().map(|position| position.offset.0).collect()
}
