//! Which requests a trial sends: bodies, counts, slices, order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use proptest::prelude::*;

use crate::chat_template::{ModelFiles, Told};
use crate::ids::{CellId, LaunchId};
use crate::openai::body::GenerationRequest;
use crate::plan::cell::{
    Api, ArrivalsPlan, Cell, DatasetPlan, Deadlines, OutputLength, Phase, PromptForm, RequestPlan,
    Sampling, Source, UntilSteady,
};
use crate::plan::launch::{Launch, Quirks};
use crate::record::trial::PhaseKind;
use crate::seed::Seed;
use crate::units::Nanos;
use crate::workload::chat::Spoken;
use crate::workload::error::DataError;
use crate::workload::prompts::{Prompts, QuestionForm, Stretch};
use crate::workload::request::{Prompt, Request, Sample};
use crate::workload::samples::Samples;
use crate::workload::schedule::Workload;
use crate::workload::tokenizer::Tokenizer;

fn launch(omit: &[&str]) -> Launch {
    Launch {
        engine: "tiny".to_owned(),
        preset: "tiny".to_owned(),
        model: "tiny-model".to_owned(),
        n_gpus: 1,
        quirks: Quirks { omit: omit.iter().map(|&s| s.to_owned()).collect(), ..Quirks::default() },
        ..Launch::default()
    }
}

fn phase(kind: PhaseKind, n_requests: Option<u64>) -> Phase {
    Phase {
        name: match kind {
            PhaseKind::WarmUp => "warm_up".to_owned(),
            PhaseKind::Measure => "load".to_owned(),
        },
        kind,
        arrivals: ArrivalsPlan::Closed { concurrency: 1 },
        max_in_flight: None,
        n_requests,
        duration: None,
        drain: Nanos::ZERO,
        deadlines: Deadlines {
            connect: Nanos::ZERO,
            first_token: Nanos::ZERO,
            between_tokens: Nanos::ZERO,
            total: Nanos::ZERO,
        },
        cancel_after: None,
        until_steady: None,
        until: None,
        over_saturation: None,
    }
}

fn cell(phases: Vec<Phase>) -> Cell {
    Cell {
        id: CellId("cell".to_owned()),
        name: "tiny".to_owned(),
        keys: IndexMap::new(),
        launch: LaunchId("launch".to_owned()),
        dataset: "questions".to_owned(),
        score: None,
        request: RequestPlan {
            api: Api::Chat,
            path: "/v1/chat/completions".to_owned(),
            stream: true,
            sampling: Sampling {
                temperature: 0.0,
                top_p: 1.0,
                seed: Some(7),
                stop: vec!["\n\n".to_owned()],
            },
            output: OutputLength::Natural { max_tokens: 64 },
            salt: false,
            logprobs: false,
            extra_body: BTreeMap::new(),
        },
        phases,
        n_trials: 1,
        slo: None,
        skip: None,
        row: None,
    }
}

fn samples(n: u64, reserve: usize) -> Samples {
    Samples {
        rows: (0..n)
            .map(|row| Sample {
                row,
                turns: vec![Prompt::Text(format!("Question \"{row}\"?"))],
                ..Sample::default()
            })
            .collect(),
        reserve,
        n_samples: n,
        n_distinct: n,
        ..Samples::default()
    }
}

fn prompts(cell: &Cell, samples: Samples) -> Arc<Prompts> {
    Arc::new(Prompts::new("questions", Arc::new(samples), cell.request.api, None))
}

fn workload(cell: &Cell, samples: Samples) -> Result<Workload, DataError> {
    Workload::new(cell, &launch(&[]), prompts(cell, samples), Seed(1), 1)
}

fn build(cell: &Cell, samples: Samples) -> Workload {
    workload(cell, samples).unwrap()
}

fn rows(workload: &Workload, phase: usize) -> Vec<u64> {
    workload.requests(phase).map(|request| request.sample).collect()
}

fn body(request: &Request) -> &str {
    std::str::from_utf8(&request.body).unwrap()
}

#[test]
fn a_chat_body_says_everything_explicitly() {
    let workload = build(&cell(vec![phase(PhaseKind::Measure, None)]), samples(1, 0));
    let request = workload.requests(0).next().unwrap();
    insta::assert_snapshot!(body(&request), @r#"{"model":"tiny-model","messages":[{"role":"user","content":"Question \"0\"?"}],"max_tokens":64,"temperature":0.0,"top_p":1.0,"seed":7,"stop":["\n\n"],"stream":true,"stream_options":{"include_usage":true}}"#);
    assert_eq!((request.phase, request.index, request.max_tokens), (0, 0, Some(64)));
    let read: GenerationRequest = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(read.token_limit(), Some(64));
    assert!(read.wants_usage());
}

#[test]
fn a_completion_of_fixed_length_ignores_the_end_of_sequence() {
    let mut cell = cell(vec![phase(PhaseKind::Measure, None)]);
    cell.request.api = Api::Completions;
    cell.request.output = OutputLength::Fixed { tokens: 128 };
    cell.request.sampling.seed = None;
    cell.request.sampling.stop.clear();
    cell.request.stream = false;
    cell.request.logprobs = true;
    cell.request.extra_body = BTreeMap::from([
        ("min_p".to_owned(), serde_json::json!(0.1)),
        ("top_p".to_owned(), serde_json::json!(0.9)),
    ]);
    let mut samples = samples(1, 0);
    samples.system = Some("Be brief.".to_owned());
    samples.prefix = "Question: 1?\nAnswer: 1\n\n".to_owned();
    let request = build(&cell, samples).requests(0).next().unwrap();
    insta::assert_snapshot!(body(&request), @r#"{"model":"tiny-model","prompt":"Be brief.\n\nQuestion: 1?\nAnswer: 1\n\nQuestion \"0\"?","max_tokens":128,"temperature":0.0,"top_p":0.9,"ignore_eos":true,"logprobs":1,"stream":false,"min_p":0.1}"#);
}

#[test]
fn what_an_engine_refuses_is_left_out() {
    let cell = cell(vec![phase(PhaseKind::Measure, None)]);
    let workload = Workload::new(
        &cell,
        &launch(&["seed", "stream_options", "top_p"]),
        prompts(&cell, samples(1, 0)),
        Seed(1),
        1,
    )
    .unwrap();
    let request = workload.requests(0).next().unwrap();
    insta::assert_snapshot!(body(&request), @r#"{"model":"tiny-model","messages":[{"role":"user","content":"Question \"0\"?"}],"max_tokens":64,"temperature":0.0,"stop":["\n\n"],"stream":true}"#);
}

#[test]
fn a_limit_that_is_not_sent_is_not_recorded() {
    let limit = |omit: &[&str], extra: Option<u32>| {
        let mut cell = cell(vec![phase(PhaseKind::Measure, None)]);
        if let Some(limit) = extra {
            cell.request.extra_body.insert("max_completion_tokens".to_owned(), limit.into());
        }
        let prompts = prompts(&cell, samples(1, 0));
        let workload = Workload::new(&cell, &launch(omit), prompts, Seed(1), 1).unwrap();
        workload.requests(0).next().unwrap().max_tokens
    };
    assert_eq!(limit(&[], None), Some(64));
    assert_eq!(limit(&["max_tokens"], None), None);
    assert_eq!(limit(&["max_tokens"], Some(7)), Some(7));
}

#[test]
fn warm_up_and_measured_requests_use_disjoint_rows() {
    let phases = vec![phase(PhaseKind::WarmUp, Some(16)), phase(PhaseKind::Measure, None)];
    let workload = build(&cell(phases), samples(100, 16));
    let warm_up: HashSet<u64> = rows(&workload, 0).into_iter().collect();
    let measured = rows(&workload, 1);
    assert_eq!((warm_up.len(), measured.len()), (16, 84));
    assert!(measured.iter().all(|row| !warm_up.contains(row)));
    assert_eq!(workload.n_shared_with_warm_up(), 0);
}

#[test]
fn rows_kept_for_warm_up_are_measured_when_the_count_needs_them() {
    let phases = vec![phase(PhaseKind::WarmUp, Some(16)), phase(PhaseKind::Measure, Some(90))];
    let workload = build(&cell(phases), samples(100, 16));
    assert_eq!(rows(&workload, 1), (0..90).collect::<Vec<_>>());
    assert_eq!(workload.n_shared_with_warm_up(), 6);
}

#[test]
fn too_few_rows_are_an_error_unless_they_may_come_again() {
    let cell = cell(vec![phase(PhaseKind::Measure, Some(5))]);
    let error = workload(&cell, samples(3, 0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "questions: 3 rows for measuring, phase `load` of cell `tiny` needs 5"
    );
    let left_out = vec![("not readable".to_owned(), 2)];
    let error = workload(&cell, Samples { left_out, ..samples(3, 0) }).unwrap_err();
    assert!(error.message.ends_with("needs 5; left out: 2 not readable"), "{error}");
    let left_out = vec![("not readable".to_owned(), 1)];
    let first_bad = Some("x.csv: line 3: not valid UTF-8".to_owned());
    let error = workload(&cell, Samples { left_out, first_bad, ..samples(3, 0) }).unwrap_err();
    assert!(
        error.message.ends_with("1 not readable, the first: x.csv: line 3: not valid UTF-8"),
        "{error}"
    );
    let cycled = Samples { cycle: true, ..samples(3, 0) };
    let workload = build(&cell, cycled);
    assert_eq!(rows(&workload, 0), [0, 1, 2, 0, 1]);
    let requests: Vec<_> = workload.requests(0).collect();
    assert_eq!(requests[0].body.as_ptr(), requests[3].body.as_ptr(), "the body is shared");
}

#[test]
fn a_trace_is_sent_once_also_where_rows_may_come_again() {
    let arrivals = ArrivalsPlan::Trace { speedup: 1.0 };
    let replayed = |n_requests, duration| {
        let phase = phase(PhaseKind::Measure, n_requests);
        cell(vec![Phase { arrivals: arrivals.clone(), duration, ..phase }])
    };
    let cycled = || Samples { cycle: true, ..samples(3, 0) };
    let error = workload(&replayed(Some(5), None), cycled()).unwrap_err();
    assert!(error.help.contains("a trace is sent once, also with `cycle`"), "{error:?}");
    // Where time ends it, it has as many requests as rows, and so a time for each.
    let timed = build(&replayed(None, Some(Nanos::from_secs(1))), cycled());
    assert_eq!(timed.len(0), Some(3));
}

#[test]
fn conversations_are_refused_where_the_endpoint_takes_none() {
    let mut cell = cell(vec![phase(PhaseKind::Measure, Some(1))]);
    cell.request.api = Api::Completions;
    let mut samples = samples(1, 0);
    samples.rows[0].turns.push(Prompt::Text("And?".to_owned()));
    let error = workload(&cell, samples).unwrap_err();
    assert!(error.message.contains("several turns needs the chat endpoint"), "{error}");
}

#[test]
fn a_data_set_without_rows_is_an_error() {
    let cell = cell(vec![phase(PhaseKind::WarmUp, Some(2)), phase(PhaseKind::Measure, None)]);
    let empty = Samples { cycle: true, ..samples(0, 0) };
    let error = workload(&cell, empty).unwrap_err();
    assert_eq!(error.to_string(), "questions: no row to make requests from");
}

#[test]
fn counted_phases_go_on_where_the_one_before_stopped() {
    let phases = vec![phase(PhaseKind::Measure, Some(2)), phase(PhaseKind::Measure, Some(3))];
    let workload = build(&cell(phases), samples(5, 0));
    assert_eq!((rows(&workload, 0), rows(&workload, 1)), (vec![0, 1], vec![2, 3, 4]));
}

#[test]
fn a_warm_up_that_repeats_itself_has_requests_for_all_its_rounds() {
    let warm_up = Phase {
        until_steady: Some(UntilSteady { max_rounds: 3 }),
        ..phase(PhaseKind::WarmUp, Some(4))
    };
    let workload = build(&cell(vec![warm_up, phase(PhaseKind::Measure, None)]), samples(10, 4));
    assert_eq!(workload.len(0), Some(12));
    assert_eq!(rows(&workload, 0), [6, 7, 8, 9, 6, 7, 8, 9, 6, 7, 8, 9]);
}

#[test]
fn a_phase_that_only_time_ends_goes_round_when_rows_may_come_again() {
    let timed = Phase { duration: Some(Nanos::from_secs(1)), ..phase(PhaseKind::Measure, None) };
    let workload = build(&cell(vec![timed.clone()]), Samples { cycle: true, ..samples(3, 0) });
    assert_eq!(workload.len(0), None);
    assert_eq!(workload.requests(0).take(7).last().unwrap().sample, 0);
    assert_eq!(build(&cell(vec![timed]), samples(3, 0)).len(0), Some(3));
}

#[test]
fn prompts_are_the_same_in_every_trial_and_a_salt_makes_each_unlike_any_other() {
    let mut cell = cell(vec![phase(PhaseKind::Measure, Some(4))]);
    let bodies = |cell: &Cell, trial| {
        let samples = Samples { cycle: true, ..samples(2, 0) };
        let prompts = prompts(cell, samples);
        let workload = Workload::new(cell, &launch(&[]), prompts, Seed(1), trial).unwrap();
        let bodies: Vec<_> = workload.requests(0).map(|request| request.body).collect();
        (bodies, workload.prompts_hash().unwrap())
    };
    assert_eq!(bodies(&cell, 1), bodies(&cell, 2));
    let (_, plain_hash) = bodies(&cell, 1);
    cell.request.salt = true;
    let (first, hash) = bodies(&cell, 1);
    let (second, _) = bodies(&cell, 2);
    assert_eq!(bodies(&cell, 1).0, first);
    assert_eq!(first.iter().chain(&second).collect::<HashSet<_>>().len(), 8);
    assert_eq!(hash, plain_hash);
    // SHA-256 of the four messages lists as compact JSON, each with a line end, by Python's hashlib.
    assert_eq!(hash, "3f299a6a3b61");
}

#[test]
fn a_million_requests_are_built_one_at_a_time() {
    let cell = cell(vec![phase(PhaseKind::Measure, Some(1_000_000))]);
    let workload = build(&cell, Samples { cycle: true, ..samples(50, 0) });
    let mut requests = workload.requests(0);
    assert_eq!(requests.size_hint(), (1_000_000, Some(1_000_000)));
    assert_eq!(requests.by_ref().take(999_999).count(), 999_999);
    assert_eq!(requests.next().unwrap().index, 999_999);
    assert_eq!(requests.next(), None);
}

#[test]
fn the_output_length_comes_from_the_data_when_asked() {
    let mut cell = cell(vec![phase(PhaseKind::Measure, None)]);
    cell.request.output = OutputLength::FromData;
    let error = workload(&cell, samples(1, 0)).unwrap_err();
    assert_eq!(error.place, "row 1");
    let mut samples = samples(1, 0);
    samples.rows[0].output_tokens = Some(33);
    let request = build(&cell, samples).requests(0).next().unwrap();
    assert_eq!(request.max_tokens, Some(33));
    assert!(body(&request).contains("\"max_tokens\":33,"));
}

/// The bundled model's own template, for prompts that are sent in a form, or for the engine's.
fn spoken(chat_template: Option<PromptForm>, variables: &str) -> Spoken {
    let jinja = include_str!("../../../fixtures/models/word-problems-1m/chat_template.jinja");
    let files = ModelFiles { jinja: Some(jinja.as_bytes().to_vec()), ..ModelFiles::default() };
    let plan = DatasetPlan { chat_template, ..DatasetPlan::of(Source::Jsonl, None, None, None) };
    let told = Told { variables: serde_json::from_str(variables).unwrap(), ..Told::default() };
    Spoken::of(&plan, &files, &told, &word_problems_tokenizer()).unwrap()
}

fn chat(tokenizer: bool) -> Spoken {
    spoken(Some(if tokenizer { PromptForm::Tokens } else { PromptForm::Text }), "{}")
}

fn word_problems_tokenizer() -> Arc<Tokenizer> {
    let json = include_bytes!("../../../fixtures/models/word-problems-1m/tokenizer.json");
    Arc::new(Tokenizer::from_json("word-problems-1m", json).unwrap())
}

/// A cell that asks the completions endpoint for one answer.
fn completions(phase: Phase) -> Cell {
    let mut cell = cell(vec![phase]);
    cell.request.api = Api::Completions;
    cell
}

#[test]
fn a_prompt_rendered_by_the_models_template_is_the_prompt_that_the_chat_endpoint_makes() {
    let cell = completions(phase(PhaseKind::Measure, Some(1)));
    let prompt = |chat| {
        let workload = build(&cell, samples(1, 0).told(chat));
        let request = workload.requests(0).next().unwrap();
        let body: serde_json::Value = serde_json::from_str(body(&request)).unwrap();
        (body["prompt"].clone(), workload.prompts_hash().unwrap())
    };
    let expected = "Question: Question \"0\"?\nAnswer:";
    let (text, text_hash) = prompt(chat(false));
    assert_eq!(text, expected);
    let (tokens, tokens_hash) = prompt(chat(true));
    assert_eq!(tokens, serde_json::json!(word_problems_tokenizer().encode(expected).unwrap()));
    assert_ne!(text_hash, tokens_hash);

    // The same text without a template hashes alike: engines can be compared by it.
    let mut plain = samples(1, 0);
    plain.rows[0].turns = vec![Prompt::Text(expected.to_owned())];
    assert_eq!(build(&cell, plain).prompts_hash().unwrap(), text_hash);
}

#[test]
fn worked_examples_and_a_salt_stand_inside_the_template() {
    let mut cell = completions(phase(PhaseKind::Measure, Some(1)));
    cell.request.salt = true;
    let mut samples = samples(1, 0);
    samples.prefix = "One.\n\n".to_owned();
    let request = build(&cell, samples.told(chat(false))).requests(0).next().unwrap();
    let body: serde_json::Value = serde_json::from_str(body(&request)).unwrap();
    let prompt = body["prompt"].as_str().unwrap();
    assert!(prompt.starts_with("Question: "), "{prompt}");
    assert_eq!(prompt.split(". ").next().unwrap().split(' ').count(), 1 + 8, "{prompt}");
    assert!(prompt.ends_with(". One.\n\nQuestion \"0\"?\nAnswer:"), "{prompt}");
}

#[test]
fn a_template_is_not_put_over_what_the_chat_endpoint_renders() {
    let cell = cell(vec![phase(PhaseKind::Measure, Some(1))]);
    let samples = samples(1, 0).told(chat(false));
    let error = prompts(&cell, samples).make(0).unwrap_err();
    assert!(error.message.contains("is for api = \"completions\""), "{error}");
    let plan = DatasetPlan {
        chat_template: Some(PromptForm::Text),
        tokenizer: Some("m".to_owned()),
        ..DatasetPlan::of(Source::Jsonl, None, None, None)
    };
    let files = ModelFiles { config: Some(b"{}".to_vec()), ..ModelFiles::default() };
    let tokenizer = word_problems_tokenizer();
    let error = Spoken::of(&plan, &files, &Told::default(), &tokenizer).unwrap_err();
    assert_eq!(error.to_string(), "m: has no chat template");
}

#[test]
fn only_the_prompts_of_rows_that_are_sent_are_made() {
    let cell = completions(phase(PhaseKind::Measure, Some(2)));
    let mut samples = samples(4, 0).told(chat(true));
    samples.rows[3].turns.clear();
    let tokenizer = Some(word_problems_tokenizer());
    let prompts =
        Arc::new(Prompts::new("questions", Arc::new(samples), Api::Completions, tokenizer));
    let workload = Workload::new(&cell, &launch(&[]), Arc::clone(&prompts), Seed(1), 1).unwrap();
    workload.prompts_hash().unwrap();
    assert_eq!([0, 1, 2, 3].map(|at| prompts.is_made(at)), [true, true, false, false]);
    let expected = word_problems_tokenizer().count("Question: Question \"1\"?\nAnswer:").unwrap();
    assert_eq!(
        [0, 1, 2, 9].map(|row| prompts.ids_of(row).map(|ids| ids.n)),
        [Some(expected), Some(expected), None, None]
    );
    // The last row asks nothing, which concerns only those who would send it.
    assert_eq!(prompts.make(3).unwrap_err().to_string(), "questions: row 4: a row asks nothing");
}

#[test]
fn variables_of_the_template_are_sent_to_the_chat_endpoint_in_their_own_order() {
    let mut cell = cell(vec![phase(PhaseKind::Measure, Some(1))]);
    let variables = r#"{"enable_thinking": false, "documents": [{"title": "b", "a": 1}],
                        "tools": [{"type": "function", "function": {"name": "f", "a": {}}}]}"#;
    let request = |cell: &Cell| {
        let samples = samples(1, 0).told(spoken(None, variables));
        body(&build(cell, samples).requests(0).next().unwrap()).to_owned()
    };
    let found = request(&cell);
    let tools = r#""tools":[{"type":"function","function":{"name":"f","a":{}}}]"#;
    let others =
        r#""chat_template_kwargs":{"documents":[{"title":"b","a":1}],"enable_thinking":false}"#;
    assert!(found.contains(tools) && found.ends_with(&format!(",{others}}}")), "{found}");
    // The scenario's own field of that name comes first.
    cell.request.extra_body.insert("chat_template_kwargs".to_owned(), serde_json::json!({}));
    let found = request(&cell);
    assert!(found.contains(tools) && found.matches("chat_template_kwargs").count() == 1, "{found}");
    cell.request.api = Api::Completions;
    cell.request.extra_body.clear();
    assert!(!request(&cell).contains("tools"), "a completion has no template");
}

#[test]
fn tools_of_a_rows_own_are_sent_and_told_to_the_template_alike() {
    let tools = r#"[{"type":"function","function":{"name":"f","parameters":{"z":1,"a":2}}}]"#;
    let with_tools = |spoken: Spoken| {
        let mut samples = samples(2, 0).told(spoken);
        samples.rows[0].tools = serde_json::from_str(tools).unwrap();
        samples
    };
    let mut cell = cell(vec![phase(PhaseKind::Measure, Some(2))]);
    let workload = build(&cell, with_tools(Spoken::default()));
    let bodies: Vec<_> = workload.requests(0).map(|request| body(&request).to_owned()).collect();
    assert!(bodies[0].contains(&format!("}}],\"tools\":{tools},")), "{}", bodies[0]);
    assert!(!bodies[1].contains("tools"), "{}", bodies[1]);
    let without = build(&cell, samples(2, 0));
    assert_ne!(workload.prompts_hash().unwrap(), without.prompts_hash().unwrap());
    // Where the engine refuses them, and where all rows have the same.
    let kept = |launch: &Launch, spoken: Spoken| {
        let prompts = prompts(&cell, with_tools(spoken));
        let workload = Workload::new(&cell, launch, prompts, Seed(1), 1).unwrap();
        body(&workload.requests(0).next().unwrap()).matches("\"tools\"").count()
    };
    assert_eq!(kept(&launch(&["tools"]), Spoken::default()), 0);
    assert_eq!(kept(&launch(&[]), spoken(None, r#"{"tools": []}"#)), 1);
    // An engine that is asked for its tokens is told them; so is a template that is rendered here.
    let template = b"{{ tools[0].function | tojson if tools }}{{ messages[0].content }}".to_vec();
    let files = ModelFiles { jinja: Some(template), ..ModelFiles::default() };
    let tokenizer = word_problems_tokenizer();
    let told = |chat_template: Option<PromptForm>| {
        let plan =
            DatasetPlan { chat_template, ..DatasetPlan::of(Source::Jsonl, None, None, None) };
        Spoken::of(&plan, &files, &Told::default(), &tokenizer).unwrap()
    };
    let asks = |spoken: Spoken| {
        let samples = Arc::new(with_tools(spoken));
        Prompts::new("questions", samples, Api::Chat, Some(Arc::clone(&tokenizer))).question(0)
    };
    let question = asks(told(None)).unwrap();
    let QuestionForm::Chat(fields) = question.asked else { panic!("messages") };
    assert_eq!(fields.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["messages", "tools"]);
    let text = r#"{"name": "f", "parameters": {"z": 1, "a": 2}}Question "0"?"#;
    assert_eq!(question.ids, tokenizer.encode(text).unwrap());
    cell.request.api = Api::Completions;
    let workload = build(&cell, with_tools(told(Some(PromptForm::Text))));
    let first = workload.requests(0).next().unwrap();
    let sent: GenerationRequest = serde_json::from_slice(&first.body).unwrap();
    let sent = serde_json::to_value(&sent).unwrap();
    assert_eq!(sent["prompt"], text);
    // Without a template there is no place for them.
    let error = prompts(&cell, with_tools(Spoken::default())).make(0).unwrap_err();
    assert!(error.message.contains("its `tools` go to the chat endpoint"), "{error}");
}

#[test]
fn the_tokens_of_a_prompt_are_known_whatever_the_form_it_is_sent_in() {
    let tokenizer = word_problems_tokenizer();
    let ids = tokenizer.encode("Question: Question \"0\"?\nAnswer:").unwrap();
    let questions = |api: Api, spoken: Spoken| {
        let samples = Arc::new(samples(1, 0).told(spoken));
        let prompts = Prompts::new("questions", samples, api, Some(Arc::clone(&tokenizer)));
        prompts.make(0).unwrap();
        (prompts.ids_of(0), prompts.question(0).map(|question| (question.ids, question.asked)))
    };
    let (of_chat, question) = questions(Api::Chat, spoken(None, r#"{"tools": []}"#));
    let (chat_ids, QuestionForm::Chat(fields)) = question.unwrap() else { panic!("messages") };
    assert_eq!((chat_ids, fields.len()), (ids.clone(), 2));
    let (of_text, question) = questions(Api::Completions, chat(false));
    let (text_ids, QuestionForm::Text(_)) = question.unwrap() else { panic!("a text") };
    assert_eq!(text_ids, ids);
    let (of_tokens, question) = questions(Api::Completions, chat(true));
    assert!(question.is_none(), "ids are what is sent");
    assert!(of_chat.is_some() && of_chat == of_text && of_text == of_tokens);
    let (unknown, question) = questions(Api::Chat, Spoken::default());
    assert!(unknown.is_none() && question.is_none(), "the engine's template is not known");
}

proptest! {
    #[test]
    fn the_positions_of_a_stretch_are_those_of_its_requests(
        first in 0_usize..9, len in 1_usize..9, start in 0_usize..20, n in 0_u64..30,
    ) {
        let stretch = Stretch { rows: first..first + len, start, n };
        let sent: BTreeSet<usize> = (0..n).map(|number| stretch.position(number)).collect();
        let positions: Vec<usize> = stretch.positions().into_iter().flatten().collect();
        prop_assert_eq!(positions.len(), sent.len());
        prop_assert_eq!(positions.into_iter().collect::<BTreeSet<_>>(), sent);
    }
}
