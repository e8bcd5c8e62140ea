//! Titles as `MovieLens` writes them, put right: "Matrix, The (1999)" is *The Matrix* of 1999. It knows nothing of files.
//!
//! The published form is `Title[, Article] (Other title[, Article])… (Year)`. Other titles are kept: the last that is not
//! marked "a.k.a." and does not read as English is taken for the title in its own language.

/// What one published title says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ParsedTitle {
    /// The title as people say it: article in front, without the year. Never empty unless the input is blank.
    pub(crate) title: String,
    /// The title in its own language, where one in brackets reads as such.
    pub(crate) original_title: Option<String>,
    /// Year of first release, of a span of years the first.
    pub(crate) year: Option<u16>,
    /// The other titles in brackets, in their order, without repetition of the two above.
    pub(crate) alternative_titles: Vec<String>,
}

/// Articles that stand behind a comma at the end, of the languages that occur. Case matters.
const ARTICLES: &[&str] = &[
    "The", "A", "An", "Da", // English
    "Le", "La", "Les", "Un", "Une", "Des", // French
    "El", "Los", "Las", "Una", "Lo", // Spanish
    "Il", "I", "Gli", "Uno", // Italian
    "Der", "Die", "Das", "Ein", "Eine", // German
    "O", "Os", "As", "Um", "Uma", // Portuguese
    "Den", "Det", "De", "En", "Et", "Ett", "Het", "Een", // Nordic, Dutch
    "Els", "Az", // Catalan, Hungarian
];

/// Articles that are written without a space.
const ELIDED_ARTICLES: &[&str] = &["L'", "L’"];

/// Words that hardly occur outside English.
const ENGLISH_WORDS: &[&str] = &[
    "the", "of", "and", "with", "you", "your", "from", "how", "day", "king", "dog", "story", "movie",
    "first", "one", "three", "seven",
];

/// Reads a published title. Anything is accepted: what has no year or brackets is a title as it stands.
pub(crate) fn parse_title(published: &str) -> ParsedTitle {
    let text = published.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = text.as_str();
    let mut year = None;
    let mut groups = Vec::new();
    while let Some((before, group)) = split_last_group(rest) {
        match Group::of(group) {
            Group::Year(found) => year = year.or(Some(found)),
            Group::Medium => {}
            Group::Title if belongs_to_title(before) => break,
            Group::Title => groups.push(group),
        }
        rest = before;
    }
    let title = put_article_first(rest);
    let mut parsed = ParsedTitle { title, year, ..ParsedTitle::default() };
    groups.reverse();
    add_other_titles(&mut parsed, &groups);
    parsed
}

/// "Matrix, The" to "The Matrix", "Avventura, L'" to "L'Avventura"; anything else as it is, trimmed.
pub(crate) fn put_article_first(title: &str) -> String {
    let title = title.trim();
    if let Some((name, article)) = title.rsplit_once(',') {
        let (name, article) = (name.trim_end(), article.trim_start());
        if !name.is_empty() {
            if ELIDED_ARTICLES.contains(&article) {
                return format!("{article}{name}");
            }
            if ARTICLES.contains(&article) {
                return format!("{article} {name}");
            }
        }
    }
    title.to_owned()
}

/// What stands in a bracket at the end.
enum Group {
    Year(u16),
    /// `(V)`, `(TV)`: on what it appeared.
    Medium,
    Title,
}

impl Group {
    fn of(group: &str) -> Self {
        if let Some(year) = year_of(group) {
            Self::Year(year)
        } else if matches!(group, "V" | "TV" | "VG" | "TV Series" | "TV Movie") {
            Self::Medium
        } else {
            Self::Title
        }
    }
}

/// `1999`, `2006–2007`, `2016-`: the first year, where it can be one of a film.
fn year_of(group: &str) -> Option<u16> {
    let mut years = group.splitn(2, ['-', '–', '—']);
    let first = years.next()?.trim();
    let last = years.next().unwrap_or_default().trim();
    let plain = |text: &str| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(first) || !(last.is_empty() || plain(last)) {
        return None;
    }
    first.parse().ok().filter(|year| (1870..=2100).contains(year))
}

/// Cuts the balanced bracket at the end: `"A (B) (C)"` to `("A (B)", "C")`. None without one, and none where nothing
/// would be left in front, so that "(Untitled)" stays a title.
fn split_last_group(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_suffix(')')?;
    let mut depth = 1;
    let start = inner.bytes().enumerate().rev().find_map(|(at, byte)| {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })?;
    let before = inner[..start].trim_end();
    let group = inner[start + 1..].trim();
    (!before.is_empty()).then_some((before, group))
}

/// "Birdman: Or (The Unexpected Virtue of Ignorance)" is one title, and so is "You Can(Not)".
fn belongs_to_title(before: &str) -> bool {
    let last = before.rsplit(' ').next().unwrap_or_default();
    ["or", "and", "the", "of"].iter().any(|word| last.eq_ignore_ascii_case(word))
        && before.contains(' ')
        && !ends_with_article(before)
}

fn ends_with_article(text: &str) -> bool {
    text.rsplit_once(", ").is_some_and(|(_, article)| ARTICLES.contains(&article))
}

/// Sorts the groups, in their order, into the original title, which stands last of those that read as such, and others.
fn add_other_titles(parsed: &mut ParsedTitle, groups: &[&str]) {
    let groups: Vec<(bool, &str)> = groups.iter().map(|group| strip_also_known_as(group)).collect();
    let original = groups.iter().rposition(|&(also_known_as, group)| {
        !also_known_as && !reads_as_english(group) && put_article_first(group) != parsed.title
    });
    parsed.original_title = original.map(|at| put_article_first(groups[at].1));
    for (_, group) in groups {
        let other = put_article_first(group);
        let known = other.is_empty()
            || other == parsed.title
            || parsed.original_title.as_ref() == Some(&other)
            || parsed.alternative_titles.contains(&other);
        if !known {
            parsed.alternative_titles.push(other);
        }
    }
}

/// Whether the group is marked as a further title, and the group without the mark.
fn strip_also_known_as(group: &str) -> (bool, &str) {
    for mark in ["a.k.a.", "a.k.a", "aka ", "AKA "] {
        if let Some(start) = group.get(..mark.len())
            && start.eq_ignore_ascii_case(mark)
        {
            return (true, group[mark.len()..].trim_start_matches([' ', ':', '.']));
        }
    }
    (false, group)
}

/// An abbreviation ("ID4") or a text with a word that hardly occurs elsewhere. Blank text is not a title of any language.
fn reads_as_english(text: &str) -> bool {
    let word_is_english = |word: &str| {
        ENGLISH_WORDS.iter().any(|english| word.eq_ignore_ascii_case(english)) || word.ends_with("'s")
    };
    !text.chars().any(char::is_lowercase) && text.is_ascii()
        || text.split([' ', ':', ',']).any(word_is_english)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(published: &str, title: &str, original: Option<&str>, year: Option<u16>, others: &[&str]) {
        let parsed = parse_title(published);
        assert_eq!(parsed.title, title, "{published}");
        assert_eq!(parsed.original_title.as_deref(), original, "{published}");
        assert_eq!(parsed.year, year, "{published}");
        assert_eq!(parsed.alternative_titles, others, "{published}");
    }

    #[test]
    fn the_article_comes_to_the_front_and_the_year_goes() {
        check("Matrix, The (1999)", "The Matrix", None, Some(1999), &[]);
        check("Bug's Life, A (1998)", "A Bug's Life", None, Some(1998), &[]);
        check(
            "Lord of the Rings: The Two Towers, The (2002)",
            "The Lord of the Rings: The Two Towers",
            None,
            Some(2002),
            &[],
        );
        check("Avventura, L' (Adventure, The) (1960)", "L'Avventura", None, Some(1960), &["The Adventure"]);
        check("Boot, Das (Boat, The) (1981)", "Das Boot", None, Some(1981), &["The Boat"]);
        check("Hip Hop Witch, Da (2000)", "Da Hip Hop Witch", None, Some(2000), &[]);
        check("I Love You, I Love You Not (1996)", "I Love You, I Love You Not", None, Some(1996), &[]);
        check("Paris, Texas (1984)", "Paris, Texas", None, Some(1984), &[]);
    }

    #[test]
    fn a_foreign_title_in_brackets_is_the_original() {
        check(
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            "The City of Lost Children",
            Some("La Cité des enfants perdus"),
            Some(1995),
            &[],
        );
        check(
            "Visitors, The (Visiteurs, Les) (1993)",
            "The Visitors",
            Some("Les Visiteurs"),
            Some(1993),
            &[],
        );
        check("Lover, The (Amant, L') (1992)", "The Lover", Some("L'Amant"), Some(1992), &[]);
        check(
            "Black Sabbath (Tre volti della paura, I) (1963)",
            "Black Sabbath",
            Some("I Tre volti della paura"),
            Some(1963),
            &[],
        );
        check(
            "Devil's Backbone, The (Espinazo del diablo, El) (2001)",
            "The Devil's Backbone",
            Some("El Espinazo del diablo"),
            Some(2001),
            &[],
        );
        check(
            "Tin Drum, The (Blechtrommel, Die) (1979)",
            "The Tin Drum",
            Some("Die Blechtrommel"),
            Some(1979),
            &[],
        );
    }

    #[test]
    fn further_titles_are_kept_in_their_order() {
        check("Seven (a.k.a. Se7en) (1995)", "Seven", None, Some(1995), &["Se7en"]);
        check(
            "Léon: The Professional (a.k.a. The Professional) (Léon) (1994)",
            "Léon: The Professional",
            Some("Léon"),
            Some(1994),
            &["The Professional"],
        );
        check(
            "Men in Black II (a.k.a. MIIB) (a.k.a. MIB 2) (2002)",
            "Men in Black II",
            None,
            Some(2002),
            &["MIIB", "MIB 2"],
        );
        check(
            "Raiders of the Lost Ark (Indiana Jones and the Raiders of the Lost Ark) (1981)",
            "Raiders of the Lost Ark",
            None,
            Some(1981),
            &["Indiana Jones and the Raiders of the Lost Ark"],
        );
        check("Independence Day (ID4) (1996)", "Independence Day", None, Some(1996), &["ID4"]);
        check(
            "Porco Rosso (Crimson Pig) (Kurenai no buta) (1992)",
            "Porco Rosso",
            Some("Kurenai no buta"),
            Some(1992),
            &["Crimson Pig"],
        );
        check(
            "Suriyothai (a.k.a. Legend of Suriyothai, The) (2001)",
            "Suriyothai",
            None,
            Some(2001),
            &["The Legend of Suriyothai"],
        );
    }

    #[test]
    fn years_and_brackets_in_odd_places() {
        check("Babylon 5", "Babylon 5", None, None, &[]);
        check("Death Note: Desu nôto (2006–2007)", "Death Note: Desu nôto", None, Some(2006), &[]);
        check("Some Series (2016-)", "Some Series", None, Some(2016), &[]);
        check("96 Minutes (2011) ", "96 Minutes", None, Some(2011), &[]);
        check("Land Before Time III (1995) (V)", "Land Before Time III", None, Some(1995), &[]);
        check("(500) Days of Summer (2009)", "(500) Days of Summer", None, Some(2009), &[]);
        check("(Untitled) (2009)", "(Untitled)", None, Some(2009), &[]);
        check("Project A ('A' gai waak) (1983)", "Project A", Some("'A' gai waak"), Some(1983), &[]);
        check("1984 (Nineteen Eighty-Four) (1984)", "1984", Some("Nineteen Eighty-Four"), Some(1984), &[]);
        check("You Are (Not) Alone (2007)", "You Are (Not) Alone", None, Some(2007), &[]);
        check(
            "Birdman: Or (The Unexpected Virtue of Ignorance) (2014)",
            "Birdman: Or (The Unexpected Virtue of Ignorance)",
            None,
            Some(2014),
            &[],
        );
        check("Room (9999)", "Room", None, None, &["9999"]);
        check("Open (1999", "Open (1999", None, None, &[]);
        check("2012", "2012", None, None, &[]);
        check("unknown", "unknown", None, None, &[]);
        check("", "", None, None, &[]);
        check(")", ")", None, None, &[]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_keeps_a_title(text in "\\PC{0,60}") {
            let parsed = parse_title(&text);
            prop_assert_eq!(parsed.title.is_empty(), text.trim().is_empty());
            prop_assert!(!parsed.alternative_titles.contains(&parsed.title));
        }

        #[test]
        fn brackets_and_commas_never_panic(text in "[(), a-cL'é0-9–]{0,40}") {
            parse_title(&text);
        }

        #[test]
        fn a_plain_title_survives_publication(name in "[A-Z][a-z]{2,8}( [a-z]{3,8}){0,3}", article in 0..ARTICLES.len(), year in 1900_u16..2030) {
            let article = ARTICLES[article];
            let parsed = parse_title(&format!("{name}, {article} ({year})"));
            prop_assert_eq!(parsed.title, format!("{} {}", article, name));
            prop_assert_eq!(parsed.year, Some(year));
            prop_assert_eq!(parse_title(&format!("{name} ({year})")).title, name);
        }
    }
}
