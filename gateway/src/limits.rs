//! The limits on requests to the gateway, in one place.

/// A request's body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// A request's query string, in bytes.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;
/// Arguments of one call.
pub const ARGS_MAX: usize = 256;
/// Bytes of an idempotency key as a client sends it; what is made of it (`key/1`) stays below 255.
pub const KEY_BYTES_MAX: usize = 240;
/// A client's frame, in bytes: a longer one closes the socket.
pub const SOCKET_FRAME_BYTES_MAX: usize = 16 * 1024;
/// A socket's read buffer, in bytes: the default of 128 KiB would cost 1.3 GB for ten thousand of them.
pub const SOCKET_READ_BUFFER_BYTES: usize = 4096;
/// Items of a page at most.
pub const PAGE_MAX: usize = 1000;
/// Items of a page that names no limit.
pub const PAGE_DEFAULT: usize = 100;
/// The largest team or list that is given whole to who names no limit where the old clients do not.
pub const WHOLE_LIST_MAX: usize = 5000;
/// Ids in a list argument.
pub const LIST_ARG_MAX: usize = 1000;
/// Members that the old `channels.*` methods and `rtm.start` list.
pub const LEGACY_MEMBERS_MAX: usize = 500;
/// A password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// The shortest password, in bytes.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// A search's text, in bytes.
pub const SEARCH_BYTES_MAX: usize = 4096;
/// A gateway's question to a search node, in bytes: it names all conversations that the reader may read, half a million here.
pub const INTERNAL_SEARCH_BYTES_MAX: usize = 8 << 20;
/// Keys that a rate limiter remembers before it forgets the idle ones.
pub const RATE_KEYS_MAX: usize = 100_000;

const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX && PAGE_MAX <= WHOLE_LIST_MAX);
const _: () = assert!(KEY_BYTES_MAX + "/1000".len() <= 255);
const _: () = assert!(SOCKET_READ_BUFFER_BYTES <= SOCKET_FRAME_BYTES_MAX);
