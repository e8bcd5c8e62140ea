//! The registers of AVX2 with FMA, and the kernels in them. Each function demands that the processor has both; slices may be
//! of any alignment.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehdup_ps, _mm_movehl_ps,
    _mm_prefetch, _mm256_add_pd, _mm256_add_ps, _mm256_castpd_ps, _mm256_castps_pd, _mm256_castps256_ps128,
    _mm256_extractf128_ps, _mm256_fmadd_pd, _mm256_fmadd_ps, _mm256_loadu_pd, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_mul_ps, _mm256_permute2f128_ps,
    _mm256_set1_ps, _mm256_setzero_pd, _mm256_setzero_ps, _mm256_storeu_pd, _mm256_storeu_ps,
    _mm256_unpackhi_pd, _mm256_unpackhi_ps, _mm256_unpacklo_pd, _mm256_unpacklo_ps,
};

/// Numbers in a register.
const WIDTH: usize = 8;
/// Numbers in a cache line.
const LINE: usize = 16;
/// From place `8 - n` on, a mask of the first `n` lanes.
const MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

type Register = __m256;

use super::PANEL;

super::wide::wide_kernels!("avx2,fma");

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

/// The sums of eight registers, side by side: two rounds of turning pairs and adding, then the two halves.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn eight_sums(registers: &[Register; 8]) -> __m256 {
    let mut pairs = [zero(); 4];
    for (pair, two) in pairs.iter_mut().zip(registers.as_chunks::<2>().0) {
        *pair = add(_mm256_unpacklo_ps(two[0], two[1]), _mm256_unpackhi_ps(two[0], two[1]));
    }
    let mut fours = [zero(); 2];
    for (four, two) in fours.iter_mut().zip(pairs.as_chunks::<2>().0) {
        let (a, b) = (_mm256_castps_pd(two[0]), _mm256_castps_pd(two[1]));
        let (low, high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        *four = add(_mm256_castpd_ps(low), _mm256_castpd_ps(high));
    }
    let [a, b] = fours;
    add(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn sum(register: Register) -> f32 {
    sum_of_eight(register)
}

/// # Safety
/// There are 8 numbers.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn load(from: *const f32) -> Register {
    // SAFETY: as the caller promises.
    unsafe { _mm256_loadu_ps(from) }
}

/// # Safety
/// There are `count` numbers, fewer than 8.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn load_first(from: *const f32, count: usize) -> Register {
    // SAFETY: as the caller promises; masked lanes are not read.
    unsafe { _mm256_maskload_ps(from, first(count)) }
}

/// # Safety
/// There is room for 8 numbers.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store(to: *mut f32, register: Register) {
    // SAFETY: as the caller promises.
    unsafe { _mm256_storeu_ps(to, register) }
}

/// # Safety
/// There is room for `count` numbers, fewer than 8.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_first(to: *mut f32, count: usize, register: Register) {
    // SAFETY: as the caller promises; masked lanes are not written.
    unsafe { _mm256_maskstore_ps(to, first(count), register) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn fused(a: Register, b: Register, c: Register) -> Register {
    _mm256_fmadd_ps(a, b, c)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn multiply(a: Register, b: Register) -> Register {
    _mm256_mul_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn add(a: Register, b: Register) -> Register {
    _mm256_add_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn splat(number: f32) -> Register {
    _mm256_set1_ps(number)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn zero() -> Register {
    _mm256_setzero_ps()
}

/// A mask of the first `count` lanes, at most 8.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn first(count: usize) -> __m256i {
    let from = &MASKS[8 - count..][..8];
    // SAFETY: eight numbers.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}
