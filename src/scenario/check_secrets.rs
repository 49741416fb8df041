//! Refuses secrets that are written out in a scenario: every run directory would keep them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, Label, SourceText};
use crate::scenario::layers::Layers;
use crate::scenario::toml_tree::{Data, Document, Node};
use crate::secrets::literal::{in_argv, in_command, in_text, is_written_out};
use crate::secrets::name::is_secret_name;

/// Tables of an engine that hold patterns and names: `key: (\d+)` is no key there.
const PATTERNS: [&str; 7] =
    ["log", "configuration", "metrics", "quirks", "requires", "env-recorded", "summary"];

/// Secrets of one text: whatever is told of it, they are not shown.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    pub(crate) source: Arc<SourceText>,
    pub(crate) spans: Vec<Range<usize>>,
    pub(crate) texts: Vec<String>,
}

/// Checks every layer, with the profiles that are not chosen: a run keeps the whole file. Returns
/// what has to be hidden.
pub(crate) fn secrets(layers: &Layers, found: &mut Diagnostics) -> Vec<Hidden> {
    let mut hidden = Vec::new();
    let key_variables: BTreeSet<&str> = layers
        .list
        .iter()
        .flat_map(|layer| layer.document.root.entries())
        .filter(|entry| entry.key == "engine")
        .flat_map(|engines| engines.node.entries())
        .flat_map(|engine| engine.node.entries())
        .filter(|entry| entry.key == "api-key-env")
        .filter_map(|entry| entry.node.as_text())
        .collect();
    for layer in layers.list.iter().filter(|layer| layer.part.is_empty()) {
        let mut walk = Walk {
            document: &layer.document,
            key_variables: &key_variables,
            path: layer.mount.clone(),
            refused: Vec::new(),
        };
        walk.node(&layer.document.root);
        let mut spans: Vec<Range<usize>> = Vec::new();
        let mut texts = Vec::new();
        for refused in walk.refused {
            spans.push(inside_quotes(&layer.document.source.text, refused.span));
            texts.extend(refused.text.filter(|text| text.len() > 3));
            found.push(refused.diagnostic);
        }
        if found.has_errors() {
            // A line that cannot be read is shown as well.
            spans.extend(in_command(layer.document.source.text.as_bytes()));
        }
        let source = Arc::clone(&layer.document.source);
        hidden.push(Hidden { source, spans, texts });
    }
    hidden
}

/// One value that has to go.
struct Refused {
    span: Range<usize>,
    text: Option<String>,
    diagnostic: Diagnostic,
}

struct Walk<'a> {
    document: &'a Document,
    key_variables: &'a BTreeSet<&'a str>,
    path: Vec<String>,
    refused: Vec<Refused>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node) {
        match &node.value {
            Data::Table(entries) => {
                for entry in entries {
                    self.path.push(entry.key.clone());
                    self.node(&entry.node);
                    self.path.pop();
                }
            }
            Data::List(items) => self.list(items),
            Data::Text(text) => self.text(text, node),
            Data::Integer(number) => {
                if self.is_secret(&number.to_string()) {
                    self.refuse(node, Some(number.to_string()));
                }
            }
            Data::Float(_) | Data::Bool(_) | Data::Foreign(_) => {}
        }
    }

    /// A secret may stand in an argument of its own, behind its option.
    fn list(&mut self, items: &[Node]) {
        let texts: Vec<&str> = items.iter().map(|item| item.as_text().unwrap_or("")).collect();
        let behind_options = if self.is_command() { in_argv(&texts) } else { Vec::new() };
        for (idx, item) in items.iter().enumerate() {
            match behind_options.iter().find(|(at, _)| *at == idx) {
                Some((_, span)) => self.refuse(item, Some(texts[idx][span.clone()].to_owned())),
                None => self.node(item),
            }
        }
    }

    fn text(&mut self, text: &str, node: &Node) {
        let names_a_variable =
            matches!(self.part(2), Some("api-key-env" | "env-from" | "headers-from"))
                && self.part(0) == Some("engine");
        if names_a_variable {
            if !is_variable_name(text) {
                self.refuse(node, Some(text.to_owned()));
            }
        } else if self.is_secret(text) {
            self.refuse(node, Some(text.to_owned()));
        } else {
            let bytes = text.as_bytes();
            let spans = if self.is_command() { in_command(bytes) } else { in_text(bytes) };
            if let Some(first) = spans.first() {
                self.refuse(node, Some(text[first.clone()].to_owned()));
            }
        }
    }

    /// Whether the value stands under a secret's name, where names are the engine's or the user's.
    fn is_secret(&self, value: &str) -> bool {
        let key = self.path.last().map_or("", |key| key.rsplit('.').next().unwrap_or(key));
        let is_named = is_secret_name(key) || self.key_variables.contains(key);
        // Under an option's name stand the arguments that it becomes.
        let is_template =
            self.part(2).is_some_and(|key| ["flags", "precisions", "speculators"].contains(&key));
        self.is_command() && is_named && !is_template && !value.is_empty() && is_written_out(value)
    }

    /// Whether the value becomes a part of a command or of a request.
    fn is_command(&self) -> bool {
        match self.part(0) {
            Some("engine") => self.part(2).is_some_and(|key| !PATTERNS.contains(&key)),
            Some("request") => self.part(1) == Some("extra-body"),
            Some("vars" | "matrix") => true,
            _ => false,
        }
    }

    /// Returns a part of the path, as it would be without the profile around it.
    fn part(&self, idx: usize) -> Option<&str> {
        let skipped = if self.path.first().is_some_and(|first| first == "profile") { 2 } else { 0 };
        self.path.get(skipped + idx).map(String::as_str)
    }

    fn refuse(&mut self, node: &Node, text: Option<String>) {
        let label = "would be kept in every run directory";
        let label: Label = self.document.label(node.span.clone(), label);
        let message = format!("`{}` holds a secret", self.path.join("."));
        let diagnostic =
            Diagnostic::error("scenario/secret", message).label(Some(label)).help(self.way_out());
        self.refused.push(Refused { span: node.span.clone(), text, diagnostic });
    }

    fn way_out(&self) -> String {
        let engine = self.part(1).unwrap_or("NAME");
        match (self.part(0), self.part(2)) {
            (Some("engine"), Some("env")) => {
                let name = self.path.last().map_or("NAME", String::as_str);
                format!(
                    "export it as MY_SECRET where bench is started, and write \
                     `env-from = {{ {name} = \"MY_SECRET\" }}` in `[engine.{engine}]`"
                )
            }
            (Some("engine"), Some("headers")) => {
                let name = self.path.last().map_or("NAME", String::as_str);
                format!(
                    "export it as MY_SECRET where bench is started, and write \
                     `headers-from = {{ {name} = \"MY_SECRET\" }}` in `[engine.{engine}]`; an API \
                     key is `api-key-env`, with `api-key-header` where it has a header of its own"
                )
            }
            (Some("engine"), Some("api-key-env" | "env-from" | "headers-from")) => {
                "write the name of the environment variable that holds it: letters, digits and `_`"
                    .to_owned()
            }
            (Some("engine"), Some("proxy")) => {
                "export the proxy's URL with its password as HTTP_PROXY (HTTPS_PROXY for https) where \
                 bench is started, and write `proxy = \"environment\"`"
                    .to_owned()
            }
            (Some("engine"), Some("url")) | (Some("request"), _) => {
                "export it as MY_KEY where bench is started, and write `api-key-env = \"MY_KEY\"` \
                 in the engine's table: it is sent as `Authorization: Bearer …`"
                    .to_owned()
            }
            (Some("engine" | "vars" | "matrix"), _) => {
                "export it as MY_SECRET where bench is started; write `api-key-env = \
                 \"MY_SECRET\"` for a server that asks for it, and `env-from = { NAME = \
                 \"MY_SECRET\" }` for an engine that bench starts; a command that needs it as an \
                 argument is `argv = [\"sh\", \"-c\", \"exec … --api-key \\\"$NAME\\\"\"]`"
                    .to_owned()
            }
            _ => "take it out; the hub's token is read from HF_TOKEN".to_owned(),
        }
    }
}

/// Whether a shell could export a variable of this name.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(is_part)
}

fn inside_quotes(text: &str, span: Range<usize>) -> Range<usize> {
    let is_quoted = text[span.clone()].starts_with(['"', '\'']) && span.len() > 1;
    if is_quoted { span.start + 1..span.end - 1 } else { span }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::diagnostic::Diagnostics;
    use crate::scenario::{Input, load};

    const GOOD: &str = "[engine.tiny]\n[dataset.d]\nsource = \"gsm8k\"\n[phase.load]\n\
                        concurrency = 4\nrequests = 8\n";

    fn told(text: &str, sets: &[&str], env: &[(&str, &str)]) -> Result<(), Diagnostics> {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let env: Vec<(String, String)> =
            env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let loaded = load(&Input {
            path: Path::new("x.toml"),
            text: &format!("{text}{GOOD}"),
            read: &|_| Err(std::io::ErrorKind::NotFound.into()),
            env: &env,
            sets: &sets,
            profile: None,
            user_preset_dirs: &[],
        });
        loaded.map(|_| ())
    }

    fn check_refused(told: Result<(), Diagnostics>, place: &str) {
        let text = told.unwrap_err().render(false);
        assert!(text.contains(place) && text.contains("holds a secret"), "{place}: {text}");
        assert!(!text.to_lowercase().contains("canary"), "{text}");
        assert!(text.contains("= help:"), "{text}");
    }

    #[test]
    fn a_secret_in_any_place_is_refused_without_being_shown() {
        for (text, place) in [
            ("[engine.tiny.env]\nHF_TOKEN = \"Canary-1\"\n", "engine.tiny.env.HF_TOKEN"),
            ("[engine.tiny.env]\nDSN = \"pg://me:Canary1@db\"\n", "engine.tiny.env.DSN"),
            ("[engine.tiny]\nextra-args = [\"--api-key\", \"Canary-1\"]\n", "extra-args"),
            ("[engine.tiny]\nextra-args = [\"--hf-token=Canary-1\"]\n", "extra-args"),
            (
                "[engine.tiny]\nextra-args = [\"--header\", \"Authorization: Bearer Canary\"]\n",
                "extra-args",
            ),
            ("[engine.tiny]\nextra-args = [\"sk-canary-1\"]\n", "extra-args"),
            ("[engine.tiny]\nurl = \"http://user:Canary@host\"\n", "engine.tiny.url"),
            ("[engine.tiny]\nurl = \"http://host/v1?api_key=Canary\"\n", "engine.tiny.url"),
            ("[engine.tiny]\napi-key-env = \"Canary-1\"\n", "engine.tiny.api-key-env"),
            ("[engine.tiny.headers]\nX-Api-Key = \"Canary-1\"\n", "headers.X-Api-Key"),
            ("[engine.tiny.headers]\nX-A = \"Bearer Canary1\"\n", "headers.X-A"),
            ("[engine.tiny.headers-from]\nX-A = \"Canary-1\"\n", "headers-from.X-A"),
            ("[engine.tiny]\napi-key-env = \"MINE\"\nenv.MINE = \"Canary-1\"\n", "env.MINE"),
            ("[request.extra-body]\napi_key = \"Canary-1\"\n", "request.extra-body.api_key"),
            ("[request.extra-body]\nx = { token = \"Canary-1\" }\n", "request.extra-body.x.token"),
            ("[vars]\nmy_token = \"Canary-1\"\n", "vars.my_token"),
            ("[matrix]\n\"engine.tiny.env.API_KEY\" = [\"Canary-1\"]\n", "matrix"),
            ("[profile.p.engine.tiny.env]\nAPI_KEY = \"Canary-1\"\n", "profile.p.engine.tiny"),
            ("title = \"of hf_Canary0123456789\"\n", "title"),
        ] {
            // The tables of `GOOD` are opened once more otherwise.
            let good = GOOD.replace("[engine.tiny]\n", "");
            let text = if text.starts_with("[engine") {
                text.to_owned()
            } else {
                format!("{text}[engine.tiny]\n")
            };
            let loaded = load(&Input {
                path: Path::new("x.toml"),
                text: &format!("{text}{good}"),
                read: &|_| Err(std::io::ErrorKind::NotFound.into()),
                env: &[],
                sets: &[],
                profile: None,
                user_preset_dirs: &[],
            });
            check_refused(loaded.map(|_| ()), place);
        }
    }

    #[test]
    fn a_secret_from_outside_the_file_is_refused_as_well() {
        let set = "engine.tiny.env.HF_TOKEN=Canary-1";
        check_refused(told("", &[set], &[]), "engine.tiny.env.HF_TOKEN");
        let set = "engine.tiny.extra-args=[\"--api-key\", \"Canary-1\"]";
        check_refused(told("", &[set], &[]), "extra-args");
        let variable = ("BENCH_ENGINE__TINY__URL", "http://me:Canary@host");
        check_refused(told("", &[], &[variable]), "engine.tiny.url");
    }

    #[test]
    fn what_says_where_a_secret_comes_from_is_accepted() {
        let set = |set: &str| told("", &[set], &[]).map_err(|found| found.render(false));
        for accepted in [
            "engine.tiny.env-from={ HF_TOKEN = \"MY_TOKEN\" }",
            "engine.tiny.api-key-env=\"MY_KEY\"",
            "engine.tiny.headers-from={ X-Api-Key = \"MY_KEY\" }",
            "engine.tiny.headers={ X-Org = \"ours\" }",
            "engine.tiny.flags={ hub-token = [\"--hub-token\", \"{{ value }}\"] }",
            "engine.tiny.env.OPENAI_API_KEY=\"EMPTY\"",
            "engine.tiny.env.TOKENIZERS_PARALLELISM=\"false\"",
            "engine.tiny.env.MAX_TOKENS=\"4096000\"",
            "request.extra-body={ max_tokens = 5, eos_token = \"</s>\" }",
        ] {
            assert_eq!(set(accepted), Ok(()), "{accepted}");
        }
    }

    #[test]
    fn a_mistake_in_the_same_line_does_not_show_the_secret() {
        let text = "[engine.e]\nenv = { API_KEY = \"Canary-1\" } x\n";
        let shown = told(text, &[], &[]).unwrap_err().render(false);
        assert!(!shown.contains("Canary"), "{shown}");
    }
}
