//! Prepares address, request head and descriptors before the clock runs.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::load::spec::{LoadError, Target};
use crate::load::transport::proxy::Proxy;
use crate::load::transport::url::{path_and_query, url_of};
use crate::secrets::Secret;

/// Descriptors that a process needs in addition to its streams.
const SPARE_DESCRIPTORS: u64 = 64;
/// Time within which one of several addresses must answer.
const TRY_ADDRESS: Duration = Duration::from_secs(2);

/// Raises the limit of open files as far as this many simultaneous requests need.
///
/// # Errors
/// [`LoadError::TooFewDescriptors`] if the hard limit does not allow it.
pub fn preflight(max_in_flight: u64) -> Result<(), LoadError> {
    let (needed, soft, hard) = descriptors(max_in_flight)?;
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(of_limit)?;
    }
    Ok(())
}

/// Returns how many descriptors so many simultaneous requests need, with the soft and the hard limit,
/// and changes nothing.
///
/// # Errors
/// As [`preflight`].
pub(crate) fn descriptors(max_in_flight: u64) -> Result<(u64, u64, u64), LoadError> {
    let needed = max_in_flight + SPARE_DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(of_limit)?;
    if hard < needed {
        return Err(LoadError::TooFewDescriptors { needed, limit: hard });
    }
    Ok((needed, soft, hard))
}

fn of_limit(error: nix::Error) -> LoadError {
    LoadError::System { what: "read or raise the limit of open files", source: error.into() }
}

/// The target of requests, checked.
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    host: String,
    port: u16,
    proxy: Option<Proxy>,
}

impl Endpoint {
    pub(crate) fn new(target: &Target) -> Result<Self, LoadError> {
        let bad =
            |why: &str| LoadError::BadUrl { url: target.base_url.clone(), why: why.to_owned() };
        let url = url_of(&target.base_url, &target.path).map_err(|error| bad(&error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it begins neither with http:// nor with https://"));
        }
        let host = url.host_str().ok_or_else(|| bad("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or_else(|| bad("it names no port"))?;
        Ok(Self { url, host, port, proxy: target.proxy.clone() })
    }

    /// Returns the address that requests go to, looked up once. If the host has several, the first
    /// that answers is taken.
    pub(crate) fn address(&self) -> Result<SocketAddr, LoadError> {
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (self.host.as_str(), self.port),
        };
        let failed = |why: String| LoadError::Resolve { host: host.to_owned(), why };
        let addresses: Vec<_> =
            (host, port).to_socket_addrs().map_err(|error| failed(error.to_string()))?.collect();
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

    /// Returns what stands in a request's first line: through a proxy without a tunnel all of the
    /// URL, else its path and query. Source: RFC 9112, section 3.2.
    pub(crate) fn request_target(&self) -> String {
        match self.open_proxy() {
            Some(_) => self.url.to_string(),
            None => path_and_query(&self.url),
        }
    }

    /// Returns the request for a tunnel, where a proxy stands before TLS.
    pub(crate) fn tunnel_request(&self) -> Option<Bytes> {
        let proxy = self.proxy.as_ref().filter(|_| self.url.scheme() == "https")?;
        let host = self.url.host_str().unwrap_or_default();
        Some(proxy.tunnel_request(&format!("{host}:{}", self.port)))
    }

    /// Returns the headers of a request, with the one that opens a proxy without a tunnel.
    pub(crate) fn headers(
        &self,
        target: &Target,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, LoadError> {
        let mut all = headers(target)?;
        let opens = self.open_proxy().and_then(|proxy| proxy.authorization.clone());
        all.extend(opens.map(|value| (PROXY_AUTHORIZATION, value)));
        Ok(all)
    }

    /// Returns the proxy that sees the requests themselves.
    fn open_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| self.url.scheme() == "http")
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
        let mut head = format!("POST {} HTTP/1.1\r\n", self.request_target());
        write!(head, "host: {}\r\n", self.authority()).expect("writing to a String does not fail");
        for (name, value) in self.headers(target)? {
            let value =
                value.to_str().map_err(|_| LoadError::BadHeader { name: name.to_string() })?;
            write!(head, "{name}: {value}\r\n").expect("writing to a String does not fail");
        }
        head.push_str("content-length: ");
        Ok(head.into())
    }
}

/// Returns the headers that both transports send.
fn headers(target: &Target) -> Result<Vec<(HeaderName, HeaderValue)>, LoadError> {
    let bad = |name: String| LoadError::BadHeader { name };
    request_headers(target.stream, &target.headers).map_err(bad)
}

/// Returns the headers of a request for a stream or for a whole answer. Those of the scenario
/// and of its keys stand in the place of bench's own.
///
/// # Errors
/// The name of a header that HTTP cannot carry.
pub(crate) fn request_headers(
    stream: bool,
    given: &[(String, Secret)],
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let accept = if stream { "text/event-stream" } else { "application/json" };
    let ours = [
        ("user-agent", concat!("bench/", env!("CARGO_PKG_VERSION"))),
        ("content-type", "application/json"),
        ("accept", accept),
        // Compression would hold parts of a stream back.
        ("accept-encoding", "identity"),
    ];
    let is_given = |name: &str| given.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let ours = ours.into_iter().filter(|(name, _)| !is_given(name));
    ours.chain(given.iter().map(|(name, value)| (name.as_str(), value.expose())))
        .map(|(name, value)| {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| name.to_owned())?;
            Ok((header, HeaderValue::from_str(value).map_err(|_| name.to_owned())?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_scenario_replace_ours() {
        let secret = |text: &str| Secret::new(text).unwrap();
        let given =
            [("User-Agent".to_owned(), secret("mine/1")), ("api-key".to_owned(), secret("canary"))];
        let found = request_headers(true, &given).unwrap();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let expected = [
            ("content-type", "application/json"),
            ("accept", "text/event-stream"),
            ("accept-encoding", "identity"),
            ("user-agent", "mine/1"),
            ("api-key", "canary"),
        ];
        assert_eq!(found, expected);
        let bad = [("a b".to_owned(), secret("x"))];
        assert_eq!(request_headers(true, &bad), Err("a b".to_owned()));
    }
}
