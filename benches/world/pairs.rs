//! Pairs of users and movies to train on: read from a file, or generated with the profile of MovieLens 20M.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each benchmark uses its part of this module")]

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use cinedex_vectors::Csr;

/// Rank and audience of films in MovieLens 20M, between which audiences run straight in logarithms.
const AUDIENCES: [(f64, f64); 10] = [
    (1.0, 67_310.0),
    (10.0, 55_000.0),
    (100.0, 30_000.0),
    (1000.0, 4600.0),
    (3000.0, 1000.0),
    (5000.0, 370.0),
    (10_000.0, 60.0),
    (13_372.0, 18.0),
    (20_000.0, 4.0),
    (26_744.0, 1.0),
];
/// Movies of that data set, with its pairs.
const FULL: (usize, usize) = (26_744, 20_000_263);
/// The fewest and the most pairs of a user there, the mean of them, and a median and a spread that give that mean.
const FEWEST: f64 = 20.0;
const MOST: f64 = 9254.0;
const MEAN: f64 = 144.4;
const MEDIAN_ABOVE_FEWEST: f64 = 48.0;
const SPREAD: f64 = 1.378;
/// Branches of the tree of tastes of a large catalogue, at each of its levels.
const BRANCHES: usize = 8;
/// Movies of its smallest tastes, at least.
const FEWEST_OF_TASTE: usize = 24;
/// Smallest tastes that a user has.
const TASTES_OF_USER: usize = 4;
/// Tastes: a movie has one, a user three, and half of what a user watches is of those.
const TASTES: usize = 20;

/// `count` pairs, nearly: as many users as have them at 144 each, and movies by the root of the number of pairs, 26,744 for
/// 20 million. The same on every machine.
pub fn generated(count: usize) -> Csr<f32> {
    let users = user_count(count);
    let movies = (FULL.0 as f64 * (count as f64 / FULL.1 as f64).sqrt()).round().max(200.0) as usize;
    let mut random = Random(0x5eed);
    let weights: Vec<f64> = (0..movies).map(|rank| audience(rank, movies)).collect();
    let mut shuffled: Vec<u32> = (0..movies as u32).collect();
    random.shuffle(&mut shuffled);
    let taste_of: Vec<usize> = (0..movies).map(|_| random.below(TASTES)).collect();
    let everything = Alias::new(&weights, (0..movies as u32).collect());
    let by_taste: Vec<Alias> = (0..TASTES)
        .map(|taste| {
            let members: Vec<u32> =
                (0..movies as u32).filter(|&movie| taste_of[movie as usize] == taste).collect();
            let own: Vec<f64> = members.iter().map(|&movie| weights[movie as usize]).collect();
            Alias::new(&own, members)
        })
        .collect();
    let mut watched = Watched::new(movies);
    for wanted in activities(users, movies, &mut random) {
        let liked = [random.below(TASTES), random.below(TASTES), random.below(TASTES)];
        watched.draw(wanted, || {
            let of_taste = random.next() & 1 == 0;
            let source = if of_taste { &by_taste[liked[random.below(3)]] } else { &everything };
            shuffled[source.draw(&mut random) as usize]
        });
        watched.end_user();
    }
    watched.into_rows()
}

/// `count` pairs, nearly, over a catalogue of a chosen size, in which a film has the audience of its place among all. Tastes form
/// a tree of eight branches a node: a user has four of the smallest, and finds a film anywhere, or in one of these or of the larger
/// ones around it, each level as often. So the spectrum of the factors falls slowly, as that of real data does, instead of
/// ending at the number of tastes. A user begins with two films of each of the four that nobody has seen, so that every film has
/// a watcher as long as there are users enough: catalogues are not filled with films that nothing is known of.
pub fn generated_catalogue(count: usize, movies: usize) -> Csr<f32> {
    let users = user_count(count);
    let mut random = Random(0xca7a);
    let catalogue = Catalogue::new(movies, &mut random);
    let smallest = catalogue.smallest;
    let mut unseen: Vec<Range<usize>> = (0..smallest).map(|taste| catalogue.places(taste, 1)).collect();
    let mut watched = Watched::new(movies);
    for wanted in activities(users, movies, &mut random) {
        let tastes: [usize; TASTES_OF_USER] = std::array::from_fn(|_| random.below(smallest));
        for place in tastes.iter().flat_map(|&taste| [unseen[taste].next(), unseen[taste].next()]).flatten() {
            watched.take(catalogue.numbers[place]);
        }
        watched.draw(wanted, || {
            let wider = BRANCHES.pow(random.below(catalogue.levels as usize + 1) as u32);
            catalogue.draw(tastes[random.below(TASTES_OF_USER)], wider, &mut random)
        });
        watched.end_user();
    }
    watched.into_rows()
}

/// What users watched, one after another.
struct Watched {
    offsets: Vec<u64>,
    columns: Vec<u32>,
    /// Of the user at hand.
    seen: Vec<bool>,
}

impl Watched {
    fn new(movies: usize) -> Self {
        Self { offsets: vec![0], columns: Vec::new(), seen: vec![false; movies] }
    }

    fn start(&self) -> usize {
        self.offsets[self.offsets.len() - 1] as usize
    }

    fn take(&mut self, movie: u32) {
        if !std::mem::replace(&mut self.seen[movie as usize], true) {
            self.columns.push(movie);
        }
    }

    /// Takes what is drawn until the user has seen `wanted` movies, or for forty times as many tries.
    fn draw(&mut self, wanted: usize, mut movie: impl FnMut() -> u32) {
        let enough = self.start() + wanted;
        for _ in 0..40 * wanted {
            if self.columns.len() >= enough {
                break;
            }
            self.take(movie());
        }
    }

    fn end_user(&mut self) {
        let start = self.start();
        self.columns[start..].iter().for_each(|&movie| self.seen[movie as usize] = false);
        self.columns[start..].sort_unstable();
        self.offsets.push(self.columns.len() as u64);
    }

    fn into_rows(mut self) -> Csr<f32> {
        self.columns.shrink_to_fit();
        let values = vec![1.0; self.columns.len()];
        Csr::from_parts(self.seen.len(), self.offsets, self.columns, values).expect("rows ascend")
    }
}

/// How many movies each user watches.
fn activities(users: usize, movies: usize, random: &mut Random) -> Vec<usize> {
    let mut activities: Vec<usize> = (0..users).map(|user| activity(user, users, movies)).collect();
    random.shuffle(&mut activities);
    activities
}

/// As many users as have `pairs` pairs.
fn user_count(pairs: usize) -> usize {
    (pairs as f64 / MEAN).round().max(1.0) as usize
}

/// Movies in the order of the smallest tastes, so that a taste of any level is a range of places.
struct Catalogue {
    levels: u32,
    /// Number of the smallest tastes.
    smallest: usize,
    /// The movie at each place.
    numbers: Vec<u32>,
    /// Audience of all places before each.
    before: Vec<f64>,
}

impl Catalogue {
    fn new(movies: usize, random: &mut Random) -> Self {
        let levels = (movies as f64 / FEWEST_OF_TASTE as f64).ln() / (BRANCHES as f64).ln();
        let levels = levels.max(0.0) as u32;
        let mut audiences: Vec<f64> = (0..movies).map(|rank| audience(rank, movies)).collect();
        random.shuffle(&mut audiences);
        let mut before = vec![0.0];
        for audience in audiences {
            before.push(before[before.len() - 1] + audience);
        }
        let mut numbers: Vec<u32> = (0..movies as u32).collect();
        random.shuffle(&mut numbers);
        Self { levels, smallest: BRANCHES.pow(levels), numbers, before }
    }

    /// The places of the taste that holds a smallest one and as many others as make it `wider`.
    fn places(&self, taste: usize, wider: usize) -> Range<usize> {
        let (taste, tastes, movies) = (taste / wider, self.smallest / wider, self.numbers.len());
        taste * movies / tastes..(taste + 1) * movies / tastes
    }

    /// A movie of that taste, by audience.
    fn draw(&self, taste: usize, wider: usize, random: &mut Random) -> u32 {
        let Range { start, end } = self.places(taste, wider);
        let share = random.below(1 << 53) as f64 / (1u64 << 53) as f64;
        let drawn = self.before[start] + share * (self.before[end] - self.before[start]);
        self.numbers[start + self.before[start + 1..end].partition_point(|&reached| reached <= drawn)]
    }
}

/// Reads `user item …` lines, of any separator of spaces, commas, tabs or colons, a header or not; ids are numbered as they come.
pub fn read_text(path: &Path) -> io::Result<Csr<f32>> {
    let text = fs::read_to_string(path)?;
    let (mut users, mut movies) = (HashMap::new(), HashMap::new());
    let mut triplets = Vec::new();
    for line in text.lines() {
        let mut fields = line.split([' ', ',', '\t', ':']).filter(|field| !field.is_empty());
        let (Some(Ok(user)), Some(Ok(movie))) =
            (fields.next().map(str::parse::<u64>), fields.next().map(str::parse::<u64>))
        else {
            continue;
        };
        let (next_user, next_movie) = (users.len() as u32, movies.len() as u32);
        triplets.push((
            *users.entry(user).or_insert(next_user),
            *movies.entry(movie).or_insert(next_movie),
            1.0,
        ));
    }
    Ok(Csr::from_triplets(users.len(), movies.len(), triplets))
}

/// Writes the rows for other programs: users, movies and pairs as little-endian `u64`, then `users + 1` offsets as `u64` and
/// the columns as `u32`.
pub fn write_binary(pairs: &Csr<f32>, path: &Path) -> io::Result<()> {
    let mut out = io::BufWriter::new(fs::File::create(path)?);
    for size in [pairs.row_count(), pairs.column_count(), pairs.entry_count()] {
        out.write_all(&(size as u64).to_le_bytes())?;
    }
    pairs.offsets().iter().try_for_each(|offset| out.write_all(&offset.to_le_bytes()))?;
    pairs.columns().iter().try_for_each(|column| out.write_all(&column.to_le_bytes()))?;
    out.flush()
}

/// Reads what [`write_binary`] wrote; every value is 1.
pub fn read_binary(path: &Path) -> io::Result<Csr<f32>> {
    let broken = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let bytes = fs::read(path)?;
    let (words, _) = bytes.as_chunks::<8>();
    let [_, movies, entries] = words.first_chunk::<3>().ok_or_else(|| broken("no head".into()))?;
    let (movies, entries) = (u64::from_le_bytes(*movies) as usize, u64::from_le_bytes(*entries) as usize);
    let users = u64::from_le_bytes(words[0]) as usize;
    let offsets = words.get(3..users + 4).ok_or_else(|| broken("no offsets".into()))?;
    let (columns, _) = bytes[8 * (users + 4)..].as_chunks::<4>();
    let columns: Vec<u32> = columns.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let offsets = offsets.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    Csr::from_parts(movies, offsets, columns, vec![1.0; entries]).map_err(|error| broken(error.to_string()))
}

/// Expected audience, on some scale, of the movie of a rank among `movies`.
fn audience(rank: usize, movies: usize) -> f64 {
    let place = 1.0 + rank as f64 * (FULL.0 - 1) as f64 / (movies - 1).max(1) as f64;
    let after = AUDIENCES.iter().position(|&(rank, _)| rank >= place).unwrap_or(AUDIENCES.len() - 1).max(1);
    let ((low, from), (high, to)) = (AUDIENCES[after - 1], AUDIENCES[after]);
    let share = (place.ln() - low.ln()) / (high.ln() - low.ln());
    (from.ln() + share * (to.ln() - from.ln())).exp()
}

/// Pairs of the user at a place among `users`: twenty and a log-normal number.
fn activity(place: usize, users: usize, movies: usize) -> usize {
    let normal = normal_quantile((place as f64 + 0.5) / users as f64);
    let pairs = FEWEST + MEDIAN_ABOVE_FEWEST * (SPREAD * normal).exp();
    pairs.min(MOST).min(movies as f64 / 3.0) as usize
}

/// The normal quantile to three digits (Abramowitz & Stegun 1964, 26.2.23).
fn normal_quantile(share: f64) -> f64 {
    let t = (-2.0 * share.min(1.0 - share).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    (t - above / below).copysign(share - 0.5)
}

/// Draws members by weight in constant time (Walker 1977).
struct Alias {
    members: Vec<u32>,
    keep: Vec<f32>,
    other: Vec<u32>,
}

impl Alias {
    fn new(weights: &[f64], members: Vec<u32>) -> Self {
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        let mut share: Vec<f64> = weights.iter().map(|weight| weight / mean).collect();
        let (mut light, mut heavy): (Vec<usize>, Vec<usize>) =
            (0..share.len()).partition(|&place| share[place] < 1.0);
        let mut keep = vec![1.0; share.len()];
        let mut other = members.clone();
        while let (Some(small), Some(&big)) = (light.pop(), heavy.last()) {
            keep[small] = share[small] as f32;
            other[small] = members[big];
            share[big] -= 1.0 - share[small];
            if share[big] < 1.0 {
                light.push(big);
                heavy.pop();
            }
        }
        Self { members, keep, other }
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let place = random.below(self.members.len());
        let fraction = (random.next() >> 40) as f32 / (1u64 << 24) as f32;
        if fraction < self.keep[place] { self.members[place] } else { self.other[place] }
    }
}

/// `SplitMix64` (Steele, Lea & Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for place in (1..values.len()).rev() {
            values.swap(place, self.below(place + 1));
        }
    }
}
