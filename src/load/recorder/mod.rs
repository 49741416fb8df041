//! The recorder: decodes what the load threads hand over, and passes on finished records.

pub(in crate::load) mod answer;
pub(in crate::load) mod channel;
pub(in crate::load) mod decode;
pub(in crate::load) mod engine_stamps;
pub(in crate::load) mod outcome;
pub(crate) mod single_answer;
mod snapshots;
pub(in crate::load) mod unread;

use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::recorder::answer::Answer;
use crate::load::recorder::decode::Decoding;
use crate::load::recorder::outcome::{Asked, judge};
use crate::load::spec::{Limits, Live, NextTurnBody, RecordSink, RoundStats, TokenCounter};
use crate::load::transport::client::Ending;
use crate::load::transport::exchange::{Block, BodyBatch, Conversation, Finished, FollowUp};
use crate::record::request::{Oddity, Outcome, OutputRecord, RequestError, RequestRecord};
use crate::secrets::redact::Redactor;
use crate::seed::Seed;
use crate::stats::reservoir::Reservoir;
use crate::units::Nanos;
use crate::workload::request::Request;

/// Differences to the engine's own stamps that are kept. The number suffices for a p99.9.
const MAX_ADDED: usize = 16_384;

/// Answers of one round whose times are kept.
const MAX_ROUND_SAMPLES: usize = 4096;

/// How answers are decoded.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) asked: Asked,
    pub(crate) keep_outputs: bool,
    pub(crate) token_counter: Option<TokenCounter>,
    pub(crate) next_turn: Option<NextTurnBody>,
    pub(crate) limits: Limits,
    pub(crate) redactor: Redactor,
    /// The epoch on the engine's clock; set when the engine's own stamps are compared.
    pub(crate) truth_epoch_ns: Option<u64>,
}

#[cfg(test)]
impl Reading {
    /// Returns how streams are decoded of which nothing else is asked.
    pub(crate) fn of_streams() -> Self {
        Self {
            asked: Asked { stream: true, no_done: false },
            keep_outputs: false,
            token_counter: None,
            next_turn: None,
            limits: Limits::default(),
            redactor: Redactor::default(),
            truth_epoch_ns: None,
        }
    }
}

/// Decodes responses and counts outcomes.
pub(crate) struct Recorder<'a> {
    reading: Reading,
    sink: &'a mut dyn RecordSink,
    live: &'a Live,
    /// Responses in flight, by load thread and slot.
    decodings: HashMap<(u16, u32), Decoding>,
    round: RoundReport,
    failure: Option<std::io::Error>,
    /// Differences to the engine's own stamps, where its events carry stamps.
    added_ns: Reservoir<i64>,
}

/// What the recorder saw of one round.
#[derive(Debug, Default)]
pub(crate) struct RoundReport {
    pub(crate) stats: RoundStats,
    pub(crate) first_failure: Option<RequestError>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(reading: Reading, sink: &'a mut dyn RecordSink, live: &'a Live) -> Self {
        Self {
            reading,
            sink,
            live,
            decodings: HashMap::new(),
            round: RoundReport::default(),
            failure: None,
            // Which values are kept does not affect the load: the stream is not a scenario's.
            added_ns: Reservoir::new(MAX_ADDED, Seed(0).stream("added")),
        }
    }

    /// Returns the differences to the engine's own stamps, or the sink's first error.
    pub(crate) fn into_added_ns(self) -> std::io::Result<Vec<i64>> {
        self.failure.map_or_else(|| Ok(self.added_ns.into_sorted()), Err)
    }

    /// Whether the sink refused a record.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Takes a batch. Returns its block, emptied, and the recorder's answer to a conversation.
    pub(crate) fn take(&mut self, batch: BodyBatch) -> (Block, Option<(u32, FollowUp)>) {
        let BodyBatch { from, signals, head, max_tokens, mut block, finished } = batch;
        let reading = &self.reading;
        let decoding = self.decodings.entry(from).or_insert_with(|| {
            let keeps_text = reading.keep_outputs
                || reading.token_counter.is_some()
                || reading.next_turn.is_some();
            let mut decoding = Decoding::new(
                reading.asked.stream,
                keeps_text,
                reading.token_counter.is_some(),
                reading.limits,
            );
            decoding.answer.truth_epoch_ns = reading.truth_epoch_ns;
            decoding.answer.redactor = reading.redactor.clone();
            decoding
        });
        if head.is_some() {
            decoding.head = head;
        }
        let n_before = decoding.answer.n_token_events;
        decoding.feed(&block, max_tokens, &signals);
        let n_new = decoding.answer.n_token_events - n_before;
        self.live.tokens.fetch_add(n_new, Ordering::Relaxed);
        block.clear();
        let Some(finished) = finished else { return (block, None) };
        let follow_up = self.decodings.remove(&from).and_then(|decoding| {
            let round = finished.round;
            self.finish(decoding, *finished).map(|follow_up| (round, follow_up))
        });
        (block, follow_up)
    }

    fn finish(&mut self, mut decoding: Decoding, mut finished: Finished) -> Option<FollowUp> {
        let is_complete = finished.ending == Ending::Complete;
        decoding.finish(finished.ended, is_complete);
        let head = decoding.head.take();
        let mut answer = decoding.answer;
        for added in answer.added_ns.drain(..) {
            self.added_ns.push(added);
        }
        let outcome = judge(&finished.ending, head.as_ref(), &mut answer, self.reading.asked);
        let output_tokens_counted = self
            .reading
            .token_counter
            .as_ref()
            .filter(|_| answer.n_token_events > 0)
            .map(|ends| answer.count_by_text(|text| ends(text)));
        let completion = answer.usage.and_then(|usage| usage.completion);
        if let (Some(completion), Some(counted)) = (completion, output_tokens_counted) {
            // The engine counts the end-of-sequence token, which the text does not show.
            let allowed = (completion / 100).max(1);
            if completion.abs_diff(counted) > allowed {
                answer.note_oddity(Oddity::CountsDiffer);
            }
        }
        let counted = completion.or(output_tokens_counted).map(u64::from);
        self.live.note_count(counted, answer.n_token_events);
        self.count(&outcome, &finished, &answer, counted);
        let follow_up = finished.conversation.take().map(|conversation| {
            if outcome != Outcome::Ok {
                return FollowUp::Over;
            }
            self.next_turn(conversation, &answer.text, &finished).unwrap_or_else(|why| {
                self.failure.get_or_insert_with(|| std::io::Error::other(why));
                FollowUp::Over
            })
        });
        let is_stamped = is_complete || answer.done_at.is_some();
        let timing = finished.timing;
        let record = RequestRecord {
            phase: timing.phase,
            index: timing.index,
            turn: timing.turn,
            sample: timing.sample,
            scheduled: timing.scheduled,
            sent: timing.sent,
            written: timing.written,
            write_cpu: timing.write_cpu,
            connected: timing.connected,
            headers: timing.headers.map(|stamp| stamp.at),
            events: answer.events,
            done: answer.done_at.or(is_stamped.then_some(finished.ended)),
            ended: (!is_stamped).then_some(finished.ended),
            status: head.map(|head| head.status),
            stamps: timing.stamps,
            usage: answer.usage,
            finish: answer.finish.or(answer.unknown_finish),
            max_tokens: timing.max_tokens,
            output_tokens_counted,
            prompt_tokens_counted: None,
            prompt_ids_hash: None,
            true_ttft: answer.true_ttft,
            body_bytes: timing.body_bytes,
            outcome,
            oddities: answer.oddities,
        };
        let output = OutputRecord {
            phase: timing.phase,
            index: timing.index,
            turn: timing.turn,
            sample: timing.sample,
            text: answer.text,
            reasoning: answer.reasoning,
            logprobs: answer.logprobs,
        };
        let output = self.reading.keep_outputs.then_some(output);
        if self.failure.is_none()
            && let Err(error) = self.sink.accept(record, output)
        {
            self.failure = Some(error);
        }
        follow_up
    }

    /// Returns the next turn of a conversation, due its delay after this turn ended, and not before
    /// its time.
    fn next_turn(
        &self,
        conversation: Conversation,
        answer: &str,
        last: &Finished,
    ) -> Result<FollowUp, String> {
        let make_body = self
            .reading
            .next_turn
            .as_ref()
            .ok_or("a request has further turns, but nothing makes their bodies")?;
        let mut next_turns = conversation.next_turns;
        let turn = next_turns.remove(0);
        let body = make_body(&conversation.body, answer, &turn)?;
        let scheduled = last.timing.scheduled;
        let due = Nanos(last.ended.0.saturating_add(turn.delay.0))
            .max(Nanos(scheduled.0.saturating_add(turn.not_before.0)));
        // The times of the others count from this turn then.
        for later in &mut next_turns {
            later.not_before = later.not_before.saturating_sub(due.saturating_sub(scheduled));
        }
        let request = Request {
            phase: last.timing.phase,
            index: last.timing.index,
            turn: last.timing.turn + 1,
            sample: last.timing.sample,
            body,
            max_tokens: turn.max_tokens.or(last.timing.max_tokens),
            next_turns,
        };
        Ok(FollowUp::Turn(Box::new(request), due))
    }

    fn count(
        &mut self,
        outcome: &Outcome,
        finished: &Finished,
        answer: &Answer,
        counted: Option<u64>,
    ) {
        let first_token_at = answer.first_token_at;
        let n_tokens = counted.unwrap_or(answer.n_token_events);
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        count(&self.live.done);
        let RoundReport { stats, first_failure } = &mut self.round;
        if *outcome == Outcome::Ok {
            stats.n_ok += 1;
            if let (Some(sent), Some(first)) = (finished.timing.sent, first_token_at) {
                let tpot = counted.and_then(|n| answer.roughly_per_token(n));
                let mut recent = self.live.recent.lock().unwrap_or_else(PoisonError::into_inner);
                recent.push(first.saturating_sub(sent), tpot);
            }
            if let (Some(sent), Some(first)) = (finished.timing.sent, first_token_at)
                && stats.ttfts.len() < MAX_ROUND_SAMPLES
            {
                stats.ttfts.push(first.saturating_sub(sent));
                let took = finished.ended.saturating_sub(sent).max(Nanos(1));
                stats.token_rates.push(n_tokens as f64 / took.as_secs_f64());
            }
        } else {
            count(&self.live.failed);
            stats.n_failed += 1;
            if let Outcome::Error(error) = outcome {
                first_failure.get_or_insert_with(|| error.clone());
            }
        }
    }

    /// Returns what was seen since the last call.
    pub(crate) fn end_round(&mut self) -> RoundReport {
        std::mem::take(&mut self.round)
    }
}
