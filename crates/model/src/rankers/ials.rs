//! iALS as a ranker: see [`crate::train_ials`] for the model.

use cinedex_domain::{FoldInSettings, LIKED, MovieIndex};
use cinedex_vectors::{Matrix, MatrixView, inner_products};

use super::{Ranker, best};
use crate::{FoldIn, gramian};

/// iALS: folds the history in and ranks by inner product. A movie without an embedding (a zero row) scores 0.
#[derive(Debug, Clone)]
pub struct IalsRanker {
    movie_factors: Matrix,
    gramian: Matrix,
    settings: FoldInSettings,
    /// Whether of a history only what is liked counts, fully.
    likes_only: bool,
}

impl IalsRanker {
    /// Takes the movies' factors, `movie_count × dimension`.
    pub fn new(movie_factors: Matrix, settings: FoldInSettings) -> Self {
        let gramian = gramian(movie_factors.view());
        Self { movie_factors, gramian, settings, likes_only: false }
    }

    /// The same for factors that were learned of likes alone: of a history only those count, whatever their grade.
    #[must_use]
    pub fn of_likes(self) -> Self {
        Self { likes_only: true, ..self }
    }

    /// The movies' factors.
    pub(super) fn movie_factors(&self) -> MatrixView<'_> {
        self.movie_factors.view()
    }

    /// Their Gramian.
    pub(super) fn gramian(&self) -> MatrixView<'_> {
        self.gramian.view()
    }

    /// The user's taste and by it a score for each movie.
    pub(super) fn scores(&self, history: &[(MovieIndex, f32)]) -> (Vec<f32>, Vec<f32>) {
        let fold_in = FoldIn::new(self.movie_factors(), self.gramian(), self.settings);
        let taste = if self.likes_only {
            let liked = history.iter().filter(|(_, preference)| *preference >= LIKED);
            fold_in.vector(&liked.map(|(movie, _)| (*movie, 1.0)).collect::<Vec<_>>())
        } else {
            fold_in.vector(history)
        };
        let mut scores = vec![0.0; self.movie_factors.rows()];
        inner_products(self.movie_factors(), &taste, &mut scores);
        (taste, scores)
    }
}

impl Ranker for IalsRanker {
    fn name(&self) -> &'static str {
        if self.likes_only { "ials-likes" } else { "ials" }
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
        best(&mut self.scores(history).1, k, exclude)
    }
}
