//! The requests to send, and when they are due.

pub mod arrivals;
pub(crate) mod body;
pub mod chat;
pub(crate) mod damage;
pub mod dataset;
pub mod error;
pub mod input;
pub mod pairs;
pub mod prompts;
pub mod request;
pub mod samples;
pub mod schedule;
pub mod tokenizer;
pub(crate) mod words;

mod bad_rows;
mod columns;
mod container;
mod prompt;
mod rows;

#[cfg(test)]
mod tests;
