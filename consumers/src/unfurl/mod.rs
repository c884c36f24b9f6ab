//! Link unfurling: what is shown of the pages that a message links to.

mod charset;
mod consumer;
mod oembed;
mod page;
mod preview;
mod text;
mod unfurler;

pub use consumer::{UnfurlLinks, Unfurling};
pub use preview::{Kind, Preview};
pub use unfurler::{Found, UnfurlConfig, Unfurler};
