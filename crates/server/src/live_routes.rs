//! Rows of the table of routes that read many things at once or change what is served, and the fields of their bodies for
//! the OpenAPI document and the documentation page.

use serde_json::{Value, json};

use crate::admin_routes::REBUILD_FIELDS;
use crate::batch::MAX_REQUESTS;
use crate::body::MAX_HISTORY;
use crate::keys::Scope;
use crate::problem::Code;
use crate::routes::{Answer, Method, Operation, Route};

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

/// The fields of a route's body that are no parameters of the table.
pub(crate) fn fields(operation: Operation) -> &'static [Field] {
    match operation {
        Operation::ForHistory => &[HISTORY],
        Operation::Batch => &[REQUESTS],
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
