//! Rows of the table of routes for operators, the fields of their bodies, and the schemas of their answers.

use serde_json::{Value, json};

use crate::keys::Scope;
use crate::live_routes::Field;
use crate::operations::TaskStatus;
use crate::problem::Code;
use crate::routes::{Answer, Kind, Method, Operation, Parameter, Route};

const DATASET: Field = Field {
    name: "dataset",
    value: "name of a data set",
    description: "From which to build; that of the live index if none is named.",
    required: false,
    schema: name,
};
const MODEL: Field = Field {
    name: "model",
    value: "name of a model",
    description: "Of this data set, to build from. Without one a model is trained.",
    required: false,
    schema: name,
};
const TRAIN: Field = Field {
    name: "train",
    value: "true or false",
    description: "Whether to train first; by default where no model is named.",
    required: false,
    schema: || json!({"type": "boolean"}),
};
const ACTIVATE: Field = Field {
    name: "activate",
    value: "true or false",
    description: "Whether the new index goes live once it has passed its checks, true by default.",
    required: false,
    schema: || json!({"type": "boolean", "default": true}),
};
const PARAMETERS: Field = Field {
    name: "parameters",
    value: "object",
    description: "What training and building are to differ in from their defaults, by name.",
    required: false,
    schema: || json!({"type": "object"}),
};

fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"})
}

/// The fields of a rebuild's body.
pub(crate) const REBUILD_FIELDS: &[Field] = &[DATASET, MODEL, TRAIN, ACTIVATE, PARAMETERS];

const LATEST: &[Parameter] = &[Parameter {
    name: "limit",
    kind: Kind::Integer(1, 100),
    most: 1,
    description: "Records wanted, 20 by default.",
}];

const fn admin(operation: Operation, method: Method, pattern: &'static str, name: &'static str) -> Route {
    Route {
        operation,
        method,
        pattern,
        name,
        scope: Some(Scope::Admin),
        summary: "",
        description: "",
        parameters: &[],
        answer: Answer::Json("TaskList"),
        codes: &[],
    }
}

pub(crate) const REBUILD: Route = Route {
    summary: "Build a new index",
    description: "A task of its own at low priority: the answer comes at once, `location` is where the task can be watched. One \
                  runs at a time. The new index is held against the exact answers and goes live only if it passes; requests \
                  in flight end on the index that they began on.",
    answer: Answer::Accepted("Task"),
    codes: &[Code::InvalidBody, Code::RequestTimeout, Code::UnsupportedMediaType, Code::TaskRunning],
    ..admin(Operation::Rebuild, Method::Post, "/v1/admin/indexes", "rebuild")
};

pub(crate) const VERSIONS: Route = Route {
    summary: "The index versions there are",
    description: "The newest first.",
    answer: Answer::Json("VersionList"),
    ..admin(Operation::Versions, Method::Get, "/v1/admin/indexes", "list_versions")
};

pub(crate) const ACTIVATE_VERSION: Route = Route {
    summary: "Make an index version live",
    description: "Also the way back to an older one. It has no body. Requests in flight end on the version that they began on.",
    answer: Answer::Json("Activated"),
    codes: &[Code::InvalidParameter, Code::VersionNotFound, Code::VersionUnusable],
    ..admin(Operation::Activate, Method::Post, "/v1/admin/indexes/{version}/activate", "activate_version")
};

pub(crate) const REMOVE_VERSION: Route = Route {
    summary: "Delete an index version",
    description: "The live one cannot be deleted.",
    answer: Answer::Json("Removed"),
    codes: &[Code::InvalidParameter, Code::VersionNotFound, Code::VersionLive],
    ..admin(Operation::Remove, Method::Delete, "/v1/admin/indexes/{version}", "remove_version")
};

pub(crate) const TASKS: Route = Route {
    summary: "The tasks that are remembered",
    description: "The newest first.",
    ..admin(Operation::Tasks, Method::Get, "/v1/admin/tasks", "list_tasks")
};

pub(crate) const TASK: Route = Route {
    summary: "One task",
    description: "With its progress, and its result once it has ended.",
    answer: Answer::Json("Task"),
    codes: &[Code::InvalidParameter, Code::TaskNotFound],
    ..admin(Operation::Task, Method::Get, "/v1/admin/tasks/{task_id}", "get_task")
};

pub(crate) const CANCEL: Route = Route {
    summary: "Cancel a task",
    description: "The answer is the task as it is now: it may take a moment to stop. One that has ended stays as it is.",
    answer: Answer::Json("Task"),
    codes: &[Code::InvalidParameter, Code::TaskNotFound],
    ..admin(Operation::Cancel, Method::Delete, "/v1/admin/tasks/{task_id}", "cancel_task")
};

pub(crate) const CLEAR_CACHE: Route = Route {
    summary: "Forget all answers that are kept",
    description: "They are computed again. It has no body.",
    answer: Answer::Json("Cleared"),
    ..admin(Operation::ClearCache, Method::Post, "/v1/admin/cache/clear", "clear_cache")
};

pub(crate) const AUDIT: Route = Route {
    summary: "Who changed what",
    description: "The latest records of the audit log, the newest first. Of a user who was forgotten it has a digest, not the id.",
    parameters: &[LATEST],
    answer: Answer::Json("AuditList"),
    codes: &[Code::InvalidParameter],
    ..admin(Operation::Audit, Method::Get, "/v1/admin/audit", "audit")
};

/// The schemas of what these routes answer.
pub(crate) fn schemas() -> Value {
    let text = || json!({"type": "string"});
    let optional = |kind: &str| json!({"type": [kind, "null"]});
    let version = json!({
        "version": text(), "live": {"type": "boolean"}, "created_at": optional("string"),
        "size_bytes": {"type": "integer"}, "movies": optional("integer"), "users": optional("integer"),
        "dataset": optional("string"), "model": optional("string"), "log_position": optional("integer"),
        "refused": optional("string"),
    });
    let record = json!({
        "at": text(), "who": text(), "address": optional("string"), "method": text(), "route": text(),
        "target": optional("string"), "status": {"type": "integer"}, "code": optional("string"), "request_id": text(),
    });
    json!({
        "Task": {
            "type": "object",
            "required": ["task_id", "kind", "status", "progress", "detail", "created_at", "finished_at", "eta_seconds"],
            "properties": {
                "task_id": text(), "kind": text(), "status": {"enum": TaskStatus::ALL.map(TaskStatus::as_str)},
                "progress": {"type": "number", "minimum": 0, "maximum": 1}, "detail": text(), "created_at": text(),
                "finished_at": optional("string"), "eta_seconds": optional("integer"),
                "result": {"description": "What came of it."}, "error": text(),
            },
        },
        "Version": object(&version),
        "AuditRecord": object(&record),
        "TaskList": list("Task"),
        "VersionList": list("Version"),
        "AuditList": list("AuditRecord"),
        "Activated": object(&json!({"version": text(), "live": {"type": "boolean"}})),
        "Removed": object(&json!({"version": text(), "removed": {"type": "boolean"}})),
        "Cleared": object(&json!({"entries": {"type": "integer"}})),
    })
}

/// An object of which every property is always there.
fn object(properties: &Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn list(item: &str) -> Value {
    let items = json!({"type": "array", "items": {"$ref": format!("#/components/schemas/{item}")}});
    json!({"type": "object", "required": ["items"], "properties": {"items": items}})
}
