//! IMDb's non-commercial tables, joined to the films of a data set by `imdb_id`: what IMDb knows and the source does not.
//!
//! `title.basics`, `title.ratings` and `title.akas` are read as published: tab-separated with a header, `\N` for null, plain
//! or gzipped, any subset of the three. They are streamed, so memory is bounded by the data set, not by IMDb's files.
//!
//! | field | rule |
//! |---|---|
//! | runtime, year, genres | IMDb's where the film has none; genres are never mixed, the sources name them differently |
//! | adult | IMDb's where unknown; IMDb's yes always counts |
//! | rating, votes | IMDb's, replaced each time |
//! | original title | IMDb's where it differs from the title; a former one becomes an alternative title |
//! | alternative titles | added, once each without regard to case, at most 200; regions are places of release and are ignored |

mod join;
mod tsv;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cinedex_domain::Progress;
use serde::Serialize;

use crate::manifest::InputFile;
use crate::{DataRoot, DatasetEdit, DatasetError, DatasetManifest, Rejection};

use join::Catalogue;
use tsv::Tsv;

/// What must be shown where IMDb's data is.
const NOTICE: &str = "Information courtesy of IMDb (https://www.imdb.com). Used with permission.";

/// Malformed rows kept as examples.
const MAX_EXAMPLES: usize = 20;

/// What an enrichment changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnrichReport {
    /// The new `dataset.json`.
    pub manifest: DatasetManifest,
    /// Films in the data set.
    pub movies: u64,
    /// Films that have an `imdb_id` and so can match.
    pub movies_with_imdb_id: u64,
    /// Films that matched in at least one file.
    pub matched_movies: u64,
    /// What each file gave, in the order read.
    pub files: Vec<EnrichedFile>,
    /// The first 20 malformed rows.
    pub examples: Vec<Rejection>,
    /// Wall-clock time.
    pub seconds: f64,
}

/// What one of IMDb's files gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnrichedFile {
    /// Its name.
    pub file: String,
    /// Rows, the header and malformed ones not counted.
    pub rows: u64,
    /// Films of the data set that it has rows of.
    pub matched_movies: u64,
    /// Rows left out because they are malformed.
    pub malformed: u64,
}

/// The tables that are joined, in their order: `title.basics` knows the original title best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Basics,
    Ratings,
    Akas,
}

impl Table {
    const ALL: [Self; 3] = [Self::Basics, Self::Ratings, Self::Akas];

    fn stem(self) -> &'static str {
        match self {
            Self::Basics => "title.basics",
            Self::Ratings => "title.ratings",
            Self::Akas => "title.akas",
        }
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Basics => &[
                "tconst",
                "originalTitle",
                "isAdult",
                "startYear",
                "runtimeMinutes",
                "genres",
                "primaryTitle",
            ],
            Self::Ratings => &["tconst", "averageRating", "numVotes"],
            Self::Akas => &["titleId", "title", "isOriginalTitle"],
        }
    }
}

/// Joins the IMDb tables in `folder` to the data set `name` and replaces it atomically; its models stay. At least one of the
/// tables must be there. Malformed rows are left out and counted. On an error the data set is as it was.
pub fn enrich_imdb(
    root: &DataRoot,
    name: &str,
    folder: &Path,
    progress: Progress<'_>,
) -> Result<EnrichReport, DatasetError> {
    let start = Instant::now();
    let tables = find_tables(folder)?;
    let mut edit = DatasetEdit::open(root, name)?;
    let mut catalogue = Catalogue::new(&edit.movies);
    let mut files = Vec::new();
    let mut examples = Vec::new();
    for (table, path) in &tables {
        let tsv = Tsv::open(path, table.columns())?;
        let counts = tsv.for_each_row(progress, &mut examples, |row| {
            let Some(rows) = catalogue.find(row[0])? else { return Ok(()) };
            for &at in rows {
                let movie = &mut edit.movies[at];
                match table {
                    Table::Basics => join::join_basics(movie, row)?,
                    Table::Ratings => join::join_ratings(movie, row)?,
                    Table::Akas => join::join_akas(movie, row)?,
                }
            }
            catalogue.matched(row[0]);
            Ok(())
        })?;
        files.push(EnrichedFile {
            file: file_name(path),
            rows: counts.rows,
            matched_movies: catalogue.next_file(),
            malformed: counts.malformed,
        });
    }
    let movies = edit.movies.len() as u64;
    for (_, path) in &tables {
        note_input(&mut edit.manifest, path)?;
    }
    let manifest = edit.commit()?;
    Ok(EnrichReport {
        manifest,
        movies,
        movies_with_imdb_id: catalogue.films(),
        matched_movies: catalogue.all_matched(),
        files,
        examples,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The tables that are in the folder; plain before gzipped.
fn find_tables(folder: &Path) -> Result<Vec<(Table, PathBuf)>, DatasetError> {
    if !fs::metadata(folder).map_err(DatasetError::io("open", folder))?.is_dir() {
        return Err(DatasetError::WrongLayout {
            path: folder.to_owned(),
            reason: "name the folder that holds title.basics.tsv, title.ratings.tsv or title.akas.tsv"
                .to_owned(),
        });
    }
    let mut tables = Vec::new();
    for table in Table::ALL {
        let found = [".tsv", ".tsv.gz"].map(|ending| folder.join(format!("{}{ending}", table.stem())));
        if let Some(path) = found.into_iter().find(|path| path.is_file()) {
            tables.push((table, path));
        }
    }
    if tables.is_empty() {
        return Err(DatasetError::WrongLayout {
            path: folder.to_owned(),
            reason: "it has none of title.basics, title.ratings and title.akas as .tsv or .tsv.gz".to_owned(),
        });
    }
    Ok(tables)
}

fn note_input(manifest: &mut DatasetManifest, path: &Path) -> Result<(), DatasetError> {
    let bytes = fs::metadata(path).map_err(DatasetError::io("read", path))?.len();
    let input = InputFile { file: file_name(path), sha256: cinedex_storage::sha256_file(path)?, bytes };
    manifest.inputs.retain(|known| known.file != input.file);
    manifest.inputs.push(input);
    if !manifest.notices.iter().any(|notice| notice == NOTICE) {
        manifest.notices.push(NOTICE.to_owned());
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
