//! Sockets and timers of the simulated engine: one thread, one epoll, one timerfd.
//!
//! tokio's timers are a millisecond late; here events wait in a heap by absolute deadline, and
//! a single absolute timerfd wakes the thread for the first of them.

mod requests;

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use rustls::ServerConfig;

use super::conn::{Conn, Read, Work};
use super::engine::Engine;
use super::event::Framing;
use super::stream::{End, Next};
use super::timer_queue::{EntryKind, TimerQueue};
use super::tls::Tls;
use super::truth::{TruthLog, TruthRow};
use crate::clock::{self, Moment};
use crate::serve::ServeError;
use crate::units::Nanos;

/// Bytes that one read takes.
const READ_BYTES: usize = 64 << 10;
/// Unsent bytes at which an answer waits for its client.
const MAX_UNSENT_BYTES: usize = 1 << 20;
/// Bytes of a request that are kept while it is incomplete.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// Due events that are handled before sockets are polled again.
const EVENTS_PER_TURN: usize = 64;

const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const STOP: u64 = u64::MAX - 2;

/// Faults of writing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteFaults {
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

/// Why [`Reactor::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// It was told to stop.
    Asked,
    /// A fault makes the process die.
    Die,
}

/// The simulated engine's sockets and timers.
#[derive(Debug)]
pub(crate) struct Reactor {
    engine: Engine,
    write_faults: WriteFaults,
    truth: Option<TruthLog>,
    epoll: Epoll,
    timers: TimerQueue,
    stop: Arc<EventFd>,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    n_accepted: u64,
    must_die: bool,
}

impl Reactor {
    /// Returns a reactor that serves on an open port.
    ///
    /// # Errors
    /// [`ServeError::System`] if the system has no epoll, timer or event descriptor left.
    pub(crate) fn new(
        listener: TcpListener,
        engine: Engine,
        write_faults: WriteFaults,
        spin: Nanos,
        truth: Option<TruthLog>,
    ) -> Result<Self, ServeError> {
        let system = ServeError::system::<nix::Error>;
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system("cannot make an epoll"))?;
        let timers = TimerQueue::new(spin)?;
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(system("cannot make an event descriptor"))?;
        let watch = |fd: std::os::fd::BorrowedFd<'_>, flags, key| {
            epoll
                .add(fd, EpollEvent::new(flags, key))
                .map_err(ServeError::system::<nix::Error>("cannot watch a descriptor"))
        };
        watch(listener.as_fd(), EpollFlags::EPOLLIN, LISTENER)?;
        watch(timers.timer(), EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER)?;
        watch(stop.as_fd(), EpollFlags::EPOLLIN, STOP)?;
        Ok(Self {
            engine,
            write_faults,
            truth,
            epoll,
            timers,
            stop: Arc::new(stop),
            listener,
            tls: None,
            conns: Vec::new(),
            free: Vec::new(),
            n_accepted: 0,
            must_die: false,
        })
    }

    /// Speaks TLS on every connection from now on.
    pub(crate) fn secure(&mut self, config: Arc<ServerConfig>) {
        self.tls = Some(config);
    }

    /// Returns the event descriptor that ends [`run`](Self::run) when it is written to.
    pub(crate) fn stopper(&self) -> Arc<EventFd> {
        Arc::clone(&self.stop)
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// [`ServeError::System`] when waiting for sockets fails.
    pub(crate) fn run(mut self) -> Result<Stopped, ServeError> {
        let mut events = vec![EpollEvent::empty(); 256];
        let mut buffer = vec![0; READ_BYTES];
        let stopped = loop {
            self.run_due();
            let timeout = self.timers.time_to_wait()?;
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
                    TIMER => self.timers.timer_expired(),
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

    fn accept(&mut self) {
        // The count is bounded, so that a flood of connections cannot delay due events.
        for _ in 0..EVENTS_PER_TURN {
            // Without a free descriptor the connection stays in the backlog.
            let Ok((stream, _)) = self.listener.accept() else { return };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let Ok(tls) = self.tls.as_ref().map(Tls::new).transpose() else { continue };
            let slot = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            self.n_accepted += 1;
            let conn = Conn::new(self.n_accepted, stream, tls);
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

    fn plan(&mut self, slot: usize, due: Nanos, kind: EntryKind) {
        if let Some(conn) = &self.conns[slot] {
            self.timers.plan(due, slot, (conn.id, conn.n_requests), kind);
        }
    }

    fn plan_idle(&mut self, slot: usize) {
        if let Some(after) = self.write_faults.close_idle {
            self.plan(slot, clock::monotonic() + after, EntryKind::Idle);
        }
    }

    fn run_due(&mut self) {
        for _ in 0..EVENTS_PER_TURN {
            let Some(entry) = self.timers.pop_due() else { return };
            let Some(conn) = self.conns[entry.slot].as_mut() else { continue };
            if conn.id != entry.conn_id {
                continue;
            }
            if entry.kind == EntryKind::Drip {
                conn.is_dripping = false;
                self.flush(entry.slot);
                continue;
            }
            if conn.n_requests != entry.n_requests {
                continue;
            }
            match entry.kind {
                EntryKind::Work => self.work(entry.slot, entry.due),
                EntryKind::Heartbeat => self.heartbeat(entry.slot),
                EntryKind::Idle if matches!(conn.work, Work::Idle) => self.drop_conn(entry.slot),
                EntryKind::Idle | EntryKind::Drip => {}
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
            self.plan(slot, clock::monotonic() + every, EntryKind::Heartbeat);
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
                let now = Moment::now();
                let next = stream.emit(now, &truth, responses, conn.outbox());
                let n_tokens = stream.n_tokens_sent() - n_before;
                note(&mut truth, n_tokens, due, now);
                self.engine.count_tokens(n_tokens);
                self.engine.lateness.push(now.monotonic.saturating_sub(due).0);
                match next {
                    Next::At(next_due) => {
                        conn.work = Work::Streaming(stream, truth);
                        self.plan(slot, next_due, EntryKind::Work);
                        self.flush(slot);
                        if n_tokens > 0 {
                            self.note_written(slot);
                        }
                    }
                    Next::Ended(end) => self.end(slot, end, Some(truth), due),
                }
            }
            Work::Whole(whole) => {
                let now = Moment::now();
                let mut truth = whole.truth;
                if let Some(truth) = &mut truth {
                    note(truth, whole.n_tokens, whole.due, now);
                    self.engine.count_tokens(whole.n_tokens);
                    self.engine.lateness.push(now.monotonic.saturating_sub(due).0);
                }
                conn.outbox().extend_from_slice(&whole.bytes);
                self.end(slot, whole.end, truth, due);
            }
            other => conn.work = other,
        }
    }

    /// Whether the socket has accepted all that was written.
    fn is_written(&self, slot: usize) -> bool {
        self.conns[slot].as_ref().is_some_and(|conn| conn.n_unsent() == 0)
    }

    /// Notes that the write of a token is over: of each for the truth log, of the first one for
    /// the stamps in the answer.
    fn note_written(&mut self, slot: usize) {
        if self.is_written(slot)
            && let Some(conn) = self.conns[slot].as_mut()
            && let Work::Streaming(_, truth) = &mut conn.work
            && (self.truth.is_some() || self.engine.stamps() && truth.first_written_ns == 0)
        {
            truth.note_written(clock::monotonic());
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
            (End::Complete, mut truth) => {
                self.flush(slot);
                if let Some(truth) =
                    truth.as_mut().filter(|_| self.truth.is_some() && self.is_written(slot))
                {
                    truth.note_written(clock::monotonic());
                }
                self.close_row(truth, "complete", at);
                self.next_request(slot);
            }
            (End::Reset, truth) => {
                self.flush(slot);
                self.close_row(truth, "reset", at);
                if let Some(conn) = &self.conns[slot]
                    && conn.reset_on_close().is_err()
                {
                    // The client closed first, so the connection cannot be reset.
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

    /// Writes a request's row, and frees its slot at the instant at which the response ended.
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

    /// Frees a connection for its next request, which may have arrived already.
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
        let now = clock::Moment::now();
        self.read_requests(slot, now.monotonic, now.realtime);
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
                    self.plan(slot, due, EntryKind::Work);
                }
            }
        }
        if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            let Some(conn) = self.conns[slot].as_mut() else { return };
            match conn.read(buffer) {
                Read::Nothing => {}
                Read::Gone => self.drop_conn(slot),
                Read::Bytes(_) if conn.inbox.len() > 2 * MAX_REQUEST_BYTES => self.drop_conn(slot),
                Read::Bytes(stamp) => {
                    // The kernel stamps with the realtime clock. Its offset from the monotonic
                    // clock is read now.
                    let now = clock::Moment::now();
                    let realtime = stamp.unwrap_or(now.realtime).min(now.realtime);
                    let is_tls_waiting = conn.has_unsent_tls();
                    self.read_requests(slot, now.monotonic_of(realtime), realtime);
                    if is_tls_waiting {
                        self.flush(slot);
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
                self.plan(slot, clock::monotonic() + pause, EntryKind::Drip);
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

    /// Closes a connection and drops its request or answer.
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

/// Counts tokens that were due at `due` and are written now.
fn note(truth: &mut TruthRow, n_tokens: u32, due: Nanos, now: Moment) {
    truth.late_max_ns = truth.late_max_ns.max(now.monotonic.saturating_sub(due).0);
    if n_tokens == 0 {
        return;
    }
    if truth.first_write_ns == 0 {
        truth.first_due_ns = due.0;
        truth.first_write_ns = now.monotonic.0;
    }
    truth.last_write_ns = now.monotonic.0;
    truth.tokens += n_tokens;
}
