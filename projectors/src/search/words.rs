//! Words: how text is cut into them, what a query asks of them, and how what was found is marked.

use std::{collections::HashMap, ops::Range};

use tantivy::tokenizer::{
    AsciiFoldingFilter, LowerCaser, RemoveLongFilter, TextAnalyzer, Token, TokenStream, Tokenizer,
};

/// The longest word that is indexed, in bytes: longer ones are somebody's base64.
const WORD_BYTES_MAX: usize = 200;
/// Stands before a word that was found, as Slack marks it.
const MARK_BEGINS: char = '\u{e000}';
/// Stands behind it.
const MARK_ENDS: char = '\u{e001}';
/// Empty places between two pieces of a message, so that no phrase reaches from one into the next.
const PIECES_APART: usize = 1;

/// Cuts text into words, in lower case and without accents.
pub(super) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(Cutter::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// Runs of letters and digits; a sign of a script that is written without spaces, or an emoji, is a word of its own,
/// so that several of them are a phrase.
#[derive(Clone, Default)]
struct Cutter {
    token: Token,
}

struct Cut<'a> {
    text: &'a str,
    at: usize,
    token: &'a mut Token,
}

impl Tokenizer for Cutter {
    type TokenStream<'a> = Cut<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Cut<'a> {
        self.token.reset();
        Cut { text, at: 0, token: &mut self.token }
    }
}

fn stands_alone(sign: char) -> bool {
    matches!(u32::from(sign),
        0x2600..=0x27bf | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff
        | 0x1f000..=0x1faff | 0x20000..=0x3ffff)
}

fn belongs_to_word(sign: char) -> bool {
    sign.is_alphanumeric() && !stands_alone(sign)
}

impl TokenStream for Cut<'_> {
    fn advance(&mut self) -> bool {
        while let Some(first) = self.text[self.at..].chars().next() {
            let rest = &self.text[self.at..];
            // The three that Slack's markup escapes are no words.
            if let Some(escape) = ["&amp;", "&lt;", "&gt;"].iter().find(|escape| rest.starts_with(**escape)) {
                self.at += escape.len();
                continue;
            }
            let len = if belongs_to_word(first) {
                rest.find(|sign| !belongs_to_word(sign)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            let from = self.at;
            self.at += len;
            if belongs_to_word(first) || stands_alone(first) {
                let token = &mut *self.token;
                token.position = token.position.wrapping_add(1);
                (token.offset_from, token.offset_to) = (from, self.at);
                token.text.clear();
                token.text.push_str(&rest[..len]);
                return true;
            }
        }
        false
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// A condition of a query on a message's words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clause {
    /// A single word, or the words of a phrase. Each has its distance from the first, in words.
    pub(super) terms: Vec<(usize, String)>,
    /// True if a message must not contain it.
    pub(super) negated: bool,
}

/// Parses the words of a query. None if they are not empty, but contain nothing that the tokenizer keeps.
pub(super) fn clauses(words: &str) -> Option<Vec<Clause>> {
    let words = words.replace(['“', '”', '„'], "\"");
    let mut rest = words.trim_start();
    let mut clauses = Vec::new();
    let mut analyzer = analyzer();
    let is_empty = rest.is_empty();
    while !rest.is_empty() {
        let negated = rest.len() > 1 && rest.starts_with('-') && !rest[1..].starts_with(char::is_whitespace);
        rest = rest.strip_prefix('-').filter(|_| negated).unwrap_or(rest);
        let (one, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(|sign: char| sign.is_whitespace() || sign == '"').unwrap_or(rest.len())),
        };
        let mut terms = Vec::new();
        let mut stream = analyzer.token_stream(one);
        while stream.advance() {
            terms.push((stream.token().position, stream.token().text.clone()));
        }
        if let Some((first, _)) = terms.first().cloned() {
            terms.iter_mut().for_each(|(position, _)| *position -= first);
            clauses.push(Clause { terms, negated });
        }
        rest = behind.trim_start();
    }
    (is_empty || !clauses.is_empty()).then_some(clauses)
}

/// The words of one message, each with its places.
pub(super) struct Words {
    places: HashMap<String, Vec<usize>>,
    /// The number of words, repetitions included.
    pub(super) len: usize,
}

impl Words {
    /// Tokenizes the pieces of a message.
    pub(super) fn of(pieces: &[String], analyzer: &mut TextAnalyzer) -> Words {
        let mut words = Words { places: HashMap::new(), len: 0 };
        let mut begins = 0;
        for piece in pieces {
            let mut stream = analyzer.token_stream(piece);
            let mut ends = begins;
            while stream.advance() {
                let token = stream.token();
                let place = begins + token.position;
                words.places.entry(token.text.clone()).or_default().push(place);
                words.len += 1;
                ends = place + 1;
            }
            begins = ends + PIECES_APART;
        }
        words
    }

    /// How often a word or phrase occurs.
    pub(super) fn count(&self, clause: &Clause) -> usize {
        self.begins(clause).count()
    }

    /// Where each occurrence begins.
    fn begins<'a>(&'a self, clause: &'a Clause) -> impl Iterator<Item = usize> + 'a {
        let first = clause.terms.first().and_then(|(_, term)| self.places.get(term));
        let is_at = move |begins: &usize| {
            clause.terms.iter().all(|(distance, term)| {
                self.places.get(term).is_some_and(|places| places.binary_search(&(begins + distance)).is_ok())
            })
        };
        first.into_iter().flatten().copied().filter(is_at)
    }
}

/// Marks the matches of a query's words in a text: U+E000 before, U+E001 after, as Slack does. The targets of links and
/// mentions are not marked.
pub fn highlight(words: &str, text: &str) -> String {
    let clauses = clauses(words).unwrap_or_default();
    let mut analyzer = analyzer();
    // Long words leave no token but keep their place, so places are looked up among the tokens that are there.
    let mut places: HashMap<usize, Range<usize>> = HashMap::new();
    {
        let mut stream = analyzer.token_stream(text);
        while stream.advance() {
            places.insert(stream.token().position, stream.token().offset_from..stream.token().offset_to);
        }
    }
    let found = Words::of(&[text.to_owned()], &mut analyzer);
    let hidden = targets(text);
    let mut marked: Vec<Range<usize>> = Vec::new();
    for clause in clauses.iter().filter(|clause| !clause.negated) {
        let last = clause.terms.last().map_or(0, |(distance, _)| *distance);
        for begins in found.begins(clause) {
            let (Some(first), Some(last)) = (places.get(&begins), places.get(&(begins + last))) else { continue };
            let span = first.start..last.end;
            if !hidden.iter().any(|target| target.start < span.end && span.start < target.end) {
                marked.push(span);
            }
        }
    }
    marked.sort_unstable_by_key(|span| (span.start, span.end));
    let mut out = String::with_capacity(text.len() + marked.len() * 6);
    let mut at = 0;
    for span in joined(marked) {
        out.push_str(&text[at..span.start]);
        out.push(MARK_BEGINS);
        out.push_str(&text[span.start..span.end]);
        out.push(MARK_ENDS);
        at = span.end;
    }
    out.push_str(&text[at..]);
    out
}

/// Spans that overlap as one; they come in order.
fn joined(spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// Returns the ranges of the targets in `<...>`, up to a `|`: a link's address, a mention's id.
fn targets(text: &str) -> Vec<Range<usize>> {
    let mut targets = Vec::new();
    let mut at = 0;
    while let Some(begins) = text[at..].find('<').map(|found| at + found) {
        let Some(ends) = text[begins..].find(['>', '|']).map(|found| begins + found) else { break };
        targets.push(begins..ends);
        at = ends;
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut analyzer = analyzer();
        let mut stream = analyzer.token_stream(text);
        let mut words = Vec::new();
        while stream.advance() {
            words.push(stream.token().text.clone());
        }
        words
    }

    #[test]
    fn text_is_cut_into_words() {
        assert_eq!(words("Café, a-b &amp; <http://x.io|X>"), ["cafe", "a", "b", "http", "x", "io", "x"]);
        assert_eq!(words("東京 ok🦉!"), ["東", "京", "ok", "🦉"]);
        assert!(words(&"x".repeat(300)).is_empty());
    }

    #[test]
    fn a_query_is_taken_apart() {
        let clause = |terms: &[&str], negated| Clause {
            terms: terms.iter().enumerate().map(|(at, term)| (at, (*term).to_owned())).collect(),
            negated,
        };
        let asked = clauses(r#"Deploy "the new  thing" -old -"very old" foo-bar"#).unwrap();
        let expected = [
            clause(&["deploy"], false),
            clause(&["the", "new", "thing"], false),
            clause(&["old"], true),
            clause(&["very", "old"], true),
            clause(&["foo", "bar"], false),
        ];
        assert_eq!(asked, expected);
        assert_eq!(clauses("  "), Some(Vec::new()));
        assert_eq!(clauses("- & \"\""), None);
        assert_eq!(clauses("\"open end").unwrap(), [clause(&["open", "end"], false)]);
    }

    #[test]
    fn what_was_found_is_marked() {
        let check = |query: &str, text: &str, expected: &str| {
            let marked = highlight(query, text).replace(MARK_BEGINS, "[").replace(MARK_ENDS, "]");
            assert_eq!(marked, expected, "{query}");
        };
        check("cafe -the", "the Café, cafés", "the [Café], cafés");
        check("\"b c\" c", "a b c d c", "a [b c] d [c]");
        check("x", "<http://x.io|x marks> x", "<http://x.io|[x] marks> [x]");
        check("", "nothing", "nothing");
    }
}
