//! The loop that carries out every shape of load.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::load::assignment::{Due, PhaseAssignment, Supplied, Supply, Tally};
use crate::load::in_flight::{Exchange, InFlight, RecorderHandle};
use crate::load::spec::{Control, Live};
use crate::load::transport::client::{Client, Ending, Inbox as _, Key};
use crate::load::transport::exchange::{Block, Conversation, FollowUp, RequestTiming};
use crate::load::wake_ahead::WakeAhead;
use crate::record::request::CancelCause;
use crate::record::trial::Stalls;
use crate::units::Nanos;
use crate::workload::arrivals::Gate;
use crate::workload::request::Request;

/// How often deadlines and interrupts are checked.
const TICK: Nanos = Nanos::from_millis(10);
/// How long a load thread waits for its feeder when the queue is empty.
const STARVED: Nanos = Nanos(200_000);
/// How long bytes may wait before the recorder gets them. The recorder must see tokens in time to
/// report them to the load thread.
const HAND_OVER_AFTER: Nanos = Nanos::from_millis(250);
/// Sends in a row before arrivals are read.
const SENDS_IN_A_ROW: u32 = 32;

/// A load thread's state: its client and its exchanges.
pub(crate) struct Driver<'a, C, D> {
    pub(crate) client: C,
    in_flight: InFlight<'a, D>,
    wake_ahead: WakeAhead,
}

impl<'a, C: Client, D: RecorderHandle> Driver<'a, C, D> {
    pub(crate) fn new(client: C, recorder: D, live: &'a Live, thread: u16) -> Self {
        let wake_ahead = WakeAhead::new(client.now());
        Self { client, in_flight: InFlight::new(recorder, live, thread), wake_ahead }
    }

    /// Carries out one phase. Returns when every request of the phase has ended.
    pub(crate) fn run_phase(
        &mut self,
        share: &PhaseAssignment,
        supply: &mut impl Supply,
        controls: &[&Control],
    ) -> Tally {
        self.in_flight.round = share.round;
        self.in_flight.freed.clear();
        self.in_flight.keeps_freed = share.is_closed;
        self.in_flight.last_end = share.start;
        let n_stalls_before = self.in_flight.n_stalls;
        self.in_flight.stalls = Stalls::default();
        let mut sends = Sends::new(share);
        self.wake_ahead = WakeAhead::new(self.client.now());
        let mut next_tick = share.start + TICK;
        loop {
            let now = self.client.now();
            self.in_flight.retry_backlog();
            if let Some(cause) = controls.iter().find_map(|control| control.cause()) {
                self.end_everything(cause, &mut sends, supply, share);
                sends.tally.interrupted = true;
                break;
            }
            if let Some(phase) = share.until_known
                && sends.tally.known_at.is_none()
            {
                if controls.iter().any(|control| control.is_over_saturated(phase)) {
                    sends.tally.known_at = Some(now);
                    self.end_everything(CancelCause::OverSaturated, &mut sends, supply, share);
                    break;
                }
                if controls.iter().any(|control| control.is_known(phase)) {
                    sends.tally.known_at = Some(now);
                }
            }
            self.take_follow_ups(&mut sends, share);
            let next_turn = self.send_turns(&mut sends, share);
            let wake = self.send_what_is_due(&mut sends, supply, share).min(next_turn);
            if sends.is_over && self.in_flight.is_empty() {
                break;
            }
            if sends.hard_end(share).is_some_and(|end| now >= end) {
                self.end_everything(CancelCause::Deadline, &mut sends, supply, share);
                break;
            }
            if now >= next_tick {
                next_tick = (now + TICK).min(self.watch(now, share));
            }
            let (asked_at, wake) = (self.client.now(), wake.min(next_tick));
            self.client.wait(wake, &mut self.in_flight);
            self.wake_ahead.learn(asked_at, wake, self.client.now());
        }
        // All requests have ended, so this wait delays no send and no read.
        self.in_flight.flush_backlog(0);
        sends.tally.stalls = self.in_flight.stalls;
        sends.tally.drained = self.in_flight.last_end;
        sends.tally.n_stalls = self.in_flight.n_stalls - n_stalls_before;
        sends.tally
    }

    /// Sends every due request that the gate lets through. Returns when the next one is due.
    fn send_what_is_due(
        &mut self,
        sends: &mut Sends,
        supply: &mut impl Supply,
        share: &PhaseAssignment,
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
                    // What the clock made due before is still sent.
                    let may_be_sent = |known_at| share.last_due.is_some() && due <= known_at;
                    if !sends.tally.known_at.is_none_or(may_be_sent) {
                        sends.is_over = true;
                        sends.next = None;
                        return latest;
                    }
                    if due > now {
                        return self.wake_ahead.wake_for(due, now).min(latest);
                    }
                }
                Peeked::NotYet => return now + STARVED,
                Peeked::Over => return latest,
            }
            if !sends.gate_admits(&self.in_flight, share.gate) {
                return latest;
            }
            let Some(due) = sends.next.take() else { return latest };
            let scheduled = match share.gate {
                // A batch is due when the last answer of the batch before it has ended.
                Gate::Batch(_) => self.in_flight.last_end,
                _ => self.in_flight.freed.pop_front().unwrap_or(share.start + due.offset),
            };
            sends.tally.last_sent = Some(now);
            sends.tally.n_scheduled += 1;
            self.begin(due.request, scheduled);
        }
        // More requests are due, but arrivals are read first.
        Nanos::ZERO
    }

    fn begin(&mut self, mut request: Request, scheduled: Nanos) {
        let timing = RequestTiming::new(&request, scheduled);
        let next_turns = std::mem::take(&mut request.next_turns);
        let conversation = (!next_turns.is_empty())
            .then(|| Conversation { body: request.body.clone(), next_turns });
        let block = self.in_flight.recorder.empty_block();
        let exchange = Exchange { conversation, ..Exchange::new(timing, self.client.now(), block) };
        let key = self.in_flight.place(exchange);
        self.client.send(key, request.body, &mut self.in_flight);
    }

    fn take_follow_ups(&mut self, sends: &mut Sends, share: &PhaseAssignment) {
        while let Some((round, follow_up)) = self.in_flight.recorder.follow_up() {
            if round != share.round {
                continue;
            }
            match follow_up {
                FollowUp::Turn(request, due) => {
                    let counted = share.no_turn_from.map_or(due, |end| due.min(end));
                    sends.tally.last_turn = sends.tally.last_turn.max(Some(counted));
                    sends.turns.push(Reverse(Turn { due, number: sends.n_turns, request }));
                    sends.n_turns += 1;
                }
                FollowUp::Over => {
                    self.in_flight.n_pondering -= 1;
                    self.in_flight.free_stream(self.client.now());
                }
            }
        }
    }

    /// Sends every turn of a conversation whose delay is over. Returns when the next one is due.
    fn send_turns(&mut self, sends: &mut Sends, share: &PhaseAssignment) -> Nanos {
        while let Some(Reverse(turn)) = sends.turns.peek() {
            let now = self.client.now();
            let is_over = sends.tally.known_at.is_some()
                || share.no_turn_from.is_some_and(|end| now.max(turn.due) >= end);
            if turn.due > now && !is_over {
                return self.wake_ahead.wake_for(turn.due, now);
            }
            let Some(Reverse(turn)) = sends.turns.pop() else { break };
            self.in_flight.n_pondering -= 1;
            if is_over {
                self.in_flight.free_stream(now);
            } else {
                sends.tally.n_scheduled += 1;
                sends.tally.last_sent = Some(now);
                self.begin(*turn.request, turn.due);
            }
        }
        Nanos(u64::MAX)
    }

    /// Checks every exchange: hands over the bytes that waited, and ends what is overdue. Returns
    /// the next deadline that falls before the next check.
    fn watch(&mut self, now: Nanos, share: &PhaseAssignment) -> Nanos {
        let patience = HAND_OVER_AFTER
            .min(Nanos(share.deadlines.first_token.0 / 4))
            .min(Nanos(share.deadlines.between_tokens.0 / 4));
        let mut next_exact = now + TICK;
        for slot in 0..self.in_flight.slots.len() as u32 {
            let place = &mut self.in_flight.slots[slot as usize];
            let key = Key { slot, generation: place.generation };
            let Some(exchange) = &place.exchange else { continue };
            let is_waiting = !exchange.block.is_empty();
            if let Some(exact) = exchange.next_exact(share) {
                next_exact = next_exact.min(exact);
            }
            match exchange.overdue(now, share) {
                Some(ending) => {
                    self.client.cancel(key);
                    self.in_flight.end(key, now, ending);
                }
                None if is_waiting && now >= exchange.block_since + patience => {
                    self.in_flight.hand_over(slot);
                }
                None => {}
            }
        }
        next_exact.max(now)
    }

    /// Ends every exchange, and every request that is due but was not sent.
    fn end_everything(
        &mut self,
        cause: CancelCause,
        sends: &mut Sends,
        supply: &mut impl Supply,
        share: &PhaseAssignment,
    ) {
        let now = self.client.now();
        for slot in 0..self.in_flight.slots.len() as u32 {
            let place = &self.in_flight.slots[slot as usize];
            if place.exchange.is_none() {
                continue;
            }
            let key = Key { slot, generation: place.generation };
            self.client.cancel(key);
            self.in_flight.end(key, now, Ending::Cancelled(cause));
        }
        // Where answers drive the loop, a request that was not sent was not due yet either.
        let is_due_by_itself = !share.is_closed && !matches!(share.gate, Gate::Batch(_));
        if is_due_by_itself && share.stop_at.is_none() {
            while let Peeked::Due(offset) = sends.peek_patiently(supply) {
                if share.start + offset > now {
                    break;
                }
                let Some(due) = sends.next.take() else { break };
                sends.tally.n_scheduled += 1;
                let timing = RequestTiming::new(&due.request, share.start + due.offset);
                let exchange = Exchange::new(timing, now, Block::default());
                let key = self.in_flight.place(exchange);
                self.in_flight.end(key, now, Ending::Cancelled(cause));
            }
        }
        sends.turns.clear();
        self.in_flight.n_pondering = 0;
        self.in_flight.last_end = now;
    }
}

/// The requests of a phase that were taken from the supply, and the state of the supply.
struct Sends {
    next: Option<Box<Due>>,
    is_over: bool,
    /// Requests of the present batch that may still be sent.
    batch_left: u32,
    /// Turns of conversations that wait for their delay to be over, the first due on top.
    turns: BinaryHeap<Reverse<Turn>>,
    n_turns: u64,
    tally: Tally,
}

/// A turn behind the first of a conversation.
struct Turn {
    due: Nanos,
    /// Those of one instant are sent in the order in which they came.
    number: u64,
    request: Box<Request>,
}

impl Turn {
    fn key(&self) -> (Nanos, u64) {
        (self.due, self.number)
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Turn {}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

enum Peeked {
    Due(Nanos),
    NotYet,
    Over,
}

impl Sends {
    fn new(share: &PhaseAssignment) -> Self {
        let batch_left = match share.gate {
            Gate::Batch(size) => size,
            _ => 0,
        };
        let (turns, tally) = (BinaryHeap::new(), Tally::default());
        Self { next: None, is_over: false, batch_left, turns, n_turns: 0, tally }
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

    fn gate_admits<D>(&mut self, in_flight: &InFlight<'_, D>, gate: Gate) -> bool {
        let n_streams = in_flight.n_running + in_flight.n_pondering;
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

    /// Returns when the time for responses is over.
    ///
    /// Where answers drive the loop and a count bounds it, each request has its own deadline. The
    /// loop then waits at least as long as the last of these.
    fn hard_end(&self, share: &PhaseAssignment) -> Option<Nanos> {
        if let Some(known_at) = self.tally.known_at {
            return Some(known_at + share.drain);
        }
        if let Some(stop_at) = share.stop_at {
            return Some(stop_at + share.drain);
        }
        if let Some(last_due) = share.last_due {
            return Some(self.tally.last_turn.max(Some(share.start + last_due))? + share.drain);
        }
        let last_sent = self.tally.last_sent.max(self.tally.last_turn).filter(|_| self.is_over)?;
        Some(last_sent + share.drain.max(share.deadlines.total) + TICK + TICK)
    }
}
