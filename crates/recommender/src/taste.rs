//! Recommendations for a user: the taste by factors, by fold-in or by the mean of what was liked, blended with the place's
//! popularity, made diverse and explained when asked.

use std::cmp::Ordering;
use std::collections::HashMap;

use cinedex_domain::{InteractionKind, Location, Metric, MovieId, MovieIndex, UserIndex};
use cinedex_index::Retrieval;
use cinedex_model::{FoldIn, FoldedUser};
use cinedex_vectors::{Scored, norm, scale};

use crate::answer::{Item, MovieList, Reason, Source, Strategy};
use crate::blend::{Popularity, is_popular, rank};
use crate::diversity::{POOL, diversify};
use crate::snapshot::{place_answer, retrieval_kind};
use crate::{HistoryItem, PlaceRequest, RecommendError, Snapshot, UserRequest, View};

/// The most reasons that an item gives; the rest of the history goes into its remainder.
pub const MAX_REASONS: usize = 10;

/// Below this share of its full weight the place's popularity is not said to be blended in.
const BLENDED_FROM: f32 = 0.1;

/// Whom a list is for: what of the history speaks, what was seen, and where.
pub(crate) struct Viewer<'a> {
    /// Each movie once, with a preference that is not 0.
    pub(crate) history: Vec<(MovieIndex, f32)>,
    pub(crate) seen: Vec<MovieIndex>,
    pub(crate) asked: &'a PlaceRequest,
    pub(crate) stored: Option<&'a Location>,
    /// What a list by taste alone is called.
    pub(crate) strategy: Strategy,
    /// The row of the user's embedding, if it was learned from this history.
    pub(crate) trained: Option<UserIndex>,
}

impl Snapshot {
    /// Recommendations for a user of the bundle; for any other id, those for somebody of whom nothing is known.
    pub fn for_user<'a>(
        &'a self,
        user_id: &str,
        request: &'a UserRequest,
    ) -> Result<MovieList<'a>, RecommendError> {
        let bundle = self.bundle();
        let trained = bundle.user_index(user_id);
        let mut viewer = Viewer {
            history: Vec::new(),
            seen: Vec::new(),
            asked: &request.location,
            stored: trained.and_then(|user| bundle.user_location(user)),
            strategy: Strategy::Personalized,
            trained,
        };
        if let Some(user) = trained {
            viewer.seen = bundle.history(user).movies.iter().copied().map(MovieIndex).collect();
            viewer.history = self.preferences_of(user);
        }
        let mut list = self.recommend(&viewer, request, None)?;
        list.user_id = Some(user_id.to_owned());
        Ok(list)
    }

    /// Recommendations for somebody described by a history. Of a repeated movie the last entry counts; movies that the
    /// catalogue does not have are left out and listed.
    pub fn for_history<'a>(
        &'a self,
        history: &[HistoryItem],
        request: &'a UserRequest,
    ) -> Result<MovieList<'a>, RecommendError> {
        self.for_history_in(history, request, None)
    }

    /// The same with what is live, if there is a view of it.
    pub(crate) fn for_history_in<'a>(
        &'a self,
        history: &[HistoryItem],
        request: &'a UserRequest,
        view: Option<&'a View>,
    ) -> Result<MovieList<'a>, RecommendError> {
        let settings = self.bundle().settings();
        let (mut unknown, mut position_of) = (Vec::<MovieId>::new(), HashMap::<MovieIndex, usize>::new());
        let mut entries: Vec<(MovieIndex, Option<f32>)> = Vec::new();
        for (position, item) in history.iter().enumerate() {
            let scale = settings.rating_scale;
            if item.kind == InteractionKind::Rating && !item.value.is_some_and(|value| scale.contains(value))
            {
                return Err(RecommendError::ValueOffScale {
                    position,
                    movie_id: item.movie_id.clone(),
                    lowest: scale.lowest(),
                    highest: scale.highest(),
                });
            }
            let Some(movie) = self.bundle().movie_index(item.movie_id.as_str()) else {
                if !unknown.contains(&item.movie_id) {
                    unknown.push(item.movie_id.clone());
                }
                continue;
            };
            let preference = settings.preference.preference(item.kind, item.value, scale);
            if let Some(earlier) = position_of.get(&movie) {
                entries[*earlier].1 = preference;
            } else {
                position_of.insert(movie, entries.len());
                entries.push((movie, preference));
            }
        }
        let entries: Vec<(MovieIndex, f32)> =
            entries.into_iter().map(|(movie, preference)| (movie, preference.unwrap_or(0.0))).collect();
        let mut list = self.recommend(&described(&entries, request), request, view)?;
        list.unknown_movies = Some(unknown);
        Ok(list)
    }

    /// Recommendations for somebody described by signed preferences, each movie once; of a movie with preference 0 only that
    /// it was seen is known. Panics if a movie is of another bundle.
    pub fn for_preferences<'a>(
        &'a self,
        history: &[(MovieIndex, f32)],
        request: &'a UserRequest,
    ) -> Result<MovieList<'a>, RecommendError> {
        self.recommend(&described(history, request), request, None)
    }

    /// What a user of the bundle likes and dislikes, each movie once.
    pub(crate) fn preferences_of(&self, user: UserIndex) -> Vec<(MovieIndex, f32)> {
        let history = self.bundle().history(user);
        let entries = history.movies.iter().copied().map(MovieIndex).zip(history.preferences.iter().copied());
        entries.filter(|(_, preference)| *preference != 0.0).collect()
    }

    /// The list for a viewer; with what is live, if there is a view of it.
    pub(crate) fn recommend<'a>(
        &'a self,
        viewer: &Viewer<'_>,
        request: &UserRequest,
        view: Option<&'a View>,
    ) -> Result<MovieList<'a>, RecommendError> {
        let bundle = self.bundle();
        let blend = bundle.settings().blend;
        let folded = match (request.explain, bundle.settings().fold_in) {
            (true, None) => return Err(RecommendError::ExplanationUnavailable),
            (true, Some(fold_in)) => {
                let fold_in = FoldIn::new(bundle.movie_factors(), bundle.gramian(), fold_in);
                Some(fold_in.fold(&viewer.history))
            }
            (false, _) => None,
        };
        let mut allowed = match view {
            Some(view) => view.allowed(&request.filter)?,
            None => self.allowed(&request.filter)?,
        };
        if !request.include_seen {
            viewer.seen.iter().for_each(|movie| allowed.remove(movie.0));
        }
        let total = allowed.count();
        let wanted = request.offset.saturating_add(request.limit).min(total);
        // Diversity reorders a pool of fixed size, whatever part of it is asked for.
        let depth = if request.diversity > 0.0 { wanted.max(POOL.min(total)) } else { wanted };
        let location = viewer.asked.location_or(viewer.stored);
        let resolved = self.resolve(location);
        let mut place = place_answer(viewer.asked, resolved);
        let taste = self.taste(viewer, folded.as_ref());
        let deviation = taste.as_ref().map_or(0.0, |taste| self.taste_deviation(taste));
        let known = viewer.history.len();
        let popularity = Popularity::new(self, resolved.place, known, deviation);
        let (mut hits, strategy, retrieval) = match &taste {
            None => {
                let now = view.and_then(|view| view.popular_now(location));
                let hits = match &now {
                    Some(ranking) => ranking.best(depth, &allowed),
                    None => self.bundle().popularity().ranking(resolved.place, depth, &allowed),
                };
                place = now.map_or(place, |ranking| ranking.place_answer(viewer.asked));
                (hits, Strategy::Popular, Retrieval::Exact)
            }
            Some(taste) => {
                let (hits, retrieval) = rank(self, taste, &popularity, depth, &allowed);
                let place_speaks = blend.popularity_weight > 0.0 && blend.known_share(known) >= BLENDED_FROM;
                let blended = place_speaks || blend.recent_weight > 0.0;
                (hits, if blended { Strategy::Blended } else { viewer.strategy }, retrieval)
            }
        };
        if request.diversity > 0.0 {
            diversify(&mut hits, bundle.movie_factors(), request.diversity, wanted);
        }
        let reasons =
            Reasons { snapshot: self, folded: folded.filter(|_| taste.is_some()), explain: request.explain };
        let page = hits.iter().take(wanted).skip(request.offset);
        let items = page.map(|hit| {
            let popular = taste.is_none() || is_popular(self, &popularity, *hit);
            let source = if popular { Source::Popular } else { Source::Taste };
            reasons.explain(self.scored_item_in(*hit, source, view), *hit, viewer)
        });
        let mut list = self.list(items.collect(), total > wanted);
        list.strategy = Some(strategy);
        list.retrieval = Some(retrieval_kind(retrieval));
        list.location = Some(place);
        Ok(list)
    }

    /// The vector whose [`Snapshot::taste_score`] is the taste's part of a score; `None` if nothing is known.
    fn taste(&self, viewer: &Viewer<'_>, folded: Option<&FoldedUser<'_, '_>>) -> Option<Vec<f32>> {
        let bundle = self.bundle();
        if viewer.history.is_empty() {
            return None;
        }
        let trained = || {
            let factors = bundle.user_factors()?;
            Some(factors.row(viewer.trained?.row()).to_vec()).filter(|row| norm(row) > 0.0)
        };
        let mut vector = match folded {
            Some(folded) => folded.vector().to_vec(),
            None => trained().or_else(|| self.taste_of(&viewer.history))?,
        };
        let length = norm(&vector);
        if length == 0.0 || !length.is_finite() {
            return None;
        }
        if bundle.settings().metric == Metric::Cosine {
            scale(length.recip(), &mut vector);
        }
        Some(vector)
    }
}

/// Somebody of whom a history is all that is known.
fn described<'a>(history: &[(MovieIndex, f32)], request: &'a UserRequest) -> Viewer<'a> {
    Viewer {
        history: history.iter().copied().filter(|(_, preference)| *preference != 0.0).collect(),
        seen: history.iter().map(|(movie, _)| *movie).collect(),
        asked: &request.location,
        stored: None,
        strategy: Strategy::FoldedIn,
        trained: None,
    }
}

/// What says why a movie is in a list.
struct Reasons<'a, 'h> {
    snapshot: &'a Snapshot,
    /// Absent where the list rests on popularity alone.
    folded: Option<FoldedUser<'a, 'h>>,
    explain: bool,
}

impl<'a> Reasons<'a, '_> {
    fn explain(&self, item: Item<'a>, hit: Scored, viewer: &Viewer<'_>) -> Item<'a> {
        if !self.explain {
            return item;
        }
        let bundle = self.snapshot.bundle();
        let movie = MovieIndex(hit.index);
        let mut shares: Vec<(MovieIndex, f32)> = Vec::new();
        if let Some(folded) = &self.folded {
            // A cosine divides by both lengths, a constant for one movie.
            let scale = match bundle.settings().metric {
                Metric::InnerProduct => 1.0,
                Metric::Cosine => {
                    let lengths = norm(folded.vector()) * norm(bundle.movie_factors().row(movie.row()));
                    if lengths > 0.0 { lengths.recip() } else { 0.0 }
                }
            };
            let contributions = folded.contributions(movie).into_iter().map(|share| share * scale);
            shares = viewer.history.iter().map(|(movie, _)| *movie).zip(contributions).collect();
            shares.retain(|(_, share)| *share != 0.0);
            shares.sort_by(|a, b| match b.1.abs().total_cmp(&a.1.abs()) {
                Ordering::Equal => a.0.cmp(&b.0),
                unequal => unequal,
            });
            shares.truncate(MAX_REASONS);
        }
        let listed: f64 = shares.iter().map(|(_, share)| f64::from(*share)).sum();
        let reasons = shares.into_iter().map(|(movie, share)| {
            let movie = bundle.movie(movie);
            Reason { movie_id: movie.movie_id(), title: movie.title(), share }
        });
        Item {
            reasons: Some(reasons.collect()),
            remainder: Some((f64::from(hit.score) - listed) as f32),
            ..item
        }
    }
}
