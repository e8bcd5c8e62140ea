//! What happened since a data set was imported: interactions, users who asked to be forgotten, films put and withdrawn. It
//! knows nothing of where that was kept.

use std::collections::{BTreeMap, HashMap, HashSet};

use cinedex_domain::{Event, InteractionKind, Location, Movie, MovieId, MovieIndex, User, UserId, UserIndex};

use crate::{Dataset, Interactions};

/// Live changes, gathered in the order in which they happened, to be laid over a data set. Memory: some 30 bytes an
/// interaction, besides the ids and places that occur, each once.
#[derive(Debug, Clone, Default)]
pub struct LiveChanges {
    /// Who acted since; `None` where the user was forgotten after.
    users: Vec<Option<UserId>>,
    user_codes: HashMap<UserId, u32>,
    movie_ids: Vec<MovieId>,
    movie_codes: HashMap<MovieId, u32>,
    places: Vec<Location>,
    place_codes: HashMap<Location, u32>,
    rows: Vec<Row>,
    forgotten: HashSet<UserId>,
    /// The facts of a film as they are now, `None` of a withdrawn one.
    catalogue: BTreeMap<MovieId, Option<Movie>>,
    log_position: u64,
}

/// One interaction; its user, movie and place are codes.
#[derive(Debug, Clone, Copy)]
struct Row {
    timestamp_ms: i64,
    user: u32,
    movie: u32,
    place: u32,
    value: f32,
    kind: InteractionKind,
}

impl LiveChanges {
    /// Something a user did.
    pub fn add(&mut self, event: &Event) {
        let users = &mut self.users;
        let user = *self.user_codes.entry(event.user_id.clone()).or_insert_with(|| {
            users.push(Some(event.user_id.clone()));
            users.len() as u32 - 1
        });
        let movie = code(&mut self.movie_codes, &mut self.movie_ids, &event.movie_id);
        let place = event.location.as_ref();
        let place = place
            .map_or(Interactions::NO_LOCATION, |place| code(&mut self.place_codes, &mut self.places, place));
        let (timestamp_ms, kind) = (event.timestamp_ms, event.kind);
        let value = event.value.unwrap_or(f32::NAN);
        self.rows.push(Row { timestamp_ms, user, movie, place, value, kind });
    }

    /// A user asked to be forgotten: all before is left out, what the data set says as well. What is added after starts afresh.
    pub fn forget(&mut self, user_id: &UserId) {
        if let Some(code) = self.user_codes.remove(user_id) {
            self.users[code as usize] = None;
        }
        self.forgotten.insert(user_id.clone());
    }

    /// A film is new, or its facts have changed.
    pub fn put_movie(&mut self, movie: Movie) {
        self.catalogue.insert(movie.movie_id.clone(), Some(movie));
    }

    /// A film is no longer offered.
    pub fn withdraw_movie(&mut self, movie_id: &MovieId) {
        self.catalogue.insert(movie_id.clone(), None);
    }

    /// Notes the position in the log up to which all of it is here.
    pub fn set_log_position(&mut self, position: u64) {
        self.log_position = position;
    }

    /// That position; 0 where nothing was noted.
    pub fn log_position(&self) -> u64 {
        self.log_position
    }

    /// Interactions of users who were not forgotten after.
    pub fn interaction_count(&self) -> usize {
        self.rows.iter().filter(|row| self.users[row.user as usize].is_some()).count()
    }
}

impl Dataset {
    /// The data set as it is now: with what users did since (of films in the catalogue; new users join), without the users who
    /// were forgotten, and with the films as they were put and withdrawn; what was done with a withdrawn film goes with it.
    /// Rows are numbered anew, live interactions stand last. The manifest's counts and range are brought up to date, its
    /// checksums stay those of the stored tables.
    #[must_use]
    pub fn with_live(self, live: LiveChanges) -> Self {
        let Self { mut manifest, movies, users, interactions, .. } = self;
        let LiveChanges { catalogue, forgotten, places, rows, .. } = &live;
        let movie_row =
            |movies: &[Movie], id: &MovieId| movies.binary_search_by(|movie| movie.movie_id.cmp(id)).ok();
        let user_row = |users: &[User], id: &UserId| users.binary_search_by(|user| user.user_id.cmp(id)).ok();
        let put = catalogue.values().flatten();
        let new = put.filter(|movie| movie_row(&movies, &movie.movie_id).is_none()).cloned().collect();
        let as_put = |movie: Movie| match catalogue.get(&movie.movie_id) {
            Some(changed) => changed.clone(),
            None => Some(movie),
        };
        let (movies, movie_rows) = merged(movies, new, as_put, |movie| &movie.movie_id);
        let joins = |id: &&UserId| forgotten.contains(*id) || user_row(&users, id).is_none();
        let new = live.users.iter().flatten().filter(joins).cloned().map(User::new).collect();
        let remembered = |user: User| (!forgotten.contains(&user.user_id)).then_some(user);
        let (users, user_rows) = merged(users, new, remembered, |user| &user.user_id);
        let mut interactions = interactions.kept(&user_rows, &movie_rows);
        let user_rows: Vec<_> = live.users.iter().map(|id| user_row(&users, id.as_ref()?)).collect();
        let movie_rows: Vec<_> = live.movie_ids.iter().map(|id| movie_row(&movies, id)).collect();
        interactions.extend_live(rows, places, &user_rows, &movie_rows);
        let counts = &mut manifest.counts;
        (counts.movies, counts.users) = (movies.len() as u64, users.len() as u64);
        counts.interactions = interactions.len() as u64;
        let mut rated = vec![false; movies.len()];
        interactions.movies.iter().for_each(|movie| rated[movie.row()] = true);
        counts.rated_movies = rated.into_iter().filter(|rated| *rated).count() as u64;
        let times =
            || interactions.timestamps_ms.iter().copied().filter(|time| *time != Interactions::NO_TIME);
        manifest.interaction_range_ms = times().min().zip(times().max());
        Self { manifest, movies, users, interactions, log_position: Some(live.log_position) }
    }
}

impl Interactions {
    /// Those whose user and movie have a new row, in their order, with the new rows.
    fn kept(self, users: &[Option<u32>], movies: &[Option<u32>]) -> Self {
        let mut kept = Self { location_table: self.location_table, ..Self::default() };
        for at in 0..self.users.len() {
            let (Some(user), Some(movie)) = (users[self.users[at].row()], movies[self.movies[at].row()])
            else {
                continue;
            };
            kept.users.push(UserIndex(user));
            kept.movies.push(MovieIndex(movie));
            kept.kinds.push(self.kinds[at]);
            kept.values.push(self.values[at]);
            kept.timestamps_ms.push(self.timestamps_ms[at]);
            kept.locations.push(self.locations[at]);
        }
        kept
    }

    /// Adds live rows whose user and movie, by their codes, have a row.
    fn extend_live(
        &mut self,
        rows: &[Row],
        places: &[Location],
        users: &[Option<usize>],
        movies: &[Option<usize>],
    ) {
        let mut known: HashMap<Location, u32> = self.location_table.iter().cloned().zip(0..).collect();
        let table = &mut self.location_table;
        let place_rows: Vec<u32> = places.iter().map(|place| code(&mut known, table, place)).collect();
        for row in rows {
            let (Some(user), Some(movie)) = (users[row.user as usize], movies[row.movie as usize]) else {
                continue;
            };
            self.users.push(UserIndex(user as u32));
            self.movies.push(MovieIndex(movie as u32));
            self.kinds.push(row.kind);
            self.values.push(row.value);
            self.timestamps_ms.push(row.timestamp_ms);
            let place = place_rows.get(row.place as usize);
            self.locations.push(place.copied().unwrap_or(Self::NO_LOCATION));
        }
    }
}

/// A table in the canonical order of ids with each row as `keep` has it now, or without it, and with `new` ones; and for each of
/// the old rows its new one.
fn merged<T, I: Ord>(
    old: Vec<T>,
    new: Vec<T>,
    keep: impl Fn(T) -> Option<T>,
    id: for<'a> fn(&'a T) -> &'a I,
) -> (Vec<T>, Vec<Option<u32>>) {
    let mut new_rows = vec![None; old.len()];
    let kept = old.into_iter().enumerate().filter_map(|(row, item)| Some((Some(row), keep(item)?)));
    let mut all: Vec<(Option<usize>, T)> = kept.chain(new.into_iter().map(|item| (None, item))).collect();
    all.sort_by(|left, right| id(&left.1).cmp(id(&right.1)));
    for (new_row, (old_row, _)) in (0..).zip(&all) {
        if let Some(old_row) = old_row {
            new_rows[*old_row] = Some(new_row);
        }
    }
    (all.into_iter().map(|(_, item)| item).collect(), new_rows)
}

/// The number of a value, which is its place in `values`; a new one is appended.
fn code<T: Clone + Eq + std::hash::Hash>(codes: &mut HashMap<T, u32>, values: &mut Vec<T>, value: &T) -> u32 {
    if let Some(&known) = codes.get(value) {
        return known;
    }
    let new = values.len() as u32;
    codes.insert(value.clone(), new);
    values.push(value.clone());
    new
}

#[cfg(test)]
mod tests {
    use cinedex_storage::InteractionRow;
    use proptest::prelude::*;

    use super::*;
    use crate::{DataRoot, DatasetBuilder, ImportOptions, Source};

    /// Users 1 to 3 liked films 10, 20 and 30; user 1 lives in Seoul.
    fn dataset() -> Dataset {
        let folder = tempfile::tempdir().unwrap();
        let root = DataRoot::new(folder.path());
        let mut builder = DatasetBuilder::create(&root, "set", &ImportOptions::default()).unwrap();
        for (user_id, movie_id) in [("1", "10"), ("2", "10"), ("2", "20"), ("3", "30")] {
            let (kind, location) = (InteractionKind::Like, (user_id == "1").then_some("KR/11"));
            let row =
                InteractionRow { user_id, movie_id, kind, value: Some(1.0), timestamp_ms: Some(5), location };
            builder.add_interaction(row).unwrap();
        }
        let source = Source { kind: "test".into(), title: String::new(), licence: String::new(), url: None };
        builder.finish(source).unwrap();
        Dataset::load(&root, "set").unwrap()
    }

    fn user(id: &str) -> UserId {
        UserId::new(id).unwrap()
    }

    fn movie(id: &str) -> MovieId {
        MovieId::new(id).unwrap()
    }

    fn event(user_id: &str, movie_id: &str, timestamp_ms: i64, place: Option<&str>) -> Event {
        Event {
            user_id: user(user_id),
            movie_id: movie(movie_id),
            kind: InteractionKind::Watch,
            value: None,
            timestamp_ms,
            location: place.map(|place| place.parse().unwrap()),
            event_id: None,
        }
    }

    /// `user movie` of all interactions.
    fn pairs(dataset: &Dataset) -> Vec<String> {
        let Interactions { users, movies, .. } = &dataset.interactions;
        let pair = |(user, movie): (&UserIndex, &MovieIndex)| {
            format!("{} {}", dataset.users[user.row()].user_id, dataset.movies[movie.row()].movie_id)
        };
        users.iter().zip(movies).map(pair).collect()
    }

    #[test]
    fn what_users_did_since_stands_last_and_new_users_join() {
        let mut live = LiveChanges::default();
        live.add(&event("7", "30", 9, Some("kr/11")));
        live.add(&event("0", "10", 8, Some("NG")));
        live.add(&event("1", "unheard of", 8, None));
        live.set_log_position(3);
        let after = dataset().with_live(live);
        assert_eq!(pairs(&after), ["1 10", "2 10", "2 20", "3 30", "7 30", "0 10"]);
        assert!(after.users.is_sorted_by(|left, right| left.user_id < right.user_id));
        let places = &after.interactions.location_table;
        assert_eq!(places.iter().map(Location::as_str).collect::<Vec<_>>(), ["KR/11", "NG"]);
        assert_eq!(after.interactions.locations[4..], [0, 1]);
        assert_eq!(after.interactions.timestamps_ms, [5, 5, 5, 5, 9, 8]);
        assert!(after.interactions.values[4].is_nan());
        let counts = after.manifest.counts;
        assert_eq!((counts.users, counts.movies, counts.interactions, counts.rated_movies), (5, 3, 6, 3));
        assert_eq!((after.manifest.interaction_range_ms, after.log_position), (Some((5, 9)), Some(3)));
    }

    #[test]
    fn a_forgotten_user_is_gone_with_everything_and_may_start_afresh() {
        let mut live = LiveChanges::default();
        live.add(&event("2", "30", 9, None));
        live.add(&event("1", "30", 9, None));
        live.forget(&user("2"));
        live.forget(&user("1"));
        live.add(&event("1", "20", 10, None));
        assert_eq!(live.interaction_count(), 1);
        let after = dataset().with_live(live);
        assert_eq!(pairs(&after), ["3 30", "1 20"]);
        let left: Vec<&str> = after.users.iter().map(|user| user.user_id.as_str()).collect();
        assert_eq!(left, ["1", "3"]);
    }

    #[test]
    fn films_are_as_they_were_put_last_and_withdrawn_ones_are_gone() {
        let mut live = LiveChanges::default();
        live.put_movie(Movie::new(movie("15"), "New"));
        live.put_movie(Movie { year: Some(1999), ..Movie::new(movie("20"), "Changed") });
        live.withdraw_movie(&movie("10"));
        live.withdraw_movie(&movie("30"));
        live.put_movie(Movie::new(movie("30"), "Back"));
        live.add(&event("3", "15", 9, None));
        live.add(&event("3", "10", 9, None));
        let after = dataset().with_live(live);
        assert_eq!(pairs(&after), ["2 20", "3 30", "3 15"]);
        let titles: Vec<&str> = after.movies.iter().map(|movie| movie.title.as_str()).collect();
        assert_eq!(titles, ["New", "Changed", "Back"]);
        assert_eq!(after.users.len(), 3, "who did nothing else is still known");
    }

    #[test]
    fn nothing_changes_nothing_but_the_position() {
        let before = dataset();
        let after = before.clone().with_live(LiveChanges::default());
        assert_eq!(Dataset { log_position: None, ..after }, before);
    }

    static DATASET: std::sync::LazyLock<Dataset> = std::sync::LazyLock::new(dataset);

    proptest! {
        #[test]
        fn rows_stay_in_range_and_ids_in_order(
            steps in proptest::collection::vec((0_u8..4, 0_u8..6, 0_u8..6), 0..60),
        ) {
            let mut live = LiveChanges::default();
            for (step, id, other) in steps {
                let (id, film) = (id.to_string(), (u32::from(other) * 10).to_string());
                match step {
                    0 => live.add(&event(&id, &film, 9, None)),
                    1 => live.forget(&user(&id)),
                    2 => live.put_movie(Movie::new(movie(&film), "x")),
                    _ => live.withdraw_movie(&movie(&film)),
                }
            }
            let count = live.interaction_count();
            let after = DATASET.clone().with_live(live);
            prop_assert!(after.users.is_sorted_by(|left, right| left.user_id < right.user_id));
            prop_assert!(after.movies.is_sorted_by(|left, right| left.movie_id < right.movie_id));
            prop_assert!(after.interactions.users.iter().all(|row| row.row() < after.users.len()));
            prop_assert!(after.interactions.movies.iter().all(|row| row.row() < after.movies.len()));
            prop_assert!(after.interactions.len() <= 4 + count);
        }
    }
}
