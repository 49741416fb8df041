//! s1K and s1K-1.1: a thousand questions with reasoning traces.
//!
//! Muennighoff and others, "s1: Simple test-time scaling", arXiv:2501.19393. The two differ
//! in their trace columns (`thinking_trajectories` against `deepseek_thinking_trajectory`
//! and `gemini_thinking_trajectory`), which are not sent.

/// Columns that both versions have.
pub(super) const COLUMNS: &[(&str, &str)] = &[("prompt", "question"), ("answer", "solution")];
