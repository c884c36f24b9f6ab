//! Bodies that are too long, too slow, compressed to burst, or not HTTP at all.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, FlushCompress};
use teamlog_consumers::egress::EgressError;
use tokio::io::AsyncWriteExt;

use crate::site::{Site, WANTED, get, ok, open, quick};

const GIGABYTE: u64 = 1 << 30;

/// A site that sends `head`, and then `piece` for ever or until `length` bytes are sent. Says how many were.
async fn endless(head: &str, piece: Vec<u8>, length: u64) -> (Site, Arc<AtomicU64>) {
    let (head, sent) = (head.to_owned(), Arc::new(AtomicU64::new(0)));
    let counted = sent.clone();
    let site = Site::serve("127.0.0.1", move |_, mut stream| {
        let (head, piece, counted) = (head.clone(), piece.clone(), counted.clone());
        async move {
            if stream.write_all(head.as_bytes()).await.is_err() {
                return;
            }
            while counted.load(Ordering::SeqCst) < length && stream.write_all(&piece).await.is_ok() {
                counted.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
    })
    .await;
    (site, sent)
}

/// Bytes that the kernel's buffers of a connection on this machine can hold besides.
const BUFFERED_MAX: u64 = 16 << 20;

#[tokio::test]
async fn of_ten_gigabytes_only_what_is_wanted_is_taken() {
    let length = 10 * GIGABYTE;
    let heads = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Encoding: identity\r\n\r\n".to_owned(),
    ];
    for (head, expected) in heads.iter().zip([WANTED, WANTED, 10]) {
        let (site, sent) = endless(head, vec![b'x'; 64 * 1024], length).await;
        let fetched = get(&open(), &site.url("/")).await.unwrap();
        assert_eq!((fetched.body.len(), fetched.truncated), (expected, expected == WANTED), "{head}");
        assert!(sent.load(Ordering::SeqCst) < BUFFERED_MAX);
    }
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend(vec![b'x'; 0x10000]);
    chunk.extend(b"\r\n");
    let (site, sent) = endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, length).await;
    assert_eq!(get(&open(), &site.url("/")).await.unwrap().body.len(), WANTED);
    assert!(sent.load(Ordering::SeqCst) < BUFFERED_MAX);
    // Nothing of it, if nothing is wanted.
    let (site, sent) = endless(&heads[0], vec![b'x'; 64 * 1024], length).await;
    assert!(open().get(&site.url("/"), "*/*", |_| 0).await.unwrap().body.is_empty());
    assert!(sent.load(Ordering::SeqCst) < BUFFERED_MAX);
}

/// A megabyte of zeros as a piece of a deflate stream that can be repeated: it ends at a byte and refers to nothing before.
fn zeros() -> Vec<u8> {
    let mut compress = flate2::Compress::new(Compression::best(), false);
    let mut piece = Vec::with_capacity(64 * 1024);
    compress.compress_vec(&vec![0; 1 << 20], &mut piece, FlushCompress::Full).unwrap();
    piece
}

#[tokio::test]
async fn a_compressed_gigabyte_stays_small() {
    let bombs = [
        ("gzip", [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &zeros().repeat(1_100)].concat()),
        ("deflate", [&b"\x78\x9c"[..], &zeros().repeat(1_100)].concat()),
        ("deflate", zeros().repeat(1_100)),
        ("x-gzip", gzip(&vec![0; 1 << 20]).repeat(1_100)),
    ];
    for (encoding, bomb) in bombs {
        assert!(bomb.len() < 16 << 20);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", bomb.len());
        let site = Site::fixed("127.0.0.1", [head.into_bytes(), bomb].concat()).await;
        let began = Instant::now();
        let fetched = get(&open(), &site.url("/")).await.unwrap();
        assert_eq!((fetched.body.len(), fetched.truncated), (WANTED, true));
        assert!(fetched.body.iter().all(|byte| *byte == 0));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    // Input without output: empty stored blocks, for ever. Bounded by what is received.
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n";
    let (site, sent) = endless(head, b"\0\0\0\xff\xff".repeat(10_000), u64::MAX).await;
    let fetched = get(&open(), &site.url("/")).await.unwrap();
    assert_eq!((fetched.body.len(), fetched.truncated), (0, true));
    assert!(sent.load(Ordering::SeqCst) < BUFFERED_MAX);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_bodies_are_read_as_far_as_they_go() {
    let text = b"<title>compressed</title>".repeat(100);
    let (gzipped, mut zlib, mut raw) = (
        gzip(&text),
        ZlibEncoder::new(Vec::new(), Compression::fast()),
        DeflateEncoder::new(Vec::new(), Compression::fast()),
    );
    zlib.write_all(&text).unwrap();
    raw.write_all(&text).unwrap();
    let whole = Ok(text.len());
    let cases: [(&str, Vec<u8>, Result<usize, EgressError>); 12] = [
        ("gzip", gzipped.clone(), whole.clone()),
        ("GZIP ", gzipped.clone(), whole.clone()),
        ("deflate", zlib.finish().unwrap(), whole.clone()),
        ("deflate", raw.finish().unwrap(), whole.clone()),
        ("gzip", [&gzipped[..], b"trailing"].concat(), whole.clone()),
        ("identity", text.clone(), whole.clone()),
        // It lies: not compressed at all.
        ("gzip", text.clone(), Err(EgressError::BadEncoding)),
        // Not asked for.
        ("br", text.clone(), Err(EgressError::BadEncoding)),
        ("zstd", text.clone(), Err(EgressError::BadEncoding)),
        ("gzip, gzip", gzip(&gzipped), Err(EgressError::BadEncoding)),
        ("gzip\r\nContent-Encoding: gzip", gzip(&gzipped), Err(EgressError::BadEncoding)),
        ("gzip", Vec::new(), Ok(0)),
    ];
    for (encoding, body, expected) in cases {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
        let site = Site::fixed("127.0.0.1", [head.clone().into_bytes(), body].concat()).await;
        assert_eq!(get(&open(), &site.url("/")).await.map(|fetched| fetched.body.len()), expected, "{head}");
    }
}

#[tokio::test]
async fn a_slow_site_is_left_in_time() {
    let trickling = |head: &'static str, piece: &'static str| {
        Site::serve("127.0.0.1", move |_, mut stream| async move {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(piece.as_bytes()).await.is_ok() {
                // The pace of the site is what is tested.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    let sites = [
        trickling("", "").await,
        trickling("HTTP/1.1 200 OK\r\nX: ", "x").await,
        trickling("HTTP/1.1 200 OK\r\n", "X: y\r\n").await,
        trickling("HTTP/1.1 200 OK\r\n\r\n", "x").await,
        trickling("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "x").await,
        trickling("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n").await,
        trickling("", "HTTP/1.1 100 Continue\r\n\r\n").await,
        trickling("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await,
    ];
    let began = Instant::now();
    let fetches = sites.each_ref().map(|site| {
        let url = site.url("/");
        tokio::spawn(async move { get(&open(), &url).await })
    });
    for (n, fetch) in fetches.into_iter().enumerate() {
        let error = fetch.await.unwrap().unwrap_err();
        // Many headers are refused sooner.
        assert!(matches!(error, EgressError::TimedOut | EgressError::BrokenResponse), "{n}: {error}");
        assert!(error.is_temporary());
    }
    assert!(began.elapsed() < quick().total_timeout + Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_slow_redirect_after_another_does_not_begin_the_time_anew() {
    let site = Site::serve("127.0.0.1", |_, mut stream| async move {
        // The site's slowness is what is tested: two redirects are within the time, three are not.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let _ = stream.write_all(crate::site::redirect_to("/more").as_bytes()).await;
    })
    .await;
    let began = Instant::now();
    assert_eq!(get(&open(), &site.url("/")).await.unwrap_err(), EgressError::TimedOut);
    assert!(began.elapsed() < quick().total_timeout + Duration::from_secs(2));
}

#[tokio::test]
async fn what_is_not_http_is_an_error_and_no_more() {
    let long = "x".repeat(200_000);
    for answer in [
        String::new(),
        "garbage\r\n\r\n".into(),
        "SSH-2.0-OpenSSH_9.2\r\n".into(),
        "HTTP/9.9 200 OK\r\n\r\n".into(),
        "HTTP/1.1 99999 OK\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nx".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx".into(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx".into(),
        format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n"),
        format!("HTTP/1.1 200 {long}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1_000)),
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n".into(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".into(),
    ] {
        let site = Site::fixed("127.0.0.1", answer.clone()).await;
        let shown = &answer[..answer.len().min(80)];
        let began = Instant::now();
        match get(&open(), &site.url("/")).await {
            Err(EgressError::BrokenResponse | EgressError::Status { .. }) => {}
            other => panic!("{shown:?}: {other:?}"),
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{shown:?}");
    }
}

#[tokio::test]
async fn statuses_say_whether_to_come_again() {
    let check = async |head: &str, temporary: bool, after: Option<u64>| {
        let site = Site::fixed("127.0.0.1", format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n")).await;
        let error = get(&open(), &site.url("/")).await.unwrap_err();
        assert_eq!((error.is_temporary(), error.retry_after()), (temporary, after.map(Duration::from_secs)), "{head}");
    };
    check("500 Oops", true, None).await;
    check("503 Busy\r\nRetry-After: 120", true, Some(120)).await;
    check("429 Slow down\r\nRetry-After: 99999999999", true, Some(3_600)).await;
    check("503 Busy\r\nRetry-After: -5", true, None).await;
    check("503 Busy\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT", true, None).await;
    check("408 Timeout", true, None).await;
    for refused in ["400 Bad", "401 No", "403 No", "404 No", "410 Gone", "451 No", "304 Same", "300 Many"] {
        check(refused, false, None).await;
    }
    // Nobody listens.
    let url = Site::fixed("127.0.0.1", ok("text/plain", "")).await.url("/");
    tokio::task::yield_now().await;
    let error = get(&open(), &url).await;
    assert!(matches!(error, Err(EgressError::ConnectFailed) | Ok(_)));
}
