//! Rows of `f32`, packed one after another, owned ([`Matrix`]) or borrowed ([`MatrixView`]).

use std::fmt;

/// Where a matrix starts in memory: a multiple of a cache line and of the widest register.
const ALIGNMENT_BYTES: usize = 64;

/// An owned `rows × dimension` matrix, row-major, packed (no padding between rows), its buffer aligned to 64 bytes.
pub struct Matrix {
    /// Longer than needed, so that an aligned stretch of it holds the matrix; never reallocated.
    buffer: Vec<f32>,
    start: usize,
    length: usize,
    dimension: usize,
}

impl Matrix {
    /// A matrix of zeros. Panics if `dimension` is 0.
    pub fn zeros(rows: usize, dimension: usize) -> Self {
        assert!(dimension > 0, "a matrix has at least one column");
        let length = rows.checked_mul(dimension).expect("a matrix that memory can hold has fewer elements");
        let buffer = vec![0.0; length + ALIGNMENT_BYTES / size_of::<f32>() - 1];
        let start = buffer.as_ptr().align_offset(ALIGNMENT_BYTES);
        // `align_offset` may refuse by an impossible offset; the matrix is then merely slower.
        let start = if start + length <= buffer.len() { start } else { 0 };
        Self { buffer, start, length, dimension }
    }

    /// Copies packed rows. Panics if `dimension` is 0 or does not divide the number of values.
    pub fn from_packed(dimension: usize, values: impl AsRef<[f32]>) -> Self {
        MatrixView::new(values.as_ref(), dimension).to_matrix()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.length / self.dimension
    }

    /// Length of a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// One row. Panics out of range.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.as_slice()[row * self.dimension..][..self.dimension]
    }

    /// One row, to be written. Panics out of range.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let dimension = self.dimension;
        &mut self.as_mut_slice()[row * dimension..][..dimension]
    }

    /// All rows, one after another.
    pub fn as_slice(&self) -> &[f32] {
        &self.buffer[self.start..][..self.length]
    }

    /// All rows, one after another, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.buffer[self.start..][..self.length]
    }

    /// Borrows it.
    pub fn view(&self) -> MatrixView<'_> {
        MatrixView { values: self.as_slice(), dimension: self.dimension }
    }
}

impl Clone for Matrix {
    fn clone(&self) -> Self {
        self.view().to_matrix()
    }
}

impl PartialEq for Matrix {
    fn eq(&self, other: &Self) -> bool {
        self.dimension == other.dimension && self.as_slice() == other.as_slice()
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Matrix({} × {})", self.rows(), self.dimension)
    }
}

/// A borrowed `rows × dimension` matrix, row-major and packed, of any alignment.
#[derive(Clone, Copy)]
pub struct MatrixView<'a> {
    values: &'a [f32],
    dimension: usize,
}

impl<'a> MatrixView<'a> {
    /// Reads `values` as packed rows. Panics if `dimension` is 0 or does not divide the number of values.
    pub fn new(values: &'a [f32], dimension: usize) -> Self {
        assert!(dimension > 0, "a matrix has at least one column");
        assert!(values.len().is_multiple_of(dimension), "{} values are no rows of {dimension}", values.len());
        Self { values, dimension }
    }

    /// Number of rows.
    pub fn rows(self) -> usize {
        self.values.len() / self.dimension
    }

    /// Length of a row.
    pub fn dimension(self) -> usize {
        self.dimension
    }

    /// One row. Panics out of range.
    pub fn row(self, row: usize) -> &'a [f32] {
        &self.values[row * self.dimension..][..self.dimension]
    }

    /// All rows, one after another.
    pub fn as_slice(self) -> &'a [f32] {
        self.values
    }

    /// An aligned copy.
    pub fn to_matrix(self) -> Matrix {
        let mut matrix = Matrix::zeros(self.rows(), self.dimension);
        matrix.as_mut_slice().copy_from_slice(self.values);
        matrix
    }
}

impl fmt::Debug for MatrixView<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MatrixView({} × {})", self.rows(), self.dimension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_packed_and_aligned() {
        for rows in 0..5 {
            let matrix = Matrix::zeros(rows, 3);
            assert_eq!(matrix.as_slice().as_ptr().align_offset(ALIGNMENT_BYTES), 0);
            assert_eq!((matrix.rows(), matrix.dimension(), matrix.as_slice().len()), (rows, 3, rows * 3));
        }
    }

    #[test]
    fn a_copy_equals_its_source_and_is_its_own() {
        let mut matrix = Matrix::from_packed(2, vec![1.0, 2.0, 3.0, 4.0]);
        let copy = matrix.clone();
        assert_eq!(copy, matrix);
        matrix.row_mut(1)[0] = 9.0;
        assert_eq!((matrix.row(1), copy.row(1)), (&[9.0, 4.0][..], &[3.0, 4.0][..]));
        assert_eq!(copy.view().row(0), [1.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "3 values are no rows of 2")]
    fn a_broken_row_is_refused() {
        MatrixView::new(&[0.0; 3], 2);
    }
}
