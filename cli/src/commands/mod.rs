//! Commands beside `serve`, one file a group.

mod import;
mod log;
mod people;
mod view;

pub(crate) use import::ImportCommand;
pub(crate) use log::LogCommand;
pub(crate) use people::{TeamCommand, UserCommand};
pub(crate) use view::ViewCommand;

use teamlog_log::LogError;

/// How a command ended, beside an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// A check found a difference.
    Differs,
}

/// The exit status of an error: 3 if a part is away, else 2.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    let away = error.chain().any(|cause| {
        cause.downcast_ref::<reqwest::Error>().is_some()
            || matches!(cause.downcast_ref::<LogError>(), Some(LogError::Away(_)))
            || cause.to_string().starts_with("no server runs on")
    });
    if away { 3 } else { 2 }
}
