//! Where each user's interactions are, who was forgotten, and the latest word on each movie. It holds positions only, no events.

use std::collections::HashMap;

use cinedex_domain::UserId;

use crate::record::{Interaction, Record};

/// Bytes of one user in the tables, beside the id and the positions: a slot at 7/16 to 7/8 full, and an allocation's header.
const USER_BYTES: u64 = 96;

/// The index of everything that is not hidden. An interaction takes 8 bytes, at most 16 where a user's list has just grown; a
/// user about 100 and the id.
#[derive(Default)]
pub(crate) struct Index {
    users: HashMap<Box<str>, User>,
    movies: HashMap<Box<str>, u64>,
    interactions: u64,
    text_bytes: u64,
    list_bytes: u64,
}

#[derive(Default)]
struct User {
    /// Ascending.
    positions: Vec<u64>,
    /// The last tombstone's position, or 0.
    forgotten: u64,
}

impl Index {
    /// Takes in a record that is in the log.
    pub(crate) fn take(&mut self, position: u64, record: &Record<'_>) {
        match record {
            Record::Interaction(Interaction { user_id, .. }) => self.interaction(user_id, position),
            Record::Forgotten(user_id) => {
                self.forget(user_id, position);
            }
            Record::MoviePut(movie_id, _) | Record::MovieWithdrawn(movie_id) => {
                self.movie(movie_id, position);
            }
            Record::Answered(..) | Record::Remembered(_) => {}
        }
    }

    /// A user did something at a position.
    pub(crate) fn interaction(&mut self, user_id: &str, position: u64) {
        let user = self.user(user_id);
        let before = user.positions.capacity();
        if user.positions.is_empty() {
            // Most users have one or two, and the smallest growth would be four.
            user.positions.reserve_exact(1);
        }
        user.positions.push(position);
        let grown = user.positions.capacity() - before;
        self.list_bytes += 8 * grown as u64;
        self.interactions += 1;
    }

    /// Hides everything of a user before a position; answers how many interactions that were.
    pub(crate) fn forget(&mut self, user_id: &str, position: u64) -> u64 {
        let user = self.user(user_id);
        user.forgotten = user.forgotten.max(position);
        let positions = std::mem::take(&mut user.positions);
        self.list_bytes -= 8 * positions.capacity() as u64;
        self.interactions -= positions.len() as u64;
        positions.len() as u64
    }

    /// Something was said of a movie at a position.
    pub(crate) fn movie(&mut self, movie_id: &str, position: u64) {
        if let Some(latest) = self.movies.get_mut(movie_id) {
            *latest = position;
        } else {
            self.text_bytes += movie_id.len() as u64;
            self.movies.insert(movie_id.into(), position);
        }
    }

    /// An interaction leaves the log.
    pub(crate) fn drop_interaction(&mut self, user_id: &str, position: u64) {
        let Some(user) = self.users.get_mut(user_id) else { return };
        let Ok(place) = user.positions.binary_search(&position) else { return };
        user.positions.remove(place);
        self.interactions -= 1;
        let before = user.positions.capacity();
        if user.positions.len() <= before / 2 {
            user.positions.shrink_to_fit();
        }
        self.list_bytes -= 8 * (before - user.positions.capacity()) as u64;
        if user.positions.is_empty() && user.forgotten == 0 {
            self.users.remove(user_id);
            self.text_bytes -= user_id.len() as u64;
        }
    }

    /// Whether a later tombstone hides a user's interaction at a position.
    pub(crate) fn hides(&self, user_id: &str, position: u64) -> bool {
        self.users.get(user_id).is_some_and(|user| user.forgotten > position)
    }

    /// Whether something later was said of a movie.
    pub(crate) fn superseded(&self, movie_id: &str, position: u64) -> bool {
        self.movies.get(movie_id).is_some_and(|&latest| latest > position)
    }

    /// A user's last positions below `before`, at most `limit`, descending.
    pub(crate) fn positions(&self, user_id: &str, before: u64, limit: usize) -> Vec<u64> {
        let Some(user) = self.users.get(user_id) else { return Vec::new() };
        let end = user.positions.partition_point(|&position| position < before);
        user.positions[..end].iter().rev().take(limit).copied().collect()
    }

    /// Every tombstone, in no order.
    pub(crate) fn forgotten(&self) -> Vec<(UserId, u64)> {
        let users = self.users.iter().filter(|(_, user)| user.forgotten > 0);
        users.filter_map(|(id, user)| Some((UserId::new(id).ok()?, user.forgotten))).collect()
    }

    /// Interactions, users and bytes.
    pub(crate) fn size(&self) -> (u64, usize, u64) {
        let slots = (self.users.len() + self.movies.len()) as u64;
        (self.interactions, self.users.len(), self.list_bytes + self.text_bytes + slots * USER_BYTES)
    }

    fn user(&mut self, user_id: &str) -> &mut User {
        if !self.users.contains_key(user_id) {
            self.text_bytes += user_id.len() as u64;
            self.users.insert(user_id.into(), User::default());
        }
        self.users.get_mut(user_id).expect("it was put there if it was not")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgetting_hides_what_was_before_and_nothing_after() {
        let mut index = Index::default();
        for position in 1..=4 {
            index.interaction(if position == 3 { "other" } else { "user" }, position);
        }
        assert_eq!(index.positions("user", u64::MAX, 9), [4, 2, 1]);
        assert_eq!(index.positions("user", 4, 1), [2]);
        assert_eq!(index.forget("user", 5), 3);
        index.interaction("user", 6);
        assert!(index.hides("user", 4) && !index.hides("user", 6) && !index.hides("other", 3));
        assert_eq!(index.positions("user", u64::MAX, 9), [6]);
        assert_eq!(index.forgotten(), [(UserId::new("user").unwrap(), 5)]);
        assert_eq!(index.size().0, 2);
    }

    #[test]
    fn what_leaves_takes_its_memory_with_it() {
        let mut index = Index::default();
        for position in 1..=1000 {
            index.interaction("user", position);
        }
        let (interactions, users, bytes) = index.size();
        assert_eq!((interactions, users), (1000, 1));
        assert!(bytes <= 1000 * 16 + 200, "{bytes} bytes");
        for position in 1..=1000 {
            index.drop_interaction("user", position);
            index.drop_interaction("user", position);
        }
        assert_eq!(index.size(), (0, 0, 0));
    }
}
