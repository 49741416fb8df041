//! The instrument's own row: what `bench` adds on the machine that measured.

use crate::record::environment::{Calibration, CalibrationRow, Environment};
use crate::report::number::rounded;

/// Says what calibration found, or that there is none.
pub fn instrument(environment: &Environment) -> String {
    let Some(found) = &environment.calibration else {
        return "not calibrated on this machine; `bench calibrate` measures what bench adds".into();
    };
    let best = |of: fn(&CalibrationRow) -> Option<f64>| {
        found.rows.iter().filter_map(of).max_by(f64::total_cmp)
    };
    let mut parts: Vec<String> = Vec::new();
    parts.extend(added(found));
    parts.extend(open_loop(found));
    if let Some(chunks) = best(|row| row.chunks_per_s) {
        parts.push(format!("takes {} chunks/s", rounded(chunks)));
    }
    if let Some(requests) = best(|row| row.requests_per_s) {
        parts.push(format!("{} req/s", rounded(requests)));
    }
    let n_disturbed = found.rows.iter().filter(|row| !row.valid).count();
    let disturbed = match n_disturbed {
        0 => String::new(),
        n => format!("; {n} of {} loads were disturbed", found.rows.len()),
    };
    format!("{} (bench calibrate, {}{disturbed})", parts.join("; "), found.at)
}

/// The load that cost the most CPU among those that pace: what is added with many streams.
fn added(found: &Calibration) -> Option<String> {
    let row = found.rows.iter().find(|row| row.load.contains("concurrency=500"))?;
    let (p50, p99) = (row.added_p50_ms?, row.added_p99_ms?);
    let cpu = row
        .cpu_us_per_chunk
        .map_or_else(String::new, |cpu| format!(" at {} us of CPU per chunk", rounded(cpu)));
    Some(format!("500 streams: adds {} ms p50, {} ms p99{cpu}", rounded(p50), rounded(p99)))
}

fn open_loop(found: &Calibration) -> Option<String> {
    let row = found.rows.iter().find(|row| row.load.contains("rate=1000"))?;
    let (p50, p99) = (row.send_lag_p50_ms?, row.send_lag_p99_ms?);
    Some(format!("1000 req/s: sends {} ms p50, {} ms p99 late", rounded(p50), rounded(p99)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_calibration_says_so_and_how() {
        let said = instrument(&Environment::default());
        assert!(said.starts_with("not calibrated") && said.contains("`bench calibrate`"), "{said}");
    }

    #[test]
    fn the_row_has_latency_lag_and_ceiling() {
        let paced = CalibrationRow {
            load: "engine=paced,concurrency=500".to_owned(),
            valid: true,
            added_p50_ms: Some(0.0041),
            added_p99_ms: Some(0.52),
            cpu_us_per_chunk: Some(5.4),
            chunks_per_s: Some(49_300.0),
            ..CalibrationRow::default()
        };
        let open = CalibrationRow {
            load: "engine=paced,rate=1000".to_owned(),
            valid: false,
            send_lag_p50_ms: Some(0.058),
            send_lag_p99_ms: Some(0.9),
            requests_per_s: Some(999.0),
            ..CalibrationRow::default()
        };
        let calibration = Calibration {
            at: "2026-11-22".to_owned(),
            rows: vec![paced, open],
            ..Calibration::default()
        };
        let said =
            instrument(&Environment { calibration: Some(calibration), ..Environment::default() });
        insta::assert_snapshot!(said, @"500 streams: adds 0.00410 ms p50, 0.520 ms p99 at 5.40 us of CPU per chunk; 1000 req/s: sends 0.0580 ms p50, 0.900 ms p99 late; takes 49300 chunks/s; 999 req/s (bench calibrate, 2026-11-22; 1 of 2 loads were disturbed)");
    }
}
