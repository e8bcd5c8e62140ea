//! Judges models, and the engine as it serves, on held-out interactions: from a data set that it splits, or from files.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cinedex_dataset::split::{
    HeldOutUser, Signals, StrongOptions, TemporalOptions, TrainingSet, read_held_out, read_training,
    split_strong, split_temporal_global,
};
use cinedex_dataset::{DataRoot, Dataset};
use cinedex_domain::{DEFAULT_RECENT_SHARE, LIKED, MovieIndex, PreferencePolicy, Progress, Step};
use cinedex_index::{IndexRoot, Version};
use cinedex_model::{
    AUTOMATIC_REGULARIZATION, Audiences, Blend, Case, Ease, EaseParameters, Evaluation, Factors,
    IalsParameters, IalsRanker, ItemKnn, ItemKnnParameters, ModelError, Popularity, Protocol, Ranker,
    Validation, evaluate, like_counts, preferences, recent_like_counts, train_ials, train_ials_validated,
};
use cinedex_vectors::Csr;

use crate::PipelineError;
use crate::served::ServedRanker;
use crate::training::PATIENCE;

/// Names of the models that can be judged.
const MODELS: &str = "ials, ials-likes, ease, item-knn, popularity, recent-popularity, blend";

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
    /// Names of models: `ials`, `ials-likes` (of likes alone, where ratings grade), `ease`, `item-knn`, `popularity`, `recent-popularity`, `blend` (iALS and recent popularity). All
    /// but the first are paired with the first.
    pub models: Vec<String>,
    /// Hyper-parameters of iALS.
    pub parameters: IalsParameters,
    /// What interactions mean, where a data set is split.
    pub policy: PreferencePolicy,
    /// Whether models learn from and fold in all that a data set says, as training does, and not likes alone, as published
    /// figures do.
    pub graded: bool,
    /// How EASE is regularised.
    pub ease: EaseParameters,
    /// Whom item-kNN's neighbours are.
    pub item_knn: ItemKnnParameters,
    /// Share of likes, the last by time, that recent popularity counts.
    pub recent_share: f64,
    /// Weight of recent popularity in the blend, in standard deviations of taste.
    pub recent_weight: f32,
    /// A bundle that is judged as it is served, beside the models.
    pub bundle: Option<Version>,
}

impl Default for EvaluateRequest {
    fn default() -> Self {
        Self {
            models: vec!["ials".to_owned()],
            parameters: IalsParameters {
                regularization: AUTOMATIC_REGULARIZATION,
                ..IalsParameters::default()
            },
            policy: PreferencePolicy::default(),
            graded: false,
            ease: EaseParameters::default(),
            item_knn: ItemKnnParameters::default(),
            recent_share: f64::from(DEFAULT_RECENT_SHARE),
            recent_weight: 1.0,
            bundle: None,
        }
    }
}

impl EvaluateRequest {
    /// Checks what no model checks when it is trained.
    fn validate(&self) -> Result<(), ModelError> {
        let invalid = |name, found, expected| Err(ModelError::InvalidParameter { name, found, expected });
        if !(0.0..=1.0).contains(&self.recent_share) {
            return invalid("recent_share", self.recent_share.to_string(), "0 to 1");
        }
        if !self.recent_weight.is_finite() {
            return invalid("recent_weight", self.recent_weight.to_string(), "a finite number");
        }
        Ok(())
    }
}

/// A split as CSV files, see [`cinedex_dataset::split`].
#[derive(Debug, Clone)]
pub struct SplitFiles {
    /// What to train on.
    pub train: PathBuf,
    /// On whom iALS is judged after each epoch, to end training early.
    pub validation: Option<HeldOutFiles>,
    /// On whom models are judged; read after training.
    pub test: HeldOutFiles,
}

/// Users held out of training, as CSV files.
#[derive(Debug, Clone)]
pub struct HeldOutFiles {
    /// What is folded in; without it users are those of training.
    pub fold_in: Option<PathBuf>,
    /// What is to be found.
    pub held_out: PathBuf,
}

impl HeldOutFiles {
    fn read(&self, training: &TrainingSet) -> Result<Vec<HeldOutUser>, PipelineError> {
        Ok(read_held_out(training, self.fold_in.as_deref(), &self.held_out)?.users)
    }

    fn protocol(&self) -> Protocol {
        if self.fold_in.is_some() { Protocol::strong() } else { Protocol::temporal() }
    }
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
    request.policy.validate()?;
    let policy = PreferencePolicy { half_life_days: None, ..request.policy.clone() };
    let signals = if request.graded { Signals::All } else { Signals::Positives };
    let (split, protocol) = match protocol {
        ProtocolKind::Strong => {
            let options = StrongOptions { signals, ..StrongOptions::default() };
            (split_strong(&dataset, &policy, &options)?, Protocol::strong())
        }
        ProtocolKind::Temporal => {
            let options = TemporalOptions { signals, ..TemporalOptions::default() };
            (split_temporal_global(&dataset, &policy, &options)?, Protocol::temporal())
        }
    };
    let judge = Judge::new(&split.training, protocol, None, request);
    let served = served(indexes, request, &split.training)?;
    judge.all(served, || Ok(split.clone().aged(request.policy.half_life_days).test), progress, cancel)
}

/// Trains on one file and judges on others, which are read only after training. For a bundle see [`evaluate_dataset`].
pub fn evaluate_files(
    indexes: &IndexRoot,
    files: &SplitFiles,
    request: &EvaluateRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<Vec<Evaluation>, PipelineError> {
    request.policy.validate()?;
    let training = read_training(&files.train)?;
    let aged = training.clone().aged(request.policy.half_life_days);
    let validation = files.validation.as_ref().map(|files| {
        let cases = files.read(&aged)?.into_iter().map(case).collect();
        Ok::<_, PipelineError>((cases, files.protocol()))
    });
    let judge = Judge::new(&training, files.test.protocol(), validation.transpose()?, request);
    let served = served(indexes, request, &training)?;
    judge.all(served, || files.test.read(&aged), progress, cancel)
}

fn served(
    indexes: &IndexRoot,
    request: &EvaluateRequest,
    training: &TrainingSet,
) -> Result<Option<ServedRanker>, PipelineError> {
    let open = |version| ServedRanker::open(indexes, version, training.movie_ids.clone());
    request.bundle.as_ref().map(open).transpose()
}

pub(crate) fn matrix(training: &TrainingSet) -> Csr<f32> {
    let events =
        training.events.iter().map(|event| (event.user, event.movie, event.preference, event.timestamp_ms));
    preferences(training.user_ids.len(), training.movie_ids.len(), events)
}

/// What is liked, fully; the rest is left out.
fn likes(matrix: &Csr<f32>) -> Csr<f32> {
    let of_user = |user: usize| {
        let (movies, preferences) = matrix.row(user);
        let liked = movies.iter().zip(preferences).filter(|(_, preference)| **preference >= LIKED);
        liked.map(move |(movie, _)| (user as u32, *movie, 1.0))
    };
    let triplets = (0..matrix.row_count()).flat_map(of_user);
    Csr::from_triplets(matrix.row_count(), matrix.column_count(), triplets)
}

struct Judge<'a> {
    /// Whatever its age.
    training: &'a TrainingSet,
    /// Weakened by age.
    matrix: Csr<f32>,
    /// For each movie how many like it.
    likes: Vec<u64>,
    parameters: IalsParameters,
    protocol: Protocol,
    /// For early stopping.
    validation: Option<(Vec<Case>, Protocol)>,
    request: &'a EvaluateRequest,
    /// iALS and the seconds of its training, for itself and the blend.
    ials: OnceCell<(IalsRanker, f64)>,
}

impl<'a> Judge<'a> {
    fn new(
        training: &'a TrainingSet,
        protocol: Protocol,
        validation: Option<(Vec<Case>, Protocol)>,
        request: &'a EvaluateRequest,
    ) -> Self {
        let whatever_age = matrix(training);
        let likes = like_counts(&whatever_age);
        let parameters = request.parameters.for_data(&whatever_age);
        let matrix = matrix(&training.clone().aged(request.policy.half_life_days));
        Self { training, matrix, likes, parameters, protocol, validation, request, ials: OnceCell::new() }
    }

    /// Trains every model, then reads whom to judge on, then judges, and pairs each with the first.
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
        self.request.validate()?;
        let mut rankers: Vec<(Box<dyn Ranker>, f64)> = Vec::new();
        for name in &self.request.models {
            rankers.push(self.train(name, progress, cancel)?);
        }
        if let Some(served) = served {
            rankers.push((Box::new(served), 0.0));
        }
        let cases: Vec<Case> = held_out()?.into_iter().map(case).collect();
        let audiences = Audiences::new(&self.matrix);
        let mut evaluations: Vec<Evaluation> = Vec::new();
        for (position, (ranker, train_seconds)) in rankers.iter().enumerate() {
            let (done, total) = (position as u64, Some(rankers.len() as u64));
            progress(Step::new("judge", done, total));
            let mut evaluation = evaluate(&**ranker, &cases, &self.protocol, &self.likes);
            evaluation.train_seconds = *train_seconds;
            evaluation.add_variety(&self.protocol, &audiences);
            if let Some(first) = evaluations.first() {
                evaluation.pair(first);
            }
            evaluations.push(evaluation);
        }
        Ok(evaluations)
    }

    /// A trained model and the seconds that it took.
    fn train(
        &self,
        name: &str,
        progress: Progress<'_>,
        cancel: &AtomicBool,
    ) -> Result<(Box<dyn Ranker>, f64), PipelineError> {
        let began = Instant::now();
        let mut earlier_seconds = 0.0;
        let ranker: Box<dyn Ranker> = match name {
            "ials" => {
                let (ranker, seconds) = self.ials(progress, cancel)?;
                return Ok((Box::new(ranker.clone()), *seconds));
            }
            "blend" => {
                earlier_seconds = self.ials.get().map_or(0.0, |(_, seconds)| *seconds);
                let (ranker, _) = self.ials(progress, cancel)?;
                Box::new(Blend::new(ranker.clone(), &self.recent_likes(), self.request.recent_weight))
            }
            "ials-likes" => {
                let likes = likes(&matrix(self.training));
                let parameters = self.request.parameters.for_data(&likes);
                let factors = train_ials(&likes, &parameters, progress, cancel)?;
                Box::new(IalsRanker::new(factors.movies, parameters.fold_in()).of_likes())
            }
            "ease" => Box::new(Ease::train(&self.matrix, &self.request.ease)?),
            "item-knn" => Box::new(ItemKnn::train(&self.matrix, &self.request.item_knn)?),
            "recent-popularity" => Box::new(Popularity::recent(&self.recent_likes())),
            _ => Box::new(Popularity::new(&self.likes)),
        };
        Ok((ranker, earlier_seconds + began.elapsed().as_secs_f64()))
    }

    /// iALS, trained when it is first asked for.
    fn ials(&self, progress: Progress<'_>, cancel: &AtomicBool) -> Result<&(IalsRanker, f64), PipelineError> {
        if let Some(trained) = self.ials.get() {
            return Ok(trained);
        }
        let began = Instant::now();
        let factors = self.train_with_validation(progress, cancel)?;
        let ranker = IalsRanker::new(factors.movies, self.parameters.fold_in());
        Ok(self.ials.get_or_init(|| (ranker, began.elapsed().as_secs_f64())))
    }

    /// Trains iALS, up to its best epoch on the validation cases if there are any.
    fn train_with_validation(
        &self,
        progress: Progress<'_>,
        cancel: &AtomicBool,
    ) -> Result<Factors, PipelineError> {
        let parameters = &self.parameters;
        let Some((cases, protocol)) = &self.validation else {
            return Ok(train_ials(&self.matrix, parameters, progress, cancel)?);
        };
        let validation = Validation { cases, protocol, patience: PATIENCE };
        Ok(train_ials_validated(&self.matrix, parameters, &validation, progress, cancel)?.factors)
    }

    fn recent_likes(&self) -> Vec<u64> {
        let positive = self.training.events.iter().filter(|event| event.preference >= LIKED);
        let events: Vec<(MovieIndex, i64)> =
            positive.map(|event| (event.movie, event.timestamp_ms)).collect();
        recent_like_counts(self.training.movie_ids.len(), &events, self.request.recent_share)
    }
}

pub(crate) fn case(user: HeldOutUser) -> Case {
    Case { user: user.user.map(|row| row.0), history: user.history, targets: user.targets }
}
