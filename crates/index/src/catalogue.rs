//! `catalogue.bin`: the facts of all movies, read in place, and with them the sets that filters are made of. Opening checks
//! every position and text and makes no [`Movie`].
//!
//! Texts stand in two sections, `NAME.offsets` and `NAME.bytes`: `ids` and `titles`, one a movie. Lists of names have four
//! (`lists`), and one that a filter asks for also its movies (`filters`); an optional text is a list of at most one. Numbers
//! are bitmaps or columns (`numbers`).

use std::path::Path;

use cinedex_domain::{Movie, MovieId, MovieIndex};

use crate::container::{Container, SectionData, write_container};
use crate::error::Fault;
use crate::filters::Indexed;
use crate::lists::{ListData, Lists, Names};
use crate::numbers::{Column, Set, Sliced, bits};
use crate::text::{Ids, Texts, pack};
use crate::{FileEntry, IndexError};

const KIND: &str = "catalogue";

/// Writes the facts of all movies; returns the header's checksum.
pub(crate) fn write_catalogue(path: &Path, movies: &[Movie]) -> Result<u64, IndexError> {
    let mut sections = Vec::new();
    for (name, (offsets, bytes)) in [
        ("ids", pack(movies.iter().map(|movie| movie.movie_id.as_str()))),
        ("titles", pack(movies.iter().map(|movie| movie.title.as_str()))),
    ] {
        sections.push(SectionData::owned(format!("{name}.offsets"), offsets));
        sections.push(SectionData::owned(format!("{name}.bytes"), bytes));
    }
    Indexed::write("genres", movies, |movie| &movie.genres, &mut sections);
    Indexed::write("countries", movies, |movie| &movie.countries, &mut sections);
    Indexed::write("languages", movies, |movie| &movie.languages, &mut sections);
    let texts = |text: fn(&Movie) -> &[String]| {
        ListData::new(movies.iter().map(move |movie| text(movie).iter().map(String::as_str)))
    };
    texts(|movie| movie.original_title.as_slice()).write("original_titles", &mut sections);
    texts(|movie| &movie.alternative_titles).write("other_titles", &mut sections);
    texts(|movie| &movie.tags).write("tags", &mut sections);
    texts(|movie| movie.imdb_id.as_slice()).write("imdb_ids", &mut sections);
    Sliced::write("years", movies.iter().map(|movie| movie.year), &mut sections);
    Sliced::write("runtimes", movies.iter().map(|movie| movie.runtime_minutes), &mut sections);
    Sliced::write("ages", movies.iter().map(|movie| movie.minimum_age.map(u16::from)), &mut sections);
    for (name, value) in [("adult", true), ("not_adult", false)] {
        let set = bits(movies.iter().map(|movie| movie.adult == Some(value)));
        sections.push(SectionData::owned(name, set));
    }
    Column::write("tmdb_ids", movies.iter().map(|movie| movie.tmdb_id), &mut sections);
    Column::write("imdb_ratings", movies.iter().map(|movie| movie.imdb_rating), &mut sections);
    Column::write("imdb_votes", movies.iter().map(|movie| movie.imdb_votes), &mut sections);
    write_container(path, KIND, &sections)
}

/// The facts of all movies, in canonical order of ids.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) ids: Ids,
    titles: Texts,
    pub(crate) genres: Indexed,
    pub(crate) countries: Indexed,
    pub(crate) languages: Indexed,
    original_titles: Lists,
    other_titles: Lists,
    tags: Lists,
    imdb_ids: Lists,
    pub(crate) years: Sliced,
    pub(crate) runtimes: Sliced,
    pub(crate) ages: Sliced,
    pub(crate) adult: Set,
    not_adult: Set,
    tmdb_ids: Column<u32>,
    imdb_ratings: Column<f32>,
    imdb_votes: Column<u32>,
    /// All genres, sorted without case; of several spellings the one that came first.
    pub(crate) known_genres: Vec<String>,
}

impl Catalogue {
    /// Opens and checks: ids are valid, ascend and are unique; texts are text; the sets of filters are those of the lists.
    pub(crate) fn open(path: &Path, entry: &FileEntry, count: usize) -> Result<Self, IndexError> {
        let container = Container::open(path, KIND, entry)?;
        let (ids, indexed) = rayon::join(
            || {
                let ids = Ids::open(&container, "ids.offsets", "ids.bytes", count)?;
                let titles = Texts::open(&container, "titles.offsets", "titles.bytes", count)?;
                Ok::<_, IndexError>((ids, titles))
            },
            || {
                let open = |name: &str| Indexed::open(&container, name, count);
                let (genres, others) = rayon::join(
                    || open("genres"),
                    || rayon::join(|| open("countries"), || open("languages")),
                );
                Ok::<_, IndexError>((genres?, others.0?, others.1?))
            },
        );
        let ((ids, titles), (genres, countries, languages)) = (ids?, indexed?);
        let lists = |name: &str| Lists::open(&container, name, count);
        let adult = Set::open(&container, "adult", count)?;
        let not_adult = Set::open(&container, "not_adult", count)?;
        if adult.0.iter().zip(not_adult.0.iter()).any(|(adult, not)| adult & not != 0) {
            let section = "not_adult".to_owned();
            return Err(container.fault(Fault::Contradiction { section, other: "adult" }));
        }
        Ok(Self {
            ids,
            titles,
            known_genres: genres.spellings(),
            genres,
            countries,
            languages,
            original_titles: lists("original_titles")?,
            other_titles: lists("other_titles")?,
            tags: lists("tags")?,
            imdb_ids: lists("imdb_ids")?,
            years: Sliced::open(&container, "years", count, u16::BITS)?,
            runtimes: Sliced::open(&container, "runtimes", count, u16::BITS)?,
            ages: Sliced::open(&container, "ages", count, u8::BITS)?,
            adult,
            not_adult,
            tmdb_ids: Column::open(&container, "tmdb_ids", count)?,
            imdb_ratings: Column::open(&container, "imdb_ratings", count)?,
            imdb_votes: Column::open(&container, "imdb_votes", count)?,
        })
    }

    /// How many movies.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// One movie. Panics out of range.
    pub(crate) fn movie(&self, movie: MovieIndex) -> MovieView<'_> {
        assert!(movie.row() < self.len(), "the movie is of this bundle");
        MovieView { catalogue: self, row: movie.row() }
    }
}

/// The facts of one movie, read where they are stored.
#[derive(Clone, Copy)]
pub struct MovieView<'a> {
    catalogue: &'a Catalogue,
    row: usize,
}

impl<'a> MovieView<'a> {
    /// The caller's id.
    pub fn movie_id(self) -> &'a str {
        self.catalogue.ids.get(self.row)
    }

    /// The title as people say it.
    pub fn title(self) -> &'a str {
        self.catalogue.titles.get(self.row)
    }

    /// The titles beside [`title`](Self::title): the one in its own language, where it differs, then all others.
    pub fn other_titles(self) -> impl Iterator<Item = &'a str> {
        let original = self.catalogue.original_titles.of(self.row);
        original.iter().chain(self.catalogue.other_titles.of(self.row).iter())
    }

    /// Year of first release.
    pub fn year(self) -> Option<u16> {
        self.catalogue.years.get(self.row)
    }

    /// Genres in the source's spelling.
    pub fn genres(self) -> Names<'a> {
        self.catalogue.genres.lists.of(self.row)
    }

    /// A copy of all facts.
    pub fn to_movie(self) -> Movie {
        let Self { catalogue, row } = self;
        let text = |lists: &Lists| lists.of(row).iter().next().map(str::to_owned);
        Movie {
            movie_id: MovieId::new(self.movie_id()).expect("ids were checked at open"),
            title: self.title().to_owned(),
            original_title: text(&catalogue.original_titles),
            year: self.year(),
            genres: self.genres().to_vec(),
            countries: catalogue.countries.lists.of(row).to_vec(),
            languages: catalogue.languages.lists.of(row).to_vec(),
            runtime_minutes: catalogue.runtimes.get(row),
            minimum_age: catalogue.ages.get(row).and_then(|age| u8::try_from(age).ok()),
            adult: if catalogue.adult.contains(row) {
                Some(true)
            } else {
                catalogue.not_adult.contains(row).then_some(false)
            },
            imdb_id: text(&catalogue.imdb_ids),
            tmdb_id: catalogue.tmdb_ids.get(row),
            imdb_rating: catalogue.imdb_ratings.get(row),
            imdb_votes: catalogue.imdb_votes.get(row),
            tags: catalogue.tags.of(row).to_vec(),
            alternative_titles: catalogue.other_titles.of(row).to_vec(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::manifest::file_size;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    /// Written and open.
    pub(crate) fn stored(movies: &[Movie]) -> Catalogue {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue.bin");
        let checksum = write_catalogue(&path, movies).unwrap();
        let entry = FileEntry {
            bytes: file_size(&path).unwrap(),
            sha256: String::new(),
            xxh3: format!("{checksum:016x}"),
        };
        Catalogue::open(&path, &entry, movies.len()).unwrap()
    }

    fn names() -> impl Strategy<Value = Vec<String>> {
        vec(prop_oneof!["(Drama|drama|DRAMA|Crime|)", any::<String>()], 0..4)
    }

    /// Any facts, under an id that is none yet.
    fn facts() -> impl Strategy<Value = Movie> {
        let texts = (any::<String>(), option::of(any::<String>()), option::of(any::<String>()));
        let filtered = (names(), names(), names());
        let numbers = (option::of(any::<u16>()), option::of(any::<u16>()), option::of(any::<u8>()));
        let imdb = (option::of(any::<u32>()), option::of(-1e9f32..1e9), option::of(any::<u32>()));
        (texts, filtered, numbers, imdb, option::of(any::<bool>()), (names(), names())).prop_map(
            |(texts, filtered, numbers, imdb, adult, free)| Movie {
                movie_id: MovieId::new("0").unwrap(),
                title: texts.0,
                original_title: texts.1,
                year: numbers.0,
                genres: filtered.0,
                countries: filtered.1,
                languages: filtered.2,
                runtime_minutes: numbers.1,
                minimum_age: numbers.2,
                adult,
                imdb_id: texts.2,
                tmdb_id: imdb.0,
                imdb_rating: imdb.1,
                imdb_votes: imdb.2,
                tags: free.0,
                alternative_titles: free.1,
            },
        )
    }

    fn catalogue() -> impl Strategy<Value = Vec<Movie>> {
        let ids = prop::collection::btree_set(prop_oneof!["[0-9]{1,6}", "\\PC{1,20}"], 1..130);
        ids.prop_flat_map(|ids| {
            let mut ids: Vec<MovieId> = ids.iter().map(|id| MovieId::new(id).unwrap()).collect();
            ids.sort();
            let count = ids.len();
            (Just(ids), vec(facts(), count)).prop_map(|(ids, facts)| {
                ids.into_iter().zip(facts).map(|(movie_id, facts)| Movie { movie_id, ..facts }).collect()
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_movie_comes_back_as_it_was(movies in catalogue()) {
            let catalogue = stored(&movies);
            prop_assert_eq!(catalogue.len(), movies.len());
            for (row, movie) in (0..).zip(&movies) {
                let view = catalogue.movie(MovieIndex(row));
                prop_assert_eq!(&view.to_movie(), movie);
                prop_assert_eq!(view.year(), movie.year);
                let titles = movie.original_title.iter().chain(&movie.alternative_titles);
                prop_assert!(view.other_titles().eq(titles.map(String::as_str)));
                prop_assert_eq!(
                    serde_json::to_string(&view.genres()).unwrap(), serde_json::to_string(&movie.genres).unwrap()
                );
                prop_assert_eq!(catalogue.ids.find(movie.movie_id.as_str()), Some(row));
            }
            prop_assert_eq!(catalogue.ids.find(""), None);
        }
    }
}
