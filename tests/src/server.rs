//! `teamlog serve`, started, killed and started again.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Api, WAIT, api::text, databases::Databases};

/// The engine below the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// SQLite files in the data directory.
    Embedded,
    /// Kafka, MariaDB and memcached, as `TEAMLOG_TEST_CONFIG` names them.
    Stack,
}

impl Engine {
    /// Returns the engines that this run has servers for.
    pub fn all() -> Vec<Engine> {
        if stack_config().is_some() {
            return vec![Engine::Embedded, Engine::Stack];
        }
        eprintln!("left out: Kafka, MariaDB and memcached; TEAMLOG_TEST_CONFIG does not say where they are");
        vec![Engine::Embedded]
    }
}

pub(crate) fn stack_config() -> Option<PathBuf> {
    std::env::var_os("TEAMLOG_TEST_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The settings of a server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Turns rate limits off, for tests that post as fast as they can.
    pub unlimited: bool,
    /// Parts of lines on level ERROR that this test provokes.
    pub expected_errors: Vec<&'static str>,
    /// Variables of the server's environment.
    pub env: Vec<(&'static str, String)>,
    /// The stack's configuration, if the server runs on another stack than the shared one.
    pub stack: Option<PathBuf>,
}

/// A server with a data directory of its own. Dropping it kills the process. The test fails if the server's log has a line
/// on level ERROR that the test did not expect.
pub struct Server {
    folder: TempDir,
    databases: Option<Databases>,
    options: Options,
    child: Mutex<Option<Child>>,
    url: String,
    admin_key: String,
}

impl Server {
    /// Starts a server with the default options and waits until it is ready.
    pub async fn start(engine: Engine) -> Server {
        Server::with(engine, Options::default()).await
    }

    /// Starts a server and waits until it is ready.
    pub async fn with(engine: Engine, options: Options) -> Server {
        let mut server = Server::prepare(engine, options).await;
        server.launch().await;
        server
    }

    /// Sets up a server without starting it. [`Server::restart`] starts it.
    pub async fn prepare(engine: Engine, options: Options) -> Server {
        let folder = TempDir::with_prefix("teamlog-e2e-").expect("a temporary directory");
        let mut config = toml::Table::new();
        let mut databases = None;
        if engine == Engine::Stack {
            let path = options.stack.clone().or_else(stack_config);
            let path = path.expect("Engine::all names the stack only if there is one");
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
        Server { folder, databases, options, child, url, admin_key }
    }

    /// Returns the current configuration.
    pub fn config(&self) -> toml::Table {
        let text = fs::read_to_string(self.config_file()).expect("the configuration is there");
        text.parse().expect("it was written as TOML")
    }

    /// Changes the configuration. The next start reads it.
    pub fn configure(&self, change: impl FnOnce(&mut toml::Table)) {
        let mut config = self.config();
        change(&mut config);
        fs::write(self.config_file(), config.to_string()).expect("the configuration is written");
    }

    /// Returns the data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs another command of the binary on this configuration and data. Returns its exit status and its output.
    pub async fn run(&self, args: &[&str]) -> (i32, String) {
        let mut command = tokio::process::Command::from(self.command());
        let output = command.args(args).kill_on_drop(true).output().await.expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), said)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.envs(self.options.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).arg("--config").arg(self.config_file()).arg("--data-dir").arg(self.data_dir());
        command
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("teamlog.toml")
    }

    /// Returns the server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the operators' key.
    pub fn admin_key(&self) -> &str {
        &self.admin_key
    }

    /// Returns a client without a token.
    pub fn api(&self) -> Api {
        Api::new(&self.url)
    }

    /// Fetches the metrics in Prometheus' text format.
    pub async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("{}/metrics", self.url)).await.expect("the server answers");
        answer.text().await.expect("metrics are text")
    }

    /// Returns the sum of a metric over its labels; 0 if nothing was recorded.
    pub async fn metric(&self, name: &str) -> f64 {
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let number = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        self.metrics().await.lines().filter(is_it).filter_map(number).sum()
    }

    /// Makes a team for a test, and returns its owner's client and id.
    pub async fn team(&self, domain: &str) -> (Api, String) {
        self.api().team(domain).await
    }

    /// Adds a person to the team, and returns the person's client and id.
    pub async fn person(&self, owner: &Api, name: &str) -> (Api, String) {
        owner.person(name).await
    }

    /// Kills the process with SIGKILL: it flushes nothing and says nothing to its clients.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().expect("no test panics in here").take() {
            child.kill().expect("our own child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Sends SIGTERM and waits until the process has shut down cleanly.
    pub async fn stop(&self) {
        let Some(mut child) = self.child.lock().expect("no test panics in here").take() else { return };
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "SIGTERM could not be sent");
        let pid = child.id().to_string();
        let ended = tokio::task::spawn_blocking(move || child.wait());
        let Ok(status) = tokio::time::timeout(WAIT, ended).await else {
            // Without the kill, the thread that waits for the process would never end, and nor would the test.
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
            panic!("the server does not stop:\n{}", self.log());
        };
        let status = status.expect("waiting does not panic").expect("our own child can be waited for");
        assert!(status.success(), "the server stopped with {status}:\n{}", self.log());
    }

    /// Kills the server and starts it again in the same directory, at another address.
    pub async fn restart(&mut self) {
        self.kill();
        self.launch().await;
    }

    /// Starts the server and waits only until it writes its address: it may have to wait for another part.
    pub async fn start_unready(&mut self) {
        let run = self.data_dir().join("run/server.json");
        let _ = fs::remove_file(&run);
        let log = File::options().create(true).append(true).open(self.log_file()).expect("the log's file");
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]).stdout(Stdio::null()).stderr(log);
        *self.child.lock().expect("no test panics in here") = Some(command.spawn().expect("the binary starts"));
        let since = Instant::now();
        loop {
            let told = fs::read(&run).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            if let Some(told) = told {
                (self.url, self.admin_key) = (text(&told["url"]), text(&told["admin_key"]));
                return;
            }
            self.wait_on(since, "says nothing of where it is").await;
        }
    }

    /// Waits until the server is ready.
    pub async fn ready(&self) {
        let since = Instant::now();
        while !reqwest::get(format!("{}/readyz", self.url)).await.is_ok_and(|answer| answer.status().is_success()) {
            self.wait_on(since, "does not get ready").await;
        }
    }

    async fn launch(&mut self) {
        self.start_unready().await;
        self.ready().await;
    }

    /// Sleeps for a moment. Panics if the process has ended or the time is up.
    async fn wait_on(&self, since: Instant, what: &str) {
        let ended = self.child.lock().expect("no test panics in here").as_mut().and_then(|c| c.try_wait().ok());
        assert!(ended.flatten().is_none(), "the server ended at its start:\n{}", self.log());
        assert!(since.elapsed() < WAIT, "the server {what}:\n{}", self.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Returns the server's log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if let Some(databases) = self.databases.take() {
            databases.drop_all();
        }
        if std::thread::panicking() {
            eprintln!("the server's last words:\n{}", last_lines(&self.log(), 40));
        } else {
            let errors = unexpected_errors(&self.log(), &self.options.expected_errors);
            assert!(errors.is_empty(), "the server's log has errors that nobody expected:\n{}", errors.join("\n"));
        }
    }
}

/// Returns the lines of a log on level ERROR, and of panics, that contain none of the expected parts.
pub(crate) fn unexpected_errors(log: &str, expected: &[&str]) -> Vec<String> {
    let is_error = |line: &&str| {
        let level = serde_json::from_str::<Value>(line).map(|line| line["level"].clone());
        // A line that is not JSON is the message of a panic.
        level.map_or(line.contains("panicked at"), |level| level == "ERROR")
    };
    let is_expected = |line: &&str| expected.iter().any(|part| line.contains(part));
    log.lines().filter(is_error).filter(|line| !is_expected(line)).map(str::to_owned).collect()
}

/// Returns the last `count` lines of a log.
pub(crate) fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The binary under test. It lies beside the tests, where `cargo build --workspace` and `make test` put it; it is built
/// only if it is not there.
///
/// # Panics
/// If it cannot be built.
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
