//! Which of the published layouts a source has, and what follows from it.

use std::io::Read;
use std::path::{Component, Path};

use cinedex_domain::RatingScale;

use super::fields::Separator;
use super::rating::RatingFormat;
use crate::archive::FileSource;
use crate::{DatasetError, Source};

/// A published layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `u.*`.
    OneHundredThousand,
    /// `.dat` with `users.dat`.
    OneMillion,
    /// `.dat` without.
    TenMillion,
    /// 20M, 25M, 32M, latest, latest-small.
    Csv,
}

impl Layout {
    /// Recognises the layout by the files that are there.
    pub(super) fn recognise(source: &FileSource) -> Result<Self, DatasetError> {
        let any = |names: &[&str]| names.iter().any(|name| source.contains(name));
        let layout = if any(&["u.item", "u.data"]) {
            Self::OneHundredThousand
        } else if source.contains("users.dat") {
            Self::OneMillion
        } else if any(&["movies.dat", "ratings.dat"]) {
            Self::TenMillion
        } else if any(&["movies.csv", "ratings.csv"]) {
            Self::Csv
        } else {
            return Err(DatasetError::WrongLayout {
                path: source.path().to_owned(),
                reason: unrecognised(source),
            });
        };
        Ok(layout)
    }

    /// The scale of ratings.
    pub(super) fn scale(self) -> RatingScale {
        match self {
            Self::OneHundredThousand | Self::OneMillion => {
                RatingScale::new(1.0, 5.0).expect("the ends are finite and ascend")
            }
            Self::TenMillion | Self::Csv => RatingScale::FIVE_STARS,
        }
    }

    /// The form of the ratings; in a file that was named by hand the time may be missing.
    pub(super) fn rating_format(self, named_by_hand: bool) -> RatingFormat {
        let (separator, columns) = match self {
            Self::OneHundredThousand => (Separator::Tab, ["1", "2", "3", "4"]),
            Self::OneMillion | Self::TenMillion => (Separator::Colons, ["1", "2", "3", "4"]),
            Self::Csv => (Separator::Comma, ["userId", "movieId", "rating", "timestamp"]),
        };
        RatingFormat { separator, columns, scale: self.scale(), time_optional: named_by_hand }
    }

    fn ratings_file(self) -> &'static str {
        match self {
            Self::OneHundredThousand => "u.data",
            Self::OneMillion | Self::TenMillion => "ratings.dat",
            Self::Csv => "ratings.csv",
        }
    }

    /// Where the data comes from; `label` is the name of the folder that held the files, by which the CSV editions differ.
    pub(super) fn describe(self, label: &str) -> Source {
        let label = label.to_ascii_lowercase();
        let edition = match self {
            Self::OneHundredThousand => "100k",
            Self::OneMillion => "1m",
            Self::TenMillion => "10m",
            Self::Csv => ["latest-small", "20m", "25m", "32m", "latest"]
                .into_iter()
                .find(|edition| label.strip_prefix("ml-") == Some(edition))
                .unwrap_or(""),
        };
        let sharing = match self {
            Self::Csv => "redistribution under the same conditions only",
            _ => "no redistribution without separate permission",
        };
        let (kind, title) = match edition {
            "" => ("movielens".to_owned(), "MovieLens".to_owned()),
            "latest" | "latest-small" => (format!("movielens-{edition}"), format!("MovieLens {edition}")),
            _ => (format!("movielens-{edition}"), format!("MovieLens {}", edition.to_uppercase())),
        };
        let page = match edition {
            "" | "latest-small" => "latest",
            edition => edition,
        };
        Source {
            kind,
            title,
            licence: format!(
                "GroupLens Research, University of Minnesota: research and other non-commercial use only, {sharing}, no \
                 endorsement implied, use to be acknowledged in publications (Harper and Konstan 2015, \
                 https://doi.org/10.1145/2827872); read the data set's own README"
            ),
            url: Some(format!("https://grouplens.org/datasets/movielens/{page}/")),
        }
    }
}

/// The name of the file of ratings: the one asked for, or the layout's own.
pub(super) fn choose_ratings(
    source: &mut FileSource,
    layout: Layout,
    asked: Option<&Path>,
) -> Result<String, DatasetError> {
    if let Some(asked) = asked {
        return named_ratings(source, asked);
    }
    let own = layout.ratings_file();
    if source.contains(own) {
        return Ok(own.to_owned());
    }
    let candidates = candidates(source, layout)?;
    let remedy = if candidates.is_empty() {
        "and no other file in it could serve".to_owned()
    } else {
        format!("these could serve, name one with --ratings: {}", candidates.join(", "))
    };
    Err(DatasetError::WrongLayout {
        path: source.path().to_owned(),
        reason: format!("the file of ratings {own} is missing; {remedy}"),
    })
}

/// Refuses a header other than `columns`.
pub(super) fn check_header(
    source: &Path,
    file: &str,
    line: &[u8],
    columns: &[&'static str],
) -> Result<(), DatasetError> {
    let text = String::from_utf8_lossy(line);
    if text.split(',').map(|name| name.trim().trim_matches('"')).eq(columns.iter().copied()) {
        return Ok(());
    }
    let found: String = text.chars().take(80).collect();
    Err(DatasetError::WrongLayout {
        path: source.to_owned(),
        reason: format!(
            "line 1 of {file} is {found:?}, expected \"{}\"; a table of your own is imported with cinedex dataset import csv",
            columns.join(",")
        ),
    })
}

fn named_ratings(source: &FileSource, asked: &Path) -> Result<String, DatasetError> {
    let mut components = asked.components();
    let name = match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) => name.to_str(),
        _ => None,
    };
    let Some(name) = name else {
        return Err(DatasetError::InvalidOption {
            name: "ratings",
            found: asked.display().to_string(),
            reason: "name a file inside the source, without a path",
        });
    };
    if source.contains(name) {
        return Ok(name.to_owned());
    }
    Err(DatasetError::WrongLayout {
        path: source.path().to_owned(),
        reason: format!("there is no file {name}; its files are: {}", listed(source)),
    })
}

/// Files whose first line reads as a rating, and whether it has a time.
fn candidates(source: &mut FileSource, layout: Layout) -> Result<Vec<String>, DatasetError> {
    let format = layout.rating_format(true);
    let mut found = Vec::new();
    for name in source.names() {
        let mut file = source.file(&name)?;
        let mut start = [0; 400];
        let mut length = 0;
        while let Ok(read @ 1..) = file.read(&mut start[length..]) {
            length += read;
        }
        let mut lines = start[..length].split(|&byte| byte == b'\n');
        let first = if layout == Layout::Csv { lines.nth(1) } else { lines.next() };
        let first = first.unwrap_or_default();
        match format.parse(first.strip_suffix(b"\r").unwrap_or(first)) {
            Ok(row) if row.timestamp_ms.is_some() => found.push(name),
            Ok(_) => found.push(format!("{name} (without times)")),
            Err(_) => {}
        }
    }
    Ok(found)
}

fn unrecognised(source: &FileSource) -> String {
    format!(
        "it has none of u.item (100K), movies.dat (1M, 10M) and movies.csv (20M and later); its files are: {}",
        listed(source)
    )
}

/// The first names, for a message.
fn listed(source: &FileSource) -> String {
    let names = source.names();
    match names.len() {
        0 => "none".to_owned(),
        count if count > 12 => format!("{}, and {} more", names[..12].join(", "), count - 12),
        _ => names.join(", "),
    }
}
