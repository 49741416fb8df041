//! Inputs that are not what they were when the run began, field by field. Identity decides what is
//! measured again; what is no part of it (an engine's version, the files of a model) is told.

use std::collections::BTreeMap;

use crate::ids::{CellId, LaunchId};
use crate::plan::cell::Cell;
use crate::plan::launch::Launch;
use crate::record::event::{EngineFacts, EventRecord, RunEvent};
use crate::record::lock::differing;
use crate::record::trial::DatasetRecord;

/// What a run met first of each engine and data set.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstInputs {
    engines: BTreeMap<LaunchId, EngineFacts>,
    /// SHA-256 by the data set's name.
    data: BTreeMap<String, String>,
    /// Data of a trial of each cell that was measured in earlier sessions.
    cells: BTreeMap<CellId, DatasetRecord>,
}

impl FirstInputs {
    /// Takes the engines that answered in earlier sessions.
    pub(super) fn of(events: &[EventRecord]) -> Self {
        let mut first = Self::default();
        for record in events {
            if let RunEvent::EngineReady { launch, facts, .. } = &record.event {
                first.engines.entry(launch.clone()).or_insert_with(|| facts.clone());
            }
        }
        first
    }

    /// Takes the data of a cell's trial of an earlier session.
    pub(super) fn of_cell(&mut self, cell: &CellId, data: &DatasetRecord) {
        self.cells.entry(cell.clone()).or_insert_with(|| data.clone());
        self.data(data);
    }

    /// Tells of cells that were measured in earlier sessions, and whose prompts would be others now;
    /// `changed` says of a cell in what. Each change is told once.
    pub(super) fn prompts<'a>(
        &self,
        cells: impl Iterator<Item = &'a Cell>,
        changed: impl Fn(&Cell, &DatasetRecord) -> Option<String>,
    ) -> Vec<RunEvent> {
        let known = cells.filter_map(|cell| {
            let before = self.cells.get(&cell.id)?;
            Some((before.name.clone(), changed(cell, before)?))
        });
        let by_dataset: BTreeMap<String, String> = known.collect();
        let event = |(name, change)| told(&format!("data set `{name}`"), &[change]);
        by_dataset.into_iter().map(event).collect()
    }

    /// Takes the data of a trial, if no earlier one had it; else returns what changed since.
    pub(super) fn data(&mut self, now: &DatasetRecord) -> Option<RunEvent> {
        let first = self.data.entry(now.name.clone()).or_insert_with(|| now.sha256.clone());
        if *first == now.sha256 {
            return None;
        }
        let what = format!("data set `{}`", now.name);
        let changed = vec![format!("SHA-256: {first} -> {}", now.sha256)];
        first.clone_from(&now.sha256);
        Some(told(&what, &changed))
    }

    /// Does so with the facts of an engine that answered.
    pub(super) fn engine(
        &mut self,
        launch: &LaunchId,
        name: &str,
        now: &EngineFacts,
    ) -> Option<RunEvent> {
        let first = self.engines.entry(launch.clone()).or_insert_with(|| now.clone());
        let changed = changes(first, now);
        first.clone_from(now);
        (!changed.is_empty()).then(|| told(&format!("engine `{name}`"), &changed))
    }
}

fn told(what: &str, changed: &[String]) -> RunEvent {
    RunEvent::Caveat {
        what: format!("{what} changed while the run was measured: {}", changed.join("; ")),
        advice:
            "Cells from before and after do not compare; measure the earlier ones in a new run."
                .to_owned(),
    }
}

/// Returns in what an engine that is not started yet differs from an earlier start, as far as that
/// can be known. What cannot be known is told too.
pub(super) fn foreseen(launch: &Launch, before: &EngineFacts, now: EngineFacts) -> Vec<String> {
    if !launch.is_started() {
        return vec!["bench does not start it: it may be another one by now".to_owned()];
    }
    if let (Some(version), true) = (&before.version, launch.version_argv.is_empty()) {
        return vec![format!("version: {version} -> not known before its start")];
    }
    changes(before, &EngineFacts { models: before.models.clone(), ..now })
}

/// Returns in what an engine differs from its earlier start. Its effective configuration is left
/// out: cache sizes depend on what memory was free.
fn changes(before: &EngineFacts, now: &EngineFacts) -> Vec<String> {
    let text = |fact: Option<&String>| fact.map_or_else(|| "absent".to_owned(), Clone::clone);
    let mut changed = Vec::new();
    if before.version != now.version {
        let (before, now) = (text(before.version.as_ref()), text(now.version.as_ref()));
        changed.push(format!("version: {before} -> {now}"));
    }
    if before.models != now.models {
        changed.push(format!("models: {} -> {}", before.models.join(", "), now.models.join(", ")));
    }
    for (kind, before, now) in [
        ("SHA-256 of", &before.model_files, &now.model_files),
        ("environment", &before.env, &now.env),
    ] {
        changed.extend(differing(before, now).map(|told| format!("{kind} {told}")));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(version: &str, weights: &str) -> EngineFacts {
        EngineFacts {
            version: Some(version.to_owned()),
            model_files: [("model.safetensors".to_owned(), weights.to_owned())].into(),
            ..EngineFacts::default()
        }
    }

    #[test]
    fn each_field_in_which_an_engine_differs_is_told_once_with_both_values() {
        let launch = LaunchId("l0".to_owned());
        let mut first = FirstInputs::default();
        assert_eq!(first.engine(&launch, "vllm", &facts("0.8.1", "aa")), None);
        assert_eq!(first.engine(&launch, "vllm", &facts("0.8.1", "aa")), None);
        let Some(RunEvent::Caveat { what, .. }) =
            first.engine(&launch, "vllm", &facts("0.8.2", "bb"))
        else {
            panic!("nothing is told");
        };
        assert_eq!(
            what,
            "engine `vllm` changed while the run was measured: version: 0.8.1 -> 0.8.2; SHA-256 of \
             model.safetensors: aa -> bb"
        );
        assert_eq!(first.engine(&launch, "vllm", &facts("0.8.2", "bb")), None);
    }

    #[test]
    fn files_that_came_or_went_models_and_variables_are_told() {
        let launch = LaunchId("l0".to_owned());
        let variable = |value: &str| [("CUDA_VISIBLE_DEVICES".to_owned(), value.to_owned())].into();
        let before = EngineFacts {
            models: vec!["tiny".to_owned()],
            env: variable("0"),
            ..facts("0.8.1", "aa")
        };
        let now = EngineFacts {
            models: vec!["tiny".to_owned(), "lora".to_owned()],
            model_files: [("adapter.safetensors".to_owned(), "cc".to_owned())].into(),
            env: variable("1"),
            ..before.clone()
        };
        let mut first = FirstInputs::default();
        assert_eq!(first.engine(&launch, "vllm", &before), None);
        let Some(RunEvent::Caveat { what, .. }) = first.engine(&launch, "vllm", &now) else {
            panic!("nothing is told");
        };
        assert_eq!(
            what,
            "engine `vllm` changed while the run was measured: models: tiny -> tiny, lora; SHA-256 \
             of adapter.safetensors: absent -> cc; SHA-256 of model.safetensors: aa -> absent; \
             environment CUDA_VISIBLE_DEVICES: 0 -> 1"
        );
    }

    #[test]
    fn another_text_of_a_data_set_is_told_once() {
        let data = |sha256: &str| DatasetRecord {
            name: "gsm8k".to_owned(),
            sha256: sha256.to_owned(),
            ..DatasetRecord::default()
        };
        let mut first = FirstInputs::default();
        assert_eq!(first.data(&data("d0")), None);
        let Some(RunEvent::Caveat { what, advice }) = first.data(&data("d1")) else {
            panic!("nothing is told");
        };
        assert_eq!(what, "data set `gsm8k` changed while the run was measured: SHA-256: d0 -> d1");
        assert!(advice.contains("new run"), "{advice}");
        assert_eq!(first.data(&data("d1")), None);
    }
}
