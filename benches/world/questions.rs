//! Questions to an open bundle by any strategy, and a session of them over standard input and output, so that a script can
//! time ours and others' in turns. A line asks, as JSON, `{"question": "similar" or "for_user", "strategy": "planned", "scan",
//! "each" or "graph:EF", "k": K, "queries": [rows of movies or users], "answers": FILE}`; the line of the answer says the seconds that
//! all queries took, one after another, and each one's. The file gets `k` rows of movies for each query as little-endian `u32`,
//! filled up with the largest.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each benchmark uses its part of this module")]

use std::fs;
use std::io::{BufRead, Write};
use std::time::Instant;

use cinedex_domain::MovieIndex;
use cinedex_index::{Allowed, Bundle, Retrieved, Strategy};
use cinedex_vectors::Scored;
use serde::Deserialize;
use serde_json::json;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    Similar,
    ForUser,
}

/// Who decides how it is answered: the planner where there is no strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way(pub Option<Strategy>);

impl Way {
    /// Reads `planned`, `scan`, `each` or `graph:EF`.
    pub fn parse(text: &str) -> Self {
        Self(match text {
            "planned" => None,
            "scan" => Some(Strategy::Scan),
            "each" => Some(Strategy::Each),
            _ => {
                let ef = text.strip_prefix("graph:").and_then(|ef| ef.parse().ok());
                Some(Strategy::Graph { ef: ef.expect("planned, scan, each or graph:EF") })
            }
        })
    }

    /// As [`Way::parse`] reads it.
    pub fn name(self) -> String {
        match self.0 {
            None => "planned".into(),
            Some(Strategy::Scan) => "scan".into(),
            Some(Strategy::Each) => "each".into(),
            Some(Strategy::Graph { ef }) => format!("graph:{ef}"),
        }
    }
}

/// Asks once; `row` is a movie's or a user's.
pub fn ask(
    bundle: &Bundle,
    question: Question,
    row: u32,
    k: usize,
    allowed: &Allowed,
    way: Way,
) -> Retrieved {
    match question {
        Question::Similar => {
            let movie = MovieIndex(row);
            way.0.map_or_else(
                || bundle.similar(movie, k, allowed),
                |strategy| bundle.similar_by(movie, k, allowed, strategy),
            )
        }
        Question::ForUser => {
            let vector = bundle.user_factors().expect("the bundle has users").row(row as usize);
            way.0.map_or_else(
                || bundle.for_user(vector, k, allowed),
                |strategy| bundle.for_user_by(vector, k, allowed, strategy),
            )
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    question: Question,
    strategy: String,
    k: usize,
    queries: Vec<u32>,
    answers: String,
}

/// Answers lines until there are no more. `answer` gives a query's best.
pub fn session(answer: impl Fn(Question, &str, u32, usize) -> Vec<Scored>) {
    for line in std::io::stdin().lock().lines() {
        let line: Line =
            serde_json::from_str(&line.expect("readable")).expect("a question as the head of the file says");
        let mut answers = Vec::with_capacity(line.queries.len());
        let mut each = Vec::with_capacity(line.queries.len());
        let began = Instant::now();
        let mut before = began;
        for &query in &line.queries {
            answers.push(answer(line.question, &line.strategy, query, line.k));
            let now = Instant::now();
            each.push((now - before).as_secs_f64() * 1e6);
            before = now;
        }
        let seconds = began.elapsed().as_secs_f64();
        let mut bytes = Vec::with_capacity(4 * line.k * answers.len());
        for items in &answers {
            let rows = items.iter().map(|item| item.index).chain(std::iter::repeat(u32::MAX)).take(line.k);
            rows.for_each(|row| bytes.extend(row.to_le_bytes()));
        }
        fs::write(&line.answers, bytes).expect("writable");
        println!("{}", json!({ "seconds": seconds, "microseconds": quantiles(each) }));
        std::io::stdout().flush().expect("somebody reads");
    }
}

/// The median, the 90th and the 99th percentile.
pub fn quantiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    [0.5, 0.9, 0.99].map(|share| values[((values.len() - 1) as f64 * share).round() as usize])
}
