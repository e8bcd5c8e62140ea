//! One of IMDb's tables, streamed: rows of the columns asked for. It knows nothing of what they mean.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cinedex_domain::{Progress, Step};
use flate2::read::MultiGzDecoder;

use crate::{DatasetError, Rejection};

/// Lines of the published files stay far below.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// A gzipped file may expand by this factor beyond the first GiB; IMDb's expand by less than ten.
const MAX_RATIO: u64 = 200;

const BUFFER_BYTES: usize = 1 << 18;

/// Progress is told every so many rows.
const STEP_ROWS: u64 = 65_536;

const WRONG_FIELD_COUNT: &str = "wrong number of fields";
const INVALID_UTF8: &str = "invalid UTF-8";

/// Why a row is left out: column, reason and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) column: &'static str,
    pub(super) reason: &'static str,
    pub(super) found: String,
}

/// An open table.
pub(super) struct Tsv {
    path: PathBuf,
    name: String,
    reader: Box<dyn BufRead>,
    /// Bytes of the file as it lies on disk: read so far, and in all.
    read: Arc<AtomicU64>,
    bytes: u64,
    columns: &'static [&'static str],
    /// Where each of `columns` stands.
    positions: Vec<usize>,
    field_count: usize,
}

/// What was read of a table.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) malformed: u64,
}

impl Tsv {
    /// Opens a plain or gzipped table and finds its columns.
    pub(super) fn open(path: &Path, columns: &'static [&'static str]) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::io("open", path))?;
        let bytes = file.metadata().map_err(DatasetError::io("read", path))?.len();
        let read = Arc::new(AtomicU64::new(0));
        let counted =
            BufReader::with_capacity(BUFFER_BYTES, Counted { inner: file, read: Arc::clone(&read) });
        let gzipped = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let reader: Box<dyn BufRead> = if gzipped {
            let limit = (1 << 30) + bytes.saturating_mul(MAX_RATIO);
            let decoder = Limited { inner: MultiGzDecoder::new(counted), left: limit };
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        } else {
            Box::new(counted)
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = path.to_owned();
        let mut tsv =
            Self { path, name, reader, read, bytes, columns, positions: Vec::new(), field_count: 0 };
        tsv.read_header()?;
        Ok(tsv)
    }

    fn read_header(&mut self) -> Result<(), DatasetError> {
        let mut line = Vec::new();
        self.read_line(&mut line)?;
        let header = String::from_utf8_lossy(&line).into_owned();
        let names: Vec<&str> = header.split('\t').collect();
        for column in self.columns {
            let Some(at) = names.iter().position(|name| name == column) else {
                return Err(DatasetError::MissingColumn {
                    path: self.path.clone(),
                    column: (*column).to_owned(),
                    role: "join with IMDb",
                    found: names.iter().take(20).map(|name| name.chars().take(40).collect()).collect(),
                });
            };
            self.positions.push(at);
        }
        self.field_count = names.len();
        Ok(())
    }

    /// Visits the asked-for columns of each row, in the order asked for; malformed rows are counted, and the first few kept.
    pub(super) fn for_each_row(
        mut self,
        progress: Progress<'_>,
        examples: &mut Vec<Rejection>,
        mut visit: impl FnMut(&[&str]) -> Result<(), Fault>,
    ) -> Result<Counts, DatasetError> {
        let stage = format!("reading {}", self.name);
        let mut counts = Counts::default();
        let mut line = Vec::new();
        let mut number = 1;
        while self.read_line(&mut line)? {
            number += 1;
            if line.is_empty() {
                continue;
            }
            match self.split(&line).and_then(|row| visit(&row)) {
                Ok(()) => counts.rows += 1,
                Err(fault) => {
                    counts.malformed += 1;
                    if examples.len() < super::MAX_EXAMPLES {
                        examples.push(Rejection::new(
                            &self.name,
                            number,
                            fault.column,
                            fault.reason,
                            &fault.found,
                        ));
                    }
                }
            }
            if number % STEP_ROWS == 0 {
                progress(Step::new(&stage, self.read.load(Ordering::Relaxed), Some(self.bytes)));
            }
        }
        progress(Step::new(&stage, self.bytes, Some(self.bytes)));
        Ok(counts)
    }

    /// Reads a line without its end, cut at the limit; false at the end of the file.
    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool, DatasetError> {
        line.clear();
        let failed = |error| failed(&self.path, error);
        let read = (&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', line).map_err(failed)?;
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        } else if read as u64 == MAX_LINE_BYTES {
            self.reader.skip_until(b'\n').map_err(failed)?;
        }
        Ok(read > 0)
    }

    fn split<'a>(&self, line: &'a [u8]) -> Result<Vec<&'a str>, Fault> {
        let fault = |column, reason| {
            let found: String = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
            Fault { column, reason, found }
        };
        let line = std::str::from_utf8(line).map_err(|_| fault(self.columns[0], INVALID_UTF8))?;
        let mut row = vec![""; self.columns.len()];
        let mut count = 0;
        for field in line.split('\t') {
            if let Some(at) = self.positions.iter().position(|&position| position == count) {
                row[at] = field;
            }
            count += 1;
        }
        if count == self.field_count { Ok(row) } else { Err(fault(self.columns[0], WRONG_FIELD_COUNT)) }
    }
}

fn failed(path: &Path, error: std::io::Error) -> DatasetError {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) {
        let reason = format!("it is truncated or damaged ({error}); download it again");
        return DatasetError::Archive { path: path.to_owned(), reason };
    }
    DatasetError::io("read", path)(error)
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Fails rather than yield more than a limit.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "it expands out of proportion, like a bomb")
        })?;
        Ok(read)
    }
}
