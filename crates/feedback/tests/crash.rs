//! Kill -9 at random moments while eight threads append, forget and compact: what was acknowledged is there once, calls are whole,
//! and what was forgotten stays so. `CINEDEX_KILLS` says how often (20), `CINEDEX_SEED` repeats a run.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test binary has no public surface and fails by panicking"
)]

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cinedex_feedback::{Entry, Log, Retention};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{all, interaction, named, open, small, user};

/// Names the log's folder to the process that will be killed.
const CHILD: &str = "CINEDEX_FEEDBACK_CRASH";

/// What a process said before it was killed.
#[derive(Default)]
struct Acknowledged {
    /// Position of each call's last event by the call's name, and how many events it had.
    calls: HashMap<String, (u64, usize)>,
    /// Position of the last tombstone by user.
    forgotten: HashMap<String, u64>,
    compactions: usize,
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kills() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a whole number"))
    };
    let kills = number("CINEDEX_KILLS", 20);
    let seed = number("CINEDEX_SEED", u64::from(std::process::id()));
    println!("seed {seed}, {kills} kills");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut said = Acknowledged::default();
    let mut cuts = 0;
    for round in 0..kills {
        run_and_kill(folder.path(), round, Duration::from_micros(random.random_range(0..400_000)), &mut said);
        let opened = open(folder.path());
        cuts += usize::from(opened.cut.is_some());
        assert!(
            opened.cut.is_none_or(|cut| !cut.within),
            "seed {seed}, round {round}: damage before good entries"
        );
        check(&opened.log, &said, &format!("seed {seed}, round {round}"));
        // A retry of what was acknowledged counts as what it is.
        if let Some((call, &(_, events))) = said.calls.iter().next() {
            let again = opened.log.append(events_of(call, events), None).unwrap();
            assert_eq!((again.accepted, again.duplicates), (0, events as u32), "seed {seed}, {call}");
        }
    }
    let (calls, compactions) = (said.calls.len(), said.compactions);
    println!("{calls} calls acknowledged, {compactions} compactions, {cuts} tails cut");
    assert!(calls > kills as usize && compactions > 0, "the processes did not get far enough to tell");
}

/// The process that is killed; without its variable it is no test.
#[test]
fn child() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let (folder, round) = place.rsplit_once('#').unwrap();
    let log = Log::open(Path::new(folder), &small(), |_| ()).unwrap().log;
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..6_u64 {
            let (log, say) = (&log, &say);
            scope.spawn(move || {
                for step in 0_u64.. {
                    let call = format!("{round}.{thread}.{step}");
                    let events = events_of(&call, (step * 7 + thread) as usize % 20 + 1);
                    let count = events.len();
                    let appended = log.append(events, None).unwrap();
                    say(format!("\nappended {call} {} {count}\n", appended.position));
                }
            });
        }
        scope.spawn(|| {
            for step in 0_u64.. {
                let id = format!("gone-{}", step % 5);
                log.append(vec![named(&id, "1", &format!("{round}-{step}"))], None).unwrap();
                let receipt = log.forget(&user(&id)).unwrap();
                say(format!("\nforgotten {id} {}\n", receipt.position));
            }
        });
        scope.spawn(|| {
            loop {
                log.compact(Retention::default()).unwrap();
                say("\ncompacted\n".to_owned());
            }
        });
    });
}

fn events_of(call: &str, count: usize) -> Vec<cinedex_domain::Event> {
    (0..count)
        .map(|index| named(&format!("u{}", index % 3), "1", &format!("{call}:{index}:{count}")))
        .collect()
}

fn run_and_kill(folder: &Path, round: u64, after: Duration, said: &mut Acknowledged) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{}#{round}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap()
    });
    for line in output.split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["appended", call, position, count] => {
                let told = (position.parse().unwrap(), count.parse().unwrap());
                said.calls.insert(call.to_owned(), told);
            }
            ["forgotten", id, position] => {
                said.forgotten.insert(id.to_owned(), position.parse().unwrap());
            }
            ["compacted"] => said.compactions += 1,
            _ => {}
        }
    }
    let status = killer.join().unwrap();
    assert_eq!(status.code(), None, "the process ended by itself");
}

fn check(log: &Log, said: &Acknowledged, what: &str) {
    let (mut found, mut tombstones) = (HashMap::<String, Vec<u64>>::new(), HashMap::new());
    for logged in all(log) {
        if let Some(event) = interaction(&logged) {
            let id = event.event_id.clone().unwrap();
            let Some((call, _)) = id.split_once(':') else {
                let hidden = said.forgotten.get(event.user_id.as_str()).copied().unwrap_or_default();
                assert!(logged.position > hidden, "{what}: {event:?} was forgotten");
                continue;
            };
            found
                .entry(format!("{call} of {}", id.rsplit(':').next().unwrap()))
                .or_default()
                .push(logged.position);
        } else if let Entry::Forgotten(user) = &logged.entry {
            tombstones.insert(user.to_string(), logged.position);
        }
    }
    for (call, positions) in &found {
        let count: usize = call.rsplit(' ').next().unwrap().parse().unwrap();
        assert_eq!(positions.len(), count, "{what}: call {call} is not there once and whole");
    }
    for (call, (position, count)) in &said.calls {
        let positions = found.get(&format!("{call} of {count}"));
        assert_eq!(positions.and_then(|p| p.last()), Some(position), "{what}: call {call} was acknowledged");
    }
    for (id, position) in &said.forgotten {
        assert!(tombstones.get(id) >= Some(position), "{what}: {id} was forgotten");
    }
}
