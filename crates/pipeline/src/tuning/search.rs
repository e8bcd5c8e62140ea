//! The search: successive halving without rounds (ASHA, Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"),
//! with epochs as the resource. A setting begins with few epochs; of those that got so far, the best third goes on to more.
//! It can end after any trial. What is tried next depends on the seed and the scores alone, so that a log of finished
//! trials takes their place when the search is begun again.

use std::time::Instant;

use cinedex_domain::{Progress, Step};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::log::{Difference, Trial, TrialLog};
use super::objective::{Objective, mean, mixes, standard_error};
use super::settings::{Space, TunedSettings};
use super::{Budget, TrialObserver};
use crate::PipelineError;

/// One in so many goes on to the next rung.
const REDUCTION: usize = 3;
/// Draws in a row of what has been tried already, after which nothing is left to try.
const REPEATS: usize = 50;

/// What a search needs.
pub(super) struct Search<'a> {
    pub(super) space: Space,
    pub(super) objective: &'a Objective<'a>,
    pub(super) budget: Budget,
    pub(super) seed: u64,
    pub(super) log: TrialLog,
    pub(super) observe: TrialObserver<'a>,
    pub(super) progress: Progress<'a>,
}

/// What a search found.
pub(super) struct Found {
    /// The defaults, without anything mixed in that was not given.
    pub(super) baseline: Trial,
    /// The best of those that got the epochs of the defaults or more.
    pub(super) best: Option<Trial>,
    pub(super) trials: usize,
    /// Of these, those that the log had.
    pub(super) reused: usize,
    pub(super) seconds: f64,
}

/// Settings on their way up the rungs.
struct Candidate {
    settings: TunedSettings,
    /// The trial on each rung reached.
    trials: Vec<Trial>,
}

/// A search under way.
struct Running<'s, 'a> {
    search: &'s mut Search<'a>,
    began: Instant,
    /// Seconds of trials that the log had.
    before: f64,
    done: Vec<Trial>,
    reused: usize,
    mixes: Vec<(f32, f32)>,
    best: Option<Trial>,
}

impl Search<'_> {
    /// Epochs of the rungs, ascending; from the third on a trial can win.
    fn rungs(&self) -> Vec<usize> {
        let all = self.space.baseline.epochs;
        let mut rungs = vec![all.div_ceil(4), all.div_ceil(2), all];
        rungs.dedup();
        if self.space.fixed.epochs.is_none() {
            rungs.push(all + all.div_ceil(2));
        }
        rungs
    }

    /// Runs until the budget is spent. The first trial, that of the defaults, is always run.
    pub(super) fn run(mut self) -> Result<Found, PipelineError> {
        let (rungs, full) = (self.rungs(), self.space.baseline.epochs);
        let fixed = &self.space.fixed;
        let temporal = self.objective.protocol.name == "temporal";
        let share = self.space.baseline.recent_share;
        let mixes = match (temporal, fixed.recent_weight) {
            (false, weight) => vec![(weight.unwrap_or(0.0), share)],
            (true, weight) => mixes(weight, fixed.recent_share, share),
        };
        let baseline = self.space.baseline.clone();
        let mut running = Running {
            search: &mut self,
            began: Instant::now(),
            before: 0.0,
            done: Vec::new(),
            reused: 0,
            mixes,
            best: None,
        };
        let first = running.baseline(&baseline)?;
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut repeats = 0;
        while repeats < REPEATS {
            let (at, rung) = next(&candidates, rungs.len());
            if at == candidates.len() {
                let mut random = ChaCha8Rng::seed_from_u64(running.search.seed);
                random.set_stream((at + repeats) as u64);
                let best = leader(&candidates);
                let settings = running.search.space.draw(at + repeats, best.as_ref(), &mut random);
                if candidates.iter().any(|known| known.settings.train_alike(&settings)) {
                    repeats += 1;
                    continue;
                }
                candidates.push(Candidate { settings, trials: Vec::new() });
            }
            let settings = TunedSettings { epochs: rungs[rung], ..candidates[at].settings.clone() };
            let Some(trial) = running.next(&settings, rungs[rung] >= full)? else { break };
            candidates[at].trials.push(trial);
            repeats = 0;
        }
        Ok(Found {
            baseline: first,
            best: running.best.take(),
            trials: running.done.len(),
            reused: running.reused,
            seconds: running.spent(),
        })
    }
}

/// Which candidate goes on to which rung: the best third of the highest rung possible, else a new one.
fn next(candidates: &[Candidate], rungs: usize) -> (usize, usize) {
    for rung in (0..rungs.saturating_sub(1)).rev() {
        let mut there: Vec<usize> =
            (0..candidates.len()).filter(|&at| candidates[at].trials.len() > rung).collect();
        there.sort_by(|&a, &b| merit(&candidates[b], rung).total_cmp(&merit(&candidates[a], rung)));
        there.truncate((there.len() + 1) / REDUCTION);
        if let Some(&at) = there.iter().find(|&&at| candidates[at].trials.len() == rung + 1) {
            return (at, rung + 1);
        }
    }
    (candidates.len(), 0)
}

/// The best of those that got furthest.
fn leader(candidates: &[Candidate]) -> Option<TunedSettings> {
    let reached = candidates.iter().map(|candidate| candidate.trials.len()).max()?;
    let there = candidates.iter().filter(|candidate| candidate.trials.len() == reached);
    let best = there.max_by(|a, b| merit(a, reached - 1).total_cmp(&merit(b, reached - 1)))?;
    Some(best.settings.clone())
}

fn merit(candidate: &Candidate, rung: usize) -> f64 {
    candidate.trials[rung].merit
}

impl Running<'_, '_> {
    fn spent(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    /// Trains the defaults and keeps their scores user by user.
    fn baseline(&mut self, settings: &TunedSettings) -> Result<Trial, PipelineError> {
        let plain = [(settings.recent_weight, settings.recent_share)];
        let known = self.search.log.trials().iter().find(|trial| !trial.per_user.is_empty()).cloned();
        let trial = self.trial(settings, &plain, known)?;
        self.search.progress_of(&self.done, self.began);
        Ok(trial)
    }

    /// The next trial, from the log or trained now; `None` if the budget has no room for it.
    fn next(&mut self, settings: &TunedSettings, complete: bool) -> Result<Option<Trial>, PipelineError> {
        let known = self.search.log.find(settings).cloned();
        let room = match self.search.budget {
            Budget::Trials(trials) => self.done.len() < trials,
            Budget::Seconds(seconds) => {
                let cost = known.as_ref().map_or_else(|| self.estimate(settings), Trial::seconds);
                self.spent() + cost <= seconds
            }
        };
        if !room {
            return Ok(None);
        }
        let mixes = self.mixes.clone();
        let trial = self.trial(settings, &mixes, known)?;
        if complete && self.best.as_ref().is_none_or(|best| best.merit < trial.merit) {
            self.best = Some(trial.clone());
        }
        let best = self.best.clone();
        (self.search.observe)(&trial, best.as_ref());
        self.search.progress_of(&self.done, self.began);
        Ok(Some(trial))
    }

    fn trial(
        &mut self,
        settings: &TunedSettings,
        mixes: &[(f32, f32)],
        known: Option<Trial>,
    ) -> Result<Trial, PipelineError> {
        let trial = if let Some(known) = known {
            self.before += known.seconds();
            self.reused += 1;
            known
        } else {
            let trial = self.train(settings, mixes)?;
            self.search.log.append(trial.clone())?;
            trial
        };
        self.done.push(trial.clone());
        Ok(trial)
    }

    fn train(&self, settings: &TunedSettings, mixes: &[(f32, f32)]) -> Result<Trial, PipelineError> {
        let objective = self.search.objective;
        let judged = objective.judge(settings, mixes)?;
        let score = mean(&judged.per_user);
        let difference = self.done.first().map(|baseline| {
            let pairs = judged.per_user.iter().zip(&baseline.per_user);
            let differences: Vec<f64> = pairs.map(|(ours, theirs)| ours - theirs).collect();
            Difference { mean: mean(&differences), standard_error: standard_error(&differences) }
        });
        Ok(Trial {
            number: self.done.len() + 1,
            settings: TunedSettings {
                recent_weight: judged.recent_weight,
                recent_share: judged.recent_share,
                ..settings.clone()
            },
            score,
            standard_error: standard_error(&judged.per_user),
            coverage: judged.coverage,
            merit: objective.merit(score, judged.coverage),
            difference,
            train_seconds: judged.train_seconds,
            judge_seconds: judged.judge_seconds,
            per_user: if self.done.is_empty() { judged.per_user } else { Vec::new() },
        })
    }

    /// Seconds that a trial will take, from the slowest so far for its work.
    fn estimate(&self, settings: &TunedSettings) -> f64 {
        let (train, judge) = self.search.objective.work(settings);
        let slowest = |rate: &dyn Fn(&Trial) -> f64| self.done.iter().map(rate).fold(0.0, f64::max);
        let work = |trial: &Trial| self.search.objective.work(&trial.settings);
        train * slowest(&|trial| trial.train_seconds / work(trial).0)
            + judge * slowest(&|trial| trial.judge_seconds / work(trial).1)
    }
}

impl Search<'_> {
    fn progress_of(&self, done: &[Trial], began: Instant) {
        let (done, total) = match self.budget {
            Budget::Trials(trials) => (done.len() as u64, trials as u64),
            Budget::Seconds(seconds) => (began.elapsed().as_secs(), seconds as u64),
        };
        (self.progress)(Step::new("tune", done.min(total), Some(total)));
    }
}
