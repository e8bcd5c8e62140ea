//! Typed fields of a row of cells, with errors that name path, row and column.

use std::path::{Path, PathBuf};

use crate::StorageError;
use crate::table_reader::{Cell, TableBatch, TableReader};

/// A reader of one small table whose columns, apart from the required ones, may be missing.
pub(crate) struct TypedTable {
    path: PathBuf,
    reader: TableReader,
    /// Selected columns that are there.
    names: Vec<String>,
}

impl TypedTable {
    /// Opens the table and selects all its columns.
    pub(crate) fn open(path: &Path, required: &[&str]) -> Result<Self, StorageError> {
        let mut reader = TableReader::open(path)?;
        let names = reader.columns();
        for &column in required {
            if !names.iter().any(|name| name == column) {
                return Err(StorageError::MissingColumn {
                    path: path.to_owned(),
                    column: column.to_owned(),
                    found: names,
                });
            }
        }
        reader.select(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Self { path: path.to_owned(), reader, names })
    }

    /// The columns that are there.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Visits every row.
    pub(crate) fn each(
        &mut self,
        mut visit: impl FnMut(&Row<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut number = 0;
        while let Some(batch) = self.reader.next_batch()? {
            for row in 0..batch.row_count() {
                number += 1;
                visit(&Row { path: &self.path, names: &self.names, batch: &batch, in_batch: row, number })?;
            }
        }
        Ok(())
    }
}

/// One row.
pub(crate) struct Row<'a> {
    path: &'a Path,
    names: &'a [String],
    batch: &'a TableBatch,
    in_batch: usize,
    number: u64,
}

impl<'a> Row<'a> {
    /// The row's number in the file, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The cell of a column; null if there is no such column.
    pub(crate) fn cell(&self, column: &str) -> Cell<'a> {
        match self.names.iter().position(|name| name == column) {
            Some(position) => self.batch.cell(position, self.in_batch),
            None => Cell::Null,
        }
    }

    /// Text that may be missing.
    pub(crate) fn text(&self, column: &str) -> Result<Option<String>, StorageError> {
        match self.cell(column) {
            Cell::Null => Ok(None),
            cell => cell
                .as_text()
                .map(|text| Some(text.into_owned()))
                .ok_or_else(|| self.invalid(column, "not text")),
        }
    }

    /// Text that must be there.
    pub(crate) fn required_text(&self, column: &str) -> Result<String, StorageError> {
        self.text(column)?.ok_or_else(|| self.invalid(column, "it is null"))
    }

    /// A list of texts; null is an empty one.
    pub(crate) fn texts(&self, column: &str) -> Result<Vec<String>, StorageError> {
        match self.cell(column) {
            Cell::Null => Ok(Vec::new()),
            Cell::List(cells) => cells
                .iter()
                .filter(|cell| **cell != Cell::Null)
                .map(|cell| {
                    cell.as_text().map(Into::into).ok_or_else(|| self.invalid(column, "not a list of texts"))
                })
                .collect(),
            _ => Err(self.invalid(column, "not a list of texts")),
        }
    }

    /// A whole number that may be missing.
    pub(crate) fn whole<T: TryFrom<i128>>(&self, column: &str) -> Result<Option<T>, StorageError> {
        let number = match self.cell(column) {
            Cell::Null => return Ok(None),
            Cell::Integer(number) => number,
            // pandas keeps whole numbers with gaps as floats.
            Cell::Float(number) if number.is_nan() => return Ok(None),
            Cell::Float(number) if number.fract() == 0.0 && number.abs() < 1e18 => number as i128,
            _ => return Err(self.invalid(column, "not a whole number")),
        };
        T::try_from(number).map(Some).map_err(|_| self.invalid(column, "a number out of range"))
    }

    /// A finite number that may be missing; NaN counts as missing.
    pub(crate) fn number_of(&self, column: &str) -> Result<Option<f32>, StorageError> {
        match self.cell(column) {
            Cell::Null => Ok(None),
            Cell::Float(number) if number.is_nan() => Ok(None),
            Cell::Float(number) if number.is_finite() => Ok(Some(number as f32)),
            Cell::Integer(number) => Ok(Some(number as f32)),
            _ => Err(self.invalid(column, "not a finite number")),
        }
    }

    /// True or false, or missing.
    pub(crate) fn boolean(&self, column: &str) -> Result<Option<bool>, StorageError> {
        match self.cell(column) {
            Cell::Null => Ok(None),
            Cell::Boolean(value) => Ok(Some(value)),
            _ => Err(self.invalid(column, "not true or false")),
        }
    }

    /// The error for this row.
    pub(crate) fn invalid(&self, column: &str, reason: &str) -> StorageError {
        StorageError::InvalidValue {
            path: self.path.to_owned(),
            row: self.number,
            column: column.to_owned(),
            reason: reason.to_owned(),
        }
    }
}
