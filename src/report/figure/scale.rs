//! From values to places, with ticks at round values.

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// Equal differences are equal distances.
    Linear,
    /// Equal ratios are equal distances.
    Log,
}

/// One axis: values between two round ends, on a stretch of the drawing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    spacing: Spacing,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
    /// Decimals of a label; as many as it needs where the ticks are the values themselves.
    decimals: Option<usize>,
}

impl Scale {
    /// Makes a linear axis over `values` (and zero, with `from_zero`) from place `from` to `to`.
    pub(crate) fn linear(
        values: impl Iterator<Item = f64>,
        from_zero: bool,
        from: f64,
        to: f64,
    ) -> Self {
        let (mut low, mut high) = extent(values).unwrap_or((0.0, 1.0));
        if from_zero {
            low = low.min(0.0);
            high = high.max(0.0);
        }
        if high - low <= f64::EPSILON * high.abs().max(low.abs()) {
            let margin = if high == 0.0 { 1.0 } else { high.abs() * 0.1 };
            low -= if from_zero && low >= 0.0 { 0.0 } else { margin };
            high += margin;
        }
        let step = nice_step((high - low) / 5.0);
        let first = (low / step).floor();
        let last = (high / step).ceil();
        let ticks: Vec<f64> =
            (0..=(last - first) as u32).map(|k| (first + f64::from(k)) * step).collect();
        let decimals = usize::try_from(-(step.log10().floor() as i32)).unwrap_or(0);
        Self {
            spacing: Spacing::Linear,
            low: first * step,
            high: last * step,
            from,
            to,
            ticks,
            decimals: Some(decimals),
        }
    }

    /// Makes a logarithmic axis over the positive ones of `values`.
    pub(crate) fn log(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = extent(values.filter(|value| *value > 0.0)).unwrap_or((1.0, 10.0));
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let per_decade: &[f64] = if last - first <= 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let round: Vec<f64> = (first - 1..=last + 1)
            .flat_map(|decade| per_decade.iter().map(move |digit| digit * 10f64.powi(decade)))
            .collect();
        let slack = 1.0 + 1e-9;
        let low_end = round.iter().copied().rfind(|tick| *tick <= low * slack).unwrap_or(low);
        let high_end = round.iter().copied().find(|tick| *tick * slack >= high).unwrap_or(high);
        let high_end = if high_end <= low_end { low_end * 10.0 } else { high_end };
        let inside = |tick: &f64| *tick >= low_end / slack && *tick <= high_end * slack;
        let ticks = round.into_iter().filter(inside).collect();
        Self {
            spacing: Spacing::Log,
            low: low_end,
            high: high_end,
            from,
            to,
            ticks,
            decimals: Some(0),
        }
    }

    /// Makes an axis from the least to the greatest of `ticks`, where its ticks are.
    pub(crate) fn with_ticks(ticks: &[f64], is_log: bool, from: f64, to: f64) -> Self {
        let mut ticks = ticks.to_vec();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        let (low, high) = extent(ticks.iter().copied()).unwrap_or((0.0, 1.0));
        let spacing = if is_log && low > 0.0 { Spacing::Log } else { Spacing::Linear };
        Self { spacing, low, high, from, to, ticks, decimals: None }
    }

    /// Returns the place of a value; not finite where the axis has none for it.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = match self.spacing {
            Spacing::Linear => (value - self.low) / (self.high - self.low),
            Spacing::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        self.from + share * (self.to - self.from)
    }

    /// Returns the ticks: value and label.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        self.ticks.iter().map(|tick| (*tick, self.label(*tick))).collect()
    }

    fn label(&self, tick: f64) -> String {
        let Some(decimals) = self.decimals else { return tick.to_string() };
        for (factor, letter) in [(1e9, 'G'), (1e6, 'M'), (1e3, 'k')] {
            if self.high >= 1e4 && tick >= factor {
                return format!("{}{letter}", tick / factor);
            }
        }
        if self.spacing == Spacing::Linear {
            let text = format!("{tick:.decimals$}");
            return if text.trim_start_matches(['-', '0', '.']).is_empty() {
                "0".to_owned()
            } else {
                text
            };
        }
        let decimals = usize::try_from(-(tick.log10() + 1e-9).floor() as i32).unwrap_or(0);
        format!("{tick:.decimals$}")
    }
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |so_far, value| {
        let (low, high) = so_far.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// Returns the smallest of 1, 2, 5 times a power of ten that is not below `rough`.
fn nice_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= rough * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> String {
        scale.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round() {
        let linear =
            |values: &[f64]| labels(&Scale::linear(values.iter().copied(), true, 0.0, 1.0));
        assert_eq!(linear(&[812.4]), "0 200 400 600 800 1000");
        assert_eq!(linear(&[0.3]), "0 0.1 0.2 0.3");
        assert_eq!(linear(&[]), "0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(linear(&[0.0]), "0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(linear(&[-5.0, 5.0]), "-6 -4 -2 0 2 4 6");
        assert_eq!(linear(&[f64::NAN, 3.0]), "0 1 2 3");
    }

    #[test]
    fn logarithmic_ticks_are_decades_and_their_parts() {
        let log = |values: &[f64]| labels(&Scale::log(values.iter().copied(), 0.0, 1.0));
        assert_eq!(log(&[3.0, 180.0]), "2 5 10 20 50 100 200");
        assert_eq!(log(&[0.02, 0.4]), "0.02 0.05 0.1 0.2 0.5");
        assert_eq!(log(&[1.0, 1e6]), "1 10 100 1k 10k 100k 1M");
        assert_eq!(log(&[0.0, -1.0]), "1 2 5 10");
    }

    #[test]
    fn an_axis_of_measured_values_has_its_ticks_at_them() {
        let scale = Scale::with_ticks(&[64.0, 1.0, 4.0, 4.0], true, 0.0, 60.0);
        assert_eq!(labels(&scale), "1 4 64");
        assert!((scale.at(4.0) - 20.0).abs() < 1e-9, "{}", scale.at(4.0));
        assert_eq!(labels(&Scale::with_ticks(&[0.0, 0.5, 2.0], true, 0.0, 1.0)), "0 0.5 2");
    }

    #[test]
    fn the_ends_of_an_axis_are_the_ends_of_its_stretch() {
        let scale = Scale::log([10.0, 1000.0].into_iter(), 50.0, 250.0);
        for (value, place) in [(10.0, 50.0), (100.0, 150.0), (1000.0, 250.0)] {
            assert!((scale.at(value) - place).abs() < 1e-9, "{value} at {}", scale.at(value));
        }
        assert!(!scale.at(0.0).is_finite());
    }
}
