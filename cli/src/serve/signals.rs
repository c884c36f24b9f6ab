//! The signals that stop a process.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals SIGTERM and SIGINT. Made once: a signal that arrives while there is no wait is kept and ends the next one.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Exits the process at the next signal, without an orderly shutdown.
    pub(super) fn exit_at_the_next(mut self) {
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(130);
        });
    }
}
