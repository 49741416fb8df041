//! Splits a byte stream into server-sent events, wherever the network cut it.

use memchr::{memchr, memchr2};

use crate::openai::lenient::is_no_error;
use crate::record::request::Oddity;
use crate::units::Nanos;

/// An incremental decoder of `text/event-stream`.
///
/// It works on bytes, so a character that two reads share is not a special case, and it copies
/// nothing as long as an event lies in one piece. Comments, `id` and `retry` are passed over;
/// lines end in LF, CR or CRLF; a byte-order mark is dropped.
/// Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".
///
/// Where engines and proxies leave the standard, it hands out what they meant and says so: events
/// without a blank line between them, `error:` lines, misspelled fields, lines without a field.
#[derive(Debug)]
pub(crate) struct SseDecoder {
    /// Offset of the next byte to be fed, from the start of the stream.
    offset: u64,
    /// Stamp of the last read.
    last_at: Nanos,
    /// The beginning of a line that has not ended yet.
    line: Vec<u8>,
    /// Data lines of an event that has not ended yet, joined with LF.
    data: Vec<u8>,
    n_data_lines: usize,
    /// End and stamp of the last data line, and the end of what that read brought of it.
    data_end: (u64, Nanos),
    data_arrived: u64,
    /// The event's `event:` field names an error; of an event that may have begun after it, too.
    is_error: bool,
    is_next_error: bool,
    oddity: Option<Oddity>,
    /// Lines without a field, joined with LF, and where the last one ended.
    stray: Vec<u8>,
    stray_end: (u64, Nanos),
    /// The last byte was a CR: a following LF belongs to it.
    after_cr: bool,
    at_start: bool,
    max_event_bytes: usize,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SseEvent<'a> {
    /// Its data; several `data:` lines are joined with LF.
    pub data: &'a [u8],
    /// Whether its `event:` field names an error, or its data stood in a field that does.
    pub is_error: bool,
    /// What its framing had of its own.
    pub oddity: Option<Oddity>,
    /// Offset just behind its last byte, from the start of the stream; behind its data where a later
    /// read brought its end.
    pub end: u64,
    /// Stamp of the read that brought the last byte of its data. The blank line behind them may come
    /// with the next event, long after the tokens.
    pub at: Nanos,
}

impl<'a> SseEvent<'a> {
    /// Returns words of the server's that are no event, and that explain an answer without an end.
    fn words(data: &'a [u8], end: u64, at: Nanos) -> Self {
        Self { data, is_error: false, oddity: Some(Oddity::Unframed), end, at }
    }
}

/// An event is larger than the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event exceeds {limit} bytes")]
pub(crate) struct EventTooLarge {
    /// The cap.
    pub limit: usize,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A line, and where it ended.
#[derive(Clone, Copy)]
struct Line<'a> {
    bytes: &'a [u8],
    end: u64,
    /// Stamp of the read that brought its last byte, its end left out, and where that was.
    at: Nanos,
    arrived: u64,
}

impl SseDecoder {
    /// Returns a decoder at the start of a stream, which refuses events above a size.
    pub(crate) fn new(max_event_bytes: usize) -> Self {
        Self {
            offset: 0,
            last_at: Nanos::ZERO,
            line: Vec::new(),
            data: Vec::new(),
            n_data_lines: 0,
            data_end: (0, Nanos::ZERO),
            data_arrived: 0,
            is_error: false,
            is_next_error: false,
            oddity: None,
            stray: Vec::new(),
            stray_end: (0, Nanos::ZERO),
            after_cr: false,
            at_start: true,
            max_event_bytes,
        }
    }

    /// Decodes the next bytes of the stream, which one read brought at `at`.
    ///
    /// # Errors
    /// [`EventTooLarge`] if an event outgrows the cap; the decoder is of no use afterwards.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        at: Nanos,
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
                    self.check_size(whole)?;
                    let is_mute = self.is_error && whole.is_none() && self.n_data_lines == 0;
                    let is_mute = is_mute && self.stray.is_empty();
                    self.dispatch(&mut whole, end, at, &mut on_event);
                    if is_mute {
                        on_event(SseEvent::words(b"event: error", end, at));
                    }
                } else {
                    let line = Line { bytes: rest_of_line, end, at, arrived: end };
                    self.take_line(line, &mut whole, &mut on_event);
                }
            } else {
                // The end alone may come late.
                let (at, arrived) =
                    if rest_of_line.is_empty() { (self.last_at, self.offset) } else { (at, end) };
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(rest_of_line);
                let mut moved = None;
                if let Some(data) = whole.take() {
                    self.append_data(data);
                }
                let whole_line = Line { bytes: &line, end, at, arrived };
                self.take_line(whole_line, &mut moved, &mut on_event);
                if let Some(data) = moved {
                    self.append_data(data);
                }
                line.clear();
                self.line = line;
            }
            self.check_size(whole)?;
        }
        self.offset += bytes.len() as u64;
        self.last_at = at;
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
    pub(crate) fn finish(&mut self, mut on_event: impl FnMut(SseEvent<'_>)) {
        let line = std::mem::take(&mut self.line);
        let mut whole = None;
        let (end, at) = (self.offset, self.last_at);
        if !line.is_empty() {
            let rest = Line { bytes: &line, end, at, arrived: end };
            self.take_line(rest, &mut whole, &mut on_event);
        }
        if let Some(data) = whole {
            self.append_data(data);
        }
        self.dispatch(&mut None, end, at, &mut on_event);
    }

    fn check_size(&self, whole: Option<&[u8]>) -> Result<(), EventTooLarge> {
        let n_bytes =
            self.line.len() + self.data.len() + self.stray.len() + whole.map_or(0, <[u8]>::len);
        if n_bytes > self.max_event_bytes {
            return Err(EventTooLarge { limit: self.max_event_bytes });
        }
        Ok(())
    }

    fn take_line<'a>(
        &mut self,
        line: Line<'a>,
        whole: &mut Option<&'a [u8]>,
        on_event: &mut impl FnMut(SseEvent<'_>),
    ) {
        let mut bytes = line.bytes;
        if std::mem::take(&mut self.at_start) {
            bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        }
        if let Some(value) = bytes.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            return self.take_data(Line { bytes: value, ..line }, whole, on_event);
        }
        let colon = memchr(b':', bytes).unwrap_or(bytes.len());
        let value = bytes.get(colon + 1..).unwrap_or_default();
        let name = &bytes[..colon];
        match name {
            b"data" => self.take_data(Line { bytes: b"", ..line }, whole, on_event),
            b"" if !bytes.is_empty() => {
                let words = value.trim_ascii();
                if words.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"error")) {
                    on_event(SseEvent::words(words, line.end, line.at));
                }
            }
            b"event" => self.take_name(value, whole.is_some()),
            b"id" | b"retry" => {}
            _ => self.take_odd_line(Line { bytes, ..line }, name, value, whole, on_event),
        }
    }

    /// Takes a line that the standard does not know.
    fn take_odd_line<'a>(
        &mut self,
        line: Line<'a>,
        name: &[u8],
        value: &'a [u8],
        whole: &mut Option<&'a [u8]>,
        on_event: &mut impl FnMut(SseEvent<'_>),
    ) {
        let name = name.trim_ascii().to_ascii_lowercase();
        let text = line.bytes.trim_ascii();
        if text.is_empty() {
            return self.dispatch(whole, line.end, line.at, on_event);
        }
        match &name[..] {
            b"data" => {
                self.oddity = Some(Oddity::FieldName);
                let value = value.strip_prefix(b" ").unwrap_or(value);
                self.take_data(Line { bytes: value, ..line }, whole, on_event);
            }
            b"event" => self.take_name(value, whole.is_some()),
            b"id" | b"retry" | b"" => {}
            name if is_error_field(name) && name.len() < line.bytes.len() => {
                self.dispatch(whole, line.end, line.at, on_event);
                let value = value.trim_ascii();
                let is_error = !name.ends_with(b"count") && !is_no_error(value);
                let data = if is_error { value } else { b"null" };
                let oddity = Some(Oddity::Unframed);
                on_event(SseEvent { data, is_error, oddity, end: line.end, at: line.at });
            }
            // One chunk per line, as in a stream of JSON lines.
            _ if text.starts_with(b"{") && text.ends_with(b"}") && self.stray.is_empty() => {
                self.dispatch(whole, line.end, line.at, on_event);
                let oddity = Some(Oddity::Unframed);
                let (is_error, end, at) = (false, line.end, line.at);
                on_event(SseEvent { data: text, is_error, oddity, end, at });
            }
            _ => {
                if !self.stray.is_empty() {
                    self.stray.push(b'\n');
                }
                self.stray.extend_from_slice(line.bytes);
                self.stray_end = (line.end, line.at);
            }
        }
    }

    fn take_name(&mut self, value: &[u8], has_data: bool) {
        let is_error = names_error(&value.to_ascii_lowercase());
        if has_data || self.n_data_lines > 0 {
            self.is_next_error = is_error;
        } else {
            self.is_error = is_error;
        }
    }

    fn take_data<'a>(
        &mut self,
        line: Line<'a>,
        whole: &mut Option<&'a [u8]>,
        on_event: &mut impl FnMut(SseEvent<'_>),
    ) {
        self.hand_out_stray(on_event);
        // A whole object has no second line: the blank line before this one is missing.
        let pending = whole.unwrap_or(&self.data);
        let n_pending = self.n_data_lines + usize::from(whole.is_some());
        if n_pending == 1 && is_whole(pending) {
            let (end, at) = self.data_end;
            let end = if at < line.at { self.data_arrived } else { end };
            let is_error = std::mem::replace(&mut self.is_error, self.is_next_error);
            self.is_next_error = false;
            let oddity = Some(Oddity::BlankLine);
            on_event(SseEvent { data: pending, is_error, oddity, end, at });
            *whole = None;
            self.clear_data();
        }
        if self.n_data_lines == 0 && whole.is_none() {
            *whole = Some(line.bytes);
        } else {
            if let Some(data) = whole.take() {
                self.append_data(data);
            }
            self.append_data(line.bytes);
        }
        self.data_end = (line.end, line.at);
        self.data_arrived = line.arrived;
    }

    fn append_data(&mut self, value: &[u8]) {
        if self.n_data_lines > 0 {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.n_data_lines += 1;
    }

    fn clear_data(&mut self) {
        self.data.clear();
        self.n_data_lines = 0;
    }

    fn dispatch(
        &mut self,
        whole: &mut Option<&[u8]>,
        end: u64,
        at: Nanos,
        on_event: &mut impl FnMut(SseEvent<'_>),
    ) {
        self.at_start = false;
        let is_error = std::mem::take(&mut self.is_error) | std::mem::take(&mut self.is_next_error);
        let oddity = self.oddity.take();
        let is_late = self.data_end.1 < at;
        let (end, at) = if is_late { (self.data_arrived, self.data_end.1) } else { (end, at) };
        if let Some(data) = whole.take() {
            on_event(SseEvent { data, is_error, oddity, end, at });
        } else if self.n_data_lines > 0 {
            on_event(SseEvent { data: &self.data, is_error, oddity, end, at });
        }
        self.clear_data();
        self.hand_out_stray(on_event);
    }

    fn hand_out_stray(&mut self, on_event: &mut impl FnMut(SseEvent<'_>)) {
        if !self.stray.is_empty() {
            let (end, at) = self.stray_end;
            let oddity = Some(Oddity::Unframed);
            on_event(SseEvent { data: &self.stray, is_error: false, oddity, end, at });
            self.stray.clear();
        }
    }
}

/// Whether a name in lower case is that of an error.
fn names_error(name: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(name, word).is_some();
    has(b"error") || has(b"exception") || (has(b"fail") && !has(b"failover"))
}

/// Whether a field's name, in lower case and of one word, is that of an error.
fn is_error_field(name: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-');
    name.len() < 32 && name.iter().all(is_word) && names_error(name)
}

/// Whether a data line is a JSON object from its first brace to its last, or the end marker.
fn is_whole(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    if !(data.starts_with(b"{") && data.ends_with(b"}")) {
        return is_end_marker(data);
    }
    let mut depth = 0_usize;
    let mut bytes = data.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    depth == 0
}

/// Whether the data is the end marker, however it is spelled: `[DONE]`, `[done] `, `"[DONE]"`.
pub(crate) fn is_end_marker(data: &[u8]) -> bool {
    marked_word(data).is_some_and(|word| word.eq_ignore_ascii_case(b"done"))
}

/// Whether the data is a word that marks the end where nothing else can come: `[END]`, `<EOS>`.
pub(crate) fn is_end_word(data: &[u8]) -> bool {
    let ends: [&[u8]; 7] = [b"end", b"eos", b"eof", b"finish", b"finished", b"complete", b"stop"];
    marked_word(data).is_some_and(|word| ends.iter().any(|end| word.eq_ignore_ascii_case(end)))
}

/// Returns short data without the brackets, quotes and blanks around it.
fn marked_word(data: &[u8]) -> Option<&[u8]> {
    let mark = |byte: &u8| !byte.is_ascii_alphanumeric();
    let start = data.iter().take(16).position(|byte| !mark(byte)).filter(|_| data.len() <= 16)?;
    let end = data.iter().rposition(|byte| !mark(byte)).map_or(start, |end| end + 1);
    Some(&data[start..end])
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
            decoder.feed(piece, Nanos::ZERO, &mut note).unwrap();
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
        check("id: 7\nretry: 9\ndata: a\n\n", &[("a", 24)]);
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
    fn an_event_is_stamped_when_its_data_came_however_late_its_end_does() {
        let check = |pieces: &[&str], expected: &[(&str, u64, u64)]| {
            let mut decoder = SseDecoder::new(1 << 20);
            let mut events = Vec::new();
            let mut note = |event: SseEvent<'_>| {
                let data = String::from_utf8_lossy(event.data).into_owned();
                events.push((data, event.end, event.at.0));
            };
            for (at, piece) in (1..).zip(pieces) {
                decoder.feed(piece.as_bytes(), Nanos(at), &mut note).unwrap();
            }
            decoder.finish(&mut note);
            let told: Vec<_> = events.iter().map(|(data, end, at)| (&**data, *end, *at)).collect();
            assert_eq!(told, expected, "{pieces:?}");
        };
        check(&["data: a\n\n", "data: b\n\n"], &[("a", 9, 1), ("b", 18, 2)]);
        check(&["data: a\n", "\ndata: b\n", "\n"], &[("a", 8, 1), ("b", 17, 2)]);
        check(&["data: a", "\n\ndata: b", "\n\n"], &[("a", 7, 1), ("b", 16, 2)]);
        check(&["data: a\r\n", "\r\n"], &[("a", 8, 1)]);
        check(&["data: a", "b\n", "\n"], &[("ab", 9, 2)]);
        check(&["data: a\n", "data: b\n", "\n"], &[("a\nb", 16, 2)]);
        check(&["data: a\n", "id: 1\n", "\n"], &[("a", 8, 1)]);
        check(&["data: a\n", ": ping\n\n"], &[("a", 8, 1)]);
        // The blank line between them is missing.
        check(&["data: {}\n", "data: {}\n\n"], &[("{}", 9, 1), ("{}", 19, 2)]);
        check(&["data: {}", "\ndata: {}", "\n\n"], &[("{}", 8, 1), ("{}", 17, 2)]);
        check(&["data: a\n", ""], &[("a", 8, 1)]);
    }

    #[test]
    fn an_event_above_the_cap_is_refused_and_little_is_kept() {
        let mut decoder = SseDecoder::new(1000);
        let mut fed = 0;
        let refused = loop {
            fed += 100;
            if let Err(error) =
                decoder.feed(&[b'x'; 100], Nanos::ZERO, |_| panic!("no event ended"))
            {
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
