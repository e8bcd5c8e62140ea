//! The first command that anybody runs, `cinedex demo`: what it prints works, and it is quick the second time.

use std::time::Instant;

use crate::support::client::{agent, get};
use crate::support::served::Served;
use crate::support::{Place, wait_for};
use crate::world::world;

#[test]
fn the_demo_serves_and_prints_three_things_to_try() {
    let place = &world().place;
    let current = std::fs::read_to_string(place.path("indexes/demo/CURRENT")).unwrap();
    let began = Instant::now();
    let served = Served::spawn(place.command(&["demo", "--bind", "127.0.0.1:0"]));
    let ready = served.wait_ready();
    println!(
        "first preparation {:.1} s, second start {:.2} s",
        world().prepared_in.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    assert!(began.elapsed().as_secs() < 20, "nothing is prepared twice: {:?}", began.elapsed());
    assert_eq!(ready["index_version"].as_str(), Some(current.trim()));
    let printed = wait_for("what to try", || {
        let printed = served.printed();
        (printed.matches("curl '").count() == 3 && printed.contains("documentation: ")).then_some(printed)
    });
    for part in printed.split("curl '").skip(1) {
        let url = part.split('\'').next().unwrap();
        let target =
            url.strip_prefix(&format!("http://{}", served.address)).unwrap_or_else(|| panic!("{url}"));
        let list = get(&agent(), served.address, target, &[]).done();
        assert_eq!(list["items"].as_array().unwrap().len(), 5, "{url}");
    }
    assert!(printed.contains("The Godfather"), "{printed}");
    assert_eq!(served.get("/docs").status, 200);
}

#[test]
fn the_demo_keeps_to_its_own_root() {
    let place = &world().place;
    assert_eq!(place.names("indexes"), ["demo"], "no CURRENT of another root is touched");
    let report = place.run(&["demo", "--prepare-only"]).done();
    assert!(report.stdout.contains("three things to try"), "{report:?}");
    Place::new().run(&["demo", "--dataset", "nothing", "--prepare-only"]).refused(&["nothing"]);
}
