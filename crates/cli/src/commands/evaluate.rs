//! `cinedex evaluate`: models side by side on held-out interactions.

use anyhow::Result;
use cinedex_model::{EaseParameters, Evaluation, ItemKnnParameters};
use cinedex_pipeline::{
    EvaluateRequest, HeldOutFiles, ProtocolKind, SplitFiles, evaluate_dataset, evaluate_files,
};

use super::{Context, NEVER, cold, train};
use crate::arguments::{EvaluateArguments, ProtocolName};
use crate::terminal::{self, ProgressView};

pub(super) fn run(context: &Context, flags: &EvaluateArguments) -> Result<()> {
    if let Some(name) = &flags.name {
        match flags.protocol {
            ProtocolName::ColdMovies => {
                return cold::movies(context, name, train::parameters(&flags.trainer));
            }
            ProtocolName::ColdUsers => {
                return cold::users(context, name, train::parameters(&flags.trainer).seed);
            }
            ProtocolName::Strong | ProtocolName::Temporal => {}
        }
    }
    let request = request(context, flags)?;
    let view = ProgressView::new();
    let progress = |step: cinedex_domain::Step<'_>| view.show(step);
    let evaluations = match (&flags.name, files(flags)) {
        (None, Some(files)) => evaluate_files(&context.indexes(), &files, &request, &progress, &NEVER)?,
        (name, _) => {
            let protocol = match flags.protocol {
                ProtocolName::Temporal => ProtocolKind::Temporal,
                _ => ProtocolKind::Strong,
            };
            let name = name.as_deref().unwrap_or_default();
            let (data, indexes) = (context.data(), context.indexes());
            evaluate_dataset(&data, &indexes, name, protocol, &request, &progress, &NEVER)?
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

fn request(context: &Context, flags: &EvaluateArguments) -> Result<EvaluateRequest> {
    Ok(EvaluateRequest {
        models: flags.models.clone(),
        parameters: train::parameters(&flags.trainer),
        policy: train::policy(context, &flags.trainer),
        graded: flags.graded,
        ease: EaseParameters { regularization: flags.ease_regularization, dropout: flags.ease_dropout },
        item_knn: ItemKnnParameters { neighbors: flags.neighbors, shrinkage: flags.neighbor_shrinkage },
        recent_share: flags.recent_share,
        recent_weight: flags.recent_weight,
        bundle: flags.bundle.as_deref().map(str::parse).transpose()?,
    })
}

/// The split, where it is given as files.
fn files(flags: &EvaluateArguments) -> Option<SplitFiles> {
    let held_out = |fold_in, held_out| HeldOutFiles { fold_in, held_out };
    let validation = flags.validation_held_out.clone();
    Some(SplitFiles {
        train: flags.train.clone()?,
        validation: validation.map(|file| held_out(flags.validation_fold_in.clone(), file)),
        test: held_out(flags.fold_in.clone(), flags.held_out.clone()?),
    })
}

/// One column a model, one row a figure: means over users with their standard error, and the difference to the first model.
fn side_by_side(evaluations: &[Evaluation]) -> String {
    let Some(first) = evaluations.first() else { return String::new() };
    let mut rows = Vec::new();
    for metric in first.metrics.keys() {
        let mut row = vec![metric.clone()];
        row.extend(evaluations.iter().map(|evaluation| cell(evaluation, metric)));
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
    let table = terminal::table(&head, rows, &numbers);
    let mut text = format!("{} protocol, {} users\n{table}", first.protocol, first.users);
    if evaluations.len() > 1 {
        text.push_str(&format!(
            "\nin brackets: the difference to {} on the same users; ≈ is within noise, less than two standard errors of it",
            first.model
        ));
    }
    text
}

fn cell(evaluation: &Evaluation, metric: &str) -> String {
    let value = evaluation.metrics.get(metric).copied().unwrap_or(f64::NAN);
    let Some(error) = evaluation.standard_errors.get(metric) else {
        return if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.4}") };
    };
    let mut cell = format!("{value:.4} ± {error:.4}");
    let paired = evaluation.paired.as_ref().and_then(|paired| paired.metrics.get(metric));
    if let Some(paired) = paired {
        let noise = if paired.within_noise { "≈ " } else { "" };
        cell.push_str(&format!(" ({noise}{:+.4})", paired.difference));
    }
    cell
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn judged(model: &str, values: [f64; 2]) -> Evaluation {
        let mean = f64::midpoint(values[0], values[1]);
        Evaluation {
            model: model.to_owned(),
            dimension: None,
            protocol: "strong",
            users: 2,
            metrics: [("recall@20".to_owned(), mean), ("mean_popularity@20".to_owned(), 310.4)].into(),
            standard_errors: [("recall@20".to_owned(), 0.01)].into(),
            paired: None,
            per_user: BTreeMap::from([("recall@20".to_owned(), values.to_vec())]),
            shown: Vec::new(),
            train_seconds: 1.5,
            evaluate_seconds: 0.25,
        }
    }

    #[test]
    fn a_difference_inside_the_noise_is_called_that() {
        let first = judged("ials", [0.1, 0.5]);
        let (mut near, mut far) = (judged("ease", [0.5, 0.2]), judged("popularity", [0.05, 0.45]));
        near.pair(&first);
        far.pair(&first);
        assert_eq!(cell(&first, "recall@20"), "0.3000 ± 0.0100");
        assert_eq!(cell(&near, "recall@20"), "0.3500 ± 0.0100 (≈ +0.0500)");
        assert_eq!(cell(&far, "recall@20"), "0.2500 ± 0.0100 (-0.0500)");
        assert_eq!(cell(&near, "mean_popularity@20"), "310");
        let table = side_by_side(&[first, near, far]);
        assert!(table.contains("difference to ials") && table.contains("within noise"), "{table}");
    }
}
