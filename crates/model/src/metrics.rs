//! How good one ranking is, given what was to be found. Binary relevance; a movie occurs once in a ranking.

use std::collections::HashSet;

use cinedex_domain::MovieIndex;

/// What the hits of a recall are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecallBase {
    /// `min(k, targets)`: a perfect ranking has recall 1 (Liang et al. 2018).
    AtMostK,
    /// All targets.
    Targets,
}

/// The targets of one user, against which rankings are measured.
#[derive(Debug, Clone)]
pub struct Targets(HashSet<MovieIndex>);

impl Targets {
    /// What is to be found; repeats count once.
    pub fn new(movies: &[MovieIndex]) -> Self {
        Self(movies.iter().copied().collect())
    }

    /// Hits among the first `k`, over `base`; 0 where there is no target or `k` is 0.
    pub fn recall(&self, ranking: &[MovieIndex], k: usize, base: RecallBase) -> f64 {
        let possible = match base {
            RecallBase::AtMostK => self.0.len().min(k),
            RecallBase::Targets => self.0.len(),
        };
        let hits = self.hits(ranking, k).count();
        if possible == 0 { 0.0 } else { hits as f64 / possible as f64 }
    }

    /// Discounted gain of the first `k` over that of a perfect ranking, whose length is `min(k, targets)`
    /// (Järvelin & Kekäläinen 2002); 0 where there is no target or `k` is 0.
    pub fn ndcg(&self, ranking: &[MovieIndex], k: usize) -> f64 {
        let ideal: f64 = (0..self.0.len().min(k)).map(discount).sum();
        let gain: f64 = self.hits(ranking, k).map(discount).sum();
        if ideal == 0.0 { 0.0 } else { gain / ideal }
    }

    /// One over the rank of the first hit among the first `k`, 0 without.
    pub fn reciprocal_rank(&self, ranking: &[MovieIndex], k: usize) -> f64 {
        self.hits(ranking, k).next().map_or(0.0, |position| 1.0 / (position + 1) as f64)
    }

    /// Positions, from 0, of hits among the first `k`.
    fn hits(&self, ranking: &[MovieIndex], k: usize) -> impl Iterator<Item = usize> {
        let hit = |(position, movie)| self.0.contains(movie).then_some(position);
        ranking.iter().take(k).enumerate().filter_map(hit)
    }
}

/// Gain of a hit at a position from 0.
fn discount(position: usize) -> f64 {
    1.0 / ((position + 2) as f64).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn movies(numbers: &[u32]) -> Vec<MovieIndex> {
        numbers.iter().copied().map(MovieIndex).collect()
    }

    fn check(value: f64, expect: f64) {
        assert!((value - expect).abs() < 1e-12, "{value} is not {expect}");
    }

    #[test]
    fn recall_divides_by_what_could_be_found() {
        let targets = Targets::new(&movies(&[1, 2, 3, 3]));
        let ranking = movies(&[9, 1, 3, 8]);
        check(targets.recall(&ranking, 2, RecallBase::AtMostK), 0.5);
        check(targets.recall(&ranking, 2, RecallBase::Targets), 1.0 / 3.0);
        check(targets.recall(&ranking, 4, RecallBase::AtMostK), 2.0 / 3.0);
        check(targets.recall(&ranking, 0, RecallBase::AtMostK), 0.0);
    }

    #[test]
    fn ndcg_weighs_by_position() {
        let targets = Targets::new(&movies(&[1, 2, 3]));
        let third = 1.0 / 3f64.log2();
        check(targets.ndcg(&movies(&[9, 1, 3]), 3), (third + 0.5) / (1.0 + third + 0.5));
        check(targets.ndcg(&movies(&[9, 1, 3]), 2), third / (1.0 + third));
        check(targets.ndcg(&movies(&[3, 1, 2, 9]), 100), 1.0);
    }

    #[test]
    fn ndcg_is_zero_when_nothing_matches() {
        check(Targets::new(&movies(&[1])).ndcg(&movies(&[2]), 10), 0.0);
        check(Targets::new(&[]).ndcg(&movies(&[2]), 10), 0.0);
    }

    #[test]
    fn the_reciprocal_rank_is_that_of_the_first_hit() {
        let targets = Targets::new(&movies(&[1, 2]));
        check(targets.reciprocal_rank(&movies(&[9, 8, 2, 1]), 4), 1.0 / 3.0);
        check(targets.reciprocal_rank(&movies(&[9, 8, 2, 1]), 2), 0.0);
    }
}
