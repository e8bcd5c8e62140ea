//! Torn and altered bytes: whatever stands in the files, the log opens, tells what was cut, and tells every whole call that was
//! not hit.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test binary has no public surface and fails by panicking"
)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cinedex_feedback::{FeedbackError, Log, LogOptions};
use rand::{RngExt, SeedableRng};
use support::{like, movies, named, open};

/// The bytes that [`made`] makes, made once.
static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();

/// The header of a segment.
const HEADER: usize = 16;

/// A log of one segment with calls of one, three and two events, and where each call ends.
fn made(folder: &Path) -> (PathBuf, Vec<u8>, Vec<usize>) {
    let log = Log::open(folder, &LogOptions::default(), |_| ()).unwrap().log;
    let path = folder.join("00000000000000000001.log");
    let mut ends = Vec::new();
    let mut number = 0;
    for count in [1, 3, 2] {
        let events = (0..count).map(|_| {
            number += 1;
            named("u", &number.to_string(), &format!("e{number}"))
        });
        log.append(events.collect(), None).unwrap();
        ends.push(std::fs::metadata(&path).unwrap().len() as usize);
    }
    drop(log);
    (path.clone(), std::fs::read(&path).unwrap(), ends)
}

/// Lets `alter` at the file, opens, and checks that the movies are those of the calls that are to be left.
fn check(alter: impl Fn(&mut Vec<u8>), left: &[usize], cut: bool, within: bool, what: &str) {
    let calls = [vec!["1"], vec!["2", "3", "4"], vec!["5", "6"]];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("00000000000000000001.log");
    let mut bytes = WHOLE.get_or_init(|| made(folder.path()).1).clone();
    let length = bytes.len();
    alter(&mut bytes);
    std::fs::write(&path, &bytes).unwrap();
    let opened = Log::open(folder.path(), &LogOptions::default(), |_| ()).unwrap();
    let expect: Vec<&str> = left.iter().flat_map(|&call| calls[call].clone()).collect();
    assert_eq!(movies(&opened.log), expect, "{what}");
    assert_eq!(opened.cut.is_some(), cut, "{what}: {:?}", opened.cut);
    assert_eq!(opened.cut.as_ref().is_some_and(|cut| cut.within), within, "{what}");
    // What was altered may have been told: its positions are never given again. Of what was cut off nobody can know.
    let given = if bytes.len() < length { expect.len() } else { 6 };
    let position = opened.log.append(vec![like("u", "new")], None).unwrap().position;
    assert!(position > given as u64, "{what}: position {position}");
    drop(opened.log);
    let again = Log::open(folder.path(), &LogOptions::default(), |_| ()).unwrap();
    assert_eq!(again.cut, None, "{what}: what was cut is told once");
    assert_eq!(again.log.last_position(), position);
    assert_eq!(movies(&again.log), [expect, vec!["new"]].concat(), "{what}");
}

#[test]
fn a_tail_cut_at_any_byte_leaves_the_whole_calls() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bytes, ends) = made(folder.path());
    for length in 0..bytes.len() {
        let whole: Vec<usize> = (0..3).filter(|&call| ends[call] <= length).collect();
        let at_an_end = length <= HEADER || ends.contains(&length);
        check(|bytes| bytes.truncate(length), &whole, !at_an_end, false, &format!("cut to {length}"));
    }
}

#[test]
fn a_bit_flipped_at_any_byte_costs_the_call_that_it_is_in() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bytes, ends) = made(folder.path());
    for at in 0..bytes.len() {
        let hit = ends.iter().position(|&end| at < end).unwrap();
        let header = at < HEADER;
        let left: Vec<usize> = (0..3).filter(|&call| header || call != hit).collect();
        // The last digits of the header are a version; a flip that makes another digit of them is another version.
        if (12..16).contains(&at) {
            continue;
        }
        check(|bytes| bytes[at] ^= 4, &left, true, header || hit < 2, &format!("a flip at {at}"));
    }
}

#[test]
fn a_tail_of_zeros_or_noise_is_cut() {
    let noise: Vec<u8> = (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    check(|bytes| bytes.extend_from_slice(&[0; 5000]), &[0, 1, 2], true, false, "zeros");
    check(|bytes| bytes.extend_from_slice(&noise), &[0, 1, 2], true, false, "noise");
    check(|bytes| bytes.extend_from_within(HEADER..), &[0, 1, 2], true, false, "itself again");
}

#[test]
fn an_empty_segment_with_a_torn_frame_goes_on() {
    for garbage in 1..60 {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).log);
        let path = folder.path().join("00000000000000000001.log");
        let bytes = [std::fs::read(&path).unwrap(), vec![7; garbage]].concat();
        std::fs::write(&path, bytes).unwrap();
        let log = open(folder.path()).log;
        log.append(vec![like("u", "1")], None).unwrap();
        log.compact(cinedex_feedback::Retention::default()).unwrap();
        log.append(vec![like("u", "2")], None).unwrap();
        drop(log);
        assert_eq!(movies(&open(folder.path()).log), ["1", "2"]);
    }
}

#[test]
fn any_alteration_of_many_segments_opens_and_loses_only_what_it_hit() {
    let seed = 11;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("log")).log;
    for number in 0..200 {
        log.append(vec![like("u", &number.to_string()); 3], None).unwrap();
    }
    drop(log);
    for round in 0..40 {
        let copy = folder.path().join(round.to_string());
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(folder.path().join("log")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
        let mut paths: Vec<_> =
            std::fs::read_dir(&copy).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        let path = &paths[random.random_range(0..paths.len())];
        let mut bytes = std::fs::read(path).unwrap();
        let mut most = 0;
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(HEADER..bytes.len());
            if random.random() {
                bytes[at] ^= 1 << random.random_range(0..8);
                most += 3;
            } else {
                // What a crash of the machine leaves where later pages reached the disk and an earlier one did not.
                let end = (at + random.random_range(1..4096)).min(bytes.len());
                bytes[at..end].fill(0);
                most += 3 * ((end - at) / 100 + 2);
            }
        }
        std::fs::write(path, &bytes).unwrap();
        let opened = open(&copy);
        let told = movies(&opened.log);
        let left = told.len();
        let what = format!("seed {seed}, round {round}: {left} of 600, at most {most} were hit");
        assert!(left <= 600 && left + most >= 600, "{what}");
        assert!(
            told.chunks(3).all(|call| call.len() == 3 && call.iter().all(|movie| *movie == call[0])),
            "{what}"
        );
        assert!(opened.cut.is_some() || left == 600);
        assert_eq!(support::history(&opened.log, "u").len(), left);
    }
}

#[test]
fn another_version_of_the_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut bytes, _) = made(folder.path());
    bytes[15] = b'2';
    std::fs::write(&path, &bytes).unwrap();
    let refused = Log::open(folder.path(), &LogOptions::default(), |_| ()).unwrap_err();
    assert!(matches!(refused, FeedbackError::ForeignVersion { .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn bytes_altered_while_it_runs_are_an_error_and_not_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).log;
    log.append(vec![like("u", "1")], None).unwrap();
    let path = folder.path().join("00000000000000000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[HEADER + 30] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let found = log.history(&support::user("u"), None, 1).unwrap_err();
    assert!(matches!(found, FeedbackError::Damaged { offset: 16, .. }), "{found}");
    assert!(log.read(0, |_| true).is_err());
}

#[test]
fn what_a_killed_compaction_leaves_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let place = folder.path().join("log");
    let log = open(&place).log;
    for number in 0..90 {
        log.append(vec![like("u", &number.to_string())], None).unwrap();
        if number % 30 == 29 {
            // Seals the segment, without putting it together with others yet.
            log.compact(cinedex_feedback::Retention::default()).unwrap();
        }
        if number == 70 {
            log.backup(&copy).unwrap();
        }
    }
    drop(log);
    // A later segment of before the compaction stands beside the one that took its records in.
    let mut stale = 0;
    for entry in std::fs::read_dir(&copy).unwrap() {
        let path = entry.unwrap().path();
        let target = place.join(path.file_name().unwrap());
        if !target.exists() {
            std::fs::copy(&path, target).unwrap();
            stale += 1;
        }
    }
    std::fs::write(place.join("00000000000000000001.tmp"), b"half").unwrap();
    assert!(stale > 0, "the test left a stale segment");
    let opened = open(&place);
    assert_eq!(opened.cut, None);
    assert_eq!(movies(&opened.log).len(), 90);
    assert!(!place.join("00000000000000000001.tmp").exists());
}
