//! From logits to the next token.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampling {
    /// A temperature of 0 takes the likeliest token.
    pub temperature: f64,
    /// The choice is among the likeliest tokens whose probabilities together reach this share.
    pub top_p: f64,
}

/// A chosen token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampled {
    /// Its id.
    pub token: u32,
    /// Natural logarithm of its probability at temperature 1, before any cut.
    pub logprob: f32,
}

impl Sampling {
    /// Chooses a token, but never one of `banned`. Among equally likely tokens the first is taken.
    pub(crate) fn choose(&self, logits: &[f32], banned: &[u32], rng: &mut ChaCha8Rng) -> Sampled {
        let is_allowed = |token: u32| !banned.contains(&token);
        let candidates = || (0..logits.len() as u32).filter(|token| is_allowed(*token));
        let logit = |token: u32| f64::from(logits[token as usize]);
        let greedy = candidates()
            .reduce(|best, token| if logit(token) > logit(best) { token } else { best })
            .unwrap_or(0);
        let token = if self.temperature == 0.0 {
            greedy
        } else {
            let top = logit(greedy);
            let mut weighted: Vec<(u32, f64)> = candidates()
                .map(|token| (token, ((logit(token) - top) / self.temperature).exp()))
                .collect();
            cut_to_share(&mut weighted, self.top_p);
            draw(&weighted, rng)
        };
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|value| f64::from(value - largest).exp()).sum();
        let logprob = (logit(token) - f64::from(largest) - sum.ln()) as f32;
        Sampled { token, logprob }
    }
}

/// Keeps the likeliest tokens that together reach a share of all.
fn cut_to_share(weighted: &mut Vec<(u32, f64)>, share: f64) {
    if share >= 1.0 {
        return;
    }
    weighted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let goal = share * weighted.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut reached = 0.0;
    let n_kept = weighted
        .iter()
        .take_while(|(_, weight)| {
            let is_needed = reached < goal;
            reached += weight;
            is_needed
        })
        .count();
    weighted.truncate(n_kept.max(1));
}

fn draw(weighted: &[(u32, f64)], rng: &mut ChaCha8Rng) -> u32 {
    let sum: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.random::<f64>() * sum;
    for (token, weight) in weighted {
        left -= weight;
        if left < 0.0 {
            return *token;
        }
    }
    weighted.last().map_or(0, |(token, _)| *token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    const LOGITS: [f32; 4] = [1.0, 3.0, 2.0, 3.0];

    fn choose(temperature: f64, top_p: f64, banned: &[u32], n: usize) -> [usize; 4] {
        let mut rng = Seed(5).stream("sampling");
        let mut counts = [0; 4];
        for _ in 0..n {
            let sampled = Sampling { temperature, top_p }.choose(&LOGITS, banned, &mut rng);
            counts[sampled.token as usize] += 1;
        }
        counts
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_likeliest() {
        assert_eq!(choose(0.0, 1.0, &[], 5), [0, 5, 0, 0]);
        assert_eq!(choose(0.0, 1.0, &[1], 5), [0, 0, 0, 5]);
    }

    #[test]
    fn temperature_one_draws_by_probability() {
        // Softmax of the logits: 0.054, 0.399, 0.147, 0.399; four standard deviations of
        // 10,000 draws are below 200.
        let counts = choose(1.0, 1.0, &[], 10_000);
        for (count, expected) in counts.iter().zip([540, 3995, 1470, 3995]) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }

    #[test]
    fn top_p_leaves_out_the_tail() {
        let counts = choose(1.0, 0.75, &[], 1_000);
        assert!(counts[0] == 0 && counts[2] == 0 && counts[1] > 0 && counts[3] > 0, "{counts:?}");
        assert_eq!(choose(1.0, 1e-9, &[], 10), [0, 10, 0, 0]);
    }

    #[test]
    fn the_log_probability_is_that_of_the_whole_distribution() {
        let mut rng = Seed(5).stream("sampling");
        let sampled = Sampling { temperature: 0.0, top_p: 1.0 }.choose(&LOGITS, &[], &mut rng);
        let sum: f64 = LOGITS.iter().map(|logit| f64::from(*logit).exp()).sum();
        assert!((f64::from(sampled.logprob) - (3.0 - sum.ln())).abs() < 1e-6);
    }
}
