//! From an engine as written to its launch: the exact command, nothing silently left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use minijinja::value::Serde;
use serde::Serialize;
use toml::Value;

use crate::diagnostic::suggest::list;
use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::ids::{LaunchId, content_hash};
use crate::plan::launch::{
    HttpCall, Launch, LogPatterns, MetricsEndpoint, PORT, Quirks, Readiness, Requirement, Requires,
};
use crate::plan::matrix::{Combination, text};
use crate::plan::places::{Places, is_path};
use crate::plan::template::{Context, TemplateError, render, value, variable_name, variables};
use crate::scenario::Scenario;
use crate::scenario::check_engine::owns_argv;
use crate::scenario::keys::OPTIONS;
use crate::scenario::spec::{EngineSpec, FlagSpec, RequiresSpec, SpeculativeSpec};
use crate::units::Nanos;

/// Time to be ready when neither scenario nor defaults say one.
const READY_TIMEOUT: Nanos = Nanos::from_secs(1800);
/// Time between SIGTERM and SIGKILL when neither scenario nor defaults say one.
const STOP_GRACE: Nanos = Nanos::from_secs(30);

/// Returns the launch of one cell's engine.
pub(crate) fn launch(
    scenario: &Scenario,
    cell: &Combination,
    places: &Places,
    found: &mut Diagnostics,
) -> Option<Launch> {
    let n_before = found.len();
    let name = cell.engine.as_str();
    let mut engine = Starting::read(scenario, cell, places, found)?;
    let argv = engine.argv(found);
    let env = engine.env(found);
    let spec = engine.spec.clone();
    let is_started = !argv.is_empty();
    let url = spec.url.clone().unwrap_or_else(|| "http://127.0.0.1:{{ port }}".into());
    let base_url = engine.render(&url, "url", found);
    // Paths of requests carry the version, as does the URL that clients are usually given.
    let base_url = base_url.trim_end_matches('/').trim_end_matches("/v1").to_string();
    let model_id = spec.model_id.clone().unwrap_or_else(|| "{{ model }}".into());
    let launch = Launch {
        engine: name.to_string(),
        preset: scenario.presets.get(name).cloned().unwrap_or_else(|| "custom".into()),
        model: engine.render(&model_id, "model-id", found),
        version_argv: engine.render_all(&spec.version, "version", found),
        requires: engine.requires(is_started, found),
        n_gpus: engine.n_gpus(),
        cwd: spec
            .cwd
            .as_ref()
            .map(|cwd| PathBuf::from(places.file(&engine.render(cwd, "cwd", found)))),
        argv,
        env,
        env_recorded: spec.env_recorded,
        base_url,
        api_key_env: spec.api_key_env,
        model_path: engine.model_path.map(PathBuf::from),
        precision: spec.precision,
        readiness: Readiness {
            health: Some(spec.health).filter(|path| !path.is_empty()),
            models: Some(spec.models).filter(|path| !path.is_empty()),
            timeout: spec.ready_timeout.map_or(READY_TIMEOUT, |span| span.0),
        },
        stop_grace: spec.stop_grace.map_or(STOP_GRACE, |span| span.0),
        log_patterns: LogPatterns {
            stages: spec.log.stages,
            failures: spec.log.failures,
            throughput: spec.log.throughput.filter(|pattern| !pattern.is_empty()),
        },
        metrics: Some(MetricsEndpoint { path: spec.metrics.path, names: spec.metrics.names })
            .filter(|metrics| !metrics.path.is_empty()),
        cache_reset: spec
            .cache_reset
            .split_once(' ')
            .map(|(method, path)| HttpCall { method: method.to_string(), path: path.to_string() }),
        configuration: spec.configuration,
        cold_page_cache: spec.cold_start,
        extra_starts: spec.starts.unwrap_or(1).saturating_sub(1),
        quirks: Quirks { no_done: spec.quirks.no_done, omit: spec.quirks.omit },
    };
    check_port(scenario, name, &launch, found);
    (found.len() == n_before || !found.has_errors()).then_some(launch)
}

/// Returns the launch's identity: what shapes the process, as the scenario writes it.
pub(crate) fn identity(launch: &Launch) -> LaunchId {
    #[derive(Serialize)]
    struct Identity<'a> {
        engine: &'a str,
        argv: &'a [String],
        env: &'a BTreeMap<String, String>,
        cwd: Option<&'a Path>,
        base_url: &'a str,
        model: &'a str,
        model_path: Option<&'a Path>,
        precision: Option<&'a str>,
        readiness: &'a Readiness,
        cold_page_cache: bool,
        extra_starts: u32,
        cache_reset: Option<&'a HttpCall>,
        quirks: &'a Quirks,
    }
    LaunchId(content_hash(&Identity {
        engine: &launch.engine,
        argv: &launch.argv,
        env: &launch.env,
        cwd: launch.cwd.as_deref(),
        base_url: &launch.base_url,
        model: &launch.model,
        model_path: launch.model_path.as_deref(),
        precision: launch.precision.as_deref(),
        readiness: &launch.readiness,
        cold_page_cache: launch.cold_page_cache,
        extra_starts: launch.extra_starts,
        cache_reset: launch.cache_reset.as_ref(),
        quirks: &launch.quirks,
    }))
}

/// An engine on its way to a launch.
struct Starting<'a> {
    scenario: &'a Scenario,
    name: &'a str,
    places: &'a Places,
    spec: EngineSpec,
    options: BTreeMap<String, Value>,
    model_path: Option<String>,
    context: Context,
}

impl<'a> Starting<'a> {
    fn read(
        scenario: &'a Scenario,
        cell: &'a Combination,
        places: &'a Places,
        found: &mut Diagnostics,
    ) -> Option<Self> {
        let name = cell.engine.as_str();
        let table = cell.tree.get("engine").and_then(|engines| engines.get(name))?.as_table()?;
        let mut table = table.clone();
        let flags: BTreeSet<String> = table
            .get("flags")
            .and_then(Value::as_table)
            .into_iter()
            .flat_map(|flags| flags.keys().cloned())
            .collect();
        let is_option =
            |key: &str| flags.contains(key) || OPTIONS.iter().any(|field| field.key == key);
        let keys: Vec<String> = table.keys().filter(|key| is_option(key)).cloned().collect();
        let options: BTreeMap<String, Value> =
            keys.into_iter().filter_map(|key| Some((key.clone(), table.remove(&key)?))).collect();
        let spec: EngineSpec = match Value::Table(table).try_into() {
            Ok(spec) => spec,
            Err(error) => {
                let message = format!("engine `{name}`: {}", error.message());
                found.push(
                    Diagnostic::error("scenario/type", message)
                        .label(scenario.at(&["engine", name], "")),
                );
                return None;
            }
        };
        let vars = variables_of(scenario, cell, found);
        let mut starting =
            Self { scenario, name, places, spec, options, model_path: None, context: vars };
        starting.fill_context(found);
        Some(starting)
    }

    /// Puts the engine's own values over the scenario's variables.
    fn fill_context(&mut self, found: &mut Diagnostics) {
        let put = |context: &mut Context, key: &str, text: String| {
            context.insert(key.to_string(), minijinja::Value::from(text));
        };
        put(&mut self.context, "engine", self.name.to_string());
        put(&mut self.context, "bench", self.places.bench());
        put(&mut self.context, "assets", self.places.assets());
        if let Some(precision) = &self.spec.precision {
            put(&mut self.context, "precision", precision.clone());
        }
        let model = self.spec.model.clone().map(|model| self.render(&model, "model", found));
        let model_path =
            self.spec.model_path.clone().map(|path| self.render(&path, "model-path", found));
        let model_path = model_path
            .map(|path| self.places.file(&path))
            .or_else(|| model.as_ref().filter(|m| is_path(m)).map(|m| self.places.resolve(m)));
        let program = self.spec.program.clone().map(|text| self.render(&text, "program", found));
        for (key, option) in std::mem::take(&mut self.options) {
            let option = match option {
                Value::String(text) => {
                    let rendered = self.places.resolve(&self.render(&text, &key, found));
                    if rendered == text { Value::String(text) } else { retyped(rendered) }
                }
                other => other,
            };
            self.context.insert(variable_name(&key), value(&option));
            self.options.insert(key, option);
        }
        if let Some(model) = model {
            let stem = Path::new(&model).file_stem().filter(|_| is_path(&model));
            let stem = stem.map_or(model.clone(), |stem| stem.to_string_lossy().into_owned());
            put(&mut self.context, "model_name", stem);
            put(&mut self.context, "model", self.places.resolve(&model));
        } else if let Some(path) = &model_path {
            let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
            put(&mut self.context, "model_name", stem.unwrap_or_default());
        }
        if let Some(path) = &model_path {
            put(&mut self.context, "model_path", path.clone());
        }
        if let Some(program) = program {
            put(&mut self.context, "program", self.places.resolve(&program));
        }
        self.context.insert("port".into(), minijinja::Value::from(PORT));
        self.model_path = model_path;
    }

    fn argv(&mut self, found: &mut Diagnostics) -> Vec<String> {
        let spec = self.spec.clone();
        if owns_argv(self.scenario, self.name) {
            self.check_all_used(&spec, found);
            let mut argv = self.render_all(&spec.argv, "argv", found);
            argv.extend(self.render_all(&spec.extra_args, "extra-args", found));
            if let Some(program) = argv.first_mut() {
                *program = self.places.resolve(program);
            }
            return argv;
        }
        let mut argv = self.render_all(&spec.argv, "argv", found);
        argv.extend(self.precision_args(found));
        // In the order of the preset, then what it does not know.
        let mut flags = self.scenario.layers.names(&["engine", self.name, "flags"]);
        flags.extend(
            self.options.keys().filter(|key| !flags.contains(key)).cloned().collect::<Vec<_>>(),
        );
        for flag in flags {
            if let Some(option) = self.options.get(&flag).cloned() {
                argv.extend(self.option_args(&flag, &option, found));
            }
        }
        if let Some(speculative) = &spec.speculative {
            argv.extend(self.speculative_args(speculative, found));
        }
        argv.extend(self.render_all(&spec.extra_args, "extra-args", found));
        // An endpoint has flags for labels and no command.
        if spec.argv.is_empty() { Vec::new() } else { argv }
    }

    fn precision_args(&self, found: &mut Diagnostics) -> Vec<String> {
        let Some(precision) = &self.spec.precision else { return Vec::new() };
        if let Some(args) = self.spec.precisions.get(precision) {
            return self.render_all(args, "precisions", found);
        }
        let known = list(self.spec.precisions.keys().map(String::as_str));
        let help = if known.is_empty() {
            "it has none: leave `precision` out".to_string()
        } else {
            format!("supported: {known}")
        };
        found.push(
            Diagnostic::error(
                "scenario/unsupported-precision",
                format!("engine `{}` has no precision `{precision}`", self.name),
            )
            .label(self.label("precision", Some(precision)))
            .help(help)
            .help(format!(
                "to leave the pair out: `exclude = [{{ engine = \"{}\", precision = \
                 \"{precision}\" }}]` in `[matrix]`",
                self.name
            )),
        );
        Vec::new()
    }

    fn option_args(&self, flag: &str, option: &Value, found: &mut Diagnostics) -> Vec<String> {
        let args = match self.spec.flags.get(flag) {
            Some(FlagSpec::Any(_)) if *option == Value::Boolean(false) => return Vec::new(),
            Some(FlagSpec::Any(args)) => args,
            Some(FlagSpec::ByValue(by_value)) => match by_value.get(&text(option)) {
                Some(args) => args,
                None => {
                    let message = format!("engine `{}` has no `{flag} = {option}`", self.name);
                    found.push(
                        Diagnostic::error("scenario/unsupported-option", message)
                            .label(self.label(flag, Some(&text(option))))
                            .help(format!(
                                "supported: {}",
                                list(by_value.keys().map(String::as_str))
                            )),
                    );
                    return Vec::new();
                }
            },
            None => {
                let known = list(self.spec.flags.keys().map(String::as_str));
                let message = format!("engine `{}` has no option `{flag}`", self.name);
                found.push(
                    Diagnostic::error("scenario/unsupported-option", message)
                        .label(self.label(flag, Some(&text(option))))
                        .help(format!("its options are {known}")),
                );
                return Vec::new();
            }
        };
        let mut context = self.context.clone();
        context.insert("value".into(), value(option));
        self.render_with(args, flag, &context, found)
    }

    fn speculative_args(&self, spec: &SpeculativeSpec, found: &mut Diagnostics) -> Vec<String> {
        let Some(args) = self.spec.speculators.get(&spec.method) else {
            let known = list(self.spec.speculators.keys().map(String::as_str));
            let message =
                format!("engine `{}` has no speculative decoding by `{}`", self.name, spec.method);
            found.push(
                Diagnostic::error("scenario/unsupported-option", message)
                    .label(self.label("speculative", None))
                    .help(if known.is_empty() {
                        "it has none: leave `speculative` out".to_string()
                    } else {
                        format!("supported: {known}")
                    }),
            );
            return Vec::new();
        };
        let mut fields = Context::from([
            ("method".to_string(), minijinja::Value::from(spec.method.as_str())),
            ("tokens".to_string(), minijinja::Value::from(spec.tokens)),
            ("extra".to_string(), minijinja::Value::from(Serde(spec.extra.clone()))),
        ]);
        if let Some(model) = &spec.model {
            let model = self.places.resolve(&self.render(model, "speculative", found));
            fields.insert("model".into(), minijinja::Value::from(model));
        } else if args.iter().any(|arg| arg.contains("spec.model")) {
            let message = format!("speculative decoding by `{}` needs a draft model", spec.method);
            let help = format!(
                "write `speculative = {{ method = \"{}\", tokens = {}, model = \"…\" }}`",
                spec.method, spec.tokens
            );
            found.push(
                Diagnostic::error("scenario/missing", message)
                    .label(self.label("speculative", None))
                    .help(help),
            );
            return Vec::new();
        }
        let mut context = self.context.clone();
        context.insert("spec".into(), minijinja::Value::from(fields));
        self.render_with(args, "speculators", &context, found)
    }

    fn env(&self, found: &mut Diagnostics) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for (key, template) in &self.spec.env {
            let template = text(template);
            let rendered = self.render(&template, &format!("env.{key}"), found);
            if !rendered.is_empty() || template.is_empty() {
                env.insert(key.clone(), rendered);
            }
        }
        env
    }

    fn requires(&self, is_started: bool, found: &mut Diagnostics) -> Vec<Requirement> {
        let mut requires = Vec::new();
        for item in &self.spec.requires {
            let precision = self.spec.precision.as_ref();
            let applies = item.precision.is_empty()
                || precision.is_some_and(|precision| item.precision.contains(precision));
            if is_started && applies {
                let hint = self.render(&item.hint, "requires", found);
                let what = self.requirements(item, found);
                requires
                    .extend(what.into_iter().map(|what| Requirement { what, hint: hint.clone() }));
            }
        }
        if let Some(env) = &self.spec.api_key_env {
            let hint = format!("export {env}=… with the key in it");
            requires.push(Requirement { what: Requires::Env(env.clone()), hint });
        }
        requires
    }

    fn requirements(&self, item: &RequiresSpec, found: &mut Diagnostics) -> Vec<Requires> {
        let mut all = Vec::new();
        let mut rendered =
            |text: &Option<String>| text.as_ref().map(|text| self.render(text, "requires", found));
        let program = rendered(&item.program);
        let path = rendered(&item.path);
        match (&item.python_module, program) {
            (Some(module), python) => all.push(Requires::PythonModule {
                python: python.unwrap_or_else(|| "python3".into()),
                module: module.clone(),
            }),
            (None, Some(program)) => all.push(Requires::Program(program)),
            (None, None) => {}
        }
        all.extend(path.map(|path| Requires::Path(PathBuf::from(path))));
        match &item.gpus {
            Some(Value::Boolean(true)) => all.push(Requires::Gpus(self.n_gpus())),
            Some(Value::Integer(n)) => {
                all.push(Requires::Gpus(u32::try_from(*n).unwrap_or(u32::MAX)));
            }
            _ => {}
        }
        all.extend(item.compute_capability.clone().map(Requires::ComputeCapability));
        all.extend(item.env.clone().map(Requires::Env));
        all
    }

    /// Returns tensor · pipeline · data parallel size.
    fn n_gpus(&self) -> u32 {
        ["tensor-parallel", "pipeline-parallel", "data-parallel"]
            .iter()
            .filter_map(|key| self.options.get(*key)?.as_integer())
            .fold(1_u32, |n, size| n.saturating_mul(u32::try_from(size).unwrap_or(1)))
    }

    /// A command of the user's own says by its templates what it makes of each option.
    fn check_all_used(&self, spec: &EngineSpec, found: &mut Diagnostics) {
        let templates = spec.argv.iter().chain(&spec.extra_args).cloned();
        let env = spec.env.values().map(text);
        let used: BTreeSet<String> =
            templates.chain(env).flat_map(|template| variables(&template)).collect();
        let precision = spec.precision.as_ref().map(|_| "precision".to_string());
        let speculative = spec.speculative.as_ref().map(|_| "speculative".to_string());
        let given = self.options.keys().cloned().chain(precision).chain(speculative);
        for key in given.filter(|key| !used.contains(&variable_name(key))) {
            // The preset's own default is not the user's wish.
            let path = ["engine", self.name, key.as_str()];
            let top = self.scenario.layers.list.iter().rev().find(|l| l.find(&path).is_some());
            let swept = self.scenario.tree.get("matrix").and_then(|m| m.get(&key)).is_some();
            if !swept && top.is_none_or(|layer| !layer.mount.is_empty()) {
                continue;
            }
            let message = format!("the command of engine `{}` ignores `{key}`", self.name);
            found.push(
                Diagnostic::error("scenario/unsupported-option", message)
                    .label(self.label(&key, None))
                    .label(self.scenario.at(&["engine", self.name, "argv"], "this command"))
                    .help(format!("put `{{{{ {} }}}}` into `argv`", variable_name(&key))),
            );
        }
    }

    fn render(&self, template: &str, key: &str, found: &mut Diagnostics) -> String {
        match render(template, &self.context) {
            Ok(text) => text,
            Err(error) => {
                self.tell(&error, key, found);
                String::new()
            }
        }
    }

    fn render_all(&self, templates: &[String], key: &str, found: &mut Diagnostics) -> Vec<String> {
        self.render_with(templates, key, &self.context, found)
    }

    /// Renders arguments; a template that renders to nothing is left out.
    fn render_with(
        &self,
        templates: &[String],
        key: &str,
        context: &Context,
        found: &mut Diagnostics,
    ) -> Vec<String> {
        let mut args = Vec::with_capacity(templates.len());
        for template in templates {
            match render(template, context) {
                Ok(text) if text.is_empty() && !template.is_empty() => {}
                Ok(text) => args.push(text),
                Err(error) => self.tell(&error, key, found),
            }
        }
        args
    }

    fn tell(&self, error: &TemplateError, key: &str, found: &mut Diagnostics) {
        let message = format!("engine `{}`, `{key}`: {}", self.name, error.message);
        found.push(
            Diagnostic::error("scenario/template", message)
                .label(self.label(key, None))
                .help(error.help.clone()),
        );
    }

    /// Returns the place where a key of this engine is set: in the matrix, or in its table.
    fn label(&self, key: &str, item: Option<&str>) -> Option<Label> {
        let mut path = vec!["engine", self.name];
        path.extend(key.split('.'));
        let dotted = path.join(".");
        for swept in [key, dotted.as_str()] {
            let values = self.scenario.tree.get("matrix").and_then(|matrix| matrix.get(swept));
            let Some(values) = values.and_then(Value::as_array) else { continue };
            let idx = values.iter().position(|value| Some(text(value).as_str()) == item);
            return match idx {
                Some(idx) => {
                    self.scenario.layers.value(&["matrix", swept, &idx.to_string()], "swept here")
                }
                None => self.scenario.at(&["matrix", swept], "swept here"),
            };
        }
        self.scenario
            .layers
            .value(&path, "")
            .or_else(|| self.scenario.at(&["engine", self.name], "this engine"))
    }
}

/// Returns what a template rendered to as a number or truth value, if it is one.
fn retyped(text: String) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return Value::Integer(number);
    }
    match text.as_str() {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ => text.parse::<f64>().map_or(Value::String(text), Value::Float),
    }
}

/// Returns the swept values and the scenario's variables, each rendered over those before it.
pub(crate) fn variables_of(
    scenario: &Scenario,
    cell: &Combination,
    found: &mut Diagnostics,
) -> Context {
    let mut context: Context = cell
        .keys
        .iter()
        .map(|(key, text)| (variable_name(key), minijinja::Value::from(text.as_str())))
        .collect();
    let vars = cell.tree.get("vars").and_then(Value::as_table);
    for name in scenario.names("vars") {
        let rendered = match vars.and_then(|vars| vars.get(&name)) {
            Some(Value::String(template)) => match render(template, &context) {
                Ok(text) => minijinja::Value::from(text),
                Err(error) => {
                    found.push(
                        Diagnostic::error("scenario/template", error.message)
                            .label(scenario.layers.value(&["vars", &name], "in this variable"))
                            .help(error.help),
                    );
                    continue;
                }
            },
            Some(other) => value(other),
            None => continue,
        };
        context.insert(variable_name(&name), rendered);
    }
    context
}

/// A command that never hears of its port would answer nowhere.
fn check_port(scenario: &Scenario, name: &str, launch: &Launch, found: &mut Diagnostics) {
    let listens = launch.base_url.contains(PORT);
    let hears = launch.argv.iter().chain(launch.env.values()).any(|text| text.contains(PORT));
    if launch.is_started() && listens && !hears {
        let message = format!("the command of engine `{name}` never mentions its port");
        found.push(
            Diagnostic::error("scenario/port", message)
                .label(scenario.at(&["engine", name, "argv"], ""))
                .help("put `{{ port }}` into `argv` or `env`; bench picks a free one"),
        );
    }
    if !launch.is_started() && listens {
        let message = format!("engine `{name}` is not started here and has no `url`");
        found.push(
            Diagnostic::error("scenario/missing", message)
                .label(scenario.at(&["engine", name], "this engine"))
                .help("add `url = \"http://host:port\"` of the running server"),
        );
    }
}
