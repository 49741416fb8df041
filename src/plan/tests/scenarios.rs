//! Whole plans: scenarios in, commands and cells out. Nothing here depends on the machine.

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostics;
use crate::plan::Plan;
use crate::plan::cell::Cell;
use crate::plan::expand::expand;
use crate::plan::paths::Host;
use crate::plan::render::{Skips, command, render};
use crate::scenario::{Input, Loaded, load};
use crate::units::Nanos;

const SCENARIOS: &[(&str, &str)] = &[
    ("batch_sweep", include_str!("../../../scenarios/batch_sweep.toml")),
    ("billion_tokens", include_str!("../../../scenarios/billion_tokens.toml")),
    ("calibrate", include_str!("../../../scenarios/calibrate.toml")),
    ("calibrate_open_loop", include_str!("../../../scenarios/calibrate_open_loop.toml")),
    ("cpu_engines", include_str!("../../../scenarios/cpu_engines.toml")),
    ("offline", include_str!("../../../scenarios/offline.toml")),
    ("open_loop", include_str!("../../../scenarios/open_loop.toml")),
    ("precision", include_str!("../../../scenarios/precision.toml")),
    ("search", include_str!("../../../scenarios/search.toml")),
    ("serving", include_str!("../../../scenarios/serving.toml")),
    ("shapes", include_str!("../../../scenarios/shapes.toml")),
    ("sim_smoke", include_str!("../../../scenarios/sim_smoke.toml")),
    ("tinyllama_fp16_vs_fp32", include_str!("../../../scenarios/tinyllama_fp16_vs_fp32.toml")),
    ("vllm_vs_sglang", include_str!("../../../scenarios/vllm_vs_sglang.toml")),
];

fn host() -> Host {
    Host { bench_exe: "bench".into(), assets_dir: "assets".into() }
}

fn load_at(
    path: &str,
    text: &str,
    sets: &[String],
    profile: Option<&str>,
) -> Result<Loaded, Diagnostics> {
    load(&Input {
        path: Path::new(path),
        text,
        read: &|_| Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        env: &[],
        sets,
        profile,
        user_preset_dirs: &[] as &[PathBuf],
    })
}

fn plan_of(text: &str) -> Result<Plan, Diagnostics> {
    let loaded = load_at("scenarios/x.toml", text, &[], None)?;
    Ok(expand(&loaded.scenario, &host())?.0)
}

/// Returns a scenario with that engine table and matrix.
fn with_engine(engine: &str, matrix: &str) -> String {
    format!(
        "{engine}\n[matrix]\n{matrix}\n[dataset.d]\nsource = \"jsonl\"\nlocation = \"./d.jsonl\"\n\
         [phase.load]\nconcurrency = 1\nrequests = 1\n"
    )
}

fn check_error(text: &str, expected: &str) {
    let message = plan_of(text).unwrap_err().render(false);
    assert!(message.contains(expected), "{message}");
}

#[test]
fn every_scenario_of_the_repository_loads_and_expands() {
    for (name, text) in SCENARIOS {
        let path = format!("scenarios/{name}.toml");
        let loaded = load_at(&path, text, &[], None).unwrap_or_else(|e| panic!("{name}:\n{e}"));
        let (plan, warnings) =
            expand(&loaded.scenario, &host()).unwrap_or_else(|e| panic!("{name}:\n{e}"));
        assert_eq!(plan.check_references(), Ok(()), "{name}");
        assert!(loaded.warnings.is_empty() && warnings.is_empty(), "{name}:\n{warnings}");
        insta::assert_snapshot!(format!("plan_{name}"), render(&plan, &Skips::default()));
    }
}

#[test]
fn every_profile_of_the_repository_expands() {
    for (name, text) in SCENARIOS {
        let path = format!("scenarios/{name}.toml");
        let base = load_at(&path, text, &[], None).unwrap();
        for profile in base.scenario.layers.names(&["profile"]) {
            let loaded = load_at(&path, text, &[], Some(&profile))
                .unwrap_or_else(|e| panic!("{name} {profile}:\n{e}"));
            let plan = expand(&loaded.scenario, &host());
            plan.unwrap_or_else(|e| panic!("{name} {profile}:\n{e}"));
        }
    }
}

#[test]
fn the_resolved_scenario_gives_the_same_plan() {
    for (name, text) in SCENARIOS {
        let path = format!("scenarios/{name}.toml");
        let loaded = load_at(&path, text, &[], None).unwrap();
        let again = load_at(&path, &loaded.resolved_toml, &[], None)
            .unwrap_or_else(|e| panic!("{name}:\n{}\n{e}", loaded.resolved_toml));
        assert_eq!(
            expand(&loaded.scenario, &host()).unwrap().0,
            expand(&again.scenario, &host()).unwrap().0,
            "{name}"
        );
        assert_eq!(loaded.resolved_toml, again.resolved_toml, "{name}");
    }
}

#[test]
fn ids_are_stable_and_know_neither_directory_nor_program() {
    let text = include_str!("../../../scenarios/tinyllama_fp16_vs_fp32.toml");
    let ids = |path: &str, exe: &str, sets: &[&str]| -> Vec<String> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_string()).collect();
        let loaded = load_at(path, text, &sets, None).unwrap();
        let host = Host { bench_exe: exe.into(), assets_dir: "/a".into() };
        let plan = expand(&loaded.scenario, &host).unwrap().0;
        plan.cells.iter().map(|cell| cell.id.0.clone()).collect()
    };
    let here = ids("scenarios/x.toml", "bench", &[]);
    assert_eq!(here, ids("/elsewhere/y.toml", "/usr/bin/bench", &[]));
    for unrelated in ["title=other", "phase.load.trials=7", "score.answer.extract=[\"whole\"]"] {
        assert_eq!(here, ids("scenarios/x.toml", "bench", &[unrelated]), "{unrelated}");
    }
    for shaping in [
        "seed=18",
        "phase.load.concurrency=33",
        "phase.warm_up.requests=17",
        "request.max-tokens=97",
        "dataset.questions.prompt='Q: {{ question }}'",
        "engine.tiny.extra-args=[\"--x\"]",
        "engine.tiny.env.OMP_NUM_THREADS=2",
    ] {
        let there = ids("scenarios/x.toml", "bench", &[shaping]);
        assert_ne!(here[4..], there[4..], "{shaping}");
    }
}

/// Returns the commands of a preset over its options, one line each.
fn commands(preset: &str, base: &str, options: &[&str]) -> String {
    let mut lines = String::new();
    for option in options {
        let engine = format!("[engine.e]\npreset = \"{preset}\"\n{base}\n{option}");
        let line = match plan_of(&with_engine(&engine, "")) {
            Ok(plan) => command(&plan.launches[0]),
            Err(error) => error.to_string().lines().next().unwrap_or_default().to_string(),
        };
        lines.extend([option, "\n    ", line.as_str(), "\n"]);
    }
    lines
}

const COMMON: &[&str] = &[
    "",
    "precision = \"fp32\"",
    "precision = \"fp16\"",
    "precision = \"bf16\"",
    "precision = \"fp8\"",
    "precision = \"int8\"",
    "precision = \"int4\"",
    "precision = \"awq\"",
    "tensor-parallel = 1",
    "tensor-parallel = 2",
    "pipeline-parallel = 2",
    "data-parallel = 2",
    "context-length = 4096",
    "memory-fraction = 0.85",
    "max-sequences = 16",
    "max-batched-tokens = 8192",
    "quantisation = \"fp8\"",
    "kv-cache-dtype = \"fp8\"",
    "eager = true",
    "eager = false",
    "prefix-cache = true",
    "prefix-cache = false",
    "speculative = \"ngram:5\"",
    "speculative = { method = \"eagle3\", tokens = 3, model = \"org/draft\", extra = { draft_tensor_parallel_size = 1 } }",
    "speculative = { method = \"draft-model\", tokens = 4, model = \"./draft\" }",
    "extra-args = [\"--seed\", \"1\", \"; touch pwned\"]",
    "precision = \"fp16\"\ntensor-parallel = 2\ncontext-length = 4096\neager = true",
];

/// Returns what the patterns of a preset find in lines of a log: name and first group, or `-`.
fn found(preset: &str, table: &str, log: &str) -> Vec<String> {
    let engine =
        format!("[engine.e]\npreset = \"{preset}\"\nmodel = \"m\"\nmodel-path = \"./m\"\n");
    let plan = plan_of(&with_engine(&engine, "")).unwrap();
    let patterns = plan.launches[0].log_patterns.clone();
    let table = match table {
        "stages" => patterns.stages,
        "configuration" => patterns.configuration,
        _ => {
            patterns.throughput.into_iter().map(|pattern| ("rates".to_string(), pattern)).collect()
        }
    };
    let told = table.iter().filter_map(|(name, pattern)| {
        let captures = regex::Regex::new(pattern).unwrap();
        let captures = log.lines().rev().find_map(|line| captures.captures(line))?;
        let group = captures.iter().skip(1).flatten().last().map_or("-", |group| group.as_str());
        Some(format!("{name} {group}"))
    });
    told.collect()
}

/// The logs are of real runs on a CPU, cut to the lines that say something.
#[test]
fn presets_find_stages_settings_and_rates_in_the_logs_of_real_engines() {
    let vllm = include_str!("../../../fixtures/logs/vllm-0.32.0-cpu.txt");
    let stages = [
        "engine 0.59",
        "engine-core -",
        "kv-cache -",
        "model 0.305539",
        "serving -",
        "weights 0.03",
        "worker -",
    ];
    assert_eq!(found("vllm", "stages", vllm), stages);
    let settings = [
        "context-length 512",
        "dtype float32",
        "eager True",
        "kv-dtype auto",
        "prefix-cache False",
        "quantisation None",
    ];
    assert_eq!(found("vllm", "configuration", vllm), settings);
    assert_eq!(found("vllm", "throughput", vllm), ["rates 638.3"]);
    let transformers = include_str!("../../../fixtures/logs/transformers-5.19.0.txt");
    assert_eq!(found("transformers", "stages", transformers), ["serving -", "weights -"]);
    let llama = include_str!("../../../fixtures/logs/llama-server-0.7.0.txt");
    assert_eq!(found("llama_cpp", "stages", llama), ["serving -", "weights -"]);
}

/// What only a GPU makes them say, by the format strings in the sources of vLLM 0.32.
#[test]
fn presets_find_what_engines_say_on_a_gpu() {
    let vllm = "Model loading took 14.99 GiB memory and 3.25 seconds\n\
                torch.compile took 41.20 s in total\n\
                Graph capturing finished in 17 secs, took 0.54 GiB\n\
                Default vLLM sampling parameters have been overridden by the model's generation_config.json: `{'top_k': 20}`. If this is not intended\n";
    let stages = ["compile 41.20", "graph-capture 17", "model 3.25"];
    assert_eq!(found("vllm", "stages", vllm), stages);
    assert_eq!(found("vllm", "configuration", vllm), ["sampling-defaults {'top_k': 20}"]);
}

#[test]
fn presets_start_engines_as_their_users_would() {
    let model = "model = \"org/name\"";
    for preset in ["vllm", "sglang", "transformers", "tensorrt_llm", "ollama", "mistralrs", "tgi"] {
        insta::assert_snapshot!(format!("argv_{preset}"), commands(preset, model, COMMON));
    }
    let gguf = "model = \"m\"\nmodel-path = \"./m-{{ precision | default('f16') }}.gguf\"";
    let llama =
        [COMMON, &["threads = 4", "gpu-layers = 99", "context-length = 512\nmax-sequences = 8"]];
    insta::assert_snapshot!("argv_llama_cpp", commands("llama_cpp", gguf, &llama.concat()));
    let batch =
        [COMMON, &["mode = \"compile\"\nbatch-size = 8", "mode = \"fast\"", "device = \"cpu\""]];
    insta::assert_snapshot!("argv_hf_batch", commands("hf_batch", model, &batch.concat()));
    let tiny = [COMMON, &["model = \"../fixtures/models/m\"", "threads = 2"]];
    insta::assert_snapshot!("argv_tiny", commands("tiny", "", &tiny.concat()));
    let sim = [
        COMMON,
        &["ttft = \"50ms\"\nitl = \"10ms\"", "answer-from = \"../a.jsonl\"\nwrong-rate = 0.1"],
    ];
    insta::assert_snapshot!("argv_sim", commands("sim", "", &sim.concat()));
}

#[test]
fn an_endpoint_is_attached_to_and_not_started() {
    let engine = "[engine.e]\npreset = \"endpoint\"\nurl = \"https://llm.example.com/v1/\"\n\
                  model = \"org/name\"\napi-key-env = \"LLM_KEY\"\nprecision = \"fp8\"\ntensor-parallel = 8";
    let plan = plan_of(&with_engine(engine, "")).unwrap();
    let launch = &plan.launches[0];
    assert!(!launch.is_started());
    assert_eq!((launch.base_url.as_str(), launch.n_gpus), ("https://llm.example.com", 8));
    // A dead URL is not waited for as long as a model that loads.
    assert_eq!(launch.readiness.timeout, Nanos::from_secs(10));
    let started = "[engine.mine]\nargv = [\"./serve.sh\", \"{{ port }}\"]\nmodel = \"m\"";
    let plan = plan_of(&with_engine(started, "")).unwrap();
    assert_eq!(plan.launches[0].readiness.timeout, Nanos::from_secs(1800));
    assert_eq!(launch.requires.len(), 1);
    check_error(
        &with_engine("[engine.endpoint]\nmodel = \"m\"", ""),
        "neither a command nor a URL",
    );
}

#[test]
fn a_command_of_ones_own_replaces_the_presets() {
    let engine = "[engine.mine]\nargv = [\"./serve.sh\", \"$(id); x\", \"{{ port }}\", \"{{ precision }}\"]\n\
                  model = \"m\"\nprecision = \"fp16\"";
    let plan = plan_of(&with_engine(engine, "")).unwrap();
    let launch = &plan.launches[0];
    assert_eq!(launch.argv, ["./scenarios/serve.sh", "$(id); x", "$PORT", "fp16"]);
    assert_eq!(launch.argv_at(8123)[2], "8123");
    let ignoring = engine.replace(", \"{{ precision }}\"", "");
    check_error(&with_engine(&ignoring, ""), "the command of engine `mine` ignores `precision`");
    let portless = engine.replace("\"{{ port }}\", ", "");
    check_error(&with_engine(&portless, ""), "never mentions its port");
}

#[test]
fn a_model_keeps_its_own_name_whatever_it_is_served_as() {
    let names = |engine: &str| {
        let plan = plan_of(&with_engine(engine, "")).unwrap();
        let launch = &plan.launches[0];
        (launch.model.clone(), launch.own_model().to_owned())
    };
    let served = "[engine.vllm]\nmodel = \"Qwen/Qwen3-4B\"\nmodel-id = \"chat\"";
    assert_eq!(names(served), ("chat".to_owned(), "Qwen/Qwen3-4B".to_owned()));
    let played = "[engine.sim]\nmodel = \"Qwen/Qwen3-4B\"";
    assert_eq!(names(played), ("sim".to_owned(), "Qwen/Qwen3-4B".to_owned()));
    // The preset's model is none that the scenario speaks of.
    let renamed = "[engine.sim]\nmodel-id = \"org/m\"";
    assert_eq!(names(renamed), ("org/m".to_owned(), "org/m".to_owned()));
    let plain = "[engine.vllm]\nmodel = \"Qwen/Qwen3-4B\"";
    assert_eq!(names(plain), ("Qwen/Qwen3-4B".to_owned(), "Qwen/Qwen3-4B".to_owned()));
    // Its preset calls a file by its name without `.gguf`.
    let file = "[engine.llama_cpp]\nmodel = \"/w/Qwen3-8B-Q4_K_M.gguf\"";
    assert_eq!(names(file), ("Qwen3-8B-Q4_K_M".to_owned(), "Qwen3-8B-Q4_K_M".to_owned()));
}

#[test]
fn cells_that_differ_in_load_alone_share_an_engine() {
    let plan = plan_of(&with_engine(
        "[engine.vllm]\nmodel = \"m\"",
        "precision = [\"fp16\", \"bf16\"]\nconcurrency = [1, 8, 64]",
    ))
    .unwrap();
    assert_eq!((plan.cells.len(), plan.launches.len()), (6, 2));
    assert_eq!(plan.cells[1].name, "engine=vllm,precision=fp16,concurrency=8");
}

#[test]
fn zip_and_exclude_shape_the_product() {
    let names = |matrix: &str| -> Vec<String> {
        let text = with_engine("[engine.vllm]\nmodel = \"m\"\n[engine.tiny]", matrix);
        plan_of(&text).unwrap_or_else(|e| panic!("{e}")).cells.into_iter().map(|c| c.name).collect()
    };
    assert_eq!(
        names(
            "precision = [\"fp16\", \"fp32\"]\nconcurrency = [1, 2]\nzip = [[\"precision\", \"concurrency\"]]"
        ),
        [
            "engine=vllm,precision=fp16,concurrency=1",
            "engine=vllm,precision=fp32,concurrency=2",
            "engine=tiny,precision=fp16,concurrency=1",
            "engine=tiny,precision=fp32,concurrency=2",
        ]
    );
    assert_eq!(
        names(
            "precision = [\"fp16\", \"int8\"]\nexclude = [{ engine = \"vllm\", precision = [\"int8\"] }]"
        ),
        ["engine=vllm,precision=fp16", "engine=tiny,precision=fp16", "engine=tiny,precision=int8"]
    );
    // One engine's option does not multiply the other's cells.
    assert_eq!(
        names("\"engine.vllm.eager\" = [true, false]"),
        [
            "engine=vllm,engine.vllm.eager=true",
            "engine=vllm,engine.vllm.eager=false",
            "engine=tiny"
        ]
    );
}

#[test]
fn mistakes_of_the_matrix_are_told() {
    let vllm = "[engine.vllm]\nmodel = \"m\"";
    let check = |matrix: &str, expected: &str| check_error(&with_engine(vllm, matrix), expected);
    check("precison = [\"fp16\"]", "did you mean `precision`?");
    check("engine = [\"vlm\"]", "did you mean `vllm`?");
    check("precision = [\"fp12\"]", "supported: `auto`, `awq`, `bf16`, `fp16`");
    check("precision = []", "swept over no value");
    check("precision = \"fp16\"", "is not a list");
    check("concurrency = [0]", "expected an integer from 1");
    check("concurrency = [1, 1]", "has the value `1` twice");
    check("phase.laod.concurrency = [1]", "did you mean `load`?");
    check("concurrency = [1, 2]\nrate = [1.0]", "has both `concurrency` and `rate`");
    check("concurrency = [1]\nzip = [[\"concurrency\", \"rats\"]]", "`rats` is not swept");
    check("concurrency = [1]\nexclude = [{ rate = 1 }]", "`rate` is not swept");
    check("concurrency = [1]\nexclude = [{ concurrency = 1 }]", "no cell is left");
    check("tensor-parallel = [1, 2]\nspeculative = [\"ngram:x\"]", "is not METHOD:TOKENS");
    let tiny = with_engine("[engine.tiny]", "pipeline-parallel = [1, 2]");
    check_error(&tiny, "engine `tiny` has no option `pipeline-parallel`");
    let gguf = "[engine.llama_cpp]\nmodel = \"m\"\nmodel-path = \"./m.gguf\"";
    let same = with_engine(gguf, "precision = [\"fp16\", \"int8\"]");
    check_error(&same, "runs the same command for precision `fp16` and `int8`");
    check_error(&with_engine("[engine.llama_cpp]\nmodel = \"m\"", ""), "add `model-path = ");
}

#[test]
fn too_few_requests_for_the_streams_are_told_once_with_the_count_of_cells() {
    let text = with_engine("[engine.tiny]", "concurrency = [1, 8, 64]")
        .replace("concurrency = 1\nrequests = 1", "requests = 4");
    let loaded = load_at("scenarios/x.toml", &text, &[], None).unwrap();
    let (_, found) = expand(&loaded.scenario, &host()).unwrap();
    let told = found.render(false);
    let expected = "phase `load` has 4 requests for up to 64 streams: too few in 2 cells";
    assert_eq!(told.matches("requests for").count(), 1, "{told}");
    assert!(told.contains(expected), "{told}");
}

#[test]
fn what_one_client_must_judge_or_hold_together_cannot_be_shared() {
    let check = |engine: &str, more: &str, expected: &str| {
        check_error(&with_engine(&format!("{more}\n{engine}"), ""), expected);
    };
    let (sim, ssh) = ("[engine.sim]", "[clients]\ncommands = [[\"ssh\", \"b\"]]");
    let batch = format!("{ssh}\n[phase.b]\nbatch = 4\nrequests = 8");
    check(sim, &batch, "phase `b` sends batches, and clients share it");
    let steady = "[phase.w]\nkind = \"warm-up\"\nrequests = 9\nuntil-steady = true";
    let steady = format!("{steady}\nconcurrency = 2\n[slurm]\nclients = 2");
    check(sim, &steady, "goes on until it is steady, and clients share it");
    let far = "[engine.far]\npreset = \"endpoint\"\nurl = \"http://h:1\"\nproxy = \"http://p:1\"";
    check(&format!("{far}\nmodel = \"m\""), ssh, "is reached by a proxy");
}

#[test]
fn a_body_that_makes_stamps_and_counts_mean_something_else_is_refused() {
    let check = |more: &str, expected: &str| {
        check_error(&with_engine(&format!("{more}\n[engine.sim]"), ""), expected);
    };
    let several = "`extra-body` must not set `n = 2`";
    check("[request]\nextra-body = { n = 2 }", several);
    check("[request]\nextra-body = { echo = true }", "TTFT that of an echo");
    let swept = with_engine("[engine.sim]", "\"request.extra-body.n\" = [1, 2]");
    check_error(&swept, several);
}

#[test]
fn a_matrix_of_ten_million_cells_is_counted_and_refused() {
    let seeds: Vec<String> = (0..3200).map(|n| n.to_string()).collect();
    let list = seeds[1..].join(", ");
    let matrix = format!("concurrency = [{list}]\nmax-tokens = [{list}]");
    check_error(&with_engine("[engine.tiny]", &matrix), "1 x 3199 x 3199 = 10233601 cells");
}

#[test]
fn a_warm_up_takes_the_load_it_warms_up_for() {
    let text = "[engine.tiny]\n[matrix]\nconcurrency = [4, 8]\n[dataset.d]\nsource = \"gsm8k\"\n\
                [phase.warm_up]\nrequests = 16\n[phase.load]\nrequests = \"all\"\n";
    let plan = plan_of(text).unwrap();
    for cell in &plan.cells {
        assert_eq!(cell.phases[0].arrivals, cell.phases[1].arrivals, "{}", cell.name);
    }
    assert_eq!(plan.datasets["d"].reserve_for_warm_up, 16);
}

#[test]
fn swept_data_sets_keep_their_variants_apart() {
    let text = "[engine.sim]\n[matrix]\ninput-tokens = [16, 64]\noutput-tokens = [8, 32]\n\
                [dataset.shapes]\nsource = \"random\"\n\
                tokenizer = \"./t\"\n[request]\nmax-tokens = \"from-data\"\n\
                [phase.load]\nconcurrency = 2\nrequests = 8\n";
    let plan = plan_of(text).unwrap();
    assert_eq!((plan.cells.len(), plan.datasets.len()), (4, 4));
    for cell in &plan.cells {
        let dataset = &plan.datasets[&cell.dataset];
        assert_eq!(dataset.input_tokens.unwrap().min.to_string(), cell.keys["input-tokens"]);
    }
}

#[test]
fn two_engines_of_one_preset_are_two_rows() {
    let text = with_engine("[engine.a]\npreset = \"tiny\"\n[engine.b]\npreset = \"tiny\"", "");
    let plan = plan_of(&text).unwrap();
    assert_eq!((plan.cells.len(), plan.launches.len()), (2, 2));
    assert_ne!(plan.cells[0].id, plan.cells[1].id);
}

#[test]
fn names_of_variants_do_not_depend_on_the_directory() {
    let text = "[engine.sim]\n[matrix]\ninput-tokens = [16, 64]\n[dataset.shapes]\nsource = \"random\"\n\
                tokenizer = \"./t\"\noutput-tokens = 8\n[phase.load]\nconcurrency = 2\nrequests = 8\n";
    let names = |path: &str| -> Vec<String> {
        let loaded = load_at(path, text, &[], None).unwrap();
        expand(&loaded.scenario, &host()).unwrap().0.datasets.into_keys().collect()
    };
    assert_eq!(names("here/x.toml"), names("/there/x.toml"));
}

#[test]
fn a_point_of_a_search_is_the_same_cell_at_another_load() {
    let scenario = with_engine("[engine.tiny]", "engine = [\"tiny\"]")
        .replace("concurrency = 1", "rate = 4.0\narrival = \"constant\"")
        + "[phase.warm_up]\nrequests = 1\n[phase.own]\nkind = \"warm-up\"\nconcurrency = 3\nrequests = 1\n\
           [slo]\nttft = \"1s\"\n[search]\nover = \"rate\"\nfrom = 2\nto = 64\n";
    let mut plan = plan_of(&scenario).unwrap();
    let first = plan.cells[0].clone();
    assert_eq!(first.name, "engine=tiny,rate=2");
    let point = plan.add_point(&first.id, 8.5).unwrap().clone();
    assert_eq!(point.name, "engine=tiny,rate=8.5");
    assert_ne!(point.id, first.id);
    let arrivals = |cell: &Cell| -> Vec<String> {
        cell.phases.iter().map(|phase| format!("{:?}", phase.arrivals)).collect()
    };
    let (before, after) = (arrivals(&first), arrivals(&point));
    assert!(before.contains(&"Constant { rate_per_s: 2.0 }".to_owned()), "{before:?}");
    assert_eq!(after, before.iter().map(|text| text.replace("2.0", "8.5")).collect::<Vec<_>>());
    assert!(after.contains(&"Closed { concurrency: 3 }".to_owned()));
    let search = plan.search.clone().unwrap();
    assert_eq!(search.load_of(&point), Some(8.5));
    assert!(search.is_same_search(&first, &point));
}
