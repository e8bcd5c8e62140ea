//! What the log promises, through its public surface: once, in order, forgotten, kept as long as asked.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test binary has no public surface and fails by panicking"
)]

mod support;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use cinedex_domain::{Event, Movie};
use cinedex_feedback::{Entry, FeedbackError, Idempotency, Log, LogOptions, Logged, Retention};
use support::{all, bytes_of, history, like, movie, movies, named, open, small, user};

const DAY_MS: i64 = 86_400_000;

fn key(key: &str, body_hash: u64) -> Idempotency {
    Idempotency { key: key.to_owned(), body_hash }
}

/// Options with a clock that the test moves.
fn with_clock() -> (LogOptions, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
    let told = clock.clone();
    (LogOptions { clock: Arc::new(move || told.load(Ordering::Relaxed)), ..small() }, clock)
}

#[test]
fn an_event_counts_once_by_its_id_across_calls_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).log;
    let first = log.append(vec![named("u", "1", "a"), named("u", "1", "a"), like("u", "2")], None).unwrap();
    assert_eq!((first.accepted, first.duplicates, first.position), (2, 1, 2));
    let other_user = log.append(vec![named("v", "3", "a")], None).unwrap();
    assert_eq!((other_user.accepted, other_user.duplicates), (1, 0));
    drop(log);
    let log = open(folder.path()).log;
    let again = log.append(vec![named("u", "1", "a"), like("u", "2")], None).unwrap();
    assert_eq!((again.accepted, again.duplicates, again.position), (1, 1, 4));
    assert_eq!(movies(&log), ["1", "2", "3", "2"]);
}

#[test]
fn a_retry_under_a_key_gets_the_first_answer_and_another_body_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).log;
    let first = log.append(vec![like("u", "1"), like("u", "2")], Some(key("k", 7))).unwrap();
    assert_eq!(log.append(vec![like("u", "1"), like("u", "2")], Some(key("k", 7))).unwrap(), first);
    drop(log);
    let log = open(folder.path()).log;
    assert_eq!(log.append(vec![like("u", "1"), like("u", "2")], Some(key("k", 7))).unwrap(), first);
    let refused = log.append(vec![like("u", "1")], Some(key("k", 8))).unwrap_err();
    assert!(matches!(refused, FeedbackError::IdempotencyMismatch { .. }), "{refused}");
    assert_eq!(movies(&log), ["1", "2"]);
    assert_eq!(log.append(Vec::new(), Some(key("none", 1))).unwrap().accepted, 0);
}

#[test]
fn a_log_of_nothing_but_answers_is_compacted_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let log = open(folder.path()).log;
        for earlier in 0..=round {
            assert_eq!(log.append(Vec::new(), Some(key(&earlier.to_string(), 1))).unwrap().accepted, 0);
            assert!(earlier == round || log.append(Vec::new(), Some(key(&earlier.to_string(), 2))).is_err());
        }
        log.compact(Retention::default()).unwrap();
        log.compact(Retention::default()).unwrap();
    }
    let log = open(folder.path()).log;
    log.append(vec![like("u", "1")], None).unwrap();
    log.compact(Retention::default()).unwrap();
    log.append(vec![like("u", "2")], None).unwrap();
    assert_eq!(history(&log, "u"), ["2", "1"]);
    drop(log);
    assert_eq!(history(&open(folder.path()).log, "u"), ["2", "1"]);
}

#[test]
fn names_are_remembered_for_seven_days_even_of_what_was_compacted_away() {
    let (options, clock) = with_clock();
    let folder = tempfile::tempdir().unwrap();
    let open = || Log::open(folder.path(), &options, |_| ()).unwrap().log;
    let log = open();
    log.append(vec![named("u", "1", "a")], Some(key("k", 7))).unwrap();
    log.forget(&user("u")).unwrap();
    clock.fetch_add(6 * DAY_MS, Ordering::Relaxed);
    assert_eq!(log.compact(Retention::default()).unwrap().interactions, 1);
    drop(log);
    let log = open();
    assert_eq!(log.append(vec![named("u", "1", "a")], None).unwrap().duplicates, 1);
    assert_eq!(log.append(Vec::new(), Some(key("k", 7))).unwrap().accepted, 1);
    assert!(log.append(Vec::new(), Some(key("k", 8))).is_err());
    clock.fetch_add(2 * DAY_MS, Ordering::Relaxed);
    log.compact(Retention::default()).unwrap();
    drop(log);
    let log = open();
    assert_eq!(log.status().remembered, 0);
    assert_eq!(log.append(vec![named("u", "1", "a")], None).unwrap().accepted, 1);
}

#[test]
fn the_sink_hears_everything_in_order_before_the_caller_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Vec::<Logged>::new()));
    let sink = heard.clone();
    let log = Log::open(folder.path(), &small(), move |new| sink.lock().unwrap().extend_from_slice(new));
    let log = log.unwrap().log;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (log, heard) = (&log, &heard);
            scope.spawn(move || {
                for step in 0..60 {
                    let event = like(&thread.to_string(), &step.to_string());
                    let position = log.append(vec![event], None).unwrap().position;
                    assert!(heard.lock().unwrap().iter().any(|logged| logged.position == position));
                }
            });
        }
    });
    assert_eq!(*heard.lock().unwrap(), all(&log));
    assert_eq!(heard.lock().unwrap().iter().map(|logged| logged.position).collect::<Vec<_>>(), {
        (1..=480).collect::<Vec<u64>>()
    });
    assert!(log.status().segments > 1, "the test crosses segments");
    for thread in 0..8 {
        let newest_first: Vec<String> = (0..60).rev().map(|step| step.to_string()).collect();
        assert_eq!(history(&log, &thread.to_string()), newest_first);
    }
}

#[test]
fn forgetting_hides_at_once_and_for_ever_and_later_events_start_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).log;
    log.append(vec![like("u", "1"), like("v", "2"), like("u", "3")], None).unwrap();
    let receipt = log.forget(&user("u")).unwrap();
    assert_eq!((receipt.position, receipt.removed), (4, 2));
    log.append(vec![like("u", "5")], None).unwrap();
    let check = |log: &Log| {
        assert_eq!(history(log, "u"), ["5"]);
        assert_eq!(movies(log), ["2", "5"]);
        assert!(all(log).iter().any(|logged| logged.entry == Entry::Forgotten(user("u"))));
        assert_eq!(log.forgotten(), [(user("u"), 4)]);
    };
    check(&log);
    drop(log);
    let opened = open(folder.path());
    assert_eq!(opened.entries, 2);
    check(&opened.log);
    opened.log.compact(Retention::default()).unwrap();
    check(&opened.log);
    assert_eq!(opened.log.forget(&user("nobody")).unwrap().removed, 0);
}

#[test]
fn a_compaction_lets_go_of_the_last_bytes_of_a_forgotten_user() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).log;
    for number in 0..300 {
        log.append(
            vec![named("u", &format!("secret-{number}"), &format!("id-{number}")), like("v", "2")],
            None,
        )
        .unwrap();
    }
    log.forget(&user("u")).unwrap();
    let contains =
        |text: &str| bytes_of(folder.path()).windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("secret-") && contains("id-1"));
    let done = log.compact(Retention::default()).unwrap();
    assert!(!contains("secret-") && !contains("id-1"));
    assert_eq!(done.interactions, 300);
    assert!(done.bytes_after < done.bytes_before);
    assert_eq!(movies(&log).len(), 300);
    assert_eq!(history(&log, "v").len(), 300);
    assert_eq!(log.append(vec![named("u", "secret", "id-1")], None).unwrap().duplicates, 1);
    drop(log);
    assert_eq!(movies(&open(folder.path()).log).len(), 300);
}

#[test]
fn history_goes_back_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).log;
    for number in 0..200 {
        log.append(vec![like("u", &number.to_string()), like("other", "1")], None).unwrap();
    }
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = log.history(&user("u"), before, 30).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.position);
        seen.extend(page.iter().map(|logged| support::interaction(logged).unwrap().movie_id.to_string()));
    }
    assert_eq!(seen, (0..200).rev().map(|number| number.to_string()).collect::<Vec<_>>());
    let mut told = 0;
    log.read(390, |_| {
        told += 1;
        told < 5
    })
    .unwrap();
    assert_eq!(told, 5);
    log.read(u64::MAX, |_| panic!("nothing is there")).unwrap();
}

#[test]
fn what_is_old_leaves_and_the_latest_word_on_a_movie_stays() {
    let (options, clock) = with_clock();
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &options, |_| ()).unwrap().log;
    log.put_movie(Movie::new(movie("1"), "First")).unwrap();
    log.put_movie(Movie::new(movie("2"), "Gone")).unwrap();
    log.append(vec![like("u", "1"), like("v", "1")], None).unwrap();
    log.put_movie(Movie::new(movie("1"), "Second")).unwrap();
    log.withdraw_movie(&movie("2")).unwrap();
    let learned = log.last_position();
    log.append(vec![like("u", "2")], None).unwrap();
    clock.fetch_add(10 * DAY_MS, Ordering::Relaxed);
    log.append(vec![like("u", "3")], None).unwrap();
    let from = clock.load(Ordering::Relaxed) - DAY_MS;
    let keep = Retention { received_from_ms: Some(from), learned_position: Some(learned) };
    assert_eq!(log.compact(keep).unwrap().interactions, 2);
    assert_eq!(movies(&log), ["2", "3"]);
    assert_eq!(history(&log, "u"), ["3", "2"]);
    assert!(history(&log, "v").is_empty());
    assert_eq!((log.status().entries, log.status().users), (2, 1));
    assert_eq!(log.compact(Retention { received_from_ms: Some(from), ..keep }).unwrap().interactions, 0);
    let keep = Retention { received_from_ms: Some(from), learned_position: None };
    assert_eq!(log.compact(keep).unwrap().interactions, 1);
    let titles: Vec<_> = all(&log)
        .into_iter()
        .filter_map(|logged| match logged.entry {
            Entry::MoviePut(movie) => Some(movie.title),
            Entry::MovieWithdrawn(movie) => Some(format!("-{movie}")),
            _ => None,
        })
        .collect();
    assert_eq!(titles, ["Second", "-2"]);
    let last = log.last_position();
    drop(log);
    let log = Log::open(folder.path(), &options, |_| ()).unwrap().log;
    assert_eq!(movies(&log), ["3"]);
    assert!(log.append(vec![like("u", "4")], None).unwrap().position > last);
}

#[test]
fn compactions_keep_the_number_of_segments_small() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).log;
    for number in 0..60 {
        log.append(vec![like("u", &number.to_string())], None).unwrap();
        log.compact(Retention::default()).unwrap();
    }
    assert!(log.status().segments <= 4, "{} segments", log.status().segments);
    assert_eq!(movies(&log).len(), 60);
    drop(log);
    assert_eq!(open(folder.path()).entries, 60);
}

#[test]
fn a_backup_is_a_log_of_one_moment_while_others_write_and_compact() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("log")).log;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let pair = vec![like("u", &number.to_string()), like("u", &number.to_string())];
                log.append(pair, None).unwrap();
                if number % 10 == 0 {
                    log.compact(Retention::default()).unwrap();
                }
            }
        });
        for number in 0..10 {
            let before = log.last_position();
            let into = folder.path().join(number.to_string());
            let backup = log.backup(&into).unwrap();
            assert!(backup.position >= before);
            let copy = open(&into);
            assert_eq!(copy.cut, None);
            assert_eq!(copy.log.last_position(), backup.position);
            let told = movies(&copy.log);
            assert_eq!(told.len() as u64, backup.position);
            assert_eq!(told.len() % 2, 0, "calls are whole");
            assert!(matches!(log.backup(&into), Err(FeedbackError::TargetNotEmpty { .. })));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn one_log_at_a_time_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).log;
    let refused = Log::open(folder.path(), &small(), |_| ()).unwrap_err();
    assert!(matches!(refused, FeedbackError::InUse { .. }), "{refused}");
    drop(log);
    open(folder.path());
}

#[test]
fn a_clock_that_goes_back_a_little_is_held_and_one_that_was_far_ahead_is_corrected() {
    let (options, clock) = with_clock();
    let folder = tempfile::tempdir().unwrap();
    let start = clock.load(Ordering::Relaxed);
    let log = Log::open(folder.path(), &options, |_| ()).unwrap().log;
    let stamp = |log: &Log, at: i64| {
        clock.store(at, Ordering::Relaxed);
        log.append(vec![like("u", "1")], None).unwrap();
        all(log).last().unwrap().received_ms
    };
    assert_eq!(stamp(&log, start), start);
    assert_eq!(stamp(&log, start - 3_600_000), start);
    drop(log);
    let log = Log::open(folder.path(), &options, |_| ()).unwrap().log;
    assert_eq!(stamp(&log, start - 7_200_000), start);
    assert_eq!(stamp(&log, start + 1), start + 1);
    assert_eq!(stamp(&log, start + 9999 * DAY_MS), start + 9999 * DAY_MS);
    assert_eq!(stamp(&log, start + 2), start + 2);
    assert_eq!(history(&log, "u").len(), 6);
}

#[test]
fn what_is_larger_than_a_read_or_a_segment_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    for options in [small(), LogOptions::default()] {
        let place = folder.path().join(options.segment_bytes.to_string());
        let log = Log::open(&place, &options, |_| ()).unwrap().log;
        let large = Movie { tags: vec!["t".repeat(400_000)], ..Movie::new(movie("1"), "Large") };
        for _ in 0..3 {
            log.append(vec![like("u", "1"); 5000], None).unwrap();
            log.put_movie(large.clone()).unwrap();
        }
        let check = |log: &Log, puts: usize| {
            let told = all(log);
            assert_eq!(told.len(), 15_000 + puts);
            assert_eq!(
                told.iter().filter(|logged| logged.entry == Entry::MoviePut(large.clone())).count(),
                puts
            );
        };
        check(&log, 3);
        drop(log);
        let log = Log::open(&place, &options, |_| ()).unwrap().log;
        log.compact(Retention::default()).unwrap();
        check(&log, 1);
        let keep = Retention { received_from_ms: Some(i64::MAX), learned_position: None };
        assert_eq!(log.compact(keep).unwrap().interactions, 15_000);
        assert_eq!((all(&log).len(), log.status().users), (1, 0));
    }
}

#[test]
fn a_sink_that_panics_stops_the_log_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &small(), |_| panic!("the test's sink")).unwrap().log;
    for _ in 0..2 {
        let refused = log.append(vec![like("u", "1")], None).unwrap_err();
        assert!(matches!(refused, FeedbackError::Stopped), "{refused}");
    }
    drop(log);
    assert_eq!(movies(&open(folder.path()).log), ["1"]);
}

#[test]
fn what_makes_no_sense_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), &LogOptions { batch_events: 3, ..small() }, |_| ()).unwrap().log;
    let bad = Event { value: Some(1.0), ..like("u", "2") };
    let refused = log.append(vec![like("u", "1"), bad], None).unwrap_err();
    assert!(matches!(refused, FeedbackError::InvalidEvent { index: 1, .. }), "{refused}");
    let refused = log.append(vec![like("u", "1"); 4], None).unwrap_err();
    assert!(matches!(refused, FeedbackError::TooManyEvents { found: 4, max: 3 }), "{refused}");
    for length in [0, 257] {
        let refused = log.append(Vec::new(), Some(key(&"k".repeat(length), 1))).unwrap_err();
        assert!(matches!(refused, FeedbackError::InvalidKey { .. }), "{refused}");
    }
    let large = Movie { tags: vec!["t".repeat(600_000)], ..Movie::new(movie("1"), "Large") };
    let refused = log.put_movie(large).unwrap_err();
    assert!(matches!(refused, FeedbackError::LargeMovie { .. }), "{refused}");
    assert!(all(&log).is_empty());
    assert_eq!(log.last_position(), 0);
}
