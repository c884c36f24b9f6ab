//! Finds the process that opened a connection by the port that it called from, as Linux shows it under `/proc`.

use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

/// The longest wait for a caller's pid file: a script writes it as it starts the process.
const START: Duration = Duration::from_secs(10);
/// The pause between two looks for the pid file.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The processes that may call.
pub(super) struct Callers {
    /// The folder with a file for each process: its name is the process's, its content the pid.
    pids: PathBuf,
    names: Vec<String>,
    /// The newest look. Calls share it: it takes milliseconds, and a starting process opens a hundred connections.
    newest: Mutex<Option<Look>>,
}

impl Callers {
    pub(super) fn new(pids: &Path, names: &[&str]) -> Callers {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Callers { pids: pids.to_owned(), names, newest: Mutex::default() }
    }

    /// Returns the name of the process that owns the socket at `from` of a connection to `to`. None if the socket is
    /// gone, or its process is not one of the callers. Blocks.
    pub(super) fn whose(&self, from: SocketAddr, to: SocketAddr) -> Option<String> {
        let (from, to) = (hexadecimal(from)?, hexadecimal(to)?);
        let arrived = Instant::now();
        loop {
            let asked = Instant::now();
            let mut newest = self.newest.lock().expect("no look panics");
            let look = newest.take_if(|look| look.began >= asked).unwrap_or_else(|| self.look());
            let inode = look.sockets.get(&(from.clone(), to.clone())).cloned();
            let name = inode.as_ref().and_then(|inode| look.holders.get(inode)).cloned();
            *newest = Some(look);
            drop(newest);
            if name.is_some() || inode.is_none() || arrived.elapsed() > START {
                return name;
            }
            sleep(LOOK_AGAIN);
        }
    }

    fn look(&self) -> Look {
        let (began, sockets) = (Instant::now(), sockets().unwrap_or_default());
        let mut holders = HashMap::new();
        for name in &self.names {
            let Ok(pid) = fs::read_to_string(self.pids.join(name)) else { continue };
            let Ok(open) = fs::read_dir(format!("/proc/{}/fd", pid.trim())) else { continue };
            let targets =
                open.flatten().filter_map(|one| fs::read_link(one.path()).ok()?.into_os_string().into_string().ok());
            let inode = |target: String| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
            holders.extend(targets.filter_map(inode).map(|inode| (inode, name.clone())));
        }
        Look { began, sockets, holders }
    }
}

/// The sockets and their processes at some moment after `began`.
struct Look {
    began: Instant,
    /// The inodes of sockets, by both ends of their connection.
    sockets: HashMap<(String, String), String>,
    /// The process that has an inode open, by inode.
    holders: HashMap<String, String>,
}

/// The columns are explained in Linux's `Documentation/networking/proc_net_tcp.rst`.
fn sockets() -> Option<HashMap<(String, String), String>> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        // A socket that its process has closed has no inode.
        let inode = columns.get(9).filter(|inode| **inode != "0")?;
        Some(((columns[1].to_owned(), columns[2].to_owned()), (*inode).to_owned()))
    };
    Some(table.lines().skip(1).filter_map(socket).collect())
}

/// Returns an address as the table shows it. The host is in the byte order of the machine.
fn hexadecimal(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()))
}
