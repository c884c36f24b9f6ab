//! The links in a message's text.

use url::Url;

/// A link of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The URL without its fragment, so that two links to one page are equal.
    pub url: Url,
    /// The URL as the message has it, unescaped.
    pub original: String,
}

/// Returns the links of a message's text that may be unfurled, in order: `<https://...>`, `<https://...|label>` and bare
/// `https://...`. Two kinds are left out: links in code, and links whose label is a part of the URL after its
/// protocol, for such a label is only a name (`<http://example.com|example.com>`).
/// Source: Slack's page on unfurling, on labels.
pub fn links(text: &str) -> impl Iterator<Item = Link> {
    outside_code(text).into_iter().flat_map(|part| {
        let mut rest = part;
        std::iter::from_fn(move || next(&mut rest)).flatten()
    })
}

/// Splits off the text up to and including the next candidate for a link; `None` at the end of the text. A candidate that
/// is no link gives `Some(None)`.
fn next(rest: &mut &str) -> Option<Option<Link>> {
    let text = *rest;
    let bracket = text.find('<');
    let bare = ["http://", "https://"].iter().filter_map(|scheme| text.find(scheme)).min();
    match (bracket, bare) {
        (None, None) => None,
        (Some(at), bare) if bare.is_none_or(|bare| at < bare) => {
            let inside = &text[at + 1..];
            match inside.find('>') {
                Some(end) => {
                    *rest = &inside[end + 1..];
                    Some(bracketed(&inside[..end]))
                }
                None => {
                    *rest = inside;
                    Some(None)
                }
            }
        }
        (_, Some(at)) => {
            let length =
                text[at..].find(|c: char| c.is_whitespace() || "<>|\"`".contains(c)).unwrap_or(text.len() - at);
            *rest = &text[at + length..];
            // `xhttp://...` is a word.
            let is_word = text[..at].ends_with(|c: char| c.is_alphanumeric());
            Some(if is_word { None } else { link(without_punctuation(&text[at..at + length])) })
        }
        (Some(_), None) => unreachable!("the second arm took it"),
    }
}

/// Reads the text between `<` and `>`.
fn bracketed(inside: &str) -> Option<Link> {
    let (address, label) = match inside.split_once('|') {
        Some((address, label)) => (address, Some(label.trim())),
        None => (inside, None),
    };
    let after_protocol = address.split_once("://")?.1;
    if label.is_some_and(|label| !label.is_empty() && after_protocol.contains(label)) {
        return None;
    }
    link(address)
}

fn link(address: &str) -> Option<Link> {
    let original = address.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let mut url = Url::parse(&original).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.set_fragment(None);
    Some(Link { url, original })
}

/// Cuts the punctuation of the sentence off the end of a bare link.
fn without_punctuation(bare: &str) -> &str {
    let mut bare = bare;
    loop {
        let shorter = bare.trim_end_matches(|c: char| ".,:;!?'*_~".contains(c));
        let shorter = match shorter.strip_suffix([')', ']', '}']) {
            Some(inner) if !inner.contains(['(', '[', '{']) => inner,
            _ => shorter,
        };
        if shorter.len() == bare.len() {
            return bare;
        }
        bare = shorter;
    }
}

/// Returns the parts of a text that are not code: neither between triple backticks nor, in one line, between single ones.
fn outside_code(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        let fence = if rest[at..].starts_with("```") { "```" } else { "`" };
        let after = &rest[at + fence.len()..];
        let end = after.find(fence).filter(|end| fence.len() == 3 || *end > 0 && !after[..*end].contains('\n'));
        parts.push(&rest[..at]);
        rest = end.map_or(after, |end| &after[end + fence.len()..]);
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = links(text).map(|link| link.url.to_string()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn links_are_found_as_they_are_shown() {
        check("", &[]);
        check("see <https://a.example/x?b=1&amp;c=2>", &["https://a.example/x?b=1&c=2"]);
        check(
            "see <https://a.example/|the page>, <http://B.example:80|here>",
            &["https://a.example/", "http://b.example/"],
        );
        check(
            "bare https://a.example/x. And (https://b.example/y), https://c.example/z_(w)!",
            &["https://a.example/x", "https://b.example/y", "https://c.example/z_(w)"],
        );
        // A label that is a part of the address is a name, not a link.
        check("<http://example.com|example.com> <http://example.com/a/b|example.com/a>", &[]);
        check("<http://example.com|http://example.com>", &["http://example.com/"]);
        check("<@U1> <#C1|general> <!channel> <mailto:a@b.example|a> < > <> <a", &[]);
        check(
            "`https://a.example` ```<https://b.example>\nhttps://c.example``` https://d.example",
            &["https://d.example/"],
        );
        check("a ` b https://a.example", &["https://a.example/"]);
        check("a ` b\nhttps://a.example `", &["https://a.example/"]);
        check("<https://a.example/#one> <https://a.example>", &["https://a.example/", "https://a.example/"]);
        check("xhttps://a.example ftp://a.example file:///etc <file:///etc> <javascript:alert(1)>", &[]);
        check("<http://[::1]/> <http://0x7f.1>", &["http://[::1]/", "http://127.0.0.1/"]);
        check("https:// http:// <https://>", &[]);
        // Never slow, whatever stands there: the longest text is 40,000 characters.
        for piece in ["<", "`", "``", "http://", "<http://a|", "(", "https://a.example)"] {
            links(&piece.repeat(40_000 / piece.len())).count();
        }
    }
}
