//! What deploy/ says, held against the program and the repository: commands, flags and settings that exist, files that are
//! there, and what the machine's own tools think of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{PROGRAM, Place};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(name: &str) -> String {
    let path = root().join("deploy").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The settings of a unit, each with all its values.
fn unit() -> BTreeMap<String, Vec<String>> {
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in read("cinedex.service").lines() {
        if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            settings.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    settings
}

/// Instructions of the Dockerfile, lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(what, rest)| (what.to_owned(), rest.to_owned()))
        .collect()
}

/// Runs the program's `--help` with flags that must exist: an unknown one is wrong usage.
#[track_caller]
fn check_flags(arguments: &[&str]) {
    Place::new().run(&[arguments, &["--help"]].concat()).done();
}

#[test]
fn the_unit_starts_the_program_with_flags_that_exist() {
    let unit = unit();
    let start: Vec<&str> = unit["ExecStart"][0].split_whitespace().collect();
    assert_eq!(start[0], "/usr/local/bin/cinedex");
    check_flags(&start[1..]);
    let config = start[start.iter().position(|word| *word == "--config").unwrap() + 1];
    assert_eq!(config, "/etc/cinedex/cinedex.toml", "what README.md installs");
    assert_eq!(
        (&unit["User"][0], &unit["StateDirectory"][0]),
        (&"cinedex".to_owned(), &"cinedex".to_owned())
    );
    assert!(read("cinedex.sysusers").starts_with("u cinedex "));
}

#[test]
fn the_unit_gives_nothing_away() {
    let unit = unit();
    let check = |name: &str, expect: &str| assert_eq!(unit[name].last().unwrap(), expect, "{name}");
    check("CapabilityBoundingSet", "");
    check("NoNewPrivileges", "yes");
    check("ProtectSystem", "strict");
    check("ProtectHome", "yes");
    check("PrivateTmp", "yes");
    check("PrivateDevices", "yes");
    check("MemoryDenyWriteExecute", "yes");
    check("RestrictSUIDSGID", "yes");
    check("SystemCallArchitectures", "native");
    check("KillSignal", "SIGTERM");
    // What is written lies in the one folder that can be.
    let config: toml::Table = toml::from_str(&read("cinedex.toml")).unwrap();
    for path in [&config["data"], &config["indexes"], &config["serve"]["audit_file"]] {
        assert!(path.as_str().unwrap().starts_with("/var/lib/cinedex/"), "{path}");
    }
}

#[test]
fn the_configuration_that_is_shipped_is_understood() {
    let place = Place::new();
    let path = root().join("deploy/cinedex.toml");
    let shown = place.json(&["--config", path.to_str().unwrap(), "serve", "--print-config"]);
    assert_eq!(shown["serve"]["operations_bind"], "127.0.0.1:9090");
    assert_eq!(shown["rebuild"]["schedule"], "30 3 * * *");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    // The program and its user are where they will be only once they are installed.
    let text = read("cinedex.service").replace("/usr/local/bin/cinedex", PROGRAM);
    let text = text.replace("User=cinedex", "User=daemon").replace("Group=cinedex", "Group=daemon");
    let place = Place::new();
    let path = place.write("cinedex.service", text);
    let run = Command::new("systemd-analyze").args(["verify", "--man=no", &path]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("cinedex.service")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn the_image_is_built_from_what_is_there_and_runs_as_nobody_special() {
    let instructions = instructions();
    let of = |name: &str| {
        instructions.iter().filter(|(what, _)| what == name).map(|(_, rest)| rest.as_str()).collect()
    };
    let stages: Vec<&str> = of("FROM");
    assert_eq!(stages.len(), 2);
    let ignored = read("Dockerfile.dockerignore");
    let copies: Vec<&str> = of("COPY");
    for copy in copies.iter().filter(|copy| !copy.starts_with("--from")) {
        let words: Vec<&str> = copy.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(root().join(source).exists(), "COPY {source}");
            assert!(ignored.lines().any(|line| line == format!("!{source}")), "{source} is ignored");
        }
    }
    // Cargo reads every manifest of the workspace, with the files that they name.
    for manifest in std::fs::read_dir(root().join("crates")).unwrap() {
        let path = manifest.unwrap().path().join("Cargo.toml");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for line in text.lines().filter_map(|line| line.strip_prefix("path = \"../../")) {
            let top = line.split('/').next().unwrap();
            assert!(
                copies.iter().any(|copy| copy.split_whitespace().next() == Some(top)),
                "{top} is not copied"
            );
        }
    }
    let user: Vec<&str> = of("USER");
    assert!(user.len() == 1 && !user[0].starts_with('0'), "{user:?}");
    let command: Vec<&str> = of("CMD");
    let command: Vec<String> = serde_json::from_str(command.last().unwrap()).unwrap();
    check_flags(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let toolchain = stages[0].trim_start_matches("rust:").split('-').next().unwrap();
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("rust-version = \"{toolchain}\"")), "{toolchain}");
}

#[test]
fn environment_variables_that_are_set_exist() {
    let place = Place::new();
    let known = place.json(&["serve", "--print-config"]);
    let mut names = Vec::new();
    for (prefix, topic) in [("", "serve"), ("REBUILD_", "rebuild")] {
        let fields = known[topic].as_object().unwrap().keys();
        names.extend(fields.map(|field| format!("CINEDEX_{prefix}{}", field.to_uppercase())));
    }
    names.extend(["LOG_JSON", "CONFIG", "DATA", "INDEXES", "FEEDBACK"].map(|name| format!("CINEDEX_{name}")));
    for file in ["Dockerfile", "compose.yaml", "cinedex.service", "README.md"] {
        let text = read(file);
        let found = text
            .split(|c: char| !c.is_ascii_uppercase() && c != '_')
            .filter(|word| word.starts_with("CINEDEX_"));
        for word in found {
            assert!(names.iter().any(|name| name == word), "{file}: {word}");
        }
    }
}

#[test]
fn compose_builds_the_dockerfile_and_keeps_what_must_stay() {
    let text = read("compose.yaml");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for expect in [
        "context: ..",
        "dockerfile: deploy/Dockerfile",
        "- state:/var/lib/cinedex",
        "read_only: true",
        "cap_drop: [ALL]",
        "stop_grace_period: 45s",
    ] {
        assert!(lines.contains(&expect), "no {expect:?}");
    }
    let user = instructions().into_iter().find(|(what, _)| what == "USER").unwrap().1;
    assert!(lines.contains(&format!("user: \"{user}\"").as_str()));
    for port in lines.iter().filter(|line| line.starts_with("- \"") && line.contains(":8080")) {
        assert!(port.starts_with("- \"127.0.0.1:"), "{port} is open to everybody");
    }
}
