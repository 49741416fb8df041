//! The way between load threads and the recorder's thread.

use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, TrySendError};
use std::time::Duration;

use crate::load::client::Waker;
use crate::load::exchange::{BLOCK_BYTES, Block, FollowUp, Parcel};
use crate::load::floor::Desk;
use crate::load::recorder::{Recorder, RoundReport};

/// Parcels on their way; more are kept by the load thread and counted as stalls.
pub(super) const MAX_PARCELS: usize = 1024;
/// How long the recorder rests when there is nothing to do. It is not woken by parcels: waking
/// it would cost the load thread more than the parcel itself.
const REST: Duration = Duration::from_millis(4);
/// How long a load thread whose backlog is full lets the recorder work. Not from one parcel to
/// the next: where both share a CPU, each would cost two context switches.
const BREATH: Duration = Duration::from_millis(1);
/// The recorder's niceness: where CPU is short, sending and reading come first.
const NICE: i32 = 10;

/// What the recorder's thread is sent.
pub(super) enum Note {
    Parcel(Box<Parcel>),
    /// Everything of the round has been sent before this.
    RoundOver(Sender<RoundReport>),
}

/// A load thread's desk.
pub(super) struct ThreadDesk {
    pub(super) notes: SyncSender<Note>,
    pub(super) blocks: Receiver<Block>,
    pub(super) follow_ups: Receiver<(u32, FollowUp)>,
}

/// The recorder's way back to one load thread.
pub(super) struct WayBack {
    pub(super) blocks: Sender<Block>,
    pub(super) follow_ups: Sender<(u32, FollowUp)>,
    pub(super) waker: Waker,
}

impl Desk for ThreadDesk {
    fn hand_over(&mut self, parcel: Box<Parcel>) -> Result<(), Box<Parcel>> {
        match self.notes.try_send(Note::Parcel(parcel)) {
            Err(TrySendError::Full(Note::Parcel(parcel))) => Err(parcel),
            // The recorder ends after the load threads; without it nothing is left to do.
            _ => Ok(()),
        }
    }

    fn rest(&self) {
        std::thread::sleep(BREATH);
    }

    fn empty_block(&mut self) -> Block {
        self.blocks.try_recv().unwrap_or_default()
    }

    fn follow_up(&mut self) -> Option<(u32, FollowUp)> {
        self.follow_ups.try_recv().ok()
    }
}

/// Runs the recorder until every load thread is gone. `is_prompt` when conversations wait for it.
pub(super) fn run_recorder(
    recorder: &mut Recorder<'_>,
    inbox: &Receiver<Note>,
    ways_back: &[WayBack],
    is_prompt: bool,
    on_failure: impl Fn(),
) {
    be_nice();
    loop {
        let note = match inbox.try_recv() {
            Ok(note) => note,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) if is_prompt => match inbox.recv() {
                Ok(note) => note,
                Err(_) => return,
            },
            Err(TryRecvError::Empty) => {
                std::thread::sleep(REST);
                continue;
            }
        };
        match note {
            Note::Parcel(parcel) => {
                let thread = parcel.from.0 as usize;
                let (mut block, follow_up) = recorder.take(*parcel);
                if recorder.has_failed() {
                    on_failure();
                }
                let Some(back) = ways_back.get(thread) else { continue };
                // One burst must not keep its memory for the rest of the trial.
                block.bytes.shrink_to(4 * BLOCK_BYTES);
                // A load thread that is gone needs neither.
                let _ = back.blocks.send(block);
                if let Some(follow_up) = follow_up {
                    let _ = back.follow_ups.send(follow_up);
                    (back.waker)();
                }
            }
            Note::RoundOver(reply) => {
                let _ = reply.send(recorder.end_round());
            }
        }
    }
}

#[expect(unsafe_code, reason = "no safe wrapper of setpriority for one thread")]
fn be_nice() {
    // SAFETY: takes and returns integers; 0 names the calling thread.
    unsafe {
        nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, NICE);
    }
}
