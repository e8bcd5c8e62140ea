//! The demo world: real films, imagined people.
//!
//! `films.tsv` is a table of well-known films: id (the slug of title and year), title, original title if it differs, year
//! of first release, genres, countries (ISO 3166-1, the main one first), languages (ISO 639-1), runtime in minutes,
//! youngest suitable age, series, themes, fame (5 known to everybody, 2 to some) and directors. They are facts, written
//! down for this project; titles and years follow `MovieLens` where it has the film, and a test compares them. No person of
//! this world is real: the interactions are drawn from a model of taste.
//!
//! A person lives in a city (`cities.tsv`: place, hours ahead of UTC, share of people, favourite and rising films), belongs
//! to a few communities of taste (`communities.tsv`: share of people, what the community is drawn to and repelled by),
//! loves a handful of films and is drawn to their kin (by series, director, theme, genre, time, language, and the circles
//! of `circles.tsv`, films that their lovers name in one breath), prefers films of the home country and of their youth,
//! and otherwise follows fame and chance. Which k films a person watches is one draw without replacement in
//! proportion to `exp(attraction)`; what they say of them follows from taste, the film's quality and mood. In the last six
//! weeks each city discovers a film. The same parameters make the same rows on every machine.

mod cities;
mod dice;
mod films;
mod people;
mod taste;

use std::thread;

use cinedex_domain::{Movie, Progress, RatingScale, Step, User, UserId};
use cinedex_storage::InteractionRow;

use crate::manifest::InputFile;
use crate::{
    DataRoot, DatasetBuilder, DatasetError, DatasetManifest, FORMAT_VERSION, ImportOptions, ImportReport,
    Source,
};
use dice::Gumbel;
use people::{Event, Person, World};
use taste::Attraction;

/// Counts up when the model of taste draws another world from the same tables.
const TASTE_MODEL: u32 = 1;

/// People drawn by one thread at a time.
const CHUNK: usize = 500;

/// The size of the demo world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoParameters {
    /// People, at least 1; default 20,000.
    pub users: usize,
    /// About how many interactions in all; default 1,000,000.
    pub interactions: u64,
    /// Which of the possible worlds; default 1.
    pub seed: u64,
}

impl Default for DemoParameters {
    fn default() -> Self {
        Self { users: 20_000, interactions: 1_000_000, seed: 1 }
    }
}

/// Makes the demo world as the data set `name`.
pub fn import_demo(
    root: &DataRoot,
    name: &str,
    options: &ImportOptions,
    parameters: &DemoParameters,
    progress: Progress<'_>,
) -> Result<ImportReport, DatasetError> {
    check("users", parameters.users as u64, 1_000_000, "the demo world has 1 to 1000000 people")?;
    check("interactions", parameters.interactions, 400_000_000, "they do 1 to 400000000 things")?;
    let mut builder = DatasetBuilder::create(root, name, options)?;
    builder.set_rating_scale(RatingScale::FIVE_STARS);
    for input in inputs(parameters) {
        builder.add_input(input);
    }
    imagine(parameters, progress, &mut builder)?;
    builder.add_notice("the films are real, the people and what they did are imagined");
    builder.finish(Source {
        kind: "demo".to_owned(),
        title: "The Cinedex demo world".to_owned(),
        licence:
            "Facts about films, written for this project; the interactions are simulated, and no person in \
                  them is real. Apache-2.0."
                .to_owned(),
        url: None,
    })
}

/// Whether a stored data set is the demo world that this program would make with the default parameters.
pub fn is_current(manifest: &DatasetManifest) -> bool {
    manifest.format_version == FORMAT_VERSION && manifest.inputs == inputs(&DemoParameters::default())
}

/// What the world is made from: the embedded tables, and how it is drawn from them.
fn inputs(parameters: &DemoParameters) -> Vec<InputFile> {
    let DemoParameters { users, interactions, seed } = parameters;
    let drawn = format!("model {TASTE_MODEL}, {users} users, {interactions} interactions, seed {seed}");
    let tables = [
        ("films.tsv", films::TABLE),
        ("cities.tsv", cities::TABLE),
        ("communities.tsv", taste::COMMUNITIES),
        ("circles.tsv", taste::CIRCLES),
        ("parameters", &drawn),
    ];
    let input = |(file, text): (&str, &str)| InputFile {
        file: file.to_owned(),
        sha256: cinedex_storage::sha256_bytes(text.as_bytes()),
        bytes: text.len() as u64,
    };
    tables.map(input).into()
}

fn check(name: &'static str, found: u64, most: u64, reason: &'static str) -> Result<(), DatasetError> {
    if (1..=most).contains(&found) {
        return Ok(());
    }
    Err(DatasetError::InvalidOption { name, found: found.to_string(), reason })
}

/// Takes the world's rows: films, then people, then what they do, by person and ascending in time.
trait Receiver {
    fn film(&mut self, movie: Movie);
    fn person(&mut self, user: User);
    fn interaction(&mut self, row: InteractionRow<'_>) -> Result<(), DatasetError>;
}

impl Receiver for DatasetBuilder {
    fn film(&mut self, movie: Movie) {
        let new = self.add_movie(movie);
        debug_assert!(new, "the table's ids are unique");
    }

    fn person(&mut self, user: User) {
        let new = self.add_user(user);
        debug_assert!(new, "numbers are unique");
    }

    fn interaction(&mut self, row: InteractionRow<'_>) -> Result<(), DatasetError> {
        self.add_interaction(row)
    }
}

fn imagine(
    parameters: &DemoParameters,
    progress: Progress<'_>,
    receiver: &mut dyn Receiver,
) -> Result<(), DatasetError> {
    let films = films::films();
    let cities = cities::cities(&films::positions(&films));
    let countries = cities.iter().map(|city| city.location.country());
    let attraction = Attraction::new(&films, countries, parameters.seed);
    let gumbel = Gumbel::new();
    let world = World::new(&films, &cities, &attraction, &gumbel, parameters.seed);
    for film in &films {
        receiver.film(film.movie());
    }
    let people: Vec<Person> = (0..parameters.users).map(|number| world.person(number)).collect();
    let ids: Vec<String> = (1..=people.len()).map(|number| number.to_string()).collect();
    for (id, person) in ids.iter().zip(&people) {
        let mut user = User::new(UserId::new(id).expect("a number is an id"));
        user.location = person.placed.then(|| cities[person.city].location.clone());
        user.attributes.insert("age_group".to_owned(), person.age_group.to_owned());
        receiver.person(user);
    }
    let counts = people::counts(&people, parameters.interactions, films.len() / 3);
    for start in (0..people.len()).step_by(2 * CHUNK) {
        let numbers: Vec<usize> = (start..people.len().min(start + 2 * CHUNK)).collect();
        for (number, events) in numbers.iter().zip(lives(&world, &people, &counts, &numbers)) {
            for event in events {
                receiver.interaction(InteractionRow {
                    user_id: &ids[*number],
                    movie_id: films[event.film as usize].id,
                    kind: event.kind,
                    value: event.value,
                    timestamp_ms: Some(event.timestamp_ms),
                    location: people[*number].placed.then(|| cities[event.city as usize].location.as_str()),
                })?;
            }
        }
        progress(Step::new("imagining people", (start + numbers.len()) as u64, Some(people.len() as u64)));
    }
    Ok(())
}

/// The lives of these people, in their order, drawn by two threads.
fn lives(world: &World<'_>, people: &[Person], counts: &[usize], numbers: &[usize]) -> Vec<Vec<Event>> {
    let draw = |numbers: &[usize]| -> Vec<Vec<Event>> {
        numbers.iter().map(|&number| world.life(number, &people[number], counts[number])).collect()
    };
    let (left, right) = numbers.split_at(numbers.len() / 2);
    thread::scope(|scope| {
        let other = scope.spawn(|| draw(right));
        let mut lives = draw(left);
        lives.extend(other.join().expect("drawing a life does not panic"));
        lives
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use cinedex_domain::{InteractionKind, Location, UserId, silent};

    use super::*;

    #[derive(Default)]
    struct Rows {
        users: BTreeMap<UserId, User>,
        interactions: Vec<Row>,
        digest: u64,
    }

    struct Row {
        user: String,
        movie: String,
        kind: InteractionKind,
        value: Option<f32>,
        time: i64,
        place: Option<Location>,
    }

    impl Rows {
        /// FNV-1a.
        fn digest(&mut self, text: &str) {
            for byte in text.bytes() {
                self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
            }
        }
    }

    impl Receiver for Rows {
        fn film(&mut self, movie: Movie) {
            self.digest(movie.movie_id.as_str());
        }

        fn person(&mut self, user: User) {
            let place = user.location.as_ref().map(Location::as_str);
            self.digest(&format!("{} {place:?} {:?}", user.user_id, user.attributes));
            assert!(self.users.insert(user.user_id.clone(), user).is_none());
        }

        fn interaction(&mut self, row: InteractionRow<'_>) -> Result<(), DatasetError> {
            let (kind, value, time, place) = (row.kind, row.value, row.timestamp_ms, row.location);
            self.digest(&format!("{} {} {kind} {value:?} {time:?} {place:?}", row.user_id, row.movie_id));
            self.interactions.push(Row {
                user: row.user_id.to_owned(),
                movie: row.movie_id.to_owned(),
                kind: row.kind,
                value: row.value,
                time: row.timestamp_ms.unwrap(),
                place: row.location.map(|place| place.parse().unwrap()),
            });
            Ok(())
        }
    }

    fn world(users: usize, interactions: u64, seed: u64) -> Rows {
        let mut rows = Rows::default();
        imagine(&DemoParameters { users, interactions, seed }, &silent, &mut rows).unwrap();
        rows
    }

    #[test]
    fn the_same_seed_makes_the_same_world_on_every_machine() {
        assert_eq!(
            world(60, 2000, 1).digest,
            15_466_347_795_866_515_482,
            "a change of the model or the tables changes this number"
        );
        assert_ne!(world(60, 2000, 2).digest, world(60, 2000, 1).digest);
    }

    #[test]
    fn what_people_do_is_in_order_and_within_bounds() {
        let rows = world(300, 12_000, 3);
        assert!((11_500..12_500).contains(&rows.interactions.len()), "{}", rows.interactions.len());
        let mut pairs = BTreeSet::new();
        for row in &rows.interactions {
            assert!(pairs.insert((&row.user, &row.movie)), "{} {}", row.user, row.movie);
            assert!((people::START_MS..people::END_MS).contains(&row.time), "{}", row.time);
            assert_eq!(row.kind == InteractionKind::Rating, row.value.is_some());
            assert!(row.value.is_none_or(|value| (1.0..=10.0).contains(&(2.0 * value)) && (2.0 * value).fract() == 0.0));
        }
        for pair in rows.interactions.windows(2) {
            assert!(pair[0].user != pair[1].user || pair[0].time <= pair[1].time);
        }
        let known = |row: &&Row| rows.users[&row.user.parse().unwrap()].location.is_some();
        assert!(rows.interactions.iter().filter(known).all(|row| row.place.is_some()));
        assert!(rows.users.values().any(|user| user.location.is_none()));
    }

    #[test]
    fn ratings_are_mostly_high_and_some_low() {
        let ratings: Vec<f32> =
            world(400, 20_000, 1).interactions.iter().filter_map(|row| row.value).collect();
        let share = |test: fn(&f32) -> bool| {
            ratings.iter().filter(|value| test(value)).count() as f64 / ratings.len() as f64
        };
        let (high, low) = (share(|value| *value >= 4.0), share(|value| *value <= 2.0));
        assert!((0.58..0.68).contains(&high) && (0.06..0.13).contains(&low), "{high} {low}");
    }

    #[test]
    fn cities_differ_and_the_world_is_in_all_of_them() {
        let rows = world(4000, 200_000, 1);
        let popular = |city: &str| -> Vec<&str> {
            let place: Location = city.parse().unwrap();
            let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
            for row in rows.interactions.iter().filter(|row| row.place.as_ref() == Some(&place)) {
                *counts.entry(&row.movie).or_default() += 1;
            }
            let mut order: Vec<(&str, i32)> = counts.into_iter().collect();
            order.sort_by_key(|(id, count)| (-count, *id));
            order.into_iter().take(15).map(|(id, _)| id).collect()
        };
        let films = films::films();
        let positions = films::positions(&films);
        let from = |list: &[&str], country: &str| {
            list.iter().filter(|id| films[positions[*id]].countries[0] == country).count()
        };
        let (seoul, lagos) = (popular("KR/11/Seoul"), popular("NG/LA/Lagos"));
        assert!(from(&seoul, "KR") >= 4 && from(&lagos, "KR") <= 1, "{seoul:?} {lagos:?}");
        assert!(from(&lagos, "NG") >= 4 && from(&seoul, "NG") == 0, "{seoul:?} {lagos:?}");
        assert!(seoul.iter().any(|id| lagos.contains(id)), "{seoul:?} {lagos:?}");
    }

    #[test]
    fn films_rise_in_the_last_weeks() {
        let films = films::films();
        let cities = cities::cities(&films::positions(&films));
        let rising: BTreeSet<(&str, &str)> = cities
            .iter()
            .flat_map(|city| city.rising.iter().map(|&film| (city.location.as_str(), films[film].id)))
            .collect();
        let (mut all, mut risen) = ([0.0; 2], [0.0; 2]);
        for row in &world(2000, 100_000, 1).interactions {
            let Some(place) = &row.place else { continue };
            let late = usize::from(row.time >= people::LAST_WEEKS_MS);
            all[late] += 1.0;
            risen[late] += f64::from(u8::from(rising.contains(&(place.as_str(), row.movie.as_str()))));
        }
        let rates = [risen[0] / all[0], risen[1] / all[1]];
        assert!(rates[1] > 4.0 * rates[0] && rates[1] < 0.06, "{rates:?}");
    }

    #[test]
    fn who_watches_one_mafia_saga_watches_the_others() {
        let rows = world(4000, 200_000, 1);
        let mut watchers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for row in &rows.interactions {
            watchers.entry(&row.movie).or_default().insert(&row.user);
        }
        let saga = &watchers["the-godfather-1972"];
        let cosine = |other: &BTreeSet<&str>| {
            saga.intersection(other).count() as f64 / ((saga.len() * other.len()) as f64).sqrt()
        };
        let mut near: Vec<(&str, f64)> = watchers.iter().map(|(id, others)| (*id, cosine(others))).collect();
        near.sort_by(|left, right| right.1.total_cmp(&left.1));
        let near: Vec<&str> = near[1..16].iter().map(|(id, _)| *id).collect();
        for id in ["the-godfather-part-ii-1974", "goodfellas-1990"] {
            assert!(near.contains(&id), "{near:?}");
        }
    }

    #[test]
    fn the_world_is_imported_as_any_other_data_set() {
        let directory = tempfile::tempdir().unwrap();
        let root = DataRoot::new(directory.path());
        let parameters = DemoParameters { users: 80, interactions: 3000, seed: 1 };
        let report = import_demo(&root, "demo", &ImportOptions::default(), &parameters, &silent).unwrap();
        assert_eq!((report.manifest.source.kind.as_str(), report.manifest.rejected.total), ("demo", 0));
        let dataset = crate::Dataset::load(&root, "demo").unwrap();
        assert_eq!((dataset.movies.len(), dataset.users.len()), (films::films().len(), 80));
        assert_eq!(dataset.interactions.users.len() as u64, report.manifest.counts.interactions);
        assert!(dataset.users[0].attributes.contains_key("age_group"));
        let again = import_demo(&root, "again", &ImportOptions::default(), &parameters, &silent).unwrap();
        assert_eq!(again.manifest.sha256(), report.manifest.sha256());
    }

    #[test]
    fn a_world_of_no_one_is_refused() {
        let root = DataRoot::new("does-not-matter");
        let refuse = |parameters: DemoParameters| {
            let outcome = import_demo(&root, "demo", &ImportOptions::default(), &parameters, &silent);
            assert!(matches!(outcome, Err(DatasetError::InvalidOption { .. })));
        };
        refuse(DemoParameters { users: 0, ..DemoParameters::default() });
        refuse(DemoParameters { interactions: 0, ..DemoParameters::default() });
    }
}
