//! Result blocks: the serving block and the offline block of each measured cell.

use serde::Serialize;

use crate::metrics::summary::{CellSummary, Summary};
use crate::published::offline::OfflineBlock;
use crate::published::serving::ServingBlock;
use crate::record::environment::Environment;
use crate::report::untrusted;
use crate::report::view::details::DETAIL_CELLS_MAX;

/// The block of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct BlockView {
    /// Name of the cell.
    pub cell: String,
    /// The block, lines padded as its source pads them.
    pub text: String,
    /// What the source says beside its block.
    pub sentences: Vec<String>,
}

/// Makes the serving block of every cell that was measured.
pub(crate) fn serving(summary: &Summary, environment: &Environment) -> Vec<BlockView> {
    let device = device(environment);
    blocks(summary, |cell| {
        let block = ServingBlock::of(cell);
        (block.to_string(), block.sentence(&device).into_iter().collect())
    })
}

/// Makes the offline block of every cell that was measured.
pub(crate) fn offline(summary: &Summary, environment: &Environment) -> Vec<BlockView> {
    let device = device(environment);
    blocks(summary, |cell| {
        let block = OfflineBlock::of(cell);
        (block.to_string(), block.sentences(&device))
    })
}

fn blocks(summary: &Summary, of: impl Fn(&CellSummary) -> (String, Vec<String>)) -> Vec<BlockView> {
    let measured = summary.cells.iter().filter(|cell| cell.validity.status.is_measured());
    measured
        .take(DETAIL_CELLS_MAX)
        .map(|cell| {
            let (text, sentences) = of(cell);
            BlockView { cell: untrusted::line(&cell.name), text, sentences }
        })
        .collect()
}

/// Names what computed: the GPUs, else the CPU.
fn device(environment: &Environment) -> String {
    let mut names: Vec<(&str, usize)> = Vec::new();
    for gpu in &environment.gpus {
        match names.iter_mut().find(|(name, _)| *name == gpu.name) {
            Some((_, n)) => *n += 1,
            None => names.push((&gpu.name, 1)),
        }
    }
    if names.is_empty() {
        return untrusted::line(&format!("{} CPUs, {}", environment.n_cpus, environment.cpu));
    }
    let told = names.iter().map(|(name, n)| match n {
        1 => (*name).to_owned(),
        n => format!("{n} × {name}"),
    });
    untrusted::line(&told.collect::<Vec<_>>().join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::environment::GpuFacts;
    use crate::report::tests::sample_run;

    #[test]
    fn a_block_says_on_what_it_was_measured() {
        let gpu = |name: &str| GpuFacts { name: name.to_owned(), ..GpuFacts::default() };
        let gpus = vec![gpu("NVIDIA A10"), gpu("NVIDIA A10"), gpu("NVIDIA L4")];
        let environment = Environment { gpus, ..Environment::default() };
        let blocks = serving(&sample_run::summary(), &environment);
        let sentence = blocks.iter().find_map(|block| block.sentences.first()).unwrap();
        assert!(sentence.ends_with("of TPOT on 2 × NVIDIA A10 and NVIDIA L4."), "{sentence}");
    }
}
