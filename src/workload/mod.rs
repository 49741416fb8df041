//! What is sent, and when.

pub mod arrivals;
pub mod body;
pub mod dataset;
pub mod error;
pub mod input;
pub mod request;
pub mod samples;
pub mod schedule;

mod columns;
mod prompt;
mod rows;

#[cfg(test)]
mod schedule_cases;
