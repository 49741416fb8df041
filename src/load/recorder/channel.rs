//! The channel between load threads and the recorder's thread.

use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, TrySendError};
use std::time::Duration;

use crate::load::clock::Epoch;
use crate::load::in_flight::RecorderHandle;
use crate::load::recorder::{Recorder, RoundReport};
use crate::load::transport::client::Waker;
use crate::load::transport::exchange::{BLOCK_BYTES, Block, BodyBatch, FollowUp};
use crate::units::Nanos;

/// Batches in the channel. The load thread keeps further ones and counts a stall.
pub(crate) const MAX_BATCHES: usize = 1024;
/// How long the recorder sleeps when the channel is empty. Batches do not wake it: waking it would
/// cost the load thread more than the batch itself. Who waits for the end of a round unparks it.
const REST: Duration = Duration::from_millis(4);
/// How long a load thread with a full backlog lets the recorder work. A wait for each single batch
/// would cost two context switches where both threads share a CPU.
const PAUSE: Duration = Duration::from_millis(1);
/// The recorder's niceness: where CPU is short, sending and reading come first.
const NICE: i32 = 10;

/// A message to the recorder's thread.
pub(crate) enum Message {
    BodyBatch(Box<BodyBatch>),
    /// The round is over: every batch of it has been sent before this message.
    RoundOver(Sender<RoundReport>),
}

/// The recorder's handle in a load thread.
pub(crate) struct ThreadRecorder {
    pub(crate) epoch: Epoch,
    pub(crate) notes: SyncSender<Message>,
    pub(crate) blocks: Receiver<Block>,
    pub(crate) follow_ups: Receiver<(u32, FollowUp)>,
}

/// The channels from the recorder back to one load thread.
pub(crate) struct Return {
    pub(crate) blocks: Sender<Block>,
    pub(crate) follow_ups: Sender<(u32, FollowUp)>,
    pub(crate) waker: Waker,
}

impl RecorderHandle for ThreadRecorder {
    fn hand_over(&mut self, batch: Box<BodyBatch>) -> Result<(), Box<BodyBatch>> {
        match self.notes.try_send(Message::BodyBatch(batch)) {
            Err(TrySendError::Full(Message::BodyBatch(batch))) => Err(batch),
            // The recorder outlives the load threads. If it is gone all the same, nothing can be
            // recorded.
            _ => Ok(()),
        }
    }

    fn rest(&self) {
        std::thread::sleep(PAUSE);
    }

    fn now(&self) -> Nanos {
        self.epoch.elapsed()
    }

    fn empty_block(&mut self) -> Block {
        self.blocks.try_recv().unwrap_or_default()
    }

    fn follow_up(&mut self) -> Option<(u32, FollowUp)> {
        self.follow_ups.try_recv().ok()
    }
}

/// Runs the recorder until every load thread is gone. `is_prompt` when conversations wait for it.
pub(crate) fn run_recorder(
    recorder: &mut Recorder<'_>,
    inbox: &Receiver<Message>,
    ways_back: &[Return],
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
                std::thread::park_timeout(REST);
                continue;
            }
        };
        match note {
            Message::BodyBatch(batch) => {
                let thread = batch.from.0 as usize;
                let (mut block, follow_up) = recorder.take(*batch);
                if recorder.has_failed() {
                    on_failure();
                }
                let Some(back) = ways_back.get(thread) else { continue };
                // The block gives up the memory of a burst, so that it is not kept for the rest of
                // the trial.
                block.bytes.shrink_to(4 * BLOCK_BYTES);
                // A load thread that has ended needs neither the block nor the follow-up.
                let _ = back.blocks.send(block);
                if let Some(follow_up) = follow_up {
                    let _ = back.follow_ups.send(follow_up);
                    (back.waker)();
                }
            }
            Message::RoundOver(reply) => {
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::load::recorder::Reading;
    use crate::load::spec::Live;
    use crate::record::request::{OutputRecord, RequestRecord};

    #[test]
    fn the_end_of_a_round_does_not_wait_until_the_recorder_has_rested() {
        const N_ROUNDS: usize = 200;
        let live = Live::default();
        let mut sink = |_: RequestRecord, _: Option<OutputRecord>| Ok(());
        let mut recorder = Recorder::new(Reading::of_streams(), &mut sink, &live);
        let (notes, inbox) = sync_channel(MAX_BATCHES);
        let mut waits = thread::scope(|scope| {
            let recorder = &mut recorder;
            let recording = scope.spawn(move || run_recorder(recorder, &inbox, &[], false, || {}));
            let mut waits = Vec::new();
            for _ in 0..N_ROUNDS {
                let (reply, report) = channel();
                let begun = Instant::now();
                notes.send(Message::RoundOver(reply)).unwrap();
                recording.thread().unpark();
                report.recv().unwrap();
                waits.push(begun.elapsed());
                // It rests again before the next round is over.
                thread::sleep(Duration::from_micros(200));
            }
            drop(notes);
            recording.thread().unpark();
            waits
        });
        waits.sort();
        // Without being woken it sleeps for half of its rest on average. A busy machine delays some.
        assert!(waits[N_ROUNDS / 2] < REST / 4, "{waits:?}");
    }
}
