//! A proxy: a listener, and the connections that it accepted.

use std::{future::pending, io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::spawn_blocking,
    time::sleep,
    try_join,
};

use super::{
    carry::carry,
    trouble::{Direction, Pair, Place, State, Trouble},
    whose::Callers,
};

/// The pause after a failed accept, for example when no descriptor is free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The proxy of one part.
pub(super) struct Link {
    place: Place,
    callers: Arc<Callers>,
    state: watch::Receiver<State>,
}

impl Link {
    pub(super) fn new(place: Place, callers: Arc<Callers>, state: watch::Receiver<State>) -> Link {
        Link { place, callers, state }
    }

    /// Accepts connections. Never returns.
    pub(super) async fn serve(self, listener: TcpListener) {
        let link = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let link = link.clone();
                    tokio::spawn(async move { link.connection(stream).await });
                }
                Err(_) => sleep(ACCEPT_AGAIN).await,
            }
        }
    }

    async fn connection(&self, mut near: TcpStream) {
        let callers = self.callers.clone();
        let (Ok(peer), Ok(here)) = (near.peer_addr(), near.local_addr()) else { return };
        // None is there any more where the caller has gone, and then there is nobody to be heard.
        let Ok(Some(caller)) = spawn_blocking(move || callers.whose(peer, here)).await else { return };
        let pair = Pair { caller, part: self.place.part.clone(), state: self.state.clone() };
        let far = async {
            let far = TcpStream::connect((here.ip(), self.place.port)).await?;
            far.set_nodelay(true)?;
            near.set_nodelay(true)?;
            Ok::<_, io::Error>(far)
        };
        let Ok(mut far) = far.await else { return reset(&near) };
        let carried = async {
            let ((near_out, near_in), (far_out, far_in)) = (near.split(), far.split());
            let carried = try_join!(
                carry(near_out, far_in, &pair, Direction::Calls),
                carry(far_out, near_in, &pair, Direction::Answers)
            );
            // That one side has reset it does not reach the other side before anything else does.
            pair.until(|trouble| matches!(trouble, None | Some(Trouble::Delayed))).await;
            carried
        };
        let is_whole = tokio::select! {
            carried = carried => carried.is_ok(),
            () = cut(&pair) => false,
        };
        if !is_whole {
            reset(&near);
            reset(&far);
        }
    }
}

async fn cut(pair: &Pair) {
    pair.until(|trouble| trouble == Some(Trouble::Cut)).await;
    if pair.meet() != Some(Trouble::Cut) {
        // It was over at once.
        pending::<()>().await;
    }
}

/// Makes the end of a stream a reset.
fn reset(stream: &TcpStream) {
    // One that is broken already has no need of it.
    let _ = stream.set_zero_linger();
}
