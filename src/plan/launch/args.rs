//! The arguments of an engine: what each option becomes, and a refusal where it would be lost.

use std::collections::BTreeSet;

use minijinja::value::Serde;
use toml::Value;

use crate::diagnostic::suggest::list;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::launch::engine::Starting;
use crate::plan::matrix::text;
use crate::plan::template::{Context, is_broken, value, variable_name, variables};
use crate::scenario::check_engine::owns_argv;
use crate::scenario::spec::{EngineSpec, FlagSpec, SpeculativeSpec, SpeculativeTable};

impl Starting<'_> {
    /// Returns program and arguments.
    pub(crate) fn argv(&mut self, found: &mut Diagnostics) -> Vec<String> {
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
        if let Some(SpeculativeSpec::By(speculative)) = &spec.speculative {
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
            Some(FlagSpec::ByValue(by_value)) => {
                let Some(args) = by_value.get(&text(option)) else {
                    let message = format!("engine `{}` has no `{flag} = {option}`", self.name);
                    let supported = list(by_value.keys().map(String::as_str));
                    found.push(
                        Diagnostic::error("scenario/unsupported-option", message)
                            .label(self.label(flag, Some(&text(option))))
                            .help(format!("supported: {supported}")),
                    );
                    return Vec::new();
                };
                args
            }
            // One in the engine's table is told already, whatever its cells.
            None if self.is_in_table(flag) => return Vec::new(),
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

    fn is_in_table(&self, key: &str) -> bool {
        let engines = self.scenario.tree.get("engine");
        engines.and_then(|engines| engines.get(self.name)?.get(key)).is_some()
    }

    fn speculative_args(&self, spec: &SpeculativeTable, found: &mut Diagnostics) -> Vec<String> {
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

    /// A command of the user's own says by its templates what it makes of each option.
    fn check_all_used(&self, spec: &EngineSpec, found: &mut Diagnostics) {
        let templates = spec.argv.iter().chain(&spec.extra_args).cloned();
        if templates.clone().any(|template| is_broken(&template)) {
            return;
        }
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
}
