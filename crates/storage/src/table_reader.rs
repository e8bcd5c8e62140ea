//! Any Parquet table, row by row, as plain cells: the way that foreign files and small tables are read. It knows nothing of
//! movies and users.

use std::borrow::Cow;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{self as types, DataType, TimeUnit};

use crate::StorageError;
use crate::parquet_file::{Batches, ParquetFile};

const BATCH_ROWS: usize = 8192;

/// One value of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// Text.
    Text(&'a str),
    /// A whole number of any width.
    Integer(i128),
    /// A floating-point number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A time in milliseconds since 1970 UTC; a time without a zone is taken as UTC, a date as its midnight.
    TimestampMs(i64),
    /// A list.
    List(Vec<Cell<'a>>),
}

impl<'a> Cell<'a> {
    /// Text as it is, a whole number in decimal; `None` for everything else. This is how ids are read.
    pub fn as_text(&self) -> Option<Cow<'a, str>> {
        match *self {
            Cell::Text(text) => Some(Cow::Borrowed(text)),
            Cell::Integer(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }
}

/// Reads chosen columns of a Parquet file.
pub struct TableReader {
    file: ParquetFile,
    /// Positions in the file, ascending.
    columns: Vec<usize>,
    /// For each selected column its position in a batch.
    places: Vec<usize>,
    row_group: usize,
    batches: Option<Batches>,
}

impl TableReader {
    /// Opens a file; no column is selected yet.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let file = ParquetFile::open(path, false)?;
        Ok(Self { file, columns: Vec::new(), places: Vec::new(), row_group: 0, batches: None })
    }

    /// Names of the file's columns.
    pub fn columns(&self) -> Vec<String> {
        self.file.columns()
    }

    /// Rows by the file's own account.
    pub fn row_count(&self) -> u64 {
        self.file.row_count()
    }

    /// Selects columns; [`TableBatch::cell`] numbers them in this order. Refuses types that have no [`Cell`].
    pub fn select(&mut self, columns: &[&str]) -> Result<(), StorageError> {
        let mut positions = Vec::with_capacity(columns.len());
        for &name in columns {
            let position = self.file.column(name)?;
            let found = self.file.schema().field(position).data_type();
            if !has_cell(found) {
                return Err(StorageError::WrongColumnType {
                    path: self.file.path().to_owned(),
                    column: name.to_owned(),
                    expected: "text, a number, a boolean, a time or a list of these",
                    found: found.to_string(),
                });
            }
            positions.push(position);
        }
        self.columns.clone_from(&positions);
        self.columns.sort_unstable();
        self.columns.dedup();
        self.places =
            positions.iter().filter_map(|position| self.columns.binary_search(position).ok()).collect();
        Ok(())
    }

    /// The next rows, at least one; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<TableBatch>, StorageError> {
        loop {
            if self.batches.is_none() {
                if self.row_group == self.file.row_group_count() {
                    return Ok(None);
                }
                self.batches = Some(self.file.read_row_group(self.row_group, &self.columns, BATCH_ROWS)?);
                self.row_group += 1;
            }
            let Some(batches) = &mut self.batches else { continue };
            match batches.next()? {
                Some(batch) if batch.num_rows() > 0 => {
                    let columns = self.places.iter().map(|&place| batch.column(place).clone()).collect();
                    return Ok(Some(TableBatch { columns, rows: batch.num_rows() }));
                }
                Some(_) => {}
                None => self.batches = None,
            }
        }
    }
}

/// Some rows of a table.
pub struct TableBatch {
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl TableBatch {
    /// Rows in this batch.
    pub fn row_count(&self) -> usize {
        self.rows
    }

    /// The value of a selected column, by its position in the selection, and a row of the batch, both from 0.
    pub fn cell(&self, column: usize, row: usize) -> Cell<'_> {
        cell(self.columns[column].as_ref(), row)
    }
}

fn has_cell(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::List(field) | T::LargeList(field) | T::FixedSizeList(field, _) => has_cell(field.data_type()),
        other => {
            let text = matches!(other, T::Utf8 | T::LargeUtf8 | T::Utf8View);
            let plain = matches!(other, T::Boolean | T::Null | T::Float32 | T::Float64);
            let time = matches!(other, T::Timestamp(..) | T::Date32 | T::Date64);
            text || plain || time || other.is_integer()
        }
    }
}

fn cell(array: &dyn Array, row: usize) -> Cell<'_> {
    use DataType as T;
    if array.is_null(row) {
        return Cell::Null;
    }
    macro_rules! integer {
        ($kind:ty) => {
            Cell::Integer(array.as_primitive::<$kind>().value(row).into())
        };
    }
    match array.data_type() {
        T::Utf8 => Cell::Text(array.as_string::<i32>().value(row)),
        T::LargeUtf8 => Cell::Text(array.as_string::<i64>().value(row)),
        T::Utf8View => Cell::Text(array.as_string_view().value(row)),
        T::Boolean => Cell::Boolean(array.as_boolean().value(row)),
        T::Int8 => integer!(types::Int8Type),
        T::Int16 => integer!(types::Int16Type),
        T::Int32 => integer!(types::Int32Type),
        T::Int64 => integer!(types::Int64Type),
        T::UInt8 => integer!(types::UInt8Type),
        T::UInt16 => integer!(types::UInt16Type),
        T::UInt32 => integer!(types::UInt32Type),
        T::UInt64 => integer!(types::UInt64Type),
        T::Float32 => Cell::Float(array.as_primitive::<types::Float32Type>().value(row).into()),
        T::Float64 => Cell::Float(array.as_primitive::<types::Float64Type>().value(row)),
        T::Timestamp(..) | T::Date32 | T::Date64 => Cell::TimestampMs(time_ms(array, row)),
        T::List(_) => {
            let list = array.as_list::<i32>();
            cells(list.values(), list.value_offsets()[row] as usize, list.value_length(row) as usize)
        }
        T::LargeList(_) => {
            let list = array.as_list::<i64>();
            cells(list.values(), list.value_offsets()[row] as usize, list.value_length(row) as usize)
        }
        T::FixedSizeList(..) => {
            let list = array.as_fixed_size_list();
            cells(list.values(), list.value_offset_at(row), list.value_length() as usize)
        }
        _ => Cell::Null,
    }
}

fn cells(values: &ArrayRef, start: usize, length: usize) -> Cell<'_> {
    Cell::List((start..start + length).map(|position| cell(values.as_ref(), position)).collect())
}

/// A timestamp or date of any unit in milliseconds since 1970; of a null, anything.
pub(crate) fn time_ms(array: &dyn Array, row: usize) -> i64 {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<types::TimestampSecondType>().value(row).saturating_mul(1000)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<types::TimestampMillisecondType>().value(row)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<types::TimestampMicrosecondType>().value(row).div_euclid(1000)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<types::TimestampNanosecondType>().value(row).div_euclid(1_000_000)
        }
        DataType::Date32 => i64::from(array.as_primitive::<types::Date32Type>().value(row)) * 86_400_000,
        _ => array.as_primitive::<types::Date64Type>().value(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{BooleanArray, StringArray, TimestampMicrosecondArray};
    use arrow::array::{
        Date32Array, Float32Array, ListArray, StringViewArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow::record_batch::RecordBatch;

    fn written(columns: Vec<(&str, ArrayRef)>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        crate::parquet_file::write_batch(
            file.path(),
            &RecordBatch::try_from_iter_with_nullable(columns).unwrap(),
        )
        .unwrap();
        file
    }

    fn check(column: ArrayRef, expect: &[Cell<'_>]) {
        let file = written(vec![("x", column)]);
        let mut reader = TableReader::open(file.path()).unwrap();
        reader.select(&["x"]).unwrap();
        let batch = reader.next_batch().unwrap().unwrap();
        let found: Vec<Cell<'_>> = (0..batch.row_count()).map(|row| batch.cell(0, row)).collect();
        assert_eq!(found, expect);
        assert!(reader.next_batch().unwrap().is_none());
    }

    #[test]
    fn every_type_has_its_cell() {
        check(
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
            &[Cell::Integer(u64::MAX.into()), Cell::Null],
        );
        check(Arc::new(StringViewArray::from(vec!["é"])), &[Cell::Text("é")]);
        check(Arc::new(Float32Array::from(vec![0.5])), &[Cell::Float(0.5)]);
        check(Arc::new(BooleanArray::from(vec![true])), &[Cell::Boolean(true)]);
        check(Arc::new(TimestampMicrosecondArray::from(vec![-1])), &[Cell::TimestampMs(-1)]);
        check(Arc::new(TimestampNanosecondArray::from(vec![2_999_999])), &[Cell::TimestampMs(2)]);
        check(Arc::new(Date32Array::from(vec![2])), &[Cell::TimestampMs(172_800_000)]);
        let lists = vec![Some(vec![Some(1), None]), None, Some(vec![])];
        let lists = ListArray::from_iter_primitive::<types::Int32Type, _, _>(lists);
        let first = Cell::List(vec![Cell::Integer(1), Cell::Null]);
        check(Arc::new(lists), &[first, Cell::Null, Cell::List(vec![])]);
    }

    #[test]
    fn columns_come_in_the_order_of_the_selection() {
        let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        let file = written(vec![("a", text("1")), ("b", text("2")), ("c", text("3"))]);
        let mut reader = TableReader::open(file.path()).unwrap();
        reader.select(&["c", "a", "c"]).unwrap();
        let batch = reader.next_batch().unwrap().unwrap();
        assert_eq!([0, 1, 2].map(|column| batch.cell(column, 0)), ["3", "1", "3"].map(Cell::Text));
        let message = reader.select(&["d"]).unwrap_err().to_string();
        assert!(message.contains("\"d\"; its columns are: a, b, c"), "{message}");
    }
}
