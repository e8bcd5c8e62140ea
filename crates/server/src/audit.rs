//! Who changed what, when and with what outcome: a file of JSON lines that is only ever appended to. It is opened for each
//! record, so that it may be moved away at any time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::keys::hash_key;

/// How much of the file's end is looked at for the latest records.
const TAIL_BYTES: u64 = 256 << 10;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// RFC 3339 in UTC.
    pub(crate) at: String,
    /// The name of the key, or `anonymous`.
    pub(crate) who: String,
    /// Where the request came from.
    pub(crate) address: Option<String>,
    pub(crate) method: String,
    /// The pattern of the route.
    pub(crate) route: String,
    /// The id in the path, if the pattern has one; of a user only its digest.
    pub(crate) target: Option<String>,
    pub(crate) status: u16,
    /// The error code of a refusal.
    pub(crate) code: Option<String>,
    pub(crate) request_id: String,
}

/// What stands in the log for a user: a log of who was forgotten must not remember them.
pub(crate) fn pseudonym(user_id: &str) -> String {
    format!("sha256:{}", &hash_key(user_id)[..16])
}

/// The log.
pub(crate) struct AuditLog {
    path: PathBuf,
    /// One line at a time, so that none is torn.
    writing: Mutex<()>,
}

impl AuditLog {
    /// An empty path keeps nothing.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, writing: Mutex::default() }
    }

    /// Appends a record. It blocks.
    pub(crate) fn append(&self, record: &Record) -> io::Result<()> {
        if self.path.as_os_str().is_empty() {
            return Ok(());
        }
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.file()?.write_all(&line)
    }

    /// The latest records, at most `most`, the newest first. It blocks. Lines that are no records are passed over.
    pub(crate) fn latest(&self, most: usize) -> io::Result<Vec<Record>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail)?;
        let lines = tail.rsplit(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).take(most).collect())
    }

    fn file(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(request_id: usize) -> Record {
        Record {
            at: "2026-01-31T00:00:00Z".to_owned(),
            who: "ops".to_owned(),
            address: Some("127.0.0.1".to_owned()),
            method: "DELETE".to_owned(),
            route: "/v1/users/{user_id}".to_owned(),
            target: Some(pseudonym("42")),
            status: 200,
            code: None,
            request_id: format!("{request_id:0100}"),
        }
    }

    #[test]
    fn the_latest_come_first_however_long_the_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::new(folder.path().join("audit.jsonl"));
        assert_eq!(log.latest(10).unwrap(), []);
        for number in 0..2_000 {
            log.append(&record(number)).unwrap();
        }
        assert_eq!(log.latest(2).unwrap(), [record(1_999), record(1_998)]);
        assert!(log.latest(usize::MAX).unwrap().len() > 500);
        std::fs::rename(&log.path, folder.path().join("audit.1")).unwrap();
        log.append(&record(7)).unwrap();
        assert_eq!(log.latest(2).unwrap(), [record(7)]);
        assert!(!format!("{:?}", record(1)).contains("\"42\""));
    }

    #[test]
    fn a_line_that_is_no_record_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::new(folder.path().join("audit.jsonl"));
        log.append(&record(1)).unwrap();
        std::fs::write(&log.path, [std::fs::read(&log.path).unwrap(), b"{\"at\":".to_vec()].concat())
            .unwrap();
        assert_eq!(log.latest(5).unwrap(), [record(1)]);
    }

    #[test]
    fn without_a_path_nothing_is_kept() {
        let log = AuditLog::new(PathBuf::new());
        log.append(&record(1)).unwrap();
        assert_eq!(log.latest(5).unwrap(), []);
    }
}
