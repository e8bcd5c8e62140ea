//! The registers of AVX-512F, and the kernels in them. Each function demands that the processor has it; slices may be of any
//! alignment.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256, __m512, __mmask16, _MM_HINT_T0, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehdup_ps,
    _mm_movehl_ps, _mm_prefetch, _mm256_add_ps, _mm256_castpd_ps, _mm256_castps256_ps128,
    _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_setzero_ps,
    _mm256_storeu_ps, _mm512_add_pd, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd,
    _mm512_castps512_ps256, _mm512_extractf64x4_pd, _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_loadu_pd,
    _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps, _mm512_mul_ps,
    _mm512_reduce_add_pd, _mm512_reduce_add_ps, _mm512_set1_ps, _mm512_setzero_pd, _mm512_setzero_ps,
    _mm512_shuffle_f32x4, _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
    _mm512_unpacklo_ps,
};

/// Numbers in a register.
const WIDTH: usize = 16;
/// Numbers in a cache line.
const LINE: usize = 16;

type Register = __m512;

use super::PANEL;

super::wide::wide_kernels!("avx512f");

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
            let mask = first((length - at).min(8)) as u8;
            let x = _mm512_maskz_loadu_pd(mask, a.add(at));
            sums[0] = _mm512_fmadd_pd(x, _mm512_maskz_loadu_pd(mask, b.add(at)), sums[0]);
            at += 8;
        }
    }
    _mm512_reduce_add_pd(_mm512_add_pd(sums[0], sums[1]))
}

/// The sums of eight registers, side by side: three rounds of turning pairs and adding, then the four quarters.
#[inline]
#[target_feature(enable = "avx512f")]
fn eight_sums(registers: &[Register; 8]) -> __m256 {
    let mut pairs = [zero(); 4];
    for (pair, two) in pairs.iter_mut().zip(registers.as_chunks::<2>().0) {
        *pair = add(_mm512_unpacklo_ps(two[0], two[1]), _mm512_unpackhi_ps(two[0], two[1]));
    }
    let mut fours = [zero(); 2];
    for (four, two) in fours.iter_mut().zip(pairs.as_chunks::<2>().0) {
        let (a, b) = (_mm512_castps_pd(two[0]), _mm512_castps_pd(two[1]));
        let (low, high) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
        *four = add(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
    }
    // Quarters 0 and 2 of both, then 1 and 3 of both: what is left are two quarters of each.
    let [a, b] = fours;
    let halves =
        add(_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
    let turned = _mm512_shuffle_f32x4::<0b11_01_10_00>(halves, halves);
    let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(turned)));
    _mm256_add_ps(_mm512_castps512_ps256(turned), high)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sum(register: Register) -> f32 {
    _mm512_reduce_add_ps(register)
}

/// # Safety
/// There are 16 numbers.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(from: *const f32) -> Register {
    // SAFETY: as the caller promises.
    unsafe { _mm512_loadu_ps(from) }
}

/// # Safety
/// There are `count` numbers, fewer than 16.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_first(from: *const f32, count: usize) -> Register {
    // SAFETY: as the caller promises; masked lanes are not read.
    unsafe { _mm512_maskz_loadu_ps(first(count), from) }
}

/// # Safety
/// There is room for 16 numbers.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store(to: *mut f32, register: Register) {
    // SAFETY: as the caller promises.
    unsafe { _mm512_storeu_ps(to, register) }
}

/// # Safety
/// There is room for `count` numbers, fewer than 16.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store_first(to: *mut f32, count: usize, register: Register) {
    // SAFETY: as the caller promises; masked lanes are not written.
    unsafe { _mm512_mask_storeu_ps(to, first(count), register) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn fused(a: Register, b: Register, c: Register) -> Register {
    _mm512_fmadd_ps(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn multiply(a: Register, b: Register) -> Register {
    _mm512_mul_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: Register, b: Register) -> Register {
    _mm512_add_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(number: f32) -> Register {
    _mm512_set1_ps(number)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn zero() -> Register {
    _mm512_setzero_ps()
}

/// A mask of the first `count` lanes, fewer than 16.
#[inline]
fn first(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}
