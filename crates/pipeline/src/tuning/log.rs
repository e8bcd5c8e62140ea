//! Every finished trial on disk, one JSON line each, so that an interrupted search goes on where it was.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TunedSettings;
use crate::PipelineError;

/// One training that was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// From 1, in the order in which they ended.
    pub number: usize,
    /// What was trained, with the best mix of it.
    pub settings: TunedSettings,
    /// The objective on the validation part.
    pub score: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The share of the catalogue that was shown to anybody.
    pub coverage: f64,
    /// What trials are compared by: the score, or below 0 where the coverage is less than was asked for.
    pub merit: f64,
    /// How much higher the score is than that of the defaults, user by user, and the standard error of that; absent for the
    /// defaults themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of judging.
    pub judge_seconds: f64,
    /// For the defaults: their scores user by user, against which others are held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_user: Vec<f64>,
}

impl Trial {
    /// All that it took.
    pub(super) fn seconds(&self) -> f64 {
        self.train_seconds + self.judge_seconds
    }
}

/// A paired difference of means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The mean over users.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// The trials of one search.
#[derive(Debug)]
pub(super) struct TrialLog {
    /// Where they are kept; `None` keeps nothing.
    file: Option<(PathBuf, File)>,
    trials: Vec<Trial>,
}

impl TrialLog {
    /// Opens the log of the search that `head` describes. One of another search is begun anew; what is damaged, as the
    /// last line of an interrupted write, is cut off.
    pub(super) fn open(path: Option<&Path>, head: &serde_json::Value) -> Result<Self, PipelineError> {
        let Some(path) = path else { return Ok(Self { file: None, trials: Vec::new() }) };
        let failed = |source| PipelineError::TuningLog { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let text = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let (trials, sound) = parse(&text, head);
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(failed)?;
        file.set_len(sound as u64).map_err(failed)?;
        if sound == 0 {
            file.write_all(format!("{head}\n").as_bytes()).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        Ok(Self { file: Some((path.to_owned(), file)), trials })
    }

    pub(super) fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The trial that trained these settings, if there was one.
    pub(super) fn find(&self, settings: &TunedSettings) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.settings.train_alike(settings))
    }

    /// Appends one line at once, flushed before it counts.
    pub(super) fn append(&mut self, trial: Trial) -> Result<(), PipelineError> {
        if let Some((path, file)) = &mut self.file {
            let failed = |source| PipelineError::TuningLog { path: path.clone(), source };
            let mut line = serde_json::to_string(&trial).map_err(|error| failed(error.into()))?;
            line.push('\n');
            file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(failed)?;
        }
        self.trials.push(trial);
        Ok(())
    }
}

/// The trials under the head, and the length of what is sound; nothing under another head.
fn parse(text: &[u8], head: &serde_json::Value) -> (Vec<Trial>, usize) {
    let (mut trials, mut sound) = (Vec::new(), 0);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if line.last() != Some(&b'\n') {
            break;
        }
        if sound == 0 {
            if serde_json::from_slice::<serde_json::Value>(line).ok().as_ref() != Some(head) {
                return (Vec::new(), 0);
            }
        } else {
            let Ok(trial) = serde_json::from_slice(line) else { break };
            trials.push(trial);
        }
        sound += line.len();
    }
    (trials, sound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cinedex_domain::{BlendSettings, PreferencePolicy};
    use cinedex_model::IalsParameters;
    use serde_json::json;

    fn trial(number: usize) -> Trial {
        let policy = PreferencePolicy::default();
        let defaults = TunedSettings::of(&IalsParameters::default(), &policy, BlendSettings::NONE);
        Trial {
            number,
            settings: TunedSettings { dimension: number, half_life_days: Some(0.3), ..defaults },
            score: 0.1 + 0.2,
            standard_error: 0.01,
            coverage: 0.5,
            merit: 0.1 + 0.2,
            difference: (number > 1).then_some(Difference { mean: -1e-3, standard_error: 1e-17 }),
            train_seconds: 0.25,
            judge_seconds: 0.5,
            per_user: if number == 1 { vec![0.1, 1.0 / 3.0] } else { Vec::new() },
        }
    }

    fn numbers(log: &TrialLog) -> Vec<usize> {
        log.trials().iter().map(|trial| trial.number).collect()
    }

    #[test]
    fn a_log_is_read_again_up_to_what_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models/.ials.tuning.jsonl");
        let head = json!({ "data": "a" });
        let mut log = TrialLog::open(Some(&path), &head).unwrap();
        for number in 1..4 {
            log.append(trial(number)).unwrap();
        }
        let log = TrialLog::open(Some(&path), &head).unwrap();
        assert_eq!(log.trials(), [trial(1), trial(2), trial(3)]);
        assert_eq!(log.find(&TunedSettings { recent_weight: 3.0, ..trial(2).settings }).unwrap().number, 2);
        assert!(log.find(&trial(9).settings).is_none());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
        let mut log = TrialLog::open(Some(&path), &head).unwrap();
        assert_eq!(numbers(&log), [1, 2]);
        log.append(trial(5)).unwrap();
        assert_eq!(numbers(&TrialLog::open(Some(&path), &head).unwrap()), [1, 2, 5]);
    }

    #[test]
    fn another_search_begins_anew_and_no_file_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = TrialLog::open(Some(&path), &json!(1)).unwrap();
        log.append(trial(1)).unwrap();
        assert_eq!(numbers(&TrialLog::open(Some(&path), &json!(2)).unwrap()), Vec::<usize>::new());
        std::fs::write(&path, b"\xff\xfe not ours").unwrap();
        assert_eq!(numbers(&TrialLog::open(Some(&path), &json!(1)).unwrap()), Vec::<usize>::new());
        let mut log = TrialLog::open(None, &json!(1)).unwrap();
        log.append(trial(1)).unwrap();
        assert_eq!(numbers(&log), [1]);
    }

    #[test]
    fn every_cut_of_a_log_leaves_whole_trials() {
        let head = json!({ "data": "a" });
        let lines = [head.to_string(), json!(trial(1)).to_string(), json!(trial(2)).to_string()];
        let text = lines.join("\n") + "\n";
        for length in 0..=text.len() {
            let (trials, sound) = parse(&text.as_bytes()[..length], &head);
            assert!(sound <= length && trials.iter().zip(1..).all(|(found, number)| *found == trial(number)));
        }
    }
}
