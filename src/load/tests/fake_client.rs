//! An engine inside the test. It answers at exact times, on a clock that only it advances.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;

use bytes::Bytes;

use crate::load::assignment::{Due, Supplied, Supply};
use crate::load::in_flight::RecorderHandle;
use crate::load::recorder::Recorder;
use crate::load::transport::client::{Client, Ending, Head, Inbox, Key, Stamp, Waker};
use crate::load::transport::exchange::{Block, BodyBatch, FollowUp};
use crate::record::request::StampSource;
use crate::units::Nanos;

/// A part of an answer that arrives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Arrival {
    /// The head of a stream.
    Head,
    /// Bytes of the body.
    Body(String),
    /// The end.
    End,
}

/// Plans the answer to one request: each part, and how long after the send it arrives.
pub(crate) type Answers = Box<dyn FnMut(Nanos, &[u8]) -> Vec<(Nanos, Arrival)>>;

/// A planned arrival: its instant, its order among equal instants, and its exchange.
type Queued = (Nanos, u64, (u32, u32), Arrival);

/// A client whose engine is a function and whose clock jumps to the next arrival.
pub(crate) struct FakeClient {
    now: Nanos,
    answers: Answers,
    queue: BinaryHeap<Reverse<Queued>>,
    n_queued: u64,
    open: Vec<Key>,
    /// The most exchanges that were open at once.
    pub(crate) n_open_max: usize,
}

impl FakeClient {
    pub(crate) fn new(answers: Answers) -> Self {
        let (queue, open) = (BinaryHeap::new(), Vec::new());
        Self { now: Nanos::ZERO, answers, queue, n_queued: 0, open, n_open_max: 0 }
    }
}

impl Client for FakeClient {
    fn now(&self) -> Nanos {
        self.now
    }

    fn warm(&mut self, n_connections: u32, _deadline: Nanos) -> u32 {
        n_connections
    }

    fn send(&mut self, key: Key, body: Bytes, inbox: &mut impl Inbox) {
        inbox.sent(key, self.now);
        inbox.written(key, self.now, None);
        self.open.push(key);
        self.n_open_max = self.n_open_max.max(self.open.len());
        for (after, arrival) in (self.answers)(self.now, &body) {
            self.n_queued += 1;
            let place = (key.slot, key.generation);
            self.queue.push(Reverse((self.now + after, self.n_queued, place, arrival)));
        }
    }

    /// Arrivals in flight stay in the queue, as a careless transport would leave them.
    fn cancel(&mut self, key: Key) {
        self.open.retain(|open| *open != key);
    }

    fn wait(&mut self, until: Nanos, inbox: &mut impl Inbox) {
        let next = self.queue.peek().map(|Reverse((at, ..))| *at);
        let until = next.map_or(until, |next| next.min(until));
        self.now = self.now.max(until);
        while let Some(Reverse((at, ..))) = self.queue.peek()
            && *at <= self.now
            && let Some(Reverse((at, _, (slot, generation), arrival))) = self.queue.pop()
        {
            let key = Key { slot, generation };
            let stamp = Stamp { at, since: at, source: StampSource::Kernel };
            match arrival {
                Arrival::Head => {
                    let content_type = "text/event-stream".to_owned();
                    let (content_encoding, location) = (String::new(), String::new());
                    let head = Head { status: 200, content_type, content_encoding, location };
                    inbox.head(key, head, stamp);
                }
                Arrival::Body(text) => inbox.body(key, text.as_bytes(), stamp),
                Arrival::End => {
                    self.open.retain(|open| *open != key);
                    inbox.end(key, at, Ending::Complete);
                }
            }
        }
    }

    fn waker(&self) -> Waker {
        unreachable!("nothing runs beside a simulated client")
    }
}

/// A handle with the recorder behind it: each batch is decoded at once.
pub(crate) struct InlineDesk<'a> {
    pub(crate) recorder: Recorder<'a>,
    pub(crate) follow_ups: VecDeque<(u32, FollowUp)>,
}

impl RecorderHandle for InlineDesk<'_> {
    fn hand_over(&mut self, batch: Box<BodyBatch>) -> Result<(), Box<BodyBatch>> {
        self.follow_ups.extend(self.recorder.take(*batch).1);
        Ok(())
    }

    fn rest(&self) {}

    fn now(&self) -> Nanos {
        Nanos::ZERO
    }

    fn empty_block(&mut self) -> Block {
        Block::default()
    }

    fn follow_up(&mut self) -> Option<(u32, FollowUp)> {
        self.follow_ups.pop_front()
    }
}

/// A supply whose requests are all ready.
pub(crate) struct Ready<I>(pub(crate) I);

impl<I: Iterator<Item = Due>> Supply for Ready<I> {
    fn next(&mut self) -> Supplied {
        self.0.next().map_or(Supplied::Over, |due| Supplied::Due(Box::new(due)))
    }
}
