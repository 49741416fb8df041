//! `bench init`: a commented scenario or preset to grow from, by questions or by flags.

use std::fs::OpenOptions;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;

use crate::cli::args::InitArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::flag_places::Maker;
use crate::cli::new_scenario::{self, EngineChoice, LoadChoice, RequestChoice, Starter, WarmUp};
use crate::cli::{check_data, output, presets, quick, scenario_file};
use crate::plan::render::shell_word;
use crate::scenario::engine_preset::BESIDE;
use crate::scenario::grammar::is_name;

/// Seconds measured in each row of a new scenario.
const SECONDS: u32 = 20;
/// Tokens of its generated prompts.
const INPUT: u32 = 512;
/// Stands for the name in the text of a new preset.
const PLACEHOLDER: &str = "NAME";

/// Writes a scenario or a preset, and says what to do with it.
pub(crate) fn init(mut args: InitArgs) -> Result<Exit, Failure> {
    if let Some(name) = &args.preset {
        return preset(name, args.file.as_deref());
    }
    // What is asked on a terminal takes either.
    if args.engine.as_deref().is_some_and(quick::is_url) && args.url.is_none() {
        args.url = args.engine.take();
    }
    if args.engine.is_none() && args.url.is_none() {
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            return Err(Failure::new(Exit::Usage, "nothing says what is measured").help(
                "add --engine NAME, or --url URL and --model NAME; on a terminal bench asks",
            ));
        }
        ask(&mut args)?;
    }
    let file = args.file.clone().unwrap_or_else(|| "scenario.toml".into());
    let text = starter(&args, &file)?.to_toml();
    // What it says must hold: a precision that the preset does not know, and a column that the
    // data have under another name, are told now, by the flags, as nothing is written.
    check(&file, &text)
        .map_err(|failure| failure.retold(|mistake| Maker::Init.retell(&file, mistake)))?;
    write(&file, &text, |file| {
        format!("wrote {file}\n  look at it: bench plan {file}\n  measure:    bench run {file}")
    })
}

fn check(file: &Path, text: &str) -> Result<(), Failure> {
    let planned = scenario_file::plan_text(file, text, None, &[])?;
    let data = check_data::look_at_plan(&planned.loaded.scenario, &planned.plan, file);
    if data.found.has_errors() { Err(Failure::scenario(data.found)) } else { Ok(()) }
}

fn preset(name: &str, file: Option<&Path>) -> Result<Exit, Failure> {
    if !is_name(name) {
        return Err(Failure::new(Exit::Usage, format!("{name:?} cannot be the name of an engine"))
            .help("letters, digits, `_`, `-` and `.`, such as my_server"));
    }
    let beside = Path::new(BESIDE).join(format!("{name}.toml"));
    let file = file.map_or(beside, Path::to_owned);
    write(&file, &preset_text(name), |file| {
        format!(
            "wrote {file}\n  a scenario beside {BESIDE}/ uses it as [engine.{}]; each key: bench explain engine.KEY",
            new_scenario::key(name)
        )
    })
}

fn preset_text(name: &str) -> String {
    include_str!("preset_starter.toml").replace(PLACEHOLDER, name)
}

/// Writes a file that is not there yet, or to standard output, and says what to do with it.
fn write(file: &Path, text: &str, next: impl Fn(&str) -> String) -> Result<Exit, Failure> {
    if file == Path::new("-") {
        output::data(text)?;
        return Ok(Exit::Ok);
    }
    let failed = |source: std::io::Error| {
        let failure = Failure::new(
            Exit::CannotCreate,
            format!("failed to write {}: {source}", file.display()),
        );
        let is_there = source.kind() == ErrorKind::AlreadyExists;
        failure.help(if is_there {
            "name another file, or remove it: nothing is overwritten"
        } else {
            "name a file in a directory that can be written; `-` is standard output"
        })
    };
    if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    opened.write_all(text.as_bytes()).map_err(failed)?;
    output::message(&next(&shell_word(&file.display().to_string())));
    Ok(Exit::Ok)
}

fn starter(args: &InitArgs, file: &Path) -> Result<Starter, Failure> {
    let data = quick::data_choice(args.data.as_deref(), args.tokenizer.as_deref(), INPUT)?;
    let data = data.beside(file);
    let (what, takes_ignore_eos, data, engine) = if let Some(url) = &args.url {
        let model = args.model.clone().ok_or_else(|| {
            Failure::new(Exit::Usage, "nothing says which model the server is asked for")
                .help("add --model NAME; `bench quick URL --dry-run` asks the server for it")
        })?;
        let running = EngineChoice::Running {
            url: quick::base_url(url),
            model,
            is_listed: true,
            api_key_env: None,
            refused: Vec::new(),
            takes_max_tokens: true,
            closes: false,
        };
        (url.clone(), false, data, running)
    } else {
        let found = presets::named(args.engine.as_deref().unwrap_or_default())?;
        found.refuse_without_server("name it: --url http://localhost:8000 --model NAME")?;
        if args.model.is_none() && found.needs_model() {
            return Err(found.no_model("add --model NAME"));
        }
        let data = data.read_by(&found.name);
        let started = EngineChoice::Started {
            path: found.path_from(file.parent()),
            preset: found.name.clone(),
            model: args.model.clone(),
            precisions: args.precision.clone(),
        };
        (found.name.clone(), found.takes_ignore_eos(), data, started)
    };
    let model_on = args.model.as_ref().map_or_else(String::new, |model| format!("{model} on "));
    Ok(Starter {
        command: quick::command_line(),
        title: format!("{model_on}{what}"),
        request: RequestChoice {
            api: None,
            stream: true,
            max_tokens: quick::max_tokens(None, &data),
            ignore_eos: takes_ignore_eos && data.is_generated(),
        },
        engine,
        data,
        load: LoadChoice::of(&args.rate, &args.concurrency),
        seconds: SECONDS,
        warm_up: WarmUp::UntilSteady,
    })
}

/// Asks for what the command line leaves open.
fn ask(args: &mut InitArgs) -> Result<(), Failure> {
    let names: Vec<String> = presets::all().into_iter().map(|preset| preset.name).collect();
    output::message(&format!("engines: {}\n", names.join(", ")));
    let engine = answer("engine, or URL of a running server", "tiny")?;
    if quick::is_url(&engine) {
        args.url = Some(engine);
    } else {
        presets::named(&engine)?;
        args.engine = Some(engine);
    }
    let model = answer("model: hub repository or path; empty for the preset's own", "")?;
    args.model = Some(model).filter(|model| !model.is_empty()).or_else(|| args.model.take());
    let data = answer("data: a file, or a name of `bench data list`; empty for common words", "")?;
    args.data = Some(data).filter(|data| !data.is_empty()).or_else(|| args.data.take());
    if args.url.is_none() {
        let precisions = answer("precisions, a row each, such as bf16,fp8; empty for one", "")?;
        args.precision = words(&precisions).map(str::to_owned).collect();
    }
    let streams = answer("requests at once, a row each", "1,8,32")?;
    let number = |word: &str| word.parse().ok().filter(|n| *n > 0);
    args.concurrency = words(&streams).map(number).collect::<Option<_>>().ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{streams:?} is no list of numbers such as 1,8,32"))
    })?;
    if args.file.is_none() {
        args.file = Some(answer("file", "scenario.toml")?.into());
    }
    Ok(())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// Asks one question on the terminal; an empty answer is the usual one.
fn answer(question: &str, usual: &str) -> Result<String, Failure> {
    let shown = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
    let mut stderr = anstream::stderr().lock();
    write!(stderr, "{question}{shown}: ").and_then(|()| stderr.flush())?;
    drop(stderr);
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        return Err(Failure::new(Exit::Usage, "the questions were not answered")
            .help("`bench init --help` shows the same as flags"));
    }
    let line = line.trim();
    Ok(if line.is_empty() { usual.to_owned() } else { line.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use clap::Parser as _;

    use crate::cli::args::{Cli, Command};
    use crate::plan::cell::DatasetPlan;

    fn made(words: &[&str]) -> String {
        let cli = Cli::try_parse_from([&["bench", "init"], words].concat()).unwrap();
        let Command::Init(args) = cli.command else { panic!("not init") };
        let file = PathBuf::from("scenario.toml");
        let text = starter(&args, &file).unwrap().to_toml();
        scenario_file::plan_text(&file, &text, None, &[]).unwrap();
        text
    }

    #[test]
    fn every_scenario_that_flags_make_can_be_planned() {
        for words in [
            &["--engine", "tiny", "--precision", "fp16,fp32"][..],
            &["--engine", "llama-cpp", "--model", "./m.gguf", "--rate", "1,2.5"],
            &["--engine", "vllm", "--model", "org/name", "--data", "gsm8k", "--concurrency", "4"],
            &["--url", "http://localhost:8000", "--model", "m", "--data", "rows.jsonl"],
        ] {
            let text = made(words);
            assert!(text.contains("[phase.load]"), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_told_by_the_flag_as_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.toml");
        let check = |words: &[&str], expected: &[&str]| {
            let words = [&["bench", "init", file.to_str().unwrap()], words].concat();
            let Command::Init(args) = Cli::try_parse_from(words).unwrap().command else {
                panic!("not init")
            };
            let told = init(args).unwrap_err().render(false);
            for part in expected {
                assert!(told.contains(part), "{part} is not in {told}");
            }
            assert!(!told.contains("s.toml") && !file.exists(), "{told}");
        };
        let vllm = ["--engine", "vllm", "--model", "org/name"];
        let data = [&vllm[..], &["--data", "nofile.jsonl"]].concat();
        check(&data, &["--> --data:1:", "there is no file"]);
        let tokenizer = [&vllm[..], &["--tokenizer", "./nix"]].concat();
        check(&tokenizer, &["--> --tokenizer:1:", "there is no file"]);
        let precision = [&vllm[..], &["--precision", "fp99"]].concat();
        check(&precision, &["--> --precision:1:", "fp99"]);
        let known = [&vllm[..], &["--data", "mnlu"]].concat();
        check(&known, &["did you mean `mmlu`?"]);
        check(&["--engine", "endpoint"], &["starts nothing", "--url http://localhost:8000"]);
    }

    #[test]
    fn every_data_set_that_is_known_makes_a_scenario() {
        for known in &crate::datasets::known::KNOWN {
            let tokenizer = ["--tokenizer", "org/name"];
            let words = ["--engine", "vllm", "--model", "org/name", "--data", known.name];
            let text = made(&[&words[..], &tokenizer[..]].concat());
            let source = known.source;
            let is_graded = text.contains("[score.answer]");
            let has_golds = DatasetPlan::of(source, None, None, None).has_golds();
            assert_eq!(is_graded, has_golds, "{text}");
        }
    }

    #[test]
    fn a_new_preset_is_one_that_a_scenario_can_use() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("engines/mine.toml");
        preset("mine", Some(&file)).unwrap();
        assert!(preset("mine", Some(&file)).is_err(), "a file was overwritten");
        let scenario = "[engine.mine]\nmodel = \"m\"\ncontext-length = 4096\n[matrix]\n\
                        precision = [\"fp16\", \"bf16\"]\n[dataset.d]\nsource = \"random\"\n\
                        input-words = 5\n[phase.load]\nconcurrency = 1\nrequests = 1\n";
        let path = dir.path().join("scenario.toml");
        let planned = scenario_file::plan_text(&path, scenario, None, &[]).unwrap();
        let argv = &planned.plan.launches.values().next().unwrap().argv;
        assert!(argv.iter().any(|arg| arg == "4096"), "{argv:?}");
    }
}
