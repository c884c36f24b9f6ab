//! Chooses, from what a page says of itself, what is shown of it.

use serde_json::{Map, Value, json};
use teamlog_ingest::Link;
use url::Url;

use super::oembed::{Oembed, Picture};
use super::page::PageFacts;
use super::text::clean;

/// Characters of a title.
const TITLE_CHARS_MAX: usize = 300;
/// Characters of a description: some five lines.
const TEXT_CHARS_MAX: usize = 700;
/// Characters of the name of a service or an author.
const NAME_CHARS_MAX: usize = 100;
/// Bytes of a URL in an attachment. A longer one is left out: cut, it would lead elsewhere.
const SHOWN_URL_BYTES_MAX: usize = 2_048;
/// Pixels of one side of an image that are believed.
const PIXELS_MAX: u32 = 20_000;

/// Media (an image, a video, a sound) or a page that is mostly text: the flags `unfurl_media` and `unfurl_links` tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Shown unless `unfurl_media` is false.
    Media,
    /// Shown in messages of people, and of apps that ask for it by `unfurl_links`.
    Text,
}

/// A preview of a page, good for every message that links to it. Every text is bounded and escaped; every URL is http or https, and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Which flag decides about it.
    pub kind: Kind,
    service_name: Option<String>,
    author_name: Option<String>,
    author_link: Option<String>,
    title: Option<String>,
    text: Option<String>,
    picture: Option<ShownPicture>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ShownPicture {
    /// Large, below the text; else small, beside it.
    is_large: bool,
    url: String,
    width: Option<u32>,
    height: Option<u32>,
    bytes: Option<u64>,
}

/// Decides whether a URL may be shown as an image's or an author's.
pub(super) type MayShow<'a> = &'a dyn Fn(&Url) -> bool;

impl Preview {
    /// Returns what is shown of an HTML page, or `None` if it has no title. `url` is the page's, after redirects.
    pub(super) fn of_page(facts: PageFacts, oembed: Option<Oembed>, url: &Url, may_show: MayShow<'_>) -> Option<Self> {
        let oembed = oembed.unwrap_or_default();
        let first = |texts: [&Option<String>; 4], max| texts.into_iter().flatten().find_map(|text| clean(text, max));
        let title = first([&facts.og_title, &facts.twitter_title, &oembed.title, &facts.title], TITLE_CHARS_MAX)?;
        let text =
            first([&facts.og_description, &facts.twitter_description, &facts.description, &None], TEXT_CHARS_MAX);
        let service_name = first([&facts.og_site_name, &oembed.provider_name, &None, &None], NAME_CHARS_MAX);
        let author_name = first([&oembed.author_name, &None, &None, &None], NAME_CHARS_MAX);

        let is_moving =
            facts.og_type.as_deref().is_some_and(|kind| kind.starts_with("video") || kind.starts_with("music"))
                || facts.og_video.is_some()
                || facts.twitter_card.as_deref() == Some("player");
        let kind =
            if is_moving || ["photo", "video"].contains(&oembed.kind.as_str()) { Kind::Media } else { Kind::Text };

        let is_large = kind == Kind::Media || facts.twitter_card.as_deref() == Some("summary_large_image");
        let pixels = |digits: &Option<String>| digits.as_deref().and_then(|digits| digits.trim().parse().ok());
        let of_graph = facts.og_image.map(|url| Picture {
            url,
            width: pixels(&facts.og_image_width),
            height: pixels(&facts.og_image_height),
        });
        let of_twitter = facts.twitter_image.map(|url| Picture { url, width: None, height: None });
        let picture = [oembed.photo, of_graph, of_twitter, oembed.thumbnail]
            .into_iter()
            .flatten()
            .find_map(|picture| shown(picture, is_large, url, may_show));
        Some(Self {
            kind,
            service_name,
            author_link: if author_name.is_some() {
                oembed.author_url.and_then(|raw| shown_url(&raw, url, may_show))
            } else {
                None
            },
            author_name,
            title: Some(title),
            text,
            picture,
        })
    }

    /// Returns what is shown of an image, or `None` if its URL is too long to be.
    pub(super) fn of_image(url: &Url, bytes: Option<u64>, may_show: MayShow<'_>) -> Option<Self> {
        let url = shown_url(url.as_str(), url, may_show)?;
        let picture = ShownPicture { is_large: true, url, width: None, height: None, bytes };
        Some(Self {
            kind: Kind::Media,
            service_name: None,
            author_name: None,
            author_link: None,
            title: None,
            text: None,
            picture: Some(picture),
        })
    }

    /// Returns the attachment that shows this below a message with `link`, but for its number in the message.
    pub fn attachment(&self, link: &Link) -> Value {
        let mut attachment = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                attachment.insert(key.to_owned(), value);
            }
        };
        let text = |value: &Option<String>| value.clone().map(Value::from);
        put("from_url", Some(link.original.clone().into()));
        put("original_url", Some(link.original.clone().into()));
        put("service_name", text(&self.service_name));
        put("author_name", text(&self.author_name));
        put("author_link", text(&self.author_link));
        put("title", text(&self.title));
        put("title_link", self.title.as_ref().map(|_| link.original.clone().into()));
        put("text", text(&self.text));
        put("fallback", Some(self.fallback().into()));
        if let Some(picture) = &self.picture {
            let [url, width, height] = if picture.is_large {
                ["image_url", "image_width", "image_height"]
            } else {
                ["thumb_url", "thumb_width", "thumb_height"]
            };
            put(url, Some(picture.url.clone().into()));
            put(width, picture.width.map(Value::from));
            put(height, picture.height.map(Value::from));
            put("image_bytes", picture.bytes.map(|bytes| json!(bytes)));
        }
        attachment.into()
    }

    fn fallback(&self) -> String {
        match (&self.service_name, &self.title) {
            (Some(service), Some(title)) => format!("{service}: {title}"),
            (None, Some(title)) => title.clone(),
            (_, None) => "image".to_owned(),
        }
    }

    /// About how much memory this takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.service_name, &self.author_name, &self.author_link, &self.title, &self.text];
        texts.into_iter().flatten().map(String::len).sum::<usize>()
            + self.picture.as_ref().map_or(0, |picture| picture.url.len())
            + size_of::<Self>()
    }
}

fn shown(picture: Picture, is_large: bool, base: &Url, may_show: MayShow<'_>) -> Option<ShownPicture> {
    let believed = |pixels: Option<u32>| pixels.filter(|pixels| (1..=PIXELS_MAX).contains(pixels));
    Some(ShownPicture {
        is_large,
        url: shown_url(&picture.url, base, may_show)?,
        // Both or neither: one alone says nothing of the shape.
        width: believed(picture.width).filter(|_| believed(picture.height).is_some()),
        height: believed(picture.height).filter(|_| believed(picture.width).is_some()),
        bytes: None,
    })
}

fn shown_url(raw: &str, base: &Url, may_show: MayShow<'_>) -> Option<String> {
    let url = base.join(raw.trim()).ok().filter(|url| url.as_str().len() <= SHOWN_URL_BYTES_MAX)?;
    may_show(&url).then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn base() -> Url {
        Url::parse("https://a.example/dir/page").unwrap()
    }

    fn link() -> Link {
        Link { url: base(), original: "https://a.example/dir/page#x".into() }
    }

    #[test]
    fn the_best_of_what_a_page_says_is_shown() {
        let facts = PageFacts {
            title: some("T"),
            description: some("D"),
            og_title: some("Open <b>&"),
            og_site_name: some("Site"),
            og_image: some("../i.png"),
            og_image_width: some("100"),
            og_image_height: some("50"),
            ..PageFacts::default()
        };
        let preview = Preview::of_page(facts, None, &base(), &|_| true).unwrap();
        assert_eq!(preview.kind, Kind::Text);
        assert_eq!(
            preview.attachment(&link()),
            json!({
                "from_url": "https://a.example/dir/page#x", "original_url": "https://a.example/dir/page#x",
                "service_name": "Site", "title": "Open &lt;b&gt;&amp;", "title_link": "https://a.example/dir/page#x",
                "text": "D", "fallback": "Site: Open &lt;b&gt;&amp;",
                "thumb_url": "https://a.example/i.png", "thumb_width": 100, "thumb_height": 50,
            })
        );
    }

    #[test]
    fn media_is_told_from_text_and_shown_large() {
        let facts = |kind: &str| PageFacts {
            og_title: some("T"),
            og_type: some(kind),
            og_image: some("/i"),
            ..PageFacts::default()
        };
        for kind in ["video.other", "music.song"] {
            let preview = Preview::of_page(facts(kind), None, &base(), &|_| true).unwrap();
            assert_eq!(preview.kind, Kind::Media);
            assert_eq!(preview.attachment(&link())["image_url"], "https://a.example/i");
        }
        assert_eq!(Preview::of_page(facts("article"), None, &base(), &|_| true).unwrap().kind, Kind::Text);
        let oembed = super::super::oembed::read(
            br#"{"type":"video","title":"V","author_name":"A","author_url":"javascript:x","provider_name":"P","thumbnail_url":"/t","thumbnail_width":4,"thumbnail_height":3,"html":"<script>"}"#,
        );
        let may_show = |url: &Url| url.scheme() == "https";
        let preview = Preview::of_page(PageFacts::default(), oembed, &base(), &may_show).unwrap();
        let attachment = preview.attachment(&link());
        assert_eq!(attachment["fallback"], "P: V");
        assert_eq!(attachment["author_name"], "A");
        assert_eq!(attachment.get("author_link"), None);
        assert_eq!(attachment["image_url"], "https://a.example/t");
        assert!(!attachment.to_string().contains("script"));
    }

    #[test]
    fn nothing_is_longer_than_it_may_be() {
        let long = some(&"<".repeat(10_000));
        let facts = PageFacts {
            title: long.clone(),
            description: long.clone(),
            og_site_name: long,
            og_image: some(&format!("/{}", "i".repeat(3_000))),
            twitter_image: some("/short.png"),
            og_image_width: some("99999999999999"),
            ..PageFacts::default()
        };
        let preview = Preview::of_page(facts, None, &base(), &|_| true).unwrap();
        let attachment = preview.attachment(&link());
        assert_eq!(attachment["thumb_url"], "https://a.example/short.png");
        // Each `<` is four bytes.
        assert!(attachment.to_string().len() < 4 * (2 * TITLE_CHARS_MAX + TEXT_CHARS_MAX + 2 * NAME_CHARS_MAX) + 500);
        assert_eq!(
            Preview::of_page(PageFacts { title: some(" \u{200b} "), ..PageFacts::default() }, None, &base(), &|_| true),
            None
        );
        assert_eq!(Preview::of_page(PageFacts::default(), None, &base(), &|_| true), None);
    }
}
