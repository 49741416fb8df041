//! The content of one response, event by event.

use std::borrow::Cow;

use crate::load::recorder::engine_stamps::{sent_ns, true_ttft};
use crate::load::recorder::snapshots::{Frame, Snapshots, without_tokens};
use crate::load::recorder::unread::Unread;
use crate::load::transport::exchange::BlockRead;
use crate::openai::chunk::{Chunk, ChunkShape};
use crate::openai::finish::names_failure;
use crate::openai::parse::{error_text, parse};
use crate::openai::sse::{SseEvent, is_end_marker, is_end_word};
use crate::record::request::{EventKind, Events, Oddity, StampSource, Usage};
use crate::secrets::redact::Redactor;
use crate::units::Nanos;

/// Longest excerpt of an engine's words in a record, in characters.
const EXCERPT_CHARS: usize = 200;
/// The most tokens that a prompt can hold: more than any model reads.
const MOST_PROMPT: u32 = 1 << 27;

/// What words beside the answer explain, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Telling {
    /// They keep the connection alive.
    Alive,
    /// They are an object of a form that is not known.
    Object,
    /// They are the message of an object.
    Message,
    /// They are text where a chunk should be.
    Text,
    /// They tell of a failure.
    Failure,
}

/// An event that came with a count of the engine's.
#[derive(Clone, Copy, Debug)]
struct CountedEvent {
    place: u32,
    completion: u32,
    is_token: bool,
}

/// Words that are no part of the answer.
#[derive(Debug)]
pub(crate) struct Stray {
    pub(crate) words: String,
    pub(crate) telling: Telling,
    /// Token events before them. What came before a token does not explain what came after it.
    n_before: u64,
}

/// Which kinds of generated text have come in parts: in a `delta`, not in a whole `message`.
#[derive(Clone, Copy, Debug, Default)]
struct InParts {
    text: bool,
    reasoning: bool,
    call: bool,
}

impl InParts {
    /// Learns from a part; empties a whole answer of what has come in parts before it. Returns whether
    /// anything was left out.
    fn take(&mut self, chunk: &mut Chunk<'_>) -> bool {
        let (has_text, has_reasoning) = (!chunk.text.is_empty(), !chunk.reasoning.is_empty());
        if !chunk.is_whole {
            self.text |= has_text;
            self.reasoning |= has_reasoning;
            self.call |= chunk.tool_call;
            return false;
        }
        let is_again = (self.text && has_text)
            || (self.reasoning && has_reasoning)
            || (self.call && chunk.tool_call);
        if self.text {
            (chunk.text, chunk.halves) = Default::default();
        }
        if self.reasoning {
            chunk.reasoning = Cow::default();
        }
        chunk.tool_call &= !self.call;
        if is_again {
            (chunk.logprobs, chunk.n_tokens, chunk.has_bad_logprobs) = Default::default();
        }
        is_again
    }
}

/// The reads that have ended.
#[derive(Debug, Default)]
struct ReadsSoFar {
    /// Bytes of the body in them.
    n_bytes: u64,
    /// Whether the kernel stamped the last one.
    is_kernel: bool,
    /// The largest slack of those since the last event.
    slack_max: Nanos,
    /// Of events whose data are in them and whose end was not: the place behind them, and whether
    /// the last of these data ended the last read.
    late: Option<(usize, bool)>,
}

/// The content of a response so far.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    keeps_text: bool,
    pub(crate) events: Events,
    pub(crate) n_token_events: u64,
    /// Chunks and errors that came without an SSE field name; `n_framed` counts all others.
    pub(crate) n_unframed: u64,
    pub(crate) n_framed: u64,
    /// What of the answer has come in parts.
    in_parts: InParts,
    /// What its messages hold.
    text_frames: Snapshots,
    reasoning_frames: Snapshots,
    pub(crate) first_token_at: Option<Nanos>,
    /// Arrival of the last one so far.
    pub(crate) last_token_at: Option<Nanos>,
    pub(crate) last_event_at: Nanos,
    /// Events of the reads that have ended, and the end of the last event in the body.
    n_events_read: usize,
    last_event_end: u64,
    reads: ReadsSoFar,
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) logprobs: Vec<f32>,
    pub(crate) usage: Option<Usage>,
    pub(crate) finish: Option<String>,
    /// Token events up to it, and whether some came behind one: the last one counts then.
    finish_place: u64,
    is_finish_early: bool,
    /// A finish reason that bench does not know.
    pub(crate) unknown_finish: Option<String>,
    pub(crate) done_at: Option<Nanos>,
    /// Whether it came whole, as one object, and nothing of that is missing.
    pub(crate) is_one_object: bool,
    /// An error object, in the engine's words.
    pub(crate) error: Option<String>,
    /// What may be one, unless the answer ends as it should.
    pub(crate) guessed: Option<String>,
    /// The first violation of the protocol.
    pub(crate) violation: Option<String>,
    /// What came in the place of tokens.
    unread: Unread,
    /// The most telling words beside the answer. They explain why it did not come, or not end.
    stray: Option<Stray>,
    pub(crate) too_large: Option<String>,
    pub(crate) oddities: Vec<Oddity>,
    /// The epoch on the engine's clock; set when the engine's own stamps are compared.
    pub(crate) truth_epoch_ns: Option<u64>,
    /// Removes the secrets in use from the engine's words.
    pub(crate) redactor: Redactor,
    /// How much later than the engine's own stamp bench's stamp of each event is.
    pub(crate) added_ns: Vec<i64>,
    /// TTFT as the engine saw it, at least and at most.
    pub(crate) true_ttft: Option<(Nanos, Nanos)>,
    /// The form that the answer's chunks share.
    shape: Option<ChunkShape>,
    /// The choice that is recorded.
    choice: Option<u32>,
    /// The finish reason of another choice. It counts if the recorded choice's own does not come.
    other_finish: Option<&'static str>,
    /// The first half of a surrogate pair, at the end of the text so far.
    open_half: Option<u16>,
    has_bad_logprobs: bool,
    /// Whether the counts hold reasoning that was added because of a total alone.
    reasoning_is_added: bool,
    /// Tokens of each event. They count only while every token event came with its count.
    tokens: Vec<u32>,
    has_uncounted: bool,
    /// The events that came with a count of the engine's, in order.
    counts: Vec<CountedEvent>,
    /// Bytes of answer and reasoning text after each token event; kept where a tokenizer may have
    /// to count the tokens of events.
    marks: Option<Vec<(u32, u32)>>,
    pub(crate) n_tokens: u64,
}

impl Answer {
    /// Returns an empty answer. `marks_text` is set where the tokens of events may have to be
    /// counted from their text.
    pub(crate) fn new(keeps_text: bool, marks_text: bool) -> Self {
        Self { keeps_text, marks: marks_text.then(Vec::new), ..Self::default() }
    }

    /// Returns the beginning of the engine's words. Secrets are removed first: a key that is cut
    /// in half would not be recognised.
    pub(crate) fn excerpt(&self, text: &str) -> String {
        excerpt(&self.redactor.text(text))
    }

    pub(crate) fn take_event(&mut self, event: SseEvent<'_>) {
        let is_late = event.end <= self.reads.n_bytes;
        self.take_any(event);
        if is_late {
            self.reads.late = Some((self.events.len(), event.end == self.reads.n_bytes));
        }
    }

    fn take_any(&mut self, event: SseEvent<'_>) {
        if self.done_at.is_some() {
            // The first `[DONE]` counts.
            self.note_oddity(Oddity::DataAfterDone);
            return;
        }
        let SseEvent { data, is_error, oddity, at, end } = event;
        self.last_event_end = end;
        if let Some(epoch_ns) = self.truth_epoch_ns
            && let Some(sent_ns) = sent_ns(data)
        {
            let ours = i128::from(epoch_ns) + i128::from(at.0);
            self.added_ns.push((ours - i128::from(sent_ns)) as i64);
            self.true_ttft = true_ttft(data).or(self.true_ttft);
        }
        if let Some(oddity) = oddity {
            self.note_oddity(oddity);
        }
        if let Some(known) = &self.shape
            && !is_error
            && let Some(text) = known.text(data)
        {
            if self.keeps_text {
                match known.kind {
                    EventKind::Reasoning => self.reasoning.push_str(text),
                    _ => self.text.push_str(text),
                }
            }
            let (kind, n_tokens) = (known.kind, known.n_tokens);
            return self.note(kind, at, n_tokens);
        }
        if let Some(data) = unwrapped(data) {
            let oddity = Some(Oddity::FieldName);
            return self.take_any(SseEvent { data, oddity, ..event });
        }
        if is_end_marker(data) || (self.finish.is_some() && is_end_word(data)) {
            if data != b"[DONE]" {
                self.note_oddity(Oddity::EndMarker);
            }
            self.done_at = Some(at);
            return self.note(EventKind::Done, at, None);
        }
        match parse(data) {
            Ok(chunk) => {
                match oddity {
                    Some(Oddity::Unframed) => self.n_unframed += 1,
                    _ => self.n_framed += 1,
                }
                self.take_framed(data, chunk, is_error, at);
            }
            Err(_) if is_error => {
                let error = self.excerpt(&error_text(data));
                self.error.get_or_insert(error);
                self.note(EventKind::Error, at, None);
            }
            Err(_) if self.take_lines(event) => {}
            Err(error) => self.take_stray(data, &error.to_string(), at),
        }
    }

    fn take_framed<'a>(&mut self, data: &'a [u8], mut chunk: Chunk<'a>, is_error: bool, at: Nanos) {
        if is_error {
            chunk.error.get_or_insert_with(|| error_text(data).into());
            chunk.is_error_guessed = false;
        }
        self.take_chunk(&mut chunk, at);
        self.keep_unread(data);
        if self.choice.is_none_or(|choice| Some(choice) == chunk.index)
            && !self.may_be_snapshot(&chunk)
            && let Some(new) = ChunkShape::of(data, &chunk)
        {
            self.shape = Some(new);
        }
    }

    /// Keeps what came as long as no token has come.
    pub(crate) fn keep_unread(&mut self, data: &[u8]) {
        if self.n_token_events == 0 {
            self.unread.keep(data);
        } else {
            self.unread.clear();
        }
    }

    /// Returns what came in the place of tokens, if there is text in it under a name that is not
    /// known.
    pub(crate) fn unread_text(&self) -> Option<String> {
        self.unread.text().map(|words| self.excerpt(&words))
    }

    /// Returns what came in the place of tokens.
    pub(crate) fn unread(&self) -> Option<String> {
        self.unread.any().map(|words| self.excerpt(&words))
    }

    /// Takes an event whose lines are chunks of their own. Joined by line ends, as SSE demands,
    /// they could not be parsed.
    fn take_lines(&mut self, event: SseEvent<'_>) -> bool {
        let lines = || event.data.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let is_known = |line: &[u8]| is_end_marker(line) || parse(line).is_ok();
        if lines().nth(1).is_none() || !lines().any(is_known) {
            return false;
        }
        let oddity = event.oddity.or(Some(Oddity::BlankLine));
        lines().for_each(|data| self.take_any(SseEvent { data, oddity, ..event }));
        true
    }

    /// Takes data that is not a chunk. If it is half of a chunk, that chunk's text is lost.
    fn take_stray(&mut self, data: &[u8], why: &str, at: Nanos) {
        let text = String::from_utf8_lossy(data);
        let text = text.trim();
        let list = text.strip_prefix('[').map_or(text, str::trim_start);
        if list.starts_with('{') {
            let words = self.excerpt(text);
            self.violate(format!("{why} in {words:?}"));
        } else if is_alive(text) {
            self.note_oddity(Oddity::KeepAlive);
            self.hear(text, Telling::Alive);
        } else {
            self.note_oddity(Oddity::StrayText);
            self.hear(text, Telling::Text);
        }
        self.note(EventKind::Other, at, None);
    }

    /// Keeps words that are no part of the answer, if they tell more than those that came before.
    fn hear(&mut self, words: &str, telling: Telling) {
        let is_failure = telling > Telling::Object && names_failure(&words.to_ascii_lowercase());
        let telling = if is_failure { Telling::Failure } else { telling };
        let n_before = self.n_token_events;
        let is_less = |known: &Stray| known.n_before < n_before || known.telling < telling;
        if !words.is_empty() && self.stray.as_ref().is_none_or(is_less) {
            self.stray = Some(Stray { words: self.excerpt(words), telling, n_before });
        }
    }

    /// Returns the words that came where the answer, or its end, should have come.
    pub(crate) fn stray(&self) -> Option<&Stray> {
        self.stray.as_ref().filter(|stray| stray.n_before == self.n_token_events)
    }

    pub(crate) fn take_chunk(&mut self, chunk: &mut Chunk<'_>, at: Nanos) {
        for oddity in std::mem::take(&mut chunk.oddities) {
            self.note_oddity(oddity);
        }
        if self.in_parts.take(chunk) {
            self.note_oddity(Oddity::Repeated);
        } else if self.may_be_snapshot(chunk) {
            self.take_snapshot(chunk);
        }
        if let Some(error) = &chunk.error {
            let error = self.excerpt(error);
            let place = if chunk.is_error_guessed { &mut self.guessed } else { &mut self.error };
            place.get_or_insert(error);
        }
        if let Some(aside) = &chunk.aside {
            let telling = if aside.is_message {
                Telling::Message
            } else if is_alive(&aside.words) {
                Telling::Alive
            } else {
                Telling::Object
            };
            self.hear(&aside.words, telling);
        }
        self.take_usage(chunk.usage);
        self.reasoning_is_added |= chunk.reasoning_is_added;
        let has_text = chunk.kind().is_token();
        if has_text {
            self.choice = self.choice.or(chunk.index);
        }
        let is_ours = self.choice.is_none() || chunk.index.is_none() || self.choice == chunk.index;
        match chunk.finish {
            Some(finish) if is_ours => self.take_finish(finish, has_text),
            other => self.other_finish = other.or(self.other_finish),
        }
        if let Some(word) = &chunk.unknown_finish {
            self.unknown_finish = Some(self.excerpt(word));
        }
        if let Some(completion) = chunk.usage.and_then(|usage| usage.completion) {
            let (place, is_token) = (self.events.len() as u32, has_text && is_ours);
            self.counts.push(CountedEvent { place, completion, is_token });
        }
        if has_text && !is_ours {
            self.note_oddity(Oddity::ChoiceIndex);
            return self.note(EventKind::Other, at, None);
        }
        if self.keeps_text {
            chunk.halves.join(&mut self.text, self.open_half, &chunk.text);
            if !chunk.text.is_empty() {
                self.open_half = chunk.halves.trailing;
            }
            self.reasoning.push_str(&chunk.reasoning);
            self.logprobs.extend_from_slice(&chunk.logprobs);
        }
        self.has_bad_logprobs |= chunk.has_bad_logprobs;
        self.note(chunk.kind(), at, chunk.n_tokens);
    }

    /// Takes a finish reason. The first one counts, unless text came behind one.
    fn take_finish(&mut self, finish: &'static str, has_text: bool) {
        let place = self.n_token_events + u64::from(has_text);
        if self.finish.is_some() {
            self.note_oddity(Oddity::TwoFinishReasons);
            self.is_finish_early |= place > self.finish_place;
        }
        if self.finish.is_none() || self.is_finish_early {
            (self.finish, self.finish_place) = (Some(finish.to_owned()), place);
        }
    }

    /// Whether a chunk may hold all the text so far. Where no text is kept, nothing tells.
    fn may_be_snapshot(&self, chunk: &Chunk<'_>) -> bool {
        let is_open = |text: &str, frames: &Snapshots| !text.is_empty() && !frames.are_parts();
        let ends = chunk.finish.is_some();
        chunk.is_whole
            && self.keeps_text
            && (ends
                || is_open(&chunk.text, &self.text_frames)
                || is_open(&chunk.reasoning, &self.reasoning_frames))
    }

    /// Leaves in a message that holds all the text so far what is new.
    fn take_snapshot(&mut self, chunk: &mut Chunk<'_>) {
        let is_last = chunk.finish.is_some();
        // Thoughts come again with the text behind them.
        let has_text = !chunk.text.is_empty();
        let texts = [
            self.text_frames.take(&mut self.text, &mut chunk.text, is_last),
            self.reasoning_frames.take(
                &mut self.reasoning,
                &mut chunk.reasoning,
                is_last || has_text,
            ),
        ];
        if texts.contains(&Frame::Snapshot) {
            without_tokens(chunk);
            self.note_oddity(Oddity::Repeated);
        } else if texts.contains(&Frame::Refuting) {
            self.oddities.retain(|oddity| *oddity != Oddity::Repeated);
        }
    }

    /// Takes token counts. Counts only grow: an absent or smaller one does not replace a larger
    /// one.
    fn take_usage(&mut self, usage: Option<Usage>) {
        let Some(new) = usage else { return };
        let old = self.usage.unwrap_or_default();
        let mut shrank = false;
        let mut grown = |old: Option<u32>, new: Option<u32>| {
            shrank |= old.zip(new).is_some_and(|(old, new)| new < old);
            old.max(new)
        };
        self.usage = Some(Usage {
            prompt: grown(old.prompt, new.prompt),
            completion: grown(old.completion, new.completion),
            cached: grown(old.cached, new.cached),
            reasoning: grown(old.reasoning, new.reasoning),
        });
        if shrank {
            self.note_oddity(Oddity::Usage);
        }
    }

    /// Records an event. The stamp of an error event counts like any other.
    fn note(&mut self, kind: EventKind, at: Nanos, n_tokens: Option<u32>) {
        self.events.push(self.last_event_at, at, kind);
        self.last_event_at = at;
        if kind.is_token() {
            self.n_token_events += 1;
            self.first_token_at.get_or_insert(at);
            self.last_token_at = Some(at);
            self.n_tokens += u64::from(n_tokens.unwrap_or(1));
            self.has_uncounted |= n_tokens.is_none();
            if let Some(marks) = &mut self.marks {
                marks.push((self.text.len() as u32, self.reasoning.len() as u32));
            }
        }
        if !self.has_uncounted {
            self.tokens.push(n_tokens.unwrap_or(0));
        }
    }

    /// Ends a read, after which the body has `n_bytes`.
    ///
    /// The kernel's stamp is that of the last byte: exact for an event that ends there, while
    /// events before it may have come earlier.
    pub(crate) fn end_read(&mut self, read: BlockRead, n_bytes: u64) {
        let mut from = std::mem::replace(&mut self.n_events_read, self.events.len());
        let reads = &mut self.reads;
        if let Some((to, is_at_end)) = reads.late.take() {
            let is_exact = is_at_end && reads.is_kernel;
            self.events.slacken(from, (to - from) * usize::from(!is_exact), reads.slack_max);
            from = to;
        }
        let is_kernel = read.source == StampSource::Kernel;
        let n = self.events.len() - from;
        let is_exact = is_kernel && n > 0 && self.last_event_end == n_bytes;
        self.events.slacken(from, n - usize::from(is_exact), read.slack());
        // What has come of an event that is still open came in one of the reads since.
        let before = if n > 0 { Nanos::ZERO } else { reads.slack_max };
        let slack_max = before.max(read.slack());
        *reads = ReadsSoFar { n_bytes, is_kernel, slack_max, late: None };
    }

    /// Ends the body with a read, whose last byte is then behind every event.
    pub(crate) fn end_body(&mut self, read: BlockRead) {
        let from = self.events.iter().take_while(|(at, _)| *at < read.at).count();
        self.events.slacken(from, self.events.len() - from, read.slack());
    }

    /// Settles, at the end, what only all events together decide. The answer to the request can
    /// hold `most` tokens, those of reasoning left out.
    pub(crate) fn settle(&mut self, most: u32, limit: u32) {
        self.finish = self.finish.take().or(self.other_finish.map(str::to_owned));
        if self.has_bad_logprobs {
            self.logprobs.clear();
        }
        let of_tokens = || self.counts.iter().filter(|count| count.is_token);
        let are_running = grow(&of_tokens().map(|count| count.completion));
        let is_each_counted = of_tokens().count() as u64 == self.n_token_events;
        if self.n_token_events > 0 && !self.has_uncounted {
            self.events.tokens = std::mem::take(&mut self.tokens);
        } else if self.n_token_events > 0 && is_each_counted && are_running {
            self.events.tokens = self.increments();
        }
        let Some(told) = self.usage else { return };
        let completion = self.total(are_running).map(|all| self.without_added(all, told));
        let completion = completion.filter(|&total| {
            let hidden = told.reasoning.unwrap_or_default();
            // An answer of 0 tokens with text cannot be, nor one of far more than it may hold.
            let is_denied = total == 0 && self.n_token_events > 0;
            !is_denied && total <= limit && total.saturating_sub(hidden) <= most
        });
        let prompt = told.prompt.filter(|prompt| (1..=MOST_PROMPT).contains(prompt));
        let cached = told.cached.filter(|cached| told.prompt.is_none_or(|all| *cached <= all));
        let usage = Usage { prompt, completion, cached, ..told };
        // Each of these events holds a part of a token at least, and the engine counts them all.
        let in_events = self.events.tokens.iter().map(|n| u64::from(*n)).sum::<u64>();
        let has_more = |n: u64| completion.is_some_and(|all| n > u64::from(all + all / 100));
        let contradicts = has_more(in_events.saturating_sub(1));
        if contradicts {
            self.events.tokens.clear();
        }
        if usage != told || contradicts || self.reasoning_is_added || has_more(self.n_token_events)
        {
            self.note_oddity(Oddity::Usage);
        }
        self.usage = Some(usage).filter(|usage| *usage != Usage::default());
    }

    /// Returns the count of all tokens without reasoning that was added to it, where the answer
    /// denies that: its reasoning came with it, and all that came is as many without.
    fn without_added(&self, all: u32, told: Usage) -> u32 {
        let inside = all.saturating_sub(told.reasoning.unwrap_or_default());
        let came = self.events.iter().any(|(_, kind)| kind == EventKind::Reasoning);
        let is_denied = self.reasoning_is_added && came && self.n_tokens == u64::from(inside);
        if is_denied { inside } else { all }
    }

    /// Returns the count of all tokens: one that came with the last token event or after it.
    ///
    /// A count that was followed by tokens is not of all of them. Nor is one with a token event
    /// where such counts are of single events; one after them must then hold every event.
    fn total(&self, are_running: bool) -> Option<u32> {
        let last = self.last_token_place();
        let (before, after) =
            self.counts.split_at(self.counts.partition_point(|count| Some(count.place) < last));
        let most = |counts: &[CountedEvent]| {
            let counts = counts.iter().filter(|count| are_running || !count.is_token);
            counts.map(|count| count.completion).max()
        };
        let total = most(after)?;
        let is_whole = are_running || u64::from(total) >= self.n_token_events;
        (is_whole && Some(total) >= most(before)).then_some(total)
    }

    /// Returns the time per token of an answer of so many, as if all events held as many: for the eye,
    /// while a run goes on. None of an answer that came in one event, or at one instant.
    pub(crate) fn roughly_per_token(&self, n_tokens: u64) -> Option<Nanos> {
        let took = self.last_token_at?.saturating_sub(self.first_token_at?);
        let after_first = n_tokens * self.n_token_events.saturating_sub(1);
        (took.0 > 0 && after_first > 0).then(|| {
            Nanos((took.0 as f64 * self.n_token_events as f64 / after_first as f64) as u64)
        })
    }

    fn last_token_place(&self) -> Option<u32> {
        let mut end = self.events.len() as u32;
        for (kind, n) in self.events.kind_runs.iter().rev() {
            if kind.is_token() {
                return Some(end - 1);
            }
            end -= n;
        }
        None
    }

    /// Returns the tokens of each event, from the counts of all tokens so far.
    fn increments(&self) -> Vec<u32> {
        let mut tokens = vec![0; self.events.len()];
        let mut so_far = 0;
        for count in &self.counts {
            tokens[count.place as usize] = count.completion.saturating_sub(so_far);
            so_far = so_far.max(count.completion);
        }
        tokens
    }

    /// Counts tokens by their ends in the text. Where the engine did not say how many tokens an
    /// event holds, each token goes to the event that completed it. Returns the number of tokens.
    pub(crate) fn count_by_text(&mut self, ends: impl Fn(&str) -> Vec<u32>) -> u32 {
        let (text, reasoning) = (ends(&self.text), ends(&self.reasoning));
        let n_tokens = (text.len() + reasoning.len()) as u32;
        let marks = self.marks.take().unwrap_or_default();
        if self.events.tokens.is_empty() && marks.len() as u64 == self.n_token_events {
            let upto = |ends: &[u32], end: u32| ends.partition_point(|at| *at <= end) as u32;
            let mut so_far = 0;
            let mut marks = marks.into_iter();
            let counts = self.events.iter().map(|(_, kind)| {
                let mark = if kind.is_token() { marks.next() } else { None };
                let Some((answer, thought)) = mark else { return 0 };
                let upto = upto(&text, answer) + upto(&reasoning, thought);
                let n = upto.saturating_sub(so_far);
                so_far = so_far.max(upto);
                n
            });
            self.events.tokens = counts.collect();
        }
        n_tokens
    }

    pub(crate) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(crate) fn note_oddity(&mut self, oddity: Oddity) {
        if !self.oddities.contains(&oddity) {
            self.oddities.push(oddity);
        }
    }
}

/// Whether counts at token events are of all tokens so far: those of single events do not grow.
fn grow(counts: &(impl Iterator<Item = u32> + Clone)) -> bool {
    let steps = || counts.clone().zip(counts.clone().skip(1));
    let n_still = steps().filter(|(so_far, n)| n == so_far).count();
    // A token may be split over two events, but not most of them.
    steps().all(|(so_far, n)| so_far <= n) && 2 * n_still < counts.clone().count().max(1)
}

/// Returns what stands in data that was put into a `data:` field twice.
fn unwrapped(data: &[u8]) -> Option<&[u8]> {
    let inside = |data: &'_ [u8]| -> Option<usize> {
        let blank = data.len() - data.trim_ascii_start().len();
        data[blank..].starts_with(b"data:").then_some(blank + 5)
    };
    let mut inner = &data[inside(data)?..];
    while let Some(start) = inside(inner) {
        inner = &inner[start..];
    }
    Some(inner.trim_ascii_start())
}

/// Whether text keeps the connection alive: few words, and one that says so.
fn is_alive(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let words = || lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let says_so = |word: &str| {
        ["ping", "pong", "alive", "keepalive", "heartbeat", "processing", "waiting", "noop"]
            .contains(&word)
    };
    let is_short = words().nth(4).is_none() && !names_failure(&lower);
    is_short && (words().next().is_none() || words().any(says_so))
}

/// Returns the beginning of a text in printable form: one line, without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let mut short: String =
        chars.by_ref().take(EXCERPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
