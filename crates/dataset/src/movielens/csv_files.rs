//! The CSV layouts: `movies.csv`, and where they are there `links.csv` and `tags.csv`. The genome of 20M and 25M is left.

use super::fields::{self, Encoding, Separator};
use super::tags;
use super::{Import, Table};
use crate::DatasetError;

/// Reads films, their ids elsewhere, and their tags.
pub(super) fn read_catalogue(import: &mut Import<'_>) -> Result<(), DatasetError> {
    let table = csv_table("movies.csv", &["movieId", "title", "genres"]);
    import.read_table(&table, |sink, row| {
        let id = fields::id(&row[0], "movieId")?;
        sink.add_movie((id, &row[1]), row[2].split('|'), None, ["movieId", "title"])
    })?;
    if import.source.contains("links.csv") {
        read_links(import)?;
    }
    if import.source.contains("tags.csv") {
        tags::read_tags(import, &csv_table("tags.csv", &["userId", "movieId", "tag", "timestamp"]))?;
    }
    Ok(())
}

fn read_links(import: &mut Import<'_>) -> Result<(), DatasetError> {
    let table = csv_table("links.csv", &["movieId", "imdbId", "tmdbId"]);
    import.read_table(&table, |sink, row| {
        let id = fields::id(&row[0], "movieId")?;
        let optional = |text: &str, column| {
            if text.is_empty() { Ok(None) } else { fields::number(text, column).map(Some) }
        };
        let imdb = optional(&row[1], "imdbId")?;
        let tmdb = optional(&row[2], "tmdbId")?;
        let movie = sink.movie(id, "movieId")?;
        movie.imdb_id = imdb.map(|number| format!("tt{number:07}"));
        movie.tmdb_id = tmdb;
        Ok(())
    })
}

fn csv_table(file: &'static str, columns: &'static [&'static str]) -> Table {
    Table { file, columns, separator: Separator::Comma, encoding: Encoding::Utf8, header: true }
}
