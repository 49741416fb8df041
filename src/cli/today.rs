//! The day, as chat templates are told it.

/// Returns the day in UTC, as 2026-11-29.
pub(crate) fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}
