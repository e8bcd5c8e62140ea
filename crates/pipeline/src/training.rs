//! Learns a model from a data set and stores it beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cinedex_dataset::{DataRoot, Dataset};
use cinedex_domain::{BlendSettings, Metric, ModelSettings, PreferencePolicy, Progress};
use cinedex_model::{
    DataSetReference, IalsParameters, MODEL_FORMAT_VERSION, Model, ModelManifest, train_ials,
};

use crate::PipelineError;
use crate::opinions::Opinions;

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
}

impl Default for TrainRequest {
    fn default() -> Self {
        Self {
            dataset: String::new(),
            model: "ials".to_owned(),
            parameters: IalsParameters::default(),
            policy: PreferencePolicy::default(),
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
    /// Seconds of the training itself.
    pub train_seconds: f64,
}

/// The algorithm that `model.json` names.
const ALGORITHM: &str = "ials";

/// How popularity mixes in for the models that we train: it decides between films that taste cannot tell apart, and a tenth
/// of its weight is left at 45 interactions.
pub(crate) const BLEND: BlendSettings =
    BlendSettings { popularity_weight: 0.02, half_life_interactions: 5.0 };

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
fn refuse_foreign(path: &Path) -> Result<(), PipelineError> {
    let ours = || ModelManifest::read(path).is_ok_and(|manifest| manifest.settings.algorithm == ALGORITHM);
    if path.exists() && !ours() { Err(PipelineError::ForeignModel { path: path.to_owned() }) } else { Ok(()) }
}

/// Learns a model; an earlier one of the name that was trained here is replaced, atomically.
pub fn train(
    root: &DataRoot,
    request: &TrainRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<TrainReport, PipelineError> {
    let path = model_path(root, &request.dataset, &request.model)?;
    refuse_foreign(&path)?;
    request.parameters.validate()?;
    let dataset = Dataset::load(root, &request.dataset)?;
    let opinions = Opinions::of(&dataset, &request.policy);
    let matrix = opinions.matrix();
    if matrix.entry_count() == 0 {
        return Err(PipelineError::NoOpinions { dataset: request.dataset.clone() });
    }
    let began = Instant::now();
    let factors = train_ials(&matrix, &request.parameters, progress, cancel)?;
    let train_seconds = began.elapsed().as_secs_f64();
    let model = Model {
        manifest: manifest(&dataset, request, train_seconds),
        movie_ids: dataset.movies.iter().map(|movie| movie.movie_id.clone()).collect(),
        movie_factors: factors.movies,
        users: Some((dataset.users.iter().map(|user| user.user_id.clone()).collect(), factors.users)),
    };
    model.write(&path)?;
    Ok(TrainReport {
        path,
        manifest: model.manifest,
        users: dataset.users.len(),
        movies: dataset.movies.len(),
        opinions: matrix.entry_count(),
        train_seconds,
    })
}

fn manifest(dataset: &Dataset, request: &TrainRequest, train_seconds: f64) -> ModelManifest {
    ModelManifest {
        format_version: MODEL_FORMAT_VERSION,
        name: request.model.clone(),
        created: Some(jiff::Timestamp::now().to_string()),
        settings: ModelSettings {
            algorithm: ALGORITHM.to_owned(),
            dimension: request.parameters.dimension,
            metric: Metric::InnerProduct,
            fold_in: Some(request.parameters.fold_in()),
            blend: BLEND,
            preference: request.policy.clone(),
            rating_scale: dataset.manifest.rating_scale,
        },
        parameters: serde_json::json!({ "ials": request.parameters, "train_seconds": train_seconds }),
        data_set: Some(DataSetReference {
            name: dataset.manifest.name.clone(),
            sha256: dataset.manifest.sha256().to_owned(),
        }),
        evaluation: serde_json::Value::Null,
        tables: BTreeMap::new(),
    }
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
        && settings.blend == BLEND
        && settings.preference == request.policy
        && settings.fold_in == Some(request.parameters.fold_in())
        && model.parameters.get("ials") == serde_json::to_value(&request.parameters).ok().as_ref()
}
