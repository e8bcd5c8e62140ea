//! A load of many connections from one thread, which never waits for one of them: flat out or so many a second, several kinds
//! of request beside each other. What it asks comes from files; what became of it is printed, a line of JSON a group. It
//! knows nothing of the server but HTTP/1.1.
//!
//! A file of requests is one after another: its length as a little-endian u32, then its bytes.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Connections of a flood, a group of more, that are looked at between two looks at the smaller groups.
const BETWEEN: usize = 32;
/// How long answers are waited for after the last request.
const PATIENCE: Duration = Duration::from_secs(15);

/// `drive ADDRESS SECONDS GROUP..`, a group being `NAME,CONNECTIONS,RATE,once|again,FILE`: a rate of 0 is as fast as answers
/// come; `once` ends with the file, however long it takes.
pub(crate) fn drive(arguments: &[String]) {
    let address: SocketAddr = arguments[0].parse().expect("an address");
    let duration = Duration::from_secs_f64(arguments[1].parse().expect("seconds"));
    let mut groups: Vec<Group> = arguments[2..].iter().map(|text| Group::new(text, address)).collect();
    let started = Instant::now();
    let mut asking = true;
    loop {
        if asking && started.elapsed() >= duration {
            asking = groups.iter().any(|group| group.once && group.next < group.requests.len());
        }
        let moved = sweep(&mut groups, started, asking, duration);
        if !asking && groups.iter().all(Group::is_idle) {
            break;
        }
        if started.elapsed() > duration + PATIENCE && !groups.iter().any(|group| group.once) {
            break;
        }
        if !moved {
            std::thread::yield_now();
        }
    }
    let took = started.elapsed();
    for group in &mut groups {
        group.print(if group.once { group.last - started } else { took.min(duration) });
    }
}

/// Looks at every connection once, at those of small groups more often.
fn sweep(groups: &mut [Group], started: Instant, asking: bool, duration: Duration) -> bool {
    let mut moved = false;
    for position in 0..groups.len() {
        if !groups[position].is_flood() {
            continue;
        }
        let count = groups[position].connections.len();
        for first in (0..count).step_by(BETWEEN) {
            let last = count.min(first + BETWEEN);
            let asking = asking && (groups[position].once || started.elapsed() < duration);
            moved |= groups[position].look(first..last, started, asking);
            moved |= look_at_others(groups, started, asking);
        }
    }
    moved | look_at_others(groups, started, asking)
}

fn look_at_others(groups: &mut [Group], started: Instant, asking: bool) -> bool {
    let mut moved = false;
    for group in groups.iter_mut().filter(|group| !group.is_flood()) {
        moved |= group.look(0..group.connections.len(), started, asking);
    }
    moved
}

/// Requests of one kind.
struct Group {
    name: String,
    rate: f64,
    once: bool,
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    connections: Vec<Connection>,
    /// The next request, of all that are ever sent.
    next: usize,
    last: Instant,
    statuses: BTreeMap<u16, u64>,
    /// Of answers below 400, microseconds.
    latencies: Vec<u32>,
    errors: u64,
    /// Refusals (503, 429) that do not say when to come again.
    impolite: u64,
}

struct Connection {
    stream: TcpStream,
    /// The request under way, with how much of it is sent and since when.
    asked: Option<(usize, usize, Instant)>,
    answer: Vec<u8>,
}

impl Group {
    fn new(text: &str, address: SocketAddr) -> Self {
        let fields: Vec<&str> = text.splitn(5, ',').collect();
        let number = |position: usize| fields[position].parse::<f64>().expect("a number");
        let bytes = std::fs::read(fields[4]).expect("a file of requests");
        let connections = (0..number(1) as usize).map(|_| Connection::open(address)).collect();
        Self {
            name: fields[0].to_owned(),
            rate: number(2),
            once: fields[3] == "once",
            address,
            requests: split(&bytes),
            connections,
            next: 0,
            last: Instant::now(),
            statuses: BTreeMap::new(),
            latencies: Vec::new(),
            errors: 0,
            impolite: 0,
        }
    }

    fn is_flood(&self) -> bool {
        self.connections.len() > BETWEEN
    }

    fn is_idle(&self) -> bool {
        self.connections.iter().all(|connection| connection.asked.is_none())
    }

    fn is_due(&self, started: Instant) -> bool {
        let sent = self.next as f64;
        (!self.once || self.next < self.requests.len())
            && (self.rate == 0.0 || sent < started.elapsed().as_secs_f64() * self.rate)
    }

    fn look(&mut self, range: std::ops::Range<usize>, started: Instant, asking: bool) -> bool {
        let (mut moved, count, turn) = (false, range.len(), self.next);
        for step in 0..count {
            // In turn: a connection on which nothing is asked for long is closed.
            let position = range.start + (step + turn) % count;
            if self.connections[position].asked.is_none() {
                if !asking || !self.is_due(started) {
                    continue;
                }
                self.connections[position].asked = Some((self.next % self.requests.len(), 0, Instant::now()));
                self.next += 1;
                moved = true;
            }
            let connection = &mut self.connections[position];
            match connection.advance(&self.requests) {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    moved = true;
                    self.last = Instant::now();
                    *self.statuses.entry(answer.status).or_default() += 1;
                    self.impolite += u64::from(matches!(answer.status, 429 | 503) && !answer.says_when);
                    if answer.status < 400 {
                        self.latencies.push(answer.took.as_micros() as u32);
                    }
                    if answer.closes {
                        *connection = Connection::open(self.address);
                    }
                }
                Err(_) => {
                    self.errors += 1;
                    *connection = Connection::open(self.address);
                }
            }
        }
        moved
    }

    fn print(&mut self, took: Duration) {
        self.latencies.sort_unstable();
        let share = |share: f64| {
            let position = (self.latencies.len() as f64 * share) as usize;
            let found = self.latencies.get(position.min(self.latencies.len().saturating_sub(1)));
            found.map_or(0.0, |us| f64::from(*us) / 1e3)
        };
        let statuses: Vec<String> =
            self.statuses.iter().map(|(status, count)| format!("\"{status}\":{count}")).collect();
        let unanswered = self.connections.iter().filter(|connection| connection.asked.is_some()).count();
        println!(
            "{{\"group\":\"{}\",\"seconds\":{},\"sent\":{},\"statuses\":{{{}}},\"p50_ms\":{},\"p99_ms\":{},\"max_ms\":{},\
             \"errors\":{},\"unanswered\":{unanswered},\"impolite\":{}}}",
            self.name,
            took.as_secs_f64(),
            self.next,
            statuses.join(","),
            share(0.5),
            share(0.99),
            share(1.0),
            self.errors,
            self.impolite
        );
    }
}

/// What the head of an answer says, and how long the whole of it took.
struct Answer {
    status: u16,
    took: Duration,
    closes: bool,
    says_when: bool,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server takes connections");
        stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).expect("settings of a socket");
        Self { stream, asked: None, answer: Vec::new() }
    }

    /// Sends what is left to send, and reads what has come.
    fn advance(&mut self, requests: &[Vec<u8>]) -> std::io::Result<Option<Answer>> {
        let Some((request, sent, since)) = &mut self.asked else { return Ok(None) };
        let bytes = &requests[*request];
        while *sent < bytes.len() {
            match self.stream.write(&bytes[*sent..]) {
                Ok(count) => *sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(head) = self.answer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&self.answer[..head]).to_ascii_lowercase();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let status: u16 = text.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let length = field("content-length: ").filter(|_| status != 304);
        let length = length.map_or(0, |text| text.parse().unwrap_or(0));
        if self.answer.len() < head + 4 + length {
            return Ok(None);
        }
        let answer = Answer {
            status,
            took: since.elapsed(),
            closes: field("connection: close").is_some(),
            says_when: field("retry-after: ").is_some(),
        };
        self.answer.clear();
        self.asked = None;
        Ok(Some(answer))
    }
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (request, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        requests.push(request.to_vec());
        bytes = rest;
    }
    requests
}
