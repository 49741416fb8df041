//! What needs a tokenizer: `ShareGPT`'s filter, exact lengths, answers' lengths.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::chat_template::{ModelFiles, Told};
use crate::plan::cell::{BadRows, DatasetPlan, LengthRange, PromptForm, Source};
use crate::workload::chat::Spoken;
use crate::workload::dataset::tests::sources::{asked, plan, texts};
use crate::workload::dataset::{Load, load};
use crate::workload::error::DataError;
use crate::workload::input::Input;
use crate::workload::request::Prompt;
use crate::workload::samples::Samples;
use crate::workload::tokenizer::Tokenizer;

/// One token per word, cut at white space and punctuation.
pub(crate) fn words() -> Arc<Tokenizer> {
    let mut vocabulary = serde_json::Map::new();
    vocabulary.insert("[UNK]".to_owned(), json!(0));
    for n in 0..200_u32 {
        let letters = [n / 26, n % 26].map(|digit| char::from(b'a' + (digit % 26) as u8));
        vocabulary.insert(letters.iter().collect(), json!(n + 1));
    }
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null, "decoder": null,
        "added_tokens": [{
            "id": 0, "content": "[UNK]", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true,
        }],
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" },
    });
    Arc::new(Tokenizer::from_json("words", file.to_string().as_bytes()).unwrap())
}

/// Letters and a few merges of them, as in GPT-2: texts do not fall apart at spaces alone.
fn letters() -> Arc<Tokenizer> {
    let mut vocabulary = serde_json::Map::new();
    for (id, letter) in ('a'..='z').chain(['Ġ']).enumerate() {
        vocabulary.insert(letter.to_string(), json!(id));
    }
    let merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("a", "n"), ("an", "d")];
    for (left, right) in merges {
        vocabulary.insert(format!("{left}{right}"), json!(vocabulary.len()));
    }
    let merges: Vec<_> = merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "added_tokens": [],
        "model": { "type": "BPE", "vocab": vocabulary, "merges": merges },
    });
    Arc::new(Tokenizer::from_json("letters", file.to_string().as_bytes()).unwrap())
}

fn read(
    plan: &DatasetPlan,
    tokenizer: &Arc<Tokenizer>,
    needs: Option<u64>,
    bytes: &[u8],
) -> Result<Samples, DataError> {
    let tokenizer = Some(tokenizer);
    let asked = Load { needs, tokenizer, ..asked(plan) };
    load(&asked, vec![Input::bytes("x.json", bytes.to_vec())])
}

#[test]
fn what_is_no_tokenizer_is_named_as_what_it_is() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n";
    let error = Tokenizer::from_json("owner/model", pointer).unwrap_err();
    assert!(error.to_string().contains("a pointer of Git LFS"), "{error}");
    let page = Tokenizer::from_json("owner/model", b"<!doctype html>").unwrap_err();
    assert!(page.to_string().contains("a web page"), "{page}");
}

#[test]
fn messages_that_the_chat_template_refuses_are_bad_rows_of_their_kind() {
    let jinja = "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}";
    let files = ModelFiles { jinja: Some(jinja.into()), ..ModelFiles::default() };
    let plan = DatasetPlan {
        chat_template: Some(PromptForm::Text),
        bad_rows: BadRows::Skip,
        max_bad_rows: 0.5,
        ..plan(Source::Jsonl)
    };
    let spoken = Spoken::of(&plan, &files, &Told::default(), &words()).unwrap();
    let asked = Load { chat: spoken.chat.as_ref(), ..asked(&plan) };
    let refused =
        r#"{"prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "b"}]}"#;
    let rows = format!("{{\"prompt\": \"a\"}}\n{refused}\n{{\"prompt\": \"c\"}}\n");
    let samples = load(&asked, vec![Input::bytes("x.jsonl", rows)]).unwrap();
    assert_eq!(samples.left_out, [("messages that the chat template refuses".to_owned(), 1)]);
    let stop = DatasetPlan { bad_rows: BadRows::Stop, ..plan.clone() };
    let error = load(&Load { plan: &stop, ..asked }, vec![Input::bytes("x.jsonl", refused)]);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("x.jsonl: line 1: ") && error.contains("user first"), "{error}");
}

#[test]
fn a_share_of_random_prompts_begins_with_one_of_several_prefixes() {
    let prefixes = |n: Option<u32>, warm: Option<f64>| {
        let length = Some(LengthRange { min: 12, max: 12 });
        let plan = DatasetPlan {
            input_words: length,
            shared_prefix_tokens: 8,
            shared_prefixes: n,
            warm,
            limit: Some(200),
            ..plan(Source::Random)
        };
        let samples = load(&asked(&plan), Vec::new()).unwrap();
        let mut n_by_prefix: BTreeMap<String, u32> = BTreeMap::new();
        for text in texts(samples.rows()) {
            let prefix: Vec<&str> = text.split(' ').take(8).collect();
            *n_by_prefix.entry(prefix.join(" ")).or_default() += 1;
        }
        let shared: Vec<u32> = n_by_prefix.values().copied().filter(|n| *n > 1).collect();
        (shared.len(), shared.iter().sum::<u32>(), n_by_prefix)
    };
    let (n_shared, n_warm, _) = prefixes(Some(8), Some(0.5));
    assert_eq!((n_shared, n_warm), (8, 100));
    let (n_shared, n_warm, _) = prefixes(Some(3), None);
    assert_eq!((n_shared, n_warm), (3, 200));
    let one = prefixes(None, None);
    assert_eq!((one.0, one.1), (1, 200));
    assert!(prefixes(Some(8), None).2.contains_key(one.2.first_key_value().unwrap().0));
}

#[test]
fn sharegpt_is_filtered_as_serving_benchmarks_do() {
    let turns = |lengths: &[usize]| {
        let turns: Vec<_> = lengths
            .iter()
            .enumerate()
            .map(|(index, length)| {
                let from = if index % 2 == 0 { "human" } else { "gpt" };
                json!({ "from": from, "value": "aa ".repeat(*length).trim_end() })
            })
            .collect();
        // Long conversations were cut into several rows.
        json!({ "id": "the same", "conversations": turns })
    };
    let file = json!([
        turns(&[10]),
        turns(&[3, 10]),
        turns(&[10, 3]),
        turns(&[4, 4]),
        turns(&[1024, 1024, 9]),
        turns(&[1025, 10]),
        turns(&[1000, 1049]),
        turns(&[5, 6, 7, 8]),
    ]);
    let sharegpt = plan(Source::Sharegpt);
    let samples = read(&sharegpt, &words(), None, file.to_string().as_bytes()).unwrap();
    let kept: Vec<_> = samples.rows().iter().map(|s| (s.row, s.output_tokens)).collect();
    assert_eq!(kept, [(3, Some(4)), (4, Some(1024)), (7, Some(6))]);
    assert_eq!(
        samples.left_out,
        [
            ("fewer than two turns".to_owned(), 1),
            ("a prompt or answer of fewer than 4 tokens".to_owned(), 2),
            ("a prompt of more than 1024 tokens".to_owned(), 1),
            ("more than 2048 tokens of prompt and answer".to_owned(), 1),
        ]
    );
    let whole = DatasetPlan { multi_turn: true, ..sharegpt.clone() };
    let samples = read(&whole, &words(), None, file.to_string().as_bytes()).unwrap();
    assert_eq!(samples.rows()[2].turns.len(), 2);
    assert_eq!(samples.rows()[2].turns[1], Prompt::Text("aa aa aa aa aa aa aa".to_owned()));

    let asked = asked(&sharegpt);
    let error = load(&asked, vec![]).unwrap_err();
    assert_eq!(error.help, "set `tokenizer` on the data set");
}

#[test]
fn rows_of_conversations_have_system_messages_lengths_and_ids_of_their_own() {
    let conversation = json!([
        { "from": "human", "value": "aa ab ac ad" }, { "from": "gpt", "value": "aa ab ac ad ae" },
    ]);
    let row = json!({
        "system": "be brief", "sys": null, "len": 77, "conversations": conversation, "messages": conversation,
    });
    let of = |source: Source, columns: &[(&str, &str)], row: &serde_json::Value| {
        let columns = columns.iter().map(|(part, name)| ((*part).to_owned(), (*name).to_owned()));
        let plan = DatasetPlan { columns: columns.collect(), ..plan(source) };
        read(&plan, &words(), None, json!([row]).to_string().as_bytes())
    };
    let told = |samples: &Samples| {
        let [sample] = samples.rows() else { panic!("one row") };
        let text = match &sample.turns[..] {
            [Prompt::Text(text)] => text.clone(),
            [Prompt::Messages(messages)] => {
                let told = messages.iter().map(|it| format!("{}: {}", it.role, it.text()));
                told.collect::<Vec<_>>().join("; ") + "; "
            }
            other => panic!("{other:?}"),
        };
        (text, sample.output_tokens, sample.id.clone())
    };
    let parts = [("messages", "messages"), ("session", "len")];
    let beside = json!({ "prompt": "unsent", "len": 1, "messages": conversation });
    let samples = of(Source::Jsonl, &parts, &beside).unwrap();
    assert_eq!(samples.roles, [("messages", "messages".to_owned())], "others do nothing");
    let asked = "aa ab ac ad";
    for source in [Source::Sharegpt, Source::Ultrachat] {
        let told = |columns: &[(&str, &str)]| told(&of(source, columns, &row).unwrap());
        let behind = format!("system: be brief; user: {asked}; ");
        assert_eq!(told(&[]), (behind.clone(), Some(5), None));
        assert_eq!(told(&[("system", "sys")]), (asked.to_owned(), Some(5), None));
        let lengths = [("output-length", "len"), ("id", "len")];
        assert_eq!(told(&lengths), (behind, Some(77), Some("77".to_owned())));
        let error = of(source, &[("system", "typo")], &row).unwrap_err();
        assert!(error.message.starts_with("missing; the row has"), "{error}");
    }
    // Its own message of the system stays the only one.
    let with_own = json!([{ "from": "system", "value": "own" }, conversation[0], conversation[1]]);
    let row = json!({ "system": "be brief", "conversations": with_own });
    let own = told(&of(Source::Sharegpt, &[], &row).unwrap());
    assert_eq!(own.0, format!("system: own; user: {asked}; "));
}

/// Conversations of `[prompt, answer]` in words.
fn conversations(lengths: impl IntoIterator<Item = [usize; 2]>) -> Vec<u8> {
    let turn = |from: &str, n: usize| json!({ "from": from, "value": "aa ".repeat(n).trim_end() });
    let row = |[asked, answered]: [usize; 2]| json!({ "conversations": [turn("human", asked), turn("gpt", answered)] });
    let rows: Vec<_> = lengths.into_iter().map(row).collect();
    json!(rows).to_string().into_bytes()
}

#[test]
fn conversations_behind_all_that_the_run_needs_are_not_cut_into_tokens() {
    let file = conversations((0..500_usize).map(|row| if row % 5 == 0 { [1, 1] } else { [9, 9] }));
    let in_order = plan(Source::Sharegpt);
    let shuffled = DatasetPlan { shuffle: true, ..in_order.clone() };
    let rows = |samples: &Samples| samples.rows().iter().map(|s| s.row).collect::<Vec<_>>();
    for plan in [in_order, shuffled] {
        let all = read(&plan, &words(), None, &file).unwrap();
        assert_eq!((all.n_samples, all.n_looked_at), (400, None));
        let few = read(&plan, &words(), Some(4), &file).unwrap();
        assert_eq!(rows(&few), rows(&all)[..4]);
        let looked_at = few.n_looked_at.unwrap();
        let left_out: u64 = few.left_out.iter().map(|(_, n)| n).sum();
        assert_eq!(few.n_samples + left_out, looked_at);
        assert!(looked_at < 60, "{looked_at} of 500");
    }
}

#[test]
fn ultrachat_asks_the_first_message_and_knows_its_answers_length() {
    let row = json!({
        "prompt": "aa ab", "prompt_id": "x",
        "messages": [
            { "role": "user", "content": "aa ab" }, { "role": "assistant", "content": "ac ad ae" },
            { "role": "user", "content": "af" }, { "role": "assistant", "content": "ag" },
        ],
    });
    let samples =
        read(&plan(Source::Ultrachat), &words(), None, row.to_string().as_bytes()).unwrap();
    assert_eq!(texts(samples.rows()), ["aa ab"]);
    assert_eq!(samples.rows()[0].output_tokens, Some(3));
}

#[test]
fn the_length_of_the_gold_answer_counts_when_no_column_gives_one() {
    let row = br#"{"question":"aa","answer":"aa ab ac"}"#;
    let samples = read(&plan(Source::Gsm8k), &words(), None, row).unwrap();
    assert_eq!(samples.rows()[0].output_tokens, Some(3));
}

fn random(min: u32, max: u32) -> DatasetPlan {
    DatasetPlan {
        input_tokens: Some(LengthRange { min, max }),
        output_tokens: Some(LengthRange { min: 16, max: 16 }),
        ..plan(Source::Random)
    }
}

#[test]
fn generated_prompts_have_exactly_the_length_asked_for() {
    for tokenizer in [words(), letters()] {
        for length in [1, 2, 17, 256] {
            let samples = read(&random(length, length), &tokenizer, Some(20), b"").unwrap();
            assert_eq!(samples.rows().len(), 20);
            for sample in samples.rows() {
                let [Prompt::Text(text)] = sample.turns.as_slice() else { panic!("a text") };
                assert_eq!(tokenizer.count(text).unwrap(), length, "{text:?}");
                assert_eq!(sample.output_tokens, Some(16));
            }
        }
    }
}

#[test]
fn generated_lengths_fill_their_range_and_do_not_depend_on_how_many_are_made() {
    let plan = random(10, 30);
    let few = read(&plan, &words(), Some(5), b"").unwrap();
    let many = read(&plan, &words(), Some(300), b"").unwrap();
    assert_eq!(few.rows(), &many.rows()[..5]);
    assert_ne!(few.recipe_sha256, many.recipe_sha256);
    let lengths: Vec<u32> =
        texts(many.rows()).iter().map(|text| words().count(text).unwrap()).collect();
    assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&10), Some(&30)));
    assert_eq!(many.n_distinct, 300);
}

#[test]
fn a_shared_prefix_is_shared_and_part_of_the_length() {
    let plan = DatasetPlan { shared_prefix_tokens: 8, ..random(12, 12) };
    let tokenizer = words();
    let samples = read(&plan, &tokenizer, Some(10), b"").unwrap();
    let tokens: Vec<Vec<u32>> =
        texts(samples.rows()).iter().map(|text| tokenizer.encode(text).unwrap()).collect();
    assert!(tokens.iter().all(|prompt| prompt.len() == 12 && prompt[..8] == tokens[0][..8]));
    assert_ne!(tokens[0][8..], tokens[1][8..]);
    let longer = DatasetPlan { shared_prefix_tokens: 13, ..plan };
    assert!(read(&longer, &tokenizer, None, b"").is_err());
}

#[test]
fn generated_prompts_are_token_ids_when_the_scenario_says_so() {
    let columns = [("prompt".to_owned(), "token-ids".to_owned())].into();
    let plan = DatasetPlan { columns, limit: Some(3), ..random(5, 5) };
    let samples = read(&plan, &words(), None, b"").unwrap();
    assert_eq!(samples.rows().len(), 3);
    let Prompt::Tokens(tokens) = &samples.rows()[0].turns[0] else { panic!("token ids") };
    assert_eq!(tokens.len(), 5);
    assert!(!tokens.contains(&0), "a special token");
}
