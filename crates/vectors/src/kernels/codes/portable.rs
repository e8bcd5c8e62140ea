//! The kernels of codes in plain Rust; the twins of the others.

use crate::codes::{Bound, RowTerms};

/// Rows compared at once.
const ROWS: usize = 16;

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

#[expect(clippy::inline_always, reason = "its twins are itself, compiled for more instructions")]
#[inline(always)]
pub(super) fn candidates(bound: &Bound, rows: RowTerms<'_>, products: &[i32], out: &mut Vec<u32>) {
    let (blocks, rest) = products.as_chunks::<ROWS>();
    let (scales, errors, norms) = (
        rows.scales.as_chunks::<ROWS>().0,
        rows.errors.as_chunks::<ROWS>().0,
        rows.norms.as_chunks::<ROWS>().0,
    );
    for (block, products) in blocks.iter().enumerate() {
        let mut mask = 0u32;
        for row in 0..ROWS {
            let reach = bound.reach(scales[block][row], errors[block][row], norms[block][row], products[row]);
            mask |= u32::from(reach >= bound.least) << row;
        }
        while mask != 0 {
            out.push((block * ROWS) as u32 + mask.trailing_zeros());
            mask &= mask - 1;
        }
    }
    let start = products.len() - rest.len();
    for (place, &product) in (start..).zip(rest) {
        if bound.allows(rows, place, product) {
            out.push(place as u32);
        }
    }
}

fn inner_product(row: &[u8], query: &[i8]) -> i32 {
    row.iter().zip(query).map(|(&x, &q)| i32::from(x) * i32::from(q)).sum()
}
