//! Fetches one file over HTTP: resumable, checked, and never from a place it was not sent to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, HeaderMap, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};
use sha2::{Digest as _, Sha256};

use crate::ids::{copy_digested, hex};
use crate::secrets::Secret;
use crate::store::atomic;

/// A host that does not answer must not hold up a run that has a fallback.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Longest silence within an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Hops from the first address to the file.
const REDIRECTS_MAX: usize = 5;
/// Most bytes of a file. No data set is larger, and a body without end must not fill the disk.
const BYTES_MAX: u64 = 64 << 30;
/// Most bytes of a listing of a repository.
const LISTING_MAX: usize = 32 << 20;

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The address is not one that `bench` fetches from.
    #[error("{url} is not fetched: {why}")]
    Refused {
        /// The address.
        url: String,
        /// Why not.
        why: &'static str,
    },
    /// The host could not be reached, or went silent.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The host.
        host: String,
        /// What failed.
        why: String,
    },
    /// The host answered with an error.
    #[error("{url} answered {status}{}", words(*status, *had_token, retry_after.as_deref()))]
    Status {
        /// The address.
        url: String,
        /// HTTP status.
        status: u16,
        /// Whether a token was sent.
        had_token: bool,
        /// When to come again, as the host says it.
        retry_after: Option<String>,
    },
    /// The answer ended before its time; what came of it is kept.
    #[error("{url}: {why}")]
    Cut {
        /// The address.
        url: String,
        /// What happened.
        why: String,
    },
    /// The answer is not what the hub or the scenario promised.
    #[error("{url}: {why}")]
    Unexpected {
        /// The address.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The file is not the pinned one. It was removed.
    #[error("{url} has SHA-256 {found}, {expected} was expected")]
    WrongHash {
        /// The address.
        url: String,
        /// Pinned digest.
        expected: String,
        /// Digest of the received file.
        found: String,
    },
    /// The disk refused.
    #[error("failed to write {path}: {source}")]
    Disk {
        /// The file.
        path: std::path::PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Returns what a status means at a hub, and what to do; empty where it says enough.
fn words(status: u16, had_token: bool, retry_after: Option<&str>) -> String {
    match (status, had_token) {
        (401 | 403, false) => ": it is private or gated; set HF_TOKEN to a token that may read it",
        (401, true) => ": the token of HF_TOKEN is not accepted; make a new one",
        (403, true) => {
            ": the account of HF_TOKEN may not read it; accept its terms on its page, or ask for access"
        }
        (404, false) => {
            ": there is no such repository, revision or file, or it is private and HF_TOKEN is not set"
        }
        (404, true) => {
            ": there is no such repository, revision or file, or the account of HF_TOKEN may not see it"
        }
        (429, had_token) => {
            let more = if had_token { "" } else { "; HF_TOKEN raises the limit" };
            let wait = match retry_after {
                Some(seconds) if seconds.bytes().all(|byte| byte.is_ascii_digit()) => {
                    format!("in {seconds} s")
                }
                Some(date) => format!("after {}", date.escape_debug()),
                None => "later".to_owned(),
            };
            return format!(": too many requests; come again {wait}{more}");
        }
        (500..=599, _) => ": the host has a fault; try again later",
        _ => "",
    }
    .to_owned()
}

/// Times that a download which was cut goes on by itself, each from where it stopped.
const RESUMES: usize = 4;

/// How far a download has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, if known.
    pub total: Option<u64>,
}

/// Gets the progress now and then.
pub(crate) type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// A client that stays on the track of one first address.
pub(crate) struct Fetcher {
    client: Client,
    token: Option<Secret>,
    /// The origin that the token is for.
    origin: Option<url_origin::Origin>,
    may_be_local: bool,
}

mod url_origin {
    use reqwest::Url;

    /// Scheme, host and port.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Origin(String, Option<String>, Option<u16>);

    impl Origin {
        pub(crate) fn of(url: &Url) -> Self {
            let host = url.host_str().map(str::to_owned);
            Self(url.scheme().to_owned(), host, url.port_or_known_default())
        }
    }
}

impl Fetcher {
    /// Makes a client for a first address; the token goes to that origin alone.
    pub(crate) fn new(first: &str, token: Option<&Secret>) -> Result<(Self, Url), FetchError> {
        let refused = |why| FetchError::Refused { url: shown(first), why };
        let url = Url::parse(first).map_err(|_| refused("it is not an address"))?;
        let may_be_local = is_local_host(&url);
        match url.scheme() {
            "https" => {}
            "http" if may_be_local => {}
            "http" => return Err(refused("only https is trusted")),
            _ => return Err(refused("only https addresses are fetched")),
        }
        // Another part of the program may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("bench/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .dns_resolver(Arc::new(PublicOnly { may_be_local }))
            .build()
            .map_err(|error| FetchError::Unreachable { host: shown(first), why: causes(&error) })?;
        let origin = Some(url_origin::Origin::of(&url));
        Ok((Self { client, token: token.cloned(), origin, may_be_local }, url))
    }

    /// Sends a request and follows redirects. Returns the headers of the first answer, where
    /// the hub states the file's identity, and the last answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &Url,
        from_byte: u64,
    ) -> Result<(HeaderMap, Response), FetchError> {
        let mut url = url.clone();
        let mut first_headers = None;
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.client.request(method.clone(), url.clone());
            if let Some(token) = &self.token
                && self.origin.as_ref() == Some(&url_origin::Origin::of(&url))
            {
                request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
            }
            if from_byte > 0 {
                request = request.header(RANGE, format!("bytes={from_byte}-"));
            }
            let response = request.send().await.map_err(|error| FetchError::Unreachable {
                host: url.host_str().unwrap_or_default().to_owned(),
                why: causes(&error),
            })?;
            let headers = first_headers.get_or_insert_with(|| response.headers().clone()).clone();
            let status = response.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                url = self.redirected(&url, response.headers())?;
                continue;
            }
            if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
                return Ok((headers, response));
            }
            let retry_after = response.headers().get(RETRY_AFTER);
            return Err(FetchError::Status {
                url: shown(url.as_str()),
                status: status.as_u16(),
                had_token: self.token.is_some(),
                retry_after: retry_after.and_then(|it| it.to_str().ok()).map(str::to_owned),
            });
        }
        Err(FetchError::Refused { url: shown(url.as_str()), why: "it redirects without end" })
    }

    pub(crate) fn redirected(&self, from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
        let refused = |why| FetchError::Refused { url: shown(from.as_str()), why };
        let to = headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| from.join(location).ok())
            .ok_or_else(|| refused("it redirects to nowhere"))?;
        let is_local = is_local_host(&to);
        match to.scheme() {
            _ if is_local && !self.may_be_local => {
                Err(refused("it redirects to this machine or its link"))
            }
            "https" => Ok(to),
            "http" if is_local => Ok(to),
            _ => Err(refused("it redirects to an address that is not https")),
        }
    }

    /// Fetches a small text.
    pub(crate) async fn text(&self, url: &Url) -> Result<String, FetchError> {
        let (_, mut response) = self.send(Method::GET, url, 0).await?;
        let unexpected = |why: String| FetchError::Unexpected { url: shown(url.as_str()), why };
        let mut text = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| unexpected(causes(&error)))?
        {
            text.extend_from_slice(&chunk);
            if text.len() > LISTING_MAX {
                return Err(unexpected("the answer is longer than 32 MiB".to_owned()));
            }
        }
        String::from_utf8(text).map_err(|_| unexpected("the answer is not UTF-8".to_owned()))
    }

    /// Fetches a file to `path` by way of `path.incomplete`, going on where an earlier attempt
    /// stopped, and where this one is cut. Returns its SHA-256.
    pub(crate) async fn file(
        &self,
        url: &Url,
        path: &Path,
        expected: Option<&str>,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<String, FetchError> {
        for _ in 0..RESUMES {
            match self.rest_of_file(url, path, expected, on_progress).await {
                Err(FetchError::Cut { .. }) => {}
                fetched => return fetched,
            }
        }
        self.rest_of_file(url, path, expected, on_progress).await
    }

    async fn rest_of_file(
        &self,
        url: &Url,
        path: &Path,
        expected: Option<&str>,
        on_progress: Option<OnProgress<'_>>,
    ) -> Result<String, FetchError> {
        let partial = path.with_file_name(format!(
            "{}.incomplete",
            path.file_name().unwrap_or_default().to_string_lossy()
        ));
        let disk = |source| FetchError::Disk { path: partial.clone(), source };
        let (mut file, mut hasher, mut done) = open_partial(&partial).map_err(disk)?;
        let (_, mut response) = self.send(Method::GET, url, done).await?;
        if done > 0 && !goes_on_at(&response, done) {
            // The server sends the whole file, or has less than we do: the file begins again.
            file.set_len(0).map_err(disk)?;
            (hasher, done) = (Sha256::new(), 0);
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                response = self.send(Method::GET, url, 0).await?.1;
            }
        }
        let total = response.content_length().map(|rest| done + rest);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let cut = |why: String| FetchError::Cut { url: shown(url.as_str()), why };
        while let Some(chunk) = response.chunk().await.map_err(|error| cut(causes(&error)))? {
            done += chunk.len() as u64;
            if done > BYTES_MAX {
                drop(fs::remove_file(&partial));
                let why = "it is larger than 64 GiB".to_owned();
                return Err(FetchError::Unexpected { url: shown(url.as_str()), why });
            }
            file.write_all(&chunk).map_err(disk)?;
            hasher.update(&chunk);
            if let Some(report) = on_progress {
                report(Progress { file: &name, done, total });
            }
        }
        if total.is_some_and(|total| total != done) {
            return Err(cut(format!("it ended after {done} of {} bytes", total.unwrap_or(0))));
        }
        let found = hex(&hasher.finalize());
        if let Some(expected) = expected.filter(|expected| !expected.eq_ignore_ascii_case(&found)) {
            fs::remove_file(&partial).map_err(disk)?;
            return Err(FetchError::WrongHash {
                url: shown(url.as_str()),
                expected: expected.to_owned(),
                found,
            });
        }
        file.sync_all().map_err(disk)?;
        fs::rename(&partial, path).map_err(disk)?;
        atomic::sync_parent(path).map_err(|error| disk(io::Error::other(error.to_string())))?;
        Ok(found)
    }
}

/// Runs a fetch to its end on a thread of its own: callers are not async, or are and must
/// not be blocked by a runtime within a runtime.
pub(crate) fn wait_for<T: Send>(
    fetch: impl Future<Output = Result<T, FetchError>> + Send,
) -> Result<T, FetchError> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|source| FetchError::Disk { path: "a runtime".into(), source })?;
                runtime.block_on(fetch)
            })
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Opens the part that an earlier attempt left, and digests it.
fn open_partial(path: &Path) -> io::Result<(File, Sha256, u64)> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    let mut hasher = Sha256::new();
    let done = copy_digested(&mut file, &mut io::sink(), &mut hasher)?;
    Ok((file, hasher, done))
}

fn goes_on_at(response: &Response, from: u64) -> bool {
    response.status() == StatusCode::PARTIAL_CONTENT
        && response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

fn is_local_host(url: &Url) -> bool {
    match url.host_str() {
        None => true,
        Some(host) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost"
                || host.ends_with(".localhost")
                || host.parse::<IpAddr>().is_ok_and(is_local)
        }
    }
}

/// Whether an address is loopback, link-local (where clouds keep credentials) or unspecified.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4 == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_local(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local(),
        },
    }
}

/// Resolves names, but not to this machine: a public name may point there.
#[derive(Debug)]
struct PublicOnly {
    may_be_local: bool,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let may_be_local = self.may_be_local;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> =
                found.filter(|address| may_be_local || !is_local(address.ip())).collect();
            if public.is_empty() {
                return Err("the name leads to this machine or to nowhere".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Returns an address without the parts that could be secret.
fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.to_string()
        }
        Err(_) => url.chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}

/// Returns the innermost cause: the layers around it, reqwest's own included, say only that
/// something failed.
fn causes(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
