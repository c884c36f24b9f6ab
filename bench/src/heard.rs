//! Counts how many sockets each post has reached. A frame is counted for the post that it shows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{BenchError, socket::Socket};

/// The longest wait for a post. If some socket has not received it by then, it is lost or the server is stuck.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Where in a frame the number of its slot is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    /// In the text of a message.
    Text,
    /// In the title of a link's preview.
    Title,
}

impl Mark {
    /// Returns what comes before the number.
    const fn before(self) -> &'static str {
        match self {
            Mark::Text => r#""text":"~"#,
            Mark::Title => r#""title":"~"#,
        }
    }
}

/// The sockets of a run, each read by a task of its own.
pub(crate) struct Listeners {
    heard: Arc<Heard>,
    tasks: JoinSet<()>,
}

/// The counts of a run, shared by its sockets and its posters.
pub(crate) struct Heard {
    sockets: u32,
    slots: Vec<Slot>,
    frames: AtomicU64,
    broken: CancellationToken,
    why: std::sync::OnceLock<String>,
    mark: Mark,
}

/// The post in flight of one poster: the number of sockets that have not received it.
#[derive(Default)]
struct Slot {
    left: AtomicU32,
    all: Notify,
}

impl Listeners {
    /// Starts a task for each socket. The slots of the posts are those of `posters` posters.
    pub(crate) fn new(sockets: Vec<Socket>, posters: usize, mark: Mark) -> Listeners {
        let heard = Arc::new(Heard::new(u32::try_from(sockets.len()).unwrap_or(u32::MAX), posters, mark));
        let mut tasks = JoinSet::new();
        for mut socket in sockets {
            let heard = heard.clone();
            tasks.spawn(async move {
                loop {
                    match socket.frame().await {
                        Ok(frame) => heard.on_frame(&frame),
                        Err(why) => return heard.on_broken(&why),
                    }
                }
            });
        }
        Listeners { heard, tasks }
    }

    /// Returns the counts that the sockets update.
    pub(crate) fn counts(&self) -> Arc<Heard> {
        self.heard.clone()
    }

    /// Returns how many frames of posts the sockets have received.
    pub(crate) fn frames(&self) -> u64 {
        self.heard.frames.load(Ordering::Relaxed)
    }

    /// Closes the sockets, and returns how many frames of posts they received.
    pub(crate) async fn end(mut self) -> u64 {
        self.tasks.shutdown().await;
        self.frames()
    }
}

impl Heard {
    fn new(sockets: u32, posters: usize, mark: Mark) -> Heard {
        let slots = (0..posters).map(|_| Slot::default()).collect();
        let (frames, broken) = (AtomicU64::new(0), CancellationToken::new());
        Heard { sockets, slots, frames, broken, why: std::sync::OnceLock::new(), mark }
    }

    /// Returns a text of about `bytes` bytes that names the poster, so that [`Heard`] can tell whose post a frame shows.
    pub(crate) fn text(poster: usize, bytes: usize) -> String {
        let mut text = format!("~{poster}~ ");
        text.extend(
            "the quick brown fox jumps over the lazy dog ".chars().cycle().take(bytes.saturating_sub(text.len())),
        );
        text
    }

    /// Resets the poster's slot. Call it before each post.
    pub(crate) fn begin(&self, poster: usize) {
        self.slots[poster].left.store(self.sockets, Ordering::Release);
    }

    /// Waits until the poster's post has reached every socket.
    ///
    /// # Errors
    /// [`BenchError::Socket`] if a socket ended, or the post did not arrive in [`WAIT_MAX`].
    pub(crate) async fn all(&self, poster: usize) -> Result<(), BenchError> {
        let slot = &self.slots[poster];
        tokio::select! {
            () = slot.all.notified() => Ok(()),
            () = self.broken.cancelled() => Err(BenchError::Socket(self.why.get().cloned().unwrap_or_default())),
            () = tokio::time::sleep(WAIT_MAX) => {
                let left = slot.left.load(Ordering::Acquire);
                Err(BenchError::Socket(format!("{left} of {} sockets did not hear a post in {WAIT_MAX:?}", self.sockets)))
            }
        }
    }

    fn on_frame(&self, frame: &str) {
        let Some(slot) = poster_of(frame, self.mark).and_then(|poster| self.slots.get(poster)) else { return };
        self.frames.fetch_add(1, Ordering::Relaxed);
        if slot.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            slot.all.notify_one();
        }
    }

    fn on_broken(&self, why: &BenchError) {
        let _ = self.why.set(why.to_string());
        self.broken.cancel();
    }
}

/// Returns the number of the poster whose post the frame shows; none for any other frame.
fn poster_of(frame: &str, mark: Mark) -> Option<usize> {
    let (_, behind) = frame.split_once(mark.before())?;
    behind.split_once('~')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poster_is_found_in_a_frame_and_nothing_else_is() {
        let frame = |text: &str| format!(r#"{{"type":"message","channel":"C1","text":"{text}","ts":"1.000001"}}"#);
        assert_eq!(poster_of(&frame(&Heard::text(17, 80)), Mark::Text), Some(17));
        assert_eq!(Heard::text(17, 80).len(), 80);
        for other in ["hello", "~x~ hello", "~17"] {
            assert_eq!(poster_of(&frame(other), Mark::Text), None, "{other}");
        }
        assert_eq!(poster_of(r#"{"type":"reconnect_url","url":"ws://x/~1~"}"#, Mark::Text), None);
        let changed = r#"{"subtype":"message_changed","message":{"text":"~2~","attachments":[{"title":"~3~"}]}}"#;
        assert_eq!((poster_of(changed, Mark::Text), poster_of(changed, Mark::Title)), (Some(2), Some(3)));
    }

    #[tokio::test]
    async fn a_post_is_over_once_the_last_socket_has_heard_it() {
        let heard = Heard::new(3, 2, Mark::Text);
        let frame = r#"{"text":"~1~ x"}"#;
        for _ in 0..2 {
            heard.begin(1);
            heard.on_frame(frame);
            heard.on_frame(frame);
            assert!(futures::FutureExt::now_or_never(heard.all(1)).is_none());
            heard.on_frame(frame);
            heard.all(1).await.unwrap();
        }
        heard.begin(0);
        heard.on_broken(&BenchError::Socket("cut".to_owned()));
        assert!(matches!(heard.all(0).await, Err(BenchError::Socket(why)) if why == "cut"));
        assert_eq!(heard.frames.load(Ordering::Relaxed), 6);
    }
}
