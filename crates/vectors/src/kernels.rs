//! The kernels' safe face: lengths are checked here, then the processor's instructions are chosen.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod codes;
mod portable;
#[cfg(target_arch = "x86_64")]
mod wide;

use crate::{Csr, Matrix, MatrixView};

/// What the kernels run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// What the target always has.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

impl InstructionSet {
    /// A short name for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// The best set that this processor has; cheap, the detection itself happens once.
#[inline]
pub fn instruction_set() -> InstructionSet {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return InstructionSet::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return InstructionSet::Avx2;
        }
    }
    InstructionSet::Portable
}

/// Calls a kernel in the processor's form. SAFETY of the two unsafe calls: the processor has the instructions, as
/// `instruction_set` has just found; lengths and rows are asserted by the caller of the macro.
macro_rules! dispatch {
    ($kernel:ident$(::<$count:literal>)?($($argument:expr),*)) => {
        match instruction_set() {
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX-512F was detected; the rest the caller has asserted.
            InstructionSet::Avx512 => unsafe { avx512::$kernel$(::<$count>)?($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX2 and FMA were detected; the rest the caller has asserted.
            InstructionSet::Avx2 => unsafe { avx2::$kernel$(::<$count>)?($($argument),*) },
            _ => portable::$kernel$(::<$count>)?($($argument),*),
        }
    };
}

/// Asks memory for what will be read soon. A hint: nothing follows from it but time.
#[inline]
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of_val(values)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[allow(unsafe_code)]
        // SAFETY: a prefetch of any address has no effect that could be observed.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast::<i8>().wrapping_add(line));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// The inner product. Panics if the lengths differ.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one length");
    dispatch!(dot(a, b))
}

/// The inner product in double precision. Panics if the lengths differ.
#[inline]
pub fn dot_f64(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of one length");
    dispatch!(dot_f64(a, b))
}

/// `y += alpha x`. Panics if the lengths differ.
#[inline]
pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "vectors of one length");
    dispatch!(axpy(alpha, x, y));
}

/// `x *= alpha`.
#[inline]
pub fn scale(alpha: f32, x: &mut [f32]) {
    for value in x {
        *value *= alpha;
    }
}

/// The Euclidean length.
pub fn norm(x: &[f32]) -> f32 {
    let squared = dot(x, x);
    if squared.is_normal() && squared < f32::MAX / 2.0 { squared.sqrt() } else { norm_f64(x) as f32 }
}

/// The Euclidean length in double precision, which neither overflows nor vanishes.
pub fn norm_f64(x: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value) * f64::from(value);
    // Sums side by side.
    let mut sums = [0.0; 8];
    let (blocks, rest) = x.as_chunks::<8>();
    for values in blocks {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum += square(value);
        }
    }
    (sums.iter().sum::<f64>() + rest.iter().map(|&value| square(value)).sum::<f64>()).sqrt()
}

/// Divides by the Euclidean length; `false`, and nothing changed, if that is zero or not a number.
pub fn normalize(x: &mut [f32]) -> bool {
    let norm = norm(x);
    if norm.is_normal() && norm.recip().is_normal() {
        scale(norm.recip(), x);
        return true;
    }
    // Lengths at the ends of the range: tiny, huge, zero or not finite.
    let norm = norm_f64(x);
    let usable = norm > 0.0 && norm.is_finite();
    if usable {
        for value in x {
            *value = (f64::from(*value) / norm) as f32;
        }
    }
    usable
}

/// The inner product of `query` with each row, into `out`. Panics unless `query` is as long as a row and `out` as there
/// are rows.
pub fn inner_products(matrix: MatrixView<'_>, query: &[f32], out: &mut [f32]) {
    assert_eq!(matrix.dimension(), query.len(), "a query as long as a row");
    assert_eq!(matrix.rows(), out.len(), "an answer for each row");
    dispatch!(inner_products(matrix.as_slice(), query, out));
}

/// The inner product of `query` with the rows here and there that `rows` names, into `out`: what [`dot`] gives of each, bit for
/// bit, but the rows are asked of memory ahead of their turn. Panics unless the rows exist, `query` is as long as a row and `out`
/// as there are `rows`.
pub fn dots_of(matrix: MatrixView<'_>, rows: &[u32], query: &[f32], out: &mut [f32]) {
    assert_eq!(matrix.dimension(), query.len(), "a query as long as a row");
    assert_eq!(rows.len(), out.len(), "an answer for each row");
    let last = rows.iter().max();
    assert!(last.is_none_or(|&row| (row as usize) < matrix.rows()), "rows of the matrix");
    dispatch!(dots_of(matrix.as_slice(), rows, query, out));
}

/// Columns in a panel of [`Panels`].
const PANEL: usize = 32;

/// A symmetric matrix laid out for products with several vectors at once: columns in panels of 32, each one stretch of memory.
pub struct Panels {
    size: usize,
    panels: Matrix,
}

impl Panels {
    /// Lays out `factor` times a symmetric matrix. Panics unless it is square.
    pub fn new(factor: f32, symmetric: MatrixView<'_>) -> Self {
        let size = symmetric.dimension();
        assert_eq!(symmetric.rows(), size, "a square matrix");
        let mut panels = Matrix::zeros(size * size.div_ceil(PANEL), PANEL);
        for row in 0..size {
            for (panel, part) in symmetric.row(row).chunks(PANEL).enumerate() {
                let to = &mut panels.row_mut(panel * size + row)[..part.len()];
                to.copy_from_slice(part);
                scale(factor, to);
            }
        }
        Self { size, panels }
    }

    /// The product with each of the `vectors`, packed one after another, into `out`. Each is the same whatever the others
    /// are. Panics if `vectors` are no vectors of the matrix's size, or `out` is not as long.
    pub fn multiply(&self, vectors: &[f32], out: &mut [f32]) {
        assert!(
            vectors.len() == out.len() && vectors.len().is_multiple_of(self.size),
            "vectors of the matrix"
        );
        let panels = self.panels.as_slice();
        let (mut vectors, mut out) = (vectors, out);
        while !vectors.is_empty() {
            let count = match vectors.len() / self.size {
                8.. => 8,
                4.. => 4,
                _ => 1,
            };
            let (own, own_out);
            (own, vectors) = vectors.split_at(count * self.size);
            (own_out, out) = out.split_at_mut(count * self.size);
            match count {
                8 => dispatch!(multiply_panels::<8>(panels, own, own_out)),
                4 => dispatch!(multiply_panels::<4>(panels, own, own_out)),
                _ => dispatch!(multiply_panels::<1>(panels, own, own_out)),
            }
        }
    }
}

/// The observed part of a row's normal equation: `sum_k c_k y_k y_kᵀ`, where `y_k` is row `rows_k` of a matrix and `c_k` its
/// confidence. Never formed: only multiplied with.
#[derive(Debug, Clone, Copy)]
pub struct NormalTerms<'a> {
    matrix: MatrixView<'a>,
    rows: &'a [u32],
    confidences: &'a [f32],
}

impl<'a> NormalTerms<'a> {
    /// The terms of one row of `observed`, whose columns are rows of `matrix`. Panics if it has columns that the matrix has not,
    /// or there is not a confidence for each entry of the row.
    pub fn new<T: Copy>(
        matrix: MatrixView<'a>,
        observed: &'a Csr<T>,
        row: usize,
        confidences: &'a [f32],
    ) -> Self {
        let rows = observed.row(row).0;
        // Sparse rows hold no column beyond their count.
        assert!(observed.column_count() <= matrix.rows(), "rows of the matrix");
        assert_eq!(rows.len(), confidences.len(), "a confidence for each entry");
        Self { matrix, rows, confidences }
    }

    /// `out += sum_k (c_k <y_k, x> + offsets_k) y_k`, or without offsets the product with `x` alone. Panics if there is not
    /// an offset for each row, or `x` or `out` is not as long as a row.
    pub fn add(&self, offsets: Option<&[f32]>, x: &[f32], out: &mut [f32]) {
        let dimension = self.matrix.dimension();
        assert!(x.len() == dimension && out.len() == dimension, "vectors as long as a row");
        assert!(offsets.is_none_or(|offsets| offsets.len() == self.rows.len()), "an offset for each row");
        dispatch!(add_terms(self.matrix.as_slice(), self.rows, self.confidences, offsets, x, out));
    }

    /// `sum_k c_k <y_k, x>²`. Panics if `x` is not as long as a row.
    pub fn curvature(&self, x: &[f32]) -> f32 {
        assert_eq!(x.len(), self.matrix.dimension(), "a vector as long as a row");
        dispatch!(curvature(self.matrix.as_slice(), self.rows, self.confidences, x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `length` numbers in -1 to 1 from a seed.
    fn numbers(length: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn close(a: f32, b: f32, terms: usize) -> bool {
        (a - b).abs() <= 1e-5 * (1.0 + a.abs() + b.abs()) * (1.0 + (terms as f32).sqrt())
    }

    type Dot = fn(&[f32], &[f32]) -> f32;

    /// Every form of the inner product that this processor can run.
    fn dots() -> Vec<(&'static str, Dot)> {
        let mut forms: Vec<(&'static str, Dot)> = vec![("portable", portable::dot)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                #[allow(unsafe_code)]
                // SAFETY: the instructions were detected.
                forms.push(("avx2", |a, b| unsafe { avx2::dot(a, b) }));
            }
            if is_x86_feature_detected!("avx512f") {
                #[allow(unsafe_code)]
                // SAFETY: the instructions were detected.
                forms.push(("avx512", |a, b| unsafe { avx512::dot(a, b) }));
            }
        }
        forms
    }

    #[test]
    fn rows_here_and_there_score_as_they_do_alone() {
        for (dimension, count) in [(1, 1), (7, 40), (64, 100), (100, 33), (256, 20)] {
            let matrix = Matrix::from_packed(dimension, numbers(count * dimension, 3));
            let query = numbers(dimension, 5);
            for picked in [vec![], vec![0], (0..count as u32).rev().chain([0, 0]).collect()] {
                let mut out = vec![0.0; picked.len()];
                dots_of(matrix.view(), &picked, &query, &mut out);
                let expect: Vec<f32> =
                    picked.iter().map(|&row| dot(matrix.row(row as usize), &query)).collect();
                assert_eq!(out, expect);
            }
        }
    }

    type Products = fn(&[f32], &[f32], &mut [f32]);
    type Terms = fn(&[f32], &[u32], &[f32], Option<&[f32]>, &[f32], &mut [f32]);
    type Curvature = fn(&[f32], &[u32], &[f32], &[f32]) -> f32;
    type Axpy = fn(f32, &[f32], &mut [f32]);
    type Dot64 = fn(&[f64], &[f64]) -> f64;

    /// The vectorised forms of the other kernels that this processor can run.
    fn forms() -> Vec<(Products, Terms, Curvature, Axpy, Dot64)> {
        let mut forms: Vec<(Products, Terms, Curvature, Axpy, Dot64)> = Vec::new();
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the instructions were detected.
                forms.push((
                    |m, q, out| unsafe { avx2::inner_products(m, q, out) },
                    |m, r, s, o, x, out| unsafe { avx2::add_terms(m, r, s, o, x, out) },
                    |m, r, s, x| unsafe { avx2::curvature(m, r, s, x) },
                    |alpha, x, y| unsafe { avx2::axpy(alpha, x, y) },
                    |a, b| unsafe { avx2::dot_f64(a, b) },
                ));
            }
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the instructions were detected.
                forms.push((
                    |m, q, out| unsafe { avx512::inner_products(m, q, out) },
                    |m, r, s, o, x, out| unsafe { avx512::add_terms(m, r, s, o, x, out) },
                    |m, r, s, x| unsafe { avx512::curvature(m, r, s, x) },
                    |alpha, x, y| unsafe { avx512::axpy(alpha, x, y) },
                    |a, b| unsafe { avx512::dot_f64(a, b) },
                ));
            }
        }
        forms
    }

    /// Every form of the product of panels with eight vectors that this processor can run.
    fn panel_forms() -> Vec<Products> {
        let mut forms: Vec<Products> = vec![portable::multiply_panels::<8>];
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the instructions were detected, and the test's lengths fit together.
                forms.push(|panels, v, out| unsafe { avx2::multiply_panels::<8>(panels, v, out) });
            }
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the same.
                forms.push(|panels, v, out| unsafe { avx512::multiply_panels::<8>(panels, v, out) });
            }
        }
        forms
    }

    /// Dimensions of every tail and of every specialised width.
    fn dimensions() -> impl Strategy<Value = usize> {
        prop_oneof![1usize..70, Just(64), Just(96), Just(128), Just(192), Just(256), Just(300), Just(512)]
    }

    proptest! {
        #[test]
        fn every_dot_agrees_with_double_precision(length in 0usize..300, seed: u64) {
            let (a, b) = (numbers(length, seed), numbers(length, seed.rotate_left(9)));
            let exact: f64 = a.iter().zip(&b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            for (name, form) in dots() {
                prop_assert!(close(form(&a, &b), exact as f32, length), "{name}");
            }
            let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
            prop_assert!((portable::dot_f64(&wide(&a), &wide(&b)) - exact).abs() < 1e-12);
            for form in forms() {
                prop_assert!((form.4(&wide(&a), &wide(&b)) - exact).abs() < 1e-12);
            }
        }

        #[test]
        fn every_form_agrees_with_its_portable_twin(dimension in dimensions(), rows in 0usize..23, seed: u64) {
            let matrix = numbers(rows.max(1) * dimension, seed);
            let x = numbers(dimension, seed.rotate_left(1));
            let picked: Vec<u32> = (0..rows as u32).rev().collect();
            let (slopes, offsets) = (numbers(rows, seed.rotate_left(2)), numbers(rows, seed.rotate_left(3)));
            let start = numbers(dimension, seed.rotate_left(4));
            let mut expect = start.clone();
            portable::add_terms(&matrix, &picked, &slopes, Some(&offsets), &x, &mut expect);
            let mut product = start.clone();
            portable::add_terms(&matrix, &picked, &slopes, None, &x, &mut product);
            let curvature = portable::curvature(&matrix, &picked, &slopes, &x);
            let mut products = vec![0.0; rows.max(1)];
            portable::inner_products(&matrix, &x, &mut products);
            let mut sum = start.clone();
            portable::axpy(0.7, &x, &mut sum);
            for (inner_products, add_terms, curvature_of, axpy, _) in forms() {
                let mut out = start.clone();
                add_terms(&matrix, &picked, &slopes, Some(&offsets), &x, &mut out);
                prop_assert!(out.iter().zip(&expect).all(|(&a, &b)| close(a, b, dimension * rows)));
                let mut out = start.clone();
                add_terms(&matrix, &picked, &slopes, None, &x, &mut out);
                prop_assert!(out.iter().zip(&product).all(|(&a, &b)| close(a, b, dimension * rows)));
                prop_assert!(close(curvature_of(&matrix, &picked, &slopes, &x), curvature, dimension * rows));
                let mut out = vec![0.0; rows.max(1)];
                inner_products(&matrix, &x, &mut out);
                prop_assert!(out.iter().zip(&products).all(|(&a, &b)| close(a, b, dimension)));
                let mut out = start.clone();
                axpy(0.7, &x, &mut out);
                prop_assert!(out.iter().zip(&sum).all(|(&a, &b)| close(a, b, 1)));
            }
        }
    }

    proptest! {
        #[test]
        fn panels_multiply_as_rows_do(size in prop_oneof![1usize..70, Just(128)], count in 0usize..14, seed: u64) {
            let half = numbers(size * size, seed);
            let symmetric: Vec<f32> =
                (0..size * size).map(|at| half[at] + half[at % size * size + at / size]).collect();
            let symmetric = Matrix::from_packed(size, &symmetric);
            let vectors = numbers(count * size, seed.rotate_left(1));
            let mut out = numbers(count * size, seed.rotate_left(2));
            Panels::new(0.5, symmetric.view()).multiply(&vectors, &mut out);
            let mut expect = vec![0.0; size];
            for (vector, found) in vectors.chunks_exact(size).zip(out.chunks_exact(size)) {
                inner_products(symmetric.view(), vector, &mut expect);
                prop_assert!(found.iter().zip(&expect).all(|(&a, &b)| close(a, b / 2.0, size)));
            }
            let panels = Panels::new(0.5, symmetric.view());
            for (vectors, expect) in vectors.chunks_exact(8 * size).zip(out.chunks_exact(8 * size)) {
                let mut found = vec![0.0; 8 * size];
                for eight_products in panel_forms() {
                    eight_products(panels.panels.as_slice(), vectors, &mut found);
                    prop_assert!(found.iter().zip(expect).all(|(&a, &b)| close(a, b, size)));
                }
            }
        }
    }

    #[test]
    fn the_portable_forms_do_what_they_say() {
        let matrix = [1.0, 2.0, 3.0, 4.0];
        let mut out = [10.0, 20.0];
        portable::add_terms(&matrix, &[1, 0], &[2.0, 0.5], Some(&[1.0, 0.0]), &[1.0, -1.0], &mut out);
        // (1 + 2 * (3 - 4)) * (3, 4) + 0.5 * (1 - 2) * (1, 2)
        assert_eq!(out, [10.0 - 3.0 - 0.5, 20.0 - 4.0 - 1.0]);
        assert_eq!(portable::curvature(&matrix, &[1, 0], &[2.0, 0.5], &[1.0, -1.0]), 2.0 + 0.5);
        portable::inner_products(&matrix, &[1.0, -1.0], &mut out);
        assert_eq!(out, [-1.0, -1.0]);
    }

    fn check_normalize(x: [f32; 2], expect: Option<[f32; 2]>) {
        let mut y = x;
        assert_eq!(normalize(&mut y), expect.is_some(), "{x:?}");
        let expect = expect.unwrap_or(x);
        assert!(
            y.iter().zip(expect).all(|(a, b)| (a - b).abs() < 1e-6 || a.to_bits() == b.to_bits()),
            "{y:?}"
        );
    }

    #[test]
    fn lengths_at_the_ends_of_the_range_are_handled() {
        check_normalize([3.0, 4.0], Some([0.6, 0.8]));
        check_normalize([0.0, 0.0], None);
        check_normalize([3e30, 4e30], Some([0.6, 0.8]));
        check_normalize([3e-40, 4e-40], Some([0.6, 0.8]));
        check_normalize([f32::MAX, f32::MAX], Some([0.5f32.sqrt(); 2]));
        check_normalize([f32::INFINITY, 1.0], None);
        check_normalize([f32::NAN, 1.0], None);
        assert_eq!(norm(&[]), 0.0);
    }
}
