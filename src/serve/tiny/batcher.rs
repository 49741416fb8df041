//! Continuous batching: each step decides anew which sequences take part in it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::files::Loaded;
use super::kv_cache::KvCache;
use super::model::{Scratch, Span};
use super::sampler::{Sampled, Sampling};
use super::text::{Detokenizer, StopWatch};
use crate::serve::counters::Counters;

/// Limits of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Sequences that are computed at once.
    pub max_num_seqs: usize,
    /// New tokens of one step. A longer prompt takes several steps.
    pub max_num_batched_tokens: usize,
    /// Threads that share a step's sequences.
    pub n_threads: usize,
}

/// A tokenised and checked request.
#[derive(Debug)]
pub(crate) struct Submission {
    /// The prompt; not empty.
    pub prompt: Vec<u32>,
    /// The most tokens to generate; not 0.
    pub max_tokens: u32,
    /// The fewest tokens before an end of sequence counts.
    pub min_tokens: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Random numbers of this request.
    pub rng: ChaCha8Rng,
    /// Strings that end the answer.
    pub stops: Vec<String>,
    /// An end of sequence does not end the answer.
    pub ignore_eos: bool,
    /// The channel for events. It has room for `max_tokens + 1`, so sending never waits.
    pub events: mpsc::Sender<Event>,
}

/// An event that a request's client is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A token was generated.
    Token {
        /// Text that became complete. It may be empty.
        text: String,
        /// The token.
        sampled: Sampled,
        /// The reason why the answer ended; set with the last token.
        finish: Option<Finish>,
    },
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// An end of sequence, or a stop string.
    Stop,
    /// The limit of tokens.
    Length,
}

impl Finish {
    /// Returns the word on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

struct Sequence {
    submission: Submission,
    cache: KvCache,
    /// Tokens that the model has not seen. At first this is the whole prompt.
    unseen: Vec<u32>,
    n_generated: u32,
    detokenizer: Detokenizer,
    stop_watch: StopWatch,
    finish: Option<Finish>,
    /// The event of the last step, until it is sent.
    unsent: Option<Event>,
}

/// Runs sequences through a model, step by step.
pub(crate) struct Batcher {
    loaded: Arc<Loaded>,
    limits: Limits,
    waiting: VecDeque<Submission>,
    running: Vec<Sequence>,
    scratches: Vec<Scratch>,
    counters: Arc<Mutex<Counters>>,
    totals: Counters,
}

impl Batcher {
    /// Returns a batcher that keeps `counters` up to date.
    pub(crate) fn new(loaded: Arc<Loaded>, limits: Limits, counters: Arc<Mutex<Counters>>) -> Self {
        let scratches = vec![Scratch::default(); limits.n_threads.max(1)];
        Self {
            loaded,
            limits,
            waiting: VecDeque::new(),
            running: Vec::new(),
            scratches,
            counters,
            totals: Counters::default(),
        }
    }

    /// Runs steps until every sender of submissions is gone.
    pub(crate) fn run(&mut self, submissions: &mut mpsc::Receiver<Submission>) {
        loop {
            if self.is_idle() {
                self.publish();
                match submissions.blocking_recv() {
                    Some(submission) => self.submit(submission),
                    None => return,
                }
            }
            loop {
                match submissions.try_recv() {
                    Ok(submission) => self.submit(submission),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.step();
        }
    }

    /// Puts a request into the queue.
    pub(crate) fn submit(&mut self, submission: Submission) {
        self.waiting.push_back(submission);
    }

    /// Whether no request runs or waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Computes one step: admits, runs the model once, sends tokens, retires.
    pub(crate) fn step(&mut self) {
        self.forget_the_gone();
        self.admit();
        self.publish();
        let takes = self.share_out();
        if takes.is_empty() {
            return;
        }
        let logits = self.forward(&takes);
        let loaded = Arc::clone(&self.loaded);
        let mut rows = logits.chunks_exact(loaded.model.config().vocab);
        for (sequence, n_taken) in self.running.iter_mut().zip(takes) {
            sequence.unseen.drain(..n_taken);
            if n_taken > 0
                && sequence.unseen.is_empty()
                && let Some(row) = rows.next()
            {
                sequence.take_token(row, &loaded);
                self.totals.generation_tokens += 1;
            }
        }
        self.totals.finished +=
            self.running.iter().filter(|sequence| sequence.finish.is_some()).count() as u64;
        // Counters are published before tokens are sent, so a client that has read its last token
        // finds it counted.
        self.publish();
        for sequence in &mut self.running {
            sequence.send();
        }
        self.running.retain(|sequence| sequence.finish.is_none());
    }

    /// Drops the requests whose clients have disconnected.
    fn forget_the_gone(&mut self) {
        let n_before = self.waiting.len() + self.running.len();
        self.waiting.retain(|submission| !submission.events.is_closed());
        self.running.retain(|sequence| !sequence.submission.events.is_closed());
        self.totals.aborted += (n_before - self.waiting.len() - self.running.len()) as u64;
    }

    fn admit(&mut self) {
        while self.running.len() < self.limits.max_num_seqs
            && let Some(submission) = self.waiting.pop_front()
        {
            self.totals.prompt_tokens += submission.prompt.len() as u64;
            self.running.push(Sequence {
                cache: self.loaded.model.new_cache(),
                unseen: submission.prompt.clone(),
                n_generated: 0,
                detokenizer: Detokenizer::new(&submission.prompt),
                stop_watch: StopWatch::new(&submission.stops),
                finish: None,
                unsent: None,
                submission,
            });
        }
    }

    /// Returns how many unseen tokens of each sequence the next step takes. Decoding sequences
    /// come first, and prompts share what is left.
    fn share_out(&self) -> Vec<usize> {
        let n_decoding = self.running.iter().filter(|sequence| sequence.unseen.len() == 1).count();
        let mut left = self.limits.max_num_batched_tokens.saturating_sub(n_decoding);
        self.running
            .iter()
            .map(|sequence| match sequence.unseen.len() {
                1 => 1,
                n_unseen => {
                    let n_taken = n_unseen.min(left);
                    left -= n_taken;
                    n_taken
                }
            })
            .collect()
    }

    /// Runs the model, and returns the logits of the sequences that have no unseen token left.
    ///
    /// Each thread takes a part of the sequences. A row's result does not depend on the other
    /// rows, so the result does not depend on the number of threads.
    fn forward(&mut self, takes: &[usize]) -> Vec<f32> {
        let mut spans: Vec<Span<'_>> = self
            .running
            .iter_mut()
            .zip(takes)
            .filter(|(_, n_taken)| **n_taken > 0)
            .map(|(sequence, n_taken)| Span {
                tokens: &sequence.unseen[..*n_taken],
                cache: &mut sequence.cache,
                wants_logits: *n_taken == sequence.unseen.len(),
            })
            .collect();
        let model = &self.loaded.model;
        let n_threads = self.scratches.len().min(spans.len().max(1));
        if n_threads == 1 {
            return model.forward(&mut spans, &mut self.scratches[0]);
        }
        let n_per_thread = spans.len().div_ceil(n_threads);
        std::thread::scope(|scope| {
            let parts: Vec<_> = spans
                .chunks_mut(n_per_thread)
                .zip(&mut self.scratches)
                .map(|(spans, scratch)| scope.spawn(move || model.forward(spans, scratch)))
                .collect();
            parts
                .into_iter()
                .flat_map(|part| part.join().expect("a forward pass does not panic"))
                .collect()
        })
    }

    fn publish(&mut self) {
        let running = || self.running.iter().filter(|sequence| sequence.finish.is_none());
        let n_cached: usize = running().map(|sequence| sequence.cache.n_tokens()).sum();
        let capacity = self.limits.max_num_seqs * self.loaded.max_model_len;
        let counters = Counters {
            running: running().count() as u64,
            waiting: self.waiting.len() as u64,
            kv_cache_usage_ratio: n_cached as f64 / capacity.max(1) as f64,
            ..self.totals
        };
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}

impl Sequence {
    /// Chooses the next token from its logits, and works out what it adds to the text.
    fn take_token(&mut self, logits: &[f32], loaded: &Loaded) {
        let submission = &mut self.submission;
        let eos = loaded.eos_token_ids.as_slice();
        let banned = if self.n_generated < submission.min_tokens { eos } else { &[] };
        let sampled = submission.sampling.choose(logits, banned, &mut submission.rng);
        self.n_generated += 1;
        let is_eos = eos.contains(&sampled.token) && !submission.ignore_eos;
        let mut text = String::new();
        if !is_eos {
            let added = self.detokenizer.push(sampled.token, &loaded.tokenizer);
            let (sent, is_met) = self.stop_watch.push(&added);
            text = sent;
            if is_met {
                self.finish = Some(Finish::Stop);
            }
        }
        if self.finish.is_none() {
            let n_seen = self.cache.n_tokens() + 1;
            if is_eos {
                self.finish = Some(Finish::Stop);
            } else if self.n_generated >= submission.max_tokens || n_seen > loaded.max_model_len {
                self.finish = Some(Finish::Length);
            }
            if self.finish.is_some() {
                let rest = self.detokenizer.finish(&loaded.tokenizer);
                let (sent, is_met) = self.stop_watch.push(&rest);
                text.push_str(&sent);
                if is_met {
                    self.finish = Some(Finish::Stop);
                } else {
                    text.push_str(&self.stop_watch.finish());
                }
            }
        }
        self.unseen.push(sampled.token);
        self.unsent = Some(Event::Token { text, sampled, finish: self.finish });
    }

    fn send(&mut self) {
        if let Some(event) = self.unsent.take()
            && self.submission.events.try_send(event).is_err()
        {
            // The client has disconnected; the next step drops the sequence.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::toy;
    use super::*;
    use crate::seed::Seed;

    const GREEDY: Sampling = Sampling { temperature: 0.0, top_p: 1.0 };

    fn limits(max_num_seqs: usize, max_num_batched_tokens: usize, n_threads: usize) -> Limits {
        Limits { max_num_seqs, max_num_batched_tokens, n_threads }
    }

    fn submission(
        prompt: &[u32],
        edit: impl FnOnce(&mut Submission),
    ) -> (Submission, mpsc::Receiver<Event>) {
        let (events, received) = mpsc::channel(200);
        let mut submission = Submission {
            prompt: prompt.to_vec(),
            max_tokens: 20,
            min_tokens: 0,
            sampling: GREEDY,
            rng: Seed(0).stream("test"),
            stops: Vec::new(),
            ignore_eos: true,
            events,
        };
        edit(&mut submission);
        (submission, received)
    }

    fn read(mut events: mpsc::Receiver<Event>) -> (Vec<u32>, String, Option<Finish>) {
        let (mut tokens, mut all_text, mut last) = (Vec::new(), String::new(), None);
        while let Ok(Event::Token { text, sampled, finish }) = events.try_recv() {
            assert_eq!(last, None, "a token after the last one");
            tokens.push(sampled.token);
            all_text.push_str(&text);
            last = finish;
        }
        (tokens, all_text, last)
    }

    fn prompts() -> Vec<Vec<u32>> {
        (0..9_u32).map(|idx| (0..=idx * 3).map(|at| (idx * 31 + at * 7) % 256).collect()).collect()
    }

    /// Runs all prompts together and returns each one's tokens.
    fn tokens_of_all(limits: Limits, sampling: Sampling) -> Vec<Vec<u32>> {
        let loaded = toy::shared();
        let mut batcher = Batcher::new(loaded, limits, Arc::default());
        let received: Vec<_> = prompts()
            .iter()
            .map(|prompt| {
                let (submission, events) = submission(prompt, |submission| {
                    submission.sampling = sampling;
                });
                batcher.submit(submission);
                events
            })
            .collect();
        while !batcher.is_idle() {
            batcher.step();
        }
        received.into_iter().map(|events| read(events).0).collect()
    }

    #[test]
    fn tokens_do_not_depend_on_batch_chunks_or_threads() {
        for sampling in [GREEDY, Sampling { temperature: 1.0, top_p: 0.9 }] {
            let one_by_one = tokens_of_all(limits(1, 512, 1), sampling);
            assert!(one_by_one.iter().all(|tokens| tokens.len() == 20));
            for other in [limits(8, 512, 1), limits(9, 5, 1), limits(3, 1, 1), limits(9, 512, 2)] {
                assert_eq!(tokens_of_all(other, sampling), one_by_one, "{other:?}");
            }
        }
    }

    fn generate(edit: impl FnOnce(&mut Submission)) -> (Vec<u32>, String, Option<Finish>) {
        let loaded = toy::shared();
        let mut batcher = Batcher::new(loaded, limits(4, 64, 1), Arc::default());
        let (submission, events) = submission(&[1, 2, 3], edit);
        batcher.submit(submission);
        while !batcher.is_idle() {
            batcher.step();
        }
        read(events)
    }

    #[test]
    fn the_limit_of_tokens_ends_an_answer() {
        let (tokens, _, finish) = generate(|submission| submission.max_tokens = 7);
        assert_eq!((tokens.len(), finish), (7, Some(Finish::Length)));
    }

    #[test]
    fn the_context_ends_an_answer() {
        let (tokens, _, finish) = generate(|submission| submission.max_tokens = 1_000);
        // 128 places, three taken by the prompt; the last token needs none.
        assert_eq!((tokens.len(), finish), (126, Some(Finish::Length)));
    }

    #[test]
    fn a_stop_string_ends_an_answer_and_is_not_part_of_it() {
        let (tokens, text, _) = generate(|_| {});
        let middle = text.chars().nth(text.chars().count() / 2).unwrap();
        let before = text.split(middle).next().unwrap().to_owned();
        let (stopped_tokens, stopped_text, finish) =
            generate(|submission| submission.stops = vec![middle.to_string()]);
        assert_eq!((stopped_text, finish), (before, Some(Finish::Stop)));
        assert!(stopped_tokens.len() < tokens.len());
        assert!(tokens.starts_with(&stopped_tokens));
    }

    /// Returns the first of some sampled answers that has an end of sequence.
    ///
    /// It is one of 257 nearly equally likely tokens: one answer of 120 has it with 37 %, one of
    /// ten answers with 99 %; the seeds are fixed.
    fn sampled_with_eos(
        edit: impl Fn(&mut Submission),
    ) -> Option<(Vec<u32>, String, Option<Finish>)> {
        (0..10).find_map(|seed| {
            let answer = generate(|submission| {
                submission.sampling = Sampling { temperature: 5.0, top_p: 1.0 };
                submission.rng = Seed(seed).stream("test");
                submission.ignore_eos = false;
                submission.max_tokens = 120;
                edit(submission);
            });
            answer.0.contains(&toy::EOS).then_some(answer)
        })
    }

    #[test]
    fn the_end_of_sequence_is_counted_and_ends_the_answer_unless_ignored() {
        let (tokens, _, finish) = sampled_with_eos(|_| {}).unwrap();
        assert_eq!(tokens.iter().position(|token| *token == toy::EOS), Some(tokens.len() - 1));
        assert_eq!(finish, Some(Finish::Stop));
        let (tokens, _, finish) =
            sampled_with_eos(|submission| submission.ignore_eos = true).unwrap();
        assert_eq!((tokens.len(), finish), (120, Some(Finish::Length)));
        assert_eq!(sampled_with_eos(|submission| submission.min_tokens = 120), None);
    }

    #[test]
    fn a_client_that_leaves_frees_its_place() {
        let loaded = toy::shared();
        let counters = Arc::new(Mutex::new(Counters::default()));
        let mut batcher = Batcher::new(loaded, limits(1, 64, 1), Arc::clone(&counters));
        let (first, first_events) = submission(&[1], |_| {});
        let (second, second_events) = submission(&[2], |_| {});
        batcher.submit(first);
        batcher.submit(second);
        batcher.step();
        assert_eq!(counters.lock().unwrap().waiting, 1);
        drop(first_events);
        while !batcher.is_idle() {
            batcher.step();
        }
        batcher.publish();
        assert_eq!(read(second_events).0.len(), 20);
        let counters = *counters.lock().unwrap();
        assert_eq!((counters.aborted, counters.finished, counters.running), (1, 1, 0));
        assert_eq!((counters.prompt_tokens, counters.generation_tokens), (2, 21));
    }

    #[test]
    fn streamed_text_is_the_text_of_the_tokens() {
        let loaded = toy::shared();
        // The toy's tokens are bytes, most of them not characters: the hardest case.
        let (tokens, text, _) = generate(|submission| submission.max_tokens = 100);
        assert_eq!(text, loaded.tokenizer.decode(&tokens, true).unwrap());
    }
}
