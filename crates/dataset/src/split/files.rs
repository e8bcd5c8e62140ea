//! A split as CSV files: what to train on, what to fold in, what to find. Each file is read only when it is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::Path;

use cinedex_domain::{MovieId, MovieIndex, UserId, UserIndex};

use super::{Event, HeldOutUser, TrainingSet};
use crate::csv_records::{CsvRecord, CsvRecords, Found};
use crate::{DatasetError, Interactions, Rejection};

/// The users of a held-out file, and what of it cannot be judged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeldOutUsers {
    /// Users with at least one target, in the canonical order of ids.
    pub users: Vec<HeldOutUser>,
    /// Rows of movies that are not in training.
    pub unknown_movies: u64,
    /// Without a fold-in file: rows of users who are not in training.
    pub unknown_users: u64,
    /// Rows that repeat a target or what is known of the user.
    pub repeated: u64,
}

/// Reads what to train on: CSV with a header, the first columns user and item, a third is the time in seconds UTC (0 = older
/// than all). A repeated pair counts once, with its latest time. A malformed row ends it with an error.
pub fn read_training(path: &Path) -> Result<TrainingSet, DatasetError> {
    let rows = read_rows(path)?;
    let movie_ids = unique(rows.iter().map(|row| &row.movie));
    let user_ids = unique(rows.iter().map(|row| &row.user));
    let movies: HashMap<&MovieId, u32> = movie_ids.iter().zip(0..).collect();
    let users: HashMap<&UserId, u32> = user_ids.iter().zip(0..).collect();
    let mut events: Vec<Event> = Vec::with_capacity(rows.len());
    let mut places: HashMap<(u32, u32), usize> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let (user, movie) = (users[&row.user], movies[&row.movie]);
        let place = *places.entry((user, movie)).or_insert(events.len());
        match events.get_mut(place) {
            Some(event) => event.timestamp_ms = event.timestamp_ms.max(row.timestamp_ms),
            None => events.push(Event {
                user: UserIndex(user),
                movie: MovieIndex(movie),
                preference: 1.0,
                timestamp_ms: row.timestamp_ms,
            }),
        }
    }
    if events.is_empty() {
        return Err(DatasetError::Split {
            name: path.display().to_string(),
            reason: "it has no rows".to_owned(),
        });
    }
    Ok(TrainingSet { movie_ids, user_ids, events })
}

/// Reads on whom to judge. With `fold_in`, its rows are what is known of users, who are taken as unknown in training; without,
/// users are those of training, and what they did there is known. Files are as in [`read_training`].
pub fn read_held_out(
    training: &TrainingSet,
    fold_in: Option<&Path>,
    held_out: &Path,
) -> Result<HeldOutUsers, DatasetError> {
    let movies: HashMap<&MovieId, u32> = training.movie_ids.iter().zip(0..).collect();
    let mut found = HeldOutUsers::default();
    let mut known = match fold_in {
        Some(path) => folded_in(path, &movies)?,
        None => trained(training),
    };
    let mut targets: BTreeMap<UserId, Vec<MovieIndex>> = BTreeMap::new();
    for row in read_rows(held_out)? {
        if fold_in.is_none() && !known.contains_key(&row.user) {
            found.unknown_users += 1;
        } else if let Some(&movie) = movies.get(&row.movie) {
            targets.entry(row.user).or_default().push(MovieIndex(movie));
        } else {
            found.unknown_movies += 1;
        }
    }
    for (user_id, mut targets) in targets {
        let Known { user, history } = known.remove(&user_id).unwrap_or_default();
        let seen: HashSet<MovieIndex> = history.iter().map(|&(movie, _)| movie).collect();
        let rows = targets.len();
        targets.sort_unstable();
        targets.dedup();
        targets.retain(|movie| !seen.contains(movie));
        found.repeated += (rows - targets.len()) as u64;
        if !targets.is_empty() {
            found.users.push(HeldOutUser { user_id, user, history, targets });
        }
    }
    if found.users.is_empty() {
        let reason = "no user in it has a movie of the training file to be found".to_owned();
        return Err(DatasetError::Split { name: held_out.display().to_string(), reason });
    }
    Ok(found)
}

/// What is known of a user.
#[derive(Default)]
struct Known {
    user: Option<UserIndex>,
    history: Vec<(MovieIndex, f32)>,
}

fn trained(training: &TrainingSet) -> HashMap<UserId, Known> {
    let mut events: Vec<&Event> = training.events.iter().collect();
    events.sort_by_key(|event| event.timestamp_ms);
    let mut all: Vec<Known> = (0..training.user_ids.len() as u32)
        .map(|row| Known { user: Some(UserIndex(row)), history: Vec::new() })
        .collect();
    for event in events {
        all[event.user.row()].history.push((event.movie, event.preference));
    }
    training.user_ids.iter().cloned().zip(all).collect()
}

fn folded_in(path: &Path, movies: &HashMap<&MovieId, u32>) -> Result<HashMap<UserId, Known>, DatasetError> {
    let mut rows = read_rows(path)?;
    rows.sort_by_key(|row| row.timestamp_ms);
    let mut known: HashMap<UserId, Known> = HashMap::new();
    let mut seen: HashSet<(UserId, u32)> = HashSet::new();
    for row in rows {
        if let Some(&movie) = movies.get(&row.movie)
            && seen.insert((row.user.clone(), movie))
        {
            known.entry(row.user).or_default().history.push((MovieIndex(movie), 1.0));
        }
    }
    Ok(known)
}

struct Row {
    user: UserId,
    movie: MovieId,
    timestamp_ms: i64,
}

fn read_rows(path: &Path) -> Result<Vec<Row>, DatasetError> {
    let file = File::open(path).map_err(DatasetError::io("open", path))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let mut records = CsvRecords::new(file, b',');
    let mut rows = Vec::new();
    let mut columns = 0;
    while let Some((line, found)) = records.next().map_err(DatasetError::io("read", path))? {
        let malformed = |column: &str, reason, found: &str| DatasetError::MalformedRow {
            rejection: Box::new(Rejection::new(&name, line, column, reason, found)),
        };
        let record = match found {
            Found::Record(record) => record,
            Found::Malformed(reason) => return Err(malformed("1", reason, "")),
        };
        if columns == 0 {
            columns = record.ends.len();
            if columns < 2 {
                let reason =
                    "its header needs two columns, user and item, and may have a third, the time".to_owned();
                return Err(DatasetError::WrongLayout { path: path.to_owned(), reason });
            }
        } else if record.ends.len() == columns {
            rows.push(
                row(record, columns).map_err(|(column, reason, found)| malformed(column, reason, &found))?,
            );
        } else {
            let found = format!("{} columns", record.ends.len());
            return Err(malformed("1", "another number of columns than the header", &found));
        }
    }
    if columns == 0 {
        return Err(DatasetError::WrongLayout {
            path: path.to_owned(),
            reason: "the file is empty".to_owned(),
        });
    }
    Ok(rows)
}

fn row(record: CsvRecord<'_>, columns: usize) -> Result<Row, (&'static str, &'static str, String)> {
    let field = |column| record.field(column).unwrap_or_default();
    let bad_id = "an id is text of 1 to 256 bytes";
    let user = UserId::new(field(0)).map_err(|_| ("1", bad_id, field(0).to_owned()))?;
    let movie = MovieId::new(field(1)).map_err(|_| ("2", bad_id, field(1).to_owned()))?;
    let timestamp_ms = match if columns > 2 { field(2) } else { "" } {
        "" | "0" => Interactions::NO_TIME,
        text => text
            .parse::<i64>()
            .ok()
            .and_then(|seconds| seconds.checked_mul(1000))
            .ok_or_else(|| ("3", "not a time in whole seconds since 1970", text.to_owned()))?,
    };
    Ok(Row { user, movie, timestamp_ms })
}

fn unique<'a, T: Ord + Clone + 'a>(ids: impl Iterator<Item = &'a T>) -> Vec<T> {
    let mut ids: Vec<T> = ids.cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
