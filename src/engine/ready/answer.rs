//! What an answer says of an engine that is not ready: wait, give up, or give up at once.

use std::fmt;

use reqwest::Url;

/// Statuses of an endpoint that is not there.
pub(in crate::engine) const NO_SUCH_API: [u16; 2] = [404, 501];

/// What a status says to who waits for an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Meaning {
    /// It is there.
    Ready,
    /// It is starting: another answer may come.
    NotYet,
    /// It says no to this request; said several times, it means it.
    Refusal,
    /// No wait mends it, but this does.
    Never(Remedy),
}

/// What mends an answer that no wait mends; shown as what a scenario has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Remedy {
    /// The right key.
    Key,
    /// The place that the answer points to.
    Redirect {
        /// Where that is.
        target: String,
        /// The URL below which the path that was asked for lies there; absent where another path
        /// does.
        base: Option<String>,
    },
    /// What these words say.
    Said(&'static str),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("is `api-key-env` the variable of its key?"),
            Self::Redirect { target, base: Some(base) } => {
                write!(f, "it redirects to {target}; set `url = \"{base}\"`")
            }
            Self::Redirect { target, base: None } => write!(
                f,
                "it redirects to {target}; set `url` and the path so that they lead there"
            ),
            Self::Said(words) => f.write_str(words),
        }
    }
}

/// Returns what the status of an answer means. `url` is what was asked for and `path` the
/// scenario's part of it; `location` is where a redirect points to.
pub(in crate::engine) fn meaning(
    status: u16,
    url: &str,
    path: &str,
    location: Option<&str>,
) -> Meaning {
    match status {
        200..=299 => Meaning::Ready,
        300..=399 => match location {
            Some(location) => Meaning::Never(redirect(url, path, location)),
            None => Meaning::Refusal,
        },
        401 | 403 => Meaning::Never(Remedy::Key),
        407 => Meaning::Never(Remedy::Said("a proxy asks for a password")),
        426 | 505 => Meaning::Never(Remedy::Said("it does not speak HTTP/1.1, and bench no other")),
        // Paths appear, models are loaded and gateways wait for them while an engine starts.
        404 | 408 | 425 | 429 | 500.. => Meaning::NotYet,
        _ => Meaning::Refusal,
    }
}

/// Returns where a redirect leads. None is followed: a key must not reach another host, and a hop
/// more would be measured.
fn redirect(url: &str, path: &str, location: &str) -> Remedy {
    let target = Url::parse(url).and_then(|url| url.join(location)).ok();
    let Some(target) = target else {
        return Remedy::Redirect { target: location.to_owned(), base: None };
    };
    let path = path.split('?').next().unwrap_or_default();
    let base = target.as_str().split(['?', '#']).next().unwrap_or_default().strip_suffix(path);
    let base = base.filter(|base| !path.is_empty() && !base.is_empty()).map(str::to_owned);
    Remedy::Redirect { target: target.into(), base }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starting_engine_is_waited_for_and_what_no_wait_mends_is_not() {
        let of = |status| meaning(status, "http://e/v1/models", "/v1/models", None);
        for status in [404, 408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(of(status), Meaning::NotYet, "{status}");
        }
        for status in [400, 405, 415, 422] {
            assert_eq!(of(status), Meaning::Refusal, "{status}");
        }
        for status in [401, 403, 407, 426, 505] {
            assert!(matches!(of(status), Meaning::Never(_)), "{status}");
        }
        assert_eq!((of(200), of(204)), (Meaning::Ready, Meaning::Ready));
    }

    #[test]
    fn a_redirect_is_told_with_its_target_and_the_url_to_write() {
        let check = |location: &str, expected: &str| {
            let found = meaning(307, "http://e:1/a/v1/models", "/v1/models", Some(location));
            let Meaning::Never(remedy) = found else { panic!("{found:?}") };
            assert_eq!(remedy.to_string(), expected, "{location}");
        };
        check(
            "https://f/b/v1/models",
            "it redirects to https://f/b/v1/models; set `url = \"https://f/b\"`",
        );
        check("/v1/models", "it redirects to http://e:1/v1/models; set `url = \"http://e:1\"`");
        check(
            "/a/v1/models/",
            "it redirects to http://e:1/a/v1/models/; set `url` and the path so that they lead there",
        );
    }
}
