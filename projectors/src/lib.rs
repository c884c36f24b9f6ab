//! teamlog.
