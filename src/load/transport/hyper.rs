//! The transport for `https://`: the HTTP and TLS libraries, driven by one thread.
//!
//! The socket lies under the libraries and stamps as the other transport's does: what they hand out
//! has the kernel's stamp of the read that completed it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};

use crate::load::clock::Epoch;
use crate::load::spec::{LoadError, Target};
use crate::load::transport::client::{Client, Ending, Head, Inbox, Key, Stamp, Waker};
use crate::load::transport::connection::{Connection, Route};
use crate::load::transport::target::Endpoint;
use crate::record::request::StampSource;
use crate::units::Nanos;

/// Connections that are opened at once: many servers have a short accept queue.
const AT_ONCE: usize = 32;

/// Carries requests through the libraries.
pub(crate) struct HyperClient {
    epoch: Epoch,
    route: Route,
    /// The headers of every request.
    headers: HeaderMap,
    path: Uri,
    /// Whether a connection serves more than one exchange.
    reuse: bool,
    /// Open connections without an exchange; the last one is the one used last.
    idle: Vec<Connection>,
    tasks: HashMap<Key, AbortHandle>,
    news: UnboundedReceiver<News>,
    reporter: UnboundedSender<News>,
    waker: Arc<Notify>,
    alarm: AsyncFd<Alarm>,
    runtime: Runtime,
}

/// Ends a wait on time. The runtime's own timers are a millisecond late.
struct Alarm(TimerFd);

impl Alarm {
    fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Self(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?))
    }

    fn set(&self, at: TimeSpec) {
        self.0
            .set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .expect("an absolute time after the epoch is a valid timer setting");
    }
}

/// Registers the alarm with the runtime. The call needs the runtime's context.
#[expect(unsafe_code, reason = "the runtime asks to be promised a descriptor that stays open")]
fn watched(alarm: Alarm) -> io::Result<AsyncFd<Alarm>> {
    // SAFETY: the alarm owns its descriptor and never closes or replaces it, and the watched
    // value owns the alarm.
    let watched = unsafe { AsyncFd::register_with_interest(alarm, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

struct News {
    key: Key,
    stamp: Stamp,
    what: What,
}

enum What {
    Connected,
    Sent,
    Written,
    Head(Head),
    Body(Bytes),
    End(Ending),
    /// The connection can carry another exchange.
    Idle(Connection),
}

impl HyperClient {
    /// Returns a client without connections, to be driven by one thread.
    pub(crate) fn new(
        epoch: Epoch,
        endpoint: &Endpoint,
        address: SocketAddr,
        target: &Target,
    ) -> Result<Self, LoadError> {
        let failed = |source: io::Error| LoadError::System { what: "set up HTTP", source };
        let mut all = HeaderMap::new();
        let host = endpoint.authority();
        let bad_host = |_| LoadError::BadHeader { name: "host".to_owned() };
        all.insert(HOST, HeaderValue::from_str(&host).map_err(bad_host)?);
        all.extend(endpoint.headers(target)?);
        let bad_path = |error: hyper::http::uri::InvalidUri| LoadError::BadUrl {
            url: target.base_url.clone(),
            why: error.to_string(),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let alarm = {
            let _context = runtime.enter();
            Alarm::new().and_then(watched).map_err(failed)?
        };
        let (reporter, news) = unbounded_channel();
        Ok(Self {
            epoch,
            route: Route {
                address,
                tunnel: endpoint.tunnel_request(),
                tls: endpoint.tls(target)?,
                epoch,
            },
            headers: all,
            path: endpoint.request_target().parse().map_err(bad_path)?,
            reuse: !target.no_reuse,
            idle: Vec::new(),
            tasks: HashMap::new(),
            news,
            reporter,
            waker: Arc::default(),
            alarm,
            runtime,
        })
    }

    fn tell(&mut self, news: News, inbox: &mut impl Inbox) {
        let News { key, stamp, what } = news;
        let at = stamp.at;
        match what {
            What::Connected => inbox.connected(key, at),
            What::Sent => inbox.sent(key, at),
            What::Written => inbox.written(key, at, None),
            What::Head(head) => inbox.head(key, head, stamp),
            What::Body(bytes) => inbox.body(key, &bytes, stamp),
            What::End(ending) => {
                self.tasks.remove(&key);
                inbox.end(key, at, ending);
            }
            What::Idle(connection) => self.idle.push(connection),
        }
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// Reports the events of one exchange.
struct Reporter {
    epoch: Epoch,
    key: Key,
    news: UnboundedSender<News>,
}

impl Reporter {
    /// Reports something that happens now.
    fn say(&self, what: What) {
        self.say_at(self.epoch.elapsed(), what);
    }

    /// Reports something that happened on this side.
    fn say_at(&self, at: Nanos, what: What) {
        self.pass_on(Stamp { at, since: at, source: StampSource::Userspace }, what);
    }

    /// Reports what the last read of a connection brought.
    fn pass_on(&self, stamp: Stamp, what: What) {
        // At the end of the trial the receiver may be gone already.
        let _ = self.news.send(News { key: self.key, stamp, what });
    }
}

/// Carries out one exchange, on a connection that is idle or on a new one.
async fn carry(
    idle: Option<Connection>,
    route: Route,
    request: Request<Full<Bytes>>,
    reuse: bool,
    reporter: Reporter,
) {
    let mut usable = None;
    if let Some(mut connection) = idle
        && connection.is_open().await
    {
        usable = Some(connection);
    }
    let mut connection = match usable {
        Some(connection) => connection,
        None => match route.open().await {
            Ok(connection) => {
                reporter.say(What::Connected);
                connection
            }
            Err(ending) => return reporter.say(What::End(ending)),
        },
    };
    reporter.say(What::Sent);
    let ending = match connection.send(request).await {
        Ok((head, mut body)) => {
            // The request had left before its answer came.
            reporter.say_at(connection.stamps.written(), What::Written);
            reporter.pass_on(connection.stamps.read(), What::Head(head));
            loop {
                match connection.receive(&mut body).await {
                    Ok(bytes) => reporter.pass_on(connection.stamps.read(), What::Body(bytes)),
                    Err(ending) => break ending,
                }
            }
        }
        Err(ending) => ending,
    };
    let keeps = reuse && ending == Ending::Complete;
    if ending == Ending::Complete {
        reporter.pass_on(connection.stamps.read(), What::End(ending));
    } else {
        reporter.say(What::End(ending));
    }
    if keeps && connection.settles().await {
        reporter.say(What::Idle(connection));
    }
}

impl Client for HyperClient {
    fn now(&self) -> Nanos {
        self.epoch.elapsed()
    }

    fn warm(&mut self, n_connections: u32, deadline: Nanos) -> u32 {
        let wanted = n_connections as usize;
        let Self { epoch, runtime, route, idle, .. } = self;
        runtime.block_on(async {
            let mut open = Vec::with_capacity(wanted);
            for mut connection in idle.drain(..) {
                if connection.is_open().await {
                    open.push(connection);
                }
            }
            let mut opening = JoinSet::new();
            let mut n_tried = open.len();
            loop {
                while n_tried < wanted && opening.len() < AT_ONCE {
                    let route = route.clone();
                    opening.spawn(async move { route.open().await });
                    n_tried += 1;
                }
                let left = deadline.saturating_sub(epoch.elapsed());
                let opened = tokio::time::timeout(left.into(), opening.join_next()).await;
                match opened {
                    Ok(Some(Ok(Ok(connection)))) => open.push(connection),
                    // A failure here is not reported: a request that needs the connection will
                    // report it.
                    Ok(Some(_)) => n_tried = wanted,
                    Ok(None) | Err(_) => break,
                }
            }
            *idle = open;
        });
        self.idle.len() as u32
    }

    fn send(&mut self, key: Key, body: Bytes, _inbox: &mut impl Inbox) {
        let reporter = Reporter { epoch: self.epoch, key, news: self.reporter.clone() };
        let exchange =
            carry(self.idle.pop(), self.route.clone(), self.request(body), self.reuse, reporter);
        let task = self.runtime.spawn(exchange);
        self.tasks.insert(key, task.abort_handle());
    }

    fn cancel(&mut self, key: Key) {
        if let Some(task) = self.tasks.remove(&key) {
            task.abort();
        }
    }

    fn wait(&mut self, until: Nanos, inbox: &mut impl Inbox) {
        self.alarm.get_ref().set(self.epoch.absolute(until));
        let Self { news, waker, alarm, runtime, .. } = self;
        let first = runtime.block_on(async {
            tokio::select! {
                biased;
                first = news.recv() => first,
                () = waker.notified() => None,
                rung = alarm.readable() => {
                    rung.expect("the runtime lives").clear_ready();
                    None
                }
            }
        });
        let mut next = first;
        while let Some(news) = next {
            self.tell(news, inbox);
            next = self.news.try_recv().ok();
        }
    }

    fn waker(&self) -> Waker {
        let waker = Arc::clone(&self.waker);
        Arc::new(move || waker.notify_one())
    }
}
