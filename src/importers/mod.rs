//! Result files of other tools, as cells that are compared with those of a run.
//!
//! A file is known by what it holds, not by its name. What a tool says is taken as it says it; where
//! its definition is not that of this program, it is the quantity with the same definition that it
//! becomes (rates over the whole run), or [`Tool::notes`] tell the difference.

mod aiperf;
mod cells;
mod guidellm;
pub(crate) mod lineup_tree;
mod llama_bench;
mod lm_eval;
mod measurement;
pub(crate) mod server_log;
mod serving;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;
use thiserror::Error;

pub(crate) use crate::importers::cells::Lengths;
use crate::importers::cells::cells;
pub(crate) use crate::importers::measurement::BY_USAGE;
use crate::importers::measurement::Measurement;
use crate::metrics::axes::MEAN_LENGTHS;
use crate::metrics::compare::SideCell;
use crate::metrics::summary::CellSummary;
use crate::openai::mend::mend;

/// A tool whose result files can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `vllm bench serve`, in Python or in Rust.
    Vllm,
    /// SGLang's `bench_serving`.
    Sglang,
    /// GuideLLM.
    GuideLlm,
    /// NVIDIA's AIPerf.
    AiPerf,
    /// llama.cpp's `llama-bench`.
    LlamaBench,
    /// lm-evaluation-harness.
    LmEval,
}

impl Tool {
    const ALL: [Self; 6] =
        [Self::Vllm, Self::Sglang, Self::GuideLlm, Self::AiPerf, Self::LlamaBench, Self::LmEval];

    /// Returns the name that people know.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm bench serve",
            Self::Sglang => "SGLang bench_serving",
            Self::GuideLlm => "GuideLLM",
            Self::AiPerf => "AIPerf",
            Self::LlamaBench => "llama-bench",
            Self::LmEval => "lm-evaluation-harness",
        }
    }

    /// Returns what its numbers mean where that is not what the same word means here.
    ///
    /// Source: the tools' own sources, in the versions of `fixtures/results/README.md`.
    pub(crate) const fn notes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Vllm | Self::Sglang => &[(
                "TTFT from",
                "before the request is written, connecting included, to the client's event loop",
            )],
            Self::GuideLlm => &[
                ("TTFT from", "the start of the request to the client's event loop, in wall time"),
                ("output tok/s over", "GuideLLM's own steady part of the run"),
            ],
            Self::AiPerf => &[
                (
                    "TTFT from",
                    "the start of the request, connecting included, to the client's event loop",
                ),
                (
                    "output tokens by",
                    "AIPerf's own tokenizer, unless it is told to take the server's",
                ),
            ],
            Self::LlamaBench => &[("TPOT", "in the process, without server, sampling or text")],
            Self::LmEval => &[],
        }
    }

    /// Says what a file without a measurement lacks.
    const fn lacks(self) -> &'static str {
        match self {
            Self::LlamaBench => "no test of it reads or generates tokens",
            Self::Vllm | Self::Sglang | Self::GuideLlm | Self::AiPerf | Self::LmEval => {
                "holds no measurement"
            }
        }
    }

    /// Returns the measurements of a document; `None` where another tool wrote it.
    fn read(self, document: &Value) -> Option<Result<Vec<Measurement>, String>> {
        match self {
            Self::Vllm => serving::vllm(document),
            Self::Sglang => serving::sglang(document),
            Self::GuideLlm => guidellm::read(document),
            Self::AiPerf => aiperf::read(document),
            Self::LlamaBench => llama_bench::read(document),
            Self::LmEval => lm_eval::read(document),
        }
    }

    /// Says what of a document that it wrote is no measurement, and why.
    fn left_out(self, document: &Value) -> impl Iterator<Item = String> {
        let of_tasks = (self == Self::LmEval).then(|| lm_eval::left_out(document));
        of_tasks.into_iter().flatten()
    }
}

/// What a file of speeds lacks whose load cannot be told.
const NO_LOAD: &str =
    "it does not say at what load it was measured, or not as any known version does";

/// What a result file holds.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    /// Who wrote it.
    tool: Tool,
    /// The tool's version, where the file says it.
    version: Option<String>,
    /// Who counted the tokens of prompts.
    prompt_tokens_by: &'static str,
    cells: Vec<ResultCell>,
    /// What of its files is no part of it, and why.
    left_out: Vec<String>,
}

#[derive(Clone, Debug)]
struct ResultCell {
    summary: CellSummary,
    load: Option<String>,
    model: Option<String>,
    /// How it was configured, as far as the file says it.
    config: BTreeMap<String, String>,
}

/// Why a file is no result of a tool that is known.
#[derive(Debug, Error)]
pub(crate) enum ImportError {
    /// It is no JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// No tool that is known writes this.
    #[error(
        "none of the known tools wrote it: {}",
        Tool::ALL.map(Tool::name).join(", ")
    )]
    Unknown,
    /// `bench` wrote it.
    #[error(
        "it is a summary of bench: name the run directory that it lies in, or hold a run against it \
         with `bench run SCENARIO --baseline FILE`"
    )]
    Summary,
    /// Files of one folder are of several.
    #[error("it holds files of {} and of {}; name the files instead", one.name(), other.name())]
    Several {
        /// One of them.
        one: Tool,
        /// Another.
        other: Tool,
    },
    /// It is such a file, and lacks what it must have.
    #[error("it is of {}, but {why}", tool.name())]
    Lacks {
        /// The tool.
        tool: Tool,
        /// What is missing.
        why: String,
    },
}

/// The measurements of one file.
#[derive(Clone, Debug)]
pub(crate) struct ResultFile {
    tool: Tool,
    measurements: Vec<Measurement>,
    /// What of it is no measurement, and why.
    left_out: Vec<String>,
}

impl ResultFile {
    /// Takes what another file tells too out of it: told twice, a result is no two trials. Returns how
    /// many that were; `None` where nothing is left.
    pub(crate) fn without(mut self, other: &Self) -> (Option<Self>, usize) {
        let n_before = self.measurements.len();
        self.measurements.retain(|it| !other.measurements.iter().any(|their| it.is_copy_of(their)));
        let n_told = n_before - self.measurements.len();
        (Some(self).filter(|file| !file.measurements.is_empty()), n_told)
    }
}

/// Reads a result file of that name and text: a JSON document, or several one after the other or in
/// an array.
pub(crate) fn read(name: &str, text: &[u8]) -> Result<ResultFile, ImportError> {
    // Editors and shells of Windows begin a text with it.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    // Python writes `Infinity` and `NaN`, which no JSON has.
    let (text, _) = mend(text);
    let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let mut found: Option<Tool> = None;
    let (mut measurements, mut left_out) = (Vec::new(), Vec::new());
    let mut all = Vec::new();
    for document in documents {
        match document.map_err(|error| ImportError::NotJson(error.to_string()))? {
            Value::Array(elements) => all.extend(elements),
            one => all.push(one),
        }
    }
    for document in all {
        let known = |tool: Tool| Some((tool, tool.read(&document)?));
        let tools = found.map_or_else(|| Tool::ALL.to_vec(), |tool| vec![tool]);
        let unknown = || match document.get("format").and(document.get("cells")) {
            Some(_) => ImportError::Summary,
            None => ImportError::Unknown,
        };
        let (tool, read) = tools.into_iter().find_map(known).ok_or_else(unknown)?;
        measurements.extend(read.map_err(|why| ImportError::Lacks { tool, why })?);
        left_out.extend(tool.left_out(&document).map(|what| format!("{name}: {what}")));
        found = Some(tool);
    }
    let tool = found.ok_or(ImportError::Unknown)?;
    if measurements.is_empty() {
        return Err(ImportError::Lacks { tool, why: tool.lacks().to_owned() });
    }
    // Such speeds would be trials of one another and compared as those of one load.
    if measurements.iter().any(Measurement::is_of_no_known_load) {
        return Err(ImportError::Lacks { tool, why: NO_LOAD.to_owned() });
    }
    for measurement in &mut measurements {
        name.clone_into(&mut measurement.file);
    }
    Ok(ResultFile { tool, measurements, left_out })
}

impl Results {
    /// Puts files of one tool together. Measurements that were configured alike are trials of one
    /// cell. `left_out` tells what else was found; `lengths` are those of all sides.
    pub(crate) fn of(
        files: Vec<ResultFile>,
        mut left_out: Vec<String>,
        lengths: &mut Lengths,
    ) -> Result<Self, ImportError> {
        let tool = files.first().ok_or(ImportError::Unknown)?.tool;
        if let Some(other) = files.iter().find(|file| file.tool != tool) {
            return Err(ImportError::Several { one: tool, other: other.tool });
        }
        let mut measurements = Vec::new();
        for file in files {
            measurements.extend(file.measurements);
            left_out.extend(file.left_out);
        }
        let version = measurements.iter().find_map(|it| it.version.clone());
        let prompt_tokens_by = measurements.first().map_or("", |it| it.prompt_tokens_by);
        let mut found = Vec::new();
        for (keys, mut trials) in cells(measurements, lengths) {
            let told: Vec<String> =
                keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let name = if told.is_empty() { tool.name().to_owned() } else { told.join(",") };
            // The same items answered again say nothing of others: accuracies are not pooled.
            if !trials[0].accuracy.is_empty() {
                let rest = trials.split_off(1);
                let again = |it: Measurement| {
                    format!("{}: tells {name} again, after {}", it.file, trials[0].file)
                };
                left_out.extend(rest.into_iter().map(again));
            }
            let first = &trials[0];
            found.push(ResultCell {
                load: first.load(),
                model: first.model.clone(),
                config: first.config.clone().into_iter().collect(),
                summary: measurement::cell(name, keys, &trials),
            });
        }
        Ok(Self { tool, version, prompt_tokens_by, cells: found, left_out })
    }

    /// Returns what the file holds as cells that can be matched.
    pub(crate) fn side_cells(&self) -> Vec<SideCell<'_>> {
        let mut cells = Vec::new();
        for ResultCell { summary, load, model, config } in &self.cells {
            let mut constants = config.clone();
            constants.extend(model.iter().map(|model| ("model".to_owned(), model.clone())));
            cells.push(SideCell {
                cell: summary,
                keys: summary.keys.clone(),
                constants,
                load: load.clone(),
                length: None,
                counted_by: Some(format!("{:?}", (self.tool, self.prompt_tokens_by, model))),
                asked: Rc::default(),
                launch: String::new(),
            });
        }
        cells
    }

    fn named(&self, name: &str) -> Option<&ResultCell> {
        self.cells.iter().find(|cell| cell.summary.name == name)
    }

    /// Returns the cell of that name.
    pub(crate) fn cell(&self, name: &str) -> Option<&CellSummary> {
        Some(&self.named(name)?.summary)
    }

    /// Returns the model of a cell, where its file says it.
    pub(crate) fn model(&self, cell: &str) -> Option<&str> {
        self.named(cell)?.model.as_deref()
    }

    /// Returns how a cell was configured, as far as its file says it; lengths are not counted to it.
    pub(crate) fn config(&self, cell: &str) -> impl Iterator<Item = (&String, &String)> {
        let config = self.named(cell).into_iter().flat_map(|cell| &cell.config);
        config.filter(|(name, _)| !MEAN_LENGTHS.contains(&name.as_str()))
    }

    /// Returns what of its files is no part of it, and why.
    pub(crate) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Returns all cells.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &CellSummary> {
        self.cells.iter().map(|cell| &cell.summary)
    }

    /// Returns what the tool's numbers mean where that is not what the same word means here.
    pub(crate) const fn notes(&self) -> &'static [(&'static str, &'static str)] {
        self.tool.notes()
    }

    /// Says who counted the tokens of prompts; empty where the tool tells none.
    pub(crate) const fn prompt_tokens_by(&self) -> &'static str {
        self.prompt_tokens_by
    }

    /// Returns the name of the tool that wrote it.
    pub(crate) const fn tool_name(&self) -> &'static str {
        self.tool.name()
    }

    /// Returns who wrote it, with the version where it is known.
    pub(crate) fn written_by(&self) -> String {
        let version = self.version.as_ref().map_or_else(String::new, |it| format!(" {it}"));
        format!("{}{version}", self.tool_name())
    }
}

#[cfg(test)]
mod tests;
