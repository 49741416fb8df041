//! What travels from the load thread to the recorder: blocks of bytes with their stamps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;

use crate::load::client::{Ending, Head, Stamp};
use crate::record::request::StampSource;
use crate::units::Nanos;
use crate::workload::request::{Prompt, Request};

/// A block that holds this much is handed over before the next read.
pub(super) const BLOCK_BYTES: usize = 8 << 10;

/// Body bytes of one exchange, with the stamp of every read.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// End of each read in `bytes`, and when it arrived.
    pub(super) reads: Vec<(u32, Nanos)>,
}

impl Block {
    pub(super) fn push(&mut self, bytes: &[u8], at: Nanos) {
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len() as u32;
        match self.reads.last_mut() {
            // Parts of one read.
            Some((last_end, last_at)) if *last_at == at => *last_end = end,
            _ => self.reads.push((end, at)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// Whether it holds enough, and what arrived at `at` is another read.
    pub(super) fn is_full_before(&self, at: Nanos) -> bool {
        self.bytes.len() >= BLOCK_BYTES && self.reads.last().is_none_or(|read| read.1 != at)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.reads.clear();
    }

    /// Returns the reads, each with its bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Nanos)> {
        self.reads.iter().scan(0, |start, &(end, at)| {
            let bytes = &self.bytes[*start..end as usize];
            *start = end as usize;
            Some((bytes, at))
        })
    }
}

/// What the recorder tells the load thread about an exchange that is under way.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Arrival of the last token, nanoseconds since the epoch; 0 before the first.
    last_token_at: AtomicU64,
    /// Arrival of `[DONE]`; 0 before it.
    done_at: AtomicU64,
    /// Blocks that are decoded.
    n_decoded: AtomicU32,
    excess: AtomicU8,
}

/// Why an exchange has to be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Excess {
    /// An event above the cap.
    Event = 1,
    /// More tokens than were asked for.
    Tokens = 2,
}

impl Signals {
    pub(super) fn note_token(&self, at: Nanos) {
        self.last_token_at.store(at.0, Ordering::Relaxed);
    }

    pub(super) fn note_done(&self, at: Nanos) {
        self.done_at.store(at.0, Ordering::Relaxed);
    }

    pub(super) fn note_excess(&self, excess: Excess) {
        self.excess.store(excess as u8, Ordering::Relaxed);
    }

    /// Publishes everything noted before.
    pub(super) fn note_decoded(&self) {
        self.n_decoded.fetch_add(1, Ordering::Release);
    }

    pub(super) fn n_decoded(&self) -> u32 {
        self.n_decoded.load(Ordering::Acquire)
    }

    pub(super) fn last_token_at(&self) -> Option<Nanos> {
        Some(Nanos(self.last_token_at.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }

    pub(super) fn done_at(&self) -> Option<Nanos> {
        Some(Nanos(self.done_at.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }

    pub(super) fn excess(&self) -> Option<Excess> {
        match self.excess.load(Ordering::Relaxed) {
            1 => Some(Excess::Event),
            2 => Some(Excess::Tokens),
            _ => None,
        }
    }
}

/// One block of one exchange on its way to the recorder.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Load thread and slot: parcels of one exchange have both in common.
    pub(super) from: (u16, u32),
    pub(super) signals: Arc<Signals>,
    /// Head of the response, in the first parcel after it arrived.
    pub(super) head: Option<Head>,
    /// The most tokens that were asked for.
    pub(super) max_tokens: Option<u32>,
    pub(super) block: Block,
    /// Set in the last parcel.
    pub(super) finished: Option<Box<Finished>>,
}

/// One request and its response, as the load thread sees them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) phase: u16,
    pub(super) index: u64,
    pub(super) turn: u32,
    pub(super) sample: u64,
    pub(super) max_tokens: Option<u32>,
    pub(super) scheduled: Nanos,
    pub(super) sent: Option<Nanos>,
    pub(super) connected: Option<Nanos>,
    pub(super) headers: Option<Stamp>,
    /// Whether every stamp is the kernel's.
    pub(super) stamps: StampSource,
    pub(super) body_bytes: u64,
}

impl Course {
    /// Returns the course of a request that has not been sent.
    pub(super) fn new(request: &Request, scheduled: Nanos) -> Self {
        Self {
            phase: request.phase,
            index: request.index,
            turn: request.turn,
            sample: request.sample,
            max_tokens: request.max_tokens,
            scheduled,
            sent: None,
            connected: None,
            headers: None,
            stamps: StampSource::Userspace,
            body_bytes: 0,
        }
    }
}

/// An exchange that is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) round: u32,
    pub(super) course: Course,
    pub(super) ended: Nanos,
    pub(super) ending: Ending,
    /// What a conversation goes on with: the body of this turn and the prompts to come.
    pub(super) conversation: Option<Conversation>,
}

/// The rest of a conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) body: Bytes,
    pub(super) next_turns: Vec<Prompt>,
}

/// The recorder's answer to a turn of a conversation.
#[derive(Debug)]
pub(super) enum FollowUp {
    /// The next turn and when it is due, which is now.
    Turn(Box<Request>, Nanos),
    /// The conversation is over.
    Over,
}
