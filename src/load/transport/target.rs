//! Prepares address, request head and descriptors before the clock runs.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::load::spec::{LoadError, Target};

/// Descriptors that a process needs in addition to its streams.
const SPARE_DESCRIPTORS: u64 = 64;
/// Time within which one of several addresses must answer.
const TRY_ADDRESS: Duration = Duration::from_secs(2);

/// Raises the limit of open files as far as this many simultaneous requests need.
///
/// # Errors
/// [`LoadError::TooFewDescriptors`] if the hard limit does not allow it.
pub fn preflight(max_in_flight: u64) -> Result<(), LoadError> {
    let system = |error: nix::Error| LoadError::System {
        what: "read or raise the limit of open files",
        source: error.into(),
    };
    let needed = max_in_flight + SPARE_DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(system)?;
    if hard < needed {
        return Err(LoadError::TooFewDescriptors { needed, limit: hard });
    }
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(system)?;
    }
    Ok(())
}

/// The target of requests, checked.
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    host: String,
    port: u16,
}

impl Endpoint {
    pub(crate) fn new(target: &Target) -> Result<Self, LoadError> {
        let bad =
            |why: &str| LoadError::BadUrl { url: target.base_url.clone(), why: why.to_owned() };
        let mut url = Url::parse(&target.base_url).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it begins neither with http:// nor with https://"));
        }
        let host = url.host_str().ok_or_else(|| bad("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or_else(|| bad("it names no port"))?;
        let path = format!("{}{}", url.path().trim_end_matches('/'), target.path);
        url.set_path(&path);
        Ok(Self { url, host, port })
    }

    /// Returns the address that requests go to, looked up once. If the host has several, the first
    /// that answers is taken.
    pub(crate) fn address(&self) -> Result<SocketAddr, LoadError> {
        let failed = |why: String| LoadError::Resolve { host: self.host.clone(), why };
        let addresses: Vec<_> = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| failed(error.to_string()))?
            .collect();
        let first = *addresses.first().ok_or_else(|| failed("it has none".to_owned()))?;
        if addresses.len() == 1 {
            return Ok(first);
        }
        let answers =
            |address: &&SocketAddr| TcpStream::connect_timeout(address, TRY_ADDRESS).is_ok();
        Ok(addresses.iter().find(answers).copied().unwrap_or(first))
    }

    /// Returns the host, with the port where it is not the usual one.
    pub(crate) fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Returns the TLS settings and the name that the server must prove; `None` for `http`.
    pub(crate) fn tls(
        &self,
        target: &Target,
    ) -> Result<Option<(TlsConnector, ServerName<'static>)>, LoadError> {
        if self.url.scheme() != "https" {
            return Ok(None);
        }
        let bad =
            |why: &str| LoadError::BadUrl { url: target.base_url.clone(), why: why.to_owned() };
        let config = target.tls.clone().ok_or_else(|| bad("nobody says whom to trust on TLS"))?;
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| bad("its host is no name that a certificate could hold"))?;
        Ok(Some((TlsConnector::from(config), name)))
    }

    /// Returns the request's head up to the value of `Content-Length`.
    pub(crate) fn request_head(&self, target: &Target) -> Result<Bytes, LoadError> {
        use std::fmt::Write as _;
        let mut head = format!("POST {} HTTP/1.1\r\n", self.url.path());
        write!(head, "host: {}\r\n", self.authority()).expect("writing to a String does not fail");
        for (name, value) in headers(target)? {
            let value =
                value.to_str().map_err(|_| LoadError::BadHeader { name: name.to_string() })?;
            write!(head, "{name}: {value}\r\n").expect("writing to a String does not fail");
        }
        head.push_str("content-length: ");
        Ok(head.into())
    }
}

/// Returns the headers that both transports send.
pub(crate) fn headers(target: &Target) -> Result<Vec<(HeaderName, HeaderValue)>, LoadError> {
    let accept = if target.stream { "text/event-stream" } else { "application/json" };
    let ours = [
        ("user-agent", concat!("bench/", env!("CARGO_PKG_VERSION"))),
        ("content-type", "application/json"),
        ("accept", accept),
        // Compression would hold parts of a stream back.
        ("accept-encoding", "identity"),
    ];
    let key = target.api_key.as_ref().map(|key| format!("Bearer {}", key.expose()));
    ours.into_iter()
        .chain(key.iter().map(|key| ("authorization", key.as_str())))
        .map(|(name, value)| {
            let bad = || LoadError::BadHeader { name: name.to_owned() };
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            Ok((header, HeaderValue::from_str(value).map_err(|_| bad())?))
        })
        .collect()
}
