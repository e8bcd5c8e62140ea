//! The exact solution of a symmetric positive definite system, in double precision.

use cinedex_vectors::dot_f64;

/// `A = L Lᵀ`, ready to solve.
pub(crate) struct Cholesky {
    size: usize,
    /// `L`, row-major; what is above the diagonal is never read.
    lower: Vec<f64>,
    /// `Lᵀ`, row-major, so that both substitutions run along rows.
    upper: Vec<f64>,
}

impl Cholesky {
    /// Factors the `size × size` matrix of which the lower triangle is given; `None` unless it is positive definite.
    pub(crate) fn new(size: usize, mut matrix: Vec<f64>) -> Option<Self> {
        for row in 0..size {
            let (above, own) = matrix.split_at_mut(row * size);
            for column in 0..row {
                let other = &above[column * size..][..=column];
                own[column] = (own[column] - dot_f64(&own[..column], &other[..column])) / other[column];
            }
            let pivot = own[row] - dot_f64(&own[..row], &own[..row]);
            if pivot.is_nan() || pivot <= 0.0 || pivot.is_infinite() {
                return None;
            }
            own[row] = pivot.sqrt();
        }
        let mut upper = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                upper[column * size + row] = matrix[row * size + column];
            }
        }
        Some(Self { size, lower: matrix, upper })
    }

    /// `L⁻¹`, row-major, zeros above the diagonal.
    pub(crate) fn inverse_of_lower(&self) -> Vec<f64> {
        let size = self.size;
        let mut inverse = vec![0.0; size * size];
        let mut column = vec![0.0; size];
        for first in 0..size {
            column[first] = 1.0 / self.lower[first * (size + 1)];
            for row in first + 1..size {
                let line = &self.lower[row * size..][..=row];
                column[row] = -dot_f64(&line[first..row], &column[first..row]) / line[row];
            }
            for row in first..size {
                inverse[row * size + first] = column[row];
            }
        }
        inverse
    }

    /// `A⁻¹ b`.
    pub(crate) fn solve(&self, mut b: Vec<f64>) -> Vec<f64> {
        let size = self.size;
        for row in 0..size {
            let line = &self.lower[row * size..][..=row];
            b[row] = (b[row] - dot_f64(&line[..row], &b[..row])) / line[row];
        }
        for row in (0..size).rev() {
            let line = &self.upper[row * size..][..size];
            b[row] = (b[row] - dot_f64(&line[row + 1..], &b[row + 1..])) / line[row];
        }
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_solves() {
        let cholesky = Cholesky::new(2, vec![4.0, f64::NAN, 2.0, 3.0]).unwrap();
        let x = cholesky.solve(vec![10.0, 8.0]);
        assert!((x[0] - 1.75).abs() < 1e-12 && (x[1] - 1.5).abs() < 1e-12, "{x:?}");
        // L = [2 0; 1 √2].
        let inverse = cholesky.inverse_of_lower();
        let expect = [0.5, 0.0, -0.5 / 2f64.sqrt(), 1.0 / 2f64.sqrt()];
        assert!(
            inverse.iter().zip(expect).all(|(found, expect)| (found - expect).abs() < 1e-12),
            "{inverse:?}"
        );
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        assert!(Cholesky::new(2, vec![1.0, 0.0, 2.0, 1.0]).is_none());
        assert!(Cholesky::new(1, vec![f64::NAN]).is_none());
        assert!(Cholesky::new(0, vec![]).is_some());
    }
}
