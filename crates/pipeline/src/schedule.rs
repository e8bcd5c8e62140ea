//! When a job is due, by the clock that it is told. It knows nothing of what is done.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use cronexpr::Crontab;

use crate::PipelineError;

/// Times in UTC, as a cron expression of five fields: minute, hour, day of the month, month, day of the week.
#[derive(Debug, Clone)]
pub struct Schedule {
    crontab: Crontab,
}

impl Schedule {
    /// Reads the five fields.
    pub fn new(text: &str) -> Result<Self, PipelineError> {
        let refuse = |reason: String| PipelineError::Schedule {
            schedule: text.chars().take(60).collect(),
            reason: reason.lines().last().unwrap_or_default().trim().to_owned(),
        };
        let fields = text.split_whitespace().count();
        if fields != 5 {
            return Err(refuse(format!("it has {fields} fields instead of five")));
        }
        let crontab = cronexpr::parse_crontab(&format!("{} UTC", text.trim()));
        Ok(Self { crontab: crontab.map_err(|error| refuse(error.to_string()))? })
    }

    /// The first time after `time_ms`, both in milliseconds UTC; `None` if there is none, such as a 30 February.
    pub fn next_after(&self, time_ms: i64) -> Option<i64> {
        let time = jiff::Timestamp::from_millisecond(time_ms).ok()?;
        let next = self.crontab.find_next(time).ok()?;
        Some(next.timestamp().as_millisecond())
    }
}

/// What is due of a schedule as the clock goes on.
#[derive(Debug)]
struct Due {
    schedule: Schedule,
    next_ms: Option<i64>,
    seen_ms: i64,
}

impl Due {
    /// From `now_ms` on, which is not due itself.
    fn new(schedule: Schedule, now_ms: i64) -> Self {
        Self { next_ms: schedule.next_after(now_ms), schedule, seen_ms: now_ms }
    }

    /// Whether a time of the schedule has come since it was asked last; of several that were missed, one. A clock that went back
    /// is followed: what it comes to again is due again.
    fn is_due(&mut self, now_ms: i64) -> bool {
        let back = now_ms < self.seen_ms;
        self.seen_ms = now_ms;
        let due = !back && self.next_ms.is_some_and(|next| now_ms >= next);
        if due || back {
            self.next_ms = self.schedule.next_after(now_ms);
        }
        due
    }
}

/// A thread that does a job whenever it is due. Dropped, it ends; a job that it is doing is waited for.
pub struct Scheduler {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Scheduler {
    /// Looks at `clock_ms`, milliseconds UTC, once a `look_every`, and does `job` on the scheduler's own thread when it is due.
    pub fn start(
        schedule: Schedule,
        look_every: Duration,
        clock_ms: impl Fn() -> i64 + Send + 'static,
        mut job: impl FnMut() + Send + 'static,
    ) -> Result<Self, PipelineError> {
        let (stop, stopped) = channel();
        let mut due = Due::new(schedule, clock_ms());
        let body = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(look_every) {
                if due.is_due(clock_ms()) {
                    job();
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("schedule".to_owned())
            .spawn(body)
            .map_err(|source| PipelineError::Thread { name: "schedule", source })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // An error says that it has ended already.
        self.stop.send(()).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn a_schedule_is_five_fields_in_utc() {
        let check = |schedule: &str, after: &str, expect: &str| {
            let next = Schedule::new(schedule).unwrap().next_after(ms(after));
            assert_eq!(next, Some(ms(expect)), "{schedule}");
        };
        check("30 3 * * *", "2026-11-23T03:29:59Z", "2026-11-23T03:30:00Z");
        check("30 3 * * *", "2026-11-23T03:30:00Z", "2026-11-24T03:30:00Z");
        check("*/15 * * * *", "2026-11-23T03:59:00Z", "2026-11-23T04:00:00Z");
        check(" 0 4 * * 1 ", "2026-11-23T05:00:00Z", "2026-11-30T04:00:00Z");
        for text in
            ["", "daily", "* * * *", "60 * * * *", "0 0 0 * *", "0 3 * * * Europe/Berlin", "* * * * * *"]
        {
            let error = Schedule::new(text).unwrap_err().to_string();
            assert!(error.contains("30 3 * * *") && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn what_was_missed_is_done_once_and_a_clock_set_back_is_followed() {
        let mut due = Due::new(Schedule::new("0 * * * *").unwrap(), ms("2026-01-01T00:30:00Z"));
        let mut check = |now: &str, expect: bool| assert_eq!(due.is_due(ms(now)), expect, "{now}");
        check("2026-01-01T00:59:59Z", false);
        check("2026-01-01T01:00:00Z", true);
        check("2026-01-01T01:00:01Z", false);
        check("2026-01-01T05:20:00Z", true);
        check("2026-01-01T05:59:00Z", false);
        check("2025-12-31T23:10:00Z", false);
        check("2026-01-01T00:00:10Z", true);
        check("2026-01-01T00:00:20Z", false);
    }

    #[test]
    fn the_thread_follows_a_clock_that_is_simulated() {
        let clock = Arc::new(AtomicI64::new(ms("2026-01-01T02:59:00Z")));
        let (told, heard) = channel();
        let (reading, telling) = (Arc::clone(&clock), Arc::clone(&clock));
        let scheduler = Scheduler::start(
            Schedule::new("0 3 * * *").unwrap(),
            Duration::from_millis(1),
            move || reading.load(Ordering::Relaxed),
            move || told.send(telling.load(Ordering::Relaxed)).unwrap(),
        )
        .unwrap();
        for day in ["2026-01-01T03:00:00Z", "2026-01-02T03:00:05Z", "2026-01-03T04:00:00Z"] {
            clock.store(ms(day), Ordering::Relaxed);
            assert_eq!(heard.recv().unwrap(), ms(day));
        }
        drop(scheduler);
        assert_eq!(heard.try_iter().count(), 0);
    }
}
