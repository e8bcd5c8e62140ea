//! A small world in the MovieLens CSV layout, made by rule: two tastes that never meet, so that every answer is obvious.
//!
//! Films 1 to 20 are westerns, 21 to 40 musicals. Users with odd ids love westerns, those with even ids musicals; each rates
//! two thirds of the loved films 4 to 5 and one sixth of the others 1 to 2. Film 41 has no year, film 42 nobody rated.

use std::fmt::Write;

use super::Place;

/// Films of the fixture.
pub(crate) const MOVIES: u32 = 42;
/// Users of the fixture.
pub(crate) const USERS: u32 = 60;

/// A repeatable number that looks random.
fn dice(a: u32, b: u32) -> u32 {
    let mut hash = a.wrapping_mul(0x9E37_79B1) ^ b.wrapping_mul(0x85EB_CA77);
    hash ^= hash >> 15;
    hash = hash.wrapping_mul(0x2C1B_3C6D);
    hash ^ (hash >> 13)
}

/// The four files of a folder.
pub(crate) struct Fixture {
    pub(crate) movies: String,
    pub(crate) ratings: String,
    pub(crate) links: String,
    pub(crate) tags: String,
    /// Rows of ratings.
    pub(crate) rating_count: u64,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let (ratings, rating_count) = ratings();
        Self { movies: movies(), ratings, links: links(), tags: tags(), rating_count }
    }

    /// Writes them to a folder of the place; its path.
    pub(crate) fn write(&self, place: &Place, folder: &str) -> String {
        for (name, text) in [
            ("movies", &self.movies),
            ("ratings", &self.ratings),
            ("links", &self.links),
            ("tags", &self.tags),
        ] {
            place.write(&format!("{folder}/{name}.csv"), text);
        }
        place.text(folder)
    }
}

fn movies() -> String {
    let mut text = "movieId,title,genres\r\n".to_owned();
    for movie in 1..=40 {
        let (kind, genre) = if movie <= 20 { ("Trail", "Western") } else { ("Song", "Musical|Comedy") };
        let title = format!("{kind} of Number {movie}, The ({})", 1950 + movie);
        writeln!(text, "{movie},\"{title}\",{genre}\r").unwrap();
    }
    text + "41,Undated,(no genres listed)\r\n42,\"Unseen \"\"Gem\"\", An (2001)\",Drama\r\n"
}

fn ratings() -> (String, u64) {
    let mut text = "userId,movieId,rating,timestamp\r\n".to_owned();
    let mut count = 0;
    for user in 1..=USERS {
        for movie in 1..=41 {
            let loved = (movie <= 20) == (user % 2 == 1);
            let chance = dice(user, movie) % 6;
            let rating = match (loved, chance) {
                (true, 0..=3) => 4.0 + f64::from(dice(movie, user) % 3) / 2.0,
                (false, 0) => 1.0 + f64::from(dice(movie, user) % 3) / 2.0,
                _ => continue,
            };
            let time = 1_000_000_000 + dice(user, movie) % 100_000_000;
            writeln!(text, "{user},{movie},{rating:.1},{time}\r").unwrap();
            count += 1;
        }
    }
    (text, count)
}

fn links() -> String {
    let mut text = "movieId,imdbId,tmdbId\r\n".to_owned();
    for movie in 1..=MOVIES {
        writeln!(
            text,
            "{movie},{:07},{}\r",
            9_000_000 + movie,
            if movie == 7 { String::new() } else { movie.to_string() }
        )
        .unwrap();
    }
    text
}

fn tags() -> String {
    "userId,movieId,tag,timestamp\r\n1,1,dusty,1000000000\r\n3,1,dusty,1000000001\r\n5,1,\"slow, but good\",1000000002\r\n".to_owned()
}

/// A place with the fixture imported as `films`, trained small and indexed.
pub(crate) fn ready() -> Place {
    let place = Place::new();
    let folder = Fixture::new().write(&place, "source");
    place.run(&["dataset", "import", "movielens", &folder, "--name", "films"]).done();
    train(&place);
    place.run(&["index", "build", "films"]).done();
    place
}

/// Trains a small model of `films`.
pub(crate) fn train(place: &Place) {
    place.run(&["train", "films", "--dim", "8", "--epochs", "6", "--threads", "1"]).done();
}
