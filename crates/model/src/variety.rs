//! What a ranker shows beside whether it is right: how little known it is, and how unlike each other the movies of a list are.

use cinedex_domain::MovieIndex;
use cinedex_vectors::Csr;
use rayon::prelude::*;

use crate::co_occurrence::CoOccurrence;

/// Who likes what in training, against which lists are held.
pub struct Audiences {
    pairs: CoOccurrence,
}

impl Audiences {
    /// Of the positive preferences of users × movies; their size does not matter.
    pub fn new(training: &Csr<f32>) -> Self {
        Self { pairs: CoOccurrence::of_likes(training) }
    }

    /// For each list the mean self-information `-log2(likes / users)` of its movies, in bits (Zhou et al. 2010, "Solving the
    /// apparent diversity-accuracy dilemma of recommender systems"; Vargas & Castells 2011). A movie that nobody likes counts
    /// as if one user did; an empty list has 0.
    pub(crate) fn novelty(&self, lists: &[Vec<MovieIndex>]) -> Vec<f64> {
        let users = self.pairs.user_count().max(1) as f64;
        let surprise = |movie: &MovieIndex| (users / self.pairs.audience(movie.row()).max(1) as f64).log2();
        let mean = |list: &Vec<MovieIndex>| list.iter().map(surprise).sum::<f64>() / list.len().max(1) as f64;
        lists.iter().map(mean).collect()
    }

    /// For each list one minus the mean cosine of the audiences of two of its movies (Vargas & Castells 2011, "Rank and
    /// Relevance in Novelty and Diversity Metrics"); 0 for a list of fewer than two. An addition for each pair of likes
    /// of one user, of which one is of a movie that is shown to anybody.
    pub(crate) fn diversity(&self, lists: &[Vec<MovieIndex>]) -> Vec<f64> {
        let movies = self.pairs.movie_count();
        let places = (0u32..).zip(lists).flat_map(|(list, shown)| {
            shown.iter().zip(0u32..).map(move |(movie, position)| (movie.0, list, position))
        });
        // For each movie the lists that show it, and where.
        let shown = Csr::from_triplets(movies, lists.len(), places);
        let root = |movie: usize| (self.pairs.audience(movie) as f64).sqrt();
        let with_later = |counts: &mut Vec<f32>, movie: usize| {
            let (own_lists, positions) = shown.row(movie);
            if !own_lists.is_empty() {
                self.pairs.row(movie, counts);
            }
            let cosine = |other: &MovieIndex| {
                let norms = root(movie) * root(other.row());
                if norms == 0.0 { 0.0 } else { f64::from(counts[other.row()]) / norms }
            };
            let sum = |(&list, &position): (&u32, &u32)| {
                let later = &lists[list as usize][position as usize + 1..];
                (list, later.iter().map(cosine).sum::<f64>())
            };
            own_lists.iter().zip(positions).map(sum).collect::<Vec<_>>()
        };
        let sums: Vec<Vec<(u32, f64)>> =
            (0..movies).into_par_iter().map_init(|| vec![0.0; movies], with_later).collect();
        let mut cosines = vec![0.0; lists.len()];
        for (list, sum) in sums.into_iter().flatten() {
            cosines[list as usize] += sum;
        }
        let diversity = |(list, cosine): (&Vec<MovieIndex>, f64)| {
            let pairs = list.len() * list.len().saturating_sub(1) / 2;
            if pairs == 0 { 0.0 } else { 1.0 - cosine / pairs as f64 }
        };
        lists.iter().zip(cosines).map(diversity).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(lists: &[&[u32]]) -> Vec<Vec<MovieIndex>> {
        lists.iter().map(|list| list.iter().copied().map(MovieIndex).collect()).collect()
    }

    fn check(found: Vec<f64>, expect: &[f64]) {
        assert_eq!(found.len(), expect.len());
        assert!(found.iter().zip(expect).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expect:?}");
    }

    #[test]
    fn novelty_and_diversity_by_hand() {
        // Audiences of four users: 0 has all, 1 has 0 and 1, 2 has 2 and 3, 3 nobody (one dislike), 4 has 0.
        let likes = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 2), (3, 2), (0, 4)];
        let likes = likes.into_iter().map(|(user, movie)| (user, movie, 1.0));
        let audiences = Audiences::new(&Csr::from_triplets(4, 5, likes.chain([(0, 3, -1.0)])));
        check(audiences.novelty(&lists(&[&[0], &[1, 0], &[3], &[]])), &[0.0, 0.5, 2.0, 0.0]);
        let half = 0.5f64.sqrt();
        let found = audiences.diversity(&lists(&[&[1, 2], &[0, 1], &[2, 0, 1], &[4, 0], &[3, 0], &[1], &[]]));
        let three = 1.0 - 2.0 * half / 3.0;
        check(found, &[1.0, 1.0 - half, three, 0.5, 1.0, 0.0, 0.0]);
    }
}
