//! The demo world, prepared: imported, trained and indexed where that has not been done yet or is out of date, untouched
//! where it is current.

use std::sync::atomic::AtomicBool;

use cinedex_dataset::demo::{DemoParameters, import_demo, is_current};
use cinedex_dataset::{DataRoot, DatasetManifest, ImportOptions};
use cinedex_domain::Progress;
use cinedex_index::{IndexRoot, Version};
use cinedex_model::ModelManifest;

use crate::training::{is_as_trained_now, is_ours};
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
/// missing, damaged or out of date. A data set of another kind under the demo's name is refused; a model of another trainer is
/// served as it is.
pub fn prepare_demo(
    data: &DataRoot,
    indexes: &IndexRoot,
    dataset: Option<&str>,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<DemoReport, PipelineError> {
    let name = dataset.unwrap_or(DEMO_NAME);
    let manifest = match dataset {
        Some(name) => data.manifest(name)?,
        None => demo_world(data, progress)?,
    };
    let request = TrainRequest { dataset: name.to_owned(), ..TrainRequest::default() };
    let path = model_path(data, name, &request.model)?;
    let model = ModelManifest::read(&path).ok();
    let stale = match &model {
        None => !path.exists() || is_ours(&path),
        Some(model) if dataset.is_none() => !is_as_trained_now(model, &manifest, &request),
        Some(model) => model.data_set.as_ref().is_some_and(|trained| trained.sha256 != manifest.sha256()),
    };
    if stale {
        train(data, &request, progress, cancel)?;
    }
    if !stale && let Some(version) = live_bundle(indexes, &manifest, model.as_ref()) {
        return Ok(DemoReport { manifest, version, prepared: false });
    }
    let request = BuildRequest { dataset: name.to_owned(), keep: KEEP, ..BuildRequest::default() };
    let version = build_and_publish(data, indexes, &request, progress, cancel)?.build.version;
    Ok(DemoReport { manifest, version, prepared: true })
}

/// The embedded world as a data set, made anew if this program would make another.
fn demo_world(data: &DataRoot, progress: Progress<'_>) -> Result<DatasetManifest, PipelineError> {
    let replace = match data.manifest(DEMO_NAME) {
        Ok(manifest) if is_current(&manifest) => return Ok(manifest),
        Ok(manifest) if manifest.source.kind == "demo" => true,
        Ok(_) => return Err(PipelineError::NotTheDemo { name: DEMO_NAME.to_owned() }),
        // Nothing there, or nothing that can be read: the import refuses what it must not replace.
        Err(_) => false,
    };
    let options = ImportOptions { replace, ..ImportOptions::default() };
    Ok(import_demo(data, DEMO_NAME, &options, &DemoParameters::default(), progress)?.manifest)
}

/// The live bundle, if it was made from just this data set and model, or from this data set and what happened since, and every
/// byte of it is sound.
fn live_bundle(
    indexes: &IndexRoot,
    data: &DatasetManifest,
    model: Option<&ModelManifest>,
) -> Option<Version> {
    let version = indexes.current().ok()??;
    let bundle = indexes.open(&version).ok()?;
    let inputs = &bundle.manifest().inputs;
    let same_model = model.is_some_and(|model| inputs.model_sha256 == model.sha256());
    let current = same_model || inputs.log_position.is_some();
    (inputs.dataset == data.name && inputs.dataset_sha256 == data.tables_sha256() && current)
        .then_some(version)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cinedex_domain::silent;

    use super::*;
    use crate::test_world::{NAME, small};

    fn prepare(
        data: &DataRoot,
        indexes: &IndexRoot,
        dataset: Option<&str>,
    ) -> Result<DemoReport, PipelineError> {
        prepare_demo(data, indexes, dataset, &silent, &AtomicBool::new(false))
    }

    #[test]
    fn what_is_current_is_left_and_what_is_damaged_or_stale_is_made_again() {
        let (folder, data) = small();
        let indexes = IndexRoot::new(folder.path().join("indexes"));
        let first = prepare(&data, &indexes, Some(NAME)).unwrap();
        assert!(first.prepared);
        let second = prepare(&data, &indexes, Some(NAME)).unwrap();
        assert!(!second.prepared && second.version == first.version);
        let bundle = indexes.path().join(first.version.as_str());
        for entry in fs::read_dir(&bundle).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "bin") {
                fs::remove_file(path).unwrap();
                break;
            }
        }
        let third = prepare(&data, &indexes, Some(NAME)).unwrap();
        assert!(third.prepared && third.version != first.version);
        let model = model_path(&data, NAME, "ials").unwrap();
        fs::remove_dir_all(&model).unwrap();
        assert!(prepare(&data, &indexes, Some(NAME)).unwrap().prepared);
        assert!(model.exists());
    }

    #[test]
    fn a_data_set_of_ones_own_called_demo_is_never_replaced() {
        let (folder, data) = small();
        let own = data.path_of(NAME).unwrap();
        let demo = data.path_of(DEMO_NAME).unwrap();
        fs::rename(&own, &demo).unwrap();
        let manifest = fs::read_to_string(demo.join("dataset.json")).unwrap();
        let renamed =
            manifest.replace(&format!("\"name\": \"{NAME}\""), &format!("\"name\": \"{DEMO_NAME}\""));
        fs::write(demo.join("dataset.json"), renamed).unwrap();
        let outcome = prepare(&data, &IndexRoot::new(folder.path().join("indexes")), None);
        assert!(matches!(outcome, Err(PipelineError::NotTheDemo { .. })), "{outcome:?}");
        assert!(demo.join("interactions.parquet").exists());
    }
}
