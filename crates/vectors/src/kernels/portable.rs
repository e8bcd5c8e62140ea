//! The kernels in plain Rust, written so that any target's vector unit can be used; the twins of the others.

use super::PANEL;

/// Independent sums, so that the compiler may keep them in registers side by side.
const LANES: usize = 16;

pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

pub(super) fn dot_f64(a: &[f64], b: &[f64]) -> f64 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f64; LANES];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

pub(super) fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    for (to, from) in y.iter_mut().zip(x) {
        *to += alpha * from;
    }
}

pub(super) fn inner_products(matrix: &[f32], query: &[f32], out: &mut [f32]) {
    for (row, score) in matrix.chunks_exact(query.len()).zip(out) {
        *score = dot(row, query);
    }
}

pub(super) fn dots_of(matrix: &[f32], rows: &[u32], query: &[f32], out: &mut [f32]) {
    for (&row, score) in rows.iter().zip(out) {
        *score = dot(&matrix[row as usize * query.len()..][..query.len()], query);
    }
}

pub(super) fn multiply_panels<const K: usize>(panels: &[f32], vectors: &[f32], out: &mut [f32]) {
    let length = vectors.len() / K;
    out.fill(0.0);
    for (number, panel) in panels.chunks_exact(length * PANEL).enumerate() {
        for (vector, out) in vectors.chunks_exact(length).zip(out.chunks_exact_mut(length)) {
            for (&factor, row) in vector.iter().zip(panel.as_chunks::<PANEL>().0) {
                axpy(factor, row, &mut out[number * PANEL..]);
            }
        }
    }
}

pub(super) fn add_terms(
    matrix: &[f32],
    rows: &[u32],
    slopes: &[f32],
    offsets: Option<&[f32]>,
    x: &[f32],
    out: &mut [f32],
) {
    let dimension = x.len();
    for (place, (&row, slope)) in rows.iter().zip(slopes).enumerate() {
        let y = &matrix[row as usize * dimension..][..dimension];
        let offset = offsets.map_or(0.0, |offsets| offsets[place]);
        axpy(offset + slope * dot(y, x), y, out);
    }
}

pub(super) fn curvature(matrix: &[f32], rows: &[u32], slopes: &[f32], x: &[f32]) -> f32 {
    let dimension = x.len();
    let squares = rows.iter().zip(slopes).map(|(&row, slope)| {
        let score = dot(&matrix[row as usize * dimension..][..dimension], x);
        slope * score * score
    });
    squares.sum()
}
