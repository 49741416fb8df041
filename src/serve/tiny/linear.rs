//! Linear layers: one matrix product over all tokens of a step.

use matrixmultiply::sgemm;

use super::precision::{Precision, Weights};

/// A linear layer without bias.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    n_in: usize,
    n_out: usize,
    /// Row-major, `[n_out, n_in]`.
    weights: Weights,
    precision: Precision,
}

impl Linear {
    /// Returns a layer with row-major weights `[n_out, n_in]`, kept in a format.
    ///
    /// # Errors
    /// The number of weights is wrong, or `n_in` is not a multiple of the format's group.
    pub(crate) fn new(
        n_in: usize,
        n_out: usize,
        weights: Vec<f32>,
        precision: Precision,
    ) -> Result<Self, String> {
        if weights.len() != n_in * n_out {
            return Err(format!("{} weights for a layer of {n_out} x {n_in}", weights.len()));
        }
        let has_groups = matches!(precision, Precision::Int8 | Precision::Int4);
        if has_groups && !n_in.is_multiple_of(super::quant::QUANT_GROUP) {
            return Err(format!("rows of {n_in} weights do not divide into groups of 32"));
        }
        Ok(Self { n_in, n_out, weights: Weights::new(weights, precision), precision })
    }

    /// Returns the bytes that the weights take.
    pub(crate) fn n_bytes(&self) -> usize {
        self.weights.n_bytes()
    }

    /// Writes `inputs · weightsᵀ`, rounded to the layer's format; one row per token.
    ///
    /// A row of the result does not depend on the other rows: the product sums every element in
    /// the same order however many rows there are.
    pub(crate) fn apply(&self, inputs: &[f32], outputs: &mut Vec<f32>, scratch: &mut Vec<f32>) {
        let n_rows = inputs.len() / self.n_in;
        outputs.clear();
        outputs.resize(n_rows * self.n_out, 0.0);
        let weights = self.weights.expand(scratch);
        multiply_transposed(inputs, weights, outputs, [n_rows, self.n_in, self.n_out]);
        self.precision.round(outputs);
    }
}

/// Writes `left · rightᵀ` for row-major `left: [rows, width]` and `right: [columns, width]`.
#[expect(unsafe_code, reason = "matrixmultiply's interface is raw pointers")]
fn multiply_transposed(
    left: &[f32],
    right: &[f32],
    out: &mut [f32],
    [rows, width, columns]: [usize; 3],
) {
    let is_shaped =
        left.len() == rows * width && right.len() == columns * width && out.len() == rows * columns;
    assert!(is_shaped, "shapes of a product");
    // SAFETY: by the assertion above every index row * stride + column lies within its slice:
    // `left` is [rows, width] with strides (width, 1), `right` transposed is [width, columns]
    // with strides (1, width), `out` is [rows, columns] with strides (columns, 1); `out` is
    // borrowed mutably, so it overlaps neither.
    unsafe {
        sgemm(
            rows,
            width,
            columns,
            1.0,
            left.as_ptr(),
            width.cast_signed(),
            1,
            right.as_ptr(),
            1,
            width.cast_signed(),
            0.0,
            out.as_mut_ptr(),
            columns.cast_signed(),
            1,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_multiplies_rows_by_its_rows() {
        let layer = Linear::new(2, 3, vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0], Precision::Fp32).unwrap();
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        layer.apply(&[2.0, 3.0, 5.0, 7.0], &mut out, &mut scratch);
        assert_eq!(out, [2.0, 3.0, 5.0, 5.0, 7.0, 12.0]);
    }

    #[test]
    fn a_row_does_not_depend_on_its_company() {
        let (n_in, n_out) = (384, 128);
        let noise =
            |n: usize| (0..n).map(|idx| ((idx * 7919 % 1009) as f32 / 504.0) - 1.0).collect();
        let layer = Linear::new(n_in, n_out, noise(n_in * n_out), Precision::Fp32).unwrap();
        let inputs: Vec<f32> = noise(n_in * 37);
        let (mut together, mut alone, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        layer.apply(&inputs, &mut together, &mut scratch);
        for (row, expected) in inputs.chunks(n_in).zip(together.chunks(n_out)) {
            layer.apply(row, &mut alone, &mut scratch);
            assert_eq!(alone, expected);
        }
    }

    #[test]
    fn rows_that_do_not_divide_into_groups_cannot_be_quantised() {
        assert!(Linear::new(33, 2, vec![0.0; 66], Precision::Int8).is_err());
        assert!(Linear::new(33, 2, vec![0.0; 66], Precision::Fp16).is_ok());
        assert!(Linear::new(33, 2, vec![0.0; 65], Precision::Fp32).is_err());
    }
}
