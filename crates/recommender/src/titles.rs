//! Search by title: by words and their beginnings, without accents or case, forgiving typing errors. It knows titles and
//! how popular a movie is, nothing of users or HTTP.

use std::collections::{BTreeMap, HashMap};

use cinedex_domain::Movie;

use crate::typing::{Pattern, allowed_errors};

/// Words of a query that are looked at; the rest is ignored.
const MAX_QUERY_WORDS: usize = 16;
/// With fewer movies than this found as typed, typing errors are considered too.
const FEW_MOVIES: usize = 10;
/// Left out at the beginning of a title and of a query.
const ARTICLES: [&str; 3] = ["the", "a", "an"];

/// The words of all titles, original titles and alternative titles, and where they stand.
pub(crate) struct TitleIndex {
    /// Ascending, unique.
    words: Vec<Box<str>>,
    /// For each word the range of its titles in `postings`.
    offsets: Vec<usize>,
    /// Titles, ascending for each word.
    postings: Vec<u32>,
    titles: Vec<Title>,
}

struct Title {
    movie: u32,
    /// In normal form, without the leading article.
    text: Box<str>,
}

/// How a movie matches, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    WholeTitle,
    TitleBegins,
    AllWords,
    /// With typing errors, at most this many in a word.
    Misspelt(u8),
}

impl TitleIndex {
    /// Indexes `movies`, which are numbered by their place in the slice.
    pub(crate) fn new(movies: &[Movie]) -> Self {
        let mut titles = Vec::new();
        let mut words: BTreeMap<Box<str>, Vec<u32>> = BTreeMap::new();
        for (index, movie) in movies.iter().enumerate() {
            let mut seen: Vec<String> = Vec::new();
            let all =
                std::iter::once(&movie.title).chain(&movie.original_title).chain(&movie.alternative_titles);
            for title in all {
                let normal = normalize(title);
                if normal.is_empty() || seen.contains(&normal) {
                    continue;
                }
                let number = titles.len() as u32;
                for word in normal.split(' ') {
                    let postings = match words.get_mut(word) {
                        Some(postings) => postings,
                        None => words.entry(word.into()).or_default(),
                    };
                    if postings.last() != Some(&number) {
                        postings.push(number);
                    }
                }
                titles.push(Title { movie: index as u32, text: without_article(&normal).into() });
                seen.push(normal);
            }
        }
        let mut index = Self { words: Vec::new(), offsets: vec![0], postings: Vec::new(), titles };
        for (word, postings) in words {
            index.words.push(word);
            index.postings.extend(postings);
            index.offsets.push(index.postings.len());
        }
        index
    }

    /// Movies whose title matches `query`: whole titles first, then titles that begin with it, then those that have all
    /// its words or beginnings of words, then misspelt ones; within each by descending `popularity` (one value a movie),
    /// ties by ascending index. A query without letters or digits matches nothing.
    pub(crate) fn search(&self, query: &str, popularity: &[f32]) -> Vec<u32> {
        let normal = normalize(query);
        let query = without_article(&normal);
        if query.is_empty() {
            return Vec::new();
        }
        let mut found = self.matches(query, false);
        if found.len() < FEW_MOVIES {
            found = self.matches(query, true);
        }
        let mut ranked: Vec<(Match, u32)> = found.into_iter().map(|(movie, how)| (how, movie)).collect();
        ranked.sort_unstable_by(|a, b| {
            let popularity_of = |movie: u32| popularity.get(movie as usize).copied().unwrap_or(0.0);
            let by_popularity = popularity_of(b.1).total_cmp(&popularity_of(a.1));
            a.0.cmp(&b.0).then(by_popularity).then(a.1.cmp(&b.1))
        });
        ranked.into_iter().map(|(_, movie)| movie).collect()
    }

    /// The best match of each movie.
    fn matches(&self, query: &str, misspelt: bool) -> HashMap<u32, Match> {
        // For each title how many of the query's words it has, all from the first on, and the most errors in one of them.
        let mut state: Vec<(u8, u8)> = vec![(0, 0); self.titles.len()];
        let mut last: Vec<u32> = Vec::new();
        for (word_count, word) in (0_u8..).zip(query.split(' ').take(MAX_QUERY_WORDS)) {
            last.clear();
            self.for_each_match(word, misspelt, |position, errors| {
                for &title in &self.postings[self.offsets[position]..self.offsets[position + 1]] {
                    let entry = &mut state[title as usize];
                    if entry.0 == word_count {
                        *entry = (word_count + 1, entry.1.max(errors));
                        last.push(title);
                    }
                }
            });
        }
        let mut best = HashMap::new();
        for title in last {
            let how = match state[title as usize].1 {
                0 => self.compare(title, query),
                errors => Match::Misspelt(errors),
            };
            let entry = best.entry(self.titles[title as usize].movie).or_insert(how);
            *entry = (*entry).min(how);
        }
        best
    }

    fn compare(&self, title: u32, query: &str) -> Match {
        match self.titles[title as usize].text.strip_prefix(query) {
            Some("") => Match::WholeTitle,
            Some(_) => Match::TitleBegins,
            None => Match::AllWords,
        }
    }

    /// Calls `visit` with the position of each word that `word` begins, then, if wanted, of each that it may be a
    /// misspelling of (or of the beginning of), with the number of errors, ascending.
    fn for_each_match(&self, word: &str, misspelt: bool, mut visit: impl FnMut(usize, u8)) {
        let start = self.words.partition_point(|known| known.as_ref() < word);
        let begun = self.words[start..].iter().take_while(|known| known.starts_with(word)).count();
        (start..start + begun).for_each(|position| visit(position, 0));
        let limit = allowed_errors(word.len());
        if !misspelt || limit == 0 {
            return;
        }
        let pattern = Pattern::new(word);
        let mut near: Vec<(u8, usize)> = Vec::new();
        for (position, known) in self.words.iter().enumerate() {
            if let Some(errors) = pattern.errors(known, limit)
                && errors > 0
            {
                near.push((errors, position));
            }
        }
        near.sort_unstable();
        for (errors, position) in near {
            visit(position, errors);
        }
    }
}

/// Lower-case ASCII words of letters and digits, one space between: other scripts are transliterated, accents and
/// apostrophes dropped.
fn normalize(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for character in deunicode::deunicode_with_tofu(text, "").chars() {
        if character.is_ascii_alphanumeric() {
            normal.push(character.to_ascii_lowercase());
        } else if character != '\'' && character != '`' && !normal.is_empty() && !normal.ends_with(' ') {
            normal.push(' ');
        }
    }
    normal.truncate(normal.trim_end().len());
    normal
}

/// Leaves a leading article out, unless nothing else is there.
fn without_article(normal: &str) -> &str {
    match normal.split_once(' ') {
        Some((first, rest)) if ARTICLES.contains(&first) => rest,
        _ => normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cinedex_domain::MovieId;

    const TITLES: [&str; 14] = [
        "The Matrix",
        "The Matrix Reloaded",
        "Amélie",
        "The Godfather",
        "The Godfather: Part II",
        "Seven Samurai",
        "Se7en",
        "Star Wars: Episode IV - A New Hope",
        "Solo: A Star Wars Story",
        "Ocean's Eleven",
        "Heat",
        "Crouching Tiger, Hidden Dragon",
        "The",
        "!!!",
    ];

    fn world() -> TitleIndex {
        let mut movies: Vec<Movie> = TITLES
            .iter()
            .enumerate()
            .map(|(index, title)| Movie::new(MovieId::new(&index.to_string()).unwrap(), *title))
            .collect();
        movies[5].original_title = Some("七人の侍".to_owned());
        movies[5].alternative_titles =
            vec!["Shichinin no samurai".to_owned(), "Die sieben Samurai".to_owned()];
        TitleIndex::new(&movies)
    }

    fn check(query: &str, expect: &[u32]) {
        let popularity: Vec<f32> = (0..TITLES.len()).map(|index| index as f32).collect();
        assert_eq!(world().search(query, &popularity), expect, "{query}");
    }

    #[test]
    fn the_whole_title_comes_first_then_its_beginning() {
        check("matrix", &[0, 1]);
        check("The Matrix", &[0, 1]);
        check("godfather", &[3, 4]);
        check("star wars", &[7, 8]);
        // Articles go unless they are all there is.
        check("the", &[12, 4, 3, 1, 0]);
    }

    #[test]
    fn beginnings_of_words_are_enough() {
        check("godf", &[4, 3]);
        check("hid drag", &[11]);
        check("the godfather par", &[4]);
    }

    #[test]
    fn accents_case_and_apostrophes_do_not_matter() {
        check("AMELIE", &[2]);
        check("ame\u{301}lie", &[2]);
        check("oceans eleven", &[9]);
        check("ocean’s", &[9]);
    }

    #[test]
    fn original_and_alternative_titles_are_found() {
        check("七人の侍", &[5]);
        check("sieben samurai", &[5]);
        check("shichinin", &[5]);
    }

    #[test]
    fn typing_errors_are_forgiven() {
        check("godfahter", &[4, 3]);
        check("martix", &[1, 0]);
        check("crouchnig tigr", &[11]);
        check("zzzzzz", &[]);
    }

    #[test]
    fn nothing_to_search_for_finds_nothing() {
        check("!!!", &[]);
        check("   ", &[]);
        check(&"x".repeat(10_000), &[]);
    }
}
