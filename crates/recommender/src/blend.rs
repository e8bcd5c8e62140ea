//! Taste, the popularity of a place and what was liked last in one ranking, exactly by the equation of
//! [`BlendSettings`](cinedex_domain::BlendSettings). Candidates come from the three lists until none outside them can enter (the
//! threshold algorithm of Fagin, Lotem & Naor 2003), so a ranking is the same however long a part of it is asked for.

use std::sync::Arc;

use cinedex_domain::MovieIndex;
use cinedex_index::{Allowed, PlaceIndex, Retrieval};
use cinedex_model::recent_scores;
use cinedex_vectors::{Scored, TopK};

use crate::Snapshot;

/// Candidates taken from each list at first; four times as many in each further round.
const FIRST_CANDIDATES: usize = 128;

/// What popularity adds to the scores of one user: that of a place, and that of what was liked last.
pub(crate) struct Popularity<'a> {
    pub(crate) place: PlaceIndex,
    /// What a standard deviation of the place's popularity adds, at least 0.
    place_weight: f32,
    rates: Arc<[f32]>,
    scale: LogScale,
    /// What a standard deviation of recent popularity adds, at least 0.
    recent_weight: f32,
    recent: &'a Recent,
}

/// Movies by what was liked last.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// [`recent_scores`] of every movie; empty where the model gives them no weight.
    scores: Vec<f32>,
    /// Movies by descending score, ties ascending index.
    order: Vec<u32>,
}

impl Recent {
    pub(crate) fn new(counts: &[f32]) -> Self {
        let scores = recent_scores(counts);
        // Sorted as one number with the index, scores need no look at other memory.
        let keyed = (0u64..).zip(&scores).map(|(index, score)| u64::from(descending(*score)) << 32 | index);
        let mut keyed: Vec<u64> = keyed.collect();
        keyed.sort_unstable();
        let order = keyed.into_iter().map(|key| key as u32).collect();
        Self { scores, order }
    }

    fn score(&self, movie: u32) -> f32 {
        self.scores.get(movie as usize).copied().unwrap_or(0.0)
    }

    fn best<'a>(&'a self, k: usize, allowed: &'a Allowed) -> impl Iterator<Item = u32> + 'a {
        self.order.iter().copied().filter(|&movie| allowed.contains(movie)).take(k)
    }
}

/// How the logs of a place's rates are distributed over the catalogue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LogScale {
    /// Stands for rates of 0.
    floor: f32,
    mean: f32,
    /// 0 if all rates are equal.
    inverse_deviation: f32,
}

impl LogScale {
    pub(crate) fn new(rates: &[f32]) -> Self {
        let smallest = rates.iter().copied().filter(|rate| *rate > 0.0).fold(f32::INFINITY, f32::min);
        let floor = if smallest.is_finite() { smallest / 2.0 } else { 1.0 };
        let logs: Vec<f64> = rates.iter().map(|rate| f64::from(rate.max(floor)).ln()).collect();
        let count = rates.len().max(1) as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / count;
        let inverse_deviation = if variance > 1e-12 { variance.sqrt().recip() as f32 } else { 0.0 };
        Self { floor, mean: mean as f32, inverse_deviation }
    }

    fn z(&self, rate: f32) -> f32 {
        (rate.max(self.floor).ln() - self.mean) * self.inverse_deviation
    }
}

impl<'a> Popularity<'a> {
    /// For a user of whom `known` interactions are known and whose taste scores have the standard deviation `deviation`.
    pub(crate) fn new(snapshot: &'a Snapshot, place: PlaceIndex, known: usize, deviation: f32) -> Self {
        let blend = snapshot.bundle().settings().blend;
        let rates = snapshot.bundle().popularity().rates(place);
        let scale = snapshot.log_scale(place, &rates);
        Self {
            place,
            place_weight: (deviation * blend.place_weight(known)).max(0.0),
            rates,
            scale,
            recent_weight: (deviation * blend.recent_weight).max(0.0),
            recent: snapshot.recent(),
        }
    }

    /// What popularity adds to a movie's score.
    pub(crate) fn part(&self, movie: u32) -> f32 {
        self.place_part(movie) + self.recent_part(movie)
    }

    fn place_part(&self, movie: u32) -> f32 {
        if self.place_weight == 0.0 {
            return 0.0;
        }
        self.place_weight * self.scale.z(self.rates.get(movie as usize).copied().unwrap_or(0.0))
    }

    fn recent_part(&self, movie: u32) -> f32 {
        self.recent_weight * self.recent.score(movie)
    }
}

/// The best `k` of the allowed movies by taste and popularity together; all of them if there are fewer. `vector` is a taste
/// whose inner product with a movie's scaled factors ([`Snapshot::taste_score`]) is the taste's part of the score.
pub(crate) fn rank(
    snapshot: &Snapshot,
    vector: &[f32],
    popularity: &Popularity<'_>,
    k: usize,
    allowed: &Allowed,
) -> (Vec<Scored>, Retrieval) {
    let total = allowed.count();
    let k = k.min(total);
    let mut depth = FIRST_CANDIDATES.max(k * 2).min(total);
    loop {
        let tasty = snapshot.nearest_to(vector, depth, allowed);
        // Without weight the popular list only stands in for movies that have no embedding.
        let need_popular = popularity.place_weight > 0.0 || tasty.items.len() < depth;
        let popular = if need_popular {
            snapshot.bundle().popularity().ranking(popularity.place, depth, allowed)
        } else {
            Vec::new()
        };
        let recent_depth = if popularity.recent_weight > 0.0 { depth } else { 0 };
        let recent: Vec<u32> = popularity.recent.best(recent_depth, allowed).collect();
        let mut candidates: Vec<u32> = tasty.items.iter().chain(&popular).map(|hit| hit.index).collect();
        candidates.extend(&recent);
        candidates.sort_unstable();
        candidates.dedup();
        let mut best = TopK::new(k);
        for movie in candidates {
            best.push(movie, snapshot.taste_score(vector, movie) + popularity.part(movie));
        }
        // A movie outside all lists has at most the taste and the popularity at which they end; one that the list of
        // tastes leaves out altogether has no embedding and a taste of 0. Sums round alike, so the bound holds in f32.
        let taste_bound = tasty.items.last().map_or(0.0, |hit| hit.score.max(0.0));
        let place_bound = popular.last().map_or(0.0, |hit| popularity.place_part(hit.index));
        let recent_bound = recent.last().map_or(0.0, |&movie| popularity.recent_part(movie));
        if depth >= total || best.threshold() > taste_bound + (place_bound + recent_bound) {
            return (best.into_sorted(), tasty.retrieval);
        }
        depth = depth.saturating_mul(4).min(total);
    }
}

/// A number that ascends as scores descend, by [`f32::total_cmp`].
fn descending(score: f32) -> u32 {
    let bits = score.to_bits();
    if bits >> 31 == 1 { bits } else { !bits & (u32::MAX >> 1) }
}

/// Whether popularity adds more to a movie's score than taste does.
pub(crate) fn is_popular(snapshot: &Snapshot, popularity: &Popularity<'_>, hit: Scored) -> bool {
    let part = popularity.part(hit.index);
    !snapshot.bundle().has_embedding(MovieIndex(hit.index)) || part > hit.score - part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rates: &[f32], expect: &[f32]) {
        let scale = LogScale::new(rates);
        let found: Vec<f32> = rates.iter().map(|rate| (scale.z(*rate) * 100.0).round() / 100.0).collect();
        assert_eq!(found, expect, "{rates:?}");
    }

    #[test]
    fn what_was_liked_last_is_ordered_by_score_and_then_by_index() {
        let recent = Recent::new(&[1.0, 0.0, 7.0, 0.0, 1.0, 30.0]);
        assert_eq!(recent.order, [5, 2, 0, 4, 1, 3]);
        let mut scores = [-0.0, 0.0, 3.0, -3.0, f32::MIN_POSITIVE, -1e-40, f32::MAX, f32::MIN];
        scores.sort_unstable_by_key(|&score| descending(score));
        assert!(scores.windows(2).all(|pair| pair[0].total_cmp(&pair[1]).is_gt()), "{scores:?}");
    }

    #[test]
    fn logs_of_rates_are_standardised() {
        check(&[0.1, 0.1, 0.1], &[0.0, 0.0, 0.0]);
        check(&[0.1, 0.4], &[-1.0, 1.0]);
        check(&[0.0, 0.0], &[0.0, 0.0]);
        check(&[], &[]);
        // A rate of 0 stands at half of the smallest.
        check(&[0.0, 0.2], &[-1.0, 1.0]);
    }
}
