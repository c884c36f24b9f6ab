//! `RtmConfig`: the sizes and times of the sessions.

use std::{ops::Range, time::Duration};

/// Sizes and times of the sessions.
#[derive(Clone, Debug)]
pub struct RtmConfig {
    /// Sessions of this gateway. Past it, `rtm.*` answers 429, and a socket is told to reconnect.
    pub sessions_max: usize,
    /// Sessions of one team that have not gone live yet. Past it, `rtm.*` answers 429, and a client with a
    /// `reconnect_url` is told to reconnect.
    pub joining_team_max: usize,
    /// Sessions of all teams that have not gone live yet. Past it, new ones are turned away as past `joining_team_max`.
    pub joining_max: usize,
    /// The random delay before a client that reconnects too early is told so.
    pub hold_off: Range<Duration>,
    /// Events that wait for one slow session. Past it, the session leaves live mode and catches up from the log.
    pub queue_max: usize,
    /// Frames that are sent at once while catching up. [`RtmConfig::burst_pause`] follows: clients' parsers break on more.
    pub burst_frames: usize,
    /// The pause after `burst_frames`.
    pub burst_pause: Duration,
    /// Messages a user may send over all their sockets, in the long run a second and at once; none for benches.
    pub messages: Option<(u32, u32)>,
    /// Frames of any kind that one socket may send, in the long run a second and at once: more are dropped; none for
    /// benches.
    pub frames: Option<(u32, u32)>,
    /// People in a team above which `rtm.start` is lazy unless asked for `full=1`.
    pub lazy_people: usize,
    /// The time without a sign of life after which a session is closed. It is pinged at a third of that.
    pub dead_after: Duration,
    /// The longest time between two `reconnect_url` frames while anything is sent.
    pub reconnect_url_every: Duration,
    /// The time without a socket after which a person is away.
    pub away_after: Duration,
    /// Bytes of the log that one session that catches up holds at a time. It reads later events afterwards.
    pub catch_up_bytes_max: usize,
    /// Bytes of the log that all sessions that catch up hold together. Past it, a session waits until others have sent
    /// what they hold.
    pub catch_ups_bytes_max: usize,
    /// Bytes of frames kept for those who catch up on the same events.
    pub rendered_bytes_max: u64,
    /// Bytes of teams' people kept as `rtm.start` gives them.
    pub people_bytes_max: u64,
}

impl Default for RtmConfig {
    fn default() -> Self {
        RtmConfig {
            sessions_max: 50_000,
            joining_team_max: 4096,
            joining_max: 16_384,
            hold_off: Duration::from_millis(200)..Duration::from_secs(3),
            queue_max: 256,
            burst_frames: 500,
            burst_pause: Duration::from_millis(100),
            messages: Some((1, 20)),
            frames: Some((50, 200)),
            lazy_people: 2000,
            dead_after: Duration::from_secs(90),
            reconnect_url_every: Duration::from_secs(30),
            away_after: Duration::from_secs(30),
            catch_up_bytes_max: 4 << 20,
            catch_ups_bytes_max: 256 << 20,
            rendered_bytes_max: 32 << 20,
            people_bytes_max: 64 << 20,
        }
    }
}
