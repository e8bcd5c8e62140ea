//! Films that come, change and are withdrawn, in the answers of the small world.

use cinedex_domain::{InteractionKind, Movie, MovieFilter, MovieId};
use cinedex_feedback::Entry;

use super::tests::{Room, ids, wants};
use crate::world::{MOVIES, World};
use crate::{ListRequest, PopularRequest, RecommendError, Strategy, UserRequest, View, Window};

fn put(id: &str, title: &str, genres: &[&str]) -> Entry {
    let mut movie = Movie::new(MovieId::new(id).unwrap(), title);
    movie.genres = genres.iter().map(|&genre| genre.to_owned()).collect();
    movie.year = Some(2026);
    Entry::MoviePut(movie)
}

fn withdraw(id: &str) -> Entry {
    Entry::MovieWithdrawn(MovieId::new(id).unwrap())
}

fn of(genre: &str) -> MovieFilter {
    MovieFilter { genres_any: vec![genre.to_owned()], ..MovieFilter::default() }
}

/// Ids of every list that the view can make, all films asked for.
fn everywhere(view: &View) -> Vec<Vec<String>> {
    let owned = |list: crate::MovieList<'_>| ids(&list).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let all = UserRequest { include_seen: true, ..wants(100) };
    let popular = PopularRequest { limit: 100, ..PopularRequest::default() };
    let similar = ListRequest { limit: 100, ..ListRequest::default() };
    let mut lists: Vec<Vec<String>> =
        ["1", "2", "nobody"].map(|user| owned(view.for_user(user, &all).unwrap())).into();
    lists.push(owned(view.popular(&popular, Window::All).unwrap()));
    lists.push(owned(view.popular(&popular, Window::Day).unwrap()));
    lists.push(owned(view.similar("5", &similar).unwrap()));
    lists.push(owned(view.similar("21", &similar).unwrap()));
    lists.push(owned(view.search("", 0, 100)));
    lists.push(owned(view.search("kiss 14", 0, 100)));
    lists
}

#[test]
fn a_withdrawn_film_is_in_no_answer_until_it_is_put_again() {
    let mut room = Room::new(&World { popularity_weight: 0.4, ..World::default() });
    let before = everywhere(&room.view());
    assert!(before.iter().all(|list| list.contains(&"14".to_owned())));
    room.hear(withdraw("14"));
    room.hear(withdraw("unheard of"));
    for film in ["14", "unheard of"] {
        let view = room.view();
        assert!(matches!(view.movie(film), Err(RecommendError::UnknownMovie { .. })));
        assert!(matches!(
            view.similar(film, &ListRequest::default()),
            Err(RecommendError::UnknownMovie { .. })
        ));
    }
    assert_eq!(room.view().catalogue_generation(), 2);
    for (now, before) in everywhere(&room.view()).iter().zip(&before) {
        let expect: Vec<&String> = before.iter().filter(|id| *id != "14").collect();
        assert_eq!(now.iter().collect::<Vec<_>>(), expect);
    }
    // Also from a bundle that was made since.
    room.bench.build(&World { popularity_weight: 0.4, log_position: Some(2), ..World::default() });
    room.engine.follow_current().unwrap();
    assert!(everywhere(&room.view()).iter().all(|list| !list.contains(&"14".to_owned())));
    room.hear(put("14", "Kiss 14", &["Romance"]));
    assert_eq!(everywhere(&room.view()), before);
}

#[test]
fn a_new_film_is_found_by_id_title_and_genre() {
    let mut room = Room::new(&World::default());
    room.hear(put("4b", "Moon over Fresno", &["Western", "Romance"]));
    let view = room.view();
    assert_eq!(view.movie("4b").unwrap().movie.year, Some(2026));
    assert_eq!(ids(&view.search("moon fresno", 0, 5)), ["4b"]);
    let all = view.search("", 0, 100);
    assert_eq!((all.items.len(), ids(&all)[MOVIES]), (MOVIES + 1, "4b"), "after all numbers");
    let (first, last) = (view.search("", 0, MOVIES), view.search("", MOVIES, 5));
    assert!(first.more && !last.more && ids(&last) == ["4b"]);
    let popular = |filter: MovieFilter| PopularRequest { filter, limit: 100, ..PopularRequest::default() };
    let western = view.popular(&popular(of("western")), Window::All).unwrap();
    assert_eq!(ids(&western), ["4b"]);
    assert_eq!(western.items[0].genres.to_vec(), ["Western", "Romance"]);
    let error = view.popular(&popular(of("opera")), Window::All).unwrap_err();
    assert!(matches!(error, RecommendError::UnknownGenre { .. }));
    let user = UserRequest { filter: of("western"), ..wants(10) };
    assert!(view.for_user("1", &user).unwrap().items.is_empty(), "it has no embedding");
    let similar = view.similar("4b", &ListRequest { limit: 3, ..ListRequest::default() }).unwrap();
    assert_eq!((ids(&similar), similar.movie_id), (vec!["11", "12", "13"], Some("4b")));
}

#[test]
fn a_new_film_becomes_popular_and_trends() {
    let mut room = Room::new(&World::default());
    room.hear(put("4b", "Moon over Fresno", &["Western"]));
    for user in 0..400 {
        room.says_at(&format!("new {user}"), "4b", InteractionKind::Watch, Some("KR/11/Seoul"));
    }
    let request = PopularRequest { location: "KR".parse().unwrap(), limit: 2, ..PopularRequest::default() };
    let view = room.view();
    for window in [Window::All, Window::Day] {
        assert_eq!(ids(&view.popular(&request, window).unwrap())[0], "4b", "{window:?}");
    }
    assert_eq!(ids(&view.trending(&request).unwrap()), ["4b"]);
    let seen = PopularRequest { user: Some("new 3".into()), ..request };
    assert!(view.trending(&seen).unwrap().items.is_empty());
    // Nothing is known of who watched only that.
    let user = wants(1);
    assert_eq!(view.for_user("new 3", &user).unwrap().strategy, Some(Strategy::Popular));
    room.hear(withdraw("4b"));
    let view = room.view();
    assert_eq!(ids(&view.popular(&seen, Window::All).unwrap())[0], "15");
    assert!(view.search("moon", 0, 5).items.is_empty());
}

#[test]
fn a_film_with_other_facts_is_found_by_them_alone() {
    let mut room = Room::new(&World::default());
    room.hear(put("7", "Love in Busan", &["Romance"]));
    let view = room.view();
    assert!(view.search("chase 7", 0, 5).items.iter().all(|item| item.movie_id != "7"));
    assert_eq!(ids(&view.search("love busan", 0, 5)), ["7"]);
    assert_eq!(view.movie("7").unwrap().movie.title, "Love in Busan");
    let action = UserRequest { filter: of("action"), ..wants(100) };
    assert!(!ids(&view.for_user("5", &action).unwrap()).contains(&"7"));
    let romance = UserRequest { filter: of("romance"), ..wants(100) };
    let list = view.for_user("5", &romance).unwrap();
    // Its taste is still what was learned.
    assert_eq!((ids(&list)[0], list.items[0].title, list.items[0].year), ("7", "Love in Busan", Some(2026)));
    // A bundle that knows it tells its own facts.
    room.bench.build(&World { log_position: Some(1), ..World::default() });
    room.engine.follow_current().unwrap();
    assert_eq!(room.view().movie("7").unwrap().movie.title, "Chase 7");
}
