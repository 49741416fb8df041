//! Delays between the turns of conversations.

use serde_json::Value;

use crate::plan::cell::{DatasetPlan, TimeUnit};
use crate::units::Nanos;
use crate::workload::bad_rows::RowKind;
use crate::workload::dataset::Problem;
use crate::workload::dataset::time::{self, Written};

/// What it is called, and the unit of its numbers where the name says it.
const NAMES: [(&str, Option<TimeUnit>); 2] = [("delay", None), ("delay_ms", Some(TimeUnit::Ms))];
/// What it is called.
pub(super) const DELAYS: [&str; 2] = [NAMES[0].0, NAMES[1].0];

/// Whether a turn says how long it waits.
pub(super) fn has_delay(turn: &Value) -> bool {
    DELAYS.iter().any(|name| turn.get(*name).is_some_and(|value| !value.is_null()))
}

/// Returns the time between the answer before and a turn; a number without a unit counts
/// milliseconds, as in `AIPerf`'s files, unless its name or the scenario's `time-unit` says another.
pub(super) fn delay(plan: &DatasetPlan, turn: &Value) -> Result<Nanos, Problem> {
    let found = NAMES.iter().find_map(|(name, unit)| {
        turn.get(*name).filter(|value| !value.is_null()).map(|value| (value, *unit))
    });
    let Some((value, unit)) = found else { return Ok(Nanos::ZERO) };
    let nanos = time::read(value).and_then(|written| match written {
        Written::Length(nanos) => Some(nanos),
        // Protocol Buffers write lengths as they write instants; a date has none.
        Written::Instant(nanos) => value.is_object().then_some(nanos),
        Written::Bare { billionths, .. } => {
            let unit = unit.or(plan.time_unit).unwrap_or(TimeUnit::Ms);
            billionths.checked_mul(unit.nanos()).map(|nanos| nanos / 1_000_000_000)
        }
    });
    let nanos = nanos.and_then(|nanos| u64::try_from(nanos).ok()).map(Nanos);
    nanos.ok_or_else(|| Problem {
        kind: RowKind::WrongType,
        column: Some("delay".to_owned()),
        message: format!("`{value}` is no length of time"),
    })
}
