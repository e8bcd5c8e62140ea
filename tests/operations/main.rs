//! An operator's day against the real program: rebuild with what happened since, a bundle that the gate refuses, roll-back,
//! cancelling, a schedule, and a process that is killed while it rebuilds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use serde_json::{Value, json};

use crate::support::client::{Answer, agent, send};
use crate::support::fixture::ready;
use crate::support::served::{PATIENT, Served};
use crate::support::{Place, wait_for};

const KEY: &str = "a key that nobody else can know";
const SMALL: &str = r#"{"dimension": 8, "epochs": 6}"#;

/// `serve` on a free port, with a key, a log of the place's own, and settings.
fn command(place: &Place, settings: &[&str]) -> Command {
    let mut arguments = [&["serve", "--bind", "127.0.0.1:0"][..], &PATIENT].concat();
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    let mut command = place.command(&arguments);
    command.env("CINEDEX_ADMIN_KEY", KEY);
    command
}

fn serve(place: &Place, settings: &[&str]) -> Served {
    let served = Served::spawn(command(place, settings));
    served.wait_ready();
    served
}

#[track_caller]
fn admin(served: &Served, method: &str, target: &str, body: Option<&Value>) -> Answer {
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    send(&agent(), method, served.address, &format!("/v1/admin/{target}"), &headers, body)
}

fn parameters() -> Value {
    serde_json::from_str(SMALL).unwrap()
}

/// Asks for a rebuild and waits for its end.
#[track_caller]
fn rebuilt(served: &Served, body: &Value) -> Value {
    let answer = admin(served, "POST", "indexes", Some(body));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let task_id = answer.json()["task_id"].as_str().unwrap().to_owned();
    ended(served, &task_id)
}

#[track_caller]
fn ended(served: &Served, task_id: &str) -> Value {
    wait_for("the end of the task", || {
        let task = admin(served, "GET", &format!("tasks/{task_id}"), None).done();
        let over = !["queued", "running"].contains(&task["status"].as_str().unwrap());
        over.then_some(task)
    })
}

fn live_version(served: &Served) -> String {
    served.json("/v1/popular")["index_version"].as_str().unwrap().to_owned()
}

fn wait_live(served: &Served, version: &Value) {
    wait_for("the bundle to be live", || (live_version(served) == version.as_str().unwrap()).then_some(()));
}

#[test]
fn a_rebuild_takes_what_happened_since_and_the_way_back_stays_open() {
    let place = ready();
    let served = serve(&place, &[]);
    let before = live_version(&served);
    let likes: Vec<Value> = [1, 2, 3, 4, 5]
        .map(|movie| json!({ "user_id": "newcomer", "movie_id": movie.to_string(), "kind": "like" }))
        .to_vec();
    let events = json!({ "interactions": likes });
    assert_eq!(served.send("POST", "/v1/interactions", Some(&events)).done()["accepted"], 5);
    assert_eq!(served.send("DELETE", "/v1/users/2", None).status, 200);
    let task = rebuilt(&served, &json!({ "parameters": parameters() }));
    assert_eq!((&task["status"], &task["progress"]), (&json!("succeeded"), &json!(1.0)), "{task}");
    let result = &task["result"];
    assert_eq!((&result["live_interactions"], &result["dataset"]), (&json!(5), &json!("films")));
    assert!(result["log_position"].as_u64() >= Some(6), "{task}");
    wait_live(&served, &result["version"]);
    let list = served.json("/v1/users/newcomer/recommendations?limit=3");
    assert_eq!(
        (&list["strategy"], &list["items"][0]["source"]),
        (&json!("blended"), &json!("taste")),
        "{list}"
    );
    let versions = admin(&served, "GET", "indexes", None).done();
    assert_eq!(versions["items"].as_array().unwrap().len(), 2, "{versions}");
    // Back, and the one that was live is deleted.
    admin(&served, "POST", &format!("indexes/{before}/activate"), None).done();
    wait_live(&served, &json!(before));
    let version = result["version"].as_str().unwrap();
    assert_eq!(admin(&served, "DELETE", &format!("indexes/{before}"), None).status, 409);
    assert_eq!(admin(&served, "DELETE", &format!("indexes/{version}"), None).status, 200);
    assert_eq!(place.json(&["index", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_bundle_that_the_gate_refuses_is_a_failed_task_and_the_old_one_stays() {
    let place = ready();
    let served = serve(&place, &["rebuild_max_microseconds=0.001"]);
    let before = live_version(&served);
    let task = rebuilt(&served, &json!({ "parameters": parameters() }));
    assert_eq!(task["status"], "failed");
    assert!(task["error"].as_str().unwrap().contains("the gate allows"), "{task}");
    assert_eq!(live_version(&served), before);
    let versions = place.json(&["index", "list"]);
    assert_eq!(versions.as_array().unwrap().iter().filter(|row| row["refused"].is_string()).count(), 1);
}

#[test]
fn what_cannot_be_rebuilt_is_refused_with_the_field() {
    let place = ready();
    let served = serve(&place, &[]);
    let check = |body: Value, field: &str| {
        let answer = admin(&served, "POST", "indexes", Some(&body));
        assert!(answer.status == 400 && answer.text().contains(field), "{body}: {}", answer.text());
    };
    check(json!({ "dataset": "nothing" }), "dataset");
    check(json!({ "model": "nothing" }), "model");
    check(json!({ "parameters": { "dimensions": 8 } }), "parameters");
    check(json!({ "model": "ials", "train": false, "parameters": { "dimension": 8 } }), "parameters");
    assert_eq!(admin(&served, "GET", "tasks/20200101T000000Z-001", None).status, 404);
    assert_eq!(admin(&served, "GET", "tasks", None).done()["items"], json!([]));
    let task = rebuilt(&served, &json!({ "model": "ials", "activate": false }));
    assert_eq!((&task["status"], &task["result"]["activated"]), (&json!("succeeded"), &json!(false)));
}

#[test]
fn one_at_a_time_cancelled_on_request_and_interrupted_by_a_kill() {
    let place = ready();
    let mut served = serve(&place, &["rebuild_threads=1"]);
    // Long enough to be met at work.
    let long = json!({ "parameters": { "dimension": 256, "epochs": 10_000 } });
    let first = admin(&served, "POST", "indexes", Some(&long)).json();
    let second = admin(&served, "POST", "indexes", Some(&long));
    assert_eq!((second.status, &second.json()["code"]), (409, &json!("task_running")));
    let task_id = first["task_id"].as_str().unwrap();
    wait_for("progress", || {
        let task = admin(&served, "GET", &format!("tasks/{task_id}"), None).done();
        (task["status"] == "running" && task["progress"].as_f64() > Some(0.0)).then_some(())
    });
    admin(&served, "DELETE", &format!("tasks/{task_id}"), None).done();
    assert_eq!(ended(&served, task_id)["status"], "cancelled");
    let third = admin(&served, "POST", "indexes", Some(&long)).json();
    let task_id = third["task_id"].as_str().unwrap();
    served.kill();
    let again = serve(&place, &[]);
    let task = admin(&again, "GET", &format!("tasks/{task_id}"), None).done();
    assert_eq!(task["status"], "failed");
    assert!(task["error"].as_str().unwrap().contains("the program ended"), "{task}");
}

#[test]
fn the_log_is_exported_and_backed_up_while_it_is_served() {
    let place = ready();
    let served = serve(&place, &[]);
    let like = json!({ "user_id": "7", "movie_id": "1", "kind": "like" });
    served.send("POST", "/v1/interactions", Some(&like)).done();
    let exported = place.json(&["dataset", "export", "log", "log.parquet"]);
    assert_eq!(exported["interactions"], 1);
    place.run(&["dataset", "import", "log", "log.parquet"]).refused(&["in use", "POST /v1/interactions"]);
    let folder = Place::new();
    let into = folder.text("backup");
    assert_eq!(place.json(&["backup", &into])["log"], true);
    drop(served);
    let other = Place::new();
    other.run(&["restore", &into]).done();
    let import = other.json(&["dataset", "import", "log", &place.text("log.parquet")]);
    assert_eq!((&import["accepted"], &import["duplicates"]), (&json!(0), &json!(1)));
    let served = serve(&other, &[]);
    assert_eq!(served.json("/v1/users/7/history")["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_schedule_rebuilds_by_itself() {
    let place = ready();
    // The cheapest that this needs: every minute, from the clock of this machine, so that it waits for a minute at most.
    let served = serve(&place, &["rebuild_schedule=* * * * *"]);
    let task = wait_for("the schedule", || {
        let tasks = admin(&served, "GET", "tasks", None).done();
        tasks["items"].as_array().unwrap().first().cloned()
    });
    assert_eq!(task["kind"], "rebuild");
}
