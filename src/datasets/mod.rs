//! Where data sets and tokenizers come from: paths, the cache, the hub, addresses, this program.
#![expect(
    clippy::disallowed_methods,
    reason = "edge: reads and writes files and the cache, and downloads"
)]

pub mod cache;
pub mod catalogue;
pub mod dataset;
pub mod download;
pub mod hub;
pub mod known;
pub mod tokenizer;

mod bundled;

#[cfg(test)]
mod tests;
