//! What is live in the answers of a small world with an obvious answer.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cinedex_domain::{Event, InteractionKind, MovieId, PreferencePolicy, RatingScale, UserId};
use cinedex_feedback::{Entry, Logged};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use crate::world::{Bench, EACH, MOVIES, World};
use crate::{
    Engine, EngineOptions, HistoryItem, LiveOptions, MovieList, NeighborList, NeighborRequest,
    NeighborStrategy, PopularRequest, Source, Strategy, UserRequest, View, Window,
};

const HOUR: i64 = 3_600_000;
const START: i64 = 1_000_000 * HOUR;

/// An engine that hears a log of which each entry comes a second after the one before.
pub(super) struct Room {
    pub(super) bench: Bench,
    pub(super) engine: Engine,
    now_ms: Arc<AtomicI64>,
    position: u64,
}

impl Room {
    pub(super) fn new(world: &World) -> Self {
        Self::refreshing(world, Duration::ZERO)
    }

    fn refreshing(world: &World, refresh: Duration) -> Self {
        let bench = Bench::new();
        bench.build(world);
        let now_ms = Arc::new(AtomicI64::new(START));
        let time = Arc::clone(&now_ms);
        let options = EngineOptions {
            live: LiveOptions { refresh, ..LiveOptions::default() },
            ..EngineOptions::default()
        };
        let clock = Arc::new(move || time.load(Ordering::Relaxed));
        let engine = Engine::with_clock(bench.root.clone(), options, clock);
        engine.follow_current().unwrap();
        Self { bench, engine, now_ms, position: 0 }
    }

    pub(super) fn hear(&mut self, entry: Entry) {
        self.position += 1;
        let received_ms = self.now_ms.fetch_add(1000, Ordering::Relaxed);
        self.engine.hear(&[Logged { position: self.position, received_ms, entry }]);
    }

    pub(super) fn says(&mut self, user: &str, movie: &str, kind: InteractionKind) {
        self.says_at(user, movie, kind, None);
    }

    pub(super) fn says_at(&mut self, user: &str, movie: &str, kind: InteractionKind, place: Option<&str>) {
        let timestamp_ms = self.now_ms.load(Ordering::Relaxed);
        self.hear(Entry::Interaction(Event {
            location: place.map(|place| place.parse().unwrap()),
            ..event(user, movie, kind, timestamp_ms)
        }));
    }

    pub(super) fn view(&self) -> View {
        self.engine.view().unwrap()
    }
}

fn event(user: &str, movie: &str, kind: InteractionKind, timestamp_ms: i64) -> Event {
    Event {
        user_id: UserId::new(user).unwrap(),
        movie_id: MovieId::new(movie).unwrap(),
        kind,
        value: None,
        timestamp_ms,
        location: None,
        event_id: None,
    }
}

fn forget(user: &str) -> Entry {
    Entry::Forgotten(UserId::new(user).unwrap())
}

pub(super) fn ids<'a>(list: &'a MovieList<'_>) -> Vec<&'a str> {
    list.items.iter().map(|item| item.movie_id).collect()
}

fn is_action(id: &str) -> bool {
    id.parse::<usize>().unwrap() <= EACH
}

pub(super) fn wants(limit: usize) -> UserRequest {
    UserRequest { limit, ..UserRequest::default() }
}

/// Ids and scores of the whole list of a user.
fn scores(view: &View, user: &str) -> Vec<(String, f32)> {
    let request = wants(100);
    let list = view.for_user(user, &request).unwrap();
    list.items.iter().map(|item| (item.movie_id.to_owned(), item.score.unwrap())).collect()
}

#[test]
fn without_anything_live_a_view_answers_as_its_snapshot() {
    let room = Room::new(&World { popularity_weight: 0.4, ..World::default() });
    let (view, snapshot) = (room.view(), room.engine.snapshot().unwrap());
    for user in ["1", "2", "3", "5", "nobody"] {
        let request = wants(100);
        assert_eq!(view.for_user(user, &request).unwrap(), snapshot.for_user(user, &request).unwrap());
        assert_eq!(view.user_generation(user), 0);
        let asked = NeighborRequest { limit: 5, ..NeighborRequest::default() };
        assert_eq!(view.neighbors(user, &asked), snapshot.neighbors(user, &asked));
        let popular = PopularRequest { user: Some(user.to_owned()), limit: 9, ..PopularRequest::default() };
        let (now, before) =
            (view.popular(&popular, Window::All).unwrap(), snapshot.popular(&popular).unwrap());
        assert_eq!((ids(&now), &now.location), (ids(&before), &before.location), "{user}");
        for (now, before) in now.items.iter().zip(&before.items) {
            assert!((now.score.unwrap() - before.score.unwrap()).abs() < 1e-6);
        }
    }
    assert_eq!(view.popularity_generation(), 0);
}

#[test]
fn a_new_user_is_folded_in_with_the_first_like() {
    let mut room = Room::new(&World::default());
    let request = wants(6);
    let view = room.view();
    assert_eq!(view.for_user("new", &request).unwrap().strategy, Some(Strategy::Popular));
    room.says("new", "14", InteractionKind::Like);
    // The same view: what is heard shows at once.
    let list = view.for_user("new", &request).unwrap();
    assert_eq!(list.strategy, Some(Strategy::FoldedIn));
    assert!(ids(&list).iter().all(|id| !is_action(id) && *id != "14"), "{:?}", ids(&list));
    assert_eq!(view.user_generation("new"), 1);
    room.says("new", "15", InteractionKind::Skip);
    assert_eq!(view.user_generation("new"), 2);
    assert!(!ids(&view.for_user("new", &wants(100)).unwrap()).contains(&"15"), "passed on is seen");
}

#[test]
fn what_happened_since_is_folded_in_with_what_the_bundle_knows() {
    for world in [World::default(), World { popularity_weight: 0.5, ..World::default() }] {
        let mut room = Room::new(&world);
        room.says("1", "12", InteractionKind::Like);
        room.says("1", "4", InteractionKind::Dislike);
        room.says("1", "5", InteractionKind::Rating);
        let like = |id: &str, kind| HistoryItem { movie_id: MovieId::new(id).unwrap(), kind, value: None };
        let liked = ["1", "2", "3", "12"].map(|id| like(id, InteractionKind::Like));
        let mut history: Vec<HistoryItem> = liked.into();
        history.insert(3, like("4", InteractionKind::Dislike));
        let view = room.view();
        let request = UserRequest { location: "US/CA/Fresno".parse().unwrap(), ..wants(100) };
        let expect = view.for_history(&history, &request).unwrap();
        let found = view.for_user("1", &request).unwrap();
        assert_eq!((ids(&found), found.strategy), (ids(&expect), expect.strategy));
        for (found, expect) in found.items.iter().zip(&expect.items) {
            assert!((found.score.unwrap() - expect.score.unwrap()).abs() < 1e-5);
        }
        // A rating without a value says nothing.
        assert!(ids(&found).contains(&"5") && !ids(&found).contains(&"12"));
    }
}

#[test]
fn an_explicit_opinion_outweighs_a_watch_and_the_latest_counts() {
    use InteractionKind::{Dislike, Like, Skip, Watch};
    let check = |kinds: &[InteractionKind], likes_action: bool| {
        let mut room = Room::new(&World::default());
        for &kind in kinds {
            room.says("new", "1", kind);
        }
        let first = scores(&room.view(), "new");
        assert_eq!(is_action(&first[0].0), likes_action, "{kinds:?}");
    };
    check(&[Like], true);
    check(&[Like, Skip], true);
    check(&[Like, Dislike, Watch], false);
    check(&[Watch, Skip], false);
    check(&[Skip, Dislike, Like], true);
}

#[test]
fn only_what_is_after_the_log_position_is_live() {
    let mut room = Room::new(&World { log_position: Some(2), ..World::default() });
    let before = scores(&room.view(), "1");
    room.says("1", "12", InteractionKind::Like);
    room.says("1", "13", InteractionKind::Like);
    assert_eq!(scores(&room.view(), "1"), before, "the bundle knows that already");
    room.says("1", "14", InteractionKind::Like);
    let now = scores(&room.view(), "1");
    assert!(now.len() == before.len() - 1 && !now.iter().any(|(id, _)| id == "14"));
    // A bundle that knows it all: nothing is live any more. Then back to the first.
    let live = room.view();
    let first = live.version().to_owned();
    room.bench.build(&World { log_position: Some(3), ..World::default() });
    room.engine.follow_current().unwrap();
    assert_eq!(scores(&room.view(), "1"), before);
    assert_eq!(scores(&room.engine.view_of(&first).unwrap(), "1"), now);
    assert_eq!(room.engine.live().status().events, 3);
    room.engine.live().release(2);
    assert_eq!((room.engine.live().status().events, scores(&live, "1")), (1, now));
    room.engine.live().release(3);
    assert_eq!((room.engine.live().status().events, room.engine.live().status().users), (0, 0));
}

#[test]
fn the_latest_live_place_is_the_users() {
    let mut room = Room::new(&World::default());
    let place = |room: &Room, user: &str| {
        let request = wants(1);
        room.view().for_user(user, &request).unwrap().location.unwrap().answered
    };
    assert_eq!(place(&room, "2"), "KR");
    room.says_at("2", "15", InteractionKind::Like, Some("us/ca/Fresno"));
    assert_eq!(place(&room, "2"), "US/CA");
    room.says("2", "16", InteractionKind::Like);
    assert_eq!(place(&room, "2"), "US/CA");
    // Somebody without a taste.
    room.says_at("new", "no such movie", InteractionKind::Like, Some("KR"));
    assert_eq!(place(&room, "new"), "KR");
}

#[test]
fn a_forgotten_user_is_nobody_and_begins_afresh() {
    let mut room = Room::new(&World { log_position: Some(1), ..World::default() });
    room.says("9", "1", InteractionKind::Like);
    room.says("5", "11", InteractionKind::Like);
    let asked = NeighborRequest { limit: 100, ..NeighborRequest::default() };
    let names = |list: &NeighborList<'_>| -> HashSet<String> {
        list.items.iter().map(|other| other.user_id.to_owned()).collect()
    };
    let before = names(&room.view().neighbors("7", &asked));
    assert!(before.contains("5") && before.contains("1"));
    for user in ["1", "5"] {
        room.hear(forget(user));
        let view = room.view();
        let (request, nobody) = (wants(100), wants(100));
        let list = view.for_user(user, &request).unwrap();
        assert_eq!(
            ids(&list),
            ids(&view.for_user("nobody", &nobody).unwrap()),
            "seen, taste and place are gone"
        );
        assert_eq!((list.strategy, list.items.len()), (Some(Strategy::Popular), MOVIES));
        assert_eq!(view.neighbors(user, &asked).strategy, NeighborStrategy::Unavailable);
        assert!(!names(&view.neighbors("7", &asked)).contains(user));
        assert!(!names(&view.neighbors("2", &asked)).contains(user));
    }
    // Pages are still the parts of the whole.
    let view = room.view();
    let whole = view.neighbors("7", &asked);
    assert_eq!((whole.items.len(), whole.more), (before.len() - 2, false));
    let mut joined = Vec::new();
    loop {
        let page = NeighborRequest { offset: joined.len(), limit: 3, first_page: 3 };
        let page = view.neighbors("7", &page);
        joined.extend(page.items.iter().copied());
        if !page.more {
            break;
        }
    }
    assert_eq!(joined, whole.items);
    room.says("1", "13", InteractionKind::Like);
    let request = wants(100);
    let list = view.for_user("1", &request).unwrap();
    assert_eq!((list.strategy, list.items.len()), (Some(Strategy::FoldedIn), MOVIES - 1));
    assert!(!is_action(ids(&list)[0]), "{:?}", ids(&list));
    let friends = view.neighbors("1", &asked);
    assert_eq!(friends.strategy, NeighborStrategy::FoldedIn);
    assert!(!names(&friends).contains("1") && !is_odd(friends.items[0].user_id));
    // A bundle made since is of somebody else of that name.
    room.bench.build(&World { log_position: Some(9), ..World::default() });
    room.engine.follow_current().unwrap();
    let view = room.view();
    assert_eq!(view.for_user("1", &request).unwrap().strategy, Some(Strategy::Personalized));
    assert!(names(&view.neighbors("7", &asked)).contains("1"));
}

fn is_odd(user: &str) -> bool {
    user.parse::<u32>().unwrap() % 2 == 1
}

#[test]
fn hearing_the_log_again_changes_nothing() {
    let mut room = Room::new(&World::default());
    let like = |position, movie: &str| Logged {
        position,
        received_ms: START,
        entry: Entry::Interaction(event("new", movie, InteractionKind::Like, START)),
    };
    let log = [like(1, "1"), like(3, "2"), like(4, "15")];
    room.engine.hear(&log);
    let (before, status) = (scores(&room.view(), "new"), room.engine.live().status());
    assert_eq!((status.position, status.users, status.events), (4, 1, 3));
    room.engine.hear(&log);
    room.engine.hear(&log[1..2]);
    assert_eq!((scores(&room.view(), "new"), room.engine.live().status()), (before, status));
    room.position = 4;
    room.says("new", "2", InteractionKind::Like);
    assert_eq!(room.engine.live().status().events, 4, "what was counted stays for when it is taken back");
    room.says("new", "2", InteractionKind::Like);
    assert_eq!(room.engine.live().status().events, 4, "what can settle nothing goes");
}

fn first_of(room: &Room, place: &str, window: Window) -> (String, u64, String) {
    let request = PopularRequest { location: place.parse().unwrap(), limit: 1, ..PopularRequest::default() };
    let view = room.view();
    let list = view.popular(&request, window).unwrap();
    let place = list.location.as_ref().unwrap();
    (place.answered.clone(), place.events, ids(&list)[0].to_owned())
}

#[test]
fn likes_make_popular_where_they_happen_and_a_user_counts_once() {
    let mut room = Room::new(&World::default());
    assert_eq!(first_of(&room, "US/CA/Fresno", Window::All).0, "US/CA");
    for user in 0..100 {
        for _ in 0..3 {
            room.says_at(&format!("new {user}"), "18", InteractionKind::Like, Some("us/ca/fresno"));
            room.says_at(&format!("new {user}"), "3", InteractionKind::Dislike, Some("us/ca/fresno"));
        }
    }
    assert_eq!(
        first_of(&room, "US/CA/Fresno", Window::All),
        ("US/CA/Fresno".into(), 105, "18".into()),
        "now the city has enough events"
    );
    assert_eq!(first_of(&room, "US/CA", Window::All), ("US/CA".into(), 700, "7".into()));
    assert_eq!(first_of(&room, "KR", Window::All), ("KR".into(), 800, "15".into()));
    assert_eq!(first_of(&room, "world", Window::All).1, 3100);
    // Exactly what the counts say: a city leans on California as on 10 events.
    let request =
        PopularRequest { location: "US/CA/Fresno".parse().unwrap(), limit: 1, ..PopularRequest::default() };
    let top = room.view().popular(&request, Window::All).unwrap().items[0].score.unwrap();
    assert!((0.85..0.95).contains(&top), "{top}");
    for user in 0..100 {
        room.hear(forget(&format!("new {user}")));
    }
    assert_eq!(first_of(&room, "US/CA/Fresno", Window::All).0, "US/CA", "what is forgotten is not counted");
    assert_eq!(first_of(&room, "world", Window::Day).1, 0);
}

#[test]
fn the_day_forgets_what_the_month_remembers() {
    let mut room = Room::new(&World::default());
    for user in 0..150 {
        room.says_at(&format!("new {user}"), "18", InteractionKind::Like, Some("KR"));
    }
    room.now_ms.fetch_add(10 * 24 * HOUR, Ordering::Relaxed);
    for user in 0..60 {
        room.says_at(&format!("new {user}"), "19", InteractionKind::Watch, Some("KR"));
    }
    let first = |window| first_of(&room, "KR", window).2;
    assert_eq!(
        [Window::Day, Window::Month, Window::All].map(first),
        ["19".to_owned(), "18".to_owned(), "15".to_owned()]
    );
    let events = |window| first_of(&room, "KR", window).1;
    assert_eq!((events(Window::Day), events(Window::All)), (60, 1010));
    // Where nothing is live the rates of all times decide.
    assert_eq!(first_of(&room, "US/CA", Window::Day), ("US/CA".into(), 0, "7".into()));
}

#[test]
fn who_is_unknown_gets_what_is_popular_now() {
    let mut room = Room::refreshing(&World::default(), Duration::from_hours(1));
    let first = |room: &Room| {
        let request = wants(1);
        ids(&room.view().for_user("nobody", &request).unwrap())[0].to_owned()
    };
    assert_eq!(first(&room), "1");
    room.says("new", "12", InteractionKind::Like);
    let generation = room.view().popularity_generation();
    assert_eq!((first(&room), generation), ("1".to_owned(), 1));
    for user in 0..600 {
        room.says(&format!("new {user}"), "12", InteractionKind::Like);
    }
    assert_eq!(
        (first(&room), room.view().popularity_generation()),
        ("1".to_owned(), 1),
        "not before its time"
    );
    room.now_ms.fetch_add(HOUR, Ordering::Relaxed);
    assert_eq!((room.view().popularity_generation(), first(&room)), (2, "12".to_owned()));
    // A clock that goes back does not make it last.
    room.says("new", "13", InteractionKind::Like);
    room.now_ms.fetch_sub(100 * HOUR, Ordering::Relaxed);
    assert_eq!(room.view().popularity_generation(), 3);
}

#[test]
fn another_bundle_knows_other_likes() {
    let mut room = Room::new(&World::default());
    for user in 0..10 {
        room.says(&format!("new {user}"), "12", InteractionKind::Like);
    }
    assert_eq!(first_of(&room, "world", Window::All).1, 3010);
    room.bench.build(&World { log_position: Some(6), ..World::default() });
    room.engine.follow_current().unwrap();
    assert_eq!(first_of(&room, "world", Window::All).1, 3004);
    room.hear(forget("new 1"));
    room.hear(forget("new 8"));
    assert_eq!(first_of(&room, "world", Window::All).1, 3003);
}

#[test]
fn what_rises_trends_and_says_on_how_many_likes() {
    let mut room = Room::new(&World::default());
    for user in 0..60 {
        let user = format!("new {user}");
        room.says_at(
            &user,
            if user.ends_with('7') { "2" } else { "17" },
            InteractionKind::Watch,
            Some("KR/11/Seoul"),
        );
    }
    let request = PopularRequest {
        location: "KR/11/Seoul".parse().unwrap(),
        user: Some("new 7".into()),
        limit: 5,
        ..PopularRequest::default()
    };
    let view = room.view();
    let list = view.trending(&request).unwrap();
    assert_eq!((ids(&list), list.more), (vec!["17"], false));
    let place = list.location.clone().unwrap();
    assert_eq!((place.answered.as_str(), place.events), ("KR/11/Seoul", 60));
    let item = &list.items[0];
    assert!(item.source == Some(Source::Trending) && item.score.unwrap() > 3.0, "{item:?}");
    let seen = PopularRequest { user: Some("new 8".into()), ..request };
    assert!(view.trending(&seen).unwrap().items.is_empty());
}

#[derive(Debug, Clone)]
struct Word {
    movie: u32,
    kind: InteractionKind,
    value: f32,
    time: i64,
}

fn words() -> impl proptest::strategy::Strategy<Value = Vec<Word>> {
    let word = (0u32..4, 0usize..6, 1u8..=10, 0i64..6).prop_map(|(movie, kind, value, time)| Word {
        movie,
        kind: InteractionKind::ALL[kind],
        value: f32::from(value) / 2.0,
        time,
    });
    prop::collection::vec(word, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn opinions_settle_as_in_training_whatever_the_bundle_knows(words in words(), log_position in 0u64..20) {
        let room = Room::new(&World { log_position: Some(log_position), ..World::default() });
        let log: Vec<Logged> = (1..).zip(&words).map(|(position, word)| {
            let value = (word.kind == InteractionKind::Rating).then_some(word.value);
            let event = Event { value, ..event("new", &word.movie.to_string(), word.kind, word.time) };
            Logged { position, received_ms: START, entry: Entry::Interaction(event) }
        }).collect();
        for entry in &log {
            room.engine.hear(std::slice::from_ref(entry));
        }
        let mut settled: BTreeMap<u32, ((bool, i64, usize), f32)> = BTreeMap::new();
        for (at, word) in words.iter().enumerate().skip(log_position as usize).filter(|(_, word)| word.movie > 0) {
            let explicit = !matches!(word.kind, InteractionKind::Watch | InteractionKind::Skip);
            let value = Some(word.value);
            let policy = PreferencePolicy::default();
            let preference = policy.preference(word.kind, value, RatingScale::FIVE_STARS).unwrap();
            let rank = (explicit, word.time, at);
            let known = settled.entry(word.movie).or_insert((rank, preference));
            if rank >= known.0 {
                *known = (rank, preference);
            }
        }
        let view = room.view();
        let story = view.story("new");
        let expect: Vec<(u32, f32)> = settled.iter().map(|(movie, (_, preference))| (movie - 1, *preference)).collect();
        let found: Vec<(u32, f32)> = story.history.iter().map(|(movie, preference)| (movie.0, *preference)).collect();
        prop_assert_eq!(story.seen.len(), found.len());
        prop_assert_eq!(found, expect);
    }
}
