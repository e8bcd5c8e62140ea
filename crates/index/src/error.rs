//! What could not be built, stored, found or trusted, with the path or the row and the remedy.

use std::io;
use std::path::{Path, PathBuf};

use cinedex_storage::StorageError;

use crate::Version;

/// Why an index could not be built, opened or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `create`, `remove`…
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A table or directory could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file of a bundle is missing, truncated, altered or of another bundle.
    #[error("{}: {fault}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: Fault,
    },
    /// The bundle was written by an earlier version of this program.
    #[error("{} has format {found}, this program reads {expected}; run cinedex index build", path.display())]
    OlderFormat {
        /// The manifest or file.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The format version that is read.
        expected: u32,
    },
    /// The bundle was written by a later version of this program.
    #[error("{} has format {found}, this program reads {expected}; update cinedex or run cinedex index build", path.display())]
    NewerFormat {
        /// The manifest or file.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The format version that is read.
        expected: u32,
    },
    /// Not the name of a version.
    #[error(
        "\"{found}\" is not an index version: it looks like 20250131T235959Z-0123abcd, see cinedex index list"
    )]
    MalformedVersion {
        /// The text, cut to a printable length.
        found: String,
    },
    /// No bundle of this version is there.
    #[error("there is no index version {version} in {}; see cinedex index list", root.display())]
    UnknownVersion {
        /// The version asked for.
        version: Version,
        /// The directory of all versions.
        root: PathBuf,
    },
    /// Nothing says which version is live.
    #[error("no bundle is live in {}; run cinedex index build or activate", root.display())]
    NoCurrent {
        /// The directory of all versions.
        root: PathBuf,
    },
    /// Neither the live version nor one that was live before can be opened.
    #[error("no usable index in {}: {reason}; run cinedex index build", root.display())]
    NothingUsable {
        /// The directory of all versions.
        root: PathBuf,
        /// Why the live one was refused.
        #[source]
        reason: Box<IndexError>,
    },
    /// The live version is not removed.
    #[error("{version} is live; activate another version before removing it")]
    VersionLive {
        /// The version asked to be removed.
        version: Version,
    },
    /// What a bundle is to be built from does not fit together.
    #[error("cannot build an index: {0}")]
    Input(#[from] InputFault),
    /// A filter or request names a genre that no movie has.
    #[error(transparent)]
    UnknownGenre(#[from] UnknownGenre),
    /// The caller asked to stop; nothing is left behind.
    #[error("building the index was cancelled")]
    Cancelled,
}

impl IndexError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, fault: Fault) -> Self {
        Self::Damaged { path: path.to_owned(), fault }
    }
}

/// What is wrong with a file of a bundle.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The manifest names it, and it is not there.
    #[error("missing")]
    Missing,
    /// A directory, a link or a device where a file is expected.
    #[error("not a regular file")]
    NotAFile,
    /// The manifest does not name it.
    #[error("unexpected, the manifest does not name it")]
    Unexpected,
    /// Longer or shorter than recorded.
    #[error("{found} bytes, expected {expected}")]
    Size {
        /// Bytes recorded.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// Does not begin as a file of a bundle.
    #[error("not a file of this program")]
    Magic,
    /// A file of the bundle, but another one.
    #[error("holds {found:?}, expected {expected:?}")]
    Kind {
        /// What the header says.
        found: String,
        /// What the file should be.
        expected: &'static str,
    },
    /// The header or the table of sections was altered.
    #[error("header: checksum mismatch")]
    HeaderChecksum,
    /// The header's table cannot be.
    #[error("header: malformed table of sections")]
    MalformedTable,
    /// The file is whole in itself, but not the one that the manifest describes.
    #[error("checksum differs from the manifest's")]
    ForeignFile,
    /// The manifest was altered, or the directory renamed.
    #[error("its hash does not match the version's name")]
    ManifestHash,
    /// The pointer to the live version holds something else.
    #[error("names no index version but {found:?}; run cinedex index activate")]
    Pointer {
        /// Its text, cut to a printable length.
        found: String,
    },
    /// The manifest is not the JSON document that it should be.
    #[error("not a manifest: {reason}")]
    MalformedManifest {
        /// What the parser said.
        reason: String,
    },
    /// A section is not there.
    #[error("section {section} is missing")]
    MissingSection {
        /// Its name.
        section: String,
    },
    /// A section's bytes were altered.
    #[error("section {section}: checksum mismatch")]
    SectionChecksum {
        /// Its name.
        section: String,
    },
    /// A section holds another type of number.
    #[error("section {section}: wrong element type")]
    ElementType {
        /// Its name.
        section: String,
    },
    /// A section holds more or fewer elements than the others require.
    #[error("section {section}: {found} elements, expected {expected}")]
    Length {
        /// Its name.
        section: String,
        /// Elements required.
        expected: u64,
        /// Elements found.
        found: u64,
    },
    /// A number points beyond what is there.
    #[error("section {section}, element {position}: {found} is out of range, below {limit} expected")]
    OutOfRange {
        /// The section's name.
        section: String,
        /// Which element.
        position: usize,
        /// Its value.
        found: u64,
        /// The first value that is too large.
        limit: u64,
    },
    /// Offsets that do not begin at 0, descend, or do not end at the end.
    #[error("section {section}, element {position}: offsets must ascend from 0 to the end")]
    Offsets {
        /// The section's name.
        section: String,
        /// Which element.
        position: usize,
    },
    /// A number that is infinite, not a number, or beyond any sensible size.
    #[error("section {section}, element {position}: not a finite number of sensible size")]
    NotFinite {
        /// The section's name.
        section: String,
        /// Which element.
        position: usize,
    },
    /// Rows that should be sorted and without repetition are not.
    #[error("section {section}, element {position}: out of order")]
    Order {
        /// The section's name.
        section: String,
        /// Which element.
        position: usize,
    },
    /// Text that is not an id or a place.
    #[error("section {section}, element {position}: not valid text")]
    Text {
        /// The section's name.
        section: String,
        /// Which element.
        position: usize,
    },
    /// Values of a section that contradict another section.
    #[error("section {section}: contradicts {other}")]
    Contradiction {
        /// The section's name.
        section: String,
        /// The section that says otherwise.
        other: &'static str,
    },
    /// The checks passed when it was written, and measuring again gives another answer.
    #[error("recall@10 of the graph is {found:.3}, was {recorded:.3} when built")]
    Recall {
        /// Recall in the manifest.
        recorded: f64,
        /// Recall now.
        found: f64,
    },
}

/// What is wrong with the parts that a bundle is to be built from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InputFault {
    /// There is nothing to recommend.
    #[error("there are no movies")]
    NoMovies,
    /// More rows than an index can number.
    #[error("{what}: {found} rows, at most {limit} are possible")]
    TooMany {
        /// Which part.
        what: &'static str,
        /// Rows given.
        found: usize,
        /// Rows possible.
        limit: usize,
    },
    /// Two parts have different numbers of rows.
    #[error("{what}: {found} rows, expected {expected}")]
    Rows {
        /// Which part.
        what: &'static str,
        /// Rows required.
        expected: usize,
        /// Rows given.
        found: usize,
    },
    /// Vectors of another length than the model's.
    #[error("{what}: dimension {found}, the model has {expected}")]
    Dimension {
        /// Which part.
        what: &'static str,
        /// The model's dimension.
        expected: usize,
        /// The dimension given.
        found: usize,
    },
    /// A number that is infinite, not a number, or beyond any sensible size.
    #[error("{what}, row {row}: not a finite number of sensible size; train again or repair the embedding")]
    NotFinite {
        /// Which part.
        what: &'static str,
        /// Which row.
        row: usize,
    },
    /// Ids that are not in canonical order, or repeated.
    #[error("{what}, row {row}: ids must ascend in canonical order without repetition")]
    Order {
        /// Which part.
        what: &'static str,
        /// The first row out of order.
        row: usize,
    },
    /// Histories or places that point beyond what is there.
    #[error("{what}, row {row}: points beyond the rows that there are, or its offsets descend")]
    OutOfRange {
        /// Which part.
        what: &'static str,
        /// Which row.
        row: usize,
    },
    /// Places that do not form a tree below the world.
    #[error("popularity, place {row}: {reason}")]
    Place {
        /// Which place.
        row: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The graph has more links than 32 bits can count.
    #[error("the graph has more than four thousand million links; build with fewer connections")]
    TooManyLinks,
    /// A parameter outside its range.
    #[error("{name} is {found}, allowed are {allowed}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// The value given.
        found: String,
        /// The range.
        allowed: &'static str,
    },
}

/// A filter names a genre that no movie of the bundle has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown genre \"{genre}\"; known are: {}", known.join(", "))]
pub struct UnknownGenre {
    /// The genre asked for, cut to a printable length.
    pub genre: String,
    /// All genres, sorted, in the catalogue's spelling.
    pub known: Vec<String>,
}

/// Cuts untrusted text for a message: at most 60 characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
