//! The commands. Each is a type with its decision, the facts that it needs and its samples in one file; two that undo one
//! another share one.
//!
//! To add a command: write its file beside these, and name it here twice, in `mod` and in `commands!`.

mod act;
mod add_bot;
mod archive;
mod attachments;
mod begin_team;
mod create_conversation;
mod create_user;
mod delete;
mod direct;
mod edit;
mod headline;
mod import_message;
mod invite;
mod join;
mod kick;
mod leave;
mod pin;
mod post;
mod react;
mod registry;
mod rename;
#[cfg(any(test, feature = "testing"))]
mod scene;
mod schedule;
mod token;

pub use act::{Act, NoEvent};
pub use create_conversation::ImportedConversation;
#[cfg(any(test, feature = "testing"))]
pub use scene::Scene;

registry::commands! {
    begin_team::BeginTeam,
    create_user::CreateUser,
    add_bot::AddBot,
    token::IssueToken,
    token::RevokeToken,
    create_conversation::CreateConversation,
    direct::OpenDirect,
    direct::OpenConversation,
    direct::CloseDirect,
    join::Join,
    invite::Invite,
    leave::Leave,
    kick::Kick,
    rename::Rename,
    headline::SetTopic,
    headline::SetPurpose,
    archive::Archive,
    archive::Unarchive,
    post::Post,
    import_message::ImportMessage,
    edit::Edit,
    attachments::Unfurl,
    attachments::RemoveAttachment,
    delete::Delete,
    react::React,
    react::Unreact,
    pin::Pin,
    pin::Unpin,
    schedule::Schedule,
    schedule::PostScheduled,
    schedule::DeleteScheduled,
    schedule::GiveUpScheduled,
}
