//! `cinedex dataset import csv|parquet`: the flags of an app's own tables, as the library takes them.

use anyhow::{Context as _, Result, ensure};
use cinedex_dataset::{DataRoot, ImportReport, TableFormat, TableImport, TimeUnit as Unit, import_table};
use cinedex_domain::{Progress, RatingScale};

use super::dataset::options;
use crate::arguments::{TableArguments, TimeUnit};

/// Which of the two formats.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Csv,
    Parquet,
}

pub(super) fn import(
    root: &DataRoot,
    format: Format,
    flags: &TableArguments,
    progress: Progress<'_>,
) -> Result<ImportReport> {
    ensure!(flags.delimiter.is_ascii(), "--delimiter must be one ASCII character");
    let format = match format {
        Format::Csv => TableFormat::Csv { delimiter: flags.delimiter as u8, header: !flags.no_header },
        Format::Parquet => TableFormat::Parquet,
    };
    let mut import = TableImport::new(format, flags.interactions.clone());
    import.movies.clone_from(&flags.movies);
    import.users.clone_from(&flags.users);
    for mapping in &flags.columns {
        let (field, column) =
            mapping.split_once('=').with_context(|| format!("--column {mapping}: write FIELD=COLUMN"))?;
        import.columns.insert(field.to_owned(), column.to_owned());
    }
    import.default_kind = flags.kind.parse()?;
    import.rating_scale = flags.scale.as_deref().map(scale).transpose()?;
    import.time_unit = match flags.time_unit {
        TimeUnit::Seconds => Unit::Seconds,
        TimeUnit::Milliseconds => Unit::Milliseconds,
    };
    import.list_separator = flags.list_separator;
    Ok(import_table(root, &flags.target.name, &import, &options(&flags.target), progress)?)
}

fn scale(text: &str) -> Result<RatingScale> {
    let ends = text.split_once(':').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    let (lowest, highest) =
        ends.with_context(|| format!("--scale {text}: write LOWEST:HIGHEST, for example 1:5"))?;
    RatingScale::new(lowest, highest).with_context(|| format!("--scale {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_two_ascending_numbers() {
        assert_eq!(scale("0.5:5").unwrap(), RatingScale::FIVE_STARS);
        for text in ["5", "5:1", "a:b", "1:nan", ""] {
            assert!(scale(text).is_err(), "{text}");
        }
    }
}
