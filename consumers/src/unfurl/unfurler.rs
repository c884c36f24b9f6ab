//! Fetches a page and says what is shown of it, through a cache.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use url::Url;

use super::charset;
use super::oembed::{self, OEMBED_BYTES_MAX, Oembed};
use super::page::{self, PageFacts};
use super::preview::Preview;
use crate::JobBudget;
use crate::egress::{Egress, EgressError, Fetched, Head};

const ACCEPT_PAGE: &str = "text/html,application/xhtml+xml;q=0.9,image/*;q=0.8,*/*;q=0.1";
const ACCEPT_OEMBED: &str = "application/json";

/// Bounds of unfurling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnfurlConfig {
    /// Bytes of a page that are read, before and after decompression. What it says of itself stands at its beginning.
    pub page_bytes_max: usize,
    /// How long what is shown of a page is kept.
    #[serde(with = "humantime_serde")]
    pub cache_ttl: Duration,
    /// How long it is kept that a page shows nothing.
    #[serde(with = "humantime_serde")]
    pub nothing_ttl: Duration,
    /// Memory for what is kept.
    pub cache_bytes_max: u64,
    /// Tries of a page that cannot be reached or answers 5xx; then it is a dead letter.
    pub tries_max: u32,
    /// Links a second that this process looks at, of all teams.
    pub per_second: NonZeroU32,
    /// Links a second that this process looks at, of one team, and twice as many at once. More wait for their turn, and keep no
    /// other team waiting.
    pub team_per_second: NonZeroU32,
}

impl Default for UnfurlConfig {
    fn default() -> Self {
        Self {
            // Heads of heavy pages have half a megabyte of scripts before their description.
            page_bytes_max: 1024 * 1024,
            cache_ttl: Duration::from_secs(30 * 60),
            // A page that was wrong a moment ago may have been put right.
            nothing_ttl: Duration::from_secs(5 * 60),
            // Some ten thousand pages.
            cache_bytes_max: 32 * 1024 * 1024,
            // Within half a minute: who reads the message later does not miss what is not there.
            tries_max: 5,
            per_second: const { NonZeroU32::new(JobBudget::RATE.per_second).unwrap() },
            team_per_second: const { NonZeroU32::new(JobBudget::TEAM_RATE.per_second).unwrap() },
        }
    }
}

/// The outcome of looking at a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The page can be shown.
    Preview(Preview),
    /// The page is not shown, for this reason. Another try would give the same.
    Nothing(String),
}

/// Fetches pages and says what is shown of them. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Unfurler {
    egress: Egress,
    config: Arc<UnfurlConfig>,
    cache: Cache<String, Arc<Found>>,
}

impl Unfurler {
    /// Nothing is fetched before it is asked for.
    pub fn new(egress: Egress, config: UnfurlConfig) -> Self {
        let cache = Cache::builder()
            .max_capacity(config.cache_bytes_max)
            .weigher(|url: &String, found: &Arc<Found>| {
                let bytes = match &**found {
                    Found::Preview(preview) => preview.bytes(),
                    Found::Nothing(why) => why.len() + size_of::<Found>(),
                };
                u32::try_from(url.len() + bytes).unwrap_or(u32::MAX)
            })
            .expire_after(Lifetimes { shown: config.cache_ttl, nothing: config.nothing_ttl })
            .build();
        Self { egress, config: Arc::new(config), cache }
    }

    /// The bounds.
    pub fn config(&self) -> &UnfurlConfig {
        &self.config
    }

    /// Returns what is shown of `url`. Those who ask at once for one page share one fetch. An error is temporary: it is
    /// not kept, and another try may succeed.
    pub async fn preview(&self, url: &Url) -> Result<Arc<Found>, EgressError> {
        let mut url = url.clone();
        url.set_fragment(None);
        let found = self.cache.try_get_with_by_ref(url.as_str(), async {
            match self.look_at(&url).await {
                Ok(found) => Ok(Arc::new(found)),
                Err(error) if error.is_temporary() => Err(error),
                Err(error) => Ok(Arc::new(Found::Nothing(error.to_string()))),
            }
        });
        found.await.map_err(|error| EgressError::clone(&error))
    }

    async fn look_at(&self, url: &Url) -> Result<Found, EgressError> {
        let page_bytes_max = self.config.page_bytes_max;
        let wanted = move |head: &Head| if is_page(head) { page_bytes_max } else { 0 };
        let fetched = self.egress.get(url, ACCEPT_PAGE, wanted).await?;
        if is_image(&fetched.head) {
            let image = Preview::of_image(url, fetched.head.content_length, &|url| self.egress.admits(url));
            return Ok(image.map_or_else(|| nothing("address too long"), Found::Preview));
        }
        if !is_page(&fetched.head) {
            return Ok(nothing("neither a page nor an image"));
        }
        let Some((facts, final_url)) = read(fetched).await else { return Ok(nothing("cannot be read")) };
        let oembed = match facts.oembed.as_deref().and_then(|address| final_url.join(address).ok()) {
            Some(address) => self.oembed(&address).await,
            None => None,
        };
        let preview = Preview::of_page(facts, oembed, &final_url, &|url| self.egress.admits(url));
        Ok(preview.map_or_else(|| nothing("has no title"), Found::Preview))
    }

    /// Fetches a page's oEmbed document. Without it the page is shown as it describes itself.
    async fn oembed(&self, address: &Url) -> Option<Oembed> {
        let wanted = |head: &Head| {
            if head.media_type().ends_with("json") || head.media_type() == "application/json+oembed" {
                OEMBED_BYTES_MAX
            } else {
                0
            }
        };
        let fetched = self.egress.get(address, ACCEPT_OEMBED, wanted).await.ok()?;
        oembed::read(&fetched.body)
    }
}

fn nothing(why: &str) -> Found {
    Found::Nothing(why.to_owned())
}

fn is_page(head: &Head) -> bool {
    ["text/html", "application/xhtml+xml"].contains(&head.media_type().as_str())
}

/// Images that every client shows. Not SVG, which is a document with scripts.
fn is_image(head: &Head) -> bool {
    ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"].contains(&head.media_type().as_str())
}

/// Decodes and reads a page on a thread of its own, since it takes milliseconds. `None` if that panicked.
async fn read(fetched: Fetched) -> Option<(PageFacts, Url)> {
    let reading = tokio::task::spawn_blocking(move || {
        let html = charset::decode(&fetched.body, fetched.head.content_type.as_deref());
        (page::read(&html), fetched.head.url)
    });
    reading.await.ok()
}

/// How long each kind of answer is kept.
struct Lifetimes {
    shown: Duration,
    nothing: Duration,
}

impl Expiry<String, Arc<Found>> for Lifetimes {
    fn expire_after_create(&self, _url: &String, found: &Arc<Found>, _now: Instant) -> Option<Duration> {
        Some(match &**found {
            Found::Preview(_) => self.shown,
            Found::Nothing(_) => self.nothing,
        })
    }
}
