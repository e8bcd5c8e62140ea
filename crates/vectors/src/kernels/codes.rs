//! Inner products of coded rows, in the processor's best form. All forms give the same integers.

use crate::codes::{Bound, RowTerms};

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;
#[cfg(target_arch = "x86_64")]
mod vnni;

/// Calls a kernel in the processor's form; lengths and rows are asserted by the caller of the macro.
macro_rules! dispatch {
    ($kernel:ident($($argument:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        {
            if has_vnni() {
                // SAFETY: AVX-512F and AVX-512 VNNI were detected; the rest the caller has asserted.
                return unsafe { vnni::$kernel($($argument),*) };
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: AVX2 was detected; the rest the caller has asserted.
                return unsafe { avx2::$kernel($($argument),*) };
            }
        }
        portable::$kernel($($argument),*);
    }};
}

/// The inner product of `query` with each coded row of `rows`, less `offset`. Panics unless there are as many rows as `out` is
/// long, and the query is whole cache lines.
#[inline]
pub(crate) fn inner_products(rows: &[u8], query: &[i8], offset: i32, out: &mut [i32]) {
    assert!(query.len().is_multiple_of(LINE) && rows.len() == out.len() * query.len(), "rows of whole lines");
    dispatch!(inner_products(rows, query, offset, out));
}

/// The same for the rows of `codes` with the numbers `rows`. Panics unless they exist.
#[inline]
pub(crate) fn inner_products_of(codes: &[u8], rows: &[u32], query: &[i8], offset: i32, out: &mut [i32]) {
    assert!(query.len().is_multiple_of(LINE) && rows.len() == out.len(), "rows of whole lines");
    let count = codes.len() / query.len().max(1);
    let last = rows.iter().max();
    assert!(last.is_none_or(|&row| (row as usize) < count), "rows of the codes");
    dispatch!(inner_products_of(codes, rows, query, offset, out));
}

/// As [`Bound::candidates`].
#[inline]
pub(crate) fn candidates(bound: &Bound, rows: RowTerms<'_>, products: &[i32], out: &mut Vec<u32>) {
    dispatch!(candidates(bound, rows, products, out));
}

/// Bytes of a cache line and of the widest register.
const LINE: usize = 64;

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_vnni() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
}

#[cfg(test)]
type Contiguous = fn(&[u8], &[i8], i32, &mut [i32]);
#[cfg(test)]
type Gathered = fn(&[u8], &[u32], &[i8], i32, &mut [i32]);

/// Every form that this processor can run.
#[cfg(test)]
pub(crate) fn forms() -> Vec<(&'static str, Contiguous, Gathered)> {
    let mut forms: Vec<(&'static str, Contiguous, Gathered)> =
        vec![("portable", portable::inner_products, portable::inner_products_of)];
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    {
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the instructions were detected, and the tests' rows exist.
            forms.push((
                "avx2",
                |rows, query, offset, out| unsafe { avx2::inner_products(rows, query, offset, out) },
                |codes, rows, query, offset, out| unsafe {
                    avx2::inner_products_of(codes, rows, query, offset, out);
                },
            ));
        }
        if has_vnni() {
            // SAFETY: the same.
            forms.push((
                "vnni",
                |rows, query, offset, out| unsafe { vnni::inner_products(rows, query, offset, out) },
                |codes, rows, query, offset, out| unsafe {
                    vnni::inner_products_of(codes, rows, query, offset, out);
                },
            ));
        }
    }
    forms
}

#[cfg(test)]
type Candidates = fn(&Bound, RowTerms<'_>, &[i32], &mut Vec<u32>);

/// Every form of [`candidates`] that this processor can run.
#[cfg(test)]
pub(crate) fn candidate_forms() -> Vec<Candidates> {
    let mut forms: Vec<Candidates> = vec![portable::candidates];
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    {
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the instructions were detected.
            forms.push(|bound, rows, products, out| unsafe { avx2::candidates(bound, rows, products, out) });
        }
        if has_vnni() {
            // SAFETY: the same.
            forms.push(|bound, rows, products, out| unsafe { vnni::candidates(bound, rows, products, out) });
        }
    }
    forms
}
