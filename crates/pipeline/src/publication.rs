//! From a data set and a model to a bundle, through the gate, to the live version.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use cinedex_dataset::{DataRoot, Dataset, Opinions};
use cinedex_domain::{Location, MovieId, Progress, Step, UserId};
use cinedex_index::{
    BuildOptions, BuildReport, BundleInput, Calibration, Cell, FilterKind, Histories, IndexRoot, Measured,
    Provenance, SpreadInput, Version, build,
};
use cinedex_model::{FoldIn, Model, ModelColumns, TasteMoments, gramian};
use cinedex_vectors::{Matrix, MatrixView};

use crate::places::{place_popularity, recent_counts};
use crate::{PipelineError, model_path};

/// What a bundle must reach to go live.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// Lowest recall@10 of the graph against the exact scan, 0 to 1.
    pub min_recall: f64,
    /// Lowest share of the films with interactions that have an embedding, 0 to 1.
    pub min_coverage: f64,
    /// Most microseconds that the ten best may take without a filter, for a user or like a film: the median of what was
    /// measured on one thread when the bundle was built.
    pub max_microseconds: f64,
    /// By which share NDCG@100 on users of whom neither has learned may fall below the live bundle's, where the difference is
    /// more than chance, 0 to 1. Only rebuilds hold users out.
    pub max_quality_loss: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Self { min_recall: 0.9, min_coverage: 0.5, max_microseconds: 20_000.0, max_quality_loss: 0.02 }
    }
}

impl Gate {
    /// Why a bundle of a data set does not pass by what was measured when it was built; `None` if it does.
    pub(crate) fn refuse_build(self, build: &BuildReport, dataset: &Dataset) -> Option<String> {
        let (manifest, rated_movies) = (&build.manifest, dataset.manifest.counts.rated_movies);
        self.refuse(&manifest.calibration, manifest.counts.embedded_movies, rated_movies)
    }

    /// Why what was measured when it was built does not pass; `None` if it does.
    fn refuse(self, calibration: &Calibration, embedded_movies: u64, rated_movies: u64) -> Option<String> {
        let coverage = embedded_movies as f64 / rated_movies.max(1) as f64;
        if embedded_movies == 0 || coverage < self.min_coverage {
            return Some(format!(
                "{embedded_movies} films have an embedding, of {rated_movies} with interactions: the gate asks for a share of {}",
                self.min_coverage
            ));
        }
        // A graph that the planner never asks does no harm.
        let recalls = [&calibration.similar, &calibration.for_user].map(Measured::graph_recall_at_10);
        if let Some(missed) = recalls.into_iter().flatten().find(|recall| *recall < self.min_recall) {
            return Some(format!(
                "recall@10 of the graph is {missed:.3}, the gate asks for {:.3}",
                self.min_recall
            ));
        }
        let slowest = [&calibration.similar, &calibration.for_user].into_iter().flat_map(unfiltered_ten);
        let slowest = slowest.fold(0.0, f64::max);
        (slowest > self.max_microseconds).then(|| {
            format!("the ten best take {slowest:.0} µs, the gate allows {:.0}", self.max_microseconds)
        })
    }
}

/// Median microseconds of the ten best without a filter.
fn unfiltered_ten(measured: &Measured) -> impl Iterator<Item = f64> + '_ {
    let unfiltered = |cell: &&Cell| cell.filter == FilterKind::None && cell.k == 10;
    measured.cells.iter().filter(unfiltered).map(|cell| cell.planned_microseconds)
}

/// What to build and what to do with it.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Name of the data set.
    pub dataset: String,
    /// Name of one of its models, our own or a foreign one.
    pub model: String,
    /// Column of ids in the model's tables, if it is not `movie_id` and `user_id`.
    pub id_column: Option<String>,
    /// Column of embeddings in the model's tables, if it is not `embedding`.
    pub embedding_column: Option<String>,
    /// How the graph is built.
    pub options: BuildOptions,
    /// What it must reach to go live.
    pub gate: Gate,
    /// Whether it goes live if it passes.
    pub activate: bool,
    /// Earlier bundles that stay for roll-back once it is live.
    pub keep: usize,
}

impl Default for BuildRequest {
    fn default() -> Self {
        Self {
            dataset: String::new(),
            model: "ials".to_owned(),
            id_column: None,
            embedding_column: None,
            options: BuildOptions::default(),
            gate: Gate::default(),
            activate: true,
            keep: 3,
        }
    }
}

/// What was built and what became of it.
#[derive(Debug, Clone)]
pub struct PublishReport {
    /// The bundle and what was measured.
    pub build: BuildReport,
    /// Why the gate keeps it from going live; `None` if it passes.
    pub refused: Option<String>,
    /// Whether it is live now.
    pub activated: bool,
    /// Older bundles that were removed.
    pub removed: Vec<Version>,
}

/// Builds a bundle, holds it against the gate, makes it live, and removes what is older than the `keep` before it. A bundle
/// that the gate refuses stays on disk and the old one stays live.
pub fn build_and_publish(
    data: &DataRoot,
    indexes: &IndexRoot,
    request: &BuildRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<PublishReport, PipelineError> {
    progress(Step::new("read", 0, None));
    let dataset = Dataset::load(data, &request.dataset)?;
    let build = build_of(data, indexes, &dataset, None, request, progress, cancel)?;
    let refused = request.gate.refuse_build(&build, &dataset);
    publish(indexes, build, refused, request)
}

/// Builds a bundle of a data set in memory and a stored model of it. `held_out` is noted in the bundle, see
/// [`Provenance::held_out_per_mille`].
pub(crate) fn build_of(
    data: &DataRoot,
    indexes: &IndexRoot,
    dataset: &Dataset,
    held_out_per_mille: Option<u32>,
    request: &BuildRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<BuildReport, PipelineError> {
    let mut model = Model::read(&model_path(data, &request.dataset, &request.model)?, &columns(request))?;
    if model.manifest.data_set.is_none() {
        // A foreign model does not say on which scale people rate; the data set does.
        model.manifest.settings.rating_scale = dataset.manifest.rating_scale;
    }
    let provenance = Provenance { held_out_per_mille, ..provenance(dataset, &model) };
    build_bundle(indexes, dataset, &model, &provenance, request, progress, cancel)
}

/// Marks a bundle that was refused; makes another one live if that is asked for, and removes what is older than the `keep`
/// before it.
pub(crate) fn publish(
    indexes: &IndexRoot,
    build: BuildReport,
    refused: Option<String>,
    request: &BuildRequest,
) -> Result<PublishReport, PipelineError> {
    if let Some(reason) = &refused {
        indexes.mark_refused(&build.version, reason)?;
    }
    let activated = request.activate && refused.is_none();
    let mut removed = Vec::new();
    if activated {
        indexes.activate(&build.version)?;
        removed = indexes.prune(request.keep)?;
    }
    Ok(PublishReport { build, refused, activated, removed })
}

fn columns(request: &BuildRequest) -> ModelColumns {
    let mut columns = ModelColumns::default();
    for table in [&mut columns.movies, &mut columns.users] {
        if let Some(id) = &request.id_column {
            table.id.clone_from(id);
        }
        if let Some(embedding) = &request.embedding_column {
            table.embedding.clone_from(embedding);
        }
    }
    columns
}

fn build_bundle(
    indexes: &IndexRoot,
    dataset: &Dataset,
    model: &Model,
    provenance: &Provenance,
    request: &BuildRequest,
    progress: Progress<'_>,
    cancel: &AtomicBool,
) -> Result<BuildReport, PipelineError> {
    let settings = &model.manifest.settings;
    let movie_factors = movie_rows(dataset, model, request)?;
    progress(Step::new("count popularity", 0, None));
    let opinions = Opinions::of(dataset, &settings.preference);
    let learned = learned_rows(&movie_factors, model, &opinions);
    let gram = gramian(learned.view());
    let popularity = place_popularity(dataset, &opinions);
    let recent_counts = recent_counts(&opinions, settings.blend.recent_share);
    let opinions = opinions.aged(&settings.preference);
    let histories = histories(&opinions);
    let user_factors = user_rows(dataset, model, &movie_factors, gram.view(), &opinions);
    let TasteMoments { movies, mean, unit_gramian } = TasteMoments::of(learned.view(), settings.metric);
    let users: Vec<UserId> = dataset.users.iter().map(|user| user.user_id.clone()).collect();
    let locations = latest_places(dataset);
    let input = BundleInput {
        movies: &dataset.movies,
        movie_factors: movie_factors.view(),
        users: &users,
        locations: &locations,
        user_factors: user_factors.as_ref().map(Matrix::view),
        histories: &histories,
        popularity: &popularity,
        settings,
        gramian: gram.view(),
        spread: SpreadInput { movies, mean: &mean, unit_gramian: unit_gramian.as_ref().map(Matrix::view) },
        recent_counts: &recent_counts,
        provenance,
    };
    Ok(build(indexes, &input, &request.options, progress, cancel)?)
}

/// The rows that users are solved against, as in training: where films took embeddings from metadata, zeros for those that
/// nobody has an opinion of, which say nothing of what a user leaves out.
fn learned_rows(movie_factors: &Matrix, model: &Model, opinions: &Opinions) -> Matrix {
    let mut rows = movie_factors.clone();
    if model.manifest.parameters.get("metadata").is_some_and(|metadata| !metadata.is_null()) {
        let mut observed = vec![false; rows.rows()];
        opinions.movies.iter().for_each(|&movie| observed[movie as usize] = true);
        for movie in (0..rows.rows()).filter(|&movie| !observed[movie]) {
            rows.row_mut(movie).fill(0.0);
        }
    }
    rows
}

/// The model's rows in the order of the data set's movies; zeros for a movie that the model does not know.
fn movie_rows(dataset: &Dataset, model: &Model, request: &BuildRequest) -> Result<Matrix, PipelineError> {
    let rows: HashMap<&str, usize> = model.movie_ids.iter().map(MovieId::as_str).zip(0..).collect();
    let mut matrix = Matrix::zeros(dataset.movies.len(), model.manifest.settings.dimension);
    let mut known = 0;
    for (to, movie) in dataset.movies.iter().enumerate() {
        if let Some(&from) = rows.get(movie.movie_id.as_str()) {
            matrix.row_mut(to).copy_from_slice(model.movie_factors.row(from));
            known += 1;
        }
    }
    if known == 0 && !dataset.movies.is_empty() {
        return Err(PipelineError::ForeignMovies {
            model: request.model.clone(),
            dataset: request.dataset.clone(),
        });
    }
    Ok(matrix)
}

/// The model's rows in the order of the data set's users. Users that the model does not know are folded in from their
/// history; without fold-in settings they stay zero. `None` where the model has no users.
fn user_rows(
    dataset: &Dataset,
    model: &Model,
    movie_factors: &Matrix,
    gram: MatrixView<'_>,
    opinions: &Opinions,
) -> Option<Matrix> {
    let (ids, factors) = model.users.as_ref()?;
    let rows: HashMap<&str, usize> = ids.iter().map(UserId::as_str).zip(0..).collect();
    let fold_in =
        model.manifest.settings.fold_in.map(|settings| FoldIn::new(movie_factors.view(), gram, settings));
    let mut matrix = Matrix::zeros(dataset.users.len(), factors.dimension());
    for (to, user) in dataset.users.iter().enumerate() {
        if let Some(&from) = rows.get(user.user_id.as_str()) {
            matrix.row_mut(to).copy_from_slice(factors.row(from));
        } else if let Some(fold_in) = &fold_in {
            matrix.row_mut(to).copy_from_slice(&fold_in.vector(&opinions.history(to)));
        }
    }
    Some(matrix)
}

/// Where each user was last: the place of the latest interaction that has one, else the user's own.
fn latest_places(dataset: &Dataset) -> Vec<Option<Location>> {
    let interactions = &dataset.interactions;
    let mut latest: Vec<Option<(i64, u32)>> = vec![None; dataset.users.len()];
    for row in 0..interactions.len() {
        let place = interactions.locations[row];
        if (place as usize) < interactions.location_table.len() {
            let slot = &mut latest[interactions.users[row].row()];
            let time = interactions.timestamps_ms[row];
            if slot.is_none_or(|(known, _)| time >= known) {
                *slot = Some((time, place));
            }
        }
    }
    let place =
        |slot: Option<(i64, u32)>| slot.map(|(_, place)| interactions.location_table[place as usize].clone());
    latest
        .into_iter()
        .zip(&dataset.users)
        .map(|(slot, user)| place(slot).or_else(|| user.location.clone()))
        .collect()
}

fn histories(opinions: &Opinions) -> Histories {
    Histories {
        offsets: opinions.offsets.clone(),
        movies: opinions.movies.clone(),
        preferences: opinions.preferences.clone(),
        timestamps_ms: opinions.timestamps_ms.clone(),
    }
}

fn provenance(dataset: &Dataset, model: &Model) -> Provenance {
    let manifest = &dataset.manifest;
    Provenance {
        dataset: manifest.name.clone(),
        dataset_sha256: manifest.tables_sha256(),
        title: manifest.source.title.clone(),
        licence_notice: manifest.source.licence.clone(),
        model: model.manifest.name.clone(),
        model_sha256: model.manifest.sha256(),
        log_position: dataset.log_position,
        held_out_per_mille: None,
    }
}

#[cfg(test)]
mod tests {
    use cinedex_domain::silent;
    use cinedex_index::Breadth;
    use cinedex_recommender::{Engine, EngineOptions, UserRequest};

    use super::*;
    use crate::test_world::{NAME, small};
    use crate::{TrainRequest, train};

    fn trained() -> (tempfile::TempDir, DataRoot, IndexRoot) {
        let (folder, data) = small();
        let parameters = cinedex_model::IalsParameters { dimension: 8, ..Default::default() };
        let request = TrainRequest { dataset: NAME.to_owned(), parameters, ..TrainRequest::default() };
        train(&data, &request, &silent, &AtomicBool::new(false)).unwrap();
        let indexes = IndexRoot::new(folder.path().join("indexes"));
        (folder, data, indexes)
    }

    fn publish(data: &DataRoot, indexes: &IndexRoot, request: &BuildRequest) -> PublishReport {
        build_and_publish(data, indexes, request, &silent, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn what_is_published_recommends_the_film_left_out() {
        let (_folder, data, indexes) = trained();
        let request = BuildRequest { dataset: NAME.to_owned(), ..BuildRequest::default() };
        let report = publish(&data, &indexes, &request);
        assert!(report.activated && report.refused.is_none() && report.removed.is_empty());
        let engine = Engine::open(indexes, EngineOptions::default()).unwrap();
        let snapshot = engine.snapshot().unwrap();
        let request = UserRequest { limit: 1, ..UserRequest::default() };
        for user in 2..40 {
            let left_out = user / 2 % 6 + if user % 2 == 0 { 0 } else { 6 };
            let list = snapshot.for_user(&user.to_string(), &request).unwrap();
            assert_eq!(list.items[0].movie_id, left_out.to_string(), "user {user}");
        }
    }

    #[test]
    fn only_the_asked_number_of_earlier_bundles_stays() {
        let (_folder, data, indexes) = trained();
        let request = BuildRequest { dataset: NAME.to_owned(), keep: 1, ..BuildRequest::default() };
        let versions: Vec<Version> =
            (0..3).map(|_| publish(&data, &indexes, &request).build.version).collect();
        let left: Vec<Version> =
            indexes.versions().unwrap().into_iter().map(|summary| summary.version).collect();
        assert_eq!(left.len(), 2, "{left:?} of {versions:?}");
        assert_eq!(indexes.current().unwrap().as_ref(), versions.last());
    }

    #[test]
    fn a_graph_below_the_gate_is_kept_but_not_live() {
        let breadth =
            Breadth { ef: 32, recall_at_10: 0.8, recall_at_100: None, microseconds: 9.0, nodes: 99.0 };
        let mut calibration = Calibration::default();
        calibration.similar.breadths.push(breadth);
        let refuse = |min_recall, calibration: &Calibration, embedded| {
            Gate { min_recall, ..Gate::default() }.refuse(calibration, embedded, 100)
        };
        assert_eq!(refuse(0.9, &calibration, 100), None, "the graph is never asked");
        calibration.similar.planner.ef_for_10 = Some(32);
        assert!(refuse(0.9, &calibration, 100).unwrap().contains("0.800"));
        assert_eq!(refuse(0.8, &calibration, 100), None);
        let cell = |k, planned_microseconds| Cell {
            filter: FilterKind::None,
            allowed: 100,
            k,
            scan_microseconds: 9.0,
            each_microseconds: 9.0,
            graph: None,
            planned_microseconds,
            planned_recall: 1.0,
            planned_graph: 0.0,
        };
        calibration.for_user.cells = vec![cell(10, 20_000.0), cell(100, 40_000.0)];
        assert_eq!(refuse(0.8, &calibration, 100), None);
        calibration.for_user.cells = vec![cell(10, 20_001.0)];
        assert!(refuse(0.8, &calibration, 100).unwrap().contains("20001 µs"));
        assert!(refuse(0.8, &calibration, 49).unwrap().contains("49 films"));
        assert!(refuse(0.8, &calibration, 0).unwrap().contains("0 films"));
    }

    #[test]
    fn a_model_of_few_films_is_marked_and_not_live() {
        let (_folder, data, indexes) = trained();
        let gate = Gate { min_coverage: 1.5, ..Gate::default() };
        let report = publish(
            &data,
            &indexes,
            &BuildRequest { dataset: NAME.to_owned(), gate, ..BuildRequest::default() },
        );
        assert!(!report.activated && report.refused.is_some());
        assert_eq!(indexes.current().unwrap(), None);
        assert_eq!(indexes.versions().unwrap()[0].refused, report.refused);
    }

    #[test]
    fn training_never_replaces_a_model_of_another_trainer() {
        let (_folder, data) = small();
        let path = model_path(&data, NAME, "mine").unwrap();
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("movie_embeddings.parquet"), "precious").unwrap();
        let request =
            TrainRequest { dataset: NAME.to_owned(), model: "mine".to_owned(), ..TrainRequest::default() };
        let outcome = train(&data, &request, &silent, &AtomicBool::new(false));
        assert!(matches!(outcome, Err(PipelineError::ForeignModel { .. })));
        assert_eq!(std::fs::read(path.join("movie_embeddings.parquet")).unwrap(), b"precious");
    }
}
