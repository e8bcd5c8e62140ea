//! What is rising: films that were liked more often of late than their past in the place, and the places around it, predict. It
//! knows counts alone, nothing of who is asking.
//!
//! In a place with `T` recent likes, `O` of them of one film, the film's share of the past `s` predicts `E = T s l`, where `l` is
//! by how much it rises around the place, the place itself left out, if that is more than 1. `O` is Poisson with mean `r E`, and
//! `r` has the prior Gamma(a, a): mean 1, as strong as `a` expected likes. The posterior is Gamma(O + a, E + a) (Gelman et al.,
//! *Bayesian Data Analysis*, 2.6), and a film is ranked by a bound that `r` exceeds with probability .999, after the
//! approximation of Wilson & Hilferty 1931: three likes in a village prove nothing, and neither do thirty where twenty are usual.
//! A film trends where the bound is above 1, and it has to be above 1 as well without the one place inside that likes it most: what a
//! single city is mad about trends in the city, not in its country.
//!
//! The past share is that of the bundle, as strong as [`SEED`] likes, moved by what is left of the last week's live likes when the
//! recent ones are taken away, so that what stays popular ceases to trend in some days.

use std::sync::Arc;

use cinedex_vectors::Scored;

use crate::live::{PlaceNumber, Places, Span};

/// Expected likes that the prior of a film's rise weighs, `a`.
const PRIOR: f64 = 5.0;
/// Standard normal quantile of .999.
const QUANTILE: f64 = 3.09;
/// Likes that the bundle's shares weigh against live ones.
const SEED: f64 = 500.0;
/// A film liked less often of late is not looked at: no past makes it trend.
const FEWEST: f64 = 4.0;
/// A place that has more than this share of all likes around it is practically the place around it.
const NEARLY_ALL: f64 = 0.9;

/// A place that is looked at, or one around it.
struct Level {
    number: PlaceNumber,
    /// The bundle's rates there.
    rates: Arc<[f32]>,
    recent: f64,
    past: f64,
}

/// The films that trend in a place: rows of the bundle's catalogue with the bound on their rise, descending, ties ascending row.
/// `rates` are those of the bundle at a place; `row_of` is a film's row there.
pub(crate) fn trending(
    places: &Places,
    place: PlaceNumber,
    now_ms: i64,
    rates: impl Fn(PlaceNumber) -> Arc<[f32]>,
    row_of: impl Fn(u32) -> Option<u32>,
) -> Vec<Scored> {
    let level = |number| {
        let recent = places.total(number, Span::Recent, now_ms);
        let past = (places.total(number, Span::Week, now_ms) - recent).max(0.0);
        Level { number, rates: rates(number), recent, past }
    };
    let levels: Vec<Level> = places.around(place).map(level).collect();
    let Some((own, around)) = levels.split_first() else { return Vec::new() };
    let recent = |number, film| places.count_of(number, film, Span::Recent, now_ms);
    let share = |level: &Level, film, row: u32| {
        let past = places.count_of(level.number, film, Span::Week, now_ms) - recent(level.number, film);
        let seed = level.rates.get(row as usize).copied().map_or(0.0, f64::from);
        (SEED * seed + past.max(0.0)) / (SEED + level.past)
    };
    let mut found = Vec::new();
    for (film, observed) in places.counts(place, Span::Recent, now_ms) {
        if observed < FEWEST {
            continue;
        }
        let Some(row) = row_of(film) else { continue };
        let rise = around.iter().fold(1.0_f64, |rise, level| {
            let others = (recent(level.number, film) - observed).max(0.0);
            let expected = (level.recent - own.recent).max(0.0) * share(level, film, row);
            rise.max((others + PRIOR) / (expected + PRIOR))
        });
        let usual = share(own, film, row) * rise;
        let mut bound = least_rise(observed, own.recent * usual);
        if bound > 1.0
            && let Some((likes, all)) = keenest_part(places, place, film, now_ms)
            && all < NEARLY_ALL * own.recent
        {
            let rest = least_rise((observed - likes).max(0.0), (own.recent - all).max(0.0) * usual);
            bound = bound.min(rest);
        }
        if bound > 1.0 {
            found.push(Scored { index: row, score: bound as f32 });
        }
    }
    found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
    found
}

/// The recent likes of the film in the place inside this one that has most of them, and that place's recent likes of all films.
fn keenest_part(places: &Places, place: PlaceNumber, film: u32, now_ms: i64) -> Option<(f64, f64)> {
    let likes = |part: &PlaceNumber| places.count_of(*part, film, Span::Recent, now_ms);
    let parts = places.place(place).children.iter();
    let keenest = parts.map(|part| (likes(part), *part)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((keenest.0, places.total(keenest.1, Span::Recent, now_ms)))
}

/// How many times more than expected a film is liked, at least, with probability .999.
fn least_rise(observed: f64, expected: f64) -> f64 {
    let shape = observed + PRIOR;
    let root = 1.0 - 1.0 / (9.0 * shape) - QUANTILE / (3.0 * shape.sqrt());
    shape / (expected + PRIOR) * root.max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cinedex_domain::Location;

    use super::*;

    const HOUR: i64 = 3_600_000;
    const FILMS: u32 = 50;

    struct Town {
        places: Places,
    }

    impl Town {
        fn new() -> Self {
            let hours = [2, 12, 84, 360].map(|hours| Duration::from_secs(hours * 3600));
            Self { places: Places::new(hours, 1_000_000) }
        }

        fn like(&mut self, place: &str, film: u32, at_ms: i64, times: usize) {
            let number = self.places.number(&place.parse().unwrap());
            for _ in 0..times {
                self.places.add(number, film, at_ms, 1.0, true);
            }
        }

        /// Every film alike, in the hours before.
        fn background(&mut self, place: &str, now_ms: i64, times: usize) {
            for film in 0..FILMS {
                self.like(place, film, now_ms - HOUR / 2, times);
            }
        }

        fn trending(&self, place: Option<&str>, now_ms: i64) -> Vec<u32> {
            let location = place.map(|place| place.parse::<Location>().unwrap());
            let number = self.places.nearest(location.as_ref());
            let rates: Arc<[f32]> = vec![1.0 / FILMS as f32; FILMS as usize].into();
            let rows = trending(&self.places, number, now_ms, |_| Arc::clone(&rates), Some);
            rows.into_iter().map(|hit| hit.index).collect()
        }
    }

    #[test]
    fn three_likes_in_a_village_prove_nothing_and_twenty_do() {
        for (likes, expect) in [(3, &[][..]), (8, &[]), (20, &[7])] {
            let mut town = Town::new();
            town.like("FR/ARA/Village", 7, 100 * HOUR, likes);
            assert_eq!(town.trending(Some("FR/ARA/Village"), 100 * HOUR), expect, "{likes}");
        }
    }

    #[test]
    fn a_local_hit_trends_in_its_city_alone() {
        let mut town = Town::new();
        for city in ["FR/IDF/Paris", "FR/ARA/Lyon", "DE/BE/Berlin"] {
            town.background(city, 100 * HOUR, 3);
        }
        town.like("FR/ARA/Lyon", 9, 100 * HOUR, 40);
        let trending = |place| town.trending(place, 100 * HOUR);
        assert_eq!(trending(Some("FR/ARA/Lyon")), [9]);
        // The region has no other city.
        assert_eq!(trending(Some("FR/ARA")), [9]);
        for elsewhere in [None, Some("FR"), Some("FR/IDF/Paris"), Some("DE")] {
            assert_eq!(trending(elsewhere), [0; 0], "{elsewhere:?}");
        }
    }

    #[test]
    fn what_rises_everywhere_trends_everywhere_and_in_no_place_in_particular() {
        let mut town = Town::new();
        for city in ["FR/IDF/Paris", "FR/ARA/Lyon", "DE/BE/Berlin", "DE/BY/Munich"] {
            town.background(city, 100 * HOUR, 3);
            town.like(city, 9, 100 * HOUR, 40);
        }
        assert_eq!(town.trending(None, 100 * HOUR), [9]);
        assert_eq!(town.trending(Some("FR/ARA/Lyon"), 100 * HOUR), [0; 0]);
    }

    #[test]
    fn what_is_usual_does_not_trend_however_much_it_is_liked() {
        let mut town = Town::new();
        // Fourteen days of it, every hour.
        for hour in 0..14 * 24 {
            town.like("KR/11/Seoul", 3, hour * HOUR, 30);
            town.like("KR/11/Seoul", 4, hour * HOUR, 10);
        }
        assert_eq!(town.trending(Some("KR/11/Seoul"), 14 * 24 * HOUR), [0; 0]);
    }

    #[test]
    fn a_trend_passes() {
        let mut town = Town::new();
        town.background("KR/11/Seoul", 100 * HOUR, 1);
        town.like("KR/11/Seoul", 3, 100 * HOUR, 40);
        assert_eq!(town.trending(Some("KR/11/Seoul"), 100 * HOUR), [3]);
        assert_eq!(town.trending(Some("KR/11/Seoul"), 112 * HOUR), [0; 0]);
    }

    #[test]
    fn the_bound_on_the_rise_is_the_quantile_of_the_posterior() {
        // Quantiles .001 of Gamma(O + 5) with rate E + 5, by summing Poisson probabilities.
        for (observed, expected, exact) in [(0.0, 0.0, 0.1479), (10.0, 0.0, 1.1588), (20.0, 10.0, 0.8225)] {
            let found = least_rise(observed, expected);
            assert!((found - exact).abs() < 0.01, "{observed} {expected}: {found}");
        }
    }
}
