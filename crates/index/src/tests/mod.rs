//! What only shows on a whole bundle: what is built is answered, and what is damaged is refused.

mod forgery;
mod hostile;
mod interrogation;
mod mutations;
mod queries;
mod retrieval;
mod roots;
mod strategies;
mod user_neighbors;
pub(crate) mod world;
