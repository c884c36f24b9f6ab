//! The `teamlog` binary.
fn main() {}
