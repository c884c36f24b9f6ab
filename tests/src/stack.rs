//! Real servers that a test may kill: a stack that this process starts, beside the one that all tests share.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tokio::sync::{Mutex, MutexGuard};

/// The stack. It is leased by one test at a time, because tests kill its parts. The first lease starts it, and it ends with the
/// process, even if the process is killed.
pub struct Stack {
    running: MutexGuard<'static, Option<Running>>,
}

pub(crate) struct Running {
    folder: PathBuf,
    env: Vec<(&'static str, OsString)>,
    /// Takes the stack down once the pipe to it breaks, which no panic, abort or kill of this process can prevent.
    _undertaker: Child,
}

/// The place where a process keeps a stack between two tests.
pub(crate) type Place = Mutex<Option<Running>>;

static STACK: Place = Mutex::const_new(None);

impl Stack {
    /// Waits for the test before, and starts all parts that are down. Returns none if this run has no servers.
    pub async fn lease() -> Option<Stack> {
        let stack = Stack::lease_at(&STACK, "stack", Vec::new).await?;
        stack.run(&["up"]).await;
        Some(stack)
    }

    /// Waits for the test before, and starts nothing. Scripts run with these variables.
    pub(crate) async fn lease_at(
        place: &'static Place,
        name: &str,
        env: impl FnOnce() -> Vec<(&'static str, OsString)>,
    ) -> Option<Stack> {
        super::server::stack_config()?;
        let mut running = place.lock().await;
        if running.is_none() {
            let folder = std::env::temp_dir().join(format!("teamlog-{name}-{}", std::process::id()));
            let undertaker = Command::new("bash")
                .args(["-c", "cat >/dev/null; exec \"$0\" clean"])
                .arg(script())
                .env("STACK_DIR", &folder)
                .stdin(Stdio::piped())
                // A signal to the tests' group must not reach it before its work is done.
                .process_group(0)
                .spawn()
                .expect("bash is there");
            *running = Some(Running { folder, env: env(), _undertaker: undertaker });
        }
        Some(Stack { running })
    }

    /// Returns the configuration of a server on this stack.
    pub fn config(&self) -> PathBuf {
        self.folder().join("teamlog.toml")
    }

    /// Kills parts with SIGKILL, and waits until they are gone: `kafka1`, `dc1`, `dc2`, `memcached1`, `memcached2`, and of a
    /// [`Cluster`](crate::Cluster) also `ingest1`, `gateway2` and so on.
    pub async fn kill(&self, parts: &[&str]) {
        self.on("kill", parts).await;
    }

    /// Sends SIGTERM to parts, and waits until they have stopped.
    pub async fn stop(&self, parts: &[&str]) {
        self.on("stop", parts).await;
    }

    /// Starts parts again on their data, and waits until they answer.
    pub async fn start(&self, parts: &[&str]) {
        self.on("start", parts).await;
    }

    /// Starts a role's process with its clock so many seconds ahead, and waits until it writes its address: it may never be
    /// ready. The next start has the right clock.
    pub async fn start_with_clock_off(&self, part: &str, seconds: i64) {
        self.run_with(&["start", part], &[("CLOCK_OFF", seconds.to_string())]).await;
    }

    /// Sends SIGSTOP to parts: their connections stay open, and they read nothing.
    pub async fn pause(&self, parts: &[&str]) {
        self.on("pause", parts).await;
    }

    /// Pauses a part until the returned guard is dropped. As on a machine that hangs, its connections stay open and get no
    /// answers.
    ///
    /// # Panics
    /// If the part does not run.
    pub fn hang(&self, part: &str) -> Hung {
        let pid = std::fs::read_to_string(self.folder().join("pids").join(part)).expect("the part runs");
        let hung = Hung { pid: pid.trim().to_owned() };
        assert!(hung.signal("-STOP"), "{part} could not be stopped");
        hung
    }

    /// Sends SIGCONT to parts.
    pub async fn resume(&self, parts: &[&str]) {
        self.on("resume", parts).await;
    }

    /// Returns the port of a part on 127.0.0.1.
    ///
    /// # Panics
    /// If there is no such part.
    pub fn port(&self, part: &str) -> u16 {
        let ports = std::fs::read_to_string(self.folder().join("ports")).expect("a stack has its ports written down");
        let port = ports.lines().find_map(|line| line.strip_prefix(part)?.strip_prefix('='));
        port.unwrap_or_else(|| panic!("no part is called {part}")).parse().expect("a port is a number")
    }

    async fn on(&self, command: &str, parts: &[&str]) {
        self.run(&[&[command], parts].concat()).await;
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.running().folder
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it was brought up")
    }

    /// Runs the script.
    pub(crate) async fn run(&self, args: &[&str]) {
        self.run_with(args, &[]).await;
    }

    async fn run_with(&self, args: &[&str], env: &[(&str, String)]) {
        let mut command = tokio::process::Command::new(script());
        command.envs(self.running().env.iter().map(|(name, value)| (name, value)));
        command.envs(env.iter().map(|(name, value)| (name, value)));
        let output = command.args(args).env("STACK_DIR", self.folder()).stdin(Stdio::null()).output().await;
        let output = output.expect("scripts/stack can be run");
        assert!(output.status.success(), "scripts/stack {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A part that hangs. Dropping it lets the part continue.
#[must_use]
pub struct Hung {
    pid: String,
}

impl Hung {
    fn signal(&self, signal: &str) -> bool {
        Command::new("kill").args([signal, &self.pid]).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/stack")
}
