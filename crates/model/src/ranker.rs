//! What is judged: anything that ranks movies for a user; and the baselines that every model has to beat.

use cinedex_domain::{LIKED, MovieIndex};
use cinedex_vectors::{Csr, Matrix, TopK, inner_products};

use crate::FoldIn;
use crate::gramian;
use cinedex_domain::FoldInSettings;

/// Ranks movies for a user.
pub trait Ranker: Sync {
    /// A short name, for example `ials`.
    fn name(&self) -> &str;

    /// Length of its embeddings, where it has any.
    fn dimension(&self) -> Option<usize> {
        None
    }

    /// At most `k` movies, best first, ties by ascending index, none of `exclude`. `user` is the row in training of a known
    /// user, `history` what is known of the user, signed.
    fn rank(
        &self,
        user: Option<u32>,
        history: &[(MovieIndex, f32)],
        k: usize,
        exclude: &[MovieIndex],
    ) -> Vec<MovieIndex>;
}

/// iALS: folds the history in and ranks by inner product. A movie without an embedding (a zero row) comes last.
#[derive(Debug, Clone)]
pub struct IalsRanker {
    movie_factors: Matrix,
    gramian: Matrix,
    settings: FoldInSettings,
}

impl IalsRanker {
    /// Takes the movies' factors, `movie_count × dimension`.
    pub fn new(movie_factors: Matrix, settings: FoldInSettings) -> Self {
        let gramian = gramian(movie_factors.view());
        Self { movie_factors, gramian, settings }
    }
}

impl Ranker for IalsRanker {
    fn name(&self) -> &'static str {
        "ials"
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.movie_factors.dimension())
    }

    fn rank(
        &self,
        _user: Option<u32>,
        history: &[(MovieIndex, f32)],
        k: usize,
        exclude: &[MovieIndex],
    ) -> Vec<MovieIndex> {
        let fold_in = FoldIn::new(self.movie_factors.view(), self.gramian.view(), self.settings);
        let mut scores = vec![0.0; self.movie_factors.rows()];
        inner_products(self.movie_factors.view(), &fold_in.vector(history), &mut scores);
        best(&mut scores, k, exclude)
    }
}

/// The same for everybody: movies by how many like them.
#[derive(Debug, Clone)]
pub struct Popularity {
    counts: Vec<f32>,
}

impl Popularity {
    /// Counts positive preferences of users × movies.
    pub fn new(preferences: &Csr<f32>) -> Self {
        Self { counts: like_counts(preferences).into_iter().map(|count| count as f32).collect() }
    }
}

impl Ranker for Popularity {
    fn name(&self) -> &'static str {
        "popularity"
    }

    fn rank(
        &self,
        _user: Option<u32>,
        _history: &[(MovieIndex, f32)],
        k: usize,
        exclude: &[MovieIndex],
    ) -> Vec<MovieIndex> {
        best(&mut self.counts.clone(), k, exclude)
    }
}

/// The same for everybody: movies by how many came to like them last.
#[derive(Debug, Clone)]
pub struct RecentPopularity {
    counts: Vec<f32>,
}

impl RecentPopularity {
    /// The share of training that counts as recent where nothing else is said.
    pub const DEFAULT_SHARE: f64 = 0.1;

    /// Counts the last `share` (0 to 1) of positive `(movie, timestamp)` by time; of equal times those given last. Panics
    /// if a movie is out of range.
    pub fn new(movie_count: usize, events: &[(MovieIndex, i64)], share: f64) -> Self {
        let counts = recent_like_counts(movie_count, events, share);
        Self { counts: counts.into_iter().map(|count| count as f32).collect() }
    }
}

impl Ranker for RecentPopularity {
    fn name(&self) -> &'static str {
        "recent-popularity"
    }

    fn rank(
        &self,
        _user: Option<u32>,
        _history: &[(MovieIndex, f32)],
        k: usize,
        exclude: &[MovieIndex],
    ) -> Vec<MovieIndex> {
        best(&mut self.counts.clone(), k, exclude)
    }
}

/// For each movie how many users like it: preferences of users × movies from [`LIKED`] on.
pub fn like_counts(preferences: &Csr<f32>) -> Vec<u64> {
    let mut counts = vec![0; preferences.column_count()];
    let entries = preferences.columns().iter().zip(preferences.values());
    for (&movie, _) in entries.filter(|(_, preference)| **preference >= LIKED) {
        counts[movie as usize] += 1;
    }
    counts
}

/// For each movie how many of the last `share` (0 to 1) of positive `(movie, timestamp)` by time are its; of equal times
/// those given last. Panics if a movie is out of range.
pub fn recent_like_counts(movie_count: usize, events: &[(MovieIndex, i64)], share: f64) -> Vec<u64> {
    let mut order: Vec<u32> = (0u32..).take(events.len()).collect();
    order.sort_by_key(|&event| events[event as usize].1);
    let recent = (events.len() as f64 * share.clamp(0.0, 1.0)).round() as usize;
    let mut counts = vec![0; movie_count];
    for &event in &order[events.len() - recent..] {
        counts[events[event as usize].0.row()] += 1;
    }
    counts
}

/// The best `k` of `scores` without the excluded.
fn best(scores: &mut [f32], k: usize, exclude: &[MovieIndex]) -> Vec<MovieIndex> {
    for movie in exclude {
        scores[movie.row()] = f32::NAN;
    }
    let mut top = TopK::new(k);
    top.push_all(0, scores);
    top.into_sorted().into_iter().map(|scored| MovieIndex(scored.index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranker: &dyn Ranker, k: usize, exclude: &[u32], expect: &[u32]) {
        let exclude: Vec<MovieIndex> = exclude.iter().copied().map(MovieIndex).collect();
        let ranking = ranker.rank(None, &[], k, &exclude);
        assert_eq!(ranking.iter().map(|movie| movie.0).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn popularity_counts_likes_and_breaks_ties_by_index() {
        let likes = [(0, 2, 1.0), (1, 2, 1.0), (0, 1, 0.3), (1, 3, -1.0), (2, 3, -1.0), (2, 0, 1.0)];
        let popularity = Popularity::new(&Csr::from_triplets(3, 5, likes));
        check(&popularity, 9, &[], &[2, 0, 1, 3, 4]);
        check(&popularity, 2, &[2, 1], &[0, 3]);
        check(&popularity, 0, &[], &[]);
    }

    #[test]
    fn recent_popularity_counts_the_last_by_time() {
        let events = [(0, 5), (1, 1), (1, 2), (2, 9), (0, 1), (2, 1), (3, 5), (1, 0), (1, 0), (1, i64::MIN)];
        let events = events.map(|(movie, time)| (MovieIndex(movie), time));
        check(&RecentPopularity::new(4, &events, 0.2), 2, &[], &[2, 3]);
        check(&RecentPopularity::new(4, &events, 0.0), 2, &[], &[0, 1]);
        check(&RecentPopularity::new(4, &events, 1.0), 2, &[], &[1, 0]);
    }
}
