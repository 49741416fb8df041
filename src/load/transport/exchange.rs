//! What a load thread hands to the recorder: blocks of bytes with their stamps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;

use crate::load::transport::client::{Ending, Head, Stamp};
use crate::record::request::StampSource;
use crate::units::Nanos;
use crate::workload::request::{NextTurn, Request};

/// A block that holds this much is handed over before the next read.
pub(crate) const BLOCK_BYTES: usize = 8 << 10;

/// Body bytes of one exchange, with the stamp of every read.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    /// The reads, in order.
    pub(crate) reads: Vec<BlockRead>,
}

/// One read of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRead {
    /// The end of the read in the block's bytes.
    end: u32,
    /// The arrival of its last byte.
    pub(crate) at: Nanos,
    /// No byte of it arrived before this.
    pub(crate) since: Nanos,
    pub(crate) source: StampSource,
}

impl BlockRead {
    /// Returns by how much the bytes before the last one may be older than the stamp.
    pub(crate) fn slack(&self) -> Nanos {
        self.at.saturating_sub(self.since)
    }
}

impl Block {
    pub(crate) fn push(&mut self, bytes: &[u8], stamp: Stamp) {
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len() as u32;
        match self.reads.last_mut() {
            // Both parts belong to one read.
            Some(last) if last.at == stamp.at => last.end = end,
            _ => {
                let Stamp { at, since, source } = stamp;
                self.reads.push(BlockRead { end, at, since, source });
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// Whether the block is full and bytes that arrived at `at` begin another read.
    pub(crate) fn is_full_before(&self, at: Nanos) -> bool {
        self.bytes.len() >= BLOCK_BYTES && self.reads.last().is_none_or(|read| read.at != at)
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.reads.clear();
    }

    /// Returns the reads, each with its bytes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], BlockRead)> {
        self.reads.iter().scan(0, |start, &read| {
            let end = read.end as usize;
            let bytes = &self.bytes[*start..end];
            *start = end;
            Some((bytes, read))
        })
    }
}

/// The recorder's messages to the load thread about an exchange in flight.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Arrival of the last token, nanoseconds since the epoch; 0 before the first.
    last_token_at: AtomicU64,
    /// Arrival of `[DONE]`; 0 before it.
    done_at: AtomicU64,
    /// The number of decoded blocks.
    n_decoded: AtomicU32,
    excess: AtomicU8,
}

/// Why an exchange must be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Excess {
    /// An event exceeds the cap.
    Event = 1,
    /// The answer has more tokens than were asked for.
    Tokens = 2,
}

impl Signals {
    pub(crate) fn note_token(&self, at: Nanos) {
        self.last_token_at.store(at.0, Ordering::Relaxed);
    }

    pub(crate) fn note_done(&self, at: Nanos) {
        self.done_at.store(at.0, Ordering::Relaxed);
    }

    pub(crate) fn note_excess(&self, excess: Excess) {
        self.excess.store(excess as u8, Ordering::Relaxed);
    }

    /// Publishes all notes so far, and counts one more decoded block.
    pub(crate) fn note_decoded(&self) {
        self.n_decoded.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn n_decoded(&self) -> u32 {
        self.n_decoded.load(Ordering::Acquire)
    }

    pub(crate) fn last_token_at(&self) -> Option<Nanos> {
        Some(Nanos(self.last_token_at.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }

    pub(crate) fn done_at(&self) -> Option<Nanos> {
        Some(Nanos(self.done_at.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }

    pub(crate) fn excess(&self) -> Option<Excess> {
        match self.excess.load(Ordering::Relaxed) {
            1 => Some(Excess::Event),
            2 => Some(Excess::Tokens),
            _ => None,
        }
    }
}

/// One block of one exchange, with what the recorder needs for it.
#[derive(Debug)]
pub(crate) struct BodyBatch {
    /// Load thread and slot. All batches of one exchange share both.
    pub(crate) from: (u16, u32),
    pub(crate) signals: Arc<Signals>,
    /// Head of the response; set in the first batch after its arrival.
    pub(crate) head: Option<Head>,
    /// The requested limit of tokens.
    pub(crate) max_tokens: Option<u32>,
    pub(crate) block: Block,
    /// The end of the exchange; set in its last batch.
    pub(crate) finished: Option<Box<Finished>>,
}

/// One request and its response, as the load thread sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTiming {
    pub(crate) phase: u16,
    pub(crate) index: u64,
    pub(crate) turn: u32,
    pub(crate) sample: u64,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) scheduled: Nanos,
    pub(crate) sent: Option<Nanos>,
    pub(crate) written: Option<Nanos>,
    pub(crate) write_cpu: Option<Nanos>,
    pub(crate) connected: Option<Nanos>,
    pub(crate) headers: Option<Stamp>,
    /// The source of the stamps; `Kernel` only if every stamp is the kernel's.
    pub(crate) stamps: StampSource,
    pub(crate) body_bytes: u64,
}

impl RequestTiming {
    /// Returns the timing of a request that has not been sent.
    pub(crate) fn new(request: &Request, scheduled: Nanos) -> Self {
        Self {
            phase: request.phase,
            index: request.index,
            turn: request.turn,
            sample: request.sample,
            max_tokens: request.max_tokens,
            scheduled,
            sent: None,
            written: None,
            write_cpu: None,
            connected: None,
            headers: None,
            stamps: StampSource::Userspace,
            body_bytes: 0,
        }
    }
}

/// The end of an exchange.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) round: u32,
    pub(crate) timing: RequestTiming,
    pub(crate) ended: Nanos,
    pub(crate) ending: Ending,
    /// The rest of the conversation: this turn's body and the prompts to come.
    pub(crate) conversation: Option<Conversation>,
}

/// The rest of a conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) body: Bytes,
    pub(crate) next_turns: Vec<NextTurn>,
}

/// The recorder's answer to a turn of a conversation.
#[derive(Debug)]
pub(crate) enum FollowUp {
    /// The next turn, and the instant at which it is due.
    Turn(Box<Request>, Nanos),
    /// The conversation is over.
    Over,
}
