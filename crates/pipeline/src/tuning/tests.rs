//! Tunings of a small world, whole.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use cinedex_dataset::{ImportOptions, TableFormat, TableImport, import_table};
use cinedex_domain::silent;
use tempfile::TempDir;

use super::*;
use crate::train;

const NAME: &str = "films";
static NEVER: AtomicBool = AtomicBool::new(false);

/// `(user, film, stars, time)`: 300 users of two tastes of 20 films each, who leave out a third of theirs and rate one in five of
/// the rest low or so-so; in the last fifth of the time everybody turns to six new films. The last row of a user, which is
/// later than all others' earlier ones, is of a film of its own: `turn` says which.
fn rows(turn: u32) -> Vec<(u32, u32, f32, u64)> {
    let mut rows = Vec::new();
    for user in 0..300u32 {
        let hash = |film: u32| (user * 101 + film).wrapping_mul(2_654_435_761) >> 16;
        let own = (0..20).map(|film| film + 20 * (user % 2)).filter(|&film| !hash(film).is_multiple_of(3));
        for film in own {
            let stars = [5.0, 5.0, 4.0, 3.0, 1.0][hash(film + 1000) as usize % 5];
            rows.push((user, film, stars, 1_000_000 + u64::from(hash(film + 2000) % 80_000)));
        }
        for film in (40..46).filter(|&film| !hash(film).is_multiple_of(3)) {
            rows.push((user, film, 5.0, 1_080_000 + u64::from(hash(film + 2000) % 20_000)));
        }
        rows.push((user, 50 + (user + turn) % 5, 5.0, 1_200_000 + u64::from(user)));
        rows.push((user, 55 + (user + turn) % 5, 5.0, 1_300_000 + u64::from(user)));
    }
    rows
}

fn import(rows: &[(u32, u32, f32, u64)]) -> (TempDir, DataRoot) {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("user_id,movie_id,value,timestamp\n");
    for (user, film, stars, time) in rows {
        writeln!(text, "{user},{film},{stars},{time}").unwrap();
    }
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, text).unwrap();
    let root = DataRoot::new(folder.path().join("data"));
    let import = TableImport::new(TableFormat::Csv { delimiter: b',', header: true }, vec![path]);
    import_table(&root, NAME, &import, &ImportOptions::default(), &silent).unwrap();
    (folder, root)
}

/// The likes before the test, as a file.
fn training_file(folder: &Path) -> PathBuf {
    let mut text = String::from("user,item,timestamp\n");
    for (user, film, _, time) in rows(0).into_iter().filter(|row| row.2 > 3.0 && row.3 < 1_200_000) {
        writeln!(text, "{user},{film},{time}").unwrap();
    }
    let path = folder.join("train.csv");
    std::fs::write(&path, text).unwrap();
    path
}

/// Few trials of small models, with defaults that drown everything in regularisation.
fn request(protocol: ProtocolKind, trials: usize) -> TuneRequest {
    TuneRequest {
        protocol,
        parameters: IalsParameters { regularization: 30.0, threads: 1, ..IalsParameters::default() },
        fixed: FixedSettings { dimension: Some(6), epochs: Some(6), ..FixedSettings::default() },
        budget: Budget::Trials(trials),
        ..TuneRequest::default()
    }
}

fn tune_here(root: &DataRoot, request: &TuneRequest) -> Result<TuneReport, PipelineError> {
    tune_dataset(root, NAME, "ials", request, &|_, _| (), &silent, &NEVER)
}

/// All but how long it took.
fn timeless(report: &TuneReport) -> Tuned {
    Tuned { seconds: 0.0, ..report.tuned.clone() }
}

#[test]
fn a_better_setting_is_found_and_trained_with_and_kept() {
    let (_folder, root) = import(&rows(0));
    assert_eq!(tuned_settings(&root, NAME, "ials"), None);
    let request = request(ProtocolKind::Strong, 14);
    let report = tune_here(&root, &request).unwrap();
    let tuned = report.tuned;
    let gain = tuned.difference.unwrap();
    assert!(!tuned.kept_defaults && tuned.score > tuned.default_score, "{tuned:?}");
    assert!(gain.mean > gain.standard_error && tuned.settings.regularization <= 0.3, "{tuned:?}");
    assert_eq!((tuned.trials, tuned.settings.epochs, tuned.settings.dimension), (14, 6, 6));
    assert_eq!((tuned.protocol.as_str(), tuned.objective.as_str()), ("strong", "ndcg@100"));
    let training = TrainRequest { dataset: NAME.to_owned(), ..TrainRequest::default() };
    let trained = train(&root, &training.with_tuned(tuned.clone()), &silent, &NEVER).unwrap();
    let settings = trained.manifest.settings;
    assert_eq!(settings.fold_in.unwrap().regularization, tuned.settings.regularization);
    assert_eq!(settings.preference, tuned.settings.policy(&PreferencePolicy::default()));
    assert_eq!(tuned_settings(&root, NAME, "ials"), Some(tuned));
}

#[test]
fn over_time_the_mix_is_tuned_too() {
    let folder = tempfile::tempdir().unwrap();
    let files = TuneFiles { train: training_file(folder.path()), validation: None, log: None };
    let report = tune_files(&files, &request(ProtocolKind::Strong, 14), &|_, _| (), &silent, &NEVER).unwrap();
    let tuned = report.tuned;
    assert_eq!((tuned.protocol.as_str(), tuned.objective.as_str()), ("temporal", "ndcg@10"));
    assert!(tuned.settings.recent_weight > 0.0, "everybody has turned to new films: {tuned:?}");
    let given = FixedSettings {
        recent_weight: Some(0.3),
        recent_share: Some(0.2),
        ..request(ProtocolKind::Strong, 1).fixed
    };
    let request = TuneRequest { fixed: given, ..request(ProtocolKind::Strong, 5) };
    let tuned = tune_files(&files, &request, &|_, _| (), &silent, &NEVER).unwrap().tuned;
    assert_eq!((tuned.settings.recent_weight, tuned.settings.recent_share), (0.3, 0.2));
}

#[test]
fn defaults_that_chance_cannot_tell_from_the_best_are_kept() {
    let (_folder, root) = import(&rows(0));
    let given = FixedSettings {
        regularization: Some(0.01),
        unobserved_weight: Some(0.2),
        ..request(ProtocolKind::Strong, 1).fixed
    };
    let request = TuneRequest { fixed: given, min_coverage: 0.0, ..request(ProtocolKind::Strong, 8) };
    let tuned = tune_here(&root, &request).unwrap().tuned;
    let within = tuned.difference.is_none_or(|difference| difference.mean <= difference.standard_error);
    assert_eq!(tuned.kept_defaults, within, "{tuned:?}");
    let only = TuneRequest { budget: Budget::Trials(1), ..request };
    let tuned = tune_here(&root, &only).unwrap().tuned;
    assert!(tuned.kept_defaults && tuned.difference.is_none() && tuned.trials == 1, "{tuned:?}");
}

#[test]
fn a_search_goes_on_where_it_was_and_its_result_depends_on_the_seed_alone() {
    let (_folder, root) = import(&rows(0));
    let whole = tune_here(&root, &request(ProtocolKind::Strong, 9)).unwrap();
    let path = model_path(&root, NAME, "ials").unwrap().with_file_name(".ials.tuning.jsonl");
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 10, "a head and nine trials");
    let again = tune_here(&root, &request(ProtocolKind::Strong, 9)).unwrap();
    assert_eq!((timeless(&again), again.reused), (timeless(&whole), 9));
    std::fs::remove_file(&path).unwrap();
    let numbers = RefCell::new(Vec::new());
    let cancel = AtomicBool::new(false);
    let observe = |trial: &Trial, _: Option<&Trial>| {
        numbers.borrow_mut().push(trial.number);
        cancel.store(trial.number == 4, Ordering::Relaxed);
    };
    let two = TuneRequest {
        parameters: IalsParameters { threads: 2, ..request(ProtocolKind::Strong, 9).parameters },
        ..request(ProtocolKind::Strong, 9)
    };
    let interrupted = tune_dataset(&root, NAME, "ials", &two, &observe, &silent, &cancel);
    assert!(matches!(interrupted, Err(PipelineError::Model(_))), "{interrupted:?}");
    assert_eq!(*numbers.borrow(), [2, 3, 4]);
    // Half of the last line is lost, as in a crash.
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 40]).unwrap();
    let resumed = tune_here(&root, &two).unwrap();
    assert_eq!((timeless(&resumed), resumed.reused), (timeless(&whole), 3));
    let other = tune_here(&root, &TuneRequest { seed: 2, ..two }).unwrap();
    assert_eq!(other.reused, 0, "another search begins anew");
}

#[test]
fn a_budget_of_time_ends_the_search_and_the_first_trial_is_always_run() {
    let (_folder, root) = import(&rows(0));
    let of = |seconds| TuneRequest { budget: Budget::Seconds(seconds), ..request(ProtocolKind::Strong, 1) };
    let tuned = tune_here(&root, &of(1e-6)).unwrap().tuned;
    assert_eq!((tuned.trials, tuned.kept_defaults), (1, true));
    let tuned = tune_here(&root, &of(0.5)).unwrap().tuned;
    assert!(tuned.trials > 1, "{tuned:?}");
}

#[test]
fn a_tuning_over_time_never_sees_the_test() {
    let request = TuneRequest {
        fixed: FixedSettings { regularization: None, ..request(ProtocolKind::Strong, 1).fixed },
        ..request(ProtocolKind::Temporal, 6)
    };
    let tuned = [0, 1].map(|turn| {
        let (_folder, root) = import(&rows(turn));
        timeless(&tune_here(&root, &request).unwrap())
    });
    assert_eq!(tuned[0], tuned[1], "only what users did last differs");
}

#[test]
fn coverage_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let files = TuneFiles { train: training_file(folder.path()), validation: None, log: None };
    let of = |min_coverage| {
        let request = TuneRequest { min_coverage, ..request(ProtocolKind::Temporal, 12) };
        tune_files(&files, &request, &|_, _| (), &silent, &NEVER).unwrap().tuned
    };
    let (any, wide) = (of(0.0), of(0.9));
    assert!(wide.coverage >= 0.9 && wide.score <= any.score, "{any:?} {wide:?}");
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let check = |rows: &[(u32, u32, f32, u64)], request: &TuneRequest, expect: &str| {
        let (_folder, root) = import(rows);
        let message = tune_here(&root, request).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    };
    let all = rows(0);
    let few: Vec<_> = all.iter().filter(|row| row.0 < 60).copied().collect();
    let strong = request(ProtocolKind::Strong, 3);
    check(&few, &strong, "too few users to tune on: 6");
    check(&all, &TuneRequest { budget: Budget::Trials(0), ..strong.clone() }, "trials is 0");
    check(&all, &TuneRequest { budget: Budget::Seconds(f64::NAN), ..strong.clone() }, "the budget is NaN");
    check(&all, &TuneRequest { min_coverage: 1.5, ..strong.clone() }, "least coverage is 1.5");
    let wrong = FixedSettings { regularization: Some(-1.0), ..FixedSettings::default() };
    check(&all, &TuneRequest { fixed: wrong, ..strong.clone() }, "regularization");
    let folder = tempfile::tempdir().unwrap();
    let train = folder.path().join("train.csv");
    std::fs::write(&train, "user,item\n1,1\n1,2\n2,1\n").unwrap();
    let files = TuneFiles { train, validation: None, log: None };
    let message = tune_files(&files, &strong, &|_, _| (), &silent, &NEVER).unwrap_err().to_string();
    assert!(message.contains("train.csv") && message.contains("no times"), "{message}");
    let (_folder, root) = import(&all);
    let missing = tune_dataset(&root, "none", "ials", &strong, &|_, _| (), &silent, &NEVER);
    assert!(missing.unwrap_err().to_string().contains("no data set \"none\""));
}
