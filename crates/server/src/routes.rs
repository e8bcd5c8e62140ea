//! The one table of routes and parameters, from which requests are routed and read, and the OpenAPI document, the
//! documentation page and the metrics are made.

use crate::keys::Scope;
use crate::problem::Code;
use crate::{admin_routes, live_routes};

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Search,
    Movie,
    Similar,
    ForUser,
    ForHistory,
    Neighbors,
    Popular,
    Trending,
    History,
    Interactions,
    Forget,
    PutMovie,
    WithdrawMovie,
    Batch,
    Rebuild,
    Versions,
    Activate,
    Remove,
    Tasks,
    Task,
    Cancel,
    ClearCache,
    Audit,
    Live,
    Ready,
    Metrics,
    OpenApi,
    Docs,
}

/// The methods in use. HEAD is answered wherever GET is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// What a parameter's value is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Text of at most this many bytes.
    Text(usize),
    /// An id of 1 to 256 bytes.
    Id,
    /// A whole number between two ends.
    Integer(u32, u32),
    /// A number between two ends.
    Number(f32, f32),
    /// `true` or `false`.
    Boolean,
    /// One of these names.
    Choice(&'static [&'static str]),
}

/// One parameter of the query, or field of the body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The most values; 1 is not repeatable.
    pub(crate) most: usize,
    pub(crate) description: &'static str,
}

/// What comes back when all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// JSON of this schema of the OpenAPI document.
    Json(&'static str),
    /// The same with status 202 and the `location` of what goes on.
    Accepted(&'static str),
    /// Text of this media type.
    Text(&'static str),
}

impl Answer {
    /// The status that goes with it.
    pub(crate) fn status(self) -> u16 {
        if matches!(self, Self::Accepted(_)) { 202 } else { 200 }
    }
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    /// Segments between slashes; one in braces stands for an id.
    pub(crate) pattern: &'static str,
    pub(crate) name: &'static str,
    /// The scope that a key must have; none for what tells nothing that is not public.
    pub(crate) scope: Option<Scope>,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    pub(crate) parameters: &'static [&'static [Parameter]],
    pub(crate) answer: Answer,
    /// Codes beside those that every route may answer, see [`COMMON_CODES`].
    pub(crate) codes: &'static [Code],
}

/// What any route may answer: a request too large, a failure, no room.
pub(crate) const COMMON_CODES: [Code; 4] =
    [Code::UnknownParameter, Code::TooLarge, Code::Internal, Code::Overloaded];

/// What a route with a scope may answer, and the last what only one for operators may.
const SCOPE_CODES: [Code; 4] = [Code::Unauthorized, Code::Forbidden, Code::RateLimited, Code::AdminDisabled];

/// What is answered where no route is, or not with that method.
pub(crate) const UNROUTED_CODES: [Code; 2] = [Code::RouteNotFound, Code::MethodNotAllowed];

impl Route {
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        self.parameters.iter().flat_map(|group| group.iter())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters().find(|parameter| parameter.name == name)
    }

    /// Whether it changes what is kept.
    pub(crate) fn is_change(&self) -> bool {
        use Operation::{Forget, Interactions, PutMovie, WithdrawMovie};
        matches!(self.operation, Interactions | Forget | PutMovie | WithdrawMovie)
    }

    pub(crate) fn has_body(&self) -> bool {
        let bodiless = matches!(self.operation, Operation::Activate | Operation::ClearCache);
        matches!(self.method, Method::Post | Method::Put) && !bodiless
    }

    /// Whether who calls it is written down: what an operator changes, and what others put or delete.
    pub(crate) fn is_audited(&self) -> bool {
        let changes = self.method != Method::Get;
        let replaces = matches!(self.method, Method::Put | Method::Delete);
        replaces || (changes && self.scope == Some(Scope::Admin))
    }

    /// Whether the same question may have the same answer again, so that it goes out with an `ETag`.
    pub(crate) fn is_tagged(&self) -> bool {
        let transient = matches!(self.operation, Operation::Live | Operation::Ready | Operation::Metrics);
        self.method == Method::Get && !transient && self.scope != Some(Scope::Admin)
    }

    /// All codes that it may answer.
    pub(crate) fn all_codes(&self) -> impl Iterator<Item = Code> {
        let limited: &[Code] = match self.scope {
            None => &[],
            Some(Scope::Read | Scope::Write) => &SCOPE_CODES[..3],
            Some(Scope::Admin) => &SCOPE_CODES,
        };
        self.codes.iter().copied().chain(COMMON_CODES).chain(limited.iter().copied())
    }
}

const fn one(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter { name, kind, most: 1, description }
}

const fn many(name: &'static str, kind: Kind, most: usize, description: &'static str) -> Parameter {
    Parameter { name, kind, most, description }
}

const LIMIT: Parameter = one("limit", Kind::Integer(1, 100), "Items wanted, 20 by default.");
const CURSOR: Parameter = one(
    "cursor",
    Kind::Text(8_192),
    "`next_cursor` of the page before. The other parameters stay as they were. Good for at least ten minutes.",
);
const LOCATION: Parameter = one(
    "location",
    Kind::Text(256),
    "Where: `US`, `US/CA` or `US/CA/Fresno`; the narrowest place around it with enough evidence answers. `world` is \
     everywhere. Without it the user's stored place, else the world.",
);
const INCLUDE_SEEN: Parameter =
    one("include_seen", Kind::Boolean, "Also what the user has already seen, false by default.");

pub(crate) const PAGE: &[Parameter] = &[LIMIT, CURSOR];
const SEARCH: &[Parameter] = &[one(
    "q",
    Kind::Text(256),
    "Part of a title, an original title or another title: whole words or their beginnings; accents, case, spaces, \
     punctuation, the spelling of small numbers and typing errors forgiven. Without it every movie, in the order of ids.",
)];
pub(crate) const FILTERS: &[Parameter] = &[
    many("genre", Kind::Text(128), 50, "Any of these genres."),
    many("genre_all", Kind::Text(128), 50, "All of these genres."),
    many("genre_none", Kind::Text(128), 50, "None of these genres."),
    one("year_min", Kind::Integer(0, 65_535), "Released in this year or later."),
    one("year_max", Kind::Integer(0, 65_535), "Released in this year or earlier."),
    many("country", Kind::Text(64), 50, "Produced in any of these countries, two letters."),
    many("language", Kind::Text(64), 50, "Spoken in any of these languages, two letters."),
    one("runtime_max", Kind::Integer(0, 65_535), "At most this many minutes."),
    one("max_age", Kind::Integer(0, 255), "Suitable at this age; a movie whose age is unknown is left out."),
    one("adult", Kind::Boolean, "Also films for adults only, false by default."),
    many("exclude", Kind::Id, 1_000, "Never these movies."),
    INCLUDE_SEEN,
];
const TASTE: &[Parameter] = &[
    one("diversity", Kind::Number(0.0, 1.0), "0 orders by score, 1 by difference; scores stay as they are."),
    one(
        "explain",
        Kind::Boolean,
        "Each item with the movies that speak for it; their shares and the remainder sum to the score.",
    ),
];
pub(crate) const PLACE: &[Parameter] = &[LOCATION];
pub(crate) const USER: &[Parameter] = &[one("user", Kind::Id, "Leaves out what this user has seen.")];
const WINDOW: &[Parameter] = &[one(
    "window",
    Kind::Choice(&["day", "week", "month", "all"]),
    "Over about which time, `all` by default.",
)];
const BODY_LIMIT: &[Parameter] = &[LIMIT];

pub(crate) const LIST_CODES: &[Code] = &[Code::InvalidParameter, Code::CursorExpired, Code::NotReady];
const SIMILAR_CODES: &[Code] =
    &[Code::InvalidParameter, Code::CursorExpired, Code::MovieNotFound, Code::NotReady];
const USER_CODES: &[Code] =
    &[Code::InvalidParameter, Code::CursorExpired, Code::ExplanationUnavailable, Code::NotReady];
const HISTORY_CODES: &[Code] = &[
    Code::InvalidBody,
    Code::ExplanationUnavailable,
    Code::RequestTimeout,
    Code::UnsupportedMediaType,
    Code::NotReady,
];

/// Every route.
pub(crate) static ROUTES: [Route; 28] = [
    Route {
        operation: Operation::Search,
        method: Method::Get,
        pattern: "/v1/movies",
        name: "search_movies",
        scope: Some(Scope::Read),
        summary: "Movies by title",
        description: "Whole titles first, then beginnings of titles, then all words, then beginnings of words, then \
                      misspelt ones; within each by popularity.",
        parameters: &[SEARCH, PAGE],
        answer: Answer::Json("MovieList"),
        codes: LIST_CODES,
    },
    Route {
        operation: Operation::Movie,
        method: Method::Get,
        pattern: "/v1/movies/{movie_id}",
        name: "get_movie",
        scope: Some(Scope::Read),
        summary: "One movie",
        description: "Everything that is known of it.",
        parameters: &[],
        answer: Answer::Json("Movie"),
        codes: &[Code::InvalidParameter, Code::MovieNotFound, Code::NotReady],
    },
    Route {
        operation: Operation::Similar,
        method: Method::Get,
        pattern: "/v1/movies/{movie_id}/similar",
        name: "similar_movies",
        scope: Some(Scope::Read),
        summary: "Movies similar to one",
        description: "By cosine of embeddings. Movies without an embedding come last, by genre and popularity, with a \
                      score of -1.",
        parameters: &[PAGE, FILTERS],
        answer: Answer::Json("SimilarList"),
        codes: SIMILAR_CODES,
    },
    Route {
        operation: Operation::ForUser,
        method: Method::Get,
        pattern: "/v1/users/{user_id}/recommendations",
        name: "recommend_for_user",
        scope: Some(Scope::Read),
        summary: "Movies for a user",
        description: "An unknown user is answered as a new one: by what is popular in the place.",
        parameters: &[PAGE, PLACE, TASTE, FILTERS],
        answer: Answer::Json("UserList"),
        codes: USER_CODES,
    },
    Route {
        operation: Operation::ForHistory,
        method: Method::Post,
        pattern: "/v1/recommendations",
        name: "recommend_for_history",
        scope: Some(Scope::Read),
        summary: "Movies for a history that the request carries",
        description: "Nothing is stored. Movies that the catalogue does not have are left out and listed in \
                      `unknown_movies`. A kind left out is a rating where there is a value, else a like. It is one list \
                      of at most 100 movies: this route has no cursor, and `next_cursor` is always null.",
        parameters: &[BODY_LIMIT, PLACE, TASTE, FILTERS],
        answer: Answer::Json("HistoryList"),
        codes: HISTORY_CODES,
    },
    Route {
        operation: Operation::Neighbors,
        method: Method::Get,
        pattern: "/v1/users/{user_id}/neighbors",
        name: "user_neighbors",
        scope: Some(Scope::Read),
        summary: "People of like taste",
        description: "By cosine of embeddings, from 1 (the same taste) to -1; the user is left out, as is everybody without an \
                      embedding. `strategy` says what was compared: `personalized` is the user's own embedding, `folded_in` \
                      one made from the user's history, where the index has none. `unavailable` is nothing, and the list is \
                      empty: the user is unknown, or a new one, or the index has no embeddings of users because its model \
                      came without. The answer names other people by their ids: pass on to a person only what they may know.",
        parameters: &[PAGE],
        answer: Answer::Json("NeighborList"),
        codes: LIST_CODES,
    },
    Route {
        operation: Operation::Popular,
        method: Method::Get,
        pattern: "/v1/popular",
        name: "popular_movies",
        scope: Some(Scope::Read),
        summary: "What is popular in a place",
        description: "By the place's rates, what happens while serving included, shrunk towards those of the place around it; `location` says which place \
                      answered, on how many events.",
        parameters: &[PAGE, PLACE, USER, WINDOW, FILTERS],
        answer: Answer::Json("PopularList"),
        codes: LIST_CODES,
    },
    live_routes::TRENDING,
    live_routes::HISTORY_OF_USER,
    live_routes::INTERACTIONS,
    live_routes::FORGET,
    live_routes::PUT_MOVIE,
    live_routes::WITHDRAW_MOVIE,
    live_routes::BATCH,
    admin_routes::REBUILD,
    admin_routes::VERSIONS,
    admin_routes::ACTIVATE_VERSION,
    admin_routes::REMOVE_VERSION,
    admin_routes::TASKS,
    admin_routes::TASK,
    admin_routes::CANCEL,
    admin_routes::CLEAR_CACHE,
    admin_routes::AUDIT,
    Route {
        operation: Operation::Live,
        method: Method::Get,
        pattern: "/livez",
        name: "live",
        scope: None,
        summary: "Whether the process lives",
        description: "200 as long as it answers at all.",
        parameters: &[],
        answer: Answer::Json("Health"),
        codes: &[],
    },
    Route {
        operation: Operation::Ready,
        method: Method::Get,
        pattern: "/readyz",
        name: "ready",
        scope: None,
        summary: "Whether an index is loaded",
        description: "503 until then, and again once the server has been told to stop.",
        parameters: &[],
        answer: Answer::Json("Health"),
        codes: &[Code::NotReady, Code::Draining],
    },
    Route {
        operation: Operation::Metrics,
        method: Method::Get,
        pattern: "/metrics",
        name: "metrics",
        scope: Some(Scope::Read),
        summary: "Figures for monitoring",
        description: "OpenMetrics text.",
        parameters: &[],
        answer: Answer::Text("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        codes: &[],
    },
    Route {
        operation: Operation::OpenApi,
        method: Method::Get,
        pattern: "/openapi.json",
        name: "openapi",
        scope: None,
        summary: "This description",
        description: "OpenAPI 3.1.",
        parameters: &[],
        answer: Answer::Json("OpenApi"),
        codes: &[],
    },
    Route {
        operation: Operation::Docs,
        method: Method::Get,
        pattern: "/docs",
        name: "docs",
        scope: None,
        summary: "This description for people",
        description: "One page without anything fetched from elsewhere.",
        parameters: &[],
        answer: Answer::Text("text/html; charset=utf-8"),
        codes: &[],
    },
];

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum Found<'p> {
    /// A route, with the undecoded id where its pattern has one.
    Route(&'static Route, Option<&'p str>),
    /// A route, but not with this method; the methods that it has.
    WrongMethod(String),
    Nothing,
}

/// Finds the route of an undecoded path. A slash within an id travels as `%2F`, so it never splits a segment.
pub(crate) fn find<'p>(method: &str, path: &'p str) -> Found<'p> {
    let mut allow: Vec<&str> = Vec::new();
    for route in &ROUTES {
        if !matches(route.pattern, path) {
            continue;
        }
        if route.method.as_str() == method || (method == "HEAD" && route.method == Method::Get) {
            return Found::Route(route, id_segment(route.pattern, path));
        }
        allow.push(route.method.as_str());
        if route.method == Method::Get {
            allow.push("HEAD");
        }
    }
    if allow.is_empty() { Found::Nothing } else { Found::WrongMethod(allow.join(", ")) }
}

/// Byte by byte, because most patterns part from most paths early: a name in braces stands for what is left of a segment.
fn matches(pattern: &str, path: &str) -> bool {
    let mut path = path.bytes().peekable();
    let mut pattern = pattern.bytes();
    while let Some(expected) = pattern.next() {
        if expected == b'{' {
            pattern.by_ref().find(|byte| *byte == b'}');
            while path.next_if(|byte| *byte != b'/').is_some() {}
        } else if path.next() != Some(expected) {
            return false;
        }
    }
    path.next().is_none()
}

/// The segment that stands where the pattern has braces.
fn id_segment<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let position = pattern.split('/').position(|segment| segment.starts_with('{'))?;
    path.split('/').nth(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expect: Option<(Operation, Option<&str>)>) {
        let found = match find(method, path) {
            Found::Route(route, id) => Some((route.operation, id)),
            Found::WrongMethod(_) | Found::Nothing => None,
        };
        assert_eq!(found, expect, "{method} {path}");
    }

    #[test]
    fn paths_lead_to_routes_and_ids_stay_undecoded() {
        check("GET", "/v1/movies", Some((Operation::Search, None)));
        check("HEAD", "/v1/movies/318", Some((Operation::Movie, Some("318"))));
        check("GET", "/v1/movies/a%2Fb/similar", Some((Operation::Similar, Some("a%2Fb"))));
        check("GET", "/v1/users/42/neighbors", Some((Operation::Neighbors, Some("42"))));
        check("GET", "/v1/users/neighbors", None);
        check("DELETE", "/v1/users/neighbors", Some((Operation::Forget, Some("neighbors"))));
        check("PUT", "/v1/movies/318", Some((Operation::PutMovie, Some("318"))));
        check("DELETE", "/v1/movies/318", Some((Operation::WithdrawMovie, Some("318"))));
        check("GET", "/v1/movies/..", Some((Operation::Movie, Some(".."))));
        check("GET", "/v1/movies/", Some((Operation::Movie, Some(""))));
        check("GET", "/v1/movies/a/b", None);
        check("GET", "/v1//movies", None);
        check("GET", "/", None);
        check("GET", "*", None);
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        assert!(
            matches!(find("PATCH", "/v1/movies/1"), Found::WrongMethod(allow) if allow == "GET, HEAD, PUT, DELETE")
        );
        assert!(matches!(find("GET", "/v1/recommendations"), Found::WrongMethod(allow) if allow == "POST"));
        assert!(matches!(find("PUT", "/v1/batch"), Found::WrongMethod(allow) if allow == "POST"));
        assert!(matches!(find("GET", "/nowhere"), Found::Nothing));
    }

    #[test]
    fn patterns_and_names_of_parameters_are_unique() {
        for route in &ROUTES {
            let same = |other: &&Route| other.pattern == route.pattern && other.method == route.method;
            assert_eq!(ROUTES.iter().filter(same).count(), 1);
            for parameter in route.parameters() {
                assert_eq!(route.parameters().filter(|other| other.name == parameter.name).count(), 1);
            }
        }
    }
}
