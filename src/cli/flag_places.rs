//! Mistakes in a scenario that flags make, of `bench quick` or `bench init`: told where the values
//! come from, as nobody has its file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::typed;
use crate::diagnostic::{Diagnostic, Label, SourceText};

/// The command whose flags make a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Quick,
    Init,
}

/// What a user wrote for the keys of a section: to `bench quick`, and to `bench init`.
const WRITTEN: [(&str, &str, &str, Option<&str>); 18] = [
    ("engine.server", "url", "URL", Some("--url")),
    ("engine.server", "model", "--model", Some("--model")),
    ("engine.server", "api-key-env", "--api-key-env", None),
    ("engine", "preset", "ENGINE", Some("--engine")),
    ("engine", "model", "MODEL", Some("--model")),
    ("dataset.prompts", "source", "--data", Some("--data")),
    ("dataset.prompts", "location", "--data", Some("--data")),
    ("dataset.prompts", "columns", "--data", Some("--data")),
    ("dataset.prompts", "prompt", "--data", Some("--data")),
    ("dataset.prompts", "tokenizer", "--tokenizer", Some("--tokenizer")),
    ("dataset.prompts", "input-words", "--input", None),
    ("dataset.prompts", "input-tokens", "--input", None),
    ("dataset.prompts", "output-tokens", "--output", None),
    ("request", "max-tokens", "--output", None),
    ("matrix", "precision", "--precision", Some("--precision")),
    ("matrix", "concurrency", "--concurrency", Some("--concurrency")),
    ("matrix", "rate", "--rate", Some("--rate")),
    ("phase.load", "duration", "--seconds", None),
];

impl Maker {
    /// Tells the places of a mistake in the scenario at `place`, and what to set there, as what the
    /// user wrote.
    pub(crate) fn retell(self, place: &Path, mistake: &mut Diagnostic) {
        for label in &mut mistake.labels {
            let Some((key, flag)) = self.retell_place(place, label) else { continue };
            let (of_scenario, here) = (format!("set `{key}`"), format!("set {flag}"));
            for help in &mut mistake.help {
                *help = help.replace(&of_scenario, &here);
            }
        }
    }

    /// Returns the key that stands at the place, and what the user wrote for it.
    fn retell_place(self, place: &Path, label: &mut Label) -> Option<(String, &'static str)> {
        if Path::new(&label.source.name) != place {
            return None;
        }
        let text = &label.source.text;
        let at = label.span.start.min(text.len());
        let begin = text[..at].rfind('\n').map_or(0, |found| found + 1);
        let end = text[at..].find('\n').map_or(text.len(), |found| at + found);
        let line = &text[begin..end];
        let Some(flag) = self.flag_of(section(&text[..end]), line) else {
            let name = self.others().to_owned();
            label.source = Arc::new(SourceText { name, text: text.clone() });
            return None;
        };
        let key = key_of(line).to_owned();
        label.span = at - begin..label.span.end.clamp(at, end) - begin;
        label.source = Arc::new(SourceText { name: flag.to_owned(), text: line.to_owned() });
        Some((key, flag))
    }

    fn flag_of(self, section: &str, line: &str) -> Option<&'static str> {
        let key = if line.starts_with('[') { "preset" } else { key_of(line) };
        let is_in = |of: &str| section == of || section.split('.').next() == Some(of);
        let written = WRITTEN.iter().find(|(of, known, ..)| is_in(of) && *known == key);
        written.and_then(|(_, _, of_quick, of_init)| match self {
            Self::Quick => Some(*of_quick),
            Self::Init => *of_init,
        })
    }

    /// What lines are told as that no flag makes.
    fn others(self) -> &'static str {
        match self {
            Self::Quick => "the scenario that --dry-run prints",
            Self::Init => "the scenario, which was not written",
        }
    }
}

/// Returns where the scenario of `bench quick` would lie: paths in it are those of the command line.
pub(crate) fn place_of_quick() -> PathBuf {
    typed::absolute(Path::new("quick.toml"))
}

/// Returns the section that the end of a text belongs to.
fn section(text: &str) -> &str {
    let head = text.lines().rev().find_map(|line| line.strip_prefix('['));
    head.and_then(|head| head.split(']').next()).unwrap_or_default()
}

fn key_of(line: &str) -> &str {
    line.split([' ', '=']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "title = \"T\"\n\n[engine.vllm]\nmodel         = \"m\"\n\n[dataset.prompts]\n\
                        tokenizer     = \"t\"\n[matrix]\nrate          = [1e9]  # per second\n\n\
                        [phase.warm_up]\nduration      = \"1s\"\n[phase.load]\nduration      = \"9s\"\n";

    #[test]
    fn a_line_of_the_scenario_is_told_as_the_flag_it_comes_from() {
        let place = place_of_quick();
        let name = place.display().to_string();
        let source = Arc::new(SourceText { name, text: TEXT.to_owned() });
        let check = |part: &str, of_quick: &str, of_init: &str| {
            for (maker, flag) in [(Maker::Quick, of_quick), (Maker::Init, of_init)] {
                let start = TEXT.find(part).unwrap();
                let span = start..start + part.len();
                let mut label = Label { source: Arc::clone(&source), span, text: String::new() };
                maker.retell_place(&place, &mut label);
                let found = &label.source.text[label.span.clone()];
                assert_eq!((label.source.name.as_str(), found), (flag, part));
            }
        };
        let (of_quick, of_init) = (Maker::Quick.others(), Maker::Init.others());
        check("\"m\"", "MODEL", "--model");
        check("engine.vllm", "ENGINE", "--engine");
        check("1e9", "--rate", "--rate");
        check("\"1s\"", of_quick, of_init);
        check("\"9s\"", "--seconds", of_init);
        check("\"T\"", of_quick, of_init);
    }

    #[test]
    fn what_to_set_in_the_scenario_is_told_as_the_flag() {
        let source = SourceText { name: "s.toml".to_owned(), text: TEXT.to_owned() };
        let start = TEXT.find("\"t\"").unwrap();
        let label = Label { source: Arc::new(source), span: start..start + 3, text: String::new() };
        let help = "set `tokenizer` to its directory";
        let mut told = Diagnostic::error("scenario/data", "no").label(Some(label)).help(help);
        Maker::Init.retell(Path::new("s.toml"), &mut told);
        assert_eq!(told.help, ["set --tokenizer to its directory"]);
    }

    #[test]
    fn places_of_other_files_stay_as_they_are() {
        let source = SourceText { name: "--set".to_owned(), text: "rate = 0".to_owned() };
        let label = Label { source: Arc::new(source), span: 7..8, text: String::new() };
        let mut told = label.clone();
        assert_eq!(Maker::Quick.retell_place(&place_of_quick(), &mut told), None);
        assert_eq!(told, label);
    }
}
