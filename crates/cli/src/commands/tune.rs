//! `cinedex tune`.

use std::path::Path;

use anyhow::{Context as _, Result};
use cinedex_pipeline::{
    Budget, FixedSettings, ProtocolKind, TrainRequest, Trial, TuneFiles, TuneReport, TuneRequest, Tuned,
    TunedSettings, train, tune_dataset, tune_files,
};
use serde::Serialize;

use super::{Context, NEVER};
use crate::arguments::{TuneArguments, TunedProtocol};
use crate::terminal::{self, ProgressView};

/// Seconds of a search where nothing else is said.
const BUDGET_SECONDS: f64 = 120.0;

pub(super) fn run(context: &Context, flags: &TuneArguments) -> Result<()> {
    let request = request(context, flags);
    let view = ProgressView::new();
    let progress = |step: cinedex_domain::Step<'_>| view.show(step);
    let observe = |trial: &Trial, best: Option<&Trial>| view.say(&told(trial, best));
    if let Some(name) = &flags.name {
        let data = context.data();
        let report = tune_dataset(&data, name, &flags.model, &request, &observe, &progress, &NEVER)?;
        if flags.no_train {
            drop(view);
            return show(context, &report, "");
        }
        let training = TrainRequest {
            dataset: name.clone(),
            model: flags.model.clone(),
            parameters: request.parameters.clone(),
            policy: request.policy.clone(),
            ..TrainRequest::default()
        };
        let trained = train(&data, &training.with_tuned(report.tuned.clone()), &progress, &NEVER)?;
        drop(view);
        return show(context, &report, &format!("written to {}", trained.path.display()));
    }
    let files = TuneFiles {
        train: flags.train.clone().context("a data set or --train is needed")?,
        validation: flags.validation_fold_in.clone().zip(flags.validation_held_out.clone()),
        log: flags.output.as_deref().map(beside),
    };
    let report = tune_files(&files, &request, &observe, &progress, &NEVER)?;
    drop(view);
    if let Some(output) = &flags.output {
        std::fs::write(output, serde_json::to_string_pretty(&report.tuned)? + "\n")
            .with_context(|| format!("cannot write {}", output.display()))?;
    }
    show(context, &report, "")
}

fn request(context: &Context, flags: &TuneArguments) -> TuneRequest {
    let (default, trainer) = (TuneRequest::default(), &flags.trainer);
    let mut parameters = default.parameters;
    parameters.threads = trainer.threads.unwrap_or(parameters.threads);
    parameters.seed = trainer.seed.unwrap_or(parameters.seed);
    TuneRequest {
        protocol: match flags.protocol {
            TunedProtocol::Strong => ProtocolKind::Strong,
            TunedProtocol::Temporal => ProtocolKind::Temporal,
        },
        parameters,
        policy: context.configuration.preference.clone(),
        fixed: FixedSettings {
            dimension: trainer.dim,
            epochs: trainer.epochs,
            regularization: trainer.regularization,
            unobserved_weight: trainer.unobserved_weight,
            frequency_exponent: trainer.frequency_exponent,
            half_life_days: trainer.half_life_days,
            recent_weight: flags.recent_weight,
            recent_share: flags.recent_share,
        },
        budget: flags
            .trials
            .map_or(Budget::Seconds(flags.budget_seconds.unwrap_or(BUDGET_SECONDS)), Budget::Trials),
        seed: trainer.seed.unwrap_or(default.seed),
        min_coverage: flags.min_coverage,
    }
}

/// Where trials are kept that lead to this file.
fn beside(output: &Path) -> std::path::PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.tuning.jsonl"))
}

/// One trial in a line.
fn told(trial: &Trial, best: Option<&Trial>) -> String {
    let best =
        best.map_or(String::new(), |best| format!("; best {:.4} of trial {}", best.score, best.number));
    let Trial { number, settings, score, coverage, .. } = trial;
    format!("  trial {number}: {score:.4}, coverage {coverage:.3}, {}{best}", flags_of(settings))
}

/// The flags with which `train` and `evaluate` take these settings.
fn flags_of(settings: &TunedSettings) -> String {
    let mut flags = format!(
        "--dim {} --epochs {} --regularization {} --unobserved-weight {} --frequency-exponent {}",
        settings.dimension,
        settings.epochs,
        settings.regularization,
        settings.unobserved_weight,
        settings.frequency_exponent
    );
    if let Some(days) = settings.half_life_days {
        flags += &format!(" --half-life-days {days}");
    }
    if settings.recent_weight > 0.0 {
        flags +=
            &format!(" --recent-weight {} --recent-share {}", settings.recent_weight, settings.recent_share);
    }
    flags
}

/// The JSON document.
#[derive(Serialize)]
struct Shown<'a> {
    tuned: &'a Tuned,
    reused_trials: usize,
    validation_users: usize,
    flags: String,
}

fn show(context: &Context, report: &TuneReport, written: &str) -> Result<()> {
    let TuneReport { tuned, reused, users } = report;
    if context.json {
        return terminal::print_json(&Shown {
            tuned,
            reused_trials: *reused,
            validation_users: *users,
            flags: flags_of(&tuned.settings),
        });
    }
    let reused = if *reused > 0 { format!(", {reused} of an earlier run") } else { String::new() };
    let contrast = format!("contrast of ratings {}", tuned.settings.rating_contrast);
    terminal::print(&format!(
        "{} protocol, {} trials{reused} in {:.0} s on {users} validation users\n{}\n{}\n{contrast}\n{written}",
        tuned.protocol,
        tuned.trials,
        tuned.seconds,
        verdict(tuned),
        flags_of(&tuned.settings),
    ))
}

/// What was chosen and why.
fn verdict(tuned: &Tuned) -> String {
    let Tuned { objective, score, standard_error, default_score, coverage, .. } = tuned;
    let against = tuned.difference.map_or("no other setting got all its epochs".to_owned(), |difference| {
        format!("best against defaults {:+.4} ± {:.4}", difference.mean, difference.standard_error)
    });
    if tuned.kept_defaults {
        format!(
            "the defaults are kept, {objective} {score:.4} ± {standard_error:.4}, as nothing is better by more than chance ({against})"
        )
    } else {
        format!(
            "{objective} {score:.4} ± {standard_error:.4}, coverage {coverage:.3} (defaults {default_score:.4}; {against})"
        )
    }
}
