//! The last answer to a step towards readiness, and how often it came: why a wait was in vain.

use std::fmt;

use crate::engine::http::HttpError;

/// Characters of a body that are kept: an error in JSON, not a page.
const BODY_CHARS: usize = 200;

/// What is told of a connection that was closed before an answer began.
const CLOSED: &str = "the connection was closed without an answer";

/// What the latest request met.
#[derive(Debug, Default)]
pub(crate) struct LastAnswer {
    /// Method and URL.
    request: String,
    /// What came, with its separator; empty as long as nothing came.
    outcome: String,
    /// Beginning of the body, on one line.
    body: String,
    n_times: u32,
}

impl LastAnswer {
    /// Notes what is asked next; an answer to something else is forgotten.
    pub(super) fn asking(&mut self, method: &str, url: &str) {
        let request = format!("{method} {url}");
        if request != self.request {
            *self = Self { request, ..Self::default() };
        }
    }

    /// Whether a request was made.
    pub(super) fn is_asked(&self) -> bool {
        !self.request.is_empty()
    }

    /// Whether anything came of it so far.
    pub(super) fn has_outcome(&self) -> bool {
        self.n_times > 0
    }

    /// Whether plain HTTP met what closes without a word, as a server that speaks TLS alone does.
    pub(super) fn may_want_tls(&self) -> bool {
        let url = self.request.split(' ').nth(1);
        url.is_some_and(|url| url.starts_with("http://")) && self.outcome.ends_with(CLOSED)
    }

    /// Notes a status and a body.
    pub(super) fn answered(&mut self, status: u16, body: &str) {
        self.count(format!(" answered {status}"));
        let words: Vec<&str> = body.split_whitespace().collect();
        self.body = words.join(" ").chars().take(BODY_CHARS).collect();
    }

    /// Notes why there was no answer.
    pub(super) fn missed(&mut self, error: &HttpError) {
        let why = match error {
            HttpError::Refused(_) => "connection refused",
            HttpError::Connect(_) => "no connection",
            HttpError::NoTunnel(.., why) => {
                self.count(format!(": {why}"));
                return self.body.clear();
            }
            HttpError::Broken(_) => "the answer broke off",
            HttpError::Closed(_) => CLOSED,
            HttpError::Unreadable(..) => "an answer that cannot be read",
            HttpError::TimedOut(..) => "no answer in time",
            HttpError::Unfinished { .. } => "an answer that began and had no end in time",
            HttpError::Unresolved(..) => "no address",
            HttpError::Untrusted(..) | HttpError::NotTls(_) | HttpError::Tls(..) => "no TLS",
            HttpError::NotHttp1(_) => "no HTTP/1.1",
            HttpError::Unsendable(..) => "cannot be sent",
        };
        self.count(format!(": {why}"));
        self.body.clear();
    }

    fn count(&mut self, outcome: String) {
        self.n_times = if outcome == self.outcome { self.n_times + 1 } else { 1 };
        self.outcome = outcome;
    }
}

impl fmt::Display for LastAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, outcome, body, n_times } = self;
        match n_times {
            0 => return write!(f, "{request} has no answer"),
            1 => write!(f, "{request}{outcome} (once)")?,
            _ => write!(f, "{request}{outcome} ({n_times} times)")?,
        }
        if body.is_empty() { Ok(()) } else { write!(f, ": {body}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers_are_counted_and_the_last_body_is_told_on_one_line() {
        let mut last = LastAnswer::default();
        last.asking("GET", "http://e/health");
        assert_eq!(last.to_string(), "GET http://e/health has no answer");
        last.missed(&HttpError::Refused("http://e/health".to_owned()));
        assert_eq!(last.to_string(), "GET http://e/health: connection refused (once)");
        for n in 1..=3 {
            last.asking("GET", "http://e/health");
            last.answered(404, &format!("{{\n  \"detail\": \"no such path, {n}\"\n}}"));
        }
        let told =
            "GET http://e/health answered 404 (3 times): { \"detail\": \"no such path, 3\" }";
        assert_eq!(last.to_string(), told);
        last.asking("GET", "http://e/v1/models");
        assert_eq!(last.to_string(), "GET http://e/v1/models has no answer");
    }
}
