//! Makes prompts on all cores, before an engine is started.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::workload::error::DataError;
use crate::workload::prompts::Prompts;

/// Prompts that a thread takes at once.
const BLOCK: usize = 64;

/// Tokens of prompts of a length alone that are made before the engine starts, about 80 MB of text:
/// no prompt of a usual trace is made while its load runs, and no trace is too long to be kept.
const MADE_BEFORE: u64 = 1 << 24;

/// Makes the prompts at `positions` that have not been made, but for those of a length alone that
/// are too many to be kept; `on_made` hears how many of how many there are.
///
/// # Errors
/// The mistake in the first prompt that cannot be made.
pub(super) fn make(
    prompts: &Prompts,
    positions: impl Iterator<Item = usize>,
    on_made: &(dyn Fn(usize, usize) + Sync),
) -> Result<(), DataError> {
    let mut missing: Vec<usize> = positions.collect();
    missing.sort_unstable();
    missing.dedup();
    let mut n_tokens = 0;
    missing.retain(|at| {
        let is_kept = n_tokens < MADE_BEFORE;
        let n = prompts.n_to_make(*at);
        n_tokens += n.map_or(0, u64::from);
        (n.is_none() || is_kept) && !prompts.is_made(*at)
    });
    let taken = AtomicUsize::new(0);
    // Blocks are taken in order: whoever fails, all blocks before have a thread of their own.
    let work = || -> Result<(), (usize, DataError)> {
        loop {
            let from = taken.fetch_add(BLOCK, Ordering::Relaxed);
            let Some(rest) = missing.get(from..).filter(|rest| !rest.is_empty()) else {
                return Ok(());
            };
            for at in &rest[..BLOCK.min(rest.len())] {
                prompts.make(*at).map_err(|error| (*at, error))?;
            }
            on_made(from, missing.len());
        }
    };
    let n_blocks = missing.len().div_ceil(BLOCK);
    let n_threads = thread::available_parallelism().map_or(1, NonZero::get).min(n_blocks);
    let failed = thread::scope(|scope| {
        let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(work)).collect();
        let others = others.into_iter().map(|thread| match thread.join() {
            Ok(made) => made,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(work()).chain(others).filter_map(Result::err).min_by_key(|(at, _)| *at)
    });
    failed.map_or(Ok(()), |(_, error)| Err(error))
}
