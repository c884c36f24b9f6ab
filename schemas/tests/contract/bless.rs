//! Files that follow from the code: compared, or written anew on request.

use std::{fs, path::PathBuf};

/// A path inside the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

pub(crate) fn is_blessing() -> bool {
    std::env::var_os("TEAMLOG_BLESS").is_some()
}

/// Asserts that the file holds `expected`; with `TEAMLOG_BLESS` it is made so, unless it is frozen.
pub(crate) fn holds(path: &str, expected: &str, frozen: bool) {
    let file = repository(path);
    let found = fs::read_to_string(&file).ok();
    if found.as_deref() == Some(expected) {
        return;
    }
    assert!(!frozen, "{path} is released and would change to\n{expected}");
    assert!(
        is_blessing(),
        "{path} {}; `TEAMLOG_BLESS=1 cargo test -p teamlog-schemas` writes\n{expected}",
        if found.is_some() { "is out of date" } else { "is missing" },
    );
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, expected).unwrap();
}
