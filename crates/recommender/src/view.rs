//! One request's view: an immutable snapshot and what is live beside it. It decides what of the two is true of a user; lists are
//! made by the modules that make them for a snapshot alone.

use std::sync::Arc;

use cinedex_domain::{InteractionKind, Location, MovieId, MovieIndex, RatingScale, UserIndex};
use cinedex_vectors::Scored;

use crate::answer::{MovieAnswer, MovieList, NeighborList, PlaceAnswer, Source, Strategy};
use crate::live::{Changes, Live, Person};
use crate::ranking::{self, Ranking, Window};
use crate::request::EVERYWHERE;
use crate::snapshot::unknown_movie;
use crate::taste::Viewer;
use crate::{
    HistoryItem, ListRequest, NeighborRequest, PlaceRequest, PopularRequest, RecommendError, Snapshot,
    UserRequest,
};

/// A snapshot with what is live beside it. A request takes one from the [`Engine`](crate::Engine) and keeps it to its end; what is
/// heard meanwhile may show in it or not. Without anything live its answers are those of the snapshot.
#[derive(Clone)]
pub struct View {
    snapshot: Arc<Snapshot>,
    live: Arc<Live>,
    /// Films that came, changed or were withdrawn; `None` as long as there are none.
    changes: Option<Arc<Changes>>,
}

/// What is known of a user, before the bundle and since.
pub(crate) struct Story {
    /// Each movie once, with a preference that is not 0.
    pub(crate) history: Vec<(MovieIndex, f32)>,
    pub(crate) seen: Vec<MovieIndex>,
    /// Whether the history is another than the one that the bundle's embedding of the user was learned from.
    pub(crate) is_live: bool,
    /// The user's row in the bundle, unless what it knows is forgotten.
    pub(crate) trained: Option<UserIndex>,
    /// Movies that were seen and that the bundle does not have.
    elsewhere: Vec<MovieId>,
    /// Where the user was last, if that is live.
    place: Option<Arc<Location>>,
}

impl View {
    /// What is live may be of another time than the snapshot: only what is after its log position is looked at.
    pub(crate) fn new(snapshot: Arc<Snapshot>, live: Arc<Live>) -> Self {
        let changes = snapshot.changes(&live);
        Self { snapshot, live, changes }
    }

    /// The bundle's part.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The version of the bundle.
    pub fn version(&self) -> &str {
        self.snapshot.version()
    }

    /// Changes with everything that happens of a user, for keys of caches: the log's position of the last of it; 0 for a user of
    /// whom nothing is live.
    pub fn user_generation(&self, user_id: &str) -> u64 {
        self.live.person(user_id).map_or(0, |person| person.generation)
    }

    /// Changes when rankings by place may change, at most once in [`LiveOptions::refresh`](crate::LiveOptions::refresh); 0 as
    /// long as nothing was liked. For keys of [`popular`](Self::popular), [`trending`](Self::trending), and of lists for users
    /// of whom nothing is known.
    pub fn popularity_generation(&self) -> u64 {
        self.live.popularity_stamp()
    }

    /// Changes when somebody else is forgotten, for keys of [`neighbors`](Self::neighbors).
    pub fn forgotten_generation(&self) -> u64 {
        self.live.forgotten_count() as u64
    }

    /// Whether anything is known of a user's taste.
    pub fn knows_user(&self, user_id: &str) -> bool {
        self.is_trained_on(user_id) || self.live.person(user_id).is_some_and(|person| !person.said.is_empty())
    }

    /// Whether the bundle knows a user who is not forgotten.
    pub fn is_trained_on(&self, user_id: &str) -> bool {
        self.snapshot.bundle().user_index(user_id).is_some() && !self.is_forgotten(user_id)
    }

    /// Whether the catalogue has a movie, or had it before it was withdrawn.
    pub fn knows_movie(&self, movie_id: &str) -> bool {
        self.snapshot.bundle().movie_index(movie_id).is_some() || self.movie(movie_id).is_ok()
    }

    /// What ratings are on.
    pub fn rating_scale(&self) -> RatingScale {
        self.snapshot.bundle().settings().rating_scale
    }

    /// Changes when a film is put or withdrawn, for keys of caches: the log's position of the last of it; 0 as long as none was.
    pub fn catalogue_generation(&self) -> u64 {
        self.changes.as_ref().map_or(0, |changes| changes.generation)
    }

    /// Recommendations for a user, see [`Snapshot::for_user`]. What happened since the bundle counts at once: films are seen, the
    /// taste is folded in anew, the latest place is the user's. A user whom the bundle does not know becomes one who is folded in
    /// with the first opinion. Of whom nothing is known gets what is popular now.
    pub fn for_user<'a>(
        &'a self,
        user_id: &str,
        request: &'a UserRequest,
    ) -> Result<MovieList<'a>, RecommendError> {
        let mut story = self.story(user_id);
        let (history, seen) = (std::mem::take(&mut story.history), std::mem::take(&mut story.seen));
        let viewer = Viewer {
            asked: &request.location,
            stored: self.stored_place(&story),
            strategy: if story.is_live { Strategy::FoldedIn } else { Strategy::Personalized },
            trained: story.trained.filter(|_| !story.is_live),
            history,
            seen,
        };
        let mut list = self.snapshot.recommend(&viewer, request, Some(self))?;
        list.user_id = Some(user_id.to_owned());
        Ok(list)
    }

    /// Recommendations for somebody described by a history, see [`Snapshot::for_history`].
    pub fn for_history<'a>(
        &'a self,
        history: &[HistoryItem],
        request: &'a UserRequest,
    ) -> Result<MovieList<'a>, RecommendError> {
        self.snapshot.for_history_in(history, request, Some(self))
    }

    /// Movies similar to one, see [`Snapshot::similar`].
    pub fn similar<'a>(
        &'a self,
        movie_id: &str,
        request: &ListRequest,
    ) -> Result<MovieList<'a>, RecommendError> {
        let Some(changes) = &self.changes else { return self.snapshot.similar(movie_id, request) };
        let allowed = self.allowed(&request.filter)?;
        if let Some(row) = changes.new_row(movie_id) {
            return Ok(self.like_new(row, &allowed, request));
        }
        let movie = self.snapshot.find(movie_id)?;
        if changes.is_gone(movie.0) {
            return Err(unknown_movie(movie_id));
        }
        Ok(self.snapshot.similar_to(movie, allowed, request, Some(self)))
    }

    /// What is popular in a place, by descending shrunk rate: the bundle's counts and what was liked since together. Within a
    /// day, week or month live counts that fade decide, and where there are few of them the rates of all times. The answer's place is
    /// the narrowest one with enough evidence, its events those of the window.
    pub fn popular<'a>(
        &'a self,
        request: &PopularRequest,
        window: Window,
    ) -> Result<MovieList<'a>, RecommendError> {
        self.by_place(request, Source::Popular, |location| {
            ranking::popular(&self.snapshot, &self.live, self.changes(), location, window)
        })
    }

    /// What is rising in a place: films liked more often of late than their past there and the places around it predict, by how
    /// much at least (a score of 2 is twice as often, with probability .999). Only what does rise is listed. The answer's place is
    /// the narrowest one with at least 20 recent likes, its events these likes.
    pub fn trending<'a>(&'a self, request: &PopularRequest) -> Result<MovieList<'a>, RecommendError> {
        self.by_place(request, Source::Trending, |location| {
            ranking::rising(&self.snapshot, &self.live, self.changes(), location)
        })
    }

    /// Users of like taste, see [`Snapshot::neighbors`]: of a user with anything live by the taste folded in from it, and nobody
    /// who is forgotten.
    pub fn neighbors(&self, user_id: &str, request: &NeighborRequest) -> NeighborList<'_> {
        let story = self.story(user_id);
        let known = self.snapshot.bundle().user_index(user_id);
        if !story.is_live && known == story.trained && !self.live.has_forgotten() {
            return self.snapshot.neighbors(user_id, request);
        }
        self.snapshot.neighbors_of(user_id, &story, request, &|other| self.is_forgotten(other))
    }

    /// Movies whose title matches, see [`Snapshot::search`].
    pub fn search(&self, query: &str, offset: usize, limit: usize) -> MovieList<'_> {
        match &self.changes {
            None => self.snapshot.search(query, offset, limit),
            Some(changes) => self.search_in(changes, query, offset, limit),
        }
    }

    /// Everything known of one movie.
    pub fn movie(&self, movie_id: &str) -> Result<MovieAnswer<'_>, RecommendError> {
        let Some(changes) = &self.changes else { return self.snapshot.movie(movie_id) };
        let row = match changes.new_row(movie_id) {
            Some(row) => row,
            None => self.snapshot.find(movie_id)?.0,
        };
        if changes.is_gone(row) {
            return Err(unknown_movie(movie_id));
        }
        match changes.movie(row) {
            Some(movie) => Ok(MovieAnswer { movie: movie.clone(), index_version: self.version() }),
            None => self.snapshot.movie(movie_id),
        }
    }

    /// What is popular now, for a user of whom nothing is known; `None` as long as nothing is live.
    pub(crate) fn popular_now(&self, location: Option<&Location>) -> Option<Arc<Ranking>> {
        (self.live.popularity_stamp() > 0)
            .then(|| ranking::popular(&self.snapshot, &self.live, self.changes(), location, Window::All))
    }

    pub(crate) fn changes(&self) -> Option<&Changes> {
        self.changes.as_deref()
    }

    fn by_place<'a>(
        &'a self,
        request: &PopularRequest,
        source: Source,
        rank: impl FnOnce(Option<&Location>) -> Arc<Ranking>,
    ) -> Result<MovieList<'a>, RecommendError> {
        let mut allowed = self.allowed(&request.filter)?;
        let story = request.user.as_ref().map(|user_id| self.story(user_id));
        let seen = story.as_ref().filter(|_| !request.include_seen);
        if let Some(story) = seen {
            story.seen.iter().for_each(|movie| allowed.remove(movie.0));
        }
        let stored = story.as_ref().and_then(|story| self.stored_place(story));
        let ranking = rank(request.location.location_or(stored));
        // A film that the bundle does not have is looked at one by one: there are few.
        let is_new = |row: u32| {
            let changes = self.changes().filter(|changes| changes.generation == ranking.generation);
            changes.and_then(|changes| changes.movie(row)).is_some_and(|movie| {
                let is_seen = seen.is_some_and(|story| story.elsewhere.contains(&movie.movie_id));
                !is_seen && request.filter.allows(movie)
            })
        };
        let bundled = self.snapshot.movie_count();
        let passes = |hit: &&Scored| {
            if (hit.index as usize) < bundled { allowed.contains(hit.index) } else { is_new(hit.index) }
        };
        let hits = ranking.films().iter().filter(passes).skip(request.offset);
        let mut hits = hits.take(request.limit.saturating_add(1));
        let limited = hits.by_ref().take(request.limit);
        let items = limited.map(|hit| self.snapshot.scored_item_in(*hit, source, Some(self))).collect();
        let mut list = self.snapshot.list(items, hits.next().is_some());
        list.user_id.clone_from(&request.user);
        list.location = Some(ranking.place_answer(&request.location));
        Ok(list)
    }

    /// What is known of a user. Without anything live one look-up more than the bundle alone.
    pub(crate) fn story(&self, user_id: &str) -> Story {
        let bundle = self.snapshot.bundle();
        let person = self.live.person(user_id);
        let position = self.snapshot.log_position();
        let forgotten = person.as_ref().is_some_and(|person| person.forgotten > position);
        let trained = bundle.user_index(user_id).filter(|_| !forgotten);
        let mut story = Story {
            history: Vec::new(),
            seen: Vec::new(),
            elsewhere: Vec::new(),
            is_live: forgotten,
            trained,
            place: None,
        };
        if let Some(user) = trained {
            story.seen = bundle.history(user).movies.iter().copied().map(MovieIndex).collect();
            story.history = self.snapshot.preferences_of(user);
        }
        if let Some(person) = person {
            self.merge(&person, position, &mut story);
        }
        story
    }

    /// Adds what was said after `position` to what the bundle knows, as opinions are settled for training: an explicit one
    /// outweighs a watch or skip, and among equals the latest counts. The bundle does not say which of its opinions are explicit: all are
    /// but those of just the preference of a watch or a skip.
    fn merge(&self, person: &Person, position: u64, story: &mut Story) {
        let (bundle, settings) = (self.snapshot.bundle(), self.snapshot.bundle().settings());
        let policy = &settings.preference;
        let mut opinions: Vec<Opinion> = Vec::new();
        for said in person.said.iter().filter(|said| said.position > position) {
            let preference = policy.preference(said.kind, said.value(), settings.rating_scale);
            let Some(preference) = preference else { continue };
            let Some(movie) = bundle.movie_index(said.movie.as_str()) else {
                story.elsewhere.push(said.movie.clone());
                continue;
            };
            let explicit = !matches!(said.kind, InteractionKind::Watch | InteractionKind::Skip);
            let (timestamp_ms, position) = (said.timestamp_ms, said.position);
            opinions.push(Opinion { movie: movie.0, explicit, timestamp_ms, position, preference });
        }
        let place = person.place.as_ref().filter(|place| place.position > position);
        story.place = place.map(|place| Arc::clone(&place.location));
        if opinions.is_empty() {
            return;
        }
        if let Some(user) = story.trained {
            let stored = bundle.history(user);
            let entries = stored.movies.iter().zip(stored.preferences).zip(stored.timestamps_ms);
            opinions.extend(entries.map(|((&movie, &preference), &timestamp_ms)| {
                let explicit = preference != policy.watch && preference != policy.skip;
                Opinion { movie, explicit, timestamp_ms, position: 0, preference }
            }));
        }
        let rank =
            |opinion: &Opinion| (opinion.movie, opinion.explicit, opinion.timestamp_ms, opinion.position);
        // The best of each movie first.
        opinions.sort_unstable_by_key(|opinion| std::cmp::Reverse(rank(opinion)));
        opinions.dedup_by_key(|opinion| opinion.movie);
        opinions.reverse();
        story.is_live = true;
        story.seen = opinions.iter().map(|opinion| MovieIndex(opinion.movie)).collect();
        opinions.retain(|opinion| opinion.preference != 0.0);
        story.history =
            opinions.iter().map(|opinion| (MovieIndex(opinion.movie), opinion.preference)).collect();
    }

    fn stored_place<'s>(&'s self, story: &'s Story) -> Option<&'s Location> {
        let stored = || self.snapshot.bundle().user_location(story.trained?);
        story.place.as_deref().or_else(stored)
    }

    /// Whether what the bundle knows of a user is to be forgotten.
    fn is_forgotten(&self, user_id: &str) -> bool {
        self.live.person(user_id).is_some_and(|person| person.forgotten > self.snapshot.log_position())
    }
}

/// What one user thinks of one movie, and what makes it count.
struct Opinion {
    movie: u32,
    explicit: bool,
    timestamp_ms: i64,
    /// 0 for what the bundle knows.
    position: u64,
    preference: f32,
}

impl Ranking {
    /// What is said of the place that answered.
    pub(crate) fn place_answer(&self, asked: &PlaceRequest) -> PlaceAnswer {
        PlaceAnswer {
            asked: asked.as_str().map(str::to_owned),
            answered: self.location.as_ref().map_or(EVERYWHERE, Location::as_str).to_owned(),
            events: self.events,
        }
    }
}
