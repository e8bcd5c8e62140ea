//! The matrix that is factorised.

use cinedex_dataset::Opinions;
use cinedex_vectors::Csr;

/// Users × movies with signed preferences, as [`Opinions::aged`] has them.
pub fn preference_matrix(opinions: &Opinions) -> Csr<f32> {
    Csr::from_triplets(opinions.user_count, opinions.movie_count, opinions.triplets())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cinedex_dataset::Dataset;
    use cinedex_domain::{MovieIndex, PreferencePolicy};

    use crate::test_world::{NAME, small};

    #[test]
    fn an_explicit_opinion_outweighs_a_watch_and_the_latest_counts() {
        let (_folder, root) = small();
        let dataset = Dataset::load(&root, NAME).unwrap();
        let opinions = Opinions::of(&dataset, &PreferencePolicy::default());
        assert_eq!(opinions.history(0), [(MovieIndex(0), 1.0)]);
        assert_eq!(opinions.timestamps_ms[opinions.range(0)], [100_000]);
        assert_eq!(opinions.history(1), [(MovieIndex(6), 1.0)]);
        assert_eq!(opinions.history(2).last(), Some(&(MovieIndex(6), -1.0)));
        let matrix = preference_matrix(&opinions);
        assert_eq!((matrix.row_count(), matrix.column_count(), matrix.entry_count()), (40, 12, 2 + 38 * 6));
    }
}
