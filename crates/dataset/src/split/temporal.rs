//! Temporal splits: what happened last is to be found.

use cinedex_domain::PreferencePolicy;

use super::{
    Catalogue, Event, HeldOutUser, Signals, Split, TrainingSet, called, check_share, opinions, refuse,
};
use crate::{Dataset, DatasetError, Interactions};

/// How much is held out.
#[derive(Debug, Clone, PartialEq)]
pub struct TemporalOptions {
    /// Share of interactions, of all or of each user, that is the test.
    pub test_share: f64,
    /// Share of what happened before the test that is the validation, and left out of training; with 0 there is none, and
    /// training ends where the test begins.
    pub validation_share: f64,
    /// Per user: users with fewer positives are not judged on.
    pub minimum_positives: usize,
    /// What the split is made of.
    pub signals: Signals,
}

impl Default for TemporalOptions {
    fn default() -> Self {
        Self { test_share: 0.1, validation_share: 0.0, minimum_positives: 5, signals: Signals::Positives }
    }
}

/// The last share of all interactions by time is the test, for users and movies that occur before; ties go by the order of
/// users, then as in the file. An interaction without a time is older than all and never held out. Refuses a data set
/// without times.
pub fn split_temporal_global(
    dataset: &Dataset,
    policy: &PreferencePolicy,
    options: &TemporalOptions,
) -> Result<Split, DatasetError> {
    split(dataset, policy, options, &last_of_all)
}

/// The last share of each user's positives by time, at least one, is the test, for users with enough of them; what those users
/// did later than the first of these is left out of training. Refuses a data set without times.
pub fn split_temporal_per_user(
    dataset: &Dataset,
    policy: &PreferencePolicy,
    options: &TemporalOptions,
) -> Result<Split, DatasetError> {
    split(dataset, policy, options, &|events, share| last_of_each(events, share, options.minimum_positives))
}

/// Holds out the last share of a training set by time as its validation part, for users and movies that occur before; ties go
/// by the order of events. `name` is what messages call the set. Preferences must not be weakened by age yet
/// ([`Split::aged`] does it after).
pub fn hold_out_last(training: &TrainingSet, share: f64, name: &str) -> Result<Split, DatasetError> {
    check_share("the share of the validation", share)?;
    check_times(&training.events, name)?;
    let last = last_of_all(&training.events, share);
    let split = divide(training, |event| if last[event] { Part::Validation } else { Part::Training });
    check_judged(&split.validation, name)?;
    Ok(split)
}

/// Where an event goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Training,
    Validation,
    Test,
    Nowhere,
}

/// For each event, which are ordered by user and then time, whether it is in the last share.
type Last<'a> = &'a dyn Fn(&[Event], f64) -> Vec<bool>;

fn split(
    dataset: &Dataset,
    policy: &PreferencePolicy,
    options: &TemporalOptions,
    last: Last<'_>,
) -> Result<Split, DatasetError> {
    check_share("the share of the test", options.test_share)?;
    if options.validation_share != 0.0 {
        check_share("the share of the validation", options.validation_share)?;
    }
    let name = called(dataset);
    // Cut by all that happened, so that the parts are the same whatever they are made of.
    let events = opinions(dataset, policy, Signals::All).into_iter().flatten().collect();
    let movie_ids = dataset.movies.iter().map(|movie| &movie.movie_id);
    let user_ids = dataset.users.iter().map(|user| &user.user_id);
    let (_, whole) = Catalogue::training(movie_ids, user_ids, events);
    check_times(&whole.events, &name)?;
    let mut parts: Vec<Part> = last(&whole.events, options.test_share)
        .into_iter()
        .map(|last| if last { Part::Test } else { Part::Training })
        .collect();
    if options.validation_share > 0.0 {
        let (rest, rows): (Vec<Event>, Vec<usize>) =
            (whole.events.iter().copied().zip(0..)).filter(|&(_, row)| parts[row] == Part::Training).unzip();
        for (row, last) in rows.into_iter().zip(last(&rest, options.validation_share)) {
            if last {
                parts[row] = Part::Validation;
            }
        }
    }
    let mut whole = whole;
    if options.signals == Signals::Positives {
        for (event, part) in whole.events.iter_mut().zip(&mut parts) {
            if event.is_positive() {
                event.preference = 1.0;
            } else {
                *part = Part::Nowhere;
            }
        }
    }
    let split = divide(&whole, |event| parts[event]);
    check_judged(&split.test, &name)?;
    if options.validation_share > 0.0 {
        check_judged(&split.validation, &name)?;
    }
    Ok(split.aged(policy.half_life_days))
}

fn last_of_all(events: &[Event], share: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by_key(|&event| events[event].timestamp_ms);
    let cut = (events.len() as f64 * (1.0 - share)) as usize;
    let mut last = vec![false; events.len()];
    for &event in &order[cut..] {
        last[event] = has_time(&events[event]);
    }
    last
}

fn last_of_each(events: &[Event], share: f64, minimum_positives: usize) -> Vec<bool> {
    let mut last = Vec::with_capacity(events.len());
    for events in events.chunk_by(|left, right| left.user == right.user) {
        let positives: Vec<usize> = (0..events.len()).filter(|&at| events[at].is_positive()).collect();
        let cut = if positives.len() < minimum_positives.max(2) {
            events.len()
        } else {
            let held_out = ((positives.len() as f64 * share) as usize).max(1);
            positives[positives.len() - held_out]
        };
        last.extend(events.iter().enumerate().map(|(at, event)| at >= cut && has_time(event)));
    }
    last
}

/// Divides a set by where its events go.
fn divide(set: &TrainingSet, part: impl Fn(usize) -> Part) -> Split {
    let of = |wanted: Part| -> Vec<Event> {
        let events = set.events.iter().zip(0..).filter(|&(_, event)| part(event) == wanted);
        events.map(|(event, _)| *event).collect()
    };
    let (catalogue, training) =
        Catalogue::training(set.movie_ids.iter(), set.user_ids.iter(), of(Part::Training));
    let histories = training.histories();
    let judged = |wanted: Part| -> Vec<HeldOutUser> {
        let mut later = of(wanted);
        later.sort_by_key(|event| event.user);
        let users = later.chunk_by(|left, right| left.user == right.user);
        let judged = users.filter_map(|events| {
            let user = catalogue.user(&events[0])?;
            let targets = catalogue.targets(events.iter());
            let (user_id, history) = (&training.user_ids[user.row()], &histories[user.row()]);
            (!targets.is_empty()).then(|| HeldOutUser {
                user_id: user_id.clone(),
                user: Some(user),
                history: history.clone(),
                targets,
            })
        });
        judged.collect()
    };
    Split { validation: judged(Part::Validation), test: judged(Part::Test), training }
}

fn check_judged(users: &[HeldOutUser], name: &str) -> Result<(), DatasetError> {
    if users.is_empty() {
        return Err(refuse(name, "no user of the last part occurs before it with a movie that does"));
    }
    Ok(())
}

fn has_time(event: &Event) -> bool {
    event.timestamp_ms != Interactions::NO_TIME
}

/// Refuses events without any time, of which none is last.
fn check_times(events: &[Event], name: &str) -> Result<(), DatasetError> {
    if events.iter().any(has_time) { Ok(()) } else { Err(refuse(name, "its interactions have no times")) }
}
