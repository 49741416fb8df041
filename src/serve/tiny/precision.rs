//! Number formats: how values are rounded, and how weights are stored.

use clap::ValueEnum;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::quant::{Q4Block, Q8Block, QUANT_GROUP};

/// The number format a model computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 16-bit floats: weights, and every result that a layer hands on, are rounded to them.
    Fp16,
    /// 16-bit floats with the range of 32-bit ones, rounded likewise.
    Bf16,
    /// Weights of 8 bits in groups of 32 with a scale; results stay 32-bit.
    Int8,
    /// Weights of 4 bits in groups of 32 with a scale; results stay 32-bit.
    Int4,
}

impl Precision {
    /// Returns the name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }

    /// Rounds values to what a layer would hand on in this format.
    pub(crate) fn round(self, values: &mut [f32]) {
        const CHUNK: usize = 256;
        match self {
            Self::Fp32 | Self::Int8 | Self::Int4 => {}
            Self::Fp16 => {
                let mut halves = [f16::ZERO; CHUNK];
                for chunk in values.chunks_mut(CHUNK) {
                    let halves = &mut halves[..chunk.len()];
                    halves.convert_from_f32_slice(chunk);
                    halves.convert_to_f32_slice(chunk);
                }
            }
            Self::Bf16 => {
                for value in values {
                    *value = bf16::from_f32(*value).to_f32();
                }
            }
        }
    }
}

/// Weights in the format in which they stay in memory.
///
/// Weights are expanded to 32-bit floats just before a product, once per step and not per token.
/// The product is then the same code for every format, and results differ only by the rounding of
/// the format.
#[derive(Clone, Debug)]
pub(crate) enum Weights {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 16-bit floats.
    F16(Vec<f16>),
    /// 16-bit floats with a long exponent.
    Bf16(Vec<bf16>),
    /// Groups of 8-bit integers.
    Q8(Vec<Q8Block>),
    /// Groups of 4-bit integers.
    Q4(Vec<Q4Block>),
}

impl Weights {
    /// Stores values in a format. The integer formats need a multiple of 32 values.
    pub(crate) fn new(values: Vec<f32>, precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Self::F32(values),
            Precision::Fp16 => {
                let mut halves = vec![f16::ZERO; values.len()];
                halves.convert_from_f32_slice(&values);
                Self::F16(halves)
            }
            Precision::Bf16 => Self::Bf16(values.into_iter().map(bf16::from_f32).collect()),
            Precision::Int8 => {
                Self::Q8(values.as_chunks::<QUANT_GROUP>().0.iter().map(Q8Block::new).collect())
            }
            Precision::Int4 => {
                Self::Q4(values.as_chunks::<QUANT_GROUP>().0.iter().map(Q4Block::new).collect())
            }
        }
    }

    /// Returns the values as 32-bit floats, expanded into `scratch` where they are stored
    /// otherwise.
    pub(crate) fn expand<'a>(&'a self, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Self::F32(values) => return values,
            Self::F16(halves) => {
                scratch.resize(halves.len(), 0.0);
                halves.convert_to_f32_slice(scratch);
            }
            Self::Bf16(halves) => {
                scratch.clear();
                scratch.extend(halves.iter().map(|half| half.to_f32()));
            }
            Self::Q8(blocks) => expand_blocks(blocks, scratch, Q8Block::expand),
            Self::Q4(blocks) => expand_blocks(blocks, scratch, Q4Block::expand),
        }
        scratch
    }

    /// Returns the bytes that the weights take.
    pub(crate) fn n_bytes(&self) -> usize {
        match self {
            Self::F32(values) => size_of_val(values.as_slice()),
            Self::F16(halves) => size_of_val(halves.as_slice()),
            Self::Bf16(halves) => size_of_val(halves.as_slice()),
            Self::Q8(blocks) => size_of_val(blocks.as_slice()),
            Self::Q4(blocks) => size_of_val(blocks.as_slice()),
        }
    }
}

fn expand_blocks<B>(
    blocks: &[B],
    scratch: &mut Vec<f32>,
    expand: impl Fn(&B, &mut [f32; QUANT_GROUP]),
) {
    scratch.resize(blocks.len() * QUANT_GROUP, 0.0);
    for (block, group) in blocks.iter().zip(scratch.as_chunks_mut::<QUANT_GROUP>().0) {
        expand(block, group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<f32> {
        (0..640).map(|idx| ((idx * 37 % 211) as f32 - 105.0) / 100.0).collect()
    }

    #[test]
    fn weights_come_back_as_near_as_their_format_allows() {
        // Largest value 1.05. Half an ulp at 1.05: 2^-11 and 2^-8; half a step of 1.05/127, and what
        // rounding the scale adds; and a whole step of 1.05/8, since the end of the range opposite the largest value is cut.
        let check = |precision: Precision, bound: f32, n_bytes: usize| {
            let weights = Weights::new(values(), precision);
            let mut scratch = Vec::new();
            let error = values()
                .iter()
                .zip(weights.expand(&mut scratch))
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(error <= bound, "{precision:?} {error}");
            assert_eq!(weights.n_bytes(), n_bytes, "{precision:?}");
            assert_eq!(error == 0.0, precision == Precision::Fp32);
        };
        check(Precision::Fp32, 0.0, 2560);
        check(Precision::Fp16, 1.0 / 2048.0, 1280);
        check(Precision::Bf16, 1.0 / 256.0, 1280);
        check(Precision::Int8, 1.05 * (0.5 / 127.0 + 1.0 / 2048.0), 640 + 40);
        check(Precision::Int4, 1.05 / 8.0 * 1.01, 320 + 40);
    }

    #[test]
    fn rounding_is_that_of_the_stored_format() {
        for precision in [Precision::Fp16, Precision::Bf16] {
            let mut rounded = values();
            precision.round(&mut rounded);
            let mut scratch = Vec::new();
            assert_eq!(rounded, Weights::new(values(), precision).expand(&mut scratch));
        }
    }
}
