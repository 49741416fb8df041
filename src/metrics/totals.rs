//! What one trial adds up to.

use std::collections::{BTreeMap, HashMap};

use crate::metrics::client_lag::OwnLag;
use crate::metrics::goodput::is_good;
use crate::metrics::request::{CountSource, RequestMetrics, token_arrivals, token_events};
use crate::metrics::window::Window;
use crate::plan::cell::Slo;
use crate::record::request::{CancelCause, Outcome, RequestError, RequestRecord};
use crate::stats::change_point::plain_steps;
use crate::stats::trend::{TREND_CHANGE, Trend};
use crate::units::Nanos;

/// Equal parts of a window in which a trend is looked for: enough for Mann–Kendall at 1 %,
/// few enough that each holds some requests.
pub(crate) const N_SLICES: usize = 20;
/// Requests that a window needs before its slices can say anything.
const MIN_REQUESTS_FOR_TREND: u64 = 4 * N_SLICES as u64;
/// The finest parts of a window, and numbers of equal parts that they make up: steps are looked for
/// in parts no shorter than a request, as fewer hold whole waves of them.
const N_BINS: usize = 240;
const N_PARTS: [usize; 7] = [20, 16, 15, 12, 10, 8, 6];
/// p-value below which a step counts as real. Slices are not independent: of simulated loads of one
/// level (closed loops of 1 to 32 streams, log-normal times and lengths, Poisson and clumped
/// arrivals, queues) at most 2 in 100 showed a step.
const STEP_P: f64 = 0.001;
/// Deviation of the number of waves in a part that begins anywhere in one: that of a uniform
/// distribution of width 1.
const WAVE_STD: f64 = 0.289;

/// What the measured requests of one trial add up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// Length of the window, seconds.
    pub window_secs: f64,
    /// From the beginning of the measured phases to the last response, seconds.
    pub whole_secs: f64,
    /// Requests that were due in measured phases.
    pub n_scheduled: u64,
    /// Complete answers.
    pub n_ok: u64,
    /// Requests that met all SLOs.
    pub n_good: u64,
    /// Complete answers of which nobody knows whether they did.
    pub(crate) n_undecided: u64,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
    /// Words of the first failure of each kind.
    pub examples: BTreeMap<String, String>,
    /// Ended by `bench`, by cause.
    pub cancelled: BTreeMap<String, u64>,
    /// Token events of all requests.
    pub n_token_events: u64,
    /// Output tokens of complete answers with a known count.
    pub output_tokens: u64,
    /// Prompt tokens of complete answers with a known count.
    pub prompt_tokens: u64,
    /// Prompt tokens that the engine took from its cache, and of how many.
    pub cached_tokens: u64,
    /// Prompt tokens of answers whose usage says how many were cached.
    pub cacheable_tokens: u64,
    /// Complete answers without a count of output tokens.
    pub n_output_unknown: u64,
    /// Complete answers without a count of prompt tokens.
    pub n_prompt_unknown: u64,
    /// The same, inside the window.
    pub inside: Inside,
    /// What lay inside the window for sure, and what may have: had bench sent on time, answers and
    /// tokens behind the window's edges would have come before them.
    pub(crate) surely: Edge,
    pub(crate) perhaps: Edge,
    /// Time in which streams of closed loops stood still between an answer and their next request,
    /// seconds inside the window by streams.
    pub(crate) lost_secs: f64,
    /// Time in which they had a request under way, or a conversation that waited for its own delay,
    /// likewise; absent where no stream is of one, and where a window runs to the last response, when
    /// there is nothing more to send.
    pub(crate) busy_secs: Option<f64>,
    /// The same from the beginning of the measured phases to the last response, and by how much earlier bench
    /// could have sent in an open loop.
    pub(crate) lost_whole_secs: f64,
    pub(crate) late_max_secs: f64,
    /// When the latest turn of each conversation ended, by phase and place; kept where requests may be
    /// turns.
    pub(crate) turn_ends: Option<HashMap<(u16, u64), Nanos>>,
    /// Output tokens by [`N_BINS`] equal parts of the window.
    pub(crate) output_bins: Vec<f64>,
    /// Output tokens by equal parts of the window, those of each answer spread evenly over its time:
    /// of streams in step, which all wait and then all get tokens, instants of arrival would show how
    /// their waves lie to the parts' edges.
    pub(crate) spread_output: Vec<f64>,
    /// Whether the window has one load from its begin to its end, without ramp and drain.
    pub(crate) is_level: bool,
    pub(crate) ttft_slices: Vec<(f64, u64)>,
}

/// Sums inside the window whose parts may belong to one side of its edges or to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Edge {
    pub(crate) requests: f64,
    pub(crate) good: f64,
    pub(crate) output_tokens: f64,
    pub(crate) prompt_tokens: u64,
}

/// Sums inside the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Inside {
    /// Requests that were due.
    pub n_scheduled: u64,
    /// Requests completed.
    pub n_completed: u64,
    /// Complete requests, each by the share of its tokens that arrived.
    pub requests: f64,
    /// Those that met all SLOs, likewise.
    pub good: f64,
    /// Output tokens that arrived.
    pub output_tokens: f64,
    /// Prompt tokens of requests whose first token arrived.
    pub prompt_tokens: u64,
    /// Time in flight, summed over requests, seconds.
    pub in_flight_secs: f64,
}

impl Totals {
    /// Creates empty sums for a window.
    pub(crate) fn new(window: &Window) -> Self {
        Self {
            window_secs: window.duration().as_secs_f64(),
            whole_secs: window.whole_duration().as_secs_f64(),
            output_bins: vec![0.0; N_BINS],
            spread_output: vec![0.0; N_SLICES],
            is_level: window.to_the_end.is_none() && !window.begins_idle,
            ttft_slices: vec![(0.0, 0); N_SLICES],
            ..Self::default()
        }
    }

    /// Tells that requests may be turns of conversations.
    pub(crate) fn of_conversations(self) -> Self {
        Self { turn_ends: Some(HashMap::new()), ..self }
    }

    /// Adds one measured request.
    pub(crate) fn push(
        &mut self,
        window: &Window,
        slo: Option<&Slo>,
        record: &RequestRecord,
        metrics: &RequestMetrics,
        own: OwnLag,
    ) {
        self.n_scheduled += 1;
        self.n_token_events += u64::from(metrics.n_token_events);
        self.inside.n_scheduled += u64::from(window.contains(record.scheduled));
        self.add_in_flight(window, record, metrics);
        self.add_lag(window, record, own);
        match &record.outcome {
            Outcome::Error(error) => {
                count_failure(&mut self.errors, &mut self.examples, error);
                return;
            }
            Outcome::Cancelled(cause) => {
                *self.cancelled.entry(cancel_kind(*cause).to_owned()).or_default() += 1;
                return;
            }
            Outcome::Ok => self.n_ok += 1,
        }
        let verdict = slo.map_or(Some(false), |slo| is_good(slo, metrics));
        let is_good = verdict == Some(true);
        self.n_undecided += u64::from(verdict.is_none());
        self.n_good += u64::from(is_good);
        let is_inside = metrics.last_token_at.is_some_and(|at| window.contains(at));
        self.inside.n_completed += u64::from(is_inside);
        self.add_prompt(window, record, metrics, own);
        let share = self.add_output(window, record, metrics, own);
        for (edge, share) in [(&mut self.surely, share.surely), (&mut self.perhaps, share.perhaps)]
        {
            edge.requests += share;
            edge.good += if is_good { share } else { 0.0 };
        }
        self.inside.requests += share.as_stamped;
        self.inside.good += if is_good { share.as_stamped } else { 0.0 };
        if let (Some(ttft), Some(at)) = (metrics.ttft, metrics.first_token_at)
            && let Some(slice) = window.slice(at, N_SLICES)
        {
            self.ttft_slices[slice].0 += ttft.as_millis_f64();
            self.ttft_slices[slice].1 += 1;
        }
    }

    /// Adds the sums of the stretches of the trial that interruptions ended: amounts, and the time
    /// in which they came.
    pub(crate) fn add_earlier(&mut self, earlier: &Self) {
        self.window_secs += earlier.window_secs;
        self.whole_secs += earlier.whole_secs;
        self.n_scheduled += earlier.n_scheduled;
        self.n_ok += earlier.n_ok;
        self.output_tokens += earlier.output_tokens;
        self.prompt_tokens += earlier.prompt_tokens;
        self.n_output_unknown += earlier.n_output_unknown;
        self.n_prompt_unknown += earlier.n_prompt_unknown;
        self.inside.n_scheduled += earlier.inside.n_scheduled;
        self.inside.n_completed += earlier.inside.n_completed;
        self.inside.requests += earlier.inside.requests;
        self.inside.output_tokens += earlier.inside.output_tokens;
        self.inside.prompt_tokens += earlier.inside.prompt_tokens;
        self.inside.in_flight_secs += earlier.inside.in_flight_secs;
        for (edge, more) in
            [(&mut self.surely, &earlier.surely), (&mut self.perhaps, &earlier.perhaps)]
        {
            edge.requests += more.requests;
            edge.output_tokens += more.output_tokens;
            edge.prompt_tokens += more.prompt_tokens;
        }
        self.lost_secs += earlier.lost_secs;
        self.lost_whole_secs += earlier.lost_whole_secs;
        self.late_max_secs = self.late_max_secs.max(earlier.late_max_secs);
    }

    fn add_in_flight(&mut self, window: &Window, record: &RequestRecord, metrics: &RequestMetrics) {
        if let (Some(sent), Some(end)) = (record.sent, record.end().or(metrics.last_token_at)) {
            self.inside.in_flight_secs += window.overlap(sent, end).as_secs_f64();
        }
    }

    fn add_lag(&mut self, window: &Window, record: &RequestRecord, own: OwnLag) {
        self.late_max_secs = self.late_max_secs.max(own.late.as_secs_f64());
        let Some((n_streams, until)) = own.n_streams.zip(record.written.or(record.sent)) else {
            return;
        };
        let by_stream = |pause: Nanos| pause.as_secs_f64() / f64::from(n_streams);
        self.lost_secs += by_stream(window.overlap(record.scheduled, until));
        if window.to_the_end.is_none() {
            let end = record.end().or_else(|| token_events(record).last().map(|event| event.at));
            let busy = end.map_or(Nanos::ZERO, |end| window.overlap(until, end));
            let busy = busy + self.delay_before(window, record, end);
            *self.busy_secs.get_or_insert_default() += by_stream(busy);
        }
        self.lost_whole_secs += by_stream(window.overlap_whole(record.scheduled, until));
    }

    /// Returns the time in the window between a turn and the answer before it: up to the instant at
    /// which the turn was due it is the conversation's own delay, not a pause of bench's.
    fn delay_before(
        &mut self,
        window: &Window,
        record: &RequestRecord,
        end: Option<Nanos>,
    ) -> Nanos {
        let Some(turn_ends) = &mut self.turn_ends else { return Nanos::ZERO };
        let conversation = (record.phase, record.index);
        let before = match end {
            Some(end) => turn_ends.insert(conversation, end),
            None => turn_ends.remove(&conversation),
        };
        let before = before.filter(|_| record.turn > 0);
        before.map_or(Nanos::ZERO, |before| window.overlap(before, record.scheduled))
    }

    fn add_prompt(
        &mut self,
        window: &Window,
        record: &RequestRecord,
        metrics: &RequestMetrics,
        own: OwnLag,
    ) {
        let usage = record.usage.unwrap_or_default();
        if let Some((cached, prompt)) = usage.cached.zip(usage.prompt) {
            self.cached_tokens += u64::from(cached);
            self.cacheable_tokens += u64::from(prompt);
        }
        let Some(tokens) = metrics.prompt.tokens else {
            self.n_prompt_unknown += 1;
            return;
        };
        self.prompt_tokens += u64::from(tokens);
        // Of a whole answer nobody saw the first token.
        let (at, added) = match metrics.first_token_at {
            Some(first) => (Some(first), metrics.added.first),
            None => (metrics.last_token_at, metrics.added.last),
        };
        let prefilled = Inwards::of(window, at, own.late + added);
        let counted = |counts: bool| if counts { u64::from(tokens) } else { 0 };
        self.inside.prompt_tokens += counted(prefilled.as_stamped);
        self.surely.prompt_tokens += counted(prefilled.surely);
        self.perhaps.prompt_tokens += counted(prefilled.perhaps);
    }

    /// Returns the seconds of the window that streams of a closed loop lacked: between an answer
    /// and their next request, and behind the last one.
    pub(crate) fn lost_secs(&self) -> f64 {
        let idle = self.busy_secs.map_or(0.0, |busy| self.window_secs - busy);
        idle.max(self.lost_secs)
    }

    /// Attributes output tokens to the instants at which they arrived, and returns which share of them
    /// lies inside.
    fn add_output(
        &mut self,
        window: &Window,
        record: &RequestRecord,
        metrics: &RequestMetrics,
        own: OwnLag,
    ) -> Share {
        let known = metrics.output.tokens.filter(|_| metrics.output.source != CountSource::Unknown);
        self.n_output_unknown += u64::from(known.is_none());
        let n_tokens = known.unwrap_or(0);
        self.output_tokens += u64::from(n_tokens);
        if let (Some(sent), Some(last)) = (record.sent, metrics.last_token_at) {
            self.spread(window, sent, last, n_tokens);
        }
        let mut share = Share::default();
        for (event, part) in token_arrivals(record, 1) {
            let arrived = Inwards::of(window, Some(event.at), own.late + event.slack);
            if !arrived.perhaps && !arrived.as_stamped {
                continue;
            }
            let tokens = part * f64::from(n_tokens);
            let counted = |counts: bool, amount: f64| if counts { amount } else { 0.0 };
            share.as_stamped += counted(arrived.as_stamped, part);
            share.surely += counted(arrived.surely, part);
            share.perhaps += counted(arrived.perhaps, part);
            self.inside.output_tokens += counted(arrived.as_stamped, tokens);
            self.surely.output_tokens += counted(arrived.surely, tokens);
            self.perhaps.output_tokens += counted(arrived.perhaps, tokens);
            if let Some(bin) = window.slice(event.at, N_BINS) {
                self.output_bins[bin] += tokens;
            }
        }
        share.whole()
    }

    /// Spreads the tokens of an answer over the window from when it was sent to its last one.
    fn spread(&mut self, window: &Window, sent: Nanos, last: Nanos, n_tokens: u32) {
        let took = last.saturating_sub(sent).0 as f64;
        let part = window.duration().0 as f64 / N_SLICES as f64;
        let [from, to] = [sent, last].map(|at| window.overlap(Nanos::ZERO, at).0 as f64);
        if took <= 0.0 || to <= from {
            return;
        }
        let per_nano = f64::from(n_tokens) / took;
        let first = ((from / part) as usize).min(N_SLICES - 1);
        for (slice, output) in self.spread_output.iter_mut().enumerate().skip(first) {
            let begin = slice as f64 * part;
            if begin >= to {
                break;
            }
            *output += per_nano * (to.min(begin + part) - from.max(begin)).max(0.0);
        }
    }

    /// Requests that were due and have no record: none may be lost in silence.
    pub(crate) fn add_lost(&mut self, n_lost: u64) {
        if n_lost > 0 {
            self.n_scheduled += n_lost;
            *self.errors.entry("no-record".to_owned()).or_default() += n_lost;
        }
    }

    /// Returns the trend of output tokens over the window; `None` when too few requests
    /// completed in it to say.
    pub(crate) fn output_trend(&self) -> Option<Trend> {
        if !self.has_enough_for_trend() {
            return None;
        }
        // What goes on changing shows in both. Waves show in arrivals alone, and answers that end
        // behind the window, or not at all, in what is spread.
        let spread = Trend::of(&self.spread_output)?;
        if spread.is_trending() { Trend::of(&self.output_in(N_SLICES)) } else { Some(spread) }
    }

    /// Returns output tokens by equal parts of the window.
    fn output_in(&self, n_parts: usize) -> Vec<f64> {
        self.output_bins.chunks(N_BINS / n_parts).map(|part| part.iter().sum()).collect()
    }

    /// Returns where the rate of output tokens changed its level inside a window of one load, if that
    /// moved the rate of the window by more than [`TREND_CHANGE`]: a standstill, or an engine that was
    /// faster at first. Ranks see only what goes on in one direction.
    ///
    /// `None` too where few requests completed, or each took a large part of the window.
    pub(crate) fn output_steps(&self) -> Option<OutputSteps> {
        let n_requests = self.inside.requests;
        if !self.is_level || !self.has_enough_for_trend() || n_requests <= 0.0 {
            return None;
        }
        let request_secs = self.inside.in_flight_secs / n_requests;
        let waves_in = |n_parts: usize| self.window_secs / n_parts as f64 / request_secs;
        let n_parts = N_PARTS.into_iter().find(|n_parts| waves_in(*n_parts) >= 1.0)?;
        let values = self.output_in(n_parts);
        // Streams that wait for their first tokens together leave a part of each wave empty.
        let (ttft_ms, n_ttfts) =
            self.ttft_slices.iter().fold((0.0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let is_seen = n_ttfts > 0;
        let waiting = if is_seen { ttft_ms / 1e3 / n_ttfts as f64 / request_secs } else { 1.0 };
        let mean = values.iter().sum::<f64>() / n_parts as f64;
        let least_std = mean * WAVE_STD * waiting.min(1.0) / waves_in(n_parts);
        let ends = plain_steps(&values, STEP_P, least_std);
        let edges: Vec<usize> = [0].into_iter().chain(ends).chain([n_parts]).collect();
        // Each level with the part at which it begins, and the parts that it has.
        let levels: Vec<(usize, usize, f64)> = edges
            .windows(2)
            .map(|at| {
                let n = at[1] - at[0];
                (at[0], n, values[at[0]..at[1]].iter().sum::<f64>() / n as f64)
            })
            .collect();
        let (first, later) = levels.split_first().filter(|(_, later)| !later.is_empty())?;
        let usual = levels.iter().max_by_key(|(_, n, _)| *n)?.2;
        let change = if usual > 0.0 { mean / usual - 1.0 } else { f64::INFINITY };
        let per_s = n_parts as f64 / self.window_secs;
        let told = later.iter().map(|(at, _, level)| (*at as f64 / n_parts as f64, level * per_s));
        (change.abs() > TREND_CHANGE).then(|| OutputSteps {
            first_per_s: first.2 * per_s,
            levels_per_s: told.collect(),
            change,
        })
    }

    /// Returns the trend of TTFT over the window; `None` when too few requests say.
    pub(crate) fn ttft_trend(&self) -> Option<Trend> {
        let means: Vec<f64> = self
            .ttft_slices
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(sum, n)| sum / *n as f64)
            .collect();
        (self.has_enough_for_trend() && means.len() >= N_SLICES / 2).then(|| Trend::of(&means))?
    }

    fn has_enough_for_trend(&self) -> bool {
        self.inside.n_completed >= MIN_REQUESTS_FOR_TREND
    }
}

/// Levels of the rate of output tokens inside a window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutputSteps {
    /// The first level, tokens per second.
    pub(crate) first_per_s: f64,
    /// The later ones, each behind the share of the window at which it begins.
    pub(crate) levels_per_s: Vec<(f64, f64)>,
    /// How far the rate of the window is from that of its longest level, as a share of it.
    pub(crate) change: f64,
}

/// Whether something that may have happened earlier than its stamp happened inside the window.
#[derive(Clone, Copy, Debug)]
struct Inwards {
    as_stamped: bool,
    surely: bool,
    perhaps: bool,
}

impl Inwards {
    fn of(window: &Window, at: Option<Nanos>, earlier: Nanos) -> Self {
        let Some(at) = at else {
            return Self { as_stamped: false, surely: false, perhaps: false };
        };
        let as_stamped = window.contains(at);
        if earlier == Nanos::ZERO {
            return Self { as_stamped, surely: as_stamped, perhaps: as_stamped };
        }
        let first = at.saturating_sub(earlier);
        let surely = as_stamped && window.contains(first);
        Self { as_stamped, surely, perhaps: window.touches(first, at) }
    }
}

/// Which part of a request's tokens arrived inside the window, for sure, as stamped and perhaps.
///
/// A request counts by its share. Counted where they end, requests of streams that begin the window
/// together would be too few by up to one for each stream; by their time, those of a server with a
/// queue too many, as the first ones wait the least.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    as_stamped: f64,
    surely: f64,
    perhaps: f64,
}

impl Share {
    /// Returns the same without what adding many parts leaves beside one whole.
    fn whole(self) -> Self {
        let whole = |share: f64| if (share - 1.0).abs() < 1e-9 { 1.0 } else { share };
        let Self { as_stamped, surely, perhaps } = self;
        Self { as_stamped: whole(as_stamped), surely: whole(surely), perhaps: whole(perhaps) }
    }
}

/// Requests for which this machine had no port or descriptor.
pub(crate) const CLIENT_RESOURCES: &str = "client-resources";

/// Requests whose kept connection the server closed as they were sent.
pub(crate) const CONN_REUSE_RACE: &str = "conn-reuse-race";
pub(crate) const EMPTY: &str = "empty";

/// The names of [`error_kind`], and what each means; a status stands for those of its kind.
pub(crate) const ERROR_KINDS: [(&str, &str); 13] = [
    ("connect", "the connection was refused or could not be opened"),
    ("connect-timeout", "there was no connection within `deadlines.connect` of its phase"),
    ("first-token-timeout", "no token came within `deadlines.first-token` of its phase"),
    (
        "between-tokens-timeout",
        "no further token came within `deadlines.between-tokens` of its phase",
    ),
    ("total-timeout", "the answer was not finished within `deadlines.total` of its phase"),
    ("status-…", "the server answered with another status than 2xx"),
    ("in-stream", "the server told an error within an answer that had begun"),
    (EMPTY, "the engine ended its answer without a token"),
    ("truncated", "the stream ended before its end was told"),
    (
        "protocol",
        "what came was not the protocol: bad JSON, UTF-8 or framing, or no text in a known field",
    ),
    ("too-large", "an answer or an event was larger than any that was asked for"),
    (CONN_REUSE_RACE, "the server closed the kept connection as the request was sent on it"),
    (CLIENT_RESOURCES, "this machine had no port or descriptor left: no fault of the engine"),
];

/// Counts a failure by its kind, and keeps the words of the first one of each.
pub(crate) fn count_failure(
    errors: &mut BTreeMap<String, u64>,
    examples: &mut BTreeMap<String, String>,
    error: &RequestError,
) {
    let kind = error_kind(error);
    if let Some(words) = error.words() {
        examples.entry(kind.clone()).or_insert_with(|| words.to_owned());
    }
    *errors.entry(kind).or_default() += 1;
}

/// Returns the stable name of a failure's kind.
pub(crate) fn error_kind(error: &RequestError) -> String {
    match error {
        RequestError::Connect(_) => "connect",
        RequestError::ConnectTimeout => "connect-timeout",
        RequestError::FirstTokenTimeout => "first-token-timeout",
        RequestError::BetweenTokensTimeout => "between-tokens-timeout",
        RequestError::TotalTimeout => "total-timeout",
        RequestError::Status(status, _) => return format!("status-{status}"),
        RequestError::InStream(_) => "in-stream",
        RequestError::Empty => EMPTY,
        RequestError::Truncated(_) => "truncated",
        RequestError::Protocol(_) => "protocol",
        RequestError::TooLarge(_) => "too-large",
        RequestError::ConnReuseRace => CONN_REUSE_RACE,
        RequestError::ClientResources(_) => CLIENT_RESOURCES,
    }
    .to_owned()
}

/// Returns the stable name of why `bench` ended a request.
pub(crate) fn cancel_kind(cause: CancelCause) -> &'static str {
    match cause {
        CancelCause::Deadline => "deadline",
        CancelCause::AfterTime => "after-time",
        CancelCause::Signal => "signal",
        CancelCause::EngineGone => "engine-gone",
        CancelCause::OverSaturated => "over-saturated",
    }
}

/// Returns how long a request had been under way when `bench` ended it: its true latency is
/// at least that.
pub(crate) fn censored_age(record: &RequestRecord, ended: Nanos) -> Option<Nanos> {
    match record.outcome {
        Outcome::Cancelled(_) => record.end().unwrap_or(ended).checked_sub(record.sent?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::metrics::request::tests::request;
    use crate::metrics::tests::fixture::{cell, phase_record, trial};
    use crate::plan::cell::ArrivalsPlan;
    use crate::seed::Seed;

    #[test]
    fn every_kind_of_failure_has_its_meaning() {
        let words = || "words".to_owned();
        let errors = [
            RequestError::Connect(words()),
            RequestError::ConnectTimeout,
            RequestError::FirstTokenTimeout,
            RequestError::BetweenTokensTimeout,
            RequestError::TotalTimeout,
            RequestError::Status(503, words()),
            RequestError::InStream(words()),
            RequestError::Empty,
            RequestError::Truncated(words()),
            RequestError::Protocol(words()),
            RequestError::TooLarge(words()),
            RequestError::ConnReuseRace,
            RequestError::ClientResources(words()),
        ];
        let kinds = errors.iter().map(|error| error_kind(error).replace("503", "…"));
        assert!(kinds.eq(ERROR_KINDS.iter().map(|(kind, _)| (*kind).to_owned())));
    }
    use crate::record::trial::PhaseKind;

    /// Measured from 1 s to 2 s, drained at 3 s.
    fn totals(records: &[RequestRecord]) -> Totals {
        let trial = trial(&[phase_record(PhaseKind::Measure, 1_000, 2_000, 3_000)]);
        let window = Window::of(&trial, &cell(ArrivalsPlan::Constant { rate_per_s: 1.0 }));
        let mut totals = Totals::new(&window);
        for record in records {
            totals.push(&window, None, record, &RequestMetrics::of(record), OwnLag::default());
        }
        totals
    }

    #[test]
    fn tokens_count_where_they_arrive_and_requests_by_their_share() {
        let totals = totals(&[
            request(0, 1_000, 1_000, &[1_100, 1_200]),
            // Two of four tokens arrive inside.
            request(1, 1_900, 1_900, &[1_950, 2_000, 2_050, 2_100]),
        ]);
        assert_eq!(totals.inside.n_completed, 1);
        // Two of the second's four tokens.
        assert!((totals.inside.requests - 1.5).abs() < 1e-9);
        assert!((totals.inside.output_tokens - 4.0).abs() < 1e-9);
        assert_eq!((totals.output_tokens, totals.prompt_tokens), (6, 20));
        assert_eq!(totals.inside.prompt_tokens, 20);
        // 0.2 s of the first, 0.1 s of the second.
        assert!((totals.inside.in_flight_secs - 0.3).abs() < 1e-9);
    }

    #[test]
    fn what_bench_held_back_is_told_beside_what_came() {
        let trial = trial(&[phase_record(PhaseKind::Measure, 1_000, 2_000, 3_000)]);
        let window = Window::of(&trial, &cell(ArrivalsPlan::Constant { rate_per_s: 1.0 }));
        let pushed = |record: &RequestRecord, own| {
            let mut totals = Totals::new(&window);
            totals.push(&window, None, record, &RequestMetrics::of(record), own);
            totals
        };
        // Sent 100 ms late: its last token and its end would have come before the window's end.
        let late = OwnLag { late: Nanos::from_millis(100), n_streams: None };
        let found = pushed(&request(0, 1_800, 1_900, &[1_950, 2_050]), late);
        let of = |edge: Edge| (edge.requests, edge.output_tokens);
        assert_eq!((found.inside.requests, found.inside.output_tokens), (0.5, 1.0));
        assert_eq!((of(found.surely), of(found.perhaps)), ((0.5, 1.0), (1.0, 2.0)));
        // Near the start, it would have come before the window.
        let found = pushed(&request(0, 900, 1_000, &[1_050, 1_120]), late);
        assert_eq!((of(found.surely), of(found.perhaps)), ((0.5, 1.0), (1.0, 2.0)));
        // One of four streams stood still for 200 ms, of which 100 ms are inside the window.
        let idle = OwnLag { late: Nanos::ZERO, n_streams: Some(4) };
        let found = pushed(&request(0, 900, 1_100, &[1_200]), idle);
        assert!((found.lost_secs - 0.025).abs() < 1e-9 && found.late_max_secs == 0.0);
        // It worked for 100 ms, and nothing is known of the rest of the window.
        assert!((found.lost_secs() - 0.975).abs() < 1e-9, "{}", found.lost_secs());
    }

    #[test]
    fn the_delays_of_a_conversation_are_not_pauses_of_bench() {
        let mut trial = trial(&[phase_record(PhaseKind::Measure, 1_000, 2_000, 3_000)]);
        trial.phases[0].n_scheduled = 4;
        let window = Window::of(&trial, &cell(ArrivalsPlan::Closed { concurrency: 1 }));
        assert_eq!(window.to_the_end, None);
        let own = OwnLag { late: Nanos::ZERO, n_streams: Some(1) };
        let lost = |totals: Totals| {
            let mut totals = totals;
            // Turns of 100 ms, each due 150 ms after the one before, and sent 1 ms late but for the
            // first of four.
            for nth in 0..4_u32 {
                let due = 1_000 + u64::from(nth) * 250;
                let sent = due + u64::from(nth.min(1));
                let record = request(7, due, sent, &[due + 50, due + 100]);
                let record = RequestRecord { turn: nth, ..record };
                totals.push(&window, None, &record, &RequestMetrics::of(&record), own);
            }
            totals.lost_secs()
        };
        // Nothing is known of the 150 ms behind the last turn.
        let of_turns = lost(Totals::new(&window).of_conversations());
        assert!((of_turns - 0.153).abs() < 1e-9, "{of_turns}");
        let of_singles = lost(Totals::new(&window));
        assert!((of_singles - 0.603).abs() < 1e-9, "{of_singles}");
    }

    /// Four streams of answers of 200 ms and 20 tokens: 20 requests a second, wherever the window ends.
    #[test]
    fn a_closed_loop_has_its_rate_whatever_its_streams_have_under_way_at_the_end() {
        for stopped in [2_000, 2_010, 2_100, 2_190] {
            let mut trial = trial(&[phase_record(PhaseKind::Measure, 1_000, stopped, 2_200)]);
            trial.phases[0].n_scheduled = 24;
            let window = Window::of(&trial, &cell(ArrivalsPlan::Closed { concurrency: 4 }));
            let mut totals = Totals::new(&window);
            for nth in 0..24 {
                let sent = 1_000 + nth / 4 * 200;
                let at: Vec<u64> = (1..=20).map(|token| sent + token * 10).collect();
                let record = request(nth, sent, sent, &at);
                let metrics = RequestMetrics::of(&record);
                totals.push(&window, None, &record, &metrics, OwnLag::default());
            }
            let rate = totals.inside.requests / totals.window_secs;
            assert!((rate - 20.0).abs() < 1e-6, "{rate} until {stopped}");
        }
    }

    /// A server of one slot, asked by four streams: the first answers wait less than the others.
    #[test]
    fn a_queue_that_fills_adds_no_requests() {
        let mut trial = trial(&[phase_record(PhaseKind::Measure, 1_000, 2_000, 2_400)]);
        trial.phases[0].n_scheduled = 14;
        let window = Window::of(&trial, &cell(ArrivalsPlan::Closed { concurrency: 4 }));
        assert_eq!(window.to_the_end, None);
        let mut totals = Totals::new(&window);
        for nth in 0..14 {
            let sent = if nth < 4 { 1_000 } else { 1_000 + (nth - 3) * 100 };
            let begun = 1_000 + nth * 100;
            let at: Vec<u64> = (1..=10).map(|token| begun + token * 10).collect();
            let record = request(nth, sent, sent, &at);
            let metrics = RequestMetrics::of(&record);
            totals.push(&window, None, &record, &metrics, OwnLag::default());
        }
        assert!((totals.inside.requests - 10.0).abs() < 1e-6, "{}", totals.inside.requests);
    }

    #[test]
    fn a_failed_request_adds_to_no_rate() {
        let mut record = request(0, 1_000, 1_000, &[1_100, 1_200]);
        record.outcome = Outcome::Error(RequestError::Status(500, String::new()));
        let mut cancelled = request(1, 1_000, 1_000, &[1_100]);
        cancelled.outcome = Outcome::Cancelled(CancelCause::Deadline);
        let totals = totals(&[record, cancelled]);
        assert_eq!((totals.n_scheduled, totals.n_ok, totals.output_tokens), (2, 0, 0));
        assert_eq!(totals.errors, BTreeMap::from([("status-500".to_owned(), 1)]));
        assert_eq!(totals.cancelled, BTreeMap::from([("deadline".to_owned(), 1)]));
    }

    #[test]
    fn an_unknown_count_is_left_out_and_listed() {
        let mut record = request(0, 1_000, 1_000, &[1_100, 1_200]);
        record.usage = None;
        let totals = totals(&[record]);
        assert_eq!((totals.n_ok, totals.n_output_unknown, totals.n_prompt_unknown), (1, 1, 1));
        assert!(totals.inside.output_tokens.abs() < f64::EPSILON);
    }

    #[test]
    fn a_growing_queue_shows_as_a_trend_of_ttft() {
        let records: Vec<_> = (0..100)
            .map(|i| request(i, 1_000 + 10 * i, 1_000 + 10 * i - 5 * i, &[1_000 + 10 * i]))
            .collect();
        let found = totals(&records);
        assert!(found.ttft_trend().unwrap().is_trending());
        assert!(!found.output_trend().unwrap().is_trending());
        assert!(totals(&records[..20]).ttft_trend().is_none());
    }

    /// The totals of a closed loop whose `n` answers have these milliseconds to the first token and
    /// between tokens, and tokens; measured until the last one is sent.
    fn closed_loop(
        n_streams: u32,
        n: u64,
        mut answer: impl FnMut(u64) -> (f64, f64, u32),
    ) -> Totals {
        let mut free: Vec<f64> = vec![1_000.0; n_streams as usize];
        let (mut records, mut stopped) = (Vec::new(), 0.0);
        for index in 0..n {
            let next = free.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
            let (first, gap, n_tokens) = answer(index);
            let at: Vec<u64> = (0..n_tokens)
                .map(|token| (*next + first + gap * f64::from(token)).round() as u64)
                .collect();
            let sent = next.round() as u64;
            (stopped, *next) = (*next, *next + first + gap * f64::from(n_tokens - 1));
            records.push(request(index, sent, sent, &at));
        }
        let mut phase =
            phase_record(PhaseKind::Measure, 1_000, stopped as u64, stopped as u64 + 500);
        phase.n_scheduled = n;
        let window =
            Window::of(&trial(&[phase]), &cell(ArrivalsPlan::Closed { concurrency: n_streams }));
        let mut totals = Totals::new(&window);
        for record in &records {
            totals.push(&window, None, record, &RequestMetrics::of(record), OwnLag::default());
        }
        totals
    }

    #[test]
    fn streams_in_step_have_no_trend_however_their_waves_lie_to_the_slices() {
        let (mut by_arrival, mut n_loops) = (0, 0);
        for n in (160..=640).step_by(40) {
            for first in 45..=55 {
                let found = closed_loop(8, n, |_| (f64::from(first), 5.0, 8));
                let trend = found.output_trend().unwrap();
                assert!(!trend.is_trending(), "{n} requests, {first} ms: {trend:?}");
                let arrivals = Trend::of(&found.output_in(N_SLICES)).unwrap();
                by_arrival += u32::from(arrivals.is_trending());
                n_loops += 1;
            }
        }
        assert!(by_arrival > n_loops / 20, "{by_arrival} of {n_loops}: the test shows nothing");
        // What does go on changing is seen.
        let slower = closed_loop(8, 320, |i| (50.0, 5.0 + i as f64 / 40.0, 8));
        assert!(slower.output_trend().unwrap().is_trending(), "{slower:?}");
    }

    #[test]
    fn a_standstill_and_an_engine_that_was_faster_at_first_are_steps() {
        let found = |first: &dyn Fn(u64) -> f64, gap: &dyn Fn(u64) -> f64| {
            closed_loop(4, 160, |i| (first(i) + (i % 5) as f64, gap(i), 10)).output_steps()
        };
        let level = |ms: f64| move |_: u64| ms;
        assert_eq!(found(&level(20.0), &level(3.0)), None);
        let early = found(&level(20.0), &|i| if i < 30 { 3.0 } else { 9.0 }).unwrap();
        assert!(early.levels_per_s.len() == 1 && early.change > 0.05, "{early:?}");
        let late = found(&level(20.0), &|i| if i < 130 { 3.0 } else { 9.0 }).unwrap();
        assert!(late.change.abs() > 0.05, "{late:?}");
        let stood = |i| if (60..64).contains(&i) { 1_000.0 } else { 20.0 };
        let stood = found(&stood, &level(3.0)).unwrap();
        assert!(stood.levels_per_s[0].1 < 0.2 * stood.first_per_s, "{stood:?}");
        // A change too small to matter.
        assert_eq!(found(&level(20.0), &|i| if i < 80 { 3.0 } else { 3.1 }), None);
    }

    #[test]
    fn loads_of_one_level_hardly_ever_show_a_step() {
        let mut rng = Seed(5).stream("answers");
        let mut normal = |sigma: f64| -> f64 {
            let drawn: f64 = StandardNormal.sample(&mut rng);
            (sigma * drawn).exp()
        };
        let (mut n_judged, mut n_found) = (0, 0);
        for (n_streams, n) in [(1, 100), (4, 160), (8, 100), (16, 400)] {
            for (of_first, of_length) in [(0.0, 0.0), (0.3, 0.0), (0.3, 0.8), (0.8, 0.3)] {
                for _ in 0..15 {
                    let totals = closed_loop(n_streams, n, |_| {
                        (40.0 * normal(of_first), 5.0, (16.0 * normal(of_length)).max(1.0) as u32)
                    });
                    n_judged += 1;
                    n_found += u32::from(totals.output_steps().is_some());
                }
            }
        }
        assert!(n_found <= 5, "{n_found} of {n_judged}");
    }
}
