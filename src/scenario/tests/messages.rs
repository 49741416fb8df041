//! Whole scenarios: texts in, messages out.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostics;
use crate::scenario::grammar::{Field, Kind};
use crate::scenario::spec::{EngineSpec, OPTIONS, ScenarioSpec};
use crate::scenario::toml_tree::Document;
use crate::scenario::validate::Findings;
use crate::scenario::{DEFAULTS, Input, Loaded, engine_preset, json_schema, load, validate};

const GOOD: &str = "[engine.tiny]\n[dataset.d]\nsource = \"gsm8k\"\n\
                    [phase.load]\nconcurrency = 4\nrequests = 8\n";

#[derive(Default)]
struct Around<'a> {
    files: BTreeMap<&'a str, &'a str>,
    env: Vec<(String, String)>,
    sets: Vec<String>,
    profile: Option<&'a str>,
}

impl Around<'_> {
    fn load(&self, text: &str) -> Result<Loaded, Diagnostics> {
        load(&Input {
            path: Path::new("chat.toml"),
            text,
            read: &|path| {
                let text = self.files.get(path.to_str().unwrap_or_default());
                text.map(|text| (*text).to_string())
                    .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            },
            env: &self.env,
            sets: &self.sets,
            profile: self.profile,
            user_preset_dirs: &[PathBuf::from("presets")],
        })
    }

    fn set(sets: &[&str]) -> Self {
        Self { sets: sets.iter().map(|set| (*set).to_string()).collect(), ..Self::default() }
    }

    fn env(name: &str, value: &str) -> Self {
        Self { env: vec![(name.to_string(), value.to_string())], ..Self::default() }
    }
}

fn errors(text: &str) -> String {
    match Around::default().load(text) {
        Ok(loaded) => panic!("no error in:\n{text}\n{}", loaded.resolved_toml),
        Err(found) => found.render(false),
    }
}

fn check(text: &str, expected: &str) {
    let message = errors(text);
    assert!(message.contains(expected), "expected {expected:?} in:\n{message}");
}

fn good_with(extra: &str) -> String {
    format!("{GOOD}{extra}")
}

#[test]
fn a_preset_that_is_not_there_is_the_only_mistake_of_its_engine() {
    let engine = "[engine.mine]\npreset = \"house-server\"\nmodel = \"m\"\nslots-of-mine = 3";
    let message = errors(&GOOD.replace("[engine.tiny]", engine));
    assert!(message.contains("there is no preset `house-server`"), "{message}");
    assert!(!message.contains("slots-of-mine = 3"), "{message}");
}

#[test]
fn three_typos_at_three_depths_are_three_carets() {
    insta::assert_snapshot!(errors(include_str!("../../../fixtures/scenarios/three_typos.toml")));
}

#[test]
fn contradictions_show_both_places() {
    insta::assert_snapshot!(errors(include_str!(
        "../../../fixtures/scenarios/contradictions.toml"
    )));
}

#[test]
fn wrong_types_and_ranges_say_what_is_expected() {
    insta::assert_snapshot!(errors(include_str!("../../../fixtures/scenarios/ranges.toml")));
}

#[test]
fn each_mistake_is_told_with_a_way_out() {
    check("", "chat.toml says nothing");
    check("title = \"x\"", "the scenario names no engine");
    check(&good_with("[phase.load.deadlines]\ntotl = \"1s\""), "did you mean `total`?");
    check(&good_with("concurrency = 3"), "duplicate key");
    check(&good_with("[engine.vlm]"), "did you mean `vllm`?");
    check(&good_with("[engine.mine]\npreset = \"sgalng\""), "did you mean `sglang`?");
    check(&good_with("[engine.\"../x\"]\npreset = \"tiny\""), "cannot be the name of an engine");
    check(&good_with("[engine.Tiny]\npreset = \"tiny\""), "differ only in case");
    check(&good_with("[dataset.e]\nsource = \"gsm8k\""), "no choice among them");
    check(&good_with("[dataset.d.columns]\nx = 3"), "expected a string");
    check(&good_with("[slo]"), "has no objective");
    check(&good_with("[slo]\nttft = \"10 minuets\""), "is not a length of time");
    check(&good_with("[search]\nover = \"rate\""), "needs objectives to meet");
    let search = "concurrency = 1\nrequests = 1\n[slo]\nttft = \"1s\"\n[search]";
    check(&good_with(&format!("[phase.more]\n{search}")), "a search measures one phase");
    check(&good_with("[score.s]\nextract = [\"strct\"]"), "did you mean `strict`?");
    check(&good_with("[score.s]\nextract = ['(unclosed']"), "this pattern cannot be used");
    check(&good_with("[score.s]\nextract = []"), "has no extractor");
    check(&good_with("rate = 2.0"), "has both `concurrency` and `rate`");
    check(&good_with("until-steady = true"), "only a warm-up repeats itself");
    check(&good_with("kind = \"warm-up\""), "no phase is measured");
    check(&good_with("arrival = \"poisson\""), "`arrival` needs a `rate`");
    check(&good_with("max_in_flight = 3"), "did you mean `max-in-flight`?");
    check(&good_with("max-tokens = 3"), "`max-tokens` is a key of `[request]`");
    check(
        &good_with("[engine.tiny.log.failures]\noom = 'x'"),
        "known keys: `spawn`, `exited-early`",
    );
    check(&good_with("[engine.tiny.log.stages]\nload = '('"), "this pattern cannot be used");
    check(&good_with("[engine.tiny]\nca = \"x.pem\""), "`ca` is for engines on https");
    check(
        &good_with("[engine.tiny.metrics.names]\nrequests_runing = ['x']"),
        "did you mean `requests_running`?",
    );
    check(
        &good_with("[engine.e]\npreset = \"endpoint\"\nurl = \"host:1\""),
        "begins with `http://`",
    );
    check(&GOOD.replace("gsm8k", "gsm8"), "did you mean `gsm8k`?");
    check(&GOOD.replace("\"gsm8k\"", "\"csv\""), "has no `location`");
    check(&GOOD.replace("\"gsm8k\"", "\"random\""), "have no `input-tokens`");
    let sharegpt = "\"sharegpt\"\ncolumns = { prompt = \"q\" }";
    check(&GOOD.replace("\"gsm8k\"", sharegpt), "source `sharegpt` plays the part `prompt`");
    let jsonl =
        "\"jsonl\"\nlocation = \"./x.jsonl\"\ncolumns = { prompt = \"q\", messages = \"m\" }";
    check(&GOOD.replace("\"gsm8k\"", jsonl), "take `messages` or `prompt` out");
    let ultrachat = "\"ultrachat\"\nprompt = \"{{ q }}\"";
    check(&GOOD.replace("\"gsm8k\"", ultrachat), "are not made by a template");
    let random = "\"random\"\ninput-words = 9\nshared-prefixes = 4";
    check(&GOOD.replace("\"gsm8k\"", random), "add `shared-prefix-tokens = 512`");
    check(&GOOD.replace("requests = 8", ""), "has no end");
    check(&GOOD.replace("concurrency = 4", ""), "sends nothing");
    check(&format!("seed = 99999999999999999999\n{GOOD}"), "more than 64 bits");
    check(&format!("title = \"a\\u0000\"\n{GOOD}"), "must not contain NUL");
    check(&GOOD.replace("= 8", "= \"8\""), "`phase.load.requests`: `\"8\"` is a string");
    check(&GOOD.replace("= 8", "= \"8\""), "write it without quotes: `requests = 8`");
    check(&GOOD.replace("= 4", "= \"4\""), "write it without quotes: `concurrency = 4`");
    check(&GOOD.replace("concurrency", "qps"), "did you mean `rate`?");
    check(&GOOD.replace("requests", "num_prompts"), "did you mean `requests`?");
    check(&GOOD.replace("concurrency", "max-concurrency"), "did you mean `concurrency`?");
    check(&GOOD.replace("[engine.tiny]", "[engine.tiny]\nbase-url = \"x\""), "did you mean `url`?");
    check(
        &GOOD.replace("[engine.tiny]", "[engine.sim]\nslots = 16"),
        "did you mean `max-sequences`?",
    );
    check(
        &GOOD.replace("[engine.tiny]", "[engine.tiny]\nxyzzy = 16"),
        "known keys: `threads`, `context-length`, `max-sequences`",
    );
}

#[test]
fn a_mistake_is_told_once_and_hides_no_other() {
    let n_errors = |text: &str, expected: usize| {
        let message = errors(text);
        assert_eq!(message.matches("error[").count(), expected, "{message}");
    };
    n_errors(&GOOD.replace("phase", "phaes"), 1);
    n_errors(&GOOD.replace("[engine.tiny]", "[engin.tiny]\nthreds = 1"), 2);
    n_errors(&GOOD.replace("source", "sorce"), 1);
    n_errors(&GOOD.replace("\"gsm8k\"", "7"), 1);
    n_errors(&GOOD.replace("concurrency = 4", "rate = \"fast\"\nrequest = true"), 3);
    n_errors(&good_with("[engine.mine]\npreset = \"sgalng\"\ncontext-lenght = 3"), 2);
    n_errors(&good_with("[engine.mine]\npreset = \"xyzzyzzy\""), 1);
}

#[test]
fn layers_win_in_their_order() {
    let mut around = Around::set(&["phase.load.requests=5"]);
    around.files.insert("base.toml", "trials = 7\nseed = 7\ntitle = \"base\"\nreport = \"r\"");
    around.env =
        vec![("BENCH_SEED".into(), "4".into()), ("BENCH_PHASE__LOAD__REQUESTS".into(), "3".into())];
    around.profile = Some("quick");
    let text = format!(
        "extends = \"base.toml\"\ntitle = \"scenario\"\nseed = 2\n{GOOD}\
         [profile.quick]\nseed = 3\ntitle = \"profile\"\nphase.load.rate = 2.0\n"
    );
    let tree = around.load(&text).unwrap_or_else(|e| panic!("{e}")).scenario.tree;
    let get = |key: &str| tree[key].to_string();
    assert_eq!(get("trials"), "7", "from the extended file");
    assert_eq!(get("order"), "\"grouped\"", "from the defaults");
    assert_eq!(get("title"), "\"profile\"");
    assert_eq!(get("seed"), "4", "from the environment");
    let load = &tree["phase"]["load"];
    assert_eq!(load["requests"].as_integer(), Some(5), "from --set");
    assert_eq!(load["rate"].as_float(), Some(2.0));
    assert!(load.get("concurrency").is_none(), "a way of sending replaces the other one");
}

#[test]
fn overrides_are_typed_by_the_grammar() {
    let tree =
        |around: Around<'_>| around.load(GOOD).unwrap_or_else(|e| panic!("{e}")).scenario.tree;
    assert_eq!(tree(Around::set(&["title=123"]))["title"].as_str(), Some("123"));
    assert_eq!(tree(Around::set(&["order=interleaved"]))["order"].as_str(), Some("interleaved"));
    let drain = tree(Around::set(&["phase.load.drain = 3s"]))["phase"]["load"]["drain"].clone();
    assert_eq!(drain.as_str(), Some("3s"));
    let by_env = tree(Around::env("BENCH_ENGINE__TINY__READY_TIMEOUT", "5s"));
    assert_eq!(by_env["engine"]["tiny"]["ready-timeout"].as_str(), Some("5s"));
    // Not a key of a scenario, and not meant as one.
    tree(Around::env("BENCH_DATA_DIR", "/data"));
}

#[test]
fn mistakes_in_overrides_name_the_layer() {
    let check = |around: Around<'_>, expected: &str| {
        let text = around.load(GOOD).unwrap_err().render(false);
        assert!(text.contains(expected), "expected {expected:?} in:\n{text}");
    };
    check(Around::set(&["phase.load.concurency=3"]), "--> --set:1:12");
    check(Around::set(&["phase.load.concurrency"]), "has no `=`");
    check(Around::set(&["phase.load.concurrency=many"]), "--> --set:1:");
    check(
        Around::env("BENCH_PHASE__LOAD__CONCURENCY", "3"),
        "--> BENCH_PHASE__LOAD__CONCURENCY:1:12",
    );
    check(Around::env("BENCH_PHAES__LOAD__RATE", "3"), "did you mean `phase`?");
    check(Around { profile: Some("quik"), ..Around::default() }, "there is no profile `quik`");
}

#[test]
fn extended_files_may_not_go_round() {
    let mut around = Around::default();
    around.files.insert("b.toml", "extends = \"chat.toml\"");
    around.files.insert("chat.toml", "extends = \"b.toml\"");
    let text = around.load("extends = \"b.toml\"").unwrap_err().render(false);
    assert!(text.contains("chat.toml -> b.toml -> chat.toml"), "{text}");
    let text = Around::default().load("extends = \"gone.toml\"").unwrap_err().render(false);
    assert!(text.contains("cannot read gone.toml"), "{text}");
}

#[test]
fn a_preset_of_the_user_replaces_the_one_of_its_name() {
    let mut around = Around::default();
    around.files.insert("presets/tiny.toml", "argv = [\"mine\", \"{{ port }}\"]\nprograme = \"x\"");
    let text = around.load(GOOD).unwrap_err().render(false);
    assert!(text.contains("--> presets/tiny.toml:2:1"), "{text}");
    around.files.insert("presets/tiny.toml", "argv = [\"mine\", \"{{ port }}\"]");
    let tree = around.load(GOOD).unwrap().scenario.tree;
    assert_eq!(tree["engine"]["tiny"]["argv"][0].as_str(), Some("mine"));
}

#[test]
fn presets_are_found_by_path_and_beside_the_scenario_and_a_missing_one_says_where_it_was_not() {
    let mut around = Around::default();
    let by_path = GOOD.replacen("[engine.tiny]", "[engine.tiny]\npreset = \"./my/own.toml\"", 1);
    let text = around.load(&by_path).unwrap_err().render(false);
    assert!(text.contains("my/own.toml is not there"), "{text}");
    assert_eq!(text.matches("error").count(), 1, "{text}");
    let argv = "argv = [\"mine\", \"{{ port }}\"]";
    around.files.insert("my/own.toml", argv);
    let scenario = around.load(&by_path).unwrap().scenario;
    assert_eq!(scenario.tree["engine"]["tiny"]["argv"][0].as_str(), Some("mine"));
    assert_eq!(scenario.presets["tiny"], "own");
    let named = GOOD.replacen("[engine.tiny]", "[engine.tiny]\npreset = \"another\"", 1);
    let text = around.load(&named).unwrap_err().render(false);
    assert!(
        text.contains("engines/another.toml, presets/another.toml and in the program"),
        "{text}"
    );
    assert_eq!(text.matches("error").count(), 1, "{text}");
    around.files.insert("engines/another.toml", argv);
    let tree = around.load(&named).unwrap().scenario.tree;
    assert_eq!(tree["engine"]["tiny"]["argv"][0].as_str(), Some("mine"));
}

#[test]
fn the_presets_of_the_program_are_without_mistakes() {
    for (name, text) in engine_preset::EMBEDDED {
        let mut findings = Findings::default();
        let document = Document::parse(name, text, &mut findings.found);
        validate::preset(&document, &mut findings);
        assert!(findings.found.is_empty(), "{name}: {}", findings.found);
        let scenario = good_with(&format!(
            "[engine.e]\npreset = \"{name}\"\nmodel = \"m\"\nurl = \"http://x:1\"\n"
        ));
        Around::default().load(&scenario).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

/// Returns `defaults.toml` with every key that stands in a comment set.
fn defaults_with_comments_set() -> Document {
    let key = regex::Regex::new(r#"^# (\[|"?[a-z][a-z0-9."-]*"? *= )"#).unwrap();
    let line = |line: &'static str| if key.is_match(line) { &line[2..] } else { line };
    let text: Vec<&str> = DEFAULTS.lines().map(line).collect();
    let mut found = Diagnostics::default();
    let document = Document::parse("defaults", &text.join("\n"), &mut found);
    assert!(found.is_empty(), "{found}");
    document
}

#[test]
fn the_defaults_hold_every_key_of_the_types_and_no_other() {
    fn visit(at: &[&str], fields: &[Field], document: &Document, missing: &mut Vec<String>) {
        for field in fields {
            let path = [at, &[field.key]].concat();
            // The keys of a profile are those of a scenario.
            let has = document.has(&path) || field.key == "profile" && document.has(&["profile"]);
            if !has {
                missing.push(path.join("."));
            }
            match &field.kind {
                Kind::Named(_, Kind::Table(fields)) => {
                    visit(&[field.key, "*"], fields, document, missing);
                }
                Kind::Named(_, Kind::Engine) => {
                    visit(&[field.key, "*"], EngineSpec::FIELDS, document, missing);
                }
                Kind::Table(fields) => visit(&path, fields, document, missing),
                _ => {}
            }
        }
    }
    let document = defaults_with_comments_set();
    let mut missing = Vec::new();
    visit(&[], ScenarioSpec::FIELDS, &document, &mut missing);
    let names: Vec<&str> = DEFAULTS.split([' ', ',', '\n']).collect();
    missing
        .extend(OPTIONS.iter().map(|o| o.key.to_string()).filter(|o| !names.contains(&o.as_str())));
    // Of a table that holds defaults, the example in its comment names these.
    missing.retain(|key| !matches!(key.as_str(), "phase.*.ramp.from" | "phase.*.ramp.to"));
    assert!(missing.is_empty(), "scenarios/defaults/defaults.toml says nothing of {missing:?}");
    let mut findings = Findings::default();
    validate::sections(&document, &mut findings);
    validate::scenario(&document, &BTreeMap::default(), &mut findings);
    let wrong: Vec<_> =
        findings.found.iter().filter(|d| !d.message.starts_with("`*` cannot be")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_a_type_cannot_do_without_has_a_default() {
    fn visit(at: &[&str], fields: &[Field], document: &Document, missing: &mut Vec<String>) {
        for field in fields {
            let path = [at, &[field.key]].concat();
            match &field.kind {
                Kind::Named(_, Kind::Table(fields)) => {
                    visit(&[field.key, "*"], fields, document, missing);
                }
                Kind::Named(_, Kind::Engine) => {
                    visit(&[field.key, "*"], EngineSpec::FIELDS, document, missing);
                }
                Kind::Table(fields) => visit(&path, fields, document, missing),
                _ if !field.optional && !document.has(&path) => missing.push(path.join(".")),
                _ => {}
            }
        }
    }
    let document = Document::parse("defaults", DEFAULTS, &mut Diagnostics::default());
    let mut missing = Vec::new();
    visit(&[], ScenarioSpec::FIELDS, &document, &mut missing);
    // These the scenario must say.
    let asked = [
        "dataset.*.source",
        "phase.*.ramp.from",
        "phase.*.ramp.to",
        "phase.*.until.metric",
        "phase.*.until.half-width",
        "published.table",
        "clients.commands",
    ];
    assert_eq!(missing, asked);
}

#[test]
fn the_schema_is_stable() {
    let schema = json_schema::json_schema();
    let value: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(value["$schema"], "http://json-schema.org/draft-07/schema#");
    insta::assert_snapshot!(schema);
}

#[test]
fn other_encodings_are_named() {
    let decode = |bytes: &[u8]| crate::scenario::decode(Path::new("x.toml"), bytes.to_vec());
    assert!(decode(&[0xff, 0xfe, b'a', 0]).unwrap_err().to_string().contains("UTF-16"));
    let text = decode(b"a = 1\nb = \"\xff\"").unwrap_err().to_string();
    assert!(text.contains("line 2"), "{text}");
    assert!(decode(b"a = 1").is_ok());
}

/// What stands where a text is no TOML is not known, and half a text lacks nothing.
#[test]
fn no_second_error_follows_one_of_syntax() {
    let check = |right: &str, wrong: &str| {
        let text = GOOD.replace(right, wrong);
        assert_ne!(text, GOOD);
        let found = Around::default().load(&text).unwrap_err();
        assert!(found.iter().all(|it| it.code == "scenario/syntax"), "{found}");
    };
    check("concurrency = 4", "concurrency == 4");
    check("concurrency = 4", "concurrency = 04");
    check("concurrency = 4", "concurrency: 4");
    check("requests = 8", "requests = 8x");
    check("[dataset.d]", "[dataset.d");
    check("\"gsm8k\"", "\"gsm8k");
    let other = GOOD.replace("concurrency = 4", "concurrency == 4\nrequest = 3");
    let found = Around::default().load(&other).unwrap_err();
    assert!(found.iter().any(|it| it.code == "scenario/unknown-key"), "it stands alone: {found}");
}

#[test]
fn values_in_the_form_of_others_are_told_how_they_are_written() {
    let check = |right: &str, wrong: &str, help: &str| {
        let text = GOOD.replace(right, wrong);
        let found = Around::default().load(&text).unwrap_err();
        let helps: Vec<&String> = found.iter().flat_map(|it| &it.help).collect();
        assert!(helps.iter().any(|it| it.contains(help)), "{found}");
    };
    check("concurrency = 4", "concurrency = [1, 2]", "`concurrency = [1, 2]` in `[matrix]`");
    check("[dataset.d]", "[dataset]", "`[dataset.NAME]`");
    let engine = "[engine]\nurl = \"http://localhost:1\"";
    check("[engine.tiny]", engine, "`[engine.NAME]`");
    let precision = "[engine.tiny]\nprecision = [\"fp16\", \"fp32\"]";
    check("[engine.tiny]", precision, "`precision = [\"fp16\", \"fp32\"]` in `[matrix]`");
}
