//! From a data set to what a server loads, as one job: train, judge, build, hold against the gate, publish. It knows
//! neither HTTP nor a terminal; progress goes to a callback, and a flag cancels.
//!
//! - [`train`] learns a model from a data set and stores it beside it.
//! - [`build_and_publish`] makes a bundle of a data set and a model, and makes it live if it passes the [`Gate`].
//! - [`rebuild`] does both with what happened since the data set was imported, and compares with the live bundle; [`Jobs`] runs
//!   it beside serving, [`Scheduler`] when it is due.
//! - [`back_up`] copies everything while it is served, and [`restore`] puts it back.
//! - [`evaluate_dataset`] and [`evaluate_files`] judge models on held-out interactions.
//! - [`tune_dataset`] and [`tune_files`] choose settings on a validation part.
//! - [`prepare_demo`] does all of it for the embedded demo world.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//!
//! use cinedex_dataset::DataRoot;
//! use cinedex_domain::silent;
//! use cinedex_index::IndexRoot;
//! use cinedex_pipeline::{BuildRequest, TrainRequest, build_and_publish, train};
//!
//! let (data, indexes, never) = (DataRoot::new("data"), IndexRoot::new("indexes"), AtomicBool::new(false));
//! train(&data, &TrainRequest { dataset: "ml-1m".into(), ..TrainRequest::default() }, &silent, &never)?;
//! let request = BuildRequest { dataset: "ml-1m".into(), ..BuildRequest::default() };
//! let report = build_and_publish(&data, &indexes, &request, &silent, &never)?;
//! assert!(report.activated);
//! # Ok::<(), cinedex_pipeline::PipelineError>(())
//! ```

mod backup;
mod checkpoint;
mod cold;
mod cold_movies;
mod cold_users;
mod demo;
mod error;
mod evaluation;
mod features;
mod jobs;
mod live_log;
mod places;
mod preference_matrix;
mod publication;
mod quality;
mod rebuild;
mod rebuild_options;
mod schedule;
mod served;
mod task;
#[cfg(test)]
mod test_world;
mod training;
mod tuning;

pub use backup::{BackupReport, Stores, back_up, copy_log, restore};
pub use cold::{ColdEvaluation, ColdRanking, Figure};
pub use cold_movies::{ColdMoviesRequest, evaluate_cold_movies};
pub use cold_users::{ColdUsersRequest, evaluate_cold_users};
pub use demo::{DEMO_NAME, DemoReport, prepare_demo};
pub use error::PipelineError;
pub use evaluation::{
    EvaluateRequest, HeldOutFiles, ProtocolKind, SplitFiles, evaluate_dataset, evaluate_files,
};
pub use features::{MovieFeatures, movie_features};
pub use jobs::Jobs;
pub use live_log::{LogImport, export_log, import_log, live_changes};
pub use preference_matrix::preference_matrix;
pub use publication::{BuildRequest, Gate, PublishReport, build_and_publish};
pub use quality::{HeldOut, LiveQuality, Quality};
pub use rebuild::{REBUILD_STAGES, RebuildReport, RebuildRequest, rebuild};
pub use rebuild_options::RebuildOptions;
pub use schedule::{Schedule, Scheduler};
pub use task::{Task, TaskStatus};
pub use training::{TrainReport, TrainRequest, model_path, train};
pub use tuning::{
    Budget, Difference, FixedSettings, Trial, TrialObserver, TuneFiles, TuneReport, TuneRequest, Tuned,
    TunedSettings, tune_dataset, tune_files, tuned_settings,
};
