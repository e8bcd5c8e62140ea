//! A data set in memory: ids become dense rows.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use cinedex_domain::{InteractionKind, Location, Movie, MovieIndex, User, UserIndex};
use cinedex_storage::{InteractionReader, Interner, NO_CODE, NO_TIME, read_movies, read_users, sha256_file};

use crate::{DataRoot, DatasetError, DatasetManifest, INTERACTIONS_FILE, MOVIES_FILE, USERS_FILE};

/// A data set in memory: ids are dense rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// `dataset.json`.
    pub manifest: DatasetManifest,
    /// All movies in the canonical order of ids; a [`MovieIndex`] is a position here.
    pub movies: Vec<Movie>,
    /// All users in the canonical order of ids, every user of interactions among them; a [`UserIndex`] is a position here.
    pub users: Vec<User>,
    /// All interactions.
    pub interactions: Interactions,
}

/// Interactions as columns of equal length, in file order; repeated pairs are all there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interactions {
    /// Who.
    pub users: Vec<UserIndex>,
    /// What movie.
    pub movies: Vec<MovieIndex>,
    /// What was done.
    pub kinds: Vec<InteractionKind>,
    /// The rating, finite; NaN without one.
    pub values: Vec<f32>,
    /// Milliseconds UTC; [`Interactions::NO_TIME`] without one.
    pub timestamps_ms: Vec<i64>,
    /// Position in `location_table`; [`Interactions::NO_LOCATION`] without one.
    pub locations: Vec<u32>,
    /// The places that occur, each once, in the order of their first occurrence.
    pub location_table: Vec<Location>,
}

impl Interactions {
    /// Stands for no time; smaller than every time.
    pub const NO_TIME: i64 = NO_TIME;
    /// Stands for no place.
    pub const NO_LOCATION: u32 = u32::MAX;

    /// The number of interactions.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The rating of a row, if it has one.
    pub fn value(&self, row: usize) -> Option<f32> {
        let value = self.values[row];
        (!value.is_nan()).then_some(value)
    }
}

impl Dataset {
    /// Reads the data set `name`. Memory: 25 bytes an interaction, besides movies and users. Tables are held against the checksums
    /// of `dataset.json` first, so a damaged one is refused by name.
    pub fn load(root: &DataRoot, name: &str) -> Result<Self, DatasetError> {
        let manifest = root.manifest(name)?;
        let directory = root.path_of(name)?;
        for file in [MOVIES_FILE, USERS_FILE, INTERACTIONS_FILE] {
            verify_table(&directory, &manifest, file)?;
        }
        let mut movies = read_movies(&directory.join(MOVIES_FILE))?;
        let mut users = read_users(&directory.join(USERS_FILE))?;
        movies.sort_by(|left, right| left.movie_id.cmp(&right.movie_id));
        users.sort_by(|left, right| left.user_id.cmp(&right.user_id));
        let interactions = read_interactions(&directory.join(INTERACTIONS_FILE), &movies, &users)?;
        Ok(Self { manifest, movies, users, interactions })
    }
}

/// Holds a table against length and checksum in the manifest.
pub(crate) fn verify_table(
    directory: &Path,
    manifest: &DatasetManifest,
    file: &str,
) -> Result<(), DatasetError> {
    let path = directory.join(file);
    let Some(expected) = manifest.tables.get(file) else {
        let reason = format!("it says nothing of {file}");
        return Err(DatasetError::Manifest { path: directory.join(crate::MANIFEST_FILE), reason });
    };
    let bytes = fs::metadata(&path).map_err(DatasetError::io("open", &path))?.len();
    if bytes != expected.bytes {
        let (expected, found) = (expected.bytes.to_string(), bytes.to_string());
        return Err(DatasetError::DamagedTable { path, what: "length in bytes", expected, found });
    }
    let found = sha256_file(&path)?;
    if found != expected.sha256 {
        return Err(DatasetError::DamagedTable {
            path,
            what: "sha256",
            expected: expected.sha256.clone(),
            found,
        });
    }
    Ok(())
}

fn read_interactions(path: &Path, movies: &[Movie], users: &[User]) -> Result<Interactions, DatasetError> {
    let movie_rows: HashMap<&str, u32> =
        (0..).zip(movies).map(|(row, movie)| (movie.movie_id.as_str(), row)).collect();
    let user_rows: HashMap<&str, u32> =
        (0..).zip(users).map(|(row, user)| (user.user_id.as_str(), row)).collect();
    let mut reader = InteractionReader::open(path)?;
    let mut all = Interactions::default();
    all.reserve(reader.row_count() as usize);
    let (mut to_movie, mut to_user): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut places = Places::default();
    while let Some(batch) = reader.next_batch()? {
        extend_rows(&mut to_movie, batch.movies, &movie_rows).map_err(|id| unknown(path, "movie", id))?;
        extend_rows(&mut to_user, batch.users, &user_rows).map_err(|id| unknown(path, "user", id))?;
        places
            .extend(batch.locations, &mut all.location_table)
            .map_err(|id| unknown(path, "location", id))?;
        all.movies.extend(batch.movie_codes.iter().map(|&code| MovieIndex(to_movie[code as usize])));
        all.users.extend(batch.user_codes.iter().map(|&code| UserIndex(to_user[code as usize])));
        all.kinds.extend_from_slice(batch.kinds);
        all.values.extend_from_slice(batch.values);
        all.timestamps_ms.extend_from_slice(batch.timestamps_ms);
        all.locations.extend(batch.location_codes.iter().map(|&code| match code {
            NO_CODE => Interactions::NO_LOCATION,
            code => places.rows[code as usize],
        }));
    }
    Ok(all)
}

impl Interactions {
    fn reserve(&mut self, rows: usize) {
        self.users.reserve_exact(rows);
        self.movies.reserve_exact(rows);
        self.kinds.reserve_exact(rows);
        self.values.reserve_exact(rows);
        self.timestamps_ms.reserve_exact(rows);
        self.locations.reserve_exact(rows);
    }
}

/// Brings `rows` up to date with the ids known so far; answers an id that the other table lacks.
fn extend_rows<'a>(
    rows: &mut Vec<u32>,
    ids: &'a Interner,
    known: &HashMap<&str, u32>,
) -> Result<(), &'a str> {
    for id in ids.iter().skip(rows.len()) {
        rows.push(*known.get(id).ok_or(id)?);
    }
    Ok(())
}

/// Positions in the table of places; spellings that differ only in case are one place, in its first spelling.
#[derive(Default)]
struct Places {
    rows: Vec<u32>,
    known: HashMap<Location, u32>,
}

impl Places {
    fn extend<'a>(&mut self, texts: &'a Interner, table: &mut Vec<Location>) -> Result<(), &'a str> {
        for text in texts.iter().skip(self.rows.len()) {
            let place: Location = text.parse().map_err(|_| text)?;
            let row = *self.known.entry(place.clone()).or_insert_with(|| {
                table.push(place);
                table.len() as u32 - 1
            });
            self.rows.push(row);
        }
        Ok(())
    }
}

fn unknown(path: &Path, what: &'static str, found: &str) -> DatasetError {
    let expected =
        if what == "location" { "a well-formed place".to_owned() } else { format!("one of {what}s.parquet") };
    DatasetError::DamagedTable { path: path.to_owned(), what, expected, found: format!("\"{found}\"") }
}
