//! `cinedex dataset export log` and `cinedex dataset import log`.

use std::path::Path;

use anyhow::{Context as _, Result};
use cinedex_feedback::{FeedbackError, Log, LogOptions};
use cinedex_pipeline::{copy_log, export_log, import_log};
use serde_json::json;

use super::Context;
use crate::terminal::{self, ProgressView, thousands};

pub(super) fn export(context: &Context, file: &Path) -> Result<()> {
    let folder = &context.configuration.feedback;
    anyhow::ensure!(folder.is_dir(), "there is no log in {}; cinedex serve makes one", folder.display());
    let view = ProgressView::new();
    let rows = match open(folder) {
        Ok(log) => export_log(&log, file, &|step| view.show(step))?,
        // Another process writes it: what it had a moment ago is exported.
        Err(FeedbackError::InUse { .. }) => {
            let copy = copy_log(folder, &|step| view.show(step))?;
            export_log(&open(copy.path())?, file, &|step| view.show(step))?
        }
        Err(error) => return Err(error.into()),
    };
    drop(view);
    if context.json {
        return terminal::print_json(&json!({ "file": file, "interactions": rows }));
    }
    terminal::print(&format!("{} interactions in {}", thousands(rows), file.display()))
}

pub(super) fn import(context: &Context, file: &Path) -> Result<()> {
    let log = open(&context.configuration.feedback)
        .context("send interactions to the server that has it open: POST /v1/interactions")?;
    let view = ProgressView::new();
    let import = import_log(&log, file, &|step| view.show(step))?;
    drop(view);
    if context.json {
        return terminal::print_json(&import);
    }
    terminal::print(&format!(
        "{} interactions are in the log now, {} were there, {} rows make no sense",
        thousands(import.accepted),
        thousands(import.duplicates),
        thousands(import.rejected)
    ))
}

fn open(folder: &Path) -> Result<Log, FeedbackError> {
    Log::open(folder, &LogOptions::default(), |_| {}).map(|opened| opened.log)
}
