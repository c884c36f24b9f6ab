//! The limits on what clients may send.

use teamlog_schemas::EVENT_BYTES_MAX;

/// A message's text, in characters. Slack truncates `chat.postMessage` at 40,000.
pub(crate) const TEXT_CHARS_MAX: usize = 40_000;
/// Attachments of a message. Slack allows 100.
pub(crate) const ATTACHMENTS_MAX: usize = 100;
/// Blocks of a message. Slack allows 50.
pub(crate) const BLOCKS_MAX: usize = 50;
/// A message with all its parts, in bytes. An edit carries two messages, and an event has at most [`EVENT_BYTES_MAX`].
pub(crate) const MESSAGE_BYTES_MAX: usize = 100 * 1024;
/// A message's content as a client wrote it, in bytes: JSON with spaces and escapes is up to four times as long as without.
pub(crate) const WRITTEN_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;
/// The reactions of an imported message, in bytes: beside a message they fit into an event.
pub(crate) const REACTIONS_BYTES_MAX: usize = 100 * 1024;
/// A name of a channel or a person, in characters. Slack allows 80.
pub(crate) const NAME_CHARS_MAX: usize = 80;
/// A name as people write it, a team's name, a name of a time zone, in characters: what a column of 255 holds.
pub(crate) const REAL_NAME_CHARS_MAX: usize = 255;
/// An address, in characters (RFC 5321, 4.5.3.1.3, less the brackets).
pub(crate) const EMAIL_CHARS_MAX: usize = 254;
/// A domain, in characters: one label of a host's name (RFC 1035, 2.3.4).
pub(crate) const DOMAIN_CHARS_MAX: usize = 63;
/// A topic or a purpose, in characters. Slack allows 250.
pub(crate) const HEADLINE_CHARS_MAX: usize = 250;
/// An emoji's name, in characters: longer than any that clients offer.
pub(crate) const EMOJI_CHARS_MAX: usize = 100;
/// Different emoji on one message. A row holds them all with their people, and each change writes it anew.
pub(crate) const EMOJI_A_MESSAGE_MAX: usize = 23;
/// Pins of a conversation, as Slack has it. A team in memory holds them all.
pub(crate) const PINS_MAX: usize = 100;
/// People in one invitation, or in a channel when it is made: their ids fit into one event.
pub(crate) const INVITED_MAX: usize = 1_000;
/// People in a conversation when an import makes it, as many as fit into an event; the rest of a larger one is invited
/// afterwards.
pub(crate) const IMPORTED_MEMBERS_MAX: usize = 10_000;
/// Others in a direct message of a group. Slack allows eight.
pub(crate) const GROUP_OTHERS_MAX: usize = 8;
/// The extra data of an imported person, bot or conversation, which is stored and not interpreted, in bytes. The team in
/// memory holds it.
pub(crate) const EXTRA_BYTES_MAX: usize = 64 * 1024;
/// Channels that a team begins with. Its first event names them all.
pub(crate) const FIRST_CHANNELS_MAX: usize = 1_000;

/// The upper bound of an event's envelope and small fields, in bytes: ids, times, a key of 255 bytes.
const ENVELOPE_BYTES: usize = 4 * 1024;
/// An id with its length, in bytes.
pub(crate) const ID_BYTES: usize = 13;

// An edit carries the message before and after. A post's mentions take no more bytes than the text that makes them.
const _: () = assert!(2 * MESSAGE_BYTES_MAX + ENVELOPE_BYTES <= EVENT_BYTES_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX + REACTIONS_BYTES_MAX + ENVELOPE_BYTES <= EVENT_BYTES_MAX);
const _: () = assert!(IMPORTED_MEMBERS_MAX * ID_BYTES + EXTRA_BYTES_MAX + ENVELOPE_BYTES <= EVENT_BYTES_MAX);
// Each with a `ts` of at most nine bytes.
const _: () = assert!(INVITED_MAX * (ID_BYTES + 9) + ENVELOPE_BYTES <= EVENT_BYTES_MAX);
// A character has at most four bytes.
const _: () = assert!(4 * HEADLINE_CHARS_MAX <= ENVELOPE_BYTES);
