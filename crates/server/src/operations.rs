//! What an operator may do through the admin routes. The server knows only this trait; who starts it says how it is done.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What an operator may do. Every call returns at once: long work goes on as a [`Task`]. Calls may come from several threads.
/// Names arrive as the request had them, checked for plain characters only; who implements this checks that they are
/// known.
pub trait Operations: Send + Sync {
    /// Begins to build a new bundle, or refuses with [`OperationError::TaskRunning`] while another one is being built.
    fn rebuild(&self, request: RebuildRequest) -> Result<Task, OperationError>;

    /// All bundles on disk, the newest first.
    fn versions(&self) -> Result<Vec<VersionInfo>, OperationError>;

    /// Makes a bundle the live one.
    fn activate(&self, version: &str) -> Result<(), OperationError>;

    /// Deletes a bundle that is not live.
    fn remove(&self, version: &str) -> Result<(), OperationError>;

    /// The tasks that are remembered, the newest first. It is also asked for the metrics, about twice a second.
    fn tasks(&self) -> Vec<Task>;

    /// One task.
    fn task(&self, task_id: &str) -> Option<Task>;

    /// Asks a task to stop. The answer is the task as it is now: it may go on for a moment, and one that has ended stays as it
    /// is.
    fn cancel(&self, task_id: &str) -> Result<Task, OperationError>;
}

/// From what a new bundle is to be built.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RebuildRequest {
    /// The data set; the one of the live bundle if none is named.
    pub dataset: Option<String>,
    /// A model that is there already; without one a model is trained.
    pub model: Option<String>,
    /// Whether to train, also where a model is named: it is then replaced.
    pub train: bool,
    /// What training and building are to differ in from their defaults, by name.
    pub parameters: Map<String, Value>,
    /// Whether the bundle goes live once it has passed the gate.
    pub activate: bool,
}

/// Long work, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name: letters, digits, `-` and `_`.
    pub task_id: String,
    /// What it does, `rebuild`.
    pub kind: String,
    /// How far it is.
    pub status: TaskStatus,
    /// Done, from 0 to 1.
    pub progress: f64,
    /// What it is doing, for people.
    pub detail: String,
    /// When it was asked for, RFC 3339 in UTC.
    pub created_at: String,
    /// When it ended, RFC 3339 in UTC.
    #[serde(default)]
    pub finished_at: Option<String>,
    /// Seconds that it is expected to go on for, while that can be told.
    #[serde(default)]
    pub eta_seconds: Option<u64>,
    /// What came of it, once it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// It waits.
    Queued,
    /// It is being worked on.
    Running,
    /// It is done.
    Succeeded,
    /// It is not done, and will not be.
    Failed,
    /// It was stopped because somebody asked for that.
    Cancelled,
}

impl TaskStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// As it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A bundle on disk, as the API shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// Its name.
    pub version: String,
    /// Whether it is the live one.
    pub live: bool,
    /// When it was built, RFC 3339 in UTC; unknown if its manifest cannot be read.
    pub created_at: Option<String>,
    /// Bytes of all its files.
    pub size_bytes: u64,
    /// How many movies it has.
    pub movies: Option<u64>,
    /// How many users it has.
    pub users: Option<u64>,
    /// The data set that it was built from.
    pub dataset: Option<String>,
    /// The model that it was built from.
    pub model: Option<String>,
    /// The last live event that it was trained on.
    pub log_position: Option<u64>,
    /// Why it should not go live, if the gate or its reader said so.
    pub refused: Option<String>,
}

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// There is no such bundle.
    #[error("there is no index version {version}")]
    VersionNotFound {
        /// The name that was asked for.
        version: String,
    },
    /// The live bundle cannot be removed.
    #[error("{version} is live; activate another version before it is removed")]
    VersionLive {
        /// Its name.
        version: String,
    },
    /// A bundle cannot go live.
    #[error("{version} cannot go live: {reason}")]
    VersionUnusable {
        /// Its name.
        version: String,
        /// What its check found.
        reason: String,
    },
    /// There is no such task.
    #[error("there is no task {task_id}")]
    TaskNotFound {
        /// The name that was asked for.
        task_id: String,
    },
    /// Only one task of a kind runs at a time.
    #[error("task {task_id} is still running; wait for it or cancel it")]
    TaskRunning {
        /// The one that runs.
        task_id: String,
    },
    /// The request asks for something that is not there or cannot be.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field of the body, `dataset`, `model`, `parameters.epochs`.
        field: String,
        /// What is wrong with it, and how to put it right.
        reason: String,
    },
    /// It could not be done; the cause goes into the log and not to the caller.
    #[error("the operation failed")]
    Failed {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_called_the_same_everywhere() {
        for status in TaskStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
