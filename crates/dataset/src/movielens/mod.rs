//! `MovieLens` in all its published layouts, from a folder or a zip archive, to a data set. The layout is recognised by the
//! files that are there. It knows nothing of how a data set is stored.
//!
//! | layout | files | text | ratings |
//! |---|---|---|---|
//! | 100K | `u.data`, `u.item`, `u.genre`, `u.user` | ISO-8859-1 | 1 to 5 |
//! | 1M | `ratings.dat`, `movies.dat`, `users.dat` | ISO-8859-1 | 1 to 5 |
//! | 10M | `ratings.dat`, `movies.dat`, `tags.dat` | UTF-8 | 0.5 to 5 |
//! | 20M, 25M, 32M, latest, latest-small | `ratings.csv`, `movies.csv`, `links.csv`, `tags.csv` | UTF-8 | 0.5 to 5 |
//!
//! Genres are made to agree between layouts: "Children's" is `Children`; "unknown" and "(no genres listed)" are none.

mod csv_files;
mod dat_files;
mod fields;
mod layout;
mod lines;
mod rating;
mod sink;
mod tags;
mod u_files;

use std::path::{Path, PathBuf};

use cinedex_domain::{InteractionKind, Progress};
use cinedex_storage::InteractionRow;

use crate::archive::{ArchiveLimits, FileSource};
use crate::{DataRoot, DatasetBuilder, DatasetError, ImportOptions, ImportReport};

use layout::Layout;
use rating::RatingFormat;
use sink::Sink;

/// What is particular to an import of `MovieLens`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MovieLensOptions {
    /// The name, within the source, of the file of ratings; `None` for the layout's own. In a file named here a row may
    /// lack the time.
    pub ratings: Option<PathBuf>,
    /// What a zip archive may expand to.
    pub limits: ArchiveLimits,
}

/// Imports the folder or zip archive at `source` as the data set `name`.
///
/// Malformed rows are left out, counted and reported; more than the allowed share of them, a missing file, an archive that
/// climbs out, expands beyond the limits or is damaged end the import, and nothing is stored then.
pub fn import_movielens(
    root: &DataRoot,
    name: &str,
    source: &Path,
    options: &ImportOptions,
    movielens: &MovieLensOptions,
    progress: Progress<'_>,
) -> Result<ImportReport, DatasetError> {
    let mut source = FileSource::open(source, &movielens.limits)?;
    let layout = Layout::recognise(&source)?;
    let ratings = layout::choose_ratings(&mut source, layout, movielens.ratings.as_deref())?;
    let builder = DatasetBuilder::create(root, name, options)?;
    let mut import = Import { source, sink: Sink::new(builder), progress, used: Vec::new() };
    match layout {
        Layout::OneHundredThousand => u_files::read_catalogue(&mut import)?,
        Layout::OneMillion => dat_files::read_catalogue_1m(&mut import)?,
        Layout::TenMillion => dat_files::read_catalogue_10m(&mut import)?,
        Layout::Csv => csv_files::read_catalogue(&mut import)?,
    }
    import.sink.builder.set_rating_scale(layout.scale());
    import.read_ratings(&ratings, layout.rating_format(movielens.ratings.is_some()))?;
    let used: Vec<&str> = import.used.iter().map(String::as_str).collect();
    import.source.note_inputs(&mut import.sink.builder, &used)?;
    let description = layout.describe(import.source.label());
    import.sink.finish(description)
}

/// An import under way.
struct Import<'a> {
    source: FileSource,
    sink: Sink,
    progress: Progress<'a>,
    /// The files read so far, in their order.
    used: Vec<String>,
}

/// How the rows of a table of names, not ratings, stand in its file.
struct Table {
    file: &'static str,
    columns: &'static [&'static str],
    separator: fields::Separator,
    encoding: fields::Encoding,
    /// Whether the first line names the columns; it must then be exactly these.
    header: bool,
}

impl Import<'_> {
    /// Reads a table row by row; a fault that `take` finds rejects the row. Blank lines are no rows.
    fn read_table(
        &mut self,
        table: &Table,
        mut take: impl FnMut(&mut Sink, &[std::borrow::Cow<'_, str>]) -> Result<(), fields::Fault>,
    ) -> Result<(), DatasetError> {
        self.used.push(table.file.to_owned());
        let source_path = self.source.path().to_owned();
        let sink = &mut self.sink;
        let file = self.source.file(table.file)?;
        lines::for_each_line(file, self.progress, |number, line| {
            if table.header && number == 1 {
                return layout::check_header(&source_path, table.file, line, table.columns);
            }
            if line.is_empty() {
                return Ok(());
            }
            let row = table.encoding.decode(line).and_then(|line| {
                let fields = table.separator.split(&line, table.columns)?;
                take(sink, &fields)
            });
            if let Err(fault) = row {
                sink.builder.reject(fault.rejection(table.file, number));
            }
            Ok(())
        })?;
        Ok(())
    }

    /// UTF-8 if the whole file is that, ISO-8859-1 as published if not.
    fn text_encoding(&mut self, name: &str) -> Result<fields::Encoding, DatasetError> {
        let mut encoding = fields::Encoding::Utf8;
        let file = self.source.file(name)?;
        lines::for_each_line(file, &cinedex_domain::silent, |_, line| {
            if std::str::from_utf8(line).is_err() {
                encoding = fields::Encoding::Latin1;
            }
            Ok(())
        })?;
        Ok(encoding)
    }

    /// Reads the ratings of known movies.
    fn read_ratings(&mut self, name: &str, format: RatingFormat) -> Result<(), DatasetError> {
        self.used.push(name.to_owned());
        let source_path = self.source.path().to_owned();
        let header = format.separator == fields::Separator::Comma;
        let sink = &mut self.sink;
        let file = self.source.file(name)?;
        lines::for_each_line(file, self.progress, |number, line| {
            if header && number == 1 {
                return layout::check_header(&source_path, name, line, &format.columns);
            }
            if line.is_empty() {
                return Ok(());
            }
            let fault = match format.parse(line) {
                Ok(row) if sink.movies.contains(row.movie) => {
                    sink.without_time += u64::from(row.timestamp_ms.is_none());
                    return sink.builder.add_interaction(InteractionRow {
                        user_id: &row.user_id,
                        movie_id: &row.movie_id,
                        kind: InteractionKind::Rating,
                        value: Some(row.value),
                        timestamp_ms: row.timestamp_ms,
                        location: None,
                    });
                }
                Ok(row) => fields::Fault::new(format.columns[1], sink::UNKNOWN_MOVIE, &row.movie_id),
                Err(fault) => fault,
            };
            sink.builder.reject(fault.rejection(name, number));
            Ok(())
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
