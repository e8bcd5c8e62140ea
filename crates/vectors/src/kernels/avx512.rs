//! The kernels in AVX-512F. Each function demands that the processor has it; slices may be of any alignment.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128, __m512, __mmask16, _MM_HINT_T0, _mm_add_ps, _mm_prefetch, _mm_storeu_ps, _mm256_add_ps,
    _mm256_castpd_ps, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_hadd_ps, _mm256_setzero_ps,
    _mm512_add_pd, _mm512_add_ps, _mm512_castps_pd, _mm512_castps512_ps256, _mm512_extractf64x4_pd,
    _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_loadu_pd, _mm512_loadu_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps, _mm512_reduce_add_pd, _mm512_reduce_add_ps, _mm512_set1_ps,
    _mm512_setzero_pd, _mm512_setzero_ps, _mm512_storeu_ps,
};

/// Numbers in a register.
const WIDTH: usize = 16;
/// How many rows ahead the next ones are asked of memory.
const AHEAD: usize = 8;

#[target_feature(enable = "avx512f")]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (a, b) = (a.as_ptr(), b.as_ptr());
    let mut sums = [_mm512_setzero_ps(); 4];
    let mut at = 0;
    // SAFETY: every load ends at or before `length`; masked lanes are not read.
    unsafe {
        while at + 4 * WIDTH <= length {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let from = at + lane * WIDTH;
                *sum = _mm512_fmadd_ps(_mm512_loadu_ps(a.add(from)), _mm512_loadu_ps(b.add(from)), *sum);
            }
            at += 4 * WIDTH;
        }
        while at + WIDTH <= length {
            sums[0] = _mm512_fmadd_ps(_mm512_loadu_ps(a.add(at)), _mm512_loadu_ps(b.add(at)), sums[0]);
            at += WIDTH;
        }
        if at < length {
            let mask = tail(length - at);
            let x = _mm512_maskz_loadu_ps(mask, a.add(at));
            sums[1] = _mm512_fmadd_ps(x, _mm512_maskz_loadu_ps(mask, b.add(at)), sums[1]);
        }
    }
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])))
}

#[target_feature(enable = "avx512f")]
pub(super) fn dot_f64(a: &[f64], b: &[f64]) -> f64 {
    let length = a.len().min(b.len());
    let (a, b) = (a.as_ptr(), b.as_ptr());
    let mut sums = [_mm512_setzero_pd(); 2];
    let mut at = 0;
    // SAFETY: every load ends at or before `length`; masked lanes are not read.
    unsafe {
        while at + 16 <= length {
            sums[0] = _mm512_fmadd_pd(_mm512_loadu_pd(a.add(at)), _mm512_loadu_pd(b.add(at)), sums[0]);
            sums[1] =
                _mm512_fmadd_pd(_mm512_loadu_pd(a.add(at + 8)), _mm512_loadu_pd(b.add(at + 8)), sums[1]);
            at += 16;
        }
        while at < length {
            let mask = tail((length - at).min(8)) as u8;
            let x = _mm512_maskz_loadu_pd(mask, a.add(at));
            sums[0] = _mm512_fmadd_pd(x, _mm512_maskz_loadu_pd(mask, b.add(at)), sums[0]);
            at += 8;
        }
    }
    _mm512_reduce_add_pd(_mm512_add_pd(sums[0], sums[1]))
}

#[target_feature(enable = "avx512f")]
pub(super) fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    let length = x.len().min(y.len());
    let (x, y) = (x.as_ptr(), y.as_mut_ptr());
    let factor = _mm512_set1_ps(alpha);
    let mut at = 0;
    // SAFETY: every load and store ends at or before `length`; masked lanes are neither read nor written.
    unsafe {
        while at + WIDTH <= length {
            let sum = _mm512_fmadd_ps(factor, _mm512_loadu_ps(x.add(at)), _mm512_loadu_ps(y.add(at)));
            _mm512_storeu_ps(y.add(at), sum);
            at += WIDTH;
        }
        if at < length {
            let mask = tail(length - at);
            let from = _mm512_maskz_loadu_ps(mask, x.add(at));
            let sum = _mm512_fmadd_ps(factor, from, _mm512_maskz_loadu_ps(mask, y.add(at)));
            _mm512_mask_storeu_ps(y.add(at), mask, sum);
        }
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn inner_products(matrix: &[f32], query: &[f32], out: &mut [f32]) {
    let dimension = query.len();
    let (blocks, rest) = out.as_chunks_mut::<4>();
    let mut rows = matrix.chunks_exact(dimension);
    for block in blocks {
        let mut four: [&[f32]; 4] = [query; 4];
        for (slot, row) in four.iter_mut().zip(&mut rows) {
            *slot = row;
        }
        let sums = four_dots(four, query);
        // SAFETY: a block holds four numbers.
        unsafe { _mm_storeu_ps(block.as_mut_ptr(), sums) };
    }
    for (row, score) in rows.zip(rest) {
        *score = dot(row, query);
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn add_normal_terms(
    matrix: &[f32],
    rows: &[u32],
    slopes: &[f32],
    offsets: &[f32],
    x: &[f32],
    out: &mut [f32],
) {
    match x.len() {
        16 => terms_in_registers::<1>(matrix, rows, slopes, offsets, x, out),
        32 => terms_in_registers::<2>(matrix, rows, slopes, offsets, x, out),
        48 => terms_in_registers::<3>(matrix, rows, slopes, offsets, x, out),
        64 => terms_in_registers::<4>(matrix, rows, slopes, offsets, x, out),
        96 => terms_in_registers::<6>(matrix, rows, slopes, offsets, x, out),
        128 => terms_in_registers::<8>(matrix, rows, slopes, offsets, x, out),
        _ => terms_in_memory(matrix, rows, slopes, offsets, x, out),
    }
}

/// For dimensions of which `x` and `out` stay in registers: `N` of them each.
#[target_feature(enable = "avx512f")]
fn terms_in_registers<const N: usize>(
    matrix: &[f32],
    rows: &[u32],
    slopes: &[f32],
    offsets: &[f32],
    x: &[f32],
    out: &mut [f32],
) {
    let dimension = N * WIDTH;
    assert!(x.len() == dimension && out.len() == dimension);
    let mut query = [_mm512_setzero_ps(); N];
    let mut sums = [_mm512_setzero_ps(); N];
    for block in 0..N {
        // SAFETY: both have `N * WIDTH` numbers and `block` is below `N`.
        unsafe {
            query[block] = _mm512_loadu_ps(x.as_ptr().add(block * WIDTH));
            sums[block] = _mm512_loadu_ps(out.as_ptr().add(block * WIDTH));
        }
    }
    let count = rows.len().min(slopes.len()).min(offsets.len());
    let mut at = 0;
    while at + 4 <= count {
        for &row in &rows[(at + AHEAD).min(count)..(at + AHEAD + 4).min(count)] {
            prefetch(matrix, row as usize * dimension, dimension);
        }
        let mut four: [&[f32]; 4] = [&[]; 4];
        let mut dots = [_mm512_setzero_ps(); 4];
        for k in 0..4 {
            four[k] = &matrix[rows[at + k] as usize * dimension..][..dimension];
            for (block, &part) in query.iter().enumerate() {
                // SAFETY: a row has `N * WIDTH` numbers and `block` is below `N`.
                let values = unsafe { _mm512_loadu_ps(four[k].as_ptr().add(block * WIDTH)) };
                dots[k] = _mm512_fmadd_ps(values, part, dots[k]);
            }
        }
        let mut dot = [0.0f32; 4];
        // SAFETY: four numbers.
        unsafe { _mm_storeu_ps(dot.as_mut_ptr(), four_sums(dots)) };
        for k in 0..4 {
            add_row(&mut sums, slopes[at + k].mul_add(dot[k], offsets[at + k]), four[k]);
        }
        at += 4;
    }
    for ((&row, slope), offset) in rows[at..count].iter().zip(&slopes[at..]).zip(&offsets[at..]) {
        let row = &matrix[row as usize * dimension..][..dimension];
        add_row(&mut sums, slope.mul_add(dot(row, x), *offset), row);
    }
    for (block, sum) in sums.into_iter().enumerate() {
        // SAFETY: `out` has `N * WIDTH` numbers and `block` is below `N`.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(block * WIDTH), sum) };
    }
}

/// `sums += factor row`.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_row<const N: usize>(sums: &mut [__m512; N], factor: f32, row: &[f32]) {
    assert!(row.len() == N * WIDTH);
    let factor = _mm512_set1_ps(factor);
    for (block, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the row has `N * WIDTH` numbers and `block` is below `N`.
        let values = unsafe { _mm512_loadu_ps(row.as_ptr().add(block * WIDTH)) };
        *sum = _mm512_fmadd_ps(factor, values, *sum);
    }
}

/// For any other dimension.
#[target_feature(enable = "avx512f")]
fn terms_in_memory(
    matrix: &[f32],
    rows: &[u32],
    slopes: &[f32],
    offsets: &[f32],
    x: &[f32],
    out: &mut [f32],
) {
    let dimension = x.len();
    for (at, ((&row, slope), offset)) in rows.iter().zip(slopes).zip(offsets).enumerate() {
        if let Some(&next) = rows.get(at + AHEAD / 2) {
            prefetch(matrix, next as usize * dimension, dimension);
        }
        let row = &matrix[row as usize * dimension..][..dimension];
        axpy(slope.mul_add(dot(row, x), *offset), row, out);
    }
}

/// Asks memory for a row.
#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch(matrix: &[f32], start: usize, dimension: usize) {
    let mut line = 0;
    while line < dimension {
        _mm_prefetch::<_MM_HINT_T0>(matrix.as_ptr().wrapping_add(start + line).cast());
        line += WIDTH;
    }
}

/// The inner products of four rows with one query.
#[inline]
#[target_feature(enable = "avx512f")]
fn four_dots(rows: [&[f32]; 4], query: &[f32]) -> __m128 {
    let length = rows.iter().fold(query.len(), |length, row| length.min(row.len()));
    let mut sums = [_mm512_setzero_ps(); 4];
    let mut at = 0;
    // SAFETY: every load ends at or before `length`; masked lanes are not read.
    unsafe {
        while at + WIDTH <= length {
            let part = _mm512_loadu_ps(query.as_ptr().add(at));
            for k in 0..4 {
                sums[k] = _mm512_fmadd_ps(_mm512_loadu_ps(rows[k].as_ptr().add(at)), part, sums[k]);
            }
            at += WIDTH;
        }
        if at < length {
            let mask = tail(length - at);
            let part = _mm512_maskz_loadu_ps(mask, query.as_ptr().add(at));
            for k in 0..4 {
                let row = _mm512_maskz_loadu_ps(mask, rows[k].as_ptr().add(at));
                sums[k] = _mm512_fmadd_ps(row, part, sums[k]);
            }
        }
    }
    four_sums(sums)
}

/// The sums of four registers, side by side.
#[inline]
#[target_feature(enable = "avx512f")]
fn four_sums(registers: [__m512; 4]) -> __m128 {
    let mut halves = [_mm256_setzero_ps(); 4];
    for (half, register) in halves.iter_mut().zip(registers) {
        let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(register)));
        *half = _mm256_add_ps(_mm512_castps512_ps256(register), high);
    }
    let pairs = _mm256_hadd_ps(_mm256_hadd_ps(halves[0], halves[1]), _mm256_hadd_ps(halves[2], halves[3]));
    _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs))
}

/// A mask of the first `count` lanes, fewer than 16.
fn tail(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}
