//! Maximal marginal relevance (Carbonell & Goldstein 1998): a list in which what comes next differs from what stands above.
//! It changes order, not scores.

use std::cmp::Ordering;

use cinedex_vectors::{Matrix, MatrixView, Scored, dot, normalize};

/// The front of a ranking that is reordered; what comes after stays by score, so that pages fit together.
pub(crate) const POOL: usize = 300;

/// Reorders `ranked`, which must hold its first [`POOL`] items or all there are, so that its first `wanted` items trade
/// relevance (scaled to 0..1 over the pool) against the largest cosine to what stands above: `(1 - diversity) relevance -
/// diversity cosine`. Ties by the old order.
pub(crate) fn diversify(ranked: &mut [Scored], movies: MatrixView<'_>, diversity: f32, wanted: usize) {
    let pool = ranked.len().min(POOL);
    let ranked = &mut ranked[..pool];
    let (Some(first), Some(last)) = (ranked.first(), ranked.last()) else { return };
    let (lowest, range) = (last.score, (first.score - last.score).max(f32::MIN_POSITIVE));
    let mut rows = Matrix::zeros(pool, movies.dimension());
    for (row, hit) in ranked.iter().enumerate() {
        rows.row_mut(row).copy_from_slice(movies.row(hit.index as usize));
        normalize(rows.row_mut(row));
    }
    let mut nearest = vec![0.0_f32; pool];
    let mut left: Vec<usize> = (0..pool).collect();
    let mut order = Vec::with_capacity(pool);
    while order.len() < wanted && !left.is_empty() {
        let value = |row: usize| {
            let relevance = (ranked[row].score - lowest) / range;
            (1.0 - diversity) * relevance - diversity * nearest[row]
        };
        // The earlier of two equals wins: `left` ascends.
        let best = (0..left.len())
            .max_by(|a, b| match value(left[*a]).total_cmp(&value(left[*b])) {
                Ordering::Equal => b.cmp(a),
                unequal => unequal,
            })
            .expect("left is not empty");
        let row = left.remove(best);
        order.push(row);
        for &other in &left {
            let cosine = dot(rows.row(other), rows.row(row));
            nearest[other] = if order.len() == 1 { cosine } else { nearest[other].max(cosine) };
        }
    }
    order.extend(left);
    let reordered: Vec<Scored> = order.into_iter().map(|row| ranked[row]).collect();
    ranked.copy_from_slice(&reordered);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(diversity: f32, expect: &[u32]) {
        // 0, 1 and 2 are alike, 3 is different, 4 has no embedding.
        let movies = Matrix::from_packed(2, [1.0, 0.0, 1.0, 0.1, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let mut ranked: Vec<Scored> =
            (0..5).map(|index| Scored { index, score: 1.0 - index as f32 * 0.1 }).collect();
        diversify(&mut ranked, movies.view(), diversity, 5);
        assert_eq!(ranked.iter().map(|hit| hit.index).collect::<Vec<_>>(), expect, "{diversity}");
    }

    #[test]
    fn unlike_movies_move_up() {
        check(0.0, &[0, 1, 2, 3, 4]);
        check(0.5, &[0, 3, 4, 1, 2]);
        check(1.0, &[0, 3, 4, 1, 2]);
    }

    #[test]
    fn a_longer_part_begins_with_the_shorter_one() {
        let movies = Matrix::from_packed(2, [1.0, 0.0, 0.9, 0.1, 0.0, 1.0, 0.1, 0.9]);
        let ranked: Vec<Scored> = (0..4).map(|index| Scored { index, score: 4.0 - index as f32 }).collect();
        let (mut short, mut long) = (ranked.clone(), ranked);
        diversify(&mut short, movies.view(), 0.7, 2);
        diversify(&mut long, movies.view(), 0.7, 4);
        assert_eq!(short[..2], long[..2]);
    }
}
