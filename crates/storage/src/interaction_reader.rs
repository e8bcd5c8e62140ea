//! Reading `interactions.parquet` quickly: texts are looked up once a row group, rows carry numbers.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Float32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Int32Type, Schema, TimestampMillisecondType};
use cinedex_domain::{InteractionKind, check_id};

use crate::interaction::{KIND, LOCATION, MOVIE_ID, NO_CODE, NO_TIME, TIMESTAMP, USER_ID, VALUE};
use crate::parquet_file::{Batches, ParquetFile};
use crate::table_reader::time_ms;
use crate::{InteractionRow, Interner, StorageError};

const BATCH_ROWS: usize = 1 << 16;
const COLUMNS: [&str; 6] = [USER_ID, MOVIE_ID, KIND, VALUE, TIMESTAMP, LOCATION];

/// Consecutive rows as columns of equal length. Codes number the texts of the whole file in the order of first occurrence, so
/// they stay the same from batch to batch.
#[derive(Debug, Clone, Copy)]
pub struct InteractionBatch<'a> {
    /// Codes in [`users`](Self::users).
    pub user_codes: &'a [u32],
    /// Codes in [`movies`](Self::movies).
    pub movie_codes: &'a [u32],
    /// What was done.
    pub kinds: &'a [InteractionKind],
    /// The rating, finite; NaN without one.
    pub values: &'a [f32],
    /// Milliseconds UTC; [`crate::NO_TIME`] without one.
    pub timestamps_ms: &'a [i64],
    /// Codes in [`locations`](Self::locations); [`crate::NO_CODE`] without one.
    pub location_codes: &'a [u32],
    /// Ids of users up to and with this batch, each 1 to 256 bytes.
    pub users: &'a Interner,
    /// Ids of movies up to and with this batch, each 1 to 256 bytes.
    pub movies: &'a Interner,
    /// Places up to and with this batch, as written.
    pub locations: &'a Interner,
}

/// Reads interactions batch by batch, in file order.
pub struct InteractionReader {
    file: ParquetFile,
    /// Position in the file of each of `COLUMNS`, where it is there.
    positions: [Option<usize>; 6],
    /// Positions that are read of the present row group, ascending.
    selected: Vec<usize>,
    row_group: usize,
    batches: Option<Batches>,
    rows: u64,
    users: CodedColumn,
    movies: CodedColumn,
    kind_names: CodedColumn,
    locations: CodedColumn,
    kinds: Vec<InteractionKind>,
    values: Vec<f32>,
    timestamps_ms: Vec<i64>,
}

impl InteractionReader {
    /// Opens the table. `user_id`, `movie_id` (text or whole numbers) and `kind` must be there.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let file = ParquetFile::open(path, false)?;
        for required in [USER_ID, MOVIE_ID, KIND] {
            file.column(required)?;
        }
        let file = with_dictionaries(file)?;
        let positions = COLUMNS.map(|name| file.column(name).ok());
        check_types(&file, positions)?;
        Ok(Self {
            file,
            positions,
            selected: Vec::new(),
            row_group: 0,
            batches: None,
            rows: 0,
            users: CodedColumn::default(),
            movies: CodedColumn::default(),
            kind_names: CodedColumn::default(),
            locations: CodedColumn::default(),
            kinds: Vec::new(),
            values: Vec::new(),
            timestamps_ms: Vec::new(),
        })
    }

    /// Rows by the file's own account.
    pub fn row_count(&self) -> u64 {
        self.file.row_count()
    }

    /// The next rows, at least one; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<InteractionBatch<'_>>, StorageError> {
        let batch = loop {
            if self.batches.is_none() {
                if self.row_group == self.file.row_group_count() {
                    return Ok(None);
                }
                self.select();
                self.batches = Some(self.file.read_row_group(self.row_group, &self.selected, BATCH_ROWS)?);
                self.row_group += 1;
            }
            let Some(batches) = &mut self.batches else { continue };
            match batches.next()? {
                Some(batch) if batch.num_rows() > 0 => break batch,
                Some(_) => {}
                None => self.batches = None,
            }
        };
        let column = |which: usize| {
            let place = self.selected.binary_search(&self.positions[which]?).ok()?;
            Some(batch.column(place).clone())
        };
        let (path, before, rows) = (self.file.path(), self.rows, batch.num_rows());
        let id = |text: &str| check_id(text).map_err(|error| error.to_string());
        self.users.fill(column(0), rows, USER_ID, id).map_err(|fault| fault.at(path, before))?;
        self.movies.fill(column(1), rows, MOVIE_ID, id).map_err(|fault| fault.at(path, before))?;
        let kind = |text: &str| text.parse::<InteractionKind>().map(drop).map_err(|error| error.to_string());
        self.kind_names.fill(column(2), rows, KIND, kind).map_err(|fault| fault.at(path, before))?;
        self.locations.fill(column(5), rows, LOCATION, |_| Ok(())).map_err(|fault| fault.at(path, before))?;
        fill_values(&mut self.values, column(3), rows).map_err(|fault| fault.at(path, before))?;
        fill_times(&mut self.timestamps_ms, column(4), rows);
        let kinds: Vec<InteractionKind> =
            self.kind_names.interner.iter().filter_map(|name| name.parse().ok()).collect();
        self.kinds.clear();
        self.kinds.extend(self.kind_names.codes.iter().map(|&code| kinds[code as usize]));
        self.rows += rows as u64;
        Ok(Some(self.current()))
    }

    /// Chooses the columns of the next row group: those that are there, places only if any row has one, since a column of nulls
    /// costs the decoder as much as all others together.
    fn select(&mut self) {
        let there =
            self.positions.iter().enumerate().filter_map(|(which, position)| Some((which, (*position)?)));
        self.selected = there
            .filter(|&(which, at)| {
                COLUMNS[which] != LOCATION || !self.file.is_empty_column(self.row_group, at)
            })
            .map(|(_, position)| position)
            .collect();
        self.selected.sort_unstable();
    }

    fn current(&self) -> InteractionBatch<'_> {
        InteractionBatch {
            user_codes: &self.users.codes,
            movie_codes: &self.movies.codes,
            kinds: &self.kinds,
            values: &self.values,
            timestamps_ms: &self.timestamps_ms,
            location_codes: &self.locations.codes,
            users: &self.users.interner,
            movies: &self.movies.interner,
            locations: &self.locations.interner,
        }
    }
}

/// Visits every row in file order and answers their number; an error of `visit` ends it.
pub fn read_interactions(
    path: &Path,
    visit: &mut dyn FnMut(InteractionRow<'_>) -> Result<(), StorageError>,
) -> Result<u64, StorageError> {
    let mut reader = InteractionReader::open(path)?;
    let mut rows = 0;
    while let Some(batch) = reader.next_batch()? {
        for row in 0..batch.kinds.len() {
            let (value, time, place) =
                (batch.values[row], batch.timestamps_ms[row], batch.location_codes[row]);
            visit(InteractionRow {
                user_id: batch.users.get(batch.user_codes[row]),
                movie_id: batch.movies.get(batch.movie_codes[row]),
                kind: batch.kinds[row],
                value: (!value.is_nan()).then_some(value),
                timestamp_ms: (time != NO_TIME).then_some(time),
                location: (place != NO_CODE).then(|| batch.locations.get(place)),
            })?;
            rows += 1;
        }
    }
    Ok(rows)
}

/// Texts are read as the dictionaries that they are stored as.
fn with_dictionaries(file: ParquetFile) -> Result<ParquetFile, StorageError> {
    let fields: Vec<Field> = file
        .schema()
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 if COLUMNS.contains(&field.name().as_str()) => {
                let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                Field::new(field.name(), text, field.is_nullable())
            }
            _ => field.as_ref().clone(),
        })
        .collect();
    file.with_schema(Arc::new(Schema::new(fields)))
}

fn check_types(file: &ParquetFile, positions: [Option<usize>; 6]) -> Result<(), StorageError> {
    let expected =
        ["text or whole numbers", "text or whole numbers", "text", "a number", "a timestamp", "text"];
    for (which, position) in positions.into_iter().enumerate() {
        let Some(position) = position else { continue };
        let found = file.schema().field(position).data_type();
        let text = matches!(found, DataType::Dictionary(..));
        let fits = match COLUMNS[which] {
            USER_ID | MOVIE_ID => text || found.is_integer(),
            VALUE => found.is_numeric(),
            TIMESTAMP => matches!(found, DataType::Timestamp(..)),
            _ => text,
        };
        if !fits {
            return Err(StorageError::WrongColumnType {
                path: file.path().to_owned(),
                column: COLUMNS[which].to_owned(),
                expected: expected[which],
                found: found.to_string(),
            });
        }
    }
    Ok(())
}

/// What is wrong in a batch, before path and row in the file are known.
struct Fault {
    column: &'static str,
    row: usize,
    reason: String,
}

impl Fault {
    fn at(self, path: &Path, rows_before: u64) -> StorageError {
        StorageError::InvalidValue {
            path: path.to_owned(),
            row: rows_before + self.row as u64 + 1,
            column: self.column.to_owned(),
            reason: self.reason,
        }
    }
}

/// A column of texts as codes.
#[derive(Default)]
struct CodedColumn {
    interner: Interner,
    codes: Vec<u32>,
    /// The dictionary that `mapping` belongs to. It is kept, so that an equal address means the same dictionary.
    dictionary: Option<StringArray>,
    /// From the dictionary's keys to codes; [`NO_CODE`] before a key's first row.
    mapping: Vec<u32>,
}

impl CodedColumn {
    /// Takes the next column; one that is not there, or its nulls, are without a code, which only places may be.
    fn fill(
        &mut self,
        column: Option<ArrayRef>,
        rows: usize,
        name: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Result<(), Fault> {
        self.codes.clear();
        let Some(column) = column else {
            self.codes.resize(rows, NO_CODE);
            return Ok(());
        };
        let fault = |row, reason: &str| Fault { column: name, row, reason: reason.to_owned() };
        let column = as_dictionary(&column).map_err(|reason| Fault { column: name, row: 0, reason })?;
        let keys = column.keys();
        if name == LOCATION && keys.null_count() == rows {
            self.codes.resize(rows, NO_CODE);
            return Ok(());
        }
        if name != LOCATION && keys.null_count() > 0 {
            let row = (0..rows).find(|&row| keys.is_null(row)).unwrap_or(0);
            return Err(fault(row, "it is null"));
        }
        let texts = column.values().as_string::<i32>();
        if !self.dictionary.as_ref().is_some_and(|known| same_dictionary(known, texts)) {
            self.dictionary = Some(texts.clone());
            self.mapping.clear();
            self.mapping.resize(texts.len(), NO_CODE);
        }
        for row in 0..rows {
            if keys.is_null(row) {
                self.codes.push(NO_CODE);
                continue;
            }
            let key = keys.value(row) as usize;
            let code = self.mapping.get_mut(key).ok_or_else(|| fault(row, "it is not in the dictionary"))?;
            // A dictionary may hold what no row has: a text counts from its first row on.
            if *code == NO_CODE {
                check(texts.value(key)).map_err(|reason| Fault { column: name, row, reason })?;
                *code = self.interner.intern(texts.value(key));
            }
            self.codes.push(*code);
        }
        Ok(())
    }
}

fn same_dictionary(left: &StringArray, right: &StringArray) -> bool {
    left.len() == right.len()
        && left.value_data().as_ptr() == right.value_data().as_ptr()
        && left.value_offsets().as_ptr() == right.value_offsets().as_ptr()
}

fn as_dictionary(column: &ArrayRef) -> Result<DictionaryArray<Int32Type>, String> {
    let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    if *column.data_type() == text {
        return Ok(column.as_dictionary::<Int32Type>().clone());
    }
    let texts = cast(column, &DataType::Utf8).map_err(|error| error.to_string())?;
    let texts = cast(&texts, &text).map_err(|error| error.to_string())?;
    Ok(texts.as_dictionary::<Int32Type>().clone())
}

fn fill_values(values: &mut Vec<f32>, column: Option<ArrayRef>, rows: usize) -> Result<(), Fault> {
    values.clear();
    let Some(column) = column else {
        values.resize(rows, f32::NAN);
        return Ok(());
    };
    let fault = |row, reason: String| Fault { column: VALUE, row, reason };
    let column = cast(&column, &DataType::Float32).map_err(|error| fault(0, error.to_string()))?;
    let column: &Float32Array = column.as_primitive::<Float32Type>();
    if column.null_count() == 0 {
        values.extend_from_slice(column.values());
    } else {
        values.extend(column.iter().map(|value| value.unwrap_or(f32::NAN)));
    }
    match values.iter().position(|value| value.is_infinite()) {
        Some(row) => Err(fault(row, "it is not finite".to_owned())),
        None => Ok(()),
    }
}

fn fill_times(times: &mut Vec<i64>, column: Option<ArrayRef>, rows: usize) {
    times.clear();
    let Some(column) = column else {
        times.resize(rows, NO_TIME);
        return;
    };
    match column.as_primitive_opt::<TimestampMillisecondType>() {
        Some(column) if column.null_count() == 0 => times.extend_from_slice(column.values()),
        _ => times.extend((0..rows).map(|row| match time_ms(column.as_ref(), row) {
            time if column.is_valid(row) => time,
            _ => NO_TIME,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InteractionWriter;
    use arrow::array::{Float64Array, Int64Array, TimestampMicrosecondArray, UInt32Array};
    use arrow::record_batch::RecordBatch;
    use proptest::prelude::*;

    type Owned = (String, String, InteractionKind, Option<f32>, Option<i64>, Option<String>);

    fn owned(row: InteractionRow<'_>) -> Owned {
        let place = row.location.map(str::to_owned);
        (row.user_id.to_owned(), row.movie_id.to_owned(), row.kind, row.value, row.timestamp_ms, place)
    }

    fn read(path: &Path) -> Result<Vec<Owned>, StorageError> {
        let mut rows = Vec::new();
        let count = read_interactions(path, &mut |row| {
            rows.push(owned(row));
            Ok(())
        })?;
        assert_eq!(count, rows.len() as u64);
        Ok(rows)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn rows_come_back_in_order_over_row_groups(
            rows in proptest::collection::vec(
                ("[a-e]|\\PC{1,3}", "[0-9]{1,2}", 0_usize..6, proptest::option::of(-5.0_f32..5.0), any::<Option<i32>>(), proptest::option::of("U[A-C]")),
                0..120,
            ),
            row_group_rows in 1_usize..50,
        ) {
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut writer = InteractionWriter::create_with(file.path(), row_group_rows).unwrap();
            let mut expect = Vec::new();
            for (user, movie, kind, value, time, place) in &rows {
                let row = InteractionRow {
                    user_id: user,
                    movie_id: movie,
                    kind: InteractionKind::ALL[*kind],
                    value: *value,
                    timestamp_ms: time.map(i64::from),
                    location: place.as_deref(),
                };
                writer.push(row).unwrap();
                expect.push(owned(row));
            }
            prop_assert_eq!(writer.finish().unwrap(), rows.len() as u64);
            prop_assert_eq!(read(file.path()).unwrap(), expect);
        }
    }

    fn written(columns: Vec<(&str, ArrayRef)>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        crate::parquet_file::write_batch(file.path(), &batch).unwrap();
        file
    }

    fn kinds(names: Vec<Option<&str>>) -> (&'static str, ArrayRef) {
        (KIND, Arc::new(StringArray::from(names)))
    }

    fn ids(name: &'static str) -> (&'static str, ArrayRef) {
        (name, Arc::new(Int64Array::from(vec![1, 2])))
    }

    #[test]
    fn a_foreign_table_may_have_integer_ids_other_widths_and_fewer_columns() {
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(3_000_999), None]));
        let values: ArrayRef = Arc::new(Float64Array::from(vec![None, Some(4.5)]));
        let users: ArrayRef = Arc::new(UInt32Array::from(vec![7, 8]));
        let columns = vec![
            (TIMESTAMP, times),
            kinds(vec![Some("like"), Some("rating")]),
            (VALUE, values),
            ids(MOVIE_ID),
            (USER_ID, users),
        ];
        let rows = read(written(columns).path()).unwrap();
        assert_eq!(rows[0], ("7".into(), "1".into(), InteractionKind::Like, None, Some(3000), None));
        assert_eq!(rows[1], ("8".into(), "2".into(), InteractionKind::Rating, Some(4.5), None, None));
    }

    fn check_refused(columns: Vec<(&str, ArrayRef)>, expect: &str) {
        let message = read(written(columns).path()).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    }

    #[test]
    fn what_a_row_may_not_hold_is_refused_with_row_and_column() {
        let both = || vec![ids(USER_ID), ids(MOVIE_ID)];
        let with = |column| both().into_iter().chain([column]).collect::<Vec<_>>();
        check_refused(both(), "no column \"kind\"");
        check_refused(with(kinds(vec![Some("like"), None])), "row 2");
        check_refused(with(kinds(vec![Some("like"), Some("play")])), "row 2");
        check_refused(with((KIND, Arc::new(Int64Array::from(vec![1, 2])))), "is Int64, expected text");
        let infinite: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::INFINITY]));
        let mut columns = with(kinds(vec![Some("like"), Some("like")]));
        columns.push((VALUE, infinite));
        check_refused(columns, "row 2 of");
        let long: ArrayRef = Arc::new(StringArray::from(vec!["a".to_owned(), "x".repeat(257)]));
        check_refused(
            vec![(USER_ID, long), ids(MOVIE_ID), kinds(vec![Some("like"), Some("like")])],
            "at most 256",
        );
    }

    #[test]
    fn the_writer_refuses_what_no_table_may_hold() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = InteractionWriter::create(file.path()).unwrap();
        let row = InteractionRow {
            user_id: "1",
            movie_id: "1",
            kind: InteractionKind::Rating,
            value: Some(1.0),
            timestamp_ms: None,
            location: None,
        };
        assert!(writer.push(InteractionRow { user_id: "", ..row }).is_err());
        assert!(writer.push(InteractionRow { movie_id: &"x".repeat(257), ..row }).is_err());
        assert!(writer.push(InteractionRow { value: Some(f32::NAN), ..row }).is_err());
        writer.push(row).unwrap();
        assert_eq!((writer.finish().unwrap(), read(file.path()).unwrap().len()), (1, 1));
    }
}
