//! The numbers of one request.

use crate::metrics::catalogue::MetricId;
use crate::record::request::{EventKind, Outcome, RequestRecord};
use crate::record::trial::GATHER;
use crate::units::Nanos;

/// Who counted tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountSource {
    /// The engine, in `usage`.
    Engine,
    /// The pinned tokenizer; the engine did not say.
    Tokenizer,
    /// Nobody: the request is left out of token rates, and listed.
    Unknown,
}

/// A number of tokens and who counted them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Count {
    /// Tokens; absent when unknown.
    pub tokens: Option<u32>,
    /// Who counted.
    pub source: CountSource,
}

impl Count {
    fn of(engine: Option<u32>, tokenizer: Option<u32>) -> Self {
        let source = match (engine, tokenizer) {
            (Some(_), _) => CountSource::Engine,
            (None, Some(_)) => CountSource::Tokenizer,
            (None, None) => CountSource::Unknown,
        };
        Self { tokens: engine.or(tokenizer), source }
    }
}

/// Tokens that came all at once after a long silence: something held them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burst {
    /// Tokens after the first chunk.
    pub n_tokens: u32,
    /// From the first to the last of them.
    pub within: Nanos,
    /// The silence before.
    pub after: Nanos,
}

/// What TPOT can be in the median, where nobody says how many tokens came first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TpotBound {
    /// The least, which is what is told. Milliseconds.
    pub least_ms: f64,
    /// The most. Milliseconds.
    pub most_ms: f64,
    /// Answers in which it is open.
    pub n_open: u64,
    /// Those of them whose first token event arrived together with others.
    pub n_blocks: u64,
    /// Those of them in which it is open because the engine counts fewer tokens than came in
    /// events of their own.
    pub n_fewer: u64,
}

/// What bench may have added to the durations of a request, at most.
///
/// The kernel had the request at some instant between `sent` and `written`, and a token event
/// arrived up to its slack before its stamp: a latency is too high by at most both together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    /// `written` minus `sent`, or the CPU time of that where the thread did not run for the rest;
    /// absent where the request was not written to its end.
    pub sending: Option<Nanos>,
    /// Slack of the first token event.
    pub first: Nanos,
    /// Slack of the last one.
    pub last: Nanos,
    /// Slack of the first reasoning token.
    pub first_reasoning: Nanos,
    /// Slack of the first answer token.
    pub first_answer: Nanos,
}

impl Added {
    /// Returns the least and the most that a latency can be that ends with an event of some slack,
    /// in milliseconds.
    pub(crate) fn ends(&self, latency: Nanos, slack: Nanos) -> Option<(f64, f64)> {
        let least = latency.saturating_sub(self.sending? + slack);
        Some((least.as_millis_f64(), latency.as_millis_f64()))
    }
}

/// The numbers of one request. Durations are absent when one of their ends is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RequestMetrics {
    /// Whether the answer is complete: only then do its latencies count as such.
    pub is_ok: bool,
    /// Instant of the first token event, from the trial's epoch; absent of a whole answer.
    pub first_token_at: Option<Nanos>,
    /// Instant of the last token event.
    pub last_token_at: Option<Nanos>,
    /// First token event minus `sent`.
    pub ttft: Option<Nanos>,
    /// First token event minus `scheduled`.
    pub ttft_scheduled: Option<Nanos>,
    /// First reasoning token minus `sent`.
    pub ttfr: Option<Nanos>,
    /// First answer token (text or tool call) minus `sent`.
    pub ttfa: Option<Nanos>,
    /// Last token event minus `sent`.
    pub e2e: Option<Nanos>,
    /// Last token event minus `scheduled`.
    pub e2e_scheduled: Option<Nanos>,
    /// Time per output token after the first chunk, in nanoseconds; undefined, never 0, when
    /// no token came after it.
    pub tpot_ns: Option<f64>,
    /// Least and most that it can be: they differ where nobody says how many tokens the first
    /// chunk held and there are more tokens than chunks, and where chunks arrived with the first.
    pub tpot_bound_ns: Option<(f64, f64)>,
    /// The least and the most that it can be, in nanoseconds, where bench saw too little of the
    /// stream to tell it.
    pub tpot_unseen_ns: Option<(f64, f64)>,
    /// Set when the tokens came in one late burst: it has no time per token then.
    pub burst: Option<Burst>,
    /// `done` minus last token event.
    pub done_lag: Option<Nanos>,
    /// `sent` minus `scheduled`.
    pub send_lag: Option<Nanos>,
    /// `connected` minus `scheduled`, if a connection was opened for this request.
    pub connect: Option<Nanos>,
    /// Generated tokens.
    pub output: Count,
    /// Those of them that can have come in its events: all but a reasoning that the engine counted
    /// and did not stream.
    pub shown: Option<u32>,
    /// Prompt tokens.
    pub prompt: Count,
    /// What bench may have added to them.
    pub added: Added,
    /// Token events.
    pub n_token_events: u32,
    /// Token events that arrived in the same read as the one before.
    pub n_coalesced: u32,
    /// Token events that arrived in the same read as the first, itself included.
    pub n_arrived_first: u32,
}

/// Metrics of which each complete answer has at most one value, a latency in milliseconds.
pub(crate) const LATENCIES: [MetricId; 7] = [
    MetricId::Ttft,
    MetricId::TtftScheduled,
    MetricId::Ttfr,
    MetricId::Ttfa,
    MetricId::E2e,
    MetricId::E2eScheduled,
    MetricId::Tpot,
];

impl RequestMetrics {
    /// Returns one of [`LATENCIES`] in milliseconds; none of another metric.
    pub(crate) fn latency_ms(&self, metric: MetricId) -> Option<f64> {
        let latency = match metric {
            MetricId::Ttft => self.ttft,
            MetricId::TtftScheduled => self.ttft_scheduled,
            MetricId::Ttfr => self.ttfr,
            MetricId::Ttfa => self.ttfa,
            MetricId::E2e => self.e2e,
            MetricId::E2eScheduled => self.e2e_scheduled,
            MetricId::Tpot => return self.tpot_ns.map(|ns| ns / 1e6),
            _ => None,
        };
        latency.map(Nanos::as_millis_f64)
    }

    /// Returns by which share of itself the time per output token may be less, and more, for all
    /// that bench may have added to its first and to its last event. Absent where the record does
    /// not tell.
    pub(crate) fn tpot_ends(&self) -> Option<(f64, f64)> {
        self.added.sending?;
        let generating = self.generating()?.0 as f64;
        let share = |slack: Nanos| slack.0 as f64 / generating;
        Some((share(self.added.last).min(1.0), share(self.added.first)))
    }

    /// Returns the time from the first token event to the last.
    pub(crate) fn generating(&self) -> Option<Nanos> {
        self.last_token_at?.checked_sub(self.first_token_at?)
    }

    /// Computes the numbers of one request from its stamps.
    pub(crate) fn of(record: &RequestRecord) -> Self {
        Self::beside(record, Nanos(u64::MAX))
    }

    /// Computes the numbers of a request of a trial in which nothing that had arrived waited longer
    /// than `wait` to be read: no event is older than that.
    pub(crate) fn beside(record: &RequestRecord, wait: Nanos) -> Self {
        let tokens = TokenEvents::of(record);
        let slack = |slack: Nanos| slack.min(wait);
        let first = tokens.first;
        let last = tokens.last;
        let since = |start: Option<Nanos>, end: Option<Nanos>| end?.checked_sub(start?);
        let output = Count::of(
            record.usage.and_then(|usage| usage.completion),
            record.output_tokens_counted,
        );
        let scheduled = Some(record.scheduled);
        let ttft = since(record.sent, first);
        let generating = since(first, last);
        let reasoning = record.usage.and_then(|usage| usage.reasoning);
        let shown = tokens.shown(output.tokens, reasoning);
        let burst = tokens.burst(generating, ttft, shown, slack);
        let unseen = tokens.tpot_unseen_ns(generating, shown, slack).filter(|_| burst.is_none());
        let bound =
            tokens.tpot_bound_ns(generating, shown).filter(|_| burst.is_none() && unseen.is_none());
        Self {
            is_ok: record.outcome == Outcome::Ok,
            first_token_at: first,
            last_token_at: last,
            ttft,
            ttft_scheduled: since(scheduled, first),
            ttfr: since(record.sent, tokens.first_reasoning),
            ttfa: since(record.sent, tokens.first_answer),
            e2e: since(record.sent, last),
            e2e_scheduled: since(scheduled, last),
            tpot_ns: bound.map(|(least, _)| least),
            tpot_bound_ns: bound,
            tpot_unseen_ns: unseen,
            burst,
            done_lag: since(last, record.done),
            send_lag: record.sent.map(|sent| sent.saturating_sub(record.scheduled)),
            connect: since(scheduled, record.connected),
            output,
            shown,
            prompt: Count::of(
                record.usage.and_then(|usage| usage.prompt),
                record.prompt_tokens_counted,
            ),
            added: Added {
                sending: since(record.sent, record.written)
                    .map(|took| record.write_cpu.map_or(took, |cpu| cpu.min(took))),
                first: slack(tokens.added.first),
                last: slack(tokens.added.last),
                first_reasoning: slack(tokens.added.first_reasoning),
                first_answer: slack(tokens.added.first_answer),
            },
            n_token_events: tokens.n,
            n_coalesced: tokens.n_coalesced,
            n_arrived_first: tokens.n_arrived_first,
        }
    }
}

/// Returns the mean time per output token after the first chunk.
///
/// `(t_last - t_first) / (n_output - n_in_first_chunk)`: the prefill is in neither part, and how
/// the engine grouped tokens into chunks does not change it.
///
/// Units: nanoseconds. `None` when the count is unknown or no token came after the first chunk.
fn time_per_output_token_ns(
    generating: Option<Nanos>,
    n_output: Option<u32>,
    n_in_first: u32,
) -> Option<f64> {
    let n_after_first = n_output?.checked_sub(n_in_first).filter(|&n| n > 0)?;
    // Tokens without an event of their own (an end-of-sequence token in the only chunk) took
    // no time that could be seen.
    let generating = generating.filter(|duration| duration.0 > 0)?;
    Some(generating.0 as f64 / f64::from(n_after_first))
}

/// What the token events of a stream say.
struct TokenEvents {
    n: u32,
    n_coalesced: u32,
    /// Tokens up to the first token event, and of all events, where somebody says.
    in_first: Option<u32>,
    in_all: u32,
    /// Token events that arrived with the first one, itself included, and the tokens up to the last
    /// of them, where somebody says.
    n_arrived_first: u32,
    in_first_arrival: u32,
    first: Option<Nanos>,
    last: Option<Nanos>,
    first_reasoning: Option<Nanos>,
    first_answer: Option<Nanos>,
    /// Slack of the same events.
    added: Added,
}

impl TokenEvents {
    fn of(record: &RequestRecord) -> Self {
        let mut found = Self {
            n: 0,
            n_coalesced: 0,
            in_first: None,
            in_all: 0,
            n_arrived_first: 0,
            in_first_arrival: 0,
            first: None,
            last: None,
            first_reasoning: None,
            first_answer: None,
            added: Added::default(),
        };
        for event in token_events(record) {
            if event.kind == EventKind::Whole {
                found.n += 1;
                (found.last, found.added.last) = (Some(event.at), event.slack);
                continue;
            }
            if found.first.is_none() {
                found.in_first = event.tokens.map(|n| n.max(1));
            }
            found.in_all = found.in_all.saturating_add(event.tokens.unwrap_or(0));
            if found.first.is_none_or(|first| first == event.at) {
                found.n_arrived_first += 1;
                found.in_first_arrival = found.in_all.max(1);
            }
            found.n_coalesced += u32::from(found.last == Some(event.at));
            found.n += 1;
            if found.first.replace(found.first.unwrap_or(event.at)).is_none() {
                found.added.first = event.slack;
            }
            found.last = Some(event.at);
            found.added.last = event.slack;
            let (first_of_kind, slack) = match event.kind {
                EventKind::Reasoning => {
                    (&mut found.first_reasoning, &mut found.added.first_reasoning)
                }
                _ => (&mut found.first_answer, &mut found.added.first_answer),
            };
            if first_of_kind.is_none() {
                (*first_of_kind, *slack) = (Some(event.at), event.slack);
            }
        }
        found
    }

    /// Returns the tokens that can have come in the events. A reasoning that was counted and of which
    /// no event came was over when the first token was shown: it took none of the time after it.
    fn shown(&self, n_output: Option<u32>, reasoning: Option<u32>) -> Option<u32> {
        let n_output = n_output?;
        let shown = n_output.saturating_sub(reasoning.unwrap_or(0));
        let is_in_events = self.in_first.is_some() && is_all(self.in_all, n_output);
        let is_hidden = self.first_reasoning.is_none()
            && !is_in_events
            && shown > 0
            && (self.n <= shown || is_all(self.n, shown));
        Some(if is_hidden { shown } else { n_output })
    }

    /// Returns the least and the most that the time per output token can be.
    ///
    /// Where the first event's tokens are not known, it holds one at least; at most it holds all
    /// but one for each event after it. One token is what engines send first as a rule, also with
    /// speculative decoding and stream intervals, so the least is what is told. Tokens that were
    /// counted and that no event shows may have come before the first, or with it. Of fewer tokens
    /// than events either the count is wrong, or something cut tokens in parts.
    ///
    /// Events that arrived with the first may have been made one by one before it, and held back by
    /// a proxy that lets streams through in blocks: at most all their tokens came first.
    fn tpot_bound_ns(
        &self,
        generating: Option<Nanos>,
        n_output: Option<u32>,
    ) -> Option<(f64, f64)> {
        let n_output = n_output?;
        let of = |n, in_first| time_per_output_token_ns(generating, Some(n), in_first);
        let n_first = self.n_arrived_first;
        if self.n > n_output {
            let least = of(self.n, 1)?;
            return Some((least, of(n_output.max(n_first + 1), n_first)?));
        }
        let most_in_first = n_output.saturating_sub(self.n.saturating_sub(n_first)).max(1);
        let (least, most) = match self.in_first {
            Some(in_first) if is_all(self.in_all, n_output) => (in_first, self.in_first_arrival),
            Some(in_first) if self.in_all < n_output => {
                let uncounted = n_output - self.in_all;
                (in_first, (self.in_first_arrival + uncounted).min(most_in_first))
            }
            _ => (1, most_in_first),
        };
        let at_least = of(n_output, least)?;
        Some((at_least, of(n_output, most).unwrap_or(at_least)))
    }

    /// Returns the least and the most that the time per output token can be of a stream that bench
    /// looked at late: its tokens, or a part of them that counts, may have come one by one before.
    fn tpot_unseen_ns(
        &self,
        generating: Option<Nanos>,
        n_output: Option<u32>,
        slack: impl Fn(Nanos) -> Nanos,
    ) -> Option<(f64, f64)> {
        let (generating, first) = (generating?, slack(self.added.first));
        let n_after_first = n_output?.checked_sub(self.in_first.unwrap_or(1)).filter(|&n| n > 0)?;
        let is_unseen = first > GATHER && first.0 > generating.0 / UNSEEN_PART;
        let per_token = |time: Nanos| time.0 as f64 / f64::from(n_after_first);
        let least = generating.saturating_sub(slack(self.added.last));
        (self.n > 1 && is_unseen).then(|| (per_token(least), per_token(generating + first)))
    }

    /// Returns the burst in which all tokens came, if they did.
    ///
    /// A rate needs a stretch of time that holds it: not one that is a small part of the wait
    /// before it and in which tokens come faster than any engine makes them for one request.
    fn burst(
        &self,
        generating: Option<Nanos>,
        ttft: Option<Nanos>,
        n_output: Option<u32>,
        slack: impl Fn(Nanos) -> Nanos,
    ) -> Option<Burst> {
        let (within, after) = (generating?, ttft?);
        // Nor did bench make it one by looking late.
        let longest = within + slack(self.added.first);
        let n_tokens = n_output.unwrap_or(self.n).saturating_sub(self.in_first.unwrap_or(1));
        let is_burst = self.n > 1
            && after >= BURST_SILENCE
            && longest.0.saturating_mul(BURST_SHARE) <= after.0
            && longest.0 < u64::from(n_tokens) * BURST_TPOT.0;
        is_burst.then_some(Burst { n_tokens, within, after })
    }
}

/// Whether events hold all tokens of an answer: but for an end-of-sequence token, which none shows,
/// and for what two tokenizers may differ by.
fn is_all(in_events: u32, n_output: u32) -> bool {
    in_events.abs_diff(n_output) <= (n_output / 100).max(1)
}

/// Part of the time from the first token to the last by which the first may be older: one in so
/// many is as much as a number may be off before it is INVALID by default.
const UNSEEN_PART: u64 = 10;
/// A wait that is long enough for what follows it to be a burst.
const BURST_SILENCE: Nanos = Nanos::from_millis(100);
/// Part of the wait in which the tokens of a burst come: one in so many.
const BURST_SHARE: u64 = 20;
/// Time per token that no engine reaches for a single request: 2,000 tokens per second.
const BURST_TPOT: Nanos = Nanos(500_000);

/// One event that carried generated tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenEvent {
    /// When it arrived, from the trial's epoch.
    pub at: Nanos,
    /// What it carried.
    pub kind: EventKind,
    /// Tokens in it and in events without text since the one before it, where somebody said.
    pub tokens: Option<u32>,
    /// By how much it may have arrived before that instant.
    pub slack: Nanos,
}

/// Returns the events that carried generated tokens, in order.
pub(crate) fn token_events(record: &RequestRecord) -> impl Iterator<Item = TokenEvent> {
    let mut held_back = 0;
    let events = record.events.iter().zip(record.events.slacks()).enumerate();
    events.filter_map(move |(place, ((at, kind), slack))| {
        let tokens = record.events.tokens.get(place).map(|n| n + held_back);
        held_back = if kind.is_token() { 0 } else { tokens.unwrap_or(0) };
        kind.is_token().then_some(TokenEvent { at, kind, tokens, slack })
    })
}

/// Returns the events that carried generated tokens, each with its part of so many tokens.
///
/// Events' own counts give the proportions, the request's count the sum: they may differ by an
/// end-of-sequence token. Where tokens per event are not known, all events have the same part.
pub(crate) fn token_arrivals(
    record: &RequestRecord,
    n_tokens: u32,
) -> impl Iterator<Item = (TokenEvent, f64)> {
    let (n_events, known) = token_events(record).fold((0_u64, 0_u64), |(n, known), event| {
        (n + 1, known + u64::from(event.tokens.unwrap_or(0)))
    });
    token_events(record).map(move |event| {
        let share = match event.tokens {
            Some(tokens) if known > 0 => f64::from(tokens) / known as f64,
            _ => 1.0 / n_events as f64,
        };
        (event, share * f64::from(n_tokens))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::request::{Events, StampSource, Usage};

    /// A complete request: due at `scheduled`, sent at `sent`, token events at `at`, all in
    /// milliseconds; one token per event, and the engine says so.
    pub(crate) fn request(index: u64, scheduled: u64, sent: u64, at: &[u64]) -> RequestRecord {
        let mut events = Events::default();
        let mut last = Nanos::ZERO;
        for &millis in at {
            events.push(last, Nanos::from_millis(millis), EventKind::Content);
            last = Nanos::from_millis(millis);
        }
        RequestRecord {
            phase: 0,
            index,
            turn: 0,
            sample: index,
            scheduled: Nanos::from_millis(scheduled),
            sent: Some(Nanos::from_millis(sent)),
            written: Some(Nanos::from_millis(sent)),
            write_cpu: None,
            connected: None,
            headers: at.first().map(|&millis| Nanos::from_millis(millis)),
            events,
            done: at.last().map(|&millis| Nanos::from_millis(millis)),
            ended: None,
            status: Some(200),
            stamps: StampSource::Kernel,
            usage: Some(usage(10, at.len() as u32)),
            finish: Some("stop".to_owned()),
            max_tokens: Some(100),
            output_tokens_counted: None,
            prompt_tokens_counted: None,
            prompt_ids_hash: None,
            true_ttft: None,
            body_bytes: 0,
            outcome: Outcome::Ok,
            oddities: Vec::new(),
        }
    }

    pub(crate) fn usage(prompt: u32, completion: u32) -> Usage {
        let (prompt, completion) = (Some(prompt), Some(completion));
        Usage { prompt, completion, ..Usage::default() }
    }

    fn with_events(mut record: RequestRecord, events: &[(u64, EventKind, u32)]) -> RequestRecord {
        record.events = Events::default();
        let mut last = Nanos::ZERO;
        for &(millis, kind, tokens) in events {
            record.events.push(last, Nanos::from_millis(millis), kind);
            record.events.tokens.push(tokens);
            last = Nanos::from_millis(millis);
        }
        record
    }

    const fn ms(millis: u64) -> Nanos {
        Nanos::from_millis(millis)
    }

    #[test]
    fn latencies_count_from_sending_and_from_the_schedule() {
        let found = RequestMetrics::of(&request(0, 100, 130, &[180, 190, 200]));
        assert_eq!((found.ttft, found.ttft_scheduled), (Some(ms(50)), Some(ms(80))));
        assert_eq!((found.e2e, found.e2e_scheduled), (Some(ms(70)), Some(ms(100))));
        assert_eq!(found.send_lag, Some(ms(30)));
        assert_eq!(found.tpot_ns, Some(10e6));
        assert_eq!((found.output.tokens, found.output.source), (Some(3), CountSource::Engine));
    }

    #[test]
    fn what_bench_may_have_added_is_known_of_each_event() {
        let mut record = request(0, 100, 130, &[180, 190, 200]);
        record.written = Some(ms(131));
        // The last token stands before the end of its read.
        record.events.slacken(2, 1, ms(4));
        let found = RequestMetrics::of(&record).added;
        assert_eq!((found.sending, found.first, found.last), (Some(ms(1)), ms(0), ms(4)));
        assert_eq!(found.ends(ms(70), found.last), Some((65.0, 70.0)));
        record.write_cpu = Some(Nanos(20_000));
        assert_eq!(RequestMetrics::of(&record).added.sending, Some(Nanos(20_000)));
        record.write_cpu = None;
        // What bench stamped itself is no later than bench ever was.
        record.stamps = StampSource::Userspace;
        assert_eq!(RequestMetrics::beside(&record, ms(3)).added.last, ms(3));
        record.written = None;
        assert_eq!(RequestMetrics::of(&record).added.ends(ms(70), ms(4)), None);
    }

    #[test]
    fn role_and_usage_chunks_are_no_tokens() {
        let record = with_events(
            request(0, 0, 0, &[]),
            &[(5, EventKind::Other, 0), (50, EventKind::Content, 1), (90, EventKind::Done, 0)],
        );
        let found = RequestMetrics::of(&record);
        assert_eq!((found.ttft, found.e2e, found.n_token_events), (Some(ms(50)), Some(ms(50)), 1));
    }

    #[test]
    fn reasoning_and_answer_have_their_own_first_token() {
        let record = with_events(
            request(0, 0, 0, &[]),
            &[
                (50, EventKind::Reasoning, 1),
                (60, EventKind::Reasoning, 1),
                (70, EventKind::ToolCall, 1),
            ],
        );
        let found = RequestMetrics::of(&record);
        assert_eq!(
            (found.ttft, found.ttfr, found.ttfa),
            (Some(ms(50)), Some(ms(50)), Some(ms(70)))
        );
    }

    #[test]
    fn tpot_leaves_the_first_chunks_tokens_out() {
        // Speculative decoding: 4 tokens at 50 ms, 3 at 80 ms. Seven tokens, three of them
        // after the first chunk, 30 ms: 10 ms each.
        let mut record = with_events(
            request(0, 0, 0, &[]),
            &[(50, EventKind::Content, 4), (80, EventKind::Content, 3)],
        );
        record.usage = Some(usage(1, 7));
        assert_eq!(RequestMetrics::of(&record).tpot_ns, Some(10e6));
    }

    #[test]
    fn tokens_that_bench_found_all_at_once_may_have_come_one_by_one() {
        let mut record = request(0, 0, 0, &[50, 50, 50, 50]);
        let hidden = |record: &RequestRecord| {
            let found = RequestMetrics::of(record);
            (found.tpot_ns, found.tpot_unseen_ns)
        };
        assert_eq!(hidden(&record), (None, None), "the engine wrote them at once");
        record.events.slacken(0, 4, Nanos::from_millis(30));
        assert_eq!(hidden(&record), (None, Some((0.0, 10e6))));
        assert_eq!(RequestMetrics::beside(&record, GATHER).tpot_unseen_ns, None);
    }

    #[test]
    fn a_stream_whose_first_token_bench_saw_late_has_no_tpot() {
        let found = |first_slack_millis| {
            let mut record = request(0, 0, 0, &[50, 60, 70, 80]);
            record.events.slacken(0, 1, Nanos::from_millis(first_slack_millis));
            let found = RequestMetrics::of(&record);
            (found.tpot_ns, found.tpot_unseen_ns)
        };
        assert_eq!(found(3), (Some(10e6), None), "a tenth of 30 ms");
        assert_eq!(found(15), (None, Some((10e6, 15e6))));
    }

    #[test]
    fn tpot_is_bounded_where_the_first_chunks_tokens_are_not_known() {
        // 28 tokens in 7 chunks, 40 ms apart: 10 ms each if the first holds four, as the others.
        let mut record = request(0, 0, 0, &[50, 90, 130, 170, 210, 250, 290]);
        record.usage = Some(usage(1, 28));
        let found = RequestMetrics::of(&record);
        assert_eq!(found.tpot_ns, Some(240e6 / 27.0));
        assert_eq!(found.tpot_bound_ns, Some((240e6 / 27.0, 240e6 / 6.0)));
        // Tokens that are held back until their text is whole belong to the chunk that shows it.
        record.events = Events::default();
        let kinds = [(40, EventKind::Other, 1), (50, EventKind::Content, 3)];
        let record = with_events(record, &[&kinds[..], &[(90, EventKind::Content, 24)]].concat());
        let found = RequestMetrics::of(&record);
        assert_eq!(found.tpot_bound_ns, Some((40e6 / 24.0, 40e6 / 24.0)));
        // One token per chunk leaves nothing open; an end of sequence in no chunk leaves one.
        let found = RequestMetrics::of(&request(0, 0, 0, &[50, 60, 70]));
        assert_eq!(found.tpot_bound_ns, Some((10e6, 10e6)));
    }

    #[test]
    fn the_bound_of_tpot_holds_what_a_proxy_let_through_first() {
        // 64 tokens, one each 10 ms, in blocks of so many.
        let blocks = |n: u64| {
            let at: Vec<u64> = (1..=64_u64).map(|token| token.div_ceil(n) * n * 10).collect();
            request(0, 0, 0, &at)
        };
        for n in [1, 2, 8, 16, 32] {
            let mut record = blocks(n);
            let generating = 10e6 * (64 - n) as f64;
            let expected = Some((generating / 63.0, 10e6));
            assert_eq!(RequestMetrics::of(&record).tpot_bound_ns, expected, "{n}");
            record.events.tokens = vec![1; 64];
            assert_eq!(RequestMetrics::of(&record).tpot_bound_ns, expected, "{n}");
            assert_eq!(RequestMetrics::of(&record).n_arrived_first, n as u32);
        }
        assert_eq!(RequestMetrics::of(&blocks(64)).tpot_ns, None);
        // Half is held back, and the rest comes one by one.
        let at: Vec<u64> = (1..=64_u64).map(|token| token.max(32) * 10).collect();
        let mut record = request(0, 0, 0, &at);
        let expected = Some((320e6 / 63.0, 10e6));
        assert_eq!(RequestMetrics::of(&record).tpot_bound_ns, expected);
        // Of twice as many tokens as events, nobody says how many the first block holds.
        record.usage = Some(usage(1, 128));
        let expected = Some((320e6 / 127.0, 320e6 / 32.0));
        assert_eq!(RequestMetrics::of(&record).tpot_bound_ns, expected);
        record.usage = Some(usage(1, 60));
        let expected = Some((320e6 / 63.0, 320e6 / 28.0));
        assert_eq!(RequestMetrics::of(&record).tpot_bound_ns, expected);
    }

    #[test]
    fn reasoning_that_was_counted_and_not_streamed_takes_no_time_behind_the_first_token() {
        let at: Vec<u64> = (0..10).map(|i| 200 + 20 * i).collect();
        let mut record = request(0, 0, 0, &at);
        let mut check = |n_output, n_reasoning, tokens: &[u32], expected| {
            record.usage = Some(Usage { reasoning: n_reasoning, ..usage(9, n_output) });
            record.events.tokens = tokens.to_vec();
            assert_eq!(RequestMetrics::of(&record).tpot_bound_ns, Some(expected));
        };
        check(510, Some(500), &[], (20e6, 20e6));
        check(511, Some(500), &[], (18e6, 20e6));
        // One token is the end of the sequence, or an event holds a part of one.
        check(509, Some(500), &[], (20e6, 180e6 / 8.0));
        check(510, Some(500), &[1; 10], (20e6, 20e6));
        let first_holds_it = [&[501][..], &[1; 9][..]].concat();
        check(510, Some(500), &first_holds_it, (20e6, 20e6));
        // It stands in the text, where no event tells it from the answer.
        check(10, Some(5), &[], (20e6, 20e6));
        check(510, None, &[], (180e6 / 509.0, 20e6));
        // Some of it was streamed: nobody knows how much.
        let mut record = request(0, 0, 0, &[]);
        let kinds = [(50, EventKind::Reasoning, 0), (90, EventKind::Content, 0)];
        record = with_events(record, &kinds);
        record.events.tokens.clear();
        record.usage = Some(Usage { reasoning: Some(500), ..usage(9, 510) });
        let found = RequestMetrics::of(&record);
        assert_eq!((found.shown, found.tpot_ns), (Some(510), Some(40e6 / 509.0)));
    }

    #[test]
    fn counts_that_contradict_each_other_bound_tpot() {
        // Ten ids in front of 19 events of one, but 20 tokens in all: they are those of the prompt.
        let at: Vec<u64> = (0..20).map(|i| 50 + 20 * i).collect();
        let mut record = request(0, 0, 0, &at);
        record.events.tokens = [&[10][..], &[1; 19][..]].concat();
        assert_eq!(RequestMetrics::of(&record).tpot_bound_ns, Some((20e6, 20e6)));
        // 30 tokens came before the first event, or with it.
        record.events.tokens = vec![1; 20];
        record.usage = Some(usage(9, 50));
        let expected = Some((380e6 / 49.0, 380e6 / 19.0));
        assert_eq!(RequestMetrics::of(&record).tpot_bound_ns, expected);
        record.events.tokens.clear();
        record.usage = Some(usage(9, 7));
        let expected = Some((380e6 / 19.0, 380e6 / 6.0));
        assert_eq!(RequestMetrics::of(&record).tpot_bound_ns, expected);
    }

    #[test]
    fn a_late_burst_has_no_time_per_token() {
        let burst = |first: u64, last: u64, n_tokens: u32| {
            let mut record = request(0, 0, 0, &[first, last]);
            record.usage = Some(usage(1, n_tokens));
            let found = RequestMetrics::of(&record);
            assert_eq!(found.tpot_ns.is_none(), found.burst.is_some());
            found.burst
        };
        let expected = Burst { n_tokens: 199, within: ms(5), after: ms(1_000) };
        assert_eq!(burst(1_000, 1_005, 200), Some(expected));
        assert!(burst(3_000, 3_100, 400).is_some(), "a slow drain after three seconds");
        assert_eq!(burst(1_000, 1_005, 6), None, "1 ms per token is an engine's speed");
        assert_eq!(burst(50, 55, 200), None, "no silence before it");
        assert_eq!(burst(1_000, 1_500, 2_000), None, "half as long as the wait");
    }

    #[test]
    fn tpot_of_one_chunk_or_an_unknown_count_is_undefined() {
        assert_eq!(RequestMetrics::of(&request(0, 0, 0, &[50])).tpot_ns, None);
        let mut record = request(0, 0, 0, &[50, 60]);
        record.usage = None;
        let found = RequestMetrics::of(&record);
        assert_eq!((found.tpot_ns, found.output.source), (None, CountSource::Unknown));
        // One chunk and an end-of-sequence token that the engine counts.
        let mut record = request(0, 0, 0, &[50]);
        record.usage = Some(usage(1, 2));
        assert_eq!(RequestMetrics::of(&record).tpot_ns, None);
    }

    #[test]
    fn the_tokenizer_counts_where_the_engine_is_silent_and_checks_it_where_not() {
        let mut record = request(0, 0, 0, &[50, 60]);
        record.output_tokens_counted = Some(3);
        let found = RequestMetrics::of(&record).output;
        assert_eq!(found.tokens, Some(2));
        record.usage = None;
        let found = RequestMetrics::of(&record).output;
        assert_eq!((found.tokens, found.source), (Some(3), CountSource::Tokenizer));
    }

    #[test]
    fn a_request_that_was_never_sent_has_no_latency() {
        let mut record = request(0, 100, 0, &[]);
        record.sent = None;
        let found = RequestMetrics::of(&record);
        assert_eq!((found.ttft, found.e2e, found.send_lag), (None, None, None));
    }
}
