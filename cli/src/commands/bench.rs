//! `teamlog bench`: load against a running server, beside the limits of the machine.

use clap::Subcommand;
use teamlog_bench::{Boot, Fanout, Flood, Idle, Post, Rebuild, Reconnect, Report, Search, Start, serve_stub};
use teamlog_log::Topic;
use teamlog_projectors::View;

use super::{
    Outcome,
    log::in_time,
    view::{chosen, reading},
};
use crate::{
    client::Client,
    config::{Config, Engine},
    output,
    parts::{DataDir, OpenLog, search_dir, views},
};

/// Load against a running server, each figure beside a limit that was measured in the same run.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    Post(Post),
    Fanout(Fanout),
    Boot(Boot),
    Reconnect(Reconnect),
    Idle(Idle),
    Search(Search),
    Flood(Flood),
    Rebuild(Rebuild),
    Start(Start),
    /// The process that `idle` compares a server with. It exits when its stdin is closed.
    #[command(hide = true)]
    Stub,
}

impl BenchCommand {
    /// Its last line is one object, with and without `--json`. `url` is a server's, if one was named.
    pub(crate) async fn run(
        self,
        url: Option<String>,
        config: &Config,
        data: &DataDir,
        as_json: bool,
    ) -> anyhow::Result<Outcome> {
        // A server that was named need not be the one that runs on the data directory.
        let process = if url.is_some() { None } else { Client::process(data) };
        let url = || url.map_or_else(|| Ok(Client::find(None, None, data)?.url().to_owned()), anyhow::Ok);
        let report = match self {
            BenchCommand::Post(bench) => bench.run(&url()?).await,
            BenchCommand::Fanout(bench) => bench.run(&url()?).await,
            BenchCommand::Boot(bench) => bench.run(&url()?).await,
            BenchCommand::Reconnect(bench) => bench.run(&url()?).await,
            BenchCommand::Idle(bench) => bench.run(&url()?, process, &std::env::current_exe()?).await,
            BenchCommand::Search(bench) => bench.run(&url()?).await,
            BenchCommand::Flood(bench) => bench.run(&url()?).await,
            BenchCommand::Start(bench) => bench.run(&std::env::current_exe()?).await,
            BenchCommand::Rebuild(bench) => Ok(rebuild(&bench, config, data).await?),
            BenchCommand::Stub => {
                serve_stub(|said| output::line(&said.to_string())).await?;
                return Ok(Outcome::Done);
            }
        }?;
        if !as_json {
            report.lines().iter().for_each(|line| output::line(line));
        }
        output::line(&report.object().to_string());
        Ok(Outcome::Done)
    }
}

/// Reads the log and writes beside the views, with and without a server; keeps rebuilds out meanwhile.
async fn rebuild(bench: &Rebuild, config: &Config, data: &DataDir) -> anyhow::Result<Report> {
    let log = OpenLog::open_read_only(config, data).await?;
    let timed = async {
        let partitions = in_time(log.shared().partitions(Topic::Events)).await?;
        let (shards, mains) = views(config, data, partitions)?;
        let mut all = View::all(&mains, &shards, &search_dir(config, data));
        all.retain(|view| bench.view.is_some() || matches!(view, View::Shard(..)));
        let replicas = chosen(&all, bench.view.as_deref(), bench.replica.as_deref())?;
        let _locks = data.lock_rebuild()?;
        let engine = match config.log.engine {
            Engine::Embedded => "embedded",
            Engine::Kafka => "kafka",
        };
        let report = reading(&log, config, partitions, async |feed| bench.run(engine, feed, &replicas).await).await?;
        anyhow::Ok(report)
    };
    let timed = timed.await;
    log.close().await;
    timed
}
