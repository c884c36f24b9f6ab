//! The limits on what clients may send.

use teamlog_schemas::EVENT_BYTES_MAX;

/// A message's text, in characters.
pub(crate) const TEXT_CHARS_MAX: usize = 40_000;
/// Attachments of a message.
pub(crate) const ATTACHMENTS_MAX: usize = 100;
/// Blocks of a message.
pub(crate) const BLOCKS_MAX: usize = 50;
/// A message with all its parts, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 100 * 1024;
/// A message's content as a client wrote it, in bytes: JSON with spaces and escapes is up to four times as long as without.
pub(crate) const WRITTEN_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;
/// The reactions of an imported message, in bytes.
pub(crate) const REACTIONS_BYTES_MAX: usize = 100 * 1024;
/// A name of a channel or a person, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 80;
/// A name as people write it, a team's name, a name of a time zone, in characters.
pub(crate) const REAL_NAME_CHARS_MAX: usize = 255;
/// An address, in characters (RFC 5321, 4.5.3.1.3, less the brackets).
pub(crate) const EMAIL_CHARS_MAX: usize = 254;
/// A domain, in characters: one label of a host's name.
pub(crate) const DOMAIN_CHARS_MAX: usize = 63;
/// A topic or a purpose, in characters.
pub(crate) const HEADLINE_CHARS_MAX: usize = 250;
/// An emoji's name, in characters.
pub(crate) const EMOJI_CHARS_MAX: usize = 100;
/// Different emoji on one message.
pub(crate) const EMOJI_A_MESSAGE_MAX: usize = 23;
/// Pins of a conversation. A team in memory holds them all.
pub(crate) const PINS_MAX: usize = 100;
/// People in one invitation, or in a channel when it is made.
pub(crate) const INVITED_MAX: usize = 1_000;
/// People in a conversation when an import makes it; the rest of a larger one is invited afterwards.
pub(crate) const IMPORTED_MEMBERS_MAX: usize = 10_000;
/// Others in a direct message of a group.
pub(crate) const GROUP_OTHERS_MAX: usize = 8;
/// The extra data of an imported person, bot or conversation, which is stored and not interpreted, in bytes.
pub(crate) const EXTRA_BYTES_MAX: usize = 64 * 1024;
/// Channels that a team begins with.
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
