//! `bench quick`: mistakes in the scenario that it makes, told where their values come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::typed;
use crate::diagnostic::{Label, SourceText};

/// What a user wrote for the keys of a section.
const WRITTEN: [(&str, &str, &str); 18] = [
    ("engine.server", "url", "URL"),
    ("engine.server", "model", "--model"),
    ("engine.server", "api-key-env", "--api-key-env"),
    ("engine", "preset", "ENGINE"),
    ("engine", "model", "MODEL"),
    ("dataset.prompts", "source", "--data"),
    ("dataset.prompts", "location", "--data"),
    ("dataset.prompts", "columns", "--data"),
    ("dataset.prompts", "prompt", "--data"),
    ("dataset.prompts", "tokenizer", "--tokenizer"),
    ("dataset.prompts", "input-words", "--input"),
    ("dataset.prompts", "input-tokens", "--input"),
    ("dataset.prompts", "output-tokens", "--output"),
    ("request", "max-tokens", "--output"),
    ("matrix", "precision", "--precision"),
    ("matrix", "concurrency", "--concurrency"),
    ("matrix", "rate", "--rate"),
    ("phase.load", "duration", "--seconds"),
];
/// What other lines are told as.
const OTHER: &str = "the scenario that --dry-run prints";

/// Returns where the scenario would lie: paths in it are those of the command line.
pub(crate) fn place() -> PathBuf {
    typed::absolute(Path::new("quick.toml"))
}

/// Tells a place in the scenario as what the user wrote: nobody has that file.
pub(crate) fn retell(label: &mut Label) {
    if Path::new(&label.source.name) != place() {
        return;
    }
    let text = &label.source.text;
    let at = label.span.start.min(text.len());
    let begin = text[..at].rfind('\n').map_or(0, |found| found + 1);
    let end = text[at..].find('\n').map_or(text.len(), |found| at + found);
    let line = &text[begin..end];
    let Some(flag) = flag_of(section(&text[..end]), line) else {
        label.source = Arc::new(SourceText { name: OTHER.to_owned(), text: text.clone() });
        return;
    };
    label.span = at - begin..label.span.end.clamp(at, end) - begin;
    label.source = Arc::new(SourceText { name: flag.to_owned(), text: line.to_owned() });
}

/// Returns the section that the end of a text belongs to.
fn section(text: &str) -> &str {
    let head = text.lines().rev().find_map(|line| line.strip_prefix('['));
    head.and_then(|head| head.split(']').next()).unwrap_or_default()
}

fn flag_of(section: &str, line: &str) -> Option<&'static str> {
    if line.starts_with('[') {
        return section.starts_with("engine.").then_some("ENGINE");
    }
    let key = line.split([' ', '=']).next()?;
    let is_in = |of: &str| section == of || section.split('.').next() == Some(of);
    WRITTEN.iter().find(|(of, known, _)| is_in(of) && *known == key).map(|(.., flag)| *flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_scenario_is_told_as_the_flag_it_comes_from() {
        let text = "title = \"T\"\n\n[engine.vllm]\nmodel         = \"m\"\n\n[matrix]\n\
                    rate          = [1e9]  # per second\n\n[phase.warm_up]\nduration      = \"1s\"\n\
                    [phase.load]\nduration      = \"9s\"\n";
        let name = place().display().to_string();
        let source = Arc::new(SourceText { name, text: text.to_owned() });
        let check = |part: &str, flag: &str| {
            let start = text.find(part).unwrap();
            let span = start..start + part.len();
            let mut label = Label { source: Arc::clone(&source), span, text: String::new() };
            retell(&mut label);
            let found = &label.source.text[label.span.clone()];
            assert_eq!((label.source.name.as_str(), found), (flag, part));
        };
        check("\"m\"", "MODEL");
        check("engine.vllm", "ENGINE");
        check("1e9", "--rate");
        check("\"1s\"", OTHER);
        check("\"9s\"", "--seconds");
        check("\"T\"", OTHER);
    }

    #[test]
    fn places_of_other_files_stay_as_they_are() {
        let source = SourceText { name: "--set".to_owned(), text: "rate = 0".to_owned() };
        let label = Label { source: Arc::new(source), span: 7..8, text: String::new() };
        let mut told = label.clone();
        retell(&mut told);
        assert_eq!(told, label);
    }
}
