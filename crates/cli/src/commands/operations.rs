//! What operators may do over HTTP, done by the pipeline: rebuilds as tasks, on request and by the clock, and the bundles on disk.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cinedex_dataset::DataRoot;
use cinedex_domain::PreferencePolicy;
use cinedex_feedback::{Log, Retention};
use cinedex_index::{IndexError, IndexRoot, Version, VersionSummary};
use cinedex_pipeline::{
    Jobs, PipelineError, REBUILD_STAGES, RebuildOptions, RebuildReport, Scheduler, live_changes, model_path,
    rebuild,
};
use cinedex_server::{OperationError, Operations, RebuildRequest, Task, TaskStatus, VersionInfo};
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::terminal;

/// The model whose settings a rebuild takes where none is named.
const MODEL: &str = "ials";
/// How often the schedule is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Rebuilds and keeps the bundles of one folder.
pub(super) struct Operator {
    jobs: Jobs,
    data: DataRoot,
    indexes: IndexRoot,
    log: Arc<Log>,
    options: RebuildOptions,
    policy: PreferencePolicy,
}

impl Operator {
    /// Opens the tasks beside the bundles; `None` if another process rebuilds these bundles.
    pub(super) fn open(
        configuration: &Configuration,
        indexes: IndexRoot,
        log: Arc<Log>,
    ) -> Result<Option<Arc<Self>>> {
        let options = configuration.rebuild.clone();
        options.validate()?;
        let jobs = match Jobs::open(&indexes.path().join("tasks"), options.threads) {
            Err(PipelineError::TasksInUse { path }) => {
                let path = path.display();
                terminal::note(&format!("another process has the tasks {path}: this one does not rebuild"));
                return Ok(None);
            }
            jobs => jobs?,
        };
        let (data, policy) = (DataRoot::new(&configuration.data), configuration.preference.clone());
        Ok(Some(Arc::new(Self { jobs, data, indexes, log, options, policy })))
    }

    /// Rebuilds by the clock from now on, if there is a schedule.
    pub(super) fn by_the_clock(self: &Arc<Self>) -> Result<Option<Scheduler>> {
        let Some(schedule) = self.options.schedule()? else { return Ok(None) };
        let operator = Arc::clone(self);
        let clock_ms = || jiff::Timestamp::now().as_millisecond();
        let job = move || match operator
            .rebuild(RebuildRequest { activate: true, ..RebuildRequest::default() })
        {
            Ok(task) => tracing::info!(task_id = task.task_id, "scheduled rebuild started"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "no scheduled rebuild"),
        };
        Ok(Some(Scheduler::start(schedule, LOOK_EVERY, clock_ms, job)?))
    }

    /// Cancels what runs and waits for its end.
    pub(super) fn end(&self) {
        self.jobs.end();
    }

    /// The data set that is meant: the one named, the configured one, or that of the live bundle.
    fn dataset(&self, named: Option<String>) -> Result<String, OperationError> {
        let configured = Some(self.options.dataset.clone()).filter(|name| !name.is_empty());
        let name = match named.or(configured) {
            Some(name) => name,
            None => self.live_dataset()?,
        };
        match self.data.exists(&name) {
            Ok(true) => Ok(name),
            Ok(false) => Err(invalid("dataset", format!("there is no data set {name}"))),
            Err(error) => Err(invalid("dataset", error.to_string())),
        }
    }

    fn live_dataset(&self) -> Result<String, OperationError> {
        let versions = self.indexes.versions().map_err(failed)?;
        let live = versions.into_iter().find(|summary| summary.live).and_then(|live| live.manifest.ok());
        let unnamed = || invalid("dataset", "no bundle is live to take it from: name one".to_owned());
        live.map(|manifest| manifest.inputs.dataset).ok_or_else(unnamed)
    }

    /// The request as the pipeline has it.
    fn request(&self, request: RebuildRequest) -> Result<cinedex_pipeline::RebuildRequest, OperationError> {
        let RebuildRequest { dataset, model, train, parameters, activate } = request;
        let dataset = self.dataset(dataset)?;
        if let Some(model) = &model {
            let path = model_path(&self.data, &dataset, model);
            let path = path.map_err(|error| invalid("model", error.to_string()))?;
            if !path.is_dir() {
                return Err(invalid("model", format!("data set {dataset} has no model {model}")));
            }
        }
        let built = match model {
            Some(model) if !train => {
                if !parameters.is_empty() {
                    return Err(invalid(
                        "parameters",
                        "they are for training: ask for train, too".to_owned(),
                    ));
                }
                cinedex_pipeline::RebuildRequest::of_model(&dataset, &model)
            }
            model => cinedex_pipeline::RebuildRequest::of_training(
                &self.data,
                &dataset,
                model.as_deref().unwrap_or(MODEL),
                self.policy.clone(),
                parameters,
            )
            .map_err(|error| invalid("parameters", error.to_string()))?,
        };
        let mut built = self.options.apply(built).with_threads(self.jobs.threads());
        built.build.activate = activate;
        Ok(built)
    }
}

impl Operations for Operator {
    fn rebuild(&self, request: RebuildRequest) -> Result<Task, OperationError> {
        let request = self.request(request)?;
        let (data, indexes, log) = (self.data.clone(), self.indexes.clone(), self.log.clone());
        let retention_days = self.options.log_retention_days;
        let work = move |progress: cinedex_domain::Progress<'_>, cancel: &std::sync::atomic::AtomicBool| {
            let live = live_changes(&log)?;
            let report = rebuild(&data, &indexes, Some(live), &request, progress, cancel)?;
            let version = report.publish.build.version.clone();
            if let Some(reason) = report.publish.refused {
                return Err(PipelineError::Refused { version, reason });
            }
            if report.publish.activated {
                compact(&log, retention_days, report.publish.build.manifest.inputs.log_position);
            }
            Ok(described(&report))
        };
        match self.jobs.start("rebuild", REBUILD_STAGES, work) {
            Ok(task) => Ok(shown(task)),
            Err(PipelineError::TaskRunning { task_id }) => Err(OperationError::TaskRunning { task_id }),
            Err(error) => Err(failed(error)),
        }
    }

    fn versions(&self) -> Result<Vec<VersionInfo>, OperationError> {
        Ok(self.indexes.versions().map_err(failed)?.into_iter().map(info).collect())
    }

    fn activate(&self, version: &str) -> Result<(), OperationError> {
        self.indexes.activate(&parse(version)?).map_err(|error| refusal(version, error))
    }

    fn remove(&self, version: &str) -> Result<(), OperationError> {
        self.indexes.remove(&parse(version)?).map_err(|error| refusal(version, error))
    }

    fn tasks(&self) -> Vec<Task> {
        self.jobs.tasks().into_iter().map(shown).collect()
    }

    fn task(&self, task_id: &str) -> Option<Task> {
        self.jobs.task(task_id).map(shown)
    }

    fn cancel(&self, task_id: &str) -> Result<Task, OperationError> {
        let unknown = |_| OperationError::TaskNotFound { task_id: task_id.to_owned() };
        self.jobs.cancel(task_id).map(shown).map_err(unknown)
    }
}

/// Lets go of what is hidden in the log, and of what is old and learned.
fn compact(log: &Log, retention_days: u32, learned_position: Option<u64>) {
    let oldest = jiff::Timestamp::now().as_millisecond() - i64::from(retention_days) * DAY_MS;
    let keep = Retention { received_from_ms: (retention_days > 0).then_some(oldest), learned_position };
    match log.compact(keep) {
        Ok(done) => {
            let (interactions, before, after) = (done.interactions, done.bytes_before, done.bytes_after);
            tracing::info!(interactions, before, after, "log compacted");
        }
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "log not compacted"),
    }
}

fn described(report: &RebuildReport) -> Value {
    let build = &report.publish.build;
    let (manifest, removed) = (&build.manifest, &report.publish.removed);
    json!({
        "version": build.version,
        "activated": report.publish.activated,
        "dataset": manifest.inputs.dataset,
        "model": manifest.inputs.model,
        "log_position": manifest.inputs.log_position,
        "interactions": report.interactions,
        "live_interactions": report.live_interactions,
        "movies": manifest.counts.movies,
        "users": manifest.counts.users,
        "quality": report.quality,
        "size_bytes": build.bytes,
        "removed": removed,
    })
}

fn shown(task: cinedex_pipeline::Task) -> Task {
    Task {
        task_id: task.task_id,
        kind: task.kind,
        status: match task.status {
            cinedex_pipeline::TaskStatus::Queued => TaskStatus::Queued,
            cinedex_pipeline::TaskStatus::Running => TaskStatus::Running,
            cinedex_pipeline::TaskStatus::Succeeded => TaskStatus::Succeeded,
            cinedex_pipeline::TaskStatus::Failed => TaskStatus::Failed,
            cinedex_pipeline::TaskStatus::Cancelled => TaskStatus::Cancelled,
        },
        progress: task.progress,
        detail: task.detail,
        created_at: task.created_at,
        finished_at: task.finished_at,
        eta_seconds: task.eta_seconds.map(|seconds| seconds as u64),
        result: task.result,
        error: task.error,
    }
}

fn info(summary: VersionSummary) -> VersionInfo {
    let unreadable = summary.manifest.as_ref().err().map(ToString::to_string);
    let manifest = summary.manifest.ok();
    let inputs = manifest.as_ref().map(|manifest| &manifest.inputs);
    VersionInfo {
        version: summary.version.to_string(),
        live: summary.live,
        created_at: manifest.as_ref().map(|manifest| manifest.created.clone()),
        size_bytes: summary.bytes,
        movies: manifest.as_ref().map(|manifest| manifest.counts.movies),
        users: manifest.as_ref().map(|manifest| manifest.counts.users),
        dataset: inputs.map(|inputs| inputs.dataset.clone()),
        model: inputs.map(|inputs| inputs.model.clone()),
        log_position: inputs.and_then(|inputs| inputs.log_position),
        refused: summary.refused.or(unreadable),
    }
}

fn parse(version: &str) -> Result<Version, OperationError> {
    version.parse().map_err(|_| OperationError::VersionNotFound { version: version.to_owned() })
}

/// Why a bundle was not made live or removed.
fn refusal(version: &str, error: IndexError) -> OperationError {
    let version = version.to_owned();
    match error {
        IndexError::UnknownVersion { .. } => OperationError::VersionNotFound { version },
        IndexError::VersionLive { .. } => OperationError::VersionLive { version },
        IndexError::Damaged { .. } | IndexError::OlderFormat { .. } | IndexError::NewerFormat { .. } => {
            OperationError::VersionUnusable { version, reason: error.to_string() }
        }
        error => failed(error),
    }
}

fn invalid(field: &str, reason: String) -> OperationError {
    OperationError::Invalid { field: field.to_owned(), reason }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> OperationError {
    OperationError::Failed { source: Box::new(error) }
}
