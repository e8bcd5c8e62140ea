//! Archives that would harm whoever unpacks them, or are not what they say.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::report_refusal;
use crate::support::Place;
use crate::support::fixture::Fixture;

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The fixture as an archive, and further entries.
fn fixture_and(more: &[(&str, &[u8])]) -> Vec<u8> {
    let fixture = Fixture::new();
    let entries = [
        ("ml/movies.csv", fixture.movies.as_bytes()),
        ("ml/ratings.csv", fixture.ratings.as_bytes()),
        ("ml/links.csv", fixture.links.as_bytes()),
        ("ml/tags.csv", fixture.tags.as_bytes()),
    ];
    zip_of(&[&entries[..], more].concat())
}

/// Renames an entry in place, as no honest writer would.
fn renamed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut found = 0;
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert_eq!(found, 2, "in the entry's head and in the directory");
    bytes
}

fn refuse(case: &str, bytes: &[u8], reasons: &[&str]) {
    let place = Place::new();
    let path = place.write("inner/ml.zip", bytes);
    let run = place.run(&["dataset", "import", "movielens", &path, "--name", "films"]).refused(reasons);
    report_refusal(case, &place, &run);
    assert_eq!(place.names("data"), Vec::<String>::new(), "{case}");
    assert_eq!(place.names("inner"), ["ml.zip"], "{case}: nothing is written beside it");
}

#[test]
fn an_honest_archive_is_imported() {
    let place = Place::new();
    let path = place.write("ml.zip", fixture_and(&[]));
    let report = place.json(&["dataset", "import", "movielens", &path, "--name", "films"]);
    assert_eq!(report["manifest"]["counts"]["interactions"], Fixture::new().rating_count);
}

#[test]
fn a_climbing_archive_is_refused_whole() {
    for name in ["../../evil.csv", "/etc/evil.csv", "..\\..\\evil.csv", "C:\\x\\evil.csv"] {
        let placeholder = "X".repeat(name.len());
        let bytes = fixture_and(&[(&placeholder, b"x")]);
        let case = format!("zip: an entry named {name}");
        refuse(&case, &renamed(&bytes, &placeholder, name), &["ml.zip", "climbs out"]);
    }
}

#[test]
fn bombs_links_and_damage_are_refused() {
    refuse(
        "zip: a bomb (64 MiB of zeros in 64 KiB)",
        &fixture_and(&[("ml/zeros.csv", &vec![0; 64 << 20])]),
        &["ml.zip", "zip bomb"],
    );
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("ml/ratings.csv", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    refuse("zip: a link", &writer.finish().unwrap().into_inner(), &["ml.zip", "is a link"]);
    let whole = fixture_and(&[]);
    refuse("zip: truncated", &whole[..whole.len() / 2], &["ml.zip", "truncated or damaged"]);
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 0x55;
    refuse("zip: a flipped byte", &altered, &["ml.zip", "damaged"]);
    refuse("zip: not one", b"hello", &["ml.zip", "neither a folder nor a zip"]);
    refuse("zip: of something else", &zip_of(&[("holiday/beach.jpg", b"JFIF")]), &["ml.zip"]);
}
