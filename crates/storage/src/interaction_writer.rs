//! Writing `interactions.parquet` as a stream: ids become numbers at once, rows leave memory with their row group.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float32Array, Int32Array, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use cinedex_domain::{InteractionKind, check_id};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::interaction::{KIND, LOCATION, MOVIE_ID, NO_CODE, NO_TIME, TIMESTAMP, USER_ID, VALUE};
use crate::parquet_file::{create, properties};
use crate::{InteractionRow, Interner, StorageError};

/// Rows of a row group: each holds its own dictionaries of ids.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// Writes interactions in the order of [`push`](Self::push). Memory: 25 bytes a row of one row group (2^20 rows), its encoded
/// form, and each distinct id once.
pub struct InteractionWriter {
    path: PathBuf,
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    users: Coded,
    movies: Coded,
    locations: Coded,
    kinds: Vec<i32>,
    values: Vec<f32>,
    timestamps_ms: Vec<i64>,
    rows: u64,
    row_group_rows: usize,
}

impl InteractionWriter {
    /// Creates the file; an existing one is overwritten.
    pub fn create(path: &Path) -> Result<Self, StorageError> {
        Self::create_with(path, ROW_GROUP_ROWS)
    }

    pub(crate) fn create_with(path: &Path, row_group_rows: usize) -> Result<Self, StorageError> {
        let text = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let schema = Arc::new(Schema::new(vec![
            Field::new(USER_ID, text(), false),
            Field::new(MOVIE_ID, text(), false),
            Field::new(KIND, text(), false),
            Field::new(VALUE, DataType::Float32, true),
            Field::new(TIMESTAMP, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
            Field::new(LOCATION, text(), true),
        ]));
        Ok(Self {
            path: path.to_owned(),
            writer: create(path, schema.clone(), table_properties())?,
            schema,
            users: Coded::default(),
            movies: Coded::default(),
            locations: Coded::default(),
            kinds: Vec::new(),
            values: Vec::new(),
            timestamps_ms: Vec::new(),
            rows: 0,
            row_group_rows,
        })
    }

    /// Adds a row. Refuses an id of no or too many bytes and a value that is not finite; nothing is added then.
    pub fn push(&mut self, row: InteractionRow<'_>) -> Result<(), StorageError> {
        if let Some((column, reason)) = fault(&row) {
            let path = self.path.clone();
            return Err(StorageError::InvalidValue {
                path,
                row: self.rows + 1,
                column: column.to_owned(),
                reason,
            });
        }
        self.users.push(row.user_id);
        self.movies.push(row.movie_id);
        match row.location {
            Some(place) => self.locations.push(place),
            None => self.locations.codes.push(NO_CODE),
        }
        self.kinds.push(row.kind as i32);
        self.values.push(row.value.unwrap_or(f32::NAN));
        self.timestamps_ms.push(row.timestamp_ms.unwrap_or(NO_TIME));
        self.rows += 1;
        if self.kinds.len() == self.row_group_rows { self.flush() } else { Ok(()) }
    }

    /// Rows so far.
    pub fn row_count(&self) -> u64 {
        self.rows
    }

    /// The distinct users so far, in the order of their first row.
    pub fn users(&self) -> &Interner {
        &self.users.interner
    }

    /// The distinct movies so far, in the order of their first row.
    pub fn movies(&self) -> &Interner {
        &self.movies.interner
    }

    /// Ends the file and answers the number of rows.
    pub fn finish(mut self) -> Result<u64, StorageError> {
        if !self.kinds.is_empty() {
            self.flush()?;
        }
        self.writer.close().map_err(StorageError::unwritable(&self.path))?;
        Ok(self.rows)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        let kinds = StringArray::from_iter_values(InteractionKind::ALL.iter().map(|kind| kind.as_str()));
        let kind_codes = Int32Array::from_iter_values(self.kinds.drain(..));
        let present = |value: f32| (!value.is_nan()).then_some(value);
        let values: Float32Array = self.values.drain(..).map(present).collect();
        let present = |time: i64| (time != NO_TIME).then_some(time);
        let times: TimestampMillisecondArray = self.timestamps_ms.drain(..).map(present).collect();
        let columns: Vec<ArrayRef> = vec![
            self.users.take(),
            self.movies.take(),
            Arc::new(DictionaryArray::<Int32Type>::new(kind_codes, Arc::new(kinds))),
            Arc::new(values),
            Arc::new(times.with_timezone("UTC")),
            self.locations.take(),
        ];
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(StorageError::unwritable(&self.path))?;
        self.writer
            .write(&batch)
            .and_then(|()| self.writer.flush())
            .map_err(StorageError::unwritable(&self.path))
    }
}

/// Dictionaries as large as they need to be, except for times, which hardly repeat; no statistics of ids, which order by bytes.
fn table_properties() -> WriterProperties {
    let mut builder = properties()
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_dictionary_page_size_limit(1 << 30)
        .set_column_dictionary_enabled(ColumnPath::from(TIMESTAMP), false);
    for column in [USER_ID, MOVIE_ID, KIND] {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::None);
    }
    builder.build()
}

fn fault(row: &InteractionRow<'_>) -> Option<(&'static str, String)> {
    if let Err(error) = check_id(row.user_id) {
        return Some((USER_ID, error.to_string()));
    }
    if let Err(error) = check_id(row.movie_id) {
        return Some((MOVIE_ID, error.to_string()));
    }
    let infinite = row.value.is_some_and(|value| !value.is_finite());
    infinite.then(|| (VALUE, "it is not finite".to_owned()))
}

/// A column of texts as numbers of the whole file's texts.
#[derive(Default)]
struct Coded {
    interner: Interner,
    codes: Vec<u32>,
    /// For each number of the file its number in the row group being flushed, else [`NO_CODE`].
    local: Vec<u32>,
}

impl Coded {
    fn push(&mut self, text: &str) {
        let code = self.interner.intern(text);
        self.codes.push(code);
    }

    /// The column with a dictionary of only the texts that occur in it; empties the column.
    fn take(&mut self) -> ArrayRef {
        self.local.resize(self.interner.len(), NO_CODE);
        let mut occurring: Vec<u32> = Vec::new();
        let local = &mut self.local;
        let keys: Int32Array = self
            .codes
            .drain(..)
            .map(|code| {
                let local = local.get_mut(code as usize)?;
                if *local == NO_CODE {
                    *local = occurring.len() as u32;
                    occurring.push(code);
                }
                Some(*local as i32)
            })
            .collect();
        let texts = StringArray::from_iter_values(occurring.iter().map(|&code| self.interner.get(code)));
        for code in occurring {
            self.local[code as usize] = NO_CODE;
        }
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(texts)))
    }
}
