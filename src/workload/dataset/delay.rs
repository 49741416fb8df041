//! Delays between the turns of conversations.

use serde_json::Value;

use crate::plan::cell::{DatasetPlan, TimeUnit};
use crate::units::Nanos;
use crate::workload::bad_rows::RowKind;
use crate::workload::dataset::Problem;
use crate::workload::dataset::time::{self, Written};

/// What it is called.
pub(super) const DELAYS: [&str; 2] = ["delay", "delay_ms"];

/// Returns the time between the answer before and a turn; a number without a unit counts
/// milliseconds, as in `AIPerf`'s files, unless the scenario says another `time-unit`.
pub(super) fn delay(plan: &DatasetPlan, turn: &Value) -> Result<Nanos, Problem> {
    let value = DELAYS.iter().find_map(|name| turn.get(*name));
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Nanos::ZERO) };
    let nanos = time::read(value).and_then(|written| match written {
        Written::Typed(nanos) => Some(nanos),
        Written::Bare { billionths, .. } => {
            let unit = plan.time_unit.unwrap_or(TimeUnit::Ms);
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
