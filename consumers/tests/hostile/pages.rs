//! Unfurling, from a link to an attachment, against honest and hostile pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teamlog_consumers::egress::{Egress, EgressError};
use teamlog_consumers::unfurl::{Found, Kind, UnfurlConfig, Unfurler};
use teamlog_ingest::Link;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use url::Url;

use crate::site::{PUBLIC, Site, guarded, ok, open, redirect_to};

fn unfurler(egress: Egress) -> Unfurler {
    Unfurler::new(egress, UnfurlConfig::default())
}

async fn attachment(unfurler: &Unfurler, url: &Url) -> Result<Value, String> {
    match &*unfurler.preview(url).await.map_err(|error| error.to_string())? {
        Found::Preview(preview) => Ok(preview.attachment(&Link { url: url.clone(), original: url.to_string() })),
        Found::Nothing(why) => Err(why.clone()),
    }
}

async fn title(content_type: &str, body: &[u8]) -> Result<String, String> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len());
    let site = Site::fixed("127.0.0.1", [head.as_bytes(), body].concat()).await;
    attachment(&unfurler(open()), &site.url("/")).await.map(|found| found["title"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_page_is_shown_as_it_describes_itself_and_as_its_oembed_does() {
    let page = r#"<!doctype html><title>plain</title><meta property=og:title content="Caf&eacute; &lt;!channel&gt;">
        <meta property=og:description content="one
        two"><meta property=og:site_name content=Site><meta property=og:image content=/i.png>
        <link rel=alternate type=application/json+oembed href="/oembed?format=json">"#;
    let oembed = r#"{"version":"1.0","type":"rich","title":"not used","author_name":"Ada","author_url":"/ada","html":"<script>x</script>"}"#;
    let site = Site::pages(
        "127.0.0.1",
        &[
            ("/page", ok("text/html", page)),
            ("/moved", redirect_to("/page")),
            ("/oembed?format=json", ok("application/json", oembed)),
        ],
    )
    .await;
    let found = attachment(&unfurler(open()), &site.url("/moved#part")).await.unwrap();
    let (from, at) = (site.url("/moved#part").to_string(), site.address);
    assert_eq!(
        found,
        json!({
            "from_url": from, "original_url": from, "service_name": "Site", "author_name": "Ada",
            "author_link": format!("http://{at}/ada"), "title": "Café &lt;!channel&gt;", "title_link": from,
            "text": "one two", "fallback": "Site: Café &lt;!channel&gt;", "thumb_url": format!("http://{at}/i.png"),
        })
    );
}

#[tokio::test]
async fn an_image_is_shown_without_being_fetched() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 12345678\r\n\r\n";
    let site = Site::fixed("127.0.0.1", head).await;
    let found = unfurler(open()).preview(&site.url("/i.png")).await.unwrap();
    let Found::Preview(preview) = &*found else { panic!("{found:?}") };
    assert_eq!(preview.kind, Kind::Media);
    let url = site.url("/i.png");
    let shown = preview.attachment(&Link { url: url.clone(), original: url.to_string() });
    let url = url.as_str();
    assert_eq!(
        shown,
        json!({"from_url": url, "original_url": url, "fallback": "image", "image_url": url, "image_bytes": 12345678})
    );
}

#[tokio::test]
async fn text_comes_out_whatever_encoding_it_claims() {
    let check = async |content_type: &str, body: &[u8], expected: &str| {
        assert_eq!(title(content_type, body).await.as_deref(), Ok(expected), "{content_type}");
    };
    check("text/html", "<title>Grüße</title>".as_bytes(), "Grüße").await;
    check("text/html; charset=iso-8859-1", b"<title>Gr\xfc\xdfe</title>", "Grüße").await;
    check("text/html", b"<meta charset=shift_jis><title>\x82\xb1\x82\xf1</title>", "こん").await;
    check("TEXT/HTML;charset=no-such", "<title>Grüße</title>".as_bytes(), "Grüße").await;
    check("text/html; charset=utf-8", b"<title>Gr\xfc\xdfe</title>", "Gr\u{fffd}\u{fffd}e").await;
    check("text/html; charset=utf-16le", b"<\0t\0i\0t\0l\0e\0>\0a\0", "a").await;
}

#[tokio::test]
async fn broken_and_empty_pages_give_a_title_or_a_reason() {
    assert_eq!(title("text/html", b"<title>never closed").await.unwrap(), "never closed");
    assert_eq!(title("text/html", b"</p><<html><title x=\"'>\">a</title").await.unwrap(), "a&lt;/title");
    for nothing in [&b""[..], b"<p>no title", b"\0\0\0", b"\xff\xfe", b"<title> &#x202e; </title>", &[0xff; 300_000]] {
        assert_eq!(title("text/html", nothing).await.unwrap_err(), "has no title");
    }
    for other in ["application/pdf", "text/plain", "image/svg+xml", "", "text/htmlx", "\u{fffd}", "application/json"] {
        assert_eq!(title(other, b"<title>a</title>").await.unwrap_err(), "neither a page nor an image", "{other}");
    }
}

#[tokio::test]
async fn what_a_page_names_is_checked_like_the_page() {
    let inside = Site::fixed("127.0.0.1", ok("application/json", r#"{"title":"secret","author_name":"secret"}"#)).await;
    let page = format!(
        r#"<title>T</title><link rel=alternate type=application/json+oembed href="{}">
        <meta property=og:image content="http://169.254.169.254/i.png"><meta name=twitter:image content="javascript:x">"#,
        inside.url("/oembed")
    );
    let site = Site::fixed(PUBLIC, ok("text/html", &page)).await;
    let found = attachment(&unfurler(guarded(Arc::default())), &site.url("/")).await.unwrap();
    let url = site.url("/").to_string();
    assert_eq!(found, json!({"from_url": url, "original_url": url, "title": "T", "title_link": url, "fallback": "T"}));
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_page_is_fetched_once_in_its_time() {
    let healthy = Arc::new(AtomicBool::new(false));
    // An answer takes a permit, so the test says when it may go out.
    let answers = Arc::new(Semaphore::new(2));
    let (is_healthy, may_answer) = (healthy.clone(), answers.clone());
    let site = Site::serve("127.0.0.1", move |path, mut stream| {
        let (healthy, may_answer) = (is_healthy.load(Ordering::SeqCst), may_answer.clone());
        async move {
            let answer = match path.as_str() {
                "/none" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                _ if healthy => ok("text/html", "<title>well</title>"),
                _ => "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned(),
            };
            may_answer.acquire().await.unwrap().forget();
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let unfurler = unfurler(open());
    // A failure is not kept.
    for tries in 1..=2 {
        let failed = unfurler.preview(&site.url("/a")).await.unwrap_err();
        assert_eq!(failed, EgressError::Status { status: 500, retry_after: None });
        assert_eq!(site.connections(), tries);
    }
    // All who ask at once, and later, share one fetch; so do links to parts of the page.
    healthy.store(true, Ordering::SeqCst);
    let asking: Vec<_> = (0..20)
        .map(|n| {
            let (unfurler, url) = (unfurler.clone(), site.url(&format!("/a#{n}")));
            tokio::spawn(async move { attachment(&unfurler, &url).await.unwrap()["title"].clone() })
        })
        .collect();
    // On one thread: once the fetch has reached the site, all of them wait for it.
    while site.connections() < 3 {
        tokio::task::yield_now().await;
    }
    answers.add_permits(100);
    for one in asking {
        assert_eq!(one.await.unwrap(), "well");
    }
    assert_eq!(site.connections(), 3);
    // A page with nothing to show is kept too.
    for _ in 0..3 {
        assert_eq!(attachment(&unfurler, &site.url("/none")).await.unwrap_err(), "status 404");
        assert_eq!(attachment(&unfurler, &site.url("/a")).await.unwrap()["title"], "well");
    }
    assert_eq!(site.connections(), 4);
    // Each kind is kept for its own time, and no longer.
    let short = Duration::from_millis(100);
    for (lifetimes, forgotten, kept) in [
        (UnfurlConfig { nothing_ttl: short, ..UnfurlConfig::default() }, "/none", "/a"),
        (UnfurlConfig { cache_ttl: short, ..UnfurlConfig::default() }, "/a", "/none"),
    ] {
        let unfurler = Unfurler::new(open(), lifetimes);
        let _ = unfurler.preview(&site.url(kept)).await;
        fetched_again(&unfurler, &site, forgotten).await;
        let before = site.connections();
        let _ = unfurler.preview(&site.url(kept)).await;
        assert_eq!(site.connections(), before, "{kept} is kept longer");
    }
}

/// Asks for a page until it is fetched anew: its time in the cache is over.
async fn fetched_again(unfurler: &Unfurler, site: &Site, path: &str) {
    let _ = unfurler.preview(&site.url(path)).await;
    let (before, began) = (site.connections(), Instant::now());
    while site.connections() == before {
        assert!(began.elapsed() < Duration::from_secs(30), "{path} is kept for ever");
        let _ = unfurler.preview(&site.url(path)).await;
        tokio::task::yield_now().await;
    }
}
