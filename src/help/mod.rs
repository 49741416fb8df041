//! Pages for people who have not met `bench`: what `bench help TOPIC` prints.
#![expect(clippy::doc_markdown, reason = "pages are read on a terminal, where names stand plain")]

/// A page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic {
    /// Its module, whose name with hyphens is the topic's.
    module: &'static str,
    /// What it tells, in a few words.
    pub(crate) summary: &'static str,
    /// The page, in Markdown.
    pub(crate) text: &'static str,
}

macro_rules! topics {
    ($($module:ident: $summary:literal;)*) => {
        $(#[doc = include_str!(concat!(stringify!($module), ".md"))] pub mod $module {})*

        /// All pages, in the order in which a newcomer needs them.
        pub(crate) const TOPICS: &[Topic] = &[$(Topic {
            module: stringify!($module),
            summary: $summary,
            text: include_str!(concat!(stringify!($module), ".md")),
        },)*];
    };
}

topics! {
    install: "from a checkout to a first table; engines for the CPU; platforms";
    running_server: "a URL to a table, and to a file to grow from";
    two_engines: "compared at equal load, with verdicts";
    own_engine: "a preset in twenty lines";
    own_data: "data sets, columns, traces, extractors";
    reading_reports: "every state and every caveat";
    own_report: "templates, figures and published tables as files";
    metrics: "what exactly is measured";
    gates: "conditions, baselines, GitHub Actions, exit codes";
    run_directory: "records, going on with a run, reading it from Python";
    secrets: "keys, headers, what is kept out of all records";
    cluster: "Slurm: scripts, submission, states; engines over several nodes";
    trust: "the instrument, measured, also beside other load generators";
    limits: "what is not there, and what was never tried";
}

impl Topic {
    /// Returns the name that `bench help` takes.
    pub(crate) fn name(&self) -> String {
        self.module.replace('_', "-")
    }
}

/// Returns what the page of reports says of a caveat or of the state of a cell: its meaning and,
/// for a caveat, what to do.
pub(crate) fn of_reports(word: &str) -> Option<(&'static str, Option<&'static str>)> {
    words_of_reports()
        .find(|(known, ..)| *known == word)
        .map(|(_, meaning, advice)| (meaning, advice))
}

/// Returns all caveats and states, each with its meaning and, for a caveat, what to do.
pub(crate) fn words_of_reports()
-> impl Iterator<Item = (&'static str, &'static str, Option<&'static str>)> {
    include_str!("reading_reports.md").lines().filter_map(|line| {
        let row = line.strip_prefix("| `")?.strip_suffix(" |")?;
        let (word, rest) = row.split_once("` | ")?;
        Some(match rest.split_once(" | ") {
            Some((meaning, advice)) => (word, meaning, Some(advice)),
            None => (word, rest, None),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_begins_with_its_title_and_has_an_example() {
        for topic in TOPICS {
            assert!(topic.text.starts_with("# "), "{}", topic.module);
            let has_example = topic.text.contains("```console") || topic.text.contains("```toml");
            assert!(has_example, "{}", topic.module);
            assert!(topic.text.lines().count() <= 160, "{} is more than a page", topic.module);
        }
    }

    #[test]
    fn the_readme_links_every_page_with_its_summary() {
        let readme = include_str!("../../README.md");
        for topic in TOPICS {
            let (name, summary) = (topic.name(), topic.summary);
            let row = format!("| [`{name}`](src/help/{}.md) | {summary} |", topic.module);
            assert!(readme.contains(&row), "no such line: {row}");
        }
    }
}
