//! `cinedex evaluate`: models side by side on held-out interactions.

use anyhow::Result;
use cinedex_model::Evaluation;
use cinedex_pipeline::{EvaluateRequest, ProtocolKind, SplitFiles, evaluate_dataset, evaluate_files};

use super::{Context, NEVER, train};
use crate::arguments::{EvaluateArguments, ProtocolName};
use crate::terminal::{self, ProgressView};

pub(super) fn run(context: &Context, flags: &EvaluateArguments) -> Result<()> {
    let request = EvaluateRequest {
        models: flags.models.clone(),
        parameters: train::parameters(&flags.trainer),
        recent_share: flags.recent_share,
        bundle: flags.bundle.as_deref().map(str::parse).transpose()?,
    };
    let view = ProgressView::new();
    let progress = |step: cinedex_domain::Step<'_>| view.show(step);
    let evaluations = match (&flags.name, &flags.train, &flags.held_out) {
        (None, Some(train), Some(held_out)) => {
            let files = SplitFiles {
                train: train.clone(),
                fold_in: flags.fold_in.clone(),
                held_out: held_out.clone(),
            };
            evaluate_files(&context.indexes(), &files, &request, &progress, &NEVER)?
        }
        (name, ..) => {
            let protocol = match flags.protocol {
                ProtocolName::Strong => ProtocolKind::Strong,
                ProtocolName::Temporal => ProtocolKind::Temporal,
            };
            let name = name.as_deref().unwrap_or_default();
            evaluate_dataset(
                &context.data(),
                &context.indexes(),
                name,
                protocol,
                &request,
                &progress,
                &NEVER,
            )?
        }
    };
    drop(view);
    if request.bundle.is_some() {
        terminal::note(
            "the bundle was trained before this split: what is held out here may be among what it learned",
        );
    }
    if !context.json {
        return terminal::print(&side_by_side(&evaluations));
    }
    match &evaluations[..] {
        [one] => terminal::print_json(one),
        many => terminal::print_json(&many),
    }
}

/// One column a model, one row a figure; means over users with their standard error.
fn side_by_side(evaluations: &[Evaluation]) -> String {
    let Some(first) = evaluations.first() else { return String::new() };
    let mut rows = Vec::new();
    for metric in first.metrics.keys() {
        let mut row = vec![metric.clone()];
        for evaluation in evaluations {
            let value = evaluation.metrics.get(metric).copied().unwrap_or(f64::NAN);
            row.push(match evaluation.standard_errors.get(metric) {
                Some(error) => format!("{value:.4} ± {error:.4}"),
                None if value >= 10.0 => format!("{value:.0}"),
                None => format!("{value:.4}"),
            });
        }
        rows.push(row);
    }
    for (name, seconds) in [("train, s", true), ("evaluate, s", false)] {
        let mut row = vec![name.to_owned()];
        for evaluation in evaluations {
            let value = if seconds { evaluation.train_seconds } else { evaluation.evaluate_seconds };
            row.push(format!("{value:.2}"));
        }
        rows.push(row);
    }
    let mut head = vec![""];
    head.extend(evaluations.iter().map(|evaluation| evaluation.model.as_str()));
    let numbers: Vec<usize> = (1..head.len()).collect();
    format!("{} protocol, {} users\n{}", first.protocol, first.users, terminal::table(&head, rows, &numbers))
}
