//! Titles and queries in normal form, and the forms in which they are compared: word by word, squashed together, with small
//! numbers as digits. It knows nothing of which titles there are.

/// Left out at the beginning of a title and of a query.
const ARTICLES: [&str; 3] = ["the", "a", "an"];

/// Numbers that are the same as a digit, a word and a Roman numeral, from 1 on.
const NUMBERS: [(&str, &str); 13] = [
    ("one", "i"),
    ("two", "ii"),
    ("three", "iii"),
    ("four", "iv"),
    ("five", "v"),
    ("six", "vi"),
    ("seven", "vii"),
    ("eight", "viii"),
    ("nine", "ix"),
    ("ten", "x"),
    ("eleven", "xi"),
    ("twelve", "xii"),
    ("thirteen", "xiii"),
];

/// The forms of one title or query. Both lists are empty where there is no letter and no digit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forms {
    /// Words with one space between, without the leading article: as written, with the parts of a chunk like `X-Men` in one
    /// word, and both with small numbers as digits; each once.
    pub(crate) texts: Vec<String>,
    /// Without spaces: with the article, without it, and that with small numbers as digits; each once.
    pub(crate) keys: Vec<String>,
}

impl Forms {
    /// The forms of a title or query.
    pub(crate) fn of(text: &str) -> Self {
        let (spaced, joined) = normalize(text);
        let mut forms = Self::default();
        if spaced.is_empty() {
            return forms;
        }
        // The article stands apart in both: `A.I.` does not begin with one.
        let article = match joined.split_once(' ') {
            Some((first, _)) if ARTICLES.contains(&first) => first.len() + 1,
            _ => 0,
        };
        let (bare, joined) = (&spaced[article..], &joined[article..]);
        let numbered = with_digits(bare);
        for key in [&spaced, bare, &numbered] {
            add(&mut forms.keys, key.replace(' ', ""));
        }
        let joined_numbered = with_digits(joined);
        for text in [bare.to_owned(), numbered, joined.to_owned(), joined_numbered] {
            add(&mut forms.texts, text);
        }
        forms
    }
}

/// A title, and the year in brackets at its end.
pub(crate) fn split_year(text: &str) -> Option<(&str, u16)> {
    let (title, year) = text.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    let four_digits = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    Some((title.trim_end(), year.parse().ok().filter(|_| four_digits)?))
}

fn add(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

/// Lower-case ASCII words of letters and digits, one space between: other scripts are transliterated, accents and apostrophes
/// dropped. Then the same where only white space parts words.
fn normalize(text: &str) -> (String, String) {
    let (mut spaced, mut joined) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let space = |text: &mut String| {
        if !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
    };
    for character in deunicode::deunicode_with_tofu(text, "").chars() {
        if character.is_ascii_alphanumeric() {
            spaced.push(character.to_ascii_lowercase());
            joined.push(character.to_ascii_lowercase());
        } else if character == '&' {
            for text in [&mut spaced, &mut joined] {
                space(text);
                text.push_str("and ");
            }
        } else if character != '\'' && character != '`' {
            space(&mut spaced);
            if character.is_ascii_whitespace() {
                space(&mut joined);
            }
        }
    }
    for text in [&mut spaced, &mut joined] {
        text.truncate(text.trim_end().len());
    }
    (spaced, joined)
}

/// Small numbers as digits. A Roman numeral is none at the beginning: `X-Men`, `V for Vendetta`, `I, Robot`.
fn with_digits(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for (position, word) in text.split(' ').enumerate() {
        if position > 0 {
            result.push(' ');
        }
        let number =
            NUMBERS.iter().position(|(name, roman)| *name == word || (position > 0 && *roman == word));
        match number {
            Some(number) => result.push_str(&(number + 1).to_string()),
            None => result.push_str(word),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, texts: &[&str], keys: &[&str]) {
        let forms = Forms::of(text);
        assert_eq!((forms.texts, forms.keys), (owned(texts), owned(keys)), "{text}");
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_title_has_its_forms() {
        check("Heat", &["heat"], &["heat"]);
        check("The Matrix", &["matrix"], &["thematrix", "matrix"]);
        check("X-Men", &["x men", "xmen"], &["xmen"]);
        check("WALL·E", &["wall e", "walle"], &["walle"]);
        check("A.I.", &["a i", "a 1", "ai"], &["ai", "a1"]);
        check("Seven Samurai", &["seven samurai", "7 samurai"], &["sevensamurai", "7samurai"]);
        check("Part II", &["part ii", "part 2"], &["partii", "part2"]);
        check("Asterix & Obelix", &["asterix and obelix"], &["asterixandobelix"]);
        check("Ocean’s", &["oceans"], &["oceans"]);
        check("The", &["the"], &["the"]);
        check("!!!", &[], &[]);
    }

    #[test]
    fn a_year_in_brackets_is_split_off() {
        assert_eq!(split_year("Heat (1995) "), Some(("Heat", 1995)));
        assert_eq!(split_year("(1995)"), Some(("", 1995)));
        for text in ["Heat", "Heat (95)", "Heat (+995)", "Heat 1995)", "Heat (1995", "Heat (１９９５)", ")"]
        {
            assert_eq!(split_year(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_forms_of_letters_and_digits(text in "\\PC{0,30}") {
            let forms = Forms::of(&text);
            for text in forms.texts {
                prop_assert!(text.split(' ').all(|word| !word.is_empty()), "{text}");
            }
            for key in forms.keys {
                prop_assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
            }
        }
    }
}
