//! Hostile input and what each gets: a clear refusal that names the culprit, or an ordinary answer; never a crash, never a half
//! result. `cargo test -p cinedex --test hostile -- --nocapture` prints the table.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archives;
mod bundles;
mod embeddings;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod vanishing;
mod worlds;

use std::sync::Once;

/// One row of the table of hostile input.
fn report(case: &str, answer: &str) {
    static HEAD: Once = Once::new();
    HEAD.call_once(|| println!("| case | answer |\n|---|---|"));
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let short: String = answer.chars().map(printable).take(240).collect();
    println!("| {case} | {} |", short.replace('|', "\\|"));
}

/// A row for a refusal of the program: its reason without the paths of this test.
fn report_refusal(case: &str, place: &support::Place, run: &support::Run) {
    let root = support::text(&place.path(""));
    report(case, &format!("exit 1: {}", run.reason().replace(&root, "")));
}
