//! Tables as Parquet files, checksums, and files and directories that appear whole or not at all. The only crate that knows
//! arrow and parquet; it knows nothing of where tables come from or what is learned from them.
//!
//! Principal types: [`InteractionWriter`] and [`InteractionReader`] stream a data set's interactions, [`Embeddings`] are what
//! a trainer hands over, [`AtomicDirectory`] is how anything of more than one file is stored.
//!
//! ```
//! use cinedex_domain::InteractionKind;
//! use cinedex_storage::{InteractionRow, InteractionWriter, read_interactions};
//!
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("interactions.parquet");
//! let mut writer = InteractionWriter::create(&path)?;
//! let kind = InteractionKind::Like;
//! writer.push(InteractionRow { user_id: "42", movie_id: "318", kind, value: None, timestamp_ms: Some(0), location: None })?;
//! assert_eq!(writer.finish()?, 1);
//! read_interactions(&path, &mut |row| Ok(println!("{} {} {}", row.user_id, row.kind, row.movie_id)))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod catalogue;
mod checksum;
mod columns;
#[cfg(test)]
mod damage;
mod embeddings;
mod error;
mod interaction;
mod interaction_reader;
mod interaction_writer;
mod interner;
mod parquet_file;
mod table_reader;

pub use atomic::{AtomicDirectory, write_file_atomically};
pub use catalogue::{read_movies, read_users, write_movies, write_users};
pub use checksum::{sha256_bytes, sha256_file, xxh3};
pub use embeddings::{EmbeddingColumns, Embeddings, read_embeddings, write_embeddings};
pub use error::StorageError;
pub use interaction::{InteractionRow, NO_CODE, NO_TIME};
pub use interaction_reader::{InteractionBatch, InteractionReader, read_interactions};
pub use interaction_writer::InteractionWriter;
pub use interner::Interner;
pub use table_reader::{Cell, TableBatch, TableReader};
