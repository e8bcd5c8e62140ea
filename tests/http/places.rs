//! What is popular where, and which place spoke when little is known of the one that was asked about.

use serde_json::{Value, json};

use crate::support::client::ids;
use crate::world::{made_in, serve};

#[test]
fn seoul_and_lagos_have_films_of_their_own() {
    let served = serve();
    let seoul = served.json("/v1/popular?location=KR/11/Seoul");
    let lagos = served.json("/v1/popular?location=NG/LA/Lagos");
    let world = served.json("/v1/popular");
    let (korean, nigerian) = (made_in(&seoul, "KR"), made_in(&lagos, "NG"));
    assert!(korean >= 3, "{korean} Korean films in {seoul}");
    assert!(nigerian >= 3, "{nigerian} Nigerian films in {lagos}");
    assert!(made_in(&world, "KR") < korean && made_in(&world, "NG") < nigerian, "{world}");
    assert_eq!(made_in(&seoul, "NG"), 0, "{seoul}");
    let lagos = ids(&lagos);
    let shared = ids(&seoul).iter().filter(|id| lagos.contains(id)).count();
    assert!(shared < 15, "{shared} of twenty are the same");
}

#[test]
fn an_unseen_place_backs_off_and_the_answer_says_where_to() {
    let served = serve();
    let mut events = Vec::new();
    for (asked, answered) in [
        ("KR/11/Seoul", "KR/11/Seoul"),
        ("kr/11/seoul", "KR/11/Seoul"),
        ("KR/11/Nowhere", "KR/11"),
        ("KR/49/Jeju", "KR"),
        ("KR", "KR"),
        ("AQ", "world"),
        ("US/PR/San%20Juan", "US"),
    ] {
        for route in ["/v1/popular", "/v1/users/somebody-new/recommendations"] {
            let list = served.json(&format!("{route}?location={asked}"));
            let place = &list["location"];
            assert_eq!(place["answered"], answered, "{route} {asked}: {place}");
            assert!(
                place["asked"].as_str().unwrap().eq_ignore_ascii_case(&asked.replace("%20", " ")),
                "{place}"
            );
            assert_eq!(list["items"].as_array().unwrap().len(), 20);
            events.push((answered, place["events"].as_u64().unwrap()));
        }
    }
    let of = |place: &str| events.iter().find(|(answered, _)| *answered == place).unwrap().1;
    assert!(
        of("KR/11/Seoul") <= of("KR/11") && of("KR/11") <= of("KR") && of("KR") < of("world"),
        "{events:?}"
    );
    assert!(events.iter().all(|(_, count)| *count >= 100), "enough evidence: {events:?}");
    let nowhere = served.json("/v1/popular");
    assert_eq!(
        (&nowhere["location"]["asked"], &nowhere["location"]["answered"]),
        (&Value::Null, &json!("world"))
    );
}

#[test]
fn a_new_user_gets_what_is_popular_in_the_place() {
    let served = serve();
    for query in ["location=NG/LA/Lagos", "location=FR/IDF/Paris", "limit=20"] {
        let user = served.json(&format!("/v1/users/somebody-new/recommendations?{query}"));
        let popular = served.json(&format!("/v1/popular?{query}"));
        assert_eq!(user["strategy"], "popular", "{query}");
        assert_eq!(ids(&user), ids(&popular), "{query}");
        assert_eq!(user["location"], popular["location"]);
        assert!(user["items"].as_array().unwrap().iter().all(|item| item["source"] == "popular"), "{user}");
    }
}

#[test]
fn a_malformed_place_is_refused_by_name() {
    let served = serve();
    for location in ["Narnia", "USA", "K", "US/", "US//Fresno", "/US", "US/CA/a%00b", "U1", ""] {
        for route in ["/v1/popular", "/v1/users/1/recommendations"] {
            served.get(&format!("{route}?location={location}")).problem(
                400,
                "invalid_parameter",
                Some("location"),
            );
        }
    }
}
