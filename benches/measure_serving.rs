//! What everything around an answer costs: processor time of a server on one core for each request, beside a bare hello of
//! actix on the same core, in turns in one run. The load comes from another core: 64 connections that stay open, a request on
//! each, then an answer on each, so that the server always has work and no time of a client's is in the figures.
//!
//! `cargo bench -p cinedex-server --bench measure_serving [-- SECONDS ROUNDS]`; Linux with `taskset`, two cores. The world is that
//! of the server's tests, sixty films; each figure is the median of the rounds. `benches/measure/live` takes the hello
//! (`serve=hello`) and the load (`drive`) of this program to measure the real server.
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

#[path = "../tests/server/support/mod.rs"]
mod support;

#[path = "load/mod.rs"]
mod load;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, rt, web};
use cinedex_recommender::EngineOptions;
use cinedex_server::{Key, KeyFile, Scope, ServerOptions, hash_key};
use support::{options, world_with};

const CONNECTIONS: usize = 64;
const KEY: &str = "the-key-of-the-one-who-measures";

/// What serves, and what is asked of it.
struct Subject {
    name: &'static str,
    server: &'static str,
    target: &'static str,
    headers: &'static str,
}

const SUBJECTS: [Subject; 7] = [
    Subject { name: "bare hello of actix", server: "hello", target: "/livez", headers: "" },
    Subject { name: "hello behind everything (no key asked)", server: "open", target: "/livez", headers: "" },
    Subject { name: "cached list, open", server: "open", target: "/v1/popular?limit=20", headers: "" },
    Subject {
        name: "the same with a key",
        server: "keys",
        target: "/v1/popular?limit=20",
        headers: "authorization: Bearer the-key-of-the-one-who-measures\r\n",
    },
    Subject {
        name: "the same with key and limit",
        server: "limited",
        target: "/v1/popular?limit=20",
        headers: "authorization: Bearer the-key-of-the-one-who-measures\r\n",
    },
    Subject {
        name: "refused for want of a key",
        server: "keys",
        target: "/v1/popular?limit=20",
        headers: "",
    },
    Subject {
        name: "refused for the limit",
        server: "exhausted",
        target: "/v1/popular?limit=20",
        headers: "authorization: Bearer the-key-of-the-one-who-measures\r\n",
    },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(server) = arguments.first().and_then(|argument| argument.strip_prefix("serve=")) {
        return serve(server);
    }
    if arguments.first().is_some_and(|argument| argument == "drive") {
        return load::drive(&arguments[1..]);
    }
    if std::env::var_os("CINEDEX_MEASURE_PINNED").is_none() {
        // The load goes to the second core.
        let status = Command::new("taskset")
            .args(["-c", "1"])
            .arg(std::env::current_exe().unwrap())
            .args(&arguments)
            .env("CINEDEX_MEASURE_PINNED", "1")
            .status();
        std::process::exit(status.map_or(1, |status| status.code().unwrap_or(1)));
    }
    let number = |position: usize, default: u64| {
        arguments.get(position).map_or(default, |text| text.parse().expect("a whole number"))
    };
    let (seconds, rounds) = (number(0, 4), number(1, 5));
    let mut figures = vec![Vec::new(); SUBJECTS.len()];
    for _ in 0..rounds {
        for (subject, figures) in SUBJECTS.iter().zip(&mut figures) {
            figures.push(measure(subject, Duration::from_secs(seconds)));
        }
    }
    println!("| | processor µs a request | over bare hello | x hello | requests/s |\n|---|---|---|---|---|");
    let median = |figures: &mut Vec<(f64, f64)>| {
        figures.sort_by(|a, b| a.0.total_cmp(&b.0));
        figures[figures.len() / 2]
    };
    let hello = median(&mut figures[0]).0;
    for (subject, figures) in SUBJECTS.iter().zip(&mut figures) {
        let (cost, rate) = median(figures);
        println!("| {} | {cost:.2} | {:+.2} | {:.2} | {rate:.0} |", subject.name, cost - hello, cost / hello);
    }
}

/// Microseconds of the server's processor time a request, and requests a second.
fn measure(subject: &Subject, duration: Duration) -> (f64, f64) {
    let (mut child, address) = spawn(subject.server);
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n{}\r\n",
        subject.target, subject.headers
    );
    let mut connections: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(address)).collect();
    let mut buffer = vec![0; 64 << 10];
    ask(&mut connections, &request, &mut buffer, Duration::from_millis(500));
    let (before, started) = (processor_us(child.id()), Instant::now());
    let requests = ask(&mut connections, &request, &mut buffer, duration);
    let (used, took) = (processor_us(child.id()) - before, started.elapsed());
    child.kill().unwrap();
    child.wait().unwrap();
    (used / requests as f64, requests as f64 / took.as_secs_f64())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Asks on all connections and reads all answers, again and again; counts the answers.
fn ask(connections: &mut [TcpStream], request: &str, buffer: &mut [u8], duration: Duration) -> u64 {
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < duration {
        for connection in connections.iter_mut() {
            connection.write_all(request.as_bytes()).unwrap();
        }
        for connection in connections.iter_mut() {
            read_answer(connection, buffer);
            count += 1;
        }
    }
    count
}

fn read_answer(connection: &mut TcpStream, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        let read = connection.read(&mut buffer[filled..]).unwrap();
        assert!(read > 0, "the server closed");
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(&buffer[..head]).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if filled >= head + 4 + length.parse::<usize>().unwrap() {
            return;
        }
    }
}

/// What the process has used of all processors, from `/proc`: ticks of ten milliseconds.
fn processor_us(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 * 10_000.0
}

/// A server on the first core.
fn spawn(server: &str) -> (Child, SocketAddr) {
    let mut child = Command::new("taskset")
        .args(["-c", "0"])
        .arg(std::env::current_exe().unwrap())
        .arg(format!("serve={server}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().expect("the child says where it listens"))
}

fn serve(server: &str) {
    if server == "hello" {
        return hello();
    }
    // The log is written as in service: one request in a hundred, as JSON.
    tracing_subscriber::fmt().json().with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).init();
    let folder = tempfile::tempdir().unwrap();
    let mut options = ServerOptions { workers: 1, compute_threads: 1, ..options() };
    if server != "open" {
        options.keys_file = folder.path().join("keys.toml");
        let key = |number: usize| Key {
            name: format!("app-{number}"),
            scope: Scope::Read,
            sha256: hash_key(&if number == 7 { KEY.to_owned() } else { format!("another key {number}") }),
            created: String::new(),
        };
        let text = toml::to_string(&KeyFile { keys: (0..10).map(key).collect() }).unwrap();
        std::fs::write(&options.keys_file, text).unwrap();
    }
    match server {
        "limited" => options.rate_limit = 100_000_000,
        "exhausted" => options.rate_limit = 1,
        _ => {}
    }
    let world = world_with(&options, EngineOptions::default());
    println!("{}", world.server.address());
    wait();
}

fn hello() {
    let answer =
        || async { HttpResponse::Ok().content_type("application/json").body(r#"{"status":"live"}"#) };
    rt::System::new().block_on(async move {
        let app = move || App::new().default_service(web::to(answer));
        let server = HttpServer::new(app).workers(1).bind("127.0.0.1:0").unwrap();
        println!("{}", server.addrs()[0]);
        server.run().await.unwrap();
    });
}

/// Until the parent ends this process, or is gone.
fn wait() {
    std::io::stdin().read_to_end(&mut Vec::new()).ok();
}
