//! No `match` over several events with an arm for all others: an event that is added would go by it without a word. What every
//! event can be asked is [`Fact`](teamlog_schemas::Fact)'s; a `match` elsewhere names one event, or all of them.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    ExprMatch, Macro, Pat,
    visit::{self, Visit},
};

/// Events that a `match` with an arm for all others may name.
const NAMED_MAX: usize = 1;

/// The lines of a file on which such a `match`, or a `matches!` of several events, begins.
pub(crate) fn wildcards(file: &Path) -> Vec<usize> {
    let text = std::fs::read_to_string(file).unwrap();
    wildcards_in(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn wildcards_in(text: &str) -> syn::Result<Vec<usize>> {
    let mut looking = Looking { lines: Vec::new() };
    looking.visit_file(&syn::parse_file(text)?);
    Ok(looking.lines)
}

struct Looking {
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Looking {
    fn visit_expr_match(&mut self, found: &'ast ExprMatch) {
        let mut named = Named(0);
        found.arms.iter().for_each(|arm| named.visit_pat(&arm.pat));
        let takes_all = found.arms.iter().any(|arm| matches!(arm.pat, Pat::Wild(_) | Pat::Ident(_)));
        if takes_all && named.0 > NAMED_MAX {
            self.lines.push(found.match_token.span.start().line);
        }
        visit::visit_expr_match(self, found);
    }

    fn visit_macro(&mut self, found: &'ast Macro) {
        if found.path.is_ident("matches") && events_in(found.tokens.clone()) > NAMED_MAX {
            let name = found.path.segments.first();
            self.lines.extend(name.map(|name| name.ident.span().start().line));
        }
    }
}

/// Counts the paths `Event::..` of patterns.
struct Named(usize);

impl<'ast> Visit<'ast> for Named {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let before_last = path.segments.iter().rev().nth(1);
        self.0 += usize::from(before_last.is_some_and(|segment| segment.ident == "Event"));
    }
}

/// Counts the paths `Event::..` among tokens.
fn events_in(tokens: TokenStream) -> usize {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is_event = |two: &[TokenTree]| {
        let [TokenTree::Ident(name), TokenTree::Punct(colon)] = two else { return false };
        name == "Event" && colon.as_char() == ':'
    };
    let inside = tokens.iter().map(|token| match token {
        TokenTree::Group(group) => events_in(group.stream()),
        TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => 0,
    });
    tokens.windows(2).filter(|two| is_event(two)).count() + inside.sum::<usize>()
}

#[test]
fn it_sees_what_it_looks_for() {
    let text = "
        fn a(event: &Event) {
            match event { Event::A(_) | Event::B(_) => {}, _ => {} }
            match event { schemas::Event::A(_) => {}, Event::B(_) => {}, other => {} }
            match event { Event::A(_) => {}, _ => {} }
            match event { Event::A(_) | Event::B(_) => {} }
            match (event, 1) { (Event::A(_), 1) | (Event::B(_), _) => {}, _ => {} }
            let _ = matches!(event, Event::A(_) | Event::B(_));
            let _ = matches!(event, Event::A(_));
            match other { Other::A | Other::B => {}, _ => {} }
        }
    ";
    assert_eq!(wildcards_in(text).unwrap(), [3, 4, 7, 8]);
}
