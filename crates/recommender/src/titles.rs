//! Search by title: by words and their beginnings, without accents, case, punctuation or spaces, forgiving typing errors.
//! It knows titles and how popular a movie is, nothing of users or HTTP.

use std::collections::HashMap;

use crate::title_text::Forms;
use crate::typing::{Pattern, Typo};

/// Words of a query that are looked at; the rest is ignored.
const MAX_QUERY_WORDS: usize = 16;
/// With fewer movies than this found as typed, and no whole title among them, typing errors are considered too.
const FEW_MOVIES: usize = 10;

/// The words of all titles, original titles and alternative titles, and where they stand.
pub(crate) struct TitleIndex {
    /// Ascending, unique.
    words: Vec<Box<str>>,
    /// For each word the range of its texts in `postings`.
    offsets: Vec<usize>,
    /// Texts, ascending for each word.
    postings: Vec<u32>,
    texts: Vec<Text>,
    /// Titles without spaces, each with its movie; ascending, unique.
    keys: Vec<(Box<str>, u32)>,
}

/// One form of a title.
struct Text {
    movie: u32,
    /// Positions among all words, in the title's order.
    words: Box<[u32]>,
}

/// How a movie matches, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Match {
    WholeTitle,
    TitleBegins,
    /// Every word of the query has a word of the title of its own, the worst pair at this level.
    Words(Level),
}

/// How a word of a query matches one of a title, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Whole,
    Beginning,
    Misspelt(Typo),
}

/// What a word of a query matches: positions among all words, ascending, each with its level.
type Matches = Vec<(u32, Level)>;

impl TitleIndex {
    /// Indexes the titles of each movie, its main one first; movies are numbered as they come.
    pub(crate) fn new<'a, T: IntoIterator<Item = &'a str>>(movies: impl Iterator<Item = T>) -> Self {
        let mut texts = Vec::new();
        let mut keys: Vec<(Box<str>, u32)> = Vec::new();
        let mut numbers: HashMap<Box<str>, u32> = HashMap::new();
        for (movie, titles) in (0_u32..).zip(movies) {
            let mut seen: Vec<String> = Vec::new();
            for title in titles {
                let forms = Forms::of(title);
                keys.extend(forms.keys.into_iter().map(|key| (key.into(), movie)));
                for text in forms.texts {
                    if seen.contains(&text) {
                        continue;
                    }
                    let number_of = |word: &str| {
                        if let Some(number) = numbers.get(word) {
                            return *number;
                        }
                        let number = numbers.len() as u32;
                        numbers.insert(word.into(), number);
                        number
                    };
                    texts.push(Text { movie, words: text.split(' ').map(number_of).collect() });
                    seen.push(text);
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let words = in_order(numbers, &mut texts);
        let (offsets, postings) = invert(words.len(), &texts);
        Self { words, offsets, postings, texts, keys }
    }

    /// Movies whose title matches `query`: whole titles first, then titles that begin with it, then those that have all its
    /// words, then beginnings of words, then misspelt ones; within each by descending `popularity` (one value a movie), ties
    /// by ascending index. A query without letters or digits matches nothing.
    pub(crate) fn search(&self, query: &str, popularity: &[f32]) -> Vec<u32> {
        let mut ranked: Vec<(Match, u32)> =
            self.matches(query).into_iter().map(|(movie, how)| (how, movie)).collect();
        in_order_of_match(&mut ranked, popularity);
        ranked.into_iter().map(|(_, movie)| movie).collect()
    }

    /// The same in no order: each movie with how it matches.
    pub(crate) fn matches(&self, query: &str) -> HashMap<u32, Match> {
        let forms = Forms::of(query);
        let mut best = self.beginning_with(&forms);
        for text in &forms.texts {
            self.match_words(text, false, &mut best);
        }
        if best.len() < FEW_MOVIES && best.values().all(|how| *how != Match::WholeTitle) {
            for key in &forms.keys {
                self.match_misspelt_title(key, &mut best);
            }
            for text in &forms.texts {
                self.match_words(text, true, &mut best);
            }
        }
        best
    }

    /// Movies of which a whole title is the query or begins with it, spaces and punctuation aside.
    pub(crate) fn beginning_with(&self, query: &Forms) -> HashMap<u32, Match> {
        let mut best = HashMap::new();
        for key in &query.keys {
            let start = self.keys.partition_point(|(title, _)| title.as_ref() < key.as_str());
            for (title, movie) in
                self.keys[start..].iter().take_while(|(title, _)| title.starts_with(key.as_str()))
            {
                let how = if title.len() == key.len() { Match::WholeTitle } else { Match::TitleBegins };
                keep(&mut best, *movie, how);
            }
        }
        best
    }

    /// Titles that are `key` with typing errors, or begin so, digits excepted.
    fn match_misspelt_title(&self, key: &str, best: &mut HashMap<u32, Match>) {
        let Some(pattern) = Pattern::new(key) else { return };
        let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).collect::<Vec<u8>>();
        let wanted = digits(key);
        for (title, movie) in &self.keys {
            if let Some(typo) = pattern.compare(title)
                && digits(title) == wanted
            {
                keep(best, *movie, Match::Words(Level::Misspelt(typo)));
            }
        }
    }

    /// Titles that have all words of `query`, each a word of its own.
    fn match_words(&self, query: &str, misspelt: bool, best: &mut HashMap<u32, Match>) {
        let matches: Vec<Matches> =
            query.split(' ').take(MAX_QUERY_WORDS).map(|word| self.matches_of(word, misspelt)).collect();
        // For each text how many of the query's words it has, all from the first on.
        let mut state = vec![0_u8; self.texts.len()];
        let mut last: Vec<u32> = Vec::new();
        for (count, words) in (0_u8..).zip(&matches) {
            last.clear();
            for &(word, _) in words {
                let range = self.offsets[word as usize]..self.offsets[word as usize + 1];
                for &text in &self.postings[range] {
                    let had = &mut state[text as usize];
                    if *had == count {
                        *had = count + 1;
                        last.push(text);
                    }
                }
            }
        }
        for text in last {
            let Text { movie, words } = &self.texts[text as usize];
            if let Some(level) = worst_level(&matches, words) {
                keep(best, *movie, Match::Words(level));
            }
        }
    }

    /// All words that a word of a query is, begins, or, if wanted, may be a misspelling of.
    fn matches_of(&self, word: &str, misspelt: bool) -> Matches {
        let begun = self.words.partition_point(|known| known.as_ref() < word);
        let mut found: Matches = (begun as u32..)
            .zip(self.words[begun..].iter().take_while(|known| known.starts_with(word)))
            .map(|(position, known)| {
                (position, if known.len() == word.len() { Level::Whole } else { Level::Beginning })
            })
            .collect();
        let Some(pattern) = Pattern::new(word).filter(|_| misspelt) else { return found };
        for (position, known) in (0_u32..).zip(&self.words) {
            if let Some(typo) = pattern.compare(known) {
                found.push((position, Level::Misspelt(typo)));
            }
        }
        // Of a word that is begun and misspelt the better stands first.
        found.sort_unstable();
        found.dedup_by_key(|(position, _)| *position);
        found
    }
}

/// Better matches first, and of equal ones the more popular.
pub(crate) fn in_order_of_match(matches: &mut [(Match, u32)], popularity: &[f32]) {
    matches.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| by_popularity(popularity, a.1, b.1)));
}

/// By descending popularity, ties by ascending index.
pub(crate) fn by_popularity(popularity: &[f32], a: u32, b: u32) -> std::cmp::Ordering {
    let of = |movie: u32| popularity.get(movie as usize).copied().unwrap_or(0.0);
    of(b).total_cmp(&of(a)).then(a.cmp(&b))
}

fn keep(best: &mut HashMap<u32, Match>, movie: u32, how: Match) {
    best.entry(movie).and_modify(|known| *known = (*known).min(how)).or_insert(how);
}

/// The words in ascending order; the texts are changed to those positions.
fn in_order(numbers: HashMap<Box<str>, u32>, texts: &mut [Text]) -> Vec<Box<str>> {
    let mut words: Vec<(Box<str>, u32)> = numbers.into_iter().collect();
    words.sort_unstable();
    let mut positions = vec![0_u32; words.len()];
    for (position, (_, number)) in (0_u32..).zip(&words) {
        positions[*number as usize] = position;
    }
    for word in texts.iter_mut().flat_map(|text| &mut text.words) {
        *word = positions[*word as usize];
    }
    words.into_iter().map(|(word, _)| word).collect()
}

/// For each word the texts that have it, as offsets and one list.
fn invert(word_count: usize, texts: &[Text]) -> (Vec<usize>, Vec<u32>) {
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    for (number, text) in (0_u32..).zip(texts) {
        pairs.extend(text.words.iter().map(|word| (*word, number)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    let offsets =
        (0..=word_count).map(|word| pairs.partition_point(|(other, _)| (*other as usize) < word)).collect();
    (offsets, pairs.into_iter().map(|(_, text)| text).collect())
}

/// The lowest level at which every word of the query has a word of the title of its own; `None` if there is none.
fn worst_level(matches: &[Matches], words: &[u32]) -> Option<Level> {
    let level = |matches: &Matches, word: &u32| {
        let place = matches.binary_search_by_key(word, |(position, _)| *position).ok()?;
        Some(matches[place].1)
    };
    let table: Vec<Vec<Option<Level>>> =
        matches.iter().map(|matches| words.iter().map(|word| level(matches, word)).collect()).collect();
    let mut levels: Vec<Level> = table.iter().flatten().copied().flatten().collect();
    levels.sort_unstable();
    levels.dedup();
    let mut owners = vec![None; words.len()];
    let mut next = 0;
    for level in levels {
        while next < table.len() && find_word(&table, level, next, &mut vec![false; words.len()], &mut owners)
        {
            next += 1;
        }
        if next == table.len() {
            return Some(level);
        }
    }
    None
}

/// Finds a word of the title for one of the query, moving others to another one where that helps (an augmenting path).
fn find_word(
    table: &[Vec<Option<Level>>],
    worst: Level,
    wanting: usize,
    tried: &mut [bool],
    owners: &mut [Option<usize>],
) -> bool {
    for word in 0..owners.len() {
        if tried[word] || table[wanting][word].is_none_or(|level| level > worst) {
            continue;
        }
        tried[word] = true;
        if owners[word].is_none_or(|owner| find_word(table, worst, owner, tried, owners)) {
            owners[word] = Some(wanting);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLES: [&str; 28] = [
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
        "Spider-Man",
        "Spider-Man: Homecoming",
        "The Amazing Spider-Man",
        "Old Boy",
        "WALL·E",
        "X-Men",
        "X2: X-Men United",
        "The Godfather: Part III",
        "La La Land",
        "Indiana Jones and the Last Crusade",
        "The Last Samurai",
        "A.I. Artificial Intelligence",
        "Iron Man",
        "1917",
    ];

    fn world() -> TitleIndex {
        let mut movies: Vec<Vec<&str>> = TITLES.iter().map(|title| vec![*title]).collect();
        movies[5].extend(["七人の侍", "Shichinin no samurai", "Die sieben Samurai"]);
        TitleIndex::new(movies.into_iter())
    }

    fn check(query: &str, expect: &[u32]) {
        let popularity: Vec<f32> = (0..TITLES.len()).map(|index| index as f32).collect();
        assert_eq!(world().search(query, &popularity), expect, "{query}");
    }

    #[test]
    fn the_whole_title_comes_first_then_its_beginning() {
        check("matrix", &[0, 1]);
        check("The Matrix", &[0, 1]);
        check("godfather", &[3, 21, 4]);
        check("star wars", &[7, 8]);
        // Articles go unless they are all there is.
        check("the", &[12, 24, 21, 16, 4, 3, 1, 0, 23]);
    }

    #[test]
    fn beginnings_of_words_are_enough() {
        check("godf", &[21, 4, 3]);
        check("hid drag", &[11]);
        check("the godfather par", &[21, 4]);
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
        check("godfahter", &[21, 4, 3]);
        check("martix", &[1, 0]);
        check("crouchnig tigr", &[11]);
        check("zzzzzz", &[]);
    }

    #[test]
    fn spaces_and_punctuation_do_not_matter() {
        check("spiderman", &[14, 15, 16]);
        check("spider man", &[14, 15, 16]);
        check("amazing spiderman", &[16]);
        check("oldboy", &[17]);
        check("old boy", &[17]);
        check("walle", &[18]);
        check("wall-e", &[18]);
        check("xmen", &[19, 20]);
        check("x men", &[19, 20]);
        check("starwars", &[7]);
        check("thematrix", &[0, 1]);
        // No article, so no title that begins with an I.
        assert_eq!(world().search("a.i.", &[])[0], 25);
        check("ai", &[25]);
    }

    #[test]
    fn small_numbers_are_the_same_in_digits_words_and_numerals() {
        check("7 samurai", &[5]);
        check("godfather 2", &[4]);
        check("godfather two", &[4]);
        check("the godfather part 3", &[21]);
        check("oceans 11", &[9]);
        check("star wars episode 4", &[7]);
    }

    #[test]
    fn a_word_of_a_title_answers_one_word_of_the_query() {
        check("la la land", &[22]);
        check("la la", &[22]);
        check("man man", &[]);
        check("samurai samurai", &[]);
    }

    #[test]
    fn an_error_in_a_whole_word_comes_before_one_in_a_beginning() {
        let movies = [["Samurexian"], ["Samurai"]].into_iter();
        assert_eq!(TitleIndex::new(movies).search("samurei", &[9.0, 1.0]), [1, 0]);
        // Words of up to three letters and numbers are not misspelt.
        check("lnad", &[22]);
        check("mna", &[]);
        check("heatx", &[10]);
        check("1918", &[]);
    }

    #[test]
    fn nothing_to_search_for_finds_nothing() {
        check("!!!", &[]);
        check("   ", &[]);
        check(&"x".repeat(10_000), &[]);
    }
}
