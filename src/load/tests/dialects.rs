//! Tests of deviations from the API that engines and proxies make: they are read, and recorded.

use crate::load::recorder::decode::Decoding;
use crate::load::recorder::outcome::{Asked, judge};
use crate::load::spec::Limits;
use crate::load::transport::client::{Ending, Head, Stamp};
use crate::load::transport::exchange::{Block, Signals};
use crate::record::request::{Oddity, Outcome, RequestError, StampSource, Usage};
use crate::units::Nanos;

const GOOD: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"4"}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}

data: [DONE]

"#;

/// The result of a response.
#[derive(Debug, PartialEq)]
struct Read {
    outcome: Outcome,
    text: String,
    reasoning: String,
    usage: Option<Usage>,
    finish: Option<String>,
    logprobs: Vec<f32>,
    oddities: Vec<Oddity>,
    stamps: Vec<u64>,
    tokens: Vec<u32>,
}

/// Reads a body in pieces, the `i`th of which came at `i + 1`.
fn read_pieces(stream: bool, content_type: &str, pieces: &[&[u8]]) -> Read {
    let (content_type, content_encoding) = (content_type.to_owned(), String::new());
    let head = Head { status: 200, content_type, content_encoding, location: String::new() };
    read_response(stream, None, head, pieces)
}

fn read_response(stream: bool, max_tokens: Option<u32>, head: Head, pieces: &[&[u8]]) -> Read {
    let mut decoding = Decoding::new(stream, true, false, Limits::default());
    decoding.head = Some(head);
    for (i, piece) in pieces.iter().enumerate() {
        let mut block = Block::default();
        let at = Nanos(i as u64 + 1);
        block.push(piece, Stamp { at, since: at, source: StampSource::Kernel });
        decoding.feed(&block, max_tokens, &Signals::default());
    }
    decoding.finish(Nanos(pieces.len() as u64 + 1), true);
    let head = decoding.head.clone();
    let asked = Asked { stream, no_done: false };
    let outcome = judge(&Ending::Complete, head.as_ref(), &mut decoding.answer, asked);
    let answer = decoding.answer;
    Read {
        outcome,
        text: answer.text,
        reasoning: answer.reasoning,
        usage: answer.usage,
        finish: answer.finish,
        logprobs: answer.logprobs,
        oddities: answer.oddities,
        stamps: answer.events.iter().map(|(at, _)| at.0).collect(),
        tokens: answer.events.tokens,
    }
}

/// Reads a stream whole and byte by byte. The result must not depend on where the network cuts.
fn read(body: &str) -> Read {
    let whole = read_pieces(true, "text/event-stream", &[body.as_bytes()]);
    let single: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    let cut = read_pieces(true, "text/event-stream", &single);
    let stamps = whole.stamps.clone();
    assert_eq!(Read { stamps, ..cut }, whole, "{body}");
    whole
}

fn ok(body: &str, text: &str, oddities: &[Oddity]) -> Read {
    let found = read(body);
    let told = (&found.outcome, found.text.as_str(), &found.oddities[..]);
    assert_eq!(told, (&Outcome::Ok, text, oddities), "{body}");
    found
}

/// Checks the streams that a change to the content of the one token event makes.
fn content(json: &str, text: &str, oddities: &[Oddity]) {
    ok(&GOOD.replace("\"4\"", json), text, oddities);
}

fn usage(prompt: impl Into<Option<u32>>, completion: impl Into<Option<u32>>) -> Usage {
    let (prompt, completion) = (prompt.into(), completion.into());
    Usage { prompt, completion, ..Usage::default() }
}

#[test]
fn a_good_stream_has_nothing_odd() {
    let found = ok(GOOD, "4", &[]);
    assert_eq!((found.usage, found.finish.as_deref()), (Some(usage(9, 2)), Some("stop")));
}

#[test]
fn a_content_type_is_not_believed() {
    for kind in ["", "application/json", "text/plain", "application/octet-stream", "text/html"] {
        let found = read_pieces(true, kind, &[GOOD.as_bytes()]);
        let told = (found.outcome, found.text, found.oddities);
        assert_eq!(told, (Outcome::Ok, "4".to_owned(), vec![Oddity::ContentType]), "{kind}");
    }
    for first in ["id: 1\n", "retry: 3\n", ": hi\n\n", "event: message\n", "\u{feff}"] {
        let body = first.to_owned() + GOOD;
        let found = read_pieces(true, "", &[body.as_bytes()]);
        assert_eq!((found.outcome, found.text.as_str()), (Outcome::Ok, "4"), "{first}");
    }
}

#[test]
fn events_without_blank_lines_keep_their_own_stamps() {
    let one = GOOD.replace("\n\n", "\n");
    ok(&one, "4", &[Oddity::BlankLine]);
    ok(&one.replace('\n', "\r\n"), "4", &[Oddity::BlankLine]);
    ok(&one.replace("data: {", "id: 1\ndata: {"), "4", &[Oddity::BlankLine]);
    let lines: Vec<&[u8]> = one.split_inclusive('\n').map(str::as_bytes).collect();
    assert_eq!(read_pieces(true, "text/event-stream", &lines).stamps, [1, 2, 3]);
    // A chunk in several lines conforms to the standard, and stays one chunk.
    let lines = GOOD.replace("{\"choices\":[", "{\ndata:\"choices\":[\ndata: ");
    ok(&lines, "4", &[]);
}

#[test]
fn every_spelling_of_the_end_marker_ends_the_stream() {
    for end in
        ["[DONE] ", "  [DONE]", "[done]", "[Done]", "\"[DONE]\"", "'[DONE]'", "DONE", "[ DONE ]"]
    {
        ok(&GOOD.replace("[DONE]", end), "4", &[Oddity::EndMarker]);
    }
    for end in ["[END]", "<EOS>", "[FINISHED]"] {
        ok(&GOOD.replace("[DONE]", end), "4", &[Oddity::EndMarker]);
        // Before a finish reason it is a word as any other.
        ok(&format!("data: {end}\n\n{GOOD}"), "4", &[Oddity::StrayText]);
    }
    ok(&GOOD.replace("[DONE]", "[DO"), "4", &[Oddity::StrayText, Oddity::NoDone]);
    ok(&GOOD.replace("data: [DONE]", "data:[DONE]"), "4", &[]);
    ok(&GOOD.replace("data: [DONE]", "[DONE]"), "4", &[Oddity::Unframed]);
    ok(GOOD.trim_end(), "4", &[]);
}

#[test]
fn keep_alives_in_any_form_do_no_harm() {
    for (alive, oddities) in [
        (": keep-alive\n\n", &[][..]),
        ("\n\n\n", &[]),
        ("event: ping\ndata: {\"type\":\"ping\"}\n\n", &[Oddity::KeepAlive]),
        ("data: {}\n\n", &[Oddity::KeepAlive]),
        ("data:\n\n", &[Oddity::KeepAlive]),
        ("data: \n\n", &[Oddity::KeepAlive]),
        ("data: null\n\n", &[Oddity::KeepAlive]),
        ("data: []\n\n", &[Oddity::KeepAlive]),
        ("data: ping\n\n", &[Oddity::KeepAlive]),
        ("data: [keep-alive]\n\n", &[Oddity::KeepAlive]),
        ("data: \"heartbeat\"\n\n", &[Oddity::KeepAlive]),
        ("data: OPENROUTER PROCESSING\n\n", &[Oddity::KeepAlive]),
        ("data: [NOOP]\n\n", &[Oddity::KeepAlive]),
        ("data: .\n\n", &[Oddity::KeepAlive]),
        ("data: {\"code\":102,\"message\":\"processing\"}\n\n", &[Oddity::KeepAlive]),
        ("data: {\"detail\":\"position 3 in queue\"}\n\n", &[Oddity::KeepAlive]),
        ("ping\n\n", &[Oddity::Unframed, Oddity::KeepAlive]),
        ("error: null\n\n", &[Oddity::Unframed, Oddity::KeepAlive]),
        ("error:\n\n", &[Oddity::Unframed, Oddity::KeepAlive]),
        ("x-error-count: 0\n", &[Oddity::Unframed, Oddity::KeepAlive]),
    ] {
        ok(&(alive.to_owned() + GOOD), "4", oddities);
        let (token, end) = GOOD.split_once("\n\n").unwrap();
        ok(&format!("{token}\n\n{alive}{end}"), "4", oddities);
    }
}

#[test]
fn text_is_read_in_whatever_form_it_comes() {
    content(r#"[{"type":"text","text":"4"}]"#, "4", &[Oddity::TextForm]);
    content(r#"["4","2"]"#, "42", &[Oddity::TextForm]);
    content(r#"{"text":"4"}"#, "4", &[Oddity::TextForm]);
    content("4", "4", &[Oddity::TextForm]);
    content("-4.5", "-4.5", &[Oddity::TextForm]);
    content(r#""4","role":null,"tool_calls":null,"refusal":3"#, "4", &[]);
    content(r#"null,"refusal":"no""#, "no", &[]);
    let found =
        ok(&GOOD.replace("\"content\":\"4\"", "\"content\":\"4\",\"thinking\":\"hm\""), "4", &[]);
    assert_eq!(found.reasoning, "hm");
    let nulls = GOOD.replace("\"4\"", "null");
    assert_eq!(read(&nulls).outcome, Outcome::Error(RequestError::Empty));
    let thinking = r#"[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"4"}]"#;
    let found = ok(&GOOD.replace("\"4\"", thinking), "4", &[Oddity::TextForm]);
    assert_eq!(found.reasoning, "hm");
}

#[test]
fn halves_of_surrogate_pairs_are_joined_or_replaced() {
    content(r#""4\ud83d""#, "4\u{fffd}", &[Oddity::Surrogate]);
    content(r#""\ude004""#, "\u{fffd}4", &[Oddity::Surrogate]);
    let two = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\ud83d\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ude00\"}}]}\n\n";
    let three = GOOD.replace("\"completion_tokens\":2", "\"completion_tokens\":3");
    ok(&(two.to_owned() + &three), "a\u{1f600}4", &[Oddity::Surrogate]);
    content("\"4\u{1}\"", "4\u{1}", &[Oddity::Json]);
    let body = GOOD.replace("\"4\"", "\"4?\"").replace('?', "\u{0}");
    let raw: Vec<u8> = body.bytes().map(|byte| if byte == 0 { 0xff } else { byte }).collect();
    let found = read_pieces(true, "text/event-stream", &[&raw]);
    assert_eq!((found.outcome, found.text.as_str()), (Outcome::Ok, "4\u{fffd}"));
    assert_eq!(found.oddities, [Oddity::Utf8]);
}

#[test]
fn numbers_that_are_none_cost_their_field_alone() {
    for number in ["NaN", "Infinity", "-Infinity", "nan", "-inf"] {
        content(&format!("\"4\",\"x\":{number}"), "4", &[Oddity::Number]);
    }
    let logprobs = |values: &[&str]| {
        let event = |value: &&str| {
            let token = format!("{{\"token\":\"a\",\"logprob\":{value}}}");
            let logprobs = format!("\"logprobs\":{{\"content\":[{token}]}}");
            let delta = "\"delta\":{\"content\":\"a\"}";
            format!("data: {{\"choices\":[{{\"index\":0,{delta},{logprobs}}}]}}\n\n")
        };
        let events = values.iter().map(event).collect::<Vec<_>>().concat();
        read(&(events + GOOD))
    };
    assert_eq!(logprobs(&["-0.5", "-1.5"]).logprobs, [-0.5, -1.5]);
    for bad in ["null", "NaN", "-Infinity", "\"x\"", "1e300"] {
        let found = logprobs(&["-0.5", bad]);
        assert_eq!((&found.outcome, found.text.as_str()), (&Outcome::Ok, "aa4"), "{bad}");
        assert_eq!(found.logprobs, [0.0; 0], "those left would stand beside other tokens");
        assert!(found.oddities.contains(&Oddity::Number), "{bad}");
    }
}

#[test]
fn the_only_choice_is_read_whatever_its_index() {
    for index in
        ["", "\"index\":1,", "\"index\":null,", "\"index\":\"0\",", "\"index\":-1,", "\"index\":7,"]
    {
        let found = ok(&GOOD.replace("\"index\":0,", index), "4", &[Oddity::ChoiceIndex]);
        assert_eq!(found.finish.as_deref(), Some("stop"), "{index}");
    }
    ok(&GOOD.replacen("\"index\":0,", "\"index\":2,", 1), "4", &[Oddity::ChoiceIndex]);
    // A second choice between the first choice's chunks is another answer.
    let other = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"},\"finish_reason\":\"length\"}]}\n\n";
    let (token, end) = GOOD.split_once("\n\n").unwrap();
    let found = ok(&format!("{token}\n\n{other}{end}"), "4", &[Oddity::ChoiceIndex]);
    assert_eq!(found.finish.as_deref(), Some("stop"));
    let both = GOOD.replace("\"4\"}}", "\"4\"}},{\"index\":1,\"delta\":{\"content\":\"no\"}}");
    ok(&both, "4", &[Oddity::ChoiceIndex]);
    let one = GOOD.replace("[{\"index\"", "{\"index\"").replace("\"}}]}", "\"}}}");
    ok(&one.replace("\"stop\"}]", "\"stop\"}"), "4", &[Oddity::Field]);
}

#[test]
fn a_field_of_another_type_is_dropped_alone() {
    content(r#""4"},"logprobs":{"content":[]"#, "4", &[]);
    content(r#""4"},"token_ids":7,"x":{"#, "4", &[Oddity::Field]);
    content(r#""4","content":"5""#, "5", &[]);
    ok(
        &GOOD.replace("\"finish_reason\":\"stop\"", "\"finish_reason\":{\"type\":\"stop\"}"),
        "4",
        &[Oddity::FinishReason],
    );
}

#[test]
fn counts_that_were_not_sent_stay_unknown() {
    let check = |body: &str, expected: Option<Usage>| {
        let found = read(&GOOD.replace(r#"{"prompt_tokens":9,"completion_tokens":2}"#, body));
        assert_eq!((&found.outcome, found.usage), (&Outcome::Ok, expected), "{body}");
        assert_eq!(found.oddities.contains(&Oddity::Usage), body != "null", "{body}");
    };
    check("null", None);
    check("{}", None);
    check(r#"{"input_tokens":9,"output_tokens":2}"#, Some(usage(9, 2)));
    check(r#"{"promptTokens":9,"completionTokens":2}"#, Some(usage(9, 2)));
    check(r#"{"prompt_tokens":9}"#, Some(usage(9, None)));
    check(r#"{"completion_tokens":2,"prompt_tokens":null}"#, Some(usage(None, 2)));
    check(r#"{"prompt_tokens":null,"completion_tokens":null}"#, None);
    check(r#"{"prompt_tokens":0,"completion_tokens":0}"#, None);
    check(r#"{"prompt_tokens":"9","completion_tokens":2.0}"#, Some(usage(9, 2)));
    check(r#"{"prompt_tokens":-1,"completion_tokens":2.5}"#, None);
    check(r#"{"prompt_tokens":NaN,"completion_tokens":2}"#, Some(usage(None, 2)));
    check(r#"{"prompt_tokens":9,"completion_tokens":1e999}"#, Some(usage(9, None)));
    check("[]", None);
}

#[test]
fn a_later_and_emptier_usage_takes_nothing_away() {
    let more = |usage: &str| {
        let later = format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]");
        read(&GOOD.replace("data: [DONE]", &later))
    };
    for later in
        ["{}", "null", r#"{"prompt_tokens":0,"completion_tokens":0}"#, r#"{"prompt_tokens":null}"#]
    {
        assert_eq!(more(later).usage, Some(usage(9, 2)), "{later}");
    }
    assert_eq!(more(r#"{"prompt_tokens":9,"completion_tokens":3}"#).usage, Some(usage(9, 3)));
    let in_choice = GOOD
        .replace("\"finish_reason\":\"stop\"}],\"usage\"", "\"finish_reason\":\"stop\",\"usage\"")
        .replace("\"completion_tokens\":2}}", "\"completion_tokens\":2}}]}");
    assert_eq!(read(&in_choice).usage, Some(usage(9, 2)));
}

/// Returns what is read of a stream of 20 tokens, each with fields of its own, and of its end.
fn twenty(fields: impl Fn(usize) -> String, end: &str) -> Read {
    let token = |i| {
        let delta = "\"delta\":{\"content\":\"a\"}";
        format!("data: {{\"choices\":[{{\"index\":0,{delta}}}]{}}}\n\n", fields(i))
    };
    let tokens: String = (0..20).map(token).collect();
    let stop = "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]";
    let found = read(&format!("{tokens}data: {{{stop}{end}}}\n\ndata: [DONE]\n\n"));
    assert_eq!(found.outcome, Outcome::Ok);
    found
}

fn count(completion: usize) -> String {
    format!(",\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":{completion}}}")
}

#[test]
fn a_count_that_tokens_followed_is_not_of_all_tokens() {
    let none = String::new;
    let check = |found: &Read, completion: Option<u32>, oddities: &[Oddity]| {
        let told = (found.usage.unwrap().completion, &found.oddities[..]);
        assert_eq!(told, (completion, oddities), "{found:?}");
    };
    let odd = &[Oddity::Usage][..];
    check(&twenty(|_| count(1), ""), None, odd);
    check(&twenty(|_| count(1), &count(1)), None, odd);
    check(&twenty(|i| count(1 + i % 2), &count(0)), None, odd);
    check(&twenty(|i| if i == 0 { count(1) } else { none() }, ""), None, odd);
    check(&twenty(|i| if i < 10 { count(i + 1) } else { none() }, ""), None, odd);
    check(&twenty(|i| count(i + 1), &count(5)), Some(20), odd);
    // Counts of single events are followed by one of all.
    check(&twenty(|_| count(1), &count(20)), Some(20), &[]);
    check(&twenty(|i| count(i + 1), ""), Some(20), &[]);
    check(&twenty(|_| none(), &count(21)), Some(21), &[]);
    // Text was cut in parts, or the count is wrong: it is told.
    check(&twenty(|_| none(), &count(7)), Some(7), odd);
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}],\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}\n\n";
    let found = read(&(role.to_owned() + &GOOD.replace(",\"completion_tokens\":2", "")));
    assert_eq!(found.usage, Some(usage(9, None)));
}

#[test]
fn reasoning_that_came_with_the_answer_is_not_counted_twice() {
    let end = |total: u32| {
        let apart = r#""completion_tokens_details":{"reasoning_tokens":4}"#;
        let counts =
            format!("\"prompt_tokens\":9,\"completion_tokens\":20,\"total_tokens\":{total}");
        format!(",\"usage\":{{{counts},{apart}}}")
    };
    let completion = |total: u32, thinks: usize| {
        let token = |i: usize| {
            let name = if i < thinks { "reasoning_content" } else { "content" };
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"{name}\":\"a\"}}}}]}}\n\n")
        };
        let tokens: String = (0..20).map(token).collect();
        let stop = "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]";
        let found = read(&format!("{tokens}data: {{{stop}{}}}\n\ndata: [DONE]\n\n", end(total)));
        let is_odd = found.oddities.contains(&Oddity::Usage);
        (found.usage.unwrap().completion.unwrap(), is_odd)
    };
    assert_eq!(completion(29, 4), (20, false));
    // The total has four more, and the twenty that came hold the reasoning: they are prompt tokens.
    assert_eq!(completion(33, 4), (20, true));
    // None of the reasoning came: it may be counted apart, and that is told.
    assert_eq!(completion(33, 0), (24, true));
}

#[test]
fn tokens_of_events_that_contradict_the_count_are_dropped() {
    let with_ids = |in_first: usize, end: &str| {
        let ids = move |i| vec!["1"; if i == 0 { in_first } else { 1 }].join(",");
        let token = |i| {
            let ids = ids(i);
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"text\":\"a\",\"token_ids\":[{ids}]}}]}}\n\n"
            )
        };
        let tokens: String = (0..20).map(token).collect();
        read(&(tokens + &GOOD.replace("\"content\":\"4\"", "").replace(&count(2), end)))
    };
    let found = with_ids(10, &count(20));
    assert_eq!((found.tokens, found.oddities), (vec![], vec![Oddity::Usage]));
    let found = with_ids(1, &count(21));
    assert_eq!((found.tokens[..20].to_vec(), found.oddities), (vec![1; 20], vec![]));
    assert_eq!(with_ids(10, "").tokens[0], 10);
}

#[test]
fn a_count_far_above_what_was_asked_for_is_not_believed() {
    let check = |max_tokens: u32, counts: &str, expected: Usage| {
        let body = GOOD.replace("\"completion_tokens\":2", counts);
        let (content_type, content_encoding) = ("text/event-stream".to_owned(), String::new());
        let head = Head { status: 200, content_type, content_encoding, location: String::new() };
        let found = read_response(true, Some(max_tokens), head, &[body.as_bytes()]);
        assert_eq!((found.outcome, found.usage), (Outcome::Ok, Some(expected)), "{counts}");
        assert_eq!(found.oddities.contains(&Oddity::Usage), expected.completion.is_none());
    };
    check(32, "\"completion_tokens\":4294967295", usage(9, None));
    check(32, "\"completion_tokens\":257", usage(9, None));
    check(32, "\"completion_tokens\":34", usage(9, 34));
    check(200, "\"completion_tokens\":401", usage(9, None));
    // Hidden tokens of reasoning may not be in what was asked for.
    let hidden = r#""completion_tokens":900,"completion_tokens_details":{"reasoning_tokens":870}"#;
    check(32, hidden, Usage { reasoning: Some(870), ..usage(9, 900) });
    let prompt = r#""completion_tokens":2,"prompt_tokens":4294967295"#;
    let found = read(&GOOD.replace(r#""prompt_tokens":9,"completion_tokens":2"#, prompt));
    assert_eq!((found.usage, found.oddities), (Some(usage(None, 2)), vec![Oddity::Usage]));
}

#[test]
fn a_content_coding_is_judged_by_the_body() {
    let read = |coding: &str, body: &[u8]| {
        let (content_type, content_encoding) = ("text/event-stream".to_owned(), coding.to_owned());
        let head = Head { status: 200, content_type, content_encoding, location: String::new() };
        let found = read_response(true, None, head, &[body]);
        (found.outcome, found.oddities)
    };
    for coding in ["none", "utf-8", "gzip"] {
        let odd = vec![Oddity::ContentType];
        assert_eq!(read(coding, GOOD.as_bytes()), (Outcome::Ok, odd), "{coding}");
    }
    let unread = Outcome::Error(RequestError::Protocol(
        "content-encoding gzip was not asked for".to_owned(),
    ));
    assert_eq!(read("gzip", b"\x1f\x8b\x08\x00{\n\n").0, unread);
}

#[test]
fn events_that_were_framed_twice_are_read() {
    let twice = GOOD.replace("data: ", "data: data: ");
    ok(&twice, "4", &[Oddity::FieldName]);
    ok(&twice.replace("data: data: ", "data: data:data: "), "4", &[Oddity::FieldName]);
}

#[test]
fn what_came_in_parts_and_comes_again_whole_is_left_out() {
    let part =
        |delta: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
    let whole = |message: &str| {
        let usage = "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}";
        format!(
            "data: {{\"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\"message\":{message},\
             \"finish_reason\":\"stop\"}}],{usage}}}\n\ndata: [DONE]\n\n"
        )
    };
    let check = |parts: &[&str], message: &str, expected: (&str, &str), is_again: bool| {
        let parts: String = parts.iter().map(|delta| part(delta)).collect();
        let found = read(&(parts + &whole(message)));
        assert_eq!(found.outcome, Outcome::Ok, "{message}");
        assert_eq!((found.text.as_str(), found.reasoning.as_str()), expected, "{message}");
        assert_eq!((found.usage, found.finish.as_deref()), (Some(usage(9, 2)), Some("stop")));
        assert_eq!(found.oddities.contains(&Oddity::Repeated), is_again, "{message}");
    };
    let content = r#"{"content":"4 2"}"#;
    check(&[r#"{"content":"4"}"#, r#"{"content":" 2"}"#], content, ("4 2", ""), true);
    let both = r#"{"content":"4 2","reasoning_content":"hm"}"#;
    let reasoning = r#"{"reasoning_content":"hm"}"#;
    check(&[reasoning, r#"{"content":"4 2"}"#], both, ("4 2", "hm"), true);
    // Nothing of the answer had come.
    check(&[reasoning], both, ("4 2", "hm"), true);
    check(&[reasoning], content, ("4 2", "hm"), false);
    check(&[], both, ("4 2", "hm"), false);
    // Some servers call every part a message.
    let messages = GOOD.replace("\"delta\"", "\"message\"");
    let (first, _) = messages.split_once("\n\n").unwrap();
    ok(&format!("{first}\n\n{messages}"), "44", &[]);
    // The event that repeats is no token event: nothing is counted for it.
    let ids = |n| format!("{{\"choices\":[{{\"index\":0,\"text\":\"a\",\"token_ids\":[{n}]}}]}}");
    let body = format!("data: {}\n\ndata: {}\n\n{}", ids("1,2"), ids("3"), whole(content));
    assert_eq!(read(&body).tokens, [2, 1, 0, 0]);
}

#[test]
fn messages_that_hold_all_the_text_so_far_are_read_once() {
    let frame = |message: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"message\":{message}}}]}}\n\n")
    };
    let content = |text: &str| frame(&format!("{{\"content\":\"{text}\"}}"));
    let (_, end) = GOOD.split_once("\n\n").unwrap();
    let counted = |n: u32| end.replace("tokens\":2", &format!("tokens\":{n}"));
    let frames = [content("4"), content("4 2"), content("4 2")].concat();
    ok(&(frames + &counted(2)), "4 2", &[Oddity::Repeated]);
    // The thoughts come again with the text behind them.
    let thinking =
        |text: &str| frame(&format!("{{\"content\":\"{text}\",\"reasoning_content\":\"hm\"}}"));
    let frames = [thinking(""), thinking("4"), thinking("42")].concat();
    let found = ok(&(frames + &counted(3)), "42", &[Oddity::Repeated]);
    assert_eq!(found.reasoning, "hm");
    // Parts may begin like the text before them.
    let frames = [content("4"), content("44"), content("."), content("44.44")].concat();
    ok(&(frames + &counted(4)), "444.44.44", &[]);
    // A text beside the last delta repeats them all.
    let deltas = GOOD.replace("\"delta\":{},", "\"delta\":{},\"text\":\"4\",");
    ok(&deltas, "4", &[Oddity::Repeated]);
}

#[test]
fn the_last_finish_reason_counts_where_text_came_behind_one() {
    let (token, end) = GOOD.split_once("\n\n").unwrap();
    let stopped = token.replace("}}]}", "},\"finish_reason\":\"stop\"}]}") + "\n\n";
    let end = end.replace("stop", "length");
    let finish = |body: &str| read(body).finish.unwrap();
    assert_eq!(finish(&(stopped.clone() + &stopped + &end)), "length");
    assert_eq!(finish(&(stopped + &end)), "stop");
}

#[test]
fn an_answer_that_ends_as_it_should_had_no_error_that_was_only_guessed() {
    let (token, end) = GOOD.split_once("\n\n").unwrap();
    for guess in [
        r#"{"choices":[],"stats":{"errors":3}}"#,
        r#"{"choices":[],"state":"failover"}"#,
        r#"{"type":"tool.cancelled"}"#,
        r#"{"code":500,"message":"one worker is gone"}"#,
    ] {
        ok(&format!("{token}\n\ndata: {guess}\n\n{end}"), "4", &[Oddity::StrayText]);
        let cut = read(&format!("{token}\n\ndata: {guess}\n\ndata: [DONE]\n\n"));
        assert!(matches!(cut.outcome, Outcome::Error(RequestError::InStream(_))), "{guess}");
    }
    ok(&format!("event: failover\n{GOOD}"), "4", &[]);
    for none in ["N/A", "-", "No errors", "00000"] {
        let frame = format!("data: {{\"choices\":[],\"error\":\"{none}\"}}");
        let read = read(&format!("{token}\n\n{frame}\n\n{end}"));
        assert_eq!(read.outcome, Outcome::Ok, "{none}");
    }
}

#[test]
fn a_whole_answer_has_ended_with_its_last_byte() {
    let check = |reason: &str, oddities: &[Oddity]| {
        let body =
            format!("{{\"choices\":[{{\"index\":0,\"message\":{{\"content\":\"4\"}}{reason}}}]}}");
        let found = read_pieces(false, "application/json", &[body.as_bytes()]);
        let told = (&found.outcome, found.text.as_str(), &found.oddities[..]);
        assert_eq!(told, (&Outcome::Ok, "4", oddities), "{body}");
    };
    check("", &[Oddity::NoFinish]);
    check(",\"finish_reason\":null", &[Oddity::NoFinish]);
    check(",\"finish_reason\":\"because\"", &[Oddity::FinishReason]);
    check(",\"finish_reason\":\"stop\"", &[]);
    // A stream in its place is cut off without an end of its own.
    let (token, _) = GOOD.split_once("\n\n").unwrap();
    let cut = read_pieces(false, "text/event-stream", &[token.as_bytes()]);
    let truncated = RequestError::Truncated("no finish reason".to_owned());
    assert_eq!(cut.outcome, Outcome::Error(truncated));
}

#[test]
fn a_finish_reason_outside_the_vocabulary_is_none() {
    let (token, _) = GOOD.split_once("\n\n").unwrap();
    for nothing in ["\"\"", "\"null\"", "\"None\"", "false", "0"] {
        let reason = format!("}},\"finish_reason\":{nothing}}}]}}");
        let cut = format!("{}\n\n", token.replace("}}]}", &reason));
        let truncated = Outcome::Error(RequestError::Truncated("no finish reason".to_owned()));
        assert_eq!(read(&cut).outcome, truncated, "{nothing}");
        ok(&(cut + GOOD), "44", &[Oddity::FinishReason]);
    }
    let found = read(&GOOD.replace("\"stop\"", "\"MAX_TOKENS\""));
    assert_eq!((found.outcome, found.finish.as_deref()), (Outcome::Ok, Some("length")));
    let found = read(&GOOD.replace("\"stop\"", "\"abort\""));
    let words = "finish reason `abort`".to_owned();
    assert_eq!(found.outcome, Outcome::Error(RequestError::InStream(words)));
    // Counted tokens with an orderly end prove success too.
    ok(&GOOD.replace("\"stop\"", "null"), "4", &[Oddity::NoFinish]);
    let unknown = GOOD.replace("\"stop\"", "\"why\"");
    ok(&unknown, "4", &[Oddity::FinishReason]);
    let cut = unknown.replace("data: [DONE]\n\n", "");
    let what = "finish reason \"why\" is not known".to_owned();
    assert_eq!(read(&cut).outcome, Outcome::Error(RequestError::Truncated(what)));
}

#[test]
fn an_error_is_heard_in_whatever_form_it_comes() {
    let full = Outcome::Error(RequestError::InStream("it is full".to_owned()));
    let (token, _) = GOOD.split_once("\n\n").unwrap();
    for error in [
        "error: {\"code\":400,\"message\":\"it is full\"}\n\n",
        "error: it is full\n\n",
        "Error: {\"error\":{\"message\":\"it is full\"}}\n\n",
        "event: error\ndata: {\"message\":\"it is full\",\"code\":400}\n\n",
        "event: Error\ndata: it is full\n\n",
        "data: it is full\nevent: error\n\n",
        "event: exception\ndata: {\"error\":\"it is full\"}\n\n",
        "data: {\"error\":{\"message\":\"it is full\"}}\n\n",
        "data: {\"error\":\"it is full\"}\n\n",
        "data: {\"errors\":[{\"msg\":\"it is full\"}]}\n\n",
        "data: {\"object\":\"error\",\"message\":\"it is full\"}\n\n",
        "data: {\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"it is full\"}}\n\n",
        "data: {\"code\":503,\"message\":\"it is full\"}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\",\"error\":{\"message\":\"it is full\"}}]}\n\n",
        "data: {\"choices\":[],\"code\":500,\"message\":\"it is full\"}\n\n",
        "data: {\"choices\":[{\"delta\":{\"error\":{\"message\":\"it is full\"}}}]}\n\n",
        "data: {\"success\":false,\"message\":\"it is full\"}\n\n",
        "data: {\"choices\":null,\"base_resp\":{\"status_code\":1008,\"status_msg\":\"it is full\"}}\n\n",
        "{\"error\":{\"message\":\"it is full\"}}",
        "{\n  \"error\": {\n    \"message\": \"it is full\"\n  }\n}\n",
    ] {
        assert_eq!(read(error).outcome, full, "{error}");
        assert_eq!(read(&format!("{token}\n\n{error}")).outcome, full, "after a token: {error}");
        let done = format!("{token}\n\n{error}\n\ndata: [DONE]\n\n");
        assert_eq!(read(&done).outcome, full, "before [DONE]: {error}");
        let glued = format!("{token}\n{error}");
        assert_eq!(read(&glued).outcome, full, "without a blank line: {error}");
    }
}

#[test]
fn words_beside_no_choice_explain_an_answer_that_does_not_come() {
    for odd in [
        "{\"choices\":[],\"message\":\"quota exceeded\"}",
        "{\"choices\":null,\"detail\":\"quota exceeded\"}",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0},\"detail\":\"quota exceeded\"}",
    ] {
        let Outcome::Error(error) = read(&format!("data: {odd}\n\n")).outcome else {
            panic!("{odd} is an answer")
        };
        assert!(error.words().unwrap().contains("quota exceeded"), "{odd}: {error:?}");
    }
    // Of an answer that is whole they are no part, and a call that went well is no error.
    let well = "data: {\"choices\":[],\"base_resp\":{\"status_code\":0,\"status_msg\":\"\"},\"title\":\"x\"}\n\n";
    assert_eq!(read(&format!("{well}{GOOD}")).outcome, Outcome::Ok);
}

#[test]
fn a_byte_order_mark_before_a_whole_answer_says_nothing() {
    let (content_type, content_encoding) = ("application/json".to_owned(), String::new());
    let head = Head { status: 200, content_type, content_encoding, location: String::new() };
    let body =
        "\u{feff}{\"choices\":[{\"message\":{\"content\":\"4\"},\"finish_reason\":\"stop\"}]}";
    let found = read_response(false, None, head, &[body.as_bytes()]);
    assert_eq!(found.outcome, Outcome::Ok);
}

#[test]
fn an_empty_error_member_is_no_error() {
    for empty in [
        "null",
        "{}",
        "\"\"",
        "\"None\"",
        "[]",
        "false",
        "{\"message\":\"\",\"code\":null}",
        "{\"code\":0,\"message\":\"success\"}",
    ] {
        let error = format!("{{\"error\":{empty},\"choices\"");
        ok(&GOOD.replace("{\"choices\"", &error), "4", &[]);
    }
}

#[test]
fn text_without_a_frame_is_told_where_nothing_else_came() {
    let told = |body: &str| match read(body).outcome {
        Outcome::Error(RequestError::Protocol(words) | RequestError::Truncated(words)) => words,
        other => panic!("{other:?}"),
    };
    assert!(told("upstream connect error").contains("upstream connect error"));
    assert!(told("<html>\n<body>502 Bad Gateway</body>").contains("502 Bad Gateway"));
    let (token, _) = GOOD.split_once("\n\n").unwrap();
    assert!(told(&format!("{token}\n\nInternal Server Error")).contains("Internal Server Error"));
    assert!(told(&format!("{token}\n\ndata: oops\n\n")).contains("oops"));
    for (error, words) in [
        ("data: Error while processing request: no memory", "no memory"),
        ("data: engine stopping: worker died", "worker died"),
        ("Traceback: mapping failed in kernel 7", "kernel 7"),
        ("data: {\"detail\":\"it died\"}", "it died"),
        ("data: [NOOP]\n\ndata: no network", "no network"),
        ("data: it died\n\ndata: [NOOP]", "it died"),
        ("data: {\"fault\":{\"faultstring\":\"quota violation\"}}", "quota violation"),
        (
            "data: {\"finished\":false,\"cause\":\"worker gone\"}\n\ndata: {\"type\":\"ping\"}",
            "worker gone",
        ),
        ("event: error", "event: error"),
        (": error: backend died", "backend died"),
    ] {
        assert!(told(&format!("{error}\n\n")).contains(words), "{error}");
        assert!(told(&format!("{token}\n\n{error}\n\n")).contains(words), "{error}");
        let done = told(&format!("{token}\n\n{error}\n\ndata: [DONE]\n\n"));
        assert!(done.contains(words), "{error}");
    }
    // What came before a token does not explain what is missing after it.
    let cut = told(&format!("data: please wait a little\n\n{token}\n\n"));
    assert_eq!(cut, "no finish reason");
    let alive = told(&format!("{token}\n\ndata: {{\"type\":\"ping\"}}\n\n"));
    assert_eq!(alive, "no finish reason");
    assert!(told("{\"id\":\"job-7\",\"status\":\"queued\"}").contains("job-7"));
    // Tokens that could not be read are no empty answer.
    assert!(told(&GOOD.replacen("data: {", "data: ?{", 1)).contains("no token, but"));
    ok(&format!("hello\n\n{GOOD}"), "4", &[Oddity::Unframed, Oddity::StrayText]);
    // JSON lines are also read as a stream.
    let lines = GOOD.replace("data: ", "");
    ok(&lines, "4", &[Oddity::Unframed]);
    // The text of a chunk that is cut in two is lost.
    assert!(told(&format!("data: {{\"choices\":[\n\n{GOOD}")).contains("invalid JSON"));
}

#[test]
fn an_answer_that_is_not_streamed_is_read_as_leniently() {
    let whole = r#"{"choices":[{"index":0,"message":{"content":"4"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
    let check = |body: &str, kind: &str, oddities: &[Oddity]| {
        let found = read_pieces(false, kind, &[body.as_bytes()]);
        assert_eq!((&found.outcome, found.text.as_str()), (&Outcome::Ok, "4"), "{body}");
        assert_eq!(found.oddities, oddities, "{body}");
        found
    };
    let json = "application/json";
    check(whole, json, &[]);
    check(&format!("\n\n \n{whole}\n"), json, &[]);
    check(&whole.replace("\"4\"", r#"[{"type":"text","text":"4"}]"#), json, &[Oddity::TextForm]);
    check(&whole.replace("\"index\":0,", ""), json, &[Oddity::ChoiceIndex]);
    check(&whole.replace("\"usage\"", "\"x\":NaN,\"usage\""), json, &[Oddity::Number]);
    let found = check(&whole.replace("prompt_tokens", "input_tokens"), json, &[Oddity::Usage]);
    assert_eq!(found.usage, Some(usage(9, 2)));
    check(GOOD, json, &[Oddity::ContentType]);
    check(&format!("\n{GOOD}"), "", &[Oddity::ContentType]);
    let fails = |body: &str| read_pieces(false, json, &[body.as_bytes()]).outcome;
    let in_stream = |words: &str| Outcome::Error(RequestError::InStream(words.to_owned()));
    assert_eq!(fails(r#"{"error":{"message":"full"}}"#), in_stream("full"));
    assert!(matches!(fails("no"), Outcome::Error(RequestError::Protocol(_))));
    let silent = fails(r#"{"choices":[]}"#);
    assert!(matches!(silent, Outcome::Error(RequestError::Truncated(_))), "{silent:?}");
}
