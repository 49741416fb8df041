//! Weights in groups of 32 small integers with one scale: the layouts called `Q8_0` and `Q4_0`.

use half::f16;

/// Weights that share a scale.
pub(crate) const QUANT_GROUP: usize = 32;

/// 32 weights of 8 bits: `scale * q`, `q` from -127 to 127.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Q8Block {
    scale: f16,
    values: [i8; QUANT_GROUP],
}

impl Q8Block {
    /// Quantises 32 weights.
    pub(crate) fn new(weights: &[f32; QUANT_GROUP]) -> Self {
        let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        let scale = largest / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        Self {
            scale: f16::from_f32(scale),
            values: weights.map(|weight| (weight * inverse).round() as i8),
        }
    }

    /// Writes the weights that this block stands for.
    pub(crate) fn expand(&self, weights: &mut [f32; QUANT_GROUP]) {
        let scale = self.scale.to_f32();
        for (weight, value) in weights.iter_mut().zip(&self.values) {
            *weight = f32::from(*value) * scale;
        }
    }
}

/// 32 weights of 4 bits: `scale * (q - 8)`, `q` from 0 to 15.
///
/// The weight with the largest absolute value becomes -8, since the range reaches further down
/// than up; the sign of the scale follows from that. The first 16 weights are in the low halves of
/// the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Q4Block {
    scale: f16,
    nibbles: [u8; QUANT_GROUP / 2],
}

impl Q4Block {
    /// Quantises 32 weights.
    pub(crate) fn new(weights: &[f32; QUANT_GROUP]) -> Self {
        let largest = weights.iter().copied().fold(0.0_f32, |largest, weight| {
            if weight.abs() > largest.abs() { weight } else { largest }
        });
        let scale = largest / -8.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let quantise = |weight: f32| (weight * inverse + 8.5).clamp(0.0, 15.0) as u8;
        let half = QUANT_GROUP / 2;
        let nibbles = std::array::from_fn(|idx| {
            quantise(weights[idx]) | (quantise(weights[idx + half]) << 4)
        });
        Self { scale: f16::from_f32(scale), nibbles }
    }

    /// Writes the weights that this block stands for.
    pub(crate) fn expand(&self, weights: &mut [f32; QUANT_GROUP]) {
        let scale = self.scale.to_f32();
        let (low, high) = weights.split_at_mut(QUANT_GROUP / 2);
        for ((low, high), byte) in low.iter_mut().zip(high).zip(&self.nibbles) {
            *low = (f32::from(byte & 15) - 8.0) * scale;
            *high = (f32::from(byte >> 4) - 8.0) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group() -> impl Strategy<Value = [f32; QUANT_GROUP]> {
        proptest::collection::vec(-4.0_f32..4.0, QUANT_GROUP)
            .prop_map(|weights| weights.try_into().unwrap())
    }

    fn largest(weights: &[f32]) -> f32 {
        weights.iter().fold(0.0, |largest: f32, weight| largest.max(weight.abs()))
    }

    proptest! {
        #[test]
        fn eight_bits_lose_at_most_half_a_step(weights in group()) {
            let mut back = [0.0; QUANT_GROUP];
            Q8Block::new(&weights).expand(&mut back);
            // Half a step, and what rounding the scale to 16 bits adds to the largest value.
            let bound = largest(&weights) * (0.5 / 127.0 + 1.0 / 2048.0) + 1e-7;
            for (a, b) in weights.iter().zip(back) {
                prop_assert!((a - b).abs() <= bound);
            }
        }

        #[test]
        fn four_bits_lose_at_most_a_step_at_the_short_end_and_half_a_step_elsewhere(weights in group()) {
            let mut back = [0.0; QUANT_GROUP];
            Q4Block::new(&weights).expand(&mut back);
            let step = largest(&weights) / 8.0;
            for (a, b) in weights.iter().zip(back) {
                let is_cut = a.abs() > 7.5 * step;
                let bound = step * if is_cut { 1.0 } else { 0.5 } + step / 128.0 + 1e-7;
                prop_assert!((a - b).abs() <= bound, "{} {} {}", a, b, step);
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let mut back = [1.0; QUANT_GROUP];
        Q4Block::new(&[0.0; QUANT_GROUP]).expand(&mut back);
        assert!(back.iter().all(|weight| *weight == 0.0));
        Q8Block::new(&[0.0; QUANT_GROUP]).expand(&mut back);
        assert!(back.iter().all(|weight| *weight == 0.0));
    }

    #[test]
    fn blocks_have_the_sizes_of_their_formats() {
        assert_eq!((size_of::<Q8Block>(), size_of::<Q4Block>()), (34, 18));
    }
}
