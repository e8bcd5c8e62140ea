//! The one movie that a title names, for callers who cannot ask back: by the whole title, else by its beginning, else only
//! suggestions.

use std::collections::HashMap;

use cinedex_domain::{MovieId, MovieIndex};

use crate::Snapshot;
use crate::lists::WORLD;
use crate::title_text::{Forms, split_year};
use crate::titles::{Match, by_popularity};

/// The most titles suggested.
const MAX_SUGGESTIONS: usize = 3;

/// Which movie a title names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TitleMatch {
    /// The movie of this title; of several the one whose main title it is, then the most popular one.
    Exact(MovieId),
    /// The most popular movie whose title begins with the text.
    Beginning(MovieId),
    /// No title is the text or begins with it. Ids and titles of what may be meant, at most 3, the likeliest first.
    Suggestions(Vec<(MovieId, String)>),
}

impl Snapshot {
    /// The movie that a title names: without regard to case, accents, punctuation, spaces and a leading article, and with
    /// small numbers in any spelling. A year in brackets at the end (`Heat (1995)`) must be the movie's.
    pub fn find_title(&self, text: &str) -> TitleMatch {
        // A title may end in a year in brackets itself.
        let mut readings = vec![(text, None)];
        readings.extend(split_year(text).map(|(title, year)| (title, Some(year))));
        let found: Vec<(Forms, HashMap<u32, Match>)> = readings
            .iter()
            .map(|&(title, year)| {
                let forms = Forms::of(title);
                let mut movies = self.titles().beginning_with(&forms);
                movies.retain(|&movie, _| {
                    year.is_none() || self.bundle().movie(MovieIndex(movie)).year() == year
                });
                (forms, movies)
            })
            .collect();
        for wanted in [Match::WholeTitle, Match::TitleBegins] {
            for (forms, movies) in &found {
                if let Some(movie) = self.best_of(forms, movies, wanted) {
                    let movie_id = self.bundle().movie(MovieIndex(movie)).to_movie().movie_id;
                    return match wanted {
                        Match::WholeTitle => TitleMatch::Exact(movie_id),
                        _ => TitleMatch::Beginning(movie_id),
                    };
                }
            }
        }
        let title = readings.last().map_or(text, |(title, _)| *title);
        let likely = self.titles().search(title, &self.bundle().popularity().rates(WORLD));
        let suggestions = likely.into_iter().take(MAX_SUGGESTIONS).map(|movie| {
            let movie = self.bundle().movie(MovieIndex(movie)).to_movie();
            (movie.movie_id, movie.title)
        });
        TitleMatch::Suggestions(suggestions.collect())
    }

    /// Of the movies that match as `wanted` one whose main title does, then the most popular one.
    fn best_of(&self, query: &Forms, movies: &HashMap<u32, Match>, wanted: Match) -> Option<u32> {
        let rates = self.bundle().popularity().rates(WORLD);
        let by_another_title = |movie: u32| {
            let own = Forms::of(self.bundle().movie(MovieIndex(movie)).title());
            !own.keys.iter().any(|key| match wanted {
                Match::WholeTitle => query.keys.contains(key),
                _ => query.keys.iter().any(|query| key.starts_with(query)),
            })
        };
        let mut best: Option<(bool, u32)> = None;
        for movie in movies.iter().filter(|(_, how)| **how == wanted).map(|(movie, _)| *movie) {
            let candidate = (by_another_title(movie), movie);
            let better = best.is_none_or(|(other, known)| {
                candidate.0.cmp(&other).then_with(|| by_popularity(&rates, movie, known)).is_lt()
            });
            if better {
                best = Some(candidate);
            }
        }
        best.map(|(_, movie)| movie)
    }
}
