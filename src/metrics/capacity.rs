//! What a rate means in machines and money.

/// GPUs of a node, for node-days.
pub(crate) const GPUS_PER_NODE: f64 = 8.0;
const BILLION: f64 = 1e9;
const SECS_PER_DAY: f64 = 86_400.0;
const SECS_PER_HOUR: f64 = 3_600.0;

/// Returns the GPU-days that a billion output tokens take.
pub(crate) fn gpu_days_per_1b_tokens(output_tps_per_gpu: f64) -> Option<f64> {
    positive(BILLION / output_tps_per_gpu / SECS_PER_DAY)
}

/// Returns the days that a node of eight GPUs takes for a billion output tokens.
pub(crate) fn node_days_per_1b_tokens(output_tps_per_gpu: f64) -> Option<f64> {
    gpu_days_per_1b_tokens(output_tps_per_gpu).map(|days| days / GPUS_PER_NODE)
}

/// Returns the GPUs that make a billion output tokens in an hour, unrounded.
///
/// Printed rounded to nearest: the only rounding that reproduces every published row.
pub(crate) fn gpus_for_1b_tokens_per_hour(output_tps_per_gpu: f64) -> Option<f64> {
    positive(BILLION / SECS_PER_HOUR / output_tps_per_gpu)
}

/// Returns the price of a million output tokens.
pub(crate) fn cost_per_1m_tokens(output_tps_per_gpu: f64, gpu_hour_price: f64) -> Option<f64> {
    positive(1e6 / output_tps_per_gpu / SECS_PER_HOUR * gpu_hour_price)
}

fn positive(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_follows_from_the_rate_per_gpu() {
        // By hand: 1e9 / 1000 tok/s = 1e6 s = 11.574 days; in an hour 277.8 GPUs.
        let near = |found: Option<f64>, expected: f64| {
            assert!((found.unwrap() - expected).abs() < 1e-3, "{found:?}");
        };
        near(gpu_days_per_1b_tokens(1_000.0), 11.574);
        near(node_days_per_1b_tokens(1_000.0), 1.447);
        near(gpus_for_1b_tokens_per_hour(1_000.0), 277.778);
        near(cost_per_1m_tokens(1_000.0, 3.6), 1.0);
    }

    #[test]
    fn no_rate_has_no_capacity() {
        assert_eq!(gpu_days_per_1b_tokens(0.0), None);
        assert_eq!(gpus_for_1b_tokens_per_hour(f64::NAN), None);
    }
}
