//! A split as CSV files: what to train on, what to fold in, what to find. Each file is read only when it is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::Path;

use cinedex_domain::{
    InteractionKind, LIKED, MovieId, MovieIndex, PreferencePolicy, RatingScale, UserId, UserIndex,
};

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

/// Reads what to train on: CSV with a header, the first columns user and item; a further column called `rating` has ratings of
/// 0.5 to 5, which the default [`PreferencePolicy`] turns into preferences (without it all are 1), and any other third column
/// is the time in seconds UTC (0 = older than all). A repeated pair counts once, the latest. A malformed row ends it with an
/// error.
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
            Some(event) if event.timestamp_ms > row.timestamp_ms => {}
            Some(event) => (event.timestamp_ms, event.preference) = (row.timestamp_ms, row.preference),
            None => events.push(Event {
                user: UserIndex(user),
                movie: MovieIndex(movie),
                preference: row.preference,
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

/// Reads on whom to judge; of rated rows only the liked are to be found. With `fold_in`, its rows are what is known of users, who are taken as unknown in training; without,
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
    for row in read_rows(held_out)?.into_iter().filter(|row| row.preference >= LIKED) {
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
    let known = (0u32..)
        .zip(training.histories())
        .map(|(row, history)| Known { user: Some(UserIndex(row)), history });
    training.user_ids.iter().cloned().zip(known).collect()
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
            known.entry(row.user).or_default().history.push((MovieIndex(movie), row.preference));
        }
    }
    Ok(known)
}

struct Row {
    user: UserId,
    movie: MovieId,
    /// 1 where no rating says more.
    preference: f32,
    timestamp_ms: i64,
}

/// What a file's header says.
#[derive(Default)]
struct Columns {
    count: usize,
    rating: Option<usize>,
    time: Option<usize>,
}

impl Columns {
    fn of(header: &CsvRecord<'_>) -> Self {
        let count = header.ends.len();
        let named =
            |column: &usize| header.field(*column).is_some_and(|name| name.eq_ignore_ascii_case("rating"));
        let rating = (2..count).find(named);
        Self { count, rating, time: (2..count).find(|column| Some(*column) != rating) }
    }
}

fn read_rows(path: &Path) -> Result<Vec<Row>, DatasetError> {
    let file = File::open(path).map_err(DatasetError::io("open", path))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let mut records = CsvRecords::new(file, b',');
    let mut rows = Vec::new();
    let mut columns = Columns::default();
    while let Some((line, found)) = records.next().map_err(DatasetError::io("read", path))? {
        let malformed = |column: &str, reason, found: &str| DatasetError::MalformedRow {
            rejection: Box::new(Rejection::new(&name, line, column, reason, found)),
        };
        let record = match found {
            Found::Record(record) => record,
            Found::Malformed(reason) => return Err(malformed("1", reason, "")),
        };
        if columns.count == 0 {
            columns = Columns::of(&record);
            if columns.count < 2 {
                let reason = "its header needs two columns, user and item, and may have the time or a rating"
                    .to_owned();
                return Err(DatasetError::WrongLayout { path: path.to_owned(), reason });
            }
        } else if record.ends.len() == columns.count {
            rows.push(
                row(record, &columns).map_err(|(column, reason, found)| malformed(column, reason, &found))?,
            );
        } else {
            let found = format!("{} columns", record.ends.len());
            return Err(malformed("1", "another number of columns than the header", &found));
        }
    }
    if columns.count == 0 {
        return Err(DatasetError::WrongLayout {
            path: path.to_owned(),
            reason: "the file is empty".to_owned(),
        });
    }
    Ok(rows)
}

fn row(record: CsvRecord<'_>, columns: &Columns) -> Result<Row, (&'static str, &'static str, String)> {
    let field = |column| record.field(column).unwrap_or_default();
    let bad_id = "an id is text of 1 to 256 bytes";
    let user = UserId::new(field(0)).map_err(|_| ("1", bad_id, field(0).to_owned()))?;
    let movie = MovieId::new(field(1)).map_err(|_| ("2", bad_id, field(1).to_owned()))?;
    let timestamp_ms = match columns.time.map_or("", field) {
        "" | "0" => Interactions::NO_TIME,
        text => text
            .parse::<i64>()
            .ok()
            .and_then(|seconds| seconds.checked_mul(1000))
            .ok_or_else(|| ("time", "not a time in whole seconds since 1970", text.to_owned()))?,
    };
    let preference = match columns.rating.map(field) {
        None => 1.0,
        Some(text) => text
            .parse::<f32>()
            .ok()
            .filter(|value| RatingScale::FIVE_STARS.contains(*value))
            .and_then(|value| {
                PreferencePolicy::default().preference(
                    InteractionKind::Rating,
                    Some(value),
                    RatingScale::FIVE_STARS,
                )
            })
            .ok_or_else(|| ("rating", "not a rating of 0.5 to 5", text.to_owned()))?,
    };
    Ok(Row { user, movie, preference, timestamp_ms })
}

fn unique<'a, T: Ord + Clone + 'a>(ids: impl Iterator<Item = &'a T>) -> Vec<T> {
    let mut ids: Vec<T> = ids.cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    fn targets(found: &HeldOutUsers) -> Vec<(&str, Vec<u32>, Vec<u32>)> {
        let rows = |movies: &[MovieIndex]| movies.iter().map(|movie| movie.0).collect::<Vec<_>>();
        let history = |user: &HeldOutUser| user.history.iter().map(|(movie, _)| movie.0).collect();
        found.users.iter().map(|user| (user.user_id.as_str(), history(user), rows(&user.targets))).collect()
    }

    #[test]
    fn the_catalogue_is_that_of_training_in_canonical_order() {
        let files = Files::new();
        let training =
            read_training(&files.write("train.csv", "user,item\n2,30\n10,4\n2,x\n2,30\n")).unwrap();
        assert_eq!(training.movie_ids.iter().map(MovieId::as_str).collect::<Vec<_>>(), ["4", "30", "x"]);
        assert_eq!(training.user_ids.iter().map(UserId::as_str).collect::<Vec<_>>(), ["2", "10"]);
        let pairs: Vec<_> = training.events.iter().map(|event| (event.user.0, event.movie.0)).collect();
        assert_eq!(pairs, [(0, 1), (1, 0), (0, 2)]);
    }

    #[test]
    fn with_a_fold_in_file_users_are_unknown_and_movies_must_be_of_training() {
        let files = Files::new();
        let training = read_training(&files.write("train.csv", "user,item\n1,1\n1,2\n1,3\n")).unwrap();
        let fold_in = files.write("tr.csv", "user,item\n9,2\n9,77\n8,1\n");
        let held_out = files.write("te.csv", "user,item\n9,3\n9,1\n9,99\n9,1\n9,2\n8,99\n7,1\n");
        let found = read_held_out(&training, Some(&fold_in), &held_out).unwrap();
        assert_eq!(targets(&found), [("7", vec![], vec![0]), ("9", vec![1], vec![0, 2])]);
        assert!(found.users.iter().all(|user| user.user.is_none()));
        assert_eq!((found.unknown_movies, found.unknown_users, found.repeated), (2, 0, 2));
    }

    #[test]
    fn without_one_users_are_those_of_training_oldest_first() {
        let files = Files::new();
        let text = "user,item,timestamp\n1,1,200\n1,2,0\n1,3,100\n2,1,50\n";
        let training = read_training(&files.write("train.csv", text)).unwrap();
        assert_eq!(training.events[0].timestamp_ms, 200_000);
        let held_out = files.write("te.csv", "user,item,timestamp\n2,3,300\n5,1,300\n1,9,300\n");
        let found = read_held_out(&training, None, &held_out).unwrap();
        assert_eq!(targets(&found), [("2", vec![0], vec![2])]);
        assert_eq!(
            (found.users[0].user, found.unknown_users, found.unknown_movies),
            (Some(UserIndex(1)), 1, 1)
        );
        let all = read_held_out(&training, None, &files.write("all.csv", "user,item\n1,1\n2,2\n")).unwrap();
        assert_eq!(targets(&all), [("2", vec![0], vec![1])]);
    }

    #[test]
    fn ratings_grade_what_is_known_and_only_the_liked_is_to_be_found() {
        let files = Files::new();
        let text = "user,item,rating,timestamp\n1,1,5,10\n1,2,1,20\n2,3,3,0\n1,1,3,30\n1,2,4,10\n";
        let training = read_training(&files.write("train.csv", text)).unwrap();
        let preferences: Vec<f32> = training.events.iter().map(|event| event.preference).collect();
        assert_eq!(preferences, [0.55, 0.27, 0.55]);
        let fold_in = files.write("tr.csv", "user,item,Rating\n9,2,2\n");
        let held_out = files.write("te.csv", "user,item,rating\n9,3,4\n9,1,3.5\n");
        let found = read_held_out(&training, Some(&fold_in), &held_out).unwrap();
        assert_eq!(targets(&found), [("9", vec![1], vec![2])]);
        assert_eq!(found.users[0].history, [(MovieIndex(1), 0.36)]);
    }

    fn check_refused(text: &str, expect: &str) {
        let files = Files::new();
        let message = read_training(&files.write("train.csv", text)).unwrap_err().to_string();
        assert!(message.contains("train.csv") && message.contains(expect), "{message}");
    }

    #[test]
    fn a_malformed_file_is_refused_with_its_line() {
        check_refused("", "empty");
        check_refused("user\n1\n", "two columns");
        check_refused("user,item\n", "no rows");
        check_refused("user,item\n1,2\n1\n", "line 3");
        check_refused("user,item\n1,\n", "line 2, column 2");
        check_refused("user,item,timestamp\n1,2,soon\n", "line 2, column time");
        check_refused("user,item,rating\n1,2,9\n", "line 2, column rating");
        check_refused("user,item,rating\n1,2,\n", "not a rating of 0.5 to 5");
        check_refused("user,item\n1,\"2\n", "quote");
        assert!(read_training(Path::new("/none.csv")).unwrap_err().to_string().contains("/none.csv"));
    }

    #[test]
    fn the_shared_splits_have_the_counts_of_their_rule() {
        let Some(shared) = std::env::var_os("CINEDEX_SHARED") else {
            eprintln!("skipped: CINEDEX_SHARED is not set");
            return;
        };
        let folder = PathBuf::from(shared).join("splits/ml-latest-small");
        let training = read_training(&folder.join("train.csv")).unwrap();
        let held_out =
            read_held_out(&training, Some(&folder.join("test_tr.csv")), &folder.join("test_te.csv")).unwrap();
        assert_eq!((training.events.len(), held_out.unknown_movies, held_out.repeated), (27_708, 0, 0));
        assert_eq!(held_out.users.iter().map(|user| user.targets.len()).sum::<usize>(), 1846);
        let folder = folder.with_file_name("ml-latest-small-temporal-peruser");
        let training = read_training(&folder.join("train.csv")).unwrap();
        let held_out = read_held_out(&training, None, &folder.join("test.csv")).unwrap();
        assert!(held_out.users.iter().all(|user| user.user.is_some() && !user.history.is_empty()));
    }
}
