//! The bars for cold films and cold users on real data (`CINEDEX_SHARED`): metadata find unknown films, completing films costs
//! no quality, groups serve unknown users better than everybody's popularity.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use cinedex_dataset::split::{read_held_out, read_training};
use cinedex_dataset::{DataRoot, Dataset, ImportOptions, MovieLensOptions, import_movielens};
use cinedex_domain::silent;
use cinedex_model::{
    Case, Evaluation, IalsParameters, IalsRanker, Protocol, complete_movie_factors, evaluate, like_counts,
    preferences, train_ials,
};
use cinedex_pipeline::{
    ColdEvaluation, ColdMoviesRequest, ColdUsersRequest, Figure, evaluate_cold_movies, evaluate_cold_users,
    movie_features,
};

struct World {
    root: DataRoot,
    shared: PathBuf,
    _folder: tempfile::TempDir,
}

/// The imported data sets, made once.
fn world() -> Option<&'static World> {
    static WORLD: OnceLock<Option<World>> = OnceLock::new();
    WORLD.get_or_init(import).as_ref()
}

fn import() -> Option<World> {
    let Some(shared) = std::env::var_os("CINEDEX_SHARED").map(PathBuf::from) else {
        eprintln!("skipped: CINEDEX_SHARED is not set");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = DataRoot::new(folder.path().join("data"));
    for (name, ratings) in [("ml-1m", Some("user-movie-rating.dat")), ("ml-latest-small", None)] {
        let movielens = MovieLensOptions { ratings: ratings.map(Into::into), ..MovieLensOptions::default() };
        let source = shared.join("datasets").join(name);
        import_movielens(&root, name, &source, &ImportOptions::default(), &movielens, &silent).unwrap();
    }
    Some(World { root, shared, _folder: folder })
}

fn parameters() -> IalsParameters {
    IalsParameters { dimension: 64, regularization: 0.007, ..IalsParameters::default() }
}

fn difference(found: &ColdEvaluation, model: &str, rival: &str, metric: &str) -> Figure {
    let ranking = found.rankings.iter().find(|ranking| ranking.model == model).unwrap();
    let figure = ranking.differences[rival][metric];
    println!(
        "{} {model} - {rival}: {metric} {:+.4} ± {:.4}",
        found.protocol, figure.mean, figure.standard_error
    );
    figure
}

fn check_better(found: &ColdEvaluation, model: &str, rival: &str, metric: &str) {
    let figure = difference(found, model, rival, metric);
    assert!(figure.mean > 2.0 * figure.standard_error, "{model} against {rival}: {figure:?}");
}

#[test]
fn metadata_find_unknown_films() {
    let Some(world) = world() else { return };
    for name in ["ml-1m", "ml-latest-small"] {
        let request = ColdMoviesRequest { parameters: parameters(), ..ColdMoviesRequest::default() };
        let found = evaluate_cold_movies(&world.root, name, &request, &silent, &false.into()).unwrap();
        println!("{name}: {}", found.learned);
        for metric in ["held-out ndcg@10", "held-out recall@50", "catalogue ndcg@100"] {
            check_better(&found, "metadata", "random", metric);
            check_better(&found, "metadata", "genre-popularity", metric);
        }
        for revealed in [1, 3, 10] {
            let names = [format!("shrunk-{revealed}"), format!("learned-{revealed}")];
            check_better(&found, &names[0], &names[1], "held-out ndcg@10");
        }
    }
}

/// Quality on the validation part of a fixed split, of films as learned and as completed by metadata.
fn on_split(world: &World, name: &str) -> [Evaluation; 2] {
    let file = |part: &str| world.shared.join("splits").join(name).join(format!("{part}.csv"));
    let training = read_training(&file("train")).unwrap();
    let held_out = read_held_out(&training, Some(&file("val_tr")), &file("val_te")).unwrap();
    let case = |user: cinedex_dataset::split::HeldOutUser| Case {
        user: None,
        history: user.history,
        targets: user.targets,
    };
    let cases: Vec<Case> = held_out.users.into_iter().map(case).collect();
    let dataset = Dataset::load(&world.root, name).unwrap();
    let by_id: HashMap<&str, _> =
        dataset.movies.iter().map(|movie| (movie.movie_id.as_str(), movie)).collect();
    let movies: Vec<_> = training.movie_ids.iter().map(|id| by_id[id.as_str()].clone()).collect();
    let events =
        training.events.iter().map(|event| (event.user, event.movie, event.preference, event.timestamp_ms));
    let matrix = preferences(training.user_ids.len(), training.movie_ids.len(), events);
    let parameters = parameters();
    let mut factors = train_ials(&matrix, &parameters, &silent, &false.into()).unwrap();
    let judge = |movies: &cinedex_vectors::Matrix| {
        let ranker = IalsRanker::new(movies.clone(), parameters.fold_in());
        evaluate(&ranker, &cases, &Protocol::strong(), &like_counts(&matrix))
    };
    let learned = judge(&factors.movies);
    let features = movie_features(&movies);
    let began = Instant::now();
    let report = complete_movie_factors(&mut factors, &matrix, &features.values, parameters.fold_in());
    println!("{name}: completed in {:.2} s, {report:?}", began.elapsed().as_secs_f64());
    [learned, judge(&factors.movies)]
}

#[test]
fn completing_films_costs_no_quality() {
    let Some(world) = world() else { return };
    for name in ["ml-1m", "ml-latest-small"] {
        let [learned, completed] = on_split(world, name);
        for metric in ["ndcg@100", "recall@20", "recall@50"] {
            let [before, after] = [&learned, &completed].map(|judged| judged.metrics[metric]);
            println!("{name}: {metric} {before:.4} learned, {after:.4} completed");
            assert!(after > before - 0.003, "{name}: {metric} {before} {after}");
        }
    }
}

#[test]
fn groups_serve_unknown_users_better_than_everybody_does() {
    let Some(world) = world() else { return };
    let found = evaluate_cold_users(&world.root, "ml-1m", &ColdUsersRequest::default(), &silent).unwrap();
    let gain = |model: &str| difference(&found, model, "world", "ndcg@10").mean;
    assert!(gain("gender-age learned") >= 0.012);
    for group in ["gender-age", "state", "zip3"] {
        let learned = gain(&format!("{group} learned"));
        for fixed in ["unshrunk", "prior   10 users", "prior  100 users", "prior 1000 users"] {
            assert!(learned > gain(&format!("{group} {fixed}")) - 0.002, "{group} {fixed}");
        }
        assert!(learned > 0.0);
    }
    assert!(gain("state and gender-age learned") > gain("state learned"));
}
