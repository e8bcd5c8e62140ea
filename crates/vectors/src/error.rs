//! What could not be made into rows.

/// Why arrays are not the sparse rows that they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VectorsError {
    /// Offsets that do not start at 0, ascend and end at the number of entries.
    #[error("the offsets of sparse rows must ascend from 0 to {entries}, row {row} does not")]
    MalformedOffsets {
        /// First row that is wrong.
        row: usize,
        /// Entries there are.
        entries: usize,
    },
    /// As many columns as values are needed.
    #[error("sparse rows have {columns} columns but {values} values")]
    UnequalLengths {
        /// Columns found.
        columns: usize,
        /// Values found.
        values: usize,
    },
    /// A column out of range, or columns of a row that do not strictly ascend.
    #[error("row {row} of the sparse rows has column {column} out of order or beyond {column_count} columns")]
    MalformedColumn {
        /// The row.
        row: usize,
        /// The offending column.
        column: u32,
        /// Columns there are.
        column_count: usize,
    },
}
