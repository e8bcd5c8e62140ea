//! Opening and creating Parquet files, the one place where a decoder's complaint becomes an error with a path.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};

use crate::StorageError;

/// What all tables have in common: zstd, the pages that every reader knows, statistics for a row group only.
pub(crate) fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(concat!("cinedex ", env!("CARGO_PKG_VERSION")).to_owned())
}

/// Creates a table. Arrow's own schema is left out of the file, so that readers see strings, not our dictionaries.
pub(crate) fn create(
    path: &Path,
    schema: SchemaRef,
    properties: WriterProperties,
) -> Result<ArrowWriter<File>, StorageError> {
    let file = File::create(path).map_err(StorageError::io("create", path))?;
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(file, schema, options).map_err(StorageError::unwritable(path))
}

/// Writes a table that fits in memory.
pub(crate) fn write_batch(path: &Path, batch: &RecordBatch) -> Result<(), StorageError> {
    let mut writer = create(path, batch.schema(), properties().build())?;
    writer.write(batch).map_err(StorageError::unwritable(path))?;
    writer.close().map(drop).map_err(StorageError::unwritable(path))
}

/// An open Parquet file of which row groups are read, in order.
pub(crate) struct ParquetFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    /// Reads the footer. Types are the file's own; arrow's schema within it is used only if `as_written`.
    pub(crate) fn open(path: &Path, as_written: bool) -> Result<Self, StorageError> {
        let file = File::open(path).map_err(StorageError::io("open", path))?;
        let is_file = file.metadata().map_err(StorageError::io("inspect", path))?.is_file();
        if !is_file {
            let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
            return Err(StorageError::Io { action: "read", path: path.to_owned(), source });
        }
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(!as_written);
        let metadata = guarded(path, || ArrowReaderMetadata::load(&file, options))?;
        Ok(Self { path: path.to_owned(), file, metadata })
    }

    /// The same file with its columns read as the types of `schema`.
    pub(crate) fn with_schema(self, schema: SchemaRef) -> Result<Self, StorageError> {
        let options = ArrowReaderOptions::new().with_schema(schema);
        let metadata = self.metadata.metadata().clone();
        let metadata = guarded(&self.path, || ArrowReaderMetadata::try_new(metadata, options))?;
        Ok(Self { metadata, ..self })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Names of the columns at the top.
    pub(crate) fn columns(&self) -> Vec<String> {
        self.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Position of a column at the top.
    pub(crate) fn column(&self, name: &str) -> Result<usize, StorageError> {
        self.schema().index_of(name).map_err(|_| StorageError::MissingColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            found: self.columns(),
        })
    }

    pub(crate) fn row_group_count(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Rows by the footer's account, never negative; not to be trusted with an allocation.
    pub(crate) fn row_count(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Whether statistics say that a column has no value in a row group.
    pub(crate) fn is_empty_column(&self, row_group: usize, column: usize) -> bool {
        let name = self.schema().field(column).name();
        let row_group = self.metadata.metadata().row_group(row_group);
        let chunk =
            row_group.columns().iter().find(|chunk| chunk.column_path().parts().first() == Some(name));
        let nulls = chunk.and_then(|chunk| chunk.statistics()?.null_count_opt());
        nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(row_group.num_rows()))
    }

    /// The batches of one row group, with the columns at `columns` in the file's order.
    pub(crate) fn read_row_group(
        &self,
        row_group: usize,
        columns: &[usize],
        batch_rows: usize,
    ) -> Result<Batches, StorageError> {
        let file = self.file.try_clone().map_err(StorageError::io("open", &self.path))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let reader = guarded(&self.path, || {
            builder.with_row_groups(vec![row_group]).with_projection(mask).with_batch_size(batch_rows).build()
        })?;
        Ok(Batches { path: self.path.clone(), reader })
    }
}

/// The record batches of a row group.
pub(crate) struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl Batches {
    /// The next batch, never empty; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, StorageError> {
        let reader = &mut self.reader;
        guarded(&self.path, || reader.next().transpose().map_err(ParquetError::from))
    }
}

/// Damaged bytes can still panic inside the decoder; that is an unreadable table, not the end of the process.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, StorageError> {
    let Ok(result) = catch_unwind(AssertUnwindSafe(read)) else {
        let source = ParquetError::General("the decoder stopped on damaged bytes".to_owned());
        return Err(StorageError::unreadable(path)(source));
    };
    result.map_err(StorageError::unreadable(path))
}
