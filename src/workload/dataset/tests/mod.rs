//! Data sets as they are found, read through the whole path.

mod containers;
mod parquet;
mod scale;
mod sources;
mod tokens;
mod traces;
