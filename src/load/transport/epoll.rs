//! The transport for `http://`: one epoll loop, one read per arrival, kernel stamps.
//!
//! A library between socket and stamp costs little CPU, but it adds a queue: with many streams
//! every connection task runs before the first body task stamps. Here each read is stamped before
//! the next one begins, and by the kernel wherever it can.

use std::io::{self, IoSlice, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

use crate::clock::thread_cpu;
use crate::load::clock::Epoch;
use crate::load::transport::client::{Client, Ending, Inbox, Key, Stamp, Waker};
use crate::load::transport::http1_framing::{Part, ResponseReader};
use crate::load::transport::socket::{Control, begin_connect, is_our_shortage, receive};
use crate::load::transport::turn::{Switches, Turn};
use crate::record::request::StampSource;
use crate::record::trial::GATHER;
use crate::units::Nanos;

const TIMER: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;
const READ_BYTES: usize = 128 << 10;
const MAX_EVENTS: usize = 1024;
/// A write that takes longer did not run all the time: the engine or another program had the CPU,
/// or the hypervisor.
const LONG_WRITE: Nanos = Nanos(50_000);
/// Number of arrivals in one wake-up from which gathering saves time.
const GATHER_FROM: usize = 2;

/// Carries requests over connections of its own.
pub(crate) struct EpollClient {
    epoch: Epoch,
    address: SocketAddr,
    /// Request line and headers up to `Content-Length: `.
    head: Bytes,
    epoll: Epoll,
    timer: TimerFd,
    armed: Nanos,
    waker: Arc<EventFd>,
    connections: Vec<Option<Connection>>,
    /// Unused places in `connections`.
    free: Vec<usize>,
    /// Open connections without an exchange; the last one is the one used last.
    idle: Vec<usize>,
    /// Whether a connection serves more than one exchange.
    reuse: bool,
    events: Vec<EpollEvent>,
    buffer: Box<[u8]>,
    control: Control,
    turn: Turn,
    /// Those when the kernel had answered.
    switches: Option<Switches>,
    pace: Pace,
}

/// Decides when to let arrivals gather.
#[derive(Default)]
struct Pace {
    last_wake: Nanos,
    /// Whether the last wake-up brought several arrivals and ended no exchange.
    is_dense: bool,
}

struct Connection {
    stream: TcpStream,
    state: State,
    reader: ResponseReader,
    /// Arrival of the first byte of the response's head.
    first_byte: Option<Stamp>,
    n_served: u32,
    last_stamp: Nanos,
}

enum State {
    Connecting { exchange: Option<(Key, Bytes)> },
    Idle,
    Sending { key: Key, head_end: Bytes, body: Bytes, n_written: usize },
    Receiving { key: Key },
}

impl State {
    fn key(&self) -> Option<Key> {
        match self {
            Self::Connecting { exchange } => exchange.as_ref().map(|(key, _)| *key),
            Self::Idle => None,
            Self::Sending { key, .. } | Self::Receiving { key } => Some(*key),
        }
    }
}

/// The moment at which epoll returned.
#[derive(Clone, Copy)]
struct Wake {
    at: Nanos,
    /// The number to subtract from wall-clock stamps.
    wall_offset_ns: u64,
}

/// What to do with a connection after serving it.
enum Next {
    Keep,
    Close,
}

impl EpollClient {
    /// Returns a client without connections, to be driven by one thread.
    pub(crate) fn new(
        epoch: Epoch,
        address: SocketAddr,
        head: Bytes,
        reuse: bool,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        let waker = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(timer.as_fd(), EpollEvent::new(flags, TIMER))?;
        epoll.add(waker.as_fd(), EpollEvent::new(flags, WAKER))?;
        Ok(Self {
            epoch,
            address,
            head,
            epoll,
            timer,
            armed: Nanos::ZERO,
            waker: Arc::new(waker),
            connections: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            reuse,
            events: vec![EpollEvent::empty(); MAX_EVENTS],
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            control: [0; 64],
            turn: Turn::default(),
            switches: None,
            pace: Pace::default(),
        })
    }

    fn open(&mut self, exchange: Option<(Key, Bytes)>) -> io::Result<()> {
        let stream = begin_connect(self.address)?;
        let place = self.free.pop().unwrap_or(self.connections.len());
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        self.epoll.add(stream.as_fd(), EpollEvent::new(flags, place as u64))?;
        let connection = Connection {
            stream,
            state: State::Connecting { exchange },
            reader: ResponseReader::default(),
            first_byte: None,
            n_served: 0,
            last_stamp: Nanos::ZERO,
        };
        if place == self.connections.len() {
            self.connections.push(Some(connection));
        } else {
            self.connections[place] = Some(connection);
        }
        Ok(())
    }

    /// Closes a connection. The kernel removes it from the epoll set.
    fn close(&mut self, place: usize) {
        if self.connections[place].take().is_some() {
            self.idle.retain(|idle| *idle != place);
            self.free.push(place);
        }
    }

    fn start(&mut self, place: usize, key: Key, body: Bytes, inbox: &mut impl Inbox) {
        let Some(connection) = &mut self.connections[place] else { return };
        let head_end = Bytes::from(format!("{}\r\n\r\n", body.len()));
        connection.reader.reset();
        connection.first_byte = None;
        connection.state = State::Sending { key, head_end, body, n_written: 0 };
        self.write(place, true, inbox);
    }

    /// Writes what is left of a request, or all of it if it has not begun.
    fn write(&mut self, place: usize, begins: bool, inbox: &mut impl Inbox) {
        let Some(connection) = &mut self.connections[place] else { return };
        let State::Sending { key, head_end, body, n_written } = &mut connection.state else {
            return;
        };
        let key = *key;
        // Between this stamp and the write nothing is done: who loses the CPU there has not
        // written yet, and the CPU time of the write does not say it.
        let begun = begins.then(|| (thread_cpu(), self.epoch.elapsed()));
        let result = loop {
            let mut slices = [IoSlice::new(&self.head), IoSlice::new(head_end), IoSlice::new(body)];
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, *n_written);
            if rest.is_empty() {
                break Ok(true);
            }
            match connection.stream.write_vectored(rest) {
                Ok(n) => *n_written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let now = self.epoch.elapsed();
        if let Some((_, at)) = begun {
            connection.last_stamp = at;
            inbox.sent(key, at);
        }
        match result {
            Ok(true) => {
                connection.state = State::Receiving { key };
                let cpu = begun
                    .filter(|(_, at)| now.saturating_sub(*at) > LONG_WRITE)
                    .filter(|_| self.was_preempted())
                    .map(|(cpu, _)| thread_cpu().saturating_sub(cpu));
                inbox.written(key, now, cpu);
            }
            Ok(false) => {}
            Err(error) => {
                let reused = connection.n_served > 0;
                let ending = Ending::NoResponse { reused, why: error.to_string() };
                self.close(place);
                inbox.end(key, self.epoch.elapsed(), ending);
            }
        }
    }

    /// Whether others took the CPU since the kernel's last answer, and nothing else kept the
    /// thread from running.
    fn was_preempted(&mut self) -> bool {
        let before = std::mem::replace(&mut self.switches, Switches::now());
        before.zip(self.switches).is_some_and(|(before, now)| now.was_preempted_since(before))
    }

    /// Serves one connection that epoll reported.
    fn serve(&mut self, place: usize, flags: EpollFlags, wake: Wake, inbox: &mut impl Inbox) {
        let Some(connection) = &mut self.connections[place] else { return };
        if let State::Connecting { .. } = &connection.state {
            let failure = match connection.stream.take_error() {
                Ok(None) if flags.contains(EpollFlags::EPOLLOUT) => None,
                Ok(None) => return,
                Ok(Some(error)) | Err(error) => Some(error),
            };
            self.opened(place, failure, inbox);
        } else if let State::Sending { .. } = connection.state
            && flags.contains(EpollFlags::EPOLLOUT)
        {
            self.write(place, false, inbox);
        }
        let readable = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLHUP
            | EpollFlags::EPOLLERR;
        if flags.intersects(readable) {
            self.read(place, flags, wake, inbox);
        }
    }

    fn opened(&mut self, place: usize, failure: Option<io::Error>, inbox: &mut impl Inbox) {
        let Some(connection) = &mut self.connections[place] else { return };
        let State::Connecting { exchange } = &mut connection.state else { return };
        let exchange = exchange.take();
        connection.state = State::Idle;
        match (failure, exchange) {
            (None, None) => self.idle.push(place),
            (None, Some((key, body))) => {
                inbox.connected(key, self.epoch.elapsed());
                self.start(place, key, body, inbox);
            }
            (Some(error), exchange) => {
                self.close(place);
                if let Some((key, _)) = exchange {
                    inbox.end(key, self.epoch.elapsed(), connect_ending(&error));
                }
            }
        }
    }

    /// Reads until nothing is left. A read that leaves room in the buffer was the last one, unless
    /// the engine closed the connection: epoll reports later arrivals again.
    fn read(&mut self, place: usize, flags: EpollFlags, wake: Wake, inbox: &mut impl Inbox) {
        let may_be_closed =
            flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        loop {
            let Some(connection) = &mut self.connections[place] else { return };
            let received = match receive(&connection.stream, &mut self.buffer, &mut self.control) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.closed(place, &error.to_string(), inbox),
            };
            if received.n_bytes == 0 {
                return self.closed(place, "connection closed", inbox);
            }
            let since = self.turn.since().max(connection.last_stamp);
            let stamp = if let Some(unix_ns) = received.unix_ns {
                let at = Nanos(unix_ns.saturating_sub(wake.wall_offset_ns));
                // A step of the wall clock must not move an arrival into the future or before an
                // earlier one. The clock is read only where that could have happened.
                let at = if at > wake.at { at.min(self.epoch.elapsed()) } else { at };
                let at = at.max(connection.last_stamp);
                Stamp { at, since: since.min(at), source: StampSource::Kernel }
            } else {
                let since = self.turn.since();
                Stamp { at: self.epoch.elapsed(), since, source: StampSource::Userspace }
            };
            connection.last_stamp = stamp.at;
            let next = connection.take(&self.buffer[..received.n_bytes], stamp, inbox);
            match next {
                Some(Next::Keep) if self.reuse => {
                    self.pace.is_dense = false;
                    self.idle.push(place);
                }
                Some(Next::Close | Next::Keep) => {
                    self.pace.is_dense = false;
                    return self.close(place);
                }
                None => {}
            }
            if received.n_bytes < READ_BYTES && !may_be_closed {
                return;
            }
        }
    }

    fn closed(&mut self, place: usize, why: &str, inbox: &mut impl Inbox) {
        let now = self.epoch.elapsed();
        if let Some(connection) = &self.connections[place]
            && let Some(key) = connection.state.key()
        {
            let ending = if connection.reader.ends_with_connection() {
                Ending::Complete
            } else if connection.first_byte.is_some() {
                Ending::ClosedEarly(why.to_owned())
            } else {
                Ending::NoResponse { reused: connection.n_served > 0, why: why.to_owned() }
            };
            inbox.end(key, now, ending);
        }
        self.close(place);
    }

    fn arm(&mut self, until: Nanos) {
        if until != self.armed {
            let at = Expiration::OneShot(self.epoch.absolute(until));
            self.timer
                .set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)
                .expect("an absolute time after the epoch is a valid timer setting");
            self.armed = until;
        }
    }

    fn poll(&mut self, timeout: EpollTimeout, inbox: &mut impl Inbox) -> usize {
        let before = Switches::now();
        let (n_events, is_answered) = match self.epoll.wait(&mut self.events, timeout) {
            Ok(n_events) => (n_events, true),
            Err(nix::Error::EINTR) => (0, false),
            Err(error) => unreachable!("epoll_wait on our own descriptor: {error}"),
        };
        let wake = Wake { at: self.epoch.elapsed(), wall_offset_ns: self.epoch.wall_offset_ns() };
        self.switches = Switches::now();
        if is_answered
            && let (Some(before), Some(after)) = (before, self.switches)
            && after.ran_on_since(before)
        {
            self.turn.answered(wake.at);
        }
        if n_events == MAX_EVENTS {
            self.turn.was_partial();
        }
        let mut n_served = 0;
        for i in 0..n_events {
            let event = self.events[i];
            match event.data() {
                TIMER => {
                    self.armed = Nanos::ZERO;
                }
                WAKER => {
                    // Reading resets the counter. An error means that it is already 0.
                    let _ = self.waker.read();
                }
                place => {
                    n_served += 1;
                    self.serve(place as usize, event.events(), wake, inbox);
                }
            }
        }
        n_served
    }
}

impl Connection {
    /// Passes on what was read. Returns `Some` if that ended the exchange.
    fn take(&mut self, bytes: &[u8], stamp: Stamp, inbox: &mut impl Inbox) -> Option<Next> {
        let (State::Receiving { key } | State::Sending { key, .. }) = self.state else {
            // Bytes without a request are a fault, so the connection is closed.
            return Some(Next::Close);
        };
        let first_byte = *self.first_byte.get_or_insert(stamp);
        let used = self.reader.read(bytes, |part| match part {
            Part::Head(head) => inbox.head(key, head, first_byte),
            Part::Body(bytes) => inbox.body(key, bytes, stamp),
        });
        let used = match used {
            Ok(used) => used,
            Err(error) => {
                self.state = State::Idle;
                inbox.end(key, stamp.at, Ending::Protocol(error.to_string()));
                return Some(Next::Close);
            }
        };
        if !self.reader.is_complete() {
            return None;
        }
        // The answer is complete before its request was sent. The engine would take the rest of
        // the request for the next one.
        let was_sending = matches!(self.state, State::Sending { .. });
        self.state = State::Idle;
        self.n_served += 1;
        inbox.end(key, stamp.at, Ending::Complete);
        let keep = self.reader.keeps_alive() && used == bytes.len() && !was_sending;
        Some(if keep { Next::Keep } else { Next::Close })
    }
}

fn connect_ending(error: &io::Error) -> Ending {
    if is_our_shortage(error) {
        Ending::ClientResources(error.to_string())
    } else {
        Ending::Connect(error.to_string())
    }
}

/// Drops every event; for connections that are opened in advance.
struct Nobody;

impl Inbox for Nobody {
    fn connected(&mut self, _key: Key, _at: Nanos) {}
    fn sent(&mut self, _key: Key, _at: Nanos) {}
    fn written(&mut self, _key: Key, _at: Nanos, _cpu: Option<Nanos>) {}
    fn head(&mut self, _key: Key, _head: crate::load::transport::client::Head, _first_byte: Stamp) {
    }
    fn body(&mut self, _key: Key, _bytes: &[u8], _stamp: Stamp) {}
    fn end(&mut self, _key: Key, _at: Nanos, _ending: Ending) {}
}

impl Client for EpollClient {
    fn now(&self) -> Nanos {
        self.epoch.elapsed()
    }

    fn warm(&mut self, n_connections: u32, deadline: Nanos) -> u32 {
        // Many servers have a short accept queue, so only a few connections are opened at once.
        const AT_ONCE: usize = 32;
        let wanted = n_connections as usize;
        let mut n_tried = self.idle.len();
        while self.idle.len() < wanted && self.now() < deadline {
            let n_opening = self.connections.iter().flatten().count() - self.idle.len();
            let n_more = (wanted - n_tried).min(AT_ONCE.saturating_sub(n_opening));
            for _ in 0..n_more {
                if self.open(None).is_err() {
                    n_tried = wanted;
                    break;
                }
                n_tried += 1;
            }
            if n_more == 0 && n_opening == 0 {
                break;
            }
            self.poll(EpollTimeout::from(10_u8), &mut Nobody);
        }
        self.idle.len() as u32
    }

    fn send(&mut self, key: Key, body: Bytes, inbox: &mut impl Inbox) {
        if let Some(place) = self.idle.pop() {
            self.start(place, key, body, inbox);
        } else if let Err(error) = self.open(Some((key, body))) {
            inbox.end(key, self.epoch.elapsed(), connect_ending(&error));
        }
    }

    fn cancel(&mut self, key: Key) {
        let place = self.connections.iter().position(|connection| {
            connection.as_ref().is_some_and(|connection| connection.state.key() == Some(key))
        });
        if let Some(place) = place {
            self.close(place);
        }
    }

    fn wait(&mut self, until: Nanos, inbox: &mut impl Inbox) {
        if self.pace.is_dense {
            let gathered = self.pace.last_wake + GATHER;
            if gathered < until {
                self.epoch.sleep_until(gathered);
            }
        }
        self.pace.is_dense = true;
        let now = self.now();
        self.turn.begin(now);
        let n_served = if until <= now {
            self.poll(EpollTimeout::ZERO, inbox)
        } else {
            self.arm(until);
            self.poll(EpollTimeout::NONE, inbox)
        };
        self.pace.last_wake = self.now();
        self.pace.is_dense &= n_served >= GATHER_FROM;
    }

    fn waker(&self) -> Waker {
        let waker = Arc::clone(&self.waker);
        Arc::new(move || {
            // A counter that is already full wakes the thread too.
            let _ = waker.write(1);
        })
    }
}
