//! An engine between its written form and its launch: names resolved, templates rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::plan::launch::PORT;
use crate::plan::matrix::{Combination, text};
use crate::plan::paths::{Places, is_path};
use crate::plan::phases::typed;
use crate::plan::template::{Context, TemplateError, render, value, variable_name, variables};
use crate::scenario::Scenario;
use crate::scenario::spec::{EngineSpec, OPTIONS};

/// An engine on its way to a launch.
pub(crate) struct Starting<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) name: &'a str,
    pub(crate) places: &'a Places,
    pub(crate) spec: EngineSpec,
    pub(crate) options: BTreeMap<String, Value>,
    pub(crate) model_path: Option<String>,
    /// The model's own name: as it is written, of a path its last part.
    pub(crate) model: Option<String>,
    pub(crate) context: Context,
}

impl<'a> Starting<'a> {
    pub(crate) fn read(
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
        let spec: EngineSpec = typed(scenario, Value::Table(table), &["engine", name], found)?;
        let vars = variables_of(scenario, cell, found);
        let mut starting = Self {
            scenario,
            name,
            places,
            spec,
            options,
            model_path: None,
            model: None,
            context: vars,
        };
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
        let model = self.named(self.spec.model.as_ref(), "model", found);
        let model_path = self.named(self.spec.model_path.as_ref(), "model-path", found);
        let model_path = model_path
            .map(|path| self.places.file(&path))
            .or_else(|| model.as_ref().filter(|m| is_path(m)).map(|m| self.places.resolve(m)));
        let program = self.named(self.spec.program.as_ref(), "program", found);
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
        self.model = model.as_ref().map(|model| {
            let file = Path::new(model).file_name().filter(|_| is_path(model));
            file.map_or(model.clone(), |file| file.to_string_lossy().into_owned())
        });
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

    pub(crate) fn env(&self, found: &mut Diagnostics) -> BTreeMap<String, String> {
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

    pub(crate) fn render(&self, template: &str, key: &str, found: &mut Diagnostics) -> String {
        match render(template, &self.context) {
            Ok(text) => text,
            Err(error) => {
                self.tell(&error, key, self.label(key, None), found);
                String::new()
            }
        }
    }

    /// Renders what the command is made of. An empty one would be left out of it, and the engine
    /// would take another that nobody asked for.
    fn named(
        &self,
        template: Option<&String>,
        key: &str,
        found: &mut Diagnostics,
    ) -> Option<String> {
        let mut mine = Diagnostics::default();
        let text = self.render(template?, key, &mut mine);
        if text.is_empty() && mine.is_empty() {
            mine.push(
                Diagnostic::error(
                    "scenario/value",
                    format!("engine `{}`: `{key}` is empty", self.name),
                )
                .label(self.label(key, Some("")))
                .help("give it a value, or leave it out"),
            );
        }
        found.extend(mine);
        Some(text)
    }

    pub(crate) fn render_all(
        &self,
        templates: &[String],
        key: &str,
        found: &mut Diagnostics,
    ) -> Vec<String> {
        self.render_with(templates, key, &self.context, found)
    }

    /// Renders arguments; a template that renders to nothing is left out.
    pub(crate) fn render_with(
        &self,
        templates: &[String],
        key: &str,
        context: &Context,
        found: &mut Diagnostics,
    ) -> Vec<String> {
        let mut args = Vec::with_capacity(templates.len());
        for (position, template) in templates.iter().enumerate() {
            match render(template, context) {
                Ok(text) if text.is_empty() && !template.is_empty() => {}
                Ok(text) => args.push(text),
                Err(error) => {
                    let place = ["engine", self.name, key, &position.to_string()];
                    let label = self.scenario.value_at(&place).or_else(|| self.label(key, None));
                    self.tell(&error, key, label, found);
                }
            }
        }
        args
    }

    fn tell(
        &self,
        error: &TemplateError,
        key: &str,
        label: Option<Label>,
        found: &mut Diagnostics,
    ) {
        let message = format!("engine `{}`, `{key}`: {}", self.name, error.message);
        found.push(
            Diagnostic::error("scenario/template", message).label(label).help(error.help.clone()),
        );
    }

    /// Returns the place where a key of this engine is set: in the matrix, or in its table.
    pub(crate) fn label(&self, key: &str, item: Option<&str>) -> Option<Label> {
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

/// Takes the first variable that names none of the others that are pending, or the first of all:
/// then they name each other.
fn next_of(pending: &mut Vec<String>, vars: Option<&Table>) -> (String, bool) {
    let waits = |name: &String| {
        let template = vars.and_then(|vars| vars.get(name)).and_then(Value::as_str);
        let named = template.map(variables).unwrap_or_default();
        pending.iter().any(|other| named.contains(&variable_name(other)))
    };
    let ready = pending.iter().position(|name| !waits(name));
    (pending.remove(ready.unwrap_or(0)), ready.is_none())
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

/// Returns the swept values and the scenario's variables, each rendered over those that it names.
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
    let mut pending = scenario.names("vars");
    while !pending.is_empty() {
        let (name, is_in_circle) = next_of(&mut pending, vars);
        let rendered = match vars.and_then(|vars| vars.get(&name)) {
            Some(Value::String(template)) => match render(template, &context) {
                Ok(text) => minijinja::Value::from(text),
                Err(mut error) => {
                    if is_in_circle {
                        "variables that name each other have no value".clone_into(&mut error.help);
                    }
                    found.push(
                        Diagnostic::error("scenario/template", error.message)
                            .label(scenario.layers.value(&["vars", &name], "in this variable"))
                            .help(error.help),
                    );
                    // It is there, whatever it is to be: what uses it is no second mistake.
                    minijinja::Value::from(template.as_str())
                }
            },
            Some(other) => value(other),
            None => continue,
        };
        context.insert(variable_name(&name), rendered);
    }
    context
}
