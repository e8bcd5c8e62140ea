//! Where a long training is: its factors, kept beside the model that it will become, so that an interrupted one goes on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cinedex_model::{Epoch, Factors, Model, ModelColumns};
use serde_json::json;

use crate::PipelineError;
use crate::training::parameters_of;

/// The checkpoint of one model; a folder that no model's name can have.
pub(crate) struct Checkpoint {
    directory: PathBuf,
    interval: Duration,
    written: Instant,
}

impl Checkpoint {
    /// Of the model in `directory`; written at most once an interval.
    pub(crate) fn beside(directory: &Path, interval: Duration) -> Self {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let directory = directory.with_file_name(format!(".{name}.checkpoint"));
        Self { directory, interval, written: Instant::now() }
    }

    /// The state of a training just like the one that `model` would come from; `None` where there is none that can be read.
    pub(crate) fn read(&self, model: &Model) -> Option<(usize, Factors)> {
        let found = Model::read(&self.directory, &ModelColumns::default()).ok()?;
        let number = usize::try_from(found.manifest.parameters.get("epoch")?.as_u64()?).ok()?;
        let (ids, users) = found.users?;
        let same = found.manifest.settings == model.manifest.settings
            && found.manifest.data_set == model.manifest.data_set
            && parameters_of(&found.manifest, "ials") == parameters_of(&model.manifest, "ials")
            && found.movie_ids == model.movie_ids
            && model.users.as_ref().is_some_and(|(expected, _)| *expected == ids);
        let factors = Factors { users, movies: found.movie_factors };
        same.then_some((number, factors))
    }

    /// Keeps a state of the training that `model` will come from, if the last one is older than the interval.
    pub(crate) fn keep(&mut self, model: &Model, epoch: &Epoch) -> Result<(), PipelineError> {
        if self.written.elapsed() < self.interval {
            return Ok(());
        }
        let mut state = model.clone();
        state.manifest.parameters["epoch"] = json!(epoch.number);
        state.movie_factors.clone_from(&epoch.factors.movies);
        if let Some((_, users)) = &mut state.users {
            users.clone_from(&epoch.factors.users);
        }
        state.write(&self.directory)?;
        self.written = Instant::now();
        Ok(())
    }

    /// Removes what was kept.
    pub(crate) fn discard(&self) -> Result<(), PipelineError> {
        match std::fs::remove_dir_all(&self.directory) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(PipelineError::Checkpoint { path: self.directory.clone(), source })
            }
            _ => Ok(()),
        }
    }
}
