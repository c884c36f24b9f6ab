//! Where the SDKs of other languages are.

use std::path::PathBuf;

/// The Python of the virtual environment with the SDK, if this run has one.
pub fn python() -> Option<PathBuf> {
    present("TEAMLOG_TEST_VENV", "bin/python")
}

/// The `node_modules` with the SDKs, if this run has them.
pub fn node_modules() -> Option<PathBuf> {
    present("TEAMLOG_TEST_NODE", "node_modules")
}

fn present(variable: &str, inside: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).filter(|path| !path.is_empty())?;
    let path = PathBuf::from(folder).join(inside);
    assert!(path.exists(), "{variable} is set, but {} is not there", path.display());
    Some(path)
}
