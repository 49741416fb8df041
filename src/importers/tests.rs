//! Files that the tools really wrote, in `fixtures/results`.

use super::*;
use crate::metrics::catalogue::MetricId;
use crate::metrics::compare::{Rules, Side, compare};
use crate::metrics::quantity::Quantity;

const VLLM: &[u8] = include_bytes!("../../fixtures/results/vllm-0.33.0.json");
const VLLM_PYTHON: &[u8] = include_bytes!("../../fixtures/results/vllm-0.32.0-python.json");
const SGLANG: &[u8] = include_bytes!("../../fixtures/results/sglang-0.5.23.jsonl");
const GUIDELLM: &[u8] = include_bytes!("../../fixtures/results/guidellm-0.8.1.json");
const AIPERF: &[u8] = include_bytes!("../../fixtures/results/aiperf-0.13.0.json");
const LLAMA_BENCH: &[u8] = include_bytes!("../../fixtures/results/llama-bench-b11669.json");
const LM_EVAL: &[u8] = include_bytes!("../../fixtures/results/lm-eval-0.4.13.json");

fn results(text: &[u8]) -> Results {
    folder(&[text])
}

/// Puts files of these texts together, `0`, `1` and so on by name.
fn folder(texts: &[&[u8]]) -> Results {
    let files = texts.iter().enumerate().map(|(at, text)| read(&at.to_string(), text).unwrap());
    Results::of(files.collect(), Vec::new(), &mut Lengths::default()).unwrap()
}

/// Replaces texts of a file, each of which it must hold.
fn changed(text: &[u8], changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::from_utf8(text.to_vec()).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text.into_bytes()
}

fn names(results: &Results) -> Vec<&str> {
    results.cells().map(|cell| cell.name.as_str()).collect()
}

fn only_cell(results: &Results) -> &CellSummary {
    let [cell] = results.cells.as_slice() else { panic!("{results:?}") };
    &cell.summary
}

/// A file, who wrote it, what the kernel of the simulated engine stamped in the same run (the ends of
/// the true median), and what the client may have added at most. See the README of the files.
type Truth = (&'static [u8], &'static str, (f64, f64), f64);
const TRUE_TTFT_MS: [Truth; 5] = [
    (VLLM, "vllm bench serve", (50.046, 50.118), 2.0),
    (VLLM_PYTHON, "vllm bench serve", (51.791, 51.913), 6.2),
    (SGLANG, "SGLang bench_serving", (50.085, 50.223), 2.0),
    (GUIDELLM, "GuideLLM 0.8.1", (50.061, 50.179), 2.0),
    (AIPERF, "AIPerf 0.13.0", (50.074, 50.251), 2.0),
];

#[test]
fn each_client_tells_the_truth_and_what_it_adds() {
    for (text, who, (least, most), added) in TRUE_TTFT_MS {
        let results = results(text);
        assert_eq!(results.written_by(), who);
        let cell = only_cell(&results);
        assert_eq!(cell.name, "concurrency=4", "{who}");
        assert_eq!((cell.counts.ok, cell.n_trials), (80, 1), "{who}");
        let of = |quantity: Quantity| cell.trials[&quantity][0];
        let ttft = of(Quantity::percentile(MetricId::Ttft, 50.0));
        assert!(ttft > least && ttft < most + added, "{who}: {ttft} of {least} to {most}");
        // 50 ms and 15 gaps of 10 ms.
        let e2e = of(Quantity::percentile(MetricId::E2e, 50.0));
        assert!((200.0..205.0).contains(&e2e), "{who}: {e2e}");
        let rate = of(Quantity::figure(MetricId::RequestThroughputWhole));
        assert!((17.0..20.0).contains(&rate), "{who}: {rate}");
        // AIPerf counts tokens with the tokenizer of another model.
        let tokens = cell.distributions[&MetricId::OutputTokens].mean.unwrap();
        let tpot = of(Quantity::mean(MetricId::Tpot));
        let expected = if tokens > 17.0 { 150.0 / (tokens - 1.0) } else { 10.0 };
        assert!((tpot / expected - 1.0).abs() < 0.03, "{who}: {tpot}, {expected} by its tokens");
    }
}

#[test]
fn prompt_tokens_are_those_that_the_tool_says_it_took() {
    // The simulated engine counts words, of which a prompt has five to seven; 16 tokens were asked for.
    let check = |text: &[u8], is_by_usage: bool| {
        let results = results(text);
        let mean = only_cell(&results).distributions[&MetricId::PromptTokens].mean.unwrap();
        assert_eq!(mean < 10.0, is_by_usage, "{}: {mean}", results.written_by());
        let by = results.prompt_tokens_by();
        assert_eq!(by.starts_with(BY_USAGE), is_by_usage, "{by}");
    };
    check(GUIDELLM, true);
    check(VLLM_PYTHON, true);
    for asked in [VLLM, SGLANG, AIPERF] {
        check(asked, false);
    }
}

#[test]
fn each_test_of_llama_bench_has_a_value_for_each_repetition() {
    let results = results(LLAMA_BENCH);
    assert_eq!(names(&results), ["test=pp64,concurrency=1", "test=tg32,concurrency=1"]);
    let [prompt, generation] = [0, 1].map(|at| &results.cells[at].summary);
    let rate = &prompt.trials[&Quantity::figure(MetricId::PromptThroughput)];
    assert_eq!((rate.len(), prompt.n_trials, prompt.trials.len()), (3, 3, 1));
    let tpot = &generation.trials[&Quantity::mean(MetricId::Tpot)];
    assert_eq!((tpot.len(), generation.n_trials, generation.trials.len()), (3, 3, 1));
    assert!((tpot[0] - 1e3 / 8029.96).abs() < 1e-9);
    assert_eq!(results.model("test=tg32,concurrency=1"), Some("model-fp16.gguf"));
    assert_eq!(results.written_by(), "llama-bench b11669");
}

#[test]
fn accuracies_of_the_harness_are_those_of_the_extractors_that_find_the_same() {
    let results = results(LM_EVAL);
    let cell = only_cell(&results);
    let found: Vec<_> =
        cell.accuracy.iter().map(|it| (it.extractor.as_str(), it.correct, it.n)).collect();
    assert_eq!(found, [("strict", 58, 60), ("flexible", 58, 60)]);
    assert_eq!(cell.name, "task=word_problems");
    assert_eq!(results.model(&cell.name), Some("tiny"));
    assert_eq!(results.side_cells()[0].load, None, "it says nothing of its load");
}

#[test]
fn several_lines_at_one_load_are_trials_and_at_others_are_cells() {
    let line = |streams: u32, ttft: f64| {
        let text = String::from_utf8(SGLANG.to_vec()).unwrap();
        text.replace("\"max_concurrency\": 4", &format!("\"max_concurrency\": {streams}")).replace(
            "\"median_ttft_ms\": 51.87010800011649",
            &format!("\"median_ttft_ms\": {ttft}"),
        )
    };
    let text = [line(4, 50.0), line(8, 60.0), line(4, 52.0)].concat();
    let results = results(text.as_bytes());
    let ttft = Quantity::percentile(MetricId::Ttft, 50.0);
    let found: Vec<_> =
        results.cells().map(|cell| (cell.name.as_str(), cell.trials[&ttft].clone())).collect();
    assert_eq!(found, [("concurrency=4", vec![50.0, 52.0]), ("concurrency=8", vec![60.0])]);
}

#[test]
fn a_load_is_what_the_tool_was_asked_for() {
    let load = |changes: &[(&str, &str)]| {
        results(&changed(VLLM, changes)).side_cells()[0].load.clone().unwrap()
    };
    assert_eq!(load(&[]), r#"[{"closed":{"concurrency":4}}]"#);
    let rate = ("\"request_rate\":\"inf\"", "\"request_rate\":2.5");
    assert_eq!(load(&[rate]), r#"[{"poisson":{"rate_per_s":2.5}} max-in-flight 4]"#);
    // The parameters of a sweep may be texts.
    let as_text = ("\"request_rate\":\"inf\"", "\"request_rate\":\"2.5\"");
    assert_eq!(load(&[as_text]), load(&[rate]));
    let bursty = ("\"burstiness\":1.0", "\"burstiness\":0.5");
    let gamma = r#"[{"gamma":{"rate_per_s":2.5,"burstiness":0.5}} max-in-flight 4]"#;
    assert_eq!(load(&[rate, bursty]), gamma);
    let uncapped = ("\"max_concurrency\":4", "\"max_concurrency\":null");
    assert_eq!(load(&[rate, uncapped]), r#"[{"poisson":{"rate_per_s":2.5}}]"#);
    assert_eq!(load(&[uncapped]), r#"["all-at-once" requests 80]"#);
    let ramp = (
        "\"label\":null",
        "\"ramp_up_strategy\":\"linear\",\"ramp_up_start_rps\":1,\"ramp_up_end_rps\":10",
    );
    assert_eq!(load(&[ramp]), "linear ramp from 1 to 10 req/s, at most 4 at once");
    let of = |text: &[u8], from: &str, to: &str| {
        results(&changed(text, &[(from, to)])).side_cells()[0].load.clone().unwrap()
    };
    let closed = "\"type\": \"concurrency\",";
    let phase = |to: &str| {
        let asked = changed(AIPERF, &[(closed, to)]);
        let once = String::from_utf8(asked).unwrap();
        results(once.as_bytes()).side_cells()[0].load.clone().unwrap()
    };
    assert_eq!(
        phase("\"type\": \"gamma\", \"rate\": 5, \"smoothness\": 0.3,"),
        r#"[{"gamma":{"rate_per_s":5.0,"burstiness":0.3}} max-in-flight 4]"#
    );
    assert_eq!(
        phase("\"type\": \"user_centric\", \"rate\": 5, \"users\": 3,"),
        "user_centric, concurrency 4, rate 5, users 3"
    );
    let guided = |to: &str| of(GUIDELLM, "\"type_\": \"concurrent\"", to);
    let constant = r#"[{"constant":{"rate_per_s":5.0}} max-in-flight 4]"#;
    assert_eq!(guided("\"type_\": \"constant\", \"rate\": 5"), constant);
    assert!(guided("\"type_\": \"trace\"").starts_with("trace, max_concurrency 4"));
}

/// An export of AIPerf with a configuration of the versions 0.3 to 0.8.
fn older_aiperf(loadgen: &str, input: &str) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(AIPERF).unwrap();
    let endpoint = serde_json::json!({"model_names": ["sim"], "type": "chat", "streaming": true});
    let of = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    document["input_config"] = serde_json::json!({
        "endpoint": endpoint, "input": of(input), "loadgen": of(loadgen),
    });
    document.to_string().into_bytes()
}

#[test]
fn an_older_aiperf_tells_its_load_as_the_newer_one_does() {
    let check = |loadgen: &str, name: &str, expected: &str| {
        let found = results(&older_aiperf(loadgen, "{}"));
        assert_eq!(names(&found), [name]);
        assert_eq!(found.side_cells()[0].load.as_deref(), Some(expected), "{loadgen}");
    };
    let closed = r#"[{"closed":{"concurrency":4}}]"#;
    check(r#"{"concurrency": 4, "request_count": 80}"#, "concurrency=4", closed);
    check(
        r#"{"concurrency": 8, "request_rate": 5, "arrival_pattern": "constant"}"#,
        "rate=5,max-in-flight=8",
        r#"[{"constant":{"rate_per_s":5.0}} max-in-flight 8]"#,
    );
    check(
        r#"{"request_rate": 5, "request_rate_mode": "poisson"}"#,
        "rate=5",
        r#"[{"poisson":{"rate_per_s":5.0}}]"#,
    );
    check(
        r#"{"request_rate": 5, "arrival_pattern": "gamma", "arrival_smoothness": 0.5}"#,
        "rate=5",
        r#"[{"gamma":{"rate_per_s":5.0,"burstiness":0.5}}]"#,
    );
    let users = "user_centric, num_users 3, user_centric_rate 5";
    check(r#"{"user_centric_rate": 5, "num_users": 3}"#, &format!("arrivals={users}"), users);
    let traced = results(&older_aiperf(r#"{"request_count": 80}"#, r#"{"fixed_schedule": true}"#));
    assert_eq!(names(&traced), ["arrivals=fixed_schedule"]);
    let [few, many] = [4, 64].map(|n| older_aiperf(&format!(r#"{{"concurrency": {n}}}"#), "{}"));
    assert_eq!(names(&folder(&[&few, &many])), ["concurrency=4", "concurrency=64"]);
    check_apart(&few, &many, 0);
    check_apart(&few, &few, 1);
}

#[test]
fn speeds_at_a_load_that_nobody_says_are_refused() {
    let refused = |text: &[u8]| read("a.json", text).unwrap_err().to_string();
    insta::assert_snapshot!(
        refused(&older_aiperf(r#"{"request_count": 80}"#, "{}")),
        @"it is of AIPerf, but it does not say at what load it was measured, or not as any known version does"
    );
    let [mut unsaid, mut twice]: [Value; 2] =
        [AIPERF, AIPERF].map(|text| serde_json::from_slice(text).unwrap());
    unsaid["input_config"] = Value::Null;
    assert!(refused(unsaid.to_string().as_bytes()).contains("at what load"));
    let phases = twice["input_config"]["phases"].as_array_mut().unwrap();
    let mut second = phases[0].clone();
    (second["name"], second["concurrency"]) = ("more".into(), 64.into());
    phases.push(second);
    assert!(refused(twice.to_string().as_bytes()).contains("at what load"));
    let guided = changed(GUIDELLM, &[("\"type_\": \"concurrent\"", "\"kind_\": \"concurrent\"")]);
    assert!(refused(&guided).starts_with("it is of GuideLLM, but it does not say at what load"));
}

#[test]
fn a_phase_without_a_rate_of_its_own_is_no_closed_loop() {
    let phase = |phase: &str| {
        let mut document: Value = serde_json::from_slice(AIPERF).unwrap();
        document["input_config"]["phases"][0] = serde_json::from_str(phase).unwrap();
        let found = results(document.to_string().as_bytes());
        found.side_cells()[0].load.clone().unwrap()
    };
    let series = r#"{"name": "profiling", "type": "poisson", "concurrency": 4,
                     "rate_series": {"initial_qps": 1, "final_qps": 9}}"#;
    assert_eq!(phase(series), "rate series, concurrency 4");
    let named = r#"{"name": "peak", "kind": "profiling", "type": "concurrency"}"#;
    assert_eq!(phase(named), r#"[{"closed":{"concurrency":1}}]"#, "1 is its default");
}

/// Results of the harness for a group of two tasks, and one with a metric that is no share.
fn harness_group(share: f64) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(LM_EVAL).unwrap();
    document["results"] = serde_json::json!({
        "mmlu": {"alias": "mmlu", "acc,none": share, "acc_stderr,none": 0.01},
        "mmlu_a": {"acc,none": 0.4},
        "mmlu_b": {"acc,none": 0.6},
        "humaneval": {"pass@1,create_test": 0.5},
        "lost": {"acc,none": 0.5},
    });
    let samples = |n: u32| serde_json::json!({"original": n, "effective": n});
    document["n-samples"] = serde_json::json!({
        "mmlu_a": samples(100), "mmlu_b": samples(300), "humaneval": samples(164),
    });
    document["group_subtasks"] = serde_json::json!({
        "mmlu": ["mmlu_stem", "mmlu_b"], "mmlu_stem": ["mmlu_a"],
    });
    document.to_string().into_bytes()
}

#[test]
fn a_group_of_the_harness_is_of_all_its_samples_and_what_is_no_share_is_named() {
    let found = results(&harness_group(0.55));
    let of_group = found.cell("task=mmlu").expect("a group is a task");
    let accuracy = &of_group.accuracy[0];
    assert_eq!((accuracy.correct, accuracy.n, accuracy.share), (220, 400, Some(0.55)));
    assert_eq!(names(&found).len(), 3);
    let mut left_out = vec![
        "0: task humaneval: it has none of `exact_match`, `acc` and `acc_norm`",
        "0: task lost: the file does not say of how many samples it is",
    ];
    assert_eq!(found.left_out(), left_out);
    // The mean over tasks, where they are not of one size, has no number of samples.
    let found = results(&harness_group(0.5));
    assert_eq!(names(&found), ["task=mmlu_a", "task=mmlu_b"]);
    left_out.push("0: task mmlu: it is a mean over its tasks, which is no share of samples");
    assert_eq!(found.left_out(), left_out);
}

#[test]
fn a_cap_that_holds_a_rate_back_is_another_load_of_another_name() {
    let rate = ("\"request_rate\":\"inf\"", "\"request_rate\":5.0");
    let [one, many] = ["1", "64"].map(|cap| {
        changed(VLLM, &[rate, ("\"max_concurrency\":4", &format!("\"max_concurrency\":{cap}"))])
    });
    let found = folder(&[&one, &many]);
    assert_eq!(names(&found), ["rate=5,max-in-flight=1", "rate=5,max-in-flight=64"]);
    check_apart(&one, &many, 0);
    check_apart(&one, &one, 1);
}

#[test]
fn other_loads_lengths_and_tasks_are_never_compared() {
    let ramp = changed(VLLM, &[("\"label\":null", "\"ramp_up_strategy\":\"linear\"")]);
    check_apart(&ramp, VLLM, 0);
    let traced = changed(GUIDELLM, &[("\"type_\": \"concurrent\"", "\"type_\": \"trace\"")]);
    check_apart(&traced, GUIDELLM, 0);
    let long = changed(SGLANG, &[("\"random_output_len\": 16", "\"random_output_len\": 128")]);
    check_apart(SGLANG, &long, 0);
    let other = changed(LM_EVAL, &[("word_problems", "arc_easy")]);
    check_apart(LM_EVAL, &other, 0);
    check_apart(LM_EVAL, LM_EVAL, 1);
}

#[test]
fn what_a_sweep_of_vllm_varies_is_a_key_also_where_it_is_a_number() {
    let of = |settings: &str| {
        let settings = format!("\"label\":null,{settings}");
        changed(VLLM, &[("\"label\":null", &settings)])
    };
    let run = |seqs: u32, tokens: u32, number: u32| {
        of(&format!(
            "\"max_num_seqs\":{seqs},\"max_num_batched_tokens\":{tokens},\"run_number\":{number}"
        ))
    };
    let runs = [run(32, 1024, 0), run(32, 1024, 1), run(32, 4096, 0), run(256, 1024, 0)];
    let found = folder(&runs.each_ref().map(Vec::as_slice));
    let told: Vec<_> = found.cells().map(|cell| (cell.name.as_str(), cell.n_trials)).collect();
    assert_eq!(
        told,
        [
            ("max_num_batched_tokens=1024,max_num_seqs=32,concurrency=4", 2),
            ("max_num_batched_tokens=1024,max_num_seqs=256,concurrency=4", 1),
            ("max_num_batched_tokens=4096,max_num_seqs=32,concurrency=4", 1),
        ]
    );
    // One of each is compared, and the setting is told; another length is not.
    let (one, other) = (results(&runs[0]), results(&runs[3]));
    check_apart(&runs[0], &runs[3], 1);
    let setting = |of: &Results| {
        let mut config = of.config("concurrency=4");
        config.find(|(name, _)| *name == "max_num_seqs").map(|(_, value)| value.clone())
    };
    assert_eq!([setting(&one), setting(&other)], ["32", "256"].map(|it| Some(it.to_owned())));
    let prefix = |n: u32| of(&format!("\"prefix_repetition_prefix_len\":{n}"));
    check_apart(&prefix(128), &prefix(4096), 0);
    check_apart(&prefix(128), &prefix(128), 1);
    // What was found is no setting.
    let other_results = changed(
        VLLM_PYTHON,
        &[("\"max_output_tokens_per_s\": 334.0", "\"max_output_tokens_per_s\": 340.0")],
    );
    assert_eq!(only_cell(&folder(&[VLLM_PYTHON, &other_results])).n_trials, 2);
}

#[test]
fn the_number_of_requests_at_once_is_the_load_whoever_sent_them() {
    let sglang = |n: u32| {
        let completed = format!("\"completed\": {n}");
        changed(
            SGLANG,
            &[
                ("\"max_concurrency\": 4", "\"max_concurrency\": null"),
                ("\"completed\": 80", &completed),
            ],
        )
    };
    let guidellm = |n: u32, limit: &str| {
        let mut document: Value = serde_json::from_slice(GUIDELLM).unwrap();
        let benchmark = &mut document["benchmarks"][0];
        benchmark["config"]["strategy"] = serde_json::json!({"type_": "throughput"});
        let args = serde_json::json!({"args": {"count": 80}});
        benchmark["config"]["constraints"] = serde_json::json!({limit: args});
        benchmark["metrics"]["request_totals"]["successful"] = n.into();
        document.to_string().into_bytes()
    };
    let vllm = |n: u32| {
        let at_once = ("\"max_concurrency\":4", "\"max_concurrency\":null");
        let [asked, done] = ["num_prompts", "completed"].map(|name| format!("\"{name}\":{n}"));
        changed(VLLM, &[at_once, ("\"num_prompts\":80", &asked), ("\"completed\":80", &done)])
    };
    let limited = |n: u32| guidellm(n, "max_requests");
    for (few, many) in
        [(sglang(100), sglang(1000)), (limited(100), limited(1000)), (vllm(100), vllm(1000))]
    {
        assert_eq!(names(&folder(&[&few, &many])), ["requests=100", "requests=1000"]);
        check_apart(&few, &many, 0);
        check_apart(&few, &few, 1);
    }
    check_apart(&sglang(100), &vllm(100), 1);
    // How many were sent within a time is a result.
    let timed = |n: u32| guidellm(n, "max_duration");
    assert_eq!(names(&folder(&[&timed(100), &timed(1000)])).len(), 1);
    check_apart(&timed(100), &limited(100), 0);
}

#[test]
fn lengths_that_are_far_apart_are_no_equal_load_where_one_tool_counts_them() {
    let tokens = |n: u32| {
        let to = format!("\"total_output_tokens\":{n}");
        changed(VLLM, &[("\"total_output_tokens\":1280", &to)])
    };
    check_apart(&tokens(1280), &tokens(5120), 0);
    check_apart(&tokens(1280), &tokens(1400), 1);
    // Another model or tool may count the same otherwise.
    let of_other = |text: &[u8]| changed(text, &[("\"model_id\":\"sim\"", "\"model_id\":\"b\"")]);
    check_apart(&tokens(1280), &of_other(&tokens(5120)), 1);
    check_apart(VLLM, VLLM_PYTHON, 1);
    check_apart(VLLM, AIPERF, 1);
}

/// Compares two files and counts their pairs.
#[track_caller]
fn check_apart(one: &[u8], other: &[u8], n_pairs: usize) {
    let mut lengths = Lengths::default();
    let both = [one, other]
        .map(|text| Results::of(vec![read("0", text).unwrap()], Vec::new(), &mut lengths).unwrap());
    let side = |it: usize| Side { name: it.to_string(), cells: both[it].side_cells() };
    let rules = Rules { alpha: 0.01, margin: 0.02 };
    let found = compare(&[side(0), side(1)], &|_| true, &|_, _, _| None, rules);
    assert_eq!(found.cells.len(), n_pairs, "{:?}", found.unmatched);
}

#[test]
fn what_no_tool_wrote_says_so() {
    let error = |text: &str| read("a.json", text.as_bytes()).unwrap_err().to_string();
    assert!(error("{\"a\": 1}").starts_with("none of the known tools wrote it: vllm bench serve"));
    assert!(error("| model | t/s |").starts_with("it is not JSON: "));
    assert!(error("").starts_with("none of the known tools"));
    let summary = error("{\"format\": 5, \"cells\": []}");
    assert!(summary.starts_with("it is a summary of bench: name the run directory"), "{summary}");
    let files = [VLLM, AIPERF].map(|text| read("a.json", text).unwrap());
    let mixed = Results::of(files.into(), Vec::new(), &mut Lengths::default()).unwrap_err();
    insta::assert_snapshot!(mixed, @"it holds files of vllm bench serve and of AIPerf; name the files instead");
}

#[test]
fn what_was_configured_otherwise_is_another_cell() {
    let check = |text: &[u8], changes: &[(&str, &str)], expected: [&str; 2]| {
        let (repeated, other) = (folder(&[text, text]), changed(text, changes));
        let [cell] = repeated.cells.as_slice() else { panic!("{:?}", names(&repeated)) };
        assert!(cell.summary.n_trials % 2 == 0 || !cell.summary.accuracy.is_empty());
        let both = folder(&[text, &other, text]);
        assert_eq!(names(&both), expected);
        // What one of them is, is known of a side that has no other.
        let keys = &both.side_cells()[0].keys;
        let alone = &repeated.side_cells()[0];
        for (key, value) in keys.iter().filter(|(_, value)| *value != "none") {
            assert_eq!(alone.keys.get(key).or_else(|| alone.constants.get(key)), Some(value));
        }
    };
    check(
        VLLM,
        &[("\"model_id\":\"sim\"", "\"model_id\":\"b\"")],
        ["model=sim,concurrency=4", "model=b,concurrency=4"],
    );
    check(
        VLLM,
        &[("\"total_input_tokens\":1269", "\"total_input_tokens\":320000")],
        ["mean-prompt-tokens=16,concurrency=4", "mean-prompt-tokens=4000,concurrency=4"],
    );
    check(
        VLLM,
        &[("\"label\":null", "\"label\":null,\"tp\":\"8\"")],
        ["tp=none,concurrency=4", "tp=8,concurrency=4"],
    );
    check(
        SGLANG,
        &[
            ("\"random_input_len\": 16", "\"random_input_len\": 4096"),
            ("\"total_input_tokens\": 1280", "\"total_input_tokens\": 327680"),
        ],
        ["random_input_len=16,concurrency=4", "random_input_len=4096,concurrency=4"],
    );
    check(
        AIPERF,
        &[("\"name\": \"sim\"", "\"name\": \"b\"")],
        ["model=sim,concurrency=4", "model=b,concurrency=4"],
    );
    check(
        GUIDELLM,
        &[("\"output_tokens\": 16", "\"output_tokens\": 128")],
        ["data.output_tokens=16,concurrency=4", "data.output_tokens=128,concurrency=4"],
    );
    check(
        LM_EVAL,
        &[("\"model_name\": \"tiny\"", "\"model_name\": \"b\"")],
        ["model=tiny,task=word_problems", "model=b,task=word_problems"],
    );
    let tests: Vec<Value> = serde_json::from_slice(LLAMA_BENCH).unwrap();
    let generation = serde_json::to_vec_pretty(&[&tests[1]]).unwrap();
    for (member, other) in [("n_depth", "16384"), ("n_threads", "8")] {
        let was = if member == "n_depth" { "0" } else { "1" };
        let [from, to] = [was, other].map(|value| format!("\"{member}\": {value},"));
        let expected = [was, other].map(|value| format!("{member}={value},concurrency=1"));
        check(&generation, &[(&from, &to)], [&expected[0], &expected[1]]);
    }
    check(
        &generation,
        &[("\"n_gen\": 32,", "\"n_gen\": 128,")],
        ["test=tg32,concurrency=1", "test=tg128,concurrency=1"],
    );
    check(
        &generation,
        &[("word-problems-1m/model-fp16.gguf", "big.gguf")],
        ["model=model-fp16.gguf,concurrency=1", "model=big.gguf,concurrency=1"],
    );
}

#[test]
fn a_name_of_each_load_is_no_key_and_lengths_that_are_near_are_one() {
    let other = changed(
        VLLM,
        &[
            ("\"label\":null", "\"label\":\"c8\""),
            ("\"max_concurrency\":4", "\"max_concurrency\":8"),
        ],
    );
    let nearly = changed(VLLM, &[("\"total_output_tokens\":1280", "\"total_output_tokens\":1180")]);
    let found = folder(&[VLLM, &other, &nearly]);
    assert_eq!(names(&found), ["concurrency=4", "concurrency=8"]);
    // What one side calls a length, the other does.
    let mut lengths = Lengths::default();
    let mut of = |tokens: [u32; 2]| {
        let texts = tokens.map(|total| {
            let to = format!("\"total_input_tokens\":{total}");
            changed(VLLM, &[("\"total_input_tokens\":1269", &to)])
        });
        let files = texts.map(|text| read("a.json", &text).unwrap());
        let found = Results::of(files.into(), Vec::new(), &mut lengths).unwrap();
        found.cells().map(|cell| cell.name.clone()).collect::<Vec<_>>()
    };
    let expected =
        ["mean-prompt-tokens=1024,concurrency=4", "mean-prompt-tokens=4000,concurrency=4"];
    assert_eq!(of([81_920, 320_000]), expected);
    assert_eq!(of([81_880, 321_000]), expected);
}

#[test]
fn an_arrival_of_another_kind_is_another_cell_of_another_name() {
    let rate = ("\"request_rate\":\"inf\"", "\"request_rate\":2.5");
    let steady = changed(VLLM, &[rate]);
    let bursty = changed(VLLM, &[rate, ("\"burstiness\":1.0", "\"burstiness\":0.5")]);
    let found = folder(&[&steady, &bursty]);
    let expected = [
        "arrivals=poisson,rate=2.5,max-in-flight=4",
        "arrivals=gamma 0.5,rate=2.5,max-in-flight=4",
    ];
    assert_eq!(names(&found), expected);
}

#[test]
fn too_many_failures_fail_a_cell_as_they_do_that_of_a_run() {
    let check = |text: &[u8], changes: &[(&str, &str)], expected: &str| {
        let found = results(&changed(text, changes));
        let reasons = &only_cell(&found).validity.reasons;
        assert_eq!(reasons.first().map_or("", String::as_str), expected);
        assert_eq!(only_cell(&found).takes_part(), expected.is_empty());
    };
    let many = |n: u32| format!("{n} of {} requests failed or never came", 80 + n);
    let many = |n, share| format!("{} ({share} %, limit one request and 1 %): {n} failed", many(n));
    let asked = ("\"num_prompts\":80", "\"num_prompts\":1000");
    let failed = ("\"failed\":0", "\"failed\":920");
    check(VLLM, &[], "");
    check(VLLM, &[("\"failed\":0", "\"failed\":1")], "");
    check(VLLM, &[failed, asked], &many(920, "92.0"));
    check(VLLM, &[("\"failed\":0,", ""), asked], &many(920, "92.0"));
    let none = "none of 80 requests succeeded: 80 failed";
    check(VLLM, &[("\"completed\":80,\"failed\":0", "\"completed\":0,\"failed\":80")], none);
    let errors = "\"error_request_count\": {\"unit\": \"requests\", \"avg\": 500.0}, \"run_info\"";
    check(AIPERF, &[("\"run_info\"", errors)], &many(500, "86.2"));
    let cancelled = ("\"was_cancelled\": false", "\"was_cancelled\": true");
    check(AIPERF, &[cancelled], "it was cancelled before its end");
    check(GUIDELLM, &[("\"errored\": 0", "\"errored\": 920")], &many(920, "92.0"));
    let errors = format!("\"errors\": [{}\"\"], \"tag\": null", "\"refused\", ".repeat(40));
    check(SGLANG, &[("\"tag\": null", &errors)], &many(40, "33.3"));
    // SGLang does not say how many it sent. The other rows are what they are.
    let row = |streams: u32, completed: u32| {
        let streams = format!("\"max_concurrency\": {streams}");
        let completed = format!("\"completed\": {completed}");
        changed(SGLANG, &[("\"max_concurrency\": 4", &streams), ("\"completed\": 80", &completed)])
    };
    let found = results(&[row(4, 80), row(8, 0)].concat());
    let told: Vec<_> = found.cells().map(|cell| cell.validity.reasons.concat()).collect();
    assert_eq!(told, ["", "no request of it was complete"]);
    let found = results(&[row(4, 80), row(4, 0)].concat());
    assert_eq!(only_cell(&found).validity.reasons, ["no request of it was complete"]);
}

#[test]
fn an_accuracy_that_is_told_twice_is_taken_once_and_the_other_file_is_named() {
    let found = folder(&[LM_EVAL, LM_EVAL]);
    assert_eq!(only_cell(&found).counts.ok, 60);
    assert_eq!(found.left_out(), ["1: tells task=word_problems again, after 0"]);
    let shots = changed(
        LM_EVAL,
        &[("\"n-shot\": {\n    \"word_problems\": 0", "\"n-shot\": {\n    \"word_problems\": 5")],
    );
    assert_eq!(names(&folder(&[LM_EVAL, &shots])).len(), 2);
}

#[test]
fn lines_and_the_mark_of_a_text_are_read_as_a_document_is() {
    let tests: Vec<Value> = serde_json::from_slice(LLAMA_BENCH).unwrap();
    let [prompt, generation] = [0, 1].map(|at| format!("{}\n", tests[at]));
    let lines = [prompt.as_str(), &generation].concat();
    assert_eq!(names(&results(lines.as_bytes())), names(&results(LLAMA_BENCH)));
    assert_eq!(names(&results(prompt.as_bytes())), ["concurrency=1"]);
    assert_eq!(names(&results(&[b"\xef\xbb\xbf", VLLM].concat())), ["concurrency=4"]);
}

#[test]
fn an_array_of_results_is_read_as_its_elements_are() {
    let of = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
    let slow = changed(VLLM, &[("\"max_concurrency\":4", "\"max_concurrency\":8")]);
    let both = format!("[{}, {}]", of(VLLM), of(&slow));
    assert_eq!(names(&results(both.as_bytes())), ["concurrency=4", "concurrency=8"]);
    assert!(read("a.json", b"[]").is_err() && read("a.json", b"[1]").is_err());
    let mixed = format!("[{}, {}]", of(VLLM), of(GUIDELLM));
    assert!(matches!(read("a.json", mixed.as_bytes()), Err(ImportError::Unknown)));
}

#[test]
fn a_result_of_vllm_without_burstiness_is_one_of_an_older_version() {
    let rate = ("\"request_rate\":\"inf\"", "\"request_rate\":2.5");
    let old = changed(VLLM, &[("\"burstiness\":1.0,", ""), rate]);
    let found = results(&old);
    assert_eq!(found.written_by(), "vllm bench serve");
    check_apart(&old, &changed(VLLM, &[rate]), 1);
}

#[test]
fn a_metric_is_read_in_the_unit_that_it_has() {
    let with_unit = |unit: &str| {
        let mut document: Value = serde_json::from_slice(AIPERF).unwrap();
        document["time_to_first_token"]["unit"] = unit.into();
        document["time_to_first_token"]["p50"] = 0.05.into();
        read("a.json", document.to_string().as_bytes())
    };
    let ttft = |unit: &str| {
        let files = vec![with_unit(unit).unwrap()];
        let found = Results::of(files, Vec::new(), &mut Lengths::default()).unwrap();
        only_cell(&found).trials[&Quantity::percentile(MetricId::Ttft, 50.0)][0]
    };
    assert!((ttft("sec") - 50.0).abs() < 1e-9);
    assert!((ttft("ms") - 0.05).abs() < 1e-9);
    let error = with_unit("moons").unwrap_err().to_string();
    insta::assert_snapshot!(error, @"it is of AIPerf, but its `time_to_first_token` is in `moons`, a unit that is not known");
}
