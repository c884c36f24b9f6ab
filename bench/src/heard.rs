//! Who has heard what: each frame that reaches a socket is counted for the post that it is of.

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

/// A message that has not reached everybody by then is lost, or the server is stuck.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// What stands before a slot's number in a message's text.
const MARK: &str = r#""text":"~"#;

/// The sockets of a run, each read by a task of its own.
pub(crate) struct Listeners {
    heard: Arc<Heard>,
    tasks: JoinSet<()>,
}

/// What the sockets have heard.
pub(crate) struct Heard {
    sockets: u32,
    slots: Vec<Slot>,
    frames: AtomicU64,
    broken: CancellationToken,
    why: std::sync::OnceLock<String>,
}

/// One post at a time: how many sockets have not heard it.
#[derive(Default)]
struct Slot {
    left: AtomicU32,
    all: Notify,
}

impl Listeners {
    /// Listens on these sockets to posts of so many posters.
    pub(crate) fn new(sockets: Vec<Socket>, posters: usize) -> Listeners {
        let heard = Arc::new(Heard::new(u32::try_from(sockets.len()).unwrap_or(u32::MAX), posters));
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

    /// What they hear.
    pub(crate) fn heard(&self) -> Arc<Heard> {
        self.heard.clone()
    }

    /// Cuts the sockets, and says how many posts' frames came over them.
    pub(crate) async fn end(mut self) -> u64 {
        self.tasks.shutdown().await;
        self.heard.frames.load(Ordering::Relaxed)
    }
}

impl Heard {
    fn new(sockets: u32, posters: usize) -> Heard {
        let slots = (0..posters).map(|_| Slot::default()).collect();
        let (frames, broken) = (AtomicU64::new(0), CancellationToken::new());
        Heard { sockets, slots, frames, broken, why: std::sync::OnceLock::new() }
    }

    /// What a poster says, so that its posts are known again. About so many bytes.
    pub(crate) fn text(poster: usize, bytes: usize) -> String {
        let mut text = format!("~{poster}~ ");
        text.extend(
            "the quick brown fox jumps over the lazy dog ".chars().cycle().take(bytes.saturating_sub(text.len())),
        );
        text
    }

    /// A poster is about to post.
    pub(crate) fn begin(&self, poster: usize) {
        self.slots[poster].left.store(self.sockets, Ordering::Release);
    }

    /// Waits until every socket has heard what the poster posted.
    ///
    /// # Errors
    /// [`BenchError::Socket`] if a socket ended, or the message is lost.
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
        let Some(slot) = poster_of(frame).and_then(|poster| self.slots.get(poster)) else { return };
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

/// Whose post a frame is of; none if of nobody here.
fn poster_of(frame: &str) -> Option<usize> {
    let (_, behind) = frame.split_once(MARK)?;
    behind.split_once('~')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poster_is_found_in_a_frame_and_nothing_else_is() {
        let frame = |text: &str| format!(r#"{{"type":"message","channel":"C1","text":"{text}","ts":"1.000001"}}"#);
        assert_eq!(poster_of(&frame(&Heard::text(17, 80))), Some(17));
        assert_eq!(Heard::text(17, 80).len(), 80);
        for other in ["hello", "~x~ hello", "~17"] {
            assert_eq!(poster_of(&frame(other)), None, "{other}");
        }
        assert_eq!(poster_of(r#"{"type":"reconnect_url","url":"ws://x/~1~"}"#), None);
    }

    #[tokio::test]
    async fn a_post_is_over_once_the_last_socket_has_heard_it() {
        let heard = Heard::new(3, 2);
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
