//! Values that cannot be meant: of another type, without a unit, out of range; precisions,
//! variables of templates, gates, counts, secrets.

use crate::bed::{Home, SCENARIO, play};

#[test]
fn a_wrong_type_unit_or_range_says_what_is_expected() {
    play(
        SCENARIO,
        &[
            ("seed = 1", "seed = -1", &["`seed`", "-1"]),
            ("source = \"jsonl\"", "source = \"jsnl\"", &["`jsnl`", "`jsonl`?"]),
            ("\"flexible\"", "\"flexibel\"", &["`flexibel`", "`flexible`?"]),
            ("max-tokens = 4", "max-tokens = \"form-data\"", &["form-data", "from-data"]),
            ("temperature = 0.0", "temperature = \"hot\"", &["temperature", "number"]),
            ("stream = true", "stream = \"yes\"", &["`request.stream`", "`true` or `false`"]),
            ("requests = 2", "requests = 2.5", &["`phase.load.requests`", "2.5"]),
            ("drain = \"1s\"", "drain = \"5 parsecs\"", &["`5 parsecs` is not a length of time"]),
            (
                "total = \"5s\"",
                "total = 5",
                &["`phase.load.deadlines.total`", "a length of time such as"],
            ),
            ("ttft = \"1s\"", "ttft = 500", &["`slo.ttft`", "a length of time such as"]),
            ("ok-share = 0.01", "ok-share = 7", &["`validity.ok-share`", "7"]),
            ("alpha = 0.01", "alpha = 2", &["`compare.alpha`", "2"]),
            (
                "gpu-hour-price = 2.5",
                "gpu-hour-price = \"cheap\"",
                &["`cost.gpu-hour-price`", "number"],
            ),
        ],
    );
    for (text, instead, said) in [
        ("concurrency = 2", "concurrency = 0", ["`phase.load.concurrency`", "0"]),
        ("concurrency = 2", "concurrency = true", ["`phase.load.concurrency`", "true or false"]),
        ("concurrency = 2", "concurrency = \"2\"", ["without quotes", "concurrency = 2"]),
        ("concurrency = 2", "rate = \"fast\"", ["`phase.load.rate`", "number"]),
        ("concurrency = 2", "rate = -1.0", ["`phase.load.rate`", "-1"]),
        ("concurrency = 2", "rate = 1.0\narrival = \"poison\"", ["`poison`", "`poisson`?"]),
        ("seed = 1", "trials = 0", ["`trials`", "0"]),
        ("seed = 1", "order = \"interleavd\"", ["`interleavd`", "`interleaved`?"]),
        ("seed = 1", "max-failures = 3", ["`max-failures`", "3"]),
        ("stream = true", "api = \"chats\"", ["`chats`", "`chat`?"]),
        (
            "ready-timeout = \"5s\"",
            "ready-timeout = 30",
            ["ready-timeout", "a length of time such as"],
        ),
        ("model = \"m\"", "model = 7", ["`engine.mine.model`", "7"]),
    ] {
        let told = Home::of(&SCENARIO.replacen(text, instead, 1)).check();
        told.ends_with(78).says(&said).says(&["s.toml:"]).has_way_out().has_errors(1);
    }
}

#[test]
fn a_precision_that_the_preset_does_not_know_is_told_with_those_that_it_knows() {
    for preset in ["vllm", "sglang", "transformers", "llama_cpp", "tiny"] {
        let scenario = format!(
            "[engine.{preset}]\nmodel = \"m\"\nmodel-path = \"./m\"\nprecision = \"int5\"\n\
             [dataset.d]\nsource = \"random\"\ninput-words = 5\n\
             [phase.load]\nconcurrency = 1\nrequests = 1\n"
        );
        let told = Home::of(&scenario).check();
        told.ends_with(78).says(&["`int5`", "s.toml:4:", "help: ", "int"]).has_errors(1);
    }
}

#[test]
fn a_variable_that_is_not_there_is_told_with_those_that_are() {
    play(
        SCENARIO,
        &[
            ("{{ port }}", "{{ prot }}", &["`prot` is not defined", "`port`"]),
            ("Q: {{ prompt }}", "Q: {{ promt }}", &["`promt`", "`prompt`"]),
        ],
    );
    let engine =
        |key: &str| SCENARIO.replacen("model = \"m\"", &format!("model = \"m\"\n{key}"), 1);
    for (scenario, said) in [
        (SCENARIO.replace("{{ place }}", "{{ plcae }}"), ["`plcae` is not defined", "`place`"]),
        (engine("url = \"http://127.0.0.1:{{ prt }}\""), ["`prt` is not defined", "`port`"]),
        (engine("extra-args = [\"{{ modle }}\"]"), ["`modle` is not defined", "`model`"]),
        (engine("env = { WHERE = \"{{ plac }}\" }"), ["`plac` is not defined", "`place`"]),
        (engine("cwd = \"./{{ plac }}\""), ["`plac` is not defined", "`place`"]),
        (
            SCENARIO.replace("place = \"here\"", "place = \"{{ hier }}\""),
            ["`hier` is not defined", "in this variable"],
        ),
        (SCENARIO.replace("\"Q: {{ prompt }}\"", "\"Q: {{ prompt }\""), ["prompt", "s.toml:"]),
        (SCENARIO.replace("{{ port }}", "{{ port }"), ["argv", "s.toml:"]),
    ] {
        let told = Home::of(&scenario).check();
        told.ends_with(78).says(&said).says(&["s.toml:", "help: "]).has_errors(1);
    }
}

#[test]
fn a_gate_that_cannot_be_held_against_anything_is_refused() {
    for (gate, said) in [
        ("tftt.p50 < 2s", ["`tftt` is not a metric", "`ttft`?"]),
        ("ttft.p50 < 2", ["`2` has no unit", "ms"]),
        ("ttft.p50 < 2 tok/s", ["tok/s", "ms"]),
        ("ttft < 2s", ["`ttft` is a distribution", "ttft.p50"]),
        ("accuracy.strct >= 0.5", ["strct", "flexible"]),
        ("output_throughput", ["output_throughput", "<"]),
        ("ttft.p50 >", ["ttft.p50", "help: "]),
    ] {
        let scenario = SCENARIO.replace("output_throughput > 1 tok/s", gate);
        let told = Home::of(&scenario).check();
        told.ends_with(78).says(&said).says(&["s.toml:", "help: "]).has_errors(1);
        let told = Home::new().bench(&["run", "s.toml", "--fail-if", gate]);
        told.ends_with(2);
    }
}

#[test]
fn too_few_rows_or_requests_are_told_before_a_run() {
    let scenario = SCENARIO.replacen("requests = 2", "requests = 9", 1);
    let told = Home::of(&scenario).check();
    told.ends_with(78).says(&["data set `chats`", "3", "9", "`cycle = true`", "s.toml:"]);
    told.has_errors(1);
    Home::of(&scenario.replace("source =", "cycle = true\nsource =")).check().ends_with(0);

    let few = SCENARIO.replace("concurrency = 2", "concurrency = 8");
    let told = Home::of(&few).check();
    told.ends_with(0).says(&["2 requests for up to 8 streams: too few in 2 cells", "s.toml:"]);
    assert_eq!(told.err.matches("too few in").count(), 1, "{told}");
    told.says(&["use 32 requests or more"]);
}

#[test]
fn a_percentile_that_needs_more_requests_says_how_many_before_the_run() {
    for (gate, n) in [("p99", "662"), ("p99.9", "6636")] {
        let scenario =
            SCENARIO.replace("output_throughput > 1 tok/s", &format!("ttft.{gate} < 5s"));
        for command in ["check", "plan"] {
            let told = Home::of(&scenario).bench(&[command, "s.toml"]);
            told.ends_with(0).says(&[&format!("TTFT {gate} needs {n} requests"), "sends 2"]);
            told.says(&[&format!("send {n} requests")]);
        }
    }
}

#[test]
fn a_secret_that_is_written_out_is_refused_and_not_repeated() {
    const KEY: &str = "sk-proj-Zq8vJ2kLw0Xr5TnB7yHcD3fG9mPa";
    let engine =
        |key: &str| SCENARIO.replacen("model = \"m\"", &format!("model = \"m\"\n{key}"), 1);
    for (scenario, way_out) in [
        (engine(&format!("env = {{ OPENAI_API_KEY = \"{KEY}\" }}")), "env-from"),
        (engine(&format!("headers = {{ Authorization = \"Bearer {KEY}\" }}")), "api-key-env"),
        (engine(&format!("headers = {{ X-Api-Key = \"{KEY}\" }}")), "headers-from"),
        (engine(&format!("extra-args = [\"--api-key\", \"{KEY}\"]")), "env"),
        (engine(&format!("extra-args = [\"--api-key={KEY}\"]")), "env"),
        (engine(&format!("url = \"http://user:{KEY}@127.0.0.1:{{{{ port }}}}\"")), "api-key-env"),
        (engine(&format!("url = \"http://127.0.0.1:{{{{ port }}}}?api_key={KEY}\"")), "api-key"),
        (
            SCENARIO.replace("stream = true", &format!("extra-body = {{ api_key = \"{KEY}\" }}")),
            "help: ",
        ),
        (SCENARIO.replace("place = \"here\"", &format!("place = \"{KEY}\"")), "help: "),
    ] {
        let told = Home::of(&scenario).check();
        told.ends_with(78).says(&[way_out, "s.toml:"]).says_not(KEY).has_errors(1);
        let home = Home::of(&scenario);
        home.bench(&["run", "s.toml", "--out", "run"]).ends_with(78).says_not(KEY);
        assert!(!home.path("run").exists(), "a run was begun");
    }
}

#[test]
fn what_follows_from_a_mistake_is_no_second_one() {
    let until = |value: &str| {
        SCENARIO.replace("drain = \"1s\"", &format!("drain = \"1s\"\nuntil = {value}"))
    };
    let data = "source = \"jsonl\"\nlocation = \"./chats.jsonl\"";
    let dataset = |instead: &str| SCENARIO.replace(data, instead);
    let words = "source = \"random\"\noutput-tokens = 3\ninput-words = { min = 10, max = 5 }\n";
    let random = SCENARIO
        .replace(data, words)
        .replace("prompt = \"Q: {{ prompt }}\"\ncolumns = { answer = \"answer\" }\n", "")
        .replace("[score.s]\nextract = [\"flexible\"]\n", "");
    for (scenario, said) in [
        (until("{ metric = \"ttft.p99\", half-width = 0.05 }"), "`phase.load.until.half-width`"),
        (until("\"ttft.p99 5%\""), "`phase.load.until`: found a string"),
        (dataset("location = \"./chats.jsonl\""), "has no `source`"),
        (dataset("source = \"jsonl\""), "has no `location`"),
        (dataset("source = \"jsonl\"\nlocation = \"http://h/x.jsonl\""), "by https alone"),
        (dataset("source = \"jsonl\"\nlocation = \"https://h/x.jsonl\""), "no `sha256`"),
        (random, "a range goes from `min` up to `max`"),
        (
            SCENARIO.replace("seed = 1", "report = { name = \"serving\" }"),
            "`report`: found a table",
        ),
    ] {
        let told = Home::of(&scenario).check();
        told.ends_with(78).says(&[said, "s.toml:"]).has_way_out().has_errors(1);
    }
}

#[test]
fn a_negative_time_of_a_built_in_engine_is_told_as_any_wrong_one() {
    let load = "[dataset.d]\nsource = \"random\"\ninput-words = 5\n\
                [phase.load]\nconcurrency = 1\nrequests = 1\n";
    let told = Home::of(&format!("[engine.sim]\nttft = \"-3ms\"\n{load}")).check();
    told.ends_with(78).says(&["`engine.sim.ttft`", "'-3ms'", "duration", "s.toml:2:8"]);
    told.says_not("unexpected argument").has_errors(1);
}

#[test]
fn what_slurm_cannot_mean_is_told_without_slurm() {
    for (key, said) in [
        ("memory = \"128 gigs\"", ["memory = \"128 gigs\" has no place", "128G"]),
        ("export = [\"FOO=bar\"]", ["export", "names of variables"]),
        ("end-before = \"5h\"", ["end-before", "no shorter than `time`"]),
        ("template = \"./nix.j2\"", ["nix.j2", "relative to the scenario"]),
        ("template = \"./t.j2\"", ["line 2: #SBATCH {{ nme }}", "bench help cluster"]),
        ("gres = \"gpu:{{ gpu }}\"", ["gres", "undefined"]),
    ] {
        let home = Home::of(&SCENARIO.replace("time = \"4h\"", &format!("time = \"4h\"\n{key}")));
        home.write("t.j2", "#!/bin/bash\n#SBATCH {{ nme }}\n");
        let told = home.check();
        told.ends_with(78).says(&said).says(&["s.toml:", "help: "]).has_errors(1);
        home.bench(&["run", "s.toml", "--slurm", "--dry-run"]).ends_with(78).says(&said);
    }
    let fits = SCENARIO.replace("time = \"4h\"", "time = \"4h\"\nmemory = \"128GB\"");
    Home::of(&fits).check().ends_with(0);
}
