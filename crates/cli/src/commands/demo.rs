//! `cinedex demo`: the embedded world (or a data set), made ready and served, with things to try.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use cinedex_index::IndexRoot;
use cinedex_pipeline::{DEMO_NAME, prepare_demo};
use cinedex_recommender::{Engine, EngineOptions, PopularRequest, Snapshot};

use super::{Context, NEVER};
use crate::arguments::DemoArguments;
use crate::terminal::{self, ProgressView, thousands};

pub(super) fn run(context: Context, flags: &DemoArguments) -> Result<()> {
    let began = Instant::now();
    let data = context.data();
    // A root of its own: whatever is live for `cinedex serve` stays so.
    let indexes = IndexRoot::new(context.configuration.indexes.join(DEMO_NAME));
    let json = context.json;
    let configuration = context.configuration.with_serve(&flags.serve)?;
    if flags.serve.print_config {
        return super::serve::print(&configuration, json);
    }
    configuration.serve.validate()?;
    let view = ProgressView::new();
    let report = prepare_demo(&data, &indexes, flags.dataset.as_deref(), &|step| view.show(step), &NEVER)?;
    drop(view);
    let counts = report.manifest.counts;
    terminal::note(&format!(
        "{}: {} films, {} people, {} interactions; bundle {}",
        report.manifest.source.title,
        thousands(counts.movies),
        thousands(counts.users),
        thousands(counts.interactions),
        report.version
    ));
    // Beside the bundles: preparing the world anew does not touch it.
    let feedback = indexes.path().join("feedback");
    let engine = Arc::new(Engine::open(indexes, EngineOptions::default())?);
    let suggestions = Suggestions::of(&*engine.snapshot()?);
    if flags.prepare_only {
        terminal::note(&format!("ready in {:.1} s", began.elapsed().as_secs_f64()));
        if json {
            return terminal::print_json(&serde_json::json!({
                "dataset": report.manifest.name,
                "version": report.version.to_string(),
                "prepared": report.prepared,
            }));
        }
        return terminal::print(&suggestions.text(configuration.serve.bind));
    }
    let log = super::serve::open_log(&flags.serve, &feedback, &configuration.serve, &engine)?;
    super::serve::serve(engine, log, &configuration.serve, |address| {
        terminal::note(&format!(
            "ready in {:.1} s, serving on http://{address} (Ctrl-C stops)",
            began.elapsed().as_secs_f64()
        ));
        // A closed stdout is no reason not to serve.
        let _ = terminal::print(&suggestions.text(address));
    })
}

/// Three requests that this catalogue answers well.
struct Suggestions {
    title: String,
    movie: String,
    place: Option<String>,
}

impl Suggestions {
    /// The best known of a few famous films, else the most popular one; the first city or country there is.
    fn of(snapshot: &Snapshot) -> Self {
        let famous = ["The Godfather", "Toy Story", "Star Wars"];
        let known = famous.iter().find_map(|title| {
            let found = snapshot.search(title, 0, 1).items.into_iter().next()?;
            (found.title == *title).then_some(found)
        });
        let request = PopularRequest { limit: 1, ..PopularRequest::default() };
        let popular = || snapshot.popular(&request).ok().and_then(|list| list.items.into_iter().next());
        let (title, movie) = known
            .or_else(popular)
            .map_or_else(Default::default, |item| (item.title.to_owned(), item.movie_id.to_string()));
        let places = || snapshot.bundle().popularity().places().filter_map(|place| place.location);
        let place = places().find(|place| place.as_str() == "KR/11/Seoul").or_else(|| places().next());
        Self { title, movie, place: place.map(|place| place.as_str().replace(' ', "%20")) }
    }

    fn text(&self, address: SocketAddr) -> String {
        let base = format!("http://{address}");
        let location = self.place.as_ref().map(|place| format!("location={place}&")).unwrap_or_default();
        format!(
            "\nthree things to try:\n\n  films like {}:\n    curl '{base}/v1/movies/{}/similar?limit=5'\n  films for user 42, and why:\n    \
             curl '{base}/v1/users/42/recommendations?limit=5&explain=true'\n  what a new user gets:\n    \
             curl '{base}/v1/users/somebody-new/recommendations?{location}limit=5'\n\ndocumentation: {base}/docs",
            self.title, self.movie
        )
    }
}
