//! `cinedex similar`, `recommend` and `popular`: the live bundle, asked from the command line.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use cinedex_domain::{InteractionKind, Location, MovieId};
use cinedex_recommender::{
    Engine, EngineOptions, HistoryItem, ListRequest, MovieList, PopularRequest, Snapshot, UserRequest,
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

fn open(context: &Context) -> Result<Arc<Snapshot>> {
    let engine = Engine::open(context.indexes(), EngineOptions::default())
        .with_context(|| format!("no bundle in {} answers", context.configuration.indexes.display()))?;
    Ok(engine.snapshot()?)
}

fn place(text: Option<&str>) -> Result<Option<Location>> {
    Ok(text.map(str::parse).transpose()?)
}

/// A movie by its id, else by its title: the best match of a search, with a note of what was taken.
fn find(snapshot: &Snapshot, text: &str) -> Result<MovieId> {
    if snapshot.movie(text).is_ok() {
        return Ok(MovieId::new(text)?);
    }
    let found = snapshot.search(text, 0, 1);
    let Some(item) = found.items.first() else { bail!("no movie has the id or a title like \"{text}\"") };
    let year = item.year.map(|year| format!(" ({year})")).unwrap_or_default();
    terminal::note(&format!("\"{text}\" is taken for {}{year}, id {}", item.title, item.movie_id));
    Ok(item.movie_id.clone())
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
                item.genres.join(", "),
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
