//! A cluster of roles on servers that this process starts. A test may kill, pause and stop their processes.

use std::{
    collections::BTreeMap,
    fs,
    ops::Deref,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use teamlog_cluster::{Membership, Peer, Role};
use teamlog_log::{Partition, TopicPartition};
use teamlog_schemas::partition_of;
use tokio::{runtime::Runtime, sync::Mutex};
use uuid::Uuid;

use crate::{
    Api, Disturbed, Stack, Trouble, api, binary,
    network::{self, Network},
    server,
    stack::Place,
};

/// The cluster's processes that run the binary under test.
pub const ROLES: [&str; 8] = ["ingest1", "ingest2", "project1", "project2", "work1", "work2", "gateway1", "gateway2"];

/// The number of partitions of the stack's `events`.
const PARTITIONS: u32 = 16;

/// The servers below the roles.
const SERVERS: [&str; 7] = ["kafka1", "kafka2", "kafka3", "dc1", "dc2", "memcached1", "memcached2"];

static CLUSTER: Place = Mutex::const_new(None);
static LINKED: Place = Mutex::const_new(None);

/// The proxies between the parts, in a runtime of their own. Like the parts, they outlive each test.
static NETWORK: OnceLock<(Runtime, Network)> = OnceLock::new();

/// True if a test failed: it may have left processes paused, or started with unusual settings.
static IS_ODD: AtomicBool = AtomicBool::new(false);

/// Three brokers, the other servers, and two processes of each role, without rate limits.
/// Leased by one test at a time. All tests share its log, so each test makes teams of its own. A test fails if a role's
/// log has a line on level ERROR that the test did not expect.
pub struct Cluster {
    stack: Stack,
    gateways: Vec<String>,
    admin_key: String,
    expected_errors: Vec<&'static str>,
    /// The size of each role's log before this test, in bytes.
    said_before: BTreeMap<&'static str, u64>,
}

impl Cluster {
    /// Waits for the test before, and starts all parts that are down or paused. Returns none if this run has no servers.
    /// `expected_errors` are parts of lines on level ERROR that the test provokes.
    pub async fn lease(expected_errors: &[&'static str]) -> Option<Cluster> {
        Cluster::lease_at(&CLUSTER, "cluster", false, expected_errors).await
    }

    /// Leases the cluster whose roles make all their calls through proxies, for [`Cluster::disturb`]. Else like
    /// [`Cluster::lease`].
    pub async fn lease_linked(expected_errors: &[&'static str]) -> Option<Cluster> {
        Cluster::lease_at(&LINKED, "linked", true, expected_errors).await
    }

    async fn lease_at(
        place: &'static Place,
        name: &str,
        is_linked: bool,
        expected_errors: &[&'static str],
    ) -> Option<Cluster> {
        let env = || {
            let mut env = vec![
                ("TEAMLOG_BIN", binary().into_os_string()),
                ("TEAMLOG_LOG_FORMAT", "json".into()),
                ("TEAMLOG_LIMITS__ENABLED", "false".into()),
                ("BROKERS", "3".into()),
            ];
            env.extend(is_linked.then(|| ("LINKS", "1".into())));
            env
        };
        let stack = Stack::lease_at(place, name, env).await?;
        if IS_ODD.swap(false, Ordering::SeqCst) {
            stack.kill(&ROLES).await;
        }
        if is_linked {
            stack.run(&["plan"]).await;
            NETWORK.get_or_init(|| open_network(&stack));
        }
        stack.run(&["cluster"]).await;
        let told = stack.folder().join("cluster.json");
        let told = fs::read(&told).expect("a cluster that is up says where it is");
        let told: Value = serde_json::from_slice(&told).expect("it says so in JSON");
        let gateways = told["gateways"].as_array().expect("a list").iter().map(api::text).collect();
        let admin_key = api::text(&told["admin_key"]);
        let expected_errors = expected_errors.to_vec();
        let mut cluster = Cluster { stack, gateways, admin_key, expected_errors, said_before: BTreeMap::new() };
        cluster.said_before = ROLES
            .iter()
            .map(|role| (*role, fs::metadata(cluster.log_file(role)).map_or(0, |file| file.len())))
            .collect();
        Some(cluster)
    }

    /// Returns the addresses of `gateway1` and `gateway2`. They stay the same when the processes restart.
    pub fn gateways(&self) -> &[String] {
        &self.gateways
    }

    /// Returns the operators' key to both gateways.
    pub fn admin_key(&self) -> &str {
        &self.admin_key
    }

    /// Returns a client of `gateway1`, without a token. [`Api::at`] points it to another gateway.
    pub fn api(&self) -> Api {
        Api::new(&self.gateways[0])
    }

    /// Returns the address where a process answers `/readyz` and `/metrics`.
    pub fn address(&self, part: &str) -> String {
        format!("http://127.0.0.1:{}", self.port(part))
    }

    /// Disturbs the connections between each of the processes `callers` and each of the parts that they call, until the
    /// returned guard is dropped.
    ///
    /// # Panics
    /// If the cluster has no proxies, or its network is disturbed already.
    pub fn disturb(&self, callers: &[String], parts: &[String], trouble: Trouble) -> Disturbed<'static> {
        NETWORK.get().expect("this cluster has proxies").1.disturb(callers, parts, trouble)
    }

    /// Returns the data directory of a process.
    pub fn data_dir(&self, part: &str) -> PathBuf {
        self.folder().join("data").join(part)
    }

    /// Returns the lines that a process has logged during this test.
    pub fn log(&self, part: &str) -> String {
        let said = fs::read(self.log_file(part)).unwrap_or_default();
        let before = self.said_before.get(part).copied().unwrap_or(0) as usize;
        String::from_utf8_lossy(said.get(before..).unwrap_or_default()).into_owned()
    }

    /// Returns the process that writes a partition while all processes are up.
    pub fn owner(&self, partition: u32) -> String {
        let table = self.table(Role::Ingest);
        self.named(
            table.owner(TopicPartition::events(Partition(partition))).expect("there are some").node,
            Role::Ingest,
        )
    }

    /// Returns the process that is the home of a partition's teams while all processes are up.
    pub fn home(&self, partition: u32) -> String {
        self.named(self.table(Role::Gateway).home(Partition(partition)).expect("there are some").node, Role::Gateway)
    }

    /// Returns the process that builds a view (`shard s1`) from a partition of `events` while all processes are up.
    pub fn projector(&self, view: &str, partition: u32) -> String {
        let source = TopicPartition::events(Partition(partition));
        self.named(
            self.table_with(Role::Project, view).projects(view, source).expect("there are some").node,
            Role::Project,
        )
    }

    fn table(&self, role: Role) -> Membership {
        self.table_with(role, "")
    }

    fn table_with(&self, role: Role, view: &str) -> Membership {
        let peer = |part: String| Peer { views: vec![view.to_owned()], ..Peer::new(self.node(&part), role) };
        Membership::of(Uuid::nil(), names(role).map(peer).collect())
    }

    fn named(&self, node: Uuid, role: Role) -> String {
        names(role).find(|part| self.node(part) == node).expect("it is one of them")
    }

    /// Returns the node id of a process, from its data directory.
    pub fn node(&self, part: &str) -> Uuid {
        let id = fs::read_to_string(self.data_dir(part).join("node-id")).expect("a node that ran has an id");
        id.trim().parse().expect("a UUID")
    }

    /// Returns the partition of a team.
    pub fn partition(team: &str) -> u32 {
        partition_of(team.parse().expect("a team's id"), PARTITIONS)
    }

    /// Runs another command of the binary on this configuration. Returns its exit status and its output.
    pub async fn command(&self, args: &[&str]) -> (i32, String) {
        let mut command = tokio::process::Command::new(binary());
        command.arg("--config").arg(self.config()).arg("--data-dir").arg(self.data_dir("operator"));
        let output = command.args(args).kill_on_drop(true).output().await.expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), said)
    }

    fn log_file(&self, part: &str) -> PathBuf {
        self.folder().join("logs").join(format!("{part}.log"))
    }
}

fn open_network(stack: &Stack) -> (Runtime, Network) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime =
        builder.worker_threads(1).thread_name("network").enable_all().build().expect("threads can be started");
    let place = |part: &&str| network::Place {
        part: (*part).to_owned(),
        link: stack.port(&format!("{part}_link")),
        // A gateway's listener for clients, and a broker's listener for the other brokers, have no proxy.
        port: match part.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "gateway" => stack.port(&format!("{part}_internal")),
            "kafka" => stack.port(&format!("{part}_linked")),
            _ => stack.port(part),
        },
    };
    let places = ROLES.iter().chain(&SERVERS).map(place).collect();
    let network = Network::open(runtime.handle(), &stack.folder().join("pids"), &ROLES, places);
    (runtime, network)
}

/// Returns the names of both processes of a role.
fn names(role: Role) -> impl Iterator<Item = String> {
    (1..=2).map(move |number| format!("{role}{number}"))
}

/// Gives access to the methods that kill, pause, stop and start parts.
impl Deref for Cluster {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let logs = ROLES.map(|role| (role, self.log(role)));
        if std::thread::panicking() {
            IS_ODD.store(true, Ordering::SeqCst);
            for (role, log) in logs {
                eprintln!("the last words of {role}:\n{}", server::last_lines(&log, 20));
            }
            return;
        }
        for (role, log) in logs {
            let errors = server::unexpected_errors(&log, &self.expected_errors);
            assert!(errors.is_empty(), "{role}'s log has errors that nobody expected:\n{}", errors.join("\n"));
        }
    }
}
