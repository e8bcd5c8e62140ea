//! Users of like taste: which users' embeddings point the way of one user's, or of a vector folded in for one.

use cinedex_domain::UserIndex;
use cinedex_vectors::{Scored, TopK, dot};

use crate::input::norm_of;
use crate::{Bundle, Retrieval, Retrieved};

impl Bundle {
    /// Whether a user has an embedding; nobody has without user factors. Panics if the user is of another bundle.
    pub fn has_user_embedding(&self, user: UserIndex) -> bool {
        self.user_factors().is_some_and(|factors| is_embedded(factors.row(user.row())))
    }

    /// How many users have an embedding.
    pub fn embedded_user_count(&self) -> usize {
        let count = |factors: cinedex_vectors::MatrixView<'_>| {
            (0..factors.rows()).filter(|&row| is_embedded(factors.row(row))).count()
        };
        self.user_factors().map_or(0, count)
    }

    /// The `k` users of highest cosine to `user`, itself left out: never fewer than `k` where `k` others have an embedding. A
    /// user without an embedding resembles nobody. Panics if the user is of another bundle.
    pub fn user_neighbors(&self, user: UserIndex, k: usize) -> Retrieved {
        let own = self.user_factors().map_or(&[][..], |factors| factors.row(user.row()));
        let mut items = self.nearest_users(own, k.saturating_add(1));
        items.retain(|other| other.index != user.0);
        items.truncate(k);
        Retrieved { items, retrieval: Retrieval::Exact }
    }

    /// The `k` users of highest cosine to a vector, comparing all who have an embedding: descending, ties ascending index. A
    /// vector of zeros, of another length or with a number that is not finite finds nobody.
    pub fn nearest_users(&self, vector: &[f32], k: usize) -> Vec<Scored> {
        let norm = norm_of(vector);
        let usable = vector.len() == self.settings().dimension && norm > 0.0 && norm.is_finite();
        let Some(factors) = self.user_factors().filter(|_| usable) else { return Vec::new() };
        let unit: Vec<f32> = vector.iter().map(|&value| (f64::from(value) / norm) as f32).collect();
        let mut best = TopK::new(k);
        for (index, row) in (0u32..).zip((0..factors.rows()).map(|row| factors.row(row))) {
            if is_embedded(row) {
                let cosine = f64::from(dot(&unit, row)) / norm_of(row);
                best.push(index, cosine.clamp(-1.0, 1.0) as f32);
            }
        }
        best.into_sorted()
    }
}

fn is_embedded(row: &[f32]) -> bool {
    row.iter().any(|&value| value != 0.0)
}
