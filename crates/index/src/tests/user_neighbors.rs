//! Users of like taste, against an oracle in plain double precision.

use cinedex_domain::UserIndex;
use cinedex_vectors::{Matrix, MatrixView, Scored};
use proptest::prelude::*;

use super::world::World;
use crate::Bundle;

fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Cosine and row of everybody who has an embedding, but for `left_out`; best first, ties by row.
fn ranking(users: MatrixView<'_>, vector: &[f32], left_out: Option<u32>) -> Vec<(f64, u32)> {
    let length = product(vector, vector).sqrt();
    let mut all: Vec<(f64, u32)> = (0..users.rows())
        .map(|row| (users.row(row), row as u32))
        .filter(|(row, index)| product(row, row) > 0.0 && Some(*index) != left_out)
        .map(|(row, index)| (product(vector, row) / (length * product(row, row).sqrt()), index))
        .collect();
    all.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
    all
}

/// As many as there are, none twice, in the order of score and row, with the scores of the oracle.
fn check(found: &[Scored], k: usize, expect: &[(f64, u32)]) {
    assert_eq!(found.len(), k.min(expect.len()));
    for (scored, (score, _)) in found.iter().zip(expect) {
        let own = expect.iter().find(|(_, index)| *index == scored.index).expect("a candidate").0;
        assert!((f64::from(scored.score) - own).abs() < 1e-5, "{scored:?} scores {own}");
        assert!((own - score).abs() < 1e-5, "{scored:?} instead of {score}");
        assert!((-1.0..=1.0).contains(&scored.score), "{scored:?}");
    }
    let ordered = |a: &Scored, b: &Scored| a.score > b.score || (a.score == b.score && a.index < b.index);
    assert!(found.windows(2).all(|pair| ordered(&pair[0], &pair[1])), "{found:?}");
}

fn open(users: &Matrix) -> (Bundle, tempfile::TempDir) {
    let mut world = World::new(3, users.rows(), users.dimension());
    world.user_factors = Some(users.clone());
    let directory = tempfile::tempdir().unwrap();
    (world.open(directory.path()), directory)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_nearest_users_are_exact(
        // Small whole numbers: many equal, parallel, opposite and zero rows.
        users in (1usize..120, 1usize..5).prop_flat_map(|(rows, dimension)| {
            proptest::collection::vec(-2i8..=2, rows * dimension).prop_map(move |values| {
                Matrix::from_packed(dimension, values.into_iter().map(f32::from).collect::<Vec<_>>())
            })
        }),
        user in 0usize..120,
        k in prop::sample::select(vec![0usize, 1, 3, 20, 1000]),
    ) {
        let user = (user % users.rows()) as u32;
        let own = users.row(user as usize);
        let (bundle, _directory) = open(&users);
        let found = bundle.user_neighbors(UserIndex(user), k).items;
        prop_assert_eq!(bundle.embedded_user_count(), ranking(users.view(), own, None).len());
        if bundle.has_user_embedding(UserIndex(user)) {
            check(&found, k, &ranking(users.view(), own, Some(user)));
            check(&bundle.nearest_users(own, k), k, &ranking(users.view(), own, None));
        } else {
            prop_assert!(found.is_empty() && bundle.nearest_users(own, k).is_empty());
        }
    }
}

#[test]
fn lengths_of_embeddings_do_not_matter_however_large_or_small() {
    let scales = [1.0, 1e-30, 1e8, -1.0, 0.0, 1e-3];
    let mut users = Matrix::zeros(scales.len(), 2);
    for (row, scale) in scales.into_iter().enumerate() {
        users.row_mut(row).copy_from_slice(&[3.0 * scale, 4.0 * scale]);
    }
    let (bundle, _directory) = open(&users);
    for asked in [0, 1, 2, 5] {
        let found = bundle.user_neighbors(UserIndex(asked), 10).items;
        let (last, same) = found.split_last().unwrap();
        assert_eq!((last.index, last.score, same.len()), (3, -1.0, 3), "{found:?}");
        assert!(same.iter().all(|other| other.score > 0.999_999 && other.index != asked), "{found:?}");
    }
}

#[test]
fn without_user_factors_nobody_resembles_anybody() {
    let mut world = World::new(3, 5, 2);
    world.user_factors = None;
    let directory = tempfile::tempdir().unwrap();
    let bundle = world.open(directory.path());
    assert!(bundle.user_neighbors(UserIndex(1), 10).items.is_empty());
    assert!(bundle.nearest_users(&[1.0, 0.0], 10).is_empty());
    assert_eq!((bundle.embedded_user_count(), bundle.has_user_embedding(UserIndex(1))), (0, false));
}

#[test]
fn a_vector_that_cannot_be_compared_finds_nobody() {
    let (bundle, _directory) = open(&Matrix::from_packed(2, [1.0f32, 0.0, 0.0, 1.0]));
    for vector in [&[f32::NAN, 1.0][..], &[f32::INFINITY, 0.0], &[0.0, 0.0], &[1.0], &[1.0; 3], &[]] {
        assert!(bundle.nearest_users(vector, 10).is_empty(), "{vector:?}");
    }
    assert_eq!(bundle.nearest_users(&[f32::MAX, 0.0], usize::MAX).len(), 2);
}
