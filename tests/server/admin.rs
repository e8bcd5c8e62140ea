//! The admin routes over real HTTP on loopback, over operations that do what they are told.
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use cinedex_index::IndexRoot;
use cinedex_recommender::EngineOptions;
use cinedex_server::{OperationError, Operations, RebuildRequest, Secret, Task, TaskStatus, VersionInfo};
use serde_json::{Value, json};
use support::*;

const ADMIN: &str = "the-admin-key-of-the-tests";

/// Keeps what it was asked for. A rebuild runs until it is cancelled.
struct Fake {
    root: IndexRoot,
    tasks: Mutex<Vec<Task>>,
    asked: Mutex<Vec<RebuildRequest>>,
}

impl Operations for Fake {
    fn rebuild(&self, request: RebuildRequest) -> Result<Task, OperationError> {
        let mut tasks = self.tasks.lock().unwrap();
        if request.dataset.as_deref() == Some("nothing") {
            let reason = "there is no data set nothing".to_owned();
            return Err(OperationError::Invalid { field: "dataset".to_owned(), reason });
        }
        if request.dataset.as_deref() == Some("broken") {
            return Err(OperationError::Failed { source: "secret cause".into() });
        }
        if let Some(running) = tasks.iter().find(|task| task.status == TaskStatus::Running) {
            return Err(OperationError::TaskRunning { task_id: running.task_id.clone() });
        }
        let task = Task {
            task_id: format!("task-{}", tasks.len() + 1),
            kind: "rebuild".to_owned(),
            status: TaskStatus::Running,
            progress: 0.25,
            detail: "training, epoch 4 of 16".to_owned(),
            created_at: "2026-01-31T00:00:00Z".to_owned(),
            finished_at: None,
            eta_seconds: Some(12),
            result: None,
            error: None,
        };
        tasks.insert(0, task.clone());
        self.asked.lock().unwrap().push(request);
        Ok(task)
    }

    fn versions(&self) -> Result<Vec<VersionInfo>, OperationError> {
        let summaries =
            self.root.versions().map_err(|error| OperationError::Failed { source: error.into() })?;
        let info = |summary: cinedex_index::VersionSummary| VersionInfo {
            version: summary.version.as_str().to_owned(),
            live: summary.live,
            size_bytes: summary.bytes,
            ..VersionInfo::default()
        };
        Ok(summaries.into_iter().map(info).collect())
    }

    fn activate(&self, version: &str) -> Result<(), OperationError> {
        let known = self.known(version)?;
        self.root.activate(&known).map_err(|error| OperationError::VersionUnusable {
            version: version.to_owned(),
            reason: error.to_string(),
        })
    }

    fn remove(&self, version: &str) -> Result<(), OperationError> {
        let known = self.known(version)?;
        if self.root.current().unwrap() == Some(known.clone()) {
            return Err(OperationError::VersionLive { version: version.to_owned() });
        }
        self.root.remove(&known).map_err(|error| OperationError::Failed { source: error.into() })
    }

    fn tasks(&self) -> Vec<Task> {
        self.tasks.lock().unwrap().clone()
    }

    fn task(&self, task_id: &str) -> Option<Task> {
        self.tasks().into_iter().find(|task| task.task_id == task_id)
    }

    fn cancel(&self, task_id: &str) -> Result<Task, OperationError> {
        let mut tasks = self.tasks.lock().unwrap();
        let task = tasks.iter_mut().find(|task| task.task_id == task_id).unwrap();
        task.status = TaskStatus::Cancelled;
        task.finished_at = Some("2026-01-31T00:01:00Z".to_owned());
        Ok(task.clone())
    }
}

impl Fake {
    fn known(&self, version: &str) -> Result<cinedex_index::Version, OperationError> {
        let unknown = || OperationError::VersionNotFound { version: version.to_owned() };
        let known = version.parse().map_err(|_| unknown())?;
        let all = self.versions()?;
        all.iter().any(|info| info.version == version).then_some(known).ok_or_else(unknown)
    }
}

fn operated(audit_file: &Path) -> (World, Arc<Fake>) {
    let mut options = options();
    options.admin_key = Secret::new(ADMIN);
    audit_file.clone_into(&mut options.audit_file);
    let mut fake = None;
    let world = operated_world(&options, EngineOptions::default(), |root| {
        let made = Arc::new(Fake { root: root.clone(), tasks: Mutex::default(), asked: Mutex::default() });
        fake = Some(Arc::clone(&made));
        Some(made)
    });
    (world, fake.unwrap())
}

fn admin(world: &World, method: &str, target: &str, body: &str) -> Response {
    call(world.server.address(), method, target, Some(ADMIN), body)
}

/// Holds an answer against the schema that the API says it has.
fn has_shape(world: &World, answer: &Value, schema: &str) {
    let openapi = get(world.server.address(), "/openapi.json").json();
    let required = openapi["components"]["schemas"][schema]["required"].as_array().unwrap().clone();
    for field in required {
        assert!(answer.get(field.as_str().unwrap()).is_some(), "{schema} {field} in {answer}");
    }
}

#[test]
fn a_rebuild_is_a_task_that_can_be_watched_and_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let (world, fake) = operated(&folder.path().join("audit.jsonl"));
    let body = r#"{"dataset":"films","parameters":{"epochs":3}}"#;
    let begun = admin(&world, "POST", "/v1/admin/indexes", body);
    assert_eq!(begun.status, 202, "{}", begun.text());
    let location = begun.header("location").unwrap().to_owned();
    assert_eq!(location, "/v1/admin/tasks/task-1");
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    has_shape(&world, &begun.json(), "Task");
    let asked = fake.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.dataset.as_deref(), asked.train, asked.activate), (Some("films"), true, true));
    assert_eq!(asked.parameters["epochs"], 3);
    let problem = refused(&admin(&world, "POST", "/v1/admin/indexes", "{}"), 409, "task_running");
    assert!(problem["detail"].as_str().unwrap().contains("task-1"));
    let task = admin(&world, "GET", &location, "");
    assert_eq!((task.status, &task.json()["status"]), (200, &json!("running")));
    let tasks = admin(&world, "GET", "/v1/admin/tasks", "").json();
    assert_eq!(tasks["items"], json!([task.json()]));
    let at = world.server.address();
    wait_until(at, "/metrics", |metrics| metrics.text().contains("cinedex_tasks{status=\"running\"} 1\n"));
    let cancelled = admin(&world, "DELETE", &location, "").json();
    assert_eq!(
        (&cancelled["status"], &cancelled["finished_at"]),
        (&json!("cancelled"), &json!("2026-01-31T00:01:00Z"))
    );
    for (method, target) in [
        ("GET", "/v1/admin/tasks/task-9"),
        ("DELETE", "/v1/admin/tasks/task-9"),
        ("GET", "/v1/admin/tasks/..%2Ftask-1"),
    ] {
        refused(&admin(&world, method, target, ""), 404, "task_not_found");
    }
}

#[test]
fn a_version_is_activated_at_once_and_the_live_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _fake) = operated(&folder.path().join("audit.jsonl"));
    let at = world.server.address();
    let first = get(at, "/readyz").json()["index_version"].as_str().unwrap().to_owned();
    let second = publish(&world.root, 5.0, true);
    wait_until(at, "/readyz", |response| response.json()["index_version"] == second.as_str());
    let versions = admin(&world, "GET", "/v1/admin/indexes", "").json();
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
    has_shape(&world, &versions["items"][0], "Version");
    refused(&admin(&world, "DELETE", &format!("/v1/admin/indexes/{second}"), ""), 409, "version_live");
    let back = admin(&world, "POST", &format!("/v1/admin/indexes/{first}/activate"), "");
    assert_eq!((back.status, back.json()), (200, json!({"version": first, "live": true})));
    assert_eq!(get(at, "/readyz").json()["index_version"], first.as_str(), "without waiting");
    let removed = admin(&world, "DELETE", &format!("/v1/admin/indexes/{second}"), "");
    assert_eq!(removed.json(), json!({"version": second, "removed": true}));
    for target in [
        format!("/v1/admin/indexes/{second}"),
        "/v1/admin/indexes/..%2F..%2Fetc".to_owned(),
        "/v1/admin/indexes/CURRENT".to_owned(),
        "/v1/admin/indexes/%2e%2e".to_owned(),
    ] {
        refused(&admin(&world, "DELETE", &target, ""), 404, "version_not_found");
        refused(&admin(&world, "POST", &format!("{target}/activate"), ""), 404, "version_not_found");
    }
}

#[test]
fn what_a_rebuild_cannot_be_made_from_is_named_and_a_failure_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (world, fake) = operated(&folder.path().join("audit.jsonl"));
    for (body, field) in [
        (r#"{"dataset":"../films"}"#, "dataset"),
        (r#"{"dataset":"nothing"}"#, "dataset"),
        (r#"{"path":"/etc"}"#, "path"),
        (r#"{"train":"yes"}"#, "train"),
    ] {
        let problem = refused(&admin(&world, "POST", "/v1/admin/indexes", body), 400, "invalid_body");
        assert_eq!(problem["errors"][0]["field"], field);
    }
    refused(&admin(&world, "POST", "/v1/admin/indexes?dataset=films", "{}"), 400, "unknown_parameter");
    refused(&admin(&world, "GET", "/v1/admin/tasks?limit=3", ""), 400, "unknown_parameter");
    refused(&admin(&world, "POST", "/v1/admin/indexes", ""), 415, "unsupported_media_type");
    let failed = admin(&world, "POST", "/v1/admin/indexes", r#"{"dataset":"broken"}"#);
    refused(&failed, 500, "internal");
    assert!(!failed.text().contains("secret"));
    assert!(fake.asked.lock().unwrap().is_empty());
}

#[test]
fn the_cache_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _fake) = operated(&folder.path().join("audit.jsonl"));
    let at = world.server.address();
    for _ in 0..2 {
        get(at, "/v1/popular");
    }
    assert!(get(at, "/metrics").text().contains("cinedex_cache_hits_total 1\n"));
    assert_eq!(admin(&world, "POST", "/v1/admin/cache/clear", "").json(), json!({"entries": 1}));
    assert!(get(at, "/metrics").text().contains("cinedex_cache_bytes 0\n"));
    get(at, "/v1/popular");
    assert!(get(at, "/metrics").text().contains("cinedex_cache_misses_total 2\n"));
}

#[test]
fn who_changed_what_is_written_down_without_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let audit_file = folder.path().join("audit.jsonl");
    let (world, _fake) = operated(&audit_file);
    let at = world.server.address();
    admin(&world, "POST", "/v1/admin/indexes", r#"{"dataset":"films"}"#);
    refused(&admin(&world, "DELETE", "/v1/admin/indexes/nothing", ""), 404, "version_not_found");
    // Neither what only reads, nor who only tried.
    admin(&world, "GET", "/v1/admin/tasks", "");
    call(at, "POST", "/v1/admin/indexes", Some("wrong"), "{}");
    let audit = admin(&world, "GET", "/v1/admin/audit", "").json();
    let records = audit["items"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{audit}");
    has_shape(&world, &records[0], "AuditRecord");
    let said = |record: &Value| {
        let of = |field: &str| record[field].clone();
        [of("who"), of("method"), of("route"), of("target"), of("status"), of("code")]
    };
    let removal =
        [json!("admin_key"), json!("DELETE"), json!("/v1/admin/indexes/{version}"), json!("nothing")];
    assert_eq!(said(&records[0])[..4], removal);
    assert_eq!(said(&records[0])[4..], [json!(404), json!("version_not_found")]);
    assert_eq!(said(&records[1])[4..], [json!(202), Value::Null]);
    assert_eq!(records[1]["address"], "127.0.0.1");
    let at_time = records[0]["at"].as_str().unwrap();
    assert!(at_time.ends_with('Z') && at_time.contains('T'), "{at_time}");
    let text = std::fs::read_to_string(&audit_file).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(!text.contains(ADMIN) && !text.contains("wrong"));
    assert_eq!(admin(&world, "GET", "/v1/admin/audit?limit=1", "").json()["items"], json!([records[0]]));
    refused(&admin(&world, "GET", "/v1/admin/audit?limit=101", ""), 400, "invalid_parameter");
}

#[test]
fn without_operations_only_what_the_server_does_itself_is_there() {
    let mut options = options();
    options.admin_key = Secret::new(ADMIN);
    let world = world_with(&options, EngineOptions::default());
    refused(&admin(&world, "GET", "/v1/admin/tasks", ""), 403, "admin_disabled");
    assert_eq!(admin(&world, "POST", "/v1/admin/cache/clear", "").status, 200);
    assert_eq!(admin(&world, "GET", "/v1/admin/audit", "").json(), json!({"items": []}));
}
