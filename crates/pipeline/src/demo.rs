//! The demo world, prepared: imported, trained and indexed where that has not been done yet, untouched where it has.

use std::sync::atomic::AtomicBool;

use cinedex_dataset::demo::{DemoParameters, import_demo, is_current};
use cinedex_dataset::{DataRoot, DatasetManifest, ImportOptions};
use cinedex_domain::Progress;
use cinedex_index::{IndexRoot, Version};
use cinedex_model::ModelManifest;

use crate::{BuildRequest, PipelineError, TrainRequest, build_and_publish, model_path, train};

/// Name of the embedded world's data set.
pub const DEMO_NAME: &str = "demo";

/// Earlier bundles of the demo that stay.
const KEEP: usize = 1;

/// What is ready to be served.
#[derive(Debug, Clone)]
pub struct DemoReport {
    /// The data set behind it.
    pub manifest: DatasetManifest,
    /// The bundle that is live.
    pub version: Version,
    /// Whether anything had to be made.
    pub prepared: bool,
}

/// Makes sure that `indexes` serves the embedded world, or the data set `dataset`: imports, trains and builds what is
/// missing or out of date.
pub fn prepare_demo(
    data: &DataRoot,
    indexes: &IndexRoot,
    dataset: Option<&str>,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<DemoReport, PipelineError> {
    let name = dataset.unwrap_or(DEMO_NAME);
    let mut prepared = false;
    let manifest = match data.manifest(name) {
        Ok(manifest) if dataset.is_some() || is_current(&manifest) => manifest,
        Err(error) if dataset.is_some() => return Err(error.into()),
        _ => {
            prepared = true;
            let options = ImportOptions { replace: true, ..ImportOptions::default() };
            import_demo(data, name, &options, &DemoParameters::default(), progress)?.manifest
        }
    };
    let request = TrainRequest { dataset: name.to_owned(), ..TrainRequest::default() };
    let model = model_path(data, name, &request.model)?;
    let trained = ModelManifest::read(&model).ok().and_then(|manifest| manifest.data_set);
    if trained.is_none_or(|trained| trained.sha256 != manifest.sha256()) {
        prepared = true;
        train(data, &request, progress, cancel)?;
    }
    if !prepared && let Some(version) = live_bundle(indexes, &manifest) {
        return Ok(DemoReport { manifest, version, prepared });
    }
    let request = BuildRequest { dataset: name.to_owned(), keep: KEEP, ..BuildRequest::default() };
    let version = build_and_publish(data, indexes, &request, progress, cancel)?.build.version;
    Ok(DemoReport { manifest, version, prepared: true })
}

/// The live bundle, if it was made from this very data set and is readable.
fn live_bundle(indexes: &IndexRoot, manifest: &DatasetManifest) -> Option<Version> {
    let version = indexes.current().ok()??;
    let summary = indexes.versions().ok()?.into_iter().find(|summary| summary.version == version)?;
    let inputs = summary.manifest.ok()?.inputs;
    (inputs.dataset == manifest.name && inputs.dataset_sha256 == manifest.sha256()).then_some(version)
}
