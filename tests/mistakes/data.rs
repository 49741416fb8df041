//! Files that are not there or not as expected: data, tokenizers, chat templates, presets,
//! programs, directories.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::bed::{Home, SCENARIO};

#[test]
fn data_that_is_missing_empty_or_has_other_columns_is_told_before_a_run() {
    let dataset = |instead: &str| SCENARIO.replacen("location = \"./chats.jsonl\"", instead, 1);
    for (scenario, said) in [
        (
            dataset("location = \"./chat.jsonl\""),
            &["there is no file", "`chats.jsonl`?", "s.toml:"][..],
        ),
        (dataset("location = \"./nowhere/rows.jsonl\""), &["nowhere", "s.toml:"]),
        (dataset("location = \"./*.json\""), &["*.json", "s.toml:"]),
        (dataset("location = \"./empty.jsonl\""), &["no row", "empty.jsonl", "s.toml:"]),
        (dataset("location = \"./folder\""), &["folder", "s.toml:"]),
        // A folder that is there is none of the hub's repositories.
        (dataset("location = \"parts/c\""), &["1 of the 3 files `train-…` are there", "s.toml:"]),
        (dataset("location = \"./broken.jsonl\""), &["broken.jsonl", "line 1", "s.toml:"]),
        (
            SCENARIO.replace("answer = \"answer\"", "answer = \"gold\""),
            &["column `gold`", "the row has `answer`, `prompt`", "s.toml:"],
        ),
        (
            SCENARIO.replace("Q: {{ prompt }}", "Q: {{ question }}"),
            &["question", "`answer`, `prompt`", "s.toml:"],
        ),
        (
            SCENARIO.replace("max-tokens = 4", "max-tokens = \"from-data\""),
            &["the output length is to come from the data", "`columns.output-length`", "s.toml:"],
        ),
    ] {
        let home = Home::of(&scenario);
        home.write("empty.jsonl", "");
        home.write("broken.jsonl", "{\"prompt\": \n");
        fs::create_dir(home.path("folder")).unwrap();
        fs::create_dir_all(home.path("parts/c")).unwrap();
        home.write("parts/c/train-00000-of-00003.jsonl", "{\"prompt\": \"a\"}\n");
        home.check().ends_with(78).says(said).says(&["help: "]).has_errors(1);
        let told = home.bench(&["run", "s.toml", "--out", "run"]);
        assert!(matches!(told.code, Some(65 | 66 | 78)), "{told}");
        told.says(&["help: "]);
        assert!(!home.path("run").exists(), "a run was begun");
    }
}

#[test]
fn a_score_over_a_source_without_golds_says_which_have_some() {
    for source in ["sharegpt", "ultrachat", "random", "text"] {
        let dataset = format!("source = \"{source}\"\ninput-words = 5\ntokenizer = \"./t\"\n#");
        let scenario = SCENARIO
            .replace(
                "source = \"jsonl\"\nlocation = \"./chats.jsonl\"\nprompt",
                &format!("{dataset} prompt"),
            )
            .replace("columns = { answer = \"answer\" }\n", "");
        let told = Home::of(&scenario).check();
        told.ends_with(78).says(&[
            &format!("score `s` grades against golds, and source `{source}` has none"),
            "use `source = \"jsonl\"` with `columns",
            "s.toml:",
        ]);
    }
}

#[test]
fn a_tokenizer_that_is_not_there_and_a_template_that_it_lacks_are_told() {
    let wants = |more: &str| {
        SCENARIO
            .replacen(
                "prompt = \"Q: {{ prompt }}\"",
                &format!("prompt = \"Q\"\ntokenizer = \"./tok\"\n{more}"),
                1,
            )
            .replace("stream = true", "stream = true\napi = \"completions\"")
    };
    let home = Home::of(&wants("chat-template = \"tokens\""));
    home.check().ends_with(78).says(&["/tok", "s.toml:", "help: "]).has_errors(1);
    fs::create_dir(home.path("tok")).unwrap();
    home.check().ends_with(78).says(&["tokenizer.json", "/tok", "s.toml:", "help: "]).has_errors(1);
    home.write("tok/tokenizer.json", "{\"version\": 1");
    home.check().ends_with(78).says(&["tokenizer.json", "s.toml:", "help: "]).has_errors(1);
    let words = "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],\
                 \"normalizer\":null,\"pre_tokenizer\":null,\"post_processor\":null,\"decoder\":null,\
                 \"model\":{\"type\":\"WordLevel\",\"vocab\":{\"Q\":0,\"u\":1},\"unk_token\":\"u\"}}";
    home.write("tok/tokenizer.json", words);
    let told = home.check();
    told.ends_with(78).says(&["chat template", "/tok", "s.toml:", "help: "]).has_errors(1);
}

#[test]
fn rows_with_tools_for_a_server_of_vllm_that_does_not_take_them_are_told_with_the_way_out() {
    let check = |engine: &str, request: &str| {
        let home = Home::of(&format!(
            "[engine.v]\npreset = \"vllm\"\nmodel = \"m\"\n{engine}\n\
             [dataset.q]\nsource = \"jsonl\"\nlocation = \"./q.jsonl\"\n\
             [request]\n{request}\n[phase.load]\nconcurrency = 1\nrequests = 2\n"
        ));
        let tool =
            "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {}}}]";
        home.write(
            "q.jsonl",
            &format!("{{\"prompt\": \"a\"}}\n{{\"prompt\": \"b\", \"tools\": {tool}}}\n"),
        );
        home.check()
    };
    let chat = "api = \"chat\"";
    check("", chat).ends_with(0).says(&[
        "vLLM refuses requests with tools unless it is started with `--enable-auto-tool-choice`",
        "data set `q` has some",
        "extra-args = [\"--enable-auto-tool-choice\", \"--tool-call-parser\", \"hermes\"]",
        "s.toml:",
    ]);
    for (engine, request) in [
        ("extra-args = [\"--enable-auto-tool-choice\", \"--tool-call-parser\", \"hermes\"]", chat),
        ("quirks = { omit = [\"tools\"] }", chat),
        ("", "api = \"chat\"\nextra-body = { tool_choice = \"none\" }"),
    ] {
        check(engine, request).ends_with(0).says_not("vLLM refuses");
    }
}

#[test]
fn a_directory_or_program_of_an_engine_that_is_not_there_is_named_as_itself() {
    let engine =
        |key: &str| SCENARIO.replacen("model = \"m\"", &format!("model = \"m\"\n{key}"), 1);
    let program = |path: &str| SCENARIO.replacen("/bin/sh", path, 1);
    for (scenario, said) in [
        (engine("cwd = \"./nowhere\""), ["`cwd` of engine `mine` does not exist", "/nowhere"]),
        (
            engine("cwd = \"./chats.jsonl\""),
            ["`cwd` of engine `mine` is not a directory", "chats.jsonl"],
        ),
        (program("python9"), ["python9: not on PATH", "install it"]),
        (program("./serve"), ["/serve", "install it"]),
        (program("./chats.jsonl"), ["not executable", "chmod +x"]),
        (program("./folder"), ["/folder", "help: "]),
        (engine("url = \"https://h:1\"\nca = \"./my.pem\""), ["`ca` of engine `mine`", "my.pem"]),
    ] {
        let home = Home::of(&scenario);
        fs::create_dir(home.path("folder")).unwrap();
        let told = home.check();
        told.ends_with(78).says(&said).says(&["s.toml:", "help: "]);
        told.says_not("python3: No such file");
    }
    // With a hint it is a row that says so, in the table, too.
    let hint = "requires = [{ program = \"python9\", hint = \"apt install python9\" }]";
    let home = Home::of(&engine(hint).replacen("/bin/sh", "python9", 1));
    home.check().ends_with(0).says(&["its cells are skipped; apt install python9"]);
    let told = home.bench(&["run", "s.toml", "--out", "run"]);
    assert!(told.out.contains("python9") && told.out.contains("apt install python9"), "{told}");

    // A script whose interpreter is not there is no missing script.
    let home = Home::of(&program("./serve"));
    let script = home.write("serve", "#!/usr/bin/python9\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let told = home.bench(&["run", "s.toml", "--out", "run"]);
    told.says(&["/usr/bin/python9"]);
    assert!(matches!(told.code, Some(78 | 102)), "{told}");
}

#[test]
fn a_preset_that_is_not_found_names_all_places_in_order_and_nothing_follows_it() {
    for (engine, said) in [
        (
            "[engine.mine]\npreset = \"house-server\"\nslots-of-mine = 3\nmodel = \"m\"\n",
            &["there is no preset `house-server`", "engines/house-server.toml", "in the program"][..],
        ),
        (
            "[engine.mine]\npreset = \"./own/server.toml\"\nmodel = \"m\"\n",
            &["own/server.toml", "relative to the scenario file"],
        ),
        ("[engine.vlm]\nmodel = \"m\"\n", &["did you mean `vllm`?"]),
    ] {
        let scenario = format!(
            "{engine}[dataset.d]\nsource = \"random\"\ninput-words = 5\n\
             [phase.load]\nconcurrency = 1\nrequests = 1\n"
        );
        let home = Home::of(&scenario);
        for command in [&["check", "s.toml"][..], &["run", "s.toml", "--out", "run"]] {
            let told = home.bench(command);
            told.ends_with(78).says(said).says(&["s.toml:", "help: "]).has_errors(1);
        }
        if said.len() == 3 {
            let text = home.check().err;
            let at = |place: &str| text.find(place).unwrap_or_else(|| panic!("{place}: {text}"));
            let beside = at("engines/house-server.toml");
            let of_user = at(".config/bench/engines/house-server.toml");
            assert!(beside < of_user && of_user < text.rfind("in the program").unwrap(), "{text}");
        }
    }
    let told = Home::new().bench(&["presets", "vlm"]);
    told.ends_with(66).says(&["did you mean `vllm`?", "in the program"]).has_errors(1);
    // A mistake in a preset of one's own has its place in that file.
    let home = Home::of(&SCENARIO.replacen("argv =", "preset = \"own\"\nargv =", 1));
    home.write("engines/own.toml", "summary = \"mine\"\nhealt = \"/h\"\n");
    home.check()
        .ends_with(78)
        .says(&["engines/own.toml:2:1", "`healt`", "`health`?"])
        .has_errors(1);
}

#[test]
fn a_split_and_a_fallback_that_are_not_there_are_told_without_the_data_set() {
    let gsm8k = |key: &str| {
        format!(
            "[engine.sim]\n[dataset.d]\nsource = \"gsm8k\"\n{key}\n\
             [phase.load]\nconcurrency = 1\nrequests = 1\n"
        )
    };
    for (key, said) in [
        ("split = \"tset\"", ["no split `tset`", "mean `test`?"]),
        ("fallback = \"./chat.jsonl\"", ["there is no file", "mean `chats.jsonl`?"]),
    ] {
        let told = Home::of(&gsm8k(key)).check();
        told.ends_with(78).says(&said).says(&["s.toml:4:"]).has_errors(1);
    }
    let home = Home::of(&gsm8k("split = \"train\"\nfallback = \"./rows.jsonl\""));
    home.write("rows.jsonl", "{\"question\": \"q\", \"answer\": \"#### 1\"}\n");
    home.check().ends_with(0);
    // An ending that both have makes no name alike.
    let away = SCENARIO.replace("./chats.jsonl", "./nix.jsonl");
    let home = Home::of(&away);
    home.write("arr.jsonl", "");
    home.check().ends_with(78).says(&["there is no file"]).says_not("arr.jsonl");
}

#[test]
fn a_path_that_is_no_scenario_or_no_run_is_told_with_what_was_meant() {
    let home = Home::new();
    fs::create_dir(home.path("folder")).unwrap();
    for (path, said) in [
        ("s.tml", "mean `s.toml`?"),
        ("s", "mean `s.toml`?"),
        ("folder", "name a scenario file"),
        ("/dev/null", "`bench run - < FILE`"),
    ] {
        home.bench(&["plan", path]).ends_with(66).says(&[said]).has_errors(1);
    }
    for command in ["report", "verify", "status", "resume", "bundle", "decide"] {
        let told = home.bench(&[command, "s.toml"]);
        told.ends_with(66).says(&["s.toml is a file, and a run is a directory", "`bench run "]);
    }
    for args in [["--resume", "away"], ["--reuse", "away"]] {
        let told = home.bench(&[&["run", "s.toml", "--dry-run"], &args[..]].concat());
        told.ends_with(66).says(&["away does not exist"]);
    }
    home.bench(&["run", "s.toml", "--dry-run", "--retry", "failed"]).ends_with(2).has_way_out();
}
