//! An app's own CSV or Parquet files, with columns mapped to the fields of a data set. It knows no published layout.

mod cells;
mod movies;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cinedex_domain::{InteractionKind, Progress, RatingScale, User, UserId};
use cinedex_storage::{Cell, InteractionRow};

use self::cells::{Fault, Places, TimeCell};
use self::movies::{MOVIE_FIELDS, read_movie};
use self::records::{Mapping, Record, Table, for_each_record};
use crate::{DataRoot, DatasetBuilder, DatasetError, ImportOptions, ImportReport, Rejection, Source};

/// How the files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Text with a delimiter, quoted as RFC 4180 has it, UTF-8.
    Csv {
        /// One ASCII character.
        delimiter: u8,
        /// Whether the first line names the columns; otherwise they are called `1`, `2` and so on.
        header: bool,
    },
    /// Parquet files, or directories of part files (`*.parquet`).
    Parquet,
}

/// What a number in a column of times counts from 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds; fractions count.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// What to import and how to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableImport {
    /// How all the files are written.
    pub format: TableFormat,
    /// Files of interactions, at least one, read in this order.
    pub interactions: Vec<PathBuf>,
    /// A file of movies. Movies that only occur in interactions get their id as title.
    pub movies: Option<PathBuf>,
    /// A file of users. Users that only occur in interactions are added.
    pub users: Option<PathBuf>,
    /// Field to column: `user_id`, `movie_id`, `kind`, `value`, `timestamp`, `location`; of movies `movie_id`, `title`,
    /// `original_title`, `year`, `genres`, `countries`, `languages`, `runtime_minutes`, `minimum_age`, `adult`, `imdb_id`, `tmdb_id`,
    /// `imdb_rating`, `imdb_votes`, `tags`, `alternative_titles`; of users `user_id`, `location`. A field means that
    /// column in every table that has it; `interactions.`, `movies.` or `users.` before it means one table. What is not
    /// named is found under the field's own name or a usual one (`userId`, `rating`, `item`…).
    pub columns: BTreeMap<String, String>,
    /// The kind of a row that says none.
    pub default_kind: InteractionKind,
    /// What numbers in the time column count; text is RFC 3339, without an offset UTC.
    pub time_unit: TimeUnit,
    /// The scale of ratings; a rating off it is rejected. `None`: the range seen.
    pub rating_scale: Option<RatingScale>,
    /// What separates the parts of a text that holds a list, such as genres.
    pub list_separator: char,
    /// A title for the data set; `None`: its name.
    pub title: Option<String>,
    /// The licence, and what must be shown.
    pub licence: String,
}

impl TableImport {
    /// An import of `interactions` alone, by the usual names of columns: ratings, times in seconds, lists separated by `|`.
    pub fn new(format: TableFormat, interactions: Vec<PathBuf>) -> Self {
        Self {
            format,
            interactions,
            movies: None,
            users: None,
            columns: BTreeMap::new(),
            default_kind: InteractionKind::Rating,
            time_unit: TimeUnit::Seconds,
            rating_scale: None,
            list_separator: '|',
            title: None,
            licence: String::new(),
        }
    }
}

/// Imports an app's own tables as the data set `name`. A malformed row is left out and reported with file, line (row in
/// Parquet), column and reason; a missing file or column, and more rejected rows than allowed, end the import with nothing
/// stored. Progress counts bytes of CSV, rows of Parquet.
pub fn import_table(
    root: &DataRoot,
    name: &str,
    import: &TableImport,
    options: &ImportOptions,
    progress: Progress<'_>,
) -> Result<ImportReport, DatasetError> {
    let mut builder = DatasetBuilder::create(root, name, options)?;
    let tables = open_tables(import)?;
    let kind = match import.format {
        TableFormat::Csv { .. } => "csv",
        TableFormat::Parquet => "parquet",
    };
    let mut reader = TableImporter { import, builder: &mut builder, places: Places::default(), progress };
    for table in &tables {
        match table.name {
            "movies" => reader.read_movies(table)?,
            "users" => reader.read_users(table)?,
            _ => reader.read_interactions(table)?,
        }
    }
    if let Some(scale) = import.rating_scale {
        builder.set_rating_scale(scale);
    }
    for table in &tables {
        builder.add_input_file(&table.path)?;
    }
    builder.finish(Source {
        kind: kind.to_owned(),
        title: import.title.clone().unwrap_or_else(|| name.to_owned()),
        licence: import.licence.clone(),
        url: None,
    })
}

const INTERACTION_FIELDS: [(&str, &[&str]); 6] = [
    ("user_id", &["userId", "user"]),
    ("movie_id", &["movieId", "movie", "item_id", "itemId", "item"]),
    ("kind", &[]),
    ("value", &["rating"]),
    ("timestamp", &["time"]),
    ("location", &[]),
];

const USER_FIELDS: [(&str, &[&str]); 2] = [("user_id", &["userId", "user", "id"]), ("location", &[])];

/// Opens every file, movies and users first, and checks the mapping against their columns, before a row is read.
fn open_tables(import: &TableImport) -> Result<Vec<Table>, DatasetError> {
    if import.interactions.is_empty() {
        let reason = "name at least one file";
        return Err(DatasetError::InvalidOption {
            name: "the list of interactions",
            found: "empty".into(),
            reason,
        });
    }
    let movie_fields: Vec<(&str, &[&str])> =
        MOVIE_FIELDS.iter().map(|field| (field.name, field.aliases)).collect();
    let mut mapping = Mapping::new(
        &import.columns,
        &[("interactions", &INTERACTION_FIELDS), ("movies", &movie_fields), ("users", &USER_FIELDS)],
    )?;
    let mut tables = Vec::new();
    if let Some(path) = &import.movies {
        tables.extend(Table::open(
            "movies",
            path,
            import.format,
            &movie_fields,
            &["movie_id"],
            &mut mapping,
        )?);
    }
    if let Some(path) = &import.users {
        tables.extend(Table::open("users", path, import.format, &USER_FIELDS, &["user_id"], &mut mapping)?);
    }
    for path in &import.interactions {
        let required = ["user_id", "movie_id"];
        tables.extend(Table::open(
            "interactions",
            path,
            import.format,
            &INTERACTION_FIELDS,
            &required,
            &mut mapping,
        )?);
    }
    mapping.check_used(&tables)?;
    Ok(tables)
}

struct TableImporter<'a> {
    import: &'a TableImport,
    builder: &'a mut DatasetBuilder,
    places: Places,
    progress: Progress<'a>,
}

impl TableImporter<'_> {
    fn read_movies(&mut self, table: &Table) -> Result<(), DatasetError> {
        for_each_record(table, self.import.format, self.progress, |line, record| {
            let added = record.and_then(|record| {
                let movie = read_movie(&record, self.import.list_separator)?;
                let id = movie.movie_id.clone();
                let repeated = || Fault::new("movie_id", "the id occurs twice", id.as_str());
                self.builder.add_movie(movie).then_some(()).ok_or_else(repeated)
            });
            reject(self.builder, table, line, added);
            Ok(())
        })
    }

    fn read_users(&mut self, table: &Table) -> Result<(), DatasetError> {
        for_each_record(table, self.import.format, self.progress, |line, record| {
            let added = record.and_then(|record| {
                let user = read_user(&record, table, &mut self.places)?;
                let id = user.user_id.clone();
                let repeated = || Fault::new("user_id", "the id occurs twice", id.as_str());
                self.builder.add_user(user).then_some(()).ok_or_else(repeated)
            });
            reject(self.builder, table, line, added);
            Ok(())
        })
    }

    fn read_interactions(&mut self, table: &Table) -> Result<(), DatasetError> {
        for_each_record(table, self.import.format, self.progress, |line, record| {
            match record
                .and_then(|record| add_interaction(self.builder, &mut self.places, self.import, &record))
            {
                Ok(result) => return result,
                Err(fault) => reject(self.builder, table, line, Err(fault)),
            }
            Ok(())
        })
    }
}

fn reject(builder: &mut DatasetBuilder, table: &Table, line: u64, result: Result<(), Fault>) {
    if let Err(fault) = result {
        let column = table.column_of(&fault.field);
        builder.reject(Rejection::new(&table.file, line, &column, fault.reason, &fault.found));
    }
}

/// Reads one row and adds it; the inner result is that of storing it.
fn add_interaction(
    builder: &mut DatasetBuilder,
    places: &mut Places,
    import: &TableImport,
    record: &Record<'_>,
) -> Result<Result<(), DatasetError>, Fault> {
    let user_id = cells::id(record.cell(0), "user_id")?;
    let movie_id = cells::id(record.cell(1), "movie_id")?;
    let kind = cells::kind(&record.cell(2), import.default_kind)?;
    let value = cells::number(&record.cell(3), "value")?;
    if kind == InteractionKind::Rating {
        let value = value.ok_or_else(|| Fault::new("value", "a rating needs a value", ""))?;
        if import.rating_scale.is_some_and(|scale| !scale.contains(value)) {
            return Err(Fault::new("value", "the rating is off the scale", &value.to_string()));
        }
    }
    let timestamp_ms = TimeCell { unit: import.time_unit }.read(&record.cell(4))?;
    let location = match record.cell(5) {
        Cell::Null => None,
        cell => Some(places.canonical(&cell)?),
    };
    Ok(builder.add_interaction(InteractionRow {
        user_id: &user_id,
        movie_id: &movie_id,
        kind,
        value,
        timestamp_ms,
        location,
    }))
}

/// A user; columns without a meaning of their own become attributes.
fn read_user(record: &Record<'_>, table: &Table, places: &mut Places) -> Result<User, Fault> {
    let id = cells::id(record.cell(0), "user_id")?;
    let user_id = UserId::new(&id).map_err(|_| Fault::new("user_id", cells::BAD_ID, &id))?;
    let mut user = User::new(user_id);
    match record.cell(1) {
        Cell::Null => {}
        cell => user.location = places.canonical(&cell)?.parse().ok(),
    }
    for (attribute, cell) in table.extra_columns().iter().zip(record.extra_cells()) {
        if let Some(text) = cells::attribute(&cell) {
            user.attributes.insert(attribute.clone(), text);
        }
    }
    Ok(user)
}

/// The name by which a file is reported and stored.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
