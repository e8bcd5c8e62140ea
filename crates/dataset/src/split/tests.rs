//! Splits of a small data set, by hand and by property.

use std::collections::{BTreeMap, HashSet};

use cinedex_domain::{InteractionKind, Movie, MovieId, RatingScale, User};
use proptest::prelude::*;

use super::*;
use crate::{Counts, DatasetManifest, FORMAT_VERSION, Interactions, Rejected, Source};

/// Ratings as (user, movie, value, time).
fn dataset(rows: &[(u32, u32, f32, Option<i64>)]) -> Dataset {
    let movies = rows.iter().map(|row| row.1 + 1).max().unwrap_or(0);
    let users = rows.iter().map(|row| row.0 + 1).max().unwrap_or(0);
    Dataset {
        manifest: DatasetManifest {
            format_version: FORMAT_VERSION,
            name: "small".into(),
            source: Source { kind: "test".into(), title: String::new(), licence: String::new(), url: None },
            created: String::new(),
            counts: Counts::default(),
            rating_scale: RatingScale::FIVE_STARS,
            interaction_range_ms: None,
            inputs: Vec::new(),
            tables: BTreeMap::new(),
            rejected: Rejected::default(),
            notices: Vec::new(),
        },
        movies: (0..movies).map(|id| Movie::new(MovieId::new(&id.to_string()).unwrap(), "")).collect(),
        users: (0..users).map(|id| User::new(UserId::new(&id.to_string()).unwrap())).collect(),
        interactions: Interactions {
            users: rows.iter().map(|row| UserIndex(row.0)).collect(),
            movies: rows.iter().map(|row| MovieIndex(row.1)).collect(),
            kinds: vec![InteractionKind::Rating; rows.len()],
            values: rows.iter().map(|row| row.2).collect(),
            timestamps_ms: rows.iter().map(|row| row.3.unwrap_or(Interactions::NO_TIME)).collect(),
            locations: vec![Interactions::NO_LOCATION; rows.len()],
            location_table: Vec::new(),
        },
        log_position: None,
    }
}

fn ids(training: &TrainingSet, movies: &[MovieIndex]) -> Vec<String> {
    movies.iter().map(|movie| training.movie_ids[movie.row()].to_string()).collect()
}

#[test]
fn the_latest_of_a_repeated_pair_counts() {
    let set =
        dataset(&[(0, 0, 5.0, Some(9)), (0, 0, 1.0, Some(3)), (0, 1, 1.0, Some(1)), (0, 1, 4.0, Some(1))]);
    let policy = PreferencePolicy::default();
    let all = opinions(&set, &policy, Signals::All);
    let found: Vec<_> = all[0].iter().map(|opinion| (opinion.movie.0, opinion.preference)).collect();
    assert_eq!(found, [(1, 0.82), (0, 1.0)]);
    let set = dataset(&[(0, 0, 5.0, Some(3)), (0, 0, 1.0, Some(9))]);
    assert!(opinions(&set, &policy, Signals::Positives)[0].is_empty());
    assert!(opinions(&set, &policy, Signals::All)[0][0].preference < LIKED);
}

#[test]
fn the_global_cut_takes_the_last_share_of_known_users_and_movies() {
    // Ten positives by time; user 2 and movie 5 occur in the last ones only.
    let rows = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 3), (1, 4), (0, 3), (0, 4), (2, 0), (1, 5)];
    let mut rows: Vec<(u32, u32, f32, Option<i64>)> =
        rows.into_iter().zip(1..).map(|((user, movie), time)| (user, movie, 5.0, Some(time))).collect();
    rows.reverse();
    rows.push((0, 5, 1.0, Some(0)));
    // Eleven opinions, one of them no like: the cut is by all, the parts are of likes.
    let options = TemporalOptions { test_share: 0.25, ..TemporalOptions::default() };
    let split = split_temporal_global(&dataset(&rows), &PreferencePolicy::default(), &options).unwrap();
    assert_eq!((split.training.events.len(), split.training.movie_ids.len(), split.test.len()), (7, 5, 1));
    let judged = &split.test[0];
    assert_eq!((judged.user_id.as_str(), judged.user), ("0", Some(UserIndex(0))));
    assert_eq!(ids(&split.training, &judged.targets), ["4"]);
    let history: Vec<MovieIndex> = judged.history.iter().map(|&(movie, _)| movie).collect();
    assert_eq!(ids(&split.training, &history), ["0", "1", "2", "3"]);
}

#[test]
fn per_user_the_last_positives_are_the_test() {
    let mut rows: Vec<(u32, u32, f32, Option<i64>)> =
        (0..20).map(|at| (0, at, 5.0, Some(i64::from(20 - at)))).collect();
    rows.extend((0..4).map(|at| (1, at, 5.0, Some(1))));
    rows.push((1, 4, 1.0, Some(9)));
    let split =
        split_temporal_per_user(&dataset(&rows), &PreferencePolicy::default(), &TemporalOptions::default())
            .unwrap();
    assert_eq!((split.training.events.len(), split.test.len()), (22, 1));
    // Movies 0 and 1 are the last of user 0, and user 1 keeps them in the catalogue.
    assert_eq!(ids(&split.training, &split.test[0].targets), ["0", "1"]);
}

#[test]
fn what_cannot_be_split_is_refused() {
    let policy = PreferencePolicy::default();
    let timeless = dataset(&[(0, 0, 5.0, None), (0, 1, 5.0, None)]);
    let message =
        split_temporal_global(&timeless, &policy, &TemporalOptions::default()).unwrap_err().to_string();
    assert!(message.contains("\"small\"") && message.contains("times"), "{message}");
    assert!(split_temporal_per_user(&timeless, &policy, &TemporalOptions::default()).is_err());
    assert!(split_strong(&timeless, &policy, &StrongOptions::default()).is_err());
    assert!(split_strong(&dataset(&[]), &policy, &StrongOptions::default()).is_err());
    let wrong = StrongOptions { held_out_share: 0.6, ..StrongOptions::default() };
    assert!(matches!(split_strong(&timeless, &policy, &wrong), Err(DatasetError::InvalidOption { .. })));
}

#[test]
fn the_validation_is_the_last_before_the_test_and_what_has_no_time_is_in_neither() {
    // One user likes twenty films and another all of them before; of half of them nobody knows when.
    let early = (0..20).map(|movie| (0, movie, 5.0, Some(1)));
    let late = (0..20).map(|movie| (1, movie, 5.0, (movie >= 10).then_some(i64::from(movie))));
    let set = dataset(&early.chain(late).collect::<Vec<_>>());
    let policy = PreferencePolicy::default();
    let options = TemporalOptions { test_share: 0.1, validation_share: 0.1, ..TemporalOptions::default() };
    let split = split_temporal_global(&set, &policy, &options).unwrap();
    let targets = |judged: &[HeldOutUser]| ids(&split.training, &judged[0].targets);
    assert_eq!(targets(&split.test), ["16", "17", "18", "19"]);
    assert_eq!(targets(&split.validation), ["12", "13", "14", "15"]);
    assert_eq!((split.training.events.len(), split.validation[0].history.len()), (32, 12));
    let most = TemporalOptions { test_share: 0.9, ..TemporalOptions::default() };
    let timeless = (0..40).map(|at| (at / 20, (at + 2 * (at / 20)) % 21, 5.0, (at % 20 == 19).then_some(1)));
    let split = split_temporal_global(&dataset(&timeless.collect::<Vec<_>>()), &policy, &most).unwrap();
    assert!(split.training.events.iter().all(|event| event.timestamp_ms == Interactions::NO_TIME));
    assert_eq!(
        (split.training.events.len(), split.test.len()),
        (38, 1),
        "what has no time is never held out"
    );
}

#[test]
fn what_is_held_out_of_a_training_set_is_what_the_data_set_holds_out() {
    let rows: Vec<_> = (0..200).map(|at| (at % 7, at % 13, 5.0, Some(i64::from(at * at % 91)))).collect();
    let set = dataset(&rows);
    let policy = PreferencePolicy { half_life_days: Some(1e-3), ..PreferencePolicy::default() };
    let ageless = PreferencePolicy::default();
    let options = TemporalOptions { test_share: 0.2, validation_share: 0.3, ..TemporalOptions::default() };
    let both = split_temporal_global(&set, &policy, &options).unwrap();
    let only = TemporalOptions { validation_share: 0.0, ..options.clone() };
    let training = split_temporal_global(&set, &ageless, &only).unwrap().training;
    let held_out = hold_out_last(&training, 0.3, "it").unwrap().aged(policy.half_life_days);
    assert_eq!((held_out.training, held_out.validation), (both.training, both.validation));
    let message = hold_out_last(&TrainingSet::default(), 0.3, "it").unwrap_err().to_string();
    assert!(message.contains("it cannot be split") && message.contains("times"), "{message}");
    assert!(hold_out_last(&training, 1.0, "it").is_err());
}

fn check_invariants(split: &Split, known_users: bool) {
    let training = &split.training;
    assert!(training.movie_ids.is_sorted() && training.user_ids.is_sorted());
    let mut pairs = HashSet::new();
    for event in &training.events {
        assert!(event.movie.row() < training.movie_ids.len() && event.user.row() < training.user_ids.len());
        assert!(pairs.insert((event.user, event.movie)));
    }
    for judged in split.test.iter().chain(&split.validation) {
        assert_eq!(training.user_ids.binary_search(&judged.user_id).is_ok(), known_users);
        assert_eq!(judged.user.is_some(), known_users);
        let seen: HashSet<MovieIndex> = judged.history.iter().map(|&(movie, _)| movie).collect();
        assert!(!judged.targets.is_empty() && judged.targets.is_sorted_by(|left, right| left < right));
        assert!(
            judged
                .targets
                .iter()
                .all(|movie| !seen.contains(movie) && movie.row() < training.movie_ids.len())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_split_never_shows_what_is_to_be_found(
        rows in proptest::collection::vec((0_u32..30, 0_u32..15, 1_u8..11, proptest::option::of(0_i64..50)), 60..400),
        all in any::<bool>(),
        seed in 0_u64..4,
    ) {
        let rows: Vec<_> = rows.into_iter().map(|(user, movie, half, time)| (user, movie, f32::from(half) / 2.0, time)).collect();
        let set = dataset(&rows);
        let signals = if all { Signals::All } else { Signals::Positives };
        let policy = PreferencePolicy::default();
        let strong = StrongOptions { signals, seed, minimum_positives: 2, ..StrongOptions::default() };
        if let Ok(split) = split_strong(&set, &policy, &strong) {
            check_invariants(&split, false);
            prop_assert_eq!(&split, &split_strong(&set, &policy, &strong).unwrap());
        }
        let temporal = TemporalOptions { signals, validation_share: 0.2, ..TemporalOptions::default() };
        let global = split_temporal_global(&set, &policy, &temporal);
        let per_user = split_temporal_per_user(&set, &policy, &temporal);
        for split in global.into_iter().chain(per_user) {
            check_invariants(&split, true);
            for judged in &split.validation {
                let tested = split.test.iter().find(|tested| tested.user == judged.user);
                prop_assert!(tested.is_none_or(|tested| judged.targets.iter().all(|movie| !tested.targets.contains(movie))));
            }
        }
    }
}
