//! The limit on open files of this process.

use std::process::Command;

/// Raises the limit on open files of this process, and of the servers that it starts, if it is lower.
///
/// # Panics
/// If the system does not allow that.
pub fn open_files(wanted: u64) {
    let own = std::process::id().to_string();
    let set = |value: String| Command::new("prlimit").args(["--pid", &own, &value]).status();
    let asked = Command::new("prlimit").args(["--pid", &own, "--nofile", "--output=SOFT", "--noheadings"]).output();
    let soft = asked.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse::<u64>().ok());
    if soft.is_none_or(|soft| soft < wanted) {
        let raised = set(format!("--nofile={wanted}:")).is_ok_and(|status| status.success());
        assert!(raised, "this test needs {wanted} open files, and may have {soft:?}: raise `ulimit -n`");
    }
}
