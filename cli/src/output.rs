//! The output of commands: data on stdout, everything else on stderr.
#![allow(clippy::print_stdout, reason = "the one place that prints a command's data")]

use std::io::Write;

use serde_json::Value;

/// Prints one or more lines to stdout. A closed pipe (`| head`) is no error.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Prints one JSON object, or the text for people.
pub(crate) fn object(json: bool, value: &Value, text: impl FnOnce() -> String) {
    if json { line(&value.to_string()) } else { line(&text()) }
}
