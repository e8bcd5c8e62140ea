//! The tags that people gave films, to the few that most gave each film.

use std::collections::HashMap;

use super::fields::{self, Fault};
use super::sink::UNKNOWN_MOVIE;
use super::{Import, Table};
use crate::DatasetError;

/// Tags kept for a film.
const MAX_TAGS: usize = 10;

/// The longest tag, in bytes.
const MAX_TAG_BYTES: usize = 200;

const NO_TAG: &str = "the tag is empty";
const LONG_TAG: &str = "the tag is longer than 200 bytes";

/// How often a film was given a tag, and the tag as it was first written.
type Counts = HashMap<String, (u64, String)>;

/// Reads a table of user, movie, tag and time, and gives each film its most frequent tags, ties by name. Tags that differ
/// in case only are one.
pub(super) fn read_tags(import: &mut Import<'_>, table: &Table) -> Result<(), DatasetError> {
    let [_, movie_column, tag_column, _] = table.columns else { return Ok(()) };
    let mut movies: HashMap<u32, Counts> = HashMap::new();
    import.read_table(table, |sink, row| {
        let movie = fields::id(&row[1], movie_column)?;
        if !sink.movies.contains(movie) {
            return Err(Fault::new(movie_column, UNKNOWN_MOVIE, &row[1]));
        }
        let tag = row[2].trim();
        if tag.is_empty() {
            return Err(Fault::new(tag_column, NO_TAG, ""));
        }
        if tag.len() > MAX_TAG_BYTES {
            return Err(Fault::new(tag_column, LONG_TAG, tag));
        }
        let counts = movies.entry(movie).or_default();
        counts.entry(tag.to_lowercase()).or_insert_with(|| (0, tag.to_owned())).0 += 1;
        Ok(())
    })?;
    for (id, counts) in movies {
        if let Ok(movie) = import.sink.movie(id, movie_column) {
            movie.tags = most_frequent(counts);
        }
    }
    Ok(())
}

fn most_frequent(counts: Counts) -> Vec<String> {
    let mut tags: Vec<(String, (u64, String))> = counts.into_iter().collect();
    tags.sort_unstable_by(|(left, (left_count, _)), (right, (right_count, _))| {
        right_count.cmp(left_count).then_with(|| left.cmp(right))
    });
    tags.into_iter().take(MAX_TAGS).map(|(_, (_, tag))| tag).collect()
}
