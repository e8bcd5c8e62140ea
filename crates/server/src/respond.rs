//! What a route answers, computed from one view on a thread of the pool and encoded; and what an error of the engine is
//! over HTTP.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use cinedex_recommender::{
    HistoryItem, ListRequest, NeighborRequest, PopularRequest, RecommendError, UserRequest, View,
};
use serde::Serialize;

use crate::cursor::{Cursor, MAX_SHOWN, hash, issue_time, mark};
use crate::parameters::Parameters;
use crate::problem::{Code, Problem};
use crate::routes::{Operation, Route};

/// A page that was asked for, with the name of the list that it belongs to.
pub(crate) struct List {
    /// What the list is, whatever page of it: route, id and normal form.
    key: String,
    pub(crate) asked: Asked,
}

impl List {
    pub(crate) fn new(route: &Route, id: String, parameters: Parameters, history: Vec<HistoryItem>) -> Self {
        let key = format!("{} {}:{id} {}", route.pattern, id.len(), parameters.normal_form());
        let asked = Asked {
            operation: route.operation,
            request: hash(key.as_bytes()),
            first_page: parameters.limit,
            offset: 0,
            shown: Vec::new(),
            stamp: 0,
            moved: false,
            now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            id,
            parameters,
            history,
        };
        Self { key, asked }
    }

    /// [`hash`] of what changes when what is live changes the list.
    pub(crate) fn stamp(&self, view: &View) -> u64 {
        let Asked { operation, id, parameters, .. } = &self.asked;
        let by_place = || view.popularity_generation();
        let user = |id: &str| view.user_generation(id);
        let generations = match operation {
            Operation::ForUser if view.knows_user(id) => [user(id), 0],
            Operation::ForUser => [user(id), by_place()],
            Operation::Neighbors => [user(id), view.forgotten_generation()],
            Operation::Popular | Operation::Trending => {
                [parameters.user.as_deref().map_or(0, user), by_place()]
            }
            _ => [0, 0],
        };
        let [first, second] = generations.map(u64::to_le_bytes);
        hash(&[first, second, view.catalogue_generation().to_le_bytes()].concat())
    }

    /// What the page is called in the cache.
    pub(crate) fn page_key(&self, view: &View) -> String {
        let Asked { offset, first_page, stamp, moved, parameters: Parameters { limit, .. }, .. } =
            &self.asked;
        // Of two walks that came equally far through a list that changed, each has shown something else.
        let shown = self.asked.shown.iter().fold(0_u64, |sum, mark| sum.rotate_left(7) ^ mark);
        let version = view.version();
        format!("{version} {stamp:x} {offset} {shown:x} {moved} {limit} {first_page} {}", self.key)
    }
}

/// One list that was asked for, read and checked.
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    /// The movie or user of the path; empty where there is none.
    pub(crate) id: String,
    pub(crate) parameters: Parameters,
    pub(crate) history: Vec<HistoryItem>,
    pub(crate) offset: usize,
    pub(crate) first_page: usize,
    /// [`mark`]s of the items of earlier pages, as far as the cursor remembers them.
    pub(crate) shown: Vec<u64>,
    /// [`crate::cursor::hash`] of the state of what is live and changes the list.
    pub(crate) stamp: u64,
    /// Whether that state is another than when the list was begun: then `shown` says what is left out, not `offset`.
    pub(crate) moved: bool,
    /// [`crate::cursor::hash`] of route, id and normal form.
    pub(crate) request: u64,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

impl Asked {
    /// The answer's bytes.
    pub(crate) fn answer(self, view: &View) -> Result<Vec<u8>, Problem> {
        let range = Range::of(&self);
        let Range { offset, limit } = range;
        let operation = self.operation;
        if operation == Operation::Neighbors {
            let request = NeighborRequest { offset, limit, first_page: self.first_page };
            let mut list = view.neighbors(&self.id, &request);
            list.more |= self.leave_out_shown(&mut list.items, |neighbor| neighbor.user_id);
            if list.more {
                list.next_cursor = Some(self.next_cursor(view, &list.items, |neighbor| neighbor.user_id));
            }
            return encode(&list);
        }
        let user_request;
        let parameters = &self.parameters;
        let filter = parameters.filter.clone();
        let list = match operation {
            Operation::Search => Ok(view.search(&parameters.query, offset, limit)),
            Operation::Similar => {
                let request = ListRequest { filter, offset, limit, first_page: self.first_page };
                view.similar(&self.id, &request)
            }
            Operation::Popular | Operation::Trending => {
                let request = PopularRequest {
                    filter,
                    location: parameters.location.clone(),
                    user: parameters.user.clone(),
                    include_seen: parameters.include_seen,
                    offset,
                    limit,
                };
                match operation {
                    Operation::Popular => view.popular(&request, parameters.window),
                    _ => view.trending(&request),
                }
            }
            _ => {
                user_request = UserRequest {
                    filter,
                    include_seen: parameters.include_seen,
                    location: parameters.location.clone(),
                    diversity: parameters.diversity,
                    explain: parameters.explain,
                    offset,
                    limit,
                };
                match operation {
                    Operation::ForHistory => view.for_history(&self.history, &user_request),
                    _ => view.for_user(&self.id, &user_request),
                }
            }
        };
        let mut list = list.map_err(|error| refusal(error, operation, &parameters.filter))?;
        list.more |= self.leave_out_shown(&mut list.items, |item| item.movie_id);
        if list.more && operation != Operation::ForHistory {
            list.next_cursor = Some(self.next_cursor(view, &list.items, |item| item.movie_id));
        }
        encode(&list)
    }

    /// Leaves out what earlier pages showed, where the list has changed since; whether that leaves more than a page.
    fn leave_out_shown<T>(&self, items: &mut Vec<T>, id: impl Fn(&T) -> &str) -> bool {
        if !self.moved {
            return false;
        }
        let shown: HashSet<u64> = self.shown.iter().copied().collect();
        items.retain(|item| !shown.contains(&mark(id(item))));
        let more = items.len() > self.parameters.limit;
        items.truncate(self.parameters.limit);
        more
    }

    /// Where the list goes on after these items.
    fn next_cursor<T>(&self, view: &View, items: &[T], id: impl Fn(&T) -> &str) -> String {
        let mut shown = self.shown.clone();
        // Only a whole memory is of use.
        if shown.len() == self.offset && shown.len() + items.len() <= MAX_SHOWN {
            shown.extend(items.iter().map(|item| mark(id(item))));
        }
        let cursor = Cursor {
            first_page: u8::try_from(self.first_page).unwrap_or(u8::MAX),
            offset: (self.offset + items.len()) as u64,
            request: self.request,
            stamp: self.stamp,
            shown,
            issued: issue_time(self.now),
            version: view.version().to_owned(),
        };
        cursor.encode()
    }
}

/// Which part of a list the engine is asked for.
struct Range {
    offset: usize,
    limit: usize,
}

impl Range {
    /// A list that has changed is asked for from its beginning, with room for what was shown.
    fn of(asked: &Asked) -> Self {
        let limit = asked.parameters.limit;
        if asked.moved {
            Self { offset: 0, limit: asked.shown.len() + limit }
        } else {
            Self { offset: asked.offset, limit }
        }
    }
}

/// Reads the cursor of a page; refused if it is of another list, or too old.
pub(crate) fn read_cursor(text: &str, asked: &Asked) -> Result<Cursor, Problem> {
    let refused = |why| Problem::field(Code::InvalidParameter, "cursor", why);
    let cursor = Cursor::decode(text).map_err(|_| refused("not a cursor that this server gave"))?;
    if cursor.request != asked.request {
        return Err(refused("it belongs to a request with other parameters"));
    }
    if cursor.is_expired(asked.now) {
        return Err(Problem::new(Code::CursorExpired, "begin again without the cursor"));
    }
    Ok(cursor)
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
