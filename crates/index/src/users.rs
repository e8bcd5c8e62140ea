//! `users.bin` and `histories.bin`: who is known, where they live and what they did, read in place.

use std::collections::HashMap;
use std::path::Path;

use cinedex_domain::{Location, UserId, UserIndex};

use crate::container::{Container, Section, SectionData, write_container};
use crate::error::Fault;
use crate::text::{Ids, Texts, pack};
use crate::{FileEntry, Histories, History, IndexError};

const USERS_KIND: &str = "users";
const HISTORIES_KIND: &str = "histories";
/// Marks a user without a place.
const NOWHERE: u32 = u32::MAX;

/// Writes ids and places; returns the header's checksum.
pub(crate) fn write_users(
    path: &Path,
    users: &[UserId],
    locations: &[Option<Location>],
) -> Result<u64, IndexError> {
    let (id_offsets, id_bytes) = pack(users.iter().map(UserId::as_str));
    let mut table: Vec<&str> = Vec::new();
    let mut rows: HashMap<&str, u32> = HashMap::new();
    let place_of: Vec<u32> = locations
        .iter()
        .map(|location| {
            location.as_ref().map_or(NOWHERE, |location| {
                *rows.entry(location.as_str()).or_insert_with(|| {
                    table.push(location.as_str());
                    table.len() as u32 - 1
                })
            })
        })
        .collect();
    let (place_offsets, place_bytes) = pack(table);
    let sections = [
        SectionData::new("id_offsets", &id_offsets),
        SectionData::new("id_bytes", &id_bytes),
        SectionData::new("place_of", &place_of),
        SectionData::new("place_offsets", &place_offsets),
        SectionData::new("place_bytes", &place_bytes),
    ];
    write_container(path, USERS_KIND, &sections)
}

/// Ids and places of all users, in canonical order of ids.
#[derive(Debug)]
pub(crate) struct Users {
    ids: Ids,
    place_of: Section<u32>,
    places: Vec<Location>,
}

impl Users {
    /// Opens and checks: ids are valid, ascend and are unique; places exist.
    pub(crate) fn open(path: &Path, entry: &FileEntry, user_count: usize) -> Result<Self, IndexError> {
        let container = Container::open(path, USERS_KIND, entry)?;
        let place_of = container.section_of::<u32>("place_of", user_count)?;
        let ids = Ids::open(&container, "id_offsets", "id_bytes", user_count)?;
        let count = container.section::<u64>("place_offsets")?.len().saturating_sub(1);
        let texts = Texts::open(&container, "place_offsets", "place_bytes", count)?;
        let mut places = Vec::with_capacity(count);
        for position in 0..count {
            let place = texts
                .get(position)
                .parse()
                .map_err(|_| container.fault(Fault::Text { section: "place_bytes".to_owned(), position }))?;
            places.push(place);
        }
        if let Some(position) = place_of.iter().position(|&row| row != NOWHERE && row as usize >= count) {
            return Err(container.fault(Fault::OutOfRange {
                section: "place_of".to_owned(),
                position,
                found: u64::from(place_of[position]),
                limit: count as u64,
            }));
        }
        Ok(Self { ids, place_of, places })
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The row of an id.
    pub(crate) fn index(&self, user_id: &str) -> Option<UserIndex> {
        self.ids.find(user_id).map(UserIndex)
    }

    /// The id of a row. Panics out of range.
    pub(crate) fn id(&self, user: UserIndex) -> &str {
        self.ids.get(user.row())
    }

    /// The latest known place. Panics out of range.
    pub(crate) fn location(&self, user: UserIndex) -> Option<&Location> {
        self.places.get(self.place_of[user.row()] as usize)
    }
}

/// Writes histories; returns the header's checksum.
pub(crate) fn write_histories(path: &Path, histories: &Histories) -> Result<u64, IndexError> {
    let sections = [
        SectionData::new("offsets", &histories.offsets),
        SectionData::new("movies", &histories.movies),
        SectionData::new("preferences", &histories.preferences),
        SectionData::new("timestamps_ms", &histories.timestamps_ms),
    ];
    write_container(path, HISTORIES_KIND, &sections)
}

/// The histories of all users.
#[derive(Debug)]
pub(crate) struct StoredHistories {
    offsets: Section<u64>,
    movies: Section<u32>,
    preferences: Section<f32>,
    timestamps_ms: Section<i64>,
}

impl StoredHistories {
    /// Opens and checks: one history a user, movies that exist, finite preferences.
    pub(crate) fn open(
        path: &Path,
        entry: &FileEntry,
        users: usize,
        movie_count: usize,
    ) -> Result<Self, IndexError> {
        let container = Container::open(path, HISTORIES_KIND, entry)?;
        let movies = container.section::<u32>("movies")?;
        container.check_below("movies", &movies, movie_count)?;
        let preferences = container.section_of::<f32>("preferences", movies.len())?;
        container.check_finite("preferences", &preferences)?;
        let timestamps_ms = container.section_of::<i64>("timestamps_ms", movies.len())?;
        let offsets = container.offsets("offsets", users, movies.len())?;
        Ok(Self { offsets, movies, preferences, timestamps_ms })
    }

    /// One user's. Panics out of range.
    pub(crate) fn of(&self, user: UserIndex) -> History<'_> {
        let range = self.offsets[user.row()] as usize..self.offsets[user.row() + 1] as usize;
        History {
            movies: &self.movies[range.clone()],
            preferences: &self.preferences[range.clone()],
            timestamps_ms: &self.timestamps_ms[range],
        }
    }
}
