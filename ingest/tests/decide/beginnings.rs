//! The two steps in which a team is made.

use teamlog_cluster::token_hash;
use teamlog_ingest::{Decision, NewPerson, NewTeam, commands::BeginTeam};
use teamlog_schemas::{Event, FirstChannel, Text, Ts, partition_of};
use uuid::Uuid;

use crate::rig::{ADA, Rig, new_team, register, secrets, user};

#[track_caller]
fn refuses(change: impl Fn(&mut NewTeam), code: &str) {
    let mut new = new_team("acme");
    change(&mut new);
    assert_eq!(register(&new).unwrap_err().code(), code);
}

#[test]
fn what_is_no_domain_or_no_owner_is_refused() {
    for domain in ["", "Acme", "a.b", "-a", "a-", "münchen", &"a".repeat(64)] {
        refuses(|new| new.domain = domain.to_owned(), "invalid_domain");
    }
    refuses(|new| new.domain = "taken".to_owned(), "domain_taken");
    refuses(|new| new.owner.name = "Ada Lovelace".to_owned(), "invalid_name");
    refuses(|new| new.owner.email = Some("ada".to_owned()), "invalid_email");
    refuses(|new| new.name = "n".repeat(256), "too_long");
    let twice = FirstChannel {
        conversation: "C1".parse().unwrap(),
        name: "general".to_owned(),
        is_general: true,
        purpose: Text::default(),
    };
    refuses(|new| new.channels = Some(vec![twice.clone(), twice.clone()]), "name_taken");
}

#[test]
fn a_team_begins_as_it_was_registered() {
    let Event::TeamRegistered(registered) = register(&new_team("acme")).unwrap() else { unreachable!() };
    let team = registered.meta.team;
    assert_eq!(registered.partition, i32::try_from(partition_of(team, 16)).unwrap());
    assert_eq!(registered.shard, format!("s{}", registered.partition % 2));
    assert!(registered.owner.is_owner && registered.owner.is_admin && registered.owner.bot.is_none());

    let (event_id, at) = (Uuid::from_u128(9), Ts::from_micros(1));
    let begun = teamlog_ingest::team_begun(&registered, event_id, at);
    assert_eq!(begun.meta.key.as_deref(), Some(&*format!("registered/{}", registered.meta.event_id)));
    assert!(begun.meta.at >= registered.meta.at, "a team does not begin before it was registered");

    // Both events show the same token, and the log knows its hash alone.
    let token = secrets().token_of(&Event::from(begun.clone())).unwrap();
    assert_eq!(secrets().token_of(&Event::from(registered)).as_ref(), Some(&token));
    assert!(token.starts_with(&format!("xoxp-{team}-")));
    assert!(!format!("{begun:?}").contains(&token));
    let rig = Rig::new();
    assert_eq!(rig.team.token(&token_hash(&token)).unwrap().user, user(ADA));
    assert!(rig.team.general().is_some_and(|general| rig.team.is_member(user(ADA), general.conversation)));
}

#[test]
fn an_owner_is_an_admin_and_never_a_bot() {
    let mut new = new_team("acme");
    new.owner = NewPerson { is_bot: true, bot: Some("B1".parse().unwrap()), ..new.owner };
    let Event::TeamRegistered(registered) = register(&new).unwrap() else { unreachable!() };
    assert!(registered.owner.is_admin && registered.owner.bot.is_none());
}

#[test]
fn who_begins_a_team_again_does_nothing() {
    let mut rig = Rig::new();
    let Event::TeamRegistered(registered) = register(&new_team("acme")).unwrap() else { unreachable!() };
    let again = rig.ask("", teamlog_ingest::Command::from(BeginTeam(registered)));
    assert!(matches!(again, Ok(Decision::Nothing(teamlog_ingest::Nothing::AlreadyBegun))));
}
