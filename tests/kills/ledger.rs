//! What one client was told is done, and the call that it has no answer to yet: what the server must know after a kill is one of
//! two states. It knows nothing of how the server keeps it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use ureq::Agent;

use crate::support::client::agent;
use crate::support::served::Served;

/// Users and films change after this many kills, so that reading them back after each stays cheap.
const KILLS_OF_A_NAME: u64 = 10;
/// Begin of the times of events, seconds since 1970.
const BEGIN_SECONDS: u64 = 1_600_000_000;

/// One call that changes something.
#[derive(Debug, Clone)]
enum Call {
    /// Events as (user, name); under a key for the whole call where there is one, each under its own name otherwise.
    Post {
        events: Vec<(String, String)>,
        key: Option<String>,
    },
    Forget {
        user: String,
    },
    Put {
        film: String,
        title: String,
    },
    Withdraw {
        film: String,
    },
}

/// What the server knows.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    /// Names of events by user, in the order in which they were sent.
    histories: BTreeMap<String, Vec<String>>,
    /// Titles by film; `None` is withdrawn.
    films: BTreeMap<String, Option<String>>,
}

/// What one client did and was told.
pub(crate) struct Ledger {
    client: u64,
    known: Known,
    pending: Option<Call>,
    /// Calls that were acknowledged.
    pub(crate) calls: u64,
    /// Events that were acknowledged, those that were forgotten later included.
    pub(crate) events: u64,
    pub(crate) forgotten: u64,
    /// Pending calls that turned out to be done, and not done.
    pub(crate) pending_done: u64,
    pub(crate) pending_lost: u64,
}

impl Ledger {
    pub(crate) fn new(client: u64) -> Self {
        let (known, pending) = (Known::default(), None);
        Self { client, known, pending, calls: 0, events: 0, forgotten: 0, pending_done: 0, pending_lost: 0 }
    }

    /// Changes things one call after the other until the server is gone.
    pub(crate) fn write_until_killed(&mut self, address: SocketAddr, round: u64, seed: u64) {
        let agent = agent();
        let mut random = StdRng::seed_from_u64(seed ^ (round << 8) ^ self.client);
        for step in 0_u64.. {
            let call = self.next_call(round, step, &mut random);
            self.pending = Some(call.clone());
            let Some((status, answer)) = perform(&agent, address, &call) else { return };
            assert_eq!(status, 200, "{call:?}: {answer}");
            self.acknowledge(&call, &answer);
        }
    }

    fn next_call(&self, round: u64, step: u64, random: &mut StdRng) -> Call {
        let Self { client, known, .. } = self;
        let turn = round / KILLS_OF_A_NAME;
        let [own, gone, keyed] = ["own", "gone", "keyed"].map(|kind| format!("{kind}-{client}-{turn}"));
        let film = format!("film-{client}-{turn}");
        let events = |users: [&String; 2], count: u64| {
            let event =
                |index| (users[index as usize % 2].clone(), format!("{round}.{client}.{step}.{index}"));
            (0..count).map(event).collect::<Vec<_>>()
        };
        match random.random_range(0..12) {
            0..=3 => Call::Post { events: events([&own, &own], 1), key: None },
            4..=6 => Call::Post { events: events([&own, &gone], random.random_range(2..=12)), key: None },
            7 => {
                // Something new, and something that was acknowledged.
                let mut sent = events([&own, &own], 2);
                sent.extend(known.histories.get(&own).and_then(|names| {
                    let name = names.get(random.random_range(0..names.len().max(1)))?;
                    Some((own.clone(), name.clone()))
                }));
                Call::Post { events: sent, key: None }
            }
            8..=9 => {
                let second = BEGIN_SECONDS + round * 100_000 + step * 20;
                let count = random.random_range(1..=5);
                let events = (0..count).map(|index| (keyed.clone(), (second + index).to_string())).collect();
                Call::Post { events, key: Some(format!("{round}.{client}.{step}")) }
            }
            10 => Call::Forget { user: gone },
            _ if matches!(known.films.get(&film), Some(Some(_))) && random.random_bool(0.3) => {
                Call::Withdraw { film }
            }
            _ => Call::Put { film, title: format!("Title {round} {step}") },
        }
    }

    fn acknowledge(&mut self, call: &Call, answer: &Value) {
        let before = self.known.count();
        self.known.apply(call);
        self.pending = None;
        self.calls += 1;
        match call {
            Call::Post { events, .. } => {
                let new = self.known.count() - before;
                self.events += new as u64;
                assert_eq!(*answer, json!({"accepted": new, "duplicates": events.len() - new}), "{call:?}");
            }
            Call::Forget { .. } => {
                let removed = (before - self.known.count()) as u64;
                assert_eq!(answer["removed"]["interactions"], removed, "{call:?}: {answer}");
                self.forgotten += removed;
            }
            Call::Put { .. } | Call::Withdraw { .. } => {}
        }
    }

    /// Holds what the server tells of the names of this round against what was acknowledged, and sends again what was not: it counts
    /// once, whether it had been done or not.
    pub(crate) fn check(&mut self, served: &Served, round: u64, what: &str) {
        let turn = format!("-{}", round / KILLS_OF_A_NAME);
        let mut done = self.known.clone();
        if let Some(call) = &self.pending {
            done.apply(call);
        }
        let (told, expected) = (read(served, &done, &turn), self.known.of_turn(&turn, &done));
        let done = done.of_turn(&turn, &done);
        let client = self.client;
        let Some(call) = self.pending.take() else {
            return assert_eq!(told, expected, "{what}, client {client}");
        };
        assert!(
            told == expected || told == done,
            "{what}, client {client}, pending {call:?}:\n{}",
            told.difference(&expected)
        );
        let was_done = told == done && done != expected;
        self.pending_done += u64::from(was_done);
        self.pending_lost += u64::from(told != done);
        let answer = perform(&agent(), served.address, &call);
        let (status, answer) = answer.expect("nobody kills it now");
        let withdrawn = was_done && matches!(call, Call::Withdraw { .. });
        assert_eq!(status, if withdrawn { 404 } else { 200 }, "{what}, {call:?}: {answer}");
        if let Call::Post { events, key } = &call {
            let sum = answer["accepted"].as_u64().unwrap() + answer["duplicates"].as_u64().unwrap();
            assert_eq!(sum, events.len() as u64, "{what}, {call:?}: {answer}");
            let again = was_done && key.is_none();
            assert!(!again || answer["accepted"] == 0, "{what}, {call:?}: {answer}");
        }
        let before = self.known.count();
        self.known.apply(&call);
        self.events += self.known.count().saturating_sub(before) as u64;
        self.forgotten += before.saturating_sub(self.known.count()) as u64;
        assert_eq!(read(served, &done, &turn), done, "{what}, client {client}, {call:?} sent again");
    }

    /// Reads everything back, of all rounds.
    pub(crate) fn check_all(&self, served: &Served, what: &str) -> usize {
        assert!(self.pending.is_none());
        let told = read(served, &self.known, "");
        assert!(told == self.known, "{what}, client {}:\n{}", self.client, told.difference(&self.known));
        told.count()
    }
}

impl Known {
    fn apply(&mut self, call: &Call) {
        match call {
            Call::Post { events, .. } => {
                for (user, name) in events {
                    let names = self.histories.entry(user.clone()).or_default();
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
            }
            Call::Forget { user } => {
                self.histories.insert(user.clone(), Vec::new());
            }
            Call::Put { film, title } => {
                self.films.insert(film.clone(), Some(title.clone()));
            }
            Call::Withdraw { film } => {
                self.films.insert(film.clone(), None);
            }
        }
    }

    fn count(&self) -> usize {
        self.histories.values().map(Vec::len).sum()
    }

    /// What is known of the names that end with `turn` in `names`.
    fn of_turn(&self, turn: &str, names: &Self) -> Self {
        let histories = names.histories.keys().filter(|user| user.ends_with(turn));
        let films = names.films.keys().filter(|film| film.ends_with(turn));
        Self {
            histories: histories
                .map(|user| (user.clone(), self.histories.get(user).cloned().unwrap_or_default()))
                .collect(),
            films: films.map(|film| (film.clone(), self.films.get(film).cloned().flatten())).collect(),
        }
    }

    /// What differs, for a message.
    fn difference(&self, expected: &Self) -> String {
        let mut text = String::new();
        for (user, names) in &self.histories {
            let known = expected.histories.get(user).cloned().unwrap_or_default();
            let missing: Vec<_> = known.iter().filter(|name| !names.contains(name)).collect();
            let more: Vec<_> = names.iter().filter(|name| !known.contains(name)).collect();
            if *names != known {
                text += &format!(
                    "{user}: {} told of {}, missing {missing:?}, more {more:?}\n",
                    names.len(),
                    known.len()
                );
            }
        }
        text + &format!("films {:?}, expected {:?}", self.films, expected.films)
    }
}

/// What the server tells of the names that end with `turn` in `names`.
fn read(served: &Served, names: &Known, turn: &str) -> Known {
    let mut told = Known::default();
    for user in names.histories.keys().filter(|user| user.ends_with(turn)) {
        let pages = served.pages(&format!("/v1/users/{user}/history?limit=50"));
        let items = pages.iter().flat_map(|page| page["items"].as_array().unwrap());
        let mut history: Vec<String> = items.map(name_of).collect();
        history.reverse();
        told.histories.insert(user.clone(), history);
    }
    for film in names.films.keys().filter(|film| film.ends_with(turn)) {
        let answer = served.get(&format!("/v1/movies/{film}"));
        let title = match answer.status {
            404 => None,
            _ => Some(answer.done()["title"].as_str().unwrap().to_owned()),
        };
        told.films.insert(film.clone(), title);
    }
    told
}

/// The name under which an event was sent: its own, or the second that stands for it.
fn name_of(item: &Value) -> String {
    let second = || {
        let time: jiff::Timestamp = item["timestamp"].as_str().unwrap().parse().unwrap();
        time.as_second().to_string()
    };
    item["event_id"].as_str().map_or_else(second, str::to_owned)
}

/// Sends a call; `None` where the server was gone before the whole answer was here.
fn perform(agent: &Agent, address: SocketAddr, call: &Call) -> Option<(u16, Value)> {
    match call {
        Call::Post { events, key } => {
            let events: Vec<Value> =
                events.iter().map(|(user, name)| event(user, name, key.is_some())).collect();
            let header = key.as_ref().map(|key| ("idempotency-key", key.as_str()));
            send(agent, address, "POST", "/v1/interactions", header, Some(&json!({ "interactions": events })))
        }
        Call::Forget { user } => send(agent, address, "DELETE", &format!("/v1/users/{user}"), None, None),
        Call::Put { film, title } => {
            let facts = json!({"title": title, "year": 2001, "genres": ["Western"]});
            send(agent, address, "PUT", &format!("/v1/movies/{film}"), None, Some(&facts))
        }
        Call::Withdraw { film } => send(agent, address, "DELETE", &format!("/v1/movies/{film}"), None, None),
    }
}

fn event(user: &str, name: &str, keyed: bool) -> Value {
    let mut event = json!({"user_id": user, "movie_id": (1 + name.len() % 42).to_string(), "kind": "watch"});
    if keyed {
        event["timestamp"] = (name.parse::<u64>().unwrap() * 1000).into();
    } else {
        event["event_id"] = name.into();
    }
    event
}

/// A request that may be cut off by a kill: `None` then, its status and document otherwise.
pub(crate) fn send(
    agent: &Agent,
    address: SocketAddr,
    method: &str,
    target: &str,
    header: Option<(&str, &str)>,
    body: Option<&Value>,
) -> Option<(u16, Value)> {
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{address}{target}"));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let response = match body {
        None => agent.run(request.body(()).unwrap()),
        Some(body) => {
            agent.run(request.header("content-type", "application/json").body(body.to_string()).unwrap())
        }
    };
    let mut response = response.ok()?;
    let text = response.body_mut().read_to_string().ok()?;
    Some((response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
