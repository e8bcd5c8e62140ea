//! What damaged bytes do: every table cut short at any place or with a byte flipped is read, or refused with its path, and never
//! ends the process.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use cinedex_domain::{InteractionKind, Movie, MovieId, User, UserId};
use proptest::prelude::*;

use crate::{
    EmbeddingColumns, Embeddings, InteractionRow, InteractionWriter, StorageError, TableReader,
    read_embeddings, read_interactions, read_movies, read_users, write_embeddings, write_movies, write_users,
};

type Read = fn(&Path) -> Result<(), StorageError>;

/// Every table with its bytes and its reader.
static TABLES: LazyLock<Vec<(&str, Vec<u8>, Read)>> = LazyLock::new(tables);

fn tables() -> Vec<(&'static str, Vec<u8>, Read)> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut movie = Movie::new(MovieId::new("1").unwrap(), "Heat");
    movie.genres = vec!["Crime".into(), "Drama".into()];
    movie.year = Some(1995);
    write_movies(&path("movies"), &[movie, Movie::new(MovieId::new("2").unwrap(), "Alien")]).unwrap();
    let mut user = User::new(UserId::new("7").unwrap());
    user.location = Some("US/CA".parse().unwrap());
    user.attributes.insert("age".into(), "30".into());
    write_users(&path("users"), &[user]).unwrap();
    let mut writer = InteractionWriter::create_with(&path("interactions"), 40).unwrap();
    for row in 0..100_i64 {
        let (user_id, movie_id) = ((row / 9).to_string(), (row % 7).to_string());
        let (kind, value) = (InteractionKind::Rating, Some(row as f32 / 20.0));
        let location = (row % 3 == 0).then_some("US/CA");
        let row = InteractionRow {
            user_id: &user_id,
            movie_id: &movie_id,
            kind,
            value,
            timestamp_ms: Some(row),
            location,
        };
        writer.push(row).unwrap();
    }
    writer.finish().unwrap();
    let embeddings =
        Embeddings { ids: vec!["1".into(), "2".into()], dimension: 2, values: vec![0.1, 0.2, 0.3, 0.4] };
    write_embeddings(&path("embeddings"), "movie_id", &embeddings).unwrap();
    let read_cells: Read = |path| {
        let mut reader = TableReader::open(path)?;
        let columns = reader.columns();
        reader.select(&columns.iter().map(String::as_str).collect::<Vec<_>>())?;
        while let Some(batch) = reader.next_batch()? {
            for row in 0..batch.row_count() {
                (0..columns.len()).for_each(|column| drop(batch.cell(column, row)));
            }
        }
        Ok(())
    };
    let bytes = |name| fs::read(path(name)).unwrap();
    vec![
        ("movies", bytes("movies"), (|path| read_movies(path).map(drop)) as Read),
        ("users", bytes("users"), |path| read_users(path).map(drop)),
        ("interactions", bytes("interactions"), |path| read_interactions(path, &mut |_| Ok(())).map(drop)),
        ("embeddings", bytes("embeddings"), |path| {
            read_embeddings(path, &EmbeddingColumns::movies()).map(drop)
        }),
        ("cells", bytes("movies"), read_cells),
    ]
}

fn read_damaged(bytes: &[u8], read: Read) -> Result<(), String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let name = file.path().file_name().unwrap().to_str().unwrap().to_owned();
    read(file.path()).map_err(|error| {
        let message = error.to_string();
        assert!(message.contains(&name), "the path is missing: {message}");
        message
    })
}

#[test]
fn a_table_cut_short_anywhere_is_refused_with_its_path() {
    for (name, bytes, read) in TABLES.iter() {
        read_damaged(bytes, *read).unwrap();
        for length in (0..bytes.len()).step_by(7) {
            assert!(read_damaged(&bytes[..length], *read).is_err(), "{name} of {length} bytes");
        }
    }
}

#[test]
fn a_flipped_byte_of_data_is_refused() {
    for (name, bytes, read) in TABLES.iter() {
        let (mut refused, mut flips) = (0, 0);
        for at in (4..bytes.len()).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xFF;
            flips += 1;
            refused += usize::from(read_damaged(&damaged, *read).is_err());
        }
        // What is left are statistics and names that readers do not use.
        assert!(refused * 2 > flips, "{name}: {refused} of {flips} flips were refused");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_damage_is_survived(
        table in 0_usize..5,
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (_, mut bytes, read) = TABLES[table].clone();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_damaged(&bytes, read).ok();
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), footer in any::<bool>()) {
        let mut bytes = bytes;
        if footer {
            let length = bytes.len() as u32;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(b"PAR1");
        }
        for (_, _, read) in TABLES.iter() {
            prop_assert!(read_damaged(&bytes, *read).is_err());
        }
    }
}
