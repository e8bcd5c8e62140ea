//! When and how bundles are rebuilt while serving, as the configuration says. Where the values come from is the caller's
//! business.

use serde::{Deserialize, Serialize};

use crate::{Gate, HeldOut, PipelineError, RebuildRequest, Schedule};

/// When and how bundles are rebuilt while serving. Every field has a default; unknown fields are refused. An environment
/// variable is `CINEDEX_REBUILD_` and the field's name in upper case, for example `CINEDEX_REBUILD_SCHEDULE`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RebuildOptions {
    /// When to rebuild, a cron expression in UTC: minute, hour, day, month, weekday; empty is only on request. Default none.
    pub schedule: String,
    /// The data set where none is named; empty is that of the live bundle. Default none.
    pub dataset: String,
    /// Threads that a rebuild computes on, all of low priority; 0 is half of the processors. Default 0.
    pub threads: usize,
    /// Lowest recall@10 of the graph against the exact scan, 0 to 1. Default 0.9.
    pub min_recall: f64,
    /// Lowest share of the films with interactions that have an embedding, 0 to 1. Default 0.5.
    pub min_coverage: f64,
    /// Most microseconds for the ten best, measured on one thread while building. Default 20,000.
    pub max_microseconds: f64,
    /// Users of a thousand, drawn by their id, of whom nothing is learned, so that new and live bundle can be compared on them; 0
    /// is none. With too few users to compare on nobody is left out. Default 20.
    pub held_out_per_mille: u32,
    /// By which share NDCG@100 on them may fall below the live bundle's, where it is more than chance, 0 to 1. Default 0.02.
    pub max_quality_loss: f64,
    /// Earlier bundles that stay for roll-back. Default 3.
    pub keep: usize,
    /// Days after which an interaction leaves the log, once a live bundle has learned it, and is not learned again unless the data
    /// set has it too; 0 keeps all. Default 0.
    pub log_retention_days: u32,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        let (gate, held_out) = (Gate::default(), HeldOut::default());
        Self {
            schedule: String::new(),
            dataset: String::new(),
            threads: 0,
            min_recall: gate.min_recall,
            min_coverage: gate.min_coverage,
            max_microseconds: gate.max_microseconds,
            held_out_per_mille: held_out.per_mille,
            max_quality_loss: gate.max_quality_loss,
            keep: 3,
            log_retention_days: 0,
        }
    }
}

impl RebuildOptions {
    /// Checks the schedule and every range.
    pub fn validate(&self) -> Result<(), PipelineError> {
        self.schedule()?;
        let refuse =
            |setting, found: String, expected| Err(PipelineError::Setting { setting, found, expected });
        let shares = [
            ("rebuild.min_recall", self.min_recall),
            ("rebuild.min_coverage", self.min_coverage),
            ("rebuild.max_quality_loss", self.max_quality_loss),
        ];
        for (setting, found) in shares {
            if !(0.0..=1.0).contains(&found) {
                return refuse(setting, found.to_string(), "0 to 1");
            }
        }
        if self.max_microseconds.is_nan() || self.max_microseconds <= 0.0 {
            return refuse("rebuild.max_microseconds", self.max_microseconds.to_string(), "above 0");
        }
        if self.held_out_per_mille > 500 {
            return refuse("rebuild.held_out_per_mille", self.held_out_per_mille.to_string(), "0 to 500");
        }
        if self.threads > 512 {
            return refuse("rebuild.threads", self.threads.to_string(), "0 to 512");
        }
        Ok(())
    }

    /// When to rebuild; `None` is only on request.
    pub fn schedule(&self) -> Result<Option<Schedule>, PipelineError> {
        if self.schedule.trim().is_empty() { Ok(None) } else { Schedule::new(&self.schedule).map(Some) }
    }

    /// A request with the gate, the users held out and the bundles kept as these options say.
    #[must_use]
    pub fn apply(&self, mut request: RebuildRequest) -> RebuildRequest {
        request.build.gate = Gate {
            min_recall: self.min_recall,
            min_coverage: self.min_coverage,
            max_microseconds: self.max_microseconds,
            max_quality_loss: self.max_quality_loss,
        };
        request.build.keep = self.keep;
        request.held_out = HeldOut { per_mille: self.held_out_per_mille, ..HeldOut::default() };
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let check = |change: fn(&mut RebuildOptions), expect: &str| {
            let mut options = RebuildOptions::default();
            change(&mut options);
            let message = options.validate().unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        assert!(RebuildOptions::default().validate().is_ok());
        check(|options| options.schedule = "nightly".to_owned(), "\"nightly\" is not a schedule");
        check(|options| options.min_recall = 1.1, "rebuild.min_recall is 1.1");
        check(|options| options.max_quality_loss = f64::NAN, "rebuild.max_quality_loss is NaN");
        check(|options| options.max_microseconds = 0.0, "above 0");
        check(|options| options.held_out_per_mille = 501, "0 to 500");
        check(|options| options.threads = 513, "0 to 512");
    }

    #[test]
    fn options_become_the_gate() {
        let options =
            RebuildOptions { min_recall: 0.7, held_out_per_mille: 5, keep: 1, ..RebuildOptions::default() };
        let request = options.apply(RebuildRequest::of_model("films", "ials"));
        assert_eq!(
            (request.build.gate.min_recall, request.held_out.per_mille, request.build.keep),
            (0.7, 5, 1)
        );
        assert_eq!(RebuildOptions::default().apply(request).build.gate, Gate::default());
    }
}
