//! Throughput and latency over the last minutes, a point each second.

use std::collections::VecDeque;

use crate::cli::screen::view::Second;

/// Seconds that are remembered; no terminal is wide enough for more.
const SECONDS_MAX: usize = 600;

/// The last seconds, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Curves(VecDeque<Second>);

/// One curve: its pieces, between which nothing was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Curve {
    /// Points as (seconds ago, not above 0; value).
    pub(super) pieces: Vec<Vec<(f64, f64)>>,
    /// The largest value.
    pub(super) max: f64,
    /// The value of the last second, where there is one.
    pub(super) last: Option<f64>,
}

impl Curves {
    pub(super) fn push(&mut self, second: Second) {
        if self.0.len() == SECONDS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(second);
    }

    /// Returns one quantity of the last seconds.
    pub(super) fn curve(&self, n_seconds: usize, of: impl Fn(&Second) -> Option<f64>) -> Curve {
        let mut curve = Curve { last: self.0.back().and_then(&of), ..Curve::default() };
        let mut piece = Vec::new();
        let skipped = self.0.len().saturating_sub(n_seconds);
        for (at, second) in self.0.iter().enumerate().skip(skipped) {
            match of(second) {
                Some(value) => {
                    curve.max = curve.max.max(value);
                    piece.push((at as f64 + 1.0 - self.0.len() as f64, value));
                }
                None if piece.is_empty() => {}
                None => curve.pieces.push(std::mem::take(&mut piece)),
            }
        }
        curve.pieces.extend(Some(piece).filter(|piece| !piece.is_empty()));
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_without_a_value_is_a_gap_and_old_ones_are_forgotten() {
        let mut curves = Curves::default();
        for n_tokens in [Some(9.0), Some(1.0), None, None, Some(2.0), Some(4.0)] {
            curves.push(Second { n_tokens, ..Second::default() });
        }
        let curve = curves.curve(5, |second| second.n_tokens);
        assert_eq!(curve.pieces, [vec![(-4.0, 1.0)], vec![(-1.0, 2.0), (0.0, 4.0)]]);
        assert_eq!((curve.max, curve.last), (4.0, Some(4.0)));
        let none = curves.curve(5, |second| second.ttft_ms);
        assert_eq!(none, Curve::default());
        (0..700).for_each(|_| curves.push(Second::default()));
        assert_eq!(curves.0.len(), SECONDS_MAX);
    }
}
