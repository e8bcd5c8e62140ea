//! Lists in which films stand that came, changed or were withdrawn since the bundle was built.

use cinedex_domain::{Movie, MovieFilter, MovieIndex, compare_ids};
use cinedex_index::Allowed;
use cinedex_vectors::Scored;

use crate::answer::{Genres, Item, MovieList, RetrievalKind, Source};
use crate::lists::{NO_COSINE, WORLD};
use crate::live::Changes;
use crate::titles::{Match, by_popularity, in_order_of_match};
use crate::{ListRequest, RecommendError, View};

impl View {
    /// The movies of the bundle that pass a filter, by their facts as they are live.
    pub(crate) fn allowed(&self, filter: &MovieFilter) -> Result<Allowed, RecommendError> {
        let snapshot = self.snapshot();
        let Some(changes) = self.changes() else { return snapshot.allowed(filter) };
        let mut allowed = match changes.known_genres(snapshot.bundle(), filter) {
            None => snapshot.allowed(filter)?,
            Some((rest, possible)) => {
                let passing = snapshot.allowed(&rest)?;
                if possible { passing } else { Allowed::none(passing.len()) }
            }
        };
        for (row, movie) in changes.changed_films() {
            if filter.allows(movie) {
                allowed.insert(row.0);
            } else {
                allowed.remove(row.0);
            }
        }
        changes.gone().iter().for_each(|&row| allowed.remove(row));
        Ok(allowed)
    }

    /// A film with the facts that were told of it; `None` if the bundle's hold.
    pub(crate) fn told_item(&self, row: u32) -> Option<Item<'_>> {
        let movie = self.changes()?.movie(row)?;
        Some(Item {
            movie_id: movie.movie_id.as_str(),
            title: &movie.title,
            year: movie.year,
            genres: Genres::Told(&movie.genres),
            score: None,
            source: None,
            reasons: None,
            remainder: None,
        })
    }

    /// Films by the genres that they share with one that the bundle does not have, then by popularity: it has no embedding.
    pub(crate) fn like_new(&self, row: u32, allowed: &Allowed, request: &ListRequest) -> MovieList<'_> {
        let snapshot = self.snapshot();
        let bundle = snapshot.bundle();
        let base = self.changes().and_then(|changes| changes.movie(row));
        let is_shared = |genre: &str| {
            base.is_some_and(|base| base.genres.iter().any(|own| own.eq_ignore_ascii_case(genre)))
        };
        let in_common = |other: u32| match self.changes().and_then(|changes| changes.movie(other)) {
            Some(movie) => movie.genres.iter().filter(|genre| is_shared(genre)).count(),
            None => bundle.movie(MovieIndex(other)).genres().iter().filter(|genre| is_shared(genre)).count(),
        };
        let rates = bundle.popularity().rates(WORLD);
        let mut found: Vec<(usize, u32)> = allowed.iter().map(|other| (in_common(other), other)).collect();
        found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| by_popularity(&rates, a.1, b.1)));
        let page = found.iter().skip(request.offset).take(request.limit);
        let items = page.map(|&(_, index)| {
            let hit = Scored { index, score: NO_COSINE };
            snapshot.scored_item_in(hit, Source::Popular, Some(self))
        });
        let more = found.len() > request.offset.saturating_add(request.limit);
        let mut list = snapshot.list(items.collect(), more);
        list.movie_id = base.map(|movie| movie.movie_id.as_str());
        list.retrieval = Some(RetrievalKind::Exact);
        list
    }

    /// [`Snapshot::search`](crate::Snapshot::search) over the films as they are live.
    pub(crate) fn search_in<'a>(
        &'a self,
        changes: &'a Changes,
        query: &str,
        offset: usize,
        limit: usize,
    ) -> MovieList<'a> {
        let snapshot = self.snapshot();
        let item = |row: u32| self.told_item(row).unwrap_or_else(|| snapshot.item(row));
        let end = offset.saturating_add(limit);
        if query.trim().is_empty() {
            let mut rows = self.whole_catalogue(changes).skip(offset);
            let items: Vec<Item<'_>> = rows.by_ref().take(limit).map(item).collect();
            return snapshot.list(items, rows.next().is_some());
        }
        let rates = snapshot.bundle().popularity().rates(WORLD);
        let stored = snapshot.titles().matches(query).into_iter();
        let stored = stored.filter(|(row, _)| !changes.is_gone(*row) && changes.movie(*row).is_none());
        let told = changes.titles().matches(query).into_iter();
        let told = told.map(|(number, how)| (changes.told()[number as usize].0, how));
        let mut found: Vec<(Match, u32)> = stored.chain(told).map(|(row, how)| (how, row)).collect();
        in_order_of_match(&mut found, &rates);
        let page = found.iter().take(end).skip(offset);
        snapshot.list(page.map(|(_, row)| item(*row)).collect(), found.len() > end)
    }

    /// All films that are not withdrawn, in canonical order of ids.
    fn whole_catalogue<'a>(&'a self, changes: &'a Changes) -> impl Iterator<Item = u32> + 'a {
        let bundle = self.snapshot().bundle();
        let count = bundle.movie_count() as u32;
        // Where each of the few new films stands among the rows.
        let before = |movie: &Movie| {
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = low.midpoint(high);
                let stored = bundle.movie(MovieIndex(middle)).movie_id();
                if compare_ids(stored, movie.movie_id.as_str()).is_lt() {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        let places = changes.new_films().iter().map(|(row, movie)| (before(movie), *row));
        let places: Vec<(u32, u32)> = places.collect();
        (0..=count).flat_map(move |row| {
            let from = places.partition_point(|(before, _)| *before < row);
            let to = places.partition_point(|(before, _)| *before <= row);
            let new: Vec<u32> = places[from..to].iter().map(|(_, new)| *new).collect();
            let own = (row < count && !changes.is_gone(row)).then_some(row);
            new.into_iter().chain(own)
        })
    }
}
