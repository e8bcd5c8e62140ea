//! What can stop a job.

use std::path::PathBuf;

use cinedex_dataset::DatasetError;
use cinedex_domain::DomainError;
use cinedex_feedback::FeedbackError;
use cinedex_index::{IndexError, Version};
use cinedex_model::ModelError;
use cinedex_recommender::RecommendError;
use cinedex_storage::StorageError;

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
    /// A setting of a tuning or of rebuilds that cannot be.
    #[error("{setting} is {found}: it must be {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A task, the manifest of a backup or a part of it cannot be stored or read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log of what happened while serving cannot be read or written.
    #[error(transparent)]
    Feedback(#[from] FeedbackError),
    /// It was told to stop.
    #[error("cancelled")]
    Cancelled,
    /// A bundle that may not go live.
    #[error("{version} is kept but not live: {reason}")]
    Refused {
        /// The bundle.
        version: Version,
        /// What the gate has against it.
        reason: String,
    },
    /// Hyper-parameters by name that are not those of iALS.
    #[error("these are not parameters of the training: {source}")]
    Parameters {
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The records of tasks cannot be read.
    #[error("cannot {action} the folder of tasks {}: {source}", path.display())]
    Tasks {
        /// What was tried.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has the tasks.
    #[error("the tasks {} are in use by another process", path.display())]
    TasksInUse {
        /// Their folder.
        path: PathBuf,
    },
    /// A task is running; there is never more than one.
    #[error("task {task_id} is running: wait for its end or cancel it")]
    TaskRunning {
        /// The task.
        task_id: String,
    },
    /// No task of this name.
    #[error("there is no task \"{task_id}\"; only the latest are remembered")]
    UnknownTask {
        /// What was asked for.
        task_id: String,
    },
    /// A thread cannot be started.
    #[error("cannot start the {name} thread")]
    Thread {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A schedule that is not one.
    #[error(
        "\"{schedule}\" is not a schedule: {reason}; write minute, hour, day, month and weekday, \"30 3 * * *\" is half past three each night, UTC"
    )]
    Schedule {
        /// The schedule.
        schedule: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused a part of a backup or restore.
    #[error("cannot {action} {}: {source}", path.display())]
    Backup {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something is where a backup or what it holds is to go.
    #[error("{} is in the way: name a place where nothing is; nothing was changed", path.display())]
    NotEmpty {
        /// What is there.
        path: PathBuf,
    },
    /// A backup that is not as it was made.
    #[error("the backup is damaged, nothing was restored: {} is {found}", path.display())]
    DamagedBackup {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// A folder that was replaced each time that it was copied.
    #[error("{} changes faster than it can be copied: try again", path.display())]
    Unsteady {
        /// The folder.
        path: PathBuf,
    },
    /// A split without users to judge.
    #[error("nothing to judge: no user of {held_out} has a movie to find that training knows")]
    NothingToJudge {
        /// Where the held-out interactions come from.
        held_out: String,
    },
}

impl PipelineError {
    /// Whether it says that the job was told to stop, and nothing else.
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled | Self::Model(ModelError::Cancelled) | Self::Index(IndexError::Cancelled)
        )
    }
}
