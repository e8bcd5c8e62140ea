//! The admin routes over [`Operations`], on threads of their own: what they call may block.

use std::sync::Arc;

use actix_web::web::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, json};
use tokio::sync::oneshot;

use crate::admin_routes::REBUILD_FIELDS;
use crate::body::{invalid, parse, read_object};
use crate::cache::{Encoded, Outcome};
use crate::operations::{OperationError, Operations, RebuildRequest, Task};
use crate::problem::{Code, Problem};
use crate::respond::encode;
use crate::routes::Operation;
use crate::service::Service;

/// One call of an admin route, read but for its body.
pub(crate) struct Call {
    pub(crate) operation: Operation,
    /// The version or task of the path; empty where there is none.
    pub(crate) id: String,
    pub(crate) body: Bytes,
    pub(crate) limit: usize,
}

/// A list without pages.
#[derive(Serialize)]
struct List<T> {
    items: Vec<T>,
}

impl Service {
    /// Answers an admin route.
    pub(crate) async fn administer(self: &Arc<Self>, call: Call) -> Outcome {
        let service = Arc::clone(self);
        let outcome = self.errand(move || service.operate(&call)).await;
        outcome.unwrap_or_else(|| Err(Problem::overloaded()))
    }

    /// Runs what may block beside the event loop; `None` if there was no room for it, or it panicked.
    pub(crate) async fn errand<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.errands.run(work, move |result| {
            // Who has gone away needs no answer.
            sender.send(result.ok()).ok();
        });
        answer.await.ok().flatten()
    }

    fn operate(&self, call: &Call) -> Outcome {
        match call.operation {
            Operation::ClearCache => return answer(&json!({"entries": self.cache.clear()})),
            Operation::Audit => {
                let items = self.audit.latest(call.limit).map_err(|error| {
                    tracing::error!(%error, "cannot read the audit log");
                    Problem::internal()
                })?;
                return answer(&List { items });
            }
            _ => {}
        }
        let operations = self.operations.as_deref().ok_or_else(|| {
            Problem::new(Code::AdminDisabled, "this server was started without what builds and keeps indexes")
        })?;
        match call.operation {
            Operation::Rebuild => {
                let task = operations.rebuild(read_rebuild(&call.body)?).map_err(refused)?;
                let location = Some(format!("/v1/admin/tasks/{}", task.task_id));
                Ok(Arc::new(Encoded { location, ..Encoded::new(encode(&task)?) }))
            }
            Operation::Versions => answer(&List { items: operations.versions().map_err(refused)? }),
            Operation::Activate => self.activate(operations, &call.id),
            Operation::Remove => {
                let version = known_version(&call.id)?;
                operations.remove(version).map_err(refused)?;
                answer(&json!({"version": version, "removed": true}))
            }
            Operation::Tasks => answer(&List { items: operations.tasks() }),
            Operation::Task => answer(&one_task(operations, &call.id)?),
            Operation::Cancel => {
                one_task(operations, &call.id)?;
                answer(&operations.cancel(&call.id).map_err(refused)?)
            }
            _ => Err(Problem::internal()),
        }
    }

    /// Makes a version live, here at once, in other servers as soon as they look.
    fn activate(&self, operations: &dyn Operations, id: &str) -> Outcome {
        let version = known_version(id)?;
        operations.activate(version).map_err(refused)?;
        // A failure is met again, and logged, by the thread that follows the live bundle.
        self.follow().ok();
        let live = self.engine.snapshot().is_ok_and(|snapshot| snapshot.version() == version);
        answer(&json!({"version": version, "live": live}))
    }
}

fn answer(value: &impl Serialize) -> Outcome {
    Ok(Arc::new(Encoded::new(encode(value)?)))
}

fn one_task(operations: &dyn Operations, id: &str) -> Result<Task, Problem> {
    let task = is_name(id).then(|| operations.task(id)).flatten();
    task.ok_or_else(|| refused(OperationError::TaskNotFound { task_id: id.to_owned() }))
}

/// A name that could be a version's: nothing else reaches a path.
fn known_version(id: &str) -> Result<&str, Problem> {
    if is_name(id) {
        return Ok(id);
    }
    Err(refused(OperationError::VersionNotFound { version: id.to_owned() }))
}

/// 1 to 128 letters, digits and `._-`, the first a letter or digit.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= 128
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(plain)
}

fn read_rebuild(body: &[u8]) -> Result<RebuildRequest, Problem> {
    let mut request = RebuildRequest { activate: true, ..RebuildRequest::default() };
    let mut train = None;
    for (field, value) in read_object(body, "what to build from")? {
        match field.as_str() {
            "dataset" => request.dataset = read_name(&field, value)?,
            "model" => request.model = read_name(&field, value)?,
            "train" => train = Some(read_boolean(&field, value)?),
            "activate" => request.activate = read_boolean(&field, value)?,
            "parameters" => {
                request.parameters =
                    parse::<Map<_, _>>(value)
                        .filter(|parameters| parameters.len() <= 100)
                        .ok_or_else(|| invalid(&field, "must be an object of at most 100 parameters"))?;
            }
            _ => {
                let known: Vec<&str> = REBUILD_FIELDS.iter().map(|field| field.name).collect();
                return Err(invalid(&field, &format!("unknown; the body has {}", known.join(", "))));
            }
        }
    }
    request.train = train.unwrap_or(request.model.is_none());
    Ok(request)
}

fn read_name(field: &str, value: &RawValue) -> Result<Option<String>, Problem> {
    let expected = "must be a name of letters, digits and ._-, at most 128, the first a letter or digit";
    let name: Option<String> = parse(value).ok_or_else(|| invalid(field, expected))?;
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        return Err(invalid(field, expected));
    }
    Ok(name)
}

fn read_boolean(field: &str, value: &RawValue) -> Result<bool, Problem> {
    parse(value).ok_or_else(|| invalid(field, "must be true or false"))
}

fn refused(error: OperationError) -> Problem {
    let code = match error {
        OperationError::VersionNotFound { .. } => Code::VersionNotFound,
        OperationError::VersionLive { .. } => Code::VersionLive,
        OperationError::VersionUnusable { .. } => Code::VersionUnusable,
        OperationError::TaskNotFound { .. } => Code::TaskNotFound,
        OperationError::TaskRunning { .. } => Code::TaskRunning,
        OperationError::Invalid { field, reason } => {
            return Problem::field(Code::InvalidBody, &field, reason);
        }
        OperationError::Failed { source } => {
            tracing::error!(error = &*source as &dyn std::error::Error, "operation failed");
            return Problem::internal();
        }
    };
    Problem::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_trains_unless_a_model_is_named() {
        let check = |body: &str, expect: (Option<&str>, Option<&str>, bool, bool)| {
            let request = read_rebuild(body.as_bytes()).unwrap();
            let found =
                (request.dataset.as_deref(), request.model.as_deref(), request.train, request.activate);
            assert_eq!(found, expect, "{body}");
        };
        check("{}", (None, None, true, true));
        check(r#"{"dataset":"films"}"#, (Some("films"), None, true, true));
        check(r#"{"dataset":"films","model":"ials"}"#, (Some("films"), Some("ials"), false, true));
        check(r#"{"model":"ials","train":true,"activate":false}"#, (None, Some("ials"), true, false));
        let request = read_rebuild(br#"{"parameters":{"epochs":3}}"#).unwrap();
        assert_eq!(request.parameters["epochs"], 3);
    }

    #[test]
    fn names_are_never_paths_and_a_malformed_rebuild_names_its_field() {
        let check = |body: &str, field: Option<&str>| {
            let problem = read_rebuild(body.as_bytes()).err().unwrap_or_else(|| panic!("{body}"));
            let found = problem.errors.first().map(|error| error.field.as_str());
            assert_eq!((problem.code, found), (Code::InvalidBody, field), "{body}");
        };
        for name in ["../films", "a/b", "", ".", "..", "/etc", "a\\\\b", "a b", "-a", "a\\u0000"] {
            check(&format!(r#"{{"dataset":"{name}"}}"#), Some("dataset"));
            check(&format!(r#"{{"model":"{name}"}}"#), Some("model"));
        }
        check(r#"{"train":1}"#, Some("train"));
        check(r#"{"activate":"yes"}"#, Some("activate"));
        check(r#"{"parameters":[]}"#, Some("parameters"));
        check(r#"{"data":"films"}"#, Some("data"));
        check("[]", None);
        check("", None);
    }
}
