//! The kernels of codes in AVX-512 VNNI, which multiplies 64 bytes with 64 and adds them by fours. Each function demands that the
//! processor has it; slices may be of any alignment.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _CMP_GE_OQ, _MM_HINT_T0, _mm_add_epi32, _mm_prefetch, _mm_storeu_si128, _mm512_add_epi32,
    _mm512_add_ps, _mm512_castsi512_si128, _mm512_cmp_ps_mask, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32,
    _mm512_extracti32x4_epi32, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512, _mm512_sub_epi32,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::{LINE, portable};
use crate::codes::{Bound, RowTerms};

/// Rows taken at once: as many sums as a register has lanes.
const ROWS: usize = 16;
/// Rows asked of memory ahead of the one at hand, where they lie here and there.
const ROWS_AHEAD: usize = 2 * ROWS;
/// Bytes asked of memory ahead of the row at hand, where rows follow each other.
const BYTES_AHEAD: usize = 8192;

/// # Safety
/// `rows` holds as many rows as long as `query` as `out` is long; the query is whole lines.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) unsafe fn inner_products(rows: &[u8], query: &[i8], offset: i32, out: &mut [i32]) {
    let stride = query.len();
    let start = rows.as_ptr();
    // SAFETY: the row exists, as the caller promises; what is only asked of memory need not.
    let row_at = |place: usize| unsafe { start.add(place * stride) };
    let ask = |place: usize| prefetch(start.wrapping_add(place * stride + BYTES_AHEAD), stride);
    // SAFETY: the rows exist, as the caller promises.
    unsafe { products(row_at, ask, query, offset, out) }
}

/// # Safety
/// `codes` holds every row of `rows`, as long as `query`, which is whole lines; `out` is as long as `rows`.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) unsafe fn inner_products_of(
    codes: &[u8],
    rows: &[u32],
    query: &[i8],
    offset: i32,
    out: &mut [i32],
) {
    let stride = query.len();
    let start = codes.as_ptr();
    // SAFETY: the row exists, as the caller promises.
    let row_at = |place: usize| unsafe { start.add(rows[place] as usize * stride) };
    let ask = |place: usize| {
        if let Some(&row) = rows.get(place + ROWS_AHEAD) {
            prefetch(start.wrapping_add(row as usize * stride), stride);
        }
    };
    for &row in rows.iter().take(ROWS_AHEAD) {
        prefetch(start.wrapping_add(row as usize * stride), stride);
    }
    // SAFETY: the rows exist, as the caller promises.
    unsafe { products(row_at, ask, query, offset, out) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn candidates(bound: &Bound, rows: RowTerms<'_>, products: &[i32], out: &mut Vec<u32>) {
    let splat = |number: f32| _mm512_set1_ps(number);
    let (product, error, norm, least) =
        (splat(bound.product), splat(bound.error), splat(bound.norm), splat(bound.least));
    let mut first = 0;
    while first + ROWS <= products.len() {
        let terms = [
            &rows.scales[first..first + ROWS],
            &rows.errors[first..first + ROWS],
            &rows.norms[first..first + ROWS],
        ];
        // SAFETY: each has sixteen numbers.
        let [scales, errors, norms] = terms.map(|terms| unsafe { _mm512_loadu_ps(terms.as_ptr()) });
        // SAFETY: sixteen more products are there.
        let products = unsafe { _mm512_loadu_si512(products.as_ptr().add(first).cast()) };
        // Not fused: every form rounds alike.
        let own = _mm512_mul_ps(scales, _mm512_mul_ps(product, _mm512_cvtepi32_ps(products)));
        let reach =
            _mm512_add_ps(_mm512_add_ps(own, _mm512_mul_ps(error, errors)), _mm512_mul_ps(norm, norms));
        let mut mask = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(reach, least);
        while mask != 0 {
            out.push(first as u32 + mask.trailing_zeros());
            mask &= mask - 1;
        }
        first += ROWS;
    }
    portable::candidates_from(first, bound, rows, products, out);
}

/// # Safety
/// `row_at` of every place of `out` points to as many bytes as `query` has, which are whole lines.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn products(
    row_at: impl Fn(usize) -> *const u8,
    ask: impl Fn(usize),
    query: &[i8],
    offset: i32,
    out: &mut [i32],
) {
    // SAFETY: as the caller promises; the constant is the number of lines.
    unsafe {
        match query.len() / LINE {
            1 => products_of::<1>(row_at, ask, query, offset, out),
            2 => products_of::<2>(row_at, ask, query, offset, out),
            4 => products_of::<4>(row_at, ask, query, offset, out),
            _ => products_of::<0>(row_at, ask, query, offset, out),
        }
    }
}

/// # Safety
/// As for `products`; the query has `LINES` lines, or any number where that is 0.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn products_of<const LINES: usize>(
    row_at: impl Fn(usize) -> *const u8,
    ask: impl Fn(usize),
    query: &[i8],
    offset: i32,
    out: &mut [i32],
) {
    let lines = if LINES == 0 { query.len() / LINE } else { LINES };
    let subtracted = _mm512_set1_epi32(offset);
    let count = out.len();
    let mut place = 0;
    while place + ROWS <= count {
        let mut sums = [_mm512_setzero_si512(); ROWS];
        let mut pointers = [query.as_ptr().cast(); ROWS];
        for (row, pointer) in pointers.iter_mut().enumerate() {
            *pointer = row_at(place + row);
            ask(place + row);
        }
        // SAFETY: 16 rows of so many lines exist, and so many places to write to.
        unsafe {
            add_products(&pointers, query.as_ptr(), lines, &mut sums);
            let sums = _mm512_sub_epi32(sixteen_sums(&sums), subtracted);
            _mm512_storeu_si512(out.as_mut_ptr().add(place).cast(), sums);
        }
        place += ROWS;
    }
    while place < count {
        let mut sums = [_mm512_setzero_si512(); 4];
        let mut pointers = [query.as_ptr().cast(); 4];
        let rows = (count - place).min(4);
        for (row, pointer) in pointers[..rows].iter_mut().enumerate() {
            *pointer = row_at(place + row);
        }
        let mut four = [0; 4];
        // SAFETY: the rows exist; those that are missing are the query itself, which is as long.
        unsafe {
            add_products(&pointers, query.as_ptr(), lines, &mut sums);
            let quarters = four_sums(&sums);
            let low =
                _mm_add_epi32(_mm512_castsi512_si128(quarters), _mm512_extracti32x4_epi32::<1>(quarters));
            let high = _mm_add_epi32(
                _mm512_extracti32x4_epi32::<2>(quarters),
                _mm512_extracti32x4_epi32::<3>(quarters),
            );
            _mm_storeu_si128(four.as_mut_ptr().cast(), _mm_add_epi32(low, high));
        }
        for (to, sum) in out[place..].iter_mut().zip(four) {
            *to = sum - offset;
        }
        place += rows;
    }
}

/// # Safety
/// Every pointer is to so many lines.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_products<const N: usize>(
    rows: &[*const u8; N],
    query: *const i8,
    lines: usize,
    sums: &mut [__m512i; N],
) {
    for line in 0..lines {
        // SAFETY: as the caller promises.
        unsafe {
            let values = _mm512_loadu_si512(query.add(line * LINE).cast());
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_loadu_si512(row.add(line * LINE).cast()), values);
            }
        }
    }
}

/// The sums of sixteen registers, side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn sixteen_sums(registers: &[__m512i; ROWS]) -> __m512i {
    let mut fours = [_mm512_setzero_si512(); 4];
    for (four, registers) in fours.iter_mut().zip(registers.as_chunks::<4>().0) {
        *four = four_sums(registers);
    }
    // Quarters 0 and 2 of both, then 1 and 3 of both.
    let halves = |a, b| {
        _mm512_add_epi32(
            _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b),
        )
    };
    halves(halves(fours[0], fours[1]), halves(fours[2], fours[3]))
}

/// Four quarters, in each the parts that belong to four registers: two rounds of turning pairs and adding.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn four_sums(registers: &[__m512i; 4]) -> __m512i {
    let [a, b, c, d] = *registers;
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
}

#[inline]
fn prefetch(from: *const u8, length: usize) {
    for line in (0..length).step_by(LINE) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line).cast()) };
    }
}
