//! `cinedex train`.

use std::time::Duration;

use anyhow::Result;
use cinedex_domain::PreferencePolicy;
use cinedex_model::IalsParameters;
use cinedex_pipeline::{TrainRequest, train, tuned_settings};
use serde_json::json;

use super::{Context, NEVER};
use crate::arguments::{TrainArguments, TrainerArguments};
use crate::terminal::{self, ProgressView, thousands};

/// Lays the flags over the defaults.
pub(super) fn parameters(flags: &TrainerArguments) -> IalsParameters {
    overlaid(flags, TrainRequest::default().parameters)
}

fn overlaid(flags: &TrainerArguments, base: IalsParameters) -> IalsParameters {
    IalsParameters {
        dimension: flags.dim.unwrap_or(base.dimension),
        epochs: flags.epochs.unwrap_or(base.epochs),
        regularization: flags.regularization.unwrap_or(base.regularization),
        unobserved_weight: flags.unobserved_weight.unwrap_or(base.unobserved_weight),
        frequency_exponent: flags.frequency_exponent.unwrap_or(base.frequency_exponent),
        seed: flags.seed.unwrap_or(base.seed),
        threads: flags.threads.unwrap_or(base.threads),
        ..base
    }
}

/// Lays the flags over the configuration.
pub(super) fn policy(context: &Context, flags: &TrainerArguments) -> PreferencePolicy {
    aged(flags, context.configuration.preference.clone())
}

fn aged(flags: &TrainerArguments, base: PreferencePolicy) -> PreferencePolicy {
    PreferencePolicy { half_life_days: flags.half_life_days.or(base.half_life_days), ..base }
}

pub(super) fn run(context: &Context, flags: &TrainArguments) -> Result<()> {
    let tuned = if flags.untuned { None } else { tuned_settings(&context.data(), &flags.name, &flags.model) };
    let default = TrainRequest {
        dataset: flags.name.clone(),
        model: flags.model.clone(),
        policy: context.configuration.preference.clone(),
        metadata: !flags.no_metadata,
        early_stopping: flags.early_stopping,
        checkpoint_interval: Duration::from_secs(flags.checkpoint_seconds),
        ..TrainRequest::default()
    };
    let base = match tuned {
        Some(tuned) => {
            terminal::note(&format!("with what was tuned for {} {}", tuned.protocol, tuned.objective));
            default.with_tuned(tuned)
        }
        None => default,
    };
    let policy = aged(&flags.trainer, base.policy.clone());
    let parameters = overlaid(&flags.trainer, base.parameters.clone());
    let request = TrainRequest { parameters, policy, ..base };
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
