//! Processes that the bench starts, and the resident memory of a process.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{
    BenchError,
    http::{Flush, Stub},
    options::Cpus,
};

/// Memory has settled once this many samples in a row lie within [`SAME_BYTES`].
const LOOKS: usize = 5;
const LOOK_EVERY: Duration = Duration::from_millis(200);
const SAME_BYTES: u64 = 256 << 10;
/// The longest wait for memory to settle. A server that is busy with something else never settles: its last sample counts.
const SETTLED_BY: Duration = Duration::from_secs(20);
/// The longest wait for a process to print its address.
const SAID_BY: Duration = Duration::from_secs(30);
/// The longest wait for a server to shut down.
const ENDED_BY: Duration = Duration::from_secs(60);
/// The configuration of a server that the bench starts.
const CONFIG: &str = "[limits]\nenabled = false\n";

/// The resident memory of a process.
pub(crate) struct Resident {
    status: PathBuf,
}

impl Resident {
    /// # Errors
    /// [`BenchError::File`] if there is no such process, or no `/proc` on this system.
    pub(crate) fn of(pid: u32) -> Result<Resident, BenchError> {
        let resident = Resident { status: format!("/proc/{pid}/status").into() };
        resident.bytes().map(|_| resident)
    }

    fn bytes(&self) -> Result<u64, BenchError> {
        let failed = |why| BenchError::File { path: self.status.clone(), why };
        let text = std::fs::read_to_string(&self.status).map_err(failed)?;
        let missing = || failed(std::io::Error::other("it says nothing of resident memory"));
        resident_bytes(&text).ok_or_else(missing)
    }

    /// Returns the resident memory in bytes once it has settled, or the last sample after [`SETTLED_BY`].
    ///
    /// # Errors
    /// [`BenchError::File`] if the process is gone.
    pub(crate) async fn settled(&self) -> Result<u64, BenchError> {
        let until = Instant::now() + SETTLED_BY;
        let mut looks = Vec::new();
        loop {
            looks.push(self.bytes()?);
            let last = &looks[looks.len().saturating_sub(LOOKS)..];
            let spread = last.iter().max().zip(last.iter().min()).map_or(0, |(most, least)| most - least);
            let now = looks[looks.len() - 1];
            if (last.len() == LOOKS && spread <= SAME_BYTES) || Instant::now() > until {
                return Ok(now);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Returns `VmRSS` of `/proc/PID/status`, in bytes.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// A stub in a process of its own, with the server's allocator. Dropping it kills the process.
pub(crate) struct StubProcess {
    child: Child,
    address: String,
}

impl StubProcess {
    /// # Errors
    /// [`BenchError::Lost`] if it does not start.
    pub(crate) async fn start(program: &Path) -> Result<StubProcess, BenchError> {
        let lost = BenchError::Lost("a stub's process");
        let mut command = Command::new(program);
        command.args(["bench", "stub"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|why| BenchError::File { path: program.to_owned(), why })?;
        let Some(out) = child.stdout.take() else { return Err(lost) };
        let mut lines = BufReader::new(out).lines();
        let line = tokio::time::timeout(SAID_BY, lines.next_line()).await.ok().and_then(|line| line.ok().flatten());
        let said: Option<Value> = line.and_then(|line| serde_json::from_str(&line).ok());
        let address = said.and_then(|said| Some(said["address"].as_str()?.to_owned())).ok_or(lost)?;
        Ok(StubProcess { child, address })
    }

    /// Returns the id of the process; 0 once it has ended.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Returns the URL of the stub's websockets.
    pub(crate) fn socket_url(&self) -> String {
        format!("ws://{}/ws/x", self.address)
    }
}

/// A server that the bench starts, on the embedded engine, in a folder. Dropping it kills the process.
pub(crate) struct ServerProcess {
    child: Child,
    run: PathBuf,
}

impl ServerProcess {
    /// Starts the server and does not wait for it.
    ///
    /// # Errors
    /// [`BenchError::File`] if the folder cannot be written to, or the program cannot be run.
    pub(crate) fn start(program: &Path, folder: &Path) -> Result<ServerProcess, BenchError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |why| BenchError::File { path, why }
        };
        let (config, data) = (folder.join("teamlog.toml"), folder.join("data"));
        std::fs::write(&config, CONFIG).map_err(failed(&config))?;
        let run = data.join("run").join("server.json");
        // The file of an earlier server must not be taken for the file of this one.
        match std::fs::remove_file(&run) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(failed(&run)(why)),
            _ => {}
        }
        let log = folder.join("server.log");
        let said = std::fs::File::options().create(true).append(true).open(&log).map_err(failed(&log))?;
        let mut command = Command::new(program);
        // The configuration in the caller's environment belongs to another server.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"TEAMLOG_")) {
            command.env_remove(name);
        }
        command.arg("--config").arg(config).arg("--data-dir").arg(data).args(["serve", "--listen", "127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).kill_on_drop(true);
        Ok(ServerProcess { child: command.spawn().map_err(failed(program))?, run })
    }

    /// Returns the server's URL once its run file names it.
    ///
    /// # Errors
    /// [`BenchError::Away`] until then.
    pub(crate) fn url(&self) -> Result<String, BenchError> {
        let away = |why: String| BenchError::Away { at: self.run.display().to_string(), why };
        let said = std::fs::read(&self.run).map_err(|why| away(why.to_string()))?;
        let said: Value = serde_json::from_slice(&said).map_err(|why| away(why.to_string()))?;
        said["url"].as_str().map(str::to_owned).ok_or_else(|| away("no url".to_owned()))
    }

    /// Shuts the server down with SIGTERM, and waits for it.
    ///
    /// # Errors
    /// [`BenchError::Lost`] if it does not shut down cleanly within [`ENDED_BY`].
    pub(crate) async fn stop(mut self) -> Result<(), BenchError> {
        let lost = BenchError::Lost("a server, which did not end in good order");
        let Some(pid) = self.child.id() else { return Err(lost) };
        // The standard library sends no signal but SIGKILL.
        let asked = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
        let ended = tokio::time::timeout(ENDED_BY, self.child.wait()).await;
        let good = asked.is_ok_and(|status| status.success())
            && ended.is_ok_and(|ended| ended.is_ok_and(|status| status.success()));
        if good { Ok(()) } else { Err(lost) }
    }
}

/// Creates a temporary folder in `scratch`. Dropping it deletes the folder.
pub(crate) fn own_folder(scratch: &Path) -> Result<TempDir, BenchError> {
    let folder = tempfile::Builder::new().prefix("teamlog-bench-").tempdir_in(scratch);
    folder.map_err(|why| BenchError::File { path: scratch.to_owned(), why })
}

/// Serves as a stub until stdin ends, which the parent process holds open. `said` is called once with the address.
///
/// # Errors
/// [`BenchError::Away`] if no port can be had.
pub async fn serve_stub(said: impl FnOnce(&Value)) -> Result<(), BenchError> {
    let stub = Stub::start(&Cpus::all(), Flush::Once, |_| r#"{"ok":true}"#.into()).await?;
    said(&serde_json::json!({ "address": stub.address() }));
    let mut rest = Vec::new();
    // The parent has exited when the read ends, with or without an error.
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tteamlog\nVmPeak:\t  900 kB\nVmRSS:\t   5120 kB\nThreads:\t3\n";
        assert_eq!(resident_bytes(status), Some(5 << 20));
        assert_eq!(resident_bytes("Name:\tteamlog\n"), None);
    }

    #[tokio::test]
    async fn memory_that_is_kept_is_seen() {
        let own = Resident::of(std::process::id()).unwrap();
        let before = own.bytes().unwrap();
        let held = vec![1u8; 64 << 20];
        let with = own.settled().await.unwrap();
        assert!(with >= before + (48 << 20), "{before} {with} {}", held.len());
        assert!(matches!(Resident::of(u32::MAX), Err(BenchError::File { .. })));
    }
}
