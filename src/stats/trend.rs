//! Whether a series goes up or down, or has settled.

use crate::stats::special::normal_two_sided;

/// The trend of a series, by ranks: no assumption about the distribution of its noise.
///
/// Source: H. B. Mann, "Nonparametric tests against trend", Econometrica 13 (1945) 245–259;
/// M. G. Kendall, "Rank Correlation Methods" (1975), for ties; P. K. Sen, "Estimates of the
/// regression coefficient based on Kendall's tau", JASA 63 (1968) 1379–1389, for the slope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trend {
    /// Length of the series.
    pub n: usize,
    /// Kendall's S: pairs that rise minus pairs that fall.
    pub s: i64,
    /// Two-sided p-value by the normal approximation with continuity correction.
    pub p_value: f64,
    /// Median of the slopes between all pairs, per step of the series.
    pub slope: f64,
    /// `slope` over the whole series as a share of its median: +0.1 is a rise by 10 %.
    pub relative_change: f64,
}

/// p-value below which a trend counts as real. Strict, because every cell is tested and
/// neighbouring slices of a run are not quite independent.
pub(crate) const TREND_P: f64 = 0.01;
/// Change over the whole series that matters: smaller ones are real only to a statistician.
pub(crate) const TREND_CHANGE: f64 = 0.05;

impl Trend {
    /// Returns the trend of a series; `None` for fewer than four values, which cannot show one.
    pub(crate) fn of(series: &[f64]) -> Option<Self> {
        let n = series.len();
        if n < 4 {
            return None;
        }
        let mut s = 0;
        let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
        for (i, &first) in series.iter().enumerate() {
            for (j, &second) in series.iter().enumerate().skip(i + 1) {
                s += match second.total_cmp(&first) {
                    std::cmp::Ordering::Greater => 1,
                    std::cmp::Ordering::Less => -1,
                    std::cmp::Ordering::Equal => 0,
                };
                slopes.push((second - first) / (j - i) as f64);
            }
        }
        let slope = median(&mut slopes);
        let middle = median(&mut series.to_vec());
        let change = slope * (n - 1) as f64;
        Some(Self {
            n,
            s,
            p_value: p_value(s, series),
            slope,
            relative_change: if middle == 0.0 { 0.0 } else { change / middle.abs() },
        })
    }

    /// Whether the series goes on changing: a trend that is both real and large enough.
    pub(crate) fn is_trending(&self) -> bool {
        self.p_value < TREND_P && self.relative_change.abs() > TREND_CHANGE
    }
}

fn p_value(s: i64, series: &[f64]) -> f64 {
    let weight = |count: f64| count * (count - 1.0) * (2.0 * count + 5.0);
    let mut sorted = series.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted
        .chunk_by(|a, b| a.total_cmp(b).is_eq())
        .map(|group| weight(group.len() as f64))
        .sum();
    let variance = (weight(series.len() as f64) - ties) / 18.0;
    if variance <= 0.0 || s == 0 {
        return 1.0;
    }
    normal_two_sided((s.abs() - 1) as f64 / variance.sqrt())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_the_textbook_one() {
        // R. O. Gilbert, "Statistical Methods for Environmental Pollution Monitoring" (1987),
        // section 16.4: for 10, 15, 14, 20 S = 4; variance 4·3·13/18 = 8.6667, so
        // z = 3 / 2.9439 = 1.0190 and p = 0.3082.
        let trend = Trend::of(&[10.0, 15.0, 14.0, 20.0]).unwrap();
        assert_eq!(trend.s, 4);
        assert!((trend.p_value - 0.308_2).abs() < 1e-4, "{trend:?}");
        // Slopes 5, 2, 10/3, -1, 2.5, 6: the median is (2.5 + 10/3) / 2.
        assert!((trend.slope - 2.916_666_7).abs() < 1e-6, "{trend:?}");
    }

    #[test]
    fn ties_take_variance_away() {
        // By hand: 23 is there twice, 24 three times, 29 once; 6 pairs rise, 5 fall, 4 are equal.
        // Variance (6·5·17 - 2·1·9 - 3·2·11) / 18 = 23.6667.
        let trend = Trend::of(&[23.0, 24.0, 29.0, 24.0, 23.0, 24.0]).unwrap();
        assert_eq!(trend.s, 1);
        assert!((trend.p_value - 1.0).abs() < f64::EPSILON);
        let rising = Trend::of(&[23.0, 23.0, 24.0, 24.0, 24.0, 29.0]).unwrap();
        assert_eq!(rising.s, 11);
        // z = 10 / sqrt(23.6667) = 2.05557, p = 0.039824.
        assert!((rising.p_value - 0.039_824).abs() < 1e-5, "{rising:?}");
    }

    #[test]
    fn a_warm_up_ramp_is_a_trend_and_noise_is_not() {
        let ramp: Vec<f64> = (0..20).map(|i| 100.0 + 2.0 * f64::from(i)).collect();
        assert!(Trend::of(&ramp).unwrap().is_trending());
        let noise: Vec<f64> = (0..20).map(|i| 100.0 + f64::from(i * 7 % 11)).collect();
        assert!(!Trend::of(&noise).unwrap().is_trending());
        // A real drift of 1 % is no reason to doubt a run.
        let drift: Vec<f64> = (0..20).map(|i| 100.0 + 0.05 * f64::from(i)).collect();
        assert!(!Trend::of(&drift).unwrap().is_trending());
    }

    #[test]
    fn three_values_or_a_constant_show_no_trend() {
        assert_eq!(Trend::of(&[1.0, 2.0, 3.0]), None);
        assert!(!Trend::of(&[5.0; 10]).unwrap().is_trending());
        assert!(!Trend::of(&[0.0; 10]).unwrap().is_trending());
    }
}
