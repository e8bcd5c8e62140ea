//! `cinedex similar`, `recommend`, `popular` and `neighbors`: the live bundle, asked from the command line.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use cinedex_domain::{InteractionKind, MovieId};
use cinedex_recommender::{
    Engine, EngineOptions, Followed, HistoryItem, ListRequest, MovieList, NeighborRequest, NeighborStrategy,
    PlaceRequest, PopularRequest, Snapshot, TitleMatch, UserRequest,
};

use super::Context;
use crate::arguments::RecommendArguments;
use crate::terminal::{self, thousands};

pub(super) fn similar(context: &Context, movie: &str, k: u32) -> Result<()> {
    let snapshot = open(context)?;
    let movie = find(&snapshot, movie)?;
    let request = ListRequest { limit: k as usize, ..ListRequest::default() };
    show(context, &snapshot.similar(movie.as_str(), &request)?)
}

pub(super) fn recommend(context: &Context, flags: &RecommendArguments) -> Result<()> {
    let snapshot = open(context)?;
    let request = UserRequest {
        limit: flags.k as usize,
        location: place(flags.location.as_deref())?,
        ..UserRequest::default()
    };
    if let Some(user) = &flags.user {
        return show(context, &snapshot.for_user(user, &request)?);
    }
    let mut history = Vec::new();
    for (movies, kind) in [(&flags.liked, InteractionKind::Like), (&flags.disliked, InteractionKind::Dislike)]
    {
        for movie in movies {
            history.push(HistoryItem { movie_id: find(&snapshot, movie)?, kind, value: None });
        }
    }
    show(context, &snapshot.for_history(&history, &request)?)
}

pub(super) fn popular(context: &Context, location: Option<&str>, k: u32) -> Result<()> {
    let snapshot = open(context)?;
    let request =
        PopularRequest { limit: k as usize, location: place(location)?, ..PopularRequest::default() };
    show(context, &snapshot.popular(&request)?)
}

pub(super) fn neighbors(context: &Context, user: &str, k: u32) -> Result<()> {
    let snapshot = open(context)?;
    let list = snapshot.neighbors(user, &NeighborRequest { limit: k as usize, ..NeighborRequest::default() });
    if context.json {
        return terminal::print_json(&list);
    }
    let row = |score: f32, user: &str| vec![format!("{score:.3}"), user.to_owned()];
    let rows = list.items.iter().map(|neighbor| row(neighbor.score, neighbor.user_id)).collect();
    terminal::print(&terminal::table(&["score", "user"], rows, &[0]))?;
    terminal::note(&match list.strategy {
        NeighborStrategy::Unavailable => {
            let shown: String = user.chars().take(60).collect();
            format!("nobody can be compared: there is no embedding of \"{shown}\" or of anybody else")
        }
        known => format!("{}, retrieval {}", word(&known)?, word(&list.retrieval)?),
    });
    Ok(())
}

/// The snapshot that a server would serve; says so where it is not the one that `CURRENT` names.
fn open(context: &Context) -> Result<Arc<Snapshot>> {
    let engine = Engine::new(context.indexes(), EngineOptions::default());
    let followed = engine
        .follow_current()
        .with_context(|| format!("no bundle in {} answers", context.configuration.indexes.display()))?;
    let snapshot = engine.snapshot()?;
    if let Followed::LastGood { refused } = followed {
        let reason = format!("{:#}", anyhow::Error::from(refused));
        terminal::note(&format!("the live bundle is refused, {} answers: {reason}", snapshot.version()));
    }
    Ok(snapshot)
}

fn place(text: Option<&str>) -> Result<PlaceRequest> {
    Ok(text.map(str::parse).transpose()?.unwrap_or_default())
}

/// A movie by its id, else by its title or its beginning, with a note of what was taken.
fn find(snapshot: &Snapshot, text: &str) -> Result<MovieId> {
    if snapshot.movie(text).is_ok() {
        return Ok(MovieId::new(text)?);
    }
    let movie_id = match snapshot.find_title(text) {
        TitleMatch::Exact(movie_id) | TitleMatch::Beginning(movie_id) => movie_id,
        TitleMatch::Suggestions(likely) => {
            let shown: String = text.chars().take(60).collect();
            let titles: Vec<String> =
                likely.into_iter().map(|(movie_id, title)| format!("{title} ({movie_id})")).collect();
            let meant = if titles.is_empty() {
                String::new()
            } else {
                format!("; did you mean {}?", titles.join(", "))
            };
            bail!("no movie has the id or title \"{shown}\"{meant}");
        }
    };
    let movie = snapshot.movie(movie_id.as_str())?.movie;
    let year = movie.year.map(|year| format!(" ({year})")).unwrap_or_default();
    terminal::note(&format!("\"{text}\" is taken for {}{year}, id {movie_id}", movie.title));
    Ok(movie_id)
}

fn show(context: &Context, list: &MovieList<'_>) -> Result<()> {
    if context.json {
        return terminal::print_json(list);
    }
    let rows = list
        .items
        .iter()
        .map(|item| {
            vec![
                item.score.map(|score| format!("{score:.3}")).unwrap_or_default(),
                item.title.to_owned(),
                item.year.map(|year| year.to_string()).unwrap_or_default(),
                item.genres.to_vec().join(", "),
                item.movie_id.to_string(),
            ]
        })
        .collect();
    terminal::print(&terminal::table(&["score", "title", "year", "genres", "id"], rows, &[0]))?;
    if let Some(said) = describe(list)? {
        terminal::note(&said);
    }
    Ok(())
}

/// How the list came about, in a line.
fn describe(list: &MovieList<'_>) -> Result<Option<String>> {
    let mut parts = Vec::new();
    if let Some(strategy) = list.strategy {
        parts.push(word(&strategy)?);
    }
    if let Some(retrieval) = list.retrieval {
        parts.push(format!("retrieval {}", word(&retrieval)?));
    }
    if let Some(place) = &list.location {
        let asked = place.asked.as_deref().filter(|asked| *asked != place.answered);
        let asked = asked.map(|asked| format!(" for {asked}")).unwrap_or_default();
        parts.push(format!("{}{asked} on {} events", place.answered, thousands(place.events)));
    }
    Ok((!parts.is_empty()).then(|| parts.join(", ")))
}

/// The name of a variant over HTTP.
fn word(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_value(value)?.as_str().unwrap_or_default().replace('_', " "))
}
