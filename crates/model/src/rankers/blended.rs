//! Taste and recent popularity mixed as the server mixes them.

use cinedex_domain::MovieIndex;

use super::{IalsRanker, Ranker, best};
use crate::blend::{TasteSpread, add_recent, recent_scores};

/// iALS with what was liked last mixed in, see [`crate::add_recent`]. A user of whom no taste is known gets what was liked last.
#[derive(Debug, Clone)]
pub struct Blend {
    taste: IalsRanker,
    spread: TasteSpread,
    recent: Vec<f32>,
    recent_weight: f32,
}

impl Blend {
    /// `recent_counts` has for each movie its recent likes, see [`crate::recent_like_counts`]; `recent_weight` is in standard
    /// deviations of a user's taste. Panics unless there is a count for each movie.
    pub fn new(taste: IalsRanker, recent_counts: &[u64], recent_weight: f32) -> Self {
        assert_eq!(taste.movie_factors().rows(), recent_counts.len(), "a count for each movie");
        let counts: Vec<f32> = recent_counts.iter().map(|&count| count as f32).collect();
        let spread = TasteSpread::new(taste.movie_factors());
        Self { spread, taste, recent: recent_scores(&counts), recent_weight }
    }
}

impl Ranker for Blend {
    fn name(&self) -> &'static str {
        "blend"
    }

    fn dimension(&self) -> Option<usize> {
        self.taste.dimension()
    }

    fn rank(
        &self,
        _user: Option<u32>,
        history: &[(MovieIndex, f32)],
        k: usize,
        exclude: &[MovieIndex],
    ) -> Vec<MovieIndex> {
        let (taste, mut scores) = self.taste.scores(history);
        let deviation = self.spread.deviation(self.taste.gramian(), &taste);
        if deviation > 0.0 {
            add_recent(&mut scores, deviation * self.recent_weight, &self.recent);
        } else {
            scores.copy_from_slice(&self.recent);
        }
        best(&mut scores, k, exclude)
    }
}
