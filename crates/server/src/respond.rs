//! What a route answers, computed from one snapshot on a thread of the pool and encoded; and what an error of the engine is
//! over HTTP.

use cinedex_recommender::{
    HistoryItem, ListRequest, NeighborRequest, PopularRequest, RecommendError, Snapshot, UserRequest,
};
use serde::Serialize;

use crate::cursor::{Cursor, issue_time};
use crate::parameters::Parameters;
use crate::problem::{Code, Problem};
use crate::routes::Operation;

/// One list that was asked for, read and checked.
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    /// The movie or user of the path; empty where there is none.
    pub(crate) id: String,
    pub(crate) parameters: Parameters,
    pub(crate) history: Vec<HistoryItem>,
    pub(crate) offset: usize,
    pub(crate) first_page: usize,
    /// [`crate::cursor::hash`] of route, id and normal form.
    pub(crate) request: u64,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

impl Asked {
    /// The answer's bytes.
    pub(crate) fn answer(self, snapshot: &Snapshot) -> Result<Vec<u8>, Problem> {
        let Self { operation, id, parameters, history, offset, first_page, request, now } = self;
        let Parameters { query, limit, location, user, diversity, explain, include_seen, filter, .. } =
            parameters;
        let position = Position { offset, first_page, request, now };
        if operation == Operation::Neighbors {
            let mut list = snapshot.neighbors(&id, &NeighborRequest { offset, limit, first_page });
            if list.more {
                list.next_cursor = Some(position.next_cursor(snapshot, list.items.len()));
            }
            return encode(&list);
        }
        let user_request;
        let list = match operation {
            Operation::Search => Ok(snapshot.search(&query, offset, limit)),
            Operation::Similar => {
                snapshot.similar(&id, &ListRequest { filter: filter.clone(), offset, limit, first_page })
            }
            Operation::Popular => snapshot.popular(&PopularRequest {
                filter: filter.clone(),
                location,
                user,
                include_seen,
                offset,
                limit,
            }),
            _ => {
                let filter = filter.clone();
                user_request =
                    UserRequest { filter, include_seen, location, diversity, explain, offset, limit };
                match operation {
                    Operation::ForHistory => snapshot.for_history(&history, &user_request),
                    _ => snapshot.for_user(&id, &user_request),
                }
            }
        };
        let mut list = list.map_err(|error| refusal(error, operation, &filter))?;
        if list.more && operation != Operation::ForHistory {
            list.next_cursor = Some(position.next_cursor(snapshot, list.items.len()));
        }
        encode(&list)
    }
}

/// Any answer as JSON.
pub(crate) fn encode(answer: &impl Serialize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(4096);
    serde_json::to_writer(&mut bytes, answer).map_err(|_| Problem::internal())?;
    Ok(bytes)
}

/// An error of the engine over HTTP.
pub(crate) fn refusal(
    error: RecommendError,
    operation: Operation,
    filter: &cinedex_domain::MovieFilter,
) -> Problem {
    match error {
        RecommendError::NotReady => Problem::not_ready(),
        RecommendError::UnknownMovie { .. } => Problem::new(Code::MovieNotFound, error.to_string()),
        RecommendError::UnknownGenre { ref genre, .. } => {
            let code = match operation {
                Operation::ForHistory => Code::InvalidBody,
                _ => Code::InvalidParameter,
            };
            let lists = [("genre", &filter.genres_any), ("genre_all", &filter.genres_all)];
            let field =
                lists.iter().find(|(_, list)| list.iter().any(|name| name.eq_ignore_ascii_case(genre)));
            Problem::field(code, field.map_or("genre_none", |(name, _)| *name), error.to_string())
        }
        RecommendError::ExplanationUnavailable => {
            Problem::new(Code::ExplanationUnavailable, error.to_string())
        }
        RecommendError::ValueOffScale { position, .. } => {
            Problem::field(Code::InvalidBody, &format!("history[{position}].value"), error.to_string())
        }
        other => {
            tracing::error!(error = &other as &dyn std::error::Error, "engine failed");
            Problem::internal()
        }
    }
}

/// Where an answer stands in which list.
struct Position {
    offset: usize,
    first_page: usize,
    request: u64,
    now: u64,
}

impl Position {
    /// Where the list goes on after `items` of it.
    fn next_cursor(&self, snapshot: &Snapshot, items: usize) -> String {
        let cursor = Cursor {
            first_page: u8::try_from(self.first_page).unwrap_or(u8::MAX),
            // Rows of movies and users are 32 bits wide.
            offset: (self.offset + items) as u32,
            request: self.request,
            issued: issue_time(self.now),
            version: snapshot.version().to_owned(),
        };
        cursor.encode()
    }
}
