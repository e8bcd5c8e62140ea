//! A rebuild while serving: the data set with what happened since, learned from anew (or a named model of it), built, held
//! against the gate and the live bundle, and made live. It knows neither the log that live changes come from nor who asked.

use std::sync::atomic::{AtomicBool, Ordering};

use cinedex_dataset::{DataRoot, Dataset, LiveChanges, Opinions};
use cinedex_domain::{PreferencePolicy, Progress, Step};
use cinedex_index::{IndexRoot, Version};
use cinedex_model::IalsParameters;
use serde_json::{Map, Value};

use crate::publication::{build_of, publish};
use crate::training::train_on;
use crate::{BuildRequest, HeldOut, PipelineError, PublishReport, Quality, TrainRequest, tuned_settings};

/// The stages that a rebuild reports, in their order, and the share of its time that each usually takes.
pub const REBUILD_STAGES: &[(&str, f64)] = &[
    ("read", 0.05),
    ("train", 0.45),
    ("learn from metadata", 0.12),
    ("count popularity", 0.06),
    ("writing tables", 0.04),
    ("linking movies", 0.06),
    ("refining links", 0.1),
    ("measuring", 0.06),
    ("storing", 0.02),
    ("judge", 0.03),
    ("activate", 0.01),
];

/// What follows the name of a model in the name of the one that rebuilds train with its settings.
const SUFFIX: &str = "-live";

/// What to rebuild and how.
#[derive(Debug, Clone)]
pub struct RebuildRequest {
    /// Data set, model that is built from, gate, and what becomes of the bundle. With `train` the model that is built from is
    /// the trained one.
    pub build: BuildRequest,
    /// How to train first; without, the model that `build` names is taken as it is.
    pub train: Option<TrainRequest>,
    /// Users of whom nothing is learned, where a model is trained.
    pub held_out: HeldOut,
}

impl RebuildRequest {
    /// From a model as it is stored.
    pub fn of_model(dataset: &str, model: &str) -> Self {
        let build =
            BuildRequest { dataset: dataset.to_owned(), model: model.to_owned(), ..BuildRequest::default() };
        Self { build, train: None, held_out: HeldOut::default() }
    }

    /// From a model trained anew, with what was tuned for `model` and the `parameters` of iALS over it. It is stored beside
    /// `model` under a name of its own, so that the one that was trained by hand stays as it is.
    pub fn of_training(
        data: &DataRoot,
        dataset: &str,
        model: &str,
        policy: PreferencePolicy,
        parameters: Map<String, Value>,
    ) -> Result<Self, PipelineError> {
        let base = TrainRequest { dataset: dataset.to_owned(), policy, ..TrainRequest::default() };
        let base = match tuned_settings(data, dataset, model) {
            Some(tuned) => base.with_tuned(tuned),
            None => base,
        };
        let parameters = overlaid(&base.parameters, parameters)?;
        let model = if model.ends_with(SUFFIX) { model.to_owned() } else { format!("{model}{SUFFIX}") };
        let request = Self::of_model(dataset, &model);
        Ok(Self { train: Some(TrainRequest { model, parameters, ..base }), ..request })
    }

    /// The same on at most `threads` threads.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.build.options.threads = threads;
        if let Some(train) = &mut self.train {
            train.parameters.threads = threads;
        }
        self
    }
}

/// What was rebuilt.
#[derive(Debug, Clone)]
pub struct RebuildReport {
    /// The bundle and what became of it.
    pub publish: PublishReport,
    /// Interactions learned from and served, live ones among them.
    pub interactions: usize,
    /// Live interactions that were there to be taken.
    pub live_interactions: usize,
    /// How well it serves users of whom it has not learned; `None` where nobody is held out.
    pub quality: Option<Quality>,
}

/// Rebuilds. A bundle that the gate refuses stays on disk, marked, and is no error here: see [`PublishReport::refused`]. Once
/// the bundle is to go live `cancel` comes too late.
pub fn rebuild(
    data: &DataRoot,
    indexes: &IndexRoot,
    live: Option<LiveChanges>,
    request: &RebuildRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<RebuildReport, PipelineError> {
    progress(Step::new("read", 0, None));
    let mut dataset = Dataset::load(data, &request.build.dataset)?;
    let live_interactions = live.as_ref().map_or(0, LiveChanges::interaction_count);
    if let Some(live) = live {
        dataset = dataset.with_live(live);
    }
    stop_if(cancel)?;
    let mut build_request = request.build.clone();
    let mut held_out = None;
    if let Some(train) = &request.train {
        let opinions = Opinions::of(&dataset, &train.policy);
        held_out = request.held_out.of(&dataset, &opinions).map(|held_out| (held_out, opinions));
        let left_out = held_out.as_ref().map(|(held_out, _)| &held_out[..]);
        train_on(data, &dataset, left_out, train, progress, cancel)?;
        build_request.model.clone_from(&train.model);
    }
    let per_mille = held_out.is_some().then_some(request.held_out.per_mille);
    let build = build_of(data, indexes, &dataset, per_mille, &build_request, progress, cancel)?;
    let mut refused = request.build.gate.refuse_build(&build, &dataset);
    let mut quality = None;
    if let Some((held_out, opinions)) = held_out {
        progress(Step::new("judge", 0, None));
        let live = comparable(indexes, &request.build.dataset, request.held_out.per_mille);
        let judged = Quality::judge(indexes, &build.version, live.as_ref(), &dataset, &opinions, &held_out)?;
        refused = refused.or_else(|| judged.refuse(request.build.gate.max_quality_loss));
        quality = Some(judged);
    }
    if refused.is_none() && cancel.load(Ordering::Relaxed) {
        indexes.remove(&build.version)?;
        return Err(PipelineError::Cancelled);
    }
    progress(Step::new("activate", 0, None));
    let publish = publish(indexes, build, refused, &build_request)?;
    let interactions = dataset.interactions.len();
    Ok(RebuildReport { publish, interactions, live_interactions, quality })
}

/// The live bundle, if it is of the same data set and its model has not learned from the same users.
fn comparable(indexes: &IndexRoot, dataset: &str, per_mille: u32) -> Option<Version> {
    let live = indexes.versions().ok()?.into_iter().find(|summary| summary.live)?;
    let inputs = live.manifest.ok()?.inputs;
    (inputs.dataset == dataset && inputs.held_out_per_mille == Some(per_mille)).then_some(live.version)
}

fn stop_if(cancel: &AtomicBool) -> Result<(), PipelineError> {
    if cancel.load(Ordering::Relaxed) { Err(PipelineError::Cancelled) } else { Ok(()) }
}

/// Lays parameters by name over others; refuses an unknown name and a value of the wrong kind.
fn overlaid(base: &IalsParameters, over: Map<String, Value>) -> Result<IalsParameters, PipelineError> {
    let refuse = |source| PipelineError::Parameters { source };
    let mut all = serde_json::to_value(base).map_err(refuse)?;
    if let Value::Object(fields) = &mut all {
        fields.extend(over);
    }
    let parameters: IalsParameters = serde_json::from_value(all).map_err(refuse)?;
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use cinedex_domain::{Event, InteractionKind, Movie, MovieId, UserId, silent};
    use cinedex_recommender::{Engine, EngineOptions, UserRequest};
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::Gate;
    use crate::test_world::{NAME, small};

    struct World {
        _folder: TempDir,
        data: DataRoot,
        indexes: IndexRoot,
    }

    impl World {
        fn new() -> Self {
            let (folder, data) = small();
            let indexes = IndexRoot::new(folder.path().join("indexes"));
            Self { _folder: folder, data, indexes }
        }

        fn request(&self) -> RebuildRequest {
            let parameters = json!({ "dimension": 8, "regularization": 0.0084 });
            let Value::Object(parameters) = parameters else { unreachable!() };
            let policy = PreferencePolicy::default();
            let request = RebuildRequest::of_training(&self.data, NAME, "ials", policy, parameters).unwrap();
            request.with_threads(1)
        }

        fn rebuild(&self, live: LiveChanges, request: &RebuildRequest) -> RebuildReport {
            let never = AtomicBool::new(false);
            rebuild(&self.data, &self.indexes, Some(live), request, &silent, &never).unwrap()
        }
    }

    fn like(user: &str, movie: &str) -> Event {
        Event {
            user_id: UserId::new(user).unwrap(),
            movie_id: MovieId::new(movie).unwrap(),
            kind: InteractionKind::Like,
            value: None,
            timestamp_ms: 5_000_000,
            location: None,
            event_id: None,
        }
    }

    #[test]
    fn a_rebuild_knows_what_happened_since_the_import() {
        let world = World::new();
        let mut live = LiveChanges::default();
        live.add(&like("2", "0"));
        live.forget(&UserId::new("2").unwrap());
        live.forget(&UserId::new("3").unwrap());
        for movie in ["0", "1", "2", "3", "20"] {
            live.add(&like("77", movie));
        }
        live.withdraw_movie(&MovieId::new("11").unwrap());
        live.put_movie(Movie::new(MovieId::new("20").unwrap(), "A New Film"));
        live.set_log_position(9);
        let report = world.rebuild(live, &world.request());
        assert!(report.publish.activated && report.quality.is_none());
        assert_eq!(report.live_interactions, 5);
        let manifest = &report.publish.build.manifest;
        assert_eq!((manifest.inputs.log_position, manifest.inputs.held_out_per_mille), (Some(9), None));
        assert_eq!(manifest.inputs.model, "ials-live");
        assert_eq!((manifest.counts.movies, manifest.counts.users), (12, 39));
        let engine = Engine::open(world.indexes.clone(), EngineOptions::default()).unwrap();
        let snapshot = engine.snapshot().unwrap();
        let bundle = snapshot.bundle();
        assert!(bundle.movie_index("20").is_some() && bundle.movie_index("11").is_none());
        let request = UserRequest { limit: 1, ..UserRequest::default() };
        let list = snapshot.for_user("77", &request).unwrap();
        assert!(["4", "5"].contains(&list.items[0].movie_id), "{}", list.items[0].movie_id);
        assert!(bundle.user_index("2").is_none() && bundle.user_index("3").is_none());
    }

    #[test]
    fn a_bundle_that_the_gate_refuses_stays_marked_and_the_old_one_live() {
        let world = World::new();
        let first = world.rebuild(LiveChanges::default(), &world.request());
        let mut request = world.request();
        request.build.gate = Gate { min_coverage: 1.5, ..Gate::default() };
        let refused = world.rebuild(LiveChanges::default(), &request);
        assert!(refused.publish.refused.is_some() && !refused.publish.activated);
        assert_eq!(world.indexes.current().unwrap(), Some(first.publish.build.version));
        let versions = world.indexes.versions().unwrap();
        assert_eq!(versions.iter().filter(|summary| summary.refused.is_some()).count(), 1);
    }

    #[test]
    fn users_who_are_held_out_judge_new_against_live() {
        let world = World::new();
        let request =
            RebuildRequest { held_out: HeldOut { per_mille: 300, minimum_users: 2 }, ..world.request() };
        let first = world.rebuild(LiveChanges::default(), &request).quality.unwrap();
        assert!(first.users >= 3 && first.ndcg > 0.5 && first.live.is_none(), "{first:?}");
        let second = world.rebuild(LiveChanges::default(), &request);
        let live = second.quality.unwrap().live.unwrap();
        assert_eq!((live.ndcg, live.difference), (first.ndcg, 0.0));
        assert!(second.publish.activated);
        let other = RebuildRequest { held_out: HeldOut { per_mille: 400, minimum_users: 2 }, ..request };
        let third = world.rebuild(LiveChanges::default(), &other).quality.unwrap();
        assert!(third.live.is_none(), "another draw does not compare");
        // Everybody is served, held out or not.
        let engine = Engine::open(world.indexes.clone(), EngineOptions::default()).unwrap();
        let snapshot = engine.snapshot().unwrap();
        for user in 2..40 {
            let left_out = user / 2 % 6 + if user % 2 == 0 { 0 } else { 6 };
            let request = UserRequest { limit: 1, ..UserRequest::default() };
            let list = snapshot.for_user(&user.to_string(), &request).unwrap();
            assert_eq!(list.items[0].movie_id, left_out.to_string(), "user {user}");
        }
    }

    #[test]
    fn a_cancelled_rebuild_leaves_no_bundle() {
        let world = World::new();
        let cancel = AtomicBool::new(false);
        let request =
            RebuildRequest { held_out: HeldOut { per_mille: 300, minimum_users: 2 }, ..world.request() };
        for stage in ["read", "train", "writing tables", "judge"] {
            cancel.store(false, Ordering::Relaxed);
            let at_stage = |step: Step<'_>| {
                if step.stage == stage {
                    cancel.store(true, Ordering::Relaxed);
                }
            };
            let outcome = rebuild(&world.data, &world.indexes, None, &request, &at_stage, &cancel);
            assert!(outcome.as_ref().is_err_and(PipelineError::is_cancelled), "{stage}: {outcome:?}");
            assert!(world.indexes.versions().unwrap().is_empty(), "{stage}");
        }
    }

    #[test]
    fn a_model_that_is_named_is_taken_as_it_is() {
        let world = World::new();
        let train = world.request().train.unwrap();
        let trained = crate::train(&world.data, &train, &silent, &AtomicBool::new(false)).unwrap();
        let request = RebuildRequest::of_model(NAME, &train.model).with_threads(1);
        let report = world.rebuild(LiveChanges::default(), &request);
        let stored = cinedex_model::ModelManifest::read(&trained.path).unwrap();
        assert_eq!(report.publish.build.manifest.inputs.model_sha256, stored.sha256());
        assert!(report.publish.activated && report.quality.is_none());
    }

    #[test]
    fn parameters_are_laid_over_by_name_and_unknown_ones_refused() {
        let world = World::new();
        let of = |parameters: Value| {
            let Value::Object(parameters) = parameters else { unreachable!() };
            RebuildRequest::of_training(&world.data, NAME, "x", PreferencePolicy::default(), parameters)
        };
        let train = of(json!({ "dimension": 32 })).unwrap().train.unwrap();
        assert_eq!((train.parameters.dimension, train.model.as_str()), (32, "x-live"));
        assert!(of(json!({ "dimensions": 32 })).unwrap_err().to_string().contains("dimensions"));
        assert!(of(json!({ "epochs": "many" })).is_err());
    }
}
