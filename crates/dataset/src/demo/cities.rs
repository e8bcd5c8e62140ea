//! The cities of the demo world: the embedded table and its reading.

use std::collections::BTreeMap;

use cinedex_domain::Location;

pub(super) const TABLE: &str = include_str!("cities.tsv");

/// One city.
pub(super) struct City {
    pub(super) location: Location,
    /// Local time minus UTC, standard time all year.
    pub(super) utc_offset_ms: i64,
    /// Its share of people, relative.
    pub(super) weight: f64,
    /// Films that this city watches more than others: often those that play there.
    pub(super) favorites: Vec<usize>,
    /// Films that it discovers in the last weeks.
    pub(super) rising: Vec<usize>,
}

/// All cities, in the table's order; films by their position.
pub(super) fn cities(positions: &BTreeMap<&str, usize>) -> Vec<City> {
    TABLE.lines().skip(1).map(|line| city(line, positions)).collect()
}

fn city(line: &str, positions: &BTreeMap<&str, usize>) -> City {
    let cells: Vec<&str> = line.split('\t').collect();
    let number = |column: usize| cells[column].parse::<f64>().expect("the table's numbers are tested");
    let films = |column: usize| cells[column].split(' ').map(|id| positions[id]).collect();
    City {
        location: cells[0].parse().expect("the table's places are tested"),
        utc_offset_ms: (number(1) * 3_600_000.0) as i64,
        weight: number(2),
        favorites: films(3),
        rising: films(4),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::films;

    #[test]
    fn every_city_has_a_full_place_people_and_known_films() {
        let cities = cities(&films::positions(&films::films()));
        let places: BTreeSet<&str> = cities.iter().map(|city| city.location.as_str()).collect();
        let countries: BTreeSet<&str> = cities.iter().map(|city| city.location.country()).collect();
        assert_eq!(places.len(), cities.len());
        assert!((40..=50).contains(&cities.len()) && countries.len() >= 12, "{countries:?}");
        for city in cities {
            assert_eq!(city.location.level(), 3, "{}", city.location);
            assert!(city.weight > 0.0 && city.utc_offset_ms.abs() <= 12 * 3_600_000, "{}", city.location);
            assert!(city.favorites.len() == 3 && city.rising.len() == 1, "{}", city.location);
        }
    }
}
