//! The log as training takes it: changes to lay over a data set, and a table of interactions to train on elsewhere.

use std::collections::HashSet;
use std::path::Path;

use cinedex_dataset::LiveChanges;
use cinedex_domain::{Event, InteractionKind, MovieId, Progress, Step, UserId};
use cinedex_feedback::{Entry, FeedbackError, Log};
use cinedex_storage::{InteractionRow, InteractionWriter, read_interactions, xxh3};
use serde::Serialize;

use crate::PipelineError;

/// Interactions that go into the log at once.
const BATCH: usize = 10_000;

/// Everything in the log: interactions that no forgetting hides, users who were forgotten, films put and withdrawn. Its position
/// is that of the last entry that is here, so that what is appended meanwhile counts as later.
pub fn live_changes(log: &Log) -> Result<LiveChanges, PipelineError> {
    let mut live = LiveChanges::default();
    // Also those whose entry has left.
    log.forgotten().iter().for_each(|(user_id, _)| live.forget(user_id));
    let mut last = 0;
    log.read(0, |logged| {
        last = logged.position;
        match logged.entry {
            Entry::Interaction(event) => live.add(&event),
            Entry::Forgotten(user_id) => live.forget(&user_id),
            Entry::MoviePut(movie) => live.put_movie(movie),
            Entry::MovieWithdrawn(movie_id) => live.withdraw_movie(&movie_id),
        }
        true
    })?;
    live.set_log_position(last);
    Ok(live)
}

/// Writes the interactions of the log as a Parquet table like that of a data set; a file that is there is replaced. Answers their
/// number.
pub fn export_log(log: &Log, file: &Path, progress: Progress<'_>) -> Result<u64, PipelineError> {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".partial");
    let partial = file.with_file_name(name);
    let mut writer = InteractionWriter::create(&partial)?;
    let mut failed = Ok(());
    let total = Some(log.status().entries);
    let mut rows = 0;
    log.read(0, |logged| {
        let Entry::Interaction(event) = logged.entry else { return true };
        rows += 1;
        if rows % BATCH as u64 == 0 {
            progress(Step::new("export", rows, total));
        }
        failed = writer.push(InteractionRow {
            user_id: event.user_id.as_str(),
            movie_id: event.movie_id.as_str(),
            kind: event.kind,
            value: event.value,
            timestamp_ms: Some(event.timestamp_ms),
            location: event.location.as_ref().map(cinedex_domain::Location::as_str),
        });
        failed.is_ok()
    })?;
    failed?;
    let rows = writer.finish()?;
    let renamed = std::fs::rename(&partial, file);
    renamed.map_err(|source| PipelineError::Backup { action: "write", path: file.to_owned(), source })?;
    Ok(rows)
}

/// What became of the rows of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LogImport {
    /// New interactions, which are in the log now.
    pub accepted: u64,
    /// Rows that say what is in the log already, or what an earlier row said.
    pub duplicates: u64,
    /// Rows without a time or a rating's value, or with a place that is none: left out.
    pub rejected: u64,
}

/// Appends the interactions of a table like that of a data set. A row that the log has already, the same in everything, counts once.
pub fn import_log(log: &Log, file: &Path, progress: Progress<'_>) -> Result<LogImport, PipelineError> {
    let mut known = HashSet::new();
    log.read(0, |logged| {
        if let Entry::Interaction(event) = logged.entry {
            known.insert(fingerprint(&event));
        }
        true
    })?;
    let mut import = LogImport::default();
    let mut batch: Vec<Event> = Vec::new();
    let mut failed: Result<(), FeedbackError> = Ok(());
    let mut rows = 0;
    read_interactions(file, &mut |row| {
        rows += 1;
        let Some(event) = event(row) else {
            import.rejected += 1;
            return Ok(());
        };
        if !known.insert(fingerprint(&event)) {
            import.duplicates += 1;
            return Ok(());
        }
        batch.push(event);
        if batch.len() == BATCH && failed.is_ok() {
            progress(Step::new("import", rows, None));
            failed = append(log, &mut batch, &mut import);
        }
        Ok(())
    })?;
    failed?;
    append(log, &mut batch, &mut import)?;
    Ok(import)
}

fn append(log: &Log, batch: &mut Vec<Event>, import: &mut LogImport) -> Result<(), FeedbackError> {
    let appended = log.append(std::mem::take(batch), None)?;
    import.accepted += u64::from(appended.accepted);
    import.duplicates += u64::from(appended.duplicates);
    Ok(())
}

/// A row as an event; `None` if it is none.
fn event(row: InteractionRow<'_>) -> Option<Event> {
    let event = Event {
        user_id: UserId::new(row.user_id).ok()?,
        movie_id: MovieId::new(row.movie_id).ok()?,
        kind: row.kind,
        value: row.value.filter(|_| row.kind == InteractionKind::Rating),
        timestamp_ms: row.timestamp_ms?,
        location: row.location.map(str::parse).transpose().ok()?,
        event_id: None,
    };
    event.check().ok()?;
    Some(event)
}

/// Stands for all that an event says but its id.
fn fingerprint(event: &Event) -> u64 {
    let place = event.location.as_ref().map_or("", cinedex_domain::Location::folded);
    let value = event.value.map_or(u32::MAX, f32::to_bits);
    let text = format!(
        "{}\n{}\n{}\n{value}\n{}\n{}{}",
        event.user_id.as_str().len(),
        event.kind,
        event.timestamp_ms,
        place,
        event.user_id,
        event.movie_id
    );
    xxh3(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use cinedex_dataset::Dataset;
    use cinedex_domain::{Movie, silent};
    use cinedex_feedback::LogOptions;

    use super::*;
    use crate::test_world::{NAME, small};

    fn open(folder: &Path) -> Log {
        Log::open(folder, &LogOptions::default(), |_| {}).unwrap().log
    }

    fn events(user: &str, movies: &[&str]) -> Vec<Event> {
        let event = |movie: &&str| Event {
            user_id: UserId::new(user).unwrap(),
            movie_id: MovieId::new(movie).unwrap(),
            kind: InteractionKind::Rating,
            value: Some(4.5),
            timestamp_ms: 77,
            location: Some("KR/11".parse().unwrap()),
            event_id: None,
        };
        movies.iter().map(event).collect()
    }

    #[test]
    fn changes_are_all_that_the_log_says_up_to_its_last_entry() {
        let (folder, data) = small();
        let log = open(&folder.path().join("log"));
        assert_eq!(live_changes(&log).unwrap().log_position(), 0);
        log.append(events("2", &["0", "1"]), None).unwrap();
        log.append(events("77", &["0", "nowhere"]), None).unwrap();
        log.forget(&UserId::new("2").unwrap()).unwrap();
        log.append(events("2", &["3"]), None).unwrap();
        log.put_movie(Movie::new(MovieId::new("20").unwrap(), "New")).unwrap();
        let position = log.withdraw_movie(&MovieId::new("11").unwrap()).unwrap();
        let live = live_changes(&log).unwrap();
        assert_eq!((live.log_position(), live.interaction_count()), (position, 3));
        let dataset = Dataset::load(&data, NAME).unwrap().with_live(live);
        assert_eq!(dataset.movies.len(), 12);
        let of = |user: &str| {
            let row = dataset.users.iter().position(|known| known.user_id.as_str() == user).unwrap();
            dataset.interactions.users.iter().filter(|user| user.row() == row).count()
        };
        assert_eq!((of("2"), of("77")), (1, 1));
    }

    #[test]
    fn what_is_exported_is_imported_once() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(&folder.path().join("log"));
        log.append(events("1", &["5", "6", "7"]), None).unwrap();
        log.append(events("2", &["5"]), None).unwrap();
        log.forget(&UserId::new("2").unwrap()).unwrap();
        let table = folder.path().join("log.parquet");
        assert_eq!(export_log(&log, &table, &silent).unwrap(), 3);
        let again = import_log(&log, &table, &silent).unwrap();
        assert_eq!(again, LogImport { accepted: 0, duplicates: 3, rejected: 0 });
        let other = open(&folder.path().join("other"));
        let first = import_log(&other, &table, &silent).unwrap();
        assert_eq!((first.accepted, other.status().entries), (3, 3));
        let copy = folder.path().join("copy.parquet");
        export_log(&other, &copy, &silent).unwrap();
        assert_eq!(import_log(&log, &copy, &silent).unwrap().duplicates, 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "nothing partial stays");
    }

    #[test]
    fn rows_that_are_no_events_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("rows.parquet");
        let mut writer = InteractionWriter::create(&table).unwrap();
        let row = InteractionRow {
            user_id: "1",
            movie_id: "2",
            kind: InteractionKind::Watch,
            value: Some(3.0),
            timestamp_ms: Some(5),
            location: None,
        };
        writer.push(row).unwrap();
        writer.push(InteractionRow { timestamp_ms: None, ..row }).unwrap();
        writer.push(InteractionRow { kind: InteractionKind::Rating, value: None, ..row }).unwrap();
        writer.push(InteractionRow { location: Some("Narnia"), ..row }).unwrap();
        writer.finish().unwrap();
        let log = open(&folder.path().join("log"));
        let import = import_log(&log, &table, &silent).unwrap();
        assert_eq!(import, LogImport { accepted: 1, duplicates: 0, rejected: 3 });
    }
}
