//! `cinedex train`.

use std::time::Duration;

use anyhow::Result;
use cinedex_domain::PreferencePolicy;
use cinedex_model::{AUTOMATIC_REGULARIZATION, IalsParameters};
use cinedex_pipeline::{TrainRequest, train};
use serde_json::json;

use super::{Context, NEVER};
use crate::arguments::{TrainArguments, TrainerArguments};
use crate::terminal::{self, ProgressView, thousands};

/// Lays the flags over the defaults.
pub(super) fn parameters(flags: &TrainerArguments) -> IalsParameters {
    let default = IalsParameters::default();
    IalsParameters {
        dimension: flags.dim.unwrap_or(default.dimension),
        epochs: flags.epochs.unwrap_or(default.epochs),
        regularization: flags.regularization.unwrap_or(AUTOMATIC_REGULARIZATION),
        unobserved_weight: flags.unobserved_weight.unwrap_or(default.unobserved_weight),
        seed: flags.seed.unwrap_or(default.seed),
        threads: flags.threads.unwrap_or(default.threads),
        ..default
    }
}

/// Lays the flags over the configuration.
pub(super) fn policy(context: &Context, flags: &TrainerArguments) -> PreferencePolicy {
    let configured = &context.configuration.preference;
    PreferencePolicy {
        half_life_days: flags.half_life_days.or(configured.half_life_days),
        ..configured.clone()
    }
}

pub(super) fn run(context: &Context, flags: &TrainArguments) -> Result<()> {
    let request = TrainRequest {
        dataset: flags.name.clone(),
        model: flags.model.clone(),
        parameters: parameters(&flags.trainer),
        policy: policy(context, &flags.trainer),
        metadata: !flags.no_metadata,
        early_stopping: flags.early_stopping,
        checkpoint_interval: Duration::from_secs(flags.checkpoint_seconds),
        ..TrainRequest::default()
    };
    let view = ProgressView::new();
    let report = train(&context.data(), &request, &|step| view.show(step), &NEVER)?;
    drop(view);
    if let Some(epoch) = report.resumed_from {
        terminal::note(&format!("went on from a checkpoint of epoch {epoch}"));
    }
    if context.json {
        return terminal::print_json(&json!({
            "model": request.model,
            "path": report.path,
            "users": report.users,
            "movies": report.movies,
            "opinions": report.opinions,
            "resumed_from": report.resumed_from,
            "metadata": report.metadata,
            "train_seconds": report.train_seconds,
            "manifest": report.manifest,
        }));
    }
    if let Some(metadata) = report.metadata.filter(|metadata| metadata.filled_movies > 0) {
        terminal::note(&format!(
            "{} films without interactions took their embedding from {} features of metadata",
            thousands(metadata.filled_movies as u64),
            thousands(metadata.features as u64)
        ));
    }
    terminal::print(&format!(
        "{} dimensions from {} opinions of {} users on {} films in {:.1} s\nwritten to {}",
        request.parameters.dimension,
        thousands(report.opinions as u64),
        thousands(report.users as u64),
        thousands(report.movies as u64),
        report.train_seconds,
        report.path.display()
    ))
}
