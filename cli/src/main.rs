//! The `teamlog` binary.

mod client;
mod commands;
mod config;
mod demo;
mod output;
mod parts;
mod serve;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    client::Client,
    commands::{
        BenchCommand, ImportCommand, JobsCommand, LogCommand, Outcome, Seed, TeamCommand, UserCommand, ViewCommand,
        status,
    },
    config::Config,
    parts::DataDir,
    serve::Part,
};

/// A post makes some 150 short-lived allocations on several threads: with glibc's allocator a quarter of the server's time
/// is spent in it (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A team-messaging backend whose database is a log.
///
/// Examples:
///   teamlog serve --demo
///   teamlog team create acme --owner ada --email ada@acme.com
///   teamlog log cat --team acme
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Cli {
    /// The configuration file (TOML).
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Where the embedded engine's files, keys and the node's id lie.
    #[arg(long, global = true, env = "TEAMLOG_DATA_DIR", default_value = "./teamlog-data")]
    data_dir: PathBuf,
    /// Data as JSON on stdout.
    #[arg(long, global = true)]
    json: bool,
    /// Logs as `text` or `json`, on stderr. RUST_LOG sets what is logged.
    #[arg(long, global = true, env = "TEAMLOG_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// A running server; else the one of the data directory.
    #[arg(long, global = true, env = "TEAMLOG_URL")]
    url: Option<String>,
    /// The operators' key to it.
    #[arg(long, global = true, env = "TEAMLOG_ADMIN_KEY", hide_env_values = true)]
    admin_key: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every role in one process. Example: teamlog serve --listen 127.0.0.1:0
    Serve {
        /// Where to listen; port 0 takes any. The address stands in DATA_DIR/run/server.json.
        #[arg(long)]
        listen: Option<String>,
        /// Make a team to talk to, and say how.
        #[arg(long)]
        demo: bool,
    },
    /// Run one role on a shared log: write the partitions that this node owns. Example: teamlog --config teamlog.toml ingest
    Ingest,
    /// Run one role on a shared log: the Web API and websockets.
    /// Example: teamlog --config teamlog.toml gateway --listen 0.0.0.0:8080
    Gateway {
        /// Where clients reach it; port 0 takes any. The address stands in DATA_DIR/run/server.json.
        #[arg(long)]
        listen: Option<String>,
    },
    /// Run one role on a shared log: build views, all of them or the named ones.
    /// Example: teamlog --config teamlog.toml project mains "shard s1" search
    Project {
        /// `mains`, `shard NAME`, `search`.
        #[arg(value_name = "VIEW")]
        views: Vec<String>,
    },
    /// Run one role on a shared log: consumers (such as unfurling), all of them or the named ones.
    /// Example: teamlog --config teamlog.toml work
    Work {
        /// The kinds of consumers.
        #[arg(value_name = "KIND")]
        kinds: Vec<String>,
    },
    /// The log: topics, partitions, events.
    #[command(subcommand)]
    Log(LogCommand),
    /// The views: status, verify, rebuild, switch.
    #[command(subcommand)]
    View(ViewCommand),
    /// Teams, through a running server.
    #[command(subcommand)]
    Team(TeamCommand),
    /// People, through a running server.
    #[command(subcommand)]
    User(UserCommand),
    /// Work of consumers that failed for good, through a running server: list, show, retry, drop.
    ///
    /// It is kept for two weeks, the newest 1,000 pieces of a kind and partition.
    ///
    /// Examples:
    ///   teamlog jobs list --kind unfurl
    ///   teamlog jobs retry --kind unfurl --team acme
    ///   teamlog jobs drop unfurl/01920000-0000-7000-8000-000000000001/0
    #[command(subcommand, verbatim_doc_comment)]
    Jobs(JobsCommand),
    /// Import data from other systems, through a running server.
    #[command(subcommand)]
    Import(ImportCommand),
    /// A large, believable team, through a running server. Example: teamlog seed --domain big --users 1000
    Seed(Seed),
    /// Load beside the machine's limits; a server that is measured needs `[limits] enabled = false`.
    /// Example: teamlog bench post --in-flight 256
    #[command(subcommand)]
    Bench(BenchCommand),
    /// The effective configuration, secrets masked. Example: teamlog config --config teamlog.toml
    Config,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // What a server's parts say as they come and go is of no use around a command's data.
    let is_server = matches!(
        cli.command,
        Command::Serve { .. }
            | Command::Ingest
            | Command::Gateway { .. }
            | Command::Project { .. }
            | Command::Work { .. }
    );
    let said = if is_server { "info,tantivy=warn" } else { "warn,teamlog=info" };
    start_logging(cli.log_format, said);
    match run(cli).await {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Differs) => ExitCode::from(1),
        Ok(Outcome::Away) => ExitCode::from(3),
        Err(why) => {
            tracing::error!("{why:#}");
            ExitCode::from(status(&why))
        }
    }
}

/// `said` is what is logged if RUST_LOG does not say.
fn start_logging(format: LogFormat, said: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(said));
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let said = tracing_subscriber::registry().with(lines.with_filter(filter));
    #[cfg(feature = "console")]
    let said = said.with(console_subscriber::spawn());
    said.init();
}

async fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let mut config = Config::load(cli.config.as_deref())?;
    let data = DataDir(cli.data_dir);
    let client = || Client::find(cli.url.as_deref(), cli.admin_key.as_deref(), &data);
    match cli.command {
        Command::Serve { listen, demo } => {
            if let Some(listen) = listen {
                config.server.listen = listen;
            }
            serve::run(config, data, Part::Serve { demo }).await?;
            Ok(Outcome::Done)
        }
        Command::Ingest => {
            serve::run(config, data, Part::Ingest).await?;
            Ok(Outcome::Done)
        }
        Command::Gateway { listen } => {
            if let Some(listen) = listen {
                config.server.listen = listen;
            }
            serve::run(config, data, Part::Gateway).await?;
            Ok(Outcome::Done)
        }
        Command::Project { views } => {
            serve::run(config, data, Part::Project { views }).await?;
            Ok(Outcome::Done)
        }
        Command::Work { kinds } => {
            serve::run(config, data, Part::Work { kinds }).await?;
            Ok(Outcome::Done)
        }
        Command::Log(command) => command.run(&config, &data, cli.json).await,
        Command::View(command) => command.run(&config, &data, cli.json).await,
        Command::Team(command) => command.run(&client()?, cli.json).await,
        Command::User(command) => command.run(&client()?, cli.json).await,
        Command::Jobs(command) => command.run(&client()?, cli.json).await,
        Command::Import(command) => command.run(&client()?, cli.json).await,
        Command::Seed(command) => command.run(&client()?, cli.json).await,
        Command::Bench(command) => command.run(cli.url, &config, &data, cli.json).await,
        Command::Config => {
            let masked = config.masked();
            let shown = if cli.json { serde_json::to_string(&masked)? } else { toml::to_string(&masked)? };
            output::line(&shown);
            Ok(Outcome::Done)
        }
    }
}
