//! Doubts about one cell, one small function each, with the measured value and advice.

mod answers;
mod environment;
mod grader;
mod instrument;
mod load;
mod tokens;

use std::collections::BTreeMap;

use crate::help;
use crate::metrics::catalogue::MetricId;
use crate::metrics::evidence::Evidence;
use crate::metrics::figures::Figures;
use crate::metrics::summary::{Caveat, Counts, Distribution, Note};

/// What the caveats of a cell are made from.
struct Case<'a> {
    evidence: &'a Evidence,
    counts: &'a Counts,
    distributions: &'a BTreeMap<MetricId, Distribution>,
    figures: &'a Figures,
}

/// Every doubt there can be about a cell, in the order in which they are told.
const CAVEATS: &[fn(&Case<'_>) -> Option<Caveat>] = &[
    // A grader that cannot read says nothing of the model: it comes first.
    grader::unparsed,
    grader::extractors_differ,
    grader::thinking_seen,
    grader::answers_truncated,
    grader::wrong_by_format,
    instrument::late_sends,
    instrument::wake_lag,
    instrument::client_cpu,
    instrument::recorder_stalled,
    instrument::stood_still,
    instrument::suspended,
    instrument::steal,
    instrument::foreign_cpu,
    instrument::wall_drift,
    instrument::client_clocks,
    instrument::userspace_stamps,
    instrument::coalesced,
    instrument::telemetry_lost,
    instrument::counter_stood_still,
    load::failures,
    load::cancelled_at_deadline,
    load::cancelled_as_planned,
    load::over_saturated,
    load::aborted,
    load::went_on,
    load::not_steady,
    load::warm_up_not_steady,
    load::warm_up_failed,
    load::ran_out,
    load::no_steady_state,
    load::partial_wave,
    load::few_answers,
    load::not_known,
    load::single_trial,
    tokens::output_counts_differ,
    tokens::prompt_counts_differ,
    tokens::engine_reads_others,
    tokens::unknown_counts,
    tokens::multi_token_chunks,
    tokens::tpot_bound,
    tokens::tpot_unseen,
    tokens::late_burst,
    tokens::prefix_hits,
    tokens::prompts_repeat,
    tokens::engine_differs,
    tokens::engine_log_differs,
    answers::truncated,
    answers::not_as_long_as_asked,
    answers::fallback,
    answers::duplicates,
    answers::warmed_up_with_them,
    answers::odd_streams,
    answers::answers_changed,
    answers::not_answered,
    answers::gave_up,
    environment::foreign_processes,
    environment::beside_engines,
    environment::busy_engine,
    environment::hidden_engine,
    environment::survivors,
];

/// Returns the doubts about one cell.
pub(crate) fn of_cell(
    evidence: &Evidence,
    counts: &Counts,
    distributions: &BTreeMap<MetricId, Distribution>,
    figures: &Figures,
) -> Vec<Caveat> {
    if counts.scheduled == 0 {
        return Vec::new();
    }
    let case = Case { evidence, counts, distributions, figures };
    CAVEATS.iter().filter_map(|raise| raise(&case)).collect()
}

/// Makes a caveat. The page of reports explains each.
pub(crate) fn caveat(
    code: &'static str,
    what: impl Into<Note>,
    advice: impl Into<Note>,
    metrics: &[MetricId],
) -> Caveat {
    debug_assert!(help::of_reports(code).is_some(), "`{code}` is not in reading_reports.md");
    Caveat {
        code: code.into(),
        what: what.into(),
        advice: advice.into(),
        metrics: metrics.to_vec(),
    }
}

/// Returns a number with its noun, which ends in `s` unless there is one.
fn counted(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

fn pct(share: f64) -> String {
    let pct = share * 100.0;
    if pct < 1.0 { format!("{pct:.2} %") } else { format!("{pct:.1} %") }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::distribution::Samples;
    use crate::metrics::engine_tokens::tests::counts as engine_counts;
    use crate::metrics::evidence::{AtLeast, Counts2, Lags, ProbeLoss};
    use crate::metrics::lengths::Lengths;
    use crate::metrics::request::{Burst, TpotBound};
    use crate::metrics::window::ToTheEnd;
    use crate::plan::cell::Until;
    use crate::record::request::Oddity;
    use crate::record::telemetry::{ProbeName, ProgramRecord};
    use crate::record::trial::{DatasetRecord, EngineTokens, OverSaturationRecord, Stalls};
    use crate::score::findings::Findings;
    use crate::stats::trend::Trend;
    use crate::units::Nanos;

    /// A trial with everything wrong at once.
    fn all_wrong() -> Evidence {
        let rising: Vec<f64> = (0..20).map(|i| 100.0 + 5.0 * f64::from(i)).collect();
        Evidence {
            n_sent: 1_000,
            n_late: 31,
            lags: Lags { send_p99_ms: Some(41.0), wake_p99_ms: Some(4.2), ..Lags::default() },
            client_cpu_max: Some(0.85),
            foreign_cpu_max: Some(0.3),
            busy_programs: (vec![busy_program()], Nanos::from_secs(9)),
            hidden_engine: Some("it belongs to another user".to_owned()),
            recorder_stalls: 3,
            stalls: Stalls {
                n: 2,
                total: Nanos::from_millis(4_100),
                longest: Nanos::from_secs(4),
                longest_from: Nanos::from_secs(9),
            },
            longest_stall: Some(("load".to_owned(), Nanos::from_secs(2))),
            steal_share_max: 0.05,
            drift_share_max: 0.02,
            n_ok: 900,
            clock_error_max: Nanos::from_millis(3),
            n_userspace: 900,
            n_gaps: 1_000,
            n_coalesced: 50,
            n_counted_events: 100,
            n_counted_tokens: 350,
            output_counts: Counts2 { engine: 100, tokenizer: 102 },
            prompt_counts: Counts2 { engine: 100, tokenizer: 80 },
            n_unknown: 7,
            tpot_bound: Some(TpotBound {
                least_ms: 8.89,
                most_ms: 40.0,
                n_open: 880,
                n_blocks: 0,
                n_fewer: 0,
            }),
            n_tpot_unseen: 12,
            n_bursts: 4,
            first_burst: Some(Burst {
                n_tokens: 199,
                within: Nanos::from_millis(5),
                after: Nanos::from_secs(1),
            }),
            n_truncated: 9,
            lengths: Lengths::of(9, 32, 10),
            is_natural: true,
            n_odd: 2,
            oddities: [(Oddity::NoDone, 1), (Oddity::ContentType, 2), (Oddity::FinishReason, 1)]
                .into(),
            finish_words: ["because".to_owned()].into(),
            dataset: Some(doubtful_rows()),
            prompts_repeat: true,
            ttft_trends: Trend::of(&rising).into_iter().collect(),
            n_unsteady_warm_ups: 1,
            warm_up: Counts {
                scheduled: 20,
                errors: BTreeMap::from([("status-500".to_owned(), 20)]),
                examples: BTreeMap::from([("status-500".to_owned(), "no room".to_owned())]),
                ..Counts::default()
            },
            to_the_end: Some(ToTheEnd::FewWaves),
            ran_out: Some((Nanos::from_millis(1_950), Nanos::from_secs(5))),
            partial_wave: Some((100, 80)),
            over_saturation: Some(only_grew()),
            at_least: Some(AtLeast { ttft_ms: [1_200.0, 4_800.0], e2e_ms: [1_300.0, 5_000.0] }),
            until: Some(Until { metric: "ttft.p50".to_owned(), half_width: 0.05 }),
            aborted: vec!["the engine died".to_owned()],
            stayed: (640, 1_000),
            n_trials: 1,
            foreign_gpu_processes: ["4711 python".to_owned()].into(),
            survivors: ["4712 worker".to_owned()].into(),
            memory_left_bytes: 3 << 30,
            n_gave_up: 1,
            repeats: (200, 6),
            engine_tokens: Some(engine_counts(120.0, 100.0)),
            beside: (["sglang".to_owned(), "vllm fp8".to_owned()].into(), 1),
            n_busy: 1,
            unanswered: (3, 100),
            findings: Findings::of_everything(),
            probes: BTreeMap::from([(
                ProbeName::Gpus,
                ProbeLoss { n_due: 15, n_missed: 7, n_dropped: 2, trials_gone: 1 },
            )]),
            counter_still_s: 12.0,
            wake_gap_max: Nanos::from_secs(5),
            ..Evidence::default()
        }
    }

    fn doubtful_rows() -> DatasetRecord {
        DatasetRecord {
            name: "questions".to_owned(),
            origin: "fixtures/datasets/word_problems.jsonl".to_owned(),
            fallback: Some("offline".to_owned()),
            sha256: String::new(),
            n_samples: 100,
            n_distinct: 90,
            n_looked_at: None,
            left_out: Vec::new(),
            changed: Vec::new(),
            trace: None,
            prompts_hash: String::new(),
            engine_tokens: vec![EngineTokens {
                row: 4,
                n: 12,
                front: Vec::new(),
                n_engine: 13,
                n_same: 5,
                begins_twice: false,
            }],
            n_shared_with_warm_up: 4,
        }
    }

    fn busy_program() -> ProgramRecord {
        let (name, cpu) = ("python3".to_owned(), Nanos::from_millis(5_400));
        ProgramRecord { pid: 123, name, cpu }
    }

    /// Returns a queue that only grew, and the begin and the end of its phase.
    fn only_grew() -> (OverSaturationRecord, Nanos, Nanos) {
        let found = OverSaturationRecord {
            since: Nanos::from_secs(11),
            until: Nanos::from_secs(21),
            n_due: 640,
            n_open_before: 30,
            n_open_after: 350,
        };
        (found, Nanos::from_secs(1), Nanos::from_secs(22))
    }

    #[test]
    fn every_doubt_is_told_with_its_measured_value_and_advice() {
        let counts = Counts {
            scheduled: 1_000,
            ok: 900,
            errors: BTreeMap::from([("status-500".to_owned(), 60), ("truncated".to_owned(), 30)]),
            examples: BTreeMap::from([("status-500".to_owned(), "out of memory".to_owned())]),
            cancelled: [("after-time", 4), ("deadline", 6), ("over-saturated", 8)]
                .map(|(cause, n)| (cause.to_owned(), n))
                .into(),
        };
        let few = {
            let mut few = Samples::default();
            (0..100).for_each(|i| few.push(f64::from(i)));
            few.distribution("ms", 0, None)
        };
        let mut figures = Figures::default();
        figures.set(MetricId::PrefixCacheHitRate, 66.7, 100, "");
        figures.set(MetricId::EngineLogThroughput, 80.0, 100, "");
        figures.set(MetricId::OutputThroughput, 100.0, 100, "");
        let distributions = BTreeMap::from([(MetricId::Ttft, few)]);
        let found = of_cell(&all_wrong(), &counts, &distributions, &figures);
        // A known hit rate takes the word from `prompts-repeat`.
        assert_eq!(found.len(), CAVEATS.len() - 1, "{found:#?}");
        for (i, caveat) in found.iter().enumerate() {
            assert!(found[..i].iter().all(|other| other.code != caveat.code), "{}", caveat.code);
            assert!(caveat.advice.ends_with('.'), "{}", caveat.advice);
        }
        let told: Vec<String> =
            found.iter().map(|caveat| format!("{}: {}", caveat.code, caveat.what)).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        unparsed: `strict` reads no answer in 60 of 100 items: row 5 ends "so 72"
        extractors-differ: `strict` and the second extractor judge 60 of 100 items differently: row 5 ends "so 72"
        thinking-graded: thinking stands in 60 of 100 answers, and an extractor reads it as answer: row 5 ends "so 72"
        answers-truncated: 60 of 100 answers were cut off or ended in their thinking, and are not correct: row 5 ends "so 72"
        wrong-by-format: 60 of 100 answers are wrong by format alone to `strict`: row 5 ends "so 72"
        late-sends: the generator fell behind: 3.1 % of requests left more than 5.00 ms late (p99 lag 41.0 ms)
        wake-lag: the sentinel woke 4.2 ms late at p99
        client-cpu: load threads were busy 85.0 % of the time
        recorder-stalled: 3 finished exchanges had to wait to be decoded and written
        stood-still: bench neither sent nor read for 4.10 s in all (2 times, the longest 4.00 s from 2.00 s into phase `load`): its records found no room
        suspended: bench did not run for 5.00 s
        steal: the hypervisor took 5.0 % of a CPU
        foreign-cpu: other programs used 30.0 % of all CPU time: python3 (pid 123) 60 % of a core
        wall-drift: the wall clock moved by 2.0 % against the monotonic clock
        client-clocks: the clocks of the clients that shared the load are known to 3.00 ms
        userspace-stamps: 900 of 900 answers were stamped by bench, not by the kernel
        coalesced: 5.0 % of chunks arrived in one read with the chunk before
        telemetry-lost: samples are missing: the GPUs' probe missed 7 of 15 samples and lost 2 on the way to the disk and did not come back in 1 trial
        energy-counter: a GPU's energy counter stood still for 12.0 s of the window
        failures: 90 of 1000 requests failed: 60 status-500 ("out of memory"), 30 truncated
        cancelled: bench ended 6 of 1000 requests: 6 by deadline
        cancelled-as-planned: `cancel-after` ended 4 of 1000 requests, as asked for
        over-saturated: the queue only grew, from 30 to 350: between 10.0 s and 20.0 s of the phase 64.0 requests per s were due and 32.0 answered; it was ended at 21.0 s; 8 requests without an answer; with them TTFT p50 at least 1200.0 ms, p99 4800.0 ms, E2E p50 at least 1300.0 ms, p99 5000.0 ms
        aborted: 1 trial ended early: the engine died
        went-on: 640 of 1000 answers come from an attempt that was interrupted: answers are of all, everything else is of the 360 behind it
        not-steady: not steady inside the window: TTFT changed by +64 % (p < 0.0001)
        warm-up-not-steady: the warm-up of 1 of 1 trials found no steady state
        warm-up-failed: 20 of 20 requests of the warm-up failed: 20 status-500 ("no room")
        ran-out: there was no more request to send after 1.95 s of 5.00 s
        no-steady-state: fewer than two waves of requests: there is no steady state, and ramp and drain are in the rates
        partial-wave: 100 requests at 80 at a time are 80 + 20: the last wave is not full
        n-too-small: 100 answers: p95 needs 130, p99 needs 662
        until-not-reached: TTFT p50 is known to 21.2 % at the cap of its phase, and 5.0 % was asked for
        single-trial: one trial: nothing is known of the spread between runs
        counts-differ: the tokenizer counts +2.0 % output tokens against the engine
        prompt-counts-differ: the tokenizer counts -20.0 % prompt tokens against the engine
        prompt-ids-differ: the engine's tokenizer reads 1 of 1 prompts in other tokens than the data set's: row 5 is 12 tokens, the engine's 13, and they part at token 6
        unknown-counts: 7 of 900 answers have no count of output tokens, and are in no rate of them
        multi-token-chunks: chunks hold 3.50 tokens in the mean
        tpot-bound: the tokenizer's tokens of chunks do not add up to the engine's count in 880 of 900 answers: the median TPOT may be up to 31.11 ms higher, between 8.89 and 40.00 ms
        tpot-unseen: no TPOT: bench looked late at the tokens of 12 of 900 answers
        late-burst: 4 of 900 answers came in one late burst, such as 199 tokens within 5.00 ms after 1.00 s of silence
        prefix-cache: 66.7 % of the prefix cache's lookups were hits
        engine-differs: the engine's counter says 120.0 tok/s where 100.0 arrived (+20 %)
        engine-log-differs: the engine's log says 80.0 tok/s where 100.0 arrived (-20 %)
        truncated: 9 of 900 answers were cut off at the length limit
        lengths-not-kept: 9 of 900 answers are shorter than asked: 10 tokens, not 32
        fallback: data set `questions` was not to be had (offline); fixtures/datasets/word_problems.jsonl was used
        duplicate-prompts: 10 of 100 rows repeat a prompt
        warm-up-shared: 4 rows were sent in the warm-up and measured again
        odd-streams: 2 of 1000 answers were odd: 2 wrong or no content type or coding, 1 no [DONE], 1 finish reasons outside the API's words ("because")
        answers-changed: 6 of 200 repeated questions got another answer than the first time
        not-answered: 3 of 100 items have no answer because their requests failed or were cancelled
        pattern-gave-up: a scoring pattern took too many steps on 1 text, counted as unparsed
        foreign-gpu-processes: foreign processes on the GPUs: 1, such as 4711 python
        beside-engines: 1 of 1 trials were measured beside other engines: sglang, vllm fp8
        engine-busy: the engine had open requests before or after 1 of 1 trials
        engine-hidden: the engine's processes cannot be seen: it belongs to another user
        survivors: the engine's stop left behind: 4712 worker, 3.00 GiB of device memory
        "#);
    }

    #[test]
    fn no_tokenizer_is_held_against_the_words_of_a_simulated_engine() {
        let counts = Counts { scheduled: 1_000, ok: 1_000, ..Counts::default() };
        let codes = |is_simulated: bool| {
            let evidence = Evidence { is_simulated, ..all_wrong() };
            let found = of_cell(&evidence, &counts, &BTreeMap::new(), &Figures::default());
            found.into_iter().filter(|it| it.code.ends_with("counts-differ")).count()
        };
        assert_eq!((codes(false), codes(true)), (2, 0));
    }

    #[test]
    fn rows_that_the_warm_up_had_too_are_no_doubt_where_each_prompt_has_its_own_salt() {
        let counts = Counts { scheduled: 1, ok: 1, ..Counts::default() };
        let is_told = |is_salted| {
            let evidence = Evidence { is_salted, ..all_wrong() };
            let found = of_cell(&evidence, &counts, &BTreeMap::new(), &Figures::default());
            found.iter().any(|caveat| caveat.code == "warm-up-shared")
        };
        assert!(is_told(false) && !is_told(true));
    }

    /// Twenty requests a second for six seconds, each answered in two: 80 of the 120 answers, and
    /// five sixths of their tokens, come inside the window.
    #[test]
    fn the_ramp_of_an_open_loop_is_told_where_it_takes_a_share_of_the_rates() {
        let told = |evidence: Evidence, n_inside: u64| {
            let mut figures = Figures::default();
            figures.set(MetricId::RequestThroughput, 13.3, n_inside, "");
            figures.set(MetricId::OutputThroughput, 1_600.0, 9_600, "");
            let mut tokens = Samples::default();
            (0..120).for_each(|_| tokens.push(96.0));
            let tokens = tokens.distribution("tokens", 0, None);
            let distributions = BTreeMap::from([(MetricId::OutputTokens, tokens)]);
            let counts = Counts { scheduled: 120, ok: 120, ..Counts::default() };
            let found = of_cell(&evidence, &counts, &distributions, &figures);
            found.into_iter().find(|it| it.code == "no-steady-state").map(|it| it.what)
        };
        let open = Evidence { n_trials: 3, begins_idle: true, ..Evidence::default() };
        assert_eq!(
            told(open.clone(), 80).unwrap(),
            "the window began with an idle engine, and answers ended behind it: request throughput \
             may be up to 33.3 % low, output throughput 16.7 %"
        );
        assert_eq!(told(open.clone(), 118), None);
        assert_eq!(told(Evidence { begins_idle: false, ..open.clone() }, 80), None);
        let capped = |n_late| Evidence { is_capped: true, n_sent: 120, n_late, ..open.clone() };
        assert_eq!(told(capped(110), 80), None, "a cap held the answers back");
        assert!(told(capped(12), 80).is_some(), "a cap that seldom held anything back");
        let rising = (0..20).map(|i| 100.0 + 5.0 * f64::from(i)).collect::<Vec<_>>();
        let ttft_trends = Trend::of(&rising).into_iter().collect();
        assert_eq!(told(Evidence { ttft_trends, ..open }, 80), None, "a queue is no ramp");
    }

    #[test]
    fn a_clean_cell_raises_no_doubt() {
        let mut ttft = Samples::default();
        (0..1_000).for_each(|i| ttft.push(f64::from(i)));
        let distributions = BTreeMap::from([(MetricId::Ttft, ttft.distribution("ms", 0, None))]);
        let counts = Counts { scheduled: 1_000, ok: 1_000, ..Counts::default() };
        let evidence = Evidence { n_trials: 3, n_sent: 1_000, n_ok: 1_000, ..Evidence::default() };
        let found = of_cell(&evidence, &counts, &distributions, &Figures::default());
        assert_eq!(found, []);
        let nothing =
            of_cell(&all_wrong(), &Counts::default(), &distributions, &Figures::default());
        assert_eq!(nothing, [], "a cell without a request has an outcome, not doubts");
    }
}
