//! Dense and sparse rows of numbers and what retrieval and training do with them: aligned matrices ([`Matrix`]), kernels
//! that choose the processor's instructions at run time ([`dot`], [`inner_products`], …), rows coded as bytes ([`CodesView`]),
//! bounded selection ([`TopK`]) and sparse rows ([`Csr`]). It knows nothing of movies, users or files.
//!
//! Every kernel has a portable twin that compiles to whatever the target has (NEON on aarch64, SSE2 on `x86_64`); on
//! `x86_64` AVX-512F or AVX2 with FMA is taken where the processor has it. All unsafe code of the crate is in `kernels`.
//!
//! ```
//! use cinedex_vectors::{Matrix, TopK, inner_products};
//!
//! let movies = Matrix::from_packed(2, &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8]);
//! let mut scores = [0.0; 3];
//! inner_products(movies.view(), &[1.0, 0.5], &mut scores);
//! let mut best = TopK::new(2);
//! for (index, &score) in scores.iter().enumerate() {
//!     best.push(index as u32, score);
//! }
//! assert_eq!(best.into_sorted().iter().map(|hit| hit.index).collect::<Vec<_>>(), [0, 2]);
//! ```

mod codes;
mod csr;
mod error;
mod kernels;
mod matrix;
mod top;

pub use codes::{Bound, Code, CodedQuery, CodesView, RowTerms, code_stride, encode};
pub use csr::Csr;
pub use error::VectorsError;
pub use kernels::{
    InstructionSet, NormalTerms, Panels, axpy, dot, dot_f64, dots_of, inner_products, instruction_set, norm,
    norm_f64, normalize, prefetch, scale,
};
pub use matrix::{Matrix, MatrixView};
pub use top::{Scored, TopK};
