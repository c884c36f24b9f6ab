//! docs/methods.md is written from the table of methods.
#![allow(clippy::unwrap_used)]

use std::{fmt::Write, fs, path::Path};

use teamlog_gateway::{
    args::{Argument, Kind},
    methods::{self, Access, COMMON_ERRORS, Method, Retry, Shape, TOKEN_ERRORS, Tier, WRITE_ERRORS},
};

#[test]
fn the_page_is_current() {
    let mut page = include_str!("methods_page_head.md").to_owned();
    errors_of_all(&mut page);
    let mut group = "";
    for method in methods::all().filter(|method| method.alias_of.is_none()) {
        let of = method.name.rsplit_once('.').unwrap().0;
        if of != group {
            writeln!(page, "\n## {of}").unwrap();
            group = of;
        }
        one(&mut page, method);
    }
    aliases(&mut page);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/methods.md");
    if fs::read_to_string(&file).ok().as_deref() == Some(&page) {
        return;
    }
    let is_blessing = std::env::var_os("TEAMLOG_BLESS").is_some();
    assert!(
        is_blessing,
        "docs/methods.md is out of date; `TEAMLOG_BLESS=1 cargo test -p teamlog-gateway` writes\n{page}"
    );
    fs::write(&file, &page).unwrap();
}

fn codes(codes: &[&str]) -> String {
    codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ")
}

fn errors_of_all(page: &mut String) {
    writeln!(page, "- any call: {}", codes(COMMON_ERRORS)).unwrap();
    writeln!(page, "- a call that needs a token: {}", codes(TOKEN_ERRORS)).unwrap();
    writeln!(page, "- a call that writes: {}", codes(WRITE_ERRORS)).unwrap();
}

fn one(page: &mut String, method: &Method) {
    writeln!(page, "\n### {}\n{}\n", method.name, method.about).unwrap();
    writeln!(page, "{}.", facts(method).join("; ")).unwrap();
    if !method.arguments().is_empty() {
        page.push_str("\n| argument | type | without it | malformed | |\n| --- | --- | --- | --- | --- |\n");
        for argument in method.arguments() {
            line(page, argument);
        }
    }
    if !method.answers.is_empty() {
        page.push_str("\n| answer | type | |\n| --- | --- | --- |\n");
        for key in method.answers {
            let may = if key.always { "" } else { "?" };
            writeln!(page, "| `{}`{may} | {} | {} |", key.name, shape(key.shape), key.about).unwrap();
        }
    }
    if !method.own_errors().is_empty() {
        writeln!(page, "\nErrors: {}.", codes(&method.own_errors())).unwrap();
    }
    page.push_str("\n```json\n");
    for example in method.examples {
        writeln!(page, "{}", example()).unwrap();
    }
    page.push_str("```\n");
}

fn facts(method: &Method) -> Vec<String> {
    let mut facts = vec![
        match method.access {
            Access::Anybody => "Needs no token",
            Access::User => "Needs a token",
            Access::UserOrAdmin => "Needs a token or the operators' key",
            Access::Admin => "Needs the operators' key",
        }
        .to_owned(),
    ];
    facts.push(
        match method.retry {
            Retry::Once => "writes",
            Retry::Repeatable => "may be repeated",
        }
        .to_owned(),
    );
    facts.push(format!("tier {}", tier(method.tier)));
    if !method.scope.is_empty() {
        facts.push(format!("scope `{}`", method.scope));
    }
    facts
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::One => "1",
        Tier::Two => "2",
        Tier::Three => "3",
        Tier::Four => "4",
        Tier::Special => "special",
    }
}

fn line(page: &mut String, argument: &Argument) {
    let name = match argument.kind {
        Kind::Everything => "any other".to_owned(),
        _ => format!("`{}`", argument.name),
    };
    let missing = argument.missing.map_or(String::new(), |code| format!("`{code}`"));
    let about = argument.about.trim().replace('|', "\\|");
    writeln!(page, "| {name} | {} | {missing} | `{}` | {about} |", kind(argument.kind), argument.malformed).unwrap();
}

fn kind(of: Kind) -> String {
    match of {
        Kind::Text => "text".into(),
        Kind::Flag => "boolean".into(),
        Kind::Number => "number".into(),
        Kind::Ts => "`ts`".into(),
        Kind::Moment => "time".into(),
        Kind::Cursor => "cursor".into(),
        Kind::Id(of) => format!("{of} id"),
        Kind::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        Kind::List(item) => format!("list of {}", kind(*item)),
        Kind::Objects => "JSON array".into(),
        Kind::Object => "JSON object".into(),
        Kind::Everything => "any".into(),
    }
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => "text",
        Shape::Integer => "integer",
        Shape::Flag => "boolean",
        Shape::Object => "object",
        Shape::List => "array",
        Shape::Null => "null",
    }
}

fn aliases(page: &mut String) {
    page.push_str(
        "\n## Old names\nThey answer as the method beside them does, unless keys are listed.\n\n\
         | old name | is | tier | answer, where it differs | example |\n| --- | --- | --- | --- | --- |\n",
    );
    for method in methods::all() {
        let Some(of) = method.alias_of else { continue };
        let original = methods::all().find(|method| method.name == of).unwrap();
        let keys = |method: &Method| method.answers.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>();
        let differs = if keys(method) == keys(original) { String::new() } else { keys(method).join(", ") };
        let example = method.examples[0]();
        writeln!(page, "| `{}` | `{of}` | {} | {differs} | `{example}` |", method.name, tier(method.tier)).unwrap();
    }
}
