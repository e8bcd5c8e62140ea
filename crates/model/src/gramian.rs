//! Sums of outer products, the heart of every normal equation here: blocks are summed in single precision by the
//! vectorised kernel, and blocks are added in double precision, so that a million rows lose nothing.

use cinedex_vectors::{Matrix, MatrixView, inner_products};
use rayon::prelude::*;

/// Rows summed in single precision before they are added up in double. An odd number of cache lines, so that the turned
/// block does not fall into few sets of the cache.
const BLOCK_ROWS: usize = 240;
/// The most parts that a Gramian is summed in; it depends on the rows alone, so that the sum is the same on any number of
/// threads.
const MOST_PARTS: usize = 32;

/// `G = sum of y yᵀ` over all rows: `dimension × dimension`, symmetric, accumulated in double precision. Parallel on the
/// current rayon pool; the same to the last bit on any number of threads.
pub fn gramian(movies: MatrixView<'_>) -> Matrix {
    let dimension = movies.dimension();
    let part_rows = movies.rows().div_ceil(MOST_PARTS).max(4 * BLOCK_ROWS);
    let parts: Vec<Vec<f64>> = movies
        .as_slice()
        .par_chunks(part_rows * dimension)
        .map(|part| {
            let mut sum = OuterProducts::new(dimension, part.len() / dimension);
            part.chunks_exact(dimension).for_each(|row| sum.add(1.0, row));
            sum.finish()
        })
        .collect();
    let mut total = vec![0.0f64; dimension * dimension];
    for part in parts {
        for (sum, value) in total.iter_mut().zip(part) {
            *sum += value;
        }
    }
    let mut matrix = Matrix::zeros(dimension, dimension);
    for row in 0..dimension {
        for column in 0..=row {
            let value = total[row * dimension + column] as f32;
            matrix.row_mut(row)[column] = value;
            matrix.row_mut(column)[row] = value;
        }
    }
    matrix
}

/// The Gramian of those movies alone that somebody has an opinion of, `observed` having one element a movie: the one that
/// training solved users against. Movies that took their embedding from metadata are not evidence of what a user leaves out.
pub fn observed_gramian(movies: MatrixView<'_>, observed: &[bool]) -> Matrix {
    let mut known = movies.to_matrix();
    for (movie, _) in observed.iter().enumerate().filter(|(_, observed)| !**observed) {
        known.row_mut(movie).fill(0.0);
    }
    gramian(known.view())
}

/// Accumulates `sum of weight y yᵀ`, weights at least 0.
pub(crate) struct OuterProducts {
    dimension: usize,
    /// The rows of the current block as columns, `dimension × width`; beyond `filled` zeros.
    turned: Matrix,
    filled: usize,
    /// `dimension × dimension`, of which the lower triangle counts.
    sum: Vec<f64>,
    scores: Vec<f32>,
}

impl OuterProducts {
    /// Room for rows of `dimension`; `expected` rows at once are summed fastest.
    pub(crate) fn new(dimension: usize, expected: usize) -> Self {
        let width = expected.next_multiple_of(16).clamp(16, BLOCK_ROWS);
        Self {
            dimension,
            turned: Matrix::zeros(dimension, width),
            filled: 0,
            sum: vec![0.0; dimension * dimension],
            scores: vec![0.0; dimension],
        }
    }

    /// Adds one row's outer product with itself.
    pub(crate) fn add(&mut self, weight: f32, row: &[f32]) {
        let (width, column, root) = (self.turned.dimension(), self.filled, weight.sqrt());
        for (line, value) in self.turned.as_mut_slice().chunks_exact_mut(width).zip(row) {
            line[column] = root * value;
        }
        self.filled += 1;
        if self.filled == width {
            self.flush();
        }
    }

    /// The sum: `dimension × dimension`, of which only the lower triangle counts.
    pub(crate) fn finish(mut self) -> Vec<f64> {
        self.flush();
        self.sum
    }

    fn flush(&mut self) {
        if self.filled == 0 {
            return;
        }
        let width = self.turned.dimension();
        for row in 0..self.dimension {
            let above = MatrixView::new(&self.turned.as_slice()[..(row + 1) * width], width);
            let scores = &mut self.scores[..=row];
            inner_products(above, self.turned.row(row), scores);
            for (sum, &score) in self.sum[row * self.dimension..].iter_mut().zip(scores.iter()) {
                *sum += f64::from(score);
            }
        }
        self.turned.as_mut_slice().fill(0.0);
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sum_of_outer_products() {
        for (rows, dimension) in [(0, 3), (1, 1), (7, 5), (241, 4), (5000, 3)] {
            let values: Vec<f32> =
                (0..rows * dimension).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
            let matrix = Matrix::from_packed(dimension, &values);
            let gram = gramian(matrix.view());
            for a in 0..dimension {
                for b in 0..dimension {
                    let exact: f64 = (0..rows)
                        .map(|row| f64::from(matrix.row(row)[a]) * f64::from(matrix.row(row)[b]))
                        .sum();
                    assert!((f64::from(gram.row(a)[b]) - exact).abs() <= 1e-5 * (1.0 + exact.abs()));
                }
            }
        }
    }

    #[test]
    fn what_nobody_has_an_opinion_of_is_left_out() {
        let movies = Matrix::from_packed(1, [2.0, 3.0, 5.0]);
        assert_eq!(observed_gramian(movies.view(), &[true, false, true]).as_slice(), [29.0]);
    }

    #[test]
    fn weights_multiply() {
        let mut sum = OuterProducts::new(2, 1);
        sum.add(4.0, &[1.0, 2.0]);
        sum.add(0.0, &[9.0, 9.0]);
        assert_eq!(sum.finish(), [4.0, 0.0, 8.0, 16.0]);
    }
}
