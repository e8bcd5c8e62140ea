//! `cinedex backup` and `cinedex restore`.

use std::path::Path;

use anyhow::Result;
use cinedex_pipeline::{BackupReport, Stores, back_up, restore};

use super::Context;
use crate::terminal::{self, ProgressView, thousands};

pub(super) fn make(context: &Context, folder: &Path) -> Result<()> {
    let view = ProgressView::new();
    let report = back_up(&stores(context), folder, &|step| view.show(step))?;
    drop(view);
    show(context, &report, &format!("backed up to {}", folder.display()))
}

pub(super) fn put_back(context: &Context, folder: &Path) -> Result<()> {
    let view = ProgressView::new();
    let report = restore(folder, &stores(context), &|step| view.show(step))?;
    drop(view);
    show(context, &report, &format!("restored from {}", folder.display()))
}

fn stores(context: &Context) -> Stores {
    Stores { data: context.data(), indexes: context.indexes(), log: context.configuration.feedback.clone() }
}

fn show(context: &Context, report: &BackupReport, what: &str) -> Result<()> {
    if context.json {
        return terminal::print_json(report);
    }
    let live = report.live.as_ref().map_or_else(|| "none".to_owned(), |version| format!("{version} live"));
    let log = if report.log { "the log" } else { "no log" };
    terminal::print(&format!(
        "{what}: {} data sets, {} bundles ({live}), {log}; {} files, {:.1} MB, each with its SHA-256",
        thousands(report.datasets.len() as u64),
        thousands(report.versions.len() as u64),
        thousands(report.files as u64),
        report.bytes as f64 / 1e6
    ))
}
