//! Whether a series changes its level in steps, or drifts steadily.

use crate::stats::change_point::{self, RESOLUTION, Step};
use crate::stats::trend::Trend;

/// How a series changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Not that anybody could tell.
    None,
    /// From one level to the next.
    Steps(Vec<Step>),
    /// A little with each value.
    Drift(Drift),
}

/// A steady drift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drift {
    /// By which factor a value follows the one before it: the median of all pairs. Absent where a
    /// value is 0.
    pub(crate) ratio: Option<f64>,
    /// Whether it goes up.
    pub(crate) rises: bool,
    /// Chance that values without a trend are ordered as much.
    pub(crate) p_value: f64,
}

/// Finds how a series changes: by the test for steps and by that of Mann and Kendall for a trend, each
/// with half of `alpha`.
///
/// A step makes a trend of the ranks, and a drift makes steps. Where one of the two tests finds a
/// change, it is told as what explains the values better: levels or a line, on the logarithmic scale,
/// by Schwarz's criterion, which takes the logarithm of the number of values for each parameter. Both
/// tests take values for independent. Nothing is found where a value is negative.
///
/// Source: G. Schwarz, "Estimating the dimension of a model", Annals of Statistics 6 (1978) 461–464.
pub(crate) fn change(values: &[f64], alpha: f64) -> Change {
    if !values.iter().all(|value| *value >= 0.0 && value.is_finite()) {
        return Change::None;
    }
    let (scaled, least_std) = change_point::scaled(values);
    let drift = drift(&scaled, values.iter().all(|value| *value > 0.0), alpha / 2.0);
    let steps = change_point::steps(values, alpha / 2.0);
    let Some(drift) = drift else {
        return if steps.is_empty() { Change::None } else { Change::Steps(steps) };
    };
    let steps = if steps.is_empty() {
        // What is there at all is certain by the other test.
        let likeliest = change_point::likeliest_step(values);
        likeliest.map(|step| Step { p_value: drift.p_value, ..step }).into_iter().collect()
    } else {
        steps
    };
    let least = least_std.max(RESOLUTION * RESOLUTION).powi(2);
    let price = |squares: f64, n_parameters: usize| {
        let n = scaled.len() as f64;
        n * (squares / n).max(least).ln() + n_parameters as f64 * n.ln()
    };
    let of_steps = price(around_levels(&scaled, &steps), 2 * steps.len() + 1);
    if !steps.is_empty() && of_steps < price(around_line(&scaled), 2) {
        Change::Steps(steps)
    } else {
        Change::Drift(drift)
    }
}

/// Returns the least factor, above 1, by which the last value must differ from those before it for
/// [`change`] to tell a step there, at the noise that the values show beside their likeliest step.
/// `None` for too few values, and where one is 0.
pub(crate) fn least_step(values: &[f64], alpha: f64) -> Option<f64> {
    values.iter().all(|value| *value > 0.0).then_some(())?;
    Some(change_point::least_at_end(values, alpha / 2.0)?.exp())
}

fn drift(scaled: &[f64], has_logs: bool, alpha: f64) -> Option<Drift> {
    let trend = Trend::of(scaled).filter(|trend| trend.p_value < alpha)?;
    Some(Drift {
        ratio: has_logs.then(|| trend.slope.exp()),
        rises: trend.s > 0,
        p_value: trend.p_value,
    })
}

/// Returns the sum of the squared distances from the levels between steps.
fn around_levels(values: &[f64], steps: &[Step]) -> f64 {
    let cuts = || steps.iter().map(|step| step.at);
    let parts = [0].into_iter().chain(cuts()).zip(cuts().chain([values.len()]));
    parts.map(|(from, to)| around_mean(&values[from..to])).sum()
}

fn around_mean(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Returns the sum of the squared distances from the line of least squares.
fn around_line(values: &[f64]) -> f64 {
    let middle = (values.len() - 1) as f64 / 2.0;
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let (mut with_place, mut of_places) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let place = at as f64 - middle;
        with_place += place * (value - mean);
        of_places += place * place;
    }
    let slope = if of_places > 0.0 { with_place / of_places } else { 0.0 };
    let distance = |(at, value): (usize, &f64)| value - mean - slope * (at as f64 - middle);
    values.iter().enumerate().map(distance).map(|distance| distance * distance).sum()
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::seed::Seed;

    fn drifting(per_value: f64, noise: impl FnMut() -> f64) -> Vec<f64> {
        let noise = std::iter::repeat_with(noise);
        (0..12).zip(noise).map(|(at, noise)| 50.0 * per_value.powi(at) * noise.exp()).collect()
    }

    #[test]
    fn a_drift_is_told_with_its_size_and_a_step_with_its_place() {
        let Change::Drift(found) = change(&drifting(1.02, || 0.0), 0.01) else { panic!() };
        assert!((found.ratio.unwrap() - 1.02).abs() < 1e-9 && found.rises, "{found:?}");
        let Change::Drift(found) = change(&drifting(0.98, || 0.0), 0.01) else { panic!() };
        assert!((found.ratio.unwrap() - 0.98).abs() < 1e-9 && !found.rises, "{found:?}");
        let level: Vec<f64> = (0..12).map(|at| if at < 6 { 50.0 } else { 60.0 }).collect();
        let Change::Steps(found) = change(&level, 0.01) else { panic!() };
        assert_eq!(found.iter().map(|step| step.at).collect::<Vec<_>>(), [6]);
        let to_nothing: Vec<f64> = (0..12).map(|at| f64::from(11 - at)).collect();
        let Change::Drift(found) = change(&to_nothing, 0.01) else { panic!() };
        assert_eq!((found.ratio, found.rises), (None, false));
    }

    #[test]
    fn what_cannot_be_told_from_noise_is_no_change() {
        for values in [&[1.0, 1.02, 1.04][..], &[1.0; 12], &[0.0; 12], &[3.0, 2.0, 1.0, -1.0]] {
            assert_eq!(change(values, 0.01), Change::None, "{values:?}");
        }
        assert_eq!(change(&[], 0.01), Change::None);
    }

    #[test]
    fn drifts_and_steps_are_told_apart_and_noise_is_neither() {
        let mut rng = Seed(12).stream("series");
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let (mut n_false, mut n_drifts, mut n_steps) = (0, 0, 0);
        for _ in 0..2_000 {
            let noise = drifting(1.0, || 0.02 * normal());
            n_false += usize::from(change(&noise, 0.01) != Change::None);
        }
        for _ in 0..200 {
            let drifts = drifting(1.02, || 0.01 * normal());
            n_drifts += usize::from(matches!(change(&drifts, 0.01), Change::Drift(_)));
            let level = |at: usize| if at < 7 { 50.0 } else { 57.5 };
            let steps: Vec<f64> = (0..12).map(|at| level(at) * (0.02 * normal()).exp()).collect();
            n_steps += usize::from(
                matches!(change(&steps, 0.01), Change::Steps(steps) if steps[0].at == 7),
            );
        }
        assert!(n_false <= 30, "{n_false} of 2,000");
        assert!(n_drifts >= 190, "{n_drifts} of 200");
        assert!(n_steps >= 190, "{n_steps} of 200");
    }
}
