//! Turns the bytes of a page into text.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::page;

/// Bytes of a page's beginning in which it may name its own encoding. The HTML standard says 1,024; pages do so later too.
const PRESCAN_BYTES: usize = 4_096;

/// Decodes by, in this order: a byte order mark, the `Content-Type` header, the page's own `<meta>`, and else UTF-8 if it
/// is that, or windows-1252. Bytes that are wrong in that encoding become U+FFFD; a name of no encoding is passed over.
/// Source: the HTML standard, "Determining the character encoding".
pub(super) fn decode(body: &[u8], content_type: Option<&str>) -> String {
    let (encoding, body) = match Encoding::for_bom(body) {
        Some((encoding, mark)) => (encoding, &body[mark..]),
        None => (content_type.and_then(named).or_else(|| of_meta(body)).unwrap_or_else(|| guess(body)), body),
    };
    encoding.decode_without_bom_handling(body).0.into_owned()
}

/// Reads the parameter `charset` of a content type.
fn named(content_type: &str) -> Option<&'static Encoding> {
    let at = content_type.to_ascii_lowercase().find("charset")?;
    let value = content_type.get(at + "charset".len()..)?.trim_start().strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(|c: char| c.is_whitespace() || "\"';,".contains(c)).unwrap_or(value.len());
    Encoding::for_label(&value.as_bytes()[..end])
}

fn of_meta(body: &[u8]) -> Option<&'static Encoding> {
    let beginning = &body[..body.len().min(PRESCAN_BYTES)];
    // An encoding in which the tag can be read at all agrees with this one on ASCII.
    let facts = page::read(&WINDOWS_1252.decode_without_bom_handling(beginning).0);
    let label = facts.charset.or_else(|| facts.http_equiv_content_type.as_deref().and_then(charset_of))?;
    let encoding = Encoding::for_label(label.trim().as_bytes())?;
    // The tag was read a byte a character, so the page is not in UTF-16.
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

fn charset_of(content_type: &str) -> Option<String> {
    named(content_type).map(|encoding| encoding.name().to_owned())
}

fn guess(body: &[u8]) -> &'static Encoding {
    match std::str::from_utf8(body) {
        Ok(_) => UTF_8,
        // Cut in the middle of a character.
        Err(error) if error.error_len().is_none() => UTF_8,
        Err(_) => WINDOWS_1252,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &[u8], content_type: Option<&str>, expected: &str) {
        let found = decode(body, content_type);
        assert!(found.contains(expected), "{content_type:?}: {found:?} has no {expected:?}");
    }

    #[test]
    fn the_first_that_names_an_encoding_is_believed() {
        check("ö".as_bytes(), None, "ö");
        check(b"\xf6", None, "ö");
        check(b"\xf6", Some("text/html; charset=iso-8859-1"), "ö");
        check(b"\xcf\xf0\xe8\xe2\xe5\xf2", Some("text/html;Charset=\"Windows-1251\""), "Привет");
        check(b"\x82\xb1\x82\xf1", Some("text/html; charset='Shift_JIS'; x=y"), "こん");
        check(b"<meta charset=windows-1251>\xcf\xf0", None, "Пр");
        check(b"<meta http-equiv=content-type content='text/html; charset=koi8-r'>\xf0", None, "П");
        check(b"<meta charset=windows-1251>\xc3\xb6", Some("text/html; charset=utf-8"), "ö");
        check(b"\xef\xbb\xbf\xc3\xb6", Some("text/html; charset=windows-1251"), "ö");
        check(b"\xff\xfe\xf6\x00", None, "ö");
        check(b"<meta charset=utf-16>\xc3\xb6", None, "ö");
        // Labels that name nothing, or an encoding that is not text.
        for label in ["no-such", "utf-7", "", "=", "\u{fffd}", "charset"] {
            check("ö".as_bytes(), Some(&format!("text/html; charset={label}")), "ö");
        }
        // Wrong: still text.
        check(b"\xf6x", Some("text/html; charset=utf-8"), "\u{fffd}x");
        check(&[b"ok ".as_slice(), &"ö".as_bytes()[..1]].concat(), None, "ok ");
    }
}
