//! The floating-point operations a second that one core reaches at most: fused multiplications and additions in registers,
//! nothing else. Compiled by `benches/measure/training`, outside the workspace.

use std::time::Instant;

fn main() {
    let best = (0..5).map(|_| measure()).fold(0.0, f64::max);
    println!("{best:.3e}");
}

#[cfg(target_arch = "x86_64")]
fn measure() -> f64 {
    let times = 20_000_000;
    let began = Instant::now();
    let lanes = if is_x86_feature_detected!("avx512f") {
        // SAFETY: the instructions were detected.
        unsafe { wide(times) };
        16
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the same.
        unsafe { narrow(times) };
        8
    } else {
        return 0.0;
    };
    f64::from(times) * 12.0 * 2.0 * f64::from(lanes) / began.elapsed().as_secs_f64()
}

#[cfg(not(target_arch = "x86_64"))]
fn measure() -> f64 {
    0.0
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn wide(times: u32) {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let half = _mm512_set1_ps(std::hint::black_box(0.5));
    let mut sums = [half; 12];
    for _ in 0..times {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, half, half);
        }
    }
    std::hint::black_box(sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn narrow(times: u32) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let half = _mm256_set1_ps(std::hint::black_box(0.5));
    let mut sums = [half; 12];
    for _ in 0..times {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, half, half);
        }
    }
    std::hint::black_box(sums);
}
