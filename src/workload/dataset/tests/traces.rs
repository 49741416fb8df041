//! Traces as they are published: times, lengths and shared blocks.

use std::io::Write as _;

use crate::plan::cell::{BadRows, DatasetPlan, Source, TimeUnit};
use crate::units::Nanos;
use crate::workload::dataset::tests::sources::{asked, plan};
use crate::workload::dataset::tests::tokens::words;
use crate::workload::dataset::{Load, load};
use crate::workload::error::DataError;
use crate::workload::input::Input;
use crate::workload::request::Prompt;
use crate::workload::samples::Samples;

fn trace() -> DatasetPlan {
    DatasetPlan { is_replayed: true, ..plan(Source::Trace) }
}

fn read(plan: &DatasetPlan, name: &str, text: &str) -> Result<Samples, DataError> {
    let tokenizer = words();
    let asked = Load { name: "t", tokenizer: Some(&tokenizer), ..asked(plan) };
    load(&asked, vec![Input::bytes(name, text.to_owned())])
}

/// Each row's milliseconds, tokens of its prompt, and tokens of its answer.
fn told(samples: &Samples) -> Vec<(f64, u32, Option<u32>)> {
    let tokenizer = words();
    let of_row = samples.rows().iter().map(|sample| {
        let Prompt::Text(text) = &*samples.prompt(sample, 0).unwrap() else { panic!("one text") };
        let n_tokens = tokenizer.count(text).unwrap();
        (sample.at.unwrap().as_millis_f64(), n_tokens, sample.output_tokens)
    });
    of_row.collect()
}

const MOONCAKE: &str = r#"{"timestamp": 0, "input_length": 1100, "output_length": 50, "hash_ids": [0, 1, 2]}
{"timestamp": 305, "input_length": 1300, "output_length": 49, "hash_ids": [0, 1, 3]}
{"timestamp": 610, "input_length": 300, "output_length": 12, "hash_ids": [7]}
"#;

#[test]
fn mooncakes_lengths_become_prompts_that_share_what_equal_ids_say() {
    let samples = read(&trace(), "mooncake.jsonl", MOONCAKE).unwrap();
    let expected = [(0.0, 1100, Some(50)), (305.0, 1300, Some(49)), (610.0, 300, Some(12))];
    assert_eq!(told(&samples), expected);
    assert_eq!(samples.n_distinct, 3);
    let tokens: Vec<Vec<u32>> = samples
        .rows()
        .iter()
        .map(|sample| match &*samples.prompt(sample, 0).unwrap() {
            Prompt::Text(text) => words().encode(text).unwrap(),
            _ => panic!("a text"),
        })
        .collect();
    let shared = |a: &[u32], b: &[u32]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (first, other) = (shared(&tokens[0], &tokens[1]), shared(&tokens[0], &tokens[2]));
    // One of 200 words is drawn: the next ones may be the same by chance.
    assert!((1024..1032).contains(&first) && other < 8, "{first}, {other}");
    assert_eq!(
        samples.trace.unwrap().to_string(),
        "3 requests over 0.61 s, 3.279 per s; times in ms, as in Mooncake's traces"
    );
}

#[test]
fn ids_stand_for_as_many_tokens_as_lengths_and_their_numbers_say() {
    let row = |at: u64, ids: &[u64]| {
        format!(
            "{{\"timestamp\":{at},\"input_length\":1100,\"output_length\":5,\"hash_ids\":{ids:?}}}\n"
        )
    };
    let ids: Vec<u64> = (0..18).collect();
    let parted: Vec<u64> = (0..9).chain(100..109).collect();
    let text = row(0, &ids) + &row(10, &parted);
    let as_ids = [("prompt".to_owned(), "token-ids".to_owned())].into();
    let plan = DatasetPlan { columns: as_ids, ..trace() };
    let samples = read(&plan, "blocks.jsonl", &text).unwrap();
    let prompt = |row: usize| match &*samples.prompt(&samples.rows()[row], 0).unwrap() {
        Prompt::Tokens(tokens) => tokens.clone(),
        _ => panic!("ids"),
    };
    let (one, other) = (prompt(0), prompt(1));
    let shared = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    assert!((576..580).contains(&shared), "{shared}");
    assert_eq!(samples.n_distinct, 2);
    let told = samples.trace.as_ref().unwrap().to_string();
    assert!(told.ends_with("as in Mooncake's traces; `hash_ids` of 64 tokens"), "{told}");
    let odd = row(0, &ids[..10]).replace("1100", "1000");
    let error = read(&plan, "blocks.jsonl", &odd).unwrap_err();
    assert!(error.message.contains("has 10 ids of blocks"), "{error}");
    let said = DatasetPlan { block_tokens: Some(110), ..plan };
    assert!(read(&said, "blocks.jsonl", &odd).is_ok());
}

#[test]
fn azures_and_burstgpts_traces_are_read_as_they_are_published() {
    let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                 2023-11-16 18:15:46.6805900,374,44\n\
                 2023-11-16 18:15:46.9951690,396,109\n\
                 2023-11-16 18:15:48.2224310,879,55\n";
    let samples = read(&trace(), "azure.csv", azure).unwrap();
    let expected = [(0.0, 374, Some(44)), (314.579, 396, Some(109)), (1541.841, 879, Some(55))];
    assert_eq!(told(&samples), expected);
    let burstgpt = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                    5,ChatGPT,472,18,490,Conversation log\n\
                    5,ChatGPT,300,0,300,API log\n\
                    8,GPT-4,187,30,217,API log\n";
    let samples = read(&trace(), "burstgpt.csv", burstgpt).unwrap();
    assert_eq!(told(&samples), [(0.0, 472, Some(18)), (3000.0, 187, Some(30))]);
    let failed = "a request that failed at the source, without answer tokens";
    assert_eq!(samples.left_out, [(failed.to_owned(), 1)]);
}

#[test]
fn a_unit_is_known_shown_or_asked_for() {
    let rows = |times: &[&str]| {
        let row = |time: &&str| format!("{{\"timestamp\":{time},\"prompt\":\"a\"}}\n");
        times.iter().map(row).collect::<String>()
    };
    let unit = |plan: &DatasetPlan, times: &[&str]| {
        read(plan, "x.jsonl", &rows(times)).map(|samples| samples.trace.unwrap().to_string())
    };
    assert_eq!(
        unit(&trace(), &["0.0", "0.2", "0.4"]).unwrap(),
        "3 requests over 0.4 s, 5 per s; times in s, as they have fractions"
    );
    let asked = unit(&trace(), &["0", "200", "400"]).unwrap_err();
    assert!(asked.message.contains("whole numbers without a unit: 0, 200, 400"), "{asked}");
    assert!(asked.help.contains("time-unit = \"ms\""), "{}", asked.help);
    let said = DatasetPlan { time_unit: Some(TimeUnit::Ms), ..trace() };
    assert_eq!(
        unit(&said, &["0", "200", "400"]).unwrap(),
        "3 requests over 0.4 s, 5 per s; times in ms"
    );
    let none = read(&trace(), "x.jsonl", "{\"prompt\":\"a\"}\n").unwrap_err();
    assert!(none.message.starts_with("no time: missing or null; the row has `prompt`"), "{none}");
}

#[test]
fn one_date_says_for_all_whether_days_or_months_come_first() {
    let days = |dates: &[&str]| {
        let row = |date: &&str| format!("{date} 10:00:00,10,5\n");
        let rows: String = dates.iter().map(row).collect();
        let samples =
            read(&trace(), "t.csv", &format!("timestamp,input_length,output_length\n{rows}"));
        samples.map(|samples| samples.trace.unwrap().span.0 / (86_400 * 1_000_000_000))
    };
    assert_eq!(days(&["05/10/2024", "05/13/2024"]).unwrap(), 3);
    assert_eq!(days(&["10/05/2024", "12/05/2024", "13/05/2024"]).unwrap(), 3);
    assert_eq!(days(&["05/10/2024", "05/10/2024"]).unwrap(), 0);
    assert!(days(&["05/10/2024", "05/11/2024"]).is_err());
    assert!(days(&["05/10/2024", "05/13/2024", "14/05/2024"]).is_err());
    // A file is read from its beginning after that look.
    let mut file = tempfile::tempfile().unwrap();
    let row = "{\"timestamp\":\"1/2/2024 10:00:00\",\"prompt\":\"a\"}\n";
    file.write_all(row.repeat(2_000).as_bytes()).unwrap();
    let plan = trace();
    let samples = load(&asked(&plan), vec![Input::file("t.jsonl", file)]).unwrap();
    assert_eq!(samples.n_samples, 2_000);
}

#[test]
fn a_column_of_times_is_one_only_where_they_are_replayed() {
    let text =
        "{\"timestamp\":\"yesterday\",\"prompt\":\"a\"}\n{\"timestamp\":7,\"prompt\":\"b\"}\n";
    for source in [Source::Jsonl, Source::Trace] {
        let samples = read(&plan(source), "x.jsonl", text).unwrap();
        assert_eq!((samples.n_samples, samples.trace), (2, None));
    }
}

#[test]
fn a_trace_of_texts_needs_no_name_for_them() {
    let text = "{\"timestamp\":0,\"text_input\":\"a b\",\"output_length\":5}\n\
                {\"timestamp\":40,\"text_input\":\"c\"}\n";
    let plan = DatasetPlan { time_unit: Some(TimeUnit::Ms), ..trace() };
    let samples = read(&plan, "x.jsonl", text).unwrap();
    assert_eq!(told(&samples), [(0.0, 2, Some(5)), (40.0, 1, None)]);
    // Elsewhere it is a column as any other.
    let jsonl = DatasetPlan { source: Source::Jsonl, is_replayed: false, ..plan };
    assert!(read(&jsonl, "x.jsonl", text).is_err());
}

#[test]
fn a_slice_of_time_is_replayed_from_its_own_beginning() {
    let ms = |ms| Some(Nanos::from_millis(ms));
    let slice = DatasetPlan { after: ms(300), before: ms(600), ..trace() };
    let samples = read(&slice, "mooncake.jsonl", MOONCAKE).unwrap();
    assert_eq!(told(&samples), [(5.0, 1300, Some(49))]);
}

#[test]
fn lengths_need_a_tokenizer_whatever_bad_rows_do() {
    let plan = DatasetPlan { bad_rows: BadRows::Skip, ..trace() };
    let asked = Load { name: "t", ..asked(&plan) };
    let error = load(&asked, vec![Input::bytes("m.jsonl", MOONCAKE)]).unwrap_err();
    assert!(error.message.contains("no tokenizer is given"), "{error}");
    assert_eq!(error.help, "set `tokenizer` on the data set");
}

#[test]
fn times_that_cannot_be_held_are_no_times() {
    let said = DatasetPlan { time_unit: Some(TimeUnit::S), ..trace() };
    let text = "{\"timestamp\":0,\"prompt\":\"a\"}\n{\"timestamp\":1e20,\"prompt\":\"b\"}\n";
    let error = read(&said, "x.jsonl", text).unwrap_err();
    assert!(error.message.contains("more than 584 years"), "{error}");
}

#[test]
fn blocks_of_a_thousand_rows_are_the_same_tokens_where_their_ids_are() {
    use std::collections::BTreeMap;

    // Forty conversations that grow by a block each time, behind three system prompts.
    let row = |row: u64| {
        let (talk, turn) = (row % 40, row / 40);
        let ids = std::iter::once(talk % 3).chain((0..=turn).map(|at| 100 + talk * 100 + at));
        let ids: Vec<u64> = ids.collect();
        let n = 512 * ids.len() as u64 - row % 500;
        format!(
            "{{\"timestamp\":{},\"input_length\":{n},\"output_length\":5,\"hash_ids\":{ids:?}}}\n",
            row * 3
        )
    };
    let text: String = (0..1_000).map(row).collect();
    let as_ids = [("prompt".to_owned(), "token-ids".to_owned())].into();
    let samples = read(&DatasetPlan { columns: as_ids, ..trace() }, "m.jsonl", &text).unwrap();
    assert_eq!(samples.rows().len(), 1_000);
    let mut blocks: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (line, sample) in text.lines().zip(samples.rows()) {
        let asked: serde_json::Value = serde_json::from_str(line).unwrap();
        let Prompt::Tokens(tokens) = &*samples.prompt(sample, 0).unwrap() else { panic!("ids") };
        assert_eq!(tokens.len() as u64, asked["input_length"].as_u64().unwrap());
        for (id, block) in asked["hash_ids"].as_array().unwrap().iter().zip(tokens.chunks(512)) {
            let known = blocks.entry(id.as_u64().unwrap()).or_insert_with(|| block.to_vec());
            let n = known.len().min(block.len());
            assert_eq!(known[..n], block[..n], "block {id}");
            if block.len() > known.len() {
                *known = block.to_vec();
            }
        }
    }
    let n_ids = blocks.len();
    // Beginnings of blocks of other ids differ.
    let starts: std::collections::BTreeSet<_> = blocks.values().map(|block| &block[..12]).collect();
    assert_eq!((n_ids, starts.len()), (3 + 40 * 25, n_ids));
}

#[test]
fn rows_without_a_place_in_time_say_what_to_do_about_their_times() {
    let check = |times: &[&str], plan: &DatasetPlan, message: &str, help: &str| {
        let rows = times.iter().map(|time| format!("{{\"timestamp\":{time},\"prompt\":\"p\"}}\n"));
        let error = read(plan, "x.jsonl", &rows.collect::<String>()).unwrap_err();
        assert!(error.message.contains(message), "{error}");
        assert!(error.help.contains(help), "{}", error.help);
    };
    let days = ["\"03/04/2024 23:59:59\"", "\"04/04/2024 00:00:00\""];
    check(&days, &trace(), "whether the day or the month is first", "with the year first");
    let clock = ["\"23:59:58\"", "\"23:59:59\"", "\"00:00:01\"", "\"00:00:02\""];
    check(&clock, &trace(), "before that of an earlier row", "sort the rows by their time");
    let after = Some(Nanos::from_secs_f64(10.0));
    let sliced = DatasetPlan { time_unit: Some(TimeUnit::S), after, ..trace() };
    let help = "the last one read is 3.00 s behind it";
    check(&["1", "4"], &sliced, "2 outside the slice of time", help);
}
