//! Mains: the directory in a database.

mod projector;
mod reader;
mod tables;

pub use projector::MainsProjector;
pub use reader::Mains;
pub(crate) use tables::MAINS;
