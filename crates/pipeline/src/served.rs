//! The engine as a ranker: a bundle judged by what it would answer over HTTP.

use cinedex_dataset::split::TrainingSet;
use cinedex_domain::{InteractionKind, MovieId, MovieIndex};
use cinedex_index::{IndexRoot, Version};
use cinedex_model::Ranker;
use cinedex_recommender::{HistoryItem, Snapshot, UserRequest};

use crate::PipelineError;

/// Answers by folding the history in, as a request that carries its history does.
pub(crate) struct ServedRanker {
    snapshot: Snapshot,
    movie_ids: Vec<MovieId>,
    name: String,
}

impl ServedRanker {
    /// Opens the bundle; rows of movies are those of the training set.
    pub(crate) fn open(
        indexes: &IndexRoot,
        version: &Version,
        training: &TrainingSet,
    ) -> Result<Self, PipelineError> {
        let snapshot = Snapshot::new(indexes.open(version)?, 0);
        Ok(Self { snapshot, movie_ids: training.movie_ids.clone(), name: format!("bundle {version}") })
    }

    fn row(&self, movie_id: &MovieId) -> Option<MovieIndex> {
        self.movie_ids.binary_search(movie_id).ok().map(|row| MovieIndex(row as u32))
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
        let kind =
            |preference: f32| if preference > 0.0 { InteractionKind::Like } else { InteractionKind::Dislike };
        let items: Vec<HistoryItem> = history
            .iter()
            .map(|&(movie, preference)| HistoryItem {
                movie_id: self.movie_ids[movie.row()].clone(),
                kind: kind(preference),
                value: None,
            })
            .collect();
        let mut request = UserRequest { limit: k, ..UserRequest::default() };
        request.filter.adult = true;
        request.filter.exclude = exclude.iter().map(|movie| self.movie_ids[movie.row()].clone()).collect();
        // A filter without genres and a history of likes cannot be refused; if it is, nothing was recommended.
        let Ok(list) = self.snapshot.for_history(&items, &request) else { return Vec::new() };
        list.items.iter().filter_map(|item| self.row(item.movie_id)).collect()
    }
}
