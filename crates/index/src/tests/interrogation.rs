//! Asks a bundle everything that there is to ask, and holds the answers against what they must be whatever the numbers of its
//! files say: indices of its own movies, allowed, each once, in order. The fuzz target takes this file in as well.

use cinedex_domain::{Location, MovieFilter, MovieIndex, UserIndex};
use cinedex_vectors::Scored;

use crate::{Allowed, Bundle, PlaceIndex, Strategy};

/// Rows asked about at most, spread over all.
const ASKED: usize = 4;

/// Every way to be answered, at its extremes.
const STRATEGIES: [Strategy; 5] = [
    Strategy::Scan,
    Strategy::Each,
    Strategy::Graph { ef: 0 },
    Strategy::Graph { ef: 12 },
    Strategy::Graph { ef: u32::MAX },
];

/// Panics if an answer cannot be. Returns how many films were answered.
pub(crate) fn interrogate(bundle: &Bundle) -> usize {
    let count = bundle.movie_count();
    let mut answered = ask_catalogue(bundle) + ask_users(bundle);
    for allowed in filters(count) {
        for movie in spread(count) {
            for k in [1, 10, usize::MAX] {
                let found = bundle.similar(MovieIndex(movie), k, &allowed).items;
                assert!(found.iter().all(|scored| scored.index != movie), "a film resembles itself");
                answered += check(&found, k, &allowed);
            }
            for strategy in STRATEGIES {
                let found = bundle.similar_by(MovieIndex(movie), 10, &allowed, strategy).items;
                assert!(found.iter().all(|scored| scored.index != movie), "a film resembles itself");
                answered += check(&found, 10, &allowed);
            }
        }
        for vector in vectors(bundle) {
            for k in [10, usize::MAX] {
                let found = bundle.for_user(&vector, k, &allowed).items;
                assert!(found.is_empty() || found.len() == k.min(allowed.count()), "{} of {k}", found.len());
                answered += check(&found, k, &allowed);
            }
            for strategy in STRATEGIES {
                let found = bundle.for_user_by(&vector, 10, &allowed, strategy).items;
                answered += check(&found, 10, &allowed);
            }
        }
        for place in spread(bundle.popularity().places().count()) {
            answered += check(&bundle.popularity().ranking(PlaceIndex(place), 10, &allowed), 10, &allowed);
        }
    }
    answered
}

/// Allowed, each once, in order.
fn check(found: &[Scored], k: usize, allowed: &Allowed) -> usize {
    assert!(found.len() <= k && found.len() <= allowed.count(), "{} films for {k}", found.len());
    assert!(found.iter().all(|scored| allowed.contains(scored.index)), "a film that is not allowed");
    assert!(found.iter().all(|scored| !scored.score.is_nan()), "a score that is no number");
    for pair in found.windows(2) {
        let ordered =
            pair[0].score > pair[1].score || pair[0].score == pair[1].score && pair[0].index < pair[1].index;
        assert!(ordered, "{pair:?}");
    }
    let mut indices: Vec<u32> = found.iter().map(|scored| scored.index).collect();
    indices.sort_unstable();
    assert!(indices.windows(2).all(|pair| pair[0] < pair[1]), "one film twice");
    found.len()
}

fn filters(count: usize) -> Vec<Allowed> {
    let every = |step: usize| {
        let mut allowed = Allowed::none(count);
        allowed.extend((0..count as u32).step_by(step));
        allowed
    };
    vec![Allowed::all(count), every(3), Allowed::none(count)]
}

/// Rows from the first to the last.
fn spread(count: usize) -> impl Iterator<Item = u32> {
    let step = count.div_ceil(ASKED).max(1);
    (0..count).step_by(step).chain(count.checked_sub(1)).map(|row| row as u32)
}

/// Vectors of users, of films, and some that nobody has.
fn vectors(bundle: &Bundle) -> Vec<Vec<f32>> {
    let dimension = bundle.settings().dimension;
    let mut vectors =
        vec![vec![0.0; dimension], vec![1.0; dimension], vec![-1e6; dimension], vec![f32::NAN; dimension]];
    if let Some(users) = bundle.user_factors() {
        vectors.extend(spread(users.rows()).map(|row| users.row(row as usize).to_vec()));
    }
    vectors.extend(
        spread(bundle.movie_count()).take(2).map(|row| bundle.movie_factors().row(row as usize).to_vec()),
    );
    vectors
}

/// Users of like taste.
fn ask_users(bundle: &Bundle) -> usize {
    let everyone = Allowed::all(bundle.user_count());
    let mut answered = bundle.embedded_user_count();
    for user in spread(bundle.user_count()) {
        for k in [0, 1, 10, usize::MAX] {
            let found = bundle.user_neighbors(UserIndex(user), k).items;
            assert!(found.iter().all(|scored| scored.index != user), "a user is their own neighbour");
            answered += check(&found, k, &everyone);
        }
        for strategy in STRATEGIES {
            let found = bundle.user_neighbors_by(UserIndex(user), 10, strategy).items;
            assert!(found.iter().all(|scored| scored.index != user), "a user is their own neighbour");
            answered += check(&found, 10, &everyone);
        }
    }
    for vector in vectors(bundle) {
        answered += check(&bundle.nearest_users(&vector, 10), 10, &everyone);
    }
    answered
}

/// Everything but nearest neighbours.
fn ask_catalogue(bundle: &Bundle) -> usize {
    let count = bundle.movie_count();
    for movie in (0..count as u32).map(MovieIndex) {
        let facts = bundle.movie(movie);
        assert_eq!(bundle.movie_index(facts.movie_id()), Some(movie));
        assert_eq!(facts.to_movie().title, facts.title());
        bundle.has_embedding(movie);
    }
    let mut answered = 0;
    for filter in metadata_filters(bundle) {
        let allowed = bundle.filter(&filter).expect("its own genres");
        assert_eq!(allowed.len(), count);
        let movies = || (0..count as u32).map(|row| bundle.movie(MovieIndex(row)).to_movie());
        let expect = movies().map(|movie| filter.allows(&movie));
        assert!(expect.eq((0..count as u32).map(|row| allowed.contains(row))), "{filter:?}");
        answered += allowed.iter().inspect(|&movie| assert!((movie as usize) < count)).count();
    }
    for user in (0..bundle.user_count() as u32).map(UserIndex) {
        assert_eq!(bundle.user_index(bundle.user_id(user)), Some(user));
        bundle.user_location(user);
        let history = bundle.history(user);
        assert!(history.movies.iter().all(|&movie| (movie as usize) < count), "a film that there is not");
        assert!(history.preferences.iter().all(|preference| preference.is_finite()));
        assert_eq!(history.movies.len(), history.timestamps_ms.len());
    }
    let popularity = bundle.popularity();
    for place in popularity.places() {
        let rates = popularity.rates(place.place);
        assert!(rates.len() == count && rates.iter().all(|rate| rate.is_finite() && *rate >= 0.0));
    }
    let fresno: Option<Location> = "US/CA/Fresno".parse().ok();
    for (location, events) in
        [(None, 0), (fresno.as_ref(), 0), (fresno.as_ref(), 1), (fresno.as_ref(), u64::MAX)]
    {
        popularity.rates(popularity.resolve(location, events).place);
    }
    assert_eq!(popularity.recent_counts().len(), count);
    let (spread, dimension) = (bundle.spread(), bundle.settings().dimension);
    assert_eq!(
        (spread.mean.len(), spread.gramian.rows(), bundle.gramian().rows()),
        (dimension, dimension, dimension)
    );
    answered
}

fn metadata_filters(bundle: &Bundle) -> Vec<MovieFilter> {
    let mut filters = vec![
        MovieFilter::default(),
        MovieFilter { year_min: Some(1960), year_max: Some(1990), ..MovieFilter::default() },
        MovieFilter { year_min: Some(u16::MAX), ..MovieFilter::default() },
        MovieFilter { runtime_max: Some(120), max_age: Some(12), adult: true, ..MovieFilter::default() },
        MovieFilter { countries: vec!["US".into(), "??".into()], ..MovieFilter::default() },
        MovieFilter { languages: vec!["en".into()], ..MovieFilter::default() },
    ];
    for genre in bundle.genres() {
        let only = || vec![genre.clone()];
        filters.push(MovieFilter { genres_any: only(), ..MovieFilter::default() });
        filters.push(MovieFilter { genres_all: only(), genres_none: only(), ..MovieFilter::default() });
    }
    filters
}
