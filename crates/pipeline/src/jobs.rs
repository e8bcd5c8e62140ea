//! Long work beside serving: one task at a time on a thread of low priority, its record on disk, progress, cancelling. It knows
//! nothing of what a task does.

use std::fs::{self, File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cinedex_domain::{Progress, Step};
use cinedex_storage::write_file_atomically;
use serde_json::Value;

use crate::task::{Meter, described, seconds_left};
use crate::{PipelineError, Task, TaskStatus};

/// The file by which a process holds the records.
const LOCK: &str = "LOCK";
/// Records of tasks that are kept.
const KEPT: usize = 100;
/// A longer record is not one.
const LARGEST_RECORD_BYTES: u64 = 1 << 20;
/// Steps are heard this often; more of them change nothing that anybody could see.
const HEAR_EVERY: Duration = Duration::from_millis(50);
/// How nice a task is to the threads that serve, on the system's scale of 0 to 19.
const NICENESS: i32 = 15;
/// Why a task is over whose process is.
const INTERRUPTED: &str = "the program ended while it ran; nothing of it is live, start it again";

/// Runs tasks, one at a time, and remembers the latest hundred. Dropped, it cancels what runs and waits for its end.
pub struct Jobs {
    shared: Arc<Shared>,
    threads: usize,
    /// Held with an advisory lock: records that another process writes are not to be judged.
    _lock: File,
}

struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    tasks: Vec<Task>,
    running: Option<Running>,
    ending: bool,
}

struct Running {
    task_id: String,
    cancel: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Jobs {
    /// Opens the records in `folder`, which is made if need be, for this process alone. A task that is found running was interrupted: it has failed now.
    /// Tasks compute on at most `threads` threads; 0 is half of the processors.
    pub fn open(folder: &Path, threads: usize) -> Result<Self, PipelineError> {
        let io = |action| move |source| PipelineError::Tasks { action, path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(io("create"))?;
        let lock = File::create(folder.join(LOCK)).map_err(io("lock"))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(PipelineError::TasksInUse { path: folder.to_owned() });
        }
        let mut tasks: Vec<Task> = Vec::new();
        for entry in fs::read_dir(folder).map_err(io("list"))? {
            // What cannot be read is not a record that was written here: they are written whole.
            tasks.extend(read_record(&entry.map_err(io("list"))?.path()));
        }
        tasks.sort_by(|left, right| left.task_id.cmp(&right.task_id));
        let shared = Shared { folder: folder.to_owned(), state: Mutex::default() };
        for task in &mut tasks {
            if !task.status.is_final() {
                conclude(task, TaskStatus::Failed, None, Some(INTERRUPTED.to_owned()));
                shared.write(task)?;
            }
        }
        shared.lock().tasks = tasks;
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { (available / 2).max(1) } else { threads };
        Ok(Self { shared: Arc::new(shared), threads, _lock: lock })
    }

    /// How many threads a task may compute on.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Starts a task and returns at once; refused while another one runs. `stages` are those that it reports, with their usual
    /// shares of its time. Everything in it that computes in parallel does so on the threads of [`Jobs::threads`], at low
    /// priority, unless it starts a pool of its own, which inherits the priority.
    pub fn start(
        &self,
        kind: &str,
        stages: &'static [(&'static str, f64)],
        work: impl FnOnce(Progress<'_>, &AtomicBool) -> Result<Value, PipelineError> + Send + 'static,
    ) -> Result<Task, PipelineError> {
        let mut state = self.shared.lock();
        if let Some(running) = &state.running {
            return Err(PipelineError::TaskRunning { task_id: running.task_id.clone() });
        }
        if state.ending {
            return Err(PipelineError::Cancelled);
        }
        let task = Task {
            task_id: next_id(&state.tasks),
            kind: kind.to_owned(),
            status: TaskStatus::Queued,
            progress: 0.0,
            detail: "waiting for its thread".to_owned(),
            eta_seconds: None,
            created_at: now(),
            finished_at: None,
            result: None,
            error: None,
        };
        self.shared.write(&task)?;
        let cancel = Arc::new(AtomicBool::new(false));
        let run = Run {
            shared: Arc::clone(&self.shared),
            task_id: task.task_id.clone(),
            cancel: Arc::clone(&cancel),
            threads: self.threads,
            began: Instant::now(),
            heard: Mutex::new((Meter::new(stages), None)),
        };
        let thread = std::thread::Builder::new()
            .name("task".to_owned())
            .spawn(move || run.whole(work))
            .map_err(|source| PipelineError::Thread { name: "task", source });
        let thread = match thread {
            Ok(thread) => Some(thread),
            Err(error) => {
                self.shared.remove(&task.task_id);
                return Err(error);
            }
        };
        state.running = Some(Running { task_id: task.task_id.clone(), cancel, thread });
        state.tasks.push(task.clone());
        while state.tasks.len() > KEPT {
            let oldest = state.tasks.remove(0);
            self.shared.remove(&oldest.task_id);
        }
        Ok(task)
    }

    /// The tasks that are remembered, newest first.
    pub fn tasks(&self) -> Vec<Task> {
        self.shared.lock().tasks.iter().rev().cloned().collect()
    }

    /// One task.
    pub fn task(&self, task_id: &str) -> Option<Task> {
        self.shared.lock().tasks.iter().find(|task| task.task_id == task_id).cloned()
    }

    /// Tells a task to stop, which it does at its next step; one that is over stays as it is.
    pub fn cancel(&self, task_id: &str) -> Result<Task, PipelineError> {
        let state = self.shared.lock();
        if let Some(running) = state.running.as_ref().filter(|running| running.task_id == task_id) {
            running.cancel.store(true, Ordering::Relaxed);
        }
        let found = state.tasks.iter().find(|task| task.task_id == task_id).cloned();
        found.ok_or_else(|| PipelineError::UnknownTask { task_id: task_id.chars().take(60).collect() })
    }

    /// Waits for the end of what runs, if anything does.
    pub fn wait(&self) {
        let thread = self.shared.lock().running.as_mut().and_then(|running| running.thread.take());
        if let Some(thread) = thread {
            // A panic of the work is caught and recorded by its task.
            thread.join().ok();
        }
    }

    /// Cancels what runs, waits for its end, and starts nothing more. The record says that the program ended.
    pub fn end(&self) {
        let mut state = self.shared.lock();
        state.ending = true;
        if let Some(running) = &state.running {
            running.cancel.store(true, Ordering::Relaxed);
        }
        drop(state);
        self.wait();
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; if something did, records would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, task_id: &str) -> PathBuf {
        self.folder.join(format!("{task_id}.json"))
    }

    fn write(&self, task: &Task) -> Result<(), PipelineError> {
        let bytes = serde_json::to_vec_pretty(task).expect("a record has only string keys");
        Ok(write_file_atomically(&self.path(&task.task_id), &bytes)?)
    }

    fn remove(&self, task_id: &str) {
        // A record that stays is read again and goes then.
        fs::remove_file(self.path(task_id)).ok();
    }

    /// Changes the record of a task in memory, and answers it.
    fn change(&self, task_id: &str, change: impl FnOnce(&mut Task)) -> Option<Task> {
        let mut state = self.lock();
        let task = state.tasks.iter_mut().find(|task| task.task_id == task_id)?;
        change(task);
        Some(task.clone())
    }
}

/// One task on its thread.
struct Run {
    shared: Arc<Shared>,
    task_id: String,
    cancel: Arc<AtomicBool>,
    threads: usize,
    began: Instant,
    /// How far it is, and when a step was heard last.
    heard: Mutex<(Meter, Option<Instant>)>,
}

impl Run {
    fn whole(self, work: impl FnOnce(Progress<'_>, &AtomicBool) -> Result<Value, PipelineError> + Send) {
        be_nice();
        // Waits until the record is there.
        let begun = self.shared.change(&self.task_id, |task| {
            task.status = TaskStatus::Running;
            "starting".clone_into(&mut task.detail);
        });
        if let Some(task) = begun {
            // The record of a task that is not over says that it was interrupted, whatever else it says.
            self.shared.write(&task).ok();
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| self.computed(work)));
        let ending = self.shared.lock().ending;
        let (status, result, error) = match outcome {
            Ok(Ok(result)) => (TaskStatus::Succeeded, Some(result), None),
            Ok(Err(error)) if error.is_cancelled() && ending => {
                (TaskStatus::Failed, None, Some(INTERRUPTED.to_owned()))
            }
            Ok(Err(error)) if error.is_cancelled() => {
                (TaskStatus::Cancelled, None, Some("cancelled on request".to_owned()))
            }
            Ok(Err(error)) => (TaskStatus::Failed, None, Some(chain(&error))),
            Err(_) => {
                let reason = "it ended by a fault of the program, which the log has";
                (TaskStatus::Failed, None, Some(reason.to_owned()))
            }
        };
        let Some(mut task) = self.shared.change(&self.task_id, |_| {}) else { return };
        conclude(&mut task, status, result, error);
        // On a full disk the record stays as it was, and says after a restart that the task was interrupted.
        self.shared.write(&task).ok();
        // Who sees that it is over may start the next one.
        let mut state = self.shared.lock();
        state.running = None;
        state
            .tasks
            .iter_mut()
            .filter(|known| known.task_id == task.task_id)
            .for_each(|known| *known = task.clone());
    }

    /// The work, on a pool of its own.
    fn computed(
        &self,
        work: impl FnOnce(Progress<'_>, &AtomicBool) -> Result<Value, PipelineError> + Send,
    ) -> Result<Value, PipelineError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|number| format!("task-{number}"))
            .build()
            .map_err(|error| PipelineError::Thread { name: "task", source: std::io::Error::other(error) })?;
        pool.install(|| work(&|step| self.hear(step), &self.cancel))
    }

    fn hear(&self, step: Step<'_>) {
        // Two threads may report at once; one of them is enough.
        let Ok(mut heard) = self.heard.try_lock() else { return };
        let progress = heard.0.progress(step);
        let first = step.done == 0;
        if !first && heard.1.is_some_and(|last| last.elapsed() < HEAR_EVERY) {
            return;
        }
        heard.1 = Some(Instant::now());
        let left = seconds_left(progress, self.began.elapsed().as_secs_f64());
        self.shared.change(&self.task_id, |task| {
            (task.progress, task.eta_seconds, task.detail) = (progress, left, described(step));
        });
    }
}

/// Lowers the priority of the thread, and so of all that it starts: on Linux a priority belongs to a thread and is
/// inherited. Elsewhere it belongs to the process, whose other threads serve, and stays as it is.
fn be_nice() {
    #[cfg(target_os = "linux")]
    {
        let present = rustix::process::getpriority_process(None).unwrap_or_default();
        // A refusal costs no more than the priority.
        rustix::process::setpriority_process(None, present.max(NICENESS)).ok();
    }
}

fn conclude(task: &mut Task, status: TaskStatus, result: Option<Value>, error: Option<String>) {
    task.status = status;
    if status == TaskStatus::Succeeded {
        task.progress = 1.0;
        "done".clone_into(&mut task.detail);
    }
    (task.result, task.error, task.eta_seconds) = (result, error, None);
    task.finished_at = Some(now());
}

fn read_record(path: &Path) -> Option<Task> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    if fs::metadata(path).ok()?.len() > LARGEST_RECORD_BYTES {
        return None;
    }
    let task: Task = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (task.task_id == name).then_some(task)
}

/// An error with all its causes that it does not say itself.
fn chain(error: &PipelineError) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}

/// A name after all that there are: the second, and a number within it. If the clock went back, the latest name counts on.
fn next_id(tasks: &[Task]) -> String {
    let second = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let latest = tasks.last().and_then(|task| task.task_id.rsplit_once('-'));
    match latest {
        Some((before, number)) if before >= second.as_str() => {
            let number: u64 = number.parse().unwrap_or(0);
            format!("{before}-{:03}", number + 1)
        }
        _ => format!("{second}-001"),
    }
}

/// The present, RFC 3339 UTC in whole seconds.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    const STAGES: &[(&str, f64)] = &[("count", 1.0)];

    fn jobs() -> (TempDir, Jobs) {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(&folder.path().join("tasks"), 1).unwrap();
        (folder, jobs)
    }

    fn again(folder: &TempDir) -> Jobs {
        Jobs::open(&folder.path().join("tasks"), 1).unwrap()
    }

    /// Until it is told to stop.
    fn endless(_: Progress<'_>, cancel: &AtomicBool) -> Result<Value, PipelineError> {
        while !cancel.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        Err(PipelineError::Cancelled)
    }

    #[test]
    fn a_task_runs_beside_and_its_record_outlives_the_program() {
        let (folder, jobs) = jobs();
        let (go, gone) = channel::<()>();
        let (heard, hearing) = channel();
        let started = jobs
            .start("rebuild", STAGES, move |progress, _| {
                progress(Step::new("count", 0, Some(4)));
                progress(Step::new("count", 1, Some(4)));
                heard.send(()).unwrap();
                gone.recv().unwrap();
                Ok(json!({ "threads": rayon::current_num_threads() }))
            })
            .unwrap();
        assert_eq!((started.status, started.finished_at), (TaskStatus::Queued, None));
        hearing.recv().unwrap();
        let running = jobs.task(&started.task_id).unwrap();
        assert_eq!((running.status, running.detail.as_str()), (TaskStatus::Running, "count, 0 of 4"));
        go.send(()).unwrap();
        jobs.wait();
        let over = jobs.task(&started.task_id).unwrap();
        assert_eq!((over.status, over.progress), (TaskStatus::Succeeded, 1.0));
        assert_eq!(over.result, Some(json!({ "threads": 1 })));
        assert!(matches!(Jobs::open(&folder.path().join("tasks"), 1), Err(PipelineError::TasksInUse { .. })));
        drop(jobs);
        assert_eq!(again(&folder).tasks(), [over]);
    }

    #[test]
    fn a_second_task_is_refused_while_one_runs_and_a_cancelled_one_ends() {
        let (_folder, jobs) = jobs();
        let first = jobs.start("rebuild", STAGES, endless).unwrap();
        let refused = jobs.start("rebuild", STAGES, endless).unwrap_err();
        assert!(refused.to_string().contains(&first.task_id), "{refused}");
        assert!(matches!(jobs.cancel("20200101T000000Z-001"), Err(PipelineError::UnknownTask { .. })));
        jobs.cancel(&first.task_id).unwrap();
        jobs.wait();
        let over = jobs.task(&first.task_id).unwrap();
        assert_eq!(
            (over.status, over.error.as_deref()),
            (TaskStatus::Cancelled, Some("cancelled on request"))
        );
        assert_eq!(jobs.cancel(&first.task_id).unwrap(), over, "what is over stays so");
        let second = jobs.start("rebuild", STAGES, |_, _| Ok(Value::Null)).unwrap();
        assert!(second.task_id > first.task_id);
    }

    #[test]
    fn a_failure_and_a_panic_are_told_with_their_reason() {
        let (_folder, jobs) = jobs();
        let failing =
            |_: Progress<'_>, _: &AtomicBool| Err(PipelineError::NoOpinions { dataset: "x".into() });
        let failed = jobs.start("rebuild", STAGES, failing).unwrap();
        jobs.wait();
        let failed = jobs.task(&failed.task_id).unwrap();
        assert_eq!(failed.status, TaskStatus::Failed);
        assert!(failed.error.unwrap().contains("\"x\""));
        let panicking = |_: Progress<'_>, _: &AtomicBool| panic!("on purpose");
        let failed = jobs.start("rebuild", STAGES, panicking).unwrap();
        jobs.wait();
        assert_eq!(jobs.task(&failed.task_id).unwrap().status, TaskStatus::Failed);
        jobs.start("rebuild", STAGES, |_, _| Ok(Value::Null)).unwrap();
    }

    #[test]
    fn a_task_found_running_was_interrupted() {
        let (folder, jobs) = jobs();
        let task = jobs.start("rebuild", STAGES, |_, _| Ok(Value::Null)).unwrap();
        jobs.wait();
        drop(jobs);
        // As a killed process leaves it.
        let record = Task { status: TaskStatus::Running, finished_at: None, result: None, ..task };
        let path = folder.path().join("tasks").join(format!("{}.json", record.task_id));
        fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
        fs::write(path.with_file_name("half.json"), "{\"task_id\":").unwrap();
        let jobs = again(&folder);
        let found = jobs.task(&record.task_id).unwrap();
        assert_eq!((found.status, found.error.as_deref()), (TaskStatus::Failed, Some(INTERRUPTED)));
        assert!(found.finished_at.is_some());
        drop(jobs);
        assert_eq!(again(&folder).tasks(), [found]);
    }

    #[test]
    fn ending_stops_what_runs_and_says_so() {
        let (folder, jobs) = jobs();
        let task = jobs.start("rebuild", STAGES, endless).unwrap();
        jobs.end();
        assert!(jobs.start("rebuild", STAGES, endless).is_err());
        drop(jobs);
        let over = again(&folder).task(&task.task_id).unwrap();
        assert_eq!((over.status, over.error.as_deref()), (TaskStatus::Failed, Some(INTERRUPTED)));
    }

    #[test]
    fn only_the_latest_hundred_are_kept_and_names_go_up() {
        let (folder, jobs) = jobs();
        let mut last = String::new();
        for _ in 0..KEPT + 5 {
            let task = jobs.start("rebuild", STAGES, |_, _| Ok(Value::Null)).unwrap();
            jobs.wait();
            assert!(task.task_id > last, "{} after {last}", task.task_id);
            last = task.task_id;
        }
        assert_eq!(jobs.tasks().len(), KEPT);
        assert_eq!(jobs.tasks()[0].task_id, last);
        assert_eq!(fs::read_dir(folder.path().join("tasks")).unwrap().count(), KEPT + 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_threads_of_a_task_are_nice() {
        let (_folder, jobs) = jobs();
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        let found = move |_: Progress<'_>, _: &AtomicBool| {
            let inner = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            Ok(json!([priority(), inner.install(priority)]))
        };
        let task = jobs.start("rebuild", STAGES, found).unwrap();
        jobs.wait();
        let nice = before.max(NICENESS);
        assert_eq!(jobs.task(&task.task_id).unwrap().result, Some(json!([nice, nice])));
        assert_eq!(priority(), before);
    }
}
