//! `cinedex index`: build, list, verify, activate, remove.

use anyhow::{Context as _, Result, bail};
use cinedex_index::{BuildOptions, Manifest, Version};
use cinedex_pipeline::{BuildRequest, Gate, PublishReport, build_and_publish};
use serde_json::json;

use super::{Context, NEVER, calibration};
use crate::arguments::IndexCommand;
use crate::terminal::{self, ProgressView, thousands};

pub(super) fn run(context: &Context, command: IndexCommand) -> Result<()> {
    match command {
        IndexCommand::Build {
            name,
            model,
            id_column,
            embedding_column,
            no_activate,
            min_recall,
            target_recall,
            min_coverage,
            keep,
        } => {
            let request = BuildRequest {
                dataset: name,
                model,
                id_column,
                embedding_column,
                options: BuildOptions { target_recall, ..BuildOptions::default() },
                gate: Gate { min_recall, min_coverage, ..Gate::default() },
                activate: !no_activate,
                keep,
            };
            build(context, &request)
        }
        IndexCommand::List => list(context),
        IndexCommand::Verify { version } => verify(context, version.as_deref()),
        IndexCommand::Activate { version } => {
            let version = parse(&version)?;
            context.indexes().activate(&version)?;
            done(context, &version, "live")
        }
        IndexCommand::Remove { version } => {
            let version = parse(&version)?;
            context.indexes().remove(&version)?;
            done(context, &version, "removed")
        }
    }
}

fn done(context: &Context, version: &Version, state: &str) -> Result<()> {
    if context.json {
        return terminal::print_json(&json!({ "version": version.to_string(), "state": state }));
    }
    terminal::print(&format!("{version} is {state}"))
}

fn parse(text: &str) -> Result<Version> {
    text.parse().with_context(|| format!("\"{text}\" is not a version; `cinedex index list` shows them"))
}

fn build(context: &Context, request: &BuildRequest) -> Result<()> {
    let view = ProgressView::new();
    let report =
        build_and_publish(&context.data(), &context.indexes(), request, &|step| view.show(step), &NEVER)?;
    drop(view);
    if context.json {
        terminal::print_json(&json!({
            "version": report.build.version.to_string(),
            "manifest": report.build.manifest,
            "bytes": report.build.bytes,
            "seconds": report.build.seconds,
            "refused": report.refused,
            "activated": report.activated,
            "removed": report.removed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))?;
    } else {
        terminal::print(&describe(&report, request))?;
    }
    match report.refused {
        Some(reason) => bail!("{} is kept but not live: {reason}", report.build.version),
        None => Ok(()),
    }
}

fn describe(report: &PublishReport, request: &BuildRequest) -> String {
    let manifest = &report.build.manifest;
    let mut text = format!(
        "bundle {}: {} in {:.1} s, {:.1} MB\n{}",
        report.build.version,
        contents(manifest),
        report.build.seconds,
        report.build.bytes as f64 / 1e6,
        calibration::describe(&manifest.calibration)
    );
    if report.activated {
        text += "\nlive now";
    } else if !request.activate {
        text += &format!("\nnot live; cinedex index activate {}", report.build.version);
    }
    for version in &report.removed {
        text += &format!("\nremoved {version}");
    }
    text
}

fn contents(manifest: &Manifest) -> String {
    let counts = &manifest.counts;
    format!(
        "{} films ({} with an embedding), {} users, {} places",
        thousands(counts.movies),
        thousands(counts.embedded_movies),
        thousands(counts.users),
        thousands(counts.places)
    )
}

fn list(context: &Context) -> Result<()> {
    let versions = context.indexes().versions()?;
    if context.json {
        let rows: Vec<_> = versions
            .iter()
            .map(|summary| {
                json!({
                    "version": summary.version.to_string(),
                    "live": summary.live,
                    "refused": summary.refused,
                    "bytes": summary.bytes,
                    "manifest": summary.manifest.as_ref().ok(),
                    "error": summary.manifest.as_ref().err().map(ToString::to_string),
                })
            })
            .collect();
        return terminal::print_json(&rows);
    }
    if versions.is_empty() {
        return terminal::print("no bundles yet; cinedex index build NAME makes one");
    }
    let rows = versions
        .iter()
        .map(|summary| {
            let (films, from) = match &summary.manifest {
                Ok(manifest) => (
                    thousands(manifest.counts.movies),
                    format!("{} / {}", manifest.inputs.dataset, manifest.inputs.model),
                ),
                Err(error) => (String::new(), error.to_string()),
            };
            let live = match (summary.live, &summary.refused) {
                (true, _) => "live",
                (false, Some(_)) => "refused",
                (false, None) => "",
            };
            vec![
                summary.version.to_string(),
                live.to_owned(),
                films,
                format!("{:.1}", summary.bytes as f64 / 1e6),
                from,
            ]
        })
        .collect();
    terminal::print(&terminal::table(&["version", "", "films", "MB", "data set / model"], rows, &[2, 3]))
}

fn verify(context: &Context, version: Option<&str>) -> Result<()> {
    let root = context.indexes();
    let version = match version {
        Some(text) => parse(text)?,
        None => root.current()?.context("no bundle is live; name a version")?,
    };
    let report = root.verify(&version)?;
    if context.json {
        return terminal::print_json(&json!({
            "version": version.to_string(),
            "files": report.files,
            "bytes": report.bytes,
            "calibration": report.calibration,
            "recorded": report.recorded,
        }));
    }
    terminal::print(&format!(
        "{version}: {} files, {:.1} MB, every byte as it was built\n{}\n\n{}",
        report.files,
        report.bytes as f64 / 1e6,
        calibration::describe(&report.calibration),
        calibration::compare(&report.recorded, &report.calibration)
    ))
}
