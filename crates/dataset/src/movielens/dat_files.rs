//! The `::` layouts: `movies.dat`, and `users.dat` of 1M or `tags.dat` of 10M.

use super::fields::{self, Encoding, Fault, Separator};
use super::tags;
use super::{Import, Table};
use crate::DatasetError;

const UNKNOWN_AGE: &str = "not one of the age groups";
const UNKNOWN_OCCUPATION: &str = "not one of the occupations";

/// The age groups of 1M by their codes.
const AGES: [(u32, &str); 7] = [
    (1, "under 18"),
    (18, "18-24"),
    (25, "25-34"),
    (35, "35-44"),
    (45, "45-49"),
    (50, "50-55"),
    (56, "56 and over"),
];

/// The occupations of 1M by their codes.
const OCCUPATIONS: [&str; 21] = [
    "other or not specified",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
];

/// Reads the films and people of 1M.
pub(super) fn read_catalogue_1m(import: &mut Import<'_>) -> Result<(), DatasetError> {
    let encoding = import.text_encoding("movies.dat")?;
    read_movies(import, encoding)?;
    let table = Table {
        file: "users.dat",
        columns: &["1", "2", "3", "4", "5"],
        separator: Separator::Colons,
        encoding: Encoding::Latin1,
        header: false,
    };
    import.read_table(&table, |sink, row| {
        let id = fields::id(&row[0], "1")?;
        let age = fields::number(&row[2], "3")?;
        let age = AGES.iter().find(|(code, _)| *code == age);
        let (_, age) = age.ok_or_else(|| Fault::new("3", UNKNOWN_AGE, &row[2]))?;
        let occupation = OCCUPATIONS.get(fields::number(&row[3], "4")? as usize);
        let occupation = occupation.ok_or_else(|| Fault::new("4", UNKNOWN_OCCUPATION, &row[3]))?;
        sink.add_user(id, &row[4], [("age", age), ("gender", &row[1]), ("occupation", occupation)], "1")
    })
}

/// Reads the films of 10M and, where the file is there, their tags.
pub(super) fn read_catalogue_10m(import: &mut Import<'_>) -> Result<(), DatasetError> {
    read_movies(import, Encoding::Utf8)?;
    if !import.source.contains("tags.dat") {
        return Ok(());
    }
    let table = Table {
        file: "tags.dat",
        columns: &["1", "2", "3", "4"],
        separator: Separator::Colons,
        encoding: Encoding::Utf8,
        header: false,
    };
    tags::read_tags(import, &table)
}

fn read_movies(import: &mut Import<'_>, encoding: Encoding) -> Result<(), DatasetError> {
    let table = Table {
        file: "movies.dat",
        columns: &["1", "2", "3"],
        separator: Separator::Colons,
        encoding,
        header: false,
    };
    import.read_table(&table, |sink, row| {
        let id = fields::id(&row[0], "1")?;
        sink.add_movie((id, &row[1]), row[2].split('|'), None, ["1", "2"])
    })
}
