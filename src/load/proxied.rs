//! The transport for `https://`: the HTTP library, driven by one thread.
//!
//! Its stamps are taken when its reads return, so with many streams they are late by the
//! library's queues; records say so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use crate::load::client::{Client, Ending, Head, Inbox, Key, Stamp, Waker};
use crate::load::clock::Epoch;
use crate::load::socket::is_our_shortage;
use crate::load::spec::{LoadError, Target};
use crate::load::target::headers;
use crate::record::request::StampSource;
use crate::units::Nanos;

/// Carries requests through the HTTP library.
pub(super) struct LibraryClient {
    epoch: Epoch,
    url: Url,
    client: reqwest::Client,
    runtime: Runtime,
    news: UnboundedReceiver<News>,
    reporter: UnboundedSender<News>,
    tasks: Vec<(Key, AbortHandle)>,
    waker: Arc<Notify>,
}

struct News {
    key: Key,
    at: Nanos,
    what: What,
}

enum What {
    Sent,
    Head(Head),
    Body(Bytes),
    End(Ending),
}

impl LibraryClient {
    /// Returns a client without connections.
    pub(super) fn new(epoch: Epoch, url: Url, target: &Target) -> Result<Self, LoadError> {
        let failed = |source: std::io::Error| LoadError::System { what: "set up HTTP", source };
        // Another part of the program may have chosen the same provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let headers: HeaderMap = headers(target)?.into_iter().collect();
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .tcp_nodelay(true)
            .build()
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (reporter, news) = unbounded_channel();
        let waker = Arc::new(Notify::new());
        Ok(Self { epoch, url, client, runtime, news, reporter, tasks: Vec::new(), waker })
    }

    fn tell(&mut self, news: News, inbox: &mut impl Inbox) {
        let News { key, at, what } = news;
        let stamp = Stamp { at, source: StampSource::Userspace };
        match what {
            What::Sent => inbox.sent(key, at),
            What::Head(head) => inbox.head(key, head, stamp),
            What::Body(bytes) => inbox.body(key, &bytes, stamp),
            What::End(ending) => {
                self.tasks.retain(|(other, _)| *other != key);
                inbox.end(key, at, ending);
            }
        }
    }
}

/// Reports what happens to one exchange.
struct Reporter {
    epoch: Epoch,
    key: Key,
    news: UnboundedSender<News>,
}

impl Reporter {
    fn say(&self, what: What) {
        // Nobody listens any more when the trial is over.
        let _ = self.news.send(News { key: self.key, at: self.epoch.elapsed(), what });
    }
}

async fn carry(request: reqwest::RequestBuilder, reporter: Reporter) {
    reporter.say(What::Sent);
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return reporter.say(What::End(no_response(&error))),
    };
    let text = |name| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_ascii_lowercase()
    };
    reporter.say(What::Head(Head {
        status: response.status().as_u16(),
        content_type: text(CONTENT_TYPE),
        content_encoding: text(CONTENT_ENCODING),
    }));
    let ending = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => reporter.say(What::Body(bytes)),
            Ok(None) => break Ending::Complete,
            Err(error) => break Ending::ClosedEarly(root_cause(&error)),
        }
    };
    reporter.say(What::End(ending));
}

/// The library does not say whether a connection was used before: a connection that closes
/// before an answer is no reuse race here.
fn no_response(error: &reqwest::Error) -> Ending {
    let why = root_cause(error);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(is_our_shortage) {
            return Ending::ClientResources(why);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && error.is_parse()
        {
            return Ending::Protocol(why);
        }
        cause = error.source();
    }
    if error.is_connect() {
        Ending::Connect(why)
    } else {
        Ending::NoResponse { reused: false, why }
    }
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl Client for LibraryClient {
    fn now(&self) -> Nanos {
        self.epoch.elapsed()
    }

    /// The library opens connections when it needs them; there is no other way.
    fn warm(&mut self, _n_connections: u32, _deadline: Nanos) -> u32 {
        0
    }

    fn send(&mut self, key: Key, body: Bytes, _inbox: &mut impl Inbox) {
        let request = self.client.post(self.url.clone()).body(body);
        let reporter = Reporter { epoch: self.epoch, key, news: self.reporter.clone() };
        let task = self.runtime.spawn(carry(request, reporter));
        self.tasks.push((key, task.abort_handle()));
    }

    fn cancel(&mut self, key: Key) {
        if let Some(place) = self.tasks.iter().position(|(other, _)| *other == key) {
            self.tasks.swap_remove(place).1.abort();
        }
    }

    fn wait(&mut self, until: Nanos, inbox: &mut impl Inbox) {
        let left = Duration::from(until.saturating_sub(self.now()));
        let waker = Arc::clone(&self.waker);
        let news = &mut self.news;
        let first = self.runtime.block_on(async {
            tokio::select! {
                first = news.recv() => first,
                () = waker.notified() => None,
                () = tokio::time::sleep(left) => None,
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
