//! What changes while serving: interactions, users forgotten, films put and withdrawn; and a user's history read back. Each is in
//! the log, and heard by the engine, before it is answered. The log blocks, so it has threads of its own; many of them wait
//! at once, so that one flush of the disk serves them all.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use cinedex_domain::{Event, Location, MovieFilter, MovieId, UserId};
use cinedex_feedback::{Entry, FeedbackError, Idempotency, Log, Logged};
use cinedex_recommender::{RecommendError, View};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::cache::{Encoded, Outcome};
use crate::cursor::{Cursor, hash, issue_time};
use crate::interactions::{Posted, read_interactions};
use crate::movie_body::read_movie;
use crate::problem::{Code, Problem, excerpt};
use crate::respond::{Asked, encode, read_cursor, refusal};
use crate::routes::Operation;
use crate::service::Service;

/// The header that names a request, so that a retry counts once.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Something to be changed, as it was sent.
pub(crate) struct Change {
    pub(crate) operation: Operation,
    /// The movie or user of the path; empty where there is none.
    pub(crate) id: String,
    pub(crate) body: Bytes,
    pub(crate) idempotency_key: Option<String>,
}

/// The idempotency key of a request's headers.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let refused = |why| Err(Problem::field(Code::InvalidParameter, IDEMPOTENCY_KEY, why));
    let mut values = headers.get_all("idempotency-key");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return refused("given more than once");
    }
    match value.to_str() {
        Ok(key) if (1..=256).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(key.to_owned()))
        }
        _ => refused("must be 1 to 256 visible ASCII characters"),
    }
}

impl Service {
    /// Makes a change on a thread that may wait for the disk; the answer comes when it is durable.
    pub(crate) async fn change(self: &Arc<Self>, change: Change, deadline: Instant) -> Outcome {
        let log = self.log()?;
        // Positions ascend: what was in the log before is heard first.
        self.live()?;
        let service = Arc::clone(self);
        let (sender, answer) = oneshot::channel();
        let work = move || service.perform(&log, change);
        self.admit(&self.writers, work, move |outcome| {
            // Who has gone away needs no answer.
            sender.send(outcome).ok();
        });
        let late = |_| {
            let detail =
                "not known to be done in time; send it again under the same Idempotency-Key or event ids";
            Problem::new(Code::Overloaded, detail).closing()
        };
        timeout_at(deadline, answer).await.map_err(late)?.unwrap_or_else(|_| Err(Problem::internal()))
    }

    /// A page of a user's history, as the log has it.
    pub(crate) fn history(&self, asked: &Asked) -> Outcome {
        let log = self.log()?;
        let user_id = user_id(&asked.id)?;
        let before = match &asked.parameters.cursor {
            None => None,
            Some(text) => Some(read_cursor(text, asked)?.offset),
        };
        let limit = asked.parameters.limit;
        let mut found = log.history(&user_id, before, limit + 1).map_err(failed)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| more).map(|last| {
            let cursor = Cursor {
                first_page: u8::try_from(limit).unwrap_or(u8::MAX),
                offset: last.position,
                request: asked.request,
                stamp: 0,
                shown: Vec::new(),
                issued: issue_time(asked.now),
                version: String::new(),
            };
            cursor.encode()
        });
        let view = self.live()?;
        let history = History {
            items: found.iter().filter_map(|logged| Told::of(logged, &view)).collect(),
            next_cursor,
            index_version: view.version(),
            user_id: user_id.as_str(),
        };
        Ok(Arc::new(Encoded::new(encode(&history)?)))
    }

    fn log(&self) -> Result<Arc<Log>, Problem> {
        self.log.clone().ok_or_else(|| {
            Problem::new(Code::FeedbackDisabled, "this server was started without a log of interactions")
        })
    }

    fn perform(&self, log: &Log, change: Change) -> Outcome {
        let answer = match change.operation {
            Operation::Interactions => self.take(log, change)?,
            Operation::Forget => self.forget(log, &change.id)?,
            Operation::PutMovie => {
                let movie = read_movie(&change.id, &change.body)?;
                log.put_movie(movie).map_err(failed)?;
                let view = self.live()?;
                let answer = view.movie(&change.id).map_err(|error| refused(error, change.operation))?;
                encode(&answer)?
            }
            _ => {
                let view = self.live()?;
                view.movie(&change.id).map_err(|error| refused(error, change.operation))?;
                let movie_id = MovieId::new(&change.id).map_err(|_| Problem::internal())?;
                log.withdraw_movie(&movie_id).map_err(failed)?;
                encode(&json!({"movie_id": change.id, "withdrawn": true}))?
            }
        };
        Ok(Arc::new(Encoded::new(answer)))
    }

    fn take(&self, log: &Log, change: Change) -> Result<Vec<u8>, Problem> {
        let posted = read_interactions(&change.body, now_ms())?;
        self.check(&posted)?;
        let body_hash = hash(&change.body);
        let idempotency = change.idempotency_key.map(|key| Idempotency { key, body_hash });
        if posted.events.is_empty() {
            return encode(&json!({"accepted": 0, "duplicates": 0}));
        }
        let taken = log.append(posted.events, idempotency).map_err(failed)?;
        self.metrics.live.count(&taken);
        encode(&json!({"accepted": taken.accepted, "duplicates": taken.duplicates}))
    }

    /// Holds interactions against the catalogue and the scale of ratings.
    fn check(&self, posted: &Posted) -> Result<(), Problem> {
        let view = self.live()?;
        let scale = view.rating_scale();
        let wrong = |position, name, detail: String| {
            Err(Problem::field(Code::InvalidBody, &posted.field(position, name), detail))
        };
        for (position, event) in posted.events.iter().enumerate() {
            if event.value.is_some_and(|value| !scale.contains(value)) {
                let (lowest, highest) = (scale.lowest(), scale.highest());
                return wrong(position, "value", format!("a rating is from {lowest} to {highest}"));
            }
            if !self.options.accept_unknown_movies && !view.knows_movie(event.movie_id.as_str()) {
                let movie_id = excerpt(event.movie_id.as_str());
                return wrong(position, "movie_id", format!("movie \"{movie_id}\" is not in the catalogue"));
            }
        }
        Ok(())
    }

    fn forget(&self, log: &Log, id: &str) -> Result<Vec<u8>, Problem> {
        let user_id = user_id(id)?;
        // Before it is hidden.
        let in_index = self.live().is_ok_and(|view| view.is_trained_on(id));
        let receipt = log.forget(&user_id).map_err(failed)?;
        let mut bytes_leave = serde_json::Map::new();
        if receipt.removed > 0 {
            bytes_leave.insert("log".to_owned(), "with its next compaction".into());
        }
        if in_index {
            let when = "when a rebuild, which leaves the user out, is live and the older indexes are removed";
            bytes_leave.insert("index".to_owned(), when.into());
            let when = "when it is imported again without the user; training leaves the user out until then";
            bytes_leave.insert("data_set".to_owned(), when.into());
        }
        encode(&json!({
            "user_id": id,
            "position": receipt.position,
            "removed": {"interactions": receipt.removed, "index": in_index},
            "hidden_since": Timestamp::now().to_string(),
            "bytes_leave": bytes_leave,
        }))
    }
}

/// A user's history as it is answered.
#[derive(Serialize)]
struct History<'a> {
    items: Vec<Told<'a>>,
    next_cursor: Option<String>,
    index_version: &'a str,
    user_id: &'a str,
}

/// One interaction as it is told.
#[derive(Serialize)]
struct Told<'a> {
    movie_id: &'a str,
    /// `None` if the catalogue does not have the movie.
    title: Option<String>,
    kind: &'a str,
    value: Option<f32>,
    timestamp: String,
    location: Option<&'a str>,
    event_id: Option<&'a str>,
    received: String,
}

impl<'a> Told<'a> {
    fn of(logged: &'a Logged, view: &View) -> Option<Self> {
        let Entry::Interaction(event) = &logged.entry else { return None };
        let Event { movie_id, kind, value, timestamp_ms, location, event_id, .. } = event;
        Some(Self {
            movie_id: movie_id.as_str(),
            title: view.movie(movie_id.as_str()).ok().map(|answer| answer.movie.title),
            kind: kind.as_str(),
            value: *value,
            timestamp: time_of(*timestamp_ms),
            location: location.as_ref().map(Location::as_str),
            event_id: event_id.as_deref(),
            received: time_of(logged.received_ms),
        })
    }
}

fn user_id(id: &str) -> Result<UserId, Problem> {
    UserId::new(id).map_err(|error| Problem::field(Code::InvalidParameter, "user_id", error.to_string()))
}

fn time_of(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default().to_string()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn refused(error: RecommendError, operation: Operation) -> Problem {
    refusal(error, operation, &MovieFilter::default())
}

/// What a refusal of the log is over HTTP.
fn failed(error: FeedbackError) -> Problem {
    match error {
        FeedbackError::StorageFull { .. } => {
            tracing::error!(error = &error as &dyn std::error::Error, "no room for the log");
            Problem::new(
                Code::StorageFull,
                "nothing of the request was kept; send it again when there is room",
            )
        }
        FeedbackError::IdempotencyMismatch { .. } => {
            Problem::new(Code::IdempotencyMismatch, "take a new Idempotency-Key for a new request")
        }
        FeedbackError::LargeMovie { .. } | FeedbackError::TooManyEvents { .. } => {
            Problem::new(Code::TooLarge, error.to_string())
        }
        other => {
            tracing::error!(error = &other as &dyn std::error::Error, "log failed");
            Problem::internal()
        }
    }
}
