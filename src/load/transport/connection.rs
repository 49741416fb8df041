//! One connection of the HTTP library, used by one exchange at a time.

use std::future::{poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::load::clock::Epoch;
use crate::load::transport::client::{Ending, Head};
use crate::load::transport::http1_framing::{MAX_HEADERS, too_large};
use crate::load::transport::proxy::open_tunnel;
use crate::load::transport::socket::is_our_shortage;
use crate::load::transport::stamped::{StampedStream, Stamps};

/// Time within which a connection must be ready again after an answer.
const SETTLE: Duration = Duration::from_secs(1);

/// The server that connections go to.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) address: SocketAddr,
    /// What asks the proxy at that address for a tunnel to the server; absent without one.
    pub(crate) tunnel: Option<Bytes>,
    /// TLS settings; absent for `http`.
    pub(crate) tls: Option<(TlsConnector, ServerName<'static>)>,
    pub(crate) epoch: Epoch,
}

impl Route {
    /// Opens a connection: TCP, then TLS.
    pub(crate) async fn open(&self) -> Result<Connection, Ending> {
        let mut tcp = TcpStream::connect(self.address).await.map_err(|error| not_open(&error))?;
        tcp.set_nodelay(true).map_err(|error| not_open(&error))?;
        if let Some(request) = &self.tunnel {
            let opened = open_tunnel(&mut tcp, request).await;
            opened.map_err(|why| Ending::Connect(why.to_string()))?;
        }
        let tcp = StampedStream::new(tcp, self.epoch);
        let stamps = tcp.stamps();
        match &self.tls {
            None => Connection::over(tcp, stamps).await,
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), tcp).await;
                Connection::over(tls.map_err(|error| not_open(&error))?, stamps).await
            }
        }
    }
}

/// An open connection.
///
/// Its bytes move only while it is polled. The task of its exchange polls it: a task of its own
/// would be a queue between reading and stamping.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    motor: Motor,
    /// The stamps of the socket. The libraries read no further than the part of a body that they
    /// hand out next, so the last read is the one that completed it.
    pub(crate) stamps: Stamps,
    n_served: u32,
}

/// The future that moves the bytes of a connection until it closes.
struct Motor {
    moving: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    is_over: bool,
}

impl Motor {
    fn poll(&mut self, context: &mut Context<'_>) {
        // The exchange gets the error too. Between exchanges nobody needs it.
        self.is_over = self.is_over || self.moving.as_mut().poll(context).is_ready();
    }

    /// Waits for a piece of work while bytes move, and returns its result.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.poll(context);
            work.as_mut().poll(context)
        })
        .await
    }
}

impl Connection {
    async fn over(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        stamps: Stamps,
    ) -> Result<Self, Ending> {
        let made = Builder::new()
            .max_headers(MAX_HEADERS)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(TokioIo::new(io))
            .await;
        let (sender, connection) = made.map_err(|error| Ending::Connect(root_cause(&error)))?;
        let motor = Motor { moving: Box::pin(connection), is_over: false };
        Ok(Self { sender, motor, stamps, n_served: 0 })
    }

    /// Whether the connection is open, as far as this side knows.
    pub(crate) async fn is_open(&mut self) -> bool {
        self.motor.drive(ready(())).await;
        !self.motor.is_over && self.sender.is_ready()
    }

    /// Waits until the connection can carry the next request. Returns `false` if it never will.
    pub(crate) async fn settles(&mut self) -> bool {
        let Self { sender, motor, .. } = self;
        let ready = tokio::time::timeout(SETTLE, motor.drive(sender.ready())).await;
        matches!(ready, Ok(Ok(()))) && !motor.is_over
    }

    /// Sends a request. Returns the head of its response, and the body to come.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Head, Incoming), Ending> {
        let reused = self.n_served > 0;
        self.n_served += 1;
        let response = self.motor.drive(self.sender.send_request(request)).await;
        let response = response.map_err(|error| match malformed(&error) {
            Some(why) => Ending::Protocol(why),
            None => Ending::NoResponse { reused, why: root_cause(&error) },
        })?;
        let head = head_of(response.status().as_u16(), response.headers());
        Ok((head, response.into_body()))
    }

    /// Returns the next bytes of a body, or the ending after the last ones.
    pub(crate) async fn receive(&mut self, body: &mut Incoming) -> Result<Bytes, Ending> {
        loop {
            match self.motor.drive(body.frame()).await {
                // Trailers are ignored.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(bytes);
                    }
                }
                None => return Err(Ending::Complete),
                Some(Err(error)) => {
                    let broken = || Ending::ClosedEarly(root_cause(&error));
                    return Err(malformed(&error).map_or_else(broken, Ending::Protocol));
                }
            }
        }
    }
}

/// Returns what bench reads of a response's head.
pub(crate) fn head_of(status: u16, headers: &HeaderMap) -> Head {
    let text = |name: HeaderName| {
        let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        value.unwrap_or_default().into_owned()
    };
    Head {
        status,
        content_type: text(CONTENT_TYPE).to_ascii_lowercase(),
        content_encoding: text(CONTENT_ENCODING).to_ascii_lowercase(),
        location: text(LOCATION),
    }
}

fn not_open(error: &io::Error) -> Ending {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        _ if is_our_shortage(error) => Ending::ClientResources(error.to_string()),
        Some(rustls::Error::InvalidCertificate(why)) => {
            Ending::Connect(format!("certificate not trusted ({why}): see `ca` of the engine"))
        }
        Some(error) => Ending::Connect(format!("no TLS: {error}")),
        None => Ending::Connect(error.to_string()),
    }
}

/// Returns how the response's bytes violate the protocol, if they do.
pub(crate) fn malformed(error: &hyper::Error) -> Option<String> {
    if error.is_parse_too_large() {
        return Some(too_large());
    }
    (error.is_parse() || has_bad_body(error)).then(|| root_cause(error))
}

fn has_bad_body(error: &hyper::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput};
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(error.kind(), InvalidData | InvalidInput);
        }
        cause = error.source();
    }
    false
}

fn root_cause(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
