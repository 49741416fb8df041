//! Makes requests ahead of their time, so that the load threads only send.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError};
use std::time::Duration;

use crate::load::assignment::{Due, Supplied, Supply};
use crate::workload::arrivals::Arrivals;
use crate::workload::request::Request;

/// Requests that are made ahead, over all load threads, beside one for each stream.
pub(crate) const MADE_AHEAD: usize = 512;
/// How long the feeder rests when the queues are full, a small part of what is made ahead.
const REST: Duration = Duration::from_millis(5);

/// A load thread's end of the queue.
pub(crate) struct Queue(pub(crate) Receiver<Box<Due>>);

impl Supply for Queue {
    fn next(&mut self) -> Supplied {
        match self.0.try_recv() {
            Ok(due) => Supplied::Due(due),
            Err(TryRecvError::Empty) => Supplied::NotYet,
            Err(TryRecvError::Disconnected) => Supplied::Over,
        }
    }
}

/// Feeds the queues until arrivals or requests run out, or nobody takes them any more.
///
/// Where the clock drives the loop, requests are dealt out in turn; where answers do, the
/// thread that takes them faster gets more.
pub(crate) fn feed(
    arrivals: Arrivals,
    requests: &mut (dyn Iterator<Item = Request> + Send),
    queues: &[SyncSender<Box<Due>>],
) {
    let n_open = if arrivals.is_driven_by_answers() { queues.len() } else { 1 };
    for (turn, offset) in arrivals.enumerate() {
        let Some(request) = requests.next() else { return };
        if !offer(Box::new(Due { offset, request }), queues, turn, n_open) {
            return;
        }
    }
}

/// Gives a request to the first queue with room, of `n_open` from one's `turn` on.
///
/// When there is none it sleeps instead of waiting for the channel: a load thread that takes a
/// request would have to wake it each time, which costs more than the request.
fn offer(mut due: Box<Due>, queues: &[SyncSender<Box<Due>>], turn: usize, n_open: usize) -> bool {
    loop {
        let mut n_gone = 0;
        for i in 0..n_open {
            match queues[(turn + i) % queues.len()].try_send(due) {
                Ok(()) => return true,
                Err(TrySendError::Full(back)) => due = back,
                Err(TrySendError::Disconnected(back)) => {
                    due = back;
                    n_gone += 1;
                }
            }
        }
        if n_gone == n_open {
            return false;
        }
        std::thread::sleep(REST);
    }
}
