//! Where data sets and tokenizers come from: paths, the cache, the hub, addresses, this program.
#![expect(
    clippy::disallowed_methods,
    reason = "edge: reads and writes files and the cache, and downloads"
)]

pub(crate) mod cache;
pub(crate) mod catalogue;
pub(crate) mod dataset;
pub(crate) mod download;
pub(crate) mod hub;
pub(crate) mod known;
pub(crate) mod shards;
pub(crate) mod tokenizer;

mod bundled;

#[cfg(test)]
mod tests;
