//! What happens while serving, as it is logged. It knows nothing of what an event means for an answer.

mod entry;

pub use entry::{Entry, Logged};
