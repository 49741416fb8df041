//! The proxy that requests to an engine go through, where a scenario says so.

use std::fmt;

use bytes::Bytes;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::load::transport::url::is_loopback;
use crate::secrets::Secret;

/// The word that stands for the variables of the shell: `HTTP_PROXY`, `NO_PROXY` …
const ENVIRONMENT: &str = "environment";
/// Longest answer to a request for a tunnel.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// A proxy that speaks HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What opens it, if it asks for a password.
    pub(crate) authorization: Option<HeaderValue>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

impl Proxy {
    /// Returns the proxy between bench and a base URL; `None` where the setting names none for it,
    /// and for a loopback URL.
    ///
    /// # Errors
    /// What is wrong with the setting.
    pub(crate) fn between(setting: &str, base_url: &str) -> Result<Option<Self>, String> {
        if is_loopback(base_url) {
            return Ok(None);
        }
        let matcher = match setting {
            ENVIRONMENT if is_no_proxy_for_all() => return Ok(None),
            ENVIRONMENT => Matcher::from_env(),
            url => Matcher::builder().all(url.to_owned()).build(),
        };
        let uri: Uri = base_url.parse().map_err(|error| format!("{error}"))?;
        let Some(found) = matcher.intercept(&uri) else {
            return match setting {
                ENVIRONMENT => Ok(None),
                _ => Err("it is no URL of a proxy".to_owned()),
            };
        };
        if found.uri().scheme_str() != Some("http") {
            let scheme = found.uri().scheme_str().unwrap_or_default();
            return Err(format!("bench speaks to proxies by http://, and this one is {scheme}://"));
        }
        let host = found.uri().host().unwrap_or_default();
        Ok(Some(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: found.uri().port_u16().unwrap_or(80),
            authorization: found.basic_auth().cloned(),
        }))
    }

    /// Returns user and password as the header carries them.
    pub(crate) fn coded_password(&self) -> Option<Secret> {
        let value = self.authorization.as_ref()?.to_str().ok()?;
        Secret::new(value.strip_prefix("Basic ").unwrap_or(value))
    }

    /// Returns its URL, without the password.
    pub(crate) fn url(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("http://{host}:{}", self.port)
    }

    /// Asks for a tunnel to an https URL, and returns why there is none.
    pub(crate) async fn refusal(&self, url: &str) -> Option<NoTunnel> {
        let url = reqwest::Url::parse(url).ok().filter(|url| url.scheme() == "https")?;
        let authority = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
        let mut tcp = TcpStream::connect((self.host.as_str(), self.port)).await.ok()?;
        open_tunnel(&mut tcp, &self.tunnel_request(&authority)).await.err()
    }

    /// Returns the request for a tunnel to a host and port.
    pub(crate) fn tunnel_request(&self, authority: &str) -> Bytes {
        let mut request =
            format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"proxy-authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.into()
    }
}

/// Whether the shell keeps all hosts from its proxy. The library asks this of names alone, and not
/// of addresses. Source: curl's manual, `NO_PROXY`.
fn is_no_proxy_for_all() -> bool {
    let mut set = ["NO_PROXY", "no_proxy"].into_iter().filter_map(|name| std::env::var(name).ok());
    set.any(|hosts| hosts.split(',').any(|host| host.trim() == "*"))
}

/// Why a proxy opened no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTunnel {
    /// The connection to it broke.
    #[error("no answer of the proxy: {0}")]
    Broken(String),
    /// The answer is longer than one to such a request can be.
    #[error("the proxy's answer has no end")]
    Endless,
    /// It answered with another status than success: its first line.
    #[error("the proxy answered: {line}")]
    Answered {
        /// Absent where the first line holds none.
        status: Option<u16>,
        /// The first line.
        line: String,
    },
}

impl NoTunnel {
    /// Whether no wait mends it: the proxy refuses the request itself.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::Answered { status: Some(400..=407 | 409..=428 | 430..=499), .. })
    }
}

/// Has a proxy open a tunnel over a connection to it. Source: RFC 9110, section 9.3.6.
pub(crate) async fn open_tunnel(tcp: &mut TcpStream, request: &[u8]) -> Result<(), NoTunnel> {
    let failed = |error: std::io::Error| NoTunnel::Broken(error.to_string());
    tcp.write_all(request).await.map_err(failed)?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the head is the engine's.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_BYTES_MAX {
            return Err(NoTunnel::Endless);
        }
        answer.push(tcp.read_u8().await.map_err(failed)?);
    }
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or_default();
    let status: Option<u16> = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    match status {
        Some(200..=299) => Ok(()),
        _ => Err(NoTunnel::Answered { status, line: line.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_used_where_the_setting_names_it_and_never_for_loopback() {
        let between = |setting: &str, url: &str| {
            Proxy::between(setting, url).map(|found| found.map(|proxy| proxy.url()))
        };
        let url = "http://me:canary@proxy:3128";
        assert_eq!(between(url, "https://engine.example/v1"), Ok(Some("http://proxy:3128".into())));
        for here in ["http://127.0.0.1:8", "http://localhost", "http://[::1]:8"] {
            assert_eq!(between(url, here), Ok(None), "{here}");
        }
        let proxy = Proxy::between(url, "https://engine.example").unwrap().unwrap();
        let request = proxy.tunnel_request("engine.example:443");
        let expected = "CONNECT engine.example:443 HTTP/1.1\r\nhost: engine.example:443\r\n\
                        proxy-authorization: Basic bWU6Y2FuYXJ5\r\n\r\n";
        assert_eq!(request, expected);
        assert!(!format!("{proxy:?}").contains("canary"));
        let told = between("socks5://proxy:1", "http://engine.example").unwrap_err();
        assert!(told.contains("socks5://"), "{told}");
    }
}
