//! Faces for other programs: requests as Parquet and JSON lines, figures for Prometheus, llm-d's
//! Benchmark Report, a table for LaTeX.

pub(crate) mod benchmark_report;
pub(crate) mod jsonl;
pub(crate) mod latex;
pub(crate) mod parquet;
pub(crate) mod prometheus;
