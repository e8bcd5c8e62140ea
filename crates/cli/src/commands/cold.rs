//! `cinedex evaluate --protocol cold-movies` and `cold-users`.

use std::collections::BTreeMap;

use anyhow::Result;
use cinedex_model::IalsParameters;
use cinedex_pipeline::{
    ColdEvaluation, ColdMoviesRequest, ColdUsersRequest, Figure, evaluate_cold_movies, evaluate_cold_users,
};

use super::{Context, NEVER};
use crate::terminal::{self, ProgressView};

/// Judges films as if new.
pub(super) fn movies(context: &Context, name: &str, parameters: IalsParameters) -> Result<()> {
    let request = ColdMoviesRequest { parameters, ..ColdMoviesRequest::default() };
    let view = ProgressView::new();
    let found = evaluate_cold_movies(&context.data(), name, &request, &|step| view.show(step), &NEVER)?;
    drop(view);
    show(context, &found)
}

/// Judges users as if new.
pub(super) fn users(context: &Context, name: &str, seed: u64) -> Result<()> {
    let request = ColdUsersRequest { seed, ..ColdUsersRequest::default() };
    let view = ProgressView::new();
    let found = evaluate_cold_users(&context.data(), name, &request, &|step| view.show(step))?;
    drop(view);
    show(context, &found)
}

/// One row a ranking, then one row a paired difference.
fn show(context: &Context, found: &ColdEvaluation) -> Result<()> {
    if context.json {
        return terminal::print_json(&found.to_json());
    }
    let Some(first) = found.rankings.first() else { return Ok(()) };
    let mut head = vec![""];
    head.extend(first.metrics.keys().map(String::as_str));
    let cells = |name: String, figures: &BTreeMap<String, Figure>, sign: bool| {
        let cell = |figure: &Figure| {
            // Added to 0, a negative 0 loses its sign.
            let mean = figure.mean + 0.0;
            let mean = if sign { format!("{mean:+.4}") } else { format!("{mean:.4}") };
            format!("{mean} ± {:.4}", figure.standard_error)
        };
        [name].into_iter().chain(figures.values().map(cell)).collect::<Vec<_>>()
    };
    let rows = found.rankings.iter().map(|ranking| cells(ranking.model.clone(), &ranking.metrics, false));
    let differences = found.rankings.iter().flat_map(|ranking| {
        let row = |(rival, figures): (&String, &BTreeMap<String, Figure>)| {
            cells(format!("{} - {rival}", ranking.model), figures, true)
        };
        ranking.differences.iter().map(row).collect::<Vec<_>>()
    });
    let numbers: Vec<usize> = (1..head.len()).collect();
    let table = |rows: Vec<Vec<String>>| terminal::table(&head, rows, &numbers);
    let films = match found.held_out_movies {
        0 => String::new(),
        films => format!(", {films} films held out"),
    };
    terminal::print(&format!(
        "{} protocol, {} users{films}\n{}\npaired differences\n{}\nlearned: {}",
        found.protocol,
        found.users,
        table(rows.collect()),
        table(differences.collect()),
        found.learned
    ))
}
