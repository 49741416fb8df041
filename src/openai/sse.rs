//! Splits a byte stream into server-sent events, wherever the network cut it.

use memchr::{memchr, memchr2};

/// An incremental decoder of `text/event-stream`.
///
/// It works on bytes, so a character that two reads share is no special case, and it copies
/// nothing as long as an event lies in one piece. Comments, `id`, `retry` and unknown fields are
/// passed over; lines end in LF, CR or CRLF; a byte-order mark is dropped.
/// Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".
#[derive(Debug)]
pub struct SseDecoder {
    /// Offset of the next byte to be fed, from the start of the stream.
    offset: u64,
    /// The beginning of a line that has not ended yet.
    line: Vec<u8>,
    /// Data lines of an event that has not ended yet, joined with LF.
    data: Vec<u8>,
    has_data: bool,
    is_error: bool,
    /// The last byte was a CR: a following LF belongs to it.
    after_cr: bool,
    at_start: bool,
    max_event_bytes: usize,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// Its data; several `data:` lines are joined with LF.
    pub data: &'a [u8],
    /// Whether its `event:` field is `error`.
    pub is_error: bool,
    /// Offset just behind its last byte, from the start of the stream.
    pub end: u64,
}

/// An event is larger than the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event exceeds {limit} bytes")]
pub struct EventTooLarge {
    /// The cap.
    pub limit: usize,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

impl SseDecoder {
    /// Returns a decoder at the start of a stream, which refuses events above a size.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            offset: 0,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            is_error: false,
            after_cr: false,
            at_start: true,
            max_event_bytes,
        }
    }

    /// Decodes the next bytes of the stream.
    ///
    /// # Errors
    /// [`EventTooLarge`] if an event outgrows the cap; the decoder is of no use afterwards.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut on_event: impl FnMut(SseEvent<'_>),
    ) -> Result<(), EventTooLarge> {
        // The data of the common event: one line, and all of it in these bytes.
        let mut whole: Option<&[u8]> = None;
        let mut pos = 0;
        while pos < bytes.len() {
            if std::mem::take(&mut self.after_cr) && bytes[pos] == b'\n' {
                pos += 1;
                continue;
            }
            let Some(length) = memchr2(b'\n', b'\r', &bytes[pos..]) else {
                self.line.extend_from_slice(&bytes[pos..]);
                break;
            };
            let rest_of_line = &bytes[pos..pos + length];
            pos += length + 1;
            self.after_cr = bytes[pos - 1] == b'\r';
            let end = self.offset + pos as u64;
            if self.line.is_empty() {
                if rest_of_line.is_empty() {
                    self.dispatch(&mut whole, end, &mut on_event)?;
                } else {
                    self.take_line(rest_of_line, &mut whole);
                }
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(rest_of_line);
                let mut moved = None;
                if let Some(data) = whole.take() {
                    self.append_data(data);
                }
                self.take_line(&line, &mut moved);
                if let Some(data) = moved {
                    self.append_data(data);
                }
                line.clear();
                self.line = line;
            }
            self.check_size(whole)?;
        }
        self.offset += bytes.len() as u64;
        self.check_size(whole)?;
        if let Some(data) = whole {
            self.append_data(data);
        }
        Ok(())
    }

    /// Ends the stream: an event whose blank line is missing is still handed out.
    ///
    /// The standard discards it; some engines end with `data: [DONE]` and nothing after it.
    /// Whether such a rest is whole or cut off is for the reader of its data to find out.
    pub fn finish(&mut self, on_event: impl FnOnce(SseEvent<'_>)) {
        let line = std::mem::take(&mut self.line);
        let mut whole = None;
        self.take_line(&line, &mut whole);
        if let Some(data) = whole {
            self.append_data(data);
        }
        if self.has_data {
            on_event(SseEvent { data: &self.data, is_error: self.is_error, end: self.offset });
        }
        self.data.clear();
        self.has_data = false;
    }

    fn check_size(&self, whole: Option<&[u8]>) -> Result<(), EventTooLarge> {
        let n_bytes = self.line.len() + self.data.len() + whole.map_or(0, <[u8]>::len);
        if n_bytes > self.max_event_bytes {
            return Err(EventTooLarge { limit: self.max_event_bytes });
        }
        Ok(())
    }

    fn take_line<'a>(&mut self, line: &'a [u8], whole: &mut Option<&'a [u8]>) {
        let mut line = line;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BOM).unwrap_or(line);
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            if !self.has_data && whole.is_none() {
                *whole = Some(value);
            } else {
                if let Some(data) = whole.take() {
                    self.append_data(data);
                }
                self.append_data(value);
            }
            return;
        }
        let colon = memchr(b':', line).unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        match &line[..colon] {
            b"data" => {
                if let Some(data) = whole.take() {
                    self.append_data(data);
                }
                self.append_data(b"");
            }
            b"event" => self.is_error = value.strip_prefix(b" ").unwrap_or(value) == b"error",
            _ => {}
        }
    }

    fn append_data(&mut self, value: &[u8]) {
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
    }

    fn dispatch(
        &mut self,
        whole: &mut Option<&[u8]>,
        end: u64,
        on_event: &mut impl FnMut(SseEvent<'_>),
    ) -> Result<(), EventTooLarge> {
        self.at_start = false;
        self.check_size(*whole)?;
        let is_error = std::mem::take(&mut self.is_error);
        if let Some(data) = whole.take() {
            on_event(SseEvent { data, is_error, end });
        } else if std::mem::take(&mut self.has_data) {
            on_event(SseEvent { data: &self.data, is_error, end });
        }
        self.data.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Decoded = (String, bool, u64);

    fn decode(pieces: &[&[u8]]) -> Vec<Decoded> {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut events = Vec::new();
        let mut note = |event: SseEvent<'_>| {
            let data = String::from_utf8_lossy(event.data).into_owned();
            events.push((data, event.is_error, event.end));
        };
        for piece in pieces {
            decoder.feed(piece, &mut note).unwrap();
        }
        decoder.finish(&mut note);
        events
    }

    fn check(stream: &str, expected: &[(&str, u64)]) {
        let decoded = decode(&[stream.as_bytes()]);
        let pairs: Vec<_> = decoded.iter().map(|(data, _, end)| (data.as_str(), *end)).collect();
        assert_eq!(pairs, expected, "{stream:?}");
    }

    #[test]
    fn lines_end_in_lf_cr_or_crlf() {
        check("data: a\n\ndata: b\n\n", &[("a", 9), ("b", 18)]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &[("a", 10), ("b", 21)]);
        check("data: a\r\rdata: b\r\r", &[("a", 9), ("b", 18)]);
    }

    #[test]
    fn comments_marks_and_unknown_fields_are_passed_over() {
        check(": hello\n\n: again\n\ndata: a\n\n", &[("a", 27)]);
        check("\u{feff}data: a\n\n", &[("a", 12)]);
        check("id: 7\nretry: 9\nnonsense\ndata: a\n\n", &[("a", 33)]);
    }

    #[test]
    fn data_lines_are_joined_and_one_space_is_dropped() {
        check("data: a\ndata:b\ndata\ndata:  c\n\n", &[("a\nb\n\n c", 30)]);
        check("data:\n\n", &[("", 7)]);
    }

    #[test]
    fn an_event_named_error_says_so() {
        let decoded = decode(&[b"event: error\ndata: {}\n\ndata: x\n\n"]);
        assert_eq!(decoded.iter().map(|event| event.1).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_last_event_without_its_blank_line_is_handed_out() {
        check("data: a\n\ndata: [DONE]", &[("a", 9), ("[DONE]", 21)]);
        check("data: a\n\ndata: [DONE]\n", &[("a", 9), ("[DONE]", 22)]);
        check("data: a\n\n: bye", &[("a", 9)]);
    }

    #[test]
    fn an_event_above_the_cap_is_refused_and_little_is_kept() {
        let mut decoder = SseDecoder::new(1000);
        let mut fed = 0;
        let refused = loop {
            fed += 100;
            if let Err(error) = decoder.feed(&[b'x'; 100], |_| panic!("no event ended")) {
                break error;
            }
        };
        assert_eq!((refused.limit, fed), (1000, 1100));
    }

    fn stream() -> impl Strategy<Value = String> {
        let line_end = prop::sample::select(vec!["\n", "\r", "\r\n"]);
        let line = prop::sample::select(vec![
            "data: {\"a\":\"é\u{1f600}\"}",
            "data: x",
            "data:y",
            "data",
            "event: error",
            ": ping",
            "",
            "",
            "id: 3",
        ]);
        let start = prop::sample::select(vec!["", "\u{feff}"]);
        (start, prop::collection::vec((line, line_end), 0..12)).prop_map(|(start, lines)| {
            lines.iter().fold(start.to_owned(), |text, (line, end)| text + line + end)
        })
    }

    proptest! {
        #[test]
        fn every_split_of_a_stream_gives_the_same_events(
            text in stream(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = text.as_bytes();
            let whole = decode(&[bytes]);
            for cut in 0..=bytes.len() {
                prop_assert_eq!(&decode(&[&bytes[..cut], &bytes[cut..]]), &whole);
            }
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces: Vec<_> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(&decode(&pieces), &whole);
            let single: Vec<_> = bytes.chunks(1).collect();
            prop_assert_eq!(&decode(&single), &whole);
        }
    }
}
