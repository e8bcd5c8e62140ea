//! A bundle of factors alone: a catalogue made up around them, whose genres go with the vectors as genres do, and nothing known
//! of users but their factors.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each benchmark uses its part of this module")]

use cinedex_domain::{
    BlendSettings, FoldInSettings, Metric, ModelSettings, Movie, MovieId, PreferencePolicy, RatingScale,
    UserId, silent,
};
use cinedex_index::{
    BuildOptions, BuildReport, BundleInput, Histories, IndexRoot, PlacePopularity, Provenance, SpreadInput,
    build,
};
use cinedex_model::{Factors, TasteMoments, gramian};
use cinedex_vectors::{Matrix, MatrixView, dot, normalize};

use crate::pairs::Random;

const GENRES: &str = "Action Adventure Animation Children Comedy Crime Documentary Drama Family Fantasy History Horror Music \
                      Musical Mystery Noir Romance Thriller War Western";

/// Builds a bundle and makes it live.
pub fn publish(root: &IndexRoot, factors: &Factors, options: &BuildOptions) -> BuildReport {
    let movies = movies(factors.movies.view());
    let users: Vec<UserId> =
        (0..factors.users.rows()).map(|user| UserId::new(&user.to_string()).expect("short")).collect();
    let settings = settings(factors.movies.dimension());
    let gram = gramian(factors.movies.view());
    let moments = TasteMoments::of(factors.movies.view(), settings.metric);
    let input = BundleInput {
        movies: &movies,
        movie_factors: factors.movies.view(),
        users: &users,
        locations: &vec![None; users.len()],
        user_factors: Some(factors.users.view()),
        histories: &Histories::empty(users.len()),
        popularity: &PlacePopularity::empty(movies.len()),
        settings: &settings,
        gramian: gram.view(),
        spread: SpreadInput { movies: moments.movies, mean: &moments.mean, unit_gramian: None },
        recent_counts: &vec![0.0; movies.len()],
        provenance: &Provenance { dataset: "generated".into(), ..Provenance::default() },
    };
    let report = build(root, &input, options, &silent, &false.into()).expect("a bundle is built");
    root.activate(&report.version).expect("it was just built");
    report
}

/// Rows of length 1.
pub fn unit_rows(factors: MatrixView<'_>) -> Matrix {
    let mut unit = factors.to_matrix();
    for row in 0..unit.rows() {
        normalize(unit.row_mut(row));
    }
    unit
}

/// Titles of usual lengths; the genres of the nearest of twenty films, and in one film of two of the second nearest; years,
/// countries, languages, running times and ages that have nothing to do with the vectors.
fn movies(factors: MatrixView<'_>) -> Vec<Movie> {
    let unit = unit_rows(factors);
    let mut random = Random(0x9e7e);
    let names: Vec<&str> = GENRES.split_whitespace().collect();
    let centres: Vec<usize> = names.iter().map(|_| random.below(unit.rows())).collect();
    (0..unit.rows())
        .map(|row| {
            let cosine = |genre: &usize| dot(unit.row(centres[*genre]), unit.row(row));
            let mut genres: Vec<usize> = (0..names.len()).collect();
            genres.sort_by(|left, right| cosine(right).total_cmp(&cosine(left)));
            genres.truncate(1 + random.below(2));
            let mut movie = Movie::new(
                MovieId::new(&row.to_string()).expect("short"),
                format!("The {} Film of {}", names[genres[0]], 1_000_003 * row % 999_983),
            );
            movie.genres = genres.into_iter().map(|genre| names[genre].to_owned()).collect();
            movie.year = Some(1920 + random.below(105) as u16);
            movie.runtime_minutes = Some(60 + random.below(120) as u16);
            movie.countries = vec![["US", "GB", "FR", "IN", "JP"][random.below(5)].to_owned()];
            movie.languages = vec![["en", "fr", "hi", "ja"][random.below(4)].to_owned()];
            movie.minimum_age = Some([0, 6, 12, 16, 18][random.below(5)]);
            movie.adult = Some(random.below(50) == 0);
            movie.imdb_id = Some(format!("tt{row:07}"));
            movie
        })
        .collect()
}

fn settings(dimension: usize) -> ModelSettings {
    ModelSettings {
        algorithm: "ials".into(),
        dimension,
        metric: Metric::InnerProduct,
        fold_in: Some(FoldInSettings {
            regularization: 0.01,
            unobserved_weight: 0.2,
            frequency_exponent: 1.0,
            negative_target: -0.5,
            negative_weight: 0.5,
        }),
        blend: BlendSettings::NONE,
        preference: PreferencePolicy::default(),
        rating_scale: RatingScale::FIVE_STARS,
    }
}
