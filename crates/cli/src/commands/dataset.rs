//! `cinedex dataset`: import, enrich, download, list, show.

use anyhow::{Context as _, Result};
use cinedex_dataset::demo::{DemoParameters, import_demo};
use cinedex_dataset::{
    Coverage, DatasetManifest, DownloadOptions, ImportOptions, ImportReport, MovieLensOptions, Rejection,
    download, enrich_imdb, import_movielens,
};
use cinedex_domain::Progress;

use super::{Context, tables};
use crate::arguments::{
    DatasetCommand, DownloadArguments, EnrichCommand, ExportCommand, ImportCommand, TargetArguments,
};
use crate::terminal::{self, ProgressView, thousands};

/// Rejected rows shown before the rest is only counted.
const EXAMPLES_SHOWN: usize = 5;

pub(super) fn run(context: &Context, command: DatasetCommand) -> Result<()> {
    match command {
        DatasetCommand::Import(command) => import(context, command),
        DatasetCommand::Enrich(EnrichCommand::Imdb { path, name }) => enrich(context, &path, &name),
        DatasetCommand::Export(ExportCommand::Log { file }) => super::live_log::export(context, &file),
        DatasetCommand::Download(flags) => fetch(context, &flags),
        DatasetCommand::List => list(context),
        DatasetCommand::Show { name } => show(context, &name),
    }
}

fn import(context: &Context, command: ImportCommand) -> Result<()> {
    let root = context.data();
    if let ImportCommand::Log { file } = &command {
        return super::live_log::import(context, file);
    }
    with_progress(context, |progress| match command {
        ImportCommand::Log { .. } => unreachable!("it makes no data set and was done before"),
        ImportCommand::Movielens { path, ratings, target } => {
            let movielens = MovieLensOptions { ratings, ..MovieLensOptions::default() };
            Ok(import_movielens(&root, &target.name, &path, &options(&target), &movielens, progress)?)
        }
        ImportCommand::Csv(flags) => tables::import(&root, tables::Format::Csv, &flags, progress),
        ImportCommand::Parquet(flags) => tables::import(&root, tables::Format::Parquet, &flags, progress),
        ImportCommand::Demo { seed, target } => {
            let parameters = DemoParameters { seed, ..DemoParameters::default() };
            Ok(import_demo(&root, &target.name, &options(&target), &parameters, progress)?)
        }
    })
}

/// What the flags of a target say to the library.
pub(super) fn options(target: &TargetArguments) -> ImportOptions {
    ImportOptions { replace: target.replace, max_rejected_share: target.max_rejected }
}

/// Imports with progress shown and reports what was made.
fn with_progress(context: &Context, work: impl FnOnce(Progress<'_>) -> Result<ImportReport>) -> Result<()> {
    let view = ProgressView::new();
    let report = work(&|step| view.show(step))?;
    drop(view);
    if context.json {
        return terminal::print_json(&report);
    }
    let manifest = &report.manifest;
    let counts = manifest.counts;
    let mut text = format!(
        "{}: {} films ({} with interactions), {} users, {} interactions in {:.1} s",
        manifest.name,
        thousands(counts.movies),
        thousands(counts.rated_movies),
        thousands(counts.users),
        thousands(counts.interactions),
        report.seconds
    );
    text += &rejected(manifest, &report.examples);
    terminal::print(&text)?;
    terminal::note(&format!("next: cinedex train {}", manifest.name));
    Ok(())
}

/// Rejected rows by reason, with the first of them, and the notices.
fn rejected(manifest: &DatasetManifest, examples: &[Rejection]) -> String {
    let mut text = String::new();
    if manifest.rejected.total > 0 {
        text += &format!("\nrejected rows: {}", thousands(manifest.rejected.total));
        for (reason, count) in &manifest.rejected.by_reason {
            text += &format!("\n  {} × {reason}", thousands(*count));
        }
        for example in examples.iter().take(EXAMPLES_SHOWN) {
            text += &format!("\n  {example}");
        }
    }
    for notice in &manifest.notices {
        text += &format!("\nnote: {notice}");
    }
    text
}

fn enrich(context: &Context, path: &std::path::Path, name: &str) -> Result<()> {
    let view = ProgressView::new();
    let report = enrich_imdb(&context.data(), name, path, &|step| view.show(step))?;
    drop(view);
    if context.json {
        return terminal::print_json(&report);
    }
    let mut text = format!(
        "{name}: {} of {} films have an IMDb id, {} matched",
        thousands(report.movies_with_imdb_id),
        thousands(report.movies),
        thousands(report.matched_movies)
    );
    for file in &report.files {
        text += &format!(
            "\n  {}: {} rows, {} films matched",
            file.file,
            thousands(file.rows),
            thousands(file.matched_movies)
        );
        if file.malformed > 0 {
            text += &format!(", {} malformed", thousands(file.malformed));
        }
    }
    for example in report.examples.iter().take(EXAMPLES_SHOWN) {
        text += &format!("\n  {example}");
    }
    terminal::print(&text)?;
    terminal::note(&format!(
        "next: cinedex index build {name}, so that the films are served with what is known now"
    ));
    Ok(())
}

fn fetch(context: &Context, flags: &DownloadArguments) -> Result<()> {
    let root = context.data();
    let name = flags.name.as_deref().unwrap_or(&flags.what);
    let mut source = DownloadOptions::new(root.path().join("downloads"));
    if let Some(url) = &flags.url {
        source.base_url.clone_from(url);
    }
    with_progress(context, |progress| {
        let archive = download(&flags.what, &source, progress)?;
        let options = ImportOptions { replace: flags.replace, ..ImportOptions::default() };
        let report =
            import_movielens(&root, name, &archive.path, &options, &MovieLensOptions::default(), progress);
        report.with_context(|| format!("{} is downloaded but not imported", archive.path.display()))
    })
}

fn list(context: &Context) -> Result<()> {
    let manifests = context.data().list()?;
    if context.json {
        return terminal::print_json(&manifests);
    }
    if manifests.is_empty() {
        return terminal::print("no data sets yet; cinedex dataset import --help says how to make one");
    }
    let rows = manifests
        .iter()
        .map(|manifest| {
            vec![
                manifest.name.clone(),
                thousands(manifest.counts.movies),
                thousands(manifest.counts.users),
                thousands(manifest.counts.interactions),
                manifest.source.title.clone(),
            ]
        })
        .collect();
    terminal::print(&terminal::table(&["name", "films", "users", "interactions", "source"], rows, &[1, 2, 3]))
}

fn show(context: &Context, name: &str) -> Result<()> {
    let root = context.data();
    let manifest = root.manifest(name)?;
    let coverage = Coverage::of(&root, name)?;
    if context.json {
        return terminal::print_json(&serde_json::json!({ "manifest": manifest, "coverage": coverage }));
    }
    let counts = manifest.counts;
    let mut text = format!("{}: {}\n{}", manifest.name, manifest.source.title, manifest.source.licence);
    text += &format!(
        "\n\n{} films, {} of them with interactions\n{} users\n{} interactions, ratings from {} to {}",
        thousands(counts.movies),
        thousands(counts.rated_movies),
        thousands(counts.users),
        thousands(counts.interactions),
        manifest.rating_scale.lowest(),
        manifest.rating_scale.highest()
    );
    if let Some((first, last)) = &coverage.interaction_range {
        text += &format!("\nfirst {first}, last {last}");
    }
    let rows = coverage
        .fields
        .iter()
        .map(|field| {
            let share = 100.0 * field.known as f64 / field.rows.max(1) as f64;
            vec![field.field.clone(), thousands(field.known), thousands(field.rows), format!("{share:.1} %")]
        })
        .collect();
    text += &format!("\n\n{}\n", terminal::table(&["field", "known", "of", ""], rows, &[1, 2, 3]));
    text += &rejected(&manifest, &[]);
    terminal::print(&text)
}
