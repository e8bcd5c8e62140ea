//! The kernels of codes in plain Rust; the twins of the others.

use crate::codes::{Bound, RowTerms};

pub(super) fn inner_products(rows: &[u8], query: &[i8], offset: i32, out: &mut [i32]) {
    for (row, product) in rows.chunks_exact(query.len().max(1)).zip(out) {
        *product = inner_product(row, query) - offset;
    }
}

pub(super) fn inner_products_of(codes: &[u8], rows: &[u32], query: &[i8], offset: i32, out: &mut [i32]) {
    let stride = query.len();
    for (&row, product) in rows.iter().zip(out) {
        *product = inner_product(&codes[row as usize * stride..][..stride], query) - offset;
    }
}

pub(super) fn candidates(bound: &Bound, rows: RowTerms<'_>, products: &[i32], out: &mut Vec<u32>) {
    candidates_from(0, bound, rows, products, out);
}

/// Those from the place `first` on.
pub(super) fn candidates_from(
    first: usize,
    bound: &Bound,
    rows: RowTerms<'_>,
    products: &[i32],
    out: &mut Vec<u32>,
) {
    for (place, &product) in products.iter().enumerate().skip(first) {
        if bound.allows(rows, place, product) {
            out.push(place as u32);
        }
    }
}

fn inner_product(row: &[u8], query: &[i8]) -> i32 {
    row.iter().zip(query).map(|(&x, &q)| i32::from(x) * i32::from(q)).sum()
}
