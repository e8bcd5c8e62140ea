//! What could not be understood as a word of the vocabulary.

/// Why a value is not a word of the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// An id of no bytes.
    #[error("an id must not be empty")]
    EmptyId,
    /// An id longer than [`crate::MAX_ID_BYTES`].
    #[error("an id is at most {max} bytes, this one has {found}", max = crate::MAX_ID_BYTES)]
    LongId {
        /// Bytes found.
        found: usize,
    },
    /// A place that is not `CC`, `CC/SUB` or `CC/SUB/City`.
    #[error("\"{found}\" is not a location: {reason}; write US, US/CA or US/CA/Fresno")]
    MalformedLocation {
        /// The text, cut to a printable length.
        found: String,
        /// Which level is wrong and why.
        reason: &'static str,
    },
    /// Not a kind of interaction.
    #[error("\"{found}\" is not a kind of interaction: use rating, watch, like, dislike, favorite or skip")]
    UnknownKind {
        /// The text, cut to a printable length.
        found: String,
    },
    /// A rating scale whose ends are not finite and ascending, or whose top is not above 0.
    #[error("a rating scale needs a finite lowest value below its highest, and a highest above 0")]
    MalformedScale,
    /// A field of a preference policy that is out of its range.
    #[error("preference.{field} is {found}: it must be {expected}")]
    InvalidPreference {
        /// Name of the field.
        field: &'static str,
        /// What it is, as text.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A field of an event that is out of its range.
    #[error("{field} must be {expected}")]
    InvalidEvent {
        /// Name of the field.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
    },
}

/// Cuts untrusted text for a message: at most 60 characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
