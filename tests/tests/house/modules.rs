//! Which module of a crate uses which, read out of its source: `use` declarations, paths in code and in the arguments of
//! macros, each followed through re-exports to the module that defines what it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The name of a module from its crate's root: empty for the root itself.
pub(crate) type Module = Vec<String>;

/// The sources of one crate, by module.
#[derive(Default)]
pub(crate) struct Crate {
    modules: BTreeMap<Module, Source>,
}

/// The content of one file.
#[derive(Default)]
struct Source {
    /// Names of what stands in it.
    defined: BTreeSet<String>,
    /// Names that `use` brings in, and what they are, as it is written there.
    names: BTreeMap<String, Vec<String>>,
    /// Modules all of whose names `use` brings in.
    globs: BTreeSet<Vec<String>>,
    /// Paths that the file uses. A re-export is none by itself: only whoever takes the name from here uses it.
    paths: BTreeSet<Vec<String>>,
}

impl Crate {
    /// The crate whose files lie under `sources`. Modules that only tests have are left out.
    pub(crate) fn read(sources: &Path) -> Crate {
        let mut found = Crate::default();
        let root = ["lib.rs", "main.rs"].map(|name| sources.join(name)).into_iter().find(|path| path.exists());
        found.add_file(Vec::new(), &root.unwrap_or_else(|| panic!("{}: no root", sources.display())));
        found
    }

    fn add_file(&mut self, module: Module, path: &Path) {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // `a/mod.rs`, `lib.rs` and `main.rs` have their children beside them, `a.rs` in the folder `a`.
        let is_folder = path.file_name().is_some_and(|name| ["mod.rs", "lib.rs", "main.rs"].iter().any(|n| name == *n));
        let folder = if is_folder { path.parent().unwrap().to_owned() } else { path.with_extension("") };
        for child in self.add(module.clone(), &text) {
            let files = [folder.join(format!("{child}.rs")), folder.join(&child).join("mod.rs")];
            let file = files.iter().find(|file| file.exists());
            let file = file.unwrap_or_else(|| panic!("{}: no file of mod {child}", path.display()));
            self.add_file([module.clone(), vec![child]].concat(), file);
        }
    }

    /// Adds the source of one module, and returns the children that lie in other files.
    fn add(&mut self, module: Module, text: &str) -> Vec<String> {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", module.join("::")));
        let mut reading = Reading { source: Source::default(), children: Vec::new(), inline: Vec::new() };
        reading.visit_file(&file);
        self.modules.insert(module, reading.source);
        reading.children
    }

    /// Each use of one module by another, with a path that shows it.
    fn arrows(&self) -> BTreeMap<&Module, BTreeMap<&Module, String>> {
        let mut arrows = BTreeMap::new();
        for (module, source) in &self.modules {
            let mut to: BTreeMap<&Module, String> = BTreeMap::new();
            for path in &source.paths {
                if let Some(target) = self.resolve(module, path, 0).filter(|target| *target != module) {
                    to.entry(target).or_insert_with(|| path.join("::"));
                }
            }
            arrows.insert(module, to);
        }
        arrows
    }

    /// The module that defines what a path names in `from`; none if that is outside of the crate.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<&Module> {
        // A name that two modules re-export from each other would otherwise be followed for ever.
        if depth > 16 {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let child = |module: &Module, name: &str| {
            let child = [module.clone(), vec![name.to_owned()]].concat();
            self.modules.get_key_value(&child).map(|(module, _)| module)
        };
        let mut here = match first.as_str() {
            "crate" => self.modules.get_key_value(&Vec::new())?.0,
            "self" => self.modules.get_key_value(from)?.0,
            "super" => self.modules.get_key_value(&from[..from.len().checked_sub(1)?])?.0,
            name => match child(from, name) {
                Some(module) => module,
                None => return self.by_name(from, name, rest, depth),
            },
        };
        for (at, name) in rest.iter().enumerate() {
            here = match (name.as_str(), child(here, name)) {
                ("super", _) => self.modules.get_key_value(&here[..here.len().checked_sub(1)?])?.0,
                (_, Some(module)) => module,
                // What no `use` brings in, the module itself defines.
                (_, None) => return self.by_name(here, name, &rest[at + 1..], depth).or(Some(here)),
            };
        }
        Some(here)
    }

    /// Resolves a path that begins with a name that `use` brings into `from`.
    fn by_name(&self, from: &Module, name: &str, rest: &[String], depth: usize) -> Option<&Module> {
        let source = &self.modules[from];
        if source.defined.contains(name) {
            return None;
        }
        if let Some(named) = source.names.get(name).filter(|named| named.as_slice() != [name.to_owned()]) {
            return self.resolve(from, &[named.as_slice(), rest].concat(), depth + 1);
        }
        source.globs.iter().find_map(|glob| {
            let opened = self.resolve(from, glob, depth + 1)?;
            let child = [opened.clone(), vec![name.to_owned()]].concat();
            let is_there = self.modules.contains_key(&child) || self.modules[opened].names.contains_key(name);
            is_there
                .then(|| self.resolve(opened, &[&["self".to_owned(), name.to_owned()], rest].concat(), depth + 1))?
        })
    }

    /// Sets of modules each of which uses all others of its set, directly or by way of them, with the arrows in between. A
    /// registry and its entries count as one module.
    pub(crate) fn circles(&self, registries: &[&str]) -> Vec<String> {
        let is_registry = |module: &Module| registries.contains(&module.join("::").as_str());
        let whole = |module: &Module| -> &Module {
            let parts = (0..=module.len()).map(|len| module[..len].to_vec()).find(|part| is_registry(part));
            let part = parts.unwrap_or_else(|| module.clone());
            self.modules.get_key_value(&part).map(|(module, _)| module).expect("a module of this crate")
        };
        let mut arrows: BTreeMap<&Module, BTreeMap<&Module, String>> = BTreeMap::new();
        for (from, to) in self.arrows() {
            let from = whole(from);
            let to = to.into_iter().map(|(to, path)| (whole(to), path)).filter(|(to, _)| *to != from);
            arrows.entry(from).or_default().extend(to);
        }
        let reachable: BTreeMap<&Module, BTreeSet<&Module>> =
            arrows.keys().map(|from| (*from, reachable(&arrows, from))).collect();
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for from in arrows.keys() {
            let circle: BTreeSet<_> =
                reachable[from].iter().filter(|to| reachable[**to].contains(from)).copied().collect();
            if !circle.contains(from) || !seen.insert(circle.clone()) {
                continue;
            }
            let inside = circle.iter().flat_map(|from| {
                let to = arrows[*from].iter().filter(|(to, _)| circle.contains(*to));
                to.map(|(to, path)| format!("    {} -> {} by {path}", name(from), name(to)))
            });
            let names = circle.iter().map(|module| name(module)).collect::<Vec<_>>().join(", ");
            circles.push(format!("{names}\n{}", inside.collect::<Vec<_>>().join("\n")));
        }
        circles
    }
}

fn name(module: &Module) -> String {
    if module.is_empty() { "the root".to_owned() } else { module.join("::") }
}

fn reachable<'a>(
    arrows: &BTreeMap<&'a Module, BTreeMap<&'a Module, String>>,
    from: &'a Module,
) -> BTreeSet<&'a Module> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for to in arrows[module].keys() {
            if found.insert(*to) {
                next.push(*to);
            }
        }
    }
    found
}

/// The state of the reading of one file.
struct Reading {
    source: Source,
    children: Vec<String>,
    /// Modules that are written inside of this file, and around what is read now. They count as the file itself.
    inline: Vec<String>,
}

impl Reading {
    fn path(&mut self, path: Vec<String>) {
        // Of what stands in an inline module, `super` is this very file.
        let mut path = path;
        for _ in &self.inline {
            if path.first().is_some_and(|first| first == "super") {
                path[0] = "self".to_owned();
                if path.get(1).is_some_and(|second| second == "super") {
                    path.remove(0);
                }
            }
        }
        self.source.paths.insert(path);
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String], is_reexport: bool) {
        let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        let (name, path) = match tree {
            syn::UseTree::Path(path) => return self.tree(&path.tree, &with(&path.ident), is_reexport),
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.tree(tree, before, is_reexport));
            }
            syn::UseTree::Glob(_) => {
                if self.inline.is_empty() {
                    self.source.globs.insert(before.to_vec());
                }
                if !is_reexport {
                    self.path(before.to_vec());
                }
                return;
            }
            // `use a::{self}` is `use a`.
            syn::UseTree::Name(name) if name.ident == "self" => {
                (before.last().cloned().unwrap_or_default(), before.to_vec())
            }
            syn::UseTree::Name(name) => (name.ident.to_string(), with(&name.ident)),
            syn::UseTree::Rename(rename) => (rename.rename.to_string(), with(&rename.ident)),
        };
        if self.inline.is_empty() {
            self.source.names.insert(name, path.clone());
        }
        if !is_reexport {
            self.path(path);
        }
    }

    /// Paths out of what only the macro's own rules can parse.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end(&mut path);
                    colons = 0;
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.end(&mut path);
                    colons = 0;
                }
            }
        }
        self.end(&mut path);
    }

    fn end(&mut self, path: &mut Vec<String>) {
        let path = std::mem::take(path);
        // A single word may be anything; one with a capital is a name that `use` has brought in, if it is one.
        let is_name = |word: &String| word.starts_with(char::is_uppercase);
        if path.len() > 1 || path.first().is_some_and(is_name) {
            self.path(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reading {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let (attributes, defined) = about(item);
        if attributes.iter().any(is_of_tests) {
            return;
        }
        if self.inline.is_empty() {
            self.source.defined.extend(defined.map(ToString::to_string));
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.content.is_none() {
            return self.children.push(module.ident.to_string());
        }
        self.inline.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.inline.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, &[], is_reexport);
    }

    /// `pub(in super::super)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // A single small word is a variable, or a function: `visit_expr_call` tells them apart.
        if words.len() > 1 || words[0].starts_with(char::is_uppercase) {
            self.path(words);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let Some(name) = function.path.get_ident()
        {
            self.path(vec![name.to_string()]);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }
}

/// An item's attributes, and its name if it brings one into its module.
fn about(item: &syn::Item) -> (&[syn::Attribute], Option<&syn::Ident>) {
    match item {
        syn::Item::Const(item) => (&item.attrs, Some(&item.ident)),
        syn::Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        syn::Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        syn::Item::Static(item) => (&item.attrs, Some(&item.ident)),
        syn::Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        syn::Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        syn::Item::Type(item) => (&item.attrs, Some(&item.ident)),
        syn::Item::Impl(item) => (&item.attrs, None),
        syn::Item::Mod(item) => (&item.attrs, None),
        syn::Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

/// `#[cfg(test)]`. What is there for a feature that only tests turn on counts as the rest does.
fn is_of_tests(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|what| what == "test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(sources: &[(&str, &str)]) -> Vec<String> {
        circles_but(&[], sources)
    }

    fn circles_but(registries: &[&str], sources: &[(&str, &str)]) -> Vec<String> {
        let mut one = Crate::default();
        for (module, text) in sources {
            one.add(module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect(), text);
        }
        let first_line = |circle: String| circle.lines().next().unwrap().to_owned();
        one.circles(registries).into_iter().map(first_line).collect()
    }

    #[test]
    fn two_that_name_each_other_are_a_circle_however_they_do_it() {
        let uses_b = [
            "use crate::b::B;",
            "use super::b::{self, B};",
            "fn f() { super::b::g() }",
            "use super::*; fn f() -> B {}",
        ];
        let uses_a = [
            "use crate::A;",
            "fn f(_: &crate::A) {}",
            "fn f() { let _ = vec![crate::A::new()]; }",
            "mod c { use super::super::A; }",
        ];
        let root = "mod a; mod b; pub use a::A; pub use b::B;";
        for (a, b) in uses_b.iter().flat_map(|a| uses_a.iter().map(move |b| (a, b))) {
            let (a, b) = (format!("pub struct A; {a}"), format!("pub struct B; {b}"));
            assert_eq!(circles(&[("", root), ("a", &a), ("b", &b)]), ["a, b"], "{a} / {b}");
        }
    }

    #[test]
    fn a_parent_that_defines_what_its_child_takes_and_takes_from_it_is_in_a_circle() {
        let child = ("a::c", "use super::A; pub struct C;");
        assert_eq!(circles(&[("", "mod a;"), ("a", "mod c; pub struct A(c::C);"), child]), ["a, a::c"]);
        assert_eq!(circles(&[("", "mod a;"), ("a", "mod c; use c::C; pub struct A(C);"), child]), ["a, a::c"]);
    }

    #[test]
    fn a_registry_and_its_entries_are_one_module() {
        let sources = [
            ("", "mod a; mod b;"),
            ("a", "mod c; pub struct All { c: c::C }"),
            ("a::c", "use super::All; use crate::b::B; pub struct C;"),
            ("b", "pub struct B;"),
        ];
        assert_eq!(circles_but(&["a"], &sources), Vec::<String>::new());
        let mut with_a_circle = sources;
        with_a_circle[3] = ("b", "use crate::a::All; pub struct B;");
        assert_eq!(circles_but(&["a"], &with_a_circle), ["a, b"]);
    }

    #[test]
    fn what_only_hands_a_name_on_is_in_no_circle() {
        // The root and `a` give out what their children define, and `d` gets at `c` through both.
        let sources = [
            ("", "mod a; mod d; pub use a::C; pub use d::D;"),
            ("a", "mod c; mod e; pub use c::C; pub(crate) const BOUND: usize = 1;"),
            ("a::c", "use super::BOUND; use crate::D; pub struct C;"),
            ("a::e", "use super::C;"),
            ("d", "pub struct D;"),
        ];
        assert_eq!(circles(&sources), Vec::<String>::new());
        let back = [&sources[..4], &[("d", "use crate::C; pub struct D;")]].concat();
        assert_eq!(circles(&back), ["a::c, d"]);
    }

    #[test]
    fn tests_and_other_crates_are_not_looked_at() {
        let a = "pub struct A; #[cfg(test)] mod tests { use crate::b::B; } #[cfg(test)] use crate::b::B;";
        assert_eq!(
            circles(&[("", "mod a; mod b;"), ("a", a), ("b", "use crate::a::A; use std::fmt; use b::x;")]),
            [""; 0]
        );
    }
}
