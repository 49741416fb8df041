//! The instrument's own row: what `bench` adds on the machine that measured.

use crate::metrics::catalogue::MetricId;
use crate::metrics::summary::{CellStatus, CellSummary};
use crate::plan::Plan;
use crate::record::environment::{CalibrationRow, Environment};
use crate::report::number::rounded;
use crate::report::view::results::CALIBRATE;

/// Concurrency of the calibrated load that the row tells of.
const STREAMS: &str = "500";
/// Requests per second of the open loop that the row tells of.
const RATE: &str = "1000";

/// Says what is known of the instrument: a calibration is its own measurement.
pub(crate) fn of_run(plan: &Plan, cells: &[CellSummary], environment: &Environment) -> String {
    let own = found(cells).filter(|_| plan.report == CALIBRATE);
    own.map_or_else(|| instrument(environment), |own| format!("measured by this run: {own}"))
}

/// Says what calibration found, or that there is none.
fn instrument(environment: &Environment) -> String {
    let Some(found) = &environment.calibration else {
        return "not calibrated on this machine; `bench calibrate` measures what bench adds".into();
    };
    let n_disturbed = found.rows.iter().filter(|row| !row.valid).count();
    let disturbed = match n_disturbed {
        0 => String::new(),
        n => format!("; {n} of {} loads were disturbed", found.rows.len()),
    };
    format!("{} (bench calibrate, {}{disturbed})", said(&found.rows), found.at)
}

/// Says what the cells of a calibration found.
pub(crate) fn found(cells: &[CellSummary]) -> Option<String> {
    (!cells.is_empty()).then(|| said(&cells.iter().map(row).collect::<Vec<_>>()) + ".")
}

/// Returns what a cell of a calibration found.
pub(crate) fn row(cell: &CellSummary) -> CalibrationRow {
    let percentile = |metric: MetricId, wanted: f64| {
        let percentiles = cell.distributions.get(&metric)?.percentiles.iter();
        percentiles.filter(|found| found.p >= wanted).find_map(|found| found.value)
    };
    CalibrationRow {
        load: cell.name.clone(),
        keys: cell.keys.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        valid: cell.validity.status == CellStatus::Ok,
        added_p50_ms: percentile(MetricId::AddedLatency, 50.0),
        added_p99_ms: percentile(MetricId::AddedLatency, 99.0),
        added_p999_ms: percentile(MetricId::AddedLatency, 99.9),
        send_lag_p50_ms: percentile(MetricId::SendLag, 50.0),
        send_lag_p99_ms: percentile(MetricId::SendLag, 99.0),
        ttft_bound_held: cell
            .figure(MetricId::TtftBoundHeld)
            .and_then(|figure| Some((figure.value?, figure.n))),
        chunks_per_s: cell.value(MetricId::ChunkThroughput),
        requests_per_s: cell.value(MetricId::RequestThroughput),
        cpu_us_per_chunk: cell.value(MetricId::ClientCpuPerChunk),
    }
}

fn said(rows: &[CalibrationRow]) -> String {
    let best =
        |of: fn(&CalibrationRow) -> Option<f64>| rows.iter().filter_map(of).max_by(f64::total_cmp);
    let mut parts: Vec<String> = Vec::new();
    parts.extend(added(rows));
    parts.extend(open_loop(rows));
    parts.extend(bounds_held(rows));
    if let Some(chunks) = best(|row| row.chunks_per_s) {
        parts.push(format!("takes {} chunks/s", rounded(chunks)));
    }
    if let Some(requests) = best(|row| row.requests_per_s) {
        parts.push(format!("{} req/s", rounded(requests)));
    }
    parts.join("; ")
}

/// Returns the row in which a swept key has this value.
fn row_at<'a>(rows: &'a [CalibrationRow], key: &str, value: &str) -> Option<&'a CalibrationRow> {
    rows.iter().find(|row| row.keys.get(key).is_some_and(|found| found == value))
}

/// Says what is added with many paced streams.
fn added(rows: &[CalibrationRow]) -> Option<String> {
    let row = row_at(rows, "concurrency", STREAMS)?;
    let (p50, p99) = (row.added_p50_ms?, row.added_p99_ms?);
    let cpu = row
        .cpu_us_per_chunk
        .map_or_else(String::new, |cpu| format!(" at {} us of CPU per chunk", rounded(cpu)));
    Some(format!("{STREAMS} streams: adds {} ms p50, {} ms p99{cpu}", rounded(p50), rounded(p99)))
}

/// Says how often the engine's own stamps lay within what bench says of its own.
fn bounds_held(rows: &[CalibrationRow]) -> Option<String> {
    let found = || rows.iter().filter_map(|row| row.ttft_bound_held);
    let n: u64 = found().map(|(_, n)| n).sum();
    let n_held: f64 = found().map(|(percent, n)| percent / 100.0 * n as f64).sum();
    (n > 0).then(|| format!("the bound of TTFT held for {n_held:.0} of {n} answers"))
}

fn open_loop(rows: &[CalibrationRow]) -> Option<String> {
    let row = row_at(rows, "rate", RATE)?;
    let (p50, p99) = (row.send_lag_p50_ms?, row.send_lag_p99_ms?);
    Some(format!("{RATE} req/s: sends {} ms p50, {} ms p99 late", rounded(p50), rounded(p99)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::environment::Calibration;

    #[test]
    fn a_machine_without_calibration_says_so_and_how() {
        let said = instrument(&Environment::default());
        assert!(said.starts_with("not calibrated") && said.contains("`bench calibrate`"), "{said}");
    }

    #[test]
    fn the_row_has_latency_lag_and_ceiling() {
        let paced = CalibrationRow {
            keys: [("concurrency".to_owned(), STREAMS.to_owned())].into(),
            valid: true,
            added_p50_ms: Some(0.0041),
            added_p99_ms: Some(0.52),
            cpu_us_per_chunk: Some(5.4),
            chunks_per_s: Some(49_300.0),
            ttft_bound_held: Some((99.5, 1_000)),
            ..CalibrationRow::default()
        };
        let open = CalibrationRow {
            keys: [("rate".to_owned(), RATE.to_owned())].into(),
            valid: false,
            send_lag_p50_ms: Some(0.058),
            send_lag_p99_ms: Some(0.9),
            ttft_bound_held: Some((100.0, 500)),
            requests_per_s: Some(999.0),
            ..CalibrationRow::default()
        };
        // A rate that begins with the same figures is another one.
        let other = CalibrationRow {
            keys: [("rate".to_owned(), format!("{RATE}0"))].into(),
            send_lag_p50_ms: Some(7.0),
            send_lag_p99_ms: Some(7.0),
            valid: true,
            ..CalibrationRow::default()
        };
        let calibration = Calibration {
            at: "2026-11-22".to_owned(),
            rows: vec![other, paced, open],
            ..Calibration::default()
        };
        let said =
            instrument(&Environment { calibration: Some(calibration), ..Environment::default() });
        insta::assert_snapshot!(said, @"500 streams: adds 0.00410 ms p50, 0.520 ms p99 at 5.40 us of CPU per chunk; 1000 req/s: sends 0.0580 ms p50, 0.900 ms p99 late; the bound of TTFT held for 1495 of 1500 answers; takes 49300 chunks/s; 999 req/s (bench calibrate, 2026-11-22; 1 of 3 loads were disturbed)");
    }
}
