//! What an operator does from the command line: keys, backups, schedules.

use crate::support::Place;
use crate::support::fixture::ready;

#[test]
fn a_key_is_printed_once_and_only_its_hash_is_kept() {
    let place = Place::new();
    let run = place.run(&["keys", "create", "app", "--scope", "write", "--file", "keys.toml"]).done();
    let key = run.stdout.trim();
    assert!(key.len() == 43 && !run.stderr.contains(key), "{run:?}");
    let file = std::fs::read_to_string(place.path("keys.toml")).unwrap();
    assert!(!file.contains(key));
    let table: toml::Table = toml::from_str(&file).unwrap();
    let first = &table["key"][0];
    assert_eq!((first["name"].as_str(), first["scope"].as_str()), (Some("app"), Some("write")));
    assert_eq!(first["sha256"].as_str().unwrap(), cinedex_storage::sha256_bytes(key.as_bytes()));
    assert!(first["created"].as_str().unwrap().ends_with('Z'));
    // The file of the configuration, where none is named.
    let made = place.json(&["keys", "create", "console", "--scope", "admin"]);
    assert_ne!(made["key"], key);
    let listed = place.json(&["keys", "list"]);
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["app", "console"]);
    let shown = place.run(&["keys", "list"]).done().stdout;
    assert!(shown.contains("console") && shown.contains("admin") && !shown.contains(key));
}

#[test]
fn a_revoked_key_is_gone_and_names_are_taken_once() {
    let place = Place::new();
    place.run(&["keys", "create", "app", "--scope", "read"]).done();
    place.run(&["keys", "create", "app", "--scope", "admin"]).refused(&["app", "revoke"]);
    place.run(&["keys", "create", "../app", "--scope", "read"]).refused(&["letters"]);
    place.run(&["keys", "revoke", "other"]).refused(&["other", "keys list"]);
    place.run(&["keys", "revoke", "app"]).done();
    assert_eq!(place.json(&["keys", "list"]), serde_json::json!([]));
    assert!(place.run(&["keys", "list"]).done().stdout.contains("no keys"));
    place.write("keys.toml", "[[key]]\nname = 1\n");
    place.run(&["keys", "create", "app", "--scope", "read"]).refused(&["keys.toml"]);
    assert_eq!(std::fs::read_to_string(place.path("keys.toml")).unwrap(), "[[key]]\nname = 1\n");
}

#[test]
fn a_backup_restores_what_is_served_to_another_place() {
    let place = ready();
    let folder = Place::new();
    let into = folder.text("backup");
    let made = place.json(&["backup", &into]);
    assert_eq!(made["datasets"], serde_json::json!(["films"]));
    assert_eq!(made["live"], place.json(&["index", "list"])[0]["version"]);
    place.run(&["backup", &into]).refused(&["in the way"]);
    let other = Place::new();
    assert_eq!(other.json(&["restore", &into]), made);
    let asked = ["recommend", "1", "-k", "5"];
    assert_eq!(other.json(&asked)["items"], place.json(&asked)["items"]);
    other.run(&["restore", &into]).refused(&["in the way"]);
    let table = folder.path("backup/data/films/interactions.parquet");
    let mut bytes = std::fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    let third = Place::new();
    third.run(&["restore", &into]).refused(&["damaged", "interactions.parquet", "nothing was restored"]);
    assert_eq!(third.names("."), Vec::<String>::new());
}

#[test]
fn a_schedule_that_is_none_stops_the_start() {
    let place = Place::new();
    let run = place.run(&["serve", "--set", "rebuild_schedule=nightly"]);
    run.refused(&["\"nightly\" is not a schedule", "30 3 * * *"]);
    let run = place.run_with(&["serve"], &[("CINEDEX_REBUILD_MIN_RECALL", "2")]);
    run.refused(&["rebuild.min_recall is 2", "0 to 1"]);
}
