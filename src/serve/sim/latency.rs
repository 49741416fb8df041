//! Service times of the simulated engine: the truth that measurements are compared with.

use std::str::FromStr;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal};

use crate::serve::parse_duration;
use crate::units::Nanos;

/// Service times of one simulated engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LatencyModel {
    /// Time from a request's admission to its first token, without prefill.
    pub ttft: Distribution,
    /// Time from one token to the next.
    pub itl: Distribution,
    /// Prefill time per prompt token that is not in the prefix cache.
    pub prefill_per_token: Nanos,
}

impl LatencyModel {
    /// Returns the service time of the first token.
    pub(crate) fn first_token(&self, n_prefilled: u32, rng: &mut ChaCha8Rng) -> Nanos {
        Nanos(self.ttft.sample(rng).0 + self.prefill_per_token.0 * u64::from(n_prefilled))
    }

    /// Returns the service time of one further step that yields `n_tokens`.
    pub(crate) fn step(&self, n_tokens: u32, rng: &mut ChaCha8Rng) -> Nanos {
        Nanos((0..n_tokens).map(|_| self.itl.sample(rng).0).sum())
    }
}

/// A duration, or how durations are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Distribution {
    /// One duration, always: `50ms`.
    Constant(Nanos),
    /// Equally likely between two bounds: `uniform:40ms..60ms`.
    Uniform(Nanos, Nanos),
    /// The logarithm is normal; median and sigma: `lognormal:50ms,0.3`.
    LogNormal(Nanos, f64),
}

impl Distribution {
    /// Draws one duration.
    pub(crate) fn sample(&self, rng: &mut ChaCha8Rng) -> Nanos {
        match *self {
            Self::Constant(value) => value,
            Self::Uniform(low, high) => Nanos(rng.random_range(low.0..=high.0)),
            Self::LogNormal(median, sigma) => {
                let factor = LogNormal::new(0.0, sigma)
                    .expect("sigma was checked when it was read")
                    .sample(rng);
                Nanos((median.0 as f64 * factor) as u64)
            }
        }
    }
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(bounds) = text.strip_prefix("uniform:") {
            let (low, high) =
                bounds.split_once("..").ok_or("write bounds as in uniform:40ms..60ms")?;
            let (low, high) = (parse_duration::parse(low)?, parse_duration::parse(high)?);
            if low > high {
                return Err(format!("the bounds of `{text}` are the wrong way round"));
            }
            return Ok(Self::Uniform(low, high));
        }
        if let Some(parameters) = text.strip_prefix("lognormal:") {
            let (median, sigma) = parameters
                .split_once(',')
                .ok_or("write median and sigma as in lognormal:50ms,0.3")?;
            let sigma: f64 = sigma.parse().map_err(|_| format!("`{sigma}` is not a number"))?;
            if !(0.0..=5.0).contains(&sigma) {
                return Err(format!("sigma {sigma} is not between 0 and 5"));
            }
            return Ok(Self::LogNormal(parse_duration::parse(median)?, sigma));
        }
        parse_duration::parse(text).map(Self::Constant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn sorted_samples(text: &str, n: usize) -> Vec<u64> {
        let distribution: Distribution = text.parse().unwrap();
        let mut rng = Seed(7).stream("latency");
        let mut samples: Vec<u64> = (0..n).map(|_| distribution.sample(&mut rng).0).collect();
        samples.sort_unstable();
        samples
    }

    #[test]
    fn a_constant_is_constant() {
        assert_eq!(sorted_samples("50ms", 3), [50_000_000; 3]);
    }

    #[test]
    fn a_uniform_distribution_stays_within_its_bounds_and_fills_them() {
        let samples = sorted_samples("uniform:40ms..60ms", 2_000);
        assert!(samples[0] >= 40_000_000 && samples[0] < 40_200_000, "{}", samples[0]);
        assert!(samples[1_999] <= 60_000_000 && samples[1_999] > 59_800_000);
    }

    #[test]
    fn a_lognormal_distribution_has_the_median_and_spread_it_names() {
        let samples = sorted_samples("lognormal:50ms,0.3", 20_001);
        // Exact: 50 ms and 50 ms * exp(0.3 * 1.2816) = 73.44 ms; tolerance about three
        // standard errors of a quantile of 20,001 draws.
        assert!((samples[10_000] as f64 / 50e6 - 1.0).abs() < 0.01);
        assert!((samples[18_000] as f64 / 73.44e6 - 1.0).abs() < 0.012);
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        for text in
            ["", "fast", "uniform:60ms..40ms", "uniform:1ms", "lognormal:1ms,-1", "lognormal:1ms,x"]
        {
            assert!(text.parse::<Distribution>().is_err(), "{text}");
        }
    }

    #[test]
    fn prefill_is_paid_once_and_steps_pay_for_each_token() {
        let model = LatencyModel {
            ttft: Distribution::Constant(Nanos(1_000)),
            itl: Distribution::Constant(Nanos(10)),
            prefill_per_token: Nanos(3),
        };
        let mut rng = Seed(0).stream("x");
        assert_eq!(model.first_token(100, &mut rng), Nanos(1_300));
        assert_eq!(model.step(4, &mut rng), Nanos(40));
    }
}
