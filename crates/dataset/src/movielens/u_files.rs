//! The 100K layout: `u.genre`, `u.item`, `u.user`.

use super::fields::{self, Encoding, Separator};
use super::{Import, Table};
use crate::DatasetError;

/// Columns of `u.item` before the flags: id, title, release, video release, address.
const ITEM_COLUMNS: usize = 5;

/// Names of the columns of `u.item`, as many as there can be.
const NUMBERS: [&str; 40] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
    "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", "36",
    "37", "38", "39", "40",
];

const BAD_FLAG: &str = "a genre flag is neither 0 nor 1";
const TOO_MANY_GENRES: &str = "there are more genres than flags can be read";

/// Reads genres, films and, where the file is there, people.
pub(super) fn read_catalogue(import: &mut Import<'_>) -> Result<(), DatasetError> {
    let genres = read_genres(import)?;
    read_items(import, &genres)?;
    if import.source.contains("u.user") { read_users(import) } else { Ok(()) }
}

/// The genres in the order of their flags.
fn read_genres(import: &mut Import<'_>) -> Result<Vec<String>, DatasetError> {
    let table = Table {
        file: "u.genre",
        columns: &NUMBERS[..2],
        separator: Separator::Bar,
        encoding: Encoding::Latin1,
        header: false,
    };
    let mut genres = Vec::new();
    import.read_table(&table, |_, row| {
        let position = fields::number(&row[1], "2")? as usize;
        if position >= NUMBERS.len() - ITEM_COLUMNS {
            return Err(fields::Fault::new("2", TOO_MANY_GENRES, &row[1]));
        }
        if genres.len() <= position {
            genres.resize(position + 1, String::new());
        }
        genres[position] = row[0].clone().into_owned();
        Ok(())
    })?;
    Ok(genres)
}

fn read_items(import: &mut Import<'_>, genres: &[String]) -> Result<(), DatasetError> {
    let table = Table {
        file: "u.item",
        columns: &NUMBERS[..ITEM_COLUMNS + genres.len()],
        separator: Separator::Bar,
        encoding: import.text_encoding("u.item")?,
        header: false,
    };
    import.read_table(&table, |sink, row| {
        let id = fields::id(&row[0], "1")?;
        let mut named = Vec::new();
        for ((flag, genre), column) in row[ITEM_COLUMNS..].iter().zip(genres).zip(&NUMBERS[ITEM_COLUMNS..]) {
            match flag.as_ref() {
                "1" => named.push(genre.as_str()),
                "0" => {}
                _ => return Err(fields::Fault::new(column, BAD_FLAG, flag)),
            }
        }
        sink.add_movie((id, &row[1]), named.into_iter(), release_year(&row[2]), ["1", "2"])
    })
}

/// The year of `01-Jan-1995`.
fn release_year(date: &str) -> Option<u16> {
    date.rsplit_once('-')?.1.parse().ok().filter(|year| (1870..=2100).contains(year))
}

fn read_users(import: &mut Import<'_>) -> Result<(), DatasetError> {
    let table = Table {
        file: "u.user",
        columns: &NUMBERS[..5],
        separator: Separator::Bar,
        encoding: Encoding::Latin1,
        header: false,
    };
    import.read_table(&table, |sink, row| {
        let id = fields::id(&row[0], "1")?;
        fields::number(&row[1], "2")?;
        let attributes = [("age", &*row[1]), ("gender", &*row[2]), ("occupation", &*row[3])];
        sink.add_user(id, &row[4], attributes, "1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_date_ends_in_its_year() {
        assert_eq!(release_year("01-Jan-1995"), Some(1995));
        assert_eq!(release_year(""), None);
        assert_eq!(release_year("4-Feb-71"), None);
    }
}
