//! The schemas of answers in the OpenAPI document; the tests over HTTP hold real answers against them.

use serde_json::{Value, json};

use crate::live_schemas;

/// All schemas by name.
pub(crate) fn schemas() -> Value {
    let mut schemas = json!({
        "Item": item(),
        "Reason": {
            "type": "object",
            "required": ["movie_id", "title", "share"],
            "properties": {"movie_id": text(), "title": text(), "share": {"type": "number"}},
        },
        "Place": {
            "type": "object",
            "required": ["asked", "answered", "events"],
            "properties": {
                "asked": {"type": ["string", "null"], "description": "The request's place; everywhere is `world`."},
                "answered": {"type": "string", "description": "Everywhere is `world`."},
                "events": {"type": "integer", "description": "Interactions seen there."},
            },
        },
        "HistoryEntry": {
            "type": "object",
            "required": ["movie_id"],
            "additionalProperties": false,
            "properties": {
                "movie_id": {"type": ["string", "integer"], "minLength": 1, "maxLength": 256, "minimum": 0},
                "kind": {"enum": ["rating", "watch", "like", "dislike", "favorite", "skip", null]},
                "value": {"type": ["number", "null"], "description": "The rating, on the data set's scale."},
            },
        },
        "Movie": movie(),
        "Neighbor": neighbor(),
        "MovieList": list("Item", &[], &json!({})),
        "SimilarList": list("Item", &["movie_id", "retrieval"], &json!({"movie_id": text(), "retrieval": retrieval()})),
        "UserList": list(
            "Item",
            &["user_id", "strategy", "retrieval", "location"],
            &json!({"user_id": text(), "strategy": strategy(), "retrieval": retrieval(), "location": place()}),
        ),
        "HistoryList": list(
            "Item",
            &["strategy", "retrieval", "location", "unknown_movies"],
            &json!({
                "strategy": strategy(), "retrieval": retrieval(), "location": place(),
                "unknown_movies": {"type": "array", "items": text()},
            }),
        ),
        "PopularList": list("Item", &["location"], &json!({"user_id": text(), "location": place()})),
        "NeighborList": neighbor_list(),
        "Health": {
            "type": "object",
            "required": ["status"],
            "properties": {
                "status": text(), "index_version": text(), "movies": {"type": "integer"}, "users": {"type": "integer"},
            },
        },
        "OpenApi": {"type": "object"},
        "Problem": problem(),
    });
    if let (Some(schemas), Some(live)) = (schemas.as_object_mut(), live_schemas::schemas().as_object()) {
        schemas.extend(live.clone());
    }
    schemas
}

fn text() -> Value {
    json!({"type": "string"})
}

fn texts() -> Value {
    json!({"type": "array", "items": text()})
}

fn optional(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

pub(crate) fn place() -> Value {
    json!({"$ref": "#/components/schemas/Place"})
}

fn strategy() -> Value {
    json!({"enum": ["personalized", "folded_in", "blended", "popular"]})
}

fn retrieval() -> Value {
    json!({"enum": ["exact", "graph"]})
}

/// A list of one kind of items, with what else it says.
pub(crate) fn list(item: &str, required: &[&str], further: &Value) -> Value {
    let mut schema = json!({
        "type": "object",
        "required": ["items", "next_cursor", "index_version"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{item}")}},
            "next_cursor": optional("string"),
            "index_version": text(),
        },
    });
    if let Some(names) = schema["required"].as_array_mut() {
        names.extend(required.iter().map(|name| Value::from(*name)));
    }
    if let (Some(properties), Some(further)) = (schema["properties"].as_object_mut(), further.as_object()) {
        properties.extend(further.clone());
    }
    schema
}

fn item() -> Value {
    json!({
        "type": "object",
        "required": ["movie_id", "title", "year", "genres"],
        "properties": {
            "movie_id": text(),
            "title": text(),
            "year": optional("integer"),
            "genres": texts(),
            "score": {
                "type": "number",
                "description": "The cosine for similar movies, the blended score for a user, the shrunk rate where \
                                popularity alone answers. It does not compare between routes. Absent in a search.",
            },
            "source": {"enum": ["taste", "similar", "popular", "trending"]},
            "reasons": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Reason"},
                "description": "With explain: what speaks for it most, at most ten. The shares and the remainder sum to the score.",
            },
            "remainder": {
                "type": "number",
                "description": "With explain: popularity, and what of the history is not listed.",
            },
        },
    })
}

fn neighbor() -> Value {
    json!({
        "type": "object",
        "required": ["user_id", "score"],
        "properties": {
            "user_id": text(),
            "score": {"type": "number", "minimum": -1, "maximum": 1, "description": "The cosine of the two embeddings."},
        },
    })
}

fn neighbor_list() -> Value {
    let strategy = json!({
        "enum": ["personalized", "folded_in", "unavailable"],
        "description": "What of the user was compared: the own embedding, one made from the history, or nothing.",
    });
    let further = json!({"user_id": text(), "strategy": strategy, "retrieval": retrieval()});
    list("Neighbor", &["user_id", "strategy", "retrieval"], &further)
}

fn movie() -> Value {
    json!({
        "type": "object",
        "required": ["movie_id", "title", "index_version"],
        "properties": {
            "movie_id": text(),
            "title": text(),
            "original_title": optional("string"),
            "year": optional("integer"),
            "genres": texts(),
            "countries": texts(),
            "languages": texts(),
            "runtime_minutes": optional("integer"),
            "minimum_age": optional("integer"),
            "adult": optional("boolean"),
            "imdb_id": optional("string"),
            "tmdb_id": optional("integer"),
            "imdb_rating": optional("number"),
            "imdb_votes": optional("integer"),
            "tags": texts(),
            "alternative_titles": texts(),
            "index_version": text(),
        },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text(),
            "status": {"type": "integer"},
            "detail": text(),
            "code": text(),
            "request_id": text(),
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "detail"],
                    "properties": {"field": text(), "detail": text()},
                },
            },
        },
    })
}
