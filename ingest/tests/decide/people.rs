//! People, bots, tokens, passwords.

use teamlog_cluster::token_hash;
use teamlog_ingest::{
    Command, NewPerson,
    commands::{AddBot, CreateUser, IssueToken, RevokeToken},
};
use teamlog_schemas::{Event, TokenKind};

use crate::rig::{ADA, BOB, CYD, NOBODY, OLD, ROBO, Rig, secrets, user};

fn person(name: &str, change: impl Fn(&mut NewPerson)) -> Command {
    let mut new = NewPerson { name: name.to_owned(), ..NewPerson::default() };
    change(&mut new);
    Command::from(CreateUser(new))
}

#[test]
fn names_and_addresses_are_one_persons_alone() {
    let mut rig = Rig::new();
    let with = |email: &'static str| move |new: &mut NewPerson| new.email = Some(email.to_owned());
    rig.check(BOB, person("dee", |_| {}), "restricted_action");
    rig.check(ADA, person("bob", |_| {}), "name_taken");
    rig.check(ADA, person("Dee", |_| {}), "invalid_name");
    rig.check(ADA, person("", |_| {}), "invalid_name");
    rig.check(ADA, person(&"d".repeat(81), |_| {}), "invalid_name");
    rig.check(ADA, person("dee", with("ADA@example.com")), "email_taken");
    for address in ["dee", "dee@", "@example.com", "d e@example.com", "dee@a@b"] {
        let command = person("dee", move |new| new.email = Some(address.to_owned()));
        rig.check(ADA, command, "invalid_email");
    }
    rig.check(ADA, person("dee", |new| new.real_name = "d".repeat(256)), "too_long");
    rig.check(ADA, person("dee", |new| new.extra = Some("x".repeat(65 * 1024))), "msg_too_long");
    rig.check(ADA, person("dee.d", with("dee@example.com")), "UserCreated");
    rig.check(ADA, person("dee.d", |_| {}), "name_taken");
    // An import that is run again.
    rig.check(NOBODY, person("bob", |new| new.user = Some(user(BOB))), "AlreadyThere");
}

#[test]
fn a_bot_gets_a_bots_id_and_token() {
    let mut rig = Rig::new();
    let made = rig.does(
        ADA,
        person("beep", |new| {
            new.is_bot = true;
            new.with_token = true;
        }),
    );
    let Event::UserCreated(created) = &*made else { unreachable!() };
    let token = created.token.as_ref().unwrap();
    assert!(created.person.bot.is_some() && token.kind == TokenKind::Bot);
    let text = secrets().token_of(&made).unwrap();
    assert!(text.starts_with("xoxb-"));
    assert_eq!(rig.team.token(&token_hash(&text)).unwrap().user, created.person.user);

    let made = rig.does(
        ADA,
        person("gone", |new| {
            new.deleted = true;
            new.with_token = true;
        }),
    );
    assert_eq!(secrets().token_of(&made), None, "who is deactivated gets no token");
}

#[test]
fn imported_bots_come_once() {
    let mut rig = Rig::new();
    let bot = |name: &str| Command::from(AddBot { bot: "B7".parse().unwrap(), name: name.to_owned(), extra: None });
    rig.check(BOB, bot("feed"), "restricted_action");
    rig.check(NOBODY, bot("feed"), "BotAdded");
    rig.check(NOBODY, bot("feed"), "AlreadyImported");
}

#[test]
fn a_token_is_its_owners_and_the_admins() {
    let mut rig = Rig::new();
    rig.check(CYD, IssueToken { user: user(BOB) }, "restricted_action");
    rig.check(ADA, IssueToken { user: user("UNONE") }, "user_not_found");
    rig.check(ADA, IssueToken { user: user(OLD) }, "user_disabled");
    rig.check(OLD, IssueToken { user: user(OLD) }, "account_inactive");
    rig.check("UNONE", IssueToken { user: user(BOB) }, "account_inactive");
    let issued = rig.does(BOB, IssueToken { user: user(BOB) });
    let hash = hex::encode(token_hash(&secrets().token_of(&issued).unwrap()));
    let revoke = |hash: &str| Command::from(RevokeToken { hash: hash.to_owned() });
    rig.check(CYD, revoke(&hash), "restricted_action");
    rig.check(BOB, revoke("nonsense"), "token_not_found");
    rig.check(BOB, revoke(&"0".repeat(64)), "token_not_found");
    rig.check(BOB, revoke(&hash.to_uppercase()), "TokenRevoked");
    rig.check(BOB, revoke(&hash), "AlreadyRevoked");
    rig.check(ADA, IssueToken { user: user(ROBO) }, "TokenIssued");
}
