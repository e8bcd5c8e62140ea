//! Kill -9 at random moments while clients write, forget, change films, activate and rebuild, and while the server starts: after
//! each restart what was acknowledged is there once, what was forgotten is hidden, and a good bundle serves.
//! `CINEDEX_KILLS` says how often (8), `CINEDEX_SEED` repeats the choice of moments and calls.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ledger;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::ledger::{Ledger, send};
use crate::support::client::{agent, ids};
use crate::support::fixture::ready;
use crate::support::served::{PATIENT, Served};
use crate::support::{Place, wait_for};

const KEY: &str = "a key that nobody else can know";
const CLIENTS: u64 = 4;

/// What happens to a file whose content ends there.
type Damage = fn(&mut Vec<u8>, usize);

/// The gate lets everything pass that serves: on a busy machine a build without optimisation is slow.
const OPEN_GATE: [&str; 3] =
    ["rebuild_max_microseconds=1000000000", "rebuild_max_quality_loss=1", "rebuild_min_recall=0"];

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kills_and_a_good_bundle_serves() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a whole number"))
    };
    let kills = number("CINEDEX_KILLS", 8);
    let seed = number("CINEDEX_SEED", u64::from(std::process::id()));
    println!("seed {seed}, {kills} kills");
    let mut random = StdRng::seed_from_u64(seed);
    let place = ready();
    place.run(&["index", "build", "films"]).done();
    let mut ledgers: Vec<Ledger> = (0..CLIENTS).map(Ledger::new).collect();
    let (mut operator, mut compactions, mut at_start) = (Operator::default(), 0, 0);
    let began = Instant::now();
    let mut served = serve(&place);
    for round in 0..kills {
        let what = format!("seed {seed}, round {round}");
        let rebuilds = random.random_bool(0.5);
        let after = random.random_range(0..if rebuilds { 2_000_000 } else { 500_000 });
        std::thread::scope(|scope| {
            let address = served.address;
            for ledger in &mut ledgers {
                scope.spawn(move || ledger.write_until_killed(address, round, seed));
            }
            let operator = &mut operator;
            let draws = seed ^ round;
            scope.spawn(move || operator.work_until_killed(address, rebuilds, draws));
            std::thread::sleep(Duration::from_micros(after));
            served.kill();
        });
        let log = served.log();
        assert!(!log.contains("panicked"), "{what}: {log}");
        compactions += log.matches("log compacted").count();
        if random.random_bool(0.2) {
            kill_while_it_starts(&place, Duration::from_micros(random.random_range(0..300_000)));
            at_start += 1;
        }
        served = serve(&place);
        operator.check(&served, &what);
        for ledger in &mut ledgers {
            ledger.check(&served, round, &what);
        }
    }
    check_the_end(&place, served, &ledgers, &format!("seed {seed}, the end"));
    let sum = |count: fn(&Ledger) -> u64| ledgers.iter().map(count).sum::<u64>();
    println!(
        "{kills} kills and {at_start} more at start in {:.0} s: {} calls with {} events acknowledged, {} forgotten, {} calls \
         cut off that were done and {} that were not, {} activations, rebuilds {:?}, {compactions} compactions",
        began.elapsed().as_secs_f64(),
        sum(|ledger| ledger.calls),
        sum(|ledger| ledger.events),
        sum(|ledger| ledger.forgotten),
        sum(|ledger| ledger.pending_done),
        sum(|ledger| ledger.pending_lost),
        operator.activations,
        operator.ended(),
    );
    assert!(sum(|ledger| ledger.calls) > kills, "the servers did not get far enough to tell");
    assert!(operator.activations > 0 && !operator.tasks.is_empty(), "the operator did not get to work");
}

#[test]
fn a_torn_or_altered_end_of_the_log_is_cut_off_reported_and_served_without() {
    let place = ready();
    let names = ["a", "b", "c"];
    let post = |served: &Served, name: &str| {
        let event = json!({"user_id": "u", "movie_id": "1", "kind": "watch", "event_id": name});
        served.interact(&event)
    };
    let history = |served: &Served| {
        let history = served.json("/v1/users/u/history");
        let mut told: Vec<String> = history["items"].as_array().unwrap().iter().map(name_of).collect();
        told.reverse();
        told
    };
    let served = serve(&place);
    assert!(names.iter().all(|name| post(&served, name) == (1, 0)));
    drop(served);
    let damages: [Damage; 3] = [
        |bytes, end| bytes[end - 1] ^= 0x11,
        |bytes, end| bytes[end - 12] ^= 0x11,
        |bytes, end| bytes.truncate(end - 5),
    ];
    for damage in damages {
        // After a cut it may go on in another file.
        let last = place.names("data/feedback").into_iter().rfind(|name| !name.contains("LOCK")).unwrap();
        let path = place.path(&format!("data/feedback/{last}"));
        let mut bytes = std::fs::read(&path).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        damage(&mut bytes, end);
        std::fs::write(&path, bytes).unwrap();
        let served = serve(&place);
        assert!(served.log().contains("cut off the log"), "{}", served.log());
        assert_eq!(history(&served), ["a", "b"]);
        assert_eq!((post(&served, "c"), post(&served, "b")), ((1, 0), (0, 1)));
        drop(served);
        let served = serve(&place);
        assert!(!served.log().contains("cut off the log"), "{}", served.log());
        assert_eq!(history(&served), names);
        check_serving(&served, "a repaired log");
    }
}

fn name_of(item: &Value) -> String {
    item["event_id"].as_str().unwrap().to_owned()
}

/// What an operator did and was told.
#[derive(Default)]
struct Operator {
    activations: u64,
    /// Versions of which one must be live, by the activations acknowledged and the one that was not; `None` if a rebuild may have
    /// changed it.
    live: Option<Vec<String>>,
    /// Status of the tasks that were started.
    tasks: BTreeMap<String, String>,
}

impl Operator {
    /// Activates one version after the other, and starts rebuilds if it is to, until the server is gone.
    fn work_until_killed(&mut self, address: SocketAddr, rebuilds: bool, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let (agent, authorization) = (agent(), format!("Bearer {KEY}"));
        let key = Some(("authorization", authorization.as_str()));
        let ask = |method: &str, target: &str, body: Option<&Value>| {
            send(&agent, address, method, &format!("/v1/admin/{target}"), key, body)
        };
        self.live = None;
        loop {
            let Some((_, versions)) = ask("GET", "indexes", None) else { return };
            let versions = versions["items"].as_array().unwrap();
            if let (None, Some(live), false) =
                (&self.live, versions.iter().find(|version| version["live"] == true), rebuilds)
            {
                self.live = Some(vec![text(&live["version"])]);
            }
            // Loading bundles all the time would leave a rebuild of low priority nothing.
            if rebuilds && random.random_bool(0.9) {
                let small = json!({"parameters": {"dimension": 8, "epochs": 1}});
                let Some((status, answer)) = ask("POST", "indexes", Some(&small)) else { return };
                assert!(status == 202 || status == 409 && answer["code"] == "task_running", "{answer}");
                if status == 202 {
                    self.tasks.insert(text(&answer["task_id"]), "started".to_owned());
                }
                continue;
            }
            let good: Vec<&Value> = versions.iter().filter(|version| version["refused"].is_null()).collect();
            let version = text(&good[random.random_range(0..good.len())]["version"]);
            self.live.iter_mut().for_each(|live| live.push(version.clone()));
            let Some((status, answer)) = ask("POST", &format!("indexes/{version}/activate"), None) else {
                return;
            };
            // A rebuild may have removed it meanwhile.
            assert!(status == 200 || rebuilds && status == 404, "{answer}");
            self.activations += u64::from(status == 200);
            self.live.iter_mut().for_each(|live| *live = vec![version.clone()]);
        }
    }

    /// What was activated is live, and no task is left at work.
    fn check(&mut self, served: &Served, what: &str) {
        let live = check_serving(served, what);
        if let Some(expected) = &self.live {
            assert!(expected.contains(&live), "{what}: {live} is live, activated {expected:?}");
        }
        for task in admin(served, "GET", "tasks", None)["items"].as_array().unwrap() {
            let status = text(&task["status"]);
            assert!(["succeeded", "failed"].contains(&status.as_str()), "{what}: {task}");
            let why = task["error"].as_str().unwrap_or_default();
            assert!(status != "failed" || why.contains("the program ended"), "{what}: {task}");
            self.tasks.insert(text(&task["task_id"]), status);
        }
        let lost = self.tasks.iter().find(|(_, status)| *status == "started");
        assert_eq!(lost, None, "{what}: a task that was acknowledged is not known");
    }

    /// How many tasks ended how.
    fn ended(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for status in self.tasks.values() {
            *counts.entry(status.as_str()).or_default() += 1;
        }
        counts
    }
}

fn command(place: &Place) -> Command {
    let mut arguments = [&["serve", "--bind", "127.0.0.1:0"][..], &PATIENT].concat();
    for setting in OPEN_GATE {
        arguments.extend(["--set", setting]);
    }
    let mut command = place.command(&arguments);
    // Compactions are told at this level.
    command.env("CINEDEX_ADMIN_KEY", KEY).env("CINEDEX_LOG", "info");
    command
}

fn serve(place: &Place) -> Served {
    let served = Served::spawn(command(place));
    served.wait_ready();
    served
}

fn kill_while_it_starts(place: &Place, after: Duration) {
    let mut child = command(place).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[track_caller]
fn admin(served: &Served, method: &str, target: &str, body: Option<&Value>) -> Value {
    let authorization = format!("Bearer {KEY}");
    let key = Some(("authorization", authorization.as_str()));
    let answer = send(&agent(), served.address, method, &format!("/v1/admin/{target}"), key, body);
    let (status, answer) = answer.expect("nobody kills it now");
    assert!(status < 300, "{method} {target}: {answer}");
    answer
}

/// A list is answered from a version that is marked live and was not refused; the version.
fn check_serving(served: &Served, what: &str) -> String {
    let list = served.json("/v1/users/1/recommendations?limit=5");
    assert_eq!(ids(&list).len(), 5, "{what}: {list}");
    let versions = admin(served, "GET", "indexes", None);
    let mut versions = versions["items"].as_array().unwrap().iter();
    let live =
        versions.find(|version| version["live"] == true).unwrap_or_else(|| panic!("{what}: none is live"));
    assert_eq!((&live["version"], &live["refused"]), (&list["index_version"], &Value::Null), "{what}");
    text(&live["version"])
}

/// A rebuild ends well, removes what the killed ones left, and takes nothing of what was acknowledged with it.
fn check_the_end(place: &Place, served: Served, ledgers: &[Ledger], what: &str) {
    let read_back =
        |served: &Served| ledgers.iter().map(|ledger| ledger.check_all(served, what)).sum::<usize>();
    let events = read_back(&served);
    let leftovers: Vec<String> =
        place.names("indexes").into_iter().filter(|name| name.starts_with(".building.tmp-")).collect();
    for name in &leftovers {
        // Young ones may belong to somebody.
        let old = SystemTime::now() - Duration::from_mins(2);
        std::fs::File::open(place.path("indexes").join(name)).unwrap().set_modified(old).unwrap();
    }
    let small = json!({"parameters": {"dimension": 8, "epochs": 1}});
    let task_id = text(&admin(&served, "POST", "indexes", Some(&small))["task_id"]);
    let task = wait_for("the end of the rebuild", || {
        let task = admin(&served, "GET", &format!("tasks/{task_id}"), None);
        (!["queued", "running"].contains(&task["status"].as_str().unwrap())).then_some(task)
    });
    assert_eq!(task["status"], "succeeded", "{what}: {task}");
    let left: Vec<String> =
        place.names("indexes").into_iter().filter(|name| leftovers.contains(name)).collect();
    assert_eq!(left, Vec::<String>::new(), "{what}: a building that was killed still takes room");
    drop(served);
    assert_eq!(read_back(&serve(place)), events, "{what}: after compaction and a restart");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
