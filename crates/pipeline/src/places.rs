//! Popularity by place and of what was liked last: which positive opinion counts where, handed to the model's mathematics and
//! shaped for the index.

use std::collections::{BTreeMap, BTreeSet};

use cinedex_dataset::{Dataset, Interactions, Opinions};
use cinedex_domain::{LIKED, Location, MovieIndex};
use cinedex_index::{Place, PlacePopularity};
use cinedex_model::{PlaceEvent, learn_prior, place_counts, recent_like_counts};

/// What is popular where in a data set.
pub(crate) fn place_popularity(dataset: &Dataset, opinions: &Opinions) -> PlacePopularity {
    let places = Places::of(dataset);
    let events = places.events(&dataset.interactions.locations, opinions);
    let prior = learn_prior(&places.parents, opinions.movie_count, &events);
    let (counts, totals) = place_counts(&places.parents, opinions.movie_count, events);
    let rows = places.locations.into_iter().zip(places.parents).zip(totals);
    let places = rows.map(|((location, parent), events)| Place { location, parent, events }).collect();
    PlacePopularity { places, counts, prior }
}

/// For each movie how many of the last `share` of likes by time are its. Likes without a time are not recent.
pub(crate) fn recent_counts(opinions: &Opinions, share: f32) -> Vec<f32> {
    let dated = |at: &usize| {
        opinions.preferences[*at] >= LIKED && opinions.timestamps_ms[*at] != Interactions::NO_TIME
    };
    let likes = (0..opinions.movies.len()).filter(dated);
    let likes: Vec<(MovieIndex, i64)> =
        likes.map(|at| (MovieIndex(opinions.movies[at]), opinions.timestamps_ms[at])).collect();
    let counts = recent_like_counts(opinions.movie_count, &likes, f64::from(share));
    counts.into_iter().map(|count| count as f32).collect()
}

/// The tree of places of a data set; row 0 is the world, a parent stands before its children.
struct Places {
    /// `None` for the world.
    locations: Vec<Option<Location>>,
    /// `None` for the world.
    parents: Vec<Option<u32>>,
    /// From a row of the data set's table of locations to a row of this tree.
    of_table: Vec<u32>,
    /// From a user to a row of this tree: the user's own place, or the world.
    of_user: Vec<u32>,
}

impl Places {
    fn of(dataset: &Dataset) -> Self {
        let table = &dataset.interactions.location_table;
        let homes = dataset.users.iter().filter_map(|user| user.location.as_ref());
        let mut known: BTreeSet<Location> = BTreeSet::new();
        for location in table.iter().chain(homes) {
            let mut next = Some(location.clone());
            while let Some(location) = next {
                next = location.parent();
                if !known.insert(location) {
                    break;
                }
            }
        }
        // Sorted by path, a parent stands before its children: a path is greater than its own beginning.
        let rows: BTreeMap<&Location, u32> = known.iter().zip(1..).collect();
        let parent = |location: &Location| location.parent().map_or(0, |parent| rows[&parent]);
        let mut parents = vec![None];
        parents.extend(known.iter().map(|location| Some(parent(location))));
        let of_table = table.iter().map(|location| rows[location]).collect();
        let of_user =
            dataset.users.iter().map(|user| user.location.as_ref().map_or(0, |home| rows[home])).collect();
        let mut locations = vec![None];
        locations.extend(known.into_iter().map(Some));
        Self { locations, parents, of_table, of_user }
    }

    /// `locations` are those of the data set's interactions.
    fn events(&self, locations: &[u32], opinions: &Opinions) -> Vec<PlaceEvent> {
        let mut events = Vec::new();
        for user in 0..opinions.user_count {
            for at in opinions.range(user).filter(|&at| opinions.preferences[at] >= LIKED) {
                // An opinion without a place of its own counts at its user's home.
                let own = self.of_table.get(locations[opinions.rows[at] as usize] as usize).copied();
                let place = own.unwrap_or(self.of_user[user]);
                events.push(PlaceEvent { place, user: user as u32, movie: opinions.movies[at] });
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::{NAME, small};
    use cinedex_domain::PreferencePolicy;

    #[test]
    fn an_ancestor_counts_what_its_places_count() {
        let (_folder, root) = small();
        let dataset = Dataset::load(&root, NAME).unwrap();
        let popularity = place_popularity(&dataset, &Opinions::of(&dataset, &PreferencePolicy::default()));
        let of = |path: Option<&str>| {
            let location = path.map(|path| path.parse().unwrap());
            popularity.places.iter().position(|place| place.location == location).unwrap()
        };
        let count = |path: Option<&str>, movie| popularity.counts.get(of(path), movie).unwrap_or_default();
        assert_eq!(popularity.places.len(), 7, "the world, two countries, two regions, two cities");
        for path in [Some("KR/11/Seoul"), Some("KR/11"), Some("KR"), None] {
            // 19 likes less those who left it out, and user 0's rating; a dislike never counts.
            assert_eq!(count(path, 0), 17.0, "{path:?}");
        }
        assert_eq!(count(Some("NG"), 0), 0.0);
        let events: Vec<u64> =
            [None, Some("KR"), Some("NG")].map(|path| popularity.places[of(path)].events).into();
        assert_eq!(events[0], events[1] + events[2]);
        assert_eq!(popularity.prior.len(), 4);
    }

    #[test]
    fn the_last_likes_are_counted_wherever_they_were() {
        let opinions = Opinions {
            user_count: 2,
            movie_count: 4,
            offsets: vec![0, 3, 6],
            movies: vec![0, 1, 2, 0, 1, 3],
            preferences: vec![1.0, 1.0, 1.0, 1.0, -1.0, 0.8],
            timestamps_ms: vec![5, 1, Interactions::NO_TIME, 2, 9, 4],
            rows: vec![0; 6],
        };
        assert_eq!(recent_counts(&opinions, 0.5), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(recent_counts(&opinions, 1.0), [2.0, 1.0, 0.0, 1.0]);
        assert_eq!(recent_counts(&opinions, 0.0), [0.0; 4]);
    }
}
