//! Popularity by place: which positive opinion counts where, handed to the model's mathematics and shaped for the index.

use std::collections::{BTreeMap, BTreeSet};

use cinedex_dataset::Dataset;
use cinedex_domain::Location;
use cinedex_index::{Place, PlacePopularity};
use cinedex_model::{PlaceEvent, learn_prior, place_counts};

use crate::opinions::Opinions;

/// An opinion counts for popularity from this strength on: full likes and watches do, a lukewarm rating does not.
const COUNTED_FROM: f32 = 0.5;

/// What is popular where in a data set.
pub(crate) fn place_popularity(dataset: &Dataset, opinions: &Opinions) -> PlacePopularity {
    let places = Places::of(dataset);
    let events = places.events(opinions);
    let prior = learn_prior(&places.parents, opinions.movie_count, &events);
    let (counts, totals) = place_counts(&places.parents, opinions.movie_count, events);
    let rows = places.locations.into_iter().zip(places.parents).zip(totals);
    let places = rows.map(|((location, parent), events)| Place { location, parent, events }).collect();
    PlacePopularity { places, counts, prior }
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

    fn events(&self, opinions: &Opinions) -> Vec<PlaceEvent> {
        let mut events = Vec::new();
        for user in 0..opinions.user_count {
            for at in opinions.range(user).filter(|&at| opinions.preferences[at] >= COUNTED_FROM) {
                // An opinion without a place of its own counts at its user's home.
                let own = self.of_table.get(opinions.locations[at] as usize).copied();
                let place = own.unwrap_or(self.of_user[user]);
                events.push(PlaceEvent { place, user: user as u32, movie: opinions.movies[at] });
            }
        }
        events
    }
}
