//! Sockets and timers of the simulated engine: one thread, one epoll, one timerfd.
//!
//! tokio's timers are a millisecond late; here events wait in a heap by absolute deadline, and
//! a single absolute timerfd wakes the thread for the first of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use socket2::{Domain, Socket, Type};

use super::clock;
use super::conn::{Conn, Read, Whole, Work};
use super::engine::{Engine, Job, Reply};
use super::event::{Framing, SentStamp};
use super::head::{BadHead, Head};
use super::slots::Admission;
use super::stream::{End, Next};
use super::truth::{TruthLog, TruthRow};
use crate::serve::ServeError;
use crate::units::Nanos;

/// Connections that may wait for `accept`.
const BACKLOG: i32 = 4096;
/// Bytes that one read takes.
const READ_BYTES: usize = 64 << 10;
/// Unsent bytes at which an answer waits for its client.
const MAX_UNSENT_BYTES: usize = 1 << 20;
/// Bytes of a request that are kept while it is incomplete.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// Due events that are handled before sockets get their turn.
const EVENTS_PER_TURN: usize = 64;

const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const STOP: u64 = u64::MAX - 2;

/// How the reactor writes, as faults have it.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteFaults {
    /// Bytes of one write.
    pub split_bytes: Option<usize>,
    /// Bytes per second.
    pub drip: Option<u32>,
    /// Time between comments in a stream.
    pub heartbeat: Option<Nanos>,
    /// Time after which an idle connection is closed.
    pub close_idle: Option<Nanos>,
    /// Lines of events end with CR LF.
    pub crlf: bool,
}

/// How [`Reactor::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was asked to.
    Asked,
    /// A fault has the process die.
    Die,
}

/// The simulated engine's door.
#[derive(Debug)]
pub struct Reactor {
    engine: Engine,
    write_faults: WriteFaults,
    spin: Nanos,
    truth: Option<TruthLog>,
    epoll: Epoll,
    timer: TimerFd,
    armed: Option<Nanos>,
    stop: Arc<EventFd>,
    listener: TcpListener,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    n_accepted: u64,
    heap: BinaryHeap<Reverse<Timer>>,
    n_timers: u64,
    must_die: bool,
}

/// Something that is due. Ordered by instant, then by the order in which it was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    due: Nanos,
    number: u64,
    slot: usize,
    conn_id: u64,
    n_requests: u64,
    kind: TimerKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TimerKind {
    Work,
    Heartbeat,
    Idle,
    Drip,
}

/// Opens the port.
///
/// # Errors
/// [`ServeError::Bind`] when it cannot be had.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Accepted sockets inherit both.
        socket.set_tcp_nodelay(true)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|source| ServeError::Bind { address, source })
}

impl Reactor {
    /// Returns a reactor that serves on an open port.
    ///
    /// # Errors
    /// [`ServeError::System`] when the system has no epoll, timer or event descriptor left.
    pub fn new(
        listener: TcpListener,
        engine: Engine,
        write_faults: WriteFaults,
        spin: Nanos,
        truth: Option<TruthLog>,
    ) -> Result<Self, ServeError> {
        let system = ServeError::system::<nix::Error>;
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system("cannot make an epoll"))?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )
        .map_err(system("cannot make a timer"))?;
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(system("cannot make an event descriptor"))?;
        let watch = |fd: std::os::fd::BorrowedFd<'_>, flags, key| {
            epoll
                .add(fd, EpollEvent::new(flags, key))
                .map_err(ServeError::system::<nix::Error>("cannot watch a descriptor"))
        };
        watch(listener.as_fd(), EpollFlags::EPOLLIN, LISTENER)?;
        // Edge-triggered: an expiry needs no read, and a new deadline makes a new edge.
        watch(timer.as_fd(), EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER)?;
        watch(stop.as_fd(), EpollFlags::EPOLLIN, STOP)?;
        Ok(Self {
            engine,
            write_faults,
            spin,
            truth,
            epoll,
            timer,
            armed: None,
            stop: Arc::new(stop),
            listener,
            conns: Vec::new(),
            free: Vec::new(),
            n_accepted: 0,
            heap: BinaryHeap::new(),
            n_timers: 0,
            must_die: false,
        })
    }

    /// Returns what ends [`run`](Self::run) when something is written to it.
    pub fn stopper(&self) -> Arc<EventFd> {
        Arc::clone(&self.stop)
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// [`ServeError::System`] when waiting for sockets fails.
    pub fn run(mut self) -> Result<Stopped, ServeError> {
        let mut events = vec![EpollEvent::empty(); 256];
        let mut buffer = vec![0; READ_BYTES];
        let stopped = loop {
            self.run_due();
            let timeout = self.time_to_wait()?;
            let n_events = match self.epoll.wait(&mut events, timeout) {
                Ok(n_events) => n_events,
                Err(nix::Error::EINTR) => 0,
                Err(error) => return Err(ServeError::system("cannot wait for sockets")(error)),
            };
            if events[..n_events].iter().any(|event| event.data() == STOP) {
                break Stopped::Asked;
            }
            for event in &events[..n_events] {
                match event.data() {
                    LISTENER => self.accept(),
                    TIMER => self.armed = None,
                    slot => self.on_socket(slot as usize, event.events(), &mut buffer),
                }
            }
            if self.must_die {
                break Stopped::Die;
            }
        };
        if let Some(truth) = &self.truth {
            truth.push(&self.engine.truth_totals());
        }
        Ok(stopped)
    }

    /// Arms the timer for the next deadline, and returns how to wait.
    fn time_to_wait(&mut self) -> Result<EpollTimeout, ServeError> {
        let Some(Reverse(next)) = self.heap.peek() else { return Ok(EpollTimeout::NONE) };
        let due = next.due;
        let wake = due.saturating_sub(self.spin);
        if wake <= clock::monotonic() {
            return Ok(EpollTimeout::ZERO);
        }
        if self.armed != Some(wake) {
            let at = TimeSpec::nanoseconds(i64::try_from(wake.0).unwrap_or(i64::MAX));
            self.timer
                .set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
                .map_err(ServeError::system::<nix::Error>("cannot set the timer"))?;
            self.armed = Some(wake);
        }
        Ok(EpollTimeout::NONE)
    }

    fn accept(&mut self) {
        // Bounded, so that a flood of connections cannot keep due events from being sent.
        for _ in 0..EVENTS_PER_TURN {
            // When descriptors run out the connection stays in the backlog.
            let Ok((stream, _)) = self.listener.accept() else { return };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let slot = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            self.n_accepted += 1;
            let conn = Conn::new(self.n_accepted, stream);
            if self.watch(&conn, slot, true).is_ok() {
                self.conns[slot] = Some(conn);
                self.plan_idle(slot);
            } else {
                self.free.push(slot);
            }
        }
    }

    fn watch(&self, conn: &Conn, slot: usize, is_new: bool) -> nix::Result<()> {
        let mut flags = EpollFlags::EPOLLIN;
        if conn.wants_write {
            flags |= EpollFlags::EPOLLOUT;
        }
        let mut event = EpollEvent::new(flags, slot as u64);
        if is_new {
            self.epoll.add(conn.socket(), event)
        } else {
            self.epoll.modify(conn.socket(), &mut event)
        }
    }

    fn plan(&mut self, slot: usize, due: Nanos, kind: TimerKind) {
        let Some(conn) = &self.conns[slot] else { return };
        self.n_timers += 1;
        self.heap.push(Reverse(Timer {
            due,
            number: self.n_timers,
            slot,
            conn_id: conn.id,
            n_requests: conn.n_requests,
            kind,
        }));
    }

    fn plan_idle(&mut self, slot: usize) {
        if let Some(after) = self.write_faults.close_idle {
            self.plan(slot, clock::monotonic() + after, TimerKind::Idle);
        }
    }

    fn run_due(&mut self) {
        for _ in 0..EVENTS_PER_TURN {
            match self.heap.peek() {
                Some(Reverse(timer)) if timer.due <= clock::monotonic() => {}
                _ => return,
            }
            let Some(Reverse(timer)) = self.heap.pop() else { return };
            let Some(conn) = self.conns[timer.slot].as_mut() else { continue };
            if conn.id != timer.conn_id {
                continue;
            }
            if timer.kind == TimerKind::Drip {
                conn.is_dripping = false;
                self.flush(timer.slot);
                continue;
            }
            if conn.n_requests != timer.n_requests {
                continue;
            }
            match timer.kind {
                TimerKind::Work => self.work(timer.slot, timer.due),
                TimerKind::Heartbeat => self.heartbeat(timer.slot),
                TimerKind::Idle if matches!(conn.work, Work::Idle) => self.drop_conn(timer.slot),
                TimerKind::Idle | TimerKind::Drip => {}
            }
        }
    }

    fn heartbeat(&mut self, slot: usize) {
        let (Some(every), Some(conn)) = (self.write_faults.heartbeat, self.conns[slot].as_mut())
        else {
            return;
        };
        if matches!(conn.work, Work::Streaming(..) | Work::Silent(_)) {
            let framing = Framing { crlf: self.write_faults.crlf };
            framing.write_comment("keep-alive", conn.outbox());
            self.plan(slot, clock::monotonic() + every, TimerKind::Heartbeat);
            self.flush(slot);
        }
    }

    /// Sends what is due on a connection.
    fn work(&mut self, slot: usize, due: Nanos) {
        let responses = self.engine.responses();
        let Some(conn) = self.conns[slot].as_mut() else { return };
        match std::mem::replace(&mut conn.work, Work::Idle) {
            Work::Streaming(mut stream, mut truth) => {
                if conn.n_unsent() > MAX_UNSENT_BYTES {
                    conn.is_blocked = true;
                    conn.work = Work::Streaming(stream, truth);
                    return;
                }
                let n_before = stream.n_tokens_sent();
                let now = clock::both();
                let next = stream.emit(now, responses, conn.outbox());
                let n_tokens = stream.n_tokens_sent() - n_before;
                note(&mut truth, n_tokens, due, now);
                self.engine.count_tokens(n_tokens);
                self.engine.lateness.push(now.monotonic.saturating_sub(due.0));
                match next {
                    Next::At(next_due) => {
                        conn.work = Work::Streaming(stream, truth);
                        self.plan(slot, next_due, TimerKind::Work);
                        self.flush(slot);
                    }
                    Next::Ended(end) => self.end(slot, end, Some(truth), due),
                }
            }
            Work::Whole(whole) => {
                let now = clock::both();
                let mut truth = whole.truth;
                if let Some(truth) = &mut truth {
                    note(truth, whole.n_tokens, whole.due, now);
                    self.engine.count_tokens(whole.n_tokens);
                    self.engine.lateness.push(now.monotonic.saturating_sub(due.0));
                }
                conn.outbox().extend_from_slice(&whole.bytes);
                self.end(slot, whole.end, truth, due);
            }
            other => conn.work = other,
        }
    }

    /// Ends the response of a connection.
    fn end(&mut self, slot: usize, end: End, truth: Option<TruthRow>, at: Nanos) {
        let Some(conn) = self.conns[slot].as_mut() else { return };
        match (end, truth) {
            (End::Silence, Some(mut truth)) => {
                truth.end = "silence";
                conn.work = Work::Silent(truth);
                self.flush(slot);
            }
            (End::Silence, None) => {}
            (End::Complete, truth) => {
                self.close_row(truth, "complete", at);
                self.next_request(slot);
            }
            (End::Reset, truth) => {
                self.flush(slot);
                self.close_row(truth, "reset", at);
                if let Some(conn) = &self.conns[slot]
                    && conn.reset_on_close().is_err()
                {
                    // The client has closed before us; there is nothing left to reset.
                }
                self.drop_conn(slot);
            }
            (End::Cut, truth) => {
                self.flush(slot);
                self.close_row(truth, "cut", at);
                self.drop_conn(slot);
            }
        }
    }

    /// Writes a request's row and hands its slot on, at the instant at which it became free.
    fn close_row(&mut self, truth: Option<TruthRow>, end: &'static str, at: Nanos) {
        let Some(mut truth) = truth else { return };
        truth.end = end;
        self.engine.finish(&truth);
        if let Some(log) = &self.truth {
            log.push(&truth);
        }
        if let Some((slot, conn_id)) = self.engine.slots.release() {
            self.admit(slot, conn_id, at);
        }
    }

    fn admit(&mut self, slot: usize, conn_id: u64, at: Nanos) {
        let Some(conn) = self.conns[slot].as_mut().filter(|conn| conn.id == conn_id) else {
            return;
        };
        if let Work::Queued(job) = std::mem::replace(&mut conn.work, Work::Idle) {
            self.begin(slot, *job, at);
        }
    }

    fn begin(&mut self, slot: usize, mut job: Job, admitted: Nanos) {
        let stream = self.engine.begin(&mut job, admitted);
        let (due, work) = if job.is_stream {
            (stream.due(), Work::Streaming(Box::new(stream), job.truth))
        } else {
            let end = stream.whole_end();
            let (due, body, n_tokens) = stream.into_whole();
            let (bytes, n_tokens) = match end {
                End::Complete => {
                    (self.engine.responses().whole(200, "application/json", &body), n_tokens)
                }
                End::Silence | End::Reset | End::Cut => (Vec::new(), 0),
            };
            (due, Work::Whole(Whole { due, bytes, end, n_tokens, truth: Some(job.truth) }))
        };
        if let Some(conn) = self.conns[slot].as_mut() {
            conn.work = work;
            self.plan(slot, due, TimerKind::Work);
            if let Some(every) = self.write_faults.heartbeat.filter(|_| job.is_stream) {
                self.plan(slot, due + every, TimerKind::Heartbeat);
            }
        }
    }

    /// Makes a connection free for its next request, which may have arrived already.
    fn next_request(&mut self, slot: usize) {
        self.flush(slot);
        let Some(conn) = self.conns[slot].as_mut() else { return };
        if conn.close {
            if conn.n_unsent() == 0 {
                self.drop_conn(slot);
            }
            return;
        }
        self.plan_idle(slot);
        self.read_requests(slot, clock::monotonic(), clock::realtime());
    }

    fn on_socket(&mut self, slot: usize, flags: EpollFlags, buffer: &mut [u8]) {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.flush(slot);
            let Some(conn) = self.conns[slot].as_mut() else { return };
            if conn.n_unsent() == 0 {
                if conn.close && matches!(conn.work, Work::Idle) {
                    self.drop_conn(slot);
                    return;
                }
                if std::mem::take(&mut conn.is_blocked)
                    && let Work::Streaming(stream, _) = &conn.work
                {
                    let due = stream.due();
                    self.plan(slot, due, TimerKind::Work);
                }
            }
        }
        if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            let Some(conn) = self.conns[slot].as_mut() else { return };
            match conn.read(buffer) {
                Read::Nothing => {}
                Read::Gone => self.drop_conn(slot),
                Read::Bytes(stamp) => {
                    let now = clock::both();
                    let realtime = stamp.unwrap_or(Nanos(now.realtime));
                    // The kernel stamps with the other clock; their distance is taken now.
                    let age = Nanos(now.realtime).saturating_sub(realtime);
                    self.read_requests(slot, Nanos(now.monotonic).saturating_sub(age), realtime);
                }
            }
        }
    }

    /// Takes the next complete request from a connection that is free for it.
    fn read_requests(&mut self, slot: usize, arrived: Nanos, realtime: Nanos) {
        let responses = self.engine.responses();
        let Some(conn) = self.conns[slot].as_mut() else { return };
        if !matches!(conn.work, Work::Idle) || conn.inbox.is_empty() || conn.close {
            return;
        }
        let head = match Head::parse(&conn.inbox) {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(bad) => {
                let (status, message) = match bad {
                    BadHead::Malformed => (400, "this is not HTTP/1.1"),
                    BadHead::LengthRequired => (411, "a Content-Length is required"),
                    BadHead::TooLong => (431, "the head is too long"),
                };
                conn.close = true;
                return self.reply(
                    slot,
                    Reply::At(arrived, responses.error(status, message)),
                    arrived,
                );
            }
        };
        let n_bytes = head.head_bytes + head.body_bytes;
        if n_bytes > MAX_REQUEST_BYTES {
            conn.close = true;
            let response = responses.error(413, "the body is too long");
            return self.reply(slot, Reply::At(arrived, response), arrived);
        }
        if conn.inbox.len() < n_bytes {
            if head.expects_continue && !conn.continued {
                conn.continued = true;
                conn.outbox().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                self.flush(slot);
            }
            return;
        }
        conn.continued = false;
        conn.close = head.close;
        conn.n_requests += 1;
        let body: Vec<u8> = conn.inbox[head.head_bytes..n_bytes].to_vec();
        conn.inbox.drain(..n_bytes);
        let reply = self.engine.decide(&head, &body, arrived, realtime);
        self.reply(slot, reply, arrived);
    }

    fn reply(&mut self, slot: usize, reply: Reply, arrived: Nanos) {
        match reply {
            Reply::Die => self.must_die = true,
            Reply::At(due, bytes) => {
                if let Some(conn) = self.conns[slot].as_mut() {
                    conn.work = Work::Whole(Whole {
                        due,
                        bytes,
                        end: End::Complete,
                        n_tokens: 0,
                        truth: None,
                    });
                    self.plan(slot, due, TimerKind::Work);
                }
            }
            Reply::Generate(job) => {
                let Some(conn) = self.conns[slot].as_mut() else { return };
                let key = (slot, conn.id);
                match self.engine.slots.arrive(key) {
                    Admission::Served => {
                        let admitted = self.engine.timeline().after(arrived, Nanos::ZERO);
                        self.begin(slot, *job, admitted);
                    }
                    Admission::Queued => conn.work = Work::Queued(job),
                    Admission::Refused => {
                        let responses = self.engine.responses();
                        let response = responses.error(503, "the queue is full");
                        if let Some(log) = &self.truth {
                            log.push(&TruthRow { end: "refused", ..job.truth });
                        }
                        self.reply(slot, Reply::At(arrived, response), arrived);
                    }
                }
            }
        }
    }

    fn flush(&mut self, slot: usize) {
        let Some(conn) = self.conns[slot].as_mut() else { return };
        let result = match (self.write_faults.drip, self.write_faults.split_bytes) {
            (Some(_), _) if conn.is_dripping => return,
            (Some(_), _) => conn.flush(1, 1),
            (None, Some(piece)) => conn.flush(piece.max(1), usize::MAX),
            (None, None) => conn.flush(usize::MAX, usize::MAX),
        };
        if result.is_err() {
            return self.drop_conn(slot);
        }
        if let Some(bytes_per_s) = self.write_faults.drip {
            if conn.n_unsent() > 0 {
                conn.is_dripping = true;
                let pause = Nanos(1_000_000_000 / u64::from(bytes_per_s));
                self.plan(slot, clock::monotonic() + pause, TimerKind::Drip);
            } else if conn.close && matches!(conn.work, Work::Idle) && conn.n_requests > 0 {
                self.drop_conn(slot);
            }
            return;
        }
        let wants_write = conn.n_unsent() > 0;
        if wants_write != conn.wants_write {
            conn.wants_write = wants_write;
            let Some(conn) = &self.conns[slot] else { return };
            if self.watch(conn, slot, false).is_err() {
                self.drop_conn(slot);
            }
        }
    }

    /// Closes a connection and gives up what it was busy with.
    fn drop_conn(&mut self, slot: usize) {
        let Some(conn) = self.conns[slot].take() else { return };
        self.free.push(slot);
        let key = (slot, conn.id);
        let now = clock::monotonic();
        match conn.work {
            Work::Idle => {}
            Work::Queued(job) => {
                self.engine.slots.leave(&key);
                let truth = TruthRow { end: "client-gone", ..job.truth };
                if let Some(log) = &self.truth {
                    log.push(&truth);
                }
            }
            Work::Streaming(_, truth) | Work::Silent(truth) => {
                self.close_row(Some(truth), "client-gone", now);
            }
            Work::Whole(whole) => {
                self.close_row(whole.truth, "client-gone", now);
            }
        }
    }
}

/// Notes tokens that were due at `due` and are written now.
fn note(truth: &mut TruthRow, n_tokens: u32, due: Nanos, now: SentStamp) {
    truth.late_max_ns = truth.late_max_ns.max(now.monotonic.saturating_sub(due.0));
    if n_tokens == 0 {
        return;
    }
    if truth.first_write_ns == 0 {
        truth.first_due_ns = due.0;
        truth.first_write_ns = now.monotonic;
    }
    truth.last_write_ns = now.monotonic;
    truth.tokens += n_tokens;
}
