//! Reads from an HTML page what it says of itself.
//!
//! Only the tokenizer of html5ever runs: it knows entities, raw text and every broken form of a tag as browsers do, and it
//! keeps one token at a time. No tree is built, so neither depth nor misnesting costs anything.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, CharacterTokens, EndTag, StartTag, Tag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer,
};

/// Characters of one value that are kept. Longer ones are cut later, by what they are for.
const VALUE_CHARS_MAX: usize = 4_000;
/// Bytes given to the tokenizer at once; between two such pieces the bounds below are looked at.
const PIECE_BYTES: usize = 2_048;
/// Bytes of one tag or comment, after which the page is read no further. A head may hold an icon as a `data:` URL.
const TOKEN_BYTES_MAX: usize = 128 * 1024;
/// Time for one page. A megabyte takes some 10 ms; a tag with thousands of attributes takes the square of their number.
const READ_TIME_MAX: Duration = Duration::from_secs(1);

/// The description that a page gives of itself. Each value is the first that is not empty; none of it is trusted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct PageFacts {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) og_title: Option<String>,
    pub(super) og_description: Option<String>,
    pub(super) og_site_name: Option<String>,
    pub(super) og_type: Option<String>,
    pub(super) og_image: Option<String>,
    pub(super) og_image_width: Option<String>,
    pub(super) og_image_height: Option<String>,
    pub(super) og_video: Option<String>,
    pub(super) twitter_card: Option<String>,
    pub(super) twitter_title: Option<String>,
    pub(super) twitter_description: Option<String>,
    pub(super) twitter_image: Option<String>,
    /// Address of the page's oEmbed document in JSON.
    pub(super) oembed: Option<String>,
    pub(super) charset: Option<String>,
    pub(super) http_equiv_content_type: Option<String>,
}

/// Reads a page, or its beginning: broken, cut and hostile ones too. Bounded in time and memory.
pub(super) fn read(html: &str) -> PageFacts {
    let began = Instant::now();
    let tokenizer = Tokenizer::new(Sink::default(), Default::default());
    let input = BufferQueue::default();
    let (mut rest, mut since_token) = (html, 0);
    while !rest.is_empty() && since_token <= TOKEN_BYTES_MAX && began.elapsed() <= READ_TIME_MAX {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
        rest = after;
        input.push_back(StrTendril::from_slice(piece));
        // It stops after a script, which is not run, and where a page names its encoding, which was decided before.
        while !matches!(tokenizer.feed(&input), html5ever::TokenizerResult::Done) {}
        since_token = if tokenizer.sink.saw_token.take() { 0 } else { since_token + piece.len() };
    }
    if rest.is_empty() {
        tokenizer.end();
    }
    tokenizer.sink.facts.into_inner()
}

#[derive(Default)]
struct Sink {
    facts: RefCell<PageFacts>,
    /// Set by each token; taken by the reader.
    saw_token: Cell<bool>,
    /// Within the page's first title.
    in_title: Cell<bool>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        self.saw_token.set(true);
        match token {
            TagToken(tag) if tag.kind == StartTag => return self.start(&tag),
            TagToken(tag) if tag.kind == EndTag && &*tag.name == "title" => self.in_title.set(false),
            CharacterTokens(text) if self.in_title.get() => {
                let mut facts = self.facts.borrow_mut();
                let title = facts.title.get_or_insert_default();
                let room = VALUE_CHARS_MAX.saturating_sub(title.len());
                title.extend(text.chars().take(room));
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Sink {
    fn start(&self, tag: &Tag) -> TokenSinkResult<()> {
        self.in_title.set(false);
        match &*tag.name {
            "title" => {
                let is_first = self.facts.borrow().title.as_ref().is_none_or(|title| title.trim().is_empty());
                self.in_title.set(is_first);
                TokenSinkResult::RawData(RawKind::Rcdata)
            }
            "meta" => {
                self.meta(tag);
                TokenSinkResult::Continue
            }
            "link" => {
                self.link(tag);
                TokenSinkResult::Continue
            }
            // As a browser without scripts tokenizes them; a tag in there is text.
            "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }

    fn meta(&self, tag: &Tag) {
        let mut facts = self.facts.borrow_mut();
        let facts = &mut *facts;
        keep(&mut facts.charset, attribute(tag, "charset"));
        let content = attribute(tag, "content");
        if attribute(tag, "http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("content-type")) {
            keep(&mut facts.http_equiv_content_type, content);
        }
        // Open Graph says `property`, the others `name`; pages mix them up.
        for name in [attribute(tag, "property"), attribute(tag, "name")].into_iter().flatten() {
            let slot = match name.trim().to_ascii_lowercase().as_str() {
                "description" => &mut facts.description,
                "og:title" => &mut facts.og_title,
                "og:description" => &mut facts.og_description,
                "og:site_name" => &mut facts.og_site_name,
                "og:type" => &mut facts.og_type,
                "og:image" | "og:image:url" | "og:image:secure_url" => &mut facts.og_image,
                "og:image:width" => &mut facts.og_image_width,
                "og:image:height" => &mut facts.og_image_height,
                "og:video" | "og:video:url" | "og:video:secure_url" => &mut facts.og_video,
                "twitter:card" => &mut facts.twitter_card,
                "twitter:title" => &mut facts.twitter_title,
                "twitter:description" => &mut facts.twitter_description,
                "twitter:image" | "twitter:image:src" => &mut facts.twitter_image,
                _ => continue,
            };
            keep(slot, content);
        }
    }

    fn link(&self, tag: &Tag) {
        let has_word = |name, word: &str| {
            attribute(tag, name)
                .is_some_and(|value| value.split_whitespace().any(|part| part.eq_ignore_ascii_case(word)))
        };
        if has_word("type", "application/json+oembed")
            && (has_word("rel", "alternate") || has_word("rel", "alternative"))
        {
            keep(&mut self.facts.borrow_mut().oembed, attribute(tag, "href"));
        }
    }
}

fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    tag.attrs.iter().find(|attribute| &*attribute.name.local == name).map(|attribute| &*attribute.value)
}

fn keep(slot: &mut Option<String>, value: Option<&str>) {
    if let (None, Some(value)) = (&slot, value.map(str::trim))
        && !value.is_empty()
    {
        *slot = Some(value.chars().take(VALUE_CHARS_MAX).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_it_is() {
        let facts = read(
            r#"<!doctype html><html><head><title> A &amp; B
               </title><meta name=description content="plain"><META PROPERTY="og:title" CONTENT="T &quot;q&quot; &#x1F600; &nosuch;">
               <meta property=og:image content=/a.png><meta property="og:image" content="/second.png">
               <link rel="alternate" type="application/json+oembed" href="https://a.example/o?u=1&amp;f=json">
               <script>"<meta property=og:site_name content=evil>"</script><style><title>no</title></style>
               <!-- <meta property=og:site_name content=evil> --><meta name="og:site_name" content="S"></head>
               <body><svg><title>icon</title></svg><textarea><meta property=og:type content=evil></textarea>"#,
        );
        assert_eq!(facts.title.unwrap().trim(), "A & B");
        assert_eq!(facts.description.unwrap(), "plain");
        assert_eq!(facts.og_title.unwrap(), "T \"q\" \u{1F600} &nosuch;");
        assert_eq!(facts.og_image.unwrap(), "/a.png");
        assert_eq!(facts.oembed.unwrap(), "https://a.example/o?u=1&f=json");
        assert_eq!((facts.og_site_name.unwrap().as_str(), facts.og_type), ("S", None));
    }

    #[test]
    fn broken_pages_give_what_can_be_read() {
        let title = |html: &str| read(html).title.unwrap_or_default().trim().to_owned();
        assert_eq!(title("<title>never closed"), "never closed");
        assert_eq!(title("<TITLE\n>a<b>c</b></tItLe >x"), "a<b>c</b>");
        assert_eq!(title("<title></title><title>second</title>"), "second");
        assert_eq!(title("<!-- never closed <title>a</title>"), "");
        assert_eq!(title("<<<title>a</title"), "a</title");
        assert_eq!(title("<title>a\0b</title>"), "a\u{fffd}b");
        assert_eq!(read("<meta property='og:title' content='never closed").og_title, None);
        assert_eq!(read("<meta content='c' property=og:title property=x /=/ =''>").og_title.unwrap(), "c");
        assert_eq!(read(""), PageFacts::default());
        assert_eq!(read(&"\u{0}\u{1}<\u{ffff}>&".repeat(1_000)).title, None);
        assert_eq!(title(&format!("{}<title>deep</title>", "<div><a>".repeat(10_000))), "deep");
        assert_eq!(title(&format!("<title>{}", "x".repeat(1_000_000))).len(), VALUE_CHARS_MAX);
    }

    #[test]
    fn no_page_takes_long() {
        let attributes: String = (0..300_000).map(|n| format!(" a{n:x}")).collect();
        let pages = [
            format!("<p {attributes}>"),
            format!("<p {}><title>late</title>", &attributes[..100_000]).repeat(10),
            format!("<p {}", "a=\"".repeat(500_000)),
            format!("<!--{}", "-".repeat(1_000_000)),
            "&".repeat(1_000_000),
            "&amp".repeat(250_000),
            "<script>".repeat(100_000),
            "<script><!--<script>".repeat(50_000),
            "<![CDATA[".repeat(100_000),
            "<title></title>".repeat(60_000),
            format!("<meta {}>", "content=x property=og:title ".repeat(30_000)),
        ];
        for page in pages {
            let began = Instant::now();
            read(&page);
            // The bound, one piece of the worst kind, and a slow machine.
            assert!(began.elapsed() < 5 * READ_TIME_MAX, "{} took {:?}", &page[..40], began.elapsed());
        }
    }
}
