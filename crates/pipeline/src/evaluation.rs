//! Judges models, and the engine as it serves, on held-out interactions: from a data set that it splits, or from files.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cinedex_dataset::split::{
    HeldOutUser, StrongOptions, TemporalOptions, TrainingSet, read_held_out, read_training, split_strong,
    split_temporal_global,
};
use cinedex_dataset::{DataRoot, Dataset};
use cinedex_domain::{LIKED, MovieIndex, PreferencePolicy, Progress, Step};
use cinedex_index::{IndexRoot, Version};
use cinedex_model::{
    Case, Evaluation, IalsParameters, IalsRanker, Popularity, Protocol, Ranker, RecentPopularity, evaluate,
    like_counts, preferences, train_ials,
};
use cinedex_vectors::Csr;

use crate::PipelineError;
use crate::served::ServedRanker;

/// Names of the models that can be judged.
const MODELS: &str = "ials, popularity, recent-popularity";

/// How a data set is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolKind {
    /// Users of the test are unknown in training.
    Strong,
    /// The last tenth by time is the test.
    Temporal,
}

/// What to judge.
#[derive(Debug, Clone)]
pub struct EvaluateRequest {
    /// Names of models: `ials`, `popularity`, `recent-popularity`.
    pub models: Vec<String>,
    /// Hyper-parameters of iALS.
    pub parameters: IalsParameters,
    /// Share of training, by time, that recent popularity counts.
    pub recent_share: f64,
    /// A bundle that is judged as it is served, beside the models.
    pub bundle: Option<Version>,
}

/// A split as CSV files, see [`cinedex_dataset::split`].
#[derive(Debug, Clone)]
pub struct SplitFiles {
    /// What to train on.
    pub train: PathBuf,
    /// What is folded in; without it users are those of training.
    pub fold_in: Option<PathBuf>,
    /// What is to be found.
    pub held_out: PathBuf,
}

/// Trains on a part of the data set and judges on the rest. The engine, if a bundle is named, has been trained on all of it:
/// its figures say how well it serves what it learned from, not how well it predicts.
pub fn evaluate_dataset(
    data: &DataRoot,
    indexes: &IndexRoot,
    name: &str,
    protocol: ProtocolKind,
    request: &EvaluateRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<Vec<Evaluation>, PipelineError> {
    let dataset = Dataset::load(data, name)?;
    let policy = PreferencePolicy::default();
    let (split, protocol) = match protocol {
        ProtocolKind::Strong => {
            (split_strong(&dataset, &policy, &StrongOptions::default())?, Protocol::strong())
        }
        ProtocolKind::Temporal => {
            (split_temporal_global(&dataset, &policy, &TemporalOptions::default())?, Protocol::temporal())
        }
    };
    let judge = Judge { training: &split.training, matrix: matrix(&split.training), protocol, request };
    let served = served(indexes, request, &split.training)?;
    judge.all(served, || Ok(split.test.clone()), progress, cancel)
}

/// Trains on one file and judges on others, which are read only after training. For a bundle see [`evaluate_dataset`].
pub fn evaluate_files(
    indexes: &IndexRoot,
    files: &SplitFiles,
    request: &EvaluateRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<Vec<Evaluation>, PipelineError> {
    let training = read_training(&files.train)?;
    let protocol = if files.fold_in.is_some() { Protocol::strong() } else { Protocol::temporal() };
    let judge = Judge { training: &training, matrix: matrix(&training), protocol, request };
    let served = served(indexes, request, &training)?;
    let held_out = || Ok(read_held_out(&training, files.fold_in.as_deref(), &files.held_out)?.users);
    judge.all(served, held_out, progress, cancel)
}

fn served(
    indexes: &IndexRoot,
    request: &EvaluateRequest,
    training: &TrainingSet,
) -> Result<Option<ServedRanker>, PipelineError> {
    let open = |version| ServedRanker::open(indexes, version, training);
    request.bundle.as_ref().map(open).transpose()
}

pub(crate) fn matrix(training: &TrainingSet) -> Csr<f32> {
    let events =
        training.events.iter().map(|event| (event.user, event.movie, event.preference, event.timestamp_ms));
    preferences(training.user_ids.len(), training.movie_ids.len(), events)
}

struct Judge<'a> {
    training: &'a TrainingSet,
    matrix: Csr<f32>,
    protocol: Protocol,
    request: &'a EvaluateRequest,
}

impl Judge<'_> {
    /// Trains every model, then reads whom to judge on, then judges.
    fn all(
        &self,
        served: Option<ServedRanker>,
        held_out: impl FnOnce() -> Result<Vec<HeldOutUser>, PipelineError>,
        progress: Progress<'_>,
        cancel: &AtomicBool,
    ) -> Result<Vec<Evaluation>, PipelineError> {
        let unknown = |name: &&String| !MODELS.split(", ").any(|known| known == **name);
        if let Some(name) = self.request.models.iter().find(unknown) {
            let name = name.chars().take(60).collect();
            return Err(PipelineError::UnknownModel { name, known: MODELS });
        }
        let mut rankers: Vec<(Box<dyn Ranker>, f64)> = Vec::new();
        for name in &self.request.models {
            let began = Instant::now();
            let ranker = self.train(name, progress, cancel)?;
            rankers.push((ranker, began.elapsed().as_secs_f64()));
        }
        if let Some(served) = served {
            rankers.push((Box::new(served), 0.0));
        }
        let cases: Vec<Case> = held_out()?.into_iter().map(case).collect();
        let likes = like_counts(&self.matrix);
        let mut evaluations = Vec::new();
        for (position, (ranker, train_seconds)) in rankers.iter().enumerate() {
            let (done, total) = (position as u64, Some(rankers.len() as u64));
            progress(Step::new("judge", done, total));
            let mut evaluation = evaluate(&**ranker, &cases, &self.protocol, &likes);
            evaluation.train_seconds = *train_seconds;
            evaluations.push(evaluation);
        }
        Ok(evaluations)
    }

    fn train(
        &self,
        name: &str,
        progress: Progress<'_>,
        cancel: &AtomicBool,
    ) -> Result<Box<dyn Ranker>, PipelineError> {
        match name {
            "ials" => {
                let parameters = &self.request.parameters;
                let factors = train_ials(&self.matrix, parameters, progress, cancel)?;
                Ok(Box::new(IalsRanker::new(factors.movies, parameters.fold_in())))
            }
            "popularity" => Ok(Box::new(Popularity::new(&self.matrix))),
            _ => {
                let positive = self.training.events.iter().filter(|event| event.preference >= LIKED);
                let events: Vec<(MovieIndex, i64)> =
                    positive.map(|event| (event.movie, event.timestamp_ms)).collect();
                let movies = self.training.movie_ids.len();
                Ok(Box::new(RecentPopularity::new(movies, &events, self.request.recent_share)))
            }
        }
    }
}

pub(crate) fn case(user: HeldOutUser) -> Case {
    Case { user: user.user.map(|row| row.0), history: user.history, targets: user.targets }
}
