//! Data sets as they are found, read through the whole path.

mod containers;
mod parquet;
mod scale;
mod sessions;
mod sources;
mod tasks;
mod tokens;
mod traces;
