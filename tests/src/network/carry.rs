//! A direction of a connection. Forwards bytes from one end to the other: at once, late, held back, or never.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{ReadHalf, WriteHalf},
    sync::mpsc,
    time::{Instant, sleep_until},
    try_join,
};

use super::trouble::{Course, Direction, Pair};

/// The most bytes of one read.
const CHUNK_BYTES: usize = 64 * 1024;
/// The most chunks in flight. When they are reached, nothing more is read, and the sender is blocked.
const CHUNKS_MAX: usize = 64;

/// Bytes, and when they may arrive, if not at once. No bytes are the end of the stream.
type Chunk = (Option<Instant>, Vec<u8>);

/// Carries everything to the end of the stream, and the end.
///
/// # Errors
/// If an end is broken, or bytes were lost that a stream cannot do without.
pub(super) async fn carry(from: ReadHalf<'_>, to: WriteHalf<'_>, pair: &Pair, direction: Direction) -> io::Result<()> {
    let (queue, chunks) = mpsc::channel(CHUNKS_MAX);
    try_join!(take(from, queue, pair, direction), give(chunks, to, pair, direction)).map(drop)
}

async fn take(mut from: ReadHalf<'_>, queue: mpsc::Sender<Chunk>, pair: &Pair, direction: Direction) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut has_hole = false;
    loop {
        let read = tokio::select! {
            biased;
            () = until(pair, direction, |course| course != Course::Lost), if has_hole => return Err(hole()),
            read = from.read(&mut buffer) => read?,
        };
        let course = pair.meet().map_or(Course::Free, |trouble| trouble.course(direction));
        match course {
            Course::Lost => {
                has_hole = true;
                if read == 0 {
                    until(pair, direction, |course| course != Course::Lost).await;
                    return Err(hole());
                }
            }
            _ if has_hole => return Err(hole()),
            Course::Free | Course::Held | Course::Late(_) => {
                let due = if let Course::Late(late) = course { Some(Instant::now() + late) } else { None };
                let chunk = (due, buffer[..read].to_vec());
                // If nobody takes it that end is broken, and says so.
                if queue.send(chunk).await.is_err() || read == 0 {
                    return Ok(());
                }
            }
        }
    }
}

async fn give(
    mut chunks: mpsc::Receiver<Chunk>,
    mut to: WriteHalf<'_>,
    pair: &Pair,
    direction: Direction,
) -> io::Result<()> {
    while let Some((due, bytes)) = chunks.recv().await {
        // Not a sleep of no time: a timer fires some milliseconds late, and there are many chunks.
        if let Some(due) = due {
            sleep_until(due).await;
        }
        until(pair, direction, |course| course != Course::Held).await;
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&bytes).await?;
    }
    Ok(())
}

async fn until(pair: &Pair, direction: Direction, is_wanted: impl Fn(Course) -> bool) {
    pair.until(|trouble| is_wanted(trouble.map_or(Course::Free, |trouble| trouble.course(direction)))).await;
}

fn hole() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "bytes of it were lost")
}
