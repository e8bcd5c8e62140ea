//! Embeddings by id: the contract with every trainer. It knows nothing of how they were learned.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Float64Array, ListArray, StringArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema};
use arrow::record_batch::RecordBatch;
use cinedex_domain::check_id;

use crate::parquet_file::{ParquetFile, create, properties};
use crate::{Interner, StorageError};

/// Rows read and written at a time.
const BATCH_ROWS: usize = 4096;

/// Embeddings by id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embeddings {
    /// One id a row, unique, in file order.
    pub ids: Vec<String>,
    /// Length of an embedding.
    pub dimension: usize,
    /// Row-major, `ids.len() × dimension`, finite.
    pub values: Vec<f32>,
}

/// Which columns hold ids and embeddings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingColumns {
    /// The column of ids.
    pub id: String,
    /// The column of embeddings.
    pub embedding: String,
}

impl EmbeddingColumns {
    /// `movie_id` and `embedding`.
    pub fn movies() -> Self {
        Self { id: "movie_id".into(), embedding: "embedding".into() }
    }

    /// `user_id` and `embedding`.
    pub fn users() -> Self {
        Self { id: "user_id".into(), embedding: "embedding".into() }
    }

    /// `id` and `features`, as Spark's ALS writes them.
    pub fn spark() -> Self {
        Self { id: "id".into(), embedding: "features".into() }
    }
}

/// Writes a table of `id_column` (utf8) and `embedding` (list of f32). An existing file is overwritten.
///
/// Panics if `values` is not `ids.len() × dimension` long.
pub fn write_embeddings(path: &Path, id_column: &str, embeddings: &Embeddings) -> Result<(), StorageError> {
    let Embeddings { ids, dimension, values } = embeddings;
    assert_eq!(values.len(), ids.len() * dimension, "an embedding for every id");
    let element = Arc::new(Field::new("element", DataType::Float32, false));
    let schema = Arc::new(Schema::new(vec![
        Field::new(id_column, DataType::Utf8, false),
        Field::new("embedding", DataType::List(element.clone()), false),
    ]));
    // Components hardly repeat: a dictionary of them only costs.
    let properties = properties()
        .set_column_dictionary_enabled("embedding.list.element".into(), false)
        .set_max_row_group_row_count(Some(1 << 17))
        .build();
    let mut writer = create(path, schema.clone(), properties)?;
    for (batch, ids) in ids.chunks(BATCH_ROWS).enumerate() {
        let start = batch * BATCH_ROWS * dimension;
        let flat = Float32Array::from(values[start..start + ids.len() * dimension].to_vec());
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(*dimension, ids.len()));
        let lists = ListArray::try_new(element.clone(), offsets, Arc::new(flat), None)
            .map_err(StorageError::unwritable(path))?;
        let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(ids)), Arc::new(lists)];
        let batch = RecordBatch::try_new(schema.clone(), columns).map_err(StorageError::unwritable(path))?;
        writer.write(&batch).map_err(StorageError::unwritable(path))?;
    }
    writer.close().map(drop).map_err(StorageError::unwritable(path))
}

/// Reads embeddings from a Parquet file, or from a directory of part files in the order of their names (`*.parquet`; names
/// that begin with `_` or `.` are passed over). Ids: utf8, large utf8, view, dictionary of these, or whole numbers;
/// embeddings: list, large list or fixed-size list of f32 or f64. Refuses a null, NaN or infinite component, an
/// embedding of another length than the first or of none, an id that occurs twice, and a table without rows.
pub fn read_embeddings(path: &Path, columns: &EmbeddingColumns) -> Result<Embeddings, StorageError> {
    let mut gathered = Gathered::default();
    for file in part_files(path)? {
        gathered.read(&file, columns)?;
    }
    if gathered.ids.is_empty() {
        return Err(StorageError::EmptyTable { path: path.to_owned() });
    }
    let ids = gathered.ids.iter().map(str::to_owned).collect();
    Ok(Embeddings { ids, dimension: gathered.dimension, values: gathered.values })
}

fn part_files(path: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let metadata = fs::metadata(path).map_err(StorageError::io("open", path))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(StorageError::io("list", path))? {
        let entry = entry.map_err(StorageError::io("list", path))?;
        let name = entry.file_name();
        let hidden = matches!(name.as_encoded_bytes().first(), Some(b'_' | b'.'));
        if !hidden
            && Path::new(&name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
        {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[derive(Default)]
struct Gathered {
    ids: Interner,
    dimension: usize,
    values: Vec<f32>,
}

impl Gathered {
    fn read(&mut self, path: &Path, columns: &EmbeddingColumns) -> Result<(), StorageError> {
        let file = ParquetFile::open(path, true)?;
        let (id, embedding) = (file.column(&columns.id)?, file.column(&columns.embedding)?);
        check_type(&file, id, "text or whole numbers", is_id)?;
        check_type(&file, embedding, "a list of f32 or f64", is_embedding)?;
        let (id_place, embedding_place) = if id < embedding { (0, 1) } else { (1, 0) };
        let mut row = 0;
        for row_group in 0..file.row_group_count() {
            let mut batches =
                file.read_row_group(row_group, &[id.min(embedding), id.max(embedding)], BATCH_ROWS)?;
            while let Some(batch) = batches.next()? {
                let at = Place { path, columns, rows_before: row };
                self.append(&at, batch.column(id_place), batch.column(embedding_place))?;
                row += batch.num_rows() as u64;
            }
        }
        Ok(())
    }

    fn append(&mut self, at: &Place<'_>, ids: &ArrayRef, embeddings: &ArrayRef) -> Result<(), StorageError> {
        let ids = cast(ids, &DataType::Utf8).map_err(StorageError::unreadable(at.path))?;
        let ids = ids.as_string::<i32>();
        for row in 0..ids.len() {
            if ids.is_null(row) {
                return Err(at.invalid(row, &at.columns.id, "it is null"));
            }
            let id = ids.value(row);
            check_id(id).map_err(|error| at.invalid(row, &at.columns.id, &error.to_string()))?;
            if self.ids.code(id).is_some() {
                return Err(StorageError::DuplicateId {
                    path: at.path.to_owned(),
                    row: at.number(row),
                    id: id.to_owned(),
                });
            }
            self.ids.intern(id);
            if embeddings.is_null(row) {
                return Err(at.invalid(row, &at.columns.embedding, "it is null"));
            }
            self.append_one(at, row, id, &components(embeddings, row))?;
        }
        Ok(())
    }

    fn append_one(
        &mut self,
        at: &Place<'_>,
        row: usize,
        id: &str,
        values: &ArrayRef,
    ) -> Result<(), StorageError> {
        let found = values.len();
        if found == 0 {
            return Err(at.invalid(row, &at.columns.embedding, "the embedding is empty"));
        }
        if self.dimension == 0 {
            self.dimension = found;
        }
        if found != self.dimension {
            let (path, row) = (at.path.to_owned(), at.number(row));
            return Err(StorageError::WrongDimension {
                path,
                row,
                id: id.to_owned(),
                expected: self.dimension,
                found,
            });
        }
        if values.null_count() > 0 {
            return Err(at.invalid(row, &at.columns.embedding, "a component is null"));
        }
        let start = self.values.len();
        let wide: Option<&Float64Array> = values.as_primitive_opt::<Float64Type>();
        match wide {
            Some(wide) => self.values.extend(wide.values().iter().map(|&value| value as f32)),
            None => self.values.extend_from_slice(values.as_primitive::<Float32Type>().values()),
        }
        match self.values[start..].iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(component) => Err(StorageError::NotFinite {
                path: at.path.to_owned(),
                id: id.to_owned(),
                component,
                value: wide
                    .map_or_else(|| f64::from(self.values[start + component]), |wide| wide.value(component)),
            }),
        }
    }
}

/// Where a batch stands, for messages.
struct Place<'a> {
    path: &'a Path,
    columns: &'a EmbeddingColumns,
    rows_before: u64,
}

impl Place<'_> {
    fn number(&self, row: usize) -> u64 {
        self.rows_before + row as u64 + 1
    }

    fn invalid(&self, row: usize, column: &str, reason: &str) -> StorageError {
        StorageError::InvalidValue {
            path: self.path.to_owned(),
            row: self.number(row),
            column: column.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

fn components(lists: &ArrayRef, row: usize) -> ArrayRef {
    match lists.data_type() {
        DataType::List(_) => lists.as_list::<i32>().value(row),
        DataType::LargeList(_) => lists.as_list::<i64>().value(row),
        _ => {
            let lists: &FixedSizeListArray = lists.as_fixed_size_list();
            lists.value(row)
        }
    }
}

fn check_type(
    file: &ParquetFile,
    column: usize,
    expected: &'static str,
    fits: fn(&DataType) -> bool,
) -> Result<(), StorageError> {
    let field = file.schema().field(column);
    if fits(field.data_type()) {
        return Ok(());
    }
    Err(StorageError::WrongColumnType {
        path: file.path().to_owned(),
        column: field.name().clone(),
        expected,
        found: field.data_type().to_string(),
    })
}

fn is_id(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, values) => is_id(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        other => other.is_integer(),
    }
}

fn is_embedding(found: &DataType) -> bool {
    match found {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            matches!(field.data_type(), DataType::Float32 | DataType::Float64)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        DictionaryArray, Int32Array, LargeListArray, LargeStringArray, StringViewArray, UInt64Array,
    };
    use arrow::datatypes::{Float64Type as F64, Int32Type};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::{Compression, GzipLevel};
    use parquet::file::properties::WriterProperties;
    use proptest::prelude::*;

    fn write_foreign(
        path: &Path,
        names: [&str; 2],
        ids: ArrayRef,
        values: ArrayRef,
        compression: Compression,
    ) {
        let batch =
            RecordBatch::try_from_iter_with_nullable([(names[0], ids, true), (names[1], values, true)])
                .unwrap();
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut writer =
            ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    fn texts() -> ArrayRef {
        Arc::new(StringArray::from(vec!["10", "2"]))
    }

    fn lists(rows: Vec<Option<Vec<Option<f32>>>>) -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
    }

    fn two() -> ArrayRef {
        lists(vec![Some(vec![Some(1.0), Some(2.0)]), Some(vec![Some(3.0), Some(4.0)])])
    }

    fn read(ids: ArrayRef, values: ArrayRef, compression: Compression) -> Result<Embeddings, StorageError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_foreign(file.path(), ["id", "features"], ids, values, compression);
        read_embeddings(file.path(), &EmbeddingColumns::spark())
    }

    fn check(ids: ArrayRef, values: ArrayRef, compression: Compression) {
        let found = read(ids, values, compression).unwrap();
        assert_eq!((found.ids, found.dimension), (vec!["10".to_owned(), "2".to_owned()], 2));
        assert_eq!(found.values, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn ids_of_every_kind_are_read() {
        check(texts(), two(), Compression::UNCOMPRESSED);
        check(Arc::new(LargeStringArray::from(vec!["10", "2"])), two(), Compression::SNAPPY);
        check(
            Arc::new(StringViewArray::from(vec!["10", "2"])),
            two(),
            Compression::GZIP(GzipLevel::default()),
        );
        let dictionary: DictionaryArray<Int32Type> = vec!["10", "2"].into_iter().collect();
        check(Arc::new(dictionary), two(), Compression::LZ4_RAW);
        check(Arc::new(Int32Array::from(vec![10, 2])), two(), Compression::LZ4);
        check(
            Arc::new(UInt64Array::from(vec![10, 2])),
            two(),
            Compression::ZSTD(parquet::basic::ZstdLevel::default()),
        );
    }

    #[test]
    fn embeddings_of_every_kind_are_read() {
        let rows = || [[1.0, 2.0], [3.0, 4.0]].map(|row| Some(row.map(Some).to_vec()));
        let plain = Compression::UNCOMPRESSED;
        check(texts(), Arc::new(LargeListArray::from_iter_primitive::<F64, _, _>(rows())), plain);
        check(texts(), Arc::new(ListArray::from_iter_primitive::<F64, _, _>(rows())), plain);
        check(texts(), Arc::new(FixedSizeListArray::from_iter_primitive::<F64, _, _>(rows(), 2)), plain);
        let single = [[1.0, 2.0], [3.0, 4.0]].map(|row: [f32; 2]| Some(row.map(Some).to_vec()));
        check(
            texts(),
            Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(single, 2)),
            plain,
        );
    }

    fn check_refused(ids: ArrayRef, values: ArrayRef, expect: &str) {
        let message = read(ids, values, Compression::UNCOMPRESSED).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_name() {
        let second = |row: Option<Vec<Option<f32>>>| lists(vec![Some(vec![Some(1.0), Some(2.0)]), row]);
        check_refused(texts(), second(Some(vec![Some(1.0), Some(f32::NAN)])), "\"2\"");
        check_refused(texts(), second(Some(vec![Some(f32::INFINITY), Some(1.0)])), "component 0 = inf");
        let wide = Some(vec![Some(1e300), Some(1.0)]);
        check_refused(
            texts(),
            Arc::new(ListArray::from_iter_primitive::<F64, _, _>([wide.clone(), wide])),
            "\"10\"",
        );
        check_refused(texts(), second(Some(vec![Some(1.0)])), "row 2 of");
        check_refused(texts(), second(Some(vec![])), "empty");
        check_refused(texts(), second(Some(vec![Some(1.0), None])), "null");
        check_refused(texts(), second(None), "null");
        check_refused(Arc::new(StringArray::from(vec![Some("1"), None])), two(), "null");
        check_refused(Arc::new(StringArray::from(vec!["1", "1"])), two(), "\"1\" occurs twice");
        check_refused(Arc::new(StringArray::from(vec!["1", ""])), two(), "must not be empty");
        check_refused(Arc::new(Float32Array::from(vec![1.0, 2.0])), two(), "text or whole numbers");
        check_refused(texts(), texts(), "a list of f32 or f64");
        let none =
            ListArray::from_iter_primitive::<Float32Type, _, _>(Vec::<Option<Vec<Option<f32>>>>::new());
        check_refused(Arc::new(StringArray::from(Vec::<&str>::new())), Arc::new(none), "holds no rows");
    }

    #[test]
    fn a_directory_of_part_files_is_one_table() {
        let folder = tempfile::tempdir().unwrap();
        let part = |name: &str, id: i32| {
            let values = lists(vec![Some(vec![Some(id as f32)])]);
            let ids: ArrayRef = Arc::new(Int32Array::from(vec![id]));
            write_foreign(&folder.path().join(name), ["features", "id"], values, ids, Compression::SNAPPY);
        };
        part("part-00001.snappy.parquet", 2);
        part("part-00000.snappy.parquet", 1);
        fs::write(folder.path().join("_SUCCESS"), "").unwrap();
        fs::write(folder.path().join(".part-00000.crc"), "x").unwrap();
        let found = read_embeddings(folder.path(), &EmbeddingColumns::spark()).unwrap();
        assert_eq!((found.ids, found.values), (vec!["1".to_owned(), "2".to_owned()], vec![1.0, 2.0]));
        part("part-00002.snappy.parquet", 2);
        let error = read_embeddings(folder.path(), &EmbeddingColumns::spark()).unwrap_err();
        assert!(error.to_string().contains("part-00002"), "{error}");
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(
            read_embeddings(empty.path(), &EmbeddingColumns::spark()),
            Err(StorageError::EmptyTable { .. })
        ));
        assert!(read_embeddings(&empty.path().join("none"), &EmbeddingColumns::spark()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn written_embeddings_come_back(dimension in 1_usize..5, rows in 1_usize..60, value in -1e30_f32..1e30) {
            let ids: Vec<String> = (0..rows).map(|row| format!("m{row}")).collect();
            let values: Vec<f32> = (0..rows * dimension).map(|at| value / (at + 1) as f32).collect();
            let embeddings = Embeddings { ids, dimension, values };
            let file = tempfile::NamedTempFile::new().unwrap();
            write_embeddings(file.path(), "movie_id", &embeddings).unwrap();
            prop_assert_eq!(read_embeddings(file.path(), &EmbeddingColumns::movies()).unwrap(), embeddings);
        }
    }
}
