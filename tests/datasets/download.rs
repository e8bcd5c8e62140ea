//! The download of ml-latest-small from a server on loopback: whole, cut off and resumed, wrong, missing.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::facts::counts;
use crate::support::{Place, Run, shared};

/// Serves bytes of `/ml-latest-small.zip`; a range where one is asked for, and no more than `most` bytes an answer.
struct Publisher {
    url: String,
    /// The ranges that were asked for.
    asked: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Publisher {
    fn start(bytes: Vec<u8>, most: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        // It waits for further requests until the test's process ends.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let start = answer(stream.unwrap(), &bytes, most);
                seen.lock().unwrap().push(start);
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<Option<usize>> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers one request; where its range began.
fn answer(mut stream: TcpStream, bytes: &[u8], most: usize) -> Option<usize> {
    let mut start = None;
    let mut found = false;
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap().to_ascii_lowercase();
        found |= line.starts_with("get /ml-latest-small.zip ");
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().ok();
        }
        if line.is_empty() {
            break;
        }
    }
    let rest = &bytes[start.unwrap_or(0)..];
    let status = match start {
        _ if !found => "404 Not Found\r\n".to_owned(),
        None => "200 OK\r\n".to_owned(),
        Some(start) => format!(
            "206 Partial Content\r\ncontent-range: bytes {start}-{}/{}\r\n",
            bytes.len() - 1,
            bytes.len()
        ),
    };
    let head = format!("HTTP/1.1 {status}content-length: {}\r\nconnection: close\r\n\r\n", rest.len());
    // The client may leave early.
    let _ = stream.write_all(&[head.as_bytes(), &rest[..rest.len().min(most)]].concat());
    start
}

fn download(place: &Place, url: &str) -> Run {
    place.run(&["dataset", "download", "ml-latest-small", "--url", url, "--json"])
}

fn archive() -> Option<Vec<u8>> {
    Some(std::fs::read(shared()?.join("datasets/zips/ml-latest-small.zip")).unwrap())
}

#[test]
fn the_archive_is_fetched_verified_and_imported() {
    let Some(bytes) = archive() else { return };
    let place = Place::new();
    let publisher = Publisher::start(bytes, usize::MAX);
    let report = download(&place, &publisher.url).done().json();
    assert_eq!(report["manifest"]["counts"], counts(9742, 610, 100_836, 9724));
    assert_eq!(publisher.asked(), [None]);
    assert_eq!(place.json(&["dataset", "list"])[0]["name"], "ml-latest-small");
    download(&place, &publisher.url).refused(&["--replace"]);
    // A second time nothing is fetched: the archive is there.
    let again = ["dataset", "download", "ml-latest-small", "--url", &publisher.url, "--name", "again"];
    place.run(&again).done();
    assert_eq!(publisher.asked(), [None]);
}

#[test]
fn a_truncated_download_goes_on_where_it_stopped() {
    let Some(bytes) = archive() else { return };
    let place = Place::new();
    let length = bytes.len();
    let first = Publisher::start(bytes.clone(), 400_000);
    let run = download(&place, &first.url).refused(&["400000 of 978202 bytes", "run it again"]);
    assert!(run.stdout.is_empty(), "{run:?}");
    assert_eq!(place.json(&["dataset", "list"]), serde_json::json!([]), "no half data set");
    let second = Publisher::start(bytes, usize::MAX);
    let report = download(&place, &second.url).done().json();
    assert_eq!(second.asked(), [Some(400_000)], "only the rest is asked for, of {length}");
    assert_eq!(report["manifest"]["counts"]["interactions"], 100_836);
}

#[test]
fn wrong_bytes_are_refused_and_not_kept() {
    let Some(mut bytes) = archive() else { return };
    let place = Place::new();
    let right = bytes.clone();
    bytes[500_000] ^= 1;
    let wrong = Publisher::start(bytes, usize::MAX);
    download(&place, &wrong.url).refused(&["md5", "31a303aabbc519bd33d025e44d6c2570"]);
    assert_eq!(place.json(&["dataset", "list"]), serde_json::json!([]));
    let good = Publisher::start(right, usize::MAX);
    download(&place, &good.url).done();
    assert_eq!(good.asked(), [None], "what was wrong is not built upon");
}

#[test]
fn an_archive_that_is_not_there_is_said_to_be_missing() {
    let place = Place::new();
    let publisher = Publisher::start(Vec::new(), 0);
    let elsewhere = format!("{}/elsewhere", publisher.url);
    download(&place, &elsewhere).refused(&["404", "/elsewhere/ml-latest-small.zip"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    download(&place, &nobody).refused(&["cannot download", "check the connection"]);
    assert_eq!(place.json(&["dataset", "list"]), serde_json::json!([]));
}
