//! What a bundle finds by its vectors: films like a film, films for a user, users of like taste. As planned from what was
//! measured when it was built, or by a strategy that the caller forces.

use cinedex_domain::{Metric, MovieIndex, UserIndex};
use cinedex_vectors::Scored;

use crate::input::for_metric;
use crate::searcher::{Query, Searcher};
use crate::{Allowed, Bundle, Planner, Retrieval, Retrieved, Strategy};

const NOTHING: Retrieved = Retrieved { items: Vec::new(), retrieval: Retrieval::Exact };

impl Bundle {
    /// Whether a movie has an embedding.
    pub fn has_embedding(&self, movie: MovieIndex) -> bool {
        self.films().embedded().contains(movie.0)
    }

    /// The `k` allowed movies of highest cosine to `movie`, itself left out: never fewer than `k` where `k` allowed movies have
    /// an embedding. A movie without an embedding resembles nothing. Panics if `allowed` is of another bundle.
    pub fn similar(&self, movie: MovieIndex, k: usize, allowed: &Allowed) -> Retrieved {
        let planner = &self.manifest().calibration.similar.planner;
        self.like(movie, |query| self.films().search(query, k, allowed, planner))
    }

    /// The same by a given strategy, whatever the planner says.
    pub fn similar_by(
        &self,
        movie: MovieIndex,
        k: usize,
        allowed: &Allowed,
        strategy: Strategy,
    ) -> Retrieved {
        self.like(movie, |query| self.films().search_by(query, k, allowed, strategy))
    }

    /// What [`similar`](Self::similar) does first.
    pub fn plan_similar(&self, movie: MovieIndex, k: usize, allowed: &Allowed) -> Strategy {
        let planner = &self.manifest().calibration.similar.planner;
        let query = Query { metric: Metric::Cosine, vector: &[], row: Some(movie.0) };
        self.films().plan(&query, k, allowed, planner).strategy
    }

    /// The `k` allowed movies that have an embedding of highest cosine to a vector of length 1, comparing all: descending, ties
    /// ascending index. Panics if `allowed` is of another bundle.
    pub fn nearest_by_cosine(&self, unit: &[f32], k: usize, allowed: &Allowed) -> Vec<Scored> {
        let query = Query { metric: Metric::Cosine, vector: unit, row: None };
        exactly(self.films(), &query, k, allowed, &self.manifest().calibration.similar.planner)
    }

    /// The `k` allowed movies that score highest for a user's vector (by inner product; by cosine where the model says so):
    /// never fewer than `k` where `k` are allowed. Movies without an embedding come last. A vector of another length or with a
    /// number that is not finite finds nothing. Panics if `allowed` is of another bundle.
    pub fn for_user(&self, vector: &[f32], k: usize, allowed: &Allowed) -> Retrieved {
        let planner = &self.manifest().calibration.for_user.planner;
        self.for_vector(vector, k, allowed, |query| self.films().search(query, k, allowed, planner))
    }

    /// The same by a given strategy, whatever the planner says.
    pub fn for_user_by(&self, vector: &[f32], k: usize, allowed: &Allowed, strategy: Strategy) -> Retrieved {
        self.for_vector(vector, k, allowed, |query| self.films().search_by(query, k, allowed, strategy))
    }

    /// What [`for_user`](Self::for_user) does first.
    pub fn plan_for_user(&self, vector: &[f32], k: usize, allowed: &Allowed) -> Strategy {
        let query = Query { metric: self.settings().metric, vector, row: None };
        self.films().plan(&query, k, allowed, &self.manifest().calibration.for_user.planner).strategy
    }

    /// What [`for_user`](Self::for_user) scores a movie by: the inner product, or for a cosine model, where the vector has length
    /// 1, the cosine; 0 for a movie without an embedding. Panics if the movie is of another bundle.
    pub fn score(&self, vector: &[f32], movie: MovieIndex) -> f32 {
        let score = |metric| self.films().scan().score(metric, vector, movie.0);
        if self.has_embedding(movie) { score(self.settings().metric) } else { 0.0 }
    }

    /// Whether a user has an embedding; nobody has without user factors.
    pub fn has_user_embedding(&self, user: UserIndex) -> bool {
        self.people().is_some_and(|people| people.embedded().contains(user.0))
    }

    /// How many users have an embedding.
    pub fn embedded_user_count(&self) -> usize {
        self.people().map_or(0, |people| people.embedded().count())
    }

    /// The `k` users of highest cosine to `user`, itself left out: never fewer than `k` where `k` others have an embedding. A
    /// user without an embedding resembles nobody.
    pub fn user_neighbors(&self, user: UserIndex, k: usize) -> Retrieved {
        let planner = &self.manifest().calibration.neighbors.planner;
        self.neighbors(user, |people, query| people.search(query, k, people.all(), planner))
    }

    /// The same by a given strategy, whatever the planner says.
    pub fn user_neighbors_by(&self, user: UserIndex, k: usize, strategy: Strategy) -> Retrieved {
        self.neighbors(user, |people, query| people.search_by(query, k, people.all(), strategy))
    }

    /// The `k` users of highest cosine to a vector, comparing all who have an embedding: descending, ties ascending index. A
    /// vector of zeros, of another length or with a number that is not finite finds nobody.
    pub fn nearest_users(&self, vector: &[f32], k: usize) -> Vec<Scored> {
        let unit = for_metric(Metric::Cosine, vector);
        let Some(people) = self.people().filter(|_| unit.iter().any(|&value| value != 0.0)) else {
            return Vec::new();
        };
        let query = Query { metric: Metric::Cosine, vector: &unit, row: None };
        exactly(people, &query, k, people.all(), &self.manifest().calibration.neighbors.planner)
    }

    fn like(&self, movie: MovieIndex, search: impl Fn(&Query<'_>) -> Retrieved) -> Retrieved {
        let unit = self.films().unit(movie.0);
        unit.map_or(NOTHING, |unit| {
            search(&Query { metric: Metric::Cosine, vector: &unit, row: Some(movie.0) })
        })
    }

    fn neighbors(&self, user: UserIndex, search: impl Fn(&Searcher, &Query<'_>) -> Retrieved) -> Retrieved {
        let found = self.people().and_then(|people| {
            let unit = people.unit(user.0)?;
            Some(search(people, &Query { metric: Metric::Cosine, vector: &unit, row: Some(user.0) }))
        });
        found.unwrap_or(NOTHING)
    }

    fn for_vector(
        &self,
        vector: &[f32],
        k: usize,
        allowed: &Allowed,
        search: impl Fn(&Query<'_>) -> Retrieved,
    ) -> Retrieved {
        let metric = self.settings().metric;
        let vector = for_metric(metric, vector);
        if !self.films().scan().is_searchable(&vector) {
            return NOTHING;
        }
        let Retrieved { items, retrieval } = search(&Query { metric, vector: &vector, row: None });
        Retrieved { items: self.films().scan().complete(items, k, allowed), retrieval }
    }
}

/// By the cheaper of the exact strategies.
fn exactly(
    searcher: &Searcher,
    query: &Query<'_>,
    k: usize,
    allowed: &Allowed,
    planner: &Planner,
) -> Vec<Scored> {
    let strategy = searcher.plan(query, k, allowed, planner).exact;
    searcher.search_by(query, k, allowed, strategy).items
}
