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
    /// Position in the log of the last live change that is in it, see [`Dataset::with_live`]; `None` as it was imported.
    pub log_position: Option<u64>,
}

/// Interactions as columns of equal length, in file order; repeated pairs are all there. A missing value is NaN, so two of these are
/// equal only if every row has a value.
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
        Ok(Self { manifest, movies, users, interactions, log_position: None })
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
    for id in ids.iter_from(rows.len()) {
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
        for text in texts.iter_from(self.rows.len()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DatasetBuilder, ImportOptions, Source};
    use cinedex_storage::InteractionRow;
    use proptest::prelude::*;

    fn stored(rows: &[(u8, u8, Option<&str>)]) -> (tempfile::TempDir, DataRoot) {
        let folder = tempfile::tempdir().unwrap();
        let root = DataRoot::new(folder.path());
        let mut builder = DatasetBuilder::create(&root, "set", &ImportOptions::default()).unwrap();
        for (number, (user, movie, location)) in (0_i16..).zip(rows) {
            let (user_id, movie_id) = (format!("u{user}"), movie.to_string());
            let row = InteractionRow {
                user_id: &user_id,
                movie_id: &movie_id,
                kind: InteractionKind::ALL[usize::from(user % 6)],
                value: (number % 2 == 0).then(|| f32::from(number)),
                timestamp_ms: (number % 3 == 0).then(|| number.into()),
                location: *location,
            };
            builder.add_interaction(row).unwrap();
        }
        let source = Source { kind: "test".into(), title: String::new(), licence: String::new(), url: None };
        builder.finish(source).unwrap();
        (folder, root)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn rows_are_those_that_were_stored(
            rows in proptest::collection::vec((0_u8..20, any::<u8>(), proptest::option::of(proptest::sample::select(vec!["US", "KR/11", "us"]))), 1..80),
        ) {
            let (_folder, root) = stored(&rows);
            let Dataset { movies, users, interactions, .. } = Dataset::load(&root, "set").unwrap();
            prop_assert!(movies.is_sorted_by(|left, right| left.movie_id < right.movie_id));
            prop_assert!(users.is_sorted_by(|left, right| left.user_id < right.user_id));
            prop_assert_eq!(interactions.len(), rows.len());
            prop_assert!(interactions.location_table.len() <= 2, "case does not make another place");
            for (at, (user, movie, location)) in rows.iter().enumerate() {
                prop_assert_eq!(users[interactions.users[at].row()].user_id.as_str(), format!("u{user}"));
                prop_assert_eq!(movies[interactions.movies[at].row()].movie_id.as_str(), movie.to_string());
                prop_assert_eq!(interactions.value(at), (at % 2 == 0).then_some(at as f32));
                let time = if at % 3 == 0 { at as i64 } else { Interactions::NO_TIME };
                prop_assert_eq!(interactions.timestamps_ms[at], time);
                let place = location.map(|place| place.parse::<Location>().unwrap());
                prop_assert_eq!(interactions.location_table.get(interactions.locations[at] as usize), place.as_ref());
            }
        }

        #[test]
        fn damage_of_any_table_is_refused_with_its_path(table in 0_usize..3, at in any::<proptest::sample::Index>(), cut in any::<bool>()) {
            let (_folder, root) = stored(&[(1, 2, None), (3, 4, Some("US"))]);
            let path = root.path_of("set").unwrap().join([MOVIES_FILE, USERS_FILE, INTERACTIONS_FILE][table]);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= 0x10 }
            fs::write(&path, bytes).unwrap();
            let message = Dataset::load(&root, "set").unwrap_err().to_string();
            prop_assert!(message.contains(path.to_str().unwrap()) && message.contains("damaged"), "{}", message);
        }
    }

    #[test]
    fn a_missing_table_or_data_set_is_named() {
        let (_folder, root) = stored(&[(1, 2, None)]);
        fs::remove_file(root.path_of("set").unwrap().join(USERS_FILE)).unwrap();
        assert!(Dataset::load(&root, "set").unwrap_err().to_string().contains(USERS_FILE));
        assert!(matches!(Dataset::load(&root, "none"), Err(DatasetError::NotFound { .. })));
        assert!(matches!(Dataset::load(&root, "../set"), Err(DatasetError::InvalidName { .. })));
    }
}
