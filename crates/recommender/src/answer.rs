//! What is answered, in the shapes of the HTTP contract; borrowed from the snapshot, ready for serialization.

use cinedex_domain::{Movie, MovieId};
use cinedex_index::Names;
use serde::Serialize;

/// A list of movies with what is to be said of it. Fields that do not concern the request are absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MovieList<'a> {
    /// Best first.
    pub items: Vec<Item<'a>>,
    /// Where the next page begins; the caller makes it from [`more`](Self::more).
    pub next_cursor: Option<String>,
    /// The bundle that answered.
    pub index_version: &'a str,
    /// The movie that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub movie_id: Option<&'a str>,
    /// The user who was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What the ranking rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// How candidates were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<RetrievalKind>,
    /// Which place's popularity spoke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<PlaceAnswer>,
    /// Ids of the request's history that the catalogue does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_movies: Option<Vec<MovieId>>,
    /// Whether further items follow.
    #[serde(skip)]
    pub more: bool,
}

/// One movie of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item<'a> {
    /// The caller's id.
    pub movie_id: &'a str,
    /// The title as people say it.
    pub title: &'a str,
    /// Year of first release.
    pub year: Option<u16>,
    /// Genres in the source's spelling.
    pub genres: Genres<'a>,
    /// The cosine for similar movies, the blended score for a user, the shrunk rate for popularity; absent in a search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// Why it is here; absent in a search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Movies of the history by the size of their share, at most [`MAX_REASONS`](crate::MAX_REASONS); when asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<Reason<'a>>>,
    /// The score less all listed shares: popularity, and the history beyond the listed reasons; when asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remainder: Option<f32>,
}

/// The genres of a movie. Serialized as a list of strings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Genres<'a> {
    /// As the bundle has them.
    Stored(Names<'a>),
    /// As they were told since.
    Told(&'a [String]),
}

impl Genres<'_> {
    /// A copy of each name.
    pub fn to_vec(self) -> Vec<String> {
        match self {
            Self::Stored(names) => names.to_vec(),
            Self::Told(names) => names.to_vec(),
        }
    }
}

/// How much one movie of the history contributes to a score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason<'a> {
    /// The movie of the history.
    pub movie_id: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Its part of the score, negative where it speaks against.
    pub share: f32,
}

/// Users of like taste.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeighborList<'a> {
    /// The likest first.
    pub items: Vec<Neighbor<'a>>,
    /// Where the next page begins; the caller makes it from [`more`](Self::more).
    pub next_cursor: Option<String>,
    /// The bundle that answered.
    pub index_version: &'a str,
    /// The user who was asked about.
    pub user_id: String,
    /// What of that user was compared.
    pub strategy: NeighborStrategy,
    /// How the others were found.
    pub retrieval: RetrievalKind,
    /// Whether further items follow.
    #[serde(skip)]
    pub more: bool,
}

/// One user of a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Neighbor<'a> {
    /// The caller's id.
    pub user_id: &'a str,
    /// The cosine of the two embeddings, -1 to 1.
    pub score: f32,
}

/// What of a user was compared with the embeddings of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NeighborStrategy {
    /// The embedding that the bundle has of the user.
    Personalized,
    /// One folded in from the user's history: the bundle has none.
    FoldedIn,
    /// Nothing, and so nobody is found: the user is unknown, or has neither embedding nor history, or the bundle has embeddings
    /// of no users at all.
    Unavailable,
}

/// One movie with all its facts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MovieAnswer<'a> {
    /// The facts.
    #[serde(flatten)]
    pub movie: Movie,
    /// The bundle that answered.
    pub index_version: &'a str,
}

/// Why a movie is in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The user's taste outweighs popularity.
    Taste,
    /// It is similar to the movie asked about.
    Similar,
    /// It is popular in the place, or was liked much lately.
    Popular,
    /// It is liked more often of late than its past predicts.
    Trending,
}

/// What a user's ranking rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// A known user's taste; popularity has less than a tenth of its full weight.
    Personalized,
    /// The taste of the request's history; popularity has less than a tenth of its full weight.
    FoldedIn,
    /// Taste and popularity, the place's or that of what was liked last.
    Blended,
    /// The place's popularity alone: nothing is known of the user.
    Popular,
}

/// How candidates were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetrievalKind {
    /// Everything that could be in the list was compared.
    Exact,
    /// The neighbour graph was searched.
    Graph,
}

/// Which place's popularity spoke, and on how many events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceAnswer {
    /// The place of the request, everywhere is `world`; none where it named none.
    pub asked: Option<String>,
    /// The narrowest place around it with enough evidence; everywhere is `world`.
    pub answered: String,
    /// Interactions seen there.
    pub events: u64,
}
