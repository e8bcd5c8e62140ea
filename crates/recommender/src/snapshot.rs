//! One bundle, open, with what answering needs beside it: the search index of titles, and how rates are distributed in
//! the places that were asked for. Immutable but for that cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use arc_swap::ArcSwapOption;
use cinedex_domain::{Location, Metric, MovieFilter, MovieIndex};
use cinedex_index::{Allowed, Bundle, PlaceIndex, ResolvedPlace, Retrieval, Retrieved, Spread, UnknownGenre};
use cinedex_model::{FoldIn, ShortHistory, TasteSpread, mean_of_liked};

use crate::answer::{Genres, Item, MovieAnswer, MovieList, PlaceAnswer, RetrievalKind};
use crate::blend::{LogScale, Recent};
use crate::live::{Changes, Live, Places};
use crate::ranking::Rankings;
use crate::request::EVERYWHERE;
use crate::titles::TitleIndex;
use crate::{PlaceRequest, RecommendError};

/// One bundle, open and ready to answer. A request takes one and keeps it to its end.
pub struct Snapshot {
    bundle: Bundle,
    titles: OnceLock<TitleIndex>,
    min_events: u64,
    scales: Mutex<HashMap<PlaceIndex, LogScale>>,
    recent: Recent,
    spread: TasteSpread,
    /// The rows of films by their numbers in the counts of what is live; [`NO_ROW`] for a film that the catalogue does not have.
    film_rows: Mutex<Arc<Vec<u32>>>,
    rankings: Rankings,
    /// What folding in short histories takes, by their length; made when one of it first comes.
    short_histories: RwLock<HashMap<usize, Arc<ShortHistory>>>,
    /// Films that came, changed or were withdrawn, as far as that was looked at.
    changes: ArcSwapOption<Changes>,
}

/// What is kept for folding in short histories takes at most this much memory: of other lengths the whole equation is solved.
const SHORT_BYTES: usize = 16 << 20;
/// Stands for a film that the catalogue does not have.
const NO_ROW: u32 = u32::MAX;

impl Snapshot {
    /// Wraps an open bundle. Its titles are not indexed yet: see [`Snapshot::index_titles`]. `min_events`: see
    /// [`EngineOptions::min_events`](crate::EngineOptions::min_events).
    pub fn new(bundle: Bundle, min_events: u64) -> Self {
        let recent = if bundle.settings().blend.recent_weight > 0.0 {
            Recent::new(bundle.popularity().recent_counts())
        } else {
            Recent::default()
        };
        let Spread { mean, movies, .. } = bundle.spread();
        let spread = TasteSpread::of_mean(mean, movies);
        Self {
            rankings: Rankings::new(bundle.movie_count()),
            bundle,
            titles: OnceLock::new(),
            min_events,
            scales: Mutex::default(),
            recent,
            spread,
            film_rows: Mutex::default(),
            short_histories: RwLock::default(),
            changes: ArcSwapOption::empty(),
        }
    }

    /// The version of the bundle.
    pub fn version(&self) -> &str {
        self.bundle.version().as_str()
    }

    /// The last position of the log that the bundle was made with: only what happened later is live for it. 0 without a log.
    pub fn log_position(&self) -> u64 {
        self.bundle.manifest().inputs.log_position.unwrap_or(0)
    }

    /// Movies in the catalogue.
    pub fn movie_count(&self) -> usize {
        self.bundle.movie_count()
    }

    /// Users whose history the bundle has.
    pub fn user_count(&self) -> usize {
        self.bundle.user_count()
    }

    /// Everything known of one movie.
    pub fn movie(&self, movie_id: &str) -> Result<MovieAnswer<'_>, RecommendError> {
        let movie = self.bundle.movie(self.find(movie_id)?).to_movie();
        Ok(MovieAnswer { movie, index_version: self.version() })
    }

    /// The bundle, for the modules of this crate and for judging what is served.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Indexes all titles for [`Snapshot::search`] and [`Snapshot::find_title`], unless that was done; it takes seconds for a
    /// million films. The first search does it if nobody did before, and waits if somebody is at it; nothing else needs it.
    pub fn index_titles(&self) {
        self.titles();
    }

    pub(crate) fn titles(&self) -> &TitleIndex {
        self.titles.get_or_init(|| {
            TitleIndex::new((0..self.movie_count() as u32).map(|movie| {
                let movie = self.bundle.movie(MovieIndex(movie));
                std::iter::once(movie.title()).chain(movie.other_titles())
            }))
        })
    }

    pub(crate) fn find(&self, movie_id: &str) -> Result<MovieIndex, RecommendError> {
        self.bundle.movie_index(movie_id).ok_or_else(|| unknown_movie(movie_id))
    }

    /// The films that came, changed or were withdrawn since; `None` as long as there are none.
    pub(crate) fn changes(&self, live: &Live) -> Option<Arc<Changes>> {
        let generation = live.catalogue_generation();
        if generation == 0 {
            return None;
        }
        if let Some(known) = self.changes.load_full()
            && known.generation >= generation
        {
            return Some(known);
        }
        let changes = Arc::new(live.changes(self));
        self.changes.store(Some(Arc::clone(&changes)));
        Some(changes)
    }

    pub(crate) fn allowed(&self, filter: &MovieFilter) -> Result<Allowed, RecommendError> {
        self.bundle
            .filter(filter)
            .map_err(|UnknownGenre { genre, known, .. }| RecommendError::UnknownGenre { genre, known })
    }

    /// The narrowest place around `asked` with enough evidence.
    pub(crate) fn resolve(&self, asked: Option<&Location>) -> ResolvedPlace<'_> {
        self.bundle.popularity().resolve(asked, self.min_events)
    }

    pub(crate) fn log_scale(&self, place: PlaceIndex, rates: &[f32]) -> LogScale {
        let lock = || self.scales.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scale) = lock().get(&place) {
            return *scale;
        }
        let scale = LogScale::new(rates);
        lock().insert(place, scale);
        scale
    }

    /// The vector of a taste of which a history is all that is known: folded in, else the mean of what was liked.
    pub(crate) fn taste_of(&self, history: &[(MovieIndex, f32)]) -> Option<Vec<f32>> {
        let bundle = &self.bundle;
        if history.is_empty() {
            return None;
        }
        let Some(settings) = bundle.settings().fold_in else {
            return mean_of_liked(bundle.movie_factors(), history);
        };
        let fold_in = FoldIn::new(bundle.movie_factors(), bundle.gramian(), settings);
        match self.short_history(&fold_in, history.len()) {
            Some(short) => Some(short.vector(&fold_in, history)),
            None => Some(fold_in.vector(history)),
        }
    }

    fn short_history(&self, fold_in: &FoldIn<'_>, length: usize) -> Option<Arc<ShortHistory>> {
        let dimension = self.bundle.settings().dimension;
        if length > dimension {
            return None;
        }
        {
            let kept = self.short_histories.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = kept.get(&length) {
                return Some(Arc::clone(known));
            }
            if (kept.len() + 1) * 2 * dimension * dimension > SHORT_BYTES {
                return None;
            }
        }
        let made = Arc::new(ShortHistory::new(fold_in, length)?);
        let mut kept = self.short_histories.write().unwrap_or_else(PoisonError::into_inner);
        kept.insert(length, Arc::clone(&made));
        Some(made)
    }

    /// Interactions that a place needs to speak for itself.
    pub(crate) fn min_events(&self) -> u64 {
        self.min_events
    }

    /// Rankings by place with what is live in them.
    pub(crate) fn rankings(&self) -> &Rankings {
        &self.rankings
    }

    /// The rows of all films that were ever counted, by their numbers.
    pub(crate) fn film_rows(&self, places: &Places) -> FilmRows {
        let mut rows = self.film_rows.lock().unwrap_or_else(PoisonError::into_inner);
        let count = places.film_count();
        if rows.len() < count {
            let row = |film| self.bundle.movie_index(places.film_id(film).as_str());
            let more = (rows.len() as u32..count as u32).map(|film| row(film).map_or(NO_ROW, |row| row.0));
            Arc::make_mut(&mut rows).extend(more);
        }
        FilmRows(Arc::clone(&rows))
    }

    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// The standard deviation of a taste's scores over the movies that have an embedding.
    pub(crate) fn taste_deviation(&self, taste: &[f32]) -> f32 {
        self.spread.deviation(self.bundle.spread().gramian, taste)
    }

    /// The taste's part of a movie's score: the inner product, or for a cosine model, whose tastes have length 1, the cosine.
    pub(crate) fn taste_score(&self, taste: &[f32], movie: u32) -> f32 {
        self.bundle.score(taste, MovieIndex(movie))
    }

    /// The best `k` allowed movies by [`taste_score`](Self::taste_score).
    pub(crate) fn nearest_to(&self, taste: &[f32], k: usize, allowed: &Allowed) -> Retrieved {
        match self.bundle.settings().metric {
            Metric::InnerProduct => self.bundle.for_user(taste, k, allowed),
            Metric::Cosine => Retrieved {
                items: self.bundle.nearest_by_cosine(taste, k, allowed),
                retrieval: Retrieval::Exact,
            },
        }
    }

    /// A list's item without score.
    pub(crate) fn item(&self, movie: u32) -> Item<'_> {
        let movie = self.bundle.movie(MovieIndex(movie));
        Item {
            movie_id: movie.movie_id(),
            title: movie.title(),
            year: movie.year(),
            genres: Genres::Stored(movie.genres()),
            score: None,
            source: None,
            reasons: None,
            remainder: None,
        }
    }

    /// A list without anything said of it.
    pub(crate) fn list<'a>(&'a self, items: Vec<Item<'a>>, more: bool) -> MovieList<'a> {
        MovieList {
            items,
            next_cursor: None,
            index_version: self.version(),
            movie_id: None,
            user_id: None,
            strategy: None,
            retrieval: None,
            location: None,
            unknown_movies: None,
            more,
        }
    }
}

/// The error of an id that no movie has, cut to a printable length.
pub(crate) fn unknown_movie(movie_id: &str) -> RecommendError {
    let mut printable: String = movie_id.chars().take(60).collect();
    if printable.len() < movie_id.len() {
        printable.push('…');
    }
    RecommendError::UnknownMovie { movie_id: printable }
}

/// From a film's number to its row.
pub(crate) struct FilmRows(Arc<Vec<u32>>);

impl FilmRows {
    /// The row of a film; `None` if the catalogue does not have it.
    pub(crate) fn row(&self, film: u32) -> Option<u32> {
        self.0.get(film as usize).copied().filter(|row| *row != NO_ROW)
    }
}

/// What is said of a place that answered.
pub(crate) fn place_answer(asked: &PlaceRequest, resolved: ResolvedPlace<'_>) -> PlaceAnswer {
    PlaceAnswer {
        asked: asked.as_str().map(str::to_owned),
        answered: resolved.location.map_or(EVERYWHERE, Location::as_str).to_owned(),
        events: resolved.events,
    }
}

pub(crate) fn retrieval_kind(retrieval: Retrieval) -> RetrievalKind {
    match retrieval {
        Retrieval::Exact => RetrievalKind::Exact,
        Retrieval::Graph => RetrievalKind::Graph,
    }
}
