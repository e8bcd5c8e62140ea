//! A disk that is full refuses what would change something, and nothing else; with room it goes on.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::PROGRAM;
use crate::support::client::ids;
use crate::support::served::Served;
use crate::world::{Live, did};

/// A server whose files end at 64 KiB, which stands for a disk without room.
fn cramped(world: &Live) -> Served {
    let mut command = Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -S -f 64; exec {PROGRAM} serve --bind 127.0.0.1:0");
    command.args(["-c", &script]).current_dir(world.place.path("."));
    let served = Served::spawn(command);
    served.wait_ready();
    served
}

#[test]
fn a_full_disk_refuses_changes_while_reading_goes_on_and_recovers() {
    let world = Live::new();
    let served = cramped(&world);
    let (mut accepted, mut refused) = (Vec::new(), None);
    for turn in 0..1_000 {
        let film = 1 + turn % 42;
        let long = format!("{turn}-{}", "x".repeat(200));
        let mut event: Value = did("u", film, "watch");
        event["event_id"] = long.into();
        let answer = served.send("POST", "/v1/interactions", Some(&event));
        if answer.status != 200 {
            answer.problem(503, "storage_full", None);
            assert!(answer.header("retry-after").is_some());
            refused = Some(event);
            break;
        }
        accepted.push(film.to_string());
    }
    let refused = refused.expect("64 KiB do not hold a thousand events");
    assert!(accepted.len() > 50, "{} events fitted", accepted.len());
    // A tombstone is small: some may still fit.
    let mut tombstones = (0..100).map(|n| served.send("DELETE", &format!("/v1/users/never-{n}"), None));
    tombstones.find(|answer| answer.status != 200).unwrap().problem(503, "storage_full", None);
    served.json("/v1/users/u/recommendations");
    served.json("/v1/users/1/recommendations");
    assert_eq!(served.all_ids("/v1/users/u/history?limit=100"), reversed(&accepted));
    let process = served.process().to_string();
    let room = Command::new("prlimit").args(["--pid", &process, "--fsize=unlimited:"]).status().unwrap();
    assert!(room.success());
    assert_eq!(served.interact(&refused), (1, 0), "nothing of it was kept before");
    accepted.push(refused["movie_id"].as_str().unwrap().to_owned());
    drop(served);
    let served = world.serve();
    assert_eq!(served.all_ids("/v1/users/u/history?limit=100"), reversed(&accepted));
    assert_eq!(ids(&served.json("/v1/users/u/history?limit=1")).len(), 1);
    assert_eq!(served.interact(&json!({"interactions": [refused]})), (0, 1));
}

fn reversed(films: &[String]) -> Vec<String> {
    films.iter().rev().cloned().collect()
}
