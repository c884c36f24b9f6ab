//! The server under test: the real binary on the embedded engine, or on the real servers that `make test` starts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::Client;

/// Which log and databases a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Embedded,
    /// Apache Kafka, two MariaDB servers, two memcached.
    Stack,
}

/// The engines that are there: the real servers only when `TEAMLOG_TEST_CONFIG` names their configuration.
pub(crate) fn engines() -> Vec<Engine> {
    if std::env::var_os("TEAMLOG_TEST_CONFIG").is_some() {
        vec![Engine::Embedded, Engine::Stack]
    } else {
        eprintln!("left out: the real servers (TEAMLOG_TEST_CONFIG is not set; `make test` sets it)");
        vec![Engine::Embedded]
    }
}

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    home: TempDir,
    child: Option<Child>,
    listen: String,
    pub(crate) url: String,
    pub(crate) admin_key: String,
}

fn binary() -> PathBuf {
    // The test's own executable lies in target/<profile>/deps.
    let here = std::env::current_exe().unwrap();
    let binary = here.parent().unwrap().parent().unwrap().join("teamlog");
    assert!(binary.exists(), "{} is not built: cargo build -p teamlog", binary.display());
    binary
}

impl Server {
    /// Starts a server with a data directory, topics and databases of its own.
    pub(crate) async fn start(engine: Engine) -> Server {
        let home = TempDir::new().unwrap();
        fs::write(home.path().join("teamlog.toml"), configuration(engine)).unwrap();
        let (listen, url, admin_key) = ("127.0.0.1:0".to_owned(), String::new(), String::new());
        let mut server = Server { home, child: None, listen, url, admin_key };
        server.restart().await;
        server
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        let config = self.home.path().join("teamlog.toml");
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("TEAMLOG_")) {
            command.env_remove(key);
        }
        command.arg("--config").arg(config).env("TEAMLOG_DATA_DIR", self.data_dir());
        command
    }

    /// Runs a command of the binary beside the server: its exit status and what it printed.
    pub(crate) fn run(&self, args: &[&str]) -> (i32, String) {
        let output = self.command().args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), text)
    }

    /// Starts it again after a kill, at the same address, and waits until it can serve.
    pub(crate) async fn restart(&mut self) {
        let _ = fs::remove_file(self.data_dir().join("run/server.json"));
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command();
        command.args(["serve", "--listen", &self.listen]).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(text) = fs::read_to_string(self.data_dir().join("run/server.json")) {
                let run: Value = serde_json::from_str(&text).unwrap();
                self.url = run["url"].as_str().unwrap().to_owned();
                self.admin_key = run["admin_key"].as_str().unwrap().to_owned();
                self.listen = self.url.trim_start_matches("http://").to_owned();
                let ready = reqwest::get(format!("{}/readyz", self.url)).await;
                if ready.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none() && Instant::now() < until, "no server: {ended:?}\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("server.log")
    }

    /// What it logged.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Fails the test if anything was logged that a person must act on.
    pub(crate) fn expect_no_errors(&self) {
        let errors: Vec<_> = self.said().lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The stack's configuration, with topics and databases of this test's own.
fn configuration(engine: Engine) -> String {
    let mut config = match engine {
        Engine::Embedded => toml::Table::new(),
        Engine::Stack => {
            let path = std::env::var_os("TEAMLOG_TEST_CONFIG").unwrap();
            let text = fs::read_to_string(Path::new(&path)).unwrap();
            text.parse().unwrap()
        }
    };
    let own = Uuid::new_v4().simple().to_string();
    let own = &own[..8];
    let mut log = config.get("log").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    log.insert("partitions".to_owned(), 4.into());
    log.insert("prefix".to_owned(), format!("t{own}.").into());
    config.insert("log".to_owned(), log.into());
    let rename = |list: &mut toml::Value| {
        for replica in list.as_array_mut().unwrap() {
            *replica = format!("{}_{own}", replica.as_str().unwrap()).into();
        }
    };
    if let Some(replicas) = config.get_mut("mains").and_then(|mains| mains.get_mut("replicas")) {
        rename(replicas);
    }
    for shard in config.get_mut("shards").and_then(toml::Value::as_array_mut).into_iter().flatten() {
        rename(shard.get_mut("replicas").unwrap());
    }
    config.remove("search");
    let limits = toml::toml! {
        enabled = false
    };
    config.insert("limits".to_owned(), limits.into());
    toml::to_string(&config).unwrap()
}
