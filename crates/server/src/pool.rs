//! Threads that compute, apart from those that read and write connections: a bounded queue, a deadline looked at when
//! work is taken from it, and no panic that ends a thread. It knows nothing of HTTP.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undone {
    /// The queue was full.
    Full,
    /// It waited longer than the deadline, or the pool was stopped.
    Late,
    /// It panicked.
    Panicked,
}

/// A fixed number of threads over one queue. Dropping it lets running work end and refuses what waits.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    work_came: Condvar,
    capacity: usize,
    deadline: Duration,
}

#[derive(Default)]
struct Queue {
    /// Each with how long it may wait, and since when it does.
    jobs: VecDeque<(Duration, Instant, Box<dyn Job>)>,
    stopped: bool,
}

/// One piece of work with who waits for it; exactly one of the two is called, once.
trait Job: Send {
    fn run(self: Box<Self>);
    fn refuse(self: Box<Self>, why: Undone);
}

struct Task<W, D> {
    work: W,
    done: D,
}

impl<T, W, D> Job for Task<W, D>
where
    W: FnOnce() -> T + Send,
    D: FnOnce(Result<T, Undone>) + Send,
{
    fn run(self: Box<Self>) {
        let Self { work, done } = *self;
        // What the work touches is an immutable snapshot, or dropped with it.
        done(catch_unwind(AssertUnwindSafe(work)).map_err(|_| Undone::Panicked));
    }

    fn refuse(self: Box<Self>, why: Undone) {
        (self.done)(Err(why));
    }
}

impl Pool {
    /// Starts `threads` threads (at least one), called `name` and a number, over a queue of `capacity` that waits at most
    /// `deadline`.
    pub(crate) fn new(name: &str, threads: usize, capacity: usize, deadline: Duration) -> io::Result<Self> {
        let shared = Shared { queue: Mutex::default(), work_came: Condvar::new(), capacity, deadline };
        let mut pool = Self { shared: Arc::new(shared), threads: Vec::new() };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            let builder = std::thread::Builder::new().name(format!("{name}-{number}"));
            pool.threads.push(builder.spawn(move || shared.work())?);
        }
        Ok(pool)
    }

    /// Queues `work`; `done` hears its result on the pool's thread, or at once on this one that the queue is full.
    pub(crate) fn run<T: 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(Result<T, Undone>) + Send + 'static,
    ) {
        self.queue(self.shared.deadline, Box::new(Task { work, done }));
    }

    /// How much waits.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().jobs.len()
    }

    fn queue(&self, deadline: Duration, task: Box<dyn Job>) {
        let mut queue = self.shared.lock();
        if queue.stopped || queue.jobs.len() >= self.shared.capacity {
            drop(queue);
            task.refuse(Undone::Full);
            return;
        }
        queue.jobs.push_back((deadline, Instant::now(), task));
        drop(queue);
        self.shared.work_came.notify_one();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let waiting = {
            let mut queue = self.shared.lock();
            queue.stopped = true;
            std::mem::take(&mut queue.jobs)
        };
        self.shared.work_came.notify_all();
        for (_, _, job) in waiting {
            job.refuse(Undone::Late);
        }
        for thread in self.threads.drain(..) {
            // A worker may itself hold the last reference to its pool.
            if thread.thread().id() != std::thread::current().id() {
                thread.join().ok();
            }
        }
    }
}

impl Shared {
    /// The queue is plain data, whole after every statement, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut queue = self.lock();
            let (deadline, since, job) = loop {
                if let Some(next) = queue.jobs.pop_front() {
                    break next;
                }
                if queue.stopped {
                    return;
                }
                queue = self.work_came.wait(queue).unwrap_or_else(PoisonError::into_inner);
            };
            drop(queue);
            // `done` belongs to the caller and must not end the thread either.
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                if since.elapsed() > deadline { job.refuse(Undone::Late) } else { job.run() }
            }));
            drop(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn work_is_done_and_a_panic_is_survived() {
        let pool = Pool::new("test", 1, 8, LONG).unwrap();
        let (sender, results) = channel();
        for number in 0..3 {
            let sender = sender.clone();
            pool.run(
                move || if number == 1 { panic!("on purpose") } else { number },
                move |r| sender.send(r).unwrap(),
            );
        }
        let mut seen: Vec<_> = (0..3).map(|_| results.recv().unwrap()).collect();
        seen.sort_by_key(|result| result.unwrap_or(1));
        assert_eq!(seen, [Ok(0), Err(Undone::Panicked), Ok(2)]);
    }

    /// A pool of one thread which is held up until the sender is dropped.
    fn held(capacity: usize) -> (Pool, std::sync::mpsc::Sender<()>) {
        let pool = Pool::new("test", 1, capacity, LONG).unwrap();
        let (release, gate) = channel::<()>();
        let (started, running) = channel();
        pool.run(
            move || {
                started.send(()).unwrap();
                gate.recv().ok();
            },
            |_| {},
        );
        running.recv().unwrap();
        (pool, release)
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let (pool, release) = held(1);
        let (sender, results) = channel();
        for _ in 0..2 {
            let sender = sender.clone();
            pool.run(|| (), move |result| sender.send(result).unwrap());
        }
        assert_eq!(results.recv().unwrap(), Err(Undone::Full));
        drop(release);
        assert_eq!(results.recv().unwrap(), Ok(()));
    }

    #[test]
    fn work_that_waited_too_long_is_refused_when_taken() {
        let (pool, release) = held(8);
        let (sender, results) = channel();
        let done = move |result| sender.send(result).unwrap();
        pool.queue(Duration::ZERO, Box::new(Task { work: || (), done }));
        drop(release);
        assert_eq!(results.recv().unwrap(), Err(Undone::Late));
    }

    #[test]
    fn a_dropped_pool_answers_everybody() {
        let (pool, release) = held(8);
        let (sender, results) = channel();
        pool.run(|| (), move |result| sender.send(result).unwrap());
        drop(release);
        drop(pool);
        assert!(matches!(results.recv().unwrap(), Ok(()) | Err(Undone::Late)));
    }
}
