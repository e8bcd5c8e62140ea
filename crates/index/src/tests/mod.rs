//! What only shows on a whole bundle: what is built is answered, and what is damaged is refused.

mod hostile;
mod retrieval;
mod roots;
mod user_neighbors;
mod world;
