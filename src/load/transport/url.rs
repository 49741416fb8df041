//! URLs of requests: a base and a path in one, and what stands in a first line.

use std::net::IpAddr;

use reqwest::Url;

/// Returns the URL of a path below a base URL. Queries of both are kept, the base's first.
///
/// # Errors
/// What is wrong with the base URL.
pub(crate) fn url_of(base_url: &str, path: &str) -> Result<Url, String> {
    let mut url = Url::parse(base_url).map_err(|error| error.to_string())?;
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let base = url.path().trim_end_matches('/');
    let path = format!("{base}/{}", path.trim_start_matches('/'));
    let queries = [url.query(), query].into_iter().flatten().filter(|query| !query.is_empty());
    let query = queries.collect::<Vec<_>>().join("&");
    url.set_path(&path);
    url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
    url.set_fragment(None);
    Ok(url)
}

/// Whether a URL leads to this machine by a loopback address or name.
pub fn is_loopback(url: &str) -> bool {
    let Some(host) = host_of(url) else { return false };
    let address = host.parse().ok().map(|address: IpAddr| address.to_canonical());
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_some_and(|address| address.is_loopback() || address.is_unspecified())
}

/// Returns the host of a URL, an address of IPv6 without its brackets.
pub(crate) fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// Returns what stands in a request's first line for a URL: its path and query.
pub(crate) fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_of_base_and_path_are_joined() {
        let check = |base: &str, path: &str, expected: &str| {
            assert_eq!(url_of(base, path).unwrap().as_str(), expected, "{base} {path}");
        };
        check("http://h:1", "/v1/models", "http://h:1/v1/models");
        check("http://h:1/", "v1/models", "http://h:1/v1/models");
        check("https://h/a/b/", "/v1/models?x=1", "https://h/a/b/v1/models?x=1");
        check(
            "https://h/openai/deployments/d?api-version=2024-10-21",
            "/chat/completions",
            "https://h/openai/deployments/d/chat/completions?api-version=2024-10-21",
        );
        check("http://h/?a=1#x", "/p?b=2&c", "http://h/p?a=1&b=2&c");
        check("http://h?", "/p", "http://h/p");
        let url = url_of("http://h?a=1", "/p?b=2").unwrap();
        assert_eq!(path_and_query(&url), "/p?a=1&b=2");
        assert!(url_of("//h:1", "/p").is_err());
    }

    #[test]
    fn only_loopback_urls_lead_here() {
        for here in [
            "http://127.0.0.1:8",
            "https://localhost",
            "http://[::1]:8/v1",
            "http://[::ffff:127.0.0.1]:8",
            "http://0.0.0.0:8",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in ["http://engine.example:8", "http://10.0.0.7", "http://localhost.example"]
        {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
