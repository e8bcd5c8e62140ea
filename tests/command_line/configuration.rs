//! Flags over environment over file over defaults, as `--print-config` shows it; what is unknown is refused.

use serde_json::Value;

use crate::support::Place;

fn config(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let arguments = [&["serve", "--print-config", "--json"], arguments].concat();
    place.run_with(&arguments, environment).done().json()
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let place = Place::new();
    let defaults = config(&place, &[], &[]);
    assert_eq!((&defaults["data"], &defaults["indexes"]), (&"data".into(), &"indexes".into()));
    assert_eq!(defaults["serve"]["bind"], "127.0.0.1:8080");
    assert_eq!(defaults["serve"]["open"], false);
    let text = place.run(&["serve", "--print-config"]).done().stdout;
    let parsed: Value = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    assert_eq!(parsed, defaults, "text and JSON say the same");
}

#[test]
fn what_is_printed_is_a_configuration_file() {
    let place = Place::new();
    let text = place.run(&["serve", "--print-config", "--bind", "127.0.0.1:9"]).done().stdout;
    place.write("cinedex.toml", &text);
    assert_eq!(place.run(&["serve", "--print-config"]).done().stdout, text);
}

#[test]
fn flags_go_over_the_environment_over_the_file_over_defaults() {
    let place = Place::new();
    let bind = |arguments: &[&str], environment: &[(&str, &str)]| {
        config(&place, arguments, environment)["serve"]["bind"].as_str().unwrap().to_owned()
    };
    assert_eq!(bind(&[], &[]), "127.0.0.1:8080");
    place.write(
        "cinedex.toml",
        "data = \"d1\"\nindexes = \"i1\"\n[serve]\nbind = \"127.0.0.1:1001\"\nqueue_length = 77\n",
    );
    assert_eq!(bind(&[], &[]), "127.0.0.1:1001");
    assert_eq!(bind(&[], &[("CINEDEX_BIND", "127.0.0.1:1002")]), "127.0.0.1:1002");
    assert_eq!(bind(&["--bind", "127.0.0.1:1003"], &[("CINEDEX_BIND", "127.0.0.1:1002")]), "127.0.0.1:1003");
    let environment = [("CINEDEX_DATA", "d2"), ("CINEDEX_QUEUE_LENGTH", "88")];
    let mixed = config(&place, &["--indexes", "i3", "--set", "workers=3"], &environment);
    assert_eq!((&mixed["data"], &mixed["indexes"]), (&"d2".into(), &"i3".into()));
    assert_eq!((&mixed["serve"]["queue_length"], &mixed["serve"]["workers"]), (&88.into(), &3.into()));
    assert_eq!(mixed["serve"]["bind"], "127.0.0.1:1001");
    let other = place.write("other/named.toml", "data = \"d4\"\n");
    assert_eq!(config(&place, &["--config", &other], &[])["data"], "d4");
    assert_eq!(config(&place, &[], &[("CINEDEX_CONFIG", &other)])["data"], "d4");
    assert_eq!(config(&place, &["--config", &other], &[])["serve"]["bind"], "127.0.0.1:8080");
}

#[test]
fn every_setting_of_the_server_has_its_environment_variable() {
    let place = Place::new();
    let defaults = config(&place, &[], &[]);
    for (field, value) in defaults["serve"].as_object().unwrap() {
        let other = match value {
            Value::Bool(value) => (!value).to_string(),
            Value::Number(_) => "7".to_owned(),
            _ => "127.0.0.1:7".to_owned(),
        };
        let variable = format!("CINEDEX_{}", field.to_uppercase());
        let changed = config(&place, &[], &[(&variable, &other)]);
        let found = &changed["serve"][field];
        if field == "admin_key" {
            assert_eq!((value.as_str(), found.as_str()), (Some(""), Some("redacted")));
            continue;
        }
        assert_eq!(found.as_str().map_or_else(|| found.to_string(), str::to_owned), other, "{variable}");
    }
}

#[test]
fn what_is_unknown_or_malformed_is_refused_with_its_name() {
    let place = Place::new();
    let check = |file: &str, reasons: &[&str]| {
        let path = place.write("broken.toml", file);
        let run = place.run(&["serve", "--print-config", "--config", &path]).refused(reasons);
        assert!(run.stderr.contains("broken.toml"), "{run:?}");
    };
    check("dta = \"d\"", &["dta"]);
    check("[serve]\nbnid = \"127.0.0.1:1\"", &["bnid", "bind"]);
    check("[serve]\nbind = \"nowhere\"", &["bind"]);
    check("[serve]\nworkers = \"many\"", &["workers"]);
    check("[serve\n", &["line 1"]);
    let run = place.run(&["serve", "--print-config", "--set", "wrokers=1"]).refused(&["wrokers", "workers"]);
    assert!(run.stdout.is_empty());
    let missing = place.text("missing.toml");
    place.run(&["serve", "--print-config", "--config", &missing]).refused(&["missing.toml"]);
    place.run_with(&["serve", "--print-config"], &[("CINEDEX_WORKERS", "x")]).refused(&["CINEDEX_WORKERS"]);
    place.run_with(&["serve", "--print-config"], &[("CINEDEX_BIND", "x")]).refused(&["CINEDEX_BIND"]);
    // The file counts for every command, not only for serve.
    place.write("cinedex.toml", "dta = \"d\"");
    place.run(&["dataset", "list"]).refused(&["cinedex.toml", "dta"]);
}

#[test]
fn a_bind_that_others_can_reach_must_be_meant() {
    let place = Place::new();
    let run = place.run(&["serve", "--bind", "0.0.0.0:0"]).refused(&["0.0.0.0:0", "open"]);
    assert!(run.stdout.is_empty());
    let key = [("CINEDEX_ADMIN_KEY", "fifteen bytes..")];
    let run = place.run_with(&["serve", "--bind", "127.0.0.1:0"], &key).refused(&["admin_key", "16 bytes"]);
    assert!(!run.stderr.contains("fifteen"), "{run:?}");
    place.write("keys.toml", "[[key]]\nname = \"app\"\n");
    place.run(&["serve", "--bind", "127.0.0.1:0"]).refused(&["keys.toml", "scope"]);
    place.run(&["serve", "--bind", "127.0.0.1:0", "--set", "workers=0"]).refused(&["workers"]);
    place.run(&["serve", "--bind", "127.0.0.1:0", "--set", "uri_bytes=1"]).refused(&["uri_bytes"]);
}

#[test]
fn roots_come_from_flags_anywhere_on_the_line() {
    let place = Place::new();
    let data = place.text("elsewhere");
    let folder = crate::support::fixture::Fixture::new().write(&place, "source");
    place.run(&["--data", &data, "dataset", "import", "movielens", &folder, "--name", "films"]).done();
    assert_eq!(place.names("elsewhere"), ["films"]);
    assert_eq!(place.json(&["dataset", "list", "--data", &data])[0]["name"], "films");
    assert!(!place.path("data").exists());
}
