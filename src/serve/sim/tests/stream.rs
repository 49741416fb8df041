//! Answers as sequences of events, fault by fault.

use crate::seed::Seed;
use crate::serve::sim::latency::{Distribution, LatencyModel};
use std::rc::Rc;

use crate::clock::Moment;
use crate::openai::body::{ChatChoice, Generation, UsageBody};
use crate::serve::sim::answer::Words;
use crate::serve::sim::args::{ResponseFaultArgs, UsageMode};
use crate::serve::sim::event::Identity;
use crate::serve::sim::response::Responses;
use crate::serve::sim::stream::{Answer, End, Next, Stream};
use crate::serve::sim::timeline::Pace;
use crate::serve::sim::timeline::Timeline;
use crate::serve::sim::truth::TruthRow;
use crate::units::Nanos;

const NOW: Moment = Moment { monotonic: Nanos(0), realtime: Nanos(0) };

fn stream(chat: bool, n_tokens: u32, itl: u64, faults: ResponseFaultArgs) -> Stream {
    let pace = Pace {
        latency: LatencyModel {
            ttft: Distribution::Constant(Nanos(50)),
            itl: Distribution::Constant(Nanos(itl)),
            prefill_per_token: Nanos(1),
        },
        timeline: Timeline { epoch: Nanos::ZERO, stalls: None },
        rng: Seed(0).stream("test"),
        n_prefilled: 5,
    };
    let answer = Answer {
        identity: Identity { chat, id: "x-1".into(), created: 1, model: "sim".into() },
        words: Words::Filler(0),
        n_tokens,
        finish_reason: "length",
        n_prompt: 5,
        n_cached: 0,
        wants_usage: true,
        wants_continuous_usage: faults.token_ids,
    };
    Stream::new(answer, Rc::new(faults), false, pace, Nanos(1_000))
}

/// Returns the instants at which something was written, the texts of the answer's
/// events, everything written, and the end.
fn play(mut stream: Stream) -> (Vec<u64>, String, End) {
    let mut times = Vec::new();
    let mut out = Vec::new();
    for _ in 0..1_000 {
        times.push(stream.due().0);
        if let Next::Ended(end) =
            stream.emit(NOW, &TruthRow::default(), Responses::default(), &mut out)
        {
            return (times, String::from_utf8_lossy(&out).into_owned(), end);
        }
    }
    (times, String::from_utf8_lossy(&out).into_owned(), End::Silence)
}

fn count(text: &str, pattern: &str) -> usize {
    text.matches(pattern).count()
}

fn faults(edit: impl FnOnce(&mut ResponseFaultArgs)) -> ResponseFaultArgs {
    let mut faults = ResponseFaultArgs { multi_token_chunk: 1, ..ResponseFaultArgs::default() };
    edit(&mut faults);
    faults
}

#[test]
fn tokens_are_due_after_prefill_and_then_one_by_one() {
    let (times, text, end) = play(stream(false, 3, 10, faults(|_| {})));
    assert_eq!((times, end), (vec![1_000, 1_055, 1_065, 1_075], End::Complete));
    assert_eq!(count(&text, "\"text\":"), 3);
    assert_eq!(count(&text, "\"finish_reason\":\"length\""), 1);
    assert!(text.contains("\"completion_tokens\":3,\"total_tokens\":8"), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
}

#[test]
fn tokens_that_are_due_together_share_a_write() {
    let (times, text, _) = play(stream(true, 128, 0, faults(|_| {})));
    assert_eq!(times, [1_000, 1_055]);
    assert_eq!(count(&text, "\"content\":\" "), 128);
    assert_eq!(count(&text, "\"role\":\"assistant\""), 1);
}

#[test]
fn a_step_of_several_tokens_takes_as_long_as_they_do_alone() {
    let (times, text, _) = play(stream(false, 7, 10, faults(|f| f.multi_token_chunk = 3)));
    assert_eq!(times, [1_000, 1_055, 1_085, 1_095]);
    assert_eq!(count(&text, "\"text\":\""), 3);
}

#[test]
fn an_event_says_its_tokens_as_it_is_asked_to() {
    let asked = stream(
        true,
        5,
        10,
        faults(|f| {
            f.multi_token_chunk = 2;
            f.token_ids = true;
        }),
    );
    let (times, text, _) = play(asked);
    assert_eq!(times, [1_000, 1_055, 1_075, 1_085]);
    for ids in ["\"token_ids\":[0,1]}],\"usage\"", "\"token_ids\":[2,3]}]", "\"token_ids\":[4]}]"] {
        assert_eq!(count(&text, ids), 1, "{ids} in {text}");
    }
    for n in [2, 4] {
        assert_eq!(count(&text, &format!("\"completion_tokens\":{n},")), 1, "{text}");
    }
}

#[test]
fn a_late_burst_comes_when_its_last_token_is_due() {
    let (times, text, end) = play(stream(true, 5, 10, faults(|f| f.late_burst = true)));
    assert_eq!((times, end), (vec![1_000, 1_095], End::Complete));
    assert_eq!(count(&text, "\"content\":\" "), 5);
}

#[test]
fn reasoning_comes_first_and_shares_no_event_with_the_answer() {
    let (_, text, _) = play(stream(
        true,
        6,
        10,
        faults(|f| {
            f.reasoning_first = 3;
            f.multi_token_chunk = 2;
        }),
    ));
    assert_eq!(count(&text, "\"reasoning_content\":\" "), 2);
    assert_eq!(count(&text, "\"content\":\" "), 2);
    assert!(text.contains("\"reasoning_tokens\":3"));
}

#[test]
fn faults_strike_before_their_event() {
    let check = |edit: fn(&mut ResponseFaultArgs), n_events: usize, expected: End| {
        let (_, text, end) = play(stream(false, 5, 10, faults(edit)));
        assert_eq!((count(&text, "\"text\":"), end), (n_events, expected));
    };
    check(|f| f.stall_at = Some(0), 0, End::Silence);
    check(|f| f.rst_at = Some(2), 2, End::Reset);
    check(|f| f.fin_at = Some(4), 4, End::Cut);
    check(|f| f.error_event_at = Some(1), 1, End::Complete);
    check(|f| f.empty_200 = true, 0, End::Complete);
    check(|f| f.rst_at = Some(5), 5, End::Complete);
}

#[test]
fn streams_end_with_as_many_done_as_asked() {
    let check = |edit: fn(&mut ResponseFaultArgs), expected| {
        assert_eq!(count(&play(stream(false, 2, 0, faults(edit))).1, "[DONE]"), expected);
    };
    check(|_| {}, 1);
    check(|f| f.no_done = true, 0);
    check(|f| f.dup_done = true, 2);
}

#[test]
fn usage_can_be_missing_or_wrong() {
    let check = |usage, expected: &str, found: bool| {
        let (_, text, _) = play(stream(false, 2, 0, faults(|f| f.usage = usage)));
        assert_eq!(text.contains(expected), found, "{text}");
    };
    check(UsageMode::None, "\"usage\"", false);
    check(UsageMode::Last, "\"completion_tokens\":2", true);
    check(UsageMode::Lie, "\"completion_tokens\":9", true);
}

#[test]
fn an_endless_stream_never_ends_and_a_huge_line_has_its_size() {
    let (times, ..) = play(stream(false, 2, 10, faults(|f| f.endless = true)));
    assert_eq!(times.len(), 1_000);
    let (_, text, end) = play(stream(false, 2, 10, faults(|f| f.huge_line = Some(3))));
    assert_eq!(end, End::Complete);
    assert!(count(&text, "a") > 3_000_000 && count(&text, "\"text\":") == 2);
}

#[test]
fn framing_faults_are_on_the_wire() {
    let text = play(stream(false, 2, 0, faults(|f| f.crlf = true))).1;
    assert!(text.contains("}\r\n\r\n\r\n") && !text.contains("}\n\n"));
    assert!(play(stream(false, 2, 0, faults(|f| f.bom = true))).1.contains("\u{feff}"));
    assert!(play(stream(false, 2, 0, faults(|f| f.bad_utf8 = true))).1.contains('\u{fffd}'));
    let text = play(stream(false, 2, 0, faults(|f| f.bad_json = true))).1;
    assert!(text.contains("\"text\": \n\n"), "{text}");
}

#[test]
fn an_answer_that_is_not_streamed_is_due_with_its_last_token() {
    let (due, body, n_tokens) = stream(true, 4, 10, faults(|_| {})).into_whole();
    assert_eq!((due, n_tokens), (Nanos(1_085), 4));
    let body: Generation<ChatChoice> = serde_json::from_slice(&body).unwrap();
    assert_eq!(body.choices[0].message.content.as_deref(), Some(" the light of an"));
    assert_eq!(body.usage, Some(UsageBody::new(5, 4, 0)));
}
