//! The same list for everybody: what every model has to beat.

use cinedex_domain::{LIKED, MovieIndex};
use cinedex_vectors::Csr;

use super::{Ranker, best};

/// Movies by a count of likes.
#[derive(Debug, Clone)]
pub struct Popularity {
    name: &'static str,
    counts: Vec<f32>,
}

impl Popularity {
    /// By all likes, one count a movie, see [`like_counts`].
    pub fn new(counts: &[u64]) -> Self {
        Self { name: "popularity", counts: counts.iter().map(|&count| count as f32).collect() }
    }

    /// By the latest likes, one count a movie, see [`recent_like_counts`].
    pub fn recent(counts: &[u64]) -> Self {
        Self { name: "recent-popularity", ..Self::new(counts) }
    }
}

impl Ranker for Popularity {
    fn name(&self) -> &'static str {
        self.name
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranker: &Popularity, k: usize, exclude: &[u32], expect: &[u32]) {
        let exclude: Vec<MovieIndex> = exclude.iter().copied().map(MovieIndex).collect();
        let ranking = ranker.rank(None, &[], k, &exclude);
        assert_eq!(ranking.iter().map(|movie| movie.0).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn popularity_counts_likes_and_breaks_ties_by_index() {
        let likes = [(0, 2, 1.0), (1, 2, 1.0), (0, 1, 0.3), (1, 3, -1.0), (2, 3, -1.0), (2, 0, 1.0)];
        let popularity = Popularity::new(&like_counts(&Csr::from_triplets(3, 5, likes)));
        check(&popularity, 9, &[], &[2, 0, 1, 3, 4]);
        check(&popularity, 2, &[2, 1], &[0, 3]);
        check(&popularity, 0, &[], &[]);
    }

    #[test]
    fn recent_popularity_counts_the_last_by_time() {
        let events = [(0, 5), (1, 1), (1, 2), (2, 9), (0, 1), (2, 1), (3, 5), (1, 0), (1, 0), (1, i64::MIN)];
        let events = events.map(|(movie, time)| (MovieIndex(movie), time));
        let recent = |share| Popularity::recent(&recent_like_counts(4, &events, share));
        check(&recent(0.2), 2, &[], &[2, 3]);
        check(&recent(0.0), 2, &[], &[0, 1]);
        check(&recent(1.0), 2, &[], &[1, 0]);
    }
}
