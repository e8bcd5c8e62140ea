//! A malformed row: where it stands and what is wrong with it.

use std::fmt;

use serde::Serialize;

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The file's name.
    pub file: String,
    /// The line, from 1 with the header counted; in a Parquet file the row, from 1.
    pub line: u64,
    /// The column's name, or its number from 1 where columns have no names.
    pub column: String,
    /// What is wrong, a constant phrase under which rejections are counted.
    pub reason: &'static str,
    /// The offending text, cut to a printable length; empty if there is none.
    pub found: String,
}

impl Rejection {
    /// A rejection; `found` is cut to 60 characters.
    pub fn new(file: &str, line: u64, column: &str, reason: &'static str, found: &str) -> Self {
        let mut cut: String = found.chars().take(60).collect();
        if cut.len() < found.len() {
            cut.push('…');
        }
        Self { file: file.to_owned(), line, column: column.to_owned(), reason, found: cut }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, line {}, column {}: {}", self.file, self.line, self.column, self.reason)?;
        if self.found.is_empty() { Ok(()) } else { write!(formatter, " ({:?})", self.found) }
    }
}
