//! Parses the head of an HTTP request, as far as the simulated engine needs it.

/// Longest head that is accepted.
pub(crate) const MAX_HEAD_BYTES: usize = 64 << 10;

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Method.
    pub method: String,
    /// Path without its query.
    pub path: String,
    /// Bytes of the head, its empty line included.
    pub n_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Whether the client asks to close the connection after the response.
    pub close: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHead {
    /// The head is not HTTP/1.
    Malformed,
    /// The body is chunked, and `Content-Length` is missing.
    LengthRequired,
    /// The head is longer than [`MAX_HEAD_BYTES`].
    TooLong,
}

impl Head {
    /// Parses the head at the beginning of `bytes`; `None` while it is incomplete.
    ///
    /// # Errors
    /// [`BadHead`] if no further byte can make the head acceptable.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, BadHead> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let n_bytes = match request.parse(bytes) {
            Ok(httparse::Status::Complete(n_bytes)) => n_bytes,
            Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD_BYTES => {
                return Err(BadHead::TooLong);
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(BadHead::Malformed),
        };
        let path = request.path.unwrap_or("/");
        let mut head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.split('?').next().unwrap_or(path).to_owned(),
            n_bytes,
            body_bytes: 0,
            close: request.version == Some(0),
            expects_continue: false,
        };
        for header in request.headers.iter() {
            let value = header.value;
            match header.name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    head.body_bytes = std::str::from_utf8(value)
                        .ok()
                        .and_then(|text| text.trim().parse().ok())
                        .ok_or(BadHead::Malformed)?;
                }
                "transfer-encoding" => return Err(BadHead::LengthRequired),
                "connection" if value.eq_ignore_ascii_case(b"close") => head.close = true,
                "connection" if value.eq_ignore_ascii_case(b"keep-alive") => head.close = false,
                "expect" => head.expects_continue = value.eq_ignore_ascii_case(b"100-continue"),
                _ => {}
            }
        }
        Ok(Some(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] =
        b"POST /v1/completions?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let head = Head::parse(REQUEST).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/v1/completions"));
        assert_eq!((head.n_bytes, head.body_bytes), (REQUEST.len() - 5, 5));
        assert!(!head.close && !head.expects_continue);
    }

    #[test]
    fn every_proper_prefix_of_a_head_is_incomplete() {
        for n_bytes in 0..REQUEST.len() - 5 {
            assert_eq!(Head::parse(&REQUEST[..n_bytes]), Ok(None), "{n_bytes}");
        }
    }

    #[test]
    fn old_clients_and_those_that_ask_for_it_are_disconnected() {
        let closes = |bytes: &[u8]| Head::parse(bytes).unwrap().unwrap().close;
        assert!(closes(b"GET / HTTP/1.0\r\n\r\n"));
        assert!(closes(b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"));
        assert!(!closes(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn what_cannot_be_served_is_said_so() {
        let check = |bytes: &[u8], expected| assert_eq!(Head::parse(bytes), Err(expected));
        check(b"\x16\x03\x01 TLS\r\n\r\n", BadHead::Malformed);
        check(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", BadHead::Malformed);
        check(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", BadHead::LengthRequired);
        let mut long = b"GET / HTTP/1.1\r\nX: ".to_vec();
        long.resize(MAX_HEAD_BYTES + 1, b'a');
        check(&long, BadHead::TooLong);
    }
}
