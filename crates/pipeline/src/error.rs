//! What can stop a job.

use std::path::PathBuf;

use cinedex_dataset::DatasetError;
use cinedex_domain::DomainError;
use cinedex_index::IndexError;
use cinedex_model::ModelError;
use cinedex_recommender::RecommendError;

/// Why a job could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The data set could not be made or read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// What interactions mean is set senselessly.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The model could not be learned, judged, written or read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The bundle could not be built or published.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The engine could not answer while it was judged.
    #[error(transparent)]
    Recommend(#[from] RecommendError),
    /// There is nothing to learn from.
    #[error("data set \"{dataset}\" has no interaction that says for or against a movie")]
    NoOpinions {
        /// Name of the data set.
        dataset: String,
    },
    /// The name of a model that is not known.
    #[error("\"{name}\" is not a model to judge: use {known}")]
    UnknownModel {
        /// The name.
        name: String,
        /// The names there are.
        known: &'static str,
    },
    /// A name that cannot be a folder.
    #[error(
        "\"{name}\" cannot name a model: use 1 to 64 lower-case letters, digits, dot, dash or underscore"
    )]
    ModelName {
        /// The name.
        name: String,
    },
    /// A model that was not trained here, where a trained one is to be written.
    #[error("{} was not trained by cinedex and is not replaced: choose another --model, or move it away", path.display())]
    ForeignModel {
        /// Its folder.
        path: PathBuf,
    },
    /// A data set that is not the demo world, under the demo world's name.
    #[error(
        "data set \"{name}\" is not the demo world and is not replaced: import it under another name and use --dataset"
    )]
    NotTheDemo {
        /// The name.
        name: String,
    },
    /// A model of none of the data set's movies.
    #[error(
        "model \"{model}\" has no embedding for any movie of data set \"{dataset}\": are its ids those of the data set?"
    )]
    ForeignMovies {
        /// Name of the model.
        model: String,
        /// Name of the data set.
        dataset: String,
    },
    /// A checkpoint that cannot be removed.
    #[error("cannot remove the checkpoint {}", path.display())]
    Checkpoint {
        /// Its folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The trials of a tuning cannot be kept or read.
    #[error("cannot keep the trials of the tuning in {}: {source}", path.display())]
    TuningLog {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A validation part that cannot tell settings apart.
    #[error(
        "too few users to tune on: {users} in the validation part, at least {needed} are needed; train with the defaults, or import more"
    )]
    TooFewToTune {
        /// The users there are.
        users: usize,
        /// The users needed.
        needed: usize,
    },
    /// A setting of a tuning that cannot be.
    #[error("{setting} is {found}: it must be {expected}")]
    Tuning {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A split without users to judge.
    #[error("nothing to judge: no user of {held_out} has a movie to find that training knows")]
    NothingToJudge {
        /// Where the held-out interactions come from.
        held_out: String,
    },
}
