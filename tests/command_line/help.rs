//! `--help` everywhere says what, units and defaults; wrong usage is status 2 with the remedy.

use crate::support::Place;

/// Every command, and what its help has to say: arguments, units, defaults.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (
        &[],
        &[
            "demo",
            "dataset",
            "train",
            "tune",
            "evaluate",
            "index",
            "similar",
            "recommend",
            "popular",
            "neighbors",
            "serve",
            "keys",
            "backup",
            "restore",
        ],
    ),
    (&["demo"], &["--dataset", "--bind", "127.0.0.1:8080", "--prepare-only"]),
    (&["dataset"], &["import", "enrich", "export", "download", "list", "show"]),
    (&["dataset", "import"], &["movielens", "csv", "parquet", "log", "demo"]),
    (&["dataset", "import", "log"], &["<FILE>", "Parquet", "counts once"]),
    (&["dataset", "export"], &["log"]),
    (&["dataset", "export", "log"], &["<FILE>", "Parquet", "forgotten"]),
    (
        &["dataset", "import", "movielens"],
        &["--name", "--ratings", "--replace", "--max-rejected", "0.01", "0 to 1"],
    ),
    (
        &["dataset", "import", "csv"],
        &["--movies", "--users", "--column", "FIELD=COLUMN", "--time-unit", "seconds", "--delimiter"],
    ),
    (&["dataset", "import", "parquet"], &["--column", "--kind", "rating", "--scale", "LOWEST:HIGHEST"]),
    (&["dataset", "import", "demo"], &["--seed", "default: 1"]),
    (&["dataset", "enrich"], &["imdb"]),
    (&["dataset", "enrich", "imdb"], &["--name", "title.basics", "gzip"]),
    (&["dataset", "download"], &["ml-latest-small", "--url"]),
    (&["dataset", "list"], &["--json"]),
    (&["dataset", "show"], &["<NAME>"]),
    (
        &["train"],
        &["--dim", "128", "--epochs", "16", "--regularization", "--unobserved-weight", "--seed", "--threads"],
    ),
    (
        &["tune"],
        &[
            "--protocol",
            "--train",
            "--budget-seconds",
            "--trials",
            "--min-coverage",
            "--output",
            "--no-train",
        ],
    ),
    (
        &["evaluate"],
        &["--protocol", "strong", "temporal", "--train", "--fold-in", "--held-out", "--model", "--bundle"],
    ),
    (&["index"], &["build", "list", "verify", "activate", "remove"]),
    (
        &["index", "build"],
        &["--model", "--no-activate", "--keep", "default: 3", "--min-recall", "--target-recall"],
    ),
    (&["index", "list"], &["--indexes", "default: indexes"]),
    (&["index", "verify"], &["[VERSION]"]),
    (&["index", "activate"], &["<VERSION>"]),
    (&["index", "remove"], &["<VERSION>"]),
    (&["similar"], &["<MOVIE>", "-k", "default: 10"]),
    (&["recommend"], &["--liked", "--disliked", "--location", "US/CA", "default: 10"]),
    (&["popular"], &["--location", "US/CA", "default: 10"]),
    (&["neighbors"], &["<USER>", "-k", "default: 10", "cosine"]),
    (&["keys"], &["create", "list", "revoke"]),
    (&["keys", "create"], &["<NAME>", "--scope", "--file", "read", "write", "admin", "SHA-256", "keys_file"]),
    (&["keys", "list"], &["--file"]),
    (&["keys", "revoke"], &["<NAME>", "--file", "within a second"]),
    (&["backup"], &["<FOLDER>", "empty"]),
    (&["restore"], &["<FOLDER>"]),
    (&["serve"], &["--bind", "127.0.0.1:8080", "CINEDEX_BIND", "--print-config", "--open"]),
];

#[test]
fn the_help_of_every_command_says_what_units_and_defaults() {
    let place = Place::new();
    for (command, says) in COMMANDS {
        let help = place.run(&[command, &["--help"][..]].concat()).done();
        assert!(help.stderr.is_empty(), "{help:?}");
        // The terminal's width breaks lines anywhere.
        let text = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in says.iter().chain(&["Usage:"]) {
            assert!(text.contains(word), "{command:?} does not say {word:?}:\n{}", help.stdout);
        }
    }
    assert!(place.run(&["--version"]).done().stdout.starts_with("cinedex 0."));
    assert_eq!(place.names("."), Vec::<String>::new(), "help writes nothing");
}

#[test]
fn the_list_of_commands_is_complete() {
    let place = Place::new();
    for (command, _) in COMMANDS {
        let help = place.run(&[command, &["--help"][..]].concat()).done().stdout;
        let Some((_, rest)) = help.split_once("Commands:\n") else { continue };
        for line in rest.lines().take_while(|line| !line.trim().is_empty()) {
            let name = line.split_whitespace().next().unwrap();
            let known = COMMANDS.iter().any(|(known, _)| known.split_last() == Some((&name, *command)));
            assert!(
                known || name == "help" || !line.starts_with("  ") || line.starts_with("   "),
                "{command:?} {name} is not tested"
            );
        }
    }
}

#[test]
fn wrong_usage_is_status_2_and_says_what_is_right() {
    let place = Place::new();
    let check = |arguments: &[&str], reasons: &[&str]| {
        let run = place.run(arguments).wrong_usage(reasons);
        assert!(run.stdout.is_empty(), "{run:?}");
    };
    check(&[], &["Usage:"]);
    check(&["dance"], &["dance", "--help"]);
    check(&["train"], &["<NAME>"]);
    check(&["train", "x", "--dim", "many"], &["many", "--dim"]);
    check(&["train", "x", "--dimension", "8"], &["--dimension"]);
    check(&["dataset", "import", "movielens", "x"], &["--name"]);
    check(&["dataset", "import", "csv", "--name", "x"], &["<INTERACTIONS>"]);
    check(
        &["dataset", "import", "csv", "x.csv", "--name", "x", "--time-unit", "hours"],
        &["seconds, milliseconds"],
    );
    check(&["dataset", "download", "ml-99m"], &["ml-latest-small"]);
    check(&["evaluate"], &["<NAME>"]);
    check(&["evaluate", "--train", "x"], &["--held-out"]);
    check(&["evaluate", "x", "--train", "y", "--held-out", "z"], &["cannot be used with"]);
    check(&["evaluate", "x", "--protocol", "weak"], &["strong, temporal"]);
    check(&["recommend"], &["<USER>"]);
    check(&["neighbors"], &["<USER>"]);
    check(&["recommend", "1", "--liked", "2"], &["cannot be used with"]);
    for k in ["0", "1001", "1000000000", "-1", "ten", "99999999999999999999"] {
        check(&["similar", "1", &format!("-k={k}")], &[k]);
        check(&["recommend", "1", &format!("-k={k}")], &[k]);
        check(&["popular", &format!("-k={k}")], &[k]);
        check(&["neighbors", "1", &format!("-k={k}")], &[k]);
    }
    check(&["serve", "--bind", "somewhere"], &["somewhere"]);
    check(&["keys", "create", "app"], &["--scope"]);
    check(&["keys", "create", "app", "--scope", "all"], &["read, write, admin"]);
    check(&["backup"], &["<FOLDER>"]);
}
