//! The schemas of what is asked in one, written while serving and read back, in the OpenAPI document.

use serde_json::{Value, json};

use crate::schemas::{list, place};

/// The schemas by name.
pub(crate) fn schemas() -> Value {
    json!({
        "BatchRequest": {
            "type": "object",
            "required": ["path"],
            "additionalProperties": false,
            "properties": {
                "method": {
                    "type": "string", "default": "GET", "examples": ["GET", "POST"],
                    "description": "GET or POST; any other is answered 405 in its place.",
                },
                "path": {"type": "string", "pattern": "^/", "examples": ["/v1/users/42/recommendations?limit=10"]},
                "body": {"description": "Of a POST: an object; anything else is refused in its place."},
            },
        },
        "BatchAnswer": {
            "type": "object",
            "required": ["responses"],
            "properties": {"responses": {"type": "array", "items": {
                "type": "object",
                "required": ["status", "body"],
                "properties": {
                    "status": {"type": "integer"},
                    "body": {"type": "object", "description": "What the request alone would answer: a problem where it fails."},
                },
            }}},
        },
        "Accepted": {
            "type": "object",
            "required": ["accepted", "duplicates"],
            "properties": {
                "accepted": {"type": "integer", "description": "Interactions that were new."},
                "duplicates": {"type": "integer", "description": "Interactions that were known by their event_id."},
            },
        },
        "History": list("PastInteraction", &["user_id"], &json!({"user_id": text()})),
        "PastInteraction": past_interaction(),
        "Interaction": interaction(),
        "Receipt": receipt(),
        "TrendingList": list("Item", &["location"], &json!({"user_id": text(), "location": place()})),
        "Withdrawn": {
            "type": "object",
            "required": ["movie_id", "withdrawn"],
            "properties": {"movie_id": text(), "withdrawn": {"const": true}},
        },
    })
}

fn text() -> Value {
    json!({"type": "string"})
}

fn kind() -> Value {
    json!({"enum": ["rating", "watch", "like", "dislike", "favorite", "skip"]})
}

fn id() -> Value {
    json!({"type": ["string", "integer"], "minLength": 1, "maxLength": 256, "minimum": 0})
}

/// What somebody did with a film, as it is sent.
fn interaction() -> Value {
    json!({
        "type": "object",
        "required": ["user_id", "movie_id", "kind"],
        "additionalProperties": false,
        "properties": {
            "user_id": id(),
            "movie_id": id(),
            "kind": kind(),
            "value": {
                "type": ["number", "null"],
                "description": "The rating, on the data set's scale; left out of other kinds.",
            },
            "timestamp": {
                "type": ["string", "integer", "null"],
                "description": "When: RFC 3339, or milliseconds since 1970 UTC; now if left out. At most five minutes ahead.",
            },
            "location": {"type": ["string", "null"], "description": "Where: `US`, `US/CA` or `US/CA/Fresno`."},
            "event_id": {
                "type": ["string", "null"], "minLength": 1, "maxLength": 256,
                "description": "The caller's name for it: sent again for the same user, it counts once.",
            },
        },
    })
}

/// What somebody did with a film, as it is told.
fn past_interaction() -> Value {
    json!({
        "type": "object",
        "required": ["movie_id", "title", "kind", "value", "timestamp", "location", "event_id", "received"],
        "properties": {
            "movie_id": text(),
            "title": {"type": ["string", "null"], "description": "Null where the catalogue does not have the movie."},
            "kind": kind(),
            "value": {"type": ["number", "null"]},
            "timestamp": {"type": "string", "format": "date-time"},
            "location": {"type": ["string", "null"]},
            "event_id": {"type": ["string", "null"]},
            "received": {"type": "string", "format": "date-time"},
        },
    })
}

/// What forgetting a user did.
fn receipt() -> Value {
    json!({
        "type": "object",
        "required": ["user_id", "position", "removed", "hidden_since", "bytes_leave"],
        "properties": {
            "user_id": text(),
            "position": {"type": "integer", "description": "Everything of the user before this position of the log is hidden."},
            "removed": {
                "type": "object",
                "required": ["interactions", "index"],
                "properties": {
                    "interactions": {"type": "integer", "description": "Of the log."},
                    "index": {"type": "boolean", "description": "Whether the index knew the user."},
                },
            },
            "hidden_since": {"type": "string", "format": "date-time"},
            "bytes_leave": {
                "type": "object",
                "description": "From where the last bytes leave when; what is left out has none.",
                "properties": {"log": text(), "index": text(), "data_set": text()},
            },
        },
    })
}
