//! Lists that rest on no user's taste: similar movies, what is popular in a place, search by title.

use cinedex_domain::MovieIndex;
use cinedex_index::{Allowed, PlaceIndex, Retrieval};
use cinedex_vectors::{Scored, normalize};

use crate::answer::{Item, MovieList, Source};
use crate::snapshot::{place_answer, retrieval_kind};
use crate::{ListRequest, PopularRequest, RecommendError, Snapshot, View};

/// The row of the world among the places.
pub(crate) const WORLD: PlaceIndex = PlaceIndex(0);

/// Stands for the cosine of a movie that has no embedding, so that it comes after all others.
pub(crate) const NO_COSINE: f32 = -1.0;

impl Snapshot {
    /// Movies whose title matches, see the crate's `titles`: those that are `query` first, then those that begin
    /// with it, then those with its words, then misspelt ones; within each by popularity in the world. An empty query lists the whole catalogue in canonical order of ids.
    pub fn search(&self, query: &str, offset: usize, limit: usize) -> MovieList<'_> {
        if query.trim().is_empty() {
            let total = self.movie_count();
            let (start, end) = (offset.min(total), offset.saturating_add(limit).min(total));
            return self.list((start..end).map(|movie| self.item(movie as u32)).collect(), end < total);
        }
        let found = self.titles().search(query, &self.bundle().popularity().rates(WORLD));
        let page = found.iter().skip(offset).take(limit);
        self.list(page.map(|movie| self.item(*movie)).collect(), found.len() > offset.saturating_add(limit))
    }

    /// Movies similar to one, by descending cosine. Movies without an embedding come last, as does everything if it has none
    /// itself: by shared genres, then popularity.
    pub fn similar(&self, movie_id: &str, request: &ListRequest) -> Result<MovieList<'_>, RecommendError> {
        Ok(self.similar_to(self.find(movie_id)?, self.allowed(&request.filter)?, request, None))
    }

    /// The `allowed` movies that are similar to one; with what is live, if there is a view of it.
    pub(crate) fn similar_to<'a>(
        &'a self,
        movie: MovieIndex,
        mut allowed: Allowed,
        request: &ListRequest,
        view: Option<&'a View>,
    ) -> MovieList<'a> {
        allowed.remove(movie.0);
        let total = allowed.count();
        let wanted = request.offset.saturating_add(request.limit).min(total);
        let (mut hits, retrieval) = if self.bundle().has_embedding(movie) {
            self.nearest_movies(movie, request, wanted, &allowed)
        } else {
            (Vec::new(), Retrieval::Exact)
        };
        hits.truncate(wanted);
        let embedded = hits.len();
        if embedded < wanted {
            for hit in &hits {
                allowed.remove(hit.index);
            }
            hits.extend(self.by_genre_and_popularity(movie, &allowed, wanted - embedded));
        }
        let items = hits.iter().enumerate().skip(request.offset).map(|(position, hit)| {
            let source = if position < embedded { Source::Similar } else { Source::Popular };
            self.scored_item_in(*hit, source, view)
        });
        let mut list = self.list(items.collect(), total > wanted);
        list.movie_id = Some(self.bundle().movie(movie).movie_id());
        list.retrieval = Some(retrieval_kind(retrieval));
        list
    }

    /// What is popular in a place, by descending shrunk rate.
    pub fn popular(&self, request: &PopularRequest) -> Result<MovieList<'_>, RecommendError> {
        let mut allowed = self.allowed(&request.filter)?;
        let user = request.user.as_ref().and_then(|user_id| self.bundle().user_index(user_id));
        if let Some(user) = user
            && !request.include_seen
        {
            self.bundle().history(user).movies.iter().for_each(|&movie| allowed.remove(movie));
        }
        let asked = &request.location;
        let stored = user.and_then(|user| self.bundle().user_location(user));
        let resolved = self.resolve(asked.location_or(stored));
        let total = allowed.count();
        let wanted = request.offset.saturating_add(request.limit).min(total);
        let hits = self.bundle().popularity().ranking(resolved.place, wanted, &allowed);
        let items = hits.iter().skip(request.offset).map(|hit| self.scored_item(*hit, Source::Popular));
        let mut list = self.list(items.collect(), total > wanted);
        list.user_id.clone_from(&request.user);
        list.location = Some(place_answer(asked, resolved));
        Ok(list)
    }

    /// The same with the facts as they are live, if there is a view of them.
    pub(crate) fn scored_item_in<'a>(
        &'a self,
        hit: Scored,
        source: Source,
        view: Option<&'a View>,
    ) -> Item<'a> {
        match view.and_then(|view| view.told_item(hit.index)) {
            Some(item) => Item { score: Some(hit.score), source: Some(source), ..item },
            None => self.scored_item(hit, source),
        }
    }

    pub(crate) fn scored_item(&self, hit: Scored, source: Source) -> Item<'_> {
        Item { score: Some(hit.score), source: Some(source), ..self.item(hit.index) }
    }

    /// The nearest `wanted` movies that have an embedding. The graph answers a first page only: later pages leave out what
    /// it put there and compare all others, so that nothing comes twice and nothing is skipped.
    fn nearest_movies(
        &self,
        movie: MovieIndex,
        request: &ListRequest,
        wanted: usize,
        allowed: &Allowed,
    ) -> (Vec<Scored>, Retrieval) {
        let later = request.offset > 0;
        let first_page = if request.first_page == 0 { request.limit } else { request.first_page };
        let mut first = self.bundle().similar(movie, if later { first_page } else { wanted }, allowed);
        if later && first.retrieval == Retrieval::Exact {
            let whole = self.bundle().similar(movie, wanted, allowed);
            // For a longer list the planner may turn to the graph; then it is compared below, like after a graph's page.
            if whole.retrieval == Retrieval::Exact {
                first = whole;
            }
        }
        let (mut items, retrieval) = (first.items, first.retrieval);
        if items.len() >= wanted || (retrieval == Retrieval::Exact && !later) {
            return (items, retrieval);
        }
        let mut unit = self.bundle().movie_factors().row(movie.row()).to_vec();
        normalize(&mut unit);
        let mut rest = allowed.clone();
        for hit in &items {
            rest.remove(hit.index);
        }
        items.extend(self.bundle().nearest_by_cosine(&unit, wanted - items.len(), &rest));
        (items, retrieval)
    }

    /// The best `k` allowed movies without an embedding; all allowed ones if `movie` has none itself.
    fn by_genre_and_popularity(&self, movie: MovieIndex, allowed: &Allowed, k: usize) -> Vec<Scored> {
        let bundle = self.bundle();
        let genres = bundle.movie(movie).genres();
        let rates = bundle.popularity().rates(WORLD);
        let any = !bundle.has_embedding(movie);
        let mut found: Vec<(usize, u32)> = allowed
            .iter()
            .filter(|other| any || !bundle.has_embedding(MovieIndex(*other)))
            .map(|other| (genres.count_common(bundle.movie(MovieIndex(other)).genres()), other))
            .collect();
        let rate = |movie: u32| rates.get(movie as usize).copied().unwrap_or(0.0);
        found.sort_by(|a, b| b.0.cmp(&a.0).then(rate(b.1).total_cmp(&rate(a.1))).then(a.1.cmp(&b.1)));
        found.into_iter().take(k).map(|(_, index)| Scored { index, score: NO_COSINE }).collect()
    }
}
