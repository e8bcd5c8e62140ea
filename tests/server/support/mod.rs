//! A small served world and a client that sends exactly the bytes it is told to.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary takes what it needs")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cinedex_domain::{
    BlendSettings, FoldInSettings, Location, Metric, ModelSettings, Movie, MovieId, PreferencePolicy,
    RatingScale, UserId, silent,
};
use cinedex_feedback::{Log, LogOptions};
use cinedex_index::{
    BuildOptions, BundleInput, Histories, IndexRoot, Place, PlacePopularity, Provenance, SpreadInput, build,
};
use cinedex_model::TasteMoments;
use cinedex_recommender::{Engine, EngineOptions};
use cinedex_server::{Operations, Parts, RunningServer, ServerOptions, start};
use cinedex_vectors::{Csr, Matrix};
use serde_json::Value;
use tempfile::TempDir;

/// Movies with decimal ids; the even ones are dramas, the odd ones comedies.
pub const DECIMAL: usize = 57;
/// Further ids, in canonical order.
pub const STRANGE: [&str; 3] = ["..", "a/b", "七"];
pub const MOVIES: usize = DECIMAL + STRANGE.len();
pub const USERS: usize = 30;

pub struct World {
    pub server: RunningServer,
    pub root: IndexRoot,
    pub directory: TempDir,
}

pub fn options() -> ServerOptions {
    ServerOptions {
        bind: "127.0.0.1:0".parse().unwrap(),
        workers: 2,
        compute_threads: 2,
        keys_file: "".into(),
        audit_file: "".into(),
        drain_seconds: 0,
        ..ServerOptions::default()
    }
}

/// A server with an index.
pub fn world() -> World {
    world_with(&options(), EngineOptions::default())
}

pub fn world_with(options: &ServerOptions, engine_options: EngineOptions) -> World {
    operated_world(options, engine_options, |_| None)
}

/// A server with an index, and with operations that are made from where its indexes are.
pub fn operated_world(
    options: &ServerOptions,
    engine_options: EngineOptions,
    operations: impl FnOnce(&IndexRoot) -> Option<Arc<dyn Operations>>,
) -> World {
    let directory = tempfile::tempdir().unwrap();
    let root = IndexRoot::new(directory.path());
    publish(&root, 0.5, true);
    let engine = Arc::new(Engine::open(root.clone(), engine_options).unwrap());
    let log = log(&directory.path().join("feedback"), &engine);
    let parts = Parts { operations: operations(&root), log: Some(log), engine };
    World { server: start(parts, options).unwrap(), root, directory }
}

/// A log that the engine hears.
fn log(folder: &Path, engine: &Arc<Engine>) -> Arc<Log> {
    let hearing = Arc::clone(engine);
    Arc::new(Log::open(folder, &LogOptions::default(), move |logged| hearing.hear(logged)).unwrap().log)
}

/// A server that has no index yet.
pub fn empty_world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let root = IndexRoot::new(directory.path());
    let engine = Engine::new(root.clone(), EngineOptions::default());
    World { server: start(Arc::new(engine), &options()).unwrap(), root, directory }
}

/// Builds a bundle and makes it live.
pub fn publish(root: &IndexRoot, popularity_weight: f32, fold_in: bool) -> String {
    let movies = movies();
    let mut factors = Matrix::zeros(MOVIES, 4);
    for movie in 0..MOVIES {
        let row = factors.row_mut(movie);
        row[movie % 2] = 1.0 - movie as f32 * 0.005;
        row[2] = (movie as f32 * 0.7).sin() * 0.2;
        row[3] = (movie as f32 * 1.3).cos() * 0.2;
    }
    let users = users();
    let mut offsets = vec![2; users.len() + 1];
    (offsets[0], offsets[users.len()]) = (0, 3);
    let histories = Histories {
        offsets,
        movies: vec![0, 2, 1],
        preferences: vec![1.0, 1.0, 1.0],
        timestamps_ms: vec![1, 2, 3],
    };
    let mut locations = vec![None; users.len()];
    locations[0] = Some("KR".parse().unwrap());
    let fold_in = fold_in.then_some(FoldInSettings {
        regularization: 0.01,
        unobserved_weight: 0.1,
        frequency_exponent: 1.0,
        negative_target: 0.0,
        negative_weight: 1.0,
    });
    let settings = ModelSettings {
        algorithm: "test".into(),
        dimension: 4,
        metric: Metric::InnerProduct,
        fold_in,
        blend: BlendSettings { popularity_weight, half_life_interactions: 5.0, ..BlendSettings::NONE },
        preference: PreferencePolicy::default(),
        rating_scale: RatingScale::FIVE_STARS,
    };
    let gramian = cinedex_model::gramian(factors.view());
    let mut user_factors = Matrix::zeros(users.len(), 4);
    for user in 0..users.len() {
        let row = user_factors.row_mut(user);
        row[usize::from(user % 2 == 1)] = 0.9;
        (row[2], row[3]) = (0.1, 0.1 + user as f32 * 0.01);
    }
    let moments = TasteMoments::of(factors.view(), Metric::InnerProduct);
    let input = BundleInput {
        movies: &movies,
        movie_factors: factors.view(),
        users: &users,
        locations: &locations,
        user_factors: Some(user_factors.view()),
        histories: &histories,
        popularity: &popularity(),
        settings: &settings,
        gramian: gramian.view(),
        spread: SpreadInput { movies: moments.movies, mean: &moments.mean, unit_gramian: None },
        recent_counts: &[0.0; MOVIES],
        provenance: &Provenance::default(),
    };
    let options = BuildOptions { threads: 1, recall_queries: 10, ..BuildOptions::default() };
    let report = build(root, &input, &options, &silent, &AtomicBool::new(false)).unwrap();
    root.activate(&report.version).unwrap();
    report.version.as_str().to_owned()
}

/// User 42 and the last, who have a history, and those between, who have an embedding alone. Every other has the same taste.
fn users() -> Vec<UserId> {
    let decimal = (42..42 + USERS - 1).map(|number| number.to_string());
    decimal.chain(["a/b".to_owned()]).map(|id| UserId::new(&id).unwrap()).collect()
}

fn movies() -> Vec<Movie> {
    let decimal = (1..=DECIMAL).map(|number| (number.to_string(), format!("Film {number}")));
    let strange = STRANGE.iter().map(|id| ((*id).to_owned(), "Amélie and the Seven".to_owned()));
    decimal
        .chain(strange)
        .enumerate()
        .map(|(index, (id, title))| {
            let mut movie = Movie::new(MovieId::new(&id).unwrap(), title);
            movie.genres = vec![if index % 2 == 0 { "Drama" } else { "Comedy" }.to_owned()];
            movie.year = Some(1950 + index as u16);
            movie
        })
        .collect()
}

fn popularity() -> PlacePopularity {
    let korea: Location = "KR".parse().unwrap();
    let world = (0..MOVIES as u32).map(|movie| (0, movie, (MOVIES as u32 - movie) as f32));
    let local = (0..MOVIES as u32).map(|movie| (1, movie, if movie == 9 { 100.0 } else { 1.0 }));
    PlacePopularity {
        counts: Csr::from_triplets(2, MOVIES, world.chain(local).collect::<Vec<_>>()),
        places: vec![
            Place { location: None, parent: None, events: 1830 },
            Place { location: Some(korea), parent: Some(0), events: 159 },
        ],
        prior: vec![10.0, 10.0],
    }
}

/// One answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The ids of a list, of movies or of users.
    pub fn ids(&self) -> Vec<String> {
        let json = self.json();
        let items = json["items"].as_array().unwrap_or_else(|| panic!("a list, not {json}"));
        let id =
            |item: &Value| item.get("movie_id").or(item.get("user_id")).unwrap().as_str().unwrap().to_owned();
        items.iter().map(id).collect()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Reads one answer; `bodiless` for HEAD and 304.
pub fn read_response(stream: &mut TcpStream, bodiless: bool) -> Response {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed after {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head[9..12].parse().unwrap();
    let mut response = Response { status, head, body: Vec::new() };
    if !bodiless && status != 304 {
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        response.body.resize(length, 0);
        stream.read_exact(&mut response.body).unwrap();
    }
    response
}

/// Sends bytes as they are on a connection of their own.
pub fn send(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    read_response(&mut stream, bytes.starts_with(b"HEAD"))
}

pub fn get(address: SocketAddr, target: &str) -> Response {
    send(address, format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes())
}

pub fn get_with(address: SocketAddr, target: &str, header: &str) -> Response {
    send(address, format!("GET {target} HTTP/1.1\r\nhost: test\r\n{header}\r\n\r\n").as_bytes())
}

pub fn post(address: SocketAddr, target: &str, media_type: &str, body: &[u8]) -> Response {
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    send(address, &[head.as_bytes(), body].concat())
}

/// A request with a key, and a body if it is not empty.
pub fn call(address: SocketAddr, method: &str, target: &str, key: Option<&str>, body: &str) -> Response {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: test\r\n");
    if let Some(key) = key {
        head.push_str(&format!("authorization: Bearer {key}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    send(address, format!("{head}\r\n{body}").as_bytes())
}

/// Expects a problem document.
#[track_caller]
pub fn refused(response: &Response, status: u16, code: &str) -> Value {
    let problem = response.json();
    assert_eq!((response.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    problem
}

pub fn recommend(address: SocketAddr, body: &str) -> Response {
    post(address, "/v1/recommendations", "application/json", body.as_bytes())
}

/// Asks again until the answer is as expected, ten seconds at most: another thread follows the live bundle.
pub fn wait_until(address: SocketAddr, target: &str, expect: impl Fn(&Response) -> bool) -> Response {
    let started = Instant::now();
    loop {
        let response = get(address, target);
        if expect(&response) {
            return response;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{response:?}");
        std::thread::yield_now();
    }
}
