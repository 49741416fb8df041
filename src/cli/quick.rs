//! `bench quick`: from a running server, or the name of an engine, to a table in one command.
//!
//! It writes an ordinary scenario and hands it to what `bench run` does.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use toml_edit::{DocumentMut, Item, Key, TableLike, Value};

use crate::cli::args::{Colour, ProgressAs, QuickArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::flag_places::{Maker, place_of_quick};
use crate::cli::new_scenario::{
    DataChoice, EngineChoice, LoadChoice, RequestChoice, SERVER, Starter, WarmUp,
};
use crate::cli::run::Begin;
use crate::cli::{output, presets, scenario_file, side_by_side, typed};
use crate::datasets::known::{self, Known};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::{did_you_mean, list, nearest};
use crate::engine::credentials::Credentials;
use crate::engine::discover::{ANSWER_LIMIT, ASKS_FOR_KEY, NoOffer, Question, Server, Spoken};
use crate::engine::ready::probe::{OPTIONAL, PROBE_TEXT};
use crate::engine::start::requires::{self, Unmet};
use crate::plan::Plan;
use crate::plan::cell::{Api, Source};
use crate::plan::data_files::plain_name;
use crate::plan::launch::build::base_of;
use crate::plan::paths::is_path;
use crate::plan::render::shell_word;
use crate::scenario::check_engine::url_fault;
use crate::scenario::check_secrets::is_variable_name;
use crate::seed::Seed;
use crate::units::Nanos;
use crate::workload::dataset::schema::Schema;
use crate::workload::input::Input;
use crate::workload::words;

/// Answers that take longer are not repeated until they are steady: that would take longer than
/// what is measured.
const QUICK_ANSWER: Nanos = Nanos(500_000_000);
/// The preset of servers that run already.
const ENDPOINT: &str = "endpoint";
/// Tokens that the salt has in front of a prompt.
const SALT_TOKENS: u32 = 9;
/// Times that a text is lengthened or cut until the server's tokenizer counts what was asked for.
const TRIES: u32 = 4;
/// Seconds of silence after which a wait is told of; doubled each time.
const FIRST_WORD_AFTER: u64 = 2;

/// Measures a server or an engine, and says which scenario it wrote.
pub(crate) fn quick(mut args: QuickArgs, colour: Colour) -> Result<Exit, Failure> {
    // One engine was asked for: that it cannot run here is no success.
    args.ends.strict = true;
    // `endpoint URL` says twice that the server runs already.
    if args.target == ENDPOINT && args.model_of_engine.as_deref().is_some_and(is_url) {
        args.target = args.model_of_engine.take().unwrap_or_default();
    }
    if args.model_of_engine.is_some() && args.model.is_some() {
        return Err(Failure::new(Exit::Usage, "the model is named twice: as MODEL and by --model")
            .help("write MODEL behind an engine, and --model behind a URL"));
    }
    measure(&args, colour).map_err(|failure| failure.retold(retell))
}

/// Tells a mistake in the scenario as what the user wrote.
fn retell(mistake: &mut Diagnostic) {
    Maker::Quick.retell(&place_of_quick(), mistake);
}

fn measure(args: &QuickArgs, colour: Colour) -> Result<Exit, Failure> {
    let starter = if is_url(&args.target) {
        if let Some(model) = &args.model_of_engine {
            let message = format!("{model:?} stands behind a URL");
            return Err(Failure::new(Exit::Usage, message)
                .help(format!("write --model {model} to ask a running server for that model")));
        }
        of_server(args)?
    } else {
        of_preset(args)?
    };
    if let (DataChoice::File { path, schema, .. }, true) = (&starter.data, is_told(args)) {
        let told = schema.told();
        if !told.is_empty() {
            output::message(&format!("data     {}: {told}", typed::path(path)));
        }
    }
    let path = place_of_quick();
    let plain = starter.to_toml();
    let text = with_sets(&plain, &path, &args.sets)?;
    let mut planned = scenario_file::plan_text(&path, &text, None, &[]).or_else(|failure| {
        // A value of the command line is told where it stands there.
        scenario_file::plan_text(&path, &plain, None, &args.sets).and(Err(failure))
    })?;
    if args.dry_run {
        output::data(&text)?;
        return Ok(Exit::Ok);
    }
    refuse_without_engine(&planned.plan)?;
    planned.loaded.warnings.retell(retell);
    let (exit, analysis) = side_by_side::carry_out(
        planned,
        &path,
        Begin::New(args.out.as_deref()),
        &args.ends,
        colour,
    )?;
    if is_told(args) {
        let written = typed::path(&analysis.dir.join("scenario.toml"));
        output::message(&format!(
            "scenario: {written}\n  change it and measure again with: bench run {written}"
        ));
    }
    Ok(exit)
}

/// Returns a scenario with what `--set` says written into it: whoever runs the file again measures
/// the same.
fn with_sets(text: &str, path: &Path, sets: &[String]) -> Result<String, Failure> {
    if sets.is_empty() {
        return Ok(text.to_owned());
    }
    let scenario = scenario_file::scenario(path, text, sets)?;
    let mut document: DocumentMut = text.parse().expect("the text is TOML of this program");
    for set in sets {
        let key = set.split_once('=').map_or("", |(key, _)| key.trim());
        let keys = Key::parse(key).expect("the override was read with this key");
        let (last, tables) = keys.split_last().expect("a key has a part");
        let mut merged = scenario.tree.get(keys[0].get());
        for key in &keys[1..] {
            merged = merged.and_then(|value| value.get(key.get()));
        }
        let merged = merged.expect("the override is part of the scenario").to_string();
        let mut value: Value = merged.parse().expect("a value is written as TOML");
        let mut place: &mut dyn TableLike = document.as_table_mut();
        for table in tables {
            let inner = place.entry(table.get()).or_insert_with(toml_edit::table);
            place = inner.as_table_like_mut().expect("it has this form in the scenario");
        }
        // The comment behind a value that was there is of its key.
        if let Some(before) = place.get(last.get()).and_then(Item::as_value) {
            *value.decor_mut() = before.decor().clone();
        }
        place.insert(last.get(), Item::Value(value));
    }
    Ok(document.to_string())
}

/// Refuses an engine that cannot run here in any of its forms: its report would say nothing.
fn refuse_without_engine(plan: &Plan) -> Result<(), Failure> {
    let mut first = None;
    for launch in plan.launches.values() {
        let Some(Unmet { lack, hint }) = requires::unmet(launch) else { return Ok(()) };
        let message = format!("{} cannot run here: {lack}", launch.engine);
        first.get_or_insert_with(|| Failure::new(Exit::Unavailable, message).help(hint));
    }
    first.map_or(Ok(()), Err)
}

/// Whether people read what is told: lines for programs are JSON and nothing else.
fn is_told(args: &QuickArgs) -> bool {
    !args.ends.quiet && args.ends.progress != ProgressAs::Json
}

/// Whether a target is the place of a server rather than the name of an engine.
pub(crate) fn is_url(target: &str) -> bool {
    let is_toml = Path::new(target).extension().is_some_and(|ending| ending == "toml");
    let host = target.split('/').next().unwrap_or_default();
    // `Qwen/Qwen2.5-7B` and `llama.cpp` are none, and a path begins with `.`.
    let is_host = host.starts_with("localhost") || host.contains([':', '.']);
    let is_other = host.is_empty() || host.starts_with('.') || presets::is_named(target);
    target.contains("://") || is_host && !is_toml && !is_other
}

/// Returns the URL below which `/v1/…` lies.
pub(crate) fn base_url(target: &str) -> String {
    let target = target.trim();
    // The scheme is the one part in which all clients take capitals.
    let url = match target.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => format!("http://{target}"),
    };
    base_of(&url)
}

/// Returns the prompts that a command line asks for.
pub(crate) fn data_choice(
    data: Option<&str>,
    tokenizer: Option<&str>,
    input: u32,
) -> Result<DataChoice, Failure> {
    let tokenizer = tokenizer.map(file_or_name);
    let Some(data) = data else {
        let own = input.saturating_sub(SALT_TOKENS).max(1);
        return Ok(match tokenizer {
            Some(tokenizer) => DataChoice::Tokens { tokens: own, tokenizer },
            None => DataChoice::Words {
                words: own,
                note: format!("about {input} tokens with the salt: a word is mostly one"),
            },
        });
    };
    if let Some(known) = Known::named(data) {
        if known.source == Source::Sharegpt && tokenizer.is_none() {
            return Err(Failure::new(Exit::Usage, "sharegpt is filtered by lengths in tokens")
                .help("add --tokenizer: the model's directory or hub repository"));
        }
        return Ok(DataChoice::Known { source: data.to_owned(), tokenizer });
    }
    let path = Path::new(data);
    let plain = Path::new(plain_name(data));
    let ending = plain.extension().and_then(|extension| extension.to_str());
    let Some(source) = ending.and_then(Source::of_ending) else {
        let known = known::KNOWN.iter().map(|known| known.name);
        let help = did_you_mean(data, known, "known data sets").unwrap_or_default();
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "--data {data}: neither a known data set nor a .jsonl, .csv, .parquet or .txt file"
            ),
        )
        .help(help));
    };
    let schema = schema_of(source, path)?;
    if schema.has("input-length") && tokenizer.is_none() {
        let message = format!("--data {data}: its rows have lengths in place of prompts");
        return Err(Failure::new(Exit::Usage, message).help(
            "add --tokenizer, the model's directory or hub repository: prompts of these lengths \
             are made by it",
        ));
    }
    Ok(DataChoice::File { source: source.word(), path: typed::absolute(path), schema, tokenizer })
}

/// Returns what the first row of a file says of its columns; nothing for a file that is not there,
/// which is told with all that is wrong.
fn schema_of(source: Source, path: &Path) -> Result<Schema, Failure> {
    let is_text = source == Source::Text;
    let Some(file) = (!is_text).then(|| File::open(path).ok()).flatten() else {
        return Ok(Schema::default());
    };
    let told = path.display();
    let found = Schema::of(source, Input::file(told.to_string(), file))
        .map_err(|error| Failure::new(Exit::BadData, error.to_string()).help(error.help.clone()))?;
    found.map_err(|columns| {
        let columns = list(columns.iter().map(String::as_str));
        Failure::new(
            Exit::BadData,
            format!("{told}: no column is known to hold prompts: {columns}"),
        )
        .help(
            "messages, conversations, prompt, question, instruction and text are known, with \
                 `context` and `system` beside them, and lengths of traces; a scenario names any other, `columns = { prompt = \"…\" }`: \
                 bench help own-data",
        )
    })
}

/// Returns the answer's length: as asked for, as the data has it, or the usual one.
pub(crate) fn max_tokens(asked: Option<u32>, data: &DataChoice) -> Option<u32> {
    let from_data = match data {
        DataChoice::Known { source, .. } => source == "sharegpt",
        DataChoice::File { schema, .. } => schema.has("output-length"),
        _ => false,
    };
    match (asked, data) {
        (Some(n), _) => Some(n),
        (None, _) if from_data => None,
        (None, DataChoice::Words { .. } | DataChoice::Tokens { .. }) => Some(128),
        (None, _) => Some(256),
    }
}

/// Returns a path as an absolute one, so that the scenario can be read from elsewhere; a name as
/// it is.
fn file_or_name(text: &str) -> String {
    let path = Path::new(text);
    let is_path = ["./", "../", "/"].iter().any(|start| text.starts_with(start));
    if is_path || path.exists() {
        typed::absolute(path).display().to_string()
    } else {
        text.to_owned()
    }
}

/// Returns the command line, as a shell reads it.
pub(crate) fn command_line() -> String {
    let words = std::env::args().skip(1).map(|word| shell_word(&word));
    format!("bench {}", words.collect::<Vec<_>>().join(" "))
}

fn data_of(args: &QuickArgs) -> Result<DataChoice, Failure> {
    data_choice(args.data.as_deref(), args.tokenizer.as_deref(), args.input)
}

fn of_preset(args: &QuickArgs) -> Result<Starter, Failure> {
    let found = presets::named(&args.target)?;
    found.refuse_without_server("name its URL: bench quick http://localhost:8000")?;
    if let Some(url) = args.model_of_engine.as_ref().filter(|model| model.contains("://")) {
        let message = format!("{} is started, and {url} is a server that runs", found.name);
        return Err(Failure::new(Exit::Usage, message)
            .help(format!("measure that server: bench quick {url}")));
    }
    found.refuse_unknown(&args.precision)?;
    let preset = &found.name;
    let data = data_of(args)?.read_by(preset);
    let model = args.model_of_engine.as_ref().or(args.model.as_ref()).map(|m| file_or_name(m));
    if model.is_none() && found.needs_model() {
        let help = format!("name it behind the engine: bench quick {preset} MODEL");
        return Err(found.no_model(&help));
    }
    if let Some(model) = model.as_ref().filter(|model| found.takes_weights() && !is_path(model)) {
        let message =
            format!("{preset} serves a file of weights, and {model} is none that is here");
        return Err(Failure::new(Exit::Usage, message)
            .help(format!("name the file: bench quick {preset} ./model.gguf")));
    }
    let model_on = model.as_ref().map_or_else(String::new, |model| format!("{model} on "));
    Ok(Starter {
        command: command_line(),
        title: format!("{model_on}{preset}"),
        request: RequestChoice {
            api: None,
            stream: true,
            max_tokens: max_tokens(args.output, &data),
            ignore_eos: data.is_generated() && found.takes_ignore_eos(),
        },
        engine: EngineChoice::Started {
            // The scenario is kept in the run directory, and may be taken anywhere from there.
            path: found.path_from(None),
            preset: found.name,
            model,
            precisions: args.precision.clone(),
        },
        data,
        load: LoadChoice::of(&args.rate, &args.concurrency),
        seconds: args.seconds,
        warm_up: WarmUp::UntilSteady,
    })
}

/// Refuses what no scenario for a running server can hold, before anything is asked of it.
fn check_server(args: &QuickArgs, url: &str) -> Result<(), Failure> {
    let refused =
        |message: &str, help: String| Err(Failure::new(Exit::Usage, message.to_owned()).help(help));
    if !args.precision.is_empty() {
        return refused(
            "--precision starts an engine in each precision, and a running server has one",
            "leave it out, or name an engine: bench quick vllm MODEL --precision bf16,fp8"
                .to_owned(),
        );
    }
    if let Some((why, guess)) = url_fault(url) {
        return refused(&format!("{url} is no URL: {why}"), format!("write it as {guess}"));
    }
    let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
    if host.is_some_and(|host| host.contains('@')) {
        return refused(
            "the URL holds a password, which would be kept in the run directory",
            "leave it out, and name the variable of a key: --api-key-env MY_KEY".to_owned(),
        );
    }
    if args.api_key_env.as_ref().is_some_and(|name| !is_variable_name(name)) {
        // It may be the key itself, which is not repeated.
        return refused(
            "--api-key-env takes the name of an environment variable, not the key",
            "export the key under a name, and give that: --api-key-env MY_KEY".to_owned(),
        );
    }
    let unset = |name: &&String| std::env::var(name).unwrap_or_default().trim().is_empty();
    if let Some(name) = args.api_key_env.as_ref().filter(unset) {
        return refused(
            &format!("--api-key-env {name}: the environment variable {name} is not set"),
            format!("export it where bench is started: export {name}=…"),
        );
    }
    Ok(())
}

/// Refuses files that are not there, before a server is waited for.
fn check_files(args: &QuickArgs) -> Result<(), Failure> {
    let data = args.data.as_deref().filter(|data| Known::named(data).is_none());
    let tokenizer = args.tokenizer.as_deref().filter(|name| is_path(name));
    for (flag, named) in [("--data", data), ("--tokenizer", tokenizer)] {
        if let Some(named) = named.filter(|named| !Path::new(plain_name(named)).exists()) {
            // That it is neither a data set nor a file of a known kind is told with the kinds.
            data_of(args)?;
            return Err(Failure::input(format!("{flag} {named}: there is no such file")));
        }
    }
    Ok(())
}

/// Returns the scenario for a server of which nothing is known yet.
fn unknown_server(args: &QuickArgs, url: &str) -> Result<Starter, Failure> {
    let data = data_of(args)?;
    Ok(Starter {
        command: command_line(),
        title: url.to_owned(),
        request: RequestChoice {
            api: None,
            stream: true,
            max_tokens: max_tokens(args.output, &data),
            ignore_eos: false,
        },
        engine: EngineChoice::Running {
            url: url.to_owned(),
            model: args.model.clone().unwrap_or_else(|| "unknown".to_owned()),
            is_listed: true,
            api_key_env: args.api_key_env.clone(),
            refused: Vec::new(),
            takes_max_tokens: true,
            closes: false,
        },
        data,
        load: LoadChoice::of(&args.rate, &args.concurrency),
        seconds: args.seconds,
        warm_up: WarmUp::UntilSteady,
    })
}

fn of_server(args: &QuickArgs) -> Result<Starter, Failure> {
    let url = base_url(&args.target);
    check_server(args, &url)?;
    check_files(args)?;
    let mut starter = unknown_server(args, &url)?;
    // The way to the server, its key included, is that of the run.
    let planned =
        scenario_file::plan_text(&place_of_quick(), &starter.to_toml(), None, &args.sets)?;
    let launches = &planned.plan.launches;
    let credentials = Credentials::read(launches, output::hub_token())?;
    output::hide(credentials.redactor());
    let (id, launch) = launches
        .iter()
        .find(|(_, launch)| launch.engine == SERVER)
        .expect("the scenario has the one engine that was written into it");
    let unavailable = |no_offer: NoOffer| {
        let help = match &args.api_key_env {
            Some(name) if no_offer.help == ASKS_FOR_KEY => {
                format!("it was sent the key in {name}: is that the key of this server?")
            }
            _ => no_offer.help,
        };
        Failure::new(Exit::Unavailable, no_offer.message).help(help)
    };
    let server = Server::of(launch, credentials.access(id)).map_err(unavailable)?;
    let listed = server.models(launch.readiness.models.as_deref().unwrap_or("/v1/models"));
    let listed = listed.map_err(unavailable)?;
    let model = choose(args.model.as_deref(), &listed, &url)?;
    let listed = listed.ok();
    let tell = |text: &str| {
        if is_told(args) {
            output::message(text);
        }
    };
    let mut wait = Patience::new(&tell, format!("{url} to answer for `{model}`"));
    let max_tokens = starter.request.max_tokens;
    let first = Question { model: &model, prompt: PROBE_TEXT, max_tokens };
    let is_listed = listed.as_ref().is_some_and(|ids| ids.contains(&model));
    let spoken = server.speak(first, &mut |elapsed| wait.look(elapsed)).map_err(|no_offer| {
        let known = listed.iter().flatten().map(String::as_str);
        let help = did_you_mean(&model, known, "it serves").filter(|_| !is_listed);
        unavailable(NoOffer { help: help.unwrap_or(no_offer.help), ..no_offer })
    })?;
    if let DataChoice::Words { words, note } = &mut starter.data
        && let Some((n, counted)) = fitting_words(&server, &model, args.input)
    {
        *words = n;
        *note = format!("{counted} tokens with the salt, by the server's own /tokenize");
    }
    let prompt = match &starter.data {
        DataChoice::Words { words, .. } => sample(*words),
        _ => PROBE_TEXT.to_owned(),
    };
    let whole = Question { model: &model, prompt: &prompt, max_tokens };
    let mut wait = Patience::new(&tell, format!("{url} to answer a whole request"));
    let trial = server.again(&spoken, whole, &mut |elapsed| wait.look(elapsed));
    let trial = trial.map_err(unavailable)?;
    let closes = server.closes_unannounced(&spoken, first);
    if trial.took > QUICK_ANSWER {
        starter.warm_up = WarmUp::Once;
    }
    starter.title = format!("{} at {url}", short(&model));
    starter.request.api = (spoken.api == Api::Completions).then_some("completions");
    starter.request.stream = spoken.stream;
    starter.request.ignore_eos = spoken.takes("ignore_eos") && starter.data.is_generated();
    tell(&told(&url, &model, &spoken, &trial, &starter));
    if let Some(ids) = listed.filter(|_| !is_listed) {
        let names = list(ids.iter().map(String::as_str));
        let near = nearest(&model, ids.iter().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        tell(&format!(
            "note     it lists {names}, and answers for `{model}` all the same: the numbers are of \
             whatever it answers with{near}"
        ));
    }
    starter.engine = EngineChoice::Running {
        url,
        model,
        is_listed,
        api_key_env: args.api_key_env.clone(),
        refused: left_out(&spoken),
        takes_max_tokens: spoken.takes_max_tokens,
        closes,
    };
    Ok(starter)
}

/// Returns the fields that requests of the scenario would have and the server refuses.
fn left_out(spoken: &Spoken) -> Vec<&'static str> {
    let is_sent = |field: &&str| match *field {
        // The scenario asks for it only where it is taken.
        "ignore_eos" => false,
        "stream_options" => spoken.stream,
        _ => true,
    };
    OPTIONAL.into_iter().filter(|field| !spoken.takes(field)).filter(is_sent).collect()
}

/// Says what was found out of a server.
fn told(url: &str, model: &str, spoken: &Spoken, trial: &Spoken, starter: &Starter) -> String {
    let api = match spoken.api {
        Api::Chat => "chat",
        Api::Completions => "completions",
    };
    let stream = if spoken.stream { "streamed" } else { "whole answers, so no TTFT and no TPOT" };
    let length = match trial.output_tokens {
        Some(n) => format!("{n} tokens"),
        None => "an answer whose tokens it does not count (--tokenizer NAME does)".to_owned(),
    };
    let mut text = format!(
        "server   {url}\nmodel    {model}\nanswers  {api}, {stream}; {length} in {}",
        trial.took
    );
    if let DataChoice::Words { words, note } = &starter.data {
        let _ = write!(text, "\nprompts  {words} words: {note}");
    }
    let whole_s = trial.took.as_secs_f64();
    if whole_s * 2.0 > f64::from(starter.seconds) {
        let _ = write!(
            text,
            "\nnote     an answer takes {}, and a row {} s: --seconds {:.0} would show several of them",
            trial.took,
            starter.seconds,
            (whole_s * 10.0).ceil()
        );
    }
    if let Some(why) = &spoken.instead {
        let _ = write!(text, "\nnote     raw prompts, without a chat template: {why}");
    }
    for field in left_out(spoken) {
        let _ = write!(text, "\nnote     it takes no `{field}`: requests go without");
    }
    let asked = starter.request.max_tokens;
    if !starter.request.ignore_eos && starter.data.is_generated() {
        let n = asked.unwrap_or_default();
        let _ = write!(
            text,
            "\nnote     it takes no `ignore_eos`: answers may be shorter than {n} tokens"
        );
    }
    text
}

/// Returns a model's name without the directories of a file.
fn short(model: &str) -> &str {
    let name = model.rsplit('/').next().filter(|_| model.starts_with(['/', '.']));
    name.unwrap_or(model)
}

/// Returns the model to ask: the one that is named, the only one, or the one that a person picks.
fn choose(
    asked: Option<&str>,
    listed: &Result<Vec<String>, String>,
    url: &str,
) -> Result<String, Failure> {
    match (asked, listed.as_deref()) {
        (Some(model), _) => Ok(model.to_owned()),
        (None, Ok([model])) => Ok(model.clone()),
        (None, Err(came)) => {
            Err(Failure::new(Exit::Unavailable, format!("{came}, which lists no model"))
                .help("say which one it serves: --model NAME; that goes on without a list"))
        }
        (None, Ok(models)) => pick(models, url),
    }
}

fn pick(models: &[String], url: &str) -> Result<String, Failure> {
    let usage = || {
        let names = list(models.iter().map(String::as_str));
        Failure::new(Exit::Usage, format!("{url} serves {} models: {names}", models.len()))
            .help(format!("say which one: --model {}", shell_word(&models[0])))
    };
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(usage());
    }
    output::message(&format!("{url} serves {} models:", models.len()));
    for (number, model) in models.iter().enumerate() {
        output::message(&format!("  {:>3}  {model}", number + 1));
    }
    let mut stderr = anstream::stderr().lock();
    drop(write!(stderr, "which one? [1] ").and_then(|()| stderr.flush()));
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).is_err() {
        return Err(usage());
    }
    let line = line.trim();
    let by_number = if line.is_empty() { Some(1) } else { line.parse::<usize>().ok() };
    let by_number = by_number.and_then(|number| models.get(number.checked_sub(1)?));
    by_number.or_else(|| models.iter().find(|model| *model == line)).cloned().ok_or_else(usage)
}

/// Returns how many words have that many tokens with their salt, and what the server counts.
fn fitting_words(server: &Server<'_>, model: &str, tokens: u32) -> Option<(u32, u32)> {
    let mut words = tokens.saturating_sub(SALT_TOKENS).max(1);
    let mut counted = server.count_tokens(model, &sample(words))?;
    for _ in 0..TRIES {
        let missing = i64::from(tokens) - i64::from(counted);
        // In proportion: a word of another tokenizer may be two tokens.
        let change = missing * i64::from(words) / i64::from(counted.max(1));
        let change = if change == 0 { missing.signum() } else { change };
        let next = u32::try_from(i64::from(words) + change).unwrap_or(1).max(1);
        if missing == 0 || next == words {
            break;
        }
        let by_next = server.count_tokens(model, &sample(next))?;
        if by_next.abs_diff(tokens) >= counted.abs_diff(tokens) {
            break;
        }
        (words, counted) = (next, by_next);
    }
    Some((words, counted))
}

/// Returns a text such as the prompts are, salt included.
fn sample(n_words: u32) -> String {
    let mut rng = Seed(0).stream("quick");
    words::salt(&mut rng) + &words::spelled(&words::draw(n_words, &mut rng))
}

/// Tells of a wait, ever more rarely.
struct Patience<'a> {
    tell: &'a dyn Fn(&str),
    what: String,
    next: Duration,
}

impl<'a> Patience<'a> {
    fn new(tell: &'a dyn Fn(&str), what: String) -> Self {
        Self { tell, what, next: Duration::from_secs(FIRST_WORD_AFTER) }
    }

    fn look(&mut self, elapsed: Nanos) {
        if Duration::from(elapsed) >= self.next {
            let (told, limit) = (self.next, ANSWER_LIMIT);
            (self.tell)(&format!("  {told:.0?} of {limit:.0?}, waiting for {}", self.what));
            self.next *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_url_is_pasted_the_base_is_found() {
        let check = |target: &str, expected: &str| {
            assert!(is_url(target), "{target}");
            assert_eq!(base_url(target), expected, "{target}");
        };
        check("http://localhost:8000", "http://localhost:8000");
        check("localhost:8000/", "http://localhost:8000");
        check("10.0.0.1:8000/v1", "http://10.0.0.1:8000");
        check("https://h/openai/v1/chat/completions", "https://h/openai");
        check("http://h:1/v1/models", "http://h:1");
        check(" HTTP://h:1 ", "http://h:1");
        assert!(!is_url("./own.toml") && !is_url("engines/own.toml") && !is_url("own.toml"));
        assert!(!is_url("vllm") && !is_url("llama-cpp") && !is_url("sim"));
        assert!(!is_url("Qwen/Qwen2.5-7B") && !is_url("./model.gguf") && !is_url("llama.cpp"));
        assert!(!is_url("/models/a.gguf") && !is_url("../a.b"));
    }
}
