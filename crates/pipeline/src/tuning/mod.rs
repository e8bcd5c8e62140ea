//! Chooses settings on a validation part, and never looks at a test part: under a budget of time or trials, again from where
//! it was after an interruption, and only for more than chance.
//!
//! - Strong generalisation: users held out of training; the contrast of ratings is searched too, where there is
//!   nothing else.
//! - Temporal: the last tenth, and again the last twentieth, of what may be learned from; the mix of taste and recent likes is
//!   searched too.

mod log;
mod objective;
mod search;
mod settings;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use cinedex_dataset::split::{
    Signals, Split, StrongOptions, TemporalOptions, TrainingSet, hold_out_last, read_held_out, read_training,
    split_strong, split_temporal_global,
};
use cinedex_dataset::{DataRoot, Dataset};
use cinedex_domain::{InteractionKind, PreferencePolicy, Progress, Step};
use cinedex_model::{IalsParameters, ModelManifest, Protocol};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::evaluation::matrix;
use crate::training::{BLEND, refuse_foreign};
use crate::{PipelineError, ProtocolKind, TrainRequest, model_path};
use log::TrialLog;
use objective::{Fold, Objective};
use search::{Found, Search};
use settings::Space;

pub use log::{Difference, Trial};
pub use settings::{FixedSettings, TunedSettings};

/// Shares of what may be learned from, the last by time, that settings are judged on.
const VALIDATION_SHARES: [f64; 2] = [0.1, 0.05];
/// Fewer users than this tell nothing apart.
const MINIMUM_USERS: usize = 20;

/// When a search ends. Trials that an earlier, interrupted run of it finished count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// After so many seconds; a trial that would not end by then is not begun, the first excepted.
    Seconds(f64),
    /// After so many trials, which makes the result depend on the seed alone.
    Trials(usize),
}

/// What to search and how.
#[derive(Debug, Clone)]
pub struct TuneRequest {
    /// How settings are judged.
    pub protocol: ProtocolKind,
    /// The settings without tuning, and those that are never searched; the epochs are those of the complete trials.
    pub parameters: IalsParameters,
    /// What interactions mean without tuning.
    pub policy: PreferencePolicy,
    /// What is given.
    pub fixed: FixedSettings,
    /// When to end.
    pub budget: Budget,
    /// Seed of what is tried.
    pub seed: u64,
    /// The share of the catalogue that lists must show, 0 to 1: those of the users who are judged, and over time, where users
    /// are known, of others who were active last, up to a thousand in all.
    pub min_coverage: f64,
}

impl Default for TuneRequest {
    fn default() -> Self {
        Self {
            protocol: ProtocolKind::Strong,
            parameters: TrainRequest::default().parameters,
            policy: PreferencePolicy::default(),
            fixed: FixedSettings::default(),
            budget: Budget::Seconds(120.0),
            seed: 1,
            min_coverage: 0.0,
        }
    }
}

/// Files to tune on, see [`cinedex_dataset::split`].
#[derive(Debug, Clone)]
pub struct TuneFiles {
    /// What to train on; without validation files, its last part by time is what settings are judged on.
    pub train: PathBuf,
    /// What is known of users who are unknown in training, and what is to be found of them.
    pub validation: Option<(PathBuf, PathBuf)>,
    /// Where trials are kept; without, an interrupted search begins anew.
    pub log: Option<PathBuf>,
}

/// What a tuning chose; stored in `model.json` as `parameters.tuned`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// `strong` or `temporal`.
    pub protocol: String,
    /// The metric that was raised on the validation part.
    pub objective: String,
    /// That metric with the chosen settings.
    pub score: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Share of the catalogue shown with the chosen settings.
    pub coverage: f64,
    /// The metric with the defaults.
    pub default_score: f64,
    /// The best settings found against the defaults, user by user; absent if no other got all its epochs.
    pub difference: Option<Difference>,
    /// Whether the defaults were kept, as nothing was better by more than chance.
    pub kept_defaults: bool,
    /// Trials of the search.
    pub trials: usize,
    /// Seconds of the search.
    pub seconds: f64,
    /// What was chosen.
    pub settings: TunedSettings,
}

/// What came of a tuning.
#[derive(Debug, Clone, PartialEq)]
pub struct TuneReport {
    /// What was chosen.
    pub tuned: Tuned,
    /// Trials that an earlier run had finished.
    pub reused: usize,
    /// Users of the validation part; those of each cut by time are counted.
    pub users: usize,
}

/// Hears of each trial, and of the best complete one so far.
pub type TrialObserver<'a> = &'a dyn Fn(&Trial, Option<&Trial>);

/// Chooses settings for a model of a data set; trials are kept beside the model. The test part, on which `evaluate` judges, is
/// left out.
pub fn tune_dataset(
    root: &DataRoot,
    name: &str,
    model: &str,
    request: &TuneRequest,
    observe: TrialObserver<'_>,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<TuneReport, PipelineError> {
    let path = model_path(root, name, model)?;
    refuse_foreign(&path)?;
    let path = path.with_file_name(format!(".{model}.tuning.jsonl"));
    progress(Step::new("read", 0, None));
    let dataset = Dataset::load(root, name)?;
    let (splits, graded) = match request.protocol {
        ProtocolKind::Strong => {
            let (split, graded) = strong_split(&dataset, request)?;
            (vec![split], graded)
        }
        ProtocolKind::Temporal => {
            let policy = PreferencePolicy { half_life_days: None, ..request.policy.clone() };
            let options = TemporalOptions { signals: Signals::All, ..TemporalOptions::default() };
            let training = split_temporal_global(&dataset, &policy, &options)?.training;
            (temporal_splits(&training, name)?, false)
        }
    };
    let data = dataset.manifest.sha256().to_owned();
    tune(splits, graded, &data, Some(&path), request, observe, progress, cancel)
}

/// Chooses settings for files, with users unknown in training if there are validation files, else over time.
pub fn tune_files(
    files: &TuneFiles,
    request: &TuneRequest,
    observe: TrialObserver<'_>,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<TuneReport, PipelineError> {
    progress(Step::new("read", 0, None));
    let training = read_training(&files.train)?;
    let (protocol, splits) = match &files.validation {
        Some((fold_in, held_out)) => {
            let half_life_days = request.fixed.half_life_days.or(request.policy.half_life_days);
            let training = training.aged(half_life_days);
            let validation = read_held_out(&training, Some(fold_in), held_out)?.users;
            (ProtocolKind::Strong, vec![Split { training, validation, test: Vec::new() }])
        }
        None => (ProtocolKind::Temporal, temporal_splits(&training, &files.train.display().to_string())?),
    };
    let data = fingerprint(&splits);
    let request = TuneRequest { protocol, ..request.clone() };
    tune(splits, false, &data, files.log.as_deref(), &request, observe, progress, cancel)
}

/// What the model of a data set was tuned to, if it was.
pub fn tuned_settings(root: &DataRoot, dataset: &str, model: &str) -> Option<Tuned> {
    let manifest = ModelManifest::read(&model_path(root, dataset, model).ok()?).ok()?;
    serde_json::from_value(manifest.parameters.get("tuned")?.clone()).ok()
}

/// Users held out of training, and whether all that they did was to rate.
fn strong_split(dataset: &Dataset, request: &TuneRequest) -> Result<(Split, bool), PipelineError> {
    let policy = PreferencePolicy {
        half_life_days: request.fixed.half_life_days.or(request.policy.half_life_days),
        ..request.policy.clone()
    };
    let options = StrongOptions { signals: Signals::All, ..StrongOptions::default() };
    let mut split = split_strong(dataset, &policy, &options)?;
    split.test.clear();
    let rated = dataset.interactions.kinds.iter().all(|kind| *kind == InteractionKind::Rating);
    Ok((split, rated && policy.half_life_days.is_none()))
}

/// The last part of a training set, and again a shorter one: one cut alone says more of its days than of the settings.
fn temporal_splits(training: &TrainingSet, name: &str) -> Result<Vec<Split>, PipelineError> {
    let mut splits = Vec::new();
    for share in VALIDATION_SHARES {
        match hold_out_last(training, share, name) {
            Ok(split) if splits.is_empty() || split.validation.len() >= MINIMUM_USERS => splits.push(split),
            Err(error) if splits.is_empty() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(splits)
}

/// The same for the same rows, and users to judge on, in the same order.
fn fingerprint(splits: &[Split]) -> String {
    // FNV-1a, over words instead of bytes.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |word: u64| hash = (hash ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(23);
    for Split { training, validation, .. } in splits {
        let ids = training.movie_ids.iter().map(ToString::to_string);
        let ids = ids.chain(training.user_ids.iter().map(ToString::to_string));
        for id in ids.chain(validation.iter().map(|judged| judged.user_id.to_string())) {
            id.bytes().for_each(|byte| add(byte.into()));
        }
        for event in &training.events {
            add(u64::from(event.user.0) << 32 | u64::from(event.movie.0));
            add(event.timestamp_ms as u64);
            add(event.preference.to_bits().into());
        }
        for judged in validation {
            for (movie, preference) in &judged.history {
                add(u64::from(movie.0) << 32 | u64::from(preference.to_bits()));
            }
            judged.targets.iter().for_each(|movie| add(movie.0.into()));
        }
    }
    let rows: usize = splits.iter().map(|split| split.training.events.len()).sum();
    format!("{rows} rows, {hash:016x}")
}

#[expect(clippy::too_many_arguments, reason = "both sources meet here")]
fn tune(
    splits: Vec<Split>,
    graded: bool,
    data: &str,
    log: Option<&Path>,
    request: &TuneRequest,
    observe: TrialObserver<'_>,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<TuneReport, PipelineError> {
    check(&splits, request)?;
    let defaults = TunedSettings::of(&request.parameters, &request.policy, BLEND);
    // Users unknown in training were split from what age had weakened: no other half-life can be judged on them.
    let mut request = request.clone();
    if request.protocol == ProtocolKind::Strong {
        request.fixed.half_life_days = request.fixed.half_life_days.or(request.policy.half_life_days);
    }
    let request = &request;
    let preferences = matrix(&splits[0].training);
    let space = Space::new(defaults, &request.fixed, request.protocol, graded, &preferences);
    space.baseline.parameters(&request.parameters).for_data(&preferences).validate()?;
    space.baseline.policy(&request.policy).validate()?;
    let protocol = match request.protocol {
        ProtocolKind::Strong => Protocol::strong(),
        ProtocolKind::Temporal => Protocol::temporal(),
    };
    let head = json!({
        "format": 1,
        "data": data,
        "protocol": protocol.name,
        "defaults": IalsParameters { threads: 0, ..request.parameters.clone() },
        "policy": request.policy,
        "fixed": request.fixed,
        "seed": request.seed,
        "min_coverage": request.min_coverage,
        "users": splits.iter().map(|split| split.validation.len()).collect::<Vec<_>>(),
    });
    let mut shares: Vec<f32> = objective::mixes(None, request.fixed.recent_share, BLEND.recent_share)
        .into_iter()
        .map(|(_, share)| share)
        .collect();
    shares.sort_by(f32::total_cmp);
    shares.dedup();
    let wide = request.protocol == ProtocolKind::Temporal && request.min_coverage > 0.0;
    let objective = Objective {
        folds: splits.into_iter().map(|split| Fold::new(split, &shares, wide)).collect(),
        protocol,
        others: &request.parameters,
        min_coverage: request.min_coverage,
        cancel,
    };
    let users = objective.folds.iter().map(|fold| fold.users().len()).sum();
    let log = TrialLog::open(log, &head)?;
    let (budget, seed) = (request.budget, request.seed);
    let found = Search { space, objective: &objective, budget, seed, log, observe, progress }.run()?;
    let reused = found.reused;
    Ok(TuneReport { tuned: choose(found, &objective), reused, users })
}

fn check(splits: &[Split], request: &TuneRequest) -> Result<(), PipelineError> {
    let invalid = |setting, found: String, expected| PipelineError::Setting { setting, found, expected };
    let share = |setting, found: f64, above: f64| {
        let valid = found >= above && found <= 1.0;
        if valid { Ok(()) } else { Err(invalid(setting, found.to_string(), "a share between 0 and 1")) }
    };
    share("the least coverage", request.min_coverage, 0.0)?;
    share("the recent share", f64::from(request.fixed.recent_share.unwrap_or(1.0)), f64::MIN_POSITIVE)?;
    let weight = request.fixed.recent_weight.unwrap_or(0.0);
    if !(0.0..=100.0).contains(&weight) {
        return Err(invalid("the weight of what is recent", weight.to_string(), "0 to 100"));
    }
    match request.budget {
        Budget::Trials(0) => Err(invalid("the number of trials", "0".to_owned(), "at least 1")),
        Budget::Seconds(seconds) if !(seconds > 0.0 && seconds.is_finite()) => {
            Err(invalid("the budget", seconds.to_string(), "more than 0 seconds"))
        }
        _ => Ok(()),
    }?;
    let users = splits.first().map_or(0, |split| split.validation.len());
    if users < MINIMUM_USERS {
        return Err(PipelineError::TooFewToTune { users, needed: MINIMUM_USERS });
    }
    Ok(())
}

/// The best, if it is better than the defaults by more than a standard error, or shows enough where they do not.
fn choose(found: Found, objective: &Objective<'_>) -> Tuned {
    let Found { baseline, best, trials, seconds, .. } = found;
    let difference = best.as_ref().and_then(|best| best.difference);
    let better = |best: &Trial| {
        let gain = best.difference.is_some_and(|gain| gain.mean > gain.standard_error && gain.mean > 0.0);
        if baseline.merit < 0.0 { best.merit > baseline.merit } else { gain && best.merit >= 0.0 }
    };
    let won = best.filter(better);
    let kept_defaults = won.is_none();
    let default_score = baseline.score;
    let chosen = won.unwrap_or(baseline);
    Tuned {
        protocol: objective.protocol.name.to_owned(),
        objective: objective.name(),
        score: chosen.score,
        standard_error: chosen.standard_error,
        coverage: chosen.coverage,
        default_score,
        difference,
        kept_defaults,
        trials,
        seconds,
        settings: chosen.settings,
    }
}
