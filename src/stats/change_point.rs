//! Steps of a series: where its level changes.

use crate::stats::mean::Moments;
use crate::stats::special::{student_t_quantile, student_t_two_sided};

/// Least relative deviation that values are taken to have, as for the ratio of two samples.
pub(super) const RESOLUTION: f64 = 1e-6;

/// Fewest values in which a step can be found: two of one level say how far apart they lie.
pub(crate) const N_LEAST: usize = 3;

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    /// Index of the first value of the new level.
    pub(crate) at: usize,
    /// The level before: the mean up to the step before it.
    pub(crate) before: f64,
    /// The new level: the mean up to the step after it.
    pub(crate) level: f64,
    /// Chance of a difference at least as large at the likeliest of all places, if there were none.
    pub(crate) p_value: f64,
}

impl Step {
    /// Returns the new level over the one before; `None` where that is 0.
    pub(crate) fn ratio(&self) -> Option<f64> {
        (self.before > 0.0).then(|| self.level / self.before)
    }
}

/// Finds the steps of a series of values, on the logarithmic scale; on their own where one is 0, which
/// has no logarithm.
///
/// Circular binary segmentation: a stretch is cut where the mean of what lies behind one place, or
/// between two, differs most from that of the rest, by Student's t with the pooled deviation, if
/// that would be chance with less than `alpha` at any of its places (Bonferroni; half of it for one
/// place and half for two); then each part again. A series without a step shows one with a chance
/// of at most `alpha`, when its values are independent. Nothing is found where a value is negative.
///
/// Source: A. B. Olshen et al., "Circular binary segmentation for the analysis of array-based DNA
/// copy number data", Biostatistics 5 (2004) 557–572.
pub(crate) fn steps(values: &[f64], alpha: f64) -> Vec<Step> {
    if !values.iter().all(|value| *value >= 0.0 && value.is_finite()) {
        return Vec::new();
    }
    let (logs, least_std) = scaled(values);
    between(values, &cuts(&logs, alpha, least_std))
}

/// Returns where the level of a series changes, on its own scale: the first places of new levels.
/// Its values are taken to deviate by `least_std` at least.
pub(crate) fn plain_steps(values: &[f64], alpha: f64, least_std: f64) -> Vec<usize> {
    let largest = values.iter().copied().fold(0.0, f64::max);
    let found = cuts(values, alpha, least_std.max(RESOLUTION * largest));
    found.into_iter().map(|(at, _)| at).collect()
}

/// Cuts a series into stretches of one level, and returns the places with their chances.
fn cuts(series: &[f64], alpha: f64, least_std: f64) -> Vec<(usize, f64)> {
    let mut found: Vec<(usize, f64)> = Vec::new();
    let mut open = vec![(0, series.len())];
    while let Some((from, to)) = open.pop() {
        let Some((cut, p_value)) = likeliest(&series[from..to], least_std) else { continue };
        if p_value < alpha {
            let inner = [cut.0, cut.1].map(|at| from + at);
            let cuts = inner.into_iter().filter(|at| *at > from && *at < to);
            found.extend(cuts.map(|at| (at, p_value)));
            let parts = [(from, inner[0]), (inner[0], inner[1]), (inner[1], to)];
            open.extend(parts.into_iter().filter(|(from, to)| from < to));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found
}

/// Returns the step at the likeliest single place, however likely chance makes it. Nothing is found
/// where a value is negative.
pub(super) fn likeliest_step(values: &[f64]) -> Option<Step> {
    if !values.iter().all(|value| *value >= 0.0 && value.is_finite()) {
        return None;
    }
    let (logs, least_std) = scaled(values);
    let strength = Strengths::of(&logs, least_std)?;
    let (cut, t) = strength.one()?;
    between(values, &[(cut.0, strength.p_value(logs.len() - 1, t))]).pop()
}

/// Returns how far the last value must lie from those before it, on the scale on which values are
/// judged, to be told as a step: at the deviation that they have beside their likeliest one.
pub(super) fn least_at_end(values: &[f64], alpha: f64) -> Option<f64> {
    let (logs, least_std) = scaled(values);
    let strengths = Strengths::of(&logs, least_std)?;
    let (cut, _) = strengths.one()?;
    let n = logs.len() as f64;
    let p_value = alpha / (2.0 * (n - 1.0));
    let t = student_t_quantile(1.0 - p_value / 2.0, n - 2.0);
    Some(t * strengths.pooled(cut).sqrt() * (1.0 + 1.0 / (n - 1.0)).sqrt())
}

/// Returns values on the scale on which they are judged, and the least deviation that they are taken
/// to have there: the logarithmic one, or their own where one is 0, which has no logarithm.
pub(super) fn scaled(values: &[f64]) -> (Vec<f64>, f64) {
    let has_logs = values.iter().all(|value| *value > 0.0);
    let largest = values.iter().copied().fold(0.0, f64::max);
    let scaled = values.iter().map(|value| if has_logs { value.ln() } else { *value }).collect();
    (scaled, RESOLUTION * if has_logs { 1.0 } else { largest })
}

/// Returns the steps at these places, each with its chance.
fn between(values: &[f64], found: &[(usize, f64)]) -> Vec<Step> {
    let has_logs = values.iter().all(|value| *value > 0.0);
    let (logs, _) = scaled(values);
    let ends: Vec<usize> =
        [0].into_iter().chain(found.iter().map(|(at, _)| *at)).chain([logs.len()]).collect();
    let level = |segment: usize| {
        let logs: Moments = logs[ends[segment]..ends[segment + 1]].iter().copied().collect();
        let mean = logs.mean().unwrap_or_default();
        if has_logs { mean.exp() } else { mean }
    };
    let step = |(segment, &(at, p_value)): (usize, &(usize, f64))| Step {
        at,
        before: level(segment),
        level: level(segment + 1),
        p_value,
    };
    found.iter().enumerate().map(step).collect()
}

/// Returns between which two places a stretch most likely lies on another level, the second of
/// which may be its end, and how likely chance makes a difference as large. `None` where nothing lies
/// anywhere else.
fn likeliest(logs: &[f64], least_std: f64) -> Option<((usize, usize), f64)> {
    let n = logs.len();
    let strengths = Strengths::of(logs, least_std)?;
    let judged = |n_cuts: usize, (cut, t): (Cut, f64)| (cut, strengths.p_value(n_cuts, t));
    let one = judged(n - 1, strengths.one()?);
    let two = strengths.two().map(|found| judged((n - 1) * (n - 2) / 2, found));
    Some(two.filter(|two| two.1 < one.1).unwrap_or(one))
}

/// A part of a stretch: from one place to another.
type Cut = (usize, usize);

/// How far each part of a stretch lies from the rest.
struct Strengths {
    /// Sums of what lies before each place, as distances from the mean of all; the rest of a part is
    /// what the whole has more.
    sums: Vec<f64>,
    squares: f64,
    least_std: f64,
}

impl Strengths {
    fn of(logs: &[f64], least_std: f64) -> Option<Self> {
        let n = logs.len();
        if n < N_LEAST || least_std <= 0.0 {
            return None;
        }
        let mean = logs.iter().sum::<f64>() / n as f64;
        let (mut sums, mut squares) = (vec![0.0], 0.0);
        for log in logs {
            sums.push(sums[sums.len() - 1] + (log - mean));
            squares += (log - mean).powi(2);
        }
        Some(Self { sums, squares, least_std })
    }

    fn n(&self) -> usize {
        self.sums.len() - 1
    }

    /// Returns Student's t of a part against the rest.
    fn t(&self, cut: Cut) -> f64 {
        let ((n_in, n_out), sum) = self.split(cut);
        // The deviations from the mean of all sum to nothing.
        let difference = sum / n_in + sum / n_out;
        difference / (self.pooled(cut) * (1.0 / n_in + 1.0 / n_out)).sqrt()
    }

    /// Returns how many values lie in a part and in the rest, and the sum of those in it.
    fn split(&self, (from, to): Cut) -> ((f64, f64), f64) {
        let n_in = to - from;
        ((n_in as f64, (self.n() - n_in) as f64), self.sums[to] - self.sums[from])
    }

    /// Returns the variance that values have about the mean of a part and that of the rest.
    fn pooled(&self, cut: Cut) -> f64 {
        let ((n_in, n_out), sum) = self.split(cut);
        let within = self.squares - sum * sum / n_in - sum * sum / n_out;
        (within / (self.n() - 2) as f64).max(self.least_std * self.least_std)
    }

    /// Returns the strongest part that goes to the end.
    fn one(&self) -> Option<(Cut, f64)> {
        let n = self.n();
        self.strongest((1..n).map(|at| (at, n)))
    }

    /// Returns the strongest part that goes to neither end.
    fn two(&self) -> Option<(Cut, f64)> {
        let n = self.n();
        self.strongest((1..n - 1).flat_map(|from| (from + 1..n).map(move |to| (from, to))))
    }

    fn strongest(&self, cuts: impl Iterator<Item = Cut>) -> Option<(Cut, f64)> {
        let strengths = cuts.map(|cut| (cut, self.t(cut).abs()));
        strengths.max_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// Returns the chance of such a t at any of so many places, half of it for each number of places.
    fn p_value(&self, n_cuts: usize, t: f64) -> f64 {
        (student_t_two_sided(t, (self.n() - 2) as f64) * 2.0 * n_cuts as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn a_step_is_found_where_it_is_with_what_it_is() {
        let found = steps(&[40.0, 40.4, 39.8, 40.1, 46.0, 46.3, 45.8, 46.1], 0.01);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].at, 4);
        assert!(
            (found[0].ratio().unwrap() - 1.15).abs() < 0.005 && found[0].p_value < 1e-4,
            "{found:?}"
        );
        // The last value alone, and back again.
        assert_eq!(steps(&[40.0, 40.2, 39.9, 40.1, 40.0, 50.0], 0.01)[0].at, 5);
        let there_and_back =
            steps(&[1.0, 1.01, 0.99, 1.0, 2.0, 2.02, 1.98, 2.0, 1.0, 1.01, 0.99], 0.01);
        assert_eq!(there_and_back.iter().map(|step| step.at).collect::<Vec<_>>(), [4, 8]);
    }

    #[test]
    fn a_fall_to_nothing_and_a_rise_from_it_are_steps() {
        let found = steps(&[90.0, 91.0, 90.0, 89.0, 90.0, 0.0], 0.01);
        assert_eq!((found[0].at, found[0].ratio()), (5, Some(0.0)), "{found:?}");
        let found = steps(&[10.0, 10.0, 10.0, 10.0, 0.0, 0.0, 0.0, 0.0], 0.01);
        assert_eq!((found.len(), found[0].at, found[0].level), (1, 4, 0.0), "{found:?}");
        let found = steps(&[0.0, 0.0, 0.0, 0.0, 90.0, 89.0, 91.0, 90.0], 0.01);
        assert_eq!((found[0].at, found[0].ratio()), (4, None), "{found:?}");
    }

    #[test]
    fn what_cannot_be_told_from_noise_is_no_step() {
        assert_eq!(steps(&[1.0, 1.2], 0.01), []);
        assert_eq!(steps(&[1.0; 20], 0.01), []);
        assert_eq!(steps(&[1.0, 1.1, 0.9, 1.05, 0.95, 1.02], 0.01), []);
        assert_eq!(steps(&[1.0, 0.0, 9.0, 9.0], 0.01), []);
        assert_eq!(steps(&[0.0; 8], 0.01), []);
        assert_eq!(steps(&[10.0, 10.0, -1.0, -1.0, -1.0], 0.01), []);
    }

    #[test]
    fn series_without_a_step_show_one_as_rarely_as_was_asked() {
        let mut rng = Seed(11).stream("series");
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let mut n_false = 0;
        for _ in 0..2_000 {
            let series: Vec<f64> = (0..12).map(|_| 50.0 * (0.02 * normal()).exp()).collect();
            n_false += usize::from(!steps(&series, 0.01).is_empty());
        }
        assert!(n_false <= 30, "{n_false} of 2,000");
        let mut n_found = 0;
        for _ in 0..200 {
            let level = |at: usize| if at < 8 { 50.0 } else { 57.5 };
            let series: Vec<f64> = (0..12).map(|at| level(at) * (0.02 * normal()).exp()).collect();
            n_found += usize::from(steps(&series, 0.01).iter().any(|step| step.at == 8));
        }
        assert!(n_found >= 190, "{n_found} of 200");
    }
}
