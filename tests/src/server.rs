//! `teamlog serve`, started, killed and started again.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Api, WAIT, databases::Databases};

/// What stands below the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// SQLite files in the data directory.
    Embedded,
    /// Kafka, MariaDB and memcached, as `TEAMLOG_TEST_CONFIG` names them.
    Stack,
}

impl Engine {
    /// Those that this run has servers for.
    pub fn all() -> Vec<Engine> {
        if stack_config().is_some() {
            return vec![Engine::Embedded, Engine::Stack];
        }
        eprintln!("left out: Kafka, MariaDB and memcached; TEAMLOG_TEST_CONFIG does not say where they are");
        vec![Engine::Embedded]
    }
}

fn stack_config() -> Option<PathBuf> {
    std::env::var_os("TEAMLOG_TEST_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// How a server is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// No limits on rates: for tests that post as fast as they can.
    pub unlimited: bool,
    /// Parts of lines on level ERROR that this test provokes.
    pub expected_errors: Vec<&'static str>,
}

/// A server with a data directory of its own. It dies with the test, which fails if the server's log has a line on level
/// ERROR that nobody expected.
pub struct Server {
    folder: TempDir,
    databases: Option<Databases>,
    options: Options,
    child: Mutex<Option<Child>>,
    url: String,
    admin_key: String,
}

impl Server {
    /// Starts one with the usual options and waits until it can serve.
    pub async fn start(engine: Engine) -> Server {
        Server::with(engine, Options::default()).await
    }

    /// Starts one and waits until it can serve.
    pub async fn with(engine: Engine, options: Options) -> Server {
        let folder = TempDir::with_prefix("teamlog-e2e-").expect("a temporary directory");
        let mut config = toml::Table::new();
        let mut databases = None;
        if engine == Engine::Stack {
            let path = stack_config().expect("Engine::all names the stack only if there is one");
            let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            config = text.parse().unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            databases = Some(Databases::make(&mut config, folder.path()).await);
        }
        if options.unlimited {
            let off = toml::Table::from_iter([("enabled".to_owned(), false.into())]);
            config.insert("limits".to_owned(), off.into());
        }
        fs::write(folder.path().join("teamlog.toml"), config.to_string()).expect("the configuration is written");
        let (url, admin_key, child) = (String::new(), String::new(), Mutex::new(None));
        let mut server = Server { folder, databases, options, child, url, admin_key };
        server.launch().await;
        server
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The operators' key.
    pub fn admin_key(&self) -> &str {
        &self.admin_key
    }

    /// A client without a token.
    pub fn api(&self) -> Api {
        Api::new(&self.url)
    }

    /// A team of its own for a test, and its owner's client: `(owner, owner's id)`.
    pub async fn team(&self, domain: &str) -> (Api, String) {
        let args = json!({ "domain": domain, "name": domain, "owner_name": "ada", "owner_email": "ada@example.com" });
        let made = self.api().good("teamlog.teams.create", args).await;
        (self.api().with_token(&text(&made["token"])), text(&made["user"]["id"]))
    }

    /// One more person of the team: `(client, id)`.
    pub async fn person(&self, owner: &Api, name: &str) -> (Api, String) {
        let args = json!({ "name": name, "email": format!("{name}@example.com") });
        let made = owner.good("teamlog.users.create", args).await;
        (self.api().with_token(&text(&made["token"])), text(&made["user"]["id"]))
    }

    /// Ends the process on the spot: nothing is flushed, nobody is told.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().expect("no test panics in here").take() {
            child.kill().expect("our own child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Asks the process to stop, and waits until it did so in good order.
    pub async fn stop(&self) {
        let Some(mut child) = self.child.lock().expect("no test panics in here").take() else { return };
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "SIGTERM could not be sent");
        let since = Instant::now();
        let status = loop {
            match child.try_wait().expect("our own child can be waited for") {
                Some(status) => break status,
                None if since.elapsed() > WAIT => panic!("the server does not stop:\n{}", self.log()),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        assert!(status.success(), "the server stopped with {status}:\n{}", self.log());
    }

    /// Starts it again in the same directory, at another address.
    pub async fn restart(&mut self) {
        self.kill();
        self.launch().await;
    }

    async fn launch(&mut self) {
        let data = self.folder.path().join("data");
        let run = data.join("run/server.json");
        let _ = fs::remove_file(&run);
        let log = File::options().create(true).append(true).open(self.log_file()).expect("the log's file");
        let child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--config"])
            .arg(self.folder.path().join("teamlog.toml"))
            .arg("--data-dir")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        *self.child.lock().expect("no test panics in here") = Some(child);
        let since = Instant::now();
        loop {
            if self.is_ready(&run).await {
                return;
            }
            let ended = self.child.lock().expect("no test panics in here").as_mut().and_then(|c| c.try_wait().ok());
            assert!(ended.flatten().is_none(), "the server ended at its start:\n{}", self.log());
            assert!(since.elapsed() < WAIT, "the server does not get ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_ready(&mut self, run: &Path) -> bool {
        let Some(told) = fs::read(run).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) else {
            return false;
        };
        (self.url, self.admin_key) = (text(&told["url"]), text(&told["admin_key"]));
        let ready = reqwest::get(format!("{}/readyz", self.url)).await;
        ready.is_ok_and(|answer| answer.status().is_success())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Everything that the server said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn unexpected_errors(&self) -> Vec<String> {
        let is_error = |line: &&str| {
            let level = serde_json::from_str::<Value>(line).map(|line| line["level"].clone());
            // What is no JSON is the message of a panic.
            level.map_or(line.contains("panicked at"), |level| level == "ERROR")
        };
        let expected = |line: &&str| self.options.expected_errors.iter().any(|part| line.contains(part));
        self.log().lines().filter(is_error).filter(|line| !expected(line)).map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if let Some(databases) = self.databases.take() {
            databases.drop_all();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the server's last words:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        } else {
            let errors = self.unexpected_errors();
            assert!(errors.is_empty(), "the server's log has errors that nobody expected:\n{}", errors.join("\n"));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The binary under test. It lies beside the tests, where `cargo build --workspace` and `make test` put it; it is built
/// only if it is not there.
pub fn binary() -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _building = ONE_AT_A_TIME.lock().expect("building does not panic twice");
    if let Some(path) = std::env::var_os("TEAMLOG_TEST_BINARY") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test knows its own file");
    let folder = own.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let path = folder.join("teamlog");
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "-p", "teamlog"]).status();
        assert!(built.is_ok_and(|status| status.success()), "the binary teamlog could not be built");
    }
    path
}
