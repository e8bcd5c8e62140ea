//! The kernels of codes in AVX2: bytes are widened to 16 bits, for its products of bytes saturate. Each function demands that the
//! processor has it; slices may be of any alignment.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    _CMP_GE_OQ, _MM_HINT_T0, _mm_add_epi32, _mm_loadu_si128, _mm_prefetch, _mm_storeu_si128,
    _mm256_add_epi32, _mm256_add_ps, _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cvtepi8_epi16,
    _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16, _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_movemask_ps, _mm256_mul_ps, _mm256_set1_ps,
    _mm256_setzero_si256,
};

use super::{LINE, portable};
use crate::codes::{Bound, RowTerms};

/// Rows taken at once.
const ROWS: usize = 4;
/// Rows asked of memory ahead of the one at hand, where they lie here and there.
const ROWS_AHEAD: usize = 16;
/// Rows compared at once.
const COMPARED: usize = 8;
/// Bytes widened at once.
const WIDTH: usize = 16;

/// # Safety
/// `rows` holds as many rows as long as `query` as `out` is long; the query is whole lines.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn inner_products(rows: &[u8], query: &[i8], offset: i32, out: &mut [i32]) {
    let stride = query.len();
    // SAFETY: the row exists, as the caller promises.
    let row_at = |place: usize| unsafe { rows.as_ptr().add(place * stride) };
    // SAFETY: the same.
    unsafe { products(row_at, query, offset, out) }
}

/// # Safety
/// `codes` holds every row of `rows`, as long as `query`, which is whole lines; `out` is as long as `rows`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn inner_products_of(
    codes: &[u8],
    rows: &[u32],
    query: &[i8],
    offset: i32,
    out: &mut [i32],
) {
    let stride = query.len();
    let start = codes.as_ptr();
    let ask = |row: u32| {
        for line in (0..stride).step_by(LINE) {
            prefetch(start.wrapping_add(row as usize * stride + line));
        }
    };
    rows.iter().take(ROWS_AHEAD).for_each(|&row| ask(row));
    let row_at = |place: usize| {
        if let Some(&row) = rows.get(place + ROWS_AHEAD) {
            ask(row);
        }
        // SAFETY: the row exists, as the caller promises.
        unsafe { start.add(rows[place] as usize * stride) }
    };
    // SAFETY: the same.
    unsafe { products(row_at, query, offset, out) }
}

#[target_feature(enable = "avx2")]
pub(super) fn candidates(bound: &Bound, rows: RowTerms<'_>, products: &[i32], out: &mut Vec<u32>) {
    let splat = |number: f32| _mm256_set1_ps(number);
    let (product, error, norm, least) =
        (splat(bound.product), splat(bound.error), splat(bound.norm), splat(bound.least));
    let mut first = 0;
    while first + COMPARED <= products.len() {
        let end = first + COMPARED;
        let terms = [&rows.scales[first..end], &rows.errors[first..end], &rows.norms[first..end]];
        // SAFETY: each has eight numbers.
        let [scales, errors, norms] = terms.map(|terms| unsafe { _mm256_loadu_ps(terms.as_ptr()) });
        // SAFETY: eight more products are there.
        let products = unsafe { _mm256_loadu_si256(products.as_ptr().add(first).cast()) };
        // Not fused: every form rounds alike.
        let own = _mm256_mul_ps(scales, _mm256_mul_ps(product, _mm256_cvtepi32_ps(products)));
        let reach =
            _mm256_add_ps(_mm256_add_ps(own, _mm256_mul_ps(error, errors)), _mm256_mul_ps(norm, norms));
        let mut mask = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(reach, least)) as u32;
        while mask != 0 {
            out.push(first as u32 + mask.trailing_zeros());
            mask &= mask - 1;
        }
        first = end;
    }
    portable::candidates_from(first, bound, rows, products, out);
}

/// # Safety
/// `row_at` of every place of `out` points to as many bytes as `query` has, which are whole lines.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn products(row_at: impl Fn(usize) -> *const u8, query: &[i8], offset: i32, out: &mut [i32]) {
    for (block, out) in out.chunks_mut(ROWS).enumerate() {
        // Rows that are missing are the query itself, which is as long.
        let mut rows = [query.as_ptr().cast::<u8>(); ROWS];
        for (row, pointer) in rows[..out.len()].iter_mut().enumerate() {
            *pointer = row_at(block * ROWS + row);
        }
        let mut sums = [_mm256_setzero_si256(); ROWS];
        let mut four = [0; ROWS];
        // SAFETY: every pointer is to as many bytes as the query has, a multiple of `WIDTH`.
        unsafe {
            for at in (0..query.len()).step_by(WIDTH) {
                let values = _mm256_cvtepi8_epi16(_mm_loadu_si128(query.as_ptr().add(at).cast()));
                for (sum, row) in sums.iter_mut().zip(rows) {
                    let codes = _mm256_cvtepu8_epi16(_mm_loadu_si128(row.add(at).cast()));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(codes, values));
                }
            }
            let [a, b, c, d] = sums;
            let halves = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
            let sum = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
            _mm_storeu_si128(four.as_mut_ptr().cast(), sum);
        }
        for (to, sum) in out.iter_mut().zip(four) {
            *to = sum - offset;
        }
    }
}

#[inline]
fn prefetch(line: *const u8) {
    // SAFETY: a prefetch never faults.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
}
