//! Learns a model from a data set and stores it beside it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cinedex_dataset::split::{Signals, StrongOptions, split_strong};
use cinedex_dataset::{DataRoot, Dataset, Opinions};
use cinedex_domain::{BlendSettings, Metric, ModelSettings, PreferencePolicy, Progress, Step, UserId};
use cinedex_model::{
    AUTOMATIC_REGULARIZATION, Case, DataSetReference, Epoch, Factors, IalsParameters, MODEL_FORMAT_VERSION,
    MetadataReport, Model, ModelManifest, Protocol, Validation, complete_movie_factors, solve_users,
    train_ials_observed, train_ials_validated,
};
use cinedex_vectors::{Csr, Matrix};
use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::evaluation::{case, matrix};
use crate::{PipelineError, Tuned, movie_features, preference_matrix};

/// What to learn from and how.
#[derive(Debug, Clone)]
pub struct TrainRequest {
    /// Name of the data set.
    pub dataset: String,
    /// Name under which the model is stored.
    pub model: String,
    /// Hyper-parameters.
    pub parameters: IalsParameters,
    /// What interactions mean.
    pub policy: PreferencePolicy,
    /// How popularity mixes in where the model is served.
    pub blend: BlendSettings,
    /// Whether films of which little or nothing is learned take their embedding from their metadata.
    pub metadata: bool,
    /// Whether the number of epochs is first found on held-out users, up to that of the parameters.
    pub early_stopping: bool,
    /// How long a training may run before it keeps where it is.
    pub checkpoint_interval: Duration,
    /// What the settings come from, if they were tuned; kept in `model.json`.
    pub tuned: Option<Tuned>,
}

impl Default for TrainRequest {
    fn default() -> Self {
        Self {
            dataset: String::new(),
            model: "ials".to_owned(),
            parameters: IalsParameters {
                regularization: AUTOMATIC_REGULARIZATION,
                ..IalsParameters::default()
            },
            policy: PreferencePolicy::default(),
            blend: BLEND,
            metadata: true,
            early_stopping: false,
            checkpoint_interval: Duration::from_mins(1),
            tuned: None,
        }
    }
}

impl TrainRequest {
    /// The same with what a tuning chose.
    #[must_use]
    pub fn with_tuned(self, tuned: Tuned) -> Self {
        let settings = &tuned.settings;
        Self {
            parameters: settings.parameters(&self.parameters),
            policy: settings.policy(&self.policy),
            blend: settings.blend(self.blend),
            tuned: Some(tuned),
            ..self
        }
    }
}

/// What was learned.
#[derive(Debug, Clone)]
pub struct TrainReport {
    /// Where the model is.
    pub path: PathBuf,
    /// Its `model.json`.
    pub manifest: ModelManifest,
    /// Users of the data set.
    pub users: usize,
    /// Movies of the data set.
    pub movies: usize,
    /// Opinions learned from.
    pub opinions: usize,
    /// What metadata added, where they were asked for.
    pub metadata: Option<MetadataReport>,
    /// The epoch of the checkpoint that the training went on from.
    pub resumed_from: Option<usize>,
    /// Seconds of the training itself.
    pub train_seconds: f64,
}

/// The algorithm that `model.json` names.
const ALGORITHM: &str = "ials";

/// How popularity mixes in for the models that we train, by what suits held-out users of whom 1 to 20 likes are known and costs
/// those with long histories nothing that can be told from chance: a first like says less than popularity does, at five both
/// say as much, and at sixty popularity has a tenth of a standard deviation of taste.
pub(crate) const BLEND: BlendSettings =
    BlendSettings { popularity_weight: 6.0, half_life_interactions: 1.0, ..BlendSettings::NONE };

/// Epochs without a better one after which early stopping ends a training.
pub(crate) const PATIENCE: usize = 3;

/// Where the model `model` of a data set is or would be.
pub fn model_path(root: &DataRoot, dataset: &str, model: &str) -> Result<PathBuf, PipelineError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let good = (1..=64).contains(&model.len()) && model.bytes().all(plain) && !model.starts_with('.');
    if !good {
        return Err(PipelineError::ModelName { name: model.chars().take(64).collect() });
    }
    Ok(root.path_of(dataset)?.join("models").join(model))
}

/// A model that was not trained here cannot be made again here, so training never replaces it.
pub(crate) fn refuse_foreign(path: &Path) -> Result<(), PipelineError> {
    if path.exists() && !is_ours(path) {
        Err(PipelineError::ForeignModel { path: path.to_owned() })
    } else {
        Ok(())
    }
}

/// Whether a model was trained here, by this program or an earlier one.
pub(crate) fn is_ours(path: &Path) -> bool {
    let manifest = std::fs::read(path.join("model.json")).ok();
    let manifest = manifest.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    manifest.is_some_and(|manifest| manifest["algorithm"] == ALGORITHM)
}

/// Learns a model; an earlier one of the name that was trained here is replaced, atomically. A training that was interrupted
/// after a checkpoint goes on from it, if data and settings are the same.
pub fn train(
    root: &DataRoot,
    request: &TrainRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<TrainReport, PipelineError> {
    let path = model_path(root, &request.dataset, &request.model)?;
    refuse_foreign(&path)?;
    request.policy.validate()?;
    let dataset = Dataset::load(root, &request.dataset)?;
    train_on(root, &dataset, None, request, progress, cancel)
}

/// As [`train`], on a data set in memory. Of the users for whom `held_out` is true nothing is learned, and they are not in the
/// model.
pub(crate) fn train_on(
    root: &DataRoot,
    dataset: &Dataset,
    held_out: Option<&[bool]>,
    request: &TrainRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<TrainReport, PipelineError> {
    let path = model_path(root, &request.dataset, &request.model)?;
    refuse_foreign(&path)?;
    request.policy.validate()?;
    let opinions = Opinions::of(dataset, &request.policy);
    let opinions = held_out.map(|held_out| opinions.without_users(held_out)).unwrap_or(opinions);
    let parameters = request.parameters.for_data(&preference_matrix(&opinions));
    let matrix = preference_matrix(&opinions.aged(&request.policy));
    if matrix.entry_count() == 0 {
        return Err(PipelineError::NoOpinions { dataset: request.dataset.clone() });
    }
    let began = Instant::now();
    let mut parameters = parameters;
    parameters.validate()?;
    if request.early_stopping {
        parameters.epochs = best_epoch(dataset, request, &parameters, progress, cancel)?;
    }
    let mut model = model(dataset, request, &parameters);
    let mut checkpoint = Checkpoint::beside(&path, request.checkpoint_interval);
    let from = checkpoint.read(&model);
    let resumed_from = from.as_ref().map(|(epoch, _)| *epoch);
    let mut failed = Ok(());
    let mut keep = |epoch: &Epoch| {
        failed = checkpoint.keep(&model, epoch);
        if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let mut factors = train_ials_observed(&matrix, &parameters, from, &mut keep, progress, cancel)?;
    failed?;
    let metadata = if request.metadata {
        Some(complete(dataset, &matrix, &mut factors, &parameters, progress, cancel)?)
    } else {
        None
    };
    let train_seconds = began.elapsed().as_secs_f64();
    model.manifest.parameters["metadata"] = json!(metadata);
    model.manifest.parameters["train_seconds"] = json!(train_seconds);
    model.movie_factors = factors.movies;
    model.users = Some(learned_users(dataset, factors.users, held_out));
    model.write(&path)?;
    checkpoint.discard()?;
    Ok(TrainReport {
        path,
        manifest: model.manifest,
        users: dataset.users.len(),
        movies: dataset.movies.len(),
        opinions: matrix.entry_count(),
        resumed_from,
        metadata,
        train_seconds,
    })
}

/// Ids and factors of the users who were learned from.
fn learned_users(dataset: &Dataset, factors: Matrix, held_out: Option<&[bool]>) -> (Vec<UserId>, Matrix) {
    let ids = dataset.users.iter().map(|user| user.user_id.clone());
    let Some(held_out) = held_out else { return (ids.collect(), factors) };
    let learned: Vec<usize> = (0..dataset.users.len()).filter(|&row| !held_out[row]).collect();
    let mut rows = Matrix::zeros(learned.len(), factors.dimension());
    for (to, &from) in learned.iter().enumerate() {
        rows.row_mut(to).copy_from_slice(factors.row(from));
    }
    (learned.iter().map(|&row| dataset.users[row].user_id.clone()).collect(), rows)
}

/// Completes the films of which little or nothing was learned from their metadata, and solves users against the result.
fn complete(
    dataset: &Dataset,
    matrix: &Csr<f32>,
    factors: &mut Factors,
    parameters: &IalsParameters,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<MetadataReport, PipelineError> {
    progress(Step::new("learn from metadata", 0, None));
    let features = movie_features(&dataset.movies);
    let report = complete_movie_factors(factors, matrix, &features.values, parameters.fold_in());
    solve_users(factors, matrix, &observed_movies(matrix), parameters, cancel)?;
    Ok(report)
}

/// For each movie whether anybody has an opinion of it.
fn observed_movies(matrix: &Csr<f32>) -> Vec<bool> {
    let mut observed = vec![false; matrix.column_count()];
    matrix.columns().iter().for_each(|&movie| observed[movie as usize] = true);
    observed
}

/// The number of epochs after which users held out from a training like this one are served best.
fn best_epoch(
    dataset: &Dataset,
    request: &TrainRequest,
    parameters: &IalsParameters,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<usize, PipelineError> {
    let options = StrongOptions { signals: Signals::All, ..StrongOptions::default() };
    let split = split_strong(dataset, &request.policy, &options)?;
    let cases: Vec<Case> = split.validation.into_iter().map(case).collect();
    let validation = Validation { cases: &cases, protocol: &Protocol::strong(), patience: PATIENCE };
    let matrix = matrix(&split.training);
    Ok(train_ials_validated(&matrix, parameters, &validation, progress, cancel)?.number)
}

/// What stands for the interactions that a model learns from: the checksum of the stored ones, and with live ones another.
fn interactions_sha256(dataset: &Dataset) -> String {
    let stored = dataset.manifest.sha256();
    match dataset.log_position {
        Some(position) => cinedex_storage::sha256_bytes(format!("{stored} {position}").as_bytes()),
        None => stored.to_owned(),
    }
}

/// The model as it will be, without factors.
fn model(dataset: &Dataset, request: &TrainRequest, parameters: &IalsParameters) -> Model {
    let manifest = ModelManifest {
        format_version: MODEL_FORMAT_VERSION,
        name: request.model.clone(),
        created: Some(jiff::Timestamp::now().to_string()),
        settings: ModelSettings {
            algorithm: ALGORITHM.to_owned(),
            dimension: parameters.dimension,
            metric: Metric::InnerProduct,
            fold_in: Some(parameters.fold_in()),
            blend: request.blend,
            preference: request.policy.clone(),
            rating_scale: dataset.manifest.rating_scale,
        },
        parameters: match &request.tuned {
            Some(tuned) => json!({ "ials": parameters, "asked": request.parameters, "tuned": tuned }),
            None => json!({ "ials": parameters, "asked": request.parameters }),
        },
        data_set: Some(DataSetReference {
            name: dataset.manifest.name.clone(),
            sha256: interactions_sha256(dataset),
        }),
        evaluation: serde_json::Value::Null,
        tables: BTreeMap::new(),
    };
    let nothing = || Matrix::zeros(0, parameters.dimension);
    Model {
        manifest,
        movie_ids: dataset.movies.iter().map(|movie| movie.movie_id.clone()).collect(),
        movie_factors: nothing(),
        users: Some((dataset.users.iter().map(|user| user.user_id.clone()).collect(), nothing())),
    }
}

/// The hyper-parameters of a model that was trained here, as they were `asked` for or, with what was left to choose, those of
/// `ials`. They are compared as numbers: read from text, a value in JSON may differ
/// from the one written in its last bit.
pub(crate) fn parameters_of(manifest: &ModelManifest, which: &str) -> Option<IalsParameters> {
    serde_json::from_value(manifest.parameters.get(which)?.clone()).ok()
}

/// Whether training now would learn a stored model again: the same data, hyper-parameters and settings.
pub(crate) fn is_as_trained_now(
    model: &ModelManifest,
    dataset: &cinedex_dataset::DatasetManifest,
    request: &TrainRequest,
) -> bool {
    let settings = &model.settings;
    model.data_set.as_ref().is_some_and(|trained| trained.sha256 == dataset.sha256())
        && settings.algorithm == ALGORITHM
        && settings.blend == request.blend
        && model.parameters.get("metadata").is_some_and(|metadata| metadata.is_null() != request.metadata)
        && settings.preference == request.policy
        && parameters_of(model, "asked").as_ref() == Some(&request.parameters)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use cinedex_domain::{Step, silent};
    use cinedex_model::ModelError;

    use super::*;
    use crate::test_world::{NAME, small};

    fn request(model: &str) -> TrainRequest {
        TrainRequest {
            dataset: NAME.to_owned(),
            model: model.to_owned(),
            parameters: IalsParameters { dimension: 8, epochs: 12, ..IalsParameters::default() },
            checkpoint_interval: Duration::ZERO,
            ..TrainRequest::default()
        }
    }

    #[test]
    fn an_interrupted_training_leaves_the_last_model_and_goes_on_to_the_same_one() {
        let (_folder, root) = small();
        let never = AtomicBool::new(false);
        let whole = train(&root, &request("whole"), &silent, &never).unwrap();
        let earlier = TrainRequest {
            parameters: IalsParameters { seed: 7, ..request("model").parameters },
            ..request("model")
        };
        let earlier = train(&root, &earlier, &silent, &never).unwrap();
        let cancel = AtomicBool::new(false);
        let in_epoch_seven = |step: Step<'_>| cancel.store(step.done >= 13, Ordering::Relaxed);
        let interrupted = train(&root, &request("model"), &in_epoch_seven, &cancel);
        assert!(matches!(interrupted, Err(PipelineError::Model(ModelError::Cancelled))));
        assert_eq!(ModelManifest::read(&earlier.path).unwrap().tables, tables(&earlier.path));
        let resumed = train(&root, &request("model"), &silent, &never).unwrap();
        assert_eq!((whole.resumed_from, resumed.resumed_from), (None, Some(6)));
        assert_eq!(tables(&resumed.path), tables(&whole.path));
        assert_eq!(train(&root, &request("model"), &silent, &never).unwrap().resumed_from, None);
    }

    /// The checksums of a model's tables, which must be those in its manifest.
    fn tables(path: &Path) -> BTreeMap<String, String> {
        Model::read(path, &cinedex_model::ModelColumns::default()).unwrap().manifest.tables
    }

    #[test]
    fn early_stopping_finds_the_epochs_on_held_out_users() {
        let (_folder, root) = small();
        let parameters = IalsParameters { epochs: 60, ..request("model").parameters };
        let request = TrainRequest { early_stopping: true, parameters, ..request("model") };
        let report = train(&root, &request, &silent, &AtomicBool::new(false)).unwrap();
        let epochs = report.manifest.parameters["ials"]["epochs"].as_u64().unwrap();
        assert!((1..60).contains(&epochs), "{epochs}");
    }

    #[test]
    fn a_senseless_policy_is_refused() {
        let (_folder, root) = small();
        let policy = PreferencePolicy { watch: -1.0, ..PreferencePolicy::default() };
        let request = TrainRequest { policy, ..request("model") };
        let refused = train(&root, &request, &silent, &AtomicBool::new(false));
        assert!(matches!(refused, Err(PipelineError::Domain(_))), "{refused:?}");
    }
}
