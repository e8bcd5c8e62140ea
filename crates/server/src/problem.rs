//! The one table of error codes with status and meaning, and errors as RFC 9457 problem documents. The OpenAPI document
//! and the tests derive from it.

use serde::Serialize;

/// Why a request was not answered as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidParameter,
    UnknownParameter,
    InvalidBody,
    ExplanationUnavailable,
    Unauthorized,
    Forbidden,
    AdminDisabled,
    MovieNotFound,
    VersionNotFound,
    TaskNotFound,
    RouteNotFound,
    MethodNotAllowed,
    RequestTimeout,
    IdempotencyMismatch,
    TaskRunning,
    VersionLive,
    VersionUnusable,
    CursorExpired,
    TooLarge,
    UnsupportedMediaType,
    RateLimited,
    Internal,
    Overloaded,
    NotReady,
    StorageFull,
    FeedbackDisabled,
    Draining,
}

/// One row of the table.
pub(crate) struct CodeRow {
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests hold the order of the table against it"))]
    pub(crate) code: Code,
    /// Stable name over HTTP.
    pub(crate) name: &'static str,
    pub(crate) status: u16,
    /// One sentence that is the same for every occurrence.
    pub(crate) title: &'static str,
}

/// Every code that a route may answer, in the order of [`Code`].
pub(crate) const CODES: [CodeRow; 27] = [
    row(Code::InvalidParameter, "invalid_parameter", 400, "A parameter has a value that it cannot have"),
    row(Code::UnknownParameter, "unknown_parameter", 400, "The route does not have this parameter"),
    row(Code::InvalidBody, "invalid_body", 400, "The body is not what the route expects"),
    row(
        Code::ExplanationUnavailable,
        "explanation_unavailable",
        400,
        "The scores of the model that is served cannot be explained",
    ),
    row(
        Code::Unauthorized,
        "unauthorized",
        401,
        "A key is needed, and none that is in force came with the request",
    ),
    row(Code::Forbidden, "forbidden", 403, "The key is not good for this route"),
    row(Code::AdminDisabled, "admin_disabled", 403, "The admin routes are off until there is an admin key"),
    row(Code::MovieNotFound, "movie_not_found", 404, "The catalogue does not have this movie"),
    row(Code::VersionNotFound, "version_not_found", 404, "There is no such index version"),
    row(Code::TaskNotFound, "task_not_found", 404, "There is no such task"),
    row(Code::RouteNotFound, "route_not_found", 404, "There is no such route"),
    row(Code::MethodNotAllowed, "method_not_allowed", 405, "The route does not have this method"),
    row(Code::RequestTimeout, "request_timeout", 408, "The request's body did not arrive in time"),
    row(
        Code::IdempotencyMismatch,
        "idempotency_mismatch",
        409,
        "The Idempotency-Key was used before, for another body",
    ),
    row(Code::TaskRunning, "task_running", 409, "Another task is running"),
    row(Code::VersionLive, "version_live", 409, "The index version is live"),
    row(Code::VersionUnusable, "version_unusable", 409, "The index version cannot go live"),
    row(Code::CursorExpired, "cursor_expired", 410, "The cursor is too old; begin again without it"),
    row(Code::TooLarge, "too_large", 413, "The request is larger than the server takes"),
    row(Code::UnsupportedMediaType, "unsupported_media_type", 415, "The body must be application/json"),
    row(Code::RateLimited, "rate_limited", 429, "The caller has sent too many requests; try again later"),
    row(Code::Internal, "internal", 500, "The server failed; its log knows the request id"),
    row(Code::Overloaded, "overloaded", 503, "The server has more work than it can do; try again shortly"),
    row(Code::NotReady, "not_ready", 503, "The server has no index loaded yet; try again shortly"),
    row(Code::StorageFull, "storage_full", 503, "The disk is full: reading goes on, nothing can be changed"),
    row(
        Code::FeedbackDisabled,
        "feedback_disabled",
        503,
        "The server keeps no log, so nothing can be changed",
    ),
    row(Code::Draining, "draining", 503, "The server is about to stop; ask another one"),
];

const fn row(code: Code, name: &'static str, status: u16, title: &'static str) -> CodeRow {
    CodeRow { code, name, status, title }
}

impl Code {
    /// The code's row of the table.
    pub(crate) fn row(self) -> &'static CodeRow {
        &CODES[self as usize]
    }
}

/// A field that is wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) detail: String,
}

/// One occurrence of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    /// What is wrong this time and how to put it right.
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    /// The methods that the route does have, for [`Code::MethodNotAllowed`].
    pub(crate) allow: Option<String>,
    /// The connection is of no further use: a body was left unread.
    pub(crate) close: bool,
    /// Seconds after which another try makes sense, where that is known.
    pub(crate) retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), allow: None, close: false, retry_after: None }
    }

    /// An error of one field or parameter.
    pub(crate) fn field(code: Code, field: &str, detail: impl Into<String>) -> Self {
        let (field, detail) = (excerpt(field), detail.into());
        let errors = vec![FieldError { field: field.clone(), detail: detail.clone() }];
        Self { errors, ..Self::new(code, format!("{field}: {detail}")) }
    }

    /// A failure of which the caller learns nothing but the request id.
    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "an unexpected failure; the request id finds it in the log")
    }

    /// Refused for lack of room or time.
    pub(crate) fn overloaded() -> Self {
        Self::new(Code::Overloaded, "too many requests are waiting; try again after the time in Retry-After")
    }

    /// No index yet.
    pub(crate) fn not_ready() -> Self {
        Self::new(
            Code::NotReady,
            "the index is being loaded, or none was built yet; /readyz says when it is there",
        )
    }

    pub(crate) fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    pub(crate) fn status(&self) -> u16 {
        self.code.row().status
    }

    /// Seconds after which another try makes sense.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        let usual = match self.code {
            Code::StorageFull | Code::FeedbackDisabled => Some(60),
            _ => (self.status() == 503).then_some(1),
        };
        self.retry_after.or(usual)
    }

    /// The problem document.
    pub(crate) fn encode(&self, request_id: &str) -> Vec<u8> {
        #[derive(Serialize)]
        struct Document<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            code: &'a str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
            errors: &'a [FieldError],
        }
        let row = self.code.row();
        let document = Document {
            r#type: format!("/docs#{}", row.name),
            title: row.title,
            status: row.status,
            detail: &self.detail,
            code: row.name,
            request_id,
            errors: &self.errors,
        };
        serde_json::to_vec(&document).expect("strings and numbers always encode")
    }
}

/// Cuts untrusted text for a message: at most 60 characters, none of them a control.
pub(crate) fn excerpt(text: &str) -> String {
    let mut cut: String =
        text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_codes_and_names_are_unique() {
        for (position, row) in CODES.iter().enumerate() {
            assert_eq!(row.code as usize, position, "{}", row.name);
            assert_eq!(CODES.iter().filter(|other| other.name == row.name).count(), 1);
        }
    }

    #[test]
    fn long_and_strange_text_is_cut() {
        assert_eq!(excerpt("a\nb"), "a\u{fffd}b");
        assert_eq!(excerpt(&"é".repeat(100)).chars().count(), 61);
    }
}
