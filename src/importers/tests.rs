//! Files that the tools really wrote, in `fixtures/results`.

use super::*;
use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;

const VLLM: &[u8] = include_bytes!("../../fixtures/results/vllm-0.33.0.json");
const VLLM_PYTHON: &[u8] = include_bytes!("../../fixtures/results/vllm-0.32.0-python.json");
const SGLANG: &[u8] = include_bytes!("../../fixtures/results/sglang-0.5.23.jsonl");
const GUIDELLM: &[u8] = include_bytes!("../../fixtures/results/guidellm-0.8.1.json");
const AIPERF: &[u8] = include_bytes!("../../fixtures/results/aiperf-0.13.0.json");
const LLAMA_BENCH: &[u8] = include_bytes!("../../fixtures/results/llama-bench-b11669.json");
const LM_EVAL: &[u8] = include_bytes!("../../fixtures/results/lm-eval-0.4.13.json");

fn results(text: &[u8]) -> Results {
    Results::of(vec![read(text).unwrap()]).unwrap()
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
fn what_generates_tokens_in_llama_bench_has_a_value_for_each_repetition() {
    let results = results(LLAMA_BENCH);
    let cell = only_cell(&results);
    let tpot = &cell.trials[&Quantity::mean(MetricId::Tpot)];
    assert_eq!((tpot.len(), cell.n_trials, cell.name.as_str()), (3, 3, "concurrency=1"));
    assert!((tpot[0] - 1e3 / 8029.96).abs() < 1e-9);
    assert_eq!(results.model(), Some("model-fp16.gguf"));
    assert_eq!(results.written_by(), "llama-bench b11669");
}

#[test]
fn accuracies_of_the_harness_are_those_of_the_extractors_that_find_the_same() {
    let results = results(LM_EVAL);
    let cell = only_cell(&results);
    let found: Vec<_> =
        cell.accuracy.iter().map(|it| (it.extractor.as_str(), it.correct, it.n)).collect();
    assert_eq!(found, [("flexible", 58, 60), ("strict", 58, 60)]);
    assert_eq!((cell.name.as_str(), results.model()), ("task=word_problems", Some("tiny")));
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
        let mut text = String::from_utf8(VLLM.to_vec()).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        results(text.as_bytes()).side_cells()[0].load.clone().unwrap()
    };
    assert_eq!(load(&[]), r#"[{"closed":{"concurrency":4}}]"#);
    let rate = ("\"request_rate\":\"inf\"", "\"request_rate\":2.5");
    assert_eq!(load(&[rate]), r#"[{"poisson":{"rate_per_s":2.5}}]"#);
    let bursty = ("\"burstiness\":1.0", "\"burstiness\":0.5");
    assert_eq!(load(&[rate, bursty]), r#"[{"gamma":{"rate_per_s":2.5,"burstiness":0.5}}]"#);
    let uncapped = ("\"max_concurrency\":4", "\"max_concurrency\":null");
    assert_eq!(load(&[uncapped]), r#"["all-at-once"]"#);
}

#[test]
fn what_no_tool_wrote_says_so() {
    let error = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
    assert!(error("{\"a\": 1}").starts_with("none of the known tools wrote it: vllm bench serve"));
    assert!(error("| model | t/s |").starts_with("it is not JSON: "));
    assert!(error("").starts_with("none of the known tools"));
    let none = String::from_utf8(VLLM.to_vec()).unwrap();
    let none = none.replace("\"completed\":80", "\"completed\":0");
    assert_eq!(error(&none), "it is of vllm bench serve, but no request of it was complete");
    let mixed = Results::of(vec![read(VLLM).unwrap(), read(AIPERF).unwrap()]).unwrap_err();
    insta::assert_snapshot!(mixed, @"it holds files of vllm bench serve and of AIPerf; name the files instead");
}
