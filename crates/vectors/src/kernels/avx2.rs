//! The kernels in AVX2 with FMA. Each function demands that the processor has both; slices may be of any alignment.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128, __m256, _mm_add_ps, _mm_cvtss_f32, _mm_storeu_ps, _mm256_add_pd, _mm256_add_ps,
    _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_fmadd_pd, _mm256_fmadd_ps, _mm256_hadd_ps,
    _mm256_loadu_pd, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_pd, _mm256_setzero_ps, _mm256_storeu_pd,
    _mm256_storeu_ps,
};

/// Numbers in a register.
const WIDTH: usize = 8;

#[target_feature(enable = "avx2,fma")]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (x, y) = (a.as_ptr(), b.as_ptr());
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut at = 0;
    // SAFETY: every load ends at or before `length`.
    unsafe {
        while at + 4 * WIDTH <= length {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let from = at + lane * WIDTH;
                *sum = _mm256_fmadd_ps(_mm256_loadu_ps(x.add(from)), _mm256_loadu_ps(y.add(from)), *sum);
            }
            at += 4 * WIDTH;
        }
        while at + WIDTH <= length {
            sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(x.add(at)), _mm256_loadu_ps(y.add(at)), sums[0]);
            at += WIDTH;
        }
    }
    _mm_cvtss_f32(four_sums(sums_to_first(sums))) + rest(&a[at..length], &b[at..length])
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn dot_f64(a: &[f64], b: &[f64]) -> f64 {
    let length = a.len().min(b.len());
    let (x, y) = (a.as_ptr(), b.as_ptr());
    let mut sums = [_mm256_setzero_pd(); 2];
    let mut at = 0;
    // SAFETY: every load ends at or before `length`.
    unsafe {
        while at + 8 <= length {
            sums[0] = _mm256_fmadd_pd(_mm256_loadu_pd(x.add(at)), _mm256_loadu_pd(y.add(at)), sums[0]);
            sums[1] =
                _mm256_fmadd_pd(_mm256_loadu_pd(x.add(at + 4)), _mm256_loadu_pd(y.add(at + 4)), sums[1]);
            at += 8;
        }
    }
    let mut lanes = [0.0; 4];
    // SAFETY: four numbers.
    unsafe { _mm256_storeu_pd(lanes.as_mut_ptr(), _mm256_add_pd(sums[0], sums[1])) };
    lanes.iter().sum::<f64>() + a[at..length].iter().zip(&b[at..length]).map(|(x, y)| x * y).sum::<f64>()
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    let factor = _mm256_set1_ps(alpha);
    let (x_blocks, x_rest) = x.as_chunks::<WIDTH>();
    let (y_blocks, y_rest) = y.as_chunks_mut::<WIDTH>();
    for (from, to) in x_blocks.iter().zip(y_blocks) {
        // SAFETY: both blocks hold a register's numbers.
        unsafe {
            let sum = _mm256_fmadd_ps(factor, _mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(to.as_ptr()));
            _mm256_storeu_ps(to.as_mut_ptr(), sum);
        }
    }
    for (from, to) in x_rest.iter().zip(y_rest) {
        *to = alpha.mul_add(*from, *to);
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn inner_products(matrix: &[f32], query: &[f32], out: &mut [f32]) {
    let dimension = query.len();
    let (blocks, rest) = out.as_chunks_mut::<4>();
    let mut rows = matrix.chunks_exact(dimension);
    for block in blocks {
        let mut four: [&[f32]; 4] = [query; 4];
        for (slot, row) in four.iter_mut().zip(&mut rows) {
            *slot = row;
        }
        *block = four_dots(four, query);
    }
    for (row, score) in rows.zip(rest) {
        *score = dot(row, query);
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn add_normal_terms(
    matrix: &[f32],
    rows: &[u32],
    slopes: &[f32],
    offsets: &[f32],
    x: &[f32],
    out: &mut [f32],
) {
    let dimension = x.len();
    let count = rows.len().min(slopes.len()).min(offsets.len());
    let mut at = 0;
    while at + 4 <= count {
        let mut four: [&[f32]; 4] = [x; 4];
        for (slot, &row) in four.iter_mut().zip(&rows[at..]) {
            *slot = &matrix[row as usize * dimension..][..dimension];
        }
        let mut factors = four_dots(four, x);
        for (k, factor) in factors.iter_mut().enumerate() {
            *factor = slopes[at + k].mul_add(*factor, offsets[at + k]);
        }
        add_four(factors, four, out);
        at += 4;
    }
    for ((&row, slope), offset) in rows[at..count].iter().zip(&slopes[at..]).zip(&offsets[at..]) {
        let row = &matrix[row as usize * dimension..][..dimension];
        axpy(slope.mul_add(dot(row, x), *offset), row, out);
    }
}

/// `out += sum of factors_k rows_k`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_four(factors: [f32; 4], rows: [&[f32]; 4], out: &mut [f32]) {
    let length = rows.iter().fold(out.len(), |length, row| length.min(row.len()));
    let mut at = 0;
    // SAFETY: every load and store ends at or before `length`.
    unsafe {
        while at + WIDTH <= length {
            let mut sum = _mm256_loadu_ps(out.as_ptr().add(at));
            for k in 0..4 {
                let row = _mm256_loadu_ps(rows[k].as_ptr().add(at));
                sum = _mm256_fmadd_ps(_mm256_set1_ps(factors[k]), row, sum);
            }
            _mm256_storeu_ps(out.as_mut_ptr().add(at), sum);
            at += WIDTH;
        }
    }
    for (position, to) in out.iter_mut().enumerate().take(length).skip(at) {
        for k in 0..4 {
            *to = factors[k].mul_add(rows[k][position], *to);
        }
    }
}

/// The inner products of four rows with one query.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn four_dots(rows: [&[f32]; 4], query: &[f32]) -> [f32; 4] {
    let length = rows.iter().fold(query.len(), |length, row| length.min(row.len()));
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut at = 0;
    let mut dots = [0.0; 4];
    // SAFETY: every load ends at or before `length`; `dots` holds four numbers.
    unsafe {
        while at + WIDTH <= length {
            let part = _mm256_loadu_ps(query.as_ptr().add(at));
            for k in 0..4 {
                sums[k] = _mm256_fmadd_ps(_mm256_loadu_ps(rows[k].as_ptr().add(at)), part, sums[k]);
            }
            at += WIDTH;
        }
        _mm_storeu_ps(dots.as_mut_ptr(), four_sums(sums));
    }
    for (sum, row) in dots.iter_mut().zip(rows) {
        *sum += rest(&row[at..length], &query[at..length]);
    }
    dots
}

/// The sums of four registers, side by side.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn four_sums(registers: [__m256; 4]) -> __m128 {
    let [a, b, c, d] = registers;
    let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs))
}

/// Four registers added into the first, so that one sum remains.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn sums_to_first([a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
    let zero = _mm256_setzero_ps();
    [_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)), zero, zero, zero]
}

/// What is left of an inner product, fewer numbers than a register holds.
fn rest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
