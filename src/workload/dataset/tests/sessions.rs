//! Sessions of agents: turns with texts, lengths and delays of their own.

use std::fmt::Write as _;

use crate::plan::cell::{DatasetPlan, Source, TimeUnit};
use crate::units::Nanos;
use crate::workload::dataset::tests::sources::{asked, plan};
use crate::workload::dataset::tests::tokens::words;
use crate::workload::dataset::{Load, load};
use crate::workload::error::DataError;
use crate::workload::input::Input;
use crate::workload::request::{Prompt, Sample};
use crate::workload::samples::Samples;

fn sessions(source: Source) -> DatasetPlan {
    DatasetPlan { multi_turn: true, ..plan(source) }
}

fn read(plan: &DatasetPlan, text: &str) -> Result<Samples, DataError> {
    let tokenizer = words();
    let asked = Load { name: "t", tokenizer: Some(&tokenizer), ..asked(plan) };
    load(&asked, vec![Input::bytes("sessions.jsonl", text.to_owned())])
}

/// The turns of a session: what each asks, its delay in ms, and the length of its answer.
fn told(sample: &Sample) -> String {
    let mut told = String::new();
    for (idx, turn) in sample.turns.iter().enumerate() {
        let asked = match turn {
            Prompt::Text(text) => text.clone(),
            Prompt::Messages(messages) => {
                let messages = messages.iter().map(|it| format!("{}: {};", it.role, it.text()));
                messages.collect::<Vec<_>>().concat()
            }
            Prompt::Tokens(_) | Prompt::OfLength(_) => panic!("a text"),
        };
        let later = idx.checked_sub(1).and_then(|idx| sample.later.get(idx));
        let tokens = later.map_or(sample.output_tokens, |later| later.output_tokens);
        let delay = later.map_or(0.0, |later| later.delay.as_millis_f64());
        writeln!(told, "{asked} | {delay} | {tokens:?}").unwrap();
    }
    told
}

#[test]
fn rows_of_one_session_are_the_turns_of_one_conversation() {
    let text = r#"{"session_id": "a", "timestamp": 0, "text_input": "One?", "output_length": 5}
{"session_id": "b", "timestamp": 7.5, "text_input": "Two?"}
{"session_id": "a", "delay": 1500.5, "text_input": "And?", "output_length": 9}
{"session_id": "b", "delay": "2s", "text_input": "So?"}
{"session_id": "a", "text_input": "Why?", "output_length": 1}
"#;
    let replayed =
        DatasetPlan { is_replayed: true, time_unit: Some(TimeUnit::Ms), ..sessions(Source::Trace) };
    let samples = read(&replayed, text).unwrap();
    let [a, b] = samples.rows() else { panic!("{:?}", samples.rows()) };
    assert_eq!(told(a), "One? | 0 | Some(5)\nAnd? | 1500.5 | Some(9)\nWhy? | 0 | Some(1)\n");
    assert_eq!(told(b), "Two? | 0 | None\nSo? | 2000 | None\n");
    assert_eq!((a.at, b.at), (Some(Nanos::ZERO), Some(Nanos(7_500_000))));
    assert_eq!(
        samples.trace.unwrap().to_string(),
        "2 requests over 0.0075 s, 133.333 per s; times in ms; 3 more when the answers before \
         them have come"
    );
    let each_alone = read(&plan(Source::Jsonl), text).unwrap_err();
    assert!(each_alone.message.contains("missing or null"), "{each_alone}");
}

#[test]
fn a_row_holds_a_session_as_a_list_of_turns() {
    let text = r#"{"session_id": "a", "turns": [{"text": "One?", "timestamp": 3}, {"text": "And?", "delay": 20}]}
{"session_id": "b", "turns": [{"text": "Two?", "timestamp": 5}]}
"#;
    let replayed =
        DatasetPlan { is_replayed: true, time_unit: Some(TimeUnit::Ms), ..sessions(Source::Trace) };
    let samples = read(&replayed, text).unwrap();
    let [a, b] = samples.rows() else { panic!("{:?}", samples.rows()) };
    assert_eq!(told(a), "One? | 0 | None\nAnd? | 20 | None\n");
    assert_eq!((told(b).as_str(), b.at), ("Two? | 0 | None\n", Some(Nanos(2_000_000))));
}

#[test]
fn turns_that_repeat_the_messages_before_ask_what_is_new() {
    let text = r#"{"session_id": "a", "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "One?"}]}
{"session_id": "a", "delay": 8, "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "One?"}, {"role": "assistant", "content": null}, {"role": "tool", "content": "42"}]}
"#;
    let samples = read(&sessions(Source::Jsonl), text).unwrap();
    let expected = "system: S;user: One?; | 0 | None\ntool: 42; | 8 | None\n";
    assert_eq!(told(&samples.rows()[0]), expected);
}

#[test]
fn the_messages_of_a_sessions_only_row_are_its_turns() {
    const TWO_TURNS: &str = "One? | 0 | Some(1)\nAnd? | 0 | Some(1)\n";
    let said = |texts: &[&str]| -> String {
        let by = |idx: usize| if idx.is_multiple_of(2) { "user" } else { "assistant" };
        let list = texts.iter().enumerate();
        let list =
            list.map(|(idx, text)| format!(r#"{{"role":"{}","content":"{text}"}}"#, by(idx)));
        format!("[{}]", list.collect::<Vec<_>>().join(","))
    };
    let whole = said(&["One?", "1", "And?", "2"]);
    let open = said(&["One?", "1", "And?"]);
    for (id, column) in [("conversation_id", "messages"), ("session_id", "prompt"), ("id", "chat")]
    {
        let mut columns: std::collections::BTreeMap<_, _> =
            [("prompt".to_owned(), column.to_owned())].into();
        columns.retain(|role, column| role != column);
        let named = DatasetPlan { columns, ..sessions(Source::Jsonl) };
        for (list, answers) in [(&whole, 2), (&open, 1)] {
            let row =
                |n: u32| format!("{{\"{id}\":\"c{n}\",\"{column}\":{list},\"turn\":{answers}}}\n");
            let samples = read(&named, &(row(0) + &row(1))).unwrap();
            let told: Vec<String> = samples.rows().iter().map(told).collect();
            assert_eq!(told, [TWO_TURNS; 2], "{id} {column} {list}");
            let mut columns = [id, column, "turn"];
            columns.sort_unstable();
            assert_eq!(samples.columns, columns);
        }
    }
    // Without a column that the scenario names, likewise.
    for list in [&whole, &open] {
        let row = format!("{{\"session_id\":\"a\",\"messages\":{list}}}\n");
        let samples = read(&sessions(Source::Jsonl), &row).unwrap();
        assert_eq!(told(&samples.rows()[0]), TWO_TURNS);
    }
    // Rows of one session are still its turns, under any name.
    let turn = |list: &str| format!("{{\"session_id\":\"a\",\"chat\":{list}}}\n");
    let columns = [("prompt".to_owned(), "chat".to_owned())].into();
    let named = DatasetPlan { columns, ..sessions(Source::Jsonl) };
    let samples = read(&named, &(turn(&said(&["One?"])) + &turn(&open))).unwrap();
    assert_eq!(told(&samples.rows()[0]), "user: One?; | 0 | None\nuser: And?; | 0 | None\n");
    assert_eq!(samples.columns, ["chat", "session_id"]);
}

#[test]
fn turns_of_lengths_become_texts_of_exactly_these() {
    let text = r#"{"session_id": "a", "input_length": 30, "output_length": 4}
{"session_id": "a", "input_length": 12, "output_length": 6, "delay": 3}
"#;
    let samples = read(&sessions(Source::Trace), text).unwrap();
    let [session] = samples.rows() else { panic!("one session") };
    let count = |turn: usize| match &*samples.prompt(session, turn).unwrap() {
        Prompt::Text(text) => words().count(text).unwrap(),
        _ => panic!("a text"),
    };
    assert_eq!([0, 1].map(count), [30, 12]);
    let odd = text.replace("\"delay\": 3", "\"delay\": \"soon\"");
    let error = read(&sessions(Source::Trace), &odd).unwrap_err();
    assert!(error.message.contains("`\"soon\"` is no length of time"), "{error}");
}

#[test]
fn turns_that_name_the_one_before_are_one_conversation() {
    // As alibaba-edu/qwen-bailian-usagetraces-anon has them: lengths of all that was said so far.
    let row = |id: i32, parent: i32, at: f64, input: u32, output: u32, turn: u32| {
        let ids: Vec<String> = (0..input.div_ceil(16)).map(|n| (n + 1).to_string()).collect();
        format!(
            "{{\"chat_id\":{id},\"parent_chat_id\":{parent},\"timestamp\":{at},\"input_length\":{input},\
             \"output_length\":{output},\"type\":\"text\",\"turn\":{turn},\"hash_ids\":[{}]}}\n",
            ids.join(",")
        )
    };
    let text = [
        row(1, -1, 0.0, 20, 4, 1),
        row(2, -1, 0.5, 40, 4, 1),
        row(3, 1, 1.0, 31, 5, 2),
        row(4, 3, 2.0, 50, 6, 3),
        // Its parent goes on already, is not there, or was cut: a conversation of its own.
        row(5, 1, 2.5, 33, 7, 2),
        row(6, 77, 3.0, 25, 8, 2),
        row(7, 2, 3.5, 30, 9, 2),
    ]
    .concat();
    let replayed = DatasetPlan { is_replayed: true, ..sessions(Source::Trace) };
    let samples = read(&replayed, &text).unwrap();
    let tokens = |sample: &Sample| -> Vec<u32> {
        let count = |turn: usize| match &*samples.prompt(sample, turn).unwrap() {
            Prompt::Text(text) => words().count(text).unwrap(),
            _ => panic!("a text"),
        };
        (0..sample.turns.len()).map(count).collect()
    };
    let found: Vec<Vec<u32>> = samples.rows().iter().map(tokens).collect();
    assert_eq!(found, [vec![20, 7, 14], vec![40], vec![33], vec![25], vec![30]]);
    let chain = &samples.rows()[0];
    let answers: Vec<_> = chain.later.iter().map(|later| later.output_tokens).collect();
    assert_eq!((chain.output_tokens, answers), (Some(4), vec![Some(5), Some(6)]));
    let times: Vec<_> = chain.later.iter().map(|later| later.at).collect();
    assert_eq!(times, [Some(Nanos::from_secs(1)), Some(Nanos::from_secs(2))]);
    // Each alone, and whole, where conversations are not asked for.
    let alone = DatasetPlan { multi_turn: false, ..replayed };
    assert_eq!(read(&alone, &text).unwrap().rows().len(), 7);
}

#[test]
fn a_turn_with_a_time_and_no_delay_keeps_it() {
    let text = r#"{"session_id": "a", "timestamp": 0.0, "text_input": "One?"}
{"session_id": "b", "timestamp": 0.25, "text_input": "Two?"}
{"session_id": "a", "timestamp": 0.5, "text_input": "And?"}
{"session_id": "b", "timestamp": 0.75, "delay_ms": 20, "text_input": "So?"}
"#;
    let replayed = DatasetPlan { is_replayed: true, ..sessions(Source::Trace) };
    let samples = read(&replayed, text).unwrap();
    let times: Vec<_> = samples
        .rows()
        .iter()
        .map(|it| (it.at.unwrap(), it.later[0].at, it.later[0].delay))
        .collect();
    let (half, delay) = (Nanos::from_millis(500), Nanos::from_millis(20));
    assert_eq!(
        times,
        [(Nanos::ZERO, Some(half), Nanos::ZERO), (Nanos::from_millis(250), None, delay)]
    );
    let trace = samples.trace.unwrap();
    assert_eq!((trace.n, trace.span), (3, half));
    let back = text.replace("0.5,", "-0.5,");
    let samples = read(&DatasetPlan { is_replayed: true, ..replayed }, &back);
    assert!(samples.is_err() || !samples.unwrap().left_out.is_empty());
}

#[test]
fn a_delay_whose_name_says_its_unit_has_that_unit() {
    let text = r#"{"session_id": "a", "timestamp": 0, "text_input": "One?"}
{"session_id": "a", "delay_ms": 300, "text_input": "And?"}
{"session_id": "a", "delay": 2, "text_input": "So?"}
"#;
    let seconds = DatasetPlan { time_unit: Some(TimeUnit::S), ..sessions(Source::Trace) };
    let samples = read(&seconds, text).unwrap();
    let expected = "One? | 0 | None\nAnd? | 300 | None\nSo? | 2000 | None\n";
    assert_eq!(told(&samples.rows()[0]), expected);
}

#[test]
fn a_users_message_may_wait() {
    let text = r#"{"messages": [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "1"}, {"role": "user", "content": "And?", "delay": 250}]}
"#;
    let columns = [("messages".to_owned(), "messages".to_owned())].into();
    let plan = DatasetPlan { columns, ..sessions(Source::Jsonl) };
    let samples = read(&plan, text).unwrap();
    assert_eq!(told(&samples.rows()[0]), "One? | 0 | Some(1)\nAnd? | 250 | None\n");
    let single = DatasetPlan { multi_turn: false, ..plan };
    assert!(read(&single, text).unwrap().rows()[0].later.is_empty());
}
