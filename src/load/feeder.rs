//! Makes requests before they are due, so that the load threads only send.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError};
use std::time::Duration;

use crate::load::assignment::{Due, Supplied, Supply};
use crate::load::spec::Share;
use crate::workload::arrivals::Arrivals;
use crate::workload::request::Request;

/// Requests that are made ahead over all load threads, in addition to one per stream.
pub(crate) const MADE_AHEAD: usize = 512;
/// How long the feeder sleeps when the queues are full. It is short against the time that the
/// requests made ahead last.
const REST: Duration = Duration::from_millis(5);

/// The receiving end of one load thread's queue.
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

/// Feeds the queues with a share of the requests until arrivals or requests run out, or every
/// load thread is gone.
///
/// Where the clock drives the loop, the threads get requests in turn. Where answers drive it, a
/// faster thread gets more of them. Returns whether the threads were given all that there was.
pub(crate) fn feed(
    arrivals: Arrivals,
    requests: &mut (dyn Iterator<Item = Request> + Send),
    share: Share,
    queues: &[SyncSender<Box<Due>>],
) -> bool {
    let n_open = if arrivals.is_driven_by_answers() { queues.len() } else { 1 };
    if share.is_empty() {
        return true;
    }
    let (place, of) = (share.place as usize, share.of as usize);
    for (turn, offset) in arrivals.skip(place).step_by(of).enumerate() {
        let n_of_others = if turn == 0 { place } else { of - 1 };
        let Some(request) = requests.nth(n_of_others) else { return true };
        if !offer(Box::new(Due { offset, request }), queues, turn, n_open) {
            return false;
        }
    }
    true
}

/// Puts a request into the first queue with room, of `n_open` queues from `turn` on.
///
/// The feeder sleeps when no queue has room. Blocking on the channel would make the load thread
/// wake the feeder at each request, which costs more than the request.
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
