//! Trends in the demo world: its cities go on liking what they like, a film that nobody knows becomes a hit in one of them, and it
//! trends there within minutes and nowhere else. The clock is simulated.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test binary has no public surface and fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cinedex_dataset::demo::{DemoParameters, import_demo};
use cinedex_dataset::{DataRoot, ImportOptions};
use cinedex_domain::{Event, InteractionKind, Location, MovieId, MovieIndex, UserId, silent};
use cinedex_feedback::{Entry, Logged};
use cinedex_index::{IndexRoot, PlaceIndex};
use cinedex_model::IalsParameters;
use cinedex_pipeline::{BuildRequest, TrainRequest, build_and_publish, train};
use cinedex_recommender::{Engine, EngineOptions, LiveOptions, PopularRequest, Window};
use tempfile::TempDir;

const MINUTE: i64 = 60_000;
/// Where a film becomes a hit.
const CITY: &str = "KR/26/Busan";

/// The demo world, smaller, and its people's likes as they arrive.
struct Demo {
    engine: Engine,
    now_ms: Arc<AtomicI64>,
    position: u64,
    users: u64,
    dice: u64,
    cities: Vec<City>,
    _folder: TempDir,
}

struct City {
    location: Location,
    place: PlaceIndex,
    /// Of all cities' events up to and with this one's, the share.
    up_to: f64,
}

impl Demo {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = DataRoot::new(folder.path().join("data"));
        let parameters = DemoParameters { users: 1500, interactions: 60_000, seed: 1 };
        import_demo(&data, "demo", &ImportOptions::default(), &parameters, &silent).unwrap();
        let learn = IalsParameters { dimension: 8, epochs: 2, ..IalsParameters::default() };
        let request =
            TrainRequest { dataset: "demo".to_owned(), parameters: learn, ..TrainRequest::default() };
        train(&data, &request, &silent, &false.into()).unwrap();
        let indexes = IndexRoot::new(folder.path().join("indexes"));
        let request = BuildRequest { dataset: "demo".to_owned(), ..BuildRequest::default() };
        build_and_publish(&data, &indexes, &request, &silent, &false.into()).unwrap();
        let now_ms = Arc::new(AtomicI64::new(1_783_000_000_000));
        let time = Arc::clone(&now_ms);
        let live = LiveOptions { refresh: Duration::ZERO, ..LiveOptions::default() };
        let options = EngineOptions { live, ..EngineOptions::default() };
        let engine = Engine::with_clock(indexes, options, Arc::new(move || time.load(Ordering::Relaxed)));
        engine.follow_current().unwrap();
        let snapshot = engine.snapshot().unwrap();
        let popularity = snapshot.bundle().popularity();
        let cities =
            popularity.places().filter(|place| place.location.is_some_and(|location| location.level() == 3));
        let cities: Vec<_> =
            cities.map(|city| (city.location.unwrap().clone(), city.place, city.events)).collect();
        let all: u64 = cities.iter().map(|(_, _, events)| events).sum();
        let mut sum = 0;
        let cities = cities.into_iter().map(|(location, place, events)| {
            sum += events;
            City { location, place, up_to: sum as f64 / all as f64 }
        });
        let cities = cities.collect();
        Self { engine, now_ms, position: 0, users: 0, dice: 7, cities, _folder: folder }
    }

    /// From 0 to 1.
    fn chance(&mut self) -> f64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Somebody new likes a film.
    fn like(&mut self, location: Location, movie_id: MovieId) {
        self.position += 1;
        self.users += 1;
        let now = self.now_ms.load(Ordering::Relaxed);
        let event = Event {
            user_id: UserId::new(&format!("visitor {}", self.users)).unwrap(),
            movie_id,
            kind: InteractionKind::Like,
            value: None,
            timestamp_ms: now,
            location: Some(location),
            event_id: None,
        };
        let entry = Entry::Interaction(event);
        self.engine.hear(&[Logged { position: self.position, received_ms: now, entry }]);
    }

    /// A minute of everyday life: cities like as many films as they used to, and the films that they used to.
    fn minute(&mut self, likes: usize) {
        let snapshot = self.engine.snapshot().unwrap();
        for _ in 0..likes {
            let (whose, what) = (self.chance(), self.chance());
            let at = self.cities.iter().position(|city| whose < city.up_to).unwrap_or(0);
            let (location, place) = (self.cities[at].location.clone(), self.cities[at].place);
            let rates = snapshot.bundle().popularity().rates(place);
            let mut sum = 0.0;
            let film = rates.iter().position(|rate| {
                sum += f64::from(*rate);
                what < sum
            });
            let movie = snapshot.bundle().movie(MovieIndex(film.unwrap_or(0) as u32));
            self.like(location, MovieId::new(movie.movie_id()).unwrap());
        }
        self.now_ms.fetch_add(MINUTE, Ordering::Relaxed);
    }

    /// Titles, best first, and the place that answered.
    fn trending(&self, place: &str) -> (Vec<String>, String) {
        let request =
            PopularRequest { location: place.parse().unwrap(), limit: 100, ..PopularRequest::default() };
        let view = self.engine.view().unwrap();
        let list = view.trending(&request).unwrap();
        let ids = list.items.iter().map(|item| item.movie_id.to_owned()).collect();
        (ids, list.location.unwrap().answered)
    }

    /// A film that its city hardly knows.
    fn obscure(&self) -> MovieId {
        let snapshot = self.engine.snapshot().unwrap();
        let rates = snapshot.bundle().popularity().rates(PlaceIndex::WORLD);
        let mut order: Vec<u32> = (0..rates.len() as u32).collect();
        order.sort_by(|a, b| rates[*a as usize].total_cmp(&rates[*b as usize]).then(a.cmp(b)));
        let movie = snapshot.bundle().movie(MovieIndex(order[order.len() / 4]));
        MovieId::new(movie.movie_id()).unwrap()
    }
}

#[test]
fn a_local_hit_trends_in_its_city_within_minutes_and_nowhere_else() {
    let mut demo = Demo::new();
    for _ in 0..6 * 60 {
        demo.minute(20);
    }
    let snapshot = demo.engine.snapshot().unwrap();
    let names: Vec<String> = snapshot
        .bundle()
        .popularity()
        .places()
        .map(|place| place.location.map_or("world".to_owned(), Location::to_string))
        .collect();
    let rising: usize = names.iter().map(|name| demo.trending(name).0.len()).sum();
    assert_eq!(rising, 0, "everyday life is no trend in any of {} places", names.len());
    let hit = demo.obscure();
    // Three curious people in a village prove nothing.
    for _ in 0..3 {
        demo.like("KR/26/Village".parse().unwrap(), hit.clone());
    }
    for name in names.iter().map(String::as_str).chain(["KR/26/Village"]) {
        assert!(demo.trending(name).0.is_empty(), "{name}");
    }
    let mut minutes = 0;
    while demo.trending(CITY).0.is_empty() {
        assert!(minutes < 10, "{CITY} does not notice");
        minutes += 1;
        (0..4).for_each(|_| demo.like(CITY.parse().unwrap(), hit.clone()));
        demo.minute(20);
    }
    println!("four people a minute: a trend after {minutes} minutes");
    for _ in 0..20 {
        (0..4).for_each(|_| demo.like(CITY.parse().unwrap(), hit.clone()));
        demo.minute(20);
        for name in &names {
            let (rising, answered) = demo.trending(name);
            // The region has no other city.
            let expect: &[&str] = if name == CITY || name == "KR/26" { &[hit.as_str()] } else { &[] };
            assert_eq!(rising, expect, "{name}, answered by {answered}");
        }
    }
    let popular = PopularRequest { location: CITY.parse().unwrap(), limit: 1, ..PopularRequest::default() };
    let view = demo.engine.view().unwrap();
    assert_eq!(view.popular(&popular, Window::Day).unwrap().items[0].movie_id, hit.as_str());
    // A day of everyday life later it is over.
    for _ in 0..24 * 60 {
        demo.minute(20);
    }
    assert!(demo.trending(CITY).0.is_empty());
}
