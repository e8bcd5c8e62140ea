//! Holds the manifests, the map and the sources against the rules of the house: arrows, homes of third-party crates,
//! licences, sizes and heads of files.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test binary has no public surface and fails by panicking"
)]

mod arrows;
mod dependencies;
mod sources;

use std::path::{Path, PathBuf};

/// The top of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The metadata of the workspace; with dependencies only as far as this machine builds them.
fn metadata(with_dependencies: bool) -> cargo_metadata::Metadata {
    let mut command = cargo_metadata::MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml"));
    let platform = format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH);
    if with_dependencies {
        command.other_options(vec!["--offline".to_owned(), "--locked".to_owned(), platform]);
    } else {
        command.no_deps();
    }
    command.exec().unwrap()
}

/// The folder of a package under `crates/`.
fn crate_name(package: &cargo_metadata::Package) -> String {
    package.manifest_path.parent().unwrap().file_name().unwrap().to_owned()
}
