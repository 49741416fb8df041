//! Small files of every shape, sound and broken, and what is read from them.

use std::collections::BTreeMap;
use std::io::Write as _;

use proptest::prelude::*;

use crate::plan::cell::{BadRows, DatasetPlan, Source, TimeUnit};
use crate::seed::Seed;
use crate::units::Nanos;
use crate::workload::dataset::{Load, load, load_with_shots};
use crate::workload::error::DataError;
use crate::workload::input::Input;
use crate::workload::request::{Message, Prompt, Sample};
use crate::workload::samples::Samples;

pub(crate) fn plan(source: Source) -> DatasetPlan {
    DatasetPlan::of(source, None, None, None)
}

/// Leaves bad rows out, up to the usual limit.
fn skipping(source: Source) -> DatasetPlan {
    DatasetPlan { bad_rows: BadRows::Skip, ..plan(source) }
}

/// Asks for a data set whole, without a tokenizer.
pub(crate) fn asked(plan: &DatasetPlan) -> Load<'_> {
    Load {
        name: "q",
        plan,
        seed: Seed(1),
        needs: None,
        tokenizer: None,
        chat: None,
        reads_gold: None,
        on_progress: None,
    }
}

pub(crate) fn read(plan: &DatasetPlan, name: &str, bytes: &[u8]) -> Result<Samples, DataError> {
    let asked = Load { name: "questions", ..asked(plan) };
    load(&asked, vec![Input::bytes(name, bytes.to_vec())])
}

pub(crate) fn texts(samples: &[Sample]) -> Vec<&str> {
    samples
        .iter()
        .map(|sample| match sample.turns.as_slice() {
            [Prompt::Text(text)] => text.as_str(),
            other => panic!("not one text: {other:?}"),
        })
        .collect()
}

fn check_error(plan: &DatasetPlan, name: &str, bytes: &[u8], expected: &str) {
    match read(plan, name, bytes) {
        Err(error) => assert_eq!(error.to_string(), expected),
        Ok(samples) => panic!("{} rows instead of `{expected}`", samples.n_samples),
    }
}

const GSM8K: &str = r#"{"question": "One and two?", "answer": "1 + 2 = <<1+2=3>>3\n#### 3"}
{"question": "Two and two?", "answer": "2 + 2 = 4\n#### 4"}
{"question": "Three and four?", "answer": "3 + 4 = 7\n#### 7"}
"#;

#[test]
fn gsm8k_rows_have_a_question_and_a_gold_answer() {
    let samples = read(&plan(Source::Gsm8k), "test.jsonl", GSM8K.as_bytes()).unwrap();
    assert_eq!(texts(samples.rows()), ["One and two?", "Two and two?", "Three and four?"]);
    assert_eq!(samples.rows()[1].gold.as_deref(), Some("2 + 2 = 4\n#### 4"));
    assert_eq!(samples.rows()[1].row, 1);
    assert_eq!((samples.n_samples, samples.n_distinct), (3, 3));
}

#[test]
fn worked_examples_stand_as_lm_evaluation_harness_writes_them() {
    let plan = DatasetPlan { n_shots: 2, ..plan(Source::Gsm8k) };
    let samples = read(&plan, "test.jsonl", GSM8K.as_bytes()).unwrap();
    // The harness's task gsm8k: doc_to_text, a space, doc_to_target; blank lines between.
    insta::assert_snapshot!(format!("{}{}", samples.prefix, texts(samples.rows())[0]), @r"
    Question: One and two?
    Answer: 1 + 2 = <<1+2=3>>3
    #### 3

    Question: Two and two?
    Answer: 2 + 2 = 4
    #### 4

    Question: Three and four?
    Answer:
    ");
    assert_eq!(samples.n_samples, 1);
}

#[test]
fn worked_examples_come_from_the_training_file_when_there_is_one() {
    let plan = DatasetPlan { n_shots: 1, ..plan(Source::Gsm8k) };
    let asked = asked(&plan);
    let file = |name: &str| vec![Input::bytes(name, GSM8K.as_bytes())];
    let training = "{\"question\": \"T?\", \"answer\": \"#### 0\"}";
    let shots = vec![Input::bytes("train.jsonl", training.as_bytes())];
    let samples = load_with_shots(&asked, file("test.jsonl"), shots).unwrap();
    assert_eq!(samples.prefix, "Question: T?\nAnswer: #### 0\n\n");
    assert_eq!(samples.n_samples, 3);
    let shots = vec![Input::bytes("train.jsonl", "")];
    let error = load_with_shots(&asked, file("test.jsonl"), shots).unwrap_err();
    assert_eq!(
        error.to_string(),
        "train.jsonl: 1 worked examples are wanted and it has fewer rows"
    );
}

#[test]
fn a_template_over_the_columns_makes_the_prompt() {
    let plan = DatasetPlan {
        prompt: Some("{{ question }} Think, then say: The answer is N.".to_owned()),
        ..plan(Source::Gsm8k)
    };
    let samples = read(&plan, "test.jsonl", GSM8K.as_bytes()).unwrap();
    assert_eq!(texts(samples.rows())[0], "One and two? Think, then say: The answer is N.");
    let wrong = DatasetPlan { prompt: Some("{{ frage }}".to_owned()), ..plan };
    check_error(
        &wrong,
        "test.jsonl",
        GSM8K.as_bytes(),
        "test.jsonl: line 1: the template of the prompt names `frage`, a column that the row \
         does not have; the row has `answer`, `question`",
    );
    let broken = DatasetPlan { prompt: Some("{{ question".to_owned()), ..wrong };
    let error = read(&broken, "test.jsonl", GSM8K.as_bytes()).unwrap_err();
    assert_eq!((error.file.as_str(), error.place.as_str()), ("scenario", "`prompt`, line 1"));
}

#[test]
fn a_template_that_writes_without_end_is_stopped() {
    let doubling = "{% set ns = namespace(s='x') %}{% for i in range(40) %}\
                    {% set ns.s = ns.s ~ ns.s %}{{ ns.s }}{% endfor %}";
    let plan = DatasetPlan { prompt: Some(doubling.to_owned()), ..plan(Source::Gsm8k) };
    let error = read(&plan, "test.jsonl", GSM8K.as_bytes()).unwrap_err();
    assert!(error.message.contains("the template of the prompt fails"), "{error}");
}

#[test]
fn byte_order_mark_crlf_blank_lines_and_no_last_newline_are_no_trouble() {
    let jsonl = b"\xef\xbb\xbf{\"prompt\":\"a\"}\r\n\r\n  \n{\"prompt\":\"b\"}";
    assert_eq!(texts(read(&plan(Source::Jsonl), "x.jsonl", jsonl).unwrap().rows()), ["a", "b"]);
    let csv = b"\xef\xbb\xbfprompt,answer\r\n\"a, \"\"b\"\"\nc\",1\r\nd,2";
    let samples = read(&plan(Source::Csv), "x.csv", csv).unwrap();
    assert_eq!(texts(samples.rows()), ["a, \"b\"\nc", "d"]);
    assert_eq!(samples.rows()[1].gold.as_deref(), Some("2"));
    let text = b"\xef\xbb\xbffirst\r\n\nsecond";
    assert_eq!(texts(read(&plan(Source::Text), "x", text).unwrap().rows()), ["first", "second"]);
}

#[test]
fn a_bad_line_of_json_is_named_with_its_byte() {
    let jsonl = plan(Source::Jsonl);
    check_error(
        &jsonl,
        "x.jsonl",
        b"{\"prompt\":\"a\"}\n{\"prompt\": b}\n",
        "x.jsonl: line 2, byte 12: not valid JSON: expected value near `{\"prompt\": b}`",
    );
    check_error(&jsonl, "x.jsonl", b"[]\n", "x.jsonl: no row");
    check_error(
        &jsonl,
        "x.jsonl",
        b"\"just a text\"\n",
        "x.jsonl: line 1, byte 1: not a JSON object near `\"just a text\"`",
    );
    check_error(
        &plan(Source::Jsonl),
        "x.jsonl",
        b"{\"prompt\":\"a\",\"prompt\":\"b\"}\n",
        "x.jsonl: line 1, column `prompt`: occurs twice in the row, with two values",
    );
    check_error(
        &plan(Source::Jsonl),
        "x.jsonl",
        b"{\"prompt\":[]}\n",
        "x.jsonl: line 1, column `prompt`: is empty",
    );
    check_error(
        &jsonl,
        "x.jsonl",
        b"{\"prompt\":\"a\"}\n{\"prompt\":\"\xff\xfe\"}\n",
        "x.jsonl: line 2, byte 12: not valid UTF-8 near `{\"prompt\":\"\\xff\\xfe\"}`",
    );
    let error = read(&jsonl, "x.jsonl", b"{\"prompt\":\"a\0b\"}\n").unwrap_err();
    assert!(error.message.contains("control character"), "{error}");
}

#[test]
fn a_ragged_csv_is_named_with_its_line() {
    let csv = plan(Source::Csv);
    check_error(
        &csv,
        "x.csv",
        b"prompt,answer\na,1\nb\n",
        "x.csv: line 3: 1 fields where the header has 2",
    );
    check_error(
        &csv,
        "x.csv",
        b"prompt,prompt\na,1\n",
        "x.csv: line 1: two columns are called `prompt`",
    );
    let unnamed = read(&csv, "x.csv", b"prompt,answer,,\na,1,,\n").unwrap();
    assert_eq!(texts(unnamed.rows()), ["a"]);
    check_error(
        &csv,
        "x.csv",
        b"prompt,answer\na,\xff\n",
        "x.csv: line 2, column `answer`: not valid UTF-8: `\\xff`",
    );
    check_error(
        &csv,
        "x.csv",
        b"prompt,answer\n\"a,1\nb,2\n",
        "x.csv: line 2: the quote that begins a field here is never closed; 1 lines follow",
    );
}

#[test]
fn rows_that_an_open_quote_takes_in_are_bad_rows() {
    let file = |odd: &[(usize, &str)]| {
        let row = |n| odd.iter().find(|(at, _)| *at == n).map(|(_, row)| (*row).to_owned());
        let rows = (0..1_000).map(|n| row(n).unwrap_or_else(|| format!("q{n},{n}")) + "\n");
        format!("prompt,answer\n{}", rows.collect::<String>())
    };
    let skipping = skipping(Source::Csv);
    check_error(
        &skipping,
        "x.csv",
        file(&[(10, "\"q10,10")]).as_bytes(),
        "x.csv: line 12: the quote that begins a field here is never closed; 989 lines follow; \
         990 of 1000 rows cannot be used (99 %, `max-bad-rows` allows 1 %): 990 not readable",
    );
    check_error(
        &skipping,
        "x.csv",
        file(&[(10, "\"q10,10"), (500, "\"q500\",500")]).as_bytes(),
        "x.csv: line 12: the quote that begins a field here is closed 490 lines on, in the middle \
         of a field: it may not be meant to be open; 491 of 1000 rows cannot be used (49.1 %, \
         `max-bad-rows` allows 1 %): 491 not readable",
    );
    // The quote of inches closes it where fields end.
    let inches = file(&[(10, "\"q10,10"), (500, "q500,5\"")]);
    let error = read(&skipping, "x.csv", inches.as_bytes()).unwrap_err();
    let expected = "line 12: the quote that begins a field here takes in 490 lines that all look";
    assert!(error.to_string().contains(expected), "{error}");
    // A file that was cut in its last row lacks that row alone.
    let cut = read(&skipping, "x.csv", file(&[(999, "\"q999,9")]).as_bytes()).unwrap();
    assert_eq!((cut.n_samples, cut.left_out[0].1), (999, 1));
    let sound = file(&[
        (10, "\"q10,\n\n\"\"a\"\",b\n\",10"),
        (500, "say \"hi\",500"),
        (501, "\"q\" 1,501"),
    ]);
    let sound = read(&skipping, "x.csv", sound.as_bytes()).unwrap();
    assert_eq!((sound.n_samples, sound.left_out.len()), (1_000, 0));
    assert_eq!(texts(sound.rows())[10], "q10,\n\n\"a\",b\n");
}

#[test]
fn a_missing_column_is_named_with_those_that_are_there() {
    check_error(
        &plan(Source::Gsm8k),
        "x.jsonl",
        b"{\"question\":\"q\",\"answer\":null}\n",
        "x.jsonl: line 1, column `answer`: missing or null; the row has `answer`, `question`",
    );
    let help = |plan| read(&plan, "x.jsonl", b"{\"question\":\"q\"}\n").unwrap_err().help;
    assert!(help(plan(Source::Gsm8k)).ends_with("`bad-rows = \"skip\"` leaves such rows out"));
    assert!(help(skipping(Source::Gsm8k)).ends_with("the share of rows that may be left out"));
    let columns = [("prompt".to_owned(), "/data/text".to_owned())].into();
    let nested = DatasetPlan { columns, ..plan(Source::Jsonl) };
    let samples = read(&nested, "x.jsonl", br#"{"data":{"text":"deep"}}"#).unwrap();
    assert_eq!(texts(samples.rows()), ["deep"]);
    check_error(
        &nested,
        "x.jsonl",
        br#"{"data":{"text":true}}"#,
        "x.jsonl: line 1, column `/data/text`: is true or false, not a text",
    );
    let columns = [("promt".to_owned(), "x".to_owned())].into();
    let error = read(&DatasetPlan { columns, ..nested }, "x.jsonl", b"{}").unwrap_err();
    assert_eq!(error.message, "no column plays the part `promt`");
}

#[test]
fn bad_rows_are_left_out_and_counted_when_the_scenario_says_so() {
    let plan = DatasetPlan { max_bad_rows: 0.5, ..skipping(Source::Jsonl) };
    let bytes = b"{\"prompt\":\"a\"}\n{oops}\n{\"prompt\":\"\"}\n{\"prompt\":\"a\"}\n";
    let samples = read(&plan, "x.jsonl", bytes).unwrap();
    assert_eq!(samples.n_samples, 2);
    assert_eq!(samples.n_distinct, 1);
    assert_eq!(
        samples.left_out,
        [("not readable".to_owned(), 1), ("an empty prompt".to_owned(), 1)]
    );
    check_error(
        &plan,
        "x.jsonl",
        b"{oops}\n",
        "x.jsonl: line 1, byte 2: not valid JSON: key must be a string near `{oops}`; no row is \
         left: 1 not readable",
    );
    check_error(&plan, "x.jsonl", b"", "x.jsonl: no row");
}

#[test]
fn bad_rows_above_the_limit_are_refused_and_one_alone_never_is() {
    let rows = |n_bad: usize, n_good: usize| {
        format!("{}{}", "{\"prompt\":\"\"}\n".repeat(n_bad), "{\"prompt\":\"a\"}\n".repeat(n_good))
    };
    let check = |n_bad: usize, n_good: usize, is_read: bool| {
        let read = read(&skipping(Source::Jsonl), "x.jsonl", rows(n_bad, n_good).as_bytes());
        assert_eq!(read.is_ok(), is_read, "{n_bad} bad, {n_good} good: {read:?}");
    };
    check(1, 1, true);
    check(2, 198, true);
    check(2, 197, false);
    check(3, 10, false);
    check_error(
        &skipping(Source::Jsonl),
        "x.jsonl",
        rows(3, 10).as_bytes(),
        "x.jsonl: line 1, column `prompt`: is empty; 3 of 13 rows cannot be used (23.08 %, \
         `max-bad-rows` allows 1 %): 3 an empty prompt",
    );
}

/// Sent over 2 turns at most: `expected` is the turns' roles, a comma between turns.
fn check_conversation(multi_turn: bool, items: &str, expected: Result<&str, &str>) {
    let columns = [("messages".to_owned(), "messages".to_owned())].into();
    let plan = DatasetPlan { columns, multi_turn, ..plan(Source::Jsonl) };
    let row = format!("{{\"messages\":[{items}]}}");
    let read = read(&plan, "x.jsonl", row.as_bytes());
    let told = read.as_ref().map_err(ToString::to_string).map(|samples| {
        let turns = samples.rows()[0].turns.iter().map(|turn| match turn {
            Prompt::Text(text) => format!("user={text}"),
            Prompt::Messages(messages) => {
                let told = messages.iter().map(|m| format!("{}={}", m.role, m.text()));
                told.collect::<Vec<_>>().join(" ")
            }
            Prompt::Tokens(_) | Prompt::OfLength(_) => panic!("texts are given"),
        });
        turns.collect::<Vec<_>>().join(", ")
    });
    match expected {
        Ok(turns) => assert_eq!(told.as_deref(), Ok(turns), "{items}"),
        Err(part) => assert!(told.as_ref().is_err_and(|told| told.contains(part)), "{told:?}"),
    }
}

#[test]
fn a_conversation_is_judged_as_far_as_it_is_sent() {
    let user = r#"{"role":"user","content":"U"}"#;
    let answer = r#"{"role":"assistant","content":"A"}"#;
    let null = r#"{"role":"assistant","content":null,"tool_calls":[]}"#;
    let check = check_conversation;
    check(false, &format!("{user},{null}"), Ok("user=U"));
    check(false, &format!("{user},{answer},null,{user}"), Ok("user=U"));
    check(true, &format!("{user},{answer},null,{user}"), Err("message 3 has no `role`"));
    check(true, &format!("{user},{answer},null"), Ok("user=U"));
    check(true, &format!("{user},{answer},{user},{null}"), Ok("user=U, user=U"));
    let odd = r#"{"role":"narrator","content":"x"}"#;
    check(false, &format!("{user},{answer},{odd}"), Ok("user=U"));
    check(false, &format!("{odd},{user}"), Err("message 1 is by `narrator`"));
    check(false, r#"{"role":"user","content":null}"#, Err("message 1 has no text"));
    check(false, &format!("{answer},{answer}"), Err("no message of a user"));
}

#[test]
fn each_role_stays_what_it_is() {
    let check = |items: &str, expected: &str| check_conversation(true, items, Ok(expected));
    check(
        r#"{"role":"developer","content":"D"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
        "developer=D user=a\nb",
    );
    check(
        r#"{"from":"gpt","value":"A"},{"from":"human","value":"U"},{"from":"gpt","value":"B"}"#,
        "user=U",
    );
    check(
        r#"{"from":"human","value":"U"},{"from":"human","value":"V"},{"from":"gpt","value":"B"}"#,
        "user=U\n\nV",
    );
    check(
        r#"{"from":"human","value":"U"},{"from":"function_call","value":"f()"},{"from":"observation","value":"1"},{"from":"gpt","value":"B"},{"from":"human","value":"W"}"#,
        "user=U assistant=f() tool=1, user=W",
    );
    // What a table of messages of both forms has.
    check(
        r#"{"role":null,"content":null,"from":"human","value":"U"},{"from":"gpt","value":"A","role":null,"content":null}"#,
        "user=U",
    );
    check_conversation(
        false,
        r#"{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"x"}}]}"#,
        Err("message 1 has a part of type `image_url`; only texts are sent"),
    );
}

#[test]
fn conversations_are_known_in_the_words_of_other_files() {
    let check = |conversation: &str| {
        let columns = [("messages".to_owned(), "messages".to_owned())].into();
        let plan = DatasetPlan { columns, ..plan(Source::Jsonl) };
        let row = format!("{{\"messages\":{conversation}}}");
        let samples = read(&plan, "x.jsonl", row.as_bytes()).unwrap();
        assert_eq!(texts(samples.rows()), ["U"], "{conversation}");
    };
    let list = r#"[{"from":"human","value":"U"},{"from":"gpt","value":"A"}]"#;
    check(list);
    check(&serde_json::json!(list).to_string());
    check(r#"[{"sender":"human","text":"U"},{"sender":"ai","text":"A"}]"#);
    check(r#"[{"speaker":"user","message":"U"},{"speaker":"bot","message":"A"}]"#);
}

#[test]
fn an_id_that_occurs_twice_is_an_error() {
    let columns = [("id".to_owned(), "id".to_owned())].into();
    let plan = DatasetPlan { columns, ..plan(Source::Jsonl) };
    check_error(
        &plan,
        "x.jsonl",
        b"{\"prompt\":\"a\",\"id\":7}\n{\"prompt\":\"b\",\"id\":7}\n",
        "x.jsonl: line 2: the id `7` occurs twice",
    );
}

#[test]
fn a_json_array_is_read_element_by_element() {
    let array = br#" [ {"prompt":"a, ] \" }"} , {"prompt":"b","x":[1,{"y":"]"}]} ] "#;
    let samples = read(&plan(Source::Jsonl), "x.json", array).unwrap();
    assert_eq!(texts(samples.rows()), ["a, ] \" }", "b"]);
    check_error(
        &plan(Source::Jsonl),
        "x.json",
        br#"[{"prompt":"a"},{"prompt":"b""#,
        "x.json: element 2: the array has no end",
    );
    check_error(
        &plan(Source::Jsonl),
        "x.json",
        br#"[{"prompt":"a"},17]"#,
        "x.json: element 2, byte 1: not a JSON object near `17`",
    );
}

#[test]
fn what_stands_behind_an_array_is_read_or_refused() {
    for rows in [
        r#"[{"prompt":"a"}][{"prompt":"b"},{"prompt":"c"}]"#,
        "[{\"prompt\":\"a\"}]\n[{\"prompt\":\"b\"}]\n[{\"prompt\":\"c\"}]\n",
        "[{\"prompt\":\"a\"},]\n{\"prompt\":\"b\",\"x\":[{}]}\n{\"prompt\":\"c\"}",
        "[]\n[{\"prompt\":\"a\"},{\"prompt\":\"b\"}] {\"prompt\":\"c\"}[]",
    ] {
        let samples = read(&plan(Source::Jsonl), "x.json", rows.as_bytes()).unwrap();
        assert_eq!(texts(samples.rows()), ["a", "b", "c"], "{rows}");
    }
    for (rest, message) in [
        (" garbage", "behind the end of the array stands other text"),
        (",[{\"prompt\":\"b\"}]", "behind the end of the array stands other text"),
        ("]", "behind the end of the array stands other text"),
        ("{\"prompt\":", "the object behind the array has no end"),
    ] {
        let rows = format!("[{{\"prompt\":\"a\"}}]{rest}");
        let expected = format!("x.json: element 2: {message}");
        check_error(&plan(Source::Jsonl), "x.json", rows.as_bytes(), &expected);
    }
}

#[test]
fn a_value_that_cannot_be_read_does_no_harm_where_it_is_not_asked_for() {
    let deep = format!("{}{}", "[".repeat(150), "]".repeat(150));
    for (odd, words) in [
        ("\"x\":1,\"x\":2", "occurs twice in the row, with two values"),
        (&*format!("\"x\":{deep}"), ""),
        ("\"x\":\"\\ud800\"", "holds half of a surrogate pair, which no text in UTF-8 has"),
        ("\"x\":1e999", "missing or null; the row has `prompt`, `x`"),
    ] {
        let row = format!("{{\"prompt\":\"a\",{odd}}}\n");
        let samples = read(&plan(Source::Jsonl), "x.jsonl", row.as_bytes()).unwrap();
        assert_eq!(texts(samples.rows()), ["a"], "{odd}");
        let columns = [("answer".to_owned(), "x".to_owned())].into();
        let asked = DatasetPlan { columns, ..plan(Source::Jsonl) };
        let expected = format!("x.jsonl: line 1, column `x`: {words}");
        // A list of texts is a gold, and so is any other value as it is written.
        if !words.is_empty() {
            check_error(&asked, "x.jsonl", row.as_bytes(), &expected);
        }
    }
    let twice = b"{\"prompt\":\"a\",\"x\":1,\"x\":2}";
    let template =
        |text: &str| DatasetPlan { prompt: Some(text.to_owned()), ..plan(Source::Jsonl) };
    assert_eq!(texts(read(&template("{{ prompt }}"), "x.jsonl", twice).unwrap().rows()), ["a"]);
    let message = "x.jsonl: line 1: column `x` occurs twice in the row, with two values";
    check_error(&template("{{ x }}"), "x.jsonl", twice, message);
    let same = b"{\"prompt\":\"a\",\"prompt\":\"a\"}";
    assert_eq!(read(&plan(Source::Jsonl), "x.jsonl", same).unwrap().n_samples, 1);
}

#[test]
fn token_ids_and_messages_are_prompts_too() {
    let samples = read(&plan(Source::Jsonl), "x.jsonl", br#"{"prompt":[1,2,3]}"#).unwrap();
    assert_eq!(samples.rows()[0].turns, [Prompt::Tokens(vec![1, 2, 3])]);
    let columns = BTreeMap::from([("messages".to_owned(), "messages".to_owned())]);
    let plan = DatasetPlan { columns, ..plan(Source::Jsonl) };
    let row = br#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"U1"},
        {"role":"assistant","content":"A1"},{"role":"user","content":"U2"}]}"#;
    let row: Vec<u8> = row.iter().copied().filter(|byte| *byte != b'\n').collect();
    let first = Prompt::Messages(vec![Message::new("system", "S"), Message::new("user", "U1")]);
    let samples = read(&plan, "x.jsonl", &row).unwrap();
    assert_eq!(samples.rows()[0].turns, std::slice::from_ref(&first));
    let plan = DatasetPlan { multi_turn: true, ..plan };
    let samples = read(&plan, "x.jsonl", &row).unwrap();
    assert_eq!(samples.rows()[0].turns, [first, Prompt::Text("U2".to_owned())]);
}

#[test]
fn a_prompt_that_is_a_list_is_a_conversation_where_all_turns_are_wanted() {
    let columns = BTreeMap::from([("prompt".to_owned(), "m".to_owned())]);
    let of = |multi_turn: bool, list: &str| {
        let plan = DatasetPlan { columns: columns.clone(), multi_turn, ..plan(Source::Jsonl) };
        read(&plan, "x.jsonl", format!("{{\"m\":{list}}}").as_bytes())
    };
    let text = |text: &str| Prompt::Text(text.to_owned());
    let list = r#"[{"role":"system","content":"S"},{"role":"user","content":"U1"},{"role":"assistant","content":"A1"},{"role":"user","content":"U2"},{"role":"assistant","content":"A2"}]"#;
    let (system, user) = (Message::new("system", "S"), Message::new("user", "U1"));
    let samples = of(true, list).unwrap();
    let first = Prompt::Messages(vec![system.clone(), user.clone()]);
    assert_eq!(samples.rows()[0].turns, [first, text("U2")]);
    // Sent as it stands, but for the answer that the model is asked for.
    let samples = of(false, list).unwrap();
    let messages = [system, user, Message::new("assistant", "A1"), Message::new("user", "U2")];
    assert_eq!(samples.rows()[0].turns, [Prompt::Messages(messages.to_vec())]);
    assert_eq!(
        samples.remarks().as_deref(),
        Some("changed: 1 a closing message of an assistant is not sent")
    );
    let begun =
        r#"[{"role":"user","content":"U"},{"role":"assistant","content":"A","prefix":true}]"#;
    let samples = of(false, begun).unwrap();
    assert!(matches!(&samples.rows()[0].turns[..], [Prompt::Messages(sent)] if sent.len() == 2));
    let answers = of(false, r#"[{"role":"assistant","content":"A"}]"#).unwrap_err();
    assert!(answers.message.contains("all messages are an assistant's"), "{answers}");
    assert_eq!(of(true, r#"["T1","T2"]"#).unwrap().rows()[0].turns, [text("T1"), text("T2")]);
    let plan = DatasetPlan { multi_turn: true, ..plan(Source::Jsonl) };
    let samples = read(&plan, "x.jsonl", br#"{"question_id":81,"turns":["T1","T2"]}"#).unwrap();
    assert_eq!(samples.rows()[0].turns, [text("T1"), text("T2")]);
}

#[test]
fn calls_of_tools_and_what_tools_return_are_history_with_all_their_members() {
    let calls = r#"[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
    let history = format!(
        r#"{{"role":"user","content":"U","name":"ann"}},{{"role":"assistant","content":null,"tool_calls":{calls}}},{{"role":"tool","content":"5","tool_call_id":"c1","delay":5}}"#
    );
    let sent = |role: &str, more: &str| {
        let columns = BTreeMap::from([(role.to_owned(), "m".to_owned())]);
        let plan = DatasetPlan { columns, ..plan(Source::Jsonl) };
        let row = format!("{{\"m\":[{history}{more}]}}");
        let samples = read(&plan, "x.jsonl", row.as_bytes()).unwrap();
        let [Prompt::Messages(messages)] = &samples.rows()[0].turns[..] else { panic!("messages") };
        serde_json::to_value(messages).unwrap()
    };
    let expected: serde_json::Value =
        serde_json::from_str(&format!("[{history}]").replace(",\"delay\":5", "")).unwrap();
    assert_eq!(sent("prompt", ""), expected);
    assert_eq!(sent("messages", ""), expected);
    let answer = r#",{"role":"assistant","content":"A","tool_calls":[]}"#;
    assert_eq!(sent("messages", answer), expected);
    // A call that no tool answers is what the model is asked for.
    let call = format!(r#",{{"role":"assistant","content":"","tool_calls":{calls}}}"#);
    assert_eq!(sent("messages", &call), expected);
    let own = r#",{"role":"user","content":"V","toxic":false,"name":null}"#;
    assert_eq!(sent("messages", own)[3], serde_json::json!({"role": "user", "content": "V"}));
    assert_eq!(sent("prompt", own)[3]["toxic"], false);
}

#[test]
fn tools_of_a_row_and_the_arguments_of_calls_keep_the_order_of_the_file() {
    let tools = r#"[{"type":"function","function":{"name":"f","parameters":{"z":1,"a":2}}}]"#;
    let calls = r#"[{"type":"function","id":"c","function":{"name":"f","arguments":{"z":1,"a":[{"y":2,"b":3}]}}}]"#;
    let messages = format!(
        r#"[{{"role":"user","content":"U"}},{{"role":"assistant","tool_calls":{calls}}},{{"role":"tool","content":"5"}}]"#
    );
    let sent = |part: &str, row: &str| {
        let columns = BTreeMap::from([(part.to_owned(), "m".to_owned())]);
        let plan = DatasetPlan { columns, ..plan(Source::Jsonl) };
        let samples = read(&plan, "x.jsonl", row.as_bytes()).unwrap();
        let sample = &samples.rows()[0];
        let [Prompt::Messages(messages)] = &sample.turns[..] else { panic!("messages") };
        let tools = sample.tools.as_ref().map(|tools| serde_json::to_string(tools).unwrap());
        (serde_json::to_string(messages).unwrap(), tools, samples.roles.clone())
    };
    // In lists, and in texts that hold them as JSON.
    let text = |json: &str| serde_json::Value::from(json).to_string();
    for row in [
        format!(r#"{{"m":{messages},"tools":{tools}}}"#),
        format!(r#"{{"m":{},"tools":{}}}"#, text(&messages), text(tools)),
    ] {
        let (found, own, roles) = sent("messages", &row);
        assert_eq!(found, messages, "a call without `content` has none");
        assert_eq!(own.as_deref(), Some(tools));
        assert!(roles.contains(&("tools", "tools".to_owned())), "{roles:?}");
    }
    let bare = r#"[{"name":"f","parameters":{"z":1,"a":2}}]"#;
    let (_, own, _) = sent("messages", &format!(r#"{{"m":{messages},"tools":{bare}}}"#));
    assert_eq!(own.as_deref(), Some(tools), "a request has each in a definition of a tool");
    let (found, own, _) = sent("prompt", &format!(r#"{{"m":{messages},"tools":[{{"a":1}}]}}"#));
    assert_eq!((found, own), (messages, None), "no definitions of functions");
}

#[test]
fn a_trace_counts_time_from_its_first_row() {
    let trace =
        DatasetPlan { is_replayed: true, time_unit: Some(TimeUnit::Ms), ..plan(Source::Trace) };
    let bytes = b"{\"timestamp\":1000,\"prompt\":\"a\",\"output_length\":5}\n\
                  {\"timestamp\":1250,\"prompt\":\"b\",\"output_length\":6}\n";
    let samples = read(&trace, "x.jsonl", bytes).unwrap();
    assert_eq!(samples.rows()[0].at, Some(Nanos::ZERO));
    assert_eq!(samples.rows()[1].at, Some(Nanos::from_millis(250)));
    assert_eq!(samples.rows()[1].output_tokens, Some(6));
    check_error(
        &trace,
        "x.jsonl",
        b"{\"timestamp\":2,\"prompt\":\"a\"}\n{\"timestamp\":1,\"prompt\":\"b\"}\n",
        "x.jsonl: line 2: its time is before that of an earlier row",
    );
}

#[test]
fn the_order_depends_on_the_seed_alone_and_a_limit_is_its_beginning() {
    let rows: Vec<_> = (0..200).map(|n| format!("{{\"prompt\":\"{n}\"}}")).collect();
    let bytes = rows.join("\n");
    let plan = DatasetPlan { shuffle: true, ..plan(Source::Jsonl) };
    let order = |seed, limit, needs| {
        let plan = DatasetPlan { limit, ..plan.clone() };
        let asked = Load { seed: Seed(seed), needs, ..asked(&plan) };
        let samples = load(&asked, vec![Input::bytes("x.jsonl", bytes.clone())]).unwrap();
        let texts: Vec<_> = texts(samples.rows()).into_iter().map(str::to_owned).collect();
        (texts, samples.n_samples)
    };
    let (all, n_samples) = order(1, None, None);
    assert_eq!(n_samples, 200);
    assert_eq!(order(1, None, None).0, all);
    assert_ne!(order(2, None, None).0, all);
    assert_eq!(order(1, Some(10), None), (all[..10].to_vec(), 10));
    assert_eq!(order(1, None, Some(10)), (all[..10].to_vec(), 200));
    let mut sorted = all.clone();
    sorted.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(sorted, (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn no_more_rows_are_read_than_the_run_needs() {
    let asked = |plan: &DatasetPlan, needs| {
        let bytes = b"{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"prompt\":\"c\"}\n{oops}\n";
        let asked = Load { needs, ..asked(plan) };
        load(&asked, vec![Input::bytes("x.jsonl", &bytes[..])])
    };
    let in_order = plan(Source::Jsonl);
    let samples = asked(&in_order, Some(2)).unwrap();
    assert_eq!(texts(samples.rows()), ["a", "b"]);
    assert_eq!((samples.n_samples, samples.n_looked_at), (2, Some(2)));
    let shuffled = DatasetPlan { shuffle: true, ..in_order.clone() };
    for plan in [in_order, shuffled] {
        assert!(asked(&plan, None).unwrap_err().message.contains("not valid JSON"));
    }
}

#[test]
fn a_row_larger_than_any_row_may_be_is_passed_over_in_bounded_memory() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"{\"prompt\":\"").unwrap();
    for _ in 0..66 {
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    file.write_all(b"\"}\n{\"prompt\":\"small\"}\n").unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let plan = skipping(Source::Jsonl);
    let asked = asked(&plan);
    let samples = load(&asked, vec![Input::file("x.jsonl", file)]).unwrap();
    assert_eq!(texts(samples.rows()), ["small"]);
    assert_eq!(samples.left_out, [("not readable".to_owned(), 1)]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        name in prop_oneof!["x.jsonl", "x.csv", "x.txt", "x.json"],
        skips in any::<bool>(),
    ) {
        for source in [Source::Jsonl, Source::Csv, Source::Text, Source::Trace, Source::Gsm8k] {
            let plan = if skips { skipping(source) } else { plan(source) };
            drop(read(&plan, &name, &bytes));
        }
    }

    #[test]
    fn any_text_survives_jsonl_csv_and_json_arrays(text in "[^\r\n\0]{0,40}[a-z]") {
        let row = serde_json::json!({ "prompt": text }).to_string();
        let samples = read(&plan(Source::Jsonl), "x.jsonl", row.as_bytes()).unwrap();
        prop_assert_eq!(texts(samples.rows()), [text.as_str()]);
        let array = format!("[{row},{row}]");
        let samples = read(&plan(Source::Jsonl), "x.json", array.as_bytes()).unwrap();
        prop_assert_eq!(texts(samples.rows()), [text.as_str(), text.as_str()]);
        let csv = format!("prompt\n\"{}\"\n", text.replace('"', "\"\""));
        let samples = read(&plan(Source::Csv), "x.csv", csv.as_bytes()).unwrap();
        prop_assert_eq!(texts(samples.rows()), [text.as_str()]);
    }
}
