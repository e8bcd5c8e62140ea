//! Tables of either format as records of the fields that matter, and which column is which field.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use cinedex_domain::{Progress, Step};
use cinedex_storage::{Cell, TableBatch, TableReader};

use super::cells::Fault;
use super::{TableFormat, file_name};
use crate::DatasetError;
use crate::csv_records::{CsvRecord, CsvRecords, Found, UNCLOSED};

const REPORT_EVERY: u64 = 1 << 16;
const WRONG_COUNT: &str = "another number of columns than the first row";

/// Names a field and the usual names of its column.
pub(super) type FieldNames<'a> = (&'a str, &'a [&'a str]);

/// Which column is which field, as asked for.
pub(super) struct Mapping<'a> {
    columns: &'a BTreeMap<String, String>,
    used: BTreeSet<&'a str>,
}

impl<'a> Mapping<'a> {
    /// Refuses a key that is not a field, or a field of another table than it says.
    pub(super) fn new(
        columns: &'a BTreeMap<String, String>,
        tables: &[(&str, &[FieldNames<'_>])],
    ) -> Result<Self, DatasetError> {
        for key in columns.keys() {
            let known = tables.iter().any(|(table, fields)| {
                let field = key.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')).unwrap_or(key);
                fields.iter().any(|(name, _)| *name == field)
            });
            if !known {
                let reason =
                    "it is not a field that a column can be mapped to; see cinedex dataset import csv --help";
                return Err(DatasetError::InvalidOption {
                    name: "a mapped field",
                    found: key.clone(),
                    reason,
                });
            }
        }
        Ok(Self { columns, used: BTreeSet::new() })
    }

    /// The column of a field in a table: as asked for, else by its own or a usual name without case.
    fn resolve(
        &mut self,
        table: &Table,
        (field, aliases): FieldNames<'_>,
        required: bool,
    ) -> Result<Option<usize>, DatasetError> {
        let missing = |column: &str| DatasetError::MissingColumn {
            path: table.path.clone(),
            column: column.to_owned(),
            role: role(field),
            found: table.columns.clone(),
        };
        let position = |column: &str| table.columns.iter().position(|name| name == column);
        let qualified = format!("{}.{field}", table.name);
        if let Some((key, column)) = self.columns.get_key_value(&qualified) {
            self.used.insert(key);
            return position(column).map(Some).ok_or_else(|| missing(column));
        }
        if let Some((key, column)) = self.columns.get_key_value(field)
            && let Some(position) = position(column)
        {
            self.used.insert(key);
            return Ok(Some(position));
        }
        let usual = std::iter::once(&field)
            .chain(aliases)
            .find_map(|alias| table.columns.iter().position(|name| name.eq_ignore_ascii_case(alias)));
        let asked = self.columns.get(field).map_or(field, String::as_str);
        if usual.is_none() && required { Err(missing(asked)) } else { Ok(usual) }
    }

    /// Refuses a mapping to a column that no table has.
    pub(super) fn check_used(&self, tables: &[Table]) -> Result<(), DatasetError> {
        let Some((key, column)) = self.columns.iter().find(|(key, _)| !self.used.contains(key.as_str()))
        else {
            return Ok(());
        };
        let wanted = key.split_once('.').map_or("interactions", |(table, _)| table);
        let table = tables.iter().find(|table| table.name == wanted).or(tables.first());
        Err(DatasetError::MissingColumn {
            path: table.map(|table| table.path.clone()).unwrap_or_default(),
            column: column.clone(),
            role: role(key.rsplit('.').next().unwrap_or(key)),
            found: table.map(|table| table.columns.clone()).unwrap_or_default(),
        })
    }
}

/// A field in words, for messages.
fn role(field: &str) -> &'static str {
    match field {
        "user_id" => "id of the user",
        "movie_id" => "id of the movie",
        "kind" => "kind of interaction",
        "value" => "rating",
        "timestamp" => "time",
        "location" => "place",
        "title" => "title",
        _ => "field asked for",
    }
}

/// One file whose columns are known.
pub(super) struct Table {
    /// `interactions`, `movies` or `users`.
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    /// The file's name, for messages.
    pub(super) file: String,
    columns: Vec<String>,
    fields: Vec<String>,
    /// For each field, then for each extra column, its column.
    slots: Vec<Option<usize>>,
    extra: Vec<String>,
}

impl Table {
    /// Opens a file, or all part files of a directory of Parquet files.
    pub(super) fn open(
        name: &'static str,
        path: &Path,
        format: TableFormat,
        fields: &[FieldNames<'_>],
        required: &[&str],
        mapping: &mut Mapping<'_>,
    ) -> Result<Vec<Self>, DatasetError> {
        let mut tables = Vec::new();
        for path in files(path, format)? {
            let mut table = Self {
                name,
                file: file_name(&path),
                columns: columns_of(&path, format)?,
                path,
                fields: fields.iter().map(|(field, _)| (*field).to_owned()).collect(),
                slots: Vec::new(),
                extra: Vec::new(),
            };
            for &field in fields {
                let slot = mapping.resolve(&table, field, required.contains(&field.0))?;
                table.slots.push(slot);
            }
            if name == "users" {
                table.add_extra_columns();
            }
            tables.push(table);
        }
        Ok(tables)
    }

    /// The column in which a field stands; a field that stands in none, by its name.
    pub(super) fn column_of(&self, field: &str) -> String {
        let slot = self.fields.iter().position(|name| name == field);
        let column = slot.and_then(|slot| self.slots[slot]);
        column.map_or_else(|| field.to_owned(), |column| self.columns[column].clone())
    }

    /// Columns that are no field.
    pub(super) fn extra_columns(&self) -> &[String] {
        &self.extra
    }

    fn add_extra_columns(&mut self) {
        for (position, column) in self.columns.iter().enumerate() {
            let free = !self.slots.contains(&Some(position)) && !self.extra.contains(column);
            if free && !matches!(column.as_str(), "" | "user_id" | "location") {
                self.slots.push(Some(position));
                self.extra.push(column.clone());
            }
        }
    }
}

/// One row; slots are the table's fields, then its extra columns.
pub(super) enum Record<'a> {
    Csv {
        record: CsvRecord<'a>,
        table: &'a Table,
    },
    /// For each slot its column in the batch.
    Parquet {
        batch: &'a TableBatch,
        row: usize,
        places: &'a [Option<usize>],
        table: &'a Table,
    },
}

impl<'a> Record<'a> {
    /// The value of a slot; empty text of CSV and a column that is not there are null.
    pub(super) fn cell(&self, slot: usize) -> Cell<'a> {
        match self {
            Self::Csv { record, table } => match table.slots[slot].and_then(|column| record.field(column)) {
                None | Some("") => Cell::Null,
                Some(text) => Cell::Text(text),
            },
            Self::Parquet { batch, row, places, .. } => match places[slot] {
                None => Cell::Null,
                Some(column) => match batch.cell(column, *row) {
                    Cell::Text("") => Cell::Null,
                    cell => cell,
                },
            },
        }
    }

    /// The values of the table's extra columns.
    pub(super) fn extra_cells(&self) -> impl Iterator<Item = Cell<'a>> {
        let (Self::Csv { table, .. } | Self::Parquet { table, .. }) = self;
        (table.fields.len()..table.slots.len()).map(|slot| self.cell(slot))
    }
}

/// Visits every row with its line, or its row in a Parquet file, from 1; a row that is none comes as its fault.
pub(super) fn for_each_record(
    table: &Table,
    format: TableFormat,
    progress: Progress<'_>,
    visit: impl FnMut(u64, Result<Record<'_>, Fault>) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    match format {
        TableFormat::Csv { delimiter, header } => for_each_csv(table, delimiter, header, progress, visit),
        TableFormat::Parquet => for_each_parquet(table, progress, visit),
    }
}

fn for_each_csv(
    table: &Table,
    delimiter: u8,
    header: bool,
    progress: Progress<'_>,
    mut visit: impl FnMut(u64, Result<Record<'_>, Fault>) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let stage = format!("reading {}", table.file);
    let mut records = open_csv(&table.path, delimiter)?;
    let total = fs::metadata(&table.path).ok().map(|metadata| metadata.len());
    let mut first = header;
    let mut rows: u64 = 0;
    loop {
        if rows.is_multiple_of(REPORT_EVERY) {
            progress(Step::new(&stage, records.bytes(), total));
        }
        rows += 1;
        let Some((line, found)) = records.next().map_err(DatasetError::io("read", &table.path))? else {
            progress(Step::new(&stage, records.bytes(), total));
            return Ok(());
        };
        if std::mem::take(&mut first) {
            continue;
        }
        let record = match found {
            Found::Record(record) if record.ends.len() == table.columns.len() => {
                Ok(Record::Csv { record, table })
            }
            Found::Record(record) => {
                let mut fault = Fault::new("", WRONG_COUNT, &format!("{} columns", record.ends.len()));
                let wrong = record.ends.len().min(table.columns.len());
                fault.field =
                    table.columns.get(wrong).cloned().unwrap_or_else(|| (wrong + 1).to_string()).into();
                Err(fault)
            }
            Found::Malformed(reason) => Err(Fault::new("1", reason, "")),
        };
        visit(line, record)?;
    }
}

fn for_each_parquet(
    table: &Table,
    progress: Progress<'_>,
    mut visit: impl FnMut(u64, Result<Record<'_>, Fault>) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let stage = format!("reading {}", table.file);
    let mut reader = TableReader::open(&table.path)?;
    let selected: Vec<usize> = table.slots.iter().flatten().copied().collect();
    let names: Vec<&str> = selected.iter().map(|&column| table.columns[column].as_str()).collect();
    reader.select(&names)?;
    let mut next = 0..;
    let places: Vec<Option<usize>> = table.slots.iter().map(|slot| slot.and_then(|_| next.next())).collect();
    let total = Some(reader.row_count());
    let mut number = 0;
    while let Some(batch) = reader.next_batch()? {
        progress(Step::new(&stage, number, total));
        for row in 0..batch.row_count() {
            number += 1;
            visit(number, Ok(Record::Parquet { batch: &batch, row, places: &places, table }))?;
        }
    }
    progress(Step::new(&stage, number, total));
    Ok(())
}

fn open_csv(path: &Path, delimiter: u8) -> Result<CsvRecords<File>, DatasetError> {
    if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r') {
        let found = char::from(delimiter).escape_default().to_string();
        let reason = "it must be one ASCII character, and no quote or line end";
        return Err(DatasetError::InvalidOption { name: "the delimiter", found, reason });
    }
    Ok(CsvRecords::new(File::open(path).map_err(DatasetError::io("open", path))?, delimiter))
}

fn columns_of(path: &Path, format: TableFormat) -> Result<Vec<String>, DatasetError> {
    let (delimiter, header) = match format {
        TableFormat::Parquet => return Ok(TableReader::open(path)?.columns()),
        TableFormat::Csv { delimiter, header } => (delimiter, header),
    };
    let wrong = |reason: &str| DatasetError::WrongLayout { path: path.to_owned(), reason: reason.to_owned() };
    let mut records = open_csv(path, delimiter)?;
    match records.next().map_err(DatasetError::io("read", path))? {
        None => Err(wrong("the file is empty")),
        Some((_, Found::Malformed(UNCLOSED))) => Err(wrong("a quote in its first line is not closed")),
        Some((_, Found::Malformed(reason))) => Err(wrong(&format!("its first line is not CSV: {reason}"))),
        Some((_, Found::Record(record))) => {
            let name = |column| match record.field(column) {
                Some(name) if header => name.to_owned(),
                _ => (column + 1).to_string(),
            };
            let columns: Vec<String> = (0..record.ends.len()).map(name).collect();
            let repeated = |(at, name): &(usize, &String)| !name.is_empty() && columns[..*at].contains(name);
            match columns.iter().enumerate().find(repeated) {
                Some((_, name)) => Err(wrong(&format!("its first line names the column {name:?} twice"))),
                None => Ok(columns),
            }
        }
    }
}

fn files(path: &Path, format: TableFormat) -> Result<Vec<PathBuf>, DatasetError> {
    let metadata = fs::metadata(path).map_err(DatasetError::io("open", path))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let wrong = |reason: &str| DatasetError::WrongLayout { path: path.to_owned(), reason: reason.to_owned() };
    if format != TableFormat::Parquet {
        return Err(wrong("it is a directory; name the files in it"));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(DatasetError::io("list", path))? {
        let file = entry.map_err(DatasetError::io("list", path))?.path();
        let hidden = file_name(&file).starts_with(['_', '.']);
        if !hidden && file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(wrong("it holds no part files (*.parquet)")) } else { Ok(files) }
}
