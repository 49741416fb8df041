//! Options of the built-in engines, read before a run as `bench serve` reads them when it starts.

use clap::Parser as _;
use clap::error::ErrorKind;
use toml::{Table, Value};

use crate::cli::args::Cli;
use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::plan::matrix::text;
use crate::scenario::Scenario;

/// Where the value of an option goes in its arguments.
const VALUE: &str = "{{ value }}";

/// Finds values that the program of a built-in engine would refuse.
pub(crate) fn check(scenario: &Scenario, found: &mut Diagnostics) {
    for name in scenario.names("engine") {
        let engine = scenario.tree.get("engine").and_then(|engines| engines.get(&name));
        let Some(engine) = engine.and_then(Value::as_table) else { continue };
        let Some(kind) = served(engine) else { continue };
        let flags = engine.get("flags").and_then(Value::as_table).into_iter().flatten();
        for (flag, args) in flags {
            let args = texts(Some(args));
            for (value, path) in values(scenario, engine, &name, flag) {
                // A value may begin with a hyphen: behind `=` it is one all the same.
                let args = match args.as_slice() {
                    [option, only] if only == VALUE => vec![format!("{option}={value}")],
                    args => args.iter().map(|arg| arg.replace(VALUE, &value)).collect(),
                };
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                refuse(&kind, args, &format!("engine.{name}.{flag}"), found, || {
                    scenario.layers.value(&path, "")
                });
            }
        }
        let extra = texts(engine.get("extra-args"));
        refuse(&kind, extra, &format!("engine.{name}.extra-args"), found, || {
            scenario.layers.value(&["engine", &name, "extra-args"], "")
        });
    }
}

/// Returns which engine of the program a table starts, if it starts one.
fn served(engine: &Table) -> Option<String> {
    let is_own = engine.get("program").and_then(Value::as_str) == Some("{{ bench }}");
    let argv = texts(engine.get("argv"));
    match argv.as_slice() {
        [_, serve, kind, ..] if is_own && serve == "serve" => Some(kind.clone()),
        _ => None,
    }
}

/// Returns the values that an option has in its engine's table and in the matrix, each with its
/// place.
fn values(
    scenario: &Scenario,
    engine: &Table,
    name: &str,
    flag: &str,
) -> Vec<(String, Vec<String>)> {
    let owned = |path: &[&str]| path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let own = engine.get(flag).map(|value| (text(value), owned(&["engine", name, flag])));
    let matrix = scenario.tree.get("matrix");
    let swept = [flag.to_owned(), format!("engine.{name}.{flag}")].into_iter().flat_map(|key| {
        let values = matrix.and_then(|matrix| matrix.get(&key)).and_then(Value::as_array);
        let values = values.into_iter().flatten().enumerate();
        let placed =
            |(at, value): (usize, &Value)| (text(value), owned(&["matrix", &key, &at.to_string()]));
        values.map(placed).collect::<Vec<_>>()
    });
    own.into_iter().chain(swept).collect()
}

/// Tells of arguments that the program does not take.
fn refuse(
    kind: &str,
    args: Vec<String>,
    key: &str,
    found: &mut Diagnostics,
    label: impl FnOnce() -> Option<Label>,
) {
    // What is filled in only with the plan is judged by the engine.
    if args.is_empty() || args.iter().any(|arg| arg.contains("{{") || arg.contains("{%")) {
        return;
    }
    let words = ["bench", "serve", kind].map(str::to_owned).into_iter().chain(args);
    let Err(error) = Cli::try_parse_from(words) else { return };
    // Whether options go together is seen with all of them.
    let is_of_value = matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::UnknownArgument
    );
    if is_of_value {
        let told = error.to_string();
        let told = told.lines().next().unwrap_or_default().trim_start_matches("error: ");
        found.push(
            Diagnostic::error("scenario/value", format!("`{key}`: {told}"))
                .label(label())
                .help(format!("`bench serve {kind} --help` says what it takes")),
        );
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
