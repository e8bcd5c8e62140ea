//! Popularity of places: each place's counts shrunk towards the rates of the place around it, as strongly as predicts
//! held-out users best. The predictive mean of a Dirichlet-multinomial whose prior is the parent:
//! `rate = (count + strength parent_rate) / (events + strength)`.

use cinedex_vectors::Csr;

/// Of each place, one user in this many is held out to learn the prior.
const FOLDS: u64 = 5;
/// Strength for countries where nothing can be learned: about a thousand users of ten events.
const DEFAULT_STRENGTH: f32 = 10_000.0;
/// Strengths that are tried: four a decade from 1 to 10^8.
const STEPS_A_DECADE: i32 = 4;
const DECADES: i32 = 8;

/// One positive event at the narrowest place that is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceEvent {
    /// Row of the place.
    pub place: u32,
    /// Row of the user.
    pub user: u32,
    /// Row of the movie.
    pub movie: u32,
}

/// Counts events by place × movie; an ancestor's row includes its descendants. `parents[place]` is the row of the place
/// around it, smaller than its own; row 0 is the world and has none. Also the number of events of each place. Panics if a row is out
/// of range or a parent does not come first.
pub fn place_counts(
    parents: &[Option<u32>],
    movie_count: usize,
    events: impl IntoIterator<Item = PlaceEvent>,
) -> (Csr<f32>, Vec<u64>) {
    assert!(
        parents.iter().enumerate().all(|(place, parent)| match parent {
            None => place == 0,
            Some(parent) => (*parent as usize) < place,
        }),
        "the world comes first and every parent before its places"
    );
    let mut totals = vec![0u64; parents.len()];
    let mut triplets = Vec::new();
    for event in events {
        let mut at = Some(event.place);
        while let Some(place) = at {
            totals[place as usize] += 1;
            triplets.push((place, event.movie, 1.0));
            at = parents[place as usize];
        }
    }
    (Csr::from_triplets_by(parents.len(), movie_count, triplets, |kept, given| kept + given), totals)
}

/// A place's rates: dense over movies, summing to 1 if the parent's do. `counts` are the place's movies and counts, `events`
/// their number, `strength` how many events the parent's rates weigh. Without events or strength it is the parent's rates.
pub fn shrunk_rates(parent_rates: &[f32], counts: (&[u32], &[f32]), events: f32, strength: f32) -> Vec<f32> {
    let total = events + strength;
    if total <= 0.0 {
        return parent_rates.to_vec();
    }
    let mut rates: Vec<f32> = parent_rates.iter().map(|rate| strength * rate / total).collect();
    for (&movie, count) in counts.0.iter().zip(counts.1) {
        rates[movie as usize] += count / total;
    }
    rates
}

/// What the world's rates are shrunk towards: every movie alike.
pub fn uniform_rates(movie_count: usize) -> Vec<f32> {
    vec![1.0 / movie_count.max(1) as f32; movie_count]
}

/// Learns the strength of the prior in events, one for each level: 0 the world (towards every movie alike), 1 countries,
/// 2 regions, 3 cities. A fifth of the users, chosen by their row, is held out, and each level in turn takes the strength under
/// which their events are likeliest, given the strengths above it. A level of which nothing can be learned takes the
/// strength of the level above, countries 10,000 events, the world a tenth of an event for each movie. Arguments as in
/// [`place_counts`].
pub fn learn_prior(parents: &[Option<u32>], movie_count: usize, events: &[PlaceEvent]) -> Vec<f32> {
    let held_out = |event: &&PlaceEvent| is_held_out(event.user);
    let (known, totals) =
        place_counts(parents, movie_count, events.iter().filter(|event| !is_held_out(event.user)).copied());
    let (hidden, _) = place_counts(parents, movie_count, events.iter().filter(held_out).copied());
    let levels = levels(parents);
    let depth = levels.iter().copied().max().map_or(0, |deepest| deepest + 1);
    let mut tree = Tree { parents, levels: &levels, known: &known, totals: &totals, strengths: Vec::new() };
    for level in 0..depth {
        let strength = tree.likeliest(level, movie_count, &hidden);
        let fallback = match level {
            0 => movie_count as f32 / 10.0,
            1 => DEFAULT_STRENGTH,
            _ => tree.strengths[level - 1],
        };
        tree.strengths.push(strength.unwrap_or(fallback));
    }
    tree.strengths
}

/// What is known of all places, and the strengths of the levels learned so far.
struct Tree<'a> {
    parents: &'a [Option<u32>],
    levels: &'a [usize],
    known: &'a Csr<f32>,
    totals: &'a [u64],
    strengths: Vec<f32>,
}

impl Tree<'_> {
    /// The strength for `level` under which the hidden events of its places are likeliest; `None` if there are none, or
    /// nothing is known of the places that have them.
    fn likeliest(&self, level: usize, movie_count: usize, hidden: &Csr<f32>) -> Option<f32> {
        let candidates: Vec<f64> = (0..=STEPS_A_DECADE * DECADES)
            .map(|step| 10f64.powf(f64::from(step) / f64::from(STEPS_A_DECADE)))
            .collect();
        let mut likelihoods = vec![0.0f64; candidates.len()];
        let mut evidence = false;
        let mut around: Option<(Option<u32>, Vec<f32>)> = None;
        for place in self.places_by_parent(level) {
            let (movies, counts) = hidden.row(place);
            if movies.is_empty() || self.totals[place] == 0 {
                continue;
            }
            evidence = true;
            let parent = self.parents[place];
            if around.as_ref().is_none_or(|(of, _)| *of != parent) {
                around = Some((parent, self.rates(parent, movie_count)));
            }
            let rates = around.as_ref().map_or(&[][..], |(_, rates)| rates);
            self.add_likelihoods(place, rates, (movies, counts), &candidates, &mut likelihoods);
        }
        let best = (0..candidates.len()).max_by(|&a, &b| likelihoods[a].total_cmp(&likelihoods[b]))?;
        evidence.then_some(candidates[best] as f32)
    }

    fn add_likelihoods(
        &self,
        place: usize,
        parent_rates: &[f32],
        hidden: (&[u32], &[f32]),
        candidates: &[f64],
        likelihoods: &mut [f64],
    ) {
        let total = self.totals[place] as f64;
        let (movies, counts) = self.known.row(place);
        let mut position = 0;
        for (&movie, &times) in hidden.0.iter().zip(hidden.1) {
            while position < movies.len() && movies[position] < movie {
                position += 1;
            }
            let known = movies.get(position).filter(|&&at| at == movie).map_or(0.0, |_| counts[position]);
            let rate = f64::from(parent_rates[movie as usize]);
            for (likelihood, strength) in likelihoods.iter_mut().zip(candidates) {
                let predicted = (f64::from(known) + strength * rate) / (total + strength);
                *likelihood += f64::from(times) * predicted.max(f64::MIN_POSITIVE).ln();
            }
        }
    }

    /// Rates of a place of a level that is learned already; of nothing every movie alike.
    fn rates(&self, place: Option<u32>, movie_count: usize) -> Vec<f32> {
        let Some(place) = place.map(|place| place as usize) else { return uniform_rates(movie_count) };
        let parent = self.rates(self.parents[place], movie_count);
        let strength = self.strengths[self.levels[place]];
        shrunk_rates(&parent, self.known.row(place), self.totals[place] as f32, strength)
    }

    /// Places of a level, those of one parent together.
    fn places_by_parent(&self, level: usize) -> Vec<usize> {
        let mut places: Vec<usize> =
            (0..self.parents.len()).filter(|&place| self.levels[place] == level).collect();
        places.sort_by_key(|&place| self.parents[place]);
        places
    }
}

/// How many places are around each.
fn levels(parents: &[Option<u32>]) -> Vec<usize> {
    let mut levels = Vec::with_capacity(parents.len());
    for parent in parents {
        levels.push(parent.map_or(0, |parent| levels[parent as usize] + 1));
    }
    levels
}

/// A fifth of the users, spread by a mixing of their row's bits.
fn is_held_out(user: u32) -> bool {
    (u64::from(user).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).is_multiple_of(FOLDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// World, two countries, one city in the first.
    const PARENTS: [Option<u32>; 4] = [None, Some(0), Some(0), Some(1)];

    /// Users of a place, each with `per_user` events of movies from `pick(user, event)`.
    fn crowd(
        place: u32,
        users: std::ops::Range<u32>,
        per_user: u32,
        pick: fn(u32, u32) -> u32,
    ) -> Vec<PlaceEvent> {
        users
            .flat_map(|user| {
                (0..per_user).map(move |event| PlaceEvent { place, user, movie: pick(user, event) })
            })
            .collect()
    }

    fn mixed(user: u32, event: u32) -> u32 {
        (user.wrapping_mul(2_654_435_761).wrapping_add(event.wrapping_mul(40_503)) >> 7) % 20
    }

    #[test]
    fn counts_include_what_is_inside() {
        let event = |place, movie| PlaceEvent { place, user: 0, movie };
        let (counts, totals) =
            place_counts(&PARENTS, 3, [event(3, 2), event(1, 2), event(2, 0), event(0, 1)]);
        assert_eq!(totals, [4, 2, 1, 1]);
        assert_eq!(counts.row(0), (&[0, 1, 2][..], &[1.0, 1.0, 2.0][..]));
        assert_eq!(counts.row(1), (&[2][..], &[2.0][..]));
    }

    #[test]
    fn rates_are_a_mean_of_place_and_parent() {
        let rates = shrunk_rates(&[0.5, 0.5], (&[1], &[30.0]), 30.0, 10.0);
        assert_eq!(rates, [0.125, 0.875]);
        assert_eq!(shrunk_rates(&[0.5, 0.5], (&[], &[]), 0.0, 10.0), [0.5, 0.5]);
        assert_eq!(shrunk_rates(&[0.5, 0.5], (&[], &[]), 0.0, 0.0), [0.5, 0.5]);
    }

    #[test]
    fn places_alike_are_shrunk_more_than_places_apart() {
        let alike = [crowd(1, 0..500, 8, mixed), crowd(2, 500..1000, 8, mixed)].concat();
        let apart = [
            crowd(1, 0..500, 8, |u, e| mixed(u, e) / 2),
            crowd(2, 500..1000, 8, |u, e| 19 - mixed(u, e) / 2),
        ];
        let (alike, apart) = (learn_prior(&PARENTS, 20, &alike), learn_prior(&PARENTS, 20, &apart.concat()));
        assert!(alike[1] > 20.0 * apart[1], "{alike:?} {apart:?}");
    }

    #[test]
    fn users_of_one_mind_teach_more_shrinkage_than_as_many_events() {
        // The first country leans a little to the first movies; as many events, of many users or of few.
        let lean = |movie: u32, time: u32| if time.is_multiple_of(4) { movie / 2 } else { movie };
        let loners: Vec<PlaceEvent> = (0..4800)
            .map(|user| {
                let movie = mixed(user, 0);
                let first = user < 2400;
                PlaceEvent {
                    place: if first { 1 } else { 2 },
                    user,
                    movie: if first { lean(movie, user) } else { movie },
                }
            })
            .collect();
        let repeaters: Vec<PlaceEvent> = loners
            .iter()
            .map(|event| PlaceEvent {
                user: event.user / 40,
                movie: loners[(event.user / 40 * 40) as usize].movie,
                ..*event
            })
            .collect();
        let [loners, repeaters] = [loners, repeaters].map(|events| learn_prior(&PARENTS, 20, &events));
        assert!(repeaters[1] > loners[1], "{loners:?} {repeaters:?}");
    }

    #[test]
    fn places_without_data_do_no_harm() {
        assert_eq!(learn_prior(&PARENTS, 20, &[]), [2.0, DEFAULT_STRENGTH, DEFAULT_STRENGTH]);
        assert_eq!(learn_prior(&[None], 0, &[]), [0.0]);
        let country_only = crowd(1, 0..200, 8, mixed);
        let learned = learn_prior(&PARENTS, 20, &country_only);
        assert!(learned.len() == 3 && learned[2] == learned[1], "{learned:?}");
        assert!(learned.iter().all(|strength| strength.is_finite()));
    }
}
