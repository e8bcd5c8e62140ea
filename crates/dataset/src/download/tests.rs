//! Downloads from a server on loopback, in everything that goes right and wrong on the way.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc;

use super::*;

const TEXT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

const PUBLICATION: Publication = Publication {
    name: "ml-test",
    bytes: 36,
    md5: "e9b1713db620f1e3a14b6812de523f4b",
    sha256: "74e7e5bb9d22d6db26bf76946d40fff3ea9f0346b884fd0694920fccfad15e33",
};

/// What the server does with one request; the argument is the start of the range asked for.
type Answer = fn(Option<usize>) -> Vec<u8>;

fn whole(_: Option<usize>) -> Vec<u8> {
    answer("200 OK", "", TEXT.len(), TEXT)
}

fn ranged(start: Option<usize>) -> Vec<u8> {
    let Some(start) = start else { return whole(None) };
    let rest = &TEXT[start..];
    answer("206 Partial Content", &format!("Content-Range: bytes {start}-35/36\r\n"), rest.len(), rest)
}

fn cut(start: Option<usize>) -> Vec<u8> {
    let mut bytes = ranged(start);
    bytes.truncate(bytes.len() - 10);
    bytes
}

fn wrong(_: Option<usize>) -> Vec<u8> {
    answer("200 OK", "", 36, &[b'x'; 36])
}

fn long(_: Option<usize>) -> Vec<u8> {
    answer("200 OK", "", 40, &[b'x'; 40])
}

fn absent(_: Option<usize>) -> Vec<u8> {
    answer("404 Not Found", "", 4, b"gone")
}

fn misplaced(_: Option<usize>) -> Vec<u8> {
    answer("206 Partial Content", "Content-Range: bytes 0-35/36\r\n", 36, TEXT)
}

fn busy(_: Option<usize>) -> Vec<u8> {
    answer("503 Service Unavailable", "", 0, b"")
}

fn answer(status: &str, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Serves one request for each answer; the starts of the ranges that were asked for.
fn serve(answers: &'static [Answer]) -> (String, mpsc::Receiver<Option<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/files", listener.local_addr().unwrap());
    let (asked, received) = mpsc::channel();
    std::thread::spawn(move || {
        for (answer, stream) in answers.iter().zip(listener.incoming()) {
            let mut stream = stream.unwrap();
            let start = read_request(&stream);
            asked.send(start).ok();
            stream.write_all(&answer(start)).ok();
        }
    });
    (url, received)
}

fn read_request(stream: &TcpStream) -> Option<usize> {
    let mut start = None;
    for line in BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().ok();
        }
        assert!(!line.starts_with("GET") || line.starts_with("GET /files/ml-test.zip HTTP"), "{line}");
    }
    start
}

struct Case {
    folder: tempfile::TempDir,
    options: DownloadOptions,
    asked: mpsc::Receiver<Option<usize>>,
}

impl Case {
    fn new(answers: &'static [Answer], part: Option<&[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(part) = part {
            fs::write(folder.path().join("ml-test.zip.part"), part).unwrap();
        }
        let (base_url, asked) = serve(answers);
        let options = DownloadOptions { base_url, folder: folder.path().join("") };
        Self { folder, options, asked }
    }

    fn fetch(&self) -> Result<DownloadReport, String> {
        fetch(&PUBLICATION, &self.options, &cinedex_domain::silent).map_err(|error| error.to_string())
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.path().join(name)).ok()
    }

    fn check_done(&self, fetched_bytes: u64, resumed_from: u64) {
        let report = self.fetch().unwrap();
        assert_eq!((report.fetched_bytes, report.resumed_from), (fetched_bytes, resumed_from));
        assert_eq!(self.file("ml-test.zip").as_deref(), Some(TEXT));
        assert_eq!(self.file("ml-test.zip.part"), None);
    }

    fn check_failed(&self, expect: &str, part: Option<&[u8]>) {
        let error = self.fetch().unwrap_err();
        assert!(error.contains(expect), "{error}");
        assert_eq!(self.file("ml-test.zip"), None);
        assert_eq!(self.file("ml-test.zip.part").as_deref(), part);
    }
}

#[test]
fn a_whole_archive_is_fetched_once() {
    let case = Case::new(&[whole], None);
    case.check_done(36, 0);
    // The second time it is there: no request is made, none would be answered.
    case.check_done(0, 0);
    assert_eq!(case.asked.iter().collect::<Vec<_>>(), [None]);
}

#[test]
fn progress_ends_at_the_total() {
    let case = Case::new(&[whole], None);
    let last = Mutex::new(0);
    let progress = |step: Step<'_>| {
        assert_eq!(step.total, Some(36));
        *last.lock().unwrap() = step.done;
    };
    fetch(&PUBLICATION, &case.options, &progress).unwrap();
    assert_eq!(last.into_inner().unwrap(), 36);
}

#[test]
fn an_interrupted_download_goes_on_from_its_end() {
    let case = Case::new(&[cut, ranged], None);
    case.check_failed("after 26 of 36 bytes; run it again", Some(&TEXT[..26]));
    case.check_done(10, 26);
    assert_eq!(case.asked.iter().collect::<Vec<_>>(), [None, Some(26)]);
}

#[test]
fn a_server_that_ignores_the_range_sends_all() {
    Case::new(&[whole], Some(&TEXT[..20])).check_done(36, 0);
}

#[test]
fn a_complete_part_needs_no_server() {
    Case::new(&[], Some(TEXT)).check_done(0, 36);
}

#[test]
fn a_part_that_is_no_beginning_is_fetched_anew() {
    Case::new(&[ranged, whole], Some(b"something else")).check_done(22 + 36, 0);
    Case::new(&[whole], Some(&[b'y'; 50])).check_done(36, 0);
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    Case::new(&[wrong], None).check_failed("its md5 is", None);
}

#[test]
fn more_than_was_published_is_refused() {
    Case::new(&[long], None).check_failed("more than the published 36 bytes", Some(b""));
}

#[test]
fn a_refusal_keeps_what_was_there() {
    Case::new(&[absent], Some(&TEXT[..5])).check_failed("not there (404)", Some(&TEXT[..5]));
    Case::new(&[busy], Some(&TEXT[..5])).check_failed("503", Some(&TEXT[..5]));
    Case::new(&[misplaced], Some(&TEXT[..5])).check_failed("not the bytes from 5", Some(&TEXT[..5]));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let case = Case::new(&[], None);
    let unreachable = DownloadOptions { base_url: "http://127.0.0.1:1".to_owned(), ..case.options.clone() };
    let error = fetch(&PUBLICATION, &unreachable, &cinedex_domain::silent).unwrap_err().to_string();
    assert!(error.starts_with("cannot download http://127.0.0.1:1/ml-test.zip: "), "{error}");
}

#[test]
fn another_file_of_the_name_is_not_overwritten() {
    let case = Case::new(&[], None);
    fs::write(case.folder.path().join("ml-test.zip"), "mine").unwrap();
    assert!(case.fetch().unwrap_err().contains("is there already but it has 4 bytes"));
    assert_eq!(case.file("ml-test.zip").as_deref(), Some(&b"mine"[..]));
}

#[test]
fn two_downloads_do_not_write_one_file() {
    let case = Case::new(&[], None);
    let held = File::create(case.folder.path().join("ml-test.zip.part")).unwrap();
    held.lock().unwrap();
    assert!(case.fetch().unwrap_err().contains("another download"));
}

#[test]
fn only_published_names_are_downloaded() {
    let options = DownloadOptions::new("nowhere");
    let error = download("../ml", &options, &cinedex_domain::silent).unwrap_err().to_string();
    assert!(PUBLICATIONS.iter().all(|publication| error.contains(publication.name)), "{error}");
}

#[test]
fn the_published_figures_are_those_of_the_real_archive() {
    let Some(shared) = std::env::var_os("CINEDEX_SHARED") else {
        eprintln!("skipped: CINEDEX_SHARED is not set");
        return;
    };
    let path = Path::new(&shared).join("datasets/zips/ml-latest-small.zip");
    let mut file = File::open(&path).unwrap();
    assert_eq!(verify(&mut file, &path, &PUBLICATIONS[0]).unwrap(), Ok(()));
}
