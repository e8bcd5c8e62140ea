//! What is known of a long piece of work: its record as it is stored and shown, and how far its steps say it is.

use cinedex_domain::Step;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Its thread is about to begin.
    Queued,
    /// At work.
    Running,
    /// Done, with a result.
    Succeeded,
    /// Given up, with a reason.
    Failed,
    /// Told to stop.
    Cancelled,
}

impl TaskStatus {
    /// Whether nothing more will come of it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// The record of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name, of which the order is that of time: `20261123T021500Z-001`.
    pub task_id: String,
    /// What it does: `rebuild`.
    pub kind: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// 0 to 1, never falling; 1 only when it has succeeded.
    pub progress: f64,
    /// What it is doing, or did last.
    pub detail: String,
    /// Seconds that are probably left, while it runs and once that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<f64>,
    /// RFC 3339 in UTC.
    pub created_at: String,
    /// RFC 3339 in UTC; `None` until it is over.
    pub finished_at: Option<String>,
    /// What came of it, if it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why not, if it failed or was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Turns the steps of a task into a share of the whole.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Names and usual shares of the time, in their order.
    stages: &'static [(&'static str, f64)],
    progress: f64,
}

impl Meter {
    pub(crate) fn new(stages: &'static [(&'static str, f64)]) -> Self {
        Self { stages, progress: 0.0 }
    }

    /// The share done, 0 to below 1, that a step stands for; of an unknown stage what it was before.
    pub(crate) fn progress(&mut self, step: Step<'_>) -> f64 {
        let whole: f64 = self.stages.iter().map(|(_, share)| share).sum();
        if let Some(at) = self.stages.iter().position(|(name, _)| *name == step.stage) {
            let before: f64 = self.stages[..at].iter().map(|(_, share)| share).sum();
            let total = step.total.filter(|total| *total > 0);
            let within = total.map_or(0.0, |total| (step.done as f64 / total as f64).min(1.0));
            let found = (before + self.stages[at].1 * within) / whole;
            self.progress = self.progress.max(found.min(0.999));
        }
        self.progress
    }
}

/// Seconds left, by what the share that is done took; `None` where that says too little.
pub(crate) fn seconds_left(progress: f64, elapsed_seconds: f64) -> Option<f64> {
    (progress >= 0.02).then(|| (elapsed_seconds * (1.0 - progress) / progress).round())
}

/// What a step says to a reader.
pub(crate) fn described(step: Step<'_>) -> String {
    match step.total {
        Some(total) => format!("{}, {} of {total}", step.stage, step.done),
        None => step.stage.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: &[(&str, f64)] = &[("read", 1.0), ("train", 2.0), ("build", 1.0)];

    #[test]
    fn progress_follows_the_stages_and_never_falls() {
        let mut meter = Meter::new(STAGES);
        let mut check = |stage: &str, done, total, expect: f64| {
            let found = meter.progress(Step::new(stage, done, total));
            assert!((found - expect).abs() < 1e-9, "{stage} {done}: {found}");
        };
        check("read", 0, None, 0.0);
        check("read", 9, None, 0.0);
        check("train", 1, Some(4), 0.375);
        check("train", 4, Some(4), 0.75);
        check("read", 0, None, 0.75);
        check("unheard of", 1, Some(1), 0.75);
        check("build", 0, Some(0), 0.75);
        check("build", 8, Some(4), 0.999);
    }

    #[test]
    fn the_time_left_follows_from_the_time_taken() {
        assert_eq!(seconds_left(0.01, 100.0), None);
        assert_eq!(seconds_left(0.25, 10.0), Some(30.0));
        assert_eq!(described(Step::new("train", 3, Some(32))), "train, 3 of 32");
        assert_eq!(described(Step::new("read", 3, None)), "read");
    }

    #[test]
    fn a_record_has_a_result_or_an_error() {
        let text = r#"{"task_id":"a","kind":"rebuild","status":"failed","progress":0.5,"detail":"train","created_at":"2026-01-01T00:00:00Z","finished_at":null,"error":"no"}"#;
        let task: Task = serde_json::from_str(text).unwrap();
        assert!(task.status.is_final() && task.result.is_none());
        assert_eq!(serde_json::to_string(&task).unwrap(), text);
    }
}
