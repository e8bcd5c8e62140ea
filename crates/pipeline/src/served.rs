//! The engine as a ranker: a bundle judged by what it would answer over HTTP.

use cinedex_domain::{MovieId, MovieIndex, compare_ids};
use cinedex_index::{IndexRoot, Version};
use cinedex_model::Ranker;
use cinedex_recommender::{Snapshot, UserRequest};

use crate::PipelineError;

/// Answers by folding the history in, as a request that carries its history does, with preferences as they are given.
pub(crate) struct ServedRanker {
    snapshot: Snapshot,
    movie_ids: Vec<MovieId>,
    /// From a row here to one of the bundle.
    rows: Vec<Option<MovieIndex>>,
    /// Movies of the bundle that have no row here, which are not ranked.
    beyond_rows: usize,
    name: String,
}

impl ServedRanker {
    /// Opens the bundle; a row of a movie is a position in `movie_ids`, which are in the canonical order.
    pub(crate) fn open(
        indexes: &IndexRoot,
        version: &Version,
        movie_ids: Vec<MovieId>,
    ) -> Result<Self, PipelineError> {
        let snapshot = Snapshot::new(indexes.open(version)?, 0);
        let rows: Vec<Option<MovieIndex>> =
            movie_ids.iter().map(|movie_id| snapshot.bundle().movie_index(movie_id.as_str())).collect();
        let beyond_rows = snapshot.movie_count() - rows.iter().flatten().count();
        Ok(Self { snapshot, movie_ids, rows, beyond_rows, name: format!("bundle {version}") })
    }

    fn row(&self, movie_id: &str) -> Option<MovieIndex> {
        let found = self.movie_ids.binary_search_by(|known| compare_ids(known.as_str(), movie_id));
        found.ok().map(|row| MovieIndex(row as u32))
    }
}

impl Ranker for ServedRanker {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.snapshot.bundle().settings().dimension)
    }

    fn rank(
        &self,
        _user: Option<u32>,
        history: &[(MovieIndex, f32)],
        k: usize,
        exclude: &[MovieIndex],
    ) -> Vec<MovieIndex> {
        let known = |&(movie, preference): &(MovieIndex, f32)| Some((self.rows[movie.row()]?, preference));
        let history: Vec<(MovieIndex, f32)> = history.iter().filter_map(known).collect();
        let limit = k.saturating_add(self.beyond_rows);
        let mut request = UserRequest { limit, ..UserRequest::default() };
        request.filter.adult = true;
        request.filter.exclude = exclude.iter().map(|movie| self.movie_ids[movie.row()].clone()).collect();
        // A filter without genres cannot be refused; if it is, nothing was recommended.
        let Ok(list) = self.snapshot.for_preferences(&history, &request) else { return Vec::new() };
        list.items.iter().filter_map(|item| self.row(item.movie_id)).take(k).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use cinedex_dataset::split::{Event, TrainingSet};
    use cinedex_dataset::{Dataset, Opinions};
    use cinedex_domain::LIKED;
    use cinedex_domain::{BlendSettings, PreferencePolicy, UserIndex, silent};
    use cinedex_model::{
        FoldIn, IalsParameters, Model, ModelColumns, TasteSpread, gramian, recent_like_counts, recent_scores,
    };
    use cinedex_vectors::{TopK, dot};

    use super::*;
    use crate::test_world::{NAME, small};
    use crate::{BuildRequest, TrainRequest, build_and_publish, train};

    const SHARE: f32 = 0.3;

    /// All of a data set, as a split would have it.
    fn training_set(dataset: &Dataset) -> TrainingSet {
        let opinions = Opinions::of(dataset, &PreferencePolicy::default());
        let event = |user: usize, at: usize| Event {
            user: UserIndex(user as u32),
            movie: MovieIndex(opinions.movies[at]),
            preference: opinions.preferences[at],
            timestamp_ms: opinions.timestamps_ms[at],
        };
        let of_user = |user: usize| opinions.range(user).map(move |at| (user, at));
        TrainingSet {
            movie_ids: dataset.movies.iter().map(|movie| movie.movie_id.clone()).collect(),
            user_ids: dataset.users.iter().map(|user| user.user_id.clone()).collect(),
            events: (0..opinions.user_count).flat_map(of_user).map(|(user, at)| event(user, at)).collect(),
        }
    }

    /// What was liked last, on the scale of scores before the weight.
    fn recent(training: &TrainingSet) -> Vec<f32> {
        let likes = training.events.iter().filter(|event| event.preference >= LIKED);
        let likes: Vec<(MovieIndex, i64)> = likes.map(|event| (event.movie, event.timestamp_ms)).collect();
        let counts = recent_like_counts(training.movie_ids.len(), &likes, f64::from(SHARE));
        recent_scores(&counts.into_iter().map(|count| count as f32).collect::<Vec<_>>())
    }

    #[test]
    fn a_bundle_ranks_as_the_blend_of_its_model_does() {
        let (folder, data) = small();
        let blend = BlendSettings { recent_weight: 1.0, recent_share: SHARE, ..BlendSettings::NONE };
        let parameters = IalsParameters { dimension: 8, ..IalsParameters::default() };
        let request = TrainRequest { dataset: NAME.to_owned(), parameters, blend, ..TrainRequest::default() };
        let model = train(&data, &request, &silent, &AtomicBool::new(false)).unwrap();
        let indexes = IndexRoot::new(folder.path().join("indexes"));
        let request = BuildRequest { dataset: NAME.to_owned(), ..BuildRequest::default() };
        let version = build_and_publish(&data, &indexes, &request, &silent, &AtomicBool::new(false))
            .unwrap()
            .build
            .version;
        let training = training_set(&Dataset::load(&data, NAME).unwrap());
        let served = ServedRanker::open(&indexes, &version, training.movie_ids.clone()).unwrap();

        let model = Model::read(&model.path, &ModelColumns::default()).unwrap();
        let factors = model.movie_factors.view();
        let (gram, spread, recent) = (gramian(factors), TasteSpread::new(factors), recent(&training));
        assert!(recent.iter().any(|score| score.abs() > 1.0), "{recent:?}");
        let fold_in = FoldIn::new(factors, gram.view(), model.manifest.settings.fold_in.unwrap());
        let graded = [(2, 1.0), (3, -0.4)];
        let histories = [&graded[..], &[(7, 0.2)], &[(0, 1.0), (1, 0.3), (8, -1.0)], &[(5, 0.6), (6, 0.5)]];
        for history in histories {
            let history: Vec<(MovieIndex, f32)> =
                history.iter().map(|&(movie, preference)| (MovieIndex(movie), preference)).collect();
            let exclude: Vec<MovieIndex> = history.iter().map(|(movie, _)| *movie).collect();
            let taste = fold_in.vector(&history);
            let sigma = spread.deviation(gram.view(), &taste);
            let mut best = TopK::new(9);
            for (movie, recent) in
                (0u32..).zip(&recent).filter(|(movie, _)| !exclude.contains(&MovieIndex(*movie)))
            {
                best.push(movie, dot(&taste, factors.row(movie as usize)) + sigma * recent);
            }
            let expect: Vec<MovieIndex> =
                best.into_sorted().into_iter().map(|hit| MovieIndex(hit.index)).collect();
            assert_eq!(served.rank(None, &history, 9, &exclude), expect, "{history:?}");
        }
    }
}
