//! A served child process: started on a free port, listened to, and killed when the value goes.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use super::client::{Answer, agent, get, post, raw, send};
use super::{Place, wait_for};

/// A request may wait long: on a machine that runs many tests at once, a refusal for lack of time says nothing.
pub(crate) const PATIENT: [&str; 2] = ["--set", "deadline_ms=9000"];

/// A server as a child process.
pub(crate) struct Served {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    agent: Agent,
    pub(crate) address: SocketAddr,
}

impl Served {
    /// Serves what is live in the place's `indexes` with a log of its own, and waits until it is ready.
    pub(crate) fn start(place: &Place) -> Self {
        let mut command = place.command(&[&["serve", "--bind", "127.0.0.1:0"][..], &PATIENT].concat());
        command.env("CINEDEX_FEEDBACK", own_log(place));
        let served = Self::spawn(command);
        served.wait_ready();
        served
    }

    /// Starts a command that serves, and waits until it says where.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = gather(child.stdout.take().unwrap());
        let stderr = gather(child.stderr.take().unwrap());
        let address = wait_for("the address", || {
            let said = stderr.lock().unwrap().clone();
            if let Some(status) = child.try_wait().unwrap() {
                // What it said last is still on its way.
                std::thread::sleep(Duration::from_millis(100));
                panic!("it ended with {status} instead of serving: {}", stderr.lock().unwrap());
            }
            let after = said.split_once("http://")?.1;
            let address = after.split(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').next()?;
            // A line that is still being written has no end.
            after.contains('\n').then(|| address.parse().ok()).flatten()
        });
        Self { child, stdout, stderr, agent: agent(), address }
    }

    /// Waits until data is served.
    pub(crate) fn wait_ready(&self) -> Value {
        wait_for("readiness", || {
            let answer = self.get("/readyz");
            (answer.status == 200).then(|| answer.json())
        })
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        get(&self.agent, self.address, target, &[])
    }

    #[track_caller]
    pub(crate) fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        get(&self.agent, self.address, target, headers)
    }

    /// A successful GET's document.
    #[track_caller]
    pub(crate) fn json(&self, target: &str) -> Value {
        self.get(target).done()
    }

    #[track_caller]
    pub(crate) fn post(&self, target: &str, media_type: &str, body: &[u8]) -> Answer {
        post(&self.agent, self.address, target, media_type, body)
    }

    /// Any method, with a JSON body where there is one.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, target: &str, body: Option<&Value>) -> Answer {
        send(&self.agent, method, self.address, target, &[], body)
    }

    /// Posts JSON, with further headers.
    #[track_caller]
    pub(crate) fn post_with(&self, target: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        send(&self.agent, "POST", self.address, target, headers, Some(body))
    }

    /// Posts interactions; how many were accepted and how many were known.
    #[track_caller]
    pub(crate) fn interact(&self, body: &Value) -> (u64, u64) {
        let answer = self.send("POST", "/v1/interactions", Some(body)).done();
        let count = |name: &str| answer[name].as_u64().unwrap_or_else(|| panic!("{answer}"));
        (count("accepted"), count("duplicates"))
    }

    /// Recommendations for a body.
    #[track_caller]
    pub(crate) fn recommend(&self, body: &Value) -> Answer {
        self.post("/v1/recommendations", "application/json", body.to_string().as_bytes())
    }

    /// Bytes as they are; `None` where the server closed without an answer.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        raw(self.address, bytes)
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// Follows cursors from `target`, which has a query, to the end: the pages.
    #[track_caller]
    pub(crate) fn pages(&self, target: &str) -> Vec<Value> {
        let mut pages = Vec::new();
        let mut next = target.to_owned();
        loop {
            let page = self.json(&next);
            let cursor = page["next_cursor"].as_str().map(str::to_owned);
            pages.push(page);
            match cursor {
                Some(cursor) => next = format!("{target}&cursor={cursor}"),
                None => return pages,
            }
            assert!(pages.len() < 10_000, "cursors without end: {target}");
        }
    }

    /// The ids of all pages.
    #[track_caller]
    pub(crate) fn all_ids(&self, target: &str) -> Vec<String> {
        self.pages(target).iter().flat_map(super::client::ids).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of the place for the log of one server: several may serve one world.
pub(crate) fn own_log(place: &Place) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    place.path(&format!("log-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// Gathers what comes through a pipe, line by line, so that the child never waits for a reader.
fn gather(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let gathered = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            text.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    gathered
}
