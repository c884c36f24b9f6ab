//! The views in databases: on SQLite always, on MySQL or MariaDB where `TEAMLOG_TEST_MYSQL` names a server
//! (`mysql://root@127.0.0.1:3306`).
#![allow(clippy::unwrap_used)]

mod caching;
mod checking;
mod events;
mod failover;
mod golden;
mod house;
mod mains;
mod other_schema;
mod running;
mod search;
mod search_checking;
mod shard;
mod sharing;
