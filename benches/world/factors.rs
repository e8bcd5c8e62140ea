//! Factors really trained, to search in: learned by iALS from generated pairs or from a file, and kept as one flat file that
//! Rust and Python read: users, movies and dimension as little-endian `u64`, then the users' rows and the movies' as
//! little-endian `f32`.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each benchmark uses its part of this module")]

use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use cinedex_domain::silent;
use cinedex_model::{AUTOMATIC_REGULARIZATION, Factors, IalsParameters, train_ials};
use cinedex_vectors::{Csr, Matrix};

const HEADER_BYTES: u64 = 24;

/// Films up to which an unobserved pair has its default weight, .2. Beyond, it falls with their number to the power of 3/4: a million films
/// of .2 a pair would outweigh what is observed until nothing but popularity, a single direction, were learned. Rendle et
/// al. (2021), too, choose less for larger catalogues.
const DEFAULT_WEIGHT_UP_TO: f32 = 100_000.0;

/// Learns factors with the model's own settings, but for the weight of unobserved pairs.
pub fn train(pairs: &Csr<f32>, dimension: usize, epochs: usize, threads: usize) -> Factors {
    let default = IalsParameters::default();
    let share = (DEFAULT_WEIGHT_UP_TO / pairs.column_count() as f32).min(1.0);
    let parameters = IalsParameters {
        dimension,
        epochs,
        threads,
        regularization: AUTOMATIC_REGULARIZATION,
        unobserved_weight: default.unobserved_weight * share.powf(0.75),
        ..default
    };
    train_ials(pairs, &parameters.for_data(pairs), &silent, &false.into()).expect("learned")
}

/// Writes a file, whole or not at all.
pub fn write(factors: &Factors, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension("unfinished");
    let mut out = BufWriter::new(fs::File::create(&unfinished)?);
    for size in [factors.users.rows(), factors.movies.rows(), factors.movies.dimension()] {
        out.write_all(&(size as u64).to_le_bytes())?;
    }
    for matrix in [&factors.users, &factors.movies] {
        matrix.as_slice().iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
    }
    out.flush()?;
    fs::rename(unfinished, path)
}

/// Reads what [`write`] wrote: at most `users` of the users, and all movies.
pub fn read(path: &Path, users: usize) -> io::Result<Factors> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let file = fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut sizes = [0usize; 3];
    for size in &mut sizes {
        let mut word = [0; 8];
        input.read_exact(&mut word)?;
        *size = u64::from_le_bytes(word) as usize;
    }
    let [all_users, movies, dimension] = sizes;
    if HEADER_BYTES + 4 * ((all_users + movies) * dimension) as u64 != bytes {
        return Err(broken("the file is not as long as its header says"));
    }
    let kept = users.min(all_users);
    let users = read_rows(&mut input, kept, dimension)?;
    input.seek_relative(4 * ((all_users - kept) * dimension) as i64)?;
    Ok(Factors { users, movies: read_rows(&mut input, movies, dimension)? })
}

fn read_rows(input: &mut impl Read, rows: usize, dimension: usize) -> io::Result<Matrix> {
    let mut matrix = Matrix::zeros(rows, dimension);
    let mut bytes = vec![0; 4 * dimension];
    for row in 0..rows {
        input.read_exact(&mut bytes)?;
        let (values, _) = bytes.as_chunks::<4>();
        for (to, from) in matrix.row_mut(row).iter_mut().zip(values) {
            *to = f32::from_le_bytes(*from);
        }
    }
    Ok(matrix)
}
