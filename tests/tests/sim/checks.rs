//! The invariants that must hold for many seeds: the tests of this binary.

use teamlog_log::testing::Rule;

use crate::{
    campaign::{RULES, many, one},
    regressions,
};

/// Seeds that run if nobody says how many.
const SEEDS: u64 = 200;
/// Without a rule, so many seeds at most go well before one fails.
const NOTICED_WITHIN: u64 = 100;
/// Seeds that run twice.
const TWICE: u64 = 5;

type Check = (String, Box<dyn Fn() -> Result<(), String>>);

/// All of them by name.
pub(crate) fn all(seeds: Option<u64>) -> Vec<Check> {
    let mut checks: Vec<Check> = vec![
        ("the_same_seed_gives_the_same_trace".to_owned(), Box::new(same_trace)),
        ("what_once_failed_does_not_fail_again".to_owned(), Box::new(regressions_are_clean)),
        ("no_seed_breaks_an_invariant".to_owned(), Box::new(move || every_seed_is_clean(seeds.unwrap_or(SEEDS)))),
    ];
    for rule in RULES {
        checks.push((format!("without_{rule:?}_a_seed_fails"), Box::new(move || is_noticed(rule))));
    }
    checks
}

/// Two processes that run the same seed do the same, line by line.
fn same_trace() -> Result<(), String> {
    let seeds: Vec<u64> = (1..=TWICE).collect();
    let (first, second) = (many(&seeds, None, 1), many(&seeds, None, 1));
    if first == second { Ok(()) } else { Err(format!("{first:#?}\nand then\n{second:#?}")) }
}

fn regressions_are_clean() -> Result<(), String> {
    let failed = regressions::SEEDS.into_iter().filter_map(|(seed, what)| Some((what, one(seed, None).err()?)));
    let failed: Vec<String> = failed.map(|(what, why)| format!("{what}: {why}")).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

fn every_seed_is_clean(count: u64) -> Result<(), String> {
    let seeds: Vec<u64> = (1..=count).collect();
    let said = many(&seeds, None, 5);
    let failed: Vec<String> = said.iter().filter_map(|(_, said)| said.clone().err()).collect();
    if failed.is_empty() && said.len() as u64 == count { Ok(()) } else { Err(failed.join("\n")) }
}

/// The model would see that a rule is not kept.
fn is_noticed(rule: Rule) -> Result<(), String> {
    let seeds: Vec<u64> = (1..=NOTICED_WITHIN).collect();
    let noticed = many(&seeds, Some(rule), 1).into_iter().find_map(|(_, said)| said.err());
    match noticed {
        Some(why) if why.starts_with("seed ") => Ok(()),
        Some(why) => Err(format!("a run ended without a check that failed: {why}")),
        None => Err(format!("{NOTICED_WITHIN} seeds went well without {rule:?}")),
    }
}
