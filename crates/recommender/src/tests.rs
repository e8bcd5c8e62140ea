//! The engine on a small world with an obvious answer.

use std::collections::HashSet;

use cinedex_domain::{InteractionKind, Metric, MovieFilter, MovieId};

use crate::world::{Bench, EACH, MOVIES, World};
use crate::{
    Engine, EngineOptions, Followed, HistoryItem, ListRequest, MovieList, PlaceRequest, PopularRequest,
    RecommendError, Source, Strategy, TitleMatch, UserRequest,
};

fn ids<'a>(list: &'a MovieList<'_>) -> Vec<&'a str> {
    list.items.iter().map(|item| item.movie_id).collect()
}

fn is_action(id: &str) -> bool {
    id.parse::<usize>().unwrap() <= EACH
}

fn wants(limit: usize) -> UserRequest {
    UserRequest { limit, ..UserRequest::default() }
}

fn liked(movies: &[&str]) -> Vec<HistoryItem> {
    movies
        .iter()
        .map(|id| HistoryItem {
            movie_id: MovieId::new(id).unwrap(),
            kind: InteractionKind::Like,
            value: None,
        })
        .collect()
}

/// What holds for every kind of model.
fn check_tastes(world: &World) {
    let bench = Bench::new();
    let snapshot = bench.engine(world).snapshot().unwrap();
    let request = wants(5);
    let first = snapshot.for_user("1", &request).unwrap();
    assert!(ids(&first).iter().all(|id| is_action(id)), "{:?}", ids(&first));
    assert!(ids(&first).iter().all(|id| !["1", "2", "3"].contains(id)), "seen: {:?}", ids(&first));
    assert_eq!(first.strategy, Some(Strategy::Personalized));
    assert!(first.items.iter().all(|item| item.source == Some(Source::Taste)));
    let second = snapshot.for_user("2", &request).unwrap();
    assert!(ids(&second).iter().all(|id| !is_action(id)), "{:?}", ids(&second));
    let history = liked(&["12", "13"]);
    let folded = snapshot.for_history(&history, &request).unwrap();
    assert!(ids(&folded).iter().all(|id| !is_action(id) && !["12", "13"].contains(id)), "{:?}", ids(&folded));
    assert_eq!(folded.strategy, Some(Strategy::FoldedIn));
    // Somebody with a taste still gets all movies, if so many are asked for.
    assert_eq!(snapshot.for_history(&history, &wants(100)).unwrap().items.len(), MOVIES - 2);
}

#[test]
fn two_disjoint_tastes_stay_apart_whatever_the_model() {
    check_tastes(&World::default());
    check_tastes(&World { user_factors: false, ..World::default() });
    check_tastes(&World { metric: Metric::Cosine, ..World::default() });
    check_tastes(&World { metric: Metric::Cosine, fold_in: false, user_factors: false, ..World::default() });
    check_tastes(&World { fold_in: false, user_factors: false, ..World::default() });
}

#[test]
fn similar_movies_share_the_taste_and_leave_the_movie_out() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    let request = ListRequest { limit: EACH - 1, ..ListRequest::default() };
    let list = snapshot.similar("3", &request).unwrap();
    assert!(ids(&list).iter().all(|id| is_action(id) && *id != "3"), "{:?}", ids(&list));
    let scores: Vec<f32> = list.items.iter().map(|item| item.score.unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] <= 1.0001);
    let all = snapshot.similar("3", &ListRequest { limit: 100, ..ListRequest::default() }).unwrap();
    assert_eq!((all.items.len(), all.more), (MOVIES - 1, false));
    assert_eq!(all.items.last().unwrap().movie_id, "21");
    assert_eq!(all.items.last().unwrap().source, Some(Source::Popular));
    // Without an embedding genre and popularity speak.
    let bare = snapshot.similar("21", &request).unwrap();
    assert_eq!(ids(&bare)[0], "11");
    assert!(matches!(snapshot.similar("99", &request), Err(RecommendError::UnknownMovie { .. })));
}

/// Pages of three, joined, are the whole list.
fn check_pages(whole: &[&str], page: impl Fn(usize) -> Vec<String>) {
    let mut joined = Vec::new();
    while joined.len() < whole.len() {
        let part = page(joined.len());
        assert!(!part.is_empty());
        joined.extend(part);
    }
    assert_eq!(joined, whole);
    assert_eq!(joined.iter().collect::<HashSet<_>>().len(), joined.len());
}

#[test]
fn pages_neither_repeat_nor_skip() {
    let bench = Bench::new();
    let world = World { popularity_weight: 0.3, half_life: 2.0, ..World::default() };
    let snapshot = bench.engine(&world).snapshot().unwrap();
    let owned = |list: &MovieList<'_>| ids(list).into_iter().map(str::to_owned).collect::<Vec<_>>();
    for diversity in [0.0, 0.6] {
        let whole = UserRequest { diversity, ..wants(100) };
        check_pages(&ids(&snapshot.for_user("1", &whole).unwrap()), |offset| {
            let request = UserRequest { diversity, offset, ..wants(3) };
            owned(&snapshot.for_user("1", &request).unwrap())
        });
    }
    let similar = |offset, limit| ListRequest { offset, limit, first_page: 3, ..ListRequest::default() };
    check_pages(&ids(&snapshot.similar("5", &similar(0, 100)).unwrap()), |offset| {
        owned(&snapshot.similar("5", &similar(offset, 3)).unwrap())
    });
    let popular = |offset, limit| PopularRequest { offset, limit, ..PopularRequest::default() };
    check_pages(&ids(&snapshot.popular(&popular(0, 100)).unwrap()), |offset| {
        owned(&snapshot.popular(&popular(offset, 3)).unwrap())
    });
    check_pages(&ids(&snapshot.search("", 0, 100)), |offset| owned(&snapshot.search("", offset, 3)));
    assert!(snapshot.search("", usize::MAX, usize::MAX).items.is_empty());
}

#[test]
fn popularity_backs_off_and_says_so() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    let check = |asked: Option<&str>, user: Option<&str>, answered: &str, events: u64, first: &str| {
        let location = asked.map(|place| place.parse().unwrap()).unwrap_or_default();
        let request = PopularRequest {
            location,
            user: user.map(str::to_owned),
            include_seen: true,
            limit: 3,
            ..PopularRequest::default()
        };
        let list = snapshot.popular(&request).unwrap();
        let place = list.location.clone().unwrap();
        assert_eq!(
            (place.answered.as_str(), place.events, ids(&list)[0]),
            (answered, events, first),
            "{asked:?}"
        );
        assert_eq!(place.asked.as_deref(), asked);
    };
    check(None, None, "world", 3000, "1");
    check(Some("KR"), None, "KR", 800, "15");
    check(Some("KR/11/Seoul"), None, "KR", 800, "15");
    check(Some("US/CA/Fresno"), None, "US/CA", 600, "7");
    check(Some("FR"), None, "world", 3000, "1");
    check(None, Some("2"), "KR", 800, "15");
    check(Some("US"), Some("2"), "US", 1500, "1");
    check(None, Some("nobody"), "world", 3000, "1");
    check(Some("world"), Some("2"), "world", 3000, "1");
}

#[test]
fn an_unknown_user_is_answered_as_a_new_one() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    let request = UserRequest { location: "KR".parse().unwrap(), ..wants(4) };
    let list = snapshot.for_user("nobody", &request).unwrap();
    assert_eq!((list.strategy, ids(&list)[0]), (Some(Strategy::Popular), "15"));
    let bare = wants(4);
    // Known, but nothing is known of them.
    let list = snapshot.for_user("3", &bare).unwrap();
    assert_eq!((list.strategy, ids(&list)), (Some(Strategy::Popular), vec!["1", "2", "3", "4"]));
    let only_unknown = liked(&["77", "78", "77"]);
    let list = snapshot.for_history(&only_unknown, &bare).unwrap();
    let unknown: Vec<_> = list.unknown_movies.as_ref().unwrap().iter().map(MovieId::as_str).collect();
    assert_eq!((list.strategy, unknown), (Some(Strategy::Popular), vec!["77", "78"]));
}

#[test]
fn popularity_fades_as_more_is_known() {
    let bench = Bench::new();
    let world = World { popularity_weight: 10.0, half_life: 1.0, ..World::default() };
    let snapshot = bench.engine(&world).snapshot().unwrap();
    let request = UserRequest { location: "KR".parse().unwrap(), ..wants(1) };
    let blended = snapshot.for_user("1", &request).unwrap();
    assert_eq!((blended.strategy, ids(&blended)[0]), (Some(Strategy::Blended), "15"));
    assert_eq!(blended.items[0].source, Some(Source::Popular));
    let long: Vec<&str> = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"].into();
    let folded = liked(&long);
    // 1 / (1 + 10) of the weight is less than a tenth.
    assert_eq!(snapshot.for_history(&folded, &request).unwrap().strategy, Some(Strategy::FoldedIn));
    assert_eq!(snapshot.for_history(&folded[..9], &request).unwrap().strategy, Some(Strategy::Blended));
}

/// The blended ranking equals scoring every movie.
#[test]
fn a_blended_ranking_is_exact() {
    let bench = Bench::new();
    let world = World { popularity_weight: 0.7, ..World::default() };
    let snapshot = bench.engine(&world).snapshot().unwrap();
    let whole = UserRequest { include_seen: true, ..wants(100) };
    let list = snapshot.for_user("2", &whole).unwrap();
    assert_eq!(list.items.len(), MOVIES);
    let scores: Vec<f32> = list.items.iter().map(|item| item.score.unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    for k in 1..MOVIES {
        let part = UserRequest { include_seen: true, ..wants(k) };
        assert_eq!(ids(&snapshot.for_user("2", &part).unwrap()), ids(&list)[..k]);
    }
    // The movie without an embedding came by popularity.
    let bare = list.items.iter().find(|item| item.movie_id == "21").unwrap();
    assert_eq!(bare.source, Some(Source::Popular));
}

#[test]
fn what_was_liked_last_speaks_and_says_so() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World { recent_weight: 4.0, ..World::default() }).snapshot().unwrap();
    let request = wants(1);
    for list in
        [snapshot.for_user("1", &request).unwrap(), snapshot.for_history(&liked(&["2"]), &request).unwrap()]
    {
        assert_eq!((list.strategy, ids(&list)[0]), (Some(Strategy::Blended), "13"));
        assert_eq!(list.items[0].source, Some(Source::Popular));
    }
    // Of somebody unknown the place speaks alone.
    assert_eq!(ids(&snapshot.for_user("nobody", &request).unwrap()), ["1"]);
    let faint = bench.engine(&World { recent_weight: 0.2, ..World::default() }).snapshot().unwrap();
    let list = faint.for_user("1", &request).unwrap();
    assert_eq!(
        (ids(&list)[0], list.items[0].source),
        ("4", Some(Source::Taste)),
        "the recent one of the own taste"
    );
}

fn check_explained(world: &World) {
    let bench = Bench::new();
    let snapshot = bench.engine(world).snapshot().unwrap();
    for user in ["1", "2", "3", "nobody"] {
        let request = UserRequest { explain: true, ..wants(100) };
        let list = snapshot.for_user(user, &request).unwrap();
        for item in &list.items {
            let shares: f32 = item.reasons.as_ref().unwrap().iter().map(|reason| reason.share).sum();
            let sum = shares + item.remainder.unwrap();
            assert!((sum - item.score.unwrap()).abs() < 1e-4, "{user} {}", item.movie_id);
        }
        let known = user == "1" || user == "2";
        assert_eq!(list.items[0].reasons.as_ref().unwrap().is_empty(), !known, "{user}");
    }
    // Without popularity the shares are the score.
    if world.popularity_weight + world.recent_weight == 0.0 {
        let request = UserRequest { explain: true, ..wants(3) };
        let list = snapshot.for_user("2", &request).unwrap();
        assert!(list.items.iter().all(|item| item.remainder.unwrap().abs() < 1e-4), "{:?}", list.items);
    }
}

#[test]
fn shares_and_remainder_sum_to_the_score() {
    check_explained(&World::default());
    check_explained(&World { popularity_weight: 0.5, ..World::default() });
    check_explained(&World { popularity_weight: 0.5, recent_weight: 1.0, ..World::default() });
    check_explained(&World { metric: Metric::Cosine, ..World::default() });
}

#[test]
fn a_model_without_fold_in_cannot_explain() {
    let bench = Bench::new();
    let world = World { fold_in: false, ..World::default() };
    let snapshot = bench.engine(&world).snapshot().unwrap();
    let request = UserRequest { explain: true, ..wants(3) };
    assert!(matches!(snapshot.for_user("1", &request), Err(RecommendError::ExplanationUnavailable)));
}

#[test]
fn a_filter_that_leaves_three_films_answers_three() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World { popularity_weight: 0.1, ..World::default() }).snapshot().unwrap();
    let filter = MovieFilter {
        genres_any: vec!["ROMANCE".into()],
        year_min: Some(1998),
        exclude: vec![MovieId::new("20").unwrap(), MovieId::new("unheard of").unwrap()],
        ..MovieFilter::default()
    };
    let expect = HashSet::from(["18", "19", "21"]);
    let check = |list: &MovieList<'_>| assert_eq!(ids(list).into_iter().collect::<HashSet<_>>(), expect);
    let user = UserRequest { filter: filter.clone(), ..wants(20) };
    check(&snapshot.for_user("1", &user).unwrap());
    check(&snapshot.for_user("nobody", &user).unwrap());
    check(&snapshot.for_history(&liked(&["1"]), &user).unwrap());
    check(
        &snapshot
            .similar("1", &ListRequest { filter: filter.clone(), limit: 20, ..ListRequest::default() })
            .unwrap(),
    );
    check(&snapshot.popular(&PopularRequest { filter, limit: 20, ..PopularRequest::default() }).unwrap());
    let filter = MovieFilter { genres_none: vec!["Western".into()], ..MovieFilter::default() };
    let refused = UserRequest { filter, ..wants(20) };
    let error = snapshot.for_user("1", &refused).unwrap_err();
    assert!(matches!(error, RecommendError::UnknownGenre { known, .. } if known == ["Action", "Romance"]));
}

#[test]
fn seen_movies_come_back_only_when_asked_for() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    let all = UserRequest { include_seen: true, ..wants(100) };
    assert_eq!(snapshot.for_user("1", &all).unwrap().items.len(), MOVIES);
    assert_eq!(snapshot.for_user("1", &wants(100)).unwrap().items.len(), MOVIES - 3);
    let popular = |include_seen| PopularRequest {
        user: Some("2".into()),
        include_seen,
        limit: 100,
        ..PopularRequest::default()
    };
    assert_eq!(snapshot.popular(&popular(true)).unwrap().items.len(), MOVIES);
    assert_eq!(snapshot.popular(&popular(false)).unwrap().items.len(), MOVIES - 3);
    assert!(snapshot.for_user("1", &wants(0)).unwrap().items.is_empty());
}

#[test]
fn diversity_changes_the_order_and_not_the_scores() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    let plain_request = wants(100);
    let diverse_request = UserRequest { diversity: 0.8, ..wants(100) };
    let plain = snapshot.for_user("1", &plain_request).unwrap();
    let diverse = snapshot.for_user("1", &diverse_request).unwrap();
    assert_eq!(ids(&plain)[0], ids(&diverse)[0]);
    assert_ne!(ids(&plain), ids(&diverse));
    assert!(!is_action(ids(&diverse)[1]), "{:?}", ids(&diverse));
    for item in &diverse.items {
        let same = plain.items.iter().find(|other| other.movie_id == item.movie_id).unwrap();
        assert_eq!(same.score, item.score);
    }
}

#[test]
fn a_dislike_counts_against_and_the_last_word_counts() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    let mut history = liked(&["1", "11", "1"]);
    history[2].kind = InteractionKind::Dislike;
    let request = wants(5);
    let list = snapshot.for_history(&history, &request).unwrap();
    assert!(ids(&list).iter().all(|id| !is_action(id)), "{:?}", ids(&list));
    history[0].kind = InteractionKind::Rating;
    history[0].value = Some(7.0);
    let error = snapshot.for_history(&history, &request).unwrap_err();
    assert!(matches!(error, RecommendError::ValueOffScale { position: 0, .. }));
}

#[test]
fn search_finds_titles_and_one_movie_is_told_in_full() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    assert_eq!(ids(&snapshot.search("kiss 12", 0, 5)), ["12"]);
    assert_eq!(ids(&snapshot.search("chas", 0, 2)), ["1", "2"]);
    let list = snapshot.search("kiss", 0, 5);
    assert!(list.more && list.items[0].score.is_none());
    assert_eq!(snapshot.movie("7").unwrap().movie.year, Some(1987));
    assert!(matches!(snapshot.movie("0"), Err(RecommendError::UnknownMovie { .. })));
}

#[test]
fn everywhere_may_be_asked_for_in_spite_of_a_stored_place() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    let place = |list: MovieList<'_>| {
        let place = list.location.unwrap();
        (place.asked, place.answered)
    };
    let world = (Some("world".to_owned()), "world".to_owned());
    for text in ["world", "World", "WORLD"] {
        assert_eq!(text.parse(), Ok(PlaceRequest::World));
    }
    let request = UserRequest { location: PlaceRequest::World, ..wants(3) };
    assert_eq!(place(snapshot.for_user("2", &request).unwrap()), world);
    assert_eq!(place(snapshot.for_user("2", &wants(3)).unwrap()), (None, "KR".to_owned()));
    assert_eq!(place(snapshot.for_history(&liked(&["1"]), &request).unwrap()), world);
}

#[test]
fn a_title_names_one_movie_or_suggests_some() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    let id = |id: &str| MovieId::new(id).unwrap();
    assert_eq!(snapshot.find_title("the CHASE 1"), TitleMatch::Exact(id("1")));
    assert_eq!(snapshot.find_title("chase one"), TitleMatch::Exact(id("1")));
    assert_eq!(snapshot.find_title("Kíss 12 (1992)"), TitleMatch::Exact(id("12")));
    assert_eq!(snapshot.find_title("Chase (1985)"), TitleMatch::Beginning(id("5")));
    assert_eq!(snapshot.find_title("chas"), TitleMatch::Beginning(id("1")));
    let check = |text: &str, expect: &[&str]| match snapshot.find_title(text) {
        TitleMatch::Suggestions(found) => {
            let ids: Vec<&str> = found.iter().map(|(movie_id, _)| movie_id.as_str()).collect();
            assert_eq!(ids, expect, "{text}");
        }
        other => panic!("{text}: {other:?}"),
    };
    check("Kiss 12 (1991)", &["12"]);
    check("chsae", &["1", "2", "3"]);
    check("Solaris", &[]);
    check("", &[]);
    check(" (1985)", &[]);
}

#[test]
fn an_answer_has_the_shape_of_the_contract() {
    let bench = Bench::new();
    let snapshot = bench.engine(&World::default()).snapshot().unwrap();
    let request = UserRequest { explain: true, location: "us/ca/Fresno".parse().unwrap(), ..wants(1) };
    let json = serde_json::to_value(snapshot.for_user("1", &request).unwrap()).unwrap();
    assert_eq!(json["user_id"], "1");
    assert_eq!(json["strategy"], "personalized");
    assert_eq!(json["retrieval"], "exact");
    assert_eq!(json["next_cursor"], serde_json::Value::Null);
    let place = serde_json::json!({"asked": "US/CA/Fresno", "answered": "US/CA", "events": 600});
    assert_eq!(json["location"], place);
    assert_eq!(json["items"][0]["source"], "taste");
    for field in ["movie_id", "title", "year", "genres", "score", "reasons", "remainder"] {
        assert!(json["items"][0].get(field).is_some(), "{field}");
    }
    assert!(json.get("unknown_movies").is_none() && json.get("movie_id").is_none());
}

#[test]
fn the_engine_follows_the_live_bundle_and_keeps_recent_ones() {
    let bench = Bench::new();
    let engine = Engine::new(bench.root.clone(), EngineOptions::default());
    assert!(matches!(engine.snapshot(), Err(RecommendError::NotReady)));
    assert!(matches!(engine.follow_current(), Err(RecommendError::Open { .. })));
    let first = bench.build(&World::default());
    assert!(matches!(engine.follow_current(), Ok(Followed::Swapped)));
    assert!(matches!(engine.follow_current(), Ok(Followed::Unchanged)));
    let held = engine.snapshot().unwrap();
    let second = bench.build(&World { popularity_weight: 0.5, ..World::default() });
    assert_ne!(first, second);
    assert!(matches!(engine.follow_current(), Ok(Followed::Swapped)));
    assert_eq!(engine.snapshot().unwrap().version(), second.as_str());
    assert_eq!(held.version(), first.as_str());
    assert_eq!(engine.snapshot_of(first.as_str()).unwrap().version(), first.as_str());
    assert!(engine.snapshot_of("20200101T000000Z-00000000").is_none());
}

#[test]
fn old_snapshots_are_forgotten() {
    let bench = Bench::new();
    let options = EngineOptions { max_kept_snapshots: 0, ..EngineOptions::default() };
    let first = bench.build(&World::default());
    let engine = Engine::open(bench.root.clone(), options).unwrap();
    bench.build(&World { half_life: 6.0, ..World::default() });
    engine.follow_current().unwrap();
    assert!(engine.snapshot_of(first.as_str()).is_none());
}
