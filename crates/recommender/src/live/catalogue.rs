//! Films that came, changed or were withdrawn since the bundle was built: first as the log tells it, then as it is for one
//! bundle.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cinedex_domain::{Movie, MovieFilter, MovieId, MovieIndex};
use cinedex_index::Bundle;

use crate::titles::TitleIndex;

/// What was last said of each film that anything was said of.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The position of the last of it.
    pub(super) generation: u64,
    films: HashMap<MovieId, Word>,
}

#[derive(Debug)]
enum Word {
    Put { position: u64, movie: Arc<Movie> },
    Withdrawn,
}

/// What is told, as it concerns one bundle.
pub(crate) struct Changes {
    pub(crate) generation: u64,
    /// Rows of films that are withdrawn, ascending.
    gone: Vec<u32>,
    /// Films that are told anew: those of the bundle with their rows, ascending, then those that it does not have, in canonical order
    /// of ids, whose rows come after all of the bundle's.
    told: Vec<(u32, Arc<Movie>)>,
    /// Films of the bundle, and so the first row that is not.
    bundled: u32,
    titles: OnceLock<TitleIndex>,
}

impl Told {
    pub(super) fn put(&mut self, position: u64, movie: &Movie) {
        self.generation = position;
        let word = Word::Put { position, movie: Arc::new(movie.clone()) };
        self.films.insert(movie.movie_id.clone(), word);
    }

    pub(super) fn withdraw(&mut self, position: u64, movie_id: &MovieId) {
        self.generation = position;
        self.films.insert(movie_id.clone(), Word::Withdrawn);
    }

    /// For a bundle that knows what was told up to `log_position`. What is withdrawn stays so until it is told anew, whatever the
    /// bundle has; what was told before is told by the bundle, if it has the film.
    pub(super) fn changes(&self, bundle: &Bundle, log_position: u64) -> Changes {
        let bundled = bundle.movie_count() as u32;
        let (mut gone, mut told, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for (movie_id, word) in &self.films {
            match (bundle.movie_index(movie_id.as_str()), word) {
                (Some(row), Word::Withdrawn) => gone.push(row.0),
                (Some(row), Word::Put { position, movie }) if *position > log_position => {
                    told.push((row.0, Arc::clone(movie)));
                }
                (None, Word::Put { movie, .. }) => new.push(Arc::clone(movie)),
                (Some(_), Word::Put { .. }) | (None, Word::Withdrawn) => {}
            }
        }
        gone.sort_unstable();
        told.sort_unstable_by_key(|(row, _)| *row);
        new.sort_unstable_by(|a, b| a.movie_id.cmp(&b.movie_id));
        told.extend((bundled..).zip(new));
        Changes { generation: self.generation, gone, told, bundled, titles: OnceLock::new() }
    }
}

impl Changes {
    /// Rows of films that are withdrawn, ascending.
    pub(crate) fn gone(&self) -> &[u32] {
        &self.gone
    }

    pub(crate) fn is_gone(&self, row: u32) -> bool {
        self.gone.binary_search(&row).is_ok()
    }

    /// Films that are told anew, with their rows, ascending.
    pub(crate) fn told(&self) -> &[(u32, Arc<Movie>)] {
        &self.told
    }

    /// What is told anew of a film.
    pub(crate) fn movie(&self, row: u32) -> Option<&Movie> {
        let at = self.told.binary_search_by_key(&row, |(row, _)| *row).ok()?;
        Some(&self.told[at].1)
    }

    /// Films that the bundle does not have, with their rows, ascending.
    pub(crate) fn new_films(&self) -> &[(u32, Arc<Movie>)] {
        &self.told[self.told.partition_point(|(row, _)| *row < self.bundled)..]
    }

    /// The row of a film that the bundle does not have.
    pub(crate) fn new_row(&self, movie_id: &str) -> Option<u32> {
        let new = self.new_films();
        // Few films are put between two bundles, and ids do not order as their texts do.
        new.iter().find(|(_, movie)| movie.movie_id.as_str() == movie_id).map(|(row, _)| *row)
    }

    /// The titles of films that are told anew, numbered as in [`told`](Self::told).
    pub(crate) fn titles(&self) -> &TitleIndex {
        self.titles.get_or_init(|| {
            TitleIndex::new(self.told.iter().map(|(_, movie)| {
                let titles = std::iter::once(&movie.title).chain(&movie.original_title);
                titles.chain(&movie.alternative_titles).map(String::as_str)
            }))
        })
    }

    /// The part of a filter's genres that the bundle knows, and whether a film of the bundle can pass at all. A genre that
    /// nobody knows stays in, to be refused.
    pub(crate) fn known_genres(&self, bundle: &Bundle, filter: &MovieFilter) -> Option<(MovieFilter, bool)> {
        let bundled = |genre: &String| bundle.genres().iter().any(|known| known.eq_ignore_ascii_case(genre));
        let told = |genre: &String| {
            let mut genres = self.told.iter().flat_map(|(_, movie)| &movie.genres);
            genres.any(|known| known.eq_ignore_ascii_case(genre))
        };
        let keep = |genre: &String| bundled(genre) || !told(genre);
        let lists = [&filter.genres_any, &filter.genres_all, &filter.genres_none];
        if lists.iter().all(|list| list.iter().all(keep)) {
            return None;
        }
        let mut rest = filter.clone();
        rest.genres_any.retain(keep);
        rest.genres_all.retain(keep);
        rest.genres_none.retain(keep);
        let none_left = rest.genres_any.is_empty() && !filter.genres_any.is_empty();
        let possible = !none_left && rest.genres_all.len() == filter.genres_all.len();
        Some((rest, possible))
    }

    /// The films of the bundle that are told anew.
    pub(crate) fn changed_films(&self) -> impl Iterator<Item = (MovieIndex, &Movie)> {
        let changed = self.told.iter().take_while(|(row, _)| *row < self.bundled);
        changed.map(|(row, movie)| (MovieIndex(*row), &**movie))
    }
}
