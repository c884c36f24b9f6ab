//! Link unfurling: what is shown of the pages that a message links to.

mod charset;
mod oembed;
mod page;
mod preview;
mod text;
mod unfurler;

pub use preview::{Kind, Preview};
pub use unfurler::{Found, UnfurlConfig, Unfurler};
