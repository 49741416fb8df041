//! The one loop that carries out every shape of load.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::load::client::{Client, Deadline, Ending, Head, Inbox, Key, Stamp};
use crate::load::exchange::{
    BLOCK_BYTES, Block, Conversation, Excess, Finished, FollowUp, NextTurn, Parcel, Signals,
};
use crate::load::spec::{Control, Live};
use crate::plan::cell::Deadlines;
use crate::record::request::{CancelCause, StampSource};
use crate::units::Nanos;
use crate::workload::arrivals::Gate;
use crate::workload::request::Request;

/// How often deadlines and interrupts are looked at.
const TICK: Nanos = Nanos::from_millis(10);
/// How long a load thread that outran its feeder waits for it.
const STARVED: Nanos = Nanos(200_000);
/// How long bytes wait before the recorder sees them, so that it knows of tokens in time.
const HAND_OVER_AFTER: Nanos = Nanos::from_millis(250);
/// Time that a body has to end after `[DONE]`.
const END_AFTER_DONE: Nanos = Nanos::from_secs(1);
/// Sends in a row before arrivals get a turn.
const SENDS_IN_A_ROW: u32 = 32;

/// A request and when it is due, from the phase's start.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) offset: Nanos,
    pub(super) request: Request,
}

/// Gives requests in the order of the schedule.
pub(super) trait Supply {
    fn next(&mut self) -> Supplied;
}

pub(super) enum Supplied {
    Due(Box<Due>),
    /// The next one is not made yet.
    NotYet,
    Over,
}

/// Takes parcels to the recorder.
pub(super) trait Desk {
    /// Takes a parcel, or gives it back when the recorder has too much to do.
    fn hand_over(&mut self, parcel: Box<Parcel>) -> Result<(), Box<Parcel>>;

    /// Takes a parcel, however long that takes.
    fn hand_over_patiently(&mut self, parcel: Box<Parcel>);

    /// Returns an empty block to fill.
    fn empty_block(&mut self) -> Block;

    /// Returns what the recorder said about a conversation of a round.
    fn follow_up(&mut self) -> Option<(u32, FollowUp)>;
}

/// One load thread's share of a phase.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// Number of the round; what belongs to an earlier one is dropped.
    pub(super) round: u32,
    pub(super) start: Nanos,
    pub(super) gate: Gate,
    /// No request is sent from here on. Set for loops that answers drive and time bounds.
    pub(super) stop_at: Option<Nanos>,
    /// The last due instant, for loops that the clock drives.
    pub(super) last_due: Option<Nanos>,
    /// A stream's next request is due when its last answer is over.
    pub(super) is_closed: bool,
    pub(super) drain: Nanos,
    pub(super) deadlines: Deadlines,
    pub(super) cancel_after: Option<Nanos>,
}

/// What one load thread did in a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) n_scheduled: u64,
    pub(super) last_sent: Option<Nanos>,
    pub(super) drained: Nanos,
    pub(super) n_stalls: u64,
    pub(super) interrupted: bool,
}

impl Tally {
    /// Returns what two threads did.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            n_scheduled: self.n_scheduled + other.n_scheduled,
            last_sent: self.last_sent.max(other.last_sent),
            drained: self.drained.max(other.drained),
            n_stalls: self.n_stalls + other.n_stalls,
            interrupted: self.interrupted || other.interrupted,
        }
    }
}

/// A load thread's state: its client and its exchanges.
pub(super) struct Driver<'a, C, D> {
    pub(super) client: C,
    floor: Floor<'a, D>,
}

/// The exchanges under way.
struct Floor<'a, D> {
    desk: D,
    live: &'a Live,
    thread: u16,
    round: u32,
    slots: Vec<Slot>,
    free: Vec<u32>,
    n_in_flight: u32,
    /// Conversations whose next turn is being made.
    n_pondering: u32,
    /// When streams became free, oldest first; kept in closed loops.
    freed: VecDeque<Nanos>,
    keeps_freed: bool,
    /// Parcels that the recorder had no room for.
    backlog: VecDeque<Box<Parcel>>,
    backlog_bytes: usize,
    n_stalls: u64,
    last_end: Nanos,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    exchange: Option<Exchange>,
}

struct Exchange {
    id: u64,
    phase: u16,
    sample: u64,
    turn: u32,
    max_tokens: Option<u32>,
    scheduled: Nanos,
    begun: Nanos,
    sent: Option<Nanos>,
    connected: Option<Nanos>,
    head: Option<Head>,
    headers: Option<Stamp>,
    stamps: StampSource,
    body_bytes: u64,
    block: Block,
    block_since: Nanos,
    n_handed_over: u32,
    signals: Arc<Signals>,
    conversation: Option<Conversation>,
}

/// Parcels that wait for the recorder are kept up to this size; beyond it the load thread waits
/// until half of them are taken.
const MAX_BACKLOG_BYTES: usize = 8 << 20;

impl<'a, C: Client, D: Desk> Driver<'a, C, D> {
    pub(super) fn new(client: C, desk: D, live: &'a Live, thread: u16) -> Self {
        let floor = Floor {
            desk,
            live,
            thread,
            round: 0,
            slots: Vec::new(),
            free: Vec::new(),
            n_in_flight: 0,
            n_pondering: 0,
            freed: VecDeque::new(),
            keeps_freed: false,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            n_stalls: 0,
            last_end: Nanos::ZERO,
        };
        Self { client, floor }
    }

    /// Carries out one phase: returns when every request of it has its end.
    pub(super) fn run_phase(
        &mut self,
        share: &Share,
        supply: &mut impl Supply,
        controls: &[&Control],
    ) -> Tally {
        self.floor.round = share.round;
        self.floor.freed.clear();
        self.floor.keeps_freed = share.is_closed;
        self.floor.last_end = share.start;
        let n_stalls_before = self.floor.n_stalls;
        let mut sends = Sends::new(share);
        let mut next_tick = share.start + TICK;
        loop {
            let now = self.client.now();
            self.floor.retry_backlog();
            if let Some(cause) = controls.iter().find_map(|control| control.cause()) {
                self.end_everything(cause, &mut sends, supply, share);
                sends.tally.interrupted = true;
                break;
            }
            self.take_follow_ups(&mut sends, share);
            let wake = self.send_what_is_due(&mut sends, supply, share);
            if sends.is_over && self.floor.is_empty() {
                break;
            }
            if sends.hard_end(share).is_some_and(|end| now >= end) {
                self.end_everything(CancelCause::Deadline, &mut sends, supply, share);
                break;
            }
            if now >= next_tick {
                next_tick = (now + TICK).min(self.watch(now, share));
            }
            self.client.wait(wake.min(next_tick), &mut self.floor);
        }
        self.floor.flush_backlog(0);
        sends.tally.drained = self.floor.last_end;
        sends.tally.n_stalls = self.floor.n_stalls - n_stalls_before;
        sends.tally
    }

    /// Sends every due request that the gate lets through; returns when the next one is due.
    fn send_what_is_due(
        &mut self,
        sends: &mut Sends,
        supply: &mut impl Supply,
        share: &Share,
    ) -> Nanos {
        for _ in 0..SENDS_IN_A_ROW {
            let now = self.client.now();
            if share.stop_at.is_some_and(|stop_at| now >= stop_at) {
                sends.is_over = true;
                sends.next = None;
            }
            let latest = share.stop_at.filter(|_| !sends.is_over).unwrap_or(now + TICK);
            match sends.peek(supply) {
                Peeked::Due(offset) => {
                    let due = share.start + offset;
                    if due > now {
                        return due.min(latest);
                    }
                }
                Peeked::NotYet => return now + STARVED,
                Peeked::Over => return latest,
            }
            if !sends.gate_admits(&self.floor, share.gate) {
                return latest;
            }
            let Some(due) = sends.next.take() else { return latest };
            let scheduled = match share.gate {
                // Due when the last answer of the batch before was over.
                Gate::Batch(_) => self.floor.last_end,
                _ => self.floor.freed.pop_front().unwrap_or(share.start + due.offset),
            };
            sends.tally.last_sent = Some(now);
            sends.tally.n_scheduled += 1;
            self.begin(due.request, scheduled);
        }
        // More is due, but arrivals come first.
        Nanos::ZERO
    }

    fn begin(&mut self, request: Request, scheduled: Nanos) {
        let conversation = (!request.next_turns.is_empty())
            .then(|| Conversation { body: request.body.clone(), next_turns: request.next_turns });
        let exchange = Exchange {
            id: request.id,
            phase: request.phase,
            sample: request.sample,
            turn: request.turn,
            max_tokens: request.max_tokens,
            conversation,
            ..Exchange::new(scheduled, self.client.now(), self.floor.desk.empty_block())
        };
        self.carry(exchange, request.body);
    }

    fn carry(&mut self, exchange: Exchange, body: Bytes) {
        let key = self.floor.place(exchange);
        self.client.send(key, body, &mut self.floor);
    }

    fn take_follow_ups(&mut self, sends: &mut Sends, share: &Share) {
        while let Some((round, follow_up)) = self.floor.desk.follow_up() {
            if round != share.round {
                continue;
            }
            self.floor.n_pondering -= 1;
            match follow_up {
                FollowUp::Turn(turn)
                    if share.stop_at.is_none_or(|stop_at| self.client.now() < stop_at) =>
                {
                    sends.tally.n_scheduled += 1;
                    sends.tally.last_sent = Some(self.client.now());
                    self.begin_turn(*turn);
                }
                FollowUp::Turn(_) | FollowUp::Over => self.floor.free_stream(self.client.now()),
            }
        }
    }

    fn begin_turn(&mut self, turn: NextTurn) {
        let body = turn.conversation.body.clone();
        let exchange = Exchange {
            id: turn.id,
            phase: turn.phase,
            sample: turn.sample,
            turn: turn.turn,
            max_tokens: turn.max_tokens,
            conversation: (!turn.conversation.next_turns.is_empty()).then_some(turn.conversation),
            ..Exchange::new(turn.due, self.client.now(), self.floor.desk.empty_block())
        };
        self.carry(exchange, body);
    }

    /// Looks at every exchange: hands over what waited, ends what is overdue. Returns when the
    /// next exact deadline is.
    fn watch(&mut self, now: Nanos, share: &Share) -> Nanos {
        let patience = HAND_OVER_AFTER
            .min(Nanos(share.deadlines.first_token.0 / 4))
            .min(Nanos(share.deadlines.between_tokens.0 / 4));
        let mut next_exact = now + TICK;
        for slot in 0..self.floor.slots.len() as u32 {
            let place = &mut self.floor.slots[slot as usize];
            let key = Key { slot, generation: place.generation };
            let Some(exchange) = &place.exchange else { continue };
            let is_waiting = !exchange.block.is_empty();
            if let Some(exact) = exchange.next_exact(share) {
                next_exact = next_exact.min(exact);
            }
            match exchange.overdue(now, share) {
                Some(ending) => {
                    self.client.cancel(key);
                    self.floor.end(key, now, ending);
                }
                None if is_waiting && now >= exchange.block_since + patience => {
                    self.floor.hand_over(slot);
                }
                None => {}
            }
        }
        next_exact.max(now)
    }

    /// Ends every exchange, and every request that is due and was not sent.
    fn end_everything(
        &mut self,
        cause: CancelCause,
        sends: &mut Sends,
        supply: &mut impl Supply,
        share: &Share,
    ) {
        let now = self.client.now();
        for slot in 0..self.floor.slots.len() as u32 {
            let place = &self.floor.slots[slot as usize];
            if place.exchange.is_none() {
                continue;
            }
            let key = Key { slot, generation: place.generation };
            self.client.cancel(key);
            self.floor.end(key, now, Ending::Cancelled(cause));
        }
        // Where answers drive the loop, what was not sent was not due yet either.
        let is_due_by_itself = !share.is_closed && !matches!(share.gate, Gate::Batch(_));
        if is_due_by_itself && share.stop_at.is_none() {
            while let Peeked::Due(offset) = sends.peek_patiently(supply) {
                if share.start + offset > now {
                    break;
                }
                let Some(due) = sends.next.take() else { break };
                sends.tally.n_scheduled += 1;
                let request = due.request;
                let exchange = Exchange {
                    id: request.id,
                    phase: request.phase,
                    sample: request.sample,
                    turn: request.turn,
                    max_tokens: request.max_tokens,
                    ..Exchange::new(share.start + due.offset, now, Block::default())
                };
                let key = self.floor.place(exchange);
                self.floor.end(key, now, Ending::Cancelled(cause));
            }
        }
        self.floor.n_pondering = 0;
        self.floor.last_end = now;
    }
}

/// What has been taken from the supply and what not.
struct Sends {
    next: Option<Box<Due>>,
    is_over: bool,
    /// Requests of the present batch that may still go.
    batch_left: u32,
    tally: Tally,
}

enum Peeked {
    Due(Nanos),
    NotYet,
    Over,
}

impl Sends {
    fn new(share: &Share) -> Self {
        let batch_left = match share.gate {
            Gate::Batch(size) => size,
            _ => 0,
        };
        Self { next: None, is_over: false, batch_left, tally: Tally::default() }
    }

    fn peek(&mut self, supply: &mut impl Supply) -> Peeked {
        if self.next.is_none() && !self.is_over {
            match supply.next() {
                Supplied::Due(due) => self.next = Some(due),
                Supplied::NotYet => return Peeked::NotYet,
                Supplied::Over => self.is_over = true,
            }
        }
        self.next.as_ref().map_or(Peeked::Over, |due| Peeked::Due(due.offset))
    }

    fn peek_patiently(&mut self, supply: &mut impl Supply) -> Peeked {
        loop {
            match self.peek(supply) {
                Peeked::NotYet => std::thread::yield_now(),
                peeked => return peeked,
            }
        }
    }

    fn gate_admits<D>(&mut self, floor: &Floor<'_, D>, gate: Gate) -> bool {
        let n_streams = floor.n_in_flight + floor.n_pondering;
        match gate {
            Gate::Open => true,
            Gate::Cap(cap) => n_streams < cap,
            Gate::Batch(size) => {
                if self.batch_left == 0 && n_streams == 0 {
                    self.batch_left = size;
                }
                let admits = self.batch_left > 0;
                self.batch_left = self.batch_left.saturating_sub(1);
                admits
            }
        }
    }

    /// Returns when responses have had their time.
    ///
    /// Where answers drive the loop and a count bounds it, each request has its own deadline,
    /// and the loop waits at least as long.
    fn hard_end(&self, share: &Share) -> Option<Nanos> {
        if let Some(stop_at) = share.stop_at {
            return Some(stop_at + share.drain);
        }
        if let Some(last_due) = share.last_due {
            return Some(share.start + last_due + share.drain);
        }
        let last_sent = self.tally.last_sent.filter(|_| self.is_over)?;
        Some(last_sent + share.drain.max(share.deadlines.total) + TICK + TICK)
    }
}

impl Exchange {
    fn new(scheduled: Nanos, begun: Nanos, block: Block) -> Self {
        Self {
            id: 0,
            phase: 0,
            sample: 0,
            turn: 0,
            max_tokens: None,
            scheduled,
            begun,
            sent: None,
            connected: None,
            head: None,
            headers: None,
            stamps: StampSource::Userspace,
            body_bytes: 0,
            block,
            block_since: Nanos::ZERO,
            n_handed_over: 0,
            signals: Arc::default(),
            conversation: None,
        }
    }

    fn next_exact(&self, share: &Share) -> Option<Nanos> {
        let cancel_after = share.cancel_after.unwrap_or(Nanos(u64::MAX));
        let left = cancel_after.min(share.deadlines.total);
        self.sent.map(|sent| Nanos(sent.0.saturating_add(left.0)))
    }

    /// Returns how the exchange has to end now, if it has to.
    fn overdue(&self, now: Nanos, share: &Share) -> Option<Ending> {
        let deadlines = &share.deadlines;
        let Some(sent) = self.sent else {
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
        // Only what the recorder has seen counts, and only when it has seen all.
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

impl<D: Desk> Floor<'_, D> {
    fn is_empty(&self) -> bool {
        self.n_in_flight == 0 && self.n_pondering == 0
    }

    fn place(&mut self, exchange: Exchange) -> Key {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        place.exchange = Some(exchange);
        self.n_in_flight += 1;
        Key { slot, generation: place.generation }
    }

    fn exchange(&mut self, key: Key) -> Option<&mut Exchange> {
        let place = self.slots.get_mut(key.slot as usize)?;
        if place.generation == key.generation { place.exchange.as_mut() } else { None }
    }

    fn free_stream(&mut self, at: Nanos) {
        if self.keeps_freed {
            self.freed.push_back(at);
        }
    }

    fn hand_over(&mut self, slot: u32) {
        let block = self.desk.empty_block();
        let Some(exchange) = &mut self.slots[slot as usize].exchange else { return };
        exchange.n_handed_over += 1;
        let parcel = Box::new(Parcel {
            from: (self.thread, slot),
            signals: Arc::clone(&exchange.signals),
            head: exchange.head.take(),
            max_tokens: exchange.max_tokens,
            block: std::mem::replace(&mut exchange.block, block),
            finished: None,
        });
        self.deliver(parcel);
    }

    fn deliver(&mut self, parcel: Box<Parcel>) {
        if self.backlog.is_empty() {
            if let Err(parcel) = self.desk.hand_over(parcel) {
                self.n_stalls += 1;
                self.keep(parcel);
            }
        } else {
            self.n_stalls += u64::from(parcel.finished.is_some());
            self.keep(parcel);
        }
    }

    fn keep(&mut self, parcel: Box<Parcel>) {
        self.backlog_bytes += parcel.block.bytes.capacity() + size_of::<Finished>();
        self.backlog.push_back(parcel);
        if self.backlog_bytes > MAX_BACKLOG_BYTES {
            self.flush_backlog(MAX_BACKLOG_BYTES / 2);
        }
    }

    fn retry_backlog(&mut self) {
        while let Some(parcel) = self.backlog.pop_front() {
            let n_bytes = parcel.block.bytes.capacity() + size_of::<Finished>();
            if let Err(parcel) = self.desk.hand_over(parcel) {
                self.backlog.push_front(parcel);
                return;
            }
            self.backlog_bytes -= n_bytes;
        }
    }

    /// Hands over until no more than so many bytes are left, however long that takes.
    fn flush_backlog(&mut self, n_left: usize) {
        while self.backlog_bytes > n_left
            && let Some(parcel) = self.backlog.pop_front()
        {
            self.backlog_bytes -= parcel.block.bytes.capacity() + size_of::<Finished>();
            self.desk.hand_over_patiently(parcel);
        }
    }
}

fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl<D: Desk> Inbox for Floor<'_, D> {
    fn connected(&mut self, key: Key, at: Nanos) {
        if let Some(exchange) = self.exchange(key) {
            exchange.connected = Some(at);
        }
    }

    fn sent(&mut self, key: Key, at: Nanos) {
        if let Some(exchange) = self.exchange(key) {
            exchange.sent = Some(at);
            count(&self.live.sent, 1);
        }
    }

    fn head(&mut self, key: Key, head: Head, first_byte: Stamp) {
        if let Some(exchange) = self.exchange(key) {
            exchange.head = Some(head);
            exchange.headers = Some(first_byte);
            exchange.stamps = first_byte.source;
        }
    }

    fn body(&mut self, key: Key, bytes: &[u8], stamp: Stamp) {
        let Some(exchange) = self.exchange(key) else { return };
        if exchange.block.is_empty() {
            exchange.block_since = stamp.at;
        }
        exchange.block.push(bytes, stamp.at);
        exchange.body_bytes += bytes.len() as u64;
        if stamp.source == StampSource::Userspace {
            exchange.stamps = StampSource::Userspace;
        }
        if exchange.block.bytes.len() >= BLOCK_BYTES {
            self.hand_over(key.slot);
        }
    }

    fn end(&mut self, key: Key, at: Nanos, ending: Ending) {
        if self.exchange(key).is_none() {
            return;
        }
        let Some(exchange) = self.slots[key.slot as usize].exchange.take() else { return };
        let goes_on = exchange.conversation.is_some() && !matches!(ending, Ending::Cancelled(_));
        self.free.push(key.slot);
        self.n_in_flight -= 1;
        self.last_end = self.last_end.max(at);
        if goes_on {
            self.n_pondering += 1;
        } else {
            self.free_stream(at);
        }
        count(&self.live.bytes, exchange.body_bytes);
        let finished = Finished {
            round: self.round,
            id: exchange.id,
            phase: exchange.phase,
            sample: exchange.sample,
            turn: exchange.turn,
            max_tokens: exchange.max_tokens,
            scheduled: exchange.scheduled,
            sent: exchange.sent,
            connected: exchange.connected,
            headers: exchange.headers,
            stamps: exchange.stamps,
            body_bytes: exchange.body_bytes,
            ended: at,
            ending,
            conversation: exchange.conversation.filter(|_| goes_on),
        };
        self.deliver(Box::new(Parcel {
            from: (self.thread, key.slot),
            signals: exchange.signals,
            head: exchange.head,
            max_tokens: exchange.max_tokens,
            block: exchange.block,
            finished: Some(Box::new(finished)),
        }));
    }
}
