//! The README's commands work as they are written: every `sh` block is run, line by line, by a shell that has the program on
//! its path, in a folder with nothing in it but `ml-latest-small.zip`.
//!
//! A block under `<!-- needs internet -->` or `<!-- needs a container engine -->` is left out. Commands of cargo that build, test
//! or measure are not run again here; continuous integration runs them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::client::{agent, get};
use support::{PROGRAM, Place, shared, wait_for};

/// A block of commands and where it begins.
#[derive(Debug, PartialEq)]
struct Block {
    line: usize,
    commands: Vec<String>,
}

/// The `sh` blocks that are to be run.
fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim() != "```sh" {
            at += 1;
            continue;
        }
        let before =
            lines[..at].iter().rev().find(|line| !line.trim().is_empty()).map_or("", |line| line.trim());
        let needs = ["<!-- needs internet -->", "<!-- needs a container engine -->"].contains(&before);
        let end = (at + 1..lines.len()).find(|&end| lines[end].trim() == "```").expect("a block ends");
        if !needs {
            blocks.push(Block { line: at + 1, commands: commands(&lines[at + 1..end]) });
        }
        at = end + 1;
    }
    blocks
}

/// Lines that go on after a backslash, or within quotes, are one command; comments and empty lines are none.
fn commands(lines: &[&str]) -> Vec<String> {
    let mut commands = Vec::new();
    let mut open = String::new();
    for line in lines {
        open.push_str(line.trim_end());
        if open.ends_with('\\') || open.matches('\'').count() % 2 == 1 {
            open.push('\n');
            continue;
        }
        let command = std::mem::take(&mut open);
        if !command.trim().is_empty() && !command.trim_start().starts_with('#') {
            commands.push(command.trim().to_owned());
        }
    }
    assert!(open.is_empty(), "a command without an end: {open}");
    commands
}

#[test]
fn blocks_and_commands_are_found_as_a_reader_finds_them() {
    let text = "a\n```sh\none # why\n# two\n\nthree \\\n  four\ncurl -d '{\n}'\n```\n<!-- needs internet -->\n\n```sh\nfive\n```\n```json\nsix\n```\n";
    let commands = ["one # why", "three \\\n  four", "curl -d '{\n}'"].map(str::to_owned).to_vec();
    assert_eq!(blocks(text), [Block { line: 2, commands }]);
}

/// A shell in the working directory, and the server that a command left running.
struct Shell {
    place: Place,
    served: Option<Child>,
}

impl Shell {
    fn new(shared: &Path) -> Self {
        let place = Place::new();
        let zip = shared.join("datasets/zips/ml-latest-small.zip");
        std::fs::copy(zip, place.path("ml-latest-small.zip")).unwrap();
        // An answer of 400 or more is a failure of the command.
        place.write(".curlrc", "fail-with-body\nsilent\nshow-error\n");
        Self { place, served: None }
    }

    fn shell(&self, command: &str) -> Command {
        let programs = Path::new(PROGRAM).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut shell = self.place.command(&[]);
        let mut bash = Command::new("bash");
        bash.envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
        for (name, _) in shell.get_envs().filter(|(_, value)| value.is_none()) {
            bash.env_remove(name);
        }
        shell.env_clear();
        bash.args(["-euo", "pipefail", "-c", command]).current_dir(self.place.path("")).stdin(Stdio::null());
        bash.env("PATH", path).env("CURL_HOME", self.place.path("")).env("HOME", self.place.path(""));
        bash
    }

    /// Starts what serves, on its own port, and waits until it is ready.
    fn serve(&mut self, command: &str) {
        self.stop();
        let log = std::fs::File::create(self.place.path("served.log")).unwrap();
        let mut shell = self.shell(&format!("exec {command}"));
        self.served = Some(shell.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let address = "127.0.0.1:8080".parse().unwrap();
        let client = agent();
        wait_for(command, || {
            if let Some(status) = self.served.as_mut().unwrap().try_wait().unwrap() {
                panic!(
                    "{command} ended with {status}: {}",
                    std::fs::read_to_string(self.place.path("served.log")).unwrap()
                );
            }
            std::net::TcpStream::connect(address).ok()?;
            (get(&client, address, "/readyz", &[]).status == 200).then_some(())
        });
    }

    fn run(&self, command: &str, line: usize) {
        let output = self.shell(command).output().unwrap();
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success(),
            "the block at line {line}: {command}\n{}\n{said}\n{complained}",
            output.status
        );
        assert!(
            !said.trim().is_empty() || !command.starts_with("curl"),
            "line {line}: {command} answers nothing"
        );
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.served.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a command is to this test.
fn follow(shell: &mut Shell, command: &str, line: usize, ci: &str) {
    let command = command
        .strip_prefix("cargo run --release -- ")
        .map_or(command.to_owned(), |rest| format!("cinedex {rest}"));
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["cargo", verb @ ("build" | "test" | "bench"), ..] => {
            assert!(ci.contains(&format!("cargo {verb}")), "line {line}: .ci/run does not run {command}");
        }
        [".ci/run" | "export", ..] => {}
        ["cinedex", "demo" | "serve", ..]
            if !["--prepare-only", "--print-config", "--help"].iter().any(|flag| words.contains(flag)) =>
        {
            shell.serve(&command);
        }
        _ => shell.run(&command, line),
    }
}

#[test]
fn every_command_of_the_readme_works() {
    let Some(shared) = shared() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let ci = std::fs::read_to_string(root.join(".ci/run")).unwrap();
    if readme.contains("```sh\ncurl") {
        assert!(
            Command::new("curl").arg("--version").output().is_ok(),
            "curl is needed: apt-get install curl"
        );
    }
    let mut shell = Shell::new(&shared);
    let mut count = 0;
    for block in blocks(&readme) {
        for command in &block.commands {
            println!("README.md, block at line {}: {command}", block.line);
            follow(&mut shell, command, block.line, &ci);
            count += 1;
        }
    }
    assert!(count >= 2, "{count} commands found");
}
