//! What black-box tests need: a place of their own, the built program run in it, a served child that ends with its test, and
//! a client. It knows nothing of what is asked.
#![allow(dead_code, reason = "each test binary takes what it needs")]

pub(crate) mod client;
pub(crate) mod fixture;
pub(crate) mod served;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The program that is tested.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_cinedex");

/// How long anything may take before a test gives up: builds of tests share few cores.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A working directory with a data root `data` and an index root `indexes`.
pub(crate) struct Place {
    path: PathBuf,
    _directory: Option<TempDir>,
}

impl Place {
    /// A directory that goes with the value.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { path: directory.path().to_owned(), _directory: Some(directory) }
    }

    /// A directory that stays.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), _directory: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path as an argument.
    pub(crate) fn text(&self, name: &str) -> String {
        text(&self.path(name))
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        text(&path)
    }

    /// The program with nothing of this machine's configuration in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CINEDEX_"))
        {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(&self.path).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments))
    }

    /// Runs it with further environment variables.
    pub(crate) fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        finish(command)
    }

    /// Runs it with `--json`, expects success, and reads the document.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).done().json()
    }

    /// Names in a folder, sorted; none where there is no folder.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    asked: String,
}

impl Run {
    /// Expects success.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.expect(0)
    }

    /// Expects a refusal, with a reason on stderr that says all of `reasons`, and nothing that looks like a crash.
    #[track_caller]
    pub(crate) fn refused(self, reasons: &[&str]) -> Self {
        let run = self.expect(1);
        assert!(run.stderr.contains("cinedex: "), "{run:?}");
        for reason in reasons {
            assert!(run.stderr.contains(reason), "no {reason:?} in {run:?}");
        }
        run
    }

    /// Expects a complaint about the command line.
    #[track_caller]
    pub(crate) fn wrong_usage(self, reasons: &[&str]) -> Self {
        let run = self.expect(2);
        for reason in reasons {
            assert!(run.stderr.contains(reason), "no {reason:?} in {run:?}");
        }
        run
    }

    #[track_caller]
    fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{} {self:?}", self.asked);
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }

    /// Standard output as the one JSON document that it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The reason of a refusal, its last line.
    pub(crate) fn reason(&self) -> &str {
        self.stderr.trim_end().lines().last().unwrap_or_default()
    }
}

fn finish(mut command: Command) -> Run {
    let output = command.output().unwrap();
    Run {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        asked: format!("{command:?}"),
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// The folder of real data, or why a test is skipped: nobody has to have it, but who says so must.
pub(crate) fn shared() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("CINEDEX_SHARED") else {
        eprintln!("skipped: CINEDEX_SHARED is not set");
        return None;
    };
    let folder = PathBuf::from(folder);
    assert!(folder.is_dir(), "CINEDEX_SHARED is {}, which is no folder", folder.display());
    Some(folder)
}

/// Asks until there is an answer; fails when patience ends.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
