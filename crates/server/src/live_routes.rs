//! Rows of the table of routes that read many things at once or change what is served, and the fields of their bodies for
//! the OpenAPI document and the documentation page.

use serde_json::{Value, json};

use crate::admin_routes::REBUILD_FIELDS;
use crate::batch::MAX_REQUESTS;
use crate::body::MAX_HISTORY;
use crate::interactions::MAX_INTERACTIONS;
use crate::keys::Scope;
use crate::movie_body::{MAX_NAME_BYTES, MAX_NAMES, MAX_TITLE_BYTES};
use crate::problem::Code;
use crate::routes::{Answer, FILTERS, LIST_CODES, Method, Operation, PAGE, PLACE, Route, USER};

/// A field of a body that is no parameter of the table.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// What it holds, for people.
    pub(crate) value: &'static str,
    pub(crate) description: &'static str,
    pub(crate) required: bool,
    /// Its schema in the OpenAPI document.
    pub(crate) schema: fn() -> Value,
}

const HISTORY: Field = Field {
    name: "history",
    value: "list of {movie_id, kind?, value?}",
    description: "What the person did. Kinds: rating, watch, like, dislike, favorite, skip.",
    required: true,
    schema: || {
        json!({
            "type": "array", "maxItems": MAX_HISTORY, "items": {"$ref": "#/components/schemas/HistoryEntry"},
        })
    },
};

const REQUESTS: Field = Field {
    name: "requests",
    value: "list of {method?, path, body?}, at most 100",
    description: "Read requests: `GET` where no method is said, or `POST` of /v1/recommendations with its body. A path has its query.",
    required: true,
    schema: || {
        json!({
            "type": "array", "maxItems": MAX_REQUESTS, "items": {"$ref": "#/components/schemas/BatchRequest"},
        })
    },
};

const INTERACTION_LIST: Field = Field {
    name: "interactions",
    value: "list of {user_id, movie_id, kind, value?, timestamp?, location?, event_id?}, at most 10,000",
    description: "Kinds: rating, watch, like, dislike, favorite, skip. A rating has a value on the data set's scale. A timestamp is \
                  RFC 3339 or milliseconds since 1970 UTC, now if it is left out. One object alone may be sent without the list.",
    required: false,
    schema: || {
        json!({
            "type": "array", "maxItems": MAX_INTERACTIONS, "items": {"$ref": "#/components/schemas/Interaction"},
        })
    },
};

const fn fact(
    name: &'static str,
    value: &'static str,
    description: &'static str,
    schema: fn() -> Value,
) -> Field {
    Field { name, value, description, required: false, schema }
}

fn optional_text() -> Value {
    json!({"type": ["string", "null"], "minLength": 1, "maxLength": MAX_NAME_BYTES})
}

fn optional_title() -> Value {
    json!({"type": ["string", "null"], "minLength": 1, "maxLength": MAX_TITLE_BYTES})
}

fn optional_integer(lowest: u32, highest: u32) -> Value {
    json!({"type": ["integer", "null"], "minimum": lowest, "maximum": highest})
}

fn optional_list(item: &Value) -> Value {
    json!({"type": ["array", "null"], "items": item, "maxItems": MAX_NAMES})
}

fn names() -> Value {
    optional_list(&json!({"type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES}))
}

fn codes() -> Value {
    optional_list(&json!({"type": "string", "pattern": "^[A-Za-z]{2}$"}))
}

/// What a film is told of.
const MOVIE_FIELDS: &[Field] = &[
    Field {
        required: true,
        ..fact(
            "title",
            "text",
            "As people say it: the article in front, without the year.",
            || json!({"type": "string", "minLength": 1, "maxLength": MAX_TITLE_BYTES}),
        )
    },
    fact(
        "movie_id",
        "id",
        "That of the path, or left out.",
        || json!({"type": ["string", "integer", "null"], "minLength": 1, "maxLength": 256, "minimum": 0}),
    ),
    fact("original_title", "text", "In its own language, where it differs.", optional_title),
    fact("year", "1800 to 2200", "Of first release.", || optional_integer(1_800, 2_200)),
    fact("genres", "list of names", "In the spelling that answers are to have.", names),
    fact("countries", "list of codes", "Of production, two letters each.", codes),
    fact("languages", "list of codes", "Spoken, two letters each.", codes),
    fact("runtime_minutes", "1 to 65535", "Minutes.", || optional_integer(1, 65_535)),
    fact("minimum_age", "0 to 120", "Suitable from this age on.", || optional_integer(0, 120)),
    fact("adult", "true or false", "For adults only.", || json!({"type": ["boolean", "null"]})),
    fact("imdb_id", "text", "Of IMDb, tt0111161.", optional_text),
    fact("tmdb_id", "number", "Of The Movie Database.", || optional_integer(0, u32::MAX)),
    fact(
        "imdb_rating",
        "1 to 10",
        "Its mean rating at IMDb.",
        || json!({"type": ["number", "null"], "minimum": 1, "maximum": 10}),
    ),
    fact("imdb_votes", "number", "Votes behind it.", || optional_integer(0, u32::MAX)),
    fact("tags", "list of words", "The most frequent first.", names),
    fact("alternative_titles", "list of titles", "Under which people search.", || {
        optional_list(&json!({"type": "string", "minLength": 1, "maxLength": MAX_TITLE_BYTES}))
    }),
];

/// The fields of a route's body that are no parameters of the table.
pub(crate) fn fields(operation: Operation) -> &'static [Field] {
    match operation {
        Operation::ForHistory => &[HISTORY],
        Operation::Batch => &[REQUESTS],
        Operation::Interactions => &[INTERACTION_LIST],
        Operation::PutMovie => MOVIE_FIELDS,
        Operation::Rebuild => REBUILD_FIELDS,
        _ => &[],
    }
}

pub(crate) const BATCH: Route = Route {
    operation: Operation::Batch,
    method: Method::Post,
    pattern: "/v1/batch",
    name: "batch",
    scope: Some(Scope::Read),
    summary: "Many read requests in one",
    description: "Each has a status and a body of its own, in the order of the requests: one that fails leaves the others as \
                  they are. All are answered from one index, but for pages that a cursor continues on an older one. What \
                  changes something is refused with 405.",
    parameters: &[],
    answer: Answer::Json("BatchAnswer"),
    codes: &[Code::InvalidBody, Code::RequestTimeout, Code::UnsupportedMediaType, Code::NotReady],
};

pub(crate) const INTERACTIONS: Route = Route {
    operation: Operation::Interactions,
    method: Method::Post,
    pattern: "/v1/interactions",
    name: "post_interactions",
    scope: Some(Scope::Write),
    summary: "What people did with films",
    description: "One object, or `interactions`, a list of at most 10,000 of them: all are taken or, if one is wrong, none. They are \
                  on disk before the answer comes, and the next answer for the user knows of them. What is sent again counts \
                  once: by `event_id`, remembered for at least seven days for each user, or as a whole by the header \
                  `Idempotency-Key` (1 to 256 visible ASCII characters); the same key with another body is refused.",
    parameters: &[],
    answer: Answer::Json("Accepted"),
    codes: &[
        Code::InvalidParameter,
        Code::InvalidBody,
        Code::IdempotencyMismatch,
        Code::RequestTimeout,
        Code::UnsupportedMediaType,
        Code::NotReady,
        Code::StorageFull,
        Code::FeedbackDisabled,
    ],
};

pub(crate) const HISTORY_OF_USER: Route = Route {
    operation: Operation::History,
    method: Method::Get,
    pattern: "/v1/users/{user_id}/history",
    name: "user_history",
    scope: Some(Scope::Read),
    summary: "What a user did",
    description: "What came in while serving, the latest first, as far back as the log goes; nothing from before the user was \
                  forgotten. What the index was trained on is not told again.",
    parameters: &[PAGE],
    answer: Answer::Json("History"),
    codes: &[Code::InvalidParameter, Code::CursorExpired, Code::NotReady, Code::FeedbackDisabled],
};

pub(crate) const FORGET: Route = Route {
    operation: Operation::Forget,
    method: Method::Delete,
    pattern: "/v1/users/{user_id}",
    name: "forget_user",
    scope: Some(Scope::Write),
    summary: "Forget a user",
    description: "Everything that is known of the user up to now is hidden at once and for good: in answers, from like-minded \
                  people, in the history, in exports and in training, also after a restart and on an older index. What comes \
                  later is the history of somebody new. The receipt says what was removed, and when its last bytes leave the disk.",
    parameters: &[],
    answer: Answer::Json("Receipt"),
    codes: WRITE_CODES,
};

pub(crate) const TRENDING: Route = Route {
    operation: Operation::Trending,
    method: Method::Get,
    pattern: "/v1/trending",
    name: "trending_movies",
    scope: Some(Scope::Read),
    summary: "What is rising in a place",
    description: "What happens there more often now than its own past and the place around it lead to expect; a few clicks are no \
                  trend. `location` says which place answered, on how many events.",
    parameters: &[PAGE, PLACE, USER, FILTERS],
    answer: Answer::Json("TrendingList"),
    codes: LIST_CODES,
};

pub(crate) const PUT_MOVIE: Route = Route {
    operation: Operation::PutMovie,
    method: Method::Put,
    pattern: "/v1/movies/{movie_id}",
    name: "put_movie",
    scope: Some(Scope::Write),
    summary: "Add or change a film",
    description: "All facts of it: what is left out is unknown from then on. It is found at once, and learned of with the next \
                  rebuild. A film that was withdrawn is back.",
    parameters: &[],
    answer: Answer::Json("Movie"),
    codes: PUT_CODES,
};

pub(crate) const WITHDRAW_MOVIE: Route = Route {
    operation: Operation::WithdrawMovie,
    method: Method::Delete,
    pattern: "/v1/movies/{movie_id}",
    name: "withdraw_movie",
    scope: Some(Scope::Write),
    summary: "Withdraw a film",
    description: "It is in no answer from then on, until it is put again.",
    parameters: &[],
    answer: Answer::Json("Withdrawn"),
    codes: WITHDRAW_CODES,
};

const WRITE_CODES: &[Code] =
    &[Code::InvalidParameter, Code::NotReady, Code::StorageFull, Code::FeedbackDisabled];
const WITHDRAW_CODES: &[Code] =
    &[Code::InvalidParameter, Code::MovieNotFound, Code::NotReady, Code::StorageFull, Code::FeedbackDisabled];
const PUT_CODES: &[Code] = &[
    Code::InvalidParameter,
    Code::InvalidBody,
    Code::RequestTimeout,
    Code::UnsupportedMediaType,
    Code::NotReady,
    Code::StorageFull,
    Code::FeedbackDisabled,
];
