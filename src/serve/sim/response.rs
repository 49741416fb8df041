//! HTTP responses that are written whole, and the head of streams.

use serde::Serialize;

use super::event::json;
use crate::openai::body::ErrorBody;

/// Heads and whole responses, with the faults of headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Responses {
    /// Size of a header that is added as a fault. Unit: megabytes.
    pub headers_mb: Option<u32>,
    /// `Retry-After` of errors. Unit: seconds.
    pub retry_after: Option<u64>,
}

impl Responses {
    /// Appends the head of a stream of events.
    pub(crate) fn write_stream_head(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n");
        self.write_filler(out);
        out.extend_from_slice(b"\r\n");
    }

    /// Returns a whole response.
    pub(crate) fn whole(self, status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            411 => "Length Required",
            413 => "Content Too Large",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            503 => "Service Unavailable",
            _ => "Status",
        };
        let mut out = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n",
            body.len()
        )
        .into_bytes();
        if let Some(secs) = self.retry_after.filter(|_| status >= 400) {
            out.extend_from_slice(format!("retry-after: {secs}\r\n").as_bytes());
        }
        self.write_filler(&mut out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        out
    }

    /// Returns a whole JSON response.
    pub(crate) fn json(self, status: u16, body: &impl Serialize) -> Vec<u8> {
        self.whole(status, "application/json", &json(body))
    }

    /// Returns an error response.
    pub(crate) fn error(self, status: u16, message: impl Into<String>) -> Vec<u8> {
        self.json(status, &ErrorBody::new(status, message))
    }

    fn write_filler(self, out: &mut Vec<u8>) {
        if let Some(n_mb) = self.headers_mb {
            out.extend_from_slice(b"x-filler: ");
            out.resize(out.len() + (n_mb as usize) * 1_000_000, b'a');
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_when_to_come_back() {
        let responses = Responses { retry_after: Some(7), headers_mb: None };
        let text = String::from_utf8(responses.error(429, "full")).unwrap();
        assert!(text.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{text}");
        assert!(text.contains("\r\nretry-after: 7\r\n"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with("retry-after: 7") && body.contains("\"full\""));
        assert!(head.contains(&format!("content-length: {}", body.len())));
    }
}
