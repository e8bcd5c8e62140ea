//! The people of the demo world and what they do: who they are, which films they choose, when, and what they think.

use cinedex_domain::InteractionKind;

use super::cities::City;
use super::dice::{Dice, Gumbel, exp};
use super::films::Film;
use super::taste::Attraction;

const DAY_MS: i64 = 86_400_000;
/// 2024-07-01T00:00:00Z, when the time line begins.
pub(super) const START_MS: i64 = 1_719_792_000_000;
/// 2026-06-30T00:00:00Z, when it ends.
pub(super) const END_MS: i64 = 1_782_777_600_000;
/// Where the last weeks begin, in which films rise.
pub(super) const LAST_WEEKS_MS: i64 = END_MS - 42 * DAY_MS;
/// The ages in years at which an age group begins, and its name.
const AGE_GROUPS: [(u16, &str); 5] =
    [(14, "14-17"), (18, "18-24"), (25, "25-39"), (40, "40-54"), (55, "55+")];
const AGE_GROUP_WEIGHTS: [f64; 5] = [0.07, 0.22, 0.36, 0.23, 0.12];

/// The world as far as it is the same for all people.
pub(super) struct World<'a> {
    pub(super) films: &'a [Film],
    pub(super) cities: &'a [City],
    pub(super) attraction: &'a Attraction,
    pub(super) gumbel: &'a Gumbel,
    /// By film: no one sees it before.
    pub(super) released_ms: Vec<i64>,
    pub(super) seed: u64,
}

/// One person.
pub(super) struct Person {
    pub(super) city: usize,
    /// Whether the place is known to the app.
    pub(super) placed: bool,
    pub(super) age_group: &'static str,
    age: u16,
    /// Relative number of films.
    activity: f64,
    /// How far chance decides, about 1.
    openness: f32,
    /// How much home matters, about 1.
    locality: f32,
    /// Communities with their weights, which sum to 1.
    communities: Vec<(usize, f32)>,
    /// Added to every rating.
    mildness: f64,
    joined_ms: i64,
    left_ms: i64,
}

/// One thing that a person did.
pub(super) struct Event {
    pub(super) film: u32,
    pub(super) city: u32,
    pub(super) kind: InteractionKind,
    pub(super) value: Option<f32>,
    pub(super) timestamp_ms: i64,
}

impl<'a> World<'a> {
    /// Draws what is left to chance about the films: the day of release within their year.
    pub(super) fn new(
        films: &'a [Film],
        cities: &'a [City],
        attraction: &'a Attraction,
        gumbel: &'a Gumbel,
        seed: u64,
    ) -> Self {
        let mut dice = Dice::new(seed, 1);
        let year_ms = |year: u16| (i64::from(year) - 1970) * DAY_MS * 1461 / 4;
        let released_ms =
            films.iter().map(|film| year_ms(film.year) + dice.below(340) as i64 * DAY_MS).collect();
        Self { films, cities, attraction, gumbel, released_ms, seed }
    }

    /// Draws person number `number`.
    pub(super) fn person(&self, number: usize) -> Person {
        let dice = &mut Dice::new(self.seed, 2 + 2 * number as u64);
        let weights: Vec<f64> = self.cities.iter().map(|city| city.weight).collect();
        let city = dice.pick(&weights);
        let group = dice.pick(&AGE_GROUP_WEIGHTS);
        let (from, age_group) = AGE_GROUPS[group];
        let until = AGE_GROUPS.get(group + 1).map_or(80, |(from, _)| *from);
        let age = from + dice.below(usize::from(until - from)) as u16;
        let communities = self.communities(dice, city);
        let span = (END_MS - START_MS) as f64;
        let joined_ms =
            if dice.chance(0.3) { START_MS } else { START_MS + (span * 0.96 * dice.unit()) as i64 };
        let left_ms = if dice.chance(0.65) {
            END_MS
        } else {
            joined_ms + ((END_MS - joined_ms) as f64 * dice.unit()) as i64
        };
        Person {
            city,
            placed: !dice.chance(0.03),
            age_group,
            age,
            activity: exp(0.75 * dice.normal()),
            openness: dice.between(0.7, 1.2) as f32,
            locality: dice.between(0.4, 1.6) as f32,
            communities,
            mildness: 0.3 * dice.normal(),
            joined_ms,
            left_ms,
        }
    }

    /// Two to four communities, more likely those whose films are from here.
    fn communities(&self, dice: &mut Dice, city: usize) -> Vec<(usize, f32)> {
        let country = self.cities[city].location.country();
        let communities = self.attraction.communities.iter();
        let mut weights: Vec<f64> = communities
            .map(|community| community.share * (0.5 + 3.5 * f64::from(community.nearness[country])))
            .collect();
        let count = 2 + dice.pick(&[0.45, 0.4, 0.15]);
        let mut chosen = Vec::with_capacity(count);
        for _ in 0..count {
            let community = dice.pick(&weights);
            weights[community] = 0.0;
            chosen.push((community, dice.between(0.3, 1.0) as f32));
        }
        let sum: f32 = chosen.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut chosen {
            *weight /= sum;
        }
        chosen
    }

    /// What `person` does with `count` films or a few less, ascending in time.
    pub(super) fn life(&self, number: usize, person: &Person, count: usize) -> Vec<Event> {
        let dice = &mut Dice::new(self.seed, 3 + 2 * number as u64);
        let (pull, taste) = self.wishes(dice, person);
        let (before, lately) = self.choose(person, pull, count);
        let mut chosen =
            self.schedule(dice, person, &before, person.joined_ms, person.left_ms.min(LAST_WEEKS_MS));
        chosen.extend(self.schedule(
            dice,
            person,
            &lately,
            person.joined_ms.max(LAST_WEEKS_MS),
            person.left_ms,
        ));
        chosen.sort_unstable_by_key(|&(time, _, film)| (time, film));
        let tastes: Vec<f32> = chosen.iter().map(|&(_, _, film)| taste[film]).collect();
        let mean = tastes.iter().sum::<f32>() / tastes.len().max(1) as f32;
        let variance = tastes.iter().map(|taste| (taste - mean) * (taste - mean)).sum::<f32>()
            / tastes.len().max(1) as f32;
        let spread = f64::from(variance.sqrt()) + 0.3;
        chosen
            .into_iter()
            .map(|(timestamp_ms, city, film)| {
                let match_ = f64::from(taste[film] - mean) / spread;
                let opinion =
                    4.27 + person.mildness + 0.7 * match_ + 0.3 * f64::from(self.attraction.quality[film]);
                let (kind, value) = verdict(dice, opinion);
                Event { film: film as u32, city: city as u32, kind, value, timestamp_ms }
            })
            .collect()
    }

    /// By film: how strongly it draws the person this once, chance included, and how well it matches their taste.
    fn wishes(&self, dice: &mut Dice, person: &Person) -> (Vec<f32>, Vec<f32>) {
        let city = &self.cities[person.city];
        let home = &self.attraction.home[city.location.country()];
        let mut taste = vec![0.0_f32; self.films.len()];
        for &(community, weight) in &person.communities {
            add(&mut taste, 1.15 * weight, &self.attraction.communities[community].pull);
        }
        add(&mut taste, 0.3 * person.locality, home);
        let mut first = self.attraction.prior.clone();
        add(&mut first, 1.0, &taste);
        add(&mut first, 0.7 * person.locality, home);
        for &film in &city.favorites {
            first[film] += 1.3;
        }
        self.add_age(person, &mut first);
        let mut pull = first.clone();
        self.gumbel.add(dice, 1.0, &mut first);
        let loved = largest(&first, 3 + dice.below(5));
        let weight = 1.35 / (loved.len() as f32).sqrt();
        for &film in &loved {
            add(&mut pull, weight, self.attraction.kin(film));
            add(&mut taste, weight, self.attraction.kin(film));
            pull[film] += 2.5;
            taste[film] += 1.5;
        }
        self.gumbel.add(dice, person.openness, &mut pull);
        (pull, taste)
    }

    /// Films of one's youth are dearer, films from long before one's birth further away, and some not yet allowed.
    fn add_age(&self, person: &Person, pull: &mut [f32]) {
        let born = 2025 - i32::from(person.age);
        for (film, pull) in self.films.iter().zip(pull) {
            let age_then = i32::from(film.year) - born;
            if (8..=24).contains(&age_then) {
                *pull += 0.45;
            }
            *pull -= 0.006 * (-age_then).max(0) as f32;
            if u16::from(film.minimum_age) > person.age {
                *pull = f32::NEG_INFINITY;
            }
        }
    }

    /// The films before and in the last weeks, when others pull.
    fn choose(&self, person: &Person, mut pull: Vec<f32>, count: usize) -> (Vec<usize>, Vec<usize>) {
        let lately_ms = (person.left_ms - person.joined_ms.max(LAST_WEEKS_MS)).max(0);
        let share = lately_ms as f64 / (person.left_ms - person.joined_ms).max(1) as f64;
        let lately_count = (share.sqrt().min(1.0) * 0.45 * count as f64) as usize;
        let lately_count = if person.joined_ms >= LAST_WEEKS_MS { count } else { lately_count };
        let rising = &self.cities[person.city].rising;
        let last_ms = person.left_ms.min(LAST_WEEKS_MS);
        let mut early = pull.clone();
        for (film, pull) in early.iter_mut().enumerate() {
            if self.released_ms[film] > last_ms {
                *pull = f32::NEG_INFINITY;
            }
        }
        for &film in rising {
            early[film] -= 0.4;
        }
        let before = largest(&early, count - lately_count);
        for &film in &before {
            pull[film] = f32::NEG_INFINITY;
        }
        for &film in rising {
            pull[film] += 1.6;
        }
        (before, largest(&pull, lately_count))
    }

    /// Spreads films over sessions between two times: `(time, city, film)`.
    fn schedule(
        &self,
        dice: &mut Dice,
        person: &Person,
        films: &[usize],
        from_ms: i64,
        until_ms: i64,
    ) -> Vec<(i64, usize, usize)> {
        if films.is_empty() {
            return Vec::new();
        }
        let mut sessions: Vec<Session> =
            (0..=films.len() / 6).map(|_| self.session(dice, person, from_ms, until_ms)).collect();
        sessions.sort_unstable_by_key(|session| session.next_ms);
        let mut order: Vec<usize> = films.to_vec();
        for position in (1..order.len()).rev() {
            order.swap(position, dice.below(position + 1));
        }
        let mut scheduled = Vec::with_capacity(films.len());
        for film in order {
            let first = sessions.partition_point(|session| session.begins_ms < self.released_ms[film]);
            let Some(possible) = sessions.get_mut(first..).filter(|rest| !rest.is_empty()) else { continue };
            // People rate much of what they know on their first evening.
            let position = if dice.chance(0.25) { 0 } else { dice.below(possible.len()) };
            let session = &mut possible[position];
            session.next_ms += dice.between(25_000.0, 300_000.0) as i64;
            scheduled.push((session.next_ms.min(END_MS - 1), session.city, film));
        }
        scheduled
    }

    /// An evening, by local time, at home or now and then elsewhere.
    fn session(&self, dice: &mut Dice, person: &Person, from_ms: i64, until_ms: i64) -> Session {
        let weights: Vec<f64> = self.cities.iter().map(|city| city.weight).collect();
        let city = if dice.chance(0.03) { dice.pick(&weights) } else { person.city };
        let time = from_ms + ((until_ms - from_ms) as f64 * dice.unit()) as i64;
        let hour = 20.0 + 1.8 * dice.normal();
        let local =
            time.div_euclid(DAY_MS) * DAY_MS + (hour * 3_600_000.0) as i64 - self.cities[city].utc_offset_ms;
        let begins_ms = local.clamp(from_ms, until_ms.max(from_ms));
        Session { begins_ms, next_ms: begins_ms, city }
    }
}

struct Session {
    begins_ms: i64,
    next_ms: i64,
    city: usize,
}

/// How many films each of `people` does something with: log-normal, at least `least`, in sum about `total`.
pub(super) fn counts(people: &[Person], total: u64, most: usize) -> Vec<usize> {
    let mean = total as f64 / people.len().max(1) as f64;
    let least = mean.min(15.0);
    let count =
        |scale: f64, person: &Person| (scale * person.activity).clamp(least, (most as f64).max(least));
    let (mut low, mut high) = (0.0, 100.0 * mean);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        let sum: f64 = people.iter().map(|person| count(middle, person)).sum();
        if sum < total as f64 { low = middle } else { high = middle }
    }
    people.iter().map(|person| (count(high, person) + 0.5) as usize).collect()
}

/// What an opinion on the scale of half a star to five becomes.
fn verdict(dice: &mut Dice, opinion: f64) -> (InteractionKind, Option<f32>) {
    // Now and then a film disappoints, more often one that does not match.
    let disappointment = if dice.chance(0.2 - 0.1 * (opinion - 4.0).clamp(-1.0, 1.0)) { 1.8 } else { 0.0 };
    let stars = ((opinion - disappointment + 0.55 * dice.normal()) * 2.0 + 0.5).clamp(1.0, 10.0) as u8;
    let value = f32::from(stars) / 2.0;
    match dice.unit() {
        way if way < 0.78 => (InteractionKind::Rating, Some(value)),
        way if way < 0.88 && value >= 3.5 => (InteractionKind::Like, None),
        way if way < 0.88 && value <= 2.5 => (InteractionKind::Dislike, None),
        way if way < 0.93 && value >= 4.5 => (InteractionKind::Favorite, None),
        _ => (InteractionKind::Watch, None),
    }
}

fn add(sum: &mut [f32], weight: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

/// The positions of the `count` largest finite values, largest first; ties by position.
fn largest(values: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).filter(|&position| values[position].is_finite()).collect();
    let compare =
        |left: &usize, right: &usize| values[*right].total_cmp(&values[*left]).then(left.cmp(right));
    if count < order.len() {
        if count == 0 {
            return Vec::new();
        }
        order.select_nth_unstable_by(count - 1, compare);
        order.truncate(count);
    }
    order.sort_unstable_by(compare);
    order
}
