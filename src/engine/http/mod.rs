//! Calls to an engine's control endpoints: short, bounded, and never in the way of an interrupt.

mod resolver;
pub(crate) mod trust;

use std::error::Error as _;
use std::io;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, redirect};
use rustls::{AlertDescription, ClientConfig};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::clock::monotonic;
use crate::engine::credentials::Access;
use crate::engine::http::resolver::{NoAddress, SystemResolver};
use crate::engine::http::trust::{disbelief, objection};
use crate::load::recorder::single_answer::AnswerReader;
use crate::load::transport::client::{Ending, not_asked_for};
use crate::load::transport::connection::{head_of, malformed};
use crate::load::transport::http1_framing::MAX_HEADERS;
use crate::load::transport::proxy::NoTunnel;
use crate::load::transport::target::request_headers;
use crate::load::transport::url::url_of;
use crate::secrets::redact::Redactor;

/// The most of a body that is kept; configuration dumps are some hundred kilobytes.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Time to reach a listening socket.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// What the HTTP library says of a first line that is not one of HTTP/1.
const NO_VERSION: &str = "invalid HTTP version parsed";
/// How often the caller is asked whether to go on.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// A client for the calls beside the load.
#[derive(Debug)]
pub struct Http {
    runtime: Runtime,
    client: Client,
    base_url: String,
    /// The headers of the load's requests for whole answers, and of those for streams.
    headers: HeaderMap,
    stream_headers: HeaderMap,
    access: Access,
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body as text, cut at a bound and without the secrets in use.
    pub body: String,
    /// Where a redirect points to, without the secrets in use.
    pub location: Option<String>,
}

impl Answer {
    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A call that brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Nothing accepted the connection.
    #[error("connect to {0}")]
    Connect(String),
    /// Nothing listens there.
    #[error("connect to {0}: connection refused")]
    Refused(String),
    /// The host's name has no address.
    #[error("find the host of {0} ({1}): is its name right?")]
    Unresolved(String, String),
    /// The proxy opens no tunnel to the engine.
    #[error("have the proxy {1} open a tunnel to {0}: {2}")]
    NoTunnel(String, String, NoTunnel),
    /// The engine's certificate is not to be believed.
    #[error("trust the certificate of {0}: {1}")]
    Untrusted(String, String),
    /// Something answers, but not TLS.
    #[error("speak TLS with {0}: what answers there does not; is it http:// instead?")]
    NotTls(String),
    /// TLS fails for another reason.
    #[error("speak TLS with {0}: {1}")]
    Tls(String, String),
    /// Something answers, but not in HTTP/1.1.
    #[error(
        "speak HTTP/1.1 with {url}: what answers there does not; {question}bench speaks no HTTP/2, \
         a proxy in front (nginx, Envoy) can",
        url = .0,
        question = if .0.starts_with("http://") { "is it https:// instead? " } else { "" }
    )]
    NotHttp1(String),
    /// A header or the URL of the request cannot be sent.
    #[error("send a request to {0}: {1}")]
    Unsendable(String, String),
    /// The answer is in HTTP/1.1, and not as that must be.
    #[error("read the answer of {0}: {1}")]
    Unreadable(String, String),
    /// The connection was closed before an answer began, as by what speaks TLS alone.
    #[error("read the answer of {0}: the connection ended before it")]
    Closed(String),
    /// The answer broke off or never came whole.
    #[error("read the answer of {0}: the connection ended within it")]
    Broken(String),
    /// No answer in time.
    #[error("get an answer of {0} within {1:?}")]
    TimedOut(String, Duration),
    /// An answer began in time, and did not end.
    #[error(
        "get the whole answer of {url} within {limit:?}: status {status} came, {n_bytes} bytes \
         behind its head, and no end"
    )]
    Unfinished {
        /// What was asked.
        url: String,
        /// How long its end was waited for.
        limit: Duration,
        /// HTTP status.
        status: u16,
        /// Bytes of the body.
        n_bytes: u64,
    },
}

impl HttpError {
    /// Whether no wait mends it: another answer is not to be expected.
    pub(in crate::engine) fn is_permanent(&self) -> bool {
        match self {
            Self::Unresolved(..)
            | Self::Untrusted(..)
            | Self::NotTls(_)
            | Self::Tls(..)
            | Self::NotHttp1(_)
            | Self::Unreadable(..)
            | Self::Unsendable(..) => true,
            Self::NoTunnel(.., why) => why.is_permanent(),
            Self::Connect(_)
            | Self::Refused(_)
            | Self::Broken(_)
            | Self::Closed(_)
            | Self::TimedOut(..)
            | Self::Unfinished { .. } => false,
        }
    }
}

/// What the caller wants after a look around: `Err` ends the call.
pub type Check<'a, E> = &'a mut dyn FnMut() -> Result<(), E>;

impl Http {
    /// Makes a client for one engine. Of proxies only the scenario's is used, and redirects are
    /// never followed: an engine's key must not reach another host.
    ///
    /// # Errors
    /// When the runtime or the client cannot be made.
    pub fn new(base_url: &str, access: Access, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        let mut builder = Client::builder().no_proxy();
        if let Some(proxy) = &access.proxy {
            let mut way = reqwest::Proxy::all(proxy.url()).map_err(io::Error::other)?;
            if let Some(authorization) = &proxy.authorization {
                way = way.custom_http_auth(authorization.clone());
            }
            builder = builder.proxy(way);
        }
        let client = builder
            .dns_resolver(Arc::new(SystemResolver))
            .tls_backend_preconfigured(ClientConfig::clone(tls))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            // Between calls nobody drives the connection, so that its end would not be seen:
            // servers close idle ones after some seconds.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(io::Error::other)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let headers = |stream| -> io::Result<HeaderMap> {
            let headers = request_headers(stream, &access.headers);
            let bad = |name| io::Error::other(format!("header `{name}` cannot be sent"));
            Ok(headers.map_err(bad)?.into_iter().collect())
        };
        let (headers, stream_headers) = (headers(false)?, headers(true)?);
        let base_url = base_url.to_owned();
        Ok(Self { runtime, client, base_url, headers, stream_headers, access })
    }

    /// Returns what takes the secrets in use out of the engine's words.
    pub fn redactor(&self) -> &Redactor {
        &self.access.redactor
    }

    /// Whether requests go to the engine without a proxy in between.
    pub(in crate::engine) fn is_direct(&self) -> bool {
        self.access.proxy.is_none()
    }

    /// Returns the headers of a request for a stream, as they stand in its head.
    pub(in crate::engine) fn stream_head(&self) -> String {
        let lines = self
            .stream_headers
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}: {}\r\n", value.to_str().ok()?)));
        lines.collect()
    }

    /// Gets a path.
    ///
    /// # Errors
    /// Outside: what `check` returned. Inside: why there is no answer.
    pub fn get<E>(
        &self,
        path: &str,
        limit: Duration,
        check: Check<'_, E>,
    ) -> Result<Result<Answer, HttpError>, E> {
        self.call(self.request(Method::GET, path), path, limit, check)
    }

    /// Gets a path that nobody waits for with an eye on something else.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn get_plain(&self, path: &str, limit: Duration) -> Result<Answer, HttpError> {
        self.get(path, limit, &mut || Ok::<(), std::convert::Infallible>(()))
            .unwrap_or_else(|never| match never {})
    }

    /// Calls a path with a method and an empty body.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn call_plain(
        &self,
        method: &str,
        path: &str,
        limit: Duration,
    ) -> Result<Answer, HttpError> {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::POST);
        let check: Check<'_, std::convert::Infallible> = &mut || Ok(());
        self.call(self.request(method, path), path, limit, check)
            .unwrap_or_else(|never| match never {})
    }

    /// Posts a JSON text and returns the whole answer.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(in crate::engine) fn post_plain(
        &self,
        path: &str,
        body: String,
        limit: Duration,
    ) -> Result<Answer, HttpError> {
        let check: Check<'_, std::convert::Infallible> = &mut || Ok(());
        self.call(self.request(Method::POST, path).body(body), path, limit, check)
            .unwrap_or_else(|never| match never {})
    }

    /// Posts a JSON text and has the answer read as a load's is; returns how it ended.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub(in crate::engine) fn post<E>(
        &self,
        path: &str,
        body: String,
        limit: Duration,
        check: Check<'_, E>,
        reader: &mut AnswerReader,
    ) -> Result<Result<Ending, HttpError>, E> {
        let headers = if reader.is_stream() { &self.stream_headers } else { &self.headers };
        let request = self.client.post(self.url(path)).headers(headers.clone()).body(body);
        let url = self.url(path);
        self.block_on(limit, &url, check, async {
            let mut response = self.send(request, &url).await?;
            reader.head(head_of(response.status().as_u16(), response.headers()));
            loop {
                match response.chunk().await {
                    Ok(Some(chunk)) if !reader.take(&chunk, monotonic()) => {
                        return Ok(Ending::LeftOpen);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(Ending::Complete),
                    Err(error) => return Ok(broken_off(&error)),
                }
            }
        })
    }

    fn call<E>(
        &self,
        request: RequestBuilder,
        path: &str,
        limit: Duration,
        check: Check<'_, E>,
    ) -> Result<Result<Answer, HttpError>, E> {
        let url = self.url(path);
        self.block_on(limit, &url, check, async {
            let response = self.send(request, &url).await?;
            let status = response.status().as_u16();
            let location = self.location(response.headers());
            let coding = head_of(status, response.headers()).content_encoding;
            let body = self.whole_body(response, &url).await?;
            let is_coded = !coding.is_empty() && body.contains(char::REPLACEMENT_CHARACTER);
            let body = if is_coded { not_asked_for(&coding) } else { body };
            Ok(Answer { status, body, location })
        })
    }

    fn block_on<E, T>(
        &self,
        limit: Duration,
        url: &str,
        check: Check<'_, E>,
        call: impl Future<Output = Result<T, HttpError>>,
    ) -> Result<Result<T, HttpError>, E> {
        self.runtime.block_on(async {
            let mut ticks = interval(CHECK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let deadline = Instant::now() + limit;
            let mut call = std::pin::pin!(timeout_at(deadline, call));
            loop {
                tokio::select! {
                    answer = &mut call => {
                        let late = HttpError::TimedOut(url.to_owned(), limit);
                        return Ok(answer.unwrap_or(Err(late)));
                    }
                    _ = ticks.tick() => check()?,
                }
            }
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path)).headers(self.headers.clone())
    }

    async fn send(&self, request: RequestBuilder, url: &str) -> Result<Response, HttpError> {
        let error = match request.send().await {
            Ok(response) => return Ok(response),
            Err(error) => why(url, &error),
        };
        let Some(proxy) = &self.access.proxy else { return Err(error) };
        let there = || format!("the proxy {}", proxy.url());
        Err(match error {
            HttpError::Refused(_) => HttpError::Refused(there()),
            HttpError::Unresolved(_, why) => HttpError::Unresolved(there(), why),
            // The library keeps the proxy's words for itself.
            HttpError::Connect(url) => match proxy.refusal(&url).await {
                Some(why) => HttpError::NoTunnel(url, proxy.url(), why),
                None => HttpError::Connect(there()),
            },
            other => other,
        })
    }

    fn location(&self, headers: &HeaderMap) -> Option<String> {
        let location = headers.get(LOCATION)?.to_str().ok()?;
        Some(self.redactor().text(location).into_owned())
    }

    async fn whole_body(&self, response: Response, url: &str) -> Result<String, HttpError> {
        // Before anybody cuts it: half a key is a part of a key.
        whole_body(response, url).await.map(|body| self.redactor().text(&body).into_owned())
    }

    /// Returns the URL of a path, and what requests to it go through.
    pub(in crate::engine) fn way_to(&self, path: &str) -> String {
        match &self.access.proxy {
            Some(proxy) => format!("{} by the proxy {}", self.url(path), proxy.url()),
            None => self.url(path),
        }
    }

    /// Returns the URL of a path.
    pub(in crate::engine) fn url(&self, path: &str) -> String {
        // Of a URL that is none the request says so.
        url_of(&self.base_url, path).map_or_else(|_| self.base_url.clone(), String::from)
    }
}

async fn whole_body(mut response: Response, url: &str) -> Result<String, HttpError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| why(url, &error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BODY_BYTES_MAX {
            bytes.truncate(BODY_BYTES_MAX);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn why(url: &str, error: &reqwest::Error) -> HttpError {
    let url = url.to_owned();
    match objection(error) {
        Some(rustls::Error::InvalidCertificate(what)) => HttpError::Untrusted(url, disbelief(what)),
        Some(rustls::Error::InvalidMessage(_)) => HttpError::NotTls(url),
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            HttpError::NotHttp1(url)
        }
        Some(other) => HttpError::Tls(url, other.to_string()),
        None if error.is_builder() => {
            let cause = causes(error).last();
            let why = cause.map_or_else(|| error.to_string(), ToString::to_string);
            HttpError::Unsendable(url, why)
        }
        None => no_answer(url, error),
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    successors(error.source(), |&cause| cause.source())
}

/// Returns how an answer ended of whose body no more can be read.
fn broken_off(error: &reqwest::Error) -> Ending {
    let malformed = causes(error).find_map(|cause| malformed(cause.downcast_ref()?));
    let closed = || Ending::ClosedEarly("connection closed".to_owned());
    malformed.map_or_else(closed, Ending::Protocol)
}

fn no_answer(url: String, error: &reqwest::Error) -> HttpError {
    for cause in causes(error) {
        let io = cause.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return HttpError::Refused(url);
        }
        if let Some(NoAddress(why)) = cause.downcast_ref() {
            return HttpError::Unresolved(url, why.clone());
        }
        if let Some(why) = cause.downcast_ref().and_then(malformed) {
            // The library tells its errors apart by these words alone.
            let is_http1 = why != NO_VERSION;
            return if is_http1 {
                HttpError::Unreadable(url, why)
            } else {
                HttpError::NotHttp1(url)
            };
        }
    }
    if error.is_connect() {
        HttpError::Connect(url)
    } else if error.is_request() {
        HttpError::Closed(url)
    } else {
        HttpError::Broken(url)
    }
}
