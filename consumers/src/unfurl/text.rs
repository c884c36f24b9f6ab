//! Makes what a page says fit for a message.

/// Returns `raw` as one line of at most `chars_max` characters, with `&`, `<` and `>` escaped as message text has them, so
/// that nothing of it is read as a mention or a link. Control characters and those that turn the direction of writing
/// are left out: they can make a text look like another. `None` if nothing is left.
pub(super) fn clean(raw: &str, chars_max: usize) -> Option<String> {
    let mut line = String::new();
    let mut chars = 0;
    let mut pending_space = false;
    for c in raw.chars() {
        if c.is_whitespace() {
            pending_space = chars > 0;
            continue;
        }
        if c.is_control() || is_invisible(c) {
            continue;
        }
        if chars + usize::from(pending_space) >= chars_max {
            line.push('…');
            break;
        }
        if std::mem::take(&mut pending_space) {
            line.push(' ');
            chars += 1;
        }
        match c {
            '&' => line.push_str("&amp;"),
            '<' => line.push_str("&lt;"),
            '>' => line.push_str("&gt;"),
            c => line.push(c),
        }
        chars += 1;
    }
    (!line.is_empty()).then_some(line)
}

/// Directional marks, embeddings, overrides and isolates, and characters without width that are not joiners of a script.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_escaped_line() {
        let check = |raw: &str, expected: Option<&str>| assert_eq!(clean(raw, 10).as_deref(), expected, "{raw:?}");
        check("  a \n\t b\u{a0}c  ", Some("a b c"));
        check("<!channel>", Some("&lt;!channel&gt;"));
        check("&amp; <@U1>", Some("&amp;amp; &lt;@U1…"));
        check("0123456789", Some("0123456789"));
        check("0123456789 ", Some("0123456789"));
        check("0123456789a", Some("0123456789…"));
        check("012345678 9", Some("012345678…"));
        check("a\u{0}\u{1b}[31m\u{202e}b\u{2066}", Some("a[31mb"));
        check("👨‍👩‍👧", Some("👨‍👩‍👧"));
        check(" \n\u{200b} ", None);
        check("", None);
    }
}
