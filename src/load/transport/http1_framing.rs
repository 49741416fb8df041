//! Removes the framing of HTTP/1.1 responses, wherever the network cut them.

use std::mem::MaybeUninit;

use httparse::ParserConfig;

use crate::load::transport::client::Head;

/// Longest head that is accepted: the bound of the HTTP library, which reads heads on `https` and
/// for the probe.
const MAX_HEAD_BYTES: usize = 8_192 + 4_096 * 100;
/// Most fields of a head that are accepted, here and by the library.
pub(crate) const MAX_HEADERS: usize = 512;

/// An incremental reader of responses on one connection, one after the other.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    state: State,
    /// Bytes of a head that is incomplete.
    head: Vec<u8>,
    keep_alive: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// The number of bytes to come of a body of known length.
    Length(u64),
    UntilClose,
    /// Inside a chunk-size line of which `n_digits` digits have been read.
    ChunkSize {
        size: u64,
        n_digits: u8,
        in_extension: bool,
    },
    ChunkData(u64),
    ChunkEnd,
    /// Inside the trailer, with this many bytes of the present line.
    Trailer(u32),
    Complete,
}

const CHUNK_START: State = State::ChunkSize { size: 0, n_digits: 0, in_extension: false };

/// Reads a complete chunk-size line of the usual form: at most eight digits, then CRLF. Returns
/// the size and the length of the line. Any other line is read byte by byte.
fn chunk_line(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut size = 0;
    for (i, byte) in bytes.iter().take(9).enumerate() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if size > 0 && bytes.get(i + 1) == Some(&b'\n') => return Some((size, i + 2)),
            _ => return None,
        };
        size = size << 4 | u64::from(digit);
    }
    None
}

/// A part of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Head(Head),
    Body(&'a [u8]),
}

/// A response that is not HTTP/1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadHttp(pub(crate) String);

impl ResponseReader {
    /// Resets the reader for the next response.
    pub(crate) fn reset(&mut self) {
        self.state = State::Head;
        self.head.clear();
    }

    /// Whether the response is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether the engine keeps the connection open after this response.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the body ends with the connection.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Reads further bytes. Returns how many of them belong to this response.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        mut on_part: impl FnMut(Part<'_>),
    ) -> Result<usize, BadHttp> {
        let mut pos = 0;
        while pos < bytes.len() && self.state != State::Complete {
            let rest = &bytes[pos..];
            pos += match &mut self.state {
                State::Head => self.read_head(rest, &mut on_part)?,
                State::UntilClose => {
                    on_part(Part::Body(rest));
                    rest.len()
                }
                State::Length(left) => {
                    let n = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    on_part(Part::Body(&rest[..n]));
                    *left -= n as u64;
                    if *left == 0 {
                        self.state = State::Complete;
                    }
                    n
                }
                State::ChunkData(left) => {
                    let n = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    on_part(Part::Body(&rest[..n]));
                    *left -= n as u64;
                    if *left == 0 {
                        self.state = State::ChunkEnd;
                    }
                    n
                }
                State::ChunkEnd if rest.starts_with(b"\r\n") => {
                    self.state = CHUNK_START;
                    2
                }
                state
                    if *state == CHUNK_START
                        && let Some((size, n)) = chunk_line(rest) =>
                {
                    self.state = State::ChunkData(size);
                    n
                }
                _ => {
                    self.state = self.state.after(rest[0])?;
                    1
                }
            };
        }
        Ok(pos)
    }

    fn read_head(
        &mut self,
        bytes: &[u8],
        on_part: &mut impl FnMut(Part<'_>),
    ) -> Result<usize, BadHttp> {
        let n_before = self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(MAX_HEAD_BYTES)]);
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = leniency()
            .parse_response_with_uninit_headers(&mut response, &self.head, &mut headers)
            .map_err(|error| match error {
                httparse::Error::TooManyHeaders => BadHttp(too_large()),
                other => BadHttp(other.to_string()),
            })?;
        let httparse::Status::Complete(n_head) = parsed else {
            if self.head.len() >= MAX_HEAD_BYTES {
                return Err(BadHttp(too_large()));
            }
            return Ok(bytes.len());
        };
        let status = response.code.ok_or_else(|| BadHttp("no status".to_owned()))?;
        let is_http11 = response.version == Some(1);
        let head = Head {
            status,
            content_type: first(response.headers, "content-type").to_ascii_lowercase(),
            content_encoding: first(response.headers, "content-encoding").to_ascii_lowercase(),
            location: first(response.headers, "location"),
        };
        let connection = list(response.headers, "connection");
        let says = |option| connection.split(',').any(|said| said.trim() == option);
        self.keep_alive = !says("close") && (is_http11 || says("keep-alive"));
        let state = framing(status, response.headers)?;
        self.head.clear();
        // The real response follows an interim one.
        if (100..200).contains(&status) {
            return Ok(n_head - n_before);
        }
        if state == State::UntilClose {
            self.keep_alive = false;
        }
        self.state = state;
        on_part(Part::Head(head));
        Ok(n_head - n_before)
    }
}

impl State {
    /// Returns the state after one byte of chunk framing.
    ///
    /// A bare LF counts as a line end, as in most clients. Source: RFC 9112, section 7.1.
    fn after(self, byte: u8) -> Result<Self, BadHttp> {
        let bad = |what: &str| Err(BadHttp(format!("{what} in the chunk framing")));
        match self {
            Self::ChunkSize { size, n_digits, in_extension } => match byte {
                b'\n' if n_digits == 0 => bad("a chunk without a size"),
                b'\n' if size == 0 => Ok(Self::Trailer(0)),
                b'\n' => Ok(Self::ChunkData(size)),
                b'\r' => Ok(self),
                _ if in_extension => Ok(self),
                b';' | b' ' | b'\t' if n_digits > 0 => {
                    Ok(Self::ChunkSize { size, n_digits, in_extension: true })
                }
                _ => match (byte as char).to_digit(16) {
                    Some(digit) if n_digits < 15 => Ok(Self::ChunkSize {
                        size: size * 16 + u64::from(digit),
                        n_digits: n_digits + 1,
                        in_extension,
                    }),
                    Some(_) => bad("a chunk size that is too large"),
                    None => bad("a byte that is no digit"),
                },
            },
            Self::ChunkEnd => match byte {
                b'\r' => Ok(self),
                b'\n' => Ok(CHUNK_START),
                _ => bad("a chunk that is longer than its size"),
            },
            Self::Trailer(n_bytes) => match byte {
                b'\n' if n_bytes == 0 => Ok(Self::Complete),
                b'\n' => Ok(Self::Trailer(0)),
                b'\r' => Ok(self),
                _ if n_bytes as usize >= MAX_HEAD_BYTES => bad("an endless trailer"),
                _ => Ok(Self::Trailer(n_bytes + 1)),
            },
            Self::Head
            | Self::Length(_)
            | Self::UntilClose
            | Self::ChunkData(_)
            | Self::Complete => Ok(self),
        }
    }
}

/// Returns what is said of a head above the bounds.
pub(crate) fn too_large() -> String {
    format!("a head of more than {MAX_HEADERS} fields or {MAX_HEAD_BYTES} bytes")
}

/// Returns how heads are read: a field that goes on in the next line, or has a blank before its
/// colon, says what it says. The library is asked for the same.
/// Source: RFC 9112, sections 5.1 and 5.2.
fn leniency() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true);
    config
}

/// Returns the values of the fields of a name, each on one line.
fn values<'h>(
    headers: &'h [httparse::Header<'_>],
    name: &'static str,
) -> impl Iterator<Item = String> + 'h {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| {
        String::from_utf8_lossy(header.value).replace(['\r', '\n'], " ").trim().to_owned()
    })
}

fn first(headers: &[httparse::Header<'_>], name: &'static str) -> String {
    values(headers, name).next().unwrap_or_default()
}

/// Returns the fields of a name as the one list that they are, in lower case.
/// Source: RFC 9110, section 5.3.
fn list(headers: &[httparse::Header<'_>], name: &'static str) -> String {
    values(headers, name).collect::<Vec<_>>().join(", ").to_ascii_lowercase()
}

/// Source: RFC 9112, section 6.3.
fn framing(status: u16, headers: &[httparse::Header<'_>]) -> Result<State, BadHttp> {
    if status == 204 || status == 304 {
        return Ok(State::Complete);
    }
    let coding = list(headers, "transfer-encoding");
    if coding.ends_with("chunked") {
        return Ok(CHUNK_START);
    }
    if !coding.is_empty() && coding != "identity" {
        return Err(BadHttp(format!("unknown transfer coding {coding:?}")));
    }
    let lengths = list(headers, "content-length");
    if lengths.is_empty() {
        return Ok(State::UntilClose);
    }
    // Said several times it counts once.
    let mut each = lengths.split(',').map(str::trim);
    let length = each.next().unwrap_or_default();
    match length.parse() {
        Ok(_) if each.any(|other| other != length) => {
            Err(BadHttp(format!("content-length {lengths:?} is more than one")))
        }
        Ok(0) => Ok(State::Complete),
        Ok(n_bytes) => Ok(State::Length(n_bytes)),
        Err(_) => Err(BadHttp(format!("content-length {length:?} is no number"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a response reads as: status, body, whether complete, bytes used.
    fn read(pieces: &[&[u8]]) -> Result<(u16, Vec<u8>, bool, usize), BadHttp> {
        let mut reader = ResponseReader::default();
        let (mut status, mut body, mut used) = (0, Vec::new(), 0);
        for piece in pieces {
            used += reader.read(piece, |part| match part {
                Part::Head(head) => status = head.status,
                Part::Body(bytes) => body.extend_from_slice(bytes),
            })?;
        }
        Ok((status, body, reader.is_complete(), used))
    }

    fn check(response: &str, body: &str, complete: bool) {
        let (status, read_body, is_complete, _) = read(&[response.as_bytes()]).unwrap();
        assert_eq!(
            (status, String::from_utf8(read_body).unwrap(), is_complete),
            (200, body.to_owned(), complete)
        );
    }

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nTrailer: 1\r\n\r\n";

    #[test]
    fn bodies_end_as_their_framing_says() {
        check(CHUNKED, "hello, world", true);
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", true);
        check("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", "abc", false);
        check("HTTP/1.1 200 OK\r\n\r\nabc", "abc", false);
        check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true);
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            "a",
            true,
        );
        check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1, 1\r\n\r\na", "a", true);
        let twice = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n";
        check(&format!("{twice}\r\n1\r\na\r\n0\r\n\r\n"), "a", true);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "", true);
    }

    #[test]
    fn odd_and_long_heads_are_read() {
        let fields =
            |n: usize| (0..n).map(|i| format!("x-h{i}: v\r\n")).collect::<Vec<_>>().concat();
        for more in [
            fields(MAX_HEADERS - 1),
            "x-fold: a\r\n b\r\n".to_owned(),
            "x-blank : a\r\n".to_owned(),
            format!("x-long: {}\r\n", "a".repeat(MAX_HEAD_BYTES / 2)),
        ] {
            check(&format!("HTTP/1.1 200 OK\r\n{more}Content-Length: 1\r\n\r\na"), "a", true);
        }
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", fields(MAX_HEADERS + 1));
        let refused = read(&[head.as_bytes()]).unwrap_err();
        assert_eq!(refused.to_string(), "a head of more than 512 fields or 417792 bytes");
    }

    #[test]
    fn bytes_behind_the_response_are_left_alone() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP";
        assert_eq!(read(&[response]).unwrap().3, response.len() - 4);
    }

    #[test]
    fn the_connection_is_kept_as_the_engine_says() {
        let check = |head: &str, expected: bool| {
            let mut reader = ResponseReader::default();
            reader.read(head.as_bytes(), |_| ()).unwrap();
            assert_eq!(reader.keeps_alive(), expected, "{head}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true);
        check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false);
        check("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false);
        check("HTTP/1.1 200 OK\r\n\r\n", false);
        let end = "Content-Length: 0\r\n\r\n";
        for (fields, kept) in [
            ("Connection: keep-alive\r\nConnection: close\r\n", false),
            ("Connection: Close\r\nConnection: Keep-Alive\r\n", false),
            ("Connection: keep-alive, close\r\n", false),
            ("Connection: upgrade\r\nConnection: closely\r\n", true),
        ] {
            check(&format!("HTTP/1.1 200 OK\r\n{fields}{end}"), kept);
        }
        check(
            &format!("HTTP/1.0 200 OK\r\nConnection: x\r\nConnection: keep-alive\r\n{end}"),
            true,
        );
    }

    #[test]
    fn what_is_not_http_is_refused() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for response in [
            "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
            format!("{chunked}zz\r\n"),
            format!("{chunked}\r\n"),
            format!("{chunked}1\r\nab\r\n"),
            format!("{chunked}ffffffffffffffff\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
            format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(20_000)),
        ] {
            assert!(read(&[response.as_bytes()]).is_err(), "{response:.80}");
        }
    }

    proptest! {
        #[test]
        fn every_split_of_a_response_reads_the_same(
            chunks in prop::collection::vec("[a-z\\r\\n]{1,40}", 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in &chunks {
                response.extend(format!("{:x}\r\n{chunk}\r\n", chunk.len()).into_bytes());
            }
            response.extend(b"0\r\n\r\n");
            let expected = (200, chunks.concat().into_bytes(), true, response.len());
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(response.len() + 1)).collect();
            places.extend([0, response.len()]);
            places.sort_unstable();
            let pieces: Vec<_> = places.windows(2).map(|pair| &response[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces).unwrap(), expected.clone());
            let single: Vec<_> = response.chunks(1).collect();
            prop_assert_eq!(read(&single).unwrap(), expected);
        }
    }
}
