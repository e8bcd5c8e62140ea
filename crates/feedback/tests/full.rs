//! A disk that is full: appending is refused with the reason, reading goes on, and with room it is as if nothing had been. On a
//! small tmpfs in a mount namespace of its own where that is allowed, and under a limit of file size everywhere.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test binary has no public surface and fails by panicking"
)]

mod support;

use std::path::Path;
use std::process::Command;

use cinedex_feedback::{FeedbackError, Log, LogOptions, Retention};
use support::{movies, named, user};

/// Names the folder, and `tmpfs` or `limit`, to the process that fills the disk.
const CHILD: &str = "CINEDEX_FEEDBACK_FULL";

#[test]
fn a_full_disk_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display();
    let test = std::env::current_exe().unwrap();
    let run = |kind: &str, program: &str, arguments: &[&str], prelude: &str| {
        let script = format!("{prelude} && exec '{}' --exact child --nocapture", test.display());
        let output = Command::new(program)
            .args(arguments)
            .args(["sh", "-c", &script])
            .env(CHILD, format!("{place}#{kind}"))
            .output();
        let Ok(output) = output else { return false };
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || !said.contains("panicked"), "{kind}: {said}");
        println!("{kind}: {}", if said.contains("recovered") { "recovered" } else { &said });
        said.contains("recovered")
    };
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{place}'");
    if !run("tmpfs", "unshare", &["--mount", "--map-root-user"], &mount) {
        println!("a tmpfs may not be mounted here; the limit of file size stands for it");
    }
    // A limit of file size ends a process unless the signal is ignored.
    assert!(
        run("limit", "env", &[], "trap '' XFSZ && ulimit -S -f 96"),
        "the limit of file size was not tested"
    );
}

/// The process that fills the disk; without its variable it is no test.
#[test]
fn child() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let (folder, kind) = place.rsplit_once('#').unwrap();
    let folder = Path::new(folder);
    let ballast = folder.join("ballast");
    if kind == "tmpfs" {
        std::fs::write(&ballast, vec![1; 500 << 10]).unwrap();
    }
    let place = folder.join(kind);
    let options = LogOptions {
        segment_bytes: if kind == "tmpfs" { 64 << 10 } else { 64 << 20 },
        ..LogOptions::default()
    };
    let open = || Log::open(&place, &options, |_| ()).unwrap();
    let log = open().log;
    let mut accepted = Vec::new();
    let refused = loop {
        let name = accepted.len().to_string();
        match log.append(vec![named("u", &name, &name); 1], None) {
            Ok(appended) => {
                assert_eq!(appended.accepted, 1);
                accepted.push(name);
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, FeedbackError::StorageFull { .. }), "{refused}");
    assert!(log.status().storage_full && accepted.len() > 500, "{} accepted", accepted.len());
    assert!(matches!(log.forget(&user(&"v".repeat(250))), Err(FeedbackError::StorageFull { .. })));
    assert_eq!(movies(&log), accepted);
    assert_eq!(support::history(&log, "u").len(), accepted.len());
    drop(log);
    let opened = open();
    assert_eq!(opened.cut, None, "what was refused is not in the file");
    let log = opened.log;
    assert_eq!(movies(&log), accepted);
    assert!(matches!(log.forget(&user(&"v".repeat(250))), Err(FeedbackError::StorageFull { .. })));
    // A compaction that finds no room says so and leaves everything.
    if kind == "tmpfs" {
        let _ = log.compact(Retention::default());
        assert_eq!(movies(&log), accepted);
        std::fs::remove_file(&ballast).unwrap();
    } else {
        let process = std::process::id().to_string();
        let raised = Command::new("prlimit").args(["--pid", &process, "--fsize=unlimited"]).status().unwrap();
        assert!(raised.success());
    }
    let name = accepted.len().to_string();
    assert_eq!(
        log.append(vec![named("u", &name, &name)], None).unwrap().accepted,
        1,
        "it was refused, so it is new"
    );
    accepted.push(name);
    assert!(!log.status().storage_full);
    assert_eq!(movies(&log), accepted);
    drop(log);
    assert_eq!(movies(&open().log), accepted);
    println!("recovered");
}
