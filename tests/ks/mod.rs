//! The Kolmogorov–Smirnov test of samples against a distribution.

/// What the test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct KolmogorovSmirnov {
    /// Largest distance between the two distribution functions.
    pub(crate) distance: f64,
    /// Probability of a distance at least as large if the samples came from the distribution.
    pub(crate) p_value: f64,
}

/// Tests samples against the exponential distribution of a known rate.
///
/// The gaps of a Poisson process are exponential. The rate must not be estimated from the
/// same samples: the test would then be too kind (Lilliefors).
pub(crate) fn against_exponential(gaps: &[f64], rate: f64) -> Option<KolmogorovSmirnov> {
    against(gaps, |x| if x <= 0.0 { 0.0 } else { -(-rate * x).exp_m1() })
}

/// Tests samples against a distribution function. `None` for no samples.
///
/// The p-value is Kolmogorov's limit with Stephens' correction for finite `n`, good to about
/// 1e-3 from `n = 10` on.
///
/// Source: M. A. Stephens, "Use of the Kolmogorov–Smirnov, Cramér–von Mises and related
/// statistics without extensive tables", J. R. Stat. Soc. B 32 (1970) 115–122.
pub(crate) fn against(samples: &[f64], cdf: impl Fn(f64) -> f64) -> Option<KolmogorovSmirnov> {
    if samples.is_empty() {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let distance = sorted
        .iter()
        .enumerate()
        .map(|(rank, &sample)| {
            let expected = cdf(sample);
            (expected - rank as f64 / n).max((rank as f64 + 1.0) / n - expected)
        })
        .fold(0.0, f64::max);
    let root = n.sqrt();
    Some(KolmogorovSmirnov {
        distance,
        p_value: kolmogorov_tail(distance * (root + 0.12 + 0.11 / root)),
    })
}

/// Returns the probability that Kolmogorov's limit variable exceeds `x`.
fn kolmogorov_tail(x: f64) -> f64 {
    if x < 0.2 {
        // The alternating series needs ever more terms here, and the answer is 1 to 12 digits.
        return 1.0;
    }
    let sum: f64 = (1..=100)
        .map(|k| {
            let k = f64::from(k);
            let sign = if k % 2.0 == 0.0 { -1.0 } else { 1.0 };
            sign * (-2.0 * k * k * x * x).exp()
        })
        .sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_values_are_those_of_the_tables() {
        // Asymptotic critical values of sqrt(n) D: 1.3581 at 5 %, 1.6276 at 1 % (Smirnov 1948).
        assert!((kolmogorov_tail(1.358_1) - 0.05).abs() < 1e-5);
        assert!((kolmogorov_tail(1.627_6) - 0.01).abs() < 1e-5);
    }

    #[test]
    fn distance_and_p_value_agree_with_scipy() {
        // scipy.stats.kstest([.1, .4, .7, 1.1, 1.6, 2.4, .05, .9, 3.1, .3], "expon"):
        // statistic 0.10928, exact p-value 0.99849
        let gaps = [0.1, 0.4, 0.7, 1.1, 1.6, 2.4, 0.05, 0.9, 3.1, 0.3];
        let found = against_exponential(&gaps, 1.0).unwrap();
        assert!((found.distance - 0.109_282_046_710_587_5).abs() < 1e-9, "{found:?}");
        assert!((found.p_value - 0.998_490_580_187_040_1).abs() < 5e-3, "{found:?}");
    }

    #[test]
    fn evenly_spaced_gaps_are_not_exponential() {
        assert!(against_exponential(&[1.0; 50], 1.0).unwrap().p_value < 1e-6);
        assert_eq!(against_exponential(&[], 1.0), None);
    }
}
