//! The inverse of a large symmetric positive definite matrix, in place and in parallel: the blocked sweep operator
//! (Goodnight 1979, "A Tutorial on the SWEEP Operator"). It knows nothing of what the matrix is for.

use cinedex_vectors::{Matrix, MatrixView, inner_products};
use rayon::prelude::*;

use crate::cholesky::Cholesky;

/// Rows that are swept at once: so long is each inner product of the update, in which all the work lies.
const BLOCK: usize = 128;
/// Rows and columns of one tile of the update: so many pieces of [`BLOCK`] numbers fit the nearest cache.
const TILE: usize = 64;

/// Replaces the `size × size` matrix, of which only the lower triangle is read, by its inverse, both triangles; `false`, with
/// the matrix spoilt, unless it is positive definite as far as single precision can tell. `size³` floating-point operations on
/// the current rayon pool; the same to the last bit on any number of threads. Panics unless the matrix is square.
pub(crate) fn invert(matrix: &mut Matrix) -> bool {
    let size = matrix.dimension();
    assert_eq!(matrix.rows(), size, "a square matrix");
    (0..size).step_by(BLOCK).all(|start| sweep(matrix, start, BLOCK.min(size - start))) && {
        negate_and_mirror(matrix);
        true
    }
}

/// Sweeps the pivots `K = start .. start + width` of a lower triangle: with `D = A_KK` and for all `I`, `J` outside of `K`,
/// `A_IJ -= A_IK D⁻¹ A_KJ`, `A_IK = A_IK D⁻¹` and `A_KK = -D⁻¹`. Swept by every pivot once, `A` is minus its inverse.
fn sweep(matrix: &mut Matrix, start: usize, width: usize) -> bool {
    let size = matrix.dimension();
    let Some(pivot_inverse) = pivot_inverse(matrix, start, width) else { return false };
    let columns = columns(matrix, start, width);
    let mut solved = Matrix::zeros(size, width);
    let pairs = solved.as_mut_slice().par_chunks_mut(width).zip(columns.as_slice().par_chunks(width));
    pairs.for_each(|(solved, column)| inner_products(pivot_inverse.view(), column, solved));
    matrix.as_mut_slice().par_chunks_mut(TILE * size).enumerate().for_each(|(tile, rows)| {
        let first_row = tile * TILE;
        update(rows, first_row, start..start + width, &columns, &solved);
        for (row, values) in (first_row..).zip(rows.chunks_exact_mut(size)) {
            if row >= start + width {
                values[start..start + width].copy_from_slice(solved.row(row));
            } else if row >= start {
                let pivot = row - start;
                for (column, value) in values[..start].iter_mut().enumerate() {
                    *value = solved.row(column)[pivot];
                }
                for (value, inverse) in values[start..].iter_mut().zip(pivot_inverse.row(pivot)) {
                    *value = -inverse;
                }
            }
        }
    });
    true
}

/// `A_IJ -= A_IK (D⁻¹ A_KJ)` for some whole rows, left of and on the diagonal; what falls on `K` is overwritten afterwards.
fn update(
    rows: &mut [f32],
    first_row: usize,
    pivots: std::ops::Range<usize>,
    columns: &Matrix,
    solved: &Matrix,
) {
    let (size, width) = (columns.rows(), columns.dimension());
    let mut products = [0.0; TILE];
    let last_row = first_row + rows.len() / size;
    for first in (0..last_row).step_by(TILE) {
        let end = (first + TILE).min(last_row);
        let tile = MatrixView::new(&solved.as_slice()[first * width..end * width], width);
        let products = &mut products[..end - first];
        for (row, values) in (first_row..).zip(rows.chunks_exact_mut(size)) {
            if pivots.contains(&row) {
                continue;
            }
            inner_products(tile, columns.row(row), products);
            for (value, product) in values[first..end].iter_mut().zip(products.iter()) {
                *value -= product;
            }
        }
    }
}

/// `D⁻¹`, exactly symmetric, by way of double precision.
fn pivot_inverse(matrix: &Matrix, start: usize, width: usize) -> Option<Matrix> {
    let row = |row: usize| matrix.row(start + row)[start..start + width].iter().copied().map(f64::from);
    let cholesky = Cholesky::new(width, (0..width).flat_map(row).collect())?;
    let mut inverse = Matrix::zeros(width, width);
    for column in 0..width {
        let mut unit = vec![0.0; width];
        unit[column] = 1.0;
        for (row, value) in cholesky.solve(unit).into_iter().enumerate().take(column + 1) {
            inverse.row_mut(row)[column] = value as f32;
            inverse.row_mut(column)[row] = value as f32;
        }
    }
    Some(inverse)
}

/// `A_IK` for all rows `I`, `size × width`; what is above the diagonal is read below it. Zeros for the pivots themselves.
fn columns(matrix: &Matrix, start: usize, width: usize) -> Matrix {
    let mut columns = Matrix::zeros(matrix.rows(), width);
    columns.as_mut_slice().par_chunks_mut(width).enumerate().for_each(|(row, column)| {
        if row >= start + width {
            column.copy_from_slice(&matrix.row(row)[start..start + width]);
        } else if row < start {
            for (pivot, value) in column.iter_mut().enumerate() {
                *value = matrix.row(start + pivot)[row];
            }
        }
    });
    columns
}

/// Turns the sign of the lower triangle and copies it to the upper, by tiles.
fn negate_and_mirror(matrix: &mut Matrix) {
    let size = matrix.dimension();
    matrix.as_mut_slice().par_iter_mut().for_each(|value| *value = -*value);
    for first_row in (0..size).step_by(TILE) {
        for first_column in (0..=first_row).step_by(TILE) {
            for row in first_row..(first_row + TILE).min(size) {
                for column in first_column..(first_column + TILE).min(row) {
                    let value = matrix.as_slice()[row * size + column];
                    matrix.as_mut_slice()[column * size + row] = value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `X Xᵀ + ridge I` of pseudo-random `X`, with rubbish above the diagonal.
    fn positive_definite(size: usize, ridge: f32, seed: u32) -> Matrix {
        let value = |cell: usize| {
            let hash =
                (cell as u32).wrapping_mul(2_654_435_761).wrapping_add(seed).wrapping_mul(2_246_822_519);
            (hash >> 8) as f32 / (1u32 << 23) as f32 - 1.0
        };
        let factors = Matrix::from_packed(7, (0..7 * size).map(value).collect::<Vec<_>>());
        let mut matrix = Matrix::zeros(size, size);
        for row in 0..size {
            for column in 0..=row {
                matrix.row_mut(column)[row] = f32::NAN;
                let product = cinedex_vectors::dot(factors.row(row), factors.row(column));
                matrix.row_mut(row)[column] = product + if row == column { ridge } else { 0.0 };
            }
        }
        matrix
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        assert!(!invert(&mut Matrix::from_packed(2, [1.0, 0.0, 2.0, 1.0])));
        assert!(!invert(&mut positive_definite(300, -1.0, 3)));
        assert!(invert(&mut Matrix::from_packed(1, [4.0])));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_inverse_times_the_matrix_is_one(size in 1usize..400, seed in any::<u32>()) {
            let matrix = positive_definite(size, 0.5, seed);
            let mut inverse = matrix.clone();
            prop_assert!(invert(&mut inverse));
            for row in 0..size {
                for column in 0..size {
                    let at = |k: usize| if k <= column { matrix.row(column)[k] } else { matrix.row(k)[column] };
                    let product: f64 = (0..size).map(|k| f64::from(inverse.row(row)[k]) * f64::from(at(k))).sum();
                    let expect = f64::from(u8::from(row == column));
                    prop_assert!((product - expect).abs() < 1e-2, "{row} {column} {product}");
                    prop_assert_eq!(inverse.row(row)[column], inverse.row(column)[row]);
                }
            }
        }
    }
}
