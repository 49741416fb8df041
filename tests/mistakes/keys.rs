//! Keys that are misspelt: in every section, in presets' options, on the command line, in the
//! environment; names that are there twice, or that no directory can bear.

use crate::bed::{Home, Mistake, SCENARIO, Told, play};

#[test]
fn a_misspelt_key_of_any_section_is_told_with_the_nearest_one() {
    play(
        SCENARIO,
        &[
            ("title =", "titel =", &["unknown key `titel`", "did you mean `title`?"]),
            ("model =", "modle =", &["unknown key `modle`", "did you mean `model`?"]),
            ("location =", "locaton =", &["unknown key `locaton`", "did you mean `location`?"]),
            ("extract =", "extrakt =", &["unknown key `extrakt`", "did you mean `extract`?"]),
            ("max-tokens =", "max_tokns =", &["unknown key `max_tokns`", "`max-tokens`?"]),
            ("drain =", "drian =", &["unknown key `drian`", "did you mean `drain`?"]),
            ("total =", "totl =", &["unknown key `totl`", "did you mean `total`?"]),
            ("ttft =", "tfft =", &["unknown key `tfft`", "did you mean `ttft`?"]),
            ("ok-share =", "ok-shar =", &["unknown key `ok-shar`", "did you mean `ok-share`?"]),
            ("must =", "mst =", &["unknown key `mst`", "did you mean `must`?"]),
            ("alpha =", "alpah =", &["unknown key `alpah`", "did you mean `alpha`?"]),
            ("gpu-hour-price", "gpu-hour-prise", &["`gpu-hour-prise`", "`gpu-hour-price`?"]),
            ("time =", "tiem =", &["unknown key `tiem`", "did you mean `time`?"]),
            ("phase.load.requests", "phase.load.reqests", &["`reqests`", "`requests`?"]),
        ],
    );
}

#[test]
fn a_word_of_another_tool_is_told_with_the_word_of_this_one() {
    play(
        SCENARIO,
        &[
            ("requests = 2", "num_prompts = 2\nrequests = 2", &["mean `requests`?"]),
            ("concurrency =", "max-concurrency = 3\nconcurrency =", &["mean `concurrency`?"]),
            (
                "model =",
                "base-url = \"http://x:1\"\nmodel =",
                &["unknown key `base-url`", "mean `url`?"],
            ),
        ],
    );
    let rate = SCENARIO.replace("concurrency = 2", "rate = 2.0");
    play(&rate, &[("rate = 2.0", "rate = 2.0\nqps = 2.0", &["`qps`", "mean `rate`?"])]);
}

#[test]
fn a_misspelt_section_is_one_mistake() {
    let sections: &[Mistake<'_>] = &[
        ("[matrix]", "[matrx]", &["`matrx`", "`matrix`?"]),
        ("[score.s]", "[scores.s]", &["`scores`", "`score`?"]),
        ("[request]", "[reqest]", &["`reqest`", "`request`?"]),
        ("[slo]", "[sloo]", &["`sloo`", "`slo`?"]),
        ("[validity]", "[validty]", &["`validty`", "`validity`?"]),
        ("[reference]", "[referense]", &["`referense`", "`reference`?"]),
        ("[gate]", "[gates]", &["`gates`", "`gate`?"]),
        ("[compare]", "[compar]", &["`compar`", "`compare`?"]),
        ("[cost]", "[costs]", &["`costs`", "`cost`?"]),
        ("[slurm]", "[slrum]", &["`slrum`", "`slurm`?"]),
        ("[profile.quick]", "[profiles.quick]", &["`profiles`", "`profile`?"]),
    ];
    for section in sections {
        let told = Home::of(&crate::bed::with(SCENARIO, section)).check();
        told.ends_with(78).says(section.2).has_errors(1);
    }
    for (section, misspelt, said) in [
        ("[vars]", "[var]", ["`var`", "`vars`?"]),
        ("[engine.mine]", "[engin.mine]", ["`engin`", "`engine`?"]),
        ("[dataset.chats]", "[datasets.chats]", ["`datasets`", "`dataset`?"]),
        ("[phase.load]", "[phases.load]", ["`phases`", "`phase`?"]),
    ] {
        Home::of(&SCENARIO.replacen(section, misspelt, 1)).check().ends_with(78).says(&said);
    }
}

#[test]
fn an_option_that_a_preset_does_not_have_is_told_with_those_that_it_has() {
    let of = |engine: &str| {
        format!(
            "{engine}\n[dataset.d]\nsource = \"random\"\ninput-words = 5\n\
             [phase.load]\nconcurrency = 1\nrequests = 1\n"
        )
    };
    for (engine, said) in [
        ("[engine.sim]\nslots = 16", ["unknown key `slots`", "`max-sequences`?", "s.toml:2:1"]),
        ("[engine.sim]\ntttf = \"1ms\"", ["unknown key `tttf`", "`ttft`?", "s.toml:2:1"]),
        (
            "[engine.vllm]\nmax_model_len = 9\nmodel = \"m\"",
            ["`max_model_len`", "`context-length`?", "s.toml:2:1"],
        ),
        (
            "[engine.vllm]\ntp = 2\nmodel = \"m\"",
            ["unknown key `tp`", "`tensor-parallel`?", "s.toml:2:1"],
        ),
        (
            "[engine.tiny]\nxyzzy = 1",
            ["unknown key `xyzzy`", "`threads`, `context-length`, `max-sequences`", "s.toml:2:1"],
        ),
        (
            "[engine.tiny]\nkv-cache-dtype = \"fp8\"",
            [
                "engine `tiny` has no option `kv-cache-dtype`",
                "its options are `context-length`",
                "s.toml:2:1",
            ],
        ),
        (
            "[engine.sglang]\nmem-fraction = 0.5\nmodel = \"m\"",
            ["unknown key `mem-fraction`", "memory-fraction", "s.toml:2:1"],
        ),
    ] {
        Home::of(&of(engine)).check().ends_with(78).says(&said).has_errors(1);
    }
}

#[test]
fn an_override_that_names_nothing_is_refused_with_the_right_spelling() {
    let home = Home::new();
    let check = |sets: &[&str], env: &[(&str, &str)], said: &[&str]| {
        for command in ["check", "plan", "run"] {
            let args: Vec<&str> = [command, "s.toml"].iter().chain(sets).copied().collect();
            let output = home.command(&args).envs(env.iter().copied()).output().unwrap();
            Told::of(&args, &output).ends_with(78).says(said).has_errors(1);
        }
    };
    let set = |set: &'static str| ["--set", set];
    check(&set("phase.laod.rate=3"), &[], &["there is no phase `laod`", "mean `load`?", "--set:1"]);
    check(&set("phase.load.concurency=3"), &[], &["`concurency`", "`concurrency`?", "--set:1:12"]);
    check(&set("phases.load.rate=3"), &[], &["`phases`", "`phase`?", "--set:1:1"]);
    check(&set("engine.min.model=x"), &[], &["there is no engine `min`", "mean `mine`?"]);
    check(&set("dataset.chat.limit=3"), &[], &["there is no dataset `chat`", "mean `chats`?"]);
    check(&set("request.max_tokns=3"), &[], &["`max_tokns`", "`max-tokens`?"]);
    check(&set("titel=x"), &[], &["`titel`", "`title`?"]);
    check(&set("phase.load.concurrency"), &[], &["has no `=`", "--set phase.load.concurrency=8"]);
    check(&set("=3"), &[], &["`--set` has no key before `=`"]);
    check(
        &set("phase.load.concurrency=many"),
        &[],
        &["= \"many\"", "expected an integer", "--set:1"],
    );
    let env = |name: &'static str, said: &[&str]| check(&[], &[(name, "3")], said);
    env("BENCH_PHASE_LOAD_RATE", &["BENCH_PHASE_LOAD_RATE", "BENCH_PHASE__LOAD__RATE"]);
    env("BENCH_PHASE__LAOD__RATE", &["there is no phase `laod`", "mean `load`?"]);
    env("BENCH_PHASES__LOAD__RATE", &["`BENCH_PHASES__LOAD__RATE`", "mean `phase`?"]);
    env("BENCH_PHASE__LOAD__CONCURENCY", &["`concurency`", "`concurrency`?"]);
    env("BENCH_REQUEST_MAX_TOKENS", &["BENCH_REQUEST__MAX_TOKENS"]);
    env("BENCH_REQUEST__MAX_TOKNS", &["`max_tokns`", "`max-tokens`?"]);
    env("BENCH_ENGINE_MINE_MODEL", &["BENCH_ENGINE__MINE__MODEL"]);
    env("BENCH_SEDE", &["`BENCH_SEDE` sets no key", "mean `BENCH_SEED`?"]);
    env("BENCH__SEED", &["mean `BENCH_SEED`?"]);
    env("BENCH_MAX_FAILURE", &["mean `BENCH_MAX_FAILURES`?"]);
    env("BENCH_BUGDET", &["mean `BENCH_BUDGET`?"]);
    env("BENCH_PHASE", &["`phase` is a table", "BENCH_PHASE__NAME__KEY"]);
    assert!(!home.path("runs").exists(), "a run was begun");
    // A word that may be meant for another program, and what is no word of a scenario's at all.
    for (name, said) in [
        ("BENCH_CONCURRENCY", Some("BENCH_PHASE__NAME__CONCURRENCY")),
        ("BENCH_CACHE", None),
        ("BENCH_ENGINES", None),
        ("BENCH_OFFLINE", None),
        ("BENCH_DATA_DIR", None),
    ] {
        let args = ["check", "s.toml"];
        let output = home.command(&args).env(name, home.path("there")).output().unwrap();
        let told = Told::of(&args, &output);
        told.ends_with(0);
        assert_eq!(told.err.contains(name), said.is_some(), "{told}");
        told.says(said.as_slice());
    }
}

#[test]
fn an_option_that_is_a_key_of_the_scenario_is_told_with_the_way_to_set_it() {
    let check = |args: &[&str], said: &str| {
        let told = Home::new().bench(args);
        told.ends_with(2).says(&[said]).says_not("a similar argument");
    };
    check(&["run", "s.toml", "--budget", "2h"], "'--set budget=…'");
    check(&["plan", "s.toml", "--concurrency", "4"], "'--set phase.NAME.concurrency=…'");
    check(&["check", "s.toml", "--max-tokens=4"], "'--set request.max-tokens=…'");
    Home::new().bench(&["report", "run", "--seed", "2"]).ends_with(2).says_not("--set");
}

#[test]
fn an_empty_file_is_told_once_and_what_is_empty_beneath_a_scenario_hides_nothing() {
    for text in ["", "# Nothing yet.\n"] {
        let home = Home::of(text);
        for command in ["check", "plan", "run"] {
            home.bench(&[command, "s.toml"]).ends_with(78).says(&["says nothing"]).has_errors(1);
        }
        // An empty preset is one without a command.
        let bare: String =
            SCENARIO.split_inclusive('\n').filter(|line| !line.starts_with("argv")).collect();
        let home = Home::of(&bare);
        home.write("engines/mine.toml", text);
        for command in ["check", "plan", "run"] {
            let told = home.bench(&[command, "s.toml"]);
            told.ends_with(78).says(&["neither a command nor a URL", "s.toml:"]).has_errors(1);
        }
        let home = Home::of(&format!("extends = \"base.toml\"\n{SCENARIO}"));
        home.write("base.toml", text);
        for command in ["check", "plan"] {
            home.bench(&[command, "s.toml"]).ends_with(0);
        }
        home.write(".config/bench/engines/sim.toml", text);
        home.bench(&["quick", "sim", "--dry-run"]).ends_with(78).has_way_out();
    }
}

#[test]
fn a_name_of_a_profile_that_the_scenario_does_not_have_is_told_without_the_profile() {
    let wrong = SCENARIO.replace("phase.load.requests = 1", "phase.laod.requests = 1");
    let home = Home::of(&wrong);
    home.check().ends_with(78).says(&["no phase `laod`", "mean `load`?", "s.toml:"]).has_errors(1);
    // A profile may add a phase of its own.
    let more = "phase.load2 = { concurrency = 1, requests = 1 }";
    Home::of(&SCENARIO.replace("phase.load.requests = 1", more)).check().ends_with(0);
}

#[test]
fn a_swept_key_is_told_with_the_nearest_one_of_its_place() {
    play(
        SCENARIO,
        &[(
            "[matrix]",
            "[matrix]\n\"engine.mine.modle\" = [\"a\"]",
            &["`engine.mine.modle` cannot be swept", "mean `engine.mine.model`?"],
        )],
    );
    let twice = SCENARIO.replace("[matrix]", "[matrix]\ntrials = [1, 2]");
    let told = Home::of(&twice).check();
    told.ends_with(78).says(&["the same measurement", "says how often each cell is measured"]);
    told.says_not("use `trials` in the engine");
}

#[test]
fn a_presets_mistakes_are_told_as_those_of_a_preset() {
    let home = Home::new();
    home.write("engines/own.toml", "sumary = \"mine\"\n");
    let told = home.bench(&["check", "engines/own.toml"]);
    told.ends_with(78).says(&["`sumary`", "not a key of a preset", "`summary`?"]).has_errors(1);
    home.write("engines/own.toml", "preset = \"vllm\"\nargv = [\"x\", \"{{ port }}\"]\n");
    let told = home.bench(&["check", "engines/own.toml"]);
    told.ends_with(78).says(&["a preset is made from no other one"]);
    let number = SCENARIO.replace("model = \"m\"", "model = \"m\"\npreset = 5");
    Home::of(&number).check().ends_with(78).says(&["`engine.mine.preset`"]).has_errors(1);
}

#[test]
fn a_profile_or_a_file_beneath_that_is_not_there_is_named() {
    let home = Home::new();
    let told = home.bench(&["check", "s.toml", "--profile", "quik"]);
    told.ends_with(78).says(&["there is no profile `quik`", "mean `quick`?"]).has_errors(1);
    home.write("s.toml", &format!("extends = \"./bas.toml\"\n{SCENARIO}"));
    home.check().ends_with(78).says(&["bas.toml", "s.toml:1:11", "help: "]).has_errors(1);
    let told = home.bench(&["check", "gone.toml"]);
    told.ends_with(66).says(&["gone.toml", "help: "]).has_errors(1);
}

#[test]
fn one_name_for_two_things_is_refused_at_both_places() {
    for (section, more) in [
        ("[score.s]", "extract = [\"strict\"]"),
        ("[dataset.chats]", "source = \"gsm8k\""),
        ("[engine.mine]", "preset = \"tiny\""),
        ("[phase.load]", "requests = 3"),
    ] {
        let told = Home::of(&format!("{SCENARIO}\n{section}\n{more}\n")).check();
        told.ends_with(78).says(&["duplicate key", "s.toml:", "help: "]).has_errors(1);
    }
    let told = Home::of(&format!("{SCENARIO}\n[engine.Mine]\npreset = \"tiny\"\n")).check();
    told.ends_with(78).says(&["differ only in case", "s.toml:"]).has_errors(1);
}

#[test]
fn a_name_that_no_directory_can_bear_is_refused() {
    for name in ["a/b", "../x", "", ".", "a\\u0000b"] {
        for (section, written) in [
            ("[engine.mine]", "[engine.NAME]"),
            ("[dataset.chats]", "[dataset.NAME]"),
            ("[score.s]", "[score.NAME]"),
            ("[phase.load]", "[phase.NAME]"),
        ] {
            let written = written.replace("NAME", &format!("\"{name}\""));
            let told = Home::of(&SCENARIO.replacen(section, &written, 1)).check();
            told.ends_with(78).says(&["s.toml:", "help: "]);
            let is_told = told.err.contains("cannot be the name of") || told.err.contains("NUL");
            assert!(is_told, "{told}");
        }
    }
}

/// A load for engines that are only checked.
const LOAD: &str = "[dataset.d]\nsource = \"random\"\ninput-words = 5\n\
                    [phase.load]\nconcurrency = 1\nrequests = 1\n";

#[test]
fn options_of_the_built_in_engines_are_read_before_a_run_as_they_read_them() {
    let scenario = format!(
        "[engine.sim]\nttft = \"fast\"\nwrong-rate = \"lots\"\nspin = 5\nmax-sequences = 3.5\n\
         extra-args = [\"--fail-rat\", \"1\"]\n[matrix]\nsim-seed = [1, \"x\"]\n{LOAD}"
    );
    let told = Home::of(&scenario).check();
    told.ends_with(78).has_errors(6);
    for place in ["s.toml:2:", "s.toml:3:", "s.toml:4:", "s.toml:5:", "s.toml:6:", "s.toml:8:"] {
        told.says(&[place]);
    }
    told.says(&["`engine.sim.ttft`: invalid value 'fast'", "`bench serve sim --help`"]);
    let right = "[engine.sim]\nttft = \"uniform:1ms..2ms\"\nitl = \"{{ gap }}\"\nmax-sequences = 3\n\
                 queue-limit = 2\nextra-args = [\"--fail-rate\", \"0.5\"]\n[vars]\ngap = \"5ms\"\n";
    Home::of(&format!("{right}{LOAD}")).check().ends_with(0);
}

#[test]
fn no_second_error_follows_a_first_one() {
    let check = |scenario: &str, says: &str| {
        Home::of(scenario).check().ends_with(78).says(&[says]).has_errors(1);
    };
    let lost = "[engine.mine]\npreset = \"mein\"\nmodel = \"m\"\nmax-sequences = 8\n";
    check(&format!("{lost}{LOAD}"), "mein");
    let sim = format!("[engine.sim]\n{LOAD}");
    check(&format!("{sim}[[gate]]\nmust = []\n"), "gate");
    check(&format!("{sim}[gate]\nx = 1\n"), "unknown key `x`");
    check(&format!("{sim}[gate]\n"), "requires nothing");
    check(&sim.replace("requests = 1\n", ""), "neither `requests` nor `duration`");
    check(&format!("[engine.e]\npreset = \"endpoint\"\nmodel = \"m\"\n{LOAD}"), "url = ");
    let no_model = "[engine.mine]\nargv = [\"/bin/sh\", \"{{ model }}\", \"{{ port }}\"]\n";
    check(&format!("{no_model}{LOAD}"), "`model` is not defined");
}

#[test]
fn a_file_for_a_source_and_a_part_of_a_metric_are_told_with_what_was_meant() {
    let told = |scenario: &str| Home::of(scenario).check();
    let scenario = format!("[engine.sim]\n{LOAD}");
    let file = scenario.replace("\"random\"\ninput-words = 5", "\"./rows.jsonl\"");
    told(&file).ends_with(78).says(&["`source = \"jsonl\"` and `location = \"./rows.jsonl\"`"]);
    told(&format!("{scenario}[gate]\nmust = [\"throughput > 1\"]\n"))
        .ends_with(78)
        .says(&["`output_throughput`"]);
}

#[test]
fn a_preset_is_checked_as_one_and_init_takes_a_url_where_it_takes_an_engine() {
    let home = Home::new();
    home.bench(&["init", "--preset", "mine"]).ends_with(0);
    home.bench(&["check", "engines/mine.toml"])
        .ends_with(0)
        .says(&["engines/mine.toml: ok, a preset: a scenario uses it as [engine.mine]"]);
    home.write("engines/odd.toml", "argv = [\"x\", \"{{ port }}\"]\nready-timeout = 5\n");
    let told = home.bench(&["check", "engines/odd.toml"]);
    told.ends_with(78).says(&["odd.toml:2:", "ready-timeout"]).has_errors(1);
    let url = ["init", "--engine", "http://localhost:18400", "--model", "m", "url.toml"];
    home.bench(&url).ends_with(0);
    home.bench(&["check", "url.toml"]).ends_with(0);
}

#[test]
fn a_first_word_of_quick_that_is_a_model_or_a_scenario_is_told_as_that() {
    let home = Home::new();
    for (args, said) in [
        (&["Qwen/Qwen2.5-7B"][..], "`vllm Qwen/Qwen2.5-7B`"),
        (&["Qwen/Qwen3-4B"], "`vllm Qwen/Qwen3-4B`"),
        (&["./model.gguf"], "`llama_cpp ./model.gguf`"),
        (&["llama_cpp", "Qwen/Qwen3-4B"], "bench quick llama_cpp ./model.gguf"),
        (&["s.toml"], "bench run s.toml"),
    ] {
        let told = home.bench(&[&["quick", "--dry-run"], args].concat());
        told.ends_with(2).says(&[said]).has_errors(1);
    }
    let told = home.bench(&["quick", "llama.cpp", "./m.gguf", "--dry-run"]);
    told.ends_with(0).says(&["m.gguf on llama_cpp"]);
}
