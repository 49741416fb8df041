//! The exchanges of a load thread that are in flight, and their hand-over to the recorder.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::assignment::PhaseAssignment;
use crate::load::spec::Live;
use crate::load::transport::client::{Deadline, Ending, Head, Inbox, Key, Stamp};
use crate::load::transport::exchange::{
    Block, BodyBatch, Conversation, Excess, Finished, FollowUp, RequestTiming, Signals,
};
use crate::record::request::{CancelCause, StampSource};
use crate::record::trial::Stalls;
use crate::units::Nanos;

/// Time within which a body must end after `[DONE]`.
const END_AFTER_DONE: Nanos = Nanos::from_secs(1);

/// The channel to the recorder.
pub(crate) trait RecorderHandle {
    /// Hands a batch over. The batch comes back when the channel is full.
    fn hand_over(&mut self, batch: Box<BodyBatch>) -> Result<(), Box<BodyBatch>>;

    /// Gives the recorder time to work.
    fn rest(&self);

    /// Returns the time from the trial's epoch.
    fn now(&self) -> Nanos;

    /// Returns an empty block to fill.
    fn empty_block(&mut self) -> Block;

    /// Returns the recorder's answer about a conversation, with the number of its round.
    fn follow_up(&mut self) -> Option<(u32, FollowUp)>;
}

/// The exchanges in flight.
pub(crate) struct InFlight<'a, D> {
    pub(crate) recorder: D,
    pub(crate) live: &'a Live,
    pub(crate) thread: u16,
    pub(crate) round: u32,
    pub(crate) slots: Vec<Slot>,
    pub(crate) free: Vec<u32>,
    pub(crate) n_running: u32,
    /// Conversations whose next turn the recorder is making.
    pub(crate) n_pondering: u32,
    /// When streams became free, oldest first; kept in closed loops.
    pub(crate) freed: VecDeque<Nanos>,
    pub(crate) keeps_freed: bool,
    /// Batches for which the channel had no room.
    pub(crate) backlog: VecDeque<Box<BodyBatch>>,
    pub(crate) backlog_bytes: usize,
    pub(crate) n_stalls: u64,
    /// Time in which the thread waited for the recorder, and so neither sent nor read.
    pub(crate) stalls: Stalls,
    pub(crate) last_end: Nanos,
}

#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) generation: u32,
    pub(crate) exchange: Option<Exchange>,
}

pub(crate) struct Exchange {
    pub(crate) timing: RequestTiming,
    pub(crate) begun: Nanos,
    pub(crate) head: Option<Head>,
    pub(crate) block: Block,
    pub(crate) block_since: Nanos,
    pub(crate) n_handed_over: u32,
    pub(crate) signals: Arc<Signals>,
    pub(crate) conversation: Option<Conversation>,
}

/// The largest backlog, in bytes. A load thread with more waits until half of it has been handed
/// over.
const MAX_BACKLOG_BYTES: usize = 8 << 20;

impl Exchange {
    pub(crate) fn new(timing: RequestTiming, begun: Nanos, block: Block) -> Self {
        Self {
            timing,
            begun,
            head: None,
            block,
            block_since: Nanos::ZERO,
            n_handed_over: 0,
            signals: Arc::default(),
            conversation: None,
        }
    }

    pub(crate) fn next_exact(&self, share: &PhaseAssignment) -> Option<Nanos> {
        let cancel_after = share.cancel_after.unwrap_or(Nanos(u64::MAX));
        let left = cancel_after.min(share.deadlines.total);
        self.timing.sent.map(|sent| Nanos(sent.0.saturating_add(left.0)))
    }

    /// Returns how the exchange must end now; `None` if it may go on.
    pub(crate) fn overdue(&self, now: Nanos, share: &PhaseAssignment) -> Option<Ending> {
        let deadlines = &share.deadlines;
        let Some(sent) = self.timing.sent else {
            let is_late = now.saturating_sub(self.begun) >= deadlines.connect;
            return is_late.then_some(Ending::TimedOut(Deadline::Connect));
        };
        let age = now.saturating_sub(sent);
        if share.cancel_after.is_some_and(|after| age >= after) {
            return Some(Ending::Cancelled(CancelCause::AfterTime));
        }
        match self.signals.excess() {
            Some(Excess::Event) => {
                return Some(Ending::TooLarge("an event or answer above the cap".to_owned()));
            }
            Some(Excess::Tokens) => {
                return Some(Ending::TooLarge("more output than was asked for".to_owned()));
            }
            None => {}
        }
        if age >= deadlines.total {
            return Some(Ending::TimedOut(Deadline::Total));
        }
        // The recorder's view counts only once it has decoded every block.
        if !self.block.is_empty() || self.signals.n_decoded() != self.n_handed_over {
            return None;
        }
        if let Some(done_at) = self.signals.done_at() {
            return (now.saturating_sub(done_at) >= END_AFTER_DONE).then_some(Ending::LeftOpen);
        }
        let (since, limit, which) = match self.signals.last_token_at() {
            None => (sent, deadlines.first_token, Deadline::FirstToken),
            Some(at) => (at, deadlines.between_tokens, Deadline::BetweenTokens),
        };
        (now.saturating_sub(since) >= limit).then_some(Ending::TimedOut(which))
    }
}

impl<'a, D: RecorderHandle> InFlight<'a, D> {
    pub(crate) fn new(recorder: D, live: &'a Live, thread: u16) -> Self {
        Self {
            recorder,
            live,
            thread,
            round: 0,
            slots: Vec::new(),
            free: Vec::new(),
            n_running: 0,
            n_pondering: 0,
            freed: VecDeque::new(),
            keeps_freed: false,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            n_stalls: 0,
            stalls: Stalls::default(),
            last_end: Nanos::ZERO,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.n_running == 0 && self.n_pondering == 0
    }

    pub(crate) fn place(&mut self, exchange: Exchange) -> Key {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        place.exchange = Some(exchange);
        self.n_running += 1;
        Key { slot, generation: place.generation }
    }

    fn exchange(&mut self, key: Key) -> Option<&mut Exchange> {
        let place = self.slots.get_mut(key.slot as usize)?;
        if place.generation == key.generation { place.exchange.as_mut() } else { None }
    }

    pub(crate) fn free_stream(&mut self, at: Nanos) {
        if self.keeps_freed {
            self.freed.push_back(at);
        }
    }

    pub(crate) fn hand_over(&mut self, slot: u32) {
        let block = self.recorder.empty_block();
        let Some(exchange) = &mut self.slots[slot as usize].exchange else { return };
        exchange.n_handed_over += 1;
        let batch = Box::new(BodyBatch {
            from: (self.thread, slot),
            signals: Arc::clone(&exchange.signals),
            head: exchange.head.take(),
            max_tokens: exchange.timing.max_tokens,
            block: std::mem::replace(&mut exchange.block, block),
            finished: None,
        });
        self.deliver(batch);
    }

    fn deliver(&mut self, batch: Box<BodyBatch>) {
        if self.backlog.is_empty() {
            if let Err(batch) = self.recorder.hand_over(batch) {
                self.n_stalls += 1;
                self.keep(batch);
            }
        } else {
            self.n_stalls += u64::from(batch.finished.is_some());
            self.keep(batch);
        }
    }

    fn keep(&mut self, batch: Box<BodyBatch>) {
        self.backlog_bytes += batch.block.bytes.capacity() + size_of::<Finished>();
        self.backlog.push_back(batch);
        if self.backlog_bytes > MAX_BACKLOG_BYTES {
            let from = self.recorder.now();
            self.flush_backlog(MAX_BACKLOG_BYTES / 2);
            self.stalls.add(from, self.recorder.now());
        }
    }

    pub(crate) fn retry_backlog(&mut self) {
        while let Some(batch) = self.backlog.pop_front() {
            let n_bytes = batch.block.bytes.capacity() + size_of::<Finished>();
            if let Err(batch) = self.recorder.hand_over(batch) {
                self.backlog.push_front(batch);
                return;
            }
            self.backlog_bytes -= n_bytes;
        }
    }

    /// Hands over until at most `n_left` bytes are left. The wait lasts while the recorder waits for
    /// its disk; who watches the trial leaves the program when one record takes minutes.
    pub(crate) fn flush_backlog(&mut self, n_left: usize) {
        self.retry_backlog();
        while self.backlog_bytes > n_left {
            self.recorder.rest();
            self.retry_backlog();
        }
    }
}

fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl<D: RecorderHandle> Inbox for InFlight<'_, D> {
    fn connected(&mut self, key: Key, at: Nanos) {
        if let Some(exchange) = self.exchange(key) {
            exchange.timing.connected = Some(at);
        }
    }

    fn sent(&mut self, key: Key, at: Nanos) {
        if let Some(exchange) = self.exchange(key) {
            exchange.timing.sent = Some(at);
            count(&self.live.sent, 1);
        }
    }

    fn written(&mut self, key: Key, at: Nanos, cpu: Option<Nanos>) {
        if let Some(exchange) = self.exchange(key) {
            exchange.timing.written = Some(at);
            exchange.timing.write_cpu = cpu;
        }
    }

    fn head(&mut self, key: Key, head: Head, first_byte: Stamp) {
        if let Some(exchange) = self.exchange(key) {
            exchange.head = Some(head);
            exchange.timing.headers = Some(first_byte);
            exchange.timing.stamps = first_byte.source;
        }
    }

    fn body(&mut self, key: Key, bytes: &[u8], stamp: Stamp) {
        let Some(exchange) = self.exchange(key) else { return };
        // The block is handed over before another read, not in the middle of one: a read may end
        // the exchange, and all its bytes then belong in one batch.
        if exchange.block.is_full_before(stamp.at) {
            self.hand_over(key.slot);
        }
        let Some(exchange) = self.exchange(key) else { return };
        if exchange.block.is_empty() {
            exchange.block_since = stamp.at;
        }
        exchange.block.push(bytes, stamp);
        exchange.timing.body_bytes += bytes.len() as u64;
        if stamp.source == StampSource::Userspace {
            exchange.timing.stamps = StampSource::Userspace;
        }
    }

    fn end(&mut self, key: Key, at: Nanos, ending: Ending) {
        if self.exchange(key).is_none() {
            return;
        }
        let Some(exchange) = self.slots[key.slot as usize].exchange.take() else { return };
        let goes_on = exchange.conversation.is_some() && !matches!(ending, Ending::Cancelled(_));
        self.free.push(key.slot);
        self.n_running -= 1;
        self.last_end = self.last_end.max(at);
        if goes_on {
            self.n_pondering += 1;
        } else {
            self.free_stream(at);
        }
        count(&self.live.bytes, exchange.timing.body_bytes);
        let finished = Finished {
            round: self.round,
            timing: exchange.timing,
            ended: at,
            ending,
            conversation: exchange.conversation.filter(|_| goes_on),
        };
        self.deliver(Box::new(BodyBatch {
            from: (self.thread, key.slot),
            signals: exchange.signals,
            head: exchange.head,
            max_tokens: exchange.timing.max_tokens,
            block: exchange.block,
            finished: Some(Box::new(finished)),
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::load::transport::exchange::BLOCK_BYTES;
    use crate::workload::request::Request;

    /// A recorder handle whose recorder waits for its disk until an instant.
    struct StuckRecorder {
        now: Cell<Nanos>,
        works_at: Nanos,
    }

    impl RecorderHandle for StuckRecorder {
        fn hand_over(&mut self, batch: Box<BodyBatch>) -> Result<(), Box<BodyBatch>> {
            if self.now.get() < self.works_at { Err(batch) } else { Ok(()) }
        }

        fn rest(&self) {
            self.now.set(self.now.get() + Nanos::from_millis(1));
        }

        fn now(&self) -> Nanos {
            self.now.get()
        }

        fn empty_block(&mut self) -> Block {
            Block::default()
        }

        fn follow_up(&mut self) -> Option<(u32, FollowUp)> {
            None
        }
    }

    #[test]
    fn a_load_thread_that_waits_for_a_disk_says_when_and_for_how_long() {
        let live = Live::default();
        let recorder =
            StuckRecorder { now: Cell::new(Nanos::from_secs(2)), works_at: Nanos::from_secs(6) };
        let mut in_flight = InFlight::new(recorder, &live, 0);
        let request = Request {
            index: 0,
            phase: 0,
            sample: 0,
            turn: 0,
            body: "{}".into(),
            max_tokens: None,
            next_turns: Vec::new(),
        };
        let bytes = vec![b'x'; BLOCK_BYTES];
        let mut exchange = || {
            let key = in_flight.place(Exchange::new(
                RequestTiming::new(&request, Nanos::ZERO),
                Nanos::ZERO,
                Block::default(),
            ));
            let (at, source) = (Nanos::ZERO, StampSource::Kernel);
            in_flight.body(key, &bytes, Stamp { at, since: at, source });
            in_flight.end(key, Nanos::ZERO, Ending::Complete);
            (in_flight.stalls, in_flight.backlog_bytes)
        };
        let (stalls, _) = exchange();
        assert_eq!(stalls, Stalls::default(), "a backlog with room is no stall");
        let stalled = (0..2 * MAX_BACKLOG_BYTES / BLOCK_BYTES).map(|_| exchange().0).last();
        let expected = Stalls {
            n: 1,
            total: Nanos::from_secs(4),
            longest: Nanos::from_secs(4),
            longest_from: Nanos::from_secs(2),
        };
        assert_eq!(stalled, Some(expected));
    }
}
